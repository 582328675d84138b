"""The catalog: one SQLite file that holds everything a knowledge base knows, vectors included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .chunks import Chunks
from .database import Database, bump, now
from .outbox import Outbox
from .records import Records
from .vectors import Vectors


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A row of `sources` with its counts."""

    name: str
    kind: str
    role: str
    root: str
    license: str
    updated: str
    records: int = 0
    chunks: int = 0


class Catalog(Database):
    """The file with the parts of what it holds; sources, spaces and facets it answers for itself."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        super().__init__(path, create=create)
        self.records = Records(self)
        self.chunks = Chunks(self)
        self.vectors = Vectors(self)
        self.outbox = Outbox(self)

    def spaces(self) -> dict[str, tuple[str, str, int, dict[str, list[float]]]]:
        """name -> (encoder id, spec, dim, nulls)."""
        rows = self.db.execute("SELECT name, encoder, spec, dim, nulls FROM spaces")
        return {name: (encoder, spec, dim, json.loads(nulls)) for name, encoder, spec, dim, nulls in rows}

    def set_space(self, name: str, encoder: str, spec: str, dim: int) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO spaces VALUES (?, ?, ?, ?, '{}')", (name, encoder, spec, dim))
            bump(db)

    def set_nulls(self, name: str, nulls: Mapping[str, Sequence[float]]) -> None:
        with self.write() as db:
            db.execute("UPDATE spaces SET nulls = ? WHERE name = ?", (json.dumps(nulls), name))
            bump(db)

    def sources(self) -> list[StoredSource]:
        rows = self.db.execute(
            """SELECT s.name, s.kind, s.role, s.root, s.license, s.updated,
                   (SELECT count(*) FROM records r WHERE r.source = s.name),
                   (SELECT count(*) FROM chunks c JOIN records r ON r.rowid = c.record WHERE r.source = s.name)
               FROM sources s ORDER BY s.role DESC, s.name"""
        )
        return [StoredSource(*row) for row in rows]

    def source_names(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT name FROM sources ORDER BY name")]

    def roots(self) -> dict[str, str]:
        return dict(self.db.execute("SELECT name, root FROM sources"))

    def put_source(self, name: str, kind: str, role: str, root: str, license: str, options: Mapping[str, Any]) -> None:
        with self.write() as db:
            db.execute(
                """INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, role = excluded.role,
                       root = excluded.root, license = excluded.license, options = excluded.options,
                       updated = excluded.updated""",
                (name, kind, role, root, license, json.dumps(dict(options)), now(), now()),
            )
            bump(db)

    def source_options(self, name: str, root: str) -> dict[str, Any]:
        """The options a source was last added with; empty for another root."""
        row = self.db.execute("SELECT options FROM sources WHERE name = ? AND root = ?", (name, root)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def facet_texts(self, keys: Sequence[str]) -> list[str]:
        """The different values of some facets, as text."""
        found = {text for key in keys for text in self._different("value", "key = ?", (key,))}
        return sorted(found)

    def facet_keys(self) -> list[str]:
        return self._different("key")

    def _different(self, column: str, where: str = "1", arguments: Sequence[Any] = ()) -> list[str]:
        """The different values of a column of `facets`, from one to the next by the index: there are few among many."""
        rows = self.db.execute(
            f"""WITH RECURSIVE step (found) AS (
                    SELECT min({column}) FROM facets WHERE {where}
                    UNION ALL SELECT (SELECT min({column}) FROM facets WHERE {where} AND {column} > step.found)
                    FROM step WHERE step.found IS NOT NULL)
                SELECT found FROM step WHERE found IS NOT NULL""",
            (*arguments, *arguments),
        )
        return [row[0] for row in rows]
