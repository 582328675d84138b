"""Which records touch an area: candidates from the R*Tree, then exact footprints. Shapely and pyproj load late."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..geojson import bounds, read_shape
from ..types import BBox, Circle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IN_BOX = "b.west <= ? AND b.east >= ? AND b.south <= ? AND b.north >= ?"
# The tightest curve of the ellipsoid (along the meridian at the equator), so that no box comes out too small.
_LEAST_RADIUS_M = 6_335_000.0
_STEP_DEGREES = 0.05
_MOST_STEPS = 200


def to_wkb(footprint: Mapping[str, Any]) -> bytes:
    """A footprint as it is stored. Raises `UsageError` for what is no geometry in degrees."""
    shape, _ = read_shape(footprint, "the footprint")
    wkb: bytes = shape.wkb
    return wkb


def touching_polygon(db: sqlite3.Connection, polygon: Mapping[str, Any]) -> set[int]:
    """Rowids of the records whose footprint, or box where they have none, touches a polygon."""
    from shapely import intersects, prepare

    area, _ = read_shape(polygon, "the polygon")
    if area.is_empty:
        return set()
    prepare(area)
    records, shapes = _candidates(db, bounds(area))
    return set(records[intersects(area, shapes)].tolist()) if len(records) else set()


def touching_circle(db: sqlite3.Connection, circle: Circle) -> set[int]:
    """Rowids of the records of which some point lies within a distance of a place, along the ellipsoid."""
    records, shapes = _candidates(db, around(circle))
    if not len(records):
        return set()
    return set(records[distances(circle.lon, circle.lat, shapes) <= circle.radius_m].tolist())


def beside_box(db: sqlite3.Connection, box: BBox) -> set[int]:
    """Rowids of the records that touch a box with their own box but not with their footprint."""
    import shapely

    area = shapely.union_all([shapely.box(*part) for part in box.parts()])
    shapely.prepare(area)
    beside: set[int] = set()
    for west, south, east, north in box.parts():
        # What lies wholly inside touches, whatever its shape.
        rows = db.execute(
            f"""SELECT b.record, f.wkb FROM boxes b JOIN footprints f ON f.record = b.record
                WHERE {_IN_BOX} AND NOT (b.west >= ? AND b.east <= ? AND b.south >= ? AND b.north <= ?)""",
            (east, west, north, south, west, east, south, north),
        ).fetchall()
        hits = shapely.intersects(area, shapely.from_wkb([wkb for _, wkb in rows]))
        beside.update(record for (record, _), hit in zip(rows, hits, strict=True) if not hit)
    return beside


def around(circle: Circle) -> BBox:
    """A box that holds a circle; over a pole it goes all the way round."""
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


def distances(lon: float, lat: float, shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Metres on the ellipsoid (WGS 84) from a place to the nearest point of each shape, 0 for one that holds it.

    In the azimuthal equidistant projection about the place every point lies at its true distance. Edges, which are
    straight in degrees, are followed in steps of 0.05 degrees, or of a 200th of a wide shape.
    """
    import numpy as np
    import shapely
    from pyproj import Transformer

    there = Transformer.from_crs("EPSG:4326", f"+proj=aeqd +lat_0={lat} +lon_0={lon} +ellps=WGS84", always_xy=True)
    spans = shapely.bounds(shapes)
    widest = np.maximum(spans[:, 2] - spans[:, 0], spans[:, 3] - spans[:, 1])
    edges = np.where(shapely.get_dimensions(shapes) == 2, shapely.boundary(shapes), shapes)
    edges = shapely.segmentize(edges, np.maximum(_STEP_DEGREES, widest / _MOST_STEPS))
    flat = shapely.transform(edges, lambda xy: np.column_stack(there.transform(xy[:, 0], xy[:, 1])))
    to_edge = shapely.distance(flat, shapely.Point(0, 0))
    metres: NDArray[np.float64] = np.where(shapely.intersects_xy(shapes, lon, lat), 0.0, to_edge)
    return metres


def _candidates(db: sqlite3.Connection, box: BBox) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """(rowids, shapes) of the records whose boxes touch a box: footprints, else boxes, each side of 180 for itself."""
    import numpy as np
    import shapely

    boxed: set[tuple[Any, ...]] = set()
    outlined: dict[int, bytes] = {}
    for west, south, east, north in box.parts():
        corners = (east, west, north, south)
        # The R*Tree's own numbers are rounded outwards to 32 bits; a point would have a size.
        boxed.update(
            db.execute(
                f"""SELECT r.rowid, r.west, r.south, r.east, r.north FROM boxes b JOIN records r ON r.rowid = b.record
                    WHERE {_IN_BOX} AND b.record NOT IN (SELECT record FROM footprints)""",
                corners,
            )
        )
        outlined.update(
            db.execute(
                f"SELECT b.record, f.wkb FROM boxes b JOIN footprints f ON f.record = b.record WHERE {_IN_BOX}", corners
            )
        )
    table = np.array(list(boxed), np.float64).reshape(-1, 5)
    table = np.concatenate([table, table[table[:, 1] > table[:, 3]]])
    over = np.flatnonzero(table[:, 1] > table[:, 3])
    first, second = np.split(over, 2)
    table[first, 3], table[second, 1] = 180.0, -180.0
    records = np.concatenate([table[:, 0].astype(np.int64), np.fromiter(outlined, np.int64, len(outlined))])
    shapes = np.concatenate([_boxes(table[:, 1:]), shapely.from_wkb(np.array([*outlined.values()], object))])
    return records, shapes


def _boxes(corners: NDArray[np.float64]) -> NDArray[np.object_]:
    """Shapes of boxes (n, 4) of west, south, east, north; those without any size are points."""
    import numpy as np
    import shapely

    points = (corners[:, 0] == corners[:, 2]) & (corners[:, 1] == corners[:, 3])
    shapes = np.empty(len(corners), object)
    shapes[~points] = shapely.box(*corners[~points].T)
    shapes[points] = shapely.points(corners[points, :2])
    return shapes
