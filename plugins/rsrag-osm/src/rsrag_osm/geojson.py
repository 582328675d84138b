"""Features from GeoJSON whose properties are OpenStreetMap's: as overpass turbo, osmium, GDAL or GeoLink write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rsrag import RsragError

from .features import Feature, Losses, cleaned, hstore_tags, label_tags
from .geometry import unwrapped
from .kinds import kind_of

MOST_BYTES: Final = 300_000_000
_BAD_SHAPE: Final = "features without a usable geometry"
_ELEMENT: Final = re.compile(r"(n|w|r)(?:ode|ay|elation)?/?(\d+)")
_HEAD: Final = re.compile(r'"(?:@id|@type|osm_id|osm_way_id|other_tags)"|"label"\s*:\s*"[a-z_ ]+:')
_OURS: Final = frozenset("@id @type id type osm_id osm_way_id osm_type other_tags label".split())


def looks_like_osm(path: Path) -> bool:
    """Whether the first 64 kB of a GeoJSON file hold OpenStreetMap's ids or tags."""
    try:
        with path.open("rb") as stream:
            head = stream.read(65_536).decode("utf-8", "replace")
    except OSError:
        return False
    return '"FeatureCollection"' in head and bool(_HEAD.search(head) or re.search(r'"(?:building|highway)"\s*:', head))


def read_geojson(path: Path, losses: Losses) -> Iterator[Feature]:
    """Every feature with a telling tag and a shape. What has no shape is counted in `losses`.

    A feature without an element of OpenStreetMap is numbered by its place in the file ("f1"). Raises `RsragError` for
    what is no GeoJSON, or holds not one feature with OpenStreetMap's ids or tags.
    """
    if path.stat().st_size > MOST_BYTES:
        raise RsragError(
            f"{path} has more than {MOST_BYTES // 10**6} MB.", "GeoJSON is read as a whole; convert it to .osm.pbf."
        )
    known = 0
    for number, given in enumerate(_features(path), 1):
        properties = given.get("properties") if isinstance(given, Mapping) else None
        if not isinstance(properties, Mapping):
            losses.add("features without properties", f"feature {number}")
            continue
        tags = _tags(properties)
        osm = _element(given, properties) or f"f{number}"
        if kind_of(tags) is None:
            known += not osm.startswith("f")
            continue
        known += 1
        shape = _shape(given.get("geometry"))
        if shape is None:
            losses.add(_BAD_SHAPE, osm)
            continue
        yield Feature(osm, tags, shape)
    if not known:
        raise RsragError(
            f"{path} holds no feature with OpenStreetMap's ids or tags.",
            "Properties are tags (building=yes), or a label such as 'building:yes;name:Hall'.",
        )


def _features(path: Path) -> list[Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        if data["type"] != "FeatureCollection" or not isinstance(data["features"], list):
            raise ValueError("it is no FeatureCollection")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RsragError(f"{path} is no GeoJSON with features ({error}).", "Download or export it again.") from error
    features: list[Any] = data["features"]
    return features


def _tags(properties: Mapping[str, Any]) -> dict[str, str]:
    label = properties.get("label")
    if isinstance(label, str) and ":" in label:
        return label_tags(label)
    tags = properties.get("tags")
    plain = tags if isinstance(tags, Mapping) else properties
    found = cleaned(
        (key, value)
        for key, value in plain.items()
        if key not in _OURS and not key.startswith("@") and isinstance(value, str | int | float)
    )
    return found | hstore_tags(str(properties.get("other_tags") or ""))


def _element(given: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """ "w12" from an id such as "way/12" or "w12", from @type and @id, or from GDAL's columns."""
    for value in (properties.get("@id"), given.get("id"), properties.get("id")):
        if isinstance(value, str) and (match := _ELEMENT.fullmatch(value)):
            return match[1] + match[2]
    kind = str(properties.get("@type") or properties.get("osm_type") or properties.get("type") or "")
    if kind in ("node", "way", "relation"):
        for number in (properties.get("@id"), properties.get("osm_id"), properties.get("id")):
            if str(number).isdecimal():
                return f"{kind[0]}{number}"
    geometry = given.get("geometry")
    form = geometry.get("type") if isinstance(geometry, Mapping) else ""
    if str(properties.get("osm_way_id") or "").isdecimal():
        return f"w{properties['osm_way_id']}"
    if str(properties.get("osm_id") or "").isdecimal():
        letter = {"Point": "n", "LineString": "w", "MultiPolygon": "r"}.get(str(form), "")
        return f"{letter}{properties['osm_id']}" if letter else ""
    return ""


def _shape(geometry: Any) -> Any | None:
    """A valid shape in degrees, or None."""
    import shapely
    from shapely.geometry import shape as shaped

    try:
        shape = shapely.force_2d(shaped(geometry))
        if shape.is_empty or not all(abs(v) <= most for v, most in zip(shape.bounds, (180, 90, 180, 90), strict=True)):
            return None
        shape = unwrapped(shape)
        if not shape.is_valid:
            # A ring that touches or crosses itself still bounds an area; the part of equal dimension is kept.
            wanted = shapely.get_dimensions(shape)
            parts = shapely.get_parts(shapely.make_valid(shape))
            shape = shapely.union_all([part for part in parts if shapely.get_dimensions(part) == wanted])
    except (shapely.errors.ShapelyError, AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None
    worthless = shape.is_empty or ("Polygon" in shape.geom_type and shape.area == 0)
    return None if worthless or ("Line" in shape.geom_type and shape.length == 0) else shape
