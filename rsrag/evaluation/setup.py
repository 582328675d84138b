"""What a run is made with: everything that a person chooses, as plain values."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError

MODES: dict[str, tuple[str, ...]] = {
    "none": (),
    "image": ("image-image", "image-name"),
    "text": ("text-text", "text-image", "words", "named"),
}
"""Short names for lanes that belong together; "all" is every lane on offer."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How questions are asked. `lanes` is None for all that are on offer and () for no retrieval at all.

    `limit` questions are drawn by `seed` where it is not 0. `workers` ask at once and shape nothing.
    """

    split: str = ""
    limit: int = 0
    seed: int = 0
    model: str = "extractive"
    fusion: str = "rrf"
    alpha: float = 0.7
    k: int = 8
    lanes: tuple[str, ...] | None = None
    reranker: str = ""
    captioner: str = ""
    tools: bool = False
    allow_self: bool = False
    workers: int = 1

    @property
    def point(self) -> dict[str, str | float | int]:
        """What a sweep varies, in the words of the command line."""
        lanes = named(self.lanes)
        if self.lanes == ():
            return {"lanes": lanes}
        alpha = {"alpha": self.alpha} if self.fusion == "weighted" else {}
        return {"lanes": lanes, "fusion": self.fusion, **alpha, "k": self.k}


def named(lanes: Sequence[str] | None) -> str:
    """The short name of some lanes, else the lanes with "+" between them."""
    if lanes is None:
        return "all"
    return next((name for name, those in MODES.items() if those == tuple(lanes)), "+".join(lanes))


def parse_lanes(text: str, known: Sequence[str]) -> tuple[str, ...] | None:
    """Lanes from "all", "none", "image", "text", or names with "," or "+" between them.

    Raises `UsageError` for a lane that is not on offer.
    """
    text = text.strip()
    if text in ("", "all"):
        return None
    if text in MODES:
        return tuple(lane for lane in MODES[text] if lane in known)
    wanted = tuple(dict.fromkeys(name.strip() for name in text.replace("+", ",").split(",") if name.strip()))
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *MODES, "all"], n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}; and all, image, text, none."
            raise UsageError(f"there is no lane '{name}'.", hint)
    return wanted
