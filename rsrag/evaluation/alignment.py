"""Brings each answer to its question, whatever order and company the answers come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from ..errors import UsageError
from .samples import Entry, Loaded, Prediction, Sample


@dataclass(frozen=True, slots=True)
class Aligned:
    """Questions with their answers, None where there is none, in the order of the questions.

    `missing` are the questions without an answer, `extra` answers without a question, `repeated` answers given twice
    in the same words, each by what names it; `unreferenced` counts questions without a right answer, and `unread` are
    records that were not understood.
    """

    samples: tuple[Sample, ...]
    predictions: tuple[Prediction | None, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    unreferenced: int = 0
    unread: tuple[str, ...] = ()

    def only(self, places: Sequence[int]) -> Aligned:
        """The questions at these places."""
        return replace(
            self,
            samples=tuple(self.samples[i] for i in places),
            predictions=tuple(self.predictions[i] for i in places),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """A name of each question for finding it in another file; a repeated or missing name gets its count."""
        seen: dict[str, int] = {}
        found = []
        for sample in self.samples:
            seen[sample.key] = seen.get(sample.key, 0) + 1
            found.append(f"{sample.key}#{seen[sample.key]}" if seen[sample.key] > 1 or not sample.key else sample.key)
        return tuple(found)


def align(predictions: Loaded, references: Loaded | None = None) -> Aligned:
    """Answers with the questions of the same file, or of another one, by id or else by image and question.

    An answer given twice counts once when the two are equal. Without ids each record of a single file counts. An id may
    be that of an image: with another question it is another question.
    Raises `UsageError` when two answers to one question differ, and when no answer meets any question.
    """
    return _with_others(predictions, references) if references else _with_own(predictions)


def _with_own(loaded: Loaded) -> Aligned:
    kept: list[Entry] = []
    seen: dict[str, Entry] = {}
    repeated, unreferenced = [], 0
    for entry in loaded.entries:
        if not entry.sample.references and entry.sample.meta.get("answerable") is not False:
            unreferenced += 1
            continue
        name = entry.sample.id
        if name and (first := seen.setdefault(_id_question(entry.sample), entry)) is not entry:
            _must_agree(first, entry, name)
            repeated.append(name)
            continue
        kept.append(entry)
    if not kept:
        raise UsageError(
            f"{loaded.path} holds no right answers to compare with.", "Give the file that has them with --references."
        )
    if not any(entry.prediction for entry in kept):
        raise UsageError(f"{loaded.path} holds no predictions.", "Give a file whose records have a prediction.")
    missing = [e.sample.key or e.where for e in kept if e.prediction is None]
    return Aligned(
        tuple(e.sample for e in kept),
        tuple(e.prediction for e in kept),
        tuple(missing),
        (),
        tuple(repeated),
        unreferenced,
    )


def _must_agree(first: Entry, second: Entry, name: str) -> None:
    same = (first.prediction, first.sample.references) == (second.prediction, second.sample.references)
    if not same and first.prediction is not None and second.prediction is not None:
        raise UsageError(
            f"{second.where} answers {_short(name)} again, and not as {first.where} does.",
            "Keep one answer to each question.",
        )


def _id_question(sample: Sample) -> str:
    return f"{sample.id}\n{' '.join(sample.question.split())}" if sample.id else ""


def _image_question(sample: Sample) -> str:
    return replace(sample, id="").key


def _image(sample: Sample) -> str:
    return "\n".join(PurePosixPath(image.replace("\\", "/")).name for image in sample.images or (sample.id,))


# The first by which half of the answers meet a question is used for all, else the first by which any does.
_NAMES: Final[tuple[Callable[[Sample], str], ...]] = (
    _id_question,
    lambda sample: sample.key,
    _image_question,
    _image,
)


def _with_others(predictions: Loaded, references: Loaded) -> Aligned:
    questions = [e.sample for e in references.entries if e.sample.references or "answerable" in e.sample.meta]
    answers = [e for e in predictions.entries if e.prediction is not None]
    if not questions:
        raise UsageError(f"{references.path} holds no right answers.", "Its records need a reference.")
    if not answers:
        raise UsageError(f"{predictions.path} holds no predictions.", "Its records need a prediction.")
    ways = [(name_of, _places(questions, name_of)) for name_of in _NAMES]
    met = [sum(name_of(entry.sample) in asked for entry in answers) for name_of, asked in ways]
    best = next((i for i, n in enumerate(met) if 2 * n >= len(answers)), next((i for i, n in enumerate(met) if n), -1))
    name_of, asked = ways[best]
    if best < 0:
        theirs = next((s.key for s in questions if s.key), "nothing")
        ours = next((e.sample.key for e in answers if e.sample.key), "nothing")
        raise UsageError(
            f"no answer of {predictions.path} meets a question of {references.path}: "
            f"the first are {_short(ours)} and {_short(theirs)}.",
            "Both need the same ids, or the same images and questions.",
        )
    given: dict[str, list[Entry]] = {}
    extra = []
    for entry in answers:
        if (name := name_of(entry.sample)) in asked:
            given.setdefault(name, []).append(entry)
        else:
            extra.append(_short(entry.sample.key) if entry.sample.key else entry.where)
    found: list[Prediction | None] = [None] * len(questions)
    repeated = []
    for name, entries in given.items():
        places = asked[name]
        if len(entries) > len(places):  # more answers than questions of that name: only repetitions may go
            for entry in entries[1:]:
                _must_agree(entries[0], entry, name)
            repeated += [_short(name)] * (len(entries) - len(places))
        for place, entry in zip(places, entries, strict=False):
            found[place] = entry.prediction
    missing = [_short(s.key) for s, p in zip(questions, found, strict=True) if p is None]
    unreferenced = len(references.entries) - len(questions)
    return Aligned(tuple(questions), tuple(found), tuple(missing), tuple(extra), tuple(repeated), unreferenced)


def _places(questions: Sequence[Sample], name_of: Callable[[Sample], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, sample in enumerate(questions):
        if name := name_of(sample):
            found.setdefault(name, []).append(place)
    return found


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= 60 else name[:57] + "..."
