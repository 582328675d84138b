"""Many at once: readers see within a second what was acknowledged, writers wait their turn, threads share a store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from jobs import TESTS
from whole import Listed, assert_whole, numbered

from rsrag import KnowledgeBase, Plugins, Query
from rsrag.testing.encoders import FakeEncoder

OPEN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import rsrag.ingest, rsrag.store.search
from rsrag import KnowledgeBase, Plugins, Query
from rsrag.store.records import Records
from rsrag.testing.encoders import FakeEncoder
from whole import Listed, numbered

def opened(wait=30.0):
    return KnowledgeBase(sys.argv[2], FakeEncoder(), plugins=Plugins(external=False), wait=wait)
"""

# Adds until its time is over, some records at once and then none for a while; writes each id with the moment at which
# it was acknowledged.
WRITER = """
class Slowly:
    name, role, label = "list", "mine", "stream"
    def __init__(self, ends):
        self.ends = ends
    def records(self):
        number = 0
        while time.time() < self.ends:
            for _ in range(8):
                yield numbered(number)
                number += 1
            time.sleep(PAUSES[number // 8 % len(PAUSES)])

PAUSES = (0.05, 0.05, 0.6, 0.05, 3.5)
rsrag.ingest.BATCH, rsrag.ingest.AHEAD = 8, 8
put, log = Records.put, open(sys.argv[3], "a", buffering=1)

def told(self, batch):
    put(self, batch)
    log.write("".join(f"{record.id} {time.time()}\\n" for record, *_ in batch.records))

Records.put = told
with opened() as kb:
    kb.add(Slowly(time.time() + float(sys.argv[4])))
"""

# Looks up, by vector and by words, the newest that is old enough and some of the others, until its time is over.
READER = """
import random
AGE = float(sys.argv[6])
rsrag.store.search.EXACT_UP_TO = int(sys.argv[5])
chance, ends, looked, late = random.Random(sys.argv[5]), time.time() + float(sys.argv[4]), 0, {}
with opened() as kb:
    print("reading", flush=True)
    while time.time() < ends:
        lines = Path(sys.argv[3]).read_text().splitlines()
        told = [line.split() for line in lines if " " in line]
        old = [id for id, at in told if float(at) < time.time() - AGE]
        for id in [*old[-2:], *chance.sample(old, min(2, len(old)))]:
            query = Query(numbered(int(id[1:])).text)
            near, found = kb.search_vectors(query, "texts", "text", 3), kb.search_text(query, 3)
            for by, hits in (("vector", near), ("words", found)):
                looked += 1
                if id not in [hit.chunk.provenance.record for hit in hits]:
                    late[id, by] = time.time() - float(dict(told)[id])
        time.sleep(0.02)
print(looked, len(late), sorted(late.items())[:5], flush=True)
"""


AGE = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""So many seconds after it was acknowledged a record must be found by everybody; more where others use the machine."""


def python(code: str, *arguments: object, run: Sequence[str] = ()) -> subprocess.Popen[str]:
    command = [*run, sys.executable, "-c", OPEN + code, str(TESTS), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str], within_s: float = 120) -> str:
    """What a process printed. It must have ended well, and have had nothing to complain about."""
    out, err = process.communicate(timeout=within_s)
    assert (process.returncode, err) == (0, "")
    return out


@pytest.mark.parametrize("seconds", [10, pytest.param(120, marks=pytest.mark.faults)])
def test_four_readers_see_within_a_second_what_a_writer_acknowledged(tmp_path: Path, seconds: int) -> None:
    path, log = tmp_path / "kb", tmp_path / "log"
    with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Listed(*map(numbered, range(10**6, 10**6 + 20))))
    log.touch()
    # Half of them search in memory, half by Chroma.
    readers = [python(READER, path, log, seconds, exact, AGE) for exact in (10_000, 0, 10_000, 0)]
    try:
        for reader in readers:
            assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
        finished(python(WRITER, path, log, seconds), seconds + 120)
        for reader in readers:
            looked, late, some = finished(reader).split(maxsplit=2)
            assert late == "0", some
            assert int(looked) > seconds
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        told = {line.split()[0] for line in log.read_text().splitlines()}
        assert len(told) >= 8 * seconds / 5
        assert_whole(kb, told | {f"r{n}" for n in range(10**6, 10**6 + 20)})


ALTERNATING = """
with opened(wait=250.0) as kb:
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(int(sys.argv[4])):
        kb.add(Listed(*map(numbered, range(int(sys.argv[3]), int(sys.argv[3]) + 10 * (turn + 1))), label=sys.argv[3]))
        print(turn, flush=True)
"""


@pytest.mark.parametrize("turns", [4, pytest.param(25, marks=pytest.mark.faults)])
def test_two_writers_take_turns_and_lose_nothing(tmp_path: Path, turns: int) -> None:
    path = tmp_path / "kb"
    with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Listed(numbered(10**6)))
    writers = [python(ALTERNATING, path, first, turns) for first in (0, 1000)]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        out, err = writer.communicate(timeout=280)
        assert (writer.returncode, out.split()) == (0, [str(turn) for turn in range(turns)]), err
        assert all(line.startswith("waiting for process") for line in err.splitlines()), err
    with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        wanted = {f"r{first + n}" for first in (0, 1000) for n in range(10 * turns)} | {f"r{10**6}"}
        assert_whole(kb, wanted, every=True)


@pytest.mark.parametrize("turns", [3, pytest.param(20, marks=pytest.mark.faults)])
@pytest.mark.parametrize("exact_up_to", [10_000, 0], ids=["in memory", "by Chroma"])
def test_eight_threads_share_one_store(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, turns: int, exact_up_to: int
) -> None:
    """Four search for what always stays, two add, two add and delete; what is there at the end is what they left."""
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", exact_up_to)
    kb.wait = 250
    kb.add(Listed(*map(numbered, range(40)), label="stays"))
    errors: list[BaseException] = []
    busy = threading.Event()
    looked = [0] * 4

    def search(thread: int) -> None:
        while not busy.is_set():
            number = (7 * looked[thread] + thread) % 40
            for hits in (
                kb.search_vectors(Query(numbered(number).text), "texts", "text", 2),
                kb.search_text(Query(numbered(number).text), 2),
            ):
                assert f"r{number}" in [hit.chunk.provenance.record for hit in hits], number
            looked[thread] += 1

    def add(thread: int) -> None:
        for turn in range(turns):
            first = 10_000 * (thread + 1) + 10 * turn
            kb.add(Listed(*map(numbered, range(first, first + 5)), label=f"added{thread}-{turn}"))

    def add_and_delete(thread: int) -> None:
        for turn in range(turns):
            first = 100_000 * (thread + 1) + 10 * turn
            kb.add(Listed(*map(numbered, range(first, first + 5)), label=f"gone{thread}"))
            kb.delete(f"gone{thread}")

    def guarded(work: Callable[[int], None], thread: int) -> None:
        try:
            work(thread)
        except BaseException as error:
            errors.append(error)

    searchers = [threading.Thread(target=guarded, args=(search, n)) for n in range(4)]
    writers = [threading.Thread(target=guarded, args=(work, n)) for work in (add, add_and_delete) for n in range(2)]
    for thread in [*searchers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    busy.set()
    for thread in searchers:
        thread.join()
    assert errors == []
    assert all(looked)
    added = {f"r{10_000 * (n + 1) + 10 * turn + i}" for n in range(2) for turn in range(turns) for i in range(5)}
    assert_whole(kb, {f"r{n}" for n in range(40)} | added, every=True)


# -- where nobody may write -----------------------------------------------------------------------

LOOK = """
rsrag.store.search.EXACT_UP_TO = int(sys.argv[3])
with KnowledgeBase(sys.argv[2], FakeEncoder(), plugins=Plugins(external=False), create=False) as kb:
    assert kb.catalog.read_only
    for number in range(0, 60, 7):
        query = Query(numbered(number).text)
        for hits in (kb.search_vectors(query, "texts", "text", 1), kb.search_text(query, 1)):
            assert [hit.chunk.provenance.record for hit in hits] == [f"r{number}"], hits
    assert kb.verify().problems == []
    print(len(kb))
"""


@contextmanager
def read_only(path: Path) -> Iterator[list[str]]:
    """What runs a command for which a folder may only be read; nothing is closed to root but a mount."""
    if os.geteuid():
        places = [path, *path.rglob("*")]
        modes = {place: place.stat().st_mode for place in places}
        for place, mode in modes.items():
            place.chmod(mode & ~0o222)
        yield []
        for place, mode in modes.items():
            place.chmod(mode)
        return
    mount = f"mount --bind '{path}' '{path}' && mount -o remount,ro,bind '{path}'"
    run = ["unshare", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*run, mount], capture_output=True).returncode:
        pytest.skip("nothing is closed to root here, and nothing can be mounted: a read-only store was NOT tried")
    yield [*run, f'{mount} && exec "$@"', "sh"]


@pytest.mark.parametrize("left", ["closed", "killed"])
def test_a_read_only_store_is_searched_by_several(tmp_path: Path, left: str) -> None:
    """In memory or, beyond what is searched there, in spite of Chroma, which writes even in order to read."""
    path = tmp_path / "kb"
    finished(python(FILL, path, left))
    assert (path / "catalog.sqlite-wal").exists() == (left == "killed")
    with read_only(path) as run, ExitStack() as stack:
        readers = [stack.enter_context(python(LOOK, path, exact, run=run)) for exact in (10_000, 0, 0)]
        for reader in readers:
            assert finished(reader) == "60\n"


FILL = """
import os
kb = opened()
kb.add(Listed(*map(numbered, range(60))))
if sys.argv[3] == "killed":
    os._exit(0)
kb.close()
"""
