"""Numbered markers on the map of a results page; those that would overlap share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..types import BBox

MOST_PINS: Final = 300  # more would hide the map
_PILL: Final = 22.0  # height of a marker in pixels
_SHOWN: Final = 4  # numbers in a marker that several results share


class Pin(NamedTuple):
    """A result on the map; `title` is escaped already. It is marked with `mark`, or else its rank."""

    rank: int
    title: str
    bbox: BBox
    mark: str = ""

    @property
    def shown(self) -> str:
        return self.mark or str(self.rank)


@dataclass(frozen=True, slots=True)
class View:
    """A window onto the Earth in degrees (`east` may pass 180), and its picture in pixels."""

    west: float
    south: float
    east: float
    north: float
    width: float
    height: float

    def x(self, lon: float) -> float:
        return (lon - self.west) / (self.east - self.west) * self.width

    def y(self, lat: float) -> float:
        return (self.north - lat) / (self.north - self.south) * self.height

    def turned(self, lon: float) -> float:
        """The same meridian in the turn around the Earth that lies in the window, if any does."""
        middle = (self.west + self.east) / 2
        return middle + (lon - middle + 180) % 360 - 180

    @property
    def pixel(self) -> float:
        """Degrees of latitude per pixel."""
        return (self.north - self.south) / self.height


def width_of(box: BBox) -> float:
    """Degrees of longitude, also over the antimeridian."""
    return box.east - box.west + (360 if box.crosses_antimeridian else 0)


class Rect(NamedTuple):
    """In pixels of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Rect) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


class _Group(NamedTuple):
    """Results whose markers would overlap, under one marker centred at x, y."""

    x: float
    y: float
    pins: tuple[Pin, ...]

    @property
    def slots(self) -> list[tuple[str, Pin | None]]:
        """(text, result) of each number shown; the last may be "+7"."""
        shown = self.pins if len(self.pins) <= _SHOWN else self.pins[: _SHOWN - 1]
        rest = len(self.pins) - len(shown)
        return [(pin.shown, pin) for pin in shown] + ([(f"+{rest}", None)] if rest else [])

    @property
    def wide(self) -> float:
        return sum(_slot(text) for text, _ in self.slots) + 6

    @property
    def rect(self) -> Rect:
        return Rect(self.x - self.wide / 2, self.y - _PILL / 2, self.x + self.wide / 2, self.y + _PILL / 2)


def _slot(text: str) -> float:
    return 9.0 + 7.5 * len(text)


def draw_markers(pins: Sequence[Pin], view: View) -> tuple[str, list[Rect]]:
    """(SVG, rectangles covered): boxes large enough to see, a spot at each place, and numbered links."""
    boxes, spots = [], dict[str, None]()
    groups: list[_Group] = []
    for pin in pins:
        lon, lat = pin.bbox.center
        x, y = view.x(view.turned(lon)), view.y(lat)
        wide = width_of(pin.bbox) / (view.east - view.west) * view.width
        tall = (pin.bbox.north - pin.bbox.south) / view.pixel
        if max(wide, tall) > 6:
            where = f'x="{x - wide / 2:.1f}" y="{y - tall / 2:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
            boxes.append(f'<rect class="box" {where} rx="1.5"/>')
        else:
            spots[f'<circle class="spot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'] = None
        groups = _join(groups, _above(_Group(x, y, (pin,)), max(tall, 8) / 2, view))
    drawn = "".join(_pill(group) for group in groups)
    back = f'<g aria-hidden="true">{"".join(dict.fromkeys(boxes))}{"".join(spots)}</g>'
    return back + drawn, [group.rect for group in groups]


def _above(group: _Group, half: float, view: View) -> _Group:
    """The marker over what it marks, so that the place itself stays visible; inside the window."""
    return _inside(group._replace(y=group.y - half - _PILL / 2 - 1), view)


def _inside(group: _Group, view: View) -> _Group:
    x = min(max(group.x, group.wide / 2 + 2), view.width - group.wide / 2 - 2)
    return group._replace(x=x, y=min(max(group.y, _PILL / 2 + 2), view.height - _PILL / 2 - 2))


def _join(groups: list[_Group], new: _Group) -> list[_Group]:
    """The groups with one more, merged with those it meets; merging widens it, so until it meets none."""
    apart = list(groups)
    while True:
        met = [group for group in apart if group.rect.meets(new.rect)]
        if not met:
            return [*apart, new]
        apart = [group for group in apart if group not in met]
        pins = tuple(sorted({pin for group in (*met, new) for pin in group.pins}, key=lambda pin: pin.rank))
        weight = len(pins)
        x = sum(group.x * len(group.pins) for group in (*met, new)) / weight
        y = sum(group.y * len(group.pins) for group in (*met, new)) / weight
        new = _Group(x, y, pins)


def _pill(group: _Group) -> str:
    rect = group.rect
    size = f'width="{group.wide:.1f}" height="{_PILL:.0f}" rx="{_PILL / 2:.0f}"'
    parts = [f'<rect class="pill" x="{rect.left:.1f}" y="{rect.top:.1f}" {size}/>']
    at = rect.left + 3
    for text, pin in group.slots:
        x, at = at + _slot(text) / 2, at + _slot(text)
        number = f'<text x="{x:.1f}" y="{group.y + 4.2:.1f}"'
        if pin is None:
            parts.append(f'{number} class="more">{text}</text>')
        else:
            name = f"Result {pin.shown}: {pin.title}"
            link = f'<a class="pin" href="#r{pin.shown}" aria-label="{name}">'
            parts.append(f"{link}<title>{name}</title>{number}>{text}</text></a>")
    return "".join(parts)
