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
NAME_GAIN = 4.0
IMAGE_GAIN = 6.0
IMAGE_FROM_Z = 2.5
BEST_IMAGES = 3
LEAST_SHARE = 0.9
LEAST_MARGIN = 0.25
LEAST_Z = 1.8

SAME_IMAGE = 0.95
SAME_MARGIN = 0.05
SAME_RATIO = 4.0
"""An image with this cosine to the scene, and so far from any of another subject or so many times as near as it
(1 - cosine), is a copy of the same picture: among many images another is never far, and a copy is still much nearer.
Of 1,221 validation images of UC Merced and AID without copies, each training image a subject of its own, the margin
names four and both together five."""

STRONG_TEXT = (2.8, 1.8)
STRONG_IMAGE = (3.3, 2.6)

OWN_SUBJECT = "file/"
"""How the subject of a file begins that nobody gave one; see `Record.subject`."""

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


def strength(z: float | None, kind: str = "text") -> Strength:
    """A similarity in a word. What counts is higher for images, of which the best of many unrelated come out at
    2.5 with the starter encoder."""
    strong, fair = STRONG_IMAGE if kind == "image" else STRONG_TEXT
    if z is None:
        return "fair"
    return "strong" if z >= strong else "fair" if z >= fair else "weak"


def best_by_subject(hits: Sequence[Hit], best: int) -> dict[str, float]:
    """subject -> mean z of its `best` best hits; hits whose z is not known count as 0."""
    scores: dict[str, list[float]] = {}
    for hit in hits:
        if hit.chunk.subject:  # what has none cannot name anything
            scores.setdefault(hit.chunk.subject, []).append(hit.z if hit.z is not None else 0.0)
    return {s: sum(top) / len(top) for s, z in scores.items() if (top := sorted(z, reverse=True)[:best])}


def shares_of(images: Mapping[str, float], names: Mapping[str, float]) -> dict[str, float]:
    """Shares of subjects, summing to 1, from the z of their images and of their names.

    A name always counts; images only from well above chance on. A subject that nobody collected images of is then
    not beaten by one whose images look vaguely alike, which a mean of two shares would do.
    """
    logits = {
        s: NAME_GAIN * names.get(s, 0.0) + IMAGE_GAIN * max(0.0, images.get(s, 0.0) - IMAGE_FROM_Z)
        for s in {*images, *names}
    }
    top = max(logits.values())
    weights = {s: math.exp(v - top) for s, v in logits.items()}
    total = sum(weights.values())
    return {s: w / total for s, w in weights.items()}


def vote(
    scene: str,
    images: Sequence[Hit],
    names: Sequence[Hit],
    *,
    titles: Mapping[str, str] | None = None,
    unsuitable: str = "",
    others: bool = False,
) -> SceneVote:
    """What the nearest images and names together say a scene shows.

    A label needs share, margin over the runner-up and similarity above chance; otherwise `reason` says what was
    missing. `unsuitable` is the reason why the encoder should not be trusted with this scene at all; `others` that
    the knowledge base knows other subjects even where none is among the nearest: then they agree.
    """
    # A file that only stands for itself names nothing: it may look alike, but it cannot say what is shown.
    images = [hit for hit in images if not hit.chunk.subject.startswith(OWN_SUBJECT)]
    names = [hit for hit in names if not hit.chunk.subject.startswith(OWN_SUBJECT)]
    by_image = best_by_subject(images[:NEIGHBOURS], BEST_IMAGES)
    by_name = best_by_subject(names, 1)
    if not by_image and not by_name:
        return SceneVote(scene, reason="no image or name in the knowledge base to compare it with")
    shares = shares_of(by_image, by_name)
    copied = same_image(images)
    if copied:
        shares = {subject: float(subject == copied) for subject in shares}
    order = sorted(shares, key=lambda s: (-shares[s], s))
    known = dict(titles or {})
    for hit in [*images, *names]:
        known.setdefault(hit.chunk.subject, hit.chunk.title)
    ranked = tuple((s, known.get(s, s), round(shares[s], 4)) for s in order[:5])
    z = max((h.z for h in [*images[:1], *names[:1]] if h.z is not None), default=None)
    first = shares[order[0]]
    margin = first - (shares[order[1]] if len(order) > 1 else 0.0)
    if unsuitable:  # then what comes closest means nothing either
        return SceneVote(scene, (), "", z, unsuitable)
    if copied:
        return SceneVote(scene, ranked, copied, z)
    if z is not None and z < LEAST_Z:
        reason = "nothing in the knowledge base looks much like it"
    elif len(order) < 2 and not others:
        reason = "the knowledge base knows only one subject, so that nothing else could be said"
    elif first < LEAST_SHARE or margin < LEAST_MARGIN:
        reason = "the most similar images and names do not agree"
    elif z is None:
        reason = "too little is stored to tell likeness from chance"
    else:
        return SceneVote(scene, ranked, order[0], z)
    return SceneVote(scene, ranked, "", z, reason)


def same_image(images: Sequence[Hit]) -> str:
    """The subject of the one image that the scene is a copy of, or "": a landmark is recognised by its only picture."""
    if not images or images[0].score < SAME_IMAGE or not images[0].chunk.subject:
        return ""
    first = images[0]
    other = next((hit.score for hit in images if hit.chunk.subject != first.chunk.subject), None)
    if other is None:
        return ""
    alone = first.score - other >= SAME_MARGIN or SAME_RATIO * (1 - first.score) <= 1 - other
    return first.chunk.subject if alone else ""


def unsuitable(scene: Scene, max_gsd_m: float | None) -> str:
    """Why an encoder trained on RGB photographs from above should not name this scene, or ""."""
    if max_gsd_m and scene.gsd_m and scene.gsd_m > max_gsd_m * 1.1:
        return f"its pixels cover {scene.gsd_m:.3g} m, and the encoder has only seen up to {max_gsd_m:g} m per pixel"
    if len(scene.bands) == 1 and scene.dtype != "uint8":
        return "it is a single band of measurements, and the encoder has only seen colour photographs"
    return ""


def unphotographic(pixels: NDArray[np.uint8]) -> str:
    """Why an image, uint8 (H, W, 3), is no photograph at all, or "".

    Pages, drawings and ramps repeat a colour or do not change from pixel to pixel; in noise neighbours have nothing
    to do with each other. `benchmarks/vote.py` holds these bounds against photographs and against such
    pictures. Black is left out: it fills what a scene does not cover.
    """
    import numpy as np

    rows = pixels[:: max(1, pixels.shape[0] // 64)]  # enough to tell, and a millisecond
    seen: NDArray[np.bool_] = rows.max(axis=2) > 0
    if seen.mean() < 0.1:
        return "nearly all of it is empty"
    coarse = (rows[seen] >> 3).astype(np.int64) @ np.array([1024, 32, 1])
    if np.bincount(coarse).max() / coarse.size > 0.45:  # else no exact colour can be so frequent either
        exact = rows[seen].astype(np.int64) @ np.array([65536, 256, 1])
        if np.unique(exact, return_counts=True)[1].max() / exact.size > 0.45:
            return "most of it is one flat colour, as in a drawing or a page of text"
    grey = rows.astype(np.float32).mean(axis=2)
    both = seen[:, :-1] & seen[:, 1:]
    left, right = grey[:, :-1][both], grey[:, 1:][both]
    if both.sum() < 64 or left.std() < 1 or (left == right).mean() > 0.85:
        return "it has hardly any detail"
    if abs(float(np.corrcoef(left, right)[0, 1])) < 0.04:
        return "its pixels are noise"
    return ""
