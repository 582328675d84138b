"""Words of a question that stand for something said before, and what they stand for. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

from ..answering.questions import kinds_of
from .context import Context
from .names import Entity, mentions
from .wording import (
    AMONG,
    ANY_NOUN,
    CLAUSE,
    DEFINITE,
    EMPTY_IT,
    EXISTS,
    JOINED_EXISTS,
    LEAD,
    MEANING,
    PLACED,
    PRONOUN,
    THERE,
    THIN,
    THIS,
)

Lean = Literal["pronoun", "this", "there", "exists", "noun"]

_ABOUT_SCENE: Final = ("where", "near", "identify", "describe")
"""Kinds of questions in which "it" is the image, where what was spoken of is a kind of thing it was named as."""
_PATTERNS: Final = {"pronoun": PRONOUN, "this": THIS, "there": THERE, "noun": DEFINITE, "exists": EXISTS}


def filled(text: str, names: Sequence[tuple[str, int]], entity: Entity, context: Context) -> tuple[str, str, bool]:
    """(the question with the entity in the place of what stands for it, what was understood, whether it leans on
    something that cannot be told). `names` are its own proper names and where they stand."""
    lean = None if mentions(text, entity) else leaning(text, names, context)
    if lean is None:
        return text, "", False
    if context.current and entity.is_class and any(kind in _ABOUT_SCENE for kind in kinds_of(text, True)):
        return text, "", False
    told = entity.told
    if lean == "pronoun" and AMONG.search(text):
        together = list(dict.fromkeys(e.told for e in context.entities[:2]))
        if len(together) < 2:
            return text, "", True
        told = " and ".join(together)

    # "When did they build it?": of both only "it" is what was spoken of.
    both = re.search(r"\b(?:it|its)\b", text, re.I) and re.search(r"\b(?:they|their|them)\b", text, re.I)

    def put(match: re.Match[str]) -> str:
        if both and match.group().lower().startswith("the"):
            return match.group()
        return entity.own if match["own"] else told

    place: dict[Lean, Callable[[], str]] = {
        "pronoun": lambda: PRONOUN.sub(put, text),
        "noun": lambda: DEFINITE.sub(put, text, count=1),
        "this": lambda: THIS.sub(lambda _: told, text, count=1),
        "there": lambda: THERE.sub(lambda _: f"in {told}", text, count=1),
        "exists": lambda: f"{text.rstrip(' ?')} in {told}?",
    }
    full = LEAD.sub("", place[lean]())
    match = next((m for m in _PATTERNS[lean].finditer(text) if lean != "pronoun" or put(m) != m.group()), None)
    return full[:1].upper() + full[1:], f"'{match.group() if match else lean}' is {told}", False


def leaning(text: str, names: Sequence[tuple[str, int]], context: Context) -> Lean | None:
    """By what a question leans on an earlier turn, None when it stands alone."""
    if match := PRONOUN.search(text):
        own = EMPTY_IT.search(text) or MEANING.search(text) or _antecedent(text[: match.start()], names)
        return None if own else "pronoun"
    if names or MEANING.search(text):
        return None
    noun = DEFINITE.search(text)
    head = noun["noun"].lower() if noun else ""
    entity = context.entities[0] if context.entities else None
    if context.current:
        # With an image at hand, "this", "here" and "the area" are what it shows.
        return "noun" if head and entity and not entity.is_class and head in entity.title.lower() else None
    if (match := THIS.search(text)) and not _antecedent(text[: match.start()], names):
        return "this"
    if EXISTS.search(text) and JOINED_EXISTS.match(text) and not PLACED.search(text):
        return "exists"
    if THERE.search(text):
        return "there"
    known = entity is None or re.fullmatch(ANY_NOUN, head) or head in entity.title.lower()
    return "noun" if head and known else None


def _antecedent(before: str, names: Sequence[tuple[str, int]]) -> bool:
    """Whether what stands before a pronoun names what it means: a proper name, or a noun in a clause of its own."""
    if any(at < len(before) for _, at in names):
        return True
    cuts = list(CLAUSE.finditer(before))
    clauses = LEAD.sub("", before[: cuts[-1].start()]) if cuts else ""
    nouns = re.search(r"[^\W\d]{2}", THIN.sub(" ", CLAUSE.sub(" ", clauses)))
    return nouns is not None and not PRONOUN.search(clauses)
