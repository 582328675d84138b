"""What a scene is, from its file: size, bands, resolution, date, bounds."""

from __future__ import annotations

import re
from datetime import UTC
from typing import ClassVar, Final

from rsrag import Quantity, Query, Scene, ToolResult

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
_SHORT_NAMES: Final = {"nir": "NIR", "swir": "SWIR"}


class DescribeScene:
    """Tells a scene's size, bands, ground sample distance, date and bounds from its file; reads no pixels."""

    name: ClassVar[str] = "describe_scene"

    def applies(self, query: Query) -> float:
        """1.0 for a scene and a question about its size, bands, resolution or date, 0.5 for any scene, else 0."""
        if not query.scenes:
            return 0.0
        return 1.0 if _ASKED.search(query.text) else 0.5

    def __call__(self, scene: Scene) -> ToolResult:
        """Describe a scene: pixels, bands, ground sample distance, size on the ground, date, bounds.

        Values: width and height (pixels), bands, ground sample distance (m), extent east-west and north-south
        (km, of the bounding box, on the WGS 84 ellipsoid), area (km2, of the footprint). What the file does not
        tell is said in words and left out of the values.
        """
        values = {
            "width": Quantity(scene.width, "pixels"),
            "height": Quantity(scene.height, "pixels"),
            "bands": Quantity(len(scene.bands)),
        }
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
        return ToolResult(" ".join(text), values, caveats=scene.notes)


def _pixels(scene: Scene) -> str:
    count = len(scene.bands)
    kept = [_SHORT_NAMES.get(band.lower(), band) for band in scene.bands[:MOST_BANDS]]
    if count > MOST_BANDS:
        kept.append(f"{count - MOST_BANDS} more")
    # "band 1, band 2, band 3" says no more than "3 bands".
    numbered = all(re.fullmatch(r"band \d+", band) for band in scene.bands)
    names = "" if numbered or not kept else f" ({', '.join(kept)})"
    bands = f"{count} band{'s' if count != 1 else ''}{names}"
    return f"The scene is {scene.width:,} x {scene.height:,} pixels with {bands}, stored as {scene.dtype}."


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
