"""A chat as its parts see it: the screen, the conversation, and what was agreed to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .opening import Opening
from .screen import Screen

if TYPE_CHECKING:
    from ...chat import Conversation
    from ...types import Evidence, Scene, ToolSpec
    from ..session import Session

TWICE = 1.0
"""Seconds within which a second Ctrl-C leaves the chat."""


class Chat:
    """Handed to every command. `leaving` ends the loop; `failed` counts questions and commands that went wrong."""

    def __init__(
        self,
        session: Session,
        screen: Screen | None = None,
        *,
        images: tuple[str, ...] = (),
        reading: Mapping[str, str] | None = None,
        kb: str = "",
        resume: str = "",
    ) -> None:
        self.session = session
        self.screen = screen or Screen()
        self.opening = Opening(session, images=images, reading=reading, kb=kb, resume=resume, confirm=self.confirm)
        self.leaving = False
        self.failed = 0
        self.pause: Any = None  # stops the spinner while a person is asked
        self.told_tools: set[int] = set()
        self._interrupted = 0.0
        self._allowed: set[str] = set()

    @property
    def conversation(self) -> Conversation:
        """Waits until it is loaded; raises what went wrong."""
        return self.opening.conversation

    def interrupted(self) -> bool:
        """Take note of a Ctrl-C; whether it is the second within a second, which leaves."""
        before, self._interrupted = self._interrupted, time.monotonic()
        return self._interrupted - before < TWICE

    def confirm(self, spec: ToolSpec, arguments: Mapping[str, Any]) -> bool:
        """Whether a tool may run that writes files or reaches the network: asked once per tool and chat."""
        if spec.name in self._allowed:
            return True
        if not self.screen.interactive:
            self.screen.warn(f"{spec.name} was not run: it needs somebody's yes, and nobody sits here.")
            return False
        if self.pause is not None:
            self.pause()
        does = " and ".join({"network": "reach the network", "write": "write files"}.get(a, a) for a in spec.asks)
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        agreed = self.screen.asks(f"{spec.name}({given}) wants to {does}. Allow it in this chat?")
        if agreed:
            self._allowed.add(spec.name)
        return agreed

    def evidence(self, argument: str) -> Evidence:
        """What a person means by 3 or [3]. Raises `UsageError`."""
        text = argument.strip().strip("[]")
        ledger = self.conversation.ledger
        found = ledger.get(int(text)) if text.isascii() and text.isdecimal() else None
        if found is None:
            there = f"There are 1 to {len(ledger)}." if len(ledger) else "Ask something first."
            raise UsageError(f"there is no evidence [{text}].", f"{there} /sources lists it.")
        return found

    def scene(self, argument: str = "") -> tuple[str, Scene]:
        """(letter, scene) that a person means by a, [A] or nothing: the one in focus, else the last. `UsageError`."""
        scenes = self.conversation.scenes
        if not scenes:
            raise UsageError("there is no image in this chat.", "/image FILE opens one.")
        if not argument:
            focus = self.conversation.focus
            letter = focus[0] if focus else next(reversed(scenes))
        else:
            letter = argument.strip().strip("[]").upper()
        if letter not in scenes:
            raise UsageError(f"there is no image [{letter}].", f"There are: {', '.join(scenes)}.")
        return letter, scenes[letter]
