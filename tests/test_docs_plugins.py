"""The pages for plugin authors: their examples keep their contracts, and nothing to implement is left out."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import typer

import rsrag.testing
from rsrag import Plugins, hookspecs, interfaces
from rsrag.plugins import HOOKS
from rsrag.testing import contracts

DOCS = Path(__file__).parent.parent / "docs" / "plugins"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
WRITTEN = "\n".join(text for name, text in PAGES.items() if name != "reference.md")
FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
EXAMPLES = {
    name: dict(FILE.findall(text)) for name, text in PAGES.items() if name != "tutorial.md" and FILE.search(text)
}
HOOK_NAMES = [name for name in vars(hookspecs) if name.startswith("rsrag_")]


# -- the examples run ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of all pages, as their readers would copy them."""
    folder = tmp_path_factory.mktemp("examples")
    for files in EXAMPLES.values():
        for name, code in files.items():
            (folder / name).write_text(code, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return folder


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, list[Any]]:
    """The test cases of each test file."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "rsrag.testing.pytest_plugin", f"--junitxml={report}"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert report.exists(), done.stdout + done.stderr
    cases: dict[str, list[Any]] = {}
    for case in ET.parse(report).iter("testcase"):
        cases.setdefault(str(case.get("classname")).partition(".")[0] or str(case.get("name")), []).append(case)
    return cases


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_example_of_a_page_keeps_its_contract(page: str, outcomes: dict[str, list[Any]]) -> None:
    (tests,) = [name.removesuffix(".py") for name in EXAMPLES[page] if name.startswith("test_")]
    cases = outcomes[tests]
    failed = {c.get("name"): p.get("message") for c in cases for p in c if p.tag in ("failure", "error", "skipped")}
    assert failed == {}
    assert len(cases) >= 2


@pytest.mark.parametrize("kind", HOOKS)
def test_the_example_of_a_kind_is_offered_through_the_door(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = [name for name in EXAMPLES[f"{kind}.md"] if not name.startswith("test_")]
    spec = importlib.util.spec_from_file_location(f"example_{kind}", folder / name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    offered = Plugins(external=False, strict=True, extra=[module]).offers(kind)
    (own,) = [cls for cls in offered.values() if cls.__module__ == module.__name__]
    assert f"{kind.title()}Contract" in PAGES[f"{kind}.md"]
    assert own.name in PAGES[f"{kind}.md"]


# -- nothing is left out -----------------------------------------------------------------------------


def test_the_reference_is_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert PAGES["reference.md"] == module.reference(), "run python docs/plugins/make_reference.py"


@pytest.mark.parametrize("hook", HOOK_NAMES)
def test_every_hook_says_what_it_takes_and_returns(hook: str) -> None:
    function = getattr(hookspecs, hook)
    doc = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^:param {parameter}: \w", doc, re.MULTILINE), f":param {parameter}: is missing in {hook}"
    returns = inspect.signature(function).return_annotation
    assert (returns == "None") != bool(re.search(r"^:return: \w", doc, re.MULTILINE)), hook
    assert f"def {hook}(" in WRITTEN, f"no page shows how to implement {hook}"


@pytest.mark.parametrize("kind", HOOKS)
def test_every_kind_has_its_page_and_is_listed(kind: str) -> None:
    assert f"({kind}.md)" in PAGES["README.md"]
    assert "## What to know" in PAGES[f"{kind}.md"]


def test_every_page_is_reached_from_the_index() -> None:
    for name in PAGES.keys() - {"README.md"}:
        assert f"({name})" in PAGES["README.md"], name


def test_links_lead_somewhere() -> None:
    for name, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (DOCS / target).exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", [n for n in contracts.__all__ if n != "ComponentContract"])
def test_every_contract_is_shown(name: str) -> None:
    assert f"`{name}`" in WRITTEN


@pytest.mark.parametrize("name", rsrag.testing.__all__)
def test_every_name_of_the_kit_is_told(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGES["README.md"])


def test_every_member_of_a_protocol_is_explained_where_its_kind_is() -> None:
    missing = []
    for kind, name in {k: "GeoTool" if k == "tool" else k.title() for k in HOOKS if k != "benchmark"}.items():
        protocol = getattr(interfaces, name)
        members = {*vars(protocol), *vars(protocol).get("__annotations__", {}), *_inherited(protocol)}
        page = PAGES[f"{kind}.md"]
        missing += [f"{kind}.md: {m}" for m in members if (m == "__call__" or m[0] != "_") and m not in page]
    assert missing == []


def _inherited(protocol: Any) -> set[str]:
    return {m for base in protocol.__mro__[1:] if base.__module__.endswith("interfaces") for m in vars(base)}


def _commands() -> dict[str, list[str]]:
    """Options of each command of `rsrag plugins`, as the application has them."""
    from rsrag.cli.app import build

    group: Any = typer.main.get_command(build(["--no-plugins"])).commands["plugins"]  # type: ignore[attr-defined]
    return {
        name: [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for name, command in group.commands.items()
    }


def test_every_command_and_option_for_plugins_is_told() -> None:
    commands = _commands()
    assert {"list", "check", "new"} <= set(commands)
    rows = dict(re.findall(r"^\| `rsrag plugins (\w+)[^`]*` \|(.*)$", PAGES["README.md"], re.MULTILINE))
    for name, options in commands.items():
        row = re.search(rf"^\| `rsrag plugins {name}\b.*$", PAGES["README.md"], re.MULTILINE)
        assert row, f"rsrag plugins {name} is not told"
        for option in {*options} - {"--help"}:
            assert option in row.group(), f"rsrag plugins {name} {option} is not told"
    assert set(rows) == set(commands), "a command is told that does not exist"


def test_every_setting_for_plugins_is_told() -> None:
    from rsrag.config import PLUGIN_SETTINGS

    (table,) = re.findall(r"```toml\n\[plugins\]\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert re.findall(r"^(\w+) =", table, re.MULTILINE) == list(PLUGIN_SETTINGS)
    for word in ("--no-plugins", "--plugin-dir", "RSRAG_STRICT_PLUGINS=1", "RSRAG_PLUGIN_API"):
        assert word in PAGES["README.md"], word
