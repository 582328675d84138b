"""Rasters through GDAL: bands, windows and previews, without reading the whole file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .datasets import Location, check_blocks, container, dataset
from .display import COMPOSITES, SAMPLE_SIDE, as_rgb, fit, limits, stretch
from .errors import SceneError
from .hints import SENSOR_TAGS
from .identity import Identity, InFile
from .images import MAX_PIXELS, Region, check_bands, window_uri
from .placing import georeference, moved, place
from .types import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_WORK_BYTES: Final = 2_000_000_000  # what a picture may decode, unless the file is in proportion to it
MOST_RATIO: Final = 100
CHEAP_BYTES: Final = 100_000_000  # a look at the whole beforehand may unpack so much
_LOOKS: Final = 8  # a sample without overviews looks at so many places in each direction ...
_LOOK_SIDE: Final = 64  # ... each of so many pixels

Transform = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """How `rgb` shows a raster: band numbers (1 or 3), and whether to look colours up or to stretch."""

    bands: tuple[int, ...]
    palette: bool = False
    stretch: bool = False
    scale: int = 1


class RasterReader:
    """Reads what GDAL reads, in parts and through overviews; the file is opened anew by each call (thread-safe).

    Made in two steps: what the file says (`facts`, `in_file`, `tags`), then `settle` with what its bands are.
    """

    def __init__(self, where: Location, uri: str, stem: str = "") -> None:
        self._where, self._uri = where, uri
        with dataset(where) as source:
            self._whole = Region(0, 0, source.width, source.height)
            if source.count == 0:
                raise container(where, source)
            check_blocks(where, source)
            placed = georeference(source)
            self._crs, self._transform, self._fits = placed.crs, placed.transform, placed.fits
            self.tags = {k.lower(): v for k, v in (source.tags() | source.tags(ns="IMAGERY")).items()}
            sensor = next((self.tags[t] for t in SENSOR_TAGS if self.tags.get(t)), None)
            if not sensor and (said := re.match(r"Sentinel-\d", self.tags.get("tifftag_imagedescription", ""))):
                sensor = said[0]
            self.facts: dict[str, Any] = {
                "crs": self._crs,
                "dtype": source.dtypes[0],
                "nodata": source.nodata,
                "notes": placed.notes,
                "sensor": sensor,
            }
            self._count = source.count
            self._colours = tuple(c.name for c in source.colorinterp)
            bits = int(source.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
            self._brighten = 255 // (2 ** min(bits, 8) - 1)
            self._levels = [1, *source.overviews(1)]
            self.in_file = InFile(
                source.count,
                source.dtypes[0],
                self._colours,
                tuple(d or source.tags(i).get("NETCDF_VARNAME", "") for i, d in enumerate(source.descriptions, 1)),
                source.scales,
                source.offsets,
                stem,
                sensor or "",
                self._middle,
            )
        self._region = self._whole
        self._samples: dict[tuple[int, ...], NDArray[np.float32]] = {}  # shared by all windows
        self._look = _Look((1,))
        self._between: list[tuple[float, float] | None] | None = None
        self._no_alpha = False

    def settle(self, identity: Identity) -> None:
        """Take in what the bands are, and decide which of them `rgb` shows."""
        identity.enter(self.facts)
        # Some writers make a fourth band of eight bits an alpha channel, whatever it holds.
        self._no_alpha = any(
            colour == "alpha" and role not in ("", "alpha")
            for colour, role in zip(self._colours, identity.roles, strict=True)
        )
        self._look = self._choose(identity)

    def _choose(self, identity: Identity) -> _Look:
        notes, deep = self.facts["notes"], self.facts["dtype"] != "uint8"
        colours, roles = self._colours, identity.roles
        solid = [i for i, c in enumerate(colours, 1) if (roles[i - 1] or c) != "alpha"] or [1]
        if len(solid) == 1 and colours[solid[0] - 1] == "palette":
            return _Look((solid[0],), palette=True)
        if len(solid) < 3:
            if len(solid) == 2:
                notes.append(f"Of two bands, {identity.names[solid[0] - 1]} is shown.")
            return _Look((solid[0],), stretch=deep, scale=self._brighten)
        for name, parts in COMPOSITES.items():
            found = [next((roles.index(r) + 1 for r in part if r in roles), 0) for part in parts]
            if all(found):
                if name != "true-colour":
                    notes.append(f"It lacks bands for true colour and is shown in {name}: {_named(identity, found)}.")
                return _Look(tuple(found), stretch=deep)
            if name == "true-colour" and {"red", "green", "blue"} <= set(colours):
                return _Look(tuple(colours.index(c) + 1 for c in ("red", "green", "blue")), stretch=deep)
        if any(roles):
            notes.append("No bands are known as red, green, blue; the first three are shown.")
        elif len(solid) > 3:
            notes.append(f"What the {self._count} bands are is not known; the first three are shown.")
        return _Look(tuple(solid[:3]), stretch=deep)

    def scene(self) -> Scene:
        x, y, w, h = self._region
        facts = {**self.facts, "notes": tuple(self.facts["notes"])}
        if self._transform:
            facts["transform"] = moved(self._transform, x, y)
            if self._crs and self._fits:
                bbox, ring, gsd = place(self._crs, facts["transform"], w, h)
                facts |= {"bbox": bbox, "footprint": ring, "gsd_m": self.facts.get("gsd_m") or gsd}
        uri = self._uri if self._region == self._whole else window_uri(self._uri, self._region)
        return Scene(uri, w, h, reader=self, **facts)

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        return self._part(self._region.part(x, y, w, h)).scene()

    # -- pixels -----------------------------------------------------------------------------------

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        import numpy as np

        look, (width, height) = self._look, fit(self._region.w, self._region.h, max_side)
        self._check_size(width * height * len(look.bands), "a smaller max_side")
        with dataset(self._where) as source:
            data = self._pixels(source, look.bands, (height, width), exact=look.palette)
            # Of several bands each may reach the nodata value alone (a saturated red); a gap is where all do.
            mask = np.ma.getmask(data)
            there = np.ones(data.shape[1:], bool) if mask is np.ma.nomask else ~mask.all(axis=0)
            values = np.abs(data.data) if np.iscomplexobj(data.data) else data.data
            if look.palette:
                table = np.zeros((256, 3), np.uint8)
                for index, colour in source.colormap(look.bands[0]).items():
                    if index < 256:
                        table[index] = colour[:3]
                values = table[np.minimum(values[0], 255)].transpose(2, 0, 1)
            elif look.stretch:
                shown = np.broadcast_to(there, values.shape) & ~mask
                values = stretch(values, shown, self._between)
            elif look.scale > 1:
                values = values * np.uint8(look.scale)
        return as_rgb(values if mask is np.ma.nomask else np.where(there, values, np.uint8(0)))

    def read(self, bands: tuple[int, ...] = ()) -> NDArray[np.float32]:
        return self._values(bands, (self._region.h, self._region.w), "fewer bands, max_side, window() or tiles()")

    def reduced(self, bands: tuple[int, ...], max_side: int) -> NDArray[np.float32]:
        width, height = fit(self._region.w, self._region.h, max_side)
        return self._values(bands, (height, width), "a smaller max_side")

    def sample(self, bands: tuple[int, ...]) -> NDArray[np.float32]:
        """Through overviews where there are any, or else from a grid of small looks, so that it stays cheap."""
        import numpy as np

        if bands not in self._samples:
            _, _, w, h = self._whole
            if max(w, h) <= 8 * SAMPLE_SIDE or len(self._levels) > 1:
                self._samples[bands] = self._part(self._whole).reduced(bands, SAMPLE_SIDE)
            else:
                side = min(w, h, _LOOK_SIDE)
                xs, ys = (np.linspace(0, length - side, _LOOKS).astype(int).tolist() for length in (w, h))
                looks = [self._part(Region(x, y, side, side)).read(bands) for y in ys for x in xs]
                self._samples[bands] = np.concatenate(looks, axis=2)
        return self._samples[bands]

    def steady(self) -> RasterReader:
        """The same, except that `rgb` stretches every window alike: between the limits of the whole file."""
        import numpy as np

        part = self._part(self._region)
        if self._look.stretch:
            values = self.sample(self._look.bands)
            part._between = limits(values, np.isfinite(values))
        return part

    def reduces(self, bands: int, max_side: int) -> bool:
        """Whether `reduced` to that size is cheap, by overviews or since the file is small.

        Raises `SceneError` where it would unpack far more than the file's size lets expect.
        """
        width, height = fit(self._region.w, self._region.h, max_side)
        self._check_work(bands, (height, width))
        return self._work(bands, (height, width)) <= CHEAP_BYTES

    def _part(self, region: Region) -> RasterReader:
        part = object.__new__(RasterReader)
        part.__dict__.update(self.__dict__)
        part._region = region
        return part

    def _middle(self) -> float | None:
        """The median of the first band's valid values in the middle of the file."""
        import numpy as np

        _, _, w, h = self._whole
        side_x, side_y = min(w, 256), min(h, 256)
        values = self._part(Region((w - side_x) // 2, (h - side_y) // 2, side_x, side_y)).read((1,))
        values = values[np.isfinite(values)]
        return float(np.median(values)) if values.size else None

    def _values(self, bands: tuple[int, ...], shape: tuple[int, int], instead: str) -> NDArray[np.float32]:
        import numpy as np

        check_bands(bands, self._count, self._uri)
        bands = bands or tuple(range(1, self._count + 1))
        self._check_size(shape[0] * shape[1] * len(bands), instead)
        with dataset(self._where) as source:
            data = self._pixels(source, bands, shape)
        values = np.abs(data) if np.iscomplexobj(data) else data
        return np.asarray(values.astype(np.float32).filled(np.nan))

    def _pixels(self, source: Any, bands: tuple[int, ...], shape: tuple[int, int], exact: bool = False) -> Any:
        import numpy as np
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        # Averages of palette indices or of phases mean nothing.
        exact = exact or self.facts["dtype"].startswith("complex") or shape == (self._region.h, self._region.w)
        how = Resampling.nearest if exact else Resampling.average
        self._check_work(len(bands), shape)
        window, out = Window(*self._region), (len(bands), *shape)
        full = all("all_valid" in (flag.name for flag in source.mask_flag_enums[b - 1]) for b in bands)
        if not self._no_alpha and not full:
            return source.read(list(bands), window=window, out_shape=out, resampling=how, masked=True)
        data = source.read(list(bands), window=window, out_shape=out, resampling=how)
        return np.ma.masked_equal(data, source.nodata) if source.nodata is not None else np.ma.array(data)

    def _check_size(self, values: int, instead: str) -> None:
        if values > 2 * MAX_PIXELS:
            raise SceneError(f"{self._uri} would take {values:,} values in memory.", f"Use {instead}.")

    def _work(self, count: int, shape: tuple[int, int]) -> float:
        """Bytes that have to be unpacked for so many bands reduced to (height, width)."""
        import numpy as np

        factor = max(self._region.h / shape[0], self._region.w / shape[1])
        level = max(n for n in self._levels if n <= max(1.0, factor * 1.01))
        work: float = self._region.w * self._region.h * count * np.dtype(self.facts["dtype"]).itemsize / level**2
        return work

    def _check_work(self, count: int, shape: tuple[int, int]) -> None:
        """A few kilobytes can hold 100,000 x 100,000 compressed zeros: work must be in proportion to the file."""
        work = self._work(count, shape)
        size = self._where.path.stat().st_size if self._where.path else 0
        if work > MOST_WORK_BYTES and work > MOST_RATIO * size:
            raise SceneError(
                f"{self._where.label} would have to be unpacked to {work:,.0f} bytes for this.",
                "If that is right, build overviews (gdaladdo), or look at a part: file#xywh=x,y,w,h.",
            )


def _named(identity: Identity, numbers: list[int]) -> str:
    return ", ".join(identity.names[n - 1] for n in numbers)
