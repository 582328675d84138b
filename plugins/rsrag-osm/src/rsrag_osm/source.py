"""The source `osm`: the named features of an extract as records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from .features import ATTRIBUTION, LICENSE, Losses

if TYPE_CHECKING:
    from rsrag import Record


class OsmSource:
    """Named features of `path`: .osm.pbf, .osm (also .gz, .bz2), or GeoJSON with OpenStreetMap's properties.

    The file is read once into an index in the user's cache. Features without a name are counted in `problems` and
    can be asked for with the tool `whats_here`. Raises `UsageError` and `RsragError` for a file that cannot be read.
    """

    name: ClassVar[str] = "osm"
    role: Literal["reference", "mine"] = "mine"
    license: ClassVar[str] = LICENSE
    attribution: ClassVar[str] = ATTRIBUTION

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[tuple[str, str]] = []

    @property
    def label(self) -> str:
        """What a store calls this source unless told otherwise: the file's name without its endings."""
        return Path(self.path).name.partition(".")[0] or "osm"

    @staticmethod
    def matches(what: object) -> float:
        """0.9 for an OpenStreetMap file, 0.8 for GeoJSON that begins like one."""
        if not isinstance(what, str | Path):
            return 0.0
        path = Path(what).expanduser()
        if not path.is_file():
            return 0.0
        from .index import is_readable

        if not is_readable(path):
            return 0.0
        if path.suffix.lower() != ".geojson":
            return 0.9
        from .geojson import looks_like_osm

        return 0.8 if looks_like_osm(path) else 0.0

    def __len__(self) -> int:
        from .index import index_of

        return index_of(Path(self.path).expanduser()).named

    def records(self) -> Iterator[Record]:
        """One record for each named feature, in the order of the file."""
        from .index import index_of
        from .records import record_of

        self.problems.clear()
        index = index_of(Path(self.path).expanduser())
        losses = Losses()
        for feature in index.named_features():
            yield record_of(feature, losses)
        if index.unnamed:
            losses.add("features without a name, which are no records", count=index.unnamed)
        self.problems += [(Path(self.path).name, line) for line in (*index.losses, *losses.lines())]
