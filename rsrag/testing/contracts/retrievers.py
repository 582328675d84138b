"""The contract of retrievers: hits best first under the lane's name, at most k, and filters honoured."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest

from rsrag import Assistant, Filter, Hit, KnowledgeBase, Plugins, Query, Retrieved, Scene, hookimpl
from rsrag.interfaces import Retriever

from ..encoders import FakeEncoder
from .base import ComponentContract

NEEDS = ("text", "scene", "place")


class RetrieverContract(ComponentContract):
    """Override `component`; override `kb` and `query` where the lane finds nothing in the sample records."""

    protocol = Retriever

    @pytest.fixture
    def kb(self, rsrag_kb: KnowledgeBase) -> KnowledgeBase:
        """Where it looks."""
        return rsrag_kb

    @pytest.fixture
    def query(self, rsrag_scene: Scene) -> Query:
        """A question that has everything a lane may need and for which this one finds something."""
        return Query("harbour with blue water", scenes=(rsrag_scene,), near=rsrag_scene.bbox)

    @pytest.fixture
    def hits(self, component: Any, query: Query, kb: KnowledgeBase) -> list[Hit]:
        found = component.retrieve(query, kb, 20)
        assert isinstance(found, list), f"retrieve() returned {type(found).__name__}; return a list of hits."
        assert found, "it found nothing; override the fixture `kb` or `query` so that it finds something."
        return found

    def test_it_returns_hits(self, hits: list[Hit]) -> None:
        strange = [type(h).__name__ for h in hits if not isinstance(h, Hit)]
        assert not strange, f"retrieve() returned a list of {strange[0]}; return rsrag.Hit."
        ids = [h.chunk.id for h in hits]
        assert len(set(ids)) == len(ids), "a chunk came back more than once; keep its best hit."

    def test_hits_come_best_first_under_the_name_of_the_lane(self, component: Any, hits: list[Hit]) -> None:
        for hit in hits:
            assert component.name in hit.lanes, (
                f'a hit has the lanes {list(hit.lanes)}; give each lanes={{"{component.name}": (rank, raw score)}}.'
            )
        ranks, scores = zip(*(hit.lanes[component.name] for hit in hits), strict=True)
        assert list(ranks) == list(range(1, len(hits) + 1)), f"the ranks are {list(ranks)}; count from 1, best first."
        assert all(math.isfinite(s) for s in scores), "a raw score is NaN or infinite."
        assert list(scores) == sorted(scores, reverse=True), "a later hit has a higher raw score; sort best first."

    @pytest.mark.parametrize("k", [1, 2])
    def test_it_returns_at_most_k(
        self, component: Any, query: Query, kb: KnowledgeBase, hits: list[Hit], k: int
    ) -> None:
        found = component.retrieve(query, kb, k)
        assert len(found) == min(k, len(hits)), f"k = {k} gave {len(found)} hits of {len(hits)}; return the best k."
        assert found[0].chunk.id == hits[0].chunk.id, f"k = {k} gave another best hit than k = 20."

    def test_it_leaves_out_what_is_excluded(
        self, component: Any, query: Query, kb: KnowledgeBase, hits: list[Hit]
    ) -> None:
        record = hits[0].chunk.provenance.record
        left = component.retrieve(query.with_(exclude=(record,)), kb, 20)
        assert record not in {h.chunk.provenance.record for h in left}, (
            f"record {record!r} came back although query.exclude names it; leave it out."
        )

    def test_it_honours_filters(self, component: Any, query: Query, kb: KnowledgeBase, hits: list[Hit]) -> None:
        kinds: tuple[Literal["text", "image"], ...] = ("text", "image")
        for kind in kinds:
            found = component.retrieve(query.with_(where=Filter(kind=kind)), kb, 20)
            assert {h.chunk.kind for h in found} <= {kind}, f"query.where asks for kind {kind!r}; others came back."
        nowhere = component.retrieve(query.with_(where=Filter(sources=("no-such-source",))), kb, 20)
        assert not nowhere, "query.where names a source that does not exist, and hits came back; honour query.where."
        for key, value in hits[0].chunk.facets.items():
            found = component.retrieve(query.with_(where=Filter(facets={key: value})), kb, 20)
            assert found, f"query.where asks for {key} = {value!r}, which the best hit has, and nothing came back."
            others = [h.chunk.facets.get(key) for h in found if h.chunk.facets.get(key) != value]
            assert not others, f"query.where asks for {key} = {value!r}; {others[0]!r} came back."

    def test_it_says_what_it_needs(self, component: Any) -> None:
        needs = component.needs
        assert isinstance(needs, tuple) and set(needs) <= set(NEEDS), (
            f"`needs` is {needs!r}; it is a tuple of {', '.join(map(repr, NEEDS))}."
        )
        assert isinstance(component.votes, bool), "`votes` is True for a lane that is asked by the scene, else False."

    def test_what_it_needs_suffices(self, component: Any, query: Query, kb: KnowledgeBase) -> None:
        bare = Query(
            text=query.text if "text" in component.needs else "",
            scenes=query.scenes if "scene" in component.needs else (),
            near=query.near if "place" in component.needs else None,
        )
        try:
            component.retrieve(bare, kb, 5)
        except Exception as error:
            raise AssertionError(
                f"with no more than `needs` = {component.needs!r} it raised {type(error).__name__}: {error}; name all "
                "that it needs."
            ) from error

    def test_it_is_skipped_without_what_it_needs(self, component: Any, kb: KnowledgeBase) -> None:
        if not component.needs:
            return
        text = "" if "text" in component.needs else "harbour"
        plugins = Plugins(external=False, extra=[_Offer(component)])
        encoder: Any = FakeEncoder()
        with KnowledgeBase(kb.path, encoder, plugins=plugins) as again:
            first = next(iter(Assistant(again, tools=False).stream(text)))
        assert isinstance(first, Retrieved)
        report = next((r for r in first.retrieval.lanes if r.name == component.name), None)
        assert report is not None, f"it cannot be offered: {'; '.join(map(str, plugins.problems))}"
        assert report.status == "skipped", (
            f"for a question without {' and '.join(component.needs)} the lane ended as {report.status!r}: "
            f"{report.detail}; name in `needs` what it needs."
        )


class _Offer:
    """A plugin that offers a class whose one instance is the lane that is tested."""

    def __init__(self, component: Any) -> None:
        self._cls = type("Lane", (type(component),), {"__new__": lambda cls: component})

    @hookimpl
    def rsrag_retrievers(self) -> list[type[Any]]:
        return [self._cls]
