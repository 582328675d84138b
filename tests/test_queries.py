"""What people write for places, times and facets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import BBox, Filter, UsageError
from rsrag.queries import make_filter, names, parse_box, parse_facets, parse_interval, parse_region, parse_within

SQUARE = {"type": "Polygon", "coordinates": [[[4, 51], [5, 51], [5, 52], [4, 52], [4, 51]]]}
FAR = {"type": "Polygon", "coordinates": [[[14, 51], [15, 51], [15, 52], [14, 52], [14, 51]]]}


# -- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_", ["4,51.5,5,52", " 4 , 51.5, 5 ,52 ", [4, 51.5, 5, 52], ("4", "51.5", "5", "52")])
def test_a_box(given_: Any) -> None:
    assert parse_box(given_) == BBox(4, 51.5, 5, 52)
    assert parse_box(BBox(4, 51.5, 5, 52)) == BBox(4, 51.5, 5, 52)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a box. Give W,S,E,N in degrees"),
        ("4,51,5", "is not a box"),
        ("4,51,5,52,6", "is not a box"),
        ("a,b,c,d", "is not a box"),
        ("4;51;5;52", "is not a box"),
        ("51,4,52,94", "latitude and longitude look swapped"),
        ("nan,51,5,52", "not a finite number"),
        ("4,51,1e999,52", "not a finite number"),
        ([None, 1, 2, 3], "is not a box"),
    ],
)
def test_a_box_that_is_none(text: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_box(text)
    assert message in str(caught.value)


def test_a_region() -> None:
    assert parse_region("0, 10,256,128") == (0, 10, 256, 128)
    assert parse_region((0, 10, 256, 128)) == parse_region([0, 10, 256, 128]) == (0, 10, 256, 128)
    bad: list[Any] = ["", "1,2,3", "1,2,3,4,5", "1.5,2,3,4", "a,b,c,d", (1, 2, 3), (1, 2, 3, 4, 5), (1.5, 2, 3, 4), 7]
    for text in bad:
        with pytest.raises(UsageError, match=r"is not a region\. Give x,y,w,h in pixels"):
            parse_region(text)


FORMS = {
    "geometry": SQUARE,
    "feature": {"type": "Feature", "properties": {}, "geometry": SQUARE},
    "collection": {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": SQUARE}]},
    "with a feature that is nowhere": {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": None}, {"type": "Feature", "geometry": SQUARE}],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_an_area_from_geojson_as_object_and_file(form: str, tmp_path: Path) -> None:
    from shapely.geometry import shape

    file = tmp_path / "area.geojson"
    file.write_text(json.dumps(FORMS[form]))
    for value in (FORMS[form], str(file)):
        box, polygon, notes = parse_within(value)
        assert box is None and not notes
        assert shape(polygon).equals(shape(SQUARE))


def test_features_are_joined_into_one_area() -> None:
    both = {"type": "FeatureCollection", "features": [{"geometry": SQUARE}, {"geometry": FAR}]}
    assert parse_within(both)[1]["type"] == "MultiPolygon"  # type: ignore[index]


def test_an_area_may_be_a_box() -> None:
    assert parse_within("4,51,5,52") == (BBox(4, 51, 5, 52), None, ())
    assert parse_within(" -4.5, +51,5e0,52 ") == (BBox(-4.5, 51, 5, 52), None, ())
    assert parse_within(BBox(170, 0, -170, 1)) == (BBox(170, 0, -170, 1), None, ())
    assert parse_within((4, 51, 5, 52)) == parse_within([4, 51.0, 5, 52]) == (BBox(4, 51, 5, 52), None, ())
    for bad in ((4, 51, 5), (4, 51, 5, 52, 6), (), 5):
        with pytest.raises(UsageError, match="is not a box"):
            parse_within(bad)  # type: ignore[arg-type]


def polygon(*corners: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*map(list, corners), list(corners[0])]]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "Point", "coordinates": [4, 51]}, "holds no area. Give a Polygon"),
        ({"type": "LineString", "coordinates": [[4, 51], [5, 52]]}, "holds no area"),
        ({"type": "FeatureCollection", "features": []}, "holds no area"),
        ({"type": "FeatureCollection", "features": None}, "is not a GeoJSON geometry"),
        ({"type": "FeatureCollection", "features": [5]}, "is not a GeoJSON geometry"),
        ({"type": "Feature", "geometry": None}, "holds no area"),
        ({"type": "Hexagon", "coordinates": []}, "is not a GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": [[[4, 51], [5, 52]]]}, "is not a GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": 7}, "is not a GeoJSON geometry"),
        ([1, 2], "is not a GeoJSON geometry"),
        (polygon((51, 4), (52, 4), (52, 120)), "latitude and longitude look swapped"),
        (polygon((500000, 5800000), (500010, 5800000), (500010, 5800010)), "latitude outside -90..90"),
    ],
)
def test_geojson_that_is_no_area(data: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    file.write_text(json.dumps(data))
    for value in (data, str(file)) if isinstance(data, dict) else (str(file),):
        with pytest.raises(UsageError) as caught:
            parse_within(value)
        assert message in str(caught.value)


def test_files_that_are_no_geojson(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "binary.json").write_bytes(b"\xff\x00")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    cases = {
        str(tmp_path / "missing.geojson"): "is neither a box nor a file",
        str(tmp_path): "is neither a box nor a file",
        "4,51,5": "is neither a box nor a file",
        "~nobody-of-this-name/area.geojson": "is neither a box nor a file",
        json.dumps(SQUARE) * 20: "is neither a box nor a file",  # longer than any file name
        str(tmp_path / "broken.json"): "broken.json is not JSON",
        str(tmp_path / "binary.json"): "binary.json is not JSON",
        str(tmp_path / "deep.json"): "deep.json is not JSON",
    }
    for value, message in cases.items():
        with pytest.raises(UsageError) as caught:
            parse_within(value)
        assert message in str(caught.value) and len(caught.value.message) < 300


# -- times ----------------------------------------------------------------------------------------


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[misc,arg-type]


def until(*numbers: int) -> datetime:
    """The last microsecond of a day."""
    return utc(*numbers, 23, 59, 59, 999999)


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("2020", utc(2020, 1, 1), until(2020, 12, 31)),
        ("2020-07", utc(2020, 7, 1), until(2020, 7, 31)),
        ("2020-02", utc(2020, 2, 1), until(2020, 2, 29)),
        ("2020-12", utc(2020, 12, 1), until(2020, 12, 31)),
        ("2020-07-14", utc(2020, 7, 14), until(2020, 7, 14)),
        ("20200714", utc(2020, 7, 14), until(2020, 7, 14)),
        ("2019-01/2020-06", utc(2019, 1, 1), until(2020, 6, 30)),
        ("2019/..", utc(2019, 1, 1), None),
        ("2019/", utc(2019, 1, 1), None),
        ("../2019", None, until(2019, 12, 31)),
        (" 2019 / 2020 ", utc(2019, 1, 1), until(2020, 12, 31)),
        ("2020/9999", utc(2020, 1, 1), until(9999, 12, 31)),
        ("9999-12-31", utc(9999, 12, 31), until(9999, 12, 31)),
        ("2020-07-14T10:30", utc(2020, 7, 14, 10, 30), utc(2020, 7, 14, 10, 30)),
        ("2020-07-14T10:30+02:00/..", utc(2020, 7, 14, 8, 30), None),
        ("2020-07-14T10:30Z/..", utc(2020, 7, 14, 10, 30), None),
    ],
)
def test_a_span_of_time(text: str, start: datetime | None, stop: datetime | None) -> None:
    assert parse_interval(text) == (start, stop)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summer", "'summer' is not a date. Give 2020, 2020-07"),
        ("2020-13", "is not a date"),
        ("2020-02-30", "is not a date"),
        ("0000", "is not a date"),
        ("20", "is not a date"),
        ("2019/2020/2021", "is not a date"),
        ("2020/P1Y", "'P1Y' is not a date"),
        ("2020/2019", "ends before it begins"),
        ("2020-07-15/2020-07-14", "ends before it begins"),
    ],
)
def test_a_span_of_time_that_is_none(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_interval(text)
    assert message in str(caught.value)


@given(st.integers(1, 9999), st.integers(1, 12))
def test_a_month_ends_where_the_next_begins(year: int, month: int) -> None:
    start, stop = parse_interval(f"{year:04}-{month:02}")
    assert start == utc(year, month, 1) and stop is not None
    if (year, month) != (9999, 12):
        following = utc(year + month // 12, month % 12 + 1, 1)
        assert stop + timedelta(microseconds=1) == following


def test_datetimes_without_a_zone_are_utc() -> None:
    cet = timezone(timedelta(hours=1))
    assert parse_interval((datetime(2020, 1, 1), None)) == (utc(2020, 1, 1), None)
    assert parse_interval((None, datetime(2020, 1, 1, 1, tzinfo=cet))) == (None, utc(2020, 1, 1))
    assert parse_interval(("2020", "2021")) == (utc(2020, 1, 1), until(2021, 12, 31))
    assert parse_interval(("2020-05", None)) == (utc(2020, 5, 1), None)
    assert parse_interval([None, date(2020, 5, 3)]) == (None, until(2020, 5, 3))  # type: ignore[list-item]
    for bad in (("2020",), ("2020", "2021", "2022"), (2020, 2021), 2020):
        with pytest.raises(UsageError, match="is not a span of time"):
            parse_interval(bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ends before it begins"):
        parse_interval((datetime(2020, 1, 2), datetime(2020, 1, 1)))


# -- facets and the whole filter ------------------------------------------------------------------


class Known:
    """What a knowledge base knows by name."""

    def __init__(self, facets: list[str], texts: list[str], sources: list[str]) -> None:
        self.facets, self.texts, self.sources = facets, texts, sources

    def facet_keys(self) -> list[str]:
        return self.facets

    def facet_texts(self, keys: Sequence[str]) -> list[str]:
        return self.texts

    def source_names(self) -> list[str]:
        return self.sources


def test_facets() -> None:
    assert parse_facets(["sensor=s2", "cloud=5"]) == ({"sensor": "s2", "cloud": "5"}, [])
    assert parse_facets(["sensor=s2", "sensor=l8", "sensor=s1"]) == ({"sensor": ("s2", "l8", "s1")}, [])
    assert parse_facets(["note=", "note=x"]) == ({"note": ("", "x")}, [])
    assert parse_facets([" sensor = s2 ", "formula=a=b"]) == ({"sensor": "s2", "formula": "a=b"}, [])
    assert parse_facets({"cloud": 5}) == ({"cloud": 5}, [])
    for text in ("sensor", "=s2", " =s2", "", "<3", "a<>3", "a=<3"):
        with pytest.raises(UsageError, match=r"is not a facet\. Give key=value"):
            parse_facets([text])


def test_a_filter_of_everything() -> None:
    where = make_filter(
        within="4,51,5,52",
        when="2020",
        facets=["sensor=s2"],
        sources=["mine"],
        kind="image",
        known=Known(["sensor"], [], ["mine"]),
    )
    assert where == Filter(
        BBox(4, 51, 5, 52), None, (utc(2020, 1, 1), until(2020, 12, 31)), {"sensor": "s2"}, ("mine",), "image"
    )
    assert make_filter(within=SQUARE).polygon and not make_filter() and not make_filter(within="", when="")
    assert make_filter(sources="mine", known=Known([], [], ["mine"])).sources == ("mine",)
    assert make_filter(within=(4, 51, 5, 52), when=("2020", "2021")) == make_filter(
        within="4,51,5,52", when="2020/2021"
    )


def test_one_name_or_several() -> None:
    assert [names(v) for v in ("mine", ["a", "b"], (), "", None)] == [("mine",), ("a", "b"), (), (), ()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"facets": ["senser=x"]}, "there is no facet 'senser' in this knowledge base. Did you mean 'sensor'?"),
        ({"facets": ["zzz=x"]}, "There are: sensor, cloud."),
        ({"sources": ["archiv"]}, "there is no source 'archiv' in this knowledge base. Did you mean 'archive'?"),
        ({"facets": ["a=b"], "known": Known([], [], [])}, "There are: none."),
        ({"kind": "video"}, "there is no kind 'video'. Kinds of results: text, image."),
    ],
)
def test_what_does_not_exist_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_filter(**{"known": Known(["sensor", "cloud"], [], ["archive", "packs"]), **arguments})
    assert message in str(caught.value)
