"""The contract of benchmarks: so far a name is all that the hook asks for."""

from __future__ import annotations

from .base import ComponentContract


class BenchmarkContract(ComponentContract):
    """Override `component`. What a benchmark must do is fixed together with `rsrag eval`."""
