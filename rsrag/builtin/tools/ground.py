"""The ground a scene covers: its outline in degrees, how far it reaches, and each pixel's area on the ellipsoid."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rsrag import BBox, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 16  # points along each edge of a scene: edges that are straight in the file bend on Earth
LATTICE = 64  # cells each way, at whose corners a projection's scale is looked up


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

    middle = to_degrees(scene, np.array([scene.width / 2]), np.array([scene.height / 2]))
    # A box around a pole, or around a scene that lies askew, has its middle elsewhere.
    return (float(middle[0, 0]), float(middle[1, 0])) if middle is not None else scene.bbox.center


def _from_pixels(scene: Scene) -> NDArray[np.float64] | None:
    import numpy as np

    along = np.linspace(0, 1, STEPS + 1)[:-1]
    zeros, ones = np.zeros(STEPS), np.ones(STEPS)
    col = np.concatenate([along, ones, 1 - along, zeros, [0]]) * scene.width
    row = np.concatenate([zeros, along, ones, 1 - along, [0]]) * scene.height
    return to_degrees(scene, col, row)


def to_degrees(scene: Scene, col: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(2, n) longitudes -180..180 and latitudes of pixel positions; None where the file cannot tell."""
    import numpy as np

    places = _places(scene, col, row)
    # A corner that lies off the Earth has none: then its box must do.
    return places if places is not None and np.isfinite(places).all() else None


def _places(scene: Scene, col: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """As `to_degrees`, NaN for single positions off the Earth."""
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
    places = np.array([np.asarray(lons), np.asarray(lats)])
    places[:, ~np.isfinite(places).all(axis=0)] = np.nan
    places[1] = np.clip(places[1], -90, 90)
    places[0] = np.where(np.abs(places[0]) > 180, (places[0] + 180) % 360 - 180, places[0])
    return places


def to_pixels(scene: Scene, lon: float, lat: float) -> tuple[float, float] | None:
    """(column, row), fractions kept, of a position in degrees, also outside the scene; None where nothing tells."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    if not scene.transform or not scene.crs or not (abs(lat) <= 90 and abs(lon) <= 360):
        return None
    a, b, c, d, e, f = scene.transform[:6]
    try:
        x, y = Transformer.from_crs("EPSG:4326", scene.crs, always_xy=True).transform(lon, lat)
        if CRS.from_user_input(scene.crs).is_geographic:  # the grid may run on over the antimeridian
            middle = a * scene.width / 2 + b * scene.height / 2 + c
            x += 360 * round((middle - x) / 360)
    except ProjError:
        return None
    det = a * e - b * d
    column, row = (e * (x - c) - b * (y - f)) / det, (a * (y - f) - d * (x - c)) / det
    return (column, row) if abs(column) < 1e12 and abs(row) < 1e12 else None


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


def pixel_areas(scene: Scene, shape: tuple[int, int] | None = None) -> NDArray[np.float64] | None:
    """Square metres on the WGS 84 ellipsoid of each pixel, (H, W); None when the scene has no place and no pixel size.

    `shape` (H, W) cuts the same ground into another number of pixels: that of a reduced picture. In degrees it is the
    ellipsoid's area element in the middle of the pixel; in a projected system it is interpolated between geodesic
    squares on a lattice. Pixels that lie nowhere on Earth have none (0).
    """
    import numpy as np

    height, width = shape or (scene.height, scene.width)
    part = (scene.width / width) * (scene.height / height)
    if not scene.transform or not scene.crs:
        return None if scene.gsd_m is None else np.full((height, width), scene.gsd_m**2 * part)
    if _is_geographic(scene.crs):
        _, _, _, d, e, f = scene.transform[:6]
        row, col = (np.arange(height) + 0.5) * scene.height / height, (np.arange(width) + 0.5) * scene.width / width
        lat = np.radians(np.clip(d * col[None] + e * row[:, None] + f, -90, 90))
        element = geod().a ** 2 * (1 - geod().es) * np.cos(lat) / (1 - geod().es * np.sin(lat) ** 2) ** 2
        return np.asarray(_map_size(scene) * part * np.radians(1) ** 2 * element)
    rows, cols = (np.linspace(0, n, min(n, LATTICE) + 1) for n in (height, width))
    nodes = _squares(scene, cols * scene.width / width, rows * scene.height / height)
    if nodes is None:
        return None if scene.gsd_m is None else np.full((height, width), scene.gsd_m**2 * part)
    nodes *= part
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    across = np.array([np.interp(x, cols, line) for line in nodes])
    return np.array([np.interp(y, rows, line) for line in across.T]).T


def _squares(scene: Scene, cols: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(rows, cols) square metres of a pixel around each position, measured over a square of about a kilometre: of
    smaller ones the digits of a geodesic area would not suffice."""
    import numpy as np

    side = max(1.0, 1000 / (scene.gsd_m or 1000))
    col, row = np.meshgrid(cols, rows)
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * side
    places = _places(scene, (col[..., None] + corners[:, 0]).ravel(), (row[..., None] + corners[:, 1]).ravel())
    if places is None:
        return None
    lons, lats = (part.reshape(-1, 4) for part in places)
    sizes = [abs(geod().polygon_area_perimeter(*ring)[0]) for ring in zip(lons, lats, strict=True)]
    return np.nan_to_num(np.reshape(sizes, col.shape)) / side**2


def _map_size(scene: Scene) -> float:
    """Area of a pixel in units of the map."""
    assert scene.transform is not None
    a, b, _, d, e, _ = scene.transform[:6]
    return abs(a * e - b * d)


@cache
def _is_geographic(crs: str) -> bool:
    from pyproj import CRS

    return bool(CRS.from_user_input(crs).is_geographic)
