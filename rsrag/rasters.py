"""Rasters through GDAL: bands, windows and previews, without reading the whole file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from .errors import SceneError
from .hints import SENSOR_TAGS, TIME_TAGS, Hints, parse_time
from .images import (
    MAX_PIXELS,
    Region,
    as_rgb,
    check_bands,
    decoding,
    fit,
    stretch,
)
from .placing import georeference, moved, place
from .types import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Formats of files only: GDAL also has drivers that fetch (WMS, STACIT ...) or follow other files (GTI, MRF).
_DRIVERS: Final = [
    *("GTiff", "VRT", "JP2OpenJPEG", "HFA", "ENVI", "NITF", "AAIGrid", "SRTMHGT", "DTED", "ERS", "EHdr", "PCIDSK"),
    *("netCDF", "GRIB", "RST", "SAGA", "PNM", "JPEG", "PNG", "WEBP", "BMP", "GIF"),
]
_SENTINEL2: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")

Transform = tuple[float, ...]


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

    def __init__(self, path: Path, uri: str, hints: Hints) -> None:
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
            self._crs, self._transform, notes = georeference(source)
            tags = {key.lower(): value for key, value in (source.tags() | source.tags(ns="IMAGERY")).items()}
            self.facts: dict[str, Any] = {
                "crs": self._crs,
                "dtype": source.dtypes[0],
                "nodata": source.nodata,
                "notes": notes,
                "sensor": next((tags[t] for t in SENSOR_TAGS if tags.get(t)), None),
            }
            # The name is closer to the day of acquisition than TIFFTAG_DATETIME, often the day of processing.
            times = [parse_time(tags.get(t)) for t in TIME_TAGS]
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
            facts["transform"] = moved(self._transform, x, y)
            if self._crs:
                bbox, ring, gsd = place(self._crs, facts["transform"], w, h)
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
