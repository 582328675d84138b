"""Text of documents (Markdown, plain text, HTML, PDF) as LangChain blob parsers, which any LangChain program can use.

Each parser yields Documents whose metadata hold `source`, `title` and, where there is one, `heading`
("Chapter > Section") or `page` (from 0, with `page_label` as printed, LangChain's convention). `note` says
what was not quite right.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from langchain_core.document_loaders import BaseBlobParser, Blob
from langchain_core.documents import Document

from rsrag import RsragError

MAX_BYTES: Final = 100_000_000
_LINE_END: Final = "\ue000"  # private use: no page holds it
_HEADING: Final = re.compile("^h[1-6]$")
_BREAKS: Final = frozenset(
    "p div section article li ul ol table tr br blockquote pre dt dd figcaption main aside".split()
)


class DocumentError(RsragError):
    """A document cannot be read, or holds no text."""


def parse_document(path: Path) -> Iterator[Document]:
    """Documents of a .md, .txt, .html, .htm or .pdf file. Raises `DocumentError` when there is nothing to read."""
    parser = PARSERS[path.suffix.lower()]()
    if path.stat().st_size > MAX_BYTES:
        raise DocumentError(f"{path} has more than {MAX_BYTES // 10**6} MB.", "Split it into smaller files.")
    empty = True
    for document in parser.lazy_parse(Blob.from_path(path)):
        empty = False
        yield document
    if empty:
        raise DocumentError(f"{path} holds no text.", "Remove it or put text into it.")


class TextParser(BaseBlobParser):
    """Plain text, UTF-8 or else Windows-1252: one Document."""

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        text, note = decode(_bytes(blob), blob.source or "text")
        if text.strip():
            yield _document(blob, text.strip(), note=note)


class MarkdownParser(BaseBlobParser):
    """Markdown: one Document per section, its headings kept as a path."""

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        from langchain_text_splitters import MarkdownHeaderTextSplitter

        text, note = decode(_bytes(blob), blob.source or "text")
        title = ""
        if front := re.match(r"---\n(.*?)\n---\s*\n", text, re.DOTALL):  # YAML front matter is no text
            named = re.search(r"^title:\s*(.+)$", front[1], re.MULTILINE)
            title, text = (named[1].strip(" '\"") if named else ""), text[front.end() :]
        levels = [("#" * n, f"h{n}") for n in range(1, 7)]
        for part in MarkdownHeaderTextSplitter(levels, strip_headers=True).split_text(text):
            heads = [part.metadata[key] for _, key in levels if key in part.metadata]
            title = title or (heads[0] if heads else "")
            if part.page_content.strip():
                yield _document(blob, part.page_content.strip(), title=title, heading=" > ".join(heads), note=note)


class HtmlParser(BaseBlobParser):
    """HTML: one Document per heading h1 to h6; scripts, styles and navigation are dropped."""

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        from bs4 import BeautifulSoup
        from bs4.element import NavigableString, PreformattedString, Tag

        soup = BeautifulSoup(_bytes(blob), "html.parser")
        note = "some characters could not be decoded" if soup.contains_replacement_characters else ""
        title = soup.title.get_text(" ", strip=True) if soup.title else ""
        for dropped in soup(["script", "style", "noscript", "template", "nav", "svg", "head"]):
            dropped.decompose()
        # Line ends in the source are only spaces; where a block begins or ends, the text starts a new line.
        for block in soup(list(_BREAKS)):
            block.insert(0, NavigableString(_LINE_END))
            block.append(NavigableString(_LINE_END))
        heads: dict[int, str] = {}
        pieces: list[str] = []

        def section() -> Iterator[Document]:
            lines = (" ".join(line.split()) for line in "".join(pieces).split(_LINE_END))
            text = "\n".join(line for line in lines if line)
            pieces.clear()
            if text:
                yield _document(blob, text, title=title, heading=" > ".join(heads.values()), note=note)

        for node in soup.descendants:
            if isinstance(node, Tag):
                if _HEADING.match(node.name):
                    yield from section()
                    level = int(node.name[1])
                    heads = {n: text for n, text in heads.items() if n < level}
                    heads[level] = node.get_text(" ", strip=True)
                    title = title or heads[level]
                elif node.name in ("td", "th"):
                    pieces.append(" | " if node.find_previous_sibling(["td", "th"]) else "")
            elif (
                isinstance(node, NavigableString)
                and not isinstance(node, PreformattedString)
                and node.find_parent(_HEADING) is None
            ):
                pieces.append(re.sub(r"\s+", " ", node))
        yield from section()


class PdfParser(BaseBlobParser):
    """PDF: one Document per page that holds text."""

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        from pypdf import PasswordType, PdfReader

        name = blob.source or "PDF"
        try:
            reader = PdfReader(io.BytesIO(_bytes(blob)))
            locked = reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED
            pages = 0 if locked else len(reader.pages)
        except Exception as error:  # pypdf raises many kinds on damaged files
            raise DocumentError(f"{name} is not a readable PDF: {_line(error)}.", "Save or export it again.") from error
        if locked:
            raise DocumentError(f"{name} is encrypted.", "Save a copy without a password.")
        title = str((reader.metadata.title if reader.metadata else "") or "").strip()
        empty: list[str] = []
        for number in range(pages):
            label, note = str(number + 1), ""
            try:
                text = reader.pages[number].extract_text().strip()
            except Exception as error:
                text, note = "", f" ({_line(error)})"
            if text:
                text = re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", text)  # words broken over lines
                note = f"pages {', '.join(empty)} hold no text" if empty else ""
                empty.clear()
                yield _document(blob, text, title=title, page=number, page_label=label, note=note)
            else:
                empty.append(label + note)
        if len(empty) == pages:
            raise DocumentError(f"{name} holds images of pages but no text.", "Run text recognition (OCR) on it first.")
        if empty:  # pages after the last one with text: an empty Document carries the note
            yield _document(blob, "", title=title, note=f"pages {', '.join(empty)} hold no text")


PARSERS: Final[dict[str, type[BaseBlobParser]]] = {
    ".md": MarkdownParser,
    ".txt": TextParser,
    ".html": HtmlParser,
    ".htm": HtmlParser,
    ".pdf": PdfParser,
}


def decode(data: bytes, name: str) -> tuple[str, str]:
    """(text, note): UTF-8 (with or without a mark), UTF-16 with one, else Windows-1252, which the note says."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), ""
    if b"\0" in data:
        raise DocumentError(f"{name} is not text; it holds null bytes.", "Remove it or save it as UTF-8 text.")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n"), ""
    except UnicodeDecodeError as error:
        text = data.decode("cp1252", errors="replace").replace("\r\n", "\n")
        return text, f"is not UTF-8 (byte {error.start}) and was read as Windows-1252"


def _bytes(blob: Blob) -> bytes:
    try:
        return blob.as_bytes()
    except OSError as error:
        raise DocumentError(f"{blob.source} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _document(blob: Blob, text: str, **metadata: Any) -> Document:
    kept = {key: value for key, value in metadata.items() if value not in ("", None)}
    # A PDF may yield half a character, which nothing can store.
    text = text.encode("utf-8", "replace").decode()
    kept = {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in kept.items()}
    return Document(page_content=text, metadata={"source": blob.source or "", **kept})


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
