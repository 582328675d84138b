"""A conversation as a file to hand on: Markdown, one html page that needs nothing else, or JSON."""

from __future__ import annotations

from pathlib import Path

from ..conversation.state import State
from ..errors import UsageError
from .as_html import to_html
from .as_json import from_json, to_json
from .as_markdown import to_markdown
from .files import replace_file

FORMATS = {"md": to_markdown, "html": to_html, "json": to_json}
"""Renderers by the ending of the file."""

__all__ = ["FORMATS", "export", "from_json", "to_html", "to_json", "to_markdown"]


def export(state: State, path: str | Path, kind: str = "") -> Path:
    """Write a conversation to `path`, as `kind` ("md", "html", "json") or as the path's ending says; return the path.

    An older file is replaced when the new one is complete. Raises `UsageError` for another kind and `RsragError` when
    the file cannot be written.
    """
    path = Path(path)
    kind = (kind or path.suffix.lstrip(".")).lower()
    if kind not in FORMATS:
        raise UsageError(f"a conversation is not written as '{kind}'.", f"There are: {', '.join(FORMATS)}.")
    replace_file(path, FORMATS[kind](state).encode("utf-8", "replace"))
    return path
