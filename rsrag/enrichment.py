"""Key concepts and topics of passages, as a language model tells them: further words by which a passage is found.

After MetaGen Blended RAG (Sawarkar, Solanki and Mangal, arXiv 2505.18247). What a model says becomes words to search by
and nothing else: it is never shown, cited or given to another model. What rules can find of the same kind, aliases and
acronyms, every store has from the start; see docs/evaluation.md, "Hybrid search".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from .chunking import FACT_PART, NAME_PARTS
from .errors import RsragError, UsageError
from .interfaces import Model, Reader
from .store import lexical
from .store.database import bump
from .store.words import fold
from .types import Chunk, Evidence, Prompt, Text

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]

MOST_TERMS = 12
LONGEST_TERM = 60
MOST_WORDS = 6
BATCH = 16
"""So many passages are written at once: readers look up the store again after each write."""
FAILURES_IN_A_ROW = 3
"""A model that fails so often is not asked again."""

_QUESTION = (
    "Name the key concepts and the topics of passage [1], and other words by which people may ask for what it says. "
    f"Reply with at most {MOST_TERMS} terms of one to four words each, separated by semicolons, and nothing else."
)
_MOST_PIECES = 400
_MOST_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Enriched:
    """What a run did: passages that got terms, passages that had them, and (passage, why) of those without."""

    done: int
    unchanged: int
    failed: tuple[tuple[str, str], ...] = ()


def enrich(
    kb: KnowledgeBase,
    model: Model,
    *,
    sources: Collection[str] = (),
    limit: int = 0,
    again: bool = False,
    progress: Progress | None = None,
) -> Enriched:
    """Ask a model for the terms of every passage that has none; `again` also of those that another model gave terms.

    At most `limit` passages are asked about (0: all), of some `sources` (none named: of all). An interrupted run goes
    on when it is done again. A passage that gets no terms is reported, and asked about again next time. Raises
    `UsageError` where the model does not write, or a source is unknown; and what the model raises, when it fails
    three times in a row.
    """
    if isinstance(model, Reader):
        raise UsageError(
            f"'{model.name}' reads passages and writes no text of its own.", "Name a language model with --model."
        )
    if unknown := sorted(set(sources) - set(kb.catalog.source_names())):
        raise UsageError(
            f"there is no source called '{unknown[0]}'.",
            f"There are: {', '.join(kb.catalog.source_names()) or 'none'}.",
        )
    name = _name(model)
    rows, total = _wanted(kb, name, sources, again)
    wanted = rows[:limit] if limit else rows
    with kb.writer():
        kb.before_change()
    run = _Run(kb, name)
    in_a_row = 0
    try:
        for chunk in _chunks(kb, wanted):
            try:
                run.take(chunk, terms(_reply(model, chunk)))
                in_a_row = 0
            except Exception as error:
                in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    raise
                run.failed.append((_place(chunk), _why(error)))
            if progress:
                progress(run.done + len(run.failed), len(wanted), "passages")
    finally:
        run.write()
    return Enriched(run.done, total - len(rows), tuple(run.failed))


class _Run:
    def __init__(self, kb: KnowledgeBase, model: str) -> None:
        self.kb = kb
        self.model = model
        self.done = 0
        self.failed: list[tuple[str, str]] = []
        self._waiting: dict[str, str] = {}

    def take(self, chunk: Chunk, found: Sequence[str]) -> None:
        if not found:
            self.failed.append((_place(chunk), "the model named no terms"))
            return
        self._waiting[chunk.content_hash] = "; ".join(found)
        self.done += 1
        if len(self._waiting) >= BATCH:
            self.write()

    def write(self) -> None:
        """In one transaction what was told so far; of texts that are gone meanwhile nothing is kept."""
        if not self._waiting:
            return
        with self.kb.writer(), self.kb.catalog.write() as db:
            lexical.set_terms(db, self._waiting, self.model)
            bump(db)
        self._waiting = {}


def terms(reply: str) -> list[str]:
    """The terms of a model's reply: at most `MOST_TERMS`, each once, without markers, numbering and whole sentences."""
    found: dict[str, str] = {}
    for piece in re.split(r"[;\n|•]|,(?!\d)", re.sub(r"\[\d+\]", " ", reply)):
        term = " ".join(re.sub(r"^\W*(?:\d+[.)])?\W*|\W+$", "", piece).split())
        if fold(term) and len(term) <= LONGEST_TERM and len(term.split()) <= MOST_WORDS:
            found.setdefault(fold(term), term)
    return list(found.values())[:MOST_TERMS]


def _wanted(kb: KnowledgeBase, model: str, sources: Collection[str], again: bool) -> tuple[list[int], int]:
    """(rowids of the passages to ask about, one per content; how many passages there are)."""
    parts = (FACT_PART, *NAME_PARTS)
    where = f"c.kind = 'text' AND c.part NOT IN ({','.join('?' * len(parts))}) AND r.vectors"
    arguments: list[Any] = [*parts]
    if sources:
        where += f" AND r.source IN ({','.join('?' * len(sources))})"
        arguments += sources
    tables = "FROM chunks c JOIN records r ON r.rowid = c.record"
    total = kb.catalog.db.execute(f"SELECT count(DISTINCT c.content_hash) {tables} WHERE {where}", arguments).fetchone()
    known = "SELECT content_hash FROM terms" + (" WHERE model = ?" if again else "")
    rows = kb.catalog.db.execute(
        f"SELECT min(c.rowid) {tables} WHERE {where} AND c.content_hash NOT IN ({known}) GROUP BY c.content_hash "
        "ORDER BY min(c.rowid)",
        [*arguments, *([model] if again else [])],
    )
    return [row[0] for row in rows], int(total[0])


def _chunks(kb: KnowledgeBase, rowids: Sequence[int]) -> Iterator[Chunk]:
    for start in range(0, len(rowids), BATCH):
        part = rowids[start : start + BATCH]
        yield from kb.catalog.chunks.where(f"c.rowid IN ({','.join('?' * len(part))})", part, "ORDER BY c.rowid")


def _reply(model: Model, chunk: Chunk) -> str:
    """The beginning of the reply; a model that goes on and on is cut off. The passage is fenced as evidence is."""
    passage = Evidence(1, "text", chunk.title, chunk.text, chunk.provenance, part=chunk.part)
    events = model.generate(Prompt("ask", _QUESTION, evidence=(passage,)))
    text = ""
    try:
        for event in islice(events, _MOST_PIECES):
            text += event.text if isinstance(event, Text) else ""
            if len(text) > _MOST_CHARS:
                break
    finally:
        if hasattr(events, "close"):
            events.close()
    return text


def _name(model: Model) -> str:
    return str(getattr(model, "label", "") or model.name)


def _place(chunk: Chunk) -> str:
    return f"{chunk.provenance.source}: {chunk.title}, {chunk.part}"


def _why(error: Exception) -> str:
    return error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"
