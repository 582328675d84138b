"""What stands beside an image's pixels: a sidecar's facts, the date and the sensor in a file name or a tag."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

_DATE: Final = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?:[T_-]?([01]\d|2[0-3])([0-5]\d)([0-5]\d))?(?!\d)"
)
_YEAR: Final = re.compile(r"(?<!\d)(19[3-9]\d|20\d\d)(?!\d)")
TIME_TAGS: Final = ("acquired", "acquisition_date", "acquisitiondatetime", "date_acquired", "datetime", "sensing_time")
SENSOR_TAGS: Final = ("sensor", "spacecraft_id", "satellite", "platform", "satelliteid")
_SENSOR_NAMES: Final = ((r"S1[ABC]_", "Sentinel-1"), (r"S2[ABC]_", "Sentinel-2"), (r"L[COTEM]0?([4-9])", r"Landsat \1"))


@dataclass(slots=True)
class Hints:
    """Facts from the sidecar (`given`, which win) and from the file's name (`guessed`, which fill gaps)."""

    given: dict[str, Any]
    guessed: dict[str, Any]
    notes: list[str]


def find_hints(path: Path) -> Hints:
    hints = Hints({}, {}, [])
    if when := _date_in(path.stem):
        hints.guessed["acquired"] = when
    elif year := _YEAR.search(path.stem):
        hints.guessed["note"] = f"The file name says {year[1]}; the day it was acquired is not known."
    for pattern, sensor in _SENSOR_NAMES:
        if found := re.match(pattern, path.stem):
            hints.guessed["sensor"] = found.expand(sensor)
    side = path.with_suffix(".json")
    try:
        given = json.loads(side.read_text("utf-8")) if side.is_file() and side.stat().st_size < 1_000_000 else {}
    except (OSError, ValueError, RecursionError) as error:
        hints.notes.append(f"{side.name} cannot be read and was left out ({error}).")
        return hints
    for key, parse in (("bands", _names), ("sensor", _name), ("acquired", parse_time), ("gsd_m", _length)):
        if isinstance(given, dict) and given.get(key) is not None:
            hints.given[key] = parse(given[key])
            if hints.given[key] is None:
                hints.notes.append(f"{side.name}: {key} {given[key]!r} makes no sense and was left out.")
    return hints


def settle(facts: dict[str, Any], hints: Hints) -> None:
    for key in ("acquired", "sensor", "gsd_m"):
        found = hints.given.get(key) or facts.get(key) or hints.guessed.get(key)
        if found is not None:
            facts[key] = found
    if names := hints.given.get("bands"):
        if len(names) == len(facts["bands"]):
            facts["bands"] = names
        else:
            count = len(facts["bands"])
            facts["notes"].append(f"The sidecar names {len(names)} bands, the file has {count}; not used.")
    if facts.get("acquired") is None and "note" in hints.guessed:
        facts["notes"].append(hints.guessed["note"])
    facts["notes"] += hints.notes


def _date_in(name: str) -> datetime | None:
    for found in _DATE.finditer(name):
        year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 3, 4, 5, 6, 7))
        try:
            when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:  # 30 February
            continue
        if datetime(1930, 1, 1, tzinfo=UTC) <= when <= datetime.now(UTC) + timedelta(days=1):
            return when
    return None


def parse_time(text: Any) -> datetime | None:
    """An aware datetime from ISO 8601 or EXIF/TIFF notation, UTC when no zone is given; None for anything else.

    A bare year is not a date.
    """
    if not isinstance(text, str) or len(text.strip()) < 8:
        return None
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text.strip())
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and value and all(_is_text(v) for v in value) else None


def _name(value: Any) -> str | None:
    return value if _is_text(value) and value.strip() else None


def _is_text(value: Any) -> bool:
    """JSON may hold half a character ("\\ud800"), which nothing can store."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _length(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6
    return float(value) if good else None
