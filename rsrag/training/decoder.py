"""The network that writes captions, a small transformer over a feature map, and its form without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag.errors import UsageError

from .vocabulary import END

if TYPE_CHECKING:
    import torch

LONGEST = 28
LARGE = 4096
"""Matrices of fewer values stay in full precision: they weigh nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a decoder. `tokens`: of its vocabulary; `cells` x `channels`: of a feature map; `dim`: of the
    embedding; `longest`: words of a caption."""

    tokens: int
    cells: int
    channels: int
    dim: int
    width: int
    hidden: int
    layers: int
    heads: int
    longest: int = LONGEST


def make_decoder(shape: Shape, dropout: float = 0.0) -> Any:
    """A small transformer that writes captions word by word, looking at a feature map.

    `forward(map (n, cells, channels), embedding (n, dim), tokens (n, captions, t), past)` returns the logits of each
    next word, (n, captions, t, tokens), and `past` with the t words added. `past` is (layers, 2, n, captions, p, width)
    and begins as zeros with p = 1. All captions of an image share one reading of its map.
    """
    import torch
    import torch.nn.functional as F
    from torch import nn

    def split(x: torch.Tensor) -> torch.Tensor:
        """(rows, t, width) -> (rows, heads, t, width / heads)"""
        return x.reshape(*x.shape[:2], shape.heads, shape.width // shape.heads).transpose(1, 2)

    def joined(x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2).flatten(2)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = shape.width
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
            self.read = nn.Linear(width, 3 * width)
            self.read_out = nn.Linear(width, width)
            self.ask = nn.Linear(width, width)
            self.look = nn.Linear(width, 2 * width)
            self.look_out = nn.Linear(width, width)
            self.think = nn.Linear(width, shape.hidden)
            self.think_out = nn.Linear(shape.hidden, width)
            self.drop = nn.Dropout(dropout)

        def forward(
            self, x: torch.Tensor, memory: torch.Tensor, past: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            n, captions, t, width = x.shape
            query, key, value = self.read(self.norms[0](x)).chunk(3, -1)
            past = torch.cat([past, torch.stack([key, value])], 3)
            earlier = None
            if t > 1:  # a word sees those before it; one alone sees all that is kept
                earlier = torch.ones(t, past.shape[3], dtype=torch.bool).tril(past.shape[3] - t)
            q, k, v = (split(y.flatten(0, 1)) for y in (query, past[0], past[1]))
            seen = joined(F.scaled_dot_product_attention(q, k, v, attn_mask=earlier))
            x = x + self.drop(self.read_out(seen.reshape(n, captions, t, width)))
            query = split(self.ask(self.norms[1](x)).flatten(1, 2))
            key, value = (split(y) for y in self.look(memory).chunk(2, -1))
            seen = joined(F.scaled_dot_product_attention(query, key, value))
            x = x + self.drop(self.look_out(seen.reshape(n, captions, t, width)))
            return x + self.drop(self.think_out(F.gelu(self.think(self.norms[2](x))))), past

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = shape.width
            self.cell_norm = nn.LayerNorm(shape.channels)
            self.cell = nn.Linear(shape.channels, width)
            self.place = nn.Parameter(torch.randn(shape.cells, width) * 0.02)
            self.whole = nn.Linear(shape.dim, width)
            self.memory_norm = nn.LayerNorm(width)
            self.words = nn.Embedding(shape.tokens, width)
            nn.init.normal_(self.words.weight, std=width**-0.5)
            self.order = nn.Embedding(shape.longest + 1, width)
            nn.init.normal_(self.order.weight, std=0.02)
            self.layers = nn.ModuleList(Layer() for _ in range(shape.layers))
            self.norm = nn.LayerNorm(width)
            self.bias = nn.Parameter(torch.zeros(shape.tokens))
            self.drop = nn.Dropout(dropout)

        def forward(
            self,
            map: torch.Tensor,
            embedding: torch.Tensor,
            tokens: torch.Tensor,
            order: torch.Tensor,
            past: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            cells = self.cell(self.cell_norm(map)) + self.place
            whole = self.whole(embedding * shape.dim**0.5)[:, None]
            memory = self.drop(self.memory_norm(torch.cat([whole, cells], 1)))
            x = self.drop(self.words(tokens) * shape.width**0.5 + self.order(order))
            kept = []
            for layer, before in zip(self.layers, past, strict=True):
                x, after = layer(x, memory, before)
                kept.append(after)
            return F.linear(self.norm(x), self.words.weight, self.bias), torch.stack(kept)

    return Decoder()


def nothing_yet(decoder: Any, tokens: torch.Tensor) -> torch.Tensor:
    """The `past` of captions (n, captions, t) of which no word is written."""
    import torch

    return torch.zeros(len(decoder.layers), 2, *tokens.shape[:2], 1, decoder.words.embedding_dim)


def export_decoder(decoder: Any, shape: Shape, file: Path) -> None:
    """Write one step of the decoder: `map`, `embedding`, the last words `tokens` (batch, captions), their place `order`
    (1,) and `past` -> `logits` (batch, captions, tokens) and `present`, which is `past` with one word more."""
    import onnx
    import torch

    from .export import _quiet, need_onnx

    need_onnx("onnxscript")

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder.eval()

        def forward(
            self,
            map: torch.Tensor,
            embedding: torch.Tensor,
            tokens: torch.Tensor,
            order: torch.Tensor,
            past: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            logits, present = self.decoder(map, embedding, tokens[..., None], order, past)
            return logits[:, :, 0], present

    batch, captions, before = (torch.export.Dim(name, min=1) for name in ("batch", "captions", "before"))
    sample = (
        torch.rand(3, shape.cells, shape.channels),
        torch.rand(3, shape.dim),
        torch.full((3, 4), END),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(shape.layers, 2, 3, 4, 5, shape.width),
    )
    with _quiet():
        program = torch.onnx.export(
            Step().eval(),
            sample,
            dynamo=True,
            input_names=["map", "embedding", "tokens", "order", "past"],
            output_names=["logits", "present"],
            dynamic_shapes={
                "map": {0: batch},
                "embedding": {0: batch},
                "tokens": {0: batch, 1: captions},
                "order": {},
                "past": {2: batch, 3: captions, 4: before},
            },
        )
    if program is None:  # pragma: no cover - only without dynamo
        raise UsageError("torch did not export the decoder.")
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(_in_bytes(program.model_proto), file)


def _in_bytes(model: Any) -> Any:
    """Store each row of the large matrices as 8-bit steps of its own size; loading makes float32 of them again.

    A quarter of the size. Plain Cast and Mul, which onnxruntime computes once; it would repeat DequantizeLinear.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    made = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2 or np.prod(tensor.dims) < LARGE:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        steps = (np.abs(values).max(axis=1, keepdims=True) / 127).clip(1e-12).astype(np.float32)
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(
            numpy_helper.from_array(np.rint(values / steps).astype(np.int8), f"{name}_bytes")
        )
        model.graph.initializer.append(numpy_helper.from_array(steps, f"{name}_steps"))
        made.append(helper.make_node("Cast", [f"{name}_bytes"], [f"{name}_whole"], to=TensorProto.FLOAT))
        made.append(helper.make_node("Mul", [f"{name}_whole", f"{name}_steps"], [name]))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*made, *nodes])
    del model.graph.value_info[:]
    return model
