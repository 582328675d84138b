"""Numbers in tags, with the units that OpenStreetMap's documentation gives them. Pure.

Source: https://wiki.openstreetmap.org/wiki/Map_features/Units: a bare number has the key's default unit; a space
and a unit follow it otherwise; feet and inches are written 7'4".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple


class Measure(NamedTuple):
    """How a key is read: the attribute's name, its default unit, other units, and the least and most that can be."""

    attribute: str
    unit: str = ""
    units: frozenset[str] = frozenset()
    least: float = 0.0
    most: float = 1e9
    whole: bool = False


_LENGTHS: Final = frozenset(("m", "cm", "km", "ft", "mi"))
_SPEEDS: Final = frozenset(("km/h", "mph", "knots"))
MEASURES: Final[Mapping[str, Measure]] = {
    "population": Measure("population", "inhabitants", most=2e9, whole=True),
    "height": Measure("height", "m", _LENGTHS, most=10_000),
    "ele": Measure("elevation", "m", _LENGTHS, least=-12_000, most=30_000),  # 30,000 feet are 9,144 m
    "width": Measure("width", "m", _LENGTHS, most=100_000),
    "capacity": Measure("capacity", most=1e7, whole=True),
    "building:levels": Measure("storeys", most=250),
    "lanes": Measure("lanes", most=30, whole=True),
    "maxspeed": Measure("speed limit", "km/h", _SPEEDS, most=500),
    "beds": Measure("beds", most=100_000, whole=True),
    "rooms": Measure("rooms", most=100_000, whole=True),
}
# Values that are no numbers and yet right: "none" on a motorway, "walk", "FI:urban".
_WORDS: Final = re.compile(r"none|walk|signals|variable|implicit|[A-Z]{2}:[a-z_]+")
_NUMBER: Final = re.compile(r"([+-]?\d+(?:\.\d+)?) ?(\D*)")
_FEET: Final = re.compile(r"(\d+(?:\.\d+)?)'(?: ?(\d+(?:\.\d+)?)\")?")
_DATE: Final = re.compile(r"\d{4}(?:-\d\d){0,2}")


def measured(key: str, value: str) -> tuple[int | float, str] | None:
    """(number, unit) of a tag; None for a word that OpenStreetMap allows instead of a number.

    Raises `ValueError` for what is no number, has a unit that does not fit the key, or cannot be.
    """
    measure = MEASURES[key]
    if _WORDS.fullmatch(value):
        return None
    if measure.units >= _LENGTHS and (feet := _FEET.fullmatch(value)):
        number, unit = float(feet[1]) + float(feet[2] or 0) / 12, "ft"
    elif match := _NUMBER.fullmatch(value):
        number, unit = float(match[1]), match[2].strip() or measure.unit
    else:
        raise ValueError(f"{value!r} is no number")
    if unit != measure.unit and unit not in measure.units:
        raise ValueError(f"{unit!r} is no unit of {key}")
    if not measure.least <= number <= measure.most or (measure.whole and number != int(number)):
        raise ValueError(f"{value!r} cannot be")
    return (int(number) if number == int(number) else number), unit


def start_date(value: str) -> str:
    """A date as OpenStreetMap writes exact ones ("1924", "1924-05"), or "": "~1900" and "C18" are left as they are."""
    return value if _DATE.fullmatch(value) else ""
