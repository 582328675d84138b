"""The source `osm`: named features with facts and boxes, from every form of file; what is bad costs itself only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import LAT, LON, STEP, Region, square, village, write_geojson
from rsrag import Assistant, BBox, KnowledgeBase, Plugins, Record, RsragError, UsageError
from rsrag.testing import FakeEncoder

import rsrag_osm
from rsrag_osm.index import known_indexes
from rsrag_osm.source import OsmSource


def read(path: Path) -> dict[str, Record]:
    return {record.id: record for record in OsmSource(str(path)).records()}


def problems(path: Path) -> str:
    source = OsmSource(str(path))
    list(source.records())
    return "\n".join(why for _, why in source.problems)


def as_pbf(extract: Path) -> Path:
    import osmium

    target = extract.with_suffix(".osm.pbf")
    with osmium.SimpleWriter(str(target)) as writer:
        for element in osmium.FileProcessor(str(extract)):
            writer.add(element)
    return target


def test_named_features_become_records(extract: Path) -> None:
    found = read(extract)
    assert sorted(found) == ["n1", "r51", "w11", "w12", "w31"]
    hospital = found["w11"]
    assert hospital.subject == "osm/way/11"
    assert hospital.title == "St. Mary's"
    assert hospital.url == "https://www.openstreetmap.org/way/11"
    assert hospital.license == "ODbL-1.0"
    assert hospital.attribution == "© OpenStreetMap contributors, ODbL"
    assert dict(hospital.facets) == {"kind": "amenity=hospital", "feature": "hospital"}
    assert hospital.bbox is not None
    assert hospital.bbox.as_tuple() == pytest.approx((LON + STEP, LAT + STEP, LON + 3 * STEP, LAT + 3 * STEP), abs=1e-6)


def test_the_text_is_one_sentence_from_the_tags(extract: Path) -> None:
    found = read(extract)
    assert found["w11"].text == (
        "St. Mary's is a hospital, 60 ft high, with 120 beds, dating from 1924, covering 2.95 ha, operated by County."
    )
    assert found["n1"].text == "Zum Anker (The Anchor) is a café in Altdorf."
    assert found["n1"].aliases == ("The Anchor",)
    assert found["w31"].text == "Hauptstraße is a gravel residential street, with a speed limit of 50 mph, 664 m long."
    assert found["r51"].text.startswith("Kirchholz is a mixed forest, covering ")


def test_facts_carry_the_units_of_openstreetmap(extract: Path) -> None:
    found = read(extract)
    facts = {(f.attribute): (f.value, f.unit) for f in found["w11"].facts}
    assert facts == {
        "height": (60, "ft"),
        "beds": (120, ""),
        "start date": ("1924", ""),
        "area": (2.95, "ha"),
    }
    assert ("speed limit", 50, "mph") in {(f.attribute, f.value, f.unit) for f in found["w31"].facts}


def test_areas_are_those_of_the_ellipsoid_with_holes_left_out(extract: Path) -> None:
    """A square of 3 x 3 steps with a hole of 1 x 1: eight steps, each 66.4 m x 111.3 m at 53.5 degrees north."""
    (area,) = [f for f in read(extract)["r51"].facts if f.attribute == "area"]
    assert area.value == pytest.approx(8 * 66.3 * 111.3 / 10_000, rel=0.01)


def test_streets_are_found_by_word_and_place_only(extract: Path) -> None:
    found = read(extract)
    assert not found["w31"].vectors
    assert found["w11"].vectors


def test_every_form_gives_the_same_records(extract: Path, tmp_path: Path) -> None:
    import gzip

    expected = read(extract)
    assert read(as_pbf(extract)) == expected
    packed = tmp_path / "village.osm.gz"
    packed.write_bytes(gzip.compress(extract.read_bytes()))
    assert read(packed) == expected


def test_an_unnamed_feature_is_counted(extract: Path) -> None:
    assert "features without a name, which are no records: 6" in problems(extract)


def test_what_cannot_be_costs_itself_only(tmp_path: Path) -> None:
    region = village()
    region.way_of(61, [1001, 999_999], highway="path", name="Nowhere")
    region.way_of(62, [1001, 1001, 1001, 1001], building="yes", name="Flat")
    region.way(63, [(0, 0), (1, 1), (1, 0), (0, 1), (0, 0)], building="yes", name="Bow tie")
    region.relation(64, [(777_777, "outer")], type="multipolygon", landuse="forest", name="Lost")
    path = region.write(tmp_path / "bad.osm")
    found = read(path)
    assert {"w11", "w12", "n1", "w31", "r51"} <= set(found)
    assert not {"w61", "w62", "r64"} & set(found)
    told = problems(path)
    assert "ways without a position for some of their nodes: 1 (w61)" in told
    assert "areas whose outline does not close or lacks members: " in told
    assert "r64" in told and "w62" in told
    assert "values of capacity that say no number that can be: 1 (w12: 'tall')" in told


def test_control_characters_are_not_passed_on(tmp_path: Path) -> None:
    region = Region()
    region.node(1, 1, 7, amenity="bar", name="Red\x7f\x1b]0;Lion".replace("\x1b", "\x85"))
    assert read(region.write(tmp_path / "c.osm"))["n7"].title == "Red ]0;Lion"


def test_a_shape_over_the_antimeridian_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "date-line.osm"
    corners = [(179.99, -17.0), (-179.99, -17.0), (-179.99, -16.99), (179.99, -16.99)]
    nodes = "".join(f'<node id="{i}" version="1" lon="{x}" lat="{y}"/>' for i, (x, y) in enumerate(corners, 1))
    refs = "".join(f'<nd ref="{i}"/>' for i in (1, 2, 3, 4, 1))
    way = f'<way id="9" version="1">{refs}<tag k="leisure" v="park"/><tag k="name" v="Both days"/></way>'
    path.write_text(f'<osm version="0.6">{nodes}{way}</osm>')
    record = read(path)["w9"]
    assert record.bbox is not None and record.bbox.crosses_antimeridian
    assert record.bbox.as_tuple() == pytest.approx((179.99, -17.0, -179.99, -16.99))
    (index,) = known_indexes()
    assert index.touches(record.bbox)
    assert [f.osm for f in index.within(record.bbox)] == ["w9"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.osm.pbf", b"\0\0\0\x0dgarbage", "is cut off or is no OpenStreetMap data"),
        ("cut.osm", b"<osm version='0.6'><node id='1' lat='1' lon='2'/", "is cut off or is no OpenStreetMap data"),
        ("empty.osm.pbf", b"", "is empty"),
        ("a.geojson", b'{"type": "FeatureColl', "is no GeoJSON with features"),
        ("b.geojson", b'{"type": "Feature"}', "is no GeoJSON with features"),
        (
            "c.geojson",
            b'{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"iso":"DE"},"geometry":null}]}',
            "holds no feature with OpenStreetMap's ids or tags",
        ),
    ],
)
def test_a_damaged_file_is_one_error_for_people(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RsragError, match=said) as caught:
        read(path)
    assert caught.value.hint
    assert known_indexes() == []
    assert not [f for f in (tmp_path / "..").glob("**/*.part*") if name in f.name]


def test_a_truncated_pbf_says_so(extract: Path) -> None:
    path = as_pbf(extract)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RsragError, match="is cut off"):
        read(path)


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read(tmp_path / "none.osm.pbf")
    other = tmp_path / "notes.txt"
    other.write_text("x")
    with pytest.raises(UsageError, match="is no OpenStreetMap file"):
        read(other)


def test_the_file_is_read_once_and_again_when_it_has_changed(
    extract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rsrag_osm.index as index

    built: list[Path] = []
    build = index._build
    monkeypatch.setattr(index, "_build", lambda file, *rest: (built.append(file), build(file, *rest))[1])
    assert read(extract) == read(extract)
    assert len(built) == 1
    copy = tmp_path / "copy.osm"
    shutil.copy(extract, copy)
    assert len(read(copy)) == 5
    assert len(built) == 1, "the same content under another name is the same index"
    region = village()
    region.node(2, 2, 99, amenity="pub", name="New")
    region.write(extract)
    assert "n99" in read(extract)
    assert len(built) == 2


def test_an_interrupted_reading_leaves_nothing(
    extract: Path, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rsrag_osm.index as index

    def interrupted(*arguments: object) -> tuple[int, int]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(index, "_fill", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(extract)
    assert [f for f in private_home.rglob("*") if f.is_file()] == []
    assert len(read(extract)) == 5


def test_an_extract_that_is_gone_is_known_no_more(extract: Path) -> None:
    read(extract)
    assert [index.file for index in known_indexes()] == [extract]
    extract.unlink()
    assert known_indexes() == []


GEOJSON = {
    "overpass turbo": {"@id": "way/11", "amenity": "hospital", "name": "St. Mary's"},
    "osmium export": {"@type": "way", "@id": 11, "amenity": "hospital", "name": "St. Mary's"},
    "GDAL": {"osm_way_id": "11", "name": "St. Mary's", "other_tags": '"amenity"=>"hospital","height"=>"60 ft"'},
    "Overpass JSON": {"type": "way", "id": 11, "tags": {"amenity": "hospital", "name": "St. Mary's"}},
}


@pytest.mark.parametrize("properties", GEOJSON.values(), ids=GEOJSON)
def test_geojson_of_other_programs(tmp_path: Path, properties: dict[str, object]) -> None:
    path = write_geojson(tmp_path / "x.geojson", [("Polygon", [square(1, 1, 2)], properties)])
    (record,) = read(path).values()
    assert (record.id, record.title, record.facets["kind"]) == ("w11", "St. Mary's", "amenity=hospital")


def test_bad_shapes_in_geojson_cost_themselves_only(tmp_path: Path) -> None:
    good = {"@id": "way/1", "building": "yes", "name": "Good"}
    items = [
        ("Polygon", [square(1, 1)], good),
        ("Polygon", [[(0, 0), (2, 2), (2, 0), (0, 2), (0, 0)]], {**good, "@id": "way/2"}),
        ("Polygon", [[(0, 0), (0, 0), (0, 0), (0, 0)]], {**good, "@id": "way/3"}),
        ("Polygon", [[(0, 0)]], {**good, "@id": "way/4"}),
        ("Blob", [1, 2], {**good, "@id": "way/5"}),
        ("Point", [500_000, 0], {**good, "@id": "way/6"}),
        ("Point", [1, 1], {**good, "@id": "way/1"}),
    ]
    path = write_geojson(tmp_path / "x.geojson", items)
    found = read(path)
    assert sorted(found) == ["w1", "w2"]
    area = {f.attribute: f.value for f in found["w2"].facts}["area"]
    assert float(area) == pytest.approx(2 * 66.3 * 111.3 / 10_000, rel=0.01)  # a bow tie keeps its two halves
    told = problems(path)
    assert "features without a usable geometry: 4 (w3, w4, w5, ...)" in told
    assert "elements that came twice, the second of which was left out: 1 (w1)" in told


def test_the_source_is_guessed_from_the_file(extract: Path, tmp_path: Path) -> None:
    assert OsmSource.matches(str(extract)) == 0.9
    assert OsmSource.matches(as_pbf(extract)) == 0.9
    ours = write_geojson(tmp_path / "a.geojson", [("Point", [1, 1], GEOJSON["overpass turbo"])])
    assert OsmSource.matches(ours) == 0.8
    other = write_geojson(tmp_path / "b.geojson", [("Point", [1, 1], {"iso_a2": "DE"})])
    for what in (other, tmp_path, tmp_path / "none.osm", "https://example.org/a.osm", 7):
        assert OsmSource.matches(what) == 0.0


def test_a_store_keeps_and_finds_them(extract: Path, tmp_path: Path) -> None:
    plugins = Plugins(external=False, extra=[rsrag_osm])
    encoder: Any = FakeEncoder()
    with KnowledgeBase(tmp_path / "kb", encoder, plugins=plugins) as kb:
        report = kb.add(str(extract))
        assert (report.source, report.added) == ("village", 5)
        assert kb.add(str(extract)).unchanged == 5
        hits = Assistant(kb).search("Who was St. Mary?", near=BBox(LON, LAT, LON + STEP, LAT + STEP))
        assert hits[0].chunk.title == "St. Mary's"
        assert hits[0].chunk.provenance.attribution == "© OpenStreetMap contributors, ODbL"
