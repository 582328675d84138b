"""Where the knowledge packs that come with rsrag are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType


@cache
def bundled_packs() -> Mapping[str, Path]:
    """Folder of each bundled pack by name: in the installed package, or `knowledge/` of an editable checkout."""
    here = Path(__file__).resolve().parent
    for home in (here / "knowledge", here.parent / "knowledge"):
        if home.is_dir():
            return MappingProxyType({file.parent.name: file.parent for file in sorted(home.glob("*/pack.toml"))})
    return MappingProxyType({})
