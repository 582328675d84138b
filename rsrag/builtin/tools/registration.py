"""How far two pictures of the same ground are shifted against each other, to a fraction of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SMALLEST: Final = 24  # pixels a side; less holds too little structure to tell a shift
LARGEST: Final = 1 / 6  # of the shorter side; a peak beyond is chance, or another place
SHARP: Final = 12.0  # standard deviations; between unrelated pictures the highest peak reaches five to eight
WHOLE: Final = 0.1  # pixels: what comes so near to a whole one is taken to be one
_PASS: Final = 0.18  # cycles a pixel: finer structure is mostly noise, and does not last between dates


@dataclass(frozen=True, slots=True)
class Shift:
    """The content of a picture lies `dx` pixels to the right of and `dy` below where it lies in the reference.

    `sharpness` is the height of the correlation peak in standard deviations of the surface around it. `reliable`: the
    peak is sharp, and the pictures fit better when moved by it. `corrected`: they were.
    """

    dx: float = 0.0
    dy: float = 0.0
    sharpness: float = 0.0
    reliable: bool = False
    corrected: bool = False

    @property
    def pixels(self) -> float:
        return math.hypot(self.dx, self.dy)


NO_SHIFT: Final = Shift()


def find_shift(reference: Floats, other: Floats) -> Shift:
    """Phase correlation (Kuglin and Hines, 1975) of the gradient magnitudes of two pictures (H, W), NaN as gaps.

    Gradients keep fields and shores in place whatever season or stretch did to the brightness. The peak is refined by
    a parabola through the logarithm of its neighbours; shifts of nearly whole pixels become whole ones, which moves
    pixels without blurring them.
    """
    import numpy as np

    if min(reference.shape) < SMALLEST:
        return NO_SHIFT
    one, two = _edges(reference), _edges(other)
    inside = np.isfinite(one) & np.isfinite(two)
    if inside.mean() < 0.25:
        return NO_SHIFT
    taper = np.outer(np.hanning(one.shape[0] + 2)[1:-1], np.hanning(one.shape[1] + 2)[1:-1])
    first, second = (_flat(edges, inside, taper) for edges in (one, two))
    spectrum = np.fft.rfft2(second) * np.conj(np.fft.rfft2(first))
    size = np.abs(spectrum)
    down, across = np.fft.fftfreq(one.shape[0])[:, None], np.fft.rfftfreq(one.shape[1])[None]
    spectrum *= np.exp(-(down**2 + across**2) / (2 * _PASS**2)) / np.maximum(size, 1e-9 * (size.max() or 1.0))
    surface = np.fft.irfft2(spectrum, s=one.shape)
    shift = _peak(surface)
    if shift.sharpness < SHARP or shift.pixels > LARGEST * min(one.shape):
        return replace(shift, reliable=False)
    whole = round(shift.dx), round(shift.dy)
    if math.hypot(shift.dx - whole[0], shift.dy - whole[1]) < WHOLE:
        shift = replace(shift, dx=float(whole[0]), dy=float(whole[1]))
    better = whole == (0, 0) or _likeness(one, two, whole) > _likeness(one, two, (0, 0))
    return replace(shift, reliable=better)


def _edges(values: Floats) -> NDArray[np.float64]:
    """Gradient magnitude, its strongest hundredth cut off: a few bright roofs should not decide."""
    import numpy as np

    down, across = np.gradient(values.astype(np.float64))
    size = np.hypot(down, across)
    known = np.isfinite(size)
    return np.asarray(np.minimum(size, np.quantile(size[known], 0.99))) if known.any() else size


def _flat(edges: NDArray[np.float64], inside: NDArray[np.bool_], taper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without mean, nothing in gaps, and fading out to all sides, so that no frame correlates with a frame."""
    import numpy as np

    return np.where(inside, edges - edges[inside].mean(), 0.0) * taper


def _peak(surface: NDArray[np.float64]) -> Shift:
    import numpy as np

    height, width = surface.shape
    y, x = (int(i) for i in np.unravel_index(np.argmax(surface), surface.shape))
    rows, cols = np.arange(y - 4, y + 5) % height, np.arange(x - 4, x + 5) % width
    around = np.ones(surface.shape, bool)
    around[np.ix_(rows, cols)] = False
    level, spread = float(surface[around].mean()), float(surface[around].std())
    sharpness = (float(surface[y, x]) - level) / spread if spread > 0 else 0.0
    dx = x + _between(surface[y, (x - 1) % width], surface[y, x], surface[y, (x + 1) % width])
    dy = y + _between(surface[(y - 1) % height, x], surface[y, x], surface[(y + 1) % height, x])
    return Shift((dx + width / 2) % width - width / 2, (dy + height / 2) % height - height / 2, sharpness)


def _between(before: float, at: float, after: float) -> float:
    """Where between -0.5 and 0.5 a Gaussian through three neighbouring values has its top."""
    if min(before, after) <= 0 or at <= 0:
        return 0.0
    left, middle, right = math.log(before), math.log(at), math.log(after)
    bend = left - 2 * middle + right
    return max(-0.5, min(0.5, 0.5 * (left - right) / bend)) if bend < 0 else 0.0


def _likeness(one: NDArray[np.float64], two: NDArray[np.float64], by: tuple[int, int]) -> float:
    """Correlation of two pictures where they overlap once the second is moved back by whole pixels."""
    import numpy as np

    dx, dy = by
    height, width = one.shape
    a = one[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    b = two[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < SMALLEST**2 or a[both].std() == 0 or b[both].std() == 0:
        return 0.0
    return float(np.corrcoef(a[both], b[both])[0, 1])
