"""From files to figures: alignment, conventions, tasks, comparison; oracles are right, shuffled answers near chance."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import UsageError
from rsrag.evaluation.bootstrap import paired
from rsrag.evaluation.comparing import compare
from rsrag.evaluation.metrics import bleu, labels
from rsrag.evaluation.metrics.score import mean
from rsrag.evaluation.report import result_json, truncated, write_items
from rsrag.evaluation.scoring import Options, Result, score_file

PAPER = Options(convention="rsrag-paper")
CLASSES = "Airport Beach Bridge Casino Church Forest Mansion Museum Park Port Stadium Theater Tower".split()
THINGS = "harbour runway river bridge orchard quarry stadium reservoir village railway".split()


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def chat(question: str, answer: str, prediction: str | None, image: str = "x.png", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"<image>{question}"}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "images": [image], "prediction": prediction, **more}


def one(path: Path, references: Path | None = None, options: Options | None = None) -> Result:
    (result,) = score_file(path, references, options)
    return result


def values(result: Result) -> dict[str, float]:
    return {name: score.value for name, score in result.scores.items()}


# -- oracles and chance -------------------------------------------------------------------------------


def task_records(task: str, rng: random.Random) -> list[dict[str, Any]]:
    """Sixty questions of a task with their answers under "prediction"."""
    found = []
    for n in range(60):
        thing, other = rng.sample(THINGS, 2)
        record: dict[str, Any] = {"id": f"{task}{n}", "task": task, "question": "What?"}
        if task == "vqa":
            answer = f"{n + 3}.5 m" if n % 2 else f"a {thing} beside the {other} number {n}"
            record |= {"reference": answer, "prediction": answer}
        elif task == "caption":
            answer = " ".join(rng.sample([*THINGS, *CLASSES], 9))
            record |= {"references": [answer, f"{answer} at noon"], "prediction": answer}
        elif task == "classify":
            record |= {"reference": CLASSES[n % 12], "labels": CLASSES[:12], "prediction": CLASSES[n % 12]}
        elif task == "choice":
            options = rng.sample(THINGS, 5)
            record |= {"options": options, "reference": "ABCDE"[n % 5], "prediction": f"({'ABCDE'[n % 5]})"}
        elif task == "detect":
            x, y = rng.randrange(0, 900), rng.randrange(0, 900)
            record |= {"reference": [x, y, x + 60, y + 60], "prediction": f"[{x}, {y}, {x + 60}, {y + 60}]"}
        else:
            relevant = [f"d{n}", f"d{n + 60}"]
            rest = [f"d{k}" for k in range(300) if f"d{k}" not in relevant]
            record |= {"relevant": relevant, "ranking": relevant + rng.sample(rest, 48)}
        found.append(record)
    return found


# The metrics that are 1 for the oracle, and below what the shuffled ones stay.
WHOLE = {
    "vqa": {"Exact match": 0.1, "Numeric accuracy": 0.15, "BLEU-4": 0.3},
    "caption": {"BLEU-1": 0.55, "BLEU-4": 0.12, "ROUGE-L": 0.35},
    "classify": {"Accuracy": 0.2, "Macro-F1": 0.2},
    "choice": {"Accuracy": 0.4},
    "detect": {"P@0.5": 0.1, "P@0.25": 0.1, "Mean IoU": 0.1},
    "retrieve": {"Recall@10": 0.15, "mAP": 0.1, "nDCG@10": 0.15},
}


@pytest.mark.parametrize("task", WHOLE)
def test_oracles_have_all_and_shuffled_answers_are_near_chance(tmp_path: Path, task: str) -> None:
    rng = random.Random(3)
    records = task_records(task, rng)
    oracle = values(one(write(tmp_path / "oracle.jsonl", *records)))
    key = "ranking" if task == "retrieve" else "prediction"
    answers = [record[key] for record in records]
    rng.shuffle(answers)
    mixed = [{**record, key: answer} for record, answer in zip(records, answers, strict=True)]
    shuffled = values(one(write(tmp_path / "shuffled.jsonl", *mixed)))
    for name, chance in WHOLE[task].items():
        assert oracle[name] == pytest.approx(1.0, abs=1e-6), name
        assert shuffled[name] < chance, (name, shuffled[name])


# -- rsrag-paper --------------------------------------------------------------------------------------


def test_the_papers_convention_drops_empty_sides_and_keeps_case(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        chat("Q", "The harbour is new now", "The harbour is new now"),
        chat("Q", "the harbour", "The Harbour"),  # case counts
        chat("Q", "a pier", ""),
        chat("Q", "", "a pier"),
        chat("Q", "a pier", None),
        chat("Q", "a pier", " "),  # not empty: white space scores 0
    )
    result = one(path, options=PAPER)
    assert result.n == 3
    assert list(result.scores) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR-exact-stem", "ROUGE-L", "CIDEr"]
    assert result.scores["BLEU-1"].items == (1.0, 0.0, 0.0)
    assert any("2 of 5 pairs left out" in note for note in result.notes)


def test_the_papers_figures_are_cut_not_rounded() -> None:
    assert [truncated(v) for v in (0.09999, 0.5, 0.99995, 1.0, 0.57249, 2.00019)] == [
        0.0999,
        0.5,
        0.9999,
        1.0,
        0.5724,
        2.0001,
    ]
    assert truncated(0.3 - 1e-14) == 0.3  # what floating point loses is not cut off


def test_the_papers_classification(tmp_path: Path) -> None:
    listing = "Answer with one of the following categories: Park, Port."
    path = write(
        tmp_path / "a.jsonl",
        chat(listing, "Park", " park "),
        chat(listing, "Park", "It is a park"),  # only equality counts
        chat(listing, "Port", ""),  # an empty class is a wrong one
        chat(listing, "Casino", "casino"),  # the list of the question may lack a class
        chat(listing, "", "Park"),
    )
    shape = result_json(one(path, options=PAPER))
    assert shape == {
        "n": 4,
        "Accuracy": 0.5,
        "Per-Class Accuracy": {"park": 0.5, "port": 0.0, "casino": 1.0},
    }


def test_the_papers_convention_knows_three_tasks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *task_records("detect", random.Random(0)))
    with pytest.raises(UsageError, match="does not say how to score detect"):
        score_file(path, options=PAPER)


def test_repeated_records_without_ids_all_count(tmp_path: Path) -> None:
    record = chat("Q", "a new pier stands here", "a new pier stands there")
    assert one(write(tmp_path / "a.jsonl", record, record, record), options=PAPER).n == 3


# -- standard -----------------------------------------------------------------------------------------


def test_hierarchical_labels_give_wmap(tmp_path: Path) -> None:
    items = {"a": ["transport/airport/runway"], "b": ["transport/port"], "c": ["water/lake"]}
    base = {"paths": ["transport/airport/runway"], "item_paths": items}
    first, second = {"id": "1", **base, "ranking": ["a", "b", "c"]}, {"id": "2", **base, "ranking": ["c", "a"]}
    result = one(write(tmp_path / "a.jsonl", first, second))
    assert result.task == "retrieve" and result.aligned.samples[0].references == ("a",)  # they share a whole path
    # Level 2: a has both nodes (1), b one of three (1/3), c none. 1 and (1 + 1/3) / 2; then only 1/2.
    assert result.scores["wMAP@10 L2"].items == pytest.approx(((1 + 2 / 3) / 2, 1 / 2))
    # Level 3: b has one node of four.
    assert result.scores["wMAP@10 L3"].items == pytest.approx(((1 + 5 / 8) / 2, 1 / 2))
    flat = {"id": "3", "relevant": ["a"], "ranking": ["a"]}
    assert not any("wMAP" in name for name in one(write(tmp_path / "b.jsonl", flat)).scores)


def test_numbers_and_words_of_questions(tmp_path: Path) -> None:
    result = one(
        write(
            tmp_path / "a.jsonl",
            chat("Q", "100718.73Pa", "It is 1007.2 hPa."),
            chat("Q", "12.51mm", "30 mm"),
            chat("Q", "Haifa, Israel", "haifa, israel."),
        )
    )
    assert result.scores["Numeric accuracy"].items[:2] == (1.0, 0.0)
    assert math.isnan(result.scores["Numeric accuracy"].items[2])
    assert result.scores["Numeric accuracy"].value == 0.5
    assert result.scores["Exact match"].items == (0.0, 0.0, 1.0)


def test_unclear_choices_and_unknown_labels_are_counted(tmp_path: Path) -> None:
    base = {"task": "choice", "options": ["tug", "ferry"], "reference": "ferry"}
    choice = one(write(tmp_path / "a.jsonl", {**base, "prediction": "A or B"}, {**base, "prediction": "(B)"}))
    assert values(choice) == {"Accuracy": 0.5, "Unclear": 0.5}
    named = {"task": "classify", "labels": ["Park", "Port"], "reference": "Park"}
    found = one(write(tmp_path / "b.jsonl", {**named, "prediction": "zoo"}, {**named, "prediction": "the park"}))
    assert values(found)["Accuracy"] == 0.5
    assert any("1 answers name none of the classes" in note and "'zoo' (1)" in note for note in found.notes)


def test_boxes_in_other_scales_need_the_size(tmp_path: Path) -> None:
    record = {"task": "detect", "reference": [20, 10, 40, 30], "prediction": "{<10><10><20><30>}"}
    assert values(one(write(tmp_path / "a.jsonl", record)))["P@0.5"] == 0.0
    assert values(one(write(tmp_path / "a.jsonl", record | {"size": [200, 100]})))["P@0.5"] == 1.0


def test_answers_with_evidence_are_checked_against_it(tmp_path: Path) -> None:
    evidence = ["The mole is 1.2 km long.", "The quay has four cranes."]
    base = {"question": "Q", "reference": "1.2 km", "evidence": evidence}
    found = values(
        one(
            write(
                tmp_path / "a.jsonl",
                {**base, "id": 1, "prediction": "The mole is 1.2 km long [1]."},
                {**base, "id": 2, "prediction": "The mole is 1.2 km long [2]."},
            )
        )
    )
    assert found["Groundedness"] == found["Citation precision"] == found["Citation recall"] == 0.5


def test_declines_are_judged(tmp_path: Path) -> None:
    def record(n: int, answerable: bool, declined: bool, right: bool, confidence: float) -> dict[str, Any]:
        answer = {"reference": "yes"} if answerable else {}
        said = "" if declined else "yes" if right else "no"
        flags = {"answerable": answerable, "declined": declined, "confidence": confidence}
        return {"id": n, "question": "Q", "prediction": said, **answer, **flags}

    rows = [
        record(1, True, False, True, 0.9),
        record(2, True, True, False, 0.2),
        record(3, False, True, False, 0.1),
        record(4, False, False, False, 0.5),
    ]
    found = values(one(write(tmp_path / "a.jsonl", *rows)))
    assert (found["False answers"], found["False declines"], found["Abstention"]) == (0.5, 0.5, 0.5)
    assert found["AURC"] == pytest.approx((0 + 1 / 2) / 2) and found["Exact match"] == 0.5


def test_tasks_of_one_file_are_scored_apart(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = write(tmp_path / "a.jsonl", *task_records("choice", rng), *task_records("detect", rng))
    assert [(r.task, r.n) for r in score_file(path)] == [("choice", 60), ("detect", 60)]


# -- bringing files together --------------------------------------------------------------------------


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [{"id": f"q{n}", "question": "Q", "reference": f"a pier of {n} stones"} for n in range(4)]
    return write(tmp_path / "questions.jsonl", *rows)


def answers(*numbers: int, **changed: str) -> list[dict[str, Any]]:
    return [{"id": f"q{n}", "prediction": changed.get(f"q{n}", f"a pier of {n} stones")} for n in numbers]


def test_order_does_not_count(tmp_path: Path, questions: Path) -> None:
    result = one(write(tmp_path / "a.jsonl", *answers(2, 0, 3, 1)), questions)
    assert result.n == 4 and values(result)["Exact match"] == 1.0


def test_missing_extra_and_repeated_answers_are_told(tmp_path: Path, questions: Path) -> None:
    path = write(tmp_path / "a.jsonl", *answers(0, 1, 1, 9))
    result = one(path, questions)
    assert result.n == 4 and values(result)["Exact match"] == 0.5
    assert (result.aligned.missing, result.aligned.extra, result.aligned.repeated) == (("q2", "q3"), ("q9",), ("q1",))
    notes = "\n".join(result.notes)
    assert "2 questions have no answer and are counted as wrong: q2; q3" in notes
    assert "1 answers have no question and are left out: q9" in notes and "count once: q1" in notes
    assert {k: v for k, v in result_json(result).items() if k in ("missing", "extra", "repeated")} == {
        "missing": 2,
        "extra": 1,
        "repeated": 1,
    }
    dropped = one(path, questions, PAPER)
    assert dropped.n == 2 and any("2 questions have no answer and are left out" in note for note in dropped.notes)
    skipped = one(path, questions, Options(skip_missing=True))
    assert skipped.n == 2 and values(skipped)["Exact match"] == 1.0


def test_two_different_answers_are_refused(tmp_path: Path, questions: Path) -> None:
    path = write(tmp_path / "a.jsonl", *answers(0, 1), *answers(1, q1="a quay"))
    with pytest.raises(UsageError, match=r"a\.jsonl:3 answers q1 again, and not as a\.jsonl:2 does"):
        score_file(path, questions)


def test_two_different_answers_in_one_file_are_refused(tmp_path: Path) -> None:
    rows = [{"id": "1", "reference": "a", "prediction": p} for p in "bc"]
    with pytest.raises(UsageError, match="answers 1 again"):
        score_file(write(tmp_path / "a.jsonl", *rows))


def test_an_id_may_be_that_of_an_image(tmp_path: Path) -> None:
    """Several questions share it: each counts, and in another order each meets its own."""
    rows = [{"id": "010091", "question": f"Q{n}?", "reference": f"part {n}"} for n in range(3)]
    said = [row | {"prediction": row["reference"]} for row in rows]
    assert one(write(tmp_path / "a.jsonl", *said)).n == 3
    answers = [{"id": "010091", "question": f"Q{n}?", "prediction": f"part {n}"} for n in (2, 0, 1)]
    result = one(write(tmp_path / "b.jsonl", *answers), write(tmp_path / "q.jsonl", *rows))
    assert result.n == 3 and values(result)["Exact match"] == 1.0


def test_without_ids_images_and_questions_meet(tmp_path: Path) -> None:
    right = [chat(f"What is part {n}?", f"part {n}", None, "folder/x.png") for n in range(3)]
    questions = write(tmp_path / "q.jsonl", *right)
    said = [{"image": "/other/x.png", "question": f"What is  part {n}?", "prediction": f"part {n}"} for n in (2, 1, 0)]
    result = one(write(tmp_path / "a.jsonl", *said), questions)
    assert result.n == 3 and values(result)["Exact match"] == 1.0


def test_captions_meet_their_dataset_by_file_name(tmp_path: Path) -> None:
    image = {"filename": "a.jpg", "split": "test", "sentences": [{"raw": "a pond"}, {"raw": "a small pond"}]}
    dataset = tmp_path / "dataset.json"
    dataset.write_text(json.dumps({"images": [image, {**image, "filename": "b.jpg", "split": "train"}]}))
    path = write(tmp_path / "a.jsonl", {"image": "images/a.jpg", "caption": "a small pond"})
    result = one(path, dataset, Options(split="test"))
    assert (result.n, result.task) == (1, "caption") and values(result)["BLEU-1"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([{"id": "z", "prediction": "p"}], "no answer of .* meets a question of .*: the first are z and q0"),
        ([{"id": "q0", "reference": "p"}], "holds no predictions"),
    ],
)
def test_what_cannot_be_brought_together(tmp_path: Path, questions: Path, said: list[Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        score_file(write(tmp_path / "a.jsonl", *said), questions)


def test_a_file_without_right_answers_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no right answers .* --references"):
        score_file(write(tmp_path / "a.jsonl", {"id": "1", "prediction": "p"}))


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no predictions"):
        score_file(write(tmp_path / "a.jsonl", chat("Q", "a", None)))


def test_records_that_are_not_understood_stop_the_scoring_unless_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", chat("Q", "a", "a"), 5, chat("Q", "b", "b"), 6)
    with pytest.raises(UsageError, match=r"a\.jsonl:2 is no object \(and 1 more\)\. Correct it; --skip-bad"):
        score_file(path)
    result = one(path, options=Options(skip_bad=True))
    assert result.n == 2
    assert any("2 records are not understood and left out: a.jsonl:2 is no object" in note for note in result.notes)


def test_items_are_written_worst_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", chat("Q", "a pier", "a pier"), chat("Q", "a quay", "nothing"))
    assert write_items(tmp_path / "items.jsonl", [one(path)]) == 2
    rows = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [row["scores"]["Exact match"] for row in rows] == [0.0, 1.0]
    assert rows[0]["prediction"] == "nothing" and rows[0]["references"] == ["a quay"]


# -- comparison ---------------------------------------------------------------------------------------


def test_a_system_is_not_better_than_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *task_records("vqa", random.Random(0)))
    (found,) = compare(path, path)
    assert all((d.value, d.low, d.high, d.p, d.clear) == (0, 0, 0, 1, False) for d in found.differences.values())


def test_a_clear_difference_is_clear_and_a_small_one_is_not(tmp_path: Path) -> None:
    records = task_records("classify", random.Random(0))

    def spoilt(every: int, name: str) -> Path:
        rows = [{**r, "prediction": "zoo" if n % every == 0 else r["prediction"]} for n, r in enumerate(records)]
        return write(tmp_path / name, *rows)

    poor, good, same = spoilt(2, "poor.jsonl"), spoilt(30, "good.jsonl"), spoilt(29, "same.jsonl")
    (found,) = compare(poor, good)
    accuracy = found.differences["Accuracy"]
    assert accuracy.value == pytest.approx(28 / 60) and accuracy.clear and accuracy.p < 0.001
    assert accuracy.low < accuracy.value < accuracy.high and found.n == 60
    (close,) = compare(same, good)
    assert not close.differences["Accuracy"].clear and close.differences["Accuracy"].p > 0.3


def test_only_common_questions_are_compared(tmp_path: Path, questions: Path) -> None:
    a = write(tmp_path / "a.jsonl", *answers(0, 1, 2, 3))
    b = write(tmp_path / "b.jsonl", *answers(3, 1, 0))
    (found,) = compare(a, b, questions)
    assert found.n == 4 and found.differences["Exact match"].b == 0.75
    (skipped,) = compare(a, b, questions, Options(skip_missing=True))
    assert skipped.n == 3 and skipped.differences["Exact match"].value == 0


def test_different_right_answers_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.jsonl", chat("Q", "yes", "yes"))
    b = write(tmp_path / "b.jsonl", chat("Q", "no", "no"))
    with pytest.raises(UsageError, match="do not have the same right answers"):
        compare(a, b)


def test_questions_without_an_answer_take_part_where_they_count(tmp_path: Path) -> None:
    """Items of every metric stay in line when some questions have no right answer."""
    rows: list[dict[str, Any]] = [
        {"id": n, "question": "Q", "prediction": f"a pier {n}", **({"reference": f"a pier {n}"} if n % 2 else {})}
        for n in range(6)
    ]
    rows = [row | {"answerable": "reference" in row} for row in rows]
    path = write(tmp_path / "a.jsonl", *rows)
    result = one(path)
    assert {len(score.items) for score in result.scores.values()} == {6}
    assert values(result)["Exact match"] == 1.0 and values(result)["False answers"] == 1.0
    (found,) = compare(path, path)
    assert found.differences["BLEU-1"].a == pytest.approx(1) and found.n == 6


def test_files_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.jsonl", chat("Q1", "yes", "yes"))
    b = write(tmp_path / "b.jsonl", chat("Q2", "yes", "yes"))
    with pytest.raises(UsageError, match="no question in common"):
        compare(a, b)


def test_the_bootstrap_agrees_with_theory_and_with_its_seed() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 400), rng.normal(0.1, 1, 400)
    pair = {"m": (mean(a.tolist()), mean(b.tolist()))}
    found = paired(pair, seed=3)["m"]
    half = 1.96 * (b - a).std() / 20
    assert found.low == pytest.approx((b - a).mean() - half, abs=0.02)
    assert found.high == pytest.approx((b - a).mean() + half, abs=0.02)
    assert paired(pair, seed=3)["m"] == found and paired(pair, seed=4)["m"] != found


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_the_interval_holds_what_the_draws_give_and_swaps_with_the_systems(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (mean([float(pair[i]) for pair in pairs]) for i in (0, 1))
    forth, back = (paired({"m": pair}, resamples=200)["m"] for pair in ((a, b), (b, a)))
    assert -1 <= forth.low <= forth.high <= 1 and 0 < forth.p <= 1
    assert (back.low, back.high) == (pytest.approx(-forth.high), pytest.approx(-forth.low))


def test_resampled_corpus_scores_are_those_of_the_resampled_corpus() -> None:
    """What `combine` makes of the means of a draw is what the metric gives for the items of that draw."""
    rng = random.Random(2)
    texts = [[rng.choice(THINGS) for _ in range(8)] for _ in range(20)]
    others = [[rng.choice(THINGS) for _ in range(9)] for _ in range(20)]
    found = [bleu.matches(h, [r]) for h, r in zip(texts, others, strict=True)]
    said, right = rng.choices("abcx", k=20), rng.choices("abc", k=20)
    draw = [rng.randrange(20) for _ in range(20)]
    for whole, part in (
        (bleu.corpus_bleu(found, 2), bleu.corpus_bleu([found[i] for i in draw], 2)),
        (labels.macro_f1(said, right), labels.macro_f1([said[i] for i in draw], [right[i] for i in draw])),
    ):
        assert whole.statistics is not None and whole.combine is not None
        assert whole.combine(whole.statistics[draw].mean(0, keepdims=True))[0] == pytest.approx(part.value)


def test_scores_without_items_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same items"):
        paired({"m": (mean([1.0]), mean([1.0, 0.0]))})
