"""The file that sessions are kept in: made, checked, and read and written in transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from ..errors import StoreError

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x72736763  # "rsgc": tells it from a catalog and from any other SQLite file
WAIT: Final = 10.0
"""Seconds that a terminal waits for another one's write."""


class SessionFile:
    """One SQLite file, made on first use. Several threads and processes may use it at once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        with self.told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # what people ask is theirs
            self._db = sqlite3.connect(self.path, timeout=WAIT, check_same_thread=False, isolation_level=None)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise

    def _set_up(self) -> None:
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        with self.writing() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            (kind,) = db.execute("PRAGMA application_id").fetchone()
            empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if not empty and kind != APPLICATION_ID:
                raise StoreError(f"{self.path} is not a file of rsrag sessions.", "Move it away; a new one is made.")
            if version > SCHEMA_VERSION:
                what = f"{self.path} was written by a newer rsrag (format {version}; this one knows {SCHEMA_VERSION})."
                raise StoreError(what, "Update rsrag: pip install -U rsrag.")
            if empty:
                for statement in Path(__file__).with_name("schema.sql").read_text("utf-8").split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which waits for other terminals. Raises `StoreError`."""
        with self.told(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view."""
        with self.told(), self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def told(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                message = f"{self.path} is busy: another program has been writing to it for {WAIT:g} s."
                raise StoreError(message, "Try again.") from error
            raise StoreError(
                f"{self.path} cannot be used: {error}.", "Is there room, and may you write there?"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path} is damaged or no session file: {error}.", "Move it away.") from error
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be made: {error.strerror}.", "Set data_dir to a folder of yours."
            ) from error
