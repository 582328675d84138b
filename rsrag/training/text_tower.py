"""Shrink a BERT sentence model to a text tower of a few megabytes that onnxruntime runs alone.

    read -> drop pieces that English never uses -> fit 4-bit weights layer by layer -> ONNX -> measure

The weights of each linear layer are fitted in closed form, without gradients: first the full-precision weights are
moved so that the layer, fed what the small model feeds it, gives what the original gave (ridge regression); then
they are rounded column by column, each column's error being made up for by the columns still to come (the method of
Frantar et al., "GPTQ", ICLR 2023, arXiv:2210.17323).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsrag.errors import ModelError, UsageError

from .export import need_onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

FILES = ("config.json", "model.safetensors", "tokenizer.json")
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)
OPSET = 20
IR_VERSION = 9  # what onnxruntime 1.19 reads
EMBEDDING_BLOCK = 128  # embeddings lose less to few bits than layers do
RIDGE = 0.1  # of the mean square of an input: how far weights may leave the original's to undo earlier errors
DAMPING = 0.01  # likewise, for rounding
CAPTIONS = (
    "an aerial photo of {}.",
    "{} seen from above.",
    "there are some {} next to {}.",
    "many {} and {} are around {}.",
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What was written and how near it is to the original, on texts that were not used to fit it.

    `cosine` and `cosine_q01`: mean and 1 % quantile of the cosine between both models' vectors of a text.
    `agreement`: share of texts whose nearest other text is the same in both. `megabytes`: of text.onnx, in 10^6.
    """

    source_sha256: str
    bits: int
    block: int
    pieces: int
    pieces_dropped: int
    texts_fitted: int
    texts_held_out: int
    megabytes: float
    cosine: float
    cosine_q01: float
    agreement: float


def build_text_tower(
    source: Path,
    target: Path,
    *,
    bits: Literal[4, 8] = 4,
    block: int = 32,
    max_tokens: int = 256,
    texts: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Write text.onnx, tokenizer.json and text.json (the report) to `target`.

    `source`: folder of a BERT with mean pooling (config.json, model.safetensors, tokenizer.json), such as
    all-MiniLM-L6-v2. `bits` 4 needs onnxruntime's MatMulNBits, 8 plain ONNX operators only. `block`: weights that
    share a scale. `texts` to fit and measure on, a fifth being held out; the knowledge packs' own by default. A
    thousand or two are enough: fitting takes about 50 kB of memory per token.
    The graph takes input_ids and attention_mask, int64 (batch, tokens <= max_tokens), and gives
    sentence_embedding, float32 (batch, dim), unit rows. Raises `ModelError` where the source is not such a
    model, naming the file or weight; `UsageError` for a block that does not divide the layers' widths.
    """
    need_onnx()
    import onnx

    whole = read_bert(source)
    whole = replace(whole, max_tokens=min(max_tokens, whole.max_tokens))
    texts = list(texts) or pack_texts()
    if len(texts) < 10:
        raise UsageError(f"{len(texts)} texts are too few to fit and measure a text tower.", "Give some hundreds.")
    bert = without_foreign_pieces(whole)
    odd = next((f"'{name}'" for name, w in bert.linears() if w.shape[1] % block), "any layer")
    if block < 16 or block & (block - 1) or odd != "any layer":
        raise UsageError(f"blocks of {block} do not fit {odd}.", "Use 16, 32 or 64: one that divides every width.")
    held_out, fitted = texts[::5], [t for i, t in enumerate(texts) if i % 5]
    small = fit(bert, fitted, bits, block, progress)
    target.mkdir(parents=True, exist_ok=True)
    vocabulary = json.dumps(bert.tokenizer, ensure_ascii=False, separators=(",", ":"))
    (target / "tokenizer.json").write_text(vocabulary, encoding="utf-8")
    onnx.save(to_onnx(bert, small, bits), str(target / "text.onnx"))
    same = fidelity(embed(whole, held_out), run(target, bert.max_tokens, held_out))
    report = Report(
        source_sha256=hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest(),
        bits=bits,
        block=block,
        pieces=len(bert.weights["words"]),
        pieces_dropped=len(whole.weights["words"]) - len(bert.weights["words"]),
        texts_fitted=len(fitted),
        texts_held_out=len(held_out),
        megabytes=round((target / "text.onnx").stat().st_size / 1e6, 3),
        **same,
    )
    (target / "text.json").write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    return report


# -- the original ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bert:
    """Weights by short names: "words", "positions", "norm.weight", and for layer i "i.qkv.weight" (3 dim, dim),
    "i.out...", "i.up...", "i.down..." with their ".bias", "i.norm1..." and "i.norm2..."."""

    dim: int
    heads: int
    layers: int
    epsilon: float
    max_tokens: int
    weights: Mapping[str, Floats]
    tokenizer: dict[str, Any]

    def linears(self) -> Iterator[tuple[str, Floats]]:
        """Name and weight (out, in) of every linear layer, in the order of computing."""
        for i in range(self.layers):
            for part in ("qkv", "out", "up", "down"):
                yield f"{i}.{part}", self.weights[f"{i}.{part}.weight"]


def read_bert(folder: Path) -> Bert:
    """A BERT with mean pooling from a folder as transformers and sentence-transformers save it."""
    import numpy as np
    from safetensors.numpy import load_file

    settings, weights_file, vocabulary = (folder / name for name in FILES)
    for file in (settings, weights_file, vocabulary):
        if not file.is_file():
            raise _unfit(folder, f"has no {file.name}")
    config, tokenizer = _json(settings), _json(vocabulary)
    for key, value in ("model_type", "bert"), ("hidden_act", "gelu"):
        if config.get(key) != value:
            raise _unfit(settings, f"has {key} {config.get(key)!r}, not {value!r}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise _unfit(settings, "has relative positions")
    if tokenizer.get("model", {}).get("type") != "WordPiece":
        raise _unfit(vocabulary, "is not a WordPiece tokenizer")
    pooling = folder / "1_Pooling" / "config.json"
    if pooling.is_file() and not _json(pooling).get("pooling_mode_mean_tokens"):
        raise _unfit(pooling, "does not pool by the mean")
    try:
        dim, layers, heads, wide, pieces, positions = (int(config[key]) for key in SIZES)
    except KeyError as error:
        raise _unfit(settings, f"does not say {error}") from None
    try:
        stored = {name.removeprefix("bert."): value for name, value in load_file(weights_file).items()}
    except Exception as error:
        raise _unfit(weights_file, f"cannot be read ({str(error).splitlines()[0][:100]})") from error

    def take(name: str, *shape: int) -> Floats:
        if name not in stored:
            raise _unfit(weights_file, f"has no weight '{name}'")
        if stored[name].shape != shape:
            raise _unfit(weights_file, f"has '{name}' as {stored[name].shape}, not {shape} as {settings.name} says")
        found: Floats = stored[name].astype(np.float32)
        return found

    segments = take("embeddings.token_type_embeddings.weight", int(config.get("type_vocab_size", 2)), dim)
    weights: dict[str, Floats] = {
        "words": take("embeddings.word_embeddings.weight", pieces, dim),
        # A sentence is all of one segment, whose vector is the same everywhere.
        "positions": take("embeddings.position_embeddings.weight", positions, dim) + segments[0],
    }
    norms = {"norm": "embeddings.LayerNorm"}
    for i in range(layers):
        at = f"encoder.layer.{i}"
        norms |= {f"{i}.norm1": f"{at}.attention.output.LayerNorm", f"{i}.norm2": f"{at}.output.LayerNorm"}
        parts = [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
        weights[f"{i}.qkv.weight"] = np.concatenate([take(f"{part}.weight", dim, dim) for part in parts])
        weights[f"{i}.qkv.bias"] = np.concatenate([take(f"{part}.bias", dim) for part in parts])
        for short, name, shape in (
            ("out", f"{at}.attention.output.dense", (dim, dim)),
            ("up", f"{at}.intermediate.dense", (wide, dim)),
            ("down", f"{at}.output.dense", (dim, wide)),
        ):
            weights[f"{i}.{short}.weight"] = take(f"{name}.weight", *shape)
            weights[f"{i}.{short}.bias"] = take(f"{name}.bias", shape[0])
    for short, name in norms.items():
        weights |= {f"{short}.{kind}": take(f"{name}.{kind}", dim) for kind in ("weight", "bias")}
    return Bert(dim, heads, layers, float(config.get("layer_norm_eps", 1e-12)), positions, weights, tokenizer)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unfit(file, f"cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise _unfit(file, "is not a JSON object")
    return found


def _unfit(place: Path, what: str) -> ModelError:
    return ModelError(f"{place} {what}.", "Give the folder of a model like all-MiniLM-L6-v2, complete.")


def without_foreign_pieces(bert: Bert) -> Bert:
    """The same model without unused pieces and those of scripts other than Latin and Greek.

    Texts of kept pieces encode as before; a word with a dropped letter becomes the unknown piece.
    """
    import numpy as np

    model = bert.tokenizer["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    special = {token["content"] for token in bert.tokenizer.get("added_tokens", ())} | {model["unk_token"]}
    kept = [p for p in pieces if p in special or not (p.startswith("[unused") or any(map(_foreign, p)))]
    number = {piece: i for i, piece in enumerate(kept)}
    tokenizer = json.loads(json.dumps(bert.tokenizer)) | {"truncation": None, "padding": None}
    tokenizer["model"]["vocab"] = number
    for token in tokenizer.get("added_tokens", ()):
        token["id"] = number[token["content"]]
    for token in (tokenizer.get("post_processor") or {}).get("special_tokens", {}).values():
        token["ids"] = [number[t] for t in token["tokens"]]
    rows = np.array([model["vocab"][p] for p in kept])
    return replace(bert, tokenizer=tokenizer, weights={**bert.weights, "words": bert.weights["words"][rows]})


def _foreign(letter: str) -> bool:
    if unicodedata.category(letter)[0] not in "LM" or letter.isascii():
        return False
    return not unicodedata.name(letter, "").startswith(("LATIN", "GREEK", "MICRO", "FEMININE", "MASCULINE"))


# -- the forward pass, over texts laid end to end --------------------------------------------------

Linear = Callable[[str, list["Floats"], "list[Floats] | None"], "list[Floats]"]
"""(name, inputs, residuals) -> outputs, residuals added; one array (tokens, width) per model that runs along."""


def walk(bert: Bert, states: list[Floats], lengths: Sequence[int], linear: Linear) -> list[Floats]:
    """Run the layers over the embedded tokens of one or more variants of a model; unit rows (texts, dim) of each."""
    import numpy as np

    ends = np.cumsum(lengths)
    spans = [slice(int(end - n), int(end)) for end, n in zip(ends, lengths, strict=True)]

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(1, keepdims=True)
        centred /= np.sqrt((centred * centred).mean(1, keepdims=True) + bert.epsilon)
        scaled: Floats = centred * bert.weights[f"{name}.weight"] + bert.weights[f"{name}.bias"]
        return scaled

    def attend(qkv: Floats) -> Floats:
        out, width = np.empty((len(qkv), bert.dim), np.float32), bert.dim // bert.heads
        for span in spans:
            q, k, v = qkv[span].reshape(-1, 3, bert.heads, width).transpose(1, 2, 0, 3)
            weight = q @ k.transpose(0, 2, 1) / np.float32(width**0.5)
            weight = np.exp(weight - weight.max(-1, keepdims=True))
            out[span] = (weight / weight.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(-1, bert.dim)
        return out

    states = [norm(x, "norm") for x in states]
    for i in range(bert.layers):
        inner = [attend(x) for x in linear(f"{i}.qkv", states, None)]
        states = [norm(x, f"{i}.norm1") for x in linear(f"{i}.out", inner, states)]
        inner = [gelu(x) for x in linear(f"{i}.up", states, None)]
        states = [norm(x, f"{i}.norm2") for x in linear(f"{i}.down", inner, states)]
    return [unit(np.stack([x[span].mean(0) for span in spans])) for x in states]


def gelu(x: Floats) -> Floats:
    """x Phi(x); erf by Abramowitz and Stegun 7.1.26, off by at most 1.5e-7."""
    import numpy as np

    z = np.abs(x) / np.float32(2**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    gated: Floats = (0.5 * x * (1 + np.sign(x) * (1 - tail * np.exp(-z * z)))).astype(np.float32)
    return gated


def unit(x: Floats) -> Floats:
    import numpy as np

    scaled: Floats = x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
    return scaled


def embed(bert: Bert, texts: Sequence[str]) -> Floats:
    """What the model makes of texts in full precision: float32 (texts, dim), unit rows."""

    def linear(name: str, inputs: list[Floats], residuals: list[Floats] | None) -> list[Floats]:
        out = inputs[0] @ bert.weights[f"{name}.weight"].T + bert.weights[f"{name}.bias"]
        return [out + residuals[0] if residuals else out]

    tokens, lengths = _tokens(bert, texts)
    return walk(bert, [_embedded(bert, bert.weights["words"], tokens, lengths)], lengths, linear)[0]


def _tokens(bert: Bert, texts: Sequence[str]) -> tuple[NDArray[np.int64], list[int]]:
    """Ids of all texts end to end, and how many each has."""
    import numpy as np

    rows = encode(bert.tokenizer, bert.max_tokens, texts)
    return np.concatenate([np.array(row, np.int64) for row in rows]), [len(row) for row in rows]


def _embedded(bert: Bert, words: Floats, tokens: NDArray[np.int64], lengths: Sequence[int]) -> Floats:
    import numpy as np

    summed: Floats = words[tokens] + bert.weights["positions"][np.concatenate([np.arange(n) for n in lengths])]
    return summed


def encode(tokenizer: Mapping[str, Any], max_tokens: int, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, cut at `max_tokens`."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(json.dumps(tokenizer))
    made.no_padding()
    made.enable_truncation(max_tokens)
    return [encoding.ids for encoding in made.encode_batch(list(texts))]


# -- fitting few bits ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blocks:
    """A matrix (rows, columns) in few bits: value = scale * (code - 2^(bits-1)).

    `codes` uint8 (rows, columns); `scales` float16 (rows, columns / block)."""

    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]
    bits: int

    def values(self) -> Floats:
        import numpy as np

        rows, columns = self.codes.shape
        signed = self.codes.astype(np.float32).reshape(rows, self.scales.shape[1], -1) - 2 ** (self.bits - 1)
        found: Floats = (signed * self.scales[..., None].astype(np.float32)).reshape(rows, columns)
        return found


def scales_for(block: Floats, bits: int) -> NDArray[np.float16]:
    """The scale per row of (..., columns) that rounds with the least squared error; float16 (...).

    Its sign puts the entry of largest magnitude on the side that has one code more.
    """
    import numpy as np

    half = 2 ** (bits - 1)
    largest = np.take_along_axis(block, np.abs(block).argmax(-1)[..., None], -1)[..., 0]
    best, least = np.ones(largest.shape, np.float16), np.full(largest.shape, np.inf, np.float32)
    for clip in np.linspace(0.5, 1.05, 12) if bits < 8 else (1.0,):
        scale = (largest * clip / -half).astype(np.float16)
        scale[scale == 0] = np.finfo(np.float16).tiny
        wide = scale.astype(np.float32)[..., None]
        error = ((np.rint(block / wide).clip(-half, half - 1) * wide - block) ** 2).sum(-1)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best


def rounded(weight: Floats, bits: int, block: int) -> Blocks:
    """The nearest codes, without regard to what the matrix is for."""
    import numpy as np

    half, blocks = 2 ** (bits - 1), weight.reshape(len(weight), -1, block)
    scales = scales_for(blocks, bits)
    codes = np.rint(blocks / scales[..., None].astype(np.float32)).clip(-half, half - 1) + half
    return Blocks(codes.astype(np.uint8).reshape(weight.shape), scales, bits)


def rounded_for(weight: Floats, gram: Floats, bits: int, block: int) -> Blocks:
    """Codes of `weight` (out, in) whose product with inputs of second moment `gram` (in, in) errs least."""
    import numpy as np

    half, (rows, columns) = 2 ** (bits - 1), weight.shape
    inverse = np.linalg.inv(gram.astype(np.float64) + DAMPING * np.trace(gram) / columns * np.eye(columns))
    upper = np.linalg.cholesky(inverse).T.astype(np.float32)
    rest, codes = weight.copy(), np.empty(weight.shape, np.uint8)
    scales = np.empty((rows, columns // block), np.float16)
    for start in range(0, columns, block):
        end = start + block
        scales[:, start // block] = scales_for(rest[:, start:end], bits)
        scale = scales[:, start // block].astype(np.float32)
        errors = np.empty((rows, block), np.float32)
        for i in range(start, end):
            code = np.rint(rest[:, i] / scale).clip(-half, half - 1)
            codes[:, i] = (code + half).astype(np.uint8)
            errors[:, i - start] = (rest[:, i] - code * scale) / upper[i, i]
            rest[:, i + 1 : end] -= np.outer(errors[:, i - start], upper[i, i + 1 : end])
        rest[:, end:] -= errors @ upper[start:end, end:]
    return Blocks(codes, scales, bits)


def fit(bert: Bert, texts: Sequence[str], bits: int, block: int, progress: Progress | None = None) -> dict[str, Any]:
    """Few-bit `Blocks` ("words", "i.qkv.weight" ...) and new biases ("i.qkv.bias" ...) for a model, which runs along
    in full precision: every layer of the small one is fitted to what the large one's gives."""
    import numpy as np

    words = rounded(bert.weights["words"], bits, math.gcd(EMBEDDING_BLOCK, bert.dim))
    small: dict[str, Any] = {"words": words}
    tokens, lengths = _tokens(bert, texts)
    # Long texts count more than short ones, but less than by their length.
    share = np.repeat(1 / np.sqrt(lengths), lengths).astype(np.float32)[:, None]
    share /= share.sum()

    def linear(name: str, inputs: list[Floats], residuals: list[Floats] | None) -> list[Floats]:
        full, given = inputs
        weight, bias = bert.weights[f"{name}.weight"], bert.weights[f"{name}.bias"]
        exact = full @ weight.T + bias
        wanted = exact + residuals[0] - residuals[1] if residuals else exact
        centre, middle = (share * given).sum(0), (share * wanted).sum(0)
        centred = given - centre
        gram = (share * centred).T @ centred
        missing = (share * (wanted - middle - centred @ weight.T)).T @ centred
        ridge = gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=np.float32)
        moved = weight + np.linalg.solve(ridge, missing.T).T
        blocks = rounded_for(moved, gram, bits, block if bits < 8 else weight.shape[1])
        values = blocks.values()
        small[f"{name}.weight"], small[f"{name}.bias"] = blocks, middle - values @ centre
        out = given @ values.T + small[f"{name}.bias"]
        if progress:
            progress(len(small) // 2, 4 * bert.layers)
        return [exact + residuals[0], out + residuals[1]] if residuals else [exact, out]

    states = [_embedded(bert, w, tokens, lengths) for w in (bert.weights["words"], words.values())]
    walk(bert, states, lengths, linear)
    return small


# -- ONNX ------------------------------------------------------------------------------------------


class _Graph:
    """Nodes and weights as they are added; every method returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def op(self, kind: str, *inputs: str, outputs: int = 0, **attributes: Any) -> Any:
        """One output's name, or a list of `outputs` names."""
        from onnx import helper

        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(max(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names if outputs else names[0]

    def const(self, array: Any, kind: str = "float32") -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"const_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, kind), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(values, "int64")

    def floats(self, name: str) -> str:
        return str(self.op("Cast", name, to=1))

    def halves(self, array: Any) -> str:
        """float32, kept as float16 in the file."""
        return self.floats(self.const(array, "float16"))


def to_onnx(bert: Bert, small: Mapping[str, Any], bits: int) -> Any:
    """The model as an `onnx.ModelProto`, pooling and normalisation inside."""
    from onnx import TensorProto, helper

    g = _Graph()

    def norm(x: str, name: str) -> str:
        weight, bias = (g.const(bert.weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        return str(g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=bert.epsilon))

    def linear(x: str, name: str) -> str:
        return str(g.op("Add", _product(g, x, small[f"{name}.weight"]), g.const(small[f"{name}.bias"])))

    length = g.op("Slice", g.op("Shape", "input_ids"), g.ints(1), g.ints(2))
    positions = g.op("Slice", g.halves(bert.weights["positions"][: bert.max_tokens]), g.ints(0), length, g.ints(0))
    x = norm(g.op("Add", _rows(g, "input_ids", small["words"]), positions), "norm")
    mask = g.floats("attention_mask")
    hidden = g.op("Mul", g.op("Sub", mask, g.const(1.0)), g.const(1e9))  # 0 for a token, -1e9 for padding
    hidden = g.op("Unsqueeze", hidden, g.ints(1, 2))
    width = bert.dim // bert.heads
    for i in range(bert.layers):
        qkv = g.op("Reshape", linear(x, f"{i}.qkv"), g.ints(0, 0, 3 * bert.heads, width))
        q, k, v = g.op("Split", g.op("Transpose", qkv, perm=[0, 2, 1, 3]), outputs=3, axis=1, num_outputs=3)
        match = g.op("MatMul", g.op("Mul", q, g.const(width**-0.5)), g.op("Transpose", k, perm=[0, 1, 3, 2]))
        seen = g.op("MatMul", g.op("Softmax", g.op("Add", match, hidden), axis=-1), v)
        seen = g.op("Reshape", g.op("Transpose", seen, perm=[0, 2, 1, 3]), g.ints(0, 0, bert.dim))
        x = norm(g.op("Add", x, linear(seen, f"{i}.out")), f"{i}.norm1")
        x = norm(g.op("Add", x, linear(g.op("Gelu", linear(x, f"{i}.up")), f"{i}.down")), f"{i}.norm2")
    # The direction of the sum is that of the mean.
    total = g.op("ReduceSum", g.op("Mul", x, g.op("Unsqueeze", mask, g.ints(2))), g.ints(1), keepdims=0)
    norms = g.op("Max", g.op("ReduceL2", total, g.ints(1), keepdims=1), g.const(1e-12))
    g.nodes.append(helper.make_node("Div", [total, norms], ["sentence_embedding"]))
    names, free = ("input_ids", "attention_mask"), ["batch", "tokens"]
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, free) for name in names]
    out = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", bert.dim])
    opsets = [helper.make_opsetid("", OPSET)] + ([helper.make_opsetid("com.microsoft", 1)] if bits < 8 else [])
    graph = helper.make_graph(g.nodes, "text_tower", ids, [out], g.weights)
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rsrag")


def _product(g: _Graph, x: str, weight: Blocks) -> str:
    """x times the transpose of a matrix in few bits."""
    rows, columns = weight.codes.shape
    if weight.bits == 8:
        signed = (weight.codes ^ 128).view("int8")
        return str(g.op("Mul", g.op("MatMul", x, g.floats(g.const(signed.T, "int8"))), g.halves(weight.scales[:, 0])))
    packed = weight.codes[:, 0::2] | weight.codes[:, 1::2] << 4
    blocks = weight.scales.shape[1]
    return str(
        g.op(
            "MatMulNBits",
            x,
            g.const(packed.reshape(rows, blocks, -1), "uint8"),
            g.halves(weight.scales.ravel()),
            domain="com.microsoft",
            K=columns,
            N=rows,
            bits=weight.bits,
            block_size=columns // blocks,
            accuracy_level=4,  # inputs in 8 bits by blocks: hardly a loss, and twice as fast for one query
        )
    )


def _rows(g: _Graph, ids: str, table: Blocks) -> str:
    """The rows of a table in few bits, unpacked after they were picked: float32 (batch, tokens, dim)."""
    codes, half, (_, columns) = table.codes, 2 ** (table.bits - 1), table.codes.shape
    if table.bits == 8:
        picked = g.op("Gather", g.const(codes, "uint8"), ids)
    else:
        pairs = g.op("Gather", g.const(codes[:, : columns // 2] | codes[:, columns // 2 :] << 4, "uint8"), ids)
        low = g.op("BitwiseAnd", pairs, g.const(15, "uint8"))
        high = g.op("BitShift", pairs, g.const(4, "uint8"), direction="RIGHT")
        picked = g.op("Concat", low, high, axis=-1)
    blocks = g.ints(0, 0, table.scales.shape[1], columns // table.scales.shape[1])
    values = g.op("Reshape", g.op("Sub", g.floats(picked), g.const(half)), blocks)
    scales = g.op("Unsqueeze", g.floats(g.op("Gather", g.const(table.scales, "float16"), ids)), g.ints(3))
    return str(g.op("Reshape", g.op("Mul", values, scales), g.ints(0, 0, columns)))


# -- measuring -------------------------------------------------------------------------------------


def run(folder: Path, max_tokens: int, texts: Sequence[str]) -> Floats:
    """What the written files make of texts: float32 (texts, dim), unit rows."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "text.onnx"), providers=["CPUExecutionProvider"])
    out = []
    for row in encode(_json(folder / "tokenizer.json"), max_tokens, texts):
        ids = np.array([row], np.int64)
        out.append(session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    return np.stack(out)


def fidelity(original: Floats, small: Floats) -> dict[str, float]:
    """Cosines and agreement as `Report` explains them."""
    import numpy as np

    cosines = (original * small).sum(1)
    nearest = []
    for vectors in (original, small):
        likeness = vectors @ vectors.T
        np.fill_diagonal(likeness, -np.inf)
        nearest.append(likeness.argmax(1))
    return {
        "cosine": round(float(cosines.mean()), 4),
        "cosine_q01": round(float(np.quantile(cosines, 0.01)), 4),
        "agreement": round(float((nearest[0] == nearest[1]).mean()), 4),
    }


def pack_texts(count: int = 1500, seed: int = 0) -> list[str]:
    """About `count` texts of the knowledge packs, as many of each pack: sentences, passages, captions, questions."""
    from rsrag.packs import bundled_packs

    rng, packs, found = random.Random(seed), bundled_packs(), []
    for folder in packs.values():
        names, sentences, passages, questions = set(), set(), set(), set()
        for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            names |= set(record.get("aliases", ()))
            passages |= (own := {section["text"] for section in record.get("sections", ())})
            sentences |= {sentence for text in own for sentence in re.split(r"(?<=[.?!]) ", text)}
            questions |= {f"what is the {fact['attribute']} of {record['title']}?" for fact in record.get("facts", ())}
        things = sorted(names)
        captions = {rng.choice(CAPTIONS).format(name, *rng.choices(things, k=2)) for name in things}
        for kind, share in ((sentences, 0.45), (passages, 0.1), (captions, 0.3), (questions, 0.15)):
            found += rng.sample(sorted(kind), min(int(count * share / len(packs)), len(kind)))
    rng.shuffle(found)
    return found
