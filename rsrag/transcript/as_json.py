"""A transcript as JSON, and back. The shape, of version 1:

{"rsrag_transcript": 1, "id", "name", "kb", "model", "created", "updated" (ISO times), "settings", "focus",
 "last": number of the last exchange, undone ones included,
 "scenes": [{"letter", "uri", "options", "gone", "dropped"}],
 "exchanges": [{"number", "question", "meant", "letters", "focus": [letter, [x, y, w, h]] or null, "reason", "settings",
   "status", "answer": {"text", "status", "evidence": [numbers], "citations": [numbers], "invalid_markers",
   "grounded", "warnings", "model", "seconds", "usage", "trace"} or null, "partial", "error",
   "tools": [{"name", "scenes", "arguments", "number", "error"}], "started", "ended", "rating", "saved"}],
 "evidence": [{"number", "kind", "title", "text", "provenance", "part", "images", "via", "score", "bbox", "z", "key",
   "aliases", "values": {name: {"value", "unit"}}, "geojson"}],
 "keys": [the key of each number, from 1]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from ..answering.ledger import evidence_from
from ..conversation.codec import exchange_from, exchange_to, focus_from, moment, plain
from ..conversation.scenes import Placed
from ..conversation.state import State
from ..errors import UsageError

VERSION: Final = 1


def to_json(state: State) -> str:
    """The conversation as an indented JSON document."""
    return json.dumps(to_dict(state), ensure_ascii=False, indent=2) + "\n"


def to_dict(state: State) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "rsrag_transcript": VERSION,
        "id": state.id,
        "name": state.name,
        "kb": state.kb,
        "model": state.model,
        "created": plain(state.created),
        "updated": plain(state.updated),
        "settings": plain(state.settings),
        "focus": plain(state.focus),
        "last": state.last,
        "scenes": [
            {"letter": p.letter, "uri": p.uri, "options": plain(p.options), "gone": p.gone, "dropped": p.dropped}
            for p in state.scenes
        ],
        "exchanges": [exchange_to(exchange) for exchange in state.exchanges],
        "evidence": [{**plain(asdict(e)), "bbox": asdict(e.bbox) if e.bbox else None} for e in state.evidence.values()],
        "keys": list(state.keys),
    }


def from_json(text: str) -> State:
    """The inverse of `to_json`. Raises `UsageError` for a text that is no transcript, or of a newer version."""
    try:
        data = json.loads(text)
        if not isinstance(data, Mapping) or "rsrag_transcript" not in data:
            raise ValueError("it has no 'rsrag_transcript'")
        if data["rsrag_transcript"] != VERSION:
            raise UsageError(f"the transcript is of version {data['rsrag_transcript']}; this rsrag knows {VERSION}.")
        return _state(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"that is not a transcript of rsrag: {error}.", "`rsrag log export ID` writes one.") from error


def _state(data: Mapping[str, Any]) -> State:
    evidence = {item["number"]: evidence_from(item) for item in data["evidence"]}
    return State(
        data["id"],
        data["name"],
        data["kb"],
        data["model"],
        moment(data["created"]),
        moment(data["updated"]),
        [Placed(p["letter"], p["uri"], p["options"], gone=p["gone"], dropped=p["dropped"]) for p in data["scenes"]],
        [exchange_from(item, evidence.get) for item in data["exchanges"]],
        data["keys"],
        evidence,
        data["settings"],
        focus_from(data["focus"]),
        data["last"],
    )
