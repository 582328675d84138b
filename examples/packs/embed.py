"""Write the vectors that packs bring along, made by the encoders of a new store (the starter's).

    python examples/packs/embed.py knowledge/*/

To be done again after a pack's texts or images have changed; what has changed is encoded when the pack is added.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from rsrag import KnowledgeBase, Plugins
from rsrag.builtin.sources.pack_vectors import write


def embed(pack: Path) -> None:
    for old in pack.glob("vectors/*.npz"):
        old.unlink()
    with (
        tempfile.TemporaryDirectory(prefix="rsrag-embed-") as folder,
        KnowledgeBase(Path(folder) / "kb", plugins=Plugins(external=False)) as kb,
    ):
        kb.add(pack)
        kb.export(Path(folder) / "out")
        for space, (encoder, *_) in kb.catalog.spaces().items():
            hashes = (Path(folder) / "out" / "vectors" / f"{space}.txt").read_text("ascii").splitlines()
            if hashes:
                file = write(pack, space, encoder, hashes, np.load(Path(folder) / "out" / "vectors" / f"{space}.npy"))
                print(f"{file}: {len(hashes):,} vectors, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        embed(Path(name))
