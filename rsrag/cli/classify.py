"""`rsrag classify` and `rsrag caption`: name an image or a collection of them, describe one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .session import BandsOption, JsonOption, KbOption, Progress, SensorOption, Session, session_of

if TYPE_CHECKING:
    from ..types import Classification, Classifications

MOST_ROWS: Final = 20


def classify(
    context: typer.Context,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE|DIR...")],
    labels: Annotated[str, typer.Option(metavar="A,B|FILE", help="Labels, or a file with one per line.")],
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a table of all images.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures.")] = None,
    plain_vote: Annotated[
        bool, typer.Option("--plain-vote", help="Judge each image of a collection by itself.")
    ] = False,
    knowledge: Annotated[
        bool, typer.Option("--knowledge", help="Let images of the knowledge base that show the labels decide too.")
    ] = False,
    bands: BandsOption = "",
    sensor: SensorOption = "",
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Choose the label that fits an image best, or the images of folders, which then sharpen each other's labels.

    Example: rsrag classify tiles/ --labels airport,harbour,forest --html tiles.html
    """
    session = session_of(context)
    names = _labels(labels)
    if knowledge and plain_vote:
        raise typer.BadParameter("--knowledge and --plain-vote exclude each other.")
    if len(images) == 1 and not Path(images[0]).expanduser().is_dir():
        if csv or html or plain_vote:
            raise typer.BadParameter("--csv, --html and --plain-vote are for a folder or several images.")
        with session.kb(kb) as store:
            result = session.assistant(store).classify(
                images[0], names, knowledge=knowledge, bands=bands, sensor=sensor
            )
        _show_one(session, result, as_json)
        return
    bar = Progress(session, "Looking at")
    with session.kb(kb) as store:
        try:
            found = session.assistant(store).classify(
                images, names, plain=plain_vote, knowledge=knowledge, progress=bar, bands=bands, sensor=sensor
            )
        finally:
            bar.close()
    shown = _shortener(images)
    if csv:
        _write_csv(csv, found)
        session.note(f"Wrote {csv}.")
    if html:
        from .classify_page import write_page

        write_page(html, found, shown, session.plugins)
        session.note(f"Wrote {html}.")
    _warn(session, found)
    if as_json:
        session.json(_json(found))
    else:
        _print(session, found, shown)


def _show_one(session: Session, result: Classification, as_json: bool) -> None:
    if as_json:
        session.json(
            {
                "label": result.label,
                "scores": [{"label": label, "share": round(share, 4)} for label, share in result.scores],
                "caution": result.reason,
            }
        )
        return
    from .render import print_shares

    print_shares(session, result)


def _labels(text: str) -> list[str]:
    path = Path(text).expanduser()
    if "," not in text and len(text) < 250 and path.is_file():
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [part.strip() for part in text.split(",") if part.strip()]


# -- a collection ---------------------------------------------------------------------------------


def most_doubtful_first(found: Classifications) -> list[Classification]:
    """By the share of the best label; ties in the order of their names."""
    return sorted(found.images, key=lambda image: (image.scores[0][1], image.image))


def counts(found: Classifications) -> list[tuple[str, int, int]]:
    """(label, images, doubtful ones among them) of the labels in use, the most frequent first."""
    from ..classification import DOUBTFUL

    tally: dict[str, list[int]] = {}
    for image in found.images:
        row = tally.setdefault(image.label, [0, 0])
        row[0] += 1
        row[1] += image.scores[0][1] < DOUBTFUL
    return sorted(((label, n, doubtful) for label, (n, doubtful) in tally.items()), key=lambda row: (-row[1], row[0]))


def _shortener(given: Sequence[str]) -> Callable[[str], str]:
    """How a file is shown: relative to the one folder that was given, else as it is."""
    folder = Path(given[0]).expanduser()

    def short(image: str) -> str:
        inside = len(given) == 1 and Path(image).is_relative_to(folder)
        return str(Path(image).relative_to(folder)) if inside else image

    return short


def _warn(session: Session, found: Classifications) -> None:
    if not found.failed:
        return
    n, total = len(found.failed), len(found.failed) + len(found.images)
    session.warn(f"{n:,} of {total:,} could not be read and {'has' if n == 1 else 'have'} no label:")
    for image, why in found.failed[:MOST_ROWS]:
        session.warn(f"  {image}: {why}")
    if n > MOST_ROWS:
        session.warn(f"  and {n - MOST_ROWS:,} more; --json lists all.")


def _print(session: Session, found: Classifications, shown: Callable[[str], str]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ..classification import DOUBTFUL
    from .control import harmless

    def clean(text: str) -> str:
        return escape(harmless(text))

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("Label", overflow="fold", max_width=50)
    table.add_column("Images", justify="right", no_wrap=True)
    table.add_column("Doubtful", justify="right", no_wrap=True)
    for label, images, doubtful in counts(found):
        table.add_row(clean(label), f"{images:,}", f"{doubtful:,}" if doubtful else "")
    session.out.print(table)
    unsure = [image for image in most_doubtful_first(found) if image.scores[0][1] < DOUBTFUL or image.reason]
    if unsure:
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim", expand=True)
        table.add_column("Doubtful", ratio=3, overflow="ellipsis", no_wrap=True)
        table.add_column("Label", ratio=2, overflow="ellipsis", no_wrap=True)
        table.add_column("Share", justify="right", no_wrap=True, width=5)
        table.add_column("Prompts alone", ratio=2, overflow="ellipsis", no_wrap=True)
        for image in unsure[:MOST_ROWS]:
            alone = image.plain if image.plain != image.label else ""
            table.add_row(clean(shown(image.image)), clean(image.label), f"{image.scores[0][1]:.0%}", clean(alone))
        session.out.print()
        session.out.print(table)
        if len(unsure) > MOST_ROWS:
            session.note(f"{len(unsure) - MOST_ROWS:,} more doubtful ones; --csv and --html list all.")
    changed = sum(image.label != image.plain for image in found.images)
    session.note(f"{len(found.images):,} images; {changed:,} labelled otherwise than by the prompts alone.")
    if cautions := [image for image in found.images if image.reason]:
        why = cautions[0].reason
        session.warn(f"take {len(cautions):,} with care (--csv says which): {why}.")


def _write_csv(path: Path, found: Classifications) -> None:
    import csv

    from ..errors import RsragError

    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file", "label", "share", "second", "second_share", "plain", "caution"])
            for image in most_doubtful_first(found):
                (label, share), (second, second_share) = image.scores[:2]
                row = [image.image, label, f"{share:.4f}", second, f"{second_share:.4f}", image.plain, image.reason]
                writer.writerow(row)
    except OSError as error:
        raise RsragError(
            f"the table {path} cannot be written: {error.strerror}.", "Give a file in a folder you own."
        ) from error


def _json(found: Classifications) -> dict[str, Any]:
    return {
        "images": [
            {
                "file": image.image,
                "label": image.label,
                "plain": image.plain,
                "scores": [{"label": label, "share": round(share, 4)} for label, share in image.scores],
                "caution": image.reason,
            }
            for image in found.images
        ],
        "counts": {label: images for label, images, _ in counts(found)},
        "failed": [{"file": file, "reason": why} for file, why in found.failed],
    }


# -- caption --------------------------------------------------------------------------------------


def caption(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    plain: Annotated[bool, typer.Option("--plain", help="The caption alone, without sources.")] = False,
    bands: BandsOption = "",
    sensor: SensorOption = "",
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Describe an image in a sentence or two."""
    session = session_of(context)
    from .render import answer_json, plain_text, print_answer

    with session.kb(kb) as store:
        assistant = session.assistant(store)
        answer = assistant.caption(image, bands=bands, sensor=sensor)
        if as_json:
            session.json(answer_json(answer, store))
        elif plain:
            typer.echo(plain_text(answer))
        else:
            print_answer(session, answer, ())
