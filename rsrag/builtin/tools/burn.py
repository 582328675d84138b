"""Burn severity from an image before and one after a fire: dNBR, its classes, and hectares of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rsrag import Quantity, Query, Scene, SceneError, ToolResult, UsageError
from rsrag.spectral.catalogue import find_index
from rsrag.spectral.compute import Bands, chosen, computed, read_bands
from rsrag.spectral.wording import percent

from .alignment import aligned
from .asking import general
from .change_text import told_alignment
from .dates import in_time_order
from .drawing import GAP, classes_as_rgb, figure, grid, map_legend, scale_bar, sheet_size, show
from .ground import pixel_areas
from .patches import patches
from .spectra import bands_used, joined, worth
from .wording import hectares, listed, scene_names

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_ASKED: Final = re.compile(
    r"\bd ?NBR\b|\b(?:burn\w*|fire) (?:severity|damage|area|scar)s?\b|\bseverity\b.*\b(?:burn|fire)\w*\b"
    r"|\b(?:how much|how many hectares|what|where|area|hectares)\b.*\bburn(?:t|ed|ing)?\b"
    r"|\bburn(?:t|ed)\b.*\b(?:area|hectares)\b",
    re.IGNORECASE,
)
# Lower limits of dNBR (Key and Benson 2006, FIREMON Landscape Assessment, table LA-2; there times 1,000), and colours.
CLASSES: Final = (
    ("regrowth", float("-inf"), "#1A7A4C"),
    ("unburned", -0.10, "#E8E2D6"),
    ("low severity", 0.10, "#F5D76E"),
    ("moderate-low severity", 0.27, "#F39C3D"),
    ("moderate-high severity", 0.44, "#D9472B"),
    ("high severity", 0.66, "#6E1423"),
)
LIMITS: Final = tuple(limit for _, limit, _ in CLASSES[1:])
BURNED: Final = 2  # classes from here on


class BurnSeverity:
    """Grades burn severity between an image before and one after a fire (dNBR)."""

    name: ClassVar[str] = "burn_severity"

    def applies(self, query: Query) -> float:
        """0.95 for scenes and a question about burn severity or burned area, else 0."""
        return 0.95 if query.scenes and _ASKED.search(query.text) and not general(query) else 0.0

    def __call__(self, scenes: Sequence[Scene], pictures: Path) -> ToolResult:
        """Grade burn severity from the first and the last of two or more dates: hectares by class, and a map.

        dNBR is NBR before minus NBR after, in the classes of Key and Benson (2006). Values: area of each class (ha), or
        its share (%) where pixels have no known size; burned area (dNBR from 0.10); median dNBR. Scenes are put in the
        order of their dates. Raises `UsageError` for fewer than two scenes, `SceneError` naming a missing band.
        """
        import numpy as np

        if len(scenes) < 2:
            raise UsageError(
                f"burn severity needs an image before the fire and one after it, and {len(scenes)} was given.",
                "Give the other one too; NBR of a single image is had from spectral_index.",
            )
        ordered, dated = in_time_order(scenes)
        pair = [ordered[0], ordered[-1]]
        index = find_index("NBR")
        picked = _same_bands(pair)
        roles = [*picked.values(), *(["red"] if all("red" in scene.roles for scene in pair) else [])]
        together = aligned(pair, roles=roles)
        names = scene_names(pair)
        bands = [read_bands(scene, roles) for scene in together.scenes]
        before, after = (computed(index, each, picked, name) for each, name in zip(bands, names, strict=True))
        fell = before - after
        valid = np.isfinite(fell)
        if not valid.any():
            raise SceneError(f"{names[0]} and {names[1]} share no pixel with data.", "Give scenes of the same ground.")
        cells = pixel_areas(together.scenes[0])
        known = cells is not None
        areas = np.ones(fell.shape) if cells is None else cells
        classes = np.where(valid, np.digitize(np.nan_to_num(fell), LIMITS), -1).astype(np.int8)
        sizes = [float(areas[classes == n].sum()) for n in range(len(CLASSES))]
        seen, burned = sum(sizes), sum(sizes[BURNED:])
        low, high = sorted(float(areas[valid & (fell >= LIMITS[1] * f)].sum()) for f in (0.9, 1.1))

        def said(area: float) -> str:
            return f"{hectares(area)} ({percent(area / seen)})" if known else percent(area / seen)

        severe = [
            f"{said(size)} {name}" for (name, _, _), size in list(zip(CLASSES, sizes, strict=True))[BURNED:] if size
        ]
        text = joined(
            f"Between {names[0]} and {names[1]}, {said(burned)} burned: {listed(severe)}."
            if burned
            else f"Between {names[0]} and {names[1]}, no burned ground was found.",
            f"{said(sizes[1])} of the ground seen is unburned and {said(sizes[0])} shows regrowth.",
            f"Moving the limit of burned ground by 10 % gives {said(low)} to {said(high)}.",
            f"Severity is dNBR (NBR of {names[0]} minus NBR of {names[1]}) in the classes of Key and Benson (2006): "
            "low from 0.10, moderate-low from 0.27, moderate-high from 0.44 and high from 0.66.",
            f"The median dNBR is {float(np.median(fell[valid])):.2f}.",
            told_alignment(together, names),
            bands_used(pair[0], picked.values()),
        )
        values = {"burned": _quantity(burned, seen, known)}
        values |= {name: _quantity(size, seen, known) for (name, _, _), size in zip(CLASSES, sizes, strict=True)}
        values["median dNBR"] = Quantity(float(np.median(fell[valid])))
        caveats = [
            "The limits of dNBR were set in North American forests.",
            "Harvest, drought, clouds and falling water levels raise dNBR as fire does.",
            *([] if dated else ["Not every date is known, so the first image given was taken as before the fire."]),
            *(caveat for each, name in zip(bands, names, strict=True) for caveat in worth(each.unit, name)),
            *together.notes,
        ]
        labels = {n: name for n, (name, _, _) in enumerate(CLASSES) if n >= BURNED}
        shapes = patches(classes, labels, together.scenes[0], areas) if known else None
        shown = ("swir2", picked["N"], "red" if "red" in roles else "swir2")
        views = _views(bands, shown)
        drawn = _picture(views, f"({', '.join(shown)})", together.pixel_m, classes, names, pictures)
        return ToolResult(text, values, (drawn,), shapes, tuple(caveats))


def _same_bands(pair: Sequence[Scene]) -> dict[str, str]:
    """Roles of the near-infrared and the SWIR2 band that both scenes have."""
    each = [chosen(scene, ("N", "S2"), "burn severity") for scene in pair]
    near = next((role for role in ("nir", "nir2") if all(role in scene.roles for scene in pair)), "")
    if not near:
        raise SceneError(
            f"{pair[0].uri} and {pair[1].uri} have no near-infrared band in common.",
            f"One has {each[0]['N']}, the other {each[1]['N']}: give images of one sensor.",
        )
    return {"N": near, "S2": "swir2"}


def _quantity(area: float, seen: float, known: bool) -> Quantity:
    return Quantity(area / 1e4, "ha") if known else Quantity(100 * area / seen, "%")


def _views(bands: Sequence[Bands], roles: Sequence[str]) -> list[NDArray[np.uint8]]:
    """uint8 (H, W, 3) of both dates in SWIR2, near infrared and red (SWIR2 where there is none): burns are red, plants
    green. One stretch for both, so that what looks different is."""
    import numpy as np

    stacks = [np.stack([each.values[role] for role in roles], axis=-1) for each in bands]
    low, high = np.nanpercentile(np.concatenate([stack.ravel() for stack in stacks]), (1, 99))
    scaled = [np.clip((stack - low) / max(high - low, 1e-6), 0, 1) for stack in stacks]
    return [np.asarray(np.nan_to_num(image) * 255, np.uint8) for image in scaled]


def _picture(
    views: Sequence[NDArray[np.uint8]], shown: str, pixel_m: float | None, classes: NDArray[np.int8],
    names: Sequence[str], pictures: Path,
) -> str:  # fmt: skip
    colours = [colour for _, _, colour in CLASSES]
    height, width = classes.shape

    def draw(sheet: Figure) -> None:
        first, last, severity = grid(sheet, 3)
        for panel, view, name in zip((first, last), views, names, strict=True):
            show(panel, view, f"{name} {shown}")
        show(severity, classes_as_rgb(classes, colours), "burn severity (dNBR)")
        if pixel_m:
            scale_bar(severity, pixel_m, width)
        gaps = [("no data", GAP)] if (classes < 0).any() else []
        map_legend(sheet, [*((name, colour) for name, _, colour in CLASSES), *gaps])

    return figure(pictures, f"burn-{names[0]}-{names[1]}", sheet_size(3, width / height, extra=0.5), draw)
