"""The shape of the house: which way imports may point, who may touch what, and that starting stays cheap.

The table below is the design's, with the modules that it does not name put where they belong.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import rsrag

ROOT = Path(rsrag.__file__).parent

# From the bottom up: a module imports what stands in lower rows, and of its own row only itself.
ROWS: list[set[str]] = [
    {"errors"},
    {"torchvision_ops"},
    {"bands", "display"},  # pure: what band names mean, how numbers become a picture
    {"types"},
    {"interfaces"},
    {"geojson", "seasons", "spectral"},  # pure: geometries, months, what bands say
    {"chunking", "fusion", "confidence", "answering", "queries", "filtering", "transduction"},  # pure
    {"references"},  # pure too: labels by images whose labels are known
    {"conversation"},  # pure too: what follow-ups mean and what is remembered
    {"evidence"},  # pure too; keys its evidence as the ledger of answering does
    {"hookspecs"},
    {"discovery", "guard"},
    {"guarded", "plugin_commands"},
    {"plugins", "config", "packs"},
    {"plugin_check"},
    {"identity"},
    {"images", "hints", "placing", "vrt"},  # how scene.py reads pixels, and what stands beside them
    {"datasets"},
    {"rasters", "remote"},
    {"scene", "store"},
    {"lookup", "tiling", "completing"},
    {"ingest", "retrieval", "toolbox", "export", "enrichment"},
    {"reencode"},
    {"turn"},
    {"classification", "tile_search"},
    {"assistant"},
    {"chat"},
    {"sessions", "transcript"},  # where conversations are kept, and what is made of them
    {"api", "langchain"},  # ways in
    {"evaluation", "training"},
    {"cli"},
]

# Arrows against the order. Each is a method that opens a door for the user of a lower object, and is imported only
# when that method is called: `kb.add`, `kb.reencode`, `kb.as_langchain_retriever`, `assistant.chat`,
# `assistant.as_langchain_tools`.
DOORS = {
    ("store", "ingest"),
    ("store", "reencode"),
    ("store", "langchain"),
    ("assistant", "chat"),
    ("assistant", "langchain"),
}

# What plugins and the kit may import, besides the public names of `rsrag` and `rsrag.interfaces`.
ALLOWANCES: dict[str, set[str]] = {
    "builtin.benchmarks": {"evaluation"},  # the field's formats as samples: pure readers
    "builtin.captioners": {"confidence"},  # whether a scene is of the kind that the encoder has seen: pure
    "builtin.encoders": {"torchvision_ops"},
    "builtin.models": {"answering", "torchvision_ops"},  # the reader and the renderer of prompts are pure and shared
    # Where the bundled packs are, how footprints are read, how scenes are cut and what their bands say.
    "builtin.rerankers": {"torchvision_ops"},
    "builtin.sources": {"packs", "geojson", "tiling", "spectral"},
    # The gazetteer lies in a pack; indices, land cover and the words for a likeness are pure.
    "builtin.tools": {"packs", "spectral", "confidence"},
    "testing": {"types", "scene"},  # fakes and rasters are made of both
}
TOO_HEAVY = ("torch", "transformers", "chromadb", "open_clip", "langchain", "rasterio", "numpy", "onnxruntime", "PIL")


@dataclass(frozen=True)
class Arrow:
    """One import: in `module` (dotted, below rsrag), of `target` (dotted, absolute), `names` taken from it."""

    module: str
    line: int
    target: str
    names: tuple[str, ...]
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target} {', '.join(self.names)}"


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy
        elif is_for_types(child):
            for other in child.orelse:  # type: ignore[attr-defined]
                yield from imports(other, lazy)
        else:
            yield from imports(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def files() -> list[Path]:
    return [f for f in sorted(ROOT.rglob("*.py")) if "knowledge" not in f.relative_to(ROOT).parts]


def dotted(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def arrows() -> tuple[Arrow, ...]:
    found = []
    for file in files():
        module = dotted(file)
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for node, lazy in imports(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [Arrow(module, node.lineno, a.name, (), lazy) for a in node.names]
                continue
            above = ["rsrag", *filter(None, package.split("."))]
            base = above[: len(above) - node.level + 1] if node.level else []
            target = ".".join([*base, *filter(None, [node.module])])
            names = tuple(a.name for a in node.names)
            inner = [n for n in names if target.startswith("rsrag") and is_module(f"{target}.{n}")]
            found += [Arrow(module, node.lineno, f"{target}.{n}", (), lazy) for n in inner]
            if rest := tuple(n for n in names if n not in inner):
                found.append(Arrow(module, node.lineno, target, rest, lazy))
    return tuple(found)


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split(".")[1:])
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def row_of(name: str) -> int:
    return next(n for n, row in enumerate(ROWS) if name in row)


def within() -> list[tuple[Arrow, str, str]]:
    """(arrow, room it starts in, room it points to) of every import of rsrag by rsrag; "" is the front door."""
    own = [a for a in arrows() if a.target.split(".")[0] == "rsrag"]
    return [(a, a.module.split(".")[0], [*a.target.split("."), ""][1]) for a in own]


def is_heavy(package: str) -> bool:
    return package in TOO_HEAVY or package.startswith("langchain_")


def is_plugin(module: str) -> bool:
    return module.split(".")[0] in ("builtin", "testing")


# -- arrows ---------------------------------------------------------------------------------------


def test_the_imports_are_read_as_they_are() -> None:
    """What reads them sees relative, lazy and submodule imports, and leaves out those for types."""
    got = {(a.module, a.target, a.lazy) for a in arrows()}
    assert ("plugins", "rsrag.hookspecs", False) in got
    assert ("store.filters", "rsrag.types", False) in got
    assert ("cli.app", "rsrag", False) in got
    assert ("hookspecs", "rsrag.interfaces", False) not in got  # under TYPE_CHECKING
    assert {(a.module.split(".")[0], a.target.split(".")[1]) for a, _, to in within() if to in ("ingest", "chat")} >= {
        ("store", "ingest"),
        ("assistant", "chat"),
    }


def test_every_module_has_its_place() -> None:
    rooms = {dotted(f).split(".")[0] for f in files()} - {""}
    assert rooms <= set().union(*ROWS) | {"builtin", "testing"}


def test_imports_point_one_way() -> None:
    wrong = [
        str(arrow)
        for arrow, room, to in within()
        if room and not is_plugin(arrow.module) and to != room
        if not (to == "" and room in ("cli", "training", "evaluation") and arrow.names == ("__version__",))
        if not ((room, to) in DOORS and arrow.lazy)
        if to == "" or to in ("builtin", "testing") or row_of(to) >= row_of(room)
    ]
    assert wrong == []


def test_each_exception_is_still_needed() -> None:
    assert {(room, to) for _, room, to in within()} >= DOORS
    used = {(a.module, to) for a, _, to in within() if is_plugin(a.module)}
    for owner in ("builtin.models", "builtin.sources", "testing"):
        allowed = {to for module, to in used if module.startswith(owner)}
        assert allowed >= ALLOWANCES[owner] - {"scene"}, owner


def test_built_ins_and_the_kit_use_the_public_door() -> None:
    wrong = []
    for arrow, room, to in within():
        if not is_plugin(arrow.module):
            continue
        own = ".".join(arrow.module.split(".")[: 2 if room == "builtin" else 1])
        allowed = ALLOWANCES.get(own, set()) | {"interfaces"}
        if to == "":
            wrong += [f"{arrow}: {name} is not public" for name in arrow.names if name not in rsrag.__all__]
        elif not f"{arrow.target}.".startswith(f"rsrag.{own}.") and to not in allowed:
            wrong.append(str(arrow))
    assert wrong == []


def test_only_the_index_knows_chroma() -> None:
    assert {a.module for a in arrows() if a.target.split(".")[0] == "chromadb"} == {
        "store.index",
        "store.index_server",
    }


def test_no_module_needs_a_heavy_package_to_be_imported_except_those_that_are_about_it() -> None:
    about = {
        "langchain",
        "builtin.sources.documents",
        "builtin.tools.outlines",
        "builtin.tools.sphere",
        "builtin.tools.topology",
    }
    wrong = [str(a) for a in arrows() if not a.lazy and a.module not in about and is_heavy(a.target.split(".")[0])]
    assert wrong == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        dotted(f) for f in files() if (text := f.read_text("utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


# -- the front door -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", rsrag.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(rsrag, name) is not None
    assert name in dir(rsrag)


def test_the_tables_of_public_names_agree() -> None:
    table = dict(rsrag._PUBLIC)
    assert sorted(rsrag.__all__) == sorted({"__version__", *table})
    tree = ast.parse((ROOT / "__init__.py").read_text())
    (block,) = [node for node in tree.body if is_for_types(node)]
    for_checkers = {alias.name: node.module for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    assert for_checkers == table


def test_what_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'rsrag' has no attribute 'Nothing'"):
        rsrag.Nothing  # type: ignore[attr-defined]  # noqa: B018


# -- starting -------------------------------------------------------------------------------------

HELP = "import sys; sys.argv = ['rsrag', '--help']\nfrom rsrag.cli import main\ntry: main()\nexcept SystemExit: pass"


@pytest.mark.parametrize("code", ["import rsrag", "import rsrag.cli.app", HELP], ids=["import", "cli", "help"])
def test_starting_loads_nothing_heavy(code: str) -> None:
    code += "\nimport sys; print('LOADED', *{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.rpartition("LOADED")[2].split()
    assert "rsrag" in loaded
    assert [m for m in loaded if is_heavy(m)] == []


def test_asking_for_one_kind_of_component_imports_no_other() -> None:
    code = "import rsrag, sys; rsrag.Plugins(external=False).offers('encoder');"
    code += "print(*sorted(m for m in sys.modules if m.count('.') == 2 and m.startswith('rsrag.builtin.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["rsrag.builtin.encoders"], done.stderr
