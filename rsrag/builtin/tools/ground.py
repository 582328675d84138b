"""The ground a scene covers: its outline in degrees, and how far it reaches on the WGS 84 ellipsoid."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rsrag import BBox, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 16  # points along each edge of a scene: edges that are straight in the file bend on Earth


@cache
def geod() -> Any:
    """Geodesics on WGS 84 (Karney 2013, through pyproj); exact to nanometres."""
    from pyproj import Geod

    return Geod(ellps="WGS84")


def outline(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(longitudes, latitudes) of a closed ring around the scene; None when it has no place on Earth.

    Longitudes run on over the antimeridian, so that neighbours never differ by more than 180 degrees.
    """
    import numpy as np

    if scene.bbox is None:
        return None
    ring = _from_pixels(scene)
    if ring is None:
        corners = scene.footprint if len(scene.footprint) >= 4 else box_ring(scene.bbox)
        ring = np.array([*corners, *(corners[:1] if corners[0] != corners[-1] else ())], dtype=float).T
    return np.unwrap(ring[0], period=360), ring[1]


def centre(scene: Scene) -> tuple[float, float] | None:
    """(longitude, latitude) of the scene's middle pixel, or of its box; None when it has no place on Earth."""
    if scene.bbox is None:
        return None
    import numpy as np

    middle = _to_degrees(scene, np.array([scene.width / 2]), np.array([scene.height / 2]))
    # A box around a pole, or around a scene that lies askew, has its middle elsewhere.
    return (float(middle[0, 0]), float(middle[1, 0])) if middle is not None else scene.bbox.center


def _from_pixels(scene: Scene) -> NDArray[np.float64] | None:
    import numpy as np

    along = np.linspace(0, 1, STEPS + 1)[:-1]
    zeros, ones = np.zeros(STEPS), np.ones(STEPS)
    col = np.concatenate([along, ones, 1 - along, zeros, [0]]) * scene.width
    row = np.concatenate([zeros, along, ones, 1 - along, [0]]) * scene.height
    return _to_degrees(scene, col, row)


def _to_degrees(scene: Scene, col: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(2, n) longitudes -180..180 and latitudes of pixel positions; None where the file cannot tell."""
    import numpy as np
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    if not scene.transform or not scene.crs:
        return None
    a, b, c, d, e, f = scene.transform[:6]
    try:
        transformer = Transformer.from_crs(scene.crs, "EPSG:4326", always_xy=True)
        lons, lats = transformer.transform(a * col + b * row + c, d * col + e * row + f)
    except ProjError:
        return None
    places = np.array([np.asarray(lons), np.clip(lats, -90, 90)])
    places[0] = np.where(np.abs(places[0]) > 180, (places[0] + 180) % 360 - 180, places[0])
    return places if np.isfinite(places).all() else None  # else a corner lies off the Earth: its box must do


def box_ring(box: BBox) -> tuple[tuple[float, float], ...]:
    """The closed ring of a box's corners; longitudes run past 180 where it crosses the antimeridian."""
    east = box.east + 360 if box.crosses_antimeridian else box.east
    return (
        (box.west, box.north), (east, box.north), (east, box.south), (box.west, box.south), (box.west, box.north)
    )  # fmt: skip


def extents(box: BBox) -> tuple[float, float]:
    """(east-west, north-south) size of a box in metres, through its middle."""
    import numpy as np

    east = box.east + 360 if box.crosses_antimeridian else box.east
    lon, lat = box.center
    across = np.linspace(box.west, east, 65)  # along the parallel; a geodesic would cut the corner
    return (
        float(geod().line_length(across, np.full(65, lat))),
        float(geod().line_length([lon, lon, lon], [box.south, lat, box.north])),
    )


def area(scene: Scene) -> float | None:
    """Square metres inside the scene's outline; None when it has no place on Earth."""
    ring = outline(scene)
    if ring is None:
        return None
    if abs(ring[0][-1] - ring[0][0]) > 180 or ring[0].max() - ring[0].min() >= 360:
        return None  # around a pole or the whole Earth: a ring no longer says which side is meant
    return abs(float(geod().polygon_area_perimeter(*ring)[0]))
