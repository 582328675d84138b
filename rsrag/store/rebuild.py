"""The vector index made from the catalog: compared row by row, or anew in a folder of its own while readers go on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .index import IndexDamaged, VectorIndex
from .spaces import SPACES

if TYPE_CHECKING:
    from .knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]

ROWS = 2048
_FOLDER = re.compile(r"chroma(?:-(\d+))?")


def compare(kb: KnowledgeBase) -> tuple[int, int]:
    """Give the index the rows it lacks and take out those it should not have: (given, taken out).

    The caller holds `kb.writer()`. Costs a list of ids, not of vectors.
    """
    given = taken = 0
    try:
        for space in SPACES:
            present = kb.index.ids(space) if kb.index.path.exists() else set()
            missing, extra = kb.catalog.compare_again(space, present)
            given, taken = given + missing, taken + extra
    except IndexDamaged as error:
        kb._mend(error)
        return sum(kb.catalog.space_counts().values()), 0
    kb.settle()
    with kb.catalog.write() as db:
        db.execute("DELETE FROM meta WHERE key = 'compare'")
    return given, taken


def rebuild(kb: KnowledgeBase, progress: Progress | None = None) -> int:
    """Fill a new index beside the old one, then let readers change over; returns the number of vectors.

    The caller holds `kb.writer()`. What an interrupted run has put into the new folder is kept if it is sound. Raises
    `StoreError` when the new index does not hold what the catalog holds; the old one then stays.
    """
    present = kb.catalog.index_folder()
    number = _FOLDER.fullmatch(present)
    folder = f"chroma-{int((number and number[1]) or 1) + 1}"
    _tidy(kb.path, {present, folder})
    fresh = VectorIndex(kb.path / folder)
    try:
        try:
            total = _fill(kb, fresh, progress)
        except IndexDamaged:
            if not fresh.path.exists():
                raise
            fresh.close()  # what the interrupted run left is not sound
            shutil.rmtree(fresh.path)
            total = _fill(kb, fresh, progress)
    finally:
        fresh.close()
    kb.drop_previews(kb.catalog.departed("images"))
    kb.catalog.use_index(folder)
    kb._refresh()
    _tidy(kb.path, {folder})
    return total


def _fill(kb: KnowledgeBase, fresh: VectorIndex, progress: Progress | None) -> int:
    import numpy as np

    counts = kb.catalog.space_counts()
    total, done = sum(counts.values()), 0
    for space in SPACES:
        present = fresh.ids(space) if fresh.path.exists() else set()
        wanted: set[str] = set()
        after = 0
        while rows := kb.catalog.rows_after(space, after, ROWS):
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


def _tidy(path: Path, keep: set[str]) -> None:
    """Remove the folders of indexes that nobody uses any more."""
    for folder in path.glob("chroma*"):
        if _FOLDER.fullmatch(folder.name) and folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)
