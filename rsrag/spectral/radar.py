"""Radar backscatter of a scene in decibels, whatever it is stored as: decibels, power, or amplitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ..types import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Stored = Literal["decibels", "linear power", "amplitudes"]
POLARISATIONS: Final = ("vv", "vh", "hh", "hv")
MOST_POWER: Final = (
    20.0  # calibrated backscatter of cities in bright spots reaches some units; digital numbers are 100s
)


@dataclass(frozen=True)
class Backscatter:
    """Bands by polarisation: `power` (linear) and `decibel`, float32 (H, W), NaN where there is no value.

    `stored` is what the file holds. Amplitudes are digital numbers: their decibels are not `calibrated`, so that they
    compare within the scene only."""

    power: Mapping[str, Floats]
    decibel: Mapping[str, Floats]
    stored: Stored

    @property
    def calibrated(self) -> bool:
        return self.stored != "amplitudes"


def backscatter(scene: Scene, roles: Sequence[str], max_side: int | None = None) -> Backscatter:
    """Backscatter of the bands with these roles. Raises `SceneError` naming one that is missing."""
    import numpy as np

    stack = scene.reflectance(tuple(roles), max_side=max_side)
    stack = np.where(np.isfinite(stack), stack, np.float32(np.nan))
    stored = stored_as(stack, scene.dtype)
    power = dict(zip(roles, as_power(stack, stored), strict=True))
    return Backscatter(power, {role: to_decibel(values) for role, values in power.items()}, stored)


def stored_as(values: Floats, dtype: str = "float32") -> Stored:
    """What backscatter is stored as. Power is never negative, decibels of land and water nearly always are; complex
    values, whole numbers and large ones are amplitudes."""
    import numpy as np

    valid = values[np.isfinite(values)]
    if not valid.size:
        return "linear power"
    if float(np.median(valid)) < 0:
        return "decibels"
    if dtype.startswith(("complex", "uint", "int")) or float(np.median(valid)) > MOST_POWER:
        return "amplitudes"
    return "linear power"


def as_power(values: Floats, stored: Stored) -> Floats:
    """Linear power of values stored that way."""
    import numpy as np

    if stored == "decibels":
        return np.asarray(10.0 ** (values / 10.0), np.float32)
    return values**2 if stored == "amplitudes" else values


def to_decibel(values: Floats) -> Floats:
    """10 log10 of linear power; NaN where there is none."""
    import numpy as np

    with np.errstate(all="ignore"):
        return np.asarray(np.where(values > 0, 10 * np.log10(values), np.nan), np.float32)
