"""How a change is told: the verdict with its range, the method, the numbers, and what to be careful about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rsrag import Quantity, Scene

from .alignment import Aligned
from .differencing import MOST_NOISE, STABLE, Difference, Extent, Transition
from .grids import SAME_SIZE
from .measures import BACKSCATTER, ELEVATION, SPEAKING, VALUE
from .registration import Shift
from .wording import capital, length, listed, share

# What else moves a value everywhere, and what else counts as change, where it is not light that is measured.
_EVERYWHERE: Final = {
    ELEVATION: "another datum or another kind of model",
    BACKSCATTER: "wetness or another angle of view",
    VALUE: "another way of measuring",
}
_WEATHER: Final = "Clouds and their shadows, the season and the water level on the day count as change."
_ALSO: Final = {
    ELEVATION: "Models with and without trees and buildings, or of different datums, differ where nothing has changed.",
    BACKSCATTER: "Wind on water, wetness, speckle and another angle of view count as change.",
    VALUE: "What the band holds is not known, so what its change means is for those who know it.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Tells of one change. `names` are those of the dates, in time; `index` is what was compared and `water` the index
    that tells water; `metric`: areas are square metres, else pixels whose size nobody knows."""

    names: Sequence[str]
    index: str
    water: str
    metric: bool

    def amount(self, area: float) -> str:
        """In hectares or pixels, to three figures: more would pretend to a precision that is not there."""
        return f"{self._number(area)} {self._unit}"

    @property
    def _unit(self) -> str:
        return "ha" if self.metric else "pixels"

    def _number(self, area: float) -> str:
        value = float(f"{area / 1e4 if self.metric else area:.3g}")
        return f"{value:,.0f}" if value >= 100 else f"{value:g}"

    def verdict(self, whole: Difference, cover: Transition | None) -> list[str]:
        """One sentence on land cover where that was compared, one on the index."""
        span = f"between {self.names[0]} and {self.names[-1]}"
        moved = self._moved(whole, whole.seen)
        return [self._cover(span, cover), f"In the same time, {moved}."] if cover else [f"{capital(span)}, {moved}."]

    def step(self, number: int, part: Difference) -> str:
        first, last = self.names[number : number + 2]
        return f"From {first} to {last}, {self._moved(part)}."

    def _cover(self, span: str, cover: Transition) -> str:
        groups = sorted(cover.groups.items(), key=lambda item: -item[1].area)
        turned = " turned" if len(groups) == 2 else ""
        parts = [f"{self._extent(extent)}{turned} from {name}" for name, extent in groups if extent.area]
        if not parts:
            return f"{capital(span)}, no change of land cover was found on the {self.amount(cover.seen)} compared."
        if len(groups) == 2:
            return f"{capital(span)}, about {listed(parts)}."
        changed = self._extent(cover.changed, cover.seen)
        return f"{capital(span)}, land cover changed on about {changed}: {listed(parts)}."

    def _moved(self, part: Difference, of: float = 0.0) -> str:
        what, by = SPEAKING.get(self.index, self.index), f"{part.threshold:.2g}"
        if not part.gain.area and not part.loss.area:
            return f"{what} changed nowhere by more than {by}"
        if not part.gain.area or not part.loss.area:
            ways = ("rose", part.gain, "fell") if part.gain.area else ("fell", part.loss, "rose")
            return f"{what} {ways[0]} by more than {by} on {self._extent(ways[1], of)} and {ways[2]} by as much nowhere"
        return (
            f"{what} fell by more than {by} on {self._extent(part.loss, of)} and rose by more than {by} on "
            f"{self._extent(part.gain, of)}"
        )

    def _extent(self, extent: Extent, of: float = 0.0) -> str:
        """As in "310 ha (280 to 350 ha, 4.2 % of the ground)"."""
        ends = self._number(extent.low), self._number(extent.high)
        ranged = f"{' to '.join(ends)} {self._unit}" if ends[0] != ends[1] else ""
        part = f"{share(extent.area / of)} of the ground" if of else ""
        inside = ", ".join(filter(None, (ranged, part)))
        return f"{self.amount(extent.area)} ({inside})" if inside else self.amount(extent.area)

    def method(self, whole: Difference, cover: Transition | None, asked: bool, floor: float, smallest: int = 1) -> str:
        noisy = "three deviations of its noise" if whole.threshold < MOST_NOISE * floor else "a cap on its noise"
        why = "as asked" if asked else noisy if whole.threshold > floor else "the least that counts"
        ranges = "the ranges come from moving each threshold by 10 % up and down"
        ranges += f"; patches of fewer than {smallest} pixels were left out" if smallest > 1 else ""
        counted = f"{capital(self.index)} counts as changed beyond {whole.threshold:.2g} ({why}), and {ranges}."
        if cover is None:
            return counted
        at = cover.thresholds
        return (
            f"A pixel counts as water where {self.water} is above {at.water:.2f}, as vegetation where NDVI is above "
            f"{at.vegetation:.2f}, else as bare or built-up; {counted}"
        )

    def values(self, whole: Difference, cover: Transition | None, grid: Aligned) -> dict[str, Quantity]:
        """The areas with their ranges, the share of the grid with data on both dates, and the largest shift."""
        unit, per = self._unit, 1e4 if self.metric else 1.0
        extents = {f"{self.index} loss": whole.loss, f"{self.index} gain": whole.gain}
        if cover:
            extents = {"land cover changed": cover.changed, **cover.groups, **extents}
        values = {}
        for name, extent in extents.items():
            values[name] = Quantity(round(extent.area / per, 2), unit)
            values[f"{name}, lowest"] = Quantity(round(extent.low / per, 2), unit)
            values[f"{name}, highest"] = Quantity(round(extent.high / per, 2), unit)
        largest = max((shift.pixels for shift in grid.shifts if shift.reliable), default=0.0)
        values["threshold"] = Quantity(round(whole.threshold, 4))
        values["compared area"] = Quantity(round(whole.seen / per, 2), unit)
        values["valid share"] = Quantity(round(100 * float(whole.valid.mean()), 2), "%")
        values["largest shift"] = Quantity(round(largest, 2), "pixels")
        return values

    def caveats(
        self, scenes: Sequence[Scene], grid: Aligned, whole: Difference, cover: Transition | None, dated: bool
    ) -> list[str]:
        """What the numbers do not tell. `scenes` are the originals."""
        said = list(grid.notes)
        if any(scene.stretched for scene in grid.scenes):
            estimates = "The values are stretched to 8 bits for display, not reflectance, so the areas are estimates"
            offset = f"a difference of {whole.offset:+.2g} that all ground shows was taken off {self.index} first"
            levels = "the thresholds of land cover were found from the values themselves"
            moved = f"more than {1 - STABLE:.0%} of the ground changed, so {self.index} was compared as it is".replace(
                "%", " %"
            )
            parts = (
                (offset, abs(whole.offset) >= 0.005),
                (moved, cover is not None and cover.stable < STABLE),
                (levels, cover is not None),
            )
            extra = [text for text, told in parts if told]
            said.append(f"{estimates}{'; ' if extra else ''}{listed(extra)}.")
        elif abs(whole.median) > whole.threshold / 3:
            said.append(
                f"{capital(self.index)} differs by {whole.median:+.2g} nearly everywhere, which "
                f"{_EVERYWHERE.get(self.index, 'season, haze or light')} may have done."
            )
        if not dated:
            said.append("Not all dates are known, so the scenes are compared in the order in which they were given.")
        elif any(scene.acquired_precision == "year" for scene in scenes):
            said.append("Of some scenes only the year is known: what differs may be the season.")
        if cover or self.index == "NDVI":
            said.append(
                "Dense regrowth, crops and forest look alike here: a forest that was cleared and grew over counts as "
                "unchanged."
            )
        if self.index == "NDBI":
            said.append("Bare soil and dry fields raise NDBI as buildings do, so what rose need not be built-up.")
        said.append(_ALSO.get(self.index, _WEATHER))
        if grid.pixel_m and any(scene.gsd_m and scene.gsd_m < grid.pixel_m / SAME_SIZE for scene in scenes):
            said.append(f"Areas were counted in cells of {length(grid.pixel_m)}, larger than the finest pixels.")
        if not self.metric:
            said.append("Nothing tells how large a pixel is on the ground, so areas are counted in pixels.")
        return said


def told_alignment(grid: Aligned, names: Sequence[str]) -> str:
    """How scenes were brought together, and what shift was found."""
    cells = f"cells of {length(grid.pixel_m)}" if grid.pixel_m else "the scenes' own pixels"
    together = f"brought onto one grid with {cells}" if grid.resampled else "on one grid already"
    found = [f"{name} {_shifted(shift, grid)}" for name, shift in zip(names[1:], grid.shifts[1:], strict=True)]
    return f"The scenes were {together}; against {names[0]}, by phase correlation, {listed(found)}."


def _shifted(shift: Shift, grid: Aligned) -> str:
    if not shift.sharpness:
        return "shows too little for a shift to be measured"
    if shift.pixels < 0.05 and shift.reliable:
        return "is not shifted"
    metres = f" ({length(shift.pixels * grid.pixel_m)})" if grid.pixel_m else ""
    by = f"dx {shift.dx:+.1f}, dy {shift.dy:+.1f} pixels{metres}"
    if shift.corrected:
        return f"was shifted by {by}, which was corrected"
    if shift.reliable:
        return f"is shifted by {by}, too little to correct"
    return f"may be shifted by {by}, which is too uncertain to correct"
