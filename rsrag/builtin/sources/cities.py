"""One line of a pack's cities.jsonl as a record: compact, since there are tens of thousands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsrag import BBox, Fact, Record, UsageError

from .reading import read_json


def city(line: Any, countries: Mapping[str, str], regions: Mapping[str, Mapping[str, str]]) -> Record:
    """A record of [id, name, [other names], country code, region code, lat, lon, population].

    `countries` maps two-letter codes to names, `regions` a country's code to the names of its first-level divisions by
    their codes: they tell namesakes apart. Raises `UsageError` for anything else.
    """
    try:
        number, name, others, code, part, lat, lon, population = line
        west, south, people = float(lon), float(lat), int(population or 0)
        aliases, code = tuple(str(other) for other in others), str(code)
    except (TypeError, ValueError, OverflowError):
        form = "[id, name, [other names], country, region, lat, lon, population]"
        raise UsageError("is not a city.", f"A line is {form}.") from None
    subject = f"place/city/{number}"
    country = countries.get(code, code)  # by name, as in the facets of the other places
    region = regions.get(code, {}).get(str(part), "")
    where = f"{region}, {country}" if region and region not in (name, country) else country
    about = f"{name} is a city in {where}"
    if people:
        # Three figures are what "about" promises.
        about += f" with about {round(people, min(3 - len(str(people)), 0)):,} inhabitants"
    return Record(
        id=f"city/{number}",
        subject=subject,
        title=str(name),
        text=f"{about}.",
        aliases=aliases,
        facts=(Fact(subject, "population", people, "inhabitants"),) if people else (),
        facets={"feature": "city", "country": country},
        bbox=BBox(west, south, west, south),
        license="CC BY 4.0",
        attribution="GeoNames",
        vectors=False,
    )


def country_names(file: Path) -> dict[str, str]:
    """Names by two-letter code from a GeoJSON of countries, or an archive of their outlines; {} when there is no file.

    Raises `ValueError` for what is not JSON, others where the JSON is no GeoJSON.
    """
    names: dict[str, str] = {}
    if file.is_file():
        for given in _properties(file):
            facts = {str(key).lower(): value for key, value in given.items()}
            name = facts.get("name") or facts.get("admin") or facts.get("title")
            for key in ("iso_a2_eh", "iso_a2", "iso", "code", "country_code"):
                code = str(facts.get(key) or "")
                if name and len(code) == 2:
                    names.setdefault(code, str(name))
    return names


def _properties(file: Path) -> list[Mapping[str, Any]]:
    if file.suffix == ".npz":
        import numpy as np

        with np.load(file, allow_pickle=False) as archive:
            return list(read_json(archive["properties"].tobytes()))
    return [feature["properties"] for feature in read_json(file.read_bytes())["features"]]
