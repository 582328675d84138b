"""One line each: a scene, the knowledge base, the chat that goes on."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...chat import Conversation
    from ...types import Scene


_DATES: Final = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "time": "%Y-%m-%d"}


def scene_lines(letter: str, scene: Scene, place: str = "") -> list[str]:
    """What is known of a scene: name and size; then when, where, by what and which bands, where known."""
    size = f"{scene.width:,} x {scene.height:,} px"
    pixel = f" of {metres(scene.gsd_m)}" if scene.gsd_m else ""
    first = f"[{letter}] {Path(scene.uri.partition('#')[0]).name}, {size}{pixel}"
    named = [band for band in scene.bands if not band.startswith("band ")]
    many = f"{len(scene.bands)} bands" if scene.bands else ""
    bands = f"{', '.join(named[:6])}{' ...' if len(named) > 6 else ''}" if named else many
    details = [
        place or (where(scene) if scene.bbox else "no place on Earth known"),
        scene.acquired.strftime(_DATES[scene.acquired_precision or "day"]) if scene.acquired else "",
        scene.sensor or "",
        bands,
    ]
    return [first, " · ".join(d for d in details if d)]


def part_line(letter: str, region: tuple[int, int, int, int], gsd_m: float | None = None) -> str:
    """A part of an image, in pixels and on the ground."""
    x, y, w, h = region
    size = f" ({_ground(w * gsd_m)} x {_ground(h * gsd_m)})" if gsd_m else ""
    return f"{w} x {h} px of [{letter}] from {x},{y}{size}"


def _ground(length: float) -> str:
    return f"{length / 1000:.1f} km" if length >= 1000 else f"{length:.0f} m"


def metres(value: float) -> str:
    """A length as people say it: 0.15 m, 89 m."""
    return f"{value:.0f} m" if value >= 9.5 else f"{value:.2g} m"


def where(scene: Scene) -> str:
    """The scene's middle in degrees."""
    assert scene.bbox is not None
    lon, lat = scene.bbox.center
    return f"{abs(lat):.2f}° {'S' if lat < 0 else 'N'}, {abs(lon):.2f}° {'W' if lon < 0 else 'E'}"


def means_line(conversation: Conversation) -> str:
    """What answers: the knowledge base and the model."""
    kb = conversation.assistant.kb
    return f"knowledge: {kb.path.name}, {len(kb):,} passages and images · model: {conversation.assistant.model.name}"


def resumed_line(conversation: Conversation) -> str:
    """When this chat was left, how long it is and what was asked last."""
    exchanges = conversation.exchanges
    if not exchanges:
        return "A chat without questions so far."
    last = exchanges[-1]
    many = f"{len(exchanges)} question{'s' * (len(exchanges) != 1)}"
    when = last.ended or last.started
    answer = shortened(first_sentence(last.text), 160) or "no answer"
    stopped = " (it was interrupted)" if last.status == "interrupted" else ""
    left = f"Left {ago(when)}" if when else "Left"
    return f'{left}, {many}. The last: "{shortened(last.question, 120)}" {answer}{stopped}'


def short_path(path: str | Path) -> str:
    """As people write it: from ~ where it lies in their home."""
    home = str(Path.home())
    return f"~{str(path)[len(home) :]}" if str(path).startswith(f"{home}/") else str(path)


def ago(then: datetime, now: datetime | None = None) -> str:
    """ "just now", "12 minutes ago", "yesterday", "3 days ago", "on 2024-05-01"."""
    now = now or datetime.now(UTC)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = (now - then).total_seconds()
    if seconds < 90:
        return "just now"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes ago"
    days = (now.astimezone().date() - then.astimezone().date()).days
    if days == 0:
        return f"{seconds / 3600:.0f} hours ago"
    return "yesterday" if days == 1 else f"{days} days ago" if days < 60 else f"on {then.astimezone():%Y-%m-%d}"


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[.!?])\s", " ".join(text.split()), maxsplit=1)[0]


def shortened(text: str, most: int) -> str:
    """On one line, cut at a word."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    return text[: most - 3].rsplit(" ", 1)[0].rstrip(" ,;:.") + " ..."
