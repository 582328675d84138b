"""The pack `sensors` as its tests read it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from rsrag import Record
from rsrag.builtin.sources.pack import PackSource

PACK = Path(__file__).parents[2] / "knowledge" / "sensors"
BAND = re.compile(r"(.+?) band ?(.*?) ?(central wavelength|bandwidth)")


@cache
def records() -> dict[str, Record]:
    source = PackSource(PACK)
    found = {record.id: record for record in source.records()}
    assert source.problems == []
    return found


@cache
def facts(record: str) -> dict[str, float | str]:
    """{attribute: value} of a record."""
    return {fact.attribute: fact.value for fact in records()[record].facts}


@cache
def bands(record: str, what: str) -> dict[str, float]:
    """{band: nm} by code ("B8A") and by colour ("red edge"), where either is of one band only."""
    found: dict[str, list[float]] = {}
    for attribute, value in facts(record).items():
        if (match := BAND.fullmatch(attribute)) and match[3] == what:
            for name in {match[1], match[2]} - {""}:
                found.setdefault(name, []).append(float(value))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def centres(record: str) -> dict[str, float]:
    return bands(record, "central wavelength")


def widths(record: str) -> dict[str, float]:
    return bands(record, "bandwidth")


def measured(satellite: str) -> dict[str, float]:
    """{code: measured centre in nm} of Sentinel-2A or Sentinel-2B."""
    pattern = re.compile(rf".+ band (\w+) measured central wavelength, {satellite}")
    return {m[1]: float(v) for name, v in facts("sentinel-2").items() if (m := pattern.fullmatch(name))}
