"""BLEU: of one sentence as NLTK gives it, and of a corpus as pycocoevalcap gives it.

Papineni, Roukos, Ward, Zhu: BLEU, ACL 2002. Smoothing method 1 is Chen and Cherry's (WMT 2014).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .score import Score
from .tokens import ngrams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST: Final = 4
_EPSILON: Final = 0.1  # what method 1 counts for no match
_SMALL: Final = 1e-9  # pycocoevalcap's, so that nothing is divided by zero
_TINY: Final = 1e-15  # and so that nothing in nothing is nothing


@dataclass(frozen=True, slots=True)
class Matches:
    """N-grams of one to four words: how many of a hypothesis occur in a reference, clipped, and how many there are.

    `length` is the hypothesis's in words, `reference` that of the nearest reference, the shorter one of two.
    """

    matched: tuple[int, ...]
    total: tuple[int, ...]
    length: int
    reference: int


def matches(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> Matches:
    """Compare one tokenised hypothesis with one or more references."""
    matched: list[int] = []
    total: list[int] = []
    for n in range(1, LONGEST + 1):
        own = Counter(ngrams(hypothesis, n))
        total.append(max(0, len(hypothesis) - n + 1))
        if not own or (n > 1 and not matched[-1]):  # without a common n-gram there is no longer one
            matched.append(0)
            continue
        most: dict[tuple[str, ...], int] = {}
        for reference in references:
            for gram, count in Counter(ngrams(reference, n)).items():
                if gram in own and count > most.get(gram, 0):
                    most[gram] = count
        matched.append(sum(min(own[gram], count) for gram, count in most.items()))
    length = len(hypothesis)
    nearest = min((abs(len(r) - length), len(r)) for r in references)[1]
    return Matches(tuple(matched), tuple(total), length, nearest)


def sentence_bleu(found: Matches, weights: Sequence[float]) -> float:
    """What NLTK's `sentence_bleu` with smoothing method 1 returns, 0..1; up to four weights.

    A weight of 0 still counts: an order without a match is smoothed and takes no part, as any other order of weight 0.
    """
    if not found.matched[0]:
        return 0.0
    brevity = 1.0 if found.length > found.reference else math.exp(1 - found.reference / found.length)
    logs = []
    for weight, match, total in zip(weights, found.matched, found.total, strict=False):
        logs.append(weight * math.log((match or _EPSILON) / max(1, total)))
    return brevity * math.exp(math.fsum(logs))


def corpus_bleu(found: Sequence[Matches], order: int) -> Score:
    """BLEU of n-grams up to `order` over all hypotheses together, 0..1, and of each alone."""
    import numpy as np

    columns = np.array(
        [(*m.matched[:order], *m.total[:order], m.length, m.reference) for m in found], np.float64
    ).reshape(len(found), 2 * order + 2)

    def of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        matched, total = sums[:, :order], sums[:, order : 2 * order]
        length, reference = sums[:, -2], sums[:, -1]
        bleu = ((matched + _TINY) / (total + _SMALL)).prod(1) ** (1 / order)
        ratio = (length + _TINY) / (reference + _SMALL)
        short = ratio < 1
        bleu[short] *= np.exp(1 - 1 / ratio[short])
        return np.asarray(bleu)

    def of_means(means: NDArray[np.float64]) -> NDArray[np.float64]:
        return of_sums(means * len(found))

    if not found:
        return Score(math.nan, ())
    value = float(of_sums(columns.sum(0, keepdims=True))[0])
    return Score(value, tuple(of_sums(columns).tolist()), columns, of_means)
