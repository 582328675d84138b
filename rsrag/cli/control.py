"""What a terminal would obey, taken out of text that others wrote."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Text from anywhere, without control characters that a terminal would obey."""
    return _CONTROL.sub("", text)
