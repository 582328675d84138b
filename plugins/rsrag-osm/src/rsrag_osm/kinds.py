"""What a feature is: its telling tag, and what that is called in English. Pure, apart from reading kinds.toml once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

Tags = Mapping[str, str]

_WORDS: Final = re.compile(r"[a-z][a-z0-9_' -]{1,40}")


@dataclass(frozen=True, slots=True)
class Kind:
    """`tag` is "key=value"; `one` and `many` the noun, equal where it cannot be counted (`mass`).

    `typical` is the usual area (least, most) in square metres; `seen` tells whether a camera overhead sees it.
    """

    tag: str
    one: str
    many: str
    mass: bool = False
    typical: tuple[float, float] | None = None
    seen: bool = True

    @property
    def key(self) -> str:
        return self.tag.partition("=")[0]

    @property
    def is_line(self) -> bool:
        """Whether a closed way of this kind is a ring and not an area."""
        return bool({self.key, self.tag} & _table().lines)

    @property
    def is_setting(self) -> bool:
        """Whether it says what a scene lies in rather than what stands there."""
        return self.tag in _table().settings


@dataclass(frozen=True, slots=True)
class _Table:
    order: dict[str, int]  # key -> place
    pairs: dict[str, list[tuple[dict[str, str], Any]]]  # by the first key of each
    other: dict[str, Any]
    plain: dict[str, Any]
    listed: dict[str, dict[str, Any]]
    adjectives: dict[str, dict[str, str]]
    lines: frozenset[str]
    settings: frozenset[str]
    by_tag: dict[str, Kind] = field(default_factory=dict)


@cache
def _table() -> _Table:
    data = tomllib.loads(files(__package__).joinpath("kinds.toml").read_text(encoding="utf-8"))
    pairs: dict[str, list[tuple[dict[str, str], Any]]] = {}
    for pair in data["pairs"]:
        pairs.setdefault(next(iter(pair["if"])), []).append((pair["if"], pair["as"]))
    return _Table(
        order={key: place for place, key in enumerate(data["order"])},
        pairs=pairs,
        other=data["other"],
        plain=data["yes"],
        listed={key: data.get(key, {}) for key in data["order"]},
        adjectives=data["adjectives"],
        lines=frozenset(data["shape"]["lines"]),
        settings=frozenset(data["shape"]["settings"]),
    )


def telling_keys() -> tuple[str, ...]:
    """The keys that make a feature one of a kind, the most telling first."""
    return tuple(_table().order)


def kind_of(tags: Tags) -> Kind | None:
    """What a feature with these tags is; None where no tag says so ("no" says that it is not)."""
    table = _table()
    keys = sorted(tags.keys() & table.order.keys(), key=table.order.__getitem__)
    for key in keys:
        for wanted, phrase in table.pairs.get(key, ()):
            if all(tags.get(other) == value for other, value in wanted.items()):
                return _made(f"{key}={tags[key]}", phrase)
    for key in keys:
        value = tags[key].partition(";")[0].strip().lower()
        if value and value != "no":
            return _named(key, value)
    return None


def _named(key: str, value: str) -> Kind:
    table = _table()
    if not _WORDS.fullmatch(value):
        value = "yes"  # "building=2" or "amenity=???" still is a building or an amenity
    tag = f"{key}={value}"
    if tag not in table.by_tag:
        phrase = table.listed[key].get(value)
        if phrase is None and value == "yes":
            phrase = table.plain.get(key, key.replace("_", " "))
        table.by_tag[tag] = _made(tag, phrase if phrase is not None else table.other[key])
        if len(table.by_tag) > 10_000:  # values that nobody listed are without end
            table.by_tag.clear()
            return _named(key, value)
    return table.by_tag[tag]


def _made(tag: str, phrase: Any) -> Kind:
    about = phrase if isinstance(phrase, dict) else {"as": phrase}
    value = re.sub(r"[^a-z0-9']+", " ", tag.partition("=")[2]).strip()
    one, bar, many = str(about["as"]).replace("{}", value).partition("|")
    mass = bool(bar) and not many
    typical = about.get("typical")
    return Kind(
        tag,
        one,
        one if mass else many or plural(one),
        mass,
        (float(typical[0]), float(typical[1])) if typical else None,
        bool(about.get("seen", True)),
    )


def plural(noun: str) -> str:
    """The regular English plural of a noun, by its last word."""
    if re.search(r"(?:s|x|z|ch|sh)$", noun):
        return noun if noun.endswith("s") and not noun.endswith("ss") else f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def article(noun: str) -> str:
    """ "a" or "an", by how the noun sounds."""
    silent = re.match(r"(?:hour|honest)", noun)
    like_you = re.match(r"(?:uni(?!n|m)|use|usu|eu|one)", noun)
    return "an" if silent or (noun[:1] in "aeiou" and not like_you) else "a"


def adjectives(tags: Tags) -> list[str]:
    """Words that tags such as surface=gravel justify before the noun."""
    found = (words.get(tags.get(key, "")) for key, words in _table().adjectives.items())
    return [word for word in found if word]


def is_area(tags: Tags) -> bool:
    """Whether a closed way with these tags is an area."""
    if tags.get("area") in ("yes", "no"):
        return tags["area"] == "yes"
    kind = kind_of(tags)
    return kind is not None and not kind.is_line


@cache
def nouns() -> Mapping[str, str]:
    """Every listed noun, singular or plural, with its singular: what a question may ask for."""
    table = _table()
    kinds = [_named(key, value) for key, values in table.listed.items() for value in values]
    kinds += [_made("=", phrase) for pairs in table.pairs.values() for _, phrase in pairs]
    return {form: kind.one for kind in kinds for form in (kind.one, kind.many)}
