"""Any spectral index of the catalogue over a scene: its statistics, what they mean, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rsrag import Quantity, Query, Scene, SceneError, ToolResult
from rsrag.spectral.catalogue import Index, find_index, index_in, indices_in, readings
from rsrag.spectral.compute import chosen, computed, read_bands

from .asking import general, over_time
from .drawing import colour_bar, figure, grid, natural, scale_bar, sheet_size, show
from .spectra import MAX_SIDE, bands_used, called, joined, pixel_size, reading, worth
from .wording import listed, scene_name, share

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

DEFAULT: Final = "NDVI"
# Colour maps that people with any colour vision can read, light where the index is low.
COLOURS: Final = {"vegetation": "YlGn", "water": "YlGnBu", "burn": "YlOrRd", "snow": "PuBu", "kernel": "YlGn"}
MOST: Final = 4  # indices of one question
FAR: Final = 10
LEAST_SPAN: Final = 0.1  # of the colours for an index between -1 and 1: noise is not to look like a pattern
PANEL: Final = 640  # pixels a side in the picture


class SpectralIndex:
    """Computes a spectral index (NDVI, NDWI, NBR and some 280 more) from the bands of a scene."""

    name: ClassVar[str] = "spectral_index"

    def applies(self, query: Query) -> float:
        """0.9 for a scene and a question that names an index; 0.3 when it asks what the index is, or about dates."""
        if not query.scenes or index_in(query.text) is None:
            return 0.0
        return 0.3 if over_time(query) or general(query) else 0.9

    def arguments(self, query: Query) -> dict[str, object] | list[dict[str, object]]:
        """The index that the question names, or several for a run each."""
        named: list[dict[str, object]] = [{"index": index.name} for index in indices_in(query.text)[:MOST]]
        return named if len(named) > 1 else named[0] if named else {}

    def __call__(
        self, scene: Scene, pictures: Path, index: str = DEFAULT, constants: dict[str, float] | None = None
    ) -> ToolResult:
        """Compute a spectral index over a scene: its mean, median, spread and percentiles, and a picture of it.

        Values are dimensionless. Large scenes are read reduced. Raises `UsageError` for an index that the catalogue
        does not have, `SceneError` naming a band that the scene does not have.

        Args:
            index: Short or long name of the index, such as NDVI, EVI, NDWI, MNDWI, NDMI, NBR, NDSI or NDBI.
            constants: Other values for constants of its formula, by name, such as {"L": 0.25} for SAVI.
        """
        import numpy as np

        chosen_index = find_index(index).with_constants(constants or {})
        picked = chosen(scene, chosen_index.codes, chosen_index.name)
        bands = read_bands(scene, tuple(picked.values()), MAX_SIDE)
        name, here = scene_name(scene), called(scene)
        image = computed(chosen_index, bands, picked, here)
        valid = image[np.isfinite(image)]
        if not valid.size:
            raise SceneError(
                f"{chosen_index.name} cannot be computed for {scene.uri}: no pixel has valid values in all its bands."
            )
        low, median, high = (float(v) for v in np.percentile(valid, (5, 50, 95)))
        kept = _without_outliers(valid, low, high)
        mean, spread = float(kept.mean(dtype=np.float64)), float(kept.std(dtype=np.float64))
        title = chosen_index.name
        text = joined(
            f"{title} of {here} has a mean of {_number(mean)} and a median of {_number(median)} "
            f"(standard deviation {_number(spread)}).",
            f"Nine tenths of the {title} values lie between {_number(low)} and {_number(high)} "
            f"(5th to 95th percentile), over the {share(valid.size / image.size)} of pixels that have values.",
            _meaning(chosen_index),
            _method(chosen_index, picked),
            bands_used(scene, picked.values()),
            reading(scene, bands.shape),
        )
        values = {
            f"{title} mean": Quantity(mean),
            f"{title} median": Quantity(median),
            f"{title} standard deviation": Quantity(spread),
            f"{title} 5th percentile": Quantity(low),
            f"{title} 95th percentile": Quantity(high),
            "valid pixels": Quantity(100 * valid.size / image.size, "%"),
        }
        caveats = [*worth(bands.unit, here)]
        if left := valid.size - kept.size:
            caveats.append(
                f"{left:,} pixels ({share(left / valid.size)}) were left out of the mean and the deviation, as the "
                f"formula of {title} divides by nearly nothing there."
            )
        if chosen_index.differs:
            caveats.append(f"The formula of {title} is the published one: {chosen_index.differs}.")
        drawn = _picture(scene, chosen_index, image, pictures, name)
        return ToolResult(text, values, (drawn,), caveats=tuple(caveats))


def _without_outliers(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """The values within ten times the span of the middle nine tenths: a ratio runs off where its divisor is near 0."""
    import numpy as np

    reach = FAR * (high - low)
    return values[np.abs(values - (low + high) / 2) <= reach] if reach > 0 else values


def _meaning(index: Index) -> str:
    if index.name not in readings():
        return f"{index.name} is an index of the domain {index.domain}."
    high, low = readings()[index.name]
    return f"High values of {index.name} mean {high}, and low values {low}."


def _method(index: Index, picked: Mapping[str, str]) -> str:
    given = ", ".join(f"{name} = {value:g}" for name, value in index.constants.items())
    codes = listed([f"{code} the {role}" for code, role in picked.items()])
    sigma = " and kernels with the length scale (a + b) / 2" if index.domain == "kernel" else ""
    return (
        f"{index.name} ({index.title}) is computed as {index.formula}, {codes} band"
        f"{f', with {given}' if given else ''}{sigma} ({index.reference})."
    )


def _number(value: float) -> str:
    if 0.0005 < abs(value) < 100:
        return f"{value:.2f}" if abs(value) > 0.095 else f"{value:.3f}"
    return f"{value:.3g}"


def _picture(scene: Scene, index: Index, image: NDArray[np.float32], pictures: Path, name: str) -> str:
    import numpy as np

    low, high = (float(v) for v in np.nanpercentile(image, (2, 98)))
    least = LEAST_SPAN if max(abs(low), abs(high)) <= 1 else 1e-6
    if high - low < least:
        low, high = ((low + high + by) / 2 for by in (-LEAST_SPAN, LEAST_SPAN))
    pixel = pixel_size(scene, (image.shape[0], image.shape[1]))

    def draw(sheet: Figure) -> None:
        left, right = grid(sheet, 2)
        show(left, natural(scene, PANEL), name)
        drawn = show(right, image, index.name, COLOURS.get(index.domain, "cividis"), (low, high))
        colour_bar(sheet, right, drawn, index.name)
        if pixel:
            scale_bar(right, pixel, image.shape[1])

    return figure(pictures, f"{name}-{index.name}", sheet_size(2, scene.width / scene.height), draw)
