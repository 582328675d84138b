"""The nouns of an evaluation: what is asked and what is right, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Literal, get_args

Task = Literal["vqa", "caption", "classify", "choice", "detect", "retrieve", "check"]
TASKS: Final[tuple[Task, ...]] = get_args(Task)
Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One question with its right answers.

    `id` is the file's own, "" where it gives none; `task` is "" until it is known. `references` are the right answers:
    texts, a class, the letter of an option, boxes as text, or ids of what should be retrieved. `labels` are the
    classes to choose from, `options` the texts of A, B, C ...; `meta` holds what else a format gives:
    "size" (width, height) in pixels, "answerable", "paths" and "item_paths" (hierarchical labels of a query and of the
    items by id, each a tuple from the widest to the narrowest), "split", "name" of the dataset's own task, and for the
    task "check" the "check" of `rsrag.evaluation.checks`.
    """

    id: str = ""
    task: Task | Literal[""] = ""
    question: str = ""
    images: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    meta: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the sample is found by in another file: its id, else its images' names and its question; "" for none."""
        if self.id:
            return self.id
        names = [PurePosixPath(image.replace("\\", "/")).name for image in self.images]
        return "\n".join([*names, " ".join(self.question.split())]).strip()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was answered: `text`, or for retrieval the ids in `ranking`, best first.

    `declined` and `confidence` are known where the file says so; `evidence` maps the numbers that the text cites to
    the texts they stand for. `cited` is the answer with its markers where `text` is without them, and `subjects` are
    those of the evidence that it cites.
    """

    text: str = ""
    ranking: tuple[str, ...] = ()
    declined: bool | None = None
    confidence: float | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    cited: str = ""
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of a file: where it stands ("answers.jsonl:17"), what it asks, and what it answers, if anything."""

    where: str
    sample: Sample
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file holds. `problems` are (where, why) of the records that could not be understood."""

    path: str
    format: str
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()
