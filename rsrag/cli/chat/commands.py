"""The commands of a chat: one table, how a line is told to be one, and help that is made from the table."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from ...errors import UsageError
from . import about_evidence, about_scenes, about_settings, about_this_chat
from .command import Command
from .completion import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .completion import Candidate
    from .state import Chat


def help_(chat: Chat, argument: str) -> None:
    """All commands in a line each, or one in full."""
    from rich.table import Table

    name = argument.strip().lstrip("/")
    if name:
        command = find(name)
        chat.screen.line(f"/{command.name} {command.takes}".strip(), "bold")
        chat.screen.line((command.run.__doc__ or command.help).strip().partition("\n\n")[0].replace("\n    ", " "))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=chat.screen.width >= 60)
    table.add_column()
    for command in COMMANDS.values():
        takes = command.takes.replace("[", r"\[")
        table.add_row(f"/{command.name} {takes}".strip(), command.help)
    chat.screen.console.print(table)
    keys = "Enter sends; Alt-Enter or a backslash at the end begins another line; Tab completes; Ctrl-R searches what "
    keys += "was asked; Ctrl-C stops an answer; Ctrl-D leaves. //text asks a question that begins with a slash."
    chat.screen.note(keys)


def _command_names(chat: Chat, argument: str) -> Iterator[Candidate]:
    return words([(command.name, command.help) for command in COMMANDS.values()], argument)


_HELP: Final = Command(
    "help", "[COMMAND]", "these lines, or more about one command", help_, _command_names, needs=False
)
COMMANDS: Final[dict[str, Command]] = {
    command.name: command
    for command in (
        *about_scenes.COMMANDS,
        *about_evidence.COMMANDS,
        *about_settings.COMMANDS,
        *about_this_chat.COMMANDS,
        _HELP,
        *about_this_chat.LEAVING,
    )
}
ALIASES: Final = {"exit": "quit", "q": "quit", "?": "help", "source": "sources", "images": "look", "facets": "facet"}


def find(name: str) -> Command:
    """A command by name. Raises `UsageError` with the nearest."""
    name = name.lower()
    if command := COMMANDS.get(ALIASES.get(name, name)):
        return command
    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5) or [c for c in COMMANDS if c.startswith(name[:3])]
    hint = f"Did you mean /{near[0]}?" if near else "/help lists them."
    raise UsageError(f"there is no command /{name}.", f"{hint} A question that begins with a slash takes two: //.")


def needs_nothing(line: str) -> bool:
    """Whether a line is a command that runs before anything is loaded."""
    if not line.startswith("/") or line.startswith("//"):
        return False
    name = line[1:].split(maxsplit=1)[0].lower() if line[1:].strip() else ""
    command = COMMANDS.get(ALIASES.get(name, name))
    return command is None or not command.needs


def run(chat: Chat, line: str) -> None:
    """Run the command of a line. Raises what it raises, and `UsageError` for an unknown one."""
    name, _, argument = line[1:].strip().partition(" ")
    command = find(name or "help")
    if command.needs:
        _ = chat.conversation
    command.run(chat, argument.strip())
