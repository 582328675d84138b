"""Towers as ONNX files that run without torch: weights stored in half precision, computed in full."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsrag.errors import UsageError

SMALL = 256
"""Initializers of fewer values stay in full precision: biases and scales weigh nothing."""


def need_onnx(*also: str) -> None:
    """Raises `UsageError` when onnx, or what else exporting needs, is not installed."""
    import importlib.util

    for package in ("onnx", *also):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"exporting needs the package {package}.", 'pip install "rsrag[training]"')


def export_tower(tower: Any, file: Path, size: int) -> None:
    """Write an image tower: `pixels` float32 (batch, 3, height, width) in 0..1 -> `embedding` (batch, dim) with unit
    rows, and `map` (batch, cells, channels), what each cell of the image shows."""
    import onnx
    import torch

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = tower.eval().cpu()

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            embedding, features = self.tower(pixels)
            return embedding, features.flatten(2).transpose(1, 2)

    buffer: Any = io.BytesIO()
    with _quiet():
        # The exporter that traces takes seconds where the newer one takes minutes for the same graph.
        torch.onnx.export(
            Exported().eval(),
            (torch.rand(2, 3, size, size),),
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["embedding", "map"],
            dynamic_axes={
                "pixels": {0: "batch", 2: "height", 3: "width"},
                "embedding": {0: "batch"},
                "map": {0: "batch", 1: "cells"},
            },
        )
    model = halve(onnx.load_from_string(buffer.getvalue()))
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, file)


def halve(model: Any) -> Any:
    """Store the large float32 initializers as float16 and cast them back inside the graph, once, at loading."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALL or np.abs(values).max() > 60_000:
            continue
        name = tensor.name
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    del model.graph.value_info[:]
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters talk; what goes wrong is raised all the same."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
