"""What people write for places, times and facets, turned into the values a Query holds."""

from __future__ import annotations

import difflib
import json
import math
import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from operator import index
from pathlib import Path
from typing import Any, Final, Protocol, cast

from .errors import UsageError
from .geojson import read_shape, to_geojson
from .seasons import parse_season
from .types import BBox, Circle, Comparison, FacetValue, Filter, Interval, Season

GSD_FACETS: Final = ("gsd_m", "gsd")
CLOUD_FACETS: Final = ("cloud_cover", "eo:cloud_cover")
SENSOR_FACETS: Final = ("sensor", "platform", "constellation", "instruments")
"""What sources call the ground sample distance in metres, the cloud cover in percent, and who took the image."""

MOST_TOLD: Final = 30
"""Of what there is instead, a hint names so many."""


class Vocabulary(Protocol):
    """What a knowledge base knows by name; its catalog is one."""

    def facet_keys(self) -> list[str]: ...
    def facet_texts(self, keys: Sequence[str]) -> list[str]: ...
    def source_names(self) -> list[str]: ...


def parse_box(text: str | BBox | Sequence[float]) -> BBox:
    """A box from "W,S,E,N" in degrees. Raises `UsageError`."""
    if isinstance(text, BBox):
        return text
    try:
        west, south, east, north = (float(p) for p in _parts(text))
    except (TypeError, ValueError):
        raise UsageError(f"'{text}' is not a box.", "Give W,S,E,N in degrees, such as 4.0,51.8,4.6,52.0.") from None
    if 45 <= south <= 90 < north <= 135 or -135 <= south < -90 <= north <= -45:
        raise UsageError(
            f"the box {text} goes over a pole.",
            "One that holds a pole ends there (-180,80,180,90); or are latitude and longitude swapped?",
        )
    if max(abs(west), abs(east)) <= 360 and west < east:  # 170,-20,190,-10 goes on beyond 180
        west, east = (-180.0, 180.0) if east - west >= 360 else (_within_180(west), _within_180(east))
    return BBox(west, south, east, north)


def _within_180(lon: float) -> float:
    """A longitude of -360..360 as one of -180..180; others as they are, to be refused."""
    return lon - math.copysign(360, lon) if 180 < abs(lon) <= 360 else lon


def parse_region(text: str | Sequence[int]) -> tuple[int, int, int, int]:
    """A part of an image from "x,y,w,h" or four whole numbers, in pixels. Raises `UsageError`."""
    try:
        x, y, w, h = (int(p) if isinstance(p, str) else index(p) for p in _parts(text))
    except (TypeError, ValueError):
        raise UsageError(f"'{text}' is not a region.", "Give x,y,w,h in pixels, such as 0,0,256,256.") from None
    return x, y, w, h


def _parts(value: Any) -> list[Any]:
    return value.split(",") if isinstance(value, str) else list(value)


def parse_within(
    value: str | BBox | Sequence[float] | Mapping[str, Any],
) -> tuple[BBox | None, Mapping[str, Any] | None, tuple[str, ...]]:
    """(box, polygon, notes) from a box, four numbers, a GeoJSON object or the path of a GeoJSON file.

    `notes` say what was not plain: a polygon that crosses itself, or the antimeridian. Raises `UsageError`.
    """
    if isinstance(value, BBox):
        return value, None, ()
    if isinstance(value, Mapping):
        return None, *_area(value, "the GeoJSON object")
    if not isinstance(value, str | Path):
        return parse_box(value), None, ()
    value = str(value)
    if re.fullmatch(r"\s*[-+.\de]+\s*(,\s*[-+.\de]+\s*){3}", value):
        return parse_box(value), None, ()
    path = Path(value)
    try:
        path = path.expanduser()
        found = path.is_file()
    except (OSError, RuntimeError):  # longer than a file name may be; the home of nobody
        found = False
    if not found:
        shown = value if len(value) <= 80 else value[:77] + "..."
        raise UsageError(f"'{shown}' is neither a box nor a file.", "Give W,S,E,N in degrees or a .geojson file.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON ({error}).", "Give a GeoJSON file.") from error
    return None, *_area(data, str(path))


def _area(data: Any, where: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    shape, notes = read_shape(data, where)
    if shape.area == 0:
        raise UsageError(f"{where} holds no area.", "Give a Polygon or MultiPolygon in EPSG:4326.")
    return to_geojson(shape), notes


def parse_circle(value: str | Circle | Sequence[float]) -> Circle:
    """A circle from "LON,LAT,KM" or (longitude, latitude, kilometres). Raises `UsageError`."""
    if isinstance(value, Circle):
        return value
    try:
        lon, lat, km = (float(p) for p in _parts(value))
    except (TypeError, ValueError):
        raise UsageError(
            f"'{value}' is not a place and a distance.", "Give LON,LAT,KM, such as 4.3,51.9,25 for 25 km around."
        ) from None
    return Circle(_within_180(lon), lat, km * 1000)


def parse_interval(text: str | Interval | Sequence[str | None]) -> Interval:
    """A time span from "A/B", each a year, month, day or ISO time, ".." or empty for open; UTC where no zone.

    A single "2020-07" means that whole month. A pair of texts or datetimes is a span too. Raises `UsageError`.
    """
    if isinstance(text, str):
        start_text, slash, stop_text = text.partition("/")
        start = _instant(start_text, end=False)
        stop = _instant(stop_text if slash else start_text, end=True)
    else:
        try:
            first, last = text
            start, stop = _moment(first, end=False), _moment(last, end=True)
        except (TypeError, ValueError, AttributeError):
            raise UsageError(
                f"'{text}' is not a span of time.", 'Give FROM/TO or a pair ("2019", "2020-06").'
            ) from None
    if start and stop and start > stop:
        raise UsageError(f"'{text}' ends before it begins.", "Give FROM/TO, such as 2019-01/2020-06.")
    return start, stop


def _moment(given: str | datetime | None, *, end: bool) -> datetime | None:
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    return _instant("" if given is None else given.isoformat() if isinstance(given, date) else given, end=end)


def _instant(text: str, *, end: bool) -> datetime | None:
    text = text.strip()
    if text in ("", ".."):
        return None
    try:
        if match := re.fullmatch(r"(\d{4})(?:-(\d{2}))?", text):
            year, month = int(match[1]), int(match[2] or (12 if end else 1))
            if not end:
                return datetime(year, month, 1, tzinfo=UTC)
            return datetime(year, month, monthrange(year, month)[1], 23, 59, 59, 999999, tzinfo=UTC)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is not a date.", "Give 2020, 2020-07, 2020-07-14 or an ISO time; FROM/TO for a span."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if end and re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{8}", text):
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999999)
    return moment


def parse_facets(pairs: Sequence[str] | Mapping[str, FacetValue]) -> tuple[dict[str, FacetValue], list[Comparison]]:
    """(facets that must equal, comparisons) from "key=value", "key<number" and so on with <=, >, >= and !=.

    A key given twice with = means either value; comparisons must all hold. Raises `UsageError`.
    """
    if isinstance(pairs, Mapping):
        return dict(pairs), []
    facets: dict[str, FacetValue] = {}
    comparisons: list[Comparison] = []
    for pair in pairs:
        match = re.fullmatch(r"\s*([^<>=!]*[^<>=!\s])\s*(<=|>=|!=|<|>|=)(?![<>=])\s*(.*?)\s*", pair, re.DOTALL)
        if match is None:
            raise UsageError(f"'{pair}' is not a facet.", "Give key=value, such as sensor=sentinel-2, or gsd<=10.")
        key, op, value = match.groups()
        if op == "=":
            old = facets.get(key)
            facets[key] = (*old, value) if isinstance(old, tuple) else value if old is None else (str(old), value)
        else:
            comparisons.append(Comparison((key,), cast(Any, op), (value if op == "!=" else _number(value, pair),)))
    return facets, comparisons


def _number(value: Any, given: object) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"'{given}' compares with no number.", "Give a number without a unit, such as cloud_cover<20.")
    return number


def names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names as a tuple; a text is one name, and nothing is none."""
    return ((value,) if value else ()) if isinstance(value, str) else tuple(value or ())


def make_filter(
    *,
    within: str | BBox | Sequence[float] | Mapping[str, Any] | None = None,
    around: str | Circle | Sequence[float] | None = None,
    when: str | Interval | Sequence[str | None] | None = None,
    season: str | Season | Sequence[int] | None = None,
    max_gsd: float | None = None,
    max_cloud: float | None = None,
    from_sensor: str | Sequence[str] = (),
    facets: str | Sequence[str] | Mapping[str, FacetValue] = (),
    sources: str | Sequence[str] = (),
    kind: str = "",
    known: Vocabulary | None = None,
) -> Filter:
    """A filter from what people write; see `Filter` for what it means.

    `within` is a box, GeoJSON or its file, `around` "LON,LAT,KM", `when` "2019/2021-06", `season` "summer" or "JJA",
    `max_gsd` metres, `max_cloud` percent, `from_sensor` a sensor, platform or constellation, `facets` "key=value" or
    "key<number". With `known`, what the knowledge base does not know is refused with the nearest that it does.
    """
    box, polygon, notes = parse_within(within) if within is not None and within != "" else (None, None, ())
    chosen, comparisons = parse_facets((facets,) if isinstance(facets, str) else facets)
    keys = [*chosen, *(key for each in comparisons for key in each.keys)]
    for limit, limited, what in ((max_gsd, GSD_FACETS, "GSD"), (max_cloud, CLOUD_FACETS, "cloud cover")):
        if limit is not None:
            comparisons.append(Comparison(limited, "<=", (_number(limit, limit),)))
            _must_be_told(what, limited, known)
    if sensors := names(from_sensor):
        comparisons.append(Comparison(SENSOR_FACETS, "=", _of_sensors(sensors, known)))
    sources = names(sources)
    if known is not None and keys:
        _must_be_known("facet", keys, known.facet_keys())
    if known is not None and sources:
        _must_be_known("source", sources, known.source_names())
    if kind not in ("", "text", "image"):
        raise UsageError(f"there is no kind '{kind}'.", "Kinds of results: text, image.")
    return Filter(
        box,
        polygon,
        parse_interval(when) if when is not None and when != "" else None,
        chosen,
        sources,
        cast(Any, kind),
        parse_circle(around) if around is not None and around != "" else None,
        parse_season(season) if season is not None and season != "" else None,
        tuple(comparisons),
        notes,
    )


def _must_be_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"there is no {what} '{name}' in this knowledge base.", _hint(name, known))


def _must_be_told(what: str, keys: Sequence[str], known: Vocabulary | None) -> None:
    if known is not None and not set(keys) & set(known.facet_keys()):
        raise UsageError(f"nothing in this knowledge base tells its {what}.", f"It would be the facet {keys[0]}.")


def _of_sensors(wanted: Sequence[str], known: Vocabulary | None) -> tuple[str, ...]:
    """The names by which a knowledge base calls some sensors: "Sentinel 2" is sentinel-2, sentinel-2a and so on."""
    if known is None:
        return tuple(wanted)
    there = known.facet_texts(SENSOR_FACETS)
    found: dict[str, None] = {}
    for sensor in wanted:
        own = [name for name in there if _is_of(name, sensor)]
        if not own:
            raise UsageError(f"nothing in this knowledge base is from a sensor '{sensor}'.", _hint(sensor, there))
        found.update(dict.fromkeys(own))
    return tuple(found)


def _is_of(name: str, sensor: str) -> bool:
    name, sensor = (re.sub(r"[\W_]+", "", text.lower()) for text in (name, sensor))
    rest = name.removeprefix(sensor)
    # landsat-1 is not landsat-10, but landsat is either.
    return bool(sensor) and name.startswith(sensor) and not (sensor[-1].isdigit() and rest[:1].isdigit())


def _hint(name: str, known: Sequence[str]) -> str:
    if near := difflib.get_close_matches(name, known, n=1):
        return f"Did you mean '{near[0]}'?"
    more = f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
    return f"There are: {', '.join(known[:MOST_TOLD]) or 'none'}{more}."
