"""Filters over many records: ours, resolved in the catalog, against the same condition as a Chroma `where`.

One store and one Chroma collection hold the same records: a box, a date, cloud cover, a sensor and a random vector
each. Every round asks for another place and time. Targets: box and date at least 20 times faster than `where`, recall
at least 0.999; polygon and season under 50 ms. Truth is every record compared, in numpy.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from common import Row, arguments, interleaved, say, show

TITLE = "filters, in a warm process"
DIM = 128
K = 10
START = datetime(2015, 1, 1, tzinfo=UTC)
DAYS = 3650


class HashEncoder:
    """A unit vector for each text, from its hash: filters do not care what it means."""

    name: ClassVar[str] = "hash"
    id, dim, max_tokens, text_to_text, prompts, max_gsd_m = f"hash-{DIM}", DIM, 1000, True, (), None

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def encode_texts(self, texts: Any, role: str = "passage") -> Any:
        import numpy as np

        rows = np.stack([np.random.default_rng(_seed(text)).standard_normal(DIM, np.float32) for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_scenes(self, scenes: Any) -> Any:
        return self.encode_texts([scene.uri for scene in scenes])


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Archive:
    """Made-up records all over the Earth. `footprints`: every fifth has an outline, a diamond in its box."""

    name: ClassVar[str] = "archive"
    role = "mine"

    def __init__(self, count: int, seed: int = 7) -> None:
        import numpy as np

        rng = np.random.default_rng(seed)
        self.count = count
        self.lon, self.lat = rng.uniform(-179, 178, count), np.degrees(np.arcsin(rng.uniform(-0.95, 0.95, count)))
        self.side = rng.uniform(0.02, 1.0, count)
        self.day = rng.integers(0, DAYS, count)
        self.cloud = rng.integers(0, 101, count)
        self.sensor = rng.choice(["sentinel-2a", "sentinel-2b", "landsat-8", "naip"], count)

    def __len__(self) -> int:
        return self.count

    def text(self, row: int) -> str:
        return f"Image {row} by {self.sensor[row]}."

    def when(self, row: int) -> datetime:
        return START + timedelta(days=int(self.day[row]))

    def box(self, row: int) -> tuple[float, float, float, float]:
        lon, lat, side = float(self.lon[row]), float(self.lat[row]), float(self.side[row])
        return lon, lat, lon + side, min(90.0, lat + side)

    def records(self) -> Iterator[Any]:
        from rsrag import BBox, Record

        for row in range(self.count):
            w, s, e, n = self.box(row)
            ring = [[(w + e) / 2, s], [e, (s + n) / 2], [(w + e) / 2, n], [w, (s + n) / 2], [(w + e) / 2, s]]
            yield Record(
                id=str(row),
                subject=f"image/{row}",
                title=f"Image {row}",
                text=self.text(row),
                facets={"cloud_cover": int(self.cloud[row]), "sensor": str(self.sensor[row])},
                bbox=BBox(w, s, e, n),
                acquired=self.when(row),
                footprint={"type": "Polygon", "coordinates": [ring]} if row % 5 == 0 else None,
                version="1",
            )


class Bare:
    """The same records in a Chroma collection with metadata."""

    def __init__(self, archive: Archive, ids: list[str], vectors: Any, path: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))
        self.collection = client.create_collection(
            "archive", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        step = client.get_max_batch_size()
        for start in range(0, len(ids), step):
            rows = range(start, min(start + step, len(ids)))
            self.collection.add(
                ids=ids[start : start + step],
                embeddings=vectors[start : start + step],
                metadatas=[
                    {
                        **dict(zip(("west", "south", "east", "north"), archive.box(row), strict=True)),
                        "acquired": archive.when(row).timestamp(),
                        "month": archive.when(row).month,
                    }
                    for row in rows
                ],
            )

    def query(self, vector: Any, where: dict[str, Any]) -> list[str]:
        found = self.collection.query(query_embeddings=vector[None, :], n_results=K, where=where, include=["distances"])
        return list(found["ids"][0])


def as_where(box: Any, start: datetime, stop: datetime) -> dict[str, Any]:
    return {
        "$and": [
            {"west": {"$lte": box.east}},
            {"east": {"$gte": box.west}},
            {"south": {"$lte": box.north}},
            {"north": {"$gte": box.south}},
            {"acquired": {"$gte": start.timestamp()}},
            {"acquired": {"$lte": stop.timestamp()}},
        ]
    }


class Questions:
    """The filters of each round. A box is 20 to 60 degrees wide, a span of time a quarter to two years."""

    def __init__(self, seed: int = 11) -> None:
        import random

        self.random = random.Random(seed)

    def area(self) -> Any:
        from rsrag import BBox

        west, south = self.random.uniform(-170, 110), self.random.uniform(-60, 30)
        return BBox(west, south, west + self.random.uniform(20, 60), south + self.random.uniform(10, 30))

    def span(self) -> tuple[datetime, datetime]:
        start = START + timedelta(days=self.random.randrange(0, DAYS - 800))
        return start, start + timedelta(days=self.random.randrange(90, 730))

    def polygon(self) -> dict[str, Any]:
        """A star of 40 corners about as large as the boxes."""
        box = self.area()
        (lon, lat), corners = box.center, []
        for corner in range(40):
            angle, reach = 2 * math.pi * corner / 40, 1.0 if corner % 2 else 0.6
            corners.append([
                lon + reach * (box.east - box.west) / 2 * math.cos(angle),
                lat + reach * (box.north - box.south) / 2 * math.sin(angle),
            ])  # fmt: skip
        return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def measure(kb: Any, archive: Archive, bare: Bare, runs: int) -> tuple[list[Row], dict[str, Any]]:
    import numpy as np

    from rsrag import Circle, Comparison, Filter, Query, Season

    asked, vectors = Questions(), kb.encoder.encode_texts([archive.text(row) for row in range(archive.count)])
    boxes = np.array([archive.box(row) for row in range(archive.count)])
    stamps = np.array([archive.when(row).timestamp() for row in range(archive.count)])
    diamonds = np.arange(archive.count) % 5 == 0
    rounds = [(asked.area(), asked.span(), asked.polygon()) for _ in range(runs + 1)]
    recalls: dict[str, list[float]] = {"rsrag": [], "where": []}
    sizes: list[int] = []

    def question(number: int) -> tuple[str, Any]:
        text = f"question {number}"
        return text, kb.encoder.encode_texts([text])[0]

    def search(number: int, where: Any) -> list[str]:
        hits = kb.search_vectors(Query(question(number)[0], where=where), "texts", "text", K)
        return [hit.chunk.provenance.record for hit in hits]

    def truth(number: int, exact: bool) -> list[str]:
        """The nearest records that satisfy box and date; `exact`: of those with an outline, it must touch the box."""
        import shapely

        box, (start, stop), _ = rounds[number]
        w, s, e, n = boxes.T
        good = (w <= box.east) & (e >= box.west) & (s <= box.north) & (n >= box.south)
        good &= (stamps >= start.timestamp()) & (stamps <= stop.timestamp())
        if exact:
            area = shapely.box(*box.as_tuple())
            for row in np.flatnonzero(good & diamonds):
                a, b, c, d = boxes[row]
                ring = [((a + c) / 2, b), (c, (b + d) / 2), ((a + c) / 2, d), (a, (b + d) / 2)]
                good[row] = area.intersects(shapely.Polygon(ring))
        rows = np.flatnonzero(good)
        sizes.append(len(rows))
        return [str(row) for row in rows[np.argsort(-(vectors[rows] @ question(number)[1]), kind="stable")][:K]]

    def recall(found: list[str], wanted: list[str]) -> float:
        return len(set(found) & set(wanted)) / max(1, len(wanted))

    def ours(number: int) -> float:
        box, span, _ = rounds[number]
        start = time.perf_counter()
        found = search(number, Filter(box=box, interval=span))
        spent = time.perf_counter() - start
        if number >= 0:
            recalls["rsrag"].append(recall(found, truth(number, exact=True)))
        return spent

    def theirs(number: int) -> float:
        box, span, _ = rounds[number]
        vector, where = question(number)[1], as_where(box, *span)
        start = time.perf_counter()
        found = bare.query(vector, where)
        spent = time.perf_counter() - start
        if number >= 0:
            recalls["where"].append(recall(found, truth(number, exact=False)))
        return spent

    seconds = interleaved({"ours": ours, "theirs": theirs}, runs)
    times = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds["theirs"], strict=True)]
    rows = [
        Row(
            "box and date: times faster than where",
            statistics.median(seconds["ours"]),
            statistics.median(seconds["theirs"]),
            statistics.median(times),
            20,
            more_is_better=True,
            note=f"{statistics.median(sizes):,.0f} of {archive.count:,} records satisfy it (median)",
        ),
        Row(
            f"recall@{K} of box and date",
            statistics.mean(recalls["rsrag"]),
            statistics.mean(recalls["where"]),
            statistics.mean(recalls["rsrag"]),
            0.999,
            unit="",
            more_is_better=True,
        ),
    ]
    alone: dict[str, Callable[[int], Any]] = {
        "polygon": lambda number: Filter(polygon=rounds[number][2]),
        "season: summer": lambda number: Filter(season=Season((6, 7, 8), local=True)),
        "season: June": lambda number: Filter(season=Season((6,))),
        "polygon and season": lambda number: Filter(polygon=rounds[number][2], season=Season((6, 7, 8), local=True)),
        "500 km around": lambda number: Filter(circle=Circle(*rounds[number][0].center, 500_000)),
        "cloud cover below 5": lambda number: Filter(comparisons=(Comparison(("cloud_cover",), "<", (5.0,)),)),
        "sensor": lambda number: Filter(facets={"sensor": "naip"}),
    }
    for name, make in alone.items():
        target = 0.05 if name.startswith(("polygon", "season")) else None
        for what, side in (
            ("which chunks", lambda number, make=make: kb.catalog.chunks.hashes("text", kb.condition(make(number)))),
            (f"nearest {K}", lambda number, make=make: search(number + 1000, make(number))),
        ):
            kb._places.clear()  # what one measure has worked out is no help to the next
            spent = statistics.median(interleaved({"ours": side}, runs)["ours"])
            rows.append(Row(f"{name}: {what}", spent, None, spent if target else None, target))
    return rows, {"recalls": recalls}


def main() -> None:
    parser = arguments(__doc__, runs=20)
    parser.add_argument("--records", type=int, default=100_000)
    chosen = parser.parse_args()

    from rsrag import KnowledgeBase, Plugins

    archive = Archive(chosen.records)
    with tempfile.TemporaryDirectory(prefix="rsrag-bench-") as folder:
        encoder: Any = HashEncoder()
        with KnowledgeBase(Path(folder) / "kb", encoder, plugins=Plugins(external=False)) as kb:
            say(f"adding {len(archive):,} records to rsrag ...")
            say(f"  {kb.add(archive).seconds:.0f} s; and to Chroma ...")
            start = time.perf_counter()
            ids = [str(row) for row in range(archive.count)]
            vectors = encoder.encode_texts([archive.text(row) for row in range(archive.count)])
            bare = Bare(archive, ids, vectors, Path(folder) / "bare")
            say(f"  {time.perf_counter() - start:.0f} s")
            rows, extra = measure(kb, archive, bare, chosen.runs)
    show(TITLE, rows, as_json=chosen.json, extra=extra)


if __name__ == "__main__":
    main()
