"""Places by name: every spelling the gazetteer knows, ranked by how well known a place is."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .gazetteer import Place

# How well known a place is, on the scale of towns' decimal logarithm of people.
_CLASS: Final = {"country": 9.0, "lake": 5.5, "river": 5.0, "city": 4.5, "airport": 3.5, "port": 3.0}
_RANKED: Final = 0.2  # less for each step of Natural Earth's scale rank, 0 being the most prominent
_WORDS: Final = re.compile(r"\w+")
_ALIAS: Final = 2.5  # less for a name that is not the first one: "Paris" is a town before it is an airport's other name


def key(name: str) -> str:
    """A name as it is looked up: no accents, no case, words parted by single spaces."""
    if name.isascii():
        return name.lower() if name.isalpha() else " ".join(_WORDS.findall(name.lower()))
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return " ".join(_WORDS.findall(plain.casefold()))


class Names:
    """Looks places up by name.

    `rows` are the lines of cities.jsonl, `records` those of records.jsonl; `town(i)` makes the place of a row and
    `place(record, kind)` that of a record. Of a town that both know, the row is taken, under both names.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[Any]],
        records: Sequence[Mapping[str, Any]],
        town: Callable[[int], Place],
        place: Callable[[Mapping[str, Any], str], Place],
    ) -> None:
        self._town, self._records, self._place = town, records, place
        self._towns = len(rows)
        self._found: dict[str, list[tuple[float, int]]] = {}
        known = {f"geonames/{row[0]}": number for number, row in enumerate(rows)}
        for number, row in enumerate(rows):
            self._add(number, row[1], row[2], math.log10(max(row[7] or 0, 1)))
        for number, record in enumerate(records, len(rows)):
            facets = record["facets"]
            if facets.get("same_as") in known:  # another spelling of a town in rows: "New York" of "New York City"
                same = known[facets["same_as"]]
                self._add(same, record["title"], record.get("aliases", ()), math.log10(max(rows[same][7] or 0, 1)))
            elif facets.get("feature") in _CLASS:
                score = _CLASS[facets["feature"]] - _RANKED * float(facets.get("rank", 5))
                self._add(number, record["title"], record.get("aliases", ()), score)

    def _add(self, number: int, name: str, others: Sequence[str], score: float) -> None:
        first = key(name)
        self._found.setdefault(first, []).append((score, number))
        for other in {key(o) for o in others} - {first, ""}:
            self._found.setdefault(other, []).append((score - _ALIAS, number))

    def find(self, name: str, within: str = "") -> list[Place]:
        """Places of that name, the best known first. `within` must be the name or code of their country, or the name of
        their first-level division; "Paris, Texas" says both at once."""
        found = self._of(name)
        if not found and not within and "," in name:
            name, _, within = (part.strip() for part in name.rpartition(","))
            found = self._of(name)
        return [place for place in found if _lies_in(place, key(within))] if within else found

    def like(self, name: str, n: int = 3) -> list[str]:
        """Names much like this one, with the same first letter: few typing errors are there, and it is fast."""
        wanted = key(name.rpartition(",")[0] or name)
        near = [k for k in self._found if k[:1] == wanted[:1] and abs(len(k) - len(wanted)) <= 2]
        close = difflib.get_close_matches(wanted, near, n=n, cutoff=0.75)
        return list(dict.fromkeys(self._of(k)[0].name for k in close))

    def _of(self, name: str) -> list[Place]:
        ranked = sorted(self._found.get(key(name), ()), key=lambda item: (-item[0], item[1]))
        return [self._made(number) for number in dict.fromkeys(number for _, number in ranked)]

    def _made(self, number: int) -> Place:
        if number < self._towns:
            return self._town(number)
        record = self._records[number - self._towns]
        return self._place(record, record["facets"]["feature"])


def _lies_in(place: Place, within: str) -> bool:
    # "Lima" finds "Lima region", and "Cuzco" "Cuzco Department".
    words = f" {within} "
    return within == place.code.casefold() or any(words in f" {key(name)} " for name in (place.country, place.region))
