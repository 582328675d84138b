"""Numbers with units in prose: "10 metres", "0.665 µm" and "665nm" as values that can be compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from .lexicon import lexicon


@dataclass(frozen=True, slots=True)
class Found:
    """A number in a text: its value in the base unit of its dimension ("m", "s" ...; "" without a unit)."""

    value: float
    base: str
    text: str

    def same(self, other: Found) -> bool:
        """Equal within 1 %, in the same dimension."""
        return self.base == other.base and abs(self.value - other.value) <= 0.01 * max(abs(self.value), 1e-12)


@cache
def _pattern() -> re.Pattern[str]:
    spellings = sorted(lexicon().units, key=len, reverse=True)
    units = "|".join(re.escape(s) for s in spellings)
    return re.compile(
        r"(?<![\w.])(?P<number>[-−+]?(?:\d{1,3}(?:[ ,\u202f]\d{3})+(?!\d)|\d+)(?:\.\d+)?)"
        r"(?:(?:\s*(?:to|and|[-–—])\s*(?P<high>\d+(?:\.\d+)?))?[\s\u202f-]*(?P<unit>" + units + r")(?![\w²]))?",
        re.IGNORECASE,
    )


def quantities(text: str) -> list[Found]:
    """The numbers of a text, in order; those inside names ("Sentinel-2", "B8") are not numbers."""
    found = []
    for match in _pattern().finditer(text):
        if re.search(r"[A-Za-z]-?$", text[: match.start("number") + (match["number"][0] in "-−")][-2:]):
            continue
        base, factor = lexicon().units[match["unit"].lower()] if match["unit"] else ("", 1.0)
        for number in (match["number"], match["high"]):
            if number:
                value = float(re.sub(r"[ ,\u202f]", "", number).replace("−", "-"))
                found.append(Found(value * factor, base, match.group().strip()))
    return found


def has_year(text: str) -> bool:
    """Whether a text names a year from 1800 to 2099, or a month."""
    return bool(
        re.search(r"\b(?:1[89]|20)\d\d\b", text)
        or re.search(r"\b(?:January|February|March|April|June|July|August|September|October|November|December)\b", text)
    )
