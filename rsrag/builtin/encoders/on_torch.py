"""What the encoders that run on torch share: checks of options, the device, unit rows, digests and names."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rsrag import ModelError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEVICES: Final = ("auto", "cpu", "cuda", "mps")


def check_choice(encoder: str, option: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `UsageError` unless `value` is one of those allowed."""
    if value not in allowed:
        near = difflib.get_close_matches(value, allowed, n=1)
        raise UsageError(
            f"encoder '{encoder}' has no {option} '{value}'.",
            f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(allowed)}.",
        )


def pick_device(wanted: str) -> str:
    """ "auto" is the first of cuda, mps and cpu that is there. Raises `ModelError` where the wanted one is not."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, found in there.items() if found)
    if not there[wanted]:
        raise ModelError(f"torch sees no device '{wanted}' here.", 'Use device = "auto", or a torch built for it.')
    return wanted


def unit_rows(rows: NDArray[Any], encoder: str) -> NDArray[np.float32]:
    """float32 (n, dim) with rows of length 1. Raises `ModelError` for a row that has no direction."""
    import numpy as np

    rows = rows.astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        raise ModelError(
            f"encoder '{encoder}' made no vector but NaN, infinity or zeros of {len(bad)} of {len(rows)} items.",
            'Half precision may have overflowed (precision = "fp32"), or the weights are damaged.',
        )
    unit: NDArray[np.float32] = rows / lengths
    return unit


def file_digest(file: Path, *, salt: str = "") -> str:
    """12 hex digits of a file's length, both its ends and 64 samples between: milliseconds, however large it is."""
    length = file.stat().st_size
    digest = hashlib.blake2b(f"{salt}:{length}:".encode(), digest_size=6)
    with file.open("rb") as stream:
        digest.update(stream.read(65536))
        for step in range(1, 64):
            stream.seek(length * step // 64)
            digest.update(stream.read(4096))
        stream.seek(max(0, length - 65536))
        digest.update(stream.read())
    return digest.hexdigest()


def said(error: BaseException) -> str:
    """The first line of an error that says something, cut to fit in a line of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines.pop(0)  # a heading
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:160]


def slug(name: str) -> str:
    """A name with nothing in it but letters, digits, - _ and dots."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-")
