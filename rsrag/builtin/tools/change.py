"""What changed between two or more dates, on how many hectares, and where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rsrag import Query, Scene, SceneError, ToolResult, UsageError

from .alignment import MAX_SIDE, aligned
from .asking import general
from .change_map import change_map
from .change_text import Report, told_alignment
from .dates import in_time_order
from .differencing import (
    FOCUS,
    GROUPS,
    SMALLEST_CHANGE,
    STABLE,
    Difference,
    Thresholds,
    difference,
    found_thresholds,
    transition,
)
from .ground import pixel_areas
from .measures import measured, needed_roles, possible, settled, water_index
from .patches import patches
from .spectra import bands_used
from .views import view_roles
from .wording import scene_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_ASKED: Final = re.compile(
    r"\b(?:chang(?:e[ds]?|ing)|differen(?:ce|ces|t)|differ(?:s|ed)?|deforest\w*|reforest\w*|afforest\w*|regr[eo]w\w*"
    r"|(?:gain|loss)(?:es)?|lost|gained|cleared|clearing|shr[aiu]nk\w*|grow[ns]?|grew|growth|expan\w+|spread|sprawl"
    r"|declin\w*|increas\w*|decreas\w*|retreat\w*|advanc\w*|disappear\w*|appear(?:ed)?|new(?:ly)? built|erod\w*|erosion"
    r"|evol\w+|develop(?:ed|ment)?|migrat\w*|moved?|become|became|happened|(?:turn\w*|convert\w*) (?:in)?to"
    r"|(?:green|brown|dri|wett|wid|narrow)er"
    r"|(?:more|less|fewer|larger|bigger|smaller|higher|lower|denser)\b[^?]*\b(?:than before|now|in [12]\d{3}))\b",
    re.IGNORECASE,
)
_SURELY: Final = re.compile(
    r"\bchang(?:e[ds]?|ing)\b|\bdeforest\w*|\b(?:loss|lost|gain(?:ed)?|grew|grown|shr[aiu]nk\w*|expan\w+|increas\w*"
    r"|decreas\w*|cleared|retreat\w*)\b.*\b(?:between|since|from|over|until|hectares?|ha|area|how (?:much|many))\b"
    r"|\b(?:between|since)\b.*\b(?:loss|lost|gain(?:ed)?|grew|grown?|shr[aiu]nk\w*|expan\w+|increas\w*|decreas\w*)\b"
    r"|\b(?:turn(?:ed|s)?|convert(?:ed)?) (?:in)?to\b"
    r"|\bdiffer(?:s|ence|ences|ent)?\b.*\b(?:these|them|two|both|scenes?|images?|dates?|years?|pictures?|[12]\d{3})\b",
    re.IGNORECASE,
)
_TOPICS: Final = (
    ("burn", r"\b(?:burn\w*|fires?|wildfires?|scorched)\b"),
    ("built-up", r"\b(?:built[- ]?up|urban\w*|cit(?:y|ies)|towns?|buildings?|settlements?|sprawl)\b"),
    ("water", r"\b(?:water|flood\w*|lakes?|rivers?|reservoirs?|shores?|shorelines?|inundat\w*)\b"),
    ("vegetation", r"\b(?:vegetation|forests?|deforest\w*|trees?|green(?:er|ness|ing)?|crops?|grass\w*)\b"),
)
# "Which of these is the greenest?" is answered scene by scene.
_ONE_OF_THEM: Final = re.compile(
    r"\b(?:which|what|any|one|most|least) (?:one\b|of\b|scene|image|picture|tile|patch)", re.IGNORECASE
)
_LAND_COVER: Final = re.compile(r"\bland[- ]?(?:cover|use)\b", re.IGNORECASE)


class Change:
    """Tells what changed between two or more dates of one place: areas, direction, a map."""

    name: ClassVar[str] = "change"

    def applies(self, query: Query) -> float:
        """0.9 for a question about change, 0.85 for two or more scenes and words that may mean it, else 0.

        A question about change of one scene is one too: then it says that the other date is missing.
        """
        if not query.scenes or general(query):
            return 0.0
        if _SURELY.search(query.text):
            return 0.9
        several = len(query.scenes) > 1 and _ASKED.search(query.text)
        return 0.0 if not several else 0.5 if _ONE_OF_THEM.search(query.text) else 0.85

    def arguments(self, query: Query) -> dict[str, object]:
        """The index or the topic that the question names."""
        from rsrag.spectral.catalogue import index_in

        named = index_in(query.text)
        if named is not None:
            return {"index": named.name}
        if _LAND_COVER.search(query.text):
            return {}
        topic = next((topic for topic, words in _TOPICS if re.search(words, query.text, re.IGNORECASE)), "")
        return {"index": topic} if topic else {}

    def __call__(
        self, scenes: Sequence[Scene], pictures: Path, index: str = "", threshold: float | None = None,
        smallest: int = 1,
    ) -> ToolResult:  # fmt: skip
        """Compare two or more dates of one place: how many hectares changed, in which direction, and where.

        The scenes are put on one grid and what is left of a shift is measured. Without `index`, or for vegetation and
        water, land cover (water, vegetation, bare or built-up) is compared where the bands allow, and an index; else
        the index alone. The picture shows the first and the last date and a map of the changes.

        Args:
            index: Name of a spectral index, or vegetation, water, burn or built-up; "" for land cover and NDVI.
            threshold: By how much the index must differ to count; by default from the noise, at least 0.15.
            smallest: Patches of fewer pixels than this do not count.
        """
        import numpy as np

        if len(scenes) < 2:
            raise UsageError("a change needs two or more scenes; one was given.", "Give the other date's image too.")
        if threshold is not None and not threshold > 0:
            raise UsageError(f"threshold {threshold:g} is not greater than 0.", "For example 0.2.")
        if smallest < 1:
            raise UsageError(f"smallest is {smallest}; a patch has 1 pixel at least.", "For example 10.")
        ordered, dated = in_time_order(scenes)
        chosen, water = settled(index, ordered), water_index(ordered)
        by_cover = index in FOCUS and bool(water) and possible("NDVI", ordered)
        used = [*needed_roles(chosen, ordered)]
        used += [*needed_roles(water, ordered), *needed_roles("NDVI", ordered)] if by_cover else ()
        roles = [*used, *view_roles(ordered)]
        side = MAX_SIDE if len(ordered) <= 3 else MAX_SIDE // 2  # all dates are held at once
        grid = aligned(ordered, max_side=side, roles=tuple(dict.fromkeys(roles)))
        areas = pixel_areas(grid.scenes[0])
        report = Report(tuple(scene_names(ordered)), chosen, water, areas is not None)
        if areas is None:
            areas = np.ones(grid.shape)
        values = measured(chosen, grid.scenes)
        stretched = any(scene.stretched for scene in grid.scenes)
        floor = _floor(values)

        def between(first: int, last: int) -> Difference:
            return difference(values[first], values[last], areas, threshold, centred, floor, smallest)

        if not (np.isfinite(values[0]) & np.isfinite(values[-1])).any():
            raise SceneError(
                f"{report.names[0]} and {report.names[-1]} share no pixel with data.", "Give scenes of the same ground."
            )
        cover = None
        if by_cover:
            ends = (grid.scenes[0], grid.scenes[-1])
            wet = measured(water, ends)
            green = [values[0], values[-1]] if chosen == "NDVI" else measured("NDVI", ends)
            levels = found_thresholds(wet, green) if stretched else Thresholds()
            cover = transition(wet, green, areas, levels, smallest, FOCUS[index])
        centred = stretched and (cover is None or cover.stable >= STABLE)
        whole = between(0, -1)
        text = report.verdict(whole, cover)
        if len(ordered) > 2:
            text += [report.step(i, between(i, i + 1)) for i in range(len(ordered) - 1)]
        text.append(report.method(whole, cover, threshold is not None, floor, smallest))
        text += [bands_used(ordered[0], used)] if used else []
        text.append(told_alignment(grid, report.names))
        if cover:
            shapes = patches(cover.map, dict(enumerate(GROUPS)), grid.scenes[0], areas)
        else:
            shapes = patches(whole.sign, {-1: f"{chosen} fell", 1: f"{chosen} rose"}, grid.scenes[0], areas)
        return ToolResult(
            " ".join(text),
            report.values(whole, cover, grid),
            (change_map(pictures, grid, report, whole, cover),),
            shapes,
            tuple(report.caveats(ordered, grid, whole, cover, dated)),
        )


def _floor(values: Sequence[Floats]) -> float:
    """The least change that counts: 0.15 of an index between -1 and 1, as much of the usual span of another."""
    import numpy as np

    known = np.concatenate([v[np.isfinite(v)] for v in values])
    if not known.size or np.abs(known).max() <= 1:
        return SMALLEST_CHANGE
    low, high = np.percentile(known, (2, 98))
    return SMALLEST_CHANGE * max(1e-6, float(high - low) / 2)
