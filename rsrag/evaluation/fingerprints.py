"""Which images are copies of each other: a perceptual hash that survives another format, size, brightness or turn.

dHash (N. Krawetz, "Kind of like that", 2013): an image is reduced to 9 x 8 grey cells, and each of 64 bits says whether
a cell is brighter than the one to its left. Images from above often share so little, so that what is near by hash is
looked at again: the grey thumbnails of both must correlate. An image from above has no upright: all eight turns and
mirror images are compared. Where there is nothing to see, the bits are noise, and the mean colour decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION: Final = "dhash-1"
NEAR: Final = 20
"""So many of 64 bits may differ for the thumbnails to be compared."""
ALIKE: Final = 0.9
"""The least correlation of thumbnails of one image. docs/evaluation.md tells what that catches."""
PLAIN: Final = 2.0
"""An image whose thumbnail deviates less than this (of 255) shows nothing that could be compared."""
SAME_COLOUR: Final = 6
"""Mean colours of plain images that differ by no more than this in any channel are the same."""
SIDE: Final = 32
_CELLS: Final = 72  # 9 x 8 cells of 8 x 9 pixels, either way up


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`bits` of the hash, the mean colour (red, green, blue, 0..255), and `thumb`, 32 x 32 grey values row by row."""

    bits: int
    colour: tuple[int, int, int]
    thumb: bytes


def fingerprints(pixels: NDArray[np.uint8], turns: bool = False) -> list[Fingerprint]:
    """Of an image, uint8 (H, W, 3): its own, or with `turns` those of all eight turns and mirror images."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(pixels)
    red, green, blue = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[misc]
    grey = image.convert("L")
    cells = np.asarray(grey.resize((_CELLS, _CELLS), Image.Resampling.BOX))
    thumb = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))
    found = []
    for mirrored in (False, True) if turns else (False,):
        for quarter in range(4 if turns else 1):
            seen = [np.rot90(side[:, ::-1] if mirrored else side, quarter) for side in (cells, thumb)]
            found.append(Fingerprint(_bits(seen[0]), (int(red), int(green), int(blue)), seen[1].tobytes()))
    return found


def _bits(grey: NDArray[np.uint8]) -> int:
    import numpy as np

    cells = grey.reshape(8, _CELLS // 8, 9, _CELLS // 9).mean((1, 3))
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


class Fingerprints:
    """Those of many images, to be compared with one at a time."""

    def __init__(self, known: Sequence[Fingerprint]) -> None:
        import numpy as np

        self._bits = np.array([f.bits for f in known], np.uint64)
        self._colours = np.array([f.colour for f in known], np.int16).reshape(-1, 3)
        joined = b"".join(f.thumb for f in known)
        self._thumbs = np.frombuffer(joined, np.uint8).reshape(len(known), SIDE * SIDE)
        self._plain = np.array([row.std() < PLAIN for row in self._thumbs], bool)

    def like(self, views: Sequence[Fingerprint]) -> list[int]:
        """The places of the images that one of the views, all of one image, is a copy of."""
        import numpy as np

        if not len(self._bits):
            return []
        thumbs = np.stack([np.frombuffer(v.thumb, np.uint8) for v in views])
        if thumbs[0].std() < PLAIN:
            apart = np.abs(self._colours - np.array(views[0].colour, np.int16)).max(1)
            return [int(i) for i in np.flatnonzero(self._plain & (apart <= SAME_COLOUR))]
        bits = np.array([v.bits for v in views], np.uint64)
        near = np.bitwise_count(self._bits[None] ^ bits[:, None]) <= NEAR
        places = np.flatnonzero(near.any(0) & ~self._plain)
        alike = _centred(thumbs) @ _centred(self._thumbs[places]).T
        return [int(i) for i in places[alike.max(0) >= ALIKE]] if len(places) else []


def _centred(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1, so that products are correlations."""
    import numpy as np

    values = rows.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    unit: NDArray[np.float32] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return unit
