"""The source `osm-images`: images with sidecars in GeoLink's form, captioned from their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from rsrag import Record, RsragError, Section, UsageError

from .features import ATTRIBUTION, LICENSE, Losses
from .sidecars import sidecars_of

if TYPE_CHECKING:
    from rsrag import Plugins

IMAGES: Final = frozenset(".jpg .jpeg .png .webp .tif .tiff .jp2".split())
_MOST_LOOKED_AT: Final = 2000


class OsmImages:
    """Images under the folder `path` that have sidecars (scene.jpg with scene_point, _line, _polygon.geojson).

    Each becomes a record with the image, a caption of the scene, captions of single objects, and the nouns of what it
    shows as the facet `feature`. Images without sidecars are counted in `problems`. `license` is that of the images;
    the texts come from OpenStreetMap's tags under the ODbL. Raises `UsageError` when there is no such folder.
    """

    name: ClassVar[str] = "osm-images"
    role: Literal["reference", "mine"] = "mine"

    def __init__(self, path: str, license: str = "") -> None:
        self.path = path
        self.license = license
        self.problems: list[tuple[str, str]] = []
        self.plugins: Plugins | None = None

    @property
    def root(self) -> Path:
        """The folder that images are relative to."""
        return Path(self.path).expanduser()

    @property
    def label(self) -> str:
        """What a store calls this source unless told otherwise."""
        return self.root.resolve().name or "osm-images"

    @staticmethod
    def matches(what: object) -> float:
        """0.7 for a folder where one of the first images has sidecars."""
        folder = Path(what).expanduser() if isinstance(what, str | Path) else Path()
        if not isinstance(what, str | Path) or not folder.is_dir():
            return 0.0
        looked_at = (file for _, file in zip(range(_MOST_LOOKED_AT), folder.rglob("*"), strict=False))
        return 0.7 if any(file.suffix.lower() in IMAGES and sidecars_of(file) for file in looked_at) else 0.0

    def __len__(self) -> int:
        return sum(1 for image in self._images() if sidecars_of(image))

    def records(self) -> Iterator[Record]:
        """One record for each image that has sidecars, in order of the paths."""
        self.problems.clear()
        losses = Losses()
        for image in self._images():
            where = image.relative_to(self.root).as_posix()
            if not sidecars_of(image):
                losses.add("images without sidecars were left out", where)
                continue
            try:
                yield self._record(image, where)
            except (RsragError, OSError) as error:
                self.problems.append((where, str(error)))
        self.problems += [(self.label, line) for line in losses.lines()]

    def _images(self) -> list[Path]:
        if not self.root.is_dir():
            raise UsageError(f"there is no folder {self.root}.", "Give a folder of images with their sidecars.")
        return sorted(file for file in self.root.rglob("*") if file.suffix.lower() in IMAGES and file.is_file())

    def _record(self, image: Path, where: str) -> Record:
        from rsrag import open_scene

        from .captioner import kept
        from .captions import scene_sentences, single_captions
        from .geometry import bbox
        from .inside import inside
        from .view import View

        scene = open_scene(image, self.plugins) if self.plugins is not None else open_scene(image)
        found = inside(scene)
        self.problems += [(where, problem) for problem in found.problems]
        whole = " ".join(kept(scene_sentences(found.features, found.ground), found.features))
        singles = kept(single_captions(found.features, found.ground), found.features)
        captions = dict.fromkeys(text for text in (whole, *singles) if text)
        nouns = tuple(group.kind.one for group in View(found.features, found.ground).groups)
        facets = {"feature": nouns} if nouns else {}
        return Record(
            id=where,
            subject=f"file/{where.removesuffix(image.suffix)}",
            title=image.stem.replace("_", " ").strip(),
            sections=tuple(Section("caption", text) for text in captions),
            images=(where,),
            facets=facets,
            bbox=scene.bbox or bbox(found.ground),
            acquired=None if scene.acquired_precision in ("year", "month") else scene.acquired,
            license=" and ".join(filter(None, (self.license, f"{LICENSE} (captions)"))),
            attribution=ATTRIBUTION,
            version=_version(image),
        )


def _version(image: Path) -> str:
    stats = [file.stat() for file in (image, *sidecars_of(image))]
    return "+".join(f"{s.st_size}.{s.st_mtime_ns}" for s in stats)
