"""Classification of labelled images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from rsrag import Sample
from rsrag.evaluation.located import Located

from .pictures import Picture, PictureSource, asked, known, read_pictures

QUESTION = "Which of these classes does the image show?"


class LabelsBenchmark(Located):
    """Labelled images: which class does each show? `path` is a folder per class, perhaps below train/ and val/ or
    test/, or JSON lines of {"file", "label", "split"}, with `images` where the files are, if not beside them.

    The training images are the knowledge. Without splits a fifth of the images is asked about.
    """

    name: ClassVar[str] = "labels"

    def __init__(self, path: str | Path, images: str | Path = "") -> None:
        self._path, self._images = Path(path).expanduser(), images

    @cached_property
    def _pictures(self) -> list[Picture]:
        return [picture for picture in read_pictures(self._path) if picture.label]

    def samples(self, split: str = "") -> Iterator[Sample]:
        """One question per image of the split, with all classes to choose from."""
        labels = tuple(sorted({p.label.replace("_", " ") for p in self._pictures}))
        for p in asked(self._pictures, split):
            yield Sample(p.file, "classify", QUESTION, (p.file,), (p.label.replace("_", " "),), labels)

    def sources(self, split: str = "") -> list[PictureSource]:
        """The training images."""
        return [PictureSource(self.root, known(self._pictures, split), "labels")]
