"""Run the contracts of `rsrag.testing` over a plugin, in a process of its own, and say in one line each how it went."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from .discovery import GROUP, Candidate, in_paths, installed
from .errors import RsragError, UsageError
from .plugins import HOOKS, Plugins

LIMIT: Final = 900
"""Seconds for all contracts of one plugin together."""

_HEADER: Final = """
import sys
sys.path[:0] = {places!r}
from importlib.metadata import EntryPoint
import pytest
from rsrag import Plugins
from rsrag.discovery import Candidate
from rsrag.testing import assert_light_import, contracts

POINT = EntryPoint({name!r}, {value!r}, "rsrag")
PLUGINS = Plugins(external=False, extra=[Candidate({name!r}, point=POINT)])

class TestImport:
    def test_is_light(self):
        assert_light_import(POINT.module)
"""
_CLASS: Final = """
class Test{number}(contracts.{contract}):
    @pytest.fixture
    def component(self):
        return PLUGINS.create({kind!r}, {name!r}, **{options!r})
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: `passed` is None where nothing could be said."""

    what: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class _Target:
    """A plugin as an entry point, with the folders that must be on sys.path to import it."""

    point: EntryPoint
    places: tuple[str, ...] = ()


def check_plugin(what: str, options: Sequence[str] = (), paths: Iterable[str] = ()) -> list[Finding]:
    """Check a plugin given by name, as a .py file or package folder, or as a project with a pyproject.toml.

    `options` are KIND.NAME.KEY=VALUE for components that cannot be made without. Raises `UsageError` when there is
    no such plugin, `RsragError` when pytest is missing.
    """
    if importlib.util.find_spec("pytest") is None:
        raise RsragError("checking a plugin runs pytest, which is not installed.", "pip install 'rsrag[testing]'")
    given = _given(options)
    return [finding for target in _targets(what, paths) for finding in _check(target, given)]


def _check(target: _Target, given: Mapping[tuple[str, str], Mapping[str, str]]) -> list[Finding]:
    sys.path[:0] = target.places
    importlib.invalidate_caches()
    plugins = Plugins(external=False, extra=[Candidate(target.point.name, point=target.point)])
    own = next(row for row in plugins.listing() if row.name == target.point.name)
    findings = [Finding(f"plugin {own.name}", False, problem) for problem in own.problems]
    if own.state == "broken":
        return findings
    if not own.offers and not own.hooks:
        return [*findings, Finding(f"plugin {own.name}", False, "implements no hook; nothing of it would be used.")]
    components = [(kind, name) for kind, names in own.offers.items() for name in names]
    unknown = [f"{kind}.{name}" for kind, name in given if (kind, name) not in components]
    if unknown:
        raise UsageError(
            f"plugin {own.name} offers no {unknown[0]}.",
            f"It offers: {', '.join('.'.join(component) for component in components) or 'no component'}.",
        )
    runnable: list[tuple[str, str, str, dict[str, Any]]] = []
    for kind, name in components:
        cls = plugins.offers(kind)[name]
        set_to = _typed(cls, given.get((kind, name), {}))
        if missing := _missing(cls, set_to):
            detail = f"not checked: it needs {', '.join(missing)}; add {kind}.{name}.{missing[0]}=VALUE."
            findings.append(Finding(f"{kind} '{name}'", None, detail))
        else:
            runnable.append((kind, name, _contract(kind, cls), set_to))
    results = _run(target, runnable)
    findings.insert(0, _summary("import", results.get("TestImport", [])))
    for number, (kind, name, _, _) in enumerate(runnable):
        findings.append(_summary(f"{kind} '{name}'", results.get(f"Test{number}", [])))
    return findings


# -- what to check --------------------------------------------------------------------------------


def _targets(what: str, paths: Iterable[str]) -> list[_Target]:
    path = Path(what).expanduser().absolute()
    if (path / "pyproject.toml").is_file():
        return _of_project(path)
    if path.exists() and (os.sep in what or path.suffix == ".py" or path.is_dir()):
        if path.is_dir() and (path / "__init__.py").is_file():
            return [_of_file(path)]
        if found := in_paths([path])[0]:
            return [_of_file(candidate.file) for candidate in found if candidate.file]
        raise UsageError(f"there is no plugin in {path}.", "Give a .py file, a package, or a project's folder.")
    candidates = {c.name: c for c in [*installed(), *in_paths(paths)[0]]}
    if what not in candidates:
        near = difflib.get_close_matches(what, candidates, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(candidates)) or 'none'}."
        raise UsageError(f"there is no plugin called '{what}', and no such file.", hint)
    chosen = candidates[what]
    return [_Target(chosen.point) if chosen.point else _of_file(chosen.file or path)]


def _of_file(path: Path) -> _Target:
    return _Target(EntryPoint(path.stem, path.stem, GROUP), (str(path.parent),))


def _of_project(folder: Path) -> list[_Target]:
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}.") from error
    points = project.get("entry-points", {}).get(GROUP, {})
    if not points:
        raise UsageError(f"{file} names no plugin.", f'It needs [project.entry-points.{GROUP}] with name = "module".')
    places = tuple(str(p) for p in (folder / "src", folder) if p.is_dir())
    return [_Target(EntryPoint(name, value, GROUP), places) for name, value in points.items()]


# -- options --------------------------------------------------------------------------------------


def _given(options: Sequence[str]) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for option in options:
        path, equals, value = option.partition("=")
        kind, _, rest = path.partition(".")
        name, _, key = rest.rpartition(".")
        if not (equals and name and key and kind in HOOKS):
            raise UsageError(f"'{option}' is not an option.", "Give KIND.NAME.KEY=VALUE, as source.places.path=a.csv.")
        found.setdefault((kind, name), {})[key] = value
    return found


def _typed(cls: type[Any], options: Mapping[str, str]) -> dict[str, Any]:
    """Texts as the types of the constructor's defaults; what it does not know is left to the constructor to refuse."""
    parameters = inspect.signature(cls).parameters
    typed: dict[str, Any] = {}
    for key, text in options.items():
        default = parameters[key].default if key in parameters else ""
        try:
            typed[key] = type(default)(text) if type(default) in (int, float) else text
        except ValueError:
            raise UsageError(f"{key}={text} is not a {type(default).__name__}.") from None
    return typed


def _missing(cls: type[Any], options: Mapping[str, Any]) -> list[str]:
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind not in loose and p.name not in options
    ]


# -- the run --------------------------------------------------------------------------------------


def _contract(kind: str, cls: type[Any]) -> str:
    if kind == "encoder" and not hasattr(cls, "encode_scenes"):
        return "TextEncoderContract"
    return f"{kind.capitalize()}Contract"


def _run(target: _Target, components: Sequence[tuple[str, str, str, dict[str, Any]]]) -> dict[str, list[Any]]:
    """The test cases of each generated class, as junit elements."""
    code = _HEADER.format(places=list(target.places), name=target.point.name, value=target.point.value)
    for number, (kind, name, contract, options) in enumerate(components):
        code += _CLASS.format(number=number, contract=contract, kind=kind, name=name, options=options)
    with tempfile.TemporaryDirectory(prefix="rsrag-check-") as temporary:
        folder = Path(temporary)
        (folder / "test_contracts.py").write_text(code, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n")
        report = folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "rsrag.testing.pytest_plugin", "-p", "no:cacheprovider"]
        command += ["-c", str(folder / "pytest.ini"), f"--rootdir={folder}", f"--basetemp={folder / 'temporary'}"]
        command += [f"--junitxml={report}", str(folder / "test_contracts.py")]
        try:
            done = subprocess.run(
                command,
                # Other plugins of pytest have no say here; ours comes by name, installed or not.
                env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RsragError(
                f"the contracts of plugin {target.point.name} did not end within {LIMIT} s.",
                "Run its own tests with pytest to see which of them hangs.",
            ) from None
        if not report.exists():
            raise RsragError(f"pytest could not run the contracts: {(done.stderr or done.stdout).strip()[-300:]}")
        found: dict[str, list[Any]] = {}
        for case in ET.parse(report).iter("testcase"):
            found.setdefault(case.get("classname", "").rpartition(".")[2], []).append(case)
    return found


def _summary(what: str, cases: Sequence[Any]) -> Finding:
    """How many passed, and the first that did not."""
    bad = [(case, part) for case in cases for part in case if part.tag in ("failure", "error")]
    left_out = sum(part.tag == "skipped" for case in cases for part in case)
    if not cases:
        return Finding(what, False, "its contract did not run.")
    if bad:
        case, part = bad[0]
        lines = (part.get("message") or "").strip().splitlines() or ["no message"]
        reason = lines[0].removeprefix("AssertionError: ")
        return Finding(what, False, f"{len(bad)} of {len(cases)} checks failed; {case.get('name')}: {reason}")
    more = f", {left_out} need more than a bare instance" if left_out else ""
    passed = len(cases) - left_out
    return Finding(what, True, f"{passed} check{'s'[: passed != 1]} passed{more}.")
