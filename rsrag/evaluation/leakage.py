"""Keeps an answer from being looked up: what retrieval must not find of the very image that is asked about."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..ingest import PREVIEW_SIDE, pixel_hash
from ..types import Scene
from .fingerprints import NEAR, VERSION, Fingerprint, Fingerprints, fingerprints
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
    pixels; and those with a near-duplicate by perceptual hash. A record is left out as a whole, texts and all.
    Fingerprints of the stored images are computed once and kept in the store's folder, where it can be written.
    """

    def __init__(self, kb: KnowledgeBase, near: int = NEAR, progress: Progress | None = None) -> None:
        self._near = near
        rows = kb.catalog.db.execute(
            "SELECT r.id, c.content_hash FROM chunks c JOIN records r ON r.rowid = c.record WHERE c.kind = 'image'"
        ).fetchall()
        self._ids = {id for (id,) in kb.catalog.db.execute("SELECT id FROM records")}
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
            for place in self._known.like(fingerprints(pixels, turns=True), self._near):
                for record in self._records[self._digests[place]]:
                    found.setdefault(record, REASONS[2])
        return Excluded(found)


def _fingerprints_of(
    kb: KnowledgeBase, digests: Sequence[str], progress: Progress | None = None
) -> dict[str, Fingerprint]:
    """By content hash, of all stored images that can be seen; what was computed before is read."""
    file = kb.path / f"{VERSION}.tsv"
    known = _read(file)
    fresh = []
    missing = [digest for digest in digests if digest not in known]
    for done, digest in enumerate(missing, 1):
        found = _seen(kb, digest)
        if found is not None:
            known[digest] = found
            red, green, blue = found.colour
            fresh.append(f"{digest}\t{found.bits:016x}\t{red}\t{green}\t{blue}\t{int(found.plain)}\n")
        if progress:
            progress(done, len(missing), "fingerprints")
    if fresh:
        try:
            with file.open("a", encoding="ascii") as stream:
                stream.writelines(fresh)
        except OSError as error:
            log.info("fingerprints are not kept: %s", error)
    return {digest: known[digest] for digest in digests if digest in known}


def _read(file: Path) -> dict[str, Fingerprint]:
    """Lines that are whole; a run that was killed may have left half a one."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    found = {}
    for line in lines:
        cells = line.split("\t")
        if len(cells) == 6:
            digest, bits, red, green, blue, plain = cells
            found[digest] = Fingerprint(int(bits, 16), (int(red), int(green), int(blue)), plain == "1")
    return found


def _seen(kb: KnowledgeBase, digest: str) -> Fingerprint | None:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(kb.preview_path(digest)) as image:
            return fingerprints(np.asarray(image.convert("RGB")))[0]
    except OSError:
        return None
