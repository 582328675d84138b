"""`rsrag log` at the command line, over real sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rsrag import Assistant, KnowledgeBase
from rsrag.cli.app import build
from rsrag.cli.log import ago
from rsrag.config import load
from rsrag.errors import RsragError, UsageError
from rsrag.sessions import Sessions
from rsrag.testing import ScriptedModel, make_knowledge_base, make_scene


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with make_knowledge_base(tmp_path_factory.mktemp("store") / "kb") as kb:
        yield kb


@pytest.fixture
def ids(store: KnowledgeBase, tmp_path: Path) -> list[str]:
    """Two sessions, the older about a port in an image, the newer about forests; the older was continued last."""
    make_scene(tmp_path / "hamburg.tif")
    assistant = Assistant(
        store, ScriptedModel(["The **port** of Hamburg\x1b[31m [1]. A " + "very " * 30 + "long one [2]."])
    )
    with Sessions(load().data_dir / "sessions.sqlite") as sessions:
        port = assistant.chat().saved_in(sessions)
        forest = assistant.chat().saved_in(sessions, "woods")
        forest.ask("What is a forest?")
        port.ask("what is this port, and what can be said about it in a question of more than eighty characters?",
                 tmp_path / "hamburg.tif")  # fmt: skip
        port.ask("and the north-east corner?")
    return [port.id, forest.id]


def log(*arguments: str, ok: bool = True) -> Result:
    result = CliRunner().invoke(build(["log", *arguments]), ["log", *arguments])
    if ok:
        assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_list(ids: list[str]) -> None:
    lines = log("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ids
    assert "just now" in lines[1] and "woods" in lines[2] and all(len(line) <= 80 for line in lines)
    data = json.loads(log("list", "--json", "-n", "1").stdout)
    assert [(d["id"], d["questions"], d["name"]) for d in data] == [(ids[0], 2, None)]


def test_without_any(private_home: Path) -> None:
    assert "No conversation yet" in log("list").stderr
    assert json.loads(log("list", "--json").stdout) == []
    error = log("show", ok=False).exception
    assert isinstance(error, UsageError) and "no session yet" in error.message


def test_show(ids: list[str]) -> None:
    out = log("show", ids[0][:5]).stdout
    assert "[A] hamburg.tif" in out and "> and the north-east corner?" in out
    assert "asked as:" in out and "about the part 32,0,32,32 of A" in out
    assert "[1]" in out and "\x1b" not in out and max(map(len, out.splitlines())) <= 80
    assert "What is a forest?" in log("show", "woods").stdout
    assert json.loads(log("show", ids[0], "--json").stdout)["exchanges"][1]["letters"] == ["A"]


def test_search(ids: list[str]) -> None:
    out = log("search", "forest").stdout
    assert ids[1] in out and ids[0] not in out
    found = json.loads(log("search", "north-east", "corner", "--json").stdout)
    assert [(f["session"], f["number"]) for f in found] == [(ids[0], 2)]
    assert "Nothing that was said" in log("search", "volcano").stderr


@pytest.mark.parametrize(("kind", "start"), [("md", "# what is"), ("html", "<!doctype html>"), ("json", "{")])
def test_export(ids: list[str], tmp_path: Path, kind: str, start: str) -> None:
    assert log("export", "--format", kind).stdout.startswith(start)
    out = tmp_path / f"talk.{kind}"
    result = log("export", ids[0], "--out", str(out))
    assert result.stdout == "" and str(out) in result.stderr.replace("\n", "")
    assert out.read_text("utf-8").startswith(start)
    if kind == "html":
        assert "data:image/jpeg" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("export", "--format", "pdf"), "no format 'pdf'"),
        (("export", "--out", "/nowhere/at/all.md"), "cannot be written"),
        (("show", "zzz"), "no session 'zzz'"),
        (("delete", "zzz", "--yes"), "no session 'zzz'"),
        (("search", "?!"), "no word to search for"),
    ],
)
def test_what_is_wrong_is_said(ids: list[str], arguments: tuple[str, ...], error: str) -> None:
    failure = log(*arguments, ok=False).exception
    assert isinstance(failure, RsragError) and error in failure.message


def test_delete_asks_first(ids: list[str]) -> None:
    app = build(["log", "delete"])
    assert CliRunner().invoke(app, ["log", "delete", "woods"], input="n\n").exit_code == 1
    assert (
        CliRunner().invoke(app, ["log", "delete", "woods"], input="y\n").stdout.strip().endswith(f"Deleted {ids[1]}.")
    )
    assert [d["id"] for d in json.loads(log("list", "--json").stdout)] == [ids[0]]


NOW = datetime(2026, 5, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=1), "yesterday"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=40), "2026-03-31"),
        (timedelta(seconds=-30), "just now"),
    ],
)
def test_times_are_said_as_people_say_them(before: timedelta, said: str) -> None:
    assert ago(NOW - before, NOW) == said
