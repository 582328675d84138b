"""A third party's code on a lead: it runs for a limited time, and what it prints stays out of stdout."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .errors import PluginError

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "SimpleQueue[tuple[Any, BaseException | None]]"]


class Late(PluginError):
    """A plugin did not come back in time."""


class Guard:
    """Runs the code of one plugin.

    All calls of a plugin run one after another in one thread of its own, so that what it opens in one call (a
    connection to a database, say) it can use in the next. A thread whose call is late is told to end, which it does
    once it runs Python again, and the next call gets a new one.
    """

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._turn = threading.Lock()
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._thread: threading.Thread | None = None

    def call(self, what: str, function: Callable[[], T], seconds: float | None = None) -> T:
        """The result of `function`, or what it raised; `what` names it in errors.

        Raises `Late` after so many seconds, and `PluginError` for SystemExit, which would end the program. Without
        `seconds`, and inside another guarded call (whose time counts), it runs in the caller's thread.
        """
        try:
            if seconds is None or _voice.plugin:
                with speaking(self.plugin):
                    return function()
            return self._elsewhere(what, function, seconds)
        except SystemExit as error:
            raise PluginError(f"{what} of plugin {self.plugin} tried to end the program ({error}).") from error

    def _elsewhere(self, what: str, function: Callable[[], T], seconds: float) -> T:
        with self._turn:
            if self._jobs is None:
                self._jobs = SimpleQueue()
                name = f"plugin {self.plugin}"
                self._thread = threading.Thread(target=_work, args=(self.plugin, self._jobs), name=name, daemon=True)
                self._thread.start()
            jobs = self._jobs
            answer: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
            jobs.put((function, answer))
            try:
                value, error = answer.get(timeout=seconds)
            except BaseException as interruption:  # also Ctrl-C: whoever calls next must not wait for this one
                self._jobs = None
                jobs.put(None)
                _end(self._thread)
                if not isinstance(interruption, Empty):
                    raise
                raise Late(
                    f"{what} of plugin {self.plugin} did not come back within {seconds:g} s.",
                    "[plugins] timeout = SECONDS in the configuration gives plugins more time.",
                ) from None
        if error is not None:
            raise error
        result: T = value
        return result

    def __del__(self) -> None:
        if self._jobs is not None:
            self._jobs.put(None)  # its thread ends


def _end(thread: threading.Thread | None) -> None:
    """Raise SystemExit in another thread: an endless loop would take half of the processor from the rest."""
    import ctypes

    if thread is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def _work(plugin: str, jobs: SimpleQueue[_Job | None]) -> None:
    with suppress(SystemExit):  # from `_end`, which may be a moment too late
        while job := jobs.get():
            function, answer = job
            try:
                with speaking(plugin):
                    result = function()
            except BaseException as error:
                answer.put((None, error))
            else:
                answer.put((result, None))
            del job, function, answer  # else what they hold lives until the next call


# -- stdout ---------------------------------------------------------------------------------------


def keep_stdout() -> None:
    """From here on only `sys.stdout` reaches stdout: what C code and child processes write to it goes to stderr.

    For a program that has promised one JSON document. Does nothing where `sys.stdout` is not the process's own.
    """
    out: Any = sys.stdout
    own_stdout: Any = sys.__stdout__
    if out is not None and out is own_stdout:
        out.flush()
        own = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = os.fdopen(own, "w", encoding=out.encoding, errors=out.errors)


class _Voice(threading.local):
    """Which plugin this thread runs, and the line it has begun to print."""

    plugin = ""
    line = ""

    def write(self, text: str) -> int:
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            sys.stderr.write(f"plugin {self.plugin}: {line}\n")
        return len(text)

    def flush(self) -> None:
        if self.line:
            self.write("\n")


class _Stdout:
    """stdout as before, except for threads that run a plugin: those are heard on stderr."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def write(self, text: str) -> int:
        written: int = (_voice if _voice.plugin else self.real).write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr if _voice.plugin else self.real, name)


_voice = _Voice()
_switch = threading.Lock()
_speakers = 0


@contextmanager
def speaking(plugin: str) -> Iterator[None]:
    """Whatever this thread prints meanwhile goes to stderr, each line after the plugin's name."""
    before, _voice.plugin = _voice.plugin, plugin
    _count(1)
    try:
        yield
    finally:
        _voice.flush()
        _voice.plugin = before
        _count(-1)


def _count(change: int) -> None:
    global _speakers
    with _switch:
        _speakers += change
        if _speakers and sys.stdout is not None and not isinstance(sys.stdout, _Stdout):
            sys.stdout = _Stdout(sys.stdout)
        elif not _speakers and isinstance(sys.stdout, _Stdout):
            sys.stdout = sys.stdout.real
