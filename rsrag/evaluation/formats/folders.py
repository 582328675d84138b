"""A folder per class: the name of an image's folder is what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...errors import UsageError
from ..samples import Entry, Sample

_IMAGES: Final = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .jp2".split())
QUESTION: Final = "Which of these classes does the image show?"


def read(folder: Path) -> list[Entry]:
    """One sample per image, in order of their paths. Raises `UsageError` when no class has an image."""
    found: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if len(inside.parts) > 1 and path.suffix.lower() in _IMAGES and not hidden and path.is_file():
            found.append((inside.as_posix(), inside.parts[-2]))
    if not found:
        raise UsageError(f"{folder} holds no class: no image lies in a folder of its own.", "Make a folder per class.")
    labels = tuple(sorted({label for _, label in found}))
    return [Entry(name, Sample(name, "classify", QUESTION, (name,), (label,), labels)) for name, label in found]
