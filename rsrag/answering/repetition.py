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
        self._words: list[str] = []
        self._tail = ""
        self._same = [0] * (LONGEST + 1)  # [p]: how many of the last words equal the word p before them

    def feed(self, text: str) -> bool:
        text = self._tail + text
        found = list(_TOKENS.finditer(text))
        # The last word may go on in the next piece.
        cut = found.pop().start() if found and found[-1].end() == len(text) else len(text)
        self._tail = text[cut:][-200:]
        return any([self._add(match.group().casefold()) for match in found])

    def _add(self, word: str) -> bool:
        words, same = self._words, self._same
        count = len(words)
        looping = False
        for period in range(1, min(LONGEST, count) + 1):
            if words[count - period] == word:
                same[period] += 1
                looping = looping or same[period] + period >= max(WORDS, TIMES * period)
            else:
                same[period] = 0
        words.append(word)
        if count > 4 * LONGEST:
            del words[: count - LONGEST]
        return looping
