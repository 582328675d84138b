"""`rsrag train`: fit an encoder or a captioner to one's own images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .session import JsonOption, Session, session_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..training.captioner import Report as CaptionerReport
    from ..training.encoder import Report

app = typer.Typer(help="Train encoders and captioners on your own images.", no_args_is_help=True)

DataOption = Annotated[
    list[str], typer.Option("--data", metavar="WHAT", help="Manifest, folder per class or tar (repeatable).")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Checkpoints and results; a run goes on there.")]
MinutesOption = Annotated[float, typer.Option(help="Stop after this long; the same command goes on. 0: no limit.")]
SeedOption = Annotated[int, typer.Option(help="Fixes every random choice.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
BatchOption = Annotated[int, typer.Option(min=2, help="Images per step.")]


@app.command("encoder")
def encoder(
    context: typer.Context,
    data: DataOption,
    out: OutOption,
    text: Annotated[str, typer.Option(metavar="DIR", help="Text tower to align to (default: the starter's).")] = "",
    names: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML: label = [names].")] = None,
    without: Annotated[str, typer.Option(metavar="A,B", help="Labels to leave out.")] = "",
    max_gsd: Annotated[float, typer.Option(metavar="M", help="Coarsest metres per pixel in the data.")] = 0,
    backbone: Annotated[str, typer.Option(help="A timm architecture.")] = "tf_efficientnet_lite0",
    init: Annotated[str, typer.Option(metavar="imagenet|FILE", help="Weights to start from (default: random).")] = "",
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 20,
    sizes: Annotated[str, typer.Option(metavar="PX:SHARE,...", help="View sizes in order.")] = "64:.45,96:.35,128:.2",
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1.5e-3,
    batch: BatchOption = 128,
    minutes: MinutesOption = 0,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train an image tower into the space of a text tower, and export both.

    Example: rsrag train encoder --data mine.jsonl --out models/mine --minutes 60

    To use it, write into rsrag.toml: [encoders.starter] path = "models/mine"
    """
    session = session_of(context)
    from ..training.encoder import train_encoder
    from ..training.fit import Recipe

    recipe = Recipe(
        backbone=backbone, init=init, epochs=epochs, phases=_phases(sizes), batch=batch, rate=rate, seed=seed
    )
    with _Bar(session) as bar:
        report = train_encoder(
            data,
            out,
            recipe,
            text=text,
            names=names,
            without=[label for label in without.split(",") if label],
            max_gsd_m=max_gsd or None,
            minutes=minutes or math.inf,
            device=device,
            progress=bar,
            say=session.note,
        )
    _show(session, report, as_json)


@app.command("captioner")
def captioner(
    context: typer.Context,
    data: DataOption,
    out: OutOption,
    encoder: Annotated[str, typer.Option(metavar="DIR", help="Its image tower (default: the starter's).")] = "",
    style: Annotated[str, typer.Option(metavar="DATASET", help="Whose captions to imitate by default.")] = "",
    epochs: Annotated[float, typer.Option(help="Passes over the images.")] = 8,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 2e-3,
    batch: BatchOption = 64,
    minutes: MinutesOption = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train the decoder that puts into words what an image tower sees.

    Example: rsrag train captioner --data mine.jsonl --encoder models/mine --out models/mine-captions

    To use it, write into rsrag.toml: [captioners.starter] path = "models/mine-captions"
    """
    session = session_of(context)
    from ..training.captioner import train_captioner
    from ..training.captioner_fit import Recipe

    recipe = Recipe(epochs=epochs, batch=batch, rate=rate, seed=seed)
    with _Bar(session) as bar:
        report = train_captioner(
            data,
            encoder,
            out,
            recipe,
            style=style,
            minutes=minutes or math.inf,
            progress=bar,
            say=session.note,
        )
    _show_captioner(session, report, as_json)


@app.command("text")
def text(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A BERT sentence model, such as all-MiniLM-L6-v2.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where text.onnx and tokenizer.json go.")],
    bits: Annotated[int, typer.Option(help="Per weight: 4 or 8.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Make a small text tower that needs no torch out of a sentence model."""
    session = session_of(context)
    from dataclasses import asdict

    from ..errors import UsageError
    from ..training.text_tower import build_text_tower

    if bits not in (4, 8):
        raise UsageError(f"--bits {bits} is not possible.", "Give 4 or 8.")
    report = build_text_tower(source, out, bits=4 if bits == 4 else 8)
    if as_json:
        session.json(asdict(report))
        return
    typer.echo(
        f"Wrote {out}: {report.megabytes:.1f} MB; cosine to the original {report.cosine:.4f} "
        f"(1 % of texts below {report.cosine_q01:.4f}), same nearest text in {report.agreement:.0%}."
    )


def _phases(text: str) -> tuple[tuple[int, float], ...]:
    from ..errors import UsageError

    try:
        pairs = [part.split(":") for part in text.split(",")]
        phases = tuple((int(size), float(share)) for size, share in pairs)
    except ValueError:
        raise UsageError(f"--sizes '{text}' is not a list of PX:SHARE.", "Such as 64:.5,96:.5") from None
    if any(size < 32 or share <= 0 for size, share in phases) or not 0.99 < sum(s for _, s in phases) < 1.01:
        raise UsageError(f"--sizes '{text}': sizes start at 32 px and shares add up to 1.", "Such as 64:.5,96:.5")
    return phases


def _progress_of(report: Report | CaptionerReport) -> dict[str, Any]:
    return {
        "folder": str(report.folder),
        "finished": report.finished,
        "step": report.step,
        "steps": report.steps,
        "seconds": round(report.seconds, 1),
        "data": report.data,
        "problems": [{"where": where, "why": why} for where, why in report.problems],
    }


def _show(session: Session, report: Report, as_json: bool) -> None:
    _warn(session, report)
    if as_json:
        shares = {
            name: {"share": round(s.value, 4), "interval": [round(x, 4) for x in s.interval], "n": s.n}
            for name, s in report.shares.items()
        }
        session.json({**_progress_of(report), "validation": shares})
    elif not report.finished:
        _say_stopped(report)
    else:
        rows = [(name, f"{s.value:.3f}", s.interval, s.n) for name, s in report.shares.items()]
        _table(session, "On validation images", "right", rows)
        typer.echo(f"Wrote {report.folder}: the weights, report.json and README.md, the model card.")


def _show_captioner(session: Session, report: CaptionerReport, as_json: bool) -> None:
    _warn(session, report)
    if as_json:
        scores = {
            name: {"mean": round(s.value, 4), "interval": [round(s.low, 4), round(s.high, 4)], "n": s.n}
            for name, s in report.scores.items()
        }
        copies = {name: {"share": round(s.value, 4), "n": s.n} for name, s in report.copies.items()}
        samples = [{"image": image, "caption": caption} for image, caption in report.samples]
        session.json({**_progress_of(report), "validation": scores, "copies": copies, "samples": samples})
    elif not report.finished:
        _say_stopped(report)
    else:
        rows = [(name, f"{s.value:.3f}", (s.low, s.high), s.n) for name, s in report.scores.items()]
        rows += [(f"{name}: copies", f"{s.value:.3f}", s.interval, s.n) for name, s in report.copies.items()]
        _table(session, "On validation images", "mean", rows)
        for image, caption in report.samples[:3]:
            session.out.print(f"{image}: {caption}", markup=False)
        typer.echo(f"Wrote {report.folder}: captioner.onnx, captioner.json and captioner-report.json.")


def _warn(session: Session, report: Report | CaptionerReport) -> None:
    from ..training.examples import summary

    for line in summary(list(report.problems)):
        session.warn(line)


def _say_stopped(report: Report | CaptionerReport) -> None:
    typer.echo(f"Stopped at step {report.step:,} of {report.steps:,}; the same command goes on from here.")


def _table(session: Session, title: str, value: str, rows: Sequence[tuple[str, str, tuple[float, float], int]]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column(title)
    for column in (value, "95 %", "of"):
        table.add_column(column, justify="right")
    for name, shown, (low, high), n in rows:
        table.add_row(name, shown, f"{low:.2f} - {high:.2f}", f"{n:,}")
    session.out.print(table)


class _Bar:
    """Steps, losses and the time left, on stderr."""

    def __init__(self, session: Session) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar: Any = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=session.err,
        )
        self._task: Any = None

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, step: int, steps: int, losses: dict[str, float]) -> None:
        text = f"loss {losses['loss']:.2f}"
        if self._task is None:
            self._task = self._bar.add_task(text, total=steps)
        self._bar.update(self._task, completed=step, description=text)
