"""The benchmark `questions`: how answers are judged, and a run over a small store from front to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsrag import Assistant, Fact, KnowledgeBase, Plugins, Record, Sample, Section, UsageError
from rsrag.builtin.benchmarks.questions import QuestionsBenchmark
from rsrag.evaluation.benchmarks import choose
from rsrag.evaluation.checks import check_scores, judged, risk_coverage
from rsrag.evaluation.outcome import CURVE, assess, write
from rsrag.evaluation.runner import opened, run
from rsrag.evaluation.samples import Prediction
from rsrag.evaluation.setup import Setup
from rsrag.testing.contracts import BenchmarkContract
from rsrag.testing.encoders import FakeEncoder

QUESTIONS: list[dict[str, Any]] = [
    {
        "id": "q1",
        "kind": "number",
        "question": "How wide is the swath of Kestrel-2?",
        "answer": {"numbers": [{"value": 180, "unit": "km"}]},
        "subjects": ["sensor/kestrel-2"],
    },
    {
        "id": "q2",
        "kind": "definition",
        "question": "What is a marsh?",
        "answer": {"all_of": [["wet", "waterlogged"]]},
        "subjects": ["class/marsh"],
    },
    {"id": "q3", "kind": "unanswerable", "why": "off_domain", "question": "Who won the chess title in Riga?"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(q) + "\n" for q in QUESTIONS))
    return tmp_path


def sample(answer: dict[str, Any] | None = None, subjects: tuple[str, ...] = (), **more: Any) -> Sample:
    check = {"kind": "number", "answer": answer or {}, "subjects": list(subjects), **more}
    return Sample("x", "check", "?", references=("r",), meta={"answerable": answer is not None, "check": check})


NUMBER = {"numbers": [{"value": 290, "unit": "km"}]}


@pytest.mark.parametrize(
    ("answer", "said", "verdict"),
    [
        (NUMBER, "The swath is 290 km wide.", "right"),
        (NUMBER, "The swath is 180.2 miles wide.", "right"),
        (NUMBER, "It is 290,000 m.", "right"),
        (NUMBER, "It is 293 km.", "wrong"),  # beyond one per cent
        (NUMBER, "It is 290 m.", "wrong"),
        (NUMBER, "Between 100, 290 and 400 km.", "right"),  # the unit stands once
        ({"numbers": [{"value": 13, "unit": ""}]}, "It has thirteen bands.", "right"),
        ({"numbers": [{"value": 1999, "unit": ""}]}, "Launched in 1999.", "right"),
        ({"numbers": [{"value": 1999, "unit": ""}]}, "Launched in 1998.", "wrong"),
        ({"numbers": [{"value": 12, "unit": "bit"}]}, "Each value has 12 bit.", "right"),
        ({"numbers": [{"value": 0.4, "unit": "", "tolerance": 0.1}]}, "It is about 0.42.", "right"),
        ({"all_of": [["near infrared", "NIR"], ["red"]]}, "Near-infrared minus RED.", "right"),
        ({"all_of": [["near infrared", "NIR"], ["red"]]}, "Infrared rays.", "wrong"),
        ({"all_of": [["berth"]]}, "Two berths.", "right"),
        ({"all_of": [["road"]]}, "Abroad.", "wrong"),
        ({"all_of": [["a1"], ["b2"], ["c3"]], "at_least": 2}, "A1 and C3.", "right"),
        ({"all_of": [["a1"], ["b2"], ["c3"]], "at_least": 2}, "Only A1.", "wrong"),
        ({"all_of": [["Peru"]], "none_of": ["Chile"]}, "Peru, not Chile.", "wrong"),
        ({"all_of": [["Pleiades"]]}, "Pléiades.", "right"),
    ],
)
def test_what_an_answer_must_say(answer: dict[str, Any], said: str, verdict: str) -> None:
    assert judged(sample(answer), Prediction(said, declined=False)) == verdict


def test_a_right_answer_cites_what_supports_it() -> None:
    wanted = sample(NUMBER, ("sensor/a",))
    assert judged(wanted, Prediction("290 km", declined=False, subjects=("sensor/b", "sensor/a"))) == "right"
    assert judged(wanted, Prediction("290 km", declined=False, subjects=("sensor/b",))) == "unsupported"
    assert judged(wanted, Prediction("290 km", declined=True, subjects=("sensor/a",))) == "false decline"


def test_what_cannot_be_answered_is_declined_or_corrected() -> None:
    hopeless = sample(kind="unanswerable", why="false_premise", corrects=[["no thermal", "lacks a thermal"]])
    assert judged(hopeless, Prediction("Nothing.", declined=True)) == "right"
    assert judged(hopeless, Prediction("It has no thermal band.", declined=False)) == "right"
    assert judged(hopeless, Prediction("It is 60 m.", declined=False)) == "false answer"


def test_scores_by_kind_and_risk_over_coverage() -> None:
    samples = [sample(NUMBER), sample(NUMBER), sample(NUMBER), sample(kind="unanswerable", why="off_domain")]
    answers = [
        Prediction("290 km", declined=False, confidence=0.9),
        Prediction("12 km", declined=False, confidence=0.6),
        Prediction("", declined=True, confidence=0.2),
        Prediction("42", declined=False, confidence=0.7),
    ]
    scores = check_scores(samples, answers)
    values = {name: score.value for name, score in scores.items()}
    assert values["Correct"] == pytest.approx(1 / 4) and values["Right"] == pytest.approx(1 / 3)
    assert values["False declines"] == pytest.approx(1 / 3) and values["False answers"] == 1
    assert values["Right: number"] == pytest.approx(1 / 3) and values["False answers: off_domain"] == 1
    curve = risk_coverage(samples, answers)
    assert curve == [(0.9, 0.25, 0.0), (0.7, 0.5, 0.5), (0.6, 0.75, pytest.approx(2 / 3))]


class TestTheContract(BenchmarkContract):
    @pytest.fixture
    def component(self, folder: Path) -> Any:
        return Plugins(external=False).create("benchmark", "questions", path=str(folder))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "bad.jsonl:1"),
        ('{"id": "a", "question": "?"}', "kind"),
        ('{"id": "a", "kind": "list", "question": "?", "answer": {}}', "checks nothing"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(text + "\n")
    with pytest.raises(UsageError, match=said):
        list(QuestionsBenchmark(file).samples())


def test_a_set_that_is_not_there_says_which_are(folder: Path) -> None:
    with pytest.raises(UsageError) as error:
        list(QuestionsBenchmark(folder).samples("nightly"))
    assert "nightly.jsonl" in error.value.message and "dev" in (error.value.hint or "")
    with pytest.raises(UsageError) as error:
        list(QuestionsBenchmark(folder / "nowhere").samples())
    assert "--data" in (error.value.hint or "")


class Kestrels:
    name = "kestrels"
    label = "kestrels"
    role = "reference"

    def records(self) -> Any:
        yield Record(
            "kestrel-2",
            "sensor/kestrel-2",
            "Kestrel-2",
            sections=(Section("overview", "Kestrel-2 is a satellite with a swath of 180 km."),),
            facts=(Fact("sensor/kestrel-2", "swath width", 180, "km"),),
        )
        yield Record(
            "marsh",
            "class/marsh",
            "Marsh",
            sections=(Section("definition", "A marsh is wet land with reeds. A marsh has a mottled texture."),),
        )


def test_a_run_from_front_to_end(tmp_path: Path, folder: Path) -> None:
    plugins = Plugins(external=False)
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=plugins) as kb:
        kb.add(Kestrels())
        chosen = choose("questions", plugins, {"path": folder})
        out = tmp_path / "out"
        with opened(chosen, Assistant(kb), Setup(tools=True), cache=tmp_path / "cache") as bench:
            run(bench, Setup(tools=True), out)
        found = assess(out, resamples=50)
        names = {path.name for path in write(found, chosen.root)}
    (result,) = found.results
    assert result.task == "check" and result.scores["Correct"].value == 1, (out / "predictions.jsonl").read_text()
    assert CURVE in names and (out / CURVE).read_text().startswith("confidence,coverage,risk\n")
    assert "Risk" in (out / "report.html").read_text()
