"""Built-in rerankers: one that keeps a single subject from filling the evidence, and a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rsrag import Hit, Query, hookimpl


class Diverse:
    """Moves a subject's hits beyond the first `per_subject` behind everybody else's."""

    name: ClassVar[str] = "diverse"

    def __init__(self, per_subject: int = 3) -> None:
        self.per_subject = per_subject

    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        first: list[Hit] = []
        later: list[Hit] = []
        seen: dict[tuple[str, str], int] = {}
        for hit in hits:
            key = (hit.chunk.subject, hit.chunk.kind)
            seen[key] = seen.get(key, 0) + 1
            (first if seen[key] <= self.per_subject else later).append(hit)
        return first + later


@hookimpl
def rsrag_rerankers() -> list[type]:
    from .cross_encoder import CrossEncoder

    return [Diverse, CrossEncoder]
