"""`rsrag train encoder`, from a folder of images to a folder that the starter encoder loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rsrag
from rsrag.errors import ModelError, UsageError
from rsrag.training import validation
from rsrag.training.augment import Augment, cutmix
from rsrag.training.encoder import train_encoder
from rsrag.training.fit import CHECKPOINT, Recipe
from rsrag.training.prompts import read_names, spoken
from rsrag.training.towers import load_weights, make_tower
from rsrag.training.validation import Share

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

BACKBONE = "test_efficientnet"  # timm's own, made for tests
COLOURS = {"forest": (30, 110, 40), "desert": (220, 190, 120), "sea": (20, 60, 140)}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # sums come out the same, whatever else the machine does


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folders of fields of three colours, 20 images each."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "fields"
    for label, colour in COLOURS.items():
        for split, count in (("train", 16), ("val", 4)):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(colour, 18, (48, 48, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{label}{number}.png")
    return folder


def recipe(**changes: object) -> Recipe:
    settings = {"epochs": 10, "phases": ((32, 1.0),), "batch": 24, "rate": 5e-3, "frozen": 0.0, **changes}
    return Recipe(BACKBONE, **settings)  # type: ignore[arg-type]


def test_a_folder_of_images_becomes_an_encoder(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    report = train_encoder([pictures], out, recipe(), max_gsd_m=2.0)
    assert report.finished and report.step == report.steps
    assert report.shares["fields: class prompts"].value >= 0.9, report.shares
    assert {f.name for f in out.iterdir()} >= {"image.onnx", "text.onnx", "tokenizer.json", "README.md", "report.json"}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "60 images (48 train, 12 val)" in card and "fields: class prompts" in card

    encoder = rsrag.create("encoder", "starter", path=str(out))
    assert encoder.size == 32 and encoder.max_gsd_m == 2.0
    assert encoder.id != rsrag.create("encoder", "starter").id
    scenes = [rsrag.open_scene(pictures / "val" / label / f"{label}0.png") for label in COLOURS]
    images = encoder.encode_scenes(scenes)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    words = encoder.encode_texts([f"a satellite image of {label}." for label in COLOURS])
    assert list((images @ words.T).argmax(1)) == [0, 1, 2]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(pictures: Path, tmp_path: Path) -> None:
    straight = train_encoder([pictures], tmp_path / "straight", recipe(epochs=3))

    class Stop(Exception):
        pass

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        train_encoder([pictures], tmp_path / "stopped", recipe(epochs=3), progress=stop)
    assert (tmp_path / "stopped" / CHECKPOINT).is_file()
    seen: list[int] = []
    went_on = train_encoder(
        [pictures], tmp_path / "stopped", recipe(epochs=3), progress=lambda step, steps, losses: seen.append(step)
    )
    assert seen[0] == 4 and went_on.steps == straight.steps
    weights = [(tmp_path / name / "tower.safetensors").read_bytes() for name in ("stopped", "straight")]
    assert weights[0] == weights[1]


def test_a_run_out_of_minutes_says_where_it_stopped(pictures: Path, tmp_path: Path) -> None:
    report = train_encoder([pictures], tmp_path / "out", recipe(), minutes=0)
    assert not report.finished and report.step == 0 and not report.shares
    assert not (tmp_path / "out" / "image.onnx").exists()


def test_another_recipe_does_not_go_on_from_a_checkpoint(pictures: Path, tmp_path: Path) -> None:
    train_encoder([pictures], tmp_path / "out", recipe(epochs=1))
    with pytest.raises(ModelError, match=r"made with rate = 0\.005, not 0\.001"):
        train_encoder([pictures], tmp_path / "out", recipe(epochs=1, rate=1e-3))
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match=r"checkpoint .* cannot be read"):
        train_encoder([pictures], tmp_path / "out", recipe(epochs=1))


def test_out_of_memory_names_a_batch_to_try(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 17179869184 bytes.")

    monkeypatch.setattr("rsrag.training.fit._step", full)
    with pytest.raises(ModelError, match="batches of 24 at 32 px") as caught:
        train_encoder([pictures], tmp_path / "out", recipe())
    assert "--batch 12" in caught.value.hint


def test_a_device_that_is_not_there_is_named(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no device 'abacus'") as caught:
        train_encoder([pictures], tmp_path / "out", recipe(), device="abacus")
    assert "cpu" in caught.value.hint


def test_classes_can_be_left_out(pictures: Path, tmp_path: Path) -> None:
    report = train_encoder([pictures], tmp_path / "out", recipe(epochs=1), without=["sea"])
    assert "40 images" in report.data and "2 classes" in report.data
    with pytest.raises(UsageError, match="no image has the label 'see'"):
        train_encoder([pictures], tmp_path / "out2", recipe(epochs=1), without=["see"])


def test_weights_of_another_architecture_are_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    torch.save(make_tower("test_resnet", 16).state_dict(), other)
    with pytest.raises(ModelError, match="another architecture than 'test_efficientnet'"):
        make_tower(BACKBONE, 16, str(other))
    with pytest.raises(UsageError, match="there is no backbone 'resnet1000'"):
        make_tower("resnet1000", 16)
    with pytest.raises(ModelError, match="no weights at"):
        make_tower(BACKBONE, 16, str(tmp_path / "none.pt"))
    with pytest.raises(UsageError, match="no ImageNet weights for 'test_efficientnet'"):
        make_tower(BACKBONE, 16, "imagenet")
    evil = tmp_path / "evil.pt"
    evil.write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/x'\ntR.")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        make_tower(BACKBONE, 16, str(evil))


def test_a_tower_starts_from_its_own_weights_and_from_a_backbone_s(tmp_path: Path) -> None:
    first = make_tower(BACKBONE, 16)
    torch.save({"state_dict": {f"module.{k}": v for k, v in first.state_dict().items()}}, tmp_path / "whole.pt")
    torch.save(first.backbone.state_dict(), tmp_path / "backbone.pt")
    whole = make_tower(BACKBONE, 16, str(tmp_path / "whole.pt"))
    part = make_tower(BACKBONE, 16, str(tmp_path / "backbone.pt"))
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(first.eval()(pixels)[0], whole.eval()(pixels)[0])
        assert torch.equal(first(pixels)[1], part.eval()(pixels)[1])
    with pytest.raises(ModelError, match=r"does not fit|another architecture"):
        load_weights(make_tower(BACKBONE, 8), BACKBONE, str(tmp_path / "whole.pt"))


# -- parts ----------------------------------------------------------------------------------------


@given(seed=st.integers(0, 99), zoom=st.floats(0.3, 2.0))
def test_views_are_images_and_depend_on_the_seed_alone(seed: int, zoom: float) -> None:
    pixels = torch.randint(0, 256, (3, 3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    augment = Augment(zoom=(zoom, zoom * 1.1))
    one, same = (augment.view(pixels, 16, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert one.shape == (3, 3, 16, 16) and one.dtype == torch.float32
    assert float(one.min()) >= 0 and float(one.max()) <= 1
    assert torch.equal(one, same)


def test_an_unchanged_view_shows_the_image() -> None:
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    pixels[:, 0, :16] = 255  # the top is red
    plain = Augment(zoom=(1, 1), brightness=0, contrast=0, tint=0, grey=0, coarse=0, free_rotation=0)
    views = torch.cat([plain.view(pixels, 16, torch.Generator().manual_seed(seed)) for seed in range(8)])
    # Turned and mirrored, but half of it stays red.
    np.testing.assert_allclose(views[:, 0].mean((1, 2)), 0.5, atol=0.08)
    assert not views[:, 1:].any()


def test_cutmix_says_how_much_it_kept() -> None:
    view = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 16, 16).clone()
    for seed in range(10):
        mixed, order, kept = cutmix(view, torch.Generator().manual_seed(seed))
        for row in range(4):
            expected = kept * row + (1 - kept) * int(order[row])
            assert float(mixed[row].mean()) == pytest.approx(expected, abs=1e-5)


@given(right=st.integers(0, 50), more=st.integers(0, 50))
def test_intervals_hold_their_share(right: int, more: int) -> None:
    share = Share(right, right + more)
    low, high = share.interval
    assert -1e-9 <= low <= high <= 1 + 1e-9
    if share.n:
        assert low - 1e-9 <= share.value <= high + 1e-9


def test_measures_on_vectors_whose_answer_is_known() -> None:
    eye = np.eye(4, dtype=np.float32)
    target = np.arange(4)
    assert validation.by_prompt(eye, eye, target).value == 1
    assert validation.by_prompt(eye, eye[[1, 0, 2, 3]], target).value == 0.5
    assert validation.by_neighbour(eye, target, eye[::-1], target[::-1]).value == 1
    # Two images share a caption: either is right.
    captions = [["a"], ["a"], ["b"], ["c"]]
    vectors = {"a": eye[0], "b": eye[2], "c": eye[0]}
    assert validation.by_caption(eye, captions, vectors, 1) == Share(3, 4)
    assert validation.by_caption(eye, captions, vectors, 9).value == 1


def test_changes_keep_the_size() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    for name, change in validation.CHANGES.items():
        assert change(image).mode == "RGB", name
    assert validation.CHANGES["mirrored, 0.5x"](image).size == (40, 40)
    assert validation.CHANGES["centre, 2x"](image).size == (20, 20)


@pytest.mark.parametrize(
    ("label", "words"),
    [("StorageTanks", "storage tanks"), ("dense_residential", "dense residential"), ("Sea-ice", "sea ice"), ("x", "x")],
)
def test_labels_as_words(label: str, words: str) -> None:
    assert spoken(label) == words


@pytest.mark.parametrize("text", ["Pond = 3", "Pond = []", 'Pond = ["a", 3]', "Pond = [", 'Pond = [" "]'])
def test_names_that_cannot_be_used_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "names.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"names\.toml"):
        read_names(file)
