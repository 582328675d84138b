"""Two or more dates of one place side by side, on one grid and stretched alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from rsrag import Quantity, Query, Scene, ToolResult, UsageError

from .alignment import aligned
from .asking import general
from .change_text import told_alignment
from .dates import in_time_order
from .drawing import side_by_side
from .views import COMPOSITES, spelt, view_roles, views
from .wording import capital, length, listed, scene_names, share

MOST_SCENES: Final = 8
MAX_SIDE: Final = 900  # pixels of one panel: more than is seen of it
_SURELY: Final = re.compile(
    r"\bside[- ]by[- ]side\b|\bnext to each other\b"
    r"|\bcompar\w+\b.*\b(?:images?|scenes?|pictures?|photos?|dates?|years?|composites?|visually)\b"
    r"|\b(?:show|draw|display|picture)\b.*\b(?:both|them|together|(?:all|the) (?:two|three|four)|all of)\b",
    re.IGNORECASE,
)
_MAYBE: Final = re.compile(r"\bcompar(?:e|ed|ing|ison)\b", re.IGNORECASE)
_COMPOSITE_WORDS: Final = (
    ("true-colour", r"\b(?:true|natural|real)[- ]?colou?rs?\b"),
    ("swir", r"\bswir\b|\bshort[- ]?wave\b"),
    ("false-colour", r"\bfalse[- ]?colou?rs?\b|\bcolou?r infra-?red\b|\bcir\b"),
)


class Compare:
    """Shows two or more dates of one place side by side."""

    name: ClassVar[str] = "compare"

    def applies(self, query: Query) -> float:
        """0.8 for two or more scenes that are to be shown or compared as pictures, 0.5 for "compare", else 0."""
        if len(query.scenes) < 2 or general(query):
            return 0.0
        return 0.8 if _SURELY.search(query.text) else 0.5 if _MAYBE.search(query.text) else 0.0

    def arguments(self, query: Query) -> dict[str, object]:
        """The composite that the question names."""
        named = (name for name, words in _COMPOSITE_WORDS if re.search(words, query.text, re.IGNORECASE))
        return {"composite": name} if (name := next(named, "")) else {}

    def __call__(self, scenes: Sequence[Scene], pictures: Path, composite: str = "") -> ToolResult:
        """Draw two to eight scenes of one place side by side, on one grid over the ground they share, stretched alike.

        Args:
            composite: true-colour, false-colour (near infrared, red, green) or swir (shortwave and near infrared, red);
                "" for the first of them that all scenes have the bands for.
        """
        if len(scenes) > MOST_SCENES:
            raise UsageError(f"{len(scenes)} scenes are too many for one picture; at most {MOST_SCENES} fit.")
        ordered, dated = in_time_order(scenes)
        names = scene_names(ordered)
        roles = view_roles(ordered, composite)
        grid = aligned(ordered, max_side=MAX_SIDE, roles=roles)
        panels = list(zip(names, views(grid.scenes, roles), strict=True))
        picture = side_by_side(pictures, "compare", panels, grid.pixel_m)
        height, width = grid.shape
        if grid.pixel_m:
            ground = f" over the {length(width * grid.pixel_m)} by {length(height * grid.pixel_m)} of ground they share"
        else:
            ground = ""
        shown = f"as {composite or _name_of(roles)} ({spelt(roles)})" if len(roles) == 3 else "in grey"
        stretched = all(scene.stretched for scene in grid.scenes)
        how = "with their values as they are" if stretched else "all stretched by the same percentiles (2 and 98)"
        text = [
            f"{capital(listed(names))} are shown side by side on one grid of {width:,} x {height:,} cells{ground}.",
            f"They are drawn {shown}, {how}.",
            told_alignment(grid, names),
        ]
        missing = [_gaps(name, scene) for name, scene in zip(names, grid.scenes, strict=True)]
        caveats = [*grid.notes, *(gap for gap in missing if gap)]
        if stretched:
            caveats.append("Each scene was stretched for display before, in its own way, so that colours may differ "
                           "where the ground does not.")  # fmt: skip
        if not dated:
            caveats.append("Not all dates are known, so the scenes stand in the order in which they were given.")
        values = {"columns": Quantity(width, "cells"), "rows": Quantity(height, "cells")}
        if grid.pixel_m:
            values["cell"] = Quantity(grid.pixel_m, "m")
        return ToolResult(" ".join(text), values, (picture,), caveats=tuple(caveats))


def _name_of(roles: Sequence[str]) -> str:
    return next((name for name, bands in COMPOSITES.items() if bands == tuple(roles)), "composite")


def _gaps(name: str, scene: Scene) -> str:
    import numpy as np

    lacking = 1 - float(np.isfinite(scene.read((1,))).mean())
    return f"Of {name}, {share(lacking)} is without data (grey)." if lacking > 0.005 else ""
