"""`rsrag eval`: score prediction files, and compare two of them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import evaluate_run
from .control import harmless
from .grouped import grouped
from .session import JsonOption, Session, session_of

if TYPE_CHECKING:
    from ..evaluation.comparing import Comparison
    from ..evaluation.scoring import Options, Result

_COLUMNS = 9  # of figures that fit into a line
app = typer.Typer(help="Score answers against the right ones, and compare systems.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How prediction files are read, scored and shown."""

    references: Annotated[
        Path | None, typer.Option("--references", metavar="FILE", help="Where the right answers are, if not in FILE.")
    ] = None
    convention: Annotated[str, typer.Option(metavar="NAME", help="standard or rsrag-paper.")] = "standard"
    task: Annotated[
        str, typer.Option(metavar="TASK", help="vqa, caption, classify, choice, detect or retrieve, if not told.")
    ] = ""
    split: Annotated[str, typer.Option(metavar="NAME", help="Only this split of a caption dataset.")] = ""
    tolerance: Annotated[float, typer.Option(min=0, metavar="SHARE", help="How far a number may be off.")] = 0.01
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave unanswered questions out; else they are wrong.")
    ] = False
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out records that are not understood.")] = False
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV to stdout.")] = False
    as_json: JsonOption = False

    def options(self) -> Options:
        """For the functions that score. Raises `UsageError` for a name that is not known."""
        if self.as_csv and self.as_json:
            raise typer.BadParameter("give one of --csv and --json.")
        from ..evaluation.conventions import CONVENTIONS
        from ..evaluation.samples import TASKS
        from ..evaluation.scoring import Options

        return Options(
            convention=_known(self.convention, CONVENTIONS, "convention"),  # type: ignore[arg-type]
            task=_known(self.task, TASKS, "task") if self.task else None,  # type: ignore[arg-type]
            split=self.split,
            tolerance=self.tolerance,
            skip_missing=self.skip_missing,
            skip_bad=self.skip_bad,
        )


@app.command("score")
@grouped
def score(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Prediction files.")],
    scoring: Scoring,
    items: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write each item's scores, JSON lines.")
    ] = None,
) -> None:
    """Score prediction files.

    What is read, and how each figure is made, is in docs/evaluation.md.

    Example: rsrag eval score answers.jsonl --convention rsrag-paper --json
    """
    session = session_of(context)
    options = scoring.options()
    from ..evaluation.report import results_csv, results_json, write_items
    from ..evaluation.scoring import score_file

    results: list[Result] = []
    for file in files:
        found = score_file(file, scoring.references, options)
        for result in found:
            about = f"{file.name} ({result.task})" if len(found) > 1 else file.name
            for note in result.notes:
                session.note(f"{about}: {note}.")
        results += found
    _note_meteor(session, {name for result in results for name in result.scores})
    if items is not None:
        _write(items, lambda: write_items(items, results))
        session.note(f"Wrote {items}.")
    if scoring.as_json:
        session.json(results_json(results))
    elif scoring.as_csv:
        typer.echo(results_csv(results), nl=False)
    else:
        _print_results(session, results)


@app.command("compare")
@grouped
def compare(
    context: typer.Context,
    systems: Annotated[
        list[Path], typer.Argument(metavar="A B...", help="Prediction files, or folders of `rsrag eval run`.")
    ],
    scoring: Scoring,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this metric (repeatable).")] = None,
    resamples: Annotated[int, typer.Option(min=100, max=1_000_000, help="Draws of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the draws.")] = 0,
) -> None:
    """Compare systems on the same questions: every other with the first.

    Differences come with 95 % intervals by paired bootstrap.

    Example: rsrag eval compare without.jsonl with.jsonl --metric CIDEr
    """
    session = session_of(context)
    if len(systems) < 2:
        raise typer.BadParameter("give two or more files, or folders of runs.")
    options = scoring.options()
    from ..evaluation.comparing import compare as run
    from ..evaluation.outcome import predictions_of
    from ..evaluation.report import comparison_json, comparisons_csv

    first, *others = systems
    found = []
    for other in others:
        both = (predictions_of(first), predictions_of(other))
        parts = run(*both, scoring.references, options, resamples=resamples, seed=seed)
        names = (str(first), str(other)) if len(others) > 1 else ("", "")
        found += [replace(part, a=names[0], b=names[1]) for part in parts]
    for comparison in found:
        for note in comparison.notes:
            session.note(f"{note}.")
        _note_meteor(session, comparison.differences)
    if metric:
        found = [_only(comparison, metric) for comparison in found]
    if scoring.as_json:
        shapes = [comparison_json(comparison) for comparison in found]
        session.json(shapes[0] if len(shapes) == 1 else shapes)
    elif scoring.as_csv:
        typer.echo(comparisons_csv(found), nl=False)
    else:
        _print_comparisons(session, found)


def _known(name: str, names: Sequence[str], what: str) -> str:
    import difflib

    from ..errors import UsageError

    by_name = {each.lower(): each for each in names}
    if name.lower() not in by_name:
        near = difflib.get_close_matches(name.lower(), by_name, n=1)
        hint = f"Did you mean {by_name[near[0]]}?" if near else f"There are {', '.join(names)}."
        raise UsageError(f"there is no {what} '{name}'.", hint)
    return by_name[name.lower()]


def _only(comparison: Comparison, metrics: Sequence[str]) -> Comparison:
    wanted = [_known(name, list(comparison.differences), "metric") for name in metrics]
    return replace(comparison, differences={name: comparison.differences[name] for name in wanted})


def _note_meteor(session: Session, names: Collection[str]) -> None:
    from ..evaluation.conventions import EXACT_STEM
    from ..evaluation.metrics.meteor import WORDNET_HINT

    if EXACT_STEM in names:
        session.note(f"METEOR needs WordNet: {WORDNET_HINT}. Until then there is {EXACT_STEM}.")


def _write(path: Path, write: Any) -> None:
    from ..errors import RsragError

    try:
        write()
    except OSError as error:
        raise RsragError(f"{path} cannot be written ({error.strerror}).", "Choose another place.") from error


app.command("run")(evaluate_run.run)
app.command("sweep")(evaluate_run.sweep)
app.command("benchmarks")(evaluate_run.benchmarks)


# -- for people -----------------------------------------------------------------------------------


def _print_results(session: Session, results: Sequence[Result]) -> None:
    """A row per file; each task has a table of its own, or several where it has many figures."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.task, []).append(result)
    tables = []
    for group in groups.values():
        names = list(dict.fromkeys(name for result in group for name in result.scores))
        tables += [(names[i : i + _COLUMNS], group) for i in range(0, len(names), _COLUMNS)]
    for number, (names, group) in enumerate(tables):
        if number:
            session.out.print()
        table = _table("File", "n", *map(_header, names))
        for result in group:
            scores = [result.scores.get(name) for name in names]
            values = [_figure(result, score.value) if score else "-" for score in scores]
            table.add_row(_escape(Path(result.path).name), f"{result.n:,}", *values)
        session.out.print(table)
    classes = [result for result in results if result.per_class]
    for result in classes:
        session.out.print()
        session.out.print(f"Accuracy by class, {harmless(Path(result.path).name)}", style="dim", markup=False)
        parts = [f"{harmless(label)} {_figure(result, value)}" for label, value in result.per_class.items()]
        session.out.print(", ".join(parts), markup=False)


def _header(name: str) -> str:
    """A metric's name in lines about as wide as its figures."""
    return re.sub(r"(?<=[a-zR])(?=-)| |(?<=[a-z]{5})(?=acy$)", "\n", name.replace("BLEU-", "BLEU\n-"))


def _figure(result: Result, value: float) -> str:
    from ..evaluation.report import truncated

    if math.isnan(value):
        return "-"
    return f"{truncated(value) if result.convention == 'rsrag-paper' else value:.4f}"


def _print_comparisons(session: Session, found: Sequence[Comparison]) -> None:
    for comparison in found:
        if comparison.b:
            session.out.print(f"A {harmless(comparison.a)}, B {harmless(comparison.b)}", style="bold", markup=False)
        table = _table(f"{comparison.task}, n = {comparison.n:,}", "A", "B", "B - A", "95 %", "p", "")
        for name, d in comparison.differences.items():
            if math.isnan(d.low):
                table.add_row(name, *("-" if math.isnan(v) else f"{v:.4f}" for v in (d.a, d.b, d.value)), "-", "-", "")
                continue
            verdict = ("B is higher" if d.low > 0 else "A is higher") if d.clear else "not clear"
            interval = f"{d.low:+.4f} to {d.high:+.4f}"
            table.add_row(name, f"{d.a:.4f}", f"{d.b:.4f}", f"{d.value:+.4f}", interval, f"{d.p:.4f}", verdict)
        session.out.print(table)


def _table(first: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap="\n" not in column)
    return table


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(harmless(text))
