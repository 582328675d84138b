"""A knowledge base as plain files: what it holds, with its vectors bit by bit, for another machine or another program.

    manifest.json    format, who wrote it and when, encoders, counts, and the SHA-256 of every other file
    sources.jsonl    one source a line: name, kind, role, root, licence, options
    records.jsonl    one record a line, with its chunks and facts, ordered by source and id
    vectors/SPACE.npy    float32 (n, dim); row i belongs to line i of vectors/SPACE.txt, a content hash
    previews/HASH.jpg    previews of images

The same content gives the same bytes in every file but the manifest. Nothing in it is code, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, UsageError
from .filesystem import require_room, size_of
from .spaces import SPACES

if TYPE_CHECKING:
    from .knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]

FORMAT = 1
SOURCE = ("name", "kind", "role", "root", "license", "options", "added", "updated")
RECORD = (
    "source", "id", "subject", "title", "aliases", "url", "license", "attribution", "facets", "west", "south", "east",
    "north", "acquired", "version", "vectors", "acquired_until", "months", "local_months",
)  # fmt: skip
CHUNK = ("id", "kind", "part", "ordinal", "text", "image", "page", "heading", "content_hash")
FACT = ("subject", "attribute", "value", "number", "unit", "whenn")
ROWS = 2048


def export(
    kb: KnowledgeBase, folder: Path, sources: Sequence[str] | None = None, progress: Progress | None = None
) -> dict[str, int]:
    """Write everything, or some sources, into a new folder; returns counts of records, chunks, vectors and previews.

    Raises `UsageError` for an unknown source or a folder that exists, `StoreError` where it cannot be written; what
    was begun is removed then.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists already.", "Choose a folder that does not.")
    names = kb.catalog.source_names()
    if unknown := [name for name in sources or () if name not in names]:
        raise UsageError(f"there is no source called '{unknown[0]}'.", f"There are: {', '.join(names) or 'none'}.")
    # The vectors once, and what belongs to them; the previews, unless only some sources are asked for.
    previews = 0 if sources else size_of(kb.path / "previews")
    require_room(folder.parent, kb.catalog.path.stat().st_size + previews, "the export")
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for part in (partial, partial / "vectors", partial / "previews"):
            part.mkdir(parents=True)
        # A state, not a mixture of two; what may only be read does not change.
        with nullcontext() if kb.catalog.read_only else kb.writer():
            counts = _write(kb, partial, sorted(sources or names), progress)
        partial.replace(folder)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}).", "Check disk space and permissions."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return counts


def _write(kb: KnowledgeBase, folder: Path, sources: list[str], progress: Progress | None) -> dict[str, int]:
    db = kb.catalog.db
    marks = ",".join("?" * len(sources))
    rows = db.execute(f"SELECT {','.join(SOURCE)} FROM sources WHERE name IN ({marks}) ORDER BY name", sources)
    _write_lines(folder / "sources.jsonl", (dict(zip(SOURCE, row, strict=True)) for row in rows.fetchall()))
    counts = {"records": 0, "chunks": 0, "vectors": 0, "previews": 0}
    total = db.execute(f"SELECT count(*) FROM records WHERE source IN ({marks})", sources).fetchone()[0]

    told = "SELECT terms, model FROM terms WHERE content_hash = ?"

    def records() -> Iterator[dict[str, Any]]:
        # One walk over records, chunks and facts side by side, all in the order of the records.
        chunks = _of_records(db, "chunks", CHUNK, "x.kind, x.part, x.ordinal, x.id", marks, sources)
        facts = _of_records(db, "facts", FACT, "x.rowid", marks, sources)
        order = f"""SELECT r.rowid, {",".join(f"r.{column}" for column in RECORD)},
                        (SELECT wkb FROM footprints WHERE record = r.rowid),
                        (SELECT max(weight) FROM names WHERE record = r.rowid)
                    FROM records r WHERE r.source IN ({marks}) ORDER BY r.source, r.id"""
        enriched = db.execute("SELECT 1 FROM terms LIMIT 1").fetchone()
        for rowid, *row, outline, weight in db.execute(order, sources):
            record = dict(zip(RECORD, row, strict=True))
            record |= {"chunks": chunks(rowid), "facts": facts(rowid)}
            for chunk in record["chunks"] if enriched else ():
                if said := db.execute(told, (chunk["content_hash"],)).fetchone():
                    chunk |= dict(zip(("terms", "model"), said, strict=True))
            record |= {"footprint": outline.hex() if outline else None, "weight": weight}
            counts["records"] += 1
            counts["chunks"] += len(record["chunks"])
            if progress and (counts["records"] % 500 == 0 or counts["records"] == total):
                progress(counts["records"], total, "records")
            yield record

    _write_lines(folder / "records.jsonl", records())
    wanted = f"""IN (SELECT c.content_hash FROM chunks c JOIN records r ON r.rowid = c.record
                 WHERE r.source IN ({marks}))"""
    spaces = {}
    for name, (encoder, spec, dim, nulls) in kb.catalog.spaces().items():
        held = f"FROM vectors WHERE space = ? AND content_hash {wanted} ORDER BY content_hash"
        hashes = [row[0] for row in db.execute(f"SELECT content_hash {held}", (name, *sources))]
        rows = db.execute(f"SELECT vector {held}", (name, *sources))
        _write_vectors(folder / "vectors", name, hashes, rows, dim)
        counts["vectors"] += len(hashes)
        spaces[name] = {"encoder": encoder, "spec": spec, "dim": dim, "nulls": nulls, "vectors": len(hashes)}
    query = f"SELECT DISTINCT content_hash FROM chunks WHERE kind = 'image' AND content_hash {wanted}"
    for (digest,) in db.execute(query, sources):
        preview = kb.preview_path(digest)
        if preview.exists():
            shutil.copyfile(preview, folder / "previews" / preview.name)
            counts["previews"] += 1
    manifest = {
        "format": FORMAT,
        "made_by": f"rsrag {version('rsrag')}",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "store": kb.path.name,
        "spaces": spaces,
        "counts": counts,
        "files": {name: _sha256(folder / name) for name in _listed(folder)},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    return counts


def _of_records(
    db: sqlite3.Connection, table: str, columns: Sequence[str], order: str, marks: str, sources: Sequence[str]
) -> Callable[[int], list[dict[str, Any]]]:
    """A function that gives the rows of a record, called for every record in the order of source and id."""
    rows = db.execute(
        f"""SELECT x.record, {",".join(f"x.{column}" for column in columns)}
            FROM records r CROSS JOIN {table} x ON x.record = r.rowid
            WHERE r.source IN ({marks}) ORDER BY r.source, r.id, {order}""",
        sources,
    )
    ahead = next(rows, None)

    def of(record: int) -> list[dict[str, Any]]:
        nonlocal ahead
        found = []
        while ahead is not None and ahead[0] == record:
            found.append(dict(zip(columns, ahead[1:], strict=True)))
            ahead = next(rows, None)
        return found

    return of


def _write_lines(path: Path, items: Iterator[dict[str, Any]]) -> None:
    encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for item in items:
            stream.write(encode(item) + "\n")


def _write_vectors(folder: Path, space: str, hashes: list[str], vectors: sqlite3.Cursor, dim: int) -> None:
    import numpy as np

    (folder / f"{space}.txt").write_text("".join(f"{digest}\n" for digest in hashes), encoding="ascii")
    if not hashes:
        np.save(folder / f"{space}.npy", np.empty((0, dim), np.float32), allow_pickle=False)
        return
    rows = np.lib.format.open_memmap(folder / f"{space}.npy", "w+", np.float32, (len(hashes), dim))
    for start in range(0, len(hashes), ROWS):
        part = b"".join(blob for (blob,) in vectors.fetchmany(ROWS))
        rows[start : start + ROWS] = np.frombuffer(part, np.float32).reshape(-1, dim)
    rows.flush()


def _listed(folder: Path) -> list[str]:
    spaces = [f"vectors/{space}.{kind}" for space in SPACES for kind in ("npy", "txt")]
    listed = ["sources.jsonl", "records.jsonl", *spaces]
    listed += sorted(f"previews/{p.name}" for p in (folder / "previews").glob("*.jpg"))
    return [name for name in listed if (folder / name).exists()]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
