"""Retrieval: recall@k, average precision, nDCG@k, and wMAP@k over hierarchical labels.

A ranking is a list of ids, best first; an id that comes again counts where it came first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

Path = tuple[str, ...]


def recall_at(ranking: Sequence[str], relevant: Iterable[str], k: int) -> float:
    """The share of the relevant ids among the first k; NaN when nothing is relevant."""
    wanted = set(relevant)
    return len(wanted & set(_once(ranking)[:k])) / len(wanted) if wanted else math.nan


def hit_at(ranking: Sequence[str], relevant: Iterable[str], k: int) -> float:
    """1 when any of the first k is relevant, else 0 (the "R@K" of image-text retrieval); NaN without relevant ids."""
    wanted = set(relevant)
    return float(not wanted.isdisjoint(_once(ranking)[:k])) if wanted else math.nan


def average_precision(ranking: Sequence[str], relevant: Iterable[str], k: int | None = None) -> float:
    """Mean of the precision at each relevant id, 0 for those not (or not by k) retrieved; NaN when nothing is relevant.

    mAP is its mean over queries. With `k` the best possible value stays 1: it divides by min(k, number relevant).
    """
    wanted = set(relevant)
    if not wanted:
        return math.nan
    hits, total = 0, 0.0
    for rank, item in enumerate(_once(ranking)[:k], 1):
        if item in wanted:
            hits += 1
            total += hits / rank
    return total / (len(wanted) if k is None else min(k, len(wanted)))


def ndcg_at(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Discounted gain of the first k over that of the best order, 0..1; gains are not negative, missing ones 0.

    The gain counts as it is (not 2**gain - 1), discounted by log2(rank + 1). NaN when nothing has a gain.
    """
    best = _discounted(sorted(gains.values(), reverse=True)[:k])
    return _discounted([gains.get(item, 0.0) for item in _once(ranking)[:k]]) / best if best else math.nan


def shared_labels(query: Iterable[Path], item: Iterable[Path], level: int) -> float:
    """How alike two sets of label paths are down to a level (from 1), 0..1.

    Every path stands for its nodes: ("transport", "airport", "runway") at level 2 for transport and transport/airport.
    The value is the share of nodes in common among all nodes of the two (Jaccard).
    """
    ours, theirs = _nodes(query, level), _nodes(item, level)
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0


def wap_at(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Weighted average precision of the first k; its mean over queries is wMAP@k.

    As average precision, with the mean gain of the first i ids in place of their precision, averaged over the places i
    with a gain above 0 (Zhao, Huang, Wang, Tan: Deep semantic ranking based hashing, CVPR 2015). 0 when no id of the
    first k has a gain; 1 when all k have a gain of 1. NaN when nothing has a gain.
    """
    if not any(gain > 0 for gain in gains.values()):
        return math.nan
    summed, total, places = 0.0, 0.0, 0
    for rank, item in enumerate(_once(ranking)[:k], 1):
        gain = gains.get(item, 0.0)
        summed += gain
        if gain > 0:
            places += 1
            total += summed / rank
    return total / places if places else 0.0


def _once(ranking: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ranking))


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _nodes(paths: Iterable[Path], level: int) -> set[Path]:
    return {path[:depth] for path in paths for depth in range(1, min(level, len(path)) + 1)}
