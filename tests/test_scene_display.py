"""How scenes look: composites, one stretch for all windows, previews that stay cheap, values that are no numbers."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsrag.builtin.tools.describe import DescribeScene
from rsrag.display import available, averaged, limits, stretch
from rsrag.errors import RsragError, SceneError, UsageError
from rsrag.scene import ArrayReader, decoded, open_scene
from rsrag.testing.rasters import make_geotiff

NAMES = ["blue", "green", "red", "nir", "swir1", "swir2"]


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Six bands of a field that is dark in the west and bright in the east, each band ten times the one before."""
    ramp = np.tile(np.arange(1, 201, dtype=np.float64), (100, 1))
    data = np.stack([ramp * 3 ** (n + 1) for n in range(6)]).astype(np.uint16)
    return make_geotiff(tmp_path / "six.tif", data=data, descriptions=NAMES)


# -- composites -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, shown",
    [
        ("true-colour", (3, 2, 1)),
        ("True color", (3, 2, 1)),
        ("false_colour", (4, 3, 2)),
        ("swir", (6, 4, 3)),
    ],
)
def test_a_composite_shows_its_bands(six: Path, name: str, shown: tuple[int, ...]) -> None:
    scene = open_scene(six)
    values = scene.read(shown)
    low, high = (np.percentile(values.reshape(3, -1), p, axis=1)[:, None, None] for p in (2, 98))
    expected = np.clip(np.rint((values - low) / (high - low) * 255), 0, 255)
    assert np.abs(scene.composite(name, 500) - expected.transpose(1, 2, 0)).max() <= 1
    assert available(scene) == ("true-colour", "false-colour", "swir")


def test_the_same_file_gives_the_same_picture(six: Path) -> None:
    for name in ("true-colour", "false-colour", "swir"):
        first, second = (open_scene(six).composite(name, 64) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_tiles_share_the_stretch_of_the_whole(six: Path) -> None:
    scene = open_scene(six)
    whole = scene.composite("false-colour", 200)
    for tile in scene.tiles(50):
        x, y = (int(n) for n in tile.uri.partition("xywh=")[2].split(",")[:2])
        np.testing.assert_array_equal(tile.composite("false-colour", 50), whole[y : y + 50, x : x + 50])
        np.testing.assert_array_equal(decoded(tile).composite("false-colour", 50), whole[y : y + 50, x : x + 50])
    # Seen by itself, a part uses all its contrast.
    assert scene.window(0, 0, 50, 50).rgb(50).max() == 255 > scene.window(0, 0, 50, 50).composite(max_side=50).max()


@pytest.mark.parametrize("has_overviews", [False, True])
def test_a_large_scenes_stretch_is_found_cheaply(tmp_path: Path, has_overviews: bool) -> None:
    import rasterio

    path = tmp_path / "a.tif"
    kind = {"driver": "GTiff", "count": 3, "width": 6000, "height": 5000, "dtype": "uint16", "tiled": True}
    with rasterio.open(path, "w", **kind, compress="deflate", crs="EPSG:32633") as target:
        row = np.linspace(1000, 2000, 6000).astype(np.uint16)
        target.write(np.broadcast_to(row, (3, 5000, 6000)))
        if has_overviews:
            target.build_overviews([2, 4, 8, 16])
    scene = open_scene(path, bands="red,green,blue")
    left, right = scene.window(0, 0, 100, 100), scene.window(5900, 4000, 100, 100)
    assert left.composite().max() < 10 and right.composite().min() > 245
    # The looks of a scene without overviews are few.
    assert scene.reader.sample((1, 2, 3)).size <= 3 * 512 * 512  # type: ignore[attr-defined]


def test_eight_bits_are_shown_as_they_are(tmp_path: Path) -> None:
    """GDAL makes the fourth band an alpha channel; its name says that it is none."""
    scene = open_scene(make_geotiff(tmp_path / "a.tif", bands=4, descriptions=["red", "green", "blue", "nir"]))
    np.testing.assert_array_equal(scene.composite("false-colour", 64), scene.read((4, 1, 2)).transpose(1, 2, 0))


def test_radar_in_decibels(tmp_path: Path) -> None:
    power = np.logspace(-3, 0, 100, dtype=np.float32).reshape(1, 10, 10)
    linear = open_scene(make_geotiff(tmp_path / "s1_vv.tif", data=power))
    logs = open_scene(make_geotiff(tmp_path / "db_vv.tif", data=10 * np.log10(power)))
    np.testing.assert_array_equal(linear.composite("sar"), logs.composite("sar"))
    # In dB the ramp is even; as power, half of it would be black.
    assert np.median(linear.composite("sar")) == pytest.approx(127, abs=3) and np.median(linear.rgb()) < 30
    both = open_scene(make_geotiff(tmp_path / "b.tif", data=np.concatenate([power, power / 2])), bands="vv,vh")
    assert both.composite("sar").shape == (10, 10, 3) and available(both) == ("sar",)
    zeros = open_scene(make_geotiff(tmp_path / "z_vv.tif", data=np.zeros((1, 4, 4), np.float32)))
    assert zeros.composite("sar").max() == 0


@pytest.mark.parametrize(
    "name, error, message",
    [
        ("swir", SceneError, "no band known as swir2 or swir1"),
        ("sar", SceneError, "no band known as vv, vh"),
        ("pink", UsageError, "no composite 'pink'"),
    ],
)
def test_composites_that_are_not_there(tmp_path: Path, name: str, error: type[RsragError], message: str) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif"))
    with pytest.raises(error, match=message) as caught:
        scene.composite(name)
    assert "true-colour" in caught.value.hint or "--bands" in caught.value.hint


def test_without_true_colour_something_else_is_shown_and_said(tmp_path: Path) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", bands=4, photometric="MINISBLACK"), bands="swir1,nir,red,green")
    assert any("shown in false-colour: nir, red, green" in note for note in scene.notes)
    np.testing.assert_array_equal(scene.rgb(64), scene.read((2, 3, 4)).transpose(1, 2, 0))


# -- formats and masks ----------------------------------------------------------------------------


def test_jpeg_2000(tmp_path: Path) -> None:
    import rasterio

    data = np.random.default_rng(0).integers(0, 10_000, (1, 64, 64)).astype(np.uint16)
    path = tmp_path / "T32UQD_20200715T101031_B08_10m.jp2"
    kind = {"driver": "JP2OpenJPEG", "count": 1, "width": 64, "height": 64, "dtype": "uint16", "crs": "EPSG:32632"}
    place = {"transform": rasterio.Affine(10, 0, 600_000, 0, -10, 5_500_000)}
    with rasterio.open(path, "w", **kind, **place, QUALITY="100", REVERSIBLE="YES") as target:
        target.write(data)
    scene = open_scene(path)
    assert scene.band("nir") == 1 and scene.sensor == "Sentinel-2" and scene.acquired_precision == "time"
    assert scene.bbox is not None and scene.scale == (0.0001,)
    np.testing.assert_allclose(scene.reflectance(["nir"]), data / 10_000, rtol=1e-5)


def test_a_vrt_keeps_names_and_scales(tmp_path: Path) -> None:
    make_geotiff(tmp_path / "a.tif", bands=1, dtype="uint16", size=(8, 8))
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="UInt16" band="1">'
        "<Description>Near infrared</Description><Scale>0.0001</Scale><Offset>-0.1</Offset><SimpleSource>"
        '<SourceFilename relativeToVRT="1">a.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    scene = open_scene(tmp_path / "a.vrt")
    assert (scene.roles, scene.scale, scene.offset) == (("nir",), (0.0001,), (-0.1,))
    np.testing.assert_allclose(scene.reflectance(["nir"]), scene.read() * 0.0001 - 0.1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["nodata", "mask", "alpha", "nan"])
def test_what_is_missing_is_nan_and_black(tmp_path: Path, kind: str) -> None:
    import rasterio

    data = np.random.default_rng(0).integers(1, 200, (3, 64, 64)).astype(np.float32 if kind == "nan" else np.uint8)
    hole = np.s_[:, :16]
    path = tmp_path / "a.tif"
    if kind == "alpha":
        alpha = np.full((1, 64, 64), 255, np.uint8)
        alpha[hole] = 0
        make_geotiff(path, data=np.concatenate([data, alpha]), photometric="RGB", alpha="YES")
    else:
        data[hole] = {"nodata": 0, "mask": 7, "nan": np.nan}[kind]
        make_geotiff(path, data=data, nodata=0 if kind == "nodata" else None)
    if kind == "mask":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "r+") as target:
            mask = np.full((64, 64), 255, np.uint8)
            mask[:16] = 0
            target.write_mask(mask)
    scene = open_scene(path)
    for values in (
        scene.read((1, 2, 3)),
        scene.read((1, 2, 3), 16),
        scene.reflectance(["red"], 16) if kind != "nan" else scene.read((1,), 16),
    ):
        rows = values.shape[1] // 4
        assert np.isnan(values[:, :rows]).all() and np.isfinite(values[:, rows:]).all()
    assert scene.rgb(64)[:16].max() == 0 and scene.rgb(64)[16:].mean() > 80
    told = DescribeScene()(scene)
    assert "About 75 %" in told.text and told.values["pixels with values"].value == pytest.approx(75)


# -- pure -----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    side=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_averages_keep_the_mean_and_the_range(shape: tuple[int, int, int], side: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = random.normal(size=shape).astype(np.float32)
    data[random.random(shape) < 0.2] = np.nan
    small = averaged(data, side)
    assert max(small.shape[1:]) <= max(side, 1) or small.shape == data.shape
    assert np.isfinite(small).any() == np.isfinite(data).any()
    if np.isfinite(data).any():
        assert np.nanmin(data) - 1e-5 <= np.nanmin(small) and np.nanmax(small) <= np.nanmax(data) + 1e-5
    even = averaged(np.full(shape, 3.0, np.float32), side)
    assert (even == 3).all()


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_any_values_can_be_stretched(values: list[float]) -> None:
    data = np.array(values, np.float32).reshape(1, 1, -1)
    valid = np.ones(data.shape, bool)
    out = stretch(data, valid)
    assert out.shape == data.shape and (out[~np.isfinite(data)] == 0).all()
    assert len(limits(data, valid)) == 1


# -- bad pixels -----------------------------------------------------------------------------------


def sparse(path: Path, side: int, **profile: Any) -> Path:
    """A TIFF of a few bytes: its blocks are declared and never written."""
    import rasterio

    kind = {"driver": "GTiff", "count": 1, "width": side, "height": side, "dtype": "uint8", "crs": "EPSG:3857"}
    kind["transform"] = rasterio.Affine(1, 0, 0, 0, -1, 0)
    with rasterio.open(path, "w", **kind, **{"tiled": True, "compress": "deflate", **profile}, SPARSE_OK=True):
        return path


def bomb(path: Path, side: int) -> Path:
    """A few hundred kilobytes of deflated zeros that unpack to side x side pixels."""
    import rasterio
    from rasterio.windows import Window

    block = 8192
    sparse(path, side, blockxsize=block, blockysize=block)
    zeros = np.ones((1, block, block), np.uint8)
    with rasterio.open(path, "r+") as target:
        for x in range(0, side - block, block):
            target.write(zeros, window=Window(x, 0, block, block))
    return path


@pytest.mark.parametrize(
    "make", [lambda p: sparse(p, 100_000, blockxsize=4096, blockysize=4096), lambda p: bomb(p, 60_000)]
)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, make: Any) -> None:
    scene = open_scene(make(tmp_path / "a.tif"))
    assert (tmp_path / "a.tif").stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF)
    for look in (lambda: scene.rgb(512), lambda: scene.read((1,), 512), lambda: scene.read()):
        with pytest.raises(SceneError, match=r"would have to be unpacked|values in memory") as caught:
            look()
        assert caught.value.hint and "\n" not in str(caught.value)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 100_000 and after.ru_utime - before.ru_utime < 2
    assert scene.window(5, 5, 64, 64).rgb(64).shape == (64, 64, 3)
    assert DescribeScene()(scene).values["width"].value >= 60_000


def test_a_bomb_in_the_overviews_is_refused(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.tif", 60_000)
    sparse(tmp_path / "a.tif.ovr", 30_000, blockxsize=30_016, blockysize=30_016)
    with pytest.raises(SceneError, match="blocks of 30,016 x 30,016"):
        open_scene(path)


def test_many_bands_side_by_side_in_huge_blocks_are_refused(tmp_path: Path) -> None:
    import rasterio

    kind = {"driver": "GTiff", "count": 200, "width": 4096, "height": 4096, "dtype": "uint16", "interleave": "pixel"}
    with rasterio.open(
        tmp_path / "a.tif", "w", **kind, tiled=True, blockxsize=4096, blockysize=4096, SPARSE_OK=True, BIGTIFF="YES"
    ):
        pass
    with pytest.raises(SceneError, match="blocks of 4,096 x 4,096"):
        open_scene(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "data, nodata",
    [
        (np.full((1, 1, 1), 7, np.uint8), None),
        (np.full((3, 1, 1), 7, np.uint16), 7),
        (np.full((3, 8, 8), np.nan, np.float32), None),
        (np.full((3, 8, 8), np.inf, np.float32), None),
        (np.full((3, 8, 8), -np.inf, np.float64), None),
        (np.full((3, 8, 8), 0, np.uint16), 0),
        (np.full((2, 8, 8), 3 + 4j, np.complex64), None),
        (np.full((1, 8, 8), np.nan + 1j * np.inf, np.complex64), None),
        (np.full((3, 8, 8), 1e308, np.float64), None),
    ],
)
def test_odd_values(tmp_path: Path, data: Any, nodata: float | None) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", data=data, nodata=nodata))
    with np.errstate(over="ignore"):
        assert scene.rgb(4).dtype == np.uint8 and scene.read().dtype == np.float32
        assert scene.read((), 4).shape[0] == len(data)
        told = DescribeScene()(scene)
    empty = nodata is not None or (np.isnan(data).all() if data.dtype.kind == "f" else False)
    assert ("Not one of the scene's pixels" in told.text) == bool(empty)


def test_pixels_that_cannot_be_read_are_a_caveat(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "a.tif", size=(256, 256), nodata=0, compress="deflate", tiled=True)
    scene = open_scene(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 :] = bytes(len(data) - len(data) // 3)
    path.write_bytes(bytes(data))
    told = DescribeScene()(scene)
    assert "256 x 256" in told.text and any("cannot be read" in caveat for caveat in told.caveats)


def test_a_reader_of_a_plugin_needs_no_more_than_before() -> None:
    class Plain:
        def __init__(self) -> None:
            self.inner = ArrayReader(np.arange(600, dtype=np.uint16).reshape(10, 20, 3))

        def rgb(self, max_side: int) -> Any:
            return self.inner.rgb(max_side)

        def read(self, bands: tuple[int, ...] = ()) -> Any:
            return self.inner.read(bands)

        def window(self, x: int, y: int, w: int, h: int) -> Any:
            return self.inner.window(x, y, w, h)

    from dataclasses import replace

    scene = replace(Plain().inner.scene(), reader=Plain())
    assert scene.read((1,), 5).shape == (1, 2, 5)
    assert scene.composite(max_side=10).shape == (5, 10, 3)
    assert decoded(scene).composite(max_side=10).shape == (5, 10, 3)
    assert scene.window(0, 0, 4, 4).roles == ("red", "green", "blue")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_preview_of_a_large_scene_costs_little_memory(tmp_path: Path) -> None:
    """In a process of its own: what the tests before have used is not counted."""
    import rasterio
    from rasterio.windows import Window

    path = tmp_path / "a.tif"
    kind = {"driver": "GTiff", "count": 4, "width": 8192, "height": 8192, "dtype": "uint16", "compress": "deflate"}
    with rasterio.open(path, "w", **kind, tiled=True, blockxsize=512, blockysize=512, SPARSE_OK=True) as target:
        target.write(np.full((4, 512, 512), 9, np.uint16), window=Window(0, 0, 512, 512))
    with rasterio.Env(SPARSE_OK_OVERVIEW="YES"), rasterio.open(path, "r+") as target:
        target.build_overviews([4, 16])
    code = (
        "import sys, re, rsrag; from rsrag.builtin.tools.describe import DescribeScene;"
        "s = rsrag.open_scene(sys.argv[1]); s.rgb(512); DescribeScene()(s);"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000
