"""The command line: `main` runs a command and turns what went wrong into one line and an exit code.

0: answered or declined. 1: it failed. 2: the command line or configuration is wrong.
"""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Entry point of the `rsrag` command."""
    from ..errors import RsragError, UsageError

    logging.getLogger("rsrag").addHandler(_Stderr(logging.WARNING))
    logging.getLogger("rsrag").propagate = False
    debug = "--debug" in sys.argv[1:]
    try:
        from .app import build

        build(sys.argv[1:])()
    except RsragError as error:
        if debug:
            raise
        _say(f"error: {error.message}", error.hint)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except Exception as error:
        told = _of_a_disk(error)
        if debug or not told:
            raise
        _say(*told)
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted; what was written so far is kept.", "")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _of_a_disk(error: Exception) -> tuple[str, str] | None:
    """What is said of a damaged catalog, or a disk that is full or fails, met where nobody expected it."""
    import errno

    way_out = "What was acknowledged is kept. Free some space, or look after the disk, and do it again."
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (11, 26):  # SQLITE_CORRUPT and SQLITE_NOTADB, while rows were being read
        return f"error: a catalog is damaged ({error}).", "`rsrag kb restore` takes its last automatic backup."
    if code in (10, 13):  # SQLITE_IOERR and SQLITE_FULL
        return f"error: a catalog cannot be used ({error}).", way_out
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
        return f"error: {error.filename or 'a file'} cannot be used ({error.strerror}).", way_out
    return None


def _say(line: str, hint: str) -> None:
    from .control import harmless

    sys.stderr.write(harmless(line) + "\n")
    if hint:
        sys.stderr.write(f"  {harmless(hint)}\n")


class _Stderr(logging.Handler):
    """The library's warnings as one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        from .control import harmless

        sys.stderr.write(f"{record.levelname.lower()}: {harmless(record.getMessage())}\n")
