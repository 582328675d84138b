"""Look a number up: the facts of the subjects that a question is about, by attribute and time, on their chunks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .answering.facts import Asked, fitting
from .types import Fact, Hit, Query

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase

MOST_SUBJECTS = 12
MOST_FACTS = 4  # of one subject
FACT_LANE = "fact"


def with_facts(
    query: Query, kb: KnowledgeBase, hits: Sequence[Hit], subjects: Sequence[str], *, guessed: bool = False
) -> list[Hit]:
    """The hits, led by the chunks that hold what the question asks of `subjects`, each with those facts.

    A fact stands on the chunk of its record that says it, else on the record's first. Where nobody named the subjects
    and they are only `guessed` from the hits, a figure of one is joined by that of another that has it too: then the
    reader sees that it is not the figure of one alone.
    """
    found = _with_facts(query, kb, hits, subjects)
    led = [hit for hit in found if FACT_LANE in hit.lanes]
    if guessed and led and len({hit.chunk.subject for hit in led}) == 1:
        own = led[0].chunk.subject
        holders = kb.holders_of(led[0].facts[0].attribute, query.where, query.exclude)
        if others := [subject for subject in holders if subject != own]:
            return _with_facts(query, kb, hits, [own, others[0]])
    return found


def _with_facts(query: Query, kb: KnowledgeBase, hits: Sequence[Hit], subjects: Sequence[str]) -> list[Hit]:
    subjects = list(dict.fromkeys(s for s in subjects if s))[:MOST_SUBJECTS]
    if not query.text.strip() or not subjects:
        return list(hits)
    known = {hit.chunk.id: hit for hit in hits}
    led: dict[str, Hit] = {}
    for subject, names, facts in kb.facts_of(subjects, query.where):
        asked = Asked.of(query.text, names)
        # Where the figure is known for other times only, the reader must know that, lest it takes one of those.
        wanted = fitting(asked, facts)[:MOST_FACTS] or fitting(asked.at_any_time, facts)[:1]
        if not wanted:
            continue
        chunks = kb.chunks_of([subject], query.where)
        chunks = [c for c in chunks if c.provenance.record not in query.exclude and c.part != "label"]
        for fact, fit in wanted:
            chunk = max(chunks, key=lambda c: _says(c.text, fact), default=None)  # the first of equals
            if chunk is None:
                continue
            rank = len(led) + 1
            hit = led.get(chunk.id) or known.get(chunk.id) or Hit(chunk)
            lanes = {**hit.lanes, FACT_LANE: hit.lanes.get(FACT_LANE, (rank, fit))}
            led[chunk.id] = dataclasses.replace(hit, lanes=lanes, facts=(*hit.facts, fact))
    top = max((hit.score for hit in hits), default=0.0)
    first = [dataclasses.replace(hit, score=max(hit.score, top)) for hit in led.values()]
    return [*first, *(hit for hit in hits if hit.chunk.id not in led)]


def _says(text: str, fact: Fact) -> int:
    """How surely a text states a fact: its value, its attribute in so many words, and when it holds."""
    value = str(fact.value).removesuffix(".0")
    spellings = [value, f"{fact.value:,}"] if isinstance(fact.value, int) else [value]
    there = any(re.search(rf"(?<![\d.]){re.escape(v)}(?!\.?\d)", text) for v in spellings)
    return 4 * there + 2 * (fact.attribute.lower() in text.lower()) + bool(fact.when and fact.when in text)
