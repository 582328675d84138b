"""A knowledge pack: a folder with pack.toml, records in *.jsonl and images."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from rsrag import BBox, Fact, Record, RsragError, Section, UsageError
from rsrag.packs import bundled_packs

from . import pack_vectors
from .cities import city, country_names
from .reading import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KEYS: Final = frozenset(
    "id subject title aliases labels text sections facts facets images bbox point acquired url license source "
    "vectors".split()
)
_SECTION_KEYS: Final = frozenset(("part", "text", "page", "heading"))
_FACT_KEYS: Final = frozenset(("attribute", "value", "unit", "when"))
_PACK_KEYS: Final = frozenset("name title version description license attribution role url".split())


class PackSource:
    """Records of the pack at `path`, or of a pack that comes with rsrag, by its name ("scenes").

    pack.toml gives name, title, version, description, license, attribution and role ("reference" by default).
    Each line of its *.jsonl files is one record: id, subject and title, and where known aliases, labels (short
    names of what an image shows), text, sections [{part, text, page, heading}], facts [{attribute, value, unit,
    when}], facets, images (paths in the pack), bbox [west, south, east, north] or point [lon, lat], acquired,
    url, license, source and vectors. cities.jsonl is compact: see `cities.py`; vectors/ holds what an encoder made of
    the pack, if anything: see `pack_vectors.py`.
    A broken line costs itself only; `problems` lists ("records.jsonl:17", why) after `records()`.
    """

    name: ClassVar[str] = "pack"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()
        self._asked = str(path)
        self.problems: list[tuple[str, str]] = []

    @staticmethod
    def matches(what: object) -> float:
        """0.9 for a folder with pack.toml, or for the name of a bundled pack where nothing of that name exists."""
        if not isinstance(what, str | Path):
            return 0.0
        try:
            path = Path(what).expanduser()
            found = (path / "pack.toml").is_file() or (not path.exists() and str(what) in bundled_packs())
        except (OSError, ValueError):
            return 0.0
        return 0.9 if found else 0.0

    @cached_property
    def root(self) -> Path:
        """The pack's folder. Raises `UsageError` when there is none."""
        if (self._path / "pack.toml").is_file():
            return self._path
        packs = bundled_packs()
        if self._asked in packs:
            return packs[self._asked]
        if self._path.is_dir():
            raise UsageError(f"{self._path} is no knowledge pack: it has no pack.toml.", "Add it as a folder instead.")
        near = difflib.get_close_matches(self._asked, packs, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Bundled packs: {', '.join(packs) or 'none'}."
        raise UsageError(f"there is no knowledge pack {self._asked}.", hint)

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What pack.toml says. Raises `UsageError` when it is not valid TOML or names no pack."""
        file = self.root / "pack.toml"
        try:
            about = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} cannot be read: {error}.", "Correct it; it is TOML.") from error
        if not isinstance(about.get("name"), str) or not about["name"]:
            raise UsageError(f"{file} names no pack.", 'Add a line: name = "my-pack".')
        if about.get("role", "reference") not in ("reference", "mine"):
            raise UsageError(f"{file}: role is {about['role']!r}.", 'It is "reference" or "mine".')
        return about

    @property
    def label(self) -> str:
        """The pack's name, which is also its name in a store."""
        return str(self.about["name"])

    @property
    def role(self) -> Literal["reference", "mine"]:
        return "mine" if self.about.get("role") == "mine" else "reference"

    def __len__(self) -> int:
        count = 0
        for file in self._files():
            with file.open("rb") as stream:
                count += sum(1 for line in stream if line.strip())
        return count

    def _files(self) -> list[Path]:
        return sorted(self.root.glob("*.jsonl"))

    def vectors_for(self, space: str, encoder: str) -> Mapping[str, NDArray[np.float32]]:
        """Vectors that come with the pack; see `pack_vectors.py`."""
        return pack_vectors.read(self.root, space, encoder)

    def records(self) -> Iterator[Record]:
        """Every good record. Raises `UsageError` when there is no pack or pack.toml is broken."""
        self.problems.clear()
        self._note_unknown("pack.toml", self.about, _PACK_KEYS)
        if not self._files():
            self.problems.append((str(self.root), "the pack has no *.jsonl file"))
        seen: dict[str, str] = {}
        for file in self._files():
            read = self._city if file.name == "cities.jsonl" else self._record
            with file.open("rb") as stream:
                for number, raw in enumerate(stream, 1):
                    if not raw.strip():
                        continue
                    where = f"{file.name}:{number}"
                    try:
                        record = read(raw, where)
                        if record.id in seen:
                            raise UsageError(f"id '{record.id}' is taken by {seen[record.id]}.", "Ids are unique.")
                    except (RsragError, OSError) as error:
                        self.problems.append((where, str(error)))
                    except ValueError as error:  # JSON and UTF-8
                        self.problems.append((where, f"is not valid JSON: {error}."))
                    else:
                        seen[record.id] = where
                        yield record

    # -- one line ---------------------------------------------------------------------------------

    def _record(self, raw: bytes, where: str) -> Record:
        line = read_json(raw)
        if not isinstance(line, dict):
            raise UsageError("is not a JSON object.", 'A record is {"id": ..., "subject": ..., "title": ...}.')
        missing = [key for key in ("id", "subject", "title") if not isinstance(line.get(key), str) or not line[key]]
        if missing:
            raise UsageError(f"lacks {', '.join(missing)}.", "Each is a text that is not empty.")
        self._note_unknown(where, line, _KEYS)
        images = _texts(line, "images")
        stats = [self._inside(image).stat() for image in images]
        marks = "".join(f"+{s.st_size}.{s.st_mtime_ns}" for s in stats)
        vectors = line.get("vectors", True)
        if not isinstance(vectors, bool):
            raise UsageError(f"vectors is {vectors!r}.", "It is true or false.")
        return Record(
            id=line["id"],
            subject=line["subject"],
            title=line["title"],
            text=_text(line, "text"),
            sections=(*(Section("label", label) for label in _texts(line, "labels")), *self._sections(line, where)),
            images=images,
            aliases=_texts(line, "aliases"),
            facts=tuple(self._facts(line, where)),
            facets=_facets(line),
            bbox=_bbox(line),
            acquired=_time(line),
            url=_text(line, "url"),
            license=_text(line, "license") or str(self.about.get("license", "")),
            attribution=_text(line, "source") or str(self.about.get("attribution", "")),
            version=self._version(raw, marks),
            vectors=vectors,
        )

    def _version(self, raw: bytes, marks: str = "") -> str:
        defaults = f"{self.about.get('license')}|{self.about.get('attribution')}|{marks}".encode()
        return hashlib.sha256(raw.strip() + defaults).hexdigest()[:24]

    def _note_unknown(self, where: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                self.problems.append((where, f"unknown key '{key}'" + (f"; did you mean '{near[0]}'?" if near else "")))

    def _inside(self, image: str) -> Path:
        """The image's file. What a pack names must lie in its own folder, links followed."""
        path = self.root / image
        if "://" in image or Path(image).is_absolute() or not path.resolve().is_relative_to(self.root.resolve()):
            raise UsageError(f"image {image} lies outside the pack.", "Put it into the pack's folder.")
        if not path.is_file():
            raise UsageError(f"image {image} does not exist.", "Paths are relative to the pack's folder.")
        return path

    def _sections(self, line: Mapping[str, Any], where: str) -> Iterator[Section]:
        for given in _objects(line, "sections"):
            self._note_unknown(where, given, _SECTION_KEYS)
            page = given.get("page")
            if page is not None and (not isinstance(page, int) or isinstance(page, bool)):
                raise UsageError(f"a section's page is {page!r}.", "It is a whole number.")
            if not _text(given, "text"):
                raise UsageError("a section has no text.", 'Write {"part": "history", "text": "..."}.')
            if given.get("part") == "image":  # what stands for an image in the store
                raise UsageError('a section has the part "image".', "That name is reserved; choose another one.")
            yield Section(_text(given, "part") or "text", _text(given, "text"), page, _text(given, "heading"))

    def _facts(self, line: Mapping[str, Any], where: str) -> Iterator[Fact]:
        for given in _objects(line, "facts"):
            self._note_unknown(where, given, _FACT_KEYS)
            value = given.get("value")
            if not _text(given, "attribute") or isinstance(value, bool) or not isinstance(value, str | int | float):
                raise UsageError(
                    "a fact lacks attribute or value.", 'Write {"attribute": "area", "value": 5, "unit": "km2"}.'
                )
            yield Fact(line["subject"], given["attribute"], value, _text(given, "unit"), str(given.get("when") or ""))

    # -- cities -----------------------------------------------------------------------------------

    @cached_property
    def _countries(self) -> Mapping[str, str]:
        try:
            return country_names(self.root / "borders.npz") or country_names(self.root / "countries.geojson")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problems.append(("countries", f"cannot be read, so codes stand for names: {error!r}"))
            return {}

    @cached_property
    def _regions(self) -> Mapping[str, Mapping[str, str]]:
        file = self.root / "regions.json"
        try:
            return dict(read_json(file.read_bytes())) if file.is_file() else {}
        except (OSError, ValueError, TypeError) as error:
            self.problems.append((file.name, f"cannot be read, so towns are told without their region: {error!r}"))
            return {}

    def _city(self, raw: bytes, where: str) -> Record:
        made = city(read_json(raw), self._countries, self._regions)
        return replace(made, version=self._version(raw, made.text))


# -- checked values of a line ---------------------------------------------------------------------


def _text(line: Mapping[str, Any], key: str) -> str:
    value = line.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{key} is {value!r}.", "It is a text.")
    return value or ""


def _texts(line: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = line.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"{key} is {value!r}.", "It is a list of texts.")
    return tuple(value)


def _objects(line: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = line.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UsageError(f"{key} is {value!r}.", "It is a list of objects.")
    return value


def _facets(line: Mapping[str, Any]) -> dict[str, Any]:
    given = line.get("facets") or {}
    if not isinstance(given, dict):
        raise UsageError(f"facets is {given!r}.", 'It is an object: {"sensor": "Sentinel-2"}.')
    facets = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    for key, value in facets.items():
        kinds = (
            {type(v) for v in value} - {str} if isinstance(value, tuple) else {type(value)} - {str, int, float, bool}
        )
        if kinds:
            raise UsageError(f"facet {key} is {value!r}.", "It is a text, a number, true, false or a list of texts.")
    return facets


def _bbox(line: Mapping[str, Any]) -> BBox | None:
    for key, size in (("bbox", 4), ("point", 2)):
        value = line.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or len(value) != size or not all(type(v) in (int, float) for v in value):
            raise UsageError(
                f"{key} is {value!r}.", f"It is {'[west, south, east, north]' if size == 4 else '[lon, lat]'}."
            )
        return BBox(*value, *(value if size == 2 else ()))
    return None


def _time(line: Mapping[str, Any]) -> datetime | None:
    text = _text(line, "acquired")
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"acquired is {text!r}.", "It is a date or time as in 2020-05-03T10:30:00Z.") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
