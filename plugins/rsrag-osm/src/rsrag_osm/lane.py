"""The lane `osm-near`: the nearest features of the kind that a question asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rsrag import Hit, Query

from .kinds import nouns

if TYPE_CHECKING:
    from rsrag.interfaces import Knowledge, Need

_LONGEST = 4  # words in a noun: "place of worship" has three


class OsmNear:
    """What a question names by its kind ("which hospitals ..."), nearest to the place first.

    The raw score is the negated distance in kilometres. A question that names no kind finds nothing here.
    """

    name: ClassVar[str] = "osm-near"
    needs: ClassVar[tuple[Need, ...]] = ("text", "place")
    votes: ClassVar[bool] = False

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        """Up to `k` hits among records whose facet `feature` is a noun of the question."""
        best: dict[str, Hit] = {}
        for noun in asked_for(query.text):
            facets = query.where.facets
            if facets.get("feature", noun) != noun:
                continue  # the caller asked for another kind
            where = replace(query.where, facets={**facets, "feature": noun})
            for hit in kb.search_near(query.with_(where=where), k, self.name):
                best.setdefault(hit.chunk.id, hit)
        ranked = sorted(best.values(), key=lambda hit: (-hit.lanes[self.name][1], hit.chunk.id))[:k]
        return [replace(hit, lanes={self.name: (rank, hit.lanes[self.name][1])}) for rank, hit in enumerate(ranked, 1)]


def asked_for(text: str) -> list[str]:
    """The nouns of kinds.toml that a text names, singular, the longest match first at each word."""
    known: Mapping[str, str] = nouns()
    words = re.findall(r"[\w'-]+", text.lower())
    found: list[str] = []
    at = 0
    while at < len(words):
        noun, used = _longest(known, words[at : at + _LONGEST])
        if noun and noun not in found:
            found.append(noun)
        at += used
    return found


def _longest(known: Mapping[str, str], words: Sequence[str]) -> tuple[str, int]:
    for count in range(len(words), 0, -1):
        if noun := known.get(" ".join(words[:count])):
            return noun, count
    return "", 1
