"""What a metric says about a set of items, with what a bootstrap needs to say it about a resampled set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Combine = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A metric's `value` over a set and each item's own value, NaN where the metric does not apply to the item.

    Most metrics are the mean of `items`. One that is not (corpus BLEU, macro F1) also gives `statistics`, (n, k)
    numbers per item, and `combine`, which turns their means over any resampled set, (b, k), into b values.
    """

    value: float
    items: tuple[float, ...]
    statistics: NDArray[np.float64] | None = None
    combine: Combine | None = None


def spread(score: Score, places: Sequence[int], n: int) -> Score:
    """A score over some of n items, those at `places`, as one over all of them: it does not apply to the rest."""
    import numpy as np

    if len(places) == n or not score.items:
        return score
    items = np.full(n, math.nan)
    items[list(places)] = score.items
    statistics = None
    if score.statistics is not None:
        statistics = np.zeros((n, score.statistics.shape[1]))
        statistics[list(places)] = score.statistics
    return Score(score.value, tuple(items.tolist()), statistics, score.combine)


def mean(items: Sequence[float]) -> Score:
    """The mean over the items that the metric applies to; NaN when it applies to none."""
    kept = [item for item in items if not math.isnan(item)]
    return Score(math.fsum(kept) / len(kept) if kept else math.nan, tuple(map(float, items)))
