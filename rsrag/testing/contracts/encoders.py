"""The contracts of encoders: unit rows in order, the same for one and for many, and nothing cut in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rsrag import RsragError, Scene
from rsrag.interfaces import Encoder, TextEncoder

from ..scenes import pixels_of, sample_scenes
from .base import ComponentContract

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLERANCE = 1e-4
THREADS = 8
MOST_TOKENS = 20_000  # a longer text is no passage; an encoder that takes it has no limit worth testing


class TextEncoderContract(ComponentContract):
    """Override `component`; override `other` with an instance whose options give other vectors."""

    protocol = TextEncoder

    @pytest.fixture
    def other(self) -> Any:
        """An instance with options that change its vectors (another checkpoint, size, dimension)."""
        pytest.skip("override the fixture `other(self)`: an instance whose options change its vectors")

    @pytest.fixture
    def texts(self) -> list[str]:
        """Texts of different lengths, with the odd ones that are met in files."""
        return [
            "green", "red", "a harbour with blue water and red roofs", "NDVI 0.7", "", "  ", "Überschwemmung 洪水 🌊",
            "The forest is green in summer. " * 3,
        ]  # fmt: skip

    def test_texts_become_unit_rows(self, component: Any, texts: list[str]) -> None:
        for role in ("passage", "query"):
            _assert_rows(component.encode_texts(texts, role=role), len(texts), component.dim, "encode_texts")

    def test_no_texts_no_rows(self, component: Any) -> None:
        _assert_rows(component.encode_texts([]), 0, component.dim, "encode_texts([])")

    def test_texts_keep_their_order_and_do_not_touch_each_other(self, component: Any, texts: list[str]) -> None:
        _assert_batch_invariant(component.encode_texts, texts, "encode_texts")

    def test_the_same_texts_give_the_same_rows(self, component: Any, twin: Any, texts: list[str]) -> None:
        first = component.encode_texts(texts)
        _assert_equal(component.encode_texts(texts), first, "two calls of encode_texts differ; seed or switch off "
                      "what is random (dropout: call eval()).")  # fmt: skip
        _assert_equal(twin.encode_texts(texts), first, "two instances with equal options encode texts differently.")

    def test_different_texts_give_different_rows(self, component: Any) -> None:
        rows = component.encode_texts(["green", "red"])
        assert float(rows[0] @ rows[1]) < 1 - TOLERANCE, '"green" and "red" got the same vector; nothing can be found.'

    def test_the_id_names_what_makes_the_vectors(self, component: Any, twin: Any) -> None:
        assert isinstance(component.id, str) and component.id.strip(), "`id` must be a text; it names the weights."
        assert twin.id == component.id, (
            f"two instances with equal options are called {component.id!r} and {twin.id!r}; a store would refuse to "
            "open. Derive `id` from options and weights, not from time, path or process."
        )

    def test_other_options_have_another_id(self, component: Any, other: Any) -> None:
        assert other.id != component.id, (
            f"`other` also has the id {component.id!r}; a store could not tell that its vectors do not fit. Put every "
            "option that changes a vector into `id`."
        )

    def test_counts_grow_with_the_text(self, component: Any) -> None:
        words = "red harbour with green water, 43 km of quays and an 洪水 sign".split()
        counts = [component.count_tokens(" ".join(words[:n])) for n in range(len(words) + 1)]
        assert all(isinstance(c, int) and c >= 0 for c in counts), f"count_tokens gave {counts}; return whole numbers."
        assert counts == sorted(counts) and counts[-1] > counts[0], (
            f"count_tokens gave {counts} for a growing text; a longer text never has fewer tokens."
        )

    def test_a_passage_that_fits_is_taken_and_a_longer_one_refused(self, component: Any) -> None:
        limit = component.max_tokens
        assert isinstance(limit, int) and limit > 0, f"`max_tokens` is {limit!r}; it is a whole number of tokens."
        if limit > MOST_TOKENS:
            pytest.skip(f"an encoder of {limit:,} tokens has no limit that a passage meets")
        words, step = ["red"], 1
        while component.count_tokens(" ".join(words)) <= limit:
            assert len(words) <= 8 * limit + 8, "count_tokens does not grow with a text of one word, said many times."
            words, step = words + ["harbour"] * step, step * 2
        while component.count_tokens(" ".join(words)) > limit:
            words.pop()
        fitting = " ".join(words)
        _assert_rows(component.encode_texts([fitting]), 1, component.dim, f"a passage of {limit} tokens")
        longer = " ".join([*words, *["harbour"] * 8])
        try:
            component.encode_texts([longer], role="passage")
        except RsragError:
            pass
        else:
            raise AssertionError(
                f"a passage of {component.count_tokens(longer)} tokens was taken where max_tokens is {limit}; raise "
                "rsrag.ModelError instead of cutting what was to be found."
            )
        _assert_rows(component.encode_texts([longer], role="query"), 1, component.dim, "a long query (cut it)")

    def test_threads_get_the_same_rows(self, component: Any, texts: list[str]) -> None:
        _assert_thread_safe(component.encode_texts, texts, "encode_texts")


class EncoderContract(TextEncoderContract):
    """A joint encoder: all that a text encoder keeps to, and the same for scenes, in one space."""

    protocol = Encoder

    @pytest.fixture
    def scenes(self, tmp_path: Path) -> list[Scene]:
        """Scenes of different sizes and formats to encode; the first is green, the fifth striped."""
        return sample_scenes(tmp_path / "contract-scenes")

    def test_scenes_become_unit_rows_in_the_space_of_texts(self, component: Any, scenes: list[Scene]) -> None:
        _assert_rows(component.encode_scenes(scenes), len(scenes), component.dim, "encode_scenes")

    def test_no_scenes_no_rows(self, component: Any) -> None:
        _assert_rows(component.encode_scenes([]), 0, component.dim, "encode_scenes([])")

    def test_scenes_keep_their_order_and_do_not_touch_each_other(self, component: Any, scenes: list[Scene]) -> None:
        _assert_batch_invariant(component.encode_scenes, scenes, "encode_scenes")

    def test_the_same_scenes_give_the_same_rows(self, component: Any, twin: Any, scenes: list[Scene]) -> None:
        first = component.encode_scenes(scenes)
        _assert_equal(component.encode_scenes(scenes), first, "two calls of encode_scenes differ; switch off what is "
                      "random (dropout, random crops).")  # fmt: skip
        _assert_equal(twin.encode_scenes(scenes), first, "two instances with equal options encode scenes differently.")

    def test_different_scenes_give_different_rows(self, component: Any, scenes: list[Scene]) -> None:
        rows = component.encode_scenes([scenes[0], scenes[4]])
        assert float(rows[0] @ rows[1]) < 1 - TOLERANCE, "an evenly green and a striped scene got the same vector."

    def test_it_leaves_the_scenes_alone(self, component: Any, scenes: list[Scene]) -> None:
        before = [pixels_of(scene) for scene in scenes]
        component.encode_scenes(scenes)
        assert [pixels_of(scene) for scene in scenes] == before, (
            "a scene's pixels changed; copy the array of `rgb()` or `read()` before writing into it."
        )

    def test_threads_get_the_same_rows_of_scenes(self, component: Any, scenes: list[Scene]) -> None:
        _assert_thread_safe(component.encode_scenes, scenes, "encode_scenes")

    def test_it_says_what_it_was_trained_for(self, component: Any) -> None:
        assert isinstance(component.text_to_text, bool), "`text_to_text` is True or False."
        assert component.prompts and all(p.count("{}") == 1 for p in component.prompts), (
            f'`prompts` is {component.prompts!r}; give at least one template with one {{}}, such as "a photo of {{}}."'
        )
        assert component.max_gsd_m is None or component.max_gsd_m > 0, (
            f"`max_gsd_m` is {component.max_gsd_m!r}; give metres per pixel, or None where it is unknown."
        )


def _assert_rows(rows: Any, count: int, dim: int, what: str) -> None:
    import numpy as np

    assert isinstance(rows, np.ndarray), f"{what} returned {type(rows).__name__}; return a numpy array."
    assert rows.dtype == np.float32, f"{what} returned {rows.dtype}; return float32."
    assert rows.shape == (count, dim), f"{what} has shape {rows.shape}; {(count, dim)} was expected (n, dim)."
    assert np.isfinite(rows).all(), f"{what} returned NaN or infinity; an empty or even input must not divide by zero."
    lengths = np.linalg.norm(rows, axis=1)
    assert np.allclose(lengths, 1, atol=1e-3), (
        f"{what} returned rows of length {lengths.min():.3g} to {lengths.max():.3g}; divide each by its length."
    )


def _assert_equal(rows: NDArray[np.float32], expected: NDArray[np.float32], why: str) -> None:
    import numpy as np

    assert rows.shape == expected.shape and np.abs(rows - expected).max(initial=0) <= TOLERANCE, why


def _assert_batch_invariant(encode: Callable[[Sequence[Any]], Any], items: Sequence[Any], what: str) -> None:
    import numpy as np

    together = encode(items)
    alone = np.concatenate([encode([item]) for item in items])
    for n, (one, many) in enumerate(zip(alone, together, strict=True)):
        off = float(np.abs(one - many).max())
        assert off <= TOLERANCE, (
            f"item {n} of {what} differs by {off:.2g} when it is encoded alone; mask the padding, keep the order, and "
            "normalise nothing over the batch."
        )


def _assert_thread_safe(encode: Callable[[Sequence[Any]], Any], items: Sequence[Any], what: str) -> None:
    expected = encode(items)
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(lambda _: encode(items), range(THREADS)))
    for rows in results:
        _assert_equal(rows, expected, f"{what} gives other rows in threads; guard shared state with a lock.")
