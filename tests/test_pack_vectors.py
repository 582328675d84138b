"""Vectors that come with a pack: used for the very content they were made of, with the encoder that made them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsrag import KnowledgeBase, Plugins, Query
from rsrag.builtin.sources.pack_vectors import write
from rsrag.testing.encoders import FakeEncoder

TEXTS = {"a": "Salt ponds are bright.", "b": "Peat bogs are dark.", "c": "Dunes have ripples."}


def pack(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pack.toml").write_text('name = "small"\n')
    lines = [{"id": k, "subject": f"class/{k}", "title": f"Title {k}", "text": text} for k, text in texts.items()]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def opened(path: Path, encoder: FakeEncoder) -> KnowledgeBase:
    return KnowledgeBase(path, encoder, plugins=Plugins(external=False))


@pytest.fixture
def with_vectors(tmp_path: Path) -> Path:
    """A pack with the vectors that the fake encoder made of it."""
    folder = pack(tmp_path / "pack", TEXTS)
    with opened(tmp_path / "first", FakeEncoder()) as kb:
        kb.add(folder)
        kb.export(tmp_path / "out")
    hashes = (tmp_path / "out" / "vectors" / "texts.txt").read_text().split()
    write(folder, "texts", FakeEncoder().id, hashes, np.load(tmp_path / "out" / "vectors" / "texts.npy"))
    return folder


def test_what_comes_with_its_vectors_is_not_encoded(with_vectors: Path, tmp_path: Path) -> None:
    encoder = FakeEncoder()
    with opened(tmp_path / "kb", encoder) as kb:
        report = kb.add(with_vectors)
        assert (report.added, report.embedded, encoder.texts_encoded, report.failed) == (3, 0, 0, ())
        found = kb.search_vectors(Query("ripples of dunes"), "texts", "text", 1)
        assert found[0].chunk.provenance.record == "c"
        assert kb.verify().problems == []


def test_a_text_that_changed_is_encoded(with_vectors: Path, tmp_path: Path) -> None:
    pack(with_vectors, {**TEXTS, "b": "Peat bogs are brown."})
    with opened(tmp_path / "kb", FakeEncoder()) as kb:
        assert kb.add(with_vectors).embedded == 1


def test_another_encoder_makes_its_own(with_vectors: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "kb", FakeEncoder(version="2")) as kb:
        report = kb.add(with_vectors)
        assert (report.embedded, report.failed) == (3, ())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:200],
        lambda data: b"",
        lambda data: b"PK\x03\x04" + data[4:60],
        lambda data: data.replace(b"rows.npy", b"cows.npy"),
    ],
)
def test_a_damaged_file_is_reported_and_costs_nothing_else(with_vectors: Path, tmp_path: Path, damage: object) -> None:
    file = with_vectors / "vectors" / "texts.npz"
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    with opened(tmp_path / "kb", FakeEncoder()) as kb:
        report = kb.add(with_vectors)
        assert (report.added, report.embedded) == (3, 3)
        assert "texts.npz" in str(report.failed)


def test_vectors_of_another_length_are_refused(with_vectors: Path, tmp_path: Path) -> None:
    write(with_vectors, "texts", FakeEncoder().id, ["0" * 32], np.ones((1, 3), np.float32) / 3**0.5)
    with opened(tmp_path / "kb", FakeEncoder()) as kb:
        report = kb.add(with_vectors)
        assert report.embedded == 3 and "vectors of texts" in str(report.failed)


def test_pickles_are_not_opened(with_vectors: Path, tmp_path: Path) -> None:
    file = with_vectors / "vectors" / "texts.npz"
    np.savez(file, hashes=np.array([{"a": 1}], object), rows=np.ones((1, 64), np.float16), encoder=FakeEncoder().id)
    with opened(tmp_path / "kb", FakeEncoder()) as kb:
        assert "pickle" in str(kb.add(with_vectors).failed)


def test_the_packs_of_the_wheel_bring_theirs_for_the_starter_encoder(tmp_path: Path) -> None:
    """What was written since they were made is encoded on first use, while somebody waits: few texts at most.

    `python examples/packs/embed.py knowledge/*/` makes them anew.
    """
    names = ("indices", "methods", "phenomena", "scenes", "sensors")
    with KnowledgeBase(tmp_path / "kb", plugins=Plugins(external=False)) as kb:
        reports = [kb.add(name) for name in names]
        assert [report.failed for report in reports] == [()] * len(names)
        assert kb.spaces.null("images", "scene")[1] > 0  # what chance scores is measured all the same
        assert sum(report.embedded for report in reports) <= 0.02 * sum(n for *_, n in kb.info().spaces)
