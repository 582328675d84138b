"""A collection classified: through the assistant and through the command line, with what cannot be read named."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsrag
from rsrag import Assistant, Classifications, KnowledgeBase, RsragError
from rsrag.builtin.sources.folder import IMAGES as READ_BY_FOLDER
from rsrag.classification import IMAGES
from rsrag.testing.encoders import COLOURS, FakeEncoder

LABELS = ("red roofs", "green area", "blue water")
EVIL = "<img src=x onerror=alert(1)>.png"


def picture(path: Path, *colours: str, seed: int = 0) -> Path:
    """Vertical stripes of colours, a few cells of them exchanged for grey so that no two pictures are the same."""
    rng = np.random.default_rng(seed)
    cells = np.array([[COLOURS[colours[x * len(colours) // 8]] for x in range(8)] for _ in range(8)], np.uint8)
    for _ in range(4):
        cells[rng.integers(8), rng.integers(8)] = COLOURS["grey"]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clear pictures in two folders, one of two colours, and files that are none."""
    root = tmp_path_factory.mktemp("tiles")
    for number in range(3):
        for colour in ("red", "green", "blue"):
            picture(root / "clear" / colour / f"{colour}{number}.png", colour, seed=number)
    picture(root / EVIL, "red", "blue")
    (root / "broken.jpg").write_bytes(b"no image")
    (root / "notes.txt").write_text("not an image either")
    picture(root / ".hidden" / "red.png", "red")
    return root


def by_name(found: Classifications) -> dict[str, rsrag.Classification]:
    return {Path(image.image).name: image for image in found.images}


def test_a_folder_and_a_list_of_images_are_classified_together(kb: KnowledgeBase, tiles: Path) -> None:
    calls: list[tuple[int, int | None, str]] = []
    found = Assistant(kb).classify([tiles], LABELS, progress=lambda *call: calls.append(call))
    assert len(found.images) == 10
    for name, image in by_name(found).items():
        if name != EVIL:
            assert image.label.split()[0] == image.plain.split()[0] == re.sub(r"\d.*", "", name)
        assert sum(share for _, share in image.scores) == pytest.approx(1, abs=1e-5)
        assert image.label == image.scores[0][0]
    ((file, why),) = found.failed
    assert file.endswith("broken.jpg") and "not an image" in why
    assert calls[-1][:2] == (11, 11)
    listed = Assistant(kb).classify(sorted((tiles / "clear").rglob("*.png")), LABELS)
    assert len(listed.images) == 9 and listed.failed == ()


def test_a_scene_counts_as_an_image_of_a_list(kb: KnowledgeBase) -> None:
    green = np.full((32, 32, 3), COLOURS["green"], np.uint8)
    found = Assistant(kb).classify([rsrag.ArrayReader(green, "memory").scene()], LABELS)
    assert [(image.image, image.label) for image in found.images] == [("memory", "green area")]


def test_one_image_in_a_list_is_judged_as_it_is_alone(kb: KnowledgeBase, tiles: Path) -> None:
    file = tiles / "clear" / "red" / "red0.png"
    alone = Assistant(kb).classify(file, LABELS)
    (listed,) = Assistant(kb).classify([file], LABELS).images
    assert listed.label == alone.label == alone.plain
    assert [s for _, s in listed.scores] == pytest.approx([s for _, s in alone.scores], abs=1e-5)


def test_plain_leaves_each_image_to_the_prompts(kb: KnowledgeBase, tiles: Path) -> None:
    assistant = Assistant(kb)
    for image in assistant.classify([tiles], LABELS, plain=True).images:
        alone = assistant.classify(image.image, LABELS)
        assert (image.label, image.plain) == (alone.label, alone.label)
        assert [s for _, s in image.scores] == pytest.approx([s for _, s in alone.scores], abs=1e-5)


def test_a_collection_sharpens_what_the_prompts_say(kb: KnowledgeBase, tmp_path: Path) -> None:
    """Pictures of which most are clearly red, and one that the prompts alone see a little more blue in."""
    for number in range(30):
        picture(tmp_path / f"red{number}.png", "red", seed=number)
    odd = picture(tmp_path / "odd.png", *["red"] * 3, *["blue"] * 4, "red", seed=99)
    assistant = Assistant(kb)
    labels = [*LABELS, "yellow field", "white snow", "black tar", "brown earth"]
    alone = assistant.classify(odd, labels)
    among = by_name(assistant.classify([tmp_path], labels))["odd.png"]
    assert among.plain == alone.label
    assert dict(among.scores)["red roofs"] > dict(alone.scores)["red roofs"]


def test_what_cannot_be_classified_is_said_in_one_line(kb: KnowledgeBase, tmp_path: Path) -> None:
    assistant = Assistant(kb)
    with pytest.raises(RsragError, match="at least two"):
        assistant.classify([tmp_path], ["one", "one"])
    with pytest.raises(RsragError, match="no image to classify"):
        assistant.classify([tmp_path], LABELS)
    with pytest.raises(RsragError, match="none of 1 images can be read"):
        assistant.classify([tmp_path / "missing.png"], LABELS)


def test_a_folder_holds_what_the_source_folder_reads() -> None:
    assert IMAGES == READ_BY_FOLDER


# -- the command line -----------------------------------------------------------------------------


class Shell:
    """`rsrag` in a new process, with the fake encoder as an installed plugin."""

    def __init__(self, site: Path, home: Path) -> None:
        (dist := site / "rsrag_fake-1.0.dist-info").mkdir()
        (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: rsrag-fake\nVersion: 1.0\n")
        (dist / "entry_points.txt").write_text("[rsrag]\nfake = rsrag_fake_plugin\n")
        (site / "rsrag_fake_plugin.py").write_text(
            "import os, time\nfrom rsrag import hookimpl\nfrom rsrag.testing.encoders import FakeEncoder\n\n\n"
            "class Slow(FakeEncoder):\n    name = 'fake'\n\n    def encode_scenes(self, scenes):\n"
            "        if started := os.environ.get('STARTED'):\n            open(started, 'w').close()\n"
            "            time.sleep(60)\n        return super().encode_scenes(scenes)\n\n\n"
            "@hookimpl\ndef rsrag_encoders():\n    return [Slow]\n"
        )
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(site), "RSRAG_ENCODER": "fake",
            "RSRAG_DATA_DIR": str(home / "data"), "COLUMNS": "80", "LANG": "C.UTF-8",
        }  # fmt: skip
        self("kb", "create", "work")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from rsrag.cli import main; main()", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            env={**self.environment, **environment},
        )  # fmt: skip

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (out, err)
        return out, err


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home"))


def test_the_command_counts_and_shows_the_doubtful_in_eighty_columns(shell: Shell, tiles: Path) -> None:
    """The encoder cannot tell "red roofs" from "red roof", so that no red picture has a clear label."""
    out, err = shell("classify", str(tiles), "--labels", ",".join((*LABELS, "red roof")), "--kb", "work")
    assert all(len(line) <= 80 for line in out.splitlines())
    doubtful = out.partition("Prompts alone")[2]
    assert all(f"red{n}.png" in doubtful for n in range(3)) and "green" not in doubtful
    assert re.search(r"green area +3", out) and re.search(r"Label +Images +Doubtful", out)
    assert "1 of 11 could not be read" in err and "broken.jpg" in err
    assert "notes.txt" not in err and "hidden" not in out + err


def test_the_files_hold_every_image_the_doubtful_first(shell: Shell, tiles: Path, tmp_path: Path) -> None:
    table, page = tmp_path / "all.csv", tmp_path / "page.html"
    labels = "red roofs,green <b>area</b>,blue water"
    out, _ = shell(
        "classify", str(tiles), "--labels", labels, "--kb", "work", "--csv", str(table), "--html", str(page), "--json"
    )  # fmt: skip
    told = json.loads(out)
    assert sum(told["counts"].values()) == len(told["images"]) == 10
    assert [Path(item["file"]).name for item in told["failed"]] == ["broken.jpg"]

    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["file"] for row in rows} == {image["file"] for image in told["images"]}
    shares = [float(row["share"]) for row in rows]
    assert shares == sorted(shares) and shares[0] < shares[1]
    assert Path(rows[0]["file"]).name == EVIL

    text = page.read_text("utf-8")
    assert text.count("data:image/jpeg;base64,") == 10
    assert "<img src=x" not in text and "<b>" not in text
    first = text.index('<li data-label="')
    assert first < text.index("&lt;img src=x onerror") < text.index('<li data-label="', first + 1)
    assert all(f'<option value="{n}">' in text for n in range(3))
    assert "1 could not be read: broken.jpg" in text
    assert "http" not in text.replace("http-equiv", "")  # nothing is fetched
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in text


def test_options_for_collections_are_refused_for_one_image(shell: Shell, tiles: Path) -> None:
    one = str(tiles / "clear" / "red" / "red0.png")
    _, err = shell("classify", one, "--labels", "red,blue", "--kb", "work", "--plain-vote", code=2)
    assert "for a folder or several images" in " ".join(err.split())
    out, _ = shell("classify", one, "--labels", "red,blue", "--kb", "work")
    assert out.startswith("red")


def test_a_table_that_cannot_be_written_is_said_in_one_line(shell: Shell, tiles: Path, tmp_path: Path) -> None:
    where = str(tmp_path / "no" / "all.csv")
    _, err = shell("classify", str(tiles), "--labels", "red,blue", "--kb", "work", "--csv", where, code=1)
    assert "cannot be written" in err and "Traceback" not in err


def test_an_interrupt_ends_it_cleanly(shell: Shell, tiles: Path, tmp_path: Path) -> None:
    page, started = tmp_path / "page.html", tmp_path / "started"
    arguments = ("classify", str(tiles), "--labels", "red,blue", "--kb", "work", "--html", str(page))
    process = shell.start(*arguments, STARTED=str(started))
    while not started.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and not page.exists()


def test_an_encoder_looks_at_each_image_once(kb: KnowledgeBase, tiles: Path) -> None:
    encoder = kb.encoder
    assert isinstance(encoder, FakeEncoder)
    before = encoder.scenes_encoded
    Assistant(kb).classify([tiles], LABELS)
    assert encoder.scenes_encoded - before == 10
