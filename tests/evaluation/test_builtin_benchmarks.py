"""The benchmarks that come along: they keep their contract, and RS-RAG's method runs whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsrag import Assistant, Filter, KnowledgeBase, Plugins, Query, UsageError
from rsrag.evaluation.benchmarks import choose, drawn
from rsrag.evaluation.outcome import assess
from rsrag.evaluation.runner import PREDICTIONS, lines_of, opened, run
from rsrag.evaluation.setup import Setup
from rsrag.testing.contracts import BenchmarkContract, RerankerContract
from rsrag.testing.encoders import FakeEncoder
from rsrag.testing.models import ScriptedModel
from rsrag.torchvision_ops import ensure

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import facts as generator

BUILT_INS = Plugins(external=False)
LANDMARKS = 30


def picture(path: Path, number: int) -> Path:
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 48)).save(path)
    return path


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty generated landmarks in RSWK's format, with images and views."""
    folder = tmp_path_factory.mktemp("rswk")
    generator.write(folder, LANDMARKS)
    given = json.loads((folder / "knowledge.json").read_text())
    for record in given:
        record["caption"] = f"An image of {record['world knowledge']['Name']}."
    (folder / "knowledge.json").write_text(json.dumps(given))
    questions = [
        {
            "messages": [
                {
                    "role": "user",
                    "content": f"<image>What serves as a {r['world knowledge']['Category'].lower()} here?",
                },
                {"role": "assistant", "content": r["world knowledge"]["Name"]},
            ],
            "images": [r["image_name"]],
            "task": "vqa",
        }
        for r in given[:4]
    ]
    (folder / "vqa.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    for number in range(20):
        picture(folder / ("farm_land" if number % 2 else "port") / f"{number}.png", number)
    lines = [
        {
            "file": f"port/{n}.png",
            "label": "port",
            "captions": ["a port", "ships"],
            "split": "val" if n < 8 else "train",
        }
        for n in range(0, 20, 2)
    ]
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


class TestLabels(BenchmarkContract):
    module = "rsrag.builtin.benchmarks"

    @pytest.fixture
    def component(self, classes: Path) -> Any:
        return BUILT_INS.create("benchmark", "labels", path=str(classes))


class TestCaptions(BenchmarkContract):
    module = "rsrag.builtin.benchmarks.captions"

    @pytest.fixture
    def component(self, classes: Path) -> Any:
        return BUILT_INS.create("benchmark", "captions", path=str(classes / "captions.jsonl"))


class TestVqa(BenchmarkContract):
    module = "rsrag.builtin.benchmarks.vqa"

    @pytest.fixture
    def component(self, tmp_path: Path) -> Any:
        line = {"id": "1", "question": "How long is the quay?", "reference": "43 km"}
        (tmp_path / "q.jsonl").write_text(json.dumps(line))
        return BUILT_INS.create("benchmark", "vqa", path=str(tmp_path / "q.jsonl"))


class TestFacts(BenchmarkContract):
    module = "rsrag.builtin.benchmarks.facts"

    @pytest.fixture
    def component(self, landmarks: Path) -> Any:
        return BUILT_INS.create(
            "benchmark", "facts", path=str(landmarks / "knowledge.json"), views=str(landmarks / "views"), count=5
        )


class TestRswk(BenchmarkContract):
    module = "rsrag.builtin.benchmarks.rswk"

    @pytest.fixture
    def component(self, landmarks: Path) -> Any:
        return BUILT_INS.create("benchmark", "rswk", path=str(landmarks / "knowledge.json"))

    def test_its_knowledge_does_not_hold_the_questions(self, *_: Any) -> None:
        """RS-RAG's does: the guard keeps the landmark itself away from its own question."""


def test_a_split_is_the_same_whatever_lies_beside_it(classes: Path) -> None:
    benchmark = BUILT_INS.create("benchmark", "labels", path=str(classes))
    asked = {s.id for s in benchmark.samples()}
    (source,) = benchmark.sources()
    known = {record.id for record in source.records()}
    assert asked and known and not asked & known and len(asked | known) == 20
    assert {r.subject for r in source.records()} == {"class/port", "class/farm land"}


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("labels", "missing", "does not exist"),
        ("captions", '{"label": "port"}', "names no file"),
        ("captions", '{"file": 1, "captions": 2.5e400}', "no number that can be scored"),
        ("facts", '[{"ID": "1", "image_name": "a", "world knowledge": {"Name": "A"}}]', "no landmark with figures"),
        ("rswk", '[{"ID": "1", "image_name": "a", "world knowledge": {"Name": "A"}}]', "gives no Category"),
        ("vqa", "[1]", "no records of a known format"),
    ],
)
def test_bad_data_is_told(name: str, data: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    if data != "missing":
        path.write_text(data)
    with pytest.raises(UsageError) as error:
        drawn(choose(name, BUILT_INS, {"path": str(path)}))
    assert told in error.value.message


# -- RS-RAG whole -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kb(landmarks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with KnowledgeBase(tmp_path_factory.mktemp("kb"), FakeEncoder(dim=256), plugins=BUILT_INS) as store:
        store.add(str(landmarks / "knowledge.json"))
        yield store


def test_the_papers_method_runs_with_facets_by_task(kb: KnowledgeBase, landmarks: Path, tmp_path: Path) -> None:
    chosen = choose(
        "rswk", BUILT_INS, {"path": str(landmarks / "knowledge.json"), "questions": str(landmarks / "vqa.jsonl")}
    )
    model = ScriptedModel("a castle")
    setup = Setup(model="scripted", fusion="weighted", alpha=0.7, k=3, allow_self=True)
    with opened(chosen, Assistant(kb, model), setup, cache=tmp_path / "cache") as bench:
        run(bench, setup, tmp_path / "self")
        shown = [e for prompt in model.prompts for e in prompt.evidence if e.kind == "text"]
        assert len(model.prompts) == 4 and shown
        assert {e.part for e in shown} <= {*_parts("vqa")}
        own = [s.meta["record"] for s in bench.samples]
        assert own == ["10000", "10001", "10002", "10003"]
        for prompt, record in zip(model.prompts, own, strict=True):
            assert record in {e.provenance.record for e in prompt.evidence}
        setup = Setup(model="scripted", fusion="weighted", alpha=0.7, k=3)
        run(bench, setup, tmp_path / "kept")
    for prompt, record in zip(model.prompts[4:], own, strict=True):
        assert record not in {e.provenance.record.partition("#")[0] for e in prompt.evidence}
    # With a landmark its figures, which are a record of their own here.
    assert all(line["excluded"]["same id"] == 2 for line in lines_of(tmp_path / "kept" / PREDICTIONS))


def _parts(task: str) -> tuple[str, ...]:
    from rsrag.builtin.benchmarks.rswk import PARTS

    return PARTS[task]


def test_categories_are_asked_for_without_a_task_file(kb: KnowledgeBase, landmarks: Path, tmp_path: Path) -> None:
    chosen = choose("rswk", BUILT_INS, {"path": str(landmarks / "knowledge.json")})
    with opened(chosen, Assistant(kb), Setup(limit=6), cache=tmp_path / "cache") as bench:
        assert all(s.task == "classify" and len(s.labels) == 16 for s in bench.samples)
        run(bench, Setup(limit=6), tmp_path / "out")
    assert assess(tmp_path / "out", resamples=100).results[0].n == 6


def test_parts_of_texts_are_searched_alone_and_facts_are_found_all_the_same(kb: KnowledgeBase) -> None:
    query = Query("NDVI in May", where=Filter(parts=("caption",)), k=20)
    found = Assistant(kb).search_all(query).hits
    assert found and {h.chunk.part for h in found if h.chunk.kind == "text"} == {"caption"}
    assert kb.facts_of(["rswk/10000"], query.where)


# -- figures ----------------------------------------------------------------------------------------


def test_figures_by_name_are_right_and_others_are_not_invented(
    kb: KnowledgeBase, landmarks: Path, tmp_path: Path
) -> None:
    chosen = choose("facts", BUILT_INS, {"path": str(landmarks / "knowledge.json"), "count": 12})
    with opened(chosen, Assistant(kb, tools=False), Setup(), cache=tmp_path / "cache") as bench:
        run(bench, Setup(), tmp_path / "out")
    lines = list(lines_of(tmp_path / "out" / PREDICTIONS))
    assert len(lines) == 12 * 5
    wrong = [l["question"] for l in lines if l.get("answerable", True) and not generator.right(l)]  # noqa: E741
    invented = [l["question"] for l in lines if not l.get("answerable", True) and not l["declined"]]  # noqa: E741
    assert wrong == [] and invented == []


def test_what_counts_as_the_right_figure() -> None:
    def line(prediction: str, reference: str) -> dict[str, Any]:
        return {"prediction": prediction, "references": [reference]}

    assert generator.right(line("It is 82.1 mm (EVLAND).", "82.1 mm"))
    assert generator.right(line("It is 101,325.0 Pa.", "101325 Pa"))
    assert not generator.right(line("It is 82.1.", "82.1 mm"))
    assert not generator.right(line("It is 182.1 mm.", "82.1 mm"))
    assert not generator.right(line("It is 0.4757.", "0.475"))


# -- the cross-encoder ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of one layer with one output, built from a configuration."""
    torch = pytest.importorskip("torch")
    ensure()
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("cross")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "harbour", "blue", "water", "forest", "desert", "town", "."]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, num_labels=1,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


class TestCrossEncoder(RerankerContract):
    module = "rsrag.builtin.rerankers"

    @pytest.fixture
    def component(self, tiny_cross_encoder: Path) -> Any:
        return BUILT_INS.create("reranker", f"cross-encoder:{tiny_cross_encoder}")

    def test_passages_come_in_the_order_of_its_scores(self, component: Any, query: Query, hits: list[Any]) -> None:
        found = component.rerank(query, hits)
        texts = [hit for hit in found if hit.chunk.kind == "text"]
        scores = component._scores(query.text, [f"{h.chunk.title}. {h.chunk.text}" for h in texts])
        assert scores == sorted(scores, reverse=True) and len(set(scores)) > 1
        assert [h.chunk.kind for h in found] == [h.chunk.kind for h in hits]
        assert [h.score for h in found] == [h.score for h in hits]


def test_a_cross_encoder_that_is_none_is_told(tmp_path: Path, rsrag_kb: KnowledgeBase) -> None:
    from rsrag import ModelError

    hits = rsrag_kb.search_vectors(Query("harbour"), "texts", "text", 5)
    for name, told in (("cross-encoder", "needs a model"), (f"cross-encoder:{tmp_path}", "cannot be loaded")):
        with pytest.raises(ModelError, match=told):
            BUILT_INS.create("reranker", name).rerank(Query("harbour"), hits)
