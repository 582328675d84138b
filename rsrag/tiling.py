"""Tiles of a large scene: which there are, which are blank, and their pixels without unpacking anything twice."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .errors import SceneError, UsageError
from .images import DecodedReader, Region, shrink
from .types import Scene, tile_starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST: Final = 16  # pixels; what is smaller shows nothing
MOST: Final = 1_000_000  # tiles of one scene
BLOCK_SIDE: Final = 1536
"""Tiles are cut from squares of at most so many pixels: a file's own blocks lie under several tiles each."""
_KEPT_BLOCKS: Final = 2  # two threads may be at the seam of two
_LOOKS: Final = 16  # how often along its side a tile is looked at to see whether it is blank
_DISPLAY_SIDE: Final = 512


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a scene: pixels `region` of it, in that row and column (from 1) of its tiles, read with `block`."""

    row: int
    column: int
    region: Region
    block: Region


class TiledScene:
    """A scene cut into tiles of `size` pixels that overlap by `overlap`; the last of a row and column are moved inside.

    `tiles` are in the order in which they are best read. All are shown by one stretch, that of the whole file. Safe to
    use from several threads. Raises `UsageError` for sizes that make no sense, `SceneError` for a file that would
    unpack to far more than its size lets expect.
    """

    def __init__(self, scene: Scene, size: int, overlap: int = 0) -> None:
        if (count := tile_count(scene, size, overlap)) > MOST:
            raise UsageError(
                f"{scene.uri} would be cut into {count:,} tiles.", "Choose larger ones, up to the scene's size."
            )
        self.size, self.overlap = size, overlap
        self._looks = min(4096, math.ceil(max(scene.width, scene.height) * _LOOKS / size))
        self._bands = tuple(range(1, min(4, len(scene.bands)) + 1))
        # Before anything is read: also refuses what would unpack out of all proportion.
        self._reduces = hasattr(scene.reader, "reduces") and scene.reader.reduces(len(self._bands), self._looks)
        self.scene = _steady(scene)
        self.tiles = _cut(scene.width, scene.height, size, overlap)
        self._lock = threading.Lock()
        self._blocks: OrderedDict[Region, _Block] = OrderedDict()

    def filled(self) -> list[Tile]:
        """The tiles without those that an overview shows to hold no data, or nothing but the lowest or the highest
        value; all of them, where looking would cost as much as reading."""
        if not self._reduces:
            return list(self.tiles)
        import numpy as np

        try:
            values = self.scene.read(self._bands, self._looks)
        except SceneError:  # some of it is damaged; each tile will tell for itself
            return list(self.tiles)
        ends = (0.0, float(np.iinfo(self.scene.dtype).max)) if self.scene.dtype.startswith(("int", "uint")) else (0.0,)
        same = np.isnan(values).all(axis=0) | np.any([(values == end).all(axis=0) for end in ends], axis=0)
        across, down = same.shape[1] / self.scene.width, same.shape[0] / self.scene.height

        def is_blank(region: Region) -> bool:
            x, y, w, h = region
            rows = slice(math.floor(y * down), math.ceil((y + h) * down))
            return bool(same[rows, math.floor(x * across) : math.ceil((x + w) * across)].all())

        return [tile for tile in self.tiles if not is_blank(tile.region)]

    def window(self, tile: Tile) -> Scene:
        """The tile as a scene of its own, with its place on Earth; no pixels are read."""
        return self.scene.window(*tile.region)

    def read(self, tile: Tile) -> Scene | None:
        """The tile with its picture of at most 512 pixels in memory; None when that is of one colour.

        Raises `SceneError` when its part of the file cannot be read.
        """
        window = self.window(tile)
        pixels = self._pixels(tile, window)
        if _is_flat(pixels):
            return None
        return replace(window, reader=DecodedReader(window, _DISPLAY_SIDE, pixels))

    def _pixels(self, tile: Tile, window: Scene) -> NDArray[np.uint8]:
        if tile.block == tile.region:  # large tiles are read by overviews
            return window.rgb(_DISPLAY_SIDE)
        whole = self._block(tile.block).pixels()
        if whole is None:  # some of the block is damaged, and this tile may not be
            return window.rgb(_DISPLAY_SIDE)
        x, y, w, h = tile.region
        left, top = x - tile.block.x, y - tile.block.y
        return shrink(whole[top : top + h, left : left + w], _DISPLAY_SIDE)

    def _block(self, region: Region) -> _Block:
        with self._lock:
            if region not in self._blocks:
                self._blocks[region] = _Block(self.scene.window(*region))
                if len(self._blocks) > _KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
            return self._blocks[region]


class _Block:
    """Pixels for several tiles: the first thread that asks reads them, the others wait."""

    def __init__(self, scene: Scene) -> None:
        self._scene: Scene | None = scene
        self._pixels: NDArray[np.uint8] | None = None
        self._lock = threading.Lock()

    def pixels(self) -> NDArray[np.uint8] | None:
        """uint8 (H, W, 3); None where they cannot all be read."""
        with self._lock:
            if self._scene is not None:
                scene, self._scene = self._scene, None
                try:
                    self._pixels = scene.rgb(max(scene.width, scene.height))
                except SceneError:
                    self._pixels = None
            return self._pixels


def _is_flat(pixels: NDArray[np.uint8]) -> bool:
    first = pixels[:1, :1]
    # Some of the pixels nearly always tell.
    return bool((pixels[::32, ::32] == first).all() and (pixels == first).all())


def _steady(scene: Scene) -> Scene:
    """The scene with one stretch for all its windows; of a damaged file each tile has to be stretched by itself."""
    try:
        return replace(scene, reader=scene.reader.steady()) if hasattr(scene.reader, "steady") else scene
    except SceneError:
        return scene


def check_sizes(size: int, overlap: int) -> None:
    """Raise `UsageError` for tiles that cannot be cut."""
    if size < SMALLEST:
        raise UsageError(f"tiles of {size} pixels are too small.", f"Give {SMALLEST} or more; 256 to 1024 is usual.")
    tile_starts(size, size, overlap)


def tile_count(scene: Scene, size: int, overlap: int = 0) -> int:
    """How many tiles cover a scene. Raises `UsageError` for sizes that make no sense."""
    check_sizes(size, overlap)
    return len(tile_starts(scene.width, size, overlap)) * len(tile_starts(scene.height, size, overlap))


def _cut(width: int, height: int, size: int, overlap: int) -> list[Tile]:
    """The tiles, block by block, and row by row in each."""
    columns, rows = _groups(width, size, overlap), _groups(height, size, overlap)
    w, h = min(size, width), min(size, height)
    tiles = []
    for down in rows:
        for across in columns:
            left, top = across[0][1], down[0][1]
            block = Region(left, top, across[-1][1] + w - left, down[-1][1] + h - top)
            tiles += [Tile(row, column, Region(x, y, w, h), block) for row, y in down for column, x in across]
    return tiles


def _groups(length: int, size: int, overlap: int) -> list[list[tuple[int, int]]]:
    """(number from 1, start) of the tiles along a side, in groups that lie within `BLOCK_SIDE`."""
    groups: list[list[tuple[int, int]]] = []
    for number, start in enumerate(tile_starts(length, size, overlap), 1):
        if groups and start + size - groups[-1][0][1] <= BLOCK_SIDE:
            groups[-1].append((number, start))
        else:
            groups.append([(number, start)])
    return groups
