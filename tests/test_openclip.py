"""`encoder = "openclip"`: a tiny CLIP, trained here on coloured squares, found again by words; and what is refused."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rsrag
from rsrag import KnowledgeBase, ModelError, Plugins, Scene, SceneError, UsageError
from rsrag.testing.contracts import EncoderContract

pytest.importorskip("torch")

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200), "green": (40, 150, 40), "yellow": (220, 210, 60)}
PLUGINS = Plugins(external=False)


def square(colour: str, seed: int, side: int = 64) -> Image.Image:
    """A square of a colour somewhere on a grey ground."""
    random = np.random.default_rng(seed)
    pixels = random.normal(120, 8, (side, side, 3))
    x, y = random.integers(0, side // 2, 2)
    pixels[y : y + side // 2, x : x + side // 2] = COLOURS[colour] + random.normal(0, 8, (side // 2, side // 2, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small sums on a shared machine: threads of torch would wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny.json, tiny.pt in RemoteCLIP's layout (a plain state_dict), and squares of each colour."""
    from rsrag.torchvision_ops import ensure

    ensure()
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(0)
    open_clip.add_model_config(folder / "tiny.json")
    model = open_clip.create_model("tiny", require_pretrained=False)
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
    )
    names = list(COLOURS)
    pixels = torch.stack([transform(square(colour, seed)) for seed in range(12) for colour in names])
    tokens = open_clip.get_tokenizer("tiny")([f"a {colour} square" for colour in names])
    target = torch.arange(len(pixels)) % len(names)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(25):
        logits = 20 * model.encode_image(pixels, normalize=True) @ model.encode_text(tokens, normalize=True).T
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, target).backward()
        optimizer.step()
    torch.save(model.state_dict(), folder / "tiny.pt")
    (folder / "squares").mkdir()
    for colour in names:
        for number in range(3):
            square(colour, 100 + number, 80).save(folder / "squares" / f"{colour}{number}.png")
    return folder


def made(home: Path, **options: Any) -> Any:
    given = {"model": str(home / "tiny.json"), "checkpoint": str(home / "tiny.pt"), "device": "cpu", **options}
    return PLUGINS.create("encoder", "openclip", **given)


@pytest.fixture(scope="module")
def encoder(home: Path) -> Any:
    return made(home)


@pytest.fixture
def scenes(home: Path) -> list[Scene]:
    return [rsrag.open_scene(file) for file in sorted((home / "squares").iterdir())]


def test_words_find_their_images(encoder: Any, scenes: list[Scene]) -> None:
    images = encoder.encode_scenes(scenes)
    for colour in COLOURS:
        words = encoder.encode_texts([f"a {colour} square"], role="query")[0]
        best = np.argsort(-images @ words)[:3]
        assert all(colour in scenes[i].uri for i in best), colour


@pytest.fixture(scope="module")
def twin_of_all(home: Path) -> Any:
    return made(home)  # once: each would load the weights again


class TestContract(EncoderContract):
    """All that every encoder keeps to: unit rows, order, batches, threads, what is refused."""

    module = "rsrag.builtin.encoders"

    @pytest.fixture
    def component(self, encoder: Any) -> Any:
        return encoder

    @pytest.fixture
    def twin(self, twin_of_all: Any) -> Any:
        return twin_of_all

    @pytest.fixture
    def other(self, home: Path) -> Any:
        return made(home, context=16)


def test_batches_and_workers_change_nothing(encoder: Any, home: Path, scenes: list[Scene]) -> None:
    whole = encoder.encode_scenes(scenes)
    for batch, workers in ((1, 1), (5, 3)):
        other = made(home, batch=batch, workers=workers)
        np.testing.assert_allclose(other.encode_scenes(scenes), whole, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_scenes(scenes[::-1]), whole[::-1], atol=1e-5)


def test_one_batch_is_decoded_ahead_and_no_more(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    class Counting(rsrag.ArrayReader):
        def rgb(self, max_side: int) -> Any:
            begun.append(1)
            return super().rgb(max_side)

    pixels = np.zeros((8, 8, 3), np.uint8) + 99
    scenes = [Counting(pixels, f"memory{n}").scene() for n in range(12)]
    encoder = made(home, batch=3, workers=2)
    encoder.encode_scenes(scenes[:1])
    begun.clear()
    seen: list[int] = []
    encode = encoder._towers.images
    monkeypatch.setattr(encoder._towers, "images", lambda batch: (seen.append(len(begun)), encode(batch))[1])
    encoder.encode_scenes(scenes)
    assert len(seen) == 4 and len(begun) == 12
    assert all(done <= 3 * (number + 2) for number, done in enumerate(seen)), seen


def test_an_image_that_cannot_be_decoded_is_an_error_of_its_own(encoder: Any, scenes: list[Scene]) -> None:
    class Torn(rsrag.ArrayReader):
        def rgb(self, max_side: int) -> Any:
            raise SceneError("torn.tif is damaged.", "Copy it again.")

    torn = Torn(np.zeros((8, 8, 3), np.uint8), "torn.tif").scene()
    with pytest.raises(SceneError, match=r"torn\.tif"):
        encoder.encode_scenes([*scenes, torn])


# -- weights and where they come from -------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub's, and no patience: without this its client tries again for half a minute."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def state(home: Path) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = torch.load(home / "tiny.pt", weights_only=True)
    return found


def test_every_layout_of_a_checkpoint_gives_the_same_vectors(encoder: Any, home: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = state(home)
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in weights.items()}}, tmp_path / "wrapped.pt")
    save_file({k: v.clone() for k, v in weights.items()}, tmp_path / "tiny.safetensors")
    folder = tmp_path / "from-a-hub"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file({k: v.clone() for k, v in weights.items()}, folder / "open_clip_model.safetensors")
    expected = encoder.encode_texts(["a red square"])
    for options in (
        {"checkpoint": str(tmp_path / "wrapped.pt")},
        {"checkpoint": str(tmp_path / "tiny.safetensors")},
        {"model": str(folder), "checkpoint": ""},
    ):
        np.testing.assert_allclose(made(home, **options).encode_texts(["a red square"]), expected, atol=1e-6)


def test_a_model_of_the_hub_s_that_is_here_needs_no_network(
    home: Path, offline: Path, monkeypatch: pytest.MonkeyPatch, encoder: Any
) -> None:
    from huggingface_hub import constants
    from safetensors.torch import save_file

    files = offline / "models--org--tiny" / "snapshots" / "0123456789abcdef"
    files.mkdir(parents=True)
    (files / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file({k: v.clone() for k, v in state(home).items()}, files / "open_clip_model.safetensors")
    (offline / "models--org--tiny" / "refs").mkdir()
    (offline / "models--org--tiny" / "refs" / "main").write_text(files.name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # sockets are blocked: asking would fail, and take long
    hub = PLUGINS.create("encoder", "openclip:hf-hub:org/tiny", device="cpu")
    np.testing.assert_allclose(hub.encode_texts(["a red square"]), encoder.encode_texts(["a red square"]), atol=1e-6)
    assert hub.id.startswith("openclip-org-tiny-") and hub.max_tokens == 24
    assert constants.HF_HUB_OFFLINE is False


def test_the_folder_s_preprocessing_is_used(home: Path, tmp_path: Path, encoder: Any, scenes: list[Scene]) -> None:
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}})
    )
    other = made(home, model=str(tmp_path))
    assert other.id != encoder.id
    assert np.abs(other.encode_scenes(scenes[:2]) - encoder.encode_scenes(scenes[:2])).max() > 1e-3
    np.testing.assert_allclose(other.encode_texts(["red"]), encoder.encode_texts(["red"]), atol=1e-6)


def test_the_id_names_architecture_and_weights_and_loads_nothing(encoder: Any, home: Path, tmp_path: Path) -> None:
    import torch

    code = "import rsrag, sys; e = rsrag.create('encoder', 'openclip:' + sys.argv[1], checkpoint=sys.argv[2]);"
    code += "print(e.id, *(m for m in ('torch', 'open_clip', 'numpy') if m in sys.modules))"
    given = [str(home / "tiny.json"), str(home / "tiny.pt")]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [encoder.id], done.stderr
    assert encoder.id.startswith("openclip-tiny-")
    weights = state(home)
    weights["transformer.resblocks.1.ln_1.bias"][7] += 0.5  # one number, in the middle of the file
    torch.save(weights, tmp_path / "tuned.pt")
    tuned = made(home, checkpoint=str(tmp_path / "tuned.pt"))
    assert tuned.id != encoder.id
    assert np.abs(tuned.encode_texts(["red"]) - encoder.encode_texts(["red"])).max() > 1e-4


def test_two_architectures_of_one_name_do_not_mix(home: Path, tmp_path: Path, encoder: Any) -> None:
    import open_clip

    known = set(open_clip.list_models())
    other = tmp_path / "tiny.json"
    other.write_text(json.dumps({**CONFIG, "embed_dim": 16}))
    with pytest.raises(ModelError, match="another architecture"):
        made(home, model=str(other)).encode_texts(["red"])
    assert made(home, model=str(other)).dim == 16 and made(home).dim == 32
    namesake = tmp_path / "ViT-B-32.json"
    namesake.write_text(json.dumps(CONFIG))
    assert made(home, model=str(namesake)).encode_texts(["red"]).shape == (1, 32)
    assert open_clip.get_model_config("ViT-B-32")["embed_dim"] == 512
    assert known <= set(open_clip.list_models())


class Evil:
    """What a pickle from a stranger does."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.proof),)


def test_a_pickle_with_code_is_refused_and_not_run(home: Path, tmp_path: Path) -> None:
    import torch

    proof = tmp_path / "it-ran"
    torch.save({"state_dict": state(home), "extra": Evil(proof)}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match=r"evil\.pt holds Python objects besides weights") as caught:
        made(home, checkpoint=str(tmp_path / "evil.pt")).encode_texts(["red"])
    assert "state_dict" in caught.value.hint
    assert not proof.exists()


def test_files_that_are_no_weights(home: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    whole = (home / "tiny.pt").read_bytes()
    save_file({k: v.clone() for k, v in state(home).items()}, tmp_path / "whole.safetensors")
    for name, content in {
        "half.pt": whole[: len(whole) // 2],
        "empty.pt": b"",
        "text.pt": b"404: Not Found",
        "half.safetensors": (tmp_path / "whole.safetensors").read_bytes()[:100_000],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=f"{name} cannot be read as weights") as caught:
            made(home, checkpoint=str(tmp_path / name)).encode_texts(["red"])
        assert "\n" not in str(caught.value)
    torch.save({}, tmp_path / "nothing.pt")
    with pytest.raises(ModelError, match=r"nothing\.pt"):
        made(home, checkpoint=str(tmp_path / "nothing.pt")).encode_texts(["red"])


def test_weights_of_another_architecture_are_named(home: Path, tmp_path: Path) -> None:
    import torch

    def zeros(*shape: int) -> Any:
        return torch.zeros(1).expand(*shape)  # one number on disk, whatever the shape

    blocks = {f"visual.transformer.resblocks.{n}.ln_1.bias": zeros(768) for n in range(12)}
    torch.save(
        {"visual.conv1.weight": zeros(768, 3, 32, 32), "text_projection": zeros(512, 512), **blocks},
        tmp_path / "big.pt",
    )
    with pytest.raises(
        ModelError, match=r"big\.pt holds weights of another architecture than '.*tiny\.json'"
    ) as caught:
        made(home, checkpoint=str(tmp_path / "big.pt")).encode_texts(["red"])
    assert "ViT-B-32" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "error", "message", "hint"),
    [
        ({"checkpoint": "{home}"}, ModelError, "checkpoint .* is a folder", "tiny.pt"),
        ({"checkpoint": "{home}/tinny.pt"}, ModelError, "there is no checkpoint", "Did you mean tiny.pt"),
        ({"checkpoint": ""}, ModelError, "no weights for .*random ones", "checkpoint ="),
        ({"pretrained": "openai"}, UsageError, "given pretrained 'openai' and also", "Leave one out"),
        ({"model": "ViT-B-23"}, UsageError, "no architecture 'ViT-B-23'", "Did you mean 'ViT-B-"),
        ({"model": "{home}/none.json"}, ModelError, "none.json cannot be read as an architecture", ""),
        ({"model": "{home}/list.json"}, ModelError, "list.json cannot be read as an architecture", ""),
        ({"model": "{home}/other.json"}, ModelError, "describes no architecture: it has no 'embed_dim'", ""),
        ({"model": "{home}/odd.json"}, ModelError, "odd.json' cannot be built", ""),
        ({"model": "ViT-B-32", "checkpoint": "", "pretrained": "openay"}, UsageError, "'openay'", "'openai'"),
        ({"model": "ViT-B-32", "checkpoint": "", "pretrained": "openai"}, ModelError, "cannot be fetched", "connect"),
        ({"model": "hf-hub:org/name", "checkpoint": ""}, ModelError, "'hf-hub:org/name' is not", "as checkpoint"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_says_why_in_a_line(
    home: Path, offline: Path, options: dict[str, str], error: type[Exception], message: str, hint: str
) -> None:
    (home / "list.json").write_text("[1, 2]")
    (home / "other.json").write_text('{"width": 3}')
    (home / "odd.json").write_text(json.dumps({**CONFIG, "text_cfg": {"heads": "many"}}))
    filled = {key: value.replace("{home}", str(home)) for key, value in options.items()}
    with pytest.raises(error, match=message) as caught:
        made(home, **filled).encode_texts(["red"])
    assert hint in caught.value.hint  # type: ignore[attr-defined]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cdua"}, "no device 'cdua'. Did you mean 'cuda'"),
        ({"precision": "fp61"}, "no precision 'fp61'. Did you mean 'fp16'"),
        ({"backend": "onxx"}, "no backend 'onxx'. Did you mean 'onnx'"),
        ({"backend": "onnx", "precision": "fp16"}, "runs on the CPU in fp32"),
        ({"batch": 0}, "batch and workers of 1 or more"),
        ({"chekpoint": "x"}, "Did you mean 'checkpoint'"),
    ],
)
def test_impossible_options_are_refused_at_once(home: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.").replace("?", r"\?")):
        made(home, **options)


def test_a_device_that_is_not_there(home: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ModelError, match="torch sees no device 'cuda' here"):
        made(home, device="cuda").encode_texts(["red"])


def test_rows_without_a_direction_are_refused(home: Path, tmp_path: Path) -> None:
    import torch

    weights = state(home)
    weights["text_projection"][:] = float("nan")
    torch.save(weights, tmp_path / "nan.pt")
    with pytest.raises(ModelError, match="NaN, infinity or zeros of 2 of 2 items"):
        made(home, checkpoint=str(tmp_path / "nan.pt")).encode_texts(["red", "blue"])


def test_half_precision_is_near_and_keeps_the_id(home: Path, encoder: Any, scenes: list[Scene]) -> None:
    half = made(home, precision="bf16")
    assert half.id == encoder.id
    rows = half.encode_scenes(scenes)
    assert rows.dtype == np.float32
    assert (rows * encoder.encode_scenes(scenes)).sum(1).min() > 0.99


def test_long_texts(home: Path, encoder: Any) -> None:
    words = " ".join(["harbour"] * 40)
    assert encoder.max_tokens == 24 and encoder.count_tokens("a red square") == 5
    with pytest.raises(ModelError, match="a text of 42 tokens does not fit encoder 'openclip'"):
        encoder.encode_texts(["red", words])
    cut = encoder.encode_texts([words], role="query")
    np.testing.assert_allclose(cut, encoder.encode_texts([" ".join(["harbour"] * 22)]), atol=1e-5)
    assert made(home, context=8).max_tokens == 8


def test_loading_leaves_the_program_s_logging_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # as in a program that has set up none
    made(home).encode_texts(["red"])
    assert (root.handlers, root.filters) == ([], [])
    assert capfd.readouterr() == ("", "")


# -- ONNX -----------------------------------------------------------------------------------------


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    pytest.importorskip("onnx", reason="exporting needs the package onnx: the ONNX backend is NOT tested here")
    return tmp_path / "exports"


def test_onnx_gives_the_model_s_vectors(home: Path, encoder: Any, scenes: list[Scene], exports: Path) -> None:
    exported = made(home, backend="onnx", export_dir=str(exports))
    assert exported.id == encoder.id
    texts = [f"a {colour} square" for colour in COLOURS]
    np.testing.assert_allclose(exported.encode_scenes(scenes), encoder.encode_scenes(scenes), atol=1e-3)
    np.testing.assert_allclose(exported.encode_texts(texts), encoder.encode_texts(texts), atol=1e-3)
    (folder,) = exports.iterdir()
    assert folder.name == encoder.id
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    made(home, backend="onnx", export_dir=str(exports)).encode_texts(texts)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    (folder / "visual.onnx").write_bytes(b"cut")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        made(home, backend="onnx", export_dir=str(exports)).encode_texts(texts)
    assert "Delete the folder" in caught.value.hint


def test_int8_is_near_and_smaller(home: Path, encoder: Any, scenes: list[Scene], exports: Path) -> None:
    small = made(home, backend="onnx-int8", export_dir=str(exports))
    rows = small.encode_scenes(scenes)
    assert (rows * encoder.encode_scenes(scenes)).sum(1).min() > 0.98
    words = small.encode_texts([f"a {colour} square" for colour in COLOURS])
    assert all(list(COLOURS)[n] in scene.uri for scene, n in zip(scenes, (rows @ words.T).argmax(1), strict=True))
    assert (exports / f"{encoder.id}-int8").is_dir()


def test_exporting_goes_to_the_user_s_data(home: Path, exports: Path, private_home: Path) -> None:
    encoder = made(home, backend="onnx")
    encoder.encode_texts(["red"])
    assert (private_home / "xdg_data_home" / "rsrag" / "openclip" / encoder.id / "textual.onnx").is_file()


def test_without_onnx_the_extra_is_named(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs the package onnx") as caught:
        made(home, backend="onnx", export_dir=str(tmp_path)).encode_texts(["red"])
    assert "rsrag[onnx]" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# -- in a knowledge base --------------------------------------------------------------------------


def test_a_knowledge_base_made_with_it_is_searched_by_words(home: Path, tmp_path: Path, plugins: Plugins) -> None:
    import torch

    def opened(checkpoint: Path) -> KnowledgeBase:
        options = {"openclip": {"checkpoint": str(checkpoint), "device": "cpu"}}
        name = f"openclip:{home / 'tiny.json'}"
        return KnowledgeBase(tmp_path / "kb", name, "fake", plugins=plugins, encoder_options=options)

    with opened(home / "tiny.pt") as kb:
        report = kb.add(str(home / "squares"), source="squares")
        assert (report.added, list(report.failed)) == (12, [])
        for colour in ("blue", "yellow"):
            lane = kb.search_vectors(rsrag.Query(f"a {colour} square"), "images", "text", 3, "words")
            assert [Path(str(hit.chunk.image)).name[:-5] for hit in lane] == [colour] * 3
    weights = state(home)
    weights["logit_scale"] += 1
    torch.save(weights, tmp_path / "tuned.pt")
    with pytest.raises(rsrag.StoreError, match="was made with encoder openclip-tiny-"):
        opened(tmp_path / "tuned.pt")


# -- torchvision beside a torch of another build --------------------------------------------------

OPERATORS = """
import sys
from pathlib import Path
import torch
from rsrag.torchvision_ops import ensure

def fake(name, body):
    folder = Path(sys.argv[1], name, "torchvision")
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(body)
    sys.modules.pop("torchvision", None)
    sys.path.insert(0, str(folder.parent))

def declared():
    return hasattr(torch.ops.torchvision, "nms")

fake("fine", "here = True")
ensure()
print("fine", declared())
fake("broken", "raise RuntimeError('disk on fire')")
try:
    ensure()
except RuntimeError as error:
    print(error, declared())
fake("built-for-cuda", "import torch\\nfrom . import part\\ntorch.library.register_fake('torchvision::nms')(str)")
(Path(sys.path[0]) / "torchvision" / "part.py").write_text("")
ensure(), ensure()
print("declared", declared(), hasattr(torch.ops.torchvision, "qnms"), "torchvision.part" in sys.modules)
"""


def test_operators_are_declared_only_where_they_are_missing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", OPERATORS, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.stdout.splitlines() == ["fine False", "disk on fire False", "declared True True True"], done.stderr
