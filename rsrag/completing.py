"""RS-RAG's formula over everything, without looking at everything.

The formula adds an image's cosine to a passage's, and each lane shows only the first of its own. What one lane shows
and the other does not is looked up, as far as it can still come to the top; and the lanes are asked for more as long
as something that neither has shown could. That is the threshold algorithm (Fagin, Lotem and Naor, JCSS 66, 2003): the
top is that of all candidates scored one by one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from .types import Hit, Query

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase

Ask = Callable[[int], Sequence[Hit]]
"""A lane: its best so many hits."""

DEEPEST = 1600
AT_ONCE = 16
"""So many subjects are looked up together: the first are the likeliest, and each raises what the next must reach."""


def complete(
    query: Query,
    kb: KnowledgeBase,
    images: tuple[str, Sequence[Hit], Ask],
    texts: tuple[str, Sequence[Hit], Ask],
    alpha: float,
    depth: int,
) -> tuple[list[Hit], list[Hit]]:
    """The hits of an image lane and of a text lane, each (name, its first `depth` hits, how to get more), with those
    added that the best `query.k` of alpha * image + (1 - alpha) * text need."""
    search = _Search(query, kb, images[0], texts[0], alpha)
    seen, read = images[1], texts[1]
    while True:
        search.add_images(seen)
        search.add_texts(read)
        floors = (_floor(seen, images[0], depth), _floor(read, texts[0], depth))
        search.look_up(*floors)
        if search.reach(*floors) <= search.least or depth >= DEEPEST:
            return list(search.images.values()), [hit for hit, _, _ in search.texts.values()]
        depth *= 4
        seen, read = images[2](depth), texts[2](depth)


def _floor(hits: Sequence[Hit], lane: str, depth: int) -> float:
    """No cosine that a lane has not shown is higher; -1 when it has shown all it has."""
    return min((hit.lanes[lane][1] for hit in hits), default=-1.0) if len(hits) >= depth else -1.0


class _Search:
    def __init__(self, query: Query, kb: KnowledgeBase, image_lane: str, text_lane: str, alpha: float) -> None:
        self.query, self.kb, self.alpha = query, kb, alpha
        self.image_lane, self.text_lane = image_lane, text_lane
        self.images: dict[str, Hit] = {}  # by chunk
        self.texts: dict[str, tuple[Hit, str, float]] = {}  # chunk -> hit, subject, cosine
        self.waiting: dict[str, list[float]] = {}  # subject whose images were not looked at -> cosines of its texts
        self.seen: dict[str, float] = {}  # subject -> best image cosine; 0 where it has no image
        self.read: set[str] = set()  # subjects all of whose texts are known
        self.best: list[float] = []  # a heap of the best `k` scores
        self.known = frozenset(query.exclude)

    @property
    def least(self) -> float:
        """What must be surpassed to be among the best `k`."""
        return self.best[0] if len(self.best) >= self.query.k else -1.0

    def reach(self, image: float, text: float) -> float:
        return self.alpha * image + (1 - self.alpha) * text

    def add_images(self, hits: Iterable[Hit]) -> None:
        found: dict[str, float] = {}
        for hit in hits:
            if self.images.setdefault(hit.chunk.id, hit) is hit and (subject := hit.chunk.subject):
                found[subject] = max(hit.lanes[self.image_lane][1], found.get(subject, -1.0))
        for subject, cosine in found.items():
            # What a lane shows later is no nearer than what it showed before.
            if subject not in self.seen:
                self._see(subject, cosine)

    def add_texts(self, hits: Iterable[Hit]) -> None:
        for hit in hits:
            if hit.chunk.id in self.texts:
                continue
            subject, cosine = hit.chunk.subject, hit.lanes[self.text_lane][1]
            self.texts[hit.chunk.id] = (hit, subject, cosine)
            if not subject or subject in self.seen:
                self._rank(self.reach(self.seen.get(subject, 0.0), cosine))
            else:
                self.waiting.setdefault(subject, []).append(cosine)

    def _see(self, subject: str, cosine: float) -> None:
        self.seen[subject] = cosine
        for text in self.waiting.pop(subject, ()):
            self._rank(self.reach(cosine, text))

    def _rank(self, score: float) -> None:
        if len(self.best) < self.query.k:
            heapq.heappush(self.best, score)
        else:
            heapq.heappushpop(self.best, score)

    def look_up(self, image_floor: float, text_floor: float) -> None:
        """The missing cosine of whatever could still be among the best."""
        unread = sorted(self.seen.keys() - self.read, key=lambda s: (-self.seen[s], s))
        for some in _bundles(unread):
            some = [s for s in some if self.reach(self.seen[s], text_floor) > self.least]
            if not some:
                break
            chunks = [c for c in self.kb.chunks_of(some, self.query.where) if c.part != "label"]
            chunks = [c for c in chunks if c.id not in self.texts and c.provenance.record not in self.known]
            self.add_texts(self.kb.score_chunks(self.query, chunks, self.text_lane))
            self.read.update(some)
        unseen = sorted(self.waiting, key=lambda s: (-max(self.waiting[s]), s))
        for some in _bundles(unseen):
            some = [s for s in some if self.reach(image_floor, max(self.waiting[s])) > self.least]
            if not some:
                break
            chunks = self.kb.chunks_of(some, self.query.where, "image")
            chunks = [c for c in chunks if c.id not in self.images and c.provenance.record not in self.known]
            self.add_images(self.kb.score_images(self.query, chunks, self.image_lane))
            for subject in some:
                if subject not in self.seen:
                    self._see(subject, 0.0)


def _bundles(subjects: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(subjects), AT_ONCE):
        yield list(subjects[start : start + AT_ONCE])
