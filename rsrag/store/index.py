"""The vector index: Chroma collections, one per space, filled from the catalog and replaceable by it.

Only this module and `index_server` import chromadb. A row is an id (content hash) and a vector; texts, facets and
everything else stay in the catalog, which makes writing 7 times faster than with documents and metadata
(docs/decisions.md).
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .soundness import index_damage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


HNSW = {"space": "cosine", "max_neighbors": 48, "ef_construction": 400, "ef_search": 300}
"""The graph. With Chroma's own 16, 100 and 100 a question in words found 96 % of its ten nearest among 100,000 images,
and some questions none; with these 99.7 %, for three times the work of putting a row in (docs/performance.md)."""

COLLECTION: dict[str, Any] = {"embedding_function": None, "configuration": {"hnsw": HNSW}}
"""How a collection is made. Vectors always come with the rows; none is ever computed by Chroma."""

LOOKS = 3
"""A folder that another process is writing may look damaged for a moment; so often it is looked at."""


_CLIENTS = threading.Lock()
"""Chroma's list of clients is one for the process: none may be made while it is cleared."""


class IndexDamaged(StoreError):
    """The folder of the index is missing or damaged, or Chroma fails on it: to be rebuilt from the catalog."""


class VectorIndex:
    """Chroma in a folder, whose name tells it from older and newer ones beside it ("chroma", "chroma-2").

    Opened on first use; `reopen()` after another process wrote. Its files are looked over before Chroma reads them,
    since a damaged graph would crash the process. Every method raises `IndexDamaged` where they are not sound; only
    `put` makes a folder that is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._opening: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What the catalog calls it."""
        return self.path.name

    @property
    def where(self) -> str:
        """Where its vectors are, for people."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether it was ever begun."""
        return self.path.exists()

    def damage(self, *, deep: bool = False) -> str:
        """What is wrong with what it is stored in, without asking Chroma; "" where nothing is."""
        return index_damage(self.path, deep=deep)

    def can_open(self) -> bool:
        """Whether Chroma can open it at all: it writes even in order to read."""
        return os.access(self.path, os.W_OK) or not self.path.exists()

    def beside(self, name: str) -> VectorIndex:
        """Another index of the same store."""
        return VectorIndex(self.path.with_name(name))

    def discard(self) -> None:
        """Close it and remove it whole."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def keep_only(self, names: Collection[str]) -> None:
        """Remove the indexes of this store that nobody uses any more: all but `names`."""
        for folder in self.path.parent.glob("chroma*"):
            if number_of(folder.name) and folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)

    def prepare(self) -> None:
        """Begin to open it in the background: half a second, most of it Chroma's import, while a query is encoded."""
        if self._client is None and self._opening is None:
            # Shared by everything that is imported meanwhile, and not safe to be imported by two threads at once.
            import numpy  # noqa: F401, ICN001

            with self._lock:
                if self._client is None and self._opening is None:
                    opening = threading.Thread(target=self._open_early, name="open-index", daemon=True)
                    opening.start()  # before others may join it
                    self._opening = opening

    def _open_early(self) -> None:
        try:
            self._open()
        except Exception:  # whoever needs it opens it again and gets the error
            self._opening = None

    def _open(self, create: bool = False) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect(create)
            return self._client

    def _connect(self, create: bool) -> Any:
        if not create or (self.path / "chroma.sqlite3").exists():
            self._look_over()
        import chromadb
        from chromadb.config import Settings

        with self._calling(), _CLIENTS:
            return chromadb.PersistentClient(
                str(self.path), settings=Settings(anonymized_telemetry=False, allow_reset=False)
            )

    def _look_over(self) -> None:
        for look in range(LOOKS):
            if not (why := index_damage(self.path, deep=True)):
                return
            if look + 1 < LOOKS:
                time.sleep(0.1)
        raise self._damaged(why)

    def _damaged(self, why: str) -> IndexDamaged:
        return IndexDamaged(f"the vector index {self.path} {why}.", "`rsrag kb rebuild` makes it anew.")

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """What Chroma raises as `IndexDamaged`; a panic in its core is no `Exception`."""
        try:
            yield
        except (IndexDamaged, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            if "database is locked" in str(error):
                raise StoreError(f"the vector index {self.path} is busy.", "Try again in a moment.") from error
            raise self._damaged(f"cannot be used ({said[:200]})") from error

    def _collection(self, space: str) -> Any:
        client = self._open()
        with self._lock:
            if space not in self._collections:
                self._collections[space] = client.get_or_create_collection(space, **COLLECTION)
            return self._collections[space]

    def reopen(self, name: str = "") -> None:
        """Forget what was cached: Chroma keeps one client per path and shows it nothing another process wrote.

        `name` is the index to use from now on, if another.
        """
        if (opening := self._opening) is not None:
            opening.join()
        with self._lock:
            self.path = self.path.with_name(name or self.name)
            if self._client is not None:
                from chromadb.api.shared_system_client import SharedSystemClient

                with _CLIENTS:
                    SharedSystemClient.clear_system_cache()
                self._client = self._opening = None
                self._collections.clear()

    def close(self) -> None:
        """Let go of its files; the next use opens them again."""
        self.reopen()

    def count(self, space: str) -> int:
        with self._calling():
            return int(self._collection(space).count())

    def ids(self, space: str) -> set[str]:
        """The ids of all rows."""
        with self._calling():
            return set(self._collection(space).get(include=[])["ids"])

    def put(self, space: str, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write rows; an id that exists is replaced. `vectors` is (n, dim)."""
        with self._calling():
            self._open(create=True)
            limit = self._rows_at_once(vectors.shape[1])
            for start in range(0, len(ids), limit):
                self._collection(space).upsert(
                    ids=list(ids[start : start + limit]), embeddings=vectors[start : start + limit]
                )

    def remove(self, space: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        with self._calling():
            limit = self._rows_at_once(0)
            for start in range(0, len(ids), limit):
                self._collection(space).delete(ids=list(ids[start : start + limit]))

    def bytes_for(self, rows: int, dim: int) -> int:
        """About how much room so many rows take on this machine's disk (measured: 712 bytes and 1.25 times each)."""
        return rows * (750 + 5 * dim)

    def _rows_at_once(self, dim: int) -> int:
        """How many rows of `dim` numbers Chroma takes in one call."""
        return int(self._open().get_max_batch_size())

    def query(
        self, space: str, vector: NDArray[np.float32], k: int, ids: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """The `k` nearest (id, cosine), best first; only among `ids` where given. `vector` is (dim,)."""
        if k < 1 or (ids is not None and not ids):
            return []
        among = {"ids": list(ids)} if ids else {}
        with self._calling():
            result = self._collection(space).query(
                query_embeddings=vector[None, :], n_results=k, include=["distances"], **among
            )
        return [(i, 1.0 - float(d)) for i, d in zip(result["ids"][0], result["distances"][0], strict=True)]


def number_of(name: str) -> int:
    """Which of a store's indexes a name means: 1 for "chroma", 2 for "chroma-2"; 0 for what is no such name."""
    found = re.fullmatch(r"chroma(?:-(\d+))?", name)
    return int(found[1] or 1) if found else 0


class ExactIndex:
    """The vectors of a small space in memory, every one of them compared. `rows` is (n, dim), unit length."""

    def __init__(self, ids: Sequence[str], rows: NDArray[np.float32]) -> None:
        self.ids = ids
        self.rows = rows
        self.place = {id: row for row, id in enumerate(ids)}

    def query(self, vector: NDArray[np.float32], k: int, ids: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """The `k` nearest (id, cosine), best first; only among `ids` where given. `vector` is (dim,)."""
        import numpy as np

        if ids is None:
            among, rows = np.arange(len(self.ids)), self.rows
        else:
            among = np.array(sorted(self.place[id] for id in ids if id in self.place), np.intp)
            rows = self.rows[among]
        if k < 1 or not len(among):
            return []
        # Not `rows @ vector`: threads for so little work wait longer for a busy machine than one needs for all of it.
        cosines = np.einsum("ij,j->i", rows, vector)
        best = np.argpartition(-cosines, k - 1)[:k] if k < len(cosines) else np.arange(len(cosines))
        best = best[np.argsort(-cosines[best], kind="stable")]
        return [(self.ids[row], float(cosine)) for row, cosine in zip(among[best], cosines[best], strict=True)]
