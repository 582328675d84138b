"""What a file's questions ask for, where its records do not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from .samples import Entry, Sample, Task

_MOST: Final = 0.9  # of the questions must agree before a file is taken for anything but question answering
_CLASSES: Final = re.compile(
    r"(?:categories|classes|labels|category|class|label)\b[^:]{0,40}:\s*(?P<list>[^:.?\n]+)", re.IGNORECASE
)
_ASKS_CLASS: Final = re.compile(r"\b(?:categor|class|label|land.?use|land.?cover type|type of place)", re.IGNORECASE)
_FEWEST: Final = 20  # records, before few different answers mean anything
_CAPTION: Final = re.compile(r"\b(?:descri\w+|caption\w*)\b.{0,60}\b(?:image|picture|scene|photo)", re.I | re.DOTALL)


def settle(entries: Sequence[Entry], task: Task | None = None) -> tuple[list[Entry], str]:
    """The entries with their tasks set, and a line that says how the task was found, "" where the file says it.

    `task` overrules. Records without a task get one together: choice when they have options, classification when
    their questions list the classes or ask for one of few, captioning when they ask to describe the image, else
    question answering.
    """
    if task:
        return [replace(e, sample=_with_labels(replace(e.sample, task=task))) for e in entries], ""
    unknown = [e.sample for e in entries if not e.sample.task]
    found, why = _infer(unknown)
    settled = [replace(e, sample=_with_labels(replace(e.sample, task=e.sample.task or found))) for e in entries]
    return settled, f"taken as {found}: {why}; --task says otherwise" if unknown else ""


def _infer(samples: Sequence[Sample]) -> tuple[Task, str]:
    def most(hits: int) -> bool:
        return hits >= _MOST * len(samples)

    if most(sum(bool(s.options) for s in samples)):
        return "choice", "the questions have options"
    if most(sum(bool(s.labels or listed(s.question)) for s in samples)):
        return "classify", "the questions list the classes"
    if most(sum(bool(_ASKS_CLASS.search(s.question)) for s in samples)) and _few_answers(samples):
        return "classify", "the questions ask for a class, and few different ones are right"
    if most(sum(bool(_CAPTION.search(s.question)) for s in samples)):
        return "caption", "the questions ask to describe the image"
    return "vqa", "the records name no task"


def _few_answers(samples: Sequence[Sample]) -> bool:
    """Whether the right answers look like classes: short, and each shared by ten records on average."""
    answers = {sample.references[0].strip().lower() for sample in samples if sample.references}
    return len(samples) >= max(_FEWEST, 10 * len(answers)) and all(len(answer.split()) <= 4 for answer in answers)


def listed(question: str) -> tuple[str, ...]:
    """The classes that a question lists ("... from the following categories: Airport, Park."), or ()."""
    match = _CLASSES.search(question)
    if not match:
        return ()
    names = [re.sub(r"^(?:and|or)\s+", "", name.strip()) for name in re.split(r"[,;\n]", match["list"])]
    return tuple(dict.fromkeys(filter(None, names))) if len(names) > 1 else ()


def _with_labels(sample: Sample) -> Sample:
    if sample.task != "classify" or sample.labels:
        return sample
    return replace(sample, labels=listed(sample.question))
