"""Pixels in memory: ordinary images through Pillow, and arrays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .bands import roles_of
from .display import SAMPLE_SIDE, as_rgb, fit, stretch
from .errors import RsragError, SceneError, UsageError
from .identity import Identity, InFile
from .types import BBox, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MAX_PIXELS: Final = 250_000_000  # what may be decoded at once; tiled rasters are read in parts and may be larger
_MAGIC: Final = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"BM": "BMP"}


class Region(NamedTuple):
    """Pixels of a file: column and row of the top left corner, width, height."""

    x: int
    y: int
    w: int
    h: int

    def part(self, x: int, y: int, w: int, h: int) -> Region:
        return Region(self.x + x, self.y + y, w, h)


def window_uri(uri: str, region: Region) -> str:
    """The uri that opens that part of an image: `a.tif#xywh=1,2,3,4`, `a.nc#variable=x&xywh=1,2,3,4`."""
    mark = "&" if "#variable=" in uri else "#"
    return f"{uri}{mark}xywh={','.join(map(str, region))}"


def select(data: NDArray[np.float32], bands: tuple[int, ...], uri: str) -> NDArray[np.float32]:
    """The bands of (C, H, W) that were asked for, counted from 1; all when none were."""
    check_bands(bands, len(data), uri)
    return data[[b - 1 for b in bands]] if bands else data


def check_bands(bands: tuple[int, ...], count: int, uri: str) -> None:
    for band in bands:
        if not 1 <= band <= count:
            raise UsageError(f"{uri} has no band {band}; it has {count}.", "Bands count from 1.")


@contextmanager
def decoding(path: Path | str) -> Iterator[None]:
    """Turn whatever a decoder raises on damaged input (they raise nearly anything) into one SceneError."""
    try:
        yield
    except RsragError:
        raise
    except FileNotFoundError:
        raise SceneError(f"{path} is gone.", "It was moved or deleted after it was opened.") from None
    except PermissionError:
        raise SceneError(f"{path} may not be read.", "Check its permissions.") from None
    except MemoryError as error:
        raise SceneError(f"{path} does not fit in memory.", "Open a part of it: file#xywh=x,y,w,h.") from error
    except Exception as error:
        # rasterio's own words only point to GDAL's, which say where the file ends.
        told = error.__cause__ if "See previous exception" in str(error) and error.__cause__ else error
        why = (str(told).strip() or type(told).__name__).splitlines()[0].rstrip(".")
        raise SceneError(f"{path} is damaged or cut short: {why}.", "Copy or export it again.") from error


class ArrayReader:
    """A PixelReader over an array, for tests and for plugins that decode a format themselves.

    `array` is (H, W) or (H, W, C), any real dtype; uint8 is shown as it is, everything else stretched between
    its 2nd and 98th percentile. `read()` gives its values as float32 (C, H, W), `nodata` as NaN; `facts` are
    further fields of the `Scene` that `scene()` makes. Raises `SceneError` for another shape.
    """

    def __init__(self, array: NDArray[Any], uri: str = "array", nodata: float | None = None, **facts: Any) -> None:
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise SceneError(f"{uri} has shape {array.shape}.", "An image is (H, W) or (H, W, C) and not empty.")
        self._array = array if array.ndim == 3 else array[:, :, None]
        self._uri, self._nodata, self._facts = uri, nodata, facts
        self._corner = (0, 0)

    def scene(self) -> Scene:
        height, width, count = self._array.shape
        facts = {"dtype": str(self._array.dtype), "nodata": self._nodata, "bands": default_bands(count), **self._facts}
        facts = {"roles": roles_of(facts["bands"])[0], **facts}
        return Scene(uri=self._uri, width=width, height=height, reader=self, **facts)

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        import numpy as np

        data = self._array.transpose(2, 0, 1)[: 3 if self._array.shape[2] >= 3 else 1]
        missing = np.all(data == self._nodata, axis=0) if self._nodata is not None else np.zeros(data.shape[1:], bool)
        shown = data if data.dtype == np.uint8 else stretch(data, np.broadcast_to(~missing, data.shape))
        return shrink(as_rgb(np.where(missing, np.uint8(0), shown)), max_side)

    def read(self, bands: tuple[int, ...] = ()) -> NDArray[np.float32]:
        import numpy as np

        data = self._array.transpose(2, 0, 1).astype(np.float32)
        if self._nodata is not None:
            data[data == self._nodata] = np.nan
        return select(data, bands, self._uri)

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        left, top = self._corner[0] + x, self._corner[1] + y
        # What places the whole on Earth is wrong for a part of it.
        kept = {k: v for k, v in self._facts.items() if k not in ("bbox", "footprint", "transform")}
        uri = f"{self._uri.split('#')[0]}#xywh={left},{top},{w},{h}"
        part = ArrayReader(self._array[y : y + h, x : x + w], uri, self._nodata, **kept)
        part._corner = (left, top)
        return part.scene()


class DecodedReader:
    """A scene's reader with its `rgb(max_side)` already in memory; all else is left to the original reader."""

    def __init__(self, scene: Scene, max_side: int, rgb: NDArray[np.uint8] | None = None) -> None:
        self._scene, self._max_side, self._rgb = scene, max_side, scene.rgb(max_side) if rgb is None else rgb

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        return shrink(self._rgb, max_side) if max_side <= self._max_side else self._scene.rgb(max_side)

    def read(self, bands: tuple[int, ...] = ()) -> NDArray[np.float32]:
        return self._scene.read(bands)

    def reduced(self, bands: tuple[int, ...], max_side: int) -> NDArray[np.float32]:
        return self._scene.read(bands, max_side)

    def sample(self, bands: tuple[int, ...]) -> NDArray[np.float32]:
        reader = self._scene.reader
        values: NDArray[np.float32] = (
            reader.sample(bands) if hasattr(reader, "sample") else self._scene.read(bands, SAMPLE_SIDE)
        )
        return values

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        return self._scene.window(x, y, w, h)


def shrink(rgb: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """(H, W, 3) reduced with Lanczos until the longer side is at most `max_side`. Always the caller's own copy."""
    import numpy as np
    from PIL import Image

    size = fit(rgb.shape[1], rgb.shape[0], max_side)
    if size == (rgb.shape[1], rgb.shape[0]):
        return rgb.copy()
    return np.array(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))


def default_bands(count: int) -> tuple[str, ...]:
    """Names of bands that nobody named."""
    return {1: ("grey",), 3: ("red", "green", "blue")}.get(count) or tuple(f"band {n + 1}" for n in range(count))


# -- Pillow ---------------------------------------------------------------------------------------


def sniff(head: bytes) -> str:
    """Pillow's name of the format that a file's first 16 bytes announce, "" when it is none of ours."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[Image.Image]:
    # The format's own opener: Image.open would try formats that we do not want, and refuses at its own limit.
    from PIL import Image, WebPImagePlugin  # noqa: F401  (registers WEBP)

    Image.preinit()
    with decoding(path), path.open("rb") as stream:
        image = Image.OPEN[kind][0](stream, str(path))
        if image.width * image.height > MAX_PIXELS:
            raise SceneError(
                f"{path} claims {image.width:,} x {image.height:,} pixels, and {kind} must be decoded whole.",
                "Convert it to a tiled GeoTIFF, which is read in parts.",
            )
        yield image


def _plain(image: Image.Image) -> Image.Image:
    """The image as L, RGB, RGBA or F (for more than 8 bits). L and RGB stay unloaded, so that drafts work."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(np.asarray(image).astype(np.float32))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    from PIL import Image

    t = Image.Transpose
    turns = (t.FLIP_LEFT_RIGHT, t.ROTATE_180, t.FLIP_TOP_BOTTOM, t.TRANSPOSE, t.ROTATE_270, t.TRANSVERSE, t.ROTATE_90)
    return image.transpose(turns[orientation - 2]) if 2 <= orientation <= 8 else image


class PillowReader:
    """Reads a JPEG, PNG, WebP, BMP or GIF (its first frame), turned as its EXIF says.

    Bands are grey, or red, green, blue; transparent pixels are black in `rgb` and NaN in `read`.
    """

    def __init__(self, path: Path, uri: str, kind: str) -> None:
        self._path, self._uri, self._kind = path, uri, kind
        self._region: Region | None = None
        # These formats have no random access: the windows of a file share one decoded copy, made when first
        # needed and freed with the last of them.
        self._whole: list[Image.Image] = []
        self._lock = threading.Lock()
        self.facts: dict[str, Any] = {"notes": []}
        with _opened(path, kind) as image:
            self._orientation = _exif_facts(image, self.facts)
            width, height = image.size
            deep = {"I": "int32", "F": "float32"}.get(image.mode[:2].rstrip(";"), "uint8")
            self.facts["dtype"] = "uint16" if image.mode.startswith("I;16") else deep
            grey = image.mode in ("L", "1", "F") or image.mode.startswith("I")
            self.facts["bands"] = default_bands(1 if grey and "transparency" not in image.info else 3)
            if getattr(image, "is_animated", False):
                self.facts["notes"].append("The file is animated; only its first frame is used.")
        self.tags: dict[str, str] = {}
        names = self.facts["bands"]
        self.in_file = InFile(len(names), self.facts["dtype"], names, stem=path.stem)
        self._size = (height, width) if self._orientation >= 5 else (width, height)

    def settle(self, identity: Identity) -> None:
        """Take in what the bands are."""
        identity.enter(self.facts)

    def scene(self) -> Scene:
        facts = {**self.facts, "notes": tuple(self.facts["notes"])}
        if self._region is None:
            return Scene(self._uri, *self._size, reader=self, **facts)
        uri = window_uri(self._uri, self._region)
        return Scene(uri, self._region.w, self._region.h, reader=self, **facts)

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        part = object.__new__(PillowReader)
        part.__dict__.update(self.__dict__)
        part._region = (self._region or Region(0, 0, *self._size)).part(x, y, w, h)
        return part.scene()

    @contextmanager
    def _pixels(self) -> Iterator[Image.Image]:
        """The plain image of the region, and whether it still needs turning: only a part is turned before."""
        if self._region is None:
            with _opened(self._path, self._kind) as image:
                yield _plain(image)
            return
        with self._lock:
            if not self._whole:
                with _opened(self._path, self._kind) as image:
                    whole = _turned(_plain(image), self._orientation)
                    whole.load()
                    self._whole.append(whole)
        x, y, w, h = self._region
        with decoding(self._path):
            yield self._whole[0].crop((x, y, x + w, y + h))

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        import numpy as np
        from PIL import Image

        with self._pixels() as image:
            width, height = fit(*image.size, max_side)
            if (width, height) != image.size:
                image.thumbnail((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
            if self._region is None:
                image = _turned(image, self._orientation)
            if image.mode == "F":
                data = np.asarray(image)[None]
                return as_rgb(stretch(data, np.ones(data.shape, bool)))
            if image.mode == "RGBA":
                black = Image.new("RGB", image.size)
                black.paste(image, mask=image.getchannel("A"))
                image = black
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))

    def read(self, bands: tuple[int, ...] = ()) -> NDArray[np.float32]:
        import numpy as np

        with self._pixels() as image:
            if self._region is None:
                image = _turned(image, self._orientation)
            data = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1).astype(np.float32)
        if len(data) == 4:
            data = np.where(data[3] > 0, data[:3], np.float32(np.nan))
        return select(np.ascontiguousarray(data), bands, self._uri)


# -- EXIF -----------------------------------------------------------------------------------------


def _exif_facts(image: Image.Image, facts: dict[str, Any]) -> int:
    """Fill in place, time and camera from EXIF; returns the orientation, 1..8 (1: as stored)."""
    if "exif" not in image.info:  # asking a PNG for EXIF it does not have would decode it
        return 1
    try:
        exif = image.getexif()
        orientation, gps, details = exif.get(0x0112, 1), exif.get_ifd(0x8825), exif.get_ifd(0x8769)
        camera = " ".join(str(exif[tag]).strip(" \0") for tag in (0x010F, 0x0110) if tag in exif)
    except Exception:
        facts["notes"].append("The EXIF data are damaged and were left out.")
        return 1
    if camera:
        facts["sensor"] = camera
    if 2 in gps and 4 in gps:
        try:
            lat, lon = _degrees(gps[2], gps.get(1, "N")), _degrees(gps[4], gps.get(3, "E"))
            facts["bbox"] = BBox(lon, lat, lon, lat)
        except Exception:
            facts["notes"].append("The EXIF position is not a place on Earth and was left out.")
    taken = str(details.get(0x9003) or exif.get(0x0132) or "").strip(" \0")
    if taken:
        try:
            when = datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
            offset = str(details.get(0x9011) or "").strip(" \0")
            facts["acquired"] = when.replace(tzinfo=_zone(offset) if offset else UTC)
            if not offset:
                facts["notes"].append("The EXIF time names no time zone; it is taken as UTC.")
        except ValueError:
            facts["notes"].append(f"The EXIF time {taken!r} is not a date and was left out.")
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _degrees(value: Any, half: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in value)
    sign = -1 if str(half).strip(" \0").upper() in ("S", "W") else 1
    return sign * (degrees + minutes / 60 + seconds / 3600)


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    hours, _, minutes = offset[1:].partition(":")
    return timezone((-1 if offset[0] == "-" else 1) * timedelta(hours=int(hours), minutes=int(minutes or 0)))
