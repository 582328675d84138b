"""Which asset of a STAC item shows it, and the file that holds it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from rsrag import UsageError

if TYPE_CHECKING:
    from pystac import Item

SECONDS: Final = 30
MOST_BYTES: Final = 25_000_000
_SHOWS: Final = ("overview", "visual", "thumbnail")
_KEYS: Final = {
    "overview": "overview",
    "rendered_preview": "overview",
    "preview": "overview",
    "visual": "visual",
    "thumbnail": "thumbnail",
}
_IMAGE: Final = re.compile(r"\.(png|jpe?g|webp|tiff?|jp2|gif|bmp)$", re.IGNORECASE)


def pictures(item: Item) -> Iterator[tuple[str, str]]:
    """(role, href) of the assets that show an item, the most telling first; last the only raster of its data."""
    roles: dict[str, str] = {}
    for key, asset in item.assets.items():
        if not _is_image(asset.href, asset.media_type):
            continue
        named = next((role for role in _SHOWS if role in (asset.roles or ())), _KEYS.get(key.lower()))
        if named:
            roles.setdefault(named, asset.href)
    yield from ((role, roles[role]) for role in _SHOWS if role in roles)
    data = [a.href for a in item.assets.values() if "data" in (a.roles or ()) and _is_image(a.href, a.media_type)]
    if not roles and len(data) == 1:
        yield "data", data[0]


def _is_image(href: str, media_type: str | None) -> bool:
    return media_type.startswith("image/") if media_type else bool(_IMAGE.search(urlsplit(href).path))


def is_remote(href: str) -> bool:
    return "://" in href and not href.startswith("file://")


def local_file(href: str, base: Path, root: Path) -> Path:
    """The file a link means, seen from a file in `base`. What lies outside `root`, links followed, is refused.

    Raises `UsageError` for that, and for a file that does not exist.
    """
    path = base / unquote(urlsplit(href).path) if href.startswith("file://") else base / href
    if not path.exists() and "%" in href:
        path = base / unquote(href)
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        there = inside and path.is_file()
    except (OSError, ValueError):
        inside = there = False
    if not inside:
        raise UsageError(f"{href} lies outside the catalog.", "Put it into the catalog's folder.")
    if not there:
        raise UsageError(f"{href} does not exist.")
    return path


def fetched(href: str, folder: Callable[[], Path]) -> Path:
    """The file an address was fetched to, once. Raises `UsageError` where that fails, or brings no image of use."""
    from urllib.request import Request, urlopen

    parts = urlsplit(href)
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"{href} cannot be fetched: only http and https can.")
    suffix = _IMAGE.search(parts.path)
    path = folder() / (hashlib.sha256(href.encode()).hexdigest()[:24] + (suffix[0].lower() if suffix else ".img"))
    if path.exists():
        return path
    try:
        with urlopen(Request(href, headers={"User-Agent": "rsrag"}), timeout=SECONDS) as answer:
            data = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        raise UsageError(f"{href} cannot be fetched ({error}).") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{href} has more than {MOST_BYTES // 10**6} MB.", "A thumbnail or an overview is enough.")
    partial = path.with_suffix(".part")
    partial.write_bytes(data)
    partial.replace(path)
    return path
