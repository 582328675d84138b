"""Scenes and evidence that a question points at: "image B", "the previous one", "both", "[3]", "source 3". Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .names import Entity
from .wording import pattern, words

_SCENE: Final = r"(?:images?|scenes?|pictures?|photos?|tiles?|rasters?)"
_JOIN: Final = r"(?:\s*,\s*|\s+(?:and|or|with|to|vs\.?|versus)\s+)"
_LETTER: Final = r"(?-i:\[?[A-Z]{1,2}\]?)"
_LETTERS = pattern(rf"\b{_SCENE} (?P<list>{_LETTER}(?:{_JOIN}(?:{_SCENE} )?{_LETTER})*)(?![\w'’]|\s*%)")
_BRACKETED = re.compile(r"(?P<list>\[[A-Z]{1,2}\])")
_ALONE = pattern(
    rf"\b(?:{words('and about with to between in of on for than compare')})",
    rf" (?P<list>(?-i:[A-Z])(?:{_JOIN}(?-i:[A-Z]))*)(?=\s*(?:[?.!,]|$))",
)
_ORDINALS: Final = {"first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3}
_ORDINAL = pattern(rf"\bthe (?P<which>{'|'.join(_ORDINALS)}) (?:{_SCENE}|one)\b")
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
    r"|what(?:'s| has| have| is|) (?:been )?(?:changed|different)",
    rf"|which (?:one )?is (?:{words('newer older sharper larger greener wetter drier')}))\b",
)
_CURRENT = pattern(r"\b(?:it|this|that|this one|that one|this (?:image|scene|picture|photo))\b")
_COMPARING = pattern(r"\bcompar|\bdiffer|\bversus\b|\bvs\b|\bagainst\b|\bthan\b|\bsince\b|\bchange")

_NUMBERED = pattern(
    r"\[(?P<bracket>\d{1,6})\]|#(?P<hash>\d{1,6})\b",
    rf"|\b(?:{words('evidence source reference citation item passage result footnote note number')})s?",
    r" #?(?P<named>\d{1,6})\b(?!\s*(?:m|km|ha|%|nm|px)\b)",
)
_SAYS = pattern(r"^(?:and |so |but )?what (?:does|did|do) (?P<bare>\d{1,6}) (?:say|show|mean|contain)")
_ABOUT = pattern(r"\b(?:more about|show|open|explain|expand on|quote|read) (?P<bare>\d{1,6})(?=\s*(?:[?.!]|$))")


@dataclass(frozen=True, slots=True)
class Pointed:
    """Letters a question points at, and the question with "the previous one" said by letter. `rest`: what it says
    besides, () letters meaning that it points at none."""

    letters: tuple[str, ...]
    text: str
    said: str = ""


def scenes_in(
    text: str, standing: Sequence[str], current: tuple[str, ...], before: tuple[str, ...], known: Sequence[str] = ()
) -> Pointed:
    """`standing` are the letters in order; `known` every letter there ever was: a dropped one is pointed at as well,
    and told as such by whoever looks it up."""
    found, said = _lettered(text, {*standing, *known})
    if not standing:
        return Pointed(_ordered(found, standing), text, ", ".join(said))
    comparing = _COMPARING.search(text) is not None
    if before and (match := _PREVIOUS.search(text)):
        found += before
        said.append(match.group())
        text = f"{text[: match.start()]}image {' and '.join(before)}{text[match.end() :]}"
    for match in _ORDINAL.finditer(text):
        place = _ORDINALS[match["which"].lower()]
        found += standing[place : place + 1]
        said += [match.group()] if place < len(standing) else []
    if match := _LAST.search(text):
        found.append(standing[-1])
        said.append(match.group())
    if match := _ALL.search(text):
        found += standing
        said.append(match.group())
    elif len(standing) > 1 and not found and (match := _BOTH.search(text) or _COMPARES.search(text)):
        pair = tuple(dict.fromkeys((*before, *current)))
        found += pair if len(pair) >= 2 else standing[-2:]
        said.append(match.group())
    elif found and comparing and not set(current) & {*found} and _CURRENT.search(text):
        found += current  # "compare it with image A"
        text = _CURRENT.sub(f"image {' and '.join(current)}", text, count=1)
    return Pointed(_ordered(found, standing), text, ", ".join(dict.fromkeys(said)))


def _lettered(text: str, letters: set[str]) -> tuple[list[str], list[str]]:
    """(letters, the words that name them): after "image" any letter, elsewhere only those there are or were."""
    found: list[str] = []
    said: list[str] = []
    for kind in (_LETTERS, _BRACKETED, _ALONE) if letters else ():
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
        whole = match.group()
        return whole.replace(groups[0], entity.title) if "bare" in match.groupdict() else entity.title

    for kind in (_NUMBERED, _SAYS, _ABOUT):
        text = kind.sub(title, text)
    return tuple(found), text


def _ordered(found: Sequence[str], standing: Sequence[str]) -> tuple[str, ...]:
    place = {name: i for i, name in enumerate(standing)}
    return tuple(sorted(dict.fromkeys(found), key=lambda name: (place.get(name, len(place)), len(name), name)))
