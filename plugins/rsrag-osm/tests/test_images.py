"""Images with labelled sidecars: read as a source, captioned, and asked about."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import square
from rsrag import KnowledgeBase, Plugins, UsageError, open_scene
from rsrag.testing import FakeEncoder, make_image

import rsrag_osm
from rsrag_osm.captioner import OsmCaptioner
from rsrag_osm.images import OsmImages
from rsrag_osm.tool import WhatsHere

Labelled = Callable[..., Path]
COURSE: dict[str, Any] = {
    "polygon": [
        ("leisure:golf_course", [square(0, 0, 10)]),
        ("landuse:grass;golf:green", [square(2, 2, 1)]),
        ("building:building", [square(8, 8, 1)]),
        ("building:building", [square(8, 6, 1)]),
    ],
    "line": [("golf:cartpath;highway:path", [(0, 5), (10, 5)])],
    "point": [("amenity:bench", (1, 1))],
}
SAID = "A golf course with a golf green and two buildings, filling the scene. It is crossed by a golf cart path."


def test_sidecars_become_captions(labelled: Labelled) -> None:
    image = labelled("course", **COURSE)
    (record,) = OsmImages(str(image.parent)).records()
    assert record.id == "course.jpg"
    assert record.images == ("course.jpg",)
    assert [s.text for s in record.sections][:2] == [SAID, "A golf course."]
    assert {s.part for s in record.sections} == {"caption"}
    assert record.facets["feature"] == ("golf course", "golf green", "building", "golf cart path")
    assert record.bbox is not None
    assert record.attribution == "© OpenStreetMap contributors, ODbL"


def test_the_captioner_reads_what_lies_beside_an_image(labelled: Labelled) -> None:
    assert OsmCaptioner().caption([open_scene(labelled("course", **COURSE))]) == [SAID]


def test_the_tool_reads_them_too_and_says_what_the_extent_is(labelled: Labelled) -> None:
    scene = open_scene(labelled("course", **COURSE))
    result = WhatsHere()(scene)
    assert result.values["golf courses"].value == 1
    assert result.values["benches"].value == 1
    assert any("extent" in caveat for caveat in result.caveats)
    assert "labels beside course.jpg" in result.text


def test_the_captioner_reads_an_extract(extract: Path, make_scene: Any) -> None:
    (said,) = OsmCaptioner(str(extract)).caption([make_scene()])
    assert "A school" in said and "four buildings" in said and "A hospital" in said
    assert "café" not in said, "nobody sees a café from above"


def test_a_scene_without_anything_costs_itself_only(
    extract: Path, make_scene: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = open_scene(make_image(tmp_path / "plain.png"))
    with caplog.at_level(logging.WARNING, "rsrag"):
        captions = OsmCaptioner(str(extract)).caption([plain, make_scene()])
    assert captions[0] == "" and captions[1] != ""
    assert [r.getMessage() for r in caplog.records] == [
        f"1 of 2 scenes got no caption from OpenStreetMap; the first: {plain.uri} has no place on Earth, and no "
        "labelled GeoJSON lies beside it."
    ]


def test_a_sentence_that_tags_do_not_bear_out_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    import shapely

    from rsrag_osm.captioner import kept
    from rsrag_osm.features import Feature

    school = Feature("w1", {"amenity": "school"}, shapely.box(0, 0, 1, 1))
    with caplog.at_level(logging.WARNING, "rsrag"):
        assert kept(["A school.", "A castle."], [school]) == ["A school."]
    assert "'castle' is in no tag" in caplog.text


def test_images_without_and_with_bad_sidecars_are_reported(labelled: Labelled) -> None:
    folder = labelled("course", **COURSE).parent
    make_image(folder / "bare.png")
    make_image(folder / "broken.png")
    (folder / "broken_polygon.geojson").write_text("{")
    source = OsmImages(str(folder))
    assert [r.id for r in source.records()] == ["course.jpg"]
    told = dict(source.problems)
    assert "is no GeoJSON" in told["broken.png"]
    assert "images without sidecars were left out: 1 (bare.png)" in told["labelled"]
    with pytest.raises(UsageError, match="there is no folder"):
        list(OsmImages(str(folder / "none")).records())


def test_the_folder_is_recognised(labelled: Labelled, tmp_path: Path) -> None:
    assert OsmImages.matches(labelled("course", **COURSE).parent) == 0.7
    make_image(tmp_path / "other" / "a.png")
    for what in (tmp_path / "other", tmp_path / "none", "https://example.org/", 5):
        assert OsmImages.matches(what) == 0.0


def test_ingest_fills_missing_words_with_the_captioner(extract: Path, make_scene: Any, tmp_path: Path) -> None:
    scene = make_scene(name="aerial")
    plugins = Plugins(external=False, extra=[rsrag_osm])
    encoder: Any = FakeEncoder()
    with KnowledgeBase(tmp_path / "kb", encoder, plugins=plugins) as kb:
        kb.add(scene.uri, captioner=f"osm:{extract}")
        captions = [c.text for c in kb.chunks_of(["file/aerial"]) if c.part == "caption"]
    assert captions == OsmCaptioner(str(extract)).caption([scene])
