"""How tools write numbers, places, scenes and lists for people: lengths, areas, coordinates, compass words, names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from rsrag import Scene

_HALF = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
WINDS = tuple(
    wind
    for i, half in enumerate(_HALF)
    # The winds between: "north-north-east", named after the cardinal direction they lean to.
    for wind in (half, f"{_HALF[(i + 1) // 2 * 2 % 8]}-{_HALF[i if i % 2 else i + 1]}")
)
_ORDER: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_DATES: Final = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "time": "%Y-%m-%d %H:%M"}


def date(scene: Scene) -> str:
    """When the scene was acquired, as far as that is known ("1985", "2020-07", "2020-07-15"); "" where it is not."""
    return scene.acquired.strftime(_DATES[scene.acquired_precision or "day"]) if scene.acquired else ""


def scene_name(scene: Scene) -> str:
    """What to call a scene in a sentence: its date, else the stem of its file's name, else "the scene"."""
    return date(scene) or _stem(scene) or "the scene"


def scene_names(scenes: Sequence[Scene]) -> list[str]:
    """What to call each of several scenes: dates where they tell all apart, else file stems, else "the first scene"."""
    for names in ([date(s)[:10] for s in scenes], [date(s) for s in scenes], [_stem(s) for s in scenes]):
        if all(names) and len(set(names)) == len(names):
            return names
    return [f"the {_ORDER[i]} scene" if i < len(_ORDER) else f"scene {i + 1}" for i in range(len(scenes))]


def _stem(scene: Scene) -> str:
    base, _, part = scene.uri.partition("#")
    stem = PurePosixPath(base.replace("\\", "/")).stem if base != "array" else ""
    return f"{stem} ({part.removeprefix('xywh=')})" if stem and part else stem


def compass(bearing: float) -> str:
    """The one of 16 compass points nearest to a bearing in degrees, clockwise from north."""
    return WINDS[round(bearing / 22.5) % 16]


def length(metres: float) -> str:
    """A length as one would say it: "30 cm", "5 m", "4.2 km", "310 km"."""
    if metres < 0.995:
        return f"{_figures(metres * 100, 2)} cm"
    if metres < 995:
        return f"{_figures(metres, 2)} m"
    km = metres / 1000
    return f"{km:.1f} km" if km < 9.95 else f"{km:,.0f} km"


def distance(metres: float) -> str:
    """How far something is whose position is known to a hundred metres at best: "0.8 km", "4.2 km", "310 km"."""
    km = max(metres / 1000, 0.1)
    return f"{km:.1f} km" if km < 9.95 else f"{km:,.0f} km"


def hectares(square_metres: float) -> str:
    """An area as one would say it: "0.42 ha", "8.3 ha", "1,240 ha", "2,310 km2"; from 100,000 ha on in km2."""
    ha = square_metres / 1e4
    return f"{ha / 100:,.0f} km2" if ha >= 1e5 else f"{ha:,.0f} ha" if ha >= 99.5 else f"{_figures(ha, 2)} ha"


def share(part: float) -> str:
    """A part of one in per cent: "12 %", "3.4 %", "0.05 %", "0 %"."""
    return f"{part * 100:.0f} %" if part >= 0.0995 else f"{_figures(round(part * 100, 3), 2)} %"


def capital(text: str) -> str:
    """With a capital first letter, to begin a sentence."""
    return text[:1].upper() + text[1:]


def _figures(value: float, count: int) -> str:
    """At least `count` significant figures, no digits of an integer lost, no idle zeros after the point."""
    if value <= 0:
        return "0"
    digits = max(0, count - 1 - math.floor(math.log10(value)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def latitude(value: float, digits: int = 2) -> str:
    """As in "8.38° S"; `digits` after the point."""
    return _angle(value, digits, "NS")


def longitude(value: float, digits: int = 2) -> str:
    """As in "74.53° W"; `digits` after the point."""
    return _angle(value, digits, "EW")


def _angle(value: float, digits: int, sides: str) -> str:
    text = f"{abs(value):.{digits}f}"
    nowhere = float(text) in (0.0, 180.0)  # neither side
    return f"{text}°" if nowhere else f"{text}° {sides[value < 0]}"


def listed(items: Sequence[str]) -> str:
    """As in "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
