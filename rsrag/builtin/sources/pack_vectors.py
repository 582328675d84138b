"""Vectors that a pack brings along, so that its texts and images need not be encoded when it is added.

    vectors/SPACE.npz    hashes (n,) S32: content hashes; rows (n, dim) float16, unit length; encoder (): its id

They are used with the very encoder that made them and for the very content that they were made of; all else is encoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from rsrag import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read(folder: Path, space: str, encoder: str) -> Mapping[str, NDArray[np.float32]]:
    """content hash -> float32 (dim,), unit length; empty where the pack brings none of this encoder.

    Raises `UsageError` for a file that cannot be read.
    """
    import numpy as np

    file = folder / "vectors" / f"{space}.npz"
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
            if str(held["encoder"]) != encoder:
                return {}
            hashes, rows = held["hashes"], held["rows"].astype(np.float32)
        if rows.ndim != 2 or len(rows) != len(hashes) or not np.isfinite(rows).all():
            raise ValueError("hashes and rows do not belong together")
        # Float16 leaves them a ten-thousandth too long or too short.
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UsageError(f"{file} cannot be read: {error}.", "Leave it out: what it holds is then encoded.") from error
    return {digest.decode("ascii", "replace"): row for digest, row in zip(hashes.tolist(), rows, strict=True)}


def write(folder: Path, space: str, encoder: str, hashes: Sequence[str], rows: NDArray[np.float32]) -> Path:
    """Write what `read` reads; rows float32 (n, dim). Returns the file."""
    import numpy as np

    file = folder / "vectors" / f"{space}.npz"
    file.parent.mkdir(exist_ok=True)
    np.savez(file, hashes=np.array(hashes, "S32"), rows=rows.astype(np.float16), encoder=np.array(encoder))
    return file
