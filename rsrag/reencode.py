"""Vectors by other encoders: made beside the old ones, which are searched until the new ones are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .chunking import NAME_PARTS, embedding_text, split, spoken
from .errors import RsragError, UsageError
from .guarded import checked_vectors
from .images import DecodedReader
from .ingest import PREVIEW_SIDE, make_source, name_vector, pixel_hash
from .packs import bundled_packs
from .scene import decoded, open_scene
from .store.filesystem import require_room
from .store.index import number_of
from .store.lock import WriterLock
from .store.rebuild import fill
from .store.spaces import SPACES
from .store.staging import Staging
from .types import Chunk, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]

BATCH = 64
NAMED = 5
"""Of the images that are lost so many are named."""

_WANTED = {
    "images": "FROM chunks c WHERE c.kind = 'image'",
    "names": f"FROM chunks c JOIN records r ON r.rowid = c.record WHERE r.vectors AND c.part IN {NAME_PARTS}",
    # What has a vector gets another: gazetteers and figures have none.
    "texts": """FROM chunks c WHERE c.kind = 'text' AND EXISTS
                (SELECT 1 FROM vectors v WHERE v.space = 'texts' AND v.content_hash = c.content_hash)""",
}


@dataclass(frozen=True, slots=True)
class Reencoded:
    """What was made anew: (space, encoder before, encoder now, vectors) each; nothing where the encoders are the same.

    `previews` counts images encoded from their preview because the original is gone or has changed, `split` texts too
    long for the new encoder, which got the mean of their parts; `removed` images left out since neither is there.
    """

    spaces: tuple[tuple[str, str, str, int], ...] = ()
    previews: int = 0
    split: int = 0
    removed: int = 0
    seconds: float = 0.0
    problems: tuple[str, ...] = ()


def reencode(
    kb: KnowledgeBase, encoder: Any = None, text_encoder: Any = None, *, skip_missing: bool = False,
    progress: Progress | None = None,
) -> Reencoded:  # fmt: skip
    """Encode everything again, where the encoders are not those that made the vectors; see `KnowledgeBase.reencode`."""
    run = _Run(kb, encoder, text_encoder, progress or (lambda done, total, text: None))
    with WriterLock(kb.path / "reencode.lock", kb.wait):
        staged = Staging(kb.path, run.goal)
        try:
            if not run.goal:
                if staged.left:  # broken off when all was done but the tidying
                    with kb.writer():
                        kb.index.keep_only({kb.index.name})
                staged.discard()
                return Reencoded()
            return run.run(staged, skip_missing)
        finally:
            staged.close()


class _Run:
    def __init__(self, kb: KnowledgeBase, encoder: Any, text_encoder: Any, progress: Progress) -> None:
        self.kb = kb
        self.progress = progress
        self.made = kb.spaces.made_by(encoder, text_encoder)
        known = kb.catalog.spaces()
        self.before = {space: about[0] for space, about in known.items()}
        self.goal = {
            space: (maker.id, spec, maker.dim)
            for space, (maker, spec) in self.made.items()
            if space in known and known[space][0] != maker.id
        }
        self.origins: dict[str, Any] = {}
        self.lost: set[str] = set()
        self.previews = self.split = 0

    def run(self, staged: Staging, skip_missing: bool) -> Reencoded:
        kb, started = self.kb, time.monotonic()
        if "images" in self.goal:
            self._look_for_images(skip_missing)
        self._require_room(staged)
        fresh = kb.index.beside(f"chroma-{number_of(kb.catalog.outbox.index_name()) + 2}")
        if not staged.resumed and fresh.exists():
            fresh.discard()  # filled for another goal
        # Others may write meanwhile; what they bring is encoded at the end, when they wait.
        self._encode(staged)
        with kb.writer():
            kb.before_change()
            kb.catalog.vectors.retire()
            self._encode(staged)
            for space in self.goal:
                staged.keep_only(space, self._wanted(space))
            try:
                fill(kb, fresh, self.progress, _Both(kb, staged))
            finally:
                fresh.close()
            staged.take_over(kb.catalog, fresh.name, self.lost)
            kb.spaces.adopt(self.made)
            kb._refresh()
            kb.spaces.learn_nulls()
            kb.index.keep_only({fresh.name})
        counts = kb.catalog.vectors.counts()
        staged.discard()
        spaces = [(s, self.before[s], self.goal[s][0], counts.get(s, 0)) for s in SPACES if s in self.goal]
        problems = tuple(kb.verify().problems)
        seconds = time.monotonic() - started
        return Reencoded(tuple(spaces), self.previews, self.split, len(self.lost), seconds, problems)

    def _require_room(self, staged: Staging) -> None:
        new = {space: (len(self._wanted(space)), dim) for space, (_, _, dim) in self.goal.items()}
        rows = 2 * sum(4 * count * dim for count, dim in new.values())  # beside the old, then in their place
        kept = self.kb.catalog.spaces()
        counts = self.kb.catalog.vectors.counts() | {space: count for space, (count, _) in new.items()}
        dims = {space: about[2] for space, about in kept.items()} | {space: dim for space, (_, dim) in new.items()}
        index = sum(self.kb.index.bytes_for(count, dims[space]) for space, count in counts.items() if space in dims)
        require_room(self.kb.path, rows + index, "encoding it again")

    def _wanted(self, space: str) -> list[str]:
        rows = self.kb.catalog.db.execute(f"SELECT DISTINCT c.content_hash {_WANTED[space]}")
        return [digest for (digest,) in rows if space != "images" or digest not in self.lost]

    def _chunks(self, space: str, hashes: Sequence[str]) -> list[Chunk]:
        """One chunk of each content hash."""
        kind = "image" if space == "images" else "text"
        marks = ",".join("?" * len(hashes))
        found = self.kb.catalog.chunks.where(f"c.kind = ? AND c.content_hash IN ({marks})", (kind, *hashes))
        return list({chunk.content_hash: chunk for chunk in found}.values())

    # -- encoding -----------------------------------------------------------------------------------

    def _encode(self, staged: Staging) -> None:
        for space in SPACES:
            if space not in self.goal:
                continue
            wanted, done = self._wanted(space), staged.done(space)
            left = [digest for digest in wanted if digest not in done]
            for start in range(0, len(left), BATCH):
                part = left[start : start + BATCH]
                staged.put(space, self._vectors(space, self._chunks(space, part)))
                self.progress(len(wanted) - len(left) + start + len(part), len(wanted), space)

    def _vectors(self, space: str, chunks: list[Chunk]) -> list[tuple[str, NDArray[np.float32] | None]]:
        encoder = self.made[space][0]
        if space == "images":
            return self._of_images(encoder, chunks)
        if space == "texts":
            return self._of_texts(encoder, chunks)
        names = [(c.content_hash, c.part, spoken(c.part, c.title, c.provenance.heading, c.text)) for c in chunks]
        return [
            (digest, name_vector(encoder, part, text) if encoder.count_tokens(text) <= encoder.max_tokens else None)
            for digest, part, text in names
        ]

    def _of_texts(self, encoder: Any, chunks: list[Chunk]) -> list[tuple[str, NDArray[np.float32] | None]]:
        import numpy as np

        texts: list[str] = []
        ends: list[int] = []
        for chunk in chunks:
            parts = _parts(encoder, chunk)
            self.split += len(parts) > 1
            texts += parts
            ends.append(len(texts))
        rows = checked_vectors(encoder, encoder.encode_texts(texts, role="passage"), len(texts))
        found: list[tuple[str, NDArray[np.float32] | None]] = []
        for chunk, begin, end in zip(chunks, [0, *ends], ends, strict=False):
            mean = rows[begin:end].mean(axis=0)
            found.append((chunk.content_hash, (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)))
        return found

    def _of_images(self, encoder: Any, chunks: list[Chunk]) -> list[tuple[str, NDArray[np.float32] | None]]:
        with ThreadPoolExecutor(2, "decode") as pool:
            opened = list(pool.map(self._open, chunks))
        there = [(chunk.content_hash, scene) for chunk, scene in zip(chunks, opened, strict=True) if scene]
        gone = [chunk for chunk, scene in zip(chunks, opened, strict=True) if not scene]
        if gone:  # since they were looked for
            raise UsageError(f"{_named(gone)} cannot be read any more.", "Do it again; what is encoded is kept.")
        rows = checked_vectors(encoder, encoder.encode_scenes([scene for _, scene in there]), len(there))
        return [(digest, row) for (digest, _), row in zip(there, rows, strict=True)]

    # -- finding images -----------------------------------------------------------------------------

    def _look_for_images(self, skip_missing: bool) -> None:
        """Before anything is encoded: raise `UsageError` where neither original nor preview of an image is there."""
        hashes = [digest for digest in self._wanted("images") if not self.kb.preview_path(digest).exists()]
        gone = [c for start in range(0, len(hashes), 500) for c in self._chunks("images", hashes[start : start + 500])]
        gone = [chunk for chunk in gone if self._original(chunk) is None]
        if gone and not skip_missing:
            raise UsageError(
                f"{_named(gone)} cannot be encoded again: neither the original nor a preview is there.",
                "Nothing was changed. Bring their files back, or leave them out with --skip-missing.",
            )
        self.lost = {chunk.content_hash for chunk in gone}

    def _open(self, chunk: Chunk) -> Scene | None:
        if (scene := self._original(chunk)) is not None:
            return scene
        preview = self.kb.preview_path(chunk.content_hash)
        try:
            scene = decoded(open_scene(str(preview), self.kb.plugins), PREVIEW_SIDE)
            scene.rgb(PREVIEW_SIDE)
        except RsragError:
            return None
        self.previews += 1
        return scene

    def _original(self, chunk: Chunk) -> Scene | None:
        """The image as its source opens it, if its pixels are still those that were stored."""
        if "://" in chunk.image:
            return None  # no network that nobody asked for
        try:
            opened = self._by_source(chunk)
            if opened is None:
                return None
            scene = opened if isinstance(opened.reader, DecodedReader) else decoded(opened, PREVIEW_SIDE)
            return scene if pixel_hash(scene.rgb(PREVIEW_SIDE)) == chunk.content_hash else None
        except Exception:  # whatever a reader makes of a file that changed: the preview is there for that
            return None

    def _by_source(self, chunk: Chunk) -> Scene | None:
        name = chunk.provenance.source
        if name not in self.origins:
            known = {source.name: source for source in self.kb.catalog.sources()}[name]
            folder = bundled_packs().get(known.root[5:]) if known.root.startswith("pack:") else Path(known.root)
            if not known.root or folder is None or not folder.exists():
                return None
            options = self.kb.catalog.source_options(name, known.root)
            self.origins[name] = make_source(self.kb.plugins, str(folder), known.kind, options)
        origin = self.origins[name]
        if hasattr(origin, "open_image"):
            opened: Scene | None = origin.open_image(chunk.image)
            return opened
        return open_scene(str(Path(getattr(origin, "root", "") or ".") / chunk.image), self.kb.plugins)


class _Both:
    """The vectors of all spaces as they will be: staged ones where they are made anew."""

    def __init__(self, kb: KnowledgeBase, staged: Staging) -> None:
        self._old = kb.catalog.vectors
        self._staged = staged

    def counts(self) -> dict[str, int]:
        kept = {space: count for space, count in self._old.counts().items() if space not in self._staged.goal}
        return kept | self._staged.counts()

    def after(self, space: str, after: int, limit: int) -> list[tuple[int, str, NDArray[np.float32]]]:
        return (self._staged if space in self._staged.goal else self._old).after(space, after, limit)


def _parts(encoder: Any, chunk: Chunk) -> list[str]:
    """What is encoded for a chunk: one text, or several where the encoder takes less than the one before."""
    whole = spoken(chunk.part, chunk.title, chunk.provenance.heading, chunk.text)

    def fits(text: str) -> bool:
        limit = int(encoder.max_tokens)
        return len(text.encode()) + 2 <= limit or int(encoder.count_tokens(text)) <= limit

    if fits(whole):
        return [whole]
    if chunk.part in NAME_PARTS:
        return split(whole, fits)
    in_context = list(_in_context(chunk, fits))
    return in_context if all(map(fits, in_context)) else split(whole, fits)


def _in_context(chunk: Chunk, fits: Callable[[str], bool]) -> Iterator[str]:
    """The parts of a text with its title before each."""
    heading = chunk.provenance.heading
    for text in split(chunk.text, lambda t: fits(embedding_text(chunk.title, heading, t))):
        yield embedding_text(chunk.title, heading, text)


def _named(chunks: Sequence[Chunk]) -> str:
    names = [f"{chunk.provenance.source}: {chunk.image}" for chunk in chunks]
    more = f" and {len(names) - NAMED:,} more images" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
