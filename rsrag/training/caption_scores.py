"""How good captions are: CIDEr-D, the caption of an image that says most, and intervals of a mean."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_NGRAM = 4


def ngrams(words: Sequence[str], longest: int = LONGEST_NGRAM) -> Iterator[tuple[str, ...]]:
    """All runs of 1 to `longest` words."""
    for n in range(1, longest + 1):
        for i in range(len(words) - n + 1):
            yield tuple(words[i : i + n])


def document_frequency(references: Iterable[Iterable[Sequence[str]]]) -> Counter[tuple[str, ...]]:
    """In how many images' captions each n-gram occurs."""
    return Counter(gram for captions in references for gram in {g for c in captions for g in ngrams(c)})


def cider(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    *,
    frequency: Counter[tuple[str, ...]] | None = None,
    images: int = 0,
    sigma: float = 6.0,
) -> NDArray[np.float64]:
    """CIDEr-D of each candidate against its references, words given: (n,), 0..10.

    Vedantam, Zitnick, Parikh: CIDEr, CVPR 2015. Document frequencies come from `references`, unless those of another
    collection of so many `images` are given.
    """
    import numpy as np

    frequency = frequency if frequency is not None else document_frequency(references)
    total = math.log(max(2, images or len(references)))

    def weigh(words: Sequence[str]) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(LONGEST_NGRAM)]
        for gram, count in Counter(ngrams(words)).items():
            vectors[len(gram) - 1][gram] = count * (total - math.log(max(1, frequency[gram])))
        return vectors, [math.sqrt(sum(v * v for v in vector.values())) for vector in vectors]

    scores = np.zeros(len(candidates))
    for i, (candidate, group) in enumerate(zip(candidates, references, strict=True)):
        ours, our_norms = weigh(candidate)
        for reference in group:
            theirs, their_norms = weigh(reference)
            alike = 0.0
            for a, b, x, y in zip(ours, theirs, our_norms, their_norms, strict=True):
                if x and y:
                    alike += sum(min(v, b[g]) * b[g] for g, v in a.items() if g in b) / (x * y)
            gap = len(candidate) - len(reference)
            scores[i] += alike / LONGEST_NGRAM * math.exp(-(gap**2) / (2 * sigma**2))
        scores[i] *= 10 / max(1, len(group))
    return scores


def central(captions: Sequence[Sequence[str]], frequency: Counter[tuple[str, ...]], images: int) -> int:
    """Which of an image's captions is most like its others by CIDEr-D; the first of equals."""
    if len(captions) < 2:
        return 0
    others = [[c for j, c in enumerate(captions) if j != i] for i in range(len(captions))]
    return int(cider(captions, others, frequency=frequency, images=images).argmax())


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of n cases with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean(scores: Sequence[float] | NDArray[np.float64], rounds: int = 1000, seed: int = 0) -> Mean:
    """Bootstrap over the cases."""
    import numpy as np

    values = np.asarray(scores, np.float64)
    picked = np.random.default_rng(seed).integers(0, len(values), (rounds, len(values)))
    low, high = np.percentile(values[picked].mean(1), (2.5, 97.5))
    return Mean(float(values.mean()), float(low), float(high), len(values))
