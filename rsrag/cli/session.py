"""What the commands of one run share: configuration, plugins, consoles, and the options they have in common."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .control import harmless

if TYPE_CHECKING:
    from rich.console import Console

    from ..assistant import Assistant
    from ..config import Config
    from ..plugins import Plugins
    from ..store.knowledge_base import KnowledgeBase

KbOption = Annotated[str, typer.Option("--kb", metavar="NAME|DIR", help="Knowledge base to use.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
ImageOption = Annotated[
    list[str] | None, typer.Option("--image", "-i", metavar="FILE", help="Image to ask about (repeatable).")
]
BandsOption = Annotated[
    str, typer.Option("--bands", metavar="A,B,...", help="The image's bands in file order: swir1,nir,red,green.")
]
SensorOption = Annotated[
    str, typer.Option("--sensor", metavar="PROFILE", help="The image's sensor, which says its bands: sentinel-2-l2a.")
]
NearOption = Annotated[str, typer.Option("--near", metavar="W,S,E,N", help="Rank what lies near this box first.")]
WithinOption = Annotated[
    str, typer.Option("--within", metavar="BOX|FILE", help="Only inside W,S,E,N or a GeoJSON file.")
]
AroundOption = Annotated[
    str, typer.Option("--around", metavar="LON,LAT,KM", help="Only within KM kilometres of this place.")
]
WhenOption = Annotated[str, typer.Option("--when", metavar="A/B", help="Only from this time span (2019/2021-06).")]
SeasonOption = Annotated[
    str, typer.Option("--season", metavar="S", help="Only of this time of year: summer, JJA, 06-08.")
]
MaxGsdOption = Annotated[
    float | None, typer.Option("--max-gsd", metavar="M", help="Only with pixels of at most M metres.")
]
MaxCloudOption = Annotated[
    float | None, typer.Option("--max-cloud", metavar="PCT", help="Only with at most PCT percent of cloud.")
]
FromSensorOption = Annotated[
    list[str] | None, typer.Option("--from-sensor", metavar="NAME", help="Only from this sensor (repeatable).")
]
FacetOption = Annotated[
    list[str] | None,
    typer.Option("--facet", metavar="K=V", help="Only with this facet: K=V, 'K!=V', 'K<5', 'K>=5' (repeatable)."),
]


class Session:
    """Made once per run, before the command; opens things when they are first needed."""

    def __init__(
        self,
        *,
        external_plugins: bool = True,
        plugin_dirs: Sequence[str] = (),
        wants_json: bool = False,
        debug: bool = False,
    ) -> None:
        self.external_plugins = external_plugins
        self.wants_json = wants_json
        self.debug = debug
        self.overrides: dict[str, Any] = {"plugins": {"paths": list(plugin_dirs)}} if plugin_dirs else {}
        self._warned: set[str] = set()

    def override(self, **values: Any) -> None:
        """Settings given on the command line; None means not given. Called before anything is opened."""
        self.overrides.update(values)
        self.__dict__.pop("config", None)  # plugins that add commands had it read already

    @functools.cached_property
    def config(self) -> Config:
        from .. import config

        loaded = config.load(self.overrides)
        for warning in loaded.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self.warn(warning)
        return loaded

    @functools.cached_property
    def plugins(self) -> Plugins:
        from ..plugins import Plugins

        return Plugins.configured(self.config.table("plugins"), external=self.external_plugins)

    def add_commands(self, app: typer.Typer) -> None:
        """Let plugins add commands. Nothing of the plugin machinery is loaded where none is known to."""
        from ..discovery import in_paths, installed
        from ..errors import ConfigError
        from ..plugin_commands import CommandNotes

        if not self.external_plugins:
            return
        try:
            paths = self.config.table("plugins").get("paths", ())
        except ConfigError:
            return  # told by the command, unless it is one that mends the configuration
        candidates = [*in_paths(paths)[0], *installed()]
        if candidates:
            if self.wants_json:
                from ..guard import keep_stdout

                keep_stdout()
            notes = CommandNotes()
            if not all(notes.rules_out(candidate) for candidate in candidates):
                self.plugins.add_commands(app)

    @functools.cached_property
    def out(self) -> Console:
        """stdout: results."""
        from rich.console import Console

        return Console(highlight=False)

    @functools.cached_property
    def err(self) -> Console:
        """stderr: progress, warnings."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    def warn(self, text: str) -> None:
        sys.stderr.write(f"warning: {harmless(text)}\n")

    def note(self, text: str) -> None:
        """Something to know, that is neither result nor warning."""
        self.err.print(harmless(text), style="dim", markup=False)

    def json(self, value: Mapping[str, Any] | list[Any]) -> None:
        """One JSON document on stdout."""
        typer.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))

    @contextmanager
    def kb(self, name: str = "", *, create: bool = False, fill: bool = True) -> Iterator[KnowledgeBase]:
        """The knowledge base, closed afterwards. With `fill` the default one is filled on first use, visibly."""
        from ..api import open_kb

        bar = Progress(self)
        try:
            kb = open_kb(self.config, self.plugins, name, create=create, fill=fill, progress=bar)
        finally:
            bar.close()
        try:
            yield kb
        finally:
            kb.close()

    def assistant(self, kb: KnowledgeBase) -> Assistant:
        from ..api import make_assistant

        return make_assistant(self.config, kb)


class Progress:
    """A bar on stderr, drawn once there is something to show. Callable as the library's progress callback."""

    def __init__(self, session: Session, verb: str = "Reading") -> None:
        self.session = session
        self.verb = verb
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, done: int, total: int | None, text: str) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self.session.err,
            )
            self._bar.start()
        if text not in self._tasks:
            name = harmless(text).replace("[", r"\[")  # a pack's name is no markup
            self._tasks[text] = self._bar.add_task(f"{self.verb} {name}", total=total)
        self._bar.update(self._tasks[text], completed=done, total=total)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def session_of(context: typer.Context) -> Session:
    """The run's session, with a call's overrides put in by the command before anything is opened."""
    session: Session = context.obj
    return session
