"""Short names and what they stand for, as titles and texts give them. Pure.

A bracket after its long name, "Operational Land Imager (OLI)", is read like Schwartz and Hearst, A simple algorithm for
identifying abbreviation definitions in biomedical text (PSB 2003), but every word of the long name has to give its
first letter, so that a sentence that merely holds the letters is no long name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .words import fold

_SMALL = frozenset("a an and by de for from in of on or per the to with".split())
_SHORT = re.compile(r"[A-Z][A-Za-z0-9]*[A-Z][A-Za-z0-9]*s?")
_LONG_THEN_SHORT = re.compile(r"((?:[^\W\d_][\w'’]*[ -]+){1,9})\(([A-Z][A-Za-z0-9-]{1,9})\)")
_SHORT_THEN_LONG = re.compile(r"\b([A-Z][A-Za-z0-9-]{1,9}) \(([^()]{5,80})\)")
_MOST_WORDS_MORE = 4
"""A long name has at most so many words more than its short one letters."""


def stands_for(short: str, long: str) -> bool:
    """Whether `short` is made of the words of `long`: in their order, of each its first letter, and then perhaps more.

    Small words may be left out, and of four others or more one, but not the first. A long name that holds the
    short one, or its beginning, explains nothing.
    """
    letters = [c for c in short.rstrip("s").lower() if c.isalnum()]
    words = re.findall(r"[^\W_]+", long.lower())
    if not 2 <= len(words) <= len(letters) + _MOST_WORDS_MORE or len(letters) < 2 or words[0][0] != letters[0]:
        return False
    if any(len(word) > 1 and short.lower().startswith(word) for word in words):
        return False
    return _made_of(letters, words, spare=sum(word not in _SMALL for word in words) > 3)


def _made_of(letters: Sequence[str], words: Sequence[str], *, spare: bool) -> bool:
    # States: how many letters the words so far may have given, and whether the one word was left out.
    states = {(0, spare)}
    for number, word in enumerate(words):
        reached = set()
        for given, left in states:
            if word in _SMALL:
                reached.add((given, left))
            elif number and left:
                reached.add((given, False))
            reached |= {(end, left) for end in _given(letters, given, word)}
        states = reached
    return any(given == len(letters) for given, _ in states)


def _given(letters: Sequence[str], start: int, word: str) -> Iterator[int]:
    """Up to which letter a word may bring the short name, its first letter being the next."""
    if start == len(letters) or word[0] != letters[start]:
        return
    end, rest = start + 1, word[1:]
    yield end
    while end < len(letters) and (place := rest.find(letters[end])) >= 0:
        end, rest = end + 1, rest[place + 1 :]
        yield end


def acronyms(title: str, aliases: Sequence[str], texts: Iterable[str]) -> set[tuple[str, str]]:
    """(short, long) as a record's names and texts give them, folded."""
    found = set()
    parts = re.split(r"\s*[,()]\s*", title)
    names = [name for name in (*parts, title, *aliases) if name]
    for short in names:
        if _SHORT.fullmatch(short):
            found |= {(short, long) for long in names if stands_for(short, long)}
    for text in texts:
        found |= set(_in_text(text))
    return {(fold(short), fold(long)) for short, long in found}


def _in_text(text: str) -> Iterator[tuple[str, str]]:
    if "(" not in text:
        return
    for match in _LONG_THEN_SHORT.finditer(text):
        said, short = match.groups()
        words = list(re.finditer(r"[^\W_]+", said))
        for count in range(2, len(words) + 1):  # the shortest that fits
            long = said[words[-count].start() :].strip()
            if stands_for(short, long):
                yield short, long
                break
    for match in _SHORT_THEN_LONG.finditer(text):
        if stands_for(*match.groups()):
            yield match[1], match[2]
