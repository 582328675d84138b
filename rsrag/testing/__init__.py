"""The plugin author's kit: fakes, small images, a tiny knowledge base, contracts, and fixtures for pytest.

Names load on first use, and pytest is needed only by `rsrag.testing.contracts` and `rsrag.testing.pytest_plugin`
(the extra `rsrag[testing]` brings it).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .encoders import FakeEncoder
    from .lightness import HEAVY, assert_light_import
    from .models import ScriptedModel
    from .rasters import make_geotiff, make_image
    from .stores import SampleSource, make_knowledge_base, make_scene

__all__ = [
    "HEAVY",
    "FakeEncoder",
    "SampleSource",
    "ScriptedModel",
    "assert_light_import",
    "make_geotiff",
    "make_image",
    "make_knowledge_base",
    "make_scene",
]

# Public name -> module that holds it (PEP 562).
_PUBLIC = {
    "HEAVY": "lightness",
    "FakeEncoder": "encoders",
    "SampleSource": "stores",
    "ScriptedModel": "models",
    "assert_light_import": "lightness",
    "make_geotiff": "rasters",
    "make_image": "rasters",
    "make_knowledge_base": "stores",
    "make_scene": "stores",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rsrag.testing' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
