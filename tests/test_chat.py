"""Conversations through the Python API: letters, follow-ups, memory, failures; only the models are scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsrag import (
    ArrayReader,
    Assistant,
    Capabilities,
    Done,
    KnowledgeBase,
    ModelError,
    Prompt,
    Retrieved,
    SceneError,
    Text,
    ToolDone,
    UsageError,
)
from rsrag.answering import markers
from rsrag.chat import Conversation
from rsrag.conversation import memory
from rsrag.conversation.exchange import Exchange
from rsrag.conversation.memory import Limits
from rsrag.testing import ScriptedModel, make_geotiff, make_knowledge_base, make_scene
from rsrag.types import Answer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with make_knowledge_base(tmp_path_factory.mktemp("store") / "kb") as kb:
        yield kb


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    make_scene(tmp_path / "hamburg.tif")
    return tmp_path / "hamburg.tif"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return make_geotiff(tmp_path / "other.tif", size=(80, 40), seed=3)


def chat_of(store: KnowledgeBase, *replies: Any, **options: Any) -> tuple[Conversation, ScriptedModel]:
    model = ScriptedModel(list(replies) or ["The port is large [1]."], **options)
    return Assistant(store, model).chat(), model


# -- follow-ups -----------------------------------------------------------------------------------


def test_the_default_model_answers_a_chain_of_follow_ups(store: KnowledgeBase) -> None:
    chat = Assistant(store).chat()
    first = chat.ask("When were the container terminals of the Port of Hamburg opened?")
    assert "1968" in first.text
    second = chat.ask("and how long is its quay?")
    assert "43 km" in second.text
    assert chat.exchanges[1].meant == "How long is the Port of Hamburg's quay?"
    assert second.trace["understood"]["reason"] == "'its' is the Port of Hamburg"
    assert chat.ask("What is a desert?").trace["understood"]["reason"] == ""
    assert chat.exchanges[2].meant == ""


def test_a_corner_is_cut_out_of_the_scene(store: KnowledgeBase, scene: Path) -> None:
    chat, model = chat_of(store)
    chat.add(scene)
    chat.ask("what is this?")
    chat.ask("what about the north-east corner?")
    window = model.prompts[1].scenes[0]
    assert window.uri.endswith("#xywh=32,0,32,32") and window.bbox is not None
    assert window.bbox.north == pytest.approx(model.prompts[0].scenes[0].bbox.north, abs=1e-3)  # type: ignore[union-attr]
    assert chat.exchanges[1].focus == ("A", (32, 0, 32, 32))
    chat.ask("Is there a quay in the picture?")
    assert model.prompts[2].scenes[0].width == 64


def test_images_of_one_grid_are_cut_alike(store: KnowledgeBase, tmp_path: Path, other: Path) -> None:
    chat, model = chat_of(store)
    for image in (make_geotiff(tmp_path / "2010.tif", seed=1), make_geotiff(tmp_path / "2020.tif", seed=2), other):
        chat.add(image)
    chat.ask("compare all images in the north-west quarter")
    assert [(s.width, s.height) for s in model.prompts[0].scenes] == [(32, 32), (32, 32), (80, 40)]


def test_what_the_user_set_stays_until_it_is_cleared(store: KnowledgeBase, scene: Path) -> None:
    chat, model = chat_of(store)
    chat.add(scene)
    chat.focus = ("A", (0, 0, 16, 8))
    chat.settings["k"] = 2
    chat.ask("what is this?")
    chat.ask("how large is the port?", k=3)
    assert [(p.scenes[0].width, p.scenes[0].height) for p in model.prompts] == [(16, 8), (16, 8)]
    assert [len([e for e in p.evidence if e.kind == "text"]) for p in model.prompts] == [2, 3]
    chat.focus = None
    chat.ask("what is this?", region="0,0,4,4")
    assert (model.prompts[2].scenes[0].width, chat.exchanges[-1].focus) == (4, ("A", (0, 0, 4, 4)))


class Rewords:
    """A chat model that is asked to reword, and says `reply` then."""

    name = "rewords"

    def __init__(self, reply: str | Exception) -> None:
        self.reply = reply
        self.asked: list[Prompt] = []
        self.prompts: list[Prompt] = []

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def generate(self, prompt: Prompt) -> Iterator[Text]:
        (self.asked if prompt.task == "rewrite" else self.prompts).append(prompt)
        if prompt.task != "rewrite":
            yield Text("It depends [1].")
        elif isinstance(self.reply, Exception):
            raise self.reply
        else:
            while True:  # it goes on and on, and is cut off
                yield Text(self.reply + "\n")


@pytest.mark.parametrize(
    ("reply", "meant", "reason"),
    [
        ("How are meadows told apart?", "How are meadows told apart?", "reworded by rewords"),
        ("", "", "asked as it is: the model gave no rewording"),
        (ModelError("it is asleep."), "", "asked as it is: the model could not reword it (it is asleep.)"),
    ],
)
def test_a_model_rewords_only_what_the_rules_cannot(store: KnowledgeBase, reply: Any, meant: str, reason: str) -> None:
    model = Rewords(reply)
    chat = Assistant(store, model).chat()
    chat.ask("Compare forests and meadows.")
    chat.ask("and the second one?")
    assert (chat.exchanges[1].meant, chat.exchanges[1].reason) == (meant, reason)
    assert len(model.asked) == 1 and model.prompts[-1].question == (meant or "and the second one?")


def test_the_reader_is_never_asked_to_reword(store: KnowledgeBase) -> None:
    chat = Assistant(store).chat()
    chat.ask("What is a forest?")
    assert chat.ask("and the second one?").text
    assert chat.exchanges[1].reason == ""


def test_a_number_brings_its_evidence_back(store: KnowledgeBase) -> None:
    chat, model = chat_of(store)
    chat.ask("quay length of the Port of Hamburg?", k=1)
    chat.ask("What is a desert?", k=1)
    numbers = [e.number for e in model.prompts[1].evidence]
    assert 1 not in numbers
    chat.ask("tell me more about [1]", k=1)
    assert 1 in [e.number for e in model.prompts[2].evidence]
    assert "[1]" not in model.prompts[2].question


# -- scenes ---------------------------------------------------------------------------------------


def test_letters_stay_and_are_not_given_again(store: KnowledgeBase, scene: Path, other: Path, tmp_path: Path) -> None:
    chat, model = chat_of(store)
    assert [chat.add(scene), chat.add(other), chat.add(scene)] == ["A", "B", "A"]
    chat.ask("what is in both images?")
    assert model.prompts[0].letters == ("A", "B")
    dropped = chat.drop("a")
    assert dropped is not None and dropped.uri == str(scene)
    assert list(chat.scenes) == ["B"]
    assert chat.add(make_geotiff(tmp_path / "third.tif")) == "C"
    chat.ask("what is this?")
    assert model.prompts[1].letters == ("C",)
    chat.ask("compare it with image B")
    assert model.prompts[2].letters == ("B", "C")
    with pytest.raises(UsageError, match=r"\[A\] was dropped.*There are: B, C"):
        chat.drop("A")
    with pytest.raises(UsageError, match=r"no image \[Z\]"):
        chat.drop("Z")
    with pytest.raises(UsageError, match="was dropped"):
        chat.ask("what about image A?")
    assert len(chat.exchanges) == 3


def test_pixels_in_memory_are_known_by_themselves(store: KnowledgeBase) -> None:
    chat, _ = chat_of(store)
    one, two = (ArrayReader(np.full((8, 8, 3), value, np.uint8)).scene() for value in (10, 200))
    assert [chat.add(one), chat.add(two), chat.add(one)] == ["A", "B", "A"]
    chat.ask("what is this?", one)
    assert list(chat.scenes) == ["A", "B"]


def test_how_an_image_is_read_is_settled_when_it_comes(store: KnowledgeBase, other: Path) -> None:
    chat = Assistant(store, ScriptedModel("x [1].")).chat(bands=("nir", "red", "green"))
    chat.ask("what is this?", other)
    chat.ask("and now?")
    assert chat.scenes["A"].bands == ("nir", "red", "green")
    assert chat.placed[0].options == {"bands": ("nir", "red", "green")}


def test_a_new_image_is_what_the_next_question_is_about(store: KnowledgeBase, scene: Path, other: Path) -> None:
    chat, model = chat_of(store)
    chat.ask("what is this?", scene)
    chat.ask("and this?", other)
    chat.ask("what is it?")
    chat.ask("compare it with the previous one")
    assert [p.letters for p in model.prompts] == [("A",), ("B",), ("B",), ("A", "B")]
    assert model.prompts[3].question == "compare image B with image A"


def test_an_image_that_is_removed_costs_its_questions_only(store: KnowledgeBase, scene: Path, other: Path) -> None:
    chat, _ = chat_of(store)
    chat.add(scene)
    chat.ask("what is this?")
    scene.unlink()
    with pytest.raises(SceneError, match=r"image \[A\] is no longer there: .*hamburg.tif.*/drop A"):
        chat.ask("and now?")
    assert len(chat.exchanges) == 1
    chat.add(other)
    assert chat.ask("what is this?").text
    chat.drop("A")
    chat.drop("B")
    assert chat.ask("what is a forest?").text


def test_tools_run_by_hand_are_numbered_and_remembered(store: KnowledgeBase, scene: Path) -> None:
    chat, _ = chat_of(store)
    chat.add(scene)
    found = chat.run_tool("locate")
    assert (found.number, found.kind, chat.ledger.get(1)) == (1, "tool", found)
    assert chat.run_tool("locate", letters=["A"]).number == 1
    chat.drop("A")
    with pytest.raises(UsageError, match="was dropped"):
        chat.run_tool("locate", letters=["A"])
    with pytest.raises(UsageError, match=r"no tool 'loacte'.*Did you mean 'locate'"):
        chat.run_tool("loacte")


# -- what goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["", "   \n", ModelError("the server is away.", "Start it.")])
def test_a_failed_turn_is_kept_and_the_chat_goes_on(store: KnowledgeBase, reply: Any) -> None:
    chat, model = chat_of(store, reply, "A forest [1].")
    with pytest.raises(ModelError) as error:
        chat.ask("what is a forest?")
    failed = chat.exchanges[0]
    assert (failed.status, failed.answer, failed.error) == ("failed", None, error.value.message)
    assert chat.ask("what is a forest?").text == "A forest [1]."
    assert model.prompts[1].history == ()


def test_a_number_that_does_not_exist_is_told(store: KnowledgeBase) -> None:
    chat, _ = chat_of(store, "It is [999].", "It is [1].", "As said, [1] and [500].")
    assert chat.ask("what is a forest?").invalid_markers == ("999",)
    chat.ask("what is a forest?", k=1)
    later = chat.ask("What is a desert?", k=1)
    assert later.invalid_markers == ("500",)  # [1] was shown before, and is in the history
    assert [e.number for e in later.citations] == [1]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("what\x07 is \x1b[31ma\x1b[0m forest\x00?", "what is a forest?"),
        ("what is\u202e a forest?", "what is a forest?"),
        ("what is\r\na forest?", "what is\na forest?"),
        ("\x1b]0;title\x07what is a forest?", "what is a forest?"),
    ],
)
def test_control_characters_are_taken_out_of_a_question(store: KnowledgeBase, typed: str, kept: str) -> None:
    chat, model = chat_of(store)
    chat.ask(typed)
    assert chat.exchanges[0].question == kept == model.prompts[0].question


@pytest.mark.parametrize("typed", ["", "  ", "\x1b[0m", "\x00"])
def test_an_empty_question_is_refused(store: KnowledgeBase, typed: str) -> None:
    chat, _ = chat_of(store)
    with pytest.raises(UsageError, match="question is empty"):
        chat.ask(typed)
    assert chat.exchanges == []


def test_a_cancelled_answer_is_kept_as_far_as_it_came(store: KnowledgeBase) -> None:
    chat, model = chat_of(store, "The port is very large indeed [1].", "Yes [1].")
    events = chat.stream("how large is the port?")
    for event in events:
        if isinstance(event, Text) and "large" in event.text:
            break
    events.close()  # type: ignore[attr-defined]
    assert model.closed == 1
    assert (chat.exchanges[0].status, chat.exchanges[0].partial) == ("interrupted", "The port is very large")
    chat.ask("Is the port large?")
    assert model.prompts[1].history[0].answer == "The port is very large (not finished)"


def test_events_are_those_of_the_assistant(store: KnowledgeBase, scene: Path) -> None:
    chat, _ = chat_of(store)
    events = list(chat.stream("where is this?", scene))
    assert isinstance(events[0], Retrieved) and isinstance(events[-1], Done)
    done = [e for e in events if isinstance(e, ToolDone) and e.name == "locate"]
    assert [u.number for u in chat.exchanges[0].tools if u.name == "locate"] == [done[0].number]
    assert isinstance(events[-1], Done) and events[-1].answer is chat.exchanges[0].answer


# -- memory -----------------------------------------------------------------------------------------


def test_undo_forgets_the_turn_and_keeps_the_numbers(store: KnowledgeBase) -> None:
    chat, model = chat_of(store)
    assert chat.undo() is None
    chat.ask("what is a forest?", k=2)
    taken = len(chat.ledger)
    undone = chat.undo()
    assert undone is not None and undone.question == "what is a forest?" and chat.exchanges == []
    chat.ask("quay length of the Port of Hamburg?", k=2)
    assert model.prompts[1].history == ()
    new = [e.number for e in model.prompts[1].evidence if e.key not in {x.key for x in model.prompts[0].evidence}]
    assert new and min(new) == taken + 1


def test_long_conversations_keep_what_was_cited(store: KnowledgeBase) -> None:
    limits = Limits(whole=2, turns=3)
    model = ScriptedModel(["The port is old [1]. Nobody cites this. See [2]."])
    chat = Conversation(Assistant(store, model), limits=limits)
    kinds = ["forest", "desert", "harbour", "town", "port", "quay", "basin"]
    for word in kinds:
        chat.ask(f"What is a {word}?", k=3)
    old, recent = chat.exchanges[0].answer, chat.exchanges[-1].answer
    assert old is not None and recent is not None
    assert old.evidence == old.citations and old.trace == {} and recent.trace
    kept = {e.number for e in chat.ledger}
    assert {1, 2} <= kept and kept < set(range(1, len(chat.ledger) + 1))
    assert {e.number for x in chat.exchanges[-3:] if x.answer for e in x.answer.evidence} <= kept
    history = model.prompts[-1].history
    assert "Nobody cites this." in history[-1].answer and "Nobody cites this." not in history[0].answer
    assert [m.target for m in markers(history[0].answer)] == ["1", "2"]


def exchange(number: int, answer: str) -> Exchange:
    return Exchange(number, f"question {number}?", answer=Answer(answer, "answered"), status="done")


def test_the_history_is_bounded_by_characters_and_not_by_turns() -> None:
    long = [exchange(i, f"Statement {i} [{i}]. " + "Filler words here. " * 40) for i in range(1, 301)]
    limits = Limits(characters=4000)
    turns = memory.history(long, limits)
    assert sum(len(t.question) + len(t.answer) for t in turns) <= 4000
    assert turns[-1].question == "question 300?" and len(turns) < 60
    assert memory.numbers(turns)[-1] == 300
    assert all(f"[{n}]" in turn.answer for n, turn in zip(memory.numbers(turns), turns, strict=True))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One [1]. Two. Three [2][3].", "One [1]. Three [2][3]."),
        ("Nothing is cited. Nor here.", "Nothing is cited."),
        ("", ""),
    ],
)
def test_old_answers_are_reduced_to_what_they_cite(text: str, kept: str) -> None:
    assert memory.cited_sentences(text) == kept


def test_a_whole_turn_is_cut_after_a_sentence() -> None:
    text = "First sentence here [1]. " * 20
    short = memory.shortened(text.strip(), 100)
    assert len(short) <= 102 and short.endswith("[1]. …")


# -- why --------------------------------------------------------------------------------------------


def test_why_tells_what_produced_an_answer(store: KnowledgeBase, scene: Path) -> None:
    chat, model = chat_of(store, "A harbour [1].", "In Hamburg [2].")
    with pytest.raises(UsageError, match="nothing was asked yet"):
        chat.why()
    chat.ask("what is this?", scene, k=2)
    chat.ask("where is it?", k=4, near="9,53,10,54")
    why = chat.why()
    assert (why.question, why.letters, why.settings) == ("where is it?", ("A",), {"k": 4, "near": "9,53,10,54"})
    assert {name for name, *_ in why.lanes} >= {"image-image", "text-text", "words", "near-by"}
    numbered = [hit for hit in why.hits if hit["number"] is not None]
    assert numbered and all(chat.ledger.get(h["number"]).title == h["title"] for h in numbered)  # type: ignore[union-attr]
    assert all(rank >= 1 for hit in why.hits for rank, _ in hit["lanes"].values())
    assert [use.name for use in why.tools] == [use.name for use in chat.exchanges[1].tools]
    roles = [m["role"] for m in why.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert why.messages[1]["content"] == "what is this?" and "A harbour [1]." in why.messages[2]["content"]
    for item in model.prompts[1].evidence:
        assert f'<evidence number="{item.number}"' in why.messages[3]["content"]
    assert chat.why(0).question == "what is this?" and chat.why(0).messages[-1]["content"].endswith("what is this?")


def test_rewrite_shows_what_a_question_would_mean(store: KnowledgeBase) -> None:
    chat = Assistant(store).chat()
    chat.ask("quay length of the Port of Hamburg?")
    found = chat.rewrite("and when was it \x1b[1mopened?")
    assert found.text == "When was the Port of Hamburg opened?"
    assert len(chat.exchanges) == 1
