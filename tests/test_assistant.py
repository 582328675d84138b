"""The loop through the Python API: what is retrieved, cited, warned of, declined; with scripted models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsrag import (
    Answer,
    Assistant,
    BBox,
    Done,
    Fact,
    KnowledgeBase,
    ModelError,
    Plugins,
    Query,
    Record,
    Retrieved,
    RsragError,
    Scene,
    SceneError,
    Section,
    Text,
    ToolDone,
    ToolResult,
    ToolStarted,
    UsageError,
    hookimpl,
)
from rsrag.testing.encoders import COLOURS, FakeEncoder
from rsrag.testing.models import ScriptedModel


def ground(colour: str, size: tuple[int, int] = (48, 48), seed: int = 0) -> Image.Image:
    """A surface of one colour with the shading and grain of a photograph."""
    random = np.random.default_rng(seed)
    shade = np.linspace(-12, 12, size[0])[None, :, None]
    grain = random.integers(-5, 6, (size[1], size[0], 3))
    return Image.fromarray((np.array(COLOURS[colour]) + shade + grain).clip(0, 255).astype(np.uint8))


class Colours:
    """Five pictures of each of three subjects, and a text for each."""

    name = "colours"
    label = "colours"
    role = "reference"

    def __init__(self, root: Path) -> None:
        self.root = root

    def records(self) -> Iterator[Record]:
        for name, thing in (("green", "forest"), ("blue", "lake"), ("yellow", "desert")):
            for i in range(5):
                ground(name, seed=i).save(self.root / f"{thing}{i}.png")
                yield Record(f"{thing}-{i}", f"class/{thing}", f"{thing} image {i}", images=(f"{thing}{i}.png",))
            yield Record(
                thing,
                f"class/{thing}",
                thing.title(),
                sections=(
                    Section("label", f"{name} {thing}"),
                    Section("appearance", f"A {thing} is an even {name} area without roads."),
                    Section("look_alikes", f"A {thing} differs from a park because a park has paths."),
                ),
                facts=(Fact(f"class/{thing}", "typical size", 3, "km"),),
            )


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[KnowledgeBase]:
    (tmp_path / "images").mkdir()
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(Colours(tmp_path / "images"))
        yield kb


@pytest.fixture
def forest(tmp_path: Path) -> Path:
    path = tmp_path / "mine.png"
    ground("green", seed=9).save(path)
    return path


def test_an_image_brings_the_texts_of_what_it_shows(filled: KnowledgeBase, forest: Path) -> None:
    model = ScriptedModel(["It is a forest [1]."])
    answer = Assistant(filled, model).ask("what is this?", forest)
    prompt = model.prompts[0]
    assert prompt.votes[0].label == "class/forest"
    texts = [e for e in prompt.evidence if e.kind == "text"]
    assert {e.subject for e in texts[:2]} == {"class/forest"}
    assert next(e.subject for e in prompt.evidence if e.kind == "image") == "class/forest"
    assert answer.citations == (prompt.evidence[0],)
    assert (answer.status, answer.grounded, answer.model) == ("answered", True, "scripted")


def test_the_default_reader_names_the_scene_with_sources(filled: KnowledgeBase, forest: Path) -> None:
    answer = Assistant(filled).ask("what is this, and how can I tell?", forest)
    assert answer.status == "answered" and answer.grounded
    assert "forest" in answer.text.splitlines()[0].lower()
    assert {e.subject for e in answer.citations} == {"class/forest"}
    assert set(answer.seconds) == {"look", "retrieve", "tools", "answer"}


def test_every_number_cited_is_checked(filled: KnowledgeBase) -> None:
    answer = Assistant(filled, ScriptedModel(["A lake is blue [1]. It has 40 ports [99]."])).ask("lake?")
    assert answer.invalid_markers == ("99",)
    assert any("[99]" in warning for warning in answer.warnings)
    assert not answer.grounded


def test_an_empty_answer_is_an_error_not_an_answer(filled: KnowledgeBase) -> None:
    with pytest.raises(ModelError, match="'scripted' returned no text"):
        Assistant(filled, ScriptedModel([""])).ask("lake?")


def test_events_come_in_order(filled: KnowledgeBase, forest: Path) -> None:
    events = list(Assistant(filled, ScriptedModel(["A forest [1]."])).stream("what is this?", forest))
    kinds = [type(e) for e in events]
    assert kinds[0] is Retrieved and kinds[-1] is Done and Text in kinds
    assert kinds.index(ToolStarted) < kinds.index(ToolDone) < kinds.index(Text)


def test_closing_the_stream_cancels_the_model(filled: KnowledgeBase) -> None:
    closed: list[bool] = []

    class Slow:
        name = "slow"

        def generate(self, prompt: object) -> Iterator[Text]:
            try:
                while True:
                    yield Text("more ")
            finally:
                closed.append(True)

    stream = Assistant(filled, Slow()).stream("lake?")
    for event in stream:
        if isinstance(event, Text):
            break
    stream.close()  # type: ignore[attr-defined]
    assert closed == [True]


class Broken:
    """A plugin with a lane and a tool that raise."""

    @hookimpl
    def rsrag_retrievers(self) -> list[type]:
        class Lane:
            name = "broken-lane"
            needs = ("text",)
            votes = False

            def retrieve(self, query: Query, kb: Any, k: int) -> list[Any]:
                raise ValueError("no such table")

        return [Lane]

    @hookimpl
    def rsrag_tools(self) -> list[type]:
        class Tool:
            name = "broken-tool"

            def applies(self, query: Query) -> float:
                return 1.0

            def __call__(self, scene: Any) -> ToolResult:
                raise ValueError("division by zero")

        return [Tool]

    @hookimpl
    def rsrag_answered(self, query: Query, answer: Answer) -> None:
        raise RuntimeError("observer fell over")


def test_what_a_plugin_breaks_is_named_and_the_answer_goes_on(tmp_path: Path, forest: Path) -> None:
    (tmp_path / "images").mkdir()
    plugins = Plugins(external=False, extra=[Broken()])
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=plugins) as kb:
        kb.add(Colours(tmp_path / "images"))
        answer = Assistant(kb, ScriptedModel(["A forest [1]."])).ask("what is this?", forest)
    assert answer.text == "A forest [1]."
    said = "\n".join(answer.warnings)
    assert "retrieval lane broken-lane failed: ValueError: no such table" in said
    assert "tool broken-tool failed: ValueError: division by zero" in said
    assert any("observer fell over" in str(p) for p in plugins.problems)


def test_when_every_lane_fails_there_is_no_answer(filled: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RsragError("the index is gone.")

    monkeypatch.setattr(filled, "search_vectors", fail)
    monkeypatch.setattr(filled, "search_text", fail)
    monkeypatch.setattr(filled, "search_named", fail)
    with pytest.raises(RsragError, match="the index is gone"):
        Assistant(filled, ScriptedModel(["made up"])).ask("lake?")


def test_nothing_found_is_a_decline(kb: KnowledgeBase) -> None:
    answer = Assistant(kb).ask("what is a lake?")
    assert answer.status == "declined" and not answer.grounded and not answer.citations


def test_filters_exclude_and_say_so(filled: KnowledgeBase) -> None:
    model = ScriptedModel(["x [1]."] * 3)
    answer = Assistant(filled, model).ask("desert forest", sources=("colours",))
    assert any("filters left" in w for w in answer.warnings)
    with pytest.raises(UsageError, match=r"no source 'colour' .*Did you mean 'colours'"):
        Assistant(filled, model).ask("x", sources=("colour",))
    with pytest.raises(UsageError, match="no facet 'them'"):
        Assistant(filled, model).ask("x", facets=["them=1"])


def test_a_part_of_an_image(filled: KnowledgeBase, tmp_path: Path) -> None:
    image = ground("green", (100, 50))
    image.paste(ground("blue", (50, 50)), (50, 0))
    image.save(tmp_path / "both.png")
    assistant = Assistant(filled, ScriptedModel(["x [1]."] * 2))
    prompts = assistant.model.prompts
    assistant.ask("what?", tmp_path / "both.png", region="50,0,50,50")
    assert prompts[0].votes[0].label == "class/lake"
    assistant.ask("what?", tmp_path / "both.png", region=(0, 0, 50, 50))
    assert prompts[1].votes[0].label == "class/forest"
    with pytest.raises(UsageError, match="not inside"):
        assistant.ask("what?", tmp_path / "both.png", region="90,0,50,50")


def test_scenes_are_lettered_in_order(filled: KnowledgeBase, forest: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake.png"
    ground("blue", (20, 20)).save(lake)
    model = ScriptedModel(["[A] is greener than [B]."])
    answer = Assistant(filled, model).ask("compare", [forest, lake])
    assert [v.scene for v in model.prompts[0].votes] == ["A", "B"]
    assert [v.label for v in model.prompts[0].votes] == ["class/forest", "class/lake"]
    assert answer.invalid_markers == ()


def test_search_by_words_example_and_place(filled: KnowledgeBase, forest: Path) -> None:
    assistant = Assistant(filled)
    assert assistant.search("yellow", kind="image", k=3)[0].chunk.subject == "class/desert"
    by_example = assistant.search(image=forest, kind="image", k=5)
    assert {h.chunk.subject for h in by_example} == {"class/forest"}
    assert len(assistant.search("forest", k=2)) == 2


class Describes:
    """A captioner that says one thing about everything."""

    name = "says"

    def __init__(self, says: str) -> None:
        self.says = says

    def caption(self, scenes: Sequence[Scene]) -> list[str]:
        if self.says == "nothing, it breaks":
            raise RuntimeError("no idea")
        return [self.says for _ in scenes]


def test_a_captioner_s_words_are_evidence_like_the_rest(filled: KnowledgeBase, forest: Path) -> None:
    answer = Assistant(filled, captioner=Describes("A dense forest with a narrow track.")).caption(forest)
    cited = [e for e in answer.citations if e.title == "captioner says"]
    assert "A dense forest with a narrow track" in answer.text and len(cited) == 1
    assert f"[{cited[0].number}]" in answer.text
    asked = Assistant(filled, captioner=Describes("A zebra.")).ask("what is this?", forest)
    assert "zebra" not in asked.text.lower()  # nobody asked it


@pytest.mark.parametrize("says", ["", "nothing, it breaks"])
def test_a_captioner_without_words_costs_itself_only(filled: KnowledgeBase, forest: Path, says: str) -> None:
    answer = Assistant(filled, captioner=Describes(says)).caption(forest)
    assert "forest" in answer.text.lower()
    assert any("captioner says failed" in w and "no idea" in w for w in answer.warnings) == bool(says)


def test_classify_and_caption(filled: KnowledgeBase, forest: Path) -> None:
    assistant = Assistant(filled)
    result = assistant.classify(forest, ["green area", "blue water", "red roofs"])
    assert result.label == "green area"
    assert sum(share for _, share in result.scores) == pytest.approx(1)
    with pytest.raises(RsragError, match="at least two"):
        assistant.classify(forest, ["one", "one"])
    assert "forest" in assistant.caption(forest).text.lower()


def test_a_conversation_keeps_numbers_and_scenes(filled: KnowledgeBase, forest: Path) -> None:
    model = ScriptedModel(["A forest [1]."] * 3)
    chat = Assistant(filled, model).chat()
    first = chat.ask("what is this?", forest)
    second = chat.ask("and how large is it?")
    assert model.prompts[1].scenes == model.prompts[0].scenes
    assert [t.question for t in model.prompts[1].history] == ["what is this?"]
    numbers = {e.key: e.number for e in first.evidence}
    assert all(numbers.get(e.key, e.number) == e.number for e in second.evidence)
    assert len({e.number for e in (*first.evidence, *second.evidence)}) == len(
        {e.key for e in (*first.evidence, *second.evidence)}
    )


def test_a_langchain_chat_model_answers(filled: KnowledgeBase, forest: Path) -> None:
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    chat_model = GenericFakeChatModel(messages=iter([AIMessage("It is a forest [1].")]))
    answer = Assistant(filled, chat_model).ask("what is this?", forest)
    assert answer.text == "It is a forest [1]."
    assert answer.grounded


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_both_fusions_answer(filled: KnowledgeBase, forest: Path, fusion: str) -> None:
    model = ScriptedModel(["x [1]."])
    Assistant(filled, model, fusion=fusion, k=3).ask("how large is it?", forest)
    texts = [e for e in model.prompts[0].evidence if e.kind == "text"]
    assert len(texts) == 3 and {e.subject for e in texts} == {"class/forest"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "extractiv"}, "no model called 'extractiv'. Did you mean 'extractive'?"),
        ({"fusion": "mean"}, "no fusion called 'mean'. There are: rrf, weighted."),
        ({"fusion": "weighted", "alpha": 3}, "alpha is 3; it must lie in 0..1."),
        ({"reranker": "cohere"}, "no reranker called 'cohere'."),
    ],
)
def test_wrong_settings_are_said_at_once(filled: KnowledgeBase, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Assistant(filled, **options)
    assert message in str(caught.value)


def test_a_missing_image_is_an_error_before_anything_runs(filled: KnowledgeBase) -> None:
    with pytest.raises(SceneError, match=r"nowhere\.png"):
        Assistant(filled).ask("what is this?", "nowhere.png")


def test_the_trace_is_plain_data(filled: KnowledgeBase, forest: Path) -> None:
    answer = Assistant(filled).ask("what is this?", forest)
    json.dumps(answer.trace)
    assert {name for name, *_ in answer.trace["lanes"]} >= {"image-image", "text-text", "words"}


def test_near_ranks_and_does_not_exclude(filled: KnowledgeBase) -> None:
    query = Assistant(filled).query("lake", near=BBox(0, 0, 1, 1))
    assert query.near is not None and not query.where
