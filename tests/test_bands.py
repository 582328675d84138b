"""Bands: what names mean, what sensors hold, who is believed, and the physical values that follow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import rsrag
from rsrag.bands import ROLES, profile, profiles, role_of, roles_of
from rsrag.errors import SceneError, UsageError
from rsrag.identity import InFile, Said, identify
from rsrag.scene import ArrayReader, open_scene
from rsrag.testing.rasters import make_geotiff, make_image

S2 = profiles()["sentinel-2-l2a"].bands
S2_ROLES = tuple(band.role for band in S2)

# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, role",
    [
        ("red", "red"),
        ("Red band", "red"),
        ("RED_EDGE", "rededge1"),
        ("rededge071", "rededge1"),
        ("Red Edge 2", "rededge2"),
        ("near infrared", "nir"),
        ("nir08", "nir2"),
        ("nir09", "watervapour"),
        ("swir16", "swir1"),
        ("SWIR 2", "swir2"),
        ("shortwave infrared 1", "swir1"),
        ("coastal_blue", "aerosol"),
        ("Coastal Aerosol", "aerosol"),
        ("green_i", "green1"),
        ("lwir11", "thermal1"),
        ("TIRS2", "thermal2"),
        ("Sigma0_VV_db", "vv"),
        ("panchromatic", "pan"),
        ("DSM", "elevation"),
        ("red/nir", ""),
        ("NDVI (nir - red)", ""),
        ("reduced", ""),
        ("blueberry", ""),
        ("grey", ""),
        ("Band 1", ""),
        ("", ""),
    ],
)
def test_names_in_words(name: str, role: str) -> None:
    assert role_of(name) == role


@given(st.text(max_size=40))
def test_any_name_has_one_role_or_none(name: str) -> None:
    assert role_of(name) in (*ROLES, "")


@given(st.lists(st.sampled_from([*ROLES, "B04", "B8A", "SR_B5", "x", "", "red", "nir"]), max_size=9))
def test_no_role_is_given_twice(names: list[str]) -> None:
    roles, _, _ = roles_of(names)
    assert len(roles) == len(names)
    assert all(roles.count(role) == 1 for role in roles if role)


@pytest.mark.parametrize(
    "names, sensor, roles",
    [
        (("B02", "B8A", "B11"), "", ("blue", "nir2", "swir1")),
        (("B2", "B3", "B4"), "", ("blue", "green", "red")),
        (("B5", "B4"), "", ("", "")),
        (("B5", "B4"), "landsat-8-c2l1", ("nir", "red")),
        (("B5", "B4"), "landsat-7-c2l2", ("swir1", "nir")),
        (("SR_B4", "SR_B5", "SR_B6"), "", ("red", "nir", "swir1")),
        (("Band 3", "Band 4"), "landsat-5", ("red", "nir")),
        (("B4, central wavelength 665 nm", "B8A, central wavelength 865 nm"), "", ("red", "nir2")),
        (("coastal", "nir08", "red"), "", ("aerosol", "nir", "red")),
        (("red", "red"), "", ("", "")),
    ],
)
def test_codes_mean_what_the_sensor_says(names: tuple[str, ...], sensor: str, roles: tuple[str, ...]) -> None:
    assert roles_of(names, profile(sensor) if sensor else None)[0] == roles


# -- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(profiles()))
def test_every_profile_is_whole(name: str) -> None:
    known = profiles()[name]
    assert known.source and known.sensor and all(re.compile(pattern) for pattern in known.patterns)
    lengths = [len(order) for order in known.orders]
    assert len(set(lengths)) == len(lengths), "orders are told apart by their length"
    for order in known.orders:
        roles = [band.role for band in order if band.role]
        assert set(roles) <= set(ROLES) and len(set(roles)) == len(roles)
    assert all(band.wavelength == 0 or 400 < band.wavelength < 15_000 for band in known.bands)
    assert all(known.find(band.code) == band for band in known.bands)


def test_no_two_profiles_share_a_name() -> None:
    names = [alias for p in profiles().values() for alias in (p.name, *p.aliases)]
    assert len(set(names)) == len(names)


def test_visible_bands_lie_where_their_colour_is() -> None:
    spans = {"blue": (450, 510), "green": (510, 600), "red": (600, 700), "nir": (740, 1000), "swir1": (1550, 1750)}
    for known in profiles().values():
        for band in known.bands:
            if band.wavelength and band.role in spans:
                assert spans[band.role][0] <= band.wavelength <= spans[band.role][1], (known.name, band)


def test_an_unknown_profile_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no sensor profile 'sentinel-2-l2b'") as caught:
        profile("sentinel-2-l2b")
    assert "sentinel-2-l2a" in caught.value.hint
    assert profile("Sentinel 2").name == profile("S2").name == "sentinel-2-l2a"


# -- who is believed ------------------------------------------------------------------------------


def opened(tmp_path: Path, name: str = "a", sidecar: Any = None, call: Any = None, **raster: Any) -> rsrag.Scene:
    path = make_geotiff(tmp_path / f"{name}.tif", **{"photometric": "MINISBLACK", "bands": 4, **raster})
    if sidecar:
        path.with_suffix(".json").write_text(json.dumps(sidecar))
    return open_scene(path, **(call or {}))


@pytest.mark.parametrize(
    "descriptions, sidecar, call, roles, origin",
    [
        ((), None, {}, ("", "", "", ""), ""),
        (("blue", "green", "red", "nir"), None, {}, ("blue", "green", "red", "nir"), "the file"),
        (
            ("blue", "green", "red", "nir"),
            {"bands": ["nir", "red", "green", "blue"]},
            {},
            ("nir", "red", "green", "blue"),
            "the sidecar a.json",
        ),
        (
            (),
            {"bands": ["nir", "red", "green", "blue"]},
            {"bands": "swir1,nir,red,green"},
            ("swir1", "nir", "red", "green"),
            "--bands",
        ),
        ((), {"sensor": "planetscope-4"}, {}, ("blue", "green", "red", "nir"), "(sensor profile planetscope-4)"),
        ((), None, {"sensor": "naip"}, ("red", "green", "blue", "nir"), "sensor profile naip"),
        (("B04", "B03", "B02", "B08"), None, {"sensor": "s2"}, ("red", "green", "blue", "nir"), "sentinel-2-l2a"),
        ((), None, {"sensor": "s2", "bands": ("B08", "B04", "_", "B11")}, ("nir", "red", "", "swir1"), "--bands"),
    ],
)
def test_who_is_believed(
    tmp_path: Path, descriptions: tuple[str, ...], sidecar: Any, call: Any, roles: tuple[str, ...], origin: str
) -> None:
    scene = opened(tmp_path, descriptions=descriptions, sidecar=sidecar, call=call)
    assert scene.roles == roles and scene.bands_from.endswith(origin)
    assert scene.window(0, 0, 8, 8).roles == roles
    if call.get("sensor") if call else False:
        assert scene.sensor


def test_a_contradiction_is_noted(tmp_path: Path) -> None:
    scene = opened(tmp_path, descriptions=("blue", "green", "red", "nir"), call={"bands": "red,green,blue,nir"})
    assert scene.roles == ("red", "green", "blue", "nir")
    assert "By --bands, band 1 is red, the file says blue; band 3 is blue, the file says red." in scene.notes


@pytest.mark.parametrize(
    "call, message",
    [
        ({"bands": "red,green"}, "2 bands are named .red, green., the image has 4"),
        ({"bands": "a,b,c,d"}, "none of the bands a, b, c, d is known"),
        ({"sensor": "sentinel-2-l9"}, "no sensor profile 'sentinel-2-l9'"),
        ({"sensor": "worldview-3-8", "bands": ""}, None),
        ({"sensor": "sentinel-1-grd"}, "knows files of 2 bands; this one has 4"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, call: Any, message: str | None) -> None:
    if message is None:
        assert opened(tmp_path, call=call).roles == ("blue", "green", "red", "nir")
        return
    with pytest.raises(UsageError, match=message) as caught:
        opened(tmp_path, call=call)
    assert caught.value.hint and "\n" not in str(caught.value)


def test_an_alpha_band_need_not_be_named(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "a.tif", bands=4, photometric="RGB", alpha="YES")
    assert open_scene(path).roles == ("red", "green", "blue", "alpha")
    assert open_scene(path, bands="nir,red,green").roles == ("nir", "red", "green", "alpha")


@pytest.mark.parametrize(
    "name, raster, roles, origin",
    [
        ("patch", {"bands": 12, "dtype": "uint16"}, S2_ROLES, "a guess: 12 bands without names"),
        ("patch", {"bands": 12, "dtype": "uint16", "descriptions": ["same"] * 12}, S2_ROLES, "a guess"),
        ("naip_nd_2009", {}, ("red", "green", "blue", "nir"), "a guess: the file's name"),
        ("a", {"photometric": "RGB"}, ("red", "green", "blue", "nir"), "near infrared is a guess"),
        ("landsat_pucallpa_1985", {}, ("", "", "", ""), ""),
        ("hls_texas", {"bands": 10, "dtype": "float32"}, ("",) * 10, ""),
        ("s1_vv_db", {"bands": 1, "dtype": "float32"}, ("vv",), "the file's name"),
        ("T32UQD_20200715T101031_B08_10m", {"bands": 1, "dtype": "uint16"}, ("nir",), "the file's name"),
        ("LC08_L2SP_006066_20200715_20200912_02_T1_SR_B6", {"bands": 1, "dtype": "uint16"}, ("swir1",), "name"),
        ("LE07_L2SP_006066_20200715_20200912_02_T1_SR_B5", {"bands": 1, "dtype": "uint16"}, ("swir1",), "name"),
        ("dsm", {"bands": 1, "dtype": "float32"}, ("elevation",), "a guess"),
        ("pan", {"bands": 1, "dtype": "uint16"}, ("",), ""),
    ],
)
def test_what_files_without_names_are_taken_for(
    tmp_path: Path, name: str, raster: dict[str, Any], roles: tuple[str, ...], origin: str
) -> None:
    scene = opened(tmp_path, name, **raster)
    assert scene.roles == roles and origin in scene.bands_from
    if "a guess" in scene.bands_from:
        assert any("taken to" in note for note in scene.notes)


def test_two_hundred_and_fifty_five_bands(tmp_path: Path) -> None:
    scene = opened(tmp_path, bands=255, size=(8, 8), dtype="uint16")
    assert len(scene.bands) == len(scene.roles) == 255 and scene.rgb(8).shape == (8, 8, 3)
    assert scene.read((255,)).shape == (1, 8, 8) and sum("first three" in n for n in scene.notes) == 1


def test_ordinary_pictures_have_roles(tmp_path: Path) -> None:
    assert open_scene(make_image(tmp_path / "a.png")).roles == ("red", "green", "blue")
    assert ArrayReader(np.zeros((4, 4, 3), np.uint8)).scene().roles == ("red", "green", "blue")
    assert open_scene(tmp_path / "a.png", bands=["nir", "red", "green"]).roles == ("nir", "red", "green")


def test_a_plugins_scene_can_be_told_its_bands() -> None:
    class Some:
        def open_scene(self, uri: str) -> rsrag.Scene:
            return ArrayReader(np.full((4, 4, 2), 7, np.uint16), uri).scene()

    plain = open_scene("x://a", Some())  # type: ignore[arg-type]
    assert plain.roles == ("", "")
    scene = open_scene("x://a#xywh=0,0,2,2", Some(), bands="nir,red")  # type: ignore[arg-type]
    assert scene.roles == ("nir", "red") and scene.reflectance(["red"]).shape == (1, 2, 2)


@given(
    count=st.integers(1, 14),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    colours=st.lists(st.sampled_from(["gray", "undefined", "red", "green", "blue", "alpha"]), min_size=14, max_size=14),
    names=st.lists(st.sampled_from(["", "red", "B04", "B8A", "x", "SR_B5"]), min_size=14, max_size=14),
    stem=st.sampled_from(["a", "naip", "S2A_MSIL2A_x_N0500_", "LC08_L2SP_x_SR_B4", "HLS.L30.x"]),
    side=st.sampled_from([Said(), Said(("red",)), Said(sensor="s2"), Said(scale=(2.0,)), Said(offset=(1.0, 2.0))]),
)
def test_every_band_has_a_name_and_a_role(
    count: int, dtype: str, colours: list[str], names: list[str], stem: str, side: Said
) -> None:
    file = InFile(count, dtype, tuple(colours[:count]), tuple(names[:count]), stem=stem, middle=lambda: 300.0)
    found = identify(file, side, Said())
    assert len(found.names) == len(found.roles) == count and all(isinstance(name, str) for name in found.names)
    assert {len(found.scale), len(found.offset)} in ({0}, {count})


# -- physical values ------------------------------------------------------------------------------


def test_reflectance_of_sentinel_2(tmp_path: Path) -> None:
    data = np.stack([np.full((6, 8), 1000 * (n + 1), np.uint16) for n in range(12)])
    data[:, 0] = 0
    scene = open_scene(make_geotiff(tmp_path / "a.tif", data=data, nodata=0))
    values = scene.reflectance(["nir", "red"])
    assert values.dtype == np.float32 and values.shape == (2, 6, 8) and np.isnan(values[:, 0]).all()
    np.testing.assert_allclose(values[:, 1:].mean((1, 2)), [0.8, 0.4], rtol=1e-6)
    assert scene.stretched is False and any("baseline" in note for note in scene.notes)


@pytest.mark.parametrize("baseline, offset", [("N0214", 0.0), ("N0400", -0.1), ("N0510", -0.1)])
def test_the_offset_of_later_baselines(tmp_path: Path, baseline: str, offset: float) -> None:
    name = f"S2B_MSIL2A_20230715T101031_{baseline}_R022_T32UQD_20230715T134422"
    scene = opened(tmp_path, name, bands=12, dtype="uint16")
    assert scene.scale == (0.0001,) * 12 and scene.offset == (offset,) * 12


@pytest.mark.parametrize(
    "raster, sidecar, call, scale, offset, stretched",
    [
        ({"dtype": "uint16"}, None, {"sensor": "planetscope-4"}, 0.0001, 0, False),
        ({"dtype": "uint16"}, {"scale": 0.5}, {"sensor": "planetscope-4"}, 0.5, 0, False),
        ({"dtype": "uint16"}, {"scale": 0.5, "offset": [1, 1, 1, 1]}, {}, 0.5, 1, False),
        ({"dtype": "uint16", "bands": 7}, None, {"sensor": "landsat-8"}, 0.0000275, -0.2, False),
        ({"dtype": "uint8"}, None, {"sensor": "planetscope-4"}, None, None, True),
        ({"dtype": "uint8"}, None, {"bands": "swir1,nir,red,green"}, None, None, True),
        ({"dtype": "uint8"}, None, {}, None, None, None),
        ({"dtype": "uint16"}, None, {"bands": "blue,green,red,nir"}, None, None, None),
        ({"data": np.full((10, 9, 9), 900, np.float32)}, None, {"sensor": "hls-l30"}, 0.0001, 0, False),
        ({"data": np.full((10, 9, 9), 0.09, np.float32)}, None, {"sensor": "hls-l30"}, None, None, None),
    ],
)
def test_scales(
    tmp_path: Path, raster: Any, sidecar: Any, call: Any, scale: float | None, offset: float, stretched: bool | None
) -> None:
    scene = opened(tmp_path, sidecar=sidecar, call=call, **raster)
    assert scene.stretched is stretched
    assert (scene.scale[0], scene.offset[0]) == (scale, offset) if scale is not None else scene.scale == ()


def test_the_files_own_scale_wins_over_the_profiles(tmp_path: Path) -> None:
    import rasterio

    path = make_geotiff(tmp_path / "a.tif", bands=12, dtype="uint16")
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.0002,) * 12, (-0.05,) * 12
    scene = open_scene(path, sensor="sentinel-2-l2a")
    assert scene.scale == (0.0002,) * 12 and scene.offset == (-0.05,) * 12


def test_a_missing_role_is_named(tmp_path: Path) -> None:
    scene = opened(tmp_path, call={"sensor": "naip"})
    with pytest.raises(SceneError, match=r"no band known as swir1 \(known: red, green, blue, nir\)") as caught:
        scene.reflectance(["red", "swir1"])
    assert "--bands" in caught.value.hint
    assert scene.band("nir") == 4 and scene.band("swir1") is None and scene.band("") is None


@pytest.mark.parametrize("overviews", [False, True])
def test_reduced_reading_averages(tmp_path: Path, overviews: bool) -> None:
    import rasterio

    data = np.random.default_rng(0).integers(1, 1000, (2, 256, 128)).astype(np.uint16)
    data[:, :32] = 0
    path = make_geotiff(tmp_path / "a.tif", data=data, nodata=0, tiled=True, blockxsize=64, blockysize=64)
    if overviews:
        with rasterio.open(path, "r+") as target:
            target.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    scene = open_scene(path, bands="red,nir")
    small = scene.reflectance(["nir"], max_side=32)
    assert small.shape == (1, 32, 16) and np.isnan(small[0, :4]).all()
    exact = data[1].astype(float).reshape(32, 8, 16, 8).mean((1, 3))
    np.testing.assert_allclose(small[0, 4:], exact[4:], rtol=0.01 if overviews else 2e-3)
    assert scene.read((1,), 1000).shape == (1, 256, 128)


def test_readers_without_reduction_are_averaged() -> None:
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    values[0, 0] = np.nan
    scene = ArrayReader(values, nodata=None).scene()
    small = scene.read((1,), 4)
    assert small.shape == (1, 3, 4)
    assert small[0, 0, 0] == pytest.approx((1 + 8 + 9) / 3) and small[0, 2, 3] == pytest.approx((38 + 39 + 46 + 47) / 4)


# -- front doors ----------------------------------------------------------------------------------


def test_the_assistant_passes_it_on(tmp_path: Path, kb: rsrag.KnowledgeBase) -> None:
    path = make_geotiff(tmp_path / "a.tif", bands=4, photometric="MINISBLACK")
    assistant = rsrag.Assistant(kb)
    assert assistant.query("what is this?", path, bands="swir1,nir,red,green").scenes[0].band("nir") == 2
    assert assistant.query("what is this?", path, sensor="naip").scenes[0].band("nir") == 4
    with pytest.raises(UsageError, match="when a scene is opened"):
        assistant.query("what is this?", open_scene(path), sensor="naip")


def test_the_command_line_says_which(tmp_path: Path, kb: rsrag.KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    from rsrag.cli.app import build
    from rsrag.cli.session import Session

    path = make_geotiff(tmp_path / "a.tif", bands=4, photometric="MINISBLACK")
    monkeypatch.setattr(Session, "kb", lambda self, name="", create=False: _Given(kb))
    app = build(["--no-plugins"])
    asked = ["--no-plugins", "ask", "which bands does it have?", "-i", str(path), "--json", "--bands"]
    run = CliRunner().invoke(app, [*asked, "swir1,nir,red,green"])
    assert run.exit_code == 0, run.output
    assert any("named by --bands" in e["text"] for e in json.loads(run.stdout)["evidence"])
    run = CliRunner().invoke(app, [*asked, "red"])
    assert isinstance(run.exception, UsageError) and "the image has 4" in str(run.exception)


class _Given:
    """A store that is open already and stays so."""

    def __init__(self, kb: rsrag.KnowledgeBase) -> None:
        self.kb = kb

    def __enter__(self) -> rsrag.KnowledgeBase:
        return self.kb

    def __exit__(self, *_: object) -> None: ...
