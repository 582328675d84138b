"""Tools as something to call: their schemas, their arguments, and the loop in which a model calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from rsrag import (
    ArrayReader,
    Assistant,
    KnowledgeBase,
    Plugins,
    Quantity,
    Query,
    Scene,
    Text,
    ToolCall,
    ToolDone,
    ToolResult,
    ToolStarted,
    Usage,
    UsageError,
    hookimpl,
)
from rsrag.testing.encoders import FakeEncoder
from rsrag.testing.models import ScriptedModel
from rsrag.toolbox import Tool, Toolbox


class Index:
    """An index of a scene."""

    name = "index"

    def applies(self, query: Query) -> float:
        return 0.9 if "index" in query.text else 0.0

    def arguments(self, query: Query) -> dict[str, object]:
        return {"name": "NDWI"} if "water" in query.text else {}

    def __call__(
        self, scene: Scene, name: str = "NDVI", threshold: float = 0.2, at: list[float] | None = None
    ) -> ToolResult:
        """Compute an index.

        Over all pixels.

        Args:
            name: Short name of the index,
                such as NDVI.
            threshold: From where on a pixel counts.
        """
        if threshold > 1:
            raise ValueError("nothing is above 1")
        return ToolResult(f"The {name} is above {threshold:g} in half of it.", {"share": Quantity(50, "%")})


class Compare:
    name = "both"

    def applies(self, query: Query) -> float:
        return 0.9 if "compare" in query.text and len(query.scenes) > 1 else 0.0

    def __call__(self, scenes: Sequence[Scene], pictures: Path, kind: Literal["a", "b"] = "a") -> ToolResult:
        """Compare scenes."""
        drawn = pictures / "both.png"
        drawn.write_bytes(b"png")
        return ToolResult(f"{len(scenes)} scenes compared as {kind}.", images=(str(drawn),))


class Fetch:
    name = "fetch"
    asks = ("network",)

    def applies(self, query: Query) -> float:
        return 1.0

    def __call__(self, place: str) -> ToolResult:
        """Fetch what is known of a place."""
        return ToolResult(f"{place} was fetched.")


class ToolPlugin:
    @hookimpl
    def rsrag_tools(self) -> list[type]:
        return [Index, Compare, Fetch]


def scene(name: str = "a.tif") -> Scene:
    pixels = np.random.default_rng(len(name)).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return ArrayReader(pixels, name).scene()


@pytest.fixture
def store(tmp_path: Path) -> KnowledgeBase:
    return KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=Plugins(external=False, extra=[ToolPlugin()]))


def make(store: KnowledgeBase, replies: Any, **options: Any) -> Assistant:
    assistant = Assistant(store, ScriptedModel(replies, tools=True), **options)
    assistant.pictures = store.path / "pictures"
    return assistant


# -- schemas and arguments ------------------------------------------------------------------------


def test_a_signature_and_its_docstring_are_the_schema() -> None:
    spec = Tool(Index()).spec(["A"])
    assert spec.name == "index" and spec.description == "Compute an index."
    assert Tool(Index()).description == "Compute an index.\n\nOver all pixels."
    properties = spec.parameters["properties"]
    assert list(properties) == ["name", "threshold", "at"]
    assert properties["name"] == {"type": "string", "default": "NDVI", "description": properties["name"]["description"]}
    assert properties["name"]["description"] == "Short name of the index, such as NDVI."
    assert properties["threshold"]["description"] == "From where on a pixel counts."


def test_scenes_are_chosen_by_letter_where_there_are_several() -> None:
    assert "scene" not in Tool(Index()).spec(["A"]).parameters["properties"]
    assert Tool(Index()).spec(["A", "C"]).parameters["properties"]["scene"]["enum"] == ["A", "C"]
    assert Tool(Compare()).spec(["A", "C"]).parameters["properties"]["scenes"]["items"]["enum"] == ["A", "C"]


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        (Index(), {"nmae": "NDVI"}, "tool 'index' has no argument 'nmae'.|Did you mean 'name'?"),
        (Index(), {"threshold": "much"}, "threshold = 'much' does not fit"),
        (Index(), {"at": [1, "x"]}, "at.1 = 'x' does not fit"),
        (Compare(), {"kind": "c"}, "kind = 'c' does not fit"),
        (Fetch(), {}, "tool 'fetch' needs the argument 'place'."),
    ],
)
def test_arguments_that_do_not_fit_are_named(tool: Any, given: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        Tool(tool).validated(given)
    message, _, hint = said.partition("|")
    assert message in error.value.message and hint in (error.value.hint or "")


def test_arguments_as_people_type_them() -> None:
    assert Tool(Index()).from_text(["name=NDWI", "threshold=0.5", "at=1,2.5"]) == {
        "name": "NDWI",
        "threshold": 0.5,
        "at": [1.0, 2.5],
    }
    assert Tool(Index()).from_text(["at=[3, 4]"]) == {"at": [3.0, 4.0]}
    with pytest.raises(UsageError, match="'threshold' is not an argument"):
        Tool(Index()).from_text(["threshold"])


# -- run by rule, run by hand ---------------------------------------------------------------------


def test_by_rule_a_tool_gets_what_the_question_implies(store: KnowledgeBase, tmp_path: Path) -> None:
    box = Toolbox([Index(), Compare()], store, tmp_path / "pictures")
    runs = box.by_rule(Query("the water index?", (scene("a"), scene("bb"))), lambda *_: None)
    assert [(r.tool.name, r.letters, r.arguments) for r in runs] == [
        ("index", ("A",), {"name": "NDWI"}),
        ("index", ("B",), {"name": "NDWI"}),
    ]
    both = box.by_rule(Query("compare the index", (scene("a"), scene("bb")), letters=("B", "D")), lambda *_: None)
    assert [(r.tool.name, r.letters) for r in both] == [("both", ("B", "D")), ("index", ("B",)), ("index", ("D",))]


def test_a_tool_that_looks_at_all_scenes_stands_for_itself(store: KnowledgeBase) -> None:
    class Beside(Index):
        name = "beside"

        def applies(self, query: Query) -> float:
            return 0.5

    box = Toolbox([Beside(), Compare()], store, store.path)
    runs = box.by_rule(Query("compare", (scene("a"), scene("bb"))), lambda *_: None)
    assert [r.tool.name for r in runs] == ["both"]


def test_a_tool_runs_by_hand_and_draws(store: KnowledgeBase, tmp_path: Path) -> None:
    assistant = make(store, "x")
    result, evidence = assistant.run_tool("both", ["kind=b"], [scene("a"), scene("bb")], pictures=tmp_path / "new")
    assert result.text == "2 scenes compared as b." and Path(result.images[0]) == tmp_path / "new" / "both.png"
    assert evidence.kind == "tool" and evidence.images == result.images
    with pytest.raises(UsageError, match=r"there is no tool 'bth'"):
        assistant.run_tool("bth")
    with pytest.raises(UsageError, match="needs an image"):
        assistant.run_tool("index")


def test_what_asks_runs_only_when_someone_agrees(store: KnowledgeBase) -> None:
    with pytest.raises(UsageError, match="reaches the network, and nobody agreed"):
        make(store, "x").run_tool("fetch", {"place": "Lima"})
    asked: list[Any] = []
    agreed = make(store, "x", confirm=lambda spec, arguments: asked.append((spec.name, dict(arguments))) or True)
    assert agreed.run_tool("fetch", {"place": "Lima"})[0].text == "Lima was fetched."
    assert asked == [("fetch", {"place": "Lima"})]
    answer = Assistant(store, ScriptedModel("Nothing.")).ask("anything?")
    assert not [e for e in answer.evidence if e.title == "fetch"], "never by rule"


# -- called by a model ----------------------------------------------------------------------------


def test_a_model_calls_tools_and_cites_what_they_found(store: KnowledgeBase) -> None:
    call = ToolCall("index", {"name": "NDWI", "scene": "B"}, "c1")
    model_says = [
        [Text("Let me look."), call, Usage(10, 5)],
        lambda prompt: f"It is half water [{prompt.steps[0].evidence[0]}].",
    ]
    assistant = make(store, model_says)
    events = list(assistant.stream("how wet is it?", [scene("a"), scene("bb")]))
    answer = events[-1].answer
    assert answer.text.startswith("Let me look.\n\nIt is half water [")
    (cited,) = answer.citations
    assert cited.title == "index" and cited.provenance.record == "bb" and cited.values["share"].value == 50
    started = next(e for e in events if isinstance(e, ToolStarted) and e.name == "index")
    assert (started.scene, started.arguments) == ("B", {"name": "NDWI"})
    assert next(e for e in events if isinstance(e, ToolDone) and e.name == "index").number == cited.number
    first, second = assistant.model.prompts
    assert {t.name for t in first.tools} >= {"index", "both", "fetch"} and not first.steps
    assert second.steps[0].call == call and cited in second.evidence
    assert answer.usage == Usage(10, 5)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall("indx", {}), "there is no tool 'indx'. Did you mean 'index'?"),
        (ToolCall("index", {"scene": "Z"}), "there is no image [Z]. There are: A."),
        (ToolCall("index", {"threshold": "high"}), "threshold = 'high' does not fit"),
        (ToolCall("index", {"threshold": 3}), "ValueError: nothing is above 1"),
        (ToolCall("fetch", {"place": "x"}), "nobody agreed"),
    ],
)
def test_a_wrong_call_is_told_to_the_model(store: KnowledgeBase, call: ToolCall, told: str) -> None:
    assistant = make(store, [[call], "I cannot tell."])
    answer = assistant.ask("how wet?", scene())
    assert answer.text == "I cannot tell."
    assert told in assistant.model.prompts[1].steps[0].error


def test_a_model_that_never_stops_calling_is_stopped(store: KnowledgeBase) -> None:
    calls = [[Text("Again. "), ToolCall("index", {"threshold": n / 100})] for n in range(20)]
    assistant = make(store, calls, tool_calls=3)
    answer = assistant.ask("how wet?", scene())
    assert len(assistant.model.prompts) == 4 and not assistant.model.prompts[-1].tools
    assert any("asked for tools again after 3 calls" in w for w in answer.warnings)
    assert len([e for e in answer.evidence if e.title == "index"]) == 3


def test_the_same_call_is_not_made_twice(store: KnowledgeBase) -> None:
    call = ToolCall("index", {"threshold": 0.5})
    assistant = make(store, [[call], [call], "Done."])
    events = list(assistant.stream("how wet?", scene()))
    assert sum(isinstance(e, ToolStarted) and e.name == "index" for e in events) == 1
    assert assistant.model.prompts[2].steps[1].error == "You have this result already."


def test_letters_of_a_conversation_reach_the_model_and_the_check(store: KnowledgeBase) -> None:
    assistant = make(store, "It is green [C].")
    query = assistant.query("what is it?", [scene()]).with_(letters=("C",))
    answer = list(assistant.run(query))[-1].answer
    assert answer.invalid_markers == () and assistant.model.prompts[0].lettered[0][0] == "C"
    assert assistant.model.prompts[0].votes[0].scene == "C"
