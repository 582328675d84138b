"""The pack `sensors` against the public orbit catalogue. See docs/knowledge-checks.md."""

from __future__ import annotations

import csv
import math
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sensor_pack import facts

# The public catalogue numbers every object by the year of its launch, and its elements give the orbit.
ELEMENTS = tuple(csv.DictReader(Path(__file__).with_name("element_sets.csv").read_text("utf-8").splitlines()))
# What the elements of that day do not show: (satellite, what) -> why.
ORBIT_DIFFERS = {
    ("CBERS-4", "crossing"): "no longer held in 2019; 10:30 is the design",
    ("RapidEye", "crossing"): "drifted by 2019; 11:00 is the design",
    ("Resourcesat-1", "altitude"): "lowered after its mission",
    ("Resourcesat-1", "inclination"): "lowered after its mission",
}


def crossing_hour(elements: dict[str, str]) -> float:
    """Mean local solar time of the ascending node in hours.

    The sun's mean longitude is that of the Astronomical Almanac's low-precision formula.
    """
    epoch = elements["epoch"]
    when = datetime(2000 + int(epoch[:2]), 1, 1) + timedelta(days=float(epoch[2:]) - 1)
    days = (when - datetime(2000, 1, 1, 12)).total_seconds() / 86400
    return ((float(elements["node"]) - (280.460 + 0.9856474 * days)) / 15 + 12) % 24


def altitude(elements: dict[str, str]) -> float:
    """Semi-major axis by Kepler's third law, less the equatorial radius, in km."""
    motion = float(elements["revolutions"]) * 2 * math.pi / 86400
    return (398600.4418 / motion**2) ** (1 / 3) - 6378.137


def stated(record: str, satellite: str, what: str) -> float | str | None:
    """A fact of the record, or that of the one satellite or pair of satellites that it names."""
    known = facts(record)
    if satellite.startswith("WorldView Legion"):
        what += ", sun-synchronous pair" if satellite.endswith("1 and 2") else ", other four"
    return known.get(f"{what}, {satellite}", known.get(what))


@pytest.mark.parametrize("elements", ELEMENTS, ids=[each["satellite"] for each in ELEMENTS])
def test_launch_years_and_orbits_agree_with_the_orbit_catalogue(elements: dict[str, str]) -> None:
    record, satellite = elements["record"], elements["satellite"]
    year = int(elements["designator"][:2])
    assert facts(record)[f"launch year {satellite}"] == year + (1900 if year >= 57 else 2000)
    off = set()
    said = stated(record, satellite, "orbit altitude")
    if said is not None and abs(float(said) - altitude(elements)) > 20:  # mean heights differ, for the Earth is oblate
        off.add("altitude")
    said = stated(record, satellite, "orbit inclination")
    if said is not None and abs(float(said) - float(elements["inclination"])) > 0.15:
        off.add("inclination")
    said = stated(record, satellite, "equator crossing time")
    if said is not None:
        clock, direction = str(said).split()
        hour = int(clock[:2]) + int(clock[3:]) / 60 + (12 if direction == "descending" else 0)
        if abs((hour - crossing_hour(elements) + 12) % 24 - 12) > 20 / 60:
            off.add("crossing")
    assert off == {what for name, what in ORBIT_DIFFERS if name == satellite}
