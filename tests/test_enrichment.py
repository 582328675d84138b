"""Acronyms both ways, and terms that a model tells: further words by which a passage is found."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from whole import Listed, numbered

from rsrag import BBox, KnowledgeBase, ModelError, Plugins, Prompt, Query, Record, UsageError
from rsrag.cli.app import build
from rsrag.enrichment import LONGEST_TERM, MOST_TERMS, Enriched, enrich, terms
from rsrag.store.acronyms import acronyms, stands_for
from rsrag.store.catalog import Catalog
from rsrag.store.records import Batch
from rsrag.store.words import possible_acronyms
from rsrag.testing import ScriptedModel

LONG = Record("long", "index/long", "Greenness", "The normalized difference vegetation index rises in spring.")
SHORT = Record("short", "index/short", "Meadows", "In June the NDVI of meadows falls after mowing.")
TELLS = Record("tells", "index/tells", "NDVI", "What it is.", aliases=("Normalized Difference Vegetation Index",))


def found(kb: KnowledgeBase, question: str, k: int = 9) -> list[str]:
    return [hit.chunk.provenance.record for hit in kb.search_text(Query(question), k)]


# -- acronyms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("NDVI", "Normalized Difference Vegetation Index"),
        ("NIR", "near infrared"),
        ("SWIR", "shortwave infrared"),
        ("MODIS", "Moderate Resolution Imaging Spectroradiometer"),
        ("ASTER", "Advanced Spaceborne Thermal Emission and Reflection Radiometer"),
        ("BOA", "bottom-of-atmosphere"),
        ("LiDAR", "light detection and ranging"),
        ("GCPs", "ground control points"),
        ("CO", "carbon oxide"),
    ],
)
def test_a_short_name_stands_for_its_words(short: str, long: str) -> None:
    assert stands_for(short, long)
    assert acronyms("", (), [f"We use the {long} ({short}) here."]) == acronyms("", (), [f"The {short} ({long})."])
    assert len(acronyms("", (), [f"We use the {long} ({short}) here."])) == 1


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("NDVI", "NDVI of meadows"),  # explains nothing
        ("NDVI", "vegetation index"),
        ("SLC", "sentinel-1 products"),  # the letters are there, but not at the words' beginnings
        ("S2A", "Sentinel-2 bands"),
        ("IR", "infrared"),  # one word is a spelling, no long name
        ("DN", "digital number to reflectance"),
        ("ALOS2", "ALOS 2"),
        ("", "nothing at all"),
        ("AB", ""),
    ],
)
def test_a_short_name_stands_for_nothing_else(short: str, long: str) -> None:
    assert not stands_for(short, long)


@given(st.text(max_size=12), st.text(max_size=60), st.text(max_size=200))
def test_any_names_and_texts_can_be_looked_through(short: str, long: str, text: str) -> None:
    for a, b in acronyms(short, (long,), [text, f"{long} ({short}) {text}"]):
        assert a and b and " " in b


@given(st.lists(st.from_regex(r"[a-z]{2,9}", fullmatch=True), min_size=2, max_size=6))
def test_initials_stand_for_their_words(words: list[str]) -> None:
    initials = "".join(word[0] for word in words)
    if initials[-1] != "s" and not any(initials.startswith(word) for word in words):
        assert stands_for(initials.upper(), " ".join(words))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What does NDVI tell?", True),
        ("what does ndvi tell?", True),  # typed without capitals at all
        ("What does ndvi tell in Cairo?", False),
        ("Normalised or normalized difference vegetation index?", True),
    ],
)
def test_which_words_of_a_question_may_be_a_name(question: str, expected: bool) -> None:
    assert bool(possible_acronyms(question) & {"ndvi", "normalized difference vegetation index"}) is expected


def test_a_short_name_finds_the_long_one_and_the_other_way_round(kb: KnowledgeBase) -> None:
    kb.add(Listed(LONG, SHORT))
    assert found(kb, "ndvi") == ["short"] and found(kb, "NDVI in spring") == ["long", "short"]
    kb.add(Listed(TELLS, label="more"))  # any record of the store may tell
    assert set(found(kb, "ndvi")) == {"long", "short", "tells"}
    assert set(found(kb, "Normalized difference vegetation index")) == {"long", "short", "tells"}
    kb.delete(source="more")
    assert found(kb, "ndvi") == ["short"]
    assert kb.catalog.count("acronyms") == 0


def test_a_gazetteer_tells_no_acronyms(kb: KnowledgeBase) -> None:
    kb.add(Listed(Record("fji", "place/fji", "Fair Jungle Island", "", aliases=("FJI",), vectors=False)))
    assert kb.catalog.count("acronyms") == 0


# -- terms that a model tells ---------------------------------------------------------------------


def by_title(**replies: str) -> Callable[[Prompt], str]:
    return lambda prompt: replies.get(prompt.evidence[0].title, "nothing; else")


def test_a_passage_is_found_by_the_terms_that_a_model_told(kb: KnowledgeBase, tmp_path: Path, plugins: Plugins) -> None:
    kb.add(Listed(LONG, SHORT))
    model = ScriptedModel(by_title(Greenness="1. photosynthesis [1]; biomass", Meadows="hay making"))
    assert enrich(kb, model).done == 2
    assert found(kb, "biomass") == ["long"] and found(kb, "hay") == ["short"]
    assert [hit.chunk.text for hit in kb.search_text(Query("biomass"), 1)] == [LONG.text]  # never shown
    assert {p.evidence[0].text for p in model.prompts} == {LONG.text, SHORT.text}
    assert kb.verify().problems == []

    assert enrich(kb, model) == enrich(kb, ScriptedModel(ModelError("away"))) and len(model.prompts) == 2
    kb.export(tmp_path / "export")
    with KnowledgeBase(tmp_path / "other", "fake", plugins=plugins) as other:
        other.import_(tmp_path / "export")
        assert found(other, "biomass") == ["long"] and other.verify().problems == []
    kb.delete(source="notes")
    assert kb.catalog.count("terms") == 0 and found(kb, "biomass") == []


def test_what_was_told_of_a_text_stays_with_it(kb: KnowledgeBase) -> None:
    kb.add(Listed(LONG))
    enrich(kb, ScriptedModel("biomass"))
    kb.add(Listed(Record("long", LONG.subject, LONG.title, LONG.text, url="https://example.org/new")))
    assert found(kb, "biomass") == ["long"]
    kb.add(Listed(Record("long", LONG.subject, LONG.title, "Another text.")))
    assert found(kb, "biomass") == [] and kb.verify().problems == []
    assert kb.catalog.count("terms") == 0


def test_another_model_is_asked_again_on_demand_alone(kb: KnowledgeBase) -> None:
    kb.add(Listed(LONG))
    first, second = ScriptedModel("biomass"), ScriptedModel("chlorophyll")
    second.name = "second"  # type: ignore[misc]
    enrich(kb, first)
    assert enrich(kb, second).done == 0
    assert enrich(kb, second, again=True).done == 1 and enrich(kb, second, again=True).done == 0
    assert found(kb, "biomass") == [] and found(kb, "chlorophyll") == ["long"]


def test_a_run_that_breaks_off_goes_on(kb: KnowledgeBase) -> None:
    kb.add(Listed(*map(numbered, range(40))))
    replies: list[Any] = ["first"] * 20 + [ModelError("the server is away.")]
    with pytest.raises(ModelError, match="away"):
        enrich(kb, ScriptedModel(replies))
    assert kb.catalog.count("terms") == 20
    rest = ScriptedModel("second")
    assert enrich(kb, rest, limit=15) == Enriched(15, 20)
    assert kb.catalog.count("terms") == 35 and len(rest.prompts) == 15


def test_one_passage_that_fails_costs_itself(kb: KnowledgeBase) -> None:
    kb.add(Listed(*map(numbered, range(3))))
    replies: list[Any] = ["fine", ValueError("odd"), ""]
    done = enrich(kb, ScriptedModel(replies))
    assert done.done == 1
    assert [why for _, why in done.failed] == ["ValueError: odd", "the model named no terms"]
    assert enrich(kb, ScriptedModel("fine")).done == 2


def test_a_reader_is_no_model_to_ask(kb: KnowledgeBase, plugins: Plugins) -> None:
    with pytest.raises(UsageError, match="writes no text of its own"):
        enrich(kb, plugins.create("model", "extractive"))
    with pytest.raises(UsageError, match="no source called 'x'"):
        enrich(kb, ScriptedModel("y"), sources=["x"])


@given(st.text(max_size=400))
def test_a_reply_of_any_kind_gives_a_few_short_terms(reply: str) -> None:
    given_ = terms(reply)
    assert len(given_) <= MOST_TERMS and all(0 < len(term) <= LONGEST_TERM for term in given_)
    assert terms("; ".join(given_)) == given_ or any("," in term or "(" in term for term in given_)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("NDVI; red edge; 1,5 m grid", ["NDVI", "red edge", "1,5 m grid"]),
        ("1. NDVI\n2) red edge\n- leaf area", ["NDVI", "red edge", "leaf area"]),
        ("Forest; forest ; FOREST [1]", ["Forest"]),
        ("Here are the terms that you have asked me for: none", []),
        ("", []),
    ],
)
def test_terms_of_a_reply(reply: str, expected: list[str]) -> None:
    assert terms(reply) == expected


def test_the_command(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    kb.add(Listed(LONG, SHORT))
    path = str(kb.path)
    kb.close()
    asked = SimpleNamespace(model=ScriptedModel("biomass"))
    monkeypatch.setattr("rsrag.cli.session.Session.assistant", lambda self, store: asked)
    arguments = ["kb", "enrich", "--kb", path, "--limit", "1", "--json"]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"done": 1, "unchanged": 0, "failed": []}


# -- what hangs on a record -----------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(*(st.floats(-180, 180) for _ in range(2)), st.floats(-90, 90), st.floats(0, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_a_record_leaves_with_its_boxes(places: list[tuple[float, float, float, float]]) -> None:
    records = [
        Record(f"r{i}", f"p/{i}", f"T{i}", "x", bbox=BBox(west, south, east, min(90.0, south + up)))
        for i, (west, east, south, up) in enumerate(places)
    ]
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(Path(folder) / "catalog.sqlite", create=True)
        catalog.put_source("s", "list", "mine", "", "", {})
        catalog.records.put(Batch("s", [(record, "1", []) for record in records]))
        catalog.records.remove("s", ["r0"])
        left = catalog.db.execute("SELECT count(*) FROM boxes WHERE record NOT IN (SELECT rowid FROM records)")
        assert left.fetchone() == (0,)
        with catalog.write() as db:
            catalog.records.drop_source(db, "s")
        assert catalog.count("boxes") == 0
        catalog.close()
