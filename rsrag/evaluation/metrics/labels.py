"""Classification: which label an answer names, accuracy, per-class accuracy, macro F1."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .score import Score, mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def plain(text: str) -> str:
    """A label for comparison: lower case, without quotes and full stop; "_" and "-" are spaces."""
    return " ".join(re.sub(r"[_\-\s]+", " ", text.strip().strip("\"'“”‘’`*").rstrip(".!")).split()).casefold()


def read_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that an answer names, as `labels` writes it, or None: nothing is guessed.

    Either the answer is the label, or exactly one of the labels stands in it; one within another, as park in
    "amusement park", does not count.
    """
    by_name = {plain(label): label for label in labels}
    whole = plain(text)
    if whole in by_name:
        return by_name[whole]
    names = sorted(filter(None, by_name), key=len, reverse=True)
    if not names:
        return None
    found = set(re.findall(r"(?<!\w)(?:" + "|".join(map(re.escape, names)) + r")(?!\w)", whole))
    return by_name[found.pop()] if len(found) == 1 else None


def accuracy(predictions: Sequence[str | None], references: Sequence[str]) -> Score:
    """The share of predictions that equal their reference; None is wrong."""
    return mean([float(p == r) for p, r in zip(predictions, references, strict=True)])


def per_class(predictions: Sequence[str | None], references: Sequence[str]) -> dict[str, float]:
    """Accuracy among the items of each reference class, in the order in which the classes first occur."""
    right: dict[str, list[bool]] = {}
    for prediction, reference in zip(predictions, references, strict=True):
        right.setdefault(reference, []).append(prediction == reference)
    return {label: sum(hits) / len(hits) for label, hits in right.items()}


def macro_f1(predictions: Sequence[str | None], references: Sequence[str]) -> Score:
    """The mean of F1 over the classes that occur among the references; items are right or wrong (1 or 0).

    A prediction of any other class, or None, is a miss of the reference's class and nothing else.
    """
    import numpy as np

    if not references:
        return Score(math.nan, ())
    classes = {label: i for i, label in enumerate(dict.fromkeys(references))}
    count = len(classes)
    columns = np.zeros((len(references), 3 * count))  # hits, predicted, present
    rows = np.arange(len(references))
    wanted = np.array([classes[r] for r in references])
    given = np.array([classes.get(p, -1) if p is not None else -1 for p in predictions])
    columns[rows, 2 * count + wanted] = 1
    known = given >= 0
    columns[rows[known], count + given[known]] = 1
    right = known & (given == wanted)
    columns[rows[right], wanted[right]] = 1

    def of_means(means: NDArray[np.float64]) -> NDArray[np.float64]:
        hits, predicted, present = np.split(means, 3, axis=1)
        total = predicted + present
        f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
        seen = present > 0  # a resampled set may lack a class
        return np.asarray((f1 * seen).sum(1) / np.maximum(1, seen.sum(1)))

    value = float(of_means(columns.mean(0, keepdims=True))[0])
    return Score(value, tuple(map(float, right)), columns, of_means)


def outside(predictions: Sequence[str | None], labels: Sequence[str]) -> Mapping[str, int]:
    """Predictions that are none of the labels, with their counts, most frequent first."""
    known = set(labels)
    counts: dict[str, int] = {}
    for prediction in predictions:
        if prediction is not None and prediction not in known:
            counts[prediction] = counts.get(prediction, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
