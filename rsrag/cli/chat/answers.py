"""One answer as it comes: what is being done, the words, then the sources and what it took."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...types import Answer, Done, Event, Retrieved, Text, ToolDone, ToolStarted
from ..control import harmless
from ..render import sources_table
from .describe import first_sentence, shortened
from .stream import MarkdownStream

if TYPE_CHECKING:
    from .screen import Screen


class AnswerWriter:
    """Takes the events of a turn. The spinner is gone before anything else is written; `pause` takes it away.

    `known` are the numbers of tool results that were told before: what runs by rule in every turn is told once.
    """

    def __init__(self, screen: Screen, known: set[int] | None = None) -> None:
        self.screen = screen
        self.known = known if known is not None else set()
        self._text: MarkdownStream | None = None
        self._status: Any = None
        self._tool = ""

    def begin(self, doing: str = "Looking ...") -> None:
        """Show that something is being done, where somebody watches."""
        if not self.screen.interactive:
            return
        if self._status is None:
            self._status = self.screen.console.status(doing, spinner="dots" if self.screen.unicode else "line")
            self._status.start()
        else:
            self._status.update(doing)

    def pause(self) -> None:
        """Take the spinner away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def take(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Retrieved():
                count = len(event.evidence)
                self.begin(f"Reading {count} source{'s' * (count != 1)} ...")
            case ToolStarted():
                self._end_text()
                self._tool = call_line(event)
                self.begin(self._tool.replace("[", r"\["))
            case ToolDone():
                self.pause()
                if event.number is None or event.number not in self.known:
                    self.screen.note(done_line(self._tool or event.name, event, self.screen.width))
                self.known.add(event.number or 0)
                self.begin("Thinking ...")
            case Text():
                if event.text.strip():
                    self.pause()
                if self._text is None:
                    self._text = MarkdownStream(self.screen)
                self._text.feed(event.text)
            case Done():
                self.finish(event.answer)

    def _end_text(self) -> None:
        if self._text is not None:
            self._text.close()
            self._text = None
            self.screen.line()

    def finish(self, answer: Answer) -> None:
        """The answer is whole: its sources, one line of what it took, and its warnings."""
        self.stop()
        if answer.citations:
            self.screen.line()
            self.screen.console.print(sources_table(answer.citations, ids=False, narrow=self.screen.width < 60))
        rest = len(answer.evidence) - len(answer.citations)
        usage = answer.usage
        parts = [
            answer.model,
            f"{sum(answer.seconds.values()):.1f} s",
            f"{usage.input_tokens:,} + {usage.output_tokens:,} tokens" if usage else "",
            f"{rest} more looked at" if rest > 0 else "",
        ]
        self.screen.note(" · ".join(part for part in parts if part))
        for warning in answer.warnings:
            self.screen.warn(f"! {warning}")

    def stop(self) -> None:
        """End what is being written, as far as it came."""
        self.pause()
        if self._text is not None:
            with suppress(KeyboardInterrupt):
                self._text.close()
            self._text = None


def call_line(event: ToolStarted) -> str:
    """ "change A, B index=NDVI": a tool's call in a few words."""
    given = [f"{name}={shortened(str(value), 40)}" for name, value in event.arguments.items()]
    return harmless(" ".join([event.name, event.scene, *given])).strip().replace("  ", " ")


def done_line(call: str, event: ToolDone, width: int) -> str:
    """What a tool found, or why it did not, on one line of the terminal where that is wide enough."""
    outcome = event.error or (first_sentence(event.result.text) if event.result else "")
    number = f" [{event.number}]" if event.number is not None else ""
    start = f"⚙ {call}: "
    return f"{start}{shortened(outcome, max(20, width - len(start) - len(number)))}{number}"
