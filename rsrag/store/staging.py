"""Vectors of new encoders beside the old ones: a file of their own until they are complete, then all at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .database import Connection, batched, bump
from .soundness import sqlite_damage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .catalog import Catalog

Goal = Mapping[str, tuple[str, str, int]]
"""space -> (encoder id, what to create to get that encoder, dim) of the spaces that are made anew."""


class Staging:
    """`reencode.sqlite` in a knowledge base's folder. What an interrupted run left for the same goal is kept; for
    another, or damaged, it is thrown away."""

    def __init__(self, folder: Path, goal: Goal) -> None:
        self.path = folder / "reencode.sqlite"
        self.goal = goal
        said = json.dumps({space: list(about) for space, about in sorted(goal.items())})
        self.left = self.path.exists()
        """Whether an interrupted run left anything, for whatever goal."""
        self.resumed = self.left and not sqlite_damage(self.path) and self._says() == said
        if not self.resumed:
            self._remove()
        self._db = sqlite3.connect(self.path, isolation_level=None, factory=Connection)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS goal (said TEXT PRIMARY KEY)")
        self._db.execute("INSERT OR IGNORE INTO goal VALUES (?)", (said,))
        # A vector that is NULL: looked at, and there is none (a name too long to be one).
        self._db.execute(
            """CREATE TABLE IF NOT EXISTS vectors (rowid INTEGER PRIMARY KEY, space TEXT NOT NULL,
               content_hash TEXT NOT NULL, vector BLOB, UNIQUE (space, content_hash))"""
        )

    def _says(self) -> str:
        db = sqlite3.connect(self.path)
        try:
            return str(db.execute("SELECT said FROM goal").fetchone()[0])
        except (sqlite3.Error, TypeError):
            return ""
        finally:
            db.close()

    def done(self, space: str) -> set[str]:
        """The content hashes that need not be looked at again."""
        return {row[0] for row in self._db.execute("SELECT content_hash FROM vectors WHERE space = ?", (space,))}

    def put(self, space: str, rows: Sequence[tuple[str, NDArray[np.float32] | None]]) -> None:
        """Acknowledge (content hash, vector or None) in one transaction."""
        blobs = [(space, digest, None if vector is None else vector.tobytes()) for digest, vector in rows]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO vectors (space, content_hash, vector) VALUES (?, ?, ?)", blobs)
        self._db.execute("COMMIT")

    def keep_only(self, space: str, wanted: Collection[str]) -> None:
        """Forget what was removed from the catalog meanwhile."""
        gone = sorted(self.done(space) - set(wanted))
        for part in batched(gone, 900):
            marks = ",".join("?" * len(part))
            self._db.execute(f"DELETE FROM vectors WHERE space = ? AND content_hash IN ({marks})", (space, *part))

    def counts(self) -> dict[str, int]:
        """How many vectors each space has."""
        return dict(self._db.execute("SELECT space, count(vector) FROM vectors GROUP BY space"))

    def after(self, space: str, after: int, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]:
        """As `Vectors.after`."""
        import numpy as np

        rows = self._db.execute(
            """SELECT rowid, content_hash, vector FROM vectors WHERE space = ? AND rowid > ? AND vector IS NOT NULL
               ORDER BY rowid LIMIT ?""",
            (space, after, limit),
        )
        return [(rowid, digest, np.frombuffer(blob, np.float32)) for rowid, digest, blob in rows]

    def _rows(self, space: str) -> Iterator[tuple[str, str, bytes]]:
        rows = self._db.execute("SELECT content_hash, vector FROM vectors WHERE space = ?", (space,))
        return ((space, digest, vector) for digest, vector in rows if vector is not None)

    def take_over(self, catalog: Catalog, index: str, lost: Collection[str]) -> None:
        """In one transaction: these vectors instead of the old ones, the index that holds them, and the images that
        could not be encoded out. Readers see all of it or nothing."""
        with catalog.write() as db:
            catalog.records.drop_images(db, lost)
            for space, (encoder, spec, dim) in self.goal.items():
                db.execute("DELETE FROM vectors WHERE space = ?", (space,))
                db.executemany(
                    "INSERT INTO vectors (space, content_hash, vector, indexed) VALUES (?, ?, ?, 1)", self._rows(space)
                )
                db.execute("INSERT OR REPLACE INTO spaces VALUES (?, ?, ?, ?, '{}')", (space, encoder, spec, dim))
            catalog.outbox.point_to(db, index)
            bump(db)

    def close(self) -> None:
        self._db.close()

    def discard(self) -> None:
        """Close and remove it."""
        self.close()
        self._remove()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
