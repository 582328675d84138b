"""What the bands of a scene say, in words: shares with their range, greenness, wetness, and how reflectance runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .cover import CLASSES, CoverMap

MOSTLY: Final = 0.5
SHOWN: Final = 0.005  # shares below are not worth a word
BRIGHT_SAND: Final = 0.4  # SWIR1 reflectance; dry quartz sand lies above, most soils below
_RUN: Final = (("blue", "blue"), ("red", "red"), ("near infrared", "nir"), ("SWIR1", "swir1"))


def percent(part: float) -> str:
    """A share as one would say it: "95 %", "2.1 %", "under 0.1 %", "0 %"."""
    value = 100 * part
    if 0 < value < 0.1:
        return "under 0.1 %"
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %"


def percent_range(part: float, low: float, high: float) -> str:
    """A share and, where it matters, how low and high it may be: "95 % (91 to 97 %)"."""
    least, most = percent(low), percent(high)
    return percent(part) if least == most else f"{percent(part)} ({least.removesuffix(' %')} to {most})"


def class_word(kind: str) -> str:
    """What a class is called in a sentence."""
    return "bare ground or sand" if kind == "bare ground" else kind


def largest(found: CoverMap) -> str:
    """The class that covers most."""
    return max(CLASSES, key=lambda kind: found.shares[kind])


def leaf_word(ndvi: float) -> str:
    """How green a median NDVI is (limits: USGS for rock and sand, Sobrino and others 2004)."""
    if ndvi < 0.15:
        return "almost no green leaf"
    return "little green leaf" if ndvi < 0.3 else "moderate green leaf" if ndvi < 0.5 else "dense green leaf"


def signature(found: CoverMap) -> str:
    """Greenness, wetness and the run of reflectance, as the object of a sentence: "a median NDVI of 0.09 (...)"."""
    m, index = found.medians, found.water_index
    parts = [f"a median NDVI of {m['NDVI']:.2f} ({leaf_word(m['NDVI'])})"]
    water = found.shares["water"]
    wet = "no open water" if water < SHOWN else "open water" if water >= MOSTLY else f"{percent(water)} open water"
    parts.append(f"a median {index} of {m[index]:.2f} ({wet})")
    if found.unit == "reflectance":
        steps = [(word, m[role]) for word, role in _RUN if role in m]
        parts.append(f"reflectance of {_listed([f'{value:.2f} in {word}' for word, value in steps])}{_as_over(found)}")
    return _listed(parts)


def _as_over(found: CoverMap) -> str:
    """What the run of reflectance is typical of; "" where it is nothing in particular."""
    m = found.medians
    if not {"blue", "swir1"} <= set(m):
        return ""
    run = [m[role] for _, role in _RUN]
    if m["NDVI"] < 0.2 and all(a < b for a, b in pairwise(run)):
        ground = "bright sand" if m["swir1"] > BRIGHT_SAND else "soil or rock"
        return f", rising with wavelength as over dry {ground}"
    if m["nir"] < 0.15 and m["blue"] >= m["nir"]:
        return ", dark in the infrared as water is"
    if m["swir1"] < 0.2 * m["red"]:
        return ", bright in visible light and dark in SWIR as only snow and ice are"
    if m["NDVI"] >= 0.5:
        return ", dark in red and bright in near infrared as leaves are"
    return ""


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
