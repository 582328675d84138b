"""An index through a stack of dates, at a place or over all the ground they share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from rsrag import Quantity, Query, Scene, ToolResult, UsageError

from .alignment import Aligned, aligned
from .asking import PAIR, general
from .dates import decimal_year, in_time_order
from .drawing import INK, PALETTE, SMALL, figure, tidy
from .ground import to_pixels
from .measures import measured, needed_roles, settled
from .trends import Trend, trend
from .wording import latitude, listed, longitude, scene_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SIDE: Final = 1024
MOST_SCENES: Final = 200
_SURELY: Final = re.compile(
    r"\btime[- ]?series\b|\b(?:trend|trajectory|evolution)s?\b"
    r"|\b(?:plot|chart|graph)\b.*\b(?:ndvi|index|dates?|years?|time)\b",
    re.IGNORECASE,
)
_MAYBE: Final = re.compile(r"\b(?:over|through) (?:the years|time)\b", re.IGNORECASE)
_TOPICS: Final = (("burn", r"\bburn\w*|\bfires?\b"), ("water", r"\b(?:water|flood\w*|wetness)\b"),
                  ("built-up", r"\b(?:built|urban)\w*"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Point:
    """One date: its name, decimal year, value, and 25th and 75th percentile where the value is a median."""

    name: str
    year: float
    value: float
    low: float
    high: float


class TimeSeries:
    """Follows a spectral index through several dates, at a place or over the whole scene."""

    name: ClassVar[str] = "time_series"

    def applies(self, query: Query) -> float:
        """0.9 for a question for a series, a trend or a plot, 0.5 for two or more scenes and "over time", else 0."""
        if not query.scenes or general(query):
            return 0.0
        if _SURELY.search(query.text):  # of one scene too: then it says what is missing
            return 0.9
        return 0.5 if len(query.scenes) > 1 and _MAYBE.search(query.text) else 0.0

    def arguments(self, query: Query) -> dict[str, object]:
        """The index and the place that the question names."""
        from rsrag.spectral.catalogue import index_in

        named, pair = index_in(query.text), PAIR.search(query.text)
        topic = next((t for t, words in _TOPICS if re.search(words, query.text, re.IGNORECASE)), "")
        found: dict[str, object] = {"index": named.name if named else topic} if named or topic else {}
        if pair:
            in_pixels = re.search(r"\b(?:pixels?|px|col(?:umn)?s?|rows?)\b", query.text, re.IGNORECASE)
            found |= {"at": [float(pair[1]), float(pair[2])], "unit": "pixel" if in_pixels else "auto"}
        return found

    def __call__(
        self,
        scenes: Sequence[Scene],
        pictures: Path,
        index: str = "",
        at: list[float] = [],  # noqa: B006  never changed; a schema wants a default
        unit: Literal["auto", "pixel", "degree"] = "auto",
    ) -> ToolResult:
        """Plot a spectral index over the dates of the scenes, and tell its trend when four or more are known.

        At a place the value is the median of 3 x 3 cells around it; without one it is the median of the ground that all
        scenes cover. Values: one per date, and the slope per year. Raises `UsageError` when fewer than two dates are
        known, or the place lies outside.

        Args:
            index: Name of a spectral index, or vegetation, water, burn or built-up; "" for NDVI.
            at: A place [x, y]: longitude and latitude in degrees, or column and row of the first scene; empty for all.
            unit: What `at` is in; auto takes degrees where that lies inside the scenes.
        """
        dated = [scene for scene in scenes if scene.acquired]
        if len(dated) < 2:
            raise UsageError(
                f"a time series needs at least two dates, and {len(dated) or 'none'} of {len(scenes)} scenes has one.",
                'Put the date into the file name (2020-07-15) or a sidecar ({"acquired": "2020-07-15"}).',
            )
        if len(dated) > MOST_SCENES:
            raise UsageError(f"{len(dated)} scenes are too many; at most {MOST_SCENES} are followed at once.")
        ordered, _ = in_time_order(dated)
        names, chosen = scene_names(ordered), settled(index, ordered)
        side = MAX_SIDE if len(ordered) <= 20 else MAX_SIDE // 2  # all dates are held at once
        grid = aligned(ordered, max_side=side, roles=needed_roles(chosen, ordered))
        where, part = _part(grid, scenes[0], at, unit)
        points = _points(names, ordered, [image[part] for image in measured(chosen, grid.scenes)])
        known = [point for point in points if point.value == point.value]
        if len(known) < 2:
            raise UsageError(f"{where} has data on {len(known)} of {len(points)} dates.", "Choose another place.")
        line = trend([p.year for p in known], [p.value for p in known])
        first, last = known[0], known[-1]
        change = last.value - first.value
        moved = "rose" if change > 0 else "fell"
        verdict = f"{moved} from {first.value:.2f} in {first.name} to {last.value:.2f} in {last.name}"
        if abs(change) < 0.005:
            verdict = f"was {first.value:.2f} in {first.name} and in {last.name} alike"
        text = [f"{chosen} {where} {verdict}, over {len(known)} dates.", _course(chosen, known)]
        if line:
            text.append(_told(chosen, line))
        text.append(_method(at, grid))
        values = {f"{chosen} {p.name}": Quantity(round(p.value, 4)) for p in known}
        if line:
            values["trend"] = Quantity(line.slope, "per year")
            values["trend uncertainty (95 %)"] = Quantity(line.margin, "per year")
        picture = _plot(pictures, chosen, where, known, line, spread=not at)
        return ToolResult(
            " ".join(text), values, (picture,), caveats=tuple(_caveats(scenes, dated, points, known, grid))
        )


def _part(grid: Aligned, first: Scene, at: Sequence[float], unit: str) -> tuple[str, tuple[slice, slice]]:
    """(where, in words; rows and columns of the grid): 3 x 3 cells around a place, or all."""
    if not at:
        return "over all shared ground", (slice(None), slice(None))
    if len(at) != 2:
        raise UsageError(f"a place is two numbers, and {len(at)} came.", "Give longitude,latitude or column,row.")
    x, y = float(at[0]), float(at[1])
    height, width = grid.shape
    if unit != "pixel":
        cell = to_pixels(grid.scenes[0], x, y)
        if cell and 0 <= cell[0] < width and 0 <= cell[1] < height:
            return f"at {latitude(y, 4)}, {longitude(x, 4)}", _around(*cell)
        swapped = to_pixels(grid.scenes[0], y, x)
        if swapped and 0 <= swapped[0] < width and 0 <= swapped[1] < height:
            raise UsageError(
                f"{x:g},{y:g} lies outside the scenes.", "The order is longitude, latitude; they look swapped."
            )
        if unit == "degree":
            raise UsageError(f"longitude {x:g}, latitude {y:g} lies outside the ground that the scenes share.")
    if not (0 <= x < first.width and 0 <= y < first.height):
        raise UsageError(
            f"{x:g},{y:g} is neither a place in the scenes nor a pixel of the first one "
            f"({first.width} x {first.height}).",
            "Give longitude,latitude in degrees, or column,row in pixels.",
        )
    cell = _cell_of_pixel(grid, first, x, y)
    if cell is None or not (0 <= cell[0] < width and 0 <= cell[1] < height):
        raise UsageError(f"pixel {x:g},{y:g} lies outside the ground that all scenes cover.", "Choose another one.")
    return f"at pixel {x:g},{y:g}", _around(*cell)


def _cell_of_pixel(grid: Aligned, first: Scene, x: float, y: float) -> tuple[float, float] | None:
    import numpy as np

    from .ground import to_degrees

    place = to_degrees(first, np.array([x + 0.5]), np.array([y + 0.5]))
    if place is not None and grid.scenes[0].crs:
        return to_pixels(grid.scenes[0], float(place[0, 0]), float(place[1, 0]))
    height, width = grid.shape  # pixel by pixel the same ground
    return (x + 0.5) * width / first.width, (y + 0.5) * height / first.height


def _around(column: float, row: float) -> tuple[slice, slice]:
    x, y = int(column), int(row)
    return slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2)


def _points(names: Sequence[str], scenes: Sequence[Scene], parts: Sequence[Any]) -> list[_Point]:
    import numpy as np

    points = []
    for name, scene, part in zip(names, scenes, parts, strict=True):
        known = part[np.isfinite(part)]
        low, middle, high = np.percentile(known, (25, 50, 75)) if known.size else (np.nan,) * 3
        assert scene.acquired is not None
        year = decimal_year(scene.acquired, scene.acquired_precision)
        points.append(_Point(name, year, float(middle), float(low), float(high)))
    return points


def _course(index: str, known: Sequence[_Point]) -> str:
    lowest, highest = min(known, key=lambda p: p.value), max(known, key=lambda p: p.value)
    if len(known) > 12:
        ends = f"lowest in {lowest.name} ({lowest.value:.2f}) and highest in {highest.name} ({highest.value:.2f})"
        return f"{index} was {ends}."
    return f"The values of {index} are {listed([f'{p.value:.2f} in {p.name}' for p in known])}."


def _told(index: str, line: Trend) -> str:
    sure = "differs from zero" if abs(line.slope) > line.margin else "cannot be told from no trend"
    return (
        f"The trend of {index} is {line.slope:+.2g} ± {line.margin:.1g} per year (a line by least squares, 95 % sure), "
        f"which {sure}."
    )


def _method(at: Sequence[float], grid: Aligned) -> str:
    cells = "the 3 x 3 cells around the place" if at else "all cells with data"
    corrected = sum(shift.corrected for shift in grid.shifts)
    moved = f", after {corrected} of them were moved to fit the first" if corrected else ""
    return f"Each value is the median of {cells} on one grid for all dates{moved}."


def _caveats(
    scenes: Sequence[Scene], dated: Sequence[Scene], points: Sequence[_Point], known: Sequence[_Point], grid: Aligned
) -> list[str]:
    said = list(grid.notes)
    if len(dated) < len(scenes):
        said.append(f"{len(scenes) - len(dated)} of {len(scenes)} scenes have no date and were left out.")
    if len(known) < len(points):
        said.append(f"There is no data here on {listed([p.name for p in points if p not in known][:6])}.")
    if len(known) < 4:
        said.append("A trend is told from four dates on.")
    if any(scene.acquired_precision == "year" for scene in dated):
        said.append(
            "Of some scenes only the year is known: they stand in its middle, and what differs may be the season."
        )
    if any(scene.stretched for scene in grid.scenes):
        said.append("The values are stretched for display, each date in its own way: small differences mean nothing.")
    said.append("Clouds and haze are not removed.")
    return said


def _plot(pictures: Path, index: str, where: str, known: Sequence[_Point], line: Trend | None, spread: bool) -> str:
    def draw(sheet: Figure) -> None:
        axes = sheet.add_subplot()
        years, values = [p.year for p in known], [p.value for p in known]
        if spread:
            ends = [[p.value - p.low for p in known], [p.high - p.value for p in known]]
            axes.errorbar(years, values, yerr=ends, fmt="none", ecolor=PALETTE[4], elinewidth=1.2, capsize=2.5,
                          label="middle half of the cells")  # fmt: skip
        axes.plot(years, values, "o-", color=PALETTE[0], markersize=5, linewidth=1.2, label=index)
        if line:
            axes.plot([years[0], years[-1]], [line.at(years[0]), line.at(years[-1])], "--", color=PALETTE[1],
                      linewidth=1.2, label=f"trend {line.slope:+.2g} ± {line.margin:.1g} per year")  # fmt: skip
        if len(known) <= 12:
            axes.set_xticks(years, [p.name for p in known], rotation=0 if len(known) <= 6 else 45)
        tidy(axes, f"{index} {where}", "", index)
        axes.margins(x=0.08, y=0.15)
        if spread or line:
            sheet.legend(loc="outside lower center", ncols=3, fontsize=SMALL, frameon=False, labelcolor=INK)

    return figure(pictures, f"series-{index}", (6.4, 3.4), draw)
