"""Opening rasters with GDAL: only what is an image, safe to open, and can be decoded in parts."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from .errors import SceneError
from .images import MAX_PIXELS, decoding
from .vrt import check_file

# Formats of files only: GDAL also has drivers that fetch (WMS, STACIT ...) or follow other files
# (GTI, MRF, ERS, PCIDSK).
_DRIVERS: Final = (
    *("GTiff", "VRT", "JP2OpenJPEG", "HFA", "ENVI", "NITF", "AAIGrid", "SRTMHGT", "DTED", "EHdr"),
    *("netCDF", "GRIB", "RST", "SAGA", "PNM", "JPEG", "PNG", "WEBP", "BMP", "GIF"),
)
# Belt and braces: whatever a file names, GDAL fetches nothing through curl and runs no code from a VRT.
_OPTIONS: Final = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "/none", "GDAL_VRT_ENABLE_PYTHON": "NO"}

_TRIAL_SECONDS: Final = 60
_TRIAL: Final = """
import sys, warnings
warnings.simplefilter("ignore")
from rasterio import Env
from rasterio.io import DatasetReader
def look(name):
    try:
        with Env(), DatasetReader(name, driver=["netCDF"]) as source:
            if source.count:
                source.read(1, window=((0, 1), (0, 1)))
            source.tags(), source.scales, source.descriptions
            return source.subdatasets
    except Exception:  # told when it is opened for good
        return []
for inner in look(sys.argv[1]):
    look(inner)
"""

MOST_BLOCK_BYTES: Final = 1_000_000_000  # a block is decoded as a whole


@dataclass(frozen=True, slots=True)
class Location:
    """Where a raster is: `label` in messages, `name` as GDAL calls it, and what GDAL may use to open it."""

    label: str
    name: str
    path: Path | None = None
    drivers: tuple[str, ...] = _DRIVERS
    options: Mapping[str, str] = field(default_factory=lambda: _OPTIONS)

    @classmethod
    def of_file(cls, path: Path, variable: str = "") -> Location:
        """A local file, or one variable of a netCDF. Raises `SceneError` when it names files it should not."""
        check_file(path, _opens)
        _survive(path)
        # The absolute path keeps GDAL from reading a prefix ("NETCDF:") into a name.
        name = str(path.absolute())
        if not variable:
            return cls(str(path), name, path)
        if '"' in name:
            raise SceneError(f"{path} has a quotation mark in its name.", "Rename the file.")
        return cls(f"{path}, variable {variable}", f'NETCDF:"{name}":{variable}', path, ("netCDF",))


def _survive(path: Path) -> None:
    """A damaged netCDF can crash its library, and with it the program: it is opened by another process first."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith((b"CDF", b"\x89HDF")) and sys.executable:
        about = path.stat()
        why = _tried(str(path.absolute()), about.st_mtime_ns, about.st_size)
        if why:
            raise SceneError(f"{path} is damaged or cut short: {why}.", "Copy or export it again.")


@lru_cache(maxsize=4096)
def _tried(name: str, *_version: int) -> str:
    """What became of a process that opened that file and read a value of each of its rasters; "" if it ended well."""
    # -P: nothing is imported from the working directory.
    command = [sys.executable, "-P", "-c", _TRIAL, name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it was not open after {_TRIAL_SECONDS} seconds"
    return "" if done.returncode in (0, 1) else "the netCDF library crashes on it"


def _opens(path: Path) -> None:
    _survive(path)
    with dataset(Location(str(path), str(path.absolute()), path)):
        pass


@contextmanager
def dataset(where: Location, **options: Any) -> Iterator[Any]:
    _quiet()
    import rasterio
    from rasterio.io import DatasetReader

    # rasterio.open takes one driver only.
    with decoding(where.label), rasterio.Env(**where.options):
        try:
            source = DatasetReader(where.name, driver=list(where.drivers), **options)
        except rasterio.errors.RasterioIOError as error:
            raise _unreadable(where, str(error)) from error
        with source:
            if "OVERVIEW_FILE" in source.tags(ns="OVERVIEWS"):
                raise SceneError(
                    f"{where.label} refers to another file for its overviews.", "Copy it with gdal_translate."
                )
            yield source


def _unreadable(where: Location, why: str) -> SceneError:
    label, first = where.label, (why.splitlines() or [""])[0].rstrip(".")
    if where.path is None:
        return SceneError(
            f"{label} cannot be read: {first}.", "Check the address; only GeoTIFF and JPEG 2000 are read."
        )
    with where.path.open("rb") as stream:
        head = stream.read(4096)
    if not head.strip(b"\0"):
        return SceneError(f"{label} holds only zeros.", "The copy or download was not finished; repeat it.")
    if b"\0" not in head and head.isascii():
        return SceneError(f"{label} is not an image; it holds text.", "Give an image file.")
    if where.name.startswith("NETCDF:"):
        return SceneError(f"{label} cannot be read: {first}.", "Open the file without it to see what it holds.")
    if "not recognized" in why:
        known = "Known are JPEG, PNG, WebP, BMP, GIF, GeoTIFF, JPEG 2000, VRT and more; plugins can add others."
        return SceneError(f"{label} is of no known image format.", known)
    return SceneError(f"{label} is damaged or cut short: {first}.", "Copy or export it again.")


def _quiet() -> None:
    # A filter that stays, not catch_warnings around each call: that would swap the filters of all threads.
    from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning

    for category in (NotGeoreferencedWarning, NodataShadowWarning):
        if not any(entry[2] is category for entry in warnings.filters):
            warnings.filterwarnings("ignore", category=category)


def container(where: Location, source: Any) -> SceneError:
    """What to say of a file that holds several rasters and no bands of its own."""
    names = [name.rpartition(":")[2] for name in source.subdatasets]
    if source.driver != "netCDF" or not names:
        return SceneError(f"{where.label} holds no bands.", "Export one of its images as a GeoTIFF.")
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return SceneError(
        f"{where.label} holds several variables: {shown}.", f"Name one: {where.label}#variable={names[0]}"
    )


def check_blocks(where: Location, source: Any) -> None:
    """Whatever is read of a block, all of it is decoded: it must fit in memory, in the overviews too."""
    _check_block(where, source)
    if source.width * source.height > MAX_PIXELS and where.drivers != ("netCDF",):
        for level in range(len(source.overviews(1))):
            with dataset(where, overview_level=level) as overview:
                _check_block(where, overview)


def _check_block(where: Location, source: Any) -> None:
    import numpy as np

    height, width = source.block_shapes[0]
    # With the bands of a pixel side by side, a block holds them all.
    together = source.count if source.interleaving and source.interleaving.name == "pixel" else 1
    size = width * height * np.dtype(source.dtypes[0]).itemsize * together
    if width * height > MAX_PIXELS or size > MOST_BLOCK_BYTES:
        raise SceneError(
            f"{where.label} must be decoded in blocks of {width:,} x {height:,} pixels.",
            "Convert it to a tiled GeoTIFF: rio cogeo create, or gdal_translate -of COG.",
        )
