"""What OpenStreetMap knows inside a scene: from sidecars beside the image, or from an extract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rsrag import BBox, RsragError, Scene, SceneError, UsageError

from .features import Feature, Losses
from .geometry import bbox, beside, clipped, footprint, gap, widened
from .sidecars import ground_of, read_sidecars, sidecars_of

if TYPE_CHECKING:
    from .index import Index


_EXTENT: Final = "The scene's extent is taken to be that of the features beside it."
_EDGE: Final = "The extract ends inside the scene: beyond its edge nothing is known."
MOST: Final = 100_000
"""So many features are measured at most: what a city holds, and what fits in memory many times over."""
_GRAZED: Final = 0.02  # of an area, or of the scene where that is smaller


@dataclass(frozen=True, slots=True)
class Inside:
    """The features of a scene, each clipped to its ground (a polygon in degrees); `origin` names the file.

    `around` are features outside, up to the distance that was asked for, in whole. `problems` say what could not be
    read, `caveats` what to keep in mind.
    """

    features: tuple[Feature, ...]
    around: tuple[Feature, ...]
    ground: Any
    origin: str
    problems: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


def has_data(scene: Scene, extract: str) -> bool:
    """Whether something is known about a scene without reading an extract for the first time."""
    if _sidecars(scene):
        return True
    if scene.bbox is None:
        return False
    from .index import known_indexes

    known = known_indexes()
    if extract:
        file = Path(extract).expanduser().resolve()
        known = [index for index in known if index.file == file]
        return not known or known[0].touches(scene.bbox)  # one that was never read may hold anything
    return any(index.touches(scene.bbox) for index in known)


def inside(scene: Scene, extract: str = "", around_m: float = 0.0) -> Inside:
    """What a scene holds, from its sidecars, else from `extract`, else from those extracts read before that cover it.

    Raises `SceneError` for a scene without a place or outside the extract, `UsageError` when there is no extract or the
    scene holds more than `MOST` features.
    """
    if files := _sidecars(scene):
        return _from_sidecars(scene, files)
    ground = footprint(scene)
    if ground is None or scene.bbox is None:
        raise SceneError(
            f"{scene.uri} has no place on Earth, and no labelled GeoJSON lies beside it.",
            "Give a georeferenced image, or sidecars such as scene_polygon.geojson.",
        )
    indexes = _indexes(extract)
    covering = [index for index in indexes if index.touches(scene.bbox)]
    if not covering:
        names = ", ".join(index.file.name for index in indexes)
        raise SceneError(f"{scene.uri} lies outside {names}.", "Give an extract of the region it lies in.")
    return _from_indexes(covering, ground, around_m)


def _indexes(extract: str) -> list[Index]:
    from .index import index_of, known_indexes

    if extract:
        return [index_of(Path(extract).expanduser())]
    known = known_indexes()
    if not known:
        raise UsageError(
            "there is no OpenStreetMap extract to look into.",
            "Add one with `rsrag kb add region.osm.pbf`, or name it as `extract`.",
        )
    return known


def _sidecars(scene: Scene) -> list[Path]:
    # A window has the sidecars of its whole image, but nothing says which part of the ground it shows.
    is_file = "://" not in scene.uri and "#" not in scene.uri
    return sidecars_of(Path(scene.uri)) if is_file else []


def _from_sidecars(scene: Scene, files: list[Path]) -> Inside:
    losses = Losses()
    features = read_sidecars(files, losses)
    if not features:
        raise RsragError(f"the sidecars of {scene.uri} hold no usable feature.", "; ".join(losses.lines()))
    ground = footprint(scene)
    caveats = () if ground is not None else (_EXTENT,)
    ground = ground if ground is not None else ground_of(features)
    origin = f"labels beside {Path(scene.uri).name}"
    return Inside(_clip(features, ground), (), ground, origin, tuple(losses.lines()), caveats)


def _from_indexes(indexes: list[Index], ground: Any, around_m: float) -> Inside:
    reach = widened(ground, around_m)
    count = sum(index.count(bbox(reach)) for index in indexes)
    if count > MOST:
        raise UsageError(f"{count:,} mapped features are too many for one scene.", "Ask about a part with --region.")
    found: dict[str, Feature] = {}
    for index in indexes:
        for feature in index.within(bbox(reach)):
            found.setdefault(feature.osm, feature)
    placed = [Feature(f.osm, f.tags, beside(f.shape, ground)) for f in found.values()]
    features = _clip(placed, ground)
    held = {feature.osm for feature in features}
    near = (f for f in placed if f.osm not in held and gap(f.shape, ground) <= around_m)
    around = tuple(near) if around_m > 0 else ()
    covered = any(index.covers is not None and _covers(index.covers, ground) for index in indexes)
    origin = " and ".join(index.file.name for index in indexes)
    return Inside(features, around, ground, origin, (), () if covered else (_EDGE,))


def _covers(box: BBox, ground: Any) -> bool:
    west, south, east, north = ground.bounds
    return box.crosses_antimeridian or (
        box.west <= west and box.south <= south and box.east >= min(east, 180) and box.north >= north
    )


def _clip(features: list[Feature], ground: Any) -> tuple[Feature, ...]:
    """The features inside, cut at the edge; of an area that the edge only grazes, nothing is left."""
    found = []
    for feature in features:
        part = clipped(feature.shape, ground)
        if part is not None and (part.area >= _GRAZED * min(feature.shape.area, ground.area)):
            found.append(Feature(feature.osm, feature.tags, part))
    return tuple(found)
