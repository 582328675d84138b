"""Nearest points among many, vectorised on the unit sphere; exact distances follow on the ellipsoid.

On a sphere there is no antimeridian and no pole to take care of. Distances differ from the ellipsoid's by at
most 0.6 %, so it picks candidates and `pyproj.Geod` decides among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .ground import geod

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SLACK = 1.012  # twice the flattening's effect: what is farther on the sphere than this is farther on Earth
RADIUS = 6_371_008.8  # metres, mean radius of WGS 84


def unit(lon: Floats | float, lat: Floats | float) -> Floats:
    """Unit vectors (..., 3) of positions in degrees."""
    x, y = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=-1)


def degrees(vectors: Floats) -> tuple[Floats, Floats]:
    """(longitudes, latitudes) in degrees of vectors (..., 3)."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def angles(lon: float, lat: float, vectors: Floats) -> Floats:
    """Radians from a position to each unit vector; by the chord, which keeps its digits at short range."""
    chord = np.linalg.norm(vectors - unit(lon, lat), axis=-1)
    return np.asarray(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


def from_here(lon: float, lat: float, lons: Floats, lats: Floats) -> tuple[Floats, Floats]:
    """(metres, bearings in degrees 0..360 clockwise from north) from a position to others, on WGS 84."""
    away, _, metres = geod().inv(np.full(len(lons), lon), np.full(len(lons), lat), lons, lats)
    return np.asarray(metres), np.asarray(away) % 360


def nearest_points(lon: float, lat: float, vectors: Floats, n: int, within_m: float) -> NDArray[np.intp]:
    """Indices of all points that can be among the `n` nearest within `within_m` metres."""
    away = angles(lon, lat, vectors)
    reach = within_m * SLACK / RADIUS
    if n < len(away):
        reach = min(reach, float(np.partition(away, n - 1)[n - 1]) * SLACK)
    return np.flatnonzero(away <= reach)


def feet(lon: float, lat: float, starts: Floats, ends: Floats) -> Floats:
    """The point of each great-circle segment (unit vectors, (n, 3)) that is nearest to a position."""
    here = unit(lon, lat)
    normal = np.cross(starts, ends)
    size = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, size, out=np.zeros_like(normal), where=size > 1e-15)
    foot = here - (normal @ here)[:, None] * normal
    foot /= np.maximum(np.linalg.norm(foot, axis=1, keepdims=True), 1e-15)
    inside = (np.einsum("ij,ij->i", np.cross(starts, foot), normal) >= 0) & (
        np.einsum("ij,ij->i", np.cross(foot, ends), normal) >= 0
    )
    inside &= (size[:, 0] > 1e-15) & (foot @ here > 0)
    closer_end = np.where((starts @ here >= ends @ here)[:, None], starts, ends)
    return np.where(inside[:, None], foot, closer_end)
