"""A small map of places on the outlines of countries, as large as the places need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .drawing import INK, PALETTE, SMALL, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LAND: Final = "#e9e6de"
_SEA: Final = "#f4f8fb"
_BORDER: Final = "#a9a59a"
_NARROWEST: Final = 12.0  # degrees: closer in, the coarse outlines show nothing
_WIDEST: Final = 150.0  # beyond, the whole world is drawn


def world_map(
    pictures: Path,
    stem: str,
    countries: Sequence[Any],
    places: Sequence[tuple[float, float, str]],
    here: tuple[float, float] | None = None,
) -> str:
    """Write a map of (longitude, latitude, label), the first being the most important, and of `here` as a star.

    `countries` are shapely polygons in degrees. The map is equirectangular, true to scale in its middle; longitudes are
    written to both sides of the antimeridian where the places lie there. Returns the file's path.
    """
    from math import cos, radians

    spots = [*places, *([(*here, "this scene")] if here else [])]
    west, east, south, north = _frame([spot[0] for spot in spots], [spot[1] for spot in spots])
    aspect = 1 / max(0.2, cos(radians((south + north) / 2)))
    width = 7.0
    height = min(7.0, max(2.6, width * (north - south) / (east - west) * aspect))

    def draw(sheet: Figure) -> None:
        axes = sheet.add_subplot()
        axes.set_facecolor(_SEA)
        for turn in (-360, 0, 360):
            _draw_land(axes, countries, turn, (west, east))
        for number, (lon, lat, _) in enumerate(places, 1):
            x = _turned(lon, (west + east) / 2)
            axes.plot(x, lat, "o", color=PALETTE[1], markersize=11, markeredgecolor="white", zorder=4 + 1 / number)
            axes.text(x, lat, str(number), color="white", fontsize=SMALL - 1, ha="center", va="center_baseline",
                      zorder=4 + 1 / number)  # fmt: skip
        if here:
            axes.plot(_turned(here[0], (west + east) / 2), here[1], "*", color=PALETTE[0], markersize=13,
                      markeredgecolor="white", zorder=6)  # fmt: skip
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.set_aspect(aspect)
        axes.tick_params(labelsize=SMALL - 1, colors=INK, length=2)
        axes.xaxis.set_major_formatter(lambda x, _: f"{(x + 180) % 360 - 180:g}°")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}°")
        for side in axes.spines.values():
            side.set_color(_BORDER)
        _legend(sheet, places, here is not None)

    return figure(pictures, stem, (width, height + 0.35 + 0.17 * ((len(places) + 2) // 2)), draw)


def _legend(sheet: Figure, places: Sequence[tuple[float, float, str]], star: bool) -> None:
    from matplotlib.lines import Line2D

    entries = [(f"{number}  {_short(label)}", "o", PALETTE[1]) for number, (_, _, label) in enumerate(places, 1)]
    entries += [("this scene", "*", PALETTE[0])] if star else []
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=6, label=plain(label))
        for label, marker, colour in entries
    ]
    sheet.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False, labelcolor=INK)


def _short(label: str) -> str:
    return label if len(label) <= 44 else label[:43].rstrip() + "…"


def _draw_land(axes: Axes, countries: Sequence[Any], turn: int, span: tuple[float, float]) -> None:
    import numpy as np
    import shapely
    from matplotlib.collections import PolyCollection

    rings = []
    for part in shapely.get_parts(list(countries)):
        low, _, high, _ = part.bounds
        if low + turn <= span[1] and high + turn >= span[0]:
            rings.append(shapely.get_coordinates(part.exterior) + np.array([turn, 0.0]))
    axes.add_collection(PolyCollection(rings, facecolors=_LAND, edgecolors=_BORDER, linewidths=0.4, zorder=1))


def _turned(lon: float, middle: float) -> float:
    return middle + (lon - middle + 180) % 360 - 180


def _frame(lons: Sequence[float], lats: Sequence[float]) -> tuple[float, float, float, float]:
    """West, east, south, north with room around; over the antimeridian east lies beyond 180."""
    ordered = sorted(lon % 360 for lon in lons)
    # The widest gap between neighbours is where the map is cut.
    gaps = [(b - a, b) for a, b in zip(ordered, [*ordered[1:], ordered[0] + 360], strict=True)]
    widest, start = max(gaps)
    across = 360 - widest
    if across > _WIDEST:
        return -180.0, 180.0, max(-90.0, min(-60.0, min(lats) - 5)), min(90.0, max(80.0, max(lats) + 5))
    span = max(_NARROWEST, 1.4 * across)
    middle = start % 360 + across / 2
    middle = middle - 360 if middle > 180 else middle
    tall = max(span / 2, 1.4 * (max(lats) - min(lats)))
    level = (max(lats) + min(lats)) / 2
    return middle - span / 2, middle + span / 2, max(-90.0, level - tall / 2), min(90.0, level + tall / 2)
