"""The pack `places`: towns in their own country, islands, enclaves and disputed ground, and facts about countries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rsrag import Query, RsragError, UsageError
from rsrag.builtin.sources.pack import PackSource
from rsrag.builtin.tools.gazetteer import OPEN_WATER, Gazetteer
from rsrag.builtin.tools.nearby import Nearby
from rsrag.builtin.tools.outlines import Outlines
from rsrag.packs import bundled_packs

PACK = bundled_packs()["places"]


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer(PACK)


@pytest.fixture(scope="module")
def outlines() -> Outlines:
    return Outlines((PACK / "borders.npz").read_bytes())


@pytest.fixture(scope="module")
def records() -> dict[str, dict[str, Any]]:
    lines = (PACK / "records.jsonl").read_text("utf-8").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def facts(record: dict[str, Any]) -> dict[str, Any]:
    return {fact["attribute"]: fact["value"] for fact in record["facts"]}


# -- outlines -------------------------------------------------------------------------------------


def test_towns_lie_in_their_own_country(outlines: Outlines) -> None:
    """By outlines alone, and the nearest one where none holds the town: no town takes part in the answer."""
    rows = [json.loads(line) for line in (PACK / "cities.jsonl").read_text("utf-8").splitlines()]
    codes = [area.code for area in outlines.areas]
    points = shapely.points([row[6] for row in rows], [row[5] for row in rows])
    held: dict[int, set[str]] = {}
    for point, area in zip(
        *shapely.STRtree([a.shape for a in outlines.areas]).query(points, "intersects"), strict=True
    ):
        held.setdefault(int(point), set()).add(codes[int(area)])
    right = sum(row[3] in held[i] for i, row in enumerate(rows) if i in held)
    assert right / len(rows) > 0.975
    for i, row in enumerate(rows):
        if i not in held:
            near = outlines.nearest(row[6], row[5], 1, 50_000)
            right += bool(near) and near[0].area.code == row[3]
    assert right / len(rows) >= 0.995


def test_outlines_neither_overlap_nor_part(outlines: Outlines) -> None:
    shapes = [area.shape for area in outlines.areas]
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)


@pytest.mark.parametrize(
    ("place", "lon", "lat", "country"),
    [
        ("Maseru, Lesotho, within South Africa", 27.49, -29.33, "Lesotho"),
        ("San Marino, within Italy", 12.447, 43.936, "San Marino"),
        ("Rome", 12.50, 41.90, "Italy"),
        ("Ceuta, on the coast of Morocco", -5.32, 35.888, "Spain"),
        ("Melilla", -2.95, 35.285, "Spain"),
        ("Kaliningrad", 20.51, 54.71, "Russia"),
        ("Cabinda, apart from Angola", 12.20, -5.55, "Angola"),
        ("Gibraltar", -5.35, 36.14, "Gibraltar"),
        ("Hong Kong", 114.16, 22.28, "Hong Kong"),
        ("Macao", 113.546, 22.195, "Macao"),
        ("Shenzhen", 114.06, 22.55, "China"),
        ("Cayenne", -52.33, 4.93, "French Guiana"),
        ("Longyearbyen", 15.64, 78.22, "Svalbard and Jan Mayen"),
        ("Monaco", 7.42, 43.735, "Monaco"),
        ("Vaduz", 9.52, 47.14, "Liechtenstein"),
        ("Singapore", 103.85, 1.29, "Singapore"),
        ("Valletta", 14.51, 35.90, "Malta"),
        ("Malé", 73.51, 4.175, "Maldives"),
        ("Honolulu", -157.85, 21.31, "United States"),
        ("Las Palmas", -15.43, 28.12, "Spain"),
        ("Saint-Denis", 55.45, -20.88, "Réunion"),
        ("Reykjavík", -21.93, 64.14, "Iceland"),
        ("Oecusse, within Indonesia", 124.36, -9.25, "Timor-Leste"),
        ("Nakhchivan, apart from Azerbaijan", 45.41, 39.21, "Azerbaijan"),
        ("Temburong, Brunei's other part", 115.15, 4.65, "Brunei"),
        ("Point Roberts, reached through Canada", -123.06, 48.985, "United States"),
        ("Amundsen-Scott, at the pole", 0.0, -89.99, "Antarctica"),
        ("Taveuni, on the 180th meridian", 179.95, -16.85, "Fiji"),
        ("Pristina", 21.16, 42.66, "Kosovo"),
        ("the middle of the Atlantic", -35.0, 30.0, OPEN_WATER),
    ],
)
def test_islands_enclaves_and_coasts(gazetteer: Gazetteer, place: str, lon: float, lat: float, country: str) -> None:
    name, metres = gazetteer.country(lon, lat)
    assert name == country, place
    assert metres < 2500


def test_off_a_coast_the_nearest_country_comes_with_its_distance(gazetteer: Gazetteer) -> None:
    name, metres = gazetteer.country(4.0, 52.3)
    assert name == "Netherlands" and 15_000 < metres < 40_000
    found = gazetteer.border(6.06, 50.78)  # Aachen's western edge
    assert found is not None and found.distance_m < 6000
    # The map draws the Vatican far too small: on Saint Peter's Square it is next door.
    found = gazetteer.border(12.4573, 41.9022)
    assert found is not None and found.area.name == "Vatican City" and found.distance_m < 500


@pytest.mark.parametrize(
    ("lon", "lat", "said"),
    [
        (34.10, 44.95, "The status of Crimea is disputed"),
        (33.36, 35.34, "The north of Cyprus is disputed"),
        (-13.20, 27.15, "The status of Western Sahara is disputed"),
        (44.06, 9.56, "Somaliland is self-administered"),
        (35.78, 33.10, "The Golan Heights are disputed"),
        (35.20, 31.90, "disputed between Israel and Palestine"),
        (74.80, 34.08, "Kashmir is disputed"),
        (121.56, 25.03, "Taiwan is self-administered"),
        (21.16, 42.66, "The independence of Kosovo"),
        (-57.85, -51.70, "claimed by Argentina"),
        (30.52, 50.45, ""),
        (33.05, 34.68, ""),
        (37.62, 55.75, ""),
        (77.21, 28.61, ""),
        (120.15, 30.27, ""),
        (34.78, 32.08, ""),
    ],
)
def test_disputes_are_told_where_they_are_and_nowhere_else(
    gazetteer: Gazetteer, lon: float, lat: float, said: str
) -> None:
    notes = gazetteer.disputes(lon, lat)
    assert said in notes[0] if said else notes == []


@pytest.mark.parametrize("content", [b"PK\x03\x04broken", b"PK", b"[]", b""])
def test_broken_outlines_are_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "borders.npz").write_bytes(content)
    with pytest.raises(RsragError, match=r"cannot read .*borders\.npz"):
        Gazetteer(tmp_path).country(0, 0)


@pytest.mark.parametrize("gone", ["x", "grid", "rings", "of_area", "properties"])
def test_outlines_that_lack_a_part_are_one_clear_line(tmp_path: Path, gone: str) -> None:
    with np.load(PACK / "borders.npz") as whole:
        np.savez(tmp_path / "borders.npz", **{name: whole[name] for name in whole.files if name != gone})
    with pytest.raises(RsragError, match=r"cannot read .*borders\.npz"):
        Gazetteer(tmp_path).country(0, 0)


# -- facts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_", "neighbours"),
    [
        ("country/PER", {"Bolivia", "Brazil", "Chile", "Colombia", "Ecuador"}),
        ("country/PRT", {"Spain"}),
        ("country/LSO", {"South Africa"}),
        ("country/DNK", {"Germany"}),
        ("country/CHE", {"Austria", "France", "Germany", "Italy", "Liechtenstein"}),
        ("country/GUF", {"Brazil", "Suriname"}),
        ("country/HKG", {"China"}),
    ],
)
def test_neighbours(records: dict[str, dict[str, Any]], id_: str, neighbours: set[str]) -> None:
    told = facts(records[id_])
    assert set(told["borders"].replace(" and ", ", ").split(", ")) == neighbours
    assert told["borders (count)"] == len(neighbours)
    assert all(name in records[id_]["sections"][0]["text"] for name in neighbours)


def test_a_border_has_two_sides(records: dict[str, dict[str, Any]]) -> None:
    names = {r["title"].removeprefix("the "): r for r in records.values() if r["facets"]["feature"] == "country"}
    count = 0
    for title, record in names.items():
        given = facts(record).get("borders", "").replace("Trinidad and Tobago", "Trinidad & Tobago")
        for other in given.replace(" and the ", ", ").replace(" and ", ", ").split(", ") if given else ():
            found = names.get(other.removeprefix("the "))
            if found is not None:
                count += 1
                assert title in facts(found)["borders"], (title, other)
    assert count > 550


@pytest.mark.parametrize(
    ("id_", "least", "most"),  # km², as the states themselves and the United Nations give them
    [
        ("country/PER", 1_280_000, 1_300_000),
        ("country/LSO", 30_000, 30_700),
        ("country/SGP", 680, 740),
        ("country/LUX", 2560, 2610),
        ("country/ISL", 101_000, 104_500),
    ],
)
def test_areas(records: dict[str, dict[str, Any]], id_: str, least: float, most: float) -> None:
    (area,) = [value for name, value in facts(records[id_]).items() if name.startswith("area (")]
    assert least <= area <= most


def test_countries_have_a_capital_a_continent_and_sources(records: dict[str, dict[str, Any]]) -> None:
    countries = [r for r in records.values() if r["facets"]["feature"] == "country"]
    assert len(countries) > 245
    for record in countries:
        assert record["facets"]["continent"] and "Natural Earth" in record["source"]
        assert ("GeoNames" in record["source"]) == (record["license"] == "CC-BY-4.0"), record["id"]
    told = {r["title"]: facts(r).get("capital") for r in countries}
    assert (told["Peru"], told["Malta"], told["Malaysia"], told["Singapore"]) == (
        "Lima", "Valletta", "Kuala Lumpur", "Singapore",
    )  # fmt: skip


def test_large_ports_are_there_and_lie_in_their_country(
    records: dict[str, dict[str, Any]], gazetteer: Gazetteer
) -> None:
    coded = [r for r in records.values() if "UN/LOCODE" in facts(r)]
    assert len(coded) == 40 and "port/rotterdam-nl" in records
    for record in coded:
        assert facts(record)["UN/LOCODE"][:2] == record["facets"]["iso_a2"]
        name, metres = gazetteer.country(*record["point"])
        assert name == record["facets"]["country"] and metres < 4000, record["id"]
    found = gazetteer.nearest(4.48, 51.92, "port", 1)[0]
    assert found.name == "Port of Rotterdam" and found.distance_m < 10_000


def test_namesakes_are_told_apart_in_their_passages() -> None:
    said = {
        r.text for r in PackSource("places").records() if r.title == "Springfield" and r.facets["feature"] == "city"
    }
    assert len(said) >= 7
    assert any("in Missouri, United States" in text for text in said)
    assert any("in Illinois, United States" in text for text in said)


# -- distances ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "km", "within"),  # great circles between the centres, from published tables of cities
    [
        ("How far is Lima from Cusco?", 574, 6),
        ("What is the distance between London and Paris?", 344, 4),
        ("How far is it from Tokyo to New York?", 10_850, 40),
        ("how far is são paulo from rio de janeiro", 361, 6),
        ("How far apart are Cape Town and Cairo?", 7240, 40),
        ("How far is Singapore from Jakarta?", 890, 12),
        ("How far is Paris, Texas from Dallas, Texas?", 152, 6),
        ("How far is Auckland from Wellington?", 494, 8),
        ("how far is lake titicaca from cusco", 390, 60),
    ],
)
def test_how_far(question: str, km: float, within: float) -> None:
    tool, query = Nearby(), Query(question)
    assert tool.applies(query) == 0.9
    result = tool(**tool.arguments(query))  # type: ignore[arg-type]
    assert result.values["distance"].unit == "km"
    assert result.values["distance"].value == pytest.approx(km, abs=within)
    assert "straight line" in result.text and "WGS 84" in result.caveats[0]


def test_an_ambiguous_name_is_told() -> None:
    result = Nearby()("Springfield", "Chicago")
    assert "Springfield (Missouri, United States)" in result.text
    assert any("Several places are called Springfield" in c and "Illinois" in c for c in result.caveats)
    assert not any("called Chicago" in c for c in result.caveats)
    assert any("middle of the box" in c for c in Nearby()("Peru", "Lima").caveats)
    with pytest.raises(UsageError, match=r"knows no place 'Pucalpa'"):
        Nearby()("Pucalpa", "Lima")


@pytest.mark.parametrize("question", ["What is NDVI?", "How far is it?", "Which band is near infrared?"])
def test_other_questions_are_not_for_it(question: str) -> None:
    assert Nearby().applies(Query(question)) == 0.0
