"""The loop: look at the scene, retrieve, run tools, gather evidence, ask the model, check what it cites."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from . import evidence as gather
from . import turn
from .answering.ledger import Ledger
from .classification import KnownImages, Progress, classify_all, classify_one, distinct, no_progress
from .errors import ModelError, RsragError, UsageError
from .queries import make_filter, parse_box, parse_region
from .retrieval import fusion as make_fusion
from .retrieval import retrieve
from .scene import decoded, open_scene
from .tile_search import OVERLAP, TILE, TileSearch, cache_folder, search_tiles
from .toolbox import Confirm, Toolbox
from .types import (
    Answer,
    BBox,
    Circle,
    Classification,
    Classifications,
    Done,
    Event,
    Evidence,
    Hit,
    Interval,
    PathLike,
    Query,
    Retrieval,
    Scene,
    Season,
    ToolResult,
    Turn,
    lettered,
)

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from .chat import Conversation
    from .store.knowledge_base import KnowledgeBase

Images = PathLike | Scene | Sequence[PathLike | Scene] | None


class Assistant:
    """Answers questions about imagery from a knowledge base.

    `model` is "extractive" (no weights), "langchain:provider:name", an instance, or a LangChain chat model;
    `fusion` "rrf" or "weighted" (with `alpha`); `k` how many passages become evidence; `tools=False` runs none.
    A model that can call tools may do so `tool_calls` times and for `tool_seconds` in a turn; `confirm` is asked
    before a tool that writes files or reaches the network, which never runs without it.
    `captioner` says in its own words what an image shows, where a caption is asked for.
    `remote_scenes` allows images on servers, http(s):// and s3://.
    `component_options` are the constructor keywords of lanes, rerankers, captioners and tools, such as
    {"tool": {"locate": {...}}}.
    Safe to use from several threads.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        model: Any = "extractive",
        *,
        fusion: str = "rrf",
        alpha: float = 0.7,
        k: int = 8,
        reranker: Any = "",
        captioner: Any = "",
        tools: bool = True,
        tool_calls: int = 8,
        tool_seconds: float = 120.0,
        confirm: Confirm | None = None,
        remote_scenes: bool = False,
        model_options: Mapping[str, Any] | None = None,
        component_options: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    ) -> None:
        self.kb = kb
        self.plugins = kb.plugins
        self.options = component_options or {}
        self.model = self._make_model(model, model_options or {})
        self.fuse = make_fusion(fusion, alpha)
        self.k = k
        self.reranker = self._resolved("reranker", reranker)
        self.captioner = self._resolved("captioner", captioner)
        self.tools = tools
        self.tool_calls = tool_calls
        self.tool_seconds = tool_seconds
        self.confirm = confirm
        self.remote_scenes = remote_scenes
        self._pictures: Path | None = None

    def _resolved(self, kind: str, value: Any) -> Any:
        return self.plugins.resolve(kind, value, **self._table(kind, value)) if value else None

    def _make_model(self, model: Any, options: Mapping[str, Any]) -> Any:
        is_chat_model = not isinstance(model, str) and hasattr(model, "_generate") and hasattr(model, "invoke")
        if is_chat_model or self._is_provider(model):
            made = self.plugins.create("model", "langchain", model=model, **options)
        else:
            made = self.plugins.resolve("model", model, **options)
        if hasattr(made, "use_language"):
            made.use_language(self.kb)
        return made

    def _is_provider(self, model: Any) -> bool:
        """Whether "ollama:qwen3-vl" means LangChain's provider of that name."""
        return isinstance(model, str) and ":" in model and model.partition(":")[0] not in self.plugins.offers("model")

    # -- the front doors --------------------------------------------------------------------------

    def ask(self, text: str, image: Images = None, **options: Any) -> Answer:
        """Answer a question, about images where given. Options are those of `query`."""
        return _last(self.stream(text, image, **options))

    def stream(self, text: str, image: Images = None, **options: Any) -> Iterator[Event]:
        """Like `ask`, as events: Retrieved, ToolStarted, ToolDone, Text ..., Done(answer). Closing it cancels."""
        return self.run(self.query(text, image, **options))

    def caption(self, image: PathLike | Scene, **options: Any) -> Answer:
        """Describe an image in a sentence or two, with what the description rests on. Options are those of `query`."""
        return _last(self.run(self.query("", image, task="caption", **options)))

    def search(self, text: str = "", image: Images = None, **options: Any) -> list[Hit]:
        """Chunks that match a text, look like an image, or lie near a place; best first. See `query`."""
        return list(self.search_all(self.query(text, image, task="search", **options)).hits)

    @overload
    def classify(
        self,
        image: PathLike | Scene,
        labels: Sequence[str],
        *,
        knowledge: bool = ...,
        exclude: Sequence[str] = ...,
        bands: str | Sequence[str] = ...,
        sensor: str = ...,
    ) -> Classification: ...
    @overload
    def classify(
        self,
        image: list[Any] | tuple[Any, ...],
        labels: Sequence[str],
        *,
        plain: bool = ...,
        progress: Progress = ...,
        knowledge: bool = ...,
        exclude: Sequence[str] = ...,
        bands: str | Sequence[str] = ...,
        sensor: str = ...,
    ) -> Classifications: ...
    def classify(
        self,
        image: Any,
        labels: Sequence[str],
        *,
        plain: bool = False,
        progress: Progress = no_progress,
        knowledge: bool = False,
        exclude: Sequence[str] = (),
        bands: str | Sequence[str] = (),
        sensor: str = "",
    ) -> Classification | Classifications:
        """How well each label fits an image, by the encoder's prompts; or each of a list of images and folders.

        A list is classified as a whole: its own structure sharpens what the prompts say, unless `plain`; see
        `rsrag.classification`. `progress` is called with (images done, images in all, what is being done). With
        `knowledge` the images of the knowledge base that show one of the labels, without the records in `exclude`,
        decide among the labels that they show; see `rsrag.references`.
        `bands` and `sensor` as in `query`.
        Raises `RsragError` for fewer than two labels, and when no image of a list can be read.
        """

        def opened(item: PathLike | Scene) -> Scene:
            return self._scene(item, bands, sensor)

        known = KnownImages(self.kb).showing(distinct(labels)).without(exclude) if knowledge else None
        if _is_many(image):
            return classify_all(
                self.kb.encoder, image, labels, opened, plain=plain, references=known, progress=progress
            )
        return classify_one(self.kb.encoder, opened(image), labels, known)

    def search_tiles(
        self,
        scene: PathLike | Scene,
        text: str = "",
        image: PathLike | Scene | None = None,
        *,
        tile: int = TILE,
        overlap: int = OVERLAP,
        k: int = 10,
        bands: str | Sequence[str] = (),
        sensor: str = "",
        progress: Progress = no_progress,
    ) -> TileSearch:
        """Find the places in a large scene that fit a text or look like an image; the store is only asked what chance
        would score. The scene is cut into tiles of `tile` pixels; see `rsrag.tile_search`.

        `bands` and `sensor` are those of the scene, as in `query`. Raises `UsageError` and `SceneError`.
        """
        return search_tiles(
            self.kb.encoder,
            self._scene(scene, bands, sensor),
            text,
            None if image is None else self._scene(image),
            tile=tile,
            overlap=overlap,
            k=k,
            nulls=lambda by: self.kb.spaces.null("images", by) if "images" in self.kb.spaces else None,
            cache=cache_folder(),
            progress=progress,
        )

    def chat(self, **settings: Any) -> Conversation:
        """A conversation: scenes, evidence numbers and earlier turns are remembered. `settings` are options of `query`
        for all its turns."""
        from .chat import Conversation

        return Conversation(self, **settings)

    # -- building blocks, used by chat and the command line -----------------------------------------

    def query(
        self,
        text: str = "",
        image: Images = None,
        *,
        task: str = "ask",
        bands: str | Sequence[str] = (),
        sensor: str = "",
        region: str | tuple[int, int, int, int] | None = None,
        near: str | BBox | None = None,
        within: str | BBox | Mapping[str, Any] | None = None,
        around: str | Circle | Sequence[float] | None = None,
        when: str | Interval | None = None,
        season: str | Season | Sequence[int] | None = None,
        max_gsd: float | None = None,
        max_cloud: float | None = None,
        from_sensor: str | Sequence[str] = (),
        facets: Sequence[str] | Mapping[str, Any] = (),
        sources: Sequence[str] = (),
        kind: str = "",
        exclude: Sequence[str] = (),
        k: int | None = None,
    ) -> Query:
        """A Query from what people write.

        `bands` (names or roles in file order) or `sensor` (a profile) say what the bands of the images are.
        `region` x,y,w,h of the (first) image; `near` W,S,E,N ranks; `within` (box, GeoJSON or its file), `around`
        ("LON,LAT,KM"), `when` ("2019/2021-06"), `season` ("summer", "JJA", "06-08"), `max_gsd` (metres), `max_cloud`
        (percent), `from_sensor`, `facets` ("key=value", "key<5") and `sources` exclude.
        Raises `UsageError` and `SceneError`.
        """
        if k is not None and k < 1:
            raise UsageError(f"k is {k}; at least one passage is needed.")
        if region and image is None:
            raise UsageError("a region needs an image to be a part of.", "Give the image too.")
        if not isinstance(text, str):
            raise UsageError(f"a question is text, not {type(text).__name__}.")
        scenes = [self._scene(item, bands, sensor) for item in as_list(image)]
        if region and scenes:
            scenes[0] = scenes[0].window(*(parse_region(region) if isinstance(region, str) else region))
        # Decoded once for all that look at it: the encoder, the vote, the model.
        scenes = [decoded(scene) for scene in scenes]
        where = make_filter(
            within=within,
            around=around,
            when=when,
            season=season,
            max_gsd=max_gsd,
            max_cloud=max_cloud,
            from_sensor=from_sensor,
            facets=facets,
            sources=sources,
            kind=kind,
            known=self.kb.catalog,
        )
        exclude = (exclude,) if isinstance(exclude, str) else exclude
        place = parse_box(near) if near else None
        return Query(text.strip(), tuple(scenes), task, (), place, where, tuple(exclude), k or self.k)  # type: ignore[arg-type]

    def _scene(self, image: PathLike | Scene, bands: str | Sequence[str] = (), sensor: str = "") -> Scene:
        if isinstance(image, Scene):
            if bands or sensor:
                raise UsageError("bands and sensor are said when a scene is opened.", "Give them to open_scene.")
            return image
        if not isinstance(image, str | os.PathLike):
            raise UsageError(
                f"an image is given as a path or a Scene, not as {type(image).__name__}.",
                "For pixels in memory: rsrag.ArrayReader(array).scene().",
            )
        return open_scene(image, self.plugins, bands=bands, sensor=sensor, remote=self.remote_scenes)

    def lanes(self) -> list[Any]:
        """The retrieval lanes, as offered; one that cannot be made is reported and left out."""
        return self._made("retriever")

    def _made(self, kind: str) -> list[Any]:
        made = []
        for name in self.plugins.offers(kind):
            try:
                made.append(self.plugins.create(kind, name, **self._table(kind, name)))
            except RsragError as error:
                self.plugins.report(self.plugins.giver(kind, name), error.message)
        return made

    def _table(self, kind: str, name: Any) -> Mapping[str, Any]:
        return self.options.get(kind, {}).get(name.partition(":")[0], {}) if isinstance(name, str) else {}

    def search_all(self, query: Query) -> Retrieval:
        """What the lanes find, without the join: a search shows what was asked for and not what belongs to it.

        Images and passages take turns: their fused scores come from different lanes and do not compare.
        """
        lanes = [lane for lane in self.lanes() if lane.name != "image-name"]
        depth = max(50, query.k)
        found = retrieve(query, self.kb, lanes, self.fuse, reranker=self.reranker, depth=depth, join=False)
        hits = gather.alternated([hit for hit in found.hits if hit.chunk.part != "label"])
        return Retrieval(tuple(hits[: query.k]), found.lanes, found.subjects, found.warnings)

    def run(
        self,
        query: Query,
        ledger: Ledger | None = None,
        history: Sequence[Turn] = (),
        earlier: Sequence[Evidence] = (),
        again: Sequence[Evidence] = (),
    ) -> Iterator[Event]:
        """The loop itself; see `rsrag.turn`. `earlier` is evidence of turns before, citable under its number; `again`
        such that is shown again."""
        return turn.run(self._means(), query, ledger, history, earlier, again)

    def run_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | Sequence[str] = (),
        image: Images = None,
        *,
        letters: Sequence[str] = (),
        pictures: Path | None = None,
    ) -> tuple[ToolResult, Evidence]:
        """Run one geo tool: its result, and the same as evidence that is not yet numbered.

        `arguments` by name, or "name=value" texts. Pictures go to `pictures`, by default `self.pictures`. Raises
        `UsageError` for what does not fit, and what the tool raises.
        """
        toolbox = self.toolbox(pictures)
        tool = toolbox.get(name)
        scenes = lettered([self._scene(item) for item in as_list(image)], letters)
        texts = not isinstance(arguments, Mapping)
        wanted = toolbox.called(name, tool.from_text(arguments) if texts else arguments, scenes)  # type: ignore[arg-type]
        result = toolbox.run(wanted)
        return result, gather.from_tool(name, wanted.scenes, result, wanted.arguments, wanted.fit)

    def toolbox(self, pictures: Path | None = None) -> Toolbox:
        """The geo tools on offer; one that cannot be made is reported and left out."""
        return Toolbox(self._made("tool"), self.kb, pictures or self.pictures, self.confirm)

    def as_langchain_tools(self) -> list[BaseTool]:
        """The geo tools as LangChain tools, which take an image by its path; see `rsrag.langchain`."""
        from .langchain import geo_tools

        return geo_tools(self)

    @property
    def pictures(self) -> Path:
        """Where tools write pictures; a folder of the user's cache unless set."""
        if self._pictures is None:
            import platformdirs

            self._pictures = Path(platformdirs.user_cache_dir("rsrag")) / "pictures"
        return self._pictures

    @pictures.setter
    def pictures(self, folder: Path | None) -> None:
        self._pictures = folder

    def _means(self) -> turn.Means:
        return turn.Means(
            self.kb,
            self.model,
            self.lanes,
            self.fuse,
            self.toolbox,
            self.reranker,
            self.captioner,
            self.tools,
            self.tool_calls,
            self.tool_seconds,
            self.plugins.notify_answered,
        )


def as_list(image: Images) -> list[PathLike | Scene]:
    """None, one image or several, as a list."""
    return [] if image is None else list(image) if _is_many(image) else [image]  # type: ignore[arg-type, list-item]


def _is_many(image: Any) -> bool:
    return isinstance(image, Sequence) and not isinstance(image, str)


def _last(events: Iterator[Event]) -> Answer:
    for event in events:
        if isinstance(event, Done):
            return event.answer
    raise ModelError("the answer was cancelled.")
