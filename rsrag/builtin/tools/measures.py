"""What is measured on several dates: which index a question means, which bands it needs, and its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rsrag import Scene, SceneError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# For each topic the indices that show it, the best first; the first that the bands allow is taken.
TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "vegetation": ("NDVI",),
    "water": ("MNDWI", "NDWI"),
    "burn": ("NBR",),
    "built-up": ("NDBI",),
}
BRIGHTNESS: Final = "brightness"
BACKSCATTER: Final = "backscatter"
ELEVATION: Final = "elevation"
VALUE: Final = "value"  # of the only band, when nobody knows what it holds
SPEAKING: Final[Mapping[str, str]] = {
    "NDVI": "green vegetation (NDVI)",
    "MNDWI": "the water index MNDWI",
    "NDWI": "the water index NDWI",
    "NBR": "the burn ratio NBR, which falls where vegetation burns,",
    "NDBI": "the built-up index NDBI",
    BRIGHTNESS: "brightness (the mean of all bands, 0 to 1)",
    BACKSCATTER: "radar backscatter (dB)",
    ELEVATION: "elevation (m)",
    VALUE: "the value of the band",
}
_RADAR: Final = ("vv", "hh", "vh", "hv")


def shared_roles(scenes: Sequence[Scene]) -> tuple[str, ...]:
    """Roles of bands that all scenes have, in the first one's order."""
    return tuple(r for r in scenes[0].roles if r and r != "alpha" and all(r in s.roles for s in scenes))


def settled(index: str, scenes: Sequence[Scene]) -> str:
    """The name of what to measure: an index of the catalogue, or one of BACKSCATTER, ELEVATION, VALUE and BRIGHTNESS.

    `index` may be a topic. Without one it is NDVI, and where the bands do not allow that, backscatter of radar,
    elevation, the value of a single band of numbers, or plain brightness. Raises `UsageError` for an unknown name.
    """
    from rsrag.spectral.catalogue import find_index

    word = index.strip().lower()
    if word in (BRIGHTNESS, BACKSCATTER, ELEVATION, VALUE):
        return word
    if word in TOPICS:
        return next((name for name in TOPICS[word] if possible(name, scenes)), TOPICS[word][0])
    if word:
        return find_index(index).name
    if possible("NDVI", scenes):
        return "NDVI"
    shared = shared_roles(scenes)
    if shared:
        return BACKSCATTER if set(_RADAR) & set(shared) else ELEVATION if "elevation" in shared else BRIGHTNESS
    numbers = all(len(scene.bands) == 1 and scene.dtype != "uint8" for scene in scenes)
    return VALUE if numbers else BRIGHTNESS


def water_index(scenes: Sequence[Scene]) -> str:
    """MNDWI, else NDWI, whichever the bands allow; "" for neither."""
    return next((name for name in TOPICS["water"] if possible(name, scenes)), "")


def needed_roles(index: str, scenes: Sequence[Scene]) -> tuple[str, ...]:
    """Roles of the bands to read. Raises `SceneError` naming the band that a scene lacks."""
    from rsrag.spectral.catalogue import find_index
    from rsrag.spectral.compute import chosen

    shared = shared_roles(scenes)
    if index == BACKSCATTER:
        found = tuple(role for role in _RADAR if role in shared)[:1]
        if not found:
            raise SceneError("backscatter needs a radar band (vv, vh, hh or hv) in all scenes.", "Name an index.")
        return found
    if index in (BRIGHTNESS, VALUE):
        return shared if index == BRIGHTNESS else ()
    if index == ELEVATION:
        return (ELEVATION,)
    picks = [chosen(scene, find_index(index).codes, index) for scene in scenes]
    return tuple(dict.fromkeys(role for pick in picks for role in pick.values()))


def measured(index: str, scenes: Sequence[Scene]) -> list[Floats]:
    """float32 (H, W) of each scene, NaN as gaps; scenes on one grid give pictures of one size."""
    import numpy as np

    from rsrag.spectral.compute import index_image
    from rsrag.spectral.radar import backscatter

    if index == BACKSCATTER:
        roles = needed_roles(index, scenes)
        return [backscatter(scene, roles).decibel[roles[0]] for scene in scenes]
    if index in (ELEVATION, VALUE):
        return [s.reflectance((ELEVATION,))[0] if index == ELEVATION else s.read((1,))[0] for s in scenes]
    if index == BRIGHTNESS:
        roles = shared_roles(scenes)
        grey = [(s.reflectance(roles) if roles else s.read()).mean(axis=0) for s in scenes]
        if all(scene.stretched for scene in scenes):
            return [image / np.float32(255) for image in grey]
        top = max((float(np.nanpercentile(g, 98)) for g in grey if np.isfinite(g).any()), default=1.0)
        return [np.clip(image / np.float32(top or 1.0), 0, 1) for image in grey]
    return [index_image(scene, index) for scene in scenes]


def possible(index: str, scenes: Sequence[Scene]) -> bool:
    """Whether every scene has the bands for an index of the catalogue."""
    from rsrag.spectral.catalogue import find_index

    return all(any(role in scene.roles for role in roles) for scene in scenes for roles in find_index(index).roles)
