"""The command line as a person meets it: a new process, 80 columns, exit codes, stdout and stderr apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from rsrag.testing.encoders import COLOURS
from rsrag.testing.rasters import make_geotiff


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake encoder as an installed plugin."""
    folder = tmp_path_factory.mktemp("site")
    dist = folder / "rsrag_fake-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: rsrag-fake\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[rsrag]\nfake = rsrag_fake_plugin\n")
    (folder / "rsrag_fake_plugin.py").write_text(
        "from rsrag import hookimpl\n\n\n@hookimpl\ndef rsrag_encoders():\n"
        "    from rsrag.testing.encoders import FakeEncoder\n    return [FakeEncoder]\n"
    )
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


class Shell:
    """Runs `rsrag` in a new process."""

    def __init__(self, home: Path, site: Path, cwd: Path) -> None:
        self.cwd = cwd
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(site),
            "RSRAG_ENCODER": "fake",
            "RSRAG_DATA_DIR": str(home / "data"),
            "COLUMNS": "80",
            "LANG": "C.UTF-8",
        }

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from rsrag.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            cwd=self.cwd,
            env={**self.environment, **environment},
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="module")
def shell(home: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder with imagery, which has been added to the knowledge base `work`."""
    cwd = tmp_path_factory.mktemp("cwd")
    imagery = cwd / "imagery"
    imagery.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (64, 64), COLOURS[name]).save(imagery / f"{name}.png")
    (imagery / "green.txt").write_text("A meadow after rain.")
    (imagery / "guide.md").write_text("# Kiln guide\n\nA brick kiln is an oval with a tall chimney in its middle.\n")
    make_geotiff(imagery / "field_20200714.tif", crs="EPSG:4326", bounds=(10.0, 50.0, 10.1, 50.1))
    shell = Shell(home, site, cwd)
    shell("kb", "create", "work")
    shell("kb", "add", "imagery", "license=CC0", "--kb", "work")
    return shell


def test_adding_says_what_it_took_it_for_and_what_it_did(shell: Shell) -> None:
    again = shell("kb", "add", "imagery", "--kb", "work", "--json")
    assert "kind 'folder'" in again.stderr
    report = json.loads(again.stdout)
    assert (report["added"], report["unchanged"], report["embedded"]) == (0, 5, 0)


def test_search_by_words_and_by_example(shell: Shell) -> None:
    by_words = json.loads(shell("search", "blue", "--kind", "image", "--kb", "work", "--json").stdout)["hits"]
    assert by_words[0]["title"].lower() == "blue" and Path(by_words[0]["image"]).exists()
    example = json.loads(shell("search", "--image", "imagery/red.png", "--kb", "work", "--json").stdout)["hits"]
    assert example[0]["image"].endswith("red.png")
    assert {"rank", "id", "license", "lanes", "bbox"} <= set(example[0])
    assert example[0]["license"] == "CC0"


def test_results_fit_eighty_columns_and_hide_raw_scores(shell: Shell) -> None:
    out = shell("search", "meadow", "--kb", "work").stdout
    assert "meadow" in out.lower()
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "0." not in out


def test_an_answer_begins_with_the_verdict_and_ends_with_sources(shell: Shell) -> None:
    done = shell("ask", "is a brick kiln an oval with a tall chimney in its middle?", "--kb", "work")
    lines = done.stdout.splitlines()
    assert "oval" in lines[0] + lines[1]
    assert "[1]" in done.stdout and "Kiln guide" in done.stdout
    assert all(len(line) <= 80 for line in lines)


def test_ask_json_has_the_documented_shape(shell: Shell) -> None:
    done = shell("ask", "what is this?", "--image", "imagery/field_20200714.tif", "--kb", "work", "--json")
    answer = json.loads(done.stdout)
    assert set(answer) == {
        "text", "status", "grounded", "model", "evidence", "citations", "invalid_markers", "warnings", "seconds",
        "usage", "confidence",
    }  # fmt: skip
    assert answer["status"] in ("answered", "partial", "declined")
    keys = {"number", "kind", "title", "text", "image", "url", "license", "source", "role", "score", "bbox"}
    assert all(keys <= set(item) for item in answer["evidence"])
    assert set(answer["citations"]) <= {item["number"] for item in answer["evidence"]}


def test_an_unanswerable_question_is_declined_with_exit_code_0(shell: Shell) -> None:
    answer = json.loads(shell("ask", "who won the chess championship?", "--kb", "work", "--json").stdout)
    assert answer["status"] == "declined" and not answer["grounded"]


def test_where_a_geotiff_lies(shell: Shell) -> None:
    out = shell("ask", "where is this?", "-i", "imagery/field_20200714.tif", "--kb", "work").stdout
    assert "Germany" in out


def test_show_tells_all_about_a_source(shell: Shell) -> None:
    hits = json.loads(shell("search", "kiln", "--kind", "text", "--kb", "work", "--json").stdout)["hits"]
    out = shell("show", hits[0]["id"][:8], "--kb", "work").stdout
    assert "tall chimney" in out and "CC0" in out and "imagery (yours)" in out


def test_filters_narrow_and_say_how_many(shell: Shell) -> None:
    done = shell("search", "grey", "--within", "9,49,11,51", "--kb", "work", "--json")
    assert {Path(h["image"]).name for h in json.loads(done.stdout)["hits"] if h["image"]} == {"field_20200714.tif"}
    assert "filters left" in done.stderr
    dated = json.loads(shell("search", "grey", "--when", "2020-07", "--kb", "work", "--json").stdout)["hits"]
    assert {h["acquired"][:10] for h in dated} == {"2020-07-14"}


def test_a_page_of_results(shell: Shell) -> None:
    shell("search", "grey", "--kb", "work", "--html", "page.html")
    page = (shell.cwd / "page.html").read_text()
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert "data:image/jpeg;base64," in page and "<svg" in page


def test_classify_and_caption(shell: Shell) -> None:
    done = json.loads(
        shell("classify", "imagery/blue.png", "--labels", "blue,red,green", "--kb", "work", "--json").stdout
    )
    assert done["label"] == "blue"
    (shell.cwd / "labels.txt").write_text("red\nblue\n")
    assert shell("classify", "imagery/red.png", "--labels", "labels.txt", "--kb", "work").stdout.startswith("red")


def test_info_list_remove(shell: Shell) -> None:
    shell("kb", "create", "scratch")
    shell("kb", "add", "imagery", "--kb", "scratch", "--source", "pics")
    info = json.loads(shell("kb", "info", "scratch", "--json").stdout)
    assert info["sources"][0]["name"] == "pics" and info["settled"]
    assert "scratch" in shell("kb", "list").stdout
    assert "Removed 5" in shell("kb", "remove", "pics", "--yes", "--kb", "scratch").stdout
    assert json.loads(shell("kb", "info", "scratch", "--json").stdout)["chunks"] == 0


def test_settings_and_their_origins(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    assert str(file) in shell("config", "init", RSRAG_CONFIG=str(file)).stdout
    assert "already" in shell("config", "init", RSRAG_CONFIG=str(file), code=1).stderr
    file.write_text("k = 3\n")
    shown = json.loads(shell("config", "show", "--json", RSRAG_CONFIG=str(file)).stdout)
    assert shown["k"] == {"value": 3, "origin": str(file)}
    assert shown["encoder"]["origin"] == "$RSRAG_ENCODER"


def test_doctor_names_what_is_missing_and_the_remedy(shell: Shell) -> None:
    done = shell("doctor", "--json", code=1, RSRAG_ENCODERS__STARTER__PATH="/nowhere")
    findings = {f["what"]: f for f in json.loads(done.stdout)}
    assert findings["encoder starter"]["ok"] is False and "train encoder" in findings["encoder starter"]["remedy"]
    assert findings["packages"]["ok"] is True
    assert findings["models"]["detail"].startswith("extractive")


BAD = [
    (["ask", "x", "--image", "imagery"], 1, "is a folder, not an image"),
    (["ask", "x", "--image", "imagery/rad.png"], 1, "imagery/rad.png"),
    (["ask", "x", "--image", "words.png"], 1, "words.png"),
    (["ask", "x", "--image", "cut.jpg"], 1, "cut.jpg"),
    (["ask", "x", "--image", "huge.png"], 1, "huge.png"),
    (["ask", "x", "--image", "http://example.org/a.png"], 1, "http"),
    (["ask", ""], 2, "the question is empty"),
    (["search"], 2, "give a text"),
    (["ask", "x", "--near", "51.8,4.0,52.0"], 2, "is not a box"),
    (["ask", "x", "--near", "4.0,151.8,4.6,152.0"], 2, "look swapped"),
    (["ask", "x", "--within", "missing.geojson"], 2, "neither a box nor a file"),
    (["ask", "x", "--within", "words.png"], 2, "is not JSON"),
    (["ask", "x", "--when", "last summer"], 2, "is not a date"),
    (["ask", "x", "--when", "2021/2019"], 2, "ends before it begins"),
    (["ask", "x", "--facet", "colour"], 2, "is not a facet"),
    (["ask", "x", "--facet", "formatt=png"], 2, "Did you mean 'format'?"),
    (["ask", "x", "--image", "imagery/red.png", "--region", "0,0,999,9"], 2, "is not inside"),
    (["ask", "x", "--model", "gpt"], 2, "no model called 'gpt'"),
    (["search", "x", "--kind", "video"], 2, "no kind 'video'"),
    (["search", "x", "--source", "imagry"], 2, "Did you mean 'imagery'?"),
    (["kb", "add", "nowhere"], 2, "'nowhere' does not exist"),
    (["kb", "add", "imagery", "licence=CC0"], 2, "Did you mean 'license'?"),
    (["kb", "add", "imagery", "license"], 2, "is not an option"),
    (["kb", "remove", "nothing", "--yes"], 2, "no source called 'nothing'"),
    (["kb", "create", "work"], 1, "exists already"),
    (["show", "abcdef123"], 2, "has the id 'abcdef123'"),
    (["classify", "imagery/red.png", "--labels", "one"], 1, "at least two"),
]


@pytest.fixture(scope="module")
def bad_files(shell: Shell) -> None:
    (shell.cwd / "words.png").write_text("these are words")
    noise = Image.effect_noise((200, 200), 80)
    noise.save(shell.cwd / "cut.jpg")
    whole = (shell.cwd / "cut.jpg").read_bytes()
    (shell.cwd / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (shell.cwd / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[" ".join(b[0])[:40] for b in BAD])
def test_bad_input_is_one_clear_line(shell: Shell, arguments: list[str], code: int, message: str) -> None:
    named = [] if arguments[:2] == ["kb", "create"] else ["--kb", "work"]
    done = shell(*arguments, *named, code=code)
    assert message in done.stderr.replace("│", " ")
    assert "Traceback" not in done.stderr
    if "error: " in done.stderr:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
    assert done.stdout == ""


def test_an_unwritable_store(shell: Shell) -> None:
    (shell.cwd / "occupied").write_text("a file where a folder should be")
    done = shell("kb", "add", "imagery", "--kb", "./occupied/kb", code=1)
    assert "cannot be made" in done.stderr


def test_a_store_made_with_another_encoder(shell: Shell, home: Path) -> None:
    site = shell.cwd / "site2"
    dist = site / "rsrag_other-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: rsrag-other\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[rsrag]\nother = rsrag_other_plugin\n")
    (site / "rsrag_other_plugin.py").write_text(
        "from rsrag import hookimpl\n\n\n@hookimpl\ndef rsrag_encoders():\n"
        "    from rsrag.testing.encoders import FakeEncoder\n"
        "    class Other(FakeEncoder):\n        name = 'other'\n"
        "        def __init__(self):\n            super().__init__(dim=32)\n    return [Other]\n"
    )
    path = f"{shell.environment['PYTHONPATH']}:{site}"
    done = shell("search", "blue", "--kb", "work", code=1, RSRAG_ENCODER="other", PYTHONPATH=path)
    assert "was made with encoder fake-64-1" in done.stderr and "kb reencode" in done.stderr


def test_missing_weights_say_where_they_go(shell: Shell, tmp_path: Path) -> None:
    done = shell("kb", "create", "x", "--encoder", "starter", code=1, RSRAG_ENCODERS__STARTER__PATH=str(tmp_path))
    assert "weights of encoder 'starter' are incomplete" in done.stderr and "has no image.onnx" in done.stderr


def test_bad_settings_name_their_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("k = 'many'\n")
    assert str(file) in shell("kb", "list", RSRAG_CONFIG=str(file), code=2).stderr


def test_a_broken_plugin_costs_one_line(shell: Shell) -> None:
    site = shell.cwd / "site3"
    dist = site / "rsrag_bad-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: rsrag-bad\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[rsrag]\nbad = rsrag_bad_plugin\n")
    (site / "rsrag_bad_plugin.py").write_text("raise RuntimeError('out of order')\n")
    path = f"{shell.environment['PYTHONPATH']}:{site}"
    done = shell("search", "blue", "--kb", "work", PYTHONPATH=path)
    lines = [line for line in done.stderr.splitlines() if "rsrag_bad" in line or "plugin bad" in line]
    assert len(lines) == 1 and "out of order" in lines[0]
