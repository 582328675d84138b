"""Preview and describe_scene of a 20,000 x 20,000 x 4 uint16 COG. Targets: 1.5 s and 300 MB, in a new process.

The same file is read bare with rasterio (three bands of an overview, 512 x 512), also in a new process: what importing
and decoding cost anyway. The COG is made in a temporary folder: noise in a thirtieth of its blocks, the rest empty.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from common import Row, arguments, compare, interleaved, run, say, show

TITLE = "a large scene, 20,000 x 20,000 x 4 uint16"
SIDE, BLOCK, EVERY = 20_000, 512, 6
SECONDS, MEGABYTES = 1.5, 300.0

PEAK = """
def peak():  # ru_maxrss would also count what the process that started this one held
    try:
        return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([time.perf_counter() - start, peak()]))
"""
OURS = """
import json, sys, time
start = time.perf_counter()
import rsrag
scene = rsrag.open_scene(sys.argv[1], bands="blue,green,red,nir")
assert scene.rgb(512).shape == (512, 512, 3)
assert rsrag.create("tool", "describe_scene")(scene).values
"""
BARE = """
import json, sys, time
start = time.perf_counter()
import rasterio
with rasterio.open(sys.argv[1]) as source:
    assert source.read([3, 2, 1], out_shape=(3, 512, 512)).any()
"""


def make(path: Path) -> Path:
    """The COG; about half a minute."""
    import numpy as np
    import rasterio
    from rasterio.shutil import copy
    from rasterio.windows import Window

    plain = path.with_name("plain.tif")
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 4, "dtype": "uint16", "crs": "EPSG:32633"}
    profile |= {"transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_800_000), "compress": "deflate", "zlevel": 1}
    noise = np.random.default_rng(0).integers(1, 3000, (4, BLOCK, BLOCK)).astype(np.uint16)
    with rasterio.open(plain, "w", **profile, tiled=True, blockxsize=BLOCK, blockysize=BLOCK, SPARSE_OK=True) as target:
        for y in range(0, SIDE - BLOCK, EVERY * BLOCK):
            for x in range(0, SIDE - BLOCK, EVERY * BLOCK):
                target.write(noise, window=Window(x, y, BLOCK, BLOCK))
    copy(plain, path, driver="COG", COMPRESS="DEFLATE", LEVEL=1, BLOCKSIZE=BLOCK, OVERVIEW_RESAMPLING="AVERAGE")
    return path


def main() -> None:
    options = arguments(__doc__, runs=9).parse_args()
    peaks: dict[str, list[float]] = {"rsrag": [], "bare": []}
    with tempfile.TemporaryDirectory() as temporary:
        say("Making the scene ...")
        cog = make(Path(temporary) / "scene.tif")

        def side(name: str, code: str) -> float:
            seconds, peak = json.loads(run([sys.executable, "-c", code + PEAK, str(cog)]))
            peaks[name].append(peak / 1e6)
            return float(seconds)

        seconds = interleaved(
            {"rsrag": lambda _: side("rsrag", OURS), "rasterio": lambda _: side("bare", BARE)}, options.runs
        )
    took, held = statistics.median(seconds["rsrag"]), max(peaks["rsrag"])
    rows = [
        compare("preview and describe_scene, against bare rasterio", seconds["rsrag"], seconds["rasterio"], None),
        Row("the same, against the limit", took, SECONDS, took / SECONDS, 1.0),
        Row("peak memory, against the limit", held, MEGABYTES, held / MEGABYTES, 1.0, "MB"),
        Row("peak memory of bare rasterio", max(peaks["bare"]), unit="MB"),
    ]
    show(TITLE, rows, as_json=options.json)


if __name__ == "__main__":
    main()
