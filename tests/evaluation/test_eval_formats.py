"""What is read: the field's files and their variants, detected by themselves; and what is refused, with the place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rsrag import UsageError
from rsrag.evaluation.formats import load, plain
from rsrag.evaluation.samples import Entry, Prediction, Sample
from rsrag.evaluation.tasks import listed, settle


def write(folder: Path, value: Any, name: str = "file.json") -> Path:
    path = folder / name
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


def lines(folder: Path, *records: Any, name: str = "file.jsonl") -> Path:
    return write(folder, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), name)


def entries(path: Path, **options: Any) -> tuple[Entry, ...]:
    loaded = load(path, **options)
    assert loaded.problems == ()
    return loaded.entries


def chat(question: str = "What is it?", answer: str = "A quay", image: str = "x.png", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"<image>{question}"}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "images": [image], **more}


# -- RS-RAG -------------------------------------------------------------------------------------------


def test_chat_records(tmp_path: Path) -> None:
    path = lines(
        tmp_path, chat(task="Visual Question Answering", prediction="A mole"), chat(answer="0.45", prediction=0.4)
    )
    first, second = entries(path)
    assert load(path).format == "chat"
    assert (first.where, first.sample.task, first.sample.question) == ("file.jsonl:1", "vqa", "What is it?")
    assert (first.sample.references, first.sample.images) == (("A quay",), ("x.png",))
    assert first.prediction == Prediction("A mole") and second.prediction == Prediction("0.4")
    assert second.sample.task == ""


VARIANTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "prediction": (chat(prediction="p"), "p"),
    "predict": (chat(predict="p"), "p"),
    "output": (chat(output="p"), "p"),
    "response beside the messages": (chat(response="p"), "p"),
    "null": (chat(prediction=None), None),
    "empty": (chat(prediction=""), ""),
    "none": (chat(), None),
    "the same twice": (chat(prediction="p", output="p"), "p"),
    "reference in label": ({"messages": [{"role": "user", "content": "Q"}], "label": "A quay", "predict": "p"}, "p"),
    "reference in answer": ({"messages": [{"role": "user", "content": "Q"}], "answer": "A quay", "output": "p"}, "p"),
    "parts": (
        {
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "A quay"}]},
            ],
            "prediction": "p",
        },
        "p",
    ),
    "a batch of one": (chat(prediction=["p"]), "p"),
    "ms-swift": (  # the last message is what the model said
        {
            "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "p"}],
            "response": "p",
            "labels": "A quay",
        },
        "p",
    ),
    "a label beside the messages": (chat(prediction="A quay", label=3), "A quay"),
    "llava": (
        {
            "id": "7",
            "image": "x.png",
            "conversations": [{"from": "human", "value": "<image>\nQ"}, {"from": "gpt", "value": "A quay"}],
            "output": "p",
        },
        "p",
    ),
}


@pytest.mark.parametrize(("record", "text"), VARIANTS.values(), ids=list(VARIANTS))
def test_variants_of_chat_records(tmp_path: Path, record: dict[str, Any], text: str | None) -> None:
    (entry,) = entries(lines(tmp_path, record))
    assert entry.sample.references == ("A quay",)
    assert (entry.prediction.text if entry.prediction else None) == text


def test_images_may_be_objects_with_paths(tmp_path: Path) -> None:
    record = chat(prediction="p") | {"images": [{"bytes": None, "path": "a/x.png"}]}
    (entry,) = entries(lines(tmp_path, record))
    assert entry.sample.images == ("a/x.png",)


FILES = {
    "lines": lambda rows: "\n".join(rows),
    "Windows lines and a mark": lambda rows: "\ufeff" + "\r\n".join(rows) + "\r\n",
    "a list in a .jsonl": lambda rows: "[\n" + ",\n".join(rows) + "\n]",
    "lines of texts": lambda rows: "\n".join(json.dumps(row) for row in rows),
    "a list under a name": lambda rows: '{"model": "m", "results": [' + ", ".join(rows) + "]}",
    "indented": lambda rows: json.dumps([json.loads(row) for row in rows], indent=2, ensure_ascii=False),
    "blank lines": lambda rows: "\n\n" + "\n \n".join(rows),
}


@pytest.mark.parametrize("form", FILES.values(), ids=list(FILES))
@pytest.mark.parametrize("name", ["file.jsonl", "file.json"])
def test_forms_of_a_file(tmp_path: Path, form: Any, name: str) -> None:
    rows = [json.dumps(chat(answer=f"Đầm\u2028{n}", prediction="p"), ensure_ascii=False) for n in range(3)]
    found = entries(write(tmp_path, form(rows), name))
    assert [e.sample.references for e in found] == [(f"Đầm\u2028{n}",) for n in range(3)]


@pytest.mark.parametrize("name", ["file.jsonl", "file.json"])
def test_a_file_of_one_record(tmp_path: Path, name: str) -> None:
    (entry,) = entries(write(tmp_path, json.dumps(chat(prediction="p"), indent=2), name))
    assert entry.sample.references == ("A quay",)


UNCLEAR = {
    "two predictions": (chat(prediction="p", output="q"), "gives more than one prediction: prediction and output"),
    "answer and response": (
        {"messages": [{"role": "user", "content": "Q"}], "answer": "a", "response": "b"},
        "which is the prediction is not clear",
    ),
    "two in a list": (chat(prediction=["p", "q"]), "prediction is ['p', 'q']; it should be a text"),
    "prediction is an object": (chat(prediction={"text": "p"}), "prediction is {'text': 'p'}; it should be a text"),
    "a message is a text": ({"messages": ["hi"], "prediction": "p"}, "hold what is no message"),
    "another format": ({"id": 1, "prediction": "p"}, "is of the format plain, unlike the first (chat)"),
    "a number": (5, "is no object"),
    "nothing known": ({"a": 1}, "is of no known format, unlike the first (chat)"),
}


@pytest.mark.parametrize(("record", "why"), UNCLEAR.values(), ids=list(UNCLEAR))
def test_what_is_not_clear_is_a_problem_and_costs_itself_only(tmp_path: Path, record: Any, why: str) -> None:
    loaded = load(lines(tmp_path, chat(prediction="p"), record, chat(prediction="q")))
    assert len(loaded.entries) == 2
    ((where, said),) = loaded.problems
    assert where == "file.jsonl:2" and why in said


PAIR = {"question": "How wet is it?", "answer": "0.68"}
VQA_C = {
    "qa_pairs": {"ID": "010091", "Name": "Abbey", "qa_pairs": [PAIR]},
    "gpt_output": {"image_name": "Abbey", "gpt_output": [PAIR]},
    "a record as text": json.dumps({"image_name": "Abbey", "gpt_output": [PAIR]}),
    "a list as text": {"image_name": "Abbey", "gpt_output": json.dumps([PAIR])},
    "a fenced list": {"image_name": "Abbey", "gpt_output": f"```json\n{json.dumps([PAIR])}\n```"},
    "a list in a talk": {
        "image_name": "Abbey",
        "gpt_output": f"Here it is:\n```JSON\n{json.dumps([PAIR])}\n```\nDone.",
    },
    "a fence left open": {"image_name": "Abbey", "gpt_output": f"```json\n{json.dumps([PAIR])}"},
    "a pair as text": {"image_name": "Abbey", "qa_pairs": [json.dumps(PAIR)]},
    "once more inside": {"image_name": "Abbey", "gpt_output": {"qa_pairs": [PAIR]}},
}


@pytest.mark.parametrize("record", VQA_C.values(), ids=list(VQA_C))
def test_vqa_c(tmp_path: Path, record: Any) -> None:
    loaded = load(write(tmp_path, [record]))
    (entry,) = loaded.entries
    assert loaded.format == "vqa_c"
    assert (entry.sample.question, entry.sample.references, entry.sample.task) == ("How wet is it?", ("0.68",), "vqa")
    assert entry.sample.images == ("Abbey",) and entry.sample.id in ("010091/0", "Abbey/0")


def test_a_broken_text_in_vqa_c_costs_its_record(tmp_path: Path) -> None:
    loaded = load(
        write(tmp_path, [{"image_name": "A", "gpt_output": "[{oops"}, {"image_name": "B", "gpt_output": [PAIR]}])
    )
    assert [e.sample.images for e in loaded.entries] == [("B",)]
    assert loaded.problems[0][0] == "file.json, record 1" and "is not valid JSON" in loaded.problems[0][1]


def test_rswk_is_a_classification_task(tmp_path: Path) -> None:
    (entry,) = entries(write(tmp_path, [{"ID": "1", "image_name": "Hill", "world knowledge": {"Category": "Park"}}]))
    assert (entry.sample.id, entry.sample.task, entry.sample.references) == ("1", "classify", ("Park",))


# -- caption sets, folders, GEOBench-VLM --------------------------------------------------------------

RSICD = {
    "images": [
        {"filename": "a_1.jpg", "split": "test", "sentences": [{"raw": "Many planes ."}, {"raw": "Two runways ."}]},
        {"filename": "a_2.jpg", "split": "train", "sentences": [{"tokens": ["a", "pond"]}]},
    ],
    "dataset": "rsicd",
}


def test_caption_datasets(tmp_path: Path) -> None:
    path = write(tmp_path, RSICD)
    first, second = entries(path)
    assert (first.sample.id, first.sample.references) == ("a_1.jpg", ("Many planes .", "Two runways ."))
    assert second.sample.references == ("a pond",)
    assert [e.sample.id for e in entries(path, split="test")] == ["a_1.jpg"]
    with pytest.raises(UsageError, match="nothing of the split 'tset'"):
        load(path, split="tset")


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name in ("test/harbor/1.png", "test/harbor/2.png", "test/sparse_residential/1.png", ".hidden/x/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    found = entries(tmp_path)
    assert [e.sample.references[0] for e in found] == ["harbor", "harbor", "sparse_residential"]
    assert found[0].sample.labels == ("harbor", "sparse_residential") and found[0].sample.task == "classify"


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    with pytest.raises(UsageError, match="holds no class"):
        load(tmp_path)


SHIP = {
    "image_path": "images/s.jp2",
    "ground_truth": "Ferry",
    "ground_truth_option": "B",
    "options_list": ["Tug", "Ferry", "Barge"],
    "options": "A. Tug B. Ferry C. Barge",
    "prompts": [f"Which ship, {n}?" for n in range(5)],
    "task": "Ship Type Classification",
    "question_id": 0,
    "cls_description": "",
}


def test_geobench_questions_have_five_prompts(tmp_path: Path) -> None:
    found = entries(write(tmp_path, [SHIP], "qa.json"))
    assert [e.sample.id for e in found] == [f"0/{n}" for n in range(5)]
    assert {e.sample.references for e in found} == {("B",)} and found[0].sample.options == ("Tug", "Ferry", "Barge")
    assert found[0].sample.task == "choice" and found[3].sample.question == "Which ship, 3?"


@pytest.mark.parametrize(
    "changes",
    [
        {"options_list": None},
        {"ground_truth_option": None},
        {"ground_truth_option": "(b)"},
        {"ground_truth_option": "", "ground_truth": "ferry."},
        {"options_list": {"A": "Tug", "B": "Ferry", "C": "Barge"}},
    ],
)
def test_variants_of_geobench(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = entries(write(tmp_path, [SHIP | changes]))
    assert {(e.sample.references, len(e.sample.options)) for e in found} == {(("B",), 3)}


def test_other_tasks_of_geobench(tmp_path: Path) -> None:
    temporal = SHIP | {"image_path": ["pre.tif", "post.tif"], "question_id": 4}
    detection = {
        "image_path": "d.jp2",
        "prompts": ["1 ship in the north"],
        "ground_truth": [[1, 2, 30, 40]],
        "question_id": 5,
    }
    corners = detection | {"ground_truth": [[[1, 2], [30, 2], [30, 40], [1, 40]]], "question_id": 6}
    caption = {
        "image_path": "c.jp2",
        "prompts": ["Describe it."],
        "ground_truth": "Fields, and a road.",
        "question_id": 7,
    }
    found = {e.sample.id: e.sample for e in entries(write(tmp_path, [temporal, detection, corners, caption]))}
    assert found["4/0"].images == ("pre.tif", "post.tif")
    assert found["5/0"].task == found["6/0"].task == "detect"
    assert (found["7/0"].task, found["7/0"].references) == ("caption", ("Fields, and a road.",))


def test_results_of_geobenchs_own_scripts(tmp_path: Path) -> None:
    result = {
        "predicted_answers": ["B.", "C."],
        "ground_truth": "Ferry",
        "questions": ["Which?", "What?"],
        "ground_truth_option": "B",
        "options_list": ["Tug", "Ferry", "Barge"],
        "question_id": 3,
        "name_images": ["s.jp2", "s.jp2"],
    }
    found = entries(write(tmp_path, [result]))
    assert [e.prediction and e.prediction.text for e in found] == ["B.", "C."]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ground_truth_option": "Z"}, "the right option is 'Z', and there are 3"),
        ({"ground_truth_option": None, "ground_truth": "Canoe"}, "is not one of its options"),
        ({"prompts": []}, "has no prompts"),
        ({"options_list": None, "options": "Tug, Ferry"}, "its options are not read"),
    ],
)
def test_what_geobench_records_lack(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    loaded = load(write(tmp_path, [SHIP, SHIP | changes]))
    assert len(loaded.entries) == 5 and why in loaded.problems[0][1]


# -- our own ------------------------------------------------------------------------------------------


def test_our_own_lines(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        {
            "id": "q1",
            "question": "Q?",
            "reference": "a",
            "prediction": "b [1]",
            "evidence": ["one", "two"],
            "confidence": 0.4,
        },
        {"id": "q2", "task": "retrieve", "relevant": ["x"], "ranking": ["y", "x"]},
        {"id": "q3", "task": "choice", "options": ["one", "two"], "reference": "two", "prediction": "B"},
        {"id": "q4", "label": "park", "labels": ["park", "port"], "prediction": "port"},
        {"id": "q5", "question": "Q?", "answerable": False, "status": "declined", "prediction": ""},
        {"id": "q6", "task": "detect", "reference": [1, 2, 3, 4], "prediction": [[1, 2, 3, 4]], "size": [10, 20]},
        {"image": "i.png", "answer": "a", "prediction": "b"},
        {"question": "Q?", "answer": "a"},
        {"image_id": 17, "caption": "a pond"},
    )
    found = entries(path)
    assert load(path).format == "plain"
    assert found[0].prediction == Prediction("b [1]", confidence=0.4, evidence={"1": "one", "2": "two"})
    assert (found[1].sample.references, found[1].prediction) == (("x",), Prediction(ranking=("y", "x")))
    assert found[2].sample.references == ("B",)
    assert (found[3].sample.task, found[3].sample.labels) == ("classify", ("park", "port"))
    assert found[4].sample.meta["answerable"] is False and found[4].prediction == Prediction(declined=True)
    assert (found[5].sample.references, found[5].sample.meta["size"]) == (("[1, 2, 3, 4]",), (10, 20))
    assert (found[6].sample.references, found[6].prediction) == (("a",), Prediction("b"))
    assert (found[7].sample.references, found[7].prediction) == (("a",), None)
    assert (found[8].sample.id, found[8].prediction) == ("17", Prediction("a pond"))


WORD = st.text("abcdéß [1]", min_size=1, max_size=6).map(lambda t: f"w{t}")
WORDS = st.lists(WORD, max_size=3, unique=True).map(tuple)


@given(
    sample=st.builds(
        Sample,
        id=WORD,
        task=st.sampled_from(["vqa", "caption", "classify", "retrieve"]),
        question=WORD,
        images=WORDS,
        references=WORDS,
        labels=WORDS,
    ),
    prediction=st.none()
    | st.builds(
        Prediction,
        text=WORD,
        ranking=WORDS,
        declined=st.none() | st.booleans(),
        confidence=st.none() | st.floats(0, 1),
        evidence=st.dictionaries(st.sampled_from("123A"), WORD),
    ),
)
def test_what_is_written_is_read_back(sample: Sample, prediction: Prediction | None) -> None:
    written = json.loads(json.dumps(plain.record(sample, prediction)))
    (entry,) = plain.read("here", written)
    assert (entry.sample, entry.prediction) == (sample, prediction)


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (Sample("1", "choice", "Q", ("i",), ("B",), (), ("tug", "ferry")), "(B)"),
        (Sample("1", "detect", "Q", ("i",), ("[1, 2, 3, 4]",), meta={"size": (10, 20)}), "[1, 2, 3, 5]"),
        (Sample("1", "vqa", "Q", meta={"answerable": False}), ""),
    ],
)
def test_choices_boxes_and_flags_are_read_back(sample: Sample, text: str) -> None:
    (entry,) = plain.read("here", plain.record(sample, Prediction(text)))
    assert (entry.sample, entry.prediction) == (sample, Prediction(text))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"id": 1, "prediction": "p", "confidence": "high"}, "confidence is 'high'"),
        ({"id": 1, "prediction": "p", "answerable": "no"}, "answerable is 'no'"),
        ({"id": 1, "prediction": "p", "size": [0, 3]}, "size is [0, 3]"),
        ({"id": 1, "prediction": "p", "evidence": 3}, "evidence is neither"),
        ({"id": 1, "prediction": "p", "task": "detect", "reference": "nowhere"}, "the right boxes are not understood"),
    ],
)
def test_values_of_our_own_lines_are_checked(tmp_path: Path, record: dict[str, Any], why: str) -> None:
    loaded = load(lines(tmp_path, {"id": 0, "prediction": "p"}, record))
    assert why in loaded.problems[0][1]


# -- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(
        (json.dumps(chat(answer="Øyeren", prediction="Đầm"), ensure_ascii=False) + "\r\n").encode(encoding)
    )
    (entry,) = entries(path)
    assert entry.sample.references == ("Øyeren",) and entry.prediction == Prediction("Đầm")


def test_mixed_encodings_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    good = json.dumps(chat(answer="Øyeren"), ensure_ascii=False).encode()
    path.write_bytes(good + b"\n" + good.decode().encode("latin-1") + b"\n")
    with pytest.raises(UsageError, match=r"file\.jsonl, line 2: byte 0xd8 is not UTF-8\. Save the file as UTF-8"):
        load(path)


REFUSED = {
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "prose": ("Hello there\n", "file.jsonl:1 is not valid JSON: Expecting value, column 1"),
    "other": ('{"a": 1}\n', "holds no records of a known format"),
    "an empty list": ("[]", "holds no records of a known format"),
    "nested without end": ("[" * 100_000, "is nested too deeply"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=list(REFUSED))
def test_files_that_are_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError) as error:
        load(write(tmp_path, text, "file.jsonl"))
    assert why in error.value.message


def test_a_broken_list_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="column 5 of line 3"):
        load(write(tmp_path, '[\n{"id": 1, "prediction": "x"},\n    oops]'))


def test_nan_is_refused_with_its_line(tmp_path: Path) -> None:
    loaded = load(
        write(tmp_path, json.dumps(chat(prediction="p")) + "\n" + '{"messages": [], "prediction": NaN}\n', "f.jsonl")
    )
    assert loaded.problems == (("f.jsonl:2", "holds NaN, which is no number that can be scored"),)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.jsonl")


# -- tasks that are not named -------------------------------------------------------------------------

LISTING = "What is it? Answer with one of the following 16 categories: Airport, Amusement Park, or Beach."


@pytest.mark.parametrize(
    ("question", "labels"),
    [
        (LISTING, ("Airport", "Amusement Park", "Beach")),
        ("Choose from these classes: river; lake; pond", ("river", "lake", "pond")),
        ("What is the class: this one?", ()),
        (f"{LISTING} Context: a park is green, wide and open.", ("Airport", "Amusement Park", "Beach")),
        ("What is it?", ()),
    ],
)
def test_classes_listed_in_a_question(question: str, labels: tuple[str, ...]) -> None:
    assert listed(question) == labels


@pytest.mark.parametrize(
    ("question", "task"),
    [
        (LISTING, "classify"),
        ("Please provide detailed descriptions for this remote sensing image.", "caption"),
        ("Describe the scene in the picture.", "caption"),
        ("Can you describe the architectural characteristics of the site?", "vqa"),
        ("What is the NDVI?", "vqa"),
    ],
)
def test_the_task_is_told_by_the_questions(tmp_path: Path, question: str, task: str) -> None:
    found, note = settle(entries(lines(tmp_path, *[chat(question, prediction="p")] * 3)))
    assert {e.sample.task for e in found} == {task} and f"taken as {task}" in note


def test_a_closed_set_of_answers_is_a_classification(tmp_path: Path) -> None:
    asked = [
        chat("Which category does this landmark belong to?", ("Park", "Port")[n % 2], prediction="p") for n in range(30)
    ]
    assert {e.sample.task for e in settle(entries(lines(tmp_path, *asked)))[0]} == {"classify"}
    yes_no = [chat("Is there water?", ("yes", "no")[n % 2], prediction="p") for n in range(30)]
    assert {e.sample.task for e in settle(entries(lines(tmp_path, *yes_no)))[0]} == {"vqa"}
    few = asked[:8]  # too few to tell
    assert {e.sample.task for e in settle(entries(lines(tmp_path, *few)))[0]} == {"vqa"}


def test_a_few_odd_questions_do_not_decide(tmp_path: Path) -> None:
    odd = chat("Please describe the image.", prediction="p")
    found, _ = settle(entries(lines(tmp_path, odd, *[chat(prediction="p")] * 5)))
    assert {e.sample.task for e in found} == {"vqa"}
    forced, note = settle(found, "caption")
    assert {e.sample.task for e in forced} == {"caption"} and not note
