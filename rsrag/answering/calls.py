"""Finds the tool calls in the reply of a model that calls by prompt, while the reply is still coming in."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from ..types import ToolCall

# What models write instead of ```tool, having been trained to.
_CALLS = frozenset({"tool", "tool_call", "tool_calls", "tool_code"})
_PERHAPS = frozenset({"", "json"})
_TAG, _END_TAG = "<tool_call>", "</tool_call>"
_FENCE = re.compile(r"[ \t]*`{3,}[ \t]*([\w-]*)")
_TRAILING_COMMA = re.compile(r",\s*(?=[}\]])")
_LONGEST = 20_000  # characters that are held back: a longer block is no call


@dataclass(frozen=True, slots=True)
class BadCall:
    """What a model wrote as a call and nobody can read: `name` where that much is clear, and why not."""

    name: str
    written: str
    error: str


class CallReader:
    """Takes a reply piece by piece and gives back what the user may see; the calls are left out and kept.

    A block marked as a call is one, and when it cannot be read it is in `bad`. A block of JSON, or a reply that is
    nothing but JSON, is a call only when it has the name of a tool (`names`). `done`: the model called and goes on
    writing, which can only be a result that it makes up.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self.calls: list[ToolCall] = []
        self.bad: list[BadCall] = []
        self.done = False
        self._held = ""
        self._state: Literal["line start", "line", "code", "block"] = "line start"
        self._close = ""
        self._opening = ""
        self._marked = False
        self._blank = True

    def feed(self, text: str) -> str:
        """More of the reply; returns what of it is no call, as far as that can be told."""
        self._held += text
        return self._advance(final=False)

    def end(self) -> str:
        """The reply is over; returns what was held back."""
        return self._advance(final=True)

    def _advance(self, final: bool) -> str:
        out: list[str] = []
        while self._held or (final and self._state == "block"):
            if self._state == "block":
                shown = self._in_block(final)
            elif self._state == "line start":
                shown = self._at_line_start(final)
            else:
                shown = self._in_line(final)
            if shown is None:
                break
            if self.calls or self.bad:
                self.done = self.done or bool(shown.strip())
            else:
                self._blank = self._blank and not shown.strip()
                out.append(shown)
        return "".join(out)

    def _in_line(self, final: bool) -> str | None:
        """To the end of a line that is no opening; code goes on until its fence."""
        line, newline, rest = self._held.partition("\n")
        if self._state == "code":
            if not newline and not final:
                return None
            self._state = "line start" if _FENCE.match(line) else "code"
        elif newline:
            self._state = "line start"
        self._held = rest
        return line + newline

    def _at_line_start(self, final: bool) -> str | None:
        """Decide what the line is, or None while that is not clear yet."""
        line, newline, _ = self._held.partition("\n")
        start = line.lstrip(" \t")
        whole = bool(newline) or final
        if not whole and (not start or _TAG.startswith(start) or "```".startswith(start)):
            return None
        if start.startswith(_TAG):
            return self._open(len(line) - len(start) + len(_TAG), _END_TAG, marked=True)
        if fence := _FENCE.match(line):
            info = fence.group(1).lower()
            if not whole and fence.end() == len(line):
                return None
            if info in _CALLS or info in _PERHAPS:
                return self._open(fence.end(), "```", marked=info in _CALLS)
            if not whole:
                return None
            self._state = "code"
            self._held = self._held[len(line) + len(newline) :]
            return line + newline
        if self._blank and start.startswith("{"):
            return self._open(0, "", marked=False)
        self._state = "line"
        return self._in_line(final)

    def _open(self, length: int, close: str, *, marked: bool) -> str:
        self._opening, self._held = self._held[:length], self._held[length:]
        self._close, self._marked, self._state = close, marked, "block"
        return ""

    def _in_block(self, final: bool) -> str | None:
        end = self._held.find(self._close) if self._close else -1
        if end < 0 and not final and len(self._held) < _LONGEST:
            return None
        stop = len(self._held) if end < 0 else end
        body, closing = self._held[:stop], self._held[stop : stop + len(self._close)]
        self._held = self._held[stop + len(closing) :]
        # After a block that is shown as it is the rest of its last line is an ordinary line.
        self._state = "line"
        if self._take(body):
            self._state = "line start"
            return ""
        return self._opening + body + closing

    def _take(self, body: str) -> bool:
        """Whether the block was a call, or was meant as one."""
        try:
            found = [_call(item) for item in _objects(body)]
        except ValueError as error:
            if self._marked:
                name = re.search(r"[\"']name[\"']\s*:\s*[\"']([^\"'\n]{1,80})[\"']", body)
                self.bad.append(BadCall(name.group(1) if name else "", body.strip()[:500], str(error)))
            return self._marked
        if not self._marked and not all(call.name in self.names for call in found):
            return False
        self.calls += found
        return True


def _objects(body: str) -> list[Any]:
    """The block's JSON, one object or a list of them. Raises `ValueError` saying what is wrong with it."""
    text = body.strip()
    if not text:
        raise ValueError("the block is empty")
    for candidate in (text, _TRAILING_COMMA.sub("", text)):
        try:
            found = json.loads(candidate, strict=False)
            break
        except (json.JSONDecodeError, RecursionError) as error:
            why = error
    else:
        try:
            found = ast.literal_eval(text)  # {'name': 'locate'}: Python's quotes
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(f"it is not JSON: {why}") from None
    return found if isinstance(found, list) and found else [found]


def _call(item: Any) -> ToolCall:
    if not isinstance(item, dict):
        raise ValueError("it is no JSON object")
    function = item.get("function")
    if isinstance(function, dict):
        item = function
    name = next((item[key] for key in ("name", "tool", "function") if isinstance(item.get(key), str)), "")
    if not name:
        raise ValueError('it has no "name"')
    keys = ("arguments", "parameters", "args")
    given: Any = next((item[key] for key in keys if item.get(key) is not None), {})
    return ToolCall(name, arguments_of(given))


def arguments_of(given: Any) -> dict[str, Any]:
    """A call's arguments, given as an object or as JSON text of one. Raises `ValueError` for anything else."""
    if isinstance(given, str):
        try:
            given = json.loads(given, strict=False) if given.strip() else {}
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f'its "arguments" are not JSON: {error}') from None
    if not isinstance(given, dict):
        raise ValueError('its "arguments" are no JSON object')
    return {str(key): value for key, value in given.items()}
