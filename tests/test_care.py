"""Keeping a knowledge base: verify, rebuild, snapshots, export and import, pruning; stores of every schema version."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from whole import Listed, assert_whole, numbered

from rsrag import BBox, Fact, Filter, KnowledgeBase, Plugins, Query, Record, StoreError, UsageError
from rsrag.cli.app import build
from rsrag.store.migrations import SCHEMA_VERSION
from rsrag.store.snapshots import restore, snapshots
from rsrag.store.soundness import index_damage
from rsrag.testing.encoders import FakeEncoder
from rsrag.testing.rasters import make_image

STORES = Path(__file__).parent / "data" / "stores"
SOME = tuple(numbered(i) for i in range(12))
IDS = {record.id for record in SOME}
RICH = Record(
    "rich",
    "topic/rich",
    "Rich, of Fields",
    "A record with every field.",
    aliases=("Richie", "R."),
    facts=(Fact("topic/rich", "population", 1200), Fact("topic/rich", "depth", 12.5, "m")),
    facets={"gsd_m": 0.1, "tags": ("a", "b"), "odd": True},
    bbox=BBox(177.0, -19.0, -178.0, -16.0),
    url="https://example.org/r",
    license="CC0",
    attribution="Somebody",
)


@pytest.fixture
def open_again(tmp_path: Path, plugins: Plugins) -> Callable[[], KnowledgeBase]:
    return lambda: KnowledgeBase(tmp_path / "kb", plugins=plugins)


@pytest.fixture
def in_chroma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", 0)


def care(*arguments: str, input: str = "") -> Result:
    return CliRunner().invoke(build(["kb", *arguments]), ["kb", *arguments], input=input)


def find(kb: KnowledgeBase, text: str) -> list[str]:
    return [h.chunk.provenance.record for h in kb.search_vectors(Query(text), "texts", "text", 1)]


# -- stores of every version ----------------------------------------------------------------------


def test_there_is_a_store_of_every_schema_version() -> None:
    assert {p.name for p in STORES.iterdir()} == {f"v{n}.tar.gz" for n in range(1, SCHEMA_VERSION + 1)}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_store_of_an_older_version_is_opened_and_kept(tmp_path: Path, plugins: Plugins, version: int) -> None:
    with tarfile.open(STORES / f"v{version}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(dim=16), plugins=plugins, create=False) as kb:
        assert kb.verify().problems == []
        assert find(kb, "ships at the quay") == ["harbour"]
        assert [h.chunk.provenance.record for h in kb.search_text(Query("crowns"), 2)] == ["forest"]
        assert kb.count_kept(Filter(facets={"gsd_m": 0.5}))[0] == 3 and kb.info().facts == 2
        kb.add(Listed(numbered(1), label="more"))
        assert find(kb, "word1 about item1") == ["r1"]
    kept = [s for s in snapshots(tmp_path / "kb") if s.name == f"before-schema-{SCHEMA_VERSION}"]
    assert [s.schema for s in kept] == ([version] if version < SCHEMA_VERSION else [])


# -- verify and repair ----------------------------------------------------------------------------


def test_a_sound_store_is_found_sound(kb: KnowledgeBase) -> None:
    kb.add(Listed(*SOME, RICH))
    verdict = kb.verify()
    assert verdict.ok and verdict.records == 13
    assert [(c.space, c.missing, c.extra, c.strangers) for c in verdict.spaces][2] == ("texts", 0, 0, 0)
    assert verdict.spaces[2].recall == 1.0


def lose_a_row(kb: KnowledgeBase) -> None:
    kb.index.remove("texts", [kb.catalog.chunks.where("c.kind = 'text'", ())[0].content_hash])


def add_a_row(kb: KnowledgeBase) -> None:
    import numpy as np

    kb.index.put("texts", ["f" * 32], np.eye(1, kb.encoder.dim, dtype=np.float32))


def swap_vectors(kb: KnowledgeBase) -> None:
    first, second = kb.catalog.chunks.where("c.kind = 'text'", ())[:2]
    vectors = kb.catalog.vectors.of("texts", [first.content_hash, second.content_hash])
    kb.index.put("texts", [first.content_hash], vectors[second.content_hash][None])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lose_a_row, "1 vectors are missing in texts"),
        (add_a_row, "1 vectors are not in the catalog in texts"),
        (swap_vectors, "1 of 12 sampled vectors in texts are others"),
    ],
)
def test_an_index_that_differs_is_told_and_repaired(
    kb: KnowledgeBase, harm: Callable[[KnowledgeBase], None], said: str
) -> None:
    kb.add(Listed(*SOME))
    harm(kb)
    assert [said in problem for problem in kb.verify().problems] == [True]
    verdict = kb.verify(repair=True)
    assert verdict.ok and len(verdict.repaired) == 1
    assert_whole(kb, IDS)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM vectors WHERE rowid = 1", "passages without a vector"),
        ("DELETE FROM chunks WHERE rowid = 1", "vectors that belong to nothing"),
        ("UPDATE vectors SET vector = zeroblob(8) WHERE rowid = 1", "of another length"),
        ("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE rowid = 1", "not of unit length"),
        ("UPDATE chunks SET record = 99 WHERE rowid = 1", "chunks without a record"),
        ("DELETE FROM words_docsize WHERE id = 1", "passages that the words do not know"),
    ],
)
def test_what_is_wrong_in_the_catalog_is_told(kb: KnowledgeBase, sql: str, said: str) -> None:
    kb.add(Listed(*SOME))
    kb.catalog.db.execute("PRAGMA foreign_keys = OFF")
    kb.catalog.db.execute(sql)
    verdict = kb.verify()
    assert said in " ".join(verdict.problems) and verdict.beyond_repair


def test_a_lost_preview_is_told(kb: KnowledgeBase, tmp_path: Path) -> None:
    make_image(tmp_path / "pics" / "a.png")
    kb.add(tmp_path / "pics")
    next((kb.path / "previews").rglob("*.jpg")).unlink()
    assert "previews: 1 are missing" in " ".join(kb.verify().problems)


# -- the index repairs itself ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose index has written its graph: Chroma does that from 1,000 rows on."""
    path = tmp_path_factory.mktemp("large") / "kb"
    with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Listed(*(numbered(i) for i in range(1200))))
        kb.index.query("texts", kb.catalog.vectors.after("texts", 0, 1)[0][2], 1)
    assert len(list(path.glob("chroma/*/index_metadata.pickle"))) == 1
    return path


def cut(file: Path, chance: random.Random) -> None:
    with file.open("rb+") as stream:
        stream.truncate(chance.randrange(file.stat().st_size))


def scramble(file: Path, chance: random.Random) -> None:
    with file.open("rb+") as stream:
        stream.write(chance.randbytes(min(4096, file.stat().st_size)))


FILES = ("chroma.sqlite3", "header.bin", "data_level0.bin", "link_lists.bin", "index_metadata.pickle")


def gone(file: Path, chance: random.Random) -> None:
    file.unlink()


QUICK = {("cut", "chroma.sqlite3"), ("scramble", "data_level0.bin"), ("gone", "index_metadata.pickle")}


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        pytest.param(harm, name, marks=() if (harm.__name__, name) in QUICK else pytest.mark.faults)
        for harm in (cut, scramble, gone)
        for name in FILES
    ],
)
def test_a_damaged_index_is_mended_at_the_first_search(
    large: Path, tmp_path: Path, in_chroma: None, caplog: pytest.LogCaptureFixture, name: str,
    harm: Callable[[Path, random.Random], None],
) -> None:  # fmt: skip
    shutil.copytree(large, tmp_path / "kb")
    graph = next((tmp_path / "kb" / "chroma").glob("*/index_metadata.pickle")).parent
    harm(tmp_path / "kb" / "chroma" / name if "sqlite" in name else graph / name, random.Random(name))
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=Plugins(external=False)) as kb:
        assert find(kb, numbered(777).text) == ["r777"]
        assert len(kb.search_vectors(Query("near"), "texts", "text", 1200)) == 1200
        assert kb.encoder.texts_encoded == 2  # type: ignore[attr-defined]  # the questions alone
    assert len([r for r in caplog.records if "made anew from the catalog" in r.message]) == 1
    assert index_damage(tmp_path / "kb" / "chroma-2", deep=True) == ""
    assert not (tmp_path / "kb" / "chroma").exists()


# -- a damaged catalog ----------------------------------------------------------------------------


def test_a_catalog_that_is_cut_off_is_refused_and_restored(tmp_path: Path, plugins: Plugins) -> None:
    path, chance = tmp_path / "kb", random.Random(3)
    with KnowledgeBase(path, "fake", plugins=plugins) as kb:
        kb.add(Listed(*SOME))
        kb.add(Listed(*SOME, numbered(50)))  # the state before this is kept by itself
    whole = (path / "catalog.sqlite").read_bytes()
    for _ in range(20):
        part = whole[: chance.randrange(1, len(whole))]
        (path / "catalog.sqlite").write_bytes(part)
        with pytest.raises(StoreError, match=r"Nothing was changed\. `rsrag kb restore"):
            KnowledgeBase(path, plugins=plugins)
        assert (path / "catalog.sqlite").read_bytes() == part
    result = care("restore", "--yes", "--kb", str(path))
    assert result.exit_code == 0, result.output
    assert "('auto-" in result.stdout and "12 records" in result.stdout
    with KnowledgeBase(path, plugins=plugins) as kb:
        assert_whole(kb, IDS)
    assert [p.read_bytes() for p in path.glob("catalog.damaged-*.sqlite")] == [part]


@pytest.mark.parametrize("left", ["empty", "nothing"])
def test_a_catalog_that_is_gone_is_not_begun_anew(
    kb: KnowledgeBase, open_again: Callable[[], object], left: str
) -> None:
    kb.add(Listed(*SOME))
    kb.close()
    (kb.path / "catalog.sqlite").unlink()
    if left == "empty":
        (kb.path / "catalog.sqlite").touch()
    with pytest.raises(StoreError, match=r"is (empty|missing)\. Nothing was changed"):
        open_again()


def test_a_page_gone_bad_is_noticed_before_anything_is_written(tmp_path: Path, plugins: Plugins) -> None:
    path = tmp_path / "kb"
    with KnowledgeBase(path, "fake", plugins=plugins) as kb:
        kb.add(Listed(*SOME))
    data = bytearray((path / "catalog.sqlite").read_bytes())
    root = sqlite3.connect(path / "catalog.sqlite").execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunks'")
    start = (root.fetchone()[0] - 1) * 4096
    data[start : start + 4096] = bytes(4096)
    (path / "catalog.sqlite").write_bytes(data)
    with pytest.raises(StoreError, match="damaged"), KnowledgeBase(path, plugins=plugins) as kb:
        kb.add(Listed(numbered(60)))
    assert sqlite3.connect(path / "catalog.sqlite").execute("SELECT count(*) FROM records").fetchone()[0] == 12


# -- rebuild --------------------------------------------------------------------------------------


def test_a_rebuild_embeds_nothing_and_readers_change_over(kb: KnowledgeBase, in_chroma: None, plugins: Plugins) -> None:
    kb.add(Listed(*SOME))
    with KnowledgeBase(kb.path, plugins=plugins) as reader:
        assert find(reader, SOME[3].text) == ["r3"]
        encoded = kb.encoder.texts_encoded  # type: ignore[attr-defined]
        steps: list[tuple[int, int | None, str]] = []
        assert kb.rebuild(lambda *step: steps.append(step)) == 12
        assert steps[-1] == (12, 12, "vectors") and kb.encoder.texts_encoded == encoded  # type: ignore[attr-defined]
        assert find(reader, SOME[4].text) == ["r4"]
        assert reader.index.path == kb.index.path == kb.path / "chroma-2"
    assert_whole(kb, IDS)


def test_readers_keep_the_old_index_and_a_broken_off_rebuild_goes_on(
    kb: KnowledgeBase, in_chroma: None, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsrag.store.index import VectorIndex

    monkeypatch.setattr("rsrag.store.rebuild.ROWS", 4)
    kb.add(Listed(*SOME))
    put, sent = VectorIndex.put, []

    def broken(self: VectorIndex, space: str, ids: list[str], vectors: object) -> None:
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(len(ids))
        with KnowledgeBase(kb.path, plugins=plugins) as reader:
            assert find(reader, SOME[5].text) == ["r5"]
        put(self, space, ids, vectors)  # type: ignore[arg-type]

    monkeypatch.setattr(VectorIndex, "put", broken)
    with pytest.raises(KeyboardInterrupt):
        kb.rebuild()
    assert kb.index.path.name == "chroma" and find(kb, SOME[6].text) == ["r6"]
    sent.clear()
    monkeypatch.setattr(VectorIndex, "put", lambda self, space, ids, vectors: (sent.append(len(ids)), put(self, space, ids, vectors)))  # fmt: skip  # noqa: E501
    assert kb.rebuild() == 12 and sent == [4]  # eight were there
    assert_whole(kb, IDS)


# -- snapshots ------------------------------------------------------------------------------------


def test_a_snapshot_brings_back_what_was(kb: KnowledgeBase, tmp_path: Path, plugins: Plugins) -> None:
    make_image(tmp_path / "pics" / "a.png")
    kb.add(tmp_path / "pics", source="pics")
    kb.add(Listed(*SOME))
    assert kb.snapshot("good").records == 13
    kb.delete("pics")
    kb.add(Listed(numbered(0), numbered(99)))
    snapshot, kept = restore(kb.path, "good")
    assert (snapshot.name, kept) == ("good", "before-restore")
    assert {s.name for s in kb.sources()} == {"notes", "pics"}  # an open store sees it too
    with KnowledgeBase(kb.path, plugins=plugins) as again:
        assert again.verify().problems == []
        assert len(list((again.path / "previews").rglob("*.jpg"))) == 1
        assert find(again, SOME[7].text) == ["r7"]
    restore(kb.path, "before-restore")
    with KnowledgeBase(kb.path, plugins=plugins) as again:
        assert_whole(again, {*IDS, "r99"})


def test_backups_are_made_before_changes_and_not_too_many(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    kb.add(Listed(*SOME))
    assert snapshots(kb.path) == []  # there was nothing to keep
    kb.add(Listed(*SOME, numbered(20)))
    kb.add(Listed(*SOME, numbered(21)))
    assert [s.records for s in snapshots(kb.path)] == [12]  # the second was a moment later
    monkeypatch.setattr("rsrag.store.snapshots.BACKUP_EVERY_S", 0)
    times = iter(range(10))
    monkeypatch.setattr("rsrag.store.snapshots.auto_name", lambda: f"auto-{next(times)}")
    for number in range(30, 36):
        kb.add(Listed(numbered(number), label="more"))
    kb.add(Listed(numbered(35), label="more"))  # changes nothing
    assert [s.records for s in snapshots(kb.path)] == [17, 18, 19]


def test_snapshots_on_the_command_line(kb: KnowledgeBase) -> None:
    kb.add(Listed(*SOME))
    where = ("--kb", str(kb.path))
    assert "None yet" in care("snapshot", *where).stderr
    assert care("snapshot", "one", *where).stdout.startswith("Kept 12 records as 'one'")
    assert "12 records" in care("snapshot", *where).stdout
    assert json.loads(care("snapshot", "--json", *where).stdout)[0]["name"] == "one"
    assert care("restore", "one", *where, input="n\n").exit_code == 1
    assert isinstance(care("snapshot", "one", *where).exception, UsageError)
    assert isinstance(care("snapshot", "../up", *where).exception, UsageError)
    assert isinstance(care("restore", "two", "-y", *where).exception, UsageError)
    assert care("snapshot", "one", "--remove", *where).exit_code == 0 and snapshots(kb.path) == []


def test_verify_and_rebuild_on_the_command_line(kb: KnowledgeBase) -> None:
    kb.add(Listed(*SOME))
    kb.close()
    path = str(kb.path)
    assert care("verify", path).stdout.endswith("Sound.\n")
    assert care("rebuild", path).stdout == "Indexed 12 vectors of kb anew.\n"
    with KnowledgeBase(path, FakeEncoder(), plugins=Plugins(external=False)) as again:
        lose_a_row(again)
    told = care("verify", path)
    assert told.exit_code == 1 and "--repair" in told.stdout
    assert care("verify", path, "--repair").exit_code == 0
    assert json.loads(care("verify", path, "--json").stdout)["ok"] is True


# -- export and import ----------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "manifest.json"
    }


def test_export_and_import_are_bit_exact(kb: KnowledgeBase, tmp_path: Path, plugins: Plugins) -> None:
    make_image(tmp_path / "pics" / "a.png")
    kb.add(tmp_path / "pics", source="pics")
    kb.add(Listed(*SOME, RICH))
    counts = kb.export(tmp_path / "out")
    assert counts == {
        "records": 14,
        "chunks": kb.info().chunks,
        "vectors": sum(n for *_, n in kb.info().spaces),
        "previews": 1,
    }
    with KnowledgeBase(tmp_path / "other", "fake", plugins=plugins) as other:
        assert other.import_(tmp_path / "out")["added"] == 14
        assert other.encoder.texts_encoded == 0  # type: ignore[attr-defined]
        assert_whole(other, IDS | {"rich"}, IDS | {"rich", "a.png"})
        for search in (
            lambda k: k.search_text(Query("every field"), 5),
            lambda k: k.search_named(Query("Where is Richie?"), 5),
            lambda k: k.search_near(Query(near=BBox(179, -18, 180, -17)), 5),
            lambda k: k.search_vectors(Query("field", where=Filter(facets={"gsd_m": 0.1})), "texts", "text", 5),
        ):
            assert search(other) == search(kb) != []
        other.export(tmp_path / "out2")
        assert other.import_(tmp_path / "out")["unchanged"] == 14
    assert files(tmp_path / "out") == files(tmp_path / "out2")


def test_imports_merge(kb: KnowledgeBase, tmp_path: Path, plugins: Plugins) -> None:
    kb.add(Listed(*SOME[:8]))
    kb.export(tmp_path / "out")
    with KnowledgeBase(tmp_path / "other", "fake", plugins=plugins) as other:
        other.add(Listed(*SOME[6:], Record("r0", "topic/0", "Title 0", "an older text"), label="notes"))
        assert other.import_(tmp_path / "out") | {"vectors": 0} == {
            "added": 5, "updated": 1, "unchanged": 2, "vectors": 0,
        }  # fmt: skip
        assert_whole(other, IDS)


def spoil(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


def reaching_out(folder: Path) -> None:
    import hashlib

    text = (folder / "records.jsonl").read_text().replace('"image": ""', '"image": "../../secret.png"')
    (folder / "records.jsonl").write_text(text)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["records.jsonl"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: shutil.rmtree(f), "no export of a knowledge base"),
        (spoil("manifest.json", lambda b: b[:40]), "no export of a knowledge base"),
        (spoil("manifest.json", lambda b: b.replace(b'"format": 1', b'"format": 9')), "format 9"),
        (spoil("manifest.json", lambda b: b.replace(b'"sources.jsonl"', b'"../etc/hosts"')), "no export holds"),
        (spoil("records.jsonl", lambda b: b[:-20]), "missing or damaged"),
        (spoil("vectors/texts.npy", lambda b: b[:-4] + b"\0\0\0\1"), "missing or damaged"),
        (lambda f: (f / "vectors" / "texts.txt").unlink(), "missing or damaged"),
        (spoil("manifest.json", lambda b: b.replace(b"fake-64-1", b"fake-64-7")), "cannot be compared"),
        (reaching_out, "which no export does"),
    ],
)
def test_a_bad_export_is_refused_and_changes_nothing(
    kb: KnowledgeBase, tmp_path: Path, plugins: Plugins, harm: Callable[[Path], None], said: str
) -> None:
    kb.add(Listed(*SOME))
    kb.export(tmp_path / "out")
    harm(tmp_path / "out")
    with KnowledgeBase(tmp_path / "other", "fake", plugins=plugins) as other:
        other.add(Listed(numbered(70), label="own"))
        with pytest.raises((UsageError, StoreError), match=said):
            other.import_(tmp_path / "out")
        assert_whole(other, {"r70"})


def test_export_of_one_source_on_the_command_line(kb: KnowledgeBase, tmp_path: Path) -> None:
    kb.add(Listed(*SOME[:3], label="a"))
    kb.add(Listed(*SOME[3:], label="b"))
    kb.close()
    out, where = str(tmp_path / "out"), ("--kb", str(kb.path))
    assert care("export", out, "--source", "a", *where).stdout.startswith("Wrote 3 records with 3 vectors")
    assert isinstance(care("export", out, *where).exception, UsageError)
    assert isinstance(care("export", str(tmp_path / "x"), "--source", "z", *where).exception, UsageError)
    assert care("import", out, "--kb", str(tmp_path / "new")).stdout.startswith("Took in 3 records")


# -- pruning --------------------------------------------------------------------------------------


def test_prune_removes_what_has_vanished_and_nothing_else(kb: KnowledgeBase, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("stays", "goes", "breaks"):
        (folder / f"{name}.txt").write_text(f"The text that {name}.")
    kb.add(folder)
    (folder / "goes.txt").unlink()
    (folder / "breaks.txt").write_bytes(b"\xff\xfe\x00broken" * 9)
    assert kb.add(folder).skipped == () and kb.info().records == 3
    assert kb.add(folder, prune=True, dry_run=True).removed == 1 and kb.info().records == 3
    report = kb.add(folder, prune=True)
    assert (report.removed, report.skipped) == (1, ())
    assert_whole(kb, {"stays.txt", "breaks.txt"})


def test_prune_spares_a_source_that_yields_nothing(kb: KnowledgeBase) -> None:
    kb.add(Listed(*SOME))
    with pytest.raises(UsageError, match="yields nothing"):
        kb.add(Listed(), prune=True)
    assert_whole(kb, IDS)


def test_a_reader_elsewhere_survives_a_rebuild(kb: KnowledgeBase) -> None:
    """Another process searches by Chroma all the while, and never meets an error or an empty answer."""
    kb.add(Listed(*SOME))
    code = """
import sys, rsrag.store.search
from rsrag import KnowledgeBase, Plugins, Query
from rsrag.testing.encoders import FakeEncoder
rsrag.store.search.EXACT_UP_TO = 0
with KnowledgeBase(sys.argv[1], FakeEncoder(), plugins=Plugins(external=False)) as kb:
    print("reading", flush=True)
    for turn in range(10**9):
        number = turn % 12
        kb._searched.clear()
        found = kb.search_vectors(Query(f"word{number} about item{number}"), "texts", "text", 1)
        assert found[0].chunk.provenance.record == f"r{number}", found
        if kb.index.path.name == "chroma-3" and turn % 12 == 0:
            break
"""
    with subprocess.Popen([sys.executable, "-c", code, str(kb.path)], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
        kb.rebuild()
        kb.rebuild()
        assert reader.wait(60) == 0
