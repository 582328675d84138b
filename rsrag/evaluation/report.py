"""Results as values for programs, as CSV, and as one line per item."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bootstrap import Difference
from .comparing import Comparison
from .scoring import Result


def truncated(value: float, digits: int = 4) -> float:
    """A value cut, not rounded, after so many decimals; what floating point adds beyond the tenth is not cut off."""
    whole, _, decimals = f"{value:.10f}".partition(".")
    return float(f"{whole}.{decimals[:digits]}")


def written(result: Result, value: float) -> float | None:
    """A value as a result gives it: four decimals, cut, by `rsrag-paper`, else six, rounded; None for NaN."""
    if math.isnan(value):
        return None
    return truncated(value) if result.convention == "rsrag-paper" else round(value, 6)


def result_json(result: Result) -> dict[str, Any]:
    """The documented shape of one result of `eval score --json`: n, one key per metric, and for classes their
    accuracies, which is all of it by `rsrag-paper`.

    The standard convention adds file, task and convention, and missing, extra and repeated where there are any.
    """
    found: dict[str, Any] = {"file": result.path} if result.convention == "standard" else {}
    found |= {"n": result.n}
    found |= {name: written(result, score.value) for name, score in result.scores.items()}
    if result.per_class:
        found["Per-Class Accuracy"] = {label: written(result, v) for label, v in result.per_class.items()}
    if result.convention == "standard":
        found |= {"task": result.task, "convention": result.convention}
        counts = {name: len(getattr(result.aligned, name)) for name in ("missing", "extra", "repeated")}
        found |= {name: count for name, count in counts.items() if count}
    return found


def results_json(results: Sequence[Result]) -> dict[str, Any] | list[dict[str, Any]]:
    """The documented shape of `eval score --json`: one result as it is, of several a list with the file of each."""
    return result_json(results[0]) if len(results) == 1 else _named(results)


def _named(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Results with their files, and their tasks where a file has several."""
    paths = [result.path for result in results]
    told = [{"task": r.task} if paths.count(r.path) > 1 else {} for r in results]
    return [{"file": r.path} | task | result_json(r) for r, task in zip(results, told, strict=True)]


def results_csv(results: Sequence[Result]) -> str:
    """One row per result, one column per metric; accuracies of classes in one cell, "airport:0.9 | beach:0.73"."""
    rows = _named(results)
    for row in rows:
        if classes := row.get("Per-Class Accuracy"):
            row["Per-Class Accuracy"] = " | ".join(f"{label}:{value:.4f}" for label, value in classes.items())
    return _csv(rows)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The documented shape of `eval compare --json`."""
    return _systems(comparison) | {
        "task": comparison.task,
        "n": comparison.n,
        "metrics": {name: _difference(difference) for name, difference in comparison.differences.items()},
    }


def comparisons_csv(comparisons: Sequence[Comparison]) -> str:
    """One row per task and metric."""
    rows = [
        _systems(c) | {"task": c.task, "n": c.n, "metric": name} | _difference(difference)
        for c in comparisons
        for name, difference in c.differences.items()
    ]
    return _csv(rows)


def _systems(comparison: Comparison) -> dict[str, str]:
    return {"A": comparison.a, "B": comparison.b} if comparison.b else {}


def _difference(d: Difference) -> dict[str, Any]:
    values = {"a": d.a, "b": d.b, "difference": d.value, "low": d.low, "high": d.high, "p": d.p}
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()} | {"clear": d.clear}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_items(path: Path, results: Sequence[Result]) -> int:
    """Write every item with its own scores as JSON lines, worst first by its first score; how many there are."""
    lines = []
    for result in results:
        scores = {name: score for name, score in result.scores.items() if score.items}
        first = next(iter(scores.values())).items if scores else (0.0,) * result.n
        for place in sorted(range(result.n), key=lambda i: (math.isnan(first[i]), first[i])):
            sample, prediction = result.aligned.samples[place], result.aligned.predictions[place]
            own = {
                name: None if math.isnan(score.items[place]) else round(score.items[place], 6)
                for name, score in scores.items()
                if len(score.items) == result.n
            }
            lines.append(
                {
                    "file": result.path,
                    "id": sample.id or None,
                    "question": sample.question,
                    "images": list(sample.images),
                    "references": list(sample.references),
                    "prediction": prediction.text if prediction else None,
                    "scores": own,
                }
            )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return len(lines)
