"""From an affine transform to a place on Earth: box, footprint and ground sample distance."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from .types import BBox

Transform = tuple[float, ...]


class Georeference(NamedTuple):
    """CRS, pixel-to-map transform (a, b, c, d, e, f), what to know about them, and whether the two fit together:
    without that the coordinates are kept, and lie nowhere."""

    crs: str | None
    transform: Transform | None
    notes: list[str]
    fits: bool = True


def georeference(source: Any) -> Georeference:
    """The georeference of a rasterio dataset; ground control points count when nothing else does."""
    crs, t, notes = source.crs, tuple(source.transform)[:6], []
    if not crs and _is_in_degrees(source):
        from rasterio.crs import CRS

        crs = CRS.from_epsg(4326)
        notes.append("Its coordinates are in degrees, of no named system; they are taken as WGS 84.")
    if not crs:
        points, crs = source.gcps
        if not (points and crs):
            if source.transform.is_identity:
                notes = ["Only RPCs place it on Earth, which are not used."] if source.rpcs else []
                return Georeference(None, None, notes)
            return Georeference(None, t, ["It has map coordinates but no coordinate reference system."])
        from rasterio.transform import from_gcps

        t = tuple(from_gcps(points))[:6]
        notes.append(_how_well(points, t))
    if not all(map(math.isfinite, t)) or abs(_determinant(t)) < 1e-24:
        return Georeference(crs.to_string(), None, ["Its transform to map coordinates is degenerate and not used."])
    if why := misfit(crs.to_string(), t, source.width, source.height):
        return Georeference(crs.to_string(), t, [*notes, why], fits=False)
    return Georeference(crs.to_string(), t, notes + ([] if notes else _orientation(t)))


def _is_in_degrees(source: Any) -> bool:
    """By the units of its axes, as netCDF's conventions have it where no grid mapping is named."""
    return not source.transform.is_identity and {"degrees_north", "degrees_east"} <= set(source.tags().values())


def _determinant(t: Transform) -> float:
    return t[0] * t[4] - t[1] * t[3]


def _how_well(points: Any, t: Transform) -> str:
    """One affine transform cannot follow all control points: how far it misses them, in pixels."""
    pixel = math.sqrt(abs(_determinant(t))) or math.inf
    misses = [
        math.hypot(t[0] * p.col + t[1] * p.row + t[2] - p.x, t[3] * p.col + t[4] * p.row + t[5] - p.y) for p in points
    ]
    return f"Placed by {len(points)} ground control points, to about {max(1, round(max(misses) / pixel)):,} pixels."


def _orientation(t: Transform) -> list[str]:
    size = math.sqrt(abs(_determinant(t)))
    if max(abs(t[1]), abs(t[3])) > 1e-6 * size:
        turn = math.degrees(math.atan2(t[3], t[0]))
        return [f"It is rotated: its rows run {abs(turn):.3g} degrees off the map's horizontal."]
    if t[4] > 0:
        return ["It is stored with south at the top."]
    return ["It is stored with east on the left."] if t[0] < 0 else []


def misfit(crs: str, t: Transform, w: int, h: int) -> str:
    """Why map coordinates cannot be of that CRS (degrees in a projection, metres in degrees, swapped axes), or ""."""
    from pyproj import CRS

    try:
        system, (transformer, _) = CRS.from_user_input(crs), _to_degrees(crs)
    except Exception:  # a local or engineering system
        return ""
    corners = [(t[0] * c + t[1] * r + t[2], t[3] * c + t[4] * r + t[5]) for c in (0, w) for r in (0, h)]
    across, up = (max(abs(corner[axis]) for corner in corners) for axis in (0, 1))
    pixel = math.sqrt(abs(_determinant(t)))
    x, y = t[0] * w / 2 + t[1] * h / 2 + t[2], t[3] * w / 2 + t[4] * h / 2 + t[5]
    where = f"Its coordinates ({x:.6g}, {y:.6g}) do not fit {_short(crs)}"
    if system.is_geographic:
        if up <= 90 + pixel and across <= 540 + pixel:  # some grids are registered to the middles of their cells
            return ""
        swapped = across <= 90 + pixel and up <= 540 + pixel
        return f"{where}: latitude and longitude look swapped." if swapped else f"{where}: they are no degrees."
    if not system.is_projected:
        return ""
    if across <= 180 and up <= 90 and pixel < 0.02:
        return f"{where}: they look like degrees."
    if _is_near(system, transformer.transform(x, y), 15):
        return ""
    if _is_near(system, transformer.transform(y, x), 3):
        return f"{where}: its axes look swapped."
    return f"{where}, which is made for another part of the Earth."


def _is_near(system: Any, place: tuple[float, float], margin: float) -> bool:
    """Whether a place (lon, lat) lies in the area that a CRS is made for, or within so many degrees of it."""
    lon, lat = place
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return False
    area = system.area_of_use
    if area is None:
        return True
    # Northern zones of UTM are used far into the south, with negative northings.
    if not ("UTM" in system.name or area.south - margin <= lat <= area.north + margin):
        return False
    width = ((area.east - area.west) % 360 or 360) + 2 * margin
    return width >= 360 or (lon - area.west + margin) % 360 <= width


def _short(crs: str) -> str:
    return crs if len(crs) < 30 else "its coordinate reference system"


def moved(t: Transform, x: int, y: int) -> Transform:
    return (t[0], t[1], t[2] + t[0] * x + t[1] * y, t[3], t[4], t[5] + t[3] * x + t[4] * y)


@lru_cache(maxsize=64)
def _to_degrees(crs: str) -> tuple[Any, float | None]:
    """(transformer to lon/lat, metres per unit of a projected CRS). pyproj's transformers are thread-safe."""
    from pyproj import CRS, Transformer

    system = CRS.from_user_input(crs)
    metres = system.axis_info[0].unit_conversion_factor if system.is_projected else None
    return Transformer.from_crs(system, "EPSG:4326", always_xy=True), metres


def place(crs: str, t: Transform, w: int, h: int) -> tuple[BBox | None, tuple[tuple[float, float], ...], float | None]:
    """(box, closed ring of corners in degrees, ground sample distance in metres at the middle) of w x h pixels."""
    import numpy as np

    try:
        transformer, metres = _to_degrees(crs)
    except Exception:  # a local or engineering system: pixels and map units stay usable
        return None, (), None
    steps = np.linspace(0, 1, 22)[:-1]  # 21 points along each edge, since edges bend
    down, zeros, ones = steps[::-1] + 1 / 21, np.zeros(21), np.ones(21)
    col = np.concatenate([steps, ones, down, zeros, [0.0]]) * w
    row = np.concatenate([zeros, steps, ones, down, [0.0]]) * h
    span = 5.0  # measured over ten pixels, for the sake of rounding
    col = np.concatenate([col, [w / 2 - span, w / 2 + span, w / 2, w / 2]])
    row = np.concatenate([row, [h / 2, h / 2, h / 2 - span, h / 2 + span]])
    lon, lat = transformer.transform(t[0] * col + t[1] * row + t[2], t[3] * col + t[4] * row + t[5])
    lon, lat, middle = lon[:-4], lat[:-4], (lon[-4:], lat[-4:])
    good = np.isfinite(lon) & np.isfinite(lat)
    if good.sum() < 4:
        return None, (), None
    around = np.unwrap(lon[good], period=360)
    south, north = np.clip([lat[good].min(), lat[good].max()], -90, 90).tolist()
    turn = around[-1] - around[0]
    if abs(turn) > 180:  # the ring goes once around a pole, which then lies inside
        south, north = (-90.0, north) if lat[good].mean() < 0 else (south, 90.0)
    if abs(turn) > 180 or around.max() - around.min() >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _wrapped(around.min()), _wrapped(around.max())
        if east == -180.0:  # it ends exactly on the antimeridian
            east = 180.0
    ring = tuple((_wrapped(lon[i]), float(np.clip(lat[i], -90, 90))) for i in (0, 21, 42, 63, 84) if good[i])
    return BBox(west, south, east, north), ring if len(ring) == 5 else (), _gsd(middle, t, metres)


def _wrapped(lon: Any) -> float:
    value = float(lon)
    return value if -180 <= value <= 180 else (value + 180) % 360 - 180


def _gsd(middle: tuple[Any, Any], t: Transform, metres: float | None) -> float | None:
    from pyproj import Geod

    lon, lat = middle
    across, down = Geod(ellps="WGS84").inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])[2] / 10
    ground = math.sqrt(across * down) if across > 0 and down > 0 else math.nan
    if metres:
        # A projection's own scale error (0.04 % in UTM) is noise; Web Mercator's, a factor of two, is not.
        nominal = math.sqrt(abs(t[0] * t[4] - t[1] * t[3])) * metres
        if not math.isfinite(ground) or abs(ground / nominal - 1) < 0.005:
            return nominal if nominal > 0 else None
    return float(ground) if math.isfinite(ground) else None
