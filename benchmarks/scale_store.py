"""Stores of any size for `scale.py`: landmarks with an image and a passage each, their vectors grown from real ones.

Real images (UC Merced and AID of $RSRAG_DATA) and their captions are encoded once by the starter encoder. A landmark
lies between one of them and one of its nearest neighbours, with a little noise, so that the space keeps its shape at
any size. Questions are validation images and their captions, which no landmark was grown from.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from common import data, say, unpack

NEEDED = ("imagetext/ucm.tar", "imagetext/ucm.jsonl", "imagetext/aid.tar", "imagetext/aid.jsonl")
NEIGHBOURS = 20
NOISE = 0.15
"""Length of the noise, beside a landmark's 1."""
BASE = 3000
"""Real images that landmarks are grown from."""


@dataclass(frozen=True)
class Real:
    """Vectors of real images and of their captions, float32 (n, dim), unit rows, in one order.

    `images` and `passages` are of the training split; `scenes`, `names` (the caption among images) and `questions` (the
    caption among texts) of the validation split.
    """

    images: Any
    passages: Any
    scenes: Any
    names: Any
    questions: Any


def real(cache: str = "") -> Real | None:
    """The real vectors, encoded once and kept in `cache`; None without $RSRAG_DATA."""
    import numpy as np

    kept = Path(cache) / "scale-vectors.npz" if cache else None
    if kept and kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            return Real(**{name: arrays[name] for name in arrays.files})
    folder = data(*NEEDED)
    if folder is None:
        return None
    rows: list[dict[str, Any]] = []
    for name in ("ucm", "aid"):
        rows += [json.loads(line) for line in (folder / "imagetext" / f"{name}.jsonl").read_text().splitlines()]
    train = [row for row in rows if row["split"] == "train"]
    val = [row for row in rows if row["split"] == "val"]
    train, val = train[:: max(1, len(train) // BASE)], val[:: max(1, len(val) // 400)]
    with tempfile.TemporaryDirectory(prefix="rsrag-scale-") as temporary:
        unpack(folder, Path(temporary), ["ucm", "aid"])
        made = _encode(train, val, Path(temporary))
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **vars(made))
    return made


def _encode(train: Sequence[dict[str, Any]], val: Sequence[dict[str, Any]], folder: Path) -> Real:
    import numpy as np

    import rsrag

    encoder: Any = rsrag.create("encoder", "starter")

    def images(rows: Sequence[dict[str, Any]]) -> Any:
        say(f"encoding {len(rows):,} images ...")
        parts = []
        for start in range(0, len(rows), 64):
            scenes = [rsrag.decoded(rsrag.open_scene(folder / row["file"])) for row in rows[start : start + 64]]
            parts.append(encoder.encode_scenes(scenes))
        return np.concatenate(parts)

    def texts(rows: Sequence[dict[str, Any]], role: str) -> Any:
        say(f"encoding {len(rows):,} captions ...")
        return encoder.encode_texts([row["captions"][0] for row in rows], role=role)

    said = texts(val, "query")
    return Real(images(train), texts(train, "passage"), images(val), said, said)


def grown(real: Real, count: int, seed: int = 0) -> tuple[Any, Any]:
    """(images, passages) of `count` landmarks, float32 (count, dim) each."""
    import numpy as np

    rng = np.random.default_rng(seed)
    images, passages = [], []
    nearest = np.argpartition(-(real.images @ real.images.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    for start in range(0, count, 20_000):
        size = min(20_000, count - start)
        one = rng.integers(0, len(real.images), size)
        other = nearest[one, rng.integers(0, NEIGHBOURS, size)]
        between = rng.uniform(0, 0.8, (size, 1)).astype(np.float32)
        for rows, out in ((real.images, images), (real.passages, passages)):
            mixed = (1 - between) * rows[one] + between * rows[other]
            mixed += rng.standard_normal(mixed.shape, np.float32) * (NOISE / np.sqrt(mixed.shape[1]))
            out.append(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))
    return np.concatenate(images), np.concatenate(passages)


class TableEncoder:
    """Knows the vector of every landmark and question by its number. Its id is the starter's kind of thing: joint,
    with a text side of its own."""

    name: ClassVar[str] = "table"
    max_tokens: int = 1000
    text_to_text: bool = True
    prompts: tuple[str, ...] = ()
    max_gsd_m: float | None = None

    def __init__(self, images: Any, passages: Any, scenes: Any, questions: Any) -> None:
        self.images, self.passages, self.scenes, self.questions = images, passages, scenes, questions
        self.dim = int(images.shape[1])
        self.id = f"table-{self.dim}"

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def encode_texts(self, texts: Sequence[str], role: str = "passage") -> Any:
        # "Question 17" or "Landmark 17 ..."
        rows = [int(text.split()[1].rstrip(".")) for text in texts]
        return self.questions[rows] if texts and texts[0].startswith("Question") else self.passages[rows]

    def encode_scenes(self, scenes: Sequence[Any]) -> Any:
        rows = [(scene.uri.partition("-")[0], int(scene.uri.partition("-")[2])) for scene in scenes]
        import numpy as np

        return np.stack([(self.scenes if kind == "query" else self.images)[number] for kind, number in rows])


def scene(uri: str, number: int) -> Any:
    """An image of 8 x 8 pixels, no two alike."""
    import numpy as np

    from rsrag import Scene

    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels.reshape(-1)[:8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
    pixels.reshape(-1)[8] = uri.startswith("query")
    return Scene(uri=uri, width=8, height=8, reader=Pixels(pixels))


class Pixels:
    """A reader of pixels at hand."""

    def __init__(self, rgb: Any) -> None:
        self._rgb = rgb

    def rgb(self, max_side: int) -> Any:
        return self._rgb


class Landmarks:
    """A source of landmarks `first` .. `last` - 1, each with an image and a passage (or only the passage)."""

    name: ClassVar[str] = "landmarks"
    role = "mine"

    def __init__(self, first: int, last: int, *, images: bool = True, label: str = "landmarks") -> None:
        self.first, self.last, self.with_images, self.label = first, last, images, label

    def __len__(self) -> int:
        return self.last - self.first

    def records(self) -> Iterator[Any]:
        from rsrag import Record

        for number in range(self.first, self.last):
            yield Record(
                id=str(number),
                subject=f"landmark/{number}",
                title=f"Landmark {number}",
                text=f"Landmark {number} is one of many.",
                images=(f"image-{number}",) if self.with_images else (),
                version="1",
            )

    def open_image(self, uri: str) -> Any:
        return scene(uri, int(uri.partition("-")[2]))
