"""Pictures of scenes that lie on one grid, stretched alike so that what looks different is different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rsrag import Scene, SceneError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMPOSITES: Final = {
    "true-colour": ("red", "green", "blue"),
    "swir": ("swir1", "nir", "red"),
    "false-colour": ("nir", "red", "green"),
}
_SHORT: Final = {"nir": "NIR", "nir2": "NIR", "swir1": "SWIR1", "swir2": "SWIR2", "vv": "VV", "vh": "VH"}


def view_roles(scenes: Sequence[Scene], composite: str = "") -> tuple[str, ...]:
    """The bands to show: three, or one shown in grey. () where the scenes share no known band.

    `composite` is a name of COMPOSITES; by default the first of them that all scenes have the bands for.
    Raises `UsageError` for another name, `SceneError` naming the band that a scene lacks.
    """
    if composite and composite not in COMPOSITES:
        raise UsageError(f"there is no composite '{composite}'.", f"There are: {', '.join(COMPOSITES)}.")
    shared = [role for role in scenes[0].roles if role and all(role in s.roles for s in scenes)]
    if composite:
        lacking = [role for role in COMPOSITES[composite] if role not in shared]
        if lacking:
            raise SceneError(
                f"{composite} needs a {lacking[0]} band, which not every scene has.",
                "Say what the bands are: --bands red,green,blue,nir in the file's order.",
            )
        return COMPOSITES[composite]
    fitting = (roles for roles in COMPOSITES.values() if all(role in shared for role in roles))
    return next(fitting, tuple(shared[:1]))


def spelt(roles: Sequence[str]) -> str:
    """The bands of a composite as a person writes them: "SWIR1, NIR, red"."""
    return ", ".join(_SHORT.get(role, role) for role in roles)


def views(scenes: Sequence[Scene], roles: Sequence[str], step: int = 1) -> list[NDArray[np.uint8]]:
    """uint8 (H, W, 3) of each of several scenes of one size, gaps in grey; every `step`-th pixel each way.

    All are stretched by the same 2nd and 98th percentiles, band by band over all of them; values that are 8-bit
    brightness already stay as they are.
    """
    import numpy as np

    stacks = [(scene.reflectance(roles) if roles else scene.read((1,)))[:, ::step, ::step] for scene in scenes]
    low, high = [0.0] * len(stacks[0]), [255.0] * len(stacks[0])
    if not all(scene.stretched for scene in scenes):
        pooled = [np.concatenate([s[b][np.isfinite(s[b])] for s in stacks]) for b in range(len(stacks[0]))]
        low, high = ([float(np.percentile(band, at)) if band.size else 0.0 for band in pooled] for at in (2, 98))
    return [_shown(stack, low, high) for stack in stacks]


def _shown(stack: NDArray[np.float32], low: Sequence[float], high: Sequence[float]) -> NDArray[np.uint8]:
    import numpy as np

    spans = [top - bottom if top > bottom else 1.0 for bottom, top in zip(low, high, strict=True)]
    factor = np.reshape([255 / span for span in spans], (-1, 1, 1)).astype(np.float32)
    scaled = (stack - np.reshape(low, (-1, 1, 1)).astype(np.float32)) * factor
    known = np.isfinite(scaled).all(axis=0)
    shown = np.where(known, np.clip(np.nan_to_num(scaled), 0, 255), 217).astype(np.uint8)
    return np.ascontiguousarray((shown if len(shown) == 3 else np.repeat(shown[:1], 3, axis=0)).transpose(1, 2, 0))


def faded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A pale grey version of a picture, to draw upon."""
    import numpy as np

    grey = rgb.astype(np.float32).mean(axis=2, keepdims=True)
    return np.repeat((150 + grey * 0.4).clip(0, 252).astype(np.uint8), 3, axis=2)
