"""The knowledge base: a folder with a catalog (the truth), a vector index and previews of images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, UsageError
from ..plugins import Plugins
from ..types import Chunk, IngestReport, PathLike
from . import erasure
from .catalog import Catalog, StoredSource
from .filesystem import warn_of_network
from .index import IndexDamaged
from .indexes import index_of
from .lock import WriterLock
from .mending import mend, settle_on_open
from .portable import export
from .portable_in import import_
from .rebuild import rebuild
from .roots import resolve
from .search import Searches
from .snapshots import Snapshot, before_change, keep_preview, take
from .spaces import SPACES, Spaces
from .verify import Verdict, verify

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

    from ..interfaces import Encoder, TextEncoder
    from ..reencode import Reencoded


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What `rsrag kb info` shows."""

    path: Path
    sources: tuple[StoredSource, ...]
    records: int
    chunks: int
    facts: int
    spaces: tuple[tuple[str, str, int, int], ...]  # name, encoder id, dim, vectors
    settled: bool
    index: str  # the folder of the vector index, or its server and id there


class KnowledgeBase(Searches):
    """A knowledge base in a folder, made on first use.

    `encoder` maps images and texts into one space (default: what the store was made with, else "starter");
    `text_encoder` compares texts with texts (default: the encoder's own text side where it was trained for that,
    else "starter"). Both are names or instances. `wait` is how many seconds a second writer waits for the first.
    `store` is the address of a Chroma server that holds the vectors of a new knowledge base, `store_token_env` the
    environment variable with its token; see `rsrag.store.indexes.index_of`.
    Safe to use from several threads. Raises `StoreError` when the folder holds something else or was made with
    other weights.
    """

    def __init__(
        self,
        path: PathLike,
        encoder: str | Encoder | None = None,
        text_encoder: str | TextEncoder | None = None,
        *,
        plugins: Plugins | None = None,
        create: bool = True,
        wait: float = 30.0,
        encoder_options: dict[str, Any] | None = None,
        store: str = "",
        store_token_env: str = "",
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self.plugins = plugins or Plugins()
        self.wait = wait
        if create:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"the folder {self.path} cannot be made ({error.strerror}).", "Choose one that you can write to."
                ) from error
        self.catalog = Catalog(self.path / "catalog.sqlite", create=create)
        try:
            self.index = index_of(self.catalog, store, store_token_env)
            self.spaces = Spaces(self.catalog, self.plugins, encoder, text_encoder, encoder_options, self.path)
            super().__init__()
            if encoder is not None or text_encoder is not None:
                self.spaces.check()
            settle_on_open(self)
        except BaseException:
            self.catalog.close()
            raise

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release files. The knowledge base cannot be used afterwards."""
        self.index.close()
        erasure.blank_memory(self)
        self.catalog.close()

    @property
    def encoder(self) -> Encoder:
        """The joint encoder of images and texts, made on first use."""
        return self.spaces.joint

    @property
    def text_encoder(self) -> TextEncoder:
        """The encoder that compares texts with texts."""
        return self.spaces.text

    # -- writing ----------------------------------------------------------------------------------

    def add(
        self,
        what: Any,
        *,
        source: str = "",
        kind: str = "",
        captioner: Any = None,
        progress: Callable[[int, int | None, str], None] | None = None,
        dry_run: bool = False,
        prune: bool = False,
        **options: Any,
    ) -> IngestReport:
        """Add a path, a source (name or instance) or a LangChain loader; see `rsrag.ingest.add`.

        Doing it twice changes nothing. `source` is the name it goes by (default: the folder's, say), `kind` a
        kind of source where guessing is not wanted, `options` that source's options. `progress` is called with
        (records done, records in all or None, what is being done). `prune` removes what the source no longer yields.
        """
        from ..ingest import add

        return add(
            self,
            what,
            source=source,
            kind=kind,
            captioner=captioner,
            progress=progress,
            dry_run=dry_run,
            prune=prune,
            **options,
        )

    @contextmanager
    def writer(self) -> Iterator[None]:
        """The right to write. Waits up to `self.wait` seconds for another writer, then sees what that one wrote:
        a Chroma client from before would write over it."""
        with WriterLock(self.path / "writer.lock", self.wait) as lock:
            warn_of_network(self.path)
            if lock.abandoned:
                self.catalog.set_meta("compare", "rows")  # by the next opening; the lock says it no longer
            self._refresh()
            yield

    def before_change(self) -> None:
        """Keep a copy of the catalog before it changes, unless the last is recent. The caller holds `writer()`.

        Raises `StoreError`, before anything is written, when the catalog is damaged.
        """
        before_change(self)

    def settle(self) -> None:
        """Bring Chroma up to date with the catalog. Safe to repeat, and to interrupt. The caller holds `writer()`."""
        try:
            self._send()
        except IndexDamaged as error:
            self._mend(error)
        self._generation = self.catalog.generation()

    def _send(self) -> None:
        import numpy as np

        for space in SPACES:
            while rows := self.catalog.outbox.pending(space, 2048):
                self.index.put(space, [digest for _, digest, _ in rows], np.stack([vector for *_, vector in rows]))
                self.catalog.outbox.mark_sent([rowid for rowid, *_ in rows])
            if gone := self.catalog.outbox.departed(space):
                self.index.remove(space, gone)
                if space == "images":
                    self.drop_previews(gone)
                self.catalog.outbox.forget(space, gone)

    def drop_previews(self, hashes: Sequence[str]) -> None:
        """Remove the previews of images that are gone, as far as no snapshot needs them."""
        for digest in hashes:
            keep_preview(self.path, self.preview_path(digest))

    def _mend(self, error: IndexDamaged) -> None:
        mend(self, error)

    def rebuild(self, progress: Callable[[int, int | None, str], None] | None = None) -> int:
        """Make the vector index anew from the catalog, embedding nothing; returns the number of vectors.

        Readers keep the old index until the new one is whole. An interrupted run is resumed by doing it again.
        """
        with self.writer():
            self.catalog.vectors.retire()
            count = rebuild(self, progress)
        self.index.close()
        erasure.blank_memory(self)
        return count

    def reencode(
        self,
        encoder: str | Encoder | None = None,
        text_encoder: str | TextEncoder | None = None,
        *,
        skip_missing: bool = False,
        progress: Callable[[int, int | None, str], None] | None = None,
    ) -> Reencoded:
        """Make the vectors anew with other encoders, or with newer weights of the same; see `rsrag.reencode`.

        Searches go on with the old vectors until the new ones are complete; then everybody changes over at once, and
        the old ones are removed. Interrupted, it goes on where it was. An image is encoded from its original, else
        from its preview. Raises `UsageError`, before anything is encoded, where neither is there; `skip_missing` takes
        such images out of the store instead.
        """
        from ..reencode import reencode

        return reencode(self, encoder, text_encoder, skip_missing=skip_missing, progress=progress)

    def snapshot(self, name: str) -> Snapshot:
        """Keep a copy of the catalog under a name; see `rsrag.store.snapshots`."""
        return take(self, name)

    def export(
        self,
        folder: PathLike,
        *,
        sources: Sequence[str] | None = None,
        progress: Callable[[int, int | None, str], None] | None = None,
    ) -> dict[str, int]:
        """Write what it holds as plain files into a new folder; see `rsrag.store.portable`."""
        return export(self, Path(folder), sources, progress)

    def import_(
        self, folder: PathLike, *, progress: Callable[[int, int | None, str], None] | None = None
    ) -> dict[str, int]:
        """Take in what `export` wrote; see `rsrag.store.portable_in`."""
        return import_(self, Path(folder), progress)

    def verify(self, *, repair: bool = False, samples: int = 100) -> Verdict:
        """Compare catalog, vector index and previews; see `rsrag.store.verify.verify`."""
        return verify(self, repair=repair, samples=samples)

    def delete(self, source: str, progress: Callable[[int, int | None, str], None] | None = None) -> int:
        """Remove a source with everything that came from it; returns the number of records removed.

        It is gone from every file, automatic backups included; see `rsrag.store.erasure`. What keeps it all the same
        (a snapshot with a name) is told. Interrupted, the next opening goes on.
        """
        if source not in {s.name for s in self.catalog.sources()}:
            names = ", ".join(s.name for s in self.catalog.sources()) or "none"
            raise UsageError(f"there is no source called '{source}'.", f"There are: {names}.")
        with self.writer():
            count = erasure.begin(self, source)
            erasure.finish(self, progress)
            self.spaces.learn_nulls()
        return count

    # -- reading ----------------------------------------------------------------------------------

    def get(self, id: str) -> Chunk | None:
        """A chunk by its id or by an unambiguous beginning of it (at least 6 characters)."""
        found = self.catalog.chunks.where("c.id = ?", (id,))
        if not found and len(id) >= 6 and re.fullmatch(r"[0-9a-f]+", id):
            found = self.catalog.chunks.where("c.id >= ? AND c.id < ?", (id, id + "g"), "LIMIT 2")
        return found[0] if len(found) == 1 else None

    def sources(self) -> list[StoredSource]:
        """What has been added, reference packs first."""
        return self.catalog.sources()

    def info(self) -> StoreInfo:
        counts = self.catalog.vectors.counts()
        return StoreInfo(
            self.path,
            tuple(self.catalog.sources()),
            self.catalog.count("records"),
            len(self),
            self.catalog.count("facts"),
            tuple((n, v[0], v[2], counts.get(n, 0)) for n, v in self.catalog.spaces().items()),
            self.catalog.outbox.is_settled(),
            self.index.where,
        )

    def preview_path(self, content_hash: str) -> Path:
        """Where the preview of an image (JPEG, at most 512 px) is kept."""
        return self.path / "previews" / content_hash[:2] / f"{content_hash}.jpg"

    def image_path(self, chunk: Chunk) -> Path | None:
        """The original of an image chunk where it still exists, else its preview, else None."""
        root = self.catalog.roots().get(chunk.provenance.source, "")
        original = resolve(root, chunk.image)
        if original is not None and original.exists():
            return original
        preview = self.preview_path(chunk.content_hash)
        return preview if preview.exists() else None

    # -- LangChain --------------------------------------------------------------------------------

    def as_langchain_retriever(self, k: int = 4, **filters: Any) -> BaseRetriever:
        """This knowledge base as a LangChain retriever that yields `k` documents; see `rsrag.langchain`."""
        from ..langchain import KnowledgeRetriever

        return KnowledgeRetriever(kb=self, k=k, filters=filters)
