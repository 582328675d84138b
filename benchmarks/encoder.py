"""How well image-text encoders name and find aerial images, how they bear changes, and how fast they are.

Validation images of UC Merced and AID ($RSRAG_DATA), 95 % intervals. `--tower DIR` (repeatable) measures other weights
beside the shipped ones: those trained on one data set alone show what carries over to the other, over the twelve
classes that both have; HELD_OUT is of interest for a tower trained without these. `--speed` compares with open_clip's
ViT-B/32 (random weights: as fast as trained ones) on the same files, decoding included, and the first text query of a
new process with a script that uses torch.

    RSRAG_DATA=... python benchmarks/encoder.py --speed
    RSRAG_DATA=... python benchmarks/encoder.py --tower runs/aid-only --tower runs/ucm-only
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import REPOSITORY, Row, arguments, data, environment, say, show, skipped, textured

TITLE = "image-text encoders"
NAMES = REPOSITORY / "examples" / "training" / "names.toml"
BOTH = {"baseballdiamond": "BaseballField", "beach": "Beach", "denseresidential": "DenseResidential",
        "mediumresidential": "MediumResidential", "sparseresidential": "SparseResidential", "forest": "Forest",
        "agricultural": "Farmland", "harbor": "Port", "overpass": "Viaduct", "parkinglot": "Parking",
        "river": "River", "storagetanks": "StorageTanks"}  # fmt: skip
HELD_OUT = ("Bridge", "Pond", "RailwayStation", "Stadium", "Mountain")


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = (folder / "imagetext" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda row: str(row["file"]))


def images_of(folder: Path, name: str) -> dict[str, Any]:
    """file -> image, decoded once."""
    import io
    import tarfile

    from PIL import Image

    found = {}
    with tarfile.open(folder / "imagetext" / f"{name}.tar") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream:
                found[member.name] = Image.open(io.BytesIO(stream.read())).convert("RGB")
    return found


class Bench:
    """The data, and what an encoder makes of it."""

    def __init__(self, folder: Path) -> None:
        self.rows = {name: rows_of(folder, name) for name in ("ucm", "aid")}
        self.images = {name: images_of(folder, name) for name in self.rows}
        names = tomllib.loads(NAMES.read_text(encoding="utf-8"))
        self.names = {label: phrases[0] for label, phrases in names.items()}

    def embed(
        self, encoder: Any, name: str, rows: list[dict[str, Any]], change: Callable[[Any], Any] | None = None
    ) -> Any:
        import numpy as np

        import rsrag

        def scene(row: dict[str, Any]) -> Any:
            image = self.images[name][row["file"]]
            return rsrag.ArrayReader(np.asarray(change(image) if change else image), row["file"]).scene()

        blocks = [encoder.encode_scenes([scene(r) for r in rows[i : i + 256]]) for i in range(0, len(rows), 256)]
        return np.concatenate(blocks)

    def prompts(self, encoder: Any, labels: list[str]) -> Any:
        import numpy as np

        rows = [
            encoder.encode_texts([p.format(self.names[label]) for p in encoder.prompts]).mean(0) for label in labels
        ]
        return np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)

    def named(self, encoder: Any, name: str, labels: list[str], of: list[str] | None = None) -> Any:
        """Share of the validation images of `labels` that the prompts of `of` name rightly."""
        import numpy as np

        from rsrag.training.validation import by_prompt

        among = of or labels
        rows = [r for r in self.rows[name] if r["split"] == "val" and r["label"] in labels]
        target = np.array([among.index(r["label"]) for r in rows])
        return by_prompt(self.embed(encoder, name, rows), self.prompts(encoder, among), target)

    def measure(self, encoder: Any, changes: bool) -> dict[str, Any]:
        import numpy as np

        from rsrag.training import validation

        found: dict[str, Any] = {}
        for name, rows in self.rows.items():
            val, train = ([r for r in rows if r["split"] == split] for split in ("val", "train"))
            labels = sorted({r["label"] for r in rows})
            target = np.array([labels.index(r["label"]) for r in val])
            known = np.array([labels.index(r["label"]) for r in train])
            images, prompts = self.embed(encoder, name, val), self.prompts(encoder, labels)
            found[f"{name}: prompts"] = validation.by_prompt(images, prompts, target)
            gallery = self.embed(encoder, name, train)
            found[f"{name}: nearest neighbour"] = validation.by_neighbour(images, target, gallery, known)
            captions = sorted({c for r in val for c in r["captions"]})
            vectors = dict(zip(captions, encoder.encode_texts(captions), strict=True))
            own = [r["captions"] for r in val]
            found[f"{name}: text to image R@10"] = validation.by_caption(images, own, vectors, 10)
            # What a perfect classifier would reach if captions told nothing but the class.
            found[f"{name}: R@10 of class labels alone"] = validation.by_caption(prompts[target], own, vectors, 10)
            for change, how in validation.CHANGES.items() if changes else ():
                found[f"{name}: prompts, {change}"] = validation.by_prompt(
                    self.embed(encoder, name, val, how), prompts, target
                )
        found["ucm: 12 classes both have"] = self.named(encoder, "ucm", sorted(BOTH))
        found["aid: 12 classes both have"] = self.named(encoder, "aid", sorted(BOTH.values()))
        found["aid: the five of HELD_OUT, among themselves"] = self.named(encoder, "aid", sorted(HELD_OUT))
        every = sorted({r["label"] for r in self.rows["aid"]})
        found["aid: the five of HELD_OUT, among all 30"] = self.named(encoder, "aid", sorted(HELD_OUT), every)
        return found


RSRAG_RATE = """
import sys, time, rsrag
files = sys.argv[1:]
encoder = rsrag.create("encoder", "starter")
encoder.encode_scenes([rsrag.open_scene(files[0])])
began = time.perf_counter()
for i in range(0, len(files), 64):
    encoder.encode_scenes([rsrag.open_scene(f) for f in files[i:i + 64]])
print(len(files) / (time.perf_counter() - began))
"""
CLIP_RATE = """
import sys, time, torch
from rsrag.torchvision_ops import ensure
ensure()
import open_clip
from PIL import Image
files = sys.argv[1:]
model, _, see = open_clip.create_model_and_transforms("ViT-B-32")
model.eval()
with torch.inference_mode():
    model.encode_image(see(Image.open(files[0])).unsqueeze(0))
    began = time.perf_counter()
    for i in range(0, len(files), 32):
        model.encode_image(torch.stack([see(Image.open(f)) for f in files[i:i + 32]]))
print(len(files) / (time.perf_counter() - began))
"""
RSRAG_TEXT = "import rsrag; rsrag.create('encoder', 'starter').encode_texts(['boats in a harbour'])"
TORCH_TEXT = """
import sys, torch
from rsrag.torchvision_ops import ensure
ensure()
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel
tokens = Tokenizer.from_file(sys.argv[1]).encode("boats in a harbour").ids
size = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, vocab_size=30522)
with torch.inference_mode():
    BertModel(BertConfig(**size)).eval()(torch.tensor([tokens])).last_hidden_state.mean(1)
"""


def speed() -> list[Row]:
    """Each side in processes of its own, in turn."""
    import statistics
    import time

    import rsrag

    def value(code: str, *arguments_: str) -> float:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments_], env=environment(None), capture_output=True, text=True, check=True
        )
        return float(done.stdout) if done.stdout.strip() else 0.0

    def seconds(code: str, *arguments_: str) -> float:
        began = time.perf_counter()
        value(code, *arguments_)
        return time.perf_counter() - began

    tokenizer = str(rsrag.create("encoder", "starter").folder / "tokenizer.json")
    with tempfile.TemporaryDirectory() as folder:
        files = [str(f) for f in textured(Path(folder), 128)]
        rates = [(value(RSRAG_RATE, *files), value(CLIP_RATE, *files)) for _ in range(3)]
        firsts = [(seconds(RSRAG_TEXT), seconds(TORCH_TEXT, tokenizer)) for _ in range(5)]
    ours, theirs = (statistics.median(side) for side in zip(*rates, strict=True))
    first, other = (statistics.median(side) for side in zip(*firsts, strict=True))
    return [
        Row("images/s, decoding included, against ViT-B/32 fp32", ours, theirs, ours / theirs, 8, "/s",
            more_is_better=True),
        Row("first text query of a process, against torch", first, other, first / other, 0.5,
            note="compared: transformers' BertModel of MiniLM's shape, without reading its weights"),
    ]  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--tower", action="append", default=[], metavar="DIR", help="other weights to measure as well")
    parser.add_argument("--changes", action="store_true", help="also turned, scaled, compressed and grey images")
    parser.add_argument("--speed", action="store_true", help="also compare the speed with open_clip and torch")
    options = parser.parse_args()
    folder = data("imagetext/ucm.tar", "imagetext/ucm.jsonl", "imagetext/aid.tar", "imagetext/aid.jsonl")
    if folder is None and not options.speed:
        skipped(TITLE, "RSRAG_DATA is not set or lacks imagetext/{ucm,aid}.{tar,jsonl}", as_json=options.json)
        return
    import rsrag

    found: dict[str, dict[str, Any]] = {}
    bench = Bench(folder) if folder else None
    for path in ("", *options.tower) if bench else ():
        say(f"measuring {path or 'the shipped weights'}")
        encoder = rsrag.create("encoder", "starter", path=path)
        found[path or "shipped"] = bench.measure(encoder, options.changes) if bench else {}
    rows = speed() if options.speed else []
    if not options.json:
        for tower, shares in found.items():
            print(f"\n{tower}")
            for name, share in shares.items():
                print(f"  {name:46} {share}  of {share.n}")
    measured = {t: {k: [s.right, s.n, *s.interval] for k, s in shares.items()} for t, shares in found.items()}
    if rows or options.json:
        show(TITLE, rows, as_json=options.json, extra={"measured": measured})


if __name__ == "__main__":
    main()
