"""The prompt: history, completion, several lines, pasted text, and lines printed above it while one types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from .completion import complete

if TYPE_CHECKING:
    from .state import Chat


class Prompt:
    """Reads one entry at a time. Enter sends it; Alt-Enter, or a backslash at the end, begins another line."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.had_text = False
        self._painted: Callable[[], None] | None = None
        self._session: PromptSession[str] = PromptSession(
            message="> ",
            multiline=True,
            prompt_continuation="  ",
            history=_history(),
            completer=_Completer(chat),
            # Only commands: a menu that pops up under every word of a question is in the way.
            complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
            key_bindings=_keys(),
            bottom_toolbar=self._toolbar,
            reserve_space_for_menu=6,
            style=Style.from_dict({"bottom-toolbar": "noreverse ansibrightblack", "": ""}),
        )
        self._session.app.after_render += self._after_render
        self._session.app.ttimeoutlen = 0.1  # Alt-Enter arrives as Escape, Enter

    def read(self, after_first_paint: Callable[[], None] | None = None) -> str:
        """One entry. `after_first_paint` is called once, when the prompt stands on the screen for the first time.

        Raises `EOFError` for Ctrl-D and `KeyboardInterrupt` for Ctrl-C, which clears what was typed (`had_text`).
        """
        if after_first_paint is not None and self._painted is None:
            self._painted = after_first_paint
        self.had_text = False
        self._session.default_buffer.reset()  # or an early Ctrl-C would find the last entry's text
        loading = not self.chat.opening.done.is_set()
        try:
            with patch_stdout(raw=True):  # warnings of what loads meanwhile stand above the prompt
                # A Ctrl-C before the terminal is in raw mode is a signal; asyncio makes it a KeyboardInterrupt.
                return self._session.prompt(refresh_interval=0.5 if loading else 0, handle_sigint=False)
        except KeyboardInterrupt:
            self.had_text = bool(self._session.default_buffer.text)
            raise

    def above(self, show: Callable[[], None]) -> None:
        """Print above the prompt, from any thread; when no prompt stands, whoever reads next prints it."""
        app = self._session.app
        loop = app.loop
        if loop is None or not app.is_running:
            return

        async def print_it() -> None:
            from prompt_toolkit.application import in_terminal

            async with in_terminal():
                show()

        asyncio.run_coroutine_threadsafe(print_it(), loop)

    def _after_render(self, _app: Any) -> None:
        if self._painted is not None:
            begin, self._painted = self._painted, _nothing
            begin()

    def _toolbar(self) -> str:
        """What the next question is asked with; what is being loaded, while it is."""
        opening = self.chat.opening
        if not opening.done.is_set():
            return f"{opening.stage} ..."
        return status_line(self.chat) if opening.ready else ""


def _nothing() -> None:
    """In place of what was to be called once."""


def status_line(chat: Chat) -> str:
    """ "A harbour.tif · part of A 0,0,200,200 · near A · k 12"."""
    conversation = chat.conversation
    parts = [f"{k} {Path(s.uri.partition('#')[0]).name}" for k, s in conversation.scenes.items()]
    if len(parts) > 3:
        parts = [f"{len(parts)} images"]
    if conversation.focus:
        letter, region = conversation.focus
        parts.append(f"part of {letter}: {','.join(map(str, region))}")
    for name, value in conversation.settings.items():
        if value:
            parts.append(f"{name} {value if not isinstance(value, list | tuple) else ' '.join(map(str, value))}")
    return " · ".join(parts)


def _history() -> FileHistory | InMemoryHistory:
    """What was asked before, in the user's state folder; only in memory where that cannot be written."""
    import platformdirs

    file = Path(platformdirs.user_state_dir("rsrag")) / "chat_history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


class _Completer(Completer):
    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for candidate in complete(self.chat, document.text_before_cursor):
            yield Completion(
                candidate.text,
                -candidate.replaces,
                display=candidate.shown or candidate.text,
                display_meta=candidate.hint,
            )


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None  # takes what the menu shows; Enter once more sends it
            return
        before = buffer.document.text_before_cursor
        if before.endswith("\\") and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
            return
        buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-d")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.delete()
        else:
            event.app.exit(exception=EOFError)

    return keys
