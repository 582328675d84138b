"""Label an image, or a whole collection, by the encoder's prompts; a collection's own structure sharpens them, and so
do images of a knowledge base whose labels are known."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .confidence import unsuitable
from .errors import RsragError
from .guarded import checked_vectors
from .ingest import name_vector
from .references import Referees, References
from .scene import decoded
from .transduction import shares_of, sharpen
from .types import Chunk, Classification, Classifications, PathLike, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.knowledge_base import KnowledgeBase

LABEL_TEMPERATURE: Final = 0.04
"""Turns cosines of labels into shares; between the encoder's typical margin and its noise."""
DOUBTFUL: Final = 0.6
"""An image whose best label has a smaller share deserves a look."""
IMAGES: Final = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .jp2 .vrt".split())
"""What counts as an image in a folder: the same as for the source `folder`."""
MOST_IMAGES: Final = 50
"""So many images of a knowledge base are asked for each label: with more, labels that have few lose to those that have
many (`benchmarks/rag_pays.py`)."""
BATCH: Final = 32
BEST: Final = 5

Progress = Callable[[int, int | None, str], None]
T = TypeVar("T")


def no_progress(done: int, total: int | None, what: str) -> None:
    """Nobody watches."""


def classify_one(
    encoder: Any, scene: Scene, labels: Sequence[str], references: References | None = None
) -> Classification:
    """All labels with their shares. Raises `RsragError` for fewer than two different labels.

    With `references`, images whose labels are known (`KnownImages`), they decide among the labels that they show.
    """
    labels = distinct(labels)
    prompts, vector = label_vectors(encoder, labels), encoder.encode_scenes([scene])[0]
    return decided(labels, prompts, vector, Referees(references, prompts) if references else None, scene, encoder)


def decided(
    labels: Sequence[str],
    prompts: NDArray[np.float32],
    vector: NDArray[np.float32],
    referees: Referees | None,
    scene: Scene,
    encoder: Any,
) -> Classification:
    """As `classify_one`, from vectors that are known: (labels, dim) of the prompts, (dim,) of the scene."""
    import numpy as np

    cosines = (prompts @ vector).astype(np.float64)
    judged = cosines if referees is None else referees.judged(vector, cosines)
    shares = shares_of(judged, LABEL_TEMPERATURE)
    return _classification(labels, shares, _caution(encoder, scene), scene.uri, int(cosines.argmax()), len(labels))


class KnownImages:
    """The images of a knowledge base with what they are called, as it was when this was made."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._kb = kb
        self._images = [
            (_names_of(chunk), chunk.content_hash, chunk.provenance.record)
            for chunk in kb.catalog.chunks.where("c.kind = 'image'", ())
        ]

    def showing(self, labels: Sequence[str], most: int = MOST_IMAGES) -> References:
        """Those that show one of the labels, at most so many of each, spread over the store.

        An image shows a label when the end of its subject, its title, an alias or one of its facets is the label,
        whatever the case, the separators and the plural; the first of these that is a label counts.
        """
        import numpy as np

        places = {_key(label): place for place, label in enumerate(labels)}
        found: dict[int, list[tuple[str, str]]] = {}
        for names, digest, record in self._images:
            place = next((places[name] for name in names if name in places), None)
            if place is not None:
                found.setdefault(place, []).append((digest, record))
        kept = [(place, *image) for place in sorted(found) for image in _spread(found[place], most)]
        vectors = self._kb.catalog.vectors.of("images", [digest for _, digest, _ in kept])
        kept = [image for image in kept if image[1] in vectors]
        return References(
            np.array([vectors[digest] for _, digest, _ in kept], np.float32).reshape(len(kept), self._kb.encoder.dim),
            np.array([place for place, _, _ in kept], np.intp),
            tuple(record for _, _, record in kept),
        )


def _spread(images: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of them, evenly."""
    return images if len(images) <= most else [images[n * len(images) // most] for n in range(most)]


def _names_of(chunk: Chunk) -> list[str]:
    facets = [v for value in chunk.facets.values() for v in (value if isinstance(value, tuple) else (value,))]
    words = [chunk.subject.rpartition("/")[2], chunk.title, *chunk.aliases, *(v for v in facets if isinstance(v, str))]
    return [name for word in words if (name := _key(word))]


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()).removesuffix("s")


def classify_all(
    encoder: Any,
    images: Sequence[PathLike | Scene],
    labels: Sequence[str],
    opened: Callable[[PathLike | Scene], Scene],
    *,
    plain: bool = False,
    references: References | None = None,
    progress: Progress = no_progress,
) -> Classifications:
    """Label images and all those in folders together; `plain` leaves each to the prompts alone, and `references` to
    prompts and images whose labels are known.

    `opened` makes a Scene of a path. An image that cannot be read costs itself only. Of an image its embedding is
    kept and no pixels. Raises `RsragError` for fewer than two labels and when no image can be read.
    """
    import numpy as np

    labels = distinct(labels)
    prompts = label_vectors(encoder, labels)
    failed: list[tuple[str, str]] = []
    wanted = list(_listed(images, failed))
    rows: list[NDArray[np.float32]] = []
    seen: list[tuple[str, str]] = []
    done = 0

    def read(image: PathLike | Scene) -> Scene | str:
        try:
            return decoded(opened(image))
        except (RsragError, OSError) as error:
            return str(error)

    waiting = iter(wanted)
    with ThreadPoolExecutor(os.cpu_count() or 2, "decode") as pool:
        while batch := list(islice(waiting, BATCH)):
            scenes = []
            for image, scene in zip(batch, pool.map(read, batch), strict=True):
                if isinstance(scene, str):
                    failed.append((_name(image), scene))
                else:
                    scenes.append(scene)
                    seen.append((_name(image), _caution(encoder, scene)))
            if scenes:
                rows.append(checked_vectors(encoder, encoder.encode_scenes(scenes), len(scenes)))
            done += len(batch)
            progress(done, len(wanted), "images")
    if not seen:
        first = f" ({failed[0][0]}: {failed[0][1]})" if failed else ""
        raise RsragError(
            f"none of {len(failed):,} images can be read{first}." if failed else "there is no image to classify.",
            "Give images, or a folder that holds some: " + ", ".join(sorted(IMAGES)) + ".",
        )
    embeddings = np.concatenate(rows)
    cosines = embeddings @ prompts.T
    if references is not None:
        referees = Referees(references, prompts)
        judged = [referees.judged(*pair) for pair in zip(embeddings, cosines, strict=True)]
        shares = shares_of(np.array(judged, np.float64), LABEL_TEMPERATURE)
    elif plain:
        shares = shares_of(cosines, LABEL_TEMPERATURE)
    else:
        shares = sharpen(embeddings, prompts, LABEL_TEMPERATURE)
    found = zip(shares, cosines.argmax(axis=1), seen, strict=True)
    return Classifications(
        tuple(_classification(labels, row, why, name, int(alone), BEST) for row, alone, (name, why) in found),
        tuple(failed),
    )


def distinct(labels: Sequence[str]) -> list[str]:
    """Labels without blanks and repetitions; a single text is split at commas."""
    labels = labels.split(",") if isinstance(labels, str) else labels
    labels = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if len(labels) < 2:
        raise RsragError("classifying needs at least two different labels.", "Give --labels airport,harbour,...")
    return labels


def images_below(folder: Path, failed: list[tuple[str, str]]) -> list[Path]:
    """The images of a folder and the folders in it, by name; hidden ones are left out. Folders that cannot be listed
    are added to `failed`."""

    def fail(error: OSError) -> None:
        failed.append((str(error.filename), f"cannot be listed: {error.strerror}"))

    found = []
    for top, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(top, n) for n in sorted(names) if not n.startswith(".") and Path(n).suffix.lower() in IMAGES]
    return found


def _listed(images: Sequence[PathLike | Scene], failed: list[tuple[str, str]]) -> Iterator[PathLike | Scene]:
    for image in images:
        if isinstance(image, Scene):
            yield image
        elif (path := Path(image).expanduser()).is_dir():
            yield from images_below(path, failed)
        else:
            yield image


def _name(image: PathLike | Scene) -> str:
    return image.uri if isinstance(image, Scene) else str(image)


def label_vectors(encoder: Any, labels: Sequence[str]) -> NDArray[np.float32]:
    """(labels, dim) unit rows: each label in all prompts of the encoder, averaged."""
    import numpy as np

    return np.stack([name_vector(encoder, "label", label) for label in labels])


def _caution(encoder: Any, scene: Scene) -> str:
    return unsuitable(scene, getattr(encoder, "max_gsd_m", None))


def _classification(
    labels: Sequence[str], shares: Any, reason: str, image: str, alone: int, best: int
) -> Classification:
    order = (-shares).argsort(kind="stable")[:best]
    scores = tuple((labels[i], float(shares[i])) for i in order)
    return Classification(scores[0][0], scores, reason, image, labels[alone])
