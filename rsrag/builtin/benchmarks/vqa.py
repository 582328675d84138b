"""Questions out of a file, with the knowledge to answer them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rsrag import Sample, UsageError
from rsrag.evaluation.formats import load
from rsrag.evaluation.located import Located


class VqaBenchmark(Located):
    """Questions of any file that `rsrag eval score` reads, as question answering; `knowledge` is what a knowledge base
    for them is filled with: a pack, a folder, a file, anything `rsrag kb add` takes. `images` is where images are.
    """

    name: ClassVar[str] = "vqa"

    def __init__(self, path: str | Path, knowledge: str | Path = "", images: str | Path = "") -> None:
        self._path, self._knowledge, self._images = Path(path).expanduser(), knowledge, images

    @property
    def files(self) -> list[Path]:
        return [self._path, *([Path(self._knowledge).expanduser()] if self._knowledge else [])]

    def samples(self, split: str = "") -> Iterator[Sample]:
        """The questions in the order of the file. Raises `UsageError` for a record that is not understood."""
        loaded = load(self._path, split=split)
        if loaded.problems:
            where, why = loaded.problems[0]
            raise UsageError(f"{where} {why}.", "Correct it, or leave it out.")
        for entry in loaded.entries:
            yield replace(entry.sample, task=entry.sample.task or "vqa")

    def sources(self, split: str = "") -> list[Any]:
        """The knowledge, if there is any."""
        return [str(Path(self._knowledge).expanduser())] if self._knowledge else []
