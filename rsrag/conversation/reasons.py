"""Why an answer came out as it did: what was understood, found, shown and said, gathered from its trace. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ..answering.ledger import Ledger, chunk_key
from ..answering.prompting import render
from ..interfaces import Model
from ..types import Answer, Prompt, Scene, SceneVote, Turn
from .exchange import Exchange, Why


def reasons(
    exchange: Exchange, history: Sequence[Turn], ledger: Ledger, scenes: Mapping[str, Scene], model: Model
) -> Why:
    """`history` are the turns that its prompt brought; `scenes` those that stand now."""
    answer = exchange.answer
    trace = answer.trace if answer else {}
    notes = () if trace or not answer else ("only what this answer cites is kept; what it looked at was let go",)
    return Why(
        exchange.number,
        exchange.question,
        exchange.asked,
        exchange.reason,
        exchange.letters,
        exchange.focus,
        exchange.settings,
        answer.model if answer else model.name,
        answer.status if answer else exchange.status,
        [tuple(lane) for lane in trace.get("lanes", ())],
        [_hit(hit, ledger) for hit in trace.get("hits", ())],
        exchange.tools,
        [tuple(vote) for vote in trace.get("votes", ())],
        _messages(exchange, answer, history, scenes, model) if answer and trace else (),
        trace.get("model", {}),
        answer.seconds if answer else {},
        answer.usage if answer else None,
        (*notes, *(answer.warnings if answer else ([exchange.error] if exchange.error else []))),
        [e.number for e in answer.evidence] if answer else (),
        [e.number for e in answer.citations] if answer else (),
    )


def _hit(hit: Sequence[Any], ledger: Ledger) -> dict[str, Any]:
    chunk, title, score, lanes, z = hit
    number = ledger.find(chunk_key(chunk))
    return {"number": number, "chunk": chunk, "title": title, "score": score, "lanes": dict(lanes), "z": z}


def _messages(
    exchange: Exchange, answer: Answer, history: Sequence[Turn], scenes: Mapping[str, Scene], model: Model
) -> list[dict[str, Any]]:
    """The prompt as it was sent first, before any tool that the model called itself. It is made again from what is
    kept: the same data give the same messages."""
    known = {name: scenes[name] for name in exchange.letters if name in scenes}
    called = {use.number for use in exchange.tools} if model.capabilities.tools else set()
    prompt = Prompt(
        "ask",
        exchange.asked,
        tuple(known.values()),
        tuple(e for e in answer.evidence if e.number not in called),
        tuple(history),
        votes=tuple(_vote(v) for v in answer.trace.get("votes", ())),
        letters=tuple(known),
    )
    return render(prompt, model.capabilities, lambda image, side: _picture(image, side)).messages


def _picture(image: Scene | str, side: int) -> str:
    uri = image.uri if isinstance(image, Scene) else image
    return f"picture of {PurePath(uri).name}, at most {side} pixels"


def _vote(vote: Sequence[Any]) -> SceneVote:
    scene, label, subjects, z, reason = vote
    return SceneVote(scene, tuple((s[0], s[1], s[2]) for s in subjects), label, z, reason)
