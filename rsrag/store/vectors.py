"""The vectors of a catalog: the truth that the vector index is a copy of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .database import Database, batched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENOUGH_TO_TELL_CHANCE = 50


class Vectors:
    """One float32 vector per space and content hash; equal contents share it."""

    def __init__(self, file: Database) -> None:
        self._file = file

    def known(self, space: str, hashes: Sequence[str], *, indexed: bool = False) -> set[str]:
        """Those of the hashes that have a vector; with `indexed`, one that Chroma has acknowledged."""
        found: set[str] = set()
        for part in batched(hashes, 900):
            marks = ",".join("?" * len(part))
            rows = self._file.db.execute(
                f"SELECT content_hash FROM vectors WHERE space = ? AND indexed >= ? AND content_hash IN ({marks})",
                (space, int(indexed), *part),
            )
            found.update(row[0] for row in rows)
        return found

    def of(self, space: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        import numpy as np

        found: dict[str, NDArray[np.float32]] = {}
        for part in batched(hashes, 900):
            rows = self._file.db.execute(
                f"""SELECT content_hash, vector FROM vectors
                    WHERE space = ? AND content_hash IN ({",".join("?" * len(part))})""",
                (space, *part),
            )
            found.update((digest, np.frombuffer(blob, np.float32)) for digest, blob in rows)
        return found

    def all_of(self, space: str, limit: int) -> tuple[list[str], NDArray[np.float32] | None]:
        """(content hashes, rows) of a space, or ([], None) where it holds none or more than `limit`."""
        import numpy as np

        if not 0 < self._file.count("vectors", "space = ?", (space,)) <= limit:
            return [], None
        rows = self._file.db.execute("SELECT content_hash, vector FROM vectors WHERE space = ?", (space,)).fetchall()
        return [row[0] for row in rows], np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(
            len(rows), -1
        )

    def after(self, space: str, after: int, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]:
        """Up to `limit` (rowid, content hash, vector) of a space in the order of rowids, beginning beyond `after`."""
        import numpy as np

        rows = self._file.db.execute(
            "SELECT rowid, content_hash, vector FROM vectors WHERE space = ? AND rowid > ? ORDER BY rowid LIMIT ?",
            (space, after, limit),
        )
        return [(rowid, digest, np.frombuffer(blob, np.float32)) for rowid, digest, blob in rows]

    def sample(self, space: str, limit: int) -> NDArray[np.float32]:
        """Up to `limit` vectors spread over the space, shape (n, dim), one per record.

        Of the reference packs where they suffice: what unrelated things score must not depend on whether somebody
        added a thousand pages about one of them.
        """
        import numpy as np

        def rows_of(role: str) -> list[Any]:
            return self._file.db.execute(
                """SELECT v.vector FROM vectors v JOIN chunks c ON c.content_hash = v.content_hash
                   JOIN records r ON r.rowid = c.record JOIN sources s ON s.name = r.source
                   WHERE v.space = ? AND s.role LIKE ? GROUP BY r.rowid ORDER BY min(v.content_hash) LIMIT ?""",
                (space, role, limit),
            ).fetchall()

        rows = rows_of("reference")
        if len(rows) < ENOUGH_TO_TELL_CHANCE:
            rows = rows_of("%")
        return np.array([np.frombuffer(row[0], np.float32) for row in rows], np.float32)

    def counts(self) -> dict[str, int]:
        return dict(self._file.db.execute("SELECT space, count(*) FROM vectors GROUP BY space"))

    def retire(self) -> None:
        """Drop the vectors of removed chunks that no chunk shares, and note that Chroma must follow.

        At the end of a run only: a later batch may bring the same content again, and must find its vector.
        """
        with self._file.write() as db:
            gone = """SELECT v.rowid, v.space, v.content_hash FROM vectors v JOIN orphans o USING (content_hash)
                      WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = v.content_hash)"""
            for rowid, space, digest in db.execute(gone).fetchall():
                db.execute("INSERT OR IGNORE INTO departed VALUES (?, ?)", (space, digest))
                db.execute("DELETE FROM vectors WHERE rowid = ?", (rowid,))
            db.execute(
                """DELETE FROM terms WHERE content_hash IN (SELECT content_hash FROM orphans)
                   AND content_hash NOT IN (SELECT content_hash FROM chunks)"""
            )
            db.execute("DELETE FROM orphans")
