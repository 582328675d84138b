"""Join by subject and fuse lanes into one ranking. Pure.

RS-RAG's heart (arXiv 2504.04988, section 3): an image that matches a landmark brings the landmark's texts, and
the question picks among them. A lane that is asked by the scene (`votes`) therefore speaks for a whole subject:
the subject's best image rank or cosine is received by every text chunk of that subject.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from .types import Hit

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""

Lanes = Mapping[str, Sequence[Hit]]


def subject_ranks(lane: Sequence[Hit]) -> dict[str, int]:
    """subject -> rank of its best hit among the subjects of a lane, from 1."""
    ranks: dict[str, int] = {}
    for hit in lane:
        if hit.chunk.subject and hit.chunk.subject not in ranks:
            ranks[hit.chunk.subject] = len(ranks) + 1
    return ranks


def subject_cosines(lane: Sequence[Hit], name: str) -> dict[str, float]:
    """subject -> its best raw score in a lane."""
    best: dict[str, float] = {}
    for hit in lane:
        score = hit.lanes[name][1]
        if hit.chunk.subject and score > best.get(hit.chunk.subject, float("-inf")):
            best[hit.chunk.subject] = score
    return best


def rrf(lanes: Lanes, voting: Collection[str], weights: Mapping[str, float] | None = None) -> list[Hit]:
    """Reciprocal rank fusion over the join.

    A chunk scores 1 / (60 + rank) per lane it was found in, and a text chunk also receives, from each voting
    lane, 1 / (60 + rank of its subject). Scores are sums; only their order means anything.
    """
    weights = weights or {}
    scores: dict[str, float] = {}
    merged = _merge(lanes)
    subjects = {name: subject_ranks(lanes[name]) for name in lanes if name in voting}
    for key, hit in merged.items():
        terms: list[float] = []
        for name, (rank, _) in hit.lanes.items():
            if name not in voting or hit.chunk.kind == "image" or not hit.chunk.subject:
                terms.append(weights.get(name, 1.0) / (RRF_K + rank))
        if hit.chunk.kind == "text":
            for name, ranks in subjects.items():
                if hit.chunk.subject in ranks:
                    terms.append(weights.get(name, 1.0) / (RRF_K + ranks[hit.chunk.subject]))
        scores[key] = math.fsum(terms)  # exact, so that the order of the lanes breaks no tie
    return _ranked(merged, scores)


def weighted(
    lanes: Lanes, voting: Collection[str], alpha: float = 0.7, *, measured: Collection[str] | None = None
) -> list[Hit]:
    """RS-RAG's formula on each text chunk: alpha * cos(image, subject) + (1 - alpha) * cos(question, text).

    `alpha` in 0..1. A term whose lane is missing altogether is left out and the other takes its weight. Image
    chunks keep alpha * their own cosine. Only the lanes in `measured`
    count, those whose raw score is a cosine (default: all).
    """
    merged = _merge(lanes)
    cosine = {name: hits for name, hits in lanes.items() if hits and (measured is None or name in measured)}
    images: dict[str, float] = {}
    for name in cosine:
        if name in voting:
            for subject, value in subject_cosines(cosine[name], name).items():
                images[subject] = max(value, images.get(subject, -1.0))
    has_images = any(name in voting for name in cosine)
    has_texts = any(name not in voting for name in cosine)
    image_weight = alpha if has_texts else 1.0
    text_weight = 1 - alpha if has_images else 1.0
    scores: dict[str, float] = {}
    for key, hit in merged.items():
        own = max((v for n, (_, v) in hit.lanes.items() if n in cosine and n not in voting), default=0.0)
        seen = max((v for n, (_, v) in hit.lanes.items() if n in cosine and n in voting), default=0.0)
        if hit.chunk.kind == "image":
            scores[key] = image_weight * seen + (text_weight * own if not seen else 0.0)
        else:
            image = images.get(hit.chunk.subject, 0.0) if hit.chunk.subject else seen
            scores[key] = image_weight * image + text_weight * own
    return _ranked(merged, scores)


def _merge(lanes: Lanes) -> dict[str, Hit]:
    merged: dict[str, Hit] = {}
    for hits in lanes.values():
        for hit in hits:
            old = merged.get(hit.chunk.id)
            if old is None:
                merged[hit.chunk.id] = hit
            else:
                z = max((v for v in (old.z, hit.z) if v is not None), default=None)
                merged[hit.chunk.id] = Hit(old.chunk, 0.0, {**old.lanes, **hit.lanes}, z)
    return merged


def _ranked(merged: Mapping[str, Hit], scores: Mapping[str, float]) -> list[Hit]:
    # Equal scores keep a stable, meaningless order, so that an answer does not change from run to run.
    order = sorted(merged, key=lambda key: (-scores[key], key))
    return [Hit(merged[k].chunk, scores[k], merged[k].lanes, merged[k].z) for k in order]
