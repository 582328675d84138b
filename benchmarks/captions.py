"""The starter captioner beside the nearest training image's caption: CIDEr-D, copies, words, speed.

    RSRAG_DATA=... python benchmarks/captions.py [--set aid] [--path FOLDER] [--first N] [--json]

Needs imagetext/NAME.jsonl and .tar in $RSRAG_DATA. The baseline describes a validation image by the most central
caption (highest mean CIDEr-D to the image's other captions) of the training image of the same data set that is nearest
by the starter encoder. Document frequencies are those of the validation references; words as `rsrag.training` splits
them. The scores are those of pycocoevalcap's Cider (a test holds them to it). Intervals: 95 %, bootstrap over images.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, arguments, data, say, show, skipped
from PIL import Image

import rsrag
from rsrag.training.caption_scores import central, cider, document_frequency, mean
from rsrag.training.examples import Example, collect
from rsrag.training.vocabulary import plain

TITLE = "Captions"
BETTER = 1.10
COPIES = 0.30


def scene_of(example: Example) -> rsrag.Scene:
    image = Image.open(io.BytesIO(example.image.read())).convert("RGB")
    return rsrag.ArrayReader(np.asarray(image), uri=str(example.image)).scene()


def encoded(encoder: Any, examples: Sequence[Example]) -> np.ndarray:
    parts = []
    for start in range(0, len(examples), 256):
        parts.append(encoder.encode_scenes([scene_of(e) for e in examples[start : start + 256]]))
        say(f"encoded {min(start + 256, len(examples)):,} of {len(examples):,}")
    return np.concatenate(parts)


def words(texts: Sequence[str]) -> list[list[str]]:
    return [plain(text).split() for text in texts]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--set", default="aid", help="imagetext/NAME.jsonl")
    parser.add_argument("--path", default="", help="folder of another encoder and captioner")
    parser.add_argument("--first", type=int, default=0, help="only so many validation images, taken evenly")
    asked = parser.parse_args()
    folder = data(f"imagetext/{asked.set}.jsonl", f"imagetext/{asked.set}.tar")
    if folder is None:
        skipped(TITLE, f"RSRAG_DATA has no imagetext/{asked.set}", as_json=asked.json)
    found = collect([Path(str(folder)) / "imagetext" / f"{asked.set}.jsonl"])
    train = [e for e in found.examples if e.split == "train" and e.captions]
    val = [e for e in found.examples if e.split == "val" and e.captions]
    references = [words(e.captions) for e in val]
    frequency, images = document_frequency(references), len(val)
    if asked.first:
        val = val[:: max(1, len(val) // asked.first)]
        references = [words(e.captions) for e in val]

    captioner = rsrag.create("captioner", "starter", path=asked.path, style=asked.set)
    scenes = [scene_of(e) for e in val]
    captioner.caption(scenes[:1])
    began, captions = time.perf_counter(), []
    for start in range(0, len(scenes), 64):
        captions += captioner.caption(scenes[start : start + 64])
        say(f"described {len(captions):,} of {len(scenes):,}")
    speed = len(scenes) / (time.perf_counter() - began)

    encoder = rsrag.create("encoder", "starter", path=asked.path)
    near = (encoded(encoder, val) @ encoded(encoder, train).T).argmax(1)
    gallery = [words(e.captions) for e in train]
    train_frequency = document_frequency(gallery)
    nearest = [gallery[j][central(gallery[j], train_frequency, len(gallery))] for j in near]

    ours = cider(words(captions), references, frequency=frequency, images=images)
    theirs = cider(nearest, references, frequency=frequency, images=images)
    a, b = mean(ours), mean(theirs)
    rng = np.random.default_rng(0).integers(0, len(ours), (1000, len(ours)))
    low, high = np.percentile(ours[rng].mean(1) / theirs[rng].mean(1), (2.5, 97.5))
    known = {plain(c) for e in train for c in e.captions}
    copied = mean([float(plain(c) in known) for c in captions])
    human = mean([float(plain(c) in known) for e in val for c in e.captions])
    silent = sum(not c for c in captions)
    ratio = f"{a} and {b}; ratio {low:.2f} - {high:.2f}"
    copies = f"{copied}; at most {COPIES:.0%} wanted; compared: the validation captions themselves, {human}"
    own, other = words(captions), [list(text) for text in nearest]
    rows = [
        Row("CIDEr-D", a.value, b.value, a.value / b.value, BETTER, "", True, ratio),
        Row("copies of training captions", copied.value, human.value, copied.value / COPIES, 1.0, "", False, copies),
        Row("different captions", len(set(captions)), len({" ".join(text) for text in other}), unit=""),
        Row("different words", len(set().union(*own)), len(set().union(*other)), unit=""),
        Row(
            "words per caption", float(np.mean([len(t) for t in own])), float(np.mean([len(t) for t in other])), unit=""
        ),
        Row("captions per second", speed, unit="/s", note=f"{silent:,} of {len(captions):,} images got none"),
    ]
    examples = [
        {"image": str(e.image), "caption": caption, "first reference": e.captions[0]}
        for e, caption in list(zip(val, captions, strict=True))[:: max(1, len(val) // 20)]
    ]
    title = f"{TITLE}: {asked.set}, {len(val):,} validation images"
    show(title, rows, as_json=asked.json, extra={"examples": examples, "problems": len(found.problems)})
    if not asked.json:
        for example in examples:
            print(f"{example['image']}: {example['caption']}  ({example['first reference']})")
    if any(row.met is False for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
