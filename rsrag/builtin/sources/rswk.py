"""RSWK, the knowledge of RS-RAG: landmarks with what is known of them and what was measured there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from rsrag import BBox, Fact, Record, Section, UsageError
from rsrag.packs import bundled_packs

from .cities import country_names
from .reading import read_json, unstorable
from .rswk_fields import Measure, coordinates, measure

WORLD: Final = "world knowledge"
EXPERT: Final = "remote sensing expert knowledge"
MONTHLY: Final = "monthly expert knowledge"
TABLES: Final = ("expert_knowledge", "monthly_expert_knowledge")
FIGURES: Final = "#figures"
"""What the id of a landmark's tables adds to the landmark's."""
_SUFFIXES: Final = ("", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
_BASIC: Final = ("Category", "Area", "Location", "Address", "Physical_Area", "Construction_Period")
_STATED: Final = {"Construction_Period": "construction period", "Physical_Area": "physical area"}
_HEAD: Final = 65_536  # bytes that tell whether a file is one of these
_COUNTRIES: Final = {
    **dict.fromkeys(("England", "Scotland", "Wales", "Northern Ireland", "UK", "U.K."), "United Kingdom"),
    **dict.fromkeys(("USA", "U.S.", "US", "United States"), "United States of America"),
}


class RswkSource:
    """Records of an RSWK knowledge file: a JSON list, or JSON lines, of {ID, image_name, "world knowledge": {...},
    "remote sensing expert knowledge": {...}}; "monthly expert knowledge", "description" and "caption" where given.

    A landmark's subject is "rswk/<ID>". Its sections have RS-RAG's names: basic_info_and_history,
    architecture_and_function, culture_and_visitor, expert_knowledge, monthly_expert_knowledge (one per month, its
    heading), image_description, caption. Measures are facts too, with their units ("588.25mm") and months. Facets are
    category and, where the area names one, country; a location in degrees is the place. An image named
    `image_name` or `ID` in `images`, a folder beside the file, belongs to the landmark.

    The tables of measures are a record of their own, "<ID>#figures", without vectors: figures are looked up by
    landmark, attribute and month, and nine in ten texts need not be encoded. `embed_figures` keeps them in one record
    with the rest, as in RS-RAG: then a table is also found by meaning and by its words, whose landmark is not known.
    A bad record costs itself only; `problems` lists (record, why).
    """

    name: ClassVar[str] = "rswk"
    role: Literal["reference", "mine"] = "reference"

    def __init__(
        self,
        path: str | Path,
        images: str = "images",
        license: str = "",
        attribution: str = "RSWK",
        embed_figures: bool = False,
    ) -> None:
        self._path = Path(path).expanduser()
        self._images, self._license, self._attribution = images, license, attribution
        self._embed_figures = embed_figures
        self.problems: list[tuple[str, str]] = []
        self.gone: list[str] = []

    @staticmethod
    def matches(what: object) -> float:
        """0.9 for a .json or .jsonl file that begins with such records."""
        if not isinstance(what, str | Path):
            return 0.0
        path = Path(what).expanduser()
        try:
            if path.suffix.lower() not in (".json", ".jsonl") or not path.is_file():
                return 0.0
            with path.open("rb") as stream:
                head = stream.read(_HEAD)
        except (OSError, ValueError):
            return 0.0
        found = b'"image_name"' in head and any(f'"{key}"'.encode() in head for key in (WORLD, EXPERT, MONTHLY))
        return 0.9 if found else 0.0

    @property
    def root(self) -> Path:
        """The file's folder, which images are relative to."""
        return self._path.parent

    @property
    def label(self) -> str:
        return self._path.stem

    def __len__(self) -> int:
        apart = 0 if self._embed_figures else sum(_has_tables(value) for _, value in self._given)
        return len(self._given) + apart

    @cached_property
    def _given(self) -> list[tuple[str, Any]]:
        """(where, value or what is wrong with it). Raises `UsageError` when the file cannot be read at all."""
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise UsageError(f"{self._path} cannot be read ({error.strerror}).", "Check the path.") from error
        if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
            try:
                listed = read_json(data)
            except ValueError as error:
                raise UsageError(f"{self._path} is not valid JSON: {error}.", "It should be RSWK's list.") from error
            return [(f"{self._path.name}, record {n}", value) for n, value in enumerate(listed, 1)]
        found: list[tuple[str, Any]] = []
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                try:
                    value = read_json(line)
                except ValueError as error:
                    value = error
                found.append((f"{self._path.name}:{number}", value))
        return found

    def records(self) -> Iterator[Record]:
        """Every good record. Raises `UsageError` when the file cannot be read or is not JSON."""
        self.problems.clear()
        self.gone.clear()
        seen: set[str] = set()
        for where, given in self._given:
            try:
                if isinstance(given, ValueError):
                    raise ValueError(f"is not valid JSON: {given}")
                if isinstance(given, str):  # a record written as a text
                    given = read_json(given.encode())
                whole = self._record(given, where)
                if whole.id in seen:
                    raise ValueError(f"has the ID {whole.id} again")
            except ValueError as error:
                self.problems.append((where, str(error)))
            else:
                seen.add(whole.id)
                if self._embed_figures:
                    self.gone.append(f"{whole.id}{FIGURES}")  # of a store that was made without
                yield from [whole] if self._embed_figures else _apart(whole)

    def _record(self, given: Any, where: str) -> Record:
        if not isinstance(given, dict):
            raise ValueError("is not a JSON object")
        image_name = _text(given.get("image_name"))
        number = _text(given.get("ID")) or image_name
        if not number:
            raise ValueError("has neither ID nor image_name")
        world = _object(given, WORLD)
        title = _text(world.get("Name")) or image_name or number
        subject = f"rswk/{number}"
        measures = [*self._measures(given, EXPERT, where), *self._measures(given, MONTHLY, where)]
        sections = tuple(section for section in _sections(given, world, measures) if section.text)
        if why := unstorable(title, subject, *(section.text for section in sections)):
            raise ValueError(why)
        if not sections:
            raise ValueError("says nothing: no knowledge of any kind is given")
        image = self._image(image_name, number)
        facts = [Fact(subject, words, _text(world.get(key))) for key, words in _STATED.items() if _text(world.get(key))]
        facts += [Fact(subject, m.name, m.value, m.unit, m.when) for m in measures]
        place = coordinates(_text(world.get("Location")))
        stat = (self.root / image).stat() if image else None
        mark = f"{stat.st_size}.{stat.st_mtime_ns}" if stat else ""
        options = repr((self._license, self._attribution, image, mark, self._embed_figures))
        return Record(
            id=number,
            subject=subject,
            title=title,
            sections=sections,
            images=(image,) if image else (),
            aliases=(image_name,) if image_name and image_name != title else (),
            facts=tuple(facts),
            facets=self._facets(world),
            bbox=BBox(*place, *place) if place else None,
            license=self._license,
            attribution=self._attribution,
            version=hashlib.sha256((json.dumps(given, sort_keys=True) + options).encode()).hexdigest()[:24],
        )

    def _measures(self, given: Mapping[str, Any], key: str, where: str) -> Iterator[Measure]:
        for field, value in _object(given, key).items():
            if value is None or value == "":
                continue
            try:
                yield measure(field, value)
            except ValueError as error:
                self.problems.append((where, f"{error}; left out"))

    def _image(self, *names: str) -> str:
        """The image's path in the root, or ""; a name that leads out of the folder is no image of it."""
        folder = self.root / self._images
        for name in filter(None, names):
            for suffix in _SUFFIXES:
                path = folder / f"{name}{suffix}"
                try:
                    if path.is_file() and path.resolve().is_relative_to(self.root.resolve()):
                        return path.relative_to(self.root).as_posix()
                except (OSError, ValueError):  # a name that is none
                    continue
        return ""

    def _facets(self, world: Mapping[str, Any]) -> dict[str, str]:
        facets = {}
        if category := _text(world.get("Category")):
            facets["category"] = category
        for key in ("Area", "Location", "Address"):
            last = _text(world.get(key)).rpartition(",")[2].strip()
            country = _COUNTRIES.get(last, last)
            if country in self._countries:
                facets["country"] = country
                break
        return facets

    @cached_property
    def _countries(self) -> frozenset[str]:
        """Names of countries from the bundled places; none where that pack is not there."""
        places = bundled_packs().get("places")
        return frozenset(country_names(places / "countries.geojson").values()) if places else frozenset()


def _has_tables(given: Any) -> bool:
    if isinstance(given, str):  # a record written as a text
        return f'"{EXPERT}"' in given or f'"{MONTHLY}"' in given
    return isinstance(given, dict) and bool(given.get(EXPERT) or given.get(MONTHLY))


def _apart(whole: Record) -> Iterator[Record]:
    """What is told and shown of a landmark, and its tables of figures, which need no vectors."""
    tables = tuple(section for section in whole.sections if section.part in TABLES)
    told = tuple(section for section in whole.sections if section.part not in TABLES)
    stated = tuple(fact for fact in whole.facts if fact.attribute in _STATED.values())
    measured = tuple(fact for fact in whole.facts if fact.attribute not in _STATED.values())
    if told or whole.images:
        yield replace(whole, sections=told, facts=stated)
    if tables:
        id = f"{whole.id}{FIGURES}"
        yield replace(whole, id=id, sections=tables, images=(), facts=measured, vectors=False)


def _sections(given: Mapping[str, Any], world: Mapping[str, Any], measures: list[Measure]) -> Iterator[Section]:
    basic = ". ".join(f"{_words(key)}: {_text(world.get(key))}" for key in _BASIC if _text(world.get(key)))
    events = _events(world.get("Major_Events"))
    history = "\n".join(filter(None, (basic and f"{basic}.", _text(world.get("Historical_Background")), events)))
    yield Section("basic_info_and_history", history)
    for part, keys in (
        ("architecture_and_function", ("Architectural_Characteristics", "Primary_Function", "Details")),
        ("culture_and_visitor", ("Cultural_Significance", "Notable_Visitors")),
    ):
        yield Section(part, "\n".join(f"{_words(key)}: {text}" for key in keys if (text := _text(world.get(key)))))
    yield Section("expert_knowledge", "; ".join(m.text for m in measures if not m.when))
    for when in dict.fromkeys(m.when for m in sorted(measures, key=lambda m: m.order) if m.when):
        yield Section("monthly_expert_knowledge", "; ".join(m.text for m in measures if m.when == when), heading=when)
    yield Section("image_description", _text(given.get("description") or given.get("image_description")))
    yield Section("caption", _text(given.get("caption")))


def _events(value: Any) -> str:
    """Major events, one per line: "1855, Earthquake: ..."; other forms as they are."""
    lines = []
    for event in value if isinstance(value, list) else [value]:
        if isinstance(event, dict):
            name = ", ".join(filter(None, (_text(event.get("Year")), _text(event.get("Event")))))
            lines.append(": ".join(filter(None, (name, _text(event.get("Description"))))))
        else:
            lines.append(_text(event))
    lines = list(filter(None, lines))
    return "\n".join(["Major events:", *lines]) if lines else ""


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _object(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f'its "{key}" is no object')
    return value


def _text(value: Any) -> str:
    """A text, a number, or a list of them, as one text; anything else counts as not given."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value != value:
        return ""
    return str(value).strip()
