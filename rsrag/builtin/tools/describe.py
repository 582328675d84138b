"""What a scene is, from its file: size, bands, resolution, date, bounds."""

from __future__ import annotations

import re
from datetime import UTC
from typing import ClassVar, Final

from rsrag import Quantity, Query, RsragError, Scene, ToolResult

from .ground import area, extents
from .wording import latitude, length, longitude

_ASKED: Final = re.compile(
    r"\b(?:descri\w+|metadata|size|dimensions?|how (?:big|large|wide|tall|high|many pixels|many bands)|pixels?"
    r"|bands?|channels?|resolution|resolved?|gsd|ground sampl\w+|date|dated|when|acquired|captured|taken|year"
    r"|sensor|satellite|format|data ?type|dtype|bit depth|bits|crs|projection|epsg|bounds|bounding box|extent"
    r"|footprint|area|covers?|nodata)\b",
    re.IGNORECASE,
)
MOST_BANDS: Final = 13  # a hyperspectral cube has hundreds; a list of them tells nobody anything
_SHORT_NAMES: Final = {"nir": "NIR", "nir2": "NIR 2", "swir": "SWIR", "swir1": "SWIR 1", "swir2": "SWIR 2"} | {
    **{f"rededge{n}": f"red edge {n}" for n in (1, 2, 3)},
    **{f"thermal{n}": f"thermal {n}" for n in (1, 2)},
    **{polarisation: polarisation.upper() for polarisation in ("vv", "vh", "hh", "hv")},
    "watervapour": "water vapour",
}
_ORDINARY: Final = {"red", "green", "blue", "alpha", ""}
_CHEAP_SIDE: Final = 4096  # pixels; larger ones may have no overviews


class DescribeScene:
    """Tells a scene's size, bands, ground sample distance, date and bounds from its file."""

    name: ClassVar[str] = "describe_scene"

    def applies(self, query: Query) -> float:
        """1.0 for a scene and a question about its size, bands, resolution or date, 0.5 for any scene, else 0."""
        if not query.scenes:
            return 0.0
        return 1.0 if _ASKED.search(query.text) else 0.5

    def __call__(self, scene: Scene) -> ToolResult:
        """Describe a scene: pixels, bands and where their names are from, scale, ground sample distance, size on the
        ground, date, sensor, bounds.

        Values: width and height (pixels), bands, ground sample distance (m), extent east-west and north-south
        (km, of the bounding box, on the WGS 84 ellipsoid), area (km2, of the footprint), and, where some pixels can be
        empty, the share that is not (%, estimated from an overview). What the file does not tell is said in words and
        left out of the values.
        """
        values = {
            "width": Quantity(scene.width, "pixels"),
            "height": Quantity(scene.height, "pixels"),
            "bands": Quantity(len(scene.bands)),
        }
        caveats = list(scene.notes)
        text = [_pixels(scene)]
        if scene.gsd_m:
            values["ground sample distance"] = Quantity(scene.gsd_m, "m")
        if scene.bbox:
            across, down = extents(scene.bbox)
            values["extent east-west"] = Quantity(across / 1000, "km")
            values["extent north-south"] = Quantity(down / 1000, "km")
            covered = area(scene)
            if covered is not None:
                values["area"] = Quantity(covered / 1e6, "km2")
        text.append(_ground(scene))
        text.append(_date(scene))
        if scene.sensor:
            text.append(f"The scene was taken by the sensor {scene.sensor}.")
        if scene.bbox:
            text.append(_bounds(scene))
        text += _meaning(scene)
        try:
            filled = _filled(scene)
        except RsragError as error:
            caveats.append(f"Its pixels cannot be read: {error.message}")
            filled = None
        if filled is not None:
            values["pixels with values"] = Quantity(100 * filled, "%")
            text.append(_share(filled))
        return ToolResult(" ".join(text), values, caveats=tuple(caveats))


def _pixels(scene: Scene) -> str:
    count = len(scene.bands)
    roles = scene.roles if len(scene.roles) == count else ("",) * count
    named = [_named(band, role) for band, role in zip(scene.bands, roles, strict=True)]
    kept = named[:MOST_BANDS]
    if count > MOST_BANDS:
        kept.append(f"{count - MOST_BANDS} more")
    # "band 1, band 2, band 3" says no more than "3 bands".
    numbered = all(re.fullmatch(r"band \d+", band) for band in named)
    names = "" if numbered or not kept else f" ({', '.join(kept)})"
    bands = f"{count} band{'s' if count != 1 else ''}{names}"
    return f"The scene is {scene.width:,} x {scene.height:,} pixels with {bands}, stored as {scene.dtype}."


def _named(band: str, role: str) -> str:
    """A band by its name, and what it measures where the name does not say: "B08 (NIR)"."""
    short = _SHORT_NAMES.get(band.lower(), band)
    return short if role in ("", band.lower()) else f"{short} ({_SHORT_NAMES.get(role, role)})"


def _meaning(scene: Scene) -> list[str]:
    """Where the names of the bands are from, and what their numbers mean; nothing for an ordinary picture."""
    text = []
    if scene.bands_from and not (scene.bands_from == "the file" and set(scene.roles) <= _ORDINARY):
        origin = scene.bands_from
        text.append(f"The scene's bands are {origin if origin.startswith('a guess') else f'named by {origin}'}.")
    pairs = set(zip(scene.scale, scene.offset, strict=True))
    if len(pairs) == 1:
        factor, shift = pairs.pop()
        sign = "-" if shift < 0 else "+"
        text.append(
            f"A physical value of the scene is the stored one x {factor:g}{f' {sign} {abs(shift):g}' if shift else ''}."
        )
    elif pairs:
        text.append("Each band of the scene has a scale of its own for physical values.")
    if scene.stretched:
        text.append("The scene's values are made for display and are no measure of reflectance.")
    return text


def _filled(scene: Scene) -> float | None:
    """The share of pixels that hold a value, 0..1, from an overview; None where none can be empty or it would cost."""
    if scene.transform is None and scene.nodata is None and "alpha" not in scene.roles:  # an ordinary picture is full
        return None
    if max(scene.width, scene.height) <= _CHEAP_SIDE:
        values = scene.read((1,), 256)
    elif hasattr(scene.reader, "sample") and "xywh=" not in scene.uri:
        values = scene.reader.sample((1,))
    else:
        return None
    # NaN alone differs from itself.
    empty = float((values != values).mean())
    return None if empty == 0 and scene.nodata is None else 1 - empty


def _share(filled: float) -> str:
    if filled == 0:
        return "Not one of the scene's pixels holds a value: all is no data."
    share = "Nearly all" if filled > 0.995 else f"About {100 * filled:.2g} %"
    return f"{share} of the scene's pixels hold values; the rest is no data."


def _ground(scene: Scene) -> str:
    if not scene.gsd_m:
        if scene.bbox is None:
            return "The file does not say how much ground a pixel of the scene covers."
        across, down = extents(scene.bbox)
        return f"The scene spans {_span(across, down)}."
    pixel = f"One pixel of the scene covers about {length(scene.gsd_m)} on the ground"
    if scene.bbox is None:  # a sidecar gave the ground sample distance
        across, down = scene.gsd_m * scene.width, scene.gsd_m * scene.height
        return f"{pixel}, so the scene spans about {length(across)} by {length(down)}."
    return f"{pixel}, and the scene spans {_span(*extents(scene.bbox))}."


def _span(across: float, down: float) -> str:
    return f"about {length(across)} from west to east and {length(down)} from south to north"


def _date(scene: Scene) -> str:
    when = scene.acquired
    if when is None:
        return "The file does not say when the scene was acquired."
    if scene.acquired_precision == "year":
        return f"The scene was acquired in {when:%Y}; only the year is known."
    if scene.acquired_precision == "month":
        return f"The scene was acquired in {when:%B %Y}; the day is not known."
    when = when.astimezone(UTC)
    clock = f" at {when:%H:%M} UTC" if (when.hour, when.minute, when.second) != (0, 0, 0) else ""
    return f"The scene was acquired on {when:%Y-%m-%d}{clock}."


def _bounds(scene: Scene) -> str:
    box = scene.bbox
    assert box is not None
    across, down = extents(box)
    digits = 2 if min(across, down) > 10_000 else 4  # two decimals are about a kilometre, four about ten metres
    if (box.west, box.east) == (-180, 180):
        around = "goes all around the Earth"
    else:
        around = f"runs from {longitude(box.west, digits)} to {longitude(box.east, digits)}"
        if box.crosses_antimeridian:
            around += " over the antimeridian"
    system = f" ({scene.crs})" if scene.crs and len(scene.crs) < 20 else ""  # not a page of WKT
    north = f"from {latitude(box.south, digits)} to {latitude(box.north, digits)}"
    return f"The scene's footprint {around} and {north}{system}."
