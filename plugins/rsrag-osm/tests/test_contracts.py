"""What rsrag asks of every component of a kind, by its own contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import LAT, LON, STEP, square, village
from rsrag import BBox, KnowledgeBase, Plugins, Query, Scene
from rsrag.testing import FakeEncoder
from rsrag.testing.contracts import CaptionerContract, RetrieverContract, SourceContract, ToolContract

import rsrag_osm
from rsrag_osm.captioner import OsmCaptioner
from rsrag_osm.images import OsmImages
from rsrag_osm.lane import OsmNear
from rsrag_osm.source import OsmSource
from rsrag_osm.tool import WhatsHere


class TestOsmSource(SourceContract):
    module = "rsrag_osm"

    @pytest.fixture
    def component(self, extract: Path) -> Any:
        return OsmSource(str(extract))

    @pytest.fixture
    def damaged(self, tmp_path: Path) -> Any:
        region = village()
        region.way_of(61, [999_998, 999_999], highway="path", name="Nowhere")
        return OsmSource(str(region.write(tmp_path / "damaged.osm")))


class TestOsmImages(SourceContract):
    module = "rsrag_osm"

    @pytest.fixture
    def component(self, labelled: Callable[..., Path]) -> Any:
        labelled("pond", polygon=[("water:pond;natural:water", [square(0, 0, 3)])])
        return OsmImages(str(labelled("mall", polygon=[("shop:mall", [square(0, 0, 3)])]).parent))

    @pytest.fixture
    def damaged(self, labelled: Callable[..., Path]) -> Any:
        image = labelled("mall", polygon=[("shop:mall", [square(0, 0, 3)])], point=[("natural:tree", (1, 1))])
        broken = labelled("broken", polygon=[("shop:mall", [square(0, 0, 3)])])
        broken.with_name("broken_polygon.geojson").write_text("not JSON")
        return OsmImages(str(image.parent))


class TestOsmNear(RetrieverContract):
    module = "rsrag_osm"

    @pytest.fixture
    def component(self) -> Any:
        return OsmNear()

    @pytest.fixture
    def kb(self, extract: Path, tmp_path: Path) -> Iterator[KnowledgeBase]:
        encoder: Any = FakeEncoder()
        plugins = Plugins(external=False, extra=[rsrag_osm])
        with KnowledgeBase(tmp_path / "near-kb", encoder, plugins=plugins) as store:
            store.add(str(extract))
            yield store

    @pytest.fixture
    def query(self, make_scene: Callable[..., Scene]) -> Query:
        near = BBox(LON, LAT, LON + STEP, LAT + STEP)
        return Query("Which schools, hospitals or forests are near?", (make_scene(),), near=near)

    def test_the_nearest_of_the_kind_comes_first(self, component: Any, kb: KnowledgeBase, query: Query) -> None:
        hits = component.retrieve(query, kb, 9)
        assert [h.chunk.title for h in hits] == ["St. Mary's", "Dorfschule", "Kirchholz"]
        assert [h.chunk.title for h in component.retrieve(query.with_(text="schools?"), kb, 9)] == ["Dorfschule"]
        assert component.retrieve(query.with_(text="What is this?"), kb, 9) == []


class TestWhatsHere(ToolContract):
    module = "rsrag_osm"

    @pytest.fixture
    def component(self, extract: Path) -> Any:
        return WhatsHere(str(extract))

    @pytest.fixture
    def scene(self, make_scene: Callable[..., Scene]) -> Scene:
        return make_scene()


class TestOsmCaptioner(CaptionerContract):
    module = "rsrag_osm"

    @pytest.fixture
    def component(self, extract: Path) -> Any:
        return OsmCaptioner(str(extract))

    @pytest.fixture
    def scenes(self, make_scene: Callable[..., Scene]) -> list[Scene]:
        boxes = [(0, 0, 10, 10), (0, 0, 4, 3), (5, 3, 9, 7), (50, 50, 60, 60)]
        return [make_scene(*box, name=f"scene-{number}") for number, box in enumerate(boxes)]
