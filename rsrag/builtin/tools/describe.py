"""What a scene is, from its file: size, bands, resolution, date, bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from typing import ClassVar, Final

from rsrag import Quantity, Query, RsragError, Scene, ToolResult

from .asking import general
from .file_questions import About, asked_of_file
from .ground import area, extents
from .wording import hectares, latitude, length, longitude

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
        """1.0 for a question about the file: its size, bands, resolution, date, sensor; 0.7 for words that may mean
        that, 0.5 for any other question about a scene, 0 without a scene."""
        if not query.scenes:
            return 0.0
        if asked_of_file(query.text) and not general(query):
            return 1.0
        return 0.7 if _ASKED.search(query.text) else 0.5

    def arguments(self, query: Query) -> dict[str, object]:
        """What of the file the question asks for."""
        about = [] if general(query) else asked_of_file(query.text)
        return {"about": about} if about else {}

    def __call__(self, scene: Scene, about: list[About] = []) -> ToolResult:  # noqa: B006  a schema wants a default
        """Describe a scene: pixels, bands and where their names are from, scale, ground sample distance, size on the
        ground, date, sensor, bounds.

        Values: width and height (pixels), bands, ground sample distance (m), extent east-west and north-south
        (km, of the bounding box, on the WGS 84 ellipsoid), area (km2, of the footprint), and, where some pixels can be
        empty, the share that is not (%, estimated from an overview). What the file does not tell is said in words and
        left out of the values.

        Args:
            about: Tell only of these: size, pixel (its size on the ground), bands, date, sensor, crs, bounds, format.
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
        if about:
            text = _of_these(scene, about)
            caveats = [note for note in caveats if any(re.search(_NOTES.get(one, "^$"), note) for one in about)]
        return ToolResult(" ".join(text), values, caveats=tuple(caveats))


def _of_these(scene: Scene, about: Sequence[About]) -> list[str]:
    """The sentences that tell of some things only, in the order asked for."""
    said: list[str] = []
    for one in about:
        if one == "size":
            known = scene.bbox is not None or scene.gsd_m is not None
            said += [_extent(scene), _pixels(scene)] if known else [_pixels(scene), _ground(scene)]
        elif one == "pixel":
            said.append(_ground(scene))
        elif one == "bands":
            said += [_pixels(scene), *_meaning(scene)]
        elif one == "date":
            said.append(_date(scene))
        elif one == "sensor":
            unknown = "The file does not say which sensor took the scene."
            said.append(f"The scene was taken by the sensor {scene.sensor}." if scene.sensor else unknown)
        elif one in ("crs", "bounds"):
            said.append(_system(scene) if one == "crs" else _bounds(scene) if scene.bbox else _UNPLACED)
        else:
            nodata = "no value marks empty pixels" if scene.nodata is None else f"{scene.nodata:g} marks empty pixels"
            said.append(f"The scene's values are stored as {scene.dtype}, and {nodata}.")
            said += [_STRETCHED] if scene.stretched else []
    return list(dict.fromkeys(said))


# Which notes of a scene have to do with what is asked for.
_NOTES: Final = {
    "bands": r"\bbands?\b|\bshown\b|reflectance|baseline",
    "date": r"\b(?:date|time|year|month)\b",
    "crs": r"\b(?:[Pp]laced|control points|coordinate\w*|axes|swapped)\b",
    "bounds": r"\b(?:[Pp]laced|control points|coordinate\w*|axes|swapped)\b",
}
_STRETCHED: Final = "The scene's values are made for display and are no measure of reflectance."
_UNPLACED: Final = "The file does not say where on Earth the scene lies."


def _system(scene: Scene) -> str:
    if not scene.crs:
        return "The file does not say what the scene's coordinate system is."
    return f"The coordinate system of the scene is {scene.crs if len(scene.crs) < 200 else 'one without a code'}."


def _extent(scene: Scene) -> str:
    """The size on the ground first."""
    if scene.bbox is None:
        return _ground(scene)
    covered = area(scene)
    return f"The scene spans {_span(*extents(scene.bbox))}{f', {hectares(covered)} in all' if covered else ''}."


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
        text.append(_STRETCHED)
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
