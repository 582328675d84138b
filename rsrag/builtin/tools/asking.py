"""What the words of a question ask of tools: about this image or in general, about one date or what happened since."""

from __future__ import annotations

import re
from typing import Final

from rsrag import Query

# What points at the scenes of the question: then it is not asked in general, whatever its form.
_SHOWN: Final = re.compile(
    r"\b(?:this|these|those|here|it|its|they|them|both|[12]\d{3}"
    r"|(?:the|my|our|each|either|all|every) (?:\w+ ){0,2}?"
    r"(?:scenes?|images?|pictures?|photos?|tiles?|files?|rasters?|dates?|years?|patch(?:es)?|area|region|place))\b"
    r"|\[[A-Z]\]|\b(?:in|of|and|from|to|between) [B-Z]\b",
    re.IGNORECASE,
)
_GENERAL: Final = re.compile(
    # "What is change detection?", but neither "what is the NDVI?" nor "what is new?" nor "what is flooded?"
    r"^\W*what(?: is| are|['’]s) (?!(?:the|my|our|there|new|gone|left|missing|different|visible|happening|going|under"
    r"|in|on|at|near|around|mostly)\b|\w+ed\b)[\w-]+(?: [\w-]+){0,3}\W*$"
    r"|\bwhat(?: is| are|['’]s) (?:an?|(?:[\w-]+ ){1,3}(?:for|used))\b"
    r"|\b(?:stands? for|meaning of|defin(?:e|ed|ition)|formula|explain|in general|generally|typically|usually)\b"
    r"|\bwhat (?:do|does) (?:[\w-]+ ){1,4}(?:mean|measure|show|tell|detect|indicate)\b"
    r"|\bhow (?:is|are|does|do) (?:[\w-]+ ){1,4}(?:work|computed|calculated|measured|derived|estimated|detected|mapped"
    r"|used|vary|varies|differ|affect|depend|(?:change|behave|react|respond) (?:with|to|in|during|by))\b"
    r"|\bhow (?:to|(?:can|do|should|would) (?:i|we|you|one))\b"
    r"|\b(?:is|are) (?:[\w-]+ ){1,4}used\b|\b(?:used|useful|good|suitable|best) (?:for|to|in|when|as)\b"
    r"|\bwhy (?:is|are|do|does)\b|\bwhich (?:index|indices|bands?|sensors?|satellites?|methods?)\b"
    r"|\bdifferences? between\b|\b(?:should|do) (?:i|we|one)\b",
    re.IGNORECASE,
)
PAIR: Final = re.compile(r"(?<![\d.,])(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)(?![\d.,]*\d)")  # "-74.5, -8.4"
_OVER_TIME: Final = re.compile(
    r"\b(?:chang\w+|differen(?:ce|t) between|between \d{4}|since|over time|time ?series|trends?|evol\w+|over the years"
    r"|from \d{4} to|grew|grown|shrunk|shrank|lost|loss(?:es)?|gain(?:s|ed)?|before and after"
    r"|(?:turn(?:ed|s|ing)?|convert(?:ed)?) (?:in)?to)\b",
    re.IGNORECASE,
)


def general(query: Query) -> bool:
    """Whether a question is about a notion ("what is NDVI?", "where is the burn index used?") and not about images that
    are given with it."""
    return bool(_GENERAL.search(query.text)) and not _SHOWN.search(query.text)


def over_time(query: Query) -> bool:
    """Whether a question is about what happened between dates: for `change` or, where there are many, `time_series`."""
    return bool(_OVER_TIME.search(query.text))
