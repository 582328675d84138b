"""Spectral indices of scenes: the right bands, as reflectance where the file tells how, and the formula over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from ..errors import SceneError
from ..types import Scene
from .catalogue import KERNELS, ROLES, Index, find_index
from .formula import evaluate, names
from .radar import POLARISATIONS, as_power, stored_as

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

BRIGHTEST: Final = 2.0  # reflectance above one is rare (snow, glint), above two it is some other number


@dataclass(frozen=True)
class Bands:
    """Bands of a scene, floats (H, W) by role, NaN where there is no value.

    `unit` tells what the numbers are: "reflectance" (0..1; radar as linear power), "stretched" (8-bit values made for
    display, divided by 255) or "unknown" (raw numbers whose scale the file does not tell).
    """

    values: Mapping[str, Floats]
    unit: str

    @property
    def shape(self) -> tuple[int, int]:
        height, width = next(iter(self.values.values())).shape
        return height, width


def chosen(scene: Scene, codes: Sequence[str], wanted_by: str) -> dict[str, str]:
    """{standard band code: role of the band that serves for it}. Raises `SceneError` naming the missing bands."""
    picked = {code: next((r for r in ROLES[code] if r in scene.roles), "") for code in codes}
    missing = [ROLES[code][0] for code, role in picked.items() if not role]
    if missing:
        there = ", ".join(dict.fromkeys(r for r in scene.roles if r))
        bands = f"a {missing[0]} band" if len(missing) == 1 else f"the bands {', '.join(missing)}"
        example = "vv,vh" if missing[0] in POLARISATIONS else "blue,green,red,nir"
        known = f"it has {there}" if there else "it is not known what its bands are"
        raise SceneError(
            f"{wanted_by} needs {bands}, which {scene.uri} does not have: {known}.",
            f"If the file does hold them, name its bands in their order: --bands {example}, or --sensor.",
        )
    return picked


def read_bands(scene: Scene, roles: Sequence[str], max_side: int | None = None) -> Bands:
    """The bands of these roles, the longer side at most `max_side` pixels (averaged)."""
    import numpy as np

    wanted = tuple(dict.fromkeys(roles))
    numbers = tuple(scene.band(role) or 0 for role in wanted)
    if 0 in numbers:
        raise SceneError(f"{scene.uri} has no band known as {wanted[numbers.index(0)]}.")
    # Whole numbers are exact in float32, their reflectance is not: indices close to a pole would feel that.
    stack = scene.read(numbers, max_side).astype(np.float64)
    if scene.scale:
        factors, shifts = (np.array([v[n - 1] for n in numbers]) for v in (scene.scale, scene.offset))
        stack = stack * factors[:, None, None] + shifts[:, None, None]
    stack = np.where(np.isfinite(stack), stack, np.nan)
    values = dict(zip(wanted, stack, strict=True))
    for role in wanted:
        if role in POLARISATIONS:
            values[role] = as_power(values[role], stored_as(values[role], scene.dtype))
    return Bands(*_scaled(scene, values))


def _scaled(scene: Scene, values: dict[str, Floats]) -> tuple[dict[str, Floats], str]:
    import numpy as np

    light = [role for role in values if role not in POLARISATIONS and not role.startswith("thermal")]
    if not light or scene.scale:
        return values, "reflectance"
    if scene.stretched or (scene.stretched is None and scene.dtype == "uint8"):
        return values | {role: values[role] / 255 for role in light}, "stretched"
    tops = [float(np.nanpercentile(values[role], 99)) for role in light if np.isfinite(values[role]).any()]
    return values, "reflectance" if max(tops, default=0.0) <= BRIGHTEST else "unknown"


def computed(index: Index, bands: Bands, picked: Mapping[str, str], where: str = "the scene") -> NDArray[np.float32]:
    """The index over bands that are there, float32 (H, W), NaN where invalid; `picked` maps codes to roles.

    Raises `SceneError` when the index needs what no band holds, or reflectance where only raw numbers are known.
    """
    import numpy as np

    if index.needs:
        raise SceneError(f"{index.name} needs {index.needs}, which no image holds.", "Ask for another index.")
    if bands.unit == "unknown" and not scale_free(index):
        raise SceneError(
            f"{index.name} needs reflectance between 0 and 1, and {where} holds numbers whose scale the file does "
            "not tell.",
            'Name the product (--sensor sentinel-2-l2a) or put "scale": 0.0001 into a sidecar.',
        )
    image = evaluate_index(index, {code: bands.values[role] for code, role in picked.items()})
    return image.astype(np.float32)


def evaluate_index(index: Index, bands: Mapping[str, Floats], formula: str = "") -> NDArray[np.float64]:
    """The index (or another `formula` of the same names) from arrays by standard band code, in float64."""
    import numpy as np

    values: dict[str, NDArray[np.float64] | float] = {k: np.asarray(v, np.float64) for k, v in bands.items()}
    values |= index.constants
    for name in names(formula or index.formula):
        if name in KERNELS:
            a, b = (np.asarray(values[part], np.float64) for part in KERNELS[name])
            sigma = 0.5 * (a + b)
            with np.errstate(all="ignore"):
                values[name] = np.exp(-((a - b) ** 2) / (2 * sigma**2))
    return evaluate(formula or index.formula, values)


def index_image(scene: Scene, name: str, max_side: int | None = None) -> NDArray[np.float32]:
    """A spectral index of a scene, float32 (H, W), NaN where invalid.

    Raises `UsageError` for an unknown name, `SceneError` naming the band that is missing."""
    index = find_index(name)
    picked = chosen(scene, index.codes, index.name)
    return computed(index, read_bands(scene, tuple(picked.values()), max_side), picked, scene.uri)


@cache
def scale_free(index: Index) -> bool:
    """Whether the index stays the same when all bands are multiplied by one number, so that raw values will do."""
    import numpy as np

    if any(code in index.codes for code in ("T", "T1", "T2")):
        return False
    draw = np.random.default_rng(0)
    bands = {code: draw.uniform(0.05, 0.6, 64).astype(np.float32) for code in index.codes}
    many = {code: values * np.float32(1024) for code, values in bands.items()}
    once, again = evaluate_index(index, bands), evaluate_index(index, many)
    return bool(np.allclose(once, again, rtol=1e-4, atol=1e-5, equal_nan=True))
