"""From a record to chunks: nothing is lost, everything fits, ids stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rsrag import BBox, Chunk, Fact, Record, Section
from rsrag.chunking import chunk, chunk_id, embedding_text, fact_sentence, split, spoken, text_hash


def at_most(words: int) -> Callable[[str], bool]:
    return lambda text: len(text.split()) <= words


def chunks_of(record: Record, words: int = 1000, captions: tuple[str, ...] = ()) -> list[Chunk]:
    return chunk(record, at_most(words), source="s", captions=captions)


def record(**fields: object) -> Record:
    return Record(**{"id": "r1", "subject": "class/port", "title": "Port", **fields})  # type: ignore[arg-type]


# -- properties -----------------------------------------------------------------------------------

words = st.text("abcdefghijklmnopqrstuvwxyzäß0123456789-", min_size=1, max_size=14)
breaks = st.sampled_from([" ", " ", " ", " ", ". ", ", ", "; ", "\n", "\n\n", "  ", " \n \n"])
texts = st.lists(st.tuples(words, breaks), min_size=1, max_size=400).map(lambda pairs: "".join(w + b for w, b in pairs))
# The splitter's smallest piece has 40 characters, which is at most 20 words; title and heading come on top.
limits = st.integers(24, 120)


@given(texts, limits)
@settings(max_examples=60, deadline=None)
@example("a " * 2000, 24)
@example("one. " * 900, 30)
def test_every_word_survives_and_every_chunk_fits(text: str, limit: int) -> None:
    one = record(title="Port of X", sections=(Section("history", text, heading="Early"),))
    chunks = chunks_of(one, limit)
    said = {word for c in chunks for word in c.text.split()}
    assert said == set(text.split())
    for c in chunks:
        assert len(embedding_text("Port of X", "Early", c.text).split()) <= limit
        assert c.text == c.text.strip() and c.text in text
    # In order, from the first word to the last.
    starts = [text.index(c.text) for c in chunks[:1]] + [text.rindex(chunks[-1].text)]
    assert text[: starts[0]].strip() == "" and text[starts[-1] + len(chunks[-1].text) :].strip() == ""


@given(texts, limits)
@settings(max_examples=30, deadline=None)
def test_ids_are_unique_and_the_same_each_time(text: str, limit: int) -> None:
    one = record(
        text=text,
        sections=(Section("text", text), Section("history", text), Section("history", text + " more")),
        facts=(Fact("x", "depth", 9, "m"), Fact("x", "length", 9, "km")),
    )
    first, again = (chunks_of(one, limit, captions=("a port", "a dock")) for _ in range(2))
    assert first == again
    assert len({c.id for c in first}) == len(first)
    for part in {c.part for c in first}:
        ordinals = [c.ordinal for c in first if c.part == part]
        assert ordinals == list(range(len(ordinals)))
        assert all(c.id == chunk_id("s", "r1", part, c.ordinal) for c in first if c.part == part)


@given(st.text(max_size=300))
@settings(deadline=None)
def test_a_text_that_fits_is_left_alone(text: str) -> None:
    assert split(text, lambda _: True) == ([text.strip()] if text.strip() else [])


@pytest.mark.parametrize("joint", ["", ",", ";"])
def test_a_text_without_words_is_halved_until_it_fits(joint: str) -> None:
    text = joint.join(chr(0x4E00 + n) for n in range(3000))  # every character once, so that a missing one shows
    pieces = split(text, lambda t: len(t) <= 100)
    assert all(len(p) <= 100 and p in text for p in pieces)
    assert set().union(*pieces) == set(text)


def test_nothing_is_dropped_where_even_forty_characters_do_not_fit() -> None:
    pieces = split("one two three four five six seven eight nine ten eleven twelve", lambda t: False)
    assert {w for p in pieces for w in p.split()} >= {"one", "six", "twelve"}
    assert all(len(p) <= 40 for p in pieces)


# -- what is written ------------------------------------------------------------------------------


def test_text_sections_facts_and_captions_in_that_order() -> None:
    one = record(
        text="A port.",
        sections=(Section("label", "port"), Section("history", "Old.", page=4, heading="Past"), Section("empty", "  ")),
        facts=(Fact("class/port", "depth", 24, "m"),),
    )
    chunks = chunks_of(one, captions=("Ships at a quay", " "))
    assert [(c.part, c.text) for c in chunks] == [
        ("text", "A port."),
        ("label", "port"),
        ("history", "Old."),
        ("fact", "Port: depth is 24 m."),
        ("caption", "Ships at a quay"),
    ]
    assert (chunks[2].provenance.page, chunks[2].provenance.heading) == (4, "Past")


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        (Fact("s", "swath width", 290, "km"), "Sentinel-2: swath width is 290 km."),
        (Fact("s", "revisit", 5.0, "days"), "Sentinel-2: revisit is 5 days."),
        (Fact("s", "resolution", 0.31, "m", "2016"), "Sentinel-2: resolution is 0.31 m (2016)."),
        (Fact("s", "operator", "ESA"), "Sentinel-2: operator is ESA."),
        (Fact("s", "altitude", 786000, "m"), "Sentinel-2: altitude is 786000 m."),
        (Fact("s", "population", 12345678.0), "Sentinel-2: population is 12345678."),
        (Fact("s", "latitude", 52.370216, "degrees"), "Sentinel-2: latitude is 52.370216 degrees."),
    ],
)
def test_a_fact_is_a_sentence_with_its_number_as_given(fact: Fact, sentence: str) -> None:
    assert fact_sentence("Sentinel-2", fact) == sentence
    assert [c.text for c in chunks_of(record(title="Sentinel-2", facts=(fact,)))] == [sentence]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Its swath width is 290 km.", False),
        ("A swath width of 290.", False),
        ("Its swath width is 1,290 km.", True),
        ("Its swath width is 290.5 km.", True),
        ("It flies 290 km apart.", True),
        ("Nothing.", True),
    ],
)
def test_a_fact_that_the_prose_already_gives_is_not_said_twice(text: str, kept: bool) -> None:
    one = record(text=text, facts=(Fact("s", "swath width", 290, "km"),))
    assert ("fact" in [c.part for c in chunks_of(one)]) is kept


def test_a_record_without_vectors_has_no_sentences_of_facts() -> None:
    one = record(text="A town.", facts=(Fact("s", "population", 5),), vectors=False)
    assert [c.part for c in chunks_of(one)] == ["text"]


def test_a_name_stands_alone_and_a_passage_carries_its_title() -> None:
    one = record(
        sections=(Section("label", "harbour"), Section("caption", "ships"), Section("use", "Trade.", heading="H"))
    )
    label, caption, use = chunks_of(one)
    assert (label.content_hash, caption.content_hash) == (text_hash("harbour"), text_hash("ships"))
    assert use.content_hash == text_hash("Port. H. Trade.")
    assert spoken("label", "Port", "", "harbour") == "harbour"
    assert embedding_text("Port", "", "Port authorities decide.") == "Port authorities decide."
    # So an equal label of another record shares its vector, and an equal passage of another title does not.
    other = chunks_of(replace(one, id="r2", title="Quay"))
    assert other[0].content_hash == label.content_hash and other[2].content_hash != use.content_hash
    assert other[0].id != label.id


def test_where_a_record_lies_and_comes_from_is_kept_on_each_chunk() -> None:
    one = record(
        text="A.", facets={"sensor": "s2"}, bbox=BBox(1, 2, 3, 4), url="https://x", license="CC0-1.0", attribution="Me"
    )
    (c,) = chunk(one, at_most(10), source="packs", role="reference")
    assert (c.kind, c.bbox, dict(c.facets), c.subject) == ("text", one.bbox, {"sensor": "s2"}, "class/port")
    p = c.provenance
    assert (p.source, p.record, p.role, p.url, p.license, p.attribution) == (
        "packs", "r1", "reference", "https://x", "CC0-1.0", "Me",
    )  # fmt: skip
    assert chunks_of(one)[0].provenance.role == "mine"


@pytest.mark.parametrize("empty", [record(), record(text=" \n"), record(sections=(Section("a", ""),))])
def test_a_record_without_text_has_no_text_chunks(empty: Record) -> None:
    assert chunks_of(empty) == []
