"""`kb reencode`: vectors by other encoders, made beside the old ones, which are searched until the new are complete."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner
from whole import Listed, assert_whole, numbered

from rsrag import KnowledgeBase, Plugins, Query, Record, Section, StoreError, UsageError, hookimpl
from rsrag.cli.app import build
from rsrag.store.snapshots import restore
from rsrag.testing.encoders import FakeEncoder
from rsrag.testing.rasters import make_image

SOME = tuple(numbered(i) for i in range(12))
IDS = {record.id for record in SOME}
ALL = IDS | {"tank", "red.png", "blue.png"}
LABEL = Record("tank", "class/tank", "Tank", sections=(Section("label", "storage tanks"),))


class Other(FakeEncoder):
    name = "other"
    last: Other

    def __init__(self) -> None:
        super().__init__(dim=32)
        Other.last = self

    @property
    def id(self) -> str:
        return "other-32"


class Small(FakeEncoder):
    """Takes less text than the first."""

    name = "small"
    max_tokens = 8

    @property
    def id(self) -> str:
        return "small-64"


class Texts(Small):
    name = "texts"
    encode_scenes = None  # type: ignore[assignment]

    @property
    def id(self) -> str:
        return "texts-64"


class Encoders:
    @hookimpl
    def rsrag_encoders(self) -> list[type]:
        return [FakeEncoder, Other, Small, Texts]


@pytest.fixture
def plugins() -> Plugins:
    return Plugins(external=False, extra=[Encoders()])


@pytest.fixture
def filled(kb: KnowledgeBase, tmp_path: Path) -> KnowledgeBase:
    """Texts, a name, and two images."""
    make_image(tmp_path / "pics" / "red.png", color=(200, 40, 40))
    make_image(tmp_path / "pics" / "blue.png", color=(40, 60, 200))
    kb.add(tmp_path / "pics", source="pics")
    kb.add(Listed(*SOME, LABEL))
    return kb


def find(kb: KnowledgeBase, text: str) -> list[str]:
    return [h.chunk.provenance.record for h in kb.search_vectors(Query(text), "texts", "text", 1)]


def pictures(kb: KnowledgeBase, text: str) -> list[str]:
    return [h.chunk.provenance.record for h in kb.search_vectors(Query(text), "images", "text", 1)]


def encoders(kb: KnowledgeBase) -> list[str]:
    return [about[1] for about in kb.info().spaces]


@pytest.mark.parametrize("exact_up_to", [0, 10_000])
def test_everybody_changes_over(
    filled: KnowledgeBase, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
) -> None:
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", exact_up_to)
    steps: list[tuple[int, int | None, str]] = []
    with KnowledgeBase(filled.path, plugins=plugins) as reader:
        assert find(reader, SOME[3].text) == ["r3"]
        done = filled.reencode("other", progress=lambda *step: steps.append(step))
        assert done.spaces == (
            ("images", "fake-64-1", "other-32", 2),
            ("names", "fake-64-1", "other-32", 1),
            ("texts", "fake-64-1", "other-32", 13),
        )
        assert (done.previews, done.split, done.removed, done.problems) == (0, 0, 0, ())
        assert [step for step in steps if step[0] == step[1]] == [
            (2, 2, "images"), (1, 1, "names"), (13, 13, "texts"), (16, 16, "vectors"),
        ]  # fmt: skip
        assert find(reader, SOME[4].text) == ["r4"] and reader.encoder.id == "other-32"
        assert pictures(reader, "red") == ["red.png"]
    assert filled.encoder.id == "other-32" and find(filled, SOME[5].text) == ["r5"]
    assert not list(filled.path.glob("reencode.sqlite*")) and [p.name for p in filled.path.glob("chroma*")] == [
        "chroma-3"
    ]
    with KnowledgeBase(filled.path, plugins=plugins) as again:
        assert again.encoder.name == "other" and pictures(again, "blue") == ["blue.png"]
        assert again.verify().problems == []
        again.add(Listed(numbered(50), label="more"))
        assert find(again, numbered(50).text) == ["r50"]


def test_texts_alone(filled: KnowledgeBase) -> None:
    done = filled.reencode(text_encoder="texts")
    assert [space for space, *_ in done.spaces] == ["texts"]
    assert encoders(filled) == ["fake-64-1", "fake-64-1", "texts-64"]
    assert pictures(filled, "red") == ["red.png"] and find(filled, SOME[5].text) == ["r5"]


def test_nothing_is_done_where_nothing_differs(filled: KnowledgeBase) -> None:
    before = filled.catalog.generation()
    assert filled.reencode().spaces == filled.reencode("fake").spaces == ()
    assert filled.catalog.generation() == before and not list(filled.path.glob("reencode.sqlite*"))


def test_a_text_too_long_for_the_new_encoder_loses_nothing(kb: KnowledgeBase) -> None:
    kb.add(Listed(Record("long", "t/long", "Long", " ".join(f"alpha{i} beta{i}" for i in range(20))), numbered(1)))
    done = kb.reencode("small")
    assert done.split == 1 and done.problems == ()
    hits = kb.search_vectors(Query("alpha0 beta19"), "texts", "text", 2)
    assert hits[0].chunk.provenance.record == "long" and hits[0].chunk.text.endswith("beta19")


def test_an_encoder_of_texts_does_not_take_the_place_of_one_that_sees(filled: KnowledgeBase) -> None:
    with pytest.raises(UsageError, match="compares texts only"):
        filled.reencode("texts")


# -- images ---------------------------------------------------------------------------------------


def lose_previews(kb: KnowledgeBase) -> None:
    shutil.rmtree(kb.path / "previews")


def test_an_image_that_is_gone_is_encoded_from_its_preview(filled: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "pics" / "red.png").unlink()
    make_image(tmp_path / "pics" / "blue.png", color=(220, 210, 60))  # another picture by now
    assert filled.reencode("other").previews == 2
    assert pictures(filled, "red") == ["red.png"] and pictures(filled, "blue") == ["blue.png"]


def test_images_that_cannot_be_encoded_are_named_before_anything_starts(filled: KnowledgeBase, tmp_path: Path) -> None:
    lose_previews(filled)
    (tmp_path / "pics" / "red.png").unlink()
    with pytest.raises(UsageError, match=r"^pics: red\.png cannot be encoded again.*--skip-missing"):
        filled.reencode("other")
    assert not list(filled.path.glob("reencode.sqlite-*")) and encoders(filled)[0] == "fake-64-1"
    assert find(filled, SOME[1].text) == ["r1"]


def test_they_can_be_taken_out_and_come_back(filled: KnowledgeBase, tmp_path: Path) -> None:
    lose_previews(filled)
    (tmp_path / "pics" / "red.png").rename(tmp_path / "red.png")
    done = filled.reencode("other", skip_missing=True)
    assert done.removed == 1 and filled.search_text(Query("red", task="search"), 5) == []
    assert [p for p in done.problems if not p.startswith("previews")] == []
    assert {r for (r,) in filled.catalog.db.execute("SELECT id FROM records WHERE source = 'pics'")} == {"blue.png"}
    (tmp_path / "red.png").rename(tmp_path / "pics" / "red.png")
    assert filled.add(tmp_path / "pics", source="pics").added == 1
    assert pictures(filled, "red") == ["red.png"]


# -- broken off, and others at work ---------------------------------------------------------------


def test_broken_off_it_goes_on_and_the_old_vectors_stay_in_use(
    filled: KnowledgeBase, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsrag.reencode.BATCH", 4)

    def stop(done: int, total: int | None, what: str) -> None:
        if what == "texts" and done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filled.reencode("other", progress=stop)
    with KnowledgeBase(filled.path, plugins=plugins) as reader:
        assert find(reader, SOME[5].text) == ["r5"] and reader.verify().problems == []
        assert reader.rebuild() == 16  # and it may be rebuilt
        assert reader.reencode("other").problems == ()
        assert Other.last.texts_encoded == 13 - 8
        assert_whole(reader, ALL)


def test_what_was_left_for_another_goal_is_thrown_away(filled: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int | None, what: str) -> None:
        if what == "vectors":
            raise KeyboardInterrupt

    monkeypatch.setattr("rsrag.store.rebuild.ROWS", 4)
    with pytest.raises(KeyboardInterrupt):
        filled.reencode("other", progress=stop)
    assert filled.reencode("small").problems == ()
    assert encoders(filled) == ["small-64"] * 3 and find(filled, SOME[5].text) == ["r5"]


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import rsrag.reencode, rsrag.store.rebuild
from rsrag import KnowledgeBase
from test_reencode import Encoders, Plugins
rsrag.reencode.BATCH = rsrag.store.rebuild.ROWS = 2
with KnowledgeBase(sys.argv[1], plugins=Plugins(external=False, extra=[Encoders()])) as kb:
    kb.reencode("other", progress=lambda done, total, what: print(done, what, flush=True))
"""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("2 images", marks=pytest.mark.slow),
        "8 texts",
        pytest.param("4 vectors", marks=pytest.mark.slow),
        "16 vectors",
    ],
)
def test_killed_at_any_moment_nothing_is_lost(
    filled: KnowledgeBase, plugins: Plugins, moment: str, tmp_path: Path
) -> None:
    filled.close()
    command = [sys.executable, "-c", KILLED, str(filled.path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.strip() == moment:
                run.send_signal(signal.SIGKILL)
                break
    with KnowledgeBase(filled.path, plugins=plugins) as kb:
        assert find(kb, SOME[5].text) == ["r5"] and pictures(kb, "red") == ["red.png"]
        assert kb.verify().problems == [] and len(set(encoders(kb))) == 1
        assert kb.reencode("other").problems == ()
        assert kb.encoder.id == "other-32" and kb.spaces.null("images", "scene")
        assert_whole(kb, ALL)


def test_others_write_meanwhile(filled: KnowledgeBase, plugins: Plugins) -> None:
    wrote: list[int] = []

    def write(done: int, total: int | None, what: str) -> None:
        if not wrote:
            with KnowledgeBase(filled.path, plugins=plugins) as other:
                wrote.append(other.add(Listed(*SOME[1:], LABEL, numbered(60)), prune=True).added)

    assert filled.reencode("other", progress=write).problems == () and wrote == [1]
    assert_whole(filled, (ALL - {"r0"}) | {"r60"})
    assert encoders(filled) == ["other-32"] * 3


@pytest.mark.parametrize("exact_up_to", [0, 10_000])
@pytest.mark.parametrize("encoder", ["other", "small"])  # of another length, and of the same
def test_a_question_encoded_just_before_is_asked_again(
    filled: KnowledgeBase, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, exact_up_to: int, encoder: str
) -> None:
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", exact_up_to)
    with KnowledgeBase(filled.path, plugins=plugins) as reader:
        ask, lengths = reader._query_vectors, []

        def slow(*question: object) -> list[object]:
            vectors = ask(*question)  # type: ignore[arg-type]
            if not lengths:
                filled.reencode(encoder)
            lengths.append(len(vectors[0]))
            return list(vectors)

        monkeypatch.setattr(reader, "_query_vectors", slow)
        assert find(reader, SOME[3].text) == ["r3"]
        assert lengths == [64, 32 if encoder == "other" else 64] and reader.index.name == "chroma-3"


def test_a_snapshot_from_before_is_restored_with_its_own_vectors(filled: KnowledgeBase, plugins: Plugins) -> None:
    filled.snapshot("before")
    filled.reencode("other")
    restore(filled.path, "before")
    with KnowledgeBase(filled.path, plugins=plugins) as kb:
        assert kb.encoder.name == "fake" and kb.verify().problems == []
        assert find(kb, SOME[5].text) == ["r5"]
    assert find(filled, SOME[6].text) == ["r6"] and filled.encoder.name == "fake"  # open all the while


def test_it_is_refused_where_the_disk_is_too_full(filled: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(filled.path)
    monkeypatch.setattr("rsrag.store.filesystem.shutil.disk_usage", lambda _: usage._replace(free=64_000_000))
    with pytest.raises(StoreError, match=r"encoding it again needs about 0 MB in .* 64 MB are free"):
        filled.reencode("other")
    assert encoders(filled)[0] == "fake-64-1"


# -- on the command line --------------------------------------------------------------------------

PLUGIN = """
from rsrag import hookimpl
from rsrag.testing.encoders import FakeEncoder

class Mine(FakeEncoder):
    name = "mine"
    id = "mine-VERSION"

@hookimpl
def rsrag_encoders():
    return [Mine]
"""


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The weights that encoder "mine" has from now on."""
    monkeypatch.setenv("RSRAG_PLUGINS__PATHS", str(tmp_path / "mine.py"))
    return lambda number: (tmp_path / "mine.py").write_text(PLUGIN.replace("VERSION", str(number))) and None


def run(*arguments: str) -> str:
    result = CliRunner().invoke(build(list(arguments)), list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join((result.stdout + result.stderr).split())


def test_the_command_that_an_error_names_works(
    version: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "quay.txt").write_text("Cranes and ships line the quay.")
    version(1)
    where = str(tmp_path / "my kb")
    run("kb", "create", where, "--encoder", "mine")
    run("kb", "add", str(tmp_path / "docs"), "--kb", where)
    version(22)  # of another length: Python tells changed files by size and second
    command = f"`rsrag kb reencode --kb '{where}' --encoder mine`"
    assert f"made with encoder mine-1, not mine-22; {command}" in run("search", "ships", "--kb", where)
    monkeypatch.setenv("RSRAG_ENCODER", "mine")
    with pytest.raises(StoreError, match=re.escape(command)):  # asked for by name it is not even opened
        run("search", "ships", "--kb", where)
    said = run("kb", "reencode", "--kb", where, "--encoder", "mine")
    assert said.startswith("images: 0 vectors by mine-22 (before: mine-1)") and "texts: 1 vectors by mine-22" in said
    assert "failed" not in run("search", "ships at the quay", "--kb", where)
    assert "Nothing to do" in run("kb", "reencode", "--kb", where)
