"""`rsrag eval run`, `sweep` and `benchmarks`: ask an assistant many questions and say how it did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .grouped import grouped
from .session import JsonOption, KbOption, Progress, Session, session_of

if TYPE_CHECKING:
    from ..evaluation.outcome import Outcome
    from ..evaluation.runner import Bench, Tally
    from ..evaluation.scoring import Options
    from ..evaluation.setup import Setup


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, by whom, over what, and how it is scored and shown."""

    task: Annotated[
        str,
        typer.Argument(metavar="TASK", help="A benchmark (rsrag eval benchmarks), or a file or folder of questions."),
    ]
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where results go; a run goes on there.")]
    data: Annotated[str, typer.Option("--data", metavar="PATH", help="The benchmark's data.")] = ""
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="Another option of the benchmark (repeatable).")
    ] = None
    split: Annotated[str, typer.Option(metavar="NAME", help="Which split is asked about.")] = ""
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="So many questions, drawn by --seed; 0 for all.")] = 0
    seed: Annotated[int, typer.Option(min=0, help="Fixes what is drawn.")] = 0
    model: Annotated[str | None, typer.Option(help="Who answers.")] = None
    encoder: Annotated[str | None, typer.Option(help="Encoder of the benchmark's knowledge base.")] = None
    reranker: Annotated[str | None, typer.Option(help="Reranker by name.")] = None
    kb: KbOption = ""
    tools: Annotated[
        bool | None,
        typer.Option("--tools/--no-tools", help="Whether geo tools run; not, unless the benchmark wants them."),
    ] = None
    allow_self: Annotated[
        bool, typer.Option("--allow-self", help="Let it find the very image that is asked about. Measures look-up.")
    ] = False
    workers: Annotated[int, typer.Option(min=1, max=64, help="Questions at a time, for models on servers.")] = 1
    convention: Annotated[str, typer.Option(metavar="NAME", help="How it is scored: standard or rsrag-paper.")] = (
        "standard"
    )
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV to stdout.")] = False
    as_json: JsonOption = False


@grouped
def run(
    context: typer.Context,
    asked: Asked,
    fusion: Annotated[str | None, typer.Option(metavar="NAME", help="rrf or weighted.")] = None,
    alpha: Annotated[float | None, typer.Option(min=0, max=1, help="Weight of the image in weighted.")] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=200, help="Passages that become evidence.")] = None,
    lanes: Annotated[
        str, typer.Option(metavar="A,B,...", help="Lanes by name; or all, image, text, none (no retrieval).")
    ] = "all",
) -> None:
    """Ask an assistant the questions of a benchmark, and score it.

    An interrupted run goes on with the same command; other settings need another --out. The image that is asked about,
    its near-duplicates and records of the same id are kept out of retrieval.

    Example: rsrag eval run labels --data UCMerced/ --lanes image --out results/ucm
    """
    session = session_of(context)
    options = _scoring(asked)
    session.override(model=asked.model, encoder=asked.encoder, fusion=fusion, alpha=alpha, k=k, reranker=asked.reranker)
    with _bench(session, asked) as (bench, setup):
        from ..evaluation import outcome as outcomes
        from ..evaluation.runner import run as ask_all
        from ..evaluation.setup import parse_lanes

        known = [lane.name for lane in bench.assistant.lanes()]
        setup = replace(setup, lanes=parse_lanes(lanes, known))
        bar = Progress(session, "Asking")
        try:
            tally = ask_all(bench, setup, asked.out, bar)
        finally:
            bar.close()
        found = outcomes.assess(asked.out, options)
        written = outcomes.write(found, bench.chosen.root)
    _tell(session, found, tally)
    session.note(f"Wrote {', '.join(path.name for path in written)} to {asked.out}.")
    if asked.as_json:
        session.json(outcomes.outcome_json(found))
    elif asked.as_csv:
        typer.echo(outcomes.table_csv(outcomes.table_rows(found)), nl=False)
    else:
        _print_outcome(session, found)


@grouped
def sweep(
    context: typer.Context,
    asked: Asked,
    alpha: Annotated[str, typer.Option(metavar="A,B,...", help="Weights of the image.")] = "0.1,0.3,0.5,0.7,0.9",
    k: Annotated[str, typer.Option("-k", metavar="A,B,...", help="How many passages.")] = "1,3,5",
    fusion: Annotated[str, typer.Option(metavar="A,B", help="rrf, weighted.")] = "rrf,weighted",
    lanes: Annotated[list[str] | None, typer.Option(metavar="A,B,...", help="Lanes, as for run (repeatable).")] = None,
) -> None:
    """Run a benchmark over a grid of alpha, k, fusion and lanes.

    Lanes search once for all points. Each point is a run of its own below --out, and goes on like one.

    Example: rsrag eval sweep rswk --data know.json --alpha .5,.7 -k 3 --out results/grid
    """
    session = session_of(context)
    options = _scoring(asked)
    fusions, alphas = _fusions(fusion), _numbers(alpha, "--alpha")
    ks = [int(value) for value in _numbers(k, "-k", whole=True)]
    session.override(model=asked.model, encoder=asked.encoder, reranker=asked.reranker)
    with _bench(session, asked) as (bench, setup):
        from ..evaluation.outcome import table_csv
        from ..evaluation.page import sweep_page
        from ..evaluation.setup import parse_lanes
        from ..evaluation.sweep import grid
        from ..evaluation.sweep import sweep as ask_all

        known = [lane.name for lane in bench.assistant.lanes()]
        points = grid(
            setup,
            [parse_lanes(text, known) for text in lanes or ["all"]],
            fusions,
            alphas,
            ks,
        )
        bar = Progress(session, "Asking")
        try:
            rows = ask_all(bench, points, asked.out, options, bar)
        finally:
            bar.close()
        title = f"Sweep of {bench.chosen.name} with {setup.model}"
        conditions = {"benchmark": bench.chosen.described(), "points": [point.point for point in points]}
        (asked.out / "sweep.csv").write_text(table_csv(rows), "utf-8")
        (asked.out / "sweep.html").write_text(sweep_page(rows, title, conditions), "utf-8")
        import json

        (asked.out / "sweep.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
    session.note(f"Wrote sweep.csv, sweep.json, sweep.html and {len(points)} runs to {asked.out}.")
    if asked.as_json:
        session.json(rows)
    elif asked.as_csv:
        typer.echo(table_csv(rows), nl=False)
    else:
        _print_sweep(session, rows)


def benchmarks(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the benchmarks on offer.

    Example: rsrag eval benchmarks
    """
    import inspect

    from .control import harmless

    session = session_of(context)
    found = [
        {
            "name": name,
            "plugin": session.plugins.giver("benchmark", name),
            "about": " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split()),
            "options": [] if cls.__init__ is object.__init__ else list(inspect.signature(cls).parameters),
        }
        for name, cls in sorted(session.plugins.offers("benchmark").items())
    ]
    if as_json:
        session.json(found)
        return
    for row in found:
        session.out.print(f"{harmless(str(row['name']))}", style="bold", markup=False)
        session.out.print(f"  {harmless(str(row['about']))}", markup=False)
        if row["options"]:
            session.out.print(f"  Options: {', '.join(row['options'])}", style="dim", markup=False)


# -- opening ------------------------------------------------------------------------------------------


@contextmanager
def _bench(session: Session, asked: Asked) -> Iterator[tuple[Bench, Setup]]:
    """Benchmark, knowledge base and assistant, open; and the setup as far as it is the same for run and sweep."""
    from ..evaluation.benchmarks import choose
    from ..evaluation.runner import opened
    from ..evaluation.setup import Setup
    from ..evaluation.stores import own_store

    config = session.config
    chosen = choose(asked.task, session.plugins, _options(session, asked))
    setup = Setup(
        split=asked.split,
        limit=asked.limit,
        seed=asked.seed,
        model=str(config["model"]),
        fusion=config["fusion"],
        alpha=config["alpha"],
        k=config["k"],
        reranker=config["reranker"],
        captioner=config["captioner"],
        tools=getattr(chosen.benchmark, "tools", False) if asked.tools is None else asked.tools,
        allow_self=asked.allow_self,
        workers=asked.workers,
    )
    if asked.allow_self:
        session.warn(
            "--allow-self: the image that is asked about may be found in the knowledge base. "
            "The figures measure look-up, and cannot be compared with others."
        )
    name = config["model"].partition(":")[0]
    tables = {"model": config.table("models", name), "retriever": config.table("retrievers")}
    tables |= {"reranker": config.table("rerankers", config["reranker"].partition(":")[0])}
    bar = Progress(session)

    @contextmanager
    def store() -> Iterator[Any]:
        if asked.kb or not chosen.sources(asked.split):
            with session.kb(asked.kb) as base:
                yield base
            return
        base, failed = own_store(config, session.plugins, chosen, asked.split, bar)
        try:
            for where, why in failed[:3]:
                session.warn(f"{where}: {why}")
            if len(failed) > 3:
                session.warn(f"and {len(failed) - 3:,} more records could not be added")
            yield base
        finally:
            base.close()

    try:
        with store() as base, opened(chosen, session.assistant(base), setup, tables, progress=bar) as bench:
            bar.close()
            if bench.guard.unseen and not asked.allow_self:
                session.warn(f"{bench.guard.unseen:,} stored images have no preview; copies of them are not recognised")
            yield bench, setup
    finally:
        bar.close()


def _options(session: Session, asked: Asked) -> dict[str, Any]:
    """A benchmark's options: its configuration table, --data and --set, each over the one before."""
    options: dict[str, Any] = dict(session.config.table("benchmarks", asked.task.partition(":")[0]))
    if asked.data:
        if not Path(asked.data).expanduser().exists():
            raise typer.BadParameter(f"{asked.data} does not exist.", param_hint="--data")
        options["path"] = asked.data
    for text in asked.set_ or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{text}' is not KEY=VALUE.", param_hint="--set")
        options[key.strip()] = int(value) if value.strip().isdigit() else value.strip()
    return options


def _scoring(asked: Asked) -> Options:
    from .evaluate import Scoring

    return Scoring(convention=asked.convention, as_csv=asked.as_csv, as_json=asked.as_json).options()


def _numbers(text: str, option: str, whole: bool = False) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or any(math.isnan(v) or (whole and (v < 1 or v != int(v))) for v in found):
        raise typer.BadParameter(f"'{text}' is no list of numbers such as 1,3,5.", param_hint=option)
    return list(dict.fromkeys(found))


def _fusions(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found or any(name not in ("rrf", "weighted") for name in found):
        raise typer.BadParameter(f"'{text}' is neither rrf nor weighted, nor both.", param_hint="--fusion")
    return list(dict.fromkeys(found))


# -- telling ------------------------------------------------------------------------------------------


def _tell(session: Session, found: Outcome, tally: Tally) -> None:
    from ..evaluation.outcome import guard_line
    from .evaluate import _note_meteor

    if tally.kept:
        session.note(f"{tally.kept:,} questions were answered before; {tally.asked:,} were asked now.")
    for note in tally.notes:
        session.warn(note)
    if tally.failed:
        session.warn(f"{len(tally.failed):,} questions failed; the same command asks them again:")
        for id, why in tally.failed[:3]:
            session.warn(f"{id}: {why}")
    for warning, count in sorted(found.warnings.items(), key=lambda item: -item[1])[:3]:
        session.warn(f"{warning} (in {count:,} answers)")
    (session.warn if found.allows_self else session.note)(guard_line(found))
    _note_meteor(session, {name for result in found.results for name in result.scores})
    for result in found.results:
        for note in result.notes:
            session.note(f"{note}.")


def _print_outcome(session: Session, found: Outcome) -> None:
    from .evaluate import _table

    for number, result in enumerate(found.results):
        if number:
            session.out.print()
        table = _table(f"{result.task}, n = {result.n:,}", "", "95 %")
        for name, score in result.scores.items():
            low, high = found.intervals[result.task][name]
            interval = "-" if math.isnan(low) else f"{low:.4f} to {high:.4f}"
            table.add_row(name, "-" if math.isnan(score.value) else f"{score.value:.4f}", interval)
        session.out.print(table)


def _print_sweep(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """One line per point, a column for the first figures of each task."""
    from .evaluate import _table

    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        metrics = list(dict.fromkeys(row["metric"] for row in own))[:4]
        points = list(dict.fromkeys((r["lanes"], r["fusion"], r["alpha"], r["k"]) for r in own))
        table = _table(f"{task}, n = {own[0]['n']:,}", "alpha", "k", *metrics)
        for point in points:
            lanes, fusion, alpha, k = point
            those = {r["metric"]: r["value"] for r in own if (r["lanes"], r["fusion"], r["alpha"], r["k"]) == point}
            figures = [f"{those[m]:.4f}" if isinstance(those.get(m), float) else "-" for m in metrics]
            name = f"{_named(str(lanes))}, {fusion}" if lanes != "none" else "no retrieval"
            table.add_row(name, f"{alpha}", f"{k}", *figures)
        session.out.print(table)


def _named(lanes: str) -> str:
    from ..evaluation.setup import named

    return lanes if lanes == "all" else named(tuple(lanes.split("+")))
