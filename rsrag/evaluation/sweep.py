"""A run for every point of a grid over lanes, fusion, alpha and k. What was searched for one is not searched again."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .outcome import Outcome, assess, table_rows, write
from .runner import Bench, Progress, no_progress, run
from .scoring import Options
from .setup import Setup

MOST_POINTS = 500


def grid(
    setup: Setup,
    lanes: Sequence[tuple[str, ...] | None],
    fusions: Sequence[str],
    alphas: Sequence[float],
    ks: Sequence[int],
) -> list[Setup]:
    """Every different setup: alpha varies for `weighted` only, and without lanes there is nothing to vary.

    Raises `UsageError` for an alpha outside 0..1, and for more points than anybody would look at.
    """
    found: dict[str, Setup] = {}
    if bad := [a for a in alphas if not 0 <= a <= 1]:
        raise UsageError(f"alpha is {bad[0]:g}; it must lie in 0..1.")
    for those, fusion, alpha, k in itertools.product(lanes, fusions, alphas, ks):
        point = replace(setup, lanes=those, fusion=fusion, alpha=alpha, k=k)
        found.setdefault(slug(point), point)
    if len(found) > MOST_POINTS:
        raise UsageError(f"the grid has {len(found):,} points.", f"Leave some out; {MOST_POINTS} are the most.")
    return list(found.values())


def slug(setup: Setup) -> str:
    """A folder's name for a point: "all-weighted-alpha0.7-k3"."""
    said = [
        str(value) if key in ("lanes", "fusion") else f"{key}{value:g}"
        for key, value in setup.point.items()
        if not isinstance(value, str) or key in ("lanes", "fusion")
    ]
    return re.sub(r"[^\w.+-]", "_", "-".join(said))


def sweep(
    bench: Bench,
    setups: Sequence[Setup],
    out: Path,
    options: Options | None = None,
    progress: Progress = no_progress,
    finished: Callable[[Setup, Outcome], None] = lambda setup, outcome: None,
) -> list[dict[str, Any]]:
    """Run and score every setup below `out`, each in a folder of its own that can go on like any run; the rows of the
    table. `finished` is told after each point."""
    rows: list[dict[str, Any]] = []
    for number, setup in enumerate(setups, 1):

        def show(done: int, total: int | None, what: str, number: int = number) -> None:
            progress(done, total, f"{what}, point {number} of {len(setups)}")

        folder = out / slug(setup)
        run(bench, setup, folder, show)
        outcome = assess(folder, options, resamples=2000)
        write(outcome, bench.chosen.root)
        rows += table_rows(outcome)
        finished(setup, outcome)
    return rows
