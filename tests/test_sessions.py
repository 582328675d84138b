"""Sessions in SQLite: what is kept, found and resumed; terminals that are killed, or two at once; strange files."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsrag import Assistant, KnowledgeBase, ModelError, SceneError, StoreError, Text, UsageError
from rsrag.sessions import SCHEMA_VERSION, Sessions
from rsrag.testing import ScriptedModel, make_geotiff, make_knowledge_base, make_scene


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with make_knowledge_base(tmp_path_factory.mktemp("store") / "kb") as kb:
        yield kb


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    with Sessions(tmp_path / "data" / "sessions.sqlite") as opened:
        yield opened


def assistant_of(store: KnowledgeBase, *replies: Any) -> Assistant:
    return Assistant(store, ScriptedModel(list(replies) or ["The port is large [1]."]))


def test_a_session_comes_back_as_it_was(store: KnowledgeBase, sessions: Sessions, tmp_path: Path) -> None:
    make_scene(tmp_path / "a.tif")
    assistant = assistant_of(store)
    chat = assistant.chat(k=3).saved_in(sessions, "ports")
    chat.add(tmp_path / "a.tif")
    chat.add(make_geotiff(tmp_path / "b.tif"))
    chat.ask("what is in image A?", near="9,53,10,54")
    chat.drop("B")
    chat.ask("what about the north-east corner?")
    chat.mark(saved=True, rating=1)
    chat.focus = ("A", (0, 0, 8, 8))
    chat.ask("and why?")
    back = sessions.resume(assistant, chat.id)
    assert (back.id, back.name, back.settings, back.focus) == (chat.id, "ports", {"k": 3}, ("A", (0, 0, 8, 8)))
    assert list(back.scenes) == ["A"] and back.add(make_geotiff(tmp_path / "c.tif")) == "C"
    assert back.ledger.keys() == chat.ledger.keys() and list(back.ledger) == list(chat.ledger)
    for old, new in zip(chat.exchanges, back.exchanges, strict=True):
        assert (new.question, new.meant, new.letters, new.focus) == (old.question, old.meant, old.letters, old.focus)
        assert (new.status, new.started, new.ended, new.rating) == (old.status, old.started, old.ended, old.rating)
        assert old.answer is not None and new.answer is not None
        assert (new.answer.text, new.answer.warnings) == (old.answer.text, old.answer.warnings)
        for mine, kept in ((old.answer.evidence, new.answer.evidence), (old.answer.citations, new.answer.citations)):
            assert [(e.number, e.key, e.text) for e in kept] == [(e.number, e.key, e.text) for e in mine]
    assert (back.exchanges[0].settings, back.exchanges[1].saved) == ({"k": 3, "near": "9,53,10,54"}, True)
    assert back.why().lanes == chat.why().lanes and back.why().messages == chat.why().messages
    back.ask("what is a forest?")
    assert [e.question for e in sessions.open(chat.id).exchanges][-1] == "what is a forest?"
    assert back.exchanges[-1].number == 4


def test_numbers_are_never_given_twice_across_sessions(store: KnowledgeBase, sessions: Sessions) -> None:
    assistant = assistant_of(store)
    chat = assistant.chat(k=2).saved_in(sessions)
    chat.ask("what is a forest?")
    chat.undo()
    back = sessions.resume(assistant, chat.id)
    assert back.exchanges == []
    taken = len(chat.ledger)
    back.ask("quay length of the Port of Hamburg?")
    answer = back.exchanges[0].answer
    known = set(chat.ledger.keys())
    assert answer is not None and back.exchanges[0].number == 2
    assert all((e.number <= taken) == (e.key in known) for e in answer.evidence)


def test_what_memory_let_go_of_is_still_in_the_file(store: KnowledgeBase, sessions: Sessions) -> None:
    from rsrag.chat import Conversation
    from rsrag.conversation import Limits

    assistant = assistant_of(store)
    chat = Conversation(assistant, limits=Limits(turns=2), k=3).saved_in(sessions)
    for word in ("forest", "desert", "harbour", "town", "port"):
        chat.ask(f"What is a {word}?")
    gone = set(range(1, len(chat.ledger) + 1)) - {e.number for e in chat.ledger}
    assert gone
    for number in gone:
        found = chat.ledger.get(number)
        assert found is not None and found.number == number
    assert chat.ledger.get(len(chat.ledger) + 1) is None
    first = chat.exchanges[0].answer
    assert first is not None and first.trace == {}
    assert chat.why(0).lanes and chat.why(0).messages and len(chat.why(0).evidence) > len(chat.why(0).cited)
    assert set(sessions.open(chat.id).evidence) == set(range(1, len(chat.ledger) + 1))


def test_list_search_rename_delete(store: KnowledgeBase, sessions: Sessions) -> None:
    assistant = assistant_of(store, "Quays everywhere [1].")
    assert sessions.list() == []
    with pytest.raises(UsageError, match="no session yet"):
        sessions.open("last")
    ports = assistant.chat().saved_in(sessions)
    ports.ask("What is a harbour?")
    assistant.chat().saved_in(sessions)  # nothing was asked: not listed
    woods = assistant.chat().saved_in(sessions)
    woods.ask("What is a forest?")
    woods.ask("What is a naïve café?")
    assert [(i.id, i.title, i.questions) for i in sessions.list()] == [
        (woods.id, "What is a forest?", 2),
        (ports.id, "What is a harbour?", 1),
    ]
    assert [i.id for i in sessions.list(1)] == [woods.id]
    sessions.rename(ports.id, "Ports")
    assert sessions.find("ports") == sessions.find(ports.id[:6]) == ports.id
    assert {f.session for f in sessions.search("quay")} == {ports.id, woods.id}  # in the answers, in its stem
    assert [(f.session, f.number) for f in sessions.search("naive cafe")] == [(woods.id, 2)]
    assert sessions.search('forest AND "harbour') == []
    woods.undo()
    assert sessions.search("naive") == []
    sessions.delete("Ports")
    assert [i.id for i in sessions.list()] == [woods.id] and len(sessions.search("quay")) == 1
    for wanted, why in ((ports.id, "no session"), ("%", "no session"), ("", "no session"), ("*", "no session")):
        with pytest.raises(UsageError, match=why):
            sessions.open(wanted)
    with pytest.raises(UsageError, match="no word"):
        sessions.search("?!")


def test_deleted_text_is_gone_from_the_file(store: KnowledgeBase, sessions: Sessions) -> None:
    chat = assistant_of(store).chat().saved_in(sessions)
    chat.ask("what is a zyzzyva?")
    sessions.delete(chat.id)
    files = [sessions.path, *sessions.path.parent.glob("sessions.sqlite-*")]
    assert all(b"zyzzyva" not in file.read_bytes() for file in files)


def test_an_ambiguous_beginning_is_refused(store: KnowledgeBase, sessions: Sessions) -> None:
    for id in ("abc00001", "abc00002"):
        chat = assistant_of(store).chat()
        chat.id = id
        chat.saved_in(sessions).ask("what is a forest?")
    with pytest.raises(UsageError, match="'abc' may be any of abc00001, abc00002"):
        sessions.find("abc")
    assert sessions.find("abc00002") == "abc00002"


def test_failed_and_cancelled_answers_are_kept(store: KnowledgeBase, sessions: Sessions) -> None:
    assistant = assistant_of(store, ModelError("it is asleep."), "A forest is green [1].")
    chat = assistant.chat().saved_in(sessions)
    with pytest.raises(ModelError):
        chat.ask("what is a desert?")
    events = chat.stream("what is a forest?")
    next(e for e in events if isinstance(e, Text))
    events.close()  # type: ignore[attr-defined]
    failed, cut = sessions.open(chat.id).exchanges
    assert (failed.status, failed.error) == ("failed", "it is asleep.")
    assert (cut.status, cut.partial, cut.answer) == ("interrupted", "A", None)
    assert [f.number for f in sessions.search("desert")] == [1]


# -- a terminal that is killed ----------------------------------------------------------------------

KILLED = """
import sys, time
from pathlib import Path
from rsrag import Assistant, KnowledgeBase, Plugins, Text
from rsrag.sessions import Sessions
from rsrag.testing import FakeEncoder

class Slow:
    name = "slow"
    from rsrag import Capabilities
    capabilities = Capabilities()
    def generate(self, prompt):
        if prompt.question.startswith("first"):
            yield Text("Done [1].")
            return
        for n in range(10_000):
            yield Text(f"word{n} ")
            print(n, flush=True)
            time.sleep(0.01)

kb = KnowledgeBase(sys.argv[1], FakeEncoder(), plugins=Plugins(external=False))
chat = Assistant(kb, Slow()).chat().saved_in(Sessions(sys.argv[2]))
chat.ask("first?")
chat.ask("what is a forest?", sys.argv[3])
"""


def test_a_killed_terminal_loses_less_than_half_a_second(store: KnowledgeBase, tmp_path: Path) -> None:
    image = make_geotiff(tmp_path / "a.tif")
    file = tmp_path / "sessions.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.path), str(file), str(image)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said = -1
    for line in child.stdout:
        said = int(line)
        if said >= 60:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    said = max([said, *(int(line) for line in child.stdout.read().split())])
    child.stdout.close()
    with Sessions(file) as sessions:
        first, cut = sessions.open("last").exchanges
        assert first.answer is not None and (first.status, first.answer.text) == ("done", "Done [1].")
        assert (cut.status, cut.answer) == ("interrupted", None)
        words = cut.partial.split()
        assert words == [f"word{n}" for n in range(len(words))]
        assert len(words) >= said + 1 - 50  # half a second of words
        chat = sessions.resume(assistant_of(store))
        assert chat.exchanges[1].partial == cut.partial and list(chat.scenes) == ["A"]
        assert [f.number for f in sessions.search(words[3])] == [2]
        chat.ask("and now?")
        assert [e.status for e in sessions.open("last").exchanges] == ["done", "interrupted", "done"]
        with sqlite3.connect(file) as db:
            assert db.execute("SELECT count(*) FROM pieces").fetchone() == (0,)


# -- several terminals ------------------------------------------------------------------------------


def test_two_terminals_write_at_once(store: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "sessions.sqlite"
    errors: list[BaseException] = []

    def talk(name: str) -> None:
        try:
            with Sessions(file) as sessions:
                chat = assistant_of(store).chat(k=2).saved_in(sessions, name)
                for n in range(15):
                    chat.ask(f"What is a forest, {name} {n}?")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=talk, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Sessions(file) as sessions:
        assert sorted((i.name, i.questions) for i in sessions.list()) == [("one", 15), ("three", 15), ("two", 15)]


def test_the_same_session_in_two_terminals_is_noticed(store: KnowledgeBase, sessions: Sessions) -> None:
    first = assistant_of(store).chat().saved_in(sessions)
    first.ask("what is a forest?")
    second = sessions.resume(assistant_of(store), first.id)
    first.ask("what is a desert?")
    with pytest.raises(StoreError, match=f"continued in another terminal.*--resume {first.id}"):
        second.ask("what is a town?")
    assert len(second.exchanges) == 1
    assert len(sessions.open(first.id).exchanges) == 2
    assert sessions.resume(assistant_of(store), first.id).ask("what is a town?").text


def test_a_busy_file_is_waited_for(store: KnowledgeBase, sessions: Sessions) -> None:
    chat = assistant_of(store).chat().saved_in(sessions)
    other = sqlite3.connect(sessions.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.4, lambda: other.execute("COMMIT"))
    start = time.monotonic()
    timer.start()
    chat.ask("what is a forest?")
    assert time.monotonic() - start > 0.3
    other.close()


# -- scenes and files that are gone or strange ------------------------------------------------------


def test_a_scene_that_is_gone_keeps_its_letter(store: KnowledgeBase, sessions: Sessions, tmp_path: Path) -> None:
    file = make_geotiff(tmp_path / "a.tif")
    chat = assistant_of(store).chat().saved_in(sessions)
    chat.ask("what is this?", file)
    file.unlink()
    back = sessions.resume(assistant_of(store))
    assert back.scenes == {} and [(p.letter, bool(p.gone)) for p in back.placed] == [("A", True)]
    with pytest.raises(SceneError, match=r"\[A\] is no longer there"):
        back.ask("and what is it?")
    make_geotiff(file)
    assert back.add(file) == "A" and back.ask("and what is it?").text
    assert list(sessions.resume(assistant_of(store)).scenes) == ["A"]


def test_images_are_found_from_another_folder(
    store: KnowledgeBase, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_geotiff(tmp_path / "a.tif")
    monkeypatch.chdir(tmp_path)
    chat = assistant_of(store).chat().saved_in(sessions)
    chat.ask("what is this?", "a.tif", bands="red,green,blue")
    chat.add("a.tif#xywh=0,0,8,8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    back = sessions.resume(assistant_of(store))
    assert [(k, s.width, s.bands) for k, s in back.scenes.items()] == [
        ("A", 64, ("red", "green", "blue")),
        ("B", 8, chat.scenes["B"].bands),
    ]


def newer(path: Path) -> None:
    Sessions(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (newer, rf"newer rsrag \(format {SCHEMA_VERSION + 1}; this one knows {SCHEMA_VERSION}\).*Update"),
        (other_database, "not a file of rsrag sessions"),
        (lambda path: path.write_text("hello " * 300), "damaged or no session file"),
        (lambda path: path.mkdir(), "cannot be"),
    ],
    ids=["newer", "other", "text", "folder"],
)
def test_strange_files_are_refused(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "sessions.sqlite"
    make(path)
    with pytest.raises(StoreError, match=message):
        Sessions(path)


def test_only_its_owner_may_read_it(sessions: Sessions) -> None:
    assert sessions.path.stat().st_mode & 0o077 == 0
