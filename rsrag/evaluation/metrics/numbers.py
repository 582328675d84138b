"""Numeric answers: a number with its unit, read, converted and compared within a tolerance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Dimension: {unit: (factor, offset)}; base value = number * factor + offset. Spellings are compared by `_unit`.
_UNITS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "m": {
        **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), (1.0, 0.0)),
        **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), (1e3, 0.0)),
        **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), (1e-2, 0.0)),
        **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), (1e-3, 0.0)),
        **dict.fromkeys(("µm", "um", "micrometre", "micrometres", "micrometer", "micrometers", "micron"), (1e-6, 0.0)),
        **dict.fromkeys(("microns",), (1e-6, 0.0)),
        **dict.fromkeys(("nm", "nanometre", "nanometres", "nanometer", "nanometers"), (1e-9, 0.0)),
        **dict.fromkeys(("ft", "foot", "feet"), (0.3048, 0.0)),
        **dict.fromkeys(("mi", "mile", "miles"), (1609.344, 0.0)),
    },
    "m2": {
        **dict.fromkeys(("m2", "m^2", "sqm", "square metres", "square meters", "square metre"), (1.0, 0.0)),
        **dict.fromkeys(("km2", "km^2", "sq km", "square kilometres", "square kilometers"), (1e6, 0.0)),
        **dict.fromkeys(("ha", "hectare", "hectares"), (1e4, 0.0)),
        **dict.fromkeys(("acre", "acres"), (4046.8564224, 0.0)),
    },
    "s": {
        **dict.fromkeys(("s", "second", "seconds"), (1.0, 0.0)),
        **dict.fromkeys(("min", "minute", "minutes"), (60.0, 0.0)),
        **dict.fromkeys(("h", "hour", "hours"), (3600.0, 0.0)),
        **dict.fromkeys(("d", "day", "days"), (86400.0, 0.0)),
        **dict.fromkeys(("week", "weeks"), (604800.0, 0.0)),
        **dict.fromkeys(("month", "months"), (2629800.0, 0.0)),
        **dict.fromkeys(("year", "years"), (31557600.0, 0.0)),
    },
    "K": {
        **dict.fromkeys(("k", "kelvin"), (1.0, 0.0)),
        **dict.fromkeys(("°c", "deg c", "degrees celsius", "celsius"), (1.0, 273.15)),
        **dict.fromkeys(("°f", "degrees fahrenheit", "fahrenheit"), (5 / 9, 459.67 * 5 / 9)),
    },
    "Pa": {
        **dict.fromkeys(("pa", "pascal", "pascals"), (1.0, 0.0)),
        **dict.fromkeys(("hpa", "mbar"), (1e2, 0.0)),
        **dict.fromkeys(("kpa",), (1e3, 0.0)),
    },
    "m/s": {
        **dict.fromkeys(("m/s", "m s-1", "metres per second", "meters per second"), (1.0, 0.0)),
        **dict.fromkeys(("km/h", "kmh"), (1 / 3.6, 0.0)),
    },
    "%": dict.fromkeys(("%", "percent", "per cent"), (1.0, 0.0)),
    "°": dict.fromkeys(("°", "deg", "degree", "degrees"), (1.0, 0.0)),
    "Hz": {"hz": (1.0, 0.0), "mhz": (1e6, 0.0), "ghz": (1e9, 0.0)},
    "dB": {"db": (1.0, 0.0)},
}
_ONE_SPELLING: Final = str.maketrans("−μ²º", "-µ2°", "") | {ord("℃"): "°C"}
_LETTERS: Final = {"m": "m", "s": "s", "h": "h", "d": "d", "k": "K"}  # units of one letter have one case
_BY_UNIT: Final = {unit: (dimension, *scale) for dimension, units in _UNITS.items() for unit, scale in units.items()}
_SPELLINGS: Final = "|".join(re.escape(unit) for unit in sorted(_BY_UNIT, key=len, reverse=True))
_QUANTITY: Final = re.compile(
    r"(?<![\w.,])(?<![^\W\d]-)(?P<number>[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:e[-+]?\d+)?)"
    rf"(?:\s*-?(?P<unit>{_SPELLINGS})(?![\w²^]))?(?![\d.,]*\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: `value` in the base unit of its `dimension` ("m", "K", "m2" ...; "" without a unit).

    `bare` is the number as it is written, and `whole` whether it is written without a decimal point.
    """

    value: float
    dimension: str
    bare: float
    unit: str = ""
    whole: bool = False


def numbers(text: str) -> list[Number]:
    """The numbers of a text in order; those inside names ("B08", "Sentinel-2", "LC_Type1") are not numbers."""
    found = []
    for match in _QUANTITY.finditer(_ordinary(text)):
        written = match["number"].replace(",", "")
        unit = (match["unit"] or "").lower()
        if (
            len(unit) == 1 and unit.isalpha() and match["unit"] != _LETTERS.get(unit)
        ):  # "5 M", "2.5D" and "3 k" have none
            unit = ""
        dimension, factor, offset = _BY_UNIT.get(unit, ("", 1.0, 0.0))
        whole = not re.search(r"[.e]", written, re.IGNORECASE)
        found.append(Number(float(written) * factor + offset, dimension, float(written), unit, whole))
    return found


def quantity(text: str) -> Number | None:
    """The number that a text is, with or without a unit; None when it says anything else."""
    match = _QUANTITY.fullmatch(_ordinary(text).strip().rstrip(".").strip())
    return numbers(match.group())[0] if match else None


def agrees(prediction: str, reference: Number, relative: float = 0.01, absolute: float = 0.0, asked: str = "") -> bool:
    """Whether an answer gives the reference's number.

    Its numbers of the same dimension are compared, or, where it has none, those without a unit as if in the reference's
    unit. All of them must agree: where an answer gives several numbers, none is picked. Equal is within `relative` of
    the reference, or within `absolute` in the reference's unit; a whole number without a unit (a count, a year) must
    be met exactly. Numbers that the question `asked` gives itself, such as its year, are said again and no answer,
    unless nothing else is said.
    """
    found = numbers(prediction)
    given = {(n.dimension, n.bare) for n in numbers(asked)}
    found = [n for n in found if (n.dimension, n.bare) not in given] or found
    same = [n for n in found if n.dimension == reference.dimension]
    if reference.dimension and not same:
        _, factor, offset = _BY_UNIT[reference.unit]
        values = [n.bare * factor + offset for n in found if not n.dimension]
    else:
        values = [n.value for n in same]
    if not values:
        return False
    if reference.whole and not reference.dimension:
        return all(value == reference.value for value in values)
    factor = _BY_UNIT[reference.unit][1] if reference.unit else 1.0
    # The share is of the number as it is written: 1 % of 20 °C is 0.2 degrees, not 1 % of 293 K.
    room = max(relative * abs(reference.bare), absolute) * factor
    return all(abs(value - reference.value) <= room + 1e-9 * max(abs(reference.value), room) for value in values)


def _ordinary(text: str) -> str:
    """One spelling of signs: minus, micro, superscript two, narrow spaces between digits."""
    text = text.translate(_ONE_SPELLING)
    return re.sub(r"(?<=\d)[\u202f\u00a0](?=\d{3})", ",", text)
