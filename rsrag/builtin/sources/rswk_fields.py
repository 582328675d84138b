"""What RSWK's fields say: names of its measures, numbers with units, months, places in words as coordinates."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

# The codes of MERRA-2, MODIS and Landsat products that RSWK uses.
_MEASURES: Final = {
    "ALBEDO": "surface albedo",
    "ALBNIRDF": "near-infrared diffuse albedo",
    "ALBNIRDR": "near-infrared direct albedo",
    "ALBVISDF": "visible diffuse albedo",
    "ALBVISDR": "visible direct albedo",
    "EMIS": "surface emissivity",
    "EVLAND": "evaporation over land",
    "GWETPROF": "average soil moisture of the profile",
    "LST_Day_1km": "daytime land surface temperature",
    "LST_Night_1km": "nighttime land surface temperature",
    "NDBI": "built-up index",
    "NDVI": "vegetation index",
    "NDWI": "water index",
    "PRECTOTLAND": "total precipitation over land",
    "SAA": "sun azimuth angle",
    "SLP": "sea level pressure",
    "SMLAND": "snowmelt flux over land",
    "SPEED": "surface wind speed",
    "TS": "surface skin temperature",
    "ULML": "surface eastward wind",
    "VAA": "view azimuth angle",
    "VLML": "surface northward wind",
    "VZA": "view zenith angle",
}
_NUMBERED: Final = {"LC_Type": "land cover type", "SR_B": "surface reflectance of band"}
_VALUE: Final = re.compile(r"\s*(?P<number>[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\d\s].*?)?\s*")
_MONTHLY: Final = re.compile(r"(?P<field>.+?)[_ ](?P<year>\d{4})[_ ](?P<month>\d{1,2}|[A-Za-z]{3,9})")
_MONTHS: Final = "January February March April May June July August September October November December".split()
_DEGREES: Final = r"(\d{1,3}(?:\.\d+)?)\s*°\s*(?:(\d{1,2}(?:\.\d+)?)\s*[′'’]\s*)?(?:(\d{1,2}(?:\.\d+)?)\s*[″\"”]\s*)?"
_SEXAGESIMAL: Final = re.compile(rf"{_DEGREES}([NS])[\s,/]*{_DEGREES}([EW])")
_DECIMAL: Final = re.compile(r"(-?\d{1,2}\.\d+)\s*[;,]\s*(-?\d{1,3}\.\d+)\s*$")


@dataclass(frozen=True, slots=True)
class Measure:
    """A field's value: `name` in words with its code, `when` a month ("January 2019") or "" for the whole period."""

    name: str
    value: float | str
    unit: str = ""
    when: str = ""
    order: tuple[int, int] = (0, 0)

    @property
    def text(self) -> str:
        """As a line of a table; a number as `str` gives it, 13.0 as 13."""
        return f"{self.name}: {str(self.value).removesuffix('.0')} {self.unit}".rstrip()


def measure(field: str, value: Any) -> Measure:
    """A field and its value ("EVLAND", "588.25mm"). Raises `ValueError` for NaN and what is no number and no text."""
    code, when, order = field.strip(), "", (0, 0)
    if (match := _MONTHLY.fullmatch(code)) and (month := _month(match["month"])):
        code, order = match["field"], (int(match["year"]), month)
        when = f"{_MONTHS[month - 1]} {match['year']}"
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise ValueError(f"{field} is {value!r}, neither a number nor a text")
    if isinstance(value, str):
        number = _VALUE.fullmatch(value)
        if number is None:
            return Measure(name_of(code), value.strip(), "", when, order)
        return Measure(
            name_of(code), float(number["number"].replace("−", "-")), (number["unit"] or "").strip(), when, order
        )
    if not math.isfinite(value):
        raise ValueError(f"{field} is {value}, which is no number")
    return Measure(name_of(code), value, "", when, order)


def name_of(code: str) -> str:
    """ "EMIS(Surface emissivity)" and "EMIS" as "surface emissivity (EMIS)"; a code that is not known as it is."""
    bare, _, said = code.strip().removesuffix(")").partition("(")
    bare = bare.strip()
    if bare in _MEASURES:
        return f"{_MEASURES[bare]} ({bare})"
    for start, words in _NUMBERED.items():
        if bare.startswith(start) and bare[len(start) :].isdigit():
            return f"{words} {bare[len(start) :]} ({bare})"
    if said.strip():
        return f"{said.strip().lower()} ({bare})"
    return bare.replace("_", " ")


def _month(text: str) -> int:
    """1 to 12 for a number or an English name or its beginning, 0 for anything else."""
    if text.isdigit():
        return int(text) if 1 <= int(text) <= 12 else 0
    return next((n for n, name in enumerate(_MONTHS, 1) if name.lower().startswith(text.lower())), 0)


def coordinates(text: str) -> tuple[float, float] | None:
    """(longitude, latitude) from "40°11′27″N 29°02′46″E", "53.8388°N 1.7879°W" or "... / 31.785; 35.212", or None."""
    if match := _DECIMAL.search(text):
        lat, lon = float(match[1]), float(match[2])
    elif match := _SEXAGESIMAL.search(text):
        parts = [float(part or 0) for part in (*match.groups()[:3], *match.groups()[4:7])]
        lat = (parts[0] + parts[1] / 60 + parts[2] / 3600) * (-1 if match[4] == "S" else 1)
        lon = (parts[3] + parts[4] / 60 + parts[5] / 3600) * (-1 if match[8] == "W" else 1)
    else:
        return None
    return (lon, lat) if abs(lat) <= 90 and abs(lon) <= 180 else None
