"""What the chat models have in common: how tools may be called, and how a tool is told to one."""

from __future__ import annotations

from typing import Any, Literal, get_args

from rsrag import ToolSpec

Tools = Literal["auto", "native", "prompt", "none"]
TOOLS: tuple[str, ...] = get_args(Tools)
EVIDENCE_SIDE = 512
"""Pixels: a picture of evidence supports, the scene is what is asked about."""
RESERVE = 1024
"""Tokens kept for the answer where nobody says otherwise."""


def function(tool: ToolSpec) -> dict[str, Any]:
    """A tool as OpenAI's protocol has it, which LangChain and chat templates turn into every model's own."""
    parameters = {"type": "object", "properties": {}, **tool.parameters}
    about = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": about}
