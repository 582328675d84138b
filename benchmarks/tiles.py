"""Cutting a 20,000 x 20,000 x 3 scene into tiles: memory against reading it whole, tiles/s against the encoder.

The scene (JPEG blocks of 512, no overviews, no two tiles alike) is made in a temporary folder. Memory is the peak of a
new process that adds all its tiles to a store, less that of one that adds a single tile after two full batches of the
encoder: what the program and its encoder hold anyway. The encoder's own rate is that on the same tiles, decoded and in
memory; both are measured in one process, in turns.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from common import Row, arguments, compare, interleaved, run, say, show

TITLE = "tiles of a large scene"
BLOCK, PERIOD, TILE, OVERLAP = 512, 600, 512, 64
RATE_SIDE = 9_920  # 22 x 22 tiles
MEMORY, RATE = 0.1, 0.8

PEAK = """
def peak():  # ru_maxrss would also count what the process that started this one held
    try:
        return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps(peak()))
"""
TILES = """
import json, sys
import rsrag
with rsrag.KnowledgeBase(sys.argv[2], "starter") as kb:
    report = kb.add(sys.argv[1], tile=int(sys.argv[3]), overlap=int(sys.argv[4]))
    assert report.added > 1 and not report.failed and not report.skipped, report
"""
SINGLE = """
import json, sys
import numpy as np
import rsrag
encoder = rsrag.create("encoder", "starter")
batch = [rsrag.ArrayReader(np.zeros((512, 512, 3), np.uint8)).scene()] * encoder.batch
encoder.encode_scenes(batch)
encoder.encode_scenes(batch)  # its memory is not all there after the first
with rsrag.KnowledgeBase(sys.argv[2], encoder) as kb:
    kb.add(sys.argv[1], tile=int(sys.argv[3]), overlap=int(sys.argv[4]))
"""
WHOLE = """
import json, sys
import rasterio
with rasterio.open(sys.argv[1]) as source:
    assert source.read().any()
"""


def make(path: Path, side: int) -> Path:
    """A scene whose pattern repeats every 600 pixels, so that tiles begin at 75 x 75 different places of it."""
    import numpy as np
    import rasterio
    from PIL import Image
    from rasterio.windows import Window

    rng = np.random.default_rng(0)
    pattern = np.zeros((PERIOD, PERIOD, 3), np.float32)
    for cells in (6, 30, 150):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pattern += np.asarray(noise.resize((PERIOD, PERIOD), Image.Resampling.BICUBIC), np.float32) / 3
    repeated = np.tile(pattern.astype(np.uint8), (2, side // PERIOD + 1, 1))[:, :side].transpose(2, 0, 1)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    profile |= {"transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000), "photometric": "YCBCR"}
    profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "jpeg", "interleave": "pixel"}
    with rasterio.open(path, "w", **profile) as target:
        for y in range(0, side, BLOCK):
            height, start = min(BLOCK, side - y), y % PERIOD
            target.write(repeated[:, start : start + height], window=Window(0, y, side, height))
    return path


def memory(folder: Path, side: int) -> list[Row]:
    say(f"Making a scene of {side:,} x {side:,} ...")
    scene, single = make(folder / "scene.tif", side), make(folder / "single.tif", TILE)

    def peak(code: str, file: Path, name: str) -> float:
        command = [sys.executable, "-c", code + PEAK, str(file), str(folder / name), str(TILE), str(OVERLAP)]
        return float(json.loads(run(command))) / 1e6

    say("Adding one tile, then all of them, then reading the scene whole ...")
    one, all_tiles, whole = peak(SINGLE, single, "one"), peak(TILES, scene, "all"), peak(WHOLE, scene, "none")
    array = side * side * 3 / 1e6
    more = {"unit": "MB"}
    return [
        Row(
            "memory for the tiles, against the array", all_tiles - one, array, (all_tiles - one) / array, MEMORY, **more
        ),
        Row("the whole process, against one that reads it whole", all_tiles, whole, all_tiles / whole, **more),
        Row("of which the program and its encoder alone", one, **more),
    ]


def rate(folder: Path, runs: int) -> Row:
    import rsrag
    from rsrag.tiling import TiledScene

    scene = make(folder / "smaller.tif", RATE_SIDE)
    tiled = TiledScene(rsrag.open_scene(scene), TILE, OVERLAP)
    tiles = [tile for tile in map(tiled.read, tiled.tiles) if tile is not None]
    encoder = rsrag.create("encoder", "starter")

    def encode(_: int) -> None:
        for start in range(0, len(tiles), 64):
            encoder.encode_scenes(tiles[start : start + 64])

    def add(number: int) -> float:
        with rsrag.KnowledgeBase(folder / f"store{number}", encoder) as kb:
            report = kb.add(scene, tile=TILE, overlap=OVERLAP)
            assert report.added == len(tiles) + 1
            return report.seconds

    say(f"Encoding {len(tiles)} tiles from memory and from the file, in turns ...")
    seconds = interleaved({"add": add, "encode": encode}, runs)
    per_second = {name: [len(tiles) / took for took in values] for name, values in seconds.items()}
    name = "tiles per second into a store, against the encoder alone"
    return compare(name, per_second["add"], per_second["encode"], RATE, unit="/s", more_is_better=True)


def main() -> None:
    parser = arguments(__doc__, runs=3)
    parser.add_argument("--side", type=int, default=20_000, help="pixels along a side of the scene; 0: no memory part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = memory(Path(temporary), options.side) if options.side else []
        rows.append(rate(Path(temporary), options.runs))
    show(f"{TITLE} ({os.cpu_count()} cores)", rows, as_json=options.json)


if __name__ == "__main__":
    main()
