"""Replies of chat models: calls written into the text, loops, and calls that nobody can read."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import ModelError, Notice, Prompt, Text, ToolCall, ToolSpec
from rsrag.answering.calls import BadCall, CallReader
from rsrag.answering.repetition import Repetition
from rsrag.builtin.models.replying import reply

LOCATE = ToolSpec("locate", "", {})
CALL = ToolCall("locate", {"scene": "A"})


def read(text: str, size: int = 1) -> tuple[str, CallReader]:
    reader = CallReader(["locate"])
    shown = "".join(reader.feed(text[i : i + size]) for i in range(0, len(text), size))
    return shown + reader.end(), reader


# -- calls in the text --------------------------------------------------------------------------------

OBJECT = '{"name": "locate", "arguments": {"scene": "A"}}'


@pytest.mark.parametrize("size", [1, 5, 10_000])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"```tool\n{OBJECT}\n```", ""),
        (f"```tool\n{OBJECT}", ""),
        (f"```tool {OBJECT}```", ""),
        (f"Let me see.\n\n```tool\n{OBJECT}\n```\n", "Let me see.\n\n"),
        (f"```tool\n{OBJECT}\n```\nResult: Paris [9].", ""),
        (f"```tool_call\n[{OBJECT}]\n```", ""),
        (f"  ```json\n{OBJECT}\n```", ""),
        (f"```\n{OBJECT}\n```", ""),
        (f"<tool_call>\n{OBJECT}\n</tool_call>", ""),
        (f"<tool_call>{OBJECT}", ""),
        (OBJECT, ""),
        (f"\n {OBJECT}\n", "\n "),
        ('```tool\n{"name": "locate", "arguments": {"scene": "A",},}\n```', ""),
        ("```tool\n{'name': 'locate', 'arguments': {'scene': 'A'}}\n```", ""),
        ('```tool\n{"name": "locate", "parameters": "{\\"scene\\": \\"A\\"}"}\n```', ""),
        ('```tool\n{"type": "function", "function": {"name": "locate", "arguments": {"scene": "A"}}}\n```', ""),
        ('```tool\n{"tool": "locate", "args": {"scene": "A"}}\n```', ""),
    ],
)
def test_calls_are_found(text: str, shown: str, size: int):
    visible, reader = read(text, size)
    assert reader.calls == [CALL] and not reader.bad and visible.strip() == shown.strip()


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    "text",
    [
        "Plain text [1]. With ``` in a line and `code`.\nMore.",
        '```json\n{"name": "nobody", "arguments": {}}\n```\nThat is JSON.',
        '{"area_ha": 12.5} is what I measured.',
        "```python\nprint('```')\n```\ndone",
        "```\nplain block\n```",
        "```geojson\n{}\n```",
        f"It says: {OBJECT}",
        f"`{OBJECT}`",
        "  \n",
        "``",
        "<",
        "<tool_",
        "{",
        "- a\n- b\n\n| x | y |\n|---|---|\n",
    ],
)
def test_everything_else_is_shown_as_it_is(text: str, size: int):
    visible, reader = read(text, size)
    assert visible == text and not reader.calls and not reader.bad


@pytest.mark.parametrize(
    ("text", "name", "error"),
    [
        ("```tool\nlocate(A)\n```", "", "not JSON"),
        ("```tool\n\n```", "", "empty"),
        ('```tool\n{"arguments": {}}\n```', "", 'no "name"'),
        ('```tool\n{"name": "locate", "arguments": [1]}\n```', "locate", "no JSON object"),
        ('```tool\n{"name": "locate", "arguments": "scene A"}\n```', "locate", "not JSON"),
        ('<tool_call>{"name": "locate", "arguments": {"sce', "locate", "not JSON"),
        ("```tool\n" + "[" * 3000 + "\n```", "", ""),
        ("```tool\n__import__('os').system('true')\n```", "", "not JSON"),
    ],
)
def test_calls_that_cannot_be_read(text: str, name: str, error: str):
    visible, reader = read(text)
    assert not visible and not reader.calls
    (bad,) = reader.bad
    assert bad.name == name and error in bad.error and len(bad.written) <= 500


def test_plain_text_is_not_held_back():
    reader = CallReader(["locate"])
    assert [reader.feed(piece) for piece in ("A mar", "sh is ", "wet.\n", "`x` and")] == [
        "A mar",
        "sh is ",
        "wet.\n",
        "`x` and",
    ]


pieces = st.sampled_from(
    [
        "```",
        "`",
        "tool",
        "json",
        "\n",
        " ",
        "{",
        "}",
        '"name"',
        ":",
        OBJECT,
        "<tool_call>",
        "</tool_call>",
        "a",
        "[1]",
        "x y",
    ]
)


@given(st.lists(pieces, max_size=14).map("".join), st.integers(1, 9))
def test_how_the_text_is_cut_up_changes_nothing(text: str, size: int):
    whole, by_piece = read(text, 10_000), read(text, size)
    assert whole[0] == by_piece[0]
    assert whole[1].calls == by_piece[1].calls and whole[1].bad == by_piece[1].bad


@given(st.text(alphabet="ab `\n{}<>t", max_size=60))
def test_text_without_a_call_is_never_lost(text: str):
    visible, reader = read(text, 3)
    assert reader.calls or reader.bad or visible == text


# -- loops --------------------------------------------------------------------------------------------


def stops(text: str, size: int = 4) -> int:
    """After how many characters the text counts as a loop; -1: never."""
    loop = Repetition()
    for i in range(0, len(text), size):
        if loop.feed(text[i : i + size]):
            return i + size
    return -1


@pytest.mark.parametrize(
    "phrase",
    [
        "The image shows a field. ",
        "no ",
        "- water\n",
        "它是一片田野。",
        "A quite long sentence about a harbour and its quays, with numbers 1 2 3.\n",
        "!? ",
    ],
)
def test_a_phrase_again_and_again_is_a_loop(phrase: str):
    assert 0 < stops("At first it makes sense [1]. " + phrase * 200) < 1500


@pytest.mark.parametrize(
    "text",
    [
        "| 1 | 2 | 3 |\n" * 3,
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        "-" * 500,
        "".join(f"- Band {n} has {n * 7} m. [{n}]\n" for n in range(60)),
        "very " * 30,
        " ".join(f"word{n % 97} other{n % 89}" for n in range(400)),
        "The harbour is large. " * 3 + "It was opened in 1189 [7]. " * 2,
    ],
)
def test_what_is_no_loop(text: str):
    assert stops(text) == -1


@given(st.integers(1, 50), st.integers(1, 30))
def test_how_it_is_cut_up_changes_nothing(length: int, size: int):
    text = " ".join(f"w{n}" for n in range(length)) + " "
    whole = stops("Start here. " + text * 60, size)
    assert 0 < whole <= len("Start here. " + text * 60) + size


# -- replies ------------------------------------------------------------------------------------------


class Script:
    """Gives one list of pieces per request and keeps what it was asked."""

    def __init__(self, *replies: list[Any]) -> None:
        self.replies = list(replies)
        self.asked: list[Prompt] = []
        self.closed = 0

    def __call__(self, prompt: Prompt) -> Generator[Any, None, None]:
        self.asked.append(prompt)
        try:
            yield from self.replies[len(self.asked) - 1]
        finally:
            self.closed += 1


PROMPT = Prompt("ask", "Where?", tools=(LOCATE,))
BLOCK = f"```tool\n{OBJECT}\n```"


def events(script: Script, prompt: Prompt = PROMPT, reads_calls: bool = True) -> list[Any]:
    return list(reply(prompt, script, "m", reads_calls=reads_calls))


def test_a_call_ends_the_request():
    script = Script([Text("Look.\n"), Text(BLOCK), Text("\nParis"), Text(" and so on")])
    assert events(script) == [Text("Look.\n"), CALL] and script.closed == 1


def test_an_unreadable_call_goes_back_once_then_tools_are_gone():
    script = Script([Text("```tool\nx\n```")], [BadCall("locate", "{", "cut off")], [Text("It is here.")])
    assert events(script) == [Text("It is here.")]
    first, second, third = script.asked
    assert second.tools == first.tools and third.tools == ()
    assert "Nothing was called." in second.steps[0].error and third.steps[1].call.name == "locate"


def test_text_before_an_unreadable_call_is_kept_apart_from_what_follows():
    script = Script([Text("I look."), BadCall("locate", "{", "cut off")], [Text("It is here.")])
    assert events(script, reads_calls=False) == [Text("I look."), Text("\n\n"), Text("It is here.")]


def test_a_call_where_none_is_possible():
    script = Script([Text(BLOCK)], [Text("Then I say it [1].")])
    prompt = Prompt("ask", "Where?", steps=(events_step(),))
    assert events(script, prompt) == [Text("Then I say it [1].")]
    assert "no tool can be called any more" in script.asked[1].steps[-1].error
    talks = Script([Text("It is here."), CALL])
    assert events(talks, Prompt("ask", "?")) == [
        Text("It is here."),
        Notice("a tool call of the model could not be carried out and was left out"),
    ]


def events_step() -> Any:
    from rsrag import ToolStep

    return ToolStep(CALL, (), "failed")


def test_without_tools_a_block_is_text():
    assert events(Script([Text(BLOCK)]), Prompt("ask", "Show me a call.")) == [Text(BLOCK)]


def test_nothing_at_all_is_an_error():
    for script in (Script([]), Script([Text(" \n")]), Script([BadCall("", "", "e")], [BadCall("", "", "e")], [])):
        with pytest.raises(ModelError, match="returned no text"):
            events(script)


def test_a_loop_is_stopped_and_told():
    script = Script([Text("It is a field. ")] * 300)
    got = events(script)
    assert got[-1] == Notice("the answer was stopped: the model repeats itself") and len(got) < 20 and script.closed
