"""`rsrag plugins list|check|new` as a plugin's author meets them, from an empty folder to an answer that uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import RsragError, UsageError
from rsrag.cli.scaffold import KINDS, write_package
from rsrag.testing.rasters import make_geotiff, make_image

FAKE = """
from rsrag import hookimpl

@hookimpl
def rsrag_encoders():
    from rsrag.testing.encoders import FakeEncoder
    return [FakeEncoder]
"""


def register(site: Path, package: Path) -> None:
    """What installing a package leaves behind, without pip: its modules and its entry points."""
    import tomllib

    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    dist = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["rsrag"].items())
    (dist / "entry_points.txt").write_text(f"[rsrag]\n{points}")
    for module in (package / "src").iterdir():
        (site / module.name).symlink_to(module)


class Shell:
    """Runs `rsrag` in a new process, with one folder of packages."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.site = home / "site"
        self.site.mkdir()

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from rsrag.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            cwd=self.home,
            env={**self.environment, **environment},
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(self.site),
            "RSRAG_DATA_DIR": str(self.home / "data"),
            "COLUMNS": "80",
            "LANG": "C.UTF-8",
        }

    def json(self, *arguments: str, code: int = 0, **environment: str) -> Any:
        return json.loads(self(*arguments, "--json", code=code, **environment).stdout)

    def plugins(self, *options: str, **environment: str) -> dict[str, Any]:
        return {row["name"]: row for row in self.json(*options, "plugins", "list", **environment)}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


# -- new ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Where one package of every kind was made by `rsrag plugins new` and installed."""
    shell = Shell(tmp_path_factory.mktemp("workshop"))
    for kind in KINDS:
        made = shell("plugins", "new", f"rsrag-my-{kind}", "--kind", kind).stdout.strip()
        assert made == f"rsrag-my-{kind}"
        register(shell.site, shell.home / made)
    (shell.home / "local").mkdir()
    (shell.home / "local" / "fake.py").write_text(FAKE)
    return shell


def test_each_new_package_is_listed_with_what_it_offers(workshop: Shell) -> None:
    rows = workshop.plugins()
    for kind in KINDS:
        row = rows[f"my-{kind}"]
        assert row["state"] == "ok" and row["offers"] == {kind: [f"my-{kind}"]}, row
        assert (row["distribution"], row["version"]) == (f"rsrag-my-{kind}", "0.1.0")
        assert row["module"] == f"rsrag_my_{kind}"


def test_each_new_package_is_used_by_the_program(workshop: Shell) -> None:
    home = workshop.home
    (home / "towns.csv").write_text("name,lon,lat,text\nCuxhaven,8.7,53.86,A town with a lighthouse.\nBad,x,1,\n")
    make_image(home / "images" / "green.png", color=(60, 130, 50))
    field = np.full((2, 32, 32), 0.2, np.float32)
    field[1] = 0.6
    make_geotiff(home / "images" / "field_20200714.tif", data=field, descriptions=("red", "nir"), crs="EPSG:32633")
    local = ("--plugin-dir", "local")
    workshop(*local, "kb", "create", "work", "--encoder", "my-encoder", "--text-encoder", "fake")

    added = workshop.json(*local, "kb", "add", "towns.csv", "--kb", "work")
    assert (added["kind"], added["added"], len(added["failed"])) == ("my-source", 1, 1)
    workshop(*local, "kb", "add", "images", "--captioner", "my-captioner", "--kb", "work")

    found = workshop.json(*local, "search", "green", "--kind", "image", "--all", "--kb", "work")["hits"]
    assert found[0]["title"].lower() == "green" and "text-image" in found[0]["lanes"]
    described = workshop.json(*local, "search", "mostly green surface", "--kind", "text", "--kb", "work")["hits"]
    assert "mostly green, with a smooth surface" in described[0]["text"]
    dated = workshop.json(*local, "search", "field surface", "--kb", "work")["hits"]
    assert any("my-retriever" in hit["lanes"] for hit in dated)

    said = workshop.json(
        *local, "ask", "what is in Cuxhaven?", "--kb", "work", "--model", "my-model", RSRAG_RERANKER="my-reranker"
    )
    assert said["model"] == "my-model" and "A town with a lighthouse. [" in said["text"]
    assert not any("my-reranker" in warning for warning in said["warnings"])
    image = str(home / "images" / "field_20200714.tif")
    said = workshop.json(*local, "ask", "how green is it?", "--image", image, "--kb", "work")
    assert ["The mean NDVI is 0.50" in e["text"] for e in said["evidence"] if e["kind"] == "tool"].count(True) == 1


@pytest.mark.slow
def test_the_tests_of_each_new_package_pass(workshop: Shell) -> None:
    tests = [str(workshop.home / f"rsrag-my-{kind}" / "tests") for kind in KINDS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "rsrag.testing.pytest_plugin", "-p", "no:cacheprovider"]
    environment = {**workshop.environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    (workshop.home / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [*command, "-c", "pytest.ini", *tests],
        capture_output=True, text=True, cwd=workshop.home, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_new_package_passes_its_check(kind: str, workshop: Shell) -> None:
    (workshop.home / "rows.csv").write_text("name,lon,lat\nCuxhaven,8.7,53.86\n")
    options = ["source.my-source.path=rows.csv"] if kind == "source" else []
    if kind == "retriever":
        options = ["retriever.my-retriever.depth=50"]
    findings = workshop.json("plugins", "check", f"./rsrag-my-{kind}", *options)
    assert [finding["what"] for finding in findings] == ["import", f"{kind} 'my-{kind}'"]
    assert {finding["passed"] for finding in findings} == {True}, findings


@pytest.mark.slow
def test_a_new_package_is_installed_by_pip(shell: Shell) -> None:
    pytest.importorskip("hatchling", reason="building a package without a network needs hatchling installed")
    shell("plugins", "new", "rsrag-greenness", "--kind", "tool")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--target", str(shell.site), str(shell.home / "rsrag-greenness")],
        check=True,
    )  # fmt: skip
    row = shell.plugins()["greenness"]
    assert (row["distribution"], row["state"], row["offers"]) == ("rsrag-greenness", "ok", {"tool": ["greenness"]})


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-x", "--kind", "tool"], 2, "No such option"),
        (["x-", "--kind", "tool"], 2, "'x-' is no name for a package."),
        (["../x", "--kind", "tool"], 2, "is no name for a package."),
        (["9lives", "--kind", "tool"], 2, "begins with a digit."),
        (["json", "--kind", "tool"], 2, "Try rsrag-json."),
        (["class", "--kind", "tool"], 2, "Try rsrag-class."),
        (["rsrag", "--kind", "tool"], 2, "Try rsrag-rsrag."),
        (["none", "--kind", "tool"], 2, "a class called None."),
        (["rsrag-folder", "--kind", "source"], 2, "there is a source called 'folder' already."),
        (["x", "--kind", "tol"], 2, "there is no kind of component called 'tol'. Kinds: source, captioner"),
        (["taken", "--kind", "tool"], 1, "taken exists already; nothing was written."),
        (["x", "--kind", "tool", "--in", "afile"], 1, "cannot be written"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(
    arguments: list[str], code: int, told: str, tmp_path: Path, shell: Shell
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "afile").touch()
    before = sorted(tmp_path.rglob("*"))
    done = shell("plugins", "new", *arguments, code=code)
    assert told in " ".join(done.stderr.split()) and done.stdout == ""
    assert [p for p in sorted(tmp_path.rglob("*")) if ".cache" not in p.parts] == before


@given(st.text("aZ9-_. /é", min_size=1, max_size=12))
def test_a_name_is_refused_or_makes_a_package_that_python_can_read(name: str) -> None:
    import ast
    import tempfile
    import tomllib

    with tempfile.TemporaryDirectory() as folder:
        try:
            made = write_package(name, "tool", Path(folder), lambda kind: ())
        except UsageError:
            assert not list(Path(folder).iterdir())
            return
        (module,) = (made / "src").iterdir()
        assert module.name.isidentifier() and made.parent == Path(folder)
        project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
        ((component, target),) = project["entry-points"]["rsrag"].items()
        assert target == module.name and component
        for file in made.rglob("*.py"):
            ast.parse(file.read_text())
        assert "$" not in (made / "README.md").read_text()
        with pytest.raises(RsragError, match="exists already"):
            write_package(name, "model", Path(folder), lambda kind: ())


# -- list -----------------------------------------------------------------------------------------


def test_the_table_fits_eighty_columns(workshop: Shell) -> None:
    done = workshop("plugins", "list")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "built-in" in done.stdout and "rsrag-my-tool" in done.stdout.replace("\n", "")


def test_local_plugins_come_by_option_and_by_a_trusted_file_only(shell: Shell) -> None:
    local = shell.home / "project" / "mine"
    local.mkdir(parents=True)
    (local / "moon.py").write_text(FAKE)
    assert shell.plugins("--plugin-dir", "project/mine")["moon"]["path"] == str(local / "moon.py")
    assert shell.plugins("--plugin-dir=project/mine/moon.py")["moon"]["offers"] == {"encoder": ["fake"]}
    assert set(shell.plugins("--no-plugins", "--plugin-dir", "project/mine")) == {"rsrag"}
    missing = shell("--plugin-dir", "nowhere", "plugins", "list", code=2)
    assert "nowhere" in missing.stderr

    (shell.home / "project" / "rsrag.toml").write_text('[plugins]\npaths = ["mine"]\n')
    (local / "moon.py").write_text("import pathlib\npathlib.Path('ran').touch()\n" + FAKE)
    project = Shell.__new__(Shell)
    project.home, project.site = shell.home / "project", shell.site
    refused = project("plugins", "list", "--json")
    assert "ignored plugins" in refused.stderr and "moon" not in refused.stdout
    assert not (shell.home / "project" / "ran").exists()
    project("config", "trust")
    assert project.plugins()["moon"]["state"] == "ok"
    assert (shell.home / "project" / "ran").exists()


def test_a_disabled_plugin_is_listed_and_not_imported(workshop: Shell) -> None:
    rows = workshop.plugins(RSRAG_PLUGINS__DISABLED="my-tool,my-model")
    assert {n for n, row in rows.items() if row["state"] == "disabled"} == {"my-tool", "my-model"}
    assert rows["my-tool"]["offers"] == {} and rows["my-tool"]["import_ms"] == 0


# -- commands -------------------------------------------------------------------------------------

COMMANDS = """
import pathlib
from rsrag import hookimpl

pathlib.Path(__file__).with_suffix(".ran").touch()

@hookimpl
def rsrag_commands(app):
    @app.command("tide")
    def tide():
        \"\"\"Tell the tide.\"\"\"
        print("high water")
"""


def test_only_plugins_that_add_commands_are_imported_for_help(shell: Shell) -> None:
    local = shell.home / "local"
    local.mkdir()
    (local / "tides.py").write_text(COMMANDS)
    (local / "quiet.py").write_text(COMMANDS.partition("@hookimpl")[0])
    ran = {name: local / f"{name}.ran" for name in ("tides", "quiet")}

    def imported() -> set[str]:
        shown = shell("--plugin-dir", "local", "--help").stdout
        assert "tide" in shown and "Tell the tide." in shown
        found = {name for name, mark in ran.items() if mark.exists()}
        for mark in ran.values():
            mark.unlink(missing_ok=True)
        return found

    assert imported() == {"tides", "quiet"}  # the first time nobody knows
    assert imported() == {"tides"}
    (local / "quiet.py").write_text(COMMANDS.replace("tide", "ebb"))
    assert imported() == {"tides", "quiet"}  # it has changed, and has a command now
    assert imported() == {"tides", "quiet"}
    (cache,) = (shell.home / ".cache" / "rsrag").glob("*.json")
    cache.write_text("no json")
    assert imported() == {"tides", "quiet"}
    assert shell("--plugin-dir", "local", "tide").stdout == "high water\n"


def test_a_broken_configuration_leaves_help_and_its_own_mending(shell: Shell) -> None:
    (shell.home / "bad.toml").write_text("[plugins]\npahts = 1\n")
    assert "plugins" in shell("--help", RSRAG_CONFIG="bad.toml").stdout
    assert shell("config", "path", RSRAG_CONFIG="bad.toml").stdout == "bad.toml\n"
    refused = shell("plugins", "list", code=2, RSRAG_CONFIG="bad.toml")
    assert "no setting [plugins] pahts" in refused.stderr and "Did you mean 'paths'?" in refused.stderr


# -- check ----------------------------------------------------------------------------------------

TOOL = """
{top}
from rsrag import Quantity, Query, ToolResult, hookimpl

class Height:
    name = "height"

    def applies(self, query: Query) -> float:
        return 0.0

    def __call__(self, scene) -> ToolResult:
        \"\"\"Measure the height.\"\"\"
        return ToolResult("It is 4 m high.", {{"height": Quantity({value}, "m")}})

@hookimpl
def rsrag_tools():
    return [Height]
"""

Check = Callable[..., tuple[list[Any], int]]


@pytest.fixture
def check(shell: Shell) -> Check:
    def run(code: str, *options: str, exit: int) -> dict[str, Any]:
        (shell.home / "height.py").write_text(code)
        found = shell.json("plugins", "check", "height.py", *options, code=exit)
        return {finding["what"]: finding for finding in found}

    return run  # type: ignore[return-value]


def test_a_plugin_that_keeps_its_contract_passes(check: Check) -> None:
    found = check(TOOL.format(top="", value=4.0), exit=0)
    assert found["import"]["passed"] and found["tool 'height'"]["passed"]
    assert "checks passed" in found["tool 'height'"]["detail"]


def test_the_first_broken_promise_is_named(check: Check) -> None:
    found = check(TOOL.format(top="", value="float('nan')"), exit=1)
    assert found["import"]["passed"] and not found["tool 'height'"]["passed"]
    assert "test_values_are_finite_and_have_units" in found["tool 'height'"]["detail"]


@pytest.mark.parametrize("name", ["torch", "transformers", "open_clip"])
def test_a_heavy_import_at_the_top_is_named(name: str, check: Check, shell: Shell) -> None:
    (shell.home / f"{name}.py").touch()  # stands in for the real one, which would take seconds to load
    found = check(TOOL.format(top=f"def load():\n    import {name}\nload()", value=4.0), exit=1)
    detail = found["import"]["detail"]
    assert name in detail and "height.py:" in detail, detail
    assert found["tool 'height'"]["passed"]


def test_a_component_that_needs_options_is_not_passed_over_in_silence(check: Check) -> None:
    code = "from rsrag import hookimpl\nclass Rows:\n    name = 'rows'\n    def __init__(self, path):\n"
    code += "        self.path = path\n    def records(self):\n        return iter(())\n"
    code += "@hookimpl\ndef rsrag_sources():\n    return [Rows]\n"
    found = check(code, exit=0)
    assert found["source 'rows'"]["passed"] is None
    assert "it needs path; add source.rows.path=VALUE." in found["source 'rows'"]["detail"]
    found = check(code, "source.rows.path=x", exit=1)
    assert "records() yielded nothing" in found["source 'rows'"]["detail"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_module", "cannot be imported"),
        ("from rsrag import hookimpl\n@hookimpl\ndef rsrag_tool():\n    return []", "Did you mean rsrag_tools?"),
        ("x = 1", "implements no hook"),
    ],
)
def test_a_plugin_that_does_not_fit_fails_its_check(code: str, told: str, check: Check) -> None:
    found = check(code, exit=1)
    assert told in found["plugin height"]["detail"] and found["plugin height"]["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["hieght"], "there is no plugin called 'hieght', and no such file."),
        (["./empty"], "there is no plugin in"),
        (["./project"], "names no plugin."),
        (["height.py", "tool.height"], "'tool.height' is not an option."),
        (["height.py", "tool.width.x=1"], "offers no tool.width."),
    ],
)
def test_what_cannot_be_checked_is_told(arguments: list[str], told: str, shell: Shell) -> None:
    (shell.home / "empty").mkdir()
    (shell.home / "project").mkdir()
    (shell.home / "project" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (shell.home / "height.py").write_text(TOOL.format(top="", value=4.0))
    assert told in shell("plugins", "check", *arguments, code=2).stderr
