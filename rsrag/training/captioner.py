"""Train the captioner: from images with captions to the files that `captioner = "starter"` loads.

    examples -> pixels -> views through the frozen tower -> decoder -> captioner.onnx, captioner.json -> report

The tower is not trained. What it sees of a few turned and cropped views of every image is computed once and kept, so
that an epoch costs the decoder alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag import __version__
from rsrag.api import create
from rsrag.errors import UsageError

from .caption_scores import Mean, central, cider, document_frequency, mean
from .captioner_fit import Material, Recipe, fit
from .decoder import LONGEST, Shape, export_decoder
from .examples import Example, collect
from .export import need_onnx
from .fit import Progress
from .pixels import cache_pixels
from .validation import Share, share
from .views import see
from .vocabulary import END, Vocabulary, plain, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .views import Seen

SIDE = 160
FORMAT = 1
ENCODER = ("image.onnx", "text.onnx", "tokenizer.json", "encoder.json")
SAMPLES = 12
"""Captions of validation images that the report shows."""
OWN_WORDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6)
"""How much agreement a caption of its own may lack against one it was trained on: the least that does is taken."""
COPIES = 0.25
TRIED = 250
"""Of so many validation images this share may get a caption that is in the training data word by word."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run. `left_out`: captions too long or with words too rare to learn. `scores`: measure -> mean on
    the validation images; `copies`: data set -> share of captions that are in the training data word by word;
    `samples`: (image, what was written); all three are empty until finished."""

    folder: Path
    finished: bool
    step: int
    steps: int
    seconds: float
    data: str
    left_out: int
    problems: tuple[tuple[str, str], ...]
    scores: Mapping[str, Mean]
    copies: Mapping[str, Share]
    samples: tuple[tuple[str, str], ...]


def train_captioner(
    data: Sequence[Path | str],
    encoder: str,
    out: Path,
    recipe: Recipe,
    *,
    style: str = "",
    minutes: float = math.inf,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Train, or go on training, a captioner for the encoder in the folder `encoder` ("" is the shipped one).

    `data`: manifests, folders or webdataset tars with captions (see `examples.collect`); `style`: the data set that is
    imitated unless told otherwise ("" is the one with the most different captions). `minutes` bounds this call.
    Writes captioner.pt as it goes, and at the end captioner.onnx, captioner.json and captioner-report.json into `out`,
    beside a copy of the encoder. Raises `UsageError` and `ModelError`.
    """
    need_onnx("onnxscript")
    began = time.monotonic()
    collected = collect(list(data))
    examples = [e for e in collected.examples if e.captions]
    if not any(e.split == "train" for e in examples):
        raise UsageError("there is no image with a caption to train on.", 'Add "captions" to the data\'s rows.')
    starter = create("encoder", "starter", path=encoder)
    tower, size = starter.folder / "image.onnx", starter.size
    out.mkdir(parents=True, exist_ok=True)
    pixels, kept, unreadable = cache_pixels(examples, max(SIDE, size), out / "cache")
    examples = [examples[i] for i in kept]
    problems = (*collected.problems, *unreadable)

    train = [i for i, e in enumerate(examples) if e.split == "train"]
    vocabulary = Vocabulary.of(
        (words_of(c) for i in train for c in examples[i].captions), (examples[i].dataset for i in train)
    )
    ids = vocabulary.ids()
    written = {i: _written(examples[i], vocabulary, ids) for i in train}
    left_out = sum(len(examples[i].captions) - len(written[i]) for i in train)
    train = [i for i in train if written[i]]
    if not train:
        raise UsageError(
            "no caption can be learnt: every one has a word that occurs less than three times.", "Give more captions."
        )
    chosen = _style(style, vocabulary, examples, train)
    say(f"{len(train):,} images, {len(vocabulary.words):,} words; {left_out:,} captions with rarer words left out.")

    def seen(rows: Sequence[int], views: int, name: str) -> Seen:
        return see(tower, pixels, rows, size, views, recipe.seed, out / "cache" / name, say)

    material = Material(*seen(train, recipe.views, "train"), [written[i] for i in train])
    _, _, cells, channels = material.maps.shape
    decoder = {name: getattr(recipe, name) for name in ("width", "hidden", "layers", "heads")}
    shape = Shape(len(vocabulary.tokens), cells, channels, material.vectors.shape[2], **decoder)
    fitted = fit(shape, vocabulary.tokens, material, recipe, out, minutes=minutes, progress=progress)
    report = Report(
        out, fitted.finished, fitted.step, fitted.steps, 0.0, _about(examples), left_out, problems, {}, {}, ()
    )
    if fitted.finished:
        say("Exporting and validating.")
        _copy_encoder(starter.folder, out)
        export_decoder(fitted.decoder, shape, out / "captioner.onnx")
        settings = _settings(out, vocabulary, chosen, shape, [examples[i] for i in train])
        _write_settings(out, settings)
        held = {}
        for dataset in vocabulary.styles:
            rows = [i for i, e in enumerate(examples) if e.split == "val" and e.dataset == dataset]
            if rows:
                maps, vectors = (part[:, 0].astype("float32") for part in seen(rows, 1, f"val-{dataset}"))
                held[dataset] = _Held(rows, maps, vectors)
        known = {plain(c) for i in train for c in examples[i].captions}
        if chosen in held:
            _write_settings(out, {**settings, "own_words": _own_words(out, held[chosen], chosen, known)})
        report = _validate(report, examples, held, train, material.vectors[:, 0].astype("float32"), known)
        report = replace(report, seconds=time.monotonic() - began)
        _write_report(report, recipe)
    return replace(report, seconds=time.monotonic() - began)


def _written(example: Example, vocabulary: Vocabulary, ids: Mapping[str, int]) -> list[list[int]]:
    """Its captions as token ids, from the start of its style to the end; without those that cannot be written."""
    captions = [words_of(c) for c in example.captions]
    return [
        [vocabulary.start(example.dataset), *(ids[w] for w in words), END]
        for words in captions
        if 0 < len(words) < LONGEST and all(w in ids for w in words)
    ]


def _style(style: str, vocabulary: Vocabulary, examples: Sequence[Example], train: Sequence[int]) -> str:
    if style and style not in vocabulary.styles:
        raise UsageError(f"there is no data set '{style}'.", f"There are: {', '.join(vocabulary.styles)}.")
    different = {(examples[i].dataset, plain(c)) for i in train for c in examples[i].captions}
    return style or Counter(dataset for dataset, _ in sorted(different)).most_common(1)[0][0]


def _about(examples: Sequence[Example]) -> str:
    train = sum(e.split == "train" for e in examples)
    return (
        f"{', '.join(sorted({e.dataset for e in examples}))}: {len(examples):,} images ({train:,} train, "
        f"{len(examples) - train:,} val), {len({plain(c) for e in examples for c in e.captions}):,} different captions"
    )


def _copy_encoder(folder: Path, out: Path) -> None:
    if folder.resolve() != out.resolve():
        for name in ENCODER:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, out / name)


def _settings(
    out: Path, vocabulary: Vocabulary, style: str, shape: Shape, examples: Sequence[Example]
) -> dict[str, Any]:
    """captioner.json: what the decoder's numbers mean, and which captions it must not take for its own."""
    texts = [{plain(c) for c in e.captions} for e in examples]
    seen = Counter(word for captions in texts for word in {w for c in captions for w in c.split()})
    known = {hashlib.blake2b(c.encode(), digest_size=4).digest() for captions in texts for c in captions}
    return {
        "format": FORMAT,
        "tower": hashlib.blake2b((out / "image.onnx").read_bytes(), digest_size=8).hexdigest(),
        "style": style,
        "starts": {name: vocabulary.start(name) for name in vocabulary.styles},
        "end": END,
        "longest": shape.longest,
        "own_words": OWN_WORDS[0],
        "tokens": vocabulary.tokens,
        "rarity": [round(math.log(len(texts) / seen[t]), 2) if seen[t] else 0.0 for t in vocabulary.tokens],
        "known": base64.b64encode(b"".join(sorted(known))).decode(),
    }


def _write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    (out / "captioner.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Held:
    """A data set's validation images: positions in the examples, maps (n, cells, channels) and vectors (n, dim)."""

    rows: Sequence[int]
    maps: NDArray[np.float32]
    vectors: NDArray[np.float32]

    def part(self, most: int) -> _Held:
        """At most so many, from everywhere."""
        step = -(-len(self.rows) // most)
        return _Held(self.rows[::step], self.maps[::step], self.vectors[::step])

    def described(self, out: Path, **options: Any) -> list[str]:
        captioner = create("captioner", "starter", path=str(out), **options)
        captions: list[str] = captioner.describe(self.maps, self.vectors)
        return captions


def _own_words(out: Path, held: _Held, style: str, known: set[str]) -> float:
    """How strongly to prefer own words, so that few captions are copies. Some images have nothing new to be said about
    them; then the strongest."""
    part = held.part(TRIED)
    for strength in OWN_WORDS:
        captions = part.described(out, style=style, own_words=strength)
        if sum(plain(c) in known for c in captions) <= COPIES * len(captions):
            break
    return strength


def _validate(
    report: Report,
    examples: Sequence[Example],
    held: Mapping[str, _Held],
    train: Sequence[int],
    vectors: NDArray[np.float32],
    known: set[str],
) -> Report:
    """CIDEr-D per data set, beside that of the most telling caption of the nearest training image."""
    scores: dict[str, Mean] = {}
    copies: dict[str, Share] = {}
    samples: list[tuple[str, str]] = []
    for dataset, images in held.items():
        captions = images.described(report.folder, style=dataset)
        own = [[plain(c).split() for c in examples[i].captions] for i in images.rows]
        pool = [position for position, i in enumerate(train) if examples[i].dataset == dataset]
        gallery = [[plain(c).split() for c in examples[train[position]].captions] for position in pool]
        frequency = document_frequency(gallery)
        near = (images.vectors @ vectors[pool].T).argmax(1)
        nearest = [gallery[j][central(gallery[j], frequency, len(gallery))] for j in near]
        scores[f"{dataset}: CIDEr-D"] = mean(cider([plain(c).split() for c in captions], own))
        scores[f"{dataset}: CIDEr-D of the nearest image's caption"] = mean(cider(nearest, own))
        copies[dataset] = share([plain(c) in known for c in captions])
        shown = list(zip(images.rows, captions, strict=True))[:: -(-len(captions) // SAMPLES)]
        samples += [(str(examples[i].image), caption) for i, caption in shown]
    return replace(report, scores=scores, copies=copies, samples=tuple(samples))


def _write_report(report: Report, recipe: Recipe) -> None:
    about = {
        "kind": "captioner",
        "rsrag": __version__,
        "data": report.data,
        "problems": len(report.problems),
        "captions_left_out": report.left_out,
        "recipe": asdict(recipe),
        "seconds": round(report.seconds),
        "validation": {
            k: {"mean": round(m.value, 4), "low": round(m.low, 4), "high": round(m.high, 4), "n": m.n}
            for k, m in report.scores.items()
        },
        "copies": {k: {"copied": s.right, "n": s.n, "share": round(s.value, 4)} for k, s in report.copies.items()},
        "samples": [{"image": image, "caption": caption} for image, caption in report.samples],
    }
    (report.folder / "captioner-report.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
