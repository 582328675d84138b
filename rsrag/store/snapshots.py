"""Copies of the catalog inside its knowledge base: by name, before a large change, and before a migration."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import StoreError, UsageError
from .filesystem import require_room, write_whole
from .lock import WriterLock
from .soundness import pages_damage, sqlite_damage

if TYPE_CHECKING:
    from .knowledge_base import KnowledgeBase

BACKUP_EVERY_S = 600.0
"""A change within so many seconds after the last automatic backup makes no other."""

KEPT_BACKUPS = 3
_OWN_NAMES = ("auto-", "before-schema-", "before-restore", "previews")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a catalog. `made` is ISO 8601 in UTC; `generation` counts the changes up to it."""

    name: str
    made: str
    automatic: bool
    records: int
    chunks: int
    schema: int
    generation: int
    bytes: int


def snapshots(path: Path) -> list[Snapshot]:
    """The snapshots of the knowledge base in a folder, oldest first."""
    found = []
    for file in (path / "snapshots").glob("*/snapshot.json"):
        try:
            snapshot = Snapshot(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # its catalog is not whole either: the description is written last
        if snapshot.name == file.parent.name:  # else one that was never finished
            found.append(snapshot)
    return sorted(found, key=lambda s: (s.made, s.generation))


def copy_database(catalog: Path, path: Path, name: str, *, automatic: bool = False) -> Snapshot:
    """Copy the catalog as it is after its last transaction into `path`/snapshots/`name`, replacing one of that name.

    Readers and writers go on meanwhile. Raises `StoreError` when the catalog is damaged or the disk full.
    """
    require_room(path, catalog.stat().st_size, f"a copy of {catalog.name}")
    folder = path / "snapshots" / name
    partial = path / "snapshots" / f".{name}.part"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with (
            closing(sqlite3.connect(catalog, timeout=30)) as source,
            closing(sqlite3.connect(partial / "catalog.sqlite")) as copy,
        ):
            copy.execute("PRAGMA synchronous = OFF")  # flushed once, below
            source.backup(copy)
            if why := pages_damage(copy):
                raise StoreError(
                    f"the catalog {catalog} is damaged ({why}).",
                    f"Nothing was changed. `rsrag kb restore --kb {path}` takes the last backup.",
                )
            copy.execute("PRAGMA journal_mode = DELETE")  # one file
            made = _describe(copy, name, automatic, (partial / "catalog.sqlite").stat().st_size)
        _flush(partial / "catalog.sqlite")
        (partial / "snapshot.json").write_text(json.dumps(asdict(made), indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"no backup of {catalog} can be made ({error}).", "Nothing was changed; check disk space and permissions."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def _describe(db: sqlite3.Connection, name: str, automatic: bool, size: int) -> Snapshot:
    def number(sql: str) -> int:
        return int(db.execute(sql).fetchone()[0])

    return Snapshot(
        name,
        datetime.now(UTC).isoformat(timespec="microseconds"),
        automatic,
        number("SELECT count(*) FROM records"),
        number("SELECT count(*) FROM chunks"),
        number("PRAGMA user_version"),
        number("SELECT value FROM meta WHERE key = 'generation'"),
        size,
    )


def _flush(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def take(kb: KnowledgeBase, name: str) -> Snapshot:
    """A snapshot by a name of one's own. Raises `UsageError` for a name that is no plain one or is taken."""
    if not _NAME.fullmatch(name) or name.startswith(_OWN_NAMES):
        raise UsageError(
            f"'{name}' is no name for a snapshot.",
            f"Use letters, digits, '.', '_' and '-'; what begins with {', '.join(_OWN_NAMES)} is taken.",
        )
    if any(known.name == name for known in snapshots(kb.path)):
        raise UsageError(f"there is a snapshot '{name}' already.", f"Remove it: rsrag kb snapshot {name} --remove")
    with kb.writer():
        return copy_database(kb.catalog.path, kb.path, name)


def before_change(kb: KnowledgeBase) -> None:
    """An automatic backup of a catalog that holds something and has changed since the last one, which is not recent."""
    automatic = [s for s in snapshots(kb.path) if s.automatic]
    if automatic:
        age = time.time() - datetime.fromisoformat(automatic[-1].made).timestamp()
        if automatic[-1].generation == kb.catalog.generation() or 0 <= age < BACKUP_EVERY_S:
            return
    own = "SELECT 1 FROM records r JOIN sources s ON s.name = r.source WHERE s.root NOT LIKE 'pack:%' LIMIT 1"
    if not kb.catalog.db.execute(own).fetchone():
        return  # the packs that travel with the program are at hand anyway
    copy_database(kb.catalog.path, kb.path, auto_name(), automatic=True)
    by_time = [s for s in snapshots(kb.path) if s.automatic and s.name.startswith("auto-")]
    for old in by_time[:-KEPT_BACKUPS]:
        drop(kb.path, old.name)


def auto_name() -> str:
    """What an automatic backup made now is called."""
    return datetime.now(UTC).strftime("auto-%Y%m%d-%H%M%S")


def drop(path: Path, name: str) -> None:
    """Remove a snapshot. Raises `UsageError` when there is none of that name."""
    _find(path, name)
    shutil.rmtree(path / "snapshots" / name)
    if snapshots(path):
        drop_unneeded_previews(path)
    else:
        shutil.rmtree(path / "snapshots", ignore_errors=True)


def drop_unneeded_previews(path: Path) -> None:
    """Remove the previews that were kept for copies which need them no more. Where a copy cannot be read, none."""
    kept = list((path / "snapshots" / "previews").glob("*.jpg"))
    needed: set[str] = set()
    for snapshot in snapshots(path) if kept else ():
        with closing(_to_read(path / "snapshots" / snapshot.name / "catalog.sqlite")) as db:
            try:
                needed.update(row[0] for row in db.execute("SELECT content_hash FROM chunks WHERE kind = 'image'"))
            except sqlite3.Error:
                return
    for preview in kept:
        if preview.stem not in needed:
            preview.unlink()


def keep_preview(path: Path, preview: Path) -> None:
    """Take a preview out of use; where there are snapshots they may need it again."""
    if not preview.exists():
        return
    if any((path / "snapshots").glob("*/snapshot.json")):
        kept = path / "snapshots" / "previews" / preview.name
        kept.parent.mkdir(exist_ok=True)
        preview.replace(kept)
    else:
        preview.unlink()


def _find(path: Path, name: str) -> Snapshot:
    known = snapshots(path)
    for snapshot in known:
        if snapshot.name == name:
            return snapshot
    there = ", ".join(s.name for s in known) or "none"
    raise UsageError(f"there is no snapshot '{name}' in {path}.", f"There are: {there}.")


def restore(path: Path, name: str = "", wait: float = 30.0) -> tuple[Snapshot, str]:
    """Bring a knowledge base back to a snapshot (the last automatic one by default).

    Returns the snapshot and where what was there before is kept: another snapshot, or the damaged file itself. The
    knowledge base is opened afterwards as always, which brings the vector index up to date. Raises `UsageError`
    when there is no such snapshot, `StoreError` when it is damaged; nothing is changed then.
    """
    automatic = [s for s in snapshots(path) if s.automatic and s.name != "before-restore"]
    if not name and not automatic:
        raise UsageError(f"{path} has no automatic backup.", "Name a snapshot; `rsrag kb snapshot` lists them.")
    snapshot = _find(path, name) if name else automatic[-1]
    copy = path / "snapshots" / snapshot.name / "catalog.sqlite"
    catalog = path / "catalog.sqlite"
    with WriterLock(path / "writer.lock", wait):
        _check(copy)
        require_room(path, copy.stat().st_size + (catalog.stat().st_size if catalog.exists() else 0), "going back")
        ready = path / "snapshots" / ".restore.part"
        try:
            shutil.copyfile(copy, ready)
            present = _present(path, catalog)
            kept, generation = _set_aside(path, catalog)
            _prepare(ready, generation, kept, present)
            _put_in_place(ready, catalog)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{path} cannot be brought back to '{snapshot.name}' ({error}).",
                "Free some space, or look after the disk, and do it again.",
            ) from error
        finally:
            ready.unlink(missing_ok=True)
        _bring_previews_back(path, catalog)
    return snapshot, kept


def _present(path: Path, catalog: Path) -> dict[str, str]:
    """What is known of the vector index that is there, which the snapshot may not know: `index` and `server`, and
    `encoders` of its vectors. Of a damaged catalog only the newest folder."""
    with suppress(sqlite3.Error, OSError, TypeError), closing(_to_read(catalog)) as db:
        kept = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('index', 'server')"))
        return {"index": "chroma", **kept, "encoders": _encoders(db)}
    found = sorted(path.glob("chroma*/chroma.sqlite3"), key=lambda file: file.stat().st_mtime)
    return {"index": found[-1].parent.name} if found else {}


def _to_read(catalog: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(catalog))}?mode=ro", uri=True, timeout=30)


def _encoders(db: sqlite3.Connection) -> str:
    return json.dumps(db.execute("SELECT name, encoder FROM spaces ORDER BY name").fetchall())


def _check(copy: Path) -> None:
    why = sqlite_damage(copy) if copy.exists() else "is missing"
    if not why:
        with closing(sqlite3.connect(copy)) as db:
            why = pages_damage(db)
    if why:
        raise StoreError(f"the snapshot {copy.parent.name} is damaged ({why}).", "Take another; nothing was changed.")


def _set_aside(path: Path, catalog: Path) -> tuple[str, int]:
    """Keep the present catalog: (where, its generation). A damaged one is moved away with its log."""
    if not catalog.exists():
        return "", 0
    if not _is_damaged(catalog):
        before = copy_database(catalog, path, "before-restore", automatic=True)
        return before.name, before.generation
    aside = catalog.with_name(f"catalog.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite")
    for suffix in ("-wal", "-shm", ""):
        part = catalog.with_name(catalog.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside.name, 0


def _is_damaged(catalog: Path) -> bool:
    if sqlite_damage(catalog):
        return True
    try:
        with closing(_to_read(catalog)) as db:
            generation = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
            return generation is None or bool(pages_damage(db))
    except sqlite3.Error:
        return True


def _prepare(ready: Path, generation: int, kept: str, present: dict[str, str]) -> None:
    """What the copy must say once it is in place: readers look again, and the index is compared with it."""
    with closing(sqlite3.connect(ready)) as db, db:
        own = int(db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])
        # A damaged catalog cannot tell its generation; no reader has counted a million changes more.
        after = max(own, generation) + 1 if not kept.startswith("catalog.") else own + 1_000_000
        db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (str(after),))
        # Rows of the same content are told apart by nothing else than who encoded them.
        same = present.get("encoders") == _encoders(db)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('compare', ?)", ("rows" if same else "nothing",))
        for key in ("index", "server"):
            if key in present:
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, present[key]))


def _put_in_place(ready: Path, catalog: Path) -> None:
    if not catalog.exists():
        _flush(ready)
        ready.replace(catalog)
        return
    # Into the file that is there, as one transaction: whoever has it open sees it change and never loses it.
    with closing(sqlite3.connect(ready)) as source, closing(sqlite3.connect(catalog, timeout=30)) as target:
        source.backup(target)


def _bring_previews_back(path: Path, catalog: Path) -> None:
    with closing(sqlite3.connect(catalog, timeout=30)) as db:
        hashes = {row[0] for row in db.execute("SELECT content_hash FROM chunks WHERE kind = 'image'")}
    for kept in (path / "snapshots" / "previews").glob("*.jpg"):
        place = path / "previews" / kept.name[:2] / kept.name
        if kept.stem in hashes and not place.exists():
            write_whole(place, kept.read_bytes())
