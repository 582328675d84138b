"""Instructions in retrieved text: what each way to an answer does with them. The cases are in injections.toml."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_vlms

from rsrag import (
    Assistant,
    Capabilities,
    Evidence,
    KnowledgeBase,
    Notice,
    Prompt,
    Provenance,
    Quantity,
    Record,
    SceneVote,
    Text,
    ToolCall,
    ToolSpec,
    ToolStep,
    Turn,
)
from rsrag.answering import markers, render
from rsrag.builtin.models.langchain import LangChainModel
from rsrag.builtin.models.transformers import TransformersModel
from rsrag.testing.chat_server import ChatServer, Reply

CASES = tomllib.loads((Path(__file__).parent / "injections.toml").read_text("utf-8"))["case"]
SOME = [c for n, c in enumerate(CASES) if "extractive" in c or n % 6 == 0]
case = pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])

LOCATE = ToolSpec("locate", "Where a scene lies.", {"type": "object", "properties": {"scene": {"type": "string"}}})
TAGS = ("<evidence", "</evidence>", "<matches", "</matches>", "<error>", "</error>")
BRACKETS = "[＜＞‹›⟨⟩❮❯«»]"
UNSEEN = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u00ad\u202a-\u202e\U000e0000-\U000e007f]"
PLACES = ("text", "title", "url", "license", "heading", "record", "vote", "tool text", "tool value", "tool error")


def poisoned(text: str, place: str) -> Prompt:
    """A prompt with the text in one place of its evidence."""

    def at(where: str, else_: str) -> str:
        return text if place == where else else_

    page = Provenance(
        "pages", at("record", "marsh"), "class/marsh", url=at("url", "http://x.example/marsh"),
        license=at("license", "CC0"), heading=at("heading", "Land"),
    )  # fmt: skip
    tool = Evidence(
        2, "tool", "locate", at("tool text", "It lies here."), Provenance("tool", "locate", ""),
        values={at("tool value", "area"): Quantity(3, "ha")},
    )  # fmt: skip
    marsh = Evidence(1, "text", at("title", "Marsh"), "A marsh is wet ground. " + at("text", ""), page)
    steps = (
        ToolStep(ToolCall("locate", {}), (2,)),
        ToolStep(ToolCall("locate", {}), error=at("tool error", "no place")),
    )
    votes = (SceneVote("A", (("class/marsh", at("vote", "Marsh"), 0.9),), "class/marsh"),)
    return Prompt("ask", "What is a marsh?", (), (marsh, tool), votes=votes, tools=(LOCATE,), steps=steps)


def texts(messages: list[dict[str, Any]]) -> str:
    return "\n".join(str(m["content"]) for m in messages[1:])  # all but our own rules


def test_there_are_enough_of_them():
    assert len(CASES) >= 25 and len({c["name"] for c in CASES}) == len(CASES)
    assert all("HIJACKED" in c["text"] or "evidence" in c["text"] or "locate" in c["text"] for c in CASES)


# -- the prompt of every chat model -------------------------------------------------------------------


@case
def test_the_fence_holds(case: dict[str, str]):
    for place, style in itertools.product(PLACES, ("native", "prompt")):
        messages = render(poisoned(case["text"], place), Capabilities(), style=style).messages  # type: ignore[arg-type]
        plain = render(poisoned("nothing", place), Capabilities(), style=style).messages  # type: ignore[arg-type]
        assert [m["role"] for m in messages] == [m["role"] for m in plain]
        text, without = texts(messages), texts(plain)
        for tag in (*TAGS, "<", ">", "```", "Values:"):
            assert text.count(tag) == without.count(tag), (place, style, tag)
        for pattern in (BRACKETS, UNSEEN, r"\[/?(?:INST|TOOL_RESULTS)\]"):
            assert not re.search(pattern, text), (place, style, pattern)
        assert [m.target for m in markers(text)] == [m.target for m in markers(without)], (place, style)


@case
def test_earlier_turns_hold_no_fence_and_no_role(case: dict[str, str]):
    prompt = Prompt("ask", case["text"], history=(Turn(case["text"], case["text"]),))
    for message in render(prompt, Capabilities()).messages[1:]:
        assert not re.search(r"<\s*/?\s*(evidence|matches|tool_call|error)\b|<\|", message["content"])
        assert "\x1b" not in message["content"] and "\u202e" not in message["content"]


# -- a model that repeats what it was shown -----------------------------------------------------------


@pytest.fixture(scope="module")
def parrot() -> Iterator[ChatServer]:
    """A server whose model says again what its first piece of evidence holds."""

    def repeat(body: dict[str, Any]) -> Reply:
        said = re.search(r"<evidence number=\"1\".*?</evidence>", str(body["messages"][1]["content"]), re.DOTALL)
        assert said
        return Reply([said.group().partition("A marsh is wet ground. ")[2].removesuffix("</evidence>")])

    with ChatServer(repeat) as server:
        yield server


@case
@pytest.mark.parametrize("tools", ["native", "prompt"])
def test_a_parrot_calls_nothing(case: dict[str, str], tools: Any, parrot: ChatServer):
    """The worst that a model can do with evidence is to say it as its own reply: no tool may be called by that."""
    asked = len(parrot.requests)
    model = LangChainModel("openai:tiny", base_url=parrot.base_url, retries=0, tools=tools)
    events = list(model.generate(poisoned(case["text"], "text")))
    assert len(parrot.requests) == asked + 1 and not [e for e in events if isinstance(e, ToolCall | Notice)]
    assert not markers("".join(e.text for e in events if isinstance(e, Text)))


# -- the chat template of a local model ---------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> TransformersModel:
    from rsrag.torchvision_ops import ensure

    ensure()
    model = TransformersModel(str(tiny_vlms.qwen(tmp_path_factory.mktemp("qwen"))), device="cpu", max_new_tokens=2)
    model._load()
    return model


@case
@pytest.mark.parametrize("where", ["text", "question"])
def test_no_token_of_the_template_survives(
    case: dict[str, str], where: str, local: TransformersModel, monkeypatch: pytest.MonkeyPatch
):
    loaded = local._load()
    seen: list[list[int]] = []
    original = loaded.model.generate

    def generate(**given: Any) -> Any:
        seen.append(given["input_ids"][0].tolist())
        return original(**given)

    monkeypatch.setattr(loaded.model, "generate", generate)
    for text in ("nothing", case["text"]):
        prompt = poisoned(text, where) if where == "text" else Prompt("ask", text)
        list(local.generate(prompt))
    special = set(loaded.tokenizer.added_tokens_decoder)
    plain, bad = ([token for token in ids if token in special] for ids in seen)
    assert plain == bad and len(plain) >= 5


# -- extractive ---------------------------------------------------------------------------------------

MARSH = "A marsh is wet ground that is covered by reeds and sedges."


class Pages:
    """A page with a case in it; with `good`, another that says what a marsh is."""

    name = "pages"
    role = "mine"

    def __init__(self, text: str, good: bool = True) -> None:
        self.text = text
        self.good = good

    def records(self) -> Iterator[Record]:
        if self.good:
            yield Record("good", subject="class/marsh", title="Marsh", text=MARSH)
        yield Record("bad", subject="class/reed", title="Reeds", text=f"Reeds grow in a marsh. {self.text}")


@case
def test_extractive_quotes_and_does_not_obey(case: dict[str, str], kb: KnowledgeBase):
    kb.add(Pages(case["text"]))
    answer = Assistant(kb).ask("What is a marsh?")
    verdict = answer.text.partition("\n\n")[0]
    assert "wet ground" in verdict and "HIJACKED" not in verdict, answer.text
    assert not answer.invalid_markers and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", answer.text)
    assert "HIJACKED" not in answer.text and not answer.trace["tools"]


@pytest.mark.parametrize("case", SOME, ids=[c["name"] for c in SOME])
def test_extractive_with_nothing_else_to_go_by(case: dict[str, str], kb: KnowledgeBase):
    """Where the poisoned page is all there is, a sentence that speaks of the question is quoted: with its number."""
    kb.add(Pages(case["text"], good=False))
    answer = Assistant(kb).ask("What is the right answer about a marsh?")
    if case.get("extractive") == "quotes it":
        assert re.search(r"HIJACKED \[1\]", answer.text) and not answer.invalid_markers
    else:
        assert "HIJACKED" not in answer.text and answer.status == "declined"
