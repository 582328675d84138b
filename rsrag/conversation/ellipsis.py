"""Questions that leave out what the one before said: "and when?", "what about 2020?", "tell me more". Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..answering.questions import kinds_of
from .names import Entity, mentions, named
from .wording import (
    ABOUT,
    AUXILIARY_LEAD,
    BARE_QUESTION,
    COUNTABLE,
    COUNTED,
    LABELLED,
    LEAD,
    LEANS,
    MORE,
    PASSIVE,
    PHRASE,
    QUESTION_LEAD,
    QUESTION_WORD_LEAD,
    TIME,
    VERB,
)


def bare(text: str) -> str:
    """Without the words that only join it to the turn before, and without its end mark."""
    stripped = text.strip().rstrip(" ?!.…")
    left = re.sub(r",? please$", "", LEAD.sub("", stripped), flags=re.I)
    return left or ("now" if stripped.lower().endswith("now") else "")  # "and now?" is about now


def completed(text: str, before: str, entities: Sequence[Entity]) -> str | None:
    """The question in full, given the question `before`; None when it leaves nothing out, "" when it does and what it
    leaves out is not to be told."""
    left = bare(text)
    joined = LEAD.match(text.strip()) is not None
    if MORE.match(left):
        return f"Tell me more about {entities[0].told}." if entities else (f"Tell me more: {before}" if before else "")
    if match := BARE_QUESTION.match(left):
        return _asked_anew("why" if match["reason"] else match["word"], before, entities) if before else ""
    if LEANS.search(left):
        return None
    if match := ABOUT.match(left):
        what = next(group for group in match.groups() if group)
        return _instead(what, before, entities) if before else ""
    if PHRASE.match(left) and not VERB.search(left):
        return _instead(left, before, entities) if before else ""
    if joined and left and not VERB.search(left) and not QUESTION_WORD_LEAD.match(left) and len(left.split()) <= 5:
        return _instead(left, before, entities) if before else ""
    return None


def _asked_anew(wh: str, before: str, entities: Sequence[Entity]) -> str:
    """The question before with another question word: "Who was it built by?" + "when" -> "When was it built?"."""
    stem = before.strip().rstrip(" ?!.")
    asked = wh[0].upper() + wh[1:].lower()
    if asked == "Why" and "identify" in kinds_of(stem, True):
        return f"{stem}, and how can I tell?"
    if asked.startswith("How ") and entities and not re.match(r"how ", stem, re.I):
        return f"{asked} is {entities[0].told}?"
    if match := QUESTION_LEAD.match(stem):
        rest = match["rest"]
        passive = PASSIVE.match(rest)
        if asked == "Who":
            return f"By whom {rest}?" if passive else f"{asked}? {stem}?"
        # "What is the swath of it?" asks for what would be missing then.
        if re.match(r"(?:what|which|who|whom)\b", match["word"], re.I) and not passive:
            return f"{asked}? {stem}?"
        return f"{asked} {re.sub(r' by$', '', rest)}?"
    if AUXILIARY_LEAD.match(stem):
        return f"{asked} {stem[0].lower()}{stem[1:]}?"
    return f"{asked}? {stem}?"


def _instead(what: str, before: str, entities: Sequence[Entity]) -> str:
    """The question before with `what` in the place of its like: a time for a time, band 8 for band 4, a name for a
    name; added to it where there is none. "" when it is not to be told what is meant."""
    stem = before.strip().rstrip(" ?!.")
    what = what.strip()
    if re.search(r"\bones?\b", what, re.I):  # the second one of what?
        return ""
    if TIME.fullmatch(re.sub(r"^the (?:year|month|season) ", "", what)):
        return _at_time(what, stem)
    core = re.sub(r"^(?:in|on|at|for|from|of|with|near|by) ", "", what, flags=re.I)
    if (new := LABELLED.fullmatch(core)) and (old := _same_label(new["what"], stem)):
        return f"{stem[: old.start()]}{core}{stem[old.end() :]}?"
    if (counted := COUNTED.match(stem)) and COUNTABLE.fullmatch(core):
        return f"{counted['how']} {core}{stem[counted.end() :]}?"
    spoken = next((said for entity in entities if (said := mentions(stem, entity))), "")
    name = spoken or next((own for own, _ in reversed(named(stem))), "")
    alike = named(core) or (core == what and not re.match(r"the ", core, re.I))
    if name and alike:
        return re.sub(rf"(?:\b[Tt]he )?{re.escape(name)}", lambda _: core, stem, count=1) + "?"
    return f"{stem} {what}?" if PHRASE.match(what) else f"{stem}, for {core}?"


def _at_time(what: str, stem: str) -> str:
    if re.match(r"when\b", stem, re.I):
        return ""
    placed = re.match(r"(?:in|during|for|since|from|by|as of|last|this|today|now)\b", what, re.I)
    said = what if placed else f"in {what}"
    return f"{TIME.sub(lambda _: said, stem, count=1)}?" if TIME.search(stem) else f"{stem} {said}?"


def _same_label(kind: str, stem: str) -> re.Match[str] | None:
    plain = kind.lower().rstrip("s")
    return next((m for m in LABELLED.finditer(stem) if m["what"].lower().rstrip("s") == plain), None)
