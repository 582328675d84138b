"""The knowledge base: a folder with a catalog (the truth), a vector index and previews of images."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..confidence import null_of, z_score
from ..errors import StoreError, UsageError
from ..plugins import Plugins
from ..types import Chunk, Filter, Hit, IngestReport, PathLike, Query, Scene
from .catalog import Batch, Catalog, StoredSource
from .filters import Condition, condition, polygon_keeps
from .index import VectorIndex
from .lock import WriterLock
from .nearness import grown, kilometres
from .words import match_expression

if TYPE_CHECKING:
    import numpy as np
    from langchain_core.retrievers import BaseRetriever
    from numpy.typing import NDArray

    from ..interfaces import Encoder, TextEncoder

log = logging.getLogger("rsrag")

Space = Literal["images", "names", "texts"]
SPACES: tuple[Space, ...] = ("images", "names", "texts")
KIND: dict[str, str] = {"images": "image", "names": "text", "texts": "text"}

FILTER_BY_IDS = 5000
"""Up to so many matching vectors a filter is passed to Chroma as ids; beyond, hits are fetched and dropped."""

_REMEMBERED_QUERIES = 64


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


class KnowledgeBase:
    """A knowledge base in a folder, made on first use.

    `encoder` maps images and texts into one space (default: what the store was made with, else "starter");
    `text_encoder` compares texts with texts (default: the encoder's own text side where it was trained for that,
    else "starter"). Both are names or instances. `wait` is how many seconds a second writer waits for the first.
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
        self.index = VectorIndex(self.path / "chroma")
        self._options = encoder_options or {}
        self._encoder_wish = encoder
        self._text_wish = text_encoder
        self._encoders: dict[str, Any] = {}
        self._checked: set[str] = set()
        self._spaces = self.catalog.spaces()
        self._generation = self.catalog.generation()
        self._remembered: OrderedDict[tuple[Any, ...], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.RLock()
        if encoder is not None or text_encoder is not None:
            self.check_encoders()
        self._settle_on_open()

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release files. The knowledge base cannot be used afterwards."""
        self.index.close()
        self.catalog.close()

    def __len__(self) -> int:
        """How many chunks there are."""
        return self.catalog.count("chunks")

    # -- encoders ---------------------------------------------------------------------------------

    @property
    def encoder(self) -> Encoder:
        """The joint encoder, made on first use."""
        if "images" not in self._encoders:
            wish = self._encoder_wish or self._spec("images") or "starter"
            self._encoders["images"] = self.plugins.resolve("encoder", wish, **self._options_for(wish))
        encoder: Encoder = self._encoders["images"]
        return encoder

    @property
    def text_encoder(self) -> TextEncoder:
        """The encoder that compares texts with texts."""
        if "texts" not in self._encoders:
            wish = self._text_wish or self._spec("texts")
            if wish is None or wish == "same":
                own = self.encoder if self.encoder.text_to_text else None
                self._encoders["texts"] = own or self.plugins.create("encoder", "starter", **self._options_for("starter"))
            else:
                self._encoders["texts"] = self.plugins.resolve("encoder", wish, **self._options_for(wish))
        encoder: TextEncoder = self._encoders["texts"]
        return encoder

    def _options_for(self, wish: Any) -> dict[str, Any]:
        options = self._options.get(wish.partition(":")[0], {}) if isinstance(wish, str) else {}
        return dict(options)

    def _spec(self, space: str) -> str | None:
        return self._spaces[space][1] if space in self._spaces else None

    def encoder_of(self, space: str) -> Encoder | TextEncoder:
        """The encoder of a space, checked against the one that made its vectors."""
        encoder = self.text_encoder if space == "texts" else self.encoder
        if space not in self._checked:
            if space in self._spaces and self._spaces[space][0] != encoder.id:
                raise StoreError(
                    f"{self.path} was made with encoder {self._spaces[space][0]}, not {encoder.id}; "
                    "their vectors cannot be compared.",
                    "Open it with the encoder it was made with, or make a new one: `rsrag kb create NAME --encoder "
                    f"{encoder.name}` and add the sources again.",
                )
            self._checked.add(space)
        return encoder

    def check_encoders(self) -> None:
        """Raise `StoreError` now, rather than at the first search, when the store was made with other weights."""
        for space in self._spaces:
            self.encoder_of(space)

    def declare_spaces(self) -> None:
        """Write down, before the first vector, which encoders made them."""
        for space in SPACES:
            encoder = self.encoder_of(space)
            if space not in self._spaces:
                wish = self._text_wish if space == "texts" else self._encoder_wish
                spec = wish if isinstance(wish, str) else encoder.name
                if space == "texts" and encoder is self.encoder:
                    spec = "same"
                self.catalog.set_space(space, encoder.id, spec, encoder.dim)
        self._spaces = self.catalog.spaces()

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
        **options: Any,
    ) -> IngestReport:
        """Add a path, a source (name or instance) or a LangChain loader; see `rsrag.ingest.add`.

        Doing it twice changes nothing. `source` is the name it goes by (default: the folder's, say), `kind` a
        kind of source where guessing is not wanted, `options` that source's options. `progress` is called with
        (records done, records in all or None, what is being done).
        """
        from ..ingest import add

        return add(
            self, what, source=source, kind=kind, captioner=captioner, progress=progress, dry_run=dry_run, **options
        )

    def writer(self) -> WriterLock:
        """The right to write, as a context manager. Waits up to `self.wait` seconds for another writer."""
        return WriterLock(self.path / "writer.lock", self.wait)

    def write(self, batch: Batch) -> None:
        """Write a batch to the catalog, then bring Chroma up to date. The caller holds `writer()`."""
        self.catalog.prepare_writer()
        self.catalog.put(batch)
        self.settle()

    def settle(self) -> None:
        """Bring Chroma up to date with the catalog. Safe to repeat, and to interrupt."""
        import numpy as np

        for space in SPACES:
            while rows := self.catalog.pending(space, 2048):
                self.index.put(space, [digest for _, digest, _ in rows], np.stack([vector for *_, vector in rows]))
                self.catalog.mark_indexed([rowid for rowid, *_ in rows])
            if gone := self.catalog.departed(space):
                self.index.remove(space, gone)
                self.catalog.forget_departed(space, gone)
        self._generation = self.catalog.generation()

    def _settle_on_open(self) -> None:
        """Finish what an interrupted run left between catalog and Chroma, unless somebody is writing now."""
        if self._spaces and not (self.path / "chroma" / "chroma.sqlite3").exists() and self.catalog.space_counts():
            log.warning("the vector index of %s is missing and is rebuilt from the catalog.", self.path)
            with self.writer():
                self.catalog.unindex_all()
                self.settle()
        elif not self.catalog.is_settled():
            lock = WriterLock(self.path / "writer.lock", 0)
            if lock.try_acquire():
                try:
                    self.settle()
                finally:
                    lock.release()

    def learn_nulls(self) -> None:
        """Measure what unrelated pairs score in each space, so that a cosine can be told from chance."""
        samples = {space: self.catalog.sample_vectors(space, 1000) for space in SPACES}
        asked_by_text = samples["names"] if len(samples["names"]) > 1 else None
        nulls: dict[str, dict[str, tuple[float, float]]] = {
            "images": {"scene": null_of(samples["images"], samples["images"])},
            "names": {"scene": (0.0, 0.0)},
            "texts": {"text": null_of(samples["texts"], samples["texts"])},
        }
        if asked_by_text is not None:
            nulls["images"]["text"] = null_of(asked_by_text, samples["images"])
            nulls["names"] = {"scene": nulls["images"]["text"], "text": null_of(asked_by_text, asked_by_text)}
        for space, values in nulls.items():
            self.catalog.set_nulls(space, values)
        self._spaces = self.catalog.spaces()

    def delete(self, source: str) -> int:
        """Remove a source with everything that came from it; returns the number of records removed."""
        if source not in {s.name for s in self.catalog.sources()}:
            names = ", ".join(s.name for s in self.catalog.sources()) or "none"
            raise UsageError(f"there is no source called '{source}'.", f"There are: {names}.")
        with self.writer():
            self.catalog.prepare_writer()
            doomed = {
                row[0]
                for row in self.catalog.db.execute(
                    """SELECT c.content_hash FROM chunks c JOIN records r ON r.rowid = c.record
                       WHERE r.source = ? AND c.kind = 'image'""",
                    (source,),
                )
            }
            count = self.catalog.remove_source(source)
            self.settle()
            for digest in doomed - set(self.catalog.chunks_by_hash(sorted(doomed), "image", Condition())):
                self.preview_path(digest).unlink(missing_ok=True)
        return count

    # -- reading ----------------------------------------------------------------------------------

    def get(self, id: str) -> Chunk | None:
        """A chunk by its id or by an unambiguous beginning of it (at least 6 characters)."""
        found = self.catalog.chunks("c.id = ?", (id,))
        if not found and len(id) >= 6 and re.fullmatch(r"[0-9a-f]+", id):
            found = self.catalog.chunks("c.id >= ? AND c.id < ?", (id, id + "g"), "LIMIT 2")
        return found[0] if len(found) == 1 else None

    def sources(self) -> list[StoredSource]:
        """What has been added, reference packs first."""
        return self.catalog.sources()

    def info(self) -> StoreInfo:
        counts = self.catalog.space_counts()
        return StoreInfo(
            self.path,
            tuple(self.catalog.sources()),
            self.catalog.count("records"),
            len(self),
            self.catalog.count("facts"),
            tuple((n, v[0], v[2], counts.get(n, 0)) for n, v in self.catalog.spaces().items()),
            self.catalog.is_settled(),
        )

    def preview_path(self, content_hash: str) -> Path:
        """Where the preview of an image (JPEG, at most 512 px) is kept."""
        return self.path / "previews" / content_hash[:2] / f"{content_hash}.jpg"

    def image_path(self, chunk: Chunk) -> Path | None:
        """The original of an image chunk where it still exists, else its preview, else None."""
        from .roots import resolve

        root = self.catalog.roots().get(chunk.provenance.source, "")
        original = resolve(root, chunk.image)
        if original is not None and original.exists():
            return original
        preview = self.preview_path(chunk.content_hash)
        return preview if preview.exists() else None

    # -- searching --------------------------------------------------------------------------------

    def search_vectors(
        self, query: Query, space: Space, by: Literal["scene", "text"], k: int, lane: str = ""
    ) -> list[Hit]:
        """The `k` chunks whose vectors are nearest to the query's scenes or text.

        space "images": image chunks; "names": labels and captions; "texts": all text chunks (by text only).
        Scores are cosines; with several scenes a chunk counts with its best.
        """
        lane = lane or f"{by}-{space}"
        self._refresh()
        if space not in self._spaces:
            return []
        where = condition(query.where, query.exclude)
        best: dict[str, float] = {}
        for vector in self._query_vectors(query, space, by):
            for digest, cosine in self._nearest(space, vector, k, where):
                if cosine > best.get(digest, -2.0):
                    best[digest] = cosine
        order = sorted(best, key=lambda d: (-best[d], d))
        chunks = self.catalog.chunks_by_hash(order, KIND[space], where)
        null = self._spaces[space][3].get(by)
        found = []
        for digest in order:
            for chunk in chunks.get(digest, ()):
                if query.where.polygon and not polygon_keeps(query.where.polygon, chunk.bbox):
                    continue
                cosine = best[digest]
                found.append(Hit(chunk, cosine, {lane: (len(found) + 1, cosine)}, z_score(cosine, null)))
        return found[:k]

    def _nearest(
        self, space: Space, vector: NDArray[np.float32], k: int, where: Condition
    ) -> list[tuple[str, float]]:
        if where.is_trivial:
            return self.index.query(space, vector, k)
        ids = self.catalog.hashes(KIND[space], where, FILTER_BY_IDS + 1)
        if len(ids) <= FILTER_BY_IDS:
            present = sorted(self.catalog.known_vectors(space, ids))
            return self.index.query(space, vector, min(k, len(present)), present)
        # Too many to list: fetch more and drop, doubling until enough survive or everything was seen.
        total, fetch = self.index.count(space), 4 * k
        while True:
            hits = self.index.query(space, vector, min(fetch, total))
            kept = self.catalog.chunks_by_hash([d for d, _ in hits], KIND[space], where)
            if len(kept) >= k or fetch >= total:
                return [(d, c) for d, c in hits if d in kept]
            fetch *= 4

    def search_text(self, query: Query, k: int, lane: str = "words") -> list[Hit]:
        """The `k` text chunks that use the question's rarer words, by bm25 over title, aliases and text."""
        self._refresh()
        expression = match_expression(query.text)
        if not expression:
            return []
        where = condition(query.where, query.exclude)
        hits = []
        for chunk, score in self.catalog.search_words(expression, where, k):
            if chunk.kind == "text" and (
                not query.where.polygon or polygon_keeps(query.where.polygon, chunk.bbox)
            ):
                hits.append(Hit(chunk, score, {lane: (len(hits) + 1, score)}))
        return hits

    def search_near(self, query: Query, k: int, lane: str = "near-by") -> list[Hit]:
        """Text chunks of records near the query's place (`near`, else its georeferenced scenes), nearest first.

        The raw score is the negated distance in kilometres between middles (haversine).
        """
        places = [query.near] if query.near else [s.bbox for s in query.scenes if s.bbox]
        if not places:
            return []
        self._refresh()
        where = condition(query.where, query.exclude)
        distances: dict[int, float] = {}
        for place in places:
            for radius in (0.25, 1.0, 4.0):
                found = self.catalog.records_near(grown(place, radius), where, 5000)
                for rowid, box in found:
                    distance = kilometres(place.center, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
                    distances[rowid] = min(distance, distances.get(rowid, math.inf))
                if len(distances) >= k:
                    break
        order = sorted(distances, key=lambda r: (distances[r], r))[:k]
        chunks = self.catalog.chunks(
            f"r.rowid IN ({','.join('?' * len(order))}) AND c.kind = 'text' AND c.ordinal = 0 AND c.part != 'fact'",
            order,
        )
        by_record: dict[tuple[str, str], Chunk] = {}
        for chunk in chunks:
            by_record.setdefault((chunk.provenance.source, chunk.provenance.record), chunk)
        ranked = sorted(
            by_record.values(), key=lambda c: min(kilometres(p.center, c.bbox.center) for p in places) if c.bbox else 0
        )
        hits = []
        for chunk in ranked:
            distance = min(kilometres(p.center, chunk.bbox.center) for p in places) if chunk.bbox else 0.0
            hits.append(Hit(chunk, -distance, {lane: (len(hits) + 1, -distance)}))
        return hits

    def chunks_of(self, subjects: Sequence[str], where: Filter | None = None, kind: str = "text") -> list[Chunk]:
        """All chunks of some subjects, in the order they were written: the second half of the join."""
        if not subjects:
            return []
        cond = condition(where or Filter())
        marks = ",".join("?" * len(subjects))
        return self.catalog.chunks(
            f"r.subject IN ({marks}) AND c.kind = ? AND {cond.sql}",
            (*subjects, kind, *cond.arguments),
            "ORDER BY c.rowid LIMIT 500",
        )

    def count_kept(self, where: Filter) -> tuple[int, int]:
        """(chunks that a filter leaves, chunks in all)."""
        return self.catalog.count_chunks(condition(where)), len(self)

    def titles(self, subjects: Sequence[str]) -> dict[str, str]:
        """A name for each subject: the title of a record with text where there is one, else of any."""
        found: dict[str, str] = {}
        unique = sorted(set(subjects))
        marks = ",".join("?" * len(unique))
        rows = self.catalog.db.execute(
            f"""SELECT r.subject, r.title FROM records r JOIN chunks c ON c.record = r.rowid
                WHERE r.subject IN ({marks}) GROUP BY r.rowid ORDER BY max(c.kind = 'text'), r.rowid DESC""",
            unique,
        )
        for subject, title in rows:
            found[subject] = title
        return found

    def score_chunks(self, query: Query, chunks: Sequence[Chunk], lane: str) -> list[Hit]:
        """The question's cosine with given text chunks, from stored vectors; best first."""
        if not query.text.strip() or not chunks or "texts" not in self._spaces:
            return []
        vector = self._query_vectors(query, "texts", "text")[0]
        stored = self.catalog.vectors("texts", [c.content_hash for c in chunks])
        null = self._spaces["texts"][3].get("text")
        scored = [(float(stored[c.content_hash] @ vector), c) for c in chunks if c.content_hash in stored]
        scored.sort(key=lambda item: (-item[0], item[1].id))
        return [
            Hit(chunk, cosine, {lane: (rank, cosine)}, z_score(cosine, null))
            for rank, (cosine, chunk) in enumerate(scored, 1)
        ]

    # -- what a reader may ask (interfaces.Language) -----------------------------------------------

    def similarity(self, question: str, texts: Sequence[str]) -> list[float]:
        """Cosine of a question with each text in the `texts` space."""
        if not texts:
            return []
        encoder = self.text_encoder
        vector = self._remember(
            (encoder.id, "query", question), lambda: encoder.encode_texts([question], role="query")[0]
        )
        # Sentences come from stored chunks and therefore fit; what does not is cut by the "query" role.
        return [float(v) for v in encoder.encode_texts(list(texts), role="query") @ vector]

    def idf(self, words: Sequence[str]) -> dict[str, float]:
        """ln((N + 1) / (n + 1)) over text chunks, for words as they stand (stemmed like the index)."""
        total = len(self)
        counts = {word: self.catalog.count_matching(match_expression(word)) for word in set(words)}
        return {word: math.log((total + 1) / (count + 1)) for word, count in counts.items()}

    # -- LangChain --------------------------------------------------------------------------------

    def as_langchain_retriever(self, k: int = 4, **filters: Any) -> BaseRetriever:
        """This knowledge base as a LangChain retriever that yields `k` documents; see `rsrag.langchain`."""
        from ..langchain import KnowledgeRetriever

        return KnowledgeRetriever(kb=self, k=k, filters=filters)

    # -- inside -----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """See what another process finished writing."""
        generation = self.catalog.generation()
        if generation != self._generation:
            with self._lock:
                self._spaces = self.catalog.spaces()
                self.index.reopen()
                self._generation = generation

    def _query_vectors(self, query: Query, space: Space, by: str) -> list[NDArray[np.float32]]:
        encoder: Any = self.encoder_of(space)
        if by == "text":
            if not query.text.strip():
                return []
            key = (encoder.id, "query", query.text)
            return [self._remember(key, lambda: encoder.encode_texts([query.text], role="query")[0])]
        return [self._scene_vector(encoder, scene) for scene in query.scenes]

    def _scene_vector(self, encoder: Any, scene: Scene) -> NDArray[np.float32]:
        # The reader is part of the key: a file can change under its name within one process.
        return self._remember(
            (encoder.id, "scene", scene.uri, id(scene.reader)), lambda: encoder.encode_scenes([scene])[0], keep=scene
        )

    def _remember(
        self, key: tuple[Any, ...], make: Callable[[], NDArray[np.float32]], keep: object = None
    ) -> NDArray[np.float32]:
        """A query is encoded once, whatever the number of lanes."""
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        vector = make()
        with self._lock:
            self._remembered[key] = vector
            while len(self._remembered) > _REMEMBERED_QUERIES:
                self._remembered.popitem(last=False)
        return vector
