"""The picture of a change: the first date, the last date, and where what changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .alignment import Aligned
from .change_text import Report
from .differencing import GROUPS, Difference, Transition
from .drawing import GAP, PALETTE, figure, grid, map_legend, scale_bar, sheet_size, show
from .views import faded, spelt, view_roles, views

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_PIXELS: Final = 1100  # a side: more than a screen shows
_COLOURS: Final = dict(zip(GROUPS, (PALETTE[1], PALETTE[2], PALETTE[6], PALETTE[0]), strict=True))
_LOSS, _GAIN = PALETTE[1], PALETTE[0]


def change_map(pictures: Path, on_grid: Aligned, report: Report, whole: Difference, cover: Transition | None) -> str:
    """Write three panels with a legend of areas; returns the file's path."""
    ends = (on_grid.scenes[0], on_grid.scenes[-1])
    roles = view_roles(ends)
    step = max(1, -(-max(on_grid.shape) // MOST_PIXELS))
    first, last = views(ends, roles, step)
    changed, entries = _coloured(faded(last), report, whole, cover, step)
    what = "Land cover" if cover else report.index
    bands = f" ({spelt(roles)})" if roles else ""
    titles = (f"{report.names[0]}{bands}", f"{report.names[-1]}{bands}", f"{what}: what changed")
    panels = list(zip(titles, (first, last, changed), strict=True))
    columns = 2 if len(entries) > 3 else 3

    def draw(sheet: Figure) -> None:
        for number, (axes, (title, image)) in enumerate(zip(grid(sheet, 3), panels, strict=True)):
            show(axes, image, title)
            if number == 0 and on_grid.pixel_m:
                scale_bar(axes, on_grid.pixel_m * step, image.shape[1])
        map_legend(sheet, entries, columns)

    size = sheet_size(
        3, on_grid.shape[1] / on_grid.shape[0], panel=4.2, extra=0.15 + 0.2 * math.ceil(len(entries) / columns)
    )
    return figure(pictures, f"change-{report.names[0]}-{report.names[-1]}", size, draw)


def _coloured(
    base: NDArray[np.uint8], report: Report, whole: Difference, cover: Transition | None, step: int
) -> tuple[NDArray[np.uint8], Sequence[tuple[str, str]]]:
    """The pale base with changes in colour, and the legend."""
    if cover:
        masks = [(f"{name}: {report.amount(cover.groups[name].area)}", _COLOURS[name], cover.map == number)
                 for number, name in enumerate(GROUPS) if name in cover.groups]  # fmt: skip
        gaps = cover.map < 0
    else:
        masks = [
            (f"{report.index} fell: {report.amount(whole.loss.area)}", _LOSS, whole.sign < 0),
            (f"{report.index} rose: {report.amount(whole.gain.area)}", _GAIN, whole.sign > 0),
        ]
        gaps = ~whole.valid
    for _, colour, mask in [*masks, ("", GAP, gaps)]:
        base[mask[::step, ::step]] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    entries = [(label, colour) for label, colour, _ in masks]
    return base, [*entries, ("no data", GAP)] if gaps.any() else entries
