"""Values of a record, checked: what is not understood is a `ValueError` that says so, never a guess."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..samples import Task

Fields = Mapping[str, Any]

_PREDICTIONS: Final = (
    *("prediction", "predict", "pred", "output", "generated_text", "model_answer", "model_output"),
    *("predicted_answer", "model_response"),
)
_REFERENCES: Final = ("reference", "references", "ground_truth", "gt", "label", "labels", "target", "gold")
_EITHER: Final = ("response", "answer", "caption")
_TASKS: Final[tuple[tuple[str, Task], ...]] = (
    (r"caption|descri", "caption"),
    (r"multiple.?choice|\bmcq\b|^choice", "choice"),
    (r"vqa|question|\bqa\b", "vqa"),
    (r"classif|categor|recogni|^cls$", "classify"),
    (r"detect|ground|ref.?det|localis|localiz|\bbox", "detect"),
    (r"retriev|search", "retrieve"),
)


def text_of(value: object, key: str) -> str | None:
    """A text; a number is its digits, null is None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{key} is {value}, which is no number that can be scored")
        return str(value)
    raise ValueError(f"{key} is {_short(value)}; it should be a text")


def said_of(value: object, key: str) -> str | None:
    """A prediction's text, which a batch of one may have left in a list."""
    return text_of(value[0] if isinstance(value, list) and len(value) == 1 else value, key)


def images_of(value: object) -> tuple[str, ...]:
    """Paths of images: texts, or objects of {path} as Hugging Face's datasets write them, one or a list."""
    found = value if isinstance(value, list | tuple) else [value]
    return texts_of([each.get("path") if isinstance(each, dict) else each for each in found], "images")


def texts_of(value: object, key: str) -> tuple[str, ...]:
    """A list of texts, or one text; () for null and for what is empty."""
    found = value if isinstance(value, list | tuple) else [value]
    return tuple(text for each in found if (text := text_of(each, key)) is not None and text != "")


def number_of(value: object, key: str) -> float | None:
    """A finite number, or None for null."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} is {_short(value)}; it should be a finite number")
    return float(value)


def first(record: Fields, keys: Iterable[str]) -> Any:
    """The value of the first of the keys that is there and not null."""
    return next((record[key] for key in keys if record.get(key) is not None), None)


def task_of(value: object) -> Task | str:
    """Our name of a dataset's task ("Visual Question Answering"), or "" for one that is not known."""
    if not isinstance(value, str):
        return ""
    name = value.lower()
    return next((task for pattern, task in _TASKS if re.search(pattern, name)), "")


def answer_keys(record: Fields, has_reference: bool) -> tuple[str, str]:
    """(key of the prediction, key of the reference) in a record, "" for those it has not.

    "response", "answer" and "caption" may be either: the prediction where another key gives the reference, else the
    reference where another gives the prediction. Raises `ValueError` where that does not decide.
    """
    predictions = [key for key in _PREDICTIONS if key in record]
    references = [
        key for key in _REFERENCES if key in record and not (key == "labels" and isinstance(record[key], list))
    ]
    either = [key for key in _EITHER if key in record]
    for keys, what in ((predictions, "prediction"), (references, "reference")):
        if len({str(record[key]) for key in keys}) > 1:
            raise ValueError(f"gives more than one {what}: {' and '.join(keys)}")
    prediction, reference = (keys[0] if keys else "" for keys in (predictions, references))
    if either and not (prediction and (reference or has_reference)):
        if len(either) > 1:
            raise ValueError(f"{' and '.join(either)}: which is the prediction is not clear; call it prediction")
        if prediction:
            reference = either[0]
        elif reference or has_reference:
            prediction = either[0]
        else:
            reference = either[0]
    return prediction, reference


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
