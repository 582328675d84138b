"""What `rsrag plugins new` writes: a package with one working component, from the templates beside this file.

The templates are text with `$name` in it. `shared/` is the same for every kind; the folder of a kind has the module
(plugin.py.txt), its tests (test_plugin.py.txt) and how it is used (usage.txt), whose first line is its summary.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from string import Template
from typing import Final

from ...errors import RsragError, UsageError

KINDS: Final = ("source", "captioner", "retriever", "reranker", "encoder", "model", "tool", "benchmark")
_TEMPLATES: Final = Path(__file__).parent


def write_package(name: str, kind: str, folder: Path, offers: Callable[[str], Collection[str]]) -> Path:
    """Write the package `name` with a component of `kind` into a new folder inside `folder`; returns that folder.

    `offers` tells which components of a kind there are already. Raises `UsageError` for a name that no package can
    have or that is taken, `RsragError` when the folder exists or cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind of component called '{kind}'.", f"Kinds: {', '.join(KINDS)}.")
    values = _names(name)
    if values["component"] in offers(kind):
        raise UsageError(f"there is a {kind} called '{values['component']}' already.", "Choose another name.")
    summary, usage = _read(f"{kind}/usage.txt").split("\n", 1)
    values |= {"kind": kind, "summary": summary, "usage": Template(usage.strip()).substitute(values)}
    target = folder.expanduser() / values["distribution"]
    module = values["module"]
    files = {
        "pyproject.toml": "shared/pyproject.toml.txt",
        "README.md": "shared/README.md.txt",
        f"src/{module}/__init__.py": f"{kind}/plugin.py.txt",
        f"tests/test_{module}.py": f"{kind}/test_plugin.py.txt",
    }
    texts = {path: Template(_read(template)).substitute(values) for path, template in files.items()}
    try:
        target.mkdir(parents=True)
        for path, text in texts.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise RsragError(f"{target} exists already; nothing was written.", "Choose another name or folder.") from None
    except OSError as error:
        raise RsragError(f"{target} cannot be written ({error.strerror}).") from error
    return target


def _names(name: str) -> dict[str, str]:
    """The package's names by the rules of package indexes (PEP 508) and of Python.

    "Rsrag_Tree.Cover": distribution rsrag-tree-cover, module rsrag_tree_cover, component tree-cover, class TreeCover.
    """
    if not re.fullmatch(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", name) or len(name) > 100:
        raise UsageError(
            f"'{name}' is no name for a package.", "Use letters, digits, - and _, beginning and ending with no mark."
        )
    distribution = re.sub(r"[-_.]+", "-", name).lower()
    module = distribution.replace("-", "_")
    component = distribution.removeprefix("rsrag-")
    words = component.split("-")
    if not module.isidentifier() or not words[0][0].isalpha():
        raise UsageError(f"'{name}' begins with a digit.", "Python modules begin with a letter.")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in ("rsrag", "test", "tests"):
        raise UsageError(f"'{module}' is a name of Python's or of rsrag's own.", f"Try rsrag-{distribution}.")
    cls = "".join(word.capitalize() for word in words)
    if keyword.iskeyword(cls):  # None, True, False
        raise UsageError(f"'{name}' would make a class called {cls}.", "Choose another name.")
    return {"distribution": distribution, "module": module, "component": component, "cls": cls}


def _read(template: str) -> str:
    return (_TEMPLATES / template).read_text(encoding="utf-8")
