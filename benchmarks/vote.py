"""How often the vote on a scene names it rightly, and how often it names what it should not.

UC Merced and AID validation images from $RSRAG_DATA against the default store. A class is right when it is an
alias of the record that was named. Rows are shuffled once; thresholds are chosen on even rows (`--grid`), and odd
rows are reported, with 95 % Wilson intervals. Out of domain are rasters of 10 m and more, radar and elevation, and
generated noise, gradients and text: a label there is a false one.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import REPOSITORY, arguments, data, default_store, say, skipped

TITLE = "the vote on scenes"
CONSTANTS = ("NAME_GAIN", "IMAGE_GAIN", "IMAGE_FROM_Z", "BEST_IMAGES", "LEAST_SHARE", "LEAST_MARGIN", "LEAST_Z")
LEAST_PRECISION = {"ucm": 0.955, "aid": 0.86}
FAR = ("sentinel2/*.tif", "scenes/landsat_*.tif", "scenes/hls_*.tif", "scenes/grenada_landsat*.tif", "scenes/s1_*.tif",
       "scenes/sn6_sar*.tif", "scenes/dsm.tif", "scenes/dtm.tif")  # fmt: skip


@dataclass
class Case:
    """What the lanes found for one image, ready to be voted on with any constants."""

    images: list[Any]
    names: list[Any]
    unsuitable: str
    right: str  # subject; "" where nothing is


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    z, p = 1.96, hits / of
    middle, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of), (middle + spread) / (1 + z * z / of)


def subjects() -> dict[str, str]:
    """alias -> subject of the scenes pack, in lower case without spaces."""
    found: dict[str, str] = {}
    for line in (REPOSITORY / "knowledge" / "scenes" / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for alias in (record["title"], *record.get("aliases", ()), *record.get("labels", ())):
            if record.get("sections"):
                found.setdefault(plain(alias), record["subject"])
    return found


def plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def look(kb: Any, scene: Any, right: str) -> Case:
    from rsrag import Query, confidence
    from rsrag.retrieval import DEPTH

    query = Query(scenes=(scene,))
    return Case(
        kb.search_vectors(query, "images", "scene", confidence.NEIGHBOURS),
        kb.search_vectors(query, "names", "scene", DEPTH),
        confidence.unsuitable(scene, getattr(kb.encoder, "max_gsd_m", None))
        or confidence.unphotographic(scene.rgb(512)),
        right,
    )


def validation(kb: Any, folder: Path, name: str, target: Path) -> list[Case]:
    import rsrag

    known = subjects()
    rows = [json.loads(x) for x in (folder / "imagetext" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = sorted((r for r in rows if r["split"] == "val"), key=lambda r: r["file"])
    missing = {r["label"] for r in rows} - {r["label"] for r in rows if plain(r["label"]) in known}
    if missing:
        say(f"{name}: no record has these classes as an alias: {', '.join(sorted(missing))}")
    random.Random(0).shuffle(rows)
    with tarfile.open(folder / "imagetext" / f"{name}.tar") as archive:
        wanted = {r["file"] for r in rows}
        archive.extractall(target, [m for m in archive.getmembers() if m.name in wanted], filter="data")
    return [look(kb, rsrag.open_scene(target / r["file"]), known.get(plain(r["label"]), "?")) for r in rows]


def rasters(kb: Any, folder: Path) -> list[Case]:
    import rsrag

    files = sorted(file for pattern in FAR for file in folder.glob(pattern))
    random.Random(0).shuffle(files)
    return [look(kb, rsrag.open_scene(file), "") for file in files]


def generated(kb: Any, each: int = 12) -> list[Case]:
    """Noise, blurred noise, gradients, stripes and text."""
    import numpy as np
    from PIL import Image, ImageDraw

    import rsrag

    rng, cases = np.random.default_rng(0), []
    for number in range(each):
        noise = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        small = Image.fromarray(rng.integers(0, 256, (4 + number, 4 + number, 3), dtype=np.uint8))
        ramp = np.linspace(0, 1, 256)[:, None, None] * rng.integers(0, 256, 3) + np.zeros((256, 256, 3))
        stripes = np.repeat((np.arange(256) // (2 + number) % 2 * 255).astype(np.uint8)[None, :], 256, 0)
        page = Image.new("RGB", (256, 256), "white")
        words = " ".join("".join(chr(97 + c) for c in rng.integers(0, 26, 6)) for _ in range(60))
        for line in range(12):
            ImageDraw.Draw(page).text((8, 8 + 20 * line), words[line * 34 : line * 34 + 34], fill="black")
        for array in (noise, np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC)), ramp.astype(np.uint8),
                      np.dstack([stripes] * 3), np.asarray(page)):  # fmt: skip
            cases.append(look(kb, rsrag.ArrayReader(array, f"generated-{len(cases)}").scene(), ""))
    return cases


def scored(cases: list[Case]) -> dict[str, Any]:
    """Counts under the constants as they are now."""
    from rsrag import confidence

    votes = [confidence.vote("A", c.images, c.names, unsuitable=c.unsuitable) for c in cases]
    return {
        "images": len(cases),
        "top1": sum(bool(v.subjects) and v.subjects[0][0] == c.right for v, c in zip(votes, cases, strict=True)),
        "labelled": sum(bool(v.label) for v in votes),
        "right": sum(bool(v.label) and v.label == c.right for v, c in zip(votes, cases, strict=True)),
    }


def summary(name: str, counts: dict[str, Any], in_domain: bool) -> dict[str, Any]:
    def share(hits: int, of: int) -> list[float]:
        return [round(x, 3) for x in ((hits / of if of else 0.0), *wilson(hits, of))]

    n = counts["images"]
    if not in_domain:
        return {"set": name, "images": n, "false_labels": share(counts["labelled"], n)}
    return {
        "set": name,
        "images": n,
        "top1": share(counts["top1"], n),
        "coverage": share(counts["labelled"], n),
        "precision": share(counts["right"], counts["labelled"]),
    }


def report(sets: dict[str, list[Case]], half: int) -> list[dict[str, Any]]:
    return [summary(name, scored(cases[half::2]), name in ("ucm", "aid")) for name, cases in sets.items()]


def grid(sets: dict[str, list[Case]]) -> list[tuple[float, dict[str, float]]]:
    """Constants whose labels are right often enough on even rows, by top-1 and coverage less false labels."""
    from rsrag import confidence

    even = {name: cases[::2] for name, cases in sets.items()}
    before = {name: getattr(confidence, name) for name in CONSTANTS}
    found = []
    options = itertools.product(
        (3.0, 4.0, 6.0),
        (2.0, 4.0, 6.0),
        (2.0, 2.5, 3.0),
        (1, 3),
        ((0.6, 0.25), (0.8, 0.25), (0.9, 0.25), (0.95, 0.25)),
        (1.8, 2.6),
    )
    for name_gain, image_gain, from_z, best, (share, margin), z in options:
        values = dict(zip(CONSTANTS, (name_gain, image_gain, from_z, best, share, margin, z), strict=True))
        for key, value in values.items():
            setattr(confidence, key, value)
        counts = {name: scored(cases) for name, cases in even.items()}
        merit, precise = 0.0, True
        for name, c in counts.items():
            if name in LEAST_PRECISION:
                merit += (c["top1"] + c["labelled"]) / c["images"]
                precise &= c["right"] >= LEAST_PRECISION[name] * c["labelled"]
            else:
                merit -= c["labelled"] / c["images"] / 3
        if not precise:
            continue
        found.append((round(merit, 4), values))
    for key, value in before.items():
        setattr(confidence, key, value)
    return sorted(found, key=lambda item: -item[0])


def show_rows(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    for row in rows:
        cells = "  ".join(f"{k} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for k, v in row.items() if isinstance(v, list))
        print(f"{row['set']:10} {row['images']:5} images  {cells}")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--home", default="", help="data folder to keep the store in (default: a temporary one)")
    parser.add_argument("--grid", action="store_true", help="try other constants on the even rows")
    options = parser.parse_args()
    folder = data("imagetext/ucm.tar", "imagetext/ucm.jsonl", "imagetext/aid.tar", "imagetext/aid.jsonl")
    if folder is None:
        skipped(TITLE, "RSRAG_DATA is not set or lacks imagetext/{ucm,aid}.{tar,jsonl}", as_json=options.json)
        return
    import rsrag
    from rsrag import confidence

    with (
        tempfile.TemporaryDirectory() as target,
        default_store(options.home) as home,
        rsrag.KnowledgeBase(home / "kb" / "default") as kb,
    ):
        sets = {name: validation(kb, folder, name, Path(target)) for name in ("ucm", "aid")}
        sets |= {"far": rasters(kb, folder), "generated": generated(kb)}
    constants = {name: getattr(confidence, name) for name in CONSTANTS}
    odd, even = report(sets, 1), report(sets, 0)
    tried = []
    for merit, values in grid(sets)[:8] if options.grid else ():
        for key, value in values.items():
            setattr(confidence, key, value)
        tried.append({"merit_even": merit, "constants": values, "odd": report(sets, 1)})
    if options.json:
        print(
            json.dumps({"benchmark": TITLE, "constants": constants, "odd": odd, "even": even, "grid": tried}, indent=2)
        )
        return
    print(f"{TITLE}: {constants}")
    show_rows("odd rows (reported)", odd)
    show_rows("even rows (used to choose)", even)
    for entry in tried:
        show_rows(f"grid {entry['merit_even']} {entry['constants']}, odd rows", entry["odd"])


if __name__ == "__main__":
    main()
