"""A knowledge base whose writer is killed (kill -9) at any moment, or whose files are cut anywhere: still whole.

`make test` kills five writers, `make test-all` fifty more. What a writer says it has stored must be found afterwards by
its own vector and by its text, nothing else may be, and doing the work again must finish it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from whole import Listed, assert_whole, numbered

from rsrag import KnowledgeBase, Plugins, StoreError
from rsrag.testing.encoders import FakeEncoder

TESTS = Path(__file__).parent
MANY = 160
OLD, NEW = range(MANY), range(MANY, 2 * MANY)

# A writer in a process of its own. It says "go" when it begins, and the id of each record once it is acknowledged.
WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
import rsrag.ingest, rsrag.store.rebuild
from rsrag import KnowledgeBase, Plugins
from rsrag.store.catalog import Catalog
from rsrag.testing.encoders import FakeEncoder
from whole import Listed, numbered

rsrag.ingest.BATCH, rsrag.ingest.SETTLE_SECONDS, rsrag.store.rebuild.ROWS = 8, 0, 16
put = Catalog.put

def told(self, batch):
    put(self, batch)
    print(*(record.id for record, *_ in batch.records), flush=True)

Catalog.put = told
path, job = sys.argv[1:3]
with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
    kb.index.count("texts") if kb.info().chunks else None
    print("go", flush=True)
    if job == "ingest":
        kb.add(Listed(*map(numbered, range({many}, 2 * {many})), label="new"))
    elif job == "rebuild":
        kb.rebuild()
    elif job == "delete":
        kb.delete("old")
    print("done", flush=True)
""".replace("{many}", str(MANY))


def opened(path: Path) -> KnowledgeBase:
    return KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one source, "old"."""
    path = tmp_path_factory.mktemp("filled") / "kb"
    with opened(path) as kb:
        kb.add(Listed(*map(numbered, OLD), label="old"))
    return path


def killed(path: Path, job: str, after_s: float, batches: int = 0) -> tuple[set[str], bool]:
    """Run a writer and kill it so many seconds after it began, or after it acknowledged so many batches: (ids it
    acknowledged, whether it was done already)."""
    command = [sys.executable, "-c", WRITER, str(path), job, str(TESTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "go\n"
        words = [word for _ in range(batches) for word in writer.stdout.readline().split()]
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        words += writer.stdout.read().split()
    return {word for word in words if word != "done"}, "done" in words


def ids(numbers: range) -> set[str]:
    return {f"r{number}" for number in numbers}


def check_after_kill(filled: Path, path: Path, job: str, after_s: float, batches: int = 0) -> bool:
    import shutil

    shutil.copytree(filled, path)
    said, done = killed(path, job, after_s, batches)
    with opened(path) as kb:
        if job == "ingest":
            assert_whole(kb, ids(OLD) | said, ids(OLD) | ids(NEW))
        elif job == "rebuild":
            assert_whole(kb, ids(OLD))
            assert kb.encoder.texts_encoded == 0  # type: ignore[attr-defined]
        else:
            left = {chunk.provenance.record for chunk in kb.catalog.chunks("1", ())}
            assert left in (set(), ids(OLD))  # all of a source or nothing
            assert_whole(kb, left)
        # Doing it again finishes it.
        if job == "ingest":
            assert kb.add(Listed(*map(numbered, NEW), label="new")).failed == ()
            assert_whole(kb, ids(OLD) | ids(NEW))
        elif job == "rebuild":
            kb.rebuild()
            assert_whole(kb, ids(OLD))
            assert len(list(path.glob("chroma*"))) == 1
    return done


@pytest.mark.parametrize(
    ("job", "after_s", "batches"),
    [("ingest", 0.0, 1), ("ingest", 0.005, 7), ("rebuild", 0.1, 0), ("rebuild", 0.02, 0), ("delete", 0.03, 0)],
)
def test_a_killed_writer_loses_nothing(filled: Path, tmp_path: Path, job: str, after_s: float, batches: int) -> None:
    assert check_after_kill(filled, tmp_path / "kb", job, after_s, batches) is False or job != "ingest"


@pytest.mark.slow
@pytest.mark.parametrize("job", ["ingest", "rebuild", "delete"])
def test_writers_killed_at_random_lose_nothing(filled: Path, tmp_path: Path, job: str) -> None:
    chance = random.Random(os.environ.get("FAULTS_SEED", job))
    longest = {"ingest": 1.5, "rebuild": 0.6, "delete": 0.2}[job]
    turns = int(os.environ.get("FAULTS_TURNS", "17"))
    done = [check_after_kill(filled, tmp_path / f"kb{n}", job, chance.uniform(0, longest)) for n in range(turns)]
    assert not all(done)  # some were killed at work


def test_a_first_ingest_that_is_killed_leaves_a_store(tmp_path: Path) -> None:
    said, _ = killed(tmp_path / "kb", "ingest", 0.0, batches=3)
    with opened(tmp_path / "kb") as kb:
        assert_whole(kb, said, ids(NEW))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_files_cut_anywhere_are_mended_or_refused(filled: Path, tmp_path: Path, seed: int) -> None:
    """Every file of the store in turn loses its end: the index is made anew, a catalog is refused and left."""
    import shutil

    chance = random.Random(seed)
    for number, name in enumerate(sorted(str(p.relative_to(filled)) for p in filled.rglob("*") if p.is_file())):
        path = tmp_path / f"kb{number}"
        shutil.copytree(filled, path)
        size = (path / name).stat().st_size
        if not size:
            continue
        os.truncate(path / name, chance.randrange(size))
        if name == "catalog.sqlite":
            with pytest.raises(StoreError, match="Nothing was changed"):
                opened(path)
            continue
        with opened(path) as kb:
            assert_whole(kb, ids(OLD))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_log_cut_after_a_kill_costs_its_end_at_most(filled: Path, tmp_path: Path, seed: int) -> None:
    """What was in the catalog before stays; the store is whole with a part of the rest, or refused and left."""
    import shutil

    path, chance = tmp_path / "kb", random.Random(seed)
    shutil.copytree(filled, path)
    killed(path, "ingest", 0.0, batches=4)
    log = path / "catalog.sqlite-wal"
    os.truncate(log, chance.randrange(log.stat().st_size))
    try:
        kb = opened(path)
    except StoreError as error:
        assert "Nothing was changed" in str(error)
        return
    with kb:
        assert_whole(kb, ids(OLD), ids(OLD) | ids(NEW))
