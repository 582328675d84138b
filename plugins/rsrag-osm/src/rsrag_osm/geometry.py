"""Shapes on Earth: the ground of a scene, sizes and distances on the ellipsoid, and a flat frame for relations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from rsrag import BBox, Scene

_WINDS: Final = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_DEGREE: Final = 111_319.49  # metres along the equator of WGS 84


@cache
def geod() -> Any:
    """Geodesics on WGS 84, by pyproj."""
    from pyproj import Geod

    return Geod(ellps="WGS84")


def footprint(scene: Scene) -> Any | None:
    """The scene's ground as a polygon in degrees; None where it has no place on Earth.

    Over the antimeridian its longitudes run on past 180.
    """
    if scene.bbox is None:
        return None
    import shapely

    ring = list(scene.footprint) if len(scene.footprint) >= 3 else []
    area = shapely.Polygon(_unwrapped(ring)) if ring else None
    return area if area is not None and area.is_valid and area.area > 0 else shapely.box(*span(scene.bbox))


def span(box: BBox) -> tuple[float, float, float, float]:
    """West, south, east, north with west <= east: past 180 over the antimeridian."""
    return (box.west, box.south, box.east + (360 if box.crosses_antimeridian else 0), box.north)


def bbox(shape: Any) -> BBox:
    """The box of a shape in degrees whose longitudes may run past 180."""
    west, south, east, north = (float(v) for v in shape.bounds)
    if east - west >= 360:
        west, east = -180.0, 180.0
    return BBox(_wrapped(west), max(-90.0, south), _wrapped(east), min(90.0, north))


def _wrapped(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


def unwrapped(shape: Any) -> Any:
    """A shape whose longitudes do not jump at the antimeridian: the western ones run on past 180."""
    import shapely

    west, _, east, _ = shape.bounds
    if east - west <= 180:
        return shape
    return shapely.transform(shape, lambda points: points + [[360, 0]] * (points[:, :1] < 0))


def beside(shape: Any, ground: Any) -> Any:
    """The shape turned by whole circles so that it lies on the ground's side of the antimeridian."""
    from shapely import affinity

    middle = (ground.bounds[0] + ground.bounds[2]) / 2
    turns = round((middle - (shape.bounds[0] + shape.bounds[2]) / 2) / 360)
    return affinity.translate(shape, 360 * turns) if turns else shape


def hectares(shape: Any) -> float:
    """Area on the ellipsoid; 0 for points and lines."""
    import shapely

    rings = shapely.geometry.polygon.orient
    parts = [rings(part) for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return sum(abs(float(geod().geometry_area_perimeter(part)[0])) for part in parts) / 10_000


def kilometres(shape: Any) -> float:
    """Length of the lines of a shape on the ellipsoid; 0 for points and areas."""
    import shapely

    lines = [part for part in shapely.get_parts(shape) if part.geom_type in ("LineString", "LinearRing")]
    return sum(float(geod().geometry_length(line)) for line in lines) / 1000


def away(origin: tuple[float, float], shape: Any) -> tuple[float, float]:
    """(metres, bearing in degrees clockwise from north) from a position to the nearest point of a shape."""
    import shapely

    # Nearest in a frame where a degree of longitude is as short as it is there; exact enough to pick the point.
    squeeze = max(0.01, math.cos(math.radians(origin[1])))
    squeezed = shapely.transform(shape, lambda points: points * [[squeeze, 1]])
    line = shapely.shortest_line(shapely.Point(origin[0] * squeeze, origin[1]), squeezed)
    x, y = line.coords[1]
    bearing, _, metres = geod().inv(*origin, x / squeeze, y)
    return float(metres), float(bearing) % 360


def compass(bearing: float) -> str:
    """The nearest of eight winds to a bearing in degrees."""
    return _WINDS[round(bearing / 45) % 8]


def flat(shapes: Sequence[Any], ground: Any) -> list[Any]:
    """Shapes in metres east and north of the ground's middle: good to a percent over a hundred kilometres."""
    import shapely

    middle = ground.envelope.centroid
    scale = [[_DEGREE * max(0.01, math.cos(math.radians(middle.y))), _DEGREE]]
    return [shapely.transform(s, lambda points: (points - [[middle.x, middle.y]]) * scale) for s in shapes]


def widened(ground: Any, metres: float) -> Any:
    """The box around a ground, wider by a distance on each side."""
    import shapely

    west, south, east, north = ground.bounds
    up = metres / _DEGREE * 1.01  # a degree of latitude is at most 1 % shorter than one along the equator
    aside = up / max(0.01, math.cos(math.radians(min(89.0, max(abs(south), abs(north)) + up))))
    return shapely.box(west - aside, max(-90.0, south - up), east + aside, min(90.0, north + up))


def gap(shape: Any, ground: Any) -> float:
    """Metres between a shape and a ground, in the flat frame of the ground; 0 where they touch."""
    here, there = flat([shape, ground], ground)
    return float(here.distance(there))


def clipped(shape: Any, ground: Any) -> Any | None:
    """The part of a shape inside the ground, or None. Of an area only areas remain, of a line only lines."""
    import shapely

    if not shape.intersects(ground):
        return None
    inside = shape.intersection(ground)
    wanted = shapely.get_dimensions(shape)
    parts = [part for part in shapely.get_parts(inside) if shapely.get_dimensions(part) == wanted]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _unwrapped(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    points = [ring[0]]
    for lon, lat in ring[1:]:
        points.append((lon + 360 * round((points[-1][0] - lon) / 360), lat))
    return points
