"""Taking in what `portable.export` wrote: checked whole before anything is written, merged record by record."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, UsageError
from . import lexical
from .filesystem import write_whole
from .filters import as_number, facet_values
from .portable import CHUNK, FACT, FORMAT, RECORD, SOURCE, Progress, _sha256
from .spaces import SPACES
from .words import spellings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .knowledge_base import KnowledgeBase

BATCH = 256
_HASH = re.compile(r"[0-9a-f]{32}")
_LISTED = re.compile(r"(sources|records)\.jsonl|vectors/(images|names|texts)\.(npy|txt)|previews/[0-9a-f]{32}\.jpg")


def import_(kb: KnowledgeBase, folder: Path, progress: Progress | None = None) -> dict[str, int]:
    """Merge an exported folder into a knowledge base; returns counts of records added, updated and unchanged.

    A record that is there in the same version is left; one in another version is replaced. The vectors are taken as
    they are. Safe to repeat, and resumed by doing it again. Raises `UsageError` when the folder is no export or a
    source's name belongs to another root here, `StoreError` when a file is damaged or other encoders made the vectors.
    """
    manifest = _manifest(folder)
    _check_files(folder, manifest["files"])
    vectors = _vectors(folder, manifest["spaces"])
    counts = {"added": 0, "updated": 0, "unchanged": 0, "vectors": 0}
    with kb.writer():
        sources = list(_lines(folder / "sources.jsonl"))
        _check_sources(kb, sources)
        _check_spaces(kb, manifest["spaces"])
        kb.before_change()
        try:
            _merge(kb, folder, manifest, vectors, counts, progress)
        except (KeyError, TypeError, sqlite3.IntegrityError, sqlite3.InterfaceError) as error:
            raise StoreError(
                f"{folder} holds a record that cannot be stored ({type(error).__name__}: {error}).",
                "What came before it is kept; export it again where it comes from.",
            ) from error
        finally:
            kb.catalog.vectors.retire()
            kb.settle()
        kb.spaces.learn_nulls()
    return counts


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        made, spaces, files = manifest["format"], dict(manifest["spaces"]), dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} is no export of a knowledge base.", "`rsrag kb export` makes one.") from error
    if made != FORMAT:
        raise UsageError(f"{folder} has format {made}; this rsrag reads {FORMAT}.", "Use a newer rsrag.")
    if odd := [name for name in files if not _LISTED.fullmatch(name)] + [name for name in spaces if name not in SPACES]:
        raise UsageError(f"the manifest of {folder} names '{odd[0]}', which no export holds.", "Do not import it.")
    return dict(manifest)


def _check_files(folder: Path, files: dict[str, str]) -> None:
    for name in ("sources.jsonl", "records.jsonl", *files):
        path = folder / name
        if path.is_symlink() or not path.is_file() or _sha256(path) != files.get(name):
            raise StoreError(f"{path} is missing or damaged.", "Copy the export again; nothing was imported.")


def _vectors(folder: Path, spaces: dict[str, Any]) -> dict[str, tuple[dict[str, int], NDArray[np.float32]]]:
    """space -> (content hash -> row, rows), the rows left on disk."""
    import numpy as np

    found = {}
    for space, about in spaces.items():
        hashes = (folder / "vectors" / f"{space}.txt").read_text(encoding="ascii").splitlines()
        rows = np.load(folder / "vectors" / f"{space}.npy", mmap_mode="r" if hashes else None, allow_pickle=False)
        if rows.dtype != np.float32 or rows.shape != (len(hashes), about["dim"]):
            raise StoreError(f"the vectors of {space} in {folder} have another shape than their list.", "Export again.")
        found[space] = ({digest: row for row, digest in enumerate(hashes)}, rows)
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                item = json.loads(line)
            except ValueError as error:
                raise StoreError(f"{path}:{number} is no JSON ({error}).", "Export again.") from error
            yield item


def _check_sources(kb: KnowledgeBase, sources: Sequence[dict[str, Any]]) -> None:
    present = kb.catalog.roots()
    for source in sources:
        name, root = source["name"], source["root"]
        if present.get(name, root) != root:
            raise UsageError(
                f"the source name '{name}' already belongs to {present[name]} here, and to {root} in the export.",
                "Take one of them out, or import into another knowledge base: --kb NAME.",
            )


def _check_spaces(kb: KnowledgeBase, spaces: dict[str, Any]) -> None:
    known = kb.catalog.spaces()
    for space, about in spaces.items():
        if space not in known:
            kb.catalog.set_space(space, about["encoder"], about["spec"], about["dim"])
        elif known[space][0] != about["encoder"]:
            raise StoreError(
                f"the export's {space} were made by encoder {about['encoder']}, those of {kb.path} by "
                f"{known[space][0]}; their vectors cannot be compared.",
                "Import it into a knowledge base of its own: --kb NAME.",
            )
    kb.spaces.reload()


def _merge(
    kb: KnowledgeBase,
    folder: Path,
    manifest: dict[str, Any],
    vectors: dict[str, tuple[dict[str, int], NDArray[np.float32]]],
    counts: dict[str, int],
    progress: Progress | None,
) -> None:
    with kb.catalog.write() as db:
        for source in _lines(folder / "sources.jsonl"):
            marks = ",".join("?" * len(SOURCE))
            db.execute(f"INSERT OR IGNORE INTO sources VALUES ({marks})", [source[column] for column in SOURCE])
            origin = {key: manifest.get(key, "") for key in ("made_by", "made", "store")}
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"imported:{source['name']}", json.dumps(origin)))
    versions: dict[str, dict[str, str]] = {}
    batch: list[dict[str, Any]] = []
    total = manifest.get("counts", {}).get("records")
    for done, record in enumerate(_lines(folder / "records.jsonl"), 1):
        _check_record(record)
        source = record["source"]
        if source not in versions:
            versions[source] = kb.catalog.records.versions(source)
        known = versions[source].get(record["id"])
        if known == record["version"]:
            counts["unchanged"] += 1
        else:
            counts["added" if known is None else "updated"] += 1
            batch.append(record)
        if len(batch) >= BATCH:
            _put(kb, folder, batch, vectors, counts)
            batch = []
        if progress and done % BATCH == 0:
            progress(done, total, "records")
    if batch:
        _put(kb, folder, batch, vectors, counts)


def _check_record(record: dict[str, Any]) -> None:
    """Raises `StoreError` for what could reach outside the knowledge base."""
    for chunk in record["chunks"]:
        image = chunk["image"]
        outside = "://" not in image and (image.startswith(("/", "~")) or ".." in Path(image).parts)
        if outside or not _HASH.fullmatch(chunk["content_hash"]):
            raise StoreError(
                f"the export's record '{record['id']}' names {image!r}, which no export does.", "Leave it."
            )


def _put(
    kb: KnowledgeBase,
    folder: Path,
    batch: Sequence[dict[str, Any]],
    vectors: dict[str, tuple[dict[str, int], NDArray[np.float32]]],
    counts: dict[str, int],
) -> None:
    """Previews first, then one transaction: what is acknowledged is whole."""
    hashes = {chunk["content_hash"] for record in batch for chunk in record["chunks"]}
    for digest in hashes:
        given, place = folder / "previews" / f"{digest}.jpg", kb.preview_path(digest)
        if given.exists() and not place.exists():
            write_whole(place, given.read_bytes())
    with kb.catalog.write() as db:
        for record in batch:
            kb.catalog.records.drop(db, "source = ? AND id = ?", (record["source"], record["id"]))
            _insert(db, record)
        for space, (places, rows) in vectors.items():
            new = [(space, digest, rows[places[digest]].tobytes()) for digest in sorted(hashes) if digest in places]
            before = db.total_changes
            db.executemany("INSERT OR IGNORE INTO vectors (space, content_hash, vector) VALUES (?, ?, ?)", new)
            counts["vectors"] += db.total_changes - before
            db.executemany("DELETE FROM departed WHERE space = ? AND content_hash = ?", [row[:2] for row in new])
        db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")


def _insert(db: sqlite3.Connection, record: dict[str, Any]) -> None:
    """A record as its row was, with what the catalog derives from it."""
    marks = ",".join("?" * len(RECORD))
    rowid = db.execute(
        f"INSERT INTO records ({','.join(RECORD)}) VALUES ({marks})", [record[column] for column in RECORD]
    ).lastrowid
    assert rowid is not None
    for table, columns, rows in (("chunks", CHUNK, record["chunks"]), ("facts", FACT, record["facts"])):
        db.executemany(
            f"INSERT INTO {table} (record,{','.join(columns)}) VALUES (?,{','.join('?' * len(columns))})",
            [(rowid, *(row[column] for column in columns)) for row in rows],
        )
    said = [(c["content_hash"], c["terms"], c["model"]) for c in record["chunks"] if "terms" in c]
    db.executemany("INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", said)
    lexical.put(db, rowid)
    aliases = record["aliases"].split(" | ") if record["aliases"] else []
    weight = record["weight"] or 0.0
    db.executemany(
        "INSERT OR IGNORE INTO names VALUES (?, ?, ?)",
        [(name, rowid, weight) for name in spellings(record["title"], aliases)],
    )
    facets = json.loads(record["facets"])
    db.executemany(
        "INSERT INTO facets VALUES (?, ?, ?, ?)",
        [(rowid, key, v, as_number(v)) for key, many in facets.items() for v in facet_values(many)],
    )
    if record["west"] is not None:
        from ..types import BBox

        box = BBox(record["west"], record["south"], record["east"], record["north"])
        db.executemany(
            "INSERT INTO boxes (west, east, south, north, record) VALUES (?, ?, ?, ?, ?)",
            [(w, e, s, n, rowid) for w, s, e, n in box.parts()],
        )
    if record["footprint"]:
        db.execute("INSERT INTO footprints VALUES (?, ?)", (rowid, bytes.fromhex(record["footprint"])))
