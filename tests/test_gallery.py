"""The page of results: one file, everything escaped, nothing fetched, a map where there are places."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from rsrag import BBox, RsragError
from rsrag.cli import gallery_map
from rsrag.cli.gallery import Card, write_gallery
from rsrag.cli.gallery_map import fit
from rsrag.cli.gallery_markers import MOST_PINS, Pin, draw_markers

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Every tag with its attributes, in order; checks that they are nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.styles = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def picture(kind: str = "WEBP") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (10, 120, 60)).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, *cards: Card, **texts: str) -> Page:
    given = {"title": "rsrag: tanks", "query_text": "tanks", "footer": "From default."} | texts
    write_gallery(path, items=cards, **given)  # type: ignore[arg-type]
    return Page(path.read_text("utf-8"))


def test_page_shows_what_a_card_holds(tmp_path: Path) -> None:
    card = Card(
        1, "image", "Storage tanks", "Round, bright roofs.", "strong", "public domain", "USGS", "scenes",
        "https://example.org/a?x=1&y=2", picture(), BBox(4.0, 51.9, 4.2, 52.0), "c0ffee",
    )  # fmt: skip
    page = write(tmp_path / "page.html", card, Card(2, "text", "Tanks, explained", "They are round.", "weak"))
    for wanted in ("Storage tanks", "Round, bright roofs.", "strong", "public domain", "USGS", "rsrag show c0ffee",
                   "51.95° N, 4.10° E", "2 results", "1 with a picture", "From default.", "tanks"):  # fmt: skip
        assert wanted in page.text
    assert [a["alt"] for a in page.all("img")] == ["Storage tanks"]
    assert [a["href"] for a in page.all("a") if "rel" in a] == ["https://example.org/a?x=1&y=2"]
    assert page.all("html")[0]["lang"] == "en" and page.all("main") and page.all("h1") and len(page.all("h2")) == 2


def test_everything_is_escaped(tmp_path: Path) -> None:
    card = Card(
        1, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, f"https://x.org/{EVIL}", picture("JPEG"), BBox(4, 51, 5, 52), EVIL
    )
    page = write(tmp_path / "page.html", card, title=EVIL, query_text=EVIL + "$map ${cards} $", footer=EVIL)
    assert not page.all("script")
    assert len(page.all("img")) == 1
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    assert not [a for a in page.all("a") if "rel" in a]
    assert "<script>alert(1)</script>" in page.text  # to be read, not run


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//example.org/x", "http://", "https://[::1",
     "java\nscript:alert(1)", " JaVaScRiPt:alert(1)", "ftp://example.org", "https://a b", "\\\\host\\share"],
)  # fmt: skip
def test_only_web_addresses_become_links(tmp_path: Path, url: str) -> None:
    page = write(tmp_path / "page.html", Card(1, "text", "T", url=url))
    assert not page.all("a")


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    cards = [
        Card(i, "image", f"T{i}", "see https://example.org/x.png", url="http://example.org", image_bytes=picture(kind),
             bbox=BBox(i, i, i + 1, i + 1))
        for i, kind in enumerate(("WEBP", "JPEG", "PNG", "GIF"), 1)
    ]  # fmt: skip
    page = write(tmp_path / "page.html", *cards)
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form", "audio", "video", "use")
        for key in ("src", "srcset", "data", "poster", "background", "xlink:href", "action"):
            assert (attrs.get(key) or "data:image/").startswith("data:image/")
        if tag != "a":
            assert "href" not in attrs
        assert "url(" not in (attrs.get("style") or "")
    assert "url(" not in page.styles and "@import" not in page.styles
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert [a["src"].split(";")[0] for a in page.all("img") if a["src"]] == [
        "data:image/webp", "data:image/jpeg", "data:image/png", "data:image/gif"
    ]  # fmt: skip


def test_a_preview_that_is_no_picture_is_left_out(tmp_path: Path) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    page = write(tmp_path / "page.html", Card(1, "image", "A", image_bytes=svg), Card(2, "image", "B"))
    assert not page.all("img") and "cannot be shown" in page.text and "No preview" in page.text


def test_control_and_direction_characters_are_dropped(tmp_path: Path) -> None:
    page = write(tmp_path / "page.html", Card(1, "text", "a\x00b\x1b[31m\u202ec\ud800 مرحبا 東京", "x\ny"))
    assert "ab[31mc مرحبا 東京" in page.text
    assert all(a.get("dir") == "auto" for a in page.all("h2"))


def test_long_texts_are_cut_at_a_word(tmp_path: Path) -> None:
    page = write(tmp_path / "page.html", Card(1, "text", "T", "storage tank " * 200))
    assert "storage tank …" in page.text or "storage …" in page.text
    assert len(page.text) < 1500


def test_without_places_there_is_no_map_and_without_results_it_says_so(tmp_path: Path) -> None:
    assert not write(tmp_path / "a.html", Card(1, "text", "T")).all("svg")
    page = write(tmp_path / "b.html")
    assert "Nothing was found." in page.text and "No results" in page.text


def test_map_has_a_link_for_every_result_and_an_inset(tmp_path: Path) -> None:
    boxes = [BBox(4.0, 51.9, 4.2, 52.0), BBox(4.8, 52.4, 5.1, 52.6), BBox(6.1, 53.3, 6.1, 53.3)]
    page = write(tmp_path / "page.html", *(Card(i, "text", f"T{i}", bbox=box) for i, box in enumerate(boxes, 1)))
    outer = [a for a in page.all("svg") if "class" in a]
    assert [a["class"] for a in outer] == ["wide", "narrow"] and "3 results" in str(outer[0]["aria-label"])
    assert len(page.all("svg")) == 4  # each with its world
    pins = [a["href"] for a in page.all("a") if a.get("class") == "pin"]
    assert sorted(pins) == ["#r1", "#r1", "#r2", "#r2", "#r3", "#r3"]
    assert {a["id"] for _, a in page.tags if "id" in a} >= {"r1", "r2", "r3", "map"}
    assert len([a for a in page.all("rect") if a.get("class") == "box"]) >= 3  # drawn when larger than a few pixels
    assert [a for a in page.all("circle") if a.get("class") == "spot"]
    assert any((a.get("d") or "").startswith("M") for a in page.all("path") if a.get("class") == "land")
    assert "Amsterdam" in page.text and "GeoNames" in page.text


def test_map_of_far_places_is_the_world(tmp_path: Path) -> None:
    boxes = [BBox(-122, 37, -122, 37), BBox(2, 48, 2, 48), BBox(151, -33, 151, -33)]
    page = write(tmp_path / "page.html", *(Card(i, "text", "T", bbox=box) for i, box in enumerate(boxes, 1)))
    assert len(page.all("svg")) == 2  # the world needs no inset
    assert "GeoNames" not in page.text


def test_windows_of_the_map() -> None:
    near = fit([BBox(4.0, 51.9, 4.2, 52.0), BBox(4.01, 51.9, 4.02, 52.0)], 1000, 0.34, 0.44)
    assert near.east - near.west < 30 and near.west < 4.0 and near.east > 4.2
    over = fit([BBox(179.0, -17, -179.5, -16), BBox(178, -18, 178, -18), BBox(-175, -21, -175, -21)], 1000, 0.34, 0.44)
    assert 170 < over.west < 178 and 185 < over.east < 200
    assert over.x(over.turned(-175)) > over.x(over.turned(178))
    pole = fit([BBox(-180, -90, 180, -60)], 1000, 0.34, 0.44)
    assert pole.south >= -90 and pole.east - pole.west == 360
    for view in (near, over, pole):
        assert 300 <= view.height <= 500 and view.north <= 90.0001


def test_markers_stay_inside_and_never_overlap() -> None:
    pins = [Pin(i, f"T{i}", BBox(x, y, x, y)) for i, (x, y) in enumerate([(4, 52)] * 7 + [(4.1, 52), (9, 53)], 1)]
    view = fit([pin.bbox for pin in pins], 1116, 0.34, 0.44)
    svg, rects = draw_markers(pins, view)
    assert not any(a.meets(b) for i, a in enumerate(rects) for b in rects[:i])
    assert all(r.left >= 0 and r.top >= 0 and r.right <= view.width and r.bottom <= view.height for r in rects)
    assert re.search(r">\+\d<", svg) and 'href="#r9"' in svg


def test_many_results_do_not_flood_the_map(tmp_path: Path) -> None:
    cards = [Card(i, "text", "T", bbox=BBox(i % 90, i % 50, i % 90, i % 50)) for i in range(1, 701)]
    page = write(tmp_path / "page.html", *cards)
    assert f"The first {MOST_PINS} results are on the map." in page.text and len(page.all("article")) == 700


def test_a_map_without_the_pack_still_has_its_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_map, "bundled_packs", dict)
    for cached in (gallery_map._shapes, gallery_map._city_rows):
        cached.cache_clear()
    page = write(tmp_path / "page.html", Card(1, "text", "T", bbox=BBox(4, 51, 5, 52)))
    assert [a for a in page.all("a") if a.get("class") == "pin"]
    for cached in (gallery_map._shapes, gallery_map._city_rows):
        cached.cache_clear()


def test_writing_replaces_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(RsragError, match="No space left on device"):
            write(path, Card(1, "text", "T"))
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["page.html"]
    write(path, Card(1, "text", "T"))
    assert "before" not in path.read_text() and [p.name for p in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(RsragError, match="cannot be written"):
        write(tmp_path / "no" / "such" / "page.html")
    with pytest.raises(RsragError, match="cannot be written"):
        write(tmp_path)
