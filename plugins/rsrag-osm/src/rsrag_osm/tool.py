"""The geo tool `whats_here`: what OpenStreetMap maps inside a scene, counted, measured and named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from rsrag import Quantity, Query, Scene, ToolResult

from .features import ATTRIBUTION, Feature
from .geometry import away, compass, hectares
from .kinds import Kind, kind_of
from .sizes import area_of
from .tally import Group, groups_of

if TYPE_CHECKING:
    from .inside import Inside

_ASKED: Final = re.compile(
    r"\b(?:what(?:'s| is| are| lies| stands)? (?:here|there|in (?:this|the)|on (?:this|the)|around|near\w*)"
    r"|openstreetmap|osm|mapped|how many|how much|which|near(?:by|est)?|closest|around|names?"
    r"|named|called|land ?use)\b",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"\b(?:openstreetmap|osm)\b", re.IGNORECASE)
MOST_KINDS: Final = 24
MOST_SHAPES: Final = 300
_CAVEAT: Final = "OpenStreetMap is made by volunteers: what it does not map may be there all the same."


class WhatsHere:
    """Tells what OpenStreetMap maps inside a scene, from a local extract or from labelled sidecars of the image.

    `extract` is an .osm.pbf, .osm or .geojson file; "" takes those extracts read before (by `rsrag kb add`) that cover
    the scene. `around_m` is how far outside the scene named features are told, in metres; `most` how many names are
    told, inside and outside.
    """

    name: ClassVar[str] = "whats_here"

    def __init__(self, extract: str = "", around_m: float = 1000.0, most: int = 8) -> None:
        self.extract = extract
        self.around_m = around_m
        self.most = most

    def applies(self, query: Query) -> float:
        """1.0 for a question about what is there, 0.5 for any other about a scene that something is known of.

        0 where nothing is known, unless the question names OpenStreetMap: then the answer says what is missing.
        """
        if not query.scenes:
            return 0.0
        from .inside import has_data

        if not any(has_data(scene, self.extract) for scene in query.scenes):
            return 1.0 if _NAMED.search(query.text) else 0.0
        from .lane import asked_for

        return 1.0 if _ASKED.search(query.text) or asked_for(query.text) else 0.5

    def __call__(self, scene: Scene) -> ToolResult:
        """Count, measure and name what OpenStreetMap maps inside a scene.

        Areas and lengths are on the WGS 84 ellipsoid, of the part inside; areas of one kind that overlap count once.
        Distances and bearings are from the middle of the scene to the nearest point of a feature. Values: the count of
        each kind, "area of KIND" (m2 or ha), "length of KIND" (m or km), "distance to NAME" (m or km). The GeoJSON
        holds what is inside. Raises `SceneError` for a scene without a place or outside the extract.
        """
        from .inside import inside

        found = inside(scene, self.extract, self.around_m)
        groups = groups_of(found.features)
        middle = (found.ground.centroid.x, found.ground.centroid.y)
        named = _named(found.features, middle)[: self.most]
        near = _named(found.around, middle)[: self.most]
        values: dict[str, Quantity] = {}
        for group in groups:
            values.update(group.values())
        for place in (*named, *near):
            values.setdefault(f"distance to {place.feature.name}", _distance(place.metres))
        shown = found.features[:MOST_SHAPES]
        caveats = [*found.problems, *found.caveats, _CAVEAT]
        if len(shown) < len(found.features):
            caveats.append(f"The GeoJSON holds the first {len(shown)} of {len(found.features):,} features.")
        return ToolResult(
            " ".join(self._sentences(found, groups, named, near)),
            values,
            geojson=_geojson(shown),
            caveats=tuple(caveats),
            attribution=ATTRIBUTION,
        )

    def _sentences(
        self, found: Inside, groups: Sequence[Group], named: Sequence[_Place], near: Sequence[_Place]
    ) -> Iterator[str]:
        ground = hectares(found.ground)
        size = area_of(found.ground)
        count = len(found.features)
        if not groups:
            yield f"OpenStreetMap ({found.origin}) maps nothing inside the scene ({size})."
        else:
            features = "1 feature" if count == 1 else f"{count:,} features"
            yield f"OpenStreetMap ({found.origin}) maps {features} inside the scene ({size})."
            # A sentence for each, so that an answer can quote the one that was asked for.
            for group in groups[:MOST_KINDS]:
                yield group.sentence(ground)
        for place in named:
            yield f"{_told(place)} of the scene."
        for place in near:
            yield f"Outside the scene, {_told(place)} of the scene."


class _Place(NamedTuple):
    feature: Feature
    kind: Kind
    metres: float
    bearing: float


def _named(features: Sequence[Feature], middle: tuple[float, float]) -> list[_Place]:
    """Named features, one for each name and kind (a street has many ways): what stands alone first, then nearest."""
    best: dict[tuple[str, str], _Place] = {}
    for feature in features:
        kind = kind_of(feature.tags)
        if kind is None or not feature.name:
            continue
        metres, bearing = away(middle, feature.shape)
        place = _Place(feature, kind, metres, bearing)
        known = best.get((feature.name, kind.one))
        if known is None or metres < known.metres:
            best[feature.name, kind.one] = place
    return sorted(best.values(), key=lambda p: (p.kind.key == "highway", p.metres, p.feature.osm))


def _told(place: _Place) -> str:
    """As in "Kymi Hospital (hospital) lies 310 m to the north-east of the middle"."""
    where = f"{_distance(place.metres)} to the {compass(place.bearing)} of" if place.metres >= 1 else "in"
    return f"{place.feature.name} ({place.kind.one}) lies {where} the middle"


def _distance(metres: float) -> Quantity:
    return Quantity(round(metres), "m") if metres < 995 else Quantity(round(metres / 1000, 1), "km")


def _geojson(features: Sequence[Feature]) -> Mapping[str, Any]:
    import json

    import shapely

    shown = []
    for feature in features:
        kind = kind_of(feature.tags)
        facts = {"id": feature.osm, "kind": kind.tag if kind else "", "name": feature.name}
        shown.append(
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(feature.shape)),
                "properties": {key: value for key, value in facts.items() if value},
            }
        )
    return {"type": "FeatureCollection", "features": shown, "attribution": ATTRIBUTION}
