"""`change` on scenes of 20,000 x 20,000 pixels, and on real scenes against themselves shifted by three pixels.

The large pair is made in a temporary folder: four 8-bit bands in cells of 50 pixels, with a known part cleared; it is
measured in a new process. Targets: hectares within 1 %, under 1 GB. The real scenes are $RSRAG_DATA/scenes/ of Pucallpa
and North Dakota: each against itself, moved by three pixels under the same georeference; target: under 0.5 % of false
change.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from common import Row, arguments, data, run, say, show

TITLE = "change"
SIDE, CELL, BLOCK = 20_000, 50, 512
CLEARED = (slice(100, 160), slice(200, 280))  # cells: 3,000 x 4,000 pixels of 10 m, 120,000 ha
MEGABYTES = 1000.0
REAL = {
    "landsat_pucallpa_1985.tif": "swir1,nir,red,green",
    "landsat_pucallpa_2020.tif": "swir1,nir,red,green",
    "naip_nd_2009.tif": "red,green,blue,nir",
    "naip_nd_2020.tif": "red,green,blue,nir",
}

LARGE = """
import json, sys, tempfile, time
from pathlib import Path
start = time.perf_counter()
import rsrag
scenes = [rsrag.open_scene(path, bands="swir1,nir,red,green") for path in sys.argv[1:3]]
with tempfile.TemporaryDirectory() as pictures:
    values = rsrag.create("tool", "change")(scenes, Path(pictures)).values
try:
    peak = int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1000
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
print(json.dumps([time.perf_counter() - start, peak, values["vegetation to bare or built-up"].value]))
"""


def make(folder: Path) -> list[Path]:
    """Two COGs, forest with a part of it cleared in the second; about a minute."""
    import numpy as np
    import rasterio
    from rasterio.shutil import copy
    from rasterio.windows import Window

    cells = SIDE // CELL
    shade = np.random.default_rng(0).uniform(0.8, 1.2, (cells, cells))
    before = (np.reshape((60, 180, 20, 30), (4, 1, 1)) * shade).astype(np.uint8)
    after = before.copy()
    after[:, *CLEARED] = (np.reshape((150, 120, 90, 60), (4, 1, 1)) * shade[CLEARED]).astype(np.uint8)
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 4, "dtype": "uint8", "crs": "EPSG:32633"}
    profile |= {"transform": rasterio.Affine(10, 0, 400_000, 0, -10, 5_800_000), "compress": "deflate", "zlevel": 1}
    made = []
    for year, bands in ((2000, before), (2020, after)):
        plain, path = folder / "plain.tif", folder / f"large_{year}.tif"
        with rasterio.open(plain, "w", **profile, tiled=True, blockxsize=BLOCK, blockysize=BLOCK) as target:
            for row in range(0, cells, 40):
                strip = bands[:, row : row + 40].repeat(CELL, axis=1).repeat(CELL, axis=2)
                target.write(strip, window=Window(0, row * CELL, SIDE, strip.shape[1]))
        copy(plain, path, driver="COG", COMPRESS="DEFLATE", LEVEL=1, BLOCKSIZE=BLOCK, OVERVIEW_RESAMPLING="AVERAGE")
        made.append(path)
    return made


def against_itself(file: Path, bands: str, folder: Path, moved: tuple[int, int]) -> float:
    """Per cent of the ground on which a scene differs from itself moved by (columns, rows)."""
    import rasterio

    import rsrag

    with rasterio.open(file) as source:
        pixels, profile = source.read(), source.profile
    height, width = pixels.shape[1] - 10, pixels.shape[2] - 10
    kept = {key: profile[key] for key in ("driver", "count", "dtype", "crs", "transform", "nodata")}
    scenes = []
    for year, (dx, dy) in ((2001, (0, 0)), (2002, moved)):
        path = folder / f"self_{year}.tif"
        with rasterio.open(path, "w", **kept, height=height, width=width) as target:
            target.write(pixels[:, 5 - dy : 5 - dy + height, 5 - dx : 5 - dx + width])
        scenes.append(rsrag.open_scene(path, bands=bands))
    values = rsrag.create("tool", "change")(scenes, folder).values
    false = values["NDVI loss"].value + values["NDVI gain"].value
    return float(100 * max(false, values["land cover changed"].value) / values["compared area"].value)


def main() -> None:
    options = arguments(__doc__, runs=3).parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        say("Making the large scenes ...")
        paths = make(folder)
        found = [json.loads(run([sys.executable, "-c", LARGE, *map(str, paths)])) for _ in range(options.runs)]
        took, held, hectares = (statistics.median(column) for column in zip(*found, strict=True))
        exact = known(paths[0])
        off = abs(hectares / exact - 1) * 100
        rows += [
            Row("20,000 x 20,000 x 4, start to end", took),
            Row("peak memory", held, MEGABYTES, held / MEGABYTES, 1.0, "MB"),
            Row("hectares off by", off, 1.0, off, 1.0, "%", note=f"found {hectares:,.0f} ha, put in {exact:,.0f} ha"),
        ]
        if (where := data(*(f"scenes/{name}" for name in REAL))) is None:
            say("RSRAG_DATA holds no scenes/: the real ones are left out")
        else:
            for name, bands in REAL.items():
                worst = max(
                    against_itself(where / "scenes" / name, bands, folder, by) for by in ((3, 0), (0, 3), (-3, 3))
                )
                rows.append(Row(f"false change, {name}", worst, 0.5, worst / 0.5, 1.0, "%"))
    show(TITLE, rows, as_json=options.json)


def known(path: Path) -> float:
    """Hectares of the cleared part: the sum of its pixels as geodesic polygons, by blocks of one cell."""
    import rasterio
    from pyproj import Geod, Transformer

    with rasterio.open(path) as source:
        place, to_degrees = source.transform, Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True)
    total = 0.0
    for row in range(CLEARED[0].start, CLEARED[0].stop):
        for col in range(CLEARED[1].start, CLEARED[1].stop):
            corners = [(col, row), (col + 1, row), (col + 1, row + 1), (col, row + 1)]
            x, y = zip(*((place.a * CELL * c + place.c, place.e * CELL * r + place.f) for c, r in corners), strict=True)
            total += abs(Geod(ellps="WGS84").polygon_area_perimeter(*to_degrees.transform(x, y))[0])
    return total / 1e4


if __name__ == "__main__":
    main()
