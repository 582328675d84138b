"""Spectral knowledge: the catalogue against its reference implementation, safe formulas, and what bands tell."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rsrag import UsageError
from rsrag.packs import bundled_packs
from rsrag.spectral.catalogue import KERNELS, OWN_CONSTANTS, ROLES, Index, catalogue, find_index, index_in
from rsrag.spectral.compute import evaluate_index, scale_free
from rsrag.spectral.formula import evaluate, names

CORRECTED = {"ARVI", "SARVI", "AWEInsh", "BAIM", "mND705", "mSR705", "VARI700"}


# -- formulas -------------------------------------------------------------------------------------


def test_a_formula_is_arithmetic_and_nothing_else() -> None:
    assert evaluate("-(N - R) / (N + R) ** 2", {"N": np.array([0.5, 0.3]), "R": np.array([0.1, 0.3])}) == pytest.approx(
        [-0.4 / 0.36, 0.0]
    )
    assert names("(N - R)/(N + 2.4 * R + L)") == ("N", "R", "L")


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os')", "N.real", "N[0]", "lambda: N", "N if R else 1", "N and R", "[N]", "'a' * 9", "N // R",
        "N @ R", "N == R", "~N", "1j * N", "f(N)", "N; R", "N =", "", "True * N", "(" * 300 + "N" + ")" * 300, 
        "N + " * 900 + "N", "{N for N in R}", "(N := R)", "f'{N}'", "await N", "N\0",
    ],
)  # fmt: skip
def test_other_formulas_are_refused(formula: str) -> None:
    with pytest.raises(UsageError, match="is not a formula of bands"):
        evaluate(formula, {"N": 1.0, "R": 2.0})


def test_what_cannot_be_computed_is_nan() -> None:
    got = evaluate(
        "(N - R) / (N + R)", {"N": np.array([0.0, np.nan, np.inf, 0.5]), "R": np.array([0.0, 1.0, 1.0, -0.5])}
    )
    assert np.isnan(got).all()
    assert np.isnan(evaluate("N ** 0.5", {"N": np.array([-1.0])})).all()
    with pytest.raises(UsageError, match="needs a value for R"):
        evaluate("N - R", {"N": 1.0})


# -- the catalogue --------------------------------------------------------------------------------


def spyndex_value(index: Index, values: dict[str, np.ndarray], constants: dict[str, float]) -> np.ndarray:
    """What the reference implementation computes, with the catalogue's formula and our kernels' length scale."""
    import spyndex

    given: dict[str, object] = dict(values)
    for name in spyndex.indices[index.name].bands:
        if name in constants:
            given[name] = constants[name]
        elif name in KERNELS:
            a, b = (values.get(part, np.full(1, constants.get(part, 0.0))) for part in KERNELS[name])
            given[name] = spyndex.computeKernel("RBF", {"a": a, "b": b, "sigma": 0.5 * (a + b)})
    with np.errstate(all="ignore"):
        return np.asarray(spyndex.computeIndex(index.name, given), float)


def drawn(index: Index, seed: int = 7) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {code: draw.uniform(0.01, 0.9, 500) for code in index.codes}


def test_every_index_equals_the_reference_implementation() -> None:
    import spyndex

    assert set(spyndex.indices) >= set(catalogue())
    left_out, compared = [], 0
    for index in catalogue().values():
        if index.needs:
            left_out.append(index.name)
            continue
        values = drawn(index)
        want = spyndex_value(index, values, index.constants)
        got = evaluate_index(index, values, index.catalogue)  # type: ignore[arg-type]
        there = np.isfinite(want)
        assert there.mean() > 0.3, index.name
        np.testing.assert_allclose(got[there], want[there], rtol=1e-6, atol=1e-6, err_msg=index.name)
        assert np.isnan(got[~there]).all(), index.name
        compared += 1
    assert left_out == ["NIRvP"]
    assert compared == 279


def test_constants_are_those_of_the_reference() -> None:
    import spyndex

    for index in catalogue().values():
        for name, value in index.constants.items():
            if not name.startswith("lambda"):
                assert OWN_CONSTANTS.get(index.name, {}).get(name, spyndex.constants[name].default) == value, name
    assert find_index("SAVI").constants == {"L": 0.5} and find_index("EVI").constants["L"] == 1


def test_constants_can_be_given() -> None:
    bands = {"N": np.array([0.4], np.float32), "R": np.array([0.1], np.float32)}
    index = find_index("SAVI").with_constants({"L": 0.25})
    assert float(evaluate_index(index, bands)[0]) == pytest.approx(1.25 * 0.3 / 0.75, rel=1e-6)
    with pytest.raises(UsageError, match=r"SAVI has no constant 'g'. Its constants: L = 0.5"):
        find_index("SAVI").with_constants({"g": 1})
    with pytest.raises(UsageError, match="not a finite number"):
        find_index("SAVI").with_constants({"L": float("nan")})


def test_the_knowledge_pack_and_the_catalogue_tell_the_same_formulas() -> None:
    pack = bundled_packs()["indices"]
    draw = np.random.default_rng(1)
    codes = {code: draw.uniform(0.05, 0.6, 50).astype(np.float32) for code in ROLES}
    compared = 0
    for line in (pack / "records.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        told = {fact["attribute"]: fact["value"] for fact in record["facts"]}
        if "sqrt" in told["formula"] or "tanh" in told["formula"] or record["id"] not in map(str.lower, catalogue()):
            continue
        index = find_index(record["id"].upper())
        want = evaluate_index(index, codes, told["formula"])
        np.testing.assert_allclose(evaluate_index(index, codes), want, rtol=1e-6, err_msg=index.name)
        compared += 1
    assert compared > 20


def test_the_formulas_that_differ_say_so_and_are_those_of_the_papers() -> None:
    assert {i.name for i in catalogue().values() if i.differs} == CORRECTED
    assert {i.name for i in catalogue().values() if i.formula != i.catalogue} == CORRECTED
    bands = {"A": 0.04, "B": 0.05, "G": 0.08, "R": 0.07, "RE1": 0.12, "RE2": 0.3, "N": 0.4, "S1": 0.2, "S2": 0.1}
    papers = {  # worked by hand
        "ARVI": (0.4 - (0.07 - (0.05 - 0.07))) / (0.4 + (0.07 - (0.05 - 0.07))),
        "SARVI": 1.5 * (0.4 - 0.09) / (0.4 + 0.09 + 0.5),
        "AWEInsh": 4 * (0.08 - 0.2) - (0.25 * 0.4 + 2.75 * 0.1),
        "BAIM": 1 / (0.35**2 + 0.1**2),
        "mND705": 0.18 / (0.42 - 0.08),
        "mSR705": 0.26 / 0.08,
        "VARI700": (0.12 - 0.119 + 0.035) / (0.12 + 0.161 - 0.065),
    }
    for name, want in papers.items():
        index = find_index(name)
        values = {code: np.array([bands[code]], np.float32) for code in index.codes}
        assert float(evaluate_index(index, values)[0]) == pytest.approx(want, rel=1e-5), name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("NDVI", "NDVI"), ("ndvi", "NDVI"), ("Normalised Difference Vegetation Index", "NDVI"), ("NDRE", "NDREI"),
        ("AWEI-nsh", "AWEInsh"), ("awei_sh", "AWEIsh"), ("BAI", "BAI"), ("BaI", "BaI"), ("bsi", "BI"),
        ("burned area index", "BAI"), ("mSR705", "mSR705"), ("water index", "NDWI"), ("CIgreen", "CIG"),
    ],
)  # fmt: skip
def test_an_index_is_found_however_it_is_spelt(said: str, name: str) -> None:
    assert find_index(said).name == name


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("NDVII", "no spectral index 'NDVII' among the 280 .* Did you mean NDVI"),
        ("msr705", "may be MSR705 or mSR705"),
        ("bai", "may be BAI or BaI"),
        ("", "no spectral index ''"),
        ("x" * 9999, "no spectral index 'x{60}'"),
    ],
)
def test_an_unknown_index_is_refused_with_the_nearest(said: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_index(said)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is the NDWI of this scene?", "NDWI"),
        ("mean ndvi please", "NDVI"),
        ("show me the normalized difference water index", "NDWI"),
        ("the modified normalised difference water index of A", "MNDWI"),
        ("compute kNDVI and EVI", "kNDVI"),
        ("Is there a vegetation index?", "NDVI"),
        ("What is the evi here?", "EVI"),
        ("What does the MSI of Sentinel-2 see in Providence, RI?", ""),
        ("Compute MSI.", "MSI"),
        ("What is this?", ""),
        ("Is it an image of San Diego in ir or si units", ""),
        ("Which of these are deserts?", ""),
    ],
)
def test_a_question_names_an_index(question: str, name: str) -> None:
    found = index_in(question)
    assert (found.name if found else "") == name


def test_every_index_knows_its_bands() -> None:
    import spyndex

    for index in catalogue().values():
        kernels = {k for k in spyndex.indices[index.name].bands if k in KERNELS}
        light = {b for b in spyndex.indices[index.name].bands if b in spyndex.bands or b in ("VV", "VH", "HH", "HV")}
        assert light <= set(index.codes), index.name
        assert kernels or light, index.name


def test_ratios_need_no_scale_and_offsets_do() -> None:
    assert all(scale_free(find_index(name)) for name in ("NDVI", "MNDWI", "NBR", "NDBI", "SR", "VARI", "ARVI", "kNDVI"))
    assert not any(scale_free(find_index(name)) for name in ("EVI", "SAVI", "AWEIsh", "BAI", "FAI", "NDVIT", "NIRv"))
