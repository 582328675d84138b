"""Chat models through the real client of OpenAI's protocol, against a scripted server: what servers do wrong."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rsrag import (
    Answer,
    Assistant,
    Evidence,
    KnowledgeBase,
    ModelError,
    Notice,
    Prompt,
    Provenance,
    Scene,
    Text,
    ToolCall,
    ToolSpec,
    ToolStep,
    Usage,
)
from rsrag.builtin.models.langchain import LangChainModel
from rsrag.testing.chat_server import ChatServer, Reply
from rsrag.testing.contracts import ModelContract
from rsrag.testing.stores import SampleSource

LOCATE = ToolSpec(
    "locate",
    "Where a scene lies.",
    {"type": "object", "properties": {"scene": {"type": "string", "enum": ["A"]}}, "required": ["scene"]},
)


class Pixels:
    def rgb(self, max_side: int) -> np.ndarray:
        return np.full((20, 40, 3), 90, np.uint8)


SCENE = Scene("field.tif", 40, 20, Pixels())  # type: ignore[arg-type]
MARSH = Evidence(1, "text", "Marsh", "A marsh is wet ground with reeds.", Provenance("p", "r", "class/marsh"))
PROMPT = Prompt("ask", "What is a marsh?", evidence=(MARSH,))
SEEN = Prompt("ask", "What is this?", (SCENE,), (MARSH,))
TOOLED = Prompt("ask", "Where is it?", (SCENE,), (MARSH,), tools=(LOCATE,))


MADE: list[LangChainModel] = []


def model(server: ChatServer, **options: Any) -> LangChainModel:
    made = LangChainModel("openai:tiny", base_url=server.base_url, **{"retries": 0, "timeout": 5, **options})
    MADE.append(made)
    return made


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No connection of a test outlives it."""
    yield
    while MADE:
        if chat := MADE.pop()._chat:
            chat.root_client.close()  # type: ignore[attr-defined]


def said(events: list[Any]) -> str:
    return "".join(e.text for e in events if isinstance(e, Text))


def notices(events: list[Any]) -> list[str]:
    return [e.text for e in events if isinstance(e, Notice)]


def until_error(events: Iterator[Any]) -> tuple[list[Any], ModelError]:
    """What came, and the error it ended with."""
    got: list[Any] = []
    with pytest.raises(ModelError) as caught:
        got.extend(events)  # extends by what came before the error
    return got, caught.value


# -- the way it should be -----------------------------------------------------------------------------


def test_text_streams_and_tokens_are_counted():
    with ChatServer(Reply("A marsh is wet ground [1].", pause=0.03, usage=(123, 6))) as server:
        stamps = []
        events = []
        for event in model(server).generate(PROMPT):
            events.append(event)
            stamps.append(time.monotonic())
    assert said(events) == "A marsh is wet ground [1]." and events[-1] == Usage(123, 6)
    assert len(events) == 7 and stamps[4] - stamps[0] > 0.08
    body = server.requests[0]
    assert body["stream"] and body["model"] == "tiny" and "tools" not in body
    assert server.headers[0]["authorization"] == "Bearer not-needed"


def test_images_and_tools_are_sent_and_calls_come_back():
    with ChatServer(Reply("Let me see. ", calls=[("locate", '{"scene": "A"}'), ("locate", "")])) as server:
        events = list(model(server).generate(TOOLED))
    assert [e for e in events if isinstance(e, ToolCall)] == [
        ToolCall("locate", {"scene": "A"}, "call_0"),
        ToolCall("locate", {}, "call_1"),
    ]
    body = server.requests[0]
    assert body["tools"][0]["function"]["name"] == "locate"
    assert [b["type"] for b in body["messages"][1]["content"]] == ["text", "image_url", "text", "text"]


def test_a_tools_result_goes_back_with_its_picture_in_a_user_turn(tmp_path):
    from PIL import Image

    Image.new("RGB", (30, 30), "red").save(tmp_path / "mask.png")
    found = Evidence(
        7, "tool", "locate", "It lies at 1, 2.", Provenance("tool", "locate", ""), images=(str(tmp_path / "mask.png"),)
    )
    steps = (ToolStep(ToolCall("locate", {"scene": "A"}, "call_0"), (7,)), ToolStep(ToolCall("locate", {}), error="no"))
    prompt = Prompt("ask", "Where?", (), (MARSH, found), tools=(LOCATE,), steps=steps)
    with ChatServer(Reply("There [7].")) as server:
        list(model(server).generate(prompt))
    messages = server.requests[0]["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "user", "assistant", "tool"]
    assert messages[2]["tool_calls"][0]["function"] == {"name": "locate", "arguments": '{"scene": "A"}'}
    assert messages[3]["tool_call_id"] == "call_0" and '<evidence number="7"' in messages[3]["content"]
    assert [b["type"] for b in messages[4]["content"]] == ["text", "image_url"]
    assert "<error>no</error>" in messages[6]["content"]
    assert messages[5]["tool_calls"][0]["id"] == messages[6]["tool_call_id"] == "call00001"
    assert '"7"' not in messages[1]["content"]


# -- what servers do ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "message", "hint"),
    [
        (Reply(status=429, error="slow down"), "HTTP 429: slow down.", "wait a little"),
        (Reply(status=500, error="CUDA out of memory"), "HTTP 500: CUDA out of memory.", "see its log"),
        (Reply(status=401, error="bad key"), "HTTP 401: bad key.", "api_key_env"),
        (Reply(status=404, error="no such model"), "HTTP 404: no such model.", "model's name"),
        (Reply(status=400, error="maximum context length is 512 tokens"), "HTTP 400", "Set `context`"),
        (Reply(status=400, error="Unsupported value: 'temperature'"), "HTTP 400", "temperature = 1"),
        (Reply(status=400, error="line one\nline\x1b[31m two"), "HTTP 400: line one line", "--debug"),
        (Reply(""), "returned no text", "Ask again"),
        (Reply("  \n "), "returned no text", "Ask again"),
    ],
    ids=lambda v: str(v.status) + v.error[:12] if isinstance(v, Reply) else None,
)
def test_errors_are_one_line_and_say_what_to_do(reply: Reply, message: str, hint: str):
    with ChatServer(reply) as server:
        events, error = until_error(model(server).generate(PROMPT))
    assert message in error.message and hint in error.hint
    assert "\n" not in error.message and "openai:tiny" in error.message
    assert not said(events).strip()


def test_a_busy_server_is_asked_again():
    busy = Reply(status=429, error="busy", headers={"Retry-After": "0.01"})
    with ChatServer(busy, Reply(status=500, error="oops"), Reply("Wet [1].")) as server:
        assert said(list(model(server, retries=2).generate(PROMPT))) == "Wet [1]."
    assert len(server.requests) == 3


def test_a_slow_first_token_and_a_slow_next_one():
    with ChatServer(Reply("late", delay=2)) as server:
        start = time.monotonic()
        events, error = until_error(model(server, timeout=0.3).generate(PROMPT))
        assert not events and "No token came for 0.3 s" in error.hint and time.monotonic() - start < 1.8
    with ChatServer(Reply("one two three", pause=2)) as server:
        events, error = until_error(model(server, timeout=0.3).generate(PROMPT))
        assert said(events) == "one " and "No further token came for 0.3 s" in error.hint
    with ChatServer(Reply("all in good time", delay=0.5, pause=0.5)) as server:  # longer than the timeout together
        assert said(list(model(server, timeout=1).generate(PROMPT))) == "all in good time"


def test_a_connection_that_ends_in_the_middle_keeps_what_came():
    with ChatServer(Reply("A marsh is wet.", cut_after=2)) as server:
        events, error = until_error(model(server).generate(PROMPT))
    assert said(events) == "A marsh "
    assert "broke off in the middle" in error.message and "still running" in error.hint


def test_nobody_there():
    with ChatServer() as server:
        where = server.base_url
    gone = LangChainModel("openai:tiny", base_url=where, retries=0, timeout=2)
    _, error = until_error(gone.generate(PROMPT))
    assert "Is the server running at http://127.0.0.1" in error.hint


def test_closing_hangs_up():
    with ChatServer(Reply(["word "] * 400, pause=0.01)) as server:
        answer = model(server).generate(PROMPT)
        assert next(answer) == Text("word ")
        start = time.monotonic()
        answer.close()  # type: ignore[attr-defined]
        assert time.monotonic() - start < 1
        deadline = time.monotonic() + 3
        while not server.left and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.left == 1
        server.replies = [Reply("Next [1].")]
        assert said(list(model(server).generate(PROMPT))) == "Next [1]."


def test_an_answer_that_is_cut_by_its_length_says_so():
    with ChatServer(Reply("A marsh", finish="length")) as server:
        events = list(model(server, max_tokens=2).generate(PROMPT))
    assert said(events) == "A marsh" and "was cut" in notices(events)[0]
    assert 2 in (server.requests[0].get("max_tokens"), server.requests[0].get("max_completion_tokens"))


def test_an_answer_that_ends_without_saying_so():
    with ChatServer(Reply("A marsh is", finish="")) as server:
        assert "may be cut" in notices(list(model(server).generate(PROMPT)))[0]


def test_a_model_that_loops_is_stopped():
    with ChatServer(Reply("It is a field. " * 200, pause=0.001)) as server:
        events = list(model(server).generate(PROMPT))
    assert "repeats itself" in notices(events)[0] and len(said(events)) < 400


# -- malformed calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ['{"scene": "A', "[1]", "scene=A", '{"scene": }'])
def test_a_malformed_call_goes_back_once(written: str):
    with ChatServer(Reply(calls=[("locate", written)]), Reply("I cannot tell.")) as server:
        events = list(model(server).generate(TOOLED))
    assert said(events) == "I cannot tell." and not [e for e in events if isinstance(e, ToolCall)]
    last = server.requests[1]["messages"][-1]
    assert last["role"] == "tool" and "Nothing was called." in last["content"] and "tools" in server.requests[1]


def test_after_two_malformed_calls_an_answer_is_asked_for():
    bad = Reply(calls=[("locate", "{")])
    with ChatServer(bad, bad, Reply("Then without [1].")) as server:
        events = list(model(server).generate(TOOLED))
    assert said(events) == "Then without [1]."
    assert "tools" not in server.requests[2]
    assert server.requests[2]["messages"][-1]["content"].endswith("Answer the question now.")
    with ChatServer(bad) as server:
        _, error = until_error(model(server).generate(TOOLED))
        assert "returned no text" in error.message and len(server.requests) == 3


def test_calls_by_prompt():
    block = 'I look.\n```tool\n{"name": "locate", "arguments": {"scene": "A"}}\n```\nResult: Paris [9].'
    with ChatServer(Reply(list(block))) as server:
        events = list(model(server, tools="prompt").generate(TOOLED))
    assert said(events) == "I look.\n" and ToolCall("locate", {"scene": "A"}) in events
    body = server.requests[0]
    assert "tools" not in body and '- locate(scene: "A")' in body["messages"][0]["content"]


def test_without_tools_none_are_told():
    with ChatServer(Reply("ok [1].")) as server:
        asked = model(server, tools="none")
        list(asked.generate(TOOLED))
        assert not asked.capabilities.tools
    assert "tools" not in server.requests[0] and "locate" not in str(server.requests[0]["messages"])


# -- refusals and what a server says of itself --------------------------------------------------------


def refusing(*words: tuple[str, int, str]) -> Any:
    """A server that refuses requests which hold a word."""

    def script(body: dict[str, Any]) -> Reply:
        for word, status, error in words:
            if word in str(body):
                return Reply(status=status, error=error)
        return Reply("Fine [1].")

    return script


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "this model does not support image input"),
        (500, "image input is not supported - hint: you may need to provide the mmproj"),
        (404, "No endpoints found that support image input"),
        (400, "At most 0 image(s) may be provided in one prompt."),
        (422, "unknown content type image_url"),
    ],
)
def test_refused_images_are_left_out_once_and_for_all(status: int, error: str):
    with ChatServer(refusing(("image_url", status, error))) as server:
        asked = model(server)
        events = list(asked.generate(SEEN))
        assert said(events) == "Fine [1]." and "refuses images" in notices(events)[0]
        assert "the model was not shown [A]: it takes no images" in notices(events)
        assert "cannot be shown to you" in server.requests[1]["messages"][1]["content"]
        again = list(asked.generate(SEEN))
        assert len(server.requests) == 3 and notices(again) == ["the model was not shown [A]: it takes no images"]
        assert not asked.capabilities.images


def test_an_image_that_is_too_large_is_an_error_and_no_refusal():
    with ChatServer(refusing(("image_url", 400, "image too large: 9000 x 9000"))) as server:
        _, error = until_error(model(server).generate(SEEN))
    assert "too large" in error.message and len(server.requests) == 1


def test_a_limit_of_images_is_kept():
    two = Prompt("ask", "Which?", (SCENE, SCENE), (MARSH,))

    def script(body: dict[str, Any]) -> Reply:
        many = str(body).count("data:image")
        return Reply(status=400, error="At most 1 image(s) may be provided.") if many > 1 else Reply("A [A].")

    with ChatServer(script) as server:
        events = list(model(server).generate(two))
    assert "no more than 1 image" in notices(events)[0]
    assert any("[B]: it takes no more images at once" in n for n in notices(events))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "tiny does not support tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (500, "tools param requires --jinja flag"),
    ],
)
def test_refused_tools_are_told_in_the_prompt(status: int, error: str):
    with ChatServer(refusing(("'tools'", status, error))) as server:
        asked = model(server)
        events = list(asked.generate(TOOLED))
        assert said(events) == "Fine [1]." and "told in the prompt" in notices(events)[0]
        assert "```tool" in server.requests[1]["messages"][0]["content"]
        assert not notices(list(asked.generate(TOOLED))) and len(server.requests) == 3


def test_a_server_that_counts_no_tokens_is_not_asked_to_again():
    with ChatServer(refusing(("stream_options", 422, "Unsupported fields: {'stream_options'}"))) as server:
        asked = model(server)
        assert notices(list(asked.generate(PROMPT))) == [] == notices(list(asked.generate(PROMPT)))
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("entry", "pages", "images", "context"),
    [
        ({"max_model_len": 4096}, {}, True, 4096),  # vLLM
        ({"max_context_length": 8192, "type": "llm"}, {}, False, 8192),  # LM Studio
        (
            {"id": "/models/x.gguf", "owned_by": "llamacpp"},
            {"/props": {"default_generation_settings": {"n_ctx": 2048}, "modalities": {"vision": False}}},
            False,
            2048,
        ),
        ({"max_model_len": "many", "type": 3}, {}, True, 0),
        ({"id": "tiny", "owned_by": "llamacpp"}, {"/props": ["odd"]}, True, 0),
    ],
)
def test_a_server_tells_what_it_can(entry: dict[str, Any], pages: dict[str, Any], images: bool, context: int):
    with ChatServer(Reply("ok [1]."), model=entry, pages=pages) as server:
        asked = model(server)
        assert asked.capabilities.context == 0  # nobody is asked before the first question
        list(asked.generate(PROMPT))
        assert (asked.capabilities.images, asked.capabilities.context) == (images, context)
        told = model(server, images=not images, context=999)
        list(told.generate(PROMPT))
        assert (told.capabilities.images, told.capabilities.context) == (not images, 999)


def test_ollama_is_asked_what_its_model_can():
    shown = {
        "capabilities": ["completion", "tools"],
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
    }
    with ChatServer(pages={"/api/show": shown}) as server:
        from rsrag.builtin.models.detecting import of_ollama

        traits = of_ollama("tiny", server.base_url.removesuffix("/v1"))
        assert (traits.images, traits.tools, traits.context) == (False, True, 8192)
        server.pages["/api/show"] = {**shown, "parameters": "temperature 1\nnum_ctx 2048"}
        assert of_ollama("tiny", server.base_url.removesuffix("/v1")).context == 2048
        server.pages.clear()
        assert of_ollama("tiny", server.base_url.removesuffix("/v1")).tools is None


# -- through the assistant ----------------------------------------------------------------------------


class TestContract(ModelContract):
    """The contract that plugins' models are held to."""

    module = "rsrag.builtin.models.langchain"

    @pytest.fixture
    def component(self) -> Iterator[LangChainModel]:
        def answer(body: dict[str, Any]) -> Reply:
            shown = "<evidence number" in str(body["messages"][-1])
            return Reply("43 km of quays [7]." if shown else "Nothing is known about that.")

        with ChatServer(answer) as server:
            yield model(server)


def through(kb: KnowledgeBase, *replies: Reply, **options: Any) -> tuple[Answer, ChatServer]:
    """The answer of an assistant whose model is a scripted server, by the name that a user types."""
    with tempfile.TemporaryDirectory() as folder:
        kb.add(SampleSource(folder))
        with ChatServer(*replies) as server:
            given = {"base_url": server.base_url, "retries": 0, **options}
            return Assistant(kb, model="openai:tiny", model_options=given).ask("What is a harbour?"), server


def test_an_answer_with_its_cost(kb: KnowledgeBase):
    answer, _ = through(kb, Reply("A harbour shelters ships [1].", usage=(321, 9)))
    assert answer.grounded and answer.usage == Usage(321, 9) and not answer.invalid_markers


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("A harbour shelters ships [999].", "cites [999], which does not exist"),
        ("Ships lie there. " * 300, "the model repeats itself"),
        ("A harbour shelters ships.", ""),
    ],
)
def test_answers_that_cannot_be_trusted(kb: KnowledgeBase, text: str, warning: str):
    answer, _ = through(kb, Reply(text))
    assert not answer.grounded and (not warning or any(warning in told for told in answer.warnings))
    assert len(answer.text) < 2000


def test_a_model_calls_a_tool_that_the_assistant_runs(kb: KnowledgeBase):
    call = Reply("Let me measure.", calls=[("haversine", '{"wrong": 1}')])
    answer, server = through(kb, call, Reply("It is unknown."))
    assert answer.text == "Let me measure.\n\nIt is unknown."
    assert server.requests[1]["messages"][-1]["role"] == "tool"
    assert "there is no tool" in server.requests[1]["messages"][-1]["content"]


def test_nothing_but_blanks_is_an_error(kb: KnowledgeBase):
    with pytest.raises(ModelError, match="returned no text"):
        through(kb, Reply(" \n"))
