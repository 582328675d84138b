"""From what a query excludes to SQL over the catalog. Pure: builds text and arguments, runs nothing.

Every demand is written twice. A *test* looks at one record and is cheap where few records are at hand (the hits of a
search by words, say). A *seek* names all the records that satisfy it, through an index, and is cheap where records are
still to be found. Some seeks find a few too many; those keep their test beside them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..seasons import bits, spans_touching
from ..types import BBox, Comparison, FacetValue, Filter, Interval, Season


@dataclass(frozen=True, slots=True)
class Condition:
    """A boolean SQL expression over chunks `c`, records `r` and sources `s`, with its arguments: `sql` tests a record,
    `seek` finds records."""

    sql: str = "1"
    arguments: tuple[Any, ...] = ()
    seek: str = "1"
    seek_arguments: tuple[Any, ...] = ()

    @property
    def is_trivial(self) -> bool:
        return self.sql == "1"


@dataclass(frozen=True, slots=True)
class _Demand:
    """One demand; without a seek the test serves for both. `loose`: the seek finds too many."""

    test: str
    arguments: tuple[Any, ...]
    seek: str = ""
    seek_arguments: tuple[Any, ...] = ()
    loose: bool = False


def condition(
    where: Filter, exclude: Sequence[str] = (), inside: Sequence[int] | None = None, outside: Sequence[int] = ()
) -> Condition:
    """Everything `where` demands, and no record named in `exclude`.

    What SQL cannot tell comes as rowids of records: `inside` are those that touch polygon and circle, `outside` those
    whose footprint does not touch the box although their own box does.
    """
    demands: list[_Demand] = []
    if inside is not None:
        demands.append(_Demand("r.rowid IN (SELECT value FROM json_each(?))", (json.dumps(list(inside)),)))
    if where.box:
        demands.append(_touches(where.box))
        if outside:
            demands.append(_Demand("r.rowid NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(outside)),)))
    if where.interval:
        demands.append(_overlaps(where.interval))
    if where.season:
        demands.append(_of_season(where.season))
    demands += [_has((key,), facet_values(value)) for key, value in where.facets.items()]
    demands += [_holds(comparison) for comparison in where.comparisons]
    if where.sources:
        demands.append(_Demand(f"r.source IN ({_marks(where.sources)})", where.sources))
    if where.kind:
        demands.append(_Demand("c.kind = ?", (where.kind,)))
    if exclude:
        demands.append(_Demand("r.id NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(exclude)),)))
    seeks = [(d.seek, d.seek_arguments) for d in demands if d.seek]
    seeks += [(d.test, d.arguments) for d in demands if not d.seek or d.loose]
    return Condition(*_all([(d.test, d.arguments) for d in demands]), *_all(seeks))


def facet_values(value: FacetValue) -> list[str]:
    """How a facet's value is written in the catalog: one row per element, numbers and booleans as text."""
    if isinstance(value, tuple | list):
        return [str(v) for v in value]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


def as_number(text: str) -> float | None:
    """The number a facet's value is, by which it compares; None for words."""
    if not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _all(parts: Sequence[tuple[str, tuple[Any, ...]]]) -> tuple[str, tuple[Any, ...]]:
    return " AND ".join(sql for sql, _ in parts) or "1", tuple(a for _, arguments in parts for a in arguments)


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _touches(box: BBox) -> _Demand:
    tests, seeks, arguments, corners = [], [], [], []
    for west, south, east, north in box.parts():
        # Of a record over the antimeridian either side may touch.
        tests.append(
            """(r.south <= ? AND r.north >= ? AND CASE WHEN r.west <= r.east THEN r.west <= ? AND r.east >= ?
                ELSE r.west <= ? OR r.east >= ? END)"""
        )
        arguments += [north, south, east, west, east, west]
        seeks.append("SELECT record FROM boxes WHERE west <= ? AND east >= ? AND south <= ? AND north >= ?")
        corners += [east, west, north, south]
    # The R*Tree keeps 32-bit numbers, rounded outwards.
    seek = f"r.rowid IN ({' UNION '.join(seeks)})"
    return _Demand(f"({' OR '.join(tests)})", tuple(arguments), seek, tuple(corners), loose=True)


def _overlaps(interval: Interval) -> _Demand:
    start, stop = (moment.timestamp() if moment else None for moment in interval)
    until, since = ("acquired <= ?", (stop,)) if stop is not None else ("acquired IS NOT NULL", ()), start
    if since is None:
        return _Demand(f"r.{until[0]}", until[1])
    test = f"r.{until[0]} AND (r.acquired >= ? OR r.acquired_until >= ?)"
    # A union, for an index serves only one side of an OR.
    seek = f"""r.rowid IN (SELECT rowid FROM records WHERE acquired >= ? AND {until[0]}
        UNION ALL SELECT rowid FROM records WHERE acquired_until >= ? AND acquired < ? AND {until[0]})"""
    return _Demand(test, (*until[1], since, since), seek, (since, *until[1], since, since, *until[1]))


def _of_season(season: Season) -> _Demand:
    column = "local_months" if season.local else "months"
    spans = spans_touching(season.months)
    test = f"r.{column} & ? != 0"
    seek = f"r.rowid IN (SELECT rowid FROM records WHERE {column} IN ({_marks(spans)}))"
    return _Demand(test, (bits(season.months),), seek, tuple(spans))


def _has(keys: Sequence[str], values: Sequence[str]) -> _Demand:
    """Whether one of the facets equals one of the values, as text or as a number."""
    numbers = [number for value in values if (number := as_number(value)) is not None]
    by_text, by_number = f"value IN ({_marks(values)})", f"number IN ({_marks(numbers)})"
    equal = f"({by_text} OR {by_number})" if numbers else by_text
    seek = f"SELECT record FROM facets WHERE key IN ({_marks(keys)}) AND {by_text}"
    seek_arguments: tuple[Any, ...] = (*keys, *values)
    if numbers:
        seek += f" UNION SELECT record FROM facets WHERE key IN ({_marks(keys)}) AND {by_number}"
        seek_arguments += (*keys, *numbers)
    return _Demand(
        f"EXISTS (SELECT 1 FROM facets f WHERE f.record = r.rowid AND f.key IN ({_marks(keys)}) AND {equal})",
        (*keys, *values, *numbers),
        f"r.rowid IN ({seek})",
        seek_arguments,
    )


def _holds(comparison: Comparison) -> _Demand:
    keys, op = comparison.keys, comparison.op
    if op in ("=", "!="):
        equal = _has(keys, [str(v) if isinstance(v, str) else facet_values(v)[0] for v in comparison.values])
        if op == "=":
            return equal
        known = f"EXISTS (SELECT 1 FROM facets f WHERE f.record = r.rowid AND f.key IN ({_marks(keys)}))"
        return _Demand(f"({known} AND NOT {equal.test})", (*keys, *equal.arguments))
    numbers = tuple(float(value) for value in comparison.values)
    relation = " OR ".join([f"number {op} ?"] * len(numbers))
    return _Demand(
        f"EXISTS (SELECT 1 FROM facets f WHERE f.record = r.rowid AND f.key IN ({_marks(keys)}) AND ({relation}))",
        (*keys, *numbers),
        f"r.rowid IN (SELECT record FROM facets WHERE key IN ({_marks(keys)}) AND ({relation}))",
        (*keys, *numbers),
    )
