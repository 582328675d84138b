"""Models: extractive, any LangChain chat model (LangChain's own fakes, with real pictures), and the scripted one."""

from __future__ import annotations

import base64
import io
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from PIL import Image

from rsrag import (
    Evidence,
    ModelError,
    Notice,
    Plugins,
    Prompt,
    Provenance,
    RsragError,
    Scene,
    SceneVote,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    Verdict,
)
from rsrag.answering import check
from rsrag.builtin.models.chunks import text_of
from rsrag.builtin.models.extractive import ExtractiveModel
from rsrag.builtin.models.langchain import LangChainModel
from rsrag.builtin.models.pictures import data_url
from rsrag.interfaces import Model, Reader
from rsrag.testing.models import ScriptedModel


class Pixels:
    """A red field, 40 x 20 for every 1 of the asked side over 40."""

    def rgb(self, max_side: int) -> np.ndarray:
        self.asked = max_side
        return np.full((20, 40, 3), (200, 10, 10), np.uint8)


SCENE = Scene("field.tif", 40, 20, Pixels())  # type: ignore[arg-type]
EVIDENCE = (Evidence(1, "text", "Marsh", "A marsh is wet ground with reeds.", Provenance("p", "r", "class/marsh")),)
PROMPT = Prompt("ask", "What is a marsh?", evidence=EVIDENCE)
LOCATE = ToolSpec("locate", "Where a scene lies.", {"type": "object", "properties": {"scene": {"type": "string"}}})


def said(model: Any, prompt: Prompt = PROMPT) -> str:
    return "".join(e.text for e in model.generate(prompt) if isinstance(e, Text))


class Chat(BaseChatModel):
    """A chat model that streams the given chunks and keeps what it was sent; an exception among them is raised."""

    chunks: list[Any]
    sent: list[Any] = []  # noqa: RUF012 - a pydantic field
    ended: list[str] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "chat"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("should stream")

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        self.sent.append(messages)
        try:
            for chunk in self.chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                message = chunk if isinstance(chunk, AIMessageChunk) else AIMessageChunk(content=chunk)
                yield ChatGenerationChunk(message=message)
        finally:
            self.ended.append("closed")


def test_offered_through_the_plugin_door():
    plugins = Plugins(external=False, strict=True)
    assert {"extractive", "langchain"} <= set(plugins.offers("model"))
    assert isinstance(plugins.create("model", "extractive"), Reader)
    assert isinstance(plugins.create("model", "transformers:somewhere"), Model)
    made = plugins.create("model", "langchain:ollama:qwen3-vl", timeout=5)
    assert made.model == "ollama:qwen3-vl" and isinstance(made, Model)
    with pytest.raises(RsragError, match="timeuot"):
        plugins.create("model", "langchain:ollama:x", timeuot=5)


# -- extractive ---------------------------------------------------------------------------------------


def test_extractive_yields_text_then_its_verdict():
    events = list(ExtractiveModel().generate(PROMPT))
    assert isinstance(events[-1], Verdict) and events[-1].status == "answered" and events[-1].trace["steps"]
    assert check(said(ExtractiveModel()), EVIDENCE).grounded


def test_extractive_declines_and_uses_its_language():
    class Deaf:
        def similarity(self, question: str, texts: list[str]) -> list[float]:
            return [0.0] * len(texts)

        def idf(self, words: list[str]) -> dict[str, float]:
            return dict.fromkeys(words, 1.0)

    model = ExtractiveModel()
    prompt = replace(PROMPT, question="Which ground grows reeds?")  # names no subject: what fits is found by likeness
    *_, heard = model.generate(prompt)
    model.use_language(Deaf())  # type: ignore[arg-type]
    *_, verdict = model.generate(prompt)
    assert isinstance(heard, Verdict) and heard.status == "answered"
    assert isinstance(verdict, Verdict) and verdict.status == "declined"
    assert not model.capabilities.images


def test_extractive_captions():
    votes = (SceneVote("A", (("class/marsh", "Marsh", 0.9),), "class/marsh"),)
    assert "marsh" in said(ExtractiveModel(), Prompt("caption", "", (SCENE,), EVIDENCE, votes=votes))


# -- langchain ----------------------------------------------------------------------------------------


def test_langchain_streams_a_generic_model():
    model = LangChainModel(GenericFakeChatModel(messages=iter([AIMessage(content="A marsh is wet [1].")])))
    events = list(model.generate(PROMPT))
    assert len(events) > 3 and said_of(events) == "A marsh is wet [1]."


def said_of(events: list[Any]) -> str:
    return "".join(e.text for e in events if isinstance(e, Text))


def test_langchain_list_model():
    assert said(LangChainModel(FakeListChatModel(responses=["Wet [1]."]))) == "Wet [1]."


def test_langchain_is_sent_pictures_evidence_and_question():
    chat = Chat(chunks=["Red [A]."], sent=[], ended=[])
    assert said(LangChainModel(chat), Prompt("ask", "What is it?", (SCENE,), EVIDENCE)) == "Red [A]."
    system, user = chat.sent[0]
    assert system.type == "system" and user.type == "human"
    kinds = [block["type"] for block in user.content]
    assert kinds == ["text", "image_url", "text", "text"]
    url = user.content[1]["image_url"]["url"]
    picture = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    assert picture.format == "JPEG" and picture.size == (40, 20) and picture.getpixel((5, 5))[0] > 180
    assert SCENE.reader.asked == 1024  # type: ignore[attr-defined]
    assert "<evidence number" in user.content[2]["text"] and "What is it?" in user.content[3]["text"]


def test_langchain_without_images_sends_plain_text():
    chat = Chat(chunks=["ok [1]."], sent=[], ended=[])
    said(LangChainModel(chat, images=False), Prompt("ask", "What is it?", (SCENE,), EVIDENCE))
    assert isinstance(chat.sent[0][1].content, str) and "cannot be shown" in chat.sent[0][1].content


def test_langchain_content_lists_tool_calls_and_usage():
    chunks = [
        AIMessageChunk(content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Wet "}]),
        AIMessageChunk(content="ground."),
        AIMessageChunk(
            content="",
            tool_call_chunks=[{"name": "locate", "args": '{"scene": "A"}', "id": "7", "index": 0}],
            usage_metadata={"input_tokens": 11, "output_tokens": 3, "total_tokens": 14},
        ),
    ]
    prompt = replace(PROMPT, tools=(LOCATE,))
    events = list(LangChainModel(Chat(chunks=chunks, sent=[], ended=[]), tools="native").generate(prompt))
    assert said_of(events) == "Wet ground."
    assert ToolCall("locate", {"scene": "A"}, "7") in events and Usage(11, 3) in events


@pytest.mark.parametrize("chunks", [[""], ["  \n"], [[{"type": "thinking", "thinking": "hm"}]]])
def test_langchain_without_text_is_an_error(chunks: list[Any]):
    with pytest.raises(ModelError, match="returned no text"):
        list(LangChainModel(Chat(chunks=chunks, sent=[], ended=[])).generate(PROMPT))


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ConnectionError("connection reset"), "is the server still running"),
        (TimeoutError("timed out"), "raise `timeout`"),
        (RuntimeError("Error code: 401 invalid api key"), "API key"),
        (RuntimeError("Error code: 429"), "limits requests"),
        (RuntimeError("Error code: 404 model not found"), "name"),
        (RuntimeError("this model takes no image input"), "images=false"),
        (RuntimeError("context length exceeded"), "context"),
        (RuntimeError(""), "--debug"),
    ],
)
def test_langchain_errors_say_what_to_do(error: Exception, hint: str):
    with pytest.raises(ModelError) as caught:
        list(LangChainModel(Chat(chunks=["Half a", error], sent=[], ended=[])).generate(PROMPT))
    assert hint in caught.value.hint and "\n" not in caught.value.message and caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("profile", "images", "style", "context"),
    [
        ({"image_inputs": False, "tool_calling": False, "max_input_tokens": 9000}, False, "prompt", 9000),
        ({"image_inputs": True, "tool_calling": True, "max_input_tokens": 9000}, True, "native", 9000),
        ({}, True, "native", 0),
        (None, True, "native", 0),
    ],
)
def test_langchains_profile_tells_what_a_model_can(profile: Any, images: bool, style: str, context: int):
    chat = Chat(chunks=["Red [A]."], sent=[], ended=[], profile=profile)
    asked = LangChainModel(chat)
    said(asked, Prompt("ask", "What is it?", (SCENE,), EVIDENCE, tools=(LOCATE,)))
    assert asked.capabilities.images == images and asked.capabilities.context == context
    assert ("```tool" in chat.sent[0][0].content) == (style == "prompt")
    assert isinstance(chat.sent[0][1].content, list) == images


def test_a_model_that_cannot_bind_tools_is_told_them_in_the_prompt():
    class Plain(Chat):
        bind_tools = BaseChatModel.bind_tools

    chat = Plain(chunks=['{"name": "locate", "arguments": {}}'], sent=[], ended=[])
    events = list(LangChainModel(chat).generate(replace(PROMPT, tools=(LOCATE,))))
    assert events == [ToolCall("locate", {})] and "- locate(scene?: string)" in chat.sent[0][0].content


def test_the_user_is_told_what_the_model_was_not_shown():
    large = Scene("wide.tif", 9000, 10, Pixels())  # type: ignore[arg-type]
    chat = Chat(chunks=["ok"], sent=[], ended=[])
    events = list(LangChainModel(chat).generate(Prompt("ask", "?", (large, SCENE), EVIDENCE)))
    assert [e.text for e in events if isinstance(e, Notice)] == [
        "[A] was scaled down from 9,000 to 1,024 pixels for the model"
    ]
    assert "Image [A] is scaled down to 1024 x 1 pixels from 9000 x 10." in str(chat.sent[0][1].content)


def test_closing_the_answer_closes_the_connection():
    chat = Chat(chunks=["a ", "b ", "c "], sent=[], ended=[])
    answer = LangChainModel(chat).generate(PROMPT)
    assert next(answer) == Text("a ")
    answer.close()  # type: ignore[attr-defined]
    assert chat.ended == ["closed"]


@pytest.mark.parametrize("name", ["nonsense", "nobody:model", "ollama:qwen3-vl"])
def test_langchain_models_that_cannot_be_made(name: str):
    with pytest.raises(ModelError) as caught:
        said(LangChainModel(name))
    assert caught.value.hint


def test_a_missing_key_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError) as caught:
        said(LangChainModel("openai:gpt-4o"))
    assert "cannot be made" in caught.value.message and "base_url" in caught.value.hint


def test_making_a_langchain_model_loads_nothing():
    assert LangChainModel("ollama:x").label == "ollama:x"


def test_options_reach_the_provider_and_no_key_leaves(monkeypatch: pytest.MonkeyPatch):
    import langchain.chat_models as chat_models

    asked: dict[str, Any] = {}

    def fake(name: str, **options: Any) -> BaseChatModel:
        asked.update(options, name=name)
        return FakeListChatModel(responses=["Wet [1]."])

    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("LOCAL_KEY", "local")
    monkeypatch.setattr(chat_models, "init_chat_model", fake)
    said(LangChainModel("openai:x", base_url="http://127.0.0.1:9/v1", timeout=7))
    assert asked == {
        "name": "openai:x",
        "base_url": "http://127.0.0.1:9/v1",
        "timeout": 7,
        "max_retries": 2,
        "temperature": 0.0,
        "api_key": "not-needed",
    }
    said(LangChainModel("openai:x", base_url="http://127.0.0.1:9/v1", api_key_env="LOCAL_KEY"))
    assert asked["api_key"] == "local"
    asked.clear()
    said(LangChainModel("ollama:x", timeout=7))
    assert asked == {"name": "ollama:x", "temperature": 0.0, "client_kwargs": {"timeout": 7}}


PAGE = Path(__file__).parent.parent / "docs" / "models.md"


@pytest.mark.parametrize(
    ("table", "model", "text"),
    re.findall(r"<!-- options of models\.(\w+): (\w+) -->\n```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL),
)
def test_the_options_in_the_documentation_exist(table: str, model: str, text: str):
    settings = tomllib.loads(text)
    assert settings["model"].startswith(f"{table}:")
    made = Plugins(external=False).create("model", f"{model}:x", **settings["models"][table])
    assert isinstance(made, Model)


def test_text_of():
    assert text_of("a") == "a" and text_of(["a", {"type": "text", "text": "b"}, {"type": "image"}, 3]) == "ab"
    assert text_of(None) == ""


def test_pictures_of_paths(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (1400, 700), "red").save(path)
    picture = Image.open(io.BytesIO(base64.b64decode(data_url(str(path), 512).split(",")[1])))
    assert max(picture.size) == 512
    assert data_url(str(tmp_path / "gone.png")) == ""


# -- scripted -----------------------------------------------------------------------------------------


def test_scripted_model_replies_in_order_and_remembers():
    model = ScriptedModel(["one two", lambda p: p.question.upper(), [Text("x"), Usage(1, 2)]], images=True)
    assert said(model) == "one two" and said(model) == "WHAT IS A MARSH?"
    assert list(model.generate(PROMPT)) == [Text("x"), Usage(1, 2)] == list(model.generate(PROMPT))
    assert len(model.prompts) == 4 and model.capabilities.images and isinstance(model, Model)


def test_scripted_model_fails_and_is_cancelled():
    with pytest.raises(ModelError, match="no reply"):
        said(ScriptedModel())
    with pytest.raises(RuntimeError):
        said(ScriptedModel(RuntimeError("down")))
    model = ScriptedModel("a b c")
    answer = model.generate(PROMPT)
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert model.closed == 1
