"""Notices that a text repeats itself, so that a model that loops can be stopped."""

from __future__ import annotations

import re

# A word, one character of a script without blanks, or a run of punctuation: the rule of a table is one thing.
_TOKENS = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]+")

LONGEST = 80
"""The longest phrase, in words, whose repetition is looked for."""
TIMES = 4
"""How often a phrase must follow itself ..."""
WORDS = 40
"""... and how many words that must make: "very, very, very" is no loop."""


class Repetition:
    """`feed` it a text piece by piece; it turns True when the text's end is one phrase again and again."""

    def __init__(self) -> None:
        self._tail = ""
        self._count = 0
        self._places: dict[str, list[int]] = {}  # where each word stood of late
        self._same: dict[int, int] = {}  # period: how many of the last words equal the word one period before them

    def feed(self, text: str) -> bool:
        text = self._tail + text
        found = list(_TOKENS.finditer(text))
        # The last word may go on in the next piece.
        cut = found.pop().start() if found and found[-1].end() == len(text) else len(text)
        self._tail = text[cut:][-200:]
        looping = False
        for match in found:
            looping = self._add(match.group().casefold()) or looping
        return looping

    def _add(self, word: str) -> bool:
        now = self._count
        self._count += 1
        before = [place for place in self._places.get(word, ()) if now - place <= LONGEST]
        self._places[word] = [*before, now]
        self._same = {now - place: self._same.get(now - place, 0) + 1 for place in before}
        return any(same + period >= max(WORDS, TIMES * period) for period, same in self._same.items())
