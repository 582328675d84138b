"""Scenes that a component meets sooner or later: large, tiny, one band, many bands, a window, without any variance."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rsrag import ArrayReader, Plugins, Scene, open_scene

from .encoders import COLOURS
from .rasters import make_geotiff, make_image
from .stores import make_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SharedReader(ArrayReader):
    """Hands out the same arrays again and again, so that whoever writes into one is found out. (H, W, 3) uint8."""

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        if not hasattr(self, "_shared"):
            self._shared = super().rgb(100_000)
        return self._shared if max(self._shared.shape[:2]) <= max_side else super().rgb(max_side)

    def read(self, bands: tuple[int, ...] = ()) -> NDArray[np.float32]:
        if bands:
            return super().read(bands)
        if not hasattr(self, "_values"):
            self._values = super().read()
        return self._values


def sample_scenes(folder: str | Path) -> list[Scene]:
    """Nine scenes, written to `folder` where they are files."""
    import numpy as np

    folder, plugins = Path(folder), Plugins(external=False)
    random = np.random.default_rng(0)
    placed = make_scene(folder / "placed.tif")
    tall = make_geotiff(folder / "sixteen.tif", bands=1, dtype="uint16", size=(40, 90), nodata=0)
    return [
        open_scene(make_image(folder / "green.png", color=COLOURS["green"]), plugins),
        placed,
        placed.window(0, 0, 32, 64),
        open_scene(make_image(folder / "noise.png", "noise", size=(130, 70)), plugins),
        open_scene(make_image(folder / "stripes.png", "stripes"), plugins),
        open_scene(tall, plugins),
        open_scene(make_image(folder / "dot.png", color=COLOURS["red"], size=(1, 1)), plugins),
        open_scene(make_image(folder / "black.png", color=(0, 0, 0)), plugins),
        SharedReader(random.integers(0, 256, (48, 48, 3)).astype(np.uint8), "memory").scene(),
    ]


def pixels_of(scene: Scene) -> str:
    """A digest of what a scene shows and holds."""
    digest = hashlib.blake2b(scene.rgb(512).tobytes())
    digest.update(scene.read().tobytes())
    return digest.hexdigest()
