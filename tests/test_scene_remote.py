"""Images on servers: refused unless allowed, then read in parts; netCDF variables, which are addressed alike."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import rsrag
from rsrag.errors import SceneError, UsageError
from rsrag.scene import open_scene
from rsrag.testing.rasters import make_geotiff


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves a folder, with the byte ranges that GDAL asks for, and keeps count of what it sent."""

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        asked = self.headers.get("Range", "")
        first, last = 0, len(data) - 1
        if asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if asked else 200)
        part = data[first : last + 1]
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        self.server.seen.append((self.path, len(part)))  # type: ignore[attr-defined]
        self.wfile.write(part)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """(address, what was sent) of a server over a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(RangeHandler, directory=str(folder))) as server:
        server.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
        server.shutdown()


@pytest.fixture
def cog(tmp_path: Path) -> Path:
    """A tiled GeoTIFF with overviews, of more than one megabyte."""
    import rasterio

    path = make_geotiff(
        tmp_path / "S2A_MSIL2A_20200715T101031_N0214_x.tif",
        bands=4,
        size=(512, 512),
        dtype="uint16",
        descriptions=["B02", "B03", "B04", "B08"],
        tiled=True,
        blockxsize=128,
        blockysize=128,
    )
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4, 8])
    return path


def test_a_remote_image_is_read_in_parts(cog: Path) -> None:
    with serving(cog.parent) as (host, seen):
        scene = open_scene(f"http://{host}/{cog.name}", remote=True)
        local = open_scene(cog)
        assert (scene.crs, scene.bbox, scene.roles, scene.scale) == (local.crs, local.bbox, local.roles, local.scale)
        assert scene.acquired == local.acquired and scene.sensor == "Sentinel-2"
        np.testing.assert_array_equal(scene.rgb(64), local.rgb(64))
        part = scene.window(100, 100, 50, 50)
        np.testing.assert_array_equal(open_scene(part.uri, remote=True).read(), local.window(100, 100, 50, 50).read())
    assert {path for path, _ in seen} == {f"/{cog.name}"}  # no sidecars, no listing
    assert sum(size for _, size in seen) < cog.stat().st_size


def test_s3_through_an_endpoint(cog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(cog.parent) as (host, seen):
        bucket = cog.parent / "bucket"
        bucket.mkdir()
        cog.rename(bucket / "a.tif")
        for name, value in {
            "AWS_S3_ENDPOINT": host,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
        }.items():
            monkeypatch.setenv(name, value)
        assert open_scene("s3://bucket/a.tif", remote=True).rgb(32).shape == (32, 32, 3)
    assert {path for path, _ in seen} == {"/bucket/a.tif"}


@pytest.mark.parametrize(
    "address, allowed, message",
    [
        ("http://HOST/a.tif", False, "nothing is fetched unless configured"),
        ("s3://bucket/a.tif", False, "nothing is fetched unless configured"),
        ("http://user:secret@HOST/a.tif", True, "must not hold a password"),
        ("http://HOST/missing.tif", True, "cannot be read"),
        ("http://HOST/page.html", True, "cannot be read"),
        ("http://HOST/scene.vrt", True, "cannot be read"),
        ("http://127.0.0.1:1/a.tif", True, "cannot be read"),
        ("http://HOST/", True, "not the address of an image"),
        ("http://HOST/a b.tif", True, "not the address of an image"),
        ("gs://bucket/a.tif", True, "install a plugin that opens gs://"),
    ],
)
def test_what_is_not_read_from_a_server(tmp_path: Path, address: str, allowed: bool, message: str) -> None:
    (tmp_path / "page.html").write_text("<html>404</html>")
    make_geotiff(tmp_path / "a.tif")
    (tmp_path / "scene.vrt").write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">a.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with serving(tmp_path) as (host, seen):
        with pytest.raises(SceneError) as caught:
            open_scene(address.replace("HOST", host), remote=allowed)
        assert message in f"{caught.value} {caught.value.hint}" and "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
        assert not seen or allowed
        assert "/a.tif" not in {path for path, _ in seen}  # what a file names is not fetched


def test_the_configuration_allows_it(cog: Path, kb: rsrag.KnowledgeBase) -> None:
    with serving(cog.parent) as (host, _):
        address = f"http://{host}/{cog.name}"
        with pytest.raises(SceneError, match="nothing is fetched unless configured"):
            rsrag.Assistant(kb).query("what is this?", address)
        assert rsrag.Assistant(kb, remote_scenes=True).query("what is this?", address).scenes[0].width == 512


# -- netCDF ---------------------------------------------------------------------------------------


def write_netcdf(path: Path, variables: dict[str, float]) -> Path:
    """Classic netCDF (3 rows, 4 columns) with a float variable per name, filled with its value, on a lat/lon grid."""

    def text(value: str) -> bytes:
        data = value.encode()
        return struct.pack(">i", len(data)) + data + b"\0" * (-len(data) % 4)

    def attributes(**values: str) -> bytes:
        made = b"".join(
            text(k) + struct.pack(">ii", 2, len(v)) + v.encode() + b"\0" * (-len(v) % 4) for k, v in values.items()
        )
        return struct.pack(">ii", 12, len(values)) + made if values else bytes(8)

    grid = {"lat": (np.array([51, 50, 49], ">f4"), [0]), "lon": (np.array([5, 6, 7, 8], ">f4"), [1])}
    grid |= {name: (np.full((3, 4), value, ">f4"), [0, 1]) for name, value in variables.items()}
    units = {"lat": {"units": "degrees_north"}, "lon": {"units": "degrees_east"}}

    def header(begin: int) -> bytes:
        out = b"CDF\x01" + bytes(4) + struct.pack(">ii", 10, 2)
        out += text("lat") + struct.pack(">i", 3) + text("lon") + struct.pack(">i", 4)
        out += attributes(Conventions="CF-1.6") + struct.pack(">ii", 11, len(grid))
        for name, (values, dimensions) in grid.items():
            out += text(name) + struct.pack(f">i{len(dimensions)}i", len(dimensions), *dimensions)
            out += attributes(**units.get(name, {})) + struct.pack(">iii", 5, values.nbytes, begin)
            begin += values.nbytes
        return out

    path.write_bytes(header(len(header(0))) + b"".join(values.tobytes() for values, _ in grid.values()))
    return path


def test_a_netcdf_of_one_variable_opens(tmp_path: Path) -> None:
    scene = open_scene(write_netcdf(tmp_path / "a.nc", {"ndvi": 0.5}))
    assert (scene.width, scene.height) == (4, 3) and float(scene.read().mean()) == 0.5
    assert scene.bands == ("ndvi",) and scene.crs == "EPSG:4326" and "taken as WGS 84" in scene.notes[0]
    assert scene.bbox is not None and scene.bbox.as_tuple() == (4.5, 48.5, 8.5, 51.5)


def test_of_several_variables_one_is_named(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", {"ndvi": 0.5, "lst": 300})
    with pytest.raises(SceneError, match="holds several variables: ndvi, lst") as caught:
        open_scene(path)
    assert "#variable=ndvi" in caught.value.hint
    for uri in (f"{path}#variable=lst", f'NETCDF:"{path}":lst', f"NETCDF:{path}:lst"):
        scene = open_scene(uri)
        assert scene.uri == f"{path}#variable=lst" and float(scene.read().max()) == 300
    part = scene.window(1, 0, 2, 3)
    assert part.uri == f"{path}#variable=lst&xywh=1,0,2,3" and open_scene(part.uri) == part


@pytest.mark.parametrize(
    "ending, error, message",
    [
        ("#variable=rain", SceneError, "variable rain cannot be read"),
        ("#variable=a:b", UsageError, "not the name of a variable"),
        ('#variable="', UsageError, "not the name of a variable"),
        ("#variable=/vsicurl/x", SceneError, "variable /vsicurl/x cannot be read"),
        ("#variable=lst&xywh=0,0,9,9", UsageError, "is not inside"),
    ],
)
def test_variables_that_are_not_there(tmp_path: Path, ending: str, error: type[Exception], message: str) -> None:
    path = write_netcdf(tmp_path / "a.nc", {"ndvi": 0.5, "lst": 300})
    with pytest.raises(error, match=message) as caught:
        open_scene(f"{path}{ending}")
    assert "\n" not in str(caught.value)


def test_a_damaged_netcdf_does_not_end_the_program(tmp_path: Path) -> None:
    """Two bytes of the header changed: netCDF 4.9 crashes on it, and Python with it."""
    path = write_netcdf(tmp_path / "a.nc", {"ndvi": 0.5})
    data = bytearray(path.read_bytes())
    data[84], data[101] = 57, 43
    path.write_bytes(bytes(data))
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="3"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">a.nc</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    for name in ("a.nc", "a.nc#variable=ndvi", "a.vrt"):
        with pytest.raises(SceneError, match="damaged or cut short"):
            open_scene(tmp_path / name)


def test_a_tiff_has_no_variables(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="variable x cannot be read"):
        open_scene(f"{make_geotiff(tmp_path / 'a.tif')}#variable=x")
