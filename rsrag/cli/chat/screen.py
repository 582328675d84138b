"""The terminal of a chat: what it can show, and text made to fit what it can."""

from __future__ import annotations

import functools
import os
import sys
import textwrap
import unicodedata
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Final

from ..control import harmless

if TYPE_CHECKING:
    from rich.console import Console

# What our own lines and Markdown are drawn with, for terminals that lack it.
_ASCII: Final = str.maketrans(
    {"⚙": "*", "·": "-", "…": "...", "•": "*", "–": "-", "—": "-", "─": "-", "━": "=", "│": "|", "▌": "|", "×": "x"}
    | {"‘": "'", "’": "'", "“": '"', "”": '"', "→": "->", "←": "<-", "≈": "~", "≤": "<=", "≥": ">=", "−": "-"}
    | {"²": "2", "³": "3", "°": " deg", "µ": "u", "\u00a0": " ", "\u202f": " "}
)


def fitted(text: str, encoding: str) -> str:
    """The text in characters that `encoding` has: look-alikes where there are any, accents dropped, else "?"."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return "".join(_one(c, encoding) for c in text)


def _one(character: str, encoding: str) -> str:
    for candidate in (character, character.translate(_ASCII), unicodedata.normalize("NFKD", character)):
        kept = "".join(c for c in candidate if not unicodedata.combining(c))
        with_accent = candidate == character
        try:
            (character if with_accent else kept).encode(encoding)
            return character if with_accent else kept
        except UnicodeEncodeError:
            continue
    return "?"


def terminal_encoding(stream: IO[str], environment: Mapping[str, str]) -> str:
    """What the terminal reads. Python writes UTF-8 in the C locale too; a locale that says C is taken at its word."""
    locale = environment.get("LC_ALL") or environment.get("LANG", "")
    if locale in ("C", "POSIX"):
        return "ascii"
    return getattr(stream, "encoding", None) or "utf-8"


class _Fitting:
    """A text stream in front of another: what the encoding lacks is replaced, so that no answer fails by a dash."""

    def __init__(self, stream: IO[str], encoding: str) -> None:
        self._stream = stream
        self.encoding = encoding

    def write(self, text: str) -> int:
        self._stream.write(fitted(text, self.encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Screen:
    """Where a chat is shown. `interactive`: somebody sits there, both to read and to type."""

    def __init__(self) -> None:
        self._out = sys.stdout  # the terminal itself: while a prompt stands, sys.stdout writes above it
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.encoding = terminal_encoding(sys.stdout, os.environ)

    @functools.cached_property
    def console(self) -> Console:
        """stdout through rich; plain where it is not a terminal."""
        from rich.console import Console

        return Console(file=self._file, highlight=False, emoji=False)

    @functools.cached_property
    def _file(self) -> Any:
        plain = self.encoding.lower().replace("-", "") in ("utf8", "utf8sig")
        return self._out if plain else _Fitting(self._out, self.encoding)

    @property
    def width(self) -> int:
        """Columns, asked for anew: terminals are resized."""
        return max(20, self.console.width)

    @property
    def unicode(self) -> bool:
        """Whether block characters and symbols can be shown."""
        return self.encoding.lower().startswith("utf")

    def line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """A line of our own or of others, harmless and without markup, wrapped at words; `indent` for all its rows."""
        text = harmless(text)
        if indent:
            blank = " " * indent
            text = textwrap.fill(
                text, self.width, initial_indent=blank, subsequent_indent=blank, break_on_hyphens=False
            )
        self.console.print(text, style=style or None, markup=False)

    def note(self, text: str, indent: int = 0) -> None:
        """Something to know that is no answer."""
        self.line(text, "dim", indent)

    def warn(self, text: str) -> None:
        """Something to beware of."""
        self.line(text, "yellow dim")

    def error(self, error: BaseException) -> None:
        """What went wrong, and what to do next."""
        message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
        self.line(message, "red")
        if hint := getattr(error, "hint", ""):
            self.line(f"  {hint}", "dim")

    def asks(self, question: str, *, default: bool = False) -> bool:
        """Yes or no, from whoever sits there; `default` on Enter. Nobody there means no."""
        if not self.interactive:
            return False
        try:
            reply = input(fitted(f"{harmless(question)} [{'Y/n' if default else 'y/N'}] ", self.encoding))
        except (EOFError, KeyboardInterrupt):
            self.line()
            return False
        return default if not reply.strip() else reply.strip().lower() in ("y", "yes")
