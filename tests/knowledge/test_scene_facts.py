"""The pack `scenes` against legends of class lists, geometry and the units that sports and roads are laid out in.

See docs/knowledge-checks.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from rsrag import Record
from rsrag.builtin.sources.pack import PackSource

PACK = Path(__file__).parents[2] / "knowledge" / "scenes"
PARTS = {"appearance", "texture", "scale", "spectral", "season", "look_alikes", "context", "class_lists"}
NAMED = 41
"""Classes of UC Merced and AID, whose labels name images. More labels cost precision: see `benchmarks/vote.py`."""

CORINE = {
    111: "continuous urban fabric", 112: "discontinuous urban fabric", 121: "industrial or commercial units",
    122: "road|railway", 123: "port areas", 124: "airport", 131: "mineral extraction", 132: "dump", 133: "construction",
    141: "green urban", 142: "sport and leisure", 211: "non-irrigated arable", 212: "permanently irrigated",
    213: "rice", 221: "vineyard", 222: "fruit tree", 223: "olive", 231: "pasture", 311: "broad-leaved",
    312: "coniferous", 313: "mixed forest", 321: "natural grassland", 323: "sclerophyllous", 331: "beach",
    332: "bare rock", 335: "perpetual snow", 411: "inland marsh", 412: "peat bog", 421: "salt marsh", 422: "salines",
    423: "intertidal", 511: "water course", 512: "water bod",
}  # fmt: skip
WORLDCOVER = {
    10: "tree cover", 20: "shrubland", 30: "grassland", 40: "cropland", 50: "built-up", 60: "bare or sparse",
    70: "snow and ice", 80: "permanent water", 90: "herbaceous wetland", 95: "mangrove",
}  # fmt: skip
ZONES = {
    "1": "compact high-rise", "3": "compact low-rise", "4": "open high-rise", "6": "open low-rise",
    "7": "lightweight low-rise", "8": "large low-rise", "9": "sparsely built", "10": "heavy industry",
    "A": "dense trees", "C": "bush or scrub", "D": "low plants", "E": "bare rock or paved", "F": "bare soil or sand",
}  # fmt: skip

FOOT, MILE = 0.3048, 1.609344
STRAIGHT, RADIUS, LANE = 84.39, 36.5, 1.22
"""Of the standard running track of World Athletics; lane 1 is measured 0.3 m from its kerb."""

WORKED_OUT = [
    ("basketball-court", "court length (NBA)", 94 * FOOT),
    ("basketball-court", "court width (NBA)", 50 * FOOT),
    ("football-pitch", "length with end zones, American football", 360 * FOOT),
    ("football-pitch", "width, American football", 160 * FOOT),
    ("race-track", "length, Indianapolis Motor Speedway", 2.5 * MILE),
    ("race-track", "length, Churchill Downs", MILE),
    ("baseball-field", "distance between bases", 90 * FOOT),
    ("baseball-field", "minimum foul line distance, professional fields built since 1958", 325 * FOOT),
    ("baseball-field", "minimum centre field distance, professional fields built since 1958", 400 * FOOT),
    ("tennis-court", "court length (ITF)", 78 * FOOT),
    ("tennis-court", "doubles court width (ITF)", 36 * FOOT),
    ("tennis-court", "singles court width (ITF)", 27 * FOOT),
    ("playground", "length of a standard running track", 2 * STRAIGHT + 2 * math.pi * (RADIUS + 0.3)),
    ("playground", "overall length of an eight-lane standard track", STRAIGHT + 2 * (RADIUS + 8 * LANE)),
    ("playground", "overall width of an eight-lane standard track", 2 * (RADIUS + 8 * LANE)),
    ("freeway", "repeat length of broken lane lines (MUTCD)", 40 * FOOT),
    ("freeway", "width of a lane (AASHTO Interstate)", 12 * FOOT),
    ("airport", "longest runway length, Denver International Airport", 16_000 * FOOT),
    ("circular-farmland", "side, quarter section", 1000 * MILE / 2),
    ("circular-farmland", "area, radius 400 m", math.pi * 400**2 / 1e4),
    ("farmland", "side of a quarter section field", 1000 * MILE / 2),
    ("farmland", "area of a quarter section field", (1000 * MILE / 2) ** 2 / 1e4),
    ("oil-palm", "row spacing", 9 * math.sin(math.radians(60))),
    ("oil-palm", "number of palms per hectare, triangular spacing 9 m", 1e4 / (9 * 9 * math.sin(math.radians(60)))),
    ("vineyard", "number of vines per hectare, spacing 1 m by 1 m", 1e4),
    ("tree-plantation", "number of trees per hectare, spacing 3 m by 3 m", 1e4 / 9),
    ("aquaculture", "net pen circumference, large salmon farm", math.pi * 50),
    ("mobile-home-park", "minimum floor area of a manufactured home (HUD definition)", 320 * FOOT**2),
    ("oil-field", "mean well pad area, Marcellus shale", 3.1 * 0.404686),
    ("solar-farm", "total land per megawatt AC, large US plants", 7.9 * 0.404686),
]


@cache
def classes() -> dict[str, Record]:
    source = PackSource(PACK)
    found = {record.id: record for record in source.records() if not record.images}
    assert source.problems == []
    return found


def prose(record: Record) -> str:
    return " ".join(section.text for section in record.sections if section.part != "label")


def test_every_class_tells_all_that_an_interpreter_asks_for() -> None:
    assert len(classes()) >= 65
    for name, record in classes().items():
        assert {section.part for section in record.sections} >= PARTS, name
        scale = next(section.text for section in record.sections if section.part == "scale")
        assert all(re.search(rf"(?<![\d.]){metres} m\b", scale) for metres in ("0.3", "3", "10", "30")), name
        assert record.attribution and record.aliases, name


def test_no_two_classes_share_a_name() -> None:
    names = Counter(
        name for record in classes().values() for name in {n.lower() for n in (record.title, *record.aliases)}
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_only_classes_that_the_encoder_was_trained_on_name_images() -> None:
    assert sum(any(s.part == "label" for s in record.sections) for record in classes().values()) == NAMED


def test_numbers_of_facts_stand_in_the_prose() -> None:
    missing = []
    for name, record in classes().items():
        for fact in record.facts:
            written = {str(fact.value)}
            if isinstance(fact.value, int | float):
                written |= {f"{fact.value:,}", f"{round(fact.value):,}"}
            if not any(re.search(rf"(?<![\w.,]){re.escape(w)}(?!\d|[.,]\d)", prose(record)) for w in written):
                missing.append((name, fact.attribute, fact.value))
    assert missing == []


@pytest.mark.parametrize(
    ("attribute", "legend"),
    [("CORINE Land Cover code", CORINE), ("ESA WorldCover code", WORLDCOVER), ("local climate zone", ZONES)],
)
def test_codes_are_those_of_the_legend(attribute: str, legend: dict[int | str, str]) -> None:
    """Each code is in the legend, and a sentence of the record gives it together with what the legend calls it."""
    checked = 0
    for name, record in classes().items():
        sentences = re.split(r"(?<=\.) ", next(s.text for s in record.sections if s.part == "class_lists"))
        for fact in (f for f in record.facts if f.attribute.startswith(attribute)):
            said = legend[str(fact.value) if legend is ZONES else fact.value]
            code = re.compile(rf"\b{fact.value}\b")
            assert any(code.search(s) and re.search(said, s, re.IGNORECASE) for s in sentences), (name, fact)
            checked += 1
    assert checked >= len(ZONES) - 1


@pytest.mark.parametrize(("name", "attribute", "value"), WORKED_OUT)
def test_sizes_follow_from_what_they_are_laid_out_in(name: str, attribute: str, value: float) -> None:
    fact = {fact.attribute: fact.value for fact in classes()[name].facts}[attribute]
    assert fact == pytest.approx(value, rel=0.006)
