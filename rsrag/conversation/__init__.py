"""The parts of a conversation: what an exchange is, what a follow-up means, what is remembered, which scenes stand.

Nothing here opens a file or asks a model.
"""

from __future__ import annotations

from .context import Context, Frame
from .exchange import Exchange, Focus, Rewritten, ToolUse, Why
from .followups import rewrite
from .journal import Journal, Unkept
from .memory import Limits
from .names import Entity
from .scenes import Placed, Shelf
from .state import State

__all__ = [
    "Context",
    "Entity",
    "Exchange",
    "Focus",
    "Frame",
    "Journal",
    "Limits",
    "Placed",
    "Rewritten",
    "Shelf",
    "State",
    "ToolUse",
    "Unkept",
    "Why",
    "rewrite",
]
