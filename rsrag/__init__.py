"""rsrag: a plugin-based, knowledge-augmented assistant for remote-sensing imagery.

    with rsrag.KnowledgeBase("my-store") as kb:
        kb.add("archive/")
        answer = rsrag.Assistant(kb).ask("What is this?", image="scene.tif")

Importing this module is cheap; what needs heavy packages loads on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that holds it. PEP 562: nothing below is imported before it is asked for.
_PUBLIC = {
    "Assistant": "assistant",
    "KnowledgeBase": "store.knowledge_base",
    "from_config": "api",
    "create": "api",
    "open_scene": "api",
    "ArrayReader": "scene",
    "decoded": "scene",
    "Plugins": "plugins",
    "hookimpl": "hookspecs",
    "PLUGIN_API": "hookspecs",
    "Sample": "evaluation.samples",
    **dict.fromkeys(
        (
            "RsragError",
            "UsageError",
            "ConfigError",
            "SceneError",
            "StoreError",
            "ModelError",
            "PluginError",
        ),
        "errors",
    ),
    **dict.fromkeys(
        (
            "Answer",
            "BBox",
            "Capabilities",
            "Chunk",
            "Circle",
            "Classification",
            "Classifications",
            "Comparison",
            "Done",
            "Evidence",
            "Fact",
            "Filter",
            "Hit",
            "IngestReport",
            "Notice",
            "PixelReader",
            "Prompt",
            "Provenance",
            "Quantity",
            "Query",
            "Record",
            "Retrieval",
            "Retrieved",
            "Scene",
            "SceneVote",
            "Season",
            "Section",
            "Text",
            "ToolCall",
            "ToolDone",
            "ToolResult",
            "ToolSpec",
            "ToolStarted",
            "ToolStep",
            "Turn",
            "Usage",
            "Verdict",
        ),
        "types",
    ),
}

# Spelt out for type checkers; a test holds it to the table above.
__all__ = [
    "__version__",
    "Answer",
    "ArrayReader",
    "Assistant",
    "BBox",
    "Capabilities",
    "Chunk",
    "Circle",
    "Classification",
    "Classifications",
    "Comparison",
    "ConfigError",
    "Done",
    "Evidence",
    "Fact",
    "Filter",
    "Hit",
    "IngestReport",
    "KnowledgeBase",
    "ModelError",
    "Notice",
    "PLUGIN_API",
    "PixelReader",
    "PluginError",
    "Plugins",
    "Prompt",
    "Provenance",
    "Quantity",
    "Query",
    "Record",
    "Retrieval",
    "Retrieved",
    "RsragError",
    "Sample",
    "Scene",
    "SceneError",
    "SceneVote",
    "Season",
    "Section",
    "StoreError",
    "Text",
    "ToolCall",
    "ToolDone",
    "ToolResult",
    "ToolSpec",
    "ToolStarted",
    "ToolStep",
    "Turn",
    "Usage",
    "UsageError",
    "Verdict",
    "create",
    "decoded",
    "from_config",
    "hookimpl",
    "open_scene",
]

if TYPE_CHECKING:
    from .api import create, from_config, open_scene
    from .assistant import Assistant
    from .errors import ConfigError, ModelError, PluginError, RsragError, SceneError, StoreError, UsageError
    from .evaluation.samples import Sample
    from .hookspecs import PLUGIN_API, hookimpl
    from .plugins import Plugins
    from .scene import ArrayReader, decoded
    from .store.knowledge_base import KnowledgeBase
    from .types import (
        Answer,
        BBox,
        Capabilities,
        Chunk,
        Circle,
        Classification,
        Classifications,
        Comparison,
        Done,
        Evidence,
        Fact,
        Filter,
        Hit,
        IngestReport,
        Notice,
        PixelReader,
        Prompt,
        Provenance,
        Quantity,
        Query,
        Record,
        Retrieval,
        Retrieved,
        Scene,
        SceneVote,
        Season,
        Section,
        Text,
        ToolCall,
        ToolDone,
        ToolResult,
        ToolSpec,
        ToolStarted,
        ToolStep,
        Turn,
        Usage,
        Verdict,
    )


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rsrag' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
