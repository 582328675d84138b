"""How much open water a scene shows, and where: by a water index, or by dark backscatter in radar."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rsrag import Quantity, Query, Scene, SceneError, ToolResult, UsageError
from rsrag.spectral.catalogue import find_index
from rsrag.spectral.compute import chosen, computed, read_bands
from rsrag.spectral.cover import CLASSES, CLOUD, SNOW, WATER, classify
from rsrag.spectral.otsu import WATER_BOUNDS, split
from rsrag.spectral.radar import POLARISATIONS, backscatter
from rsrag.spectral.wording import percent

from .asking import general, over_time
from .drawing import GAP, PALETTE, classes_as_rgb, figure, grid, map_legend, natural, scale_bar, sheet_size, show
from .ground import pixel_areas
from .patches import patches
from .spectra import MAX_SIDE, bands_used, called, joined, pixel_size, reading, worth
from .wording import hectares, scene_name

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

_ASKED: Final = re.compile(
    r"\bwater (?:extent|area|surface|cover\w*|bod(?:y|ies)|mask|map)\b"
    r"|\b(?:surface|covered (?:by|with|in)|under) water\b"
    r"|\bextent of (?:the )?(?:\w+ )?water\b|\bflood(?:ed|ing)? (?:extent|area|map|land)\b"
    r"|\bhow (?:much|many hectares of|large (?:is|are) the)\b[^?]*\b(?:water|lakes?|reservoirs?|flood\w*|inundat\w*)\b"
    r"|\barea of (?:the |open )?(?:\w+ )?(?:water|lakes?|reservoirs?|ponds?|flood\w*)\b"
    r"|\bwhat (?:is|was|has been) (?:flooded|inundated)\b|\bwhere is (?:the |open )?water\b",
    re.IGNORECASE,
)
STEP: Final = 0.05
STEP_DB: Final = 1.0
RADAR_BOUNDS: Final = (-22.0, -13.0)  # dB; where thresholds of calm water in VV and HH lie
RADAR_FIXED: Final = -17.0
COLOURS: Final = ("#E8E2D6", PALETTE[0])


@dataclass(frozen=True)
class _Water:
    """A layer whose high (optical) or low (radar) values are water, and the limit."""

    name: str
    layer: Floats
    limit: float
    step: float
    how: str
    never: NDArray[np.bool_] | None = None  # snow and cloud
    more: Floats | None = None  # NDVI: water must exceed it
    dark: bool = False

    def mask(self, move: float = 0.0) -> NDArray[np.bool_]:
        import numpy as np

        limit = self.limit + move
        with np.errstate(invalid="ignore"):
            mask = self.layer < limit if self.dark else self.layer > limit
            if self.more is not None:
                mask &= self.layer > self.more
        return mask if self.never is None else mask & ~self.never


class WaterExtent:
    """Maps open water in a scene and measures its area."""

    name: ClassVar[str] = "water_extent"

    def applies(self, query: Query) -> float:
        """0.9 for a scene and a question about how much water there is or where; 0 for others and for changes."""
        asked = _ASKED.search(query.text) and not over_time(query) and not general(query)
        return 0.9 if query.scenes and asked else 0.0

    def __call__(self, scene: Scene, pictures: Path, threshold: float | None = None) -> ToolResult:
        """Map the open water of a scene: its area (ha), its share (%), a picture, and polygons.

        Optical scenes need green and SWIR1 (MNDWI) or green and near-infrared bands (NDWI); radar scenes VV or HH.
        Raises `SceneError` naming the band that is missing.

        Args:
            threshold: Index above which, or for radar decibels below which, a pixel is water; by default from the data.
        """
        import numpy as np

        name, here = scene_name(scene), called(scene)
        radar = not set(scene.roles) - {*POLARISATIONS, "", "elevation"} and bool({"vv", "hh"} & set(scene.roles))
        water, used, notes = _radar(scene, threshold) if radar else _optical(scene, threshold, here)
        valid = np.isfinite(water.layer)
        if not valid.any():
            raise SceneError(f"water cannot be mapped in {scene.uri}: it holds no valid pixel.")
        rows, columns = water.layer.shape
        cells = pixel_areas(scene, (rows, columns))
        mask = water.mask()
        low, most = sorted(
            float(np.count_nonzero(water.mask(move)) / valid.sum()) for move in (-water.step, water.step)
        )
        part = float(np.count_nonzero(mask) / valid.sum())
        values = {"water": Quantity(100 * part, "%"), f"{water.name} threshold": Quantity(water.limit)}
        said = f"{percent(part)} of {here}"
        if cells is not None:
            area, seen = float(cells[mask].sum()), float(cells[valid].sum())
            values = {"water area": Quantity(area / 1e4, "ha"), **values}
            said = f"{hectares(area)} of {here}, which is {percent(part)} of the {hectares(seen)} seen"
        unit = " dB" if water.dark else ""
        shapes = None
        if cells is not None and scene.transform:
            a, b, c, d, e, f = scene.transform[:6]
            sx, sy = scene.width / columns, scene.height / rows
            placed = replace(scene, transform=(a * sx, b * sy, c, d * sx, e * sy, f))
            shapes = patches(mask.astype(np.int8), {1: "open water"}, placed, cells)
        bodies = shapes["features"] if shapes else []
        largest = 1e4 * bodies[0]["properties"]["hectares"] if len(bodies) > 1 else 0.0
        if largest:
            values["largest water body"] = Quantity(largest / 1e4, "ha")
        text = joined(
            f"Open water covers {said}." if part else f"No open water was found in {here}.",
            f"The largest connected water covers {hectares(largest)}." if largest else "",
            f"Moving the threshold by {water.step:g}{unit} {_moved(low, most)}.",
            f"Water is where {water.name} is {'below' if water.dark else 'above'} {water.limit:.2g}{unit}"
            f"{'' if water.more is None else ' and above NDVI'}, and {water.how}.",
            bands_used(scene, used),
            reading(scene, (rows, columns)),
        )
        drawn = _picture(scene, mask, valid, pictures, name)
        return ToolResult(text, values, (drawn,), shapes, tuple(notes))


def _moved(low: float, high: float) -> str:
    least, most = percent(low), percent(high)
    return "hardly changes that" if least == most else f"gives {least} to {most} water"


def _optical(scene: Scene, threshold: float | None, name: str) -> tuple[_Water, list[str], list[str]]:
    import numpy as np

    index = find_index("MNDWI" if "swir1" in scene.roles else "NDWI")
    picked = chosen(scene, index.codes, f"water extent by {index.name}")
    near = next((role for role in ("nir", "nir2") if role in scene.roles), "")
    extra = ["red", near] if near and "red" in scene.roles else []
    extra += ["blue"] if extra and "blue" in scene.roles else []
    bands = read_bands(scene, (*picked.values(), *extra), MAX_SIDE)
    layer = computed(index, bands, picked, name)
    never, greenness = None, None
    if extra:
        values = {"nir" if role == near else role: band for role, band in bands.values.items()}
        classes = classify(replace(bands, values=values), pixel_size(scene, (layer.shape[0], layer.shape[1])))
        layer[classes < 0] = np.nan
        never = np.isin(classes, (SNOW, CLOUD))
        with np.errstate(all="ignore"):
            greenness = (values["nir"] - values["red"]) / (values["nir"] + values["red"])
    limit, how = _limit(layer, threshold, WATER_BOUNDS, 0.0, "0, as published for it (McFeeters 1996; Xu 2006)")
    notes = [
        "Shadow, dark roofs and wet snow can pass for water, and water under plants or full of sediment can be missed.",
        *worth(bands.unit, name),
    ]
    if never is not None and never.any():
        notes.append(f"Pixels that look like {CLASSES[SNOW]} or {CLASSES[CLOUD]} are not counted as {CLASSES[WATER]}.")
    used = [*picked.values(), *extra[:2]]  # NDVI's
    return _Water(index.name, layer, limit, STEP, how, never, greenness), used, notes


def _radar(scene: Scene, threshold: float | None) -> tuple[_Water, list[str], list[str]]:
    role = "vv" if "vv" in scene.roles else "hh"
    found = backscatter(scene, (role,), MAX_SIDE)
    if not found.calibrated:
        raise SceneError(
            f"water cannot be told in {scene.uri}: its {role.upper()} values are uncalibrated digital numbers.",
            "Give calibrated backscatter (sigma or gamma nought).",
        )
    layer = found.decibel[role]
    limit, how = _limit(
        layer, threshold, RADAR_BOUNDS, RADAR_FIXED, f"{RADAR_FIXED:g} dB, a usual value for calm water"
    )
    notes = [
        "In radar every smooth surface passes for water (roads, runways, dry sand, shadow), while rough water and "
        "flooded plants are missed."
    ]
    return _Water(role.upper(), layer, limit, STEP_DB, how, dark=True), [role], notes


def _limit(
    layer: Floats, threshold: float | None, bounds: tuple[float, float], fixed: float, why: str
) -> tuple[float, str]:
    """(threshold, where it is from): given, Otsu's where the histogram has two humps and it is plausible, or fixed."""
    import math

    if threshold is not None:
        if not math.isfinite(threshold):
            raise UsageError(f"threshold {threshold} is not a finite number.", "For example 0.1.")
        return threshold, "the threshold was given"
    limit, found = split(layer, bounds, fixed)
    if found:
        return limit, "the threshold is Otsu's (1979), which separates the two humps of the histogram best"
    return limit, f"the threshold is {why}, since the histogram has no two humps that meet within the usual limits"


def _picture(scene: Scene, mask: NDArray[np.bool_], valid: NDArray[np.bool_], pictures: Path, name: str) -> str:
    import numpy as np

    classes = np.where(valid, mask.astype(np.int8), np.int8(-1))
    pixel = pixel_size(scene, (mask.shape[0], mask.shape[1]))

    def draw(sheet: Figure) -> None:
        left, right = grid(sheet, 2)
        show(left, natural(scene, 640), name)
        show(right, classes_as_rgb(classes, COLOURS), "open water")
        if pixel:
            scale_bar(right, pixel, mask.shape[1])
        gaps = [] if valid.all() else [("no data", GAP)]
        map_legend(sheet, [("open water", COLOURS[1]), ("other", COLOURS[0]), *gaps])

    return figure(pictures, f"{name}-water", sheet_size(2, scene.width / scene.height, extra=0.3), draw)
