"""Where a scene lies: its country and region, what lies around it, and where the sun stood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

from rsrag import Quantity, Query, RsragError, Scene, ToolResult

from .asking import PAIR, general
from .gazetteer import OPEN_WATER, Gazetteer, Place
from .ground import box_ring, centre, extents, geod, outline
from .sun import Sun, sun
from .wording import compass, distance, latitude, listed, longitude

_ASKED: Final = re.compile(
    r"\b(?:where|whereabouts|locat\w+|places?|position|coordinates|lat(?:itude)?|lon(?:gitude)?|country|countries"
    r"|nation|state|province|region|continent|city|cities|towns?|villages?|airports?|ports?|harbou?rs?|rivers?|lakes?"
    r"|coasts?|around|surround\w*|near(?:by|est)?(?![ -]?infra|-?ir\b)|closest|next to|vicinity|neighbou?r\w*|how far"
    r"|distance|sun|solar (?:time|elevation|azimuth|zenith|angle)|local time|time of day)\b",
    re.IGNORECASE,
)
LARGE_CITY: Final = 100_000  # people
MOST_TOWNS: Final = 4
AROUND_KM: Final = 150.0  # how far a town may be to count as lying around a scene
ATTRIBUTION: Final = "Natural Earth; GeoNames (CC BY 4.0)"
_NO_PLACE: Final = "The scene carries no georeference, so its place on Earth cannot be told from the file."
_CAVEATS: Final = (
    "Borders and coasts are Natural Earth's 1:10 million, simplified, and water its 1:50 and 1:110 million: near a "
    "border or a shore the answer can be off by up to about three kilometres, near water by more.",
    "The gazetteer holds towns of more than 15,000 people, and only the larger airports, ports and waters.",
)


class Locate:
    """Tells where a georeferenced scene lies and what is around it, from an offline gazetteer.

    `places` is the folder of a places pack; "" takes the one that comes with rsrag.
    """

    name: ClassVar[str] = "locate"

    def __init__(self, places: str = "") -> None:
        self.places = places

    def applies(self, query: Query) -> float:
        """1.0 for a scene and a question about its place or a place given, 0.4 for any georeferenced scene."""
        if not query.scenes:
            return 0.0
        measured = len(PAIR.findall(query.text)) > 1  # from one position to another: `measure` tells
        if query.near is not None or (_ASKED.search(query.text) and not measured and not general(query)):
            return 1.0
        return 0.4 if any(scene.bbox for scene in query.scenes) else 0.0

    def __call__(self, scene: Scene) -> ToolResult:
        """Name the country and region a scene lies in, the nearest towns, water, airport and port, and the sun's place.

        Distances are geodesics on WGS 84 from the scene's middle pixel. Values: latitude and longitude of that
        middle (degrees), "distance to NAME" (km); where the time of day of the acquisition is known, also solar time
        (hours), sun elevation and azimuth (degrees). The GeoJSON holds the places named.
        Raises `RsragError` when the gazetteer cannot be read.
        """
        middle = centre(scene)
        if middle is None:
            hint = "To place the scene, give a georeferenced file, or say where it lies with --near W,S,E,N."
            return ToolResult(_NO_PLACE, caveats=(hint,))
        lon, lat = middle
        gazetteer = opened_gazetteer(self.places)
        inside = _Inside(scene)
        towns = _towns(gazetteer, lon, lat, inside)
        country, metres = gazetteer.country(lon, lat)
        text = [*_country(gazetteer, scene, middle, country, metres), *gazetteer.disputes(lon, lat)]
        text += _region(gazetteer, lon, lat, country)
        text += _about_towns(towns, country, inside)
        named = list(towns)
        coast = gazetteer.coast(lon, lat) if metres == 0 else None  # outside the outline, it was said already
        border = gazetteer.border(lon, lat)
        if border:
            abroad = _article(border.area.name)
            away = _away(border.distance_m, border.bearing)
            text.append(f"{abroad[0].upper()}{abroad[1:]} begins about {away} of the scene's centre.")
        if coast:
            text.append(f"The coast is about {_away(*coast)} of the scene's centre.")
        water = gazetteer.nearest(lon, lat, "water", 1, 300)
        airport = gazetteer.nearest(lon, lat, "airport", 1, 200)
        port = gazetteer.nearest(lon, lat, "port", 1, 50)
        text += [_water(place) for place in water]
        text += [_nearest("airport known to the gazetteer", place) for place in airport]
        text += [_nearest("port", place) for place in port]
        named += [*water, *airport, *port]
        values = {"latitude": Quantity(lat, "degrees"), "longitude": Quantity(lon, "degrees")}
        for place in named:
            values.setdefault(f"distance to {place.name}", Quantity(place.distance_m / 1000, "km"))
        caveats: tuple[str, ...] = _CAVEATS
        if scene.acquired and scene.acquired_precision == "time":
            caveats += tuple(note for note in scene.notes if "time zone" in note)
            above = sun(scene.acquired, lon, lat)
            text.append(_sun(scene.acquired, above))
            values |= {
                "solar time": Quantity(above.solar_time, "hours"),
                "sun elevation": Quantity(above.elevation, "degrees"),
                "sun azimuth": Quantity(above.azimuth, "degrees"),
            }
        return ToolResult(" ".join(text), values, geojson=_geojson(named), caveats=caveats, attribution=ATTRIBUTION)


def opened_gazetteer(folder: str) -> Gazetteer:
    """The gazetteer of that folder, "" for the one that comes with rsrag. Raises `RsragError` when it is missing."""
    if folder:
        return _opened(Path(folder))
    from rsrag.packs import bundled_packs

    packs = bundled_packs()
    if "places" not in packs:
        raise RsragError("the pack 'places', which names what lies around, is missing.", "Install rsrag again.")
    return _opened(packs["places"])


@lru_cache(maxsize=4)
def _opened(folder: Path) -> Gazetteer:
    # A tool is made anew for each question; the gazetteer is read once.
    return Gazetteer(folder)


class _Inside:
    """Tells whether a place lies inside a scene's outline."""

    def __init__(self, scene: Scene) -> None:
        import shapely

        box, ring = scene.bbox, outline(scene)
        assert box is not None and ring is not None
        goes_around = abs(ring[0][-1] - ring[0][0]) > 180  # around a pole: only the box says which side is inside
        self._middle = (ring[0].min() + ring[0].max()) / 2 if not goes_around else box.center[0]
        corners = box_ring(box) if goes_around else list(zip(*ring, strict=True))
        self._shape = shapely.make_valid(shapely.Polygon(corners))
        shapely.prepare(self._shape)

    def __call__(self, place: Place) -> bool:
        import shapely

        # The same meridian in the turn around the Earth that the outline is written in.
        lon = self._middle + (place.lon - self._middle + 180) % 360 - 180
        return bool(self._shape.covers(shapely.Point(lon, place.lat)))


def _towns(gazetteer: Gazetteer, lon: float, lat: float, inside: _Inside) -> list[Place]:
    """Up to four: those inside the scene, the nearest, the nearest large city, others whose size makes up for distance.

    In that order; parts of a city that is there already are left out.
    """
    around = gazetteer.nearest(lon, lat, "city", 5000, AROUND_KM)
    nearest = around[:1] or gazetteer.nearest(lon, lat, "city", 1)
    stations = gazetteer.nearest(lon, lat, "station", 1, 300) if not around else []
    large = gazetteer.nearest(lon, lat, "city", 1, 300, LARGE_CITY)
    # As gravity has it: people over distance squared, so that a metropolis at 100 km outweighs a village at 5.
    pull = sorted(around, key=lambda t: -t.population / (t.distance_m / 1000 + 5) ** 2)
    chosen: dict[str, Place] = {}
    for town in [*filter(inside, pull[:100]), *stations, *nearest, *large, *pull[:30]]:
        if len(chosen) < MOST_TOWNS and not any(_part_of(town, other) for other in chosen.values()):
            chosen.setdefault(town.id, town)
    return list(chosen.values())


def _part_of(town: Place, other: Place) -> bool:
    if 3 * town.population > other.population or town.country != other.country:
        return False
    return float(geod().inv(town.lon, town.lat, other.lon, other.lat)[2]) < 20_000


def _country(
    gazetteer: Gazetteer, scene: Scene, middle: tuple[float, float], name: str, metres: float
) -> Iterator[str]:
    assert scene.bbox is not None
    digits = 2 if min(extents(scene.bbox)) > 2000 else 4  # of two decimals the last is about a kilometre
    where = f"{latitude(middle[1], digits)}, {longitude(middle[0], digits)}"
    if name == OPEN_WATER:
        yield f"The scene lies in open water, centred on {where}, more than 50 km from any country on the map."
    elif metres >= 500:  # less is within the map's own error
        away = f"its nearest land on the map is {distance(metres)} away"
        yield f"The scene lies in or just off {_article(name)}, centred on {where}; {away}."
    else:
        yield f"The scene lies in {_article(name)}, centred on {where}."
    ring = outline(scene)
    assert ring is not None
    if max(extents(scene.bbox)) > 20_000 and abs(ring[0][-1] - ring[0][0]) < 180:  # less is finer than the map
        also = [c for c in gazetteer.countries_in(list(zip(*ring, strict=True))) if c not in name.split(" or ")]
        if also:
            yield f"The scene also covers parts of {listed([_article(other) for other in also[:6]])}."


def _region(gazetteer: Gazetteer, lon: float, lat: float, country: str) -> Iterator[str]:
    """The first-level division, as the nearest towns of the country have it: there are no outlines of divisions."""
    towns = [town for town in gazetteer.nearest(lon, lat, "city", 4, AROUND_KM) if town.country == country]
    around = [town for town in towns if town.distance_m <= 2 * towns[0].distance_m + 5000]
    regions = list(dict.fromkeys(town.region for town in around if town.region and town.region != country))
    if regions:
        which = "a first-level division" if len(regions) == 1 else "first-level divisions"
        nearest = "town nearest to the scene belongs" if len(around) == 1 else "towns nearest to the scene belong"
        yield f"The {nearest} to {listed(regions)}, {which} of {_article(country)}."


def _sun(when: datetime, above: Sun) -> str:
    minutes = round(above.solar_time * 60) % 1440
    if above.elevation < 0:
        stood = f"the sun was {-above.elevation:.1f}° below the horizon"
    else:
        stood = f"the sun stood {above.elevation:.1f}° above the horizon in the {compass(above.azimuth)}"
    return (
        f"When the scene was acquired, at {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC, local solar time at its centre "
        f"was {minutes // 60:02d}:{minutes % 60:02d} and {stood} (azimuth {above.azimuth:.0f}°; NOAA's equations)."
    )


_THE: Final = re.compile(
    r"United |Netherlands|Philippines|Bahamas|Maldives|Seychelles|Comoros|.* Islands?$|Gambia|.*Republic|Solomon"
    r"|Ivory Coast$|Vatican City$|Isle of|Democratic|Czech R|Falkland|British|French Southern"
)


def _article(name: str) -> str:
    """With "the" where English wants one: "the Netherlands", "Peru"; each part of "Monaco or France"."""
    return " or ".join(f"the {part}" if _THE.match(part) else part for part in name.split(" or "))


def _about_towns(towns: Sequence[Place], country: str, inside: _Inside) -> Iterator[str]:
    others = []
    for town in towns:
        if inside(town):
            where = f"{_to(town)} of" if town.distance_m >= 50 else "at"
            yield f"{_town(town, country)} lies inside the scene, {where} its centre."
        else:
            others.append(town)
    if others and len(others) == len(towns):
        nearest = min(others, key=lambda town: town.distance_m)
        others.remove(nearest)
        yield f"The nearest {_sort(nearest)} is {_town(nearest, country)}, {_to(nearest)} of the scene's centre."
    if others:
        verb = "s around the scene's centre are" if len(others) > 1 else " near the scene's centre is"
        yield f"{'Other' if len(others) > 1 else 'Another'} town{verb} {_series(others, country)}."


def _series(towns: Sequence[Place], country: str) -> str:
    return "; ".join(f"{_town(town, country)}, {_to(town)}" for town in towns)


def _sort(place: Place) -> str:
    if place.kind == "station":
        return "known place"
    return "city" if place.population >= LARGE_CITY else "town in the gazetteer"


def _town(town: Place, country: str) -> str:
    abroad = f", {town.country}" if town.country not in ("", town.name, *country.split(" or ")) else ""
    about = f"{town.population:,} people" if town.population else town.detail
    return f"{town.name}{abroad}" + (f" ({about})" if about else "")


def _water(place: Place) -> str:
    name = place.name
    if place.kind == "river":
        base, _, region = name.partition(" (")  # the pack tells namesakes apart: "Colorado (United States)"
        telling = re.search(r"\b(?:river|r[ií]o|canal|branch|delta|creek)\b", base, re.IGNORECASE)
        name = f"the {base}" if telling else f"the {base} {place.detail or 'river'}"
        name += f" ({region}" if region else ""
    elif place.name.endswith("Sea"):
        name = f"the {name}"
    elif not re.search(r"\b(?:lake|lago|lac|see)\b", name, re.IGNORECASE):
        name = f"the lake {name}"
    if not place.distance_m:
        return f"On a coarse map, the scene's centre lies in {name}."
    return f"The nearest river or lake known is {name}, {_to(place)} of the scene's centre."


def _nearest(what: str, place: Place) -> str:
    code = f" (IATA {place.iata})" if place.iata else ""
    return f"The nearest {what} is {place.name}{code}, {_to(place)} of the scene's centre."


def _to(place: Place) -> str:
    return _away(place.distance_m, place.bearing)


def _away(metres: float, bearing: float) -> str:
    return f"{distance(metres)} to the {compass(bearing)}"


def _geojson(places: Sequence[Place]) -> dict[str, Any]:
    features = []
    for place in places:
        facts = {"id": place.id, "name": place.name, "kind": place.kind, "country": place.country}
        facts |= {"population": place.population} if place.population else {}  # type: ignore[dict-item]
        facts |= {"distance_km": round(place.distance_m / 1000, 3), "bearing": round(place.bearing, 1)}  # type: ignore[dict-item]
        point = {"type": "Point", "coordinates": [place.lon, place.lat]}
        features.append({"type": "Feature", "geometry": point, "properties": facts})
    return {"type": "FeatureCollection", "features": features}
