"""Search results as a page: from hits to the cards of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..confidence import strength
from ..types import Hit, Query
from .gallery import Card, write_gallery

if TYPE_CHECKING:
    from ..store.knowledge_base import KnowledgeBase


def write_page(path: Path, kb: KnowledgeBase, hits: Sequence[Hit], query: Query) -> None:
    """Write a self-contained html page of results."""
    cards = [_card(kb, hit, rank) for rank, hit in enumerate(hits, 1)]
    asked = query.text or " and ".join(Path(scene.uri).name for scene in query.scenes) or "near a place"
    write_gallery(
        path,
        title=f"rsrag: {asked}",
        query_text=asked,
        items=cards,
        footer=f"{len(cards)} results from {kb.path.name}. `rsrag show ID` tells more about one.",
    )


def _card(kb: KnowledgeBase, hit: Hit, rank: int) -> Card:
    chunk, origin = hit.chunk, hit.chunk.provenance
    preview = kb.preview_path(chunk.content_hash) if chunk.kind == "image" else None
    return Card(
        rank=rank,
        kind=chunk.kind,
        title=chunk.title,
        text=chunk.text,
        strength=strength(hit.z, chunk.kind) if hit.z is not None else "",
        license=origin.license,
        attribution=origin.attribution,
        source=origin.source,
        url=origin.url,
        image_bytes=preview.read_bytes() if preview and preview.exists() else None,
        bbox=chunk.bbox,
        id=chunk.id,
    )
