"""The vector index on a Chroma server, over HTTP: the same collections, named so that no two stores ever mix."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RsragError, StoreError
from .index import COLLECTION, IndexDamaged, VectorIndex, number_of
from .server import Server

if TYPE_CHECKING:
    import httpx
    import numpy as np
    from numpy.typing import NDArray

CONNECT_S = 5.0
ANSWER_S = 60.0
"""How long a connection may take, and an answer: Chroma's client itself would wait for ever."""

PAYLOAD = 16_000_000
"""Bytes of one request: a server refuses more than 40 MB (its own default)."""

_BYTES_OF_A_NUMBER = 22  # as JSON, at most; about 6 where the server takes base64
_PAGE = 20_000


class ServerUnreachable(StoreError):
    """The server does not answer, or not as a Chroma server. Nothing is wrong with the vectors for that."""


class ServerIndex(VectorIndex):
    """Collections "rsrag-ID-NUMBER-SPACE" on a server; ID is the store's own.

    Another client's rows are seen at once. Methods raise `ServerUnreachable` where the server does not answer,
    `IndexDamaged` where collections that should be there are gone: to be written anew from the catalog.
    """

    def __init__(self, path: Path, server: Server, id: str) -> None:
        super().__init__(path)
        self.server = server
        self.id = id

    @property
    def where(self) -> str:
        return f"{self.server.url} (rsrag-{self.id})"

    def _called(self, space: str) -> str:
        return f"rsrag-{self.id}-{number_of(self.name)}-{space}"

    def exists(self) -> bool:
        return any(number == number_of(self.name) for number, _ in self._own())

    def can_open(self) -> bool:
        return True

    def damage(self, *, deep: bool = False) -> str:
        # Opening a store asks nobody: the first search that needs the server tells.
        return "is missing" if deep and not self.exists() else ""

    def beside(self, name: str) -> ServerIndex:
        return ServerIndex(self.path.with_name(name), self.server, self.id)

    def discard(self) -> None:
        self._drop(number for number, _ in self._own() if number == number_of(self.name))

    def keep_only(self, names: Collection[str]) -> None:
        kept = {number_of(name) for name in names}
        self._drop(number for number, _ in self._own() if number not in kept)

    def _own(self) -> list[tuple[int, str]]:
        """(number of the index, name) of every collection of this store."""
        pattern = re.compile(rf"rsrag-{self.id}-(\d+)-[a-z]+")
        found: list[tuple[int, str]] = []
        with self._calling():
            client, offset = self._open(), 0
            while page := client.list_collections(limit=1000, offset=offset):
                offset += len(page)
                found += [(int(m[1]), c.name) for c in page if (m := pattern.fullmatch(c.name))]
        return found

    def _drop(self, numbers: Iterator[int]) -> None:
        gone = set(numbers)
        with self._calling():
            for number, name in self._own():
                if number in gone:
                    self._open().delete_collection(name)
            self._collections.clear()

    def _connect(self, create: bool) -> Any:
        import chromadb
        import httpx
        from chromadb.config import Settings

        headers = self.server.headers()
        patience = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        with self._calling():
            # First with patience, since the client has none while it is made.
            answer = httpx.get(f"{self.server.url}/api/v2/heartbeat", headers=headers, timeout=patience)
            if answer.status_code in (401, 403):
                raise ServerUnreachable(
                    f"{self.server.url} refuses {'the token' if headers else 'access without a token'}.",
                    f"Check ${self.server.token_env}." if headers else "Name its variable in store_token_env.",
                )
            if answer.status_code != 200 or b"heartbeat" not in answer.content[:200]:
                raise ServerUnreachable(
                    f"{self.server.url} is no Chroma server (it answers with {answer.status_code}).",
                    "Check the address in `store`.",
                )
            client = chromadb.HttpClient(
                host=self.server.url, headers=headers, settings=Settings(anonymized_telemetry=False)
            )
            for session in _sessions(client):
                session.timeout = patience
            return client

    @contextmanager
    def _calling(self) -> Iterator[None]:
        import httpx
        from chromadb.errors import ChromaAuthError, InvalidArgumentError, InvalidDimensionException, NotFoundError

        hint = "Is it running? What was stored is safe in the catalog; try again when it is back."
        try:
            yield
        except RsragError:
            raise
        except NotFoundError as error:
            raise IndexDamaged(
                f"the vectors of {self.path.parent} are not on {self.where} any more.",
                "`rsrag kb rebuild` writes them anew.",
            ) from error
        except (InvalidArgumentError, InvalidDimensionException) as error:  # vectors of another length
            raise IndexDamaged(f"the vectors on {self.where} do not fit ({str(error)[:200]}).") from error
        except ChromaAuthError as error:
            raise ServerUnreachable(f"{self.server.url} refuses the token.", "Check store_token_env.") from error
        except httpx.ConnectError as error:
            raise ServerUnreachable(f"the Chroma server {self.server.url} cannot be reached.", hint) from error
        except httpx.TimeoutException as error:
            raise ServerUnreachable(f"the Chroma server {self.server.url} does not answer in time.", hint) from error
        except httpx.TransportError as error:
            raise ServerUnreachable(f"the Chroma server {self.server.url} broke off ({error}).", hint) from error
        except Exception as error:
            said = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise StoreError(f"the Chroma server {self.server.url} failed ({said[:200]}).", hint) from error

    def _collection(self, space: str) -> Any:
        client = self._open()
        with self._lock:
            if space not in self._collections:
                # Never made by whoever reads: an empty one would answer with nothing.
                self._collections[space] = client.get_collection(self._called(space), embedding_function=None)
            return self._collections[space]

    def _collection_or_none(self, space: str) -> Any:
        from chromadb.errors import NotFoundError

        try:
            return self._collection(space)
        except NotFoundError:
            return None

    def reopen(self, name: str = "") -> None:
        if (opening := self._opening) is not None:
            opening.join()
        with self._lock:
            self._opening = None
            self.path = self.path.with_name(name or self.name)
            self._collections.clear()

    def close(self) -> None:
        self.reopen()
        with self._lock:
            if self._client is not None:
                for session in _sessions(self._client):
                    session.close()
                self._client.close()
                self._client = None

    def count(self, space: str) -> int:
        with self._calling():
            collection = self._collection_or_none(space)
            return int(collection.count()) if collection else 0

    def ids(self, space: str) -> set[str]:
        found: set[str] = set()
        with self._calling():
            collection, offset = self._collection_or_none(space), 0
            while collection and (page := collection.get(include=[], limit=_PAGE, offset=offset)["ids"]):
                found.update(page)
                offset += len(page)
        return found

    def put(self, space: str, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        with self._calling(), self._lock:
            if not self._collection_or_none(space):
                self._collections[space] = self._open().get_or_create_collection(self._called(space), **COLLECTION)
            super().put(space, ids, vectors)

    def remove(self, space: str, ids: Sequence[str]) -> None:
        with self._calling():
            if self._collection_or_none(space):
                super().remove(space, ids)

    def bytes_for(self, rows: int, dim: int) -> int:
        return 0  # the server's disk cannot be seen from here

    def _rows_at_once(self, dim: int) -> int:
        return max(1, min(super()._rows_at_once(dim), PAYLOAD // (_BYTES_OF_A_NUMBER * dim + 64)))


def _sessions(client: Any) -> list[httpx.Client]:
    """What Chroma's client speaks through, and the one of its administrator: no setting reaches their patience, and
    its own `close` leaves them open."""
    return [client._server._session, client._admin_client._server._session]
