"""What the bands of a scene say, as a short text to be searched: land cover, greenness, radar backscatter.

The text says only what is there, never what is not: "no open water" would be found by who searches for water.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..errors import SceneError
from ..types import Quantity, Scene
from .cover import CoverMap, cover_of
from .radar import POLARISATIONS, backscatter
from .wording import SHOWN, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SIDE: Final = 512
DESERT: Final = 0.8  # of the scene barren: ground that anybody would call desert-like
MOST: Final = 0.5
SOME: Final = 0.05  # of the scene: enough to be looked for by

# (class, when it covers most of the scene, when it covers some of it)
_SAID: Final = (
    ("snow or ice", "Mostly snow or ice: {share} of the scene is snow-covered or ice.", "{share} is snow or ice."),
    ("cloud", "Mostly cloudy: {share} of the scene is thick cloud.", "{share} is bright cloud."),
    ("water", "Mostly open water: {share} of the scene is water, as over a sea or lake.", "{share} is open water."),
    (
        "dense vegetation",
        "Mostly dense vegetation, as in forest or lush crops: {share} of the scene is densely green.",
        "{share} is dense vegetation.",
    ),
    (
        "sparse vegetation",
        "Mostly sparse vegetation, as in grassland, shrubland or thin crops: {share} of the scene.",
        "{share} is sparse vegetation.",
    ),
    ("bare ground", "Mostly bare ground: {share} of the scene is soil, rock or sand.", "{share} is bare ground."),
    ("built-up", "Mostly built-up by a weak estimate: {share} is grey and rough.", "{share} may be built-up."),
)
_DESERT: Final = "Desert-like barren ground of sand or rock: {share} of the scene is bare and dry."
_WET_LAND: Final = "Water lies among vegetated land here, as in wetland, along rivers and lakes or in flooded fields."


def band_facts(scene: Scene) -> tuple[str, dict[str, Quantity]]:
    """(a paragraph, quantities by name) of what the bands say about a scene; ("", {}) where no band tells.

    Needs green, red and near infrared, or a radar band. Quantities: the share of each class (%), median NDVI and water
    index, and of radar the median of each polarisation (dB). Raises `SceneError` when no pixel has values.
    """
    roles = set(scene.roles)
    if {"green", "red"} <= roles and roles & {"nir", "nir2"}:
        return _optical(cover_of(scene, MAX_SIDE))
    polarisations = [role for role in POLARISATIONS if role in roles]
    return _radar(scene, polarisations) if polarisations else ("", {})


def _optical(found: CoverMap) -> tuple[str, dict[str, Quantity]]:
    order = sorted(_SAID, key=lambda said: -found.shares[said[0]])
    text = []
    for kind, mostly, some in order:
        part = found.shares[kind]
        if kind == "bare ground" and part >= MOST and found.barren >= DESERT:
            text.append(_DESERT.format(share=percent(part)))
        elif part >= MOST:
            text.append(mostly.format(share=percent(part)))
        elif part >= SOME:
            text.append(some.format(share=percent(part)))
    green = found.shares["dense vegetation"] + found.shares["sparse vegetation"]
    if found.shares["water"] >= SOME and green >= 0.2:
        text.append(_WET_LAND)
    index = found.water_index
    text.append(f"Median NDVI {found.medians['NDVI']:.2f}, median {index} {found.medians[index]:.2f}.")
    if found.unit != "reflectance":
        text.append("These are rough estimates, since the values are no calibrated reflectance.")
    shown = {kind: part for kind, part in found.shares.items() if part >= SHOWN}
    values = {f"share of {kind}": Quantity(round(100 * part, 2), "%") for kind, part in shown.items()}
    values |= {f"median {name}": Quantity(round(found.medians[name], 3)) for name in ("NDVI", index)}
    return " ".join(text), values


def _radar(scene: Scene, polarisations: Sequence[str]) -> tuple[str, dict[str, Quantity]]:
    import numpy as np

    found = backscatter(scene, polarisations, MAX_SIDE)

    def median(decibel: NDArray[np.float32]) -> float:
        return round(float(np.nanmedian(decibel)), 1)

    there = [role for role in polarisations if np.isfinite(found.decibel[role]).any()]
    if not there:
        raise SceneError(f"{scene.uri} holds no valid radar pixel.")
    values = {f"median {role.upper()}": Quantity(median(found.decibel[role]), "dB") for role in there}
    listing = ", ".join(f"{role.upper()} {median(found.decibel[role]):.1f} dB" for role in there)
    kind = "Radar (SAR) backscatter" if found.calibrated else "Radar (SAR) image of uncalibrated backscatter"
    return f"{kind} with medians of {listing}.", values
