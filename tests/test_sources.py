"""Sources: folders with sidecars and documents, knowledge packs, LangChain loaders; what they refuse and say."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.document_loaders import BaseLoader, Blob
from langchain_core.documents import Document

from rsrag import Plugins, Record, Section, UsageError
from rsrag.builtin.sources.documents import HtmlParser, MarkdownParser, PdfParser
from rsrag.builtin.sources.folder import FolderSource
from rsrag.builtin.sources.langchain import LangChainSource
from rsrag.builtin.sources.pack import PackSource
from rsrag.packs import bundled_packs
from rsrag.testing.rasters import make_geotiff, make_image


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def pdf(*pages: str, title: str = "", password: str = "") -> bytes:
    """A PDF with a line of text per page; "" makes a page without text."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    name = NameObject
    font = DictionaryObject(
        {name("/Type"): name("/Font"), name("/Subtype"): name("/Type1"), name("/BaseFont"): name("/Helvetica")}
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        page[name("/Resources")] = DictionaryObject({name("/Font"): DictionaryObject({name("/F1"): font})})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
        page[name("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def one(source: FolderSource | PackSource | LangChainSource) -> Record:
    records = list(source.records())
    assert len(records) == 1, (records, source.problems)
    return records[0]


# -- folder ---------------------------------------------------------------------------------------


def test_a_folder_of_images_and_documents(tmp_path: Path) -> None:
    make_geotiff(tmp_path / "north" / "port_2020.tif", tags={"SENSOR": "Sentinel-2"})
    make_image(tmp_path / "a.JPG")
    make_image(tmp_path / ".hidden.png")
    make_image(tmp_path / ".git" / "x.png")
    write(tmp_path / "a.txt", "A quay with two cranes.\n")
    write(tmp_path / "north" / "notes.md", "# Harbour\n\nIntro.\n\n## History\n\nBuilt in 1901.\n")
    write(tmp_path / "table.csv", "1,2")
    source = FolderSource(tmp_path, license="CC0-1.0", attribution="me")
    records = {r.id: r for r in source.records()}
    assert list(records) == ["a.JPG", "north/port_2020.tif", "north/notes.md"] and len(source) == 3
    assert source.problems == [(str(tmp_path), "1 files of other kinds left out: .csv (1)")]
    photo, raster, notes = records.values()
    assert photo.sections == (Section("caption", "A quay with two cranes."),)
    assert (photo.subject, photo.title, photo.images, photo.license) == ("file/a", "A", ("a.JPG",), "CC0-1.0")
    assert raster.bbox is not None and raster.title == "Port 2020"
    kept = {"gsd_m": 10.0, "sensor": "Sentinel-2", "bands": 3, "year": 2020, "format": "tif", "folder": "north"}
    assert raster.facets == kept and raster.acquired is None
    assert notes.title == "Harbour" and [s.heading for s in notes.sections] == ["Harbour", "Harbour > History"]
    assert (source.root, source.label, source.role) == (tmp_path, tmp_path.name, "mine")


def test_a_json_sidecar(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png")
    given = {
        "title": "Old port",
        "subject": "place/port",
        "caption": "a port",
        "text": "Long story.",
        "license": "CC BY 4.0",
        "url": "https://example.org",
        "attribution": "Ann",
        "acquired": "2020-05-03",
        "bbox": [1, 2, 3, 4],
        "facets": {"theme": ["water", "trade"]},
        "gsd_m": 0.5,
        "cloud": 3,
    }
    write(tmp_path / "a.json", json.dumps(given))
    source = FolderSource(path, subject="ignored")
    record = one(source)
    assert (record.title, record.subject, record.url, record.attribution) == (
        "Old port",
        "place/port",
        given["url"],
        "Ann",
    )
    assert record.sections == (Section("caption", "a port"), Section("description", "Long story."))
    assert record.bbox is not None and record.bbox.as_tuple() == (1, 2, 3, 4)
    assert record.acquired is not None and record.acquired.year == 2020
    assert record.facets == {"gsd_m": 0.5, "bands": 3, "format": "png", "theme": ("water", "trade"), "cloud": 3}
    assert source.problems == [] and source.root == tmp_path and len(source) == 1


def test_a_long_sidecar_is_a_description(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png")
    write(tmp_path / "a.md", "First paragraph.\n\nSecond one.")
    assert one(FolderSource(tmp_path)).sections[0].part == "description"


def test_glob_subject_and_loops(tmp_path: Path) -> None:
    make_image(tmp_path / "in" / "a.png")
    make_image(tmp_path / "b.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert [r.id for r in FolderSource(tmp_path).records()] == ["b.jpg", "in/a.png"]
    record = one(FolderSource(tmp_path, glob="*.png", subject="place/x"))
    assert record.id == "in/a.png" and record.subject == "place/x"


def test_the_version_follows_file_sidecar_and_options(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png")
    versions = [one(FolderSource(path)).version, one(FolderSource(path)).version]
    versions.append(one(FolderSource(path, license="x")).version)
    write(tmp_path / "a.txt", "words")
    versions.append(one(FolderSource(path)).version)
    make_image(path, seed=5, size=(65, 65))
    versions.append(one(FolderSource(path)).version)
    assert versions[0] == versions[1] and len(set(versions)) == 4


def test_a_known_version_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(tmp_path / "a.png")
    write(tmp_path / "a.txt", "words")
    write(tmp_path / "b.pdf", pdf("words"))
    source = FolderSource(tmp_path)
    source.known = {r.id: r.version for r in source.records()}
    assert len(source.known) == 2 and source.problems == []
    monkeypatch.setattr("rsrag.builtin.sources.folder.open_scene", None)
    monkeypatch.setattr("rsrag.builtin.sources.documents.parse_document", None)
    assert list(source.records()) == [Record(i, "", "", version=v) for i, v in source.known.items()]
    monkeypatch.undo()
    write(tmp_path / "a.txt", "other words")
    assert [r.title for r in source.records()] == ["A", ""]


def test_images_are_opened_with_the_plugins_given(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png")
    source = FolderSource(tmp_path)

    class Known:
        asked: list[str] = []  # noqa: RUF012

        def open_scene(self, uri: str) -> None:
            self.asked.append(uri)

    source.plugins = Known()  # type: ignore[assignment]
    assert one(source).id == "a.png" and Known.asked == [str(path)]


def test_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png")
    (tmp_path / "x\udcff.txt").write_text("words")
    source = FolderSource(tmp_path)
    assert one(source).id == "a.png"
    assert source.problems == [("x\\udcff.txt", "the name holds half a character, '\\udcff', which is no Unicode")]


BAD_FILES: dict[str, tuple[str, bytes | str, str]] = {
    "text as image": ("a.png", "not a picture", "holds text"),
    "empty image": ("a.jpg", b"", "is empty"),
    "empty document": ("a.md", "  \n", "holds no text"),
    "binary document": ("a.txt", b"\0\1\2", "null bytes"),
    "old encoding": ("a.txt", "café".encode("cp1252"), "read as Windows-1252"),
    "no PDF": ("a.pdf", "hello", "not a readable PDF"),
    "encrypted PDF": ("a.pdf", pdf("secret", password="x"), "is encrypted"),
    "scanned PDF": ("a.pdf", pdf("", ""), "no text"),
    "half-scanned PDF": ("a.pdf", pdf("words", ""), "pages 2 hold no text"),
    "HTML without text": ("a.html", "<html><script>x()</script></html>", "holds no text"),
    "other kind": ("a.xyz", "1 2 3", "1 files of other kinds left out: .xyz (1)"),
}
BAD_SIDECARS: dict[str, tuple[str, bytes | str, str]] = {
    "broken JSON": ("good.json", "{", "is not valid JSON"),
    "JSON list": ("good.json", "[]", "is not a JSON object"),
    "swapped box": ("good.json", '{"bbox": [50, 120, 51, 121]}', "look swapped"),
    "short box": ("good.json", '{"bbox": [50]}', "bbox [50] left out"),
    "nested facet": ("good.json", '{"extra": {"a": 1}}', "'extra' is no text, number or list"),
    "endless JSON": ("good.json", "[" * 100_000, "nested too deeply"),
    "half a character": ("good.json", '{"title": "\\ud800"}', "half a character, '\\ud800'"),
    "infinite box": ("good.json", '{"bbox": [1e999, 0, 1, 1]}', "left out"),
    "no month": ("good.json", '{"acquired": "2009-13"}', "makes no sense"),
    "binary caption": ("good.txt", b"\0", "null bytes"),
}


@pytest.mark.parametrize(
    "name, data, message", [*BAD_FILES.values(), *BAD_SIDECARS.values()], ids=[*BAD_FILES, *BAD_SIDECARS]
)
def test_a_bad_file_costs_itself_only(tmp_path: Path, name: str, data: bytes | str, message: str) -> None:
    make_image(tmp_path / "good.png")
    write(tmp_path / name, data)
    source = FolderSource(tmp_path)
    assert "good.png" in [r.id for r in source.records()]
    assert len(source.problems) == 1 and message in source.problems[0][1]
    assert "\n" not in source.problems[0][1]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        list(FolderSource(tmp_path / "no").records())


# -- documents ------------------------------------------------------------------------------------


def test_html_keeps_headings_and_drops_scripts() -> None:
    page = """<html><head><title>Ports</title><style>b{}</style></head><body><nav>menu</nav>
    <h1>Harbours</h1><p>First
    line.</p><div>One</div>two<h2>Depth</h2><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
    <!-- hidden --><script>evil()</script><h1>Other <b>end</b></h1><p>Last.</p></body></html>"""
    parts = HtmlParser().parse(Blob.from_data(page))
    assert [(p.metadata["heading"], p.page_content) for p in parts] == [
        ("Harbours", "First line.\nOne\ntwo"),
        ("Harbours > Depth", "a | b\n1 | 2"),
        ("Other end", "Last."),
    ]
    assert parts[0].metadata["title"] == "Ports"


def test_markdown_front_matter() -> None:
    parts = MarkdownParser().parse(Blob.from_data('---\ntitle: "Rivers"\n---\nText.\n\n```\n# no heading\n```\n'))
    assert len(parts) == 1 and parts[0].metadata["title"] == "Rivers" and "heading" not in parts[0].metadata


def test_pdf_keeps_pages(tmp_path: Path) -> None:
    data = pdf("First words", "", "Third words", title="A report")
    parts = PdfParser().parse(Blob.from_data(data))
    assert [(p.metadata["page"], p.page_content) for p in parts] == [(0, "First words"), (2, "Third words")]
    write(tmp_path / "a.pdf", data)
    record = one(FolderSource(tmp_path))
    assert record.title == "A report" and [s.page for s in record.sections] == [1, 3]
    assert [r.sections[0].page for r in LangChainSource(Loader(parts)).records()] == [1, 3]


# -- pack -----------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"id": "a", "subject": "class/a", "title": "A"}


def pack(path: Path, *lines: object, about: str = "", file: str = "records.jsonl") -> PackSource:
    write(path / "pack.toml", 'name = "test"\nlicense = "CC0-1.0"\nattribution = "us"\n' + about)
    write(path / file, "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return PackSource(path)


def test_a_full_record(tmp_path: Path) -> None:
    make_image(tmp_path / "images" / "x.webp")
    line = GOOD | {
        "aliases": ["b"],
        "labels": ["an a"],
        "text": "Text.",
        "sections": [{"part": "history", "text": "Old.", "page": 3, "heading": "H"}],
        "facts": [{"attribute": "area", "value": 5, "unit": "km2", "when": "2020"}],
        "facets": {"theme": ["x", "y"], "n": 1},
        "images": ["images/x.webp"],
        "point": [4.0, 52.0],
        "acquired": "2020-05-03",
        "source": "them",
        "vectors": False,
    }
    source = pack(tmp_path, line)
    record = one(source)
    assert source.problems == [] and (source.label, source.role, len(source)) == ("test", "reference", 1)
    assert record.sections == (Section("label", "an a"), Section("history", "Old.", 3, "H"))
    assert record.facts[0].subject == "class/a" and record.facets == {"theme": ("x", "y"), "n": 1}
    assert record.bbox is not None and record.bbox.center == (4, 52)
    assert (record.license, record.attribution, record.vectors) == ("CC0-1.0", "them", False)
    before = record.version
    make_image(tmp_path / "images" / "x.webp", size=(70, 70))
    assert one(PackSource(tmp_path)).version != before


BAD_LINES: dict[str, tuple[object, str]] = {
    "broken JSON": ('{"id": ', "is not valid JSON"),
    "no object": ([1], "is not a JSON object"),
    "endless": ("[" * 100_000, "nested too deeply"),
    "half a character": (GOOD | {"id": "b", "title": "x\ud800"}, "half a character, '\\ud800'"),
    "an image as section": (GOOD | {"id": "b", "sections": [{"part": "image", "text": "x"}]}, "is reserved"),
    "facet of numbers": (GOOD | {"id": "b", "facets": {"x": [1]}}, "facet x is (1,)"),
    "facet of nothing": (GOOD | {"id": "b", "facets": {"x": None}}, "facet x is None"),
    "no title": ({"id": "b", "subject": "s"}, "lacks title"),
    "empty id": (GOOD | {"id": ""}, "lacks id"),
    "number as title": (GOOD | {"id": "b", "title": 5}, "lacks title"),
    "taken id": (GOOD, "is taken by records.jsonl:1"),
    "swapped box": (GOOD | {"id": "b", "bbox": [50, 120, 51, 121]}, "latitude and longitude look swapped"),
    "box of three": (GOOD | {"id": "b", "bbox": [1, 2, 3]}, "[west, south, east, north]"),
    "point of text": (GOOD | {"id": "b", "point": ["1", "2"]}, "[lon, lat]"),
    "image missing": (GOOD | {"id": "b", "images": ["x.png"]}, "does not exist"),
    "image above": (GOOD | {"id": "b", "images": ["../secret.png"]}, "lies outside the pack"),
    "image absolute": (GOOD | {"id": "b", "images": ["/etc/hostname"]}, "lies outside the pack"),
    "image by link": (GOOD | {"id": "b", "images": ["link.png"]}, "lies outside the pack"),
    "image by URL": (GOOD | {"id": "b", "images": ["https://example.org/a.png"]}, "lies outside the pack"),
    "labels no list": (GOOD | {"id": "b", "labels": "x"}, "labels is 'x'"),
    "section without text": (GOOD | {"id": "b", "sections": [{"part": "x"}]}, "a section has no text"),
    "fact without value": (GOOD | {"id": "b", "facts": [{"attribute": "x"}]}, "a fact lacks"),
    "nested facet": (GOOD | {"id": "b", "facets": {"x": {}}}, "facet x is {}"),
    "bad time": (GOOD | {"id": "b", "acquired": "yesterday"}, "acquired is 'yesterday'"),
    "vectors as text": (GOOD | {"id": "b", "vectors": "no"}, "vectors is 'no'"),
}


@pytest.mark.parametrize("line, message", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_costs_itself_only(tmp_path: Path, line: object, message: str) -> None:
    make_image(tmp_path / "secret.png")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "link.png").symlink_to(tmp_path / "secret.png")
    source = pack(tmp_path / "pack", GOOD, line, GOOD | {"id": "c"})
    assert [r.id for r in source.records()] == ["a", "c"]
    [(where, why)] = source.problems
    assert where == "records.jsonl:2" and message in why


def test_an_unknown_key_is_named_and_the_record_kept(tmp_path: Path) -> None:
    source = pack(tmp_path, GOOD | {"titel": "x"}, about='licence = "x"\n')
    assert one(source).id == "a"
    assert source.problems == [
        ("pack.toml", "unknown key 'licence'; did you mean 'license'?"),
        ("records.jsonl:1", "unknown key 'titel'; did you mean 'title'?"),
    ]


def test_cities(tmp_path: Path) -> None:
    countries = {"features": [{"properties": {"name": "Netherlands", "iso_a2": "NL"}}]}
    write(tmp_path / "countries.geojson", json.dumps(countries))
    lines = [[1, "Urk", ["Urck"], "NL", "16", 52.66, 5.6, 21227], [2, "Nil", [], "XX", "", 120, 5, 0], [3, "bad"]]
    source = pack(tmp_path, *lines, file="cities.jsonl")
    record = one(source)
    assert record.text == "Urk is a city in Netherlands with about 21,200 inhabitants."
    assert record.facts[0].value == 21227 and record.facets == {"feature": "city", "country": "Netherlands"}
    assert (record.id, record.subject, record.vectors) == ("city/1", "place/city/1", False)
    assert record.bbox is not None and record.bbox.center == (5.6, 52.66) and record.attribution == "GeoNames"
    assert [where for where, _ in source.problems] == ["cities.jsonl:2", "cities.jsonl:3"]


@pytest.mark.parametrize(
    "about, message",
    [("= 1", "cannot be read"), ("", "names no pack"), ('name = "x"\nrole = "boss"', "role is 'boss'")],
)
def test_a_broken_pack_toml(tmp_path: Path, about: str, message: str) -> None:
    write(tmp_path / "pack.toml", about)
    with pytest.raises(UsageError, match=message):
        list(PackSource(tmp_path).records())


def test_packs_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scenes" in bundled_packs() and bundled_packs() is bundled_packs()
    with pytest.raises(TypeError):
        bundled_packs()["x"] = tmp_path  # type: ignore[index]
    assert PackSource("scenes").label == "scenes" and PackSource.matches("scenes") == 0.9
    with pytest.raises(UsageError, match="Did you mean 'scenes'"):
        list(PackSource("scene").records())
    with pytest.raises(UsageError, match=r"no pack\.toml"):
        list(PackSource(tmp_path).records())
    # A folder of that name in the working directory is what the user means.
    (tmp_path / "scenes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert PackSource.matches("scenes") == 0.0


@pytest.mark.parametrize("name", sorted(bundled_packs()))
def test_bundled_packs_have_no_problems(name: str) -> None:
    source = PackSource(name)
    assert sum(1 for _ in source.records()) == len(source) and source.problems == []


# -- LangChain ------------------------------------------------------------------------------------


class Loader(BaseLoader):
    def __init__(self, documents: list[Document], fails: bool = False) -> None:
        self._documents, self._fails = documents, fails

    def lazy_load(self) -> Iterator[Document]:
        yield from self._documents
        if self._fails:
            raise OSError("disk on fire")


def test_a_loader_is_a_source() -> None:
    documents = [
        Document(page_content="One", metadata={"source": "a.pdf", "page": 0, "title": "Report", "lang": "en"}),
        Document(page_content="Two", metadata={"source": "a.pdf", "page": 1}),
        Document(page_content="Web", metadata={"source": "https://example.org/x", "page": 4, "Header 1": "Top"}),
        Document(page_content=" ", metadata={"source": "b"}),
        Document(page_content="Free", id="own"),
    ]
    source = LangChainSource(Loader(documents), license="CC0-1.0")
    one_, two, web, free = source.records()
    assert [r.id for r in (one_, two, web, free)] == ["a.pdf#0", "a.pdf#1", "https://example.org/x#0", "own"]
    assert one_.subject == two.subject == "document/a.pdf" and one_.facets == {"lang": "en"}
    assert [r.sections[0].page for r in (one_, two, web, free)] == [1, 2, 4, None]
    assert web.url == "https://example.org/x" and web.sections[0].heading == "Top" and web.title == "x"
    assert source.problems == [("b#0", "the document holds no text")] and source.label == "Loader"


def test_a_document_of_half_characters() -> None:
    source = LangChainSource(Loader([Document(page_content="x\ud800"), Document(page_content="good")]))
    assert [r.title for r in source.records()] == ["good"]
    assert source.problems == [("Loader#0", "the document holds half a character, '\\ud800', which is no Unicode")]


def test_a_loader_that_fails() -> None:
    with pytest.raises(UsageError, match="OSError: disk on fire"):
        list(LangChainSource(Loader([], fails=True)).records())
    with pytest.raises(UsageError, match="no lazy_load"):
        list(LangChainSource("text").records())  # type: ignore[arg-type]


# -- all of them ----------------------------------------------------------------------------------


def test_they_are_offered_and_each_knows_its_own(tmp_path: Path) -> None:
    offers = Plugins(external=False).offers("source")
    assert set(offers) >= {"folder", "pack", "langchain"}
    make_image(tmp_path / "f" / "a.png")
    write(tmp_path / "f" / "b.bin", "")
    pack(tmp_path / "p", GOOD)
    inputs = {
        tmp_path / "f": "folder",
        tmp_path / "f" / "a.png": "folder",
        tmp_path / "p": "pack",
        Loader([]): "langchain",
    }
    for what, name in inputs.items():
        best = max(("folder", "pack", "langchain"), key=lambda n: offers[n].matches(what))  # type: ignore[attr-defined]
        assert best == name
    for what in (tmp_path / "f" / "b.bin", tmp_path / "no", "https://example.org", "a\0b", 5):
        assert all(offers[n].matches(what) == 0 for n in ("folder", "pack", "langchain"))  # type: ignore[attr-defined]
