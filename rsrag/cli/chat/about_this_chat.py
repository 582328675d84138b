"""Commands about the chat itself: take back, keep, export, leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import UsageError
from .command import Command
from .completion import words
from .describe import shortened

if TYPE_CHECKING:
    from .state import Chat

FORMATS: Final = {"md": "Markdown", "html": "one page with its pictures", "json": "for programs"}


def undo(chat: Chat, argument: str) -> None:
    """Forget the last question and its answer. The numbers of its sources stay taken."""
    exchange = chat.conversation.undo()
    if exchange is None:
        raise UsageError("there is nothing to undo.", "Ask something first.")
    chat.screen.note(f"Forgotten: {shortened(exchange.question, 120)}")


def save(chat: Chat, argument: str) -> None:
    """Give this chat a name, to find it by. Every chat is saved as it goes; without a name this says where."""
    conversation, sessions = chat.conversation, chat.opening.sessions
    if sessions is None:
        raise UsageError("this chat is not being saved.", "/export writes it to a file.")
    if argument:
        sessions.rename(conversation.id, argument)
        conversation.name = argument
    named = f", named {conversation.name}" if conversation.name else ""
    chat.screen.note(f"Saved as {conversation.id}{named}. rsrag chat --resume {conversation.id} goes on with it.")


def export(chat: Chat, argument: str) -> None:
    """Write this chat to a file that needs nothing else: /export html, /export md notes.md, /export json. Pictures are
    inside, sources are listed with licence and link."""
    from ...transcript import export as write

    first, _, rest = argument.partition(" ")
    named = rest.strip() or (first if first.lower() not in FORMATS else "")
    kind = first.lower() if first.lower() in FORMATS else Path(named).suffix.lstrip(".").lower() or "html"
    if kind not in FORMATS:
        raise UsageError(f"there is no export as '{kind}'.", f"There are: {', '.join(FORMATS)}. Example: /export html")
    if not chat.conversation.exchanges:
        raise UsageError("there is nothing to export.", "Ask something first.")
    path = Path(named).expanduser() if named else Path(f"rsrag-{chat.conversation.id}.{kind}")
    write(chat.conversation.state(), path, kind)
    chat.screen.line(f"Written to {path} ({_size(path)}).")


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def quit_(chat: Chat, argument: str) -> None:
    """Leave. The chat is saved; rsrag chat --continue goes on with it."""
    chat.leaving = True


COMMANDS: Final = (
    Command("undo", "", "forget the last question", undo),
    Command("save", "[NAME]", "name this chat; it is saved anyway", save),
    Command("export", "md|html|json", "write this chat to a file", export, lambda c, a: words(FORMATS.items(), a)),
)
LEAVING: Final = (Command("quit", "", "leave; Ctrl-D does too", quit_, needs=False),)
