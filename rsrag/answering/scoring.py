"""Scores candidates against a part of a question, and picks a few that do not repeat each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..interfaces import Language
from .aspects import belongs
from .candidates import Candidate
from .lexicon import lexicon
from .quantities import quantities
from .questions import Part, wanted
from .words import Word, cover

MOST_COMPARED = 8  # sentences that are encoded: 1-2 ms each


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much. The parts add up to a score of about 0..1.

    Set by hand on a few questions over the first packs; issue 10 fits them."""

    similarity: float = 0.45
    cover: float = 0.30
    wanted: float = 0.15
    subject: float = 0.10
    rank: float = 0.05
    redundancy: float = 0.35
    leaning: float = 0.04
    lacking: float = 0.15
    part: float = 0.15
    aside: float = 0.3


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score and what it is made of: similarity -1..1, cover 0..1 of the question's words by
    sentence and title, wanted 0..1."""

    candidate: Candidate
    score: float
    similarity: float
    cover: float
    wanted: float


def weigh(words: Sequence[Word], language: Language) -> dict[str, float]:
    """How telling each question word is. A compound weighs as much as its most telling piece, plus a little for
    being an exact name; store and reader may stem differently, so the more common spelling counts."""
    asked = sorted({p for w in words for p in (*w.parts, w.key)})
    idf = language.idf(asked) if asked else {}
    weights = {}
    for word in words:
        pieces = [idf.get(p, 1.0) for p in word.parts] or [idf.get(word.key, 1.0)]
        name = 1.3 if any(c.isdigit() for c in word.key) else 1.0
        value = max(pieces) if name > 1 else min(*pieces, idf.get(word.key, 1.0)) if pieces else 1.0
        weights[word.key] = max(value, 0.05) * name
    return weights


def score(
    part: Part,
    question: str,
    found: Sequence[Candidate],
    weights: Mapping[str, float],
    language: Language,
    subjects: frozenset[str] = frozenset(),
    w: Weights = Weights(),
    preferred: Sequence[str] = (),
) -> list[Scored]:
    """All promising candidates, best first. `question` is what they are compared with by meaning; `subjects` are
    what the question is known to be about."""
    if not found:
        return []
    lex = lexicon()
    lowered = part.text.lower()
    aside = frozenset() if any(cue.search(lowered) for cue in lex.side_cues) else lex.side_parts
    # A title says what a sentence is about; one that tells things apart, or why, should name them itself.
    alone = 0.5 if "tell_apart" in part.kinds or part.elliptic else 0.15
    covers = {id(c): cover(part.words, weights, c.found | c.titled) for c in found}
    own = {id(c): cover(part.words, weights, c.found) for c in found}
    forms = {id(c): wanted(part, c.body) for c in found}
    if asked := [q for q in quantities(part.text) if q.base]:  # "at 5 m": the sentence should have that number
        there = {id(c): [q for q in quantities(c.text) if q.base] for c in found}
        forms = {k: 0.3 * forms[k] + 0.7 * any(q.same(t) for q in asked for t in there[k]) for k in forms}
    if "definition" in part.kinds:  # texts define in their first sentence
        forms = {id(c): forms[id(c)] if c.place == 0 else 0.6 * forms[id(c)] for c in found}

    # "band 8A": where some sentence has it, one that has not is about something else.
    present = {id(c): c.found | c.titled for c in found}
    ids = [w.key for w in part.words if any(d.isdigit() for d in w.key)] if not part.elliptic else []
    ids = [k for k in ids if any(k in there for there in present.values())]
    lacking = {k: sum(name not in there for name in ids) for k, there in present.items()}

    def promise(c: Candidate) -> float:
        return (
            covers[id(c)]
            + 0.3 * (belongs(c.evidence.part, preferred))
            + 0.3 * forms[id(c)]
            + 0.3 / (1 + c.rank)
            - 0.5 * lacking[id(c)]
        )

    short = sorted(found, key=lambda c: (-promise(c), c.rank, c.place))[:MOST_COMPARED]
    cosines = language.similarity(question, [c.spoken for c in short])
    out = []
    for c, cosine in zip(short, cosines, strict=True):
        value = (
            w.similarity * max(cosine, 0.0)
            + w.cover * ((1 - alone) * covers[id(c)] + alone * own[id(c)])
            + w.wanted * forms[id(c)]
            + w.subject * (c.evidence.subject in subjects)
            + w.rank / (1 + c.rank)
            + w.part * (belongs(c.evidence.part, preferred))
            - w.aside * (c.evidence.part in aside)
            - w.leaning * bool(c.context)
            - w.lacking * lacking[id(c)]
        )
        out.append(Scored(c, value, float(cosine), covers[id(c)], forms[id(c)]))
    return sorted(out, key=lambda s: (-s.score, s.candidate.rank, s.candidate.place))


def pick(
    scored: Sequence[Scored],
    count: int,
    taken: Sequence[Scored] = (),
    least: float = 0.0,
    w: Weights = Weights(),
) -> list[Scored]:
    """Up to `count` by maximal marginal relevance, not repeating `taken`; none scores below `least`."""
    chosen: list[Scored] = []
    pool = [s for s in scored if all(s.candidate is not t.candidate for t in taken)]
    while pool and len(chosen) < count:

        def value(s: Scored) -> float:
            return s.score - w.redundancy * max(
                (overlap(s.candidate, t.candidate) for t in (*taken, *chosen)), default=0.0
            )

        best = max(pool, key=value)
        if value(best) < least:
            break
        chosen.append(best)
        pool.remove(best)
    return chosen


def overlap(a: Candidate, b: Candidate) -> float:
    """How much two candidates say the same, 0..1: common keys over those of the shorter."""
    smaller = min(len(a.found), len(b.found))
    return len(a.found & b.found) / smaller if smaller else 0.0
