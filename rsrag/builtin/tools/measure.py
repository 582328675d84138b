"""Areas, lengths and distances on the WGS 84 ellipsoid, between pixels or between places."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

from rsrag import BBox, Quantity, Query, Scene, SceneError, ToolResult, UsageError

from .asking import PAIR
from .ground import area, geod, outline, pixel_areas, to_degrees
from .spectra import called
from .wording import compass, latitude, length, longitude

What = Literal["area", "length", "distance"]
Point = tuple[float, float]
Points = list[list[float]]

MOST_POINTS: Final = 10_000
_WANTED: Final[dict[What, re.Pattern[str]]] = {
    "distance": re.compile(r"\b(?:distances?|how far|apart)\b", re.IGNORECASE),
    "length": re.compile(r"\b(?:lengths?|how long|perimeter|along)\b", re.IGNORECASE),
    "area": re.compile(
        r"\b(?:areas?|how (?:many|much) (?:hectares?|ha|km2|km²|square|acres?|ground|land)|size on the ground)\b",
        re.IGNORECASE,
    ),
}
_OF_THE_SCENE: Final = re.compile(r"\b(?:scene|image|picture|photo|tile|patch|footprint|region|box|polygon|it)\b", re.I)
# An area of something is for the tools that find it.
_OF_WHAT: Final = re.compile(
    r"\b(?:water|lakes?|forests?|vegetation|crops?|fields?|urban|built|burn\w*|flood\w*|snow|ice|bare|chang\w+|desert\w*"
    r"|land cover|cover of|roof\w*|buildings?|roads?)\b",
    re.IGNORECASE,
)


class Measure:
    """Measures areas, lengths and distances in a georeferenced scene, geodesically."""

    name: ClassVar[str] = "measure"

    def applies(self, query: Query) -> float:
        """0.9 for a scene and a question that asks to measure between positions it gives, or the scene's own area."""
        if not query.scenes:
            return 0.0
        what = _what(query.text)
        if what is None:
            return 0.0
        if len(PAIR.findall(query.text)) >= (3 if what == "area" else 2):
            return 0.9
        return 0.8 if what == "area" and _OF_THE_SCENE.search(query.text) and not _OF_WHAT.search(query.text) else 0.0

    def arguments(self, query: Query) -> dict[str, object]:
        """What to measure, and the positions that the question gives."""
        points = [[float(x), float(y)] for x, y in PAIR.findall(query.text)]
        words = re.search(r"\b(?:pixels?|px|col(?:umn)?s?|rows?)\b", query.text, re.IGNORECASE)
        return {"what": _what(query.text) or "area", "points": points, "unit": "pixel" if words else "auto"}

    def __call__(
        self,
        scene: Scene,
        what: What = "area",
        points: Points = [],  # noqa: B006  never changed; a schema wants a default
        region: list[int] = [],  # noqa: B006
        unit: Literal["auto", "pixel", "degree"] = "auto",
    ) -> ToolResult:
        """Measure an area, the length of a line, or the distance of two points, on the WGS 84 ellipsoid.

        Without points and region the area is that of the scene. Values: area (ha), perimeter (m), length (m), distance
        (m), bearing (degrees clockwise from north). Raises `SceneError` for a scene without a place on Earth,
        `UsageError` for too few points.

        Args:
            what: Whether to measure an area, a length along all points, or a straight distance from first to last.
            points: Positions [x, y]: pixels (column, row from the top left corner) or degrees (longitude, latitude).
            region: Part of the scene whose area is wanted, in pixels: x, y, width, height.
            unit: What the points are in; auto takes degrees when all of them lie inside the scene's box.
        """
        name = called(scene)
        _check(points, region)
        if scene.bbox is None:
            return _without_place(scene, name, what, points, region, unit)
        if region:
            return _part(scene, scene.window(*region), f"the region {','.join(map(str, region))} of {name}")
        if not points:
            if what != "area":
                raise UsageError(
                    f"a {what} needs at least two points, and none was given.", 'Example: "10,20 and 400,380".'
                )
            return _part(scene, scene, name)
        ring, how = _places(scene, points, unit)
        return _area(ring, name, how) if what == "area" else _line(ring, name, how, what)


def _what(text: str) -> What | None:
    return next((what for what, words in _WANTED.items() if words.search(text)), None)


def _check(points: Points, region: Sequence[int]) -> None:
    if region and points:
        raise UsageError("measure takes points or a region, not both.", "Leave one out.")
    if region and len(region) != 4:
        raise UsageError(f"a region is x,y,width,height in pixels, and {len(region)} numbers came.")
    if len(points) > MOST_POINTS:
        raise UsageError(f"{len(points):,} points are too many; at most {MOST_POINTS:,} are measured.")
    if any(len(point) != 2 for point in points):
        raise UsageError("each point is a pair of numbers.", 'Example: [[10, 20], [400, 380]], or "10,20 and 400,380".')
    if not all(math.isfinite(value) for point in points for value in point):
        raise UsageError("a point holds a number that is not finite.")


def _part(scene: Scene, part: Scene, name: str) -> ToolResult:
    """The area of a whole scene or of a window, by its outline; by its pixels where an outline does not say."""
    square_metres = area(part)
    how = "The area is that of the outline as a geodesic polygon on the WGS 84 ellipsoid."
    if square_metres is None:
        cells = pixel_areas(part, (min(part.height, 512), min(part.width, 512)))
        if cells is None:
            raise SceneError(f"{scene.uri} does not say where its corners lie, so no area can be measured.")
        square_metres = float(cells.sum())
        how = "The area is the sum of the pixels' geodesic areas on the WGS 84 ellipsoid."
    text = f"{_capital(name)} covers {_exact(square_metres)}. {how}"
    geojson = None
    if (ring := outline(part)) is not None:
        corners = [[float(lon), float(lat)] for lon, lat in zip(*ring, strict=True)]
        geojson = _feature("Polygon", [corners], {"area_m2": round(square_metres, 1)})
    caveats = (
        () if scene.crs else ("The outline comes from the scene's box or corners alone, without a map projection.",)
    )
    return ToolResult(text, {"area": Quantity(square_metres / 1e4, "ha")}, geojson=geojson, caveats=caveats)


def _places(scene: Scene, points: Points, unit: str) -> tuple[list[Point], str]:
    """(longitude, latitude) of each point, and a sentence on how they were read."""
    import numpy as np

    pairs = np.asarray(points, float)
    if unit == "auto":
        unit = "degree" if all(_inside(scene.bbox, *map(float, pair)) for pair in pairs) else "pixel"
    if unit == "degree":
        for lon, lat in pairs:
            BBox(float(lon), float(lat), float(lon), float(lat))  # refuses what are no degrees
        return [(float(x), float(y)) for x, y in pairs], "The points are taken as longitude and latitude in degrees."
    if (pairs < 0).any() or (pairs[:, 0] > scene.width).any() or (pairs[:, 1] > scene.height).any():
        raise UsageError(
            f"a point lies outside the scene, which is {scene.width} x {scene.height} pixels.",
            "Points are column,row from the top left corner, or longitude,latitude with unit=degree.",
        )
    places = to_degrees(scene, pairs[:, 0], pairs[:, 1])
    if places is None:
        raise SceneError(
            f"pixels of {scene.uri} cannot be placed on Earth: the file gives no grid and coordinate system for them.",
            "Give the points in degrees: unit=degree.",
        )
    return [
        (float(x), float(y)) for x, y in places.T
    ], "The points are taken as pixels: column and row from the top left."


def _inside(box: BBox | None, lon: float, lat: float) -> bool:
    return box is not None and abs(lat) <= 90 and abs(lon) <= 180 and box.intersects(BBox(lon, lat, lon, lat))


def _area(ring: Sequence[Point], name: str, how: str) -> ToolResult:
    import numpy as np

    if len(set(ring)) < 3:
        raise UsageError(f"an area needs at least three points, and {len(set(ring))} came.")
    lons, lats = np.unwrap([p[0] for p in ring], period=360), [p[1] for p in ring]
    square_metres, perimeter = geod().polygon_area_perimeter(lons, lats)
    square_metres, perimeter = abs(float(square_metres)), float(perimeter)
    closed = [[float(x), float(y)] for x, y in zip([*lons, lons[0]], [*lats, lats[0]], strict=True)]
    caveats = []
    import shapely

    if not shapely.Polygon(closed).is_valid:
        caveats.append("The sides of the polygon cross each other, so its parts count against one another.")
    return ToolResult(
        f"The polygon of {len(ring)} points in {name} covers {_exact(square_metres)}, and its perimeter is "
        f"{_metres(perimeter)}. {how} The sides are geodesics on the WGS 84 ellipsoid.",
        {"area": Quantity(square_metres / 1e4, "ha"), "perimeter": Quantity(perimeter, "m")},
        geojson=_feature("Polygon", [closed], {"area_m2": round(square_metres, 1)}),
        caveats=tuple(caveats),
    )


def _line(places: Sequence[Point], name: str, how: str, what: str) -> ToolResult:
    if len(places) < 2:
        raise UsageError(f"a {what} needs at least two points, and one was given.")
    if what == "distance":
        places = [places[0], places[-1]]
    lons, lats = [p[0] for p in places], [p[1] for p in places]
    metres = float(geod().line_length(lons, lats))
    geojson = _feature("LineString", [list(p) for p in places], {"length_m": round(metres, 2)})
    ends = " to ".join(f"{latitude(y, 4)}, {longitude(x, 4)}" for x, y in (places[0], places[-1]))
    if what == "length":
        text = f"The line of {len(places)} points in {name} is {_metres(metres)} long, from {ends}."
        return ToolResult(f"{text} {how} Its parts are geodesics on the WGS 84 ellipsoid.",
                          {"length": Quantity(metres, "m")}, geojson=geojson)  # fmt: skip
    values = {"distance": Quantity(metres, "m")}
    text = f"The distance in {name} from {ends} is {_metres(metres)}"
    if metres > 0:
        bearing = float(geod().inv(lons[0], lats[0], lons[1], lats[1])[0]) % 360
        values["bearing"] = Quantity(bearing, "degrees")
        text += f", towards the {compass(bearing)} (bearing {bearing:.1f}°)"
    return ToolResult(f"{text}. {how} It is the geodesic on the WGS 84 ellipsoid.", values, geojson=geojson)


def _without_place(scene: Scene, name: str, what: str, points: Points, region: Sequence[int], unit: str) -> ToolResult:
    """A scene that is nowhere on Earth: plane geometry, if at least its pixel size is known."""
    import numpy as np

    if not scene.gsd_m or unit == "degree":
        raise SceneError(
            f"nothing can be measured in {scene.uri}: the file gives neither a place on Earth nor a pixel size.",
            'Georeference it, or give "gsd_m" in a sidecar.',
        )
    pixels = np.asarray(points, float).reshape(-1, 2)
    values: dict[str, Quantity]
    if what == "area":
        if region:
            part = scene.window(*region)
            covered = float(part.width * part.height)
        elif len(points):
            if len(set(map(tuple, points))) < 3:
                raise UsageError(f"an area needs at least three points, and {len(points)} came.")
            x, y = pixels.T
            covered = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
        else:
            covered = float(scene.width * scene.height)
        square_metres = covered * scene.gsd_m**2
        values, said = {"area": Quantity(square_metres / 1e4, "ha")}, f"The area in {name} is {_exact(square_metres)}."
    else:
        if len(points) < 2:
            raise UsageError(f"a {what} needs at least two points, and {len(points)} came.")
        steps = np.diff(pixels if what == "length" else pixels[[0, -1]], axis=0)
        metres = float(np.hypot(*steps.T).sum() * scene.gsd_m)
        values, said = {what: Quantity(metres, "m")}, f"The {what} in {name} is {_metres(metres)}."
    caveat = "The scene has no place on Earth, so its pixels are taken as squares of one size on flat ground."
    size = f"One pixel is taken to be {length(scene.gsd_m)} wide."
    return ToolResult(f"{said} {size}", values, caveats=(caveat,))


def _exact(square_metres: float) -> str:
    """An area in hectares to five figures, with the unit that fits beside it."""
    ha = square_metres / 1e4
    other = (
        f"{square_metres / 1e6:,.5g} km2"
        if ha >= 100
        else f"{square_metres:,.0f} m2"
        if square_metres >= 1e4
        else f"{square_metres:,.5g} m2"
    )
    return f"{_figures(ha)} ha ({other})"


def _metres(metres: float) -> str:
    return f"{_figures(metres)} m" if metres < 1e4 else f"{_figures(metres / 1000)} km"


def _figures(value: float) -> str:
    return f"{value:,.5g}" if abs(value) < 99_999.5 else f"{value:,.0f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("the ") else text


def _feature(kind: str, coordinates: Any, properties: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}
