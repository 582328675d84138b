"""One writer at a time: across processes, across threads, and after a crash."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsrag import StoreError
from rsrag.store.lock import WriterLock

HOLD = """
import pathlib, sys, time
from rsrag.store.lock import WriterLock
with WriterLock(pathlib.Path(sys.argv[1]), 0):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
print("released", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "writer.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with held_for(path, 60) as process:
        yield process
        process.kill()


def held_for(path: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def free(path: Path) -> bool:
    """Whether another thread could take the lock now."""
    got: list[bool] = []

    def look() -> None:
        lock = WriterLock(path, 0)
        got.append(lock.try_acquire())
        if got[0]:
            lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return got[0]


def test_a_second_process_waits_and_then_names_the_first(
    path: Path, holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "rsrag"), pytest.raises(StoreError) as caught, WriterLock(path, 0.3):
        pass
    assert 0.3 <= time.monotonic() - start < 20
    assert caught.value.message == f"{path.parent} is being written to by process {holder.pid}."
    assert "Gave up after 0.3 s" in caught.value.hint
    assert [r.getMessage() for r in caplog.records] == [
        f"waiting for process {holder.pid}, which writes to {path.parent} ..."
    ]


def test_without_patience_it_says_so_at_once(path: Path, holder: subprocess.Popen[str]) -> None:
    assert not WriterLock(path, 0).try_acquire()
    start = time.monotonic()
    with pytest.raises(StoreError, match=f"process {holder.pid}"), WriterLock(path, 0):
        pass
    assert time.monotonic() - start < 8


def test_who_waits_long_enough_gets_it(path: Path) -> None:
    start = time.monotonic()
    with held_for(path, 0.5) as process, WriterLock(path, 30):
        assert time.monotonic() - start >= 0.4
        assert process.stdout is not None
        assert process.wait(30) == 0  # it had let go by the time the lock was ours, or it does at once
        assert path.read_text() == str(os.getpid())


def test_the_lock_of_a_killed_process_is_free_again(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    assert path.read_text() == str(holder.pid)  # what it wrote is still there, and means nothing
    path.write_text("1234567890")  # nor does a longer number
    with WriterLock(path, 0):
        assert path.read_text() == str(os.getpid())


def test_a_thread_may_take_it_again_and_gives_it_back_once_done(path: Path) -> None:
    lock = WriterLock(path, 0)
    with lock:
        with lock, WriterLock(path, 0):
            assert not free(path)
        assert not free(path)
    assert free(path)


def test_another_process_is_kept_out_until_the_outermost_block_ends(path: Path) -> None:
    def taken_elsewhere() -> bool:
        code = HOLD.replace("time.sleep", "float")
        done = subprocess.run([sys.executable, "-c", code, str(path), "0"], capture_output=True, text=True, timeout=60)
        return "held" in done.stdout

    with WriterLock(path, 0):
        with WriterLock(path, 0):
            pass
        assert not taken_elsewhere()
    assert taken_elsewhere()


def test_an_error_inside_lets_go(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), WriterLock(path, 0):
        raise ZeroDivisionError
    assert free(path)


def test_threads_exclude_each_other(path: Path) -> None:
    inside = 0
    most = 0
    done = 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(3):
            with WriterLock(path, 30):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, done) == (1, 15)


def test_locks_of_different_stores_are_independent(tmp_path: Path) -> None:
    with WriterLock(tmp_path / "a.lock", 0):
        assert free(tmp_path / "b.lock")


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "writer.lock"
    with pytest.raises(StoreError, match="nowhere cannot be written to"), WriterLock(missing, 0):
        pass
    missing.parent.mkdir()
    assert free(missing)  # the failure left nothing behind


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_and_leaves_nothing_behind(path: Path) -> None:
    path.symlink_to("/dev/full")
    for _ in range(2):  # the second time it must not believe that it is held
        with pytest.raises(StoreError, match="cannot be written to"), WriterLock(path, 0):
            pass
    path.unlink()
    assert free(path)
