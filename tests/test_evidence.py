"""From hits to what an answer may rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rsrag import BBox, Chunk, Evidence, Hit, Provenance, Quantity, SceneVote, ToolResult
from rsrag.answering.ledger import Ledger
from rsrag.evidence import from_hits, from_tool


def hit(key: str, subject: str = "s", kind: str = "text", part: str = "text", content: str = "") -> Hit:
    place = Provenance("src", key, subject)
    image = f"{key}.jpg" if kind == "image" else ""
    made = Chunk(key, kind, part, 0, f"T {key}", f"Text {key}.", content or key, place, image, {}, BBox(1, 2, 3, 4))  # type: ignore[arg-type]
    return Hit(made, 0.5, {"words": (1, 3.0), "text-text": (2, 0.4)}, 3.0)


def keys(evidence: Sequence[Evidence], kind: str = "") -> list[str]:
    return [e.provenance.record for e in evidence if not kind or e.kind == kind]


def test_a_hit_becomes_evidence_with_all_that_is_known() -> None:
    (e,) = from_hits([hit("a", "port", "image", "image")], 8)
    assert e == Evidence(
        number=0,
        kind="image",
        title="T a",
        text="Text a.",
        provenance=Provenance("src", "a", "port"),
        part="image",
        images=("a.jpg",),
        via=("words", "text-text"),
        score=0.5,
        bbox=BBox(1, 2, 3, 4),
        z=3.0,
        key=e.key,
    )
    assert e.key and e.key != from_hits([hit("b")], 8)[0].key


def test_a_picture_is_named_by_where_it_can_be_opened() -> None:
    hits = [hit("a", kind="image"), hit("gone", kind="image"), hit("t")]
    found = from_hits(hits, 8, find=lambda chunk: Path("/archive/a.tif") if chunk.id == "a" else None)
    assert [e.images for e in found] == [(), ("/archive/a.tif",), ()]


@pytest.mark.parametrize("k", [1, 3, 8])
def test_k_counts_texts_and_images_come_after_them(k: int) -> None:
    hits = [h for n in range(12) for h in (hit(f"i{n}", f"s{n}", "image", "image"), hit(f"t{n}", f"s{n}"))]
    evidence = from_hits(hits, k)
    assert keys(evidence) == [*(f"t{n}" for n in range(k)), "i0", "i1", "i2"]


def test_one_subject_may_not_crowd_out_the_others() -> None:
    hits = [*(hit(f"a{n}", "a") for n in range(8)), *(hit(f"b{n}", "b") for n in range(3))]
    assert keys(from_hits(hits, 8)) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "a4"]
    assert keys(from_hits(hits, 4)) == ["a0", "a1", "a2", "a3"]
    # Where nobody else has anything to say, nothing is held back.
    assert keys(from_hits(hits[:8], 8)) == [f"a{n}" for n in range(8)]


def test_the_subject_a_scene_was_named_as_may() -> None:
    hits = [*(hit(f"a{n}", "a") for n in range(8)), hit("b0", "b")]
    assert keys(from_hits(hits, 8, [SceneVote("A", label="a")])) == [f"a{n}" for n in range(8)]
    unnamed = SceneVote("A", (("a", "A", 0.5),), reason="unclear")
    assert "b0" in keys(from_hits(hits, 8, [unnamed]))


def test_texts_and_pictures_that_are_the_same_are_shown_once() -> None:
    hits = [hit("a", content="x"), hit("b", "other", content="x"), hit("c", content="y")]
    pictures = [hit("p", kind="image", content="z"), hit("q", "other", "image", content="z")]
    assert keys(from_hits(hits + pictures, 8)) == ["a", "c", "p"]


def test_a_bare_label_is_no_evidence_and_hides_none() -> None:
    hits = [hit("label", part="label", content="x"), hit("caption", part="caption", content="x")]
    assert keys(from_hits(hits, 8)) == ["caption"]


def test_pictures_of_what_the_scene_was_named_as_come_first() -> None:
    hits = [hit(f"{s}{n}", s, "image") for n in range(3) for s in "ab"]
    assert keys(from_hits(hits, 8)) == ["a0", "b0", "a1"]
    assert keys(from_hits(hits, 8, [SceneVote("A", label="b")])) == ["b0", "b1", "b2"]


def test_nothing_found_is_no_evidence() -> None:
    assert from_hits([], 8) == []


def test_a_tools_result_is_evidence_that_reads_its_caveats() -> None:
    result = ToolResult(
        "The port covers 3 km2.",
        {"area": Quantity(3, "km2")},
        ("map.png",),
        caveats=("Edges are rough.",),
        attribution="OSM",
    )
    e = from_tool("area", (), result)
    assert (e.kind, e.title, e.via, e.images) == ("tool", "area", ("area",), ("map.png",))
    assert e.text == "The port covers 3 km2. Edges are rough."
    assert (e.provenance.source, e.provenance.record, e.provenance.attribution) == ("tool:area", "", "OSM")


def test_a_ledger_knows_evidence_again() -> None:
    ledger = Ledger()
    first = ledger.add_all(from_hits([hit("a"), hit("b")], 8))
    again = ledger.add_all([*from_hits([hit("c"), hit("b")], 8), from_tool("area", (), ToolResult("x"))])
    assert [e.number for e in first] == [1, 2] and [e.number for e in again] == [3, 2, 4]


def test_pictures_that_any_words_would_find_are_left_out() -> None:
    weak = hit("far", kind="image", part="image")
    unrelated = Hit(weak.chunk, 0.5, {"text-image": (1, 0.2)}, 2.0)
    example = Hit(hit("like", kind="image", part="image").chunk, 0.5, {"image-image": (1, 0.5)}, 2.0)
    assert keys(from_hits([unrelated, example], 8)) == ["like"]


def test_search_results_take_turns() -> None:
    from rsrag.evidence import alternated

    hits = [hit("t0"), hit("t1"), hit("t2"), hit("i0", kind="image"), hit("i1", kind="image")]
    assert [h.chunk.id for h in alternated(hits)] == ["t0", "i0", "t1", "i1", "t2"]  # strong passages, fair images
    weak = [replace(h, z=0.1, lanes={"text-text": (9, 0.1)}) for h in hits[:2]]
    assert [h.chunk.id for h in alternated([*weak, *hits[2:]])] == ["t2", "i0", "i1", "t0", "t1"]
    named = replace(hits[0], z=0.1, lanes={"named": (1, 2.0)})  # called by its name: never among the weak
    assert [h.chunk.id for h in alternated([named, weak[1]])] == ["t0", "t1"]
