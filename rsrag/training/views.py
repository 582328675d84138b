"""What a frozen image tower sees in a few turned and cropped views of every image, computed once and kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Seen = tuple[NDArray[np.float16], NDArray[np.float16]]

LEAST_CROP = 0.75
NOTE_EVERY_S = 20.0


def see(
    tower: Path,
    pixels: NDArray[np.uint8],
    rows: Sequence[int],
    size: int,
    count: int,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> Seen:
    """Maps (n, count, cells, channels) and embeddings (n, count, dim) of `count` views of each of n rows of `pixels`,
    at `size` px; kept in `folder`, and gone on with there after an interruption.

    The first view is the image as it is; the others are cropped, turned by quarters and mirrored. Raises `ModelError`
    for a tower without an output `map`.
    """
    import numpy as np
    from PIL import Image

    session = _open(tower)
    digest = hashlib.blake2b(digest_size=8)
    # The pixels themselves, a few of each image: another set of images never passes for this one.
    settings = f"{size} {count} {seed}".encode()
    for known in (tower.read_bytes(), pixels[list(rows), ::40, ::40].tobytes(), settings):
        digest.update(known)
    sample = session.run(["map", "embedding"], {"pixels": np.zeros((1, 3, size, size), np.float32)})
    shapes = [(len(rows), count, *part.shape[1:]) for part in sample]
    files = [folder / "maps.npy", folder / "vectors.npy"]
    note = folder / "seen.json"
    done = _noted(note, digest.hexdigest(), files)
    folder.mkdir(parents=True, exist_ok=True)
    maps, vectors = (
        np.lib.format.open_memmap(file, "r+") if done else np.lib.format.open_memmap(file, "w+", np.float16, shape)
        for file, shape in zip(files, shapes, strict=True)
    )
    images = max(1, 64 // count)
    told = time.monotonic()
    for start in range(done, len(rows), images):
        part = rows[start : start + images]
        views = [
            _view(Image.fromarray(pixels[i]), size, np.random.default_rng([seed, i, number]) if number else None)
            for i in part
            for number in range(count)
        ]
        batch = np.stack(views).transpose(0, 3, 1, 2).astype(np.float32) / 255
        for kept, found in zip((maps, vectors), session.run(["map", "embedding"], {"pixels": batch}), strict=True):
            kept[start : start + len(part)] = found.reshape(len(part), count, *found.shape[1:])
        done = start + len(part)
        if time.monotonic() - told > NOTE_EVERY_S or done == len(rows):
            told = time.monotonic()
            maps.flush()
            vectors.flush()
            note.write_text(json.dumps({"digest": digest.hexdigest(), "done": done}), encoding="utf-8")
            say(f"Looked at {done:,} of {len(rows):,} images, {count} view{'s' * (count > 1)} each.")
    return maps, vectors


def _noted(note: Path, digest: str, files: Sequence[Path]) -> int:
    """How many images are in the files already."""
    if not all(file.is_file() for file in (note, *files)):
        return 0
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return int(found["done"]) if found["digest"] == digest else 0
    except (ValueError, KeyError, TypeError):
        return 0  # cut off while it was written: looked at anew


def _view(image: Any, size: int, luck: Any) -> NDArray[np.uint8]:
    """uint8 (size, size, 3): the image as it is, or, with a generator, a part of it, turned and mirrored."""
    import numpy as np
    from PIL import Image

    side = image.size[0]
    if luck is None:
        return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    width = side * luck.uniform(LEAST_CROP, 1)
    x, y = luck.uniform(0, side - width, 2)
    part = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=(x, y, x + width, y + width)))
    turned = np.rot90(part, luck.integers(4))
    return turned[:, ::-1] if luck.random() < 0.5 else turned


def _open(tower: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(tower), options, providers=["CPUExecutionProvider"])
    if "map" not in {o.name for o in session.get_outputs()}:
        raise ModelError(
            f"{tower} gives no feature map, which a captioner reads.", "Train the encoder with `rsrag train encoder`."
        )
    return session
