"""Whether an answer says what its evidence says: citation precision and recall, groundedness.

A sentence is taken as supported by some texts when every number in it occurs there (in any unit, within half a
percent), nothing that they state is denied or the other way round, and enough of its words occur,
weighed by how few of the texts have them. A number that only rows of a table give ("wind speed: 4.2 m/s", three of them
or more) must be that of a row whose name the sentence says. It compares words, not meanings: a paraphrase in other
words counts as unsupported, and words put together wrongly as supported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...answering.citations import check, markers
from ...answering.lexicon import lexicon
from ...answering.words import cover, keys, question_words
from .numbers import Number, numbers, quantity

SUPPORT: Final = 0.6
"""The least weighted share of a sentence's words that must occur; chosen on the labelled pairs of the tests."""

_MARKER: Final = re.compile(r"\s*[\[【][^\[\]【】\n]{1,80}[\]】]")
_PARTS: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_ROW: Final = re.compile(r"\s*(?P<name>[^:;|]{2,80}?)(?:\s*\((?P<code>\w+)\))?\s*:\s*(?P<value>[^:;|]+?)\s*;?\s*")
_TABLE: Final = 3  # so many rows or more
_DENIAL: Final = re.compile(r"\b(?:no|not|never|none|without|cannot|neither|nor|lacks?)\b|n['’]t\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grounding:
    """Of one answer, each 0..1 or NaN where there is nothing to take a share of.

    `precision`: of its citations, those that support their sentence, alone or as a needed part of all that it cites.
    `recall`: of its sentences that some of the evidence supports, those that cite such evidence.
    `groundedness`: of its sentences that claim something, those supported by what they cite; `unsupported` the rest.
    """

    precision: float
    recall: float
    groundedness: float
    unsupported: tuple[str, ...] = ()


def grounding(answer: str, evidence: Mapping[str, str]) -> Grounding:
    """Judge an answer with [n] markers against the texts of its evidence by number ("3") or letter ("A").

    A marker of something that does not exist is a wrong citation. Greetings, questions, headings and declines claim
    nothing.
    """
    claims = check(answer, ()).ungrounded
    weights = _weights(evidence.values())
    citations, good, supportable, found, unsupported = 0, 0, 0, 0, []
    for sentence in claims:
        cited = list(dict.fromkeys(m.target for m in markers(sentence)))
        claim = _MARKER.sub("", sentence)
        texts = [evidence[c] for c in cited if c in evidence]
        whole = bool(texts) and supported(claim, texts, weights)
        for target in cited:
            citations += 1
            if target not in evidence:
                continue
            others = [evidence[c] for c in cited if c in evidence and c != target]
            needed = whole and not (others and supported(claim, others, weights))
            good += needed or supported(claim, [evidence[target]], weights)
        if whole or supported(claim, list(evidence.values()), weights):
            supportable += 1
            found += whole
        if not whole:
            unsupported.append(sentence)
    return Grounding(
        good / citations if citations else math.nan,
        found / supportable if supportable else math.nan,
        1 - len(unsupported) / len(claims) if claims else math.nan,
        tuple(unsupported),
    )


def supported(claim: str, texts: Sequence[str], weights: Mapping[str, float] | None = None) -> bool:
    """Whether a sentence is supported by texts taken together; see the module for how. No texts support nothing."""
    if not texts:
        return False
    together = "\n".join(texts)
    parts = _PARTS.split(together)
    rows = [_row(part) for part in parts]
    if len(rows) - rows.count(None) < _TABLE:
        rows = [None] * len(parts)
    if not all(_given(number, claim, parts, rows) for number in numbers(claim)):
        return False
    words = question_words(claim)
    if not words:
        return bool(numbers(claim))
    weights = weights if weights is not None else _weights(texts)
    known = {word.key: weights.get(word.key, _rarest(weights)) for word in words}
    if cover(words, known, keys(together)) < SUPPORT:
        return False
    nearest = max(parts, key=lambda part: cover(words, known, keys(part)))
    return bool(_DENIAL.search(claim)) == bool(_DENIAL.search(nearest))


_Row = tuple[str, str]


def _given(number: Number, claim: str, parts: Sequence[str], rows: Sequence[_Row | None]) -> bool:
    """Whether the parts of a text give a number: a sentence does, or a row whose name the claim says."""
    holders = [
        row for part, row in zip(parts, rows, strict=True) if any(_same(number, other) for other in numbers(part))
    ]
    return any(row is None or _names(claim, *row) for row in holders)


def _row(part: str) -> _Row | None:
    """Name and code of a row of a table, "surface wind speed (SPEED): 4.2 m/s"; None for anything else."""
    match = _ROW.fullmatch(part)
    return (match["name"], match["code"] or "") if match and quantity(match["value"]) else None


def _names(claim: str, name: str, code: str) -> bool:
    if code and re.search(rf"(?<!\w){re.escape(code)}(?!\w)", claim):
        return True
    words = question_words(name)
    return not words or cover(words, {word.key: 1.0 for word in words}, keys(claim)) >= SUPPORT


def _same(claimed: Number, stated: Number) -> bool:
    """Equal within half a percent; a whole number without a unit exactly."""
    if claimed.dimension != stated.dimension:
        return False
    if claimed.whole and not claimed.dimension:
        return claimed.value == stated.value
    return abs(claimed.value - stated.value) <= 0.005 * max(abs(claimed.value), abs(stated.value)) + 1e-12


def _weights(texts: Iterable[str]) -> dict[str, float]:
    """What each word of the texts counts: the more, the fewer of them have it."""
    counts: dict[str, int] = {}
    documents = list(texts)
    for text in documents:
        for key in set(keys(text)) - lexicon().stopwords:
            counts[key] = counts.get(key, 0) + 1
    return {key: math.log(1 + (len(documents) + 1) / (count + 0.5)) for key, count in counts.items()}


def _rarest(weights: Mapping[str, float]) -> float:
    """What a word that no text has weighs: as much as the rarest that one has."""
    return max(weights.values(), default=1.0)
