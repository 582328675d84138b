"""Find plugins, keep the broken ones from hurting anyone, and make components by kind and name.

A `Plugins` object is a value that is passed around; there is no global registry. Built-ins are named by import
string below and go through the same steps as an installed package's entry point.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import pluggy

from . import hookspecs
from .errors import PluginError, RsragError, UsageError
from .types import Scene

log = logging.getLogger("rsrag")

GROUP: Final = "rsrag"
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
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a plugin did wrong, in one line."""

    plugin: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message}"


class Plugins:
    """The plugins of one process or one test.

    `disabled` are entry-point names (or one string, "a,b") that are never imported; `external=False` leaves
    out everything but the built-ins; `extra` are plugin modules or objects handed in directly. With `strict`
    the first problem raises `PluginError`; otherwise problems are collected in `.problems` and logged once.
    """

    def __init__(
        self,
        *,
        disabled: Iterable[str] | str = (),
        external: bool = True,
        strict: bool = False,
        extra: Sequence[object] = (),
    ) -> None:
        self.problems: list[Problem] = []
        self.strict = strict
        self._disabled = frozenset(disabled.split(",") if isinstance(disabled, str) else disabled)
        self._offers: dict[str, dict[str, type[Any]]] = {}
        self._givers: dict[tuple[str, str], str] = {}
        self._entry_points: tuple[EntryPoint, ...] = tuple(entry_points(group=GROUP)) if external else ()
        self._extra = tuple(extra)
        self._builtins: set[str] = set()
        self._external_loaded = False
        self._pm = pluggy.PluginManager("rsrag")
        self._pm.add_hookspecs(hookspecs)

    # -- loading ----------------------------------------------------------------------------------

    def _load_builtin(self, hook: str) -> None:
        """Import the built-ins behind one hook only: asking for an encoder must not import the tools."""
        module = BUILTINS.get(hook)
        if module and module not in self._builtins:
            self._builtins.add(module)
            self._pm.register(importlib.import_module(module), name=module)

    def load_external(self) -> None:
        """Import and register every installed plugin that is not disabled. Done once."""
        if self._external_loaded:
            return
        self._external_loaded = True
        for number, plugin in enumerate(self._extra):
            self._register(getattr(plugin, "__name__", f"extra-{number}"), plugin)
        for point in self._entry_points:
            if point.name in self._disabled:
                continue
            try:
                plugin = point.load()
            except (Exception, SystemExit) as error:
                self.report(point.name, f"cannot be imported ({type(error).__name__}: {_first_line(error)}).")
                continue
            self._register(point.name, plugin)

    def _register(self, name: str, plugin: object) -> None:
        wanted = getattr(plugin, "RSRAG_PLUGIN_API", hookspecs.PLUGIN_API)
        if wanted != hookspecs.PLUGIN_API:
            self.report(name, f"was written for plugin API {wanted}; this rsrag has {hookspecs.PLUGIN_API}.")
            return
        if self._pm.has_plugin(name):
            self.report(name, "has the name of a plugin that is already loaded; ignored.")
            return
        try:
            self._pm.register(plugin, name=name)
        except (ValueError, pluggy.PluginValidationError) as error:
            if self._pm.has_plugin(name):
                self._pm.unregister(name=name)
            self.report(name, f"does not fit the hooks ({_first_line(error)}).")
            return
        for hook in _unknown_hooks(plugin):
            near = difflib.get_close_matches(hook, [*HOOKS.values(), "rsrag_commands"], n=1)
            self.report(name, f"implements {hook}, which is no hook." + (f" Did you mean {near[0]}?" if near else ""))

    def report(self, plugin: str, message: str) -> None:
        """Note what a plugin did wrong, once. Raises `PluginError` when strict."""
        problem = Problem(plugin, message)
        if self.strict:
            raise PluginError(str(problem), "Disable the plugin or unset RSRAG_STRICT_PLUGINS.")
        if problem not in self.problems:
            self.problems.append(problem)
            log.warning("%s", problem)

    # -- offers -----------------------------------------------------------------------------------

    def offers(self, kind: str) -> Mapping[str, type[Any]]:
        """All components of a kind ("source", "encoder", ...), by name; built-ins first."""
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
                    name = cls.name
                    if name in found:
                        first = self._givers[kind, name]
                        self.report(
                            impl.plugin_name, f"offers {kind} '{name}', which {first} already provides; ignored."
                        )
                        continue
                    found[name] = cls
                    self._givers[kind, name] = impl.plugin_name
            self._offers[kind] = found
        return self._offers[kind]

    def _ask(self, impl: Any, kind: str) -> list[type[Any]]:
        try:
            offered = impl.function()
        except (Exception, SystemExit) as error:
            self.report(
                impl.plugin_name, f"failed to offer its {kind}s ({type(error).__name__}: {_first_line(error)})."
            )
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
        try:
            return cls(*([rest] if rest else []), **options)
        except RsragError:
            raise
        except TypeError as error:
            raise UsageError(f"{kind} '{base}' cannot be made: {error}.", _signature_hint(cls)) from error
        except Exception as error:
            raise PluginError(
                f"{kind} '{base}' failed to start: {type(error).__name__}: {_first_line(error)}."
            ) from error

    def resolve(self, kind: str, value: Any, **options: Any) -> Any:
        """A component given by name or as an instance."""
        return self.create(kind, value, **options) if isinstance(value, str) else value

    # -- the hooks that are not offers ------------------------------------------------------------

    def open_scene(self, uri: str) -> Scene | None:
        """Ask plugins to open an image; None when none of them wants it."""
        self.load_external()
        for impl in reversed(self._pm.hook.rsrag_open_scene.get_hookimpls()):
            try:
                scene = impl.function(*([uri] if impl.argnames else []))
            except RsragError:
                raise
            except (Exception, SystemExit) as error:
                self.report(impl.plugin_name, f"failed to open {uri} ({type(error).__name__}: {_first_line(error)}).")
                continue
            if scene is not None:
                if isinstance(scene, Scene):
                    return scene
                self.report(impl.plugin_name, f"rsrag_open_scene returned {type(scene).__name__}, not a Scene.")
        return None

    def notify_answered(self, query: Any, answer: Any) -> None:
        """Tell observers about an answer."""
        self._call_each("rsrag_answered", query=query, answer=answer)

    def add_commands(self, app: Any) -> None:
        """Let plugins add to the command line."""
        self._call_each("rsrag_commands", app=app)

    def _call_each(self, hook: str, **arguments: Any) -> None:
        self.load_external()
        for impl in getattr(self._pm.hook, hook).get_hookimpls():
            try:
                impl.function(**{name: arguments[name] for name in impl.argnames})
            except (Exception, SystemExit) as error:
                self.report(impl.plugin_name, f"{hook} failed ({type(error).__name__}: {_first_line(error)}).")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def _unknown_hooks(plugin: object) -> list[str]:
    known = {name for name in dir(hookspecs) if name.startswith("rsrag_")}
    marked = [n for n in dir(plugin) if getattr(getattr(plugin, n, None), "rsrag_impl", None) is not None]
    return [name for name in marked if name not in known]


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        return []


def _signature_hint(cls: type[Any]) -> str:
    names = [p.name for p in _parameters(cls)]
    return f"It takes: {', '.join(names)}." if names else "It takes no options."


def _check_options(kind: str, name: str, cls: type[Any], options: Mapping[str, Any]) -> None:
    parameters = _parameters(cls)
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else _signature_hint(cls)
            raise UsageError(f"{kind} '{name}' has no option '{key}'.", hint)
