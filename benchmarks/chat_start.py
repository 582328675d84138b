"""`rsrag chat` against `llm chat`: from the start of the process to the prompt, each in a pseudo-terminal. Target: at
most 0.6 times as long.

llm is the command-line tool of that name on PyPI, in an environment of its own, with the plugin llm-echo, whose model
needs no key and no network:
    python3 -m venv /tmp/v-llm && /tmp/v-llm/bin/pip install llm llm-echo
    python benchmarks/chat_start.py --llm /tmp/v-llm/bin/llm
The knowledge base is the default one, built before; it is loaded behind the prompt, as is the model. The second row is
how long after the start the chat is ready to look something up.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import RSRAG, Row, arguments, compare, default_store, environment, interleaved, show, skipped

TITLE = "rsrag chat against llm chat: to the prompt"
LONGEST = 60.0


def seconds_to(wanted: bytes, command: Sequence[str], env: dict[str, str]) -> float:
    """Seconds until a command in a pseudo-terminal has written `wanted`; then it is ended."""
    start = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], list(command), env)
    written = b""
    try:
        while wanted not in written:
            if not select.select([terminal], [], [], LONGEST)[0]:
                raise SystemExit(f"{command[0]} did not write {wanted!r} within {LONGEST:g} s: {written!r}")
            written += os.read(terminal, 4096)
        return time.perf_counter() - start
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def main() -> None:
    parser = arguments(__doc__, runs=7)
    parser.add_argument("--llm", default=os.environ.get("RSRAG_BENCH_LLM", ""), help="the llm executable")
    parser.add_argument("--home", default="", help="keeps the default store for the next time")
    options = parser.parse_args()
    llm = options.llm or shutil.which("llm")
    if not llm:
        skipped(TITLE, "no llm to compare with; see --llm and the top of this file", as_json=options.json)
    with default_store(options.home) as home, tempfile.TemporaryDirectory() as folder:
        # No answer to where the cursor is comes from this terminal; both programs would ask for it.
        quiet = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "XDG_STATE_HOME": folder}
        ours = {**environment(home), **quiet}
        theirs = {**os.environ, **quiet, "LLM_USER_PATH": str(Path(folder) / "llm")}
        sides = {
            "rsrag": lambda _: seconds_to(b">", [str(RSRAG), "chat"], ours),
            "llm": lambda _: seconds_to(b"\n> ", [llm, "chat", "-m", "echo"], theirs),
            "ready": lambda _: seconds_to(b"knowledge:", [str(RSRAG), "chat"], ours),
        }
        seconds = interleaved(sides, options.runs, 2)
    ready = sorted(seconds["ready"])[len(seconds["ready"]) // 2]
    rows = [
        compare("to the prompt", seconds["rsrag"], seconds["llm"], 0.6),
        Row("ready to look up", ready, note="knowledge base and model loaded behind the prompt"),
    ]
    show(TITLE, rows, as_json=options.json)


if __name__ == "__main__":
    main()
