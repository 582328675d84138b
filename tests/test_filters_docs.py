"""docs/filters.md and docs/stac.md do what they say: their Python runs, their commands and options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from test_stac import item, write_catalog
from typer.main import get_command

import rsrag
from rsrag import Plugins
from rsrag.cli.app import build
from rsrag.testing.encoders import FakeEncoder

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("filters", "stac")}


def blocks(language: str) -> list[str]:
    return [code for page in PAGES.values() for code in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)]


COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ rsrag")]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_catalog(tmp_path / "archive", item(properties={"title": "Harbour"}))
    encoder: Any = FakeEncoder()
    for name in ("my-store", "work"):
        with rsrag.KnowledgeBase(name, encoder, plugins=Plugins(external=False)) as kb:
            kb.add("archive/catalog.json")

    def reopened(path: str) -> rsrag.KnowledgeBase:
        return original(path, encoder, plugins=Plugins(external=False))

    original = rsrag.KnowledgeBase
    monkeypatch.setattr(rsrag, "KnowledgeBase", reopened)
    scope: dict[str, Any] = {"rsrag": rsrag, "Path": Path}
    exec(compile(code, "docs", "exec"), scope)
    assert scope["hits"] if "export" in scope else scope["answer"].warnings


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_options_exist(command: str) -> None:
    """Parsed by the application itself, which refuses what it does not know."""
    words = shlex.split(command)[1:]
    group: Any = get_command(build(["--no-plugins"]))
    context = group.make_context("rsrag", words[:1], resilient_parsing=True)
    while hasattr(group, "get_command"):
        name, *words = words
        group = group.get_command(context, name)
        assert group is not None, name
    group.make_context(name, words)
