"""The features of a GeoJSON FeatureCollection one at a time, so that a file need not fit into memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_GOES_ON: Final = "0123456789.eE+-"
_BLOCK: Final = 1 << 20
MOST: Final = 64 << 20
"""One feature, or anything else in the file, may be so many characters long."""


def features(path: Path) -> Iterator[Any]:
    """Each element of the "features" of a JSON object. Raises `ValueError` for what is not such a file, `OSError`."""
    with path.open(encoding="utf-8-sig") as stream:
        reader = _Reader(stream)
        reader.expect("{")
        if reader.skip("}"):
            return
        while True:
            key = reader.value()
            reader.expect(":")
            if key == "features" and reader.skip("["):
                yield from _elements(reader)
            else:
                reader.value()
            if reader.skip("}"):
                return
            reader.expect(",")


def _elements(reader: _Reader) -> Iterator[Any]:
    if reader.skip("]"):
        return
    while True:
        yield reader.value()
        if reader.skip("]"):
            return
        reader.expect(",")


class _Reader:
    """A window over a text stream that moves on and never back."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0

    def expect(self, mark: str) -> None:
        if not self.skip(mark):
            raise ValueError(f"'{mark}' is missing")

    def skip(self, mark: str) -> bool:
        """Whether the next character that is no space is this one; then it is passed over."""
        self._to_next()
        found = self._text.startswith(mark, self._at)
        self._at += found
        return found

    def value(self) -> Any:
        """The next JSON value. More is read until it is whole: also a number, which might go on."""
        self._to_next()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            except json.JSONDecodeError:
                if len(self._text) - self._at > MOST or not self._read(len(self._text) - self._at):
                    raise
                continue
            uncertain = end == len(self._text) or self._text[end] in _GOES_ON
            if uncertain and end - self._at <= MOST and self._read(_BLOCK):
                continue
            self._at = end
            return found

    def _to_next(self) -> None:
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or not self._read(_BLOCK):
                return

    def _read(self, size: int) -> bool:
        """Whether there was more. Whatever was passed is dropped; a long value is read in steps that grow with it."""
        more = self._stream.read(max(_BLOCK, size))
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
