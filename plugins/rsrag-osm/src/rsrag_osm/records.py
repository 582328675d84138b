"""A named feature as a record: one fluent sentence, facts with units, and where it comes from. Pure."""

from __future__ import annotations

import hashlib
import json

from rsrag import Fact, Record

from .features import ATTRIBUTION, LICENSE, Feature, Losses
from .geometry import bbox
from .kinds import Kind, adjectives, article, kind_of
from .quantities import MEASURES, measured, start_date
from .sizes import area_of, length_of

# Streets and stops by the hundred thousand: their names are found by word and by place, and say nothing to an encoder.
_BARE: frozenset[str] = frozenset(("highway", "public_transport", "waterway", "railway"))
_ALIASES = ("name:en", "int_name", "official_name", "alt_name", "old_name", "short_name", "loc_name")
_SAID = {
    "height": "{} high",
    "ele": "at an elevation of {}",
    "building:levels": "with {} storeys",
    "capacity": "with a capacity of {}",
    "population": "with {}",
    "lanes": "with {} lanes",
    "maxspeed": "with a speed limit of {}",
    "width": "{} wide",
    "beds": "with {} beds",
    "rooms": "with {} rooms",
}


def record_of(feature: Feature, losses: Losses) -> Record:
    """The record of a feature that has a name and a kind. Values that are no numbers are counted in `losses`."""
    kind = kind_of(feature.tags)
    assert kind is not None
    subject = f"osm/{feature.path or feature.osm}"
    facts, said = _facts(feature, subject, losses)
    aliases = _aliases(feature)
    return Record(
        id=feature.osm,
        subject=subject,
        title=feature.name,
        text=_sentence(feature, kind, said),
        aliases=aliases,
        facts=facts,
        facets={"kind": kind.tag, "feature": kind.one},
        bbox=bbox(feature.shape),
        url=f"https://www.openstreetmap.org/{feature.path}" if feature.path else "",
        license=LICENSE,
        attribution=ATTRIBUTION,
        version=_version(feature),
        vectors=kind.key not in _BARE,
    )


def _sentence(feature: Feature, kind: Kind, said: list[str]) -> str:
    tags = feature.tags
    noun = " ".join([*adjectives(tags), kind.one])
    name = f"{feature.name} ({tags['name:en']})" if tags.get("name:en", feature.name) != feature.name else feature.name
    what = noun if kind.mass else f"{article(noun)} {noun}"
    place = tags.get("addr:city") or tags.get("addr:place", "")
    street = " ".join(filter(None, (tags.get("addr:street", ""), tags.get("addr:housenumber", ""))))
    where = (f" at {street}" if tags.get("addr:street") else "") + (f" in {place}" if place else "")
    clauses = list(said)
    if operator := tags.get("operator"):
        clauses.append(f"operated by {operator}")
    return f"{', '.join([f'{name} is {what}{where}', *clauses])}."


def _facts(feature: Feature, subject: str, losses: Losses) -> tuple[tuple[Fact, ...], list[str]]:
    """Facts, and the clauses that say them."""
    facts, said = [], []
    for key, measure in MEASURES.items():
        if key not in feature.tags:
            continue
        try:
            found = measured(key, feature.tags[key])
        except ValueError:
            losses.add(f"values of {key} that say no number that can be", f"{feature.osm}: {feature.tags[key][:20]!a}")
            continue
        if found is not None:
            number, unit = found
            facts.append(Fact(subject, measure.attribute, number, unit))
            said.append(_SAID[key].format(f"{number:,} {unit}".strip()))
    if date := start_date(feature.tags.get("start_date", "")):
        facts.append(Fact(subject, "start date", date))
        said.append(f"dating from {date}")
    for attribute, size, clause in (
        ("area", area_of(feature.shape), "covering {}"),
        ("length", length_of(feature.shape), "{} long"),
    ):
        if size is not None:
            facts.append(Fact(subject, attribute, size.value, size.unit))
            said.append(clause.format(f"{size.value:,} {size.unit}"))
    return tuple(facts), said


def _aliases(feature: Feature) -> tuple[str, ...]:
    names = [name.strip() for key in _ALIASES for name in feature.tags.get(key, "").split(";")]
    return tuple(dict.fromkeys(name for name in names if name and name != feature.name))


def _version(feature: Feature) -> str:
    """Changes with the feature's tags and shape, and not with the extract it came in."""
    tags = json.dumps(dict(sorted(feature.tags.items()))).encode()
    return hashlib.blake2b(tags + b"\0" + feature.shape.wkb, digest_size=12).hexdigest()
