"""The vector index made from the catalog: compared row by row, or anew in a folder of its own while readers go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..errors import StoreError
from .filesystem import require_room
from .index import IndexDamaged, VectorIndex, number_of
from .spaces import SPACES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]

ROWS = 2048


def compare(kb: KnowledgeBase) -> tuple[int, int]:
    """Give the index the rows it lacks and take out those it should not have: (given, taken out).

    The caller holds `kb.writer()`. Costs a list of ids, not of vectors.
    """
    if kb.catalog.meta("compare") == "nothing":  # other encoders made what is in the index
        return rebuild(kb), 0
    given = taken = 0
    try:
        for space in SPACES:
            present = kb.index.ids(space) if kb.index.exists() else set()
            missing, extra = kb.catalog.outbox.compare(space, present)
            given, taken = given + missing, taken + extra
    except IndexDamaged as error:
        kb._mend(error)
        return sum(kb.catalog.vectors.counts().values()), 0
    kb.settle()
    with kb.catalog.write() as db:
        db.execute("DELETE FROM meta WHERE key = 'compare'")
    return given, taken


def rebuild(kb: KnowledgeBase, progress: Progress | None = None) -> int:
    """Fill a new index beside the old one, then let readers change over; returns the number of vectors.

    The caller holds `kb.writer()`. What an interrupted run has put into the new folder is kept if it is sound. Raises
    `StoreError` when the new index does not hold what the catalog holds; the old one then stays.
    """
    present = kb.catalog.outbox.index_name()
    name = f"chroma-{number_of(present) + 1}"
    kb.index.keep_only({present, name})
    fresh = kb.index.beside(name)
    counts, dims = kb.catalog.vectors.counts(), {space: about[2] for space, about in kb.catalog.spaces().items()}
    size = sum(fresh.bytes_for(count, dims[space]) for space, count in counts.items())
    require_room(kb.path, size, "the new vector index")
    try:
        total = fill(kb, fresh, progress, kb.catalog.vectors)
    finally:
        fresh.close()
    kb.drop_previews(kb.catalog.outbox.departed("images"))
    kb.catalog.outbox.use_index(name)
    kb._refresh()
    kb.index.keep_only({name})
    return total


class Rows(Protocol):
    """Where the vectors are read from; see `Vectors`."""

    def counts(self) -> dict[str, int]: ...
    def after(self, space: str, after: int, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]: ...


def fill(kb: KnowledgeBase, fresh: VectorIndex, progress: Progress | None, vectors: Rows) -> int:
    """Make `fresh` hold `vectors` and nothing else; returns how many. What an interrupted run has put into it is not
    written again, if it is sound."""
    try:
        return _fill(kb, fresh, progress, vectors)
    except IndexDamaged:
        if not fresh.exists():
            raise
        fresh.discard()
        return _fill(kb, fresh, progress, vectors)


def _fill(kb: KnowledgeBase, fresh: VectorIndex, progress: Progress | None, vectors: Rows) -> int:
    import numpy as np

    total, done = sum(vectors.counts().values()), 0
    for space in SPACES:
        present = fresh.ids(space) if fresh.exists() else set()
        wanted: set[str] = set()
        after = 0
        while rows := vectors.after(space, after, ROWS):
            after = rows[-1][0]
            wanted.update(digest for _, digest, _ in rows)
            lacking = [(digest, vector) for _, digest, vector in rows if digest not in present]
            if lacking:
                fresh.put(space, [digest for digest, _ in lacking], np.stack([vector for _, vector in lacking]))
            done += len(rows)
            if progress:
                progress(done, total, "vectors")
        if gone := present - wanted:
            fresh.remove(space, sorted(gone))
        if wanted and fresh.count(space) != len(wanted):
            raise StoreError(
                f"the new index of {kb.path} holds {fresh.count(space):,} of {len(wanted):,} vectors in {space}.",
                "The old one stays in use; check that the disk is not full and run `rsrag kb rebuild` again.",
            )
    return total
