"""Answers one part of a question from sentences of the evidence, or says what is missing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..interfaces import Language
from ..types import Evidence
from .candidates import Candidate, headed
from .quantities import quantities
from .questions import Part, Question
from .scoring import Scored, Weights, overlap, pick, score
from .times import time_of, times
from .words import Word, cover, keys

_COMPARES = re.compile(
    r"\b(?:than|under|over|above|below|at least|at most|within|up to|between|about|around|convert|exceed)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """When sentences are an answer. `sure` and `fair` bound the confidence, which mixes the best similarity with
    the cover of the question's words; below `least_cover` or `least_similarity` nothing is. From
    `by_meaning_alone` a sentence may answer without sharing a word with what is asked of the subject."""

    sure: float = 0.56
    fair: float = 0.44
    least_cover: float = 0.34
    least_similarity: float = 0.25
    by_meaning_alone: float = 0.65


@dataclass(frozen=True, slots=True)
class Passage:
    """What the evidence says to one part: the sentences chosen, best first, and how far they can be trusted.
    `conflict` is a sentence that gives another number for the same thing."""

    status: str
    chosen: tuple[Scored, ...]
    confidence: float
    reason: str = ""
    conflict: Scored | None = None
    missing: tuple[str, ...] = ()

    def trace(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "confidence": round(self.confidence, 3),
            "reason": self.reason,
            "missing": list(self.missing),
            "chosen": [
                {
                    "evidence": s.candidate.number,
                    "sentence": s.candidate.text,
                    "score": round(s.score, 3),
                    "similarity": round(s.similarity, 3),
                    "cover": round(s.cover, 3),
                    "wanted": round(s.wanted, 2),
                }
                for s in self.chosen
            ],
        }


def answer_part(
    part: Part,
    compared: str,
    found: Sequence[Candidate],
    weights: Mapping[str, float],
    language: Language,
    *,
    subjects: frozenset[str] = frozenset(),
    taken: Sequence[Scored] = (),
    supports: int = 3,
    limits: Limits = Limits(),
    preferred: Sequence[str] = (),
) -> Passage:
    """The best sentence for a part and up to `supports` more. `compared` is the text compared by meaning; `preferred`
    are the parts of records that are likely to answer, best first."""
    # A reason repeats what it explains, so repeating counts less there.
    w = (
        Weights(wanted=0.3, redundancy=0.03)
        if part.elliptic
        else Weights(wanted=0.25)
        if "why" in part.kinds
        else Weights()
    )
    scored = score(part, compared, found, weights, language, subjects, w, preferred)
    if part.elliptic and "why" in part.kinds:  # being on the subject is not a reason
        scored = [s for s in scored if s.wanted == 1.0]
    first = pick(scored, 1, taken, w=w)
    if not first:
        return Passage("declined", (), 0.0, "no sentence in the evidence")
    best = first[0]
    confidence = 0.55 * max(best.similarity, 0.0) + 0.45 * best.cover if part.words else max(best.similarity, 0.0)
    if best.cover < limits.least_cover and part.words:
        return Passage("declined", tuple(first), confidence, "too few of the question's words occur")
    if best.similarity < limits.least_similarity or confidence < limits.fair:
        return Passage("declined", tuple(first), confidence, "no sentence is close enough to the question")
    gap = _attribute_missing(part, best)
    if gap and best.similarity < limits.by_meaning_alone:
        return Passage("declined", tuple(first), confidence, f"nothing on {', '.join(gap)}", missing=gap)
    fitting = [
        s
        for s in scored
        if s.score >= 0.75 * best.score
        and _same_subject(part, best, s, subjects)
        and not _attribute_missing(part, s)
        # A support that shares no word with the question says something else about its title.
        and (not part.words or cover(part.words, weights, s.candidate.found))
    ]
    exact = bool({"number", "when"} & set(part.kinds))
    if exact:
        fitting = [s for s in fitting if s.wanted >= best.wanted and s.cover >= 0.95 * best.cover]
    most = min(supports, 1) if exact or confidence < limits.sure else supports
    more = pick(fitting, most, [*taken, best], least=0.5 * best.score, w=w)
    status = "answered" if confidence >= limits.sure else "partial"
    reason = "" if status == "answered" else "the evidence fits the question only in part"
    if status == "answered" and _empty_form(part, [best, *more]):
        status, reason = "partial", "the evidence is on the subject, but not the kind of answer that is asked for"
    return Passage(status, (best, *more), confidence, reason, _conflict(part, best, scored))


def _attribute_missing(part: Part, best: Scored) -> tuple[str, ...]:
    """The words that ask something of the subject, when the best sentence has none of them: the subject is known,
    but not what is asked of it."""
    about = best.candidate.titled
    if part.elliptic:  # asks for a reason, not for an attribute
        return ()
    asked = [w for w in part.words if w.key not in about and not any(c.isdigit() for c in w.key)]
    there = best.candidate.found | best.candidate.titled
    found = cover(asked, dict.fromkeys((w.key for w in asked), 1.0), there)
    return tuple(w.surface for w in asked) if asked and not found else ()


def _same_subject(part: Part, best: Scored, other: Scored, subjects: frozenset[str]) -> bool:
    """Whether a support speaks of what the question names, as the best sentence does."""
    asked = {w.key for w in part.words}
    there = best.candidate.found | best.candidate.titled
    names = {k for k in asked & there if any(c.isdigit() for c in k)}
    if not part.elliptic and not names <= other.candidate.found | other.candidate.titled:
        return False
    about, other_about = best.candidate.evidence.subject, other.candidate.evidence.subject
    if about in subjects and not {"tell_apart", "list"} & set(part.kinds):
        return other_about in subjects
    if "definition" in part.kinds:
        return other_about == about
    return not asked & best.candidate.titled or bool(asked & (other.candidate.titled | other.candidate.found))


def _empty_form(part: Part, chosen: Sequence[Scored]) -> bool:
    """A number or a time was asked for and none of the sentences has one."""
    strict = {"number", "when"}
    return (
        bool(strict & set(part.kinds))
        and not set(part.kinds) - strict - {"list", "definition"}
        and all(s.wanted < 0.3 for s in chosen)
    )


def _conflict(part: Part, best: Scored, scored: Sequence[Scored]) -> Scored | None:
    """Another record's number for the same attribute of the same subject that differs."""
    if "number" not in part.kinds:
        return None
    ours = [q for q in quantities(best.candidate.text) if q.base]
    own = best.candidate.evidence
    for other in scored:
        theirs = [q for q in quantities(other.candidate.text) if q.base]
        where = other.candidate.evidence.provenance
        if (
            (where.source, where.record) != (own.provenance.source, own.provenance.record)
            and where.subject == own.provenance.subject
            and other.wanted >= 1.0
            and other.cover >= 0.95 * best.cover
            and overlap(best.candidate, other.candidate) >= 0.6
            and {q.base for q in ours} & {q.base for q in theirs}
            and not any(a.same(b) for a in ours for b in theirs)
        ):
            return other
    return None


def corrected(question: Question, evidence: Sequence[Evidence]) -> Question:
    """The question with words misspelt by a letter or two read as the evidence spells them; digits never change."""
    vocabulary = {k for e in evidence for k in keys(_everything(e))}

    def mend(word: Word) -> Word:
        if word.key in vocabulary or len(word.key) < 5:
            return word
        near = [v for v in vocabulary if v[:1] == word.key[:1] and _designation(v) == _designation(word.key)]
        best = difflib.get_close_matches(word.key, near, n=1, cutoff=0.84)
        return replace(word, key=best[0]) if best else word

    def all_of(words: Sequence[Word]) -> tuple[Word, ...]:
        return tuple({w.key: w for w in map(mend, words)}.values())

    return replace(
        question,
        parts=tuple(replace(p, words=all_of(p.words)) for p in question.parts),
        words=all_of(question.words),
        names=all_of(question.names),
    )


def _everything(item: Evidence) -> str:
    return f"{item.title}. {headed(item)}. {'. '.join(item.aliases)}. {item.text}"


def _designation(key: str) -> str:
    """What follows the letters of a name: "2c" of "sentinel2c"."""
    return re.sub(r"^[^\W\d_]+", "", key)


def unresolved(question: Question, evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """The names and the quantities of a question that no evidence mentions, as they were written.

    A name may stand in another form of the word, or be an acronym of a title; its digits must be met.
    """
    texts = [_everything(e) for e in evidence]
    vocabulary = {k for t in texts for k in keys(t)}
    titles = [name for e in evidence for name in (e.title, *e.aliases)]
    missing = [w.surface for w in question.names if not _known(w, vocabulary, titles)]
    if question.quantities and not _COMPARES.search(question.text):
        there = [q for t in texts for q in quantities(t) if q.base]
        missing += [q.text for q in question.quantities if not any(q.same(t) for t in there)]
    # What holds for no year or for another does not answer for this one.
    years = re.findall(r"\b(?:1[89]|20)\d\d\b", question.text)
    missing += [year for year in years if not any(year in t for t in texts)]
    if months := [t for t in times(question.text) if t.month]:
        held = [t for text in texts for t in times(text)] + [time_of(f) for e in evidence for f in e.facts]
        missing += [str(m) for m in months if not any(m.fits(t) for t in held)]
    return tuple(dict.fromkeys(missing))


def _known(word: Word, vocabulary: set[str], titles: Sequence[str]) -> bool:
    if word.key in vocabulary:
        return True
    digits = re.sub(r"\D", "", word.key)
    if len(word.key) >= 5 and not digits and any(len(v) >= 5 and v.startswith(word.key[:6]) for v in vocabulary):
        return True
    short = re.fullmatch(r"([a-z])(\d+)[a-z]?", word.key)
    for title in titles:
        parts = re.findall(r"[^\W\d_]+|\d+", title)
        initials = "".join(p[0] for p in parts if p[0].isalpha() and p.lower() not in ("of", "and", "the")).lower()
        if word.key.isalpha() and 2 <= len(word.key) <= 6 and word.key in initials:
            return True
        if short and any(a[0].lower() == short[1] and b.lstrip("0") == short[2] for a, b in pairwise(parts)):
            return True
    return False
