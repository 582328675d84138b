"""A feature: an element of OpenStreetMap with its tags and its shape; and how its tags are cleaned."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ATTRIBUTION: Final = "© OpenStreetMap contributors, ODbL"
LICENSE: Final = "ODbL-1.0"
_TYPES: Final = {"n": "node", "w": "way", "r": "relation"}
_MOST_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Feature:
    """`osm` is the element's type and number ("n12", "w345", "r6"), or another id where the data tell none.

    `shape` is a shapely geometry in degrees (lon, lat); over the antimeridian its longitudes run on past 180.
    """

    osm: str
    tags: Mapping[str, str]
    shape: Any

    @property
    def name(self) -> str:
        return self.tags.get("name", "")

    @property
    def path(self) -> str:
        """ "way/345", as in OpenStreetMap's addresses; "" where the data tell no element."""
        match = re.fullmatch(r"([nwr])(\d+)", self.osm)
        return f"{_TYPES[match[1]]}/{match[2]}" if match else ""


@dataclass(slots=True)
class Losses:
    """What could not be used, by reason, with the first few elements of each: one line for a reason, not for each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, example: str = "", count: int = 1) -> None:
        self.counts[reason] += count
        shown = self.examples.setdefault(reason, [])
        if example and len(shown) < _MOST_EXAMPLES:
            shown.append(example)

    def lines(self) -> list[str]:
        """As in "ways without a position for some of their nodes: 34 (w12, w13, w14, ...)"."""
        return [f"{reason}: {count:,}{self._shown(reason)}" for reason, count in sorted(self.counts.items())]

    def _shown(self, reason: str) -> str:
        shown = self.examples.get(reason)
        more = ", ..." if shown and self.counts[reason] > len(shown) else ""
        return f" ({', '.join(shown)}{more})" if shown else ""


def cleaned(tags: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Tags as plain text: control characters and halves of characters become spaces, empty values go."""
    found = {_plain(key): _plain(value) for key, value in tags}
    return {key: value for key, value in found.items() if key and value}


def _plain(text: Any) -> str:
    text = str(text)
    if not text.isprintable():  # which halves of characters are not, either
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def label_tags(label: str) -> dict[str, str]:
    """The tags of GeoLink's form, "key:value;key:value".

    There a key's colons are spaces ("addr street"), and "yes" is written as the key itself ("building:building").
    A piece without a colon belongs to the value before it.
    """
    pairs: list[tuple[str, str]] = []
    for piece in label.split(";"):
        key, colon, value = piece.partition(":")
        if colon:
            key = key.strip()
            pairs.append((key.replace(" ", ":"), "yes" if value.strip() == key else value))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]};{piece}")
    return cleaned(pairs)


def hstore_tags(text: str) -> dict[str, str]:
    """The tags that GDAL puts into `other_tags`: "\"height\"=>\"5\",\"lit\"=>\"yes\""."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"', text)
    return cleaned((re.sub(r"\\(.)", r"\1", key), re.sub(r"\\(.)", r"\1", value)) for key, value in found)
