"""Scores of a prediction file: load, align, settle the task, and measure by a convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import UsageError
from . import conventions
from .alignment import Aligned, align
from .answers import abstention_scores, grounding_scores
from .checks import check_scores
from .conventions import Convention
from .formats import load
from .metrics import labels
from .metrics.boxes import read_boxes
from .metrics.score import Score, spread
from .samples import Entry, Loaded, Prediction, Sample, Task
from .tasks import settle


@dataclass(frozen=True, slots=True)
class Options:
    """How to score. `tolerance` is the relative one of numbers; `skip_missing` leaves unanswered questions out instead
    of counting them as wrong; `skip_bad` does so with records that are not understood."""

    convention: Convention = "standard"
    task: Task | None = None
    split: str = ""
    tolerance: float = 0.01
    skip_missing: bool = False
    skip_bad: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """Scores of one task of one file over its `n` items, which `aligned` holds. `notes` are lines for a person."""

    path: str
    task: Task
    convention: Convention
    scores: Mapping[str, Score]
    aligned: Aligned
    per_class: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.aligned.samples)


def score_file(path: Path | str, references: Path | str | None = None, options: Options | None = None) -> list[Result]:
    """Score a prediction file against its own references or those of another file: one result per task in it.

    Raises `UsageError` for what cannot be read, understood or brought together.
    """
    options = options or Options()
    aligned = read(path, references, options)
    return [measure(str(path), part, options, notes) for part, notes in by_task(aligned, options)]


def read(path: Path | str, references: Path | str | None, options: Options) -> Aligned:
    """The questions and answers of a file, or of two."""
    loaded = _checked(load(path), options)
    others = None if references is None else _checked(load(references, split=options.split), options)
    unread = [*loaded.problems, *(others.problems if others else ())]
    return replace(align(loaded, others), unread=tuple(f"{where} {why}" for where, why in unread))


def _checked(loaded: Loaded, options: Options) -> Loaded:
    if loaded.problems and not options.skip_bad:
        where, why = loaded.problems[0]
        more = len(loaded.problems) - 1
        raise UsageError(
            f"{where} {why}{f' (and {more:,} more)' if more else ''}.",
            "Correct it; --skip-bad leaves such records out, and says how many.",
        )
    return loaded


def by_task(aligned: Aligned, options: Options) -> list[tuple[Aligned, tuple[str, ...]]]:
    """The questions of each task apart, with what there is to say about finding it."""
    entries, note = settle([Entry("", sample) for sample in aligned.samples], options.task)
    aligned = replace(aligned, samples=tuple(e.sample for e in entries))
    tasks = list(dict.fromkeys(sample.task for sample in aligned.samples))
    parts = [aligned.only([i for i, s in enumerate(aligned.samples) if s.task == task]) for task in tasks]
    return [(part, (note,) if note else ()) for part in parts]


def measure(path: str, aligned: Aligned, options: Options, notes: Sequence[str] = ()) -> Result:
    """Scores of questions of one task."""
    task = aligned.samples[0].task
    assert task
    _fits(path, task, aligned)
    notes = [*notes, *_said(aligned, options)]
    places = [i for i, p in enumerate(aligned.predictions) if p is not None or not options.skip_missing]
    if options.convention == "rsrag-paper":
        conventions.paper_allows(task)
        # An empty side does not count; an empty class is a wrong one.
        kept = [i for i in places if countable(aligned.samples[i], aligned.predictions[i])]
        if len(kept) < len(places):
            notes.append(f"{len(places) - len(kept):,} of {len(places):,} pairs left out: one side is empty")
        places = kept
    if not places:
        raise UsageError(f"{path} has nothing to score.", "Every answer is missing or empty.")
    aligned = aligned.only(places)
    answers = [p or Prediction() for p in aligned.predictions]
    scores, per_class, more = _scores(aligned.samples, answers, task, options)
    return Result(path, task, options.convention, scores, aligned, per_class, tuple(dict.fromkeys([*notes, *more])))


def _fits(path: str, task: Task, aligned: Aligned) -> None:
    """Raises `UsageError` where a task was chosen that the file's records are not made for."""
    for sample in aligned.samples:
        name = " ".join(sample.key.split())[:40] or "a question"
        lacks = {
            "choice": "has no options" if not sample.options else "",
            "detect": "has no boxes as its right answer"
            if sample.references and not read_boxes(sample.references[0]).boxes
            else "",
        }.get(task)
        if lacks:
            raise UsageError(f"{path}: {name} {lacks}, so it cannot be scored as {task}.", "Choose another --task.")
    if task == "retrieve" and not any(p and (p.ranking or p.declined) for p in aligned.predictions):
        raise UsageError(f"{path} holds no rankings.", 'Retrieval needs "ranking": [ids, best first].')


def countable(sample: Sample, prediction: Prediction | None) -> bool:
    """Whether `rsrag-paper` counts a pair: both sides say something, or, of a class, the right answer does."""
    said = sample.task == "classify" or (prediction is not None and prediction.text != "")
    return said and bool(sample.references)


def _scores(
    samples: Sequence[Sample], answers: Sequence[Prediction], task: Task, options: Options
) -> tuple[dict[str, Score], dict[str, float], list[str]]:
    notes: list[str] = []
    per_class: dict[str, float] = {}
    if task == "check":
        return check_scores(samples, answers), per_class, notes
    if options.convention == "rsrag-paper":
        if task == "classify":
            said = [a.text.strip().lower() for a in answers]
            right = [s.references[0].strip().lower() for s in samples]
            scores = {"Accuracy": labels.accuracy(said, right)}
            per_class = labels.per_class(said, right)
            notes += _outside(said, tuple(dict.fromkeys(right)))
        else:
            scores = conventions.texts_paper([a.text for a in answers], [s.references for s in samples])
    else:
        asked = [i for i, s in enumerate(samples) if s.references]
        some, given = [samples[i] for i in asked], [answers[i] for i in asked]
        scores = conventions.STANDARD[task](some, given, options.tolerance) if some else {}
        if task == "classify":
            known = conventions.label_list(some)
            said_or_none = [labels.read_label(a.text, known) for a in given]
            names = {labels.plain(label): label for label in known}
            per_class = labels.per_class(said_or_none, [names[labels.plain(s.references[0])] for s in some])
            unread = [a.text for a, label in zip(given, said_or_none, strict=True) if label is None and a.text]
            notes += _outside(unread, ())
        scores = {name: spread(score, asked, len(samples)) for name, score in scores.items()}
        scores |= grounding_scores(answers)
        scores |= abstention_scores(samples, answers, _correct(scores, len(samples)))
    return scores, per_class, notes


def _correct(scores: Mapping[str, Score], n: int) -> list[float]:
    """1 where an answer is right by the task's plainest measure, or gives the right number; else 0."""
    plainest = [
        scores[name].items for name in ("Accuracy", "Exact match", "P@0.5", "Numeric accuracy") if name in scores
    ]
    return [float(any(items[i] == 1 for items in plainest)) for i in range(n)]


def _outside(said: Sequence[str], known: Sequence[str]) -> list[str]:
    counts = labels.outside(said, known)
    if not counts:
        return []
    shown = ", ".join(f"{repr(name[:30]) if name else 'nothing'} ({n:,})" for name, n in list(counts.items())[:3])
    return [f"{sum(counts.values()):,} answers name none of the classes, or not one alone, and are wrong: {shown}"]


def _said(aligned: Aligned, options: Options) -> list[str]:
    """Lines about what did not fit together."""
    lines = []
    left_out = options.skip_missing or (options.convention == "rsrag-paper" and aligned.samples[0].task != "classify")
    treated = "left out" if left_out else "counted as wrong"
    for names, what in (
        (aligned.unread, "records are not understood and left out"),
        (aligned.missing, f"questions have no answer and are {treated}"),
        (aligned.extra, "answers have no question and are left out"),
        (aligned.repeated, "answers are given again in the same words and count once"),
    ):
        if names:
            shown = "; ".join(" ".join(name.split())[:40] for name in names[:3])
            lines.append(f"{len(names):,} {what}: {shown}{' ...' if len(names) > 3 else ''}")
    if aligned.unreferenced:
        lines.append(f"{aligned.unreferenced:,} records have no right answer and are left out")
    return lines
