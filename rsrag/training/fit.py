"""The loop that fits a tower: batches, losses, averaged weights, checkpoints that resume where they stopped.

Every batch is drawn from (seed, step) alone, so a run that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag.errors import ModelError, UsageError

from .augment import Augment, cutmix
from .objective import Weights, among, contrast

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

CHECKPOINT = "checkpoint.pt"
FORMAT = 1
SAVE_EVERY_S = 180.0

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a training run. `phases`: (size in pixels, share of the steps) in order."""

    backbone: str
    init: str = ""
    epochs: float = 30.0
    phases: tuple[tuple[int, float], ...] = ((64, 0.4), (96, 0.4), (128, 0.2))
    batch: int = 128
    rate: float = 1.5e-3
    backbone_rate: float = 0.4
    decay: float = 0.05
    warmup: float = 0.04
    frozen: float = 0.03
    balance: float = 0.5
    average: float = 0.998
    cutmix: float = 0.3
    clustered: float = 0.3
    seed: int = 0
    augment: Augment = field(default_factory=Augment)
    weights: Weights = field(default_factory=Weights)


@dataclass(frozen=True, slots=True)
class Material:
    """What a tower learns from. n images, k classes, t different captions.

    `pixels` uint8 (n, side, side, 3); `target` int (n,) class or -1; `allowed` bool (datasets, k); `dataset` int (n,);
    `captions` per image the rows of `vectors`, float32 (t, dim); `bank` per class float32 (phrases, dim).
    """

    pixels: NDArray[np.uint8]
    target: NDArray[np.int64]
    dataset: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    captions: tuple[NDArray[np.int64], ...]
    vectors: NDArray[np.float32]
    bank: tuple[NDArray[np.float32], ...]


@dataclass
class Fitted:
    """A tower and how far it got. `step` of `steps`; `seconds` of computing so far."""

    tower: Any
    classifier: Any
    step: int
    steps: int
    seconds: float

    @property
    def finished(self) -> bool:
        return self.step >= self.steps


def fit(
    make: Callable[[], Any],
    material: Material,
    recipe: Recipe,
    folder: Path,
    *,
    minutes: float = math.inf,
    device: str = "auto",
    progress: Progress | None = None,
) -> Fitted:
    """Train until the recipe's steps are done or the minutes are spent; goes on from `folder`'s checkpoint.

    Returns the averaged tower, once finished with its BatchNorm statistics estimated anew. Raises `ModelError` when
    memory runs out (naming a batch size to try) or the checkpoint belongs to another recipe.
    """
    import torch

    place = _device(device)
    torch.manual_seed(recipe.seed)
    tower = make().to(place)
    classifier = torch.nn.Linear(tower.pooled_width, len(material.bank)).to(place)
    scales = torch.nn.Parameter(torch.tensor([math.log(20.0), math.log(20.0)], device=place))
    averaged = make().to(place)
    averaged.load_state_dict(tower.state_dict())
    steps = max(1, round(recipe.epochs * len(material.target) / recipe.batch))
    optimizer = torch.optim.AdamW(_groups(tower, classifier, scales, recipe))
    state = _State(tower, averaged, classifier, scales, optimizer)
    step, seconds = state.load(folder / CHECKPOINT, recipe)
    began, saved = time.monotonic(), time.monotonic()
    try:
        while step < steps and time.monotonic() - began < minutes * 60:
            losses = _step(state, material, recipe, step, steps)
            step += 1
            if progress:
                progress(step, steps, losses)
            if time.monotonic() - saved > SAVE_EVERY_S:
                saved = time.monotonic()
                state.save(folder / CHECKPOINT, recipe, step, seconds + saved - began)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error).lower():
            raise ModelError(
                f"out of memory with batches of {recipe.batch} at {_size(recipe, step / steps)} px.",
                f"Try --batch {max(8, recipe.batch // 2)}; training goes on from the last checkpoint.",
            ) from error
        raise
    finally:
        if step:
            state.save(folder / CHECKPOINT, recipe, step, seconds + time.monotonic() - began)
    if step >= steps:
        settle(averaged, material, recipe)
    return Fitted(averaged.eval(), classifier.eval(), step, steps, seconds + time.monotonic() - began)


def _device(name: str) -> torch.device:
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there.get(name.partition(":")[0]):
        raise UsageError(
            f"this torch has no device '{name}'.", f"There are: {', '.join(k for k in there if there[k])}."
        )
    return torch.device(name)


def settle(tower: Any, material: Material, recipe: Recipe, batches: int = 40) -> None:
    """Estimate BatchNorm statistics for averaged weights: averaging the statistics themselves is unstable."""
    import torch

    norms = [m for m in tower.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches below
    tower.train()
    place = norms[0].weight.device if norms else torch.device("cpu")
    size = recipe.phases[-1][0]
    with torch.no_grad():
        for number in range(batches):
            generator = torch.Generator().manual_seed(recipe.seed * 7_919 + number)
            rows = torch.randint(0, len(material.target), (recipe.batch,), generator=generator)
            tower(recipe.augment.view(_pixels(material, rows.numpy(), place), size, generator))
    tower.eval()
    for norm in norms:
        norm.momentum = 0.1


def _step(state: _State, material: Material, recipe: Recipe, step: int, steps: int) -> dict[str, float]:
    import torch
    import torch.nn.functional as F

    done = step / steps
    generator = torch.Generator().manual_seed((recipe.seed + 1) * 1_000_003 + step)
    torch.manual_seed(recipe.seed * 1_000_003 + step)  # for what draws without a generator: dropout
    rows = _rows(material, recipe, step)
    tower, weights, place = state.tower.train(), recipe.weights, state.scales.device
    frozen = done < recipe.frozen
    view = recipe.augment.view(_pixels(material, rows, place), _size(recipe, done), generator)
    target = torch.from_numpy(material.target[rows]).to(place)
    allowed = torch.from_numpy(material.allowed[material.dataset[rows]]).to(place)
    mixed = not frozen and float(torch.rand(1, generator=generator)) < recipe.cutmix
    order, kept = torch.arange(len(rows), device=place), 1.0
    if mixed:
        view, order, kept = cutmix(view, generator)
    if frozen:
        with torch.no_grad():
            pooled, _ = tower.pooled(view)
    else:
        pooled, _ = tower.pooled(view)
    embedded = tower.project(pooled)
    prompts = _prompts(material, generator).to(place)
    scales = state.scales.exp().clamp(5.0, 60.0)
    named = scales[0] * embedded @ prompts.T
    classified = state.classifier(pooled)
    losses = {}
    for name, logits, weight in (("prompts", named, weights.prompts), ("classes", classified, weights.classes)):
        own = among(logits, target, allowed, weights.smoothing)
        if mixed:
            # A view of two images is judged by both, among the classes of both their data sets.
            other = among(logits, target[order], allowed[order], weights.smoothing)
            own = kept * own + (1 - kept) * other
        losses[name] = weight * own
    if not mixed and weights.captions:
        picked = [_pick(material.captions[i], generator) for i in rows]
        has = [i for i, caption in enumerate(picked) if caption >= 0]
        if len(has) > 1:
            ids = torch.tensor([picked[i] for i in has])
            vectors = torch.from_numpy(material.vectors[ids.numpy()]).to(place)
            losses["captions"] = weights.captions * contrast(embedded[has], vectors, ids.to(place), scales[1], weights)
    loss: Any = torch.stack(list(losses.values())).sum()
    rate = _rate(recipe, done)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["share"]
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(tower.parameters(), 5.0)
    state.optimizer.step()
    keep = min(recipe.average, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(state.averaged.parameters(), tower.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        right = (F.softmax(named.masked_fill(~allowed, -1e4), 1).argmax(1) == target).float().mean()
    return {"loss": float(loss.detach()), "right": float(right), **{k: float(v.detach()) for k, v in losses.items()}}


def _rows(material: Material, recipe: Recipe, step: int) -> NDArray[np.int64]:
    """The images of a batch, small data sets more often than their share; some batches draw from few classes, so
    that captions must tell images of one class apart."""
    import numpy as np

    n, batch = len(material.target), min(recipe.batch, len(material.target))
    rng = np.random.default_rng([recipe.seed, step])
    chance = 1 / np.bincount(material.dataset)[material.dataset] ** recipe.balance
    if rng.random() < recipe.clustered and step * batch > n:
        few = np.isin(material.target, rng.choice(np.unique(material.target), 8))
        if few.sum() >= batch:
            chance = chance * few
    return rng.choice(n, batch, replace=False, p=chance / chance.sum())


def _pixels(material: Material, rows: NDArray[np.int64], place: torch.device) -> torch.Tensor:
    import torch

    return torch.from_numpy(material.pixels[rows]).to(place).permute(0, 3, 1, 2)


def _prompts(material: Material, generator: torch.Generator) -> torch.Tensor:
    """One prompt per class: the mean of two of its phrases, another pair each time."""
    import torch

    rows = []
    for bank in material.bank:
        pair = torch.randint(0, len(bank), (2,), generator=generator).numpy()
        rows.append(torch.from_numpy(bank[pair].mean(0)))
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def _pick(captions: NDArray[np.int64], generator: torch.Generator) -> int:
    import torch

    if not len(captions):
        return -1
    return int(captions[int(torch.randint(0, len(captions), (1,), generator=generator))])


def _size(recipe: Recipe, done: float) -> int:
    end = 0.0
    for size, share in recipe.phases:
        end += share
        if done < end:
            return size
    return recipe.phases[-1][0]


def _rate(recipe: Recipe, done: float) -> float:
    warm = min(1.0, done / recipe.warmup) if recipe.warmup else 1.0
    return recipe.rate * max(0.02, warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _groups(tower: Any, classifier: Any, scales: Any, recipe: Recipe) -> Iterator[dict[str, Any]]:
    inside = list(tower.backbone.parameters())
    known = {id(p) for p in inside}
    head = [p for p in tower.parameters() if id(p) not in known] + list(classifier.parameters())
    share = recipe.backbone_rate if recipe.init else 1.0
    for parameters, factor in ((inside, share), (head, 1.0)):
        yield {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.decay, "share": factor}
        yield {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "share": factor}
    yield {"params": [scales], "weight_decay": 0.0, "share": 1.0}


@dataclass
class _State:
    tower: Any
    averaged: Any
    classifier: Any
    scales: Any
    optimizer: Any

    def save(self, file: Path, recipe: Recipe, step: int, seconds: float) -> None:
        import torch

        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        torch.save(
            {
                "format": FORMAT,
                "recipe": asdict(recipe),
                "step": step,
                "seconds": seconds,
                "tower": self.tower.state_dict(),
                "averaged": self.averaged.state_dict(),
                "classifier": self.classifier.state_dict(),
                "scales": self.scales.detach(),
                "optimizer": self.optimizer.state_dict(),
            },
            part,
        )
        part.replace(file)

    def load(self, file: Path, recipe: Recipe) -> tuple[int, float]:
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
        if found.get("format") != FORMAT:
            raise ModelError(f"{file} is not a checkpoint of this rsrag.", "Use another --out folder, or remove it.")
        now = asdict(recipe)
        changed = [k for k, v in now.items() if _plain(found["recipe"].get(k)) != _plain(v)]
        if changed:
            name = changed[0]
            raise ModelError(
                f"{file} was made with {name} = {found['recipe'].get(name)!r}, not {now[name]!r}.",
                "Use the same settings to go on, or another --out folder to start again.",
            )
        self.tower.load_state_dict(found["tower"])
        self.averaged.load_state_dict(found["averaged"])
        self.classifier.load_state_dict(found["classifier"])
        with torch.no_grad():
            self.scales.copy_(found["scales"])
        self.optimizer.load_state_dict(found["optimizer"])
        return int(found["step"]), float(found["seconds"])


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
