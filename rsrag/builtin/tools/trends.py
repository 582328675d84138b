"""The trend of a few values over time, with its uncertainty. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 4  # values: a line through three says next to nothing about its own error
# 97.5 % quantiles of Student's t with 2, 3 ... 30 degrees of freedom; beyond, 2.
_T: Final = (
    *(4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120),
    *(2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line: `slope` per year, with 95 % confidence within `margin`; `level` is what it is in `middle`."""

    slope: float
    margin: float
    level: float
    middle: float

    def at(self, year: float) -> float:
        return self.level + self.slope * (year - self.middle)


def trend(years: Sequence[float], values: Sequence[float]) -> Trend | None:
    """Ordinary least squares; None for fewer than four values, or of one year alone."""
    count = len(years)
    if count < LEAST:
        return None
    middle, level = sum(years) / count, sum(values) / count
    spread = sum((year - middle) ** 2 for year in years)
    if spread == 0:
        return None
    slope = sum((y - middle) * (v - level) for y, v in zip(years, values, strict=True)) / spread
    rest = sum((v - level - slope * (y - middle)) ** 2 for y, v in zip(years, values, strict=True))
    quantile = _T[count - 4] if count - 4 < len(_T) else 2.0
    return Trend(slope, quantile * math.sqrt(rest / (count - 2) / spread), level, middle)
