"""The built-in models: the reader that needs no weights, any LangChain chat model, and transformers on this machine."""

from __future__ import annotations

from typing import Any

from rsrag import hookimpl


@hookimpl
def rsrag_models() -> list[type[Any]]:
    """`extractive`, `langchain` and `transformers`."""
    from .extractive import ExtractiveModel
    from .langchain import LangChainModel
    from .transformers import TransformersModel

    return [ExtractiveModel, LangChainModel, TransformersModel]
