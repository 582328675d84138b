"""What people write for places, times and facets, turned into the values a Query holds."""

from __future__ import annotations

import difflib
import json
import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from operator import index
from pathlib import Path
from typing import Any

from .errors import UsageError
from .types import BBox, FacetValue, Filter, Interval


def parse_box(text: str | BBox | Sequence[float]) -> BBox:
    """A box from "W,S,E,N" in degrees. Raises `UsageError`."""
    if isinstance(text, BBox):
        return text
    try:
        west, south, east, north = (float(p) for p in _parts(text))
    except (TypeError, ValueError):
        raise UsageError(f"'{text}' is not a box.", "Give W,S,E,N in degrees, such as 4.0,51.8,4.6,52.0.") from None
    return BBox(west, south, east, north)


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
) -> tuple[BBox | None, Mapping[str, Any] | None]:
    """(box, polygon) from a box, four numbers, a GeoJSON object or the path of a GeoJSON file. Raises `UsageError`."""
    if isinstance(value, BBox):
        return value, None
    if isinstance(value, Mapping):
        return None, _geometry(value, "the GeoJSON object")
    if not isinstance(value, str | Path):
        return parse_box(value), None
    value = str(value)
    if re.fullmatch(r"\s*[-+.\de]+\s*(,\s*[-+.\de]+\s*){3}", value):
        return parse_box(value), None
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
    return None, _geometry(data, str(path))


def _geometry(data: Any, where: str) -> Mapping[str, Any]:
    from shapely.errors import ShapelyError
    from shapely.geometry import mapping, shape
    from shapely.ops import unary_union

    kind = data.get("type") if isinstance(data, Mapping) else None
    try:
        if kind == "FeatureCollection":
            geometries = [f.get("geometry") for f in data.get("features", [])]
        elif kind == "Feature":
            geometries = [data.get("geometry")]
        else:
            geometries = [data]
        joined = unary_union([shape(g) for g in geometries if g])
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not a GeoJSON geometry ({error}).") from error
    if joined.is_empty or joined.area == 0:
        raise UsageError(f"{where} holds no area.", "Give a Polygon or MultiPolygon in EPSG:4326.")
    BBox(*joined.bounds)  # refuses coordinates that are not degrees
    geometry: Mapping[str, Any] = mapping(joined)
    return geometry


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


def parse_facets(pairs: Sequence[str] | Mapping[str, FacetValue]) -> dict[str, FacetValue]:
    """Facets from "key=value" pairs; a key given twice means either value. Raises `UsageError`."""
    if isinstance(pairs, Mapping):
        return dict(pairs)
    facets: dict[str, FacetValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"'{pair}' is not a facet.", "Give key=value, such as sensor=sentinel-2.")
        key, value = key.strip(), value.strip()
        old = facets.get(key)
        facets[key] = (*old, value) if isinstance(old, tuple) else value if old is None else (str(old), value)
    return facets


def names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names as a tuple; a text is one name, and nothing is none."""
    return ((value,) if value else ()) if isinstance(value, str) else tuple(value or ())


def make_filter(
    *,
    within: str | BBox | Sequence[float] | Mapping[str, Any] | None = None,
    when: str | Interval | Sequence[str | None] | None = None,
    facets: Sequence[str] | Mapping[str, FacetValue] = (),
    sources: str | Sequence[str] = (),
    kind: str = "",
    known_facets: Sequence[str] | None = None,
    known_sources: Sequence[str] | None = None,
) -> Filter:
    """A filter from what people write. An unknown facet or source is refused with the nearest that exists."""
    box, polygon = parse_within(within) if within is not None and within != "" else (None, None)
    span = parse_interval(when) if when is not None and when != "" else None
    chosen = parse_facets(facets)
    for key in chosen:
        _must_be_known("facet", key, known_facets)
    sources = names(sources)
    for name in sources:
        _must_be_known("source", name, known_sources)
    if kind not in ("", "text", "image"):
        raise UsageError(f"there is no kind '{kind}'.", "Kinds of results: text, image.")
    return Filter(box, polygon, span, chosen, sources, kind)  # type: ignore[arg-type]


def _must_be_known(what: str, name: str, known: Sequence[str] | None) -> None:
    if known is not None and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known) or 'none'}."
        raise UsageError(f"there is no {what} '{name}' in this knowledge base.", hint)
