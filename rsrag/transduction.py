"""Labels for a whole folder at once: the prompts' vote, sharpened by how the folder's images lie together. Pure.

No label is needed. The idea is that of RS-TransCLIP (arXiv 2409.00698): a Gaussian mixture over the images' embeddings
that is pulled towards the prompts. It is held back where a folder has no structure to learn from, so that few images
and folders of one class do not suffer, and every measure is relative to the encoder's own spread. An affinity between
neighbours, which RS-TransCLIP adds, was measured and changed nothing; without it the work stays linear in the images.
`benchmarks/transductive.py` measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.floating]

CONTRAST: Final = 0.7
"""Temperature of the prompts' vote in units of the spread of an image's cosines over the labels."""
WEIGHT: Final = 0.5
"""What a nat of the mixture counts: dimensions of an embedding are not independent, and their sum overstates."""
PULL: Final = 5.0
"""How many images the prompt's own place counts for in the mean of its label."""
LABELS: Final = (0.4, 1.5, 4.0), (0.65, 2.0, 6.0)
"""How many labels must be in use, as (part of all labels, at least, at most): below the first number there is no
mixture, from the second on there is all of it. Where a few labels take nearly all votes, the votes for others are
mostly mistakes, and a mixture would build clusters on them."""
IMAGES_PER_LABEL: Final = (4.0, 8.0)
"""Likewise the number of images for each label in use."""
COVER: Final = (0.1, 0.7)
"""From the first to the second part of all labels in use, the rarity of a label counts less and less, down to nothing,
as it does in a varied folder: an encoder that leans towards some labels makes others rare that are not."""
ROUNDS: Final = 10
_FLOOR: Final = 1e-6  # of a variance; unit rows have about 1 / dim


def shares_of(cosines: Matrix, temperature: float) -> Matrix:
    """Softmax over the last axis: shares that sum to 1."""
    import numpy as np

    weights = np.exp((cosines - cosines.max(axis=-1, keepdims=True)) / temperature)
    shares: Matrix = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def sharpen(images: Matrix, prompts: Matrix, temperature: float) -> Matrix:
    """Shares (n, k) of k labels for n images, from unit rows `images` (n, d) and `prompts` (k, d).

    Deterministic, and independent of the order of images and labels. `temperature` is that of the plain vote
    `shares_of(images @ prompts.T, temperature)`, which is the answer for a single image and wherever the folder adds
    nothing. Time O(n k d + n d² + d³), memory O(n (k + d)).
    """
    import numpy as np

    cosines = images @ prompts.T
    count, labels = cosines.shape
    if count < 2 or labels < 2:
        return shares_of(cosines, temperature)
    unit = CONTRAST * max(float(cosines.std(axis=1).mean()), 1e-4)
    votes = (cosines - cosines.mean(axis=1, keepdims=True)) / unit
    in_use = _in_use(votes)
    none, all_of_it = (min(max(part * labels, least), most) for part, least, most in LABELS)
    diverse = _ramp(in_use, none, all_of_it)
    trust = diverse * _ramp(count / in_use, *IMAGES_PER_LABEL)
    least = 1 - max(diverse, _ramp(in_use / labels, *COVER))
    shares, push = shares_of(votes, 1), np.zeros_like(votes)
    for _ in range(ROUNDS if least else 0):
        push = _absence(shares, least)
        shares = shares_of(votes + push, 1)
    if trust:
        mixture = _Mixture(images, prompts, cosines, shares)
        for _ in range(ROUNDS):
            push = trust * WEIGHT * mixture.fit(shares) + (_absence(shares, least) if least else 0)
            shares = shares_of(votes + push, 1)
    # The mixture is sure of itself; as clear as the prompts' own votes are on average, the doubtful ones show.
    clearer = float((votes + push).std(axis=1).mean() / max(votes.std(axis=1).mean(), _FLOOR))
    return shares_of(votes + push, temperature / unit * max(clearer, 1.0))


def _ramp(value: float, start: float, end: float) -> float:
    return min(max((value - start) / (end - start), 0.0), 1.0)


def _in_use(votes: Matrix) -> float:
    """Effective number of labels that come first for some image: the inverse of Simpson's index."""
    import numpy as np

    first = np.bincount(votes.argmax(axis=1))
    return float(first.sum() ** 2 / (first**2).sum())


def _absence(shares: Matrix, least: float) -> Matrix:
    """What speaks against each label, (n, k), at most 0: its share of the *other* images is below `least` times the
    share that the labels of these images have on average. An image has no say about itself."""
    import numpy as np

    count, labels = shares.shape
    others: Matrix = (shares.sum(axis=0) - shares + 0.5) / (count - 1 + 0.5 * labels)
    usual = (others * others).sum(axis=1, keepdims=True)
    absence: Matrix = np.log(np.minimum(1, others / (least * usual)))
    return absence


class _Mixture:
    """Gaussians of the labels with one diagonal covariance, in the principal axes of the scatter within labels."""

    def __init__(self, images: Matrix, prompts: Matrix, cosines: Matrix, shares: Matrix) -> None:
        import numpy as np

        self.cosines = cosines
        self.images, self.prompts = images, prompts
        self.contrast = (prompts * prompts).sum(axis=1) - (prompts @ prompts.T).mean(axis=1)
        sizes, sums, means = self._means(shares)
        cross = sums.T @ means
        scatter = images.T @ images - cross - cross.T + means.T @ (sizes[:, None] * means)
        axes = np.linalg.eigh(scatter)[1]
        self.images, self.prompts = images @ axes, prompts @ axes
        self.squares = np.einsum("ij,ij->j", self.images, self.images)

    def _means(self, shares: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """Size (k), sum and mean (k, d) of each label, the mean pulled to where its prompt places it.

        Images and prompts lie in different parts of the space. The way from one to the other is the folder's mean
        less that of the prompts, as often as they are used; its scale is how much of the contrast between two prompts
        the images show.
        """
        sizes, sums = shares.sum(axis=0), shares.T @ self.images
        shown = float(((shares * self.cosines).sum(axis=1) - self.cosines.mean(axis=1)).sum())
        scale = max(shown, 0.0) / max(float(sizes @ self.contrast), _FLOOR)
        used = sizes / sizes.sum()
        places = self.images.mean(axis=0) + scale * (self.prompts - used @ self.prompts)
        return sizes, sums, (PULL * places + sums) / (PULL + sizes)[:, None]

    def fit(self, shares: Matrix) -> Matrix:
        """Log-likelihood (n, k) of each image under each label's Gaussian, centred over the labels."""
        count, dim = self.images.shape
        sizes, sums, means = self._means(shares)
        spread = (self.squares - 2 * (sums * means).sum(axis=0) + (sizes[:, None] * means * means).sum(axis=0)) / count
        # Few images leave the single variances uncertain: they are shrunk to their mean.
        spread = (count * spread + dim * spread.mean()) / (count + dim)
        scaled = means / spread.clip(_FLOOR)
        fit = self.images @ scaled.T - (scaled * means).sum(axis=1) / 2
        centred: Matrix = fit - fit.mean(axis=1, keepdims=True)
        return centred
