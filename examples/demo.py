"""The main job on real input: build the default knowledge base, then ask three questions and show the sources.

Run by `make demo`. Everything it writes goes into .demo/, so that it always starts from nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUESTIONS = [
    ["what is this, and how can I tell?", "--image", str(HERE / "data" / "golfcourse68.webp")],
    ["where is this, and what lies around it?", "--image", str(HERE / "data" / "landsat_pucallpa_2020.tif")],
    ["which Sentinel-2 bands show burn scars, and why?"],
]


def main() -> int:
    home = Path(".demo").absolute()
    shutil.rmtree(home, ignore_errors=True)
    environment = {**os.environ, "RSRAG_DATA_DIR": str(home)}
    rsrag = str(Path(sys.executable).with_name("rsrag"))
    started = time.monotonic()
    print("Building the default knowledge base from the packs (once) ...", flush=True)
    status = subprocess.run([rsrag, "kb", "info"], env=environment, check=False).returncode
    for question in QUESTIONS:
        if status:
            return status
        shown = " ".join(
            q if q.startswith("-") else f'"{os.path.relpath(q) if Path(q).exists() else q}"' for q in question
        )
        print(f"\n$ rsrag ask {shown}\n", flush=True)
        status = subprocess.run([rsrag, "ask", *question], env=environment, check=False).returncode
    print(f"\nDone in {time.monotonic() - started:.0f} s. Your own images: .venv/bin/rsrag kb add ~/imagery")
    return status


if __name__ == "__main__":
    sys.exit(main())
