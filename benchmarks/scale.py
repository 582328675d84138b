"""One machine, many items: queries, growth and upkeep of a store, against bare Chroma and the published search.

    python scale.py queries [--count 100000]      one query of each kind, recall, and the published RS-RAG search
    python scale.py growth --count 1000000        the same store at 10,000, 100,000 and COUNT
    python scale.py upkeep [--count 100000]       nothing changed, rebuild, export, against doing it the plain way

Vectors are grown from real ones (see scale_store.py; RSRAG_DATA, or --cache with what an earlier run kept).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Row, arguments, compare, interleaved, say, show, skipped
from scale_store import Landmarks, Real, TableEncoder, grown, real, scene

TITLE = "a store of many items"
K = 10
DEPTH = 50
ALPHA = 0.7


def opened(folder: Path, encoder: Any) -> Any:
    from rsrag import KnowledgeBase, Plugins

    return KnowledgeBase(folder / "kb", encoder, plugins=Plugins(external=False))


def bare(kb: Any) -> dict[str, Any]:
    """The store's own collections, asked without rsrag."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(
        str(kb.index.path), settings=Settings(anonymized_telemetry=False, allow_reset=False)
    )
    return {c.name: c for c in client.list_collections()}


def nearest(rows: Any, vectors: Any) -> Any:
    """Places of the K rows nearest to each vector, all compared: int (n, K)."""
    import numpy as np

    found = []
    for vector in vectors:
        cosines = rows @ vector
        best = np.argpartition(-cosines, K)[:K]
        found.append(best[np.argsort(-cosines[best])])
    return np.array(found)


class Published:
    """RS-RAG's search as its paper and code describe it: every candidate fetched, and scored again in a Python loop.

    Kind to it: the candidates' vectors and texts are at hand, rather than fetched for each query.
    """

    def __init__(self, images: Any, passages: Any) -> None:
        self.candidates = [
            {"id": number, "image": image, "text": text}
            for number, (image, text) in enumerate(zip(images, passages, strict=True))
        ]

    def __call__(self, image: Any, text: Any) -> list[int]:
        scored = []
        for candidate in self.candidates:
            score = ALPHA * float(candidate["image"] @ image) + (1 - ALPHA) * float(candidate["text"] @ text)
            scored.append((score, candidate["id"]))
        scored.sort(key=lambda item: -item[0])
        return [number for _, number in scored[:K]]


def percentile(seconds: list[float], share: float) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[round(100 * share) - 1]


def queries(vectors: Real, count: int, runs: int, folder: Path) -> list[Row]:
    import numpy as np

    from rsrag import Query
    from rsrag.builtin.retrievers import ImageToImage, TextToText
    from rsrag.retrieval import fusion, retrieve

    images, passages = grown(vectors, count)
    encoder = TableEncoder(images, passages, vectors.scenes, vectors.questions)
    rows: list[Row] = []
    with opened(folder, encoder) as kb:
        say(f"adding {count:,} landmarks ...")
        say(f"  {kb.add(Landmarks(0, count)).seconds:.0f} s")
        collections = bare(kb)
        asked = min(runs, len(vectors.scenes) - 1)
        shown = [scene(f"query-{number}", number) for number in range(len(vectors.scenes))]
        number_of = {digest: int(record) for digest, record in kb.catalog.db.execute(
            "SELECT c.content_hash, r.id FROM chunks c JOIN records r ON r.rowid = c.record")}  # fmt: skip

        def ours(kind: str, by: str, space: str) -> Callable[[int], list[int]]:
            def ask(number: int) -> list[int]:
                made = Query("", (shown[number],)) if by == "scene" else Query(f"Question {number}")
                return [int(hit.chunk.provenance.record) for hit in kb.search_vectors(made, space, by, K)]

            return ask

        def theirs(space: str, table: Any) -> Callable[[int], list[int]]:
            def ask(number: int) -> list[int]:
                found = collections[space].query(
                    query_embeddings=table[number][None, :], n_results=K, include=["distances"]
                )
                return [number_of[digest] for digest in found["ids"][0]]

            return ask

        for name, by, space, table, among in (
            ("image to image", "scene", "images", vectors.scenes, images),
            ("text to image", "text", "images", vectors.names, images),
            ("text to text", "text", "texts", vectors.questions, passages),
        ):
            pair = {"rsrag": ours(name, by, space), "bare": theirs(space, table)}
            seconds = interleaved(pair, asked, warm_up=1)
            rows.append(compare(f"{name}, p50", seconds["rsrag"], seconds["bare"], 1.15))
            p95 = [percentile(seconds[side], 0.95) for side in ("rsrag", "bare")]
            rows.append(Row(f"{name}, p95", *p95, p95[0] / p95[1], 1.25))
            truth = nearest(among, table[:asked])
            share = statistics.mean(
                len(set(pair["rsrag"](number)) & set(truth[number].tolist())) / K for number in range(asked)
            )
            rows.append(Row(f"{name}, recall@{K}", share, None, share, 0.995, unit="", more_is_better=True))

        lanes, fuse, published = [ImageToImage(), TextToText()], fusion("weighted", ALPHA), Published(images, passages)
        found: dict[str, dict[int, list[int]]] = {"rsrag": {}, "published": {}}

        def fused(number: int) -> None:
            made = Query(f"Question {number}", (shown[number],), k=K)
            hits = retrieve(made, kb, lanes, fuse).hits
            best = [int(hit.chunk.provenance.record) for hit in hits if hit.chunk.kind == "text"]
            found["rsrag"][number] = best[:K]

        def two(number: int) -> None:
            for space, table in (("images", vectors.scenes), ("texts", vectors.questions)):
                collections[space].query(
                    query_embeddings=table[number][None, :], n_results=DEPTH, include=["distances"]
                )

        seconds = interleaved({"rsrag": fused, "bare": two}, asked)
        rows.append(
            compare(f"image and text fused, against two queries of {DEPTH}", seconds["rsrag"], seconds["bare"], 1.3)
        )

        def all_of_them(number: int) -> None:
            found["published"][number] = published(vectors.scenes[number], vectors.questions[number])

        few = interleaved({"rsrag": fused, "published": all_of_them}, 25)
        times = [theirs / ours for ours, theirs in zip(few["rsrag"], few["published"], strict=True)]
        rows.append(
            Row("times faster than the published search", statistics.median(few["rsrag"]),
                statistics.median(few["published"]), statistics.median(times), 20, more_is_better=True)
        )  # fmt: skip
        same = [len(set(found["rsrag"][n]) & set(best)) / K for n, best in found["published"].items()]
        overlap = float(np.mean(same))
        rows.append(Row(f"the same top {K} as the published search", overlap, None, overlap, 0.99, unit="",
                        more_is_better=True))  # fmt: skip
    return rows


SIZES = (10_000, 100_000, 1_000_000)

OPEN = """
import json, re, sys, time
sys.path.insert(0, sys.argv[2])
start = time.perf_counter()
from pathlib import Path
import numpy as np
from rsrag import Query
from scale import opened
from scale_store import TableEncoder
questions = np.load(sys.argv[3])
began = time.perf_counter()
with opened(Path(sys.argv[1]), TableEncoder(questions, questions, questions, questions)) as kb:
    opening = time.perf_counter() - began
    found = kb.search_vectors(Query("Question 0"), "texts", "text", 10)
    first = time.perf_counter() - began
    # Not getrusage: a child begins with the peak of the process that it was forked from.
    peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    print(json.dumps({"open": opening, "first": first, "memory": peak, "found": len(found)}))
"""


def growth(vectors: Real, count: int, runs: int, folder: Path) -> list[Row]:
    """One store of passages, measured at each size on its way to `count`."""
    import numpy as np

    from rsrag import Query

    passages = grown(vectors, count)[1]
    encoder = TableEncoder(passages, passages, vectors.scenes, vectors.questions)
    np.save(folder / "questions.npy", vectors.questions)
    rows: list[Row] = []
    sizes = [size for size in SIZES if size < count] + [count]
    before, first_p50, first_rate, first_memory = 0, 0.0, 0.0, 0.0
    for size in sizes:
        with opened(folder, encoder) as kb:
            say(f"growing to {size:,} passages ...")
            report = kb.add(Landmarks(before, size, images=False, label=f"landmarks-{size}"))
            rate = (size - before) / report.seconds
            say(f"  {report.seconds:.0f} s")
            asked = min(runs, len(vectors.questions))
            seconds = [
                _seconds(lambda n=n: kb.search_vectors(Query(f"Question {n}"), "texts", "text", K))
                for n in range(asked)
            ]
        new = [_in_new_process(folder) for _ in range(3)]
        opening, memory = statistics.median(n["open"] for n in new), min(n["memory"] for n in new)
        p50 = statistics.median(seconds)
        first = size == sizes[0]
        if first:
            first_p50, first_rate, first_memory = p50, rate, memory
        per_chunk = (memory - first_memory) / (size - sizes[0]) if not first else 0.0
        rows += [
            Row(f"{size:,}: query, p50", p50, first_p50, p50 / first_p50, None if first else 3.0,
                note=f"p95 {1000 * percentile(seconds, 0.95):.1f} ms"),
            Row(f"{size:,}: vectors added a second", rate, first_rate, rate / first_rate, None if first else 0.5,
                unit="/s", more_is_better=True),
            Row(f"{size:,}: opened in a new process", opening, None, opening, 2.0,
                note=f"with the first answer {statistics.median(n['first'] for n in new):.2f} s; memory "
                f"{memory / 1e6:,.0f} MB" + ("" if first else f", {per_chunk:,.0f} bytes a chunk more")),
        ]  # fmt: skip
        before = size
    return rows


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _in_new_process(folder: Path) -> dict[str, float]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", OPEN, str(folder), here, str(folder / "questions.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


SAMPLE = 1500
"""Real images taken in to learn what a first run costs an image."""


def upkeep(vectors: Real, count: int, runs: int, folder: Path) -> list[Row]:
    """What is done to a store again and again. A first run is told from the rate of `SAMPLE` real images."""
    from rsrag import KnowledgeBase, Plugins

    archive = folder / "archive"
    say(f"writing {count:,} small files ...")
    _files(archive, count)
    sample = folder / "sample"
    for path in sorted(archive.rglob("*.png"))[:SAMPLE]:
        (sample / path.parent.name).mkdir(parents=True, exist_ok=True)
        os.link(path, sample / path.parent.name / path.name)
    with KnowledgeBase(folder / "first", plugins=Plugins(external=False)) as kb:
        kb.add(sample / "00", source="warm")
        spent = kb.add(sample, source="sample").seconds
    fresh = spent / SAMPLE * count
    say(f"  a first run with the starter encoder: {1000 * spent / SAMPLE:.1f} ms an image")
    images, passages = grown(vectors, count)
    encoder = TableEncoder(images, passages, vectors.scenes, vectors.questions)
    rows = []
    with opened(folder, Blank(encoder)) as kb:
        say(f"taking in {count:,} files ...")
        kb.add(archive)
        again = kb.add(archive)
        rows.append(Row(f"{count:,} unchanged files again, against a first run", again.seconds, fresh,
                        again.seconds / fresh, 0.01, note=f"{again.embedded} embeddings"))  # fmt: skip
    with opened(folder / "vectors", encoder) as kb:
        say(f"adding {count:,} vectors ...")
        kb.add(Landmarks(0, count, images=False))
        rebuilt = _seconds(kb.rebuild)
        rows.append(Row(f"rebuild of {count:,}: times faster than a first run", rebuilt, fresh, fresh / rebuilt, 5,
                        more_is_better=True))  # fmt: skip
        collection = bare(kb)["texts"]
        pairs = interleaved({
            "rsrag": lambda number: _seconds(lambda: kb.export(folder / f"export{number}")),
            "get": lambda number: collection.get(include=["embeddings"]) and None,
        }, 3)  # fmt: skip
        times = [theirs / ours for ours, theirs in zip(pairs["rsrag"], pairs["get"], strict=True)]
        export, get = statistics.median(pairs["rsrag"]), statistics.median(pairs["get"])
        name = f"export of {count:,}: times faster than get()"
        rows.append(Row(name, export, get, statistics.median(times), 10, more_is_better=True))
    return rows


def _files(folder: Path, count: int) -> None:
    """PNGs of 8 x 8 pixels, all different, a thousand to a folder."""
    from PIL import Image

    for number in range(count):
        place = folder / f"{number // 1000:02d}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        Image.fromarray(scene("file", number).rgb(8)).save(place / f"{number:06d}.png")


class Blank:
    """Gives files whatever vector: their number is not known to the encoder."""

    def __init__(self, table: TableEncoder) -> None:
        self._table, self._next = table, 0
        self.id = "blank"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def encode_scenes(self, scenes: Any) -> Any:
        return self._rows(len(scenes))

    def encode_texts(self, texts: Any, role: str = "passage") -> Any:
        return self._rows(len(texts))

    def _rows(self, count: int) -> Any:
        import numpy as np

        start, self._next = self._next, self._next + count
        return self._table.images[np.arange(start, start + count) % len(self._table.images)]


def main() -> None:
    parser = arguments(__doc__, runs=200)
    parser.add_argument("what", choices=["queries", "growth", "upkeep"])
    parser.add_argument("--count", type=int, default=0, help="landmarks (default 100,000; growth: 1,000,000)")
    parser.add_argument("--cache", default="", help="folder that keeps the encoded images and captions")
    parser.add_argument("--work", default="", help="an existing folder for the stores (default: a temporary one)")
    chosen = parser.parse_args()
    vectors = real(chosen.cache)
    if vectors is None:
        skipped(TITLE, "set RSRAG_DATA to the folder with imagetext/", as_json=chosen.json)
        return
    measure = {"queries": queries, "growth": growth, "upkeep": upkeep}[chosen.what]
    count = chosen.count or (SIZES[-1] if chosen.what == "growth" else 100_000)
    with tempfile.TemporaryDirectory(prefix="rsrag-bench-", dir=chosen.work or None) as folder:
        rows = measure(vectors, count, chosen.runs, Path(folder))
    show(f"{TITLE}: {chosen.what}", rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
