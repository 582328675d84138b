"""Components of third parties as the program meets them: the same classes, with each verb on a lead.

A verb is late after the time that its kind has, a wrong result is refused where it appears, and stdout stays clean.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .errors import PluginError, RsragError
from .guard import Guard
from .types import Hit, Notice, Quantity, Record, Text, ToolCall, ToolResult, Usage, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PATIENCE: Final = 10
"""A model's whole answer, or a source's next record, may take so many times as long as anything else."""

_END: Final = object()


def lacks(component: Any, kind: str) -> str:
    """The verb that a component of this kind does not have, or ""."""
    missing = [verb for verb in _NEEDED.get(kind, ()) if not callable(getattr(component, verb, None))]
    return missing[0] if missing else ""


def guarded(cls: type[Any], kind: str, guard: Guard, seconds: float, report: Callable[[str], None]) -> type[Any]:
    """A subclass of an offered class, whose verbs run in `guard` and whose results are looked at.

    `seconds` is the time for one call; see `PATIENCE` for those that have more. `report` is told what is wrong
    where no caller would be: while sources are asked which of them fits.
    """
    body: dict[str, Any] = {}

    def wrapped(verb: str, wrap: _Wrap) -> Any:
        @functools.wraps(getattr(cls, verb))
        def method(self: Any, *args: Any, **options: Any) -> Any:
            bound = getattr(super(made, self), verb)
            return wrap(_Call(self, kind, verb, guard, seconds), functools.partial(bound, *args, **options), args)

        return method

    for verb, wrap in _VERBS.get(kind, {}).items():
        if callable(getattr(cls, verb, None)):
            body[verb] = wrapped(verb, wrap)
    if kind == "source" and hasattr(cls, "matches"):
        body["matches"] = staticmethod(_matches(cls, guard, seconds, report))
    body |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    made: type[Any] = types.new_class(cls.__name__, (cls,), {}, lambda namespace: namespace.update(body))
    return made


class _Call:
    """One call of a verb: who is called, and what to say of it."""

    def __init__(self, component: Any, kind: str, verb: str, guard: Guard, seconds: float) -> None:
        self.component = component
        self.who = f"{kind} '{component.name}'"
        self.verb = verb
        self.guard = guard
        self.seconds = seconds

    def run(self, function: Callable[[], Any], seconds: float | None) -> Any:
        """In time, with any error as it is: for verbs whose caller reports every error."""
        return self.guard.call(self.who, function, seconds)

    def told(self, function: Callable[[], Any], seconds: float | None) -> Any:
        """In time, with any error as a `PluginError` that names the plugin."""
        try:
            return self.run(function, seconds)
        except RsragError:
            raise
        except Exception as error:
            raise PluginError(f"{self.who} of plugin {self.guard.plugin} failed ({said(error)}).") from error

    def broke(self, how: str) -> PluginError:
        return PluginError(
            f"{self.who} of plugin {self.guard.plugin} broke its contract: {self.verb} {how}.",
            "Use another, or report it to its author.",
        )


def said(error: BaseException) -> str:
    """What went wrong, in one line without a full stop."""
    if isinstance(error, RsragError):
        return error.message.rstrip(".")
    line = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
    return f"{type(error).__name__}: {line}"


_Wrap = Callable[[_Call, Callable[[], Any], Sequence[Any]], Any]


# -- by kind --------------------------------------------------------------------------------------


def _retrieve(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> list[Hit]:
    hits = _hits(call, call.run(function, call.seconds))
    lane = call.component.name
    if any(lane not in hit.lanes for hit in hits):
        raise call.broke(f"gave a hit without its own rank: lanes must hold {{'{lane}': (rank, score)}}")
    return hits


def _rerank(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> list[Hit]:
    hits = _hits(call, call.run(function, call.seconds))
    ids = [hit.chunk.id for hit in hits]
    given = {hit.chunk.id for hit in args[-1]} if args else set(ids)
    if len(set(ids)) < len(ids) or not given.issuperset(ids):
        raise call.broke("gave hits that it was not given, or one twice")
    return hits


def _hits(call: _Call, result: Any) -> list[Hit]:
    if not isinstance(result, list | tuple):
        raise call.broke(f"returned {type(result).__name__} instead of a list of hits")
    strange = next((item for item in result if not isinstance(item, Hit)), None)
    if strange is not None:
        raise call.broke(f"returned a list with {type(strange).__name__} in it instead of hits")
    return list(result)


def _applies(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> float:
    fit = call.run(function, call.seconds)
    if not isinstance(fit, int | float) or not 0 <= fit <= 1:
        raise call.broke(f"returned {fit!r} instead of a number in 0..1")
    return float(fit)


def _measure(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> ToolResult:
    result = call.run(function, call.seconds)
    if not isinstance(result, ToolResult):
        raise call.broke(f"returned {type(result).__name__} instead of a ToolResult")
    good = isinstance(result.text, str) and isinstance(result.values, Mapping)
    if not good or not all(isinstance(value, Quantity) for value in result.values.values()):
        raise call.broke("returned a ToolResult whose text is no str or whose values are no Quantity")
    return result


def _caption(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> list[str]:
    scenes = args[0] if args else ()
    captions = call.told(function, call.seconds * max(1, len(scenes)))
    if not isinstance(captions, list | tuple) or not all(isinstance(text, str) for text in captions):
        raise call.broke("did not return a list of str")
    return list(captions)


def _encode(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> NDArray[np.float32]:
    # No limit: how long a batch takes is the weights' and the machine's business.
    return checked_vectors(call.component, call.told(function, None), len(args[0]) if args else None)


def _matches(cls: type[Any], guard: Guard, seconds: float, report: Callable[[str], None]) -> Callable[[Any], float]:
    def matches(what: Any) -> float:
        try:
            return float(guard.call(f"source '{cls.name}'", lambda: cls.matches(what), seconds))
        except Exception as error:  # it fits nothing; the other sources are asked all the same
            report(f"source '{cls.name}' cannot tell whether it fits ({said(error)}).")
            return 0.0

    return matches


def _records(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> Iterator[Record]:
    for record in _pulled(call, function, lambda: PATIENCE * call.seconds):
        if not isinstance(record, Record):
            raise call.broke(f"yielded {type(record).__name__} instead of a Record")
        yield record


def _generate(call: _Call, function: Callable[[], Any], args: Sequence[Any]) -> Iterator[Any]:
    from time import monotonic

    end = monotonic() + PATIENCE * call.seconds
    for event in _pulled(call, function, lambda: max(0.0, end - monotonic())):
        if not isinstance(event, Text | ToolCall | Usage | Notice | Verdict):
            raise call.broke(f"yielded {type(event).__name__} instead of Text, ToolCall, Usage, Notice or Verdict")
        yield event


def _pulled(call: _Call, function: Callable[[], Any], seconds: Callable[[], float]) -> Iterator[Any]:
    """The items of the iterator that `function` makes, each fetched on the lead; closed when this one is."""
    items = call.told(lambda: iter(function()), call.seconds)
    running = True
    try:
        while (item := call.told(lambda: next(items, _END), seconds())) is not _END:
            yield item
    except (PluginError, KeyboardInterrupt):
        running = False  # late, broken or interrupted: a generator that still runs cannot be closed
        raise
    finally:
        if running and hasattr(items, "close"):
            call.told(items.close, call.seconds)


_VERBS: Final[Mapping[str, Mapping[str, _Wrap]]] = {
    "source": {"records": _records},
    "captioner": {"caption": _caption},
    "encoder": {"encode_texts": _encode, "encode_scenes": _encode},
    "retriever": {"retrieve": _retrieve},
    "reranker": {"rerank": _rerank},
    "model": {"generate": _generate},
    "tool": {"applies": _applies, "__call__": _measure},
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    **{kind: tuple(verbs) for kind, verbs in _VERBS.items()},
    "encoder": ("encode_texts", "count_tokens"),
    "benchmark": ("samples",),
}


def checked_vectors(encoder: Any, vectors: Any, rows: int | None = None) -> NDArray[np.float32]:
    """float32 (rows, encoder.dim), finite, of unit length. Raises `PluginError` saying what it is instead."""
    import numpy as np

    vectors = np.asarray(vectors)
    wanted = (len(vectors) if rows is None and vectors.ndim else rows, encoder.dim)
    bad = ""
    if vectors.shape != wanted or vectors.dtype.kind != "f":
        bad = f"has shape {vectors.shape} of {vectors.dtype}"
    elif not np.isfinite(vectors).all():
        bad = "holds values that are not finite"
    elif len(vectors) and (off := float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())) > UNIT_WITHIN:
        bad = f"has rows that are not of unit length (off by {off:.2g})"
    if bad:
        raise PluginError(
            f"encoder '{encoder.name}' broke its contract: its result {bad}; ({wanted[0]}, {wanted[1]}) was expected.",
            "Nothing of this batch was written; use another encoder or report it to its author.",
        )
    unit: NDArray[np.float32] = vectors.astype(np.float32, copy=False)
    return unit


UNIT_WITHIN: Final = 0.02
"""How far a row's length may be from 1: rounding, as of int8 weights or float16, and no more."""
