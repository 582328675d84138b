"""From a record to chunks that fit their encoder. Pure: no model, no file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from .types import Chunk, Fact, Provenance, Record, Section

NAME_PARTS = ("label", "caption")
"""Parts short enough to name what an image shows; they enter the `names` space too."""

FACT_PART = "fact"
"""The part of a passage that says one fact."""

_FIRST_CHARS = 1200  # about 256 word pieces of English
_FEWEST_CHARS = 40


def chunk(
    record: Record, fits: Callable[[str], bool], *, source: str, role: str = "mine", captions: tuple[str, ...] = ()
) -> list[Chunk]:
    """The text chunks of a record, each of which `fits` its encoder together with its title.

    Nothing is cut off: a text that is too long is split at paragraphs, then sentences, then words.
    `captions` are texts made for images that came without any. Image chunks need pixels and are made by ingest.
    """
    chunks: list[Chunk] = []
    ordinals: dict[str, int] = {}
    for section in _sections(record, captions):
        heading = section.heading
        for text in split(section.text, lambda t, h=heading: fits(embedding_text(record.title, h, t))):  # type: ignore[misc]
            ordinal = ordinals.get(section.part, 0)
            ordinals[section.part] = ordinal + 1
            chunks.append(
                Chunk(
                    id=chunk_id(source, record.id, section.part, ordinal),
                    kind="text",
                    part=section.part,
                    ordinal=ordinal,
                    title=record.title,
                    text=text,
                    content_hash=text_hash(spoken(section.part, record.title, heading, text)),
                    provenance=provenance(record, source, role, section.page, heading),
                    aliases=record.aliases,
                    facets=record.facets,
                    bbox=record.bbox,
                    acquired=record.acquired,
                )
            )
    return chunks


def provenance(record: Record, source: str, role: str, page: int | None = None, heading: str = "") -> Provenance:
    return Provenance(
        source=source,
        record=record.id,
        subject=record.subject,
        role="reference" if role == "reference" else "mine",
        url=record.url,
        license=record.license,
        attribution=record.attribution,
        page=page,
        heading=heading,
    )


def spoken(part: str, title: str, heading: str, text: str) -> str:
    """What is encoded for a chunk: a name stands alone, anything longer carries its title as context."""
    return text if part in NAME_PARTS else embedding_text(title, heading, text)


def embedding_text(title: str, heading: str, text: str) -> str:
    """A passage taken out of its document, with the words it needs to be understood alone."""
    context = [part for part in (title, heading) if part and not text.lower().startswith(part.lower())]
    return ". ".join([*context, text])


def chunk_id(source: str, record: str, part: str, ordinal: int) -> str:
    """Stable over runs and machines: 20 hexadecimal digits of the chunk's place."""
    return hashlib.blake2b("\0".join((source, record, part, str(ordinal))).encode(), digest_size=10).hexdigest()


def text_hash(text: str) -> str:
    """32 hexadecimal digits of a text."""
    return hashlib.blake2b(b"text\0" + text.encode(), digest_size=16).hexdigest()


def fact_sentence(title: str, fact: Fact) -> str:
    """A fact as a sentence that can be searched and quoted: "Sentinel-2 MSI: swath width is 290 km."."""
    value = _written(fact.value) if isinstance(fact.value, float) else str(fact.value)
    when = f" ({fact.when})" if fact.when else ""
    return f"{title}: {fact.attribute} is {value} {fact.unit}".rstrip() + f"{when}."


def _written(value: float) -> str:
    """All digits of a number, as a citation needs them; 290.0 without its ".0"."""
    return str(value).removesuffix(".0")


def _sections(record: Record, captions: tuple[str, ...]) -> Iterator[Section]:
    if record.text.strip():
        yield Section("text", record.text)
    yield from (s for s in record.sections if s.text.strip())
    said = " ".join([record.text, *(s.text for s in record.sections)])
    for fact in record.facts:
        # Prose that already gives the figure is the better passage; the fact itself is kept either way.
        if record.vectors and not _mentions(said, fact):
            yield Section(FACT_PART, fact_sentence(record.title, fact))
    for caption in captions:
        if caption.strip():
            yield Section("caption", caption)


def _mentions(text: str, fact: Fact) -> bool:
    """Whether a text already gives a fact's value together with the words of its attribute."""
    value = _written(fact.value) if isinstance(fact.value, float) else str(fact.value)
    spellings = {value, f"{fact.value:,}"} if isinstance(fact.value, int) else {value}
    said = "|".join(re.escape(spelling) for spelling in spellings)
    if re.search(rf"(?<![\w.,])(?:{said})(?![\w]|[.,]\d)", text) is None:
        return False
    lower = text.lower()
    return all(word in lower for word in re.findall(r"[a-z]{4,}", fact.attribute.lower()))


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Pieces of `text` that all fit, in order; neighbours share up to an eighth. Raises nothing: a piece that
    cannot be made to fit by splitting is halved by characters until it does, down to 40."""
    text = text.strip()
    if not text:
        return []
    if fits(text):
        return [text]
    return _split(text, fits, min(_FIRST_CHARS, max(_FEWEST_CHARS, len(text) * 3 // 4)))


def _split(text: str, fits: Callable[[str], bool], size: int) -> list[str]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        separators=["\n\n", "\n", ". ", "; ", ", ", " ", ""],
        keep_separator="end",
        chunk_size=size,
        chunk_overlap=size // 8,
    )
    pieces: list[str] = []
    for piece in splitter.split_text(text):
        if fits(piece) or size <= _FEWEST_CHARS:
            pieces.append(piece)
        else:
            pieces.extend(_split(piece, fits, max(_FEWEST_CHARS, size // 2)))
    return pieces
