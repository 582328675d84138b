"""The contracts of `rsrag.testing`: the built-ins keep them, and every one of their tests can fail."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rsrag.testing
from rsrag import (
    ArrayReader,
    Capabilities,
    Hit,
    KnowledgeBase,
    Plugins,
    Prompt,
    Quantity,
    Query,
    Record,
    RsragError,
    Sample,
    Scene,
    Text,
    ToolResult,
)
from rsrag.plugins import BUILTINS, HOOKS
from rsrag.testing import FakeEncoder, ScriptedModel, assert_light_import, contracts, make_geotiff, make_image
from rsrag.testing.contracts import (
    BenchmarkContract,
    CaptionerContract,
    EncoderContract,
    ModelContract,
    RerankerContract,
    RetrieverContract,
    SourceContract,
    TextEncoderContract,
    ToolContract,
)

if not any(point.value == "rsrag.testing.pytest_plugin" for point in entry_points(group="pytest11")):
    pytest_plugins = ["rsrag.testing.pytest_plugin"]

BUILT_INS = Plugins(external=False)


# -- the built-ins ----------------------------------------------------------------------------------


class TestFolder(SourceContract):
    module = "rsrag.builtin.sources"

    @pytest.fixture
    def component(self, tmp_path: Path) -> Any:
        make_image(tmp_path / "folder" / "a.png", color=(40, 150, 40))
        make_image(tmp_path / "folder" / "sub" / "b.jpg")
        (tmp_path / "folder" / "a.txt").write_text("A meadow.")
        (tmp_path / "folder" / "about.md").write_text("# About\n\nTwo pictures of land.")
        return BUILT_INS.create("source", "folder", path=str(tmp_path / "folder"))

    @pytest.fixture
    def damaged(self, component: Any, tmp_path: Path) -> Any:
        (tmp_path / "folder" / "broken.tif").write_bytes(b"II*\0 and no more")
        return component


class TestPack(SourceContract):
    module = "rsrag.builtin.sources"

    @pytest.fixture
    def component(self, tmp_path: Path) -> Any:
        folder = tmp_path / "pack"
        make_image(folder / "images" / "quay.png")
        (folder / "pack.toml").write_text('name = "small"\ntitle = "Small"\nlicense = "CC0-1.0"\n')
        (folder / "records.jsonl").write_text(
            '{"id": "quay", "subject": "class/quay", "title": "Quay", "text": "Ships lie at it.", '
            '"images": ["images/quay.png"], "facts": [{"attribute": "depth", "value": 15, "unit": "m"}]}\n'
            '{"id": "mole", "subject": "class/mole", "title": "Mole", "text": "It breaks the waves."}\n'
        )
        return BUILT_INS.create("source", "pack", path=str(folder))

    @pytest.fixture
    def damaged(self, component: Any, tmp_path: Path) -> Any:
        with (tmp_path / "pack" / "records.jsonl").open("a") as stream:
            stream.write('{"id": "half\n')
        return component


class TestLangChainLoader(SourceContract):
    module = "rsrag.builtin.sources"

    @pytest.fixture
    def component(self) -> Any:
        return BUILT_INS.create("source", "langchain", loader=_loader("Quays are long.", "Moles are wet."))

    @pytest.fixture
    def damaged(self) -> Any:
        return BUILT_INS.create("source", "langchain", loader=_loader("Quays are long.", "  "))


class TestRswk(SourceContract):
    module = "rsrag.builtin.sources"

    @pytest.fixture
    def component(self, tmp_path: Path) -> Any:
        make_image(tmp_path / "images" / "Hill.png")
        record = {
            "ID": "1",
            "image_name": "Hill",
            "world knowledge": {"Name": "Hill", "Category": "Park", "Location": "40°11′27″N 29°02′46″E"},
            "remote sensing expert knowledge": {"EVLAND": "588.25mm", "ALBEDO_2019_1": 0.13},
        }
        (tmp_path / "hill.jsonl").write_text(json.dumps(record) + "\n")
        return BUILT_INS.create("source", "rswk", path=str(tmp_path / "hill.jsonl"))

    @pytest.fixture
    def damaged(self, component: Any, tmp_path: Path) -> Any:
        with (tmp_path / "hill.jsonl").open("a") as stream:
            stream.write('{"ID": "2"\n')
        return component


class TestStac(SourceContract):
    module = "rsrag.builtin.sources"

    @pytest.fixture
    def component(self, tmp_path: Path) -> Any:
        make_image(tmp_path / "a.png")
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [stac_item("a")]}))
        return BUILT_INS.create("source", "stac", path=str(tmp_path / "items.json"))

    @pytest.fixture
    def damaged(self, component: Any, tmp_path: Path) -> Any:
        bad = stac_item("b") | {"properties": {"datetime": "yesterday"}}
        items = {"type": "FeatureCollection", "features": [stac_item("a"), bad]}
        (tmp_path / "items.json").write_text(json.dumps(items))
        return component


def stac_item(id: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": id,
        "geometry": {"type": "Point", "coordinates": [4.5, 51.5]},
        "bbox": [4.5, 51.5, 4.5, 51.5],
        "properties": {"datetime": "2020-07-15T10:30:31Z"},
        "links": [],
        "assets": {"thumbnail": {"href": f"./{id}.png", "type": "image/png", "roles": ["thumbnail"]}},
    }


def _loader(*texts: str) -> Any:
    from langchain_core.document_loaders import BaseLoader
    from langchain_core.documents import Document

    class Loader(BaseLoader):
        def lazy_load(self) -> Iterator[Document]:
            for number, text in enumerate(texts):
                yield Document(text, metadata={"source": f"notes-{number}.txt", "title": f"Note {number}"})

    return Loader()


class TestSample(SourceContract):
    module = "rsrag.testing"

    @pytest.fixture
    def component(self, tmp_path: Path) -> Any:
        return rsrag.testing.SampleSource(tmp_path / "sample")


class TestStarter(EncoderContract):
    """Skipped, and said so, where the weights are not on the machine."""

    module = "rsrag.builtin.encoders"

    @pytest.fixture
    def component(self) -> Any:
        return _starter()

    @pytest.fixture
    def other(self) -> Any:
        return _starter(size=96)


def _starter(**options: Any) -> Any:
    return BUILT_INS.create("encoder", "starter", **options)


TINY_CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 2, "width": 32, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "layers": 2, "width": 32, "heads": 2},
}


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    import torch
    from safetensors.torch import save_file

    from rsrag.torchvision_ops import ensure

    ensure()
    import open_clip

    folder = tmp_path_factory.mktemp("openclip")
    (folder / "tiny.json").write_text(json.dumps(TINY_CLIP))
    torch.manual_seed(0)
    model = open_clip.CLIP(**TINY_CLIP)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "tiny.safetensors")
    return {"model": str(folder / "tiny.json"), "checkpoint": str(folder / "tiny.safetensors")}


@pytest.mark.slow  # importing open_clip takes seconds
class TestOpenClip(EncoderContract):
    """A model of 32 pixels with random weights: the contract asks how it encodes, not how well."""

    module = "rsrag.builtin.encoders"

    @pytest.fixture
    def component(self, tiny_clip: dict[str, str]) -> Any:
        return BUILT_INS.create("encoder", "openclip", device="cpu", **tiny_clip)

    @pytest.fixture
    def other(self, tiny_clip: dict[str, str]) -> Any:
        return BUILT_INS.create("encoder", "openclip", device="cpu", context=40, **tiny_clip)


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("sentence")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "harbour", *letters]
    (folder / "vocab.txt").write_text("\n".join([*words, *(f"##{letter}" for letter in letters)]))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=200, max_position_embeddings=128, **size)).save_pretrained(folder)
    return folder


@pytest.mark.slow
class TestSentence(TextEncoderContract):
    """A BERT of two layers with random weights."""

    module = "rsrag.builtin.encoders"

    @pytest.fixture
    def component(self, tiny_bert: Path) -> Any:
        return BUILT_INS.create("encoder", "sentence", model=str(tiny_bert), device="cpu")

    @pytest.fixture
    def other(self, tiny_bert: Path) -> Any:
        return BUILT_INS.create("encoder", "sentence", model=str(tiny_bert), device="cpu", pooling="cls")


class TestFake(EncoderContract):
    module = "rsrag.testing.encoders"

    @pytest.fixture
    def component(self) -> Any:
        return FakeEncoder(48)

    @pytest.fixture
    def other(self) -> Any:
        return FakeEncoder(48, version="2")


class TestLanes(RetrieverContract):
    module = "rsrag.builtin.retrievers"

    @pytest.fixture(params=list(BUILT_INS.offers("retriever")))
    def component(self, request: pytest.FixtureRequest) -> Any:
        return BUILT_INS.create("retriever", request.param)

    @pytest.fixture
    def query(self, component: Any, rsrag_scene: Scene) -> Query:
        text = "port of hamburg and its harbour" if component.name == "named" else "harbour with blue water"
        return Query(text, scenes=(rsrag_scene,), near=rsrag_scene.bbox)


class TestDiverse(RerankerContract):
    module = "rsrag.builtin.rerankers"

    @pytest.fixture
    def component(self) -> Any:
        return BUILT_INS.create("reranker", "diverse", per_subject=1)


class TestExtractive(ModelContract):
    module = "rsrag.builtin.models"

    @pytest.fixture
    def component(self) -> Any:
        return BUILT_INS.create("model", "extractive")


class TestLangChainModel(ModelContract):
    module = "rsrag.builtin.models"

    @pytest.fixture
    def component(self) -> Any:
        from langchain_core.language_models import FakeListChatModel

        return BUILT_INS.create("model", "langchain", model=FakeListChatModel(responses=["I do not know."]))


class TestTransformersModel(ModelContract):
    module = "rsrag.builtin.models"

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        import tiny_vlms

        from rsrag.torchvision_ops import ensure

        ensure()
        return tiny_vlms.qwen(tmp_path_factory.mktemp("qwen"))

    @pytest.fixture
    def component(self, folder: Path) -> Any:
        return BUILT_INS.create("model", "transformers", model=str(folder), device="cpu", max_new_tokens=16)


class TestScripted(ModelContract):
    module = "rsrag.testing.models"

    @pytest.fixture
    def component(self) -> Any:
        return ScriptedModel(lambda prompt: " ".join(f"It is so [{e.number}]." for e in prompt.evidence) or "Unknown.")


class TestTools(ToolContract):
    module = "rsrag.builtin.tools"

    @pytest.fixture(params=list(BUILT_INS.offers("tool")))
    def component(self, request: pytest.FixtureRequest) -> Any:
        return BUILT_INS.create("tool", request.param)

    @pytest.fixture
    def scene(self, component: Any, scenes: Sequence[Scene]) -> Scene:
        return scenes[0]

    @pytest.fixture
    def scenes(self, component: Any, tmp_path: Path) -> Sequence[Scene]:
        """Two dates of a place, in bands that most tools can use; in radar for the one that wants it."""
        names = ["VV", "VH"] if component.name == "sar_stats" else ["blue", "green", "red", "nir", "swir1", "swir2"]
        files = [
            make_geotiff(
                tmp_path / f"{year}-06-01.tif", bands=len(names), dtype="float32", descriptions=names, seed=year
            )
            for year in (2019, 2020)
        ]
        return [rsrag.open_scene(file, BUILT_INS) for file in files]

    @pytest.fixture
    def arguments(self, component: Any) -> dict[str, Any]:
        return {"name": "Zurich"} if component.name in ("geocode", "nearby") else {}


class Colours:
    """Says which of the fake encoder's colours a scene shows most of."""

    name = "colours"

    def caption(self, scenes: Sequence[Scene]) -> list[str]:
        encoder = FakeEncoder()
        names = ["red", "green", "blue", "grey", "black", "white"]
        cosines = encoder.encode_scenes(scenes) @ encoder.encode_texts(names).T
        return [f"A mostly {names[n]} scene." for n in cosines.argmax(1)]


class TestCaptioner(CaptionerContract):
    @pytest.fixture
    def component(self) -> Any:
        return Colours()


class TestStarterCaptioner(CaptionerContract):
    module = "rsrag.builtin.captioners"

    @pytest.fixture
    def component(self, scenes: list[Scene]) -> Any:
        return BUILT_INS.create("captioner", "starter", samples=3)

    @pytest.fixture
    def scenes(self) -> list[Scene]:
        """Scenes that it was made for: aerial photographs."""
        folder = Path(__file__).parent.parent / "knowledge" / "scenes" / "images"
        return [rsrag.open_scene(file) for file in sorted(folder.glob("*00.webp"))[:4]]


class TestBenchmark(BenchmarkContract):
    @pytest.fixture
    def component(self) -> Any:
        return benchmark(lambda s: [asked("1"), asked("2")])


# -- broken things, and the test that finds each -----------------------------------------------------


counter = iter(range(1_000_000))


def source(records: Any, **attributes: Any) -> Any:
    """A source whose records() calls `records` with itself."""
    return type("Broken", (), {"name": "broken", "records": lambda self: iter(records(self)), **attributes})()


def benchmark(samples: Any, **attributes: Any) -> Any:
    """A benchmark whose samples() calls `samples` with itself."""
    found = {"samples": lambda self, split="": iter(samples(self))}
    return type("Broken", (), {"name": "broken", **found, **attributes})()


def asked(id: str = "a", question: str = "how long?", **more: Any) -> Sample:
    return Sample(id, **{"task": "vqa", "question": question, "references": ("3 km",), **more})


def captioner(caption: Any) -> Any:
    return type("Broken", (), {"name": "broken", "caption": lambda self, scenes: caption(list(scenes))})()


def reranker(rerank: Any) -> Any:
    return type("Broken", (), {"name": "broken", "rerank": lambda self, query, hits: rerank(query, hits)})()


def model(generate: Any, **attributes: Any) -> Any:
    base = {"name": "broken", "capabilities": Capabilities(), "generate": lambda self, prompt: generate(prompt)}
    return type("Broken", (), base | attributes)()


def lane(change: Any, **attributes: Any) -> Any:
    """A lane over the words of a question, spoilt by `change(query, kb, k, hits)`."""

    def retrieve(self: Any, query: Query, kb: Any, k: int) -> Any:
        return change(query, kb, k, kb.search_text(query, k, "broken"))

    return type(
        "Broken", (), {"name": "broken", "needs": ("text",), "votes": False, "retrieve": retrieve} | attributes
    )()


def tool(call: Any, applies: Any = lambda self, query: 0.5) -> Any:
    return type("Broken", (), {"name": "broken", "applies": applies, "__call__": call})()


def found(**changes: Any) -> Any:
    """A tool that finds something, changed."""

    def call(self: Any, scene: Scene) -> ToolResult:
        """Find."""
        return ToolResult(**({"text": "It is green."} | changes))

    return tool(call)


def encoder(**methods: Any) -> Any:
    return type("Broken", (FakeEncoder,), methods)()


def note(id: str = "a", **changes: Any) -> Record:
    return Record(**({"id": id, "subject": f"note/{id}", "title": "A note", "text": "It says so."} | changes))


class Another(FakeEncoder):
    """Takes each new instance for another encoder."""

    def __init__(self) -> None:
        super().__init__(version=str(next(counter)))


class Forgetful(FakeEncoder):
    """Its rows depend on what was asked before, and on the thread."""

    calls = 0

    def encode_texts(self, texts: Sequence[str], role: Any = "passage") -> Any:
        self.calls += 1
        return np.roll(super().encode_texts(texts, role), self.calls, axis=1)

    def encode_scenes(self, scenes: Sequence[Scene]) -> Any:
        self.calls += 1
        return np.roll(super().encode_scenes(scenes), self.calls, axis=1)


class Racing(FakeEncoder):
    """Right in the thread that made it."""

    def __init__(self) -> None:
        super().__init__()
        self._home = threading.get_ident()

    def _rows(self, bags: Sequence[Sequence[str]]) -> Any:
        rows = super()._rows(bags)
        return rows if threading.get_ident() == self._home else -rows


def spoil(scenes: Sequence[Scene]) -> list[str]:
    for scene in scenes:
        scene.rgb(512)[:] = 0
    return ["dark"] * len(scenes)


def stubborn(prompt: Prompt) -> Iterator[Text]:
    while True:
        try:
            yield Text("on ")
        except GeneratorExit:
            yield Text("and on")


def centred(rows: Any) -> Any:
    """Depends on the whole batch; unit rows."""
    moved = rows + 0.1 * rows.mean(0)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def constant(count: int) -> Any:
    return np.tile(np.eye(1, 64, dtype=np.float32), (count, 1))


def badly(scene: Scene) -> ToolResult:
    return ToolResult(f"Mean {scene.read((4,)).mean():.1f}")


def texts_of(change: Any) -> dict[str, Any]:
    def encode_texts(self: Any, texts: Sequence[str], role: Any = "passage") -> Any:
        return change(FakeEncoder.encode_texts(self, texts, role))

    return {"encode_texts": encode_texts}


def scenes_of(change: Any) -> dict[str, Any]:
    def encode_scenes(self: Any, scenes: Sequence[Scene]) -> Any:
        return change(FakeEncoder.encode_scenes(self, scenes))

    return {"encode_scenes": encode_scenes}


def documented(self: Any, scene: Scene, window: int = 3) -> ToolResult:
    """Find."""
    return ToolResult("Found.")


def annotated(self: Any, scene: Scene, window=3) -> ToolResult:  # type: ignore[no-untyped-def]
    """Find in a window."""
    return ToolResult("Found.")


def told(self: Any, scene: Scene) -> ToolResult:
    return ToolResult("Found.")


def renamed(hits: list[Hit], score: Any) -> list[Hit]:
    return [Hit(h.chunk, h.score, {"broken": (rank, score(h, rank))}) for rank, h in enumerate(hits, 1)]


def remembering() -> Any:
    """A model that is done for after one cancelled answer."""
    state = SimpleNamespace(over=False)

    def generate(prompt: Prompt) -> Iterator[Text]:
        try:
            yield Text("" if state.over else "yes ")
            yield Text("" if state.over else "indeed")
        except GeneratorExit:
            state.over = True
            raise

    return model(generate)


def slow(prompt: Prompt) -> Iterator[Text]:
    try:
        yield Text("a")
    finally:
        time.sleep(0.5)


def last(prompt: Prompt) -> Iterator[Text]:
    yield Text(f"See [{len(prompt.evidence)}]." if prompt.evidence else "Unknown.")


def first_of_evidence(prompt: Prompt) -> Iterator[Text]:
    yield Text(prompt.evidence[0].text)


ONCE = [note("a"), note("b")]

# By contract: (its test, what is wrong, what makes the broken thing, words of the message that finds it).
Row = tuple[str, str, Any, str]
Case = tuple[type[Any], str, str, Any, str]
# fmt: off
BROKEN: dict[type[Any], list[Row]] = {
    SourceContract: [
        ("it_has_a_name", "no name",
         lambda: type("A", (), {"records": lambda self: iter(ONCE)})(), "give the class a `name`"),
        ("it_has_a_name", "colon", lambda: source(lambda s: ONCE, name="a:b"), "no colon"),
        ("it_has_the_methods_of_its_kind", "other kind", Colours, "lacks records"),
        ("its_options_are_named", "*args",
         lambda: type("A", (), {"name": "a", "__init__": lambda self, *paths: None})(), "every option needs a name"),
        ("it_yields_records", "dicts", lambda: source(lambda s: [{"id": "a"}]), "yield rsrag.Record"),
        ("every_record_is_complete", "no title", lambda: source(lambda s: [note(title=" ")]), "has no title"),
        ("every_record_is_complete", "empty", lambda: source(lambda s: [note(text="")]), "neither text nor image"),
        ("every_value_can_be_stored", "facet", lambda: source(lambda s: [note(facets={"a": {"b": 1}})]), "facet 'a'"),
        ("every_value_can_be_stored", "naive time",
         lambda: source(lambda s: [note(acquired=_naive())]), "no time zone"),
        ("every_value_can_be_stored", "surrogate", lambda: source(lambda s: [note(text="\ud800")]), "half a character"),
        ("every_value_can_be_stored", "box", lambda: source(lambda s: [note(bbox=(1, 2, 3, 4))]), "give rsrag.BBox"),
        ("ids_are_unique", "twice", lambda: source(lambda s: [note(), note()]), "more than once"),
        ("two_passes_are_the_same", "used up",
         lambda: source(lambda s: [note()] if not vars(s).setdefault("u", []) and not s.u.append(1) else []),
         "second records"),
        ("two_passes_are_the_same", "counter",
         lambda: source(lambda s: [note(str(next(counter)))]), "ids differ between two passes"),
        ("two_passes_are_the_same", "clock",
         lambda: source(lambda s: [note(text=str(next(counter)))]), "differs between two passes"),
        ("another_instance_gives_the_same_ids", "address",
         lambda: source(lambda s: [note(str(id(s)))]), "another instance"),
        ("images_can_be_opened_or_are_reported", "missing",
         lambda: source(lambda s: [note(images=("no.png",))]), "cannot be opened"),
        ("images_can_be_opened_or_are_reported", "absolute",
         lambda: source(lambda s: [note(images=("/no.png",))], root="here"), "relative to `root`"),
        ("its_role_is_known", "role", lambda: source(lambda s: ONCE, role="ours"), 'it is "reference" or "mine"'),
        ("its_problems_are_pairs", "texts", lambda: source(lambda s: ONCE, problems=["bad"]), "pairs of texts"),
        ("its_length_is_about_right", "length",
         lambda: source(lambda s: ONCE, __len__=lambda self: 9), "count what may become"),
        ("adding_it_twice_changes_nothing", "version",
         lambda: source(lambda s: [note(version=str(next(counter)))]), "keep `id` and `version`"),
        ("a_bad_item_costs_itself_only", "raises", lambda: source(lambda s: 1 / 0), "catch it for the one item"),
        ("a_bad_item_costs_itself_only", "loses all", lambda: source(lambda s: []), "cost the good ones"),
        ("a_bad_item_costs_itself_only", "silent", lambda: source(lambda s: ONCE), "left out in silence"),
    ],
    EncoderContract: [
        ("it_has_the_methods_of_its_kind", "text only",
         lambda: SimpleNamespace(name="x", dim=3), "lacks .*encode_scenes"),
        ("scenes_become_unit_rows_in_the_space_of_texts", "dimension",
         lambda: encoder(**scenes_of(lambda r: r[:, :3])), "has shape"),
        ("no_scenes_no_rows", "one row",
         lambda: encoder(**scenes_of(lambda r: r if len(r) else constant(1))), "has shape"),
        ("scenes_keep_their_order_and_do_not_touch_each_other", "batch mean",
         lambda: encoder(**scenes_of(centred)), "encoded alone"),
        ("the_same_scenes_give_the_same_rows", "state", Forgetful, "two calls"),
        ("different_scenes_give_different_rows", "constant",
         lambda: encoder(**scenes_of(lambda r: constant(len(r)))), "same vector"),
        ("it_leaves_the_scenes_alone", "writes",
         lambda: encoder(encode_scenes=lambda self, scenes: constant(len(spoil(scenes)))), "pixels changed"),
        ("threads_get_the_same_rows_of_scenes", "race", Racing, "guard shared state"),
        ("it_says_what_it_was_trained_for", "prompts", lambda: encoder(prompts=("a photo",)), "one {}"),
        ("it_says_what_it_was_trained_for", "gsd", lambda: encoder(max_gsd_m=-1), "metres per pixel"),
    ],
    BenchmarkContract: [
        ("its_module_is_light", "imports LangChain", "rsrag.langchain", r"langchain.py:\d+ `from langchain_core"),
        ("it_yields_samples", "nothing", lambda: benchmark(lambda s: []), "yields nothing"),
        ("it_yields_samples", "dicts", lambda: benchmark(lambda s: [{"id": "a"}]), "yield rsrag.Sample"),
        ("every_sample_has_an_id_of_its_own", "twice", lambda: benchmark(lambda s: [asked(), asked()]), "given twice"),
        ("every_sample_can_be_scored", "no answer",
         lambda: benchmark(lambda s: [asked(references=())]), "right answer"),
        ("every_sample_can_be_scored", "no task", lambda: benchmark(lambda s: [asked(task="guess")]), "no task 'gues"),
        ("every_sample_asks_something", "silent", lambda: benchmark(lambda s: [asked(question=" ")]), "neither"),
        ("it_yields_the_same_again", "counter",
         lambda: benchmark(lambda s: [asked(str(next(counter)))]), "the second time"),
        ("its_images_are_there", "lost", lambda: benchmark(lambda s: [asked(images=("no.png",))]), "does not exist"),
        ("its_knowledge_does_not_hold_the_questions", "the same record",
         lambda: benchmark(lambda s: [asked("a")], sources=lambda self, split: [source(lambda s: [note("a")])]),
         "which is asked about"),
    ],
    CaptionerContract: [
        ("one_text_per_scene", "too few", lambda: captioner(lambda s: ["x"] * (len(s) - 1)), "9 scenes got 8"),
        ("one_text_per_scene", "None", lambda: captioner(lambda s: [None] * len(s)), "a caption is None"),
        ("it_says_something", "mute", lambda: captioner(lambda s: [""] * len(s)), "no scene got a caption"),
        ("no_scenes_no_captions", "one too many", lambda: captioner(lambda s: ["x"] * max(1, len(s))), "must return"),
        ("any_number_of_scenes_in_order", "sorted",
         lambda: captioner(lambda s: sorted(f"{x.width} {x.uri}" for x in s)), "keep the order"),
        ("captions_are_plain_text", "control",
         lambda: captioner(lambda s: ["a\x1b[31m"] * len(s)), "control characters"),
        ("captions_are_plain_text", "space", lambda: captioner(lambda s: ["a "] * len(s)), "strip it"),
        ("it_leaves_the_scenes_alone", "writes", lambda: captioner(spoil), "pixels changed"),
    ],
    TextEncoderContract: [
        ("texts_become_unit_rows", "NaN",
         lambda: encoder(**texts_of(lambda r: r * np.float32("nan"))), "NaN or infinity"),
        ("texts_become_unit_rows", "float64",
         lambda: encoder(**texts_of(lambda r: r.astype(np.float64))), "return float32"),
        ("texts_become_unit_rows", "length", lambda: encoder(**texts_of(lambda r: 2 * r)), "divide each by its length"),
        ("texts_become_unit_rows", "dimension", lambda: encoder(**texts_of(lambda r: r[:, :3])), r"has shape \(8, 3\)"),
        ("texts_become_unit_rows", "list", lambda: encoder(**texts_of(lambda r: r.tolist())), "return a numpy array"),
        ("no_texts_no_rows", "one row",
         lambda: encoder(**texts_of(lambda r: r if len(r) else constant(1))), "has shape"),
        ("texts_keep_their_order_and_do_not_touch_each_other", "batch mean",
         lambda: encoder(**texts_of(centred)), "when it is encoded alone"),
        ("texts_keep_their_order_and_do_not_touch_each_other", "reversed",
         lambda: encoder(**texts_of(lambda r: r[::-1])), "keep the order"),
        ("the_same_texts_give_the_same_rows", "state", Forgetful, "two calls"),
        ("different_texts_give_different_rows", "constant",
         lambda: encoder(**texts_of(lambda r: constant(len(r)))), "nothing can be found"),
        ("the_id_names_what_makes_the_vectors", "counter", Another, "equal options"),
        ("other_options_have_another_id", "same id", lambda: encoder(id="one"), "also has the id"),
        ("counts_grow_with_the_text", "constant",
         lambda: encoder(count_tokens=lambda self, text: 3), "never has fewer"),
        ("counts_grow_with_the_text", "float",
         lambda: encoder(count_tokens=lambda self, text: len(text) / 4), "whole numbers"),
        ("a_passage_that_fits_is_taken_and_a_longer_one_refused", "cuts",
         lambda: encoder(encode_texts=lambda self, texts, role="query": FakeEncoder.encode_texts(self, texts, "query")),
         "instead of cutting"),
        ("threads_get_the_same_rows", "race", Racing, "guard shared state"),
    ],
    RerankerContract: [
        ("it_returns_hits", "drops all", lambda: reranker(lambda q, h: []), "dropped every hit"),
        ("it_returns_hits", "tuple", lambda: reranker(lambda q, h: tuple(h)), "return a list"),
        ("it_adds_none", "new", lambda: reranker(lambda q, h: [_stranger(x) for x in h]), "only reorder and drop"),
        ("it_repeats_none", "twice", lambda: reranker(lambda q, h: [*h, *h[:1]]), "more than once"),
        ("it_takes_few_hits", "none", lambda: reranker(lambda q, h: h or [None]), "must return"),
        ("it_takes_any_query", "no scene",
         lambda: reranker(lambda q, h: [q.scenes[0] and x for x in h]), "return the hits as they are"),
        ("it_leaves_its_input_alone", "in place", lambda: reranker(lambda q, h: h.reverse() or list(h)), "sort a copy"),
        ("it_decides_the_same_again", "random", lambda: reranker(lambda q, h: h[next(counter) % 2 :]), "two orders"),
    ],
    RetrieverContract: [
        ("it_returns_hits", "twice", lambda: lane(lambda q, kb, k, h: h + h[:1]), "more than once"),
        ("it_returns_hits", "chunks", lambda: lane(lambda q, kb, k, h: [x.chunk for x in h]), "return rsrag.Hit"),
        ("it_returns_hits", "nothing", lambda: lane(lambda q, kb, k, h: []), "it found nothing"),
        ("hits_come_best_first_under_the_name_of_the_lane", "other name",
         lambda: lane(lambda q, kb, k, h: [Hit(x.chunk, 1, {"words": (1, 1.0)}) for x in h]), "give each lanes="),
        ("hits_come_best_first_under_the_name_of_the_lane", "backwards",
         lambda: lane(lambda q, kb, k, h: h[::-1]), "count from 1"),
        ("hits_come_best_first_under_the_name_of_the_lane", "scores",
         lambda: lane(lambda q, kb, k, h: renamed(h, score=lambda hit, rank: rank)), "sort best first"),
        ("hits_come_best_first_under_the_name_of_the_lane", "NaN",
         lambda: lane(lambda q, kb, k, h: renamed(h, score=lambda hit, rank: float("nan"))), "NaN or infinite"),
        ("it_returns_at_most_k", "all",
         lambda: lane(lambda q, kb, k, h: kb.search_text(q, 20, "broken")), "return the best k"),
        ("it_leaves_out_what_is_excluded", "ignores",
         lambda: lane(lambda q, kb, k, h: kb.search_text(q.with_(exclude=()), k, "broken")), "leave it out"),
        ("it_honours_filters", "ignores",
         lambda: lane(lambda q, kb, k, h: kb.search_text(Query(q.text), k, "broken")),
         "honour query.where|asks for kind"),
        ("it_says_what_it_needs", "words", lambda: lane(lambda q, kb, k, h: h, needs=("picture",)), "it is a tuple of"),
        ("what_it_needs_suffices", "hidden need",
         lambda: lane(lambda q, kb, k, h: [x for x in h if q.scenes[0]]), "name all that it needs"),
        ("it_is_skipped_without_what_it_needs", "needs change",
         lambda: lane(lambda q, kb, k, h: h, needs=_Moody()), "the lane ended as 'empty'"),
    ],
    ModelContract: [
        ("it_says_what_it_can_take", "dict",
         lambda: model(last, capabilities={"images": True}), "return rsrag.Capabilities"),
        ("it_yields_events", "strings", lambda: model(lambda p: iter(["a"])), "yield rsrag.Text"),
        ("it_yields_events", "list", lambda: model(lambda p: [Text("a")]), "write it as a generator"),
        ("it_answers", "silent", lambda: model(lambda p: iter(())), "the answer is empty"),
        ("it_cites_only_what_was_shown", "position",
         lambda: model(lambda p: iter([Text("So [1], [3, 8].")])), r"it cites \[1, 8\]"),
        ("it_answers_without_evidence", "raises", lambda: model(first_of_evidence), "say that nothing is known"),
        ("it_answers_without_evidence", "cites",
         lambda: model(lambda p: iter([Text("So [3].")])), "where no evidence was shown"),
        ("closing_cancels", "stubborn", lambda: model(stubborn), "went on after close"),
        ("closing_cancels", "no close", lambda: model(lambda p: iter([Text("a")])), "has no close"),
        ("closing_cancels", "slow", lambda: model(slow), "stop the request"),
        ("it_can_be_asked_again", "remembers", remembering, "keep no state"),
    ],
    ToolContract: [
        ("its_schema_can_be_read", "no docstring", lambda: tool(told), "has no docstring"),
        ("its_schema_can_be_read", "no type", lambda: tool(annotated), "'window' has no type"),
        ("its_schema_can_be_read", "unexplained", lambda: tool(documented), "does not explain 'window'"),
        ("applies_lies_between_0_and_1", "two", lambda: tool(told, lambda self, query: 2.0), "return 0..1"),
        ("applies_lies_between_0_and_1", "NaN", lambda: tool(told, lambda self, query: float("nan")), "return 0..1"),
        ("it_says_what_it_found", "mute", lambda: found(text=" "), "`text` is empty"),
        ("values_are_finite_and_have_units", "NaN",
         lambda: found(values={"a": Quantity(float("nan"), "m")}), "could not be measured"),
        ("values_are_finite_and_have_units", "float", lambda: found(values={"a": 1.0}), "give rsrag.Quantity"),
        ("images_can_be_opened", "missing", lambda: found(images=("/no/such.png",)), "write it first"),
        ("the_result_is_json", "numpy", lambda: found(values={"a": Quantity(np.float32(1))}), "not numpy's"),
        ("the_result_is_json", "GeoJSON", lambda: found(geojson={"coordinates": []}), "has no type"),
        ("other_scenes_are_measured_or_refused_politely", "fourth band",
         lambda: tool(lambda self, scene: badly(scene) if scene.crs else scene.crs.lower()), "raise rsrag.SceneError"),
        ("it_leaves_the_scene_alone", "writes",
         lambda: tool(lambda self, scene: spoil([scene]) and ToolResult("Dark.")), "pixels changed"),
        ("the_same_scene_gives_the_same_result", "counter",
         lambda: tool(lambda self, scene: ToolResult(str(next(counter)))), "two runs over one scene differ"),
    ],
}
# fmt: on
CASES = [(contract, *row) for contract, rows in BROKEN.items() for row in rows]


class _Moody(tuple):  # type: ignore[type-arg]
    """A lane's needs that are named but not asked for when it matters."""

    def __new__(cls) -> _Moody:
        return super().__new__(cls, ("text",))

    def __iter__(self) -> Iterator[str]:
        return iter(())


def _naive() -> Any:
    return datetime(2020, 1, 1)


def _stranger(hit: Hit) -> Hit:
    return dataclasses.replace(hit, chunk=dataclasses.replace(hit.chunk, title="Other"))


def _class(number: int, case: Case) -> type[Any]:
    contract, test, _, make, _ = case
    members: dict[str, Any] = {
        "component": pytest.fixture(lambda self: make() if callable(make) else SimpleNamespace())
    }
    if isinstance(make, str):
        members["module"] = make
    if contract is ModelContract:
        members["closes_within"] = 0.3
    if test.startswith("a_bad_item"):
        members["damaged"] = members["component"]
    if test.startswith("other_options"):
        members["other"] = pytest.fixture(lambda self: make())
    if contract is ToolContract and test.startswith("it_leaves"):
        shared = ArrayReader(np.full((9, 9, 3), 50, np.uint8))
        members["scene"] = pytest.fixture(
            lambda self: type("Shared", (rsrag.testing.scenes.SharedReader,), {})(shared._array).scene()
        )
    return type(f"Broken{number}", (contract,), members)


# Not collected by their names; `outcomes` runs each against its one test, all in one process.
globals().update({f"Broken{number}": _class(number, case) for number, case in enumerate(CASES)})


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each broken thing's test said, by class name; "" when it passed."""
    report = tmp_path_factory.mktemp("broken") / "report.xml"
    nodes = [f"{__file__}::Broken{number}::test_{case[1]}" for number, case in enumerate(CASES)]
    options = ["-q", "-p", "no:cacheprovider", "-o", "python_classes=Broken*", f"--junitxml={report}", "--no-header"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *nodes],
        capture_output=True, text=True, cwd=Path(__file__).parent.parent, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    said: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        name = str(case.get("classname")).rpartition(".")[2]
        messages = [str(child.get("message")) for child in case if child.tag in ("failure", "error", "skipped")]
        said[name] = (said.get(name, "") + " ".join(messages)).strip()
    return said


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{r[0].__name__}-{r[1]}-{r[2]}" for r in CASES])
def test_what_is_broken_is_found(number: int, outcomes: dict[str, str]) -> None:
    message = outcomes[f"Broken{number}"]
    assert message, "the contract's test passed"
    assert re.search(CASES[number][4], " ".join(message.split())), message


def test_every_test_of_every_contract_can_fail() -> None:
    broken = {(contract, f"test_{test}") for contract, test, *_ in CASES}
    kinds = [getattr(contracts, name) for name in contracts.__all__]
    untried = [
        f"{owner.__name__}.{test}"
        for owner in kinds
        for test in vars(owner)
        if test.startswith("test_") and not any(issubclass(contract, owner) and t == test for contract, t in broken)
    ]
    assert untried == []


# -- the kit ------------------------------------------------------------------------------------------


def test_every_kind_has_a_contract_and_every_built_in_is_held_to_it() -> None:
    assert {f"{kind.title()}Contract" for kind in HOOKS} <= set(contracts.__all__)
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.rglob("test_*.py")))
    for kind in HOOKS.keys() - {"retriever", "tool"}:  # of these all are tried, whatever their names
        for name in BUILT_INS.offers(kind):
            made = re.search(rf'create\(\s*"{kind}", f?"{re.escape(name)}[":]', text)
            assert made, f"no test holds the {kind} '{name}' to its contract"


@pytest.mark.parametrize("module", sorted(set(BUILTINS.values())))
def test_the_built_ins_are_light(module: str) -> None:
    assert_light_import(module)


def test_a_heavy_import_is_named_with_the_lines_that_lead_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "fat_plugin.py").write_text("import json\nfrom fat_helper import help\n")
    (tmp_path / "fat_helper.py").write_text("try:\n    import torch.nn\nexcept ImportError:\n    pass\nhelp = 1\n")
    with pytest.raises(AssertionError) as caught:
        assert_light_import("fat_plugin")
    assert re.search(
        r"imports torch, .*fat_plugin\.py:2 `from fat_helper import help` -> fat_helper\.py:2 `import torch\.nn`\. M",
        str(caught.value),
    )
    assert_light_import("fat_plugin", forbidden=("chromadb",))
    with pytest.raises(AssertionError, match=r"cannot be imported in a new process: ModuleNotFoundError: .*'thin'"):
        assert_light_import("thin")


def test_a_heavy_import_in_an_offering_hook_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    code = "from rsrag import hookimpl\n@hookimpl\ndef rsrag_models():\n    import transformers\n    return []\n"
    (tmp_path / "late_plugin.py").write_text(code)
    with pytest.raises(AssertionError, match=r"imports transformers.*late_plugin\.py:4 `import transformers`"):
        assert_light_import("late_plugin")


def test_the_kit_loads_without_pytest_and_without_anything_heavy() -> None:
    assert_light_import("rsrag.testing", forbidden=(*rsrag.testing.HEAVY, "numpy", "PIL", "pytest", "hypothesis"))
    assert_light_import("rsrag.testing.pytest_plugin", forbidden=(*rsrag.testing.HEAVY, "numpy", "PIL"))
    code = "import sys; sys.modules['pytest'] = None\nimport rsrag.testing as t\n[getattr(t, n) for n in t.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = rsrag.testing.Nothing  # type: ignore[attr-defined]
    assert set(rsrag.testing.__all__) <= set(dir(rsrag.testing))


def test_the_sample_knowledge_base_answers_by_meaning_look_and_place(
    rsrag_kb: KnowledgeBase, rsrag_scene: Scene
) -> None:
    assert (
        rsrag_kb.search_vectors(Query("green canopy of trees"), "texts", "text", 1)[0].chunk.subject == "class/forest"
    )
    blue = rsrag_scene.window(0, 0, 32, 64)
    assert rsrag_kb.search_vectors(Query(scenes=(blue,)), "images", "scene", 1)[0].chunk.subject == "class/harbour"
    assert [h.chunk.subject for h in rsrag_kb.search_near(Query(scenes=(rsrag_scene,)), 3)] == ["place/port"]
    rsrag_kb.delete("sample")  # a copy: the next test has its own
    assert len(rsrag_kb) == 0


def test_fixtures_make_images_where_they_are_told(
    make_geotiff: Any, make_image: Any, rsrag_encoder: Any, tmp_path: Path
) -> None:
    file = make_geotiff("a/b.tif", bands=2, bounds=(500_000, 5_800_000, 500_640, 5_800_320), size=(64, 32))
    scene = rsrag.open_scene(str(file))
    assert (scene.width, scene.height, len(scene.bands)) == (64, 32, 2) and scene.gsd_m == pytest.approx(10, rel=0.01)
    assert make_image("c.png").parent == tmp_path and file == tmp_path / "a" / "b.tif"
    with pytest.raises(RsragError, match="257 words"):
        rsrag_encoder.encode_texts(["word " * 257])
