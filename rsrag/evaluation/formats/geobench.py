"""GEOBench-VLM's qa.json (single, temporal, referring detection, captioning), and the results its own scripts write.

Each question comes with several prompts, which are samples of their own: id "<question_id>/<prompt>". Questions with
options are multiple choice; where the ground truth is boxes, detection; else captioning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..metrics.boxes import read_boxes
from ..metrics.choices import letters
from ..metrics.labels import plain
from ..samples import Entry, Prediction, Sample, Task
from .fields import Fields, first, text_of, texts_of

_TRUTH = ("ground_truth", "ground_truth_bbox", "bbox", "boxes", "caption", "answer")


def matches(record: Fields) -> bool:
    return ("prompts" in record or "predicted_answers" in record) and any(
        key in record for key in ("ground_truth", "ground_truth_option", "question_id", *_TRUTH)
    )


def read(where: str, record: Fields) -> Iterator[Entry]:
    prompts = texts_of(first(record, ("prompts", "questions")), "prompts")
    answers = record.get("predicted_answers")
    if answers is not None and (not isinstance(answers, list) or len(answers) != len(prompts)):
        raise ValueError("predicted_answers is not one answer per prompt")
    if not prompts:
        raise ValueError("has no prompts")
    options = options_of(record)
    truth = first(record, _TRUTH)
    task: Task
    references: tuple[str, ...]
    if options:
        task, references = "choice", (choice_of(record.get("ground_truth_option"), truth, options),)
    elif boxes := boxes_of(truth):
        task, references = "detect", (boxes,)
    else:
        task, references = "caption", texts_of(truth, "ground_truth")
    number = text_of(record.get("question_id"), "question_id") or ""
    about = text_of(record.get("cls_description"), "cls_description") or ""
    images = texts_of(first(record, ("image_path", "image_paths", "name_images", "image_name")), "image_path")
    for ordinal, prompt in enumerate(prompts):
        answer = text_of(answers[ordinal], "a predicted answer") if answers is not None else None
        yield Entry(
            where,
            Sample(
                id=f"{number}/{ordinal}" if number else "",
                task=task,
                question=f"{about}\n{prompt}".strip(),
                images=images,
                references=references,
                options=options,
                meta={"name": record["task"]} if record.get("task") else {},
            ),
            None if answer is None else Prediction(answer),
        )


def options_of(record: Fields) -> tuple[str, ...]:
    """The texts of the options, from a list, an object by letter, or a line "A. one B. two"."""
    given = first(record, ("options_list", "options", "choices"))
    if isinstance(given, dict):
        return tuple(str(given[key]).strip() for key in sorted(given))
    if isinstance(given, str):
        pieces = re.split(r"(?:^|\s)\(?([A-Z])[.):]\s+", given)
        texts = [piece.strip() for piece in pieces[2::2]]
        if "".join(pieces[1::2]) != letters(len(texts)) or len(texts) < 2:
            raise ValueError(f"its options are not read as A. ... B. ...: {given[:40]!r}")
        return tuple(texts)
    return tuple(text.strip() for text in texts_of(given, "options"))


def choice_of(letter: object, text: object, options: Sequence[str]) -> str:
    """The letter of the right option, which a record gives as a letter, as a text, or as both."""
    known = letters(len(options))
    if isinstance(letter, str) and (found := letter.strip(" .():").upper()):
        if found not in known:
            raise ValueError(f"the right option is {letter!r}, and there are {len(options)}")
        return found
    names = [plain(option) for option in options]
    wanted = plain(str(text if text is not None else ""))
    if names.count(wanted) == 1:
        return known[names.index(wanted)]
    if wanted.upper() in tuple(known):
        return wanted.upper()
    raise ValueError(f"the right answer {str(text)[:40]!r} is not one of its options")


def boxes_of(truth: Any) -> str:
    """Boxes as text, or "" for what is none."""
    if isinstance(truth, dict):
        truth = first(truth, ("bbox", "boxes", "bbox_2d", "polygon"))
    if not isinstance(truth, list | str) or not truth:
        return ""
    text = truth if isinstance(truth, str) else json.dumps(truth)
    words = re.sub(r"[^a-z]+", "", text.lower()) if isinstance(truth, str) else ""
    return text if len(words) < 30 and read_boxes(text).boxes else ""
