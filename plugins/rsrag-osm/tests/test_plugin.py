"""The package as it is installed: found by its entry point, and used from the command line."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from conftest import LAT, LON, STEP
from rsrag import Plugins

import rsrag_osm


def test_it_is_found_by_its_entry_point_and_offers_what_it_says() -> None:
    (point,) = [p for p in entry_points(group="rsrag") if p.name == "osm"]
    assert point.load() is rsrag_osm
    plugins = Plugins(strict=True)
    for kind, names in {
        "source": ["osm", "osm-images"], "retriever": ["osm-near"], "tool": ["whats_here"], "captioner": ["osm"],
    }.items():  # fmt: skip
        assert set(names) <= set(plugins.offers(kind))
        assert {plugins.giver(kind, name) for name in names} == {"osm"}
    assert plugins.problems == []


def test_it_uses_only_what_rsrag_exports() -> None:
    """`rsrag` and `rsrag.interfaces`; anything deeper would break with the next version."""
    for file in Path(rsrag_osm.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            deep = [n for n in names if n.startswith("rsrag.") and n != "rsrag.interfaces"]
            assert not deep, f"{file.name} imports {deep[0]}"


FAKE = """
from rsrag import hookimpl
from rsrag.testing import FakeEncoder

@hookimpl
def rsrag_encoders():
    return [FakeEncoder]
"""


@pytest.fixture
def rsrag(tmp_path: Path, private_home: Path) -> Any:
    """Runs the command line in the test's folder; a second plugin offers an encoder without weights."""
    site = tmp_path / "site"
    about = site / "rsrag_fake_for_test-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rsrag-fake-for-test\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[rsrag]\nfake = rsrag_fake_for_test\n")
    (site / "rsrag_fake_for_test.py").write_text(FAKE)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from rsrag.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "RSRAG_KB": "./kb"},
        )
        assert done.returncode == 0, done.stderr
        assert "plugin osm" not in done.stderr
        return done.stdout

    run("kb", "create", "./kb", "--encoder", "fake")
    return run


@pytest.mark.slow
def test_an_extract_is_added_searched_and_asked_about(rsrag: Any, extract: Path, make_scene: Any) -> None:
    told = json.loads(rsrag("kb", "add", str(extract), "--json"))
    assert (told["kind"], told["added"]) == ("osm", 5)
    assert any("features without a name" in each["why"] for each in told["failed"])

    near = ",".join(map(str, (LON, LAT, LON + STEP, LAT + STEP)))
    found = json.loads(rsrag("search", "hospitals", "--near", near, "--json"))
    assert "St. Mary's is a hospital" in json.dumps(found)

    scene = make_scene()
    answer = json.loads(rsrag("ask", "how many hospitals are there?", "--image", scene.uri, "--json"))
    (tool,) = [e for e in answer["evidence"] if e["title"] == "whats_here"]
    assert "There is 1 hospital covering 2.95 ha" in tool["text"]
    assert "© OpenStreetMap contributors, ODbL" in json.dumps(tool, ensure_ascii=False)
