"""Any model that open_clip can build: CLIP, SigLIP, RemoteCLIP, GeoRSCLIP, and what people train themselves.

An architecture (a name that open_clip knows, a JSON file, a folder, or a hub id) and weights (a local checkpoint, or a
tag of open_clip's) make an encoder. Nothing is made up: without weights there is no encoder.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import logging
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from rsrag import ModelError, Scene, UsageError
from rsrag.interfaces import Role

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

HUB: Final = "hf-hub:"
CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
DEVICES: Final = ("auto", "cpu", "cuda", "mps")
PRECISIONS: Final = ("fp32", "fp16", "bf16")
BACKENDS: Final = ("torch", "onnx", "onnx-int8")
LEAST_AGREEMENT: Final = {"onnx": 0.9999, "onnx-int8": 0.98}
"""Cosine that each row of an exported tower keeps with torch's; an export below it is not used."""
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
    def _design(self) -> _Design:
        design: _Design = self._part("design", lambda: _read_design(self.model))
        return design

    @property
    def _weights(self) -> Path:
        file: Path = self._part("weights", self._find_weights)
        return file

    @property
    def _config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self._part("config", lambda: _known_config(self._design))
        return config

    @property
    def _tokenizer(self) -> Any:
        return self._part("tokenizer", self._make_tokenizer)

    @property
    def _towers(self) -> _Towers:
        towers: _Towers = self._part("towers", self._make_towers)
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
            return _weights_file(Path(self.checkpoint).expanduser())
        if design.folder:
            found = [design.folder / name for name in WEIGHTS if (design.folder / name).is_file()]
            if found:
                return found[0]
        elif design.on_hub or self.pretrained:
            return _fetch(design, self.pretrained)
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
            return _cached_first(lambda: _open_clip().get_tokenizer(source, context_length=context))
        except Exception as error:
            raise ModelError(
                f"the tokenizer of '{self.model}' cannot be loaded ({said(error)}).",
                "It may have to come from a hub: connect once, or use a folder that holds it.",
            ) from error

    def _make_model(self) -> Any:
        """The model with its weights, on its device, ready for inference."""
        file, design, _ = self._weights, self._design, self._config
        open_clip, device = _open_clip(), pick_device(self.device)
        try:
            model = _cached_first(
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
            raise _misfit(file, self.model, error) from error
        return model.eval()

    def _make_towers(self) -> _Towers:
        if self.backend == "torch":
            return _TorchTowers(self._make_model(), self.precision)
        folder = _export_home(self.export_dir) / (self.id + self.backend.removeprefix("onnx"))
        if not folder.is_dir():
            _export(self._make_model(), self._tokenizer, folder, self.backend)
        return _OnnxTowers(folder)


# -- what it is made of ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Design:
    """An architecture: `name` as open_clip knows it, `label` as people read it; the rest only where it is local."""

    name: str
    label: str
    config: Mapping[str, Any] | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    folder: Path | None = None

    @property
    def on_hub(self) -> bool:
        return self.name.startswith(HUB)


def _read_design(model: str) -> _Design:
    path = Path(model).expanduser()
    folder = path if (path / CONFIG).is_file() else None
    if folder is None and path.suffix != ".json":
        return _Design(model if model.startswith(HUB) else model.replace("/", "-"), slug(model.removeprefix(HUB)))
    file = path / CONFIG if folder else path
    try:
        text = file.read_bytes()
        found = json.loads(text)
        config = found.get("model_cfg", found)
        absent = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in config]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{file} cannot be read as an architecture ({said(error)}).", "Copy it again.") from error
    if absent:
        raise ModelError(f"{file} describes no architecture: it has no '{absent[0]}'.", "See open_clip's own files.")
    digest = hashlib.blake2b(text, digest_size=6).hexdigest()
    label = slug(path.name.removesuffix(".json"))
    # open_clip keeps one table of names per process: a name of its own keeps this one from replacing another.
    return _Design(f"{label}-{digest}", label, config, found.get("preprocess_cfg", {}), digest, folder)


def _known_config(design: _Design) -> Mapping[str, Any]:
    """The description of an architecture; one that is local is made known to open_clip first."""
    open_clip = _open_clip()
    if design.config is not None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{design.name}.json"
            file.write_text(json.dumps(design.config), encoding="utf-8")
            open_clip.add_model_config(file)
    try:
        config: Mapping[str, Any] | None = _cached_first(lambda: open_clip.get_model_config(design.name))
    except Exception as error:
        raise _unreachable(design.name, error) from error
    if config is None:
        near = difflib.get_close_matches(design.name, open_clip.list_models(), n=1, cutoff=0.5)
        raise UsageError(
            f"open_clip has no architecture '{design.name}'.",
            (f"Did you mean '{near[0]}'? " if near else "")
            + f"A JSON file or a folder with {CONFIG} describes one of your own.",
        )
    return config


def _weights_file(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        inside = sorted(f.name for f in path.iterdir() if f.suffix in (".pt", ".safetensors", ".bin"))
        hint = f"Give the file in it: {', '.join(inside[:3])}." if inside else f"There are no weights in it; {CONFIG}?"
        raise ModelError(f"checkpoint {path} is a folder.", hint)
    near = difflib.get_close_matches(path.name, [f.name for f in path.parent.glob("*")], n=1)
    raise ModelError(
        f"there is no checkpoint {path}.", f"Did you mean {near[0]}?" if near else "Download it, or check the path."
    )


def _fetch(design: _Design, tag: str) -> Path:
    """Weights from where open_clip gets them: its cache, a hub or an address of its own."""
    _known_config(design)
    from open_clip import pretrained

    try:
        if design.on_hub:
            return Path(_cached_first(lambda: pretrained.download_pretrained_from_hf(design.name.removeprefix(HUB))))
        where = pretrained.get_pretrained_cfg(design.name, tag)
        if where:
            return Path(_cached_first(lambda: pretrained.download_pretrained(where)))
    except Exception as error:
        raise _unreachable(f"{design.name} {tag}".strip(), error) from error
    tags = pretrained.list_pretrained_tags_by_model(design.name)
    near = difflib.get_close_matches(tag, tags, n=1)
    if Path(tag).expanduser().exists():
        hint = f'A file of weights is given as checkpoint = "{tag}".'
    else:
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(tags) or 'none'}."
    raise UsageError(f"open_clip has no weights called '{tag}' for '{design.name}'.", hint)


def _unreachable(what: str, error: Exception) -> ModelError:
    return ModelError(
        f"'{what}' is not on this machine and cannot be fetched ({said(error)}).",
        "It needs a model hub: connect, or download it elsewhere and give its folder as model or a file as checkpoint.",
    )


def _misfit(file: Path, model: str, error: Exception) -> ModelError:
    """Why weights could not be loaded: the file, or the architecture."""
    from open_clip.factory import load_state_dict

    try:
        shapes = {key: tuple(value.shape) for key, value in load_state_dict(str(file)).items()}
    except Exception as unreadable:
        if "GLOBAL" in str(unreadable):
            return ModelError(
                f"{file} holds Python objects besides weights; they are not loaded, for they could run any code.",
                "Save the state_dict alone, best as .safetensors.",
            )
        # What torch says of a file that is no pickle is advice to run whatever it holds.
        why = "it is none of torch's" if isinstance(unreadable, UnpicklingError) else said(unreadable)
        return ModelError(f"{file} cannot be read as weights ({why}).", "Download or copy it again.")
    alike = _alike(shapes)
    return ModelError(
        f"{file} holds weights of another architecture than '{model}' ({said(error)}).",
        f'They look like {" or ".join(alike)}: model = "{alike[0]}".' if alike else 'Name theirs: model = "...".',
    )


def _alike(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Architectures of open_clip's that weights of these shapes may belong to, the plainest name first."""
    open_clip = _open_clip()
    layers = {key.split(".")[3] for key in shapes if key.startswith("visual.transformer.resblocks.")}
    image, text = shapes.get("visual.conv1.weight", ()), shapes.get("text_projection", ())
    if len(image) != 4 or len(text) != 2:
        return []
    wanted = (image[0], image[-1], len(layers), text[0], text[1])
    found = []
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, words = config["vision_cfg"], config["text_cfg"]
        own = (vision.get("width"), vision.get("patch_size"), vision.get("layers"), words.get("width"))
        if (*own, config["embed_dim"]) == wanted:
            found.append(name)
    return sorted(found, key=len)[:2]


# -- running it -----------------------------------------------------------------------------------


class _Towers(Protocol):
    """The two halves of a model. `transform` makes pixels of a Pillow image; `size` is theirs, (height, width)."""

    transform: Callable[[Any], torch.Tensor]
    size: tuple[int, ...]

    def images(self, pixels: torch.Tensor) -> NDArray[np.float32]: ...
    def texts(self, tokens: torch.Tensor) -> NDArray[np.float32]: ...


class _TorchTowers:
    def __init__(self, model: Any, precision: str) -> None:
        from open_clip.model import get_input_dtype

        self.model = model
        self.settings: dict[str, Any] = dict(model.visual.preprocess_cfg)
        self.transform, self.size = _preprocessing(self.settings)
        self.device = next(model.parameters()).device
        self.dtype = get_input_dtype(precision)

    def images(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        return self._run(self.model.encode_image, pixels.to(self.device, self.dtype))

    def texts(self, tokens: torch.Tensor) -> NDArray[np.float32]:
        return self._run(self.model.encode_text, tokens.to(self.device))

    def _run(self, encode: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            rows: NDArray[np.float32] = encode(batch).float().cpu().numpy()
        return rows


class _OnnxTowers:
    def __init__(self, folder: Path) -> None:
        import onnxruntime

        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 3
        try:
            settings = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
            self._image, self._text = (
                onnxruntime.InferenceSession(str(folder / name), quiet, providers=["CPUExecutionProvider"])
                for name in ("visual.onnx", "textual.onnx")
            )
        except Exception as error:
            raise ModelError(
                f"the exported model in {folder} cannot be loaded ({said(error)}).",
                "Delete the folder; it is made again.",
            ) from error
        self.transform, self.size = _preprocessing(settings)

    def images(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self._image.run(None, {"pixels": pixels.numpy()})[0]
        return rows

    def texts(self, tokens: torch.Tensor) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self._text.run(None, {"tokens": tokens.numpy()})[0]
        return rows


def _preprocessing(settings: Mapping[str, Any]) -> tuple[Callable[[Any], torch.Tensor], tuple[int, ...]]:
    """The model's own way from a Pillow image to pixels, and their size."""
    _open_clip()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    chosen = PreprocessCfg(**settings)
    size = chosen.size if isinstance(chosen.size, tuple | list) else (chosen.size, chosen.size)
    return image_transform_v2(chosen, is_train=False), tuple(size)


def _export_home(given: str) -> Path:
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("rsrag")) / "openclip"


def _export(model: Any, tokenizer: Any, folder: Path, backend: str) -> None:
    """Write both towers to `folder`, which appears only when both give torch's vectors."""
    if importlib.util.find_spec("onnx") is None:
        raise ModelError(f"backend '{backend}' needs the package onnx to export.", 'pip install "rsrag[onnx]"')
    import torch

    towers = _TorchTowers(model.cpu(), "fp32")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *towers.size, generator=generator)
    tokens = tokenizer(["a satellite image of a harbour.", "fields and a road"])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="export-") as scratch:
        new = Path(scratch) / folder.name
        new.mkdir()
        for verb, name, example in (("image", "visual", pixels), ("text", "textual", tokens)):
            try:
                _export_tower(model, verb, example, new / f"{name}.onnx", quantize=backend == "onnx-int8")
            except Exception as error:
                raise ModelError(
                    f"the {verb} tower cannot be exported to ONNX ({said(error)}).", "Use backend = 'torch'."
                ) from error
        (new / "preprocess.json").write_text(json.dumps(towers.settings), encoding="utf-8")
        exported = _OnnxTowers(new)
        for verb, ours, theirs in (
            ("image", exported.images(pixels), towers.images(pixels)),
            ("text", exported.texts(tokens), towers.texts(tokens)),
        ):
            agreement = float((unit_rows(ours, "openclip") * unit_rows(theirs, "openclip")).sum(1).min())
            if agreement < LEAST_AGREEMENT[backend]:
                raise ModelError(
                    f"the exported {verb} tower gives other vectors than the model (cosine {agreement:.3f}).",
                    "Use backend = 'torch'.",
                )
        if not folder.is_dir():  # another process may have been quicker
            new.rename(folder)


def _export_tower(model: Any, verb: str, example: torch.Tensor, file: Path, *, quantize: bool) -> None:
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            rows: torch.Tensor = getattr(self.model, f"encode_{verb}")(batch)
            return rows

    given = "pixels" if verb == "image" else "tokens"
    whole = file.with_suffix(".whole.onnx") if quantize else file
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its one fused operator has no ONNX form
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # on what tracing fixes; the result is compared with torch's
            # The exporter that traces takes seconds where the newer one takes minutes for the same graph.
            torch.onnx.export(
                Tower().eval(),
                (example,),
                str(whole),
                dynamo=False,
                opset_version=17,
                input_names=[given],
                output_names=["rows"],
                dynamic_axes={given: {0: "batch"}, "rows": {0: "batch"}},
            )
            if quantize:
                from onnxruntime.quantization import QuantType, quantize_dynamic

                quantize_dynamic(
                    whole, file, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, per_channel=True
                )
                whole.unlink()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _open_clip() -> Any:
    from rsrag.torchvision_ops import ensure

    ensure()
    import open_clip

    return open_clip


def _cached_first(ask: Callable[[], Any]) -> Any:
    """What `ask` gives without a network; with one only where that fails.

    The hub's client asks whether its copy is the latest before it uses it: that would send word of every start to the
    hub, and cost half a minute where there is no network.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        return ask()
    except Exception:
        if before:
            raise
    finally:
        constants.HF_HUB_OFFLINE = before
    return ask()


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


# -- shared with the other encoders that run on torch ---------------------------------------------


def check_choice(encoder: str, option: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `UsageError` unless `value` is one of those allowed."""
    if value not in allowed:
        near = difflib.get_close_matches(value, allowed, n=1)
        raise UsageError(
            f"encoder '{encoder}' has no {option} '{value}'.",
            f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(allowed)}.",
        )


def pick_device(wanted: str) -> str:
    """ "auto" is the first of cuda, mps and cpu that is there. Raises `ModelError` where the wanted one is not."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, found in there.items() if found)
    if not there[wanted]:
        raise ModelError(f"torch sees no device '{wanted}' here.", 'Use device = "auto", or a torch built for it.')
    return wanted


def unit_rows(rows: NDArray[Any], encoder: str) -> NDArray[np.float32]:
    """float32 (n, dim) with rows of length 1. Raises `ModelError` for a row that has no direction."""
    import numpy as np

    rows = rows.astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        raise ModelError(
            f"encoder '{encoder}' made no vector but NaN, infinity or zeros of {len(bad)} of {len(rows)} items.",
            'Half precision may have overflowed (precision = "fp32"), or the weights are damaged.',
        )
    unit: NDArray[np.float32] = rows / lengths
    return unit


def file_digest(file: Path, *, salt: str = "") -> str:
    """12 hex digits of a file's length, both its ends and 64 samples between: milliseconds, however large it is."""
    length = file.stat().st_size
    digest = hashlib.blake2b(f"{salt}:{length}:".encode(), digest_size=6)
    with file.open("rb") as stream:
        digest.update(stream.read(65536))
        for step in range(1, 64):
            stream.seek(length * step // 64)
            digest.update(stream.read(4096))
        stream.seek(max(0, length - 65536))
        digest.update(stream.read())
    return digest.hexdigest()


def said(error: BaseException) -> str:
    """The first line of an error that says something, cut to fit in a line of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines.pop(0)  # a heading
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:160]


def slug(name: str) -> str:
    """A name with nothing in it but letters, digits, - _ and dots."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-")
