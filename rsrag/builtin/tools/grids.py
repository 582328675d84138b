"""The grid that several scenes share: whose pixels, how large, over which ground. And affine transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from rsrag import Scene, SceneError

from .ground import geod
from .wording import length

Transform = tuple[float, ...]  # a, b, c, d, e, f: x = a col + b row + c, y = d col + e row + f

SAME_SIZE: Final = 1.05  # pixel sizes that differ by less are taken as equal


@dataclass(frozen=True, slots=True)
class Grid:
    """width x height cells; `transform` leads from cells to the map, `crs` is "" where there is no map."""

    width: int
    height: int
    transform: Transform
    crs: str


def common_grid(scenes: Sequence[Scene], reference: int, max_side: int, names: Sequence[str]) -> Grid:
    """In the reference's pixels: the box around what all outlines share, cut into cells of the coarsest pixel."""
    import shapely

    base = scenes[reference]
    shared = shapely.box(0, 0, base.width, base.height)
    coarsest = 1.0
    for i, scene in enumerate(scenes):
        if i == reference:
            continue
        ring = _in_pixels_of(base, scene)
        if ring is None:
            raise SceneError(
                f"{names[i]} cannot be placed in the coordinate system of {names[reference]}.",
                "Reproject both to one system (gdalwarp -t_srs).",
            )
        outline = shapely.make_valid(shapely.Polygon(ring))
        left = shared.intersection(outline)
        if left.area < 1:
            raise SceneError(
                f"{names[reference]} and {names[i]} do not overlap{_apart(base, scene)}.",
                "Give scenes of the same ground.",
            )
        coarsest = max(coarsest, math.sqrt(outline.area / (scene.width * scene.height)))
        shared = left
    x0, y0, x1, y1 = shared.bounds
    x0, y0 = math.ceil(x0 - 1e-3), math.ceil(y0 - 1e-3)
    across, down = max(1, math.floor(x1 + 1e-3) - x0), max(1, math.floor(y1 + 1e-3) - y0)
    assert base.transform is not None and base.crs is not None
    return _cells(base.transform, base.crs, (x0, y0, across, down), coarsest, max_side)


def pixel_grid(scenes: Sequence[Scene], reference: int, max_side: int, names: Sequence[str]) -> Grid:
    base = scenes[reference]
    for name, scene in zip(names, scenes, strict=True):
        if (scene.width, scene.height) != (base.width, base.height):
            raise SceneError(
                f"{names[reference]} ({base.width} x {base.height} pixels) and {name} ({scene.width} x {scene.height}) "
                "differ in size, and without a coordinate system on both they cannot be brought together.",
                "Georeference them, or cut both to the same pixels.",
            )
    placed = next((scene for scene in (base, *scenes) if scene.crs and scene.transform), None)
    transform, crs = (placed.transform, placed.crs or "") if placed else (None, "")
    return _cells(transform or (1, 0, 0, 0, 1, 0), crs, (0, 0, base.width, base.height), 1.0, max_side)


def _cells(transform: Transform, crs: str, part: tuple[int, int, int, int], coarsest: float, max_side: int) -> Grid:
    x, y, across, down = part
    step = max(coarsest if coarsest > SAME_SIZE else 1.0, max(across, down) / max_side)
    width, height = max(1, round(across / step)), max(1, round(down / step))
    a, b, c, d, e, f = transform[:6]
    # Cells that do not fill the part exactly are stretched by a fraction of a cell over the whole of it.
    sx, sy = across / width, down / height
    return Grid(width, height, (a * sx, b * sy, c + a * x + b * y, d * sx, e * sy, f + d * x + e * y), crs)


def _in_pixels_of(base: Scene, scene: Scene) -> list[tuple[float, float]] | None:
    """A ring around `scene` in pixel coordinates of `base`; None when it cannot be brought there."""
    import numpy as np
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    assert scene.transform and base.transform and scene.crs and base.crs
    along = np.linspace(0, 1, 33)[:-1]
    zeros, ones = np.zeros(32), np.ones(32)
    col = np.concatenate([along, ones, 1 - along, zeros]) * scene.width
    row = np.concatenate([zeros, along, ones, 1 - along]) * scene.height
    x, y = affine(scene.transform, col, row)
    try:
        if scene.crs != base.crs:
            x, y = Transformer.from_crs(scene.crs, base.crs, always_xy=True).transform(x, y)
        if CRS.from_user_input(base.crs).is_geographic:
            middle = affine(base.transform, np.array(base.width / 2), np.array(base.height / 2))[0]
            x = np.unwrap(x, period=360)
            x += 360 * np.round((middle - x.mean()) / 360)
    except ProjError:
        return None
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    px, py = affine(inverse(base.transform), x, y)
    return list(zip(px.tolist(), py.tolist(), strict=True))


def affine(t: Sequence[float], x: Any, y: Any) -> tuple[Any, Any]:
    return t[0] * x + t[1] * y + t[2], t[3] * x + t[4] * y + t[5]


def times(t: Sequence[float], u: Sequence[float]) -> Transform:
    """The transform that does `u` first and then `t`."""
    a, b, c, d, e, f = t
    g, h, i, j, k, m = u
    return a * g + b * j, a * h + b * k, a * i + b * m + c, d * g + e * j, d * h + e * k, d * i + e * m + f


def scaling(across: float, down: float) -> Transform:
    return across, 0, 0, 0, down, 0


def inverse(t: Sequence[float]) -> Transform:
    a, b, c, d, e, f = t[:6]
    det = a * e - b * d
    return e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det


def _apart(one: Scene, other: Scene) -> str:
    if one.bbox is None or other.bbox is None:
        return ""
    metres = geod().inv(*one.bbox.center, *other.bbox.center)[2]
    return f": their middles lie {length(metres)} apart"


@lru_cache(maxsize=16)
def is_geographic(crs: str) -> bool:
    from pyproj import CRS

    return CRS.from_user_input(crs).is_geographic


def cell_m(grid: Grid) -> float | None:
    """Length of a cell in metres, in the middle of the grid."""
    import numpy as np
    from pyproj import Transformer

    x0, y0 = grid.width / 2, grid.height / 2
    col, row = np.array([x0 - 1, x0 + 1, x0, x0]), np.array([y0, y0, y0 - 1, y0 + 1])
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(*affine(grid.transform, col, row))
    across, down = geod().inv([lon[0], lon[2]], [lat[0], lat[2]], [lon[1], lon[3]], [lat[1], lat[3]])[2]
    size = math.sqrt(across * down) / 2
    return size if math.isfinite(size) and size > 0 else None
