"""`rsrag --help` with 30 installed plugins against the same without. Target: at most 1.25 times as long.

The plugins do nothing, as those do that add no command: each is a module with one hook and a distribution's metadata
in a folder on PYTHONPATH. The first start after an installation imports them all, to see which add commands; it is
measured apart and has no target.

    python benchmarks/plugins.py
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from common import RSRAG, arguments, compare, interleaved, show

TITLE = "start-up: rsrag --help with 30 plugins against without"
PLUGINS = 30
TARGET = 1.25


def install(site: Path) -> None:
    for number in range(PLUGINS):
        name = f"rsrag_noop_{number}"
        dist = site / f"{name}-1.0.dist-info"
        dist.mkdir(parents=True)
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (dist / "entry_points.txt").write_text(f"[rsrag]\nnoop{number} = {name}\n")
        (site / f"{name}.py").write_text(
            "from rsrag import hookimpl\n\n\n@hookimpl\ndef rsrag_tools():\n    return []\n"
        )


def main() -> None:
    options = arguments(__doc__, runs=30).parse_args()
    with tempfile.TemporaryDirectory(prefix="rsrag-bench-") as temporary:
        site, cache = Path(temporary) / "site", Path(temporary) / "cache"
        install(site)

        def helped(plugins: bool) -> None:
            environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
            if plugins:
                environment["PYTHONPATH"] = str(site)
            subprocess.run([str(RSRAG), "--help"], check=True, stdout=subprocess.DEVNULL, env=environment)

        def fresh() -> None:
            (cache / "rsrag" / "commands.json").unlink(missing_ok=True)
            helped(True)

        sides = {"with": lambda _: helped(True), "without": lambda _: helped(False)}
        seconds = interleaved(sides, options.runs, 2)
        first = interleaved({"with": lambda _: fresh(), "without": lambda _: helped(False)}, max(3, options.runs // 5))
    rows = [
        compare("--help", seconds["with"], seconds["without"], TARGET),
        compare("first --help after installing", first["with"], first["without"], None),
    ]
    show(TITLE, rows, as_json=options.json)


if __name__ == "__main__":
    main()
