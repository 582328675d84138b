"""`rsrag chat`: a conversation at the terminal, or one question per line from a pipe."""

from __future__ import annotations

from typing import Annotated

import typer

from ..session import BandsOption, KbOption, SensorOption, session_of


def chat(
    context: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...", help="Images to talk about.")] = None,
    continue_: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last chat.")] = False,
    resume: Annotated[str, typer.Option("--resume", metavar="ID", help="Go on with a saved chat.")] = "",
    bands: BandsOption = "",
    sensor: SensorOption = "",
    model: Annotated[str | None, typer.Option(help="Who writes the answers.")] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=200, help="Passages that become evidence.")] = None,
    kb: KbOption = "",
) -> None:
    """Talk about images and places; answers keep their numbered sources.

    Without a terminal it reads one question or command per line. Example: rsrag chat scene.tif
    """
    session = session_of(context)
    session.override(model=model, k=k)
    if continue_ and resume:
        raise typer.BadParameter("--continue and --resume ask for two chats; give one.")
    from .loop import run
    from .state import Chat

    reading = {name: value for name, value in (("bands", bands), ("sensor", sensor)) if value}
    resume = resume or ("last" if continue_ else "")
    code = run(Chat(session, images=tuple(images or ()), reading=reading, kb=kb, resume=resume))
    if code:
        raise typer.Exit(code)
