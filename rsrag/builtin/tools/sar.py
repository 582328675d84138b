"""Radar backscatter of a scene: statistics by polarisation in decibels, their ratio, speckle, and a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rsrag import Quantity, Query, Scene, SceneError, ToolResult
from rsrag.spectral.radar import POLARISATIONS, Backscatter, backscatter
from rsrag.spectral.wording import percent

from .asking import general
from .drawing import PALETTE, colour_bar, figure, scale_bar, sheet_size, show, tidy
from .spectra import MAX_SIDE, called, joined, pixel_size, reading
from .wording import listed, scene_name

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_ASKED: Final = re.compile(
    r"\bbackscatter\w*\b|\bspeckle\b|\bdecibels?\b|\bpolari[sz]ations?\b|\bnumber of looks\b"
    r"|\b(?:radar|sar) (?:statistics|stats|values|brightness)\b|\bsigma ?(?:0|nought|zero)\b"
    r"|\b(?:VV|VH|HH|HV)\b.*\b(?:mean|median|ratio|statistics|value)"
    r"|\b(?:mean|median|ratio|statistics|value)s?\b.*\b(?:VV|VH|HH|HV)\b",
    re.IGNORECASE,
)
WATER_DB: Final = (-20.0, -15.0)
BLOCK: Final = 16
FEWEST_BLOCKS: Final = 20


class SarStats:
    """Tells the radar backscatter of a scene: mean, median and spread in decibels, ratio, looks."""

    name: ClassVar[str] = "sar_stats"

    def applies(self, query: Query) -> float:
        """0.9 for a scene and a question about backscatter, polarisation or speckle, else 0."""
        return 0.9 if query.scenes and _ASKED.search(query.text) and not general(query) else 0.0

    def __call__(self, scene: Scene, pictures: Path) -> ToolResult:
        """Describe the radar backscatter of a scene by polarisation, in decibels, with a picture.

        Values: mean of the power, median, 5th and 95th percentile and standard deviation (dB) of each polarisation, the
        VV/VH or HH/HV ratio (dB), the equivalent number of looks. Values that are mostly negative are taken to be
        decibels already. Raises `SceneError` for a scene without a radar band.
        """
        import numpy as np

        roles = [role for role in POLARISATIONS if role in scene.roles]
        if not roles:
            there = ", ".join(dict.fromkeys(r for r in scene.roles if r)) or "no band is known"
            raise SceneError(
                f"radar statistics need a band vv, vh, hh or hv, which {scene.uri} does not have: {there}.",
                "If it is a radar image, name its bands: --bands vv,vh or --sensor sentinel-1-grd.",
            )
        found = backscatter(scene, roles, MAX_SIDE)
        name = scene_name(scene)
        first = found.decibel[roles[0]]
        if not any(np.isfinite(found.decibel[role]).any() for role in roles):
            raise SceneError(f"{scene.uri} holds no valid radar pixel.")
        reduced = first.shape != (scene.height, scene.width)
        values: dict[str, Quantity] = {}
        text = [_said(role, found, called(scene), values) for role in roles]
        text.append(_ratio(found, roles, values))
        if not reduced:
            text.append(_looks(found.power[roles[0]], roles[0], values))
        text.append(_stored(found))
        caveats = ["Backscatter depends on the angle of incidence and the wind, so compare scenes of one orbit."]
        if found.calibrated and "vv" in roles:
            text.append(_dark(found.decibel["vv"], values))
            caveats.append("Dark backscatter is no proof of water: smooth sand, roads and radar shadow are as dark.")
        if not found.calibrated:
            caveats.append("The numbers are uncalibrated amplitudes: decibels compare within the scene only.")
        if reduced:
            caveats.append(
                "Speckle was averaged on reading the scene reduced, so the spread is smaller than in the file."
            )
            text.append(reading(scene, (first.shape[0], first.shape[1])))
        drawn = _picture(scene, found, roles, pictures, name)
        return ToolResult(joined(*text), values, (drawn,), caveats=tuple(caveats))


def _said(role: str, found: Backscatter, name: str, values: dict[str, Quantity]) -> str:
    import numpy as np

    decibel, power = found.decibel[role], found.power[role]
    there = decibel[np.isfinite(decibel)]
    title = role.upper()
    if not there.size:
        return f"{title} of {name} holds no valid pixel."
    mean = float(10 * np.log10(np.nanmean(power[np.isfinite(decibel)], dtype=np.float64)))
    low, median, high = (float(v) for v in np.percentile(there, (5, 50, 95)))
    spread = float(there.std(dtype=np.float64))
    for what, value in (
        ("mean", mean), ("median", median), ("standard deviation", spread), ("5th percentile", low),
        ("95th percentile", high),
    ):  # fmt: skip
        values[f"{title} {what}"] = Quantity(value, "dB")
    kind = "backscatter" if found.calibrated else "uncalibrated backscatter"
    return (
        f"The {title} {kind} of {name} has a median of {median:.1f} dB and a mean power of {mean:.1f} dB, with nine "
        f"tenths between {low:.1f} and {high:.1f} dB (standard deviation {spread:.1f} dB)."
    )


def _ratio(found: Backscatter, roles: Sequence[str], values: dict[str, Quantity]) -> str:
    """Of co- to cross-polarised power, over pixels that have both."""
    import numpy as np

    pair = next(((a, b) for a, b in (("vv", "vh"), ("hh", "hv")) if {a, b} <= set(roles)), None)
    if pair is None:
        return ""
    difference = found.decibel[pair[0]] - found.decibel[pair[1]]
    if not np.isfinite(difference).any():
        return ""
    ratio = float(np.nanmedian(difference))
    title = "/".join(pair).upper()
    values[f"{title} ratio"] = Quantity(ratio, "dB")
    return f"The median {title} ratio is {ratio:.1f} dB; it is small over plants, which scatter in their volume."


def _looks(power: Floats, role: str, values: dict[str, Quantity]) -> str:
    """Equivalent number of looks, mean^2 / variance of the power, of the evenest tenth of blocks."""
    import numpy as np

    rows, columns = (n // BLOCK for n in power.shape)
    if rows * columns < FEWEST_BLOCKS:
        return ""
    blocks = power[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3)
    flat = blocks.reshape(rows * columns, -1).astype(np.float64)
    flat = flat[np.isfinite(flat).all(axis=1) & (flat.std(axis=1) > 0)]
    if len(flat) < FEWEST_BLOCKS:
        return ""
    looks = float(np.percentile(flat.mean(axis=1) ** 2 / flat.var(axis=1), 90))
    values["equivalent number of looks"] = Quantity(looks)
    digits = 1 if looks < 10 else 0
    return (
        f"The equivalent number of looks in {role.upper()} is about {looks:.{digits}f}, measured where blocks of "
        f"{BLOCK} x {BLOCK} pixels are evenest (90th percentile of mean squared over variance)."
    )


def _dark(decibel: Floats, values: dict[str, Quantity]) -> str:
    import numpy as np

    there = decibel[np.isfinite(decibel)]
    if not there.size:
        return ""
    low, high = (float((there < limit).mean()) for limit in WATER_DB)
    for limit, part in zip(WATER_DB, (low, high), strict=True):
        values[f"VV below {limit:g} dB"] = Quantity(100 * part, "%")
    return (
        f"{percent(low)} of the pixels are darker than {WATER_DB[0]:g} dB in VV and {percent(high)} darker than "
        f"{WATER_DB[1]:g} dB; the limit of calm open water lies between the two, depending on wind and angle."
    )


def _stored(found: Backscatter) -> str:
    done = {
        "decibels": "taken as decibels, since most are negative",
        "linear power": "taken as linear power and converted to decibels",
        "amplitudes": "taken as amplitudes, squared and converted to decibels",
    }[found.stored]
    return f"The stored numbers were {done}; means are of the power."


def _picture(scene: Scene, found: Backscatter, roles: Sequence[str], pictures: Path, name: str) -> str:
    import numpy as np

    drawn = [role for role in roles if np.isfinite(found.decibel[role]).any()][:3]
    height, width = found.decibel[roles[0]].shape
    pixel = pixel_size(scene, (height, width))

    def draw(sheet: Figure) -> None:
        panels = [sheet.add_subplot(1, len(drawn) + 1, n + 1) for n in range(len(drawn) + 1)]
        chart = panels.pop()
        for n, (panel, role) in enumerate(zip(panels, drawn, strict=True)):
            decibel = found.decibel[role]
            low, high = (float(v) for v in np.nanpercentile(decibel, (2, 98)))
            image = show(panel, decibel, f"{name} {role.upper()}", "gray", (low, max(high, low + 0.1)))
            colour_bar(sheet, panel, image, "dB")
            if n == 0 and pixel:
                scale_bar(panel, pixel, width)
            chart.hist(
                decibel[np.isfinite(decibel)], 80, histtype="step", density=True, color=PALETTE[n], label=role.upper()
            )
        tidy(chart, f"Histogram of {listed([role.upper() for role in drawn])}", "backscatter (dB)", "density")
        chart.legend(fontsize=8, frameon=False)

    return figure(pictures, f"{name}-backscatter", sheet_size(len(drawn) + 1, width / height, 3.4), draw)
