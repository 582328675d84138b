"""The small torch-free image-text encoder that rsrag ships: two ONNX towers in one 384-dimensional space.

Its weights lie in rsrag/weights/starter; README.md there is the model card. `rsrag train encoder` writes folders of
the same layout, which the `path` option (or $RSRAG_STARTER) puts in their place.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsrag import ModelError, Scene
from rsrag.interfaces import Role

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = ("image.onnx", "text.onnx", "tokenizer.json")
SETTINGS = "encoder.json"
SHIPPED = Path(__file__).parents[2] / "weights" / "starter"


class StarterEncoder:
    """Image tower (RGB, trained on aerial scenes of 0.3 to 8 m per pixel) and a small MiniLM as text tower.

    `path`: folder with image.onnx, text.onnx, tokenizer.json and encoder.json instead of the shipped one. `size`:
    side in pixels to which a whole image is resized; 0 takes the size it was trained for. `threads`: 0 lets
    onnxruntime choose. Raises `ModelError` on first use when the weights are missing or broken.
    """

    name: ClassVar[str] = "starter"
    text_to_text: ClassVar[bool] = True
    prompts: tuple[str, ...] = ("a satellite image of {}.", "an aerial photo of {}.", "{} seen from above.")
    max_tokens: int = 256
    dim: int = 384

    def __init__(self, path: str = "", size: int = 0, threads: int = 0, batch: int = 32) -> None:
        self.path = path
        self.threads = threads
        self.batch = batch
        self._size = size
        self._lock = threading.Lock()
        self._loaded: dict[str, Any] = {}
        self._id = ""

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        given = self.path or os.environ.get("RSRAG_STARTER", "")
        return Path(given).expanduser() if given else SHIPPED

    def _file(self, name: str) -> Path:
        file = self.folder / name
        if not file.is_file():
            raise ModelError(
                f"the weights of encoder 'starter' are incomplete: {self.folder} has no {name}.",
                "Install rsrag again." if self.folder == SHIPPED else "Give a folder made by `rsrag train encoder`.",
            )
        return file

    @functools.cached_property
    def _settings(self) -> dict[str, Any]:
        file = self.folder / SETTINGS
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} cannot be read ({error}).", "Copy the folder again.") from error
        return found

    @property
    def size(self) -> int:
        """Side in pixels of what the image tower sees."""
        return self._size or int(self._settings.get("size", 128))

    @property
    def max_gsd_m(self) -> float | None:
        """The coarsest ground sample distance it was trained on, metres; None where that is not known."""
        found = self._settings.get("max_gsd_m")
        return None if found is None else float(found)

    @property
    def id(self) -> str:
        """Name, size and a digest of the weights: both ends of each file and its length, read in milliseconds."""
        if not self._id:
            digest = hashlib.blake2b(digest_size=6)
            for name in FILES:
                file = self._file(name)
                length = file.stat().st_size
                with file.open("rb") as stream:
                    digest.update(f"{name}:{length}:".encode() + stream.read(65536))
                    stream.seek(max(0, length - 65536))
                    digest.update(stream.read())
            self._id = f"starter-{self.size}-{digest.hexdigest()}"
        return self._id

    def _part(self, name: str) -> Any:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def _load(self, name: str) -> Any:
        file = self._file(name)
        try:
            if name == "tokenizer.json":
                from tokenizers import Tokenizer

                tokenizer = Tokenizer.from_file(str(file))
                tokenizer.no_truncation()
                tokenizer.no_padding()
                return tokenizer
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self.threads
            options.log_severity_level = 3
            return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"{file} cannot be loaded ({str(error).splitlines()[0][:120]}).",
                "Copy the file again; it may be cut off.",
            ) from error

    def count_tokens(self, text: str) -> int:
        """Word pieces of a text, with the two the model adds."""
        return len(self._part("tokenizer.json").encode(text).ids)

    def encode_texts(self, texts: Sequence[str], role: Role = "passage") -> NDArray[np.float32]:
        """float32 (n, 384), unit rows. A text beyond 256 tokens is refused rather than cut."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        encodings = self._part("tokenizer.json").encode_batch(list(texts))
        for text, encoding in zip(texts, encodings, strict=True):
            if len(encoding.ids) > self.max_tokens and role == "passage":
                raise ModelError(
                    f"a text of {len(encoding.ids)} tokens does not fit encoder 'starter' ({text[:40]}...).",
                    "Split it first; rsrag.chunking does.",
                )
        rows = [encoding.ids[: self.max_tokens] for encoding in encodings]
        out = np.empty((len(rows), self.dim), np.float32)
        # Texts of like length share a batch: padding is work thrown away.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), self.batch):
            part = order[start : start + self.batch]
            width = max(len(rows[i]) for i in part)
            ids = np.zeros((len(part), width), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(part):
                ids[row, : len(rows[i])] = rows[i]
                mask[row, : len(rows[i])] = 1
            out[part] = self._part("text.onnx").run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return out

    def encode_scenes(self, scenes: Sequence[Scene]) -> NDArray[np.float32]:
        """float32 (n, 384), unit rows: the whole scene, resized to a square."""
        import numpy as np
        from PIL import Image

        out = np.empty((len(scenes), self.dim), np.float32)
        for start in range(0, len(scenes), self.batch):
            part = scenes[start : start + self.batch]
            pixels = np.empty((len(part), 3, self.size, self.size), np.float32)
            for row, scene in enumerate(part):
                image = Image.fromarray(scene.rgb(512))
                if image.size != (self.size, self.size):
                    image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
                pixels[row] = np.asarray(image, np.float32).transpose(2, 0, 1)
            pixels /= 255
            out[start : start + len(part)] = self._part("image.onnx").run(["embedding"], {"pixels": pixels})[0]
        return out
