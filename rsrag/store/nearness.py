"""Distances and growing boxes on a round Earth, well enough to rank what is near. Pure."""

from __future__ import annotations

import math

from ..types import BBox


def grown(box: BBox, degrees: float) -> BBox:
    _, lat = box.center
    stretch = degrees / max(0.1, math.cos(math.radians(min(89.0, abs(lat)))))
    west, east = box.west - stretch, box.east + stretch
    width = (box.east - box.west) % 360 + 2 * stretch
    if width >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = (west + 180) % 360 - 180, (east + 180) % 360 - 180
    return BBox(west, max(-90.0, box.south - degrees), east, min(90.0, box.north + degrees))


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance between (lon, lat) pairs on a sphere of 6371 km; within 0.5 % of the ellipsoid."""
    lon1, lat1, lon2, lat2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(h)))
