"""A STAC item as a record: where and when, what it is made of, and one sentence that says so."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rsrag import BBox, Record, RsragError, Section, UsageError
from rsrag.geojson import bounds, read_shape, to_geojson

if TYPE_CHECKING:
    from pystac import Item

MOST_CORNERS: Final = 500
"""A footprint of more corners is simplified by at most 0.001 degrees."""

_NO_FACETS: Final = frozenset(
    "title description datetime created updated license providers start_datetime end_datetime".split()
)
_LONGEST_FACET: Final = 200


@dataclass(frozen=True, slots=True)
class Terms:
    """What a collection says for all its items."""

    license: str = ""
    attribution: str = ""


def read_item(data: Mapping[str, Any]) -> Item:
    """An item of any STAC version, brought to the latest. Raises `UsageError` for what is none."""
    import warnings

    from pystac import Item

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an item is deprecated is its own affair
            item = Item.from_dict(dict(data), preserve_dict=False)
    except Exception as error:  # pystac raises many kinds on malformed items
        raise UsageError(f"is no STAC item ({type(error).__name__}: {_line(error)}).") from error
    if not isinstance(item.id, str) or not item.id or not isinstance(item.properties, dict):
        raise UsageError("is no STAC item: it has no id or no properties.")
    return item


def to_record(item: Item, terms: Terms, images: Sequence[str], marks: str) -> tuple[Record, tuple[str, ...]]:
    """(record, notes on its footprint). `marks` is what else decides whether it has changed.

    Raises `UsageError` for a place or a time that is none.
    """
    start, stop = _times(item)
    footprint, box, notes = _place(item)
    facets = _facets(item)
    collection = item.collection_id or ""
    title = str(item.properties.get("title") or item.id)
    described = str(item.properties.get("description") or "").strip()
    content = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False), sort_keys=True, default=str)
    record = Record(
        id=f"{collection}/{item.id}" if collection else item.id,
        subject=f"stac/{collection}/{item.id}" if collection else f"stac/{item.id}",
        title=title,
        sections=(
            Section("item", _sentence(title, item, facets, box, start, stop)),
            *([Section("description", described)] if described else []),
        ),
        images=tuple(images),
        aliases=(item.id,) if title != item.id else (),
        facets=facets,
        bbox=box,
        footprint=footprint,
        acquired=start,
        acquired_until=stop,
        url=_url(item),
        license=str(item.properties.get("license") or terms.license),
        attribution=providers(item.properties.get("providers")) or terms.attribution,
        version=hashlib.sha256(f"{content}\0{marks}\0{terms}".encode()).hexdigest()[:24],
    )
    return record, notes


def providers(given: object) -> str:
    """The names of those who made and who license something."""
    if not isinstance(given, list):
        return ""
    names = [str(each["name"]) for each in given if isinstance(each, Mapping) and each.get("name")]
    return ", ".join(dict.fromkeys(names))


def _times(item: Item) -> tuple[datetime | None, datetime | None]:
    """(time, None), or the span between start and end."""
    if item.datetime:
        return _aware(item.datetime), None
    start, stop = (_read_time(item, key) for key in ("start_datetime", "end_datetime"))
    if start and stop and start > stop:
        raise UsageError(f"ends ({stop.isoformat()}) before it starts ({start.isoformat()}).")
    return start or stop, stop if start else None


def _read_time(item: Item, key: str) -> datetime | None:
    text = item.properties.get(key)
    if text is None:
        return None
    try:
        return _aware(datetime.fromisoformat(str(text)))
    except ValueError:
        raise UsageError(f"{key} is {text!r}, which is no time.") from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _place(item: Item) -> tuple[Mapping[str, Any] | None, BBox | None, tuple[str, ...]]:
    """(footprint where it says more than the box, box, notes)."""
    if item.geometry:
        try:
            shape, notes = read_shape(item.geometry, "its geometry")
        except RsragError as error:
            return None, _box(item), (f"{error.message} Its bbox stands for it.",)
        if not shape.is_empty:
            box = bounds(shape)
            if shape.equals(shape.envelope) or shape.geom_type == "Point":
                return None, box, notes
            if sum(len(part.exterior.coords) for part in getattr(shape, "geoms", [shape]) if part.area) > MOST_CORNERS:
                shape = shape.simplify(0.001)
            return to_geojson(shape), box, notes
    return None, _box(item), ()


def _box(item: Item) -> BBox | None:
    given = item.bbox
    if not given:
        return None
    try:
        numbers = [float(value) for value in given]
        west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])
    except (TypeError, ValueError):
        raise UsageError(f"bbox is {given!r}, not four or six numbers.") from None
    return BBox(west, south, east, north)


def _facets(item: Item) -> dict[str, Any]:
    """Every property that is a short text, a number or a list of texts, by the names that `rsrag` filters by."""
    facets: dict[str, Any] = {"collection": item.collection_id} if item.collection_id else {}
    for key, value in item.properties.items():
        if key not in _NO_FACETS and _is_facet(value):
            facets[key] = tuple(value) if isinstance(value, list) else value
    if "eo:cloud_cover" in facets:
        facets["cloud_cover"] = facets.pop("eo:cloud_cover")
    code = str(facets.get("proj:code", ""))
    if code.startswith("EPSG:") and code[5:].isdecimal():
        facets["proj:epsg"] = int(code[5:])
    if sensor := facets.get("platform") or facets.get("constellation"):
        facets["sensor"] = sensor
    for key in ("start_datetime", "end_datetime"):
        if item.properties.get(key):
            facets[key] = str(item.properties[key])
    return facets


def _is_facet(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST_FACET
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, int)


def _sentence(
    title: str, item: Item, facets: Mapping[str, Any], box: BBox | None, start: datetime | None, stop: datetime | None
) -> str:
    said = (
        f"{title} is an item of the STAC collection {item.collection_id}"
        if item.collection_id
        else f"{title} is a STAC item"
    )
    if start and stop:
        said += f", from {_day(start)} to {_day(stop)}"
    elif start:
        said += f", acquired on {_day(start)} at {start.astimezone(UTC):%H:%M} UTC"
    if facets.get("sensor"):
        instruments = facets.get("instruments")
        with_ = f" with {', '.join(instruments)}" if isinstance(instruments, tuple) else ""
        said += f" by {facets['sensor']}{with_}"
    if box:
        lon, lat = box.center
        said += f", around {abs(lat):.2f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.2f}° {'E' if lon >= 0 else 'W'}"
    known = [
        (facets.get("gsd"), "ground sample distance is {:g} m"),
        (facets.get("cloud_cover"), "cloud cover {:.3g} %"),
    ]
    parts = [form.format(float(value)) for value, form in known if isinstance(value, int | float)]
    return f"{said}." + (f" Its {' and its '.join(parts)}." if parts else "")


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _url(item: Item) -> str:
    for rel in ("self", "canonical", "via", "alternate"):
        for link in item.links:
            if link.rel == rel and str(link.href).startswith(("https://", "http://")):
                return str(link.href)
    return ""


def _line(error: BaseException) -> str:
    return (str(error).strip() or "no more is known").splitlines()[0][:200].rstrip(".")
