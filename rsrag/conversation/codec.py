"""Exchanges as plain data and back, through JSON. Evidence is told by its number and kept elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..types import Answer, BBox, Evidence, Usage
from .exchange import Exchange, Focus, ToolUse

EvidenceOf = Callable[[int], Evidence | None]


def plain(value: Any) -> Any:
    """A value as JSON holds it: tuples are lists, boxes W, S, E, N, times ISO texts; anything else is its text."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, BBox):
        return list(value.as_tuple())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return str(value) if isinstance(value, Path) else _number(value)


def _number(value: Any) -> Any:
    """numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else str(value)


def answer_to(answer: Answer) -> dict[str, Any]:
    """An answer with the numbers of its evidence."""
    return {
        "text": answer.text,
        "status": answer.status,
        "evidence": [e.number for e in answer.evidence],
        "citations": [e.number for e in answer.citations],
        "invalid_markers": list(answer.invalid_markers),
        "grounded": answer.grounded,
        "warnings": list(answer.warnings),
        "model": answer.model,
        "seconds": plain(answer.seconds),
        "usage": asdict(answer.usage) if answer.usage else None,
        "trace": plain(answer.trace),
    }


def answer_from(data: Mapping[str, Any], evidence: EvidenceOf) -> Answer:
    """The inverse; evidence that is not there any more is left out."""

    def found(numbers: Sequence[int]) -> tuple[Evidence, ...]:
        return tuple(e for n in numbers if (e := evidence(n)) is not None)

    return Answer(
        data["text"],
        data["status"],
        found(data["evidence"]),
        found(data["citations"]),
        tuple(data["invalid_markers"]),
        data["grounded"],
        tuple(data["warnings"]),
        data["model"],
        data["seconds"],
        data["trace"],
        Usage(**data["usage"]) if data["usage"] else None,
    )


def told(exchange: Exchange) -> dict[str, Any]:
    """What an exchange was understood as, asked with and marked by: all but question, answer and times."""
    return {
        "meant": exchange.meant,
        "letters": list(exchange.letters),
        "focus": plain(exchange.focus),
        "reason": exchange.reason,
        "settings": plain(exchange.settings),
        "error": exchange.error,
        "tools": [plain(use) for use in exchange.tools],
        "rating": exchange.rating,
        "saved": exchange.saved,
    }


def exchange_to(exchange: Exchange) -> dict[str, Any]:
    """An exchange as plain data."""
    return {
        "number": exchange.number,
        "question": exchange.question,
        **told(exchange),
        "status": exchange.status,
        "answer": answer_to(exchange.answer) if exchange.answer else None,
        "partial": exchange.partial,
        "started": plain(exchange.started),
        "ended": plain(exchange.ended),
    }


def exchange_from(data: Mapping[str, Any], evidence: EvidenceOf) -> Exchange:
    """The inverse."""
    return Exchange(
        data["number"],
        data["question"],
        data["meant"],
        tuple(data["letters"]),
        focus_from(data["focus"]),
        data["reason"],
        data["settings"],
        answer_from(data["answer"], evidence) if data["answer"] else None,
        data["partial"],
        data["error"],
        data["status"],
        tuple(ToolUse(**{**use, "scenes": tuple(use["scenes"])}) for use in data["tools"]),
        moment(data["started"]),
        moment(data["ended"]),
        data["rating"],
        data["saved"],
    )


def focus_from(data: Sequence[Any] | None) -> Focus | None:
    """A part of a scene from [letter, [x, y, w, h]]."""
    if not data:
        return None
    letter, (x, y, w, h) = data
    return letter, (x, y, w, h)


def moment(text: str | None) -> datetime | None:
    """A time from its ISO text."""
    return datetime.fromisoformat(text) if text else None
