"""Searches the sentences of the evidence for what a part of a question asks, and tells how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import known
from .aspects import aspect, belongs
from .candidates import Candidate, headed
from .compose import cite, quotes
from .passages import Limits, Passage, answer_part
from .questions import Part
from .scoring import Scored
from .state import State
from .times import Time, times
from .words import Word, cover

# A part that leans on the one before is already on the subject; what is left to ask is its form.
LENIENT = Limits(sure=0.35, fair=0.25, least_cover=0.2, least_similarity=0.12)
LOOSE = Limits(sure=0.0, fair=0.0, least_cover=0.0, least_similarity=-1.0)
SUPPORTS = 3
FIRST_PARTS = ("definition", "overview", "appearance", "bands")
_MOST_LISTED = 5  # sentences of a text that lists


def search(state: State, part: Part, compared: str, found: Sequence[Candidate], subjects: set[str]) -> Passage:
    """The sentences among those `found` that best answer a part; `compared` is what they are measured against."""
    explained = any(p.elliptic and "why" in p.kinds for p in state.question.parts)
    others = len(state.question.parts) - 1
    months = [t for t in times(state.question.text) if t.month]
    found = [c for c in found if not months or not of_other_months(c, months)]
    supports = 1 if part.elliptic else 0 if explained else max(SUPPORTS - 1 - others, 1)
    passage = answer_part(
        part,
        compared,
        found,
        state.weights,
        state.language,
        subjects=frozenset(subjects),
        taken=state.taken,
        supports=supports,
        limits=LENIENT if part.elliptic else state.limits,
    )
    state.note(part, passage)
    return passage


def anywhere(state: State, part: Part, but: Sequence[str] = ()) -> tuple[list[str], str]:
    """What the evidence says to a part that names nothing known; `but` are subjects that cannot answer it."""
    months = [t for t in times(state.question.text) if t.month]
    found = [c for c in state.all if c.evidence.subject not in but]
    found = [c for c in found if not months or not of_other_months(c, months)]
    subjects = frozenset(state.subjects() - set(but))
    others = len(state.question.parts) - 1
    preferred = aspect(part.text) or FIRST_PARTS[:3]
    passage = answer_part(
        part, part.text, found, state.weights, state.language, subjects=subjects, taken=state.taken,
        supports=max(SUPPORTS - 1 - others, 1), limits=LOOSE, preferred=preferred,
    )  # fmt: skip
    state.note(part, passage)
    if not passage.chosen:
        return [""], "declined"
    best, chosen = passage.chosen[0], [s.candidate for s in passage.chosen]
    features = features_of(state, part, best, chosen, part.words, state.weights, preferred)
    z = best.candidate.evidence.z
    features |= {"z": min(max(z or 0.0, 0.0), 6.0) / 6, "open": 1.0}
    lines = quotes(chosen)
    if passage.conflict:
        lines = with_conflict(lines, passage.conflict)
    return say(state, part, known.Said(tuple(lines), "subject", features))


def features_of(
    state: State, part: Part, best: Scored, chosen: Sequence[Candidate], words: Sequence[Word],
    weights: Mapping[str, float], preferred: Sequence[str],
) -> dict[str, float]:  # fmt: skip
    """What tells how sure an answer is; see `reliability`."""
    there = frozenset().union(*(c.found | c.titled for c in chosen))
    first = best.candidate.found | best.candidate.titled
    return {
        "similarity": best.similarity,
        "cover": cover(words, weights, there) if words else 1.0,
        "first": cover(words, weights, first) if words else 1.0,
        "own": cover(words, weights, best.candidate.found) if words else 1.0,
        "none": float(bool(words) and not cover(words, weights, there)),
        "unknown": float(state.unknown(w for w in words if not cover([w], weights, there))),
        "bare": float(not words),
        "words": min(len(words), 6) / 6,
        "wanted": best.wanted,
        "part": float(belongs(best.candidate.evidence.part, preferred)),
        "figure": float(bool({"number", "when"} & set(part.kinds))),
    }


def say(state: State, part: Part, said: known.Said) -> tuple[list[str], str]:
    """The lines of an answer, or a decline where it is too unsure."""
    sure = state.sure(part.text, said.route, said.features)
    if sure < state.least:
        return [""], "declined"
    return [line for line in said.lines if line not in state.said], "answered"


def with_conflict(lines: Sequence[str], conflict: Scored) -> list[str]:
    """The lines with a figure that contradicts the first said next."""
    other = conflict.candidate
    told = cite(f"Another source gives a different figure: {other.spoken}", (other.number,))
    return [lines[0], told, *(line for line in lines[1:] if f"[{other.number}]" not in line)]


def run_on(best: Candidate, found: Sequence[Candidate], others: Sequence[Candidate], lists: bool) -> list[Candidate]:
    """A sentence with those after it in the same text, which explain or go on with it; then one of another text."""
    same = sorted((c for c in found if c.evidence.number == best.evidence.number), key=lambda c: c.place)
    after = [c for c in same if c.place >= best.place]
    if len(after) == 1:  # the last one
        after = [best, *(c for c in same if c.place == best.place - 1)]
    elsewhere = [c for c in others if c.evidence.number != best.evidence.number]
    return [*after[: _MOST_LISTED if lists else _MOST_LISTED - 2], *elsewhere[:1]]


def beginning(parts: Sequence[str], found: Sequence[Candidate]) -> Candidate | None:
    """The first sentence of the best of some parts: where nothing more is asked, they are read from there."""
    for part in parts:
        if own := [c for c in found if belongs(c.evidence.part, [part])]:
            return min(own, key=lambda c: (c.rank, c.place))
    return None


def of_other_months(candidate: Candidate, months: Sequence[Time]) -> bool:
    """Whether a sentence, or the heading it stands under, speaks of months, and of none that is asked for."""
    spoken = [t for t in times(f"{headed(candidate.evidence)}. {candidate.text}") if t.month]
    return bool(spoken) and not any(asked.fits(t) for asked in months for t in spoken)
