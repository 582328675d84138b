"""Which records touch an area: candidates from the R*Tree, then exact footprints. Shapely and pyproj load late."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..geojson import bounds, from_circle, read_shape
from ..types import BBox, Circle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IN_BOX = "b.west <= ? AND b.east >= ? AND b.south <= ? AND b.north >= ?"
_HALF_ROUND_M = 20_003_931.0
_STEP_DEGREES = 0.05
_MOST_STEPS = 200


def to_wkb(footprint: Mapping[str, Any]) -> bytes:
    """A footprint as it is stored. Raises `UsageError` for what is no geometry in degrees."""
    shape, _ = read_shape(footprint, "the footprint")
    wkb: bytes = shape.wkb
    return wkb


def touching_polygon(db: sqlite3.Connection, polygon: Mapping[str, Any]) -> set[int]:
    """Rowids of the records whose footprint, or box where they have none, touches a polygon."""
    import numpy as np
    from shapely import contains_properly, intersects, prepare

    area, _ = read_shape(polygon, "the polygon")
    if area.is_empty:
        return set()
    prepare(area)
    rows: list[tuple[float, ...]] = []
    for west, south, east, north in bounds(area).parts():
        rows += db.execute(
            f"SELECT b.record, b.west, b.south, b.east, b.north FROM boxes b WHERE {_IN_BOX}",
            (east, west, north, south),
        )
    table = np.array(rows, np.float64).reshape(-1, 5)
    records, around = table[:, 0].astype(np.int64), _boxes(table[:, 1:])
    # These boxes are the R*Tree's, rounded outwards: what lies wholly inside needs no closer look.
    sure = contains_properly(area, around)
    doubtful = records[intersects(area, around) & ~sure]
    records_there, shapes = _shapes(db, set(doubtful.tolist()))
    return set(records[sure].tolist()) | set(records_there[intersects(area, shapes)].tolist())


def touching_circle(db: sqlite3.Connection, circle: Circle) -> set[int]:
    """Rowids of the records of which some point lies within a distance of a place, along the ellipsoid."""
    touched: set[int] = set()
    for west, south, east, north in from_circle(circle).parts():
        rows = db.execute(f"SELECT b.record FROM boxes b WHERE {_IN_BOX}", (east, west, north, south))
        touched.update(record for (record,) in rows)
    records, shapes = _shapes(db, touched)
    return set(records[distances(circle.lon, circle.lat, shapes) <= circle.radius_m].tolist())


def beside_box(db: sqlite3.Connection, box: BBox) -> set[int]:
    """Rowids of the records that touch a box with their own box but not with their footprint."""
    import numpy as np
    import shapely

    area = shapely.union_all(_boxes(np.array(box.parts())))
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

    def project(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        metres = np.column_stack(there.transform(degrees[:, 0], degrees[:, 1]))
        return np.where(np.isfinite(metres), metres, _HALF_ROUND_M)  # the antipode lies in every direction

    flat = shapely.transform(edges, project)
    to_edge = shapely.distance(flat, shapely.Point(0, 0))
    metres: NDArray[np.float64] = np.where(shapely.intersects_xy(shapes, lon, lat), 0.0, to_edge)
    return metres


def _shapes(db: sqlite3.Connection, records: set[int]) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """(rowids, shapes) of records: footprints, else boxes, each side of the antimeridian for itself."""
    import numpy as np
    import shapely

    wanted = (json.dumps(sorted(records)),)
    listed = "(SELECT value FROM json_each(?))"
    outlined = dict(db.execute(f"SELECT record, wkb FROM footprints WHERE record IN {listed}", wanted))
    rows = [
        row
        for row in db.execute(f"SELECT rowid, west, south, east, north FROM records WHERE rowid IN {listed}", wanted)
        if row[0] not in outlined
    ]
    boxed = [(row, *part) for row, *corners in rows for part in BBox(*corners).parts()]
    table = np.array(boxed, np.float64).reshape(-1, 5)
    rowids = np.concatenate([table[:, 0].astype(np.int64), np.fromiter(outlined, np.int64, len(outlined))])
    return rowids, np.concatenate([_boxes(table[:, 1:]), shapely.from_wkb(np.array([*outlined.values()], object))])


def _boxes(corners: NDArray[np.float64]) -> NDArray[np.object_]:
    """Shapes of boxes (n, 4) of west, south, east, north; those without area are lines or points."""
    import numpy as np
    import shapely

    narrow, flat = corners[:, 0] == corners[:, 2], corners[:, 1] == corners[:, 3]
    areas, points, lines = ~narrow & ~flat, narrow & flat, narrow ^ flat
    shapes = np.empty(len(corners), object)
    shapes[areas] = shapely.box(*corners[areas].T)
    shapes[points] = shapely.points(corners[points, :2])
    shapes[lines] = shapely.linestrings(corners[lines].reshape(-1, 2, 2))
    return shapes
