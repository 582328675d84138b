"""What every form of a transcript tells: sources, scenes and notes, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePath
from urllib.parse import urlsplit

from ..conversation.exchange import Exchange
from ..conversation.scenes import Placed
from ..conversation.state import State
from ..types import Evidence


def title(state: State) -> str:
    """The name of a conversation, or its first question with the images it is about."""
    if state.name:
        return state.name
    first = next((e for e in state.exchanges if e.question), None)
    if first is None:
        return f"Conversation {state.id}"
    about = ", ".join(scene_name(p) for p in state.scenes if p.letter in first.letters)
    return f"{first.question} ({about})" if about else first.question


def cited(state: State) -> list[Evidence]:
    """Everything that an answer cites, by number."""
    numbers = {e.number: e for x in state.exchanges if x.answer for e in x.answer.citations}
    return [state.evidence.get(n, e) for n, e in sorted(numbers.items())]


def scene_name(placed: Placed) -> str:
    """A scene by its file's name and the part of it that was opened."""
    base, _, part = placed.uri.partition("#xywh=")
    return PurePath(base).name + (f" ({part})" if part else "")


def origin(evidence: Evidence) -> str:
    """Where evidence comes from: its source and whose, page, heading."""
    where = evidence.provenance
    if evidence.kind == "tool":
        return where.attribution or "computed here"
    whose = " (own)" if where.role == "mine" else ""
    page = f"page {where.page}" if where.page is not None else ""
    return ", ".join(part for part in (f"{where.source}{whose}", page, where.heading) if part)


def link(url: str) -> str:
    """An address when it is an ordinary web address, else ""."""
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:  # "http://[half an address"
        return ""
    plain = url.isprintable() and not any(c in url for c in " \"'<>`\\")
    return url if plain and parts.scheme.lower() in ("http", "https") and parts.hostname else ""


def when(moment: datetime | None) -> str:
    """A time in the reader's zone, to the minute."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""


def outcome(exchange: Exchange) -> str:
    """What is to be said of an answer that is none, or not a whole one."""
    if exchange.status == "failed":
        return f"This question was not answered: {exchange.error}" if exchange.error else "This question failed."
    if exchange.answer is None:
        return "This answer was interrupted." if exchange.partial else "This question was interrupted."
    return ""  # an answer that declines says so itself


def understood(exchange: Exchange) -> str:
    """How a question was taken, where that is not how it was asked."""
    parts = [f"asked as: {exchange.meant}"] if exchange.meant else []
    if exchange.focus:
        letter, region = exchange.focus
        parts.append(f"about the part {','.join(map(str, region))} of {letter}")
    return "; ".join(parts)


def footer(exchange: Exchange) -> str:
    """Model, scenes, seconds and tokens of an answer."""
    answer = exchange.answer
    if answer is None:
        return ""
    seconds = sum(answer.seconds.values())
    usage = answer.usage
    tokens = f"{usage.input_tokens + usage.output_tokens:,} tokens" if usage else ""
    scenes = f"image {', '.join(exchange.letters)}" if exchange.letters else ""
    return " · ".join(part for part in (answer.model, scenes, f"{seconds:.1f} s" if seconds else "", tokens) if part)


def numbers_with_units(evidence: Evidence) -> Iterable[tuple[str, str]]:
    """(name, value) of what a tool measured."""
    return ((name, str(value)) for name, value in evidence.values.items())
