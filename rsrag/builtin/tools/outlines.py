"""Outlines on a map: which of them hold a position, and where the nearest of them passes by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import shapely

from .sphere import RADIUS, SLACK, angles, degrees, feet, from_here, unit
from .topology import outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .sphere import Floats

_ARCHIVE: Final = b"PK"
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
    """Sorted by the latitude of their starts, so that those near a position are found without looking at all."""

    starts: Floats  # unit vectors
    ends: Floats
    owner: NDArray[np.intp]  # index of the area
    alone: NDArray[np.bool_]  # whether no other area shares it, nor is it a cut of the map
    heights: Floats  # latitudes of the starts, radians

    def __getitem__(self, chosen: slice | NDArray[np.bool_]) -> _Segments:
        return _Segments(
            self.starts[chosen], self.ends[chosen], self.owner[chosen], self.alone[chosen], self.heights[chosen]
        )

    def around(self, lat: float, reach: float) -> _Segments:
        """Those that can come within `reach` radians of a latitude in degrees."""
        reach += np.radians(2 * _MAX_STEP)  # a piece is shorter than this: what it spans counts as well
        first, last = np.searchsorted(self.heights, np.radians(lat) + np.array([-reach, reach]))
        return self[first:last]


class Outlines:
    """The features of a GeoJSON file or of an archive of lines that areas share (see `topology`), given as its bytes.

    Raises ValueError, LookupError or TypeError for another file.
    """

    def __init__(self, raw: bytes) -> None:
        try:
            if raw.startswith(_ARCHIVE):
                facts, shapes = outlines(raw)
            else:
                facts = [feature["properties"] for feature in json.loads(raw)["features"]]
                shapes = shapely.get_parts(shapely.from_geojson(raw)).tolist()  # one geometry per feature
        except shapely.errors.ShapelyError as error:
            raise ValueError(str(error)) from error
        shapely.prepare(shapes)
        self._tree = shapely.STRtree(shapes)
        self.areas = [
            Area(fact["id"], fact["name"], fact.get("iso_a2") or "", fact.get("kind", ""), shape)
            for fact, shape in zip(facts, shapes, strict=True)
        ]

    def containing(self, lon: float, lat: float) -> list[Area]:
        """The areas that hold a position or touch it."""
        here = shapely.Point(lon, lat)
        return [self.areas[i] for i in sorted(self._tree.query(here)) if self.areas[i].shape.covers(here)]

    def within(self, ring: Sequence[tuple[float, float]]) -> list[str]:
        """Names of the areas that a closed ring covers a part of, the largest part first.

        Longitudes of the ring may run past ±180, where it crosses the antimeridian.
        """
        box = shapely.Polygon(ring).buffer(0)
        parts: Counter[str] = Counter()
        for turn in (-360.0, 0.0, 360.0):
            turned = shapely.affinity.translate(box, turn)
            for area in (self.areas[i] for i in self._tree.query(turned)):
                if area.shape.intersects(turned):
                    parts[area.name] += area.shape.intersection(turned).area
        return [name for name, part in parts.most_common() if part > 0]

    def nearest(self, lon: float, lat: float, n: int, within_m: float) -> list[Nearest]:
        """Up to `n` areas whose outlines come within a distance, the nearest first. Inside counts as outside."""
        return self._nearest(self._around(lat, within_m), lon, lat, n, within_m)

    def nearest_edge(self, lon: float, lat: float, within_m: float) -> Nearest | None:
        """The nearest piece of outline that two areas do not share: among countries, the coast."""
        lines = self._around(lat, within_m)
        found = self._nearest(lines[lines.alone], lon, lat, 1, within_m)
        return found[0] if found else None

    def _around(self, lat: float, within_m: float) -> _Segments:
        return self._segments.around(lat, within_m * SLACK / RADIUS)

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
    def _segments(self) -> _Segments:
        points, owner = shapely.get_coordinates([area.shape for area in self.areas], return_index=True)
        # A step from the end of one ring or line to the start of the next is no segment.
        sizes = shapely.get_num_coordinates(_rings([area.shape for area in self.areas]))
        joined = np.ones(len(points), bool)
        joined[np.cumsum(sizes) - 1] = False
        at = np.flatnonzero(joined)
        return _divided(np.stack([points[at], points[at + 1]], axis=1), owner[at])


def _rings(shapes: Sequence[Any]) -> NDArray[Any]:
    """The lines of each shape, in the order in which shapely lists its coordinates."""
    parts = shapely.get_parts(shapes)
    polygons = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    rings, part = shapely.get_rings(parts, return_index=True)
    lines = np.concatenate([rings, parts[~polygons]])
    order = np.argsort(np.concatenate([part, np.flatnonzero(~polygons)]), kind="stable")
    return lines[order]


def _twice(segments: Floats) -> NDArray[np.bool_]:
    """Which segments occur again, in either direction: borders between two countries.

    On a map whose lines do not cross, segments with the same middle are the same.
    """
    middles = segments.sum(axis=1)
    _, back, count = np.unique(middles[:, 0] + 1j * middles[:, 1], return_inverse=True, return_counts=True)
    return np.asarray(count[back.reshape(-1)] > 1)


def _seam(segments: Floats) -> NDArray[np.bool_]:
    """Which segments only close the map: along the antimeridian, or at a pole."""
    lon, lat = np.abs(segments[..., 0]), np.abs(segments[..., 1])
    return np.asarray((lon >= 179.99).all(axis=1) | (lat >= 89.9).all(axis=1))


def _divided(segments: Floats, owner: NDArray[np.intp]) -> _Segments:
    """Cut into pieces of at most `_MAX_STEP` degrees, as unit vectors."""
    alone = ~_twice(segments) & ~_seam(segments)
    step = segments[:, 1] - segments[:, 0]
    pieces = np.maximum(1, np.ceil(np.abs(step).max(axis=1, initial=0) / _MAX_STEP)).astype(int)
    which = np.repeat(np.arange(len(segments)), pieces)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (nth / pieces[which])[:, None]
    begin = segments[which, 0] + step[which] * share
    end = segments[which, 0] + step[which] * (share + 1 / pieces[which][:, None])
    up = np.argsort(begin[:, 1], kind="stable")
    begin, end, which = begin[up], end[up], which[up]
    return _Segments(
        unit(begin[:, 0], begin[:, 1]), unit(end[:, 0], end[:, 1]), owner[which], alone[which], np.radians(begin[:, 1])
    )
