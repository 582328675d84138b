"""Where scenes lie: boxes against rasterio's, and georeferences that are turned, missing, wrong or broken."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsrag.placing import misfit, place
from rsrag.scene import open_scene
from rsrag.testing.rasters import make_geotiff

SYSTEMS = {
    "EPSG:4326": (-20.0, 60.0, 0.0005),
    "EPSG:32633": (500_000.0, 5_800_000.0, 10.0),
    "EPSG:32733": (300_000.0, 6_300_000.0, 30.0),
    "EPSG:3857": (1_000_000.0, 6_000_000.0, 5.0),
    "EPSG:3035": (4_321_000.0, 3_210_000.0, 100.0),
    "EPSG:2154": (700_000.0, 6_600_000.0, 0.2),
    "EPSG:2263": (980_000.0, 200_000.0, 1.0),
    "EPSG:5070": (0.0, 2_000_000.0, 250.0),
}


@settings(max_examples=60, deadline=None)
@given(
    crs=st.sampled_from(sorted(SYSTEMS)),
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    turn=st.sampled_from([0.0, 0.0, 30.0, 90.0, 181.0]),
    south_up=st.booleans(),
)
def test_boxes_are_rasterios_to_a_pixel(crs: str, width: int, height: int, turn: float, south_up: bool) -> None:
    """transform_bounds takes a box in map units: of a turned scene, that of its corners, which only can be larger."""
    from rasterio import Affine
    from rasterio.warp import transform_bounds

    west, north, pixel = SYSTEMS[crs]
    t = Affine.translation(west, north) @ Affine.rotation(turn) @ Affine.scale(pixel, pixel if south_up else -pixel)
    corners = [t @ (c, r) for c in (0, width) for r in (0, height)]
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    peer = transform_bounds(crs, "EPSG:4326", min(xs), min(ys), max(xs), max(ys), densify_pts=21)
    box, ring, _ = place(crs, tuple(t)[:6], width, height)
    assert box is not None and len(ring) == 5
    # A pixel in degrees, by the smaller of its sides.
    side = (pixel if crs == "EPSG:4326" else pixel * (0.3048 if crs == "EPSG:2263" else 1) / 111_320) * 1.0001
    across = side / max(0.2, math.cos(math.radians(box.north)))
    if turn in (0.0, 90.0):
        assert np.allclose(box.as_tuple()[::2], peer[::2], atol=across)
        assert np.allclose(box.as_tuple()[1::2], peer[1::2], atol=side)
    else:
        assert box.west >= peer[0] - across and box.east <= peer[2] + across
        assert box.south >= peer[1] - side and box.north <= peer[3] + side


@pytest.mark.parametrize(
    "transform, note",
    [
        ((10, 0, 500_000, 0, -10, 5_800_000), ""),
        ((10, 0, 500_000, 0, 10, 5_799_360), "south at the top"),
        ((-10, 0, 500_640, 0, -10, 5_800_000), "east on the left"),
        ((8.66, 5, 500_000, 5, -8.66, 5_800_000), "rotated: its rows run 30 degrees"),
    ],
)
def test_unusual_orientations_are_noted(tmp_path: Path, transform: tuple[float, ...], note: str) -> None:
    import rasterio

    path = make_geotiff(tmp_path / "a.tif", transform=None, crs=None)
    with rasterio.open(path, "r+") as target:
        target.crs, target.transform = "EPSG:32633", rasterio.Affine(*transform)
    scene = open_scene(path)
    assert any(note in n for n in scene.notes) if note else not scene.notes
    assert scene.bbox is not None and scene.bbox.south < scene.bbox.north and scene.bbox.west < scene.bbox.east
    assert scene.gsd_m == pytest.approx(10, rel=1e-3)
    assert scene.bbox.north == pytest.approx(52.35, abs=0.01)


@pytest.mark.parametrize(
    "crs, origin, res, why",
    [
        ("EPSG:32633", (15.0, 52.0), 0.0001, "they look like degrees"),
        ("EPSG:4326", (500_000.0, 5_800_000.0), 10.0, "they are no degrees"),
        ("EPSG:4326", (52.0, 115.0), 0.001, "look swapped"),
        ("EPSG:32633", (5_800_000.0, 500_000.0), 10.0, "axes look swapped"),
        ("EPSG:2154", (6_800_000.0, 700_000.0), 1.0, "axes look swapped"),
        ("EPSG:3035", (3_210_000.0, 14_321_000.0), 10.0, "another part of the Earth"),
    ],
)
def test_coordinates_of_another_system_place_nothing(
    tmp_path: Path, crs: str, origin: tuple[float, float], res: float, why: str
) -> None:
    scene = open_scene(make_geotiff(tmp_path / "a.tif", crs=crs, origin=origin, res=res))
    assert scene.bbox is None and scene.footprint == () and scene.gsd_m is None
    assert [n for n in scene.notes if why in n and crs in n]
    assert scene.crs == crs and scene.transform is not None and scene.rgb(8).any()
    assert scene.window(0, 0, 8, 8).bbox is None


@pytest.mark.parametrize("crs", [*sorted(SYSTEMS), "EPSG:3413", "EPSG:3031", "ESRI:54009"])
def test_coordinates_that_fit_are_not_doubted(crs: str) -> None:
    west, north, pixel = SYSTEMS.get(crs, (-1e6, 1e6, 1e4))
    assert misfit(crs, (pixel, 0, west, 0, -pixel, north), 100, 100) == ""


def test_southern_landsat_in_a_northern_zone() -> None:
    """Landsat keeps negative northings."""
    assert misfit("EPSG:32618", (30, 0, 500_000, 0, -30, -3_000_000), 7000, 7000) == ""


@pytest.mark.parametrize("transform", [(0, 0, 5, 0, 0, 50), (math.nan, 0, 5, 0, -1, 50), (1, 1, 5, 1, 1, 50)])
def test_a_degenerate_transform_is_not_used(tmp_path: Path, transform: tuple[float, ...]) -> None:
    import rasterio

    path = make_geotiff(tmp_path / "a.tif", crs=None)
    with rasterio.open(path, "r+") as target:
        target.crs, target.transform = "EPSG:4326", rasterio.Affine(*transform)
    scene = open_scene(path)
    assert scene.bbox is None and scene.rgb(8).any()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_few_or_many_control_points(tmp_path: Path, count: int) -> None:
    import rasterio
    from rasterio.control import GroundControlPoint

    path = make_geotiff(tmp_path / "a.tif", crs=None, bands=1)
    grid = [(row, col) for row in (0, 32, 64) for col in (0, 32, 64)]
    chosen = {1: [0], 2: [0, 8], 3: [0, 2, 6], 4: [0, 2, 6, 8], 9: range(9)}[count]
    # The middle one is bent by half a degree: two of 64 pixels over sixteen degrees.
    places = [
        GroundControlPoint(*grid[i], 5 + grid[i][1] / 4 + (0.5 if i == 4 else 0), 50 - grid[i][0] / 4) for i in chosen
    ]
    with rasterio.open(path, "r+") as target:
        target.gcps = places, "EPSG:4326"
    scene = open_scene(path)
    if count == 1:
        assert scene.bbox is None and "degenerate" in scene.notes[0]
    else:
        assert scene.bbox is not None and scene.bbox.as_tuple() == pytest.approx((5, 34, 21, 50), abs=0.1)
        assert f"{count} ground control points, to about {2 if count == 9 else 1} pixels" in scene.notes[0]


def test_rpcs_are_named_and_not_used(tmp_path: Path) -> None:
    import rasterio
    from rasterio.rpc import RPC

    path = make_geotiff(tmp_path / "a.tif", crs=None)
    with rasterio.open(path, "r+") as target:
        ones = [1.0] * 20
        target.rpcs = RPC(0, 1, 10, 0.1, ones, ones, 32, 32, 20, 0.1, ones, ones, 32, 32, None, None)
    scene = open_scene(path)
    assert scene.bbox is None and "RPCs" in scene.notes[0]
