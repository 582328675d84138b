"""Scenes on one grid, the shift between them, and what changed: against changes and shifts that were put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pyproj import Geod
from rasterio.warp import Resampling, reproject

from rsrag import Assistant, KnowledgeBase, Query, Scene, SceneError, UsageError, open_scene
from rsrag.answering.sentences import sentences
from rsrag.builtin.tools.alignment import aligned
from rsrag.builtin.tools.change import Change
from rsrag.builtin.tools.differencing import difference, otsu, sieved
from rsrag.builtin.tools.ground import pixel_areas, to_degrees, to_pixels
from rsrag.builtin.tools.registration import find_shift
from rsrag.testing.rasters import make_geotiff

GEOD = Geod(ellps="WGS84")
Floats = NDArray[np.float32]
BANDS = ("swir1", "nir", "red", "green")
# Reflectance of the four bands.
WATER, FOREST, SOIL = (0.02, 0.03, 0.04, 0.06), (0.15, 0.40, 0.04, 0.07), (0.35, 0.30, 0.22, 0.16)


def texture(height: int, width: int, seed: int = 0) -> Floats:
    """Ground as it looks from above: structure at all sizes (1/f noise), between 0 and 1."""
    draw = np.random.default_rng(seed).standard_normal((height, width))
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    shaped = np.fft.irfft2(
        np.fft.rfft2(draw) / np.maximum(np.hypot(y, x), 1 / max(height, width)) ** 1.2, (height, width)
    )
    return np.asarray((shaped - shaped.min()) / np.ptp(shaped), np.float32)


def ground(height: int = 240, width: int = 320, seed: int = 0) -> Floats:
    """(4, H, W) reflectance: forest with its texture, a river of 20 columns, a field of bare soil."""
    bands = np.empty((4, height, width), np.float32)
    bands[:] = np.reshape(FOREST, (4, 1, 1))
    bands[:, :, 60:80] = np.reshape(WATER, (4, 1, 1))
    bands[:, 20:60, 150:220] = np.reshape(SOIL, (4, 1, 1))
    return bands * (0.9 + 0.2 * texture(height, width, seed))


def cut(bands: Floats, rows: slice, columns: slice, cover: tuple[float, ...]) -> Floats:
    """The same ground with a part of it under another cover."""
    out = bands.copy()
    out[:, rows, columns] = np.reshape(cover, (4, 1, 1))
    return out


def written(path: Path, data: NDArray[Any], **options: Any) -> Scene:
    return open_scene(make_geotiff(path, data=data, descriptions=BANDS[: len(data)], **options))


def stretched(bands: Floats, top: float = 0.45) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(bands / top * 254) + 1, 1, 255), np.uint8)


# -- pixels on the ground -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        ("EPSG:4326", (4.0, 51.0, 6.0, 53.0)),
        ("EPSG:4326", (-180.0, -85.0, 180.0, 85.0)),
        ("EPSG:32633", (400_000, 5_000_000, 500_000, 5_060_000)),
        ("EPSG:3857", (1e6, 8e6, 1.2e6, 8.1e6)),
    ],
)
def test_pixel_areas_are_geodesic(tmp_path: Path, crs: str, bounds: tuple[float, float, float, float]) -> None:
    scene = open_scene(make_geotiff(tmp_path / "s.tif", crs=crs, bounds=bounds, size=(200, 120), bands=1))
    areas = pixel_areas(scene)
    assert areas is not None and areas.shape == (120, 200)
    for row, col in ((0, 0), (60, 100), (119, 199), (17, 150)):
        # Along parallels, where the edge of a pixel is no geodesic, in small steps.
        steps = np.linspace(0, 1, 50)
        x = np.concatenate([col + steps, np.full(50, col + 1), col + 1 - steps, np.full(50, col)])
        y = np.concatenate([np.full(50, row), row + steps, np.full(50, row + 1), row + 1 - steps])
        places = to_degrees(scene, x, y)
        assert places is not None
        exact = abs(GEOD.polygon_area_perimeter(*places)[0])
        assert areas[row, col] == pytest.approx(exact, rel=0.03 if bounds[0] == -180 else 1e-3)
    reduced = pixel_areas(scene, (30, 50))
    assert reduced is not None and reduced.sum() == pytest.approx(areas.sum(), rel=1e-3)


def test_pixel_areas_around_a_pole_are_a_cap(tmp_path: Path) -> None:
    reach = 1_500_000
    box = (-reach, -reach, reach, reach)
    scene = open_scene(make_geotiff(tmp_path / "ice.tif", crs="EPSG:3031", bounds=box, size=(300, 300), bands=1))
    areas = pixel_areas(scene)
    assert areas is not None
    row, col = np.mgrid[:300, :300] + 0.5
    lats = to_degrees(scene, col.ravel(), row.ravel())[1].reshape(300, 300)  # type: ignore[index]
    ring = np.linspace(-180, 180, 3601)
    cap = abs(GEOD.polygon_area_perimeter(ring, np.full_like(ring, -80.0))[0])
    assert areas[lats < -80].sum() == pytest.approx(cap, rel=5e-3)


def test_pixel_areas_without_a_place(tmp_path: Path) -> None:
    scene = open_scene(make_geotiff(tmp_path / "s.tif", crs=None))
    assert pixel_areas(scene) is None


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", "EPSG:3031"])
def test_degrees_and_pixels_are_each_others_inverse(tmp_path: Path, crs: str) -> None:
    bounds = {"EPSG:4326": (178.0, -20.0, 182.0, -17.0)}.get(crs, (400_000.0, 4e6, 500_000.0, 4.1e6))
    scene = open_scene(make_geotiff(tmp_path / "s.tif", crs=crs, bounds=bounds, size=(100, 80), bands=1))
    for x, y in ((3.0, 5.0), (50.5, 40.0), (99.0, 79.0)):
        places = to_degrees(scene, np.array([x]), np.array([y]))
        assert places is not None
        assert to_pixels(scene, *places[:, 0]) == pytest.approx((x, y), abs=1e-4)


# -- the shift ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, 3), (-3, 2), (7, -5), (0, 0)])
def test_whole_shifts_are_found_exactly(dx: int, dy: int) -> None:
    wide = texture(220, 260)
    one = wide[10:210, 10:250]
    other = wide[10 - dy : 210 - dy, 10 - dx : 250 - dx]
    shift = find_shift(one, other)
    assert (shift.dx, shift.dy, shift.reliable) == (dx, dy, True)


@given(dx=st.floats(-4, 4), dy=st.floats(-4, 4), seed=st.integers(0, 50))
def test_fractions_of_a_pixel_are_found(dx: float, dy: float, seed: int) -> None:
    one = texture(128, 160, seed)
    y, x = np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(160)[None]
    other = np.fft.irfft2(np.fft.rfft2(one) * np.exp(-2j * np.pi * (y * dy + x * dx)), one.shape).astype(np.float32)
    shift = find_shift(one, other)
    assert shift.dx == pytest.approx(dx, abs=0.2) and shift.dy == pytest.approx(dy, abs=0.2)


def test_a_shift_is_found_through_another_season_and_gaps() -> None:
    wide = texture(220, 260, 3)
    one, other = wide[10:210, 10:250].copy(), 200 - 90 * wide[12:212, 7:247]
    other += np.random.default_rng(1).normal(0, 2, other.shape)
    one[:60, :80], other[150:, :] = np.nan, np.nan
    shift = find_shift(one, other.astype(np.float32))
    assert (shift.dx, shift.dy, shift.reliable) == (3, -2, True)


@pytest.mark.parametrize("seed", range(4))
def test_other_ground_has_no_reliable_shift(seed: int) -> None:
    assert not find_shift(texture(200, 220, seed), texture(200, 220, seed + 100)).reliable


@pytest.mark.parametrize("values", [np.zeros((80, 80)), np.full((80, 80), np.nan), np.ones((8, 8)), np.ones((1, 1))])
def test_nothing_to_see_has_no_shift(values: NDArray[Any]) -> None:
    shift = find_shift(values.astype(np.float32), values.astype(np.float32))
    assert not shift.reliable and shift.pixels == 0


# -- one grid -------------------------------------------------------------------------------------


def test_equal_grids_are_left_alone(tmp_path: Path) -> None:
    data = ground()
    scenes = [written(tmp_path / f"{name}.tif", data) for name in "ab"]
    both = aligned(scenes)
    assert not both.resampled and both.shape == (240, 320) and both.pixel_m == pytest.approx(10, rel=1e-3)
    assert np.array_equal(both.scenes[1].reflectance(BANDS), data)
    assert both.scenes[0].roles == BANDS and both.scenes[0].bbox


def test_grids_that_differ_by_rows_and_metres_share_their_ground(tmp_path: Path) -> None:
    data = ground(300, 400)
    one = written(tmp_path / "a.tif", data[:, :250, :350], origin=(500_000, 5_800_000))
    # 20 columns and 30 rows farther, as its georeference says.
    other = written(tmp_path / "b.tif", data[:, 30:290, 20:390], origin=(500_200, 5_799_700))
    both = aligned([one, other])
    assert both.shape == (220, 330) and both.resampled
    shared = data[:, 30:250, 20:350]
    for scene in both.scenes:
        assert np.allclose(scene.reflectance(BANDS), shared, atol=1e-5)
    assert all(shift.pixels == 0 for shift in both.shifts)


def test_the_coarsest_pixel_and_the_references_system_win(tmp_path: Path) -> None:
    fine = np.repeat(np.repeat(ground(60, 80), 4, axis=1), 4, axis=2)
    coarse = ground(60, 80)
    place = {"origin": (500_000, 5_800_000)}
    both = aligned([written(tmp_path / "f.tif", fine, res=2.5, **place), written(tmp_path / "c.tif", coarse, **place)])
    assert both.shape == (60, 80)
    assert np.allclose(both.scenes[0].reflectance(BANDS), coarse, atol=1e-5)
    assert np.allclose(both.scenes[1].reflectance(BANDS), coarse, atol=1e-5)


def test_another_crs_is_brought_over(tmp_path: Path) -> None:
    data = ground(300, 300)
    one = written(tmp_path / "utm.tif", data)
    path = tmp_path / "degrees.tif"
    with rasterio.open(one.uri) as source:
        crs = "EPSG:4326"
        place, width, height = rasterio.warp.calculate_default_transform(
            source.crs, crs, source.width, source.height, *source.bounds
        )
        profile = source.profile | {"crs": crs, "transform": place, "width": width, "height": height, "nodata": -1}
        with rasterio.open(path, "w", **profile) as target:
            target.descriptions = BANDS
            for number in range(1, 5):
                reproject(rasterio.band(source, number), rasterio.band(target, number), dst_nodata=-1,
                          resampling=Resampling.cubic)  # fmt: skip
    both = aligned([one, open_scene(path)])
    first, second = (scene.reflectance(("nir",))[0] for scene in both.scenes)
    inside = np.isfinite(second)
    assert inside.mean() > 0.9 and np.abs(first - second)[inside].mean() < 0.01
    assert both.shifts[1].pixels < 0.15


@pytest.mark.parametrize("place", ["south-up", "rotated"])
def test_south_up_and_rotated_grids(tmp_path: Path, place: str) -> None:
    data = ground(200, 240)
    one = written(tmp_path / "a.tif", data)
    path = make_geotiff(tmp_path / "b.tif", data=data[:, ::-1] if place == "south-up" else data, descriptions=BANDS)
    turned = rasterio.Affine(10, 0, 500_000, 0, 10, 5_798_000)
    if place == "rotated":  # the same ground, written with other axes: columns run south, rows run east
        path = make_geotiff(path, data=np.ascontiguousarray(data.transpose(0, 2, 1)), descriptions=BANDS)
        turned = rasterio.Affine(0, 10, 500_000, -10, 0, 5_800_000)
    with rasterio.open(path, "r+") as target:
        target.transform = turned
    both = aligned([one, open_scene(path)])
    assert np.allclose(both.scenes[1].reflectance(BANDS), data, atol=1e-5)


def test_scenes_on_both_sides_of_the_antimeridian(tmp_path: Path) -> None:
    data = ground(120, 200)
    here = written(tmp_path / "a.tif", data, crs="EPSG:4326", bounds=(179.0, -18.0, 181.0, -16.8))
    there = written(tmp_path / "b.tif", data, crs="EPSG:4326", bounds=(-181.0, -18.0, -179.0, -16.8))
    both = aligned([here, there])
    assert np.allclose(both.scenes[1].reflectance(BANDS), data, atol=1e-5)
    box = both.scenes[0].bbox
    assert box is not None and box.crosses_antimeridian


def test_without_a_crs_equal_sizes_are_the_same_pixels(tmp_path: Path) -> None:
    data = ground()
    plain = [written(tmp_path / f"{name}.tif", data, crs=None) for name in "ab"]
    both = aligned(plain)
    assert both.pixel_m is None and "same ground pixel by pixel" in both.notes[0]
    assert np.array_equal(both.scenes[1].reflectance(BANDS), data)
    placed = written(tmp_path / "c.tif", data)
    assert aligned([plain[0], placed]).pixel_m == pytest.approx(10, rel=1e-3)
    with pytest.raises(SceneError, match="differ in size"):
        aligned([plain[0], written(tmp_path / "d.tif", data[:, :100], crs=None)])


def test_no_shared_ground_says_how_far_apart(tmp_path: Path) -> None:
    one, other = (
        written(tmp_path / "a.tif", ground()),
        written(tmp_path / "b.tif", ground(), origin=(600_000, 5_800_000)),
    )
    with pytest.raises(SceneError, match=r"a and b do not overlap: their middles lie 100 km apart"):
        aligned([one, other])
    with pytest.raises(UsageError, match="two or more are needed"):
        aligned([one])


def test_nodata_and_scale_come_along(tmp_path: Path) -> None:
    data = (ground() * 10_000).astype(np.uint16)
    data[:, :50] = 0
    one = written(tmp_path / "a.tif", data, nodata=0)
    both = aligned([one, written(tmp_path / "b.tif", data, nodata=0, origin=(500_005, 5_800_000))])
    for scene in both.scenes:
        assert np.isnan(scene.reflectance(("nir",))[0, :48]).all()
        assert np.isfinite(scene.reflectance(("nir",))[0, 52:-1, 2:-2]).all()


# -- what changed ---------------------------------------------------------------------------------


CLEARED = (slice(100, 200), slice(100, 160))  # 100 x 60 pixels of 10 m: 60 ha
FLOODED = (slice(0, 240), slice(80, 90))  # 240 x 10 pixels: 24 ha


def changed(bands: Floats) -> Floats:
    return cut(cut(bands, *CLEARED, SOIL), *FLOODED, WATER)


def hectares_of(scene: Scene, *parts: tuple[slice, slice]) -> float:
    areas = pixel_areas(scene)
    assert areas is not None
    return sum(float(areas[part].sum()) for part in parts) / 1e4


@pytest.mark.parametrize(
    "place", [{}, {"crs": "EPSG:4326", "bounds": (10.0, 59.0, 10.6, 59.3)}], ids=["utm", "degrees"]
)
@pytest.mark.parametrize("eight_bit", [False, True], ids=["reflectance", "8-bit"])
def test_known_change_in_hectares(tmp_path: Path, place: dict[str, Any], eight_bit: bool) -> None:
    before = ground()
    stored = stretched if eight_bit else np.asarray
    # The later date was stretched in its own way.
    later = stretched(changed(before), 0.48) if eight_bit else changed(before)
    scenes = [
        written(tmp_path / "a_2001.tif", stored(before), **place),
        written(tmp_path / "a_2011.tif", later, **place),
    ]
    result = Change()(scenes[::-1], tmp_path)
    cleared, flooded = hectares_of(scenes[0], CLEARED), hectares_of(scenes[0], FLOODED)
    values = result.values
    assert values["vegetation to bare or built-up"].value == pytest.approx(cleared, rel=0.01)
    assert values["land to water"].value == pytest.approx(flooded, rel=0.01)
    assert values["land cover changed"].value == pytest.approx(cleared + flooded, rel=0.01)
    assert values["NDVI loss"].value == pytest.approx(cleared + flooded, rel=0.01)
    assert values["NDVI gain"].value == values["water to land"].value == 0
    assert values["land cover changed"].unit == "ha"
    said = sentences(result.text)
    assert said[0].startswith("Between 2001 and 2011, land cover changed on about ") and " ha" in said[0]
    assert any("MNDWI" in s and "NDVI" in s for s in said)
    assert any("so the areas are estimates" in c for c in result.caveats) == eight_bit
    if place:
        assert cleared != pytest.approx(
            hectares_of(scenes[0], (slice(0, 100), slice(100, 160))), rel=1e-4
        )  # rows differ


def test_the_range_comes_from_moving_the_threshold(tmp_path: Path) -> None:
    before = ground()
    half = before.copy()  # NDVI falls by a ramp from 0 to 0.5 over the columns 100 to 300
    ramp = np.linspace(0, 0.5, 200, dtype=np.float32)
    ndvi = (before[1] - before[2]) / (before[1] + before[2])
    wanted = ndvi[:, 100:300] - ramp
    half[2, :, 100:300] = half[1, :, 100:300] * (1 - wanted) / (1 + wanted)
    scenes = [written(tmp_path / f"s_{y}.tif", d) for y, d in ((2001, before), (2002, half))]
    values = Change()(scenes, tmp_path, index="NDVI", threshold=0.25).values
    columns = {name: values[f"NDVI loss{end}"].value * 1e4 / 100 / 240 for name, end in
               (("at", ""), ("low", ", lowest"), ("high", ", highest"))}  # fmt: skip
    assert columns == pytest.approx({"at": 100, "low": 90, "high": 110}, abs=1.5)


def test_a_scene_against_itself_shifted_by_three_pixels(tmp_path: Path) -> None:
    wide = texture(530, 630, 7)
    bands = np.stack([f * (0.3 + 1.2 * wide) for f in (0.3, 0.5, 0.1, 0.12)]).astype(np.float32)
    bands[2] *= 0.4 + texture(530, 630, 8)  # an NDVI that varies
    for shift in ((3, 0), (0, -3), (3, 3)):
        scenes = [
            written(tmp_path / "a_2001.tif", stretched(bands[:, 10:510, 10:610], 0.6)),
            written(
                tmp_path / "a_2002.tif",
                stretched(bands[:, 10 - shift[1] : 510 - shift[1], 10 - shift[0] : 610 - shift[0]], 0.6),
            ),
        ]
        both = aligned(scenes)
        assert (both.shifts[1].dx, both.shifts[1].dy, both.shifts[1].corrected) == (*shift, True)
        result = Change()(scenes, tmp_path, index="NDVI")
        wrong = result.values["NDVI loss"].value + result.values["NDVI gain"].value
        assert wrong < 0.005 * result.values["compared area"].value
        assert "was shifted by" in result.text and "which was corrected" in result.text
        assert result.values["largest shift"].value == pytest.approx(np.hypot(*shift), abs=0.01)


def test_grids_in_other_systems_make_no_false_change(tmp_path: Path) -> None:
    bands = np.stack([f * (0.5 + texture(400, 400, 5)) for f in (0.3, 0.5, 0.1, 0.12)]).astype(np.float32)
    one = written(tmp_path / "a_2001.tif", bands)
    with rasterio.open(one.uri) as source:
        place, width, height = rasterio.warp.calculate_default_transform(
            source.crs, "EPSG:32632", 400, 400, *source.bounds, resolution=10
        )
        profile = source.profile | {
            "crs": "EPSG:32632",
            "transform": place,
            "width": width,
            "height": height,
            "nodata": -1,
        }
        with rasterio.open(tmp_path / "a_2002.tif", "w", **profile) as target:
            target.descriptions = BANDS
            for number in range(1, 5):
                reproject(rasterio.band(source, number), rasterio.band(target, number), dst_nodata=-1,
                          resampling=Resampling.cubic)  # fmt: skip
    values = Change()([one, open_scene(tmp_path / "a_2002.tif")], tmp_path).values
    assert values["land cover changed"].value < 0.005 * values["compared area"].value


def test_three_dates_are_told_step_by_step(tmp_path: Path) -> None:
    first = ground()
    second, third = cut(first, *CLEARED, SOIL), changed(first)
    scenes = [written(tmp_path / f"s_{y}.tif", d) for y, d in ((2001, first), (2005, second), (2009, third))]
    said = sentences(Change()(scenes, tmp_path).text)
    assert any(s.startswith("From 2001 to 2005, ") and "60 ha" in s for s in said)
    assert any(s.startswith("From 2005 to 2009, ") and "24 ha" in s for s in said)


@pytest.mark.parametrize(
    ("index", "first", "absent"),
    [
        ("water", "turned from land to water", "bare"),
        ("vegetation", "turned from vegetation to bare or built-up", "land to water"),
        ("NDVI", "green vegetation (NDVI) fell by more than", "land cover"),
        ("NDBI", "the built-up index NDBI rose by more than", "land cover"),
    ],
)
def test_what_was_asked_for_comes_first(tmp_path: Path, index: str, first: str, absent: str) -> None:
    scenes = [written(tmp_path / f"s_{y}.tif", d) for y, d in ((2001, ground()), (2011, changed(ground())))]
    verdict = sentences(Change()(scenes, tmp_path, index=index).text)[0]
    assert first in verdict and absent not in verdict


def test_the_picture_and_the_patches(tmp_path: Path) -> None:
    scenes = [written(tmp_path / f"s_{y}.tif", d) for y, d in ((2001, ground()), (2011, changed(ground())))]
    result = Change()(scenes, tmp_path)
    (path,) = result.images
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > 2 * pixels.shape[0] > 400
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)):  # vegetation to bare, land to water
        assert (pixels[:, pixels.shape[1] * 2 // 3 :] == colour).all(axis=2).sum() > 500
        assert (pixels[: pixels.shape[0] * 2 // 3, : pixels.shape[1] // 2] == colour).all(axis=2).sum() == 0
    assert result.geojson is not None
    features = result.geojson["features"]
    assert [f["properties"]["change"] for f in features] == ["vegetation to bare or built-up", "land to water"]
    rings = [np.array(f["geometry"]["coordinates"][0]).T for f in features]
    areas = [abs(GEOD.polygon_area_perimeter(lons, lats)[0]) for lons, lats in rings]
    assert [a / 1e4 for a in areas] == pytest.approx([60, 24], rel=2e-3)
    assert [f["properties"]["hectares"] for f in features] == pytest.approx([60, 24], rel=2e-3)


def test_small_patches_can_be_left_out(tmp_path: Path) -> None:
    speckled = changed(ground())
    speckled[:, 230, 200:300:10] = np.reshape(SOIL, (4, 1))
    scenes = [written(tmp_path / f"s_{y}.tif", d) for y, d in ((2001, ground()), (2011, speckled))]
    values = [Change()(scenes, tmp_path, smallest=n).values["vegetation to bare or built-up"].value for n in (1, 4)]
    assert values == pytest.approx([60.15, 60.05], abs=0.02)


def test_without_infrared_brightness_is_compared_and_named(tmp_path: Path) -> None:
    before = np.round(60 + 60 * texture(120, 120)).astype(np.uint8)[None].repeat(3, axis=0)
    after = before.copy()
    after[:, 20:60, 30:90] = 230
    scenes = [open_scene(make_geotiff(tmp_path / f"s_{y}.tif", data=d)) for y, d in ((2001, before), (2011, after))]
    result = Change()(scenes, tmp_path)
    assert result.values["brightness gain"].value == pytest.approx(24, rel=0.01)
    assert "brightness (the mean of all bands, 0 to 1) rose" in result.text


def test_radar_is_compared_in_decibels(tmp_path: Path) -> None:
    before = (-9 + 2 * texture(120, 120)).astype(np.float32)[None]
    after = before.copy()
    after[:, 20:60, 30:90] = -21
    scenes = [
        open_scene(make_geotiff(tmp_path / f"s_{y}.tif", data=d, descriptions=["vv"]))
        for y, d in ((2001, before), (2011, after))
    ]
    result = Change()(scenes, tmp_path)
    assert result.values["backscatter loss"].value == pytest.approx(24, rel=0.01)
    assert "radar backscatter (dB) fell by more than" in sentences(result.text)[0]


@pytest.mark.parametrize(("band", "called"), [("elevation", "elevation (m)"), ("", "the value of the band")])
def test_one_band_of_numbers_is_compared_as_it_is(tmp_path: Path, band: str, called: str) -> None:
    before = (200 + 30 * texture(120, 120)).astype(np.float32)[None]
    after = before.copy()
    after[:, 20:60, 30:90] += 25
    scenes = [
        open_scene(make_geotiff(tmp_path / f"s_{y}.tif", data=d, descriptions=[band] if band else None))
        for y, d in ((2001, before), (2011, after))
    ]
    result = Change()(scenes, tmp_path)
    assert result.values[f"{band or 'value'} gain"].value == pytest.approx(24, rel=0.01)
    assert called in sentences(result.text)[0]


def test_without_a_place_areas_are_pixels(tmp_path: Path) -> None:
    scenes = [written(tmp_path / f"s_{y}.tif", d, crs=None) for y, d in ((2001, ground()), (2011, changed(ground())))]
    result = Change()(scenes, tmp_path)
    assert result.values["vegetation to bare or built-up"].unit == "pixels"
    assert result.values["vegetation to bare or built-up"].value == pytest.approx(6000, rel=0.01)
    assert result.geojson is None and any("counted in pixels" in c for c in result.caveats)
    assert any("same ground pixel by pixel" in c for c in result.caveats)


def test_large_scenes_are_reduced_and_it_is_said(tmp_path: Path) -> None:
    small = [stretched(d)[1:3] for d in (ground(), changed(ground()))]
    large = [np.repeat(np.repeat(bands, 8, axis=1), 8, axis=2) for bands in small]
    scenes = [
        open_scene(make_geotiff(tmp_path / f"s_{y}.tif", data=d, descriptions=BANDS[1:3], tiled=True, res=1.25))
        for y, d in zip((2001, 2011), large, strict=True)
    ]
    result = Change()(scenes, tmp_path, index="NDVI")
    assert max(aligned(scenes).shape) == 2048
    assert result.values["NDVI loss"].value == pytest.approx(84, rel=0.01)
    assert any("Areas were counted in cells of 1.6 m" in c for c in result.caveats)


@pytest.mark.parametrize(
    ("make", "options", "error"),
    [
        (lambda p: [written(p / "a.tif", ground())], {}, "two or more scenes; one was given"),
        (lambda p: [written(p / f"{n}.tif", ground()) for n in "ab"], {"index": "NDVY"}, "no spectral index 'NDVY'"),
        (lambda p: [written(p / f"{n}.tif", ground()) for n in "ab"], {"index": "EVI"}, "EVI needs a blue band"),
        (lambda p: [written(p / f"{n}.tif", ground()) for n in "ab"], {"index": "backscatter"}, "needs a radar band"),
        (lambda p: [written(p / f"{n}.tif", ground()) for n in "ab"], {"threshold": -0.1}, "not greater than 0"),
        (lambda p: [written(p / f"{n}.tif", ground() * np.nan) for n in "ab"], {}, "share no pixel with data"),
        (
            lambda p: [written(p / "a.tif", ground()), written(p / "b.tif", ground(), origin=(900_000, 5_800_000))],
            {},
            "do not overlap: their middles lie 400 km apart",
        ),
        (
            lambda p: [written(p / "a.tif", ground(60, 90), crs=None), written(p / "b.tif", ground(), crs=None)],
            {},
            "differ in size",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(tmp_path: Path, make: Any, options: dict[str, Any], error: str) -> None:
    with pytest.raises((UsageError, SceneError), match=error):
        Change()(make(tmp_path), tmp_path, **options)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (40, 1)])
def test_tiny_scenes(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    data = [np.tile(np.reshape(cover, (4, 1, 1)), (1, height, width)).astype(np.float32) for cover in (FOREST, SOIL)]
    scenes = [written(tmp_path / f"s_{y}.tif", d) for y, d in zip((2001, 2011), data, strict=True)]
    values = Change()(scenes, tmp_path).values
    assert values["vegetation to bare or built-up"].value == pytest.approx(width * height / 100, rel=2e-3)


def test_undated_scenes_keep_their_order(tmp_path: Path) -> None:
    scenes = [written(tmp_path / "later.tif", ground()), written(tmp_path / "earlier.tif", changed(ground()))]
    result = Change()(scenes, tmp_path)
    assert result.text.startswith("Between later and earlier, ")
    assert any("in the order in which they were given" in c for c in result.caveats)


@pytest.mark.parametrize(
    ("text", "fit", "arguments"),
    [
        ("How did the land cover change between 1985 and 2020, and how many hectares?", 0.9, {}),
        ("What changed?", 0.9, {}),
        ("How much forest was lost between these dates?", 0.9, {"index": "vegetation"}),
        ("How did the NDVI change?", 0.9, {"index": "NDVI"}),
        ("How many hectares of water were lost since 1985?", 0.9, {"index": "water"}),
        ("Did the city grow?", 0.85, {"index": "built-up"}),
        ("What is different in these two images?", 0.9, {}),
        ("Is it greener now?", 0.85, {"index": "vegetation"}),
        ("How many hectares of water turned into land?", 0.9, {"index": "water"}),
        ("Which of these is greener?", 0.5, {"index": "vegetation"}),
        ("What is change detection?", 0.0, {}),
        ("What is the difference between a lake and a river?", 0.0, {"index": "water"}),
        ("Where is this?", 0.0, {}),
        ("What is the NDVI of A?", 0.0, {"index": "NDVI"}),
    ],
)
def test_when_change_applies(tmp_path: Path, text: str, fit: float, arguments: dict[str, object]) -> None:
    scene = written(tmp_path / "a.tif", ground(30, 40))
    query = Query(text, (scene, scene))
    assert Change().applies(query) == fit
    assert Change().arguments(query) == arguments
    assert Change().applies(Query(text, (scene,))) == (fit if fit == 0.9 else 0.0)  # it says that a date is missing
    assert Change().applies(Query(text)) == 0.0


def test_the_question_is_answered_with_hectares_a_map_and_limits(tmp_path: Path, kb: KnowledgeBase) -> None:
    paths = [make_geotiff(tmp_path / f"valley_{year}.tif", data=stretched(bands))
             for year, bands in ((1985, ground()), (2020, changed(ground())))]  # fmt: skip
    assistant = Assistant(kb)
    answer = assistant.ask(
        "How did the land cover change between 1985 and 2020, and how many hectares?",
        paths,
        bands="swir1,nir,red,green",
    )
    assert answer.status == "answered" and answer.grounded
    assert answer.text.startswith("Between 1985 and 2020, land cover changed on about 84")
    assert "MNDWI" in answer.text and "so the areas are estimates" in answer.text
    cited = next(e for e in answer.citations if e.kind == "tool")
    assert cited.values["vegetation to bare or built-up"].value == pytest.approx(60, rel=0.01)
    assert len(cited.images) == 1 and Path(cited.images[0]).is_file() and cited.geojson


def test_patches_over_the_antimeridian_run_on(tmp_path: Path) -> None:
    place: dict[str, Any] = {"crs": "EPSG:4326", "bounds": (179.98, -17.0, 180.012, -16.976)}
    after = cut(ground(), slice(100, 140), slice(120, 260), SOIL)
    scenes = [written(tmp_path / f"s_{y}.tif", d, **place) for y, d in ((2001, ground()), (2011, after))]
    result = Change()(scenes, tmp_path)
    (feature,) = result.geojson["features"]  # type: ignore[index]
    lons = np.array(feature["geometry"]["coordinates"][0])[:, 0]
    assert np.ptp(lons) < 0.02 and lons.max() > 180
    assert result.values["vegetation to bare or built-up"].value == pytest.approx(
        hectares_of(scenes[0], (slice(100, 140), slice(120, 260))), rel=0.01
    )


def test_change_at_a_pole(tmp_path: Path) -> None:
    place: dict[str, Any] = {"crs": "EPSG:3031", "bounds": (-16_000, -12_000, 16_000, 12_000)}
    scenes = [written(tmp_path / f"s_{y}.tif", d, **place) for y, d in ((2001, ground()), (2011, changed(ground())))]
    values = Change()(scenes, tmp_path).values
    # At the pole this projection draws the ground 2.73 % too small each way: EPSG:3031 is true at 71 degrees south.
    flat = 6000 * 100 * 100 / 1e4
    assert values["vegetation to bare or built-up"].value == pytest.approx(flat / 0.9727692**2, rel=0.01)


# -- pure parts -----------------------------------------------------------------------------------


@given(low=st.floats(-0.2, 0.1), gap=st.floats(0.2, 0.4), share=st.floats(0.1, 0.9), noise=st.floats(0, 0.02))
def test_otsu_falls_between_two_groups(low: float, gap: float, share: float, noise: float) -> None:
    draw = np.random.default_rng(0)
    first = draw.normal(low, noise, int(2000 * share))
    second = draw.normal(low + gap, noise, 2000 - len(first))
    level = otsu(np.concatenate([first, second]).astype(np.float32), (-0.3, 0.6))
    assert low + gap * 0.2 < level < low + gap * 0.8


def test_otsu_without_values_is_the_middle() -> None:
    assert otsu(np.array([], np.float32), (0.2, 0.6)) == pytest.approx(0.4)


@given(seed=st.integers(0, 30), threshold=st.floats(0.01, 0.5))
def test_gain_and_loss_turn_around_with_time(seed: int, threshold: float) -> None:
    draw = np.random.default_rng(seed)
    a, b = draw.random((2, 20, 30)).astype(np.float32)
    a[0, 0] = np.nan
    areas = draw.random((20, 30))
    there, back = difference(a, b, areas, threshold), difference(b, a, areas, threshold)
    assert (there.gain.area, there.loss.area) == pytest.approx((back.loss.area, back.gain.area))
    assert there.gain.low <= there.gain.area <= there.gain.high
    assert there.seen == pytest.approx(areas.sum() - areas[0, 0]) and not there.valid[0, 0]


def test_sieving_drops_small_patches_only() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:6, 2:6] = mask[10, 10] = mask[15, 15] = mask[16, 16] = True
    mask[3, 3] = False  # a hole stays one
    kept = sieved(mask, 3)
    assert kept.sum() == 15 and not kept[3, 3] and not kept[10, 10]
    assert sieved(mask, 1) is mask
