"""The loop of a chat: read a line, run the command or ask the question, and go on whatever happens."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from ...errors import RsragError
from ..control import harmless
from .describe import part_line
from .dropping import dropped
from .state import Chat


def run(chat: Chat) -> int:
    """Talk until the end of the input; the exit code."""
    chat.opening.check()
    if chat.screen.interactive:
        _at_a_terminal(chat)
        return 0
    _from_a_pipe(chat)
    return 1 if chat.failed else 0


# -- somebody sits there --------------------------------------------------------------------------


def _at_a_terminal(chat: Chat) -> None:
    from .input import Prompt

    # Written before rich is imported: the prompt is there at once, and everything else loads behind it.
    sys.stdout.write("rsrag chat: ask, or type /help. Ctrl-D leaves.\n")
    prompt = Prompt(chat)
    opened = _Announcement(chat)
    chat.opening.told = lambda: prompt.above(opened.show)
    while not chat.leaving:
        try:
            opened.show()
            line = prompt.read(after_first_paint=chat.opening.start)
        except EOFError:
            break
        except KeyboardInterrupt:
            if prompt.had_text:
                continue
            if chat.interrupted():
                break
            chat.screen.note("Ctrl-C once more, or Ctrl-D, leaves.")
            continue
        if not line.strip():
            continue
        try:
            if _waits(chat, line):
                opened.show()
            handle(chat, line)
            if not chat.leaving:
                chat.screen.line()
        except KeyboardInterrupt:
            if chat.interrupted():
                break
            chat.screen.note("Stopped.")
    _leave(chat)


class _Announcement:
    """What the chat opens with, shown once: by the thread that loaded it, above the prompt, or before an answer."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._shown = False

    def show(self) -> None:
        if self._shown or not self.chat.opening.done.is_set():
            return
        self._shown = True
        from .header import show_header

        show_header(self.chat)


def _waits(chat: Chat, line: str) -> bool:
    """Wait until the chat is loaded, telling what it waits for, unless the line is a command that needs nothing."""
    from .commands import needs_nothing

    if needs_nothing(line):
        return False
    chat.opening.start()  # a dumb terminal does not tell when its prompt was painted
    if not chat.opening.done.is_set():
        with chat.screen.console.status(f"{chat.opening.stage} ...") as status:
            while not chat.opening.done.wait(0.1):
                status.update(harmless(chat.opening.stage).replace("[", r"\[") + " ...")
    return True


def _leave(chat: Chat) -> None:
    if chat.opening.ready:
        with suppress(Exception):
            conversation = chat.conversation
            if conversation.exchanges:
                chat.screen.note(f"Saved as {conversation.id}. rsrag chat --continue goes on with it.")
    chat.opening.close()


# -- a pipe ---------------------------------------------------------------------------------------


def _from_a_pipe(chat: Chat) -> None:
    from ..session import Progress

    bar = Progress(chat.session)
    chat.opening.progress = bar
    chat.opening.load()
    bar.close()
    for error in chat.opening.failed:
        raise error  # what was to be asked about is not there: no answer would be about it
    _ = chat.conversation  # raises when it could not be opened
    try:
        for raw in sys.stdin.buffer:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line.strip():
                chat.screen.line(f"> {line}")
                handle(chat, line)
                chat.screen.line()
            if chat.leaving:
                break
    finally:
        chat.opening.close()


# -- one line -------------------------------------------------------------------------------------


def handle(chat: Chat, line: str) -> None:
    """Run a command or ask a question; failures are told and the chat goes on."""
    from . import commands

    try:
        if path := dropped(line):
            if not chat.screen.interactive or chat.screen.asks(f"Open {Path(path).name} as an image?", default=True):
                commands.run(chat, f"/image {path}")
        elif line.startswith("/") and not line.startswith("//"):
            commands.run(chat, line)
        else:
            _ask(chat, line[1:] if line.startswith("//") else line.strip())
        return
    except RsragError as error:
        chat.screen.error(error)
    except Exception as error:  # nothing may end a chat but its user
        if chat.session.debug:
            chat.screen.console.print_exception()
        else:
            chat.screen.error(error)
    chat.failed += 1


def _ask(chat: Chat, text: str) -> None:
    from .answers import AnswerWriter

    writer = AnswerWriter(chat.screen, chat.told_tools)
    chat.pause = writer.pause
    events = chat.conversation.stream(text)
    try:
        writer.begin()
        for event in events:
            writer.take(event)
    except KeyboardInterrupt:
        if not chat.screen.interactive:
            raise
        chat.interrupted()
        with suppress(Exception):
            events.close()  # type: ignore[attr-defined]
        writer.stop()
        chat.screen.warn("Stopped here; what was said so far is kept.")
        return
    finally:
        writer.stop()
    exchange = chat.conversation.exchanges[-1] if chat.conversation.exchanges else None
    if exchange is not None and (exchange.meant or exchange.focus != chat.conversation.focus):
        where = f" ({part_line(*exchange.focus)})" if exchange.focus else ""
        chat.screen.note(f"Understood as: {exchange.asked}{where}")
