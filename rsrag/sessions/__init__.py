"""Conversations kept in one SQLite file, written as they go, so that a terminal that is killed loses nothing.

Every question is a row before it is answered, and an answer is written while it streams. Several terminals may use
the file at once.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..answering.ledger import evidence_from
from ..conversation.codec import exchange_from, focus_from, moment
from ..conversation.exchange import Exchange
from ..conversation.scenes import Placed
from ..conversation.state import State
from ..errors import UsageError
from ..types import Evidence
from .file import SCHEMA_VERSION, SessionFile
from .journal import SessionJournal

if TYPE_CHECKING:
    from ..assistant import Assistant
    from ..chat import Conversation

__all__ = ["SCHEMA_VERSION", "Found", "SessionInfo", "SessionJournal", "Sessions"]

_LIST = """SELECT s.*, count(e.number) AS questions, max(e.started) AS last,
    (SELECT question FROM exchanges f WHERE f.session = s.id AND NOT f.undone ORDER BY number LIMIT 1) AS first,
    (SELECT json_group_array(uri) FROM scenes c WHERE c.session = s.id AND c.dropped_at IS NULL) AS images
    FROM sessions s JOIN exchanges e ON e.session = s.id AND NOT e.undone"""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A line of the list: `title` is its name, or the first question; `images` are the files it is about."""

    id: str
    name: str
    title: str
    kb: str
    model: str
    created: datetime
    updated: datetime
    questions: int
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """An exchange that a search found, with a `snippet` of what matched."""

    session: str
    number: int
    question: str
    snippet: str
    when: datetime


class Sessions(SessionFile):
    """The sessions of one file, which is made on first use. Raises `StoreError` for a file that is something else, or
    was written by a newer version."""

    # -- going on ---------------------------------------------------------------------------------

    def start(self, kb: str = "", model: str = "", *, id: str = "", name: str = "") -> SessionJournal:
        """A new session, to be written to. `id` is used when it is free. It is listed from its first question on."""
        now = datetime.now(UTC).isoformat()
        with self.writing() as db:
            wanted = id or secrets.token_hex(4)
            while db.execute("SELECT 1 FROM sessions WHERE id = ?", (wanted,)).fetchone():
                wanted = secrets.token_hex(4)
            row = (wanted, name, kb, model, now, now)
            db.execute("INSERT INTO sessions (id, name, kb, model, created, updated) VALUES (?, ?, ?, ?, ?, ?)", row)
        return SessionJournal(self, wanted)

    def resume(self, assistant: Assistant, wanted: str = "last") -> Conversation:
        """The conversation of a session, to go on with: an answer that was cut off is kept as interrupted, and a scene
        whose file is gone keeps its letter. Raises `UsageError` as `open` does."""
        from ..chat import Conversation

        journal = SessionJournal(self, self.find(wanted))
        journal.settle()
        return Conversation.of(assistant, self.open(journal.id), journal)

    # -- looking ----------------------------------------------------------------------------------

    def find(self, wanted: str) -> str:
        """The id for an id, the beginning of one, a name, or "last". Raises `UsageError`."""
        if wanted == "last":
            if newest := self.list(1):
                return newest[0].id
            raise UsageError("there is no session yet.", "`rsrag chat` begins one.")
        like = re.sub(r"[^0-9a-f]", "", wanted.lower()) or "-"
        with self.reading() as db:
            rows = db.execute(
                "SELECT id FROM sessions WHERE id = ?1 OR (name = ?1 COLLATE NOCASE AND name <> '')"
                " OR (?2 = lower(?1) AND id GLOB ?2 || '*')",
                (wanted, like),
            ).fetchall()
        ids = [row["id"] for row in rows]
        if wanted in ids or len(ids) == 1:
            return wanted if wanted in ids else str(ids[0])
        if ids:
            raise UsageError(f"'{wanted}' may be any of {', '.join(ids)}.", "Give more of the id.")
        raise UsageError(f"there is no session '{wanted}'.", "`rsrag log list` shows those there are.")

    def open(self, wanted: str = "last") -> State:
        """A session as data. Raises `UsageError` when there is none of that id or name."""
        id = self.find(wanted)
        with self.reading() as db:
            row = db.execute("SELECT * FROM sessions WHERE id = ?", (id,)).fetchone()
            stored = db.execute("SELECT number, key, data FROM evidence WHERE session = ? ORDER BY number", (id,))
            keys, evidence = [], {}
            for number, key, data in stored:
                keys.append(key)
                evidence[number] = evidence_from(json.loads(data))
            exchanges = db.execute(
                "SELECT * FROM exchanges WHERE session = ? AND NOT undone ORDER BY number", (id,)
            ).fetchall()
            (last,) = db.execute("SELECT max(number) FROM exchanges WHERE session = ?", (id,)).fetchone()
            scenes = db.execute("SELECT * FROM scenes WHERE session = ? ORDER BY ordinal", (id,)).fetchall()
            return State(
                id,
                row["name"],
                row["kb"],
                row["model"],
                moment(row["created"]),
                moment(row["updated"]),
                [
                    Placed(s["letter"], s["uri"], json.loads(s["options"]), dropped=s["dropped_at"] is not None)
                    for s in scenes
                ],
                [self._exchange(db, e, evidence) for e in exchanges],
                keys,
                evidence,
                json.loads(row["settings"]),
                focus_from(json.loads(row["focus"])) if row["focus"] else None,
                last or 0,
            )

    def search(self, words: str, limit: int = 20) -> list[Found]:
        """Exchanges that hold all the words, in question or answer, the best first."""
        terms = re.findall(r"\w+", words)
        if not terms:
            raise UsageError("there is no word to search for.", "Give a word or two.")
        with self.reading() as db:
            rows = db.execute(
                "SELECT w.session, w.number, e.question, e.started, snippet(words, -1, '', '', ' … ', 14) AS snippet"
                " FROM words w JOIN exchanges e ON e.session = w.session AND e.number = w.number AND NOT e.undone"
                " WHERE words MATCH ? ORDER BY rank LIMIT ?",
                (" ".join(f'"{term}"' for term in terms), limit),
            ).fetchall()
        return [
            Found(r["session"], r["number"], r["question"], r["snippet"], datetime.fromisoformat(r["started"]))
            for r in rows
        ]

    def list(self, limit: int = 20) -> list[SessionInfo]:
        """The newest first; a session without a question is not listed."""
        with self.reading() as db:
            rows = db.execute(f"{_LIST} GROUP BY s.id ORDER BY last DESC, s.rowid DESC LIMIT ?", (limit,)).fetchall()
        return [
            SessionInfo(
                row["id"],
                row["name"],
                row["name"] or row["first"],
                row["kb"],
                row["model"],
                datetime.fromisoformat(row["created"]),
                datetime.fromisoformat(row["updated"]),
                row["questions"],
                tuple(json.loads(row["images"])),
            )
            for row in rows
        ]

    # -- changing ---------------------------------------------------------------------------------

    def rename(self, wanted: str, name: str) -> None:
        """Give a session a name, by which it is found too."""
        id = self.find(wanted)
        with self.writing() as db:
            db.execute("UPDATE sessions SET name = ? WHERE id = ?", (name.strip(), id))

    def delete(self, wanted: str) -> str:
        """Take a session out, its text included, and return its id."""
        id = self.find(wanted)
        with self.writing() as db:
            db.execute("DELETE FROM words WHERE session = ?", (id,))
            db.execute("DELETE FROM sessions WHERE id = ?", (id,))
        with self.told(), self._lock:
            # Deleted text stays in the index's segments, the file's free pages and its log until those are rewritten.
            self._db.execute("INSERT INTO words (words) VALUES ('optimize')")
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return id

    # -- for the journal --------------------------------------------------------------------------

    def load_evidence(self, session: str, number: int) -> Evidence | None:
        """One piece of evidence, whatever its age."""
        with self.reading() as db:
            row = db.execute("SELECT data FROM evidence WHERE session = ? AND number = ?", (session, number)).fetchone()
        return evidence_from(json.loads(row["data"])) if row else None

    def load_exchange(self, session: str, number: int) -> Exchange | None:
        """One exchange with all that its answer looked at."""
        with self.reading() as db:
            row = db.execute("SELECT * FROM exchanges WHERE session = ? AND number = ?", (session, number)).fetchone()
            if row is None:
                return None
            wanted = json.loads(row["answer"])["evidence"] if row["answer"] else []
            marks = ", ".join("?" * len(wanted))
            stored = db.execute(
                f"SELECT number, data FROM evidence WHERE session = ? AND number IN ({marks})", (session, *wanted)
            )
            return self._exchange(db, row, {n: evidence_from(json.loads(data)) for n, data in stored})

    def _exchange(self, db: sqlite3.Connection, row: sqlite3.Row, evidence: dict[int, Evidence]) -> Exchange:
        running = row["status"] == "running"
        partial = self.pieces(db, row["session"], row["number"]) if running else row["partial"]
        data: dict[str, Any] = {
            "number": row["number"],
            "question": row["question"],
            **json.loads(row["told"]),
            "status": "interrupted" if running else row["status"],
            "answer": json.loads(row["answer"]) if row["answer"] else None,
            "partial": partial,
            "started": row["started"],
            "ended": row["ended"],
        }
        return exchange_from(data, evidence.get)

    def pieces(self, db: sqlite3.Connection, session: str, number: int) -> str:
        """What an answer that was not finished had come to."""
        with closing(
            db.execute("SELECT text FROM pieces WHERE session = ? AND number = ? ORDER BY id", (session, number))
        ) as rows:
            return "".join(row["text"] for row in rows).strip()
