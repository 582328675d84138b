"""What is lost, and what is found, when things go wrong: a knowledge base beside bare Chroma, with the same vectors.

Two writers at once; writers killed (kill -9); a reader that was there first. A row counts as acknowledged once the call
that added its batch has returned. It is lost where it is not there afterwards, and found where it is the nearest to its
own vector. Ours searches by Chroma too, which otherwise begins at 10,000 vectors. Every side runs in processes of its
own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

DIM = 64
BATCH = 200


def vector(id: str) -> Any:
    row = np.random.default_rng(int(id[1:])).standard_normal(DIM, np.float32)
    return row / np.linalg.norm(row)


# -- both sides -----------------------------------------------------------------------------------


class Bare:
    """A PersistentClient and a collection."""

    name = "bare Chroma"

    def __init__(self, path: str) -> None:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))
        space = {"hnsw": {"space": "cosine"}}
        self.rows = client.get_or_create_collection("rows", embedding_function=None, configuration=space)

    def add(self, ids: Sequence[str]) -> None:
        self.rows.add(ids=list(ids), embeddings=np.stack([vector(id) for id in ids]))

    def there(self) -> set[str]:
        return set(self.rows.get(include=[])["ids"])

    def nearest(self, id: str) -> str:
        found = self.rows.query(query_embeddings=vector(id)[None], n_results=1, include=[])["ids"][0]
        return found[0] if found else ""


class Named:
    """The vector of a record is that of its name."""

    name: ClassVar[str] = "named"
    id, dim, max_tokens, text_to_text, prompts, max_gsd_m = "named-1", DIM, 256, True, (), None

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def encode_texts(self, texts: Sequence[str], role: str = "passage") -> Any:
        return np.stack([vector(text.split()[-1]) for text in texts])

    def encode_scenes(self, scenes: Any) -> Any:
        raise NotImplementedError


class Ours:
    """A knowledge base."""

    name = "rsrag"

    def __init__(self, path: str) -> None:
        import rsrag.store.search
        from rsrag import KnowledgeBase, Plugins

        rsrag.store.search.EXACT_UP_TO = 0
        self.kb = KnowledgeBase(path, Named(), plugins=Plugins(external=False), wait=600)

    def add(self, ids: Sequence[str]) -> None:
        from rsrag import Record

        class Batch:
            name, role, label = "list", "mine", f"rows-{ids[0]}"

            def records(self) -> Iterator[Record]:
                return (Record(id, f"row/{id}", id, f"This is {id}") for id in ids)

        report = self.kb.add(Batch())
        assert report.added == len(ids), report

    def there(self) -> set[str]:
        return {row[0] for row in self.kb.catalog.db.execute("SELECT id FROM records")}

    def nearest(self, id: str) -> str:
        from rsrag import Query

        found = self.kb.search_vectors(Query(f"This is {id}"), "texts", "text", 1)
        return found[0].chunk.provenance.record if found else ""


SIDES: dict[str, type[Ours | Bare]] = {"ours": Ours, "bare": Bare}


# -- in processes of their own --------------------------------------------------------------------


def write(side: str, path: str, first: str, count: str) -> None:
    """Add rows in batches when told to; says each id once its batch is acknowledged."""
    store = SIDES[side](path)
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(int(first), int(first) + int(count), BATCH):
        ids = [f"r{number}" for number in range(start, min(start + BATCH, int(first) + int(count)))]
        store.add(ids)
        print(*ids, flush=True)


def look(side: str, path: str) -> None:
    """Open, look once, and then tell of the ids of every line which are there and which are found."""
    store = SIDES[side](path)
    errors: list[str] = []

    def is_found(id: str) -> bool:
        try:
            return bool(store.nearest(id) == id)
        except Exception as error:
            errors.append(f"{error}".splitlines()[0])
            return False

    is_found("r0")
    print("ready", flush=True)
    for line in sys.stdin:
        ids = line.split()
        lost = sorted(set(ids) - store.there())
        missed = [id for id in ids if not is_found(id)]
        print(json.dumps({"lost": lost, "missed": missed, "errors": errors[:1]}), flush=True)


def process(task: str, *rest: object) -> subprocess.Popen[str]:
    """Started, and ready or already at an end."""
    command = [sys.executable, __file__, task, *map(str, rest)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    started.stdout.readline()
    return started


def go(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        writer.stdin.write("\n")
        writer.stdin.flush()


def said(writer: subprocess.Popen[str]) -> list[str]:
    assert writer.stdout is not None
    ids = writer.stdout.read().split()
    writer.wait()
    return ids


def asked(reader: subprocess.Popen[str], ids: Sequence[str]) -> dict[str, list[str]]:
    assert reader.stdin is not None and reader.stdout is not None
    reader.stdin.write(" ".join(ids) + "\n")
    reader.stdin.flush()
    return dict(json.loads(reader.stdout.readline()))


# -- what goes wrong ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """Of the rows that `side` acknowledged: how many were lost, how many were found by their own vector."""

    case: str
    side: str
    acknowledged: int
    lost: int
    found: int
    note: str = ""


def outcome(case: str, side: str, ids: Sequence[str], reader: subprocess.Popen[str]) -> Outcome:
    told = asked(reader, ids)
    reader.communicate()
    found = len(ids) - len(told["missed"])
    return Outcome(case, SIDES[side].name, len(ids), len(told["lost"]), found, "".join(told["errors"]))


def begin(side: str, path: Path) -> list[str]:
    writer = process("write", side, path, 0, BATCH)
    go(writer)
    return said(writer)


def two_writers(side: str, path: Path, rows: int, kills: int, seed: int) -> Outcome:
    ids = begin(side, path)
    writers = [process("write", side, path, first, rows) for first in (1_000_000, 2_000_000)]
    for writer in writers:
        go(writer)
    ids += [id for writer in writers for id in said(writer)]
    return outcome("two writers at once", side, ids, process("look", side, path))


def killed(side: str, path: Path, rows: int, kills: int, seed: int) -> Outcome:
    ids, chance = begin(side, path), random.Random(seed)
    for turn in range(kills):
        writer = process("write", side, path, 1_000_000 * (turn + 1), rows)
        go(writer)
        time.sleep(chance.uniform(0.05, 1.5))
        writer.send_signal(signal.SIGKILL)
        ids += said(writer)
    return outcome(f"{kills} writers killed", side, ids, process("look", side, path))


def reader_first(side: str, path: Path, rows: int, kills: int, seed: int) -> Outcome:
    begin(side, path)
    reader = process("look", side, path)
    writer = process("write", side, path, 1_000_000, rows)
    go(writer)
    new = said(writer)
    time.sleep(1)
    return outcome("a reader that was there first", side, new, reader)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    parser.add_argument("--rows", type=int, default=2000, help="rows that each writer adds")
    parser.add_argument("--kills", type=int, default=10, help="writers that are killed, one after the other")
    parser.add_argument("--stores", type=int, default=3, help="stores whose writers are killed")
    given = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for turn, case in enumerate((two_writers, *[killed] * given.stores, reader_first)):
            for side in SIDES:
                outcomes.append(case(side, Path(folder) / f"{turn}-{side}", given.rows, given.kills, turn))
    if given.json:
        print(json.dumps({"rows": given.rows, "kills": given.kills, "outcomes": [asdict(o) for o in outcomes]}))
        return
    print(f"{'':30} {'':12} {'acknowledged':>12} {'lost':>6} {'found':>7}")
    for o in outcomes:
        print(f"{o.case:30} {o.side:12} {o.acknowledged:12,} {o.lost:6,} {o.found / max(1, o.acknowledged):7.1%}")
        if o.note:
            print(f"    {o.note}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(*sys.argv[2:])
    elif sys.argv[1:2] == ["look"]:
        look(*sys.argv[2:])
    else:
        main()
