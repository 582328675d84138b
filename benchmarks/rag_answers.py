"""Captions and questions about the images of UC Merced or AID, answered by the product over a real store.

Used by rag_pays.py. The store holds the packs and the set's train rows with their captions; the questions are made of
labels and packs: what an image shows, and three that only a text about what it shows can answer. All of it runs
through `rsrag.evaluation.runner`, with its leakage guard.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import say
from rag_classify import manifest

import rsrag
from rsrag.evaluation.benchmarks import Chosen
from rsrag.evaluation.conventions import texts_standard
from rsrag.evaluation.metrics.score import Score, mean
from rsrag.evaluation.runner import PREDICTIONS, leaked, lines_of, opened, run
from rsrag.evaluation.samples import Sample
from rsrag.evaluation.setup import MODES, Setup
from rsrag.evaluation.sweep import slug
from rsrag.packs import bundled_packs
from rsrag.types import Record, Section

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
ASKED = {
    "look_alikes": "What could this be mistaken for?",
    "scale": "How large is what is shown here, and at which pixel size can it be seen?",
    "context": "Where is something like this usually found?",
}
NAMED = "what it shows"
QUESTIONS = {NAMED: "What does this image show?", **ASKED}
NONE = Setup(lanes=())
JOINED = {
    "image lanes": Setup(lanes=MODES["image"]),
    "text lanes": Setup(lanes=MODES["text"]),
    "join, rrf": Setup(),
    **{f"join, weighted, alpha {a:g}": Setup(fusion="weighted", alpha=a) for a in ALPHAS},
    "join, rrf, reranker diverse": Setup(reranker="diverse"),
}


@dataclass(frozen=True)
class Subject:
    """A class as the pack "scenes" knows it: how it is called, and its sections by part."""

    id: str
    title: str
    names: tuple[str, ...]
    sections: Mapping[str, str]


def subjects() -> dict[str, Subject]:
    """By name in one word and small letters, UC Merced's labels among them."""
    found: dict[str, Subject] = {}
    for record in rsrag.create("source", "pack", path=str(bundled_packs()["scenes"])).records():
        if record.sections:
            parts = {section.part: section.text for section in record.sections}
            subject = Subject(record.subject, record.title, (record.title, *record.aliases), parts)
            for name in (record.id, *record.aliases):
                found.setdefault(re.sub(r"[\W_]+", "", name.lower()), subject)
    return found


def word(label: str) -> str:
    """A label in one word and small letters, as `subjects` lists it."""
    return re.sub(r"[\W_]+", "", label.lower())


def per_class(rows: Sequence[Mapping[str, Any]], split: str, most: int) -> list[Mapping[str, Any]]:
    """The rows of a split, at most so many of each class, evenly taken; all of them where it is 0."""
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["split"] == split:
            of.setdefault(row["label"], []).append(row)
    return [
        own[i * len(own) // share]
        for own in of.values()
        for share in [min(most or len(own), len(own))]
        for i in range(share)
    ]


class Train:
    """Train rows as a source: one record per image, with its captions, of the pack's subject."""

    name = "train-rows"
    role = "reference"

    def __init__(self, label: str, root: Path, rows: Sequence[Mapping[str, Any]], known: Mapping[str, Subject]) -> None:
        self.label, self.root = label, root
        self._rows, self._known = rows, known

    def __len__(self) -> int:
        return len(self._rows)

    def records(self) -> Iterator[Record]:
        for row in self._rows:
            subject = self._known[word(row["label"])]
            captions = tuple(Section("caption", said) for said in dict.fromkeys(row["captions"]))
            yield Record(row["file"], subject.id, subject.title, sections=captions, images=(row["file"],))


@dataclass
class Made:
    """Questions that are already there, as a benchmark."""

    name: str
    questions: Sequence[Sample]
    root: Path
    files: Sequence[Path] = field(default_factory=tuple)

    def samples(self, split: str = "") -> Iterator[Sample]:
        yield from self.questions


class Answers:
    """The store of one encoder and one set, and what comes of asking it. Of each class, `stored` train images are in
    the store, questions are asked about `asked` val images, and `described` are to be described; 0 is all."""

    def __init__(
        self, folder: Path, home: Path, encoder: Any, name: str, *, stored: int, asked: int, described: int
    ) -> None:
        self.home, self.name = home, name
        self.asked, self.described = asked, described
        self.root = home / "images"
        self.known = subjects()
        self.rows = manifest(folder, name)
        if not (self.root / self.rows[-1]["file"]).exists():
            with tarfile.open(folder / "imagetext" / f"{name}.tar") as archive:
                archive.extractall(self.root, filter="data")
        store = home / f"store-{name}-{stored or 'all'}-{encoder.id}"
        self.kb = rsrag.KnowledgeBase(store, encoder=encoder, text_encoder="starter")
        self.said: list[str] = []
        for pack in bundled_packs().values():
            self._add(pack, pack.name)
        self._add(Train(name, self.root, per_class(self.rows, "train", stored), self.known), name)

    def _add(self, what: Any, source: str) -> None:
        if source not in {known.name for known in self.kb.sources()}:
            say(f"store: adding {source}")
            report = self.kb.add(what, source=source)
            if report.failed:
                self.said.append(f"{source}: {len(report.failed)} problems, first {report.failed[0]}")

    def captions(self, captioner: str, modes: Mapping[str, Setup]) -> dict[str, dict[str, Score]]:
        """mode -> metric -> score of the sentence that describes the image."""
        questions = [
            Sample(row["file"], "caption", images=(row["file"],), references=tuple(row["captions"]))
            for row in per_class(self.rows, "val", self.described)
        ]
        said = self._run("captions", questions, modes, captioner)
        references = [q.references for q in questions]
        return {
            mode: {m: s for m, s in texts_standard([_sentence(t) for t in texts], references).items() if m in _TOLD}
            for mode, texts in said.items()
        }

    def questions(self, modes: Mapping[str, Setup]) -> dict[str, dict[str, Score]]:
        """mode -> what was asked -> share of right answers; see `_quotes` and `_names`."""
        asked = [(row, part) for part in QUESTIONS for row in per_class(self.rows, "val", self.asked)]
        samples = [
            Sample(f"{part}/{row['file']}", "vqa", QUESTIONS[part], (row["file"],), (self._reference(row, part),))
            for row, part in asked
        ]
        found = {}
        for mode, texts in self._run("questions", samples, modes, "").items():
            of: dict[str, list[float]] = {"names it": [], "tells of it": []}
            for text, (row, part) in zip(texts, asked, strict=True):
                if part == NAMED:
                    of["names it"].append(float(self._names(text, row["label"])))
                else:
                    of["tells of it"].append(float(self._quotes(text, row["label"], part)))
            found[mode] = {what: mean(right) for what, right in of.items()}
        return found

    def _reference(self, row: Mapping[str, Any], part: str) -> str:
        subject = self.known[word(row["label"])]
        return subject.sections.get(part, subject.title)

    def _quotes(self, text: str, label: str, part: str) -> bool:
        """Whether the answer quotes the section of the right class, and none of another's."""
        quoted = {
            subject.id
            for subject in self.known.values()
            for sentence in re.split(r"(?<=[.!?])\s+", subject.sections.get(part, ""))
            if sentence and sentence in text
        }
        return quoted == {self.known[word(label)].id}

    def _names(self, text: str, label: str) -> bool:
        """Whether the verdict, the answer's first sentence, names the class, and does not decline to."""
        first = re.split(r"(?<=[.:])\s", text.strip(), maxsplit=1)[0].lower()
        named = any(re.search(rf"\b{re.escape(name.lower())}\b", first) for name in self.known[word(label)].names)
        return named and not first.startswith(("i can't", "perhaps"))

    def _run(
        self, name: str, questions: Sequence[Sample], modes: Mapping[str, Setup], captioner: str
    ) -> dict[str, list[str]]:
        chosen = Chosen(Made(name, questions, self.root))
        found = {}
        for mode, setup in modes.items():
            assistant = rsrag.Assistant(self.kb, captioner=captioner, reranker=setup.reranker, tools=False)
            setup = replace(setup, captioner=captioner)
            ways = "-".join(filter(None, (name, captioner or "quotes", setup.reranker, slug(setup))))
            out = self.home / "runs" / self.name / self.kb.encoder.id / ways
            shutil.rmtree(out, ignore_errors=True)  # what is measured is measured now; searches are kept
            with opened(chosen, assistant, setup, cache=self.home / "searches") as bench:
                say(f"{name}, {mode}: {len(bench.samples):,} questions")
                tally = run(bench, setup, out)
            if tally.failed:
                self.said.append(f"{name}, {mode}: {len(tally.failed)} failed, first {tally.failed[0]}")
            if hidden := leaked(out)["questions"]:
                self.said.append(f"{name}, {mode}: the leakage guard hid records from {hidden} questions")
            answers = {line["id"]: line.get("prediction", "") for line in lines_of(out / PREDICTIONS)}
            found[mode] = [answers.get(q.id, "") for q in questions]
        return found


_TOLD = frozenset(("ROUGE-L", "CIDEr"))


def _sentence(text: str) -> str:
    """The description without the label in front of it and the words that lead to it."""
    rest = re.sub(r"^.{1,80}? seen from above\s*\.\s*", "", text)
    rest = re.sub(r"^(Perhaps|The most similar reference images show):\s*", "", rest)
    return rest or text
