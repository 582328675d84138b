"""Band names, the standard roles they stand for, and the profiles of known sensors (sensors.toml). Pure.

A role says what a band measures, whatever a file calls it: "red" is B04 of Sentinel-2 and SR_B4 of Landsat 8. The
roles are the standard bands of Awesome Spectral Indices (Montero and others, 2023) in words, and those of radar.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from .errors import UsageError

ROLES: Final = (
    *("aerosol", "blue", "green", "green1", "yellow", "red", "rededge1", "rededge2", "rededge3", "nir", "nir2"),
    *("watervapour", "cirrus", "swir1", "swir2", "thermal1", "thermal2", "pan", "vv", "vh", "hh", "hv"),
    *("elevation", "alpha"),
)
RADAR: Final = frozenset({"vv", "vh", "hh", "hv"})
_NO_SPECTRUM: Final = RADAR | {"", "alpha", "elevation"}

# What a name in words means. Tried in this order, each on what the ones before have left: "coastal blue" is no
# second blue, "red edge" no red.
_WORDS: Final = tuple(
    (re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])"), role)
    for pattern, role in (
        (r"ultra ?blue|deep ?blue|coastal(?: (?:aerosol|blue))?|aerosols?", "aerosol"),
        (r"red ?edge ?(?:2|740|075)|vre ?2", "rededge2"),
        (r"red ?edge ?(?:3|783|078)|vre ?3", "rededge3"),
        (r"red ?edge(?: ?(?:1|i|705|071))?|vre ?1?", "rededge1"),
        (r"water ?vapou?r|nir ?09|wvp?", "watervapour"),
        (r"(?:nir|near infra ?red|vnir) ?(?:2|ii|8a)|nir ?08|nir narrow|narrow nir", "nir2"),
        (r"(?:swir|short ?wave infra ?red) ?(?:2|22|ii)", "swir2"),
        (r"(?:swir|short ?wave infra ?red)(?: ?(?:1|16|i))?", "swir1"),
        (r"(?:tirs?|lwir|thermal(?: infra ?red)?|tir) ?(?:2|12)", "thermal2"),
        (r"(?:tirs?|lwir|thermal(?: infra ?red)?|tir) ?(?:1|11)?", "thermal1"),
        (r"(?:nir|near infra ?red|infra ?red)(?: ?(?:1|i|broad))?", "nir"),
        (r"pan(?:chromatic)?", "pan"),
        (r"cirrus", "cirrus"),
        (r"green ?(?:1|i)", "green1"),
        (r"green", "green"),
        (r"yellow", "yellow"),
        (r"blue", "blue"),
        (r"red", "red"),
        *((role, role) for role in sorted(RADAR)),
        (r"elevation|altitude|d[est]m", "elevation"),
        (r"alpha", "alpha"),
    )
)
_CODE: Final = re.compile(r"(?i)(?:\b|_)((?:s[rt]_)?b(?:and)?[ _]?\d{1,2}[an]?)(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a profile: its code, role ("" has no standard name), centre wavelength in nm (0: not stated), and
    how a stored number becomes physical (None: the profile does not say)."""

    code: str
    role: str
    wavelength: float = 0.0
    scale: float | None = None
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a product. `orders` are the usual band orders, told apart by their length; the first is the
    product's own. `baseline` and `later_offset`: the offset from that processing baseline on."""

    name: str
    sensor: str
    source: str
    bands: tuple[Band, ...]
    orders: tuple[tuple[Band, ...], ...]
    aliases: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    baseline: int = 0
    later_offset: float = 0.0

    def order(self, count: int) -> tuple[Band, ...] | None:
        """The bands in the usual order of files that hold so many."""
        return next((order for order in self.orders if len(order) == count), None)

    def find(self, name: str) -> Band | None:
        """The band of that code, however it is written: "B04", "b4", "SR_B4", "Band 4"."""
        wanted = _plain_code(name)
        return next((band for band in self.bands if _plain_code(band.code) == wanted), None) if wanted else None


def _plain_code(name: str) -> str:
    """ "4" of "B04", "SR_B4", "band 4", "B4, central wavelength 665 nm"; a name without a number as it is."""
    found = _CODE.search(name)
    if not found:
        return name.strip().lower()
    return re.sub(r"(?i)^(s[rt]_)?b(and)?[ _]?0?", "", found[1]).lower()


@cache
def profiles() -> dict[str, Profile]:
    """All profiles of sensors.toml by name."""
    tables = tomllib.loads(Path(__file__).with_name("sensors.toml").read_text("utf-8"))
    made = {}
    for name, table in tables.items():
        scale, offset = table.get("scale"), table.get("offset", 0.0)
        bands = tuple(Band(*(row if len(row) > 3 else (*row, scale, offset))) for row in table["bands"])
        by_code = {band.code: band for band in bands}
        orders = (bands, *(tuple(by_code[code] for code in order) for order in table.get("orders", ())))
        later = table.get("since_baseline", {"baseline": 0, "offset": 0.0})
        made[name] = Profile(
            name,
            table["sensor"],
            table["source"],
            bands,
            orders,
            tuple(table.get("aliases", ())),
            tuple(table.get("names", ())),
            tuple(table["dtype"]),
            later["baseline"],
            later["offset"],
        )
    return made


def profile(name: str) -> Profile:
    """The profile of that name or alias. Raises `UsageError`, with the nearest name."""
    found = find_profile(name)
    if found is None:
        known = {alias: p.name for p in profiles().values() for alias in (p.name, *p.aliases)}
        near = difflib.get_close_matches(_key(name), known, n=1, cutoff=0.5)
        raise UsageError(
            f"there is no sensor profile '{name}'.",
            f"Did you mean {near[0]}?" if near else f"There are: {', '.join(profiles())}.",
        )
    return found


def find_profile(name: str) -> Profile | None:
    """Like `profile`, and None where there is none."""
    return next((p for p in profiles().values() if _key(name) in (p.name, *p.aliases)), None)


def profile_of_file(stem: str) -> Profile | None:
    """The profile that a file's name announces, as products are named by those who publish them."""
    matching = [p for p in profiles().values() if any(re.search(pattern, stem) for pattern in p.patterns)]
    # The longest pattern says most: "_SR_8b" of PlanetScope also matches "_SR".
    return max(matching, key=lambda p: max(len(x) for x in p.patterns), default=None)


def _key(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def role_of(name: str) -> str:
    """The role a name in words stands for ("Red band", "swir16", "Sigma0_VV_db"); "" for none or several."""
    text = re.sub(r"[\W_]+", " ", name.lower()).strip()
    found = set()
    for pattern, role in _WORDS:
        text, times = pattern.subn(" / ", text)
        if times:
            found.add(role)
    return found.pop() if len(found) == 1 else ""


def roles_of(names: Sequence[str], known: Profile | None = None) -> tuple[tuple[str, ...], Profile | None, str]:
    """(role of each name, profile that the codes were read by, what had to be assumed or "").

    Codes such as B04 mean what `known` says. Without it two-digit codes and sets with B8A are read as Sentinel-2's,
    SR_B as Landsat's Collection 2, and of B1 ... B4 that on which Sentinel-2 and Landsat 8 agree.
    """
    in_words = [role_of(name) for name in names]
    codes = [c[1].upper() for n, role in zip(names, in_words, strict=True) if not role and (c := _CODE.search(n))]
    assumed = ""
    if known is None and codes:
        known, assumed = _profile_of_codes(codes)
    roles = []
    for name, role in zip(names, in_words, strict=True):
        band = known.find(name) if known else None
        roles.append(band.role if band else role)
    if "nir2" in roles and "nir" not in roles and not codes:  # the only near infrared there is: "nir08" of Landsat
        roles = ["nir" if role == "nir2" else role for role in roles]
    # Two bands of one role: nobody can tell which is meant.
    return tuple(role if roles.count(role) == 1 else "" for role in roles), known, assumed


def _profile_of_codes(codes: Sequence[str]) -> tuple[Profile | None, str]:
    every = profiles()
    if any(code.startswith("SR_") for code in codes):
        name = "landsat-8-c2l2" if "SR_B6" in codes else "landsat-7-c2l2" if {"SR_B1", "SR_B7"} <= set(codes) else ""
        return every.get(name), f"The band codes are read as those of {name}." if name else ""
    if "B8A" in codes or all(re.fullmatch(r"B(0\d|1[0-2])", code) for code in codes):
        return every["sentinel-2-l1c"], "The band codes are read as Sentinel-2's."
    if all(re.fullmatch(r"B[1-4]", code) for code in codes):
        return every["sentinel-2-l1c"], "The band codes are read as Sentinel-2's and Landsat 8's, which agree on them."
    return None, ""


def is_spectral(roles: Sequence[str]) -> bool:
    """Whether some band measures light beyond what an ordinary picture holds."""
    return any(role not in _NO_SPECTRUM | {"red", "green", "blue", "pan"} for role in roles)
