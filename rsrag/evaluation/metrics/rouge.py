"""ROUGE-L, by the longest common subsequence. Lin: ROUGE, 2004."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .tokens import stem

_BETA: Final = 1.2  # pycocoevalcap's weight of recall


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): a row of the table is one whole number, so a pair costs len(b) operations on numbers of
    len(a) bits instead of len(a) * len(b) steps.
    """
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        common = row & places.get(word, 0)
        row = (row + common | row - common) & full
    return len(a) - row.bit_count()


def rouge_words(text: str) -> list[str]:
    """The words that rouge_score compares: lower case, letters a-z and digits only, stemmed when longer than three."""
    from rouge_score import tokenize  # type: ignore[import-untyped]

    return list(tokenize.tokenize(text, _Stemmer))


class _Stemmer:
    """rouge_score asks for an object; this one remembers."""

    stem = staticmethod(stem)


def rouge_l(prediction: str, reference: str) -> float:
    """rouge_score's rougeL F-measure with its stemmer, 0..1."""
    ours, theirs = rouge_words(prediction), rouge_words(reference)
    common = lcs_length(theirs, ours)
    if not common:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    return 2 * precision * recall / (precision + recall)


def rouge_l_coco(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """pycocoevalcap's ROUGE-L, 0..1: F of beta 1.2 between the best precision and the best recall of any reference."""
    common = [lcs_length(reference, hypothesis) for reference in references]
    if not any(common):
        return 0.0
    precision = max(c / len(hypothesis) for c in common)
    recall = max(c / len(r) for c, r in zip(common, references, strict=True) if r)
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)
