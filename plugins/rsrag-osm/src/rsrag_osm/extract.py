"""Features from OpenStreetMap's own files (.osm.pbf, .osm, .osm.gz, .osm.bz2), read in one stream with pyosmium.

Memory is bounded: of a small file the positions of nodes are kept in memory, of a large one on disk beside the index.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rsrag import RsragError

from .features import Feature, Losses, cleaned
from .geometry import unwrapped
from .kinds import is_area, kind_of, telling_keys

SUFFIXES: Final = (".osm.pbf", ".osm", ".osm.gz", ".osm.bz2")
_LARGE: Final = 200_000_000  # bytes; some 25 million nodes, whose positions take 400 MB
_NO_POSITION: Final = "ways without a position for some of their nodes"
_NO_OUTLINE: Final = "areas whose outline does not close or lacks members"
_NO_PLACE: Final = "nodes that lie nowhere on Earth"


def read_extract(path: Path, losses: Losses, scratch: Path) -> Iterator[Feature]:
    """Every feature with a telling tag and a shape, nodes first. What has no shape is counted in `losses`.

    `scratch` is a file that may be made while a large extract is read. Raises `RsragError` for a file that is cut
    off or no OpenStreetMap data.
    """
    import osmium

    if path.stat().st_size == 0:
        raise RsragError(f"{path} is empty.", "Copy or download it again.")
    # As a File, so that its form is told by its name as people write it, whatever the case.
    form = next(s for s in SUFFIXES if path.name.lower().endswith(s)).removeprefix(".")
    storage = f"sparse_file_array,{scratch}" if path.stat().st_size > _LARGE else "flex_mem"
    wanted = osmium.filter.KeyFilter(*telling_keys())
    processor = (
        osmium.FileProcessor(osmium.io.File(str(path), form))
        .with_locations(storage)
        .with_areas(wanted)
        .with_filter(wanted)
    )
    try:
        yield from _Shapes(losses).features(processor)
    except RuntimeError as error:  # what libosmium makes of a damaged file
        raise RsragError(
            f"{path} is cut off or is no OpenStreetMap data ({str(error).splitlines()[0]}).",
            "Download or export it again.",
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


class _Shapes:
    def __init__(self, losses: Losses) -> None:
        import osmium

        self.losses = losses
        self.factory = osmium.geom.WKBFactory()
        # Closed ways and relations whose area should come; what is left at the end never did.
        self.expected: set[str] = set()

    def features(self, processor: Any) -> Iterator[Feature]:
        for element in processor:
            tags = cleaned((tag.k, tag.v) for tag in element.tags)
            if kind_of(tags) is None and not element.is_relation():
                continue
            found = self._area(element, tags) if element.is_area() else self._other(element, tags)
            if found is not None:
                yield found
        for osm in sorted(self.expected):
            self.losses.add(_NO_OUTLINE, osm)

    def _area(self, area: Any, tags: dict[str, str]) -> Feature | None:
        osm = f"{'w' if area.from_way() else 'r'}{area.orig_id()}"
        if area.from_way() and not is_area(tags):
            return None
        shape = self._shape(self.factory.create_multipolygon, area)
        if shape is None or shape.is_empty or shape.area == 0:
            return None  # it stays expected
        self.expected.discard(osm)
        return Feature(osm, tags, shape if len(shape.geoms) > 1 else shape.geoms[0])

    def _other(self, element: Any, tags: dict[str, str]) -> Feature | None:
        osm = f"{element.type_str()}{element.id}"
        if element.is_relation():
            if element.tags.get("type") in ("multipolygon", "boundary") and kind_of(tags) is not None:
                self.expected.add(osm)
            return None
        if element.is_node():
            shape = self._shape(self.factory.create_point, element)
            if shape is None or not (-180 <= shape.x <= 180 and -90 <= shape.y <= 90):
                self.losses.add(_NO_PLACE, osm)
                return None
            return Feature(osm, tags, shape)
        if is_area(tags) and element.is_closed():
            self.expected.add(osm)
            return None
        shape = self._shape(self.factory.create_linestring, element)
        if shape is None or shape.length == 0:
            self.losses.add(_NO_POSITION, osm)
            return None
        return Feature(osm, tags, shape)

    def _shape(self, make: Any, element: Any) -> Any | None:
        import osmium
        import shapely

        try:
            return unwrapped(shapely.from_wkb(bytes.fromhex(make(element))))
        except (osmium.InvalidLocationError, RuntimeError, shapely.errors.ShapelyError):
            return None
