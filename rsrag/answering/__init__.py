"""From evidence to answer: the ledger, the prompt for a chat model, citations, and the reader behind `extractive`.

Pure: nothing here does I/O, and importing it is cheap.
"""

from __future__ import annotations

from .citations import Citations, Marker, check, letters, markers
from .cleaning import clean, one_line, unmark
from .ledger import Ledger, chunk_key, tool_key
from .prompting import Rendered, messages, render
from .reader import Reading, read
from .sentences import sentences

__all__ = [
    "Citations",
    "Ledger",
    "Marker",
    "Reading",
    "Rendered",
    "check",
    "chunk_key",
    "clean",
    "letters",
    "markers",
    "messages",
    "one_line",
    "read",
    "render",
    "sentences",
    "tool_key",
    "unmark",
]
