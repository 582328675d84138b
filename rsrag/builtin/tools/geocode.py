"""From a name to coordinates, by the offline gazetteer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from rsrag import Quantity, Query, ToolResult, UsageError

from .gazetteer import Place
from .locate import ATTRIBUTION, opened_gazetteer
from .wording import latitude, listed, longitude

# A name ends where the sentence goes on.
_NAME: Final = r"(?P<name>[^?!.;:\n]+?)(?=\s*(?:[?!;:\n]|\.(?:\s|$)|$|\b(?:and|please|lie|lies|located)\b))"
_COORDINATES: Final = re.compile(
    r"\b(?:coordinates?|geographic(?:al)? position|lat(?:itude)?(?:\s*(?:and|/|,|&)\s*lon(?:g(?:itude)?)?)?"
    r"|lon(?:g(?:itude)?)?(?:\s*(?:and|/|,|&)\s*lat(?:itude)?)?)\s+(?:of|for)\s+"
    + _NAME
    + r"|\bgeocode\s+(?P<code>[^?!;\n]+)",
    re.IGNORECASE,
)
_WHERE: Final = re.compile(r"\bwhere(?:abouts)?\s+(?:is|are|lies?)\s+(?P<name>[^?!.;:\n]+)", re.IGNORECASE)
# "the image", "this scene", "A": something shown, not something named.
_SHOWN: Final = re.compile(
    r"^(?:(?:this|that|these|those|it|they|here|there|my|each|both|all)\b|[A-Z]$"
    r"|(?:the|an?)\s+(?:\w+\s+){0,2}(?:images?|scenes?|pictures?|photos?|tiles?|patch\w*|cent(?:re|er)|middle|corners?)\b)",
    re.IGNORECASE,
)
MOST: Final = 6
HOLDS: Final = "The gazetteer holds countries, towns of over 15,000 people, and the larger waters, airports and ports."


class Geocode:
    """Finds the coordinates of a named town, country, river, lake, airport or port, without the network.

    `places` is the folder of a places pack; "" takes the one that comes with rsrag.
    """

    name: ClassVar[str] = "geocode"

    def __init__(self, places: str = "") -> None:
        self.places = places

    def applies(self, query: Query) -> float:
        """0.9 for "coordinates of NAME", 0.5 for "where is NAME" without a scene and of a name it knows, else 0."""
        name, surely = _asked_for(query.text)
        if not name or (query.scenes and not surely):
            return 0.0
        return 0.9 if surely else 0.5 if opened_gazetteer(self.places).named(name) else 0.0

    def arguments(self, query: Query) -> dict[str, object]:
        """The name that the question asks for."""
        return {"name": _asked_for(query.text)[0]}

    def __call__(self, name: str, country: str = "") -> ToolResult:
        """Give the coordinates of a place by its name, and other places of that name.

        Values: latitude and longitude of the best known one (degrees). Raises `UsageError` with names much like it when
        there is none.

        Args:
            name: Name of a town, country, river, lake, port or airport (or its IATA code); "Paris, Texas" will do.
            country: Country or its first-level division, where places share a name.
        """
        gazetteer = opened_gazetteer(self.places)
        found = gazetteer.named(name, country)
        if not found:
            raise UsageError(_unknown(name, country), _instead(gazetteer.named(name), gazetteer.like(name), country))
        best = found[0]
        text = [f"{_called(best)} lies at {_position(best)}."]
        if best.box and best.kind != "city":
            west, south, east, north = best.box
            text.append(
                f"That is the middle of the box around {best.name}, which runs from {longitude(west)} to "
                f"{longitude(east)} and from {latitude(south)} to {latitude(north)}."
            )
        if others := found[1:MOST]:
            more = f", and {len(found) - MOST} more" if len(found) > MOST else ""
            listing = listed([f"{_called(place)} at {_position(place)}" for place in others])
            text.append(f"The name also stands for {listing}{more}.")
        values = {"latitude": Quantity(best.lat, "degrees"), "longitude": Quantity(best.lon, "degrees")}
        caveats = [HOLDS]
        if others:
            caveats.append(f"Several places are called {best.name}; the best known one comes first.")
        return ToolResult(" ".join(text), values, geojson=_geojson(found[:MOST]), caveats=tuple(caveats),
                          attribution=ATTRIBUTION)  # fmt: skip


def _asked_for(text: str) -> tuple[str, bool]:
    """(name, whether its coordinates are asked for); ("", False) for another question, or one about what is shown."""
    found, surely = _COORDINATES.search(text), True
    if found is None:
        found, surely = _WHERE.search(text), False
    if found is None:
        return "", False
    name = next(part for part in found.groupdict().values() if part)
    name = re.sub(r"\s+(?:in|on)\s+(?=(?:the\s+)?[A-Z])", ", ", name.strip(" \"'“”‘’,"))
    name = re.sub(r"\s+(?:lies|located|situated)$", "", name)
    if _SHOWN.search(name):
        return "", False
    name = re.sub(
        r"^the\s+(?:(?:city|town|village|country|river|lake|airport|port)\s+(?:of\s+)?)?", "", name, flags=re.I
    )
    # Without the word "coordinates", only what is written as a name is taken for one.
    return (name, surely) if surely or name[:1].isupper() else ("", False)


def _unknown(name: str, country: str) -> str:
    return f"the gazetteer knows no place '{name}'{f' in {country}' if country else ''}."


def _instead(elsewhere: Sequence[Place], like: Sequence[str], country: str) -> str:
    if country and elsewhere:
        return f"It knows {listed([_called(place) for place in elsewhere[:3]])}."
    return f"Did you mean {' or '.join(like)}?" if like else HOLDS


def _called(place: Place) -> str:
    """As in "Pucallpa (city of 326,040 people in Ucayali, Peru)"."""
    kind = place.detail or place.kind
    people = f" of {place.population:,} people" if place.population else ""
    where = ", ".join(part for part in (place.region, place.country) if part and part != place.name)
    code = f", IATA {place.iata}" if place.iata else ""
    return f"{place.name} ({kind}{people}{f' in {where}' if where else ''}{code})"


def _position(place: Place) -> str:
    digits = 1 if place.box else 3
    return f"{latitude(place.lat, digits)}, {longitude(place.lon, digits)}"


def _geojson(places: Sequence[Place]) -> dict[str, Any]:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [place.lon, place.lat]},
            "properties": {"name": place.name, "kind": place.kind, "country": place.country, "region": place.region},
        }
        for place in places
    ]
    return {"type": "FeatureCollection", "features": features}
