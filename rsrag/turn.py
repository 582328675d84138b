"""One turn of the loop: look at the scenes, retrieve, run tools, ask the model, check what it cites."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import evidence as gather
from .answering.citations import check
from .answering.ledger import Ledger
from .errors import ModelError, RsragError
from .lookup import read_as
from .retrieval import Fuse, retrieve, vote_scenes
from .toolbox import ASKED_FOR, Run, Toolbox
from .types import (
    Answer,
    Capabilities,
    Done,
    Event,
    Evidence,
    Notice,
    Prompt,
    Query,
    Retrieval,
    Retrieved,
    SceneVote,
    Text,
    ToolCall,
    ToolDone,
    ToolStarted,
    ToolStep,
    Turn,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase

DEPTH = 50  # hits of each lane that fusion sees


@dataclass(frozen=True, slots=True)
class Means:
    """What a turn works with. `tool_calls` and `tool_seconds` bound what a model may call; `observe` is told of the
    answer."""

    kb: KnowledgeBase
    model: Any
    lanes: Callable[[], Sequence[Any]]
    fuse: Fuse
    toolbox: Callable[[], Toolbox]
    reranker: Any = None
    captioner: Any = None
    run_tools: bool = True
    tool_calls: int = 8
    tool_seconds: float = 120.0
    observe: Callable[[Query, Answer], None] = lambda query, answer: None


@dataclass(slots=True)
class _Course:
    """What has come together so far."""

    query: Query
    ledger: Ledger
    evidence: dict[int, Evidence] = field(default_factory=dict)
    steps: list[ToolStep] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tools: list[tuple[Any, ...]] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    usage: Usage | None = None

    def show(self, items: Sequence[Evidence]) -> tuple[Evidence, ...]:
        numbered = self.ledger.add_all(items)
        self.evidence |= {item.number: item for item in numbered}
        return numbered


def run(
    means: Means,
    query: Query,
    ledger: Ledger | None = None,
    history: Sequence[Turn] = (),
    earlier: Sequence[Evidence] = (),
    again: Sequence[Evidence] = (),
) -> Iterator[Event]:
    """The turn as events. `earlier` is evidence of turns before, which may be cited again under its number; `again` is
    such evidence that the question speaks of, and that is shown again.

    Raises what the model raises; a lane or a tool that fails is named in the answer's warnings.
    """
    course = _Course(query, ledger if ledger is not None else Ledger())
    if query.task == "ask" and query.text.strip():
        text, changed = read_as(query.text, means.kb)
        query = course.query = query.with_(text=text)
        course.warnings += [f"read '{written}' as '{meant}'" for written, meant in changed]
    clock = _Clock()
    votes = vote_scenes(query, means.kb)
    clock.stop("look")
    found = retrieve(
        query, means.kb, means.lanes(), means.fuse, votes=votes, reranker=means.reranker, depth=max(DEPTH, query.k)
    )
    chosen = gather.from_hits(found.hits, query.k, votes, means.kb.image_path)
    course.warnings += [f"retrieval lane {r.name} failed: {r.detail}" for r in found.lanes if r.status == "failed"]
    course.warnings += found.warnings
    if query.where:
        course.warnings += [*query.where.notes, means.kb.explain(query.where)]
    clock.stop("retrieve")
    yield Retrieved(found, course.show([*again, *chosen]))
    toolbox = means.toolbox() if means.run_tools and query.task in ("ask", "caption") else None
    if toolbox:
        for wanted in toolbox.by_rule(query, lambda name, e: course.warnings.append(f"tool {name} failed: {told(e)}")):
            if not wanted.tool.asks:
                yield from _tool(toolbox, wanted, course)
    course.show(_captions(means.captioner, course))
    clock.stop("tools")
    prompt = Prompt(
        query.task, query.text, query.scenes, (), tuple(history), query.labels, tuple(votes), tuple(query.letters)
    )
    yield from _answered(means, prompt, course, toolbox)
    clock.stop("answer")
    answer = _answer(means.model, prompt, course, found, votes, clock, earlier)
    means.observe(query, answer)
    yield Done(answer)


# -- tools ----------------------------------------------------------------------------------------


def _tool(toolbox: Toolbox, wanted: Run, course: _Course, call: ToolCall | None = None) -> Iterator[Event]:
    """Run a tool and number its result. A failure is a warning, or what the model that called it is told."""
    name, letters, started = wanted.tool.name, ", ".join(wanted.letters), time.perf_counter()
    yield ToolStarted(name, letters, wanted.arguments)
    error, number, result = "", None, None
    try:
        result = toolbox.run(wanted)
        (shown,) = course.show([gather.from_tool(name, wanted.scenes, result, wanted.arguments, wanted.fit)])
        number = shown.number
    except Exception as failure:  # the answer goes on and says which tool failed
        error = told(failure)
        if call is None:
            course.warnings.append(f"tool {name} failed: {error}")
        if call is None and wanted.fit >= ASKED_FOR and isinstance(failure, RsragError):
            reason = f"{failure.message} {failure.hint or ''}".strip()
            course.show([gather.from_failure(name, wanted.scenes, reason, wanted.arguments, wanted.fit)])
    seconds = round(time.perf_counter() - started, 4)
    course.tools.append((name, letters, dict(wanted.arguments), number, error, seconds))
    if call is not None:
        course.steps.append(ToolStep(call, (number,) if number is not None else (), error))
    yield ToolDone(name, result, error, number)


def _called(toolbox: Toolbox, call: ToolCall, course: _Course) -> Iterator[Event]:
    """A model's call: refused with a reason it can act on when it is wrong, or was made before."""
    try:
        wanted = toolbox.called(call.name, call.arguments, course.query.lettered)
    except RsragError as error:
        course.steps.append(ToolStep(call, (), f"{error.message} {error.hint or ''}".strip()))
        course.tools.append((call.name, "", dict(call.arguments), None, error.message, 0.0))
        return
    key = gather.key_of(wanted.tool.name, wanted.scenes, wanted.arguments)
    known = next((item.number for item in course.evidence.values() if item.key == key), None)
    if known is not None:
        again = any(known in step.evidence for step in course.steps)
        course.steps.append(ToolStep(call, (known,), "You have this result already." if again else ""))
        return
    yield from _tool(toolbox, wanted, course, call)


# -- the model ------------------------------------------------------------------------------------


def _answered(means: Means, prompt: Prompt, course: _Course, toolbox: Toolbox | None) -> Iterator[Event]:
    """Ask the model, run what it calls, ask again with the results, until it has answered or the bounds are reached."""
    able = toolbox is not None and (getattr(means.model, "capabilities", None) or Capabilities()).tools
    specs = toolbox.specs([letter for letter, _ in course.query.lettered]) if toolbox and able else ()
    end = time.monotonic() + means.tool_seconds
    while True:
        open_ = bool(specs) and len(course.steps) < means.tool_calls and time.monotonic() < end
        asked = replace(
            prompt,
            evidence=tuple(course.evidence[n] for n in sorted(course.evidence)),
            tools=specs if open_ else (),
            steps=tuple(course.steps),
        )
        calls: list[ToolCall] = []
        events = means.model.generate(asked)
        parted = not course.pieces
        try:
            for event in events:
                if isinstance(event, Text):
                    if not parted and event.text.strip():  # what it said before the tools stands on its own
                        parted = True
                        event = Text("\n\n" + event.text.lstrip())
                    course.pieces.append(event.text)
                    yield event
                elif isinstance(event, ToolCall):
                    calls.append(event)
                elif isinstance(event, Usage):
                    course.usage = _sum(course.usage, event)
                elif isinstance(event, Notice):
                    if event.text not in course.warnings:  # every round may say it again
                        course.warnings.append(event.text)
                elif isinstance(event, Verdict):
                    course.verdict = event
        finally:
            if hasattr(events, "close"):
                events.close()
        if not calls or toolbox is None:
            return
        if not open_:
            course.warnings.append(
                f"the model asked for tools again after {len(course.steps)} calls; it was not given more"
            )
            return
        for call in calls[: max(1, means.tool_calls - len(course.steps))]:
            yield from _called(toolbox, call, course)


def _sum(before: Usage | None, more: Usage) -> Usage:
    if before is None:
        return more
    return Usage(before.input_tokens + more.input_tokens, before.output_tokens + more.output_tokens)


def _captions(captioner: Any, course: _Course) -> list[Evidence]:
    """What the captioner sees in the image that is to be described."""
    if captioner is None or course.query.task != "caption":
        return []
    scenes = course.query.scenes[:1]
    try:
        texts = captioner.caption(scenes)
    except Exception as error:  # it costs itself
        course.warnings.append(f"captioner {captioner.name} failed: {told(error)}")
        return []
    return [gather.from_captioner(captioner.name, s.uri, t) for s, t in zip(scenes, texts, strict=True) if t.strip()]


# -- the answer -----------------------------------------------------------------------------------


def _answer(
    model: Any,
    prompt: Prompt,
    course: _Course,
    found: Retrieval,
    votes: Sequence[SceneVote],
    clock: _Clock,
    earlier: Sequence[Evidence],
) -> Answer:
    text = "".join(course.pieces).strip()
    if not text:
        raise ModelError(f"model '{model.name}' returned no text.", "Ask again, or use another with --model.")
    shown = tuple(course.evidence[n] for n in sorted(course.evidence))
    before = [item for item in earlier if item.number not in course.evidence]
    cited = check(text, (*shown, *before), [letter for letter, _ in prompt.lettered])
    if cited.invalid:
        numbers = ", ".join(f"[{n}]" for n in cited.invalid)
        course.warnings.append(f"the answer cites {numbers}, which does not exist; do not trust that sentence")
    status = course.verdict.status if course.verdict else "answered"
    trace = {
        "lanes": [(r.name, r.status, r.hits, round(r.seconds, 4), r.detail) for r in found.lanes],
        "hits": [(h.chunk.id, h.chunk.title, h.score, dict(h.lanes), h.z) for h in found.hits[:20]],
        "subjects": list(found.subjects),
        "votes": [(v.scene, v.label, v.subjects, v.z, v.reason) for v in votes],
        "tools": course.tools,
        "model": dict(course.verdict.trace) if course.verdict else {},
    }
    return Answer(
        text,
        status,
        shown,
        cited.cited,
        cited.invalid,
        cited.grounded and status != "declined",
        tuple(course.warnings),
        model.name,
        clock.seconds,
        trace,
        course.usage,
        course.verdict.confidence if course.verdict else None,
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


def told(error: Exception) -> str:
    """What went wrong, in one line."""
    return error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"
