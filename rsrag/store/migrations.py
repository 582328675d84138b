"""Older catalogs brought up to date: each step in one transaction, so that a store is always of one version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from ..seasons import bits_of, turned
from ..types import BBox
from .filters import as_number
from .lexical import put_acronyms

SCHEMA_VERSION = 3


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Change a catalog of an older version in place. The caller holds the transaction."""
    for step in range(version, SCHEMA_VERSION):
        _STEPS[step](db)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def month_bits(acquired: float | None, until: float | None, box: BBox | None) -> tuple[int | None, int | None]:
    """(months, local_months) of a record as its row holds them; times in seconds since 1970, in UTC."""
    if acquired is None:
        return None, None
    months = bits_of(_utc(acquired), None if until is None else _utc(until))
    if box is None:
        return months, None
    return months, turned(months) if box.center[1] < 0 else months


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _to_2(db: sqlite3.Connection) -> None:
    """Numbers of facets, months, ends of spans of time, footprints."""
    for statement in (
        "ALTER TABLE facets ADD COLUMN number REAL",
        "ALTER TABLE records ADD COLUMN acquired_until REAL",
        "ALTER TABLE records ADD COLUMN months INTEGER",
        "ALTER TABLE records ADD COLUMN local_months INTEGER",
        "CREATE TABLE footprints (record INTEGER PRIMARY KEY REFERENCES records (rowid), wkb BLOB NOT NULL)",
    ):
        db.execute(statement)
    db.create_function("as_number", 1, as_number, deterministic=True)
    db.execute("UPDATE facets SET number = as_number(value)")
    rows = db.execute("SELECT rowid, acquired, west, south, east, north FROM records WHERE acquired IS NOT NULL")
    bits = [
        (*month_bits(acquired, None, None if corners[0] is None else BBox(*corners)), rowid)
        for rowid, acquired, *corners in rows
    ]
    db.executemany("UPDATE records SET months = ?, local_months = ? WHERE rowid = ?", bits)
    for statement in (
        "CREATE INDEX facets_number ON facets (key, number) WHERE number IS NOT NULL",
        "DROP INDEX chunks_record",
        "CREATE INDEX chunks_record ON chunks (record, kind, content_hash)",
        "CREATE INDEX records_until ON records (acquired_until) WHERE acquired_until IS NOT NULL",
        "CREATE INDEX records_months ON records (months)",
        "CREATE INDEX records_local_months ON records (local_months)",
    ):
        db.execute(statement)


def _to_3(db: sqlite3.Connection) -> None:
    """Acronyms, and a column of words for the terms that a model gives a text."""
    for statement in (
        """CREATE TABLE acronyms (
               name TEXT NOT NULL, other TEXT NOT NULL, record INTEGER NOT NULL REFERENCES records (rowid),
               PRIMARY KEY (name, other, record)
           ) WITHOUT ROWID""",
        "CREATE INDEX acronyms_record ON acronyms (record)",
        "CREATE TABLE terms (content_hash TEXT PRIMARY KEY, terms TEXT NOT NULL, model TEXT NOT NULL) WITHOUT ROWID",
        "DROP TABLE words",
        "DROP VIEW chunk_words",
        """CREATE VIEW chunk_words AS
               SELECT c.rowid AS rowid, r.title AS title, r.aliases AS aliases, c.heading || ' ' || c.text AS text,
                   coalesce(t.terms, '') AS terms
               FROM chunks c JOIN records r ON r.rowid = c.record LEFT JOIN terms t ON t.content_hash = c.content_hash
               WHERE r.vectors""",
        """CREATE VIRTUAL TABLE words USING fts5 (
               title, aliases, text, terms, content = 'chunk_words',
               tokenize = "porter unicode61 remove_diacritics 2"
           )""",
        "INSERT INTO words (words) VALUES ('rebuild')",
    ):
        db.execute(statement)
    for (record,) in db.execute("SELECT rowid FROM records WHERE vectors").fetchall():
        put_acronyms(db, record)


_STEPS: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = {1: _to_2, 2: _to_3}
