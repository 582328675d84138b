"""Naming scenes with and without a knowledge base: vectors computed once, decisions by the product's own functions.

Used by rag_pays.py. A store of thousands of images is a matrix here, so that many ways to decide cost seconds; what
decides is `rsrag.references` and `rsrag.fusion`, and `agreement` holds the result against `classify_one`.
"""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from common import REPOSITORY, say
from PIL import Image
from transductive import spelt

import rsrag
from rsrag import classification
from rsrag.evaluation.fingerprints import NEAR, VERSION, Fingerprints, fingerprints
from rsrag.fusion import rrf, weighted
from rsrag.ingest import name_vector
from rsrag.packs import bundled_packs
from rsrag.references import Referees, References
from rsrag.types import Chunk, Hit, Provenance

SETS = ("ucm", "aid")
VOTING = ("image-image", "image-name")
WORDINGS = ("label", "phrase")
"""A label in words, or the first phrase that examples/training/names.toml has for it."""
NEAREST = 50
_BATCH = 64


@dataclass(frozen=True)
class Rows:
    """The images of a set in order of their files: labels, and whether each is for validation."""

    name: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    val: np.ndarray

    @cached_property
    def classes(self) -> list[str]:
        return sorted(set(self.labels))

    @cached_property
    def right(self) -> np.ndarray:
        """(n,) the place of each image's label among the classes."""
        place = {label: i for i, label in enumerate(self.classes)}
        return np.array([place[label] for label in self.labels])

    def words(self, wording: str) -> list[str]:
        """What the classes are called in prompts."""
        if wording == "label":
            return [spelt(label) for label in self.classes]
        names = tomllib.loads((REPOSITORY / "examples" / "training" / "names.toml").read_text(encoding="utf-8"))
        return [names[label][0] for label in self.classes]


def manifest(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of imagetext/NAME.jsonl, by file."""
    lines = (folder / "imagetext" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda row: str(row["file"]))


class Images:
    """Vectors and fingerprints of both sets; kept in `home`, so that each image is decoded and encoded once."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._home = folder, home
        self._home.mkdir(parents=True, exist_ok=True)
        self.rows = {name: self._rows(name) for name in SETS}

    def _rows(self, name: str) -> Rows:
        listed = manifest(self._folder, name)
        return Rows(
            name,
            tuple(row["file"] for row in listed),
            tuple(row["label"] for row in listed),
            np.array([row["split"] == "val" for row in listed]),
        )

    def _decoded(self, name: str) -> Any:
        with tarfile.open(self._folder / "imagetext" / f"{name}.tar") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream:
                    yield member.name, Image.open(io.BytesIO(stream.read())).convert("RGB")

    def vectors(self, encoder: Any, name: str) -> np.ndarray:
        """float32 (n, dim), unit rows, in the order of `rows[name]`."""
        file = self._home / f"{encoder.id}-{name}.npy"
        if not file.exists():
            place = {where: i for i, where in enumerate(self.rows[name].files)}
            found = np.zeros((len(place), encoder.dim), np.float32)
            say(f"{name}: encoding {len(place):,} images with {encoder.id}")
            waiting: list[tuple[int, Any]] = []
            for where, image in self._decoded(name):
                waiting.append((place[where], rsrag.ArrayReader(np.asarray(image), where).scene()))
                if len(waiting) == _BATCH:
                    self._encode(encoder, waiting, found)
            self._encode(encoder, waiting, found)
            np.save(file, found, allow_pickle=False)
        kept: np.ndarray = np.load(file, allow_pickle=False)
        return kept

    @staticmethod
    def _encode(encoder: Any, waiting: list[tuple[int, Any]], found: np.ndarray) -> None:
        if waiting:
            found[[place for place, _ in waiting]] = encoder.encode_scenes([scene for _, scene in waiting])
            waiting.clear()

    def copies(self, name: str) -> dict[str, list[int]]:
        """For each val file the rows that the leakage guard takes for copies of it, turned or not."""
        file = self._home / f"copies-{VERSION}-{NEAR}-{name}.json"
        if not file.exists():
            say(f"{name}: looking for copies")
            rows = self.rows[name]
            known, asked = {}, {}
            asking = {where for where, val in zip(rows.files, rows.val, strict=True) if val}
            for where, image in self._decoded(name):
                views = fingerprints(np.asarray(image), turns=where in asking)
                known[where] = views[0]
                if where in asking:
                    asked[where] = views
            every = Fingerprints([known[where] for where in rows.files])
            found = {where: every.like(views) for where, views in asked.items()}
            file.write_text(json.dumps(found), encoding="utf-8")
        kept: dict[str, list[int]] = json.loads(file.read_text(encoding="utf-8"))
        return kept


@dataclass(frozen=True)
class Case:
    """Queries against a store: `images` (q, dim), `right` (q,) among `labels`, `prompts` (k, dim), `stored` (m, dim)
    with its `chunks`, and `hidden` (q, m), what the guard keeps from a query."""

    labels: tuple[str, ...]
    images: np.ndarray
    right: np.ndarray
    prompts: np.ndarray
    stored: np.ndarray
    chunks: Sequence[Chunk]
    hidden: np.ndarray

    @cached_property
    def cosines(self) -> np.ndarray:
        """(q, k) of each query with each label's prompts."""
        found: np.ndarray = (self.images @ self.prompts.T).astype(np.float64)
        return found

    @cached_property
    def neighbours(self) -> list[list[Hit]]:
        """What the lane image-image finds for each query."""
        found = []
        for query, hidden in zip(self.images, self.hidden, strict=True):
            near = np.where(hidden, -2, self.stored @ query)
            best = np.argsort(-near, kind="stable")[:NEAREST]
            places = [int(i) for i in best if near[i] > -2]
            found.append([_hit(self.chunks[i], float(near[i]), "image-image", n) for n, i in enumerate(places, 1)])
        return found

    @cached_property
    def references(self) -> References:
        """The stored images that show one of the labels, told by their names as the product does."""
        places = {classification._key(label): place for place, label in enumerate(self.labels)}
        found: dict[int, list[int]] = {}
        for row, chunk in enumerate(self.chunks):
            place = next((places[n] for n in classification._names_of(chunk) if n in places), None)
            if place is not None:
                found.setdefault(place, []).append(row)
        most = classification.MOST_IMAGES
        kept = [(place, row) for place in sorted(found) for row in classification._spread(found[place], most)]
        rows = [row for _, row in kept]
        shows = np.array([place for place, _ in kept], np.intp)
        return References(self.stored[rows], shows, tuple(self.chunks[row].provenance.record for row in rows))

    @cached_property
    def judged(self) -> np.ndarray:
        """(q, k) the cosines after the references had their say."""
        referees = Referees(self.references, self.prompts)
        found = []
        for image, cosines, hidden in zip(self.images, self.cosines, self.hidden, strict=True):
            copies = {self.chunks[row].provenance.record for row in np.flatnonzero(hidden)}
            fair = Referees(self.references.without(copies), self.prompts) if copies else referees
            found.append(fair.judged(image, cosines))
        return np.array(found)

    @cached_property
    def names(self) -> list[list[Hit]]:
        """What the lane image-name finds: the labels as names, best first."""
        chunks = [_chunk("text", f"name-{label}", label) for label in self.labels]
        found = []
        for row in self.cosines:
            order = np.argsort(-row, kind="stable")
            found.append([_hit(chunks[i], float(row[i]), "image-name", n) for n, i in enumerate(order, 1)])
        return found

    def hits(self, chosen: np.ndarray) -> np.ndarray:
        """(q,) 1 where the chosen label is right."""
        return (chosen == self.right).astype(float)

    def named(self) -> np.ndarray:
        """By the prompts alone."""
        return self.hits(self.cosines.argmax(1))

    def known(self) -> np.ndarray:
        """By the product's rule: prompts and references."""
        return self.hits(self.judged.argmax(1))

    def nearest(self) -> np.ndarray:
        """The label of the nearest image."""
        return self.hits(np.array([self._label(near[0]) if near else -1 for near in self.neighbours]))

    def joined(self, how: str) -> np.ndarray:
        """The label of the subject that comes first when the lanes of the scene are fused."""
        chosen = []
        for near, names in zip(self.neighbours, self.names, strict=True):
            lanes = {name: hits for name, hits in zip(VOTING, (near, names), strict=True) if hits}
            fused = rrf(lanes, VOTING) if how == "rrf" else weighted(lanes, VOTING)
            chosen.append(self._label(next(hit for hit in fused if hit.chunk.kind == "text")))
        return self.hits(np.array(chosen))

    def _label(self, hit: Hit) -> int:
        return self.labels.index(hit.chunk.title)

    def agreement(self, first: int = 12) -> float:
        """How often `classify_one` itself gives the label of `known`."""
        known = dict(zip(self.labels, self.prompts, strict=True))
        chosen = self.judged.argmax(1)
        open_ = np.flatnonzero(~self.hidden.any(1))[:first]
        same = [
            classification.classify_one(_Known(self.images[i], known), _scene(), self.labels, self.references).label
            == self.labels[chosen[i]]
            for i in open_
        ]
        return sum(same) / len(same)


@dataclass
class _Known:
    """An encoder that has already seen the one image and the labels."""

    image: np.ndarray
    labels: Mapping[str, np.ndarray]

    name = "known"
    prompts = ("{}",)
    max_gsd_m = None

    @property
    def dim(self) -> int:
        return len(self.image)

    def encode_scenes(self, scenes: Sequence[Any]) -> np.ndarray:
        return self.image[None]

    def encode_texts(self, texts: Sequence[str], role: str = "query") -> np.ndarray:
        return np.stack([self.labels[text] for text in texts])


def _scene() -> Any:
    return rsrag.ArrayReader(np.zeros((8, 8, 3), np.uint8), "query").scene()


def _chunk(kind: Any, name: str, label: str) -> Chunk:
    where = Provenance("store", name, f"class/{label}")
    return Chunk(id=name, kind=kind, part=kind, ordinal=0, title=label, text=label, content_hash=name, provenance=where)


def _hit(chunk: Chunk, cosine: float, lane: str, rank: int) -> Hit:
    return Hit(chunk, cosine, {lane: (rank, cosine)})


def case(
    images: Images, encoder: Any, name: str, queries: np.ndarray, stored: np.ndarray, wording: str = "label"
) -> Case:
    """Rows `queries` of a set against a store of its rows `stored`; both are places."""
    rows, vectors = images.rows[name], images.vectors(encoder, name)
    words = rows.words(wording)
    column = {int(row): n for n, row in enumerate(stored)}
    hidden = np.zeros((len(queries), len(stored)), bool)
    copies = images.copies(name)
    for n, query in enumerate(queries):
        hidden[n, [column[row] for row in copies[rows.files[query]] if row in column]] = True
    chunks = [_chunk("image", str(n), words[label]) for n, label in enumerate(rows.right[stored])]
    prompts = prompts_of(encoder, words)
    return Case(tuple(words), vectors[queries], rows.right[queries], prompts, vectors[stored], chunks, hidden)


def with_packs(images: Images, encoder: Any, name: str, queries: np.ndarray) -> Case:
    """Rows `queries` of a set against the images of the pack "scenes", which has not all of its classes."""
    rows, words = images.rows[name], images.rows[name].words("label")
    place = {Path(file).stem: i for i, file in enumerate(images.rows["ucm"].files)}
    pack = rsrag.create("source", "pack", path=str(bundled_packs()["scenes"]))
    shown = [record for record in pack.records() if record.images and Path(record.images[0]).stem in place]
    chunks = [
        replace(
            _chunk("image", record.id, record.title),
            provenance=Provenance("scenes", record.id, record.subject),
            facets=record.facets,
            aliases=record.aliases,
        )
        for record in shown
    ]
    stored = images.vectors(encoder, "ucm")[[place[Path(record.images[0]).stem] for record in shown]]
    hidden = np.zeros((len(queries), len(chunks)), bool)
    vectors = images.vectors(encoder, name)[queries]
    return Case(tuple(words), vectors, rows.right[queries], prompts_of(encoder, words), stored, chunks, hidden)


def prompts_of(encoder: Any, words: Sequence[str]) -> np.ndarray:
    """(k, dim), as the product encodes labels."""
    return np.stack([name_vector(encoder, "label", word) for word in words])
