"""`rsrag classify` and `rsrag caption`: name an image, describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .session import JsonOption, KbOption, session_of


def classify(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    labels: Annotated[str, typer.Option(metavar="A,B|FILE", help="Labels, or a file with one per line.")],
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Choose the label that fits an image best.

    Example: rsrag classify tile.jpg --labels airport,harbour,forest
    """
    session = session_of(context)
    names = _labels(labels)
    with session.kb(kb) as store:
        result = session.assistant(store).classify(image, names)
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


def caption(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    plain: Annotated[bool, typer.Option("--plain", help="The caption alone, without sources.")] = False,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Describe an image in a sentence or two."""
    session = session_of(context)
    from .render import answer_json, plain_text, print_answer

    with session.kb(kb) as store:
        assistant = session.assistant(store)
        answer = assistant.caption(image)
        if as_json:
            session.json(answer_json(answer, store))
        elif plain:
            typer.echo(plain_text(answer))
        else:
            print_answer(session, answer, ())
