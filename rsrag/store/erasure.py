"""Taking a source out for good: what it brought is gone from every file of the knowledge base, not only from searches.

SQLite overwrites what it deletes (`secure_delete`); the index of words keeps deleted words until it is merged, the log
until it is emptied, and the vector index until it is made anew. A name in the catalog's `erasing` says that this is not
over; whoever opens the knowledge base next goes on.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .catalog import Catalog
from .filesystem import write_whole
from .lock import WriterLock
from .migrations import SCHEMA_VERSION
from .rebuild import Progress, rebuild
from .snapshots import Snapshot, drop_unneeded_previews, snapshots
from .soundness import sqlite_damage
from .spaces import SPACES

if TYPE_CHECKING:
    from .knowledge_base import KnowledgeBase

log = logging.getLogger("rsrag")

REBUILD_UP_TO = 100_000
"""An index of at most so many vectors is made anew at once; the files of a larger one keep what was removed until
`rsrag kb rebuild`, unless it was a tenth of them."""

ROOM_TO_GIVE_BACK = 0.25
"""When so much of the catalog is empty its file is made smaller."""

_KEY = "erasing"
_CLEAN = "clean"  # of the catalog's meta: everything ever deleted from this file was overwritten


def begin(kb: KnowledgeBase, source: str) -> int:
    """In one transaction: take a source out, and note that its traces are to follow; returns its number of records."""
    with kb.catalog.write() as db:
        count = kb.catalog.records.drop_source(db, source)
        note = {"sources": sorted({source, *_unfinished(kb).sources}), "index": kb.catalog.outbox.index_name()}
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, json.dumps(note)))
    return count


def is_unfinished(kb: KnowledgeBase) -> bool:
    """Whether traces of a source are left because its removal was interrupted."""
    return kb.catalog.meta(_KEY) is not None


def finish(kb: KnowledgeBase, progress: Progress | None = None, *, resumed: bool = False) -> None:
    """Remove the traces of sources that were taken out. Safe to repeat, and to interrupt. The caller holds
    `kb.writer()`. What is left all the same is told, with the command that removes it; raises `StoreError` where the
    disk is full or fails, or tells that too where this is `resumed` by an opening, which must go on.
    """
    note = _unfinished(kb)
    names = "', '".join(note.sources)
    try:
        _from_index(kb, note.index, progress, resumed)
        _from_staging(kb)
        for copy in snapshots(kb.path):
            _from_copy(kb.path / "snapshots" / copy.name, copy, note.sources)
        drop_unneeded_previews(kb.path)
        _scrub(kb.catalog)
        with kb.catalog.write() as db:
            db.execute("DELETE FROM meta WHERE key = ?", (_KEY,))
        busy = kb.catalog.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except (StoreError, sqlite3.Error, OSError) as error:
        told = f"'{names}' is removed, but not yet gone from every file of {kb.path} ({error})."
        if resumed:
            log.warning("%s The next opening goes on.", told)
            return
        raise StoreError(told, "The next opening goes on, when there is room.") from error
    if busy:
        log.warning("another program is reading %s; its log keeps what was removed until that ends.", kb.path)
    for aside in sorted(kb.path.glob("catalog.damaged-*.sqlite")):
        log.warning("%s may still hold '%s': remove it when you need it no more.", aside, names)


@dataclass(frozen=True, slots=True)
class _Note:
    """What is to be erased: `sources`, whose vectors were in the vector index `index`."""

    sources: tuple[str, ...] = ()
    index: str = ""


def _unfinished(kb: KnowledgeBase) -> _Note:
    note = json.loads(kb.catalog.meta(_KEY) or "{}")
    return _Note(tuple(note.get("sources", ())), note.get("index", ""))


# -- the vector index -----------------------------------------------------------------------------


def _from_index(kb: KnowledgeBase, index: str, progress: Progress | None, resumed: bool) -> None:
    kb.catalog.vectors.retire()
    gone = sum(len(kb.catalog.outbox.departed(space)) for space in SPACES)
    left = sum(kb.catalog.vectors.counts().values())
    kb.index.keep_only({kb.catalog.outbox.index_name()})  # what an interrupted rebuild left may hold it too
    if kb.catalog.outbox.index_name() != index or not (gone or resumed):
        kb.settle()  # it was made anew since, or held nothing of it
    elif left <= max(REBUILD_UP_TO, 9 * gone):
        rebuild(kb, progress)
    else:
        kb.settle()
        log.warning("the files of the vector index hold removed vectors until `rsrag kb rebuild --kb %s`.", kb.path)
    kb.index.close()
    blank_memory(kb)


def blank_memory(kb: KnowledgeBase) -> None:
    """Overwrite what Chroma's saves of a graph without rows hold: what happened to be in the memory of its process.

    It saves one (room for 100 rows) whenever it opens it; up to 1,000 rows there is no other. Does nothing where
    another process is writing. Call it when the index is closed.
    """
    with suppress(OSError, StoreError):
        lock = WriterLock(kb.path / "writer.lock", 0)
        if kb.catalog.read_only or not _unused(kb.index.path) or not lock.try_acquire():
            return
        try:
            if lock.abandoned:  # what the lock no longer says
                kb.catalog.set_meta("compare", "rows")
            for file in _unused(kb.index.path):
                with file.open("rb+") as stream:
                    stream.write(bytes(file.stat().st_size))
        finally:
            lock.release()


def _unused(folder: Path) -> list[Path]:
    """The files of graphs without rows that are not blank."""
    found = []
    for header in folder.glob("*/header.bin"):
        if not int.from_bytes(header.read_bytes()[20:28], "little"):  # the number of rows
            files = (header.with_name("data_level0.bin"), header.with_name("length.bin"))
            found += [file for file in files if file.exists() and any(file.read_bytes())]
    return found


def _from_staging(kb: KnowledgeBase) -> None:
    """What an interrupted `kb reencode` has made of it."""
    staged = kb.path / "reencode.sqlite"
    if not staged.exists() or sqlite_damage(staged):
        return
    known = {row[0] for row in kb.catalog.db.execute("SELECT DISTINCT content_hash FROM chunks")}
    with closing(sqlite3.connect(staged, timeout=30, isolation_level=None)) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'vectors'").fetchone():
            return
        db.execute("PRAGMA secure_delete = ON")
        rows = db.execute("SELECT rowid, content_hash FROM vectors").fetchall()
        gone = [(rowid,) for rowid, digest in rows if digest not in known]
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM vectors WHERE rowid = ?", gone)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# -- copies ---------------------------------------------------------------------------------------


def _from_copy(folder: Path, copy: Snapshot, names: Sequence[str]) -> None:
    """Out of an automatic copy too; one that was asked for by name stays as it is, and is told."""
    why = ""
    try:
        held = [name for name in names if name in _sources(folder / "catalog.sqlite")]
        if held and copy.automatic and copy.schema == SCHEMA_VERSION:
            _rewrite(folder, copy, held)
            held = []
    except (StoreError, sqlite3.Error, OSError) as error:
        held, why = list(names), f" ({error})"
    if held:
        log.warning(
            "the copy '%s' still holds '%s'%s. To remove it: rsrag kb snapshot %s --remove --kb %s",
            copy.name, "', '".join(held), why, copy.name, folder.parents[1],
        )  # fmt: skip


def _sources(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as db:
        return {row[0] for row in db.execute("SELECT name FROM sources")}


def _rewrite(folder: Path, copy: Snapshot, names: Sequence[str]) -> None:
    catalog = Catalog(folder / "catalog.sqlite")
    try:
        with catalog.write() as db:
            for name in names:
                catalog.records.drop_source(db, name)
            db.execute("DELETE FROM meta WHERE key = ?", (_KEY,))
        catalog.vectors.retire()
        with catalog.write() as db:
            db.execute("DELETE FROM departed")  # whoever restores it compares the whole index with it
        _scrub(catalog)
        catalog.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        catalog.db.execute("PRAGMA journal_mode = DELETE")  # one file
        copy = replace(copy, records=catalog.count("records"), chunks=catalog.count("chunks"))
    finally:
        catalog.close()
    copy = replace(copy, bytes=(folder / "catalog.sqlite").stat().st_size)
    write_whole(folder / "snapshot.json", json.dumps(asdict(copy), indent=1).encode())


# -- one catalog ----------------------------------------------------------------------------------


def _scrub(catalog: Catalog) -> None:
    """Merge the index of words, which then holds no deleted ones, and give back room."""
    with catalog.write() as db:
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db = catalog.db
    free, pages = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("freelist_count", "page_count"))
    clean = catalog.meta(_CLEAN) is not None
    if clean and free < ROOM_TO_GIVE_BACK * pages:
        return
    try:
        db.execute("VACUUM")
    except StoreError as error:
        if not clean:
            raise
        log.warning("%s Until then its file keeps its size.", error)
        return
    if not clean:
        catalog.set_meta(_CLEAN, "1")
