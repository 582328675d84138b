"""Captions as words: which are sound sentences, how far they agree, how one is written. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Words = tuple[str, ...]

LONGEST_NGRAM = 4
LENGTH_SIGMA = 6.0
LEAST_WORDS = 4
STOPS = (",", ".")
UNFINISHED = frozenset(
    "a an the and or of in on at to by with near beside besides next between from for into through around surrounded "
    "is are was were has have there it its this that which some many several two three four both whose while".split()
)
"""Words with which no sentence ends."""


def plain(words: Sequence[str]) -> str:
    """Words without punctuation, for comparing captions."""
    return " ".join(word for word in words if word not in STOPS)


def fingerprint(words: Sequence[str]) -> int:
    """32 bits that stand for a caption."""
    return int.from_bytes(hashlib.blake2b(plain(words).encode(), digest_size=4).digest(), "big")


def sound(words: Sequence[str]) -> bool:
    """Whether words can stand as a sentence: long enough, finished, and not going in circles."""
    spoken = [word for word in words if word not in STOPS]
    if len(spoken) < LEAST_WORDS or spoken[-1] in UNFINISHED or words[0] in STOPS or words[-1] in STOPS:
        return False
    if any(a == b for a, b in itertools.pairwise(words)):
        return False
    telling = [run for run in itertools.pairwise(spoken) if not UNFINISHED.issuperset(run)]
    return len(telling) == len(set(telling))


def sentence(words: Sequence[str]) -> str:
    """Words as people write them: capitals, punctuation without a space before it, a full stop."""
    text = " ".join(words)
    for stop in STOPS:
        text = text.replace(f" {stop}", stop)
    return ". ".join(part[:1].upper() + part[1:] for part in text.split(". ")) + "."


def agreement(captions: Sequence[Words], counts: Sequence[int], rarity: Mapping[str, float]) -> NDArray[np.float64]:
    """How much each caption has in common with the others, 0..1: (n,), the mean likeness to all that were written.

    `counts`: how often each was written; `rarity` of a word in the training captions weighs what it says. Likeness is
    that of CIDEr-D: cosines of n-gram weights for n = 1..4, less for captions of other lengths.
    """
    import numpy as np

    n = len(captions)
    alike = np.zeros((n, n))
    for size in range(1, LONGEST_NGRAM + 1):
        columns: dict[Words, int] = {}
        cells = [
            (row, columns.setdefault(gram, len(columns)), sum(rarity.get(word, 0.0) for word in gram))
            for row, caption in enumerate(captions)
            for gram in (caption[i : i + size] for i in range(len(caption) - size + 1))
        ]
        weights = np.zeros((n, max(1, len(columns))))
        for row, column, weight in cells:
            weights[row, column] += weight
        weights /= np.linalg.norm(weights, axis=1, keepdims=True).clip(1e-9)
        alike += weights @ weights.T
    lengths = np.array([len(caption) for caption in captions])
    alike *= np.exp(-((lengths[:, None] - lengths[None]) ** 2) / (2 * LENGTH_SIGMA**2)) / LONGEST_NGRAM
    often = np.asarray(counts, np.float64)
    # What a caption has in common with itself tells nothing.
    shared: NDArray[np.float64] = (alike @ often - np.diag(alike)) / max(1.0, often.sum() - 1)
    return shared
