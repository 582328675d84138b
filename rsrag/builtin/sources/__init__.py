"""The sources that come with rsrag: a folder of files, a knowledge pack, any LangChain loader, RSWK, STAC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsrag import hookimpl

if TYPE_CHECKING:
    from rsrag.interfaces import Source


@hookimpl
def rsrag_sources() -> list[type[Source]]:
    from .folder import FolderSource
    from .langchain import LangChainSource
    from .pack import PackSource
    from .rswk import RswkSource
    from .stac import StacSource

    return [FolderSource, PackSource, LangChainSource, RswkSource, StacSource]
