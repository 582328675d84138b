"""The question sets of tests/questions are valid, fair to look up, and unknown to the program they test."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
QUESTIONS = ROOT / "tests" / "questions"
# `test` is written by somebody else and may come later; what exists is checked, and `dev` must exist (test_dev_exists).
SETS = [name for name in ("dev", "test") if (QUESTIONS / f"{name}.jsonl").exists()]

Question = dict[str, Any]
ANSWERABLE = {
    "number", "definition", "list", "where", "when", "tell_apart", "why", "how", "yes_no", "identify", "near",
}  # fmt: skip
REASONS = {"off_domain", "unknown_entity", "missing_attribute", "needs_sight", "false_premise"}
ANSWER_KEYS = {"numbers", "all_of", "at_least", "none_of"}
WITHOUT_SUBJECTS = {"where", "near"}  # a tool may answer these, with evidence of its own
QUESTION_WORDS = frozenset(
    "how many much what which number the a an of is are in on to for do does can i me it and or".split()
)


@cache
def read(name: str) -> tuple[Question, ...]:
    return tuple(json.loads(line) for line in (QUESTIONS / f"{name}.jsonl").read_text("utf-8").splitlines())


@cache
def subjects() -> frozenset[str]:
    """Every subject of the packs in knowledge/."""
    return frozenset(
        json.loads(line)["subject"]
        for records in (ROOT / "knowledge").glob("*/records.jsonl")
        for line in records.read_text("utf-8").splitlines()
    )


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def groups_of_words(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(g and isinstance(g, list) and all(map(is_text, g)) for g in value)
    )


def number_problems(numbers: object) -> Iterator[str]:
    if not isinstance(numbers, list) or not numbers:
        yield "numbers is no list with content"
        return
    for number in numbers:
        if not isinstance(number, dict) or not {"value", "unit"} <= number.keys() <= {"value", "unit", "tolerance"}:
            yield "a number has value, unit and perhaps tolerance"
        elif isinstance(number["value"], bool) or not isinstance(number["value"], int | float):
            yield "a value is no number"
        elif not isinstance(number["unit"], str):
            yield "a unit is no text"
        elif not 0 <= number.get("tolerance", 0.01) < 0.5:
            yield "a tolerance is not within 0 and 0.5"


def answer_problems(answer: object) -> Iterator[str]:
    if not isinstance(answer, dict) or not answer.keys() & {"numbers", "all_of"} or answer.keys() - ANSWER_KEYS:
        yield "an answer has numbers or all_of, and no other key than at_least and none_of"
        return
    if "numbers" in answer:
        yield from number_problems(answer["numbers"])
    groups = answer.get("all_of")
    if "all_of" in answer and not groups_of_words(groups):
        yield "all_of is no list of groups of words"
    elif "at_least" in answer and not 1 <= answer["at_least"] <= len(groups or ()):
        yield "at_least is not between 1 and the number of groups"
    if "none_of" in answer and not (answer["none_of"] and all(map(is_text, answer["none_of"]))):
        yield "none_of is no list of words"


def problems(question: Question) -> Iterator[str]:
    """What is wrong with one line, in words; nothing where it follows README.md."""
    kind = question.get("kind")
    common = {"id", "kind", "question", "image", "note"}
    if not is_text(question.get("question")):
        yield "no question"
    if kind == "unanswerable":
        if question.keys() - common - {"why", "corrects"}:
            yield "unknown keys"
        if question.get("why") not in REASONS:
            yield "why is none of the five"
        if "corrects" in question and question.get("why") != "false_premise":
            yield "only a false premise is corrected"
        if question.get("why") == "false_premise" and not groups_of_words(question.get("corrects")):
            yield "a false premise needs corrects, a list of groups of words"
    elif kind in ANSWERABLE:
        if question.keys() - common - {"answer", "subjects"}:
            yield "unknown keys"
        yield from answer_problems(question.get("answer"))
        if not question.get("subjects") and kind not in WITHOUT_SUBJECTS:
            yield "no subjects"
        if kind == "identify" and "image" not in question:
            yield "nothing to identify"
    else:
        yield "unknown kind"


GOOD: Question = {"id": "x-001", "kind": "number", "question": "How wide?", "subjects": ["sensor/x"]}
GOOD |= {"answer": {"numbers": [{"value": 290, "unit": "km"}]}}
DECLINED: Question = {"id": "x-002", "kind": "unanswerable", "question": "Why?", "why": "off_domain"}


@pytest.mark.parametrize(
    "bad",
    [
        GOOD | {"kind": "riddle"},
        GOOD | {"question": " "},
        GOOD | {"subjects": []},
        GOOD | {"why": "off_domain"},
        GOOD | {"kind": "identify"},
        GOOD | {"answer": {}},
        GOOD | {"answer": {"at_least": 1}},
        GOOD | {"answer": {"text": "290 km"}},
        GOOD | {"answer": {"numbers": []}},
        GOOD | {"answer": {"numbers": [{"value": "290", "unit": "km"}]}},
        GOOD | {"answer": {"numbers": [{"value": 290}]}},
        GOOD | {"answer": {"numbers": [{"value": 290, "unit": "km", "tolerance": 2}]}},
        GOOD | {"answer": {"all_of": ["red"]}},
        GOOD | {"answer": {"all_of": [["red", ""]]}},
        GOOD | {"answer": {"all_of": [["red"]], "at_least": 2}},
        GOOD | {"answer": {"all_of": [["red"]], "none_of": []}},
        DECLINED | {"why": "boring"},
        DECLINED | {"answer": {"all_of": [["red"]]}},
        DECLINED | {"corrects": [["red"]]},
        DECLINED | {"why": "false_premise"},
    ],
)
def test_the_check_of_a_line_finds_what_is_wrong(bad: Question) -> None:
    assert list(problems(GOOD)) == list(problems(DECLINED)) == []
    assert len(list(problems(bad))) == 1


def test_dev_exists() -> None:
    assert "dev" in SETS


@pytest.mark.parametrize("name", SETS)
def test_every_line_follows_the_format(name: str) -> None:
    assert {q.get("id"): found for q in read(name) if (found := list(problems(q)))} == {}


@pytest.mark.parametrize("name", SETS)
def test_ids_are_unique_and_carry_the_name_of_the_set(name: str) -> None:
    ids = [q["id"] for q in read(name)]
    assert [i for i, n in Counter(ids).items() if n > 1] == []
    assert [i for i in ids if not re.fullmatch(rf"{name}-\d{{3}}", i)] == []


@pytest.mark.parametrize("name", SETS)
def test_there_are_enough_questions_of_every_kind(name: str) -> None:
    kinds = Counter(q["kind"] for q in read(name))
    reasons = Counter(q["why"] for q in read(name) if q["kind"] == "unanswerable")
    assert kinds.total() >= 300
    assert {kind: kinds[kind] for kind in ANSWERABLE if kinds[kind] < 5} == {}
    assert {why: reasons[why] for why in REASONS if reasons[why] < 10} == {}


@pytest.mark.parametrize("name", SETS)
def test_subjects_stand_in_the_packs(name: str) -> None:
    assert {q["id"]: gone for q in read(name) if (gone := set(q.get("subjects", ())) - subjects())} == {}


@pytest.mark.parametrize("name", SETS)
def test_images_exist_are_small_and_are_not_those_of_the_pack(name: str) -> None:
    images = {QUESTIONS / q["image"] for q in read(name) if "image" in q}
    known = {path.stem for path in (ROOT / "knowledge" / "scenes" / "images").iterdir()}
    assert images == set((QUESTIONS / "images" / name).iterdir())
    assert {path.name for path in images if path.stem in known} == set()
    for path in images:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (256, 256)), path.name


def test_no_image_is_in_both_sets() -> None:
    found = Counter(path.read_bytes() for path in (QUESTIONS / "images").glob("*/*"))
    assert max(found.values()) == 1


def content(question: Question) -> frozenset[str]:
    """The words that carry a question, without plural; the image is one of them."""
    carrying = {word.removesuffix("s") for word in words(question["question"]) if word not in QUESTION_WORDS}
    return frozenset(carrying | {question.get("image", "no image")})


def alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= 0.85 * len(one | other)


def test_alike_means_the_same_words() -> None:
    assert alike(
        content({"question": "How many bands has MODIS?"}), content({"question": "number of bands on MODIS has"})
    )
    assert not alike(content({"question": "Is NDVI high?"}), content({"question": "Is NDVI low?"}))


def test_no_question_is_asked_twice() -> None:
    asked = [(q["id"], content(q)) for name in SETS for q in read(name)]
    assert [(a, b) for (a, one), (b, other) in combinations(asked, 2) if alike(one, other)] == []


@cache
def program() -> dict[str, str]:
    """The words of every text file of the program, with a space on either side; weights (ONNX) hold no text."""
    files = (p for p in (ROOT / "rsrag").rglob("*") if p.is_file() and p.suffix not in {".onnx", ".pyc"})
    return {str(p.relative_to(ROOT)): f" {' '.join(words(p.read_text('utf-8')))} " for p in files}


def test_the_program_can_be_searched() -> None:
    assert sum(path.startswith("rsrag/answering/") for path in program()) >= 10
    assert any(" from future import annotations " in text for text in program().values())


# Only names are printed where these fail: who writes questions does not look at the reader.
@pytest.mark.parametrize("name", SETS)
def test_no_question_stands_in_the_program(name: str) -> None:
    asked = {q["id"]: f" {' '.join(words(q['question']))} " for q in read(name)}
    found = [(i, path) for i, question in asked.items() for path, text in program().items() if question in text]
    assert not found, f"the program holds these questions: {found}"


@pytest.mark.parametrize("name", SETS)
def test_no_six_words_of_a_question_stand_in_the_reader(name: str) -> None:
    reader = {path: text for path, text in program().items() if path.startswith("rsrag/answering/")}
    runs = {
        (q["id"], f" {' '.join(said[k : k + 6])} ")
        for q in read(name)
        for said in [words(q["question"])]
        for k in range(len(said) - 5)
    }
    found = sorted({(i, path) for i, run in runs for path, text in reader.items() if run in text})
    assert not found, f"the reader holds six words in a row of these questions: {found}"
