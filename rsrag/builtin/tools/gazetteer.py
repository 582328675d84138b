"""An offline gazetteer: countries, towns, water, airports and ports of a places pack, found by position."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from rsrag import BBox, RsragError

if TYPE_CHECKING:
    from .names import Names
    from .outlines import Nearest, Outlines
    from .sphere import Floats

T = TypeVar("T")
Kind = Literal["city", "station", "airport", "port", "water"]
OPEN_WATER: Final = "open water"
COAST_REACH_M: Final = 50_000.0  # what lies farther out is open water
BORDER_REACH_KM: Final = 20.0
BORDERS: Final = ("borders.npz", "countries.geojson")  # the first of these that a pack has
_STATIONS: Final = ("scientific station", "historic place")  # of the pack's cities: places where nobody lives for good


@dataclass(frozen=True, slots=True)
class Place:
    """A named place. `distance_m` and `bearing` (degrees clockwise from north) are from where it was asked for.

    `kind` is "city", "station", "airport", "port", "river", "lake" or "country", `detail` a finer word ("river
    branch"); `code` the country's ISO 3166-1 alpha-2, `region` its first-level division (state, province);
    `population` is 0 where not known. Of a river or lake, `lon` and `lat` are its point nearest to where it was asked
    for; of anything with a `box` that was asked for by name, the middle of that.
    """

    id: str
    name: str
    kind: str
    lon: float
    lat: float
    country: str = ""
    code: str = ""
    population: int = 0
    iata: str = ""
    detail: str = ""
    distance_m: float = 0.0
    bearing: float = 0.0
    region: str = ""
    box: tuple[float, float, float, float] | None = None


class Gazetteer:
    """Finds what lies where, from a places pack's folder.

    Files are read on first use and kept. Distances are geodesics on WGS 84. Every method takes longitude and
    latitude in degrees (-180..180, -90..90) and raises `RsragError` when the folder is not a places pack.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._points: dict[str, _Points] = {}

    # -- questions --------------------------------------------------------------------------------

    def country(self, lon: float, lat: float) -> tuple[str, float]:
        """(name, metres): the country at a position and 0, or the nearest one within 50 km and how far it is.

        ("open water", 0) when there is none.
        """
        inside = self._countries.containing(lon, lat)
        if inside:
            return inside[0].name, 0.0
        near = self._countries.nearest(lon, lat, 1, COAST_REACH_M)
        return (near[0].area.name, near[0].distance_m) if near else (OPEN_WATER, 0.0)

    def border(self, lon: float, lat: float, within_km: float = BORDER_REACH_KM) -> Nearest | None:
        """Where the nearest other country begins, seen from a position in one; None when it is farther or sea."""
        inside = {area.id for area in self._countries.containing(lon, lat)}
        near = self._countries.nearest(lon, lat, len(inside) + 1, within_km * 1000) if inside else []
        return next((each for each in near if each.area.id not in inside), None)

    def disputes(self, lon: float, lat: float) -> list[str]:
        """What the pack says about disputed ground at a position, a sentence for each dispute."""
        from shapely import Point

        here = Point(lon, lat)
        return [note for ring, note in self._disputed if ring.covers(here)]

    def countries_in(self, ring: Sequence[tuple[float, float]]) -> list[str]:
        """Names of the countries that a closed ring of (lon, lat) covers a part of, the largest part first.

        Longitudes may run past ±180 where the ring crosses the antimeridian.
        """
        return self._countries.within(ring)

    def coast(self, lon: float, lat: float, within_km: float = 50.0) -> tuple[float, float] | None:
        """(metres, bearing) to the nearest coast on the map; None when it is farther."""
        edge = self._countries.nearest_edge(lon, lat, within_km * 1000)
        return (edge.distance_m, edge.bearing) if edge else None

    def nearest(
        self, lon: float, lat: float, kind: Kind, n: int = 1, within_km: float = 20_100.0, min_population: int = 0
    ) -> list[Place]:
        """Up to `n` places of a kind within a distance, the nearest first; `min_population` concerns towns.

        "city" are GeoNames' towns over 15,000 people, capitals, and the larger places of Natural Earth; "station"
        research stations and the like; "water" rivers and lakes (inside a lake the distance is 0).
        """
        if kind == "water":
            return self._waters(lon, lat, n, within_km * 1000)
        from .sphere import from_here, nearest_points

        points = self._of_kind(kind)
        wanted = (points.people >= min_population).nonzero()[0]
        if n < 1 or not len(wanted):
            return []
        near = wanted[nearest_points(lon, lat, points.vectors[wanted], n, within_km * 1000)]
        metres, bearings = from_here(lon, lat, points.lons[near], points.lats[near])
        return [
            replace(points.place(int(near[i])), distance_m=float(metres[i]), bearing=float(bearings[i]))
            for i in metres.argsort(kind="stable")[:n]
            if metres[i] <= within_km * 1000
        ]

    def _waters(self, lon: float, lat: float, n: int, within_m: float) -> list[Place]:
        found = [
            Place(
                near.area.id, near.area.name, "lake" if near.area.kind == "lake" else "river", near.lon, near.lat,
                detail=near.area.kind, distance_m=near.distance_m, bearing=near.bearing,
            )
            for near in self._water.nearest(lon, lat, n, within_m)
        ]  # fmt: skip
        inside = [Place(a.id, a.name, "lake", lon, lat, detail=a.kind) for a in self._water.containing(lon, lat)]
        lakes = [lake for lake in inside if lake.detail == "lake"]
        taken = {lake.id for lake in lakes}
        return [*lakes, *(place for place in found if place.id not in taken)][:n]

    def country_shapes(self) -> list[Any]:
        """The coarse outlines of countries as shapely geometries in degrees, for a small map."""
        from .outlines import Outlines

        return [area.shape for area in self._read("countries.geojson", Outlines).areas]

    def named(self, name: str, within: str = "") -> list[Place]:
        """Places of that name, the best known first; `within` is a country or its division. See `names.Names`."""
        return self._names.find(name, within)

    def like(self, name: str, n: int = 3) -> list[str]:
        """Names that are spelt much like this one."""
        return self._names.like(name, n)

    # -- places -----------------------------------------------------------------------------------

    @cached_property
    def _names(self) -> Names:
        from .names import Names

        return Names(self._read("cities.jsonl", _json_lines), self._records, self._of_kind("city").place, _place)

    def _of_kind(self, kind: str) -> _Points:
        if kind not in self._points:
            rows = self._read("cities.jsonl", _json_lines) if kind == "city" else []
            known = {f"geonames/{row[0]}" for row in rows}
            names = self._country_names if rows else {}
            # With GeoNames' entry of the same town at hand, its single population is the clearer one.
            others = [r for r in self._records if _kind(r) == kind and r["facets"].get("same_as") not in known]
            self._points[kind] = _Points(rows, names, self._regions if rows else {}, [_place(r, kind) for r in others])
        return self._points[kind]

    @cached_property
    def _regions(self) -> dict[str, dict[str, str]]:
        """Names of first-level divisions by country and GeoNames' code; a pack need not have them."""
        name = "regions.json"
        return self._read(name, json.loads) if (self.folder / name).is_file() else {}

    @cached_property
    def _country_names(self) -> dict[str, str]:
        names = {area.code: area.name for area in self._countries.areas if area.code}
        for record in self._records:
            if code := record["facets"].get("iso_a2"):
                names.setdefault(code, record["facets"].get("country", code))
        return names

    # -- files ------------------------------------------------------------------------------------

    @cached_property
    def _countries(self) -> Outlines:
        from .outlines import Outlines

        name = next((name for name in BORDERS if (self.folder / name).is_file()), BORDERS[-1])
        return self._read(name, Outlines)

    @cached_property
    def _disputed(self) -> list[tuple[Any, str]]:
        """(ring, note) of disputed ground; a pack need not have any."""
        from shapely import Polygon

        def parse(raw: bytes) -> list[tuple[Any, str]]:
            return [(Polygon(area["ring"]), str(area["note"])) for area in tomllib.loads(raw.decode())["area"]]

        name = "disputed.toml"
        return self._read(name, parse) if (self.folder / name).is_file() else []

    @cached_property
    def _water(self) -> Outlines:
        from .outlines import Outlines

        return self._read("water.geojson", Outlines)

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return self._read("records.jsonl", lambda raw: [r for r in _json_lines(raw) if "facets" in r])

    def _read(self, name: str, parse: Callable[[bytes], T]) -> T:
        try:
            return parse((self.folder / name).read_bytes())
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
            raise RsragError(
                f"the gazetteer cannot read {self.folder / name} ({reason}).",
                "Install rsrag again, or give the folder of a places pack.",
            ) from error


class _Points:
    """Positions as arrays to search in. Places are made of those that are found: making 34,000 takes its time."""

    def __init__(
        self,
        rows: list[Any],
        names: Mapping[str, str],
        regions: Mapping[str, Mapping[str, str]],
        places: list[Place],
    ) -> None:
        """`rows` as in cities.jsonl: [geonames id, name, [other names], country code, region, lat, lon, people]."""
        import numpy as np

        from .sphere import unit

        self._rows, self._names, self._regions, self._others = rows, names, regions, places
        self.lons: Floats = np.array([row[6] for row in rows] + [place.lon for place in places], float)
        self.lats: Floats = np.array([row[5] for row in rows] + [place.lat for place in places], float)
        self.people: Floats = np.array([row[7] or 0 for row in rows] + [place.population for place in places], float)
        self.vectors = unit(self.lons, self.lats)

    def place(self, index: int) -> Place:
        if index >= len(self._rows):
            return self._others[index - len(self._rows)]
        number, name, _, code, part, lat, lon, people = self._rows[index]
        country, region = self._names.get(code, code), self._regions.get(code, {}).get(part, "")
        return Place(f"geonames/{number}", name, "city", lon, lat, country, code, int(people or 0), region=region)


def _json_lines(raw: bytes) -> list[Any]:
    # One call over all lines is a fifth faster than one per line.
    lines: list[Any] = json.loads(b"[" + b",".join(raw.strip().split(b"\n")) + b"]")
    return lines


def _kind(record: Mapping[str, Any]) -> str:
    facets = record["facets"]
    return "station" if facets.get("kind") in _STATIONS else str(facets.get("feature", ""))


def _place(record: Mapping[str, Any], kind: str) -> Place:
    facets, facts = record["facets"], {fact["attribute"]: fact["value"] for fact in record.get("facts", ())}
    people = next((value for name, value in facts.items() if name.startswith("population")), 0)
    box = record.get("bbox")
    lon, lat = record["point"] if record.get("point") else BBox(*record["bbox"]).center
    return Place(
        record["id"], record["title"], kind, lon, lat, facets.get("country", ""), facets.get("iso_a2", ""),
        int(people), str(facts.get("IATA code", "")), facets.get("kind", ""), box=tuple(box) if box else None,
    )  # fmt: skip
