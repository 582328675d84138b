"""Tiles of large scenes: how they are cut, stored, searched and mapped; what blank, damaged and odd files cost."""

from __future__ import annotations

import json
import os
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rsrag import Assistant, KnowledgeBase, Plugins, Query, RsragError, SceneError, UsageError, open_scene
from rsrag.builtin.sources.folder import FolderSource
from rsrag.cli.app import build
from rsrag.images import ArrayReader, Region
from rsrag.testing.encoders import COLOURS, FakeEncoder
from rsrag.testing.rasters import make_geotiff, make_image
from rsrag.tile_search import MOST_KEPT, SHARED, cache_folder, rank, search_tiles, shared
from rsrag.tiling import BLOCK_SIDE, Tile, TiledScene

BLUE = Region(448, 192, 64, 64)
"""Where `mosaic` has a blue square; the upper half is green, the lower empty."""


def speckled(rng: np.random.Generator, colour: str, height: int, width: int) -> np.ndarray:
    """uint8 (3, height, width) of nearly one colour, so that it is not blank."""
    flat = np.array(COLOURS[colour], np.int16)[:, None, None]
    return (flat + rng.integers(-5, 6, (3, height, width))).clip(1, 255).astype(np.uint8)


@pytest.fixture
def mosaic(tmp_path: Path) -> Path:
    """768 x 512 pixels of 10 m in UTM 33N: a blue square in a green upper half; the lower half holds no data."""
    rng = np.random.default_rng(0)
    data = np.zeros((3, 512, 768), np.uint8)
    data[:, :256] = speckled(rng, "green", 256, 768)
    data[:, BLUE.y : BLUE.y + BLUE.h, BLUE.x : BLUE.x + BLUE.w] = speckled(rng, "blue", BLUE.h, BLUE.w)
    return make_geotiff(tmp_path / "in" / "mosaic.tif", data=data, nodata=0, tiled=True, blockxsize=128, blockysize=128)


# -- cutting, pure --------------------------------------------------------------------------------


@given(st.integers(1, 2500), st.integers(1, 2500), st.integers(48, 3000), st.integers(0, 400))
def test_tiles_cover_every_pixel_once_and_lie_in_their_blocks(w: int, h: int, size: int, overlap: int) -> None:
    scene = ArrayReader(np.zeros((1, 1), np.uint8)).scene()
    overlap = min(overlap, size // 2)
    tiled = TiledScene(_sized(scene, w, h), size, overlap)
    seen = {(tile.row, tile.column) for tile in tiled.tiles}
    assert len(seen) == len(tiled.tiles)
    for axis, length in ((0, w), (1, h)):
        starts = sorted({tile.region[axis] for tile in tiled.tiles})
        side = min(size, length)
        assert starts[0] == 0
        assert starts[-1] + side == length
        assert all(b - a <= max(1, size - overlap) for a, b in pairwise(starts))
    for tile in tiled.tiles:
        (x, y, tw, th), block = tile.region, tile.block
        assert block.x <= x
        assert block.y <= y
        assert x + tw <= block.x + block.w
        assert y + th <= block.y + block.h
        assert max(block.w, block.h) <= max(BLOCK_SIDE, size)


def _sized(scene: Any, w: int, h: int) -> Any:
    from dataclasses import replace

    return replace(scene, width=w, height=h)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=36), st.integers(1, 8))
def test_listed_tiles_do_not_lie_over_each_other(cosines: list[float], k: int) -> None:
    tiles = [
        Tile(i // 6 + 1, i % 6 + 1, Region(i % 6 * 32, i // 6 * 32, 64, 64), Region(0, 0, 9, 9)) for i in range(36)
    ]
    hits = rank(tiles[: len(cosines)], cosines, k)
    listed = [hit for hit in hits if hit.rank]
    assert [hit.cosine for hit in hits] == sorted(cosines, reverse=True)
    assert [hit.rank for hit in listed] == list(range(1, len(listed) + 1))
    assert listed[0] is hits[0]
    assert all(shared(a.region, b.region) <= SHARED for a in listed for b in listed if a is not b)
    if len(listed) < k:  # then no other tile could have been added
        rest = [hit for hit in hits if not hit.rank]
        assert all(any(shared(hit.region, one.region) > SHARED for one in listed) for hit in rest)


@pytest.mark.parametrize(
    ("size", "overlap", "why"),
    [(8, 0, "too small"), (0, 0, "too small"), (64, 64, "not smaller"), (64, -1, "negative"), (-64, 0, "too small")],
)
def test_sizes_without_sense_are_refused(size: int, overlap: int, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        TiledScene(ArrayReader(np.zeros((90, 90), np.uint8)).scene(), size, overlap)


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", "uint16", "png"])
def test_a_tile_shows_the_pixels_of_its_window(tmp_path: Path, kind: str) -> None:
    if kind == "png":
        file = make_image(tmp_path / "a.png", size=(300, 200))
    else:
        file = make_geotiff(tmp_path / "a.tif", size=(300, 200), dtype=kind, tiled=True, blockxsize=64, blockysize=64)
    tiled = TiledScene(open_scene(file), 64, 16)
    whole = tiled.scene.rgb(300)
    for tile in tiled.tiles:
        x, y, w, h = tile.region
        scene = tiled.read(tile)
        assert scene is not None
        assert scene.uri == f"{file}#xywh={x},{y},{w},{h}"
        np.testing.assert_array_equal(scene.rgb(512), whole[y : y + h, x : x + w])
        assert scene.rgb(32).shape == (32, 32, 3)
        assert scene.bbox == open_scene(scene.uri).bbox


def test_tiles_share_one_stretch(tmp_path: Path) -> None:
    """Dark stays dark beside bright: stretched alone, both halves would look alike."""
    data = np.random.default_rng(0).integers(100, 130, (1, 128, 256)).astype(np.uint16)
    data[:, :, 128:] *= 20
    tiled = TiledScene(open_scene(make_geotiff(tmp_path / "a.tif", data=data)), 128)
    dark, bright = (tiled.read(tile) for tile in tiled.tiles)
    assert dark is not None
    assert bright is not None
    assert dark.rgb().max() < 20
    assert bright.rgb().min() > 180
    assert open_scene(dark.uri).rgb().max() == 255  # a window that is opened by itself is stretched by itself


def test_blank_tiles_are_seen_in_an_overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a scene with overviews nothing is read where nothing is."""
    import rasterio

    data = np.zeros((3, 1024, 1024), np.uint8)
    data[:, :128, :128] = np.random.default_rng(0).integers(0, 256, (3, 128, 128))
    data[:, 512:, 512:] = 255
    file = make_geotiff(tmp_path / "a.tif", data=data, tiled=True, blockxsize=128, blockysize=128)
    with rasterio.open(file, "r+") as target:
        target.build_overviews([2, 4, 8])
    tiled = TiledScene(open_scene(file), 128)
    assert len(tiled.tiles) == 64
    assert [tile.region for tile in tiled.filled()] == [Region(0, 0, 128, 128)]
    monkeypatch.setattr("rsrag.rasters.CHEAP_BYTES", 0)  # too costly to look beforehand: seen when it is read
    dear = TiledScene(open_scene(file), 128)
    assert len(dear.filled()) == 64
    assert sum(dear.read(tile) is not None for tile in dear.filled()) == 1


# -- in a store -----------------------------------------------------------------------------------


def test_tiles_are_images_with_their_own_place(kb: KnowledgeBase, mosaic: Path) -> None:
    mosaic.with_suffix(".txt").write_text("The harbour of Norrvik.")
    report = kb.add(mosaic, tile=64, overlap=0)
    assert (report.added, report.failed, report.skipped) == (49, (), (("blank tiles", 48),))
    best = kb.search_vectors(Query("blue"), "images", "text", 1)[0].chunk
    assert best.image == best.provenance.record == f"mosaic.tif#xywh={','.join(map(str, BLUE))}"
    assert best.facets["scene"] == "mosaic"
    assert best.facets["tile"] == "r4c8"
    assert best.title == "Mosaic, tile r4 c8"
    scene = open_scene(mosaic)
    window = scene.window(*BLUE)
    assert best.bbox == window.bbox
    assert kb.catalog.db.execute("SELECT count(*) FROM footprints").fetchone()[0] == 48
    # What is written of the scene belongs to it as a whole, and joins its tiles by their subject.
    text = kb.search_text(Query("harbour"), 1)[0].chunk
    assert (text.provenance.record, text.subject, text.bbox) == ("mosaic.tif", best.subject, scene.bbox)
    assert kb.search_text(Query("middle"), 1)[0].chunk.part == "scene"


def test_a_folder_of_scenes_is_cut(kb: KnowledgeBase, tmp_path: Path) -> None:
    for number in range(6):
        make_geotiff(tmp_path / "in" / f"s{number}.tif", size=(128, 64), seed=number)
    (tmp_path / "in" / "notes.md").write_text("A survey of May.")
    report = kb.add(tmp_path / "in", tile=64)
    assert (report.added, report.failed, report.skipped) == (6 * 3 + 1, (), ())
    assert len({c.image for c in kb.catalog.chunks.where("c.kind = ?", ("image",))}) == 12


def test_again_costs_nothing_and_another_cut_replaces(kb: KnowledgeBase, mosaic: Path) -> None:
    kb.add(mosaic, tile=128)
    encoder = kb.encoder
    assert isinstance(encoder, FakeEncoder)
    seen = encoder.scenes_encoded
    again = kb.add(mosaic)  # with the options it was first added with
    assert (again.added, again.updated, again.unchanged, again.embedded) == (0, 0, 13, 0)
    assert encoder.scenes_encoded == seen
    finer = kb.add(mosaic, tile=64)
    assert (finer.added, finer.updated) == (48, 1)
    assert finer.removed == 12
    whole = kb.add(mosaic, tile=0)
    assert (whole.updated, whole.removed) == (1, 48)
    assert [chunk.image for chunk in kb.catalog.chunks.where("c.kind = ?", ("image",))] == ["mosaic.tif"]
    assert kb.index.count("images") == 1


def test_a_changed_scene_loses_the_tiles_it_no_longer_has(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = make_geotiff(tmp_path / "a.tif", size=(256, 64))
    assert kb.add(file, tile=64).added == 5
    make_geotiff(file, size=(128, 64))
    os.utime(file, (time.time() + 5, time.time() + 5))
    report = kb.add(file, tile=64)
    assert report.updated == 3
    assert len(kb.catalog.chunks.where("c.kind = ?", ("image",))) == 2


def test_of_a_file_cut_short_the_rest_is_kept(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = make_geotiff(tmp_path / "a.tif", size=(512, 512), tiled=True, blockxsize=128, blockysize=128)
    with file.open("r+b") as stream:
        stream.truncate(int(file.stat().st_size * 0.6))
    report = kb.add(file, tile=128)
    images = len(kb.catalog.chunks.where("c.kind = ?", ("image",)))
    assert 4 <= images <= 12
    (problem,) = report.failed
    assert problem[0] == "a.tif"
    assert problem[1].startswith(f"{16 - images} of its tiles cannot be read")
    assert report.added == images + 1  # and what can be said of the scene


@pytest.mark.parametrize("options", [{"tile": 8}, {"tile": -64}, {"tile": 64, "overlap": 64}, {"overlap": 64}])
def test_options_without_sense_are_refused_at_once(kb: KnowledgeBase, mosaic: Path, options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        kb.add(mosaic, **options)
    assert kb.sources() == []


def bomb(folder: Path) -> Path:
    import rasterio

    profile = {
        "driver": "GTiff",
        "width": 60_000,
        "height": 60_000,
        "count": 1,
        "dtype": "uint8",
        "compress": "deflate",
    }
    with rasterio.open(folder / "bomb.tif", "w", **profile, tiled=True, SPARSE_OK=True):
        pass
    return folder / "bomb.tif"


def odd(folder: Path, values: float | None, **options: Any) -> Path:
    data = np.random.default_rng(0).random((1, 96, 96)).astype(np.float32)
    if values is not None:
        data[:, :48] = values
        if options.pop("everywhere", False):
            data[:] = values
    return make_geotiff(folder / "odd.tif", data=data, **options)


@pytest.mark.parametrize(
    ("make", "images", "blank", "failed"),
    [
        (lambda f: odd(f, -9999.0, nodata=-9999.0, everywhere=True), 0, 4, 0),
        (lambda f: odd(f, float("nan")), 2, 2, 0),
        (lambda f: odd(f, float("inf")), 2, 2, 0),
        (lambda f: make_geotiff(f / "one.tif", size=(1, 1)), 0, 1, 0),
        (lambda f: make_geotiff(f / "many.tif", size=(48, 48), bands=255), 1, 0, 0),
        (lambda f: make_image(f / "flat.png", color=(9, 9, 9), size=(96, 96)), 0, 4, 0),
        (bomb, 0, 0, 1),
    ],
    ids=["no data", "NaN", "infinite", "one pixel", "255 bands", "one colour", "zip bomb"],
)
def test_odd_input(kb: KnowledgeBase, tmp_path: Path, make: Any, images: int, blank: int, failed: int) -> None:
    report = kb.add(make(tmp_path), tile=48)
    assert len(kb.catalog.chunks.where("c.kind = ?", ("image",))) == images
    assert dict(report.skipped).get("blank tiles", 0) == blank
    assert len(report.failed) == failed


def test_a_source_says_how_many_records_there_will_be(mosaic: Path) -> None:
    source = FolderSource(mosaic, tile=256)
    assert len(source) == 6 + 1
    assert len(list(source.records())) == 3 + 1
    assert source.skipped == {"blank tiles": 3}


# -- searching one scene --------------------------------------------------------------------------


def test_the_tile_that_fits_is_found_without_touching_the_store(kb: KnowledgeBase, mosaic: Path) -> None:
    kb.add(make_image(mosaic.parent.parent / "red.png", color=COLOURS["red"]))
    before = (kb.catalog.generation(), len(kb))
    found = Assistant(kb).search_tiles(mosaic, "blue", tile=64, overlap=0, k=3)
    assert found.best[0].region == BLUE
    assert (len(found.tiles), found.blank, found.failed) == (48, 48, 0)
    assert found.best[0].lead is not None
    assert found.best[0].lead > 3
    assert found.window(found.best[0]).bbox == open_scene(mosaic).window(*BLUE).bbox
    assert (kb.catalog.generation(), len(kb)) == before


def test_by_example(kb: KnowledgeBase, mosaic: Path, tmp_path: Path) -> None:
    example = make_image(tmp_path / "query.png", color=COLOURS["blue"])
    found = Assistant(kb).search_tiles(mosaic, image=example, tile=64, overlap=0)
    assert (found.best[0].region, found.query) == (BLUE, "query.png")


def test_the_second_question_reads_no_pixels(kb: KnowledgeBase, mosaic: Path) -> None:
    assistant = Assistant(kb)
    first = assistant.search_tiles(mosaic, "blue", tile=64, overlap=0)
    encoder = kb.encoder
    assert isinstance(encoder, FakeEncoder)
    encoded = encoder.scenes_encoded
    again = assistant.search_tiles(mosaic, "blue", tile=64, overlap=0)
    assert again.cached
    assert not first.cached
    assert again.tiles == first.tiles
    assert (again.blank, encoder.scenes_encoded) == (first.blank, encoded)
    assert not assistant.search_tiles(mosaic, "blue", tile=128, overlap=0).cached
    assert not assistant.search_tiles(mosaic, "blue", tile=64, overlap=0, bands="blue,green,red").cached
    os.utime(mosaic, (time.time() + 5, time.time() + 5))
    assert not assistant.search_tiles(mosaic, "blue", tile=64, overlap=0).cached


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"garbage"])
def test_a_broken_cache_is_no_cache(mosaic: Path, tmp_path: Path, content: bytes) -> None:
    encoder, cache = FakeEncoder(), tmp_path / "cache"
    first = search_tiles(encoder, open_scene(mosaic), "blue", tile=64, overlap=0, cache=cache)
    (file,) = cache.iterdir()
    file.write_bytes(content)
    again = search_tiles(encoder, open_scene(mosaic), "blue", tile=64, overlap=0, cache=cache)
    assert not again.cached
    assert again.tiles == first.tiles


def test_the_cache_stays_small(mosaic: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for number in range(MOST_KEPT + 5):
        (cache / f"{number}.npz").write_bytes(b"old")
        os.utime(cache / f"{number}.npz", (number, number))
    search_tiles(FakeEncoder(), open_scene(mosaic), "blue", tile=64, overlap=0, cache=cache)
    assert len(list(cache.iterdir())) == MOST_KEPT
    assert search_tiles(FakeEncoder(), open_scene(mosaic), "red", tile=64, overlap=0, cache=cache).cached


def test_unreadable_tiles_are_counted_and_not_kept(tmp_path: Path) -> None:
    file = make_geotiff(tmp_path / "a.tif", size=(512, 512), tiled=True, blockxsize=128, blockysize=128)
    with file.open("r+b") as stream:
        stream.truncate(int(file.stat().st_size * 0.6))
    found = search_tiles(FakeEncoder(), open_scene(file), "grey", tile=128, overlap=0, cache=tmp_path / "cache")
    assert found.failed + len(found.tiles) == 16
    assert found.failed > 0
    assert "damaged or cut short" in found.problem
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({}, UsageError, "a text or by an image"),
        ({"text": "  "}, UsageError, "a text or by an image"),
        ({"text": "a", "k": 0}, UsageError, "at least one"),
        ({"text": "a", "tile": 4}, UsageError, "too small"),
        ({"text": "a", "overlap": 600}, UsageError, "not smaller"),
    ],
)
def test_questions_without_sense(mosaic: Path, arguments: dict[str, Any], error: type[RsragError], why: str) -> None:
    with pytest.raises(error, match=why):
        search_tiles(FakeEncoder(), open_scene(mosaic), **arguments)


def test_a_scene_of_nothing_is_an_error(tmp_path: Path) -> None:
    file = make_geotiff(tmp_path / "a.tif", data=np.zeros((1, 64, 64), np.uint8), nodata=0)
    with pytest.raises(SceneError, match="all are blank"):
        search_tiles(FakeEncoder(), open_scene(file), "blue")


# -- on the command line --------------------------------------------------------------------------


@pytest.fixture
def run(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command line over an empty store with the fake encoder."""
    with KnowledgeBase(tmp_path / "store", "fake", plugins=plugins) as kb, kb.writer():
        kb.spaces.declare()
    monkeypatch.setattr("rsrag.plugins.Plugins.configured", lambda *given, **more: plugins)

    def invoke(*arguments: str) -> Any:
        given = [*arguments, "--kb", str(tmp_path / "store")]
        return CliRunner().invoke(build(given), given, catch_exceptions=False)

    return invoke


def test_the_command_maps_what_it_finds(run: Any, mosaic: Path, tmp_path: Path) -> None:
    page, places = tmp_path / "map.html", tmp_path / "out.json"
    call = ["search", "blue", "--tiles", str(mosaic), "--tile", "64", "--overlap", "0", "-k", "2"]
    done = run(*call, "--html", str(page), "--geojson", str(places))
    assert done.exit_code == 0, done.output
    assert "448,192,64,64" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "48 blank ones left out" in " ".join(done.stderr.split())
    features = json.loads(places.read_text())["features"]
    assert len(features) == 48
    assert features[0]["properties"]["region"] == list(BLUE)
    assert features[0]["properties"]["rank"] == 1
    ring = features[0]["geometry"]["coordinates"][0]
    assert len(ring) == 5
    box = open_scene(mosaic).window(*BLUE).bbox
    assert box is not None
    assert min(x for x, _ in ring) == pytest.approx(box.west, abs=1e-4)
    html = page.read_text()
    assert html.count('class="heat"') == 48
    assert html.count('class="best"') == 2
    assert not re.findall(r"""(?:src|href)="(?!data:|#)""", html)
    found = json.loads(run(*call, "--json").stdout)
    assert found["hits"][0]["region"] == list(BLUE)
    assert (found["tiles"], found["blank"], len(found["hits"])) == (48, 48, 2)


def test_a_picture_that_lies_nowhere_is_searched_by_its_pixels(run: Any, tmp_path: Path) -> None:
    file = make_image(tmp_path / "<b>x</b>.png", size=(128, 128))
    page, places = tmp_path / "map.html", tmp_path / "out.json"
    call = ["search", "<script>alert(1)</script>", "--tiles", str(file), "--tile", "64", "--overlap", "0"]
    done = run(*call, "--html", str(page), "--geojson", str(places))
    assert done.exit_code == 0, done.output
    assert "lat, lon" not in done.stdout
    assert "no place on Earth" in " ".join(done.stderr.split())
    assert [f["geometry"] for f in json.loads(places.read_text())["features"]] == [None] * 4
    assert "<script>alert" not in page.read_text()
    assert "<b>x" not in page.read_text()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["text", "--within", "1,2,3,4"], "filters"),
        (["text", "--all"], "filters"),
        (["text", "--image", "a.png"], "either a text or one --image"),
        ([], "either a text or one --image"),
    ],
)
def test_what_does_not_go_with_tiles_is_refused(run: Any, mosaic: Path, more: list[str], why: str) -> None:
    done = run("search", *more, "--tiles", str(mosaic))
    assert done.exit_code == 2
    assert why in " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())


def test_kb_add_tells_of_blank_tiles(run: Any, mosaic: Path) -> None:
    done = run("kb", "add", str(mosaic), "tile=64")
    assert done.exit_code == 0, done.output
    assert "Added 49 to 'mosaic'" in done.stdout
    assert "48 blank tiles left out" in done.stdout
    again = json.loads(run("kb", "add", str(mosaic), "--json").stdout)
    assert (again["unchanged"], again["skipped"]) == (49, {"blank tiles": 48})


def test_the_cache_lies_in_the_users_cache(private_home: Path) -> None:
    assert cache_folder().is_relative_to(private_home)
