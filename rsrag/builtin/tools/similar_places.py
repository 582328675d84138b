"""Places in the store that look like a scene, on a map."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from rsrag import Hit, Quantity, Query, Scene, StoreError, ToolResult, UsageError
from rsrag.confidence import strength, unsuitable
from rsrag.interfaces import Knowledge

from .asking import general
from .ground import box_ring, centre, geod
from .locate import opened_gazetteer
from .wording import date, distance, latitude, listed, longitude, scene_name
from .world_map import world_map

MOST: Final = 50
_SAME: Final = 0.9999  # cosine: the same picture
_PLACES: Final = r"\b(?:places?|scenes?|images?|areas?|sites?|locations?|regions?|landscapes?|spots?)\b"
_SURELY: Final = re.compile(
    rf"\b(?:similar|look[- ]?alike|resembl\w+|comparable)\b.*{_PLACES}|\bwhere else\b"
    rf"|{_PLACES}.*\b(?:similar to|look(?:s|ing)? similar|resembl\w+|like (?:this|it|that|these))\b",
    re.IGNORECASE,
)
_MAYBE: Final = re.compile(r"\b(?:similar|resembl\w+)\b", re.IGNORECASE)


class SimilarPlaces:
    """Finds the places in the store whose images look most like a scene, and maps them.

    `places` is the folder of a places pack, for the map's outlines; "" takes the one that comes with rsrag.
    """

    name: ClassVar[str] = "similar_places"

    def __init__(self, places: str = "") -> None:
        self.places = places

    def applies(self, query: Query) -> float:
        """0.9 for a scene and a question for places or images like it, 0.4 for "similar", else 0."""
        if not query.scenes or general(query):
            return 0.0
        return 0.9 if _SURELY.search(query.text) else 0.4 if _MAYBE.search(query.text) else 0.0

    def __call__(self, scene: Scene, kb: Knowledge, pictures: Path, k: int = 8) -> ToolResult:
        """Find images in the store that look like the scene, tell how much, and map those with a place on Earth.

        How similar is told in standard deviations above unrelated images of the store. Values: that figure for each;
        the GeoJSON holds their boxes. Raises `StoreError` when the store holds no other image.

        Args:
            k: How many places, 1 to 50.
        """
        if not 1 <= k <= MOST:
            raise UsageError(f"k is {k}; from 1 to {MOST} places can be asked for.")
        near = kb.search_vectors(Query(scenes=(scene,)), "images", "scene", 4 * k + 8, self.name)
        hits, itself = _distinct(near)
        if not hits:
            raise StoreError("the store holds no other image to compare the scene with.", "Add some: rsrag add FOLDER")
        hits = hits[:k]
        placed = [hit for hit in hits if hit.chunk.bbox]
        name, here = f"the scene of {when}" if (when := date(scene)) else scene_name(scene), centre(scene)
        text = [_verdict(name, hits), _where(placed, here)]
        if placed and (lacking := len(hits) - len(placed)):
            text.append(f"{lacking} of the {len(hits)} have no place on Earth in the store and are not on the map.")
        text.append("Likeness is by the store's image encoder, in standard deviations above pairs of unrelated images.")
        caveats = ["Images that look alike need not show the same kind of place."]
        if all(strength(hit.z, "image") == "weak" for hit in hits):
            caveats.append("None of these is much more like the scene than unrelated images are.")
        if doubt := unsuitable(scene, getattr(getattr(kb, "encoder", None), "max_gsd_m", None)):
            caveats.insert(0, f"Likeness means little here: {doubt}.")
        if itself:
            caveats.append("The scene itself is in the store and was left out.")
        shown: tuple[str, ...] = ()
        if placed:
            spots = [(*hit.chunk.bbox.center, hit.chunk.title) for hit in placed if hit.chunk.bbox]
            shapes = opened_gazetteer(self.places).country_shapes()
            shown = (world_map(pictures, "similar-places", shapes, spots, here),)
        values = {f"likeness of {hit.chunk.title}": Quantity(round(hit.z, 2), "deviations")
                  for hit in reversed(hits) if hit.z is not None}  # fmt: skip
        return ToolResult(" ".join(text), dict(reversed(values.items())), shown, _geojson(placed), tuple(caveats))


def _distinct(hits: Sequence[Hit]) -> tuple[list[Hit], bool]:
    """(the best hit of each record, without the scene's own picture; whether that was there)."""
    found: dict[tuple[str, str], Hit] = {}
    itself = False
    for hit in hits:
        cosine = next(iter(hit.lanes.values()))[1]
        if cosine > _SAME:
            itself = True
            continue
        found.setdefault((hit.chunk.provenance.source, hit.chunk.provenance.record), hit)
    return list(found.values()), itself


def _verdict(name: str, hits: Sequence[Hit]) -> str:
    parts = [f"{hit.chunk.title} ({_how(hit)})" for hit in hits[:4]]
    more = f", before {len(hits) - 4} more" if len(hits) > 4 else ""
    return f"Most like {name} in the store {'are' if len(parts) > 1 else 'is'} {listed(parts)}{more}."


def _how(hit: Hit) -> str:
    word = {"strong": "much alike", "fair": "somewhat alike", "weak": "hardly alike"}[strength(hit.z, "image")]
    return f"{word}, {hit.z:.1f} deviations" if hit.z is not None else word


def _where(placed: Sequence[Hit], here: tuple[float, float] | None) -> str:
    if not placed:
        return "None of them has a place on Earth in the store."
    spots = []
    for hit in placed[:4]:
        assert hit.chunk.bbox is not None
        lon, lat = hit.chunk.bbox.center
        metres = geod().inv(*here, lon, lat)[2] if here else 0.0
        away = f", {distance(metres)} away" if metres > 100 else ", the same place" if here else ""
        spots.append(f"{hit.chunk.title} at {latitude(lat)}, {longitude(lon)}{away}")
    return f"The map shows {'; '.join(spots)}."


def _geojson(placed: Sequence[Hit]) -> dict[str, Any] | None:
    features = []
    for rank, hit in enumerate(placed, 1):
        assert hit.chunk.bbox is not None
        facts = {"rank": rank, "title": hit.chunk.title, "record": hit.chunk.provenance.record, "deviations": hit.z}
        geometry = {"type": "Polygon", "coordinates": [[list(corner) for corner in box_ring(hit.chunk.bbox)]]}
        features.append({"type": "Feature", "geometry": geometry, "properties": facts})
    return {"type": "FeatureCollection", "features": features} if features else None
