"""Finds [3], [3, 7], [3-5] and [A] in an answer, and checks them against what was shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..types import Evidence, letter
from .sentences import sentences

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\]\([^()\s]*(?:\s+\"[^\"\n]*\")?\)")
_DEFINITION = re.compile(r"^[ \t]{0,3}\[([^\]\n]+)\]:[ \t]*\S.*$", re.MULTILINE)
_CHECKBOX = re.compile(r"^[ \t]*[-*+][ \t]+\[[xX]\](?=\s)", re.MULTILINE)
_BRACKET = re.compile(r"(?<!\\)[\[【]([^\[\]【】\n]{1,80})[\]】]")
_ITEM = r"(?:(?:evidence|source|ref|scene|no\.?)s?\s+|#)?(?:\d{1,6}|[A-Z])"
_LIST = re.compile(rf"\s*{_ITEM}(?:\s*(?:,|;|&|and|[-–—])\s*{_ITEM})*\s*", re.IGNORECASE)
_RANGE = re.compile(r"(\d{1,6})\s*[-–—]\s*(\d{1,6})")
_LONGEST_RANGE = 50

_GREETING = re.compile(
    r"(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks?(?: you)?|you(?:'|’)?re welcome|welcome|sure|certainly"
    r"|of course|okay|ok|great question|happy to help|i hope this helps|let me know|feel free)\b",
    re.IGNORECASE,
)
_DECLINE = re.compile(
    r"\b(?:i|we) (?:can(?:no|'|’)?t|can not|could not|couldn(?:'|’)t|am unable to|do not|don(?:'|’)t) "
    r"(?:tell|say|know|answer|find|determine|identify|see|confirm)"
    r"|\bnothing in the (?:knowledge base|evidence)|\bnot enough (?:evidence|information)"
    r"|\b(?:the |this |given |provided )*(?:evidence|knowledge base|sources?|passages?|image|information)"
    r"(?: (?:above|given|provided|shown))? (?:does not|do not|doesn(?:'|’)t|don(?:'|’)t|is not|are not|isn(?:'|’)t) "
    r"(?:suffice|say|answer|mention|contain|cover|tell|state|sufficient|enough|show)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Marker:
    """One citation in a text: what it names ("3" or "A"), where its bracket begins, and its bracket verbatim."""

    target: str
    start: int
    bracket: str


@dataclass(frozen=True, slots=True)
class Citations:
    """What a text cites. `invalid` are targets that do not exist, as "9"; `scenes` the letters cited.

    `grounded`: something is cited and every factual sentence carries a valid marker; `ungrounded` are those
    that do not. Whether the answer declines is for the caller to add.
    """

    cited: tuple[Evidence, ...]
    invalid: tuple[str, ...]
    grounded: bool
    scenes: tuple[str, ...] = ()
    ungrounded: tuple[str, ...] = ()


def letters(count: int) -> tuple[str, ...]:
    """The letters of the first scenes: A, B, C ..., and AA after Z."""
    return tuple(letter(i) for i in range(count))


def markers(text: str) -> list[Marker]:
    """All markers in order. Code, links, footnotes, reference definitions and intervals like [0, 1] are not."""
    defined = {m.group(1) for m in _DEFINITION.finditer(text)}
    hidden = text
    for pattern in (_CODE, LINK, _DEFINITION, _CHECKBOX):
        hidden = pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), hidden)
    found: list[Marker] = []
    for match in _BRACKET.finditer(hidden):
        inside = match.group(1)
        if inside in defined and not inside.isdigit():
            continue
        found.extend(Marker(t, match.start(), match.group()) for t in targets(inside))
    return found


def targets(inside: str) -> list[str]:
    """What a bracket with this inside cites; nothing when it is no citation but a word or an interval like 0, 1."""
    if not _LIST.fullmatch(inside) or (inside.isalpha() and not inside.isupper()):
        return []
    found = _written_out(inside)
    return [] if len(found) > 1 and "0" in found else found


def _written_out(inside: str) -> list[str]:
    """The numbers and letters in a bracket, ranges written out; a range that is too long or backwards stays whole."""
    found: list[str] = []

    def take_range(match: re.Match[str]) -> str:
        low, high = int(match.group(1)), int(match.group(2))
        if low <= high < low + _LONGEST_RANGE:
            return ", ".join(str(n) for n in range(low, high + 1))
        return f"{low}–{high}"

    expanded = _RANGE.sub(take_range, inside)
    for piece in re.split(r",|;|&|\band\b", expanded, flags=re.IGNORECASE):
        name = piece.split()[-1].lstrip("#") if piece.split() else ""
        if name:
            found.append(str(int(name)) if name.isdecimal() else name if len(name) > 1 else name.upper())
    return found


def check(text: str, evidence: Sequence[Evidence], scenes: Sequence[object] = ()) -> Citations:
    """Compare a text's markers with the evidence shown and the scenes.

    `scenes` are letters, or the scenes themselves, which are then lettered in order. The text is not changed:
    what does not exist is reported.
    """
    by_number = {str(e.number): e for e in evidence}
    names = {s if isinstance(s, str) else letter for s, letter in zip(scenes, letters(len(scenes)), strict=False)}
    cited: dict[str, Evidence] = {}
    shown: dict[str, None] = {}
    invalid: dict[str, None] = {}
    for marker in markers(text):
        if marker.target in by_number:
            cited.setdefault(marker.target, by_number[marker.target])
        elif marker.target in names:
            shown.setdefault(marker.target)
        else:
            invalid.setdefault(marker.target)
    valid = set(by_number) | names
    bare = [s for s in _factual(text) if not any(m.target in valid for m in markers(s))]
    return Citations(
        cited=tuple(cited.values()),
        invalid=tuple(invalid),
        grounded=bool(cited or shown) and not bare,
        scenes=tuple(shown),
        ungrounded=tuple(bare),
    )


def _factual(text: str) -> list[str]:
    """The sentences that claim something: no greeting, question, heading, lead-in, decline, code or table frame."""
    outside = re.sub(r"```.*?(?:```|\Z)", "\n\n", text, flags=re.DOTALL)
    outside = _DEFINITION.sub("", outside)
    found = sentences(outside)
    claims: list[str] = []
    for place, sentence in enumerate(found):
        plain = re.sub(r"[\[【][^\]】]*[\]】]", " ", sentence).strip(" \t\n*_>#-+•|.\"'“”")
        following = found[place + 1] if place + 1 < len(found) else ""
        header = sentence.startswith("|") and re.fullmatch(r"[|:\-\s]+", following)
        if not re.search(r"\w{2}", plain) or sentence.lstrip("> ").startswith("#") or header:
            continue
        if plain.endswith(("?", ":")) or re.fullmatch(r"\*\*[^*]{1,60}\*\*", sentence):
            continue
        if _GREETING.match(plain) or _DECLINE.search(plain):
            continue
        claims.append(sentence)
    return claims
