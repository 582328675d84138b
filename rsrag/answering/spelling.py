"""Words that nobody knows, read as the known words that they are most like. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final

from .lexicon import lexicon
from .mentions import index, key_of, mentions

_WORD: Final = re.compile(r"[^\W_]+(?:[-‐‑][^\W_]+)*(?:['’]s)?")
_SHORTEST: Final = 5
_LONG: Final = 8
_ACRONYM: Final = 4
_ALIKE: Final = 0.86  # a letter too many or too few in a short word, another letter only in a long one
_NAMES_ALIKE: Final = 0.85
Read = tuple[tuple[str, str], ...]


@cache
def vocabulary() -> frozenset[str]:
    """The words that the lexicon knows, as they are written."""
    lex = lexicon()
    return lex.written


def respelt(
    text: str, names: Mapping[str, str], known: Callable[[str], bool], words: Collection[str]
) -> tuple[str, Read]:
    """The text with misspelt words and names as they are known, and what was read as what.

    `names` is an `index` of names, `words` other words that may be meant; `known` tells whether a word is used anywhere
    as it stands. Digits are never changed, and a word of another first letter is never meant.
    """
    changed: list[tuple[str, str]] = []
    for mention in reversed(mentions(text, names)):
        written = text[mention.start : mention.end]
        if _digits(written) and key_of(written) == key_of(mention.name) and _folded(written) != _folded(mention.name):
            text = text[: mention.start] + mention.name + text[mention.end :]  # "worldview2", which no index has
    taken = [(m.start, m.end) for m in mentions(text, names)]
    for match in reversed(list(_WORD.finditer(text))):
        word = re.sub(r"['’]s$", "", match.group())
        if any(start < match.end() and match.start() < end for start, end in taken):
            continue
        better = _meant(word, names, known, words)
        if better:
            changed.insert(0, (word, better))
            text = text[: match.start()] + better + text[match.start() + len(word) :]
    return text, tuple(changed)


def _meant(word: str, names: Mapping[str, str], known: Callable[[str], bool], words: Collection[str]) -> str:
    lowered = word.lower()
    letters = re.match(r"[^\W\d_]*", lowered)
    if word.isalpha() and word.isupper() and len(word) >= _ACRONYM and lowered not in names and not known(lowered):
        swapped = [names[k] for k in names if len(k) == len(lowered) and sorted(k) == sorted(lowered)]
        return swapped[0] if len(set(swapped)) == 1 else ""
    if (
        len(letters.group() if letters else "") < _SHORTEST
        or lowered in vocabulary()
        or lowered in words
        or known(lowered)
    ):
        return ""
    if digits := _digits(lowered):
        near = [k for k in names if k[:1] == lowered[:1] and _digits(k) == digits]
        best = difflib.get_close_matches(key_of(lowered), near, n=1, cutoff=_NAMES_ALIKE)
        return names[best[0]] if best else ""
    near = [
        w
        for w in (*vocabulary(), *words)
        if w[:1] == lowered[:1] and abs(len(w) - len(lowered)) <= 1 + (len(w) >= _LONG) and len(w) >= _SHORTEST
    ]
    swapped = [w for w in near if len(w) == len(lowered) and sorted(w) == sorted(lowered)]
    best = swapped or difflib.get_close_matches(lowered, near, n=1, cutoff=_ALIKE)
    return best[0] if best else ""


def _digits(text: str) -> str:
    """What follows the letters of a name."""
    match = re.search(r"\d.*", key_of(text))
    return match.group() if match else ""


def _folded(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


__all__ = ["Read", "index", "respelt", "vocabulary"]
