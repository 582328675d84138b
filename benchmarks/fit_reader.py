"""Fit how sure the reader behind `extractive` is: a logistic model per route of an answer, on development questions.

    python benchmarks/fit_reader.py --kb KB [--questions tests/questions/dev.jsonl] [--write]

Every question is answered whatever the reader thinks of it (a threshold of 0), and judged. For each route the model
learns from what the reader saw whether the answer is right; a question that cannot be answered has no right one. Said
is the area under the risk-coverage curve and what the threshold does, by five-fold cross-validation: questions of a
fold are judged by weights fitted on the others. `--write` puts the weights, fitted on all, and the threshold into
rsrag/answering/reliability.json. Never run it on the test questions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsrag import Assistant, KnowledgeBase
from rsrag.answering import read
from rsrag.builtin.benchmarks.questions import QuestionsBenchmark
from rsrag.evaluation.asking import prediction_of
from rsrag.evaluation.checks import judged
from rsrag.evaluation.metrics.abstention import aurc
from rsrag.types import Capabilities, Text, Verdict

TARGET = Path(__file__).parents[1] / "rsrag" / "answering" / "reliability.json"
FOLDS = 5
RIDGE = 0.7
FEWEST = 25  # answers of a route, below which only its rate is learned
PRIOR = (9.0, 3.0)  # right and wrong answers that a route of few is given
LOST_AT_MOST = 0.035  # right answers that the threshold may cost, of the questions that can be answered


class AnsweringAll:
    """`extractive`, which never declines because it is unsure."""

    name = "extractive"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def use_language(self, language: Any) -> None:
        self._language = language

    def generate(self, prompt: Any) -> Any:
        reading = read(prompt, self._language, least=0.0)
        yield Text(reading.text)
        yield Verdict(reading.status, reading.trace, reading.confidence)


Row = tuple[str, Mapping[str, float], bool, bool, int]


def collect(kb: KnowledgeBase, path: Path) -> tuple[list[Row], int, int, int]:
    """(route, features, right, can be answered, fold) of every question answered in one step; how many questions can
    and cannot be answered, and how many of the former were answered rightly in another way."""
    assistant = Assistant(kb, AnsweringAll())
    bench = QuestionsBenchmark(path)
    rows: list[Row] = []
    total = hopeless = other_right = 0
    for number, sample in enumerate(bench.samples()):
        images = [bench.root / image for image in sample.images]
        answer = assistant.ask(sample.question, images or None)
        prediction = prediction_of(answer)
        verdict = judged(sample, prediction)
        can = sample.meta["answerable"] is not False
        total += can
        hopeless += not can
        steps = [s for s in answer.trace["model"].get("steps", ()) if "route" in s]
        if prediction.declined or len(steps) != 1:
            other_right += can and verdict == "right"
            continue
        rows.append((steps[0]["route"], steps[0]["features"], verdict == "right", can, number % FOLDS))
        print(f"\r{number + 1}", end="", file=sys.stderr)
    return rows, total, hopeless, other_right


def fitted(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Weights by route; "" is the intercept."""
    weights: dict[str, dict[str, float]] = {}
    for route in sorted({r[0] for r in rows}):
        own = [r for r in rows if r[0] == route]
        right = np.array([r[2] for r in own], float)
        if len(own) < FEWEST or right.all():
            good, bad = right.sum() + PRIOR[0], (1 - right).sum() + PRIOR[1]
            weights[route] = {"": round(float(np.log(good / bad)), 4)}
            continue
        names = sorted({name for r in own for name in r[1]})
        x = np.array([[1.0, *(r[1].get(name, 0.0) for name in names)] for r in own])
        w = logistic(x, right)
        weights[route] = {name: round(float(v), 4) for name, v in zip(["", *names], w, strict=True)}
    return weights


def logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights (columns,) by Newton's method with a ridge on all but the first column."""
    w = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], RIDGE)
    penalty[0] = 1e-3
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (p - y) + penalty * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-6:
            break
    return w


def probability(weights: Mapping[str, Mapping[str, float]], row: Row) -> float:
    own = weights.get(row[0], {"": 0.0})
    return float(1 / (1 + np.exp(-(own.get("", 0.0) + sum(own.get(n, 0.0) * v for n, v in row[1].items())))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", required=True, help="folder of the knowledge base, filled from the packs")
    parser.add_argument("--questions", default="tests/questions/dev.jsonl", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {TARGET.name}")
    given = parser.parse_args()
    if "test" in given.questions.stem:
        parser.error("the test questions are not for fitting")
    with KnowledgeBase(given.kb) as kb:
        rows, total, hopeless, other_right = collect(kb, given.questions)
    crossed = np.empty(len(rows))
    for fold in range(FOLDS):
        weights = fitted([r for r in rows if r[4] != fold])
        for place, row in enumerate(rows):
            if row[4] == fold:
                crossed[place] = probability(weights, row)
    right = np.array([r[2] for r in rows])
    can = np.array([r[3] for r in rows])
    print(f"\n{len(rows)} answers in one step, {right.sum()} right; AURC {aurc(crossed.tolist(), right.tolist()):.3f}")
    print("threshold  right   lost  false answers")
    chosen = 0.5
    for threshold in np.arange(0.2, 0.81, 0.05):
        given_ = crossed >= threshold
        share = ((given_ & right & can).sum() + other_right) / total
        lost = (~given_ & can & right).sum() / total
        print(f"{threshold:9.2f}  {share:.3f}  {lost:.3f}  {(given_ & ~can & ~right).sum() / hopeless:13.3f}")
        if lost <= LOST_AT_MOST:
            chosen = round(float(threshold), 2)
    weights = fitted(rows)
    weights.setdefault(
        "figure", {"": round(float(np.log(PRIOR[0] / PRIOR[1]) + 1.8), 4)}
    )  # looked up, and seldom wrong
    print(json.dumps(weights, indent=1))
    if given.write:
        TARGET.write_text(json.dumps({"threshold": chosen, "weights": weights}, indent=1, sort_keys=True) + "\n")
        print(f"wrote {TARGET} with the threshold {chosen}")


if __name__ == "__main__":
    main()
