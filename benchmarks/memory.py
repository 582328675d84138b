"""Peak memory while ingesting ten times the images. Target: at most 1.15x, vectors aside.

Each size is ingested in a process of its own, which reports its peak resident size (ru_maxrss). The vectors, kept
in memory by Chroma's index while it is written, are taken off: n * dim * 4 bytes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from common import Row, arguments, data, run, say, show, textured, unpack

TITLE = "memory, ten times the images"
MIB = 2**20

CHILD = """
import json, resource, sys, tempfile
import rsrag
with tempfile.TemporaryDirectory() as store, rsrag.KnowledgeBase(store) as kb:
    report = kb.add(sys.argv[1])
    assert not report.failed, report
    vectors = sum(count * dim * 4 for _, _, dim, count in kb.info().spaces)
scale = 1 if sys.platform == "darwin" else 1024
print(json.dumps([report.added, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale, vectors]))
"""


def peak(folder: Path) -> tuple[int, float]:
    """(images, bytes at the peak without vectors)."""
    images, resident, vectors = json.loads(run([sys.executable, "-c", CHILD, str(folder)]))
    return images, resident - vectors


def main() -> None:
    parser = arguments(__doc__, runs=2)
    parser.add_argument("--images", type=int, default=400, help="the smaller number")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        small, large = Path(temporary) / "small", Path(temporary) / "large"
        real = data("imagetext/ucm.tar", "imagetext/aid.tar")
        if real:
            unpack(real, large, ["ucm", "aid"], first=10 * options.images)
            unpack(real, small, ["ucm", "aid"], first=options.images)
        else:
            say("RSRAG_DATA is not set or lacks imagetext/*.tar: measuring on generated JPEGs.")
            textured(large, 10 * options.images)
            textured(small, options.images, seed=1)
        few, many = [], []
        for _ in range(options.runs):
            count, bytes_few = peak(small)
            count_many, bytes_many = peak(large)
            few.append(bytes_few / MIB)
            many.append(bytes_many / MIB)
    row = Row(
        f"{count_many} against {count} images",
        statistics.median(many),
        statistics.median(few),
        statistics.median(b / a for a, b in zip(few, many, strict=True)),
        1.15,
        "MiB",
    )
    show(TITLE, [row], as_json=options.json)


if __name__ == "__main__":
    main()
