"""The field's task and prediction files as samples and predictions. `load` tells the format by the first record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ...errors import UsageError
from ..samples import Entry, Loaded, Problem
from . import captions, chat, folders, geobench, knowledge, plain, vqa_c
from .fields import Fields
from .reading import records

Reader = Callable[[str, Fields], Iterator[Entry]]

# The first that matches: those that say most about themselves come first.
_READERS: Final[dict[str, tuple[Callable[[Fields], bool], Reader]]] = {
    "chat": (chat.matches, chat.read),
    "vqa_c": (vqa_c.matches, vqa_c.read),
    "rswk": (knowledge.matches, knowledge.read),
    "captions": (captions.matches, captions.read),
    "geobench": (geobench.matches, geobench.read),
    "plain": (plain.matches, plain.read),
}


def load(path: Path | str, *, split: str = "") -> Loaded:
    """Everything in a file, or in a folder with a folder per class; `split` keeps that part of a caption dataset.

    Records that are not understood are left out and listed in `problems`. Raises `UsageError` when the file cannot be
    read, is empty, or is of no known format.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return Loaded(str(path), "folders", tuple(folders.read(path)))
    found, whole = records(path)
    if isinstance(whole, dict) and isinstance(whole.get("images"), list) and not format_of(whole):
        # A caption dataset is one object.
        found = [(f"{path.name}, image {n}", image) for n, image in enumerate(whole["images"], 1)]
    name = next((format_of(record) for _, record in found if isinstance(record, dict)), "")
    if not name:
        bad = next(((where, str(record)) for where, record in found if isinstance(record, ValueError)), None)
        raise UsageError(
            f"{bad[0]} {bad[1]}." if bad else f"{path.name} holds no records of a known format.",
            f"Known are {', '.join(_READERS)} and folders; see docs/evaluation.md.",
        )
    entries: list[Entry] = []
    problems: list[Problem] = []
    for where, record in found:
        try:
            if isinstance(record, ValueError):
                raise record
            if not isinstance(record, dict):
                raise ValueError("is no object")
            if (own := format_of(record)) != name:
                raise ValueError(
                    f"is {f'of the format {own}' if own else 'of no known format'}, unlike the first ({name})"
                )
            entries += [
                e for e in _READERS[name][1](where, record) if e.sample.meta.get("split", split) == split or not split
            ]
        except ValueError as error:
            problems.append((where, str(error)))
    if not entries and not problems:
        raise UsageError(f"{path.name} holds nothing of the split '{split}'.", "Leave --split out to see all of it.")
    return Loaded(str(path), name, tuple(entries), tuple(problems))


def format_of(record: Fields) -> str:
    """The name of the format that a record is of, or ""."""
    return next((name for name, (matches, _) in _READERS.items() if matches(record)), "")
