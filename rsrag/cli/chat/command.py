"""What a command is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .completion import Candidate, nothing

if TYPE_CHECKING:
    from .state import Chat


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `takes` as help shows it, `run(chat, argument)`, what Tab offers for the argument, and whether it
    `needs` the conversation to be loaded. The docstring of `run` is its help in full."""

    name: str
    takes: str
    help: str
    run: Callable[[Chat, str], None]
    completes: Callable[[Chat, str], Iterator[Candidate]] = nothing
    needs: bool = True
