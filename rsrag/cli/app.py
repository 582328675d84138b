"""The typer application: global options and the list of commands, nothing that a command needs to run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from . import ask, chat, classify, doctor, evaluate, kb, log, plugins, search, settings, show, tools, train
from .session import Session

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """The application with the commands of rsrag and, unless --no-plugins is given, of plugins."""
    session = Session(
        external_plugins="--no-plugins" not in arguments,
        plugin_dirs=_values(arguments, "--plugin-dir"),
        wants_json="--json" in arguments,
        debug="--debug" in arguments,
    )
    app = typer.Typer(
        name="rsrag",
        help="Ask about remote-sensing imagery, with knowledge and sources.",
        context_settings=CONTEXT,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def options(
        context: typer.Context,
        no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Load the built-ins only.")] = False,
        plugin_dir: Annotated[
            list[Path] | None,
            typer.Option("--plugin-dir", metavar="DIR", exists=True, help="Also load plugins from here (repeatable)."),
        ] = None,
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
        ] = False,
    ) -> None:
        context.obj = session

    app.command("ask")(ask.ask)
    app.command("chat")(chat.chat)
    app.command("search")(search.search)
    app.command("classify")(classify.classify)
    app.command("caption")(classify.caption)
    app.command("show")(show.show)
    app.add_typer(kb.app, name="kb")
    app.add_typer(settings.app, name="config")
    app.command("doctor")(doctor.doctor)
    app.add_typer(log.app, name="log")
    app.add_typer(tools.app, name="tools")
    app.add_typer(plugins.app, name="plugins")
    app.add_typer(train.app, name="train")
    app.add_typer(evaluate.app, name="eval")
    session.add_commands(app)
    return app


def _values(arguments: Sequence[str], option: str) -> list[str]:
    """What an option is given as: plugins add commands, so those of the command line are needed before it is parsed."""
    follows = [b for a, b in pairwise(arguments) if a == option]
    return follows + [a.partition("=")[2] for a in arguments if a.startswith(f"{option}=")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"rsrag {__version__}")
        raise typer.Exit
