"""What came out of a run: scores with intervals, what the guard kept away, what failed; as JSON, CSV and a page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from .bootstrap import RESAMPLES, intervals
from .checks import risk_coverage
from .manifest import FILE
from .report import result_json, write_items
from .runner import PREDICTIONS, leaked, lines_of
from .samples import Prediction
from .scoring import Options, Result, score_file

RESULTS: Final = "results.json"
ITEMS: Final = "items.jsonl"
TABLE: Final = "results.csv"
CURVE: Final = "risk_coverage.csv"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one run: a result per task, 95 % intervals by task and metric, `leaked` as `runner.leaked`, (id, why) of the
    questions that failed, how many warnings the answers carried by their text, and the run's manifest."""

    folder: Path
    results: tuple[Result, ...]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    leaked: Mapping[str, int]
    failed: tuple[tuple[str, str], ...]
    warnings: Mapping[str, int]
    manifest: Mapping[str, Any]

    @property
    def allows_self(self) -> bool:
        return bool(self.manifest.get("setup", {}).get("allow_self"))

    @property
    def retrieves(self) -> bool:
        return bool(self.manifest.get("setup", {}).get("lanes") != [])


def predictions_of(path: Path) -> Path:
    """The predictions of a run's folder; any other path as it is."""
    return path / PREDICTIONS if path.is_dir() and (path / PREDICTIONS).exists() else path


def assess(folder: Path, options: Options | None = None, *, resamples: int = RESAMPLES, seed: int = 0) -> Outcome:
    """Score a run. Raises `UsageError` for a folder that holds none, or no answer at all."""
    file = folder / FILE
    if not file.exists():
        raise UsageError(f"{folder} holds no run.", "Give the --out of `rsrag eval run`.")
    results = score_file(folder / PREDICTIONS, None, options)
    failed, warnings = [], dict[str, int]()
    for line in lines_of(folder / PREDICTIONS):
        if "error" in line:
            failed.append((str(line.get("id", "")), str(line["error"])))
        for warning in line.get("warnings", ()):
            warnings[warning] = warnings.get(warning, 0) + 1
    found: dict[str, Mapping[str, tuple[float, float]]] = {
        r.task: intervals(r.scores, resamples=resamples, seed=seed) for r in results
    }
    manifest = json.loads(file.read_text(encoding="utf-8"))
    return Outcome(folder, tuple(results), found, leaked(folder), tuple(failed), warnings, manifest)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The documented shape of `eval run --json`, which is also results.json."""
    return {
        "folder": str(outcome.folder),
        "benchmark": outcome.manifest["benchmark"]["name"],
        "setup": outcome.manifest["setup"],
        "tasks": [
            {"task": result.task}
            | result_json(result)
            | {"intervals": {name: _pair(pair) for name, pair in outcome.intervals[result.task].items()}}
            for result in outcome.results
        ],
        "excluded": dict(outcome.leaked) if not outcome.allows_self else None,
        "allow_self": outcome.allows_self,
        "failed": len(outcome.failed),
    }


def _pair(pair: tuple[float, float]) -> list[float] | None:
    return None if any(map(math.isnan, pair)) else [round(v, 6) for v in pair]


def table_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """A row per task and metric."""
    return [
        {
            **_point(outcome),
            "task": result.task,
            "n": result.n,
            "metric": name,
            "value": "" if math.isnan(score.value) else round(score.value, 6),
            "low": _bound(outcome, result, name, 0),
            "high": _bound(outcome, result, name, 1),
        }
        for result in outcome.results
        for name, score in result.scores.items()
    ]


def _bound(outcome: Outcome, result: Result, name: str, side: int) -> float | str:
    value = outcome.intervals[result.task][name][side]
    return "" if math.isnan(value) else round(value, 6)


def _point(outcome: Outcome) -> dict[str, Any]:
    setup = outcome.manifest["setup"]
    lanes = setup.get("lanes")
    return {
        "benchmark": outcome.manifest["benchmark"]["name"],
        "model": setup["model"],
        "lanes": "all" if lanes is None else "+".join(lanes) or "none",
        "fusion": setup["fusion"],
        "alpha": setup.get("alpha", ""),
        "k": setup["k"],
        "reranker": setup["reranker"],
    }


def table_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, with the columns in the order in which they first occur."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write(outcome: Outcome, root: Path) -> list[Path]:
    """Write results.json, results.csv, items.jsonl and report.html into the run's folder, and risk_coverage.csv where
    answers were checked; `root` is where the question's images are."""
    from .page import run_page

    folder = outcome.folder
    (folder / RESULTS).write_text(json.dumps(outcome_json(outcome), indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / TABLE).write_text(table_csv(table_rows(outcome)), "utf-8")
    write_items(folder / ITEMS, outcome.results)
    (folder / "report.html").write_text(run_page(outcome, root), "utf-8")
    written = [folder / RESULTS, folder / TABLE, folder / ITEMS, folder / "report.html"]
    if curve := _risk_csv(outcome.results):
        written.append(folder / CURVE)
        written[-1].write_text(curve, "utf-8")
    return written


def _risk_csv(results: Sequence[Result]) -> str:
    rows = [
        dict(zip(("confidence", "coverage", "risk"), (round(v, 6) for v in point), strict=True))
        for r in results
        if r.task == "check"
        for point in risk_coverage(r.aligned.samples, [p or Prediction() for p in r.aligned.predictions])
    ]
    return table_csv(rows) if rows else ""


def guard_line(outcome: Outcome) -> str:
    """What the guard did, in a sentence."""
    if outcome.allows_self:
        return "The image asked about could be found in the knowledge base: this measures look-up (--allow-self)."
    if not outcome.retrieves:
        return "Nothing was retrieved."
    counts = outcome.leaked
    total = sum(n for reason, n in counts.items() if reason != "questions")
    if not total:
        return "No record of the knowledge base had to be left out: none is a question's own image or a copy of it."
    parts = ", ".join(f"{n:,} by {reason}" for reason, n in counts.items() if reason != "questions" and n)
    records = f"{total:,} record{'s were' if total != 1 else ' was'}"
    questions = f"{counts['questions']:,} question{'s' if counts['questions'] != 1 else ''}"
    return f"{records} left out of retrieval for {questions}: the image that is asked about, or a copy of it ({parts})."
