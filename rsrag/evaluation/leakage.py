"""Keeps an answer from being looked up: what retrieval must not find of the very image that is asked about."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..ingest import PREVIEW_SIDE, pixel_hash
from ..types import Scene
from .fingerprints import VERSION, Fingerprint, Fingerprints, fingerprints
from .samples import Sample

if TYPE_CHECKING:
    from ..store.knowledge_base import KnowledgeBase

log = logging.getLogger("rsrag")
Progress = Callable[[int, int | None, str], None]

REASONS: Final = ("same id", "same pixels", "near-duplicate")


@dataclass(frozen=True, slots=True)
class Excluded:
    """Records that one question must not find: id -> why, the first of `REASONS` that applies."""

    records: dict[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(sorted(self.records))

    def counts(self) -> dict[str, int]:
        """How many for each reason."""
        found = Counter(self.records.values())
        return {reason: found[reason] for reason in REASONS}


class Guard:
    """Finds the records of a knowledge base that hold a question's own image, or were made of it.

    Those whose id is the question's, its image's or what its `meta` calls "record"; those with an image of the same
    pixels; and those with a near-duplicate by perceptual hash. A record is left out as a whole, texts and all, and with
    it what its source keeps as parts of it: "17#figures" with "17".
    Fingerprints of the stored images are computed once and kept in the store's folder, where it can be written.
    """

    def __init__(self, kb: KnowledgeBase, progress: Progress | None = None) -> None:
        rows = kb.catalog.db.execute(
            "SELECT r.id, c.content_hash FROM chunks c JOIN records r ON r.rowid = c.record WHERE c.kind = 'image'"
        ).fetchall()
        self._ids = {id for (id,) in kb.catalog.db.execute("SELECT id FROM records")}
        self._parts: dict[str, list[str]] = {}
        for id in sorted(self._ids):
            if (base := id.partition("#")[0]) != id:
                self._parts.setdefault(base, []).append(id)
        self._records: dict[str, list[str]] = {}
        for record, digest in rows:
            self._records.setdefault(digest, []).append(record)
        known = _fingerprints_of(kb, list(self._records), progress)
        self.unseen = len(self._records) - len(known)
        """How many stored images could not be opened, so that copies of them are not recognised."""
        self._digests = list(known)
        self._known = Fingerprints(list(known.values()))

    def excluded(self, sample: Sample, scenes: Sequence[Scene]) -> Excluded:
        """What the question must not find."""
        found: dict[str, str] = {}
        own = {sample.id, *sample.images, str(sample.meta.get("record") or "")}
        for record in own & self._ids:
            found[record] = REASONS[0]
        for scene in scenes:
            pixels = scene.rgb(PREVIEW_SIDE)
            for record in self._records.get(pixel_hash(pixels), ()):
                found.setdefault(record, REASONS[1])
            for place in self._known.like(fingerprints(pixels, turns=True)):
                for record in self._records[self._digests[place]]:
                    found.setdefault(record, REASONS[2])
        parts = {part: why for record, why in found.items() for part in self._parts.get(record, ())}
        return Excluded(parts | found)


def _fingerprints_of(
    kb: KnowledgeBase, digests: Sequence[str], progress: Progress | None = None
) -> dict[str, Fingerprint]:
    """By content hash, of all stored images that can be seen; what was computed before is read."""
    with closing(_kept_in(kb.path / f"{VERSION}.sqlite")) as db:
        known = {
            digest: Fingerprint(int(bits, 16), (red, green, blue), thumb)
            for digest, bits, red, green, blue, thumb in db.execute("SELECT * FROM images")
        }
        missing = [digest for digest in digests if digest not in known]
        for done, digest in enumerate(missing, 1):
            found = _seen(kb.preview_path(digest))
            if found is not None:
                known[digest] = found
                row = (digest, f"{found.bits:016x}", *found.colour, found.thumb)
                db.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?)", row)
            if progress:
                progress(done, len(missing), "fingerprints")
        db.commit()
    return {digest: known[digest] for digest in digests if digest in known}


def _kept_in(file: Path) -> sqlite3.Connection:
    """The file that keeps fingerprints, in memory only where it cannot be written."""
    columns = "digest TEXT PRIMARY KEY, bits TEXT, red INT, green INT, blue INT, thumb BLOB"
    for place in (str(file), ":memory:"):
        db = sqlite3.connect(place, timeout=30)
        try:
            db.execute(f"CREATE TABLE IF NOT EXISTS images ({columns})")
            db.execute("DELETE FROM images WHERE 0")  # fails where it may not be written
            return db
        except sqlite3.Error as error:
            db.close()
            log.info("fingerprints are not kept in %s: %s", place, error)
    raise AssertionError("a database in memory can be written")


def _seen(preview: Path) -> Fingerprint | None:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(preview) as image:
            return fingerprints(np.asarray(image.convert("RGB")))[0]
    except OSError:
        return None
