"""What the vector index still has to be told: rows to write, rows to take out, and which index readers use."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .database import Database, bump

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Outbox:
    """The difference between the catalog's vectors and those that Chroma has acknowledged."""

    def __init__(self, file: Database) -> None:
        self._file = file

    def pending(self, space: str, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]:
        import numpy as np

        rows = self._file.db.execute(
            "SELECT rowid, content_hash, vector FROM vectors WHERE space = ? AND indexed = 0 LIMIT ?", (space, limit)
        )
        return [(rowid, digest, np.frombuffer(blob, np.float32)) for rowid, digest, blob in rows]

    def mark_sent(self, rowids: Sequence[int]) -> None:
        with self._file.write() as db:
            db.executemany("UPDATE vectors SET indexed = 1 WHERE rowid = ?", [(r,) for r in rowids])
            if not _unindexed(db):
                bump(db)  # a reader that looked between catalog and Chroma must look again

    def departed(self, space: str) -> list[str]:
        return [row[0] for row in self._file.db.execute("SELECT content_hash FROM departed WHERE space = ?", (space,))]

    def forget(self, space: str, hashes: Sequence[str]) -> None:
        with self._file.write() as db:
            db.executemany("DELETE FROM departed WHERE space = ? AND content_hash = ?", [(space, h) for h in hashes])
            bump(db)

    def is_settled(self) -> bool:
        """Whether Chroma has been told everything."""
        row = self._file.db.execute(
            """SELECT EXISTS (SELECT 1 FROM vectors WHERE indexed = 0) OR EXISTS (SELECT 1 FROM departed)
                   OR EXISTS (SELECT 1 FROM orphans)"""
        ).fetchone()
        return not row[0]

    def compare(self, space: str, indexed: set[str]) -> tuple[int, int]:
        """Note what Chroma, which has the rows `indexed`, still has to learn of a space: (missing, superfluous)."""
        rows = self._file.db.execute("SELECT rowid, content_hash FROM vectors WHERE space = ?", (space,)).fetchall()
        missing = [rowid for rowid, digest in rows if digest not in indexed]
        extra = indexed - {digest for _, digest in rows}
        with self._file.write() as db:
            db.executemany("UPDATE vectors SET indexed = 0 WHERE rowid = ?", [(rowid,) for rowid in missing])
            db.executemany("INSERT OR IGNORE INTO departed VALUES (?, ?)", [(space, digest) for digest in extra])
        return len(missing), len(extra)

    def index_name(self) -> str:
        """The vector index that readers use: a folder beside the catalog, or collections on a server."""
        return self._file.meta("index") or "chroma"

    def use_index(self, name: str) -> None:
        """From now on readers use another index, which has every vector."""
        with self._file.write() as db:
            self.point_to(db, name)
            bump(db)

    def point_to(self, db: sqlite3.Connection, name: str) -> None:
        """Inside a transaction: as `use_index`."""
        db.execute("INSERT OR REPLACE INTO meta VALUES ('index', ?)", (name,))
        db.execute("UPDATE vectors SET indexed = 1 WHERE indexed = 0")
        db.execute("DELETE FROM departed")
        db.execute("DELETE FROM meta WHERE key = 'compare'")


def _unindexed(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM vectors WHERE indexed = 0)").fetchone()[0])
