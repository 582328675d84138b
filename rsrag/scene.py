"""Open an image: pixels and georeference of rasters, what a sidecar or a file name adds, and parts of a file."""

from __future__ import annotations

import difflib
import json
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from .errors import SceneError, UsageError
from .images import (
    MAX_PIXELS,
    ArrayReader,
    DecodedReader,
    PillowReader,
    Region,
    as_rgb,
    check_bands,
    decoding,
    fit,
    sniff,
    stretch,
)
from .types import BBox, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .plugins import Plugins

__all__ = ["ArrayReader", "decoded", "open_scene"]

# Formats of files only: GDAL also has drivers that fetch (WMS, STACIT ...) or follow other files (GTI, MRF).
_DRIVERS: Final = [
    *("GTiff", "VRT", "JP2OpenJPEG", "HFA", "ENVI", "NITF", "AAIGrid", "SRTMHGT", "DTED", "ERS", "EHdr", "PCIDSK"),
    *("netCDF", "GRIB", "RST", "SAGA", "PNM", "JPEG", "PNG", "WEBP", "BMP", "GIF"),
]
_SENTINEL2: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
_DATE: Final = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?:[T_-]?([01]\d|2[0-3])([0-5]\d)([0-5]\d))?(?!\d)"
)
_YEAR: Final = re.compile(r"(?<!\d)(19[3-9]\d|20\d\d)(?!\d)")
_TIME_TAGS: Final = ("acquired", "acquisition_date", "acquisitiondatetime", "date_acquired", "datetime", "sensing_time")
_SENSOR_TAGS: Final = ("sensor", "spacecraft_id", "satellite", "platform", "satelliteid")
_SENSOR_NAMES: Final = ((r"S1[ABC]_", "Sentinel-1"), (r"S2[ABC]_", "Sentinel-2"), (r"L[COTEM]0?([4-9])", r"Landsat \1"))

Transform = tuple[float, ...]


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
    hints = _hints(path)
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
    _settle(reader.facts, hints)
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


# -- what stands beside the pixels ----------------------------------------------------------------


@dataclass(slots=True)
class _Hints:
    """Facts from the sidecar (`given`, which win) and from the file's name (`guessed`, which fill gaps)."""

    given: dict[str, Any]
    guessed: dict[str, Any]
    notes: list[str]


def _hints(path: Path) -> _Hints:
    hints = _Hints({}, {}, [])
    if when := _date_in(path.stem):
        hints.guessed["acquired"] = when
    elif year := _YEAR.search(path.stem):
        hints.guessed["note"] = f"The file name says {year[1]}; the day it was acquired is not known."
    for pattern, sensor in _SENSOR_NAMES:
        if found := re.match(pattern, path.stem):
            hints.guessed["sensor"] = found.expand(sensor)
    side = path.with_suffix(".json")
    try:
        given = json.loads(side.read_text("utf-8")) if side.is_file() and side.stat().st_size < 1_000_000 else {}
    except (OSError, ValueError) as error:
        hints.notes.append(f"{side.name} cannot be read and was left out ({error}).")
        return hints
    for key, parse in (("bands", _names), ("sensor", _name), ("acquired", parse_time), ("gsd_m", _length)):
        if isinstance(given, dict) and given.get(key) is not None:
            hints.given[key] = parse(given[key])
            if hints.given[key] is None:
                hints.notes.append(f"{side.name}: {key} {given[key]!r} makes no sense and was left out.")
    return hints


def _settle(facts: dict[str, Any], hints: _Hints) -> None:
    for key in ("acquired", "sensor", "gsd_m"):
        found = hints.given.get(key) or facts.get(key) or hints.guessed.get(key)
        if found is not None:
            facts[key] = found
    if names := hints.given.get("bands"):
        if len(names) == len(facts["bands"]):
            facts["bands"] = names
        else:
            count = len(facts["bands"])
            facts["notes"].append(f"The sidecar names {len(names)} bands, the file has {count}; not used.")
    if facts.get("acquired") is None and "note" in hints.guessed:
        facts["notes"].append(hints.guessed["note"])
    facts["notes"] += hints.notes


def _date_in(name: str) -> datetime | None:
    for found in _DATE.finditer(name):
        year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 3, 4, 5, 6, 7))
        try:
            when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:  # 30 February
            continue
        if datetime(1930, 1, 1, tzinfo=UTC) <= when <= datetime.now(UTC) + timedelta(days=1):
            return when
    return None


def parse_time(text: Any) -> datetime | None:
    """An aware datetime from ISO 8601 or EXIF/TIFF notation, UTC when no zone is given; None for anything else.

    A bare year is not a date.
    """
    if not isinstance(text, str) or len(text.strip()) < 8:
        return None
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text.strip())
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and value and all(isinstance(v, str) for v in value) else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _length(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6
    return float(value) if good else None


# -- rasters, through GDAL ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """How `rgb` shows a raster: band numbers (1 or 3), and whether to look colours up or to stretch."""

    bands: tuple[int, ...]
    palette: bool = False
    stretch: bool = False
    scale: int = 1


@contextmanager
def _dataset(path: Path) -> Iterator[Any]:
    _quiet()
    import rasterio
    from rasterio.io import DatasetReader

    # rasterio.open takes one driver only. The absolute path keeps GDAL from reading a prefix ("NETCDF:") into a name.
    with decoding(path), rasterio.Env():
        try:
            source = DatasetReader(str(path.absolute()), driver=_DRIVERS)
        except rasterio.errors.RasterioIOError as error:
            raise _unreadable(path, str(error)) from error
        with source:
            yield source


def _unreadable(path: Path, why: str) -> SceneError:
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head.strip(b"\0"):
        return SceneError(f"{path} holds only zeros.", "The copy or download was not finished; repeat it.")
    if b"\0" not in head and head.isascii():
        return SceneError(f"{path} is not an image; it holds text.", "Give an image file.")
    if "not recognized" in why:
        known = "Known are JPEG, PNG, WebP, BMP, GIF, GeoTIFF, JPEG 2000, VRT and more; plugins can add others."
        return SceneError(f"{path} is of no known image format.", known)
    return SceneError(f"{path} is damaged or cut short: {why.splitlines()[0].rstrip('.')}.", "Copy or export it again.")


def _quiet() -> None:
    # A filter that stays, not catch_warnings around each call: that would swap the filters of all threads.
    from rasterio.errors import NotGeoreferencedWarning

    if not any(entry[2] is NotGeoreferencedWarning for entry in warnings.filters):
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


class RasterReader:
    """Reads what GDAL reads, in parts and through overviews; the file is opened anew by each call (thread-safe)."""

    def __init__(self, path: Path, uri: str, hints: _Hints) -> None:
        self._path, self._uri = path, uri
        _check_xml(path)
        with _dataset(path) as source:
            self._whole = Region(0, 0, source.width, source.height)
            if source.count == 0:
                raise SceneError(f"{path} holds no bands.", "For a container such as netCDF, export one variable.")
            block_h, block_w = source.block_shapes[0]
            if block_h * block_w > MAX_PIXELS:
                raise SceneError(
                    f"{path} must be decoded in blocks of {block_w:,} x {block_h:,} pixels.",
                    "Convert it to a tiled GeoTIFF: rio cogeo create, or gdal_translate -of COG.",
                )
            self._crs, self._transform, notes = _georeference(source)
            tags = {key.lower(): value for key, value in (source.tags() | source.tags(ns="IMAGERY")).items()}
            self.facts: dict[str, Any] = {
                "crs": self._crs,
                "dtype": source.dtypes[0],
                "nodata": source.nodata,
                "notes": notes,
                "sensor": next((tags[t] for t in _SENSOR_TAGS if tags.get(t)), None),
            }
            # The name is closer to the day of acquisition than TIFFTAG_DATETIME, often the day of processing.
            times = [parse_time(tags.get(t)) for t in _TIME_TAGS]
            times += [hints.guessed.get("acquired"), parse_time(tags.get("tifftag_datetime"))]
            self.facts["acquired"] = next((t for t in times if t), None)
            self._count = source.count
            self._look = self._choose(source, hints.given.get("bands"))
        self._region = self._whole

    def _choose(self, source: Any, given: tuple[str, ...] | None) -> _Look:
        """Decide on names and on the bands that `rgb` shows; sets facts["bands"] and notes every guess."""
        notes, count = self.facts["notes"], source.count
        colours = [c.name for c in source.colorinterp]
        described = tuple(d or "" for d in source.descriptions)
        # Some writers give every band the same description: that names nothing.
        useful = described if any(described) and len(set(described)) == count else None
        names = given if given and len(given) == count else useful
        deep = source.dtypes[0] != "uint8"
        if names is None and count in (12, 13) and deep:
            names = (*_SENTINEL2[:10], "B10", *_SENTINEL2[10:]) if count == 13 else _SENTINEL2
            notes.append(f"{count} bands without names are taken to be Sentinel-2's, in the order {', '.join(names)}.")
        named = {"red", "green", "blue", "alpha"} & set(colours)
        if names is not None:
            self.facts["bands"] = tuple(n or f"band {i + 1}" for i, n in enumerate(names))
        elif named and len(set(colours)) == count:
            self.facts["bands"] = tuple(colours)
        else:
            self.facts["bands"] = tuple(f"band {i + 1}" for i in range(count))
        solid = [i for i, c in enumerate(colours, 1) if c != "alpha"] or [1]
        if len(solid) == 1 and colours[solid[0] - 1] == "palette":
            return _Look((solid[0],), palette=True)
        if len(solid) < 3:
            bits = int(source.tags(solid[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
            if len(solid) == 2:
                notes.append(f"Of two bands, {self.facts['bands'][solid[0] - 1]} is shown.")
            return _Look((solid[0],), stretch=deep, scale=255 // (2 ** min(bits, 8) - 1))
        if names is not None and (found := _named_rgb(self.facts["bands"])):
            return _Look(found, stretch=deep)
        if {"red", "green", "blue"} <= named:
            return _Look(tuple(colours.index(c) + 1 for c in ("red", "green", "blue")), stretch=deep)
        if count > 3 and names is None:
            notes.append(f"The {count} bands have no names; the first three are shown as red, green, blue.")
        elif names is not None:
            notes.append("No bands are named red, green, blue; the first three are shown.")
        return _Look(tuple(solid[:3]), stretch=deep)

    def scene(self) -> Scene:
        x, y, w, h = self._region
        facts = {**self.facts, "notes": tuple(self.facts["notes"])}
        if self._transform:
            facts["transform"] = _moved(self._transform, x, y)
            if self._crs:
                bbox, ring, gsd = _place(self._crs, facts["transform"], w, h)
                facts |= {"bbox": bbox, "footprint": ring, "gsd_m": self.facts.get("gsd_m") or gsd}
        uri = self._uri if self._region == self._whole else f"{self._uri}#xywh={x},{y},{w},{h}"
        return Scene(uri, w, h, reader=self, **facts)

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        part = object.__new__(RasterReader)
        part.__dict__.update(self.__dict__)
        part._region = self._region.part(x, y, w, h)
        return part.scene()

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        import numpy as np

        look, (width, height) = self._look, fit(self._region.w, self._region.h, max_side)
        self._check_size(width * height * len(look.bands), "a smaller max_side")
        # Averages of palette indices or of phases mean nothing.
        exact = look.palette or self.facts["dtype"].startswith("complex")
        with _dataset(self._path) as source:
            data = self._pixels(source, look.bands, (height, width), "nearest" if exact else "average")
            # Of several bands each may reach the nodata value alone (a saturated red); a gap is where all do.
            there = ~np.ma.getmaskarray(data).all(axis=0)
            values = np.abs(data.data) if np.iscomplexobj(data.data) else data.data
            if look.palette:
                table = np.zeros((256, 3), np.uint8)
                for index, colour in source.colormap(look.bands[0]).items():
                    if index < 256:
                        table[index] = colour[:3]
                values = table[np.minimum(values[0], 255)].transpose(2, 0, 1)
            elif look.stretch:
                values = stretch(values, np.broadcast_to(there, values.shape) & ~np.ma.getmaskarray(data))
            elif look.scale > 1:
                values = values * np.uint8(look.scale)
        return as_rgb(np.where(there, values, np.uint8(0)))

    def read(self, bands: tuple[int, ...] = ()) -> NDArray[np.float32]:
        import numpy as np

        check_bands(bands, self._count, self._uri)
        bands = bands or tuple(range(1, self._count + 1))
        self._check_size(self._region.w * self._region.h * len(bands), "fewer bands, window() or tiles()")
        with _dataset(self._path) as source:
            data = self._pixels(source, bands, (self._region.h, self._region.w), "nearest")
        values = np.abs(data) if np.iscomplexobj(data) else data
        return np.asarray(values.astype(np.float32).filled(np.nan))

    def _pixels(self, source: Any, bands: tuple[int, ...], shape: tuple[int, int], how: str) -> Any:
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        window = Window(*self._region)
        out = (len(bands), *shape)
        return source.read(list(bands), window=window, out_shape=out, resampling=Resampling[how], masked=True)

    def _check_size(self, values: int, instead: str) -> None:
        if values > 2 * MAX_PIXELS:
            raise SceneError(f"{self._uri} would take {values:,} values in memory.", f"Use {instead}.")


def _named_rgb(names: tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of the bands named red, green, blue (but not "red edge" or "infrared"), or B04, B03, B02."""
    words = [set(re.sub(r"red[ _-]?edge|infra-?red", "nir", n.lower()).replace("_", " ").split()) for n in names]
    for wanted in (("red", "green", "blue"), ("b04", "b03", "b02"), ("b4", "b3", "b2")):
        found = [next((i for i, w in enumerate(words, 1) if colour in w), 0) for colour in wanted]
        if all(found):
            return tuple(found)
    return ()


def _check_xml(path: Path) -> None:
    """GDAL opens some XML by fetching what it names: of XML only a VRT is let through, and only a harmless one."""
    if _is_xml(path):
        with path.open("rb") as stream:
            if b"<VRTDataset" not in stream.read(4096):
                raise SceneError(f"{path} is not an image; it holds XML or HTML.", "Give an image file.")
        _check_vrt(path, path.resolve().parent, frozenset())


def _is_xml(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _check_vrt(path: Path, folder: Path, seen: frozenset[Path]) -> None:
    """A VRT names other files: all must exist inside its folder, and none may be something that fetches."""
    try:
        tree = ET.parse(path)
    except (ET.ParseError, OSError) as error:
        raise SceneError(f"{path} is not a readable VRT: {error}.", "Build it again with gdalbuildvrt.") from error
    for element in tree.iter():
        tag = element.tag.lower()
        named = tag == "argument" and "filename" in element.get("name", "").lower()
        if not (named or tag.endswith("filename") or tag == "sourcedataset") or not (element.text or "").strip():
            continue
        name = (element.text or "").strip()
        try:
            start = path.parent if element.get("relativeToVRT", "1") != "0" else Path()
            target = (start / name).resolve()
            inside = target.is_relative_to(folder) and target.is_file()
        except (OSError, ValueError):
            inside = False
        if not inside:
            raise SceneError(
                f"{path} refers to {name[:200]}, which is not a file in its own folder.",
                "Put the VRT and its images into one folder and build it again.",
            )
        if target not in seen and _is_xml(target):
            with target.open("rb") as stream:
                if b"<VRTDataset" not in stream.read(4096):
                    raise SceneError(
                        f"{path} refers to {name}, which is XML and no image.", "Only images may be named."
                    )
            _check_vrt(target, folder, seen | {target})


# -- place on Earth -------------------------------------------------------------------------------


def _georeference(source: Any) -> tuple[str | None, Transform | None, list[str]]:
    """(CRS, pixel-to-map transform a, b, c, d, e, f, notes); ground control points count when nothing else does."""
    if source.crs:
        return source.crs.to_string(), tuple(source.transform)[:6], []
    points, crs = source.gcps
    if points and crs:
        from rasterio.transform import from_gcps

        note = f"Placed by {len(points)} ground control points; edges may be off by some pixels."
        return crs.to_string(), tuple(from_gcps(points))[:6], [note]
    if source.transform.is_identity:
        return None, None, ["Only RPCs place it on Earth, which are not used."] if source.rpcs else []
    return None, tuple(source.transform)[:6], ["It has map coordinates but no coordinate reference system."]


def _moved(t: Transform, x: int, y: int) -> Transform:
    return (t[0], t[1], t[2] + t[0] * x + t[1] * y, t[3], t[4], t[5] + t[3] * x + t[4] * y)


@lru_cache(maxsize=64)
def _to_degrees(crs: str) -> tuple[Any, float | None]:
    """(transformer to lon/lat, metres per unit of a projected CRS). pyproj's transformers are thread-safe."""
    from pyproj import CRS, Transformer

    system = CRS.from_user_input(crs)
    metres = system.axis_info[0].unit_conversion_factor if system.is_projected else None
    return Transformer.from_crs(system, "EPSG:4326", always_xy=True), metres


def _place(crs: str, t: Transform, w: int, h: int) -> tuple[BBox | None, tuple[tuple[float, float], ...], float | None]:
    """(box, closed ring of corners in degrees, ground sample distance in metres at the middle) of w x h pixels."""
    import numpy as np

    try:
        transformer, metres = _to_degrees(crs)
    except Exception:  # a local or engineering system: pixels and map units stay usable
        return None, (), None
    steps = np.linspace(0, 1, 22)[:-1]  # 21 points along each edge, since edges bend
    down, zeros, ones = steps[::-1] + 1 / 21, np.zeros(21), np.ones(21)
    col = np.concatenate([steps, ones, down, zeros, [0.0]]) * w
    row = np.concatenate([zeros, steps, ones, down, [0.0]]) * h
    span = 5.0  # measured over ten pixels, for the sake of rounding
    col = np.concatenate([col, [w / 2 - span, w / 2 + span, w / 2, w / 2]])
    row = np.concatenate([row, [h / 2, h / 2, h / 2 - span, h / 2 + span]])
    lon, lat = transformer.transform(t[0] * col + t[1] * row + t[2], t[3] * col + t[4] * row + t[5])
    lon, lat, middle = lon[:-4], lat[:-4], (lon[-4:], lat[-4:])
    good = np.isfinite(lon) & np.isfinite(lat)
    if good.sum() < 4:
        return None, (), None
    around = np.unwrap(lon[good], period=360)
    south, north = np.clip([lat[good].min(), lat[good].max()], -90, 90).tolist()
    turn = around[-1] - around[0]
    if abs(turn) > 180:  # the ring goes once around a pole, which then lies inside
        south, north = (-90.0, north) if lat[good].mean() < 0 else (south, 90.0)
    if abs(turn) > 180 or around.max() - around.min() >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _wrapped(around.min()), _wrapped(around.max())
        if east == -180.0:  # it ends exactly on the antimeridian
            east = 180.0
    ring = tuple((_wrapped(lon[i]), float(np.clip(lat[i], -90, 90))) for i in (0, 21, 42, 63, 84) if good[i])
    return BBox(west, south, east, north), ring if len(ring) == 5 else (), _gsd(middle, t, metres)


def _wrapped(lon: Any) -> float:
    value = float(lon)
    return value if -180 <= value <= 180 else (value + 180) % 360 - 180


def _gsd(middle: tuple[Any, Any], t: Transform, metres: float | None) -> float | None:
    from pyproj import Geod

    lon, lat = middle
    across, down = Geod(ellps="WGS84").inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])[2] / 10
    ground = math.sqrt(across * down) if across > 0 and down > 0 else math.nan
    if metres:
        # A projection's own scale error (0.04 % in UTM) is noise; Web Mercator's, a factor of two, is not.
        nominal = math.sqrt(abs(t[0] * t[4] - t[1] * t[3])) * metres
        if not math.isfinite(ground) or abs(ground / nominal - 1) < 0.005:
            return nominal if nominal > 0 else None
    return float(ground) if math.isfinite(ground) else None
