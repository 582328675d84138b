"""What the land-cover tool says: a verdict, the ranking, why from the bands, the method, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rsrag import Scene, SceneError
from rsrag.spectral.cover import CLASSES, THRESHOLDS, CoverMap
from rsrag.spectral.covers import Cover
from rsrag.spectral.wording import MOSTLY, SHOWN, class_word, largest, percent, percent_range, signature

from .ground import pixel_areas
from .spectra import worth
from .wording import hectares, listed

PARTLY: Final = 0.2
MOST_WHY: Final = 4
MOST_NAMED: Final = 12
_ROUGH: Final = (
    "Land cover by fixed thresholds is a rough estimate: shadow, haze, season and mixed pixels move pixels between "
    "classes, and the ranges only tell what happens when the thresholds move."
)


@dataclass(frozen=True)
class Seen:
    """A scene that could be looked at, and what was found."""

    scene: Scene
    name: str
    found: CoverMap

    @property
    def areas(self) -> dict[str, float] | None:
        """Square metres of each class; None where pixels have no size on the ground."""
        shape = self.found.classes.shape
        cells = pixel_areas(self.scene, (shape[0], shape[1]))
        if cells is None:
            return None
        return {kind: float(cells[self.found.classes == n].sum()) for n, kind in enumerate(CLASSES)}


def described(one: Seen) -> list[str]:
    """What covers one scene."""
    found, areas = one.found, one.areas
    order = sorted((kind for kind in CLASSES if found.shares[kind] >= SHOWN), key=lambda kind: -found.shares[kind])
    parts = [
        f"{percent_range(found.shares[kind], *found.ranges[kind])} {class_word(kind)}"
        f"{f', {hectares(areas[kind])}' if areas else ''}"
        for kind in order
    ]
    main = largest(found)
    what = f"mostly {class_word(main)}" if found.shares[main] >= MOSTLY else f"mixed, with most {class_word(main)}"
    name = f"T{one.name[1:]}" if one.name.startswith("the scene") else one.name
    return [f"{name} is {what}: {'; '.join(parts)}.", f"In {one.name}, the bands show {signature(found)}."]


def ranked(cover: Cover, seen: Sequence[Seen]) -> list[str]:
    """Which scenes show a cover: the verdict first, then the ranking and why."""
    order = sorted(seen, key=lambda one: (-cover.share(one.found), one.found.medians["NDVI"]))
    like = [one for one in order if cover.share(one.found) >= MOSTLY]
    partly = [one for one in order if PARTLY <= cover.share(one.found) < MOSTLY]
    rest = [one for one in order if one not in like and one not in partly]
    text = [_verdict(cover, order, like)]
    if len(seen) > 1 and cover.share(order[0].found) >= SHOWN:
        some = [one for one in order if cover.share(one.found) >= SHOWN]
        none = len(order) - len(some)
        listing = ", ".join(f"{one.name} {percent(cover.share(one.found))}" for one in some[:MOST_NAMED])
        left = f"; {none} of the scenes {'has' if none == 1 else 'have'} next to none" if none else ""
        text.append(f"Ranked by their share of {cover.counts}: {listing}{left}.")
    for one in [*like[:MOST_WHY], *partly[:2]] or order[:1]:
        only = "" if one in like else "only "
        part = f"{only}{_how_much(cover, one)} is {cover.counts}, with" if len(seen) > 1 else "the bands show"
        text.append(f"In {one.name}, {part} {signature(one.found)}.")
    if rest and (like or partly):
        kinds = [
            f"{one.name} is {percent(one.found.shares[largest(one.found)])} {class_word(largest(one.found))}"
            for one in rest
        ]
        text.append(f"Of the others, {listed(kinds[:MOST_NAMED])}.")
    return text


def _verdict(cover: Cover, order: Sequence[Seen], like: Sequence[Seen]) -> str:
    first = order[0]
    if len(order) == 1:
        areas = first.areas
        area = f" ({hectares(sum(areas[kind] for kind in cover.classes))})" if areas and cover.classes else ""
        looks = f"looks like {cover.one}" if like and not cover.classes else f"is {'' if like else 'not '}{cover.one}"
        return f"By its bands {first.name} {looks}: {_how_much(cover, first)} of it is {cover.counts}{area}."
    if not like:
        most = f"{percent(cover.share(first.found))} {cover.counts}"
        return f"By their bands none of the {len(order)} scenes is {cover.one}: {first.name} comes nearest with {most}."
    parts = sorted({percent(cover.share(one.found)) for one in like}, key=lambda p: float(p.split()[0]))
    span = parts[0] if len(parts) == 1 else f"{parts[0].removesuffix(' %')} to {parts[-1]}"
    names, are = listed([one.name for one in like]), "are" if len(like) > 1 else "is"
    return f"{cover.head} {are} {names}: {span} of {'each' if len(like) > 1 else 'it'} is {cover.counts} by its bands."


def _how_much(cover: Cover, one: Seen) -> str:
    return percent_range(cover.share(one.found), *cover.span(one.found))


def method(seen: Sequence[Seen]) -> str:
    """How land cover was estimated, with the source of each threshold."""
    limits = {name: f"{threshold.value:g}" for name, threshold in THRESHOLDS.items()}
    index = " or ".join(sorted({one.found.water_index for one in seen}))
    source = "Xu 2006" if index == "MNDWI" else "McFeeters 1996" if index == "NDWI" else "Xu 2006, McFeeters 1996"
    levels = sorted({one.found.water_limit for one in seen})
    level = (
        " or ".join(f"{value:.2g}" for value in levels) if len(levels) < 4 else f"{levels[0]:.2g} to {levels[-1]:.2g}"
    )
    if any(levels):
        source += ", by Otsu's method where values are no reflectance"
    calibrated = any(one.found.unit == "reflectance" for one in seen)
    snow = f"NDSI from {limits['NDSI of snow']} for snow (Hall and others 1995), " if calibrated else ""
    return (
        f"Land cover was estimated pixel by pixel: {index} above {level} and above NDVI for water ({source}), {snow}"
        f"NDVI from {limits['NDVI of dense vegetation']} for dense and from {limits['NDVI of bare ground']} for sparse "
        "vegetation (Sobrino and others 2004), else bare ground; ranges come from moving each threshold by 10 %, that "
        "of water by 0.05."
    )


def caveats(seen: Sequence[Seen], refused: Sequence[SceneError], cover: Cover | None) -> list[str]:
    """What the estimate is worth."""
    out = [_ROUGH]
    if cover and cover.weak:
        out.append(cover.weak)
    if any(one.found.shares["built-up"] >= SHOWN for one in seen) and not (cover and cover.name == "city"):
        out.append("The share of built-up land is weak: it is told from bare rock only by being grey and rough.")
    left = [kind for kind in CLASSES if any(kind in one.found.left_out for one in seen)]
    if left:
        where = "" if len(seen) == 1 else " in every scene"
        out.append(
            f"For want of bands, of reflectance or of small pixels, {listed(left)} could not be looked for{where}."
        )
    for one in seen:
        out += worth(one.found.unit, one.name)
        if one.found.valid < 0.995:
            out.append(f"Only {percent(one.found.valid)} of the pixels of {one.name} have values.")
    guesses = sorted({one.scene.bands_from for one in seen if one.scene.bands_from.startswith("a guess")})
    if len(seen) > 1 and guesses:
        out.append(f"Which band is which is {'; '.join(guesses)}.")
    return out + [f"A scene was left out: {error.message}" for error in refused]
