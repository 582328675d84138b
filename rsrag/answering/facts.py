"""Facts that a question asks for: by the words of their attribute, and by the month or year that it names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ..types import Fact
from .lexicon import lexicon
from .quantities import quantities
from .words import Word, cover, keys, question_words, stem

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
            "september sep sept", "october oct", "november nov", "december dec",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_NAMES: Final = "January February March April May June July August September October November December".split()
LEAST_TOLD: Final = 0.34
"""So much of an attribute must be asked for."""
LEAST_FIT: Final = 0.6
# "may" is a month only where it looks like one, and "march" likewise.
_WHEN: Final = re.compile(
    r"\b(?:(?P<month>January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar"
    r"|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?(?:\s+(?:of\s+)?(?P<year>(?:1[6-9]|20)\d\d))?"
    r"|(?P<iso>(?:1[6-9]|20)\d\d-(?:0[1-9]|1[0-2]))\b|(?P<alone>(?:1[6-9]|20)\d\d)\b(?![-–]\d))"
)
_LOWER: Final = re.compile(
    r"\b(?:in|of|during|for|last|this|each|every|by)\s+(january|february|march|april|may|june|july|august|september"
    r"|october|november|december)\b(?:\s+((?:1[6-9]|20)\d\d))?"
)

# "how high is the albedo" asks for a figure, and "the bridge in this image" for whatever the image shows.
_FORM: Final = re.compile(
    r"\bhow\s+(?:high|low|large|big|great|strong)\b(?=\s+(?:is|was|are|were)\s+the\b)", re.IGNORECASE
)
_SHOWN: Final = re.compile(
    r"\b(?:the|this|that)\s+[\w-]+(?:\s+(?:shown|seen|visible))?\s+(?:in|on)\s+(?:this|the)\s+(?:image|picture|photo|scene)\b"
    r"|\b(?:this|that)\s+(?:place|landmark|site|location|spot|building|structure)\b",
    re.IGNORECASE,
)
_ORDINAL: Final = re.compile(r"(?<![\w.,-])\d{1,2}(?![\w.,]*\w)")
_CODE: Final = re.compile(r"\(([^()\s]*[A-Z\d][^()\s]*)\)\s*$")


@dataclass(frozen=True, slots=True)
class Time:
    """A year, a month, or both; 0 where it is left open."""

    year: int = 0
    month: int = 0

    def fits(self, other: Time) -> bool:
        """Whether `other` (of a fact) says no less than this (of a question) and nothing else."""
        return self.year in (0, other.year) and self.month in (0, other.month)

    def __str__(self) -> str:
        month = _NAMES[self.month - 1] if self.month else ""
        return f"{month} {self.year or ''}".strip()


def times(text: str) -> list[Time]:
    """The months and years that a text names, in order."""
    found = []
    for match in _WHEN.finditer(text):
        if iso := match["iso"]:
            found.append(Time(int(iso[:4]), int(iso[5:])))
        elif match["alone"]:
            found.append(Time(int(match["alone"])))
        else:
            found.append(Time(int(match["year"] or 0), MONTHS[match["month"].lower().rstrip(".")]))
    if not any(t.month for t in found):
        found += [Time(int(m[2] or 0), MONTHS[m[1]]) for m in _LOWER.finditer(text)]
        found = [t for t in found if t.month] or found
    return list(dict.fromkeys(found))


def time_of(fact: Fact) -> Time:
    """When a fact holds: "2020-03", "2020", "March", "2020 March"; an open time where it says none of these."""
    text = fact.when.strip()
    if re.fullmatch(r"\d{1,2}", text) and 1 <= int(text) <= 12:
        return Time(0, int(text))
    found = times(text[:1].upper() + text[1:])
    return found[0] if len(found) == 1 else Time()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks of a subject: the words that are not its name, the time they are asked for, and the small
    whole numbers it names: "land cover type 5"."""

    words: tuple[Word, ...]
    times: tuple[Time, ...]
    numbers: frozenset[str] = frozenset()

    @property
    def at_any_time(self) -> Asked:
        """The same, whenever it holds."""
        return replace(self, times=())

    @classmethod
    def of(cls, text: str, names: Iterable[str]) -> Asked:
        """From a question about something called by one of `names`."""
        plain = _FORM.sub(" ", _SHOWN.sub(" ", _LOWER.sub(" ", _WHEN.sub(" ", text))))
        called = {key for name in names for key in keys(name)}
        lex = lexicon()
        forms = lex.forms["number"] | lex.forms["when"] | lex.forms["list"]
        words = [
            w
            for w in question_words(plain)
            if w.key not in called and w.key not in lex.scene_words and w.key not in forms
        ]
        return cls(tuple(words), tuple(times(text)), frozenset(_ORDINAL.findall(plain)))


def fitting(asked: Asked, facts: Sequence[Fact]) -> list[tuple[Fact, float]]:
    """The facts that are asked for with how well their attribute fits, 0..1, best first.

    A month or a year in the question must be the fact's own; without one, what holds at no certain time, or for
    longer and later, comes first.
    """
    found = []
    for fact in facts if asked.words else ():
        fit, when = _fit(asked, fact), time_of(fact)
        if fit and (not asked.times or any(t.fits(when) for t in asked.times)):
            found.append((fact, fit, when))
    found.sort(key=lambda item: (-round(item[1], 6), bool(item[2].month), bool(item[2].year), -item[2].year))
    return [(fact, fit) for fact, fit, _ in found]


def _fit(asked: Asked, fact: Fact) -> float:
    """How well an attribute is what is asked for, 0..1; every word of the question must be in it, or in the unit."""
    there, heads = _words_of(fact.attribute, fact.unit)
    own = _ORDINAL.findall(fact.attribute)
    if own and asked.numbers and asked.numbers.isdisjoint(own):  # "type 1" is not type 5
        return 0.0
    shares = []
    for word in asked.words:
        shares.append(cover([word], {word.key: 1.0}, there))
        if shares[-1] == 0:  # most facts are not asked for, and there may be hundreds
            return 0.0
    keys_asked = [w.key for w in asked.words]
    told = max((cover(list(w.values()), dict.fromkeys(w, 1.0), keys_asked) for w in heads if w), default=0.0)
    fit = (sum(shares) / len(shares) + told) / 2
    return fit if told >= LEAST_TOLD and fit >= LEAST_FIT else 0.0


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
    for name in (re.split(r"\s*[,(]", attribute)[0], code[1] if code else ""):
        telling = [k for k in keys(name) if k not in lex.stopwords]
        telling = [k for k in telling if k not in lex.forms["number"]] or telling
        heads.append({k: Word(k, k, (k,)) for k in telling})
    return (*keys(attribute), *keys(unit), *(stem(u) for u in units)), tuple(heads)


def alike(facts: Sequence[tuple[Fact, float]]) -> list[Fact]:
    """The first, and those that answer as well: variants of one attribute, such as "... , two satellites"."""
    if not facts:
        return []
    (first, best), head = facts[0], _head(facts[0][0])
    when = time_of(first)
    same = [f for f, fit in facts if round(fit - best, 3) == 0 and _head(f) == head and time_of(f) == when]
    return list(dict.fromkeys(same))


def sentence(title: str, facts: Sequence[Fact]) -> str:
    """Facts of one attribute as people say them: "The swath width of Sentinel-2 is 290 km."."""
    first = facts[0]
    head = _head(first)
    head = head if head[:2].isupper() else head[:1].lower() + head[1:]
    when = time_of(first)
    told = f" in {when}" if when != Time() else f" ({first.when})" if first.when else ""
    values = []
    for fact in facts:
        variant = fact.attribute.removeprefix(_head(fact)).strip(" ,()")
        values.append(_value(fact) + (f" ({variant})" if variant else ""))
    return f"The {head} of {title}{told} is {' and '.join(values)}."


def not_then(title: str, fact: Fact, asked: Asked) -> str:
    """That a figure is known, and not for the time it is asked for."""
    wanted = " or ".join(str(t) for t in asked.times)
    known = f"for {time_of(fact)}" if time_of(fact) != Time() else fact.when or "without a date"
    return f"The {_head(fact)} of {title} is not known for {wanted}; the evidence has it {known}."


def stated(text: str, fact: Fact) -> bool:
    """Whether a text gives a fact's value; a number in any unit of its dimension."""
    if isinstance(fact.value, str):
        return fact.value.lower() in text.lower()
    wanted = quantities(f"{fact.value} {fact.unit}")[:1]
    return any(q.same(found) for q in wanted for found in quantities(text))


def _head(fact: Fact) -> str:
    return re.split(r"\s*[,(]", fact.attribute)[0]


def _value(fact: Fact) -> str:
    value = f"{fact.value:,}" if isinstance(fact.value, int) and abs(fact.value) >= 10_000 else str(fact.value)
    value = value.removesuffix(".0") if isinstance(fact.value, float) else value
    return f"{value}{'' if fact.unit in ('', '%', '°') else ' '}{fact.unit}".rstrip(".")
