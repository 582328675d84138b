"""Records that are computed from an image: one for each tile of a large scene, and one for what its bands say."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from threading import Lock
from typing import Any, Final

from rsrag import Record, Scene, Section
from rsrag.spectral.summary import band_facts
from rsrag.tiling import Tile, TiledScene

COMPUTED: Final = "computed from the bands by rsrag"
DERIVED: Final = re.compile(r"(.+)#(?:xywh=\d+,\d+,\d+,\d+|bands)", re.DOTALL)
"""The id of a record made here, after that of its file."""
_ORDINARY: Final = frozenset(("", "red", "green", "blue", "pan", "alpha", "elevation"))
_KEPT: Final = 4


def tile_record(whole: Record, tiled: TiledScene, tile: Tile, stem: str) -> Record:
    """An image of its own, with its own place; everything else it has from its scene."""
    window = tiled.window(tile)
    where = tile_id(whole.id, tile)
    return replace(
        whole,
        id=where,
        title=f"{whole.title}, tile r{tile.row} c{tile.column}",
        sections=(),
        images=(where,),
        facets={**whole.facets, "scene": stem, "tile": f"r{tile.row}c{tile.column}"},
        bbox=window.bbox,
        footprint=_polygon(window.footprint) if window.footprint else None,
    )


def _polygon(ring: Sequence[tuple[float, float]]) -> Mapping[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(point) for point in ring]]}


def tile_id(where: str, tile: Tile) -> str:
    """The uri of a tile of the image `where`, which is also its id."""
    return f"{where}#xywh={','.join(map(str, tile.region))}"


def bands_record(whole: Record, scene: Scene) -> Record | None:
    """A text of what the bands say that a colour picture does not show; None for ordinary pictures.

    Raises `SceneError` when the bands cannot be read.
    """
    if _ORDINARY.issuperset(scene.roles):
        return None
    text = band_facts(scene)[0]
    if not text:
        return None
    return replace(
        whole,
        id=f"{whole.id}#bands",
        sections=(Section("bands", f"{text} {about(scene)}"),),
        images=(),
        aliases=(),
        url="",
        license="",
        attribution=COMPUTED,
    )


def about(scene: Scene) -> str:
    """Sensor, date, ground sample distance, number of bands and place in a sentence or two."""
    parts = [
        f"{scene.sensor or 'Scene'} with {len(scene.bands)} band{'s' * (len(scene.bands) != 1)}",
        _taken(scene),
        f"{scene.gsd_m:.3g} m per pixel" if scene.gsd_m else "",
    ]
    text = ", ".join(part for part in parts if part) + "."
    if scene.bbox:
        lon, lat = scene.bbox.center
        half, side = "S" if lat < 0 else "N", "W" if lon < 0 else "E"
        text += f" Its middle lies at {abs(lat):.2f}° {half}, {abs(lon):.2f}° {side}."
    return text


def _taken(scene: Scene) -> str:
    if scene.acquired is None:
        return ""
    when = scene.acquired.astimezone(UTC)
    if scene.acquired_precision in ("year", "month"):
        return f"taken in {when:%Y}" if scene.acquired_precision == "year" else f"taken in {when:%B %Y}"
    return f"taken on {when.day} {when:%B %Y}"


class OpenTiles:
    """The scenes that tiles are being read from, and how many turned out blank. Safe to use from several threads."""

    def __init__(self, size: int, overlap: int) -> None:
        self.size, self.overlap = size, overlap
        self.blank = 0
        self._open: OrderedDict[str, tuple[TiledScene, Mapping[str, Tile]]] = OrderedDict()
        self._lock = Lock()

    def enter(self, where: str, scene: Scene) -> tuple[TiledScene, Mapping[str, Tile]]:
        """A scene and its tiles by id; it stays open until a few more have been cut."""
        tiled = TiledScene(scene, self.size, self.overlap)
        entry = tiled, {tile_id(where, tile): tile for tile in tiled.tiles}
        with self._lock:
            self._open[where] = entry
            if len(self._open) > _KEPT:
                self._open.popitem(last=False)
        return entry

    def read(self, uri: str, opened: Callable[[str], Scene]) -> Scene | None:
        """The tile of that id, decoded; None when it is blank, which is counted."""
        where = uri.rpartition("#xywh=")[0]
        with self._lock:
            entry = self._open.get(where)
        tiled, tiles = entry or self.enter(where, opened(where))
        scene = tiled.read(tiles[uri])
        if scene is None:
            with self._lock:
                self.blank += 1
        return scene
