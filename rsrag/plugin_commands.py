"""What plugins add to the command line: which of them add anything, and that no name is taken twice."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .discovery import Candidate


class CommandNotes:
    """What earlier runs learnt: plugin -> (fingerprint of its files, whether it adds commands).

    With it `rsrag --help` need not import the plugins that add none. It is a file in the user's cache: derived, safe
    to delete, and believed for nothing else.
    """

    def __init__(self) -> None:
        import platformdirs

        self._file = Path(platformdirs.user_cache_dir("rsrag")) / "commands.json"
        self._known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            known = json.loads(self._file.read_bytes())
            self._known = known if isinstance(known, dict) else {}

    def rules_out(self, candidate: Candidate) -> bool:
        """Whether it is known to add none, and its files are as they were then."""
        known = self._known.get(_key(candidate))
        return known is not None and known == [_fingerprint(candidate), False]

    def remember(self, learnt: Iterable[tuple[Candidate, bool]]) -> None:
        """Write down what importing them has shown."""
        new = {_key(c): [mark, adds] for c, adds in learnt if (mark := _fingerprint(c))}
        if self._known | new == self._known:
            return
        self._known |= new
        part = self._file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # a cache that cannot be written costs time only
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._known), encoding="utf-8")
            part.replace(self._file)


def _key(candidate: Candidate) -> str:
    return f"{candidate.name} = {candidate.module}"


def _fingerprint(candidate: Candidate) -> str:
    """Changes when a file of the plugin does; "" when there is no telling."""
    root = candidate.file or _place(candidate.module.partition(".")[0])
    if root is None:
        return ""
    try:
        stamps = [(str(file), stat.st_mtime_ns, stat.st_size) for file in _sources(root) for stat in [file.stat()]]
    except OSError:
        return ""
    return json.dumps([candidate.point.value if candidate.point else "", *stamps])


def _place(package: str) -> Path | None:
    """The file or folder that a top-level package would be imported from."""
    with suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            file = Path(spec.origin)
            return file.parent if spec.submodule_search_locations else file
    return None


def _sources(root: Path) -> Iterator[Path]:
    return iter(sorted(root.rglob("*.py"))) if root.is_dir() else iter([root])


# -- names ----------------------------------------------------------------------------------------


def commands(app: Any) -> list[tuple[str, Any, list[Any]]]:
    """(name, entry, list it stands in) of all commands and groups of a typer application, in order."""
    lists = [getattr(app, "registered_commands", []), getattr(app, "registered_groups", [])]
    return [(_name(entry), entry, entries) for entries in lists for entry in entries]


def _name(entry: Any) -> str:
    """As typer finds it: given, or else the group's own, or else that of the function."""
    inner = getattr(getattr(entry, "typer_instance", None), "info", None)
    given = [name for holder in (entry, inner) if isinstance(name := getattr(holder, "name", None), str)]
    return given[0] if given else str(getattr(entry.callback, "__name__", "")).lower().replace("_", "-")
