"""A conversation over the assistant: it keeps the scenes, the numbers of the evidence, and what was said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .answering.ledger import Ledger
from .types import Answer, Done, Event, Scene, Turn

if TYPE_CHECKING:
    from .assistant import Assistant, Images


class Conversation:
    """Made by `assistant.chat()`. Evidence numbers stay the same from turn to turn."""

    def __init__(self, assistant: Assistant) -> None:
        self.assistant = assistant
        self.ledger = Ledger()
        self.turns: list[Turn] = []
        self.scenes: tuple[Scene, ...] = ()

    def ask(self, text: str, image: Images = None, **options: Any) -> Answer:
        """The next turn. Without a new image the scenes of the turn before still stand."""
        answer: Answer | None = None
        for event in self.stream(text, image, **options):
            if isinstance(event, Done):
                answer = event.answer
        assert answer is not None
        return answer

    def stream(self, text: str, image: Images = None, **options: Any) -> Iterator[Event]:
        """Like `ask`, as the events of `Assistant.stream`."""
        query = self.assistant.query(text, image, **options)
        if query.scenes:
            self.scenes = query.scenes
        query = query.with_(scenes=self.scenes)
        for event in self.assistant.run(query, self.ledger, tuple(self.turns)):
            if isinstance(event, Done):
                self.turns.append(Turn(text, event.answer.text))
            yield event
