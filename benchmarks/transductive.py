"""What a folder's own structure adds to the prompts' vote, and that it takes nothing from small and one-class folders.

Validation rows of $RSRAG_DATA's imagetext/{ucm,aid}, or of any manifest given with --data (one JSON object a line:
file, label, split; images in the tar of the same name, or below the manifest's folder). Shifts stand in for imagery
that an encoder was not trained on; `words` gives the classes of UC Merced and AID other names than it was trained with.
The constants of rsrag.transduction were chosen on one half of the rows; all but "all rows" is reported on the other.
Intervals are 95 %: Wilson's for an accuracy, a paired bootstrap over images or folders for a gain, in points.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, data, say, skipped
from PIL import Image, ImageEnhance
from vote import wilson

TITLE = "labels for a whole folder"
# Labels are written as one word in the data; prompts want words.
SPELT = {
    "baseballdiamond": "baseball diamond",
    "denseresidential": "dense residential area",
    "golfcourse": "golf course",
    "mediumresidential": "medium residential area",
    "mobilehomepark": "mobile home park",
    "parkinglot": "parking lot",
    "sparseresidential": "sparse residential area",
    "storagetanks": "storage tanks",
    "tenniscourt": "tennis court",
}
OTHER_WORDS = {
    "agricultural": "crop rows", "airplane": "aircraft", "airport": "airfield with terminals",
    "bare land": "exposed soil", "baseball diamond": "ball park", "baseball field": "ball park",
    "beach": "seashore sand", "bridge": "crossing over water", "buildings": "office blocks",
    "center": "arena building", "chaparral": "scrubland", "church": "cathedral", "commercial": "shopping district",
    "dense residential": "crowded housing", "dense residential area": "crowded housing", "desert": "sand dunes",
    "farmland": "crops", "forest": "woodland", "freeway": "motorway", "golf course": "fairway", "harbor": "marina",
    "industrial": "factories", "intersection": "crossroads", "meadow": "pasture", "medium residential": "suburb",
    "medium residential area": "suburb", "mobile home park": "trailer park", "mountain": "rocky ridges",
    "overpass": "flyover", "park": "public garden", "parking": "car lot", "parking lot": "car park",
    "playground": "athletics track", "pond": "small lake", "port": "docks with ships",
    "railway station": "train platforms", "resort": "holiday hotel", "river": "stream", "runway": "landing strip",
    "school": "campus", "sparse residential": "scattered farmhouses",
    "sparse residential area": "scattered farmhouses", "square": "plaza", "stadium": "football ground",
    "storage tanks": "oil depot", "tennis court": "racket sports field", "viaduct": "elevated road",
}  # fmt: skip


def centre(image: Image.Image) -> Image.Image:
    """The middle, twice as large."""
    w, h = image.size
    return image.crop((w // 4, h // 4, 3 * w // 4, 3 * h // 4)).resize((w, h), Image.Resampling.BICUBIC)


def faint(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(ImageEnhance.Contrast(image).enhance(0.35)).enhance(0.8)


def coarse(image: Image.Image) -> Image.Image:
    return image.resize((24, 24), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


def all_three(image: Image.Image) -> Image.Image:
    return faint(centre(image).convert("L").convert("RGB"))


SHIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda image: image,
    "words": lambda image: image,
    "centre": centre,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "faint": faint,
    "coarse": coarse,
    "centre+grey+faint": all_three,
}
USUAL = ("none", "words", "faint", "centre")


@dataclass
class Folder:
    """Embeddings (n, d), prompts (k, d) and the right label's number of each image."""

    images: np.ndarray
    prompts: np.ndarray
    right: np.ndarray

    def part(self, rows: np.ndarray) -> Folder:
        return Folder(self.images[rows], self.prompts, self.right[rows])


@dataclass
class Row:
    """One line of the report. `worst` is the 1st percentile of the gains of folders, where there are many."""

    set: str
    shift: str
    case: str
    folders: int
    images: int
    plain: float
    plain_interval: tuple[float, float]
    sharpened: float
    gain: float
    gain_interval: tuple[float, float]
    worst: float | None
    least: float | None


def spelt(label: str) -> str:
    return SPELT.get(label) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower()


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    return sorted((r for r in rows if r.get("split", "val") == "val"), key=lambda r: str(r["file"]))


def pictures(manifest: Path, rows: list[dict[str, Any]]) -> Iterator[Image.Image]:
    archive = manifest.with_suffix(".tar")
    if not archive.exists():
        yield from (Image.open(manifest.parent / row["file"]).convert("RGB") for row in rows)
        return
    with tarfile.open(archive) as members:
        for row in rows:
            stream = members.extractfile(row["file"])
            assert stream is not None, row["file"]
            yield Image.open(io.BytesIO(stream.read())).convert("RGB")


def prompts_of(encoder: Any, names: list[str]) -> np.ndarray:
    from rsrag.ingest import name_vector

    return np.stack([name_vector(encoder, "label", name) for name in names])


def embed(encoder: Any, manifest: Path, rows: list[dict[str, Any]], shift: str) -> np.ndarray:
    import rsrag

    found, batch = [], []
    for image in pictures(manifest, rows):
        batch.append(rsrag.ArrayReader(np.asarray(SHIFTS[shift](image)), "picture").scene())
        if len(batch) == 64:
            found.append(encoder.encode_scenes(batch))
            batch = []
    return np.concatenate([*found, encoder.encode_scenes(batch)] if batch else found)


def hits(folder: Folder) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is labelled rightly: by the plain vote, and sharpened."""
    from rsrag.classification import LABEL_TEMPERATURE
    from rsrag.transduction import sharpen

    plain = (folder.images @ folder.prompts.T).argmax(axis=1)
    sharp = sharpen(folder.images, folder.prompts, LABEL_TEMPERATURE).argmax(axis=1)
    return plain == folder.right, sharp == folder.right


def measured(name: str, shift: str, case: str, folders: list[Folder]) -> Row:
    pairs = [hits(folder) for folder in folders]
    before, after = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    # Images of one folder are labelled together: where there are many folders, they are what is drawn again.
    gains = np.array([after.mean() - before.mean() for before, after in pairs])
    units = gains if len(folders) > 1 else after.astype(float) - before
    draws = units[np.random.default_rng(0).integers(0, len(units), (2000, len(units)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    many = len(folders) > 1
    return Row(
        name, shift, case, len(folders), len(before),
        round(float(before.mean()), 4), tuple(round(x, 4) for x in wilson(int(before.sum()), len(before))),
        round(float(after.mean()), 4), round(100 * float(units.mean()), 2),
        (round(100 * float(low), 2), round(100 * float(high), 2)),
        round(100 * float(np.percentile(gains, 1)), 1) if many else None,
        round(100 * float(gains.min()), 1) if many else None,
    )  # fmt: skip


def cases(whole: Folder, absent: np.ndarray) -> Iterator[tuple[str, list[Folder]]]:
    """(what, folders) of rows that the constants were not chosen on; but first all rows."""
    yield "all rows", [whole]
    rng = np.random.default_rng(0)
    half = whole.part(rng.permutation(len(whole.right))[1::2])
    yield "other half", [half]
    count = len(half.right)
    yield "20 images", [half.part(rng.choice(count, min(20, count), replace=False)) for _ in range(200)]
    yield "60 images", [half.part(rng.choice(count, min(60, count), replace=False)) for _ in range(50)]
    classes = np.unique(half.right)
    yield "one class", [half.part(np.flatnonzero(half.right == c)) for c in classes]
    skewed = []
    for _ in range(50):
        many, few = (np.flatnonzero(half.right == c) for c in rng.choice(classes, 2, replace=False))
        skewed.append(half.part(np.concatenate([many, few[: max(1, len(many) // 9)]])))
    yield "two classes 90/10", skewed
    if len(absent):
        yield f"{len(absent)} absent labels", [Folder(half.images, np.concatenate([half.prompts, absent]), half.right)]


def show(rows: list[Row]) -> None:
    print(f"\n{TITLE}: accuracy of the prompts' vote alone, of the sharpened one, and the gain in points")
    last = ("", "")
    for row in rows:
        if (row.set, row.shift) != last:
            last = (row.set, row.shift)
            print(f"\n{row.set}, shift {row.shift}")
        spread = f"  1st percentile {row.worst:+.1f}, least {row.least:+.1f}" if row.worst is not None else ""
        print(
            f"  {row.case:18} {row.folders:3} x {row.images // row.folders:4}  "
            f"{row.plain:.3f} [{row.plain_interval[0]:.3f}, {row.plain_interval[1]:.3f}] -> {row.sharpened:.3f}  "
            f"{row.gain:+5.1f} [{row.gain_interval[0]:+.1f}, {row.gain_interval[1]:+.1f}]{spread}"
        )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--encoder", default="starter", help="encoder by name (default: starter)")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the encoder")
    parser.add_argument("--data", action="append", type=Path, default=[], metavar="JSONL", help="a manifest")
    parser.add_argument("--shift", action="append", choices=SHIFTS, help=f"only these (default: {', '.join(USUAL)})")
    options = parser.parse_args()
    manifests = options.data
    if not manifests:
        folder = data("imagetext/ucm.tar", "imagetext/ucm.jsonl", "imagetext/aid.tar", "imagetext/aid.jsonl")
        if folder is None:
            skipped(TITLE, "RSRAG_DATA is not set or lacks imagetext/{ucm,aid}.{tar,jsonl}", as_json=options.json)
            return
        manifests = [folder / "imagetext" / f"{name}.jsonl" for name in ("ucm", "aid")]
    import rsrag

    given = dict(option.split("=", 1) for option in options.option)
    typed = {key: int(value) if value.isdecimal() else value for key, value in given.items()}
    encoder = rsrag.create("encoder", options.encoder, **typed)
    every = sorted({spelt(row["label"]) for manifest in manifests for row in rows_of(manifest)} | set(OTHER_WORDS))
    found = []
    for manifest in manifests:
        rows = rows_of(manifest)
        labels = sorted({row["label"] for row in rows})
        names = [spelt(label) for label in labels]
        right = np.array([labels.index(row["label"]) for row in rows])
        others = [name for name in every if not any(word in n for word in name.split() for n in names)]
        absent = prompts_of(encoder, others[:10])
        for shift in options.shift or USUAL:
            if shift == "words" and not set(names) <= set(OTHER_WORDS):
                continue
            say(f"{manifest.stem}, shift {shift}: {len(rows)} images")
            prompts = prompts_of(encoder, [OTHER_WORDS[name] for name in names] if shift == "words" else names)
            whole = Folder(embed(encoder, manifest, rows, shift), prompts, right)
            found += [measured(manifest.stem, shift, case, folders) for case, folders in cases(whole, absent)]
    if options.json:
        print(json.dumps({"benchmark": TITLE, "encoder": encoder.id, "rows": [asdict(row) for row in found]}, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
