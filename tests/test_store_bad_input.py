"""What a knowledge base makes of stores, disks and contents that are not as they should be: a table of each."""

from __future__ import annotations

import errno
import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from whole import Listed, assert_whole, numbered

from rsrag import Filter, KnowledgeBase, Plugins, Query, Record, StoreError
from rsrag.store.filesystem import network_of, require_room
from rsrag.testing.encoders import FakeEncoder

SOME = tuple(numbered(i) for i in range(12))
IDS = {record.id for record in SOME}


def sql(path: Path, statement: str) -> None:
    db = sqlite3.connect(path / "catalog.sqlite")
    db.execute(statement)
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # into the file itself, which is compared
    db.close()


def contents(path: Path) -> dict[str, bytes]:
    """All files; what SQLite keeps beside a database that it has looked into says nothing."""
    files = [p for p in path.rglob("*") if p.is_file() and not (p.name.endswith("-shm") or p.stat().st_size == 0)]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


# -- stores ---------------------------------------------------------------------------------------

Harm = Callable[[Path], object]


@pytest.fixture
def store(tmp_path: Path, plugins: Plugins) -> Path:
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Listed(*SOME))
        kb.snapshot("good")
    return tmp_path / "kb"


@pytest.mark.parametrize(
    ("harm", "said", "way_out"),
    [
        (lambda p: sql(p, "PRAGMA user_version = 99"), "has schema version 99; this rsrag reads", "rsrag that made it"),
        (lambda p: sql(p, "UPDATE spaces SET encoder = 'gone-1'"), "made with encoder gone-1, not fake", "kb reencode"),
        (lambda p: (p / "catalog.sqlite").unlink(), "is missing", "kb restore"),
        (lambda p: (p / "catalog.sqlite").write_bytes(b""), "is empty", "kb restore"),
        (lambda p: (p / "catalog.sqlite").write_bytes(b"half" * 999), "is damaged or no database", "kb restore"),
        (
            lambda p: sql(p, """INSERT INTO meta VALUES ('server', '{"id":"0","url":"http://h:8000","inode":1}')"""),
            "on the server http://h:8000, which is not configured",
            'Set store = "http://h:8000"',
        ),
    ],
    ids=["newer", "other encoder", "no catalog", "empty catalog", "half a catalog", "on a server"],
)
def test_stores_that_are_refused(store: Path, plugins: Plugins, harm: Harm, said: str, way_out: str) -> None:
    harm(store)
    before = contents(store)
    with pytest.raises(StoreError, match=said) as caught:
        KnowledgeBase(store, "fake", plugins=plugins)
    assert way_out in str(caught.value) and "\n" not in str(caught.value)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: shutil.rmtree(p / "chroma"), "is missing"),
        (lambda p: (p / "chroma" / "chroma.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(50)), "is damaged"),
        (lambda p: (p / "chroma" / "chroma.sqlite3").unlink(), "is missing"),
        (lambda p: shutil.rmtree(p / "snapshots"), ""),
        (lambda p: (p / "writer.lock").write_text("12345"), ""),
        (lambda p: (p / "catalog.sqlite-shm").write_bytes(b"x" * 100), ""),
    ],
    ids=["no chroma", "half of chroma", "an empty chroma", "no snapshots", "an old lock", "an old -shm"],
)
def test_stores_that_are_mended(
    store: Path, plugins: Plugins, caplog: pytest.LogCaptureFixture, harm: Harm, said: str
) -> None:
    harm(store)
    with KnowledgeBase(store, "fake", plugins=plugins) as kb:
        assert_whole(kb, IDS)
        assert kb.encoder.texts_encoded == 0  # type: ignore[attr-defined]
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == bool(said) and all(said in line and "\n" not in line for line in told)


# -- disks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["my store", "ein Größenvergleich 衛星画像", "100% sure? #1", '-it\'s "quoted"; %2e&c'],
)
def test_paths(tmp_path: Path, plugins: Plugins, name: str) -> None:
    with KnowledgeBase(tmp_path / name, "fake", plugins=plugins) as kb:
        kb.add(Listed(*SOME))
        kb.snapshot("one")
        assert kb.rebuild() == 12
        assert_whole(kb, IDS)
    with KnowledgeBase(tmp_path / name, plugins=plugins, create=False) as kb:
        assert_whole(kb, IDS)


def fails_with(number: int) -> Callable[[int, int], None]:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, "no locks here")

    return flock


@pytest.mark.parametrize(
    ("flock", "said"),
    [
        (fails_with(errno.ENOLCK), "lies on a filesystem without locks"),
        (fails_with(errno.EOPNOTSUPP), "lies on a filesystem without locks"),
        (fails_with(errno.ENOSYS), "lies on a filesystem without locks"),
        (lambda descriptor, operation: None, "whose locks do not exclude anybody"),
    ],
    ids=["ENOLCK", "EOPNOTSUPP", "ENOSYS", "granted to everybody"],
)
def test_a_filesystem_without_locks_is_refused_at_once(
    store: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, flock: Callable[[int, int], None], said: str
) -> None:
    with KnowledgeBase(store, "fake", plugins=plugins, wait=60) as kb:
        monkeypatch.setattr("rsrag.store.filesystem.fcntl.flock", flock)
        with pytest.raises(StoreError, match=said) as caught:
            kb.add(Listed(numbered(20)))
        assert "Keep it on a local disk; machines can share a Chroma server" in caught.value.hint
        assert kb.search_text(Query(SOME[3].text), 1)[0].chunk.provenance.record == "r3"  # reading goes on
        monkeypatch.undo()
        kb.add(Listed(*SOME, numbered(20)))
        assert_whole(kb, {*IDS, "r20"})


def test_a_lock_that_somebody_holds_is_no_fault_of_the_disk(
    store: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnowledgeBase(store, "fake", plugins=plugins, wait=0) as kb:
        monkeypatch.setattr("rsrag.store.filesystem.fcntl.flock", fails_with(errno.EWOULDBLOCK))
        with pytest.raises(StoreError, match="is being written to by process"):
            kb.add(Listed(numbered(20)))


MOUNTS = """/dev/sda1 / ext4 rw 0 0
server:/export /mnt/share nfs4 rw,vers=4.2 0 0
//nas/files /mnt/with\\040space cifs rw 0 0
me@host: /home/me/far fuse.sshfs rw 0 0
tmpfs /mnt/share/fast tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/srv/kb", ""),
        ("/mnt/share/kb", "nfs4"),
        ("/mnt/sharepoint/kb", ""),
        ("/mnt/share/fast/kb", ""),
        ("/mnt/with space", "cifs"),
        ("/home/me/far/kb", "fuse.sshfs"),
    ],
)
def test_network_filesystems_are_known(tmp_path: Path, place: str, kind: str) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    assert network_of(Path(place), tmp_path / "mounts") == kind
    assert network_of(Path(place), tmp_path / "none") == ""


def test_a_network_filesystem_is_warned_of_once(
    store: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rsrag.store.filesystem.network_of", lambda folder: "nfs4")
    with KnowledgeBase(store, "fake", plugins=plugins) as kb:
        kb.add(Listed(numbered(20), label="a"))
        kb.add(Listed(numbered(21), label="b"))
    assert [r.getMessage() for r in caplog.records if "nfs4" in r.getMessage()] == [
        f"{store} lies on a network filesystem (nfs4): use it from one machine at a time. "
        "Keep it on a local disk; machines can share a Chroma server instead (docs/reliability.md)."
    ]


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda kb, out: kb.add(Listed(*SOME, numbered(20))), "the next batch needs about"),
        (lambda kb, out: kb.rebuild(), "the new vector index needs about"),
        (lambda kb, out: kb.snapshot("two"), "a copy of catalog.sqlite needs about"),
        (lambda kb, out: kb.export(out), "the export needs about"),
        (lambda kb, out: kb.reencode(FakeEncoder(version="2")), "encoding it again needs about"),
    ],
    ids=["add", "rebuild", "snapshot", "export", "reencode"],
)
def test_a_disk_nearly_full_is_told_before_anything_is_written(
    store: Path, plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str,
    write: Callable[[KnowledgeBase, Path], object],
) -> None:  # fmt: skip
    with KnowledgeBase(store, "fake", plugins=plugins) as kb:
        usage = shutil.disk_usage(store)
        monkeypatch.setattr("rsrag.store.filesystem.shutil.disk_usage", lambda _: usage._replace(free=60_000_000))
        with pytest.raises(StoreError, match=rf"{said} \d+ MB in .*, and 64 MB to spare; 60 MB are free\. Free some"):
            write(kb, tmp_path / "out")
        assert not list(tmp_path.glob("out*")) and kb.index.name == "chroma"
        monkeypatch.undo()
        assert_whole(kb, IDS)


def test_room_is_looked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    require_room(tmp_path / "not" / "yet", 1, "nothing")
    with pytest.raises(StoreError, match=r"everything needs about 1,000,000,000 GB"):
        require_room(tmp_path / "not" / "yet", 10**18, "everything")


# -- contents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("megabytes", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_text_of_ten_megabytes(kb: KnowledgeBase, megabytes: int) -> None:
    sentence = "The tide rises over the mud flats of the estuary. "
    text = sentence * (megabytes * 1_000_000 // len(sentence)) + "At the very end stands a lighthouse."
    assert kb.add(Listed(Record("long", "t/long", "Long", text), numbered(1))).failed == ()
    assert "lighthouse" in kb.search_text(Query("lighthouse"), 1)[0].chunk.text
    found = kb.search_vectors(Query("tide mud flats estuary"), "texts", "text", 1)[0].chunk
    assert found.provenance.record == "long" and kb.verify(samples=5).problems == []


def test_a_hundred_thousand_facet_values(kb: KnowledgeBase) -> None:
    tags = tuple(f"tag {i}" for i in range(50_000))
    many = [Record(f"m{i}", f"t/{i}", f"M{i}", f"word{i}", facets={f"key {i}": i}) for i in range(100)]
    kb.add(Listed(Record("all", "t/all", "All", "every tag", facets={"tag": tags}), *many, numbered(1)))
    kb.add(
        Listed(
            Record("more", "t/more", "More", "other tags", facets={"tag": tuple(map(str, range(50_000)))}), label="b"
        )
    )
    hit = kb.search_vectors(Query("tag", where=Filter(facets={"tag": "tag 49999"})), "texts", "text", 5)
    assert [h.chunk.provenance.record for h in hit] == ["all"]
    assert len(kb.catalog.facet_texts(["tag"])) == 100_000 and len(kb.catalog.facet_keys()) == 101
