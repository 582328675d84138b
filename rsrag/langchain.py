"""LangChain, outwards: a knowledge base as a retriever, an encoder as embeddings, geo tools as tools.

Inwards, LangChain's objects are components of their kind: a loader is a source (`builtin/sources/langchain.py`), a
chat model a model (`builtin/models/langchain.py`), a retriever a lane and a tool a geo tool (`LangChainLane`,
`LangChainTool` here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_core.callbacks import CallbackManagerForRetrieverRun, CallbackManagerForToolRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, ToolException
from pydantic import ConfigDict, Field, create_model

from .chunking import text_hash
from .errors import RsragError, UsageError
from .interfaces import Knowledge, Need
from .types import Chunk, Hit, Provenance, Query, Scene, ToolResult

if TYPE_CHECKING:
    from .assistant import Assistant
    from .toolbox import Tool


class KnowledgeRetriever(BaseRetriever):
    """Serves a chain from a knowledge base: the same lanes and fusion as `search`.

    `k` documents at most (also per call: `invoke(text, k=3)`); `filters` are those of `Assistant.query`. A
    document's metadata hold id, title, kind, image, url, license, attribution, source, subject, bbox and score.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kb: Any
    k: int = 4
    filters: dict[str, Any] = {}  # noqa: RUF012  pydantic copies it

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        from .assistant import Assistant

        hits = Assistant(self.kb, tools=False).search(query, k=k or self.k, **self.filters)
        return [document(hit) for hit in hits]


def document(hit: Hit) -> Document:
    """A hit as a LangChain document."""
    chunk = hit.chunk
    metadata = {
        "id": chunk.id,
        "title": chunk.title,
        "kind": chunk.kind,
        "part": chunk.part,
        "image": chunk.image,
        "subject": chunk.subject,
        "source": chunk.provenance.source,
        "url": chunk.provenance.url,
        "license": chunk.provenance.license,
        "attribution": chunk.provenance.attribution,
        "bbox": chunk.bbox.as_tuple() if chunk.bbox else None,
        "score": hit.score,
    }
    return Document(page_content=chunk.text or chunk.title, metadata=metadata, id=chunk.id)


class EncoderEmbeddings(Embeddings):
    """An rsrag encoder's text side as LangChain embeddings."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(v) for v in row] for row in self.encoder.encode_texts(texts, role="passage")]

    def embed_query(self, text: str) -> list[float]:
        return [float(v) for v in self.encoder.encode_texts([text], role="query")[0]]


class GeoToolForChains(BaseTool):
    """A geo tool as a LangChain tool, made by `assistant.as_langchain_tools()`.

    Its arguments are the tool's own and `image`, the path of one, or `images`, a list of paths. The message it returns
    is the text with its numbers; its artifact is the `ToolResult`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    assistant: Any

    @classmethod
    def of(cls, assistant: Assistant, tool: Tool) -> GeoToolForChains:
        paths: dict[str, Any] = {}
        if tool.takes == "scene":
            paths["image"] = (str, Field(description="Path of the image."))
        elif tool.takes == "scenes":
            paths["images"] = (list[str], Field(description="Paths of the images, in order."))
        schema = create_model(f"{tool.name}_input", __base__=tool.model, **paths)
        return cls(name=tool.name, description=tool.description, args_schema=schema, assistant=assistant)

    def _run(self, run_manager: CallbackManagerForToolRun | None = None, **arguments: Any) -> tuple[str, ToolResult]:
        images = arguments.pop("images", None) or arguments.pop("image", None)
        kept = {name: value for name, value in arguments.items() if value is not None}
        try:
            result, _ = self.assistant.run_tool(self.name, kept, images)
        except RsragError as error:
            raise ToolException(f"{error.message} {error.hint or ''}".strip()) from error
        numbers = "; ".join(f"{name}: {value}" for name, value in result.values.items())
        said = [result.text, *result.caveats, f"Values: {numbers}." if numbers else ""]
        return " ".join(part for part in said if part), result


def geo_tools(assistant: Assistant) -> list[BaseTool]:
    """The assistant's geo tools for a chain or an agent. Those that bring a schema of their own are left to it."""
    tools = assistant.toolbox().tools.values()
    return [GeoToolForChains.of(assistant, tool) for tool in tools if not hasattr(tool.component, "parameters")]


class LangChainLane:
    """Any LangChain retriever as a lane; a plugin offers a subclass, or an instance is passed to `retrieve`.

    Its documents become text chunks of their own subject; their `source`, `url`, `title` metadata are kept.
    """

    name: ClassVar[str] = "langchain"
    needs: ClassVar[tuple[Need, ...]] = ("text",)
    votes: ClassVar[bool] = False

    def __init__(self, retriever: BaseRetriever) -> None:
        self.retriever = retriever

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        if query.where:
            return []  # its documents carry nothing that a filter could be held against
        documents = self.retriever.invoke(query.text)[:k]
        return [
            Hit(_chunk(doc, rank), 1 / rank, {self.name: (rank, 1 / rank)}) for rank, doc in enumerate(documents, 1)
        ]


class LangChainTool:
    """Any LangChain tool that takes an image's path as a geo tool; a plugin offers a subclass that names its tool.

    The path goes into the tool's argument `scene`, `image`, `path` or `uri`, whichever it has. `fit` is what
    `applies` answers for a question with a scene, 0..1. Raises `UsageError` for a tool that takes no image.
    """

    name: str = "langchain"

    def __init__(self, tool: BaseTool, fit: float = 0.5) -> None:
        self.tool = tool
        self.fit = fit
        taken = [argument for argument in ("scene", "image", "path", "uri") if argument in tool.args]
        if not taken:
            raise UsageError(
                f"tool '{tool.name}' has no argument for an image; it takes {', '.join(tool.args) or 'none'}.",
                "Name one of them scene, image, path or uri.",
            )
        self._argument = taken[0]
        own = {name: schema for name, schema in tool.args.items() if name != self._argument}
        needed = [name for name in tool.get_input_jsonschema().get("required", ()) if name in own]
        self.parameters = {"type": "object", "properties": own, "required": needed}

    def applies(self, query: Query) -> float:
        return self.fit if query.scenes else 0.0

    def __call__(self, scene: Scene, **arguments: Any) -> ToolResult:
        result = self.tool.invoke({self._argument: scene.uri, **arguments})
        return ToolResult(str(result), attribution=f"LangChain tool {self.tool.name}")


def _chunk(doc: Document, ordinal: int) -> Chunk:
    meta = doc.metadata
    digest = text_hash(doc.page_content)
    source = str(meta.get("source", "langchain"))
    return Chunk(
        id=str(doc.id or digest[:20]),
        kind="text",
        part="text",
        ordinal=ordinal,
        title=str(meta.get("title", source)),
        text=doc.page_content,
        content_hash=digest,
        provenance=Provenance(
            "langchain",
            str(doc.id or digest[:20]),
            f"langchain/{digest[:12]}",
            url=str(meta.get("url", source if "://" in source else "")),
            license=str(meta.get("license", "")),
        ),
    )
