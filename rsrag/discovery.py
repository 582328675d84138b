"""Where plugins of third parties are: in installed packages and in single files. Finding one does not import it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

GROUP: Final = "rsrag"
_LOCAL: Final = "rsrag_local_"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin before it is imported: an entry point, a file (or a package's folder), or an object in hand."""

    name: str
    point: EntryPoint | None = None
    file: Path | None = None
    given: object = None

    def load(self) -> object:
        """Import it. Raises whatever its code raises."""
        if self.point is not None:
            return self.point.load()
        if self.file is not None:
            return _load_file(self.file, self.module)
        return self.given

    @property
    def module(self) -> str:
        """The dotted name of what is imported; "" for an object."""
        if self.point is not None:
            return self.point.module
        return f"{_LOCAL}{self.name}" if self.file is not None else ""

    @property
    def distribution(self) -> tuple[str, str]:
        """(name, version) of the package it was installed with; empty for others. Reads that package's metadata."""
        dist = self.point.dist if self.point is not None else None
        return (dist.name, dist.version) if dist is not None else ("", "")


def installed() -> list[Candidate]:
    """The entry points of the group `rsrag`, in the order of sys.path."""
    return [Candidate(point.name, point=point) for point in entry_points(group=GROUP)]


def in_paths(paths: Iterable[str | Path]) -> tuple[list[Candidate], list[Path]]:
    """(plugins, paths that do not exist): a path is a plugin's .py file, or a folder of such files and packages."""
    found: list[Candidate] = []
    missing: list[Path] = []
    for given in paths:
        path = Path(given).expanduser().absolute()
        if path.is_dir():
            found += [Candidate(p.stem, file=p) for p in sorted(path.iterdir()) if _is_plugin(p)]
        elif path.is_file():
            found.append(Candidate(path.stem, file=path))
        else:
            missing.append(path)
    return found, missing


def _is_plugin(path: Path) -> bool:
    if path.name.startswith(("_", ".")) or not path.stem.isidentifier():
        return False
    return (path / "__init__.py").is_file() if path.is_dir() else path.suffix == ".py"


def _load_file(path: Path, name: str) -> object:
    package = [str(path)] if path.is_dir() else None
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=package)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
