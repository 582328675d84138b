"""From an affine transform to a place on Earth: box, footprint and ground sample distance."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from .types import BBox

Transform = tuple[float, ...]


def georeference(source: Any) -> tuple[str | None, Transform | None, list[str]]:
    """(CRS, pixel-to-map transform a, b, c, d, e, f, notes); ground control points count when nothing else does."""
    if source.crs:
        return source.crs.to_string(), tuple(source.transform)[:6], []
    points, crs = source.gcps
    if points and crs:
        from rasterio.transform import from_gcps

        note = f"Placed by {len(points)} ground control points; edges may be off by some pixels."
        return crs.to_string(), tuple(from_gcps(points))[:6], [note]
    if source.transform.is_identity:
        return None, None, ["Only RPCs place it on Earth, which are not used."] if source.rpcs else []
    return None, tuple(source.transform)[:6], ["It has map coordinates but no coordinate reference system."]


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
