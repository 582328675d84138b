"""The invariant of a knowledge base, whatever happened to it: what was acknowledged is found, and nothing else is."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from rsrag import KnowledgeBase, Query, Record
from rsrag.store.words import match_expression


class Listed:
    """A source over records given in the test."""

    name = "list"
    role = "mine"

    def __init__(self, *records: Record, label: str = "notes") -> None:
        self._records = records
        self.label = label

    def records(self) -> Iterator[Record]:
        yield from self._records


def numbered(number: int) -> Record:
    """A record whose text no other shares: "word7 word7x ..."."""
    return Record(f"r{number}", f"topic/{number}", f"Title {number}", f"word{number} about item{number} near {number}.")


def assert_whole(
    kb: KnowledgeBase, acknowledged: Collection[str], possible: Collection[str] | None = None, *, every: bool = False
) -> None:
    """Every acknowledged record is there, found by its own vector (in memory and by Chroma) and by its text; no record
    is there that is not `possible` (default: those acknowledged); index and catalog agree. Some fifteen of texts and of
    images are looked up, or `every` one."""
    assert kb.verify().problems == []
    there = {row[0] for row in kb.catalog.db.execute("SELECT id FROM records")}
    assert set(acknowledged) <= there <= set(acknowledged if possible is None else possible)
    for kind, space in (("text", "texts"), ("image", "images")):
        chunks = kb.catalog.chunks.where("c.kind = ? AND r.vectors", (kind,))
        step = 1 if every else max(1, len(chunks) // 15)
        embedded = [chunk for chunk in chunks if chunk.part != "fact"]  # a fact is looked up
        vectors = kb.catalog.vectors.of(space, [chunk.content_hash for chunk in embedded])
        for exact_up_to in (10_000, 0):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("rsrag.store.search.EXACT_UP_TO", exact_up_to)
                kb._small.clear()
                kb._searched.clear()
                for chunk in embedded[::step]:
                    # Images of one colour share their vector.
                    k = 1 if kind == "text" else len(embedded)
                    hits = kb._near_chunks(Query("x"), space, [vectors[chunk.content_hash]], k)
                    assert hits[0][1] == pytest.approx(1, abs=1e-4)
                    assert chunk in [c for c, s in hits if s > 1 - 1e-4]
        for chunk in chunks[::step]:
            text = chunk.text or chunk.title
            if kind == "image" and not match_expression(text):
                continue  # a picture called "a"
            found = kb.search_text(Query(text, task="search"), 5 if chunk.text else len(chunks))
            assert chunk.provenance.record in [hit.chunk.provenance.record for hit in found]
