"""Formulas of spectral indices over arrays: parsed, checked against a short list of operations, never `eval`ed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from ..errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

MOST_CHARACTERS: Final = 2000
_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power",
}  # fmt: skip


def names(formula: str) -> tuple[str, ...]:
    """The bands and constants a formula uses, in order of first appearance. Raises `UsageError` for a bad formula."""
    found = [node for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)]
    return tuple(dict.fromkeys(node.id for node in sorted(found, key=lambda node: node.col_offset)))


def evaluate(formula: str, values: Mapping[str, Values | float]) -> Values:
    """The formula over arrays that broadcast to one shape: numbers, names, + - * / ** and brackets.

    Computed in float64. Whatever is not a finite number (a division by zero, a root of a negative number) is NaN.
    Raises `UsageError` for anything else in the formula, and for a name without a value.
    """
    import numpy as np

    def walk(node: ast.expr) -> Values:
        match node:
            case ast.Constant(value=value):
                return np.float64(value)  # type: ignore[return-value,arg-type]
            case ast.Name(id=name):
                if name not in values:
                    raise UsageError(f"the formula {formula} needs a value for {name}.")
                return np.asarray(values[name], np.float64)
            case ast.UnaryOp(op=op, operand=operand):
                return -walk(operand) if isinstance(op, ast.USub) else walk(operand)
            case ast.BinOp(left=left, op=op, right=right):
                function: Callable[[Values, Values], Values] = getattr(np, _OPERATORS[type(op)])
                return function(walk(left), walk(right))
        raise AssertionError("the formula was checked when it was parsed")

    with np.errstate(all="ignore"):
        result = np.asarray(walk(_parsed(formula)))
    return np.where(np.isfinite(result), result, np.nan)


@cache
def _parsed(formula: str) -> ast.expr:
    hint = "Use band codes, numbers, brackets and + - * / **."
    try:
        if len(formula) > MOST_CHARACTERS:
            raise ValueError("it is too long")
        tree = ast.parse(formula.strip(), mode="eval").body
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                if type(node.value) not in (int, float):
                    raise ValueError(f"{node.value!r} is not a number")
            elif isinstance(node, ast.BinOp):
                if type(node.op) not in _OPERATORS:
                    raise ValueError("it uses an operation that is not allowed")
            elif isinstance(node, ast.UnaryOp):
                if not isinstance(node.op, ast.USub | ast.UAdd):
                    raise ValueError("it uses an operation that is not allowed")
            elif not isinstance(node, ast.Name | ast.operator | ast.unaryop | ast.Load):
                raise ValueError(f"it holds {type(node).__name__.lower()}, which is not allowed")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = "it cannot be parsed" if isinstance(error, SyntaxError) else str(error) or "it is nested too deeply"
        raise UsageError(f"'{formula[:80]}' is not a formula of bands: {why}.", hint) from error
    return tree
