"""The source `rswk`: RSWK's knowledge as records, measures with units and months, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rsrag import Fact, Filter, KnowledgeBase, Query, Record, UsageError
from rsrag.builtin.sources.rswk import TABLES, RswkSource
from rsrag.builtin.sources.rswk_fields import coordinates, measure

MILL: dict[str, Any] = {
    "ID": "011089",
    "image_name": "Salt Works",
    "world knowledge": {
        "Name": "Salt Works",
        "Category": "Historic Site",
        "Area": "Bakewater, Derbyshire, England",
        "Location": "53.8388°N 1.7879°W",
        "Physical_Area": "1.5 hectares",
        "Construction_Period": "1853",
        "Historical_Background": "A works for boiling brine, closed in 1986.",
        "Major_Events": [{"Event": "Fire", "Year": "1901", "Description": "The boiling house burned down."}],
        "Architectural_Characteristics": "Brick, with an iron roof.",
        "Cultural_Significance": "The last of its kind.",
        "Primary_Function": "Now a gallery",
        "Notable_Visitors": ["Ann Smith", "Lee Brown"],
        "Details": "It has a tall chimney.",
    },
    "remote sensing expert knowledge": {
        "ALBEDO": 0.19,
        "EMIS(Surface emissivity)": 0.98,
        "EVLAND": "588.25mm",
        "LC_Type1": 13,
        "LC_Type2": 13.0,
        "SLP": "101541.77Pa",
        "ULML(Surface eastward wind)": "-1.1m/s",
        "NDVI_2019_11": 0.2,
        "EVLAND_2019_January": "30.85mm",
        "ALBEDO_2019_1": 0.17,
    },
    "description": "A long roof beside a canal.",
    "caption": "Salt works beside a canal.",
}
POOR: dict[str, Any] = {"ID": "2", "image_name": "Hill", "world knowledge": {"Name": "Hill", "Category": "Park"}}


def write(folder: Path, value: Any, name: str = "knowledge.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def one(path: Path) -> Record:
    source = RswkSource(path, embed_figures=True)
    (record,) = source.records()
    assert source.problems == []
    return record


@pytest.fixture
def record(tmp_path: Path) -> Record:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "images" / "Salt Works.png")
    return one(write(tmp_path, [MILL]))


def test_a_record_has_a_section_per_facet(record: Record) -> None:
    assert (record.id, record.subject, record.title) == ("011089", "rswk/011089", "Salt Works")
    assert record.images == ("images/Salt Works.png",)
    parts = [section.part for section in record.sections]
    assert parts == [
        "basic_info_and_history",
        "architecture_and_function",
        "culture_and_visitor",
        "expert_knowledge",
        "monthly_expert_knowledge",
        "monthly_expert_knowledge",
        "image_description",
        "caption",
    ]
    basic, built, culture, expert, january, november, description, caption = (s.text for s in record.sections)
    assert "Category: Historic Site" in basic and "1901, Fire: The boiling house burned down." in basic
    assert built.splitlines()[1] == "Primary function: Now a gallery"
    assert culture.endswith("Notable visitors: Ann Smith, Lee Brown")
    assert "evaporation over land (EVLAND): 588.25 mm" in expert and "2019" not in expert
    assert [s.heading for s in record.sections[4:6]] == ["January 2019", "November 2019"]
    assert january == "evaporation over land (EVLAND): 30.85 mm; surface albedo (ALBEDO): 0.17"
    assert november == "vegetation index (NDVI): 0.2"
    assert (description, caption) == ("A long roof beside a canal.", "Salt works beside a canal.")


def test_measures_are_facts_with_units_and_months(record: Record) -> None:
    facts = {(f.attribute, f.when): (f.value, f.unit) for f in record.facts}
    assert facts["evaporation over land (EVLAND)", ""] == (588.25, "mm")
    assert facts["evaporation over land (EVLAND)", "January 2019"] == (30.85, "mm")
    assert facts["surface eastward wind (ULML)", ""] == (-1.1, "m/s")
    assert facts["land cover type 1 (LC_Type1)", ""] == (13, "")
    assert facts["construction period", ""] == ("1853", "")
    assert {fact.subject for fact in record.facts} == {"rswk/011089"}


def test_tables_of_figures_are_a_record_without_vectors(tmp_path: Path, record: Record) -> None:
    (tmp_path / "images").mkdir(exist_ok=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "images" / "Salt Works.png")
    told, figures = RswkSource(write(tmp_path, [MILL])).records()
    assert (told.id, told.vectors, told.images) == ("011089", True, record.images)
    assert (figures.id, figures.vectors, figures.images) == ("011089#figures", False, ())
    assert told.subject == figures.subject and told.title == figures.title
    assert {s.part for s in figures.sections} == {"expert_knowledge", "monthly_expert_knowledge"}
    assert sorted((*told.sections, *figures.sections), key=repr) == sorted(record.sections, key=repr)
    assert {f.attribute for f in told.facts} == {"construction period", "physical area"}
    assert {*told.facts, *figures.facts} == {*record.facts}
    assert told.version != record.version  # so that another choice is another record


def test_figures_may_get_vectors_later_and_lose_them_again(tmp_path: Path, kb: KnowledgeBase) -> None:
    path = write(tmp_path, [MILL])
    for embed, ids in (
        (False, {"011089", "011089#figures"}),
        (True, {"011089"}),
        (False, {"011089", "011089#figures"}),
    ):
        kb.add(path, embed_figures=embed)
        assert {id for (id,) in kb.catalog.db.execute("SELECT id FROM records")} == ids
        ((_, _, facts),) = kb.facts_of(["rswk/011089"], Filter())
        assert len([f for f in facts if f.attribute == "surface albedo (ALBEDO)"]) == 2  # the whole period, a month


def test_figures_alone_are_one_record(tmp_path: Path) -> None:
    given = {"ID": "7", "remote sensing expert knowledge": {"ALBEDO": 0.1}}
    assert [r.id for r in RswkSource(write(tmp_path, [given])).records()] == ["7#figures"]


def test_facets_and_place(record: Record) -> None:
    assert record.facets == {"category": "Historic Site", "country": "United Kingdom"}
    assert record.bbox is not None and record.bbox.center == pytest.approx((-1.7879, 53.8388))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("40°11′27″N 29°02′46″E", (29.0461, 40.1908)),
        ("33°52'45\"S 35°33'38\"W", (-35.5606, -33.8792)),
        ("53.8388°N 1.7879°W", (-1.7879, 53.8388)),
        ("37.059617°N, 15.293433°E", (15.2934, 37.0596)),
        ("31°47′08″N 35°12′44″E  /  31.78556°N 35.21222°E  / 31.78556; 35.21222", (35.21222, 31.78556)),
        ("21°21′54″N 157°57′0″W  /  21.365°N 157.95°W  / 21.36500; -157.95000", (-157.95, 21.365)),
        ("Rome, Italy", None),
        ("95°00′00″N 10°00′00″E", None),
        ("", None),
    ],
)
def test_places_in_words(text: str, place: tuple[float, float] | None) -> None:
    assert coordinates(text) == (pytest.approx(place, abs=1e-3) if place else None)


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("EVLAND", "588.25mm", "evaporation over land (EVLAND): 588.25 mm"),
        ("LST_Day_1km", "26.27°C", "daytime land surface temperature (LST_Day_1km): 26.27 °C"),
        ("SR_B5", 19305.02, "surface reflectance of band 5 (SR_B5): 19305.02"),
        ("LC_Type2", 13.0, "land cover type 2 (LC_Type2): 13"),
        ("mean_2m_air_temperature", "12.2 °C", "mean 2m air temperature: 12.2 °C"),
        ("XYZ(Some thing)", "−3", "some thing (XYZ): -3"),
        ("ALBEDO", "unknown", "surface albedo (ALBEDO): unknown"),
    ],
)
def test_measures_as_text(field: str, value: Any, shown: str) -> None:
    assert measure(field, value).text == shown


@pytest.mark.parametrize("field", ["ALBEDO 2019 January", "ALBEDO_2019_January", "ALBEDO_2019_01", "ALBEDO_2019_1"])
def test_months_in_their_forms(field: str) -> None:
    found = measure(field, 0.4)
    assert (found.name, found.when, found.order) == ("surface albedo (ALBEDO)", "January 2019", (2019, 1))


def test_month_thirteen_is_no_month() -> None:
    assert measure("ALBEDO_2019_13", 0.4).when == ""


BAD = {
    "no object": (7, "is not a JSON object"),
    "nobody": ({"world knowledge": {"Name": "x"}}, "has neither ID nor image_name"),
    "silent": ({"ID": "9"}, "says nothing"),
    "twice": (MILL, "has the ID 011089 again"),
    "knowledge is a list": ({"ID": "9", "world knowledge": ["x"]}, 'its "world knowledge" is no object'),
    "not JSON in a text": ("{", "Expecting property name"),
}


@pytest.mark.parametrize(("value", "why"), BAD.values(), ids=list(BAD))
def test_a_bad_record_costs_itself_only(tmp_path: Path, value: Any, why: str) -> None:
    source = RswkSource(write(tmp_path, [MILL, value, POOR]))
    assert [r.id for r in source.records()] == ["011089", "011089#figures", "2"]
    ((where, said),) = source.problems
    assert where == "knowledge.json, record 2" and why in said


def test_a_measure_that_is_none_costs_itself_only(tmp_path: Path) -> None:
    given = {"ID": "1", "remote sensing expert knowledge": {"ALBEDO": 0.1, "SLP": None, "TS": [1], "SAA": float("nan")}}
    source = RswkSource(write(tmp_path, [given]))
    (record,) = source.records()
    assert record.facts == (Fact("rswk/1", "surface albedo (ALBEDO)", 0.1),)
    assert [why.partition(" is ")[0] for _, why in source.problems] == ["TS", "SAA"]


def test_a_record_may_be_a_text_and_a_file_may_be_lines(tmp_path: Path) -> None:
    assert one(write(tmp_path, [json.dumps(MILL)])).id == "011089"
    lines = RswkSource(write(tmp_path, f"{json.dumps(MILL)}\n{{oops\n\n{json.dumps(POOR)}\n", "k.jsonl"))
    assert [r.id for r in lines.records()] == ["011089", "011089#figures", "2"] and len(lines) == 4
    assert lines.problems[0][0] == "k.jsonl:2"


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a\0b", "x" * 5000])
def test_an_image_outside_is_no_image(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "images").mkdir()
    record = one(write(tmp_path / "in", [{**POOR, "image_name": name}]))
    assert record.images == ()


def test_an_image_may_be_named_by_the_id(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "2.jpg")
    (record,) = RswkSource(write(tmp_path, [POOR]), images="pictures").records()
    assert record.images == ("pictures/2.jpg",)


@pytest.mark.parametrize(("content", "score"), [([MILL], 0.9), ([{"a": 1}], 0.0), ("", 0.0)])
def test_it_knows_its_files(tmp_path: Path, content: Any, score: float) -> None:
    assert RswkSource.matches(write(tmp_path, content)) == score
    assert RswkSource.matches(tmp_path) == RswkSource.matches(7) == RswkSource.matches("a\0b") == 0.0


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        list(RswkSource("nowhere.json").records())


def test_a_knowledge_base_takes_it_by_itself(tmp_path: Path, kb: KnowledgeBase) -> None:
    report = kb.add(write(tmp_path, [MILL, POOR]))
    assert (report.added, report.failed) == (3, ())
    (hit, *_) = kb.search_text(Query(text="boiling brine"), k=3)
    assert hit.chunk.subject == "rswk/011089"
    named = kb.search_named(Query(text="evaporation at Salt Works in January 2019"), k=20)
    assert {h.chunk.provenance.record for h in named} == {"011089", "011089#figures"}
    nearest = kb.search_vectors(Query(text="evaporation EVLAND January 2019"), "texts", "text", 50, "text-text")
    assert {hit.chunk.part for hit in nearest}.isdisjoint(TABLES)
    ((_, _, facts),) = kb.facts_of(["rswk/011089"], Filter())
    assert Fact("rswk/011089", "evaporation over land (EVLAND)", 30.85, "mm", "January 2019") in facts
