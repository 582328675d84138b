"""A knowledge base whose writer is killed (kill -9) at any moment, or whose files are cut anywhere: still whole.

`make test` kills five writers, `make test-faults` many more, at work of every kind. What a writer says it has stored
must be found afterwards by its own vector and by its text, nothing else may be, and doing it again must finish it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jobs import JOBS, NEW_IDS, OLD_IDS, TESTS, opened, records
from whole import assert_whole

from rsrag import StoreError
from rsrag.store.snapshots import restore, snapshots

TURNS = int(os.environ.get("FAULTS_TURNS", "8"))
SEED = os.environ.get("FAULTS_SEED", "")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """Copies what a job finds before it begins."""
    made: dict[object, Path] = {}

    def copy(job: str, to: Path) -> Path:
        prepare = JOBS[job].before
        if prepare not in made:
            made[prepare] = tmp_path_factory.mktemp("before")
            prepare(made[prepare])
        return Path(shutil.copytree(made[prepare], to))

    return copy


Before = Callable[[str, Path], Path]


def start(folder: Path, job: str, largest_file: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(TESTS / "jobs.py"), str(folder), job, *([str(largest_file)] if largest_file else [])]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "go\n"
    return writer


def killed(folder: Path, job: str, after_s: float, batches: int = 0) -> tuple[set[str], bool]:
    """Run a writer and kill it so many seconds after it began, or after it acknowledged so many batches: (ids it
    acknowledged, whether it was done already)."""
    with start(folder, job) as writer:
        assert writer.stdout is not None
        words = [word for _ in range(batches) for word in writer.stdout.readline().split()]
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        words += writer.stdout.read().split()
    return {word for word in words if word != "done"}, "done" in words


def check(folder: Path, job: str, said: set[str]) -> None:
    """What was broken off left it whole, and doing it again finishes it."""
    with opened(folder) as kb:
        JOBS[job].broken_off(kb, said)
    with opened(folder) as kb:
        if (work := JOBS[job].work) is not None:
            work(kb, folder)
    with opened(folder) as kb:
        JOBS[job].finished(kb, said)


@pytest.mark.parametrize(
    ("job", "after_s", "batches"),
    [("ingest", 0.0, 1), ("ingest", 0.005, 7), ("rebuild", 0.1, 0), ("delete", 0.03, 0), ("import", 0.0, 5)],
)
def test_a_killed_writer_loses_nothing(before: Before, tmp_path: Path, job: str, after_s: float, batches: int) -> None:
    folder = before(job, tmp_path / "at")
    said, done = killed(folder, job, after_s, batches)
    assert not done or not batches
    check(folder, job, said)


@pytest.fixture(scope="module")
def lasts(before: Before, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], float]:
    """How many seconds a job takes when nobody kills it, now and here."""
    known: dict[str, float] = {}

    def measure(job: str) -> float:
        if job not in known:
            folder = before(job, tmp_path_factory.mktemp("lasts") / "at")
            with start(folder, job) as writer:
                began = time.monotonic()
                assert writer.stdout is not None and writer.stdout.read().split()[-1] == "done"
                known[job] = time.monotonic() - began
        return known[job]

    return measure


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(TURNS))
@pytest.mark.parametrize("job", JOBS)
def test_a_writer_killed_at_random_loses_nothing(
    before: Before, lasts: Callable[[str], float], tmp_path: Path, job: str, seed: int
) -> None:
    after_s = random.Random(f"{SEED}{job}{seed}").uniform(0, lasts(job))
    for turn in range(9):
        folder = before(job, tmp_path / f"at{turn}")
        said, done = killed(folder, job, after_s)
        if not done:
            break
        after_s /= 2  # it was quicker this time
    assert not done
    check(folder, job, said)


def test_a_first_ingest_that_is_killed_leaves_a_store(before: Before, tmp_path: Path) -> None:
    folder = before("ingest", tmp_path / "at")
    shutil.rmtree(folder / "kb")
    with opened(folder, "fake"):
        pass
    said, _ = killed(folder, "ingest", 0.0, batches=3)
    with opened(folder) as kb:
        assert_whole(kb, said, NEW_IDS)


# -- files cut off --------------------------------------------------------------------------------


def cut(file: Path, chance: random.Random) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size))


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(1, 8))]


@pytest.mark.parametrize("seed", SEEDS)
def test_files_cut_anywhere_are_mended_or_refused(before: Before, tmp_path: Path, seed: int) -> None:
    """Every file of the store in turn loses its end: the index is made anew, a catalog is refused and left, a preview
    is told of."""
    chance = random.Random(f"{SEED}{seed}")
    whole = before("ingest", tmp_path / "whole")
    previews = 0
    for number, name in enumerate(str(p.relative_to(whole)) for p in files(whole / "kb")):
        if name.startswith("kb/snapshots") or (name.endswith(".jpg") and (previews := previews + 1) > 2):
            continue  # snapshots have a test of their own
        folder = Path(shutil.copytree(whole, tmp_path / f"at{number}"))
        cut(folder / name, chance)
        if name.endswith("catalog.sqlite"):
            with pytest.raises(StoreError, match="Nothing was changed"):
                opened(folder)
            continue
        with opened(folder) as kb:
            if name.endswith(".jpg"):
                assert [p for p in kb.verify().problems if not p.startswith("previews: 1 ")] == []
                assert not kb.verify().ok
            else:
                assert_whole(kb, OLD_IDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_snapshot_cut_anywhere_is_refused_and_told(before: Before, tmp_path: Path, seed: int) -> None:
    chance = random.Random(f"{SEED}{seed}")
    folder = before("restore", tmp_path / "at")
    for file in files(folder / "kb" / "snapshots" / "kept"):
        data = file.read_bytes()
        cut(file, chance)
        with pytest.raises(StoreError if file.name == "catalog.sqlite" else Exception, match="kept"):
            restore(folder / "kb", "kept")
        with opened(folder) as kb:
            assert records(kb) == OLD_IDS | NEW_IDS
            told = " ".join(kb.verify().problems)
            assert ("snapshot kept" in told) == (file.name == "catalog.sqlite"), told
        assert ("kept" in {s.name for s in snapshots(folder / "kb")}) == (file.name == "catalog.sqlite")
        file.write_bytes(data)
    restore(folder / "kb", "kept")
    with opened(folder) as kb:
        assert_whole(kb, OLD_IDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_export_cut_anywhere_is_refused(before: Before, tmp_path: Path, seed: int) -> None:
    chance = random.Random(f"{SEED}{seed}")
    folder = before("import", tmp_path / "at")
    with opened(folder) as kb:
        for file in files(folder / "out"):
            data = file.read_bytes()
            cut(file, chance)
            with pytest.raises(Exception, match=r"no export|missing or damaged"):
                kb.import_(folder / "out")
            assert records(kb) == OLD_IDS
            file.write_bytes(data)
        kb.import_(folder / "out")
        assert_whole(kb, OLD_IDS | NEW_IDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_cut_after_a_kill_costs_its_end_at_most(before: Before, tmp_path: Path, seed: int) -> None:
    """What was in the catalog before stays; the store is whole with a part of the rest, or refused and left."""
    folder, chance = before("ingest", tmp_path / "at"), random.Random(f"{SEED}{seed}")
    killed(folder, "ingest", 0.0, batches=4)
    cut(folder / "kb" / "catalog.sqlite-wal", chance)
    try:
        kb = opened(folder)
    except StoreError as error:
        assert "Nothing was changed" in str(error)
        return
    with kb:
        assert_whole(kb, OLD_IDS, OLD_IDS | NEW_IDS)
