"""Sizes on the ellipsoid in the unit one would say them in: m2 or ha, m or km; three significant figures."""

from __future__ import annotations

from typing import Any

from rsrag import Quantity

from .geometry import hectares, kilometres


def area_of(shape: Any) -> Quantity | None:
    """The area of a shape; None for points and lines."""
    size = hectares(shape)
    return (_three(size, "ha") if size >= 1 else _three(size * 10_000, "m2")) if size > 0 else None


def length_of(shape: Any) -> Quantity | None:
    """The length of a shape's lines; None for points and areas."""
    size = kilometres(shape)
    return (_three(size, "km") if size >= 1 else _three(size * 1000, "m")) if size > 0 else None


def _three(value: float, unit: str) -> Quantity:
    rounded = float(f"{value:.3g}")
    return Quantity(int(rounded) if rounded == int(rounded) else rounded, unit)
