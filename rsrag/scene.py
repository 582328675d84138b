"""Open an image, whole or in part: finds its reader, its place, and what a sidecar or its name adds."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .errors import SceneError, UsageError
from .hints import find_hints, settle
from .images import (
    ArrayReader,
    DecodedReader,
    PillowReader,
    Region,
    decoding,
    sniff,
)
from .rasters import RasterReader
from .types import Scene

if TYPE_CHECKING:
    from .plugins import Plugins

__all__ = ["ArrayReader", "decoded", "open_scene"]


def open_scene(uri: str | Path, plugins: Plugins | None = None) -> Scene:
    """Open a local image by its header; pixels are read when asked for, and the file is opened anew each time.

    `uri` is a path, a file:// URL, or either with `#xywh=x,y,w,h` (pixels from the top left corner). Plugins are
    asked first. JPEG, PNG, WebP, BMP and GIF go to Pillow; GeoTIFF, JPEG 2000, VRT and others to GDAL, with
    their place on Earth. `stem.json` beside the file may give bands, sensor, acquired and gsd_m.
    Raises `SceneError` when there is no such image or it is not safe to read, `UsageError` for a bad region.
    """
    base, region = _split(str(uri))
    scene = plugins.open_scene(base) if plugins is not None else None
    if scene is None:
        scene = _open_local(base)
    return scene.window(*region) if region else scene


def decoded(scene: Scene, max_side: int = 512) -> Scene:
    """The same scene with `rgb(max_side)` already in memory, so that threads can decode ahead of an encoder."""
    return replace(scene, reader=DecodedReader(scene, max_side))


def _split(uri: str) -> tuple[str, Region | None]:
    base, mark, part = uri.partition("#xywh=")
    if not mark:
        return uri, None
    numbers = part.removeprefix("pixel:").split(",")
    if len(numbers) != 4 or not all(n.strip().isdecimal() for n in numbers):
        raise UsageError(
            f"region '{part}' of {base} is not x,y,w,h in whole pixels.", "Example: a.tif#xywh=0,0,512,512"
        )
    return base, Region(*map(int, numbers))


def _open_local(uri: str) -> Scene:
    path = _local_file(uri)
    with decoding(path), path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise SceneError(f"{path} is empty.", "Copy or download it again.")
    kind = sniff(head)
    hints = find_hints(path)
    reader: PillowReader | RasterReader | None = None
    # A world file or .aux.xml beside a JPEG or PNG may place it; GDAL knows how to read those.
    if not kind or any(path.with_name(n).exists() for n in (path.name + ".aux.xml", *_world_files(path))):
        try:
            reader = RasterReader(path, uri, hints)
        except SceneError:
            if not kind:
                raise
    if reader is None or (kind and not reader.facts["crs"]):
        reader = PillowReader(path, uri, kind)
    settle(reader.facts, hints)
    return reader.scene()


def _local_file(uri: str) -> Path:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", uri)
    if scheme and scheme[1].lower() == "file":
        path = Path(unquote(urlsplit(uri).path))
    elif scheme:
        hint = f"Download it and give the path, or install a plugin that opens {scheme[1]}://."
        raise SceneError(f"{uri} is not a local file, and nothing is fetched unless configured.", hint)
    else:
        path = Path(uri).expanduser()
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise SceneError(f"{path} is a folder, not an image.", "Give one image, or add the folder to a store.")
        if path.exists():
            raise SceneError(f"{path} is not a regular file.", "Give an image file.")
        names = [p.name for p in islice(path.parent.iterdir(), 10_000)] if path.parent.is_dir() else []
    except (OSError, ValueError) as error:  # names too long, with a null byte, in a folder that may not be read
        raise SceneError(f"{uri[:200]!r} cannot be opened: {error}.", "Check the path and its permissions.") from error
    if not path.parent.is_dir():
        raise SceneError(f"there is no image {path}: the folder {path.parent} does not exist.", "Check the path.")
    near = difflib.get_close_matches(path.name, names, n=1)
    raise SceneError(f"there is no image {path}.", f"Did you mean {near[0]}?" if near else "Check the path.")


def _world_files(path: Path) -> list[str]:
    end = path.suffix[1:]
    return [f"{path.stem}.{e}" for e in (f"{end[:1]}{end[-1:]}w", f"{end}w", "wld")] if end else []
