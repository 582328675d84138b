"""The benchmarks that come with rsrag: images, captions, question files and sets, RSWK, facts looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsrag import hookimpl

if TYPE_CHECKING:
    from rsrag.interfaces import Benchmark


@hookimpl
def rsrag_benchmarks() -> list[type[Benchmark]]:
    from .captions import CaptionsBenchmark
    from .facts import FactsBenchmark
    from .labels import LabelsBenchmark
    from .questions import QuestionsBenchmark
    from .rswk import RswkBenchmark
    from .vqa import VqaBenchmark

    return [LabelsBenchmark, CaptionsBenchmark, VqaBenchmark, RswkBenchmark, FactsBenchmark, QuestionsBenchmark]
