"""Between named places, without an image: how far two are apart, and which airport, port, water or town is near one."""

from __future__ import annotations

import re
from typing import ClassVar, Final, Literal

from rsrag import Quantity, Query, ToolResult, UsageError

from .gazetteer import Gazetteer, Kind, Place
from .ground import geod
from .locate import ATTRIBUTION, opened_gazetteer
from .names import key
from .wording import compass, distance

What = Literal["airport", "port", "lake", "river", "city"]
_FAR: Final = re.compile(
    r"\b(?:how far|distance|apart|separates?|as the crow flies|straight line|how (?:many|much) (?:km|kilomet\w+|miles)"
    r"|far (?:is|are|away))\b",
    re.IGNORECASE,
)
_NEAR: Final = re.compile(
    r"\b(?:near\w*|closest|close to|close by|next to|serves?|serving|around|shores? of|banks? of|on which|vicinity"
    r"|beside|by the|lies? (?:on|at|by)|situated (?:on|at|by))\b",
    re.IGNORECASE,
)
_KINDS: Final[dict[What, re.Pattern[str]]] = {
    "airport": re.compile(r"\b(?:airports?|airfields?|fly (?:in)?to)\b", re.IGNORECASE),
    "port": re.compile(r"\b(?:sea ?)?(?:ports?|harbou?rs?)\b", re.IGNORECASE),
    "lake": re.compile(r"\blakes?\b", re.IGNORECASE),
    "river": re.compile(r"\brivers?\b", re.IGNORECASE),
    "city": re.compile(r"\b(?:city|cities|towns?|settlements?)\b", re.IGNORECASE),
}
_REACH_KM: Final[dict[What, float]] = {"airport": 300, "port": 300, "lake": 300, "river": 300, "city": 300}
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
_NO_NAMES: Final = frozenset(
    """how far is are the a an of from to and in on at which what who where there any big large small major main near
    nearest closest close next by airport airports port ports sea harbour harbor lake lakes river rivers city cities
    town towns distance between straight line crow flies km kilometres kilometers miles many much separate separates
    serves area region great one it lies shore as i my me can you tell please one lies air travel drive country its does
    international apart away around vicinity""".split()
)
_FIRST_WORDS: Final = frozenset(("lake", "port", "great"))  # "Lake Titicaca", "Port of Rotterdam", "Great Bear Lake"
_LAST_WORDS: Final = frozenset(("town", "city", "lake"))  # "Cape Town", "Mexico City"
_MOST: Final = 3
_CAVEAT: Final = (
    "Distances are straight lines on WGS 84 between the points of the gazetteer, which holds towns of over 15,000 "
    "people and only the larger airports, ports and waters."
)
_MIDDLE: Final = "The point of {} is the middle of the box around it."
_OTHERS: Final = "Several places are called {}; {} was taken, and not {}."


class Nearby:
    """Tells how far two named places are apart, and what airport, port, lake, river or town is near one, offline.

    `places` is the folder of a places pack; "" takes the one that comes with rsrag.
    """

    name: ClassVar[str] = "nearby"

    def __init__(self, places: str = "") -> None:
        self.places = places

    def applies(self, query: Query) -> float:
        """0.9 for a question without images on the distance of two places it names or on what is near one, else 0."""
        if query.scenes:
            return 0.0
        given = _asked(query.text, opened_gazetteer(self.places)) if _means(query.text) else None
        return 0.9 if given else 0.0

    def arguments(self, query: Query) -> dict[str, object]:
        """The places and the kind that the question names."""
        return _asked(query.text, opened_gazetteer(self.places)) or {}

    def __call__(self, name: str, other: str = "", what: What = "airport") -> ToolResult:
        """Give the straight distance between two named places, or the nearest places of a kind around one.

        Values: distance (km). Raises `UsageError` for a name that the gazetteer does not know.

        Args:
            name: A town, country, lake, river, airport or port; "Paris, Texas" will do.
            other: Another one: then the distance is told.
            what: What is looked for near the first place where there is no other.
        """
        gazetteer = opened_gazetteer(self.places)
        here, notes = _best(gazetteer, name)
        if other:
            there, more = _best(gazetteer, other)
            bearing, _, metres = geod().inv(here.lon, here.lat, there.lon, there.lat)
            text = (
                f"{_called(there)} lies {distance(metres)} {compass(bearing % 360)} of {_called(here)} "
                "in a straight line."
            )
            caveats = (_CAVEAT, *dict.fromkeys((*more, *notes)))
            return ToolResult(text, {"distance": Quantity(metres / 1000, "km")}, caveats=caveats,
                              attribution=ATTRIBUTION)  # fmt: skip
        kind: Kind = "water" if what == "lake" or what == "river" else what
        found = gazetteer.nearest(here.lon, here.lat, kind, 12, _REACH_KM[what])
        found = [p for p in found if kind != "water" or p.kind == what]
        found = [p for p in found if p.name != here.name or p.distance_m > 30_000][:_MOST]
        if not found:
            raise UsageError(f"the gazetteer knows no {what} within {_REACH_KM[what]:.0f} km of {here.name}.", _CAVEAT)
        first, rest = found[0], found[1:]
        code = f" (IATA {first.iata})" if first.iata else ""
        away = "at" if first.distance_m < 500 else f"{distance(first.distance_m)} {compass(first.bearing)} of"
        said = [f"The nearest {what} known to the gazetteer is {first.name}{code}, {away} {_called(here)}."]
        if rest:
            said.append(f"Then come {' and '.join(f'{p.name} ({distance(p.distance_m)})' for p in rest)}.")
        values = {f"distance to {p.name}": Quantity(p.distance_m / 1000, "km") for p in found}
        return ToolResult(" ".join(said), values, caveats=(_CAVEAT, *notes), attribution=ATTRIBUTION)


def _means(text: str) -> bool:
    """Whether a question may ask for a distance or for what is near, before any name is looked up."""
    return bool(_FAR.search(text) or (_NEAR.search(text) and any(p.search(text) for p in _KINDS.values())))


def _asked(text: str, gazetteer: Gazetteer) -> dict[str, object] | None:
    """The tool's arguments in a question: two places for a distance, one and a kind for what is near; else None."""
    names = _names(text, gazetteer)
    if len(names) >= 2 and _FAR.search(text):
        return {"name": names[1], "other": names[0]}
    kind = next((kind for kind, pattern in _KINDS.items() if pattern.search(text)), None)
    if kind and names and _NEAR.search(text):
        place = names[0]
        if len(names) == 2 and any(p.kind == "country" for p in gazetteer.named(names[1])[:1]):
            place = f"{names[0]}, {names[1]}"
            place = place if gazetteer.named(place) else names[0]
        return {"name": place, "what": kind}
    return None


def _names(text: str, gazetteer: Gazetteer) -> list[str]:
    """The names of places in a question, the longest first where they overlap; without capitals any word may be one."""
    words = list(_WORD.finditer(text))
    plain = text == text.lower() or text == text.upper()
    found: list[str] = []
    place = 0
    while place < len(words):
        for end in range(min(place + 4, len(words)), place, -1):
            run = words[place:end]
            first, last = run[0].group().lower(), run[-1].group().lower()
            opens = first not in _NO_NAMES or (len(run) > 1 and first in _FIRST_WORDS)
            closes = last not in _NO_NAMES or (len(run) > 1 and last in _LAST_WORDS)
            if not (opens and closes):
                continue
            if not plain and not run[0].group()[:1].isupper():
                continue
            name = text[run[0].start() : run[-1].end()]
            if gazetteer.named(name):
                found.append(name)
                place = end - 1
                break
        place += 1
    return found


def _best(gazetteer: Gazetteer, name: str) -> tuple[Place, list[str]]:
    """The place that a name most likely means, and what is to be said of that choice."""
    found = gazetteer.named(name)
    if not found:
        like = gazetteer.like(name)
        hint = f"Did you mean {' or '.join(like)}?" if like else _CAVEAT
        raise UsageError(f"the gazetteer knows no place '{name}'.", hint)
    best = found[0]
    if best.kind == "country":  # of a state and its town of one name, the town has a point: Singapore, Luxembourg
        best = next((p for p in found if p.kind == "city" and p.code == best.code and p.name == best.name), best)
    if best.box and best.kind != "city":
        return best, [_MIDDLE.format(_called(best))]
    # An airport or a port bears the name of its town; towns do not.
    others = dict.fromkeys(_called(p) for p in found if p.kind == best.kind and key(p.name) == key(best.name))
    others.pop(_called(best), None)
    return best, [_OTHERS.format(best.name, _called(best), _either(list(others)))] if others else []


def _either(names: list[str]) -> str:
    left = len(names) - _MOST
    return " or ".join(names[:_MOST]) + (f" or {left} more" if left > 0 else "")


def _called(place: Place) -> str:
    """As in "Springfield (Missouri, United States)"."""
    where = ", ".join(part for part in (place.region, place.country) if part and part != place.name)
    return f"{place.name}{f' ({where})' if where else ''}"
