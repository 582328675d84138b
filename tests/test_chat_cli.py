"""`rsrag chat` from a pipe, and its parts: Markdown as it streams, completion, paths, pictures, the map, the words."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from rsrag import Assistant, Evidence, Plugins, Provenance, Text, ToolResult
from rsrag.cli.chat import describe, look, maps
from rsrag.cli.chat.answers import AnswerWriter
from rsrag.cli.chat.commands import COMMANDS, find, needs_nothing
from rsrag.cli.chat.completion import complete
from rsrag.cli.chat.dropping import dropped
from rsrag.cli.chat.opening import place_of
from rsrag.cli.chat.screen import Screen, fitted, terminal_encoding
from rsrag.cli.chat.stream import MarkdownStream
from rsrag.errors import UsageError
from rsrag.testing import FakeEncoder, ScriptedModel, make_knowledge_base, make_scene
from rsrag.types import Answer, Done, ToolDone, ToolStarted

RSRAG = (sys.executable, "-c", "from rsrag.cli import main; main()")

# -- a pipe ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipe")
    (folder / "fake.py").write_text(
        "from rsrag import hookimpl\n\n\n@hookimpl\ndef rsrag_encoders():\n"
        "    from rsrag.testing.encoders import FakeEncoder\n    return [FakeEncoder]\n"
    )
    make_knowledge_base(folder / "data" / "kb" / "small", FakeEncoder(), Plugins(external=False)).close()
    make_scene(folder / "elbe.tif")
    return folder


@pytest.fixture
def pipe(site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs a chat whose questions come from a pipe."""

    def run(lines: str | bytes, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*RSRAG, "--plugin-dir", str(site / "fake.py"), "chat", "--kb", "small", *arguments],
            input=lines.encode() if isinstance(lines, str) else lines,
            capture_output=True,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path / "home"),
                "RSRAG_ENCODER": "fake",
                "RSRAG_DATA_DIR": str(site / "data"),
                "COLUMNS": "80",
                "LANG": "C.UTF-8",
                **environment,
            },
            timeout=120,
            check=False,
        )

    return run


def test_questions_and_commands_come_line_by_line(
    pipe: Callable[..., subprocess.CompletedProcess[bytes]], site: Path, tmp_path: Path
) -> None:
    done = pipe(
        "When were the container terminals opened?\n\n/sources\n/tool locate\n/export md talk.md\n/quit\nnever asked\n",
        str(site / "elbe.tif"),
    )
    out = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "> When were the container terminals opened?" in out and "1968" in out
    assert "Germany" in out and "computed here" in out and "Written to talk.md" in out and "never" not in out
    assert "\x1b" not in out and all(len(line) <= 80 for line in out.splitlines())
    assert "1968" in (tmp_path / "talk.md").read_text()


def test_a_failure_goes_on_and_shows_in_the_exit_code(pipe: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
    done = pipe(b"/sorces\n/show 7\n/region 1,2,3\n/k many\n//slash?\nWhat is a \xff harbour?\n")
    out = done.stdout.decode()
    assert done.returncode == 1
    assert "Did you mean /sources?" in out and "no evidence [7]" in out and "no image" in out and "1 to 200" in out
    assert "> //slash?" in out and "shelters ships" in out


def test_what_cannot_begin_is_told_at_once(pipe: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
    missing = pipe("what is it?\n", "no-such.tif")
    assert missing.returncode == 1 and b"no-such.tif" in missing.stderr and b"what is it" not in missing.stdout
    assert pipe("", "--resume", "abcdef12").returncode == 2
    assert pipe("", "--continue", "--resume", "x").returncode == 2
    assert b"no knowledge base" in pipe("/kb nowhere\n").stdout


def test_latin_1_loses_no_answer(pipe: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
    done = pipe(
        "Ärger – why?\nWhen were the container terminals opened?\n", PYTHONIOENCODING="latin-1", LANG="de_DE.ISO-8859-1"
    )
    assert done.returncode == 0 and b"1968" in done.stdout
    assert "> Ärger - why?".encode("latin-1") in done.stdout and b"extractive \xb7" in done.stdout


# -- Markdown -------------------------------------------------------------------------------------


def screen(width: int = 80, encoding: str = "utf-8", **options: Any) -> tuple[Screen, io.StringIO]:
    """A screen that writes into memory."""
    made, out = Screen(), io.StringIO()
    made.interactive, made.encoding = False, encoding
    made.console = Console(file=out, width=width, highlight=False, no_color=False, **options)  # type: ignore[misc]
    return made, out


def written(pieces: list[str], width: int = 80, **options: Any) -> str:
    made, out = screen(width, **options)
    stream = MarkdownStream(made)
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return out.getvalue()


MARKDOWN = """# Quays

A **long quay** [1] with `two cranes` and *one* mast, see [the port](https://example.org/port).
It goes on
in a second line: 3 * 4 * 5 and snake_case_name stay.

- first, which is long enough to be wrapped at forty columns
- second

1. one
2. two

> said before

| a | b |
|---|---|
| 1 | 2 |

```
code  stays
```

The end [A]."""
PLAIN = """Quays

A long quay [1] with two cranes and one
mast, see the port
(https://example.org/port). It goes on
in a second line: 3 * 4 * 5 and
snake_case_name stay.

 • first, which is long enough to be
   wrapped at forty columns
 • second

 1. one
 2. two

  said before
"""


def test_markdown_is_set_for_the_width() -> None:
    shown = written([MARKDOWN], 40)
    assert "\n".join(line.rstrip() for line in shown.splitlines()).startswith(PLAIN)
    assert "code  stays" in shown and shown.rstrip().endswith("The end [A].") and "```" not in shown
    assert all(len(line) <= 40 for line in shown.splitlines())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_how_the_text_is_cut_into_pieces_changes_nothing(size: int) -> None:
    pieces = [MARKDOWN[i : i + size] for i in range(0, len(MARKDOWN), size)]
    assert written(pieces, 40) == written([MARKDOWN], 40)


def test_words_are_written_when_they_are_complete() -> None:
    made, out = screen()
    stream = MarkdownStream(made)
    stream.feed("One word, **two wo")
    assert out.getvalue() == "One word, two"
    stream.feed("rds** and a ha")
    assert out.getvalue() == "One word, two words and a"
    stream.close()
    assert out.getvalue() == "One word, two words and a ha\n"


def test_styles() -> None:
    shown = written(["a **bold** word and `code`"], force_terminal=True, color_system="standard")
    assert "\x1b[1mbold\x1b[0m" in shown and "\x1b[36mcode\x1b[0m" in shown


@given(
    st.text(alphabet=st.sampled_from("ab c\n*_`#->[]().|123\x1b\x07é漢"), max_size=120),
    st.integers(20, 90),
    st.integers(1, 9),
)
def test_whatever_a_model_writes_fits_and_keeps_its_words(text: str, width: int, size: int) -> None:
    shown = written([text[i : i + size] for i in range(0, len(text), size)], width)
    from rich.cells import cell_len

    assert "\x1b" not in shown and "\x07" not in shown
    fenced = "```" in text
    assert fenced or all(cell_len(line.rstrip()) <= width for line in shown.split("\n"))
    if "|" not in text:
        letters = re.sub(r"[^abcé漢]", "", text)
        assert re.sub(r"[^abcé漢]", "", shown) == letters


# -- the screen -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("⚙ locate · 3 × 4 …", "utf-8", "⚙ locate · 3 × 4 …"),
        ("⚙ locate · 3 × 4 …", "ascii", "* locate - 3 x 4 ..."),
        ("Müller, 8.43° S", "ascii", "Muller, 8.43 deg S"),
        ("Müller, 8.43° S – 漢", "latin-1", "Müller, 8.43° S - ?"),
    ],
)
def test_what_the_encoding_lacks_is_replaced(text: str, encoding: str, shown: str) -> None:
    assert fitted(text, encoding) == shown


@given(st.text(max_size=40), st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_fitted_text_can_always_be_written(text: str, encoding: str) -> None:
    assert fitted(text, encoding).encode(encoding, "surrogatepass" if encoding == "utf-8" else "strict") is not None


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"LANG": "C.UTF-8"}, "utf-8"),
        ({}, "utf-8"),
        ({"LANG": "C"}, "ascii"),
        ({"LC_ALL": "POSIX", "LANG": "en_GB.UTF-8"}, "ascii"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "C"}, "utf-8"),
    ],
)
def test_the_locale_is_taken_at_its_word(environment: dict[str, str], encoding: str) -> None:
    assert terminal_encoding(SimpleNamespace(encoding="utf-8"), environment) == encoding  # type: ignore[arg-type]


@pytest.mark.parametrize(("colours", "encoding"), [("truecolor", "utf-8"), ("truecolor", "ascii"), (None, "utf-8")])
def test_pictures_fit_the_terminal(colours: Any, encoding: str) -> None:
    made, out = screen(40, encoding, color_system=colours, force_terminal=True, height=20)
    image = Image.new("RGB", (300, 200), "navy")
    image.paste("white", (150, 0, 300, 200))
    look.draw(made, image)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert 4 <= len(lines) <= 16 and all(len(line) <= 40 for line in lines)
    assert ("38;2;" in out.getvalue()) == (colours is not None and encoding == "utf-8")


# -- completion and paths -------------------------------------------------------------------------


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A chat that is loaded: one scene, one answer."""
    monkeypatch.chdir(tmp_path)
    make_scene(tmp_path / "elbe.tif")
    with make_knowledge_base(tmp_path / "data" / "kb" / "small", FakeEncoder(), Plugins(external=False)) as kb:
        conversation = Assistant(kb, ScriptedModel("A harbour shelters ships [1].")).chat()
        conversation.add("elbe.tif")
        conversation.ask("What is a harbour?")
        config = SimpleNamespace(data_dir=tmp_path / "data", kb_folder=tmp_path / "data" / "kb")
        opening = SimpleNamespace(ready=True, conversation=conversation, config=config, sessions=None)
        made, out = screen()
        yield SimpleNamespace(opening=opening, conversation=conversation, screen=made, out=out)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/e", ["/export"]),
        ("/export h", ["html"]),
        ("/drop ", ["A"]),
        ("/look ", ["A"]),
        ("/show 1", ["1"]),
        ("/facet col", ["colour="]),
        ("/kb sm", ["small"]),
        ("/model ex", ["extractive"]),
        ("/tool loc", ["locate"]),
        ("/zoom north-", ["north-east", "north-west"]),
        ("/image el", ["elbe.tif"]),
        ("/image data/k", ["kb/"]),
        ("./el", ["elbe.tif"]),
        ("/help und", ["undo"]),
        ("what is el", []),
        ("/nonsense ", []),
    ],
)
def test_tab_offers(talk: Any, typed: str, offered: list[str]) -> None:
    found = [candidate.text for candidate in complete(talk, typed)]
    assert set(offered) <= set(found) if offered else found == []
    assert all(0 <= candidate.replaces <= len(typed) for candidate in complete(talk, typed))


def test_nothing_is_offered_before_it_is_loaded() -> None:
    loading = SimpleNamespace(opening=SimpleNamespace(ready=False))
    assert [list(complete(loading, f"/{name} ")) for name in ("show", "drop", "facet", "tool")] == [[], [], [], []]  # type: ignore[arg-type]


@pytest.mark.parametrize("typed", ["{f}", "'{f}'", '"{f}"', "{e}", "file://{u}", "  {f} "])
def test_a_path_alone_is_an_image(tmp_path: Path, typed: str) -> None:
    file = tmp_path / "my scene.tif"
    file.touch()
    line = typed.format(f=file, e=str(file).replace(" ", "\\ "), u=str(file).replace(" ", "%20"))
    assert dropped(line) == str(file)


@pytest.mark.parametrize(
    "typed", ["what is this?", "what's this.tif", "/tmp", "nowhere.tif", "x" * 5000, "a\0.tif", ""]
)
def test_what_is_no_image_is_a_question(typed: str) -> None:
    assert dropped(typed) == ""


# -- commands -------------------------------------------------------------------------------------


def test_every_command_has_its_help_and_the_nearest_is_suggested() -> None:
    for command in COMMANDS.values():
        assert command.run.__doc__ and command.help and len(command.help) < 60
    assert {"image", "drop", "look", "region", "zoom", "sources", "show", "map", "tool", "kb", "model", "k"} <= set(
        COMMANDS
    )
    assert {"facet", "near", "when", "why", "undo", "save", "export", "help", "quit"} <= set(COMMANDS)
    for wrong, right in {"imgae": "image", "sorces": "sources", "exprt": "export", "mod": "model"}.items():
        with pytest.raises(UsageError, match=f"/{wrong}") as told:
            find(wrong)
        assert f"Did you mean /{right}?" in told.value.hint
    assert find("exit").name == "quit" and needs_nothing("/help") and not needs_nothing("/show 1")


def test_the_map_shows_images_sources_and_what_tools_outlined(talk: Any, tmp_path: Path) -> None:
    box = talk.conversation.scenes["A"].bbox
    ring = [[box.west, box.south], [box.east, box.south], [box.east, box.north], [box.west, box.south]]
    shape = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}],
    }
    talk.conversation.ledger.add(
        Evidence(
            0, "tool", "<outline>", "Found.", Provenance("tool:x", "r", url="javascript:x"), key="tool:x", geojson=shape
        )
    )
    maps.write_map(talk.conversation, tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    assert "[A] elbe.tif" in page and 'class="shape"' in page and "data:image/png;base64," in page
    assert "&lt;outline&gt;" in page and "<outline>" not in page and "javascript:" not in page and "<script" not in page


def test_a_map_of_nothing_is_refused(tmp_path: Path) -> None:
    with make_knowledge_base(tmp_path / "kb", FakeEncoder(), Plugins(external=False)) as kb:
        chat = Assistant(kb, ScriptedModel("x")).chat()
        with pytest.raises(UsageError, match="has a place on Earth"):
            maps.write_map(chat, tmp_path / "map.html")


# -- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back", "said"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=12), "12 minutes ago"),
        (timedelta(days=1), "yesterday"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=100), "on 2024-02-22"),
    ],
)
def test_when_it_was(back: timedelta, said: str) -> None:
    now = datetime(2024, 6, 1, 12, tzinfo=UTC)
    assert describe.ago(now - back, now) == said


def test_a_scene_is_told_in_two_lines(tmp_path: Path) -> None:
    first, second = describe.scene_lines("A", make_scene(tmp_path / "elbe.tif"), "Germany, 5 km from Altona")
    assert first == "[A] elbe.tif, 64 x 64 px of 10 m"
    assert second.split(" · ") == ["Germany, 5 km from Altona", "2021-07-01", "red, green, blue, nir"]


def test_the_nearest_town_names_the_place() -> None:
    def town(name: str, km: float) -> dict[str, Any]:
        return {"properties": {"kind": "city", "name": name, "country": "Peru", "distance_km": km}}

    found = ToolResult("", geojson={"features": [town("Contamana", 137), town("Pucallpa", 13.9)]})
    assert place_of(found) == "Peru, 14 km from Pucallpa"
    assert place_of(ToolResult("", geojson={"features": [town("Pucallpa", 0.2)]})) == "Peru, in Pucallpa"
    assert place_of(ToolResult("")) == ""


def test_an_answer_as_it_comes() -> None:
    made, out = screen(60)
    writer = AnswerWriter(made, known := set())
    tool = Evidence(7, "tool", "change", "12 ha.", Provenance("tool:change", "a"), key="tool:change")
    answer = Answer(
        "Lost [7].", "answered", (tool,), (tool,), warnings=("careful",), model="m", seconds={"answer": 1.25}
    )
    result = ToolResult("12,340 ha were lost between 2009 and 2020. More follows.")
    events = [
        ToolStarted("change", "A, B", {"index": "NDVI"}),
        ToolDone("change", result, number=7),
        Text("Lost [7]."),
        Done(answer),
    ]
    for event in events:
        writer.take(event)  # type: ignore[arg-type]
    shown = out.getvalue()
    first, _, rest = shown.partition("\n")
    assert first.startswith("⚙ change A, B index=NDVI: 12,340 ha") and first.endswith("[7]") and len(first) <= 62
    assert rest.startswith("Lost [7].\n") and "tool: change" in rest and "m · 1." in rest and "! careful" in rest
    for event in events:
        writer.take(event)  # type: ignore[arg-type]
    assert out.getvalue().count("⚙") == 1 and known == {7}  # told once


def test_json_export_from_a_pipe(pipe: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path) -> None:
    pipe("What is a forest?\n/export json talk.json\n")
    data = json.loads((tmp_path / "talk.json").read_text())
    assert data["exchanges"][0]["question"] == "What is a forest?"
