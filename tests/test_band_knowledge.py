"""What bands say becomes text that is searched: scenes are found by what a colour picture does not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsrag import Assistant, KnowledgeBase
from rsrag.builtin.sources.tiles import COMPUTED
from rsrag.testing.rasters import make_geotiff, make_image

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
# Reflectance x 10,000 of each band: rough spectra of what is told apart.
SPECTRA = {
    "desert": (1500, 2200, 3000, 3600, 4400, 4000),
    "water": (600, 500, 300, 120, 60, 40),
    "forest": (200, 500, 250, 4000, 1600, 700),
    "snow": (8500, 8600, 8500, 8000, 900, 700),
    "grass": (500, 800, 900, 2300, 2300, 1500),
}


def scene(folder: Path, name: str, spectrum: str) -> Path:
    """64 x 64 pixels of one cover. The colour bands of all look alike: only the others tell them apart."""
    rng = np.random.default_rng(len(name))
    values = np.array(SPECTRA[spectrum], float)[:, None, None] * rng.uniform(0.97, 1.03, (6, 64, 64))
    tags = {"TIFFTAG_DATETIME": "2021:07:01 10:30:00"}
    return make_geotiff(folder / f"{name}.tif", data=values.astype(np.uint16), descriptions=BANDS, tags=tags)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two scenes of each cover under names that say nothing."""
    folder = tmp_path / "archive"
    for number, spectrum in enumerate(SPECTRA):
        for turn in range(2):
            scene(folder, f"s{number}{turn}", spectrum)
    return folder


@pytest.mark.parametrize(
    ("asked", "spectrum"),
    [
        ("desert", "desert"),
        ("open water", "water"),
        ("dense vegetation", "forest"),
        ("snow", "snow"),
        ("sparse vegetation", "grass"),
    ],
)
def test_text_finds_scenes_by_their_bands(kb: KnowledgeBase, archive: Path, asked: str, spectrum: str) -> None:
    kb.add(archive)
    number = list(SPECTRA).index(spectrum)
    hits = Assistant(kb).search(asked, kind="text", k=2)
    assert {hit.chunk.subject for hit in hits} == {f"file/s{number}0", f"file/s{number}1"}


def test_it_is_marked_as_computed_and_joins_its_image(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = scene(tmp_path, "a", "desert")
    report = kb.add(file, license="CC0-1.0", attribution="Somebody")
    assert (report.added, report.failed) == (2, ())
    (text,) = kb.catalog.chunks.where("c.kind = ?", ("text",))
    (image,) = kb.catalog.chunks.where("c.kind = ?", ("image",))
    assert text.part == "bands"
    assert (text.provenance.license, text.provenance.attribution) == ("", COMPUTED)
    assert (image.provenance.license, image.provenance.attribution) == ("CC0-1.0", "Somebody")
    assert (text.subject, text.bbox, text.acquired) == (image.subject, image.bbox, image.acquired)
    assert "Desert-like barren ground" in text.text
    assert "6 bands, taken on 1 July 2021, 10 m per pixel. Its middle lies at 52.35° N, 15.00° E." in text.text


def test_once_is_enough(kb: KnowledgeBase, archive: Path) -> None:
    assert kb.add(archive).added == 20
    again = kb.add(archive)
    assert (again.added, again.updated, again.unchanged, again.embedded) == (0, 0, 20, 0)


def test_radar_says_its_polarisations(kb: KnowledgeBase, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(-12, 2, (2, 64, 64)).astype(np.float32)
    values[1] -= 7
    kb.add(make_geotiff(tmp_path / "s1.tif", data=values, descriptions=("VV", "VH")))
    (text,) = kb.catalog.chunks.where("c.kind = ?", ("text",))
    assert "VV -12.1 dB, VH -19.0 dB" in text.text


def test_a_tiled_scene_says_it_once(kb: KnowledgeBase, tmp_path: Path) -> None:
    kb.add(scene(tmp_path, "a", "forest"), tile=32)
    assert [c.part for c in kb.catalog.chunks.where("c.kind = ?", ("text",))] == ["scene", "bands"]
    assert len(kb.catalog.chunks.where("c.kind = ?", ("image",))) == 4


@pytest.mark.parametrize("descriptions", [("red", "green", "blue"), ("red", "green", "blue", "alpha"), None])
def test_ordinary_pictures_say_nothing(
    kb: KnowledgeBase, tmp_path: Path, descriptions: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And cost nothing: their bands are not even looked at."""
    monkeypatch.setattr("rsrag.builtin.sources.tiles.band_facts", lambda scene: pytest.fail("looked at its bands"))
    make_geotiff(tmp_path / "in" / "a.tif", bands=len(descriptions or "rgb"), descriptions=descriptions)
    make_image(tmp_path / "in" / "b.png")
    report = kb.add(tmp_path / "in")
    assert (report.added, report.failed) == (2, ())


def test_bands_that_cannot_be_read_cost_only_their_text(kb: KnowledgeBase, tmp_path: Path) -> None:
    data = np.zeros((6, 64, 64), np.uint16)
    report = kb.add(make_geotiff(tmp_path / "a.tif", data=data, descriptions=BANDS, nodata=0))
    assert report.added == 1
    ((where, why),) = report.failed
    assert where == "a.tif#bands"
    assert "valid" in why


def test_what_changes_is_said_anew(kb: KnowledgeBase, tmp_path: Path) -> None:
    import os
    import time

    file = scene(tmp_path, "a", "desert")
    kb.add(file)
    scene(tmp_path, "a", "water")
    os.utime(file, (time.time() + 5, time.time() + 5))
    assert kb.add(file).updated == 2
    (text,) = kb.catalog.chunks.where("c.kind = ?", ("text",))
    assert "open water" in text.text
    make_geotiff(file, descriptions=("red", "green", "blue"))
    os.utime(file, (time.time() + 9, time.time() + 9))
    report = kb.add(file)
    assert report.updated == 1
    assert kb.catalog.chunks.where("c.kind = ?", ("text",)) == []
