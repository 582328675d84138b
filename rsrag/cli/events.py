"""`ask --stream`: what happens while an answer comes about, one JSON object a line or as plain text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..types import Answer, Done, Event, Retrieved, Text, ToolDone, ToolStarted
from .control import harmless
from .render import answer_json

if TYPE_CHECKING:
    from ..store.knowledge_base import KnowledgeBase
    from .session import Session


def as_lines(events: Iterator[Event], kb: KnowledgeBase) -> None:
    """Each event as one line of JSON on stdout, as it happens; the last is "done" with the whole answer."""
    for event in events:
        line = json.dumps(event_json(event, kb), ensure_ascii=False)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def as_text(events: Iterator[Event], session: Session) -> Answer:
    """The answer's words on stdout as they come; tools are named on stderr."""
    ended = True
    for event in events:
        if isinstance(event, ToolStarted):
            session.note(f"{event.name} {event.scene} ...")
        elif isinstance(event, Text):
            piece = harmless(event.text)
            sys.stdout.write(piece)
            sys.stdout.flush()
            ended = piece.endswith("\n")
        elif isinstance(event, Done):
            sys.stdout.write("" if ended else "\n")
            return event.answer
    raise ModelError("the answer was cancelled.")


def event_json(event: Event, kb: KnowledgeBase) -> dict[str, Any]:
    """The documented shape of one line of `ask --json --stream`."""
    if isinstance(event, Retrieved):
        lanes = [{"name": lane.name, "status": lane.status, "hits": lane.hits} for lane in event.retrieval.lanes]
        return {"event": "retrieved", "evidence": [item.number for item in event.evidence], "lanes": lanes}
    if isinstance(event, ToolStarted):
        arguments: Mapping[str, Any] = event.arguments
        return {"event": "tool_started", "tool": event.name, "scene": event.scene, "arguments": dict(arguments)}
    if isinstance(event, ToolDone):
        return {"event": "tool_done", "tool": event.name, "evidence": event.number, "error": event.error or None}
    if isinstance(event, Text):
        return {"event": "text", "text": event.text}
    return {"event": "done", "answer": answer_json(event.answer, kb)}
