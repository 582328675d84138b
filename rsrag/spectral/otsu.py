"""A threshold between two groups of values, from their histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS: Final = 256
COARSE: Final = 64
WATER_BOUNDS: Final = (-0.2, 0.3)  # where published thresholds of NDWI and MNDWI lie
SMALLEST: Final = 0.02  # of the highest hump: lower ones are noise
VALLEY: Final = 0.8  # of the lower hump: the histogram must dip below between the two


def otsu(values: NDArray[np.floating]) -> float:
    """The threshold that best splits the finite values in two (Otsu 1979, IEEE SMC-9); NaN where all are alike."""
    import numpy as np

    valid = values[np.isfinite(values)]
    if not valid.size or float(np.ptp(valid)) < 1e-9:
        return float("nan")
    counts, edges = np.histogram(valid, BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1] / valid.size
    mean = float((counts * middles).sum() / valid.size)
    mass = np.cumsum(counts * middles)[:-1] / valid.size
    with np.errstate(all="ignore"):
        between = np.nan_to_num((mean * below - mass) ** 2 / (below * (1 - below)))
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))  # a gap between the groups is a plateau: its middle
    return float(edges[1:-1][best].mean())


def split(values: NDArray[np.floating], bounds: tuple[float, float], fixed: float) -> tuple[float, bool]:
    """(Otsu's threshold, True) where it lies within bounds and between two humps, else (fixed, False)."""
    best = otsu(values)
    if bounds[0] <= best <= bounds[1] and two_humps(values, best):
        return best, True
    return fixed, False


def two_humps(values: NDArray[np.floating], threshold: float) -> bool:
    """Whether the histogram of the finite values has a hump on either side of a threshold, with a valley between."""
    import numpy as np

    valid = values[np.isfinite(values)]
    if not valid.size or not np.isfinite(threshold):
        return False
    low, high = (float(v) for v in np.percentile(valid, (0.1, 99.9)))
    if not low < threshold < high:
        return False
    counts, edges = np.histogram(valid, COARSE, (low, high))
    smooth = np.convolve(counts, (1, 2, 3, 2, 1), mode="same") / 9
    split = int(np.clip(np.searchsorted(edges, threshold) - 1, 1, COARSE - 2))
    high_enough = smooth > SMALLEST * smooth.max()
    return any(
        smooth[i : j + 1].min() < VALLEY * min(smooth[i], smooth[j])
        for i in np.flatnonzero(high_enough[:split])
        for j in split + np.flatnonzero(high_enough[split:])
    )
