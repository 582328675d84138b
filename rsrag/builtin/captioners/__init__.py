"""Built-in captioners: none yet; the hook is here so that the first one needs no new door."""

from __future__ import annotations

from rsrag import hookimpl


@hookimpl
def rsrag_captioners() -> list[type]:
    return []
