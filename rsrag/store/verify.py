"""Whether a knowledge base is whole: the catalog in itself, the vector index against it, and the previews."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .index import IndexDamaged
from .rebuild import compare, rebuild
from .snapshots import snapshots
from .soundness import pages_damage, sqlite_damage
from .spaces import SPACES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .knowledge_base import KnowledgeBase

NEIGHBOURS = 10
NEAR_ENOUGH = 0.5
"""Of the true ten nearest the graph must find this share, over the sample. It is approximate: texts that have little in
common came to 0.8 with nothing wrong (docs/reliability.md); a graph that lost its links finds next to nothing."""

_SAME_COSINE = 1e-4

# What must hold in the catalog: (what is wrong, how to find the rows that are).
_RULES = (
    ("chunks without a record", "FROM chunks WHERE record NOT IN (SELECT rowid FROM records)"),
    ("records without a source", "FROM records WHERE source NOT IN (SELECT name FROM sources)"),
    (
        "passages without a vector",
        """FROM chunks c JOIN records r ON r.rowid = c.record WHERE c.kind = 'text' AND c.part <> 'fact' AND r.vectors
           AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.space = 'texts' AND v.content_hash = c.content_hash)""",
    ),
    (
        "images without a vector",
        """FROM chunks c WHERE c.kind = 'image' AND NOT EXISTS
           (SELECT 1 FROM vectors v WHERE v.space = 'images' AND v.content_hash = c.content_hash)""",
    ),
    (
        "vectors that belong to nothing",
        """FROM vectors v WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = v.content_hash)
           AND v.content_hash NOT IN (SELECT content_hash FROM orphans)""",
    ),
    (
        "vectors of another length than their space",
        "FROM vectors v JOIN spaces s ON s.name = v.space WHERE length(v.vector) <> 4 * s.dim",
    ),
    (
        "passages that the words do not know",
        "FROM chunk_words WHERE rowid NOT IN (SELECT id FROM words_docsize)",
    ),
    ("words of passages that are gone", "FROM words_docsize WHERE id NOT IN (SELECT rowid FROM chunk_words)"),
)


@dataclass(frozen=True, slots=True)
class SpaceCheck:
    """A space in the index against the catalog. `recall` is the share of the true `NEIGHBOURS` nearest of the sampled
    vectors that the index finds, None where nothing was sampled; `strangers` how many sampled rows do not hold the
    catalog's vector."""

    space: str
    vectors: int
    missing: int
    extra: int
    sampled: int = 0
    strangers: int = 0
    recall: float | None = None

    @property
    def ok(self) -> bool:
        near = self.recall is None or self.recall >= NEAR_ENOUGH
        return not (self.missing or self.extra or self.strangers) and near


@dataclass(slots=True)
class Verdict:
    """What `rsrag kb verify` found; `repaired` is what it then did about it."""

    problems: list[str] = field(default_factory=list)
    spaces: list[SpaceCheck] = field(default_factory=list)
    records: int = 0
    chunks: int = 0
    repaired: list[str] = field(default_factory=list)
    beyond_repair: bool = False

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(kb: KnowledgeBase, *, repair: bool = False, samples: int = 100) -> Verdict:
    """Look at everything, and with `repair` mend what can be made from the catalog: index and settling.

    Waits for a writer, since between catalog and index the two differ. What is wrong in the catalog itself is told and
    left: a snapshot has what is lost.
    """
    with nullcontext() if kb.catalog.read_only else kb.writer():
        verdict = Verdict(records=kb.catalog.count("records"), chunks=len(kb))
        verdict.problems += _catalog(kb)
        verdict.problems += _previews(kb)
        verdict.problems += _copies(kb)
        verdict.beyond_repair = bool(verdict.problems)
        # Neighbours are told by the catalog's vectors, so they must be sound.
        mended = _index(kb, verdict, 0 if verdict.beyond_repair else samples)
        if repair and mended and not kb.catalog.read_only:
            verdict.repaired.append(_repair(kb, verdict))
            again = Verdict()
            _index(kb, again, samples)
            verdict.spaces = again.spaces
            verdict.problems = [p for p in verdict.problems if p not in mended] + again.problems
    return verdict


def _catalog(kb: KnowledgeBase) -> Iterator[str]:
    db = kb.catalog.db
    if why := pages_damage(db):
        yield f"catalog: damaged ({why})"
        return
    for what, rows in _RULES:
        if count := db.execute(f"SELECT count(*) {rows}").fetchone()[0]:
            yield f"catalog: {count:,} {what}"
    yield from _odd_vectors(kb)
    if kb.catalog.read_only:
        return  # FTS5 looks through itself by a write that changes nothing
    try:
        with kb.catalog.write():
            db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        yield f"catalog: the index of words is damaged ({error})"


def _odd_vectors(kb: KnowledgeBase) -> Iterator[str]:
    import numpy as np

    for space in SPACES:
        after = odd = 0
        while rows := kb.catalog.vectors.after(space, after, 4096):
            after = rows[-1][0]
            lengths = np.array([float(np.linalg.norm(vector)) for *_, vector in rows])
            odd += int((~(np.abs(lengths - 1) < 1e-3)).sum())
        if odd:
            yield f"catalog: {odd:,} vectors in {space} are not of unit length"


def _previews(kb: KnowledgeBase) -> Iterator[str]:
    hashes = kb.catalog.db.execute("SELECT DISTINCT content_hash FROM chunks WHERE kind = 'image'")
    if lost := sum(not _is_jpeg(kb.preview_path(row[0])) for row in hashes):
        yield f"previews: {lost:,} are missing or cut off; add the images' source again after `rsrag kb remove`"


def _is_jpeg(path: Path) -> bool:
    """Whether a file begins and ends as a JPEG does."""
    try:
        with path.open("rb") as stream:
            begins = stream.read(2) == b"\xff\xd8"
            stream.seek(-2, os.SEEK_END)
            return begins and stream.read(2) == b"\xff\xd9"
    except OSError:  # missing, or empty
        return False


def _copies(kb: KnowledgeBase) -> Iterator[str]:
    for copy in snapshots(kb.path):
        file = kb.path / "snapshots" / copy.name / "catalog.sqlite"
        if why := sqlite_damage(file) if file.exists() else "is missing":
            yield f"snapshot {copy.name}: {why}; remove it: rsrag kb snapshot {copy.name} --remove"


def _index(kb: KnowledgeBase, verdict: Verdict, samples: int) -> list[str]:
    """Compare the index with the catalog; returns the problems it added, all of which can be repaired."""
    found = []
    if not kb.catalog.outbox.is_settled():
        found.append("index: it is behind the catalog")
    counts = kb.catalog.vectors.counts()
    if any(counts.values()) and (why := kb.index.damage(deep=True)):
        found.append(f"index: {why}")
    elif any(counts.values()) and kb.index.can_open():
        try:
            for space in SPACES:
                check = _space(kb, space, samples)
                verdict.spaces.append(check)
                found += _told(check)
        except IndexDamaged as error:
            found.append(f"index: {error.message}")
    verdict.problems += found
    return found


def _told(check: SpaceCheck) -> Iterator[str]:
    for number, what in ((check.missing, "vectors are missing"), (check.extra, "vectors are not in the catalog")):
        if number:
            yield f"index: {number:,} {what} in {check.space}"
    if check.strangers:
        yield f"index: {check.strangers:,} of {check.sampled:,} sampled vectors in {check.space} are others"
    if check.recall is not None and check.recall < NEAR_ENOUGH:
        yield f"index: only {check.recall:.0%} of the nearest neighbours in {check.space} are found"


def _space(kb: KnowledgeBase, space: str, samples: int) -> SpaceCheck:
    present = kb.index.ids(space)
    rows = kb.catalog.db.execute("SELECT content_hash FROM vectors WHERE space = ? ORDER BY content_hash", (space,))
    wanted = [row[0] for row in rows]
    missing, extra = len(set(wanted) - present), len(present - set(wanted))
    if not wanted or missing or extra or not samples:
        return SpaceCheck(space, len(wanted), missing, extra)
    # Hashes are in no order of meaning, so every n-th of them is a sample.
    sampled = wanted[:: -(-len(wanted) // samples)]
    queries = kb.catalog.vectors.of(space, sampled)
    cosines = _cosines(kb, space, list(queries.values()))
    k = min(NEIGHBOURS, len(wanted))
    strangers = hits = 0
    for row, (digest, vector) in enumerate(queries.items()):
        near = kb.index.query(space, vector, k)
        least = cosines[row].min()  # of the true nearest; what is equally near counts as well
        hits += sum(cosine >= least - _SAME_COSINE for _, cosine in near)
        own = kb.index.query(space, vector, 1, ids=[digest])
        strangers += not own or own[0][1] < 1 - _SAME_COSINE
    return SpaceCheck(space, len(wanted), 0, 0, len(queries), strangers, float(hits / (k * len(queries))))


def _cosines(kb: KnowledgeBase, space: str, queries: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The cosines of each query's true nearest, (n, at most NEIGHBOURS), without all vectors in memory at once."""
    import numpy as np

    wanted = np.stack(queries)
    best = np.empty((len(queries), 0), np.float32)
    after = 0
    while rows := kb.catalog.vectors.after(space, after, 8192):
        after = rows[-1][0]
        both = np.concatenate([best, wanted @ np.stack([vector for *_, vector in rows]).T], axis=1)
        best = -np.partition(-both, min(NEIGHBOURS, both.shape[1]) - 1, axis=1)[:, :NEIGHBOURS]
    return best


def _repair(kb: KnowledgeBase, verdict: Verdict) -> str:
    if verdict.spaces and not any(check.strangers or (check.recall or 1) < NEAR_ENOUGH for check in verdict.spaces):
        kb.catalog.vectors.retire()
        given, taken = compare(kb)
        return f"index: {given:,} vectors written again, {taken:,} taken out"
    kb.catalog.vectors.retire()
    return f"index: made anew from the catalog, {rebuild(kb):,} vectors"
