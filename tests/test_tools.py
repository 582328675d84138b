"""The geo tools: what they say about real rasters, and their gazetteer against pyproj."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Geod, Transformer

from rsrag import BBox, Plugins, Query, RsragError, Scene, open_scene
from rsrag.answering.sentences import sentences
from rsrag.builtin.tools.describe import DescribeScene
from rsrag.builtin.tools.gazetteer import OPEN_WATER, Gazetteer
from rsrag.builtin.tools.locate import Locate
from rsrag.builtin.tools.wording import WINDS, compass, latitude, length, longitude
from rsrag.packs import bundled_packs
from rsrag.testing.rasters import make_geotiff, make_image

GEOD = Geod(ellps="WGS84")


def feature(id: str, name: str, geometry: dict[str, Any], **facts: str) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"id": id, "name": name, **facts}, "geometry": geometry}


def square(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two countries side by side on an island, one that the antimeridian cuts, a river, a lake, some places."""
    folder = tmp_path / "places"
    folder.mkdir()
    countries = [
        feature("country/W", "Westland", {"type": "Polygon", "coordinates": square(0, 0, 10, 10)}, iso_a2="WL"),
        feature("country/E", "Eastland", {"type": "Polygon", "coordinates": square(10, 0, 20, 10)}, iso_a2="EL"),
        feature(
            "country/F",
            "Furthest",
            {"type": "MultiPolygon", "coordinates": [square(175, -20, 180, -10), square(-180, -20, -175, -10)]},
            iso_a2="FT",
        ),
    ]
    water = [
        feature("river/long", "Long", {"type": "MultiLineString", "coordinates": [[[2, 1], [2, 9]]]}, kind="river"),
        feature("lake/blue", "Blue Lake", {"type": "Polygon", "coordinates": square(6, 6, 7, 7)}, kind="lake"),
    ]
    for name, features in (("countries", countries), ("water", water)):
        content = {"type": "FeatureCollection", "features": features}
        (folder / f"{name}.geojson").write_text(json.dumps(content))
    cities = [
        [1, "Mitte", [], "WL", "", 5.0, 5.0, 250_000],
        [2, "Zürich-on-Sea", [], "WL", "", 5.0, 5.5, 20_000],
        [3, "東町", [], "EL", "", 5.0, 12.0, 40_000],
        [4, "Dateline", [], "FT", "", -15.0, -179.9, 30_000],
        [5, "Tiny", [], "GI", "", 5.0, 9.0, 30_000],
    ]
    (folder / "cities.jsonl").write_text("\n".join(json.dumps(c, ensure_ascii=False) for c in cities), "utf-8")
    records = [
        record(
            "airport/MIT", "Mitte Airport", "airport", [5.1, 5.1], facts=[{"attribute": "IATA code", "value": "MIT"}]
        ),
        record("port/mitte", "Port of Mitte", "port", [5.2, 5.0]),
        record("city/mitte", "Mitte", "city", [5.001, 5.001], same_as="geonames/1", kind="populated place"),
        record("city/new", "Neustadt", "city", [15.0, 5.0], iso_a2="EL", kind="capital"),
        record("city/gi", "Tiny", "city", [9.0, 5.0], iso_a2="GI", country="Tinyland", same_as="geonames/5"),
        record("city/base", "South Station", "city", [0.0, -89.0], kind="scientific station"),
    ]
    (folder / "records.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder


def record(id: str, title: str, what: str, point: list[float], facts: Any = (), **facets: str) -> dict[str, Any]:
    return {"id": id, "title": title, "point": point, "facts": list(facts), "facets": {"feature": what, **facets}}


def scene_over(tmp_path: Path, west: float, south: float, east: float, north: float, **options: Any) -> Scene:
    box = (west, south, east, north)
    return open_scene(make_geotiff(tmp_path / "scene.tif", crs="EPSG:4326", bounds=box, size=(64, 48), **options))


# -- describe_scene -------------------------------------------------------------------------------


def test_describe_says_what_the_file_tells(tmp_path: Path) -> None:
    path = make_geotiff(
        tmp_path / "aerial_20200701.tif",
        size=(1024, 1024),
        bands=4,
        crs="EPSG:26914",
        origin=(485_000, 5_200_000),
        res=5.0,
        descriptions=["red", "green", "blue", "nir"],
    )
    result = DescribeScene()(open_scene(path))
    said = sentences(result.text)
    assert said[0] == "The scene is 1,024 x 1,024 pixels with 4 bands (red, green, blue, NIR), stored as uint8."
    assert said[1].startswith("One pixel of the scene covers about 5 m on the ground, and the scene spans about 5.1 km")
    assert said[2] == "The scene was acquired on 2020-07-01."
    assert said[3].startswith("The scene's footprint runs from 99.") and said[3].endswith("(EPSG:26914).")
    assert said[4] == "The scene's bands are named by the file."
    assert said[5] == "The scene's values are made for display and are no measure of reflectance."
    assert len(said) == 6 and all("scene" in sentence for sentence in said)
    assert str(result.values["width"]) == "1,024 pixels"
    assert result.values["bands"].value == 4
    # UTM's own scale is off by 0.04 % in the middle of a zone.
    assert result.values["area"].value == pytest.approx(5.12**2, rel=1e-3)
    assert result.values["extent east-west"].unit == "km"


def test_describe_measures_on_the_ellipsoid(tmp_path: Path) -> None:
    scene = scene_over(tmp_path, 4.0, 52.0, 6.0, 53.0)
    values = DescribeScene()(scene).values
    lons = np.linspace(4, 6, 4001)
    assert values["extent east-west"].value == pytest.approx(
        GEOD.line_length(lons, np.full_like(lons, 52.5)) / 1000, rel=1e-4
    )
    assert values["extent north-south"].value == pytest.approx(GEOD.inv(5, 52, 5, 53)[2] / 1000, rel=1e-4)
    ring = [*lons, *lons[::-1]], [*np.full(4001, 52.0), *np.full(4001, 53.0)]
    area = abs(GEOD.polygon_area_perimeter(*ring)[0]) / 1e6
    assert values["area"].value == pytest.approx(area, rel=1e-3)


def test_describe_without_georeference_and_date(tmp_path: Path) -> None:
    result = DescribeScene()(open_scene(make_image(tmp_path / "photo.jpg", size=(40, 30))))
    assert "40 x 30 pixels" in result.text
    assert "The file does not say how much ground a pixel of the scene covers." in result.text
    assert "The file does not say when the scene was acquired." in result.text
    assert set(result.values) == {"width", "height", "bands"}


def test_describe_keeps_notes_and_shortens_many_bands(tmp_path: Path) -> None:
    names = [f"B{i}" for i in range(40)]
    scene = open_scene(make_geotiff(tmp_path / "cube_2019.tif", bands=40, descriptions=names))
    result = DescribeScene()(scene)
    assert "40 bands (B0, B1" in result.text and "27 more" in result.text
    assert result.caveats == scene.notes and any("first three" in note for note in result.caveats)
    assert "was acquired in 2019; only the year is known" in result.text


def test_describe_one_pixel_and_one_band(tmp_path: Path) -> None:
    result = DescribeScene()(open_scene(make_geotiff(tmp_path / "p.tif", bands=1, size=(1, 1), res=0.3)))
    assert "1 x 1 pixels with 1 band," in result.text and "30 cm" in result.text


# -- locate: the tool -----------------------------------------------------------------------------


def test_locate_names_what_lies_around(tmp_path: Path, pack: Path) -> None:
    result = Locate(places=str(pack))(scene_over(tmp_path, 4.75, 4.85, 4.85, 4.95))
    said = sentences(result.text)
    assert said[0] == "The scene lies in Westland, centred on 4.90° N, 4.80° E."
    assert said[1] == "The nearest city is Mitte (250,000 people), 25 km to the east-north-east of the scene's centre."
    assert "The nearest river or lake known is Blue Lake, 180 km to the" in result.text
    assert "The nearest airport known to the gazetteer is Mitte Airport (IATA MIT), 40 km to the" in result.text
    assert "The nearest port is Port of Mitte, 46 km to the east-north-east of the scene's centre." in result.text
    expected = GEOD.inv(4.8, 4.9, 5.0, 5.0)[2] / 1000
    assert result.values["distance to Mitte"].value == pytest.approx(expected, rel=1e-3)
    assert result.values["latitude"].value == pytest.approx(4.9) and result.values["latitude"].unit == "degrees"
    assert result.geojson is not None
    names = [f["properties"]["name"] for f in result.geojson["features"]]
    assert "Mitte" in names and "Mitte Airport" in names and "Zürich-on-Sea" in names
    assert "GeoNames (CC BY 4.0)" in result.attribution
    assert all(text.endswith(".") for text in result.caveats)


def test_locate_tells_what_lies_inside(tmp_path: Path, pack: Path) -> None:
    text = Locate(places=str(pack))(scene_over(tmp_path, 4.9, 4.8, 5.1, 5.0)).text
    assert "Mitte (250,000 people) lies inside the scene, 11 km to the north of its centre." in text
    assert "nearest city" not in text


def test_locate_keeps_names_of_any_script_and_says_when_a_town_is_abroad(tmp_path: Path, pack: Path) -> None:
    text = Locate(places=str(pack))(scene_over(tmp_path, 11.9, 4.9, 12.1, 5.1)).text
    assert "The scene lies in Eastland" in text
    assert "東町 (40,000 people) lies inside the scene, at its centre." in text
    assert "Mitte, Westland (250,000" not in text  # farther than a neighbour would say


def test_locate_without_georeference(tmp_path: Path) -> None:
    result = Locate()(open_scene(make_image(tmp_path / "photo.png")))
    assert result.text == "The scene carries no georeference, so its place on Earth cannot be told from the file."
    assert "--near W,S,E,N" in result.caveats[0] and not result.values


def test_locate_over_the_antimeridian(tmp_path: Path, pack: Path) -> None:
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:3832", always_xy=True)  # a Mercator around 150° E
    west, south = to_map.transform(179.0, -15.5)
    east, north = to_map.transform(-179.0, -14.5)
    scene = open_scene(make_geotiff(tmp_path / "fiji.tif", crs="EPSG:3832", bounds=(west, south, east, north)))
    assert scene.bbox is not None and scene.bbox.crosses_antimeridian
    text = Locate(places=str(pack))(scene).text
    assert "The scene lies in Furthest, centred on 15.00° S, 180.00°." in text
    assert "Dateline (30,000 people) lies inside the scene, 11 km to the east of its centre." in text
    assert "over the antimeridian" in DescribeScene()(scene).text


def test_locate_around_a_pole(tmp_path: Path, pack: Path) -> None:
    reach = 2_000_000
    scene = open_scene(make_geotiff(tmp_path / "ice.tif", crs="EPSG:3031", bounds=(-reach, -reach, reach, reach)))
    text = Locate(places=str(pack))(scene).text
    assert (
        "open water, centred on 90.00° S" in text and "South Station (scientific station) lies inside the scene" in text
    )
    assert "area" not in DescribeScene()(scene).values


def test_locate_of_a_window_is_about_the_window(tmp_path: Path, pack: Path) -> None:
    scene = scene_over(tmp_path, 4.0, 4.0, 13.0, 6.0)
    text = Locate(places=str(pack))(scene).text
    assert "The scene also covers parts of Eastland." in text
    part = scene.window(60, 20, 4, 4)
    assert "The scene lies in Eastland" in Locate(places=str(pack))(part).text


def test_a_folder_that_is_no_pack_is_one_clear_line(tmp_path: Path, pack: Path) -> None:
    scene = scene_over(tmp_path, 4, 4, 5, 5)
    with pytest.raises(RsragError, match=r"cannot read .*nothing.* \(No such file"):
        Locate(places=str(tmp_path / "nothing"))(scene)
    for content in ("{broken", "[]", '{"features": []}'):
        (pack / "water.geojson").write_text(content)
        with pytest.raises(RsragError, match=r"water\.geojson"):
            Gazetteer(pack).nearest(5, 5, "water")
    (pack / "water.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert Gazetteer(pack).nearest(5, 5, "water") == []
    (pack / "cities.jsonl").write_text("{broken")
    with pytest.raises(RsragError, match=r"cities\.jsonl"):
        Locate(places=str(pack))(scene)


# -- the gazetteer --------------------------------------------------------------------------------


def test_country_by_outline(pack: Path) -> None:
    gazetteer = Gazetteer(pack)
    assert gazetteer.country(5, 5) == ("Westland", 0.0)
    name, metres = gazetteer.country(20.1, 5)
    assert name == "Eastland" and metres == pytest.approx(GEOD.inv(20.1, 5, 20, 5)[2], rel=1e-3)
    assert gazetteer.country(30, 5) == (OPEN_WATER, 0.0)
    assert gazetteer.country(-179.0, -15.0) == ("Furthest", 0.0)
    # A town, whatever its country, does not move the map.
    assert gazetteer.country(9.0, 5.01) == ("Westland", 0.0)


def test_the_border_is_where_another_country_begins(pack: Path) -> None:
    gazetteer = Gazetteer(pack)
    found = gazetteer.border(9.9, 5.0)
    assert found is not None and found.area.name == "Eastland" and found.bearing == pytest.approx(90, abs=0.1)
    assert found.distance_m == pytest.approx(GEOD.inv(9.9, 5, 10, 5)[2], rel=1e-3)
    assert gazetteer.border(9.0, 5.0) is None and gazetteer.border(9.0, 5.0, within_km=200) is not None
    assert gazetteer.border(20.1, 5.0) is None  # at sea there is a nearest country, and no border


def test_disputed_ground_is_told(tmp_path: Path, pack: Path) -> None:
    area = (
        '[[area]]\nname = "Corner"\nring = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]\nnote = "The corner is disputed."\n'
    )
    (pack / "disputed.toml").write_text(area)
    assert "The corner is disputed." in Locate(places=str(pack))(scene_over(tmp_path, 0.9, 0.9, 1.1, 1.1)).text
    assert Gazetteer(pack).disputes(3, 3) == []
    (pack / "disputed.toml").write_text("[[area]\n")
    with pytest.raises(RsragError, match=r"disputed\.toml"):
        Gazetteer(pack).disputes(1, 1)


def test_coast_is_no_border_and_no_seam(pack: Path) -> None:
    gazetteer = Gazetteer(pack)
    found = gazetteer.coast(10.1, 0.2)
    assert found is not None
    assert found[0] == pytest.approx(GEOD.inv(10.1, 0.2, 10.1, 0.0)[2], rel=1e-3) and found[1] == pytest.approx(180)
    assert gazetteer.coast(10.1, 5.0) is None  # only the border with Westland is near
    assert gazetteer.coast(179.9, -15.0) is None  # only the cut of the map is near


def test_water_is_found_at_the_nearest_point_of_its_line(pack: Path) -> None:
    gazetteer = Gazetteer(pack)
    river = gazetteer.nearest(2.5, 5.0, "water", 1)[0]
    lats = np.linspace(1, 9, 80_001)
    best = GEOD.inv(np.full_like(lats, 2.5), np.full_like(lats, 5.0), np.full_like(lats, 2.0), lats)[2].min()
    assert (river.name, river.kind) == ("Long", "river") and river.distance_m == pytest.approx(best, rel=1e-3)
    assert river.bearing == pytest.approx(270, abs=0.1)
    lake = gazetteer.nearest(6.5, 6.5, "water", 2)
    assert [(p.name, p.distance_m) for p in lake[:1]] == [("Blue Lake", 0.0)] and lake[1].name == "Long"


def test_one_town_in_two_layers_is_one_town(pack: Path) -> None:
    towns = Gazetteer(pack).nearest(5, 5, "city", 20)
    assert [t.name for t in towns].count("Mitte") == 1 and [t.name for t in towns].count("Tiny") == 1
    assert "Neustadt" in [t.name for t in towns] and "South Station" not in [t.name for t in towns]
    assert [t.name for t in Gazetteer(pack).nearest(5, 5, "city", 20, min_population=100_000)] == ["Mitte"]
    assert Gazetteer(pack).nearest(5, 5, "city", 5, within_km=10)[0].distance_m == 0.0
    assert len(Gazetteer(pack).nearest(5, 5, "city", 5, within_km=10)) == 1


# -- the bundled pack -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled() -> Gazetteer:
    return Gazetteer(bundled_packs()["places"])


def test_nearest_towns_are_those_of_a_full_search(bundled: Gazetteer) -> None:
    everything = bundled.nearest(0, 0, "city", 1_000_000)
    lons, lats = np.array([p.lon for p in everything]), np.array([p.lat for p in everything])
    random = np.random.default_rng(5)
    for lon, lat in [(179.99, -17.0), (-179.99, 66.0), (0, 89.9), *random.uniform((-180, -80), (180, 80), (6, 2))]:
        metres = np.array(GEOD.inv(np.full_like(lons, lon), np.full_like(lats, lat), lons, lats)[2])
        found = bundled.nearest(float(lon), float(lat), "city", 12)
        assert [p.distance_m for p in found] == pytest.approx(np.sort(metres)[:12].tolist(), rel=1e-9)


@pytest.mark.parametrize(
    ("lon", "lat", "country"),
    [
        (-74.44, -8.43, "Peru"),
        (-61.70, 12.11, "Grenada"),  # not on the 1:110 million map
        (103.786, 1.436, "Singapore"),  # inside Malaysia's coarse outline
        (8.0, 13.0, "Nigeria"),
        (7.0, 14.5, "Niger"),
        (-140.0, 0.0, OPEN_WATER),
        (0.0, -90.0, "Antarctica"),
        (25.0, 50.0, "Ukraine"),
    ],
)
def test_countries_of_the_bundled_pack(bundled: Gazetteer, lon: float, lat: float, country: str) -> None:
    assert bundled.country(lon, lat)[0] == country


def test_locate_with_the_bundled_pack(tmp_path: Path) -> None:
    result = Locate()(scene_over(tmp_path, -74.72, -8.59, -74.16, -8.28))
    assert result.text.startswith("The scene lies in Peru, centred on 8.4")
    assert "Pucallpa (" in result.text and "lies inside the scene" in result.text
    assert "the Ucayali river" in result.text
    tool_sentences = sentences(result.text)
    assert all(s.endswith(".") and len(s.split()) > 5 for s in tool_sentences)


# -- when they apply, and that they cost nothing before -------------------------------------------


@pytest.mark.parametrize(
    ("text", "describe", "locate"),
    [
        ("Where is this, and what lies around it?", 0.5, 1.0),
        ("Which country is this?", 0.5, 1.0),
        ("What is the resolution?", 1.0, 0.4),
        ("Describe this image.", 0.7, 0.4),
        ("What is a projection?", 0.7, 0.4),
        ("How far is it from 0,0 to 30,40?", 0.5, 0.4),
        ("When was it taken?", 1.0, 0.4),
        ("What is this?", 0.5, 0.4),
        ("Which index uses near-infrared?", 0.5, 0.4),
    ],
)
def test_applies(tmp_path: Path, text: str, describe: float, locate: float) -> None:
    scene = scene_over(tmp_path, 4, 4, 5, 5)
    assert DescribeScene().applies(Query(text, (scene,))) == describe
    assert Locate().applies(Query(text, (scene,))) == locate
    assert DescribeScene().applies(Query(text)) == Locate().applies(Query(text)) == 0.0


def test_locate_applies_to_a_place_given(tmp_path: Path) -> None:
    scene = open_scene(make_image(tmp_path / "photo.png"))
    assert Locate().applies(Query("What is this?", (scene,))) == 0.0
    assert Locate().applies(Query("What is this?", (scene,), near=BBox(4, 51, 5, 52))) == 1.0


def test_tools_come_through_the_plugin_door() -> None:
    plugins = Plugins(external=False)
    assert {"describe_scene", "locate"} <= set(plugins.offers("tool"))
    assert plugins.create("tool", "locate", places="x").places == "x"


def test_importing_the_tools_is_cheap() -> None:
    code = (
        "import sys; from rsrag.builtin.tools import rsrag_tools; rsrag_tools()\n"
        "print([m for m in ('numpy', 'shapely', 'pyproj', 'rasterio', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- wording --------------------------------------------------------------------------------------


def test_compass_has_16_winds() -> None:
    assert len(set(WINDS)) == 16
    named = [compass(b) for b in (0, 22.5, 45, 67.5, 90, 112.5, 202.5, 247.5, 292.5, 337.5, 359, 371)]
    assert (
        named
        == (
            "north north-north-east north-east east-north-east east east-south-east south-south-west west-south-west "
            "west-north-west north-north-west north north"
        ).split()
    )


def test_lengths_and_angles() -> None:
    assert [length(m) for m in (0.15, 0.3, 5.0, 89.2, 577, 4200, 12_400, 1_234_567)] == (
        ["15 cm", "30 cm", "5 m", "89 m", "577 m", "4.2 km", "12 km", "1,235 km"]
    )
    assert (latitude(-8.384), longitude(-74.5), latitude(0.0), longitude(-180)) == (
        "8.38° S",
        "74.50° W",
        "0.00°",
        "180.00°",
    )
