"""LangChain's own published standard tests over what rsrag serves, and LangChain's objects coming in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, ToolException, tool
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests, ToolsUnitTests

from rsrag import Assistant, BBox, KnowledgeBase, Plugins, Query, Record
from rsrag.langchain import EncoderEmbeddings, KnowledgeRetriever, LangChainLane
from rsrag.testing.encoders import FakeEncoder


class Notes:
    name = "notes"
    label = "notes"

    def records(self) -> Iterator[Record]:
        for i in range(12):
            yield Record(
                f"n{i}", f"t/{i}", f"Note {i}", f"note {i} about example query", license="CC0", bbox=BBox(i, i, i, i)
            )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = tmp_path_factory.mktemp("served")
    with KnowledgeBase(folder, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Notes())
        yield kb


class TestRetriever(RetrieversIntegrationTests):
    """`kb.as_langchain_retriever(k=...)` keeps LangChain's contract."""

    @pytest.fixture(autouse=True)
    def _kb(self, served: KnowledgeBase) -> None:
        type(self).kb = served  # type: ignore[attr-defined]

    @property
    def retriever_constructor(self) -> Any:
        def make(**options: Any) -> KnowledgeRetriever:
            retriever = self.kb.as_langchain_retriever(**options)  # type: ignore[attr-defined]
            assert isinstance(retriever, KnowledgeRetriever)
            return retriever

        return make

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"k": 4}

    @property
    def retriever_query_example(self) -> str:
        return "example query"


class FakeEmbeddings(EncoderEmbeddings):
    def __init__(self) -> None:
        super().__init__(FakeEncoder())


class TestEmbeddings(EmbeddingsIntegrationTests):
    """An encoder served as Embeddings keeps LangChain's contract."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return FakeEmbeddings


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return FakeEmbeddings


def test_documents_say_where_they_come_from(served: KnowledgeBase) -> None:
    document = served.as_langchain_retriever(k=1).invoke("note 7")[0]
    assert document.metadata["license"] == "CC0"
    assert document.metadata["source"] == "notes"
    chunk = served.get(document.metadata["id"])
    assert chunk is not None and chunk.text == document.page_content


def test_filters_reach_the_store(served: KnowledgeBase) -> None:
    found = served.as_langchain_retriever(k=9, within="2.5,2.5,4.5,4.5").invoke("example query")
    assert {d.metadata["title"] for d in found} == {"Note 3", "Note 4"}


class Fixed(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(f"about {query}", metadata={"source": "https://example.org/x", "title": "X"})]


class OutsidePlugin:
    """Offers a LangChain retriever as a lane."""

    from rsrag import hookimpl

    @hookimpl
    def rsrag_retrievers(self) -> list[type]:
        class Lane(LangChainLane):
            name = "outside"

            def __init__(self) -> None:
                super().__init__(Fixed())

        return [Lane]


def test_a_langchain_retriever_is_a_lane(tmp_path: Any) -> None:
    plugins = Plugins(external=False, extra=[OutsidePlugin()])
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=plugins) as kb:
        kb.add(Notes())
        found = Assistant(kb).search_all(Query("whales", task="search", k=20))
    outside = [h for h in found.hits if "outside" in h.lanes]
    assert outside[0].chunk.provenance.url == "https://example.org/x"
    assert outside[0].chunk.text == "about whales"


def test_a_langchain_tool_is_a_geo_tool(tmp_path: Any) -> None:
    from langchain_core.tools import tool
    from PIL import Image

    from rsrag import UsageError, hookimpl
    from rsrag.langchain import LangChainTool
    from rsrag.testing.models import ScriptedModel

    @tool
    def file_name(path: str) -> str:
        """The last part of an image's path."""
        return f"The image is called {path.rpartition('/')[2]}."

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    class Offer:
        @hookimpl
        def rsrag_tools(self) -> list[type]:
            class FileName(LangChainTool):
                name = "file_name"

                def __init__(self) -> None:
                    super().__init__(file_name)

            return [FileName]

    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    model = ScriptedModel(["Seen [1]."])
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=Plugins(external=False, extra=[Offer()])) as kb:
        kb.add(Notes())
        Assistant(kb, model).ask("what is it called?", tmp_path / "x.png")
    assert [e.text for e in model.prompts[0].evidence if e.title == "file_name"] == ["The image is called x.png."]
    with pytest.raises(UsageError, match="'add' has no argument for an image; it takes a, b"):
        LangChainTool(add)


# -- geo tools, both ways -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    from PIL import Image

    path = tmp_path_factory.mktemp("pictures") / "field.png"
    Image.new("RGB", (40, 30), (30, 120, 40)).save(path)
    return str(path)


class Describe:
    """`describe_scene`, as `assistant.as_langchain_tools()` gives it."""

    @pytest.fixture(autouse=True)
    def _tool(self, served: KnowledgeBase, picture: str) -> None:
        found = {t.name: t for t in Assistant(served).as_langchain_tools()}
        type(self).made, type(self).picture = found["describe_scene"], picture  # type: ignore[attr-defined]

    @property
    def tool_constructor(self) -> BaseTool:
        made: BaseTool = self.made  # type: ignore[attr-defined]
        return made

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"image": self.picture}  # type: ignore[attr-defined]


class TestToolUnits(Describe, ToolsUnitTests): ...


class TestToolInvoked(Describe, ToolsIntegrationTests): ...


def test_a_geo_tool_tells_a_chain_its_numbers_and_its_errors(served: KnowledgeBase, picture: str) -> None:
    found = {t.name: t for t in Assistant(served).as_langchain_tools()}
    message = found["describe_scene"].invoke(
        {"type": "tool_call", "id": "1", "name": "describe_scene", "args": {"image": picture}}
    )
    assert "width: 40 pixels" in message.content and message.artifact.values["height"].value == 30

    with pytest.raises(ToolException, match=r"there is no image gone\.tif"):
        found["describe_scene"].invoke({"image": "gone.tif"})


def test_a_langchain_tool_is_called_with_the_arguments_it_declares(served: KnowledgeBase, picture: str) -> None:
    @tool
    def count(image: str, what: str, most: int = 3) -> str:
        """Count things."""
        return f"{most} {what} in {image.rpartition('/')[2]}"

    from rsrag.langchain import LangChainTool
    from rsrag.toolbox import Tool

    class Count(LangChainTool):
        name = "count"

        def __init__(self) -> None:
            super().__init__(count)

    spec = Tool(Count()).spec(["A"])
    assert list(spec.parameters["properties"]) == ["what", "most"] and spec.parameters["required"] == ["what"]
    scene = Assistant(served)._scene(picture)
    result = Tool(Count()).run([scene], {"what": "boats", "most": 2}, served, served.path)
    assert result.text == "2 boats in field.png"
