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

# Formats of files only: GDAL also has drivers that fetch (WMS, STACIT ...) or follow other files
# (GTI, MRF, ERS, PCIDSK).
_DRIVERS: Final = [
    *("GTiff", "VRT", "JP2OpenJPEG", "HFA", "ENVI", "NITF", "AAIGrid", "SRTMHGT", "DTED", "EHdr"),
    *("netCDF", "GRIB", "RST", "SAGA", "PNM", "JPEG", "PNG", "WEBP", "BMP", "GIF"),
]
# Belt and braces: whatever a file names, GDAL fetches nothing through curl and runs no code from a VRT.
_OPTIONS: Final = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "/none", "GDAL_VRT_ENABLE_PYTHON": "NO"}
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
    with decoding(path), rasterio.Env(**_OPTIONS):
        try:
            source = DatasetReader(str(path.absolute()), driver=_DRIVERS)
        except rasterio.errors.RasterioIOError as error:
            raise _unreadable(path, str(error)) from error
        with source:
            if "OVERVIEW_FILE" in source.tags(ns="OVERVIEWS"):
                raise SceneError(f"{path} refers to another file for its overviews.", "Copy it with gdal_translate.")
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
        _check_file(path)
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


def _check_file(path: Path) -> None:
    """GDAL opens some XML by fetching what it names: of XML only a VRT is let through, and only a harmless one."""
    _check_beside(path)
    with path.open("rb") as stream:
        head = stream.read(4096)
    if b"<vrtdataset" in head.lower():
        _check_vrt(path, path.resolve().parent, set())
    elif _start(head).startswith(b"<"):
        raise SceneError(f"{path} is not an image; it holds XML or HTML.", "Give an image file.")


def _start(head: bytes) -> bytes:
    return head[:64].lstrip().removeprefix(b"\xef\xbb\xbf").lstrip()


def _check_beside(path: Path) -> None:
    """Companions are opened by GDAL itself, with every driver it has: they must be harmless too."""
    for end in (".ovr", ".OVR", ".msk", ".MSK", ".ovr.ovr", ".msk.ovr"):
        beside = path.with_name(path.name + end)
        if beside.is_file():
            with beside.open("rb") as stream:
                if stream.read(2) not in (b"II", b"MM"):
                    raise SceneError(f"{beside} is not a TIFF.", "Remove it or build it again with gdaladdo.")
    for end in (".aux.xml", ".ovr.aux.xml", ".msk.aux.xml"):
        beside = path.with_name(path.name + end)
        if beside.is_file() and _aux_refers(beside):
            raise SceneError(f"{beside} refers to other files.", "Remove it; GDAL writes it anew.")


def _aux_refers(path: Path) -> bool:
    text = path.read_text("utf-8-sig", errors="replace")
    try:
        tree = _parse(text)
    except (ET.ParseError, ValueError):  # GDAL leaves it out, or nearly
        return any(sign in text.lower() for sign in ("overview_file", "/vsi", "://", "&#"))
    return any(_outward(value) or name == "overview_file" for name, value, _ in _named_values(tree))


def _parse(text: str) -> ET.Element:
    """XML as GDAL reads it: whatever encoding it declares, and without entities of its own. Raises `ValueError`."""
    if "<!DOCTYPE" in text.upper():
        raise ValueError("it declares a document type")
    return ET.fromstring(text)


def _named_values(tree: ET.Element) -> Iterator[tuple[str, str, bool]]:
    """(name in lower case, value, relative to the VRT) of texts and attributes: GDAL reads one like the other.

    Metadata of the default domain is left out: it says what it likes, and nothing in it is opened.
    """
    plain: set[ET.Element] = set()
    for element in tree.iter():
        if element.tag.lower() == "metadata" and not element.attrib and all(e.tag.lower() == "mdi" for e in element):
            plain |= {e for e in element if [key.lower() for key in e.attrib] == ["key"] and not len(e)}
        if element in plain:
            continue
        text = (element.text or "").strip()
        attributes = {key.rpartition("}")[2].lower(): value.strip() for key, value in element.attrib.items()}
        relative = attributes.get("relativetovrt") == "1"
        yield element.tag.rpartition("}")[2].lower(), text, relative
        for key, value in attributes.items():
            yield key, value, False
            if key in ("key", "name"):  # <MDI key="X_DATASET">, <Argument name="gain_dataset_filename_1">
                yield value.lower(), text, relative
        yield "", (element.tail or "").strip(), False


def _outward(value: str) -> bool:
    return "://" in value or value.lower().startswith("/vsi")


def _names_file(name: str) -> bool:
    places = ("filename", "_dataset", "_file", "path", "_dem")
    return name.endswith(places) or name in ("sourcedataset", "source", "dataset") or "_filename" in name


def _check_vrt(path: Path, folder: Path, seen: set[Path]) -> None:
    """A VRT names other files: all must exist inside its folder, and none may be something that fetches."""
    try:
        tree = _parse(path.read_text("utf-8-sig"))
        for element in tree.iter():
            attributes = {key.lower(): value.strip() for key, value in element.attrib.items()}
            if len(attributes) < len(element.attrib) or attributes.get("relativetovrt", "0") not in ("0", "1"):
                raise ValueError(f"the attributes of {element.tag} are ambiguous")
    except (ET.ParseError, OSError, ValueError) as error:
        raise SceneError(f"{path} is not a readable VRT: {error}.", "Build it again with gdalbuildvrt.") from error
    targets: dict[Path, str] = {}
    for name, value, relative in _named_values(tree):
        if not value or not (_outward(value) or _names_file(name)):
            continue
        try:
            # Unless told that it is relative to the VRT, GDAL starts from the working directory.
            target = ((path.resolve().parent if relative else Path()) / value).resolve()
            inside = target.is_relative_to(folder) and target.is_file()
        except (OSError, ValueError):
            inside = False
        if not inside or _outward(value) or re.match(r"\w{2,}:", value):
            raise SceneError(
                f"{path} refers to {' '.join(value.split())[:200]}, which is not a file in its own folder.",
                "Put the VRT and its images into one folder and build it again.",
            )
        targets[target] = value
    for target, value in targets.items():
        if target not in seen:
            seen.add(target)
            _check_source(path, target, value, folder, seen)


def _check_source(vrt: Path, target: Path, name: str, folder: Path, seen: set[Path]) -> None:
    """What a VRT names is opened with every driver GDAL has: no text but a VRT, and nothing that lists files."""
    _check_beside(target)
    with target.open("rb") as stream:
        head = stream.read(4096)
    start = _start(head)
    if b"<vrtdataset" in head.lower():
        _check_vrt(target, folder, seen)
    elif start.startswith(b"<"):
        raise SceneError(f"{vrt} refers to {name}, which is XML and no image.", "Only images may be named.")
    elif start.startswith((b"{", b"[", b"SQLite", b"PCIDSK")) or (
        start.isascii() and b"\0" not in start and not re.match(rb"NITF|NSIF|P[1-6]\s|(?i:ncols|nrows|xll|yll)", start)
    ):
        raise SceneError(f"{vrt} refers to {name}, which is no image.", "Only images may be named.")
    else:
        with _dataset(target):
            pass
