"""The order in time of several scenes, and dates as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rsrag import Scene


def in_time_order(scenes: Sequence[Scene]) -> tuple[list[Scene], bool]:
    """(the scenes, the earliest first, True); (as they were given, False) where not all dates are known."""
    moments = [scene.acquired for scene in scenes]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(scenes):
        return list(scenes), False
    order = sorted(range(len(scenes)), key=lambda i: (known[i], i))
    return [scenes[i] for i in order], True


def decimal_year(moment: datetime, precision: str = "day") -> float:
    """A moment as a year with a fraction: 2020-07-02 is 2020.5. Of a year alone, or a month, its middle is meant."""
    start, end = (moment.replace(year=y, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
                  for y in (moment.year, moment.year + 1))  # fmt: skip
    if precision == "year":
        return moment.year + 0.5
    within = (moment - start) / (end - start)
    return moment.year + within + (1 / 24 if precision == "month" else 0.0)
