"""Any model that open_clip can build: CLIP, SigLIP, RemoteCLIP, GeoRSCLIP, and what people train themselves.

An architecture (a name that open_clip knows, a JSON file, a folder, or a hub id) and weights (a local checkpoint, or a
tag of open_clip's) make an encoder. Nothing is made up: without weights there is no encoder.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rsrag import ModelError, Scene, UsageError
from rsrag.interfaces import Role

from .on_torch import DEVICES, check_choice, file_digest, pick_device, said, unit_rows
from .openclip_towers import OnnxTowers, TorchTowers, Towers, export, export_home
from .openclip_weights import (
    WEIGHTS,
    Design,
    cached_first,
    fetch,
    import_open_clip,
    known_config,
    misfit,
    read_design,
    weights_file,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

PRECISIONS: Final = ("fp32", "fp16", "bf16")
BACKENDS: Final = ("torch", "onnx", "onnx-int8")
PREVIEW: Final = 512
"""Side in pixels of the picture that scenes have in memory while they are added to a store."""


class OpenClipEncoder:
    """Images and texts in the space of an open_clip model. float32 (n, dim), unit rows.

    `model`: an architecture of open_clip's ("ViT-B-32"), a JSON file that describes one, a folder with
    open_clip_config.json and weights, or "hf-hub:org/name". `checkpoint`: file of weights (.pt of RemoteCLIP or
    GeoRSCLIP, a state_dict or a training checkpoint; .safetensors); `pretrained`: or a tag, which open_clip downloads.
    `device`: auto, cpu, cuda or mps; `precision`: fp32, fp16 or bf16 (slow on CPUs). `batch`: items per pass;
    `workers`: threads that decode the next batch meanwhile. `context`: tokens of a text, 0 for the model's own.
    `backend`: torch, or onnx and onnx-int8 (CPU), whose files are exported once to `export_dir` ("" is the user's data
    folder).
    `max_gsd_m`: coarsest metres per pixel it was trained on; `prompts`: templates of a label.

    `id` names architecture and weights; precision and backend approximate the same vectors and are not part of it.
    onnx-int8 scales activations by the batch, so that its rows depend a little on their neighbours.
    Raises `UsageError` for an impossible option, `ModelError` on first use when the weights are missing, broken or
    another architecture's.
    """

    name: ClassVar[str] = "openclip"
    text_to_text: ClassVar[bool] = False

    def __init__(
        self,
        model: str = "ViT-B-32",
        pretrained: str = "",
        checkpoint: str = "",
        device: str = "auto",
        precision: str = "fp32",
        batch: int = 32,
        workers: int = 4,
        context: int = 0,
        backend: str = "torch",
        export_dir: str = "",
        max_gsd_m: float | None = None,
        prompts: Sequence[str] = ("a satellite image of {}.", "an aerial photo of {}.", "{} seen from above."),
    ) -> None:
        check_choice(self.name, "device", device, DEVICES)
        check_choice(self.name, "precision", precision, PRECISIONS)
        check_choice(self.name, "backend", backend, BACKENDS)
        if backend != "torch" and (precision != "fp32" or device not in ("auto", "cpu")):
            raise UsageError(
                f"encoder 'openclip' with backend '{backend}' runs on the CPU in fp32 or int8.",
                "Leave precision and device out, or take backend = 'torch'.",
            )
        if batch < 1 or workers < 1:
            raise UsageError("encoder 'openclip' needs a batch and workers of 1 or more.", "Example: batch = 32.")
        self.model = model
        self.pretrained = pretrained
        self.checkpoint = checkpoint
        self.device = device
        self.precision = precision
        self.batch = batch
        self.workers = workers
        self.context = context
        self.backend = backend
        self.export_dir = export_dir
        self.max_gsd_m = max_gsd_m
        self.prompts = tuple(prompts)
        self._lock = threading.RLock()
        self._parts: dict[str, Any] = {}

    # -- what it is -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Architecture and a digest of the weights. Loads nothing where these are local."""
        return str(self._part("id", self._make_id))

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._config["embed_dim"])

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest text, with the two that mark its start and end."""
        return int(self._tokenizer.context_length)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text by the model's tokenizer, with those that the model adds."""
        tokenizer = self._tokenizer
        if hasattr(tokenizer, "encode"):  # CLIP's own; the others wrap one of transformers
            return len(tokenizer.encode(text)) + 2
        with self._lock:
            return len(tokenizer.tokenizer(text, verbose=False)["input_ids"])

    # -- encoding ---------------------------------------------------------------------------------

    def encode_texts(self, texts: Sequence[str], role: Role = "passage") -> NDArray[np.float32]:
        """float32 (n, dim), unit rows. A passage beyond `max_tokens` is refused rather than cut; a query is cut."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        if role == "passage":
            for text in texts:
                if (count := self.count_tokens(text)) > self.max_tokens:
                    raise ModelError(
                        f"a text of {count} tokens does not fit encoder 'openclip' ({text[:40]}...).",
                        f"Split it to {self.max_tokens} tokens first; rsrag.chunking does.",
                    )
        rows = []
        for start in range(0, len(texts), self.batch):
            with self._lock:  # tokenizers of transformers are not safe to share between threads
                tokens = self._tokenizer(list(texts[start : start + self.batch]))
            rows.append(self._towers.texts(tokens))
        return unit_rows(np.concatenate(rows), self.name)

    def encode_scenes(self, scenes: Sequence[Scene]) -> NDArray[np.float32]:
        """float32 (n, dim), unit rows: each scene as RGB, resized and cropped as the model was trained."""
        import numpy as np

        if not scenes:
            return np.zeros((0, self.dim), np.float32)
        towers = self._towers  # first, so that a checkpoint that is missing is found before anything is decoded
        return unit_rows(np.concatenate([towers.images(pixels) for pixels in self._pixels(scenes)]), self.name)

    def _pixels(self, scenes: Sequence[Scene]) -> Iterator[torch.Tensor]:
        """Batches of pixels, (b, 3, H, W). While one is in use the next is decoded, and no more than that."""
        import torch
        from PIL import Image

        transform = self._towers.transform
        side = max(PREVIEW, *self._towers.size)

        def pixels(scene: Scene) -> torch.Tensor:
            tensor: torch.Tensor = transform(Image.fromarray(scene.rgb(side)))
            return tensor

        with ThreadPoolExecutor(self.workers) as pool:
            before = None
            for start in range(0, len(scenes), self.batch):
                ahead = [pool.submit(pixels, scene) for scene in scenes[start : start + self.batch]]
                if before:
                    yield torch.stack([future.result() for future in before])
                before = ahead
            if before:
                yield torch.stack([future.result() for future in before])

    # -- parts, made on first use -----------------------------------------------------------------

    def _part(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if name not in self._parts:
                with _own_logging():
                    self._parts[name] = make()
            return self._parts[name]

    @property
    def _design(self) -> Design:
        design: Design = self._part("design", lambda: read_design(self.model))
        return design

    @property
    def _weights(self) -> Path:
        file: Path = self._part("weights", self._find_weights)
        return file

    @property
    def _config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self._part("config", lambda: known_config(self._design))
        return config

    @property
    def _tokenizer(self) -> Any:
        return self._part("tokenizer", self._make_tokenizer)

    @property
    def _towers(self) -> Towers:
        towers: Towers = self._part("towers", self._make_towers)
        return towers

    def _make_id(self) -> str:
        design = self._design
        digest = file_digest(self._weights, salt=f"{design.digest}:{self.context}")
        return f"openclip-{design.label}-{digest}"

    def _find_weights(self) -> Path:
        design = self._design
        if self.pretrained and (self.checkpoint or design.folder or design.on_hub):
            other = f"checkpoint '{self.checkpoint}'" if self.checkpoint else f"the weights that '{self.model}' brings"
            raise UsageError(
                f"encoder 'openclip' is given pretrained '{self.pretrained}' and also {other}.",
                "Leave one out.",
            )
        if self.checkpoint:
            return weights_file(Path(self.checkpoint).expanduser())
        if design.folder:
            found = [design.folder / name for name in WEIGHTS if (design.folder / name).is_file()]
            if found:
                return found[0]
        elif design.on_hub or self.pretrained:
            return fetch(design, self.pretrained)
        raise ModelError(
            f"encoder 'openclip' has no weights for '{self.model}', and random ones would find nothing.",
            'Give a file, checkpoint = "RemoteCLIP-ViT-B-32.pt", or a tag: pretrained = "laion2b_s34b_b79k".',
        )

    def _make_tokenizer(self) -> Any:
        config = self._config  # an architecture that does not exist gets no tokenizer either
        design = self._design
        source = f"local-dir:{design.folder}" if design.folder else design.name
        context = self.context or config["text_cfg"].get("context_length")
        try:
            return cached_first(lambda: import_open_clip().get_tokenizer(source, context_length=context))
        except Exception as error:
            raise ModelError(
                f"the tokenizer of '{self.model}' cannot be loaded ({said(error)}).",
                "It may have to come from a hub: connect once, or use a folder that holds it.",
            ) from error

    def _make_model(self) -> Any:
        """The model with its weights, on its device, ready for inference."""
        file, design, _ = self._weights, self._design, self._config
        open_clip, device = import_open_clip(), pick_device(self.device)
        try:
            model = cached_first(
                lambda: open_clip.create_model(
                    design.name,
                    self.pretrained or None,  # for the preprocessing that goes with the tag
                    load_weights=False,
                    precision=self.precision,
                    device=device,
                    force_context_length=self.context or None,
                    force_preprocess_cfg=dict(design.preprocess),
                    pretrained_text=False,
                )
            )
        except Exception as error:
            raise ModelError(
                f"architecture '{self.model}' cannot be built ({said(error)}).", "Check its description."
            ) from error
        try:
            open_clip.load_checkpoint(model, str(file))
        except Exception as error:
            raise misfit(file, self.model, error) from error
        return model.eval()

    def _make_towers(self) -> Towers:
        if self.backend == "torch":
            return TorchTowers(self._make_model(), self.precision)
        folder = export_home(self.export_dir) / (self.id + self.backend.removeprefix("onnx"))
        if not folder.is_dir():
            export(self._make_model(), self._tokenizer, folder, self.backend)
        return OnnxTowers(folder)


@contextmanager
def _own_logging() -> Iterator[None]:
    """open_clip logs through the root logger, which would set up logging for the whole program and warn of weights that
    are loaded a moment later."""
    root, handler = logging.getLogger(), logging.NullHandler()

    def drop(record: logging.LogRecord) -> bool:
        return False

    root.addHandler(handler)
    root.addFilter(drop)
    try:
        yield
    finally:
        root.removeFilter(drop)
        root.removeHandler(handler)
