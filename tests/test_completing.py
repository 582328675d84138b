"""RS-RAG's formula over everything: what `complete` brings is what scoring every candidate would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import Chunk, Filter, Hit, Provenance, Query
from rsrag.completing import complete
from rsrag.fusion import weighted


def chunk(key: str, subject: str, kind: str) -> Chunk:
    return Chunk(key, kind, "text", 0, key, key, f"hash-{key}", Provenance("s", key, subject))  # type: ignore[arg-type]


class Made:
    """A store of given cosines: every chunk's with the query. Counts what is asked of it."""

    def __init__(self, images: Sequence[tuple[str, float]], texts: Sequence[tuple[str, float]]) -> None:
        self.images = [(chunk(f"i{n}", subject, "image"), cosine) for n, (subject, cosine) in enumerate(images)]
        self.texts = [(chunk(f"t{n}", subject, "text"), cosine) for n, (subject, cosine) in enumerate(texts)]
        self.looked_up = 0

    def lane(self, name: str) -> Callable[[int], list[Hit]]:
        pairs = sorted(self.images if name == "images" else self.texts, key=lambda pair: (-pair[1], pair[0].id))

        def first(k: int) -> list[Hit]:
            return [Hit(c, v, {name: (rank, v)}) for rank, (c, v) in enumerate(pairs[:k], 1)]

        return first

    def chunks_of(self, subjects: Sequence[str], where: Filter, kind: str = "text") -> list[Chunk]:
        found = [c for c, _ in (self.images if kind == "image" else self.texts) if c.subject in subjects]
        self.looked_up += len(found)
        return found

    def score_chunks(self, query: Query, chunks: Sequence[Chunk], lane: str) -> list[Hit]:
        cosines = {c.id: v for c, v in (*self.images, *self.texts)}
        return [Hit(c, cosines[c.id], {lane: (1, cosines[c.id])}) for c in chunks]

    score_images = score_chunks

    def top(self, k: int, alpha: float, depth: int) -> list[float]:
        """The best `k` scores by what `complete` brings, fused as the product fuses it."""
        see, read = self.lane("images"), self.lane("texts")
        pictures, passages = ("images", see(depth), see), ("texts", read(depth), read)
        seen, found = complete(Query("q", k=k), cast(Any, self), pictures, passages, alpha, depth)
        hits = weighted({"images": seen, "texts": found}, {"images"}, alpha)
        return [hit.score for hit in hits if hit.chunk.kind == "text"][:k]

    def whole(self, k: int, alpha: float) -> list[float]:
        """The same, every text scored."""
        best: dict[str, float] = {}
        for c, cosine in self.images:
            best[c.subject] = max(cosine, best.get(c.subject, -1.0))
        scores = [alpha * best.get(c.subject, 0.0) + (1 - alpha) * cosine for c, cosine in self.texts]
        return sorted(scores, reverse=True)[:k]


cosines = st.floats(0, 1).map(lambda value: round(value, 3))
rows = st.lists(st.tuples(st.sampled_from([f"subject {n}" for n in range(12)]), cosines), min_size=1, max_size=60)


@given(rows, rows, st.integers(1, 5), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.integers(1, 8))
def test_the_top_is_that_of_scoring_everything(
    images: list[tuple[str, float]], texts: list[tuple[str, float]], k: int, alpha: float, depth: int
) -> None:
    made = Made(images, texts)
    assert made.top(k, alpha, depth) == pytest.approx(made.whole(k, alpha))


def test_most_of_a_large_store_is_never_looked_at() -> None:
    rng = np.random.default_rng(3)
    seen = rng.uniform(0, 1, 20_000)
    read = 0.8 * seen + 0.2 * rng.uniform(0, 1, 20_000)
    images = [(f"subject {n}", float(value)) for n, value in enumerate(seen)]
    texts = [(f"subject {n}", float(value)) for n, value in enumerate(read)]
    made = Made(images, texts)
    assert made.top(5, 0.7, 50) == pytest.approx(made.whole(5, 0.7))
    assert made.looked_up < 500


def test_what_only_one_lane_shows_is_found() -> None:
    """The subject that comes second in both is first in the sum; neither lane shows it at this depth."""
    images = [("a", 0.9), ("b", 0.8), ("c", 0.1)]
    texts = [("c", 0.9), ("b", 0.8), ("a", 0.1)]
    assert Made(images, texts).top(1, 0.5, 1) == pytest.approx([0.8])


def test_subjects_without_images_and_texts_without_subjects_keep_their_places() -> None:
    made = Made([("a", 0.2)], [("a", 0.5), ("", 0.9), ("nothing to see", 0.95)])
    assert made.top(3, 0.5, 1) == pytest.approx(made.whole(3, 0.5))
