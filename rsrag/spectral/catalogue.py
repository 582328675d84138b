"""The spectral indices known by name: formula, bands, constants, domain and reference (indices.json).

Facts from Awesome Spectral Indices (Montero and others 2023, MIT; see LICENSE.md). Where its formula differs from the
paper it cites, the published one is used, and the entry says so.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from ..errors import UsageError
from .formula import names

# Standard band code of the catalogue -> band roles that may stand for it, the right one first. Where only one of
# Sentinel-2's two near-infrared bands is there, it serves for both, and results say which band they used.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "A": ("aerosol",), "B": ("blue",), "G1": ("green1",), "G": ("green",), "Y": ("yellow",), "R": ("red",),
    "RE1": ("rededge1",), "RE2": ("rededge2",), "RE3": ("rededge3",), "N": ("nir", "nir2"), "N2": ("nir2", "nir"),
    "WV": ("watervapour",), "S1": ("swir1",), "S2": ("swir2",), "T": ("thermal1", "thermal2"),
    "T1": ("thermal1",), "T2": ("thermal2",), "VV": ("vv",), "VH": ("vh",), "HH": ("hh",), "HV": ("hv",),
}  # fmt: skip

# Defaults of the catalogue.
CONSTANTS: Final[dict[str, float]] = {
    "C1": 6.0, "C2": 7.5, "L": 1.0, "alpha": 0.1, "beta": 0.05, "c": 1.0, "cexp": 1.16, "epsilon": 1.0, "eta": 0.5,
    "fdelta": 0.581, "g": 2.5, "gamma": 1.0, "k": 0.0, "lmb": 1.0, "n": 5.0, "nexp": 2.0, "omega": 2.0, "sla": 1.0,
    "slb": 0.0,
}  # fmt: skip

# Where one default does not fit all that share the name: the soil adjustment of EVI is 1, that of SAVI and its kin 0.5
# (Huete 1988; Kaufman and Tanré 1992; Sripada and others 2006; Gong and others 2003), also within IBI (Xu 2008); the
# share of red in NDPI is 0.74 (Wang and others 2017), in WDRVI 0.1.
OWN_CONSTANTS: Final[dict[str, dict[str, float]]] = {
    **{name: {"L": 0.5} for name in ("SAVI", "SARVI", "GSAVI", "MNLI", "SAVIT", "IBI")},
    "NDPI": {"alpha": 0.74},
}

# Centre wavelengths in nm that the lambdas of some formulas stand for: Sentinel-2A's (ESA).
WAVELENGTHS: Final[dict[str, float]] = {
    "lambdaG": 559.8, "lambdaR": 664.6, "lambdaN": 832.8, "lambdaN2": 864.7, "lambdaS1": 1613.7, "lambdaS2": 2202.4,
}  # fmt: skip

# Kernel of two bands: exp(-(a - b)^2 / (2 sigma^2)) with sigma = (a + b) / 2 in each pixel, which makes kNDVI
# tanh(NDVI^2) (Camps-Valls and others 2021, Science Advances 7, eabc7447).
KERNELS: Final[dict[str, tuple[str, str]]] = {
    "kNN": ("N", "N"), "kNR": ("N", "R"), "kNB": ("N", "B"), "kNL": ("N", "L"), "kGG": ("G", "G"), "kGR": ("G", "R"),
    "kGB": ("G", "B"),
}  # fmt: skip

# What no scene holds.
UNKNOWN: Final[dict[str, str]] = {"PAR": "the photosynthetically active radiation at the time (PAR)"}

# Names in use that the catalogue does not have.
ALIASES: Final[dict[str, str]] = {
    "NDRE": "NDREI", "BSI": "BI", "GCI": "CIG", "CIGREEN": "CIG", "CIREDEDGE": "CIRE", "AWEI": "AWEInsh",
    "RVISAR": "DpRVIVV", "VEGETATIONINDEX": "NDVI", "WATERINDEX": "NDWI", "SNOWINDEX": "NDSI", "BURNRATIO": "NBR",
    "MOISTUREINDEX": "NDMI", "BUILTUPINDEX": "NDBI", "BURNINDEX": "NBR", "SOILINDEX": "BI",
    "NORMALIZEDDIFFERENCEREDEDGE": "NDREI", "CHLOROPHYLLINDEX": "CIRE",
}  # fmt: skip


@dataclass(frozen=True)
class Index:
    """One index. `codes` are the standard bands it needs, `roles` the band roles that may stand for each of them.

    `differs` says in which way `formula` departs from `catalogue`, that of Awesome Spectral Indices; "" if it does not.
    `given` are constants that somebody asked for instead of the defaults.
    """

    name: str
    title: str
    formula: str
    domain: str
    platforms: tuple[str, ...]
    reference: str
    catalogue: str
    differs: str = ""
    given: tuple[tuple[str, float], ...] = ()

    def with_constants(self, constants: Mapping[str, float]) -> Index:
        """The index with other values for some of its constants. Raises `UsageError` for one that it does not have."""
        for name, value in constants.items():
            if name not in self.constants:
                there = ", ".join(f"{n} = {v:g}" for n, v in self.constants.items()) or "none"
                raise UsageError(f"{self.name} has no constant '{name}'.", f"Its constants: {there}.")
            if not math.isfinite(value):
                raise UsageError(f"constant {name} = {value} is not a finite number.")
        return replace(self, given=tuple(constants.items()))

    @cached_property
    def codes(self) -> tuple[str, ...]:
        used: list[str] = []
        for name in names(self.formula):
            used += KERNELS.get(name, (name,))
        return tuple(dict.fromkeys(code for code in used if code in ROLES))

    @cached_property
    def constants(self) -> dict[str, float]:
        """Constants of the formula with the value they are given, central wavelengths in nm among them."""
        known = CONSTANTS | WAVELENGTHS | OWN_CONSTANTS.get(self.name, {}) | dict(self.given)
        used = [part for name in names(self.formula) for part in KERNELS.get(name, (name,))]
        return {name: known[name] for name in dict.fromkeys(used) if name in known}

    @property
    def roles(self) -> tuple[tuple[str, ...], ...]:
        return tuple(ROLES[code] for code in self.codes)

    @property
    def needs(self) -> str:
        """What the index needs besides bands and nobody can know from a scene; "" for nearly all."""
        return next((UNKNOWN[name] for name in names(self.formula) if name in UNKNOWN), "")


@cache
def catalogue() -> dict[str, Index]:
    """All indices by short name."""
    entries = json.loads(Path(__file__).with_name("indices.json").read_text("utf-8"))
    return {
        name: Index(
            name, e["title"], e["formula"], e["domain"], tuple(e["platforms"]), e["reference"],
            e.get("catalogue", e["formula"]), e.get("differs", ""),
        )
        for name, e in entries.items()
    }  # fmt: skip


def find_index(name: str) -> Index:
    """The index of that short or long name, however it is spelt. Raises `UsageError` with the nearest names."""
    every = catalogue()
    if name in every:
        return every[name]
    found = _by_key().get(_key(name), ())
    if len(found) == 1:
        return every[found[0]]
    if found:
        raise UsageError(f"'{name}' may be {' or '.join(found)}.", "Mind upper and lower case.")
    near = difflib.get_close_matches(_key(name), _by_key(), n=3, cutoff=0.6)
    hint = " or ".join(dict.fromkeys(_by_key()[key][0] for key in near))
    raise UsageError(
        f"there is no spectral index '{name[:60]}' among the {len(every)} of the catalogue.",
        f"Did you mean {hint}?" if hint else "Common ones are NDVI, EVI, SAVI, NDWI, MNDWI, NDMI, NBR, NDSI, NDBI.",
    )


def index_in(text: str) -> Index | None:
    """The first index that a text names: by short name ("NDWI", "ndwi" where that is no other word), or in words."""
    return next(iter(indices_in(text)), None)


def indices_in(text: str) -> list[Index]:
    """All indices that a text names by short name, in its order; without any, the one that it names in words."""
    every = catalogue()
    computing = _COMPUTING.search(text) is not None
    named: list[str] = []
    for word in re.findall(r"[A-Za-z][A-Za-z0-9]*", text):
        if word in every and (computing or (len(word) > 2 and word not in _ALSO_ELSE)):
            named.append(word)
        elif (len(word) > 3 or word in ("evi", "nbr")) and (found := _by_key().get(_key(word), ())):
            named.append(found[0])
    if not named:
        plain = _key(text)
        titles = sorted((key for key in _by_key() if len(key) > 9 and key in plain), key=len)
        named = [_by_key()[key][0] for key in titles[-1:]]
    return [every[name] for name in dict.fromkeys(named)]


# Short names that are also something else (an instrument, a programme, units) count where an index is spoken of.
_ALSO_ELSE: Final = frozenset({"MSI", "CCI", "WRI", "CSI", "GCC", "OSI"})
_COMPUTING: Final = re.compile(
    r"\b(?:index|indices|comput\w+|calculat\w+|mean|median|values?|statistics)\b", re.IGNORECASE
)


@cache
def _by_key() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for name, index in catalogue().items():
        for key in {_key(name), _key(index.title)}:
            table[key] = (*table.get(key, ()), name)
    return {**{key: (name,) for key, name in ALIASES.items()}, **table}


def _key(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper().replace("NORMALISED", "NORMALIZED").replace("OPTIMISED", "OPTIMIZED"))


@cache
def readings() -> dict[str, tuple[str, str]]:
    """What (high, low) values mean, for the common indices by short name (readings.toml)."""
    tables = tomllib.loads(Path(__file__).with_name("readings.toml").read_text("utf-8"))
    return {name: (table["high"], table["low"]) for name, table in tables.items()}
