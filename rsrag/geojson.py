"""GeoJSON (RFC 7946) in and out: features and collections, and geometries that stay right at 180 degrees and the poles.

A geometry is a mapping as in a file, in EPSG:4326 degrees. Shapely is imported only where geometries are computed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .types import BBox, Circle

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Geometry = Mapping[str, Any]
Ring = Sequence[Sequence[float]]

# The tightest curve of the ellipsoid (along the meridian at the equator), so that no box comes out too small.
_LEAST_RADIUS_M = 6_335_000.0
MENDED = "the polygon crosses itself and was mended; check on a map that it is the area you mean"
CROSSES = "the polygon was taken to cross the 180 degree meridian, the short way"
POLAR = "the polygon runs round a pole and was taken to hold it"

# -- out ------------------------------------------------------------------------------------------


def feature(
    geometry: Geometry | None, properties: Mapping[str, Any] | None = None, id: str | int | None = None
) -> dict[str, Any]:
    """A Feature; `geometry` None is one without a place, which the RFC allows."""
    named = {} if id is None else {"id": id}
    return {"type": "Feature", **named, "geometry": geometry, "properties": dict(properties or {})}


def collection(features: Iterable[Mapping[str, Any]], **members: Any) -> dict[str, Any]:
    """A FeatureCollection, with foreign members as given."""
    return {"type": "FeatureCollection", **members, "features": list(features)}


def from_bbox(box: BBox) -> dict[str, Any]:
    """A box as a Polygon, over the antimeridian as a MultiPolygon of two; without area as lines, or as a Point."""
    if box.west == box.east and box.south == box.north:
        return {"type": "Point", "coordinates": [box.west, box.south]}
    parts = box.parts()
    each: list[Any]
    if box.south == box.north or box.west == box.east:
        kind, each = "LineString", [[[w, s], [e, n]] for w, s, e, n in parts]
    else:
        kind, each = "Polygon", [[[[w, s], [e, s], [e, n], [w, n], [w, s]]] for w, s, e, n in parts if w < e]
    return {"type": kind, "coordinates": each[0]} if len(each) == 1 else {"type": f"Multi{kind}", "coordinates": each}


def from_circle(circle: Circle) -> BBox:
    """The box of a circle; over a pole it goes all the way round."""
    angle = circle.radius_m / _LEAST_RADIUS_M
    reach = math.degrees(angle)
    south, north = max(-90.0, circle.lat - reach), min(90.0, circle.lat + reach)
    if south == -90 or north == 90:
        return BBox(-180, south, 180, north)
    # Meridians touch the circle nearer to the pole than its centre lies: sin(width) = sin(angle) / cos(latitude).
    ratio = math.sin(angle) / math.cos(math.radians(circle.lat))
    if ratio >= 1:
        return BBox(-180, south, 180, north)
    width = math.degrees(math.asin(ratio)) + 1e-6
    west, east = circle.lon - width, circle.lon + width
    return BBox(west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north)


def write(path: str | Path, obj: Mapping[str, Any]) -> None:
    """Write UTF-8 JSON. Raises `UsageError` when the file cannot be written."""
    try:
        Path(path).write_text(json.dumps(obj, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).", "Choose a folder that exists.") from error


# -- in -------------------------------------------------------------------------------------------


def read_shape(data: object, where: str = "it") -> tuple[BaseGeometry, tuple[str, ...]]:
    """(shape, notes) of a geometry, Feature or FeatureCollection, all its parts joined; empty where it holds none.

    The shape lies within -180..180, -90..90 and is valid: what crosses the antimeridian is cut there, what runs round
    a pole reaches to it, and what crosses itself is mended; `notes` say so. Heights are dropped.
    Raises `UsageError`, beginning with `where`, for what is no geometry and for coordinates that are not degrees.
    """
    from shapely.errors import ShapelyError
    from shapely.ops import unary_union

    notes: dict[str, None] = {}
    try:
        shapes = [part for geometry in _geometries(data) for part in _shapes(geometry, notes)]
        joined = unary_union(shapes)
    except (ShapelyError, AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not a GeoJSON geometry ({error}).") from error
    return joined, tuple(notes)


def to_geojson(shape: BaseGeometry) -> dict[str, Any]:
    """A shape as a GeoJSON geometry of lists; outer rings run counterclockwise, as the RFC wants them."""
    from shapely.geometry import MultiPolygon, mapping
    from shapely.geometry.polygon import orient

    if shape.geom_type == "Polygon":
        shape = orient(shape)
    elif shape.geom_type == "MultiPolygon":
        shape = MultiPolygon([orient(part) for part in shape.geoms])
    geometry: dict[str, Any] = json.loads(json.dumps(mapping(shape)))
    return geometry


def bounds(shape: BaseGeometry) -> BBox:
    """The smallest box round a shape of `read_shape`; one that was cut at the antimeridian crosses it."""
    parts = sorted(part.bounds for part in getattr(shape, "geoms", [shape]))
    south, north = min(part[1] for part in parts), max(part[3] for part in parts)
    # The widest stretch of longitude without any part is what the box leaves out.
    widest, west, east = 360 - (max(part[2] for part in parts) - parts[0][0]), parts[0][0], parts[0][2]
    reach = east
    for part in parts[1:]:
        if part[0] - reach > widest:
            widest, west, east = part[0] - reach, part[0], reach
        reach = max(reach, part[2])
    return BBox(west, south, reach if west == parts[0][0] else east, north)


def _geometries(data: Any) -> Iterator[Geometry]:
    kind = data["type"]
    if kind == "FeatureCollection":
        for each in data["features"]:
            yield from _geometries({"type": "Feature", **each})
    elif kind == "GeometryCollection":
        for each in data["geometries"]:
            yield from _geometries(each)
    elif kind == "Feature":
        if data["geometry"]:
            yield from _geometries(data["geometry"])
    else:
        yield data


def _shapes(geometry: Geometry, notes: dict[str, None]) -> Iterator[BaseGeometry]:
    from shapely import force_2d
    from shapely.geometry import shape

    kind = geometry["type"]
    if kind in ("Polygon", "MultiPolygon"):
        for rings in geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]:
            yield from _polygon(rings, notes)
        return
    other = force_2d(shape(geometry))
    if not other.is_empty:
        BBox(*other.bounds)  # refuses what are no degrees
        yield other


def _polygon(rings: Sequence[Ring], notes: dict[str, None]) -> Iterator[BaseGeometry]:
    from shapely import get_parts, make_valid
    from shapely.affinity import translate
    from shapely.geometry import Polygon, box

    if not rings:
        return
    outer, *holes = [_unrolled(ring, notes) for ring in rings]
    middle = (min(x for x, _ in outer) + max(x for x, _ in outer)) / 2
    near = [_beside(hole, middle) for hole in holes]
    area = Polygon(outer, near)
    if not area.is_valid:
        notes[MENDED] = None
        area = make_valid(area)
    for part in get_parts(area):
        if part.area == 0:
            yield part  # the lines and points that mending may leave; whoever wants an area refuses them
            continue
        west, _, east, _ = part.bounds
        for turn in range(math.floor((west + 180) / 360), math.ceil((east + 180) / 360)):
            piece = part.intersection(box(360 * turn - 180, -90, 360 * turn + 180, 90))
            yield from (p for p in get_parts(translate(piece, -360 * turn)) if p.area > 0)


def _beside(ring: list[tuple[float, float]], middle: float) -> list[tuple[float, float]]:
    """A hole moved by whole turns next to its polygon."""
    own = (min(x for x, _ in ring) + max(x for x, _ in ring)) / 2
    turns = 360 * round((middle - own) / 360)
    return [(x + turns, y) for x, y in ring]


def _unrolled(ring: Ring, notes: dict[str, None]) -> list[tuple[float, float]]:
    """A ring with longitudes that run on beyond 180 instead of jumping, closed over the pole where it runs round it.

    A step of more than 180 and less than 360 degrees goes the short way. One of exactly 360 is a step on the spot
    when it is the only one (a ring round the pole, written from -180 to 180), else an edge along a whole parallel.
    """
    points = [(float(x), float(y)) for x, y, *_ in ring]
    if len(set(points)) < 3:
        raise ValueError("a ring needs three corners")
    for x, y in points:
        if not (-90 <= y <= 90 and -360 <= x <= 360):
            BBox(x, y, x, y)  # says what is wrong
    ahead = [*points[1:], points[0]]
    steps = [(b[0] - a[0], abs(a[1]) == 90 == abs(b[1])) for a, b in zip(points, ahead, strict=True)]
    once_round = [at_pole for step, at_pole in steps if abs(step) == 360] == [False]
    line, x = [points[0]], points[0][0]
    for (step, at_pole), (_, y) in zip(steps, ahead, strict=True):
        if abs(step) == 360 and not at_pole and once_round:
            step = 0.0
        elif 180 < abs(step) < 360 and not at_pole:
            step -= math.copysign(360, step)
            notes[CROSSES] = None
        x += step
        line.append((x, y))
    if abs(line[-1][0] - line[0][0]) > 180:  # it did not come back: it ran once round
        notes[POLAR] = None
        notes.pop(CROSSES, None)
        pole = math.copysign(90, sum(y for _, y in points))
        line += [(line[-1][0], pole), (line[0][0], pole)]
    return line
