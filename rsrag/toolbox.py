"""Geo tools as something to call: what each takes, whether arguments fit, and running them.

A tool's `__call__` is its schema. Parameters of the names in `INJECTED` are filled in here; all others are arguments,
checked against their annotations before the tool sees them.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal

from .errors import UsageError
from .interfaces import Knowledge
from .types import Query, Scene, ToolResult, ToolSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

INJECTED: Final = ("scene", "scenes", "kb", "pictures")
RUN_FROM: Final = 0.4
"""A tool that says it applies at least this well is run by rule."""
ASKED_FOR: Final = 0.8
"""From here on the question asks for the very thing that the tool does."""

Confirm = Callable[[ToolSpec, Mapping[str, Any]], bool]
"""Asks a person whether a tool may run that writes files or reaches the network."""


class Tool:
    """One geo tool, ready to be called.

    `takes` is "scene" (one at a time), "scenes" (all at once) or "" (none).
    """

    def __init__(self, component: Any) -> None:
        self.component = component
        self.name: str = component.name
        self.asks: tuple[str, ...] = tuple(getattr(component, "asks", ()))
        self._parameters = inspect.signature(component.__call__).parameters
        self.takes: Literal["scene", "scenes", ""] = (
            "scene" if "scene" in self._parameters else "scenes" if "scenes" in self._parameters else ""
        )

    def spec(self, letters: Sequence[str] = ()) -> ToolSpec:
        """What a model is told: the docstring's first paragraph, the arguments, and which scenes it may look at."""
        schema = self._schema
        properties = dict(schema.get("properties", {}))
        if self.takes == "scene" and len(letters) > 1:
            what = "Letter of the image to look at."
            properties["scene"] = {"type": "string", "enum": list(letters), "default": letters[0], "description": what}
        elif self.takes == "scenes" and len(letters) > 1:
            what = "Letters of the images, in order; all when left out."
            properties["scenes"] = {
                "type": "array",
                "items": {"type": "string", "enum": list(letters)},
                "description": what,
            }
        parameters = {"type": "object", "properties": properties, "required": list(schema.get("required", ()))}
        # Every word of every tool is read before every answer: what a tool is for must do.
        return ToolSpec(self.name, " ".join(self.description.split("\n\n")[0].split()), parameters, self.asks)

    @cached_property
    def description(self) -> str:
        """The docstring of `__call__` without its list of arguments; that of the class when there is none."""
        return _ARGUMENTS.split(self._doc)[0].strip()

    @property
    def arguments(self) -> Mapping[str, Any]:
        """JSON schema of each argument, by name."""
        properties: Mapping[str, Any] = self._schema.get("properties", {})
        return properties

    def validated(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the types that the tool declares. Raises `UsageError` naming what does not fit."""
        if self._own_schema is not None:
            return dict(arguments)  # its own library checks them
        for name in arguments:
            if name not in self.model.model_fields:
                near = difflib.get_close_matches(name, self.model.model_fields, n=1)
                there = ", ".join(self.model.model_fields) or "none"
                hint = f"Did you mean '{near[0]}'?" if near else f"It takes: {there}."
                raise UsageError(f"tool '{self.name}' has no argument '{name}'.", hint)
        from pydantic import ValidationError

        try:
            model = self.model.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if first["type"] == "missing":
                raise UsageError(f"tool '{self.name}' needs the argument '{name}'.", self._told(name)) from error
            message = f"tool '{self.name}': {name} = {first.get('input')!r} does not fit ({first['msg'].lower()})."
            raise UsageError(message, self._told(name)) from error
        return {name: getattr(model, name) for name in model.model_fields_set}

    def from_text(self, pairs: Sequence[str]) -> dict[str, Any]:
        """Arguments from "name=value" as people type them; a list is JSON or separated by commas."""
        given: dict[str, Any] = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise UsageError(f"'{pair}' is not an argument.", f"Give name=value. {self._usage()}")
            given[name.strip()] = self._read(name.strip(), value)
        return self.validated(given)

    def run(self, scenes: Sequence[Scene], arguments: Mapping[str, Any], kb: Knowledge, pictures: Path) -> ToolResult:
        """Call the tool with validated arguments. Raises what the tool raises, and `UsageError` without a scene."""
        if self.takes and not scenes:
            raise UsageError(f"tool '{self.name}' needs an image.", "Give one.")
        injected = {"scene": scenes[0] if scenes else None, "scenes": tuple(scenes), "kb": kb, "pictures": pictures}
        if "pictures" in self._parameters:
            pictures.mkdir(parents=True, exist_ok=True)
        own = {name: value for name, value in injected.items() if name in self._parameters}
        result: ToolResult = self.component(**own, **arguments)
        if not isinstance(result, ToolResult):
            raise TypeError(f"it returned {type(result).__name__} instead of a ToolResult")
        return result

    @property
    def _doc(self) -> str:
        return inspect.getdoc(self.component.__call__) or inspect.getdoc(type(self.component)) or self.name

    @cached_property
    def _own_schema(self) -> Mapping[str, Any] | None:
        schema: Mapping[str, Any] | None = getattr(self.component, "parameters", None)
        return schema

    @cached_property
    def _schema(self) -> Mapping[str, Any]:
        if self._own_schema is not None:
            return self._own_schema
        schema = self.model.model_json_schema()
        for item in schema.get("properties", {}).values():
            item.pop("title", None)
        return schema

    @cached_property
    def model(self) -> type[BaseModel]:
        """The arguments as a pydantic model, which refuses what it does not know."""
        from pydantic import ConfigDict, Field, create_model

        kept = {
            name: parameter
            for name, parameter in self._parameters.items()
            if name not in INJECTED and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        }
        call = inspect.unwrap(type(self.component).__call__)
        # Only the arguments' own: scenes and paths are often imported for type checkers alone.
        notes = {n: p.annotation for n, p in kept.items() if p.annotation is not p.empty}
        hints = typing.get_type_hints(SimpleNamespace(__annotations__=notes), globalns=call.__globals__)
        told = dict(_ARGUMENT.findall(_ARGUMENTS.split(self._doc)[-1])) if _ARGUMENTS.search(self._doc) else {}
        fields: dict[str, Any] = {}
        for name, parameter in kept.items():
            default = ... if parameter.default is parameter.empty else parameter.default
            what = " ".join(told.get(name, "").split()) or None
            fields[name] = (hints.get(name, Any), Field(default, description=what))
        return create_model(f"{self.name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)

    def _read(self, name: str, value: str) -> Any:
        schema = self.arguments.get(name, {})
        kinds = {schema.get("type"), *(item.get("type") for item in schema.get("anyOf", ()))}
        if not kinds & {"array", "object"} or (value == "" and "string" in kinds):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return [item.strip() for item in value.split(",")] if "array" in kinds else value

    def _told(self, name: str) -> str:
        return f"{self.arguments.get(name, {}).get('description') or ''} {self._usage()}".strip()

    def _usage(self) -> str:
        return f"It takes: {', '.join(self.arguments) or 'no arguments'}."


_ARGUMENTS: Final = re.compile(r"^\s*Args:\s*$", re.MULTILINE)
_ARGUMENT: Final = re.compile(r"^\s{0,8}(\w+)(?:\s*\([^)]*\))?:[ \t]*(.+(?:\n\s{6,}\S.*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """A tool about to run: on which lettered scenes, with which arguments, and how well it fits the question."""

    tool: Tool
    letters: tuple[str, ...] = ()
    scenes: tuple[Scene, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    fit: float = 0.0


class Toolbox:
    """The tools on offer, with what they are given. `confirm` is asked before a tool that `asks`; without one such
    a tool does not run."""

    def __init__(
        self, components: Sequence[Any], kb: Knowledge, pictures: Path, confirm: Confirm | None = None
    ) -> None:
        self.tools = {component.name: Tool(component) for component in components}
        self.kb = kb
        self.pictures = pictures
        self.confirm = confirm

    def get(self, name: str) -> Tool:
        """Raises `UsageError` with the nearest name."""
        if name in self.tools:
            return self.tools[name]
        near = difflib.get_close_matches(name, self.tools, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(self.tools) or 'none'}."
        raise UsageError(f"there is no tool '{name}'.", hint)

    def specs(self, letters: Sequence[str]) -> tuple[ToolSpec, ...]:
        """What a model may call: without scenes, only the tools that need none."""
        return tuple(tool.spec(letters) for tool in self.tools.values() if letters or not tool.takes)

    def by_rule(self, query: Query, failed: Callable[[str, Exception], None]) -> list[Run]:
        """What runs without a model's asking, the best fitting first.

        A tool that was asked for and looks at all scenes together stands for itself: what would be said of each scene
        is left out then.
        """
        runs: list[Run] = []
        for tool in self.tools.values():
            try:
                fit = float(tool.component.applies(query))
                if fit < RUN_FROM or (tool.takes and not query.scenes):
                    continue
                implied = getattr(tool.component, "arguments", None)
                given = implied(query) if callable(implied) else {}
                several = [given] if isinstance(given, Mapping) else list(given)
                checked = [tool.validated(arguments) for arguments in several]
            except Exception as error:  # it costs itself
                failed(tool.name, error)
                continue
            for arguments in checked:
                if tool.takes == "scene":
                    runs += [Run(tool, (letter,), (scene,), arguments, fit) for letter, scene in query.lettered]
                else:
                    scenes = query.lettered if tool.takes else ()
                    runs.append(Run(tool, tuple(k for k, _ in scenes), tuple(s for _, s in scenes), arguments, fit))
        if any(run.fit >= ASKED_FOR and run.tool.takes == "scenes" for run in runs):
            runs = [run for run in runs if run.fit >= ASKED_FOR]
        return sorted(runs, key=lambda run: (-run.fit, run.tool.name, run.letters))

    def called(self, name: str, arguments: Mapping[str, Any], lettered: Sequence[tuple[str, Scene]]) -> Run:
        """A model's or a person's call as a run. Raises `UsageError` for a wrong name, letter or argument."""
        tool = self.get(name)
        given = dict(arguments)
        scenes = dict(lettered)
        if tool.takes == "scene":
            wanted = [str(given.pop("scene", None) or next(iter(scenes), ""))]
        elif tool.takes == "scenes":
            chosen = given.pop("scenes", None) or list(scenes)
            wanted = [str(item) for item in ([chosen] if isinstance(chosen, str) else chosen)]
        else:
            wanted = []
        letters = tuple(item.strip("[] ").upper() for item in wanted if item)
        for letter in letters:
            if letter not in scenes:
                raise UsageError(f"there is no image [{letter}].", f"There are: {', '.join(scenes) or 'none'}.")
        return Run(tool, letters, tuple(scenes[letter] for letter in letters), tool.validated(given), 1.0)

    def run(self, run: Run) -> ToolResult:
        """Raises what the tool raises, and `UsageError` when a person must agree first and has not."""
        if run.tool.asks:
            spec = run.tool.spec(run.letters)
            if self.confirm is None or not self.confirm(spec, run.arguments):
                what = " and ".join(_ASKS.get(item, item) for item in run.tool.asks)
                raise UsageError(f"tool '{run.tool.name}' {what}, and nobody agreed to that.", "Agree when asked.")
        return run.tool.run(run.scenes, run.arguments, self.kb, self.pictures)


_ASKS: Final = {"network": "reaches the network", "write": "writes files"}
