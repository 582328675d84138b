"""Captioning of images that people have described."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from rsrag import Sample
from rsrag.evaluation.located import Located

from .pictures import Picture, PictureSource, asked, known, read_pictures

QUESTION = "Describe this image in one sentence."


class CaptionsBenchmark(Located):
    """Described images: describe each. `path` is a caption dataset in the form of RSICD, or JSON lines of {"file",
    "captions", "label", "split"}; `images` is where the files are, if not beside it.

    The training images with their captions are the knowledge.
    """

    name: ClassVar[str] = "captions"

    def __init__(self, path: str | Path, images: str | Path = "") -> None:
        self._path, self._images = Path(path).expanduser(), images

    @cached_property
    def _pictures(self) -> list[Picture]:
        return [picture for picture in read_pictures(self._path) if picture.captions]

    def samples(self, split: str = "") -> Iterator[Sample]:
        """One question per image of the split; all its captions are right."""
        for p in asked(self._pictures, split):
            yield Sample(p.file, "caption", QUESTION, (p.file,), p.captions)

    def sources(self, split: str = "") -> list[PictureSource]:
        """The training images with their captions."""
        return [PictureSource(self.root, known(self._pictures, split), "captions")]
