"""`rsrag eval` as a person meets it: 80 columns, stdout and stderr apart, exit codes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rsrag.cli.app import build
from rsrag.errors import UsageError

Run = Callable[..., Result]
LISTING = "Which of the following categories: Park, Port."


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(build(arguments), ["--no-plugins", *arguments])

    return call


def write(name: str, *pairs: tuple[str, str], question: str = "How does it look?", **more: Any) -> str:
    rows = []
    for n, (reference, prediction) in enumerate(pairs):
        said = [{"role": "user", "content": f"<image>{question}"}, {"role": "assistant", "content": reference}]
        rows.append({"messages": said, "images": [f"{n}.png"], "prediction": prediction, **more})
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


TEXTS = [("a long pier of stone", "a long pier"), ("two boats at the quay", "two boats at sea"), ("0.45", "0.44")]
KEYS = ["n", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR-exact-stem", "ROUGE-L", "CIDEr"]


def test_json_of_the_papers_convention_has_the_papers_keys(run: Run) -> None:
    done = run("eval", "score", write("vqa.jsonl", *TEXTS), "--convention", "rsrag-paper", "--json")
    assert done.exit_code == 0, done.output
    shape = json.loads(done.stdout)
    assert list(shape) == KEYS and shape["n"] == 3
    assert all(round(shape[key], 4) == shape[key] for key in KEYS[1:])
    assert "METEOR needs WordNet: python -m nltk.downloader wordnet" in " ".join(done.stderr.split())


def test_json_of_classes(run: Run) -> None:
    file = write("c.jsonl", ("Park", "park"), ("Port", "Park"), question=LISTING)
    done = run("eval", "score", file, "--convention", "rsrag-paper", "--json")
    assert json.loads(done.stdout) == {
        "n": 2,
        "Accuracy": 0.5,
        "Per-Class Accuracy": {"park": 1.0, "port": 0.0},
    }
    assert "taken as classify: the questions list the classes" in " ".join(done.stderr.split())


def test_tasks_of_one_file_by_the_papers_convention_are_named(run: Run) -> None:
    write("a.jsonl", *TEXTS, task="Visual Question Answering")
    write("b.jsonl", ("a pond by a road", "a pond"), task="Image Captioning")
    write("c.jsonl", ("Park", "park"), task="Scene Classification")
    Path("all.jsonl").write_text("".join(Path(f"{name}.jsonl").read_text() for name in "abc"))
    shapes = json.loads(run("eval", "score", "all.jsonl", "--convention", "rsrag-paper", "--json").stdout)
    assert [(s["file"], s["task"], s["n"]) for s in shapes] == [
        ("all.jsonl", "vqa", 3),
        ("all.jsonl", "caption", 1),
        ("all.jsonl", "classify", 1),
    ]
    assert shapes[2]["Per-Class Accuracy"] == {"park": 1.0}


def test_several_files_are_a_list_and_rows(run: Run) -> None:
    files = [
        write("a.jsonl", *TEXTS),
        write("b.jsonl", *TEXTS[:2]),
        write("c.jsonl", ("Park", "Park"), question=LISTING),
    ]
    shapes = json.loads(run("eval", "score", *files, "--json").stdout)
    assert [(s["file"], s["n"], s["task"]) for s in shapes] == [
        ("a.jsonl", 3, "vqa"),
        ("b.jsonl", 2, "vqa"),
        ("c.jsonl", 1, "classify"),
    ]
    rows = list(csv.DictReader(io.StringIO(run("eval", "score", *files, "--csv").stdout)))
    assert [row["file"] for row in rows] == files and rows[2]["Per-Class Accuracy"] == "Park:1.0000"
    table = run("eval", "score", *files).stdout
    assert max(map(len, table.splitlines())) <= 80
    assert "Accuracy by class, c.jsonl" in table and table.count("ROUGE-L") == 1


def test_many_figures_fit_into_the_line(run: Run) -> None:
    more = {"evidence": ["The pier is long."], "answerable": True, "confidence": 0.5}
    rows = [{"id": n, "reference": "5 m", "prediction": "It is 5 m [1].", **more} for n in range(3)]
    Path("a-rather-long-name.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = run("eval", "score", "a-rather-long-name.jsonl").stdout
    assert max(map(len, table.splitlines())) <= 80 and "…" not in table
    assert "Groundedness" in table and table.count("File") == 2


def test_references_in_another_file(run: Run) -> None:
    Path("q.jsonl").write_text('{"id": 1, "question": "Q", "reference": "a pier"}\n{"id": 2, "reference": "a quay"}\n')
    Path("a.jsonl").write_text('{"id": 2, "prediction": "a quay"}\n{"id": 3, "prediction": "x"}\n')
    done = run("eval", "score", "a.jsonl", "--references", "q.jsonl", "--json")
    shape = json.loads(done.stdout)
    assert (shape["n"], shape["Exact match"], shape["missing"], shape["extra"]) == (2, 0.5, 1, 1)
    said = " ".join(done.stderr.split())
    assert "1 questions have no answer and are counted as wrong: 1" in said


def test_items(run: Run) -> None:
    run("eval", "score", write("a.jsonl", *TEXTS), "--items", "items.jsonl")
    assert len(Path("items.jsonl").read_text().splitlines()) == 3


def test_comparison(run: Run) -> None:
    a = write("a.jsonl", *[("a long pier of stone", "a pond")] * 20)
    b = write("b.jsonl", *[("a long pier of stone", "a long pier of stone")] * 20)
    done = run("eval", "compare", a, b, "--metric", "bleu-1", "--metric", "ROUGE-L", "--resamples", "500")
    assert "B is higher" in done.stdout and "CIDEr" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    shape = json.loads(run("eval", "compare", a, b, "--json", "--resamples", "500").stdout)
    assert (shape["task"], shape["n"]) == ("vqa", 20)
    assert set(shape["metrics"]["ROUGE-L"]) == {"a", "b", "difference", "low", "high", "p", "clear"}
    rows = list(csv.DictReader(io.StringIO(run("eval", "compare", a, b, "--csv", "--resamples", "500").stdout)))
    assert rows[0]["metric"] == "Exact match" and rows[0]["difference"] == "1.0"


def test_what_a_model_wrote_does_not_reach_the_terminal_as_commands(run: Run) -> None:
    file = write("c.jsonl", ("Park", "\x1b[31mzoo"), ("Port", "Port"), question=LISTING)
    done = run("eval", "score", file)
    assert done.exit_code == 0 and "\x1b" not in done.output


BAD = {
    "no file": (["score", "none.jsonl"], "none.jsonl cannot be read"),
    "no such convention": (["score", "a.jsonl", "--convention", "rsrag-papr"], "there is no convention 'rsrag-papr'"),
    "no such task": (["score", "a.jsonl", "--task", "captions"], "there is no task 'captions'"),
    "no such metric": (["compare", "a.jsonl", "a.jsonl", "--metric", "cidr"], "there is no metric 'cidr'"),
    "broken": (["score", "broken.jsonl"], "broken.jsonl:2 is not valid JSON"),
    "empty": (["score", "empty.jsonl"], "empty.jsonl is empty"),
    "latin": (["score", "latin.jsonl"], "latin.jsonl, line 1: byte 0xe9 is not UTF-8"),
    "nan": (["score", "nan.jsonl"], "nan.jsonl:1 holds NaN"),
    "a task of another kind": (["score", "a.jsonl", "--task", "choice"], "has no options"),
}


@pytest.mark.parametrize(("arguments", "why"), BAD.values(), ids=list(BAD))
def test_bad_input_is_one_line(run: Run, arguments: list[str], why: str) -> None:
    write("a.jsonl", *TEXTS)
    Path("broken.jsonl").write_text('{"id": 1, "reference": "a", "prediction": "a"}\n{"id": 2, "pre')
    Path("empty.jsonl").write_text("")
    Path("latin.jsonl").write_bytes('{"id": 1, "reference": "é", "prediction": "a"}\n'.encode("latin-1"))
    Path("nan.jsonl").write_text('{"id": 1, "reference": "a", "prediction": NaN}\n')
    done = run("eval", *arguments)
    assert isinstance(done.exception, UsageError), (done.output, done.exception)
    assert why in done.exception.message and "\n" not in done.exception.message and done.exception.hint
    assert done.stdout == ""


def test_two_forms_at_once(run: Run) -> None:
    done = run("eval", "score", write("a.jsonl", *TEXTS), "--json", "--csv")
    assert done.exit_code == 2 and "give one of --csv and --json" in done.output
