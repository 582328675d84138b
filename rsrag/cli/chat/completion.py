"""What Tab offers: commands, what they take, and paths. Pure but for looking at folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .describe import shortened
from .dropping import IMAGES

if TYPE_CHECKING:
    from .state import Chat


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to put in the place of the last `replaces` characters; `shown` in the menu, with a `hint`."""

    text: str
    replaces: int = 0
    hint: str = ""
    shown: str = ""


def complete(chat: Chat, before: str) -> Iterator[Candidate]:
    """Candidates for what stands before the cursor."""
    from .commands import COMMANDS

    if before.startswith("/") and not before.startswith("//") and "\n" not in before:
        name, space, argument = before.partition(" ")
        if space:
            if command := COMMANDS.get(name[1:]):
                with suppress(Exception):  # nothing that Tab meets may end the prompt
                    yield from command.completes(chat, argument)
            return
        found = [command for command in COMMANDS.values() if command.name.startswith(name[1:])]
        yield from (Candidate(f"/{command.name}", len(name), command.help) for command in found)
        if found:
            return
    word = before.rpartition(" ")[2] if not before.startswith("/") else before
    if word.startswith(("/", "./", "../", "~/")):
        yield from paths(chat, word)


def words(options: Iterable[tuple[str, str]], argument: str) -> Iterator[Candidate]:
    """Those of (word, hint) that begin as the last word of the argument does."""
    last = argument.rpartition(" ")[2]
    for option, hint in options:
        if option.lower().startswith(last.lower()):
            yield Candidate(option, len(last), hint)


def letters(chat: Chat, argument: str) -> Iterator[Candidate]:
    """Of the images of this chat."""
    if chat.opening.ready:
        scenes = chat.conversation.scenes.items()
        yield from words([(k, Path(s.uri.partition("#")[0]).name) for k, s in scenes], argument)


def numbers(chat: Chat, argument: str) -> Iterator[Candidate]:
    """Of the evidence, the latest first."""
    if chat.opening.ready:
        found = sorted(chat.conversation.ledger, key=lambda e: -e.number)
        yield from words([(str(e.number), shortened(e.title, 40)) for e in found], argument)


def letters_and_numbers(chat: Chat, argument: str) -> Iterator[Candidate]:
    """Of whatever can be looked at."""
    yield from letters(chat, argument)
    yield from numbers(chat, argument)


def paths(chat: Chat, argument: str) -> Iterator[Candidate]:
    """Images and folders that a path could go on to."""
    head, slash, start = argument.rpartition("/")
    folder = Path(head + slash or ".").expanduser()
    with suppress(OSError):
        entries = sorted(folder.iterdir(), key=lambda p: p.name.lower())
        for entry in entries[:2000]:
            if not entry.name.lower().startswith(start.lower()) or (entry.name.startswith(".") and not start):
                continue
            if entry.is_dir():
                yield Candidate(f"{entry.name}/", len(start), shown=f"{entry.name}/")
            elif entry.suffix.lower() in IMAGES:
                yield Candidate(entry.name, len(start))


def nothing(chat: Chat, argument: str) -> Iterator[Candidate]:
    """Where there is nothing to offer."""
    return iter(())
