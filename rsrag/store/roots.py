"""Where a source's files are now: chunks hold paths relative to a root, so that a store can move."""

from __future__ import annotations

from pathlib import Path

from ..packs import bundled_packs


def remember(root: Path) -> str:
    """How a root is written down: a pack that travels with the program by its name, anything else by its path."""
    for name, folder in bundled_packs().items():
        if root.resolve() == folder.resolve():
            return f"pack:{name}"
    return str(root.absolute())


def resolve(root: str, relative: str) -> Path | None:
    """The file a chunk's image path means (without its `#xywh=`), or None for a URL or an unknown root."""
    if not relative or "://" in relative:
        return None
    relative = relative.partition("#")[0]
    if root.startswith("pack:"):
        folder = bundled_packs().get(root[5:])
        return folder / relative if folder else None
    return Path(root) / relative if root else Path(relative)
