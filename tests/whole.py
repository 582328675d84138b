"""The invariant of a knowledge base, whatever happened to it: what was acknowledged is found, and nothing else is."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from rsrag import KnowledgeBase, Query, Record


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


def assert_whole(kb: KnowledgeBase, acknowledged: Collection[str], possible: Collection[str] | None = None) -> None:
    """Every acknowledged record is there, found by its own vector (in memory and by Chroma) and by its text; no record
    is there that is not `possible` (default: those acknowledged); index and catalog agree."""
    verdict = kb.verify()
    assert verdict.problems == []
    chunks = kb.catalog.chunks("c.kind = 'text'", ())
    there = {chunk.provenance.record for chunk in chunks}
    assert set(acknowledged) <= there <= set(acknowledged if possible is None else possible)
    vectors = kb.catalog.vectors("texts", [chunk.content_hash for chunk in chunks])
    for exact_up_to in (10_000, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rsrag.store.search.EXACT_UP_TO", exact_up_to)
            kb._small.clear()
            kb._searched.clear()
            for chunk in chunks[:: max(1, len(chunks) // 15)]:
                hits = kb._near_chunks(Query("x"), "texts", [vectors[chunk.content_hash]], 1)
                assert hits[0][1] == pytest.approx(1, abs=1e-4) and chunk in [c for c, s in hits if s > 1 - 1e-4]
    for chunk in chunks[:: max(1, len(chunks) // 15)]:
        found = kb.search_text(Query(chunk.text), 5)
        assert chunk.provenance.record in [hit.chunk.provenance.record for hit in found]
