"""Whether files on disk are whole, told without the programs that own them: a damaged graph crashes its reader."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import numpy as np

SQLITE_MAGIC = b"SQLite format 3\0"
_GRAPH = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin")
_LABELS = "index_metadata.pickle"  # which row bears which id: written with the first rows; never read here
_HEADER = struct.Struct("<IQQQQQQiIQQQdQ")
"""hnswlib's header, 100 bytes: version, offset of level 0, room, elements, bytes of an element, offset of its label,
offset of its vector, highest level, entry point, links above level 0, links at level 0, M, level factor, ef."""


def sqlite_damage(path: Path) -> str:
    """What is wrong with an SQLite file, by its header and length alone; "" where nothing is.

    A file whose log still holds pages may be shorter than its header says, so then only the header is looked at.
    """
    with path.open("rb") as stream:
        header = stream.read(100)
    if header[:16] != SQLITE_MAGIC or len(header) < 100:
        return "is damaged or no database"
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    if size < 512 or size & (size - 1):
        return "is damaged: its header makes no sense"
    log = path.with_name(path.name + "-wal")
    pages = int.from_bytes(header[28:32], "big")
    in_log = log.exists() and log.stat().st_size > 0
    # The page count counts only where it was written with the last change (bytes 24 and 92).
    if not in_log and header[24:28] == header[92:96] and path.stat().st_size < pages * size:
        return f"is cut off: {path.stat().st_size:,} of {pages * size:,} bytes"
    return ""


def pages_damage(db: sqlite3.Connection) -> str:
    """What SQLite's own look at every page finds; "" where nothing is wrong."""
    try:
        found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else " ".join(found.split())


def index_damage(folder: Path, *, deep: bool = False) -> str:
    """What is wrong with the files of a vector index; "" where nothing is.

    Headers and lengths only, in a fraction of a millisecond; `deep` also reads every page and every link.
    """
    database = folder / "chroma.sqlite3"
    if not database.exists():
        return "is missing"
    try:
        if why := sqlite_damage(database):
            return f"{why} (chroma.sqlite3)"
        if deep:
            # To be written to, if it can be: SQLite has to take back what a killed writer left half done.
            mode = "rw" if os.access(folder, os.W_OK) else "ro"
            with closing(sqlite3.connect(f"file:{quote(str(database))}?mode={mode}", uri=True, timeout=30)) as db:
                if why := pages_damage(db):
                    return f"is damaged ({why})"
        for graph in sorted(p for p in folder.iterdir() if p.is_dir()):
            if any(graph.iterdir()) and (why := _graph_damage(graph, deep)):
                return f"is damaged ({graph.name[:8]}: {why})"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _graph_damage(folder: Path, deep: bool) -> str:
    if missing := [name for name in _GRAPH if not (folder / name).exists()]:
        return f"{missing[0]} is missing"
    sizes = {name: (folder / name).stat().st_size for name in _GRAPH}
    if sizes["header.bin"] != _HEADER.size:
        return "header.bin is cut off"
    (version, level0, room, elements, stride, label, vector, top, entry, upper, links, *_) = _HEADER.unpack(
        (folder / "header.bin").read_bytes()
    )
    layout = version == 1 and level0 == 0 and vector == 4 * links + 4 and vector < label == stride - 8
    if not layout or elements > room or upper > links or not 1 <= links <= 4096:
        return "header.bin makes no sense"
    labelled = (folder / _LABELS).exists()
    if labelled != bool(elements):
        return f"{_LABELS} is missing" if elements else "header.bin makes no sense"
    if not elements:
        return ""  # all its rows are still in the database
    if not (0 <= top < 64 and entry < elements):
        return "header.bin makes no sense"
    if sizes["data_level0.bin"] != elements * stride:
        return "data_level0.bin has another length than header.bin says"
    if sizes["length.bin"] != 4 * elements:
        return "length.bin has another length than header.bin says"
    if sizes["link_lists.bin"] < 4 * elements:
        return "link_lists.bin is cut off"
    return _links_damage(folder, elements, stride, links, upper) if deep else ""


def _links_damage(folder: Path, elements: int, stride: int, links: int, upper: int) -> str:
    """Every link must lead to an element: whoever follows one that does not reads foreign memory."""
    import numpy as np

    rows = np.memmap(folder / "data_level0.bin", np.uint8, "r", shape=(elements, stride))
    for start in range(0, elements, 65536):
        part = np.ascontiguousarray(rows[start : start + 65536, : 4 + 4 * links]).view(np.uint32)
        if not _leads(part, links, elements):
            return "data_level0.bin has links to nowhere"
    higher = (folder / "link_lists.bin").read_bytes()
    block, at = 4 + 4 * upper, 0
    for _ in range(elements):
        if at + 4 > len(higher):
            return "link_lists.bin is cut off"
        length = int.from_bytes(higher[at : at + 4], "little")
        at += 4
        if length % block or at + length > len(higher):
            return "link_lists.bin makes no sense"
        if length:
            part = np.frombuffer(higher, np.uint32, length // 4, at).reshape(-1, 1 + upper)
            if not _leads(part, upper, elements):
                return "link_lists.bin has links to nowhere"
            at += length
    return "" if at == len(higher) else "link_lists.bin has another length than its lists"


def _leads(rows: np.ndarray[tuple[int, ...], np.dtype[np.uint32]], links: int, elements: int) -> bool:
    """`rows` is (n, 1 + links): how many links (in the low 16 bits) and where they lead."""
    import numpy as np

    counts = rows[:, 0] & 0xFFFF
    used = np.arange(links) < counts[:, None]
    return bool((counts <= links).all() and (rows[:, 1:][used] < elements).all())
