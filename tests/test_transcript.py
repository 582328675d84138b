"""Transcripts: what a file says, that it needs nothing else, and that nothing in it is more than text."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rsrag import Assistant, KnowledgeBase, ModelError, Prompt, RsragError, UsageError
from rsrag.conversation import Exchange, Placed, State, ToolUse
from rsrag.testing import ScriptedModel, make_image, make_knowledge_base, make_scene
from rsrag.transcript import export, from_json, to_html, to_json, to_markdown
from rsrag.types import Answer, BBox, Evidence, Provenance, Quantity

EVIL = '<script>alert(1)</script> "><img src=x onerror=alert(1)> \x1b[31m\u202e javascript:alert(1)'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with make_knowledge_base(tmp_path_factory.mktemp("store") / "kb") as kb:
        yield kb


@pytest.fixture
def talked(store: KnowledgeBase, tmp_path: Path) -> State:
    """Two answered questions about an image, one that failed and one that was cut off."""
    make_scene(tmp_path / "hamburg.tif")
    replies: list[Any] = [
        "# Verdict\n\nIt is a **harbour** [1], in [A].\n\n| band | use |\n|---|---|\n| nir | water |",
        lambda prompt: f"Its terminals were opened in 1968 [{number_of('1968', prompt)}][999].",
        ModelError("the server is away."),
        "A long story",
    ]
    chat = Assistant(store, ScriptedModel(replies)).chat()
    chat.add(tmp_path / "hamburg.tif")
    chat.ask("what is this?")
    chat.ask("and when was it opened?")
    with pytest.raises(ModelError):
        chat.ask("what is in the lower right quarter?")
    events = chat.stream("tell me a story")
    for event in events:
        if type(event).__name__ == "Text":
            break
    events.close()  # type: ignore[attr-defined]
    return chat.state()


def number_of(word: str, prompt: Prompt) -> int:
    return next(e.number for e in prompt.evidence if word in e.text)


class Page(html.parser.HTMLParser):
    """What a page holds: tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids |= {value for name, value in attrs if name == "id" and value}
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_page_holds_everything_and_fetches_nothing(talked: State) -> None:
    page = Page(to_html(talked))
    assert page.open == []
    for words in ("what is this?", "harbour", "1968", "the server is away", "interrupted", "hamburg.tif", "CC0-1.0"):
        assert words in page.text
    sizes = []
    for picture in page.of("img"):
        kind, _, data = (picture["src"] or "").partition(";base64,")
        assert kind in ("data:image/jpeg", "data:image/png"), kind
        if kind.endswith("jpeg"):  # a photograph; what tools draw is PNG
            sizes.append(Image.open(io.BytesIO(base64.b64decode(data))).size)
    assert sizes == [(64, 64), (32, 32)]  # the image, and the corner that was asked about
    assert page.of("script") == page.of("link") == page.of("iframe") == []
    addresses = [a["href"] for a in page.of("a")]
    local = {a[1:] for a in addresses if a and a.startswith("#")}
    assert local <= page.ids and {"source-1", "image-A"} <= local
    assert [a for a in addresses if a and not a.startswith("#")] == ["https://example.org/port"]
    assert '<span class="nothing" title="cites nothing that exists">[999]</span>' in to_html(talked)
    assert len(page.of("table")) == 1 and "When was" in page.text


def test_a_markdown_file_lists_its_sources(talked: State) -> None:
    text = to_markdown(talked)
    assert text.startswith("# what is this? (hamburg.tif)\n")
    assert "## and when was it opened?" in text and "It is a **harbour** \\[1\\], in \\[A\\]." in text
    assert "**\\[A\\]** hamburg.tif" in text
    sources = text.partition("## Sources")[2]
    assert "(sample, CC0-1.0)" in sources and "](https://example.org/port)" in sources
    assert "not answered: the server is away." in text and "This answer was interrupted." in text
    assert re.findall(r"^# ", text, re.MULTILINE) == ["# "]


def test_json_comes_back_as_it_was(talked: State) -> None:
    text = to_json(talked)
    back = from_json(text)
    assert to_json(back) == text
    assert [e.question for e in back.exchanges] == [e.question for e in talked.exchanges]
    assert back.exchanges[0].answer is not None
    assert back.exchanges[0].answer.citations[0].title == talked.exchanges[0].answer.citations[0].title  # type: ignore[union-attr]
    assert json.loads(text)["rsrag_transcript"] == 1
    assert to_html(back).replace(back.id, "") == to_html(talked).replace(talked.id, "")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "3", '{"rsrag_transcript": 1}', '{"rsrag_transcript": 2}', "\x00", "[" * 5000]
)
def test_what_is_no_transcript_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="transcript"):
        from_json(text)


def state_with(text: str, tmp_path: Path, images: tuple[str, ...] = (), url: str = "") -> State:
    """A conversation in which every text is `text`."""
    where = Provenance(text, text, text, "mine", url or text, text, text, heading=text)
    shown = Evidence(1, "tool", text, text, where, images=images, key="k", values={text or "x": Quantity(1.5, text)})
    shown = Evidence(**{**{f: getattr(shown, f) for f in shown.__dataclass_fields__}, "bbox": BBox(1, 2, 3, 4)})
    answer = Answer(f"{text} [1] [A]", "answered", (shown,), (shown,), warnings=(text,), model=text)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    exchange = Exchange(
        1, text, text, ("A",), ("A", (0, 0, 1, 1)), text, {"near": text}, answer, started=now, ended=now, status="done",
        tools=(ToolUse(text, ("A",), {"a": text}, 1),),
    )  # fmt: skip
    scene = Placed("A", str(tmp_path / "gone.tif"), gone=text)
    return State("id", text, text, text, now, now, [scene], [exchange], ["k"], {1: shown}, {}, None, 1)


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        "![x](https://evil.example/pixel.png)",
        "[click](javascript:alert(1)) [data](data:text/html,x) <javascript:alert(1)>",
        "[1]: https://evil.example\n\n[1]",
        "</title></style></script><b>",
        "$title ${scenes} $$",
        "<https://ok.example/a?b=c&d=e> [fine](https://ok.example)",
        "<!-- <img src=https://evil.example/x> --> <style>@import url(https://evil.example)</style>",
    ],
)
def test_nothing_in_a_page_is_more_than_text(text: str, tmp_path: Path) -> None:
    page = Page(to_html(state_with(text, tmp_path)))
    assert page.of("script") == [] and page.of("img") == [] and page.of("style") == [{}]
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    addresses = [a.get("href") or "#" for a in page.of("a")]
    assert all(a.startswith(("#", "https://")) for a in addresses)
    assert "\x1b" not in page.text and "\u202e" not in page.text
    marked = to_markdown(state_with(text, tmp_path))
    assert not re.search(r"(?<!\\)<(?!/?sub>|https://)|(?<!\\)!\[|(?<!\\)\]\((?!https://)", marked)


@given(st.text(max_size=60))
def test_any_text_makes_a_page_that_is_whole(text: str) -> None:
    state = state_with(text, Path("/nowhere"))
    assert Page(to_html(state)).open == []
    assert to_json(from_json(to_json(state))) == to_json(state)
    assert to_markdown(state).endswith("\n")


def test_pictures_of_tools_are_inside(tmp_path: Path) -> None:
    drawn = make_image(tmp_path / "change.png", "checker", size=(120, 90))
    huge = make_image(tmp_path / "huge.png", "noise", size=(1500, 1000))
    state = state_with("map", tmp_path, (str(drawn), str(huge), str(tmp_path / "gone.png")))
    sources = [image["src"] or "" for image in Page(to_html(state)).of("img")]
    assert [s.partition(";")[0] for s in sources] == ["data:image/png", "data:image/jpeg", "data:image/png"]
    assert base64.b64decode(sources[0].partition(",")[2]) == drawn.read_bytes()
    assert max(Image.open(io.BytesIO(base64.b64decode(sources[1].partition(",")[2]))).size) in (1279, 1280)


def test_export_goes_by_the_ending_and_replaces_whole_files(talked: State, tmp_path: Path) -> None:
    for name, start in (("a.md", "# "), ("a.html", "<!doctype html>"), ("a.json", "{")):
        assert export(talked, tmp_path / name).read_text("utf-8").startswith(start)
    assert export(talked, tmp_path / "b.txt", "md").read_text("utf-8").startswith("# ")
    with pytest.raises(UsageError, match=r"not written as 'pdf'.*md, html, json"):
        export(talked, tmp_path / "a.pdf")
    with pytest.raises(RsragError, match="cannot be written"):
        export(talked, tmp_path / "no" / "a.md")
    assert not list(tmp_path.glob("*.part"))
