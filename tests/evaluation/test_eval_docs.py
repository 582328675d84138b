"""docs/evaluation.md names what there is, and its examples run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsrag.cli.app import build
from rsrag.evaluation import conventions, formats
from rsrag.evaluation.samples import TASKS

PAGE, _, MEASURED = (
    (Path(__file__).parents[2] / "docs" / "evaluation.md")
    .read_text(encoding="utf-8")
    .partition("## Does retrieval pay?")
)


@pytest.mark.parametrize("name", [*formats._READERS, "folders", *TASKS, *conventions.CONVENTIONS])
def test_every_name_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_options_exist() -> None:
    commands = ("score", "compare", "run", "sweep")
    helps = " ".join(CliRunner().invoke(build(), ["eval", c, "--help"]).output for c in commands)
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= set(re.findall(r"--[a-z][a-z-]+", helps))


def test_options_of_what_was_measured_exist() -> None:
    commands = (["train", "encoder"], ["classify"], ["eval", "run"])
    helps = " ".join(CliRunner().invoke(build(c), [*c, "--help"]).output for c in commands)
    folder = Path(__file__).parents[2] / "benchmarks"
    names = ("rag_pays.py", "facts.py", "hybrid.py")
    benchmarks = "".join((folder / name).read_text(encoding="utf-8") for name in names)
    known = set(re.findall(r"--[a-z][a-z-]+", helps)) | set(re.findall(r'"(--[a-z-]+)"', benchmarks))
    assert set(re.findall(r"--[a-z][a-z-]+", MEASURED)) <= known


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": n, "question": "Q", "reference": "a long pier", "prediction": "a pier"} for n in range(3)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("answers.jsonl", "questions.json", "without.jsonl", "with.jsonl"):
        Path(name).write_text(json.dumps(rows) if name.endswith("json") else text)
    commands = [shlex.split(line[2:]) for line in PAGE.splitlines() if line.startswith("$ rsrag")]
    finished = [words for words in commands if words[2] in ("score", "compare") and "results/" not in words[3]]
    assert len(finished) == 4
    for words in commands:  # those that need data of their own: at least their options are read
        if words not in finished and not any(word.startswith("results/ucm-") for word in words):
            known = CliRunner().invoke(build(), ["eval", words[2], "--help"]).output
            assert [o for o in words if o.startswith("--") and o not in known] == []
    for words in finished:
        arguments = [a for word in words[1:] for a in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
        done = CliRunner().invoke(build(arguments), arguments)
        assert done.exit_code == 0, (words, done.output)


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").write_text('{"id": 1, "reference": "a pier", "prediction": "a pier"}\n')
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "evaluation.md", "exec"), {})
    assert capsys.readouterr().out.startswith("1 1.0 (1.0,)")
