"""Build rsrag/spectral/indices.json from the catalogue of Awesome Spectral Indices.

    python examples/packs/build_indices.py spectral-indices-dict.json

The catalogue is `output/spectral-indices-dict.json` of https://github.com/awesome-spectral-indices (MIT). Kept are
the facts: names, formula, domain, platforms and reference. CORRECTED holds formulas that differ from the cited paper.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

OUT = Path(__file__).parents[2] / "rsrag" / "spectral" / "indices.json"

# name: (formula as published, why)
CORRECTED = {
    "ARVI": (
        "(N - (R - gamma * (B - R))) / (N + (R - gamma * (B - R)))",
        "Kaufman and Tanré (1992) correct red by gamma times blue minus red; the catalogue has red minus blue",
    ),
    "SARVI": (
        "(1.0 + L) * (N - (R - gamma * (B - R))) / (N + (R - gamma * (B - R)) + L)",
        "Kaufman and Tanré (1992) correct red by gamma times blue minus red; the catalogue has red minus blue",
    ),
    "AWEInsh": (
        "4.0 * (G - S1) - (0.25 * N + 2.75 * S2)",
        "Feyisa et al. (2014) subtract both the NIR and the SWIR2 term; the catalogue adds the second",
    ),
    "BAIM": (
        "1.0 / ((0.05 - N) ** 2.0 + (0.2 - S2) ** 2.0)",
        "Martín et al. (2006) divide one by the sum of both squares; the catalogue adds the second one outside",
    ),
    "mND705": (
        "(RE2 - RE1) / (RE2 + RE1 - 2.0 * A)",
        "Sims and Gamon (2002) subtract the 445 nm band twice; the catalogue subtracts it once",
    ),
    "mSR705": (
        "(RE2 - A) / (RE1 - A)",
        "Sims and Gamon (2002) divide by the 705 nm minus the 445 nm band; the catalogue by a sum",
    ),
    "VARI700": (
        "(RE1 - 1.7 * R + 0.7 * B) / (RE1 + 2.3 * R - 1.3 * B)",
        "Gitelson et al. (2002) weigh red by 2.3 below the line; the catalogue by 1.3",
    ),
}


def main(catalogue: Path) -> None:
    entries = json.loads(catalogue.read_text("utf-8"))["SpectralIndices"]
    indices = {}
    for name, entry in sorted(entries.items()):
        formula = " ".join(entry["formula"].split())
        kept = {
            "title": entry["long_name"],
            "formula": formula,
            "domain": entry["application_domain"],
            "platforms": entry["platforms"],
            "reference": entry["reference"],
        }
        if name in CORRECTED:
            kept["formula"], why = CORRECTED[name]
            kept |= {"catalogue": formula, "differs": why}
        indices[name] = kept
    rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in indices.items())
    OUT.write_text("{\n" + rows + "\n}\n", "utf-8")
    print(f"{len(indices)} indices, {OUT.stat().st_size:,} bytes: {OUT}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
