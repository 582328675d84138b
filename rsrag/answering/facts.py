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
_UNIT_IN: Final = re.compile(
    r"\b(?:in|as) ([a-zµμ²/%°]{1,12}2?)(?=\s*(?:[?.!,;)]|$))|\(([a-zµμ²%°]{1,11})\)\s*\??$", re.I
)
_ORDINAL: Final = re.compile(r"(?<![\w.,-])\d{1,2}(?![\w.,]*\w)")
_ENDS: Final = frozenset("lower upper minimum maximum first second lowest highest near far".split())
_DESIGNATION: Final = re.compile(r"[A-Za-z]{0,2}\d+[A-Za-z]?")
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
        plain = _FORM.sub(" ", _SHOWN.sub(" ", _LOWER.sub(" ", _WHEN.sub(" ", text))))
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
    tail = _tail(fact.attribute)
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
def _tail(attribute: str) -> tuple[Word, ...]:
    """The words of what an attribute is measured on: "a standard running track" of "length of a ..."."""
    match = re.search(r"\b(?:of|between|on|over|to) (?:an?|the|[A-Z\d]|bases\b)(.*)$", _head(attribute))
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
    for name in (_head(attribute), code[1] if code else ""):
        telling = {w.key: w for w in question_words(name)} or {k: Word(k, k, (k,)) for k in keys(name)}
        heads.append({k: w for k, w in telling.items() if k not in lex.forms["number"]} or telling)
    return (*keys(attribute), *keys(unit), *(stem(u) for u in units)), tuple(heads)


def alike(facts: Sequence[tuple[Fact, float]]) -> list[Fact]:
    """The first, and those that answer as well: variants of one attribute, such as "... , two satellites", the ends of
    a range, and what several of one kind have each."""
    if not facts:
        return []
    (first, best), base = facts[0], _base(facts[0][0])
    when = time_of(first)
    same = [f for f, fit in facts if abs(fit - best) < 0.05 and _base(f) == base and time_of(f) == when]
    return list(dict.fromkeys(same))


def _base(fact: Fact) -> str:
    """An attribute without what tells its variants apart: behind a comma, the end of a range, a proper name."""
    words = _head(fact.attribute).split()
    kept = [w for w in words if w.lower() not in _ENDS and not (w[:1].isupper() and not _DESIGNATION.fullmatch(w))]
    return " ".join(kept if kept and kept[0][:1].islower() else words)


def sentence(title: str, facts: Sequence[Fact], unit: str = "") -> str:
    """Facts of one attribute as people say them: "The swath width of Sentinel-2 is 290 km."; figures in another `unit`
    of the same dimension are told beside their own."""
    first = facts[0]
    if len({_head(f.attribute) for f in facts}) > 1 and not _is_range(facts):
        return " ".join(sentence(title, [f for f in facts if _head(f.attribute) == head], unit)
                        for head in dict.fromkeys(_head(f.attribute) for f in facts))  # fmt: skip
    head = _head(first.attribute)
    when = time_of(first)
    told = f" in {when}" if when != Time() else f" ({first.when})" if first.when else ""
    if _is_range(facts):
        low, high = sorted(facts, key=lambda f: float(f.value))
        base = _base(first)
        return f"The {base} of {title}{told} runs from {_number(low)} to {_value(high, unit)}."
    values = []
    for fact in facts:
        variant = fact.attribute.removeprefix(_raw_head(fact.attribute)).strip(" ,()")
        values.append(_value(fact, unit) + (f" ({variant})" if variant else ""))
    joined = " and ".join(filter(None, [", ".join(values[:-1]), values[-1]]))
    if _tail(first.attribute) and not told:
        return f"The {head} is {joined}."
    for pattern, say in lexicon().sayings:
        if (match := pattern.fullmatch(head)) and not told:
            groups = {name: value or title for name, value in match.groupdict().items()}
            return say.format(**groups | {"title": title, "value": joined, "variant": ""})
    head = head if head[:2].isupper() or any(c.isupper() for c in head.split()[0][1:]) else head[:1].lower() + head[1:]
    return f"The {head} of {title}{told} is {joined}."


def _is_range(facts: Sequence[Fact]) -> bool:
    """Whether two figures are the ends of one range."""
    ends = [w for f in facts for w in _head(f.attribute).lower().split() if w in _ENDS]
    return len(facts) == 2 and len(set(ends)) == 2 and all(isinstance(f.value, int | float) for f in facts)


def not_then(title: str, fact: Fact, asked: Asked) -> str:
    """That a figure is known, and not for the time it is asked for."""
    wanted = " or ".join(str(t) for t in asked.times)
    known = f"for {time_of(fact)}" if time_of(fact) != Time() else fact.when or "without a date"
    return f"The {_head(fact.attribute)} of {title} is not known for {wanted}; the evidence has it {known}."


def stated(text: str, fact: Fact) -> bool:
    """Whether a text gives a fact's value; a number in any unit of its dimension."""
    if isinstance(fact.value, str):
        return fact.value.lower() in text.lower()
    wanted = quantities(f"{fact.value} {fact.unit}")[:1]
    return any(q.same(found) for q in wanted for found in quantities(text))


def _raw_head(attribute: str) -> str:
    """What stands before a comma or a bracket at the end."""
    return re.split(r"\s*,|\s*\([^()]*\)\s*$", attribute)[0]


def _head(attribute: str) -> str:
    """The name of an attribute without comments."""
    return " ".join(re.sub(r"\([^()]*\)", " ", _raw_head(attribute)).split()) or attribute


def _number(fact: Fact) -> str:
    value = f"{fact.value:,}" if isinstance(fact.value, int) and abs(fact.value) >= 10_000 else str(fact.value)
    return value.removesuffix(".0") if isinstance(fact.value, float) else value


def _value(fact: Fact, unit: str = "") -> str:
    value = _number(fact)
    own = fact.unit
    if fact.value == 1 and own.endswith("s") and own.removesuffix("s") in lexicon().units:
        own = own.removesuffix("s")
    said = f"{value}{'' if own in ('', '%', '°') else ' '}{own}".rstrip(".")
    return said + converted(fact, unit)


def converted(fact: Fact, unit: str) -> str:
    """ " (180.2 miles)" for a figure in another unit of its dimension, or ""."""
    units = lexicon().units
    if not isinstance(fact.value, int | float) or unit not in units or fact.unit.lower() not in units:
        return ""
    (base, factor), (other, theirs) = units[fact.unit.lower()], units[unit]
    if base != other or factor == theirs or base == "K":
        return ""
    return f", which is {fact.value * factor / theirs:,.4g} {unit}"


def as_number(fact: Fact) -> float:
    """A figure in the base unit of its dimension; 0 for a text."""
    return (
        float(fact.value) * lexicon().units.get(fact.unit.lower(), ("", 1.0))[1]
        if isinstance(fact.value, int | float)
        else 0.0
    )
