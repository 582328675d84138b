"""OpenStreetMap for rsrag, read from local files: named features, what a scene holds, and captions from tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsrag import hookimpl

if TYPE_CHECKING:
    from rsrag.interfaces import Captioner, Retriever, Source

__version__ = "0.1.0"
RSRAG_PLUGIN_API = 1


@hookimpl
def rsrag_sources() -> list[type[Source]]:
    """`osm` for extracts, `osm-images` for images with labelled sidecars."""
    from .images import OsmImages
    from .source import OsmSource

    return [OsmSource, OsmImages]


@hookimpl
def rsrag_retrievers() -> list[type[Retriever]]:
    """`osm-near`: the nearest features of the kind asked for."""
    from .lane import OsmNear

    return [OsmNear]


@hookimpl
def rsrag_tools() -> list[type]:
    """`whats_here`: what a scene holds."""
    from .tool import WhatsHere

    return [WhatsHere]


@hookimpl
def rsrag_captioners() -> list[type[Captioner]]:
    """`osm`: captions from the tags inside a scene."""
    from .captioner import OsmCaptioner

    return [OsmCaptioner]
