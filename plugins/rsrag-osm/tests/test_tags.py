"""Tags: what a feature is called, which numbers count, and the ways in which others write tags down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag_osm.features import Losses, cleaned, hstore_tags, label_tags
from rsrag_osm.kinds import article, is_area, kind_of, nouns, plural, telling_keys
from rsrag_osm.lane import asked_for
from rsrag_osm.quantities import MEASURES, measured, start_date


@pytest.mark.parametrize(
    ("tags", "one", "many"),
    [
        ({"amenity": "hospital"}, "hospital", "hospitals"),
        ({"amenity": "place_of_worship", "religion": "christian"}, "church", "churches"),
        ({"leisure": "pitch", "sport": "tennis"}, "tennis court", "tennis courts"),
        ({"amenity": "school", "building": "school"}, "school", "schools"),
        ({"building": "school"}, "school building", "school buildings"),
        ({"landuse": "grass", "golf": "tee"}, "golf tee", "golf tees"),
        ({"landuse": "grass"}, "grass", "grass"),
        ({"building": "yes"}, "building", "buildings"),
        ({"building": "2"}, "building", "buildings"),
        ({"natural": "water", "water": "lake"}, "lake", "lakes"),
        ({"building": "castle_gate"}, "castle gate building", "castle gate buildings"),
        ({"shop": "cheese;wine"}, "cheese shop", "cheese shops"),
        ({"natural": "tree_row"}, "row of trees", "rows of trees"),
    ],
)
def test_kinds_have_english_names(tags: dict[str, str], one: str, many: str) -> None:
    kind = kind_of(tags)
    assert kind is not None
    assert (kind.one, kind.many) == (one, many)


@pytest.mark.parametrize("tags", [{}, {"name": "X"}, {"building": "no"}, {"note": "building"}])
def test_some_tags_say_nothing(tags: dict[str, str]) -> None:
    assert kind_of(tags) is None


@given(st.dictionaries(st.sampled_from(telling_keys()), st.text(max_size=12), max_size=2))
def test_any_value_gets_a_plain_name_or_none(tags: dict[str, str]) -> None:
    kind = kind_of(cleaned(tags.items()))
    if kind is not None:
        assert kind.one.strip() == kind.one != ""
        assert kind.one.isprintable() and "{" not in kind.one and "_" not in kind.one
        assert kind.mass or (kind.many != "" and kind.key in telling_keys())


def test_every_listed_noun_is_well_formed() -> None:
    for form, one in nouns().items():
        assert form == form.strip() and "  " not in form and form.lower() == form and one in nouns()


def test_closed_ways_are_areas_where_their_kind_is_one() -> None:
    assert is_area({"building": "yes"})
    assert is_area({"natural": "water"})
    assert not is_area({"highway": "residential"})
    assert is_area({"highway": "pedestrian", "area": "yes"})
    assert not is_area({"natural": "coastline"})
    assert not is_area({"building": "yes", "area": "no"})
    assert not is_area({"name": "nothing telling"})


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("church", "churches"), ("city", "cities"), ("day", "days"), ("box", "boxes"), ("works", "works")],
)
def test_plurals(noun: str, expected: str) -> None:
    assert plural(noun) == expected


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("airport", "an"), ("university", "a"), ("hour", "an"), ("house", "a"), ("undeveloped land", "an"), ("unit", "a")],
)
def test_articles(noun: str, expected: str) -> None:
    assert article(noun) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("height", "12", (12, "m")),
        ("height", "12.5 m", (12.5, "m")),
        ("height", "12m", (12, "m")),
        ("height", "7'6\"", (7.5, "ft")),
        ("height", "40 ft", (40, "ft")),
        ("maxspeed", "50", (50, "km/h")),
        ("maxspeed", "50 mph", (50, "mph")),
        ("maxspeed", "none", None),
        ("maxspeed", "FI:urban", None),
        ("ele", "-431", (-431, "m")),
        ("population", "1234", (1234, "inhabitants")),
        ("building:levels", "2.5", (2.5, "")),
    ],
)
def test_numbers_have_the_default_unit_of_their_key(key: str, value: str, expected: object) -> None:
    assert measured(key, value) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", "tall"), ("height", "-3"), ("height", "1e9"), ("height", "12 mph"), ("height", "12,5"),
        ("height", "nan"), ("height", "99999999 km"), ("population", "12.5"), ("population", "many"), ("lanes", "2;3"),
        ("maxspeed", "50 m"), ("maxspeed", "5000"), ("capacity", ""), ("beds", "-1"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError):
        measured(key, value)


@given(st.sampled_from(sorted(MEASURES)), st.text(max_size=20))
def test_a_number_is_finite_and_possible_or_refused(key: str, value: str) -> None:
    try:
        found = measured(key, value)
    except ValueError:
        return
    if found is not None:
        measure = MEASURES[key]
        assert measure.least <= found[0] <= measure.most
        assert found[1] == measure.unit or found[1] in measure.units


def test_only_exact_dates_are_dates() -> None:
    assert start_date("1924") == "1924"
    assert start_date("1924-05-01") == "1924-05-01"
    assert [start_date(v) for v in ("~1900", "C18", "before 1900", "")] == [""] * 4


def test_labels_in_the_form_of_geolink() -> None:
    assert label_tags("building:building") == {"building": "yes"}
    assert label_tags("tracktype:grade1;note:Golf Cart path;golf:cartpath;highway:path") == {
        "tracktype": "grade1", "note": "Golf Cart path", "golf": "cartpath", "highway": "path",
    }  # fmt: skip
    assert label_tags("addr street:Am Markt") == {"addr:street": "Am Markt"}
    assert label_tags("shop:cheese;wine") == {"shop": "cheese;wine"}
    assert label_tags(";;:;x:") == {}


@given(st.text())
def test_any_label_is_read(label: str) -> None:
    tags = label_tags(label)
    assert all(key and value and key.isprintable() and value.isprintable() for key, value in tags.items())


def test_other_tags_of_gdal() -> None:
    assert hstore_tags(r'"height"=>"5","name"=>"A \"B\"","x"=>"a,b=>c"') == {
        "height": "5",
        "name": 'A "B"',
        "x": "a,b=>c",
    }
    assert hstore_tags("nonsense") == {}


def test_losses_are_told_by_reason_with_a_few_examples() -> None:
    losses = Losses()
    for number in range(5):
        losses.add("ways without nodes", f"w{number}")
    losses.add("oddities", count=2000)
    assert losses.lines() == ["oddities: 2,000", "ways without nodes: 5 (w0, w1, w2, ...)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Which hospitals are near this image?", ["hospital"]),
        ("a place of worship or a pub", ["place of worship", "pub"]),
        ("Is there a school building, or schools?", ["school building", "school"]),
        ("tennis courts", ["tennis court"]),
        ("what is this?", []),
    ],
)
def test_a_question_names_kinds(text: str, expected: list[str]) -> None:
    assert asked_for(text) == expected


def test_halves_of_characters_and_breaks_become_spaces() -> None:
    assert cleaned([("a\ud800b", " x\n\ty\u202e "), ("", "v"), ("k", "\x00")]) == {"a b": "x y"}
