"""How numbers become a picture: reduction, percentile stretch, and the named composites of bands. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .errors import SceneError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .types import Scene

PERCENTILES: Final = (2, 98)
SAMPLE_SIDE: Final = 512  # how much of a whole scene its stretch is taken from
# Roles of red, green and blue; where several are named, the first that the scene has.
COMPOSITES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "true-colour": (("red",), ("green",), ("blue",)),
    "false-colour": (("nir", "nir2"), ("red",), ("green",)),
    "swir": (("swir2", "swir1"), ("nir", "nir2"), ("red",)),
}


def fit(width: int, height: int, max_side: int) -> tuple[int, int]:
    """(width, height) with the longer side at most `max_side`; never enlarged, never 0."""
    if max_side < 1:
        raise UsageError(f"max_side {max_side} is not a size in pixels.", "Give 1 or more.")
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def averaged(data: NDArray[np.float32], max_side: int) -> NDArray[np.float32]:
    """(C, H, W) with the longer side at most `max_side`: means over blocks of pixels, NaN only where all are NaN."""
    import numpy as np

    height, width = data.shape[1:]
    across, down = fit(width, height, max_side)
    if (across, down) == (width, height):
        return data

    def sums(values: NDArray[Any]) -> NDArray[Any]:
        rows, cols = np.arange(down) * height // down, np.arange(across) * width // across
        return np.add.reduceat(np.add.reduceat(values, rows, axis=1), cols, axis=2)

    there = np.isfinite(data)
    with np.errstate(invalid="ignore"):  # 0 / 0, where nothing is known
        mean: NDArray[np.float32] = (sums(np.where(there, data, 0).astype(np.float64)) / sums(there)).astype(np.float32)
    return mean


def limits(data: NDArray[Any], valid: NDArray[np.bool_]) -> list[tuple[float, float] | None]:
    """(low, high) of each band of (C, ...): its 2nd and 98th percentile over `valid` finite values; None without any.

    In a colour picture a band keeps a span of at least a fifth of its brightness: open water or fresh snow,
    stretched fully, would be coloured noise.
    """
    import numpy as np

    found: list[tuple[float, float] | None] = []
    for values, usable in zip(data, valid, strict=True):
        chosen = values[usable & np.isfinite(values)].astype(np.float64)
        if not chosen.size:
            found.append(None)
            continue
        low, high = (float(p) for p in np.percentile(chosen, PERCENTILES))
        if len(data) > 1 and 0 < low < high:
            lack = max(0.0, 0.2 * high - (high - low)) / 2
            low, high = low - lack, high + lack
        found.append((low, high))
    return found


def stretch(
    data: NDArray[Any], valid: NDArray[np.bool_], between: list[tuple[float, float] | None] | None = None
) -> NDArray[np.uint8]:
    """Each band of (C, H, W) from its limits (`limits` of the data unless given) to 0..255; what is not valid is 0."""
    import numpy as np

    out = np.zeros(data.shape, np.uint8)
    for band, ends in enumerate(limits(data, valid) if between is None else between):
        usable = valid[band] & np.isfinite(data[band])
        if ends is not None and usable.any():
            (low, high), chosen = ends, data[band][usable].astype(np.float64)
            # A band of one value has no contrast to show: mid-grey, so that it differs from "no data".
            scaled = (chosen - low) * (255 / (high - low)) if high > low else np.full(chosen.shape, 127.0)
            out[band][usable] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return out


def as_rgb(bands: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(C, H, W) to contiguous (H, W, 3); one band becomes grey."""
    import numpy as np

    three = bands[:3] if len(bands) >= 3 else np.repeat(bands[:1], 3, axis=0)
    return np.ascontiguousarray(three.transpose(1, 2, 0))


def composite(scene: Scene, name: str, max_side: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): see `Scene.composite`."""
    import numpy as np

    wanted = name.strip().lower().replace("_", "-").replace(" ", "-").replace("color", "colour")
    if wanted == "sar":
        bands = _radar_bands(scene)
    elif wanted in COMPOSITES:
        bands = _bands(scene, wanted)
    else:
        raise UsageError(f"there is no composite '{name}'.", f"There are: {', '.join([*COMPOSITES, 'sar'])}.")
    data = scene.read(bands, max_side)
    if wanted != "sar" and scene.dtype == "uint8":  # made for display already
        return as_rgb(np.nan_to_num(data).astype(np.uint8))
    # One stretch for all windows of a file: tiles laid side by side show no seams, and equal values equal colours.
    sample = getattr(scene.reader, "sample", None)
    values = sample(bands) if sample else scene.read(bands, SAMPLE_SIDE)
    if wanted == "sar":
        is_linear = bool(np.nanmin(values) >= 0) if np.isfinite(values).any() else False
        data, values = _decibels(data, is_linear), _decibels(values, is_linear)
    seen = np.isfinite(data)
    there = np.broadcast_to(seen.all(axis=0), data.shape)
    return as_rgb(stretch(data, there, limits(values, np.isfinite(values))))


def available(scene: Scene) -> tuple[str, ...]:
    """The composites that the scene has the bands for."""
    names = [n for n, parts in COMPOSITES.items() if all(any(scene.band(r) for r in part) for part in parts)]
    return (*names, *(("sar",) if scene.band("vv") or scene.band("hh") else ()))


def _bands(scene: Scene, name: str) -> tuple[int, ...]:
    numbers = []
    for part in COMPOSITES[name]:
        number = next((n for role in part if (n := scene.band(role))), None)
        if number is None:
            raise SceneError(
                f"{scene.uri} has no band known as {' or '.join(part)}, which {name} needs.",
                f"Say what its bands are: --bands or --sensor; or one of: {', '.join(available(scene)) or 'none'}.",
            )
        numbers.append(number)
    return tuple(numbers)


def _radar_bands(scene: Scene) -> tuple[int, ...]:
    for pair in (("vv", "vh"), ("hh", "hv")):
        numbers = [n for role in pair if (n := scene.band(role))]
        if numbers:
            return tuple(numbers)
    if len(scene.bands) == 1:
        return (1,)
    raise SceneError(f"{scene.uri} has no band known as vv, vh, hh or hv.", "Say what its bands are: --bands vv,vh.")


def _decibels(data: NDArray[np.float32], is_linear: bool) -> NDArray[np.float32]:
    """Backscatter in dB. Two polarisations become three bands: both, and what separates them."""
    import numpy as np

    if is_linear:
        with np.errstate(divide="ignore", invalid="ignore"):
            data = np.where(data > 0, 10 * np.log10(data), np.float32(np.nan)).astype(np.float32)
    return np.stack([data[0], data[1], data[0] - data[1]]) if len(data) == 2 else data
