"""`ScriptedModel`: a model that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rsrag import Capabilities, ModelError, Notice, Prompt, Text, ToolCall, Usage, Verdict

Event = Text | ToolCall | Usage | Notice | Verdict
Reply = str | Callable[[Prompt], str] | Sequence[Event] | Exception


class ScriptedModel:
    """Gives one reply per prompt, in order, and repeats the last one.

    A reply is a text (yielded word by word, as a stream is), a function of the prompt that returns one, a list of
    events, or an exception to raise. `prompts` holds every prompt asked, `closed` counts the answers cancelled.
    """

    name: ClassVar[str] = "scripted"

    def __init__(
        self, replies: Reply | Sequence[Reply] = (), images: bool = False, tools: bool = False, context: int = 0
    ) -> None:
        single = isinstance(replies, str | Exception) or callable(replies)
        self.replies: list[Reply] = [replies] if single else list(replies)  # type: ignore[list-item, arg-type]
        self.prompts: list[Prompt] = []
        self.closed = 0
        self._capabilities = Capabilities(images=images, tools=tools, context=context)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def generate(self, prompt: Prompt) -> Iterator[Event]:
        self.prompts.append(prompt)
        if not self.replies:
            raise ModelError("the scripted model has no reply.", "Give ScriptedModel at least one.")
        reply = self.replies[min(len(self.prompts), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            reply = reply(prompt)
        events = [Text(piece) for piece in _words(reply)] if isinstance(reply, str) else list(reply)
        try:
            yield from events
        except GeneratorExit:
            self.closed += 1
            raise


def _words(text: str) -> list[str]:
    """Pieces that join to the text again."""
    return [word + " " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]
