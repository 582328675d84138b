"""Tools about places and times: names, the sun, similar places, pictures side by side, a course through dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer

from rsrag import KnowledgeBase, Plugins, Query, Scene, SceneError, StoreError, UsageError, open_scene
from rsrag.answering.sentences import sentences
from rsrag.builtin.tools.compare import Compare
from rsrag.builtin.tools.dates import decimal_year, in_time_order
from rsrag.builtin.tools.gazetteer import Gazetteer
from rsrag.builtin.tools.geocode import Geocode
from rsrag.builtin.tools.locate import Locate
from rsrag.builtin.tools.names import key
from rsrag.builtin.tools.similar_places import SimilarPlaces
from rsrag.builtin.tools.sun import sun
from rsrag.builtin.tools.time_series import TimeSeries
from rsrag.builtin.tools.trends import trend
from rsrag.builtin.tools.wording import date, scene_name, scene_names, share
from rsrag.packs import bundled_packs
from rsrag.testing.rasters import make_geotiff, make_image


def test_the_tools_come_through_the_plugin_door() -> None:
    offered = Plugins(external=False).offers("tool")
    assert {"change", "time_series", "compare", "similar_places", "geocode", "locate"} <= set(offered)


# -- the sun --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "lon", "lat", "elevation", "azimuth"),
    [
        # The worked example of NREL's Solar Position Algorithm (Reda and Andreas 2004): 39.872046 before refraction.
        (
            datetime(2003, 10, 17, 12, 30, 30, tzinfo=timezone(timedelta(hours=-7))),
            -105.1786,
            39.742476,
            39.872,
            194.340,
        ),
        # By symmetry: on the equator at the March equinox of 2024 (20 March, 03:06 UTC) the sun passes the zenith.
        (datetime(2024, 3, 20, 12, 7, 25, tzinfo=UTC), 0.0, 0.0, 89.86, None),
        # At the poles its height is its declination: 23.436 at the June solstice of 2020 (20 June, 21:44 UTC).
        (datetime(2020, 6, 20, 21, 44, tzinfo=UTC), 0.0, 90.0, 23.436, None),
        (datetime(2020, 6, 20, 21, 44, tzinfo=UTC), 77.0, -90.0, -23.436, None),
    ],
)
def test_the_sun_is_where_it_was(
    when: datetime, lon: float, lat: float, elevation: float, azimuth: float | None
) -> None:
    found = sun(when, lon, lat)
    assert found.elevation == pytest.approx(elevation, abs=0.1)
    if azimuth is not None:
        assert found.azimuth == pytest.approx(azimuth, abs=0.1)


def test_the_equation_of_time_is_meeuss() -> None:
    """Meeus, Astronomical Algorithms, example 28.a: on 1992 October 13 at 0h it is +13 m 42.6 s."""
    found = sun(datetime(1992, 10, 13, tzinfo=UTC), 0.0, 0.0)
    assert found.solar_time * 60 == pytest.approx(13 + 42.6 / 60, abs=0.1)


@given(
    when=st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),
    lon=st.floats(-180, 180),
    lat=st.floats(-89.9, 89.9),
)
def test_the_sun_is_due_south_or_north_at_solar_noon(when: datetime, lon: float, lat: float) -> None:
    found = sun(when, lon, lat)
    assert -90 <= found.elevation <= 90 and 0 <= found.azimuth <= 360 and 0 <= found.solar_time < 24
    noon = sun(when + timedelta(hours=12 - found.solar_time), lon, lat)
    assert min(noon.solar_time - 12, 12.02 - noon.solar_time) < 0.03
    if noon.elevation < 89:
        away = min(noon.azimuth % 180, 180 - noon.azimuth % 180)
        assert away < 1.0 / np.cos(np.radians(noon.elevation))
    assert noon.elevation >= found.elevation - 0.3
    # The same moment in another zone is the same sun.
    assert sun(when.astimezone(timezone(timedelta(hours=9))), lon, lat) == found


def over(tmp_path: Path, name: str, west: float, south: float, east: float, north: float) -> Scene:
    bounds = (west, south, east, north)
    return open_scene(make_geotiff(tmp_path / name, crs="EPSG:4326", bounds=bounds, size=(40, 30)))


def test_locate_tells_the_sun_where_the_time_of_day_is_known(tmp_path: Path) -> None:
    box = (-74.7, -8.6, -74.2, -8.3)
    result = Locate()(over(tmp_path, "s_20200715T150500.tif", *box))
    said = next(s for s in sentences(result.text) if "solar time" in s)
    assert "at 2020-07-15 15:05 UTC" in said and "10:01" in said and "north-east" in said
    expected = sun(datetime(2020, 7, 15, 15, 5, tzinfo=UTC), -74.45, -8.45)
    assert result.values["sun elevation"].value == pytest.approx(expected.elevation, abs=0.05)
    assert result.values["sun azimuth"].value == pytest.approx(expected.azimuth, abs=0.1)
    assert result.values["solar time"].unit == "hours"
    for name in ("s_20200715.tif", "s_2020.tif", "s.tif"):
        assert "sun" not in Locate()(over(tmp_path, name, *box)).text


def test_locate_names_the_region(tmp_path: Path) -> None:
    text = Locate()(over(tmp_path, "s.tif", -74.7, -8.6, -74.2, -8.3)).text
    assert "to Ucayali, a first-level division of Peru." in text
    assert "North Dakota" in Locate()(over(tmp_path, "d.tif", -100.9, 46.7, -100.6, 46.9)).text


def test_the_sun_in_words_below_the_horizon(tmp_path: Path) -> None:
    text = Locate()(over(tmp_path, "s_20200715T030000.tif", 4.0, 52.0, 4.5, 52.3)).text
    assert "° below the horizon (azimuth" in text


# -- names ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer(bundled_packs()["places"])


@pytest.mark.parametrize(
    ("name", "country", "first", "lon", "lat"),
    [
        ("Pucallpa", "", "Pucallpa", -74.55, -8.38),
        ("Paris", "", "Paris", 2.35, 48.85),
        ("Paris", "US", "Paris", -95.56, 33.66),
        ("Paris, Texas", "", "Paris", -95.56, 33.66),
        ("paris", "texas", "Paris", -95.56, 33.66),
        ("zurich", "", "Zürich", 8.55, 47.37),
        ("München", "", "Munich", 11.58, 48.14),
        ("  são  paulo ", "", "São Paulo", -46.64, -23.55),
        ("JFK", "", "John F. Kennedy International Airport", -73.78, 40.64),
        ("Lake Victoria", "", "Lake Victoria", 32.9, -1.0),
    ],
)
def test_names_have_coordinates(name: str, country: str, first: str, lon: float, lat: float) -> None:
    result = Geocode()(name, country)
    assert result.text.startswith(f"{first} (")
    assert result.values["longitude"].value == pytest.approx(lon, abs=0.3)
    assert result.values["latitude"].value == pytest.approx(lat, abs=0.3)
    assert result.values["latitude"].unit == "degrees"
    assert result.geojson is not None and result.geojson["features"][0]["geometry"]["coordinates"] == [
        result.values["longitude"].value,
        result.values["latitude"].value,
    ]


def test_namesakes_are_listed_the_best_known_first() -> None:
    result = Geocode()("San Jose")
    said = sentences(result.text)
    assert "California" in said[0] and "Costa Rica" in said[1] and "and 4 more" in said[1]
    assert any("Several places are called San Jose" in c for c in result.caveats)
    assert len(result.geojson["features"]) == 6  # type: ignore[index]


def test_a_country_over_the_antimeridian() -> None:
    result = Geocode()("Fiji")
    assert abs(result.values["longitude"].value) == pytest.approx(178.7, abs=0.3)
    assert "from 177.28° E to 179.79° W" in result.text


@pytest.mark.parametrize(
    ("name", "country", "error"),
    [
        ("Pucalpa", "", "knows no place 'Pucalpa'. Did you mean Pucallpa?"),
        ("Paris", "Peru", "knows no place 'Paris' in Peru. It knows Paris (city of"),
        ("Xyzzyq", "", "knows no place 'Xyzzyq'. The gazetteer holds"),
        ("", "", "knows no place ''"),
        ("\x1b[31m", "", "knows no place"),
    ],
)
def test_unknown_names_get_a_suggestion(name: str, country: str, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        Geocode()(name, country)
    assert error in str(raised.value)


@settings(max_examples=25)
@given(st.text(max_size=30))
def test_any_text_may_be_asked_for(gazetteer: Gazetteer, text: str) -> None:
    assert key(key(text)) == key(text)
    for place in gazetteer.named(text):
        assert -180 <= place.lon <= 180 and -90 <= place.lat <= 90
    gazetteer.like(text)


def test_every_town_is_found_by_its_own_name(gazetteer: Gazetteer) -> None:
    for town in gazetteer.nearest(10, 50, "city", 300):
        assert any(place.id == town.id for place in gazetteer.named(town.name)), town


@pytest.mark.parametrize(
    ("text", "fit", "name"),
    [
        ("What are the coordinates of Pucallpa?", 0.9, "Pucallpa"),
        ("coordinates of Paris in Texas", 0.9, "Paris, Texas"),
        ("Latitude and longitude of the city of Zürich, please", 0.9, "Zürich"),
        ("lat/lon of lima", 0.9, "lima"),
        ("geocode JFK", 0.9, "JFK"),
        ("Where is Lima?", 0.5, "Lima"),
        ("Where is Mount Doom?", 0.0, "Mount Doom"),
        ("Where is this?", 0.0, ""),
        ("What are the coordinates of this scene?", 0.0, ""),
        ("What are the coordinates of the centre of the image?", 0.0, ""),
        ("Where are the deserts?", 0.0, ""),
        ("What is NDVI?", 0.0, ""),
    ],
)
def test_when_geocode_applies(text: str, fit: float, name: str) -> None:
    assert Geocode().applies(Query(text)) == fit
    assert Geocode().arguments(Query(text)) == {"name": name}


# -- names of scenes, dates -----------------------------------------------------------------------


def plain(tmp_path: Path, name: str) -> Scene:
    return open_scene(make_geotiff(tmp_path / name, size=(8, 8)))


def test_scenes_are_called_by_date_or_by_file(tmp_path: Path) -> None:
    names = ["a_1985.tif", "b_2020-07-15.tif", "c_20200716T101500.tif", "harbour.tif"]
    year, day, moment, none = (plain(tmp_path, name) for name in names)
    assert [date(s) for s in (year, day, moment, none)] == ["1985", "2020-07-15", "2020-07-16 10:15", ""]
    assert [scene_name(s) for s in (year, none)] == ["1985", "harbour"]
    assert scene_names([year, day, moment]) == ["1985", "2020-07-15", "2020-07-16"]
    assert scene_names([year, none]) == ["a_1985", "harbour"]
    assert scene_names([none, none.window(0, 0, 4, 4)]) == ["harbour", "harbour (0,0,4,4)"]
    assert scene_names([none, none]) == ["the first scene", "the second scene"]


def test_time_order_needs_every_date(tmp_path: Path) -> None:
    late, early, none = (plain(tmp_path, name) for name in ("x_2020-07-15.tif", "x_1985.tif", "x.tif"))
    assert in_time_order([late, early]) == ([early, late], True)
    assert in_time_order([late, none, early]) == ([late, none, early], False)


def test_dates_as_years() -> None:
    assert decimal_year(datetime(2020, 7, 2, tzinfo=UTC)) == pytest.approx(2020.5, abs=0.001)
    assert decimal_year(datetime(1985, 1, 1, tzinfo=UTC), "year") == 1985.5
    assert decimal_year(datetime(2021, 7, 1, tzinfo=UTC), "month") == pytest.approx(2021.54, abs=0.01)


@pytest.mark.parametrize(("part", "said"), [(0.123, "12 %"), (0.034, "3.4 %"), (0.0005, "0.05 %"), (0.0, "0 %")])
def test_shares(part: float, said: str) -> None:
    assert share(part) == said


# -- side by side, and through time ---------------------------------------------------------------

BANDS = ("red", "green", "blue", "nir")


def stack(tmp_path: Path, years: tuple[int, ...], size: tuple[int, int] = (90, 60), **options: Any) -> list[Scene]:
    """One place in several years; NIR rises by 0.01 a year from 1980 on, red stays at 0.1, with some texture."""
    draw = np.random.default_rng(0)
    ground = 0.02 * draw.random((size[1], size[0]))
    made = []
    for year in years:
        data = np.stack([np.full(ground.shape, v) + ground for v in (0.1, 0.12, 0.08, 0.1 + 0.01 * (year - 1980))])
        path = tmp_path / f"stack_{year}.tif"
        made.append(open_scene(make_geotiff(path, data=data.astype(np.float32), descriptions=BANDS, **options)))
    return made


def test_compare_draws_all_in_time_order(tmp_path: Path) -> None:
    scenes = stack(tmp_path, (2000, 1990, 2010))
    result = Compare()(scenes, tmp_path)
    assert result.text.startswith("1990, 2000 and 2010 are shown side by side on one grid of 90 x 60 cells")
    assert "as true-colour (red, green, blue), all stretched by the same percentiles" in result.text
    with Image.open(result.images[0]) as picture:
        assert picture.width > 2.5 * picture.height
    false = Compare()(scenes, tmp_path, composite="false-colour")
    assert "false-colour (NIR, red, green)" in false.text and false.images != result.images


def test_the_same_stretch_shows_what_is_brighter(tmp_path: Path) -> None:
    scenes = stack(tmp_path, (1985, 2010))
    with Image.open(Compare()(scenes, tmp_path, composite="false-colour").images[0]) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    half = pixels.shape[1] // 2
    assert pixels[:, half:, 0].mean() > pixels[:, :half, 0].mean() + 20


@pytest.mark.parametrize(
    ("composite", "count", "error"),
    [
        ("swir", 2, "swir needs a swir1 band"),
        ("sepia", 2, "no composite 'sepia'"),
        ("", 1, "two or more"),
        ("", 9, "too many"),
    ],
)
def test_compare_refuses(tmp_path: Path, composite: str, count: int, error: str) -> None:
    scenes = stack(tmp_path, tuple(range(1990, 1990 + count)))
    with pytest.raises((UsageError, SceneError), match=error):
        Compare()(scenes, tmp_path, composite)


def test_grey_scenes_of_unknown_bands_are_compared(tmp_path: Path) -> None:
    scenes = [open_scene(make_geotiff(tmp_path / f"dem_{y}.tif", bands=1, dtype="float32")) for y in (2001, 2002)]
    assert "in grey" in Compare()(scenes, tmp_path).text


def ndvi_of(year: int) -> float:
    nir = 0.11 + 0.01 * (year - 1980)
    return (nir - 0.11) / (nir + 0.11)


def test_a_course_through_dates(tmp_path: Path) -> None:
    scenes = stack(tmp_path, (2005, 1985, 1995))
    result = TimeSeries()(scenes, tmp_path)
    said = sentences(result.text)
    assert said[0].startswith("NDVI over all shared ground rose from 0.19 in 1985 to 0.53 in 2005, over 3 dates")
    for year in (1985, 1995, 2005):
        assert result.values[f"NDVI {year}"].value == pytest.approx(ndvi_of(year), abs=0.01)
    assert "trend" not in result.values and any("from four dates on" in c for c in result.caveats)
    with Image.open(result.images[0]) as picture:
        assert picture.width > picture.height > 200


def test_a_trend_with_its_uncertainty(tmp_path: Path) -> None:
    scenes = stack(tmp_path, (1990, 1992, 1994, 1996, 1998))
    result = TimeSeries()(scenes, tmp_path, index="NDVI")
    slope = (ndvi_of(1998) - ndvi_of(1990)) / 8
    assert result.values["trend"].value == pytest.approx(slope, rel=0.05)
    assert result.values["trend"].unit == "per year"
    assert 0 < result.values["trend uncertainty (95 %)"].value < 0.5 * slope
    assert "which differs from zero" in result.text


@pytest.mark.parametrize(("pixels", "unit"), [(False, "auto"), (True, "auto"), (True, "pixel"), (False, "degree")])
def test_at_a_place(tmp_path: Path, pixels: bool, unit: Any) -> None:
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    at = [75.0, 20.0] if pixels else list(to_degrees.transform(500_755, 5_799_795))
    scenes = stack(tmp_path, (1990, 2000))
    data = scenes[1].read()
    data[3, 18:23, 73:78] = 0.05  # a burnt spot around pixel 75,20
    scenes[1] = open_scene(make_geotiff(tmp_path / "stack_2000.tif", data=data, descriptions=BANDS))
    result = TimeSeries()(scenes, tmp_path, at=at, unit=unit)
    assert result.values["NDVI 2000"].value < 0 < result.values["NDVI 1990"].value
    assert " fell from " in result.text


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"at": [52.3473, 15.0103], "unit": "degree"}, "look swapped"),
        ({"at": [100.0, 10.0], "unit": "degree"}, "outside the ground that the scenes share"),
        ({"at": [100.0, 10.0]}, "neither a place in the scenes nor a pixel"),
        ({"at": [1.0]}, "two numbers"),
        ({"index": "NDWX"}, "no spectral index 'NDWX'"),
        ({"index": "NBR"}, "NBR needs a swir2 band"),
    ],
)
def test_time_series_refuses(tmp_path: Path, options: dict[str, Any], error: str) -> None:
    with pytest.raises((UsageError, SceneError), match=error):
        TimeSeries()(stack(tmp_path, (1990, 2000)), tmp_path, **options)


def test_fewer_than_two_dates_are_refused_and_undated_ones_named(tmp_path: Path) -> None:
    undated = open_scene(make_geotiff(tmp_path / "x.tif", bands=4, dtype="float32", size=(90, 60), descriptions=BANDS))
    with pytest.raises(UsageError, match="at least two dates, and 1 of 2 scenes has one"):
        TimeSeries()([*stack(tmp_path, (1990,)), undated], tmp_path)
    result = TimeSeries()([*stack(tmp_path, (1990, 2000)), undated], tmp_path)
    assert any("1 of 3 scenes have no date" in c for c in result.caveats)


@given(slope=st.floats(-1, 1), level=st.floats(-5, 5), count=st.integers(4, 40))
def test_a_straight_line_is_found_without_doubt(slope: float, level: float, count: int) -> None:
    years = [2000 + 0.7 * i for i in range(count)]
    found = trend(years, [level + slope * (y - 2000) for y in years])
    assert found is not None
    assert found.slope == pytest.approx(slope, abs=1e-9) and found.margin == pytest.approx(0, abs=1e-9)
    assert found.at(2000) == pytest.approx(level, abs=1e-8)


def test_the_margin_of_a_trend_holds_in_95_of_100() -> None:
    draw = np.random.default_rng(3)
    years = list(range(6))
    found = [trend(years, (0.5 * np.arange(6) + draw.normal(0, 1, 6)).tolist()) for _ in range(2000)]
    held = np.mean([abs(line.slope - 0.5) <= line.margin for line in found if line])
    assert held == pytest.approx(0.95, abs=0.015)
    assert trend([1, 2, 3], [1, 2, 3]) is None and trend([2000] * 5, [1, 2, 3, 4, 5]) is None


@pytest.mark.parametrize(
    ("text", "compare", "series"),
    [
        ("Show both side by side", 0.8, 0.0),
        ("Compare the two images", 0.8, 0.0),
        ("Compare A and B", 0.5, 0.0),
        ("Plot the NDVI time series at -74.5, -8.4", 0.0, 0.9),
        ("What is the trend of the NDVI?", 0.0, 0.9),
        ("How did it look over the years?", 0.0, 0.5),
        ("Where is this?", 0.0, 0.0),
    ],
)
def test_when_they_apply(tmp_path: Path, text: str, compare: float, series: float) -> None:
    scene = plain(tmp_path, "a.tif")
    two = Query(text, (scene, scene))
    assert (Compare().applies(two), TimeSeries().applies(two)) == (compare, series)
    assert Compare().applies(Query(text, (scene,))) == 0.0
    assert TimeSeries().applies(Query(text, (scene,))) == (series if series == 0.9 else 0.0)  # it says what is missing


def test_the_place_and_the_index_are_read_from_the_question() -> None:
    assert TimeSeries().arguments(Query("Plot NDVI through time at -74.5, -8.4")) == {
        "index": "NDVI", "at": [-74.5, -8.4], "unit": "auto"
    }  # fmt: skip
    assert TimeSeries().arguments(Query("time series of the water at pixel 10,20")) == {
        "index": "water", "at": [10.0, 20.0], "unit": "pixel"
    }  # fmt: skip
    assert TimeSeries().arguments(Query("the trend over the years")) == {}
    assert Compare().arguments(Query("side by side in false colour")) == {"composite": "false-colour"}


# -- similar places -------------------------------------------------------------------------------


def coloured(path: Path, colour: tuple[int, int, int], spot: tuple[int, int, int], **options: Any) -> Path:
    data = np.empty((3, 64, 64), np.uint8)
    data[:] = np.reshape(colour, (3, 1, 1))
    data[:, :16, :16] = np.reshape(spot, (3, 1, 1))
    return make_geotiff(path, data=data, **options)


@pytest.fixture
def forest(tmp_path: Path, kb: KnowledgeBase) -> Scene:
    """A store of two green images with a place and one without, and two others; a scene that is green as well."""
    green, blue, grey, red = (40, 150, 40), (40, 60, 200), (128, 128, 128), (200, 40, 40)
    archive = tmp_path / "archive"
    coloured(archive / "forest_north.tif", green, blue, origin=(500_000, 5_800_000))
    coloured(archive / "forest_south.tif", green, grey, origin=(700_000, 5_500_000))
    coloured(archive / "forest_nowhere.tif", green, red, crs=None)
    coloured(archive / "lake.tif", blue, blue, origin=(300_000, 5_800_000))
    coloured(archive / "roof.tif", red, red, origin=(310_000, 5_800_000))
    kb.add(archive)
    return open_scene(coloured(tmp_path / "query.tif", green, green, origin=(400_000, 5_700_000)))


def test_similar_places_are_named_and_mapped(tmp_path: Path, kb: KnowledgeBase, forest: Scene) -> None:
    result = SimilarPlaces()(forest, kb, tmp_path, k=3)
    said = sentences(result.text)
    assert said[0].startswith("Most like query in the store are ")
    assert all(name in said[0].lower() for name in ("forest north", "forest south", "forest nowhere"))
    assert "1 of the 3 have no place on Earth in the store" in result.text
    assert len(result.geojson["features"]) == 2  # type: ignore[index]
    assert all(value.unit == "deviations" for value in result.values.values())
    with Image.open(result.images[0]) as picture:
        assert picture.width > 400 and len(picture.convert("RGB").getcolors(100_000)) > 5  # type: ignore[arg-type]


def test_the_scene_itself_is_left_out(tmp_path: Path, kb: KnowledgeBase, forest: Scene) -> None:
    result = SimilarPlaces()(open_scene(tmp_path / "archive" / "lake.tif"), kb, tmp_path, k=2)
    assert "Lake" not in sentences(result.text)[0].replace("lake in the store", "")
    assert any("itself is in the store" in c for c in result.caveats)


def test_an_empty_store_and_a_wrong_count_are_refused(tmp_path: Path, kb: KnowledgeBase) -> None:
    scene = open_scene(make_image(tmp_path / "a.png"))
    with pytest.raises(StoreError, match="no other image"):
        SimilarPlaces()(scene, kb, tmp_path)
    with pytest.raises(UsageError, match="from 1 to 50"):
        SimilarPlaces()(scene, kb, tmp_path, k=0)


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("Find similar places.", 0.9),
        ("Where else does it look like this?", 0.9),
        ("Which images look like this?", 0.9),
        ("Is it similar?", 0.4),
        ("Where is this?", 0.0),
        ("What does this area look like?", 0.0),
    ],
)
def test_when_similar_places_applies(tmp_path: Path, text: str, fit: float) -> None:
    assert SimilarPlaces().applies(Query(text, (plain(tmp_path, "a.tif"),))) == fit
    assert SimilarPlaces().applies(Query(text)) == 0.0
