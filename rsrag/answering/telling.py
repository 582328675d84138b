"""Facts as people say them: "The swath width of Sentinel-2 is 290 km." Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..types import Fact
from .facts import Asked, base_of, head_of, is_range, raw_head, tail_of
from .lexicon import lexicon
from .quantities import quantities
from .times import Time, time_of

_MOST_SCALED = 1e5


def sentence(title: str, facts: Sequence[Fact], unit: str = "") -> str:
    """Facts of one attribute as people say them: "The swath width of Sentinel-2 is 290 km."; figures in another `unit`
    of the same dimension are told beside their own."""
    first = facts[0]
    if len({head_of(f.attribute) for f in facts}) > 1 and not is_range(facts):
        return " ".join(sentence(title, [f for f in facts if head_of(f.attribute) == head], unit)
                        for head in dict.fromkeys(head_of(f.attribute) for f in facts))  # fmt: skip
    head = head_of(first.attribute)
    when = time_of(first)
    told = f" in {when}" if when != Time() else f" ({first.when})" if first.when else ""
    if is_range(facts):
        low, high = sorted(facts, key=lambda f: float(f.value))
        base = base_of(first)
        return f"The {base} of {title}{told} runs from {_number(low)} to {_value(high, unit)}."
    if tail_of(first.attribute) and not told:
        return f"The {head} is {_values(facts, unit)}."
    for pattern, say in lexicon().sayings:
        if (match := pattern.fullmatch(head)) and not told:
            groups = {name: value or title for name, value in match.groupdict().items()}
            return say.format(**groups | {"title": title, "value": _values(facts, unit, groups.get("counted", ""))})
    word = head.split()[0].lower()
    # A proper name keeps its capital; what the lexicon knows is none.
    head = head[:1].lower() + head[1:] if word in lexicon().written and not head[:2].isupper() else head
    return f"The {head} of {title}{told} is {_values(facts, unit)}."


def _values(facts: Sequence[Fact], unit: str, counted: str = "") -> str:
    """The values side by side, each with what tells it from the others; `counted` is what they are numbers of: "21
    bands (OLCI) and 11 (SLSTR)"."""
    said: list[str] = []
    for fact in facts:
        noun = "" if said or not counted else f" {counted.removesuffix('s') if fact.value == 1 else counted}"
        variant = _variant(fact)
        said.append(_value(fact, unit) + noun + (f" ({variant})" if variant else ""))
    return " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))


def _variant(fact: Fact) -> str:
    """What stands behind the comma or in the brackets at the end of an attribute."""
    text = fact.attribute.removeprefix(raw_head(fact.attribute)).strip(" ,")
    return text[1:-1].strip() if re.fullmatch(r"\([^()]*\)", text) else text


def not_then(title: str, fact: Fact, asked: Asked) -> str:
    """That a figure is known, and not for the time it is asked for."""
    wanted = " or ".join(str(t) for t in asked.times)
    known = f"for {time_of(fact)}" if time_of(fact) != Time() else fact.when or "without a date"
    return f"The {head_of(fact.attribute)} of {title} is not known for {wanted}; the evidence has it {known}."


def stated(text: str, fact: Fact) -> bool:
    """Whether a text gives a fact's value; a number in any unit of its dimension."""
    if isinstance(fact.value, str):
        return fact.value.lower() in text.lower()
    wanted = quantities(f"{fact.value} {fact.unit}")[:1]
    return any(q.same(found) for q in wanted for found in quantities(text))


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
    most = _MOST_SCALED**2 if base == "m2" else _MOST_SCALED
    if not 1 / most <= factor / theirs <= most:  # nobody tells a pixel in nanometres
        return ""
    value = float(f"{fact.value * factor / theirs:.4g}")
    return f", which is {f'{value:,.0f}' if abs(value) >= 1e4 else f'{value:,.4g}'} {unit}"
