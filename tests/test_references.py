"""Labels by images whose labels are known: through the assistant, and the rule itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import rsrag
from rsrag import Assistant, KnowledgeBase, Record
from rsrag.classification import KnownImages
from rsrag.cli.app import build
from rsrag.references import Referees, References
from rsrag.testing.encoders import COLOURS

LABELS = ("red roofs", "green area", "barn")


def stripes(path: Path, colour: str, other: str, seed: int) -> Path:
    """Mostly one colour, and some cells of another."""
    rng = np.random.default_rng(seed)
    cells = np.full((8, 8, 3), COLOURS[colour], np.uint8)
    for _ in range(12):
        cells[rng.integers(8), rng.integers(8)] = COLOURS[other]
    pixels = np.asarray(Image.fromarray(cells).resize((64, 64), Image.Resampling.NEAREST), np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    grainy = pixels + rng.integers(-9, 10, (64, 64, 1))  # as photographs are
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(path)
    return path


class Barns:
    """Barns look blue-grey, which no prompt says; red roofs are red."""

    name = "barns"
    role = "reference"
    label = "barns"

    def __init__(self, root: Path, count: int = 4) -> None:
        self.root = root
        self._files = {
            label: [stripes(root / f"{label}{n}.png", colour, other, n).name for n in range(count)]
            for label, colour, other in (("barn", "blue", "grey"), ("red roofs", "red", "grey"))
        }

    def records(self) -> Iterator[Record]:
        for label, files in self._files.items():
            for file in files:
                yield Record(file, f"class/{label.replace(' ', '-')}", file, images=(file,))


@pytest.fixture
def stocked(kb: KnowledgeBase, tmp_path: Path) -> KnowledgeBase:
    kb.add(Barns(tmp_path / "known"))
    return kb


def test_images_of_the_store_name_what_no_prompt_names(stocked: KnowledgeBase, tmp_path: Path) -> None:
    barn = stripes(tmp_path / "asked.png", "blue", "grey", 99)
    assistant = Assistant(stocked)
    labels = ("red roofs", "barn")
    known = assistant.classify(barn, labels, knowledge=True)
    assert known.label == "barn"
    assert assistant.classify(barn, labels).label == known.plain != "barn"
    assert sum(share for _, share in known.scores) == pytest.approx(1)


def test_images_of_a_list_are_judged_as_one_alone(stocked: KnowledgeBase, tmp_path: Path) -> None:
    files = [stripes(tmp_path / "asked" / f"{c}.png", c, "grey", 7) for c in ("blue", "red")]
    assistant, labels = Assistant(stocked), ("red roofs", "barn")
    found = assistant.classify([tmp_path / "asked"], labels, knowledge=True)
    assert [image.label for image in found.images] == ["barn", "red roofs"]
    for image, file in zip(found.images, files, strict=True):
        assert dict(image.scores) == pytest.approx(dict(assistant.classify(file, labels, knowledge=True).scores))


def test_records_that_are_excluded_have_no_say(stocked: KnowledgeBase, tmp_path: Path) -> None:
    barn = stripes(tmp_path / "asked.png", "blue", "grey", 99)
    assistant = Assistant(stocked)
    plain = assistant.classify(barn, LABELS)
    left = assistant.classify(barn, LABELS, knowledge=True, exclude=[f"barn{n}.png" for n in range(4)])
    assert left.scores == plain.scores  # one label alone has images: there is nothing to decide


def test_a_store_without_images_of_the_labels_changes_nothing(kb: KnowledgeBase, tmp_path: Path) -> None:
    image = stripes(tmp_path / "asked.png", "red", "grey", 1)
    assistant = Assistant(kb)
    wanted = ("moon base", "sea floor")
    assert assistant.classify(image, wanted, knowledge=True).scores == assistant.classify(image, wanted).scores


@pytest.mark.parametrize("label", ["red roofs", "Red-Roof", "RED_ROOFS"])
def test_a_label_meets_its_images_whatever_its_spelling(stocked: KnowledgeBase, label: str) -> None:
    found = KnownImages(stocked).showing([label, "barn"])
    assert [record for record, place in zip(found.records, found.shows, strict=True) if place == 0] == [
        f"red roofs{n}.png" for n in range(4)
    ]


def test_of_many_images_some_are_taken_from_all_over_the_store(stocked: KnowledgeBase) -> None:
    found = KnownImages(stocked).showing(["barn"], most=2)
    assert found.records == ("barn0.png", "barn2.png")


def test_many_images_of_each_subject_do_not_silence_the_vote(kb: KnowledgeBase, tmp_path: Path) -> None:
    """The nearest fifty are then all of one subject, which is agreement and not ignorance."""
    source = Barns(tmp_path / "known", count=60)
    for colour in ("green", "white", "yellow", "brown"):
        source._files[colour] = [stripes(source.root / f"{colour}{n}.png", colour, "grey", n).name for n in range(60)]
    kb.add(source)
    barn = stripes(tmp_path / "asked.png", "blue", "grey", 99)
    answer = Assistant(kb).ask("What is this?", barn)
    ((_, label, _, _, reason),) = answer.trace["votes"]
    assert (label, reason) == ("class/barn", "")


def test_a_store_of_one_subject_still_names_nothing(kb: KnowledgeBase, tmp_path: Path) -> None:
    source = Barns(tmp_path / "known", count=60)
    del source._files["red roofs"]
    kb.add(source)
    answer = Assistant(kb).ask("What is this?", stripes(tmp_path / "asked.png", "blue", "grey", 99))
    ((_, label, _, _, reason),) = answer.trace["votes"]
    assert label == "" and reason


# -- the rule -------------------------------------------------------------------------------------


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 12))
def test_judging_is_finite_and_keeps_labels_without_images_as_they_were(seed: int, labels: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    prompts = unit(rng.standard_normal((labels, 8)))
    shows = rng.integers(0, labels, images)
    references = References(unit(rng.standard_normal((images, 8))), shows, tuple(map(str, range(images))))
    referees = Referees(references, prompts)
    image = unit(rng.standard_normal(8))
    cosines = prompts @ image
    judged = referees.judged(image, cosines)
    assert np.isfinite(judged).all()
    assert (judged[~referees.known] == cosines[~referees.known]).all()
    if referees.known.any():
        assert judged[referees.known].max() == pytest.approx(cosines[referees.known].max())


def test_spread_within_labels_counts_less_than_what_tells_them_apart() -> None:
    """Two labels whose prompts mislead, and whose images differ a little in one direction and scatter in ten others."""
    rng = np.random.default_rng(0)
    prompts, centres, scatter = np.zeros((2, 12)), np.zeros((2, 12)), np.full(12, 0.3)
    prompts[:, 0] = centres[:, 0] = 1
    prompts[:, 1], centres[:, 1], scatter[:2] = (-0.1, 0.1), (0.15, -0.15), 0.02

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        shows = np.repeat(np.arange(2), count)
        return unit(centres[shows] + scatter * rng.standard_normal((2 * count, 12))), shows

    vectors, shows = drawn(20)
    asked, right = drawn(100)
    referees = Referees(References(vectors, shows, ("",) * 40), unit(prompts))
    judged = np.array([referees.judged(image, unit(prompts) @ image).argmax() for image in asked])
    nearest = shows[(asked @ vectors.T).argmax(1)]
    assert ((asked @ prompts.T).argmax(1) == right).mean() < 0.1
    assert (judged == right).mean() > 0.95
    assert (nearest == right).mean() < 0.85


def test_the_order_of_the_images_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    prompts, image = unit(rng.standard_normal((4, 6))), unit(rng.standard_normal(6))
    vectors, shows = unit(rng.standard_normal((12, 6))), np.arange(12) % 4
    order = rng.permutation(12)
    one = Referees(References(vectors, shows, ("",) * 12), prompts).judged(image, prompts @ image)
    other = Referees(References(vectors[order], shows[order], ("",) * 12), prompts).judged(image, prompts @ image)
    assert one == pytest.approx(other)


def test_the_shipped_encoder_learns_a_word_from_images(tmp_path: Path) -> None:
    """Images of a pack under names that mean nothing: only the images can tell which is which."""
    names = {"tennis-court": "zarb", "beach": "quon", "parking-lot": "mipf"}
    found: dict[str, list[Path]] = {}
    pack = Path(rsrag.__file__).parents[1] / "knowledge" / "scenes"
    for record in rsrag.create("source", "pack", path=str(pack)).records():
        kind = record.subject.removeprefix("class/")
        if record.images and kind in names:
            found.setdefault(kind, []).append(pack / record.images[0])
    for kind, files in found.items():
        for file in files[:-2]:
            target = tmp_path / "images" / names[kind] / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    with KnowledgeBase(tmp_path / "store") as kb:
        kb.add(tmp_path / "images")  # the folder of each becomes a facet
        assistant = Assistant(kb)
        asked = [(file, names[kind]) for kind, files in found.items() for file in files[-2:]]
        assert len(asked) == 6
        right = [assistant.classify(file, list(names.values()), knowledge=True).label == name for file, name in asked]
        assert sum(right) >= 5
    file, name = asked[0]
    command = ("classify", str(file), "--labels", ",".join(names.values()), "--kb", str(tmp_path / "store"), "--json")
    told = CliRunner().invoke(build(list(command)), [*command, "--knowledge"])
    assert json.loads(told.stdout)["label"] == name
    refused = CliRunner().invoke(build(list(command)), [*command, "--knowledge", "--plain-vote"])
    assert refused.exit_code == 2 and "exclude each other" in refused.output
