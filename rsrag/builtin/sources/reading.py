"""JSON from files of others: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import json
import re
from typing import Any


def read_json(data: bytes) -> Any:
    """The value of UTF-8 JSON. Raises `ValueError` also for nesting without end and for half a character."""
    text = data.decode("utf-8-sig")
    try:
        value = json.loads(text)
        if re.search(r"\\u[dD][89a-fA-F]", text):  # the halves of a pair are fine
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"it holds half a character, {error.object[error.start]!a}, which is no Unicode") from None
    return value


def unstorable(*texts: str) -> str:
    """Why these texts cannot be stored (they hold half a character), or ""."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        return f"holds half a character, {error.object[error.start]!a}, which is no Unicode"
    return ""
