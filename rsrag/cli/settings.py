"""`rsrag config`: show settings with where each comes from, and make a file to edit."""

from __future__ import annotations

import typer

from .session import JsonOption, session_of

app = typer.Typer(help="Settings and where they come from.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Every setting, its value and its origin."""
    session = session_of(context)
    config = session.config
    if as_json:
        session.json({key: {"value": value, "origin": config.origin(key)} for key, value in config.values.items()})
        return
    for key, value in config.values.items():
        origin = config.origin(key)
        session.out.print(
            f"{key:<13} {value!r:<24} {origin}",
            style="dim" if origin == "default" else None,
            markup=False,
            soft_wrap=True,
        )


@app.command("path")
def path() -> None:
    """Where the user's configuration file is, or would be."""
    from ..config import user_file

    typer.echo(str(user_file()))


@app.command("init")
def init() -> None:
    """Write a commented configuration file; an existing one is kept."""
    from ..config import template, user_file
    from ..errors import RsragError

    target = user_file()
    if target.exists():
        raise RsragError(f"{target} exists already.", "Edit it, or move it away first.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise RsragError(f"{target} cannot be written ({error.strerror}).") from error
    typer.echo(str(target))


@app.command("trust")
def trust() -> None:
    """Let the project's rsrag.toml set anything, until it changes."""
    from ..config import project_file
    from ..config import trust as record
    from ..errors import RsragError

    found = project_file()
    if found is None:
        raise RsragError("there is no rsrag.toml here or in a folder above.", "Nothing to trust.")
    record(found)
    typer.echo(f"Trusted {found} as it is now.")
