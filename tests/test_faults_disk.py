"""Disks that are full or fail: one line says what and where, nothing is lost, and doing it again finishes it.

A largest file size (RLIMIT_FSIZE) makes every write beyond it fail, in SQLite, in Chroma and in NumPy alike, without a
file system of one's own; where one may be mounted, a real full disk is tried as well.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import JOBS, OLD_IDS, TESTS, opened, records
from test_faults import SEED, Before, before, start
from whole import assert_whole

from rsrag import KnowledgeBase, StoreError
from rsrag.store.snapshots import restore

__all__ = ["before"]  # a fixture

# -- what no process of its own is needed for -------------------------------------------------------


class Failing(io.RawIOBase):
    """Takes a part of what is written, and then no more."""

    def __init__(self, stream: Any, number: int) -> None:
        self._stream, self._number = stream, number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._stream.write(data[: len(data) // 2])
        self._stream.flush()
        raise OSError(self._number, os.strerror(self._number))

    def close(self) -> None:
        self._stream.close()
        super().close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def fail_at(patch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """From now on what is written to files of this name fails."""
    real = builtins.open

    def failing(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        stream = real(file, mode, *rest, **options)
        wanted = not isinstance(file, int) and Path(os.fspath(file)).match(name) and set(mode) & set("wax+")
        return Failing(stream, number) if wanted else stream

    patch.setattr(builtins, "open", failing)
    patch.setattr(io, "open", failing)


def to_disk(kb: KnowledgeBase, folder: Path) -> None:
    kb.export(folder / "exported")


def again(kb: KnowledgeBase, folder: Path) -> None:
    restore(kb.path, "kept")


WRITES: list[tuple[str, str, Callable[[KnowledgeBase, Path], object]]] = [
    ("ingest", "*.part", JOBS["ingest"].work),  # type: ignore[list-item]  # previews
    ("ingest", "snapshot.json", lambda kb, f: kb.snapshot("one")),
    ("ingest", "sources.jsonl", to_disk),
    ("ingest", "records.jsonl", to_disk),
    ("ingest", "texts.txt", to_disk),
    ("ingest", "*.npy", to_disk),
    ("ingest", "*.jpg", to_disk),
    ("ingest", "manifest.json", to_disk),
    ("import", "*.part", lambda kb, f: kb.import_(f / "out")),
    ("restore", ".restore.part", again),
    ("restore", "snapshot.json", again),
]


@pytest.mark.parametrize(
    "number", [pytest.param(errno.ENOSPC, id="full"), pytest.param(errno.EIO, id="broken", marks=pytest.mark.faults)]
)
@pytest.mark.parametrize(("job", "name", "work"), WRITES, ids=[f"{job}-{name}" for job, name, _ in WRITES])
def test_a_file_that_cannot_be_written_is_told_in_one_line(
    before: Before, tmp_path: Path, job: str, name: str, work: Callable[[KnowledgeBase, Path], object], number: int
) -> None:
    folder = before(job, tmp_path / "at")
    with opened(folder) as kb:
        there = records(kb)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError) as caught:
            fail_at(patch, name, number)
            work(kb, folder)
        assert os.strerror(number) in caught.value.message and str(folder) in caught.value.message, str(caught.value)
        assert "\n" not in str(caught.value) and caught.value.hint
        kept = records(kb)
        assert there <= kept if work in (JOBS["ingest"].work, JOBS["import"].work) else there == kept
        assert_whole(kb, kept)
        work(kb, folder)
        if name != "*.jpg":
            assert not list(folder.rglob("*.part"))
    with opened(folder) as kb:
        assert_whole(kb, records(kb))


# -- files that may not grow ----------------------------------------------------------------------


def starved(folder: Path, job: str, largest_file: int) -> tuple[set[str], str]:
    """Run a writer whose files may not grow beyond so many bytes: (ids it acknowledged, what it said at last)."""
    with start(folder, job, largest_file) as writer:
        assert writer.stdout is not None
        *lines, last = writer.stdout.read().splitlines()
    assert writer.returncode == 0, f"{job} with files of at most {largest_file:,} bytes"
    return {word for line in lines for word in line.split()}, last


def check_after(folder: Path, job: str, said: set[str], last: str) -> None:
    """One line said what and where; the store is whole, and doing it again finishes it."""
    assert last == "done" or (last.startswith("error: ") and str(folder) in last), last
    with opened(folder) as kb:
        JOBS[job].broken_off(kb, said)
    with opened(folder) as kb:
        if (work := JOBS[job].work) is not None:
            work(kb, folder)
    with opened(folder) as kb:
        JOBS[job].finished(kb, said)


@pytest.mark.parametrize("job", ["ingest", *(pytest.param(j, marks=pytest.mark.faults) for j in JOBS if j != "ingest")])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(1, 4))])
def test_files_that_may_not_grow_lose_nothing(before: Before, tmp_path: Path, job: str, seed: int) -> None:
    folder = before(job, tmp_path / "at")
    catalog = folder / "kb" / "catalog.sqlite"
    largest = random.Random(f"{SEED}{job}{seed}").randrange(1000, 2 * catalog.stat().st_size)
    check_after(folder, job, *starved(folder, job, largest))


# -- a disk of one's own --------------------------------------------------------------------------

FULL_DISK = """
import shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import rsrag.store.filesystem
from jobs import JOBS, OLD_IDS, opened, records
from rsrag import RsragError
rsrag.store.filesystem.RESERVE = -10**9  # so that it comes to the worst
disk, job, whole = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[4])
at = disk / "at"
shutil.copytree(whole, at)
said = ""
for left in map(int, sys.argv[5:]):
    ballast = disk / "ballast"
    room = shutil.disk_usage(disk).free - left
    ballast.write_bytes(b"x" * max(0, room))
    try:
        with opened(at) as kb:
            JOBS[job].work(kb, at)
    except RsragError as error:
        said = error.message
        print(left, error.message, "|", error.hint)
        assert str(at) in error.message and "\\n" not in str(error)
    ballast.unlink()
    with opened(at) as kb:
        JOBS[job].broken_off(kb, set())
print("full" if said else "never full")
with opened(at) as kb:
    JOBS[job].work(kb, at)
with opened(at) as kb:
    JOBS[job].finished(kb, set())
print("whole")
"""


def mounting() -> list[str]:
    """What runs a command where it may mount; [] where nothing does."""
    trial = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None:
        return []
    found = subprocess.run([*trial, "mount -t tmpfs -o size=1m none /mnt"], capture_output=True, timeout=60)
    return trial if found.returncode == 0 else []


@pytest.mark.faults
@pytest.mark.parametrize("job", ["ingest", "rebuild", "delete", "prune", "import", "snapshot", "reencode"])
def test_a_full_disk_loses_nothing(before: Before, tmp_path: Path, job: str) -> None:
    run = mounting()
    if not run:
        pytest.skip("a disk of one's own cannot be mounted here: a full disk was NOT tried")
    whole, disk = before(job, tmp_path / "whole"), tmp_path / "disk"
    disk.mkdir()
    chance = random.Random(f"{SEED}{job}")
    left = sorted(str(chance.randrange(4096, 1_500_000)) for _ in range(4))
    mount = f'mount -t tmpfs -o size=60m none {disk} && exec "$@"'
    command = [sys.executable, "-c", FULL_DISK, str(disk), job, str(TESTS), str(whole), *left]
    done = subprocess.run([*run, mount, "sh", *command], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[-1] == "whole"


def test_old_ids_are_what_the_jobs_begin_with(before: Before, tmp_path: Path) -> None:
    with opened(before("ingest", tmp_path / "at")) as kb:
        assert records(kb) == OLD_IDS
