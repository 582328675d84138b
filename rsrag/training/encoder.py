"""Train an image tower into the space of a text tower: from a manifest to a folder that `encoder = "starter"` loads."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag import __version__
from rsrag.api import create
from rsrag.errors import UsageError

from . import validation
from .examples import Example, collect
from .export import export_tower, need_onnx
from .fit import Fitted, Material, Progress, Recipe, fit
from .pixels import cache_pixels
from .prompts import Classes, make_classes, read_names
from .towers import make_tower
from .validation import Share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 160
"""Images are kept at this side while training: enough for a 128 px view that is zoomed in."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run. `shares`: measure -> share right on the validation images; empty until finished."""

    folder: Path
    finished: bool
    step: int
    steps: int
    seconds: float
    data: str
    problems: tuple[tuple[str, str], ...]
    shares: Mapping[str, Share]


def train_encoder(
    data: Sequence[Path | str],
    out: Path,
    recipe: Recipe,
    *,
    text: str = "",
    names: Path | None = None,
    without: Sequence[str] = (),
    max_gsd_m: float | None = None,
    minutes: float = math.inf,
    device: str = "auto",
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Train, or go on training, an encoder on pairs; export and validate it once its steps are done.

    `data`: manifests, folders per class or webdataset tars (see `examples.collect`); `text`: a folder with the
    text tower to align to ("" is the starter's); `names`: TOML of label -> phrases; `without`: labels that are kept
    out of training and validation, to see how well they are named all the same. `max_gsd_m`: the coarsest ground sample
    distance in the data, metres; coarser images will get no label. `minutes` bounds this call.
    Writes checkpoint.pt as it goes, and at the end image.onnx, text.onnx, tokenizer.json, encoder.json,
    tower.safetensors, report.json and README.md into `out`. Raises `UsageError` and `ModelError`.
    """
    need_onnx()
    began = time.monotonic()
    collected = collect(list(data))
    examples = [e for e in collected.examples if e.label not in set(without)]
    unknown = set(without) - {e.label for e in collected.examples}
    if unknown:
        raise UsageError(f"no image has the label '{min(unknown)}'.", "Labels are written as the data writes them.")
    out.mkdir(parents=True, exist_ok=True)
    say(f"Reading {len(examples):,} images, once.")
    pixels, kept, unreadable = cache_pixels(examples, SIDE, out / "cache")
    examples = [examples[i] for i in kept]
    problems = (*collected.problems, *unreadable)
    encoder = create("encoder", "starter", path=text)
    spoken = read_names(names) if names else {}
    train = [i for i, e in enumerate(examples) if e.split == "train"]
    if not train:
        raise UsageError(
            "there is nothing to train on: every image is for validation.", 'Mark rows with "split": "train".'
        )
    say(f"{len(train):,} images to train on, {len(examples) - len(train):,} to validate; {len(problems):,} problems.")
    classes = make_classes({(e.dataset, e.label) for e in examples if e.label}, encoder, spoken, encoder.prompts)
    material, vectors = _material(examples, train, pixels, classes, encoder, out / "cache")
    width = int(material.vectors.shape[1])
    fitted = fit(
        lambda: make_tower(recipe.backbone, width, recipe.init),
        material,
        recipe,
        out,
        minutes=minutes,
        device=device,
        progress=progress,
    )
    report = Report(
        out, fitted.finished, fitted.step, fitted.steps, time.monotonic() - began, _about(examples), problems, {}
    )
    if not fitted.finished:
        return report
    say("Exporting and validating.")
    _write(fitted, encoder.folder, out, recipe.phases[-1][0], max_gsd_m)
    shares = _validate(fitted, examples, pixels, classes, vectors, recipe.phases[-1][0])
    report = replace(report, shares=shares, seconds=time.monotonic() - began)
    _write_report(report, recipe, spoken, out)
    return report


def _about(examples: Sequence[Example]) -> str:
    sets = sorted({e.dataset for e in examples})
    labels = {(e.dataset, e.label) for e in examples if e.label}
    train = sum(e.split == "train" for e in examples)
    return (
        f"{', '.join(sets)}: {len(examples):,} images ({train:,} train, {len(examples) - train:,} val), "
        f"{len(labels)} classes, {len({c for e in examples for c in e.captions}):,} different captions"
    )


def _material(
    examples: Sequence[Example],
    train: Sequence[int],
    pixels: NDArray[np.uint8],
    classes: Classes,
    encoder: Any,
    cache: Path,
) -> tuple[Material, dict[str, NDArray[np.float32]]]:
    import numpy as np

    captions = sorted({c for e in examples for c in e.captions})
    vectors = _encoded(captions, encoder, cache)
    place = {caption: i for i, caption in enumerate(captions)}
    index = classes.index()
    sets = sorted({e.dataset for e in examples})
    allowed = np.zeros((len(sets), max(1, len(classes.keys))), bool)
    for column, (dataset, _) in enumerate(classes.keys):
        allowed[sets.index(dataset), column] = True
    material = Material(
        pixels=pixels[np.array(train)] if len(train) < len(examples) else pixels,
        target=np.array([index.get((examples[i].dataset, examples[i].label), -1) for i in train]),
        dataset=np.array([sets.index(examples[i].dataset) for i in train]),
        allowed=allowed,
        captions=tuple(np.array([place[c] for c in examples[i].captions], np.int64) for i in train),
        vectors=vectors,
        bank=classes.bank or (np.zeros((1, vectors.shape[1]), np.float32),),
    )
    return material, dict(zip(captions, vectors, strict=True))


def _encoded(captions: Sequence[str], encoder: Any, cache: Path) -> NDArray[np.float32]:
    """The captions' vectors, kept in the cache between calls."""
    import hashlib

    import numpy as np

    weights = (encoder.folder / "text.onnx").read_bytes()
    digest = hashlib.blake2b(weights + "\0".join(captions).encode(), digest_size=8).hexdigest()
    file = cache / f"captions-{digest}.npy"
    if file.is_file():
        kept: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return kept
    vectors: NDArray[np.float32] = encoder.encode_texts(captions)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(file, vectors, allow_pickle=False)
    return vectors


def _write(fitted: Fitted, text: Path, out: Path, size: int, max_gsd_m: float | None) -> None:
    from safetensors.torch import save_file

    tensors = {k: v.contiguous().cpu() for k, v in fitted.tower.state_dict().items()}
    save_file(tensors, out / "tower.safetensors")
    export_tower(fitted.tower, out / "image.onnx", size)
    settings = {"size": size, "max_gsd_m": max_gsd_m}
    (out / "encoder.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")
    for name in ("text.onnx", "tokenizer.json"):
        if (text / name).resolve() != (out / name).resolve():
            shutil.copyfile(text / name, out / name)


def _validate(
    fitted: Fitted,
    examples: Sequence[Example],
    pixels: NDArray[np.uint8],
    classes: Classes,
    vectors: Mapping[str, NDArray[np.float32]],
    size: int,
) -> dict[str, Share]:
    import numpy as np
    from PIL import Image

    def embed(rows: Sequence[int], change: Callable[[Image.Image], Image.Image] | None = None) -> tuple[Any, Any]:
        return _embed(fitted, (Image.fromarray(pixels[i]) for i in rows), size, change)

    shares: dict[str, Share] = {}
    index = classes.index()
    for dataset in sorted({e.dataset for e in examples}):
        rows = [i for i, e in enumerate(examples) if e.dataset == dataset and e.split == "val"]
        own = classes.of(dataset)
        if not rows:
            continue
        images, classified = embed(rows)
        if any(examples[i].captions for i in rows):
            captions = [examples[i].captions for i in rows]
            shares[f"{dataset}: text to image, R@10"] = validation.by_caption(images, captions, vectors, 10)
        if len(own) < 2:
            continue
        target = np.array([own.index(index[dataset, examples[i].label]) if examples[i].label else -1 for i in rows])
        known = target >= 0
        shares[f"{dataset}: class prompts"] = validation.by_prompt(images[known], classes.names[own], target[known])
        shares[f"{dataset}: softmax classifier"] = validation.share(
            classified[known][:, own].argmax(1) == target[known]
        )
        gallery = [i for i, e in enumerate(examples) if e.dataset == dataset and e.split == "train" and e.label]
        labels = np.array([own.index(index[dataset, examples[i].label]) for i in gallery])
        shares[f"{dataset}: nearest neighbour"] = validation.by_neighbour(
            images[known], target[known], embed(gallery)[0], labels
        )
        for name, change in validation.CHANGES.items():
            changed = embed(rows, change)[0]
            shares[f"{dataset}: class prompts, {name}"] = validation.by_prompt(
                changed[known], classes.names[own], target[known]
            )
    return shares


def _embed(fitted: Fitted, images: Any, size: int, change: Any) -> tuple[Any, Any]:
    """(embeddings (n, dim), logits of the softmax classifier (n, classes))."""
    import numpy as np
    import torch
    from PIL import Image

    rows = []
    for image in images:
        seen = change(image) if change else image
        rows.append(np.asarray(seen.resize((size, size), Image.Resampling.LANCZOS)))
    device = next(fitted.tower.parameters()).device
    embedded, classified = [], []
    with torch.no_grad():
        for start in range(0, len(rows), 128):
            part = torch.from_numpy(np.stack(rows[start : start + 128])).to(device).permute(0, 3, 1, 2).float() / 255
            pooled, _ = fitted.tower.pooled(part.contiguous(memory_format=torch.channels_last))
            embedded.append(fitted.tower.project(pooled).cpu().numpy())
            classified.append(fitted.classifier(pooled).cpu().numpy())
    return np.concatenate(embedded), np.concatenate(classified)


def _write_report(report: Report, recipe: Recipe, names: Mapping[str, Sequence[str]], out: Path) -> None:
    from .card import encoder_card

    shares = {k: {"right": s.right, "n": s.n, "share": round(s.value, 4)} for k, s in report.shares.items()}
    about = {
        "kind": "encoder",
        "rsrag": __version__,
        "data": report.data,
        "problems": len(report.problems),
        "recipe": asdict(recipe),
        "seconds": round(report.seconds),
        "validation": shares,
    }
    (out / "report.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(encoder_card(report, recipe, names), encoding="utf-8")
