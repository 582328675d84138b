"""What a class is called in words, as vectors: phrases in templates, encoded once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsrag.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rsrag.interfaces import TextEncoder

TEMPLATES = (
    "a satellite image of {}.",
    "an aerial photo of {}.",
    "{} seen from above.",
    "this is {}.",
    "{}",
    "there is {} in the image.",
)


def read_names(file: Path) -> dict[str, tuple[str, ...]]:
    """label -> phrases, the first of which is the name, from a TOML file of string lists."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"{file} cannot be read as names ({error}).", 'Write lines like: Pond = ["pond", "lake"]'
        ) from error
    for label, phrases in found.items():
        if not isinstance(phrases, list) or not phrases or not all(isinstance(p, str) and p.strip() for p in phrases):
            raise UsageError(
                f"{file}: '{label}' is not a list of phrases.", f'Write: {label} = ["name", "another name"]'
            )
    return {label: tuple(phrases) for label, phrases in found.items()}


def spoken(label: str) -> str:
    """A label as words: "StorageTanks" and "storage_tanks" become "storage tanks"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    return re.sub(r"[\s_\-./]+", " ", words).strip().lower()


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of all data sets. A class is a (dataset, label) pair; `bank` holds, per class, its phrases in
    templates, float32 (phrases * templates, dim); `names` the mean of the standard prompts, (classes, dim)."""

    keys: tuple[tuple[str, str], ...]
    words: tuple[str, ...]
    bank: tuple[NDArray[np.float32], ...]
    names: NDArray[np.float32]

    def index(self) -> dict[tuple[str, str], int]:
        return {key: i for i, key in enumerate(self.keys)}

    def of(self, dataset: str) -> list[int]:
        """Which classes belong to a data set."""
        return [i for i, (d, _) in enumerate(self.keys) if d == dataset]


def make_classes(
    keys: Iterable[tuple[str, str]],
    encoder: TextEncoder,
    names: Mapping[str, Sequence[str]],
    standard: Sequence[str] = TEMPLATES[:3],
) -> Classes:
    """Encode the phrases of every (dataset, label)."""
    import numpy as np

    found = tuple(sorted(keys))
    phrases = [tuple(names.get(label, (spoken(label),))) for _, label in found]
    texts = sorted({t.format(p) for group in phrases for p in group for t in (*TEMPLATES, *standard)})
    vectors = dict(zip(texts, encoder.encode_texts(texts), strict=True)) if texts else {}
    bank = tuple(np.stack([vectors[t.format(p)] for p in group for t in TEMPLATES]) for group in phrases)
    mean = np.array([np.mean([vectors[t.format(group[0])] for t in standard], 0) for group in phrases], np.float32)
    mean = mean.reshape(len(found), encoder.dim)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True).clip(1e-9)
    return Classes(found, tuple(group[0] for group in phrases), bank, mean)
