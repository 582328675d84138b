"""METEOR as NLTK aligns it: alpha 0.9, beta 3, gamma 0.5. Lavie and Agarwal, WMT 2007.

Words are matched in stages (equal, of equal stem, synonyms), within a stage from the last word to the first, each with
the last free word of the reference. Synonyms need WordNet, which NLTK fetches apart; without it the measure is another
one and carries another name, `METEOR-exact-stem`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

from .tokens import stem

ALPHA: Final = 0.9
BETA: Final = 3.0
GAMMA: Final = 0.5
WORDNET_HINT: Final = "python -m nltk.downloader wordnet"

Synonyms = Callable[[str], frozenset[str]]
_Words = list[tuple[int, str]]


@cache
def wordnet() -> Synonyms | None:
    """The synonyms of a word by WordNet, or None when its files are not installed."""
    from nltk.corpus import wordnet as corpus  # type: ignore[import-untyped]

    try:
        corpus.ensure_loaded()
    except LookupError:
        return None

    @cache
    def synonyms(word: str) -> frozenset[str]:
        return frozenset(
            name for synset in corpus.synsets(word) for lemma in synset.lemmas() if "_" not in (name := lemma.name())
        )

    return synonyms


def meteor(hypothesis: Sequence[str], references: Sequence[Sequence[str]], synonyms: Synonyms | None = None) -> float:
    """0..1, the best of the references; case does not count. A perfect match of m words gives 1 - 0.5 / m**3."""
    return max(_single(hypothesis, reference, synonyms) for reference in references)


def _single(hypothesis: Sequence[str], reference: Sequence[str], synonyms: Synonyms | None) -> float:
    pairs = align(hypothesis, reference, synonyms)
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(hypothesis), len(pairs) / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    chunks = 1 + sum((b[0] - a[0], b[1] - a[1]) != (1, 1) for a, b in pairwise(pairs))
    penalty: float = GAMMA * (chunks / len(pairs)) ** BETA
    return (1 - penalty) * mean


def align(
    hypothesis: Sequence[str], reference: Sequence[str], synonyms: Synonyms | None = None
) -> list[tuple[int, int]]:
    """Pairs of places (in the hypothesis, in the reference) in order of the former."""
    ours: _Words = [(i, word.lower()) for i, word in enumerate(hypothesis)]
    theirs: _Words = [(i, word.lower()) for i, word in enumerate(reference)]
    pairs, ours, theirs = _match(ours, theirs, _itself)
    if ours and theirs:
        stems = [[(i, stem(word)) for i, word in words] for words in (ours, theirs)]
        more, ours, theirs = _match(stems[0], stems[1], _itself)
        pairs += more
    if synonyms and ours and theirs:
        pairs += _match(ours, theirs, lambda word: synonyms(word) | {word})[0]
    return sorted(pairs)


def _itself(word: str) -> tuple[str, ...]:
    return (word,)


def _match(
    ours: _Words, theirs: _Words, forms: Callable[[str], frozenset[str] | tuple[str, ...]]
) -> tuple[list[tuple[int, int]], _Words, _Words]:
    """One stage: pairs, and what is left of both sides."""
    free: dict[str, list[int]] = {}
    for place, (_, word) in enumerate(theirs):
        free.setdefault(word, []).append(place)
    pairs, left, used = [], [], set()
    for i, word in reversed(ours):
        stacks = [stack for form in forms(word) if (stack := free.get(form))]
        if not stacks:
            left.append((i, word))
            continue
        place = max(stacks, key=lambda stack: stack[-1]).pop()
        used.add(place)
        pairs.append((i, theirs[place][0]))
    return pairs, left[::-1], [word for place, word in enumerate(theirs) if place not in used]
