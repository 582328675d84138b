"""The words of captions: how a sentence is split, and which words a decoder knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PAD, END = 0, 1
SPECIAL = ("<pad>", "<end>")

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[,.;:]")
_VOWEL = re.compile(r"[aeio](?!ne\b)")
_CLAUSE = str.maketrans({";": ",", ":": ","})


def words_of(caption: str) -> tuple[str, ...]:
    """Lower-case words and inner punctuation: "Two ponds, one road." -> two ponds , one road"""
    found = _WORD.findall(caption.lower().translate(_CLAUSE).replace("’", "'"))
    kept: list[str] = []
    for word in found:
        if word in ",." and (not kept or kept[-1] in ",."):
            continue
        kept.append(word)
    while kept and kept[-1] in ",.":
        kept.pop()
    # Collections of captions are written in haste: "a airport".
    pairs = zip(kept, [*kept, ""][1:], strict=True)
    return tuple("an" if word == "a" and _VOWEL.match(after) else word for word, after in pairs)


def plain(caption: str) -> str:
    """A caption as one compares it: lower-case words, single spaces, no punctuation."""
    return " ".join(word for word in words_of(caption) if word not in ",.")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words by id: padding, end, one start for each style (a data set's way of writing), then the words.

    A caption with a word that is not among them cannot be written down and is left out of training.
    """

    styles: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[Sequence[str]], styles: Iterable[str], least: int = 3) -> Vocabulary:
        """The words that occur at least `least` times, the most frequent first."""
        counts = Counter(word for caption in captions for word in caption)
        kept = sorted((w for w, n in counts.items() if n >= least), key=lambda w: (-counts[w], w))
        return cls(tuple(sorted(set(styles))), tuple(kept))

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids."""
        return (*SPECIAL, *(f"<{style}>" for style in self.styles), *self.words)

    def start(self, style: str) -> int:
        return len(SPECIAL) + self.styles.index(style)

    def ids(self) -> dict[str, int]:
        first = len(SPECIAL) + len(self.styles)
        return {word: first + i for i, word in enumerate(self.words)}
