"""Question sets: what people ask of the packs, and what nobody could answer from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from rsrag import Sample, UsageError
from rsrag.evaluation.checks import UNANSWERABLE, described

_DEFAULT_SPLIT: Final = "dev"


class QuestionsBenchmark:
    """Questions over the default knowledge base, a third of them with no right answer but to decline.

    `path` is a file of questions, or a folder with one file for each split (dev.jsonl, test.jsonl).
    """

    name: ClassVar[str] = "questions"
    tools: ClassVar[bool] = True
    """Where things lie is told by tools: they run unless --no-tools forbids it."""

    def __init__(self, path: str | Path = "tests/questions") -> None:
        self._path = Path(path).expanduser()

    @property
    def root(self) -> Path:
        return self._path if self._path.is_dir() else self._path.parent

    @property
    def files(self) -> list[Path]:
        return sorted(self._path.glob("*.jsonl")) if self._path.is_dir() else [self._path]

    def samples(self, split: str = "") -> Iterator[Sample]:
        """The questions of a split ("dev" unless said), in the file's order. Raises `UsageError` naming a bad line."""
        file = self._file(split)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                try:
                    yield _sample(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise UsageError(f"{file}:{number} is no question: {error!r}.", "Correct it.") from error

    def _file(self, split: str) -> Path:
        file = self._path / f"{split or _DEFAULT_SPLIT}.jsonl" if self._path.is_dir() else self._path
        if file.is_file():
            return file
        there = ", ".join(f.stem for f in self.files if f.is_file())
        hint = f"There are {there}." if there else "The sets come with the source of rsrag: give --data PATH."
        raise UsageError(f"there are no questions in {file}.", hint)


def _sample(record: dict[str, Any]) -> Sample:
    can = record["kind"] != UNANSWERABLE
    check: dict[str, Any] = {
        key: record[key] for key in ("kind", "why", "answer", "subjects", "corrects") if key in record
    }
    if can and not (record["answer"].get("numbers") or record["answer"].get("all_of")):
        raise ValueError("its answer checks nothing")
    return Sample(
        id=record["id"],
        task="check",
        question=record["question"],
        images=(record["image"],) if record.get("image") else (),
        references=(described(check),) if can else (),
        meta={"answerable": can, "check": check},
    )
