"""How well a tower names and finds what it has not been trained on, with 95 % intervals."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Embed = Callable[[Sequence["Image"]], "NDArray[np.float32]"]


@dataclass(frozen=True, slots=True)
class Share:
    """A share of n cases that came out right."""

    right: int
    n: int

    @property
    def value(self) -> float:
        return self.right / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % (Wilson)."""
        if not self.n:
            return 0.0, 1.0
        z, p = 1.96, self.value
        middle = (p + z * z / (2 * self.n)) / (1 + z * z / self.n)
        spread = z * math.sqrt(p * (1 - p) / self.n + z * z / (4 * self.n**2)) / (1 + z * z / self.n)
        return middle - spread, middle + spread

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


def share(right: Sequence[bool] | NDArray[np.bool_]) -> Share:
    return Share(int(sum(map(bool, right))), len(right))


def by_prompt(images: NDArray[np.float32], names: NDArray[np.float32], target: NDArray[np.int64]) -> Share:
    """Share of images whose best class prompt is their own. `images` (n, dim), `names` (k, dim), `target` (n,)."""
    return share((images @ names.T).argmax(1) == target)


def by_neighbour(
    images: NDArray[np.float32], target: NDArray[np.int64], gallery: NDArray[np.float32], known: NDArray[np.int64]
) -> Share:
    """Share of images whose nearest one in the gallery is of their class (precision@1)."""
    import numpy as np

    nearest = np.concatenate([(images[i : i + 512] @ gallery.T).argmax(1) for i in range(0, len(images), 512)])
    return share(known[nearest] == target)


def by_caption(
    images: NDArray[np.float32], captions: Sequence[Sequence[str]], vectors: Mapping[str, NDArray[np.float32]], k: int
) -> Share:
    """Text to image recall@k over every caption of every image; an image with an equal caption counts as right."""
    import numpy as np

    bearing: dict[str, set[int]] = {}
    for image, own in enumerate(captions):
        for caption in own:
            bearing.setdefault(caption, set()).add(image)
    found = {}
    for caption, right in bearing.items():
        best = np.argpartition(-(images @ vectors[caption]), min(k, len(images)) - 1)[:k]
        found[caption] = bool(right & set(best.tolist()))
    return share([found[caption] for own in captions for caption in own])


def _jpeg(image: Image, quality: int) -> Image:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Pillow.open(buffer).convert("RGB")


def _enlarged(image: Image) -> Image:
    width, height = image.size
    return image.crop((width // 4, height // 4, width - width // 4, height - height // 4))


def _halved(image: Image) -> Image:
    """Half as large, with mirror images around it: twice the ground in the same frame."""
    import numpy as np
    from PIL import Image as Pillow

    width, height = image.size
    small = np.asarray(image.resize((width // 2, height // 2), Pillow.Resampling.LANCZOS))
    return Pillow.fromarray(np.pad(small, ((height // 4,) * 2, (width // 4,) * 2, (0, 0)), mode="symmetric"))


CHANGES: Mapping[str, Callable[[Image], Image]] = {
    "turned by 90 degrees": lambda image: image.rotate(90),
    "centre, 2x": _enlarged,
    "mirrored, 0.5x": _halved,
    "JPEG quality 40": lambda image: _jpeg(image, 40),
    "grey-scale": lambda image: image.convert("L").convert("RGB"),
}
"""What may happen to an image without changing what it shows."""
