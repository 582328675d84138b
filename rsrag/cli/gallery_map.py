"""The map of a results page: an equirectangular SVG with land, numbered markers and a small world beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from itertools import groupby
from typing import Any, Final

from ..packs import bundled_packs
from ..types import BBox
from .gallery_markers import MOST_PINS, Pin, Rect, View, draw_markers, width_of

SMALLEST_SPAN: Final = 3.0  # degrees of latitude: nearer, a world map has nothing to show
WORLD: Final = 200.0  # degrees of longitude from which on the whole Earth is drawn


def draw_map(pins: Sequence[Pin]) -> str:
    """A figure with the map drawn twice, for wide and for narrow screens; without land when the pack is missing."""
    shown = pins[:MOST_PINS]
    wide = _svg(shown, "wide", 1116, 0.34, 0.42)
    narrow = _svg(shown, "narrow", 440, 0.5, 0.9)
    note = f"The first {MOST_PINS} results are on the map. " if len(pins) > MOST_PINS else ""
    towns = "; towns: GeoNames (CC BY 4.0)" if 'class="town"' in wide + narrow else ""
    credit = f"Land and water: Natural Earth, coarse outlines{towns}. Equirectangular."
    return f'<figure class="map" id="map">{wide}{narrow}<figcaption>{note}{credit}</figcaption></figure>'


def _svg(pins: Sequence[Pin], name: str, width: int, flattest: float, tallest: float) -> str:
    view = fit([pin.bbox for pin in pins], width, flattest, tallest)
    markers, taken = draw_markers(pins, view)
    world = view.east - view.west >= 300
    inset, corner = ("", None) if world else _inset(view, taken)
    blocked = [*taken, *([corner] if corner else [])]
    label = f"Map of {len(pins)} result{'s' * (len(pins) != 1)}"
    return (
        f'<svg class="{name}" viewBox="0 0 {view.width:.0f} {view.height:.0f}" role="group" aria-label="{label}">'
        f'<g aria-hidden="true">{_ground(view)}{_grid(view, blocked)}{_towns(view, blocked)}{inset}</g>{markers}</svg>'
    )


# -- the window -----------------------------------------------------------------------------------


def fit(boxes: Sequence[BBox], width: float, flattest: float, tallest: float) -> View:
    """The window that shows all boxes with some room, its height between two shares of its width.

    Degrees of longitude are drawn as long as they are in the middle. The whole Earth when they lie far apart.
    """
    start = _gap_end([box.center[0] for box in boxes])
    spans = []
    for box in boxes:
        half = ((box.east - box.west) % 360 if box.east != box.west else 0.0) / 2 if width_of(box) < 360 else 180.0
        middle = start + (box.center[0] - start + 1e-6) % 360 - 1e-6  # the first must not come out as the last
        spans.append((middle - half, middle + half))
    west, east = min(s[0] for s in spans), max(s[1] for s in spans)
    south, north = min(box.south for box in boxes), max(box.north for box in boxes)
    if east - west > WORLD:
        south, north = min(-57.0, south - 2), max(78.0, north + 2)
        share = min(max((north - south) / 360, flattest), tallest)
        return _with_height(-180.0, 180.0, max(south, -90.0), min(north, 90.0), width, share, 1.0)
    middle = (south + north) / 2
    squeeze = max(math.cos(math.radians(middle)), 0.15)
    tall = max((north - south) * 1.5, SMALLEST_SPAN)
    wide = max((east - west) * 1.3, SMALLEST_SPAN / squeeze)
    share = min(max(tall / (wide * squeeze), flattest), tallest)
    wide = min(max(wide, tall / share / squeeze), 360.0)
    centre = (west + east) / 2
    return _with_height(centre - wide / 2, centre + wide / 2, south, north, width, share, squeeze)


def _with_height(
    west: float, east: float, south: float, north: float, width: float, share: float, squeeze: float
) -> View:
    tall = min((east - west) * squeeze * share, 180.0)
    bottom = min(max((south + north - tall) / 2, -90.0), 90.0 - tall)
    return View(west, bottom, east, bottom + tall, width, width * tall / ((east - west) * squeeze))


def _gap_end(lons: Sequence[float]) -> float:
    """The longitude from which on, eastwards, all fit into the least span: the end of the largest gap."""
    around = sorted({lon % 360 for lon in lons})
    gaps = [(b - a, b) for a, b in zip(around, [*around[1:], around[0] + 360], strict=True)]
    return (max(gaps)[1] + 180) % 360 - 180


# -- land and water -------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _shapes(name: str) -> tuple[Any, ...]:
    """The geometries of a layer of the places pack; () when it is not there: a map can do without."""
    import shapely

    try:
        features = json.loads((bundled_packs()["places"] / name).read_bytes())["features"]
        return tuple(shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features)
    except (OSError, KeyError, ValueError, TypeError):
        return ()


def _ground(view: View) -> str:
    land = _path(_shapes("countries.geojson"), view, 0.6)
    parts = [f'<path class="land" fill-rule="evenodd" d="{land}"/>']
    if view.east - view.west < 90:
        water = _shapes("water.geojson")
        rivers = [shape for shape in water if "Line" in shape.geom_type]
        lakes = [shape for shape in water if "Polygon" in shape.geom_type]
        parts.append(f'<path class="river" d="{_path(rivers, view, 0.5)}"/>')
        parts.append(f'<path class="lake" d="{_path(lakes, view, 0.5)}"/>')
    return "".join(parts)


def _path(shapes: Iterable[Any], view: View, coarse: float, least: float = 0.0) -> str:
    """Path data of what lies in the window, details under `coarse` pixels and areas under `least` of them left out."""
    import shapely

    room = 2 * view.pixel  # the strokes along the window's edge stay outside of it
    edges = (view.west - room, view.south - room, view.east + room, view.north + room)
    lines: list[str] = []
    for turn in (-360.0, 0.0, 360.0):
        if edges[2] < turn - 180 or edges[0] > turn + 180:
            continue
        for shape in shapes:
            w, s, e, n = shape.bounds
            if w + turn > edges[2] or e + turn < edges[0] or s > edges[3] or n < edges[1]:
                continue
            cut = shapely.clip_by_rect(shape, edges[0] - turn, edges[1], edges[2] - turn, edges[3])
            cut = shapely.simplify(cut, coarse * view.pixel)
            for part in shapely.get_parts(cut):
                if least and shapely.area(part) < least * view.pixel**2:
                    continue
                rings = shapely.get_rings(part) if part.geom_type == "Polygon" else [part]
                lines += [
                    _line(shapely.get_coordinates(ring), view, turn, part.geom_type == "Polygon") for ring in rings
                ]
    return "".join(lines)


def _line(points: Any, view: View, turn: float, closed: bool) -> str:
    every = ((f"{view.x(lon + turn):.1f}", f"{view.y(lat):.1f}") for lon, lat in points)
    steps = [step for step, _ in groupby(every)]
    if len(steps) < 2:
        return ""
    return "M" + "L".join(f"{x} {y}" for x, y in steps).replace(".0", "") + ("Z" if closed else "")


def _grid(view: View, blocked: Sequence[Rect]) -> str:
    span = view.east - view.west
    step = next((s for s in (0.5, 1, 2, 5, 10, 20, 30) if s / span * view.width >= 70), 60)
    lines, labels = [], []
    for i in range(math.ceil(view.west / step), math.floor(view.east / step) + 1):
        x = view.x(i * step)
        lines.append(f"M{x:.1f} 0V{view.height:.0f}")
        lon = (i * step + 180) % 360 - 180
        text = f"{abs(lon):g}°{'' if lon in (0, -180) else 'W' if lon < 0 else 'E'}"
        if 20 < x < view.width - 20:
            labels.append(_label(x, 12, text, "middle", "degrees", blocked))
    for i in range(math.ceil(view.south / step), math.floor(view.north / step) + 1):
        y = view.y(i * step)
        lines.append(f"M0 {y:.1f}H{view.width:.0f}")
        text = f"{abs(i * step):g}°{'' if i == 0 else 'S' if i < 0 else 'N'}"
        if 24 < y < view.height - 8:
            labels.append(_label(4, y - 3, text, "start", "degrees", blocked))
    return f'<path class="grid" d="{"".join(lines)}"/>{"".join(labels)}'


# -- names and the inset ---------------------------------------------------------------------------


def _text_rect(x: float, y: float, text: str, anchor: str) -> Rect:
    wide = 6.2 * len(text)
    left = x - wide / 2 if anchor == "middle" else x
    return Rect(left, y - 11, left + wide, y + 3)


def _label(x: float, y: float, text: str, anchor: str, style: str, blocked: Sequence[Rect]) -> str:
    rect = _text_rect(x, y, text, anchor)
    if any(rect.meets(other) for other in blocked):
        return ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{place}>{escape(text)}</text>'


@lru_cache(maxsize=1)
def _city_rows() -> list[Any]:
    try:
        lines = (bundled_packs()["places"] / "cities.jsonl").read_text("utf-8").splitlines()
        rows = json.loads(f"[{','.join(lines)}]")
        return sorted(rows, key=lambda row: -(row[7] or 0))
    except (OSError, KeyError, ValueError, TypeError, IndexError):
        return []


def _towns(view: View, blocked: Sequence[Rect]) -> str:
    """The largest towns in the window, as far as their names find room; none on maps of half the Earth."""
    if view.east - view.west > 60:
        return ""
    most = max(3, round(view.width / 110))
    full = list(blocked)
    drawn: list[str] = []
    for _, name, _, _, _, lat, lon, _ in _city_rows():
        if len(drawn) == most:
            break
        x, y = view.x(view.turned(lon)), view.y(lat)
        if not (8 < x < view.width - 8 and 18 < y < view.height - 8):
            continue
        rect = _text_rect(x + 6, y + 4, name, "start")._replace(left=x - 4)
        if rect.right > view.width - 4 or any(rect.meets(other) for other in full):
            continue
        # Room around a name keeps the many parts of one city from crowding the map.
        full.append(Rect(rect.left - 30, rect.top - 12, rect.right + 30, rect.bottom + 12))
        dot = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/>'
        drawn.append(f'{dot}<text class="town" x="{x + 6:.1f}" y="{y + 4:.1f}">{escape(name)}</text>')
    return "".join(drawn)


def _inset(view: View, taken: Sequence[Rect]) -> tuple[str, Rect]:
    """(SVG, its rectangle): the whole Earth with the window marked, in the corner where it hides least."""
    wide = 150.0 if view.width > 600 else 104.0
    world = View(-180, -60, 180, 84, wide, wide * 0.4)
    left, right = 8.0, view.width - wide - 8
    top, bottom = 8.0, view.height - world.height - 8
    corners = [
        Rect(x, y, x + wide, y + world.height) for x, y in ((left, bottom), (right, bottom), (right, top), (left, top))
    ]
    corner = min(corners, key=lambda rect: sum(rect.meets(other) for other in taken))
    land = _path(_shapes("countries.geojson"), world, 0.7, least=3)
    middle = world.turned((view.west + view.east) / 2)
    size = max(4.0, (view.east - view.west) / 360 * wide), max(4.0, (view.north - view.south) / world.pixel)
    x, y = world.x(middle) - size[0] / 2, world.y((view.south + view.north) / 2) - size[1] / 2
    mark = f'<rect class="inset-view" x="{x:.1f}" y="{y:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" rx="1"/>'
    frame = f'<rect class="inset" width="{wide:.0f}" height="{world.height:.0f}" rx="4"/>'
    where = f'x="{corner.left:.0f}" y="{corner.top:.0f}" width="{wide:.0f}" height="{world.height:.0f}"'
    return f'<svg {where}>{frame}<path class="inset-land" d="{land}"/>{mark}</svg>', corner
