"""From what a query excludes to SQL over the catalog. Pure: builds text and arguments, runs nothing.

Every demand is written twice. Its *test* looks at one record, which is cheap where few are at hand: the hits of a
search by words, say. Its *seek* lists the records that satisfy it, through an index, which is cheap where it lists few.
Where records are still to be found, the shortest list is taken and tested against the other demands.
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

Sql = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Demand:
    """`test` is a boolean expression over chunks `c` and records `r`; `seek`, where an index helps, a SELECT of rowids
    of records. A `loose` seek lists some too many."""

    test: Sql
    seek: Sql | None = None
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """Demands that must all be met."""

    demands: tuple[Demand, ...] = ()

    @property
    def is_trivial(self) -> bool:
        return not self.demands

    @property
    def sql(self) -> str:
        """All tests as one expression."""
        return " AND ".join(demand.test[0] for demand in self.demands) or "1"

    @property
    def arguments(self) -> tuple[Any, ...]:
        return tuple(argument for demand in self.demands for argument in demand.test[1])

    @property
    def seekable(self) -> list[Demand]:
        return [demand for demand in self.demands if demand.seek]

    def led_by(self, demand: Demand | None) -> Sql:
        """The expression that takes the records of one demand's list and tests the others."""
        if demand is None or demand.seek is None:
            return self.sql, self.arguments
        rest = Condition(tuple(d for d in self.demands if d is not demand or d.loose))
        select, arguments = demand.seek
        return f"c.record IN ({select}) AND {rest.sql}", (*arguments, *rest.arguments)


def condition(
    where: Filter, exclude: Sequence[str] = (), inside: Sequence[int] | None = None, outside: Sequence[int] = ()
) -> Condition:
    """Everything `where` demands, and no record named in `exclude`.

    What SQL cannot tell comes as rowids of records: `inside` are those that touch polygon and circle, `outside` those
    whose footprint does not touch the box although their own box does.
    """
    demands: list[Demand] = []
    if inside is not None:
        listed = (json.dumps(list(inside)),)
        values = "SELECT value FROM json_each(?)"
        demands.append(Demand((f"c.record IN ({values})", listed), (values, listed)))
    if where.box:
        demands.append(_touches(where.box))
        if outside:
            demands.append(Demand(("c.record NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(outside)),))))
    if where.interval:
        demands.append(_overlaps(where.interval))
    if where.season:
        demands.append(_of_season(where.season))
    demands += [_has((key,), facet_values(value)) for key, value in where.facets.items()]
    demands += [_holds(comparison) for comparison in where.comparisons]
    if where.sources:
        demands.append(Demand((f"r.source IN ({_marks(where.sources)})", where.sources)))
    if where.kind:
        demands.append(Demand(("c.kind = ?", (where.kind,))))
    if where.parts:
        demands.append(Demand((f"(c.kind = 'image' OR c.part IN ({_marks(where.parts)}))", where.parts)))
    if exclude:
        demands.append(Demand(("r.id NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(exclude)),))))
    return Condition(tuple(demands))


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


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _touches(box: BBox) -> Demand:
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
    # Loose: the R*Tree keeps 32-bit numbers, rounded outwards.
    return Demand((f"({' OR '.join(tests)})", tuple(arguments)), (" UNION ".join(seeks), tuple(corners)), loose=True)


def _overlaps(interval: Interval) -> Demand:
    since, until = (moment.timestamp() if moment else None for moment in interval)
    begins, most = ("acquired <= ?", (until,)) if until is not None else ("acquired IS NOT NULL", ())
    if since is None:
        return Demand((f"r.{begins}", most), (f"SELECT rowid FROM records WHERE {begins}", most))
    # A union, for an index serves only one side of an OR.
    seek = f"""SELECT rowid FROM records WHERE acquired >= ? AND {begins}
        UNION ALL SELECT rowid FROM records WHERE acquired_until >= ? AND acquired < ? AND {begins}"""
    test = f"(r.{begins} AND (r.acquired >= ? OR r.acquired_until >= ?))"
    return Demand((test, (*most, since, since)), (seek, (since, *most, since, since, *most)))


def _of_season(season: Season) -> Demand:
    column = "local_months" if season.local else "months"
    spans = tuple(spans_touching(season.months))
    seek = f"SELECT rowid FROM records WHERE {column} IN ({_marks(spans)})"
    return Demand((f"r.{column} & ? != 0", (bits(season.months),)), (seek, spans))


def _has(keys: Sequence[str], values: Sequence[str]) -> Demand:
    """Whether one of the facets equals one of the values, as text or as a number.

    A + keeps SQLite from the index of that column: of one record there are few facets, of one value there are many.
    """
    numbers = [number for value in values if (number := as_number(value)) is not None]
    named, by_text, by_number = (
        f"{column} IN ({_marks(given)})" for column, given in (("key", keys), ("value", values), ("number", numbers))
    )
    equal = f"(+{by_text} OR +{by_number})" if numbers else f"+{by_text}"
    seek = f"SELECT record FROM facets WHERE {named} AND {by_text}"
    arguments: tuple[Any, ...] = (*keys, *values)
    if numbers:
        seek += f" UNION SELECT record FROM facets WHERE {named} AND {by_number}"
        arguments += (*keys, *numbers)
    test = f"EXISTS (SELECT 1 FROM facets WHERE record = c.record AND +{named} AND {equal})"
    return Demand((test, (*keys, *values, *numbers)), (seek, arguments))


def _holds(comparison: Comparison) -> Demand:
    keys, op = comparison.keys, comparison.op
    named = f"key IN ({_marks(keys)})"
    if op in ("=", "!="):
        equal = _has(keys, [text for value in comparison.values for text in facet_values(value)])
        if op == "=":
            return equal
        known = f"EXISTS (SELECT 1 FROM facets WHERE record = c.record AND +{named})"
        return Demand((f"({known} AND NOT {equal.test[0]})", (*keys, *equal.test[1])))
    numbers = tuple(float(value) for value in comparison.values)
    relation = " OR ".join([f"+number {op} ?"] * len(numbers))
    return Demand(
        (f"EXISTS (SELECT 1 FROM facets WHERE record = c.record AND +{named} AND ({relation}))", (*keys, *numbers)),
        (f"SELECT record FROM facets WHERE {named} AND ({relation.replace('+', '')})", (*keys, *numbers)),
    )
