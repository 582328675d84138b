"""The built-in lanes: seven ways to look into the store, each a few lines over the knowledge base's searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rsrag import Hit, Query, hookimpl
from rsrag.interfaces import Knowledge, Need


class ImageToImage:
    """Images that look like the scene."""

    name: ClassVar[str] = "image-image"
    score: ClassVar[str] = "cosine"
    needs: ClassVar[tuple[Need, ...]] = ("scene",)
    votes: ClassVar[bool] = True

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_vectors(query, "images", "scene", k, self.name)


class ImageToName:
    """Labels and captions that fit the scene: what names it."""

    name: ClassVar[str] = "image-name"
    needs: ClassVar[tuple[Need, ...]] = ("scene",)
    votes: ClassVar[bool] = True

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_vectors(query, "names", "scene", k, self.name)


class TextToImage:
    """Images that show what the question says."""

    name: ClassVar[str] = "text-image"
    needs: ClassVar[tuple[Need, ...]] = ("text",)
    votes: ClassVar[bool] = False

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_vectors(query, "images", "text", k, self.name)


class TextToText:
    """Passages that mean what the question means."""

    name: ClassVar[str] = "text-text"
    score: ClassVar[str] = "cosine"
    needs: ClassVar[tuple[Need, ...]] = ("text",)
    votes: ClassVar[bool] = False

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_vectors(query, "texts", "text", k, self.name)


class Lexical:
    """Passages that use the question's words (bm25)."""

    name: ClassVar[str] = "words"
    needs: ClassVar[tuple[Need, ...]] = ("text",)
    votes: ClassVar[bool] = False

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_text(query, k, self.name)


class Named:
    """What the question calls by name: subjects by title or alias, places by their names."""

    name: ClassVar[str] = "named"
    weight: ClassVar[float] = 2.0  # a whole name is no accident: as good as being found by meaning and by words
    needs: ClassVar[tuple[Need, ...]] = ("text",)
    votes: ClassVar[bool] = False

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_named(query, k, self.name)


class NearBy:
    """What lies near the place asked about, nearest first."""

    name: ClassVar[str] = "near-by"
    needs: ClassVar[tuple[Need, ...]] = ("place",)
    votes: ClassVar[bool] = False

    def retrieve(self, query: Query, kb: Knowledge, k: int) -> list[Hit]:
        return kb.search_near(query, k, self.name)


@hookimpl
def rsrag_retrievers() -> Sequence[type]:
    return [ImageToImage, ImageToName, TextToImage, TextToText, Lexical, Named, NearBy]
