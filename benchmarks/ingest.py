"""Ingesting a folder of images against the encoder alone on the same images. Target: at least 0.85 of its speed.

Ours is `kb.add(folder)` into a new store: find, decode, hash, preview, encode, write the catalog and Chroma.
Compared is `open_scene` and `encode_scenes` over the same files in batches of the encoder's own size, which
decodes too and keeps nothing. Images: UC Merced and AID from $RSRAG_DATA, or generated JPEGs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Row, arguments, data, interleaved, say, show, textured, unpack

TITLE = "ingest, images per second"


def alone(encoder: Any, files: list[Path]) -> float:
    import rsrag

    start = time.perf_counter()
    for first in range(0, len(files), encoder.batch):
        encoder.encode_scenes([rsrag.open_scene(file) for file in files[first : first + encoder.batch]])
    return time.perf_counter() - start


def into_store(encoder: Any, folder: Path, expected: int) -> float:
    import rsrag

    with tempfile.TemporaryDirectory() as store, rsrag.KnowledgeBase(store, encoder) as kb:
        kb.index.count("images")  # both sides warm: the encoder is loaded already, so Chroma is imported and open too
        start = time.perf_counter()
        report = kb.add(folder)
        spent = time.perf_counter() - start
        assert report.added == expected and not report.failed, report
    return spent


def main() -> None:
    parser = arguments(__doc__, runs=3)
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    import rsrag

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        real = data("imagetext/ucm.tar", "imagetext/aid.tar")
        if real:
            files = unpack(real, folder, ["ucm", "aid"], first=options.images)
        else:
            say("RSRAG_DATA is not set or lacks imagetext/*.tar: measuring on generated JPEGs.")
            files = textured(folder, options.images)
        encoder = rsrag.create("encoder", "starter")
        alone(encoder, files[:64])
        seconds = interleaved(
            {"rsrag": lambda _: into_store(encoder, folder, len(files)), "alone": lambda _: alone(encoder, files)},
            options.runs,
            warm_up=0,
        )
    ours, theirs = ([len(files) / s for s in seconds[side]] for side in ("rsrag", "alone"))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    row = Row(
        f"{len(files)} images ({'UC Merced and AID' if real else 'generated'})",
        statistics.median(ours),
        statistics.median(theirs),
        ratio,
        0.85,
        "img/s",
        more_is_better=True,
    )
    show(TITLE, [row], as_json=options.json, extra={"seconds": seconds})


if __name__ == "__main__":
    main()
