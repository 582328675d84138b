"""Filters by place, time and facets: against brute force, at the poles and the antimeridian, as people type them."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import (
    Assistant,
    BBox,
    Circle,
    Comparison,
    Filter,
    KnowledgeBase,
    Plugins,
    Query,
    Record,
    Season,
    StoreError,
    UsageError,
)
from rsrag.filtering import describe, place_of
from rsrag.geojson import CROSSES, MENDED, POLAR, bounds, from_bbox, from_circle, read_shape, to_geojson
from rsrag.queries import make_filter, parse_box, parse_circle, parse_facets
from rsrag.seasons import bits, bits_of, parse_season, say_season, spans_touching, turned


class Records:
    """A source over records given in the test."""

    name, label, role = "list", "list", "mine"

    def __init__(self, *records: Record) -> None:
        self._records = records

    def records(self) -> Iterator[Record]:
        yield from self._records


def note(id: str, **more: Any) -> Record:
    return Record(id, f"topic/{id}", id, f"Words about {id}.", **more)


def store(folder: Path, *records: Record) -> KnowledgeBase:
    from rsrag.testing.encoders import FakeEncoder

    encoder: Any = FakeEncoder()
    kb = KnowledgeBase(folder, encoder, plugins=Plugins(external=False))
    kb.add(Records(*records))
    return kb


def kept(kb: KnowledgeBase, where: Filter) -> set[str]:
    """The records a filter leaves, asked in every way that a search may go; they must agree."""
    condition = kb.condition(where)
    listed = {c.provenance.record for cs in kb.catalog.chunks.by_hash(
        kb.catalog.chunks.hashes("text", condition), "text", condition).values() for c in cs}  # fmt: skip
    tested = {c.provenance.record for c in kb.catalog.chunks.where(condition.sql, condition.arguments)}
    searched = {h.chunk.provenance.record for h in kb.search_text(Query("words", where=where), 10_000)}
    assert listed == tested == searched
    for demand in condition.seekable:  # whichever list comes first
        sql, arguments = condition.led_by(demand)
        assert {c.provenance.record for c in kb.catalog.chunks.where(sql, arguments)} == listed
    assert kb.count_kept(where)[0] == len(listed)
    return listed


def polygon(*corners: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*map(list, corners), list(corners[0])]]}


# -- places, against brute force ------------------------------------------------------------------


def somewhere(rng: random.Random, number: int) -> Record:
    """A record of any size, anywhere: points, boxes over the antimeridian and at the poles, some with a footprint."""
    west, south = rng.uniform(-180, 180), rng.choice([-90.0, rng.uniform(-90, 80), rng.uniform(-90, 80)])
    width, height = rng.choice([0.0, rng.uniform(0, 3), rng.uniform(0, 60)]), rng.choice([0.0, rng.uniform(0, 10)])
    north = min(90.0, south + height)
    east = west + width
    box = BBox(west, south, east - 360 if east > 180 else east, north)
    footprint = None
    if number % 3 == 0 and width > 0 and height > 0:
        middle = (south + north) / 2
        corners = ((west + width / 2, south), (east, middle), (west + width / 2, north), (west, middle))
        footprint = to_geojson(read_shape(polygon(*corners))[0])
    return note(f"r{number}", bbox=box, footprint=footprint)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KnowledgeBase, list[Record]]]:
    rng = random.Random(5)
    records = [somewhere(rng, number) for number in range(240)] + [note("nowhere")]
    with store(tmp_path_factory.mktemp("world") / "kb", *records) as kb:
        yield kb, records


def shapes(records: list[Record]) -> dict[str, Any]:
    from shapely.geometry import shape

    return {r.id: shape(r.footprint or from_bbox(r.bbox)) for r in records if r.bbox}


BOXES = [
    BBox(-10, 35, 40, 60), BBox(170, -30, -170, 30), BBox(-180, -90, 180, 90), BBox(-180, 80, 180, 90),
    BBox(5.25, 51.5, 5.25, 51.5), BBox(179, -90, -179, 90), BBox(100, -50, 170, -10), BBox(-180, -5, -100, 5),
]  # fmt: skip


@pytest.mark.parametrize("box", BOXES, ids=str)
def test_a_box_and_its_polygon_keep_what_touches(world: tuple[KnowledgeBase, list[Record]], box: BBox) -> None:
    from shapely.geometry import shape

    kb, records = world
    area = shape(from_bbox(box))
    expected = {id for id, own in shapes(records).items() if own.intersects(area)}
    assert kept(kb, Filter(box=box)) == expected
    if box.west != box.east:
        assert kept(kb, Filter(polygon=from_bbox(box))) == expected


def test_a_polygon_of_any_form_keeps_what_touches(world: tuple[KnowledgeBase, list[Record]]) -> None:
    kb, records = world
    rng = random.Random(3)
    for _ in range(12):
        lon, lat, reach = rng.uniform(-180, 180), rng.uniform(-60, 60), rng.uniform(2, 25)
        corners = [
            (lon + reach * (1 + n % 2) / 2 * math.cos(n * math.pi / 6), lat + reach * math.sin(n * math.pi / 6))
            for n in range(12)
        ]
        area, _ = read_shape(polygon(*corners))
        expected = {id for id, own in shapes(records).items() if own.intersects(area)}
        assert kept(kb, Filter(polygon=polygon(*corners))) == expected


CIRCLES = [
    Circle(5, 52, 300_000), Circle(179.9, -17, 800_000), Circle(0, 89.5, 1_500_000), Circle(30, -90, 3_000_000),
    Circle(-60, 0, 5_000_000), Circle(20, 70, 15_000_000), Circle(100, 20, 1), Circle(-179, 65, 2_500_000),
]  # fmt: skip


@pytest.mark.parametrize("circle", CIRCLES, ids=str)
def test_a_distance_is_measured_on_the_ellipsoid(world: tuple[KnowledgeBase, list[Record]], circle: Circle) -> None:
    """Against the nearest of thousands of points along each outline, by pyproj's geodesics."""
    import numpy as np
    import shapely
    from pyproj import Geod

    kb, records = world
    found = kept(kb, Filter(circle=circle))
    for id, own in shapes(records).items():
        points = shapely.get_coordinates(shapely.segmentize(own, 0.05))
        if shapely.intersects_xy(own, circle.lon, circle.lat):
            metres = 0.0
        else:
            centre = np.full((2, len(points)), [[circle.lon], [circle.lat]])
            metres = float(Geod(ellps="WGS84").inv(*centre, *points.T)[2].min())
        if abs(metres - circle.radius_m) > max(100, 2e-4 * circle.radius_m):  # what the steps along edges leave open
            assert (id in found) == (metres < circle.radius_m), (id, metres)


@given(st.floats(-180, 180), st.floats(-90, 90), st.floats(1, 19e6), st.floats(0, 360))
def test_the_box_of_a_circle_holds_it(lon: float, lat: float, radius: float, azimuth: float) -> None:
    from pyproj import Geod

    east, north, _ = Geod(ellps="WGS84").fwd(lon, lat, azimuth, 0.999 * radius)
    box = from_circle(Circle(lon, lat, radius))
    point = BBox(*(max(-180.0, min(180.0, east)), max(-90.0, min(90.0, north))) * 2)
    assert box.intersects(point) or (
        abs(point.west) == 180 and box.intersects(BBox(-point.west, north, -point.west, north))
    )


def test_what_reaches_to_the_other_end_of_the_earth(kb: KnowledgeBase) -> None:
    kb.add(Records(note("antipode", bbox=BBox(180, 0, 180, 0)), note("box", bbox=BBox(170, -10, 180, 10))))
    assert kept(kb, Filter(circle=Circle(0, 0, 19_100_000))) == {"box"}
    assert kept(kb, Filter(circle=Circle(0, 0, 20_100_000))) == {"antipode", "box"}


def test_points_and_lines_touch_too(kb: KnowledgeBase) -> None:
    """On whole degrees, where the R*Tree's 32-bit boxes have no width either."""
    diamond = polygon((5, 51), (6, 52), (5, 53), (4, 52))
    kb.add(Records(
        note("point", bbox=BBox(5, 52, 5, 52)),
        note("line", bbox=BBox(5, 50, 5, 52)),
        note("diamond", bbox=BBox(4, 51, 6, 53), footprint=diamond),
    ))  # fmt: skip
    everything = {"point", "line", "diamond"}
    square = polygon((4.5, 51.5), (5.5, 51.5), (5.5, 52.5), (4.5, 52.5))
    for where in (Filter(box=BBox(5, 52, 5, 52)), Filter(polygon=square), Filter(circle=Circle(5, 52, 1))):
        assert kept(kb, where) == everything
    assert kept(kb, Filter(box=BBox(4, 51, 4.1, 51.1))) == set()
    assert kept(kb, Filter(circle=Circle(5, 49.99, 1200))) == {"line"}


def test_what_has_no_place_is_left_out(world: tuple[KnowledgeBase, list[Record]]) -> None:
    kb, records = world
    assert kept(kb, Filter(box=BBox(-180, -90, 180, 90))) == {r.id for r in records} - {"nowhere"}


# -- polygons as people draw them -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("geometry", "box", "notes"),
    [
        (polygon((4, 51), (5, 51), (5, 52), (4, 52)), BBox(4, 51, 5, 52), ()),
        (polygon((0, 0), (2, 2), (2, 0), (0, 2)), BBox(0, 0, 2, 2), (MENDED,)),
        (polygon((177, -20), (-178, -20), (-178, -16), (177, -16)), BBox(177, -20, -178, -16), (CROSSES,)),
        (polygon((177, -20), (182, -20), (182, -16), (177, -16)), BBox(177, -20, -178, -16), ()),
        (polygon((-183, -20), (-178, -20), (-178, -16), (-183, -16)), BBox(177, -20, -178, -16), ()),
        (polygon((200, 10), (210, 10), (210, 20), (200, 20)), BBox(-160, 10, -150, 20), ()),
        (polygon((-180, 70), (-90, 70), (0, 72), (90, 70), (180, 70)), BBox(-180, 70, 180, 90), (POLAR,)),
        (polygon((-120, 70), (0, 72), (120, 70)), BBox(-180, 70, 180, 90), (POLAR,)),
        (polygon((120, -70), (0, -72), (-120, -70)), BBox(-180, -90, 180, -70), (POLAR,)),
        (polygon((-180, -90), (180, -90), (180, 90), (-180, 90)), BBox(-180, -90, 180, 90), ()),
        (polygon((-180, -60), (180, -60), (180, 80), (-180, 80)), BBox(-180, -60, 180, 80), ()),
        (polygon((-180, -90), (-180, -84), (0, -70), (180, -84), (180, -90)), BBox(-180, -90, 180, -70), ()),
        ({"type": "Point", "coordinates": [4, 51, 12.5]}, BBox(4, 51, 4, 51), ()),
        (
            {"type": "MultiPolygon", "coordinates": [[[[170, 0], [180, 0], [180, 5], [170, 0]]],
                                                     [[[-180, 0], [-170, 0], [-180, 5], [-180, 0]]]]},
            BBox(170, 0, -170, 5), (),
        ),
    ],
)  # fmt: skip
def test_shapes_stay_right_at_the_edges_of_the_map(geometry: Any, box: BBox, notes: tuple[str, ...]) -> None:
    shape, said = read_shape(geometry)
    assert bounds(shape) == box and said == notes and shape.is_valid
    again, _ = read_shape(to_geojson(shape))
    assert again.equals(shape)
    west, south, east, north = shape.bounds
    assert -180 <= west <= east <= 180 and -90 <= south <= north <= 90


@given(st.floats(-170, 170), st.floats(-70, 70), st.floats(0.5, 60), st.integers(3, 12), st.integers(0, 11))
def test_a_ring_means_the_same_however_it_is_written(
    lon: float, lat: float, reach: float, count: int, turn: int
) -> None:
    """Longitudes that run on beyond 180, that jump there, or one turn further; beginning at any corner."""
    angles = [2 * math.pi * n / count for n in range(count)]
    ring = [(lon + reach * math.cos(a), lat + min(reach, 15) * math.sin(a)) for a in angles]
    ring = ring[turn % count :] + ring[: turn % count]
    jumping = [((x + 180) % 360 - 180, y) for x, y in ring]
    further = [(x + (360 if lon < 0 else -360), y) for x, y in ring]
    shape, _ = read_shape(polygon(*ring))
    for other in (jumping, further):
        if all(-360 <= x <= 360 for x, _ in other):
            again, _ = read_shape(polygon(*other))
            assert again.symmetric_difference(shape).area < 1e-9 * shape.area
    box = bounds(shape)
    assert (box.east - box.west) % 360 == pytest.approx(max(x for x, _ in ring) - min(x for x, _ in ring))


def test_holes_stay_holes_over_the_antimeridian() -> None:
    outer = [[170, 0], [190, 0], [190, 10], [170, 10], [170, 0]]
    hole = [[-179, 2], [-178, 2], [-178, 4], [-179, 4], [-179, 2]]
    shape, _ = read_shape({"type": "Polygon", "coordinates": [outer, hole]})
    assert shape.area == 198


def test_a_polygon_that_crosses_itself_is_mended_and_that_is_said() -> None:
    where = make_filter(within=polygon((0, 0), (2, 2), (2, 0), (0, 2)))
    assert where.notes == (MENDED,) and where.polygon is not None
    assert read_shape(where.polygon)[0].area == pytest.approx(2)


def test_outer_rings_run_counterclockwise() -> None:
    from shapely.geometry import shape

    clockwise = read_shape(polygon((4, 51), (4, 52), (5, 52), (5, 51)))[0]
    assert shape(to_geojson(clockwise)).exterior.is_ccw
    assert shape(from_bbox(BBox(4, 51, 5, 52))).exterior.is_ccw


# -- what people write ----------------------------------------------------------------------------


def test_a_box_may_go_on_beyond_180() -> None:
    assert parse_box("170,-20,190,-10") == parse_box("-190,-20,-170,-10") == BBox(170, -20, -170, -10)
    assert parse_box("0,-20,360,-10") == BBox(-180, -20, 180, -10)
    assert parse_box("200,-20,210,-10") == BBox(-160, -20, -150, -10)
    assert parse_box("-180,80,180,90") == BBox(-180, 80, 180, 90)
    assert parse_circle("181,-17,5") == Circle(-179, -17, 5000)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"within": "0,80,10,100"}, "goes over a pole. One that holds a pole ends there (-180,80,180,90)"),
    ({"within": "0,-100,10,-80"}, "goes over a pole"),
    ({"within": "400,0,410,10"}, "longitude outside -180..180"),
    ({"around": "4,52"}, "'4,52' is not a place and a distance. Give LON,LAT,KM"),
    ({"around": "4,52,-5"}, "a distance of -5000 m is no distance"),
    ({"around": "4,52,nan"}, "is no distance"),
    ({"around": "4,120,5"}, "latitude outside -90..90"),
    ({"season": "monsoon"}, "'monsoon' is not a season. Give summer, JJA, 06-08"),
    ({"season": "13"}, "is not a season"),
    ({"season": []}, "is not a season"),
    ({"season": 7}, "is not a season"),
    ({"facets": ["cloud_cover<few"]}, "'cloud_cover<few' compares with no number. Give a number without a unit"),
    ({"facets": ["gsd<=nan"]}, "compares with no number"),
    ({"max_gsd": "10m"}, "compares with no number"),
    ({"max_cloud": float("inf")}, "compares with no number"),
]


@pytest.mark.parametrize(("given_", "message"), BAD, ids=str)
def test_what_is_no_filter_is_told(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_filter(**given_)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "months", "said"),
    [
        ("JJA", (6, 7, 8), "June to August"),
        ("djf", (12, 1, 2), "December to February"),
        ("MAM", (3, 4, 5), "March to May"),
        ("06-08", (6, 7, 8), "June to August"),
        ("11-02", (11, 12, 1, 2), "November to February"),
        ("june..august", (6, 7, 8), "June to August"),
        ("Jun/Aug", (6, 7, 8), "June to August"),
        ("nov to feb", (11, 12, 1, 2), "November to February"),
        ("7", (7,), "July"),
        ("october", (10,), "October"),
        ("5, 6, 9", (5, 6, 9), "May, June, September"),
        ([6, 6 + 1], (6, 7), "June, July"),
    ],
)
def test_a_season(text: Any, months: tuple[int, ...], said: str) -> None:
    season = parse_season(text)
    assert season == Season(months) and say_season(season) == said


@given(
    st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1)),
    st.integers(0, 500),
    st.sets(st.integers(1, 12), min_size=1),
)
def test_months_as_bits(start: datetime, days: int, months: set[int]) -> None:
    stop = start + timedelta(days=days)
    touched = {(start + timedelta(days=n)).month for n in range(days + 1)}
    assert bits_of(start, stop) == bits(touched)
    assert (bits_of(start, stop) in spans_touching(months)) == bool(touched & months)
    assert turned(turned(bits(months))) == bits(months)
    assert turned(bits(months)) == bits((m + 5) % 12 + 1 for m in months)


def test_comparisons_of_facets() -> None:
    assert parse_facets(["a<3", "b >= 4.5", "c!=x", "proj:epsg=32631", "d<=-1e2"]) == (
        {"proj:epsg": "32631"},
        [
            Comparison(("a",), "<", (3.0,)), Comparison(("b",), ">=", (4.5,)), Comparison(("c",), "!=", ("x",)),
            Comparison(("d",), "<=", (-100.0,)),
        ],
    )  # fmt: skip


def test_a_filter_in_words() -> None:
    where = make_filter(
        within="4,51,5,52", around=(4, 52, 2.5), when="2020/..", season="summer", max_cloud=20, facets=["a=x", "b!=y"],
        sources="mine", kind="image",
    )  # fmt: skip
    assert describe(where) == (
        "within 4,51,5,52; within 2.5 km of 4,52; since 2020-01-01; in summer; a = x; b != y; cloud_cover <= 20; "
        "source mine; only images"
    )
    assert not Filter(notes=("x",)) and not Filter() and Filter(kind="text") and not Filter(kind="text").narrows
    assert place_of(Filter()) is None and place_of(Filter(polygon=polygon((0, 0), (1, 0), (1, 1)))) == BBox(0, 0, 1, 1)


# -- time and facets ------------------------------------------------------------------------------


def day(year: int, month: int, number: int = 15) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


NORTH, SOUTH = BBox(4, 51, 5, 52), BBox(-71, -34, -70, -33)
TIMES = (
    note("july north", bbox=NORTH, acquired=day(2020, 7)),
    note("january north", bbox=NORTH, acquired=day(2021, 1)),
    note("july south", bbox=SOUTH, acquired=day(2020, 7)),
    note("january south", bbox=SOUTH, acquired=day(2021, 1)),
    note("july nowhere", acquired=day(2019, 7)),
    note("winter composite", bbox=NORTH, acquired=day(2020, 12, 1), acquired_until=day(2021, 2, 28)),
    note("never", bbox=NORTH),
)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with store(tmp_path_factory.mktemp("timed") / "kb", *TIMES) as kb:
        yield kb


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"season": "summer"}, {"july north", "january south"}),
        ({"season": "winter"}, {"january north", "july south", "winter composite"}),
        ({"season": "JJA"}, {"july north", "july south", "july nowhere"}),
        ({"season": "DJF"}, {"january north", "january south", "winter composite"}),
        ({"season": "12"}, {"winter composite"}),
        ({"season": "02-06"}, {"winter composite"}),
        ({"season": "spring"}, set()),
        ({"when": "2021-02"}, {"winter composite"}),
        ({"when": "2021-01-16/2021-01-20"}, {"winter composite"}),
        ({"when": "2020-12-15/.."}, {"january north", "january south", "winter composite"}),
        ({"when": "../2019"}, {"july nowhere"}),
        ({"when": "2020", "season": "summer"}, {"july north"}),
        ({"when": "2020", "season": "summer", "within": "-80,-40,-60,-20"}, set()),
        ({"around": "4.5,51.5,10", "season": "winter"}, {"january north", "winter composite"}),
    ],
)
def test_times_of_the_year(timed: KnowledgeBase, options: dict[str, Any], expected: set[str]) -> None:
    assert kept(timed, make_filter(**options)) == expected


FACETS = (
    note("a", facets={"gsd": 10, "cloud_cover": 9.5, "sensor": "sentinel-2a", "tags": ("x", "y")}),
    note("b", facets={"gsd_m": 0.6, "cloud_cover": 100, "sensor": "NAIP"}),
    note("c", facets={"gsd": "30", "cloud_cover": 0, "platform": "landsat-8", "tags": ("y",)}),
    note("d", facets={"gsd": "unknown", "sensor": "Sentinel-2 MSI", "flag": True}),
    note("e", facets={"sensor": "landsat-10"}),
)


@pytest.fixture(scope="module")
def faceted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with store(tmp_path_factory.mktemp("faceted") / "kb", *FACETS) as kb:
        yield kb


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"facets": ["cloud_cover<10"]}, {"a", "c"}),
        ({"facets": ["cloud_cover<=9.5"]}, {"a", "c"}),
        ({"facets": ["cloud_cover>9.5"]}, {"b"}),
        ({"facets": ["cloud_cover>=0", "cloud_cover<100"]}, {"a", "c"}),
        ({"facets": ["gsd>9"]}, {"a", "c"}),
        ({"facets": ["gsd=10.0"]}, {"a"}),
        ({"facets": ["gsd=30"]}, {"c"}),
        ({"facets": {"gsd": 10.0}}, {"a"}),
        ({"facets": ["gsd=10", "gsd=30"]}, {"a", "c"}),
        ({"facets": ["gsd!=10"]}, {"c", "d"}),
        ({"facets": ["tags!=x"]}, {"c"}),
        ({"facets": ["tags=y"]}, {"a", "c"}),
        ({"facets": {"flag": True}}, {"d"}),
        ({"max_gsd": 10}, {"a", "b"}),
        ({"max_cloud": 10}, {"a", "c"}),
        ({"from_sensor": "sentinel 2"}, {"a", "d"}),
        ({"from_sensor": "Landsat-1"}, None),
        ({"from_sensor": "landsat"}, {"c", "e"}),
        ({"from_sensor": ["naip", "landsat-8"]}, {"b", "c"}),
        ({"from_sensor": "landsat", "max_cloud": 50}, {"c"}),
    ],
)
def test_facets_compare_as_numbers_and_sensors_by_name(
    faceted: KnowledgeBase, options: dict[str, Any], expected: set[str] | None
) -> None:
    if expected is None:
        with pytest.raises(UsageError, match=r"nothing .* is from a sensor 'Landsat-1'\. Did you mean 'landsat-10'\?"):
            make_filter(**options, known=faceted.catalog)
    else:
        assert kept(faceted, make_filter(**options, known=faceted.catalog)) == expected


def test_what_there_is_to_filter_by(kb: KnowledgeBase) -> None:
    assert kb.catalog.facet_keys() == kb.catalog.facet_texts(("x",)) == kb.catalog.source_names() == []
    kb.add(Records(*(note(f"r{n}", facets={f"key{n:02}": "v", "n": n % 7, "empty": ""}) for n in range(40))))
    assert kb.catalog.facet_keys() == sorted([*(f"key{n:02}" for n in range(40)), "n", "empty"])
    assert kb.catalog.facet_texts(("n", "empty", "none")) == ["", *"0123456"]
    assert kb.catalog.source_names() == ["list"]
    with pytest.raises(UsageError, match=r"There are: empty, key00, .* key28 and 12 more\."):
        make_filter(facets=["zzz=1"], known=kb.catalog)


def test_what_the_knowledge_does_not_tell_is_refused(kb: KnowledgeBase) -> None:
    kb.add(Records(note("a", facets={"theme": "water"})))
    for options, message in (
        ({"max_gsd": 10}, "nothing in this knowledge base tells its GSD. It would be the facet gsd_m."),
        ({"max_cloud": 10}, "tells its cloud cover"),
        ({"facets": ["thme<3"]}, "there is no facet 'thme' in this knowledge base. Did you mean 'theme'?"),
        ({"from_sensor": "x"}, "There are: none."),
    ):
        with pytest.raises(UsageError) as caught:
            Assistant(kb).search("words", **options)
        assert message in str(caught.value)


# -- in the store ---------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [0, 10_000])
def test_near_gives_no_more_than_asked_for(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: int
) -> None:
    """A record with a passage and an image brought both, and k = 1 gave two."""
    from rsrag.testing.rasters import make_image

    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", exact)
    for n in range(3):
        make_image(tmp_path / "in" / f"i{n}.png", seed=n, size=(8, 8))
        sidecar = {"bbox": [n, 50, n + 0.1, 50.1], "caption": f"Picture {n}."}
        (tmp_path / "in" / f"i{n}.json").write_text(json.dumps(sidecar))
    kb.add(tmp_path / "in")
    place = BBox(0, 50, 0.1, 50.1)
    for k in (1, 2, 3):
        hits = kb.search_near(Query(near=place), k)
        assert len(hits) == k and hits[0].chunk.provenance.record == "i0.png"


def test_the_nearest_are_looked_at_before_the_rest(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more lie near than are looked at, and when most of the nearest are filtered out."""
    kb.add(Records(*(note(f"r{n}", bbox=BBox(179.9 - n / 100, 0, 179.9 - n / 100, 0), facets={"odd": bool(n % 2)})
                     for n in range(30))))  # fmt: skip
    found = kb.catalog.records.near(BBox(179, -1, -179, 1), kb.condition(Filter()), 3)
    assert sorted(west for _, (west, *_) in found) == pytest.approx([179.88, 179.89, 179.9], abs=1e-3)
    hits = kb.search_near(Query(near=BBox(179.9, 0, 180, 0.1), where=Filter(facets={"odd": True})), 2)
    assert [h.chunk.provenance.record for h in hits] == ["r1", "r3"]


@pytest.mark.parametrize("by_ids", [0, 3, 5000])
def test_a_filtered_search_finds_the_same_by_either_way(
    world: tuple[KnowledgeBase, list[Record]], monkeypatch: pytest.MonkeyPatch, by_ids: int
) -> None:
    kb, _ = world
    where = Filter(box=BBox(-30, -60, 60, 60))
    query = Query("Words about r17", where=where)
    expected = [h.chunk.id for h in kb.search_vectors(query, "texts", "text", 7)]
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", 0)
    monkeypatch.setattr("rsrag.store.search.FILTER_BY_IDS", by_ids)
    kb._searched.clear()
    kb._small.clear()
    found = [h.chunk.id for h in kb.search_vectors(query, "texts", "text", 7)]
    kb._small.clear()
    assert len(found) == 7 and found == expected


def test_how_many_each_filter_left_is_said(kb: KnowledgeBase) -> None:
    kb.add(Records(*TIMES))
    assert kb.explain(Filter(season=Season((7,)))) == "the filters left 3 of 7 passages and images to search"
    assert kb.explain(make_filter(season="summer", when="2020")) == (
        "the filters left 1 of 7 passages and images to search (from 2020-01-01 to 2020-12-31: 3; in summer: 2)"
    )
    bow = polygon((3, 50), (6, 53), (6, 50), (3, 53))
    warnings = Assistant(kb).ask("What is july north?", within=bow).warnings
    assert MENDED in warnings and any(w.startswith("the filters left 4 of 7") for w in warnings)


def test_a_footprint_that_is_none_costs_its_record(kb: KnowledgeBase) -> None:
    report = kb.add(Records(note("bad", bbox=NORTH, footprint={"type": "Hexagon"}), note("good")))
    assert report.added == 1 and report.failed[0][0] == "bad" and "is not a GeoJSON geometry" in report.failed[0][1]


def as_version_1(file: Path) -> None:
    """Take from a catalog what versions 2 and 3 added."""
    with sqlite3.connect(file) as db:
        for statement in (
            "DROP TABLE words", "DROP VIEW chunk_words", "DROP TABLE terms", "DROP TABLE acronyms",
            """CREATE VIEW chunk_words AS SELECT c.rowid AS rowid, r.title AS title, r.aliases AS aliases,
               c.heading || ' ' || c.text AS text FROM chunks c JOIN records r ON r.rowid = c.record WHERE r.vectors""",
            "CREATE VIRTUAL TABLE words USING fts5 (title, aliases, text, content = 'chunk_words')",
            "INSERT INTO words (words) VALUES ('rebuild')",
            "DROP INDEX facets_number", "DROP INDEX records_until", "DROP INDEX records_months",
            "DROP INDEX records_local_months", "DROP INDEX chunks_record",
            "CREATE INDEX chunks_record ON chunks (record)",
            "ALTER TABLE facets DROP COLUMN number", "ALTER TABLE records DROP COLUMN acquired_until",
            "ALTER TABLE records DROP COLUMN months", "ALTER TABLE records DROP COLUMN local_months",
            "DROP TABLE footprints", "PRAGMA user_version = 1",
        ):  # fmt: skip
            db.execute(statement)
    db.close()


def schema(file: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(file) as db:
        found = {(kind, name) for kind, name in db.execute("SELECT type, name FROM sqlite_master")}
        for table in ("records", "facets", "footprints", "acronyms", "terms", "words", "chunk_words"):
            found |= {(table, row[1]) for row in db.execute(f"PRAGMA table_info({table})")}
    db.close()
    return found


def test_an_older_store_is_brought_up_to_date(tmp_path: Path, plugins: Plugins) -> None:
    file = tmp_path / "kb" / "catalog.sqlite"
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Records(*TIMES[:5], *FACETS))
    fresh = schema(file)
    as_version_1(file)
    with KnowledgeBase(tmp_path / "kb", plugins=plugins, create=False) as kb:
        assert kept(kb, make_filter(season="summer")) == {"july north", "january south"}
        assert kept(kb, make_filter(max_cloud=10)) == {"a", "c"}
        assert kb.add(Records(*TIMES[:5], *FACETS)).unchanged == 10
        kb.add(Records(TIMES[5]))
        assert kept(kb, make_filter(when="2021-02")) == {"winter composite"}
    assert schema(file) == fresh
    with KnowledgeBase(tmp_path / "kb", plugins=plugins, create=False) as kb:
        assert len(kb) == 11


def test_an_older_store_that_may_only_be_read_says_what_to_do(
    tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins).close()
    as_version_1(tmp_path / "kb" / "catalog.sqlite")
    monkeypatch.setattr("rsrag.store.database.os.access", lambda *_: False)
    with pytest.raises(StoreError, match=r"brought up to date, but may only be read\. Open it once"):
        KnowledgeBase(tmp_path / "kb", plugins=plugins, create=False)
