"""Outlines on a map: which of them hold a position, and where the nearest of them passes by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import shapely

from .sphere import RADIUS, SLACK, angles, degrees, feet, from_here, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .sphere import Floats

_MAX_STEP: Final = 0.25  # degrees: outlines are straight in degrees, segments on the sphere are great circles


class Area(NamedTuple):
    """One feature: `code` is a country's ISO 3166-1 alpha-2, `kind` what a water is; "" where it has none."""

    id: str
    name: str
    code: str
    kind: str
    shape: Any  # shapely geometry in degrees


class Nearest(NamedTuple):
    """Where an outline comes nearest: metres, bearing in degrees clockwise from north, and the point."""

    area: Area
    distance_m: float
    bearing: float
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class _Segments:
    starts: Floats  # unit vectors
    ends: Floats
    owner: NDArray[np.intp]  # index of the area


class Outlines:
    """The features of a GeoJSON file, given as its bytes. Raises ValueError or KeyError for another file."""

    def __init__(self, raw: bytes) -> None:
        facts = [feature["properties"] for feature in json.loads(raw)["features"]]
        try:
            shapes = shapely.get_parts(shapely.from_geojson(raw))  # one geometry per feature
        except shapely.errors.ShapelyError as error:
            raise ValueError(str(error)) from error
        self.areas = [
            Area(fact["id"], fact["name"], fact.get("iso_a2") or "", fact.get("kind", ""), shape)
            for fact, shape in zip(facts, shapes, strict=True)
        ]

    def containing(self, lon: float, lat: float) -> list[Area]:
        """The areas that hold a position or touch it."""
        here = shapely.Point(lon, lat)
        return [area for area in self.areas if area.shape.covers(here)]

    def within(self, ring: Sequence[tuple[float, float]]) -> list[str]:
        """Names of the areas that a closed ring covers a part of, the largest part first.

        Longitudes of the ring may run past ±180, where it crosses the antimeridian.
        """
        box = shapely.Polygon(ring).buffer(0)
        turns = [shapely.affinity.translate(box, turn) for turn in (-360.0, 0.0, 360.0)]
        parts = {a.name: sum(a.shape.intersection(t).area for t in turns if a.shape.intersects(t)) for a in self.areas}
        return sorted((name for name, part in parts.items() if part > 0), key=lambda name: -parts[name])

    def nearest(self, lon: float, lat: float, n: int, within_m: float) -> list[Nearest]:
        """Up to `n` areas whose outlines come within a distance, the nearest first. Inside counts as outside."""
        return self._nearest(self._all, lon, lat, n, within_m)

    def nearest_edge(self, lon: float, lat: float, within_m: float) -> Nearest | None:
        """The nearest piece of outline that two areas do not share: among countries, the coast."""
        found = self._nearest(self._edges, lon, lat, 1, within_m)
        return found[0] if found else None

    def _nearest(self, lines: _Segments, lon: float, lat: float, n: int, within_m: float) -> list[Nearest]:
        foot = feet(lon, lat, lines.starts, lines.ends)
        away = angles(lon, lat, foot)
        of_area = np.full(len(self.areas), np.inf)
        np.minimum.at(of_area, lines.owner, away)
        reach = min(within_m / RADIUS, float(np.sort(of_area)[min(n, len(of_area)) - 1])) if len(away) else 0.0
        near = np.flatnonzero(away <= reach * SLACK)
        lons, lats = degrees(foot[near])
        metres, bearings = from_here(lon, lat, lons, lats)
        found: dict[int, Nearest] = {}
        for i in np.argsort(metres, kind="stable"):
            owner = int(lines.owner[near[i]])
            if metres[i] <= within_m and owner not in found:
                place = (float(x[i]) for x in (metres, bearings, lons, lats))
                found[owner] = Nearest(self.areas[owner], *place)
        return list(found.values())[:n]

    @cached_property
    def _all(self) -> _Segments:
        return self._segments(shared=True)

    @cached_property
    def _edges(self) -> _Segments:
        return self._segments(shared=False)

    def _segments(self, shared: bool) -> _Segments:
        points, owner = shapely.get_coordinates([area.shape for area in self.areas], return_index=True)
        # A step from the end of one ring or line to the start of the next is no segment.
        lines = shapely.get_parts(_rings([area.shape for area in self.areas]))
        sizes = shapely.get_num_coordinates(lines)
        joined = np.ones(len(points), bool)
        joined[np.cumsum(sizes) - 1] = False
        at = np.flatnonzero(joined)
        segments, owner = np.stack([points[at], points[at + 1]], axis=1), owner[at]
        if not shared:
            keep = ~_twice(segments) & ~_seam(segments)
            segments, owner = segments[keep], owner[keep]
        return _divided(segments, owner)


def _rings(shapes: Sequence[Any]) -> list[Any]:
    """The lines of each shape, in the order in which shapely lists its coordinates."""
    parts = shapely.get_parts(shapes)
    polygons = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    lines: list[Any] = []
    for part, has_rings in zip(parts, polygons, strict=True):
        lines += shapely.get_rings(part).tolist() if has_rings else [part]
    return lines


def _twice(segments: Floats) -> NDArray[np.bool_]:
    """Which segments occur again, in either direction: borders between two countries."""
    ends = np.sort(segments.view("f8,f8").reshape(-1, 2), axis=1)
    pairs = ends.view("f8").reshape(-1, 4)
    _, back, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[back.reshape(-1)] > 1)


def _seam(segments: Floats) -> NDArray[np.bool_]:
    """Which segments only close the map: along the antimeridian, or at a pole."""
    lon, lat = np.abs(segments[..., 0]), np.abs(segments[..., 1])
    return np.asarray((lon >= 179.99).all(axis=1) | (lat >= 89.9).all(axis=1))


def _divided(segments: Floats, owner: NDArray[np.intp]) -> _Segments:
    """Cut into pieces of at most `_MAX_STEP` degrees, as unit vectors."""
    step = segments[:, 1] - segments[:, 0]
    pieces = np.maximum(1, np.ceil(np.abs(step).max(axis=1, initial=0) / _MAX_STEP)).astype(int)
    which = np.repeat(np.arange(len(segments)), pieces)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (nth / pieces[which])[:, None]
    begin = segments[which, 0] + step[which] * share
    end = segments[which, 0] + step[which] * (share + 1 / pieces[which][:, None])
    return _Segments(unit(begin[:, 0], begin[:, 1]), unit(end[:, 0], end[:, 1]), owner[which])
