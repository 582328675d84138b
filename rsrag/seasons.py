"""Seasons and months: as people write them, and as bits. Pure."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from .errors import UsageError
from .types import Season

_NORTHERN: Final = {
    "spring": (3, 4, 5),
    "summer": (6, 7, 8),
    "autumn": (9, 10, 11),
    "fall": (9, 10, 11),
    "winter": (12, 1, 2),
}
_INITIALS: Final = "jfmamjjasond"
_NAMES: Final = tuple(name.lower() for name in month_name)
_ONE_OR_RUN: Final = re.compile(r"(\w+)(?:\s*(?:\.\.|-|/|\bto\b)\s*(\w+))?")


def parse_season(value: str | Season | Iterable[int]) -> Season:
    """A season from "summer" (of either half of the Earth), "JJA", "06-08", "june..august", "5,6,9" or whole numbers.

    A range goes on past December: "11-02". Raises `UsageError`.
    """
    if isinstance(value, Season):
        return value
    if not isinstance(value, str):
        if not isinstance(value, Iterable) or not (given := list(value)):
            raise _unknown(value)
        return Season(tuple(_month(str(month), value) for month in given))
    text = value.strip().lower()
    if text in _NORTHERN:
        return Season(_NORTHERN[text], local=True)
    place = (_INITIALS * 2).find(text)
    if 2 <= len(text) <= 12 and place >= 0:
        return Season(_run(place % 12 + 1, (place + len(text) - 1) % 12 + 1))
    months: list[int] = []
    for part in text.split(","):
        match = _ONE_OR_RUN.fullmatch(part.strip())
        if match is None:
            raise _unknown(value)
        months += _run(_month(match[1], value), _month(match[2] or match[1], value))
    return Season(tuple(dict.fromkeys(months)))


def say_season(season: Season) -> str:
    """A season in a few words: "summer", "June to August", "May, September"."""
    months = season.months
    if season.local:
        return next((name for name, those in _NORTHERN.items() if those == months), "a season of both halves")
    names = [month_name[month] for month in months]
    if len(months) > 2 and months == _run(months[0], months[-1]):
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names)


def bits(months: Iterable[int]) -> int:
    """Months as a number with one bit for each, January the lowest."""
    return sum(1 << (month - 1) for month in set(months))


def bits_of(start: datetime, stop: datetime | None = None) -> int:
    """The bits of every month, in UTC as stored, that a time or a span of time touches."""
    last = stop or start
    count = (last.year - start.year) * 12 + last.month - start.month + 1
    return bits((start.month - 1 + n) % 12 + 1 for n in range(min(count, 12)))


def turned(months: int) -> int:
    """Bits of months six months later: July in the south is the season that January is in the north."""
    return (months << 6 | months >> 6) & 0xFFF


def spans_touching(months: Iterable[int]) -> list[int]:
    """The bits of every unbroken span of months that holds one of `months`: what `bits_of` may have given."""
    wanted = bits(months)
    spans = {bits(_run(first, (first + length - 1) % 12 + 1)) for first in range(1, 13) for length in range(12)}
    return sorted(span for span in spans if span & wanted)


def _run(first: int, last: int) -> tuple[int, ...]:
    """Months from the first to the last, over the end of the year where the last comes before."""
    return tuple((first - 1 + n) % 12 + 1 for n in range((last - first) % 12 + 1))


def _month(text: str, given: object) -> int:
    if text.isdecimal() and 1 <= int(text) <= 12:
        return int(text)
    found = [n for n, name in enumerate(_NAMES) if len(text) >= 3 and name.startswith(text)]
    if not found:
        raise _unknown(given)
    return found[0]


def _unknown(given: object) -> UsageError:
    return UsageError(f"'{given}' is not a season.", "Give summer, JJA, 06-08, june..august or months such as 5,6,9.")
