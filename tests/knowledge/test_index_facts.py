"""Formulas of the `indices` pack on random reflectances: against spyndex, the product's own catalogue and by hand."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from rsrag.packs import bundled_packs
from rsrag.spectral.catalogue import CONSTANTS, KERNELS, OWN_CONSTANTS, ROLES, WAVELENGTHS, catalogue
from rsrag.spectral.formula import evaluate, names

Values = dict[str, Any]

# Record of the pack -> index of the catalogue, where its id in capitals is not the name.
NAMED = {
    "nirv": "NIRv", "kndvi": "kNDVI", "exg": "ExG", "exgr": "ExGR", "tcari-osavi": "TCARIOSAVI", "ireci": "IRECI",
    "mnd705": "mND705", "cri": "CRI550", "cci-carotenoid": "CCI", "trivi": "TriVI", "ndpi-phenology": "NDPI",
    "dswi": "DSWI5", "nddi-drought": "NDDI", "ndponi": "NDPonI", "csi-char": "CSI", "nbrplus": "NBRplus",
    "s3-snow": "S3", "swi-snow": "SWI", "ndgi-glacier": "NDGlaI", "ndisi": "NDISImndwi", "ndbai": "NDBaI",
    "ndtilli": "NDTillI", "brightness-bitm": "BITM", "ri-redness": "RI", "rvi-quad": "QpRVI", "rvi-dual": "DpRVIVV",
    "cross-ratio": "VHVVR", "ndpoli": "NDPolI", "ndre": "NDREI", "gci": "CIG", "awei-nsh": "AWEInsh",
    "awei-sh": "AWEIsh", "bsi": "BI", "dbsi": "DBSI",
}  # fmt: skip

# Records that the catalogue does not have: other data than bands of one date, other bands, or simply not listed.
OUTSIDE = {
    "aster-ali", "aster-ci", "aster-cli", "aster-kli", "aster-mi", "aster-ohi", "aster-qi", "bui", "cai", "clay-ratio",
    "cwsi", "dfi", "disturbance-index", "dnbr", "dprvi", "ferrous-ratio", "fvc", "hot", "iron-oxide-ratio", "lse-ndvi",
    "mci", "nddi-dust", "ndfi-flood", "ndfi-fraction", "ndfsi", "ndsi-salinity", "nhi", "nti", "pri", "pvi", "rbr",
    "rdnbr", "sabi", "salinity-si", "tcb", "tcg", "tci-temperature", "tcw", "tvdi", "utfvi", "vanui", "vci", "vhi",
    "wbi",
}  # fmt: skip

# Where the formula of the pack has another value than that of spyndex, and why.
DIFFERS_FROM_SPYNDEX = {
    "arvi": "red is corrected by gamma (B - R) in Kaufman and Tanré 1992; spyndex has gamma (R - B)",
    "sarvi": "the same correction with the soil term: sign as in Kaufman and Tanré 1992",
    "awei-nsh": "Feyisa et al. 2014 subtract both infrared terms; spyndex lacks the bracket and adds the second",
    "baim": "Martín et al. 2006 divide one by the sum of both squares; spyndex adds the second outside",
    "mnd705": "Sims and Gamon 2002 subtract the 445 nm band twice; spyndex subtracts it once",
    "nddi-drought": "Gu et al. 2007 use the leaf-water NDWI of shortwave infrared; spyndex has the NDWI of green",
}
# Of those, where the product's own catalogue has not taken the formula of the paper (yet).
DIFFERS_FROM_CATALOGUE = {"nddi-drought"}

SENTINEL_2 = {
    "A": "B1", "B": "B2", "G": "B3", "R": "B4", "RE1": "B5", "RE2": "B6", "RE3": "B7", "N": "B8", "N2": "B8A",
    "S1": "B11", "S2": "B12",
}  # fmt: skip
LANDSAT = {
    "A": "B1", "B": "B2", "G": "B3", "R": "B4", "N": "B5", "N2": "B5", "S1": "B6", "S2": "B7", "T": "B10", "T1": "B10",
}  # fmt: skip
LANDSAT_WAVELENGTHS = {"lambdaG": 561.0, "lambdaR": 655.0, "lambdaN": 865.0, "lambdaS1": 1609.0}  # nm, band centres


# -- the pack -------------------------------------------------------------------------------------


@cache
def pack() -> dict[str, dict[str, Any]]:
    """Facts of each record: {id: {attribute: value}}."""
    lines = (bundled_packs()["indices"] / "records.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return {r["id"]: {fact["attribute"]: fact["value"] for fact in r["facts"]} for r in records}


def named(record: str) -> str:
    """The catalogue's name for a record."""
    return NAMED.get(record, record.upper())


def compared() -> list[str]:
    return [record for record in pack() if record not in OUTSIDE]


# -- evaluation -----------------------------------------------------------------------------------


def plain(formula: str) -> str:
    """The formula as our evaluator reads it: ^ as **, sqrt(x) as ((x)**0.5), abs(x) as (((x)**2)**0.5)."""
    formula = formula.replace("^", "**")
    for function, before, after in (("sqrt(", "((", ")**0.5)"), ("abs(", "(((", ")**2)**0.5)")):
        while (start := formula.find(function)) >= 0:
            opened = end = start + len(function)
            depth = 1
            while depth:
                depth += {"(": 1, ")": -1}.get(formula[end], 0)
                end += 1
            formula = formula[:start] + before + formula[opened : end - 1] + after + formula[end:]
    return formula


def names_in(formula: str) -> set[str]:
    return set(names(re.sub(r"^tanh\((.*)\)$", r"\1", plain(formula))))


def value(formula: str, values: Values) -> np.ndarray:
    """The formula over arrays; a hyperbolic tangent of the whole (kNDVI) is the one function beside the root."""
    formula = plain(formula)
    if formula.startswith("tanh(") and formula.endswith(")"):
        return np.asarray(np.tanh(value(formula[5:-1], values)))
    return evaluate(formula, values)


def constants(record: str) -> dict[str, float]:
    return CONSTANTS | WAVELENGTHS | OWN_CONSTANTS.get(named(record), {})


def drawn(seed: int = 7) -> Values:
    """Bands by standard code: reflectance and radar power between 0.01 and 0.9, thermal bands in kelvin."""
    draw = np.random.default_rng(seed)
    bands = {code: draw.uniform(0.01, 0.9, 500) for code in ROLES}
    return bands | {code: draw.uniform(270, 330, 500) for code in ("T", "T1", "T2")}


def with_parts(values: Values) -> Values:
    """Bands, and what formulas are made of: indices by name and kernels."""
    b = values
    kernels = {name: np.exp(-((b[x] - b[y]) ** 2) / (0.5 * (b[x] + b[y]) ** 2)) for name, (x, y) in KERNELS.items()
               if x in b and y in b}  # fmt: skip
    leaf_water = {"NDVI": (b["N"] - b["R"]) / (b["N"] + b["R"]), "NDWI": (b["N"] - b["S2"]) / (b["N"] + b["S2"])}
    return values | kernels | leaf_water


def spyndex_value(name: str, values: Values, given: dict[str, float]) -> np.ndarray:
    """What spyndex computes from the same bands and constants, kernels with the length scale that makes kNDVI."""
    import spyndex

    inputs: Values = {}
    for band in spyndex.indices[name].bands:
        if band in KERNELS:
            a, b = (values[part] if part in values else np.full(1, given[part]) for part in KERNELS[band])
            inputs[band] = spyndex.computeKernel("RBF", {"a": a, "b": b, "sigma": 0.5 * (a + b)})
        else:
            inputs[band] = values[band] if band in values else given[band]
    with np.errstate(all="ignore"):
        return np.asarray(spyndex.computeIndex(name, inputs), float)


def same(got: np.ndarray, want: np.ndarray) -> bool:
    there = np.isfinite(want)
    assert there.mean() > 0.3
    return bool(np.allclose(got[there], want[there], rtol=1e-9, atol=1e-9))


# -- checks ---------------------------------------------------------------------------------------


def test_every_record_is_compared_or_known_to_be_outside() -> None:
    assert set(pack()) >= OUTSIDE
    assert set(NAMED) <= set(pack()) - OUTSIDE
    unknown = {record: named(record) for record in compared() if named(record) not in catalogue()}
    assert unknown == {}
    assert len(pack()) >= 85
    assert len(compared()) >= 100


def test_every_formula_can_be_read() -> None:
    for record, facts in pack().items():
        for attribute, formula in facts.items():
            if attribute.endswith("formula"):
                assert names_in(formula), (record, attribute)


@pytest.mark.parametrize("record", compared())
def test_a_formula_has_the_value_of_spyndex_and_of_the_catalogue(record: str) -> None:
    bands, given, name = drawn(), constants(record), named(record)
    got = value(pack()[record]["formula"], given | with_parts(bands))
    assert same(got, spyndex_value(name, bands, given)) != (record in DIFFERS_FROM_SPYNDEX)
    ours = value(catalogue()[name].formula, given | with_parts(bands))
    assert same(got, ours) != (record in DIFFERS_FROM_CATALOGUE)


def test_further_formulas_of_a_record_are_those_of_the_catalogue() -> None:
    found = set()
    for record, facts in pack().items():
        for attribute, formula in facts.items():
            name = {"kernel formula": "kNDVI"}.get(attribute, attribute.removesuffix(" formula"))
            if attribute.endswith(" formula") and name in catalogue():
                given = constants(record) | with_parts(drawn())
                assert same(value(formula, given), spyndex_value(name, drawn(), constants(record))), (record, name)
                found.add(name)
    assert found == {"AFRI2100", "ARI2", "CRI700", "ExR", "kNDVI"}


@pytest.mark.parametrize(("attribute", "sensor", "at_least"), [
    ("Sentinel-2 formula", SENTINEL_2, 100), ("Landsat 8/9 formula", LANDSAT, 90)])  # fmt: skip
def test_the_forms_for_sensors_are_the_formula_with_their_bands(
    attribute: str, sensor: dict[str, str], at_least: int
) -> None:
    done = 0
    for record, facts in pack().items():
        if attribute not in facts:
            continue
        used = names_in(facts[attribute])
        bands = sensor | ({"N": "B8A"} if "B8A" in used and "B8" not in used else {})  # one band may serve for both
        values = drawn()
        of_sensor = {band: values[code] for code, band in bands.items()}
        given = constants(record) | (LANDSAT_WAVELENGTHS if sensor is LANDSAT else {})
        by_code = {code: of_sensor[band] for code, band in bands.items()}
        want = value(facts["formula"], given | with_parts(by_code))
        assert same(value(facts[attribute], of_sensor), want), (record, facts[attribute])
        done += 1
    assert done >= at_least


def test_no_form_for_a_sensor_names_a_band_that_it_lacks() -> None:
    for record, facts in pack().items():
        for attribute, sensor in (("Sentinel-2 formula", SENTINEL_2), ("Landsat 8/9 formula", LANDSAT)):
            if attribute in facts:
                assert names_in(facts[attribute]) <= set(sensor.values()), (record, attribute)


def test_values_lie_in_the_range_that_a_record_gives() -> None:
    done = 0
    bands = {code: np.concatenate([drawn()[code], np.full(1, 1e-9)]) for code in ROLES}
    for record, facts in pack().items():
        known = constants(record) | with_parts(bands)
        if {"minimum value", "maximum value"} <= set(facts) and "tanh" not in facts["formula"]:
            if not names_in(facts["formula"]) <= set(known):
                continue
            got = value(facts["formula"], known)
            low, high = facts["minimum value"], facts["maximum value"]
            assert low - 1e-9 <= np.nanmin(got) and np.nanmax(got) <= high + 1e-9, record
            done += 1
    assert done > 35


# Formulas that no catalogue checks: (values, result worked out apart from the formula).
BY_HAND: dict[str, tuple[dict[str, float], float]] = {
    "dnbr": ({"NBR_pre": 0.6, "NBR_post": -0.1}, 0.7),
    "rdnbr": ({"dNBR": 0.3, "NBR_pre": -0.25}, 0.6),
    "rbr": ({"dNBR": 0.5, "NBR_pre": 0.249}, 0.4),
    "vci": ({"NDVI": 0.4, "NDVImin": 0.2, "NDVImax": 0.7}, 40),
    "tci-temperature": ({"T": 300, "Tmin": 290, "Tmax": 310}, 50),
    "vhi": ({"VCI": 40, "TCI": 20}, 30),
    "tvdi": ({"T": 310, "Tmin": 295, "a": 330, "b": -10, "NDVI": 0.5}, 0.5),
    "cwsi": ({"Tc": 30, "Ta": 28, "dTmin": -2, "dTmax": 6}, 0.5),
    "fvc": ({"NDVI": 0.28, "NDVIs": 0.04, "NDVIv": 0.52}, 0.5),
    "lse-ndvi": ({"Pv": 0.5}, 0.988),
    "pvi": ({"N": 0.5, "R": 0.1, "sla": 0.75, "slb": 0.05}, 0.3),
    "bui": ({"S1": 0.3, "N": 0.2, "R": 0.2}, 0.2),
    "pri": ({"R531": 0.06, "R570": 0.04}, 0.2),
    "mci": ({"RE1": 0.08, "R": 0.03, "RE2": 0.06}, 0.034),
    "aster-qi": ({"B10": 8.0, "B11": 9.0, "B12": 9.0}, 1.125),
    "dprvi": ({"m": 0.5, "beta": 0.8}, 0.6),
    "ndfi-fraction": ({"GVs": 0.9, "NPV": 0.06, "soil": 0.04}, 0.8),
    "dfi": ({"S2": 0.1, "S1": 0.2, "R": 0.1, "N": 0.25}, 20),
    "vanui": ({"NDVI": 0.25, "NTL": 0.8}, 0.6),
}


@pytest.mark.parametrize("record", BY_HAND)
def test_formulas_worked_by_hand(record: str) -> None:
    values, want = BY_HAND[record]
    assert record in OUTSIDE
    assert float(value(pack()[record]["formula"], values)) == pytest.approx(want, abs=1e-9)


def test_the_tasselled_cap_is_a_rotation() -> None:
    """Its axes have unit length and are at right angles, as far as four printed digits go."""
    axes = np.array([
        [float(value(pack()[axis]["formula"], {c: float(c == code) for c in ("B", "G", "R", "N", "S1", "S2")}))
         for code in ("B", "G", "R", "N", "S1", "S2")]
        for axis in ("tcb", "tcg", "tcw")
    ])  # fmt: skip
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=2e-3)


def test_papers_are_named_with_their_year() -> None:
    for record, facts in pack().items():
        if record == "nbr2":  # defined by a product page of the USGS
            continue
        kinds = (("defining paper", "year defined"), ("reference paper", "year of the reference paper"))
        ((paper, year),) = [(facts[paper], facts[year]) for paper, year in kinds if paper in facts]
        assert 1965 <= year <= 2026 and str(year) in paper, record
