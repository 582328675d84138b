"""Whether one system is better than another on the same questions: paired bootstrap over the questions.

Each resample draws the questions with replacement and scores both systems on that draw; the interval holds the middle
95 % of the differences (percentile method). Koehn: Statistical significance tests for machine translation
evaluation, EMNLP 2004. CIDEr's document frequencies stay those of the whole set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .metrics.score import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES: Final = 10_000
_CELLS: Final = 4_000_000  # of one block of draws, so that memory stays small


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A: the values, their difference with its 95 % interval, and the two-sided p of no difference."""

    a: float
    b: float
    low: float
    high: float
    p: float
    n: int

    @property
    def value(self) -> float:
        return self.b - self.a

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired(
    pairs: Mapping[str, tuple[Score, Score]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Compare (a, b) of each metric over the same items in the same order, all on the same draws.

    Raises `ValueError` when the numbers of items differ, or are 0.
    """
    import numpy as np

    sizes = {len(score.items) for pair in pairs.values() for score in pair}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError("the two do not have the same items")
    n = sizes.pop()
    scores = [score for pair in pairs.values() for score in pair]
    columns = [_columns(score) for score in scores]
    ends = np.cumsum([c.shape[1] for c in columns])[:-1]
    stacked = np.concatenate(columns, axis=1)
    means = np.concatenate([draws @ stacked / n for draws in _draws(np.random.default_rng(seed), n, resamples)])
    drawn = [_combined(score, part) for score, part in zip(scores, np.split(means, ends, axis=1), strict=True)]
    return {
        name: _difference(*pair, drawn[2 * i + 1] - drawn[2 * i], n) for i, (name, pair) in enumerate(pairs.items())
    }


def intervals(
    scores: Mapping[str, Score], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each score over its items; (NaN, NaN) for one that has none, or applies to none."""
    import numpy as np

    found = dict.fromkeys(scores, (math.nan, math.nan))
    given = {name: score for name, score in scores.items() if score.items}
    if not given:
        return found
    columns = {name: _columns(score) for name, score in given.items()}
    n = len(next(iter(given.values())).items)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in given}
    for draws in _draws(np.random.default_rng(seed), n, resamples):
        for name, score in given.items():
            drawn[name].append(_combined(score, draws @ columns[name] / n))
    for name, blocks in drawn.items():
        values = np.concatenate(blocks)
        if len(kept := values[~np.isnan(values)]):
            low, high = np.percentile(kept, (2.5, 97.5))
            found[name] = (float(low), float(high))
    return found


def _difference(a: Score, b: Score, found: NDArray[np.float64], n: int) -> Difference:
    import numpy as np

    found = found[~np.isnan(found)]  # a draw without an item that the metric applies to
    if not len(found):
        return Difference(a.value, b.value, math.nan, math.nan, math.nan, n)
    low, high = np.percentile(found, (2.5, 97.5))
    tail = int(min((found <= 0).sum(), (found >= 0).sum()))
    return Difference(a.value, b.value, float(low), float(high), min(1.0, 2 * (tail + 1) / (len(found) + 1)), n)


def _draws(rng: np.random.Generator, n: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """How often each item is in each resample: blocks of (b, n)."""
    import numpy as np

    block = max(1, _CELLS // n)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        picked = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(picked.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _columns(score: Score) -> NDArray[np.float64]:
    """(n, k) numbers per item, whose means are all that `_combined` needs."""
    import numpy as np

    if score.statistics is not None:
        return score.statistics
    items = np.array(score.items)
    applies = ~np.isnan(items)
    return np.stack([np.where(applies, items, 0), applies], 1)


def _combined(score: Score, means: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    if score.combine is not None:
        return score.combine(means)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(means[:, 0] / means[:, 1])
