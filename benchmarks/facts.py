"""Figures looked up in a store of the size and form of RSWK: the right number with its unit, or none.

Landmarks are generated in RSWK's own format: 36 figures for the whole period and 15 for each month of a year, one image
in the knowledge, and a darker, harder compressed copy of it to ask with. The questions are those of the benchmark
`facts`, and what is run is `rsrag eval run facts`. RSRAG_DATA is not needed.

A landmark has 18 texts, 16 of them tables of figures. These have no vectors unless --embed-figures is given; what that
changes for passages is measured too: whether the text lane, asked for a landmark's purpose or history by name, finds
that passage first.

    python benchmarks/facts.py
    python benchmarks/facts.py --landmarks 3000 --asked 300 --keep DIR    # goes on in DIR where it was interrupted
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import RSRAG, Row, arguments, run, say, show

import rsrag

YEAR = 2020
MONTHLY = (
    *("ALBEDO", "EVLAND", "GWETPROF", "LST_Day_1km", "LST_Night_1km", "NDBI", "NDVI", "NDWI", "PRECTOTLAND"),
    *("SLP", "SMLAND", "SPEED", "TS", "ULML", "VLML"),
)
YEARLY = (
    *MONTHLY,
    *("ALBNIRDF", "ALBNIRDR", "ALBVISDF", "ALBVISDR", "EMIS", "SAA", "VAA", "VZA"),
    *(f"LC_Type{n}" for n in range(1, 6)),
    *(f"SR_B{n}" for n in range(1, 8)),
    "Elevation",
)
RANGES: dict[str, tuple[float, float, int, str]] = {
    "EVLAND": (50, 900, 2, "mm"),
    "PRECTOTLAND": (5, 1500, 2, "mm"),
    "SMLAND": (0, 80, 2, "mm"),
    "LST_Day_1km": (270, 320, 2, "K"),
    "LST_Night_1km": (255, 300, 2, "K"),
    "TS": (255, 315, 2, "K"),
    "SLP": (99000, 103500, 1, "Pa"),
    "SPEED": (0.5, 12, 2, "m/s"),
    "ULML": (-8, 8, 2, "m/s"),
    "VLML": (-8, 8, 2, "m/s"),
    "SAA": (0, 360, 2, "°"),
    "VAA": (0, 360, 2, "°"),
    "VZA": (0, 60, 2, "°"),
    "Elevation": (1, 4000, 1, "m"),
}
FIRST = ("Alder Brask Corvin Dunmore Elsin Farrow Gildas Harrow Istre Jorund Keld Lorne Marrick Norvald Ostrava Pellin "
         "Quarn Rosmer Saltor Tarvin Ulm Vesper Wexley Yarrow Zorin").split()  # fmt: skip
SECOND = "beck bridge dale field ford gate ham mere mouth stead thorpe wick".split()
KINDS = ("Cathedral", "Castle", "Museum", "Railway Station", "Stadium", "Palace", "Monastery", "Lighthouse", "Bridge",
         "Observatory", "Fort", "Town Hall", "Harbour", "Botanical Garden", "University", "Opera House")  # fmt: skip


def name_of(number: int) -> str:
    """A name that no other number has; every thirtieth is the beginning of another's."""
    kind = KINDS[number % len(KINDS)]
    rest = number // len(KINDS)
    first, second = FIRST[rest % len(FIRST)], SECOND[rest // len(FIRST) % len(SECOND)]
    return f"{'Old ' if number % 30 == 29 else ''}{first}{second} {kind}"


def value_of(code: str, draw: random.Random) -> float | str:
    """A figure as RSWK writes it: "588.25mm", or a bare number."""
    if code.startswith("LC_Type"):
        return draw.randint(1, 17)
    low, high, digits, unit = RANGES.get(code, (0.01, 0.95, 4, ""))
    value = round(draw.uniform(low, high), digits)
    return f"{value}{unit}" if unit else value


def landmark(number: int) -> dict[str, Any]:
    """A record of RSWK's knowledge json."""
    draw = random.Random(f"landmark/{number}")
    name, id = name_of(number), str(10_000 + number)
    kind = KINDS[number % len(KINDS)]
    expert: dict[str, Any] = {code: value_of(code, draw) for code in YEARLY}
    for month in range(1, 13):
        expert |= {f"{code}_{YEAR}_{month}": value_of(code, draw) for code in MONTHLY}
    return {
        "ID": id,
        "image_name": f"{id}.jpg",
        "world knowledge": {
            "Name": name,
            "Category": kind,
            "Construction_Period": str(draw.randint(1100, 1990)),
            "Historical_Background": f"{name} was begun by the valley and finished after {draw.randint(5, 90)} years.",
            "Primary_Function": f"{name} serves as a {kind.lower()}.",
        },
        "remote sensing expert knowledge": expert,
    }


def pictures(number: int, side: int = 256) -> Iterator[Any]:
    """A generated place and a darker copy of it, uint8 (H, W, 3): blotches of land, roads, and buildings."""
    import numpy as np
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(number)
    ground = np.zeros((side, side, 3), np.float32)
    tint = rng.uniform(40, 200, 3)
    for cells, share in ((3, 0.5), (9, 0.3), (40, 0.2)):
        noise = (tint + rng.normal(0, 60, (cells, cells, 3))).clip(0, 255).astype(np.uint8)
        ground += share * np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC), np.float32)
    image = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        ends = [tuple(map(int, p)) for p in rng.integers(-40, side + 40, (2, 2))]
        draw.line(ends, fill=tuple(map(int, rng.integers(90, 230, 3))), width=int(rng.integers(4, 14)))
    for _ in range(int(rng.integers(3, 25))):
        x, y, w, h = (int(v) for v in (*rng.integers(0, side, 2), *rng.integers(8, 60, 2)))
        shape = draw.ellipse if rng.random() < 0.25 else draw.rectangle
        shape((x, y, x + w, y + h), fill=tuple(map(int, rng.integers(20, 255, 3))))
    pixels = np.asarray(image)
    yield pixels
    yield (pixels.astype(np.float32) * 0.97 + 3).astype(np.uint8)


def write(folder: Path, landmarks: int) -> None:
    """knowledge.json, images/ and views/ below `folder`."""
    from PIL import Image

    for name in ("images", "views"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (folder / "knowledge.json").open("w", encoding="utf-8") as stream:
        json.dump([landmark(n) for n in range(landmarks)], stream)
    for n in range(landmarks):
        for name, pixels in zip(("images", "views"), pictures(n), strict=True):
            Image.fromarray(pixels).save(folder / name / f"{10_000 + n}.jpg", quality=90 if name == "images" else 80)


def right(line: dict[str, Any]) -> bool:
    """Whether an answer gives the very number, as it is written, with its unit directly after it."""
    value, _, unit = line["references"][0].partition(" ")
    number = rf"(?<![\d.,-]){re.escape(value)}(?:\.0+)?"
    said = line["prediction"].replace(",", "")
    return re.search(number + (rf"\s*{re.escape(unit)}(?!\w)" if unit else r"(?![\d.]*\d)"), said) is not None


PROSE = {
    "architecture_and_function": "What does {name} serve as?",
    "basic_info_and_history": "When was {name} begun, and after how many years was it finished?",
}


def prose(store: Path, asked: int) -> tuple[float, float]:
    """Shares of the passages that the text lane finds first, and among its first five."""
    found = []
    with rsrag.KnowledgeBase(store) as kb:
        for number in range(asked):
            for part, question in PROSE.items():
                query = rsrag.Query(text=question.format(name=name_of(number)))
                hits = [hit.chunk for hit in kb.search_vectors(query, "texts", "text", 5, "text-text")]
                found.append([c.subject == f"rswk/{10_000 + number}" and c.part == part for c in hits])
    return sum(f[0] for f in found) / len(found), sum(map(any, found)) / len(found)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--landmarks", type=int, default=60, help="how many are in the store")
    parser.add_argument("--asked", type=int, default=50, help="how many of them are asked about")
    parser.add_argument("--keep", default="", help="folder to work in and to keep")
    parser.add_argument("--embed-figures", action="store_true", help="give the tables of figures vectors")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rsrag-facts-") as temporary:
        folder = Path(given.keep or temporary)
        start = time.perf_counter()
        if not (folder / "knowledge.json").exists():
            write(folder, given.landmarks)
        say(f"generated {given.landmarks:,} landmarks in {time.perf_counter() - start:.0f} s")
        start = time.perf_counter()
        command = [str(RSRAG), "--no-plugins", "eval", "run", "facts", "--data", str(folder / "knowledge.json")]
        command += ["--set", f"count={given.asked}", "--set", f"embed_figures={int(given.embed_figures)}"]
        command += ["--json", "--out"]
        run([*command, str(folder / "one"), "--limit", "1"], folder / "home")
        ingested = time.perf_counter() - start
        say(f"ingested in {ingested:.0f} s")
        run([*command, str(folder / "by-name")], folder / "home")
        say(f"and asked by name in {time.perf_counter() - start:.0f} s")
        # A landmark is known by its picture only where its picture may be found.
        by_image = ["--set", f"views={folder / 'views'}", "--set", "kinds=image", "--allow-self"]
        run([*command, str(folder / "by-image"), *by_image], folder / "home")
        say(f"and by image in {time.perf_counter() - start:.0f} s")
        first, among_five = prose(next((folder / "home" / "eval").glob("facts-*")), given.asked)
        files = [folder / name / "predictions.jsonl" for name in ("by-name", "by-image")]
        lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_kind.setdefault(line["id"].partition("/")[0], []).append(line)
    rows = []
    for kind, own in by_kind.items():
        answerable = own[0].get("answerable", True)
        if answerable:
            hits = [right(line) for line in own]
            note = f"wrong: {sum(not h and not w['declined'] for h, w in zip(hits, own, strict=True))} of {len(own)}"
            share = sum(hits) / len(own)
            rows.append(Row(f"{kind}: right number and unit", share, 1.0, share, 0.98, "", True, note))
        else:
            invented = sum(not line["declined"] for line in own)
            rows.append(Row(f"{kind}: answered, of {len(own)}", invented, 1.0, float(invented), 0.0, ""))
    rows.append(
        Row("passages found first by the text lane", first, unit="", note=f"among its first five: {among_five:.3f}")
    )
    rows.append(Row(f"made a store of {given.landmarks:,} landmarks", ingested))
    show("facts", rows, as_json=given.json, extra={"landmarks": given.landmarks, "questions": len(lines)})
    if any(row.met is False for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
