"""Proper names in a question, and the things that earlier turns were about. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN = re.compile(r"[^\W_][\w.'’-]*")
# What a question may begin with in a capital without naming anything.
_OPENERS: Final = frozenset(
    """a an the this that these those it its they their there here he she we you i my our your his her
    what which who whom whose where when why how is are was were be am do does did has have had can could may might
    must shall should will would and or but so if then than also now well ok okay yes no not please thanks thank
    tell show give describe compare explain list name find count measure look zoom identify summarise summarize detect
    map locate draw check repeat continue go both all each any some one two three first second last previous next
    in on at of for from to with without by about near during since after before between under over into within
    same more less most many much very only just again still exactly really sure image scene picture photo tile band
    let lets make take get see say use using mean means north south east west northern southern eastern western
    upper lower top bottom left right middle centre center whole""".split()
)
_TIMES: Final = frozenset(
    """january february march april may june july august september october november december jan feb mar apr jun jul aug
    sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday spring summer autumn fall winter
    ne nw se sw""".split()
)
_LINKS: Final = frozenset("of the de la le du des del da do dos van von der den and am an y e on upon".split())


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that was spoken of: its title, other names, and subject ("class/harbour", "place/port")."""

    title: str
    aliases: tuple[str, ...] = ()
    subject: str = ""

    @property
    def is_class(self) -> bool:
        """Whether it is a kind of thing and not one thing."""
        return self.subject.startswith("class/")

    @property
    def told(self) -> str:
        """As it stands in a sentence: "the harbour", "the Port of Hamburg", "Sentinel-2"."""
        if self.is_class and not re.search(r"[A-Z]{2}|\d", self.title):
            return f"the {self.title.lower()}"
        if acronym := re.match(r"([A-Z][A-Z\d-]+), [A-Z][a-z]", self.title):  # "NDVI, Normalized Difference ..."
            return acronym[1]
        if re.match(r"(?!(?:The|A|An)\b)[A-Z]\w+ (?:of|on|for) ", self.title):
            return f"the {self.title}"
        return self.title

    @property
    def own(self) -> str:
        """Its possessive."""
        return f"{self.told}'" if self.told.endswith("s") and not self.told.isupper() else f"{self.told}'s"


def named(text: str) -> list[tuple[str, int]]:
    """(name, position) of each proper name: runs of capitalised words ("Port of Hamburg"), acronyms, identifiers
    ("Sentinel-2", "B08"). Nothing in a text without capitals, or written in capitals throughout."""
    tokens = list(_TOKEN.finditer(text))
    words = [t.group() for t in tokens if t.group()[0].isalpha()]
    if len(words) >= 3 and sum(w.isupper() for w in words) > 0.6 * len(words):
        return []
    found: list[tuple[str, int]] = []
    run: list[re.Match[str]] = []
    for token in [*tokens, None]:
        if token is not None and _is_name(token.group(), _starts(text, token.start())):
            run.append(token)
            continue
        linked = token is not None and run and token.group() in _LINKS and text[run[-1].end() : token.start()] == " "
        if linked and token is not None:
            run.append(token)
            continue
        while run and run[-1].group() in _LINKS:
            run.pop()
        if run:
            found.append((text[run[0].start() : run[-1].end()].removesuffix("'s").removesuffix("’s"), run[0].start()))
        run = []
    return found


def _starts(text: str, position: int) -> bool:
    before = text[:position].rstrip(" \"'“(")
    return not before or before[-1] in ".?!:\n"


def _is_name(word: str, first: bool) -> bool:
    plain = word.lower().removesuffix("'s").removesuffix("’s")
    if len(word) == 1 or plain in _TIMES:
        return False
    if any(c.isdigit() for c in word):
        return any(c.isalpha() for c in word) and not re.fullmatch(r"\d+(?:st|nd|rd|th|s|m|km|ha|nm|px)?", plain)
    if any(c.isupper() for c in word[1:]):
        return True
    return (
        word[0].isupper()
        and (plain not in _OPENERS if first else plain not in _OPENERS or len(plain) > 5)
        and (plain not in _OPENERS)
    )


def mentions(text: str, entity: Entity) -> str:
    """The entity's name as it stands in a text; "" where it does not."""
    for name in sorted((entity.title, *entity.aliases), key=len, reverse=True):
        match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) if name else None
        if match:
            return match.group()
    return ""
