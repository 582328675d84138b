"""Covers that people ask for by many words (covers.toml), and how much of a scene each makes up."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import UsageError
from .cover import CoverMap


@dataclass(frozen=True)
class Cover:
    """Something the ground can be covered by. `classes` of a `CoverMap` count for it; none means barren ground.

    `one` is what such a scene is ("a desert"), `head` opens a verdict ("Most like deserts"), `counts` names the
    classes, and `weak` says why the bands of one date cannot tell it well; `unsure` ones may be told better otherwise.
    """

    name: str
    one: str
    head: str
    counts: str
    words: re.Pattern[str]
    classes: tuple[str, ...]
    weak: str
    unsure: bool

    def share(self, found: CoverMap) -> float:
        """How much of the scene it makes up, 0..1 of the valid pixels."""
        return sum(found.shares[kind] for kind in self.classes) if self.classes else found.barren

    def span(self, found: CoverMap) -> tuple[float, float]:
        """The lowest and the highest that share comes to when thresholds are moved."""
        if not self.classes:
            return found.barren_range
        low, high = (min(1.0, sum(found.ranges[kind][end] for kind in self.classes)) for end in (0, 1))
        return low, high

    def missing(self, found: CoverMap) -> tuple[str, ...]:
        """Classes that count for it and could not be looked for in that scene."""
        return tuple(kind for kind in self.classes if kind in found.left_out)


@cache
def covers() -> dict[str, Cover]:
    """All covers by name."""
    tables = tomllib.loads(Path(__file__).with_name("covers.toml").read_text("utf-8"))
    return {
        name: Cover(
            name,
            t["one"],
            t["head"],
            t["counts"],
            re.compile(rf"(?<![\w-])(?:{'|'.join(t['words'])})(?!\w)", re.IGNORECASE),
            tuple(t.get("classes", ())),
            t.get("weak", ""),
            t.get("unsure", False),
        )
        for name, t in tables.items()
    }


def find_cover(word: str) -> Cover:
    """The cover of that name or word. Raises `UsageError` with the nearest name."""
    found = covers().get(word.strip().lower()) or next((c for c in covers().values() if c.words.fullmatch(word)), None)
    if found is None:
        near = difflib.get_close_matches(word.lower(), covers(), n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(covers())}."
        raise UsageError(f"'{word[:60]}' is no land cover that bands can tell.", hint)
    return found


def cover_in(text: str) -> Cover | None:
    """The cover that a text names first."""
    found = [(match.start(), cover) for cover in covers().values() if (match := cover.words.search(text))]
    return min(found, key=lambda pair: pair[0])[1] if found else None
