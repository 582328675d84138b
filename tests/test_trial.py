"""An analyst's trial: questions about generated scenes through the front doors, and what the first sentence says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from rsrag import Answer, Assistant, KnowledgeBase, Query, UsageError, open_scene
from rsrag.answering.ledger import FAILED
from rsrag.builtin.tools.asking import general, over_time
from rsrag.builtin.tools.file_questions import asked_of_file
from rsrag.cli.app import build
from rsrag.testing.rasters import make_geotiff

BANDS = ("swir1", "nir", "red", "green")
WATER, FOREST, SOIL = (0.02, 0.03, 0.04, 0.06), (0.15, 0.40, 0.04, 0.07), (0.35, 0.30, 0.22, 0.16)


def ground(soil: int = 0, size: int = 60) -> NDArray[np.float32]:
    """(4, 60, 60) reflectance at 10 m: forest (36 ha), 12 columns of it water (7.2 ha), `soil` columns bare."""
    bands = np.empty((4, size, size), np.float32)
    bands[:] = np.reshape(FOREST, (4, 1, 1))
    bands[:, :, :12] = np.reshape(WATER, (4, 1, 1))
    bands[:, :, size - soil :] = np.reshape(SOIL, (4, 1, 1))
    return bands * np.float32(1) + np.random.default_rng(0).normal(0, 0.002, bands.shape).astype(np.float32)


@pytest.fixture
def dates(tmp_path: Path) -> tuple[str, str]:
    """One place in 2001 and, with 20 columns (12 ha) cleared, in 2011."""
    for year, soil in ((2001, 0), (2011, 20)):
        make_geotiff(tmp_path / f"place_{year}.tif", data=ground(soil), descriptions=BANDS)
    return str(tmp_path / "place_2001.tif"), str(tmp_path / "place_2011.tif")


@pytest.fixture
def assistant(kb: KnowledgeBase, tmp_path: Path) -> Assistant:
    made = Assistant(kb)
    made.pictures = tmp_path / "pictures"
    return made


def ran(answer: Answer) -> list[str]:
    return [name for name, *_ in answer.trace["tools"]]


def first(answer: Answer) -> str:
    return answer.text.splitlines()[0]


# -- what a question asks for ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "What is change detection?",
        "What is NDVI?",
        "How does NDVI change with season?",
        "Where is the burn index used?",
        "What is the difference between NDVI and EVI?",
        "How is burn severity measured?",
        "What is the water index used for?",
        "How can I map water?",
        "Why is water dark in radar?",
        "Explain backscatter",
    ],
)
def test_a_question_about_a_notion_runs_no_tool_on_the_pixels(
    assistant: Assistant, dates: tuple[str, str], text: str
) -> None:
    assert general(Query(text))
    for images in (dates[0], dates):
        assert set(ran(assistant.ask(text, images))) <= {"describe_scene", "locate"}
    assert ran(assistant.ask(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "What is the NDVI?",
        "NDVI",
        "How much water is there?",
        "What is different?",
        "What is new?",
        "Why is it so dark?",
        "How does the vegetation in these images differ?",
        "What is the difference between 2001 and 2011?",
    ],
)
def test_a_question_about_the_scenes_is_not_general(text: str) -> None:
    assert not general(Query(text))


@pytest.mark.parametrize("text", ["How many hectares turned into water?", "What changed?", "Water lost since 1985"])
def test_what_happened_since(text: str) -> None:
    assert over_time(Query(text))


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("How big is this?", ["size"]),
        ("how big is this lake?", []),
        ("How many pixels does it have?", ["size"]),
        ("How many pixels are water?", []),
        ("What is the pixel size?", ["pixel"]),
        ("What resolution does this have?", ["pixel"]),
        ("What resolution do I need to see cars?", []),
        ("Which bands does it have?", ["bands"]),
        ("Which bands show vegetation best?", []),
        ("When was it taken?", ["date"]),
        ("When was the tower built?", []),
        ("Which sensor took this?", ["sensor"]),
        ("What is the CRS?", ["crs"]),
        ("Is this image georeferenced?", ["crs"]),
        ("What is this and how big is the image?", ["size"]),
        ("Where was this taken?", []),
        ("Describe this image", []),
    ],
)
def test_what_is_asked_of_the_file(text: str, about: list[str]) -> None:
    assert asked_of_file(text) == about


# -- the first sentence ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (
            "How big is this?",
            r"spans about 600 m from west to east and 600 m from south to north, 36 ha in all \[\d+\]",
        ),
        ("How many pixels does it have?", r"spans about 600 m"),
        ("Which bands does it have?", r"60 x 60 pixels with 4 bands \(SWIR 1, NIR, red, green\)"),
        ("When was it taken?", r"acquired in 2001; only the year is known"),
        ("What is the CRS?", r"coordinate system of the scene is EPSG:32633"),
        ("Which sensor took this?", r"does not say which sensor"),
        ("How far is it to the nearest airport?", r"nearest airport known to the gazetteer is .* km to the"),
        ("How far is it from 0,0 to 30,40?", r"The distance .* is 500(?:\.\d+)? m"),
        ("How much water is in this?", r"Open water covers 7\.2 ha of the scene of 2001, which is 20 %"),
        ("Where is the water?", r"Open water covers 7\.2 ha"),
        ("What is the mean NDVI?", r"NDVI of the scene of 2001 has a mean of 0\.6"),
    ],
)
def test_the_first_sentence_answers(assistant: Assistant, dates: tuple[str, str], text: str, verdict: str) -> None:
    answer = assistant.ask(text, dates[0])
    assert re.search(verdict, first(answer)), answer.text
    assert answer.status == ("partial" if "does not say" in verdict else "answered")
    assert answer.grounded


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("What changed?", r"^Between 2001 and 2011, land cover changed on about 12 ha"),
        ("How much forest was lost?", r"^Between 2001 and 2011, about 12 ha"),
        ("Is it greener in 2011?", r"^Between 2001 and 2011, about 12 ha"),
        ("Did the lake move?", r"^Between 2001 and 2011, no change of land cover was found"),
        ("How many hectares of water turned to land?", r"^Between 2001 and 2011, no change of land cover"),
    ],
)
def test_the_first_sentence_on_two_dates(assistant: Assistant, dates: tuple[str, str], text: str, verdict: str) -> None:
    answer = assistant.ask(text, dates)
    assert re.search(verdict, first(answer)), answer.text
    assert ran(answer) == ["change"] or "change" in ran(answer)
    assert "The bands used are" in answer.text and "named by the file" in answer.text
    assert [item.title for item in answer.citations] == ["change"] and answer.citations[0].images


def test_two_indices_are_two_runs(assistant: Assistant, dates: tuple[str, str]) -> None:
    answer = assistant.ask("What are the NDVI and the MNDWI here?", dates[0])
    assert [arguments["index"] for name, _, arguments, *_ in answer.trace["tools"] if name == "spectral_index"] == [
        "NDVI",
        "MNDWI",
    ]
    assert first(answer).startswith("NDVI of") and "MNDWI of the scene of 2001 has a mean" in answer.text


def test_one_result_for_two_scenes_is_said_once(assistant: Assistant, dates: tuple[str, str]) -> None:
    text = assistant.ask("NDVI", dates).text
    assert text.count("is computed as (N - R)/(N + R)") == 1
    assert re.search(r"mean of 0\.\d+ .*\[\d+\]\.\n\nNDVI of the scene of 2011 has a mean", text)


def test_what_was_told_is_not_told_again(assistant: Assistant, dates: tuple[str, str]) -> None:
    answer = assistant.ask("What is this and how much water is in it?", dates[0])
    said = re.findall(r"[^.]+\.", answer.text.split("\n\n", 1)[1])
    assert answer.text.count("Open water covers 7.2 ha") == 1
    assert len(said) == len(set(said))
    assert "dense vegetation" in answer.text  # what the bands tell, where looks do not


def test_a_part_is_named(assistant: Assistant, dates: tuple[str, str]) -> None:
    answer = assistant.ask("How much water is in this?", dates[0], region=(0, 0, 24, 24))
    assert "Open water covers 2.9 ha of the scene of 2001 (0,0,24,24), which is 50 %" in answer.text


# -- what cannot be done --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count", "why"),
    [
        ("How much forest was lost since 1990?", 1, "A change needs two or more scenes; one was given"),
        ("Plot the NDVI trend", 1, "A time series needs at least two dates"),
        ("What is the NBR?", 1, "NBR needs a swir2 band"),
        ("How many hectares burned?", 2, "Burn severity needs a swir2 band"),
        ("What is the VV backscatter value?", 1, "Radar statistics need a band vv, vh, hh or hv"),
    ],
)
def test_what_cannot_be_done_is_explained(
    assistant: Assistant, dates: tuple[str, str], text: str, count: int, why: str
) -> None:
    answer = assistant.ask(text, dates[:count])
    assert first(answer).startswith(why) and answer.status == "declined"
    assert [item.part for item in answer.citations] == [FAILED]


def test_other_places_do_not_change(assistant: Assistant, dates: tuple[str, str], tmp_path: Path) -> None:
    far = make_geotiff(tmp_path / "far_2011.tif", data=ground(), descriptions=BANDS, origin=(600_000.0, 5_000_000.0))
    answer = assistant.ask("What is different?", (dates[0], str(far)))
    assert "do not overlap" in first(answer) and answer.status == "declined"


# -- tools one by one -----------------------------------------------------------------------------


def test_a_model_of_heights_is_no_photograph(assistant: Assistant, tmp_path: Path) -> None:
    heights = np.linspace(0, 30, 3600, dtype=np.float32).reshape(1, 60, 60)
    paths = []
    for name, data in (("dsm", heights + 10), ("dtm", heights)):
        paths.append(make_geotiff(tmp_path / f"{name}.tif", data=data, descriptions=("elevation",)))
    result, _ = assistant.run_tool("change", {}, [open_scene(path) for path in paths])
    assert "fell by more than" in result.text and "rose by as much nowhere" in result.text
    assert not any("haze" in caveat or "Clouds" in caveat for caveat in result.caveats)


def test_a_ratio_that_runs_off_does_not_spoil_the_mean(assistant: Assistant, tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(60, 120, (3, 80, 80)).astype(np.uint8)
    data[:, 0, :5] = np.reshape((119, 67, 186), (3, 1))  # green + red - blue is nothing but rounding
    Image.fromarray(np.moveaxis(data, 0, -1)).save(tmp_path / "photo.png")
    scene = open_scene(tmp_path / "photo.png")
    result, _ = assistant.run_tool("spectral_index", {"index": "VARI"}, [scene])
    assert abs(result.values["VARI mean"].value) < 1
    numbers = [abs(quantity.value) for name, quantity in result.values.items() if name.startswith("VARI")]
    assert max(numbers) < 10
    assert any("divides by nearly nothing" in caveat for caveat in result.caveats)


@pytest.mark.parametrize("wrong", [{"smallest": 0}, {"smallest": -5}, {"threshold": -1.0}])
def test_what_makes_no_sense_is_refused(assistant: Assistant, dates: tuple[str, str], wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"smallest|threshold"):
        assistant.run_tool("change", wrong, [open_scene(path) for path in dates])


def test_where_most_ground_changed_nothing_is_taken_off(assistant: Assistant, tmp_path: Path) -> None:
    """Of values stretched for display: a median that half the ground moves is no common difference."""
    paths = []
    for year, soil in ((2001, 48), (2011, 0)):  # all bare land became forest
        data = np.asarray(np.clip(np.rint(ground(soil) / 0.45 * 254) + 1, 1, 255), np.uint8)
        paths.append(make_geotiff(tmp_path / f"p_{year}.tif", data=data, descriptions=BANDS))
    result, _ = assistant.run_tool("change", {}, [open_scene(path) for path in paths])
    assert result.values["NDVI gain"].value == pytest.approx(28.8, rel=0.02)
    assert result.values["NDVI loss"].value == 0
    assert any("more than 25 % of the ground changed, so NDVI was compared as it is" in c for c in result.caveats)


# -- at the terminal ------------------------------------------------------------------------------


def shown(arguments: Sequence[str]) -> Any:
    return CliRunner().invoke(build([]), list(arguments))


def test_a_name_without_its_argument_is_helped() -> None:
    result = shown(["tools", "run", "geocode", "Lima"])
    assert isinstance(result.exception, UsageError) and result.exception.hint == "Did you mean name='Lima'?"


def test_a_failure_is_told_once(dates: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# Lakes\n\nA lake is water with land around it.\n")
    store = str(tmp_path / "store")
    assert shown(["kb", "create", store]).exit_code == 0
    result = shown(["ask", "What is the NBR?", "-i", dates[0], "--kb", store])
    assert result.output.count("needs a swir2 band") == 1
    assert "rsrag show ID" not in result.output  # a tool's result has no id
