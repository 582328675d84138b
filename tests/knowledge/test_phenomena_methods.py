"""The packs phenomena and methods: whole, telling their subjects apart, and with figures that can be computed again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import atan, cos, degrees, exp, pi, radians, sqrt, tan

import pytest
from pyproj import Proj

from rsrag import Record
from rsrag.builtin.sources.pack import PackSource

TEXTS = ("scenes", "sensors", "indices", "phenomena", "methods")  # places share names, and may


def records(*packs: str) -> Iterator[Record]:
    for pack in packs:
        yield from PackSource(pack).records()


def figure(subject: str, attribute: str) -> float:
    (value,) = (
        f.value
        for r in records("phenomena", "methods")
        for f in r.facts
        if (f.subject, f.attribute) == (subject, attribute)
    )
    assert isinstance(value, int | float)
    return value


def test_each_says_what_its_kind_has_to_say() -> None:
    needed = {"phenomena": {"appearance", "confusion", "confirm"}, "methods": {"definition"}}
    for pack, least in (("phenomena", 55), ("methods", 45)):
        found = list(records(pack))
        assert len(found) >= least and len({r.subject for r in found}) == len(found)
        for record in found:
            parts = {section.part for section in record.sections}
            assert needed[pack] <= parts and len(parts) >= 3, record.id
            assert record.aliases and record.attribution, record.id
            assert all(len(section.text.split()) <= 120 for section in record.sections), record.id


def test_no_name_means_two_things() -> None:
    owners = defaultdict(set)
    for record in records(*TEXTS):
        for alias in record.aliases:
            owners[alias.casefold()].add(record.subject)
    assert {alias: subjects for alias, subjects in owners.items() if len(subjects) > 1} == {}


@pytest.mark.parametrize(
    ("subject", "attribute", "computed"),
    [
        ("method/web-mercator", "area factor at 60 degrees latitude", 1 / cos(radians(60)) ** 2),
        ("method/web-mercator", "largest latitude", degrees(2 * atan(exp(pi)) - pi / 2)),
        ("method/web-mercator", "pixel size at zoom 0 at the equator", 2 * pi * 6378137 / 256),
        ("method/utm", "false easting", Proj("EPSG:32633")(15, 0)[0]),
        ("method/utm", "scale factor", Proj("EPSG:32633").get_factors(15, 0).meridional_scale),
        ("method/map-projection-choice", "length of one degree of longitude at 60 degrees latitude", 111.32 / 2),
        (
            "method/sampling-design",
            "number of points for 85 percent accuracy with 5 percent margin",
            1.96**2 * 0.1275 / 0.05**2,
        ),
        ("method/post-classification", "joint accuracy of two maps of 85 percent", 85 * 0.85),
        ("method/orthorectification", "shift for 10 m height error at 20 degrees off nadir", 10 * tan(pi / 9)),
        ("phenomenon/relief-displacement", "lean of a 100 m tower at 30 degrees off nadir", 100 * tan(pi / 6)),
        ("method/dinsar", "C-band movement per fringe", 29.9792458 / 5.405 / 2),
        ("method/multilooking", "relative speckle of 16 looks", 100 / sqrt(16)),
        ("method/ps-insar", "largest C-band movement between dates without aliasing", 29.9792458 / 5.405 / 4),
    ],
)  # fmt: skip
def test_a_figure_computed_again(subject: str, attribute: str, computed: float) -> None:
    assert figure(subject, attribute) == pytest.approx(computed, rel=0.02)
