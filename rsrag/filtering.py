"""A filter in words, demand by demand. Pure."""

from __future__ import annotations

from .geojson import bounds, from_circle, read_shape
from .seasons import say_season
from .types import BBox, Comparison, FacetValue, Filter, Interval


def demands(where: Filter) -> list[tuple[str, Filter]]:
    """(words, filter of that demand alone), for each demand on place, time and facets."""
    found: list[tuple[str, Filter]] = []
    if where.box:
        found.append((f"within {','.join(f'{side:g}' for side in where.box.as_tuple())}", Filter(box=where.box)))
    if where.polygon:
        found.append(("within the polygon", Filter(polygon=where.polygon)))
    if circle := where.circle:
        place = f"{circle.lon:g},{circle.lat:g}"
        found.append((f"within {circle.radius_m / 1000:g} km of {place}", Filter(circle=circle)))
    if where.interval:
        found.append((_say_interval(where.interval), Filter(interval=where.interval)))
    if where.season:
        found.append((f"in {say_season(where.season)}", Filter(season=where.season)))
    found += [(f"{key} = {_say_value(value)}", Filter(facets={key: value})) for key, value in where.facets.items()]
    found += [(_say_comparison(each), Filter(comparisons=(each,))) for each in where.comparisons]
    return found


def describe(where: Filter) -> str:
    """A filter in one line: "within 4,51.8,4.6,52; in summer; cloud_cover < 20"; sources and kind too."""
    words = [said for said, _ in demands(where)]
    words += [f"source {' or '.join(where.sources)}"] if where.sources else []
    words += [f"only {where.kind}s"] if where.kind else []
    return "; ".join(words)


def place_of(where: Filter) -> BBox | None:
    """The box of the place that a filter is about, to rank by where nothing else is asked for."""
    if where.polygon:
        return bounds(read_shape(where.polygon)[0])
    return where.box or (from_circle(where.circle) if where.circle else None)


def _say_interval(interval: Interval) -> str:
    start, stop = (moment.date().isoformat() if moment else "" for moment in interval)
    if start and stop:
        return f"on {start}" if start == stop else f"from {start} to {stop}"
    return f"since {start}" if start else f"until {stop}"


def _say_value(value: FacetValue) -> str:
    return " or ".join(str(v) for v in value) if isinstance(value, tuple | list) else str(value)


def _say_comparison(comparison: Comparison) -> str:
    values = tuple(f"{v:g}" if isinstance(v, float) else str(v) for v in comparison.values)
    return f"{comparison.keys[0]} {comparison.op} {_say_value(values)}"
