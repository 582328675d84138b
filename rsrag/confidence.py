"""What a score means: cosines as distance from chance, and when a vote is good enough to name a scene. Pure.

Cosines of different spaces cannot be compared, nor read alone. Every space therefore keeps the mean and
deviation of unrelated pairs (`null_of`), and a cosine is told as a z-score. The thresholds below were chosen on
half of the validation images by `benchmarks/vote.py`, which reports the other half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from .types import Hit, Scene, SceneVote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 20
IMAGE_TEMPERATURE = 0.05
NAME_TEMPERATURE = 0.04
IMAGE_WEIGHT = 0.5
LEAST_SHARE = 0.45
LEAST_MARGIN = 0.15
LEAST_Z = 2.0

Strength = Literal["strong", "fair", "weak"]


def null_of(asked: NDArray[np.float32], stored: NDArray[np.float32], seed: int = 0) -> tuple[float, float]:
    """Mean and deviation of the cosine between unrelated rows of two sets of unit vectors."""
    import numpy as np

    if len(asked) < 2 or len(stored) < 2:
        return (0.0, 0.0)
    rng = np.random.default_rng(seed)
    left = rng.integers(0, len(asked), 4000)
    right = rng.integers(0, len(stored), 4000)
    cosines = np.einsum("ij,ij->i", asked[left], stored[right])
    cosines = cosines[cosines < 0.9999]  # a row with itself is not an unrelated pair
    if len(cosines) < 2:
        return (0.0, 0.0)
    return (float(cosines.mean()), float(cosines.std()))


def z_score(cosine: float, null: Sequence[float] | None) -> float | None:
    """How many deviations a cosine lies above unrelated pairs; None where that is not known."""
    if not null or null[1] <= 1e-6:
        return None
    return (cosine - null[0]) / null[1]


def strength(z: float | None) -> Strength:
    """A similarity in a word."""
    if z is None:
        return "fair"
    return "strong" if z >= 4.5 else "fair" if z >= 3 else "weak"


def softmax_by_subject(hits: Sequence[Hit], lane: str, temperature: float) -> dict[str, float]:
    """Shares of subjects among hits, each hit weighted by exp(cosine / temperature); they sum to 1."""
    if not hits:
        return {}
    top = max(h.lanes[lane][1] for h in hits)
    shares: dict[str, float] = {}
    for hit in hits:
        weight = math.exp((hit.lanes[lane][1] - top) / temperature)
        shares[hit.chunk.subject] = shares.get(hit.chunk.subject, 0.0) + weight
    total = sum(shares.values())
    return {subject: weight / total for subject, weight in shares.items()}


def best_by_subject(hits: Sequence[Hit], lane: str, temperature: float) -> dict[str, float]:
    """Shares of subjects by their single best hit: for names, of which a subject may have one or ten."""
    best: dict[str, Hit] = {}
    for hit in hits:
        if hit.chunk.subject not in best or hit.lanes[lane][1] > best[hit.chunk.subject].lanes[lane][1]:
            best[hit.chunk.subject] = hit
    return softmax_by_subject(list(best.values()), lane, temperature)


def vote(
    scene: str,
    images: Sequence[Hit],
    names: Sequence[Hit],
    *,
    image_lane: str = "image-image",
    name_lane: str = "image-name",
    titles: Mapping[str, str] | None = None,
    unsuitable: str = "",
) -> SceneVote:
    """What the nearest images and names together say a scene shows.

    A label needs share, margin over the runner-up and similarity above chance; otherwise `reason` says what was
    missing. `unsuitable` is the reason why the encoder should not be trusted with this scene at all.
    """
    by_image = softmax_by_subject(images[:NEIGHBOURS], image_lane, IMAGE_TEMPERATURE)
    by_name = best_by_subject(names, name_lane, NAME_TEMPERATURE)
    if not by_image and not by_name:
        return SceneVote(scene, reason="no image or name in the knowledge base to compare it with")
    weight = IMAGE_WEIGHT if by_image and by_name else 1.0 if by_image else 0.0
    subjects = {*by_image, *by_name}
    shares = {s: weight * by_image.get(s, 0.0) + (1 - weight) * by_name.get(s, 0.0) for s in subjects}
    order = sorted(shares, key=lambda s: (-shares[s], s))
    known = dict(titles or {})
    for hit in [*images, *names]:
        known.setdefault(hit.chunk.subject, hit.chunk.title)
    ranked = tuple((s, known.get(s, s), round(shares[s], 4)) for s in order[:5])
    z = max((h.z for h in [*images[:1], *names[:1]] if h.z is not None), default=None)
    first = shares[order[0]]
    margin = first - (shares[order[1]] if len(order) > 1 else 0.0)
    if unsuitable:
        reason = unsuitable
    elif z is not None and z < LEAST_Z:
        reason = "nothing in the knowledge base looks much like it"
    elif first < LEAST_SHARE or margin < LEAST_MARGIN:
        reason = "the most similar images and names do not agree"
    else:
        return SceneVote(scene, ranked, order[0], z)
    return SceneVote(scene, ranked, "", z, reason)


def unsuitable(scene: Scene, max_gsd_m: float | None) -> str:
    """Why an encoder trained on RGB photographs from above should not name this scene, or ""."""
    if max_gsd_m and scene.gsd_m and scene.gsd_m > max_gsd_m * 1.25:
        return (
            f"its pixels cover {scene.gsd_m:.3g} m, and the encoder has only seen imagery up to {max_gsd_m:g} m per pixel"
        )
    if len(scene.bands) == 1 and scene.dtype.startswith(("float", "complex")):
        return "it is a single band of measurements, and the encoder has only seen colour photographs"
    return ""
