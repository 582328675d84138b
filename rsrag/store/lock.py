"""One writer at a time: an advisory lock on a file, released by the system when its process dies."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from ..errors import StoreError
from .filesystem import try_lock

log = logging.getLogger("rsrag")


class WriterLock:
    """The right to write into one store, across processes and threads.

    A context manager; re-entrant within a thread. Waits up to `wait` seconds, says once that it waits, then
    raises `StoreError` naming the process that holds it; at once where the filesystem has no locks that exclude.
    """

    _threads: ClassVar[dict[Path, threading.RLock]] = {}
    _depth: ClassVar[dict[Path, tuple[int, int]]] = {}  # path -> (depth, descriptor)
    _guard: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def forget_after_fork(cls) -> None:
        """A forked child does not hold its parent's lock, and must not keep it held by an open descriptor."""
        for _, descriptor in cls._depth.values():
            os.close(descriptor)
        cls._depth.clear()
        cls._threads.clear()
        cls._guard = threading.Lock()

    def __init__(self, path: Path, wait: float) -> None:
        self.path = path
        self.wait = wait
        self.abandoned = False
        """Whether the writer before this one died while it held the lock: it left its number behind."""
        with self._guard:
            self._thread = self._threads.setdefault(path, threading.RLock())

    def try_acquire(self) -> bool:
        """Take the lock if it is free now."""
        if not self._thread.acquire(blocking=False):
            return False
        depth, descriptor = self._depth.get(self.path, (0, -1))
        if depth == 0:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                self._thread.release()
                raise StoreError(
                    f"{self.path.parent} cannot be written to ({error.strerror}).",
                    "Check its permissions, or use another knowledge base with --kb.",
                ) from error
            taken = False
            try:
                taken = try_lock(descriptor, self.path)
            finally:
                if not taken:
                    os.close(descriptor)
                    self._thread.release()
            if not taken:
                return False
            try:
                self.abandoned = os.fstat(descriptor).st_size > 0
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
            except OSError as error:  # a full disk
                os.close(descriptor)
                self._thread.release()
                raise StoreError(f"{self.path.parent} cannot be written to ({error.strerror}).") from error
        self._depth[self.path] = (depth + 1, descriptor)
        return True

    def release(self) -> None:
        depth, descriptor = self._depth[self.path]
        if depth == 1:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)  # closing drops the lock
            del self._depth[self.path]
        else:
            self._depth[self.path] = (depth - 1, descriptor)
        self._thread.release()

    def __enter__(self) -> WriterLock:
        deadline = time.monotonic() + self.wait
        said = False
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{self.path.parent} is being written to by process {self._holder()}.",
                    f"Gave up after {self.wait:g} s; try again when it is done, or wait longer.",
                )
            if not said:
                said = True
                log.warning("waiting for process %s, which writes to %s ...", self._holder(), self.path.parent)
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _holder(self) -> str:
        try:
            return self.path.read_text() or "?"
        except OSError:
            return "?"


os.register_at_fork(after_in_child=WriterLock.forget_after_fork)
