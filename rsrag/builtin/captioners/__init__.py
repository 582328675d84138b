"""Built-in captioners."""

from __future__ import annotations

from rsrag import hookimpl


@hookimpl
def rsrag_captioners() -> list[type]:
    from .starter import StarterCaptioner

    return [StarterCaptioner]
