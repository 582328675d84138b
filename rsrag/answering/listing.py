"""Questions for all of a kind: "which satellites carry thermal bands?", "indices for water", "sensors below 1 m"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..types import Fact
from .facts import Asked, fitting
from .lexicon import lexicon
from .quantities import Found, quantities
from .words import Word, cover, keys, question_words, stem

_DENIES: Final = re.compile(
    r"\b(?:no|not|without|lacks?|lacking|cannot|neither|nor|never|none|unlike|instead of|rather than)\b|n['’]t\b",
    re.IGNORECASE,
)
_LESS: Final = re.compile(
    r"\b(?:below|under|less than|at most|better than|finer than|smaller than|sharper than|lower than|shorter than"
    r"|before|fewer than|within|up to|narrower than|no more than|or better|or less|sub-?)\b|<",
    re.IGNORECASE,
)
_MORE: Final = re.compile(
    r"\b(?:above|over|more than|at least|larger than|wider than|greater than|higher than|longer than|after|since"
    r"|coarser than|exceed\w*|beyond|or more)\b|>",
    re.IGNORECASE,
)
_TELLING: Final = frozenset(("radar", "optical"))  # kinds of things, and what is asked of them
_RESOLUTION: Final = (stem("resolution"), stem("best"))
_ASKS: Final = re.compile(
    r"\b(?:which|what|list|name|show|any|all|are there|is there|give me|tell me|names? of|examples?)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A list that is asked for: `kind` is the first part of the subjects, `words` what they must have to do with.

    With a `bound` a figure of theirs must lie below (`side` -1) or above (1) it.
    """

    kind: str
    words: tuple[Word, ...]
    asked: Asked
    bound: Found | None = None
    side: int = 0


def wanted(text: str) -> Wanted | None:
    """The list that a question asks for, or None: it must name a kind of things, in the plural or after "which"."""
    lex = lexicon()
    match = next((m for m in re.finditer(r"[^\W\d_]+", text) if m.group().lower() in lex.class_nouns), None)
    if match is None or not (_ASKS.search(text) or len(text.split()) <= 6):
        return None
    noun = match.group().lower()
    before = text[: match.start()].lower()
    if not noun.endswith(("s", "a", "ices")) and not re.search(r"\b(?:which|what|any)\b[^,.]{0,30}$", before):
        return None
    if re.search(r"\b(?:bands?|channels?) (?:of|on|in|from)\b", text, re.IGNORECASE):
        return None
    plain = re.sub(r"(?<=\w)['’]s\b", " ", text)
    words = [
        w
        for w in question_words(plain)
        if w.key not in (lex.idle - _TELLING) | lex.forms["list"] | lex.listing
        and (w.key in _TELLING or lex.classes.get(w.key) != lex.classes[stem(noun)])
    ]
    side = -1 if _LESS.search(text) else 1 if _MORE.search(text) else 0
    years = [Found(float(y), "", y) for y in re.findall(r"\b(?:19|20)\d\d\b", text)]
    found = [q for q in quantities(text) if q.base] or (years if side else [])
    asked = Asked.of(text, ())
    if side and found and not asked.wanted and found[0].base == "m":  # "sensors below 1 m": what they resolve
        asked = replace(asked, wanted=(_RESOLUTION,))
    if side and found and asked.wanted:
        return Wanted(lex.classes[stem(noun)], (), asked, found[0], side)
    return Wanted(lex.classes[stem(noun)], tuple(words), asked) if words else None


def supports(words: Sequence[Word], sentence: str, titled: Iterable[str] = ()) -> float:
    """How much of what is asked a sentence says of its subject, 0..1; 0 where it denies something."""
    if not words or _DENIES.search(sentence):
        return 0.0
    return cover(words, {w.key: 1.0 for w in words}, {*keys(sentence), *titled})


def covers(words: Sequence[Word], there: Iterable[str]) -> float:
    """How much of what is asked occurs, 0..1."""
    return cover(words, {w.key: 1.0 for w in words}, there) if words else 0.0


def within(listed: Wanted, facts: Sequence[Fact]) -> list[Fact]:
    """The facts of one subject that lie on the side of the bound that is asked for."""
    found = []
    bound = listed.bound
    for one in listed.asked.each if bound else ():
        for fact, _ in fitting(Asked((), (), wanted=one.wanted), facts):
            value = _in_base(fact)
            if bound and value and value.base == bound.base and (value.value - bound.value) * listed.side > 0:
                found.append(fact)
    return found[:1]


def _in_base(fact: Fact) -> Found | None:
    if not isinstance(fact.value, int | float):
        return None
    base, factor = lexicon().units.get(fact.unit.lower(), ("", 1.0))
    return Found(float(fact.value) * factor, base, str(fact.value))
