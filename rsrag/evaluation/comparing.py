"""Two prediction files over the questions that both answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from .alignment import Aligned
from .bootstrap import RESAMPLES, Difference, paired
from .samples import Task
from .scoring import Options, by_task, countable, measure, read


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences of one task by metric, over `n` questions; `notes` are lines for a person. `a` and `b` name the two
    where several are compared with the first."""

    task: Task
    n: int
    differences: dict[str, Difference]
    notes: tuple[str, ...] = ()
    a: str = ""
    b: str = ""


def compare(
    a: Path | str,
    b: Path | str,
    references: Path | str | None = None,
    options: Options | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Score two files on their common questions and bootstrap the differences, B minus A, for each task.

    Questions are the same by id, else by images and question, else by place where neither is given.
    Raises `UsageError` when they have none in common, or when their right answers differ.
    """
    options = options or Options()
    ours, theirs = (dict(_parts(path, references, options)) for path in (a, b))
    found = []
    for task, (first, notes) in ours.items():
        if task not in theirs:
            continue
        second = theirs[task][0]
        places = {key: i for i, key in enumerate(second.keys)}
        common = [(i, places[key]) for i, key in enumerate(first.keys) if key in places]
        if any(first.samples[i].references != second.samples[j].references for i, j in common):
            raise UsageError(f"{a} and {b} do not have the same right answers.", "Give one file with --references.")
        apart = len(first.samples) + len(second.samples) - 2 * len(common)
        said = [*notes, *([f"{apart:,} questions are in one of the files only and left out"] if apart else [])]
        kept = [(i, j) for i, j in common if _counts(first, i, options) and _counts(second, j, options)]
        if not kept:
            continue
        left = measure(str(a), first.only([i for i, _ in kept]), options, said)
        right = measure(str(b), second.only([j for _, j in kept]), options)
        pairs = {
            name: (score, right.scores[name])
            for name, score in left.scores.items()
            if score.items and name in right.scores
        }
        if not pairs:
            continue
        differences = paired(pairs, resamples=resamples, seed=seed)
        found.append(Comparison(task, left.n, differences, tuple(dict.fromkeys([*left.notes, *right.notes]))))
    if not found:
        raise UsageError(f"{a} and {b} have no question in common.", "They need the same ids, or images and questions.")
    return found


def _parts(
    path: Path | str, references: Path | str | None, options: Options
) -> Iterator[tuple[Task, tuple[Aligned, tuple[str, ...]]]]:
    for part, notes in by_task(read(path, references, options), options):
        task = part.samples[0].task
        assert task
        yield task, (part, notes)


def _counts(aligned: Aligned, place: int, options: Options) -> bool:
    """Whether the file itself would count this question: what one of the two leaves out, both leave out."""
    sample, prediction = aligned.samples[place], aligned.predictions[place]
    if options.skip_missing and prediction is None:
        return False
    return options.convention != "rsrag-paper" or countable(sample, prediction)
