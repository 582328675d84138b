"""The catalog: one SQLite file that holds everything a knowledge base knows, vectors included."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import StoreError
from ..types import BBox, Chunk, Fact, Provenance, Record
from .filters import Condition, Demand, Sql, as_number, facet_values
from .migrations import SCHEMA_VERSION, migrate, month_bits
from .places import to_wkb
from .snapshots import copy_database
from .soundness import sqlite_damage
from .words import spellings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENOUGH_TO_TELL_CHANCE = 50
APPLICATION_ID = 0x72737261  # "rsra": tells a catalog from any other SQLite file

_CHUNK_COLUMNS = """c.id, c.kind, c.part, c.ordinal, r.title, c.text, c.content_hash, r.source, r.id, r.subject,
    s.role, r.url, r.license, r.attribution, c.image, c.page, c.heading, r.facets, r.aliases, r.west,
    r.south, r.east, r.north, r.acquired"""
_KEPT_CHUNKS = 4096
_COUNT_UP_TO = 5000
_CHUNK_TABLES = "chunks c JOIN records r ON r.rowid = c.record JOIN sources s ON s.name = r.source"


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


@dataclass(slots=True)
class Batch:
    """What one transaction writes: records with their chunks, and new vectors by (space, content hash)."""

    source: str
    records: list[tuple[Record, str, list[Chunk]]] = field(default_factory=list)
    vectors: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)


class Catalog:
    """One catalog file, opened per thread. Raises `StoreError` when it is not one, or from another version."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._local = threading.local()
        self._closed = False
        self._lock = threading.Lock()
        self._kept: dict[int, Chunk] = {}
        self._kept_at = -1
        empty = not path.exists() or path.stat().st_size == 0
        if empty and not create:
            raise StoreError(f"there is no knowledge base at {path.parent}.", "Make one with `rsrag kb create`.")
        if not empty:
            self._refuse_strangers()
        elif any(path.parent.glob("chroma*/chroma.sqlite3")) or any(path.parent.glob("snapshots/*/snapshot.json")):
            raise damaged(path, "is empty" if path.exists() else "is missing")
        try:
            self._set_up(empty)
        except sqlite3.DatabaseError as error:
            self.close()
            raise StoreError(
                f"the catalog {path} cannot be opened ({error}).",
                "Check that the folder is writable and the disk not full; nothing was changed.",
            ) from error

    def _refuse_strangers(self) -> None:
        """Look at the header before SQLite does: opening alone would already change another program's file."""
        if why := sqlite_damage(self.path):
            raise damaged(self.path, why)
        with self.path.open("rb") as stream:
            if int.from_bytes(stream.read(72)[68:], "big") != APPLICATION_ID:
                raise StoreError(f"{self.path} is not an rsrag catalog.", "Choose another folder; nothing was changed.")

    def _set_up(self, new: bool) -> None:
        if new:
            # Before WAL, so that the file's own header says from its first byte on whose it is.
            with closing(sqlite3.connect(self.path, timeout=30)) as first:
                first.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db = self.db
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            with self.write():
                # Another process may have made it while this one waited for the transaction.
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    self._create(db)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if 0 < version < SCHEMA_VERSION:
            version = self._bring_up_to_date()
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema version {version}; this rsrag reads {SCHEMA_VERSION}.",
                "Use the rsrag that made it, or export it there and import it here.",
            )

    def _bring_up_to_date(self) -> int:
        if self.read_only:
            raise StoreError(
                f"{self.path} was made by an older rsrag and has to be brought up to date, but may only be read.",
                "Open it once where it can be written, or copy it there.",
            )
        with self.write() as db:
            # Another process may have done it while this one waited for the transaction.
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version < SCHEMA_VERSION:
                # Through a connection of its own, which sees what was there before this transaction.
                copy_database(self.path, self.path.parent, f"before-schema-{SCHEMA_VERSION}", automatic=True)
                migrate(db, version)
                _bump(db)
            return max(version, SCHEMA_VERSION)

    def _create(self, db: sqlite3.Connection) -> None:
        script = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
        for statement in script.split(";\n"):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('created', ?)", (_now(),))
        db.execute("INSERT INTO meta VALUES ('generation', '0')")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection. It is the thread's alone, and goes when the thread does."""
        connection: sqlite3.Connection | None = getattr(self._local, "db", None)
        if self._closed:
            self._local = threading.local()
            raise StoreError(f"the knowledge base {self.path.parent} is closed.", "Open it again.")
        if connection is None:
            connection = self._connect()
            self._local.db = connection
        return connection

    @property
    def read_only(self) -> bool:
        """Whether the store lies where this process may not write, on a read-only mount for example."""
        return not os.access(self.path.parent, os.W_OK)

    def _connect(self) -> sqlite3.Connection:
        if self.path.exists() and self.read_only:
            # WAL needs a writable folder even to read; nobody can write there, so nothing can change either.
            uri = f"file:{quote(str(self.path))}?mode=ro&immutable=1"
            return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=_Connection)
        connection = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def close(self) -> None:
        """Close this thread's connection and refuse new ones; a statement another thread is in may finish."""
        self._closed = True
        connection: sqlite3.Connection | None = getattr(self._local, "db", None)
        if connection is not None:
            self._local.db = None
            if not self.read_only:
                with suppress(sqlite3.Error):  # busy: whoever is still reading leaves it to the next
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    # -- small facts about the store --------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def generation(self) -> int:
        """Counts finished batches; a reader that sees another number looks again."""
        return int(self.db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])

    def spaces(self) -> dict[str, tuple[str, str, int, dict[str, list[float]]]]:
        """name -> (encoder id, spec, dim, nulls)."""
        rows = self.db.execute("SELECT name, encoder, spec, dim, nulls FROM spaces")
        return {name: (encoder, spec, dim, json.loads(nulls)) for name, encoder, spec, dim, nulls in rows}

    def set_space(self, name: str, encoder: str, spec: str, dim: int) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO spaces VALUES (?, ?, ?, ?, '{}')", (name, encoder, spec, dim))
            _bump(db)

    def set_nulls(self, name: str, nulls: Mapping[str, Sequence[float]]) -> None:
        with self.write() as db:
            db.execute("UPDATE spaces SET nulls = ? WHERE name = ?", (json.dumps(nulls), name))
            _bump(db)

    def sources(self) -> list[StoredSource]:
        rows = self.db.execute(
            """SELECT s.name, s.kind, s.role, s.root, s.license, s.updated,
                   (SELECT count(*) FROM records r WHERE r.source = s.name),
                   (SELECT count(*) FROM chunks c JOIN records r ON r.rowid = c.record WHERE r.source = s.name)
               FROM sources s ORDER BY s.role DESC, s.name"""
        )
        return [StoredSource(*row) for row in rows]

    def roots(self) -> dict[str, str]:
        return dict(self.db.execute("SELECT name, root FROM sources"))

    def put_source(self, name: str, kind: str, role: str, root: str, license: str, options: Mapping[str, Any]) -> None:
        with self.write() as db:
            db.execute(
                """INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, role = excluded.role,
                       root = excluded.root, license = excluded.license, options = excluded.options,
                       updated = excluded.updated""",
                (name, kind, role, root, license, json.dumps(dict(options)), _now(), _now()),
            )
            _bump(db)

    def source_options(self, name: str, root: str) -> dict[str, Any]:
        """The options a source was last added with; empty for another root."""
        row = self.db.execute("SELECT options FROM sources WHERE name = ? AND root = ?", (name, root)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def count(self, table: str, where: str = "1", arguments: Sequence[Any] = ()) -> int:
        return int(self.db.execute(f"SELECT count(*) FROM {table} WHERE {where}", arguments).fetchone()[0])

    def count_chunks(self, condition: Condition, kind: str = "", limit: int = -1) -> int:
        """How many chunks (of one kind) satisfy a condition, counted up to `limit`."""
        sql, arguments = self._led(condition)
        of_kind, kinds = ("c.kind = ? AND ", (kind,)) if kind else ("", ())
        listed = f"SELECT 1 FROM {_tables(sql)} WHERE {of_kind}{sql} LIMIT ?"
        row = self.db.execute(f"SELECT count(*) FROM ({listed})", (*kinds, *arguments, limit)).fetchone()
        return int(row[0])

    def _led(self, condition: Condition) -> Sql:
        """A condition led by the demand that lists the fewest records, as far as counting pays."""
        leaders = condition.seekable
        if len(leaders) < 2:
            return condition.led_by(leaders[0] if leaders else None)

        def length(demand: Demand) -> int:
            select, arguments = demand.seek or ("", ())
            row = self.db.execute(f"SELECT count(*) FROM (SELECT 1 FROM ({select}) LIMIT {_COUNT_UP_TO})", arguments)
            return int(row.fetchone()[0])

        return condition.led_by(min(leaders, key=length))

    def space_counts(self) -> dict[str, int]:
        return dict(self.db.execute("SELECT space, count(*) FROM vectors GROUP BY space"))

    # -- writing ----------------------------------------------------------------------------------

    def versions(self, source: str) -> dict[str, str]:
        """record id -> version, for everything already stored of a source."""
        return dict(self.db.execute("SELECT id, version FROM records WHERE source = ?", (source,)))

    def known_vectors(self, space: str, hashes: Sequence[str], *, indexed: bool = False) -> set[str]:
        """Those of the hashes that have a vector; with `indexed`, one that Chroma has acknowledged."""
        found: set[str] = set()
        for part in _batched(hashes, 900):
            marks = ",".join("?" * len(part))
            rows = self.db.execute(
                f"SELECT content_hash FROM vectors WHERE space = ? AND indexed >= ? AND content_hash IN ({marks})",
                (space, int(indexed), *part),
            )
            found.update(row[0] for row in rows)
        return found

    def put(self, batch: Batch) -> None:
        """Write a batch in one transaction; a record that exists is replaced with all its chunks."""
        with self.write() as db:
            for record, version, chunks in batch.records:
                self.drop_records(db, "source = ? AND id = ?", (batch.source, record.id))
                self._insert(db, batch.source, record, version, chunks)
            db.executemany(
                "INSERT OR IGNORE INTO vectors (space, content_hash, vector) VALUES (?, ?, ?)",
                [(space, digest, vector.tobytes()) for (space, digest), vector in batch.vectors.items()],
            )
            # A vector that this batch needs again must not leave Chroma after all.
            db.executemany("DELETE FROM departed WHERE space = ? AND content_hash = ?", list(batch.vectors))
            db.execute("UPDATE sources SET updated = ? WHERE name = ?", (_now(), batch.source))
            _bump(db)

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
        db.executemany(
            """INSERT INTO chunks (id, record, kind, part, ordinal, text, image, page, heading, content_hash)
               VALUES (?,?,?,?,?,?,?,?,?,?)""",
            [
                (c.id, rowid, c.kind, c.part, c.ordinal, c.text, c.image, c.provenance.page, c.provenance.heading,
                 c.content_hash)
                for c in chunks
            ],
        )  # fmt: skip
        db.execute(
            """INSERT INTO words (rowid, title, aliases, text)
               SELECT rowid, title, aliases, text FROM chunk_words
               WHERE rowid IN (SELECT rowid FROM chunks WHERE record = ?)""",
            (rowid,),
        )
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

    def drop_records(self, db: sqlite3.Connection, where: str, arguments: Sequence[Any]) -> int:
        """Inside a transaction: take records out with all that hangs on them; returns how many there were."""
        rows = [row[0] for row in db.execute(f"SELECT rowid FROM records WHERE {where}", arguments)]
        for rowid in rows:
            db.execute(
                """INSERT INTO words (words, rowid, title, aliases, text)
                   SELECT 'delete', rowid, title, aliases, text FROM chunk_words
                   WHERE rowid IN (SELECT rowid FROM chunks WHERE record = ?)""",
                (rowid,),
            )
            db.execute("INSERT OR IGNORE INTO orphans SELECT content_hash FROM chunks WHERE record = ?", (rowid,))
            box = db.execute("SELECT west, south, east, north FROM records WHERE rowid = ?", (rowid,)).fetchone()
            if box[0] is not None:
                db.execute("DELETE FROM boxes WHERE id IN (SELECT id FROM boxes WHERE record = ?)", (rowid,))
            for table in ("chunks", "facts", "facets", "names", "footprints"):
                db.execute(f"DELETE FROM {table} WHERE record = ?", (rowid,))
            db.execute("DELETE FROM records WHERE rowid = ?", (rowid,))
        return len(rows)

    def retire(self) -> None:
        """Drop the vectors of removed chunks that no chunk shares, and note that Chroma must follow.

        At the end of a run only: a later batch may bring the same content again, and must find its vector.
        """
        with self.write() as db:
            gone = """SELECT v.rowid, v.space, v.content_hash FROM vectors v JOIN orphans o USING (content_hash)
                      WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = v.content_hash)"""
            for rowid, space, digest in db.execute(gone).fetchall():
                db.execute("INSERT OR IGNORE INTO departed VALUES (?, ?)", (space, digest))
                db.execute("DELETE FROM vectors WHERE rowid = ?", (rowid,))
            db.execute("DELETE FROM orphans")

    def remove_records(self, source: str, ids: Sequence[str]) -> int:
        """Remove records of a source; returns how many there were. The caller retires their vectors."""
        with self.write() as db:
            count = sum(self.drop_records(db, "source = ? AND id = ?", (source, id)) for id in ids)
            _bump(db)
        return count

    def remove_source(self, name: str) -> int:
        """Remove a source with all its records; returns how many there were."""
        with self.write() as db:
            count = self.drop_records(db, "source = ?", (name,))
            db.execute("DELETE FROM sources WHERE name = ?", (name,))
            _bump(db)
        return count

    # -- what Chroma still has to learn -----------------------------------------------------------

    def pending(self, space: str, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]:
        import numpy as np

        rows = self.db.execute(
            "SELECT rowid, content_hash, vector FROM vectors WHERE space = ? AND indexed = 0 LIMIT ?", (space, limit)
        )
        return [(rowid, digest, np.frombuffer(blob, np.float32)) for rowid, digest, blob in rows]

    def mark_indexed(self, rowids: Sequence[int]) -> None:
        with self.write() as db:
            db.executemany("UPDATE vectors SET indexed = 1 WHERE rowid = ?", [(r,) for r in rowids])
            if not _unindexed(db):
                _bump(db)  # a reader that looked between catalog and Chroma must look again

    def departed(self, space: str) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT content_hash FROM departed WHERE space = ?", (space,))]

    def forget_departed(self, space: str, hashes: Sequence[str]) -> None:
        with self.write() as db:
            db.executemany("DELETE FROM departed WHERE space = ? AND content_hash = ?", [(space, h) for h in hashes])
            _bump(db)

    def index_folder(self) -> str:
        """The folder beside the catalog that holds the vector index readers use."""
        return self.meta("index") or "chroma"

    def use_index(self, folder: str) -> None:
        """From now on readers use another index, which has every vector."""
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('index', ?)", (folder,))
            db.execute("UPDATE vectors SET indexed = 1 WHERE indexed = 0")
            db.execute("DELETE FROM departed")
            db.execute("DELETE FROM meta WHERE key = 'compare'")
            _bump(db)

    def compare_again(self, space: str, indexed: set[str]) -> tuple[int, int]:
        """Note what Chroma, which has the rows `indexed`, still has to learn of a space: (missing, superfluous)."""
        rows = self.db.execute("SELECT rowid, content_hash FROM vectors WHERE space = ?", (space,)).fetchall()
        missing = [rowid for rowid, digest in rows if digest not in indexed]
        extra = indexed - {digest for _, digest in rows}
        with self.write() as db:
            db.executemany("UPDATE vectors SET indexed = 0 WHERE rowid = ?", [(rowid,) for rowid in missing])
            db.executemany("INSERT OR IGNORE INTO departed VALUES (?, ?)", [(space, digest) for digest in extra])
        return len(missing), len(extra)

    def rows_after(self, space: str, after: int, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]:
        """Up to `limit` (rowid, content hash, vector) of a space in the order of rowids, beginning beyond `after`."""
        import numpy as np

        rows = self.db.execute(
            "SELECT rowid, content_hash, vector FROM vectors WHERE space = ? AND rowid > ? ORDER BY rowid LIMIT ?",
            (space, after, limit),
        )
        return [(rowid, digest, np.frombuffer(blob, np.float32)) for rowid, digest, blob in rows]

    def is_settled(self) -> bool:
        """Whether Chroma has been told everything."""
        row = self.db.execute(
            """SELECT EXISTS (SELECT 1 FROM vectors WHERE indexed = 0) OR EXISTS (SELECT 1 FROM departed)
                   OR EXISTS (SELECT 1 FROM orphans)"""
        ).fetchone()
        return not row[0]

    def sample_vectors(self, space: str, limit: int) -> NDArray[np.float32]:
        """Up to `limit` vectors spread over the space, shape (n, dim), one per record.

        Of the reference packs where they suffice: what unrelated things score must not depend on whether somebody
        added a thousand pages about one of them.
        """
        import numpy as np

        def rows_of(role: str) -> list[Any]:
            return self.db.execute(
                """SELECT v.vector FROM vectors v JOIN chunks c ON c.content_hash = v.content_hash
                   JOIN records r ON r.rowid = c.record JOIN sources s ON s.name = r.source
                   WHERE v.space = ? AND s.role LIKE ? GROUP BY r.rowid ORDER BY min(v.content_hash) LIMIT ?""",
                (space, role, limit),
            ).fetchall()

        rows = rows_of("reference")
        if len(rows) < ENOUGH_TO_TELL_CHANCE:
            rows = rows_of("%")
        return np.array([np.frombuffer(row[0], np.float32) for row in rows], np.float32)

    def vectors(self, space: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        import numpy as np

        found: dict[str, NDArray[np.float32]] = {}
        for part in _batched(hashes, 900):
            rows = self.db.execute(
                f"""SELECT content_hash, vector FROM vectors
                    WHERE space = ? AND content_hash IN ({",".join("?" * len(part))})""",
                (space, *part),
            )
            found.update((digest, np.frombuffer(blob, np.float32)) for digest, blob in rows)
        return found

    def all_vectors(self, space: str, limit: int) -> tuple[list[str], NDArray[np.float32] | None]:
        """(content hashes, rows) of a space, or ([], None) where it holds none or more than `limit`."""
        import numpy as np

        if not 0 < self.count("vectors", "space = ?", (space,)) <= limit:
            return [], None
        rows = self.db.execute("SELECT content_hash, vector FROM vectors WHERE space = ?", (space,)).fetchall()
        return [row[0] for row in rows], np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(
            len(rows), -1
        )

    # -- reading chunks ---------------------------------------------------------------------------

    def chunks(self, where: str, arguments: Sequence[Any], tail: str = "") -> list[Chunk]:
        rows = self.db.execute(f"SELECT c.rowid FROM {_CHUNK_TABLES} WHERE {where} {tail}", arguments)
        return list(self._read([row[0] for row in rows]).values())

    def _read(self, rowids: Sequence[int]) -> dict[int, Chunk]:
        """Chunks by rowid, in the order given. Those read lately are kept until anything is written."""
        generation = self.generation()
        with self._lock:
            if generation != self._kept_at or len(self._kept) > _KEPT_CHUNKS:
                self._kept, self._kept_at = {}, generation
            kept = self._kept
        found = {rowid: kept.get(rowid) for rowid in rowids}
        missing = [rowid for rowid, chunk in found.items() if chunk is None]
        for part in _batched(missing, 900):
            rows = self.db.execute(
                f"SELECT {_CHUNK_COLUMNS}, c.rowid FROM {_CHUNK_TABLES} WHERE c.rowid IN ({','.join('?' * len(part))})",
                part,
            )
            found.update((row[-1], _chunk(row)) for row in rows)
        kept.update((rowid, chunk) for rowid in missing if (chunk := found[rowid]) is not None)
        return {rowid: chunk for rowid, chunk in found.items() if chunk is not None}

    def chunks_by_hash(self, hashes: Sequence[str], kind: str, condition: Condition) -> dict[str, list[Chunk]]:
        """content hash -> its chunks of one kind that satisfy a condition."""
        found: dict[str, list[Chunk]] = {}
        for part in _batched(hashes, 800):
            where = f"c.content_hash IN ({','.join('?' * len(part))}) AND c.kind = ? AND {condition.sql}"
            for chunk in self.chunks(where, (*part, kind, *condition.arguments), "ORDER BY c.rowid"):
                found.setdefault(chunk.content_hash, []).append(chunk)
        return found

    def hashes_among(self, hashes: Sequence[str], kind: str, condition: Condition) -> set[str]:
        """Those of the content hashes of which a chunk satisfies a condition."""
        sql = condition.sql
        listed = "(SELECT value FROM json_each(?))"
        rows = self.db.execute(
            f"SELECT c.content_hash FROM {_tables(sql)} WHERE c.content_hash IN {listed} AND c.kind = ? AND {sql}",
            (json.dumps(list(hashes)), kind, *condition.arguments),
        )
        return {row[0] for row in rows}

    def hashes(self, kind: str, condition: Condition) -> list[str]:
        """Distinct content hashes of the chunks that satisfy a condition."""
        sql, arguments = self._led(condition)
        rows = self.db.execute(
            f"SELECT DISTINCT c.content_hash FROM {_tables(sql)} WHERE c.kind = ? AND {sql}", (kind, *arguments)
        )
        return [row[0] for row in rows]

    def search_words(self, expression: str, kind: str, condition: Condition, k: int) -> list[tuple[Chunk, float]]:
        """(chunk, bm25) for an FTS5 expression, best first; bm25 is negated so that more is better."""
        sql = f"""SELECT c.rowid, bm25(words, 4.0, 3.0, 1.0) AS score FROM words JOIN chunks c ON c.rowid = words.rowid
                  JOIN records r ON r.rowid = c.record JOIN sources s ON s.name = r.source
                  WHERE words MATCH ? AND c.kind = ? AND {condition.sql} ORDER BY score LIMIT ?"""
        rows = self.db.execute(sql, (expression, kind, *condition.arguments, k)).fetchall()
        chunks = self._read([rowid for rowid, _ in rows])
        return [(chunks[rowid], -float(score)) for rowid, score in rows if rowid in chunks]

    def count_matching(self, expression: str) -> int:
        """In how many chunks an FTS5 expression occurs."""
        return self.count("words", "words MATCH ?", (expression,)) if expression else 0

    def records_named(self, names: Sequence[str], condition: Condition) -> list[tuple[str, int, bool]]:
        """(name, record rowid, whether it has vectors) of the records that bear one of these folded names; of
        namesakes the weightiest first."""
        found: list[tuple[str, int, bool]] = []
        for part in _batched(names, 800):
            rows = self.db.execute(
                f"""SELECT DISTINCT n.name, r.rowid, r.vectors, n.weight FROM names n
                    JOIN records r ON r.rowid = n.record JOIN chunks c ON c.record = r.rowid
                    JOIN sources s ON s.name = r.source
                    WHERE n.name IN ({",".join("?" * len(part))}) AND {condition.sql}
                    ORDER BY n.weight DESC, r.rowid""",
                (*part, *condition.arguments),
            )
            found += [(name, rowid, bool(vectors)) for name, rowid, vectors, _ in rows]
        return found

    def records_near(
        self, box: BBox, condition: Condition, limit: int
    ) -> list[tuple[int, tuple[float, float, float, float]]]:
        """(record rowid, (w, s, e, n)) of the records in `box` that satisfy a condition, nearest its middle first."""
        lon, lat = box.center
        kept = ""
        if not condition.is_trivial:
            kept = f"AND EXISTS (SELECT 1 FROM chunks c WHERE c.record = r.rowid AND {condition.sql})"
        found: dict[int, tuple[float, float, float, float]] = {}
        for west, south, east, north in box.parts():
            # Degrees of longitude are shorter away from the equator. Over the antimeridian 360 degrees are none.
            rows = self.db.execute(
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
        row = self.db.execute(
            """SELECT f.wkb, r.acquired_until FROM records r LEFT JOIN footprints f ON f.record = r.rowid
               WHERE r.source = ? AND r.id = ?""",
            (source, record),
        ).fetchone()
        wkb, until = row or (None, None)
        return wkb, None if until is None else datetime.fromtimestamp(until, UTC)

    def source_names(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT name FROM sources ORDER BY name")]

    def facet_texts(self, keys: Sequence[str]) -> list[str]:
        """The different values of some facets, as text."""
        found = {text for key in keys for text in self._different("value", "key = ?", (key,))}
        return sorted(found)

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

    def facet_keys(self) -> list[str]:
        return self._different("key")


class _Connection(sqlite3.Connection):
    """Says of a damaged file what to do about it."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                path = self.cursor().execute("PRAGMA database_list").fetchone()[2]
                raise damaged(Path(path), f"is damaged ({error})") from error
            raise


def damaged(path: Path, why: str) -> StoreError:
    """The error of a catalog that is not sound, with the way out."""
    return StoreError(
        f"the catalog {path} {why}.",
        f"Nothing was changed. `rsrag kb restore --kb {path.parent}` takes the last backup and keeps the damaged file.",
    )


def _chunk(row: Sequence[Any]) -> Chunk:
    (cid, kind, part, ordinal, title, text, digest, source, record, subject, role, url, license, attribution, image,
     page, heading, facets, aliases, west, south, east, north, acquired) = row[:24]  # fmt: skip
    return Chunk(
        id=cid,
        kind=kind,
        part=part,
        ordinal=ordinal,
        title=title,
        text=text,
        content_hash=digest,
        image=image,
        provenance=Provenance(source, record, subject, role, url, license, attribution, image, page, heading),
        aliases=tuple(aliases.split(" | ")) if aliases else (),
        facets={} if facets == "{}" else dict(_facets(facets)),
        bbox=None if west is None else BBox(west, south, east, north),
        acquired=None if acquired is None else datetime.fromtimestamp(acquired, UTC),
    )


@functools.lru_cache(maxsize=1024)
def _facets(text: str) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}


def _unindexed(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM vectors WHERE indexed = 0)").fetchone()[0])


def _tables(sql: str) -> str:
    """What an expression about chunks has to be looked up in: the index of chunks alone, if it can."""
    return "chunks c JOIN records r ON r.rowid = c.record" if re.search(r"\br\.", sql) else "chunks c"


def _is_size(fact: Fact) -> bool:
    """Whether a fact tells how well known a place is likely to be."""
    return fact.attribute.startswith("population") and isinstance(fact.value, int | float)


def _bump(db: sqlite3.Connection) -> None:
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")


def _number(value: float | str) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _batched(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
