"""Tool calls in a prompt: how tools are described, and how what was called is told, to models with and without
tool calling of their own.

A model without is told the tools in the system message and calls by a block that `CallReader` finds in its reply:

    ```tool
    {"name": "locate", "arguments": {"scene": "A"}}
    ```
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..types import ToolSpec, ToolStep
from .cleaning import one_line
from .fencing import failure, harmless

ToolStyle = Literal["native", "prompt"]

OPENING = "```tool"
CLOSING = "```"
NO_MORE = "No more calls are possible. Answer the question now."

_HEAD = f"""Tools. They measure and look up what the evidence does not say. To call one, reply with this block and \
nothing else:
{OPENING}
{{"name": "...", "arguments": {{...}}}}
{CLOSING}
Its result comes back as evidence with a number of its own. Call a tool only where its result is needed; otherwise \
answer. The tools:"""


def described(tools: Sequence[ToolSpec]) -> str:
    """The tools for a system message: one line each with its arguments, `?` marking those that may be left out."""
    return "\n".join([_HEAD, *(_described(tool) for tool in tools)])


def called(step: ToolStep, number: int, style: ToolStyle) -> dict[str, Any]:
    """The assistant's message that made the call; `number` is the step's, from 0."""
    arguments = json.dumps(dict(step.call.arguments), ensure_ascii=False)
    if style == "native":
        function = {"name": step.call.name, "arguments": arguments}
        call = {"id": call_id(step, number), "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    block = json.dumps({"name": step.call.name, "arguments": dict(step.call.arguments)}, ensure_ascii=False)
    return {"role": "assistant", "content": f"{OPENING}\n{harmless(block)}\n{CLOSING}"}


def came_back(step: ToolStep, number: int, style: ToolStyle, fences: Mapping[int, str]) -> dict[str, Any]:
    """The message with the call's result. `fences` are those of the evidence that is shown, by number."""
    parts = [failure(step.error)] if step.error else []
    for n in step.evidence:
        parts.append(fences.get(n) or f"Result [{n}] is left out here: it does not fit.")
    body = "\n\n".join(parts) or "It returned nothing."
    if style == "native":
        return {"role": "tool", "tool_call_id": call_id(step, number), "content": body}
    return {"role": "user", "content": f"Result of {harmless(one_line(step.call.name))}:\n\n{body}"}


def call_id(step: ToolStep, number: int) -> str:
    """The call's id, or one of nine letters and digits, the only form that every server takes."""
    return step.call.id or f"call{number:05d}"


def _described(tool: ToolSpec) -> str:
    properties = tool.parameters.get("properties") or {}
    required = set(tool.parameters.get("required") or ())
    arguments = [f"{name}{'' if name in required else '?'}: {_kind(schema)}" for name, schema in properties.items()]
    lines = [f"- {tool.name}({', '.join(arguments)}): {one_line(tool.description)}"]
    lines += [f"    {name}: {one_line(s['description'])}" for name, s in properties.items() if s.get("description")]
    return "\n".join(lines)


def _kind(schema: Mapping[str, Any]) -> str:
    """A JSON schema's type in a word or two: `number`, `"a" | "b"`, `list of string`."""
    if choices := schema.get("enum"):
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(_kind(option) for option in options))
    kind = schema.get("type") or "any"
    if isinstance(kind, list):
        return " | ".join(kind)
    return f"list of {_kind(schema.get('items') or {})}" if kind == "array" else str(kind)
