"""CIDEr as pycocoevalcap's `Cider` computes it, over all pairs at once.

Vedantam, Zitnick, Parikh: CIDEr, CVPR 2015. It has n-grams of one to four words weighed by tf-idf, counts clipped to
the reference's, a Gaussian penalty of the difference in length (sigma 6, lengths counted in pairs of words), and a
factor of 10. Document frequencies come from the references of the set itself: a set of one item scores 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

from .score import Score, mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST: Final = 4
SIGMA: Final = 6.0


def cider(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> Score:
    """Mean and items, 0..10, of tokenised hypotheses against one or more references each."""
    import numpy as np

    count = len(hypotheses)
    if not count:
        return Score(math.nan, ())
    owner = np.repeat(np.arange(count), [len(group) for group in references])  # whose each reference is
    texts = [*hypotheses, *chain.from_iterable(references)]
    lengths = np.array([len(text) for text in texts])
    known: dict[str, int] = {}
    words = np.array([known.setdefault(word, len(known)) for text in texts for word in text], np.int64)
    text_of = np.repeat(np.arange(len(texts)), lengths)

    alike = np.zeros(len(owner))
    start, gram = np.arange(len(words)), words
    for n in range(1, LONGEST + 1):
        alike += _cosines(gram, text_of[start], count, owner)
        # A longer n-gram is this one and the word after it, where both stand in one text.
        goes_on = np.flatnonzero(start + n < len(words))
        goes_on = goes_on[text_of[start[goes_on] + n] == text_of[start[goes_on]]]
        start = start[goes_on]
        _, gram = np.unique(gram[goes_on] * len(known) + words[start + n], return_inverse=True)

    pairs = np.maximum(lengths - 1, 0)
    gap = pairs[owner] - pairs[count:]
    alike *= np.exp(-(gap**2) / (2 * SIGMA**2)) * 10 / LONGEST
    items = np.bincount(owner, alike, count) / np.bincount(owner, minlength=count)
    return mean(items.tolist())


def _cosines(
    grams: NDArray[np.int64], text_of: NDArray[np.int64], count: int, owner: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Clipped cosine of each reference with the hypothesis it belongs to, by n-grams of one length.

    `grams` are numbers of n-grams and `text_of` the text each stands in, hypotheses first.
    """
    import numpy as np

    if not len(grams):
        return np.zeros(len(owner))
    size = int(grams.max()) + 1
    cells, frequency = np.unique(text_of * size + grams, return_counts=True)
    text, gram = cells // size, cells % size
    ours = text < count

    items = np.unique(owner[text[~ours] - count] * size + gram[~ours])
    documents = np.bincount(items % size, minlength=size)
    weight = frequency * (math.log(count) - np.log(np.maximum(1, documents)))[gram]
    norms = np.sqrt(np.bincount(text, weight**2, count + len(owner)))

    reference = text[~ours] - count
    wanted = owner[reference] * size + gram[~ours]
    place = np.searchsorted(cells[ours], wanted)
    place[place == ours.sum()] = 0
    found = cells[ours][place] == wanted if ours.any() else np.zeros(len(wanted), bool)
    theirs = weight[~ours][found]
    mine = weight[ours][place[found]]
    product = np.bincount(reference[found], np.minimum(mine, theirs) * theirs, len(owner))
    scale = norms[owner] * norms[count:]
    return np.asarray(np.divide(product, scale, out=np.zeros(len(owner)), where=scale > 0))
