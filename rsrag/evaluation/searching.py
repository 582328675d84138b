"""A knowledge base as an evaluation sees it: only the lanes it asks for, and no search run twice.

What the lanes find depends on the question, the store and nothing else: not on the model, nor on how lanes are fused.
So their hits are kept in a file, and a second model, or another point of a sweep, searches nothing anew.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..types import Hit, Query

if TYPE_CHECKING:
    from ..store.knowledge_base import KnowledgeBase

_COMMIT_EVERY = 200


class SearchCache:
    """Hits of earlier searches of one store, as chunk ids with their scores; safe from several threads."""

    def __init__(self, path: Path, kb: KnowledgeBase) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._kb = kb
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS hits (key TEXT PRIMARY KEY, found BLOB) WITHOUT ROWID")
        self._fresh = 0
        self.searched = 0
        """How many searches were not known and had to be run."""

    def close(self) -> None:
        with self._lock:
            self._db.commit()
            self._db.close()

    def hits(self, key: str, search: Callable[[], Sequence[Hit]]) -> list[Hit]:
        """What was found before, else what `search` finds. A search that fails is not remembered."""
        with self._lock:
            row = self._db.execute("SELECT found FROM hits WHERE key = ?", (key,)).fetchone()
        if row and (known := self._read(row[0])) is not None:
            return known
        found = list(search())
        lines = [(h.chunk.id, h.score, {n: list(v) for n, v in h.lanes.items()}, h.z) for h in found]
        data = zlib.compress(json.dumps(lines).encode(), 1)
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO hits VALUES (?, ?)", (key, data))
            self.searched += 1
            self._fresh += 1
            if self._fresh % _COMMIT_EVERY == 0:
                self._db.commit()
        return found

    def _read(self, data: bytes) -> list[Hit] | None:
        lines = json.loads(zlib.decompress(data))
        ids = json.dumps([line[0] for line in lines])
        chunks = {c.id: c for c in self._kb.catalog.chunks.where("c.id IN (SELECT value FROM json_each(?))", (ids,))}
        if any(line[0] not in chunks for line in lines):
            return None
        return [
            Hit(chunks[id], score, {name: (int(rank), raw) for name, (rank, raw) in lanes.items()}, z)
            for id, score, lanes, z in lines
        ]


def fingerprint(query: Query) -> str:
    """What a search depends on, `k` apart: words, pixels, filters, and what is left out."""
    digest = hashlib.blake2b(digest_size=16)
    for scene in query.scenes:
        pixels = scene.rgb(512)
        digest.update(f"{pixels.shape}{scene.bbox}{scene.gsd_m}".encode())
        digest.update(pixels.tobytes())
    said = (query.text, query.task, query.labels, query.near, query.where, sorted(query.exclude))
    digest.update(repr(said).encode())
    return digest.hexdigest()


class RememberedLane:
    """A lane whose hits are kept; everything else about it is the lane's own."""

    def __init__(self, lane: Any, kb: KnowledgeBase, cache: SearchCache, options: str = "") -> None:
        self._lane, self._kb, self._cache, self._options = lane, kb, cache, options
        self.name = lane.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lane, name)

    def retrieve(self, query: Query, kb: Any, k: int) -> list[Hit]:
        """As the lane's own. It sees the whole knowledge base: what a `View` hides is hidden from the vote only."""
        key = f"{self.name}\0{self._options}\0{k}\0{fingerprint(query)}"
        return self._cache.hits(key, lambda: self._lane.retrieve(query, self._kb, k))


class View:
    """A knowledge base in which a scene meets only what the chosen lanes may see.

    The vote on a scene looks at images and names whatever the lanes are; without `image-image` it must not see images,
    without `image-name` no names, and without any lane nothing of what is stored.
    """

    def __init__(self, kb: KnowledgeBase, lanes: Sequence[str], cache: SearchCache) -> None:
        self._kb, self._cache = kb, cache
        self._spaces = {"image-image": "images", "image-name": "names"}
        self._open = {self._spaces[lane] for lane in lanes if lane in self._spaces}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kb, name)

    def __len__(self) -> int:
        return len(self._kb)

    def search_vectors(self, query: Query, space: Any, by: Any, k: int, lane: str = "") -> list[Hit]:
        """As the knowledge base's, and nothing where no chosen lane looks that way."""
        if by != "scene":
            return self._kb.search_vectors(query, space, by, k, lane)
        if space not in self._open:
            return []
        key = f"vote {space} {lane}\0{k}\0{fingerprint(query)}"
        return self._cache.hits(key, lambda: self._kb.search_vectors(query, space, by, k, lane))
