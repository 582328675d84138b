"""`rsrag --help` against `llm --help`, each in a new process. Target: at most 0.3 times as long.

llm is the command-line tool of that name on PyPI, in an environment of its own:
    python3 -m venv /tmp/v-llm && /tmp/v-llm/bin/pip install llm
    python benchmarks/startup.py --llm /tmp/v-llm/bin/llm
"""

from __future__ import annotations

import os
import shutil
import subprocess

from common import RSRAG, arguments, compare, interleaved, show, skipped

TITLE = "start-up: rsrag --help against llm --help"


def main() -> None:
    parser = arguments(__doc__, runs=15)
    parser.add_argument("--llm", default=os.environ.get("RSRAG_BENCH_LLM", ""), help="the llm executable")
    options = parser.parse_args()
    llm = options.llm or shutil.which("llm")
    if not llm:
        skipped(TITLE, "no llm to compare with; see --llm and the top of this file", as_json=options.json)

    def helped(program: str) -> None:
        subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)

    seconds = interleaved({"rsrag": lambda _: helped(str(RSRAG)), "llm": lambda _: helped(llm)}, options.runs, 2)
    show(TITLE, [compare("--help", seconds["rsrag"], seconds["llm"], 0.3)], as_json=options.json)


if __name__ == "__main__":
    main()
