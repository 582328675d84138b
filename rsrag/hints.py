"""What stands beside an image's pixels: a sidecar's facts, the date and the sensor in a file name or a tag."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from .bands import profile_of_file
from .identity import Said

Precision = Literal["year", "month", "day", "time"]

TIME_TAGS: Final = ("acquired", "acquisition_date", "acquisitiondatetime", "date_acquired", "datetime", "sensing_time")
SENSOR_TAGS: Final = ("sensor", "spacecraft_id", "satellite", "platform", "satelliteid")
_SENSOR_NAMES: Final = (
    (r"(?i)S1[A-D][_-]", "Sentinel-1"),
    (r"S2[A-D]_|T\d{2}[A-Z]{3}_\d{8}T\d{6}_", "Sentinel-2"),
    (r"HLS\.L30\.", "HLS (Landsat 8/9)"),
    (r"HLS\.S30\.", "HLS (Sentinel-2)"),
    (r"L[COTEM]0?([1-9])(?=_|\d{6})", r"Landsat \1"),
    (r"M[OY]D\d\d", "MODIS"),
)

_YEAR_FORM: Final = r"(19[3-9]\d|20\d\d)"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_FORM: Final = f"({'|'.join(_MONTHS)})[a-z]*"
_CLOCK: Final = r"(?:[T_-]?([01]\d|2[0-3])([0-5]\d)([0-5]\d))?"
# Each gives year, month, day, hour, minute, second in that order, or in the order that is named.
_DAY_FORMS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), order)
    for pattern, order in (
        # 20200715, 2020-07-15, 20200715T101031, 2020_07_15_101031
        (rf"(?<!\d){_YEAR_FORM}([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01]){_CLOCK}(?!\d)", (1, 3, 4, 5, 6, 7)),
        (rf"(?<!\d){_YEAR_FORM}[-_. ]?{_MONTH_FORM}[-_. ]?(\d\d)(?!\d)", (1, 2, 3)),  # 2020Jul15
        (rf"(?<!\d)(\d\d?)[-_. ]?{_MONTH_FORM}[-_. ]?{_YEAR_FORM}(?!\d)", (3, 2, 1)),  # 15-Jul-2020
        (rf"(?<!\d)([0-4]\d){_MONTH_FORM}(\d\d)([01]\d|2[0-3])([0-5]\d)([0-5]\d)", (1, 2, 3, 4, 5, 6)),  # 20JUL15103045
    )
)
_ORDINAL: Final = (
    # LT50060661985213CUB00: path and row stand before the year.
    re.compile(rf"^L[COTEM]\d\d{{6}}{_YEAR_FORM}(\d\d\d)[A-Z]{{3}}\d\d()()()"),
    re.compile(rf"(?<!\d){_YEAR_FORM}[-.]?(\d\d\d){_CLOCK}(?!\d)"),  # 2020-197, A2020197, 2020197T173000
)
_MONTH: Final = re.compile(rf"(?<!\d){_YEAR_FORM}[-_.](0[1-9]|1[0-2])(?!\d)")
_YEAR: Final = re.compile(rf"(?<!\d){_YEAR_FORM}(?!\d)")


@dataclass(frozen=True, slots=True)
class When:
    """A time, or the beginning of what is known only to the month or the year. `zoned`: whether a zone was given."""

    at: datetime
    precision: Precision
    zoned: bool = True


@dataclass(slots=True)
class Hints:
    """Facts from the sidecar (`given`, which win) and from the file's name (`guessed`, which fill gaps)."""

    side: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    guessed: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def said(self) -> Said:
        """What the sidecar says about the bands."""
        given = self.given
        return Said(
            given.get("bands") or (),
            given.get("sensor") or "",
            given.get("scale") or (),
            given.get("offset") or (),
            f"the sidecar {self.side}",
        )


def hints_of_name(stem: str) -> Hints:
    """What a name alone suggests."""
    hints = Hints()
    if when := date_in(stem):
        hints.guessed["acquired"] = when
    for pattern, sensor in _SENSOR_NAMES:
        if found := re.match(pattern, stem):
            hints.guessed["sensor"] = found.expand(sensor)
    if "sensor" not in hints.guessed and (known := profile_of_file(stem)):
        hints.guessed["sensor"] = known.sensor
    return hints


def find_hints(path: Path) -> Hints:
    """What the file's name and its sidecar `stem.json` say."""
    hints, side = hints_of_name(path.stem), path.with_suffix(".json")
    try:
        given = json.loads(side.read_text("utf-8")) if side.is_file() and side.stat().st_size < 1_000_000 else {}
    except (OSError, ValueError, RecursionError) as error:
        hints.notes.append(f"{side.name} cannot be read and was left out ({error}).")
        return hints
    hints.side = side.name
    for key, parse in _KEYS.items():
        if isinstance(given, dict) and given.get(key) is not None:
            hints.given[key] = parse(given[key])
            if hints.given[key] is None:
                hints.notes.append(f"{side.name}: {key} {str(given[key])[:100]!r} makes no sense and was left out.")
    return hints


def settle(facts: dict[str, Any], hints: Hints, tags: Mapping[str, str]) -> None:
    """Fill in time, sensor and ground sample distance: the sidecar's, then the file's own, then the name's."""
    for key in ("sensor", "gsd_m"):
        found = hints.given.get(key) or facts.get(key) or hints.guessed.get(key)
        if found is not None:
            facts[key] = found
    # The name is closer to the day of acquisition than TIFFTAG_DATETIME, often the day of processing.
    times = [(hints.given.get("acquired"), "what lies beside the file")]
    times += [(parse_when(tags.get(tag)), f"the tag {tag}") for tag in TIME_TAGS]
    if "acquired" not in facts:
        times += [(hints.guessed.get("acquired"), "the file name")]
        times += [(parse_when(tags.get("tifftag_datetime")), "the tag TIFFTAG_DATETIME")]
    elif (named := facts["acquired"]) is not None:  # EXIF: the camera's own
        facts["acquired_precision"] = "time"
        times += [(When(named, "time"), "")]
    for when, where in times:
        if when is None:
            continue
        facts["acquired"], facts["acquired_precision"] = when.at, when.precision
        if when.precision == "time" and not when.zoned:
            made = ", which is often that of processing," if where.endswith("TIFFTAG_DATETIME") else ""
            facts["notes"].append(f"The time in {where}{made} names no time zone; it is taken as UTC.")
        break
    facts["notes"] += hints.notes


# -- times ----------------------------------------------------------------------------------------


def date_in(name: str) -> When | None:
    """The time in a file's name, as exact as it is there; the satellites' file names are in UTC."""
    for pattern, order in _DAY_FORMS:
        for found in pattern.finditer(name):
            y, m, d, *clock = (found[n] for n in order)
            number = _MONTHS.index(m[:3].lower()) + 1 if m[0].isalpha() else int(m)
            if when := _plausible(int(y) + (2000 if len(y) == 2 else 0), number, int(d), clock):
                return when
    for pattern in _ORDINAL:
        for found in pattern.finditer(name):
            if when := _plausible(int(found[1]), 1, 1, found.groups()[2:], int(found[2])):
                return when
    if month := _MONTH.search(name):
        when = _plausible(int(month[1]), int(month[2]), 1, ())
        return When(when.at, "month") if when else None
    if year := _YEAR.search(name):
        when = _plausible(int(year[1]), 1, 1, ())
        return When(when.at, "year") if when else None
    return None


def _plausible(year: int, month: int, day: int, clock: Any, ordinal: int = 0) -> When | None:
    parts = [int(part) for part in clock if part]
    hour, minute, second = parts or (0, 0, 0)
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # 30 February
        return None
    if ordinal:
        at += timedelta(days=ordinal - 1)
        if at.year != year:
            return None
    if not datetime(1930, 1, 1, tzinfo=UTC) <= at <= datetime.now(UTC) + timedelta(days=1):
        return None
    return When(at, "time" if parts else "day")


def parse_when(text: Any) -> When | None:
    """A time from ISO 8601 or EXIF/TIFF notation, UTC when no zone is given; years and months alone, days of the
    year (2020-197); None for anything else."""
    if not isinstance(text, str):
        return None
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text.strip())
    if found := re.fullmatch(r"(\d{4})(?:-(\d\d))?", text):
        number = int(found[2] or 1)
        if not (1800 <= int(found[1]) <= datetime.now(UTC).year and 1 <= number <= 12):
            return None
        return When(datetime(int(found[1]), number, 1, tzinfo=UTC), "month" if found[2] else "year")
    if found := re.fullmatch(r"(\d{4})-?(\d{3})", text):
        return _plausible(int(found[1]), 1, 1, (), int(found[2])) if int(found[2]) else None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    precision: Precision = "time" if re.search(r"[T :]\d", text[8:]) else "day"
    return When(at if at.tzinfo else at.replace(tzinfo=UTC), precision, at.tzinfo is not None)


# -- what a sidecar may hold ----------------------------------------------------------------------


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and value and all(_is_text(v) for v in value) else None


def _name(value: Any) -> str | None:
    return value if _is_text(value) and value.strip() else None


def _is_text(value: Any) -> bool:
    """JSON may hold half a character ("\\ud800"), which nothing can store."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _length(value: Any) -> float | None:
    return float(value) if _is_number(value) and 0 < value < 1e6 else None


def _numbers(value: Any) -> tuple[float, ...] | None:
    """One number for all bands, or a list with one each."""
    values = value if isinstance(value, list) else [value]
    return tuple(map(float, values)) if values and all(_is_number(v) for v in values) else None


def _scales(value: Any) -> tuple[float, ...] | None:
    numbers = _numbers(value)
    return numbers if numbers and 0 not in numbers else None


_KEYS: Final = {
    "bands": _names,
    "sensor": _name,
    "acquired": parse_when,
    "gsd_m": _length,
    "scale": _scales,
    "offset": _numbers,
}
