"""Find plugins, keep the broken ones from hurting anyone, and make components by kind and name.

A `Plugins` object is a value that is passed around; there is no global registry. Built-ins are named by import
string below and go through the same steps as an installed package's entry point.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pluggy

from . import hookspecs
from .discovery import Candidate, in_paths, installed
from .errors import PluginError, RsragError, UsageError
from .guard import Guard, Late
from .guarded import guarded, lacks, said
from .plugin_commands import CommandNotes, commands
from .types import Scene

log = logging.getLogger("rsrag")

HOOKS: Final[Mapping[str, str]] = {
    "source": "rsrag_sources",
    "captioner": "rsrag_captioners",
    "encoder": "rsrag_encoders",
    "retriever": "rsrag_retrievers",
    "reranker": "rsrag_rerankers",
    "model": "rsrag_models",
    "tool": "rsrag_tools",
    "benchmark": "rsrag_benchmarks",
}
BUILTINS: Final[Mapping[str, str]] = {
    "rsrag_sources": "rsrag.builtin.sources",
    "rsrag_captioners": "rsrag.builtin.captioners",
    "rsrag_encoders": "rsrag.builtin.encoders",
    "rsrag_retrievers": "rsrag.builtin.retrievers",
    "rsrag_rerankers": "rsrag.builtin.rerankers",
    "rsrag_models": "rsrag.builtin.models",
    "rsrag_tools": "rsrag.builtin.tools",
    "rsrag_benchmarks": "rsrag.builtin.benchmarks",
}
TIMEOUT: Final = 60.0
"""Seconds that a lane, a tool or the import of a plugin may take."""
HOOK_TIMEOUT: Final = 10.0
"""Seconds that a hook may take: it offers classes or takes note of an answer, and loads nothing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a plugin did wrong, in one line."""

    plugin: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message}"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What `rsrag plugins list` tells of a plugin.

    `state`: built-in, ok, faulty (used, in spite of problems), broken (not used) or disabled (not imported). `offers`
    maps kinds to names, `hooks` are the other hooks it implements. `path` is set where it is not installed.
    """

    name: str
    state: str
    distribution: str = ""
    version: str = ""
    module: str = ""
    path: str = ""
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    import_ms: float = 0.0
    problems: tuple[str, ...] = ()


class Plugins:
    """The plugins of one process or one test.

    `disabled` are plugin names (or one string, "a,b") that are never imported; `paths` are files and folders of
    plugins that are not installed; `timeout` is how many seconds a lane, a tool or an import may take.
    `external=False` leaves out everything but the built-ins and `extra`: plugin modules, objects or candidates
    handed in directly. With `strict` the first problem raises `PluginError`; otherwise problems are collected in
    `.problems` and logged once.
    """

    def __init__(
        self,
        *,
        disabled: Iterable[str] | str = (),
        paths: Iterable[str | Path] = (),
        timeout: float = TIMEOUT,
        external: bool = True,
        strict: bool = False,
        extra: Sequence[object] = (),
    ) -> None:
        if not timeout > 0:
            raise UsageError(f"timeout is {timeout:g} s; plugins need more than none.")
        self.problems: list[Problem] = []
        self.strict = strict
        self.timeout = timeout
        self._disabled = frozenset(disabled.split(",") if isinstance(disabled, str) else disabled)
        self._offers: dict[str, dict[str, type[Any]]] = {}
        self._givers: dict[tuple[str, str], str] = {}
        self._candidates = [
            plugin
            if isinstance(plugin, Candidate)
            else Candidate(getattr(plugin, "__name__", f"extra-{number}"), given=plugin)
            for number, plugin in enumerate(extra)
        ]
        self._missing: list[Path] = []
        if external:
            local, self._missing = in_paths(paths)
            self._candidates += [*local, *installed()]
        self._tried: set[int] = set()
        self._builtins: set[str] = set()
        self._guards: dict[str, Guard] = {}
        self._import_seconds: dict[str, float] = {}
        self._pm = pluggy.PluginManager("rsrag")
        self._pm.add_hookspecs(hookspecs)

    @classmethod
    def configured(cls, table: Mapping[str, Any], *, external: bool = True) -> Plugins:
        """As the table [plugins] of the configuration says; RSRAG_STRICT_PLUGINS=1 makes it strict."""
        return cls(**table, external=external, strict=os.environ.get("RSRAG_STRICT_PLUGINS", "") not in ("", "0"))

    # -- loading ----------------------------------------------------------------------------------

    def _load_builtin(self, hook: str) -> None:
        """Import the built-ins behind one hook only: asking for an encoder must not import the tools."""
        module = BUILTINS.get(hook)
        if module and module not in self._builtins:
            self._builtins.add(module)
            start = time.perf_counter()
            self._pm.register(importlib.import_module(module), name=module)
            self._import_seconds[module] = time.perf_counter() - start

    def load_external(self) -> None:
        """Import and register every plugin that is not disabled. Done once."""
        for path in self._missing:
            self.report(str(path), "there is no such file or folder, though a path of plugins names it.")
        for number in range(len(self._candidates)):
            self._load(number)

    def _load(self, number: int) -> None:
        candidate = self._candidates[number]
        if number in self._tried or candidate.name in self._disabled:
            return
        self._tried.add(number)
        start = time.perf_counter()
        try:
            plugin = self._guard(candidate.name).call("the import", candidate.load, self.timeout)
        except Exception as error:
            self.report(candidate.name, f"cannot be imported ({said(_exit_or(error))}).")
            return
        self._import_seconds[candidate.name] = time.perf_counter() - start
        self._register(candidate.name, plugin)

    def _guard(self, plugin: str) -> Guard:
        return self._guards.setdefault(plugin, Guard(plugin))

    def _register(self, name: str, plugin: object) -> None:
        wanted = getattr(plugin, "RSRAG_PLUGIN_API", hookspecs.PLUGIN_API)
        if wanted != hookspecs.PLUGIN_API:
            remedy = "rsrag" if isinstance(wanted, int) and wanted > hookspecs.PLUGIN_API else "the plugin"
            self.report(
                name, f"was written for plugin API {wanted}; this rsrag has {hookspecs.PLUGIN_API}. Update {remedy}."
            )
            return
        if self._pm.has_plugin(name):
            self.report(name, "has the name of a plugin that is already loaded; ignored.")
            return
        try:
            self._pm.register(plugin, name=name)
        except (ValueError, pluggy.PluginValidationError) as error:
            if self._pm.has_plugin(name):
                self._pm.unregister(name=name)
            self.report(name, f"does not fit the hooks ({said(error)}).")
            return
        for hook in _unknown_hooks(plugin):
            near = difflib.get_close_matches(hook, [*HOOKS.values(), "rsrag_commands"], n=1)
            self.report(name, f"implements {hook}, which is no hook." + (f" Did you mean {near[0]}?" if near else ""))
        for hook in _unmarked_hooks(plugin):
            self.report(name, f"defines {hook} without @rsrag.hookimpl, so that it is not called.")

    def report(self, plugin: str, message: str) -> None:
        """Note what a plugin did wrong, once. Raises `PluginError` when strict."""
        problem = Problem(plugin, message)
        if self.strict:
            raise PluginError(str(problem), "Disable the plugin or unset RSRAG_STRICT_PLUGINS.")
        if problem not in self.problems:
            self.problems.append(problem)
            log.warning("%s", problem)

    def _hook(self, impl: Any, hook: str, seconds: float, **arguments: Any) -> Any:
        """Call one plugin's implementation. One that is late loses all its hooks: it would be late again."""
        wanted = {name: arguments[name] for name in impl.argnames}
        try:
            return self._guard(impl.plugin_name).call(hook, lambda: impl.function(**wanted), seconds)
        except Late:
            if self._pm.has_plugin(impl.plugin_name):
                self._pm.unregister(name=impl.plugin_name)
            raise

    # -- offers -----------------------------------------------------------------------------------

    def offers(self, kind: str) -> Mapping[str, type[Any]]:
        """All components of a kind ("source", "encoder", ...), by name; built-ins first.

        The classes of plugins come guarded; see `rsrag.guarded`.
        """
        if kind not in HOOKS:
            raise UsageError(f"there is no kind of component called '{kind}'.", f"Kinds: {', '.join(HOOKS)}.")
        if kind not in self._offers:
            hook = HOOKS[kind]
            self._load_builtin(hook)
            self.load_external()
            # One implementation at a time, so that one that raises costs only itself.
            impls = getattr(self._pm.hook, hook).get_hookimpls()
            found: dict[str, type[Any]] = {}
            for impl in sorted(impls, key=lambda i: i.plugin_name not in self._builtins):
                for cls in self._ask(impl, kind):
                    if cls.name in found:
                        first = self._givers[kind, cls.name]
                        self.report(
                            impl.plugin_name, f"offers {kind} '{cls.name}', which {first} already provides; ignored."
                        )
                    else:
                        found[cls.name] = self._guarded(cls, kind, impl.plugin_name)
                        self._givers[kind, cls.name] = impl.plugin_name
            self._offers[kind] = found
        return self._offers[kind]

    def _guarded(self, cls: type[Any], kind: str, plugin: str) -> type[Any]:
        if plugin in self._builtins:
            return cls
        return guarded(cls, kind, self._guard(plugin), self.timeout, lambda message: self.report(plugin, message))

    def _ask(self, impl: Any, kind: str) -> list[type[Any]]:
        try:
            if impl.plugin_name in self._builtins:
                offered = impl.function()
            else:
                offered = self._hook(impl, HOOKS[kind], min(HOOK_TIMEOUT, self.timeout))
        except Exception as error:
            self.report(impl.plugin_name, f"failed to offer its {kind}s ({said(_exit_or(error))}).")
            return []
        if not isinstance(offered, list | tuple):
            self.report(
                impl.plugin_name, f"{HOOKS[kind]} returned {type(offered).__name__} instead of a list of classes."
            )
            return []
        good = []
        for cls in offered:
            if isinstance(cls, type) and isinstance(getattr(cls, "name", None), str):
                good.append(cls)
            else:
                self.report(impl.plugin_name, f"offers {cls!r} as {kind}; it must be a class with a `name`.")
        return good

    def giver(self, kind: str, name: str) -> str:
        """Which plugin offers a component."""
        self.offers(kind)
        return self._givers[kind, name]

    def listing(self) -> list[PluginInfo]:
        """All plugins with what they offer, built-ins first. Imports those that are not disabled, and makes nothing."""
        for kind in HOOKS:
            self.offers(kind)
        builtin = PluginInfo("rsrag", "built-in", "rsrag", version("rsrag"), "rsrag.builtin")
        rows = [self._with_offers(builtin, self._builtins)]
        taken: set[str] = set()
        for candidate in self._candidates:
            name = candidate.name
            problems = tuple(p.message for p in self.problems if p.plugin == name)
            used = name not in self._disabled and name not in taken and self._pm.has_plugin(name)
            state = ("faulty" if problems else "ok") if used else "disabled" if name in self._disabled else "broken"
            path = str(candidate.file or "")
            row = PluginInfo(name, state, *candidate.distribution, candidate.module, path, problems=problems)
            rows.append(self._with_offers(row, {name}) if used else row)
            taken.add(name)
        return rows

    def _with_offers(self, row: PluginInfo, plugins: Iterable[str]) -> PluginInfo:
        plugins = set(plugins)
        offers = {kind: tuple(n for n in self._offers[kind] if self._givers[kind, n] in plugins) for kind in HOOKS}
        callers = {c.name for p in plugins for c in self._pm.get_hookcallers(self._pm.get_plugin(p)) or ()}
        return replace(
            row,
            offers={kind: names for kind, names in offers.items() if names},
            hooks=tuple(sorted(callers - set(HOOKS.values()))),
            import_ms=round(1000 * sum(self._import_seconds[p] for p in plugins), 1),
        )

    def create(self, kind: str, name: str, **options: Any) -> Any:
        """Make a component: `create("source", "folder", path="x")`. "name:rest" passes `rest` first.

        Raises `UsageError` for an unknown name or option, with the nearest that exists.
        """
        offers = self.offers(kind)
        base, _, rest = name.partition(":")
        if base not in offers:
            near = difflib.get_close_matches(base, offers, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(offers)) or 'none'}."
            raise UsageError(f"there is no {kind} called '{base}'.", hint)
        cls = offers[base]
        _check_options(kind, base, cls, options)
        giver = self._givers[kind, base]

        def make() -> Any:
            return cls(*([rest] if rest else []), **options)

        try:
            if giver in self._builtins:
                return make()
            component = self._guard(giver).call(f"{kind} '{base}'", make, self.timeout)
            if verb := lacks(component, kind):
                raise PluginError(f"{kind} '{base}' of plugin {giver} has no {verb}().")
            return component
        except RsragError:
            raise
        except TypeError as error:
            raise UsageError(f"{kind} '{base}' cannot be made: {error}.", _signature_hint(cls)) from error
        except Exception as error:
            raise PluginError(f"{kind} '{base}' failed to start: {said(error)}.") from error

    def resolve(self, kind: str, value: Any, **options: Any) -> Any:
        """A component given by name or as an instance."""
        return self.create(kind, value, **options) if isinstance(value, str) else value

    # -- the hooks that are not offers ------------------------------------------------------------

    def open_scene(self, uri: str) -> Scene | None:
        """Ask plugins to open an image; None when none of them wants it."""
        self.load_external()
        for impl in reversed(self._pm.hook.rsrag_open_scene.get_hookimpls()):
            try:
                scene = self._hook(impl, "rsrag_open_scene", self.timeout, uri=uri)
            except Exception as error:
                if isinstance(error, RsragError) and not isinstance(error, PluginError):
                    raise  # it knows this image, and says what is wrong with it
                self.report(impl.plugin_name, f"failed to open {uri} ({said(_exit_or(error))}).")
                continue
            if scene is not None:
                if isinstance(scene, Scene):
                    return scene
                self.report(impl.plugin_name, f"rsrag_open_scene returned {type(scene).__name__}, not a Scene.")
        return None

    def notify_answered(self, query: Any, answer: Any) -> None:
        """Tell observers about an answer."""
        self.load_external()
        self._call_each("rsrag_answered", query=query, answer=answer)

    def add_commands(self, app: Any) -> None:
        """Let plugins add to the command line. Those that earlier runs have seen to add nothing are not imported."""
        notes = CommandNotes()
        new = []
        for number, candidate in enumerate(self._candidates):
            if not notes.rules_out(candidate):
                self._load(number)
                new += [candidate] if candidate.module and self._pm.has_plugin(candidate.name) else []
        impls = self._pm.hook.rsrag_commands.get_hookimpls()
        for impl in impls:
            known = commands(app)
            taken, old = {name for name, _, _ in known}, {id(entry) for _, entry, _ in known}
            self._observe(impl, "rsrag_commands", app=app)
            for name, entry, entries in commands(app):
                if id(entry) not in old and name in taken:
                    entries.remove(entry)
                    self.report(impl.plugin_name, f"adds the command '{name}', which there is already; ignored.")
        adding = {impl.plugin_name for impl in impls}
        notes.remember((candidate, candidate.name in adding) for candidate in new)

    def _call_each(self, hook: str, **arguments: Any) -> None:
        for impl in getattr(self._pm.hook, hook).get_hookimpls():
            self._observe(impl, hook, **arguments)

    def _observe(self, impl: Any, hook: str, **arguments: Any) -> None:
        try:
            self._hook(impl, hook, min(HOOK_TIMEOUT, self.timeout), **arguments)
        except Exception as error:
            self.report(impl.plugin_name, f"{hook} failed ({said(_exit_or(error))}).")


def _exit_or(error: BaseException) -> BaseException:
    """The SystemExit behind an error, where there is one: it says more."""
    return error.__cause__ if isinstance(error.__cause__, SystemExit) else error


def _known_hooks() -> set[str]:
    return {name for name in dir(hookspecs) if name.startswith("rsrag_")}


def _unknown_hooks(plugin: object) -> list[str]:
    marked = [n for n in dir(plugin) if getattr(getattr(plugin, n, None), "rsrag_impl", None) is not None]
    return [name for name in marked if name not in _known_hooks()]


def _unmarked_hooks(plugin: object) -> list[str]:
    """Functions of a module that are named as a hook and lack the mark: a mistake that would go unnoticed."""
    named = {n: getattr(plugin, n) for n in _known_hooks() if inspect.ismodule(plugin) and hasattr(plugin, n)}
    return sorted(n for n, f in named.items() if inspect.isfunction(f) and not hasattr(f, "rsrag_impl"))


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        return []


def _signature_hint(cls: type[Any]) -> str:
    names = [p.name for p in _parameters(cls)]
    return f"It takes: {', '.join(names)}." if names else "It takes no options."


def _check_options(kind: str, name: str, cls: type[Any], options: Mapping[str, Any]) -> None:
    if not options:  # reading a signature takes time, and components are made for every question
        return
    parameters = _parameters(cls)
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else _signature_hint(cls)
            raise UsageError(f"{kind} '{name}' has no option '{key}'.", hint)
