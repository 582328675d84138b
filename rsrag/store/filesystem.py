"""What a store asks of the disk it lies on: locks that exclude, and room for what is about to be written."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

from ..errors import StoreError

log = logging.getLogger("rsrag")

RESERVE = 64_000_000
"""So many bytes are left free whatever is written: SQLite needs room to finish a transaction, or to take it back."""

NETWORKS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "fuse.sshfs", "fuse.s3fs")
_CANNOT = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_WAY_OUT = "Keep it on a local disk; machines can share a Chroma server instead (docs/reliability.md)."


def try_lock(descriptor: int, path: Path) -> bool:
    """Take the lock of an open file if it is free now. Raises `StoreError` where locks exclude nobody."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _CANNOT:
            raise StoreError(
                f"{path.parent} lies on a filesystem without locks ({error.strerror}).", _WAY_OUT
            ) from error
        return False
    second = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(second)
    raise StoreError(f"{path.parent} lies on a filesystem whose locks do not exclude anybody.", _WAY_OUT)


def network_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of network filesystem that a folder lies on ("nfs4"); "" on a local one, or where it cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place, best, kind = str(folder.resolve()), "", ""
    for line in lines:
        _, mount, found, *_ = [*line.split(" "), "", "", ""]
        mount = mount.replace("\\040", " ")
        if len(mount) >= len(best) and (place == mount or place.startswith(mount.rstrip("/") + "/")):
            best, kind = mount, found
    return kind if kind.startswith(NETWORKS) else ""


def warn_of_network(folder: Path) -> None:
    """Say once per run that a store on a network filesystem is for one machine: SQLite's log is shared in memory."""
    if str(folder) not in _warned and (kind := network_of(folder)):
        _warned.add(str(folder))
        log.warning(
            "%s lies on a network filesystem (%s): use it from one machine at a time. %s", folder, kind, _WAY_OUT
        )


_warned: set[str] = set()


def require_room(folder: Path, size: int, what: str) -> None:
    """Raise `StoreError` before `size` bytes are written that the disk has no room for, beside a reserve."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < size + RESERVE:
        raise StoreError(
            f"{what} needs about {_megabytes(size)} in {folder}, and {_megabytes(RESERVE)} to spare; "
            f"{_megabytes(free)} are free.",
            "Free some space and do it again.",
        )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is then there whole or not at all. Raises `StoreError` where it cannot be written."""
    partial = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StoreError(
            f"{path} cannot be written ({error.strerror}).",
            "What was acknowledged is kept. Free some space, or look after the disk, and do it again.",
        ) from error


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size < 10e9 else f"{size / 1e9:,.0f} GB"
