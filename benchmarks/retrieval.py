"""Retrieval in a warm process against the bare Chroma queries of its lanes. Target: at most 1.3x.

Ours is what `ask` does before it writes: the vote on the scene, all lanes, the join by subject, fusion, and every
chunk read from the catalog. Compared is one collection.query per vector lane, with the same vectors, as many
results, nothing joined or read. Both sides encode the question and the image anew with the same encoder, and no
question or image is seen twice. `--without-encoding` gives both sides their vectors, which shows the rest alone.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from common import REPOSITORY, Row, arguments, compare, default_store, interleaved, show

TITLE = "retrieval, in a warm process"
DEPTH = 50
THINGS = ["burn scars", "a golf course", "flooded rice", "parked aircraft", "snow line", "ice on a lake", "urban heat",
          "harbour cranes", "mangroves", "red edge bands", "oil on water", "storage tanks", "river braids"]  # fmt: skip
ASKED = ["which bands show {}?", "how do I recognise {} from above?", "where is {} found near water?",
         "what is mistaken for {}?", "how large is {} in metres?", "which index maps {} best?"]  # fmt: skip


def fresh_questions() -> list[str]:
    """Questions that differ in every word that matters."""
    return [asked.format(thing) for asked in ASKED for thing in THINGS]


def fresh_scenes() -> list[Any]:
    """Parts of the bundled images, none the same."""
    import rsrag

    files = sorted((REPOSITORY / "knowledge" / "scenes" / "images").glob("*.webp"))
    scenes = []
    for number, file in enumerate(files):
        scene = rsrag.open_scene(file)
        edge = 8 + number % 24
        scenes.append(rsrag.decoded(scene.window(edge, edge, scene.width - 2 * edge, scene.height - 2 * edge)))
    return scenes


class Bare:
    """collection.query, and nothing else."""

    def __init__(self, kb: Any, chroma: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        # The settings of the store: Chroma refuses a second client on one path with others.
        client = chromadb.PersistentClient(
            str(chroma), settings=Settings(anonymized_telemetry=False, allow_reset=False)
        )
        self.encoder = kb.encoder
        self.collections = {c.name: c for c in client.list_collections()}

    def __call__(self, text: str, scenes: tuple[Any, ...], given: dict[str, Any] | None) -> None:
        if scenes:
            vector = given["scene"] if given else self.encoder.encode_scenes(scenes)[0]
            self._query("images", vector)
            self._query("names", vector)
        if text:
            vector = given["text"] if given else self.encoder.encode_texts([text], role="query")[0]
            self._query("images", vector)
            self._query("texts", vector)

    def _query(self, name: str, vector: Any) -> None:
        self.collections[name].query(query_embeddings=vector[None, :], n_results=DEPTH, include=["distances"])


class Timed:
    """A lane that adds up its seconds."""

    def __init__(self, lane: Any, spent: dict[str, list[float]]) -> None:
        self.lane, self.spent = lane, spent
        self.name, self.needs, self.votes = lane.name, lane.needs, getattr(lane, "votes", False)

    def retrieve(self, query: Any, kb: Any, k: int) -> Any:
        start = time.perf_counter()
        found = self.lane.retrieve(query, kb, k)
        self.spent[self.name].append(time.perf_counter() - start)
        return found


def measure(kb: Any, chroma: Path, runs: int, encoding: bool) -> tuple[list[Row], dict[str, dict[str, float]]]:
    from rsrag import Assistant, Query
    from rsrag.retrieval import retrieve, vote_scenes

    assistant, bare = Assistant(kb), Bare(kb, chroma)
    rows, where = [], {}
    for name in ("text only", "image only", "image and text"):
        questions, scenes = fresh_questions(), fresh_scenes()
        spent: dict[str, list[float]] = defaultdict(list)
        lanes = [Timed(lane, spent) for lane in assistant.lanes()]

        def inputs(number: int, name: str = name, questions: Any = questions, scenes: Any = scenes) -> Any:
            text = questions[number % len(questions)] if "text" in name else ""
            return text, (scenes[number % len(scenes)],) if "image" in name else ()

        def vectors(text: str, scenes: tuple[Any, ...]) -> dict[str, Any]:
            given = {}
            if scenes:
                given["scene"] = kb.encoder.encode_scenes(scenes)[0]
            if text:
                given["text"] = kb.encoder.encode_texts([text], role="query")[0]
            return given

        def ours(number: int, inputs: Any = inputs, spent: Any = spent, lanes: Any = lanes) -> float:
            text, shown = inputs(number)
            query = Query(text, shown)
            if not encoding:  # encode beforehand; the store remembers a query's vectors
                for space, by in (("images", "scene"), ("texts", "text")):
                    kb._query_vectors(query, space, by)
            start = time.perf_counter()
            votes = vote_scenes(query, kb)
            voted = time.perf_counter()
            retrieve(query, kb, lanes, assistant.fuse, votes=votes)
            done = time.perf_counter()
            spent["vote"].append(voted - start)
            spent["lanes, join and fusion"].append(done - voted)
            kb._remembered.clear()
            return done - start

        def theirs(number: int, inputs: Any = inputs) -> float:
            text, shown = inputs(number)
            given = None if encoding else vectors(text, shown)
            start = time.perf_counter()
            bare(text, shown, given)
            return time.perf_counter() - start

        seconds = interleaved({"rsrag": ours, "bare": theirs}, runs, warm_up=5)
        rows.append(compare(name, seconds["rsrag"], seconds["bare"], 1.3 if encoding else None))
        where[name] = {lane: 1000 * statistics.median(s) for lane, s in spent.items()}
    return rows, where


def main() -> None:
    parser = arguments(__doc__, runs=60)
    parser.add_argument("--home", default="", help="data folder to keep the store in (default: a temporary one)")
    options = parser.parse_args()
    import rsrag

    with default_store(options.home) as home, rsrag.KnowledgeBase(home / "kb" / "default") as kb:
        chroma = home / "kb" / "default" / "chroma"
        rows, where = measure(kb, chroma, options.runs, encoding=True)
        alone, _ = measure(kb, chroma, options.runs, encoding=False)
    rows += [Row(f"{r.name}, vectors given", r.value, r.baseline, r.ratio) for r in alone]
    show(TITLE, rows, as_json=options.json, extra={"milliseconds_per_part": where})
    if not options.json:
        for name, parts in where.items():
            print(f"{name}: " + ", ".join(f"{part} {value:.1f} ms" for part, value in parts.items()))


if __name__ == "__main__":
    main()
