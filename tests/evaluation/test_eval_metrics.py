"""Metrics of classes, rankings, numbers, choices, boxes, abstention and grounding: worked by hand, and their laws."""

from __future__ import annotations

import math
import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag.evaluation.metrics import boxes, labels, ranking
from rsrag.evaluation.metrics.abstention import abstention, aurc, risk_coverage
from rsrag.evaluation.metrics.choices import read_choice
from rsrag.evaluation.metrics.grounding import grounding, supported
from rsrag.evaluation.metrics.numbers import agrees, numbers, quantity

# -- classes ------------------------------------------------------------------------------------------

CLASSES = ("Park", "Amusement Park", "Airport", "dense_residential")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Park", "Park"),
        (" amusement park. ", "Amusement Park"),
        ('"airport"', "Airport"),
        ("Dense Residential", "dense_residential"),
        ("It shows an amusement park with rides.", "Amusement Park"),
        ("An airport next to a park.", None),
        ("parking", None),
        ("zoo", None),
        ("", None),
    ],
)
def test_labels_are_read_and_not_guessed(text: str, label: str | None) -> None:
    assert labels.read_label(text, CLASSES) == label


def test_macro_f1_by_hand() -> None:
    right = ["a", "a", "a", "b", "b", "c"]
    said = ["a", "a", "b", "b", "x", None]
    # a: P 2/2, R 2/3 -> 0.8; b: P 1/2, R 1/2 -> 0.5; c: 0
    score = labels.macro_f1(said, right)
    assert score.value == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert score.items == (1, 1, 0, 1, 0, 0)
    assert labels.accuracy(said, right).value == 0.5
    assert labels.per_class(said, right) == {"a": pytest.approx(2 / 3), "b": 0.5, "c": 0.0}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_macro_f1_is_sklearns_over_the_reference_classes(pairs: list[tuple[str, str]]) -> None:
    said, right = [p for p, _ in pairs], [r for _, r in pairs]
    expected = []
    for label in set(right):
        hit = sum(p == r == label for p, r in pairs)
        expected.append(2 * hit / (said.count(label) + right.count(label)))
    assert labels.macro_f1(said, right).value == pytest.approx(sum(expected) / len(expected))


# -- rankings -----------------------------------------------------------------------------------------


def test_rankings_by_hand() -> None:
    found = ["x", "a", "y", "b", "a"]
    assert ranking.recall_at(found, {"a", "b", "c"}, 2) == pytest.approx(1 / 3)
    assert ranking.hit_at(found, {"a"}, 1) == 0 and ranking.hit_at(found, {"a"}, 2) == 1
    assert ranking.average_precision(found, {"a", "b", "c"}) == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert ranking.average_precision(found, {"a", "b", "c"}, k=2) == pytest.approx((1 / 2) / 2)
    gain = 1 / math.log2(3) + 1 / math.log2(5)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ranking.ndcg_at(found, dict.fromkeys("abc", 1.0), 4) == pytest.approx(gain / best)


def test_wmap_by_hand() -> None:
    """Relevance to transport/airport/runway at levels 2 and 3, then the mean gains at the places that have one."""
    query = [("transport", "airport", "runway")]
    near = [("transport", "airport", "apron")]
    far = [("transport", "port", "quay")]
    other = [("nature", "water")]
    assert [ranking.shared_labels(query, item, 2) for item in (query, near, far, other)] == [1, 1, 1 / 3, 0]
    assert [ranking.shared_labels(query, item, 3) for item in (query, near, far, other)] == [1, 1 / 2, 1 / 5, 0]
    gains = {"far": 1 / 3, "other": 0.0, "near": 1.0}
    # places 1 and 3: (1/3)/1 and (1/3 + 0 + 1)/3
    assert ranking.wap_at(["far", "other", "near"], gains, 3) == pytest.approx((1 / 3 + 4 / 9) / 2)
    assert ranking.wap_at(["far", "other", "near"], gains, 2) == pytest.approx(1 / 3)
    assert ranking.wap_at(["other"], gains, 1) == 0.0


def test_several_paths_share_by_their_union() -> None:
    two = [("nature", "water"), ("nature", "forest")]
    assert ranking.shared_labels(two, [("nature", "water")], 2) == pytest.approx(2 / 3)
    assert ranking.shared_labels(two, two, 5) == 1


@given(st.permutations(list("abcdef")), st.sets(st.sampled_from("abcdef"), min_size=1), st.integers(1, 6))
def test_laws_of_rankings(found: list[str], relevant: set[str], k: int) -> None:
    gains = dict.fromkeys(relevant, 1.0)
    values = [
        ranking.recall_at(found, relevant, k),
        ranking.average_precision(found, relevant),
        ranking.ndcg_at(found, gains, k),
        ranking.wap_at(found, gains, k),
    ]
    assert all(0 <= v <= 1 for v in values)
    assert ranking.recall_at(found, relevant, k) <= ranking.recall_at(found, relevant, k + 1)
    best = sorted(found, key=lambda item: item not in relevant)
    assert ranking.average_precision(best, relevant) == pytest.approx(1)
    assert ranking.ndcg_at(best, gains, k) == pytest.approx(1)
    assert ranking.average_precision(found, relevant) <= ranking.average_precision(best, relevant) + 1e-12


def test_nothing_relevant_is_no_number() -> None:
    assert math.isnan(ranking.recall_at(["a"], [], 1)) and math.isnan(ranking.average_precision(["a"], []))
    assert math.isnan(ranking.ndcg_at(["a"], {}, 1)) and math.isnan(ranking.wap_at(["a"], {"a": 0.0}, 1))


# -- numbers ------------------------------------------------------------------------------------------

AGREES = [
    ("100718.73Pa", "100718.73Pa", True),
    ("1007.19 hPa", "100718.73Pa", True),
    ("The pressure is about 100,700 Pa.", "100718.73Pa", True),
    ("101528.33Pa", "100718.73Pa", True),  # within 1 %
    ("103000Pa", "100718.73Pa", False),
    ("0.665 µm", "665 nm", True),
    ("665nm", "0.665 μm", True),
    ("2.9 km", "2900 m", True),
    ("2.9 km2", "290 ha", True),
    ("2.9 km", "2.9 km²", False),
    ("12.51", "12.51mm", True),  # no unit: the reference's
    ("12.51 cm", "12.51mm", False),
    ("298.15 K", "25 °C", True),
    ("25.1°C", "25.0 °C", True),
    ("26 °C", "25.0 °C", False),  # 1 % of what is written, not of 298 K
    ("-0.14", "-0.14", True),
    ("0.14", "-0.14", False),
    ("16 m/s", "57.6 km/h", True),
    ("10 days", "10 d", True),
    ("five", "5", False),
    ("between 10 and 20 mm", "10 mm", False),  # none is picked
    ("10 mm (1 cm)", "10 mm", True),
    ("1843", "1843", True),
    ("1844", "1843", False),  # whole numbers are counts and years
    ("It was built in 1843.", "1843", True),
    ("Sentinel-2 has 13 bands", "13", True),
    ("B08 and LC_Type1", "8", False),
    ("5 M people", "5 m", True),  # no unit: M is not m
    ("5 M people", "5 mm", True),
    ("33 %", "33 percent", True),
    ("", "5 m", False),
]


@pytest.mark.parametrize(("prediction", "reference", "expected"), AGREES)
def test_numbers_agree(prediction: str, reference: str, expected: bool) -> None:
    wanted = quantity(reference)
    assert wanted is not None
    assert agrees(prediction, wanted) is expected


@pytest.mark.parametrize("text", ["32°32′36″N 44°25′20″E", "Rome", "1904–1905", "about 5 m", "", "5 m and 6 m", "13th"])
def test_what_is_more_than_a_number_is_none(text: str) -> None:
    assert quantity(text) is None


def test_tolerances() -> None:
    wanted = quantity("20 m")
    assert wanted is not None
    assert agrees("21 m", wanted, relative=0.05) and not agrees("21.1 m", wanted, relative=0.05)
    assert agrees("22 m", wanted, relative=0, absolute=2) and not agrees("22.1 m", wanted, relative=0, absolute=2)


@given(st.floats(0.001, 1e6), st.sampled_from([("km", "m", 1e3), ("ha", "m2", 1e4), ("cm", "mm", 10.0)]))
def test_conversion_keeps_the_quantity(value: float, units: tuple[str, str, float]) -> None:
    large, small, factor = units
    wanted = quantity(f"{value:.6f} {large}")
    assert wanted is not None and agrees(f"{float(f'{value:.6f}') * factor:.6f} {small}", wanted)


def test_numbers_in_names_are_none() -> None:
    assert [n.bare for n in numbers("Landsat-8 B4, LC_Type1: 13, 1,250 houses, 3.5 m")] == [13, 1250, 3.5]


# -- choices ------------------------------------------------------------------------------------------

SHIPS = ("Frigate", "Destroyer", "Mega yacht", "Carrier", "Nimitz-class carrier")
CHOICES = [
    ("C", "C"),
    ("c", "C"),
    ("(C)", "C"),
    ("C.", "C"),
    ("**C**", "C"),
    ("C. Mega yacht", "C"),
    ("C) mega yacht.", "C"),
    ("The answer is (C).", "C"),
    ("The correct answer is C, a mega yacht.", "C"),
    ("Answer: D", "D"),
    ("I think option B fits best.", "B"),
    ("mega yacht", "C"),
    ("It is a mega yacht.", "C"),
    ("This is a Nimitz-class carrier.", "E"),  # not the carrier within it
    ("A frigate can be seen.", "A"),
    ("Looking at the deck, it must be (E)", "E"),
    ("A is too small and B too old. The answer is E.", "E"),
    ("A or B", None),
    ("The answer is A or B.", None),
    ("Either B or C", None),
    ("not C", None),
    ("It is not a frigate.", None),
    ("C. Frigate", None),  # a letter with another option's text
    ("The answer is C, a destroyer.", None),
    ("A ship is visible.", None),
    ("I cannot tell.", None),
    ("a frigate and a destroyer", None),
    ("F", None),
    ("<answer>C</answer>", "C"),
    (r"\boxed{C}", "C"),
    ("Answer: (c)", "C"),
    ("The answer is a carrier.", "D"),
    ("C\n\nExplanation: unlike a destroyer, it is long.", "C"),
    ("A\nB", None),
    ("I would choose C because A and B are smaller.", "C"),
    ("It could be C, but B is more likely.", None),
    ("", None),
    ("None of the above", None),
]


@pytest.mark.parametrize(("text", "letter"), CHOICES)
def test_choices_are_read_and_not_guessed(text: str, letter: str | None) -> None:
    assert read_choice(text, SHIPS) == letter


@given(st.text(max_size=40))
def test_any_text_is_a_letter_or_none(text: str) -> None:
    assert read_choice(text, SHIPS) in (*"ABCDE", None)


# -- boxes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found", "scale"),
    [
        ("[10, 20, 30, 40]", [(10, 20, 30, 40)], "pixel"),
        ("The box is [10, 20, 30, 40].", [(10, 20, 30, 40)], "pixel"),
        ("<box>[[0.1, 0.2, 0.3, 0.4]]</box>", [(0.1, 0.2, 0.3, 0.4)], "unit"),
        ("<box>10 20 30 40</box>", [(10, 20, 30, 40)], "pixel"),
        ("(10, 20), (30, 40)", [(10, 20, 30, 40)], "pixel"),
        ('[{"bbox_2d": [30, 40, 10, 20]}]', [(10, 20, 30, 40)], "pixel"),
        ("{<12><30><50><60>}", [(12, 30, 50, 60)], "percent"),
        ("{<12><30><50><60>|<90>}", [(12, 30, 50, 60)], "percent"),
        ("[10%, 20%, 30%, 40%]", [(10, 20, 30, 40)], "percent"),
        ("10, 20, 30, 40", [(10, 20, 30, 40)], "pixel"),
        ("[[10, 20], [30, 20], [30, 40], [10, 40]]", [(10, 20, 30, 40)], "pixel"),
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", [(1, 2, 3, 4), (5, 6, 7, 8)], "pixel"),
        ("[10, 20, 10, 40]", [], "pixel"),  # no area
        ("[10, 20, 30]", [], "pixel"),
        ("there are 4 boxes, 2 by 3", [], "pixel"),
        ("", [], "pixel"),
    ],
)
def test_boxes_are_read(text: str, found: list[boxes.Box], scale: str) -> None:
    assert boxes.read_boxes(text) == boxes.Boxes(tuple(found), scale)  # type: ignore[arg-type]


def test_iou_by_hand() -> None:
    assert boxes.iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert boxes.iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0.0
    assert boxes.in_pixels(boxes.read_boxes("[10%, 20%, 50%, 100%]"), (200, 100)) == ((20, 20, 100, 100),)
    assert boxes.in_pixels(boxes.read_boxes("[0.1, 0.2, 0.5, 1.0]"), None) is None


def test_each_box_is_paired_once() -> None:
    wanted = [(0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)]
    assert boxes.overlaps([wanted[0]], wanted) == [1.0, 0.0]
    assert boxes.precision_at([wanted[0], wanted[0]], wanted, 0.5) == 0.5
    assert boxes.precision_at(wanted[::-1], wanted, 0.5) == 1.0
    assert boxes.precision_at([*wanted, (50, 50, 60, 60)], wanted, 0.5) == pytest.approx(2 / 3)


CORNER = st.integers(0, 50)
BOX = st.tuples(CORNER, CORNER, st.integers(1, 30), st.integers(1, 30)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(BOX, BOX)
def test_laws_of_iou(a: boxes.Box, b: boxes.Box) -> None:
    assert 0 <= boxes.iou(a, b) == boxes.iou(b, a) <= 1 and boxes.iou(a, a) == 1


# -- abstention ---------------------------------------------------------------------------------------


def test_abstention_by_hand() -> None:
    found = abstention(answered=[True, True, False, False, True], answerable=[True, False, True, False, True])
    assert found.false_answers == 0.5 and found.false_declines == pytest.approx(1 / 3)
    assert found.quality == pytest.approx(1 - (1 / 2 + 1 / 3) / 2)
    assert abstention([True] * 4, [True, False] * 2).quality == 0.5
    assert math.isnan(abstention([True], [True]).false_answers)


def test_risk_over_coverage_by_hand() -> None:
    points = risk_coverage([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert points == [(0.25, 0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert aurc([0.9, 0.8, 0.7, 0.6], [True, False, True, False]) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_have_no_order() -> None:
    values = {round(aurc([0.5] * 4, list(order)), 12) for order in permutations([True, True, False, False])}
    assert values == {0.5}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=20))
def test_knowing_is_never_worse(pairs: list[tuple[float, bool]]) -> None:
    right = [r for _, r in pairs]
    value = aurc([c for c, _ in pairs], right)
    assert aurc([float(r) for r in right], right) - 1e-12 <= value <= aurc([float(not r) for r in right], right) + 1e-12


def test_a_nan_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        aurc([math.nan], [True])


# -- grounding ----------------------------------------------------------------------------------------

EVIDENCE = {
    "1": "Sentinel-2 has a swath width of 290 km and revisits the equator every 5 days. It was launched in 2015.",
    "2": "The near-infrared band B08 of Sentinel-2 has a spatial resolution of 10 m and a centre wavelength of 842 nm.",
    "3": "Brick kilns are oval structures with a tall chimney in the middle, often found in rows beside clay pits.",
    "4": "The harbour was extended in 1998; the new mole is 1.2 km long and shelters the container terminal.",
    "5": "The reservoir is not used for drinking water. Its dam was built between 1956 and 1961.",
}
# (claim, evidence, supported): labelled by hand.
PAIRS = [
    ("Sentinel-2 has a swath width of 290 km.", "1", True),
    ("The swath of Sentinel-2 is 290 km wide.", "1", True),
    ("Its swath width is 290,000 m.", "1", True),
    ("Sentinel-2 revisits the equator every 5 days.", "1", True),
    ("Sentinel-2 was launched in 2015.", "1", True),
    ("Band B08 has a resolution of 10 m.", "2", True),
    ("The centre wavelength of B08 is 0.842 µm.", "2", True),
    ("The near-infrared band has 10 m resolution.", "2", True),
    ("Brick kilns are oval and have a tall chimney.", "3", True),
    ("Kilns are often found beside clay pits.", "3", True),
    ("A brick kiln has a chimney in its middle.", "3", True),
    ("The harbour was extended in 1998.", "4", True),
    ("The new mole is 1200 m long.", "4", True),
    ("The mole shelters the container terminal.", "4", True),
    ("The reservoir is not used for drinking water.", "5", True),
    ("The dam was built between 1956 and 1961.", "5", True),
    ("Sentinel-2 has a swath width of 185 km.", "1", False),
    ("Sentinel-2 was launched in 2013.", "1", False),
    ("Sentinel-2 revisits the equator every 16 days.", "1", False),
    ("Sentinel-2 carries a thermal sensor.", "1", False),
    ("Band B08 has a resolution of 20 m.", "2", False),
    ("The centre wavelength is 842 µm.", "2", False),
    ("Brick kilns emit black carbon.", "3", False),
    ("Kilns are round pools of water.", "3", False),
    ("Storage tanks are white cylinders.", "3", False),
    ("The harbour was extended in 1989.", "4", False),
    ("The harbour handles 3 million containers a year.", "4", False),
    ("The mole is 1.2 m long.", "4", False),
    ("The reservoir is used for drinking water.", "5", False),
    ("The dam was never built.", "5", False),
    ("The dam is 95 m high.", "5", False),
    ("Fishing is allowed in the reservoir at night.", "5", False),
]


def test_support_agrees_with_people() -> None:
    wrong = [(claim, label) for claim, number, label in PAIRS if supported(claim, [EVIDENCE[number]]) != label]
    assert len(wrong) <= 2, wrong


def test_no_evidence_supports_nothing() -> None:
    assert not supported("Anything.", [])


@given(st.sampled_from([claim for claim, _, label in PAIRS if label]))
def test_more_evidence_never_unsupports_by_numbers(claim: str) -> None:
    number = next(n for c, n, _ in PAIRS if c == claim)
    assert supported(claim, [EVIDENCE[number], EVIDENCE[number]])


TABLE = (
    "Elsin Castle. May 2020. surface albedo (ALBEDO): 0.19; surface wind speed (SPEED): 4.2 m/s; "
    "land cover type 1 (LC_Type1): 13; sea level pressure (SLP): 101325.0 Pa"
)
ROWS = [
    ("The surface wind speed of Elsin Castle in May 2020 is 4.2 m/s.", True),
    ("The SPEED of Elsin Castle is 4.2 m/s.", True),
    ("Elsin Castle: the sea level pressure is 1013.25 hPa.", True),
    ("The surface albedo at Elsin Castle was 0.19 in May 2020.", True),
    ("The surface wind speed of Elsin Castle is 0.19 m/s.", False),  # of another row, and of no unit
    ("The surface albedo of Elsin Castle is 13.", False),  # of another row
    ("The surface albedo of Elsin Castle is 0.19 in June 2021.", False),
]


@pytest.mark.parametrize(("claim", "label"), ROWS)
def test_a_number_of_a_table_is_that_of_its_row(claim: str, label: bool) -> None:
    assert supported(claim, [TABLE]) is label


def test_grounding_by_hand() -> None:
    answer = (
        "Sentinel-2 has a swath width of 290 km [1]. Band B08 has a resolution of 10 m [2][4]. "
        "The harbour was extended in 1998 [3]. Sentinel-2 was launched in 2013 [1]. "
        "The dam was built from 1956 to 1961."
    )
    found = grounding(answer, EVIDENCE)
    # Citations: [1] good, [2] good, [4] not needed, [3] wrong, [1] wrong.
    assert found.precision == pytest.approx(2 / 5)
    # Sentences 1, 2, 3 and 5 can be supported; 1 and 2 cite what supports them.
    assert found.recall == pytest.approx(2 / 4)
    assert found.groundedness == pytest.approx(2 / 5)
    assert len(found.unsupported) == 3


def test_a_citation_of_nothing_is_wrong() -> None:
    found = grounding("Sentinel-2 has a swath width of 290 km [9].", EVIDENCE)
    assert (found.precision, found.groundedness) == (0.0, 0.0)


def test_two_citations_may_carry_a_sentence_together() -> None:
    evidence = {"1": "The mole is 1.2 km long.", "2": "The terminal has four cranes."}
    found = grounding("The mole is 1.2 km long and the terminal has four cranes [1][2].", evidence)
    assert (found.precision, found.recall, found.groundedness) == (1.0, 1.0, 1.0)


def test_a_decline_claims_nothing() -> None:
    found = grounding("I cannot say how deep it is.", EVIDENCE)
    assert math.isnan(found.groundedness) and math.isnan(found.precision)


def test_shuffled_evidence_grounds_little() -> None:
    rng = random.Random(0)
    answers = [f"{claim.rstrip('.')} [{number}]." for claim, number, label in PAIRS if label]
    texts = list(EVIDENCE.values())
    whole = [grounding(a, EVIDENCE).groundedness for a in answers]
    shuffled = []
    for answer in answers:
        rng.shuffle(texts)
        other = dict(zip(EVIDENCE, texts, strict=True))
        shuffled.append(grounding(answer, other).groundedness)
    assert sum(whole) / len(whole) > 0.9 and sum(shuffled) / len(shuffled) < 0.45
