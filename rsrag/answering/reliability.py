"""How probable it is that an answer is right, from what the reader saw of its evidence.

A logistic model for each route by which an answer comes about. Weights and threshold are in reliability.json;
`benchmarks/fit_reader.py` fits them on development questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def _model() -> tuple[float, Mapping[str, Mapping[str, float]]]:
    data = json.loads((files(__package__) / "reliability.json").read_text("utf-8"))
    return float(data["threshold"]), data["weights"]


def threshold() -> float:
    """Below this an answer is not given."""
    return _model()[0]


def reliability(route: str, features: Mapping[str, float]) -> float:
    """0..1 for an answer by a route of the reader with these features; what is not known of a route counts nothing."""
    weights = _model()[1].get(route, {})
    logit = weights.get("", 0.0) + sum(weights.get(name, 0.0) * value for name, value in features.items())
    return 1 / (1 + math.exp(-logit))
