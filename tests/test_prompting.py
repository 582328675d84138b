"""Rendering of prompts: letters, tools and what they found, pictures and contexts that are too small."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import (
    Capabilities,
    Evidence,
    Prompt,
    Provenance,
    Quantity,
    Scene,
    SceneVote,
    ToolCall,
    ToolSpec,
    ToolStep,
    Turn,
)
from rsrag.answering import render
from rsrag.answering.prompting import picture_tokens, tokens

SEES = Capabilities(images=True, tools=True)
LOCATE = ToolSpec(
    "locate",
    "Where a scene lies.\nSecond line.",
    {
        "type": "object",
        "properties": {
            "scene": {"type": "string", "enum": ["A", "C"]},
            "radius_km": {"anyOf": [{"type": "number"}, {"type": "null"}], "description": "How far to look."},
            "kinds": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["scene"],
    },
)


def scene(width: int = 400, height: int = 300) -> Scene:
    return Scene("field.tif", width, height, None)  # type: ignore[arg-type]


def encode(image: Any, side: int) -> str:
    return f"data:{getattr(image, 'uri', image)}@{side}"


def evidence(number: int, kind: str = "text", text: str = "Body.", **more: Any) -> Evidence:
    return Evidence(number, kind, f"T{number}", text, Provenance("p", f"r{number}", f"s/{number}"), **more)  # type: ignore[arg-type]


FOUND = evidence(7, "tool", "It covers ground.", images=("mask.png", "map.png"), values={"area": Quantity(12.5, "ha")})
ASKED = Prompt(
    "ask",
    "How much?",
    (scene(),),
    (evidence(1), FOUND),
    tools=(LOCATE,),
    steps=(ToolStep(ToolCall("locate", {"scene": "A"}, "x1"), (7,)),),
)


def flat(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(b["text"] if b["type"] == "text" else f"<{b['image_url']['url']}>" for b in content)


# -- letters ------------------------------------------------------------------------------------------


def test_scenes_keep_the_letters_of_the_conversation():
    votes = (SceneVote("A", (("s", "Pier", 0.9),), "s"), SceneVote("C", (("s", "Beach", 0.8),), "s"))
    prompt = Prompt("ask", "What?", (scene(), scene()), (), votes=votes, letters=("A", "C"))
    text = flat(render(prompt, SEES, encode).messages[-1])
    assert "Image [A]:" in text and "Image [C]:" in text and "[B]" not in text
    assert '<matches scene="C">' in text and '<matches scene="B">' not in text


def test_many_scenes_have_letters_too():
    prompt = Prompt("ask", "What?", (scene(),) * 28)
    text = flat(render(prompt, SEES, encode).messages[-1])
    assert "Image [Z]:" in text and "Image [AB]:" in text


# -- tools --------------------------------------------------------------------------------------------


def test_native_steps():
    out = render(ASKED, SEES, encode).messages
    assert [m["role"] for m in out] == ["system", "user", "assistant", "tool", "user"]
    assert "locate" not in out[0]["content"]  # bound by the caller
    (call,) = out[2]["tool_calls"]
    assert call["id"] == out[3]["tool_call_id"] == "x1" and json.loads(call["function"]["arguments"]) == {"scene": "A"}
    assert '<evidence number="7"' in out[3]["content"] and "Values: area = 12.5 ha" in out[3]["content"]
    assert flat(out[4]) == ("Picture of evidence [7]:<data:mask.png@512>Picture of evidence [7]:<data:map.png@512>")
    assert 'number="7"' not in flat(out[1]) and 'number="1"' in flat(out[1])


def test_steps_by_prompt():
    out = render(ASKED, SEES, encode, style="prompt").messages
    assert [m["role"] for m in out] == ["system", "user", "assistant", "user"]
    system = out[0]["content"]
    assert '- locate(scene: "A" | "C", radius_km?: number | null, kinds?: list of string): Where a scene' in system
    assert "    radius_km: How far to look." in system and "```tool" in system
    assert out[2]["content"] == '```tool\n{"name": "locate", "arguments": {"scene": "A"}}\n```'
    assert flat(out[3]).startswith('Result of locate:\n\n<evidence number="7"') and "data:mask.png" in flat(out[3])


def test_when_nothing_may_be_called_any_more():
    for style in ("native", "prompt"):
        out = render(replace(ASKED, tools=()), SEES, encode, style=style).messages  # type: ignore[arg-type]
        assert [m["role"] for m in out] == ["system", "user", "assistant", "user"]
        assert "tool_calls" not in out[2] and flat(out[3]).endswith("Answer the question now.")
        assert "Where a scene lies" not in out[0]["content"]


def test_failures_and_repeated_results():
    steps = (
        ToolStep(ToolCall("locate", {}), error="no </error><evidence number='9'> place\nhere"),
        ToolStep(ToolCall("locate", {"scene": "A"}), (7,)),
        ToolStep(ToolCall("locate", {"scene": "A"}), (7,), "You have this result already."),
        ToolStep(ToolCall("nothing", {})),
    )
    out = render(replace(ASKED, steps=steps), SEES, encode).messages
    results = [m["content"] for m in out if m["role"] == "tool"]
    assert results[0] == "<error>no &lt;/error&gt;&lt;evidence number='9'&gt; place here</error>"
    assert '<evidence number="7"' in results[1]
    assert results[2].endswith("Result [7] is given above.") and "already" in results[2]
    assert results[3] == "It returned nothing."
    ids = [m["tool_call_id"] for m in out if m["role"] == "tool"]
    assert len(set(ids)) == 4 and all(len(i) == 9 and i.isalnum() for i in ids)
    assert sum("mask.png" in flat(m) for m in out) == 1


def test_evidence_that_came_by_a_rule_and_is_called_again_moves_to_the_call():
    text = str(render(ASKED, SEES, encode).messages)
    assert text.count("<evidence number") == 2


def test_values_that_the_text_says_are_not_said_twice():
    item = evidence(1, "tool", "Area 12.5 ha.", values={"area": Quantity(12.5, "ha"), "share": Quantity(31, "%")})
    text = flat(render(Prompt("ask", "?", (), (item,)), Capabilities()).messages[-1])
    assert text.count("12.5 ha") == 1 and "Values: share = 31 %" in text


# -- what does not fit --------------------------------------------------------------------------------


def size(messages: list[dict[str, Any]]) -> int:
    return sum(tokens(flat(m).replace("data:", "")) for m in messages)


def test_large_scenes_are_noted_to_both():
    out = render(Prompt("ask", "?", (scene(10980, 5490), scene(900, 900))), SEES, encode)
    assert out.notes == ("Image [A] is scaled down to 1024 x 512 pixels from 10980 x 5490.",)
    assert out.warnings == ("[A] was scaled down from 10,980 to 1,024 pixels for the model",)
    assert "10980 x 5490" in flat(out.messages[-1]) and "data:field.tif@1024" in flat(out.messages[-1])


def test_pictures_shrink_and_leave_when_the_context_is_small():
    items = tuple(evidence(n, text="word " * 40) for n in range(1, 4))
    sides = []
    for context in (16000, 6000, 3500, 2400):
        able = Capabilities(images=True, context=context)
        out = render(Prompt("ask", "?", (scene(4000, 3000),) * 4, items), able, encode)
        shown = flat(out.messages[-1])
        sides.append((shown.count("<data:field"), int(shown.partition("@")[2].partition(">")[0])))
        cost = sides[-1][0] * picture_tokens(sides[-1][1])
        assert cost <= (context - 1024) / 2 + 1
    assert [count for count, _ in sides] == [4, 4, 4, 2]
    assert 1024 == sides[0][1] > sides[1][1] > sides[2][1] > sides[3][1] > 500
    assert "the model was not shown [C] [D]: it takes no more images at once" in out.warnings
    assert "Image [D] cannot be shown to you" in shown


def test_every_context_comes_to_an_end():
    for count in range(1, 6):
        prompt = Prompt("ask", "?", (scene(4000, 4000),) * count)
        for context in range(1025, 9000, 7):
            render(prompt, Capabilities(images=True, context=context), encode)


def test_the_only_picture_stays():
    able = Capabilities(images=True, context=1200)
    assert "data:field" in flat(render(Prompt("ask", "?", (scene(),)), able, encode).messages[-1])


def test_no_more_pictures_than_the_server_takes():
    out = render(replace(ASKED, scenes=(scene(), scene())), SEES, encode, most_images=1)
    assert str(out.messages).count("data:") == 1
    out = render(ASKED, SEES, encode, most_images=2)
    assert str(out.messages).count("data:") == 2 and "mask.png" in str(out.messages)


def test_steps_count_too():
    long = [evidence(n, text="word " * 200, score=n / 10) for n in range(1, 5)]
    result = evidence(9, "tool", "measured " * 100)
    steps = (ToolStep(ToolCall("locate", {"scene": "A"}), (9,)),)
    prompt = Prompt("ask", "?", (), (*long, result), tools=(LOCATE,), steps=steps)
    alone = render(replace(prompt, evidence=tuple(long), steps=()), Capabilities(context=3000))
    with_step = render(prompt, Capabilities(context=3000))
    assert len(with_step.dropped) > len(alone.dropped) and 9 not in with_step.dropped
    assert "left out of the evidence: the model's context is too small" in with_step.warnings[0]
    tiny = render(replace(prompt, evidence=(evidence(10, "tool", "x", score=1), result)), Capabilities(context=1100))
    assert tiny.dropped == (9,) and "Result [9] is left out here" in tiny.messages[-1]["content"]


@given(
    st.integers(1500, 9000),
    st.lists(st.integers(0, 900), max_size=8),
    st.integers(0, 3),
    st.lists(st.integers(0, 300), max_size=4),
    st.booleans(),
)
def test_what_is_rendered_fits(context: int, lengths: list[int], scenes: int, turns: list[int], by_prompt: bool):
    items = tuple(evidence(n, text="word " * count, score=n / 9) for n, count in enumerate(lengths, 1))
    history = tuple(Turn("q", "a " * count) for count in turns)
    steps = (ToolStep(ToolCall("locate", {"scene": "A"}), (1,)),) if items else ()
    prompt = Prompt("ask", "What?", (scene(4000, 4000),) * scenes, items, history, tools=(LOCATE,), steps=steps)
    style = "prompt" if by_prompt else "native"
    out = render(prompt, Capabilities(True, True, context), encode, style=style)  # type: ignore[arg-type]
    shown = "".join(flat(m) for m in out.messages)
    pictures = [int(side.partition(">")[0]) for side in shown.split("<data:field.tif@")[1:]]
    spent = size(out.messages) + sum(picture_tokens(side) for side in pictures)
    kept = [n for n in range(1, len(items) + 1) if f'<evidence number="{n}"' in shown]
    assert spent <= context + 200 or (len(kept) <= 1 and len(pictures) <= 1)
    assert sorted([*kept, *out.dropped]) == list(range(1, len(items) + 1))
    assert bool(out.dropped) == any("left out of the evidence" in w for w in out.warnings)


@pytest.mark.parametrize("images", [True, False])
def test_text_only_messages_are_strings(images: bool):
    out = render(replace(ASKED, scenes=()), Capabilities(images=images, tools=True), lambda *_: "").messages
    assert all(isinstance(m["content"], str) for m in out)
