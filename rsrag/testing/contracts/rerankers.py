"""The contract of rerankers: they reorder and may drop, and add nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rsrag import Hit, KnowledgeBase, Query, Scene
from rsrag.interfaces import Reranker

from .base import ComponentContract


class RerankerContract(ComponentContract):
    """Override `component`; override `hits` and `query` where the sample records give it nothing to do."""

    protocol = Reranker

    @pytest.fixture
    def query(self, rsrag_scene: Scene) -> Query:
        """The question whose hits are reordered."""
        return Query("harbour with blue water", scenes=(rsrag_scene,))

    @pytest.fixture
    def hits(self, rsrag_kb: KnowledgeBase, query: Query) -> list[Hit]:
        """Hits as they come from the fusion: each chunk once, best first."""
        found = rsrag_kb.search_vectors(query, "texts", "text", 20) + rsrag_kb.search_vectors(
            query, "images", "scene", 20
        )
        return sorted(found, key=lambda hit: -hit.score)

    def test_it_returns_hits(self, component: Any, query: Query, hits: list[Hit]) -> None:
        result = component.rerank(query, hits)
        assert isinstance(result, list), f"rerank() returned {type(result).__name__}; return a list of hits."
        strange = [type(h).__name__ for h in result if not isinstance(h, Hit)]
        assert not strange, f"rerank() returned a list of {strange[0]}; return the hits that were given."
        assert result, "rerank() dropped every hit of the sample; override `hits` if that is right for them."

    def test_it_adds_none(self, component: Any, query: Query, hits: list[Hit]) -> None:
        given = {h.chunk.id: h.chunk for h in hits}
        added = [h.chunk.id for h in component.rerank(query, hits) if given.get(h.chunk.id) != h.chunk]
        assert not added, f"chunk {added[0]} was not among the hits, or was changed; only reorder and drop."

    def test_it_repeats_none(self, component: Any, query: Query, hits: list[Hit]) -> None:
        twice = [id for id, n in Counter(h.chunk.id for h in component.rerank(query, hits)).items() if n > 1]
        assert not twice, f"chunk {twice[0]} came back more than once."

    def test_it_takes_few_hits(self, component: Any, query: Query, hits: list[Hit]) -> None:
        assert list(component.rerank(query, [])) == [], "rerank(query, []) must return []."
        assert len(component.rerank(query, hits[:1])) <= 1, "one hit became several."

    def test_it_takes_any_query(self, component: Any, query: Query, hits: list[Hit]) -> None:
        for other in (Query("harbour"), query.with_(text=""), Query("  ")):
            try:
                component.rerank(other, hits)
            except Exception as error:
                raise AssertionError(
                    f"rerank() raised {type(error).__name__}: {error} for a query with text {other.text!r} and "
                    f"{len(other.scenes)} scenes; return the hits as they are when there is nothing to go by."
                ) from error

    def test_it_leaves_its_input_alone(self, component: Any, query: Query, hits: list[Hit]) -> None:
        before = list(hits)
        component.rerank(query, hits)
        assert hits == before, "rerank() changed the list it was given; sort a copy."

    def test_it_decides_the_same_again(self, component: Any, query: Query, hits: list[Hit]) -> None:
        first = [h.chunk.id for h in component.rerank(query, hits)]
        assert [h.chunk.id for h in component.rerank(query, hits)] == first, (
            "two calls gave two orders; break ties by a rule (the given order, say)."
        )
