"""What every component must keep to, as pytest classes to inherit from: one class per kind.

    from rsrag.testing.contracts import SourceContract

    class TestLighthouses(SourceContract):
        module = "rsrag_lighthouses"

        @pytest.fixture
        def component(self, tmp_path):
            return LighthouseSource(...)

Each test's message says what to do. Other fixtures of a class may be overridden where the sample data do not fit.
"""

from __future__ import annotations

from .base import ComponentContract
from .benchmarks import BenchmarkContract
from .captioners import CaptionerContract
from .encoders import EncoderContract, TextEncoderContract
from .models import ModelContract
from .rerankers import RerankerContract
from .retrievers import RetrieverContract
from .sources import SourceContract
from .tools import ToolContract

__all__ = [
    "BenchmarkContract",
    "CaptionerContract",
    "ComponentContract",
    "EncoderContract",
    "ModelContract",
    "RerankerContract",
    "RetrieverContract",
    "SourceContract",
    "TextEncoderContract",
    "ToolContract",
]
