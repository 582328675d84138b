"""The tool `whats_here`: counts, sizes, names, distances and bearings, each with its unit, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import LAT, LON, STEP, square, write_geojson
from rsrag import Query, RsragError, Scene, SceneError, UsageError

from rsrag_osm.source import OsmSource
from rsrag_osm.tool import WhatsHere

MakeScene = Callable[..., Scene]


def test_it_counts_measures_and_names(extract: Path, make_scene: MakeScene) -> None:
    from pyproj import Geod

    result = WhatsHere(str(extract))(make_scene())
    assert result.values["buildings"].value == 4
    assert result.values["hospitals"].value == 1
    north_to_south = Geod(ellps="WGS84").line_length([LON, LON + 10 * STEP], [LAT + 3.5 * STEP] * 2)
    street = result.values["length of residential streets"]
    assert (street.value, street.unit) == (pytest.approx(north_to_south, abs=1), "m")
    assert str(result.values["area of hospitals"]) == "2.95 ha"
    assert "There is 1 hospital covering 2.95 ha (4 % of the scene)." in result.text
    assert "There are 4 buildings covering" in result.text
    assert "buildings of no further kind" not in result.values, "there are no others"
    assert result.attribution == "© OpenStreetMap contributors, ODbL"
    assert "village.osm" in result.text


def test_distances_and_bearings_are_from_the_middle(extract: Path, make_scene: MakeScene) -> None:
    """The café lies 3 steps east and 3 north of the middle of the scene; geodesics on WGS 84."""
    from pyproj import Geod

    result = WhatsHere(str(extract))(make_scene())
    bearing, _, metres = Geod(ellps="WGS84").inv(LON + 5 * STEP, LAT + 5 * STEP, LON + 8 * STEP, LAT + 8 * STEP)
    assert 22.5 < bearing < 67.5
    assert result.values["distance to Zum Anker"].value == round(metres)
    assert f"Zum Anker (café) lies {round(metres)} m to the north-east of the middle of the scene." in result.text


def test_only_the_part_inside_is_measured(extract: Path, make_scene: MakeScene) -> None:
    whole = WhatsHere(str(extract))(make_scene(0, 0, 4, 3.3, "whole"))
    half = WhatsHere(str(extract))(make_scene(0, 0, 2, 3.3, "half"))
    assert half.values["area of hospitals"].value == pytest.approx(
        whole.values["area of hospitals"].value / 2, rel=0.01
    )
    assert "buildings" not in half.values


def test_overlapping_areas_of_one_kind_count_once(tmp_path: Path, make_scene: MakeScene) -> None:
    items = [("Polygon", [square(1, 1, 2)], {"landuse": "forest", "@id": f"way/{i}"}) for i in (1, 2)]
    result = WhatsHere(str(write_geojson(tmp_path / "x.geojson", items)))(make_scene())
    assert result.values["forests"].value == 2
    assert result.values["area of forests"].value == pytest.approx(4 * 66.3 * 111.3 / 10_000, rel=0.01)


def test_buildings_of_several_kinds_are_summed(tmp_path: Path, make_scene: MakeScene) -> None:
    kinds = ["yes", "yes", "house", "school", "no"]
    items = [("Polygon", [square(i, 1)], {"building": kind, "@id": f"way/{i}"}) for i, kind in enumerate(kinds, 1)]
    items.append(("Polygon", [square(6, 1)], {"amenity": "school", "building": "school", "@id": "way/9"}))
    result = WhatsHere(str(write_geojson(tmp_path / "x.geojson", items)))(make_scene())
    assert result.values["buildings"].value == 5
    assert "There are 5 buildings covering 3.69 ha" in result.text
    assert "among them 2 buildings of no further kind, 1 house and 1 school building." in result.text
    assert "There is 1 school covering" in result.text


def test_what_lies_around_is_told_apart(extract: Path, make_scene: MakeScene) -> None:
    near = WhatsHere(str(extract), around_m=300)(make_scene(0, 0, 5, 3.3))
    assert "Outside the scene, Dorfschule (school) lies" in near.text
    assert "schools" not in near.values
    assert "Zum Anker" not in near.text, "it lies farther off than 300 m"
    grazed = make_scene(0, 0, 5, 3.3, "grazed"), make_scene(0, 0, 5, 6.01, "wood")
    assert not any("Outside" in WhatsHere(str(extract), around_m=0)(scene).text for scene in grazed)


def test_a_hole_is_not_inside(extract: Path, make_scene: MakeScene) -> None:
    result = WhatsHere(str(extract), around_m=0)(make_scene(2.2, 7.2, 2.8, 7.8))
    assert result.text.startswith("OpenStreetMap (village.osm) maps nothing inside the scene")
    assert "forests" not in result.values


def test_an_extract_that_ends_inside_the_scene_is_a_caveat(extract: Path, make_scene: MakeScene) -> None:
    assert any("ends inside" in c for c in WhatsHere(str(extract))(make_scene(0, 0, 40, 40)).caveats)
    assert not any("ends inside" in c for c in WhatsHere(str(extract))(make_scene(2, 2, 8, 8)).caveats)


def test_without_an_extract_those_read_before_are_used(extract: Path, make_scene: MakeScene) -> None:
    scene = make_scene()
    query = Query("What is here?", (scene,))
    assert WhatsHere().applies(query) == 0.0
    assert WhatsHere().applies(query.with_(text="What does OpenStreetMap say?")) == 1.0
    with pytest.raises(UsageError, match="no OpenStreetMap extract") as caught:
        WhatsHere()(scene)
    assert "rsrag kb add" in caught.value.hint
    list(OsmSource(str(extract)).records())
    assert WhatsHere().applies(query) == 1.0
    assert WhatsHere().applies(query.with_(text="Is it pretty?")) == 0.5
    assert WhatsHere()(scene).text == WhatsHere(str(extract))(scene).text


def test_a_scene_elsewhere_or_nowhere_is_refused(extract: Path, make_scene: MakeScene, tmp_path: Path) -> None:
    from rsrag import open_scene
    from rsrag.testing import make_image

    elsewhere = make_scene(500, 500, 510, 510)
    with pytest.raises(SceneError, match=r"lies outside village\.osm"):
        WhatsHere(str(extract))(elsewhere)
    nowhere = open_scene(make_image(tmp_path / "plain.png"))
    with pytest.raises(SceneError, match="no place on Earth"):
        WhatsHere(str(extract))(nowhere)
    assert WhatsHere(str(extract)).applies(Query("What is here?", (nowhere,))) == 0.0


def test_a_damaged_extract_is_an_error_for_people(tmp_path: Path, make_scene: MakeScene) -> None:
    bad = tmp_path / "bad.osm.pbf"
    bad.write_bytes(b"nothing of the kind")
    with pytest.raises(RsragError, match="cut off or is no OpenStreetMap data"):
        WhatsHere(str(bad))(make_scene())


def test_over_the_antimeridian(tmp_path: Path) -> None:
    import json

    from pyproj import Geod
    from rsrag import open_scene
    from rsrag.testing import make_geotiff

    path = tmp_path / "fiji.geojson"
    features = [
        {
            "type": "Feature",
            "properties": {"@id": f"way/{i}", "landuse": "farmland", "name": name},
            "geometry": {"type": "Polygon", "coordinates": [[[w, -17], [w + 0.01, -17], [w + 0.01, -16.99], [w, -17]]]},
        }
        for i, (w, name) in enumerate([(179.98, "West"), (-179.99, "East")], 1)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    # UTM zone 1 reaches over the line: its scenes cross the antimeridian.
    scene = open_scene(
        make_geotiff(tmp_path / "s.tif", crs="EPSG:32701", origin=(174_500, 8_122_000), res=100, size=(90, 64))
    )
    assert scene.bbox is not None and scene.bbox.crosses_antimeridian
    result = WhatsHere(str(path))(scene)
    assert result.values["farmland"].value == 2
    whole = Geod(ellps="WGS84").polygon_area_perimeter([0, 0.01, 0.01], [-17, -17, -16.99])[0] / 10_000
    assert result.values["area of farmland"].value == pytest.approx(2 * whole, rel=0.01)
    away = [result.values[f"distance to {name}"] for name in ("West", "East")]
    assert all(distance.unit == "m" or distance.value < 5 for distance in away), "not once around the Earth"


def test_it_keeps_out_of_questions_about_other_places(extract: Path, make_scene: MakeScene) -> None:
    tool, elsewhere = WhatsHere(str(extract)), make_scene(500, 500, 510, 510)
    tool(make_scene())
    assert tool.applies(Query("What is here?", (elsewhere,))) == 0.0
    assert tool.applies(Query("What is here?")) == 0.0


def test_a_scene_with_too_much_in_it_is_refused(
    extract: Path, make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rsrag_osm.inside

    monkeypatch.setattr(rsrag_osm.inside, "MOST", 3)
    with pytest.raises(UsageError, match="too many for one scene") as caught:
        WhatsHere(str(extract))(make_scene())
    assert "--region" in caught.value.hint
