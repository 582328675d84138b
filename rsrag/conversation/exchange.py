"""An exchange: a question, what it was taken to mean, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ..types import Answer, Usage

Focus = tuple[str, tuple[int, int, int, int]]
"""A part of a scene: its letter, and x, y, w, h in pixels from the top left corner."""

Status = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a question means where it stands: its `text` in full, the letters of the scenes it is about, the part of a
    scene, the numbers of earlier evidence it speaks of, and the `reason` in words ("" when nothing was added).

    `unclear`: it leans on earlier turns in a way that the rules cannot tell.
    """

    text: str
    scenes: tuple[str, ...] = ()
    focus: Focus | None = None
    reason: str = ""
    evidence: tuple[int, ...] = ()
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that ran in a turn: on which letters, with what, and the number its result got, or why it failed."""

    name: str
    scenes: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None
    error: str = ""


@dataclass(slots=True)
class Exchange:
    """One question and its answer. `meant` is the question as it was understood, "" where that is what was asked.

    `partial` is the text of an answer that was not finished, `error` why; `settings` are the options of
    `Assistant.query` it was asked with. `saved` and `rating` are the user's marks.
    """

    number: int
    question: str
    meant: str = ""
    letters: tuple[str, ...] = ()
    focus: Focus | None = None
    reason: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer | None = None
    partial: str = ""
    error: str = ""
    status: Status = "running"
    tools: tuple[ToolUse, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    rating: int | None = None
    saved: bool = False

    @property
    def text(self) -> str:
        """What was answered, as far as it came."""
        return self.answer.text if self.answer else self.partial

    @property
    def asked(self) -> str:
        """The question as it was understood."""
        return self.meant or self.question


@dataclass(frozen=True, slots=True)
class Why:
    """What produced an answer. `lanes` are (name, status, hits, seconds, detail); `hits` hold number (None where it
    did not become evidence), chunk, title, score, lanes {name: (rank, raw score)} and z; `votes` are (scene, label,
    subjects, z, reason); `messages` the prompt as a chat model gets it, its pictures named instead of included."""

    number: int
    question: str
    meant: str
    reason: str
    letters: tuple[str, ...]
    focus: Focus | None
    settings: Mapping[str, Any]
    model: str
    status: str
    lanes: Sequence[Sequence[Any]] = ()
    hits: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[ToolUse] = ()
    votes: Sequence[Sequence[Any]] = ()
    messages: Sequence[Mapping[str, Any]] = ()
    verdict: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    usage: Usage | None = None
    warnings: Sequence[str] = ()
    evidence: Sequence[int] = ()
    cited: Sequence[int] = ()
