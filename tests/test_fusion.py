"""The join and the two fusions, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import Chunk, Hit, Provenance
from rsrag.fusion import rrf, subject_cosines, subject_ranks, weighted

VOTING = {"image-image", "image-name"}


def chunk(key: str, subject: str = "", kind: str = "text") -> Chunk:
    return Chunk(key, kind, "text", 0, key, key, f"hash-{key}", Provenance("s", key, subject))  # type: ignore[arg-type]


def lane(name: str, *found: tuple[str, str, str, float]) -> dict[str, list[Hit]]:
    """A lane's hits from (id, subject, kind, raw score), best first."""
    return {
        name: [
            Hit(chunk(key, subject, kind), 0.0, {name: (rank, raw)})
            for rank, (key, subject, kind, raw) in enumerate(found, 1)
        ]
    }


def scores(hits: Sequence[Hit]) -> dict[str, float]:
    return {hit.chunk.id: hit.score for hit in hits}


# An image of Dubrovnik matches; the question alone would prefer an unrelated text, or not care.
SEEN = lane(
    "image-image",
    ("img-d", "dubrovnik", "image", 0.9),
    ("img-d2", "dubrovnik", "image", 0.8),
    ("img-s", "split", "image", 0.5),
)
ASKED = lane(
    "text-text",
    ("other", "atlantis", "text", 0.6),
    ("d-history", "dubrovnik", "text", 0.5),
    ("s-history", "split", "text", 0.4),
)


def test_rrf_adds_the_subjects_rank_in_the_image_lane_to_the_chunks_rank_in_the_text_lane() -> None:
    assert scores(rrf({**SEEN, **ASKED}, VOTING)) == pytest.approx(
        {
            "img-d": 1 / 61,
            "img-d2": 1 / 62,
            "img-s": 1 / 63,
            "other": 1 / 61,
            "d-history": 1 / 62 + 1 / 61,
            "s-history": 1 / 63 + 1 / 62,  # its subject is the second that was seen, its image the third
        }
    )


def test_weighted_is_the_papers_formula() -> None:
    got = scores(weighted({**SEEN, **ASKED}, VOTING, alpha=0.7))
    assert got == pytest.approx(
        {
            "d-history": 0.7 * 0.9 + 0.3 * 0.5,
            "s-history": 0.7 * 0.5 + 0.3 * 0.4,
            "other": 0.3 * 0.6,
            "img-d": 0.7 * 0.9,
            "img-d2": 0.7 * 0.8,
            "img-s": 0.7 * 0.5,
        }
    )
    assert next(iter(got)) == "d-history"


@pytest.mark.parametrize("fuse", [rrf, weighted])
def test_an_image_lifts_its_subjects_text_above_a_text_found_as_well(fuse: object) -> None:
    words = lane("words", ("z", "atlantis", "text", 0.5))
    meaning = lane("text-text", ("d", "dubrovnik", "text", 0.5))
    assert [h.chunk.id for h in rrf({**words, **meaning}, VOTING)] == ["d", "z"]  # equal but for the name
    joined = fuse({**SEEN, **words, **meaning}, VOTING)  # type: ignore[operator]
    texts = [h for h in joined if h.chunk.kind == "text"]
    assert [h.chunk.id for h in texts] == ["d", "z"]
    assert texts[0].score > texts[1].score


def test_a_name_lane_speaks_for_the_subject_and_not_for_the_name_itself() -> None:
    names = lane("image-name", ("label-s", "split", "text", 0.3), ("label-d", "dubrovnik", "text", 0.2))
    got = scores(rrf({**names, **ASKED}, VOTING))
    assert got["label-s"] == pytest.approx(1 / 61)
    assert got["s-history"] == pytest.approx(1 / 63 + 1 / 61)
    assert got["d-history"] == pytest.approx(1 / 62 + 1 / 62)
    assert got["other"] == pytest.approx(1 / 61)


def test_what_has_no_subject_counts_for_itself_and_lifts_nobody() -> None:
    lanes = {
        **lane("image-name", ("caption", "", "text", 0.4), ("label-d", "dubrovnik", "text", 0.2)),
        **lane("text-text", ("stray", "", "text", 0.5)),
    }
    got = scores(rrf(lanes, VOTING))
    assert got == pytest.approx({"caption": 1 / 61, "label-d": 1 / 61, "stray": 1 / 61})
    assert scores(weighted(lanes, VOTING, 0.7)) == pytest.approx({"caption": 0.28, "label-d": 0.14, "stray": 0.15})


def test_weights_of_lanes_multiply() -> None:
    got = scores(rrf({**SEEN, **ASKED}, VOTING, {"image-image": 2.0, "text-text": 0.5}))
    assert got["d-history"] == pytest.approx(0.5 / 62 + 2 / 61)
    assert got["other"] == pytest.approx(0.5 / 61)


def test_weights_are_renormalised_when_a_side_is_missing() -> None:
    assert scores(weighted(ASKED, VOTING, 0.7)) == pytest.approx({"other": 0.6, "d-history": 0.5, "s-history": 0.4})
    assert scores(weighted(SEEN, VOTING, 0.7)) == pytest.approx({"img-d": 0.9, "img-d2": 0.8, "img-s": 0.5})
    assert scores(weighted({**SEEN, "text-text": []}, VOTING, 0.7))["img-d"] == pytest.approx(0.9)


def test_scores_that_are_no_cosines_do_not_enter_the_formula() -> None:
    words = lane("words", ("other", "atlantis", "text", 14.2), ("d-history", "dubrovnik", "text", 0.3))
    got = scores(weighted({**SEEN, **ASKED, **words}, VOTING, 0.7, measured={*SEEN, *ASKED}))
    assert got == pytest.approx(scores(weighted({**SEEN, **ASKED}, VOTING, 0.7)))
    only = weighted(words, VOTING, 0.7)
    assert {h.chunk.id for h in only} == {"other", "d-history"}


@pytest.mark.parametrize(("alpha", "first"), [(0.0, "other"), (1.0, "d-history")])
def test_alpha_decides_between_question_and_image(alpha: float, first: str) -> None:
    texts = [h.chunk.id for h in weighted({**SEEN, **ASKED}, VOTING, alpha) if h.chunk.kind == "text"]
    assert texts[0] == first


def test_subjects_rank_by_their_best_hit() -> None:
    hits = [*SEEN["image-image"], *lane("image-image", ("x", "", "image", 0.1))["image-image"]]
    assert subject_ranks(hits) == {"dubrovnik": 1, "split": 2}
    assert subject_cosines(hits, "image-image") == {"dubrovnik": 0.9, "split": 0.5}


def test_a_chunk_found_by_two_lanes_keeps_both_and_the_better_z() -> None:
    a, b = (lane(n, ("d", "dubrovnik", "text", 0.5))[n][0] for n in ("words", "text-text"))
    lanes = {"words": [a], "text-text": [replace(b, z=4.0)], "more": [Hit(a.chunk, 0.0, {"more": (1, 0.1)}, 2.0)]}
    (hit,) = rrf(lanes, VOTING)
    assert dict(hit.lanes) == {"words": (1, 0.5), "text-text": (1, 0.5), "more": (1, 0.1)}
    assert hit.z == 4.0


def test_a_tie_stays_a_tie_whatever_the_order_of_the_lanes() -> None:
    ranks = {"x": (1, 7), "y": (2, 1), "z": (7, 2)}  # the same three ranks, whose plain sums differ by their order
    lanes = {n: [Hit(chunk(key), 0.0, {n: (r, 0.5)}) for key, r in zip("ab", ranks[n], strict=True)] for n in ranks}
    for order in ("xyz", "xzy", "zyx", "yzx"):
        a, b = rrf({name: lanes[name] for name in order}, VOTING)
        assert (a.chunk.id, b.chunk.id) == ("a", "b") and a.score == b.score


def test_nothing_found_is_nothing_fused() -> None:
    assert rrf({}, VOTING) == [] == weighted({"text-text": []}, VOTING)


# -- properties -----------------------------------------------------------------------------------

KEYS = [(f"c{n}", f"s{n % 3}" if n % 4 else "", "image" if n % 2 else "text") for n in range(10)]


@st.composite
def all_lanes(draw: st.DrawFn) -> dict[str, list[Hit]]:
    lanes: dict[str, list[Hit]] = {}
    for name in draw(st.lists(st.sampled_from(["image-image", "image-name", "text-text", "words"]), unique=True)):
        chosen = draw(st.lists(st.sampled_from(KEYS), unique=True))
        raw = sorted(draw(st.lists(st.floats(-1, 1), min_size=len(chosen), max_size=len(chosen))), reverse=True)
        lanes.update(lane(name, *((*key, value) for key, value in zip(chosen, raw, strict=True))))
    return lanes


@given(all_lanes(), st.randoms(use_true_random=False), st.sampled_from([rrf, weighted]))
def test_no_chunk_is_lost_and_the_order_of_lanes_does_not_matter(lanes: dict[str, list[Hit]], random, fuse) -> None:  # type: ignore[no-untyped-def]
    hits = fuse(lanes, VOTING)
    assert sorted(h.chunk.id for h in hits) == sorted({h.chunk.id for found in lanes.values() for h in found})
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    names = list(lanes)
    random.shuffle(names)
    again = fuse({name: lanes[name] for name in names}, VOTING)
    assert scores(again) == pytest.approx(scores(hits))
    assert [(h.chunk, h.z, dict(h.lanes)) for h in sorted(again, key=lambda h: h.chunk.id)] == [
        (h.chunk, h.z, dict(h.lanes)) for h in sorted(hits, key=lambda h: h.chunk.id)
    ]
    assert [h.chunk.id for h in again] == [h.chunk.id for h in hits]


@given(all_lanes(), st.sampled_from(KEYS), st.sampled_from(["image-image", "image-name", "text-text", "words"]))
def test_being_found_by_one_more_lane_never_hurts(
    lanes: Mapping[str, list[Hit]], key: tuple[str, str, str], name: str
) -> None:
    before = scores(rrf(lanes, VOTING)).get(key[0], 0.0)
    found = list(lanes.get(name, []))
    if key[0] in {h.chunk.id for h in found}:
        return
    found.append(Hit(chunk(*key), 0.0, {name: (len(found) + 1, -1.0)}))
    after = scores(rrf({**lanes, name: found}, VOTING))
    assert after[key[0]] > before or (key[1] and name in VOTING and after[key[0]] == pytest.approx(before))
