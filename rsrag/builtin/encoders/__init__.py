"""Built-in encoders."""

from __future__ import annotations

from rsrag import hookimpl


@hookimpl
def rsrag_encoders() -> list[type]:
    from .starter import StarterEncoder

    return [StarterEncoder]
