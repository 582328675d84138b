"""Knowing when not to answer: false answers, false declines, and risk over coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Abstention:
    """Shares 0..1, NaN where there is nothing to take a share of.

    `false_answers`: of the questions that cannot be answered, those answered. `false_declines`: of those that can be
    answered, those declined. `quality`: the mean of the two shares done right, 0.5 for who always or never answers.
    """

    false_answers: float
    false_declines: float
    quality: float


def abstention(answered: Sequence[bool], answerable: Sequence[bool]) -> Abstention:
    """Compare what was answered with what could be."""
    pairs = list(zip(answered, answerable, strict=True))
    answers = [a for a, can in pairs if not can]
    declines = [not a for a, can in pairs if can]
    false_answers = sum(answers) / len(answers) if answers else math.nan
    false_declines = sum(declines) / len(declines) if declines else math.nan
    return Abstention(false_answers, false_declines, 1 - (false_answers + false_declines) / 2)


def risk_coverage(confidence: Sequence[float], correct: Sequence[bool]) -> list[tuple[float, float]]:
    """(coverage, risk) with the 1, 2 ... n most confident answers given; risk is the share of those that are wrong.

    Answers of equal confidence come in no order: the risk among them is the expected one. Raises `ValueError` for NaN.
    """
    if any(math.isnan(c) for c in confidence):
        raise ValueError("a confidence is NaN")
    ranked = sorted(zip(confidence, correct, strict=True), key=lambda pair: -pair[0])
    points: list[tuple[float, float]] = []
    given, wrong = 0, 0.0
    for _, group in groupby(ranked, key=lambda pair: pair[0]):
        equal = [not right for _, right in group]
        share = sum(equal) / len(equal)
        for _ in equal:
            given += 1
            wrong += share
            points.append((given / len(ranked), wrong / given))
    return points


def aurc(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Area under the risk-coverage curve: mean risk over all coverages, 0 (best) to 1. NaN for no answers.

    Geifman, Uziel, El-Yaniv: Bias-reduced uncertainty estimation, ICLR 2019.
    """
    points = risk_coverage(confidence, correct)
    return math.fsum(risk for _, risk in points) / len(points) if points else math.nan
