"""The typer application: global options and the list of commands, nothing that a command needs to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from .. import __version__
from . import ask, classify, doctor, kb, search, settings, show
from .session import Session

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """The application with the commands of rsrag and, unless --no-plugins is given, of plugins."""
    session = Session(external_plugins="--no-plugins" not in arguments, debug="--debug" in arguments)
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
        no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Load no installed plugin.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
        ] = False,
    ) -> None:
        context.obj = session

    app.command("ask")(ask.ask)
    app.command("search")(search.search)
    app.command("classify")(classify.classify)
    app.command("caption")(classify.caption)
    app.command("show")(show.show)
    app.add_typer(kb.app, name="kb")
    app.add_typer(settings.app, name="config")
    app.command("doctor")(doctor.doctor)
    if session.external_plugins:
        from importlib.metadata import entry_points

        # Only an installed plugin can add commands; without one, nothing of the plugin machinery is loaded.
        if tuple(entry_points(group="rsrag")):
            session.plugins.add_commands(app)
    return app


def _version(value: bool) -> None:
    if value:
        typer.echo(f"rsrag {__version__}")
        raise typer.Exit
