"""Runs the two halves of an open_clip model, for images and for texts: in torch, or exported to ONNX."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from rsrag import ModelError

from .on_torch import said, unit_rows
from .openclip_weights import import_open_clip

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

LEAST_AGREEMENT: Final = {"onnx": 0.9999, "onnx-int8": 0.98}
"""Cosine that each row of an exported tower keeps with torch's; an export below it is not used."""


class Towers(Protocol):
    """The two halves of a model. `transform` makes pixels of a Pillow image; `size` is theirs, (height, width)."""

    transform: Callable[[Any], torch.Tensor]
    size: tuple[int, ...]

    def images(self, pixels: torch.Tensor) -> NDArray[np.float32]: ...
    def texts(self, tokens: torch.Tensor) -> NDArray[np.float32]: ...


class TorchTowers:
    """A model of open_clip's, run by torch on the device that it is on."""

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


class OnnxTowers:
    """What `export` wrote to a folder, run by onnxruntime on the CPU. Raises `ModelError` where it is damaged."""

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
    import_open_clip()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    chosen = PreprocessCfg(**settings)
    size = chosen.size if isinstance(chosen.size, tuple | list) else (chosen.size, chosen.size)
    return image_transform_v2(chosen, is_train=False), tuple(size)


def export_home(given: str) -> Path:
    """The folder of all exports: the one given, or one in the user's data folder."""
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("rsrag")) / "openclip"


def export(model: Any, tokenizer: Any, folder: Path, backend: str) -> None:
    """Write both towers to `folder`, which appears only when both give torch's vectors."""
    if importlib.util.find_spec("onnx") is None:
        raise ModelError(f"backend '{backend}' needs the package onnx to export.", 'pip install "rsrag[onnx]"')
    import torch

    towers = TorchTowers(model.cpu(), "fp32")
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
        exported = OnnxTowers(new)
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
