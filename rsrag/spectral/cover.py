"""Land cover from indices and published thresholds: a rough class for every pixel, and how firm the shares are.

Rules, the first that holds wins (bands as reflectance; sources in THRESHOLDS):
    snow or ice        NDSI >= 0.4, near infrared > 0.11, green > 0.10
    built-up           would be cloud or bare ground, but is grey and rough: (red - blue) / (red + blue) < 0.15 where
                       brightness varies by more than 15 %
    cloud              white and bright: blue - red / 2 > 0.08, NIR / SWIR1 > 0.75, whiteness < 0.7, red > 0.25
    water              MNDWI (without SWIR: NDWI) > 0 and greater than NDVI
    dense vegetation   NDVI >= 0.5
    sparse vegetation  NDVI >= 0.2
    bare ground        the rest
Snow, cloud and built-up need reflectance; on values stretched for display they are left out, and water begins at Otsu's
threshold where the histogram has two humps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..errors import SceneError
from ..types import Scene
from .compute import Bands, chosen, read_bands
from .otsu import WATER_BOUNDS, split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Classes = NDArray[np.int8]

CLASSES: Final = ("water", "snow or ice", "cloud", "dense vegetation", "sparse vegetation", "bare ground", "built-up")
WATER, SNOW, CLOUD, DENSE, SPARSE, BARE, BUILT = range(7)
NO_DATA: Final = -1
MAX_SIDE: Final = 1024
ROUGH_PIXEL_M: Final = 30.0  # houses and streets make no texture in larger pixels
BARREN: Final = (0.1, 0.2)  # NDVI of rock and sand (USGS) up to that of any bare soil (Sobrino and others)


@dataclass(frozen=True)
class Threshold:
    """A limit between classes, how far it is moved to see how firm the shares are (10 % of it, and at least 0.05 where
    it is nought), and where it is from."""

    value: float
    step: float
    source: str


THRESHOLDS: Final[Mapping[str, Threshold]] = {
    "water index": Threshold(0.0, 0.05, "Xu 2006 for MNDWI, McFeeters 1996 for NDWI"),
    "NDVI of bare ground": Threshold(0.2, 0.02, "Sobrino and others 2004"),
    "NDVI of dense vegetation": Threshold(0.5, 0.05, "Sobrino and others 2004"),
    "NDSI of snow": Threshold(0.4, 0.04, "Hall and others 1995"),
    "cloud brightness": Threshold(0.25, 0.025, "tests of Fmask, Zhu and Woodcock 2012, for bright cloud only"),
    "greyness of built-up": Threshold(0.15, 0.015, "a rule of thumb of this program, not published"),
}


@dataclass(frozen=True)
class CoverMap:
    """Classes (H, W) int8, numbers into `CLASSES`, -1 no data; and what they come to.

    `shares` (0..1 of valid pixels) and `ranges` (lowest, highest share when each threshold is moved) by class;
    `medians` of the bands by role and of the indices by name; `barren` (0..1) how much is ground without
    any green; `valid` the share of pixels with values; `unit` as in `Bands`; `water_limit` the
    water index from which a pixel is water; `left_out` the classes that could not be
    looked for.
    """

    classes: Classes
    shares: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    medians: Mapping[str, float]
    barren: float
    barren_range: tuple[float, float]
    valid: float
    unit: str
    water_limit: float
    left_out: tuple[str, ...] = ()

    @property
    def water_index(self) -> str:
        return "MNDWI" if "MNDWI" in self.medians else "NDWI"


@dataclass(frozen=True)
class _Layers:
    """What the rules look at; None where a band or the scale is missing."""

    valid: NDArray[np.bool_]
    ndvi: Floats
    water: Floats
    medians: dict[str, float]
    ndsi: Floats | None = None
    snow_bright: NDArray[np.bool_] | None = None
    cloudy: NDArray[np.bool_] | None = None
    red: Floats | None = None
    grey: Floats | None = None
    rough: NDArray[np.bool_] | None = None


def cover_of(scene: Scene, max_side: int = MAX_SIDE) -> CoverMap:
    """Land cover of a scene, read at most `max_side` pixels a side.

    Needs green, red and near infrared; blue and SWIR1 make it better.
    Raises `SceneError` naming a band that is missing, and for a scene without a single value.
    """
    picked = chosen(scene, ("G", "R", "N"), "a land-cover estimate")
    extra = [role for role in ("blue", "swir1") if role in scene.roles]
    bands = read_bands(scene, (*picked.values(), *extra), max_side)
    by_name = {"green": picked["G"], "red": picked["R"], "nir": picked["N"]} | {role: role for role in extra}
    shape = bands.shape
    pixel_m = scene.gsd_m * max(scene.width / shape[1], scene.height / shape[0]) if scene.gsd_m else None
    cover = cover_map(Bands({name: bands.values[role] for name, role in by_name.items()}, bands.unit), pixel_m)
    if not cover.valid:
        raise SceneError(f"{scene.uri} holds no valid pixel: every one is nodata or not a number.")
    return cover


def cover_map(bands: Bands, pixel_m: float | None = None) -> CoverMap:
    """Land cover from bands "green", "red", "nir" and, if there, "blue", "swir1"; `pixel_m` is their pixel's size."""
    layers = _layers(bands, pixel_m)
    limits = _limits(layers, bands.unit)
    classes = _classes(layers, limits)
    shares = _shares(classes)
    lowest, highest = dict(shares), dict(shares)
    for name, threshold in THRESHOLDS.items():
        for step in (-threshold.step, threshold.step):
            moved = _shares(_classes(layers, {**limits, name: limits[name] + step}))
            for kind, share in moved.items():
                lowest[kind], highest[kind] = min(lowest[kind], share), max(highest[kind], share)
    left_out = [CLASSES[SNOW]] if layers.ndsi is None else []
    left_out += [CLASSES[CLOUD]] if layers.cloudy is None else []
    left_out += [CLASSES[BUILT]] if layers.rough is None else []
    return CoverMap(
        classes,
        shares,
        {kind: (lowest[kind], highest[kind]) for kind in shares},
        layers.medians,
        _barren(layers, classes),
        (_barren(layers, classes, 0.9), _barren(layers, classes, 1.1)),
        float(layers.valid.mean()),
        bands.unit,
        limits["water index"],
        tuple(left_out),
    )


def classify(bands: Bands, pixel_m: float | None = None) -> Classes:
    """Classes (H, W) int8 alone, numbers into `CLASSES`, -1 no data; arguments as of `cover_map`."""
    layers = _layers(bands, pixel_m)
    return _classes(layers, _limits(layers, bands.unit))


def _limits(layers: _Layers, unit: str) -> dict[str, float]:
    """The thresholds; where values are no reflectance, nought says little and that of water comes from them."""
    limits = {name: threshold.value for name, threshold in THRESHOLDS.items()}
    if unit != "reflectance":
        limits["water index"], _ = split(layers.water, WATER_BOUNDS, limits["water index"])
    return limits


def _layers(bands: Bands, pixel_m: float | None) -> _Layers:
    import numpy as np

    values, calibrated = bands.values, bands.unit == "reflectance"
    green, red, nir = values["green"], values["red"], values["nir"]
    blue, swir = values.get("blue"), values.get("swir1")
    ndvi = _ratio(nir, red)
    water = _ratio(green, nir if swir is None else swir)
    valid = np.logical_and.reduce([np.isfinite(layer) for layer in (ndvi, water, *values.values())])
    named = {"NDVI": ndvi, "NDWI" if swir is None else "MNDWI": water, **values}
    medians = {name: float(np.median(layer[valid])) for name, layer in named.items()} if valid.any() else {}
    layers = _Layers(valid, ndvi, water, medians)
    if not calibrated:
        return layers
    if swir is not None:
        layers = replace(layers, ndsi=water, snow_bright=(nir > 0.11) & (green > 0.10))
    if blue is None:
        return layers
    mean = (blue + green + red) / 3
    layers = replace(layers, red=red, grey=_ratio(red, blue))
    if swir is not None:
        with np.errstate(all="ignore"):
            whiteness = (abs(blue - mean) + abs(green - mean) + abs(red - mean)) / mean
            cloudy = (blue - 0.5 * red > 0.08) & (nir > 0.75 * swir) & (whiteness < 0.7)
        layers = replace(layers, cloudy=cloudy)
    if pixel_m is not None and pixel_m <= ROUGH_PIXEL_M:
        layers = replace(layers, rough=_rough(np.where(valid, mean, 0.0)))
    return layers


def _classes(layers: _Layers, limits: Mapping[str, float]) -> Classes:
    """Later rules give way to earlier ones, so they are painted first."""
    import numpy as np

    ndvi = layers.ndvi
    out = np.full(ndvi.shape, BARE, np.int8)
    out[ndvi >= limits["NDVI of bare ground"]] = SPARSE
    out[ndvi >= limits["NDVI of dense vegetation"]] = DENSE
    out[(layers.water > limits["water index"]) & (layers.water > ndvi)] = WATER
    if layers.cloudy is not None and layers.red is not None:
        out[layers.cloudy & (layers.red > limits["cloud brightness"])] = CLOUD
    if layers.rough is not None and layers.grey is not None:
        town = layers.rough & (layers.grey < limits["greyness of built-up"])
        out[town & np.isin(out, (BARE, CLOUD))] = BUILT  # bright roofs look like cloud, but cloud is smooth
    if layers.ndsi is not None and layers.snow_bright is not None:
        out[(layers.ndsi >= limits["NDSI of snow"]) & layers.snow_bright] = SNOW
    out[~layers.valid] = NO_DATA
    return out


def _ratio(a: Floats, b: Floats) -> Floats:
    """(a - b) / (a + b), NaN where the sum is not positive: corrected reflectance can fall below nought."""
    import numpy as np

    with np.errstate(all="ignore"):
        return np.asarray(np.where(a + b > 0, (a - b) / (a + b), np.nan))


def _rough(brightness: Floats) -> NDArray[np.bool_]:
    """Where brightness varies by more than 15 % of its mean within 5 x 5 pixels, in most of the 9 x 9 around."""
    import numpy as np

    mean = _box_mean(brightness, 5)
    spread = np.sqrt(np.maximum(_box_mean(brightness**2, 5) - mean**2, 0))
    varied = (spread > 0.15 * mean) & (mean > 0)
    return np.asarray(_box_mean(varied.astype(np.float32), 9) > 0.6)


def _box_mean(values: Floats, size: int) -> Floats:
    """Mean over size x size pixels around each, edges repeated."""
    import numpy as np

    padded = np.pad(values.astype(np.float64), size // 2, mode="edge")
    total = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    box = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    return np.asarray(box / size**2, np.float32)


def _shares(classes: Classes) -> dict[str, float]:
    import numpy as np

    counts = np.bincount(classes[classes >= 0].ravel(), minlength=len(CLASSES))
    total = max(int(counts.sum()), 1)
    return {name: float(count / total) for name, count in zip(CLASSES, counts, strict=True)}


def _barren(layers: _Layers, classes: Classes, factor: float = 1.0) -> float:
    """Mean over valid pixels of: 1 for dry ground without green (NDVI up to 0.1), falling to 0 at NDVI 0.2.

    `factor` moves both limits."""
    import numpy as np

    low, high = (limit * factor for limit in BARREN)
    there = classes >= 0
    if not there.any():
        return 0.0
    ground = there & ~np.isin(classes, (WATER, SNOW, CLOUD))
    degree = np.clip((high - layers.ndvi) / (high - low), 0, 1)
    return float(np.where(ground, degree, 0)[there].mean())
