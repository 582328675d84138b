"""What a component must be able to do: Protocols with one verb each, and nothing to inherit from.

A component is a class. Its constructor keywords are its configuration table and only store values; models and
files are opened on first use. Every component class has a `name`, by which it is asked for.
Vectors are float32 of shape (n, dim) with rows of unit length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from .types import Capabilities, Chunk, Filter, Hit, ModelEvent, Prompt, Query, Record, Scene, ToolResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .evaluation.samples import Sample

    Vectors = NDArray[np.float32]

Role = Literal["query", "passage"]
Need = Literal["text", "scene", "place"]


@runtime_checkable
class Source(Protocol):
    """Yields records. Optional attributes: `root` (images are relative to it; stored as given, so that a store
    can move with it), `role` ("reference" or "mine"), `problems` (a list of (where, why) for input that could
    not be read: a bad file costs itself only), `skipped` (a mapping of what was left out on purpose to how many),
    `gone` (ids it yielded once and does no more: they are removed), `open_image(uri) -> Scene | None` (opens an image
    of a record its own way; None leaves the record out, which `skipped` then counts),
    `vectors_for(space, encoder id) -> Mapping[str, Vector]` (vectors made beforehand, by content hash: these contents
    are not encoded), and `__len__` for progress."""

    name: ClassVar[str]

    def records(self) -> Iterator[Record]: ...


@runtime_checkable
class Captioner(Protocol):
    """Describes scenes. Returns exactly one caption per scene, in order; "" where it has nothing to say."""

    name: ClassVar[str]

    def caption(self, scenes: Sequence[Scene]) -> list[str]: ...


@runtime_checkable
class TextEncoder(Protocol):
    """Maps texts into a space. `id` names architecture and weights; a store remembers it."""

    name: ClassVar[str]

    @property
    def id(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    def count_tokens(self, text: str) -> int: ...
    def encode_texts(self, texts: Sequence[str], role: Role = "passage") -> Vectors: ...


@runtime_checkable
class Encoder(TextEncoder, Protocol):
    """Maps images and texts into one space. `text_to_text` tells whether its text side was trained to compare
    texts with each other; `prompts` are templates ("an aerial photo of {}.") averaged for a label.
    `max_gsd_m` bounds the ground sample distance of images it was trained on (None: unknown)."""

    text_to_text: bool
    prompts: tuple[str, ...]
    max_gsd_m: float | None

    def encode_scenes(self, scenes: Sequence[Scene]) -> Vectors: ...


class Knowledge(Protocol):
    """The part of the knowledge base that a lane may use. Every search honours `query.where` and
    `query.exclude` and returns hits best first, each carrying {lane: (rank, raw score)}."""

    def search_vectors(
        self, query: Query, space: Literal["images", "names", "texts"], by: Literal["scene", "text"], k: int, lane: str
    ) -> list[Hit]: ...
    def search_text(self, query: Query, k: int, lane: str) -> list[Hit]: ...
    def search_named(self, query: Query, k: int, lane: str) -> list[Hit]: ...
    def search_near(self, query: Query, k: int, lane: str) -> list[Hit]: ...
    def chunks_of(self, subjects: Sequence[str], where: Filter, kind: str = "text") -> list[Chunk]: ...


@runtime_checkable
class Retriever(Protocol):
    """One lane. `needs` lists what the query must have, else the lane is skipped. `votes` is True for a lane
    that is asked by the scene, whose hits speak for their whole subject. An attribute `score = "cosine"` tells that
    its raw scores are cosines that the fusion `weighted` may add up (image with image, text
    with text); `weight` (default 1) how much it counts in `rrf`."""

    name: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]]
    votes: ClassVar[bool]

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]: ...


@runtime_checkable
class Reranker(Protocol):
    """Reorders hits; may drop some, adds none."""

    name: ClassVar[str]

    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]: ...


@runtime_checkable
class Model(Protocol):
    """Answers a prompt, piece by piece. Closing the iterator cancels."""

    name: ClassVar[str]

    @property
    def capabilities(self) -> Capabilities: ...
    def generate(self, prompt: Prompt) -> Iterator[ModelEvent]: ...


@runtime_checkable
class GeoTool(Protocol):
    """A typed verb: `__call__`'s signature and docstring (arguments under "Args:") are its schema.

    Parameters of these names are filled in: `scene` (it runs once for each scene), `scenes` (once over all of them, in
    order), `kb` (a `Knowledge`), `pictures` (a `Path`: the folder it may write pictures to). All others are arguments.
    `applies` says from 0 to 1 how well it fits a query: from 0.4 on it is run by rule, and from 0.8 on the question
    asks for this very thing, so that its result leads the answer. Optional: `arguments(query)`, what the question
    itself implies for a run by rule, such as {"index": "NDWI"}, or a list of such for several runs; and `asks`, what a
    person must agree to before it runs: ("network",), ("write",)."""

    name: ClassVar[str]

    def applies(self, query: Query) -> float: ...
    def __call__(self, *args: Any, **arguments: Any) -> ToolResult: ...


@runtime_checkable
class Benchmark(Protocol):
    """Questions with their right answers, for `rsrag eval run`.

    `samples` yields them, the same ones in the same order every time; `split` is the part that is asked for, "" the
    benchmark's own choice. Their images are relative to the optional `root`. A sample's `meta` may hold "record", the
    id of the record that tells about its own image, and "parts", the parts of the texts that may be searched for it.
    Optional: `sources(split)`, what a knowledge base for these questions is filled with, in the forms that
    `KnowledgeBase.add` takes; `files`, the paths that questions and knowledge were read from."""

    name: ClassVar[str]

    def samples(self, split: str = "") -> Iterator[Sample]: ...


class Language(Protocol):
    """What a reader may ask of the knowledge base about words: how near texts are to a question, and how
    telling a word is."""

    def similarity(self, question: str, texts: Sequence[str]) -> list[float]:
        """Cosine of the question with each text, -1..1."""
        ...

    def idf(self, words: Sequence[str]) -> dict[str, float]:
        """Inverse document frequency of each word over the store's text chunks; unknown words get the most."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A model that reads by itself: the assistant hands it the store's `Language` before it generates."""

    def use_language(self, language: Language) -> None: ...
