"""A file's path typed, pasted or dropped on the terminal, alone on a line: an image to open."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

IMAGES: Final = frozenset(
    {".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".img", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".nc", ".h5"}
)


def dropped(line: str) -> str:
    """The path of an image that exists, when the line holds nothing else: bare, quoted, escaped or file://; else ""."""
    text = line.strip()
    for candidate in _readings(text):
        path = Path(candidate).expanduser()
        try:
            if path.suffix.lower() in IMAGES and path.is_file():
                return str(path)
        except (OSError, ValueError):  # too long, or with a null byte: not a path
            continue
    return ""


def _readings(text: str) -> list[str]:
    if text.startswith("file://"):
        return [unquote(urlsplit(text).path)]
    found = [text]
    try:
        words = shlex.split(text)
    except ValueError:  # an apostrophe in a question
        words = []
    return found + words if len(words) == 1 else found
