"""Record docs/chat-walkthrough.md: a real chat in tmux, at 80 columns, as text.

    python examples/record_chat.py docs/chat-walkthrough.md

Needs tmux. Colours are off, so that pictures are drawn in shades that a text file can hold. The knowledge base is the
default one, in a folder of its own (--home keeps it for the next time).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RSRAG = Path(sys.executable).with_name("rsrag")
SCENE = "landsat_pucallpa_2020.tif"
PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "A scene from the archive. Its file does not say what the four bands are, so we do. The prompt is there at "
        "once; the scene, the knowledge base and the model load behind it.",
        f"rsrag chat {SCENE} --bands swir1,nir,red,green",
        ("What is this, and where does it lie?", "/look", "What covers the ground?"),
    ),
    (
        "A follow-up needs no repeating. The corner is found by the compass, and what was asked of the whole is asked "
        "of the part.",
        "",
        ("How much of it is water?", "And in the north-east corner?", "What is near this?"),
    ),
    (
        "Every answer names its sources by numbers that stay for good. One of them in full, all of them in a table, "
        "the chat as a page with its pictures, and out.",
        "",
        ("/show {land}", "/sources", "/export html trip.html", "/quit"),
    ),
    (
        "The next day. The scene is open again, the numbers are the same.",
        "rsrag chat --continue",
        ("What is the swath width of Landsat 8?", "/exprot md", "/quit"),
    ),
)


class Tmux:
    """One terminal of 80 columns."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.name = f"rsrag-{os.getpid()}"
        self.lines_seen = 0
        given = [f"{key}={value}" for key, value in environment.items()]
        self(
            "new-session", "-d", "-x", "80", "-y", "45", "-c", str(folder), "env", "-i", *given, "bash", "--norc", "-i"
        )
        self("set", "-g", "history-limit", "50000")

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.name, "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def screen(self) -> list[str]:
        lines = [line.rstrip() for line in self("capture-pane", "-p", "-S", "-").splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def type(self, text: str, ready: str, also: str = "") -> None:
        """Type a line, and wait until the prompt `ready` stands below it, `also` is written and nothing moves."""
        self("send-keys", "-l", text)
        self("send-keys", "Enter")
        end, last, since = time.monotonic() + 120, [""], time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.2)
            now = self.screen()
            if now != last:
                last, since = now, time.monotonic()
            typed = max((n for n, line in enumerate(now) if line[2:] == text[:78]), default=len(now))
            whole = also in "\n".join(now[typed:])
            if ready in now[typed:] and whole and time.monotonic() - since > 1.5:
                return
        raise SystemExit(f"no prompt after {text!r}:\n" + "\n".join(last[-40:]))

    def taken(self) -> list[str]:
        """What was written since the last time, without the prompt that waits and the line under it."""
        lines = self.screen()
        while lines and not re.fullmatch(r"[>$]", lines[-1]):
            lines.pop()
        fresh = lines[self.lines_seen : -1]
        self.lines_seen = len(lines) - 1
        return fresh


def number_of(lines: list[str], tool: str) -> str:
    """The number under which a tool's result stands in the table of sources."""
    found = [match[1] for line in lines if (match := re.match(rf"\[(\d+)\]\*?\s+tool: {tool}", line))]
    return found[0] if found else "1"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--home", type=Path, default=None, help="keeps the default knowledge base")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        home = (options.home or Path(temporary) / "data").absolute()
        work = Path(temporary) / "work"
        work.mkdir()
        shutil.copy(HERE / "data" / SCENE, work)
        environment = {
            "PATH": f"{RSRAG.parent}:/usr/bin:/bin",
            "HOME": str(Path(temporary)),
            "TERM": "screen-256color",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PS1": "$ ",
            "RSRAG_DATA_DIR": str(home),
        }
        subprocess.run([str(RSRAG), "kb", "info"], env=environment, check=True, stdout=subprocess.DEVNULL)
        terminal = Tmux(work, environment)
        try:
            text = recorded(terminal)
        finally:
            terminal("kill-server")
    options.out.write_text(text, encoding="utf-8")


def recorded(terminal: Tmux) -> str:
    pieces = [
        "# A chat, as it went\n\nRecorded with `python examples/record_chat.py docs/chat-walkthrough.md`: a terminal "
        "of 80 columns without colours,\nthe knowledge that comes with rsrag, the model `extractive` and no network. "
        "With colours `/look` draws in colours.\n"
    ]
    time.sleep(0.5)
    land = "1"
    for told, command, lines in PARTS:
        if command:
            terminal.type(command, ">", also="knowledge:")
        for line in lines:
            terminal.type(line.format(land=land), "$" if line == "/quit" else ">")
        fresh = terminal.taken()
        land = number_of(fresh, "land_cover_estimate") if land == "1" else land
        pieces.append(f"{told}\n\n```text\n" + "\n".join(fresh).strip("\n") + "\n```\n")
    return "\n".join(pieces)


if __name__ == "__main__":
    main()
