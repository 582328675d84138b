"""What writers do to a knowledge base, each in a process of its own that a test kills, or whose disk it fills.

    python jobs.py FOLDER JOB [LARGEST_FILE]

It says "go" when the work begins, the id of each record once it is acknowledged, and "done", or "error: ..." for what
was said in one line. Anything else ends in a traceback.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from whole import Listed, assert_whole, numbered

from rsrag import KnowledgeBase, Plugins, RsragError, hookimpl
from rsrag.store.snapshots import drop, restore, snapshots
from rsrag.testing.encoders import FakeEncoder
from rsrag.testing.rasters import make_image

TESTS = Path(__file__).parent
MANY = 160
PICTURES = 12
OLD, NEW = range(MANY), range(MANY, 2 * MANY)


def ids(numbers: range) -> set[str]:
    return {f"r{number}" for number in numbers}


OLD_IDS = ids(OLD) | {f"old{n}.png" for n in range(PICTURES)}
NEW_IDS = ids(NEW) | {f"new{n}.png" for n in range(PICTURES)}


class Other(FakeEncoder):
    """What everything is encoded with anew."""

    name = "other"

    def __init__(self) -> None:
        super().__init__(dim=32, version="other")


class Encoders:
    @hookimpl
    def rsrag_encoders(self) -> list[type]:
        return [FakeEncoder, Other]


def opened(folder: Path, encoder: str | None = None, **options: float) -> KnowledgeBase:
    return KnowledgeBase(folder / "kb", encoder, plugins=Plugins(external=False, extra=[Encoders()]), **options)


def pictures(folder: Path, name: str) -> Path:
    for number in range(PICTURES):
        make_image(folder / name / f"{name}{number}.png", color=(10 * number, 40, 200 if name == "new" else 90))
    return folder / name


# -- before ---------------------------------------------------------------------------------------


def old(folder: Path) -> None:
    """Two sources, "old" and "oldpics"."""
    with opened(folder, "fake") as kb:
        kb.add(Listed(*map(numbered, OLD), label="old"))
        kb.add(pictures(folder, "old"), source="oldpics")
    pictures(folder, "new")


def old_and_export(folder: Path) -> None:
    old(folder)
    with KnowledgeBase(folder / "other", "fake", plugins=Plugins(external=False, extra=[Encoders()])) as kb:
        kb.add(Listed(*map(numbered, NEW), label="new"))
        kb.add(folder / "new", source="newpics")
        kb.export(folder / "out")
    shutil.rmtree(folder / "other")


def old_kept_and_new(folder: Path) -> None:
    old(folder)
    with opened(folder) as kb:
        kb.snapshot("kept")
        ingest(kb, folder)


def of_version_1(folder: Path) -> None:
    with tarfile.open(TESTS / "data" / "stores" / "v1.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    with sqlite3.connect(folder / "kb" / "catalog.sqlite") as db:  # enough to be killed at
        db.execute(
            """INSERT INTO facets WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
               SELECT (SELECT min(rowid) FROM records), 'filler', i FROM n"""
        )


# -- the work -------------------------------------------------------------------------------------


def ingest(kb: KnowledgeBase, folder: Path) -> None:
    kb.add(Listed(*map(numbered, NEW), label="new"))
    kb.add(folder / "new", source="newpics")


def prune(kb: KnowledgeBase, folder: Path) -> None:
    kb.add(Listed(*map(numbered, OLD[: MANY // 2]), label="old"), prune=True)


def snapshot(kb: KnowledgeBase, folder: Path) -> None:
    if any(known.name == "one" for known in snapshots(kb.path)):
        drop(kb.path, "one")
    kb.snapshot("one")


# -- what must hold after -------------------------------------------------------------------------


def records(kb: KnowledgeBase) -> set[str]:
    return {row[0] for row in kb.catalog.db.execute("SELECT id FROM records")}


def same(kb: KnowledgeBase, said: set[str]) -> None:
    assert_whole(kb, OLD_IDS, every=True)
    assert kb.spaces._made.get("texts") is None  # nothing was encoded


def grown(kb: KnowledgeBase, said: set[str]) -> None:
    assert_whole(kb, OLD_IDS | said, OLD_IDS | NEW_IDS, every=True)


def one_of(*states: set[str]) -> Callable[[KnowledgeBase, set[str]], None]:
    """All or nothing."""

    def check(kb: KnowledgeBase, said: set[str]) -> None:
        there = records(kb)
        assert there in states
        assert_whole(kb, there, every=True)

    return check


def snapshots_whole(kb: KnowledgeBase, said: set[str]) -> None:
    same(kb, said)
    assert [s.records for s in snapshots(kb.path) if s.name == "one"] in ([], [len(OLD_IDS)])


def migrated(kb: KnowledgeBase, said: set[str]) -> None:
    assert kb.verify().problems == []
    assert kb.catalog.count("facets", "key = 'filler' AND number IS NOT NULL") == 40000
    assert [s.schema for s in snapshots(kb.path)] == [1]


def reencoded(kb: KnowledgeBase, said: set[str]) -> None:
    assert {encoder for encoder, *_ in kb.catalog.spaces().values()} in ({"fake-64-1"}, {"fake-32-other"})
    assert_whole(kb, OLD_IDS, every=True)


def reencoded_by_other(kb: KnowledgeBase, said: set[str]) -> None:
    reencoded(kb, said)
    assert kb.catalog.spaces()["texts"][0] == "fake-32-other"
    assert not (kb.path / "reencode.sqlite").exists()


def rebuilt(kb: KnowledgeBase, said: set[str]) -> None:
    same(kb, said)
    assert len(list(kb.path.glob("chroma*"))) == 1


Work = Callable[[KnowledgeBase, Path], object]
Check = Callable[[KnowledgeBase, set[str]], None]


@dataclass(frozen=True)
class Job:
    before: Callable[[Path], None]
    work: Work | None  # None: the opening is the work
    broken_off: Check
    finished: Check


def delete(kb: KnowledgeBase, folder: Path) -> None:
    if "old" in kb.catalog.source_names():
        kb.delete("old")


PICS = {f"old{n}.png" for n in range(PICTURES)}
HALF = ids(OLD[: MANY // 2]) | PICS

JOBS = {
    "ingest": Job(old, ingest, grown, one_of(OLD_IDS | NEW_IDS)),
    "rebuild": Job(old, lambda kb, _: kb.rebuild(), same, rebuilt),
    "delete": Job(old, delete, one_of(OLD_IDS, PICS), one_of(PICS)),
    "prune": Job(old, prune, one_of(OLD_IDS, HALF), one_of(HALF)),
    "import": Job(old_and_export, lambda kb, folder: kb.import_(folder / "out"), grown, one_of(OLD_IDS | NEW_IDS)),
    "restore": Job(
        old_kept_and_new,
        lambda kb, _: restore(kb.path, "kept"),
        one_of(OLD_IDS, OLD_IDS | NEW_IDS),
        one_of(OLD_IDS),
    ),
    "snapshot": Job(old, snapshot, snapshots_whole, snapshots_whole),
    "migrate": Job(of_version_1, None, migrated, migrated),
    "reencode": Job(old, lambda kb, _: kb.reencode("other"), reencoded, reencoded_by_other),
}


def main(folder: Path, name: str, largest_file: int = 0) -> None:
    import resource
    import signal

    import rsrag.ingest
    import rsrag.reencode
    import rsrag.store.portable_in
    import rsrag.store.rebuild
    from rsrag.store import portable_in
    from rsrag.store.records import Records

    rsrag.ingest.BATCH, rsrag.ingest.SETTLE_SECONDS = 8, 0
    rsrag.reencode.BATCH = rsrag.store.rebuild.ROWS = 16
    portable_in.BATCH = 8
    put, put_imported = Records.put, portable_in._put

    def told(self, batch):  # type: ignore[no-untyped-def]
        put(self, batch)
        print(*(record.id for record, *_ in batch.records), flush=True)

    def told_imported(kb, folder, batch, *rest):  # type: ignore[no-untyped-def]
        put_imported(kb, folder, batch, *rest)
        print(*(record["id"] for record in batch), flush=True)

    Records.put, portable_in._put = told, told_imported  # type: ignore[method-assign]

    def go() -> None:
        print("go", flush=True)
        if largest_file:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    job = JOBS[name]
    try:
        if job.work is None:
            go()
            opened(folder).close()
        else:
            with opened(folder) as kb:
                if kb.index.exists():
                    kb.index.count("texts")  # Chroma is imported before the work begins
                go()
                job.work(kb, folder)
    except RsragError as error:
        print("error:", error.message, "|", error.hint, flush=True)
        return
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
