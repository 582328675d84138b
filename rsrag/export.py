"""Search results for other programs: GeoJSON features, and STAC items that validate against the STAC schemas."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from . import geojson
from .types import Chunk, Hit

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase

STAC_VERSION: Final = "1.1.0"
_SPDX: Final = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, slots=True)
class Export:
    """A FeatureCollection, and what had to be left out: (reason, how many results)."""

    data: Mapping[str, Any]
    left_out: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        left_out = [f"{_counted(number, 'result')} left out: {why}" for why, number in self.left_out]
        return "; ".join([_counted(len(self.data["features"]), "feature"), *left_out])


def to_geojson(hits: Sequence[Hit], kb: KnowledgeBase) -> Export:
    """A feature for each hit that has a place; properties as in `search --json`, facets among them."""
    features = []
    for rank, hit in enumerate(hits, 1):
        chunk, origin = hit.chunk, hit.chunk.provenance
        geometry, _ = _place(kb, chunk)
        if geometry is None:
            continue
        image = kb.image_path(chunk) if chunk.kind == "image" else None
        properties = {
            "rank": rank,
            "score": round(hit.score, 6),
            "kind": chunk.kind,
            "title": chunk.title,
            "text": chunk.text,
            "image": str(image) if image else None,
            "acquired": _stamp(chunk.acquired) if chunk.acquired else None,
            "source": origin.source,
            "subject": origin.subject,
            "url": origin.url or None,
            "license": origin.license or None,
            "attribution": origin.attribution or None,
        }
        facets = {key: list(value) if isinstance(value, tuple) else value for key, value in chunk.facets.items()}
        features.append(geojson.feature(geometry, facets | properties, chunk.id))
    missing = len(hits) - len(features)
    return Export(geojson.collection(features), (("no place", missing),) if missing else ())


def to_stac(hits: Sequence[Hit], kb: KnowledgeBase, folder: Path) -> Export:
    """A STAC item for each record among the hits, best first, with the image as its asset.

    STAC wants a time: a record without one is left out, as is one without a place. Images inside `folder`, where the
    items will be written, are named relative to it.
    """
    items: dict[str, dict[str, Any]] = {}
    left_out = {"no place": 0, "no time": 0}
    for rank, hit in enumerate(hits, 1):
        chunk = hit.chunk
        name = f"{chunk.provenance.source}/{chunk.provenance.record}"
        geometry, until = _place(kb, chunk)
        if geometry is None or chunk.bbox is None:
            left_out["no place"] += 1
        elif chunk.acquired is None:
            left_out["no time"] += 1
        else:
            item = items.setdefault(name, _item(name, hit, rank, geometry, until))
            image = kb.image_path(chunk) if chunk.kind == "image" else None
            if image:
                item["assets"].setdefault("image", _asset(image, folder))
    return Export(geojson.collection(items.values()), tuple(item for item in left_out.items() if item[1]))


def _place(kb: KnowledgeBase, chunk: Chunk) -> tuple[dict[str, Any] | None, datetime | None]:
    """(footprint, else box; end of its span of time)."""
    if chunk.bbox is None:
        return None, None
    wkb, until = kb.catalog.records.outline(chunk.provenance.source, chunk.provenance.record)
    if wkb is None:
        return geojson.from_bbox(chunk.bbox), until
    from shapely import from_wkb

    return geojson.to_geojson(from_wkb(wkb)), until


def _item(name: str, hit: Hit, rank: int, geometry: Mapping[str, Any], until: datetime | None) -> dict[str, Any]:
    chunk, origin = hit.chunk, hit.chunk.provenance
    assert chunk.bbox and chunk.acquired
    properties: dict[str, Any] = {"datetime": _stamp(chunk.acquired), "title": chunk.title}
    if until:
        properties |= {"datetime": None, "start_datetime": _stamp(chunk.acquired), "end_datetime": _stamp(until)}
    if chunk.kind == "text" and chunk.text.strip():
        properties["description"] = chunk.text
    if origin.license:
        properties |= _license(origin.license)
    if origin.attribution:
        properties["providers"] = [{"name": origin.attribution}]
    for key, value in chunk.facets.items():
        properties |= _property(key, value)
    own = {"rank": rank, "score": round(hit.score, 6), "source": origin.source, "subject": origin.subject}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": name,
        "geometry": geometry,
        "bbox": list(chunk.bbox.as_tuple()),
        "properties": properties | {f"rsrag:{key}": value for key, value in own.items()},
        "links": [{"rel": "via", "href": origin.url}] if origin.url else [],
        "assets": {},
    }


def _property(key: str, value: Any) -> dict[str, Any]:
    """A facet as STAC names it where STAC has a name, else under a prefix of its own."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if key in ("platform", "constellation", "mission") and isinstance(value, str):
        return {key: value}
    if key == "instruments" and isinstance(value, tuple):
        return {key: list(value)}
    if key in ("gsd", "gsd_m") and number is not None and number > 0:
        return {"gsd": number}
    if key == "cloud_cover" and number is not None:
        return {"eo:cloud_cover": number}
    if key in ("start_datetime", "end_datetime"):
        return {}  # they are the item's own, where it has them
    return {key if ":" in key else f"rsrag:{key}": list(value) if isinstance(value, tuple) else value}


def _license(text: str) -> dict[str, Any]:
    """STAC takes an SPDX identifier, such as CC-BY-4.0, or the word "other"."""
    name = text.replace(" ", "-") if text.startswith("CC") else text
    return {"license": name} if _SPDX.fullmatch(name) else {"license": "other", "rsrag:license": text}


def _asset(image: Path, folder: Path) -> dict[str, Any]:
    path, home = image.resolve(), folder.resolve()
    href = quote(path.relative_to(home).as_posix()) if path.is_relative_to(home) else path.as_uri()
    kind = mimetypes.guess_type(path.name)[0]
    return {"href": href, "roles": ["visual"], **({"type": kind} if kind else {})}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
