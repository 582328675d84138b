"""Months and years: those that a question names, and those that a fact holds for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..types import Fact

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
# "may" is a month only where it looks like one, and "march" likewise.
WHEN: Final = re.compile(
    r"\b(?:(?P<month>January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar"
    r"|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?(?:\s+(?:of\s+)?(?P<year>(?:1[6-9]|20)\d\d))?"
    r"|(?P<iso>(?:1[6-9]|20)\d\d-(?:0[1-9]|1[0-2]))\b|(?P<alone>(?:1[6-9]|20)\d\d)\b(?![-–]\d))"
)
LOWER: Final = re.compile(
    r"\b(?:in|of|during|for|last|this|each|every|by)\s+(january|february|march|april|may|june|july|august|september"
    r"|october|november|december)\b(?:\s+((?:1[6-9]|20)\d\d))?"
)


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
    for match in WHEN.finditer(text):
        if iso := match["iso"]:
            found.append(Time(int(iso[:4]), int(iso[5:])))
        elif match["alone"]:
            found.append(Time(int(match["alone"])))
        else:
            found.append(Time(int(match["year"] or 0), MONTHS[match["month"].lower().rstrip(".")]))
    if not any(t.month for t in found):
        found += [Time(int(m[2] or 0), MONTHS[m[1]]) for m in LOWER.finditer(text)]
        found = [t for t in found if t.month] or found
    return list(dict.fromkeys(found))


def time_of(fact: Fact) -> Time:
    """When a fact holds: "2020-03", "2020", "March", "2020 March"; an open time where it says none of these."""
    text = fact.when.strip()
    if re.fullmatch(r"\d{1,2}", text) and 1 <= int(text) <= 12:
        return Time(0, int(text))
    found = times(text[:1].upper() + text[1:])
    return found[0] if len(found) == 1 else Time()
