"""Scenes: what opens, where it lies, how it looks, and what is said about files that cannot be read."""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsrag.errors import RsragError, SceneError, UsageError
from rsrag.scene import ArrayReader, decoded, open_scene
from rsrag.testing.rasters import make_geotiff, make_image

# -- bad input ------------------------------------------------------------------------------------


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG of a hundred bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def jpeg_header(path: Path, width: int, height: int) -> Path:
    data = bytearray(make_image(path, size=(16, 16)).read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    path.write_bytes(data)
    return path


def cut(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def written(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def vrt(path: Path, source: str, relative: int = 1) -> Path:
    return written(
        path,
        f"""<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
        <SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>""",
    )


def vrt_of(path: Path, inner: str, metadata: str = "") -> Path:
    """A VRT whose only source is written as `inner`."""
    band = f'<VRTRasterBand dataType="Byte" band="1">{inner}</VRTRasterBand>'
    return written(path, f'<VRTDataset rasterXSize="8" rasterYSize="8">{metadata}{band}</VRTDataset>')


def outside(path: Path) -> Path:
    """A raster that nothing in the folder of the test may reach."""
    return make_geotiff(path.parent.parent / f"{path.parent.name}-outside" / "secret.tif", bands=1, size=(8, 8))


def with_aux(path: Path, text: str) -> Path:
    written(path.with_name(path.name + ".aux.xml"), f"<PAMDataset>{text}</PAMDataset>")
    return path


def one_tile(path: Path) -> Path:
    return sparse(path, 16_016, blockxsize=16_016, blockysize=16_016)


def sparse(path: Path, side: int, **profile: object) -> Path:
    """A large TIFF of a few bytes: its blocks are declared and never written."""
    import rasterio

    kind = {"driver": "GTiff", "count": 1, "width": side, "height": side, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", **kind, compress="deflate", SPARSE_OK=True, **profile):
        return path


def linked_out(tmp: Path) -> Path:
    make_geotiff(tmp / "elsewhere" / "a.tif")
    (tmp / "v").mkdir()
    (tmp / "v" / "a.tif").symlink_to(tmp / "elsewhere" / "a.tif")
    return vrt(tmp / "v" / "a.vrt", "a.tif")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda t: (make_image(t / "harbour.png"), t / "harbor.png")[1], "Did you mean harbour.png?"),
    "missing folder": (lambda t: t / "no" / "a.png", "does not exist"),
    "folder": (lambda t: t, "is a folder, not an image"),
    "pipe": (
        lambda t: (os.mkfifo(t / "p"), t / "p")[1],  # type: ignore[func-returns-value]
        "not a regular file",
    ),
    "null byte in the name": (lambda t: "a\0.png", "there is no image"),
    "https": (lambda t: "https://example.com/a.tif", "nothing is fetched unless configured"),
    "s3": (lambda t: "s3://bucket/a.tif", "RSRAG_REMOTE_SCENES"),
    "another scheme": (lambda t: "gs://bucket/a.tif", "install a plugin that opens gs://"),
    "GDAL's own prefix": (lambda t: "/vsicurl/http://127.0.0.1/a.tif", "not a local file|there is no image"),
    "empty": (lambda t: written(t / "a.png", b""), "is empty"),
    "text as PNG": (lambda t: written(t / "a.png", "hello, this is no picture"), "it holds text"),
    "HTML as JPEG": (lambda t: written(t / "a.jpg", "<html>404</html>"), "holds XML or HTML"),
    "zeros": (lambda t: written(t / "a.tif", bytes(5000)), "holds only zeros"),
    "random bytes": (lambda t: written(t / "a.tif", bytes(range(256)) * 9), "no known image format"),
    "truncated JPEG": (lambda t: cut(make_image(t / "a.jpg"), 0.5), "damaged or cut short"),
    "truncated PNG": (lambda t: cut(make_image(t / "a.png"), 0.5), "damaged or cut short"),
    "truncated WebP": (lambda t: cut(make_image(t / "a.webp"), 0.5), "damaged or cut short"),
    "truncated TIFF": (lambda t: cut(make_geotiff(t / "a.tif"), 0.5), "damaged or cut short"),
    "half a header": (lambda t: cut(make_image(t / "a.jpg"), 0.02), "damaged or cut short"),
    "huge PNG": (lambda t: png_header(t / "a.png", 30_000, 30_000), "30,000 x 30,000 pixels"),
    "huge JPEG": (lambda t: jpeg_header(t / "a.jpg", 30_000, 30_000), "must be decoded whole"),
    "TIFF of one huge tile": (lambda t: one_tile(t / "a.tif"), "blocks of 16,016 x 16,016"),
    "VRT that looks up": (lambda t: vrt(t / "a.vrt", "../a.tif"), "not a file in its own folder"),
    "VRT to the system": (lambda t: vrt(t / "a.vrt", "/etc/hostname", 0), "not a file in its own folder"),
    "VRT that fetches": (lambda t: vrt(t / "a.vrt", "/vsicurl/http://127.0.0.1/a.tif"), "not a file in its own folder"),
    "VRT through a link": (linked_out, "not a file in its own folder"),
    "VRT to a VRT": (
        lambda t: (vrt(t / "b.vrt", "../../etc/hostname"), vrt(t / "a.vrt", "b.vrt"))[1],
        "not a file in its own folder",
    ),
    "VRT to XML": (lambda t: (written(t / "w.xml", "<GDAL_WMS/>"), vrt(t / "a.vrt", "w.xml"))[1], "XML and no image"),
    "broken VRT": (lambda t: written(t / "a.vrt", "<VRTDataset"), "not a readable VRT"),
    "VRT with an attribute to a file": (
        lambda t: vrt_of(t / "a.vrt", f'<SimpleSource SourceFilename="{outside(t / "x")}"/>'),
        "not a file in its own folder",
    ),
    "VRT with an attribute that fetches": (
        lambda t: vrt_of(t / "a.vrt", '<SimpleSource SourceFilename="/vsicurl/http://127.0.0.1/a.tif"/>'),
        "not a file in its own folder",
    ),
    "VRT with another spelling": (
        lambda t: vrt_of(
            t / "a.vrt", f"<simplesource><sourcefilename>{outside(t / 'x')}</sourcefilename></simplesource>"
        ),
        "not a file in its own folder",
    ),
    "VRT with a driver's prefix": (lambda t: vrt(t / "a.vrt", 'NETCDF:"a.nc":x'), "not a file in its own folder"),
    "VRT relative to the working folder": (
        lambda t: (make_geotiff(t / "a.tif"), vrt_of(t / "a.vrt", "<SourceFilename>a.tif</SourceFilename>"))[1],
        "not a file in its own folder",
    ),
    "VRT that says it twice": (
        lambda t: vrt_of(t / "a.vrt", '<SourceFilename relativetovrt="0" relativeToVRT="1">a.tif</SourceFilename>'),
        "are ambiguous",
    ),
    "VRT with entities": (
        lambda t: written(t / "a.vrt", '<!DOCTYPE a [<!ENTITY b "c">]><VRTDataset>&b;</VRTDataset>'),
        "declares a document type",
    ),
    "VRT with a geolocation": (
        lambda t: vrt_of(t / "a.vrt", "", '<Metadata domain="GEOLOCATION"><MDI key="X_DATASET">/x</MDI></Metadata>'),
        "not a file in its own folder",
    ),
    "VRT to JSON": (
        lambda t: (written(t / "s.json", '{"stac_version": "1.0.0"}'), vrt(t / "a.vrt", "s.json"))[1],
        "s.json, which is no image",
    ),
    "VRT to a catalog": (
        lambda t: (written(t / "a.ers", "DatasetHeader Begin\n" * 9), vrt(t / "a.vrt", "a.ers"))[1],
        "which is no image",
    ),
    "overviews elsewhere": (
        lambda t: with_aux(
            make_geotiff(t / "a.tif"),
            f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{outside(t / "x")}</MDI></Metadata>',
        ),
        "refers to other files",
    ),
    "overviews elsewhere, of a VRT's source": (
        lambda t: (
            with_aux(make_geotiff(t / "a.tif"), '<Metadata domain="x"><MDI key="y">/vsicurl/x</MDI></Metadata>'),
            vrt(t / "a.vrt", "a.tif"),
        )[1],
        "refers to other files",
    ),
    "overviews that are no image": (
        lambda t: (written(t / "a.tif.ovr", "<GDAL_WMS/>"), make_geotiff(t / "a.tif"))[1],
        "is not a TIFF",
    ),
    "XML that fetches": (lambda t: written(t / "a.tif", "<GDAL_WMS></GDAL_WMS>"), "holds XML or HTML"),
    "region outside": (lambda t: f"{make_image(t / 'a.png')}#xywh=60,60,10,10", "is not inside"),
    "region of three": (lambda t: f"{make_image(t / 'a.png')}#xywh=1,2,3", "not x,y,w,h"),
    "region of nothing": (lambda t: f"{make_image(t / 'a.png')}#xywh=0,0,0,5", "is not inside"),
}


@pytest.mark.parametrize("make, message", BAD.values(), ids=BAD)
def test_bad_input_is_named_in_one_line(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    uri = make(tmp_path)
    with pytest.raises(RsragError, match=message) as caught:
        open_scene(uri).rgb(64)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and caught.value.hint
    assert isinstance(caught.value, SceneError | UsageError)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # rasterio's, of names that are no UTF-8
@settings(max_examples=80, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    keep=st.sampled_from([1.0, 1.0, 0.9, 0.3]),
)
def test_a_damaged_tiff_opens_or_is_told(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int]], keep: float
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.tif"
    if not whole.exists():
        make_geotiff(whole, bands=2, size=(16, 16), compress="deflate", nodata=0, descriptions=["red", "nir"])
    data = bytearray(whole.read_bytes())
    for place, value in changes:
        data[int(place * len(data))] = value
    damaged = written(folder / "damaged.tif", bytes(data[: int(len(data) * keep)]))
    try:
        scene = open_scene(damaged)
        assert scene.rgb(8).dtype == np.uint8 and scene.read((), 8).dtype == np.float32
    except RsragError as error:
        assert "\n" not in str(error) and error.hint


def test_bad_arguments(tmp_path: Path) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif"))
    for bad in (
        lambda: scene.rgb(0),
        lambda: scene.read((4,)),
        lambda: scene.read((0,)),
        lambda: list(scene.tiles(8, 8)),
    ):
        with pytest.raises(UsageError):
            bad()
    with pytest.raises(SceneError, match="shape"):
        ArrayReader(np.zeros((2, 2, 2, 2)))


def test_a_file_that_vanishes_after_opening(tmp_path: Path) -> None:
    for path in (make_image(tmp_path / "a.png"), make_geotiff(tmp_path / "a.tif")):
        scene = open_scene(path)
        path.unlink()
        with pytest.raises(SceneError, match="is gone"):
            scene.rgb(64)


# -- ordinary images ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif"])
def test_ordinary_formats(tmp_path: Path, suffix: str) -> None:
    scene = open_scene(make_image(tmp_path / f"a.{suffix}", color=(200, 40, 90), size=(50, 20)))
    assert (scene.width, scene.height, scene.bbox, scene.crs, scene.gsd_m) == (50, 20, None, None, None)
    rgb = scene.rgb(25)
    assert rgb.shape == (10, 25, 3) and rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - (200, 40, 90)).max() < 12
    assert scene.rgb(1000).shape == (20, 50, 3)  # never enlarged


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    make_geotiff(tmp_path / "b.tif").rename(tmp_path / "b.png")
    assert open_scene(tmp_path / "a.jpg").width == 64
    assert open_scene(tmp_path / "b.png").crs == "EPSG:32633"


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "LA", "RGBA", "I;16", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (8, 1))
    if mode == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 100)
    else:
        image = Image.fromarray(np.dstack([ramp] * 3)).convert("L" if mode in ("1", "LA") else "RGB")
        image = image.quantize(16) if mode in ("P", "PA") else image.convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    (image.convert("PA").convert("LA") if mode == "PA" else image).save(path)
    rgb = open_scene(path).rgb(64)
    assert rgb.shape == (8, 64, 3)
    assert rgb[:, -8:].mean() > rgb[:, :8].mean() + 150


def test_sixteen_bits_keep_their_values_in_read(tmp_path: Path) -> None:
    values = np.arange(100, dtype=np.uint16).reshape(10, 10) * 600
    Image.fromarray(values).save(tmp_path / "a.png")
    scene = open_scene(tmp_path / "a.png")
    assert scene.dtype == "uint16" and scene.bands == ("grey",)
    np.testing.assert_array_equal(scene.read()[0], values)
    np.testing.assert_array_equal(scene.window(2, 3, 4, 5).read()[0], values[3:8, 2:6])


def test_transparent_is_black_and_nan(tmp_path: Path) -> None:
    array = np.full((10, 10, 4), 255, np.uint8)
    array[:5, :, 3] = 0
    Image.fromarray(array).save(tmp_path / "a.png")
    scene = open_scene(tmp_path / "a.png")
    assert scene.rgb(10)[:5].max() == 0 and scene.rgb(10)[5:].min() == 255
    assert np.isnan(scene.read()[:, :5]).all() and scene.read((2,)).shape == (1, 10, 10)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = make_image(tmp_path / "a.jpg", "gradient", size=(60, 20), exif=exif, quality=95)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    scene = open_scene(path)
    assert (scene.height, scene.width) == expected.shape[:2]
    np.testing.assert_array_equal(scene.rgb(60), expected)
    np.testing.assert_array_equal(scene.window(3, 4, 10, 11).rgb(60), expected[4:15, 3:13])
    np.testing.assert_array_equal(scene.read()[0], expected[:, :, 0])


def test_exif_place_time_and_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "DJI", "FC6310"
    exif.get_ifd(0x8769).update({0x9003: "2021:06:05 12:30:00", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 30.0, 0.0), 3: "W", 4: (70.0, 15.0, 0.0)})
    scene = open_scene(make_image(tmp_path / "DJI_0001.jpg", exif=exif))
    assert scene.bbox is not None and scene.bbox.as_tuple() == (-70.25, -33.5, -70.25, -33.5)
    assert scene.acquired == datetime(2021, 6, 5, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    assert scene.sensor == "DJI FC6310"


def test_nonsense_in_exif_is_noted_and_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "0000:00:00 00:00:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (433.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    scene = open_scene(make_image(tmp_path / "a.jpg", exif=exif))
    assert scene.bbox is None and scene.acquired is None and len(scene.notes) == 2


# -- rasters --------------------------------------------------------------------------------------


def test_a_geotiff_knows_its_place(tmp_path: Path) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", origin=(500_000, 5_800_000), res=10, size=(100, 50)))
    assert scene.crs == "EPSG:32633" and scene.gsd_m == 10 and scene.bands == ("red", "green", "blue")
    assert scene.transform == (10, 0, 500_000, 0, -10, 5_800_000)
    assert scene.bbox is not None and scene.bbox.as_tuple() == pytest.approx(
        (15.0, 52.3452, 15.0147, 52.3497), abs=1e-3
    )
    assert len(scene.footprint) == 5 and scene.footprint[0] == scene.footprint[-1]
    part = scene.window(50, 25, 10, 5)
    assert part.transform == (10, 0, 500_500, 0, -10, 5_799_750)
    assert part.bbox is not None and part.bbox.west > scene.bbox.west and part.gsd_m == 10


@pytest.mark.parametrize(
    "crs, bounds, size, box, gsd",
    [
        ("EPSG:4326", (10, 50, 10.01, 50.01), (100, 100), (10, 50, 10.01, 50.01), 8.93),
        ("EPSG:4326", (-180, -90, 180, 90), (36, 18), (-180, -90, 180, 90), 1_110_000),
        ("EPSG:4326", (0, -10, 360, 10), (36, 2), (-180, -10, 180, 10), 1_110_000),
        ("EPSG:4326", (179, -1, 181, 1), (20, 20), (179, -1, -179, 1), 11_090),
        ("EPSG:4326", (181, -1, 183, 1), (20, 20), (-179, -1, -177, 1), 11_090),
        ("EPSG:32601", (165_000, 0, 171_000, 6000), (60, 60), (179.9906, 0, -179.9555, 0.0543), 100),
        ("EPSG:2263", (980_000, 190_000, 981_000, 191_000), (100, 100), (-74.0152, 40.188, -73.4, 41), 3.048),
        ("EPSG:3857", (1_000_000, 8_399_000, 1_001_000, 8_400_000), (100, 100), (8.98, 59.9, 8.993, 60), 5.0),
        ("EPSG:3413", (-1e6, -1e6, 1e6, 1e6), (100, 100), (-180, 77, 180, 90), None),
        ("EPSG:3031", (-1e6, -1e6, 1e6, 1e6), (100, 100), (-180, -90, 180, -77.03), None),
    ],
)
def test_boxes_and_ground_sample_distance(
    tmp_path: Path,
    crs: str,
    bounds: tuple[float, float, float, float],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    gsd: float | None,
) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", crs=crs, bounds=bounds, size=size, bands=1))
    assert scene.bbox is not None
    assert scene.bbox.as_tuple() == pytest.approx(box, abs=0.7 if crs in ("EPSG:2263", "EPSG:3857") else 0.05)
    if gsd:
        assert scene.gsd_m == pytest.approx(gsd, rel=0.01)


def test_ground_control_points(tmp_path: Path) -> None:
    import rasterio
    from rasterio.control import GroundControlPoint

    path = make_geotiff(tmp_path / "a.tif", crs=None, bands=1)
    with rasterio.open(path, "r+") as target:
        corners = [(0, 0, 5, 50), (0, 64, 6, 50), (64, 0, 5, 49), (64, 64, 6, 49)]
        target.gcps = [GroundControlPoint(row, col, x, y) for row, col, x, y in corners], "EPSG:4326"
    scene = open_scene(path)
    assert scene.bbox is not None and scene.bbox.as_tuple() == pytest.approx((5, 49, 6, 50))
    assert "ground control points" in scene.notes[0]


def test_a_plain_tiff_lies_nowhere(tmp_path: Path) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", crs=None))
    assert (scene.crs, scene.transform, scene.bbox, scene.gsd_m) == (None, None, None, None)


def test_a_world_file_places_a_png(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png", size=(10, 10))
    written(tmp_path / "a.pgw", "0.1\n0\n0\n-0.1\n5.05\n49.95\n")
    written(
        tmp_path / "a.png.aux.xml",
        '<PAMDataset><SRS dataAxisToSRSAxisMapping="2,1">EPSG:4326</SRS></PAMDataset>',
    )
    scene = open_scene(path)
    assert scene.bbox is not None and scene.bbox.as_tuple() == pytest.approx((5, 49, 6, 50))


def test_nodata_nan_and_infinity(tmp_path: Path) -> None:
    data = np.linspace(0, 1, 3 * 20 * 20, dtype=np.float32).reshape(3, 20, 20)
    data[:, 0], data[:, 1], data[:, 2] = np.nan, np.inf, -9999
    scene = open_scene(make_geotiff(tmp_path / "a.tif", data=data, nodata=-9999))
    rgb = scene.rgb(20)
    assert rgb[:3].max() == 0 and rgb[5:].max() == 255
    assert np.isnan(scene.read()[:, 2]).all() and scene.nodata == -9999
    blank = open_scene(make_geotiff(tmp_path / "b.tif", data=np.full((1, 9, 9), 7, np.uint16), nodata=7))
    assert blank.rgb(9).max() == 0 and np.isnan(blank.read()).all()
    flat = open_scene(make_geotiff(tmp_path / "c.tif", data=np.full((1, 9, 9), 7, np.uint16)))
    assert flat.rgb(9).min() == flat.rgb(9).max() == 127


def test_a_saturated_band_is_no_gap(tmp_path: Path) -> None:
    data = np.full((3, 4, 4), 255, np.uint8)
    data[1:, :2] = 9
    rgb = open_scene(make_geotiff(tmp_path / "a.tif", data=data, nodata=255)).rgb(4)
    assert rgb[0, 0].tolist() == [255, 9, 9] and rgb[3, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "names, shown, noted",
    [
        (("swir", "nir", "red", "green", "blue"), (3, 4, 5), False),
        (("B02", "B03", "B04", "B08"), (3, 2, 1), False),
        (("Blue band", "Green band", "Red edge", "Red band"), (4, 2, 1), False),
        (("SWIR1", "NIR", "Red", "Green"), (2, 3, 4), False),
        (("swir22", "nir08", "red", "wvp"), (1, 2, 3), False),
        (("a", "b", "c", "d"), (1, 2, 3), True),
        ((), (1, 2, 3), True),
    ],
)
def test_bands_shown_as_rgb(tmp_path: Path, names: tuple[str, ...], shown: tuple[int, ...], noted: bool) -> None:
    count = len(names) or 5
    data = np.stack([np.full((4, 4), 10 * (n + 1), np.uint8) for n in range(count)])
    scene = open_scene(make_geotiff(tmp_path / "a.tif", data=data, descriptions=names, photometric="MINISBLACK"))
    assert scene.rgb(4)[0, 0].tolist() == [10 * n for n in shown]
    assert any("first three" in note for note in scene.notes) is noted
    assert scene.bands[: len(names)] == names


def test_twelve_unnamed_bands_are_sentinel_2(tmp_path: Path) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", bands=12, dtype="uint16"))
    assert scene.bands[3] == "B04" and scene.bands[-1] == "B12" and "taken to be Sentinel-2" in scene.notes[0]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    import rasterio

    path = make_geotiff(tmp_path / "a.tif", data=np.eye(40, dtype=np.uint8)[None])
    with rasterio.open(path, "r+") as target:
        target.write_colormap(1, {0: (10, 20, 30, 255), 1: (200, 100, 50, 255)})
    rgb = open_scene(path).rgb(20)
    assert {tuple(c) for c in rgb.reshape(-1, 3).tolist()} == {(10, 20, 30), (200, 100, 50)}


def test_complex_values_show_their_amplitude(tmp_path: Path) -> None:
    data = (np.arange(64).reshape(1, 8, 8) * (3 + 4j)).astype(np.complex64)
    scene = open_scene(make_geotiff(tmp_path / "a.tif", data=data))
    np.testing.assert_allclose(scene.read()[0], np.arange(64).reshape(8, 8) * 5)
    assert scene.rgb(8)[-1, -1, 0] == 255


def test_a_huge_tiled_tiff_is_read_in_parts(tmp_path: Path) -> None:
    scene = open_scene(sparse(tmp_path / "a.tif", 30_000))
    assert scene.window(20_000, 20_000, 100, 100).read().shape == (1, 100, 100)
    with pytest.raises(SceneError, match="values in memory"):
        scene.read()


def test_a_vrt_over_its_own_folder_opens(tmp_path: Path) -> None:
    make_geotiff(tmp_path / "a.tif", bands=1, size=(8, 8))
    assert open_scene(vrt(tmp_path / "a.vrt", "a.tif")).rgb(8).any()
    vrt(tmp_path / "b.vrt", "a.vrt")
    # Addresses in plain metadata and in namespaces name nothing to open.
    about = '<Metadata><MDI key="about">https://example.org</MDI></Metadata>'
    inner = '<SimpleSource><SourceFilename relativeToVRT="1">b.vrt</SourceFilename></SimpleSource>'
    path = with_aux(vrt_of(tmp_path / "c.vrt", inner, about), about + '<X xmlns:e="http://www.esri.com" e:a="b"/>')
    assert open_scene(path).rgb(8).any()


def test_a_vrt_reaches_no_server(tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.tif"
        for name in (f"/vsicurl/{address}", address, f"vrt://{address}", f"/vsicurl?url={address}"):
            source = f'<SimpleSource SourceFilename="{name}"><SourceBand>1</SourceBand></SimpleSource>'
            with pytest.raises(SceneError):
                open_scene(vrt_of(tmp_path / "a.vrt", source)).rgb(8)
        text = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/{address}</MDI></Metadata>'
        with pytest.raises(SceneError):
            open_scene(with_aux(make_geotiff(tmp_path / "b.tif"), text)).rgb(8)
        server.shutdown()
    assert asked == []


# -- time, sensor, sidecar ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, expected, precision",
    [
        ("S2A_MSIL2A_20200503T105031_x", datetime(2020, 5, 3, 10, 50, 31, tzinfo=UTC), "time"),
        ("S1A_IW_GRDH_1SDV_20180716T060623_20180716T060648", datetime(2018, 7, 16, 6, 6, 23, tzinfo=UTC), "time"),
        ("20200715_173000_1020_3B_AnalyticMS", datetime(2020, 7, 15, 17, 30, tzinfo=UTC), "time"),
        ("HLS.L30.T14RNV.2020197T170525.v2.0", datetime(2020, 7, 15, 17, 5, 25, tzinfo=UTC), "time"),
        ("20JUL15103045-M2AS", datetime(2020, 7, 15, 10, 30, 45, tzinfo=UTC), "time"),
        ("harbour_2019-07-31", datetime(2019, 7, 31, tzinfo=UTC), "day"),
        ("LC08_L1TP_230071_20200503_20200820", datetime(2020, 5, 3, tzinfo=UTC), "day"),
        ("LT50060661985213CUB00", datetime(1985, 8, 1, tzinfo=UTC), "day"),
        ("MOD09A1.A2020197.h10v09", datetime(2020, 7, 15, tzinfo=UTC), "day"),
        ("field_2020-197", datetime(2020, 7, 15, tzinfo=UTC), "day"),
        ("field_15-Jul-2020", datetime(2020, 7, 15, tzinfo=UTC), "day"),
        ("field_2020Jul15", datetime(2020, 7, 15, tzinfo=UTC), "day"),
        ("mosaic_2020_07", datetime(2020, 7, 1, tzinfo=UTC), "month"),
        ("naip_2009", datetime(2009, 1, 1, tzinfo=UTC), "year"),
        ("pucallpa_1985", datetime(1985, 1, 1, tzinfo=UTC), "year"),
        ("tile_20201345", None, ""),
        ("tile_20200230", None, ""),
        ("tile_2020-366-2019-366", datetime(2020, 12, 31, tzinfo=UTC), "day"),
        ("id_120200503", None, ""),
        ("far_29991231", None, ""),
        ("far_2999", None, ""),
    ],
)
def test_dates_in_file_names(tmp_path: Path, name: str, expected: datetime | None, precision: str) -> None:
    scene = open_scene(make_image(tmp_path / f"{name}.png"))
    assert (scene.acquired, scene.acquired_precision) == (expected, precision)


@pytest.mark.parametrize(
    "name, sensor",
    [
        ("S2A_MSIL2A_20200503T105031_x", "Sentinel-2"),
        ("LC08_L1TP_230071_20200503_20200820", "Landsat 8"),
        ("LT50060661985213CUB00", "Landsat 5"),
        ("s1a-iw-grd-vv-20180716t060623", "Sentinel-1"),
        ("HLS.L30.T14RNV.2020197T170525.v2.0", "HLS (Landsat 8/9)"),
        ("m_4610301_nw_14_060_20200715", "NAIP"),
        ("LCD_screen", None),
        ("snaip", None),
    ],
)
def test_sensors_in_file_names(tmp_path: Path, name: str, sensor: str | None) -> None:
    assert open_scene(make_image(tmp_path / f"{name}.png")).sensor == sensor


@pytest.mark.parametrize(
    "text, expected, precision, noted",
    [
        ("2009-08-01T10:00:00Z", datetime(2009, 8, 1, 10, tzinfo=UTC), "time", False),
        ("2009-08-01T10:00:00+02:00", datetime(2009, 8, 1, 8, tzinfo=UTC), "time", False),
        ("2009-08-01 10:00", datetime(2009, 8, 1, 10, tzinfo=UTC), "time", True),
        ("2009-08-01", datetime(2009, 8, 1, tzinfo=UTC), "day", False),
        ("2009-213", datetime(2009, 8, 1, tzinfo=UTC), "day", False),
        ("2009-08", datetime(2009, 8, 1, tzinfo=UTC), "month", False),
        ("2009", datetime(2009, 1, 1, tzinfo=UTC), "year", False),
    ],
)
def test_dates_in_a_sidecar(tmp_path: Path, text: str, expected: datetime, precision: str, noted: bool) -> None:
    path = make_image(tmp_path / "a_20200101.png")
    written(tmp_path / "a_20200101.json", json.dumps({"acquired": text}))
    scene = open_scene(path)
    assert scene.acquired == expected and scene.acquired_precision == precision
    assert any("taken as UTC" in note for note in scene.notes) is noted


def test_time_and_sensor_in_tags(tmp_path: Path) -> None:
    tags = {"TIFFTAG_DATETIME": "2018:07:16 06:06:23", "SENSOR": "PlanetScope"}
    scene = open_scene(make_geotiff(tmp_path / "a.tif", tags=tags))
    assert scene.acquired == datetime(2018, 7, 16, 6, 6, 23, tzinfo=UTC) and scene.sensor == "PlanetScope"
    assert "taken as UTC" in scene.notes[0]


def test_the_sidecar_wins(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "a_20200101.tif", bands=4, photometric="MINISBLACK", tags={"SENSOR": "x"})
    facts = {"bands": ["nir", "red", "green", "blue"], "sensor": "NAIP", "acquired": "2009-08-01", "gsd_m": 1.5}
    written(path.with_suffix(".json"), json.dumps(facts))
    scene = open_scene(path)
    assert scene.bands == ("nir", "red", "green", "blue") and scene.sensor == "NAIP" and scene.gsd_m == 1.5
    assert scene.acquired == datetime(2009, 8, 1, tzinfo=UTC) and scene.window(0, 0, 9, 9).gsd_m == 1.5
    np.testing.assert_array_equal(scene.rgb(64), scene.read((2, 3, 4)).transpose(1, 2, 0))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1",
        "[" * 100_000,
        '{"sensor": "\\ud800"}',
        '{"bands": ["one"]}',
        '{"acquired": "2009-13"}',
        '{"acquired": "9999"}',
        '{"gsd_m": -1}',
        '{"scale": 0}',
        '{"scale": [1, 2]}',
        '{"offset": "x"}',
    ],
)
def test_a_bad_sidecar_is_noted(tmp_path: Path, text: str) -> None:
    path = make_image(tmp_path / "a.png")
    written(tmp_path / "a.json", text)
    scene = open_scene(path)
    assert len(scene.notes) == 1 and scene.acquired is None and scene.gsd_m is None


# -- parts ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    size=st.integers(1, 40),
    overlap=st.integers(0, 39),
    deep=st.booleans(),
)
def test_tiles_cover_every_pixel(width: int, height: int, size: int, overlap: int, deep: bool) -> None:
    overlap = min(overlap, size - 1)
    values = np.arange(width * height, dtype=np.float32).reshape(height, width)
    scene = ArrayReader(values).scene()
    seen = np.zeros((height, width), int)
    for tile in scene.tiles(size, overlap):
        assert tile.width <= size and tile.height <= size
        first = int(tile.read()[0, 0, 0])
        y, x = divmod(first, width)
        np.testing.assert_array_equal(tile.read()[0], values[y : y + tile.height, x : x + tile.width])
        seen[y : y + tile.height, x : x + tile.width] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize("make", [make_geotiff, make_image])
def test_a_windows_uri_opens_the_window_again(tmp_path: Path, make: Callable[..., Path]) -> None:
    scene = open_scene(make(tmp_path / ("a.tif" if make is make_geotiff else "a.png"), size=(70, 50)))
    part = scene.window(10, 20, 30, 25).window(5, 5, 9, 8)
    assert part.uri.endswith("#xywh=15,25,9,8")
    again = open_scene(part.uri)
    assert again == part
    np.testing.assert_array_equal(again.rgb(9), part.rgb(9))
    np.testing.assert_array_equal(part.read(), scene.read()[:, 25:33, 15:24])


def test_decoded_needs_no_file(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png", size=(300, 200))
    scene = open_scene(path)
    ready = decoded(scene, 128)
    expected, small = scene.rgb(128), ready.rgb(64)
    path.unlink()
    np.testing.assert_array_equal(ready.rgb(128), expected)
    assert small.shape == (43, 64, 3) and ready == scene
    with pytest.raises(SceneError):
        ready.rgb(256)


def test_readers_may_be_shared_by_threads(tmp_path: Path) -> None:
    for path in (make_geotiff(tmp_path / "a.tif", size=(99, 99)), make_image(tmp_path / "a.jpg", size=(99, 99))):
        tiles = list(open_scene(path).tiles(33))
        expected = [tile.rgb(20) for tile in tiles]
        start = threading.Barrier(8)

        def work(number: int, tiles: list = tiles, start: threading.Barrier = start) -> np.ndarray:  # type: ignore[type-arg]
            start.wait()
            return tiles[number].rgb(20)  # type: ignore[no-any-return]

        with ThreadPoolExecutor(8) as pool:
            for one, other in zip(pool.map(work, range(8)), expected, strict=False):
                np.testing.assert_array_equal(one, other)


def test_plugins_are_asked_first_and_without_the_region() -> None:
    class Some:
        def open_scene(self, uri: str) -> object:
            assert uri == "zip://a"
            return ArrayReader(np.full((40, 40, 3), 9, np.uint8), uri).scene()

    scene = open_scene("zip://a#xywh=1,2,3,4", Some())  # type: ignore[arg-type]
    assert (scene.width, scene.height, scene.uri) == (3, 4, "zip://a#xywh=1,2,3,4")


def test_a_file_cut_short_is_told_in_gdals_words(tmp_path: Path) -> None:
    whole = make_geotiff(tmp_path / "whole.tif", size=(64, 64))
    cut = tmp_path / "cut.tif"
    cut.write_bytes(Path(whole).read_bytes()[:3000])
    with pytest.raises(SceneError) as caught:
        open_scene(cut).rgb(64)
    assert "cut short" in caught.value.message and "previous exception" not in caught.value.message
