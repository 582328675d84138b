"""What every chat model's reply goes through: calls by prompt are read, loops stopped, unreadable calls handed back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Literal

from rsrag import ModelError, Notice, Prompt, Text, ToolCall, ToolStep, Usage
from rsrag.answering.calls import BadCall, CallReader
from rsrag.answering.repetition import Repetition

Piece = Text | ToolCall | BadCall | Usage | Notice
Event = Text | ToolCall | Usage | Notice
Ask = Callable[[Prompt], Generator[Piece, None, None]]
ToolStyle = Literal["native", "prompt"]

NO_TOOLS = "no tool can be called any more; answer from what is there"


def reply(prompt: Prompt, ask: Ask, label: str, *, reads_calls: bool) -> Iterator[Event]:
    """The events of an answer. `ask` sends a prompt and yields what comes; closing it ends the request. `reads_calls`:
    calls stand in the text, because the model was told so in the prompt or its chat template writes them there.

    A call that cannot be read goes back to the model once, as a failed call; after a second one it is asked for an
    answer without tools. Raises `ModelError` when there is neither text nor a call in the end.
    """
    spoke = False
    for attempt in range(3):
        turn = _Turn(prompt, reads_calls)
        pieces = ask(prompt)
        try:
            for event in turn.events(pieces):
                if isinstance(event, Text) and not event.text.isspace():
                    if spoke and not turn.spoke:
                        yield Text("\n\n")
                    spoke = turn.spoke = True
                yield event
        finally:
            pieces.close()
        if turn.calls:
            yield from turn.calls
            return
        if not turn.bad or (spoke and not prompt.tools):
            break
        prompt = replace(
            prompt,
            steps=(*prompt.steps, _failed(turn.bad[0])),
            tools=prompt.tools if attempt == 0 else (),
        )
    if spoke:
        if turn.bad:
            yield Notice("a tool call of the model could not be carried out and was left out")
        return
    raise ModelError(
        f"model {label} returned no text.",
        "Ask again, or try another model; some local models return nothing for prompts they cannot fit.",
    )


def _failed(call: BadCall) -> ToolStep:
    """The call as one that failed, for the model to see."""
    wish = ToolCall(call.name or "unreadable", {"unreadable": call.written})
    return ToolStep(wish, error=f"{call.error}. Nothing was called.")


class _Turn:
    """One reply: what the user sees of it, and the calls in it."""

    def __init__(self, prompt: Prompt, reads_calls: bool) -> None:
        self.calls: list[ToolCall] = []
        self.bad: list[BadCall] = []
        self.spoke = False
        self._offered = bool(prompt.tools)
        reads = reads_calls and bool(prompt.tools or prompt.steps)
        self._reader = CallReader([tool.name for tool in prompt.tools]) if reads else None

    def events(self, pieces: Iterator[Piece]) -> Iterator[Event]:
        """What is to be passed on as it comes; calls are kept for the end."""
        reader = self._reader
        loop = Repetition()
        for piece in pieces:
            if isinstance(piece, ToolCall):
                self.calls.append(piece)
            elif isinstance(piece, BadCall):
                self.bad.append(piece)
            elif not isinstance(piece, Text):
                yield piece
            else:
                text = reader.feed(piece.text) if reader else piece.text
                if text:
                    yield Text(text)
                if reader and reader.done:
                    break  # what comes after a call is a result that the model makes up
                if loop.feed(piece.text):
                    yield Notice("the answer was stopped: the model repeats itself")
                    break
        if reader:
            if text := reader.end():
                yield Text(text)
            self.calls += reader.calls
            self.bad += reader.bad
        if self.calls and not self._offered:
            self.bad = [BadCall(call.name, str(dict(call.arguments)), NO_TOOLS) for call in self.calls]
            self.calls = []
