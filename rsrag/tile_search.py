"""Rank the tiles of one scene by how well they fit a text or look like an image, without a store.

The vectors of a scene's tiles are kept in the user's cache, so that the next question to the same file is answered at
once. A score is told in two ways: `z` in deviations above unrelated pairs of the knowledge base, which says whether the
thing is there at all, and `lead` in deviations above the scene's own tiles, which says where.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .confidence import z_score
from .errors import RsragError, SceneError, UsageError
from .guarded import checked_vectors
from .images import Region
from .ingest import name_vector
from .tiling import Tile, TiledScene
from .types import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TILE: Final = 512
OVERLAP: Final = 64
BATCH: Final = 32
SHARED: Final = 0.25
"""Of two tiles that share more than this part of their area only the better one is listed."""
LEAST_TILES: Final = 8
"""Among fewer tiles a mean and a deviation say nothing."""
MOST_KEPT: Final = 64  # scenes whose vectors stay in the cache

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class TileHit:
    """A tile and how well it fits. `region` is in pixels of the scene; `rank` counts from 1 among those listed and is 0
    for the others. `lead` and `z` as above; None where too little is known to tell."""

    row: int
    column: int
    region: Region
    cosine: float
    lead: float | None = None
    z: float | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class TileSearch:
    """All tiles with their scores, best first, and the scene they are of. `best` are those listed; `blank` counts tiles
    that were left out, `failed` those that could not be read, and `problem` is the first reason."""

    scene: Scene
    query: str
    tiles: tuple[TileHit, ...]
    blank: int = 0
    failed: int = 0
    problem: str = ""
    cached: bool = False

    @property
    def best(self) -> tuple[TileHit, ...]:
        return tuple(tile for tile in self.tiles if tile.rank)

    def window(self, tile: TileHit) -> Scene:
        """A tile as a scene of its own: its uri, its place on Earth, its pixels."""
        return self.scene.window(*tile.region)


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Unit vectors float32 (n, dim) of the tiles with those numbers, and what became of the rest."""

    numbers: NDArray[np.int64]
    vectors: NDArray[np.float32]
    blank: int
    failed: int
    problem: str


def search_tiles(
    encoder: Any,
    scene: Scene,
    text: str = "",
    image: Scene | None = None,
    *,
    tile: int = TILE,
    overlap: int = OVERLAP,
    k: int = 10,
    nulls: Callable[[str], Sequence[float] | None] = lambda by: None,
    cache: Path | None = None,
    progress: Progress = lambda done, total, what: None,
) -> TileSearch:
    """Rank the tiles of a scene by a text (in the encoder's prompts) or an image.

    `k` tiles are listed; `nulls` gives mean and deviation of unrelated pairs when asked by "text" or "scene"; `cache`
    is the folder where vectors are kept. Raises `UsageError` unless there is either a text or an image, and
    `SceneError` when no tile can be read.
    """
    if bool(text.strip()) == (image is not None):
        raise UsageError("tiles are ranked by a text or by an image.", "Give one of the two.")
    if k < 1:
        raise UsageError(f"k is {k}; at least one tile is needed.")
    tiled = TiledScene(scene, tile, overlap)
    file = _cache_file(cache, scene, tile, overlap, encoder.id) if cache else None
    encoded = _load(file, len(tiled.tiles), encoder.dim) if file else None
    cached = encoded is not None
    if encoded is None:
        encoded = _encode(encoder, tiled, progress)
        if file and not encoded.failed:
            _save(file, encoded)
    if not len(encoded.numbers):
        why = f" ({encoded.problem})" if encoded.problem else ": all are blank"
        raise SceneError(f"no tile of {scene.uri} can be searched{why}.", "Give a scene that holds pixels.")
    asked = (
        name_vector(encoder, "label", text.strip())
        if image is None
        else checked_vectors(encoder, encoder.encode_scenes([image]), 1)[0]
    )
    hits = rank(
        [tiled.tiles[n] for n in encoded.numbers.tolist()],
        (encoded.vectors @ asked).astype(float).tolist(),
        k,
        nulls("text" if image is None else "scene"),
    )
    query = text.strip() if image is None else Path(image.uri).name
    return TileSearch(tiled.scene, query, tuple(hits), encoded.blank, encoded.failed, encoded.problem, cached)


def rank(tiles: Sequence[Tile], cosines: Sequence[float], k: int, null: Sequence[float] | None = None) -> list[TileHit]:
    """Tiles by falling cosine; the first `k` that do not lie over a better one are ranked. Pure."""
    import numpy as np

    values = np.array(cosines)
    mean, spread = float(values.mean()), float(values.std())
    tells = len(values) >= LEAST_TILES and spread > 1e-6
    order = sorted(range(len(tiles)), key=lambda i: (-cosines[i], tiles[i].row, tiles[i].column))
    listed: list[Region] = []
    hits = []
    for i in order:
        region, position = tiles[i].region, 0
        if len(listed) < k and all(shared(region, other) <= SHARED for other in listed):
            listed.append(region)
            position = len(listed)
        lead = (cosines[i] - mean) / spread if tells else None
        z = z_score(cosines[i], null)
        hits.append(TileHit(tiles[i].row, tiles[i].column, region, cosines[i], lead, z, position))
    return hits


def shared(one: Region, other: Region) -> float:
    """The part of the smaller of two regions that lies in the other, 0..1."""
    across = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    down = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    return max(0, across) * max(0, down) / min(one.w * one.h, other.w * other.h)


def _encode(encoder: Any, tiled: TiledScene, progress: Progress) -> _Encoded:
    """Encode all tiles that are not blank; the next batch is read meanwhile."""
    import numpy as np

    tiles = tiled.filled()
    numbers = {tile: number for number, tile in enumerate(tiled.tiles)}
    blank, failed, problem = len(tiled.tiles) - len(tiles), 0, ""
    rows: list[NDArray[np.float32]] = []
    kept: list[int] = []

    def read(tile: Tile) -> Scene | str | None:
        try:
            return tiled.read(tile)
        except (RsragError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor(max(2, os.cpu_count() or 2), "decode") as pool:
        batches = [tiles[start : start + BATCH] for start in range(0, len(tiles), BATCH)]
        ahead = [pool.submit(read, tile) for tile in batches[0]] if batches else []
        try:
            for position, batch in enumerate(batches):
                current = [future.result() for future in ahead]
                ahead = [pool.submit(read, tile) for tile in (batches[position + 1 : position + 2] or [[]])[0]]
                scenes = []
                for tile, scene in zip(batch, current, strict=True):
                    if isinstance(scene, Scene):
                        scenes.append(scene)
                        kept.append(numbers[tile])
                    elif scene is None:
                        blank += 1
                    else:
                        failed, problem = failed + 1, problem or scene
                if scenes:
                    rows.append(checked_vectors(encoder, encoder.encode_scenes(scenes), len(scenes)))
                progress(min(len(tiles), (position + 1) * BATCH), len(tiles), "tiles")
        finally:
            for future in ahead:
                future.cancel()
    vectors = np.concatenate(rows) if rows else np.zeros((0, encoder.dim), np.float32)
    return _Encoded(np.array(kept, np.int64), vectors, blank, failed, problem)


# -- the cache ------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where vectors of tiles are kept: a folder of the user's cache, which may be deleted at any time."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("rsrag")) / "tiles"


def _cache_file(folder: Path, scene: Scene, tile: int, overlap: int, encoder: str) -> Path | None:
    """Where the vectors of that file, as it is now, are kept; None for what is no local file."""
    path = Path(scene.uri.partition("#")[0].removeprefix("file://"))
    try:
        about = path.stat()
    except (OSError, ValueError):
        return None
    # How the bands are understood decides which of them are shown.
    key = [str(path.absolute()), about.st_mtime_ns, about.st_size, scene.uri.partition("#")[2], tile, overlap, encoder]
    digest = hashlib.blake2b(json.dumps([*key, scene.roles]).encode(), digest_size=16).hexdigest()
    return folder / f"{digest}.npz"


def _load(file: Path, most: int, dim: int) -> _Encoded | None:
    """What was kept; None when there is nothing, or nothing that can be used."""
    import zipfile

    import numpy as np

    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            numbers, vectors, blank = data["numbers"], data["vectors"], int(data["blank"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    if vectors.shape != (len(numbers), dim) or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        return None
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= most):
        return None
    with suppress(OSError):
        os.utime(file)  # used last
    return _Encoded(numbers.astype(np.int64), vectors, blank, 0, "")


def _save(file: Path, encoded: _Encoded) -> None:
    """Keep vectors for the next time; a cache that cannot be written is none."""
    import numpy as np

    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            np.savez(stream, numbers=encoded.numbers, vectors=encoded.vectors, blank=np.int64(encoded.blank))
        part.replace(file)
        kept = sorted(file.parent.glob("*.npz"), key=lambda path: -path.stat().st_mtime)
        for old in kept[MOST_KEPT:]:
            old.unlink(missing_ok=True)
