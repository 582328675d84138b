"""A fake encoder that ranks meaningfully: words that are shared are near, a green image is near "green"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rsrag import ModelError
from rsrag.interfaces import Role
from rsrag.types import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (200, 40, 40),
    "green": (40, 150, 40),
    "blue": (40, 60, 200),
    "yellow": (220, 210, 60),
    "grey": (128, 128, 128),
    "black": (10, 10, 10),
    "white": (245, 245, 245),
    "brown": (120, 80, 40),
}


class FakeEncoder:
    """Joint encoder without weights, for tests only. float32 (n, dim), unit rows, deterministic.

    A text is the sum of a fixed random direction per word; an image the sum of the directions of the colour
    names of its 8 x 8 cells. A passage of more than 256 words is refused with `ModelError`.
    `texts_encoded` and `scenes_encoded` count what was asked for.
    """

    name: ClassVar[str] = "fake"
    text_to_text: bool = True
    prompts: tuple[str, ...] = ("a photo of {}.",)
    max_gsd_m: float | None = None
    max_tokens: int = 256

    def __init__(self, dim: int = 64, version: str = "1") -> None:
        self.dim = dim
        self.version = version
        self.texts_encoded = 0
        self.scenes_encoded = 0

    @property
    def id(self) -> str:
        return f"fake-{self.dim}-{self.version}"

    def count_tokens(self, text: str) -> int:
        return len(_words(text))

    def encode_texts(self, texts: Sequence[str], role: Role = "passage") -> NDArray[np.float32]:
        bags = [_words(text) for text in texts]
        if role == "passage" and (longest := max(map(len, bags), default=0)) > self.max_tokens:
            raise ModelError(f"a text of {longest} words does not fit encoder 'fake'.", "Split it first.")
        self.texts_encoded += len(texts)
        return self._rows(bags)

    def encode_scenes(self, scenes: Sequence[Scene]) -> NDArray[np.float32]:
        self.scenes_encoded += len(scenes)
        return self._rows([_colours(scene) for scene in scenes])

    def _rows(self, bags: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        import numpy as np

        out = np.zeros((len(bags), self.dim), np.float32)
        for row, bag in enumerate(bags):
            for word in bag or ["nothing"]:
                out[row] += self._direction(word)
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        unit: NDArray[np.float32] = out / np.maximum(norms, 1e-9)
        return unit

    def _direction(self, word: str) -> NDArray[np.float32]:
        import numpy as np

        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
        return np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)


def _words(text: str) -> list[str]:
    return [w.rstrip("s") for w in re.findall(r"\w+", text.lower())]


def _colours(scene: Scene) -> list[str]:
    import numpy as np

    pixels = scene.rgb(64).astype(np.float32)
    rows = np.linspace(0, pixels.shape[0] - 1, 8).astype(int)
    columns = np.linspace(0, pixels.shape[1] - 1, 8).astype(int)
    cells = pixels[rows][:, columns].reshape(-1, 3)
    names = list(COLOURS)
    palette = np.array([COLOURS[n] for n in names], np.float32)
    nearest = ((cells[:, None] - palette[None]) ** 2).sum(-1).argmin(1)
    return [names[i] for i in nearest]
