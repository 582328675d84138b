"""What people really type: slips, other spellings and units, pieces, capitals, two questions at once, other tongues."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import rsrag
from rsrag import Assistant, Fact, KnowledgeBase, Plugins, Record, Section
from rsrag.answering.facts import Asked, fitting
from rsrag.answering.known import stands_for
from rsrag.answering.listing import wanted
from rsrag.answering.mentions import key_of, mentions, names_of
from rsrag.answering.reliability import reliability, threshold
from rsrag.answering.spelling import index, respelt
from rsrag.answering.telling import sentence
from rsrag.answering.words import keys
from rsrag.builtin.tools.nearby import Nearby
from rsrag.testing.encoders import FakeEncoder
from rsrag.types import Query

ROOT = Path(rsrag.__file__).parent


def record(id: str, title: str, aliases: tuple[str, ...], facts: list[tuple[Any, ...]], **parts: str) -> Record:
    sections = tuple(Section(part.replace("_", " "), text) for part, text in parts.items())
    return Record(id, id, title, sections=sections, aliases=aliases, facts=tuple(Fact(id, *f) for f in facts))


class Fleet:
    name = "fleet"
    label = "fleet"
    role = "reference"

    def records(self) -> Iterator[Record]:
        yield record(
            "sensor/kestrel-2",
            "Kestrel-2 VIS",
            ("Kestrel-2", "Kestrel 2", "K2A", "Kestrel-2A", "Kestrel-2B"),
            [
                ("swath width", 180, "km"),
                ("revisit time", 6, "days"),
                ("orbit altitude", 700, "km"),
                ("operator", "Avian Agency"),
                ("launch year Kestrel-2A", 2011),
                ("launch year Kestrel-2B", 2014),
                ("red band B4 central wavelength", 665, "nm"),
                ("red band B4 resolution", 10, "m"),
                ("best resolution", 10, "m"),
            ],
            overview="Kestrel-2 VIS is an optical satellite pair with a swath of 180 km. Kestrel-2 data are free.",
            bands="Kestrel-2 VIS has bands B2 blue, B3 green and B4 red with 10 m pixels.",
            limits="Kestrel-2 VIS has no thermal band, so it cannot measure surface temperature.",
        )
        yield record(
            "sensor/osprey",
            "Osprey thermal imager",
            ("Osprey",),
            [("swath width", 90, "km"), ("thermal band T1 resolution", 60, "m"), ("best resolution", 60, "m")],
            overview="Osprey thermal imager measures surface temperature with one thermal band. It flies at dusk.",
        )
        yield record(
            "index/kdi",
            "KDI, Kestrel Dryness Index",
            ("KDI", "Kestrel Dryness Index"),
            [("formula", "(A - B)/(A + B)")],
            definition="KDI is the difference of A and B divided by their sum. KDI uses two bands.",
            limits="KDI fails over dense forest because the canopy hides the soil.",
            meaning="A high KDI means dry soil, and a low KDI means wet soil.",
        )
        yield record(
            "class/pond",
            "Pond",
            (),
            [],
            appearance="A pond is a small sheet of still water. A pond has a round shore.",
        )
        yield record(
            "index/pgi",
            "PGI, Pond Greenness Index",
            ("PGI", "mAP"),
            [],
            definition="PGI tells phytoplankton in a pond. PGI uses two bands.",
        )


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    with KnowledgeBase(tmp_path_factory.mktemp("fleet"), FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Fleet())
        yield Assistant(kb)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How wide is the swath of Kestrel-2?", "180 km"),
        ("kestrel2 swath", "180 km"),  # joined
        ("Kestral-2 swath width", "180 km"),  # a wrong letter
        ("K2A's swath?", "180 km"),  # a code, and a genitive
        ("WHAT IS THE SWATH WIDTH OF KESTREL-2", "180 km"),
        ("kestrel-2: swath?", "180 km"),
        ("swath of Kestrel-2 in miles", "111.8 miles"),
        ("central wavelength of Kestrel-2 B4 in µm?", "0.665 µm"),
        ("what is the central wavelength of band 4 of Kestrel 2", "665 nm"),
        ("at what height does Kestrel-2 fly?", "700 km"),
        ("How often does Kestrel-2 come back?", "6 days"),
        ("who runs Kestrel-2", "Avian Agency"),
        ("when did Kestrel-2B go up?", "2014"),
        ("hi, quick question: what's the revisit time of Kestrel-2 please, thanks", "6 days"),
        ("Kestrel-2 swath width and revisit time?", "6 days"),
        ("Kestrel-2 swath width? And the one of Osprey?", "90 km"),
        ("What does KDI stand for?", "Kestrel Dryness Index"),
    ],
)
def test_slips_spellings_units_and_pieces(assistant: Assistant, question: str, said: str) -> None:
    answer = assistant.ask(question)
    assert said in answer.text and answer.status != "declined", answer.text
    assert answer.citations and answer.confidence is not None and 0 <= answer.confidence <= 1


def test_what_was_read_otherwise_is_told(assistant: Assistant) -> None:
    assert any("Kestral-2" in warning for warning in assistant.ask("Kestral-2 swath width").warnings)
    assert not assistant.ask("Kestrel-2 swath width").warnings


def test_two_subjects_are_compared_by_their_figures(assistant: Assistant) -> None:
    answer = assistant.ask("Which has the wider swath, Kestrel-2 or Osprey?")
    assert answer.text.startswith("It is Kestrel-2") and "180 km" in answer.text and "90 km" in answer.text


@pytest.mark.parametrize(
    ("question", "names", "others"),
    [
        ("Which sensors have a thermal band?", ["Osprey"], ["Kestrel-2 VIS"]),
        ("which satellites resolve finer than 20 m?", ["Kestrel-2 VIS"], ["Osprey"]),
    ],
)
def test_a_list_over_many_subjects(assistant: Assistant, question: str, names: list[str], others: list[str]) -> None:
    answer = assistant.ask(question)
    first = answer.text.splitlines()[0]
    assert all(name in first for name in names) and not any(name in first for name in others), answer.text


@pytest.mark.parametrize(
    "question",
    [
        "What is the mass of Kestrel-2?",
        "What is the swath of Kestrel-9?",
        "What is the wavelength of band B14 of Kestrel-2?",
        "How many trees are there in my photo?",
        "count the ships in this picture",
        "Who won the chess title in Riga?",
        "¿Quién ganó el partido de fútbol ayer por la noche?",
    ],
)
def test_what_is_not_known_is_declined_and_says_what_would_help(assistant: Assistant, question: str) -> None:
    answer = assistant.ask(question)
    assert answer.status == "declined", answer.text
    assert re.search(r"would answer it|Ask in English|--model|Add documents", answer.text), answer.text


def test_a_band_that_there_is_not_is_told_from_those_that_are(assistant: Assistant) -> None:
    text = assistant.ask("What is the wavelength of band B14 of Kestrel-2?").text
    assert "B14" in text and "B2 blue, B3 green and B4 red" in text


def test_a_false_premise_is_corrected(assistant: Assistant) -> None:
    answer = assistant.ask("What is the resolution of the thermal band of Kestrel-2?")
    assert "no thermal band" in answer.text and "10 m" not in answer.text


def test_another_language_is_told_what_can_be_read(assistant: Assistant) -> None:
    text = assistant.ask("Wer hat gestern das Fussballspiel in Hamburg gewonnen?").text
    assert "English" in text
    assert "180 km" in assistant.ask("Bitte den swath von Kestrel-2 angeben").text  # what is known is answered


def test_five_thousand_words_are_read_in_time(assistant: Assistant) -> None:
    question = "How wide is the swath of Kestrel-2? " + "It is about fields and rivers and roads. " * 700
    start = time.perf_counter()
    answer = assistant.ask(question)
    assert time.perf_counter() - start < 20 and answer.text


def test_how_sure_it_is_never_leaves_its_bounds() -> None:
    assert 0 < threshold() < 1
    assert 0 < reliability("subject", {"similarity": 1.0, "cover": 1.0}) <= 1
    assert reliability("subject", {"similarity": 0.9}) > reliability("subject", {"similarity": 0.1})


@pytest.mark.parametrize(
    ("text", "names", "found"),
    [
        ("S-2A and s2a", ["S2A"], ["S2A", "S2A"]),
        ("two burn scars", ["burn scar"], ["burn scar"]),
        ("Sentinels", ["Sentinel-2"], []),
        ("width in mm", ["MM"], []),  # a code is written in capitals
        ("MM is Myanmar", ["MM"], ["MM"]),
        ("the Pleiades pair", ["Pléiades"], ["Pléiades"]),
    ],
)
def test_names_are_met_however_they_are_written(text: str, names: list[str], found: list[str]) -> None:
    assert [m.name for m in mentions(text, names)] == found


@pytest.mark.parametrize(
    ("short", "long", "so"),
    [("MODIS", "Moderate Resolution Imaging Spectroradiometer", True), ("NBR", "Normalized Burn Ratio", True),
     ("NBR", "Normalized Difference Vegetation Index", False), ("KDI", "KDI two", False)],
)  # fmt: skip
def test_acronyms(short: str, long: str, so: bool) -> None:
    assert stands_for(short, long) is so


def test_words_of_a_small_store_are_left_alone() -> None:
    names = index(["Kestrel-2"])
    for text in ("How does it change with season?", "is there an orchard", "Which bread?"):
        assert respelt(text, names, lambda word: False, ()) == (text, ())


def test_long_and_short_terms_are_one() -> None:
    assert "nir" in keys("the near-infrared band") and {"near", "infrar"} <= set(keys("NIR"))


def test_ends_of_a_range_and_other_units() -> None:
    ends = [Fact("x", "red band B3 lower wavelength", 630, "nm"), Fact("x", "red band B3 upper wavelength", 690, "nm")]
    found = [fact for fact, _ in fitting(Asked.of("wavelength of band 3 of Xsat", ["Xsat"]), ends)]
    assert sentence("Xsat", found) == "The red band B3 wavelength of Xsat runs from 630 to 690 nm."
    assert sentence("Xsat", [Fact("x", "launch year", 1999)]) == "Xsat was launched in 1999."


@pytest.mark.parametrize("text", ["What is a sensor?", "bands of the sensor", "hello"])
def test_not_every_noun_asks_for_a_list(text: str) -> None:
    assert wanted(text) is None


def test_places_by_name_without_an_image() -> None:
    tool = Nearby()
    far = Query("how far is Lisbon from Madrid?")
    assert tool.applies(far) == 0.9
    result = tool(**tool.arguments(far))  # type: ignore[arg-type]
    assert 490 < result.values["distance"].value < 515
    near = Query("nearest airport to Kathmandu?")
    assert "KTM" in tool(**tool.arguments(near)).text  # type: ignore[arg-type]
    assert tool.applies(Query("how far is the moon from Qzxvkburg?")) == 0.0
    assert tool.applies(Query("What is the distance between bases?")) == 0.0


def test_no_entity_of_a_pack_stands_in_the_reader() -> None:
    """The lexicon is about English and the field's general vocabulary: what is known comes from the packs."""
    names = set()
    for pack in ("sensors", "indices", "places"):
        for line in (ROOT.parent / "knowledge" / pack / "records.jsonl").read_text("utf-8").splitlines():
            given = json.loads(line)
            if given["subject"].startswith(("sensor/", "index/", "place/city", "place/country")):
                names |= {n for n in names_of(given["title"], given.get("aliases", ())) if len(key_of(n)) >= 4}
    lexicon = (ROOT / "answering" / "lexicon.toml").read_text("utf-8")
    proper = {n for n in names if re.search(r"\d|[A-Z].*[A-Z]", n) or n[:1].isupper()}
    there = [n for n in proper if re.search(rf"(?<![\w]){re.escape(n)}(?![\w])", lexicon)]
    assert not there, there


def test_why_is_told_on_the_command_line(tmp_path: Path) -> None:
    from rsrag.cli.app import build

    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "marsh.md").write_text("# Marsh\n\nA marsh is wet land with reeds. A marsh floods in spring.\n")
    app, runner, kb = build(), CliRunner(), str(tmp_path / "kb")
    for arguments in (["kb", "create", kb], ["kb", "add", str(folder), "--kb", kb]):
        made = runner.invoke(app, arguments)
        assert made.exit_code == 0, made.output
    shown = runner.invoke(app, ["ask", "What is a marsh?", "--kb", kb, "--why"])
    assert shown.exit_code == 0 and "Lanes" in shown.output and "Read:" in shown.output, shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 80
    given = json.loads(runner.invoke(app, ["ask", "What is a marsh?", "--kb", kb, "--why", "--json"]).stdout)
    assert given["trace"]["model"]["steps"] and given["confidence"] is not None


@pytest.mark.parametrize(
    ("question", "said", "unsaid"),
    [
        ("What is the spectral resolution of Kestrel-2 in µm?", "", "10 m"),  # 10 m is the spatial one
        ("spatial resolution of Kestrel-2 in µm", "10 m", "µm"),  # nobody tells a pixel in micrometres
        ("WAS IST KDI?", "reads questions in English", "'IST'"),
        ("Wie groß ist die Auflösung von Kestrel-2?", "", "does not mention"),
        ("What does a high KDI value mean?", "A high KDI means dry soil", "difference of A and B"),
        ("Does Kestrel-2 have a panchromatic band?", "No panchromatic band is named", "Nothing in the knowledge base"),
        ("what should i use to map phytoplankton in a pond", "PGI tells phytoplankton", "still water"),
    ],
)
def test_what_is_asked_is_what_is_answered(assistant: Assistant, question: str, said: str, unsaid: str) -> None:
    answer = assistant.ask(question)
    assert said in answer.text and unsaid not in answer.text, answer.text


def test_a_code_that_is_a_word_is_met_with_its_capitals() -> None:
    assert [m.name for m in mentions("mAP or a map", ["mAP"])] == ["mAP"]
    assert [m.name for m in mentions("WHAT IS MAP", ["mAP"])] == ["mAP"]
