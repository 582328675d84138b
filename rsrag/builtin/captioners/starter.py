"""The small torch-free captioner that rsrag ships: a decoder that puts into words what the starter encoder sees.

It writes several captions for an image and gives the one that the others agree with most: what it is sure of is then
said, and what it only guesses is not (minimum Bayes risk decoding). Of its own wording and that of a caption it was
trained on it prefers its own. Its files, captioner.onnx and captioner.json, lie beside the encoder's;
`rsrag train captioner` writes them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import rsrag
from rsrag import ModelError, Scene, UsageError
from rsrag.confidence import unphotographic, unsuitable

from .wording import Words, agreement, fingerprint, sentence, sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DECODER = "captioner.onnx"
SETTINGS = "captioner.json"
FORMAT = 1
TEMPERATURE = 1.0
LEAST_LIKELY = 0.1
"""A word is written only if it is at least this likely beside the likeliest one in its place."""


@dataclass(frozen=True, slots=True)
class Settings:
    """captioner.json: what the decoder's numbers mean. `starts`: style -> token; `rarity`: word -> weight; `known`:
    fingerprints of the captions it was trained on; `tower`: which image.onnx it can read."""

    tokens: tuple[str, ...]
    end: int
    starts: Mapping[str, int]
    style: str
    longest: int
    own_words: float
    rarity: Mapping[str, float]
    known: frozenset[int]
    tower: str


class StarterCaptioner:
    """Describes overhead images in a sentence each.

    `path`: folder with the encoder's files and captioner.onnx and captioner.json, instead of the shipped one. `style`:
    the data set whose way of writing it follows ("" is the one the captioner's maker chose). `samples`: captions
    written per image, of which one is given. `own_words`: how much agreement, 0..1, a caption of its own may lack
    against one it was trained on (None is what training found). `threads`: 0 lets onnxruntime choose.
    The same image gives the same caption. Scenes that the encoder was not made for (coarser pixels, single bands,
    drawings) get "". Raises `ModelError` on first use when files are missing or do not belong together.
    """

    name: ClassVar[str] = "starter"

    def __init__(
        self,
        path: str = "",
        style: str = "",
        samples: int = 24,
        own_words: float | None = None,
        threads: int = 0,
        batch: int = 16,
    ) -> None:
        self.path = path
        self.style = style
        self.samples = samples
        self.own_words = own_words
        self.threads = threads
        self.batch = batch

    def caption(self, scenes: Sequence[Scene]) -> list[str]:
        """One sentence per scene, "" for a scene it cannot judge."""
        import numpy as np

        captions = [""] * len(scenes)
        for start in range(0, len(scenes), self.batch):
            part = enumerate(scenes[start : start + self.batch], start)
            seen = {i: pixels for i, scene in part if (pixels := self._pixels(scene)) is not None}
            if seen:
                feed = {"pixels": np.stack(list(seen.values()))}
                maps, vectors = self._tower.run(["map", "embedding"], feed)
                for i, text in zip(seen, self.describe(maps, vectors), strict=True):
                    captions[i] = text
        return captions

    def describe(self, maps: NDArray[np.float32], vectors: NDArray[np.float32]) -> list[str]:
        """One sentence per row of the tower's outputs: `map` (n, cells, channels) and `embedding` (n, dim)."""
        texts = []
        for start in range(0, len(maps), self.batch):
            part = slice(start, start + self.batch)
            texts += [self._chosen(written) for written in self._write(maps[part], vectors[part])]
        return texts

    def _chosen(self, written: Sequence[Words]) -> str:
        counts = Counter(words for words in written if sound(words))
        if not counts:
            return ""
        captions = list(counts)
        settings = self._settings
        scores = agreement(captions, list(counts.values()), settings.rarity)
        bonus = settings.own_words if self.own_words is None else self.own_words
        own = [bonus * (fingerprint(words) not in settings.known) for words in captions]
        return sentence(captions[max(range(len(captions)), key=lambda i: (scores[i] + own[i], -i))])

    def _write(self, maps: NDArray[np.float32], vectors: NDArray[np.float32]) -> list[list[Words]]:
        """`samples` captions per row, the first the most probable word by word, the others drawn."""
        import numpy as np

        settings, decoder = self._settings, self._decoder
        n, k, size = len(maps), max(1, self.samples), len(settings.tokens)
        # Drawn alike for every image (Gumbel-max): a caption does not depend on what else is in the batch.
        luck = np.random.default_rng(0)
        layers, _, _, _, _, width = next(i.shape for i in decoder.get_inputs() if i.name == "past")
        past = np.zeros((layers, 2, n, k, 1, width), np.float32)
        barred = np.zeros(size, np.float32)
        barred[[i for i in range(size) if settings.tokens[i].startswith("<") and i != settings.end]] = -np.inf
        tokens = np.full((n, k), settings.starts[self._style], np.int64)
        written = np.full((n, k, settings.longest), settings.end, np.int64)
        open_ = np.ones((n, k), bool)
        for order in range(settings.longest):
            feed = {"map": maps, "embedding": vectors, "tokens": tokens, "order": np.array([order]), "past": past}
            logits, past = decoder.run(["logits", "present"], feed)
            noise = luck.gumbel(size=(k, size)).astype(np.float32)
            noise[0] = 0
            logits += barred
            likely = logits >= logits.max(-1, keepdims=True) + math.log(LEAST_LIKELY)
            tokens = np.where(likely, logits / TEMPERATURE + noise, -np.inf).argmax(-1)
            tokens[~open_] = settings.end
            written[:, :, order] = tokens
            open_ &= tokens != settings.end
            if not open_.any():
                break
        return [
            [self._words(row) for row, done in zip(rows, ~still, strict=True) if done]
            for rows, still in zip(written, open_, strict=True)
        ]

    def _words(self, row: NDArray[np.int64]) -> Words:
        settings = self._settings
        return tuple(settings.tokens[i] for i in row if i != settings.end)

    # -- the parts ----------------------------------------------------------------------------------

    @functools.cached_property
    def _encoder(self) -> Any:
        return rsrag.create("encoder", "starter", path=self.path)

    def _pixels(self, scene: Scene) -> NDArray[np.float32] | None:
        """(3, size, size) in 0..1, as the encoder makes them; None for a scene that it was not made for."""
        import numpy as np
        from PIL import Image

        if unsuitable(scene, self._encoder.max_gsd_m):
            return None
        rgb, size = scene.rgb(512), self._encoder.size
        if unphotographic(rgb):
            return None
        image = Image.fromarray(rgb)
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.LANCZOS)
        pixels: NDArray[np.float32] = np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)
        return pixels

    @functools.cached_property
    def _folder(self) -> Path:
        folder: Path = self._encoder.folder
        missing = [name for name in (DECODER, SETTINGS) if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"there is no captioner in {folder}: it has no {missing[0]}.",
                "Make one with `rsrag train captioner`, or give another folder as captioners.starter.path.",
            )
        return folder

    @functools.cached_property
    def _settings(self) -> Settings:
        file = self._folder / SETTINGS
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}, not {FORMAT}")
            known = base64.b64decode(found["known"], validate=True)
            return Settings(
                tokens=tuple(found["tokens"]),
                end=int(found["end"]),
                starts=dict(found["starts"]),
                style=str(found["style"]),
                longest=int(found["longest"]),
                own_words=float(found["own_words"]),
                rarity=dict(zip(found["tokens"], found["rarity"], strict=True)),
                known=frozenset(int.from_bytes(known[i : i + 4], "big") for i in range(0, len(known), 4)),
                tower=str(found["tower"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ModelError(
                f"{file} cannot be read ({reason[:120]}).", "Train or copy the captioner again."
            ) from error

    @functools.cached_property
    def _style(self) -> str:
        style, starts = self.style or self._settings.style, self._settings.starts
        if style not in starts:
            raise UsageError(f"captioner 'starter' has no style '{style}'.", f"There are: {', '.join(starts)}.")
        return style

    @functools.cached_property
    def _decoder(self) -> Any:
        return self._session(self._folder / DECODER)

    @functools.cached_property
    def _tower(self) -> Any:
        file = self._folder / "image.onnx"
        if digest_of(file) != self._settings.tower:
            raise ModelError(
                f"{self._folder / DECODER} was trained with another image tower than the image.onnx beside it.",
                "Train the captioner on this one with `rsrag train captioner`.",
            )
        return self._session(file)

    def _session(self, file: Path) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"{file} cannot be loaded ({str(error).splitlines()[0][:120]}).",
                "Copy the file again; it may be cut off.",
            ) from error


def digest_of(file: Path) -> str:
    """Which weights a file holds."""
    return hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
