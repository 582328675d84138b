"""From what a query excludes to SQL over the catalog. Pure: builds text and arguments, runs nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..types import FacetValue, Filter


@dataclass(frozen=True, slots=True)
class Condition:
    """A boolean SQL expression over chunks `c`, records `r` and sources `s`, with its arguments."""

    sql: str = "1"
    arguments: tuple[Any, ...] = ()

    @property
    def is_trivial(self) -> bool:
        return self.sql == "1"


def condition(where: Filter, exclude: Sequence[str] = (), inside: Sequence[int] | None = None) -> Condition:
    """Everything `where` demands, and no record named in `exclude`.

    `inside` are the rowids of the records that touch the polygon, which SQL cannot tell.
    """
    parts: list[str] = []
    arguments: list[Any] = []
    if inside is not None:
        parts.append("r.rowid IN (SELECT value FROM json_each(?))")
        arguments.append(json.dumps(list(inside)))
    if box := where.box:
        touch = "west <= ? AND east >= ? AND south <= ? AND north >= ?"
        pieces = box.parts()
        parts.append("r.rowid IN (" + " UNION ".join(f"SELECT record FROM boxes WHERE {touch}" for _ in pieces) + ")")
        for west, south, east, north in pieces:
            arguments += [east, west, north, south]
    if where.interval:
        start, stop = where.interval
        parts.append("r.acquired IS NOT NULL")
        if start:
            parts.append("r.acquired >= ?")
            arguments.append(start.timestamp())
        if stop:
            parts.append("r.acquired <= ?")
            arguments.append(stop.timestamp())
    for key, value in where.facets.items():
        values = facet_values(value)
        marks = ",".join("?" * len(values))
        parts.append(f"r.rowid IN (SELECT record FROM facets WHERE key = ? AND value IN ({marks}))")
        arguments += [key, *values]
    if where.sources:
        parts.append(f"r.source IN ({','.join('?' * len(where.sources))})")
        arguments += where.sources
    if where.kind:
        parts.append("c.kind = ?")
        arguments.append(where.kind)
    if exclude:
        parts.append("r.id NOT IN (SELECT value FROM json_each(?))")
        arguments.append(json.dumps(list(exclude)))
    return Condition(" AND ".join(parts) or "1", tuple(arguments))


def facet_values(value: FacetValue) -> list[str]:
    """How a facet's value is written in the catalog: one row per element, numbers and booleans as text."""
    if isinstance(value, tuple | list):
        return [str(v) for v in value]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]
