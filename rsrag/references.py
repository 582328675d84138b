"""What images whose labels are known say of another one. Pure.

Each label is a Gaussian in the encoder's space, all with one covariance, which the images themselves show (linear
discriminant analysis; R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936). An encoder spreads
its images along what it was trained to tell apart; measured by the spread within labels, what it was not trained for
counts as well. `benchmarks/rag_pays.py` holds this against the nearest images and against fused lanes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.floating]

PULL: Final = 5.0
"""How many images the place that a label's prompt points to counts for in the label's mean, where the prompt comes
first for every image of the label; in proportion where it does for some."""
_FLOOR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class References:
    """Images whose labels are known: unit rows `vectors` (m, dim), `shows` (m,) the places of their labels, and
    `records` (m) whose they are."""

    vectors: Matrix
    shows: NDArray[np.intp]
    records: tuple[str, ...]

    def without(self, records: Collection[str]) -> References:
        """All but the images of these records."""
        import numpy as np

        kept = np.array([record not in records for record in self.records], bool)
        return References(self.vectors[kept], self.shows[kept], tuple(np.array(self.records, object)[kept]))


class Referees:
    """Judges images by references, among the labels whose prompts are the unit rows `prompts` (k, dim).

    `known` (k,) tells which labels have images. Time O(m dim² + dim³) once, then O(k dim) for an image.
    """

    def __init__(self, references: References, prompts: Matrix) -> None:
        import numpy as np

        sizes = np.bincount(references.shows, minlength=len(prompts))
        self.known: NDArray[np.bool_] = sizes > 0
        if self.known.sum() < 2:
            return
        shows = (np.cumsum(self.known) - 1)[references.shows]
        sizes, prompts, vectors = sizes[self.known], prompts[self.known], references.vectors.astype(np.float64)
        own = np.zeros((len(sizes), vectors.shape[1]))
        np.add.at(own, shows, vectors)
        own /= sizes[:, None]
        cosines = vectors @ prompts.T
        right = np.bincount(shows, cosines.argmax(axis=1) == shows, len(sizes)) / sizes
        pull = PULL * right / (PULL * right + sizes)
        means = own + pull[:, None] * (_places(cosines, shows, own, prompts) - own)
        self._weights = means @ np.linalg.inv(_within(vectors - own[shows], shows, sizes, own))
        self._offsets = (self._weights * means).sum(axis=1) / 2

    def judged(self, image: Matrix, cosines: Matrix) -> Matrix:
        """The cosines (k,) of an image (dim,) with the prompts, with the labels that have images in a new order.

        Among those the images decide; the first of them then has the cosine that the first by prompts alone had. So
        images never speak against a label that merely has none.
        """
        import numpy as np

        if self.known.sum() < 2:
            return cosines
        votes = cosines[self.known]
        fit = self._weights @ image - self._offsets
        # Gaussians are sure of themselves: as clear as the prompts' own votes are, the doubtful ones show.
        scale = float(votes.std()) / max(float(fit.std()), _FLOOR)
        found: Matrix = np.array(cosines, np.float64)
        found[self.known] = votes.max() + scale * (fit - fit.max())
        return found


def _within(apart: Matrix, shows: NDArray[np.intp], sizes: NDArray[np.intp], own: Matrix) -> Matrix:
    """The covariance (dim, dim) of images about the means of their labels, `apart` (m, dim): every label counts alike,
    and the fewer images, the nearer to equal variances."""
    import numpy as np

    count, dim = apart.shape
    several = max(int((sizes > 1).sum()), 1)
    share = 1 / (np.maximum(sizes - 1, 1) * several)
    spread = (apart * share[shows][:, None]).T @ apart
    # Where hardly a label has two images nothing shows the spread within: that between is the more cautious guess.
    usual = float(np.trace(spread)) if 2 * several >= len(sizes) else float(own.var(axis=0).sum())
    shrunk: Matrix = (count * spread + max(usual, _FLOOR) * np.eye(dim)) / (count + dim)
    return shrunk


def _places(cosines: Matrix, shows: NDArray[np.intp], own: Matrix, prompts: Matrix) -> Matrix:
    """Where the prompts (k, dim) point to among the images, whose `cosines` (m, k) with them are known.

    Images and prompts lie in different parts of the space: the way from one to the other is that between their means,
    and the images show some part of the contrast between prompts.
    """
    import numpy as np

    shown = float((cosines[np.arange(len(shows)), shows] - cosines.mean(axis=1)).mean())
    contrast = 1 - float((prompts @ prompts.T).mean())
    scale = max(shown, 0.0) / max(contrast, _FLOOR)
    places: Matrix = own.mean(axis=0) + scale * (prompts - prompts.mean(axis=0))
    return places
