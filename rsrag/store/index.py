"""The vector index: Chroma collections, one per space, filled from the catalog and replaceable by it.

The only module that imports chromadb. A row is an id (content hash) and a vector; texts, facets and everything
else stay in the catalog, which makes writing 7 times faster than with documents and metadata (docs/decisions.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .soundness import index_damage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LOOKS = 3
"""A folder that another process is writing may look damaged for a moment; so often it is looked at."""


class IndexDamaged(StoreError):
    """The folder of the index is missing or damaged, or Chroma fails on it: to be rebuilt from the catalog."""


class VectorIndex:
    """Chroma in a folder. Opened on first use; `reopen()` after another process wrote.

    Its files are looked over before Chroma reads them, since a damaged graph would crash the process. Every method
    raises `IndexDamaged` where they are not sound; only `put` makes a folder that is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._opening: threading.Thread | None = None

    def prepare(self) -> None:
        """Begin to open it in the background: half a second, most of it Chroma's import, while a query is encoded."""
        if self._client is None and self._opening is None:
            # Shared by everything that is imported meanwhile, and not safe to be imported by two threads at once.
            import numpy  # noqa: F401, ICN001

            self._opening = threading.Thread(target=self._open_early, name="open-index", daemon=True)
            self._opening.start()

    def _open_early(self) -> None:
        try:
            self._open()
        except Exception:  # whoever needs it opens it again and gets the error
            self._opening = None

    def _open(self, create: bool = False) -> Any:
        with self._lock:
            if self._client is None:
                if not create or (self.path / "chroma.sqlite3").exists():
                    self._look_over()
                import chromadb
                from chromadb.config import Settings

                with self._calling():
                    self._client = chromadb.PersistentClient(
                        str(self.path), settings=Settings(anonymized_telemetry=False, allow_reset=False)
                    )
            return self._client

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
                self._collections[space] = client.get_or_create_collection(
                    space, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
                )
            return self._collections[space]

    def reopen(self, path: Path | None = None) -> None:
        """Forget what was cached: Chroma keeps one client per path and shows it nothing another process wrote.

        `path` is where the index is from now on, if elsewhere.
        """
        if (opening := self._opening) is not None:
            opening.join()
        with self._lock:
            self.path = path or self.path
            if self._client is not None:
                from chromadb.api.shared_system_client import SharedSystemClient

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
            limit = int(self._open(create=True).get_max_batch_size())
            for start in range(0, len(ids), limit):
                self._collection(space).upsert(
                    ids=list(ids[start : start + limit]), embeddings=vectors[start : start + limit]
                )

    def remove(self, space: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        with self._calling():
            limit = int(self._open().get_max_batch_size())
            for start in range(0, len(ids), limit):
                self._collection(space).delete(ids=list(ids[start : start + limit]))

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
