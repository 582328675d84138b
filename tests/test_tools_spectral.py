"""The geo tools on bands: indices, measures, land cover, water, burns and radar, on rasters whose truth is known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import Geod, Transformer

from rsrag import ArrayReader, Assistant, BBox, KnowledgeBase, Query, RsragError, Scene, ToolResult, open_scene
from rsrag.answering.sentences import sentences
from rsrag.builtin.tools.burn import BurnSeverity
from rsrag.builtin.tools.drawing import figure, picture
from rsrag.builtin.tools.land_cover import LandCoverEstimate
from rsrag.builtin.tools.measure import Measure
from rsrag.builtin.tools.sar import SarStats
from rsrag.builtin.tools.spectral_index import SpectralIndex
from rsrag.builtin.tools.water import WaterExtent
from rsrag.spectral.compute import index_image
from rsrag.spectral.cover import CLASSES, cover_of
from rsrag.spectral.summary import band_facts
from rsrag.testing.rasters import make_geotiff, make_image

GEOD = Geod(ellps="WGS84")
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
# Typical reflectance of each surface in those bands.
SURFACES = {
    "sand": (0.19, 0.29, 0.40, 0.47, 0.63, 0.58),
    "forest": (0.02, 0.04, 0.03, 0.35, 0.15, 0.07),
    "grass": (0.05, 0.09, 0.09, 0.22, 0.25, 0.16),
    "water": (0.06, 0.05, 0.03, 0.02, 0.01, 0.01),
    "snow": (0.95, 0.94, 0.92, 0.80, 0.05, 0.04),
    "cloud": (0.52, 0.51, 0.50, 0.55, 0.45, 0.35),
    "burn": (0.04, 0.05, 0.06, 0.10, 0.25, 0.28),
}


def ground(*surfaces: str, side: int = 60) -> np.ndarray:
    """float32 (6, side, side): vertical strips of equal width, one for each surface."""
    columns = np.repeat(np.array([SURFACES[name] for name in surfaces], np.float32), side // len(surfaces), axis=0)
    return np.ascontiguousarray(np.broadcast_to(columns.T[:, None, :], (6, side, len(columns))))


def scene(path: Path, data: np.ndarray, names: Sequence[str] = BANDS, **options: Any) -> Scene:
    return open_scene(make_geotiff(path, data=data, descriptions=names, **options))


def checked(result: ToolResult) -> ToolResult:
    """What every result keeps to: plain sentences, finite numbers, pictures that are there."""
    assert result.text.endswith(".") and "nan" not in result.text.lower() and "None" not in result.text
    assert len(sentences(result.text)) >= 2
    assert all(caveat.endswith((".", "?")) for caveat in result.caveats)
    assert all(math.isfinite(quantity.value) for quantity in result.values.values())
    for path in result.images:
        with Image.open(path) as image:
            assert image.format == "PNG" and min(image.size) > 100
    json.dumps(result.geojson)
    return result


# -- spectral_index -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["NDVI", "EVI", "SAVI", "NDWI", "MNDWI", "NDMI", "NBR", "NDSI", "NDBI", "AWEIsh", "kNDVI"]
)
def test_an_index_of_a_file_equals_the_reference(name: str, tmp_path: Path) -> None:
    import spyndex

    stored = np.random.default_rng(3).integers(100, 9000, (6, 40, 50)).astype(np.uint16)
    (tmp_path / "a.json").write_text(json.dumps({"scale": 0.0001, "bands": list(BANDS)}))
    got = index_image(open_scene(make_geotiff(tmp_path / "a.tif", data=stored)), name)
    codes = dict(zip(("B", "G", "R", "N", "S1", "S2"), stored * 1e-4, strict=True))
    extra = {"L": 0.5 if name == "SAVI" else 1.0, "g": 2.5, "C1": 6.0, "C2": 7.5}
    if name == "kNDVI":
        sigma = 0.5 * (codes["N"] + codes["R"])
        extra = {
            "kNN": 1.0,
            "kNR": spyndex.computeKernel("RBF", {"a": codes["N"], "b": codes["R"], "sigma": sigma}),
        }
    used = spyndex.indices[name].bands
    want = spyndex.computeIndex(name, {k: v for k, v in (codes | extra).items() if k in used})
    assert got.dtype == np.float32 and got.shape == (40, 50)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_an_index_comes_with_statistics_meaning_bands_and_a_picture(tmp_path: Path) -> None:
    it = scene(tmp_path / "field.tif", ground("forest", "sand"))
    result = checked(SpectralIndex()(it, tmp_path))
    forest, sand = 0.32 / 0.38, 0.07 / 0.87
    assert result.values["NDVI mean"].value == pytest.approx((forest + sand) / 2, abs=1e-6)
    assert result.values["NDVI 95th percentile"].value == pytest.approx(forest, abs=1e-6)
    assert result.values["valid pixels"].value == 100
    assert result.text.startswith("NDVI of field has a mean of 0.46")
    assert "High values of NDVI mean dense green vegetation" in result.text
    assert "bands used are nir and red, named by the file" in result.text
    assert len(result.images) == 1


def test_the_same_picture_twice_is_one_file(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", ground("forest", "sand"))
    out = tmp_path / "out"
    out.mkdir()
    assert SpectralIndex()(it, out).images == SpectralIndex()(it, out).images
    assert [p.suffix for p in out.iterdir()] == [".png"]


@pytest.mark.parametrize(
    ("names", "index", "message"),
    [
        (("red", "green", "blue"), "NDVI", "NDVI needs a nir band, which .* does not have: it has red, green, blue"),
        (("red", "green", "nir"), "NBR", "NBR needs a swir2 band"),
        (("red", "green", "blue"), "MNDWI", "needs a swir1 band"),
        (("red", "green", "blue"), "BAIS2", "needs the bands rededge2, rededge3, nir2, swir2"),
        (("vv", "vh", "hh"), "NDVI", "needs the bands nir, red"),
        (("red", "green", "nir"), "NIRvP", "photosynthetically active radiation .* which no image holds"),
        (("red", "green", "nir"), "NDVII", "no spectral index 'NDVII'"),
    ],
)
def test_what_is_missing_is_named(names: tuple[str, ...], index: str, message: str, tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", np.full((3, 8, 8), 0.2, np.float32), names)
    with pytest.raises(RsragError, match=message):
        SpectralIndex()(it, tmp_path, index=index)


def test_raw_numbers_do_for_ratios_and_are_refused_for_the_rest(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", (ground("forest", "sand") * 10_000).astype(np.int32))
    result = checked(SpectralIndex()(it, tmp_path, index="NDVI"))
    assert result.values["NDVI mean"].value == pytest.approx(0.4613, abs=1e-3)
    assert "does not tell how its numbers become reflectance" in result.caveats[0]
    with pytest.raises(
        RsragError, match=r"EVI needs reflectance between 0 and 1, .* whose scale the file does not tell"
    ):
        SpectralIndex()(it, tmp_path, index="EVI")


def test_values_stretched_for_display_are_said_to_be_relative(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", (ground("forest", "sand") * 255).astype(np.uint8))
    for index in ("NDVI", "EVI"):
        assert "are relative" in checked(SpectralIndex()(it, tmp_path, index=index)).caveats[0]


def nan_and_inf(data: np.ndarray) -> np.ndarray:
    data[:, :30] = np.nan
    data[3, 30:40] = np.inf
    data[3, 40:45] = -np.inf
    return data


def test_gaps_are_left_out_of_the_statistics(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", nan_and_inf(ground("forest")))
    result = checked(SpectralIndex()(it, tmp_path))
    assert result.values["NDVI mean"].value == pytest.approx(0.32 / 0.38, abs=1e-6)
    assert result.values["valid pixels"].value == pytest.approx(25)


TOOLS = [
    (SpectralIndex(), {}),
    (WaterExtent(), {}),
    (LandCoverEstimate(), {}),
]


@pytest.mark.parametrize(("tool", "options"), TOOLS, ids=lambda x: getattr(x, "name", ""))
@pytest.mark.parametrize(
    ("data", "nodata", "outcome"),
    [
        (np.zeros((6, 20, 20), np.float32), 0, "valid"),
        (np.full((6, 20, 20), np.nan, np.float32), None, "valid"),
        (np.full((6, 20, 20), np.inf, np.float32), None, "valid"),
        (np.zeros((6, 20, 20), np.float32), None, "valid"),  # 0/0 everywhere
        (ground("forest", side=1), None, ""),
        (ground("forest", side=3)[:, :1], None, ""),
        (np.full((6, 20, 20), 0.3, np.float32), None, ""),
        (-ground("forest", side=20), None, "valid"),
        (ground("water", side=20).astype(np.complex64), None, ""),
    ],
    ids=["nodata", "nan", "inf", "zeros", "one pixel", "one row", "constant", "negative", "complex64"],
)
def test_bad_pixels_end_in_a_result_or_in_one_line(
    tool: Any, options: dict[str, Any], data: np.ndarray, nodata: float | None, outcome: str, tmp_path: Path
) -> None:
    it: Any = scene(tmp_path / "a.tif", data, nodata=nodata)
    given_ = (it,) if tool.name == "land_cover_estimate" else it
    if outcome == "valid" and not (tool.name == "spectral_index" and (data < 0).all()):
        with pytest.raises(RsragError, match=r"no (?:valid )?pixel"):
            tool(given_, tmp_path, **options)
    else:
        checked(tool(given_, tmp_path, **options))


def test_255_bands_are_fine_when_two_are_known(tmp_path: Path) -> None:
    data = np.full((255, 9, 9), 0.1, np.float32)
    data[200] = 0.5
    names = [f"band {n}" for n in range(1, 256)]
    names[100], names[200] = "red", "nir"
    it = scene(tmp_path / "a.tif", data, names)
    assert checked(SpectralIndex()(it, tmp_path)).values["NDVI median"].value == pytest.approx(0.4 / 0.6, abs=1e-6)


def test_a_large_scene_is_read_reduced_and_says_so(tmp_path: Path) -> None:
    data = np.repeat(np.repeat(ground("forest", "sand", side=60)[:, :2], 2, axis=1), 50, axis=2)
    it = scene(tmp_path / "a.tif", data)
    result = SpectralIndex()(it, tmp_path)
    assert it.width == 3000
    assert "read reduced to 2,048 x" in result.text
    assert result.values["NDVI mean"].value == pytest.approx(0.4613, abs=2e-3)


def test_radar_indices_are_computed_from_power(tmp_path: Path) -> None:
    power = np.stack([np.full((8, 8), 0.1), np.full((8, 8), 0.02)]).astype(np.float32)
    for name, data in (("p", power), ("db", 10 * np.log10(power))):
        it = scene(tmp_path / f"{name}.tif", data.astype(np.float32), ("VV", "VH"))
        assert index_image(it, "DpRVIVV")[0, 0] == pytest.approx(4 * 0.02 / 0.12, rel=1e-5)


@pytest.mark.parametrize(
    ("question", "fit", "index"),
    [
        ("What is the NDWI of this scene?", 0.9, "NDWI"),
        ("Compute the normalised burn ratio.", 0.9, "NBR"),
        ("What does NDVI mean?", 0.3, "NDVI"),
        ("What is NDVI?", 0.3, "NDVI"),
        ("What is the NDVI?", 0.9, "NDVI"),
        ("Where is the NBR used?", 0.3, "NBR"),
        ("How did NDVI change between 1985 and 2020?", 0.3, "NDVI"),
        ("What is this?", 0.0, ""),
        ("Where is it?", 0.0, ""),
    ],
)
def test_an_index_runs_when_it_is_asked_for(question: str, fit: float, index: str, tmp_path: Path) -> None:
    it = open_scene(make_image(tmp_path / "a.png"))
    query = Query(question, (it,))
    assert SpectralIndex().applies(query) == fit
    assert SpectralIndex().arguments(query).get("index", "") == index
    assert SpectralIndex().applies(Query(question)) == 0


# -- measure --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crs", "origin", "res"),
    [
        ("EPSG:32633", (500_000.0, 5_800_000.0), 30.0),
        ("EPSG:4326", (10.0, 70.0), 0.01),
        ("EPSG:4326", (179.5, -10.0), 0.01),  # over the antimeridian
        ("EPSG:3857", (1_000_000.0, 8_000_000.0), 50.0),
    ],
)
def test_areas_and_distances_are_those_of_the_ellipsoid(
    crs: str, origin: tuple[float, float], res: float, tmp_path: Path
) -> None:
    it = scene(tmp_path / "a.tif", np.zeros((1, 90, 120), np.uint8), ("grey",), crs=crs, origin=origin, res=res)
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def place(col: float, row: float) -> tuple[float, float]:
        lon, lat = to_degrees.transform(origin[0] + col * res, origin[1] - row * res)
        return lon, lat

    # Along the edges in small steps, since a straight edge of the grid is no geodesic.
    rim = [(c, 0) for c in range(120)] + [(120, r) for r in range(90)]
    rim += [(c, 90) for c in range(120, 0, -1)] + [(0, r) for r in range(90, 0, -1)]
    lons, lats = zip(*(place(*p) for p in rim), strict=True)
    want = abs(GEOD.polygon_area_perimeter(np.unwrap(lons, period=360), lats)[0])
    assert checked(Measure()(it)).values["area"].value * 1e4 == pytest.approx(want, rel=1e-3)
    points = [[5.0, 10.0], [100.0, 80.0], [20.0, 60.0]]
    ends = [place(*p) for p in points]
    result = checked(Measure()(it, "distance", points, unit="pixel"))
    azimuth, _, metres = GEOD.inv(*ends[0], *ends[2])
    assert result.values["distance"].value == pytest.approx(metres, rel=1e-3)
    assert result.values["bearing"].value == pytest.approx(azimuth % 360, abs=0.01)
    legs = GEOD.inv(*ends[0], *ends[1])[2] + GEOD.inv(*ends[1], *ends[2])[2]
    assert Measure()(it, "length", points, unit="pixel").values["length"].value == pytest.approx(legs, rel=1e-3)
    triangle = Measure()(it, "area", points, unit="pixel")
    unrolled = np.unwrap([e[0] for e in ends], period=360)
    assert triangle.values["area"].value * 1e4 == pytest.approx(
        abs(GEOD.polygon_area_perimeter(unrolled, [e[1] for e in ends])[0]), rel=1e-3
    )


def test_a_region_and_its_rest_make_up_the_scene(tmp_path: Path) -> None:
    it = scene(
        tmp_path / "a.tif", np.zeros((1, 40, 60), np.uint8), ("grey",), crs="EPSG:4326", origin=(5, 60), res=0.02
    )
    whole = Measure()(it).values["area"].value
    parts = [Measure()(it, region=[0, y, 60, 20]).values["area"].value for y in (0, 20)]
    assert sum(parts) == pytest.approx(whole, rel=1e-4)
    assert parts[0] < parts[1]  # the northern half is narrower


places = st.tuples(st.floats(-179, 179), st.floats(-85, 85))


@given(a=places, b=places)
def test_distances_in_degrees_are_geodesics(a: tuple[float, float], b: tuple[float, float]) -> None:
    it = ArrayReader(np.zeros((4, 4, 3), np.uint8), bbox=BBox(-180, -90, 180, 90)).scene()
    got = Measure()(it, "distance", [list(a), list(b)], unit="degree").values["distance"].value
    assert got == pytest.approx(GEOD.inv(*a, *b)[2], rel=1e-6, abs=1e-3)


def test_degrees_are_told_from_pixels(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", np.zeros((1, 40, 60), np.uint8), ("grey",), crs="EPSG:4326", origin=(5, 45), res=0.1)
    assert "longitude and latitude" in Measure()(it, "distance", [[5.5, 44.0], [6.0, 44.5]]).text
    assert "column and row" in Measure()(it, "distance", [[20, 30], [50, 10]]).text


def test_without_a_place_a_known_pixel_size_must_do(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png", size=(100, 50))
    with pytest.raises(RsragError, match="neither a place on Earth nor a pixel size"):
        Measure()(open_scene(tmp_path / "a.png"))
    (tmp_path / "a.json").write_text('{"gsd_m": 2}')
    it = open_scene(tmp_path / "a.png")
    assert checked(Measure()(it)).values["area"].value == pytest.approx(100 * 50 * 4 / 1e4)
    assert Measure()(it, "distance", [[0, 0], [30, 40]]).values["distance"].value == pytest.approx(100)
    assert Measure()(it, "area", [[0, 0], [10, 0], [10, 10]]).values["area"].value == pytest.approx(0.02)
    assert "no place on Earth" in Measure()(it).caveats[0]
    with pytest.raises(RsragError, match="a pair of numbers"):
        Measure()(it, "distance", [[1, 2, 3], [4, 5, 6]])
    with pytest.raises(RsragError, match="at least three points"):
        Measure()(it, "area", [[0, 0], [10, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"what": "distance"}, "a distance needs at least two points"),
        ({"what": "length", "points": [[1, 2]]}, "needs at least two points, and one"),
        ({"points": [[1, 2], [3, 4]]}, "an area needs at least three points"),
        ({"points": [[1, 2], [1, 2], [1, 2]]}, "an area needs at least three points"),
        ({"points": [[1, 2, 3], [3, 4, 5], [5, 6, 7]]}, "a pair of numbers"),
        ({"what": "distance", "points": [[1, 2], [1, math.nan]]}, "not finite"),
        ({"what": "distance", "points": [[1, 2], [61, 1]], "unit": "pixel"}, "lies outside the scene, .* 60 x 40"),
        ({"what": "distance", "points": [[1, 2], [1, -2]], "unit": "pixel"}, "lies outside"),
        ({"what": "distance", "points": [[200, 2], [1, 2]], "unit": "degree"}, "longitude outside"),
        ({"region": [0, 0, 61, 1]}, "is not inside"),
        ({"region": [0, 0, 1]}, "x,y,width,height"),
        ({"region": [0, 0, 1, 1], "points": [[1, 1]]}, "points or a region"),
        ({"what": "distance", "points": [[1, 1]] * 10_001}, "too many"),
    ],
)
def test_bad_measures_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", np.zeros((1, 40, 60), np.uint8), ("grey",))
    with pytest.raises(RsragError, match=message):
        Measure()(it, **options)


@pytest.mark.parametrize(
    ("question", "fit", "arguments"),
    [
        ("What is the distance between 10,20 and 50, 60 in pixels?", 0.9, ("distance", [[10, 20], [50, 60]], "pixel")),
        ("How far is it from 10.5,44.1 to 10.6,44.2?", 0.9, ("distance", [[10.5, 44.1], [10.6, 44.2]], "auto")),
        ("Area of the polygon 0,0 10,0 10,10", 0.9, ("area", [[0, 0], [10, 0], [10, 10]], "auto")),
        ("What is the area of this scene?", 0.8, ("area", [], "auto")),
        ("How many hectares of forest are in the scene?", 0.0, None),
        ("How far is the nearest city?", 0.0, None),
        ("What is this?", 0.0, None),
    ],
)
def test_a_measure_runs_when_it_is_asked_for(question: str, fit: float, arguments: Any, tmp_path: Path) -> None:
    query = Query(question, (open_scene(make_image(tmp_path / "a.png")),))
    assert Measure().applies(query) == fit
    if arguments:
        assert tuple(Measure().arguments(query).values()) == arguments


# -- land cover -----------------------------------------------------------------------------------


def test_strips_of_known_ground_are_told_apart(tmp_path: Path) -> None:
    it = scene(tmp_path / "strips.tif", ground("sand", "forest", "grass", "water", "snow", "cloud"))
    result = checked(LandCoverEstimate()([it], tmp_path))
    kinds = ("bare ground", "dense vegetation", "sparse vegetation", "water", "snow or ice", "cloud")
    cell = 100 * abs(_cell_area(it)) / 100
    for kind in kinds:
        assert result.values[kind].value == pytest.approx(100 / 6)
        assert result.values[f"area of {kind}"].value * 1e4 == pytest.approx(600 * cell, rel=1e-3)
    assert "Sobrino" in result.text and "rough estimate" in result.caveats[0]


def _cell_area(it: Scene) -> float:
    to_degrees = Transformer.from_crs(it.crs, "EPSG:4326", always_xy=True)
    assert it.transform
    a, _, c, _, e, f = it.transform[:6]
    x0, y0 = c + a * it.width / 2, f + e * it.height / 2
    ring = [to_degrees.transform(x0 + i * a, y0 + j * e) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return float(GEOD.polygon_area_perimeter(*zip(*ring, strict=True))[0])


def test_the_range_tells_how_firm_a_share_is(tmp_path: Path) -> None:
    firm = cover_of(scene(tmp_path / "a.tif", ground("forest", "sand")))
    assert firm.ranges["dense vegetation"] == (0.5, 0.5)
    data = ground("forest", "sand")
    data[3, :, :30] = 0.03 * (1 + 0.51) / (1 - 0.51)  # NDVI 0.51: just dense
    shaky = cover_of(scene(tmp_path / "b.tif", data))
    assert shaky.shares["dense vegetation"] == 0.5
    assert shaky.ranges["dense vegetation"] == (0.0, 0.5)
    assert shaky.ranges["sparse vegetation"] == (0.0, 0.5)


def six_places(folder: Path) -> dict[str, Scene]:
    made = {name: scene(folder / f"{name}.tif", ground(name)) for name in ("sand", "forest", "grass", "water", "snow")}
    return made | {"half": scene(folder / "half.tif", ground("sand", "forest", "forest"))}


@pytest.mark.parametrize(
    ("question", "winner", "order"),
    [
        ("which of these are deserts?", "Most like deserts is sand: 100 %", "sand 100 %, half 33 %"),
        (
            "Which has the most forest?",
            "other dense vegetation are forest and half: 67 to 100 %",
            "forest 100 %, half 67 %",
        ),
        ("Rank these by water.", "Mostly water is water: 100 %", "water 100 %;"),
        ("Which of them show snow?", "Mostly snow or ice is snow: 100 %", "snow 100 %;"),
        ("What are these, by land cover, which are cities?", "none of the 6 scenes is a city", ""),
    ],
)
def test_scenes_are_ranked_by_what_is_asked(question: str, winner: str, order: str, tmp_path: Path) -> None:
    scenes = tuple(six_places(tmp_path).values())
    query = Query(question, scenes)
    assert LandCoverEstimate().applies(query) >= 0.8
    result = checked(LandCoverEstimate()(scenes, tmp_path, **LandCoverEstimate().arguments(query)))
    assert winner in sentences(result.text)[0]
    assert order in result.text
    assert "median NDVI" in result.text and "reflectance of" in result.text


def test_the_assistant_answers_from_the_bands(kb: KnowledgeBase, tmp_path: Path) -> None:
    files = [it.uri for it in six_places(tmp_path).values()]
    answer = Assistant(kb).ask("which of these are deserts?", files)
    assert answer.text.startswith("Most like deserts is sand")
    assert answer.grounded
    (tool,) = [e for e in answer.citations if e.kind == "tool"]
    assert tool.title and Path(tool.images[0]).is_file()


def test_bands_that_are_missing_are_named_and_cost_only_their_scene(tmp_path: Path) -> None:
    photo = open_scene(make_image(tmp_path / "photo.png"))
    radar = scene(tmp_path / "radar.tif", np.full((2, 9, 9), -12, np.float32), ("VV", "VH"))
    for it in (photo, radar):
        with pytest.raises(RsragError, match=r"land-cover estimate needs (?:a nir band|the bands green, red, nir)"):
            LandCoverEstimate()([it], tmp_path)
    sand = scene(tmp_path / "sand.tif", ground("sand"))
    result = LandCoverEstimate()([sand, photo], tmp_path, cover="desert")
    assert "looks like a desert" in result.text
    assert any("left out" in caveat and "nir" in caveat for caveat in result.caveats)
    with pytest.raises(RsragError, match="'nonsense' is no land cover"):
        LandCoverEstimate()([sand], tmp_path, cover="nonsense")
    with pytest.raises(RsragError, match="needs a scene"):
        LandCoverEstimate()([], tmp_path)


def test_stretched_values_give_fewer_classes_and_say_so(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", (ground("forest", "sand", "water") * 255).astype(np.uint8))
    found = cover_of(it)
    assert found.left_out == ("snow or ice", "cloud", "built-up")
    assert [round(found.shares[k], 2) for k in ("dense vegetation", "bare ground", "water")] == [0.33, 0.33, 0.33]
    caveats = " ".join(LandCoverEstimate()([it], tmp_path).caveats)
    assert "relative" in caveats and "could not be looked for" in caveats
    with pytest.raises(RsragError, match="snow or ice cannot be told"):
        LandCoverEstimate()([it], tmp_path, cover="snow")


def test_without_swir_water_and_plants_are_still_told(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", ground("forest", "sand", "water")[1:4], BANDS[1:4])
    found = cover_of(it)
    assert found.water_index == "NDWI"
    assert [round(found.shares[k], 2) for k in ("dense vegetation", "bare ground", "water")] == [0.33, 0.33, 0.33]


def test_grey_rough_ground_is_built_up_and_grey_smooth_ground_is_not(tmp_path: Path) -> None:
    brightness = np.random.default_rng(1).uniform(0.08, 0.35, (60, 60)).astype(np.float32)
    rough = np.stack([brightness * f for f in (0.95, 1.0, 1.02, 1.1, 1.15, 1.1)])
    smooth = np.broadcast_to(rough.mean(axis=(1, 2), keepdims=True), rough.shape)
    assert cover_of(scene(tmp_path / "town.tif", rough)).shares["built-up"] > 0.95
    assert cover_of(scene(tmp_path / "plain.tif", np.ascontiguousarray(smooth))).shares["built-up"] == 0
    assert cover_of(scene(tmp_path / "coarse.tif", rough, res=100.0)).left_out == ("built-up",)


@pytest.mark.parametrize(
    ("question", "fit", "cover"),
    [
        ("What is the land cover?", 0.9, ""),
        ("Is this a desert?", 0.8, "desert"),
        ("How much forest is there?", 0.9, "forest"),
        ("What percentage is covered by vegetation?", 0.9, "vegetation"),
        ("How did the land cover change between 1985 and 2020?", 0.0, ""),
        ("What is a desert?", 0.0, "desert"),
        ("What is this?", 0.5, ""),
        ("What is this lake called?", 0.0, "water"),
        ("Where is the nearest river?", 0.0, "water"),
        ("Is there water?", 0.8, "water"),
        ("How much water is there?", 0.5, "water"),
        ("Is this a city?", 0.5, "city"),
    ],
)
def test_land_cover_runs_when_it_is_asked_for(question: str, fit: float, cover: str, tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", ground("sand"))
    query = Query(question, (it,))
    assert LandCoverEstimate().applies(query) == fit
    assert LandCoverEstimate().arguments(query).get("cover", "") == cover
    photo = Query(question, (open_scene(make_image(tmp_path / "a.png")),))
    assert LandCoverEstimate().applies(photo) == (0.9 if fit and "land cover" in question else 0)


# -- water ----------------------------------------------------------------------------------------


def lake(radius: float = 20.0, side: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """(reflectance, mask) of a round lake in a forest."""
    row, col = np.mgrid[:side, :side]
    mask = (row - side / 2) ** 2 + (col - side / 2) ** 2 < radius**2
    forest, water = (np.array(SURFACES[name], np.float32)[:, None, None] for name in ("forest", "water"))
    noise = np.random.default_rng(0).normal(0, 0.002, (6, side, side)).astype(np.float32)
    return np.where(mask, water, forest) + noise, mask


def test_the_area_of_a_lake(tmp_path: Path) -> None:
    data, mask = lake()
    it = scene(tmp_path / "lake.tif", data)
    result = checked(WaterExtent()(it, tmp_path))
    assert result.values["water area"].value * 1e4 == pytest.approx(mask.sum() * abs(_cell_area(it)), rel=1e-3)
    assert result.values["water"].value == pytest.approx(100 * mask.mean(), abs=0.01)
    assert "Open water covers 12 ha of lake" in result.text
    assert result.geojson and len(result.geojson["features"]) == 1
    ring = result.geojson["features"][0]["geometry"]["coordinates"][0]
    lons, lats = zip(*ring, strict=True)
    assert abs(GEOD.polygon_area_perimeter(lons, lats)[0]) == pytest.approx(mask.sum() * 100, rel=0.01)


def test_water_uses_what_bands_there_are(tmp_path: Path) -> None:
    data, mask = lake()
    want = 100 * mask.mean()
    without_swir = scene(tmp_path / "a.tif", data[1:4], BANDS[1:4])
    assert WaterExtent()(without_swir, tmp_path).values["water"].value == pytest.approx(want, abs=0.05)
    radar = np.where(mask, -21.0, -9.0) + np.random.default_rng(2).normal(0, 1.2, mask.shape)
    vv = scene(tmp_path / "vv.tif", radar[None].astype(np.float32), ("VV",))
    result = checked(WaterExtent()(vv, tmp_path))
    assert result.values["water"].value == pytest.approx(want, abs=0.3)
    assert "Otsu" in result.text and "rough water" in " ".join(result.caveats)


def test_dry_ground_and_snow_hold_no_water(tmp_path: Path) -> None:
    for surface in ("sand", "snow", "forest"):
        result = WaterExtent()(scene(tmp_path / f"{surface}.tif", ground(surface)), tmp_path)
        assert result.values["water"].value == 0
        assert result.text.startswith(f"No open water was found in {surface}.")


def test_a_given_threshold_counts(tmp_path: Path) -> None:
    it = scene(tmp_path / "a.tif", ground("forest", "water"))
    assert WaterExtent()(it, tmp_path, threshold=0.99).values["water"].value == 0
    with pytest.raises(RsragError, match="not a finite number"):
        WaterExtent()(it, tmp_path, threshold=math.nan)


@pytest.mark.parametrize(
    ("question", "fit"),
    [
        ("What is the water extent?", 0.9),
        ("How large is the lake?", 0.9),
        ("What percentage is covered by water?", 0.9),
        ("Which area is flooded? Map the flooded area.", 0.9),
        ("How did the lake area shrink since 1985?", 0.0),
        ("What is the nearest lake?", 0.0),
    ],
)
def test_water_runs_when_it_is_asked_for(question: str, fit: float, tmp_path: Path) -> None:
    assert WaterExtent().applies(Query(question, (open_scene(make_image(tmp_path / "a.png")),))) == fit


# -- burns ----------------------------------------------------------------------------------------

NBR_BEFORE = (0.35 - 0.07) / 0.42


def after_fire(falls: Sequence[float]) -> np.ndarray:
    """The forest with strips in which NBR fell by so much."""
    data = ground(*["forest"] * len(falls), side=60)
    width = 60 // len(falls)
    for n, fall in enumerate(falls):
        nbr = NBR_BEFORE - fall
        data[5, :, n * width : (n + 1) * width] = 0.35 * (1 - nbr) / (1 + nbr)
    return data


def test_hectares_by_class_of_severity(tmp_path: Path) -> None:
    before = scene(tmp_path / "2020-06-01.tif", ground("forest"))
    after = scene(tmp_path / "2020-09-01.tif", after_fire([0.0, 0.2, 0.35, 0.5, 0.8]))
    result = checked(BurnSeverity()([after, before], tmp_path))  # put in order by their dates
    strip = 12 * 60 * abs(_cell_area(before)) / 1e4
    want = {"regrowth": 0, "unburned": 1, "low severity": 1, "moderate-low severity": 1}
    for name, strips in (want | {"moderate-high severity": 1, "high severity": 1, "burned": 4}).items():
        assert result.values[name].value == pytest.approx(strips * strip, rel=1e-3, abs=1e-6), name
    assert result.text.startswith("Between 2020-06-01 and 2020-09-01, 29 ha (80 %) burned")
    assert "Key and Benson" in result.text
    assert result.geojson and len(result.geojson["features"]) == 4


def test_a_burn_needs_two_images_and_their_bands(tmp_path: Path) -> None:
    forest = scene(tmp_path / "a.tif", ground("forest"))
    with pytest.raises(RsragError, match="an image before the fire and one after it, and 1 was given"):
        BurnSeverity()([forest], tmp_path)
    without = scene(tmp_path / "b.tif", ground("forest")[:5], BANDS[:5])
    with pytest.raises(RsragError, match=r"burn severity needs a swir2 band, which .*b.tif"):
        BurnSeverity()([forest, without], tmp_path)
    far = scene(tmp_path / "c.tif", ground("forest"), origin=(600_000.0, 5_000_000.0))
    with pytest.raises(RsragError, match="do not overlap"):
        BurnSeverity()([forest, far], tmp_path)
    same = BurnSeverity()([forest, scene(tmp_path / "d.tif", ground("forest"))], tmp_path)
    assert "no burned ground was found" in same.text
    assert any("Not every date is known" in caveat for caveat in same.caveats)


def test_a_burn_is_graded_when_it_is_asked_for(tmp_path: Path) -> None:
    it = open_scene(make_image(tmp_path / "a.png"))
    for question, fit in (
        ("How severe was the fire? Give the burn severity.", 0.95),
        ("How is burn severity measured?", 0.0),
        ("What is this?", 0.0),
    ):
        assert BurnSeverity().applies(Query(question, (it, it))) == fit


# -- radar ----------------------------------------------------------------------------------------


def speckled(level: float, looks: int, shape: tuple[int, int] = (160, 160), seed: int = 0) -> np.ndarray:
    return level * np.random.default_rng(seed).gamma(looks, 1 / looks, shape)


def test_radar_statistics_are_the_same_from_power_and_decibels(tmp_path: Path) -> None:
    power = np.stack([speckled(0.1, 4), speckled(0.02, 4, seed=1)])
    results = []
    for name, data in (("power", power), ("db", 10 * np.log10(power))):
        it = scene(tmp_path / f"{name}.tif", data.astype(np.float32), ("VV", "VH"))
        results.append(checked(SarStats()(it, tmp_path)))
    one, other = results
    for name, quantity in one.values.items():
        assert other.values[name].value == pytest.approx(quantity.value, abs=1e-3), name
        assert quantity.unit == other.values[name].unit
    assert one.values["VV mean"].value == pytest.approx(-10, abs=0.1)
    assert one.values["VH mean"].value == pytest.approx(10 * math.log10(0.02), abs=0.1)
    assert one.values["VV/VH ratio"].value == pytest.approx(7, abs=0.3)
    assert 3.5 < one.values["equivalent number of looks"].value < 6
    assert "taken as linear power" in one.text and "taken as decibels" in other.text


def test_uncalibrated_radar_says_so(tmp_path: Path) -> None:
    amplitude = (np.sqrt(speckled(0.1, 1)) * 1000).astype(np.uint16)
    it = scene(tmp_path / "a.tif", amplitude[None], ("VV",))
    result = checked(SarStats()(it, tmp_path))
    assert "uncalibrated" in result.text and "within the scene only" in " ".join(result.caveats)
    assert "VV below -20 dB" not in result.values
    with pytest.raises(RsragError, match="uncalibrated digital numbers"):
        WaterExtent()(it, tmp_path)


def test_radar_statistics_need_radar(tmp_path: Path) -> None:
    photo = open_scene(make_image(tmp_path / "a.png"))
    with pytest.raises(RsragError, match="need a band vv, vh, hh or hv"):
        SarStats()(photo, tmp_path)
    empty = scene(tmp_path / "b.tif", np.full((1, 9, 9), np.nan, np.float32), ("VV",))
    with pytest.raises(RsragError, match="no valid radar pixel"):
        SarStats()(empty, tmp_path)
    assert SarStats().applies(Query("What is the mean VV backscatter?", (empty,))) == 0.9
    assert SarStats().applies(Query("What is this?", (empty,))) == 0


# -- what is written into a store -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("surfaces", "has", "lacks"),
    [
        (("sand",), ("Desert-like", "sand"), ("vegetation", "water", "snow", "forest")),
        (("forest",), ("Mostly dense vegetation", "forest"), ("desert", "water", "snow", "bare")),
        (("snow",), ("snow",), ("desert", "vegetation", "water", "cloud")),
        (("water",), ("open water", "lake"), ("desert", "vegetation", "snow", "flooded")),
        (("water", "grass", "grass"), ("open water", "flooded fields"), ("desert", "snow", "forest")),
        (("sand", "grass"), ("bare ground", "sparse vegetation"), ("desert", "water", "snow")),
    ],
)
def test_searchable_text_names_only_what_is_there(
    surfaces: tuple[str, ...], has: tuple[str, ...], lacks: tuple[str, ...], tmp_path: Path
) -> None:
    text, values = band_facts(scene(tmp_path / "a.tif", ground(*surfaces)))
    assert all(word in text for word in has), text
    assert not any(word in text.lower() for word in lacks), text
    assert values["median NDVI"].unit == ""
    shares = [q.value for name, q in values.items() if name.startswith("share of")]
    assert sum(shares) == pytest.approx(100, abs=0.1)


def test_searchable_text_of_radar_and_of_photographs(tmp_path: Path) -> None:
    radar = scene(tmp_path / "r.tif", np.full((2, 9, 9), -12.0, np.float32), ("VV", "VH"))
    text, values = band_facts(radar)
    assert text == "Radar (SAR) backscatter with medians of VV -12.0 dB, VH -12.0 dB."
    assert values["median VV"].unit == "dB"
    assert band_facts(open_scene(make_image(tmp_path / "a.png"))) == ("", {})


# -- pictures -------------------------------------------------------------------------------------


def test_pictures_are_named_after_their_content_and_threads_may_draw(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    rgb = np.zeros((9, 9, 3), np.uint8)
    assert picture(tmp_path, "a/b: c", rgb) == picture(tmp_path, "a/b: c", rgb)
    assert Path(picture(tmp_path, "../../x", rgb)).parent == tmp_path

    def draw(sheet: Any) -> None:
        sheet.add_subplot().set_title("a $b_{ c", parse_math=False)

    with ThreadPoolExecutor(4) as pool:
        drawn = set(pool.map(lambda _: figure(tmp_path, "figure", (2.0, 2.0), draw), range(8)))
    assert len(drawn) == 1
    with pytest.raises(RsragError, match="cannot be written"):
        picture(tmp_path / "missing", "a", rgb)


def test_every_class_has_a_colour() -> None:
    from rsrag.builtin.tools.land_cover import COLOURS

    assert set(COLOURS) == set(CLASSES)
    assert len(set(COLOURS.values())) == len(CLASSES)


def test_each_tool_has_its_section_in_the_docs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "tools.md").read_text("utf-8")
    tools = (SpectralIndex, Measure, LandCoverEstimate, WaterExtent, BurnSeverity, SarStats)
    assert [t.name for t in tools if f"## {t.name}\n" not in text] == []
