"""The report of a run or a sweep as one self-contained html page: figures, plots, the worst failures in pictures."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import plots
from .checks import risk_coverage
from .runner import PREDICTIONS, lines_of
from .samples import Prediction
from .scoring import Result

if TYPE_CHECKING:
    from .outcome import Outcome

_WORST: Final = 12
_THUMB: Final = 180
_OPEN_ENDED: Final = ("CIDEr",)  # figures that go beyond 1
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; } td, th { padding: .2rem .9rem .2rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top; } td.n, th.n { text-align: right;
  font-variant-numeric: tabular-nums; }
.loud { background: #d55e00; color: #fff; padding: .7rem 1rem; border-radius: 6px; font-weight: 600; }
.failure { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: .9rem 0;
  display: grid; grid-template-columns: auto 1fr; gap: 0 1rem; } .failure > div { min-width: 0; }
.failure img { max-width: 180px; border-radius: 4px; display: block; margin-bottom: .4rem; }
.failure p { margin: .15rem 0; overflow-wrap: anywhere; } .word { opacity: .65; }
details { margin-top: .4rem; } .evidence { background: var(--soft); padding: .3rem .6rem; margin: .3rem 0;
  border-radius: 4px; overflow-wrap: anywhere; font-size: .92em; } .evidence img { max-width: 90px; float: right; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .whisker { stroke: currentColor; stroke-width: 2; }
svg .small { font-size: 11px; opacity: .7; } svg .title { font-weight: 600; }
pre { overflow-x: auto; background: var(--soft); padding: .6rem; border-radius: 6px; font-size: .85em; }
"""


def run_page(outcome: Outcome, root: Path) -> str:
    """The report of a run; `root` is where the images of its questions are."""
    from .outcome import guard_line

    setup = outcome.manifest["setup"]
    name = outcome.manifest["benchmark"]["name"]
    lanes = setup.get("lanes")
    lines = list(lines_of(outcome.folder / PREDICTIONS))
    by_id = {str(line.get("id")): line for line in lines}
    parts = [f"<h1>{escape(name)} with {escape(str(setup['model']))}</h1>"]
    fusion = f"{setup['fusion']}{', alpha ' + format(setup['alpha'], 'g') if 'alpha' in setup else ''}"
    said = {
        "Questions": f"{len(lines):,}",
        "Retrieval": "none"
        if lanes == []
        else f"lanes {', '.join(lanes) if lanes else 'all'}; {fusion}; k {setup['k']}",
        "Reranker": setup["reranker"] or "none",
        "Encoder": outcome.manifest["encoder"] or "none",
        "Failed": f"{len(outcome.failed):,}",
    }
    parts.append(_table([], [[k, v] for k, v in said.items()]))
    parts.append(f'<p class="{"loud" if outcome.allows_self else ""}">{escape(guard_line(outcome))}</p>')
    if outcome.warnings:
        most = sorted(outcome.warnings.items(), key=lambda item: -item[1])[:5]
        parts.append("<p>Warnings of answers: " + "; ".join(f"{escape(w)} ({n:,})" for w, n in most) + ".</p>")
    for result in outcome.results:
        parts += _task(outcome, result, by_id, root)
    if outcome.failed:
        parts.append("<h2>Questions that failed</h2>")
        parts.append(_table(["Question", "Why"], [list(f) for f in outcome.failed[:50]]))
    return _page(f"rsrag: {name}", parts, outcome.manifest)


def sweep_page(rows: Sequence[Mapping[str, Any]], title: str, manifest: Mapping[str, Any]) -> str:
    """The report of a sweep from the rows of its table: a curve per metric over alpha, or over k, and the table."""
    parts = [f"<h1>{escape(title)}</h1>"]
    metrics = list(dict.fromkeys((row["task"], row["metric"]) for row in rows))
    for task, metric in metrics:
        those = [row for row in rows if (row["task"], row["metric"]) == (task, metric) and row["value"] != ""]
        across = "alpha" if len({row["alpha"] for row in those if row["alpha"] != ""}) > 1 else "k"
        flat = [row for row in those if row[across] == ""]
        xs = sorted({float(row[across]) for row in those if row[across] != ""})
        series: dict[str, list[tuple[float, float]]] = {}
        for row in those:
            name = ", ".join(
                str(row[key]) if key in ("lanes", "fusion") else f"{key} {row[key]}"
                for key in ("lanes", "fusion", "alpha", "k")
                if key != across and row[key] != ""
            )
            places = [float(row[across])] if row not in flat else xs  # what alpha does not touch is a level line
            series.setdefault(name, []).extend((x, float(row["value"])) for x in places)
        parts.append(plots.curves(series, across, f"{task}: {metric}"))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    parts.append("<h2>All points</h2>")
    parts.append(_table(columns, [[str(row.get(c, "")) for c in columns] for row in rows]))
    return _page(title, parts, manifest)


def _task(outcome: Outcome, result: Result, by_id: Mapping[str, Mapping[str, Any]], root: Path) -> Iterator[str]:
    between = outcome.intervals[result.task]
    yield f"<h2>{escape(result.task)}, {result.n:,} questions</h2>"
    rows = []
    for name, score in result.scores.items():
        low, high = between[name]
        interval = "" if math.isnan(low) else f"{low:.4f} to {high:.4f}"
        rows.append([name, "-" if math.isnan(score.value) else f"{score.value:.4f}", interval])
    yield _table(["Figure", "Value", "95 %"], rows, numbers=(1, 2))
    yield plots.bars(
        {name: (score.value, *between[name]) for name, score in result.scores.items() if name not in _OPEN_ENDED}
    )
    if len(result.per_class) > 1:
        ranked = sorted(result.per_class.items(), key=lambda item: item[1])
        yield "<h2>Accuracy by class, worst first</h2>"
        yield plots.bars({label: (value, math.nan, math.nan) for label, value in ranked[:40]})
    for note in result.notes:
        yield f"<p>{escape(note)}.</p>"
    yield _risk(result)
    yield from _failures(result, by_id, root)


def _risk(result: Result) -> str:
    """The risk-coverage curve of answers that say how sure they are."""
    answers = [p or Prediction() for p in result.aligned.predictions]
    if result.task != "check" or not (points := risk_coverage(result.aligned.samples, answers)):
        return ""
    marks = [next((p for p in points if p[1] >= mark / 20), None) for mark in range(1, 21)]
    line = [(round(p[1], 2), p[2]) for p in dict.fromkeys(marks) if p]
    return plots.curves({"of the answers given so far, the share not right": line}, "questions answered", "Risk")


def _failures(result: Result, by_id: Mapping[str, Mapping[str, Any]], root: Path) -> Iterator[str]:
    name, score = next(((n, s) for n, s in result.scores.items() if s.items), ("", None))
    if score is None:
        return
    places = [i for i in range(result.n) if not math.isnan(score.items[i]) and score.items[i] < 1]
    places.sort(key=lambda i: score.items[i])
    if not places:
        yield "<p>No question was answered wrongly.</p>"
        return
    yield f"<h2>The worst of {len(places):,} that are not right, by {escape(name)}</h2>"
    for place in places[:_WORST]:
        sample, prediction = result.aligned.samples[place], result.aligned.predictions[place]
        line = by_id.get(sample.id, {})
        pictures = "".join(filter(None, (_picture(root / image) for image in sample.images[:2])))
        wanted = " / ".join(sample.references[:3]) or "nothing: it cannot be answered"
        said = str(line.get("cited") or (prediction.text if prediction else "")) or str(line.get("error") or "nothing")
        shown = "".join(_evidence(item) for item in line.get("shown", ()))
        yield (
            f'<div class="failure"><div>{pictures}</div><div><p><b>{escape(sample.question or sample.id)}</b> '
            f'<span class="word">{escape(sample.id)}, {escape(name)} {score.items[place]:.3f}</span></p>'
            f'<p><span class="word">right:</span> {escape(wanted)}</p>'
            f'<p><span class="word">said:</span> {escape(said)}</p>'
            + (f"<details><summary>Evidence ({len(line['shown'])})</summary>{shown}</details>" if shown else "")
            + "</div></div>"
        )


def _evidence(item: Mapping[str, Any]) -> str:
    picture = _picture(Path(str(item["image"])), 90) if item.get("image") else ""
    number, title, kind, record, text = (
        escape(str(item.get(key, ""))) for key in ("number", "title", "kind", "record", "text")
    )
    via = escape(", ".join(map(str, item.get("via", ()))))
    return (
        f'<div class="evidence">{picture}<b>[{number}] {title}</b> '
        f'<span class="word">{kind} from {record}{" via " + via if via else ""}</span><br>{text}</div>'
    )


def _picture(path: Path, side: int = _THUMB) -> str:
    """A thumbnail in the page itself, or "" for what cannot be opened."""
    import numpy as np
    from PIL import Image

    from ..errors import RsragError
    from ..scene import open_scene

    try:
        if not path.is_file():
            return ""
        pixels = open_scene(path).rgb(side)
    except (RsragError, OSError):
        return ""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, "JPEG", quality=80)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        marks = [' class="n"' if i in numbers else "" for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{escape(c)}</{tag}>" for m, c in zip(marks, cells, strict=True)) + "</tr>"

    return "<table>" + (row(header, "th") if header else "") + "".join(row(r, "td") for r in rows) + "</table>"


def _page(title: str, parts: Sequence[str], manifest: Mapping[str, Any]) -> str:
    import json

    conditions = escape(json.dumps(manifest, indent=2, ensure_ascii=False))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        + "\n".join(parts)
        + f"<h2>Conditions</h2><details><summary>Everything that shaped these figures</summary><pre>{conditions}</pre>"
        "</details></html>\n"
    )
