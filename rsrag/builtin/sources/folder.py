"""A folder (or one file) of images with their sidecars, and of documents."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from rsrag import BBox, Record, RsragError, Scene, Section, UsageError, open_scene
from rsrag.tiling import check_sizes, tile_count

from .reading import read_json, unstorable
from .tiles import DERIVED, OpenTiles, about, bands_record, tile_id, tile_record

if TYPE_CHECKING:
    from rsrag import Plugins

IMAGES: Final = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .jp2 .vrt".split())
DOCUMENTS: Final = frozenset((".md", ".txt", ".html", ".htm", ".pdf"))
SIDECARS: Final = (".json", ".txt", ".md")
# Companions of rasters that GDAL reads by itself, and other litter: nobody misses them.
_COMPANIONS: Final = frozenset(".ovr .msk .xml .tfw .tifw .jgw .pgw .wld .prj .j2w .ini .db".split())
_KNOWN: Final = frozenset(
    "title subject caption text license url attribution acquired bbox facets bands sensor gsd_m".split()
)


@dataclass(slots=True)
class _Found:
    images: list[Path] = field(default_factory=list)
    documents: list[Path] = field(default_factory=list)
    sidecars: dict[Path, list[Path]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


class FolderSource:
    """Images and documents under `path`, in order of their names; hidden files are left out.

    An image may have sidecars of the same stem: .txt or .md describe it, .json gives title, subject, caption,
    text, license, url, attribution, acquired, bbox [west, south, east, north], facets, bands, sensor, gsd_m;
    any other simple value becomes a facet. Documents are .md, .txt, .html and .pdf. `glob` keeps only files whose
    name or path relative to the folder matches; `subject`, `license` and `attribution` are defaults.
    `problems` lists (file, why) after `records()`; a bad file costs itself only.

    With `tile`, every image is cut into tiles of so many pixels that overlap by `overlap`: each not blank is a record
    with an image and a place of its own, and the scene one of text. What an image's bands say that a colour picture
    does not show is a record too, of a text of part "bands". Both have the image's subject.

    Set before `records()`: `known`, the versions by record id that a store already has, makes a file of that
    version a Record of id and version only, unopened and without problems; `plugins` open images instead of all
    those installed. After it, `gone` are known ids of tiles that there are no more, and `skipped` counts the blank.
    """

    name: ClassVar[str] = "folder"
    role: Literal["reference", "mine"] = "mine"

    def __init__(
        self,
        path: str | Path,
        glob: str = "",
        license: str = "",
        attribution: str = "",
        subject: str = "",
        tile: int = 0,
        overlap: int = 0,
    ) -> None:
        self._path = Path(path).expanduser()
        self._glob, self._license, self._attribution, self._subject = glob, license, attribution, subject
        self._tiles = OpenTiles(tile, overlap)
        self._coarsely_blank = 0
        self.problems: list[tuple[str, str]] = []
        self.known: Mapping[str, str] = {}
        self.gone: list[str] = []
        self.plugins: Plugins | None = None

    @functools.cached_property
    def root(self) -> Path:
        """The folder that images are relative to; of a single file, its parent."""
        return self._path.parent if self._path.is_file() else self._path

    @property
    def label(self) -> str:
        """What a store calls this source unless told otherwise."""
        return (self._path.stem if self._path.is_file() else self._path.resolve().name) or "folder"

    @staticmethod
    def matches(what: object) -> float:
        """0.5 for a folder or one supported file."""
        if not isinstance(what, str | Path):
            return 0.0
        path = Path(what).expanduser()
        try:
            good = path.is_dir() or (path.is_file() and path.suffix.lower() in IMAGES | DOCUMENTS)
        except (OSError, ValueError):
            return 0.0
        return 0.5 if good else 0.0

    def __len__(self) -> int:
        """Number of files that may become records; none of them is opened, except to count tiles."""
        found = self._find()
        return sum(map(self._count, found.images)) + len(found.documents)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many tiles were left out since they are blank."""
        blank = self._coarsely_blank + self._tiles.blank
        return {"blank tiles": blank} if blank else {}

    def records(self) -> Iterator[Record]:
        """Records of images first, then of documents. Raises `UsageError` when the folder does not exist, and for tiles
        that cannot be cut."""
        if self._tiles.size or self._tiles.overlap:
            check_sizes(self._tiles.size, self._tiles.overlap)
        self.problems.clear()
        self.gone.clear()
        self._coarsely_blank = self._tiles.blank = 0
        found = self._find()
        made = self._made_before()
        if found.others:
            kinds = ", ".join(f"{kind or 'no suffix'} ({n})" for kind, n in sorted(found.others.items()))
            self.problems.append(
                (str(self._path), f"{sum(found.others.values())} files of other kinds left out: {kinds}")
            )
        for path in found.images + found.documents:
            where, sidecars = self._relative(path), found.sidecars.get(path)
            if why := unstorable(where):
                self.problems.append((ascii(where)[1:-1], f"the name {why}"))
                continue
            try:
                version = self._version(path, *(sidecars or ()))
                before = made.get(where, ())
                if sidecars is None:
                    unchanged = version == self.known.get(where)
                    yield _unchanged(where, version) if unchanged else self._document(path)
                elif self._tiles.size:
                    yield from self._cut(path, sidecars, version, before)
                elif version == self.known.get(where):
                    yield from (_unchanged(id, version) for id in (where, *before))
                else:
                    yield from self._image_and_bands(path, sidecars, before)
            except (RsragError, OSError) as error:
                self.problems.append((where, str(error)))

    # -- finding ----------------------------------------------------------------------------------

    def _find(self) -> _Found:
        if not self._path.exists():
            raise UsageError(f"there is no folder or file {self._path}.", "Check the path.")
        if self._path.is_file():
            names = {p.name for p in self._path.parent.iterdir() if p.stem == self._path.stem}
            listing = [(self._path.parent, names, [self._path.name])]
        else:
            listing = [(folder, names, sorted(names)) for folder, names in self._walk()]
        # Names rather than paths: of what has not changed, this is all that is done.
        found = _Found()
        for folder, beside, names_in_order in listing:
            for name in names_in_order:
                stem, suffix = _parted(name)
                kind = suffix.lower()
                path = folder / name
                if kind in IMAGES:
                    if self._wanted(path):
                        found.images.append(path)
                        found.sidecars[path] = [folder / s for e in SIDECARS if (s := _sibling(stem, e, beside))]
                elif kind in SIDECARS and any(_sibling(stem, e, beside) for e in IMAGES):
                    continue  # belongs to its image
                elif kind in DOCUMENTS:
                    if self._wanted(path):
                        found.documents.append(path)
                elif kind not in _COMPANIONS and self._wanted(path):
                    found.others[kind] += 1
        return found

    def _walk(self) -> Iterator[tuple[Path, set[str]]]:
        """Each folder with the names of its visible files. A folder reached twice, through a link, is read once."""
        seen: set[tuple[int, int]] = set()
        _new(self._path, seen)

        def failed(error: OSError) -> None:
            self.problems.append((str(error.filename), f"cannot be listed: {error.strerror}"))

        for top, folders, names in os.walk(self._path, followlinks=True, onerror=failed):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and _new(Path(top, f), seen))
            yield Path(top), {name for name in names if not name.startswith(".")}

    def _wanted(self, path: Path) -> bool:
        return not self._glob or any(fnmatch.fnmatch(n, self._glob) for n in (path.name, self._relative(path)))

    def _relative(self, path: Path) -> str:
        return str(path).removeprefix(f"{self.root}{os.sep}").replace(os.sep, "/")

    def _version(self, *paths: Path) -> str:
        cut = (self._tiles.size, self._tiles.overlap) if self._tiles.size and paths[0].suffix.lower() in IMAGES else ()
        stats = (path.stat() for path in paths)
        marks = "+".join(f"{s.st_size}.{s.st_mtime_ns}" for s in stats)
        return f"{marks}/{_digest(repr((self._subject, self._license, self._attribution, *cut)))}"

    # -- reading ----------------------------------------------------------------------------------

    def open_image(self, uri: str) -> Scene | None:
        """The image of a record, for who stores it; None for a blank tile."""
        if self._tiles.size and DERIVED.fullmatch(uri):
            return self._tiles.read(uri, self._open)
        return self._open(uri)

    def _open(self, where: str) -> Scene:
        path = self.root / where
        return open_scene(path) if self.plugins is None else open_scene(path, self.plugins)

    def _image_and_bands(self, path: Path, sidecars: list[Path], before: Sequence[str]) -> Iterator[Record]:
        scene = self._open(self._relative(path))
        whole = self._image(path, sidecars, scene)
        yield whole
        bands = self._bands(whole, scene)
        if bands:
            yield bands
        self.gone += [id for id in before if bands is None or id != bands.id]

    def _cut(self, path: Path, sidecars: list[Path], version: str, before: Sequence[str]) -> Iterator[Record]:
        """The tiles that are not blank, then the scene's texts."""
        where = self._relative(path)
        scene = self._open(where)
        tiled, _ = self._tiles.enter(where, scene)
        filled = tiled.filled()
        self._coarsely_blank += len(tiled.tiles) - len(filled)
        whole = self._image(path, sidecars, scene)
        stay = {where}
        for tile in filled:
            id = tile_id(where, tile)
            stay.add(id)
            unchanged = self.known.get(id) == version
            yield _unchanged(id, version) if unchanged else tile_record(whole, tiled, tile, path.stem)
        if self.known.get(where) == version:  # it comes last: all has been made before
            yield from (_unchanged(id, version) for id in (where, *before) if id not in stay - {where})
            return
        yield replace(whole, images=(), sections=(*whole.sections, Section("scene", about(scene))))
        if bands := self._bands(whole, scene):
            yield bands
            stay.add(bands.id)
        self.gone += [id for id in before if id not in stay]

    def _bands(self, whole: Record, scene: Scene) -> Record | None:
        try:
            return bands_record(whole, scene)
        except (RsragError, OSError) as error:
            self.problems.append((f"{whole.id}#bands", str(error)))
            return None

    def _count(self, path: Path) -> int:
        if not self._tiles.size:
            return 1
        try:
            scene = self._open(self._relative(path))
            return tile_count(scene, self._tiles.size, self._tiles.overlap) + 1
        except (RsragError, OSError):  # told when it is read
            return 1

    def _made_before(self) -> Mapping[str, Sequence[str]]:
        """The known ids of what was made of each image: its tiles, and what its bands say."""
        made: dict[str, list[str]] = {}
        for id in self.known:
            if found := DERIVED.fullmatch(id):
                made.setdefault(found[1], []).append(id)
        return made

    def _image(self, path: Path, sidecars: list[Path], scene: Scene) -> Record:
        where = self._relative(path)
        sections: list[Section] = []
        given: Mapping[str, Any] = {}
        for side in sidecars:
            try:
                if side.suffix.lower() == ".json":
                    given = self._read_json(side)
                else:
                    sections += _described(self._read_text(side))
            except (RsragError, OSError) as error:
                self.problems.append((self._relative(side), str(error)))
        if given:
            self.problems += [(where, note) for note in scene.notes if ".json" in note or "sidecar" in note]
        text = {key: str(given.get(key) or "").strip() for key in ("title", "subject", "caption", "text", "url")}
        if text["caption"]:
            sections.insert(0, Section("caption", text["caption"]))
        if text["text"]:
            sections.append(Section("description", text["text"]))
        stem = where.removesuffix(path.suffix)
        facts = {"gsd_m": scene.gsd_m, "sensor": scene.sensor, "bands": len(scene.bands) or None}
        exact = scene.acquired_precision not in ("year", "month")
        if scene.acquired and not exact:
            facts["year"] = scene.acquired.year
        folder = path.parent.relative_to(self.root).as_posix()
        facets = {key: value for key, value in facts.items() if value is not None}
        facets |= {"format": path.suffix[1:].lower()} | ({"folder": folder} if folder != "." else {})
        return Record(
            id=where,
            subject=text["subject"] or self._subject or f"file/{stem}",
            title=text["title"] or _readable(path.stem),
            sections=tuple(sections),
            images=(where,),
            facets=facets | self._facets(given, sidecars),
            bbox=self._bbox(given, sidecars) or scene.bbox,
            acquired=scene.acquired if exact else None,  # a record has no way to say "some day of 1985"
            url=text["url"],
            license=str(given.get("license") or self._license),
            attribution=str(given.get("attribution") or self._attribution),
            version=self._version(path, *sidecars),
        )

    def _document(self, path: Path) -> Record:
        # Costs a third of a second to import, and many folders hold only images.
        from .documents import parse_document

        where = self._relative(path)
        parts = list(parse_document(path))
        for note in dict.fromkeys(p.metadata["note"] for p in parts if "note" in p.metadata):
            self.problems.append((where, note))
        sections = tuple(
            Section("text", p.page_content, _page(p.metadata), str(p.metadata.get("heading", "")))
            for p in parts
            if p.page_content
        )
        title = next((str(p.metadata["title"]) for p in parts if p.metadata.get("title")), "")
        folder = path.parent.relative_to(self.root).as_posix()
        return Record(
            id=where,
            subject=self._subject or f"file/{where.removesuffix(path.suffix)}",
            title=title or _readable(path.stem),
            sections=sections,
            facets={"format": path.suffix[1:].lower()} | ({"folder": folder} if folder != "." else {}),
            license=self._license,
            attribution=self._attribution,
            version=self._version(path),
        )

    def _read_text(self, path: Path) -> str:
        from .documents import decode

        text, note = decode(path.read_bytes(), self._relative(path))
        if note:
            self.problems.append((self._relative(path), note))
        return text

    def _read_json(self, path: Path) -> Mapping[str, Any]:
        try:
            given = read_json(path.read_bytes())
        except ValueError as error:
            raise UsageError(f"is not valid JSON: {error}.", "The image is kept without it.") from error
        if not isinstance(given, dict):
            raise UsageError("is not a JSON object.", 'Write {"title": ...}; the image is kept without it.')
        return given

    def _bbox(self, given: Mapping[str, Any], sidecars: list[Path]) -> BBox | None:
        if "bbox" in given:
            try:
                return BBox(*(float(v) for v in given["bbox"]))
            except (RsragError, TypeError, ValueError, OverflowError) as error:
                self.problems.append((self._relative(sidecars[0]), f"bbox {given['bbox']!r} left out: {error}"))
        return None

    def _facets(self, given: Mapping[str, Any], sidecars: list[Path]) -> dict[str, Any]:
        facets: dict[str, Any] = {}
        named = given.get("facets")
        for key, value in {
            **{k: v for k, v in given.items() if k not in _KNOWN},
            **(named if isinstance(named, dict) else {} if named is None else {"facets": named}),
        }.items():
            if isinstance(value, str | int | float | bool):
                facets[key] = value
            elif isinstance(value, list) and all(isinstance(v, str) for v in value):
                facets[key] = tuple(value)
            else:
                self.problems.append((self._relative(sidecars[0]), f"'{key}' is no text, number or list; left out"))
        return facets


def _unchanged(id: str, version: str) -> Record:
    return Record(id=id, subject="", title="", version=version)


@functools.lru_cache(maxsize=8)
def _digest(options: str) -> str:
    return hashlib.sha256(options.encode()).hexdigest()[:8]


def _parted(name: str) -> tuple[str, str]:
    """Stem and suffix of a file's name, as pathlib tells them."""
    stem, dot, end = name.rpartition(".")
    return (stem, f".{end}") if stem and dot and end else (name, "")


def _sibling(stem: str, suffix: str, beside: set[str]) -> str | None:
    for end in (suffix, suffix.upper()):
        if stem + end in beside:
            return stem + end
    return None


def _new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        stat = folder.stat()
    except OSError:  # a dangling link; os.walk reports what matters
        return False
    key = (stat.st_dev, stat.st_ino)
    fresh = key not in seen
    seen.add(key)
    return fresh


def _described(text: str) -> list[Section]:
    """A short single paragraph names what the image shows; anything longer describes it."""
    text = text.strip()
    short = "\n\n" not in text and len(text.split()) <= 60
    return [Section("caption" if short else "description", text)] if text else []


def _page(metadata: Mapping[str, Any]) -> int | None:
    return int(metadata["page"]) + 1 if "page" in metadata else None


def _readable(stem: str) -> str:
    words = re.sub(r"[_\s]+", " ", stem).strip() or stem
    return words[:1].upper() + words[1:]
