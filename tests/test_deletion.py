"""Deletion means deletion: of a source that was removed, no file of the store holds text, vectors or pictures."""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs import Other, opened
from typer.testing import CliRunner
from whole import Listed, assert_whole, numbered

from rsrag import BBox, Fact, KnowledgeBase, Plugins, Record, Section
from rsrag.cli.app import build
from rsrag.store.snapshots import restore, snapshots
from rsrag.testing.rasters import make_image

KEPT = tuple(numbered(i) for i in range(30))
KEPT_IDS = {record.id for record in KEPT}
WORDS = tuple(f"{a}{b}uvoxi" for a in ("qzab", "wyke", "jixo") for b in ("lum", "pir", "zet"))
"""Words that no other record, no program and no file format uses, and that share no beginning with any that does."""

SECRET = Record(
    "xu-secret",
    "topic/vykvyk",
    f"The {WORDS[0]} of {WORDS[1]}",
    f"At night the {WORDS[2]} {WORDS[3]} rises. " + "Nothing else is said of it. " * 300,
    sections=(Section("caption", f"a {WORDS[4]} seen from above"),),
    aliases=(WORDS[5],),
    facts=(Fact("topic/vykvyk", WORDS[6], WORDS[7]),),
    facets={"tag": WORDS[8]},
    bbox=BBox(10, 50, 11, 51),
)


def needles(kb: KnowledgeBase, *sources: str) -> list[bytes]:
    """What must not be found: words, titles, ids, hashes, vectors and previews of the sources."""
    marks = ",".join("?" * len(sources))
    chunks = kb.catalog.chunks.where(f"r.source IN ({marks})", sources)
    hashes = {chunk.content_hash for chunk in chunks}
    found = [chunk.text[:60].encode() for chunk in chunks if chunk.text]
    found += [chunk.content_hash.encode() for chunk in chunks]
    for space in ("images", "names", "texts"):
        for vector in kb.catalog.vectors.of(space, sorted(hashes)).values():
            found += [vector.tobytes()[:64], vector.tobytes()[-64:]]
    found += [kb.preview_path(h).read_bytes()[-200:] for h in hashes if kb.preview_path(h).exists()]
    names = [b"secret"] if "vexpics" in sources else []  # else the other's name still holds it
    return [*found, *(word.encode() for word in WORDS), *names, b"vykvyk"]


def holding(folder: Path, wanted: list[bytes]) -> dict[str, list[bytes]]:
    """file -> what it holds of the wanted, in whatever case; names of files count as well."""
    found = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = file.read_bytes()
        low = data.lower() + file.name.encode()
        if held := [needle for needle in wanted if needle in data or needle.lower() in low]:
            found[str(file.relative_to(folder))] = held
    return found


@pytest.fixture
def filled(kb: KnowledgeBase, tmp_path: Path) -> Iterator[KnowledgeBase]:
    """Records that stay, and a secret with a picture."""
    make_image(tmp_path / "pics" / "wexlor.png", pattern="noise")
    kb.add(Listed(*KEPT, label="kept"))
    kb.add(Listed(SECRET, label="secret"))
    kb.add(tmp_path / "pics", source="vexpics")
    yield kb


def remove(kb: KnowledgeBase) -> None:
    kb.delete("secret")
    kb.delete("vexpics")


def test_the_look_at_the_bytes_finds_what_is_there(filled: KnowledgeBase) -> None:
    """Else the tests below would prove nothing."""
    filled.snapshot("copy")
    filled.close()
    wanted = needles(again := opened_at(filled), "secret", "vexpics")
    again.close()
    found = holding(filled.path, wanted)
    assert {"catalog.sqlite", "snapshots/copy/catalog.sqlite"} <= set(found)
    assert any(name.startswith("chroma/") for name in found) and any(name.endswith(".jpg") for name in found)
    everywhere = [needle for held in found.values() for needle in held]
    assert set(wanted) - set(everywhere) == set()


def opened_at(kb: KnowledgeBase) -> KnowledgeBase:
    return KnowledgeBase(kb.path, plugins=kb.plugins)


def test_nothing_of_a_removed_source_is_left_in_any_file(
    filled: KnowledgeBase, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = needles(filled, "secret", "vexpics")
    remove(filled)
    assert holding(filled.path, wanted) == {}  # while it is still open, too
    assert_whole(filled, KEPT_IDS)
    filled.close()
    assert holding(filled.path, wanted) == {}
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_graph_that_chroma_wrote_is_made_anew(kb: KnowledgeBase) -> None:
    """From 1,000 rows on Chroma keeps vectors in files of its own."""
    kb.add(Listed(SECRET, *map(numbered, range(1100, 1200)), label="secret"))
    kb.add(Listed(*map(numbered, range(1100)), label="kept"))
    kb.index.query("texts", kb.catalog.vectors.after("texts", 0, 1)[0][2], 1)
    wanted = needles(kb, "secret")
    assert any(name.endswith("data_level0.bin") for name in holding(kb.path, wanted))
    kb.delete("secret")
    assert holding(kb.path, wanted) == {}
    assert_whole(kb, {f"r{n}" for n in range(1100)})


def test_automatic_copies_lose_it_and_keep_the_rest(
    filled: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rsrag.store.snapshots.BACKUP_EVERY_S", 0)
    filled.add(Listed(numbered(77), label="more"))
    assert [s.records for s in snapshots(filled.path)][-1] == 32
    wanted = needles(filled, "secret", "vexpics")
    remove(filled)
    assert holding(filled.path, wanted) == {}
    assert [s.records for s in snapshots(filled.path)][-1] == 30
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    filled.close()
    restore(filled.path)
    with opened_at(filled) as kb:
        assert_whole(kb, KEPT_IDS)
    assert holding(filled.path, wanted) == {}


def test_a_copy_with_a_name_stays_and_is_told(filled: KnowledgeBase, plugins: Plugins) -> None:
    filled.snapshot("mine")
    wanted = needles(filled, "secret", "vexpics")
    filled.close()

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(build(["kb"]), ["kb", *arguments, "--kb", str(filled.path)])
        assert result.exit_code == 0, result.output
        return result.output

    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr(logging.getLogger("rsrag"), "warning", lambda text, *rest: said.append(text % rest))
        with opened_at(filled) as kb:
            remove(kb)
    assert said == [
        f"the copy 'mine' still holds '{source}'. To remove it: rsrag kb snapshot mine --remove --kb {filled.path}"
        for source in ("secret", "vexpics")
    ]
    found = holding(filled.path, wanted)
    assert found and all(name.startswith("snapshots/") for name in found)
    restore(filled.path, "mine")
    with opened_at(filled) as kb:
        assert_whole(kb, KEPT_IDS | {"xu-secret", "wexlor.png"})
        remove(kb)
    run("snapshot", "mine", "--remove")
    assert holding(filled.path, wanted) == {}


def test_what_was_deleted_before_deletion_was_thorough_goes_too(filled: KnowledgeBase) -> None:
    """A store of an rsrag that left deleted rows in its free pages."""
    wanted = needles(filled, "secret", "vexpics")
    filled.close()
    with sqlite3.connect(filled.path / "catalog.sqlite") as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("DELETE FROM meta WHERE key = 'clean'")
        db.execute(f"CREATE TABLE t AS SELECT '{WORDS[0]} ' || hex(randomblob(9000)) AS x FROM chunks")
        db.execute("DROP TABLE t")
    db.close()
    assert WORDS[0].encode() in (filled.path / "catalog.sqlite").read_bytes()
    with opened_at(filled) as kb:
        remove(kb)
    assert holding(filled.path, wanted) == {}


def test_what_an_interrupted_reencode_made_of_it_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, "fake") as kb:
        kb.add(Listed(*KEPT, label="kept"))
        kb.add(Listed(SECRET, label="secret"))
        monkeypatch.setattr("rsrag.reencode.fill", lambda *rest: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kb.reencode("other")
        monkeypatch.undo()
        wanted = needles(kb, "secret")
        text = next(c for c in kb.catalog.chunks.where("r.source = 'secret'", ()) if c.part == "caption")
        other = Other().encode_texts([text.text]).tobytes()[:64]
        kb.delete("secret")
        assert holding(kb.path, [*wanted, other]) == {}
        kb.reencode("other")
        assert kb.encoder.texts_encoded < 60  # type: ignore[attr-defined]  # the rest was kept


@pytest.mark.parametrize("where", ["rebuild", "_from_copy", "_scrub"])
def test_a_removal_that_is_broken_off_is_finished_by_the_next_opening(
    filled: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    filled.add(Listed(numbered(77), label="kept"))
    wanted = needles(filled, "secret")
    shutil.rmtree(filled.path / "previews")

    def broken(*rest: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"rsrag.store.erasure.{where}", broken)
    with pytest.raises(KeyboardInterrupt):
        filled.delete("secret")
    monkeypatch.undo()
    assert "secret" not in filled.catalog.source_names()
    filled.close()
    with opened_at(filled) as kb:
        assert kb.verify().problems == [
            "previews: 1 are missing or cut off; add the images' source again after `rsrag kb remove`"
        ]
    assert holding(filled.path, wanted) == {}


def test_a_large_index_is_left_and_told(
    filled: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rsrag.store.erasure.REBUILD_UP_TO", 3)
    filled.add(Listed(*map(numbered, range(150)), label="kept"))
    wanted = needles(filled, "secret")
    filled.delete("secret")
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert told == [f"the files of the vector index hold removed vectors until `rsrag kb rebuild --kb {filled.path}`."]
    assert {name.partition("/")[0] for name in holding(filled.path, wanted)} == {"chroma"}
    filled.rebuild()
    filled.close()
    assert holding(filled.path, wanted) == {}


def test_many_sources_come_and_go(tmp_path: Path) -> None:
    """In any order, sharing contents: what two have stays while one has it."""
    chance = random.Random(5)
    there: dict[str, set[int]] = {}
    for _ in range(12):
        name = f"s{chance.randrange(4)}"
        with opened(tmp_path, "fake") as kb:
            if name in there and chance.random() < 0.6:
                kb.delete(name)
                del there[name]
            else:
                there[name] = there.get(name, set()) | set(chance.sample(range(20), 6))
                kb.add(Listed(*map(numbered, sorted(there[name])), label=name))
            assert kb.verify().problems == []
        gone = set(range(20)) - set().union(*there.values())
        assert holding(kb.path, [f"word{n} about item{n} near".encode() for n in gone]) == {}
