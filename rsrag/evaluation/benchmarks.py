"""Where questions come from: a benchmark by name, or a file or folder in one of the known formats."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from ..errors import RsragError, UsageError
from ..plugins import Plugins
from .formats import load
from .located import Located
from .manifest import file_digest
from .samples import Entry, Loaded, Sample, Task
from .tasks import settle


class FileBenchmark(Located):
    """The questions of a file or folder in a format of `rsrag eval score`; `images` is where its images are."""

    name: ClassVar[str] = "file"

    def __init__(self, path: str | Path, images: str | Path = "", task: Task | None = None) -> None:
        self._path = Path(path).expanduser()
        self._images, self._task = images, task

    def samples(self, split: str = "") -> Iterator[Sample]:
        loaded = load(self._path, split=split)
        if loaded.problems:
            where, why = loaded.problems[0]
            more = f" (and {len(loaded.problems) - 1:,} more)" if len(loaded.problems) > 1 else ""
            raise UsageError(f"{where} {why}{more}.", "Correct it; a run over half of a file says little.")
        yield from (entry.sample for entry in settled(loaded, self._task))


def settled(loaded: Loaded, task: Task | None = None) -> list[Entry]:
    """The entries with their tasks."""
    entries, _ = settle(loaded.entries, task)
    return entries


@dataclass(frozen=True, slots=True)
class Chosen:
    """A benchmark that was made, with what it was made of."""

    benchmark: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.benchmark.name)

    @property
    def root(self) -> Path:
        return Path(getattr(self.benchmark, "root", None) or ".")

    def described(self) -> dict[str, Any]:
        """Name, options and the digests of its files, for the manifest."""
        files = [Path(file) for file in getattr(self.benchmark, "files", ())]
        digests = {file.name: file_digest(file) for file in files if file.exists()}
        return {"name": self.name, "options": dict(self.options), "files": digests}

    def sources(self, split: str) -> list[Any]:
        """What its knowledge base is filled with; nothing when it brings no knowledge."""
        if not hasattr(self.benchmark, "sources"):
            return []
        return list(self.benchmark.sources(split))


def choose(task: str, plugins: Plugins, options: Mapping[str, Any] | None = None) -> Chosen:
    """The benchmark that `rsrag eval run TASK` means: one on offer, else a file or folder.

    `options` are its constructor's keywords. Raises `UsageError` when TASK is neither, or an option is missing.
    """
    options = {key: value for key, value in (options or {}).items() if value not in (None, "")}
    base = task.partition(":")[0]
    if base in plugins.offers("benchmark"):
        given = {*options, *(["path"] if ":" in task else [])}
        if lacking := [name for name in _needed(plugins.offers("benchmark")[base]) if name not in given]:
            others = "".join(f" --set {name}=..." for name in lacking if name != "path")
            hint = f"Give{' --data PATH' if 'path' in lacking else ''}{others}."
            raise UsageError(f"benchmark '{base}' needs {' and '.join(lacking)}.", hint)
        made = plugins.create("benchmark", task, **options)
        return Chosen(made, options | ({"path": task.partition(":")[2]} if ":" in task else {}))
    path = Path(task).expanduser()
    if path.exists():
        made = FileBenchmark(path, options.get("images", ""), options.get("task"))
        return Chosen(made, {"path": path.name})
    known = ", ".join(sorted(plugins.offers("benchmark")))
    raise UsageError(f"there is no benchmark and no file called '{task}'.", f"Benchmarks are {known}; or give a file.")


def _needed(cls: type[Any]) -> list[str]:
    """The options without a default."""
    if cls.__init__ is object.__init__:
        return []
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def drawn(chosen: Chosen, split: str = "", limit: int = 0, seed: int = 0) -> list[Sample]:
    """The questions of a run: all of a split, or `limit` of them drawn by `seed`, in their own order.

    Each has an id of its own: where two share one, or have none, their place in the benchmark is added. Raises
    `UsageError` when there are none.
    """
    found = []
    try:
        for sample in chosen.benchmark.samples(split):
            if not isinstance(sample, Sample):
                raise UsageError(f"benchmark {chosen.name} gave a {type(sample).__name__}.", "It must yield Samples.")
            found.append(sample)
    except RsragError:
        raise
    except Exception as error:  # a third party's
        raise UsageError(f"benchmark {chosen.name} failed: {type(error).__name__}: {error}.") from error
    if not found:
        raise UsageError(
            f"benchmark {chosen.name} has no questions{f' of the split {split}' if split else ''}.",
            "Check its path and --split.",
        )
    found = identified(_with_labels([e.sample for e in settle([Entry("", s) for s in found])[0]]))
    if 0 < limit < len(found):
        kept = sorted(random.Random(seed).sample(range(len(found)), limit))
        found = [found[place] for place in kept]
    return found


def _with_labels(samples: list[Sample]) -> list[Sample]:
    """Where no classes are listed, those among the right answers are what there is to choose from."""
    right = [s.references[0] for s in samples if s.task == "classify" and not s.labels and s.references]
    labels = tuple(sorted(set(right)))
    return [replace(s, labels=labels) if s.task == "classify" and not s.labels else s for s in samples]


def identified(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, each with an id that no other has."""
    seen: set[str] = set()
    named = []
    for place, sample in enumerate(samples):
        id = sample.id or f"q{place}"
        if id in seen:
            id = f"{id}#{place}"
        seen.add(id)
        named.append(sample if id == sample.id else replace(sample, id=id, meta={"record": sample.id, **sample.meta}))
    return named
