"""Plugins as real installed distributions: found, guarded, listed, made; a broken one costs one line."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from rsrag import Answer, ConfigError, PluginError, Plugins, Query, Scene, UsageError, hookimpl
from rsrag.config import load, trust
from rsrag.plugins import HOOKS

Install = Callable[..., str]

GOOD = """
from rsrag import hookimpl

class Moon:
    name = "moon"
    def __init__(self, path="", depth=1):
        self.path, self.depth = path, depth
    def records(self):
        return iter(())

@hookimpl
def rsrag_sources():
    return [Moon]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Make a distribution with one module and one entry point of the group `rsrag`."""
    before = set(sys.modules)

    def make(name: str, code: str, attribute: str = "", module: str = "") -> str:
        module = module or f"rsrag_{name}_for_test"
        site = tmp_path / f"site-{module}"
        dist = site / f"rsrag_{module}-1.0.dist-info"
        dist.mkdir(parents=True)
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rsrag-{module}\nVersion: 1.0\n")
        (dist / "entry_points.txt").write_text(f"[rsrag]\n{name} = {module}{attribute}\n")
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        return name

    yield make
    for module in set(sys.modules) - before:
        if module.endswith("_for_test"):
            del sys.modules[module]


def hook(body: str, name: str = "rsrag_sources", arguments: str = "") -> str:
    return f"from rsrag import hookimpl\n\n@hookimpl\ndef {name}({arguments}):\n    {body}\n"


def test_an_installed_plugin_is_found_and_its_source_made(install: Install) -> None:
    install("lunar", GOOD)
    plugins = Plugins(strict=True)
    source = plugins.create("source", "moon", path="x", depth=3)
    assert (source.path, source.depth) == ("x", 3)
    assert plugins.create("source", "moon:sea").path == "sea"
    assert plugins.giver("source", "moon") == "lunar"
    assert plugins.resolve("source", source) is source
    assert plugins.problems == []


BROKEN = {
    "import error": ("import no_such_module_at_all", "cannot be imported (ModuleNotFoundError: No module named"),
    "syntax error": ("def (", "cannot be imported (SyntaxError"),
    "exits": ("import sys\nsys.exit('bye')", "cannot be imported (SystemExit: bye)"),
    "other API": ("RSRAG_PLUGIN_API = 99\n" + GOOD, "was written for plugin API 99; this rsrag has 1."),
    "signature": (hook("return []", arguments="nonsense"), "does not fit the hooks"),
    "half of it fits": (
        GOOD.replace('"moon"', '"sun"') + "\n@hookimpl\ndef rsrag_tools(nonsense):\n    return []\n",
        "does not fit the hooks",
    ),
    "misspelt": (hook("return []", "rsrag_sourcs"), "rsrag_sourcs, which is no hook. Did you mean rsrag_sources?"),
    "raises": (hook("raise OSError('disk gone')"), "failed to offer its sources (OSError: disk gone)."),
    "raises nothing said": (hook("raise KeyError"), "(KeyError: no message)."),
    "exits later": (hook("raise SystemExit(3)"), "failed to offer its sources (SystemExit: 3)."),
    "dict": (hook("return {}"), "rsrag_sources returned dict instead of a list of classes."),
    "generator": (hook("yield int"), "returned generator instead"),
    "no name": (hook("return [int]"), "it must be a class with a `name`."),
    "instance": (hook("return [type('A', (), {'name': 'a'})()]"), "it must be a class with a `name`."),
    "unmarked": ("def rsrag_sources():\n    return []\n", "defines rsrag_sources without @rsrag.hookimpl"),
    "taken": (
        hook("return [type('A', (), {'name': 'folder'})]"),
        "offers source 'folder', which rsrag.builtin.sources already provides; ignored.",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_one_line_and_its_own_features(
    case: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    code, message = BROKEN[case]
    install("bad", code)
    install("lunar", GOOD)
    plugins = Plugins()
    with caplog.at_level(logging.WARNING, "rsrag"):
        for kind in HOOKS:
            plugins.offers(kind)
        again = plugins.offers("source")
    assert [p.plugin for p in plugins.problems] == ["bad"]
    line = str(plugins.problems[0])
    assert message in line and line.startswith("plugin bad: ") and "\n" not in line
    assert [r.getMessage() for r in caplog.records] == [line]
    built_ins = Plugins(external=False).offers("source")
    assert set(again) == {*built_ins, "moon"}
    assert again["folder"].__module__.startswith("rsrag.")


@pytest.mark.parametrize("case", BROKEN)
def test_strict_raises_instead(case: str, install: Install) -> None:
    code, message = BROKEN[case]
    install("bad", code)
    with pytest.raises(PluginError) as caught:
        Plugins(strict=True).offers("source")
    assert message in str(caught.value) and "RSRAG_STRICT_PLUGINS" in caught.value.hint


def test_of_two_plugins_with_one_name_the_first_stays(install: Install) -> None:
    install("lunar", GOOD, module="first_for_test")
    install("lunar", GOOD.replace('"moon"', '"other"'), module="second_for_test")
    plugins = Plugins()
    offered = {"moon", "other"} & set(plugins.offers("source"))
    assert len(offered) == 1
    assert [str(p) for p in plugins.problems] == [
        "plugin lunar: has the name of a plugin that is already loaded; ignored."
    ]


@pytest.mark.parametrize("disabled", [["spy"], "spy", "other,spy"])
def test_a_disabled_plugin_is_never_imported(install: Install, disabled: Any) -> None:
    install("spy", GOOD)
    assert "moon" not in Plugins(disabled=disabled).offers("source")
    assert "rsrag_spy_for_test" not in sys.modules
    assert "moon" in Plugins(disabled="s,p,y").offers("source")
    assert "rsrag_spy_for_test" in sys.modules


def test_without_external_plugins_the_built_ins_are_there(install: Install) -> None:
    install("lunar", GOOD)
    plugins = Plugins(external=False, strict=True)
    assert set(plugins.offers("source")) >= {"folder", "pack", "langchain"}
    assert {"extractive", "langchain"} <= set(plugins.offers("model"))
    assert "starter" in plugins.offers("encoder")
    assert {"image-image", "text-text", "words", "named"} <= set(plugins.offers("retriever"))
    assert plugins.giver("reranker", "diverse") == "rsrag.builtin.rerankers"
    assert "rsrag_lunar_for_test" not in sys.modules


# -- making components ----------------------------------------------------------------------------


class Silent:
    def generate(self, prompt: Any) -> Iterator[Any]:
        return iter(())


class Fragile(Silent):
    name = "fragile"

    def __init__(self, glass: str = "", count: int = 1) -> None:
        if glass == "broken":
            raise OSError("shards")
        if glass == "typed":
            raise TypeError("unsupported")


class Lenient(Silent):
    name = "lenient"

    def __init__(self, needed: str, **rest: Any) -> None:
        self.needed, self.rest = needed, rest


class Plain(Silent):
    name = "plain"


OFFERING = SimpleNamespace(rsrag_models=hookimpl(lambda: [Fragile, Lenient, Plain]))


@pytest.mark.parametrize(
    ("kind", "name", "options", "error", "message"),
    [
        ("modle", "x", {}, UsageError, "there is no kind of component called 'modle'. Kinds: source, captioner"),
        ("model", "fragil", {}, UsageError, "there is no model called 'fragil'. Did you mean 'fragile'?"),
        ("model", "zzz", {}, UsageError, "There are: extractive, fragile, langchain, lenient, plain, transformers."),
        ("benchmark", "zzz", {}, UsageError, "There are: captions, facts, labels, questions, rswk, vqa."),
        ("model", "fragile", {"glas": 1}, UsageError, "has no option 'glas'. Did you mean 'glass'?"),
        ("model", "fragile", {"zzz": 1}, UsageError, "It takes: glass, count."),
        ("model", "plain", {"zzz": 1}, UsageError, "It takes no options."),
        ("model", "plain:x", {}, UsageError, "model 'plain' cannot be made"),
        ("model", "lenient", {}, UsageError, "missing 1 required positional argument: 'needed'"),
        ("model", "fragile:x", {"glass": "y"}, UsageError, "multiple values for argument 'glass'"),
        ("model", "fragile:typed", {}, UsageError, "cannot be made: unsupported."),
        ("model", "fragile:broken", {}, PluginError, "model 'fragile' failed to start: OSError: shards."),
    ],
)
def test_what_cannot_be_made_is_told(
    kind: str, name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    plugins = Plugins(external=False, strict=True, extra=[OFFERING])
    with pytest.raises(error) as caught:
        plugins.create(kind, name, **options)
    assert message in str(caught.value)


def test_any_option_is_passed_on_to_a_class_that_takes_any() -> None:
    made = Plugins(external=False, extra=[OFFERING]).create("model", "lenient:provider:name", speed=2)
    assert (made.needed, made.rest) == ("provider:name", {"speed": 2})


# -- hooks that are not offers --------------------------------------------------------------------


def test_scenes_are_opened_by_the_plugin_that_knows_them(install: Install) -> None:
    install("bad", hook("raise OSError('no such tape')", "rsrag_open_scene", "uri"))
    install("wrong", hook("return 5 if 'odd' in uri else None", "rsrag_open_scene", "uri"))
    install("bare", hook("return None", "rsrag_open_scene"))
    scene = Scene("tape:1", 4, 4, reader=None)  # type: ignore[arg-type]
    knows = SimpleNamespace(rsrag_open_scene=hookimpl(lambda uri: scene if uri.startswith("tape:") else None))
    plugins = Plugins(extra=[knows])
    assert (plugins.open_scene("tape:1"), plugins.open_scene("odd.tif")) == (scene, None)
    assert sorted(map(str, plugins.problems)) == [
        "plugin bad: failed to open odd.tif (OSError: no such tape).",
        "plugin bad: failed to open tape:1 (OSError: no such tape).",
        "plugin wrong: rsrag_open_scene returned int, not a Scene.",
    ]


def test_an_observer_that_fails_is_reported_and_the_others_are_told(install: Install) -> None:
    seen: list[tuple[Query, Answer]] = []
    install("bad", hook("raise ValueError('log full\\nsecond line')", "rsrag_answered", "query"))
    install("gone", hook("raise SystemExit('leaving')", "rsrag_answered"))
    listener = SimpleNamespace(rsrag_answered=hookimpl(lambda query, answer: seen.append((query, answer))))
    plugins = Plugins(extra=[listener])
    asked, said = Query("why?"), Answer("because", "answered")
    for _ in range(2):
        plugins.notify_answered(asked, said)
    assert seen == [(asked, said)] * 2
    assert sorted(map(str, plugins.problems)) == [
        "plugin bad: rsrag_answered failed (ValueError: log full).",
        "plugin gone: rsrag_answered failed (SystemExit: leaving).",
    ]


def test_plugins_add_commands_and_a_failing_one_does_not_stop_the_next() -> None:
    added: list[str] = []
    bad = SimpleNamespace(rsrag_commands=hookimpl(lambda app: app.nothing))
    good = SimpleNamespace(rsrag_commands=hookimpl(lambda app: app.append("moon")))
    plugins = Plugins(external=False, extra=[good, bad])
    plugins.add_commands(added)
    assert added == ["moon"]
    assert "rsrag_commands failed (AttributeError" in str(plugins.problems[0])


def test_a_command_whose_name_is_taken_is_refused() -> None:
    def adds(app: typer.Typer) -> None:
        app.command("ask")(lambda: None)
        app.command()(tide)
        app.add_typer(typer.Typer(name="kb"))

    def tide() -> None:
        """Tell the tide."""

    def names(app: typer.Typer) -> list[Any]:
        commands = [c.name or c.callback.__name__ for c in app.registered_commands]  # type: ignore[union-attr]
        return [*commands, *(g.name for g in app.registered_groups)]

    app = typer.Typer()
    app.command("ask")(lambda: None)
    app.add_typer(typer.Typer(), name="kb")
    plugins = Plugins(external=False, extra=[SimpleNamespace(rsrag_commands=hookimpl(adds))])
    plugins.add_commands(app)
    assert names(app) == ["ask", "tide", "kb"]
    assert [p.message for p in plugins.problems] == [
        f"adds the command '{name}', which there is already; ignored." for name in ("ask", "kb")
    ]


# -- files, settings ------------------------------------------------------------------------------


def test_plugins_in_files_and_folders_are_found(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("from .parts import *\n")
    (tmp_path / "package" / "parts.py").write_text(GOOD)
    (tmp_path / "single.py").write_text(GOOD.replace('"moon"', '"sun"'))
    for other in ("_private.py", "no-module.py", "notes.txt"):
        (tmp_path / other).write_text("raise RuntimeError")
    (tmp_path / "images").mkdir()
    offers = Plugins(paths=[tmp_path], strict=True).offers("source")
    assert {"moon", "sun"} <= set(offers)
    only = Plugins(paths=[str(tmp_path / "single.py")], strict=True).offers("source")
    assert "sun" in only and "moon" not in only
    assert "sun" not in Plugins(paths=[tmp_path], external=False).offers("source")


def test_a_path_that_is_not_there_costs_one_line(tmp_path: Path) -> None:
    plugins = Plugins(paths=[tmp_path / "gone"])
    assert "folder" in plugins.offers("source")
    assert [str(p) for p in plugins.problems] == [
        f"plugin {tmp_path / 'gone'}: there is no such file or folder, though a path of plugins names it."
    ]


def test_the_components_of_plugins_are_still_what_their_classes_say(install: Install) -> None:
    install("lunar", GOOD)
    plugins = Plugins(strict=True)
    offered = plugins.offers("source")["moon"]
    assert (offered.__name__, offered.__module__) == ("Moon", "rsrag_lunar_for_test")
    assert list(inspect.signature(offered).parameters) == ["path", "depth"]
    assert isinstance(plugins.create("source", "moon"), sys.modules["rsrag_lunar_for_test"].Moon)
    assert list(plugins.create("source", "moon").records()) == []


def test_a_plugin_whose_hook_hangs_is_not_called_again() -> None:
    called: list[str] = []

    def hangs(kind: str) -> Callable[[], Any]:
        return hookimpl(lambda: called.append(kind) or threading.Event().wait())

    slow = SimpleNamespace(rsrag_sources=hangs("source"), rsrag_tools=hangs("tool"))
    plugins = Plugins(external=False, extra=[slow], timeout=0.3)
    for kind in HOOKS:
        plugins.offers(kind)
    assert called == ["source"]
    assert [str(p) for p in plugins.problems] == [
        "plugin extra-0: failed to offer its sources (rsrag_sources of plugin extra-0 did not come back within 0.3 s)."
    ]
    assert plugins.listing()[1].state == "broken"


def test_an_import_that_hangs_is_given_up(install: Install) -> None:
    install("slow", "import threading\nthreading.Event().wait()")
    plugins = Plugins(timeout=0.3)
    assert "folder" in plugins.offers("source")
    assert "cannot be imported (the import of plugin slow did not come back within 0.3 s)." in str(plugins.problems[0])


def test_the_list_tells_what_each_offers_and_makes_nothing(install: Install) -> None:
    install("lunar", GOOD.replace("self.path, self.depth = path, depth", "raise RuntimeError"))
    install("spy", GOOD)
    observer = SimpleNamespace(rsrag_answered=hookimpl(lambda query: None), __name__="observer")
    own, extra, *rest = Plugins(disabled=["spy"], extra=[observer]).listing()
    assert own.state == "built-in" and "folder" in own.offers["source"] and own.import_ms > 0
    assert (extra.name, extra.state, extra.offers, extra.hooks) == ("observer", "ok", {}, ("rsrag_answered",))
    rows = {row.name: row for row in rest}
    assert (rows["lunar"].distribution, rows["lunar"].version) == ("rsrag-rsrag_lunar_for_test", "1.0")
    assert rows["lunar"].offers == {"source": ("moon",)} and rows["lunar"].module == "rsrag_lunar_for_test"
    assert rows["spy"].state == "disabled" and "rsrag_spy_for_test" not in sys.modules


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "settings" / "user.toml"
    file.parent.mkdir()
    monkeypatch.setenv("RSRAG_CONFIG", str(file))
    return file


def test_paths_are_relative_to_the_file_that_names_them_and_add_up(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write_text('[plugins]\npaths = ["mine", "/opt/theirs"]\ndisabled = ["a"]\ntimeout = 30\n')
    monkeypatch.setenv("RSRAG_PLUGINS__PATHS", f"one{os.pathsep}/opt/theirs")
    monkeypatch.setenv("RSRAG_PLUGINS__DISABLED", "b,c")
    monkeypatch.chdir(tmp_path)
    table = load({"plugins": {"paths": ["two"]}}, start=tmp_path).table("plugins")
    assert table["paths"] == [str(user.parent / "mine"), "/opt/theirs", str(tmp_path / "one"), str(tmp_path / "two")]
    assert (table["disabled"], table["timeout"]) == (["b", "c"], 30.0)
    assert Plugins.configured(table).timeout == 30


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("path = []", "there is no setting [plugins] path. Did you mean 'paths'?"),
        ("zzz = 1", "There are: disabled, paths, timeout."),
        ("paths = [1]", "[plugins] paths must be a list of texts."),
        ("disabled = true", "[plugins] disabled must be a list of texts."),
        ("timeout = 0", "[plugins] timeout = 0 is not a positive number of seconds."),
        ("timeout = nan", "is not a positive number of seconds."),
        ("timeout = inf", "is not a positive number of seconds."),
        ("timeout = true", "is not a positive number of seconds."),
        ('timeout = "soon"', "timeout = 'soon' is not a positive number of seconds."),
    ],
)
def test_settings_that_make_no_sense_are_refused(line: str, told: str, user: Path) -> None:
    user.write_text(f"[plugins]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load(start=user.parent)
    assert told in str(caught.value) and str(user) in str(caught.value)


def test_an_untrusted_project_can_neither_bring_plugins_nor_give_them_time(user: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "rsrag.toml").write_text('[plugins]\npaths = ["evil"]\ntimeout = 1e9\n')
    config = load(start=project)
    assert config.table("plugins") == {} and "ignored plugins" in config.warnings[0]
    trust(project / "rsrag.toml")
    assert load(start=project).table("plugins")["paths"] == [str(project / "evil")]
