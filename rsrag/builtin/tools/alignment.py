"""Several scenes on one grid: the ground they share, and how far their pixels still lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from rsrag import ArrayReader, BBox, Scene, UsageError

from .grids import Grid, Transform, affine, cell_m, common_grid, inverse, is_geographic, pixel_grid, scaling, times
from .ground import outline
from .registration import NO_SHIFT, Shift, find_shift
from .wording import scene_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MAX_SIDE: Final = 2048  # pixels along the longer side of the common grid
MOST_BANDS: Final = 16  # of a file whose bands nobody knows
CORRECTED_FROM: Final = 0.5  # pixels: less is what good georeferencing and this measurement leave
_MATCHED_ON: Final = ("nir", "red", "green", "swir1", "pan", "blue", "swir2", "vv", "vh", "hh", "hv", "elevation")
_ANY_CRS: Final = "EPSG:3857"  # stands in where pixels are only moved about


@dataclass(frozen=True, slots=True)
class Aligned:
    """Scenes over one and the same grid, in the order given.

    `scenes` hold physical values where their scale is known (float32, nodata NaN) of the bands all were asked for, with
    the roles, names and dates of the originals. `shifts` tell for each how far its content lay from the reference's
    after the georeference had been applied. `pixel_m` is the grid's ground sample distance, None when unknown;
    `resampled` is False where every pixel is the file's own; `notes` are sentences on what was assumed.
    """

    scenes: tuple[Scene, ...]
    shifts: tuple[Shift, ...]
    pixel_m: float | None
    resampled: bool
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the grid."""
        return self.scenes[0].height, self.scenes[0].width


def aligned(
    scenes: Sequence[Scene], reference: int = 0, max_side: int = MAX_SIDE, roles: Sequence[str] = ()
) -> Aligned:
    """Bring two or more scenes onto one grid over the ground that all of them cover.

    The grid is the reference's own (its CRS, its pixels) unless another scene's pixels are coarser: then cells are as
    large as the coarsest, since finer ones would only pretend to detail; and larger still where the longer side would
    exceed `max_side` cells. Values are averaged where cells are twice a pixel or more, else interpolated (cubic
    convolution). `roles` are the bands to bring along, by default all with a known role.

    What is left of an offset is measured by phase correlation and corrected where it is certain (`registration`).
    Scenes without a CRS are taken to share one pixel grid if their sizes are equal. Raises `SceneError` when the
    scenes do not overlap (saying how far apart they lie) or cannot be brought together, `UsageError` for fewer than
    two scenes.
    """
    if len(scenes) < 2:
        raise UsageError("one scene alone cannot be compared; two or more are needed.", "Give the other image too.")
    names = scene_names(scenes)
    notes: list[str] = []
    if all(s.crs and s.transform for s in scenes):
        grid = common_grid(scenes, reference, max_side, names)
    else:
        grid = pixel_grid(scenes, reference, max_side, names)
        notes.append("Not every scene has a coordinate system: they are taken to show the same ground pixel by pixel.")
    wanted = [_bands(scene, roles) for scene in scenes]
    if any(not bands and len(scene.bands) > MOST_BANDS for scene, bands in zip(scenes, wanted, strict=True)):
        notes.append(f"Nobody says what the bands are, so the first {MOST_BANDS} were looked at.")
    stacks = [_onto(scene, bands, grid) for scene, bands in zip(scenes, wanted, strict=True)]
    base = scenes[reference]
    shifts = []
    for i, scene in enumerate(scenes):
        shift = NO_SHIFT if i == reference else _measured(stacks[reference], stacks[i], wanted[reference], wanted[i])
        if shift.corrected:
            stacks[i] = _onto(scene, wanted[i], grid, shift)
        shifts.append(shift)
    placed = [_scene(s, stack, bands, grid, base) for s, stack, bands in zip(scenes, stacks, wanted, strict=True)]
    pixel_m = placed[reference].gsd_m
    own = all(s.crs == base.crs and s.transform == base.transform for s in scenes)
    kept = own and (grid.width, grid.height) == (base.width, base.height)
    return Aligned(tuple(placed), tuple(shifts), pixel_m, not kept or any(s.corrected for s in shifts), tuple(notes))


def _bands(scene: Scene, roles: Sequence[str]) -> tuple[str, ...]:
    """Roles of the bands to read; () where the scene knows none, and its bands are read by number."""
    if roles:
        return tuple(roles)
    return tuple(dict.fromkeys(r for r in scene.roles if r and r != "alpha"))


def _onto(scene: Scene, bands: tuple[str, ...], grid: Grid, shift: Shift = NO_SHIFT) -> Floats:
    """(C, H, W): the scene's values on the grid, taken from where its content lies when that is off by `shift`."""
    import numpy as np
    from rasterio import Affine
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    target = times(grid.transform, (1, 0, shift.dx, 0, 1, shift.dy))
    if grid.crs and scene.crs and scene.transform:
        place, crs = _same_turn(scene.transform[:6], scene, grid), scene.crs
    else:  # taken to lie where the grid lies, whose ground it shares pixel by pixel
        place = times(grid.transform, scaling(grid.width / scene.width, grid.height / scene.height))
        crs = grid.crs or _ANY_CRS
    corners = _cells_in_pixels(scene, grid, target, place, crs)
    x, y, w, h = part = _part(scene, corners)
    cell = max(1.0, _cell_size(corners, grid))  # in pixels of the scene
    source = scene if part == (0, 0, scene.width, scene.height) else scene.window(*part)
    data = _values(source, bands, max(1, math.ceil(max(w, h) / cell)))
    larger = w / data.shape[2], h / data.shape[1]  # what was read may have larger pixels
    place = times(times(place, (1, 0, x, 0, 1, y)), scaling(*larger))
    if crs == (grid.crs or _ANY_CRS) and data.shape[1:] == (grid.height, grid.width):
        offset = times(inverse(target), place)
        if np.allclose(offset, (1, 0, 0, 0, 1, 0), rtol=0, atol=1e-3 / max(grid.width, grid.height)):
            return data
    out = np.full((len(data), grid.height, grid.width), np.nan, np.float32)
    ratio = cell / max(larger)  # pixels of what was read to a cell
    reproject(
        data, out, src_transform=Affine(*place), src_crs=crs, src_nodata=np.nan, dst_transform=Affine(*target),
        dst_crs=grid.crs or _ANY_CRS, dst_nodata=np.nan, XSCALE=min(1.0, 1 / ratio), YSCALE=min(1.0, 1 / ratio),
        resampling=Resampling.average if ratio >= 2 else Resampling.cubic,
    )  # fmt: skip
    return out


def _same_turn(place: Transform, scene: Scene, grid: Grid) -> Transform:
    """Longitudes of one place may be written a turn apart on either side of the antimeridian."""
    if scene.crs != grid.crs or not is_geographic(grid.crs):
        return place
    here = affine(place, scene.width / 2, scene.height / 2)
    there = affine(grid.transform, grid.width / 2, grid.height / 2)
    return times((1, 0, 360 * round((there[0] - here[0]) / 360), 0, 1, 0), place)


def _cells_in_pixels(scene: Scene, grid: Grid, target: Transform, place: Transform, crs: str) -> NDArray[np.float64]:
    """(2, 17, 17): where a lattice over the grid's cells lies in the scene's pixels; NaN where nowhere."""
    import numpy as np
    from pyproj import Transformer

    col, row = np.meshgrid(np.linspace(0, grid.width, 17), np.linspace(0, grid.height, 17))
    x, y = affine(target, col, row)
    if grid.crs and crs != grid.crs:
        x, y = Transformer.from_crs(grid.crs, crs, always_xy=True).transform(x, y)
    places = np.array(affine(inverse(place), x, y))
    return np.where(np.isfinite(places), places, np.nan)


def _part(scene: Scene, corners: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """x, y, w, h of the scene's pixels under the grid, and some around them to interpolate from."""
    import numpy as np

    if np.isnan(corners).any():
        return 0, 0, scene.width, scene.height
    margin = 4 + 0.01 * max(np.ptp(corners[0]), np.ptp(corners[1]))
    x0, x1 = (int(np.clip(v, 0, scene.width)) for v in (corners[0].min() - margin, corners[0].max() + margin + 1))
    y0, y1 = (int(np.clip(v, 0, scene.height)) for v in (corners[1].min() - margin, corners[1].max() + margin + 1))
    if x1 <= x0 or y1 <= y0 or (x1 - x0) * (y1 - y0) > 0.8 * scene.width * scene.height:
        return 0, 0, scene.width, scene.height
    return x0, y0, x1 - x0, y1 - y0


def _cell_size(corners: NDArray[np.float64], grid: Grid) -> float:
    """How many pixels of the scene a cell of the grid is long, in the middle of the grid."""
    across = corners[:, 8, 9] - corners[:, 8, 7]
    down = corners[:, 9, 8] - corners[:, 7, 8]
    pixels = abs(float(across[0] * down[1] - across[1] * down[0]))
    size = math.sqrt(pixels / (grid.width / 8 * grid.height / 8))
    return size if math.isfinite(size) else 1.0


def _values(scene: Scene, bands: tuple[str, ...], max_side: int) -> Floats:
    """(C, H, W) of the bands with these roles, else of the first ones in the file; averaged down to `max_side`."""
    if bands:
        return scene.reflectance(bands, max_side)
    return scene.read(tuple(range(1, min(len(scene.bands), MOST_BANDS) + 1)), max_side)


def _measured(reference: Floats, other: Floats, roles: tuple[str, ...], others: tuple[str, ...]) -> Shift:
    """The shift of one stack against the reference, on a band that both have."""
    shared = [role for role in (*_MATCHED_ON, *roles) if role in roles and role in others]
    if shared:
        shift = find_shift(reference[roles.index(shared[0])], other[others.index(shared[0])])
    elif not roles and not others:
        shift = find_shift(reference[0], other[0])
    else:
        return NO_SHIFT
    return replace(shift, corrected=shift.reliable and shift.pixels >= CORRECTED_FROM)


def _scene(scene: Scene, stack: Floats, roles: tuple[str, ...], grid: Grid, base: Scene) -> Scene:
    """The scene as it is on the grid; `dtype` stays that of the file, which tells what the numbers are."""
    names = tuple(scene.bands[(scene.band(role) or 1) - 1] for role in roles) or scene.bands
    facts: dict[str, Any] = {
        "bands": names, "roles": roles or scene.roles, "bands_from": scene.bands_from, "acquired": scene.acquired,
        "acquired_precision": scene.acquired_precision, "sensor": scene.sensor, "notes": scene.notes,
        "stretched": is_stretched(scene), "bbox": base.bbox, "dtype": scene.dtype,
    }  # fmt: skip
    if roles and scene.scale:  # applied already
        facts |= {"scale": (1.0,) * len(stack), "offset": (0.0,) * len(stack)}
    if grid.crs:
        facts |= {"crs": grid.crs, "transform": grid.transform}
        facts["gsd_m"] = cell_m(grid)
    elif base.gsd_m:
        facts["gsd_m"] = base.gsd_m * base.width / grid.width
    made = ArrayReader(stack.transpose(1, 2, 0), scene.uri, **facts).scene()
    return replace(made, bbox=_box(made) or base.bbox)


def _box(scene: Scene) -> BBox | None:
    """The box around a scene's outline; None where that goes around a pole or the Earth, or there is none."""
    ring = outline(scene) if scene.crs else None
    if ring is None or abs(ring[0][-1] - ring[0][0]) > 180 or ring[0].max() - ring[0].min() >= 360:
        return None
    west, east = ((float(lon) + 180) % 360 - 180 for lon in (ring[0].min(), ring[0].max()))
    # Where it ends exactly on the antimeridian, east is 180 and not -180.
    return BBox(west, float(ring[1].min()), 180.0 if east == -180.0 else east, float(ring[1].max()))


def is_stretched(scene: Scene) -> bool:
    """Whether pixel values are brightness for display and no measurement: 8-bit colours without a scale."""
    if scene.stretched is not None:
        return scene.stretched
    return scene.dtype == "uint8" and not scene.scale
