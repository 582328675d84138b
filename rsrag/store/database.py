"""The catalog's file: one SQLite database, opened per thread, of one schema version, refused where it is not sound."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import StoreError
from .migrations import SCHEMA_VERSION, migrate
from .snapshots import copy_database
from .soundness import sqlite_damage

APPLICATION_ID = 0x72737261  # "rsra": tells a catalog from any other SQLite file


class Database:
    """One catalog file. Raises `StoreError` when it is not one, or from another version."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._local = threading.local()
        self._closed = False
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
                bump(db)
            return max(version, SCHEMA_VERSION)

    def _create(self, db: sqlite3.Connection) -> None:
        script = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
        for statement in script.split(";\n"):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('created', ?)", (now(),))
        db.execute("INSERT INTO meta VALUES ('generation', '0')")
        db.execute("INSERT INTO meta VALUES ('clean', '1')")  # see erasure.py
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
            # WAL needs a writable folder even to read, unless its files are there: left by a writer that was killed, or
            # kept by one that has it open through another mount. Without them nothing is changing.
            log = self.path.with_name(self.path.name + "-wal").exists()
            uri = f"file:{quote(str(self.path))}?mode=ro{'' if log else '&immutable=1'}"
            return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Connection)
        connection = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False, factory=Connection
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # see erasure.py
        return connection

    def close(self) -> None:
        """Close this thread's connection and refuse new ones; a statement another thread is in may finish."""
        self._closed = True
        connection: sqlite3.Connection | None = getattr(self._local, "db", None)
        if connection is not None:
            self._local.db = None
            if not self.read_only:
                with suppress(sqlite3.Error, StoreError):  # busy: whoever is still reading leaves it to the next
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk makes SQLite take it back by itself
                with suppress(sqlite3.Error, StoreError):
                    db.execute("ROLLBACK")
            raise

    def meta(self, key: str) -> str | None:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def generation(self) -> int:
        """Counts finished batches; a reader that sees another number looks again."""
        return int(self.db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])

    def count(self, table: str, where: str = "1", arguments: Sequence[Any] = ()) -> int:
        return int(self.db.execute(f"SELECT count(*) FROM {table} WHERE {where}", arguments).fetchone()[0])


class Connection(sqlite3.Connection):
    """Says of a file that is damaged, or a disk that is full or fails, what to do about it."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        with self._told():
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        with self._told():
            return super().executemany(sql, parameters)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in _WAYS_OUT:
                raise
            path = self.cursor().execute("PRAGMA database_list").fetchone()[2]
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise damaged(Path(path), f"is damaged ({error})") from error
            raise StoreError(f"{path} cannot be used ({error}).", _WAYS_OUT[code]) from error


_DISK = "What was acknowledged is kept. Free some space, or look after the disk, and do it again."
_WAYS_OUT = {
    sqlite3.SQLITE_CORRUPT: "",
    sqlite3.SQLITE_NOTADB: "",
    sqlite3.SQLITE_FULL: _DISK,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_BUSY: "Another program has it locked; try again when that is done.",
}


def damaged(path: Path, why: str) -> StoreError:
    """The error of a catalog that is not sound, with the way out."""
    return StoreError(
        f"the catalog {path} {why}.",
        f"Nothing was changed. `rsrag kb restore --kb {path.parent}` takes the last backup and keeps the damaged file.",
    )


def bump(db: sqlite3.Connection) -> None:
    """Inside a transaction: say that something changed; see `Database.generation`."""
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")


def now() -> str:
    """The time as the catalog writes it: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def batched(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Parts of at most `size`: a statement takes so many arguments and no more."""
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
