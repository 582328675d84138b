"""Answers by texts: of the subjects that a question names, else of whatever the evidence says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from . import figures, known, listing, searching
from .about import About
from .aspects import belongs
from .candidates import Candidate
from .compose import cite, quotes
from .facts import Asked
from .lexicon import lexicon
from .passages import Passage, answer_part
from .questions import Part
from .scoring import Scored, weigh
from .searching import FIRST_PARTS, LOOSE, SUPPORTS
from .state import State
from .times import times
from .words import cover, question_words

_DESIGNATION = re.compile(r"[a-z]{0,2}\d+[a-z]?")
_COUNTRY = re.compile(
    r"\b(?:wh(?:ich|at|ose) (?:country|nation|territory|state|continent)|where(?: is|['’]s| are| lies?))\b",
    re.IGNORECASE,
)
_NEARLY = 0.75  # a sentence that gives a reason may be so much less alike than one that gives none
_SMALL_TALK = 3  # words that a question for a country may have left over
_BAND = re.compile(r"\b(?:have|has|carry|carries|include|includes|got)\b.*\b(?:band|channel)s?\b", re.IGNORECASE)
_MOST_BANDS = 3  # sentences
_MOST_ELSEWHERE = 0.5
_PLAIN_VERDICT = 0.75  # so much of a question must be in the sentence that says yes or no


def _known(state: State, part: Part, gone: Sequence[str]) -> tuple[list[str], str] | None:
    """An answer about what the question names or lists; None where that must be searched for."""
    if gone and state.foreign() and (figure := figures.told(state, part)):
        return figure  # the names that nobody knows may be words of another language
    if gone:
        return None
    asked = listing.wanted(part.text)
    if asked and (said := known.enumerated(asked, state.all, state.prompt.evidence)):
        return searching.say(state, part, said)
    if figure := figures.told(state, part):
        return figure
    about = state.about_of(part)
    if not about.subjects or part.elliptic:
        return None
    kinds = set(part.kinds)
    own = known.of(state.all, about.subjects)
    if not own:
        return None
    apart = "tell_apart" in kinds or (not kinds and re.search(r"\b(?:or|vs|versus)\b", part.text, re.I))
    if apart and about.apart:
        sayable = [c for c in own if c.evidence.part != "fact"]
        near = state.similarity(part.text, sayable)
        if said := known.told_apart(about, sayable, near):
            return searching.say(state, part, said)
    bare = (
        not about.left
        and not about.apart
        and (kinds & {"definition", "describe", "where", "identify"} or not (kinds or about.parts))
    )
    places = all(s.startswith("place/") for s in about.subjects)
    if places and "where" in kinds and _COUNTRY.search(part.text):
        bare = len(about.left) <= _SMALL_TALK
    defines = bare or ("definition" in kinds and known.spelling_out(part))
    if kinds <= {"definition", "identify", "describe", "number"} and known.asks_of_value(part, about):
        near = state.similarity(part.text, known.of_values(own))
        if said := known.valued(about, own, near):
            return searching.say(state, part, said)
    if defines and (said := known.defined(part, about, own, state.prompt.evidence)):
        return searching.say(state, part, said)
    may_lack = not kinds or kinds & {"number", "when", "list", "yes_no", "definition", "formula"}
    if may_lack and (no := known.denied(about, own)) and _denial_fits(state, about, no):
        state.taken.append(Scored(no, 1.0, 1.0, 1.0, 1.0))
        return searching.say(state, part, known.Said(tuple(quotes([no])), "denied"))
    if (said := _has_not(state, part, about, own)) is not None:
        return searching.say(state, part, said)
    if _more_elsewhere(state, about, own):  # the lake is where, and not what
        return searching.anywhere(state, part, about.subjects)
    told = _of_subject(state, part, about, own)
    common = not any(any(c.isupper() or c.isdigit() for c in about.called[s]) for s in about.subjects)
    if told[1] == "declined" and common and state.confidences:  # a common noun may be told of under another title
        state.confidences.pop()
        return searching.anywhere(state, part)
    return told


def _of_subject(state: State, part: Part, about: About, own: Sequence[Candidate]) -> tuple[list[str], str]:
    """What a named subject's own texts say to what is asked of it."""
    sayable = [c for c in own if c.evidence.part != "fact"] or list(own)
    months = [t for t in times(state.question.text) if t.month]
    sayable = [c for c in sayable if not months or not searching.of_other_months(c, months)]
    words = about.left
    if about.apart:  # what is said of one should speak of the other
        named = {w.key: w for s in about.subjects for w in question_words(about.called[s])}
        words = tuple({w.key: w for w in (*words, *named.values())}.values())
    there = frozenset().union(*(c.found | c.titled for c in own))
    if any(_DESIGNATION.fullmatch(w.key) and not cover([w], {w.key: 1.0}, there) for w in about.left):
        return [""], "declined"  # a band that it has not
    asked = replace(part, words=words)
    weights = {**state.weights, **weigh(words, state.language)}
    preferred = about.parts or FIRST_PARTS
    supports = max(SUPPORTS - 1 - (len(state.question.parts) - 1), 1)

    def searched(among: Sequence[Candidate]) -> Passage:
        return answer_part(
            asked, part.text, among, weights, state.language, subjects=frozenset(about.subjects), taken=state.taken,
            supports=supports, limits=LOOSE, preferred=preferred,
        )  # fmt: skip

    passage = searched(sayable)
    if "why" in part.kinds and passage.chosen and passage.chosen[0].wanted < 1:
        reasons = searched([c for c in sayable if lexicon().causal.search(c.body)])
        if reasons.chosen and reasons.chosen[0].similarity >= _NEARLY * passage.chosen[0].similarity:
            passage = reasons
    state.note(part, passage)
    if not passage.chosen:
        return [""], "declined"
    best = passage.chosen[0]
    figure = bool({"number", "when"} & set(part.kinds))
    if about.parts and not words and not figure and (first := searching.beginning(about.parts, sayable)):
        best = replace(best, candidate=first)
    chosen = [best.candidate, *(s.candidate for s in passage.chosen[1:] if s.candidate is not best.candidate)]
    if not {"number", "when", "yes_no"} & set(part.kinds):
        chosen = searching.run_on(best.candidate, sayable, chosen[1:], "list" in part.kinds or not part.kinds)
    features = searching.features_of(state, part, best, chosen, words, weights, preferred)
    of_it = Asked.of(about.rest, ())
    held = [w for w in of_it.words if w.key != "band"] if of_it.wanted else []
    there = frozenset().union(*(c.found | c.titled for c in chosen))
    features |= {
        "apart": float(about.apart),
        "lacking": 1 - cover(held, weigh(held, state.language), there) if held else 0.0,
    }
    lines = quotes(chosen)
    if "yes_no" in part.kinds and features["first"] >= _PLAIN_VERDICT:
        verdict = "No" if known.denies(best.candidate.text) else "Yes"
        lines[0] = f"{verdict}: {lines[0]}"
    if passage.conflict:
        lines = searching.with_conflict(lines, passage.conflict)
    return searching.say(state, part, known.Said(tuple(lines), "subject", features))


def _more_elsewhere(state: State, about: About, own: Sequence[Candidate]) -> bool:
    """Whether nothing of what has a common name has any of the words asked of it, and sentences on another have them. A
    name is common where the texts write it small: "a lake is"."""
    names = [about.called[s].lower() for s in about.subjects]
    if not about.left or not all(any(re.search(rf"\b{re.escape(n)}", c.text) for c in own) for n in names):
        return False
    weights = weigh(about.left, state.language)

    def most(among: Sequence[Candidate]) -> float:
        return max((cover(about.left, weights, c.found) for c in among), default=0.0)

    things = [c for c in state.all if not c.evidence.subject.startswith("place/")]  # "copper" is no river
    return not most(own) and most(things) >= _MOST_ELSEWHERE


def _has_not(state: State, part: Part, about: About, own: Sequence[Candidate]) -> known.Said | None:
    """That no band of a kind is named of a subject, with the bands that it has: absence is told, not concluded."""
    if "yes_no" not in part.kinds or not _BAND.search(part.text) or len(about.subjects) != 1:
        return None
    there = frozenset().union(*(c.found | c.titled for c in own))
    lacking = [w for w in about.left if w.key not in ("band", "channel") and not cover([w], {w.key: 1.0}, there)]
    bands = sorted((c for c in own if belongs(c.evidence.part, ["bands"])), key=lambda c: (c.rank, c.place))
    if not lacking or not bands or any(_DESIGNATION.fullmatch(w.key) for w in lacking):
        return None
    kind = " ".join(w.surface for w in lacking)
    if not re.search(rf"\b{re.escape(kind)}[\s-]+(?:band|channel)s?\b", part.text, re.IGNORECASE):
        return None  # bands for something, and not of a kind
    none = f"No {kind} band is named among the bands of {about.called[about.subjects[0]]}."
    first = cite(none, [c.number for c in bands[:_MOST_BANDS]])
    return known.Said((first, *quotes(bands[:_MOST_BANDS])), "denied")


def _denial_fits(state: State, about: About, no: Candidate) -> bool:
    """Whether nothing else of the subject gives what it is said not to have."""
    wanted = known.wanted_of(about)
    others = [c for c in known.of(state.all, about.subjects) if c is not no and not known.denies(c.text)]
    return not any(wanted <= c.found for c in others)


def answer(state: State, part: Part, gone: Sequence[str]) -> tuple[list[str], str]:
    """What the evidence says to a part of a question; declined where names are `gone` that nobody knows."""
    if (told := _known(state, part, gone)) is not None:
        return told
    if gone:
        # An unknown name can never be answered by what is known of others.
        return [""], "declined"
    if not part.elliptic:
        return searching.anywhere(state, part)
    found = state.all if not state.taken else state.related()
    passage = searching.search(state, state.leaning(part), state.compared(part), found, state.subjects())
    if passage.status == "declined":
        if "why" in part.kinds and any(lexicon().causal.search(s.candidate.text) for s in state.taken):
            return [], "answered"  # what was said already gives the reason
        unsaid = "The evidence does not say why." if "why" in part.kinds else ""
        return ([unsaid], "partial") if state.taken else ([""], "declined")
    return quotes([s.candidate for s in passage.chosen]), passage.status
