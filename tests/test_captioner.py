"""The starter captioner: trained on pictures of coloured squares, exported, and asked about pictures it never saw."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rsrag
from rsrag import KnowledgeBase, ModelError, Plugins, Scene, UsageError
from rsrag.builtin.captioners import wording
from rsrag.builtin.captioners.starter import StarterCaptioner
from rsrag.interfaces import Captioner
from rsrag.training import captioner as training
from rsrag.training.caption_scores import central, cider, document_frequency, mean
from rsrag.training.captioner import train_captioner
from rsrag.training.captioner_fit import CHECKPOINT, Fitted, Material, Recipe, fit
from rsrag.training.decoder import Shape, make_decoder, nothing_yet
from rsrag.training.views import see as see_views
from rsrag.training.vocabulary import Vocabulary, plain, words_of

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

SIDE, CELLS = 48, 4
COLOURS = {"red": (210, 40, 30), "blue": (30, 50, 220), "white": (240, 240, 240)}
NUMBERS = {1: "one {} house is", 2: "two {} houses are", 3: "three {} houses are"}
SMALL = Recipe(
    epochs=40, batch=24, captions=2, views=2, rate=6e-3, dropout=0.0, forget=0.0, average=0.9,
    width=32, hidden=64, layers=1, heads=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # sums come out the same, whatever else the machine does


def picture(number: int, colour: str, rng: np.random.Generator) -> Image.Image:
    """Houses of one colour on a meadow, each in a cell of its own."""
    pixels = rng.normal((60, 120, 50), 12, (SIDE, SIDE, 3))
    cell = SIDE // CELLS
    for place in rng.choice(CELLS * CELLS, number, replace=False):
        y, x = place // CELLS * cell, place % CELLS * cell
        pixels[y : y + cell, x : x + cell] = rng.normal(COLOURS[colour], 12, (cell, cell, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def told(number: int, colour: str) -> str:
    return f"{NUMBERS[number].format(colour)} on a green meadow"


def write_pictures(folder: Path, count: int, split: str, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        number, colour = int(rng.integers(1, 4)), str(rng.choice(sorted(COLOURS)))
        file = folder / f"{split}{i}.png"
        picture(number, colour, rng).save(file)
        caption = told(number, colour)
        rows.append({"file": file.name, "split": split, "captions": [f"{caption} .", caption.capitalize()]})
    return rows


def write_tower(file: Path, *, with_map: bool = True) -> None:
    """An image tower in four nodes: the mean colour of each cell is the map, that of all cells the embedding."""
    from onnx import TensorProto, helper

    cell = SIDE // CELLS
    size = [("batch"), 3, SIDE, SIDE]
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Reshape", ["cells", "flat"], ["channels_first"]),
        helper.make_node("Transpose", ["channels_first"], ["map"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["map", "axis"], ["embedding"], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3])]
    if with_map:
        outputs.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", CELLS**2, 3]))
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, size)],
        outputs,
        [
            onnx.numpy_helper.from_array(np.array([0, 3, -1]), "flat"),
            onnx.numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, file)


def write_encoder(folder: Path, **options: bool) -> Path:
    """A folder with all that the starter encoder's has; nothing here encodes text."""
    folder.mkdir()
    write_tower(folder / "image.onnx", **options)
    for name in ("text.onnx", "tokenizer.json"):
        (folder / name).write_bytes(b"not needed here")
    (folder / "encoder.json").write_text(json.dumps({"size": SIDE, "max_gsd_m": 8.0}))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("weights") / "encoder")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("houses")
    rows = write_pictures(folder, 160, "train", 0) + write_pictures(folder, 30, "val", 1)
    manifest = folder / "houses.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    return manifest


@pytest.fixture(scope="module")
def trained(pictures: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> training.Report:
    torch.set_num_threads(1)
    return train_captioner([pictures], str(encoder), tmp_path_factory.mktemp("captioner") / "out", SMALL)


def scene(number: int, colour: str, seed: int = 0, **changes: Any) -> Scene:
    pixels = np.asarray(picture(number, colour, np.random.default_rng(seed)))
    return replace(rsrag.ArrayReader(pixels).scene(), **changes)


# -- what it says ---------------------------------------------------------------------------------


def test_it_counts_and_names_colours_of_pictures_it_has_not_seen(trained: training.Report) -> None:
    captioner = rsrag.create("captioner", "starter", path=str(trained.folder))
    assert isinstance(captioner, Captioner)
    asked = [(n, c, seed) for n in NUMBERS for c in COLOURS for seed in (100, 200)]
    captions = captioner.caption([scene(*what) for what in asked])
    right = [c == f"{told(n, colour).capitalize()}." for c, (n, colour, _) in zip(captions, asked, strict=True)]
    assert np.mean(right) >= 0.85, captions


def test_the_report_measures_it_on_images_kept_apart(trained: training.Report) -> None:
    assert trained.finished and trained.left_out == 0 and trained.problems == ()
    assert "houses: 190 images (160 train, 30 val), 9 different captions" in trained.data
    ours = trained.scores["houses: CIDEr-D"]
    copied = trained.scores["houses: CIDEr-D of the nearest image's caption"]
    assert ours.n == copied.n == 30 and ours.low <= ours.value <= ours.high
    assert ours.value > 1.1 * copied.value  # the mean colour of all cells tells little of the number
    assert trained.copies["houses"].value > 0.8  # nine sentences say all there is to say
    report = json.loads((trained.folder / "captioner-report.json").read_text())
    assert report["validation"]["houses: CIDEr-D"]["n"] == 30
    assert len(report["samples"]) == 10 and report["samples"][0]["caption"].endswith(".")


def test_the_same_image_gets_the_same_caption_whatever_is_beside_it(trained: training.Report) -> None:
    captioner = StarterCaptioner(str(trained.folder), batch=4)
    scenes = [scene(1 + i % 3, "red", seed=i) for i in range(7)]
    together = captioner.caption(scenes)
    assert together == captioner.caption(scenes)
    assert together == [StarterCaptioner(str(trained.folder)).caption([one])[0] for one in scenes]
    assert captioner.caption([]) == []


def test_what_it_was_not_made_for_gets_no_caption(trained: training.Report) -> None:
    flat = rsrag.ArrayReader(np.full((64, 64, 3), 200, np.uint8)).scene()
    radar = rsrag.ArrayReader(np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)).scene()
    captioner = StarterCaptioner(str(trained.folder))
    captions = captioner.caption(
        [scene(2, "red"), flat, scene(2, "red", gsd_m=10.0), radar, scene(2, "red", gsd_m=0.5)]
    )
    assert captions[0] == captions[4] != ""
    assert captions[1:4] == ["", "", ""]


def test_captioning_needs_no_torch(trained: training.Report, pictures: Path) -> None:
    code = (
        "import sys, rsrag; c = rsrag.create('captioner', 'starter', path=sys.argv[1]);"
        "print(c.caption([rsrag.open_scene(sys.argv[2])])[0]); print('torch' in sys.modules)"
    )
    image = pictures.parent / "val0.png"
    command = [sys.executable, "-c", code, str(trained.folder), str(image)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said, torch_loaded = done.stdout.splitlines()
    assert said.endswith("on a green meadow.") and torch_loaded == "False"


def test_images_without_words_are_described_as_they_are_added(
    trained: training.Report, tmp_path: Path, plugins: Plugins
) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    picture(3, "blue", np.random.default_rng(5)).save(folder / "a.png")
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        report = kb.add(folder, captioner=StarterCaptioner(str(trained.folder)))
        assert report.added and not report.failed
        found = [hit.chunk.text for hit in rsrag.Assistant(kb).search("blue houses on a meadow")]
    assert any("Three blue houses are on a green meadow." in text for text in found), found


# -- what can be wrong ----------------------------------------------------------------------------


def copied(trained: training.Report, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("cache", "*.pt")))


def test_missing_files_are_named(encoder: Path) -> None:
    with pytest.raises(ModelError, match=r"no captioner in .*captioner\.onnx.*rsrag train captioner"):
        StarterCaptioner(str(encoder)).caption([scene(1, "red")])


def test_another_tower_is_refused(trained: training.Report, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path)
    with (folder / "image.onnx").open("ab") as stream:
        stream.write(b"\x00")
    with pytest.raises(ModelError, match="trained with another image tower"):
        StarterCaptioner(str(folder)).caption([scene(1, "red")])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda s: s[: len(s) // 2], "cannot be read"),
        (lambda s: s.replace('"format": 1', '"format": 99'), "format 99, not 1"),
        (lambda s: s.replace('"rarity"', '"rareness"'), "it lacks 'rarity'"),
        (lambda s: "[]", "cannot be read"),
    ],
)
def test_damaged_settings_are_refused(trained: training.Report, tmp_path: Path, damage: Any, said: str) -> None:
    file = copied(trained, tmp_path) / "captioner.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(ModelError, match=said):
        StarterCaptioner(str(file.parent)).caption([scene(1, "red")])


def test_a_damaged_decoder_is_refused(trained: training.Report, tmp_path: Path) -> None:
    file = copied(trained, tmp_path) / "captioner.onnx"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"captioner\.onnx cannot be loaded"):
        StarterCaptioner(str(file.parent)).caption([scene(1, "red")])


def test_an_unknown_style_is_refused_with_those_there_are(trained: training.Report) -> None:
    with pytest.raises(UsageError, match=r"no style 'haiku'.*houses"):
        StarterCaptioner(str(trained.folder), style="haiku").caption([scene(1, "red")])


def test_a_tower_without_a_map_cannot_be_trained_on(pictures: Path, tmp_path: Path) -> None:
    blind = write_encoder(tmp_path / "blind", with_map=False)
    with pytest.raises(ModelError, match="gives no feature map"):
        train_captioner([pictures], str(blind), tmp_path / "out", SMALL)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"label": "house"}], "no image with a caption"),
        ([{"captions": ["one red house"], "split": "val"}], "no image with a caption"),
        ([{"captions": ["words that occur once"]}], "no caption can be learnt"),
    ],
)
def test_data_that_teaches_nothing_is_refused(
    rows: list[dict[str, Any]], said: str, encoder: Path, tmp_path: Path
) -> None:
    picture(1, "red", np.random.default_rng(0)).save(tmp_path / "a.png")
    manifest = tmp_path / "few.jsonl"
    manifest.write_text("\n".join(json.dumps({"file": "a.png", "split": "train", **row}) for row in rows))
    with pytest.raises(UsageError, match=said):
        train_captioner([manifest], str(encoder), tmp_path / "out", SMALL)


# -- training -------------------------------------------------------------------------------------


@pytest.fixture
def material() -> Material:
    rng = np.random.default_rng(0)
    captions = [[[2, *rng.integers(3, 9, rng.integers(2, 6)), 1] for _ in range(3)] for _ in range(20)]
    return Material(
        rng.normal(size=(20, 2, 4, 5)).astype(np.float16), rng.normal(size=(20, 2, 6)).astype(np.float16), captions
    )


FEW = replace(SMALL, epochs=5, batch=10, dropout=0.2, forget=0.2)
TOKENS = ("<pad>", "<end>", "<x>", *"abcdef")


def fitted(material: Material, folder: Path, recipe: Recipe = FEW, **options: Any) -> Fitted:
    shape = Shape(len(TOKENS), 4, 5, 6, recipe.width, recipe.hidden, recipe.layers, recipe.heads)
    return fit(shape, options.pop("tokens", TOKENS), material, recipe, folder, **options)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(material: Material, tmp_path: Path) -> None:
    straight = fitted(material, tmp_path / "straight")

    class Stop(Exception):
        pass

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == 4:
            raise Stop

    with pytest.raises(Stop):
        fitted(material, tmp_path / "stopped", progress=stop)
    steps: list[int] = []
    stopped = fitted(material, tmp_path / "stopped", progress=lambda step, of, losses: steps.append(step))
    assert straight.finished and stopped.finished and steps == [5, 6, 7, 8, 9, 10]
    theirs = stopped.decoder.state_dict()
    for name, value in straight.decoder.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def test_minutes_bound_a_run(pictures: Path, encoder: Path, tmp_path: Path) -> None:
    report = train_captioner([pictures], str(encoder), tmp_path, SMALL, minutes=0)
    assert not report.finished and report.step == 0 and not (tmp_path / "captioner.onnx").exists()


@pytest.mark.parametrize(
    ("change", "tokens", "said"),
    [
        ({"width": 64}, TOKENS, "width = 32, not 64"),
        ({"seed": 3}, TOKENS, "seed = 0, not 3"),
        ({}, (*TOKENS[:-1], "g"), "another vocabulary"),
    ],
)
def test_a_checkpoint_of_another_decoder_is_refused_by_name(
    change: dict[str, int], tokens: tuple[str, ...], said: str, material: Material, tmp_path: Path
) -> None:
    fitted(material, tmp_path)
    with pytest.raises(ModelError, match=said):
        fitted(material, tmp_path, replace(FEW, **change), tokens=tokens)


def test_a_damaged_checkpoint_is_refused(material: Material, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="cannot be read"):
        fitted(material, tmp_path)
    torch.save({"weights": 1}, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="not a captioner's checkpoint"):
        fitted(material, tmp_path)


def test_running_out_of_memory_names_a_batch_to_try(material: Material, tmp_path: Path) -> None:
    def full(step: int, steps: int, losses: dict[str, float]) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(ModelError, match=r"batches of 20 images.*--batch 10"):
        fitted(material, tmp_path, replace(FEW, batch=20), progress=full)


def test_one_word_at_a_time_is_the_same_as_all_at_once() -> None:
    """What is kept of the words before stands for them."""
    torch.manual_seed(0)
    decoder = make_decoder(Shape(9, 4, 5, 6, 32, 64, 2, 2)).eval()
    maps, vectors, tokens = torch.randn(2, 4, 5), torch.randn(2, 6), torch.randint(0, 9, (2, 3, 7))
    with torch.no_grad():
        whole, _ = decoder(maps, vectors, tokens, torch.arange(7), nothing_yet(decoder, tokens))
        past = nothing_yet(decoder, tokens)
        for i in range(7):
            one, past = decoder(maps, vectors, tokens[..., i : i + 1], torch.tensor([i]), past)
            torch.testing.assert_close(one[:, :, 0], whole[:, :, i], atol=1e-5, rtol=1e-4)


def test_what_the_tower_saw_is_kept_and_gone_on_with(encoder: Path, tmp_path: Path) -> None:
    tower, pixels = encoder / "image.onnx", np.random.default_rng(0).integers(0, 255, (9, 60, 60, 3), np.uint8)
    rows = [0, 2, 3, 5, 8]

    def see(folder: str, seed: int = 0) -> tuple[Any, Any]:
        said.clear()
        return see_views(tower, pixels, rows, SIDE, 3, seed, tmp_path / folder, said.append)

    said: list[str] = []
    maps, vectors = see("a")
    assert maps.shape == (5, 3, CELLS**2, 3) and vectors.shape == (5, 3, 3) and len(said) == 1
    first = np.asarray(Image.fromarray(pixels[2]).resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float32) / 255
    np.testing.assert_allclose(vectors[1, 0], first.mean((0, 1)), atol=2e-3)
    again = see("a")
    assert said == [] and np.array_equal(again[0], maps)
    (tmp_path / "a" / "seen.json").write_text(
        (tmp_path / "a" / "seen.json").read_text().replace('"done": 5', '"done": 2')
    )
    kept = np.array(maps)
    maps[2:] = 0
    assert np.array_equal(see("a")[0], kept)
    assert not np.array_equal(see("a", seed=1)[0][:, 1:], kept[:, 1:])  # other views are not taken for these


# -- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("Two ponds , one road .", "two ponds , one road"),
        ("It's a school. there are trees. .", "it's a school . there are trees"),
        ("a airport; a one-way road", "an airport , a one-way road"),
        ("  .,. ", ""),
        ("Öl-tanks près d’un port!", "öl-tanks près d'un port"),
    ],
)
def test_a_caption_is_split_into_words(caption: str, words: str) -> None:
    assert " ".join(words_of(caption)) == words


@given(st.text(max_size=60))
def test_splitting_words_again_changes_nothing(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    assert words_of(wording.sentence(words)) == words or not words or text.lower() != text.lower().upper().lower()


@given(st.lists(st.sampled_from("one two red houses are near a an airport pond , .".split()), max_size=12))
def test_both_sides_mean_the_same_by_a_copy(words: list[str]) -> None:
    """What training notes down as known is what the captioner finds known."""
    written = words_of(" ".join(words))
    assert wording.plain(written) == plain(" ".join(words))


def test_rare_words_and_styles_have_their_place() -> None:
    captions = [("many", "trees"), ("many", "trees"), ("many", "ponds", "trees")]
    vocabulary = Vocabulary.of(captions, ["b", "a", "b"], least=2)
    assert vocabulary.tokens == ("<pad>", "<end>", "<a>", "<b>", "many", "trees")
    assert vocabulary.ids() == {"many": 4, "trees": 5} and vocabulary.start("b") == 3


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("many planes are parked near a terminal", True),
        ("some houses on both sides of the road in front of the river", True),
        ("many planes", False),
        ("many planes are parked near a", False),
        ("many many planes are parked", False),
        ("green trees and green trees are here", False),
        (", a road is near a pond", False),
        ("a pond , a road , and", False),
    ],
)
def test_what_can_stand_as_a_sentence(text: str, good: bool) -> None:
    assert wording.sound(text.split()) is good


def test_a_sentence_is_written_as_people_write() -> None:
    assert wording.sentence("two ponds , one road . it is green".split()) == "Two ponds, one road. It is green."


CAPTIONS = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8).map(tuple), min_size=1, max_size=6)


@given(CAPTIONS.map(lambda found: sorted(set(found))))
def test_agreement_is_a_mean_of_likenesses(captions: list[tuple[str, ...]]) -> None:
    rarity = {letter: 1.0 + i for i, letter in enumerate("abcdef")}
    scores = wording.agreement(captions, [2] * len(captions), rarity)
    assert scores.shape == (len(captions),) and (scores >= 0).all() and (scores <= 1 + 1e-9).all()
    order = list(range(len(captions)))[::-1]
    turned = wording.agreement([captions[i] for i in order], [2] * len(captions), rarity)
    np.testing.assert_allclose(turned[order], scores)


def test_the_caption_that_the_others_agree_with_scores_best() -> None:
    captions = [tuple(text.split()) for text in ("two red ponds", "two red roofs", "two blue ponds", "a grey sea")]
    rarity = dict.fromkeys("two red ponds roofs blue a grey sea".split(), 1.0)
    scores = wording.agreement(captions, [1, 1, 1, 1], rarity)
    assert scores.argmax() == 0 and scores.argmin() == 3
    assert wording.agreement(captions, [1, 1, 1, 9], rarity).argmax() == 3


# -- scores ---------------------------------------------------------------------------------------

EXPECTED = [5.4650538943188876, 4.163366907491758, 0.0]
REFERENCES = [
    ["many planes are parked near a terminal", "some planes are in an airport"],
    ["a pond is near a road", "a pond is surrounded by many green trees"],
    ["many green trees are in a forest", "it is a green forest"],
]


def split(texts: Sequence[str]) -> list[list[str]]:
    return [text.split() for text in texts]


def test_cider_is_that_of_the_field() -> None:
    """Expected values from pycocoevalcap 1.2, Cider().compute_score."""
    candidates = split(["some planes are parked near a terminal", "a pond is near many trees", "a beach"])
    scores = cider(candidates, [split(group) for group in REFERENCES])
    np.testing.assert_allclose(scores, EXPECTED, atol=1e-9)


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=7), min_size=2, max_size=5))
def test_cider_lies_between_nothing_and_ten(captions: list[list[str]]) -> None:
    references: list[Sequence[Sequence[str]]] = [[caption] for caption in captions]
    same = cider(captions, references)
    other = cider(captions[1:] + captions[:1], references)
    assert (same >= -1e-9).all() and (same <= 10 + 1e-9).all() and (other <= 10 + 1e-9).all() and (other >= 0).all()


def test_the_central_caption_is_the_one_most_like_the_others() -> None:
    groups = [split(group) for group in REFERENCES]
    frequency = document_frequency(groups)
    captions = split(["it is a forest", "many planes are parked", "many planes are parked near a terminal"])
    assert central(captions, frequency, 3) in (1, 2)
    assert central(captions[:1], frequency, 3) == 0


def test_a_mean_has_an_interval_around_it() -> None:
    found = mean([1.0, 2.0, 3.0, 4.0] * 25)
    assert found.value == 2.5 and found.low < 2.5 < found.high and found.n == 100
    assert str(found).startswith("2.500 [2.")
