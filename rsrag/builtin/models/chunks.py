"""What the chunks of a LangChain chat model say: text, tool calls, what it cost, why it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rsrag import Notice, ToolCall, Usage
from rsrag.answering.calls import BadCall, arguments_of

from .replying import Piece


def ending(chunk: Any) -> str:
    """Why the answer ended, where this chunk says so."""
    said: Mapping[str, Any] = chunk.response_metadata or {}
    return str(said.get("finish_reason") or said.get("done_reason") or said.get("stop_reason") or "")


def rest(kept: Any) -> Iterator[Piece]:
    """Tool calls, what the answer cost, and whether it was cut, from the sum of the chunks that told of them.

    A call's arguments are read strictly: LangChain mends JSON that was cut off, and half an argument is a wrong one.
    """
    for call in kept.tool_call_chunks:
        written = call.get("args") or ""
        try:
            yield ToolCall(call.get("name") or "", arguments_of(written), call.get("id") or "")
        except ValueError as error:
            yield BadCall(call.get("name") or "", written[:500], str(error))
    if usage := kept.usage_metadata:
        yield Usage(int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0)))
    if ending(kept) in ("length", "max_tokens", "MAX_TOKENS"):
        yield Notice("the answer was cut: it reached the most tokens that the model or `max_tokens` allows")


def text_of(content: Any) -> str:
    """The text of a message's content, which is a string or a list of strings and typed blocks; what a model
    thinks to itself is left out."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    out = []
    for block in content:
        if isinstance(block, str):
            out.append(block)
        elif isinstance(block, dict) and block.get("type") in ("text", "output_text", "text_delta"):
            out.append(str(block.get("text") or ""))
    return "".join(out)
