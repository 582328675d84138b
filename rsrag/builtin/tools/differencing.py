"""What changed between two pictures on one grid: differences beyond a threshold, and land cover from and to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Areas = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SMALLEST_CHANGE: Final = 0.15
"""Of a normalised index. Below lie what atmosphere, season and viewing angle do to ground that stays as it is; dNBR
counts as burnt from 0.1 on (Key and Benson 2006), and NDVI differences of 0.1 to 0.2 are common choices."""
DEVIATIONS: Final = 3.0  # as in image differencing since Singh (1989), here of a robust spread
MOST_NOISE: Final = 2.0  # times the least change: where half the ground changed, the spread is no noise any more
STABLE: Final = 0.75
"""Of the ground must keep its cover for the median of a difference to be what light and stretching did to all of it."""
MOVED: Final = 0.1  # by what part thresholds are moved for the ranges
FROM_ZERO: Final = 0.05  # a tenth of zero would be no move at all

WATER, VEGETATION, BARE = 0, 1, 2
WATER_FROM: Final = 0.0  # (M)NDWI: McFeeters (1996), Xu (2006)
VEGETATION_FROM: Final = 0.2  # NDVI; below lies bare soil (Sobrino and others 2004)
# Where values are stretched for display, the thresholds are looked for between these bounds.
WATER_BOUNDS: Final = (-0.3, 0.4)
VEGETATION_BOUNDS: Final = (0.2, 0.6)

GROUPS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "vegetation to bare or built-up": ((VEGETATION, BARE),),
    "bare or built-up to vegetation": ((BARE, VEGETATION),),
    "water to land": ((WATER, VEGETATION), (WATER, BARE)),
    "land to water": ((VEGETATION, WATER), (BARE, WATER)),
}
SAMPLED: Final = 700  # pixels a side are looked at for thresholds

# Of which groups to tell, by what was asked for.
FOCUS: Final[Mapping[str, tuple[str, ...]]] = {
    "": tuple(GROUPS),
    "vegetation": ("vegetation to bare or built-up", "bare or built-up to vegetation"),
    "water": ("water to land", "land to water"),
}


@dataclass(frozen=True, slots=True)
class Extent:
    """An area (square metres, or pixels where their size is unknown), and its range as thresholds move by a tenth."""

    area: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an index rose and fell by more than `threshold`. `median` is that of the difference, `offset` what of it
    was taken off first.

    `sign` is int8 (H, W): 1 gain, -1 loss, 0 neither (or no data). `valid` has data on both dates, `seen` is its area.
    """

    threshold: float
    offset: float
    median: float
    sign: NDArray[np.int8]
    valid: Mask
    gain: Extent
    loss: Extent
    seen: float


def difference(
    before: Floats, after: Floats, areas: Areas, threshold: float | None = None, centred: bool = False,
    floor: float = SMALLEST_CHANGE, smallest: int = 1,
) -> Difference:  # fmt: skip
    """After minus before, (H, W) each, NaN as gaps; `areas` of each pixel.

    Unless given, the threshold is three robust standard deviations (1.4826 times the median distance from the median),
    but at least `floor` and at most twice that. With `centred` the median of the difference is taken off first: two
    dates stretched for display each in its own way differ by something everywhere, and most ground does not change.
    Patches of fewer than `smallest` pixels (neighbours in 8 directions) are left out.
    """
    import numpy as np

    valid = np.isfinite(before) & np.isfinite(after)
    change = np.where(valid, after - before, 0).astype(np.float32)
    known = change[valid]
    middle = float(np.median(known)) if known.size else 0.0
    spread = 1.4826 * float(np.median(np.abs(known - middle))) if known.size else 0.0
    offset = middle if centred else 0.0
    level = threshold if threshold is not None else min(max(floor, DEVIATIONS * spread), MOST_NOISE * floor)

    def beyond(side: int, by: float) -> Mask:
        return sieved(valid & (side * (change - offset) > by), smallest)

    def extent(side: int) -> Extent:
        low, at, high = (float(areas[beyond(side, level * by)].sum()) for by in (1 + MOVED, 1, 1 - MOVED))
        return Extent(at, low, high)

    sign = beyond(1, level).astype(np.int8) - beyond(-1, level).astype(np.int8)
    return Difference(level, offset, middle, sign, valid, extent(1), extent(-1), float(areas[valid].sum()))


def sieved(mask: Mask, smallest: int) -> Mask:
    """The mask without patches of fewer than `smallest` pixels."""
    if smallest <= 1:
        return mask
    import numpy as np
    from rasterio.features import sieve

    # Holes are kept as they are: only what is set may be dropped.
    return np.asarray(sieve(mask.astype(np.uint8), smallest, connectivity=8).astype(bool) & mask)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is water, and what of the rest is vegetation; each the least value of its index."""

    water: float = WATER_FROM
    vegetation: float = VEGETATION_FROM

    def moved(self, water: int, vegetation: int) -> Thresholds:
        """Each up (1) or down (-1) by a tenth, from zero by 0.05."""
        by = [MOVED * abs(level) or FROM_ZERO for level in (self.water, self.vegetation)]
        return Thresholds(self.water + water * by[0], self.vegetation + vegetation * by[1])


def found_thresholds(water: Sequence[Floats], vegetation: Sequence[Floats]) -> Thresholds:
    """Thresholds for values stretched for display, from all dates together (Otsu 1979) within bounds."""
    import numpy as np

    step = max(1, max(water[0].shape) // SAMPLED)
    water = [image[::step, ::step] for image in water]
    vegetation = [image[::step, ::step] for image in vegetation]
    level = otsu(np.concatenate([w[np.isfinite(w)] for w in water]), WATER_BOUNDS)
    green = np.concatenate([v[np.isfinite(v) & (w <= level)] for w, v in zip(water, vegetation, strict=True)])
    return Thresholds(level, otsu(green, VEGETATION_BOUNDS))


def otsu(values: Floats, bounds: tuple[float, float]) -> float:
    """The level between bounds that parts values into two groups with the most variance between them (Otsu 1979).

    In an empty stretch between two groups it is the middle of it; without values the middle of the bounds.
    """
    import numpy as np

    inside = values[(values >= -1) & (values <= 1)]
    counts, edges = np.histogram(inside, bins=1000, range=(-1.0, 1.0))
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    with np.errstate(all="ignore"):
        between = (sums[-1] * below / max(below[-1], 1) - sums) ** 2 / (below * (below[-1] - below))
    here = (centres >= bounds[0]) & (centres <= bounds[1]) & np.isfinite(between)
    if not here.any():
        return sum(bounds) / 2
    best = centres[here][between[here] >= between[here].max() * (1 - 1e-9)]
    return float(best[0] + best[-1]) / 2


def classes(water: Floats, vegetation: Floats, at: Thresholds) -> NDArray[np.int8]:
    """int8 (H, W): WATER, VEGETATION or BARE; -1 where either index has no value."""
    import numpy as np

    found = np.where(water > at.water, WATER, np.where(vegetation > at.vegetation, VEGETATION, BARE))
    return np.where(np.isfinite(water) & np.isfinite(vegetation), found, -1).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Transition:
    """Land cover from and to. `groups` are areas by name, those of GROUPS that were asked for, `changed` is of all of
    them together; `stable` is the share of the ground (0..1) that keeps its cover, whatever was asked for;
    `map` is int8 (H, W): a group's number in GROUPS, -1 no data, len(GROUPS) unchanged."""

    thresholds: Thresholds
    groups: Mapping[str, Extent]
    changed: Extent
    seen: float
    stable: float
    map: NDArray[np.int8]


def transition(
    water: Sequence[Floats],
    vegetation: Sequence[Floats],
    areas: Areas,
    at: Thresholds,
    smallest: int = 1,
    wanted: Sequence[str] = tuple(GROUPS),
) -> Transition:
    """Land cover of the first of two dates against that of the second, by a water index and NDVI of each."""

    def grouped(levels: Thresholds) -> NDArray[np.int8]:
        before, after = (classes(w, v, levels) for w, v in zip(water, vegetation, strict=True))
        return _groups(before, after, smallest, wanted)

    made = grouped(at)
    varied = [grouped(at.moved(w, v)) for w, v in ((-1, 0), (1, 0), (0, -1), (0, 1))]

    def extent(numbers: Sequence[int]) -> Extent:
        import numpy as np

        sizes = [float(areas[np.isin(m, numbers)].sum()) for m in (made, *varied)]
        return Extent(sizes[0], min(sizes), max(sizes))

    groups = {name: extent([number]) for number, name in enumerate(GROUPS) if name in wanted}
    before, after = (classes(w, v, at) for w, v in zip(water, vegetation, strict=True))
    seen, same = float(areas[made >= 0].sum()), float(areas[(made >= 0) & (before == after)].sum())
    return Transition(at, groups, extent(range(len(GROUPS))), seen, same / seen if seen else 1.0, made)


def _groups(
    before: NDArray[np.int8], after: NDArray[np.int8], smallest: int, wanted: Sequence[str]
) -> NDArray[np.int8]:
    import numpy as np

    found = np.full(before.shape, len(GROUPS), np.int8)
    for number, (name, pairs) in enumerate(GROUPS.items()):
        if name not in wanted:
            continue
        mask = np.logical_or.reduce([(before == a) & (after == b) for a, b in pairs])
        found[sieved(mask, smallest)] = number
    found[(before < 0) | (after < 0)] = -1
    return found
