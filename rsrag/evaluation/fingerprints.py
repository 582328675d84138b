"""Which images are copies of each other: a perceptual hash that survives another format, size, brightness or turn.

dHash (N. Krawetz, "Kind of like that", 2013): an image is reduced to 9 x 8 grey cells, and each of 64 bits says whether
a cell is brighter than the one to its left. An image from above has no upright, so that all eight turns and mirror
images are compared. Where there is nothing to see, the bits are noise, and the mean colour decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION: Final = "dhash-1"
NEAR: Final = 8
"""So many of 64 bits may differ. `benchmarks/facts.py` and docs/evaluation.md tell what that catches."""
PLAIN: Final = 3.0
"""An image whose grey cells deviate less than this (of 255) shows nothing that a hash could hold."""
SAME_COLOUR: Final = 6
"""Mean colours of plain images that differ by no more than this in any channel are the same."""
_SIDE: Final = 72  # 9 x 8 cells of 8 x 9 pixels, either way up


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`bits` of the hash, the mean colour (red, green, blue, 0..255), and whether the image is too plain for bits."""

    bits: int
    colour: tuple[int, int, int]
    plain: bool


def fingerprints(pixels: NDArray[np.uint8], turns: bool = False) -> list[Fingerprint]:
    """Of an image, uint8 (H, W, 3): its own, or with `turns` those of all eight turns and mirror images."""
    import numpy as np
    from PIL import Image

    small = np.asarray(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    red, green, blue = (int(round(float(v))) for v in small.reshape(-1, 3).mean(0))
    grey = small @ np.array([0.299, 0.587, 0.114], np.float32)
    plain = bool(_cells(grey).std() < PLAIN)
    views = [grey]
    if turns:
        views = [np.rot90(side, n) for side in (grey, grey[:, ::-1]) for n in range(4)]
    return [Fingerprint(_bits(view), (red, green, blue), plain) for view in views]


def _cells(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(8, 9) means."""
    means: NDArray[np.float32] = grey.reshape(8, _SIDE // 8, 9, _SIDE // 9).mean((1, 3))
    return means


def _bits(grey: NDArray[np.float32]) -> int:
    import numpy as np

    cells = _cells(grey)
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


class Fingerprints:
    """Those of many images, to be compared with one at a time."""

    def __init__(self, known: list[Fingerprint]) -> None:
        import numpy as np

        self._bits = np.array([f.bits for f in known], np.uint64)
        self._colours = np.array([f.colour for f in known], np.int16).reshape(-1, 3)
        self._plain = np.array([f.plain for f in known], bool)

    def like(self, views: list[Fingerprint], near: int = NEAR) -> list[int]:
        """The places of the images that one of the views, all of one image, is a copy of."""
        import numpy as np

        if not len(self._bits):
            return []
        if views[0].plain:
            apart = np.abs(self._colours - np.array(views[0].colour, np.int16)).max(1)
            found = self._plain & (apart <= SAME_COLOUR)
        else:
            bits = np.array([v.bits for v in views], np.uint64)
            distance = np.bitwise_count(self._bits[None] ^ bits[:, None]).min(0)
            found = ~self._plain & (distance <= near)
        return [int(i) for i in np.flatnonzero(found)]
