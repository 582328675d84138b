"""Facts that a question asks for: by the words of their attribute, and by the month or year that it names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ..types import Fact
from .lexicon import lexicon
from .mentions import key_of, mentions, names_of, without
from .times import LOWER, WHEN, Time, time_of, times
from .words import Word, cover, keys, question_words, stem

LEAST_TOLD: Final = 0.34
"""So much of an attribute must be asked for."""
LEAST_FIT: Final = 0.6

# "how high is the albedo" asks for a figure, and "the bridge in this image" for whatever the image shows.
_FORM: Final = re.compile(
    r"\bhow\s+(?:high|low|large|big|great|strong)\b(?=\s+(?:is|was|are|were)\s+the\b)", re.IGNORECASE
)
_SHOWN: Final = re.compile(
    r"\b(?:the|this|that)\s+[\w-]+(?:\s+(?:shown|seen|visible))?\s+(?:in|on)\s+(?:this|the)\s+(?:image|picture|photo|scene)\b"
    r"|\b(?:this|that)\s+(?:place|landmark|site|location|spot|building|structure)\b",
    re.IGNORECASE,
)
_UNIT_IN: Final = re.compile(
    r"\b(?:in|as) ([a-zµμ²/%°]{1,12}2?)(?=\s*(?:[?.!,;)]|$))|\(([a-zµμ²%°]{1,11})\)\s*\??$", re.I
)
_ORDINAL: Final = re.compile(r"(?<![\w.,-])\d{1,2}(?![\w.,]*\w)")
_ENDS: Final = frozenset("lower upper minimum maximum first second lowest highest near far".split())
_DESIGNATION: Final = re.compile(r"[A-Za-z]{0,2}\d+[A-Za-z]?")
_CODE: Final = re.compile(r"\(([^()\s]*[A-Z\d][^()\s]*)\)\s*$")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks of a subject.

    `wanted` are attributes that it asks for in words of its own, each by the stems of its name; `words` all else that
    is not the subject's name; `times` when; `numbers` the small whole numbers it names ("land cover type 5"); `called`
    the names of the subject that it uses (`mentions.key_of`); `unit` the one that it wants the figure in; `plain` the
    words where no such attribute is understood.
    """

    words: tuple[Word, ...]
    times: tuple[Time, ...]
    numbers: frozenset[str] = frozenset()
    called: tuple[str, ...] = ()
    unit: str = ""
    wanted: tuple[tuple[str, ...], ...] = ()
    plain: tuple[Word, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.wanted)

    @property
    def at_any_time(self) -> Asked:
        """The same, whenever it holds."""
        return replace(self, times=())

    @property
    def each(self) -> list[Asked]:
        """One for each attribute that is wanted."""
        return [replace(self, wanted=(one,)) for one in self.wanted] or [self]

    @classmethod
    def of(cls, text: str, names: Iterable[str], others: Iterable[str] = ()) -> Asked:
        """From a question about something called by one of `names`, its title first; it may name `others` too."""
        names = list(names)
        plain = _FORM.sub(" ", _SHOWN.sub(" ", LOWER.sub(" ", WHEN.sub(" ", text))))
        called_so = names_of(names[0], names[1:]) if names else []
        # Of others only proper names are taken out: "drought" may be what is asked of an index.
        found = mentions(plain, [*called_so, *(n for n in others if n.islower() is False)])
        found = [m for m in found if m.name in called_so or re.search(r"[A-Z\d]", plain[m.start : m.end])]
        own = {key_of(name) for name in called_so}
        plain = re.sub(r"(?<=\w)['’]s\b", " ", without(plain, found))
        called = {key for name in names[: 1 if found else None] for key in keys(name)}
        lex = lexicon()
        lowered = " ".join(plain.lower().replace("’", "'").split())
        told = [a for a in lex.attributes if any(cue.search(lowered) for cue in a.cues)]
        drop = frozenset().union(*(a.drop for a in told))
        forms = lex.forms["number"] | lex.forms["when"] | lex.forms["list"]
        unit = _unit_in(plain)
        every = [
            w
            for w in question_words(_UNIT_IN.sub(" ", plain) if unit else plain)
            if w.key not in called and w.key not in lex.scene_words and w.key not in forms
        ]
        degrees = lex.greater | lex.smaller if told else frozenset()
        words = tuple(w for w in every if not {w.key} & (drop | lex.idle) and w.surface.lower() not in degrees)
        numbers = frozenset(_ORDINAL.findall(plain))
        return cls(
            words,
            tuple(times(text)),
            numbers,
            tuple(key_of(m.name) for m in found if key_of(m.name) in own),
            unit,
            tuple(a.words for a in told),
            tuple(every),
        )


def _unit_in(text: str) -> str:
    """The unit that a question wants its figure in: "in miles", "(nm)?"."""
    match = _UNIT_IN.search(text)
    unit = next((u for u in match.groups() if u), "").lower() if match else ""
    return unit if unit in lexicon().units else ""


def fitting(asked: Asked, facts: Sequence[Fact]) -> list[tuple[Fact, float]]:
    """The facts that are asked for with how well their attribute fits, 0..1, best first.

    A month or a year in the question must be the fact's own; without one, what holds at no certain time, or for
    longer and later, comes first. What is known by the very name that the question uses comes before what is not.
    """
    found = []
    for one in asked.each if asked else ():
        for fact in facts:
            fit, when = _fit(one, fact), time_of(fact)
            if fit and (not asked.times or any(t.fits(when) or _dated(fact, t) for t in asked.times)):
                found.append((fact, fit, when))
    if not found and asked.wanted and asked.plain:
        return fitting(replace(asked, words=asked.plain, wanted=(), plain=()), facts)
    if own := [item for item in found if _named(item[0], asked.called)]:
        found = own
    found.sort(key=lambda item: (-round(item[1], 6), bool(item[2].month), bool(item[2].year), -item[2].year))
    return list({fact: (fact, fit) for fact, fit, _ in found}.values())


def _dated(fact: Fact, time: Time) -> bool:
    """Whether an attribute says its year itself: "population (2017 estimate)"."""
    return not time.month and str(time.year) in fact.attribute


def _named(fact: Fact, called: Sequence[str]) -> bool:
    """Whether an attribute names the one of several things that the question calls the subject by."""
    words = re.findall(r"[\w-]+", fact.attribute)
    runs = {key_of(" ".join(words[i:j])) for i in range(len(words)) for j in range(i + 1, min(i + 4, len(words)) + 1)}
    return not runs.isdisjoint(called)


def _fit(asked: Asked, fact: Fact) -> float:
    """How well an attribute is what is asked for, 0..1; every word of the question must be in it, or in the unit.

    Of an attribute that is asked for in other words its first word must be there. A figure of one band is not asked for
    where no band is.
    """
    there, heads = _words_of(fact.attribute, fact.unit)
    own = _ORDINAL.findall(fact.attribute)
    if own and asked.numbers and asked.numbers.isdisjoint(own):  # "type 1" is not type 5
        return 0.0
    shares = []
    for word in asked.words:
        shares.append(cover([word], {word.key: 1.0}, there))
        if shares[-1] == 0:  # most facts are not asked for, and there may be hundreds
            return 0.0
    tail = tail_of(fact.attribute)
    if tail and not cover(tail, {w.key: 1.0 for w in tail}, [w.key for w in asked.words] + [*asked.called]):
        return 0.0  # the length of something is nobody else's
    stems = asked.wanted[0] if asked.wanted else ()
    for place, stem_ in enumerate(stems):
        shares.append(cover([Word(stem_, stem_, (stem_,))], {stem_: 1.0}, there))
        if not place and stem_ not in there and lexicon().same_attribute.get(stem_, frozenset()).isdisjoint(there):
            return 0.0
    keys_asked = [*(w.key for w in asked.words), *stems]
    constraints = {w.key for w in asked.words} - {"band"}
    told = 0.0
    for words in heads:
        designated = any(_DESIGNATION.fullmatch(key) for key in words)
        if designated and not stems and list(words)[-1] not in keys_asked:
            continue  # "the red bands" asks for none of their figures
        if words and not (stems and designated and constraints.isdisjoint(words)):
            told = max(told, cover(list(words.values()), dict.fromkeys(words, 1.0), keys_asked))
    fit = (sum(shares) / len(shares) + told) / 2
    return fit if told >= LEAST_TOLD and fit >= LEAST_FIT else 0.0


@lru_cache(maxsize=4096)
def tail_of(attribute: str) -> tuple[Word, ...]:
    """The words of what an attribute is measured on: "a standard running track" of "length of a ..."."""
    match = re.search(r"\b(?:of|between|on|over|to) (?:an?|the|[A-Z\d]|bases\b)(.*)$", head_of(attribute))
    return tuple(question_words(match.group())) if match else ()


@lru_cache(maxsize=4096)
def _words_of(attribute: str, unit: str) -> tuple[tuple[str, ...], tuple[dict[str, Word], ...]]:
    """Everything that a question for an attribute may say, and the names of which it must say enough.

    "revisit time, two satellites" and "population (estimate)" are asked for by what stands first, "surface albedo
    (ALBEDO)" by its code as well.
    """
    lex = lexicon()
    # A unit is asked for in words too: "how many days", "in hectares".
    base = lex.units.get(unit.lower(), (unit,))[0]
    units = [spelling for spelling, (other, _) in lex.units.items() if other == base]
    code = _CODE.search(attribute)
    heads = []
    for name in (head_of(attribute), code[1] if code else ""):
        telling = {w.key: w for w in question_words(name)} or {k: Word(k, k, (k,)) for k in keys(name)}
        heads.append({k: w for k, w in telling.items() if k not in lex.forms["number"]} or telling)
    return (*keys(attribute), *keys(unit), *(stem(u) for u in units)), tuple(heads)


def alike(facts: Sequence[tuple[Fact, float]]) -> list[Fact]:
    """The first, and those that answer as well: variants of one attribute, such as "... , two satellites", the ends of
    a range, and what several of one kind have each."""
    if not facts:
        return []
    (first, best), base = facts[0], base_of(facts[0][0])
    when = time_of(first)
    same = [f for f, fit in facts if abs(fit - best) < 0.05 and base_of(f) == base and time_of(f) == when]
    return list(dict.fromkeys(same))


def base_of(fact: Fact) -> str:
    """An attribute without what tells its variants apart: behind a comma, the end of a range, a proper name."""
    words = head_of(fact.attribute).split()
    kept = [w for w in words if w.lower() not in _ENDS and not (w[:1].isupper() and not _DESIGNATION.fullmatch(w))]
    return " ".join(kept if kept and kept[0][:1].islower() else words)


def is_range(facts: Sequence[Fact]) -> bool:
    """Whether two figures are the ends of one range."""
    ends = [w for f in facts for w in head_of(f.attribute).lower().split() if w in _ENDS]
    return len(facts) == 2 and len(set(ends)) == 2 and all(isinstance(f.value, int | float) for f in facts)


def raw_head(attribute: str) -> str:
    """What stands before a comma or a bracket at the end."""
    return re.split(r"\s*,|\s*\([^()]*\)\s*$", attribute)[0]


def head_of(attribute: str) -> str:
    """The name of an attribute without comments."""
    return " ".join(re.sub(r"\([^()]*\)", " ", raw_head(attribute)).split()) or attribute


def as_number(fact: Fact) -> float:
    """A figure in the base unit of its dimension; 0 for a text."""
    return (
        float(fact.value) * lexicon().units.get(fact.unit.lower(), ("", 1.0))[1]
        if isinstance(fact.value, int | float)
        else 0.0
    )
