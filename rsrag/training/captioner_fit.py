"""The loop that fits a decoder of captions: batches, averaged weights, checkpoints that resume where they stopped.

Every step draws its batch and its dropout from (seed, step) alone, so an interrupted run goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag.errors import ModelError

from .decoder import Shape, make_decoder, nothing_yet
from .fit import Progress
from .vocabulary import PAD

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHECKPOINT = "captioner.pt"
FORMAT = 1
SAVE_EVERY_S = 180.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a training run.

    `views`: of each image, the first is the image itself; `captions`: so many of an image's captions per step;
    `forget`: share of the words read that are blanked; `width`, `hidden`, `layers` and `heads`: the decoder's size.
    """

    epochs: float = 8.0
    batch: int = 64
    views: int = 2
    captions: int = 2
    rate: float = 2e-3
    decay: float = 0.05
    warmup: float = 0.05
    smoothing: float = 0.1
    dropout: float = 0.2
    forget: float = 0.1
    average: float = 0.995
    seed: int = 0
    width: int = 256
    hidden: int = 640
    layers: int = 2
    heads: int = 4


@dataclass(frozen=True, slots=True)
class Material:
    """What a decoder learns from: n images, v views of each.

    `maps` float16 (n, v, cells, channels) and `vectors` float16 (n, v, dim), from the frozen tower; `captions`: the
    token ids of each image's captions, from the start of the style to the end.
    """

    maps: NDArray[np.float16]
    vectors: NDArray[np.float16]
    captions: Sequence[Sequence[Sequence[int]]]


@dataclass
class Fitted:
    """A decoder with averaged weights, and how far it got. `seconds` of computing so far."""

    decoder: Any
    step: int
    steps: int
    seconds: float

    @property
    def finished(self) -> bool:
        return self.step >= self.steps


def fit(
    shape: Shape,
    tokens: Sequence[str],
    material: Material,
    recipe: Recipe,
    folder: Path,
    *,
    minutes: float = math.inf,
    progress: Progress | None = None,
) -> Fitted:
    """Train until the recipe's steps are done or the minutes are spent; goes on from `folder`'s checkpoint.

    Raises `ModelError` when memory runs out (naming a batch size to try) or when the checkpoint belongs to another
    decoder, vocabulary or recipe.
    """
    import torch

    torch.manual_seed(recipe.seed)
    decoder, averaged = make_decoder(shape, recipe.dropout), make_decoder(shape)
    averaged.load_state_dict(decoder.state_dict())
    groups = [
        {"params": [p for p in decoder.parameters() if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in decoder.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    state = _State(decoder, averaged, torch.optim.AdamW(groups, betas=(0.9, 0.98)))
    steps = max(1, round(recipe.epochs * len(material.captions) / recipe.batch))
    known = {"shape": asdict(shape), "recipe": asdict(recipe), "tokens": list(tokens)}
    file = folder / CHECKPOINT
    step, seconds = state.load(file, known)
    began = saved = time.monotonic()
    try:
        while step < steps and time.monotonic() - began < minutes * 60:
            loss = _step(state, material, recipe, step, steps)
            step += 1
            if progress:
                progress(step, steps, {"loss": loss})
            if time.monotonic() - saved > SAVE_EVERY_S:
                saved = time.monotonic()
                state.save(file, known, step, seconds + saved - began)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error).lower():
            raise ModelError(
                f"out of memory with batches of {recipe.batch} images.",
                f"Try --batch {max(8, recipe.batch // 2)} and another --out folder; the checkpoint here is kept.",
            ) from error
        raise
    finally:
        if step:
            state.save(file, known, step, seconds + time.monotonic() - began)
    return Fitted(averaged.eval(), step, steps, seconds + time.monotonic() - began)


def _step(state: _State, material: Material, recipe: Recipe, step: int, steps: int) -> float:
    import numpy as np
    import torch
    import torch.nn.functional as F

    rng = np.random.default_rng([recipe.seed, step])
    torch.manual_seed((recipe.seed + 1) * 1_000_003 + step)
    rows = _rows(len(material.captions), recipe, step)
    views = rng.integers(0, material.maps.shape[1], len(rows))
    own = [material.captions[i] for i in rows]
    chosen = [[captions[j] for j in rng.integers(0, len(captions), recipe.captions)] for captions in own]
    length = max(len(caption) for group in chosen for caption in group)
    padded = [[[*caption, *[PAD] * (length - len(caption))] for caption in group] for group in chosen]
    written = torch.tensor(padded)
    read, wanted = written[..., :-1].clone(), written[..., 1:]
    blank = torch.from_numpy(rng.random(read.shape) < recipe.forget)
    blank[..., 0] = False  # the start names the style
    read[blank] = PAD
    maps = torch.from_numpy(material.maps[rows, views].astype(np.float32))
    vectors = torch.from_numpy(material.vectors[rows, views].astype(np.float32))
    state.decoder.train()
    with _half():
        logits = state.decoder(maps, vectors, read, torch.arange(length - 1), nothing_yet(state.decoder, read))[0]
    loss = F.cross_entropy(
        logits.float().flatten(0, 2), wanted.flatten(), ignore_index=PAD, label_smoothing=recipe.smoothing
    )
    for group in state.optimizer.param_groups:
        group["lr"] = _rate(recipe, step / steps)
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(state.decoder.parameters(), 1.0)
    state.optimizer.step()
    keep = min(recipe.average, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(state.averaged.parameters(), state.decoder.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
    return float(loss.detach())


def _half() -> Any:
    """bfloat16 where the processor multiplies it; elsewhere it is slower than float32."""
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _rows(n: int, recipe: Recipe, step: int) -> NDArray[np.int64]:
    """The images of a batch: an epoch is a permutation."""
    import numpy as np

    at, rows = step * recipe.batch, np.zeros(0, np.int64)
    while len(rows) < recipe.batch:
        order = np.random.default_rng([recipe.seed, 0, at // n]).permutation(n)
        part = order[at % n : at % n + recipe.batch - len(rows)]
        rows = np.concatenate([rows, part])
        at += len(part)
    return rows


def _rate(recipe: Recipe, done: float) -> float:
    warm = min(1.0, done / recipe.warmup) if recipe.warmup else 1.0
    return recipe.rate * max(0.02, warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass
class _State:
    decoder: Any
    averaged: Any
    optimizer: Any

    def save(self, file: Path, known: Mapping[str, Any], step: int, seconds: float) -> None:
        import torch

        file.parent.mkdir(parents=True, exist_ok=True)
        parts = {name: getattr(self, name).state_dict() for name in ("decoder", "averaged", "optimizer")}
        part = file.with_suffix(".part")
        torch.save({"format": FORMAT, **known, "step": step, "seconds": seconds, **parts}, part)
        part.replace(file)

    def load(self, file: Path, known: Mapping[str, Any]) -> tuple[int, float]:
        import torch

        if not file.is_file():
            return 0, 0.0
        try:
            found = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ModelError(
                f"the checkpoint {file} cannot be read ({str(error).splitlines()[0][:100]}).",
                "Remove it to start again.",
            ) from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ModelError(f"{file} is not a captioner's checkpoint of this rsrag.", "Use another --out folder.")
        again = "Use the same settings and data to go on, or another --out folder to start again."
        for part in ("shape", "recipe"):
            for name, value in known[part].items():
                if found[part].get(name) != value:
                    raise ModelError(f"{file} was made with {name} = {found[part].get(name)!r}, not {value!r}.", again)
        if found["tokens"] != known["tokens"]:
            raise ModelError(f"{file} was made with another vocabulary.", again)
        for name in ("decoder", "averaged", "optimizer"):
            getattr(self, name).load_state_dict(found[name])
        return int(found["step"]), float(found["seconds"])
