"""Open an image, whole or in part: finds its reader, its place, and what a sidecar or its name adds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from .bands import roles_of
from .datasets import Location
from .errors import SceneError, UsageError
from .hints import Hints, find_hints, hints_of_name, settle
from .identity import InFile, Said, identify
from .images import ArrayReader, DecodedReader, PillowReader, Region, decoding, sniff
from .rasters import RasterReader
from .remote import SCHEMES, locate, scheme_of
from .types import Scene

if TYPE_CHECKING:
    from .plugins import Plugins

__all__ = ["ArrayReader", "decoded", "open_scene"]


def open_scene(
    uri: str | Path,
    plugins: Plugins | None = None,
    *,
    bands: str | Sequence[str] = (),
    sensor: str = "",
    remote: bool = False,
) -> Scene:
    """Open an image by its header; pixels are read when asked for, and the file is opened anew each time.

    `uri` is a path or a file:// URL; with `remote` also http(s):// and s3://. It may end in `#xywh=x,y,w,h` (pixels
    from the top left corner), for netCDF in `#variable=NAME`, or both, joined by &. Plugins are asked first. JPEG,
    PNG, WebP, BMP and GIF go to Pillow; GeoTIFF, JPEG 2000, VRT and others to GDAL, with their place on Earth.

    What the bands are is said by `bands` (names or roles in file order: "swir1", "B08") or `sensor` (a profile of
    `rsrag.bands`: "sentinel-2-l2a"), else by the sidecar `stem.json` (bands, sensor, acquired, gsd_m, scale, offset),
    else by the file; otherwise guessed where that is safe, and noted. `Scene.bands_from` tells which.
    Raises `SceneError` when there is no such image or it is not safe to read, `UsageError` for a bad region or for
    bands that do not fit.
    """
    base, variable, region = _split(str(uri))
    names = tuple(name.strip() for name in (bands.split(",") if isinstance(bands, str) else bands))
    call = Said(names if any(names) else (), sensor.strip())
    scene = plugins.open_scene(base) if plugins is not None and not variable else None
    if scene is not None:
        scene = _completed(scene, call)
    elif scheme_of(base) in SCHEMES:
        scene = _open_remote(base, call, remote)
    else:
        scene = _open_local(base, variable, call)
    return scene.window(*region) if region else scene


def decoded(scene: Scene, max_side: int = 512) -> Scene:
    """The same scene with `rgb(max_side)` already in memory, so that threads can decode ahead of an encoder."""
    return replace(scene, reader=DecodedReader(scene, max_side))


def _split(uri: str) -> tuple[str, str, Region | None]:
    """(address, netCDF variable, region) of what was given."""
    if found := re.fullmatch(r'NETCDF:"?([^"]+?)"?:([^":]+)', uri, re.IGNORECASE):  # as GDAL writes it
        uri = f"{found[1]}#variable={found[2]}"
    found = re.search(r"#(?:variable=([^&#]+)(?:&(?=xywh=)|$))?(?:xywh=([^#]*))?$", uri)
    if not found or not found[0].strip("#"):
        return uri, "", None
    base, variable, part = uri[: found.start()], found[1] or "", found[2]
    if variable and not re.fullmatch(r"[\w.+@ /-]+", variable):
        raise UsageError(f"'{variable}' is not the name of a variable.", "Example: a.nc#variable=NDVI")
    if part is None:
        return base, variable, None
    numbers = part.removeprefix("pixel:").split(",")
    if len(numbers) != 4 or not all(n.strip().isdecimal() for n in numbers):
        raise UsageError(
            f"region '{part}' of {base} is not x,y,w,h in whole pixels.", "Example: a.tif#xywh=0,0,512,512"
        )
    return base, variable, Region(*map(int, numbers))


def _open_local(uri: str, variable: str, call: Said) -> Scene:
    path = _local_file(uri)
    with decoding(path), path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise SceneError(f"{path} is empty.", "Copy or download it again.")
    kind = "" if variable else sniff(head)
    hints = find_hints(path)
    reader: PillowReader | RasterReader | None = None
    # A world file or .aux.xml beside a JPEG or PNG may place it; GDAL knows how to read those.
    if not kind or any(path.with_name(n).exists() for n in (path.name + ".aux.xml", *_world_files(path))):
        try:
            whole = f"{uri}#variable={variable}" if variable else uri
            reader = RasterReader(Location.of_file(path, variable), whole, path.stem)
        except SceneError:
            if not kind:
                raise
    if reader is None or (kind and not reader.facts["crs"]):
        reader = PillowReader(path, uri, kind)
    return _settled(reader, hints, call)


def _open_remote(uri: str, call: Said, allowed: bool) -> Scene:
    stem = Path(unquote(urlsplit(uri).path)).stem
    return _settled(RasterReader(locate(uri, allowed), uri, stem), hints_of_name(stem), call)


def _settled(reader: PillowReader | RasterReader, hints: Hints, call: Said) -> Scene:
    """The scene of a reader, once it is known what its bands are and when it was taken."""
    settle(reader.facts, hints, reader.tags)
    reader.settle(identify(reader.in_file, hints.said, call))
    return reader.scene()


def _completed(scene: Scene, call: Said) -> Scene:
    """A plugin's scene, with the roles that its band names imply, and with what the user says about them."""
    if call.bands or call.sensor:
        facts: dict[str, Any] = {"sensor": scene.sensor, "notes": list(scene.notes)}
        inside = InFile(len(scene.bands), scene.dtype, scene.bands, scene.bands, scene.scale, scene.offset)
        identify(inside, Said(), call).enter(facts)
        return replace(scene, **{**facts, "notes": tuple(facts["notes"])})
    if not scene.roles and scene.bands:
        return replace(
            scene, roles=roles_of(scene.bands)[0], bands_from=scene.bands_from or "the plugin that opened it"
        )
    return scene


def _local_file(uri: str) -> Path:
    scheme = scheme_of(uri)
    if scheme == "file":
        path = Path(unquote(urlsplit(uri).path))
    elif scheme:
        hint = f"Download it and give the path, or install a plugin that opens {scheme}://."
        raise SceneError(f"{uri} is not a local file.", hint)
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
