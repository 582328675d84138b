"""The built-in models: the reader that needs no weights, and the bridge to any LangChain chat model."""

from __future__ import annotations

from typing import Any

from rsrag import hookimpl


@hookimpl
def rsrag_models() -> list[type[Any]]:
    """`extractive` and `langchain`."""
    from .extractive import ExtractiveModel
    from .langchain import LangChainModel

    return [ExtractiveModel, LangChainModel]
