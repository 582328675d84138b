"""RS-RAG's own task: landmarks, their images, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final

from rsrag import Sample, UsageError, create
from rsrag.evaluation.formats import load

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "caption": ("caption",),
    "classify": ("basic_info_and_history", "image_description"),
    "vqa": (
        *("architecture_and_function", "culture_and_visitor", "expert_knowledge", "monthly_expert_knowledge"),
        "caption",
    ),
}
"""Which parts of the texts are searched for which task (RS-RAG, arXiv 2504.04988)."""
_SUFFIXES: Final = ("", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


class RswkBenchmark:
    """RS-RAG's benchmark over RSWK. `path` is the knowledge file; `questions` a task file (chat messages, vqa_c), and
    without one the category of each landmark is asked for; `images` the folder of images beside the knowledge.

    Each task searches the parts of the texts that the paper searches for it. The knowledge is the source `rswk`, its
    tables of figures with vectors, as in the paper.
    """

    name: ClassVar[str] = "rswk"

    def __init__(self, path: str | Path, questions: str | Path = "", images: str = "images") -> None:
        self._path, self._questions, self._images = Path(path).expanduser(), questions, images

    @property
    def root(self) -> Path:
        return self._path.parent

    @property
    def files(self) -> list[Path]:
        return [self._path, *([Path(self._questions).expanduser()] if self._questions else [])]

    def samples(self, split: str = "") -> Iterator[Sample]:
        """Questions with the record they are about as meta "record", and the parts to search as "parts"."""
        loaded = load(Path(self._questions).expanduser() if self._questions else self._path)
        if loaded.problems:
            where, why = loaded.problems[0]
            raise UsageError(f"{where} {why}.", "Correct it, or leave it out.")
        for entry in loaded.entries:
            sample = entry.sample
            task = sample.task or "vqa"
            name = PurePosixPath(sample.images[0].replace("\\", "/")).name if sample.images else ""
            record = self._records.get(name) or self._records.get(sample.id.partition("/")[0], "")
            image = self._image(*filter(None, (name, record)))
            meta = {**sample.meta, "record": record, "parts": PARTS.get(task, ())}
            yield replace(sample, task=task, images=(image,) if image else (), meta=meta)

    def sources(self, split: str = "") -> list[Any]:
        """The knowledge file."""
        return [self._source()]

    def _source(self) -> Any:
        return create("source", "rswk", path=str(self._path), images=self._images, embed_figures=True)

    @cached_property
    def _records(self) -> dict[str, str]:
        """The id of the record by each name that a question may know it under: id, image name, title."""
        found: dict[str, str] = {}
        for record in self._source().records():
            names = [record.id, *record.aliases, *(PurePosixPath(i).name for i in record.images), record.title]
            for name in names:
                found.setdefault(name, record.id)
                found.setdefault(PurePosixPath(name).stem, record.id)
        return found

    def _image(self, *names: str) -> str:
        """An image's path in the root, or the first name where there is no file: asking then says so."""
        for name in names:
            for suffix in _SUFFIXES:
                if (self.root / self._images / f"{name}{suffix}").is_file():
                    return f"{self._images}/{name}{suffix}"
        return f"{self._images}/{names[0]}" if names and names[0] != "" else ""
