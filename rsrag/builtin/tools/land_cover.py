"""Land cover from the bands: shares and hectares by class, and which scenes show most of what is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rsrag import Quantity, Query, Scene, SceneError, ToolResult, UsageError
from rsrag.spectral.cover import CLASSES, MAX_SIDE, cover_of
from rsrag.spectral.covers import Cover, cover_in, find_cover
from rsrag.spectral.wording import SHOWN, percent

from .asking import general, over_time
from .drawing import classes_as_rgb, figure, grid, map_legend, natural, scale_bar, sheet_size, show
from .land_cover_words import Seen, caveats, described, method, ranked
from .spectra import bands_used, called, joined, pixel_size, reading
from .wording import scene_names

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_SCENES: Final = 50
PANELS: Final = 12
MAYBE: Final = 0.5
COARSE: Final = 10.0  # metres: of such pixels land cover is mapped, single things are not seen
COLOURS: Final[Mapping[str, str]] = {
    "water": "#0072B2",
    "snow or ice": "#CDEBF7",
    "cloud": "#F7F7F7",
    "dense vegetation": "#00664B",
    "sparse vegetation": "#A6CE63",
    "bare ground": "#D9A66B",
    "built-up": "#CC3366",
}
_ASKED: Final = re.compile(
    r"\bland[ -]?(?:cover|use)\b|\bwhat (?:covers|is covered)|\bcover (?:types?|classes)\b", re.IGNORECASE
)
_WHICH: Final = re.compile(
    r"\b(?:which|rank\w*|sort|order|most|least|more|fewest|any of|are (?:any|there)|all of|how many of)\b",
    re.IGNORECASE,
)
_HOW_MUCH: Final = re.compile(
    r"\b(?:how much|how many (?:hectares|ha|km2|square|percent)|(?:share|part|percentage|fraction|proportion|area) of"
    r"|what (?:share|percentage|fraction|proportion)|per ?cent|hectares|covered (?:by|with|in))\b|%",
    re.IGNORECASE,
)
_IS_IT: Final = re.compile(
    r"^\W*(?:[Ii]s|[Aa]re) (?:this|that|it|these|they|those|there|the (?:scene|image|patch|tile)s?|\[?[A-Z]\]?)\b"
)

_WHAT: Final = re.compile(
    r"\bwhat(?: is| are|['’]s| do| does)? (?:this|that|these|it|(?:the|this|these) (?:scene|image|picture|tile)s?)"
    r"(?: (?:show|depict|contain)s?)?(?:\W*$|\W+(?:and|but|how|where|when)\b)",
    re.IGNORECASE,
)


class LandCoverEstimate:
    """Estimates land cover (water, vegetation, bare ground, snow, cloud, built-up) from the bands of scenes."""

    name: ClassVar[str] = "land_cover_estimate"

    def applies(self, query: Query) -> float:
        """0.9 when the question asks for land cover, for how much of a cover there is or which scenes show it.

        0.8 for "is this a desert?", 0.5 for what bands tell badly, and for "what is this?" of a scene whose pixels are
        too coarse to recognise things in. Unless land cover itself is named, 0 where no scene
        has the bands: others may know.
        """
        if not query.scenes or over_time(query) or general(query):
            return 0.0
        if _ASKED.search(query.text):
            return 0.9
        cover = cover_in(query.text)
        if cover is None and _WHAT.search(query.text) and any(_for_bands(scene) for scene in query.scenes):
            return MAYBE
        if cover is None or not any("red" in s.roles and has_nir(s) for s in query.scenes):
            return 0.0
        which = len(query.scenes) > 1 and bool(_WHICH.search(query.text))
        how_much = bool(_HOW_MUCH.search(query.text))
        fit = 0.9 if which or how_much else 0.8 if _IS_IT.search(query.text) else 0.0
        # `water_extent` tells how much water there is; towns and crops are better told by what a scene looks like.
        return min(fit, MAYBE) if cover.unsure or (cover.name == "water" and how_much and not which) else fit

    def arguments(self, query: Query) -> dict[str, object]:
        """The cover that the question names."""
        cover = cover_in(_ASKED.sub(" ", query.text))
        if self.applies(query) == MAYBE and _WHAT.search(query.text):  # any cover, where another tool tells of the one
            return {}
        return {"cover": cover.name} if cover else {}

    def __call__(self, scenes: Sequence[Scene], pictures: Path, cover: str = "") -> ToolResult:
        """Estimate what covers the ground of each scene, from indices and published thresholds on its bands.

        Needs green, red and near-infrared bands; blue and SWIR make it better. Values: the share of each class (%) and
        its area (ha). With a cover, the scenes are ranked by it. Raises `SceneError` naming the band that is missing
        when no scene can be looked at, `UsageError` for a cover that bands cannot tell.

        Args:
            cover: A cover to rank the scenes by, such as desert, forest, water, snow, vegetation, cropland or city.
        """
        if not scenes:
            raise UsageError("land cover needs a scene, and none was given.", "Give an image.")
        if len(scenes) > MOST_SCENES:
            raise UsageError(f"{len(scenes)} scenes are too many; at most {MOST_SCENES} are looked at together.")
        wanted = find_cover(cover) if cover.strip() else None
        seen: list[Seen] = []
        refused: list[SceneError] = []
        names = [called(scenes[0])] if len(scenes) == 1 else scene_names(scenes)
        for name, scene in zip(names, scenes, strict=True):
            try:
                found = cover_of(scene, MAX_SIDE)
                if wanted and (missing := wanted.missing(found)):
                    raise SceneError(f"{missing[0]} cannot be told in {scene.uri}: it takes {_takes(missing[0])}.")
                seen.append(Seen(scene, name, found))
            except SceneError as error:  # it costs itself
                refused.append(error)
        if not seen:
            raise refused[0]
        text = ranked(wanted, seen) if wanted else [sentence for one in seen for sentence in described(one)]
        text.append(method(seen))
        if len(seen) == 1:
            rows, columns = seen[0].found.classes.shape
            text += [bands_used(seen[0].scene, _roles(seen[0].scene)), reading(seen[0].scene, (rows, columns))]
        drawn = _picture(seen, wanted, pictures)
        return ToolResult(joined(*text), _values(seen, wanted), (drawn,), caveats=tuple(caveats(seen, refused, wanted)))


def _for_bands(scene: Scene) -> bool:
    """Whether the bands tell what a scene shows better than its looks do."""
    return "red" in scene.roles and has_nir(scene) and (scene.gsd_m or 0.0) >= COARSE


def has_nir(scene: Scene) -> bool:
    return "nir" in scene.roles or "nir2" in scene.roles


def _takes(kind: str) -> str:
    if kind == "built-up":
        return "a blue band, surface reflectance and pixels of 30 m or less"
    return "a SWIR1 band and surface reflectance"


def _roles(scene: Scene) -> list[str]:
    used = ("blue", "green", "red", "nir", "nir2", "swir1")
    return [role for role in used if role in scene.roles and not (role == "nir2" and "nir" in scene.roles)]


def _values(seen: Sequence[Seen], cover: Cover | None) -> dict[str, Quantity]:
    values: dict[str, Quantity] = {}
    for one in seen:
        of = "" if len(seen) == 1 else f" of {one.name}"
        if cover:
            values[f"{cover.name}{of}"] = Quantity(round(100 * cover.share(one.found), 4), "%")
            if len(seen) > 1:
                continue
        areas = one.areas
        for kind, part in one.found.shares.items():
            if part >= SHOWN:
                values[f"{kind}{of}"] = Quantity(100 * part, "%")
                if areas:
                    values[f"area of {kind}{of}"] = Quantity(areas[kind] / 1e4, "ha")
    return values


def _picture(seen: Sequence[Seen], cover: Cover | None, pictures: Path) -> str:
    """Each scene beside its classes, up to twelve, ranked where a cover is asked for."""
    order = sorted(seen, key=lambda one: -cover.share(one.found)) if cover else list(seen)
    drawn = order[:PANELS]
    rows, columns = drawn[0].found.classes.shape

    def draw(sheet: Figure) -> None:
        for panel, one in zip(grid(sheet, len(drawn), 3), drawn, strict=True):
            title = f"{one.name}: {percent(cover.share(one.found))}" if cover else one.name
            show(panel, _beside(one), title)
            if pixel := pixel_size(one.scene, (one.found.classes.shape[0], one.found.classes.shape[1])):
                scale_bar(panel, pixel, 2 * one.found.classes.shape[1])
        there = [kind for kind in CLASSES if any(one.found.shares[kind] > 0 for one in drawn)]
        map_legend(sheet, [(kind, COLOURS[kind]) for kind in there])

    size = sheet_size(len(drawn), 2 * columns / rows, 7.0 if len(drawn) == 1 else 4.0, extra=0.5, columns=3)
    return figure(pictures, "land-cover" if len(seen) > 1 else f"{drawn[0].name}-land-cover", size, draw)


def _beside(one: Seen) -> NDArray[np.uint8]:
    """uint8 (H, 2 W, 3): the scene at the left, its classes at the right."""
    import numpy as np
    from PIL import Image

    classes = classes_as_rgb(one.found.classes, [COLOURS[kind] for kind in CLASSES])
    height, width = one.found.classes.shape
    own = Image.fromarray(natural(one.scene, max(height, width))).resize((width, height))
    return np.hstack([np.asarray(own), classes])
