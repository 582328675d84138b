"""Captions: the grammar, the relations it sees, and the check that lets no noun or number in from nowhere."""

from __future__ import annotations

from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from rsrag_osm.captions import scene_sentences, single_captions
from rsrag_osm.checking import check
from rsrag_osm.features import Feature
from rsrag_osm.kinds import kind_of
from rsrag_osm.view import is_seen

# Near the equator a degree is as long as it is wide; 0.01 degrees are about 1.1 km.
GROUND = shapely.box(0, 0, 0.01, 0.01)


def feature(shape: Any, **tags: str) -> Feature:
    return Feature("x", tags, shape)


def box(x: float, y: float, width: float, height: float = 0.0) -> Any:
    """In hundredths of the scene's side."""
    return shapely.box(x / 1e4, y / 1e4, (x + width) / 1e4, (y + (height or width)) / 1e4)


def line(*points: tuple[float, float]) -> Any:
    return shapely.LineString([(x / 1e4, y / 1e4) for x, y in points])


def caption(*features: Feature) -> str:
    said = " ".join(scene_sentences(features, GROUND))
    assert check(said, [f.tags for f in features]) == []
    return said


HOUSES = [feature(box(x, y, 3), building="yes") for x, y in ((25, 25), (70, 25), (25, 70), (70, 70))]


def test_a_single_object() -> None:
    assert caption(feature(box(10, 10, 20), amenity="school")) == "A school."
    assert caption(feature(box(0, 0, 100), natural="wood", leaf_type="mixed")) == "A mixed forest, filling the scene."
    assert caption(feature(box(0, 0, 100, 70), landuse="grass")) == "Grass, covering most of the scene."


def test_nothing_visible_is_nothing_said() -> None:
    assert caption() == ""
    assert caption(feature(shapely.Point(0.005, 0.005), shop="bakery")) == ""
    assert caption(feature(line((0, 0), (100, 100)), highway="primary", tunnel="yes")) == ""


def test_size_is_said_only_when_it_is_out_of_the_usual() -> None:
    assert caption(feature(box(10, 10, 30), amenity="parking")).startswith("A large parking lot")
    assert caption(feature(box(10, 10, 6), amenity="parking")) == "A parking lot."
    assert caption(feature(box(10, 10, 1), amenity="parking")) == "A small parking lot."
    assert caption(feature(box(0, 0, 1), amenity="parking")) == "A parking lot.", "cut by the edge: no telling"
    assert "large" not in caption(feature(box(0, 0, 100), landuse="meadow")), "no usual size is known"


def test_things_around_surround() -> None:
    said = caption(feature(box(40, 40, 20), amenity="school"), *HOUSES)
    assert said == "A school. It is surrounded by four buildings."
    on_one_side = [feature(box(70, y, 3), building="yes") for y in (10, 30, 50, 70)]
    assert "surrounded" not in caption(feature(box(40, 40, 20), amenity="school"), *on_one_side)


def test_a_road_crosses_what_it_runs_through() -> None:
    park = feature(box(20, 20, 60), leisure="park")
    assert caption(park, feature(line((0, 50), (100, 50)), highway="service")).endswith(
        "It is crossed by a service road."
    )
    past = caption(park, feature(line((0, 18), (100, 18)), highway="service"))
    assert "crossed" not in past and "beside a service road" in past


def test_things_inside_come_with_it_and_settings_hold_it() -> None:
    said = caption(
        feature(box(0, 0, 100, 99), landuse="residential"),
        feature(box(20, 20, 50), leisure="common"),
        feature(box(30, 30, 5), leisure="playground"),
        feature(box(50, 50, 5), leisure="playground"),
    )
    assert said == "A common with two playgrounds in a residential area."


def test_what_lies_apart_lies_on_a_side() -> None:
    said = caption(
        feature(box(10, 10, 20), amenity="school"),
        feature(box(15, 80, 5), amenity="place_of_worship", religion="christian"),
    )
    assert said == "A school. A church lies to the north of it."


def test_numbers_are_counts_and_what_is_left_is_said_last() -> None:
    trees = [feature(shapely.Point(x / 1e4, 0.009), natural="tree") for x in range(1, 90, 4)]
    said = caption(feature(box(10, 10, 20), amenity="school"), *trees)
    assert said == "A school. There are also many trees."
    said = caption(*[feature(box(x, 50, 3), leisure="pitch", sport="tennis") for x in range(1, 96, 8)])
    assert said == "Twelve tennis courts."
    said = caption(*[feature(box(x, 50, 3), leisure="pitch", sport="tennis") for x in range(1, 96, 7)])
    assert said == "14 tennis courts."


def test_single_object_captions() -> None:
    found = single_captions([feature(box(10, 10, 40), amenity="parking", surface="asphalt"), *HOUSES], GROUND)
    assert found == ["A large asphalt parking lot.", "Four buildings."]


def test_captions_do_not_depend_on_the_order_of_the_features() -> None:
    features = [feature(box(40, 40, 20), amenity="school"), *HOUSES, feature(line((0, 1), (100, 1)), highway="path")]
    assert scene_sentences(features, GROUND) == scene_sentences(features[::-1], GROUND)


SCHOOL = {"amenity": "school"}
HOUSE = {"building": "yes"}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("A hospital.", "'hospital' is in no tag"),
        ("A school beside a river.", "'river' is in no tag"),
        ("A school lot.", "'lot' is in no tag"),
        ("Two schools.", "there are not several of 'school'"),
        ("A school and three buildings.", "there are 2 of 'building' and not three"),
        ("A school and 17 buildings.", "there are 2 of 'building' and not 17"),
        ("A school and many buildings.", "2 of 'building' are not many"),
        ("A gravel school.", "'gravel' is in no tag"),
        ("A school built in 1924.", "'built' is in no tag"),
        ("A school covering 40 of the scene.", "the number '40' counts nothing"),
    ],
)
def test_the_check_finds_what_tags_do_not_say(said: str, fault: str) -> None:
    assert fault in check(said, [SCHOOL, HOUSE, HOUSE])


def test_the_check_passes_what_they_say() -> None:
    assert check("A large school beside two buildings.", [SCHOOL, HOUSE, HOUSE]) == []


TAGS = st.sampled_from(
    [
        {"amenity": "school"}, {"amenity": "parking", "surface": "asphalt"}, {"building": "yes"},
        {"building": "church"}, {"landuse": "residential"}, {"natural": "wood", "leaf_type": "mixed"},
        {"landuse": "grass"}, {"highway": "service"},
        {"waterway": "river"}, {"leisure": "pitch", "sport": "tennis"}, {"shop": "bakery"}, {"building": "block_5"},
        {"man_made": "storage_tank"}, {"amenity": "something_very_new"}, {"natural": "coastline"}, {"place": "islet"},
    ]
)  # fmt: skip
PLACES = st.tuples(*[st.integers(0, 90)] * 2, st.integers(1, 60))


@st.composite
def scattered(draw: st.DrawFn) -> Feature:
    x, y, size = draw(PLACES)
    tags = draw(TAGS)
    kind = kind_of(tags)
    assert kind is not None
    shapes = [line((x, y), (x + size, y + size / 3))]
    if not kind.is_line:
        shapes += [box(x, y, size), shapely.Point(x / 1e4, y / 1e4)]
    shape = draw(st.sampled_from(shapes)).intersection(GROUND)
    return Feature("x", tags, shape if not shape.is_empty else shapely.Point(0.005, 0.005))


@given(st.lists(scattered(), max_size=30))
def test_every_caption_passes_its_own_check(features: list[Feature]) -> None:
    seen = [f for f in features if is_seen(f.tags, kind_of(f.tags))]  # type: ignore[arg-type]
    tags = [f.tags for f in seen]
    sentences = scene_sentences(features, GROUND)
    assert bool(sentences) == bool(seen)
    for sentence in [*sentences, *single_captions(features, GROUND)]:
        assert check(sentence, tags) == []
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence.endswith(".") and "  " not in sentence


@given(st.lists(scattered(), min_size=1, max_size=12), st.sampled_from(["volcano", "heliport", "99", "seven dams"]))
def test_no_caption_passes_with_a_word_from_elsewhere(features: list[Feature], word: str) -> None:
    tags = [f.tags for f in features]
    for sentence in scene_sentences(features, GROUND):
        assert check(f"{sentence.rstrip('.')} and {word}.", tags) != []


@given(st.lists(scattered(), min_size=1, max_size=12))
def test_a_caption_does_not_outlive_its_features(features: list[Feature]) -> None:
    """What is said of a scene is wrong of one where the first noun's features are gone."""
    for sentence in single_captions(features, GROUND):
        nouns = [kind.one for f in features if (kind := kind_of(f.tags)) is not None]
        gone = next(n for n in sorted(set(nouns), key=len, reverse=True) if not check(sentence, _only(features, n)))
        assert check(sentence, _without(features, gone)) != []


def _only(features: list[Feature], noun: str) -> list[Any]:
    return [f.tags for f in features if (kind := kind_of(f.tags)) is not None and kind.one == noun]


def _without(features: list[Feature], noun: str) -> list[Any]:
    return [f.tags for f in features if (kind := kind_of(f.tags)) is not None and kind.one != noun]
