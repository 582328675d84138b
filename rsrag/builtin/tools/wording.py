"""How tools write numbers, places and lists for people: lengths, coordinates, compass words."""

from __future__ import annotations

import math
from collections.abc import Sequence

_HALF = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
WINDS = tuple(
    wind
    for i, half in enumerate(_HALF)
    # The winds between: "north-north-east", named after the cardinal direction they lean to.
    for wind in (half, f"{_HALF[(i + 1) // 2 * 2 % 8]}-{_HALF[i if i % 2 else i + 1]}")
)


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
