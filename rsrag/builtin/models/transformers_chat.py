"""Turns our messages into what a processor of transformers takes: pictures as images, and no token of the template
anywhere but where the template puts it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]


def control_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    """What the tokenizer reads as one token of its own: special ones, and others written like tags ("<tool_call>")."""
    found = {
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special or token.content[:1] in ("<", "[")
    }
    found = {token for token in found | set(tokenizer.all_special_tokens) if re.fullmatch(r"\S{2,}", token)}
    if not found:
        return None
    return re.compile("|".join(re.escape(token) for token in sorted(found, key=len, reverse=True)))


def conversation(
    messages: Sequence[Message], pictures: Mapping[str, Any], controls: re.Pattern[str] | None, *, blocks: bool
) -> list[Message]:
    """Messages for `apply_chat_template`. `pictures` are images by the address that stands for them in `messages`;
    `blocks`: contents are lists of blocks, as processors with images want them, else strings."""
    out = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        ready = [_block(part, pictures, controls) for part in parts]
        made = {**message, "content": ready if blocks else "\n\n".join(p["text"] for p in ready if p.get("text"))}
        if calls := message.get("tool_calls"):
            made["tool_calls"] = [_call(call, controls) for call in calls]
        out.append(made)
    return out


def folded(messages: Sequence[Message]) -> list[Message]:
    """The same for a template that knows no system, or wants user and assistant to take turns: the rules stand in the
    first question, and neighbours with the same role are one message."""
    out: list[Message] = []
    for message in messages:
        role = "user" if message["role"] in ("system", "tool") else message["role"]
        plain = {"role": role, "content": message["content"]}
        if out and out[-1]["role"] == role:
            out[-1] = {"role": role, "content": _joined(out[-1]["content"], message["content"])}
        else:
            out.append(plain)
    return out


def _joined(one: Any, two: Any) -> Any:
    return [*one, *two] if isinstance(one, list) else f"{one}\n\n{two}"


def _block(part: Message, pictures: Mapping[str, Any], controls: re.Pattern[str] | None) -> Message:
    if part["type"] == "image_url":
        return {"type": "image", "image": pictures[part["image_url"]["url"]]}
    return {"type": "text", "text": _broken(part["text"], controls)}


def _call(call: Message, controls: re.Pattern[str] | None) -> Message:
    """Templates write the arguments themselves, from an object."""
    function = call["function"]
    arguments = json.loads(_broken(function["arguments"], controls))
    return {"type": "function", "function": {"name": _broken(function["name"], controls), "arguments": arguments}}


def _broken(text: str, controls: re.Pattern[str] | None) -> str:
    """The text with a blank in every token of the template, until there is none."""
    while controls and controls.search(text):
        text = controls.sub(lambda m: f"{m.group()[0]} {m.group()[1:]}", text)
    return text
