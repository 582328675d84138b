"""`rsrag tools`, `ask --stream` and `ask -`: geo tools and pipes as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from rsrag.cli.app import build
from rsrag.errors import RsragError

PLUGIN = '''
import rsrag
from pathlib import Path
from collections.abc import Sequence

class Redness:
    name = "redness"
    def applies(self, query):
        return 0.9 if "red" in query.text else 0.0
    def __call__(self, scene: rsrag.Scene, pictures: Path, threshold: float = 0.5) -> rsrag.ToolResult:
        """Tell how red a scene is.

        Args:
            threshold: From where on it counts as red, 0..1.
        """
        red = float(scene.rgb(64)[..., 0].mean()) / 255
        if threshold > 1:
            raise rsrag.UsageError("the threshold is above 1.", "Give 0..1.")
        drawn = pictures / "red.png"
        drawn.write_bytes(b"a picture")
        return rsrag.ToolResult(
            f"The scene is {'red' if red > threshold else 'not red'}.",
            {"redness": rsrag.Quantity(red)}, (str(drawn),), {"type": "FeatureCollection", "features": []},
            ("It was a glance.",))

class Send:
    name = "send"
    asks = ("network",)
    def applies(self, query):
        return 0.0
    def __call__(self, to: str) -> rsrag.ToolResult:
        """Send something."""
        return rsrag.ToolResult(f"Sent to {to}.")

@rsrag.hookimpl
def rsrag_tools():
    return [Redness, Send]
'''


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "red field.png"
    Image.new("RGB", (40, 30), (250, 10, 10)).save(path)
    return str(path)


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    store = str(tmp_path / "store")
    (tmp_path / "note.txt").write_text("Red fields are poppies in May.", encoding="utf-8")

    def call(*arguments: str, stdin: str | bytes | None = None):
        options = ["--plugin-dir", str(tmp_path / "plugin.py")]
        return CliRunner().invoke(build(options), [*options, *arguments], input=stdin, catch_exceptions=True)

    assert call("kb", "add", str(tmp_path / "note.txt"), "--kb", store).exit_code == 0
    call.store = store  # type: ignore[attr-defined]
    return call


def test_tools_are_listed_and_shown(run) -> None:
    listed = {tool["name"]: tool for tool in json.loads(run("tools", "list", "--json").stdout)}
    assert {"describe_scene", "locate", "redness"} <= set(listed)
    assert listed["redness"]["parameters"]["properties"]["threshold"]["default"] == 0.5
    assert listed["send"]["asks"] == ["network"]
    shown = run("tools", "show", "redness").stdout
    assert "rsrag tools run redness IMAGE [ARGUMENT=VALUE]..." in shown and "From where on it counts as red" in shown
    assert all(len(line) <= 80 for line in run("tools", "list").stdout.splitlines())


def test_a_tool_runs_with_what_is_typed(run, image: str, tmp_path: Path) -> None:
    done = run("tools", "run", "redness", image, "threshold=0.3", "--kb", run.store)
    assert done.exit_code == 0 and "The scene is red." in done.stdout and "redness" in done.stdout
    assert "warning: It was a glance." in done.stderr
    out = tmp_path / "out.png"
    told = run("tools", "run", "redness", image, "threshold=0.99", "--out", str(out), "--json", "--kb", run.store)
    answer = json.loads(told.stdout)
    assert answer["text"] == "The scene is not red." and answer["values"]["redness"]["value"] == pytest.approx(
        0.98, abs=0.01
    )
    assert out.read_bytes() == b"a picture" and answer["written"] == {"picture": str(out)}
    run("tools", "run", "redness", image, "--out", str(tmp_path / "map.geojson"), "--kb", run.store)
    assert json.loads((tmp_path / "map.geojson").read_text())["type"] == "FeatureCollection"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rednes", "IMAGE"], "rednes"),
        (["redness", "IMAGE", "treshold=1"], "no argument 'treshold'"),
        (["redness", "IMAGE", "threshold=lots"], "threshold = 'lots' does not fit"),
        (["redness", "IMAGE", "threshold=3"], "the threshold is above 1"),
        (["redness"], "needs an image"),
        (["redness", "IMAGE", "IMAGE"], "takes one image, and 2 are given"),
        (["redness", "gone.png"], "gone.png"),
        (["send", "IMAGE"], "takes no image"),
        (["send", "to=you"], "nobody agreed"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, image: str, arguments: list[str], said: str) -> None:
    given = [image if item == "IMAGE" else item for item in arguments]
    failed = run("tools", "run", *given, "--kb", run.store)
    assert isinstance(failed.exception, RsragError) and said in failed.exception.message


def test_consent_can_be_given_beforehand(run) -> None:
    assert "Sent to you." in run("tools", "run", "send", "to=you", "--yes", "--kb", run.store).stdout


def test_ask_streams_one_object_a_line(run, image: str) -> None:
    done = run("ask", "is this red?", "-i", image, "--kb", run.store, "--json", "--stream")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "retrieved" and kinds[-1] == "done" and "tool_started" in kinds and "text" in kinds
    answer = events[-1]["answer"]
    assert "".join(e["text"] for e in events if e["event"] == "text").strip() == answer["text"]
    assert answer["text"].startswith("The scene is red ["), "what the question asks for leads the answer"
    (tool,) = [item for item in answer["evidence"] if item["title"] == "redness"]
    assert tool["values"]["redness"]["value"] > 0.9 and tool["pictures"]


def test_ask_streams_text_and_reads_stdin(run) -> None:
    done = run("ask", "-", "--kb", run.store, "--stream", stdin="When are red fields\npoppies?\n")
    assert done.exit_code == 0 and "poppies in May" in done.stdout and "\x1b" not in done.stdout
    empty = run("ask", "-", "--kb", run.store, stdin=b"\n")
    assert empty.exit_code == 2


def test_a_tool_that_cannot_run_is_no_silence(run, image: str, tmp_path: Path) -> None:
    """The question asks for a tool that fails: the answer says why, and says nothing else instead."""
    text = PLUGIN.replace("threshold: float = 0.5", "threshold: float = 2.0")
    (tmp_path / "plugin.py").write_text(text, encoding="utf-8")
    answer = json.loads(run("ask", "is this red?", "-i", image, "--kb", run.store, "--json").stdout)
    assert answer["status"] == "declined" and answer["text"].startswith("The threshold is above 1 [")
