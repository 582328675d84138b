"""The README does what it says: its Python runs, its commands and options exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from rsrag import Plugins
from rsrag.testing.encoders import FakeEncoder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


class Offer:
    """The fake encoder under the name of the default one, whose weights a test machine does not have."""

    from rsrag import hookimpl

    @hookimpl
    def rsrag_encoders(self) -> list[type]:
        return [type("Renamed", (FakeEncoder,), {"name": "default"})]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_readme_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rsrag
    from rsrag.store import knowledge_base

    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive").mkdir()
    Image.new("RGB", (32, 32), (40, 150, 40)).save(tmp_path / "archive" / "scene.tif")
    (tmp_path / "archive" / "scene.txt").write_text("The harbour expansion seen in green.")
    original = knowledge_base.KnowledgeBase.__init__

    def start(self: object, path: str, **options: object) -> None:
        original(self, path, "default", plugins=Plugins(external=False, extra=[Offer()]), **options)  # type: ignore

    monkeypatch.setattr(knowledge_base.KnowledgeBase, "__init__", start)
    scope: dict[str, object] = {"rsrag": rsrag}
    exec(compile(code, "README.md", "exec"), scope)
    assert scope["answer"].evidence  # type: ignore[attr-defined]
    assert scope["hits"] and scope["documents"]


def _commands() -> list[list[str]]:
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    found = [shlex.split(line.replace(".venv/bin/", "")) for line in lines]
    return [words for words in found if words[0] == "rsrag"]


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_commands_in_the_readme_exist_with_their_options(words: list[str]) -> None:
    group = words[1:3] if words[1] in ("kb", "config", "plugins", "train", "tools", "log", "eval") else words[1:2]
    shown = subprocess.run(
        [sys.executable, "-c", "from rsrag.cli import main; main()", *group, "--help"], capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    for option in (w for w in words if w.startswith("--")):
        assert option in shown.stdout


def test_every_command_stands_in_the_readme() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "from rsrag.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = re.findall(r"^  (\w+) {2,}\w", shown.partition("Commands:")[2], re.MULTILINE)
    assert len(names) >= 8
    for name in names:
        assert f"`rsrag {name}" in README, name


def test_links_inside_the_repository_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z][a-z-]*)", README):
        if target in ("and",):
            continue
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
