"""What a question asks of an image as a file: its size, bands, date, and not what is seen in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

About = Literal["size", "pixel", "bands", "date", "sensor", "crs", "bounds", "format"]

_FILE: Final = r"(?:scenes?|images?|pictures?|photos?|tiles?|files?|rasters?|patch(?:es)?|dataset|data)"
_IT: Final = rf"(?:(?:this|that|these|those|it|they|the|my|our)(?: (?:\w+ )?{_FILE})?)"
# "How big is this?" and "how big is this image?", but not "how big is this lake?"
_END: Final = r"\s*(?:[?.!,;]|$|\b(?:and|in|on|from|by|with|or)\b)"
_HAS: Final = r"(?:do|does|has|have|are|is)"
_TAKEN: Final = r"(?:taken|acquired|captured|recorded|shot|made|photographed)"
_SENSOR: Final = r"\b(?:which|what) (?:sensor|satellite|instrument|camera|platform|mission)\b"
_SYSTEM: Final = r"(?:crs|projection|epsg(?: code)?|coordinate (?:reference )?system)"
_BOUNDS: Final = r"(?:bounds|bounding box|corner coordinates|footprint)"

_WORDS: Final[Mapping[About, tuple[str, ...]]] = {
    "size": (
        rf"\bhow (?:big|large|wide|tall) (?:is|are) {_IT}{_END}",
        rf"\b(?:size|dimensions?|extents?) of {_IT}{_END}",
        r"\bhow many pixels\b(?! (?:are|is|show|contain|of|with|have))",
        r"\b(?:image|scene|picture|file) (?:size|dimensions?)\b",
        rf"\bhow (?:much|many) (?:ground|land|hectares|km2|km²|square \w+) (?:do|does) {_IT} cover\b",
    ),
    "pixel": (
        r"\b(?:pixel (?:size|spacing)|gsd|ground sampl\w+ (?:distance|interval))\b",
        rf"\bresolution (?:of|{_HAS}) {_IT}{_END}",
        rf"\bwhat(?: is|['’]s) the (?:\w+ )?resolution\b{_END}",
        rf"\b(?:what|which) (?:\w+ )?resolution {_HAS} {_IT}\b",
        r"\bhow (?:big|large) (?:is|are) (?:a|one|each|its|the) pixels?\b",
    ),
    "bands": (
        rf"\b(?:which|what|how many) (?:\w+ )?(?:bands?|channels?){_END}",
        rf"\b(?:which|what|how many) (?:\w+ )?(?:bands?|channels?) {_HAS} (?:in |there\b|of )?{_IT}?"
        rf"(?: have| contain)?{_END}",
        rf"\b(?:which|what|how many) (?:\w+ )?(?:bands?|channels?) {_IT} (?:has|have|contains?){_END}",
        rf"\bbands? (?:of|in) {_IT}{_END}",
    ),
    "date": (
        rf"\bwhen (?:was|were|is|are) {_IT}(?: (?:{_TAKEN}|from))?{_END}",
        rf"\b(?:date|time|day|year) (?:of|is|was|were|are) {_IT}\b",
        r"\b(?:acquisition|capture|acquired|recording) (?:date|time)",
        rf"\bhow old (?:is|are) {_IT}{_END}",
    ),
    "sensor": (
        rf"{_SENSOR}[^?]*\b(?:took|{_TAKEN}|(?:is|are) {_IT}|from){_END}",
        rf"{_SENSOR} (?:\w+ )?{_IT}{_END}",
    ),
    "crs": (
        r"\bgeo-?(?:referenced|coded|located)\b",
        rf"\b(?:which|what)(?: is|['’]s)? (?:the |its )?{_SYSTEM}\b",
        rf"\b{_SYSTEM} (?:of|is|has) {_IT}\b",
    ),
    "bounds": (rf"\b{_BOUNDS} (?:of|has|is) {_IT}\b", rf"\bwhat (?:is|are) (?:the |its )?{_BOUNDS}\b"),
    "format": (
        r"\bstretched\b",
        r"\b(?:data ?type|dtype|bit depth|how many bits|nodata)\b",
    ),
}
_ASPECTS: Final = {about: re.compile("|".join(words), re.IGNORECASE) for about, words in _WORDS.items()}


def asked_of_file(text: str) -> list[About]:
    """What of the file a question asks for; [] when it asks for none of it."""
    return [about for about, words in _ASPECTS.items() if words.search(text)]
