"""Built-in encoders."""

from __future__ import annotations

from rsrag import hookimpl


@hookimpl
def rsrag_encoders() -> list[type]:
    from .openclip import OpenClipEncoder
    from .sentence import SentenceEncoder
    from .starter import StarterEncoder

    return [StarterEncoder, OpenClipEncoder, SentenceEncoder]
