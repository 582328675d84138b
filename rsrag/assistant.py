"""The loop: look at the scene, retrieve, run tools, gather evidence, ask the model, check what it cites."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from . import evidence as gather
from .answering.citations import check
from .answering.ledger import Ledger
from .classification import Progress, classify_all, classify_one, no_progress
from .errors import ModelError, RsragError, UsageError
from .queries import make_filter, parse_box, parse_region
from .retrieval import fusion as make_fusion
from .retrieval import retrieve, vote_scenes
from .scene import decoded, open_scene
from .types import (
    Answer,
    BBox,
    Classification,
    Classifications,
    Done,
    Event,
    Evidence,
    Hit,
    Interval,
    PathLike,
    Prompt,
    Query,
    Retrieval,
    Retrieved,
    Scene,
    SceneVote,
    Text,
    ToolDone,
    ToolResult,
    ToolStarted,
    Turn,
    Verdict,
)

if TYPE_CHECKING:
    from .chat import Conversation
    from .store.knowledge_base import KnowledgeBase

RUN_TOOLS_FROM = 0.4
"""A tool that says it applies at least this well is run."""

Images = PathLike | Scene | Sequence[PathLike | Scene] | None


class Assistant:
    """Answers questions about imagery from a knowledge base.

    `model` is "extractive" (no weights), "langchain:provider:name", an instance, or a LangChain chat model;
    `fusion` "rrf" or "weighted" (with `alpha`); `k` how many passages become evidence; `tools=False` runs none.
    `captioner` says in its own words what an image shows, where a caption is asked for.
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

    def caption(self, image: PathLike | Scene) -> Answer:
        """Describe an image in a sentence or two, with what the description rests on."""
        return _last(self.run(self.query("", image, task="caption")))

    def search(self, text: str = "", image: Images = None, **options: Any) -> list[Hit]:
        """Chunks that match a text, look like an image, or lie near a place; best first. See `query`."""
        return list(self.search_all(self.query(text, image, task="search", **options)).hits)

    @overload
    def classify(self, image: PathLike | Scene, labels: Sequence[str]) -> Classification: ...
    @overload
    def classify(
        self, image: list[Any] | tuple[Any, ...], labels: Sequence[str], *, plain: bool = ..., progress: Progress = ...
    ) -> Classifications: ...
    def classify(
        self, image: Any, labels: Sequence[str], *, plain: bool = False, progress: Progress = no_progress
    ) -> Classification | Classifications:
        """How well each label fits an image, by the encoder's prompts; or each of a list of images and folders.

        A list is classified as a whole: its own structure sharpens what the prompts say, unless `plain`; see
        `rsrag.classification`. `progress` is called with (images done, images in all, what is being done).
        Raises `RsragError` for fewer than two labels, and when no image of a list can be read.
        """
        if _is_many(image):
            return classify_all(self.kb.encoder, image, labels, self._scene, plain=plain, progress=progress)
        return classify_one(self.kb.encoder, self._scene(image), labels)

    def chat(self) -> Conversation:
        """A conversation: scenes, evidence numbers and earlier turns are remembered."""
        from .chat import Conversation

        return Conversation(self)

    # -- building blocks, used by chat and the command line -----------------------------------------

    def query(
        self,
        text: str = "",
        image: Images = None,
        *,
        task: str = "ask",
        region: str | tuple[int, int, int, int] | None = None,
        near: str | BBox | None = None,
        within: str | BBox | Mapping[str, Any] | None = None,
        when: str | Interval | None = None,
        facets: Sequence[str] | Mapping[str, Any] = (),
        sources: Sequence[str] = (),
        kind: str = "",
        exclude: Sequence[str] = (),
        k: int | None = None,
    ) -> Query:
        """A Query from what people write.

        `region` x,y,w,h of the (first) image; `near` W,S,E,N ranks; `within` (box, GeoJSON or its file), `when`
        ("2019/2021-06"), `facets` and `sources` exclude. Raises `UsageError` and `SceneError`.
        """
        if k is not None and k < 1:
            raise UsageError(f"k is {k}; at least one passage is needed.")
        if region and image is None:
            raise UsageError("a region needs an image to be a part of.", "Give the image too.")
        if not isinstance(text, str):
            raise UsageError(f"a question is text, not {type(text).__name__}.")
        given: Sequence[Any] = [] if image is None else image if _is_many(image) else [image]  # type: ignore[assignment]
        scenes = [self._scene(item) for item in given]
        if region and scenes:
            scenes[0] = scenes[0].window(*(parse_region(region) if isinstance(region, str) else region))
        # Decoded once for all that look at it: the encoder, the vote, the model.
        scenes = [decoded(scene) for scene in scenes]
        where = make_filter(
            within=within,
            when=when,
            facets=(facets,) if isinstance(facets, str) else facets,
            sources=(sources,) if isinstance(sources, str) else sources,
            kind=kind,
            known_facets=self.kb.catalog.facet_keys() if facets else None,
            known_sources=[s.name for s in self.kb.sources()] if sources else None,
        )
        exclude = (exclude,) if isinstance(exclude, str) else exclude
        place = parse_box(near) if near else None
        return Query(text.strip(), tuple(scenes), task, (), place, where, tuple(exclude), k or self.k)  # type: ignore[arg-type]

    def _scene(self, image: PathLike | Scene) -> Scene:
        if isinstance(image, Scene):
            return image
        if not isinstance(image, str | os.PathLike):
            raise UsageError(
                f"an image is given as a path or a Scene, not as {type(image).__name__}.",
                "For pixels in memory: rsrag.ArrayReader(array).scene().",
            )
        return open_scene(image, self.plugins)

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

    def run(self, query: Query, ledger: Ledger | None = None, history: Sequence[Turn] = ()) -> Iterator[Event]:
        """The loop itself."""
        ledger = ledger if ledger is not None else Ledger()
        clock = _Clock()
        votes = vote_scenes(query, self.kb)
        clock.stop("look")
        found = retrieve(
            query, self.kb, self.lanes(), self.fuse, votes=votes, reranker=self.reranker, depth=max(50, query.k)
        )
        chosen = gather.from_hits(found.hits, query.k, votes, self.kb.image_path)
        clock.stop("retrieve")
        warnings = [f"retrieval lane {r.name} failed: {r.detail}" for r in found.lanes if r.status == "failed"]
        warnings += found.warnings
        if query.where:
            kept, total = self.kb.count_kept(query.where)
            warnings.append(f"the filters left {kept:,} of {total:,} passages and images to search")
        shown = ledger.add_all(chosen)
        yield Retrieved(found, shown)
        results: list[Evidence] = []
        for name, letter, scene, tool in self._applicable(query, warnings):
            yield ToolStarted(name, letter)
            try:
                result = tool(scene)
                if not isinstance(result, ToolResult):
                    raise TypeError(f"it returned {type(result).__name__} instead of a ToolResult")
            except Exception as error:  # the answer goes on and says which tool failed
                detail = _told(error)
                warnings.append(f"tool {name} failed: {detail}")
                yield ToolDone(name, None, detail)
                continue
            results.append(gather.from_tool(name, scene.uri, result))
            yield ToolDone(name, result)
        clock.stop("tools")
        results += self._captions(query, warnings)
        shown = (*shown, *ledger.add_all(results))
        prompt = Prompt(query.task, query.text, query.scenes, shown, tuple(history), query.labels, tuple(votes))
        pieces: list[str] = []
        verdict: Verdict | None = None
        answers = self.model.generate(prompt)
        try:
            for event in answers:
                if isinstance(event, Text):
                    pieces.append(event.text)
                    yield event
                elif isinstance(event, Verdict):
                    verdict = event
        finally:
            if hasattr(answers, "close"):
                answers.close()
        clock.stop("answer")
        answer = self._answer("".join(pieces).strip(), verdict, prompt, found, votes, warnings, clock)
        self.plugins.notify_answered(query, answer)
        yield Done(answer)

    def _captions(self, query: Query, warnings: list[str]) -> list[Evidence]:
        """What the captioner sees in the image that is to be described."""
        if self.captioner is None or query.task != "caption":
            return []
        scenes = query.scenes[:1]
        try:
            texts = self.captioner.caption(scenes)
        except Exception as error:  # it costs itself
            warnings.append(f"captioner {self.captioner.name} failed: {_told(error)}")
            return []
        name = self.captioner.name
        return [gather.from_captioner(name, s.uri, t) for s, t in zip(scenes, texts, strict=True) if t.strip()]

    def _applicable(self, query: Query, warnings: list[str]) -> list[tuple[str, str, Scene, Any]]:
        """(tool name, scene letter, scene, tool) to run, the best fitting first."""
        if not self.tools or query.task not in ("ask", "caption"):
            return []
        wanted = []
        for tool in self._made("tool"):
            try:
                fit = float(tool.applies(query))
            except Exception as error:  # it costs itself
                warnings.append(f"tool {tool.name} failed: {_told(error)}")
                continue
            if fit >= RUN_TOOLS_FROM:
                wanted += [(fit, tool.name, "ABCDEFGHIJ"[i], scene, tool) for i, scene in enumerate(query.scenes[:10])]
        wanted.sort(key=lambda item: (-item[0], item[1], item[2]))
        return [item[1:] for item in wanted]

    def _answer(
        self,
        text: str,
        verdict: Verdict | None,
        prompt: Prompt,
        found: Retrieval,
        votes: Sequence[SceneVote],
        warnings: list[str],
        clock: _Clock,
    ) -> Answer:
        if not text:
            raise ModelError(f"model '{self.model.name}' returned no text.", "Ask again, or use another with --model.")
        cited = check(text, prompt.evidence, prompt.scenes)
        if cited.invalid:
            numbers = ", ".join(f"[{n}]" for n in cited.invalid)
            warnings.append(f"the answer cites {numbers}, which does not exist; do not trust that sentence")
        status = verdict.status if verdict else "answered"
        trace = {
            "lanes": [(r.name, r.status, r.hits, round(r.seconds, 4), r.detail) for r in found.lanes],
            "hits": [(h.chunk.id, h.chunk.title, h.score, dict(h.lanes), h.z) for h in found.hits[:20]],
            "subjects": list(found.subjects),
            "votes": [(v.scene, v.label, v.subjects, v.z, v.reason) for v in votes],
            "model": dict(verdict.trace) if verdict else {},
        }
        return Answer(
            text,
            status,
            prompt.evidence,
            cited.cited,
            cited.invalid,
            cited.grounded and status != "declined",
            tuple(warnings),
            self.model.name,
            clock.seconds,
            trace,
        )


class _Clock:
    """Seconds per stage, each from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


def _told(error: Exception) -> str:
    return error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"


def _is_many(image: Any) -> bool:
    return isinstance(image, Sequence) and not isinstance(image, str)


def _last(events: Iterator[Event]) -> Answer:
    for event in events:
        if isinstance(event, Done):
            return event.answer
    raise ModelError("the answer was cancelled.")
