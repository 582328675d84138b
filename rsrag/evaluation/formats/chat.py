"""Task files of RS-RAG and of trainers of chat models: `messages` with the right answer last, `prediction` beside them.

{"messages": [{"role": "user", "content": "<image>What ...?"}, {"role": "assistant", "content": "..."}],
 "images": ["x.png"], "task": "...", "prediction": "..."}; LLaVA's `conversations` of {from, value} are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..samples import Entry, Prediction, Sample
from .fields import Fields, answer_keys, first, images_of, said_of, task_of, text_of, texts_of

_ROLES = {"human": "user", "gpt": "assistant"}


def matches(record: Fields) -> bool:
    return isinstance(record.get("messages"), list) or isinstance(record.get("conversations"), list)


def read(where: str, record: Fields) -> Iterator[Entry]:
    """The reference is the last message where an assistant wrote it, else the record's own. ms-swift writes what the
    model said there, and as `response`, and the reference as `labels`."""
    turns = [_turn(message) for message in record.get("messages") or record.get("conversations") or ()]
    answered = bool(turns) and turns[-1][0] == "assistant"
    prediction, reference = answer_keys(record, has_reference=answered)
    asked = [text for role, text in turns if role == "user"]
    text = said_of(record[prediction], prediction) if prediction else None
    references: tuple[str, ...] = ()
    swift = (prediction, reference) == ("response", "labels") and answered and turns[-1][1] == text
    if reference and (swift or not answered):
        references = texts_of(record[reference], reference)
    elif answered:
        references = tuple(filter(None, [turns[-1][1]]))
    yield Entry(
        where,
        Sample(
            id=text_of(record.get("id"), "id") or "",
            task=task_of(record.get("task")),  # type: ignore[arg-type]
            question=asked[-1] if asked else "",
            images=images_of(first(record, ("images", "image"))),
            references=references,
            meta={"name": record["task"]} if record.get("task") else {},
        ),
        None if text is None else Prediction(text),
    )


def _turn(message: Any) -> tuple[str, str]:
    """(role, text) of a message; content may be a list of parts."""
    if not isinstance(message, dict):
        raise ValueError("messages hold what is no message; a message has role and content")
    role = str(message.get("role") or message.get("from") or "")
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "\n".join(str(part) for part in parts)
    text = text_of(content, f"the {role or 'unnamed'} message") or ""
    role = _ROLES.get(role, role)
    return role, re.sub(r"<image>\s*", "", text).strip() if role == "user" else text
