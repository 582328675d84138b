"""The tutorial does what it says: its files are written and its commands run, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parent.parent / "docs" / "plugins" / "tutorial.md"
MARK = r"(?:<!-- (?P<mark>file|run instead|not run): (?P<what>.*?) -->\n)?"
BLOCK = re.compile(MARK + r"```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the comment above it, and its text."""

    kind: str
    mark: str
    what: str
    text: str


def blocks() -> Iterator[Block]:
    for match in BLOCK.finditer(TUTORIAL.read_text(encoding="utf-8")):
        yield Block(match["kind"], match["mark"] or "", match["what"] or "", match["text"])


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(command, lines its output must hold) of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *expected = part.rstrip().splitlines()
        yield command, expected


class Reader:
    """Somebody who follows the tutorial in an empty folder, without a network and with the fake encoder."""

    def __init__(self, folder: Path) -> None:
        site = folder / "site"
        site.mkdir()
        self.here = folder / "here"
        self.here.mkdir()
        _offer_the_fake_encoder(site)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(site),
            "SITE": str(site),
            "RSRAG_ENCODER": "fake",
            "RSRAG_DATA_DIR": str(folder / "data"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "200",
            "LANG": "C.UTF-8",
        }

    def run(self, command: str) -> str:
        """Run in the folder that the last command left us in; what it wrote."""
        where = Path(self.environment["HOME"]).parent / "where"
        done = subprocess.run(
            ["bash", "-c", f"set -e\n{command}\npwd > '{where}'"],
            cwd=self.here, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        self.here = Path(where.read_text().strip())
        return done.stdout

    def follow(self, block: Block) -> None:
        if block.mark == "file":
            path = self.here / block.what
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.mark == "run instead":
            self.run(block.what)
        elif block.kind == "console" and block.mark != "not run":
            for command, expected in commands(block.text):
                said = self.run(command)
                for line in expected:
                    pattern = ".*?".join(re.escape(" ".join(part.split())) for part in line.split("..."))
                    assert re.search(pattern, " ".join(said.split())), f"$ {command}\n{said}\nlacks: {line}"
        elif block.kind == "python":
            script = self.here.parent / "block.py"
            script.write_text(block.text, encoding="utf-8")
            self.run(f"python {script}")


def _offer_the_fake_encoder(site: Path) -> None:
    dist = site / "rsrag_fake-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: rsrag-fake\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[rsrag]\nfake = rsrag_fake_plugin\n")
    (site / "rsrag_fake_plugin.py").write_text(
        "from rsrag import hookimpl\n\n\n@hookimpl\ndef rsrag_encoders():\n"
        "    from rsrag.testing import FakeEncoder\n\n    return [FakeEncoder]\n"
    )


@pytest.mark.slow  # a real build, a real installation and ten starts of rsrag
def test_every_step_works(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in blocks():
        reader.follow(block)
    assert (tmp_path / "here" / "rsrag-lighthouses" / "dist").is_dir()


def test_hardly_anything_is_left_out() -> None:
    marks = [block.mark for block in blocks()]
    assert len(marks) >= 15
    assert marks.count("not run") == 1 and marks.count("run instead") == 2
    every = re.findall(r"^```\w+$", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(every) == len(marks), "a block escapes the test"


def test_a_missing_line_of_output_is_noticed(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(Block("console", "", "", "$ echo one two\n...two\n"))
    with pytest.raises(AssertionError, match="lacks: three"):
        reader.follow(Block("console", "", "", "$ echo one two\nthree\n"))
    with pytest.raises(AssertionError, match="no-such-command"):
        reader.follow(Block("console", "", "", "$ no-such-command\n"))
