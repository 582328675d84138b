"""Small real images for tests, made on the spot: nothing to download, nothing binary to commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pattern = Literal["noise", "gradient", "checker", "stripes"]


def make_geotiff(
    path: str | Path,
    *,
    bands: int = 3,
    size: tuple[int, int] = (64, 64),
    dtype: str = "uint8",
    crs: str | None = "EPSG:32633",
    bounds: tuple[float, float, float, float] | None = None,
    origin: tuple[float, float] = (500_000.0, 5_800_000.0),
    res: float = 10.0,
    nodata: float | None = None,
    descriptions: Sequence[str] | None = None,
    data: NDArray[Any] | None = None,
    seed: int = 0,
    tags: Mapping[str, str] | None = None,
    **profile: Any,
) -> Path:
    """Write a GeoTIFF and return its path; its folder is made when missing.

    `size` is (width, height) in pixels. It lies at `bounds` (west, south, east, north in units of `crs`), or
    else has its top left corner at `origin` and pixels of `res` units. `data` is (bands, height, width) and
    decides `bands`, `size` and `dtype`; without it pixels are random, the same for the same `seed`: 0..255 for
    uint8, 0..10,000 for other integers, 0..1 for floats. `descriptions` name the bands, `tags` go into the
    file, `profile` to rasterio (tiled=True, compress="deflate" ...). `crs=None` makes a plain TIFF.
    """
    import numpy as np
    import rasterio

    if data is None:
        random = np.random.default_rng(seed)
        shape = (bands, size[1], size[0])
        if np.issubdtype(np.dtype(dtype), np.floating):
            data = random.random(shape).astype(dtype)
        else:
            data = random.integers(0, 256 if dtype == "uint8" else 10_001, shape).astype(dtype)
    count, height, width = data.shape
    place: dict[str, Any] = {}
    if crs is not None:
        left, top, across, down = *origin, res, res
        if bounds:
            left, top = bounds[0], bounds[3]
            across, down = (bounds[2] - left) / width, (top - bounds[1]) / height
        place = {"crs": crs, "transform": rasterio.Affine(across, 0, left, 0, -down, top)}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": data.dtype, "nodata": nodata}
    with rasterio.open(path, "w", **kind, **place, **profile) as target:
        target.write(data)
        for number, text in enumerate(descriptions or (), 1):
            target.set_band_description(number, text)
        if tags:
            target.update_tags(**tags)
    return path


def make_image(
    path: str | Path,
    pattern: Pattern = "noise",
    *,
    color: tuple[int, int, int] | None = None,
    size: tuple[int, int] = (64, 64),
    seed: int = 0,
    **options: Any,
) -> Path:
    """Write an ordinary RGB image (format by the suffix: .png, .jpg, .webp ...) and return its path.

    `size` is (width, height). `color` (red, green, blue, 0..255) fills it evenly; else `pattern` is drawn:
    "noise" (the same for the same `seed`), "gradient" (left to right), "checker" or "stripes" of 8 pixels.
    `options` go to Pillow's save (quality=90, exif=...).
    """
    import numpy as np
    from PIL import Image

    width, height = size
    row, col = np.mgrid[:height, :width]
    if color is not None:
        array = np.broadcast_to(np.array(color, np.uint8), (height, width, 3))
    elif pattern == "noise":
        array = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    else:
        grey = {
            "gradient": col * 255 // max(1, width - 1),
            "checker": (col // 8 + row // 8) % 2 * 255,
            "stripes": row // 8 % 2 * 255,
        }[pattern]
        array = np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(array)).save(path, **options)
    return path
