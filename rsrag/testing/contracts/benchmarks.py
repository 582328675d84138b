"""The contract of benchmarks: questions that can be scored, the same ones every time, with images that are there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rsrag import Sample
from rsrag.interfaces import Benchmark

from .base import ComponentContract

_TASKS = ("vqa", "caption", "classify", "choice", "detect", "retrieve", "check")


class BenchmarkContract(ComponentContract):
    """Override `component`; override `split` where there is nothing to ask in the benchmark's own choice."""

    protocol = Benchmark

    @pytest.fixture
    def split(self) -> str:
        """The part that is asked for; "" is the benchmark's own choice."""
        return ""

    @pytest.fixture
    def samples(self, component: Any, split: str) -> list[Any]:
        """What the benchmark yields."""
        return list(component.samples(split))

    def test_it_yields_samples(self, samples: list[Any]) -> None:
        assert samples, "samples() yields nothing; a benchmark without questions measures nothing."
        strange = [type(s).__name__ for s in samples if not isinstance(s, Sample)]
        assert not strange, f"samples() yields a {strange[0]}; yield rsrag.Sample objects."

    def test_every_sample_has_an_id_of_its_own(self, samples: list[Any]) -> None:
        twice = [id for id, n in Counter(s.id for s in samples).items() if n > 1 or not id]
        assert not twice, f"the id {twice[0]!r} is empty or given twice; answers are found again by it."

    def test_every_sample_can_be_scored(self, samples: list[Any]) -> None:
        for s in samples:
            assert s.task in (*_TASKS, ""), f"{s.id}: there is no task {s.task!r}; there are {', '.join(_TASKS)}."
            can = s.meta.get("answerable") is not False
            assert bool(s.references) or not can, f'{s.id} has no right answer and no meta {{"answerable": False}}.'
            if s.task == "choice":
                assert len(s.options) > 1, f"{s.id} is a choice with {len(s.options)} options."
                letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(s.options)]
                assert s.references[0] in tuple(letters), f"{s.id}: {s.references[0]!r} is no letter of an option."
            if s.task == "classify" and s.labels:
                assert s.references[0] in s.labels, f"{s.id}: {s.references[0]!r} is not among its labels."

    def test_every_sample_asks_something(self, samples: list[Any]) -> None:
        silent = [s.id for s in samples if not s.question.strip() and not s.images]
        assert not silent, f"{silent[0]} has neither a question nor an image."

    def test_it_yields_the_same_again(self, component: Any, split: str, samples: list[Any]) -> None:
        assert list(component.samples(split)) == samples, (
            "samples() yields something else the second time; a run that goes on needs the same questions. "
            "Draw by a seed that is an option."
        )

    def test_its_images_are_there(self, component: Any, samples: list[Any]) -> None:
        root = Path(getattr(component, "root", None) or ".")
        named = [image for s in samples for image in s.images if "://" not in image]
        lost = [image for image in named if not (root / image).is_file()]
        assert not lost, f"{root / lost[0]} does not exist; images are relative to the attribute `root`."

    def test_its_knowledge_does_not_hold_the_questions(self, component: Any, split: str, samples: list[Any]) -> None:
        if not hasattr(component, "sources"):
            return
        sources = component.sources(split)
        assert isinstance(sources, list), f"sources() returned {type(sources).__name__}; return a list."
        ids = {s.id for s in samples}
        for source in (s for s in sources if hasattr(s, "records")):
            own = [record.id for record in source.records() if record.id in ids]
            assert not own, f"the knowledge holds the record {own[0]}, which is asked about; leave it out."
