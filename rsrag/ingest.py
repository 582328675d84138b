"""From a source to the store: read, chunk, decode, caption, encode, write; resumable, and free when unchanged.

Decoding runs in threads ahead of the encoder and writing behind it, with bounded queues between, so that memory
does not grow with the number of images. A batch is one transaction: what was acknowledged survives anything.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .chunking import FACT_PART, NAME_PARTS, chunk, chunk_id, provenance, spoken
from .errors import PluginError, RsragError, UsageError
from .geojson import read_shape
from .guarded import checked_vectors
from .images import DecodedReader
from .plugins import Plugins
from .scene import decoded, open_scene
from .store.filesystem import require_room, write_whole
from .store.records import Batch
from .store.roots import remember
from .types import Chunk, IngestReport, Record, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]

BATCH = 64
BATCH_BYTES = 25_000_000
"""Or fewer records, where their pictures come to so much: 32 of 512 x 512 pixels."""
AHEAD = 32
"""So many records are decoded before they are asked for: enough to do while a batch is encoded."""
PREVIEW_SIDE = 512
SETTLE_SECONDS = 0.7
MOST_REPEATS = 10_000
"""A source may yield so many records in a row whose ids it has yielded before."""


# -- which source ---------------------------------------------------------------------------------


def guess_kind(plugins: Plugins, what: Any) -> str:
    """The kind of source that fits a path, URL or object best, by asking each kind's `matches`.

    Raises `UsageError` when none does.
    """
    best, kind = 0.0, ""
    for name, cls in plugins.offers("source").items():
        matches = getattr(cls, "matches", None)
        score = float(matches(what)) if matches else 0.0
        if score > best:
            best, kind = score, name
    if not kind:
        seen = what if isinstance(what, str | Path) else type(what).__name__
        missing = isinstance(what, str | Path) and not Path(what).expanduser().exists()
        raise UsageError(
            f"'{seen}' does not exist." if missing else f"no kind of source can read '{seen}'.",
            f"Kinds of sources: {', '.join(sorted(plugins.offers('source')))}.",
        )
    return kind


def make_source(plugins: Plugins, what: Any, kind: str = "", options: dict[str, Any] | None = None) -> Any:
    """A source from a path, URL, LangChain loader, name of a kind, or a source itself."""
    options = options or {}
    if hasattr(what, "records"):
        return what
    if not kind and isinstance(what, str) and what in plugins.offers("source") and not Path(what).exists():
        return plugins.create("source", what, **options)
    kind = kind or guess_kind(plugins, what)
    cls = plugins.offers("source").get(kind)
    if cls is None:
        return plugins.create("source", kind)  # raises, and says what there is
    first = next(iter(_parameter_names(cls)), "path")
    value = str(Path(what).expanduser()) if isinstance(what, str | Path) and "://" not in str(what) else what
    return plugins.create("source", kind, **{first: value, **options})


def _parameter_names(cls: type[Any]) -> list[str]:
    import inspect

    return list(inspect.signature(cls).parameters)


def _name(origin: Any) -> str:
    return str(getattr(origin, "label", "") or origin.name)


def _free_name(kb: KnowledgeBase, name: str, origin: Any) -> str:
    """The name a source goes by when nobody gave it one: a folder whose name is taken also says its parent's."""
    taken = {known.name: known.root for known in kb.catalog.sources()}
    root = _root(origin)
    folder = Path(root)
    while root and taken.get(name, root) != root and folder.parent != folder:
        folder = folder.parent
        name = f"{folder.name}/{name}"
    return name


def _root(origin: Any) -> str:
    root = getattr(origin, "root", None)
    return remember(Path(root)) if root else ""


# -- the run --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Image:
    uri: str
    scene: Scene
    digest: str
    preview: bytes
    pixels: int


@dataclass(slots=True)
class _Prepared:
    record: Record
    version: str
    images: list[_Image] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    refused: bool = False


def add(
    kb: KnowledgeBase,
    what: Any,
    *,
    source: str = "",
    kind: str = "",
    captioner: Any = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    prune: bool = False,
    **options: Any,
) -> IngestReport:
    """Add everything a source yields. See `KnowledgeBase.add`.

    Unchanged records cost neither decoding nor encoding; a changed one replaces its chunks. A record that fails
    costs itself and is reported. An interrupted run is resumed by doing it again. With `prune`, records that the
    source yielded once and does no more are removed.
    """
    origin = make_source(kb.plugins, what, kind, options)
    if getattr(origin, "plugins", kb) is None:
        origin.plugins = kb.plugins
    name = source or _name(origin)
    if not options and origin is not what:
        # Added again without options, a source keeps those it was first added with.
        options = kb.catalog.source_options(name, _root(origin))
        if options:
            origin = make_source(kb.plugins, what, kind, options)
            if getattr(origin, "plugins", kb) is None:
                origin.plugins = kb.plugins
    name = source or _free_name(kb, name, origin)
    run = _Run(kb, origin, name, kb.plugins.resolve("captioner", captioner) if captioner else None, progress)
    run.options = options
    run.prune = prune
    return run.dry() if dry_run else run.run()


class _Run:
    def __init__(self, kb: KnowledgeBase, origin: Any, name: str, captioner: Any, progress: Progress | None) -> None:
        self.kb = kb
        self.origin = origin
        self.name = name
        self.role = str(getattr(origin, "role", "mine"))
        self.root = Path(getattr(origin, "root", "") or ".")
        self.captioner = captioner
        self.progress = progress or (lambda done, total, text: None)
        self.failed: list[tuple[str, str]] = []
        self.added = self.updated = self.unchanged = self.embedded = self.done = 0
        self.seen: set[str] = set()
        self.claimed = False
        self.grown = False  # vectors came in, encoded or brought along
        self.removed = 0
        self.options: dict[str, Any] = {}
        self.prune = False
        self.started = self.settled = time.monotonic()
        self.stored: dict[str, str] = {}
        self.brought: dict[str, dict[str, NDArray[np.float32]]] = {}
        self.more = threading.Event()
        """Another batch waits to be written."""
        # Vectors that a batch on its way to the store already holds: equal pixels are encoded once.
        self.flying: set[tuple[str, str]] = set()

    @functools.cached_property
    def total(self) -> int | None:
        """How many records the source has, where it can tell; counted once."""
        try:
            return len(self.origin)
        except TypeError:
            return None

    def _tell(self) -> None:
        # A source may yield more than it has files: what the bands of an image say is a record too.
        self.progress(self.done, None if self.total is None else max(self.total, self.done), self.name)

    def report(self) -> IngestReport:
        problems = [(str(w), str(y)) for w, y in getattr(self.origin, "problems", ())]
        return IngestReport(
            self.name,
            self.added,
            self.updated,
            self.unchanged,
            tuple(_together(self.failed) + problems),
            self.embedded,
            time.monotonic() - self.started,
            tuple(dict(getattr(self.origin, "skipped", {})).items()),
            self.removed,
        )

    def dry(self) -> IngestReport:
        """Count what would happen; reads the source, writes and encodes nothing."""
        self.stored = self.kb.catalog.records.versions(self.name)
        for record in self.origin.records():
            self.seen.add(record.id)
            self._count(record, record.version or None)
        if self.prune:
            self.removed = len(self._vanished())
        return self.report()

    def run(self) -> IngestReport:
        with self.kb.writer():
            self._refuse_taken_name()
            self.kb.spaces.declare()
            self.stored = self.kb.catalog.records.versions(self.name)
            if hasattr(self.origin, "known"):
                self.origin.known = self.stored  # what is unchanged need not even be opened
            workers = max(2, (os.cpu_count() or 2))
            try:
                with ThreadPoolExecutor(workers, "decode") as decoders, ThreadPoolExecutor(1, "write") as writer:
                    pending: Future[None] | None = None
                    for batch in _batches(self._prepared(decoders, AHEAD), BATCH):
                        ready, previews = self._encode(batch)
                        batch.clear()  # its pixels are not needed while the next one is collected
                        if pending:
                            self.more.set()
                            pending.result()
                            self.flying.clear()
                            self.more.clear()
                        self.flying.update(ready.vectors)
                        pending = writer.submit(self._write, ready, previews)
                        self._tell()
                    if pending:
                        self.more.set()
                        pending.result()
                if gone := [id for id in getattr(self.origin, "gone", ()) if id in self.stored]:
                    self.removed = self._remove(gone)
                if self.prune and (gone := self._vanished()):
                    self.removed += self._remove(gone)
            finally:
                self.kb.catalog.vectors.retire()
                self.kb.settle()  # what the catalog has, Chroma gets, however the run ends
            if self.grown or not self.kb.spaces.null("texts", "text"):
                self.kb.spaces.learn_nulls()
        return self.report()

    def _remove(self, ids: list[str]) -> int:
        self.kb.before_change()
        return self.kb.catalog.records.remove(self.name, ids)

    def _vanished(self) -> list[str]:
        """Stored ids that the whole source did not yield; one that could only not be read is still there.

        Raises `UsageError` when it yielded nothing at all: a disk that is not mounted looks like an empty folder.
        """
        unread = {str(where).partition("#")[0] for where, _ in getattr(self.origin, "problems", ())}

        def was_read(id: str) -> bool:
            file = id.partition("#")[0]
            return unread.isdisjoint({file, *map(str, Path(file).parents)})

        removed = set(getattr(self.origin, "gone", ()))  # already, as what an earlier cut left
        gone = [id for id in self.stored if id not in self.seen and id not in removed and was_read(id)]
        if gone and not self.seen:
            raise UsageError(
                f"the source '{self.name}' yields nothing, so nothing of it was pruned.",
                f"Is its disk there? To take it out: rsrag kb remove '{self.name}'",
            )
        return gone

    def _refuse_taken_name(self) -> None:
        root = _root(self.origin)
        for known in self.kb.catalog.sources():
            if known.name == self.name and known.root != root:
                raise UsageError(
                    f"the source name '{self.name}' already belongs to {known.root or known.kind}.",
                    "Give this one another name with --source NAME.",
                )

    def _count(self, record: Record, version: str | None) -> bool:
        """Whether a record is new or changed, counted. `None`: cannot be told without reading its images."""
        known = self.stored.get(record.id)
        if known is not None and version is not None and known == version:
            self.unchanged += 1
            return False
        if known is None:
            self.added += 1
        else:
            self.updated += 1
        return True

    def _lose(self, record: Record, why: str) -> None:
        """A record that was counted as new or changed and could not be stored after all."""
        self.failed.append((record.id, why))
        if record.id in self.stored:
            self.updated -= 1
        else:
            self.added -= 1

    # -- reading and decoding, ahead of the encoder -------------------------------------------------

    def _prepared(self, pool: ThreadPoolExecutor, ahead: int) -> Iterator[_Prepared]:
        """Records that need work, decoded, in order; at most `ahead` of them in memory."""
        queue: deque[Future[_Prepared]] = deque()
        for record in self._records():
            queue.append(pool.submit(self._prepare, record))
            if len(queue) >= ahead:
                yield from self._take(queue.popleft())
        while queue:
            yield from self._take(queue.popleft())

    def _records(self) -> Iterator[Record]:
        repeats = 0
        for record in self.origin.records():
            repeats = repeats + 1 if record.id in self.seen else 0
            if repeats > MOST_REPEATS:
                raise PluginError(
                    f"source '{self.name}' gave nothing new in {MOST_REPEATS:,} records; it seems to have no end.",
                    "What was stored before is kept; leave it out, or report it to its author.",
                )
            if repeats:
                self.failed.append((record.id, "the source yielded this id twice; the second was left out."))
                continue
            self.seen.add(record.id)
            if record.version and self.stored.get(record.id) == record.version:
                self.unchanged += 1
                self.done += 1
                if self.done % 500 == 0:
                    self._tell()
                continue
            yield record

    def _take(self, future: Future[_Prepared]) -> Iterator[_Prepared]:
        prepared = future.result()
        self.done += 1
        self.failed += prepared.problems
        if prepared.refused:
            return
        empty = not prepared.images and not _has_text(prepared.record)
        if empty and prepared.problems:
            return  # its only content could not be read; that is already reported
        if empty:
            self.failed.append((prepared.record.id, "it has neither text nor image."))
            return
        if self._count(prepared.record, prepared.version):
            yield prepared

    def _prepare(self, record: Record) -> _Prepared:
        prepared = _Prepared(record, record.version)
        if fault := _fault(record):
            prepared.problems.append((ascii(record.id)[1:-1], fault))
            prepared.refused = True
            return prepared
        for uri in record.images:
            where = f"{record.id}: {uri}" if uri not in record.id else uri
            try:
                if image := self._decode(uri):
                    prepared.images.append(image)
                else:  # the source leaves it out, and counts it
                    prepared.refused = not _has_text(record)
            except RsragError as error:
                prepared.problems.append((where, error.message))
            except Exception as error:  # a reader's bug in one image must not end a night's run
                prepared.problems.append((where, f"{type(error).__name__}: {error}"))
        if not prepared.version:
            prepared.version = _record_digest(record, [image.digest for image in prepared.images])
        return prepared

    def _decode(self, uri: str) -> _Image | None:
        if hasattr(self.origin, "open_image"):
            opened = self.origin.open_image(uri)
            if opened is None:
                return None
        else:
            opened = open_scene(uri if "://" in uri else str(self.root / uri), self.kb.plugins)
        scene = opened if isinstance(opened.reader, DecodedReader) else decoded(opened, PREVIEW_SIDE)
        pixels = scene.rgb(PREVIEW_SIDE)
        digest = pixel_hash(pixels)
        preview = b"" if self.kb.preview_path(digest).exists() else _jpeg(pixels)
        return _Image(uri, scene, digest, preview, pixels.nbytes)

    # -- encoding -----------------------------------------------------------------------------------

    def _encode(self, batch: Sequence[_Prepared]) -> tuple[Batch, dict[str, bytes]]:
        kb, text_encoder = self.kb, self.kb.text_encoder

        def fits(text: str) -> bool:
            # No tokenizer makes more tokens than bytes, two marks aside; most texts need not be tokenized to know.
            limit = text_encoder.max_tokens
            return len(text.encode()) + 2 <= limit or text_encoder.count_tokens(text) <= limit

        out = Batch(self.name)
        wanted: dict[tuple[str, str], Any] = {}
        previews: dict[str, bytes] = {}
        captions = self._captions(batch)
        for prepared in batch:
            record = prepared.record
            try:
                chunks = chunk(record, fits, source=self.name, role=self.role, captions=captions.get(record.id, ()))
            except Exception as error:  # a tokenizer that chokes on one text must not end a night's run
                self._lose(record, f"its text cannot be split ({type(error).__name__}: {error}).")
                continue
            for ordinal, image in enumerate(prepared.images):
                chunks.append(self._image_chunk(record, image, ordinal))
                wanted["images", image.digest] = image.scene
                if image.preview:
                    previews[image.digest] = image.preview
            if record.vectors:
                # A figure is looked up, and found by its words; among thousands of its like its meaning tells nothing.
                told = any(piece.kind == "text" and piece.part != FACT_PART for piece in chunks)
                for piece in chunks:
                    if piece.kind == "text" and not (told and piece.part == FACT_PART):
                        text = spoken(piece.part, piece.title, piece.provenance.heading, piece.text)
                        wanted["texts", piece.content_hash] = text
                        if piece.part in NAME_PARTS and self._is_name(text):
                            wanted["names", piece.content_hash] = (piece.part, text)
            out.records.append((record, prepared.version, chunks))
        for space in ("images", "names", "texts"):
            keys = [key for key in wanted if key[0] == space]
            known = kb.catalog.vectors.known(space, [digest for _, digest in keys])
            keys = [key for key in keys if key[1] not in known and key not in self.flying]
            if keys and (brought := self._brought(space)):
                out.vectors.update((key, brought[key[1]]) for key in keys if key[1] in brought)
                keys = [key for key in keys if key[1] not in brought]
                self.grown = True
            vectors = self._vectors(space, [wanted[key] for key in keys])
            out.vectors.update(zip(keys, vectors, strict=True))
            self.embedded += len(keys)
            self.grown = self.grown or bool(keys)
        return out, previews

    def _brought(self, space: str) -> Mapping[str, NDArray[np.float32]]:
        """Vectors that the source brings along for the encoder of a space, by content hash."""
        if space not in self.brought:
            give, found = getattr(self.origin, "vectors_for", None), {}
            if give is not None:
                encoder: Any = self.kb.spaces.encoder_of(space)
                try:
                    found = dict(give(space, encoder.id))
                    checked_vectors(encoder, list(found.values()), len(found)) if found else ()
                except RsragError as error:
                    found = {}
                    self.failed.append((f"vectors of {space}", error.message))
            self.brought[space] = found
        return self.brought[space]

    def _is_name(self, text: str) -> bool:
        encoder = self.kb.encoder
        return encoder.count_tokens(text) <= encoder.max_tokens

    def _vectors(self, space: str, items: list[Any]) -> list[NDArray[np.float32]]:
        if not items:
            return []
        encoder: Any = self.kb.spaces.encoder_of(space)
        if space == "images":
            return list(checked_vectors(encoder, encoder.encode_scenes(items), len(items)))
        if space == "texts":
            return list(checked_vectors(encoder, encoder.encode_texts(items, role="passage"), len(items)))
        return [name_vector(encoder, part, text) for part, text in items]

    def _captions(self, batch: Sequence[_Prepared]) -> dict[str, tuple[str, ...]]:
        """Captions for images that came without any words, where a captioner was asked for."""
        if self.captioner is None:
            return {}
        silent = [p for p in batch if p.images and not _has_words(p.record)]
        scenes = [image.scene for p in silent for image in p.images]
        if not scenes:
            return {}
        made = self.captioner.caption(scenes)
        if len(made) != len(scenes):
            raise PluginError(
                f"captioner '{self.captioner.name}' returned {len(made)} captions for {len(scenes)} images.",
                "Its contract is one per image; leave it out or report it to its author.",
            )
        captions, position = {}, 0
        for p in silent:
            captions[p.record.id] = tuple(made[position : position + len(p.images)])
            position += len(p.images)
        return captions

    def _image_chunk(self, record: Record, image: _Image, ordinal: int) -> Chunk:
        return Chunk(
            id=chunk_id(self.name, record.id, "pixels/", ordinal),
            kind="image",
            part="image",
            ordinal=ordinal,
            title=record.title,
            text=next((s.text for s in record.sections if s.part == "caption"), ""),
            content_hash=image.digest,
            image=image.uri,
            provenance=dataclasses.replace(provenance(record, self.name, self.role), path=image.uri),
            aliases=record.aliases,
            facets=record.facets,
            bbox=record.bbox,
            acquired=record.acquired,
        )

    def _write(self, batch: Batch, previews: dict[str, bytes]) -> None:
        # Vectors go to the catalog, to its log and to the index, which keeps them twice.
        size = sum(map(len, previews.values())) + 4 * sum(vector.nbytes for vector in batch.vectors.values())
        require_room(self.kb.path, size, "the next batch")
        for digest, data in previews.items():
            write_whole(self.kb.preview_path(digest), data)
        if not self.claimed:
            self.kb.before_change()
            license = str(getattr(self.origin, "license", "") or "")
            root = _root(self.origin)
            self.kb.catalog.put_source(self.name, self.origin.name, self.role, root, license, self.options)
            self.claimed = True
        self.kb.catalog.records.put(batch)
        # Chroma takes a few large batches in half the time of many small ones; within a second is soon enough. It is
        # also late enough: the next batch may take minutes to encode.
        left = self.settled + SETTLE_SECONDS - time.monotonic()
        if left > 0 and self.more.wait(left):
            return
        self.kb.settle()
        self.settled = time.monotonic()


# -- small pure parts -----------------------------------------------------------------------------


def name_vector(encoder: Any, part: str, text: str) -> NDArray[np.float32]:
    """A label is encoded in every prompt of the encoder and averaged; a caption as it stands."""
    import numpy as np

    prompts = encoder.prompts if part == "label" and encoder.prompts else ("{}",)
    texts = [prompt.format(text) for prompt in prompts]
    mean = checked_vectors(encoder, encoder.encode_texts(texts, role="passage"), len(texts)).mean(axis=0)
    unit: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return unit


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """32 hexadecimal digits of an image's pixels, whatever file format they came in."""
    digest = hashlib.blake2b(f"image:{pixels.shape}".encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _together(failed: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Failures, those of the tiles of one image as one: a file cut short would bring a line for every tile."""
    tiles: dict[str, list[str]] = {}
    for where, why in failed:
        if "#xywh=" in where:
            tiles.setdefault(where.partition("#xywh=")[0], []).append(why)
    told = [f for f in failed if "#xywh=" not in f[0]]
    return told + [
        (image, f"{len(why):,} of its tiles cannot be read; of the first: {why[0]}") for image, why in tiles.items()
    ]


def _fault(record: Record) -> str:
    """Why a record cannot be stored, or ""."""
    try:
        json.dumps(dict(record.facets))
        "".join((record.id, record.title, record.text, *record.aliases, *(s.text for s in record.sections))).encode()
    except UnicodeEncodeError:
        return "its text holds characters that are no Unicode text (half of a surrogate pair)."
    except (TypeError, ValueError, RecursionError) as error:
        return f"its facets cannot be stored ({error})."
    if record.footprint:
        try:
            read_shape(record.footprint, "its footprint")
        except UsageError as error:
            return error.message
    return ""


def _has_words(record: Record) -> bool:
    return bool(record.text.strip()) or any(s.text.strip() for s in record.sections)


def _has_text(record: Record) -> bool:
    return _has_words(record) or bool(record.facts)


def _record_digest(record: Record, images: Sequence[str]) -> str:
    content = repr(dataclasses.replace(record, version="", facets=dict(sorted(record.facets.items()))))
    return hashlib.blake2b("\0".join([content, *images]).encode(), digest_size=12).hexdigest()


def _batches(items: Iterator[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    batch: list[_Prepared] = []
    held = 0
    for item in items:
        batch.append(item)
        held += sum(image.pixels for image in item.images)
        if len(batch) >= size or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
