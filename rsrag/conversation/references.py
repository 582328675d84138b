"""Scenes and evidence that a question points at: "image B", "the previous one", "both", "[3]", "source 3". Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .ellipsis import bare
from .names import Entity
from .wording import ONLY_POINTS, pattern, words

_SCENE: Final = r"(?:images?|scenes?|pictures?|photos?|tiles?|rasters?)"
_JOIN: Final = r"(?:\s*,\s*|\s+(?:and|or|with|to|vs\.?|versus)\s+)"
_LETTER: Final = r"(?-i:\[?[A-Z]{1,2}\]?)"
_LETTERS = pattern(rf"\b{_SCENE} (?P<list>{_LETTER}(?:{_JOIN}(?:{_SCENE} )?{_LETTER})*)(?![\w'’]|\s*%)")
_BRACKETED = re.compile(r"(?P<list>\[[A-Z]{1,2}\])")
_ALONE = pattern(
    rf"\b(?:{words('and about with to between in of on for than compare describe show is does')})",
    rf" (?P<list>(?-i:[A-Z])(?:{_JOIN}(?-i:[A-Z]))*)(?=\s*(?:[?.!,]|$))",
)
_SINGLE = re.compile(
    r"(?<![\w'’.\-/])(?<!vitamin )(?<!class )(?<!band )(?<!type )(?<!zone )(?<!grade )(?P<list>[B-HJ-Z])(?![\w'’.\-/])"
)
_ORDINALS: Final = {"first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3}
_ORDINAL = pattern(rf"\bthe (?P<which>{'|'.join(_ORDINALS)})(?: {_SCENE}\b| one\b|(?=\s*[?.!]*$))")
_LAST = pattern(rf"\bthe (?:last|latest|newest|most recent) {_SCENE}\b")
_PREVIOUS = pattern(
    rf"\b(?:the )?(?:{words('previous earlier other preceding prior former')}) (?:one|{_SCENE})\b",
    r"|\bthe one before\b|\bthe previous\b(?=\s*[?.!]|$)",
)
_BOTH = pattern(
    rf"\b(?:both(?: (?:of them|{_SCENE}))?|(?:the |these |those )two(?: {_SCENE})?|the pair|them both)\b",
    rf"(?! (?:{words('sides ends banks sensors bands satellites missions')}))",
)
_ALL = pattern(rf"\b(?:all|every|each)(?: of)?(?: the| these| my)? (?:{_SCENE}|of them)\b|\bthem all\b|\ball of them\b")
_COMPARES = pattern(
    r"\b(?:compare (?:them|these|those)|difference between (?:them|these|those)|how (?:do|did) they (?:differ|compare)",
    r"|the differences?(?=\s*[?.!]*$)|what(?:'s| has| have| is|) (?:been )?(?:changed|different)",
    rf"|which (?:one )?is (?:{words('newer older sharper larger greener wetter drier')}))\b",
)
_CURRENT = pattern(r"\b(?:it|this|that|this one|that one|this (?:image|scene|picture|photo))\b")
_COMPARING = pattern(r"\bcompar|\bdiffer|\bversus\b|\bvs\b|\bagainst\b|\bthan\b|\bsince\b|\bchange")

_NUMBERED = pattern(
    r"\[(?P<bracket>\d{1,6})\]|#(?P<hash>\d{1,6})\b",
    rf"|\b(?:{words('evidence source reference citation item passage result footnote note number')})s?",
    r" #?(?P<named>\d{1,6})\b(?!\s*(?:m|km|ha|%|nm|px)\b)",
)
_SAYS = pattern(
    r"^(?:and |so |but )?what (?:does|did|do) (?:(?:source|evidence|number|no\.) )?[\[#]?(?P<bare>\d{1,6})\]?",
    r" (?:say|show|mean|contain)\b",
)
_ABOUT = pattern(r"\b(?:more about|show|open|explain|expand on|quote|read) (?P<bare>\d{1,6})(?=\s*(?:[?.!]|$))")


@dataclass(frozen=True, slots=True)
class Pointed:
    """Letters that a question points at, () for none; the question, in which one scene alone is "the image"; and
    whether it says nothing else (`only`)."""

    letters: tuple[str, ...]
    text: str
    only: bool = False


def scenes_in(
    text: str, standing: Sequence[str], current: tuple[str, ...], before: tuple[str, ...], known: Sequence[str] = ()
) -> Pointed:
    """`standing` are the letters in order; `known` every letter there ever was: a dropped one is pointed at as well,
    and told as such by whoever looks it up."""
    found, said = _lettered(text, {*standing, *known})
    if standing and before and (match := _PREVIOUS.search(text)):
        found += before
        said.append(match.group())
    for match in _ORDINAL.finditer(text):
        place = _ORDINALS[match["which"].lower()]
        found += standing[place : place + 1]
        said += [match.group()] if place < len(standing) else []
    if standing and (match := _LAST.search(text)):
        found.append(standing[-1])
        said.append(match.group())
    if standing and (match := _ALL.search(text)):
        found += standing
        said.append(match.group())
    elif len(standing) > 1 and not found and (match := _BOTH.search(text) or _COMPARES.search(text)):
        pair = tuple(dict.fromkeys((*before, *current)))
        found += pair if len(pair) >= 2 else standing[-2:]
        said += [match.group()] if match.re is _BOTH else []
    letters = _ordered(found, standing)
    only = bool(said) and ONLY_POINTS.fullmatch(bare(_put(text, said, ""))) is not None
    if set(letters).isdisjoint(current) and letters and current and _COMPARING.search(text):
        # "compare it with the previous one"
        text = _put(text, said, f"image {' and '.join(letters)}")
        text = _CURRENT.sub(f"image {' and '.join(current)}", text, count=1)
        letters = _ordered([*letters, *current], standing)
    elif len(letters) == 1:
        text = _put(text, said, "the image")
    return Pointed(letters, text, only)


def _put(text: str, said: Sequence[str], instead: str) -> str:
    """The text with other words for a scene; what stands before a letter alone ("with B") stays."""
    for words_ in said:
        first, _, rest = words_.partition(" ")
        alone = re.fullmatch(r"[A-Z]", rest) is not None and not re.match(_SCENE, first, re.I)
        text = text.replace(words_, f"{first} {instead}" if alone else instead)
    return text


def _lettered(text: str, letters: set[str]) -> tuple[list[str], list[str]]:
    """(letters, the words that name them): after "image" any letter, elsewhere only those there are or were."""
    found: list[str] = []
    said: list[str] = []
    for kind in (_LETTERS, _BRACKETED, _ALONE, _SINGLE) if letters else ():
        for match in kind.finditer(text):
            named = re.findall(r"(?<![A-Za-z])[A-Z]{1,2}(?![A-Za-z])", match["list"])
            if kind is _LETTERS:
                named = [name for name in named if name in letters or len(name) == 1]
            elif not letters.issuperset(named):
                continue
            found += named
            said += [match.group()] if named else []
    return found, said


def numbers_in(text: str, known: Callable[[int], Entity | None]) -> tuple[tuple[int, ...], str]:
    """Numbers of evidence that a question speaks of, and the question with their titles instead of the numbers."""
    found: dict[int, None] = {}

    def title(match: re.Match[str]) -> str:
        groups = [g for g in match.groupdict().values() if g]
        number = int(groups[0])
        entity = known(number)
        if entity is None:
            return match.group()
        found[number] = None
        if match.re is _SAYS:
            return f"tell me about {entity.title}"
        return match.group().replace(groups[0], entity.title) if match.re is _ABOUT else entity.title

    for kind in (_SAYS, _NUMBERED, _ABOUT):
        text = kind.sub(title, text)
    return tuple(found), text


def _ordered(found: Sequence[str], standing: Sequence[str]) -> tuple[str, ...]:
    place = {name: i for i, name in enumerate(standing)}
    return tuple(sorted(dict.fromkeys(found), key=lambda name: (place.get(name, len(place)), len(name), name)))
