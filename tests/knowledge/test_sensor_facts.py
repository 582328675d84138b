"""Bands of the pack `sensors` against spyndex, satpy and our own sensor profiles, and the shape of its facts.

The peers are compared with, never copied from. Each table of differences says why the pack keeps its own value, and a
row that no longer differs fails, so that the tables stay true. See docs/knowledge-checks.md.
"""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sensor_pack import centres, facts, measured, records, widths

from rsrag import Record
from rsrag.bands import profiles


def agree(ours: float, theirs: float) -> bool:
    """Within 2 nm, or half a percent where that is more: what rounding explains."""
    return abs(ours - theirs) <= max(2.0, 0.005 * ours)


def as_wide(ours: float, theirs: float) -> bool:
    """Within 5 nm, or a tenth where that is more: limits are rounded, and read at half or at less of the height."""
    return round(abs(ours - theirs), 6) <= max(5.0, 0.1 * ours)


# -- spyndex --------------------------------------------------------------------------------------

WORLDVIEW = {
    "B1": "coastal blue", "B2": "blue", "B3": "green", "B4": "yellow", "B5": "red", "B6": "red edge", "B7": "NIR1",
}  # fmt: skip
PLANETSCOPE = {
    "B1": "coastal blue", "B2": "blue", "B3": "I", "B4": "II", "B5": "yellow", "B6": "red", "B7": "red edge",
    "B8": "near infrared (NIR)",
}  # fmt: skip
MODIS = {f"B{number}": str(number) for number in range(1, 37)}
# platform: (record, {their band: our band} where the names differ)
SPYNDEX: dict[str, tuple[str, dict[str, str]]] = {
    "sentinel2a": ("sentinel-2", {}),
    "sentinel2b": ("sentinel-2", {}),
    "landsat4": ("landsat-tm", {}),
    "landsat5": ("landsat-tm", {}),
    "landsat7": ("landsat-7", {}),
    "landsat8": ("landsat-8-9", {}),
    "landsat9": ("landsat-8-9", {}),
    "modis": ("modis", MODIS),
    "worldview2": ("worldview-2", WORLDVIEW),
    "worldview3": ("worldview-3", WORLDVIEW),
    "planetscope": ("planetscope", PLANETSCOPE),
}
OLI = "spyndex takes the middle of limits rounded to 10 nm; the pack gives the centre of Barsi et al. (2014)"
SPYNDEX_DIFFERS = {("landsat8", "B1"): OLI, ("landsat9", "B1"): OLI}


def test_bands_agree_with_spyndex() -> None:
    import spyndex

    told = {
        (p, b.band): b for each in spyndex.bands.values() for p, b in vars(each).items() if hasattr(b, "wavelength")
    }
    assert len(told) >= 90 and {platform for platform, _ in told} == SPYNDEX.keys()
    differs = set()
    for (platform, band), theirs in told.items():
        record, names = SPYNDEX[platform]
        ours = names.get(band, band)
        exact = measured(f"Sentinel-{platform[-2:].upper()}") if record == "sentinel-2" else centres(record)
        if not agree(exact[ours], theirs.wavelength):
            differs.add((platform, band))
        assert as_wide(widths(record)[ours], theirs.bandwidth), (platform, band)
    assert differs == SPYNDEX_DIFFERS.keys()


# -- our own profiles -----------------------------------------------------------------------------

PROFILES = {
    "sentinel-2-l2a": "sentinel-2", "sentinel-2-l1c": "sentinel-2", "hls-s30": "sentinel-2",
    "landsat-8-c2l2": "landsat-8-9", "landsat-8-c2l1": "landsat-8-9", "hls-l30": "landsat-8-9",
    "landsat-7-c2l2": "landsat-7", "landsat-5-c2l2": "landsat-tm", "landsat-mss": "landsat-mss",
    "modis-surface-reflectance": "modis", "aster": "aster", "naip": "naip", "planetscope-4": "planetscope-dove",
    "planetscope-8": "planetscope", "rapideye": "rapideye", "worldview-3-8": "worldview-3",
    "sentinel-1-grd": "sentinel-1",
}  # fmt: skip
# Codes of profiles that the pack's names do not contain.
CODES = {
    "nir": "near infrared (NIR)", "coastal": "coastal blue", "coastal_blue": "coastal blue", "rededge": "red edge",
    "nir1": "NIR1", "nir2": "NIR2", "green_i": "I",
}  # fmt: skip


@pytest.mark.parametrize("name", profiles())
def test_centres_agree_with_our_profiles(name: str) -> None:
    """To 1 nm: profiles and pack are read by the same people. Sentinel-2 profiles have the centres of Sentinel-2A."""
    record = PROFILES[name]
    known = measured("Sentinel-2A") if record == "sentinel-2" else centres(record)
    for band in profiles()[name].bands:
        if not band.wavelength:
            continue
        code = re.sub(r"^(?:S[RT]_)?B0?(?=\d)", "B", band.code)
        code = "II" if (name, code) == ("planetscope-8", "green") else CODES.get(code, code)
        ours = known[code] if code in known else known[code.removeprefix("B")]
        assert ours == pytest.approx(band.wavelength, abs=1), f"{name} {band.code}"


# -- satpy ----------------------------------------------------------------------------------------

# reader: (record, {their band: our band} where the names differ by more than case and zeros)
SATPY: dict[str, tuple[str, dict[str, str]]] = {
    "abi_l1b": ("goes-abi", {}),
    "ahi_hsd": ("himawari-ahi", {}),
    "avhrr_l1b_eps": ("avhrr", {}),
    "etm_l1_tif": ("landsat-7", {"B6_VCID_1": "B6", "B6_VCID_2": "B6"}),
    "fci_l1c_nc": ("meteosat-fci", {}),
    "meris_nc_sen3": ("envisat-meris", {}),
    "modis_l1b": ("modis", {"13hi": "13", "13lo": "13", "14hi": "14", "14lo": "14"}),
    "mss_l1_tif": ("landsat-mss", {"B1": "4", "B2": "5", "B3": "6"}),
    "msi_safe": ("sentinel-2", {}),
    "olci_l1b": ("sentinel-3", {}),
    "oli_tirs_l1_tif": ("landsat-8-9", {}),
    "seviri_l1b_hrit": ("meteosat-seviri", {"IR_016": "NIR1.6"}),
    "slstr_l1b": ("sentinel-3", {}),
    "tm_l1_tif": ("landsat-tm", {}),
    "viirs_l1b": ("viirs", {}),
}
AHI = "satpy rounds to 0.1 micrometres; the pack gives the centre of the Japan Meteorological Agency"
MEASURED = "satpy has measured limits of Landsat 7; the pack, like our profiles, the nominal ones of the USGS"
SATPY_CENTRES = {
    ("ahi_hsd", "B05"): AHI,
    ("ahi_hsd", "B06"): AHI,
    ("ahi_hsd", "B08"): AHI,
    ("ahi_hsd", "B09"): AHI,
    ("ahi_hsd", "B10"): AHI,
    ("etm_l1_tif", "B1"): MEASURED,
    ("etm_l1_tif", "B7"): MEASURED,
    ("oli_tirs_l1_tif", "B11"): "a slip in satpy: 11.205, outside its own limits of 11.50 and 12.51 micrometres",
    ("seviri_l1b_hrit", "HRV"): "satpy limits the broad band to 0.5-0.9 micrometres; EUMETSAT gives about 0.4-1.1",
    ("seviri_l1b_hrit", "IR_039"): "satpy has the middle of the limits (3.92), EUMETSAT's nominal centre is 3.90",
    ("tm_l1_tif", "B1"): "satpy has 0.48; the middle of its own limits, and of the USGS, is 0.485",
}
MSI = "satpy's limits of Sentinel-2 are not those of the bands' half height; ESA's widths are in the pack"
SATPY_WIDTHS = {
    **{("msi_safe", band): MSI for band in ("B01", "B02", "B04", "B07", "B10")},
    ("oli_tirs_l1_tif", "B4"): "the USGS rounds 636-673 to 640-670 nm",
    ("seviri_l1b_hrit", "HRV"): SATPY_CENTRES["seviri_l1b_hrit", "HRV"],
    ("slstr_l1b", "F2"): "satpy's limits are round; ESA's width of S8 and F2 is 776 nm",
    ("slstr_l1b", "S4"): "a slip in satpy: an upper limit of 1.36825, below the centre",
    ("slstr_l1b", "S8"): "satpy's limits are round; ESA's width of S8 and F2 is 776 nm",
    ("viirs_l1b", "I04"): "satpy has 3.58-3.90 micrometres, the VIIRS specification 3.55-3.93",
}
# satpy writes these limits at a whole width from the centre, not at half of it.
TWICE_AS_WIDE = "fci_l1c_nc"


def satpy_readers() -> Path:
    """The folder of satpy's reader files: RSRAG_SATPY, or that of an installed satpy. It is not imported."""
    if given := os.environ.get("RSRAG_SATPY"):
        return Path(given)
    spec = importlib.util.find_spec("satpy")
    if spec is None or not spec.submodule_search_locations:
        why = "satpy is not installed, so its band tables were not compared; RSRAG_SATPY names its etc/readers folder"
        warnings.warn(why, stacklevel=2)
        pytest.skip(why)
    return Path(spec.submodule_search_locations[0]) / "etc" / "readers"


def satpy_bands(file: Path) -> Iterator[tuple[str, float, float]]:
    """(name, centre in nm, width in nm) of the bands in one of satpy's reader files."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Names of Python classes are nothing to us."""

    Loader.add_multi_constructor("", lambda loader, tag, node: None)
    for band in yaml.load(file.read_text("utf-8"), Loader)["datasets"].values():
        if limits := band.get("wavelength"):
            low, centre, high = (1000 * value for value in limits)
            yield str(band["name"]), centre, high - low


def our_code(theirs: str, known: dict[str, float]) -> str:
    """ "B4" for "B04", "3A" for "3a", "4" for "M04", "VIS0.6" for "VIS006" and "vis_06"."""
    if match := re.fullmatch(r"(?i)(vis|nir|ir|wv)_?(\d+)", theirs):
        return f"{match[1].upper()}{int(match[2]) / 10:.1f}"
    guesses = (theirs, re.sub(r"(?<=[A-Z])0", "", theirs), theirs.upper(), theirs.lstrip("MB0"))
    return next(guess for guess in guesses if guess in known)


def test_bands_agree_with_satpy() -> None:
    folder = satpy_readers()
    compared, differs, other_widths = 0, set(), set()
    for reader, (record, names) in SATPY.items():
        for name, centre, width in satpy_bands(folder / f"{reader}.yaml"):
            ours = names.get(name) or our_code(name, centres(record))
            compared += 1
            if not agree(centres(record)[ours], centre):
                differs.add((reader, name))
            if reader == TWICE_AS_WIDE:
                width /= 2
            if ours in widths(record) and not as_wide(widths(record)[ours], width):
                other_widths.add((reader, name))
    assert compared >= 200
    assert differs == SATPY_CENTRES.keys()
    assert other_widths == SATPY_WIDTHS.keys()


# -- the pack's own shape -------------------------------------------------------------------------

UNITS = {"", "nm", "m", "km", "cm", "GHz", "kHz", "Hz", "days", "years", "minutes", "degrees", "bit", "%"}


@pytest.mark.parametrize("record", records().values(), ids=records())
def test_facts_are_whole(record: Record) -> None:
    """Each attribute once, units of a fixed set, limits in order, centres between them, and every band with a width or
    a place to look: nothing that a slip of the keyboard could have made."""
    assert record.subject == f"sensor/{record.id}"
    known = facts(record.id)
    assert len(known) == len(record.facts)
    assert {fact.unit for fact in record.facts} <= UNITS
    assert record.attribution
    for name, value in known.items():
        band, _, what = name.rpartition(" ")
        if what == "wavelength" and band.endswith(" lower") and " band" in band:
            stem = band.removesuffix(" lower")
            low, centre, high = (float(known[f"{stem} {each} wavelength"]) for each in ("lower", "central", "upper"))
            assert low < centre < high, stem
            assert float(known[f"{stem} bandwidth"]) <= high - low + 1, stem
        if name.startswith(("launch year", "mission end year")):
            assert 1972 <= float(value) <= 2026, name
            assert known.get(name.replace("mission end", "launch"), 0) <= value or name.startswith("launch")
        if name.startswith("orbit inclination"):
            assert 0 < float(value) < 110


def test_no_two_sensors_share_a_name() -> None:
    from rsrag.store.words import spellings

    named = sorted((name, r.id) for r in records().values() for name in spellings(r.title, r.aliases))
    assert [(a, b) for a, b in pairwise(named) if a[0] == b[0]] == []
