"""The map of a chat as one html file: where its images and sources lie, and what tools outlined on each image."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from ...errors import UsageError
from ...transcript.files import replace_file
from ...types import BBox, Evidence, Scene
from ..gallery import _link, _safe
from ..gallery_map import draw_map
from ..gallery_markers import Pin
from .describe import scene_lines

if TYPE_CHECKING:
    from ...chat import Conversation

SIDE: Final = 900
"""Pixels of the longer side of an image on the page."""
_STYLE: Final = """
.sheet { margin: 0 0 28px; background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  overflow: hidden; }
.sheet svg { display: block; width: 100%; height: auto; max-height: 90vh; background: var(--wash); }
.sheet .shape { fill: var(--mark); fill-opacity: .18; stroke: var(--mark); stroke-width: 1.5;
  vector-effect: non-scaling-stroke; }
.sheet .line { fill: none; }
.sheet text { font: 650 13px system-ui, sans-serif; fill: #fff; paint-order: stroke; stroke: #000; stroke-width: 3px; }
.sheet h2 { margin: 12px 0 0; padding: 0 14px; } .sheet p { margin: 0 0 12px; padding: 0 14px; color: var(--soft); }
.places { list-style: none; margin: 0 0 28px; padding: 0; } .places li { padding: 4px 0; scroll-margin: 16px; }
.places b { display: inline-block; min-width: 2.2rem; }
"""


def write_map(conversation: Conversation, path: Path) -> None:
    """Write the page. Raises `UsageError` when nothing of the chat has a place on Earth, `RsragError` when it cannot be
    written."""
    scenes = {letter: scene for letter, scene in conversation.scenes.items() if scene.bbox is not None}
    cited = {e.number for x in conversation.exchanges if x.answer for e in x.answer.citations}
    placed = [e for e in conversation.ledger if e.bbox is not None and (e.number in cited or e.kind == "tool")]
    drawn = [(e, list(_shapes(e.geojson))) for e in conversation.ledger if e.geojson is not None]
    drawn = [(e, shapes) for e, shapes in drawn if shapes]
    if not (scenes or placed or drawn):
        raise UsageError("nothing in this chat has a place on Earth yet.", "Open a georeferenced image, or ask where.")
    pins = [Pin(n, _safe(_name(s)), s.bbox, k) for n, (k, s) in enumerate(scenes.items()) if s.bbox is not None]
    pins += [Pin(1000 + e.number, _safe(e.title), e.bbox, str(e.number)) for e in placed if e.bbox is not None]
    pins += [
        Pin(1000 + e.number, _safe(e.title), _around(shapes), str(e.number)) for e, shapes in drawn if e not in placed
    ]
    page = Template(_page()).substitute(
        title="rsrag: map of a chat",
        query="Map of a chat",
        tally=f"{len(scenes)} image{'s' * (len(scenes) != 1)} · {len(placed) + len(drawn)} sources with a place",
        map=draw_map(pins),
        cards="\n".join([*(_sheet(k, s, drawn) for k, s in scenes.items()), _list([*placed, *(e for e, _ in drawn)])]),
        footer=f"rsrag chat {_safe(conversation.id)}",
    )
    replace_file(path, page.encode("utf-8", "replace"))


def _page() -> str:
    """The gallery's page, with the look of what only a map has."""
    gallery = Path(__file__).parent.parent.joinpath("gallery.html").read_text("utf-8")
    return gallery.replace("</style>", f"{_STYLE}</style>").replace('<p class="eyebrow">Search results</p>', "")


def _name(scene: Scene) -> str:
    return Path(scene.uri.partition("#")[0]).name


def _list(items: Sequence[Evidence]) -> str:
    rows = []
    for item in {item.number: item for item in items}.values():
        title, link = _safe(item.title), _link(item.provenance.url)
        named = f'<a href="{link}" rel="noopener noreferrer nofollow">{title}</a>' if link else title
        credit = _safe(", ".join(p for p in (item.provenance.license, item.provenance.attribution) if p))
        text = _safe(item.text[:280] + (" ..." if len(item.text) > 280 else ""))
        rows.append(f'<li id="r{item.number}"><b>[{item.number}]</b> {named}: {text} <small>{credit}</small></li>')
    return f'<ul class="places">{"".join(rows)}</ul>'


# -- an image with what was outlined on it ----------------------------------------------------------


def _sheet(letter: str, scene: Scene, drawn: Sequence[tuple[Evidence, list[Mapping[str, Any]]]]) -> str:
    first, second = scene_lines(letter, scene)
    pixels = scene.rgb(SIDE)
    high, wide = pixels.shape[:2]
    shapes = []
    for item, geometries in drawn:
        inside = [g for g in geometries if scene.bbox is not None and _box(g).intersects(scene.bbox)]
        paths = [_svg(g, scene, wide, high) for g in inside]
        if any(paths):
            shapes.append(
                f'<a href="#r{item.number}"><title>[{item.number}] {_safe(item.title)}</title>{"".join(paths)}</a>'
            )
    data = base64.b64encode(_png(pixels)).decode("ascii")
    return (
        f'<section class="sheet" id="r{_safe(letter)}"><h2>{_safe(first)}</h2><p>{_safe(second)}</p>'
        f'<svg viewBox="0 0 {wide} {high}" role="img" aria-label="{_safe(first)}">'
        f'<image width="{wide}" height="{high}" href="data:image/png;base64,{data}"/>{"".join(shapes)}</svg></section>'
    )


def _png(pixels: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _svg(geometry: Mapping[str, Any], scene: Scene, wide: int, high: int) -> str:
    """A geometry in pixels of the picture; "" when it covers the whole of it, which says nothing."""

    def at(point: Sequence[float]) -> str:
        x, y = _pixel(scene, point[0], point[1])
        return f"{min(max(x, -1.0), 2.0) * wide:.1f} {min(max(y, -1.0), 2.0) * high:.1f}"

    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        x, y = at(coordinates).split()
        return f'<circle class="shape" cx="{x}" cy="{y}" r="6"/>'
    rings = {"LineString": [coordinates], "Polygon": coordinates}[kind]
    data = "".join("M" + "L".join(at(p) for p in ring) + ("Z" if kind == "Polygon" else "") for ring in rings)
    return f'<path class="shape{" line" * (kind == "LineString")}" fill-rule="evenodd" d="{data}"/>'


def _pixel(scene: Scene, lon: float, lat: float) -> tuple[float, float]:
    """Where in the picture a place lies, 0..1 from the left and from the top: by the footprint's corners where there
    are four (upper left, upper right, lower right, lower left), else by the box."""
    assert scene.bbox is not None
    box = scene.bbox
    lon = box.west + (lon - box.west + 180) % 360 - 180
    corners = scene.footprint
    if len(corners) in (4, 5) and not box.crosses_antimeridian:
        (x0, y0), (x1, y1), (x3, y3) = corners[0], corners[1], corners[3]
        ax, ay, bx, by = x1 - x0, y1 - y0, x3 - x0, y3 - y0
        determinant = ax * by - ay * bx
        if not math.isclose(determinant, 0.0):
            dx, dy = lon - x0, lat - y0
            return (dx * by - dy * bx) / determinant, (ax * dy - ay * dx) / determinant
    east = box.east + 360 if box.crosses_antimeridian else box.east
    return (lon - box.west) / (east - box.west), (box.north - lat) / (box.north - box.south)


def _shapes(geojson: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The points, lines and polygons of a GeoJSON object; what is malformed is left out."""
    if not geojson:
        return
    kind = geojson.get("type")
    if kind == "FeatureCollection":
        for feature in geojson.get("features") or ():
            yield from _shapes(feature)
    elif kind == "Feature":
        yield from _shapes(geojson.get("geometry"))
    elif kind == "GeometryCollection":
        for geometry in geojson.get("geometries") or ():
            yield from _shapes(geometry)
    elif kind in ("MultiPoint", "MultiLineString", "MultiPolygon"):
        for part in geojson.get("coordinates") or ():
            yield from _shapes({"type": str(kind).removeprefix("Multi"), "coordinates": part})
    elif kind in ("Point", "LineString", "Polygon") and _points(geojson.get("coordinates")):
        yield geojson


def _points(coordinates: Any) -> list[tuple[float, float]]:
    """All positions of nested coordinates."""
    if not isinstance(coordinates, list | tuple) or not coordinates:
        return []
    if isinstance(coordinates[0], int | float):
        return [(float(coordinates[0]), float(coordinates[1]))]
    return [point for part in coordinates for point in _points(part)]


def _box(geometry: Mapping[str, Any]) -> BBox:
    return _around([geometry])


def _around(geometries: Sequence[Mapping[str, Any]]) -> BBox:
    points = [point for geometry in geometries for point in _points(geometry["coordinates"])]
    lons, lats = [p[0] for p in points], [p[1] for p in points]
    return BBox(min(lons), min(lats), max(lons), max(lats))
