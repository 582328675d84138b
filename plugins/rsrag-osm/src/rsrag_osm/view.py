"""What a captioner looks at: the visible things of a scene in a flat frame, and how they lie to each other.

Lengths are metres, x to the east, y to the north.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from .features import Feature
from .geometry import compass, flat
from .kinds import Kind, Tags, adjectives, kind_of

_BESIDE: Final = 0.04  # of the scene's diagonal
_INSIDE: Final = 0.9  # of a thing's area or length
_SURROUNDS: Final = 120.0  # degrees: no gap between neighbours may be wider
_CROSSES: Final = 0.5  # of the width of what is crossed
_CROSSING: Final = frozenset(("highway", "railway", "waterway", "power", "aeroway", "aerialway", "golf"))
_LARGE: Final = 0.02  # of the scene's area: what is smaller is no subject where there is another
_FILLS: Final = 0.3  # of the scene's area: from here on, what the scene lies in is its subject
_GENERIC: Final = frozenset(
    "highway barrier waterway building=yes building=house building=residential building=detached "
    "building=apartments".split()
)


@dataclass(frozen=True, slots=True)
class Thing:
    """One visible feature. `cut` tells that the edge of the scene cuts it."""

    kind: Kind
    words: tuple[str, ...]
    shape: Any
    cut: bool

    @property
    def is_area(self) -> bool:
        return "Polygon" in self.shape.geom_type

    @property
    def is_line(self) -> bool:
        return "Line" in self.shape.geom_type


class Group:
    """Things of one kind, by noun."""

    def __init__(self, kind: Kind, things: Sequence[Thing], scene: float) -> None:
        self.kind = kind
        self.things = tuple(things)
        self._scene = scene

    @cached_property
    def shape(self) -> Any:
        import shapely

        return shapely.union_all([thing.shape for thing in self.things])

    @cached_property
    def share(self) -> float:
        """Of the scene's area, 0..1."""
        return float(min(1.0, self.shape.area / self._scene))

    @property
    def count(self) -> int:
        return len(self.things)

    @property
    def is_line(self) -> bool:
        return all(thing.is_line for thing in self.things)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Adjectives that hold for every one of them."""
        shared = set.intersection(*(set(thing.words) for thing in self.things))
        return tuple(word for word in self.things[0].words if word in shared)

    @property
    def size(self) -> str:
        """ "small" or "large" where every one is for its kind, and none that is small is cut or fills the scene."""
        usual = self.kind.typical
        if usual is None or not all(thing.is_area for thing in self.things):
            return ""
        areas = [thing.shape.area for thing in self.things]
        if min(areas) > usual[1]:
            return "large"
        whole = not any(thing.cut for thing in self.things)
        return "small" if max(areas) < usual[0] and whole and self.share < 0.25 else ""

    @property
    def weight(self) -> tuple[int, float, str]:
        """What speaks for a group as the subject of a caption; more is better, the noun decides a tie."""
        large = self.share >= _LARGE
        if self.kind.is_setting:
            rank = 4 if self.share >= _FILLS else 0
        elif self.is_line or self.kind.key in _GENERIC:
            rank = 1
        elif self.kind.tag in _GENERIC:
            rank = 3 if large else 1
        else:
            rank = 5 if large else 2
        return (rank, self.share, self.kind.one)


class View:
    """The visible things of a scene, by noun, the best subject of a caption first."""

    def __init__(self, features: Sequence[Feature], ground: Any) -> None:
        self.ground, *shapes = flat([ground, *(feature.shape for feature in features)], ground)
        edge = self.ground.boundary
        self.diagonal = math.dist(self.ground.bounds[:2], self.ground.bounds[2:])
        by_noun: dict[str, list[Thing]] = {}
        for feature, shape in zip(features, shapes, strict=True):
            kind = kind_of(feature.tags)
            if kind is not None and is_seen(feature.tags, kind):
                cut = shape.distance(edge) < 1e-3 * self.diagonal
                thing = Thing(kind, tuple(adjectives(feature.tags)), shape, cut)
                by_noun.setdefault(kind.one, []).append(thing)
        groups = [Group(things[0].kind, things, self.ground.area) for things in by_noun.values()]
        self.groups = sorted(groups, key=lambda group: group.weight, reverse=True)

    def holds(self, outer: Group, inner: Group) -> bool:
        """Whether a single area holds all of another group, to nine tenths."""
        if outer.is_line or outer.share == 0 or outer.share < inner.share:
            return False
        around = outer.shape.buffer(1e-3 * self.diagonal)
        return all(_part_inside(thing.shape, around) >= _INSIDE for thing in inner.things)

    def crosses(self, line: Group, group: Group) -> bool:
        """Whether a line runs through an area of a group, for at least half of its width."""
        if not line.is_line or line.kind.key not in _CROSSING or group.count != 1 or not group.things[0].is_area:
            return False
        width = math.sqrt(group.shape.area)
        return bool(line.shape.intersection(group.shape).length >= _CROSSES * width)

    def surrounds(self, many: Group, group: Group) -> bool:
        """Whether at least four things of a group stand on all sides of a single thing and outside it."""
        if many.count < 4 or group.count != 1 or many.is_line or many.shape.intersection(group.shape).area > 0:
            return False
        near = 0.35 * self.diagonal
        here = group.shape.centroid
        bearings = sorted(
            math.degrees(math.atan2(t.shape.centroid.x - here.x, t.shape.centroid.y - here.y)) % 360
            for t in many.things
            if t.shape.distance(group.shape) <= near
        )
        gaps = [(b - a) % 360 for a, b in zip(bearings, bearings[1:] + bearings[:1], strict=True)]
        return len(bearings) >= 4 and max(gaps) <= _SURROUNDS

    def is_beside(self, one: Group, other: Group) -> bool:
        """Whether every thing of `one` lies close to `other`, without being on it or holding it."""
        close = _BESIDE * self.diagonal
        overlap = max(_part_inside(one.shape, other.shape), _part_inside(other.shape, one.shape))
        if one.kind.is_setting or overlap > 0.3:
            return False
        return all(thing.shape.distance(other.shape) <= close for thing in one.things)

    def direction(self, one: Group, other: Group) -> str:
        """Where a single thing lies as seen from another ("north-east"), or "" where that would not be plain."""
        if one.count != 1 or other.count != 1 or one.is_line or one.kind.is_setting:
            return ""
        here, there = other.shape.centroid, one.shape.centroid
        apart = one.shape.distance(other.shape) > _BESIDE * self.diagonal
        bearing = math.degrees(math.atan2(there.x - here.x, there.y - here.y)) % 360
        return compass(bearing) if apart else ""


def is_seen(tags: Tags, kind: Kind) -> bool:
    """Whether a camera overhead would see a feature: a visible kind, not under ground or indoors."""
    hidden = tags.get("tunnel", "no") != "no" or tags.get("location") in ("underground", "indoor")
    hidden = hidden or tags.get("indoor", "no") != "no" or tags.get("parking") in ("underground", "multi-storey")
    return kind.seen and not hidden and not tags.get("layer", "0").startswith("-")


def _part_inside(shape: Any, around: Any) -> float:
    """Which part of a shape lies inside another: of its area, else its length, else its points."""
    whole = shape.area or shape.length
    if not whole:
        return float(around.intersects(shape))
    part = shape.intersection(around)
    return float((part.area if shape.area else part.length) / whole)
