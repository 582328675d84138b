"""`rsrag chat` as somebody meets it who sits at a terminal: the real command in a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rsrag import Plugins, Record
from rsrag.testing import FakeEncoder, make_knowledge_base, make_scene

PLUGIN = '''
import time
from rsrag import Capabilities, Text, ToolCall, ToolResult, Usage, hookimpl
from rsrag.testing import FakeEncoder

SAYS = {
    "markdown": "# Quays\\n\\nA **long** quay [1], and\\n\\n- one berth\\n- another berth\\n\\n|a|b|\\n|-|-|\\n|1|2|",
    "escape": "before\\x1b[2J\\x1b]0;owned\\x07after",
    "wrong": "This stands in [999].",
    "empty": "",
}


class Scripted:
    """Says what a word of the question asks for; "slowly" takes its time, "call" runs a tool first."""

    name = "scripted"
    capabilities = Capabilities(tools=True)

    def generate(self, prompt):
        if "slowly" in prompt.question:
            for number in range(400):
                yield Text(f"word{number} ")
                time.sleep(0.05)
        elif "call" in prompt.question and not prompt.steps:
            yield ToolCall("writer", {"text": "hello"})
        elif "call" in prompt.question:
            yield Text("It was " + ("written." if prompt.steps[0].evidence else "not written."))
        else:
            yield Text(next((t for k, t in SAYS.items() if k in prompt.question), f"You said <{prompt.question}>."))
        yield Usage(1200, 34)


class Writer:
    """Writes."""

    name = "writer"
    asks = ("write",)

    def applies(self, query):
        return 0.0

    def __call__(self, text: str) -> ToolResult:
        """Write a text down.

        Args:
            text: what to write
        """
        return ToolResult(f"The text {text} was written.")


@hookimpl
def rsrag_encoders():
    return [FakeEncoder]


@hookimpl
def rsrag_models():
    return [Scripted]


@hookimpl
def rsrag_tools():
    return [Writer]
'''
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0AB]|\x1b[=>78]|\r(?!\n)")
TIMEOUT = 45.0


class _Poisoned:
    """A source whose text would repaint the terminal."""

    name = "poisoned"
    role = "mine"

    def records(self) -> Iterator[Record]:
        text = "A lighthouse warns\x1b]0;owned\x07 ships with a \x1b[31;5mred\x1b[2J light\u202e at night."
        yield Record("lighthouse", "class/lighthouse", "Lighthouse\x1b[2J", text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin, a knowledge base called small, and a scene."""
    folder = tmp_path_factory.mktemp("chat")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "scripted.py").write_text(PLUGIN)
    with make_knowledge_base(folder / "data" / "kb" / "small", FakeEncoder(), Plugins(external=False)) as kb:
        kb.add(_Poisoned())
    make_scene(folder / "elbe.tif")
    return folder


class Terminal:
    """The command in a pseudo-terminal; `text` is all it wrote, without what moves the cursor and colours."""

    def __init__(self, site: Path, cwd: Path, *arguments: str, columns: int = 80, **environment: str) -> None:
        self.raw = b""
        self._read = 0
        command = [sys.executable, "-c", "from rsrag.cli import main; main()"]
        command += ["--plugin-dir", str(site / "plugins"), "chat", "--kb", "small", *arguments]
        home = cwd / "home"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "RSRAG_ENCODER": "fake",
            "RSRAG_DATA_DIR": str(site / "data"),
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(command[0], command, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw.decode("utf-8", "replace")).replace("\r\n", "\n")

    def _more(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += piece
        return bool(piece)

    def wait(self, wanted: str) -> str:
        """Until `wanted` is written; what came since the last wait."""
        end = time.monotonic() + TIMEOUT
        while wanted not in self.text[self._read :]:
            assert time.monotonic() < end, f"no {wanted!r} in:\n{self.text[self._read :]}"
            self._more(0.2)
        found = self.text[self._read :]
        self._read += found.index(wanted) + len(wanted)
        return found

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def say(self, line: str, wanted: str) -> str:
        """Type a line, and wait for what it should bring. Its echo is waited for first."""
        self.send(line)
        self.wait(line[-12:])
        self.send("\r")
        return self.wait(wanted)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def leave(self) -> int:
        """Ctrl-D; the exit code."""
        self.send("\x04")
        return self.code()

    def code(self) -> int:
        """The exit code, once it has ended; what it writes until then is read, or it would wait for ever."""
        end = time.monotonic() + TIMEOUT
        while True:
            self._more(0.1)
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.pid = 0
                while self._more(0.1):
                    pass
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, f"it does not end:\n{self.text[self._read :]}"

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


Start = Callable[..., Terminal]


@pytest.fixture
def start(site: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts chats in a folder of their own; they are ended with the test."""
    begun: list[Terminal] = []

    def _start(*arguments: str, **options: object) -> Terminal:
        begun.append(Terminal(site, tmp_path, *arguments, **options))  # type: ignore[arg-type]
        begun[-1].wait("\n>")
        return begun[-1]

    yield _start
    for terminal in begun:
        terminal.close()


def test_a_chat_from_the_image_to_the_export_and_the_next_day(start: Start, site: Path, tmp_path: Path) -> None:
    chat = start(str(site / "elbe.tif"))
    header = chat.wait("model: extractive")
    assert "[A] elbe.tif, 64 x 64 px of 10 m" in header and "2021-07-01" in header and "red, green, blue, nir" in header
    answer = chat.say("When were the container terminals opened?", "Match")
    assert "1968" in answer and "[" in answer
    chat.wait("extractive ·")
    assert "did you mean /export" in chat.say("/exprot", "?").lower()
    assert "[A] from" in chat.say("/zoom north-east", "zoom off")
    assert "elbe.tif" in chat.say("/look", "px from")
    assert "CC0-1.0" in chat.say("/sources", "/show N")
    shown = chat.say("/show 1", "record")
    assert "licence" in chat.wait("licence") and "[1]" in shown
    assert "[A] is closed" in chat.say("/drop A", "not used again")
    assert "text-text" in chat.say("/why", "took")
    chat.say("/export html", ".html")
    chat.wait("\n>")
    assert chat.leave() == 0 and "rsrag chat --continue" in chat.text
    (page,) = tmp_path.glob("*.html")
    assert "1968" in page.read_text() and "<script" not in page.read_text()

    again = start("--continue")
    assert "1 question" in again.wait("container terminals opened?")
    assert "1968" in again.say("/show 1", "record")


def test_control_c_stops_the_answer_and_not_the_chat(start: Start) -> None:
    chat = start("--model", "scripted")
    chat.say("tell it slowly", "word5")
    chat.send("\x03")
    chat.wait("Stopped here")
    time.sleep(1.1)  # twice within a second leaves
    assert "<Name a colour.>" in chat.say("Name a colour.", "tokens")
    chat.say("once more slowly", "word3")
    chat.send("\x03")
    chat.wait("Stopped here")
    chat.send("\x03")
    assert chat.code() == 0 and "Saved as" in chat.text
    again = start("--continue", "--model", "scripted")
    assert "interrupted" in again.wait("interrupted")


def test_forty_columns_in_the_c_locale(start: Start, site: Path) -> None:
    chat = start("--model", "scripted", str(site / "elbe.tif"), columns=40, LANG="C", NO_COLOR="1")
    chat.wait("model: scripted")
    shown = chat.say("markdown please", "tokens")
    chat.resize(60)
    shown += chat.say("Speak slowly.", "word25")
    chat.send("\x03")
    shown += chat.wait("Stopped here")
    assert "* one berth" in shown and "[1]" in shown
    assert not re.search(r"[^\x00-\x7f]", chat.text)
    answer = shown[shown.index("Quays") : shown.index("another berth")]
    assert all(len(line) <= 40 for line in answer.splitlines())
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", chat.raw)  # no colours


def test_what_others_wrote_cannot_steer_the_terminal(start: Start) -> None:
    chat = start()
    chat.say("What does a lighthouse do?", "extractive ·")
    chat.say("/show 1", "record")
    chat.wait("\n>")
    assert "red" in chat.text and b"\x1b]0;" not in chat.raw and b"\x1b[31;5m" not in chat.raw
    assert b"\xe2\x80\xae" not in chat.raw  # right-to-left override
    other = start("--model", "scripted")
    other.say("escape now", "tokens")
    assert "before" in other.text and b"\x1b]0;" not in other.raw and b"\x1b[2J" not in other.raw.split(b"before")[1]


def test_a_model_that_fails_costs_its_answer_only(start: Start) -> None:
    chat = start("--model", "scripted")
    assert "returned no text" in chat.say("empty please", "Ask again")
    assert "[999]" in chat.say("wrong please", "does not exist")
    assert "There are" in chat.say("/model nowhere", "extractive")
    assert "<still here>" in chat.say("still here", "tokens")


def test_a_tool_that_writes_asks_first(start: Start) -> None:
    chat = start("--model", "scripted")
    chat.say("call it", "[y/N]")
    chat.send("n\r")
    chat.wait("not written")
    chat.wait("\n>")
    chat.say("call it again", "[y/N]")
    chat.send("y\r")
    chat.wait("writer text=hello")
    chat.wait("It was written")
    assert "The text other was written" in chat.say("/tool writer text=other", "computed here")  # agreed to once


def test_pasted_lines_are_one_question_and_a_backslash_begins_another(start: Start) -> None:
    chat = start("--model", "scripted")
    chat.wait("model: scripted")
    chat.send("\x1b[200~first line\nsecond line\x1b[201~")
    chat.wait("second line")
    chat.send("\r")
    assert "line second line>" in " ".join(chat.wait("tokens").split())
    chat.send("one \\\rtwo")
    chat.wait("two")
    chat.send("\r")
    assert "<one two>" in " ".join(chat.wait("tokens").split())


def test_a_dropped_file_is_offered_and_one_that_goes_is_named(start: Start, site: Path, tmp_path: Path) -> None:
    file = tmp_path / "my scene.tif"
    file.write_bytes((site / "elbe.tif").read_bytes())
    chat = start()
    chat.wait("model: extractive")
    chat.send(str(file).replace(" ", "\\ "))
    chat.wait("scene.tif")
    chat.send("\r")
    chat.wait("[Y/n]")
    chat.send("\r")
    chat.wait("[A] my scene.tif")
    chat.wait("\n>")
    file.unlink()
    told = chat.say("what is this?", "/drop A")
    assert "[A] is no longer there" in told
    assert "[A] is closed" in chat.say("/drop A", "not used again")
