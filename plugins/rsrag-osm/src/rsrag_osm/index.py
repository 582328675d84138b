"""The features of a file on disk, found by place: SQLite with an R*Tree, made once for a file's content.

It lies in the user's cache under the digest of the file, so that a copy costs nothing and a new version of the file
is read anew. It is written beside its place and moved there when complete: an interrupted reading leaves nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rsrag import BBox, RsragError, UsageError

from .extract import SUFFIXES, read_extract
from .features import Feature, Losses
from .geojson import read_geojson
from .geometry import bbox

Progress = Callable[[int], None]
"""Called with the number of features read so far."""

VERSION: Final = 1
"""Changes when the same file would give another index."""

_BATCH: Final = 10_000
_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE feature (id INTEGER PRIMARY KEY, osm TEXT NOT NULL UNIQUE, name TEXT NOT NULL, tags TEXT NOT NULL,
                      shape BLOB NOT NULL);
CREATE INDEX named ON feature (name) WHERE name != '';
CREATE VIRTUAL TABLE box USING rtree (id, west, east, south, north);
"""


@dataclass(frozen=True, slots=True)
class Index:
    """The features of one file. `file` is the file they came from, `path` the index."""

    path: Path
    file: Path
    covers: BBox | None
    named: int
    unnamed: int
    losses: tuple[str, ...]

    def within(self, box: BBox) -> Iterator[Feature]:
        """Features whose boxes touch a box, in the order of the file."""
        with closing(_opened(self.path)) as db:
            for number in sorted(_touching(db, box)):
                yield _feature(db.execute("SELECT osm, tags, shape FROM feature WHERE id = ?", (number,)).fetchone())

    def count(self, box: BBox) -> int:
        """How many features have boxes that touch a box."""
        with closing(_opened(self.path)) as db:
            return len(_touching(db, box))

    def named_features(self) -> Iterator[Feature]:
        """Features that have a name, in the order of the file."""
        with closing(_opened(self.path)) as db:
            for row in db.execute("SELECT osm, tags, shape FROM feature WHERE name != '' ORDER BY id"):
                yield _feature(row)

    def touches(self, box: BBox) -> bool:
        return self.covers is not None and self.covers.intersects(box)


def is_readable(path: Path) -> bool:
    """Whether a file's name is one that an index can be made of."""
    return path.name.lower().endswith((*SUFFIXES, ".geojson"))


def index_of(file: Path, progress: Progress | None = None) -> Index:
    """The index of a file, made when there is none yet. Raises `UsageError` and `RsragError` for what is no such file.

    `progress` is told how many features were read, every ten thousand.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}.", "Give an extract such as region.osm.pbf.")
    if not is_readable(file):
        raise UsageError(f"{file} is no OpenStreetMap file.", f"Known are {', '.join(SUFFIXES)} and .geojson.")
    file = file.resolve()
    known = next((index for index in known_indexes() if index.file == file), None)
    if known is not None:
        return known
    target = _folder() / f"{_digest(file)}-v{VERSION}.sqlite"
    if not target.exists():
        _build(file, target, progress or Reporter(file.name))
    _remember(file, target)
    return _read(target, file)


def known_indexes() -> list[Index]:
    """Indexes of files that are still as they were when they were read, by name of the file."""
    found = []
    for note in sorted(_folder().glob("*.json")) if _folder().is_dir() else ():
        try:
            about = json.loads(note.read_text(encoding="utf-8"))
            file, target = Path(about["file"]), _folder() / about["index"]
            if about["stamp"] == _stamp(file) and target.exists() and f"-v{VERSION}." in target.name:
                found.append(_read(target, file))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the file is gone, or the note is of another version: both mean that it must be read anew
    return sorted(found, key=lambda index: index.file)


class Reporter:
    """Says on stderr how far the reading is, where somebody watches."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, count: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\rReading {self.name} for the first time: {count:,} features ")
            sys.stderr.flush()

    def close(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


def _build(file: Path, target: Path, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".part{os.getpid()}")
    scratch = target.with_suffix(f".nodes{os.getpid()}")
    losses = Losses()
    is_geojson = file.name.lower().endswith(".geojson")
    features = read_geojson(file, losses) if is_geojson else read_extract(file, losses, scratch)
    try:
        with closing(sqlite3.connect(partial)) as db:
            db.executescript(_SCHEMA)
            counts = _fill(db, features, losses, progress)
            west, east, south, north = db.execute(
                "SELECT min(west), max(east), min(south), max(north) FROM box"
            ).fetchone()
            box = None if west is None else [max(-180, west), max(-90, south), min(180, east), min(90, north)]
            about = {"covers": box, "named": counts[0], "unnamed": counts[1], "losses": losses.lines()}
            db.executemany("INSERT INTO about VALUES (?, ?)", [(k, json.dumps(v)) for k, v in about.items()])
            db.commit()
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
        if isinstance(progress, Reporter):
            progress.close()


def _fill(db: sqlite3.Connection, features: Iterator[Feature], losses: Losses, progress: Progress) -> tuple[int, int]:
    named = unnamed = 0
    for number, feature in enumerate(features, 1):
        row = (number, feature.osm, feature.name, json.dumps(dict(feature.tags), ensure_ascii=False), feature.shape.wkb)
        if not db.execute("INSERT OR IGNORE INTO feature VALUES (?, ?, ?, ?, ?)", row).rowcount:
            losses.add("elements that came twice, the second of which was left out", feature.osm)
            continue
        # Over the antimeridian a feature has two boxes; the numbers of its boxes are 2n and 2n + 1.
        for side, (west, south, east, north) in enumerate(bbox(feature.shape).parts()):
            db.execute("INSERT INTO box VALUES (?, ?, ?, ?, ?)", (2 * number + side, west, east, south, north))
        named += bool(feature.name)
        unnamed += not feature.name
        if number % _BATCH == 0:
            db.commit()
            progress(number)
    return named, unnamed


def _feature(row: tuple[str, str, bytes]) -> Feature:
    import shapely

    return Feature(row[0], json.loads(row[1]), shapely.from_wkb(row[2]))


def _touching(db: sqlite3.Connection, box: BBox) -> set[int]:
    """The numbers of features whose boxes touch a box; a feature over the antimeridian has two."""
    where = "SELECT id FROM box WHERE west <= ? AND east >= ? AND south <= ? AND north >= ?"
    return {
        number // 2
        for west, south, east, north in box.parts()
        for (number,) in db.execute(where, (east, west, north, south))
    }


def _read(path: Path, file: Path) -> Index:
    try:
        with closing(_opened(path)) as db:
            about = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM about")}
    except sqlite3.DatabaseError as error:
        raise RsragError(f"the index {path} is damaged ({error}).", "Delete it; it is made again.") from error
    covers = BBox(*about["covers"]) if about["covers"] else None
    return Index(path, file, covers, about["named"], about["unnamed"], tuple(about["losses"]))


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)


def _folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("rsrag")) / "osm"


def _stamp(file: Path) -> list[int]:
    about = file.stat()
    return [about.st_size, about.st_mtime_ns]


def _remember(file: Path, target: Path) -> None:
    """Note which index belongs to a file as it is now, so that it need not be read to know its digest."""
    name = hashlib.blake2b(os.fsencode(file), digest_size=12).hexdigest()
    note = _folder() / f"{name}.json"
    about: dict[str, Any] = {"file": str(file), "index": target.name, "stamp": _stamp(file)}
    partial = note.with_suffix(f".part{os.getpid()}")
    partial.write_text(json.dumps(about), encoding="utf-8")
    partial.replace(note)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
