"""Writing a file so that it is whole or not there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import RsragError


def replace_file(path: Path, content: bytes) -> None:
    """Write beside and move into place. Raises `RsragError` when that cannot be done."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            part.unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise RsragError(f"the file {path} cannot be written: {reason}.", "Give a file in a folder you own.") from error
