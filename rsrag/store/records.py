"""The records of a catalog: written and removed with all that hangs on them, found by name and by place."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..types import BBox, Chunk, Fact, Record
from . import lexical
from .database import Database, batched, bump, now
from .filters import Condition, as_number, facet_values
from .migrations import month_bits
from .places import to_wkb
from .words import spellings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDING = 1e-4


@dataclass(slots=True)
class Batch:
    """What one transaction writes: records with their chunks, and new vectors by (space, content hash)."""

    source: str
    records: list[tuple[Record, str, list[Chunk]]] = field(default_factory=list)
    vectors: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)


class Records:
    """What the sources yielded, record by record."""

    def __init__(self, file: Database) -> None:
        self._file = file

    def versions(self, source: str) -> dict[str, str]:
        """record id -> version, for everything already stored of a source."""
        return dict(self._file.db.execute("SELECT id, version FROM records WHERE source = ?", (source,)))

    def put(self, batch: Batch) -> None:
        """Write a batch in one transaction; a record that exists is replaced with all its chunks."""
        with self._file.write() as db:
            for record, version, chunks in batch.records:
                self.drop(db, "source = ? AND id = ?", (batch.source, record.id))
                self._insert(db, batch.source, record, version, chunks)
            db.executemany(
                "INSERT OR IGNORE INTO vectors (space, content_hash, vector) VALUES (?, ?, ?)",
                [(space, digest, vector.tobytes()) for (space, digest), vector in batch.vectors.items()],
            )
            # A vector that this batch needs again must not leave Chroma after all.
            db.executemany("DELETE FROM departed WHERE space = ? AND content_hash = ?", list(batch.vectors))
            db.execute("UPDATE sources SET updated = ? WHERE name = ?", (now(), batch.source))
            bump(db)

    def _insert(
        self, db: sqlite3.Connection, source: str, record: Record, version: str, chunks: Sequence[Chunk]
    ) -> None:
        box = record.bbox.as_tuple() if record.bbox else (None,) * 4
        acquired = record.acquired.timestamp() if record.acquired else None
        until = record.acquired_until.timestamp() if record.acquired_until else None
        rowid = db.execute(
            """INSERT INTO records (source, id, subject, title, aliases, url, license, attribution, facets,
                   west, south, east, north, acquired, version, vectors, acquired_until, months, local_months)
               VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)""",
            (
                source,
                record.id,
                record.subject,
                record.title,
                " | ".join(record.aliases),
                record.url,
                record.license,
                record.attribution,
                json.dumps(dict(record.facets), sort_keys=True),
                *box,
                acquired,
                version,
                record.vectors,
                until,
                *month_bits(acquired, until, record.bbox),
            ),
        ).lastrowid
        assert rowid is not None
        db.executemany(
            """INSERT INTO chunks (id, record, kind, part, ordinal, text, image, page, heading, content_hash)
               VALUES (?,?,?,?,?,?,?,?,?,?)""",
            [
                (c.id, rowid, c.kind, c.part, c.ordinal, c.text, c.image, c.provenance.page, c.provenance.heading,
                 c.content_hash)
                for c in chunks
            ],
        )  # fmt: skip
        lexical.put(db, rowid)
        db.executemany(
            "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (rowid, f.subject, f.attribute, str(f.value), _number(f.value), f.unit, f.when)
                for f in record.facts
            ],
        )  # fmt: skip
        weight = max((float(f.value) for f in record.facts if _is_size(f)), default=0.0)
        db.executemany(
            "INSERT OR IGNORE INTO names VALUES (?, ?, ?)",
            [(name, rowid, weight) for name in spellings(record.title, record.aliases)],
        )
        db.executemany(
            "INSERT INTO facets VALUES (?, ?, ?, ?)",
            [(rowid, key, v, as_number(v)) for key, many in record.facets.items() for v in facet_values(many)],
        )
        if record.bbox:
            db.executemany(
                "INSERT INTO boxes (west, east, south, north, record) VALUES (?, ?, ?, ?, ?)",
                [(w, e, s, n, rowid) for w, s, e, n in record.bbox.parts()],
            )
            if record.footprint:
                db.execute("INSERT INTO footprints VALUES (?, ?)", (rowid, to_wkb(record.footprint)))

    def drop(self, db: sqlite3.Connection, where: str, arguments: Sequence[Any]) -> int:
        """Inside a transaction: take records out with all that hangs on them; returns how many there were."""
        rows = [row[0] for row in db.execute(f"SELECT rowid FROM records WHERE {where}", arguments)]
        for rowid in rows:
            lexical.take_out(db, "record = ?", (rowid,))
            db.execute("INSERT OR IGNORE INTO orphans SELECT content_hash FROM chunks WHERE record = ?", (rowid,))
            box = db.execute("SELECT west, south, east, north FROM records WHERE rowid = ?", (rowid,)).fetchone()
            for west, south, east, north in BBox(*box).parts() if box[0] is not None else ():
                # By place, for the tree knows no records; it rounds boxes to 32 bits.
                db.execute(
                    """DELETE FROM boxes WHERE id IN (SELECT id FROM boxes WHERE west <= ? AND east >= ?
                       AND south <= ? AND north >= ? AND record = ?)""",
                    (east + _ROUNDING, west - _ROUNDING, north + _ROUNDING, south - _ROUNDING, rowid),
                )
            for table in ("chunks", "facts", "facets", "names", "acronyms", "footprints"):
                db.execute(f"DELETE FROM {table} WHERE record = ?", (rowid,))
            db.execute("DELETE FROM records WHERE rowid = ?", (rowid,))
        return len(rows)

    def drop_images(self, db: sqlite3.Connection, hashes: Collection[str]) -> None:
        """Inside a transaction: take image chunks out. Their records are read again when their source is added again,
        and go with them where they have nothing else."""
        for digest in hashes:
            rows = db.execute("SELECT rowid, record FROM chunks WHERE kind = 'image' AND content_hash = ?", (digest,))
            for rowid, record in rows.fetchall():
                lexical.take_out(db, "rowid = ?", (rowid,))
                db.execute("DELETE FROM chunks WHERE rowid = ?", (rowid,))
                db.execute("UPDATE records SET version = '' WHERE rowid = ?", (record,))
                self.drop(db, "rowid = ? AND NOT EXISTS (SELECT 1 FROM chunks WHERE record = ?)", (record, record))

    def remove(self, source: str, ids: Sequence[str]) -> int:
        """Remove records of a source; returns how many there were. The caller retires their vectors."""
        with self._file.write() as db:
            count = sum(self.drop(db, "source = ? AND id = ?", (source, id)) for id in ids)
            bump(db)
        return count

    def drop_source(self, db: sqlite3.Connection, name: str) -> int:
        """Inside a transaction: take a source out with all its records; returns how many there were."""
        count = self.drop(db, "source = ?", (name,))
        db.execute("DELETE FROM sources WHERE name = ?", (name,))
        db.execute("DELETE FROM meta WHERE key = ?", (f"imported:{name}",))
        bump(db)
        return count

    def named(self, names: Sequence[str], condition: Condition) -> list[tuple[str, int, bool]]:
        """(name, record rowid, whether it has vectors) of the records that bear one of these folded names; of
        namesakes the weightiest first."""
        found: list[tuple[str, int, bool]] = []
        for part in batched(names, 800):
            rows = self._file.db.execute(
                f"""SELECT DISTINCT n.name, r.rowid, r.vectors, n.weight FROM names n
                    JOIN records r ON r.rowid = n.record JOIN chunks c ON c.record = r.rowid
                    JOIN sources s ON s.name = r.source
                    WHERE n.name IN ({",".join("?" * len(part))}) AND {condition.sql}
                    ORDER BY n.weight DESC, r.rowid""",
                (*part, *condition.arguments),
            )
            found += [(name, rowid, bool(vectors)) for name, rowid, vectors, _ in rows]
        return found

    def near(self, box: BBox, condition: Condition, limit: int) -> list[tuple[int, tuple[float, float, float, float]]]:
        """(record rowid, (w, s, e, n)) of the records in `box` that satisfy a condition, nearest its middle first."""
        lon, lat = box.center
        kept = ""
        if not condition.is_trivial:
            kept = f"AND EXISTS (SELECT 1 FROM chunks c WHERE c.record = r.rowid AND {condition.sql})"
        found: dict[int, tuple[float, float, float, float]] = {}
        for west, south, east, north in box.parts():
            # Degrees of longitude are shorter away from the equator. Over the antimeridian 360 degrees are none.
            rows = self._file.db.execute(
                f"""SELECT b.record, b.west, b.south, b.east, b.north,
                        abs((b.west + b.east) / 2 - ?) AS across, (b.south + b.north) / 2 - ? AS up
                    FROM boxes b JOIN records r ON r.rowid = b.record
                    WHERE b.west <= ? AND b.east >= ? AND b.south <= ? AND b.north >= ? {kept}
                    ORDER BY min(across, 360 - across) * min(across, 360 - across) * ? + up * up LIMIT ?""",
                (lon, lat, east, west, north, south, *condition.arguments, math.cos(math.radians(lat)) ** 2, limit),
            )
            found.update((record, (w, s, e, n)) for record, w, s, e, n, *_ in rows)
        return list(found.items())

    def outline(self, source: str, record: str) -> tuple[bytes | None, datetime | None]:
        """(footprint as WKB, end of the span of time) of a record, where it has them."""
        row = self._file.db.execute(
            """SELECT f.wkb, r.acquired_until FROM records r LEFT JOIN footprints f ON f.record = r.rowid
               WHERE r.source = ? AND r.id = ?""",
            (source, record),
        ).fetchone()
        wkb, until = row or (None, None)
        return wkb, None if until is None else datetime.fromtimestamp(until, UTC)


def _is_size(fact: Fact) -> bool:
    """Whether a fact tells how well known a place is likely to be."""
    return fact.attribute.startswith("population") and isinstance(fact.value, int | float)


def _number(value: float | str) -> float | None:
    return float(value) if isinstance(value, int | float) else None
