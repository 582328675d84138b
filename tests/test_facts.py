"""Numbers looked up: which fact a question asks for, when it holds, and when nobody can say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rsrag import Assistant, Fact, KnowledgeBase, Plugins, Record, Section
from rsrag.answering.facts import Asked, fitting
from rsrag.answering.telling import sentence, stated
from rsrag.answering.times import Time, time_of, times
from rsrag.testing.encoders import FakeEncoder

MONTHS = "January February March April May June July August September October November December".split()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the NDVI in March 2019", [Time(2019, 3)]),
        ("March of 2019", [Time(2019, 3)]),
        ("in may 2020", [Time(2020, 5)]),
        ("it may rain in 2020", [Time(2020)]),
        ("2019-07 and 2020-07", [Time(2019, 7), Time(2020, 7)]),
        ("from 2013-2021", [Time(2021)]),
        ("the march of the penguins", []),
        ("Dec. 2018", [Time(2018, 12)]),
        ("band 2019x", []),
    ],
)
def test_months_and_years_are_read(text: str, found: list[Time]) -> None:
    assert times(text) == found


@pytest.mark.parametrize(
    ("when", "time"),
    [("2020-03", Time(2020, 3)), ("2020", Time(2020)), ("March", Time(0, 3)), ("3", Time(0, 3)), ("", Time()),
     ("before the war", Time()), ("2019 to 2020", Time())],
)  # fmt: skip
def test_when_a_fact_holds(when: str, time: Time) -> None:
    assert time_of(Fact("s", "a", 1, when=when)) == time


FACTS = [
    Fact("x", "swath width", 290, "km"),
    Fact("x", "launch year", 1999),
    Fact("x", "operator", "ESA"),
    Fact("x", "mean NDVI", 0.41),
    Fact("x", "mean NDVI", 0.52, when="2019-03"),
    Fact("x", "mean NDVI", 0.61, when="2019-07"),
    Fact("x", "revisit time, one satellite", 10, "days"),
    Fact("x", "revisit time, two satellites", 5, "days"),
]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("how wide is the swath of Xsat?", 290),
        ("Xsat's swath in km?", 290),
        ("who operates Xsat?", "ESA"),
        ("mean NDVI of Xsat in March 2019?", 0.52),
        ("mean NDVI of Xsat in july?", 0.61),
        ("what is the mean NDVI of Xsat?", 0.41),
        ("how often does Xsat revisit?", 10),
        ("mean NDVI of Xsat in August 2019?", None),
        ("mean NDVI of Xsat in March 2018?", None),
        ("how heavy is Xsat?", None),
        ("what is the launch mass of Xsat?", None),
        ("what is the colour of the swath of Xsat?", None),
    ],
)
def test_the_fact_that_is_asked_for(question: str, value: object) -> None:
    found = fitting(Asked.of(question, ["Xsat"]), FACTS)
    assert (found[0][0].value if found else None) == value


CODED = [
    *(Fact("x", f"land cover type {n} (LC_Type{n})", n) for n in (1, 2, 5)),
    *(Fact("x", f"surface reflectance of band {n} (SR_B{n})", n / 100) for n in (1, 3, 7)),
    Fact("x", "surface eastward wind (ULML)", 7.6, "m/s", when="September 2020"),
    Fact("x", "population (estimate)", 900),
    Fact("x", "surface wind speed (SPEED)", 3.1, "m/s"),
]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is the land cover type 5 of Xsat?", 5),
        ("Xsat: LC_Type2?", 2),
        ("the surface reflectance of band 3 of Xsat", 0.03),
        ("SR_B7 of Xsat", 0.07),
        ("ULML of Xsat for September 2020", 7.6),
        ("ULML of Xsat for September 2019", None),
        ("How high is the wind speed at the place in this image?", 3.1),
        ("What is the wind speed of this place?", 3.1),
        ("what is the estimate of Xsat?", None),
    ],
)
def test_codes_and_numbers_in_names_of_figures(question: str, value: object) -> None:
    found = fitting(Asked.of(question, ["Xsat"]), CODED)
    assert (found[0][0].value if found else None) == value


@pytest.mark.parametrize(
    ("title", "facts", "unit", "said"),
    [
        ("Xsat", [("number of bands", 1, "")], "", "Xsat has 1 band."),
        (
            "Xsat",
            [("number of bands (VIS)", 21, ""), ("number of bands (IR)", 11, "")],
            "",
            "Xsat has 21 bands (VIS) and 11 (IR).",
        ),
        ("x", [("Xsat-2 composite bands", "B4", "")], "", "The Xsat-2 composite bands of x is B4."),
        ("x", [("Population", 5, "")], "", "The population of x is 5."),
        ("x", [("depth, mean (of all)", 5, "m")], "", "The depth of x is 5 m (mean (of all))."),
        ("x", [("depth", 30, "m")], "nm", "The depth of x is 30 m."),
        ("x", [("depth", 30, "m")], "feet", "The depth of x is 30 m, which is 98.43 feet."),
        ("x", [("area", 2, "km2")], "m2", "The area of x is 2 km2, which is 2,000,000 m2."),
    ],
)
def test_facts_are_said_as_people_say_them(
    title: str, facts: list[tuple[str, int | str, str]], unit: str, said: str
) -> None:
    assert sentence(title, [Fact("x", *f) for f in facts], unit) == said


def test_a_fact_reads_like_a_sentence() -> None:
    assert sentence("Xsat", FACTS[:1]) == "The swath width of Xsat is 290 km."
    assert sentence("Xsat", [FACTS[4]]) == "The mean NDVI of Xsat in March 2019 is 0.52."
    assert (
        sentence("Xsat", FACTS[6:])
        == "The revisit time of Xsat is 10 days (one satellite) and 5 days (two satellites)."
    )
    assert stated("a swath of 290,000 m", FACTS[0]) and not stated("a swath of 290 m", FACTS[0])


class Landmarks:
    """Places with a yearly and twelve monthly figures each, as prose that a sentence search would confuse."""

    name = "landmarks"
    label = "landmarks"
    role = "reference"

    def records(self) -> Iterator[Record]:
        for i, title in enumerate(("Alder Bridge", "Birch Tower", "Cedar Palace")):
            facts = [Fact(f"l/{i}", "albedo", round(0.1 + i / 100, 2)), Fact(f"l/{i}", "area", 5.5 + i, "ha")]
            sections = []
            for m, month in enumerate(MONTHS, 1):
                value = round(0.2 + i / 10 + m / 1000, 3)
                facts.append(Fact(f"l/{i}", "NDVI", value, when=f"2021-{m:02d}"))
                sections.append(Section("monthly", f"NDVI is {value} and rain falls.", heading=f"{month} 2021"))
            yield Record(f"l{i}", f"l/{i}", title, "It is a landmark.", tuple(sections), facts=tuple(facts))


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder: Path = tmp_path_factory.mktemp("landmarks")
    with KnowledgeBase(folder, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Landmarks())
        yield kb


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("m", [1, 5, 12])
def test_the_right_month_of_the_right_place(landmarks: KnowledgeBase, i: int, m: int) -> None:
    title = ("Alder Bridge", "Birch Tower", "Cedar Palace")[i]
    answer = Assistant(landmarks).ask(f"What was the NDVI of {title} in {MONTHS[m - 1]} 2021?")
    assert answer.status == "answered" and f"{round(0.2 + i / 10 + m / 1000, 3)}" in answer.text
    (cited,) = answer.citations[:1]
    assert cited.title == title and cited.provenance.heading == f"{MONTHS[m - 1]} 2021"


@pytest.mark.parametrize(
    "question",
    [
        "What was the NDVI of Birch Tower in May 2019?",  # another year
        "What was the albedo of Birch Tower in May 2021?",  # known for no month
        "What was the NDVI in May 2021?",  # of which one?
        "What was the NDVI of Walnut Castle in May 2021?",  # unknown
        "How many visitors does Birch Tower have?",  # not known of it
    ],
)
def test_what_is_not_known_is_not_invented(landmarks: KnowledgeBase, question: str) -> None:
    answer = Assistant(landmarks).ask(question)
    assert answer.status == "declined", answer.text
    assert "0.3" not in answer.text and "0.1" not in answer.text


def test_a_figure_of_many_asks_which(landmarks: KnowledgeBase) -> None:
    answer = Assistant(landmarks).ask("What is the area in hectares?")
    assert answer.text.startswith("It depends on which one is meant") and "Birch Tower" in answer.text


def test_a_figure_of_several_is_nobodys_even_when_one_is_found_alone(tmp_path: Path) -> None:
    """The first hits may all be of one subject; what others have as well is not its alone."""

    class Masts:
        name = "masts"
        label = "masts"
        role = "reference"

        def records(self) -> Iterator[Record]:
            yield Record(
                "m1", "m/1", "Elm Mast", "The mast height of all masts.", facts=(Fact("m/1", "mast height", 41, "m"),)
            )
            for n in range(40):
                text = f"Something else about gravel and number {n}."
                yield Record(f"g{n}", f"g/{n}", f"Gravel Pit {n}", text)
            yield Record("m2", "m/2", "Oak Mast", "A tall thing.", facts=(Fact("m/2", "mast height", 57, "m"),))

    with KnowledgeBase(tmp_path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Masts())
        answer = Assistant(kb).ask("What is the mast height?")
        assert answer.status == "declined" and "Oak Mast" in answer.text and "Elm Mast" in answer.text
        assert "41 m" in Assistant(kb).ask("What is the mast height of Elm Mast?").text
