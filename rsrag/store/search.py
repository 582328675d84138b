"""Everything that can be asked of a store: by vector, by word, by place, by subject."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ..confidence import z_score
from ..filtering import demands
from ..types import Chunk, Fact, Filter, Hit, Query, Scene
from .catalog import Catalog
from .filters import Condition, condition
from .index import ExactIndex, IndexDamaged, VectorIndex
from .lexical import others
from .nearness import grown, kilometres
from .places import beside_box, touching_circle, touching_polygon
from .spaces import KIND, Space, Spaces
from .words import fold, longest, match_expression, possible_acronyms, possible_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT_UP_TO = 10_000
"""A space of at most so many vectors is searched in memory, all of it; a larger one by Chroma. Importing Chroma
takes longer than reading and comparing them."""

FILTER_BY_IDS = 5000
"""Up to so many vectors that a filter leaves are read and compared, all of them; beyond, hits of Chroma are fetched and
dropped."""

MOST_NAMESAKES = 5
MOST_OF_ONE = 8
"""Of records that share a name so many are looked at, and of their passages the best so many."""

_REMEMBERED_QUERIES = 64
_REMEMBERED_SEARCHES = 16
_FEW_PASSAGES = 3  # that use a town's name: it is no common word
_REMEMBERED_SENTENCES = 8192
_REMEMBERED_COUNTS = 8192  # words
_REMEMBERED_PLACES = 4


class Searches:
    """The reading half of a knowledge base, over its catalog, index and spaces."""

    catalog: Catalog
    index: VectorIndex
    spaces: Spaces

    def __init__(self) -> None:
        self._generation = self.catalog.generation()
        self._remembered: OrderedDict[tuple[Any, ...], NDArray[np.float32]] = OrderedDict()
        self._searched: OrderedDict[tuple[Any, ...], tuple[int, list[tuple[Chunk, float]]]] = OrderedDict()
        self._places: OrderedDict[tuple[Any, ...], tuple[tuple[int, ...] | None, tuple[int, ...]]] = OrderedDict()
        self._counted = (-1, 0)
        self._counts: dict[str, int] = {}
        self._sentences: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.RLock()
        self._small: dict[str, tuple[int, ExactIndex | None]] = {}

    def __len__(self) -> int:
        """How many chunks there are."""
        return self.catalog.count("chunks")

    def condition(self, where: Filter, exclude: Sequence[str] = ()) -> Condition:
        """A filter as SQL; what takes geometry becomes the records that touch it, or do not."""
        inside, outside = self._placed(where) if where.polygon or where.circle or where.box else (None, ())
        return condition(where, exclude, inside, outside)

    def _placed(self, where: Filter) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
        """(records inside polygon and circle, None without either; records beside the box), remembered for a while:
        every lane asks again."""
        key = (self.catalog.generation(), where.box, where.circle, json.dumps(where.polygon))
        with self._lock:
            known = self._places.get(key)
        if known is not None:
            return known
        db = self.catalog.db
        inside: set[int] | None = None
        if where.polygon:
            inside = touching_polygon(db, where.polygon)
        if where.circle:
            near = touching_circle(db, where.circle)
            inside = near if inside is None else inside & near
        outside = beside_box(db, where.box) if where.box else set()
        placed = (None if inside is None else tuple(sorted(inside)), tuple(sorted(outside)))
        with self._lock:
            self._places[key] = placed
            while len(self._places) > _REMEMBERED_PLACES:
                self._places.popitem(last=False)
        return placed

    def search_vectors(
        self, query: Query, space: Space, by: Literal["scene", "text"], k: int, lane: str = ""
    ) -> list[Hit]:
        """The `k` chunks whose vectors are nearest to the query's scenes or text.

        space "images": image chunks; "names": labels and captions; "texts": all text chunks (by text only).
        Scores are cosines; with several scenes a chunk counts with its best.
        """
        lane = lane or f"{by}-{space}"
        self._refresh()
        if space not in self.spaces:
            return []
        null = self.spaces.null(space, by)
        if self._exact(space) is None:
            self.index.prepare()
        maker = self.spaces.maker(space)
        near = self._near_chunks(query, space, self._query_vectors(query, space, by), k)
        if self.spaces.maker(space) != maker:  # all was encoded anew between the question's encoding and its search
            return self.search_vectors(query, space, by, k, lane)
        return [
            Hit(chunk, cosine, {lane: (rank, cosine)}, z_score(cosine, null))
            for rank, (chunk, cosine) in enumerate(near[:k], 1)
        ]

    def _near_chunks(
        self, query: Query, space: Space, vectors: Sequence[NDArray[np.float32]], k: int
    ) -> list[tuple[Chunk, float]]:
        """At least `k` (chunk, cosine) where there are so many, best first.

        Remembered for a while: the vote on a scene and the lanes after it look round the same vectors.
        """
        where = self.condition(query.where, query.exclude)
        key = (space, where, self._generation, *(vector.tobytes() for vector in vectors))
        with self._lock:
            depth, known = self._searched.get(key, (0, []))
        if depth >= k:
            return known
        best: dict[str, float] = {}
        for vector in vectors:
            for digest, cosine in self._surely_nearest(space, vector, k, where):
                if cosine > best.get(digest, -2.0):
                    best[digest] = cosine
        order = sorted(best, key=lambda d: (-best[d], d))
        chunks = self.catalog.chunks.by_hash(order, KIND[space], where)
        found = [(chunk, best[digest]) for digest in order for chunk in chunks.get(digest, ())]
        with self._lock:
            self._searched[key] = (k, found)
            while len(self._searched) > _REMEMBERED_SEARCHES:
                self._searched.popitem(last=False)
        return found

    def _surely_nearest(
        self, space: Space, vector: NDArray[np.float32], k: int, where: Condition
    ) -> list[tuple[str, float]]:
        """`_nearest`, by an index that is sound, and that was not replaced meanwhile: an old one's files are removed,
        and what it then finds is nothing at all."""
        mended, maker = False, self.spaces.maker(space)
        while self.spaces.maker(space) == maker:
            used = self.index.name
            try:
                found = self._nearest(space, vector, k, where)
            except (IndexDamaged, ValueError) as error:  # vectors of other lengths are a `ValueError` in memory
                if used == self.catalog.outbox.index_name():
                    if mended or not isinstance(error, IndexDamaged):
                        raise
                    self._mend(error)
                    mended = True
            else:
                if used == self.catalog.outbox.index_name():
                    return found
            self._refresh()
        return []

    def _nearest(self, space: Space, vector: NDArray[np.float32], k: int, where: Condition) -> list[tuple[str, float]]:
        import numpy as np

        exact = self._exact(space)
        if exact is None and not self.catalog.db.execute("SELECT 1 FROM vectors WHERE space = ?", (space,)).fetchone():
            return []
        if exact is not None:
            wanted = None if where.is_trivial else self.catalog.chunks.hashes(KIND[space], where)
            return exact.query(vector, k, wanted)
        if where.is_trivial:
            return self.index.query(space, vector, k)
        if self.catalog.chunks.count(where, KIND[space], FILTER_BY_IDS + 1) <= FILTER_BY_IDS:
            # Chroma takes longer to look among ids, and the longer the fewer they are; here none is missed.
            stored = self.catalog.vectors.of(space, self.catalog.chunks.hashes(KIND[space], where))
            return ExactIndex(list(stored), np.array([*stored.values()], np.float32)).query(vector, k) if stored else []
        # Too many to list: fetch more and drop, until enough survive or everything was seen.
        total, fetch = self.index.count(space), 4 * k
        while True:
            hits = self.index.query(space, vector, min(fetch, total))
            kept = self.catalog.chunks.hashes_among([d for d, _ in hits], KIND[space], where)
            if len(kept) >= k or fetch >= total:
                return [(d, c) for d, c in hits if d in kept][:k]
            fetch = max(4 * fetch, fetch * 2 * k // (len(kept) + 1))

    def search_text(self, query: Query, k: int, lane: str = "words") -> list[Hit]:
        """The `k` passages (and, in a search, the `k` images) that use the question's rarer words, by bm25 over title,
        aliases, text and terms; "NDVI" also finds the texts that write it out, and the other way round."""
        self._refresh()
        expression = match_expression(query.text, others(self.catalog.db, possible_acronyms(query.text)))
        if not expression:
            return []
        where = self.condition(query.where, query.exclude)
        hits: list[Hit] = []
        # Ranked apart: a thousand pictures of one title must not hide a passage. An answer rests on passages; whoever
        # searches also means the names of files.
        for kind in ("text", "image") if query.task == "search" else ("text",):
            for rank, (chunk, score) in enumerate(self.catalog.chunks.matching(expression, kind, where, k), 1):
                hits.append(Hit(chunk, score, {lane: (rank, score)}))
        return hits

    def search_named(self, query: Query, k: int, lane: str = "named") -> list[Hit]:
        """Text chunks of the records that the question calls by a whole name, longest name first.

        A record's chunks are ranked by the question. An entry of a gazetteer must be written like a name (with a
        capital, or of several words, or a word that few passages use), for towns bear the names of everything.
        The raw score is the number of words in the name.
        """
        self._refresh()
        possible = possible_names(query.text)
        where = self.condition(query.where, query.exclude)
        named = self.catalog.records.named(list(possible), where)
        named = [(n, r, known) for n, r, known in named if known or self._reads_as_place(n, possible, query.text)]
        hits: list[Hit] = []
        for name in longest([n for n, _, _ in named]):
            bearers = [r for n, r, _ in named if n == name][:MOST_NAMESAKES]
            hits += self._named_chunks(query, name, bearers, where, lane, len(hits))
        return hits[:k]

    def _reads_as_place(self, name: str, possible: dict[str, bool], text: str) -> bool:
        if " " in name or possible[name]:
            return True
        # The first word of a question has its capital anyway.
        bare = text in (text.lower(), text.upper()) or fold(text).startswith(f"{name} ")
        return bare and self.catalog.chunks.count_matching(match_expression(name)) <= _FEW_PASSAGES

    def _named_chunks(
        self, query: Query, name: str, records: Sequence[int], where: Condition, lane: str, before: int
    ) -> list[Hit]:
        marks = ",".join("?" * len(records))
        chunks = self.catalog.chunks.where(
            f"r.rowid IN ({marks}) AND c.kind = 'text' AND c.part != 'label' AND {where.sql}",
            (*records, *where.arguments),
        )
        scored = {hit.chunk.id: hit for hit in self.score_chunks(query, chunks, lane)}
        bare = [c for c in chunks if c.id not in scored]
        weight = float(len(name.split()))
        found = [(hit.chunk, hit.z) for hit in list(scored.values())[:MOST_OF_ONE]]
        found += [(c, None) for c in bare[:MOST_OF_ONE]]
        return [Hit(chunk, weight, {lane: (before + rank, weight)}, z) for rank, (chunk, z) in enumerate(found, 1)]

    def search_near(self, query: Query, k: int, lane: str = "near-by") -> list[Hit]:
        """Passages and images of records near the query's place (`near`, else its georeferenced scenes), nearest first.

        The raw score is the negated distance in kilometres between middles (haversine).
        """
        places = [query.near] if query.near else [s.bbox for s in query.scenes if s.bbox]
        if not places:
            return []
        self._refresh()
        where = self.condition(query.where, query.exclude)
        distances: dict[int, float] = {}
        for place in places:
            for radius in (0.25, 1.0, 4.0):
                found = self.catalog.records.near(grown(place, radius), where, 5000)
                for rowid, box in found:
                    distance = kilometres(place.center, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
                    distances[rowid] = min(distance, distances.get(rowid, math.inf))
                if len(distances) >= k:
                    break
        order = sorted(distances, key=lambda r: (distances[r], r))[:k]
        chunks = self.catalog.chunks.where(
            f"r.rowid IN ({','.join('?' * len(order))}) AND c.ordinal = 0 AND c.part NOT IN ('fact', 'label') "
            f"AND {where.sql}",
            (*order, *where.arguments),
        )
        by_record: dict[tuple[str, str, str], Chunk] = {}
        for chunk in chunks:
            by_record.setdefault((chunk.kind, chunk.provenance.source, chunk.provenance.record), chunk)
        ranked = sorted(
            by_record.values(), key=lambda c: min(kilometres(p.center, c.bbox.center) for p in places) if c.bbox else 0
        )
        hits: list[Hit] = []
        for chunk in ranked:
            distance = min(kilometres(p.center, chunk.bbox.center) for p in places) if chunk.bbox else 0.0
            hits.append(Hit(chunk, -distance, {lane: (len(hits) + 1, -distance)}))
        return hits[:k]  # a record may have brought both a passage and an image

    def chunks_of(self, subjects: Sequence[str], where: Filter | None = None, kind: str = "text") -> list[Chunk]:
        """All chunks of some subjects, in the order they were written: the second half of the join."""
        if not subjects:
            return []
        cond = self.condition(where or Filter())
        marks = ",".join("?" * len(subjects))
        return self.catalog.chunks.where(
            f"r.subject IN ({marks}) AND c.kind = ? AND {cond.sql}",
            (*subjects, kind, *cond.arguments),
            "ORDER BY c.rowid LIMIT 500",
        )

    def facts_of(self, subjects: Sequence[str], where: Filter | None = None) -> list[tuple[str, list[str], list[Fact]]]:
        """(subject, its titles and aliases, its facts) of each subject that has facts, in the order given."""
        # A fact belongs to a record as a whole, whichever part of its text is searched.
        cond = self.condition(replace(where or Filter(), parts=()))
        marks = ",".join("?" * len(subjects))
        rows = self.catalog.db.execute(
            f"""SELECT r.subject, r.title, r.aliases, f.attribute, f.value, f.number, f.unit, f.whenn
                FROM facts f JOIN records r ON r.rowid = f.record JOIN sources s ON s.name = r.source
                JOIN chunks c ON c.rowid = (SELECT min(rowid) FROM chunks WHERE record = r.rowid)
                WHERE r.subject IN ({marks}) AND {cond.sql} ORDER BY f.rowid""",
            (*subjects, *cond.arguments),
        )
        found: dict[str, tuple[dict[str, None], list[Fact]]] = {subject: ({}, []) for subject in subjects}
        for subject, title, aliases, attribute, value, number, unit, when in rows:
            names, facts = found[subject]
            names |= dict.fromkeys([title, *filter(None, aliases.split(" | "))])
            whole = number is not None and "." not in value and "e" not in value.lower()
            figure = value if number is None else int(value) if whole else number
            facts.append(Fact(subject, attribute, figure, unit, when))
        return [(subject, list(names), facts) for subject, (names, facts) in found.items() if facts]

    def holders_of(self, attribute: str, where: Filter, exclude: Sequence[str] = (), most: int = 2) -> list[str]:
        """Up to `most` subjects that have a fact of this attribute."""
        cond = self.condition(replace(where, parts=()), exclude)
        rows = self.catalog.db.execute(
            f"""SELECT DISTINCT r.subject FROM facts f JOIN records r ON r.rowid = f.record
                JOIN sources s ON s.name = r.source
                JOIN chunks c ON c.rowid = (SELECT min(rowid) FROM chunks WHERE record = r.rowid)
                WHERE f.attribute = ? AND {cond.sql} LIMIT ?""",
            (attribute, *cond.arguments, most),
        )
        return [subject for (subject,) in rows]

    def count_kept(self, where: Filter) -> tuple[int, int]:
        """(chunks that a filter leaves, chunks in all)."""
        return self.catalog.chunks.count(self.condition(where)), len(self)

    def explain(self, where: Filter) -> str:
        """How many chunks a filter leaves, and each of its demands on place, time and facets alone."""
        kept, total = self.count_kept(where)
        said = f"the filters left {kept:,} of {total:,} passages and images to search"
        alone = demands(where)
        if len(alone) > 1:
            said += f" ({'; '.join(f'{words}: {self.count_kept(one)[0]:,}' for words, one in alone)})"
        return said

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
        return self._scored(query, "texts", "text", chunks, lane) if query.text.strip() else []

    def score_images(self, query: Query, chunks: Sequence[Chunk], lane: str) -> list[Hit]:
        """The cosine of the scene most like it with each of some image chunks, from stored vectors; best first."""
        return self._scored(query, "images", "scene", chunks, lane) if query.scenes else []

    def _scored(self, query: Query, space: Space, by: str, chunks: Sequence[Chunk], lane: str) -> list[Hit]:
        if not chunks or space not in self.spaces:
            return []
        import numpy as np

        stored = self.catalog.vectors.of(space, [c.content_hash for c in chunks])
        held = [c for c in chunks if c.content_hash in stored]
        if not held:
            return []
        asked = np.stack(self._query_vectors(query, space, by))
        cosines = (np.stack([stored[c.content_hash] for c in held]) @ asked.T).max(axis=1)
        null = self.spaces.null(space, by)
        scored = sorted(zip(cosines.tolist(), held, strict=True), key=lambda item: (-item[0], item[1].id))
        return [
            Hit(chunk, cosine, {lane: (rank, cosine)}, z_score(cosine, null))
            for rank, (cosine, chunk) in enumerate(scored, 1)
        ]

    # -- what a reader may ask (interfaces.Language) -----------------------------------------------

    def similarity(self, question: str, texts: Sequence[str]) -> list[float]:
        """Cosine of a question with each text in the `texts` space."""
        if not texts:
            return []
        encoder = self.spaces.text
        vector = self._remember(
            (encoder.id, "query", question), lambda: encoder.encode_texts([question], role="query")[0]
        )
        # Sentences come from stored chunks and therefore fit; what does not is cut by the "query" role.
        fresh = [t for t in dict.fromkeys(texts) if (encoder.id, t) not in self._sentences]
        if fresh:
            vectors = encoder.encode_texts(fresh, role="query")
            with self._lock:
                self._sentences.update(((encoder.id, t), v) for t, v in zip(fresh, vectors, strict=True))
        found = [float(self._sentences[encoder.id, t] @ vector) for t in texts]
        with self._lock:
            while len(self._sentences) > _REMEMBERED_SENTENCES:
                self._sentences.popitem(last=False)
        return found

    def idf(self, words: Sequence[str]) -> dict[str, float]:
        """ln((N + 1) / (n + 1)) over text chunks, for words as they stand (stemmed like the index)."""
        generation = self.catalog.generation()
        if self._counted[0] != generation:  # counting reads every row
            self._counted, self._counts = (generation, len(self)), {}
        total, counts = self._counted[1], self._counts
        for word in [w for w in set(words) if w not in counts]:
            counts[word] = self.catalog.chunks.count_matching(match_expression(word))
        found = {word: math.log((total + 1) / (counts[word] + 1)) for word in words}
        if len(counts) > _REMEMBERED_COUNTS:
            self._counts = {}
        return found

    # -- inside -----------------------------------------------------------------------------------

    def _mend(self, error: IndexDamaged) -> None:
        """Make the vector index sound again, or raise."""
        raise error

    def _exact(self, space: Space) -> ExactIndex | None:
        """All vectors of a small space, read from the catalog once per change; None for a larger one, unless it lies
        where Chroma cannot open it."""
        with self._lock:
            generation, exact = self._small.get(space, (-1, None))
        if generation != self._generation:
            generation = self._generation
            ids, rows = self.catalog.vectors.all_of(space, EXACT_UP_TO if self.index.can_open() else sys.maxsize)
            exact = ExactIndex(ids, rows) if rows is not None else None
            with self._lock:
                self._small[space] = (generation, exact)
        return exact

    def _refresh(self) -> None:
        """See what another process finished writing."""
        generation = self.catalog.generation()
        if generation != self._generation:
            with self._lock:
                self.spaces.reload()
                self.index.reopen(self.catalog.outbox.index_name())
                self._generation = generation

    def _query_vectors(self, query: Query, space: Space, by: str) -> list[NDArray[np.float32]]:
        encoder: Any = self.spaces.encoder_of(space)
        if by == "text":
            if not query.text.strip():
                return []
            key = (encoder.id, "query", query.text)
            return [self._remember(key, lambda: encoder.encode_texts([query.text], role="query")[0])]
        return [self._scene_vector(encoder, scene) for scene in query.scenes]

    def scene_vector(self, scene: Scene) -> NDArray[np.float32]:
        """A scene's vector in the space of images and names, float32 (dim,); remembered for a while."""
        return self._scene_vector(self.spaces.joint, scene)

    def _scene_vector(self, encoder: Any, scene: Scene) -> NDArray[np.float32]:
        # Known by its pixels: a file can change under its name, and one image can be opened many times.
        pixels = scene.rgb(512)
        key = (encoder.id, "scene", pixels.shape, hashlib.blake2b(pixels.tobytes(), digest_size=16).digest())
        return self._remember(key, lambda: encoder.encode_scenes([scene])[0])

    def _remember(self, key: tuple[Any, ...], make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
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
