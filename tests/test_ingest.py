"""Ingest through `kb.add` on real files: what is found, what a bad file costs, what resuming means."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from rsrag import KnowledgeBase, Plugins, Query, Record, RsragError, Scene, UsageError
from rsrag.testing.encoders import COLOURS, FakeEncoder
from rsrag.testing.rasters import make_geotiff


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Pictures of one colour each, one with a caption beside it, and a document."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (64, 48), COLOURS[name]).save(folder / f"{name}.png")
    (folder / "green.txt").write_text("A meadow after rain.")
    (folder / "notes.md").write_text("# Survey\n\nThe survey was flown in May.\n\n## Weather\n\nIt was foggy.\n")
    return folder


def encoder_of(kb: KnowledgeBase) -> FakeEncoder:
    assert isinstance(kb.encoder, FakeEncoder)
    return kb.encoder


def test_a_folder_is_found_by_text_and_by_example(kb: KnowledgeBase, archive: Path) -> None:
    from rsrag import open_scene

    report = kb.add(archive)
    assert (report.added, report.failed, report.source) == (4, (), "archive")
    by_text = kb.search_vectors(Query("blue"), "images", "text", 1)
    assert by_text[0].chunk.image == "blue.png"
    by_example = kb.search_vectors(Query(scenes=(open_scene(archive / "red.png"),)), "images", "scene", 1)
    assert by_example[0].chunk.image == "red.png"
    assert kb.search_text(Query("meadow"), 1)[0].chunk.part == "caption"
    found = kb.search_text(Query("foggy"), 1)[0].chunk
    assert found.provenance.heading.endswith("Weather")
    assert kb.image_path(by_text[0].chunk) == archive / "blue.png"


def test_previews_outlive_the_originals(kb: KnowledgeBase, archive: Path) -> None:
    kb.add(archive)
    chunk = kb.search_vectors(Query("blue"), "images", "text", 1)[0].chunk
    (archive / "blue.png").unlink()
    preview = kb.image_path(chunk)
    assert preview is not None and preview.is_relative_to(kb.path)
    with Image.open(preview) as image:
        assert image.size == (64, 48)


def test_unchanged_files_cost_nothing_and_changed_ones_replace(kb: KnowledgeBase, archive: Path) -> None:
    kb.add(archive)
    encoder = encoder_of(kb)
    counts = (encoder.texts_encoded, encoder.scenes_encoded)
    again = kb.add(archive)
    assert (again.added, again.updated, again.unchanged, again.embedded) == (0, 0, 4, 0)
    assert (encoder.texts_encoded, encoder.scenes_encoded) == counts
    Image.new("RGB", (64, 48), COLOURS["yellow"]).save(archive / "red.png")
    os.utime(archive / "red.png", (time.time() + 5, time.time() + 5))
    changed = kb.add(archive)
    assert (changed.updated, changed.unchanged, changed.embedded) == (1, 3, 1)
    assert kb.search_vectors(Query("yellow"), "images", "text", 1)[0].chunk.image == "red.png"
    assert kb.index.count("images") == 3


def test_a_touched_file_with_the_same_pixels_is_not_encoded_again(kb: KnowledgeBase, archive: Path) -> None:
    kb.add(archive)
    before = encoder_of(kb).scenes_encoded
    os.utime(archive / "red.png", (1, 1))
    assert kb.add(archive).embedded == 0
    assert encoder_of(kb).scenes_encoded == before


def test_equal_pixels_in_other_formats_share_one_vector(kb: KnowledgeBase, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    image = Image.new("RGB", (40, 40), COLOURS["red"])
    for name in ("a.png", "b.bmp", "c.tif"):
        image.save(folder / name)
    report = kb.add(folder)
    assert (report.added, encoder_of(kb).scenes_encoded) == (3, 1)
    assert len(kb.search_vectors(Query("red"), "images", "text", 9)) == 3


def test_bad_files_cost_themselves_and_are_named(kb: KnowledgeBase, archive: Path) -> None:
    whole = (archive / "red.png").read_bytes()
    (archive / "cut.png").write_bytes(whole[: len(whole) // 2])
    (archive / "words.png").write_text("this is no picture")
    (archive / "empty.jpg").touch()
    report = kb.add(archive)
    assert report.added == 4
    named = " ".join(where for where, _ in report.failed)
    assert all(name in named for name in ("cut.png", "words.png", "empty.jpg"))


def test_a_geotiff_brings_its_place(kb: KnowledgeBase, tmp_path: Path) -> None:
    from rsrag import BBox

    folder = tmp_path / "rasters"
    folder.mkdir()
    make_geotiff(folder / "field_20200714.tif", crs="EPSG:4326", bounds=(10.0, 50.0, 10.1, 50.1))
    kb.add(folder)
    hits = kb.search_vectors(Query("grey"), "images", "text", 1)
    assert hits[0].chunk.bbox is not None and hits[0].chunk.bbox.intersects(BBox(10.04, 50.04, 10.06, 50.06))
    assert hits[0].chunk.acquired is not None and hits[0].chunk.acquired.year == 2020


def test_a_dry_run_counts_and_writes_nothing(kb: KnowledgeBase, archive: Path) -> None:
    assert kb.add(archive, dry_run=True).added == 4
    assert len(kb) == 0 and kb.sources() == []


def test_one_name_belongs_to_one_place(kb: KnowledgeBase, archive: Path, tmp_path: Path) -> None:
    kb.add(archive)
    other = tmp_path / "elsewhere" / "archive"
    other.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(other / "x.png")
    with pytest.raises(UsageError, match=r"'archive' already belongs to .*--source"):
        kb.add(other, source="archive")
    assert kb.add(other).source == "elsewhere/archive"
    assert kb.add(other, source="second").added == 1


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("nowhere/at/all", {}, "does not exist"),
        (12, {}, "no kind of source can read 'int'"),
        ("folder", {"pth": "x"}, "has no option 'pth'. Did you mean 'path'?"),
        (".", {"kind": "foldr"}, "no source called 'foldr'. Did you mean 'folder'?"),
    ],
)
def test_what_cannot_be_added_is_said_in_one_line(
    kb: KnowledgeBase, what: object, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        kb.add(what, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


class Twice:
    name = "twice"
    label = "twice"

    def records(self) -> Iterator[Record]:
        yield Record("a", "t/a", "A", "first")
        yield Record("a", "t/a", "A", "second")
        yield Record("b", "t/b", "B")


def test_doubled_ids_and_empty_records_are_reported(kb: KnowledgeBase) -> None:
    report = kb.add(Twice())
    assert report.added == 1
    assert [where for where, _ in report.failed] == ["b", "a"] or [w for w, _ in report.failed] == ["a", "b"]


def test_an_interrupted_run_resumes(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsrag.ingest.BATCH", 5)
    monkeypatch.setattr("rsrag.ingest.AHEAD", 10)

    class Many:
        name = "many"
        label = "many"
        stop_at = 23

        def records(self) -> Iterator[Record]:
            for i in range(40):
                if i == self.stop_at:
                    raise KeyboardInterrupt
                yield Record(f"r{i}", f"t/{i}", f"R{i}", f"text number {i}")

    source = Many()
    with pytest.raises(KeyboardInterrupt):
        kb.add(source)
    kept = kb.info().records
    assert 5 <= kept <= 23
    source.stop_at = -1
    report = kb.add(source)
    assert (report.added, report.unchanged) == (40 - kept, kept)
    assert encoder_of(kb).texts_encoded <= 40 + 5


KILLED = """
import os, signal, sys
from rsrag import KnowledgeBase, Plugins, Record
from rsrag.testing.encoders import FakeEncoder
import rsrag.ingest
rsrag.ingest.BATCH = 4

class Source:
    name = "list"; label = "list"
    def records(self):
        for i in range(60):
            yield Record(f"r{i}", f"t/{i}", f"R{i}", f"text number {i}")

with KnowledgeBase(sys.argv[1], FakeEncoder(), plugins=Plugins(external=False)) as kb:
    def progress(done, total, name):
        if sys.argv[2] != "never" and done >= int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    print(kb.add(Source(), progress=progress).added)
"""


@pytest.mark.parametrize("moment", ["4", "20", "52"])
def test_nothing_acknowledged_is_lost_by_kill(tmp_path: Path, moment: str) -> None:
    run = [sys.executable, "-c", KILLED, str(tmp_path / "kb")]
    assert subprocess.run([*run, moment], check=False).returncode == -9
    done = subprocess.run([*run, "never"], check=True, capture_output=True, text=True)
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=Plugins(external=False)) as kb:
        assert kb.info().records == 60 and kb.info().settled
        assert kb.index.count("texts") == 60
        assert int(done.stdout) <= 60
        for i in (0, 30, 59):
            assert kb.search_vectors(Query(f"R{i}. text number {i}"), "texts", "text", 1)[0].score > 0.99


class BrokenEncoder(FakeEncoder):
    name = "broken"

    def encode_texts(self, texts: Sequence[str], role: str = "passage"):  # type: ignore[no-untyped-def,override]
        return super().encode_texts(texts)[:, :-1] * float("nan")


def test_an_encoder_that_breaks_its_contract_is_named(tmp_path: Path) -> None:
    with (
        KnowledgeBase(tmp_path / "kb", BrokenEncoder(), plugins=Plugins(external=False)) as kb,
        pytest.raises(RsragError, match=r"encoder 'broken' broke its contract.*\(1, 64\) was expected"),
    ):
        kb.add(Twice())


class Short:
    name = "short"

    def caption(self, scenes: Sequence[Scene]) -> list[str]:
        return ["only one"]


class Describe:
    name = "describe"

    def caption(self, scenes: Sequence[Scene]) -> list[str]:
        return [f"an image {scene.width} pixels wide" for scene in scenes]


def test_a_captioner_fills_what_has_no_words(kb: KnowledgeBase, archive: Path) -> None:
    kb.add(archive, captioner=Describe())
    captions = [h.chunk for h in kb.search_text(Query("pixels wide"), 9)]
    assert {c.provenance.record for c in captions} == {"red.png", "blue.png"}
    assert {c.part for c in captions} == {"caption"}


def test_a_captioner_that_returns_too_few_is_named(kb: KnowledgeBase, archive: Path) -> None:
    with pytest.raises(RsragError, match="'short' returned 1 captions for 2 images"):
        kb.add(archive, captioner=Short())


def test_a_langchain_loader_is_a_source(kb: KnowledgeBase) -> None:
    from langchain_core.document_loaders import BaseLoader
    from langchain_core.documents import Document

    class Loader(BaseLoader):
        def lazy_load(self) -> Iterator[Document]:
            yield Document("Glaciers calve into the fjord.", metadata={"source": "https://example.org/g", "page": 2})

    kb.add(Loader(), source="web")
    chunk = kb.search_text(Query("glaciers"), 1)[0].chunk
    assert chunk.provenance.url == "https://example.org/g"
    assert chunk.provenance.source == "web"
