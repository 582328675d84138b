"""The nouns: boxes on a round Earth, tiles that miss no pixel, numbers as people write them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rsrag
from rsrag import BBox, Filter, Quantity, Query, Scene, UsageError
from rsrag.types import PixelReader

NAN, INF = float("nan"), float("inf")

# -- boxes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((51.8, 4.0, 52.0, 94.6), "latitude outside -90..90"),
        ((4.0, -91.0, 5.0, 0.0), "longitude first"),
        ((-190.0, 0.0, 0.0, 1.0), "longitude outside -180..180"),
        ((170.0, 0.0, 190.0, 1.0), "over the antimeridian has west > east"),
        ((4.0, 52.0, 5.0, 51.0), "south 52 lies above north 51"),
        ((NAN, 0.0, 1.0, 1.0), "not a finite number"),
        ((0.0, 0.0, 1.0, NAN), "not a finite number"),
        ((0.0, 0.0, INF, 1.0), "not a finite number"),
        ((-INF, 0.0, 1.0, 1.0), "not a finite number"),
    ],
)
def test_a_box_that_is_none_is_refused(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        BBox(*values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values", [(-180, -90, 180, 90), (4, 52, 4, 52), (180, 0, -180, 1), (0, 90, 0, 90), (179, -1, -179, 1)]
)
def test_boxes_at_the_limits_are_fine(values: tuple[float, ...]) -> None:
    assert BBox(*values).as_tuple() == values


longitudes = st.floats(-180, 180, allow_nan=False)
latitudes = st.floats(-90, 90, allow_nan=False)
boxes = st.builds(lambda w, e, a, b: BBox(w, min(a, b), e, max(a, b)), longitudes, longitudes, latitudes, latitudes)


def inside(box: BBox, lon: float, lat: float) -> bool:
    return any(w <= lon <= e and s <= lat <= n for w, s, e, n in box.parts())


@given(boxes)
def test_the_middle_of_a_box_lies_in_it_and_halves_it(box: BBox) -> None:
    lon, lat = box.center
    assert -180 <= lon <= 180
    # Rounding may put the middle of a sliver a hair outside.
    near = min(abs(lon - e) for w, _, e, _ in box.parts() for e in (w, e))
    assert inside(box, lon, lat) or near < 1e-9
    assert (lon - box.west) % 360 == pytest.approx((box.east - lon) % 360, abs=1e-9) or near < 1e-9


@given(boxes)
def test_parts_run_from_west_to_east_and_keep_the_width(box: BBox) -> None:
    parts = box.parts()
    assert all(w <= e and (s, n) == (box.south, box.north) for w, s, e, n in parts)
    assert len(parts) == (2 if box.west > box.east else 1)
    width = box.east - box.west + (360 if box.crosses_antimeridian else 0)
    assert sum(e - w for w, _, e, _ in parts) == pytest.approx(width, abs=1e-9)


@given(boxes, boxes, longitudes, latitudes)
def test_boxes_intersect_when_they_share_a_point_and_only_then(a: BBox, b: BBox, lon: float, lat: float) -> None:
    assert a.intersects(a)
    assert a.intersects(b) == b.intersects(a)
    if inside(a, lon, lat) and inside(b, lon, lat):
        assert a.intersects(b)
    if a.intersects(b):
        # A point they share is found among their edges.
        shared = [
            (x, y)
            for x in (a.west, a.east, b.west, b.east, -180.0, 180.0)
            for y in (a.south, a.north, b.south, b.north)
            if inside(a, x, y) and inside(b, x, y)
        ]
        assert shared


def test_fiji_is_on_both_sides_of_the_antimeridian() -> None:
    fiji = BBox(176, -21, -178, -12)
    assert fiji.crosses_antimeridian
    assert fiji.center == (179, -16.5)
    assert fiji.parts() == [(176, -21, 180, -12), (-180, -21, -178, -12)]
    assert fiji.intersects(BBox(-179, -15, -178.5, -14))
    assert fiji.intersects(BBox(178, -15, 178.5, -14))
    assert not fiji.intersects(BBox(0, -15, 10, -14))
    assert not fiji.intersects(BBox(-179, 15, -178.5, 16))


# -- scenes ---------------------------------------------------------------------------------------


class Grid(PixelReader):
    """A reader over numbered pixels."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers

    def rgb(self, max_side: int) -> np.ndarray:
        return np.zeros((*self.numbers.shape, 3), np.uint8)

    def read(self, bands: tuple[int, ...]) -> np.ndarray:
        return self.numbers[None].astype(np.float32)

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        return grid_scene(self.numbers[y : y + h, x : x + w])


def grid_scene(numbers: np.ndarray) -> Scene:
    return Scene("grid", numbers.shape[1], numbers.shape[0], Grid(numbers))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.data())
@settings(max_examples=150, deadline=None)
def test_tiles_cover_every_pixel_with_the_overlap_asked_for(
    width: int, height: int, size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    scene = grid_scene(np.arange(width * height).reshape(height, width))
    tiles = list(scene.tiles(size, overlap))
    assert {(t.width, t.height) for t in tiles} == {(min(size, width), min(size, height))}
    pixels = [t.read().astype(int).ravel() for t in tiles]
    assert set(np.concatenate(pixels)) == set(range(width * height))
    assert len({tuple(p) for p in pixels}) == len(tiles)
    columns = sorted({int(p[0]) % width for p in pixels})
    assert all(b - a <= size - overlap for a, b in pairwise(columns))


@pytest.mark.parametrize(
    ("size", "overlap", "message"),
    [(8, 8, "overlap 8 is not smaller"), (8, 9, "not smaller"), (0, 0, "not smaller"), (8, -2, "leave gaps")],
)
def test_tiles_that_could_not_cover_the_scene_are_refused(size: int, overlap: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(grid_scene(np.zeros((20, 20))).tiles(size, overlap))


@pytest.mark.parametrize(
    "region", [(-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 0, 5), (0, 0, 5, 0), (6, 0, 5, 5), (0, 6, 5, 5)]
)
def test_a_window_outside_the_scene_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match=r"is not inside grid \(10 x 10 pixels\)"):
        grid_scene(np.zeros((10, 10))).window(*region)


# -- the rest -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (290, "km", "290 km"),
        (0.31, "m", "0.31 m"),
        (0, "", "0"),
        (1234.567, "m", "1,235 m"),
        (9999.4, "m", "9,999 m"),
        (9999.7, "m", "10,000 m"),
        (-9999.7, "m", "-10,000 m"),
        (786000, "m", "786,000 m"),
        (10.5, "degrees", "10.5 degrees"),
    ],
)
def test_a_quantity_is_written_with_four_digits_and_never_as_a_power(value: float, unit: str, written: str) -> None:
    assert str(Quantity(value, unit)) == written


@pytest.mark.parametrize(
    "where",
    [
        Filter(box=BBox(0, 0, 1, 1)),
        Filter(interval=(None, None)),
        Filter(facets={"a": "b"}),
        Filter(sources=("x",)),
        Filter(kind="text"),
    ],
)
def test_a_filter_is_true_when_it_excludes_something(where: Filter) -> None:
    assert where
    assert not Filter()


def test_queries_are_changed_by_making_another() -> None:
    query = Query("where?", k=3)
    assert query.with_(k=5) == Query("where?", k=5)
    with pytest.raises(FrozenInstanceError):
        query.k = 9  # type: ignore[misc]


def test_an_error_says_what_and_what_next() -> None:
    error = rsrag.UsageError("there is no band 9.", "There are: 1, 2.")
    assert (str(error), error.message) == ("there is no band 9. There are: 1, 2.", "there is no band 9.")
    assert str(rsrag.RsragError("broken.")) == "broken."
    assert issubclass(rsrag.ConfigError, rsrag.UsageError) and issubclass(rsrag.StoreError, rsrag.RsragError)
