"""The text tower: a tiny random BERT is shrunk and compared with a forward pass written here, head by head."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsrag import ModelError, RsragError, UsageError
from rsrag.training import text_tower
from rsrag.training.text_tower import Report, build_text_tower

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
save_file = pytest.importorskip("safetensors.numpy").save_file

DIM, WIDE, HEADS, LAYERS, POSITIONS = 32, 64, 4, 2, 64
WORDS = "a the river runs past old port and new road near field of runway ship wood stone in is".split()
SPECIAL = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?°µß"
PIECES = list(dict.fromkeys([*SPECIAL, *WORDS, *LETTERS, *(f"##{c}" for c in LETTERS), "一", "ж", "##ж", "ع", "λ"]))


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 20))) for _ in range(count)]


def weights(seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)

    def noise(*shape: int, scale: float = 1.0) -> np.ndarray[Any, Any]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    made = {
        "embeddings.word_embeddings.weight": noise(len(PIECES), DIM),
        "embeddings.position_embeddings.weight": noise(POSITIONS, DIM, scale=0.1),
        "embeddings.token_type_embeddings.weight": noise(2, DIM, scale=0.1),
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(LAYERS):
        at = f"encoder.layer.{i}"
        shapes = {f"attention.self.{n}": (DIM, DIM) for n in ("query", "key", "value")}
        shapes |= {"attention.output.dense": (DIM, DIM), "intermediate.dense": (WIDE, DIM), "output.dense": (DIM, WIDE)}
        for name, shape in shapes.items():
            made[f"{at}.{name}.weight"] = noise(*shape, scale=1.5 / math.sqrt(shape[1]))
            made[f"{at}.{name}.bias"] = noise(shape[0], scale=0.1)
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        made[f"{name}.weight"], made[f"{name}.bias"] = 1 + noise(DIM, scale=0.1), noise(DIM, scale=0.1)
    return made


def config() -> dict[str, Any]:
    return {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": DIM,
        "intermediate_size": WIDE,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "max_position_embeddings": POSITIONS,
        "vocab_size": len(PIECES),
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }


def tokenizer() -> dict[str, Any]:
    number = {piece: i for i, piece in enumerate(PIECES)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [{"id": number[t], "content": t, **plain} for t in SPECIAL if "unused" not in t],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [number[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": number},
    }  # fmt: skip


def save(folder: Path, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config() | changed))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    save_file(weights(), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module", params=[4, 8])
def built(
    request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    target = tmp_path_factory.mktemp(f"tower{request.param}")
    return target, build_text_tower(source, target, bits=request.param, block=16, texts=texts(250))


def reference(text: str) -> np.ndarray[Any, Any]:
    """The sentence's vector by the definition of BERT: one text, one head at a time, float64."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(json.dumps(tokenizer()))
    made.no_padding()
    w = {k: v.astype(np.float64) for k, v in weights().items()}
    ids = made.encode(text).ids
    erf = np.vectorize(math.erf)

    def norm(x: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        return (x - x.mean(1)[:, None]) / x.std(1)[:, None] * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(LAYERS):
        at = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{at}.attention.self.{n}") for n in ("query", "key", "value"))
        heads = []
        for h in range(HEADS):
            part = slice(h * DIM // HEADS, (h + 1) * DIM // HEADS)
            share = np.exp(q[:, part] @ k[:, part].T / math.sqrt(DIM / HEADS))
            heads.append(share / share.sum(1)[:, None] @ v[:, part])
        x = norm(x + dense(np.hstack(heads), f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        up = dense(x, f"{at}.intermediate.dense")
        x = norm(x + dense(up * (1 + erf(up / math.sqrt(2))) / 2, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return x.mean(0) / np.linalg.norm(x.mean(0))


def encode(folder: Path, batch: list[str], width: int = 0) -> np.ndarray[Any, Any]:
    """A padded batch through the written files."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = [made.encode(text).ids for text in batch]
    width = max(width, *map(len, rows))
    ids, mask = np.zeros((2, len(rows), width), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    found = session(folder).run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
    return np.asarray(found[0])


@functools.cache
def session(folder: Path) -> Any:
    return onnxruntime.InferenceSession(str(folder / "text.onnx"), providers=["CPUExecutionProvider"])


# -- what is built ---------------------------------------------------------------------------------


def test_a_small_tower_says_what_the_original_says(built: tuple[Path, Report]) -> None:
    folder, report = built
    new = texts(40, seed=9)
    vectors, right = encode(folder, new), np.stack([reference(text) for text in new])
    assert vectors.dtype == np.float32 and vectors.shape == (40, DIM)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * right).sum(1)
    assert cosines.mean() > {4: 0.95, 8: 0.999}[report.bits]
    assert report.cosine == pytest.approx(cosines.mean(), abs={4: 0.02, 8: 0.001}[report.bits])
    unlike = (vectors * np.roll(right, 1, 0)).sum(1)  # the comparison could have failed
    assert unlike.mean() < 0.9


def test_full_precision_is_the_definition(source: Path) -> None:
    new = texts(10, seed=3)
    found = text_tower.embed(text_tower.read_bert(source), new)
    np.testing.assert_allclose(found, np.stack([reference(text) for text in new]), atol=2e-5)


def test_neither_padding_nor_company_changes_a_vector(built: tuple[Path, Report]) -> None:
    folder, _ = built
    batch = ["river", *texts(6, seed=4)]
    together = encode(folder, batch, width=40)
    alone = np.vstack([encode(folder, [text]) for text in batch])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_report_is_written_and_true(built: tuple[Path, Report], source: Path) -> None:
    import hashlib

    folder, report = built
    assert json.loads((folder / "text.json").read_text()) == {
        name: getattr(report, name) for name in Report.__dataclass_fields__
    }
    assert report.megabytes == pytest.approx((folder / "text.onnx").stat().st_size / 1e6, abs=1e-3)
    assert report.source_sha256 == hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
    assert (report.texts_fitted, report.texts_held_out) == (200, 50)
    assert (report.pieces, report.pieces_dropped) == (len(PIECES) - 6, 6)
    assert report.cosine_q01 <= report.cosine <= 1 and 0 <= report.agreement <= 1


def test_eight_bits_need_only_the_standard_operators(built: tuple[Path, Report]) -> None:
    import onnx

    model = onnx.load(str(built[0] / "text.onnx"))
    onnx.checker.check_model(model)
    assert {node.domain for node in model.graph.node} == ({""} if built[1].bits == 8 else {"", "com.microsoft"})


def test_the_same_texts_give_the_same_file(source: Path, tmp_path: Path) -> None:
    for name in "ab":
        build_text_tower(source, tmp_path / name, block=16, texts=texts(40))
    assert (tmp_path / "a/text.onnx").read_bytes() == (tmp_path / "b/text.onnx").read_bytes()


def test_progress_counts_every_layer_once(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    build_text_tower(source, tmp_path, block=16, texts=texts(40), progress=lambda done, of: seen.append((done, of)))
    assert seen == [(n, 4 * LAYERS) for n in range(1, 4 * LAYERS + 1)]


@pytest.mark.slow  # imports torch and transformers
def test_the_original_is_what_transformers_computes(source: Path) -> None:
    import torch

    from rsrag.torchvision_ops import ensure

    ensure()
    from transformers import BertModel

    bert = text_tower.read_bert(source)
    model = BertModel.from_pretrained(source, add_pooling_layer=False).eval()
    for text, ours in zip(batch := texts(5, seed=6), text_tower.embed(bert, batch), strict=True):
        ids = torch.tensor(text_tower.encode(bert.tokenizer, POSITIONS, [text]))
        with torch.no_grad():
            mean = model(ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(ours, (mean / mean.norm()).numpy(), atol=1e-5)


# -- the vocabulary --------------------------------------------------------------------------------


def pieces(made: dict[str, Any], text: str) -> list[str]:
    from tokenizers import Tokenizer

    ready = Tokenizer.from_str(json.dumps(made))
    ready.no_padding()
    return list(ready.encode(text).tokens)


@given(st.text(st.sampled_from([*LETTERS, *" éΛλ#["]), max_size=30))
def test_texts_of_latin_and_greek_letters_encode_as_before(text: str) -> None:
    bert = text_tower.Bert(
        DIM, HEADS, 0, 0, POSITIONS, {"words": np.zeros((len(PIECES), DIM), np.float32)}, tokenizer()
    )
    kept = text_tower.without_foreign_pieces(bert)
    assert pieces(kept.tokenizer, text) == pieces(tokenizer(), text)


def test_dropped_pieces_become_unknown_and_rows_follow_their_piece(source: Path) -> None:
    bert = text_tower.read_bert(source)
    kept = text_tower.without_foreign_pieces(bert)
    vocabulary = kept.tokenizer["model"]["vocab"]
    assert not {"[unused0]", "[unused1]", "一", "ж", "##ж", "ع"} & vocabulary.keys() and "λ" in vocabulary
    assert vocabulary["[PAD]"] == 0  # what encoders pad with
    assert pieces(kept.tokenizer, "一 river aж") == ["[CLS]", "[UNK]", "river", "[UNK]", "[SEP]"]
    for piece, row in vocabulary.items():
        np.testing.assert_array_equal(kept.weights["words"][row], bert.weights["words"][PIECES.index(piece)])
    assert text_tower.encode(kept.tokenizer, 3, ["river ship"]) == [
        [vocabulary[t] for t in ("[CLS]", "river", "[SEP]")]
    ]


# -- few bits --------------------------------------------------------------------------------------

matrices = hnp.arrays(np.float32, (3, 32), elements=st.floats(-100, 100, width=32))


@given(matrices, st.sampled_from([4, 8]))
def test_rounding_errs_by_half_a_step_at_most_where_nothing_is_clipped(matrix: np.ndarray[Any, Any], bits: int) -> None:
    blocks = text_tower.rounded(matrix, bits, 16)
    assert blocks.codes.max() < 2**bits and blocks.scales.shape == (3, 2)
    steps = np.repeat(np.abs(blocks.scales.astype(np.float32)), 16, axis=1)
    inside = (blocks.codes > 0) & (blocks.codes < 2**bits - 1)
    assert (np.abs(blocks.values() - matrix)[inside] <= steps[inside] * 0.5001).all()


@given(st.integers(0, 999), st.sampled_from([0.0, 2.0]))
def test_rounding_for_its_inputs_beats_rounding_alone(seed: int, likeness: float) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((400, 32)) + likeness * rng.standard_normal((400, 4)) @ rng.standard_normal((4, 32))
    inputs = inputs.astype(np.float32)
    matrix = rng.standard_normal((24, 32)).astype(np.float32)
    alone = text_tower.rounded(matrix, 4, 16).values()
    fitted = text_tower.rounded_for(matrix, inputs.T @ inputs / 400, 4, 16).values()
    wrong = [np.square(inputs @ (matrix - values).T).mean() for values in (fitted, alone)]
    assert wrong[0] < wrong[1] * (0.8 if likeness else 1.05)


def test_fidelity_of_the_same_and_of_another() -> None:
    rng = np.random.default_rng(0)
    vectors = text_tower.unit(rng.standard_normal((50, 16)).astype(np.float32))
    assert text_tower.fidelity(vectors, vectors) == {"cosine": 1.0, "cosine_q01": 1.0, "agreement": 1.0}
    assert text_tower.fidelity(vectors, -vectors)["cosine"] == -1.0


def test_the_packs_give_texts_of_all_kinds() -> None:
    found = text_tower.pack_texts(300)
    assert 200 < len(found) <= 300 and found == text_tower.pack_texts(300)
    assert any(t.endswith(" seen from above.") for t in found) and any(t.endswith("?") for t in found)


# -- what is refused -------------------------------------------------------------------------------


def other_type(folder: Path) -> None:
    save(folder, model_type="roberta")


def other_activation(folder: Path) -> None:
    save(folder, hidden_act="relu")


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def other_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def silent_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config().items() if k != "hidden_size"}))


def wrong_shape(folder: Path) -> None:
    save_file(
        weights() | {"encoder.layer.1.output.dense.weight": np.zeros((DIM, 8), np.float32)},
        folder / "model.safetensors",
    )


def no_weight(folder: Path) -> None:
    save_file(
        {k: v for k, v in weights().items() if "layer.1.attention.self.key.bias" not in k}, folder / "model.safetensors"
    )


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def first_token(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_type, "has model_type 'roberta'"),
        (other_activation, "has hidden_act 'relu'"),
        (no_tokenizer, "has no tokenizer.json"),
        (other_tokenizer, "is not a WordPiece"),
        (broken_config, "config.json cannot be read"),
        (silent_config, "does not say 'hidden_size'"),
        (wrong_shape, r"'encoder.layer.1.output.dense.weight' as \(32, 8\), not \(32, 64\)"),
        (no_weight, "has no weight 'encoder.layer.1.attention.self.key.bias'"),
        (cut_off, "model.safetensors cannot be read"),
        (first_token, "does not pool by the mean"),
    ],
)
def test_what_is_no_such_model_is_refused_by_name(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    source = save(tmp_path / "source")
    spoil(source)
    with pytest.raises(ModelError, match=says) as refused:
        build_text_tower(source, tmp_path / "target", block=16, texts=texts(20))
    assert refused.value.hint and "\n" not in refused.value.message
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(("block", "count", "says"), [(64, 20, "'0.qkv'"), (8, 20, "any layer"), (16, 5, "5 texts")])
def test_what_cannot_be_done_is_refused_first(source: Path, tmp_path: Path, block: int, count: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build_text_tower(source, tmp_path / "target", block=block, texts=texts(count))
    assert issubclass(UsageError, RsragError) and not (tmp_path / "target").exists()
