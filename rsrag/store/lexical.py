"""What is found by its words: the full-text index of the passages, and the names that stand for each other.

The index keeps no texts of its own: what is taken out has to be said as it was put in, so that both read the view
`chunk_words`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .acronyms import acronyms
from .words import longest

COLUMNS = "title, aliases, text, terms"
WEIGHTS = "4.0, 3.0, 1.0, 1.0"
"""What a word counts in each column, for bm25; see docs/evaluation.md, "Hybrid search"."""


def put(db: sqlite3.Connection, record: int) -> None:
    """Inside a transaction: index the chunks of a record that was just written."""
    _put_words(db, "record = ?", (record,))
    put_acronyms(db, record)


def put_acronyms(db: sqlite3.Connection, record: int) -> None:
    """Inside a transaction: note what a record tells of short and long names, each way. A gazetteer's entry is found by
    its whole names and tells nothing."""
    row = db.execute("SELECT title, aliases FROM records WHERE rowid = ? AND vectors", (record,)).fetchone()
    if row is None:
        return
    texts = [text for (text,) in db.execute("SELECT text FROM chunks WHERE record = ? AND text != ''", (record,))]
    pairs = acronyms(row[0], row[1].split(" | ") if row[1] else (), texts)
    both = [(record, a, b) for short, long in pairs for a, b in ((short, long), (long, short))]
    db.executemany("INSERT OR IGNORE INTO acronyms (record, name, other) VALUES (?, ?, ?)", both)


def _put_words(db: sqlite3.Connection, where: str, arguments: Sequence[Any]) -> None:
    db.execute(
        f"""INSERT INTO words (rowid, {COLUMNS}) SELECT rowid, {COLUMNS} FROM chunk_words
            WHERE rowid IN (SELECT rowid FROM chunks WHERE {where})""",
        arguments,
    )


def take_out(db: sqlite3.Connection, where: str, arguments: Sequence[Any]) -> None:
    """Inside a transaction: take chunks out of the index, before anything that it was told changes."""
    db.execute(
        f"""INSERT INTO words (words, rowid, {COLUMNS}) SELECT 'delete', rowid, {COLUMNS} FROM chunk_words
            WHERE rowid IN (SELECT rowid FROM chunks WHERE {where})""",
        arguments,
    )


def others(db: sqlite3.Connection, names: Collection[str]) -> list[str]:
    """The names that stand for one of these folded names, without those that are among them. Of names within each other
    the longest speaks: a question about a "normalized difference index" is not about DI."""
    marks = ",".join("?" * len(names))
    rows = db.execute(f"SELECT DISTINCT name, other FROM acronyms WHERE name IN ({marks}) ORDER BY other", list(names))
    pairs = rows.fetchall()
    meant = longest([name for name, _ in pairs])
    return list(dict.fromkeys(other for name, other in pairs if name in meant and other not in names))


def set_terms(db: sqlite3.Connection, terms: Mapping[str, str], model: str) -> None:
    """Inside a transaction: give texts, by content hash, the terms that a model told; texts that are gone get none."""
    for digest, said in terms.items():
        if db.execute("SELECT 1 FROM chunks WHERE content_hash = ?", (digest,)).fetchone():
            take_out(db, "content_hash = ?", (digest,))
            db.execute("INSERT OR REPLACE INTO terms VALUES (?, ?, ?)", (digest, said, model))
            _put_words(db, "content_hash = ?", (digest,))
