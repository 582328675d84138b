"""One conversation's side of the session file: rows are added as it goes, none is written twice without need."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ..conversation.codec import answer_to, plain, told
from ..conversation.exchange import Exchange, Focus
from ..conversation.scenes import Placed
from ..errors import StoreError
from ..types import Evidence

if TYPE_CHECKING:
    import sqlite3

    from . import Sessions

PAUSE: Final = 0.1
"""Seconds between two writes of an answer that streams in; its first words are written at once."""


class SessionJournal:
    """Writes to the session `id`. Each call but `wrote` is kept when it returns, also if the process is killed then."""

    def __init__(self, sessions: Sessions, id: str) -> None:
        self.sessions = sessions
        self.id = id
        self._waiting: tuple[int, list[str]] = (0, [])
        self._last_write = 0.0
        self._words_row = 0

    def scene(self, placed: Placed) -> None:
        """A scene that came, was read anew, or was dropped."""
        dropped = datetime.now(UTC).isoformat() if placed.dropped else None
        row = (placed.letter, placed.uri, json.dumps(plain(placed.options)), dropped)
        with self.sessions.writing() as db:
            changed = db.execute(
                "UPDATE scenes SET uri = ?2, options = ?3, dropped_at = coalesce(dropped_at, ?4)"
                " WHERE session = ?5 AND letter = ?1",
                (*row, self.id),
            ).rowcount
            if not changed:
                db.execute(
                    "INSERT INTO scenes (session, ordinal, letter, uri, options, dropped_at)"
                    " SELECT ?5, count(*), ?1, ?2, ?3, ?4 FROM scenes WHERE session = ?5",
                    (*row, self.id),
                )

    def began(self, exchange: Exchange, settings: Mapping[str, Any], focus: Focus | None) -> None:
        """A question, before anything is done about it. Raises `StoreError` when the session went on elsewhere."""
        started = (exchange.started or datetime.now(UTC)).isoformat()
        state = (started, json.dumps(plain(settings)), json.dumps(plain(focus)) if focus else None, self.id)
        with self.sessions.writing() as db:
            (last,) = db.execute("SELECT max(number) FROM exchanges WHERE session = ?", (self.id,)).fetchone()
            if last is not None and last >= exchange.number:
                message = "this conversation was continued in another terminal."
                raise StoreError(message, f"Open it as it is now: rsrag chat --resume {self.id}")
            db.execute(
                "INSERT INTO exchanges (session, number, question, status, told, started) VALUES (?, ?, ?, ?, ?, ?)",
                (self.id, exchange.number, exchange.question, "running", json.dumps(told(exchange)), started),
            )
            added = db.execute(
                "INSERT INTO words (question, answer, session, number) VALUES (?, '', ?, ?)",
                (exchange.question, self.id, exchange.number),
            )
            self._words_row = added.lastrowid or 0
            db.execute("UPDATE sessions SET updated = ?, settings = ?, focus = ? WHERE id = ?", state)

    def shown(self, evidence: Sequence[Evidence]) -> None:
        """Evidence that has a number now, or was shown again."""
        rows = [(self.id, e.number, e.key, json.dumps(plain(asdict(e) | {"bbox": _box(e)}))) for e in evidence]
        with self.sessions.writing() as db:
            db.executemany(
                "INSERT INTO evidence (session, number, key, data) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (session, number) DO UPDATE SET data = excluded.data WHERE key = excluded.key",
                rows,
            )

    def wrote(self, number: int, text: str) -> None:
        """A piece of an answer; written at once, or with the next where pieces come quickly."""
        waiting = self._waiting[1] if self._waiting[0] == number else []
        waiting.append(text)
        self._waiting = (number, waiting)
        if time.monotonic() - self._last_write >= PAUSE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        number, waiting = self._waiting
        if waiting:
            with self.sessions.writing() as db:
                db.execute(
                    "INSERT INTO pieces (session, number, text) VALUES (?, ?, ?)", (self.id, number, "".join(waiting))
                )
            self._waiting = (number, [])
            self._last_write = time.monotonic()

    def ended(self, exchange: Exchange) -> None:
        """The answer, or how far it came."""
        self._waiting = (0, [])
        self._last_write = 0.0
        answer = json.dumps(answer_to(exchange.answer), ensure_ascii=False) if exchange.answer else None
        ended = (exchange.ended or datetime.now(UTC)).isoformat()
        with self.sessions.writing() as db:
            row = (exchange.status, json.dumps(told(exchange)), answer, exchange.partial, ended)
            db.execute(
                "UPDATE exchanges SET status = ?, told = ?, answer = ?, partial = ?, ended = ?"
                " WHERE session = ? AND number = ?",
                (*row, self.id, exchange.number),
            )
            self._tidy(db, exchange.number, exchange.text, self._words_row)
            db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (ended, self.id))

    def settle(self) -> None:
        """Turn answers that were cut off by a kill into interrupted ones."""
        with self.sessions.writing() as db:
            running = db.execute(
                "SELECT number FROM exchanges WHERE session = ? AND status = 'running'", (self.id,)
            ).fetchall()
            for (number,) in running:
                partial = self.sessions.pieces(db, self.id, number)
                db.execute(
                    "UPDATE exchanges SET status = 'interrupted', partial = ? WHERE session = ? AND number = ?",
                    (partial, self.id, number),
                )
                (row,) = db.execute(
                    "SELECT rowid FROM words WHERE session = ? AND number = ?", (self.id, number)
                ).fetchone()
                self._tidy(db, number, partial, row)

    def _tidy(self, db: sqlite3.Connection, number: int, text: str, words_row: int) -> None:
        db.execute("DELETE FROM pieces WHERE session = ? AND number = ?", (self.id, number))
        db.execute("UPDATE words SET answer = ? WHERE rowid = ?", (text, words_row))

    def undone(self, number: int) -> None:
        """An exchange that was taken back: it is kept, and not shown."""
        with self.sessions.writing() as db:
            db.execute("UPDATE exchanges SET undone = 1 WHERE session = ? AND number = ?", (self.id, number))

    def marked(self, exchange: Exchange) -> None:
        """The user's marks on an exchange."""
        with self.sessions.writing() as db:
            row = (json.dumps(told(exchange)), self.id, exchange.number)
            db.execute("UPDATE exchanges SET told = ? WHERE session = ? AND number = ?", row)

    def answered_by(self, kb: str, model: str) -> None:
        """Another knowledge base or model answers from now on."""
        with self.sessions.writing() as db:
            db.execute("UPDATE sessions SET kb = ?, model = ? WHERE id = ?", (kb, model, self.id))

    def load_evidence(self, number: int) -> Evidence | None:
        """Evidence that memory let go of."""
        return self.sessions.load_evidence(self.id, number)

    def load_exchange(self, number: int) -> Exchange | None:
        """An exchange with what memory let go of."""
        return self.sessions.load_exchange(self.id, number)


def _box(evidence: Evidence) -> dict[str, float] | None:
    return asdict(evidence.bbox) if evidence.bbox else None
