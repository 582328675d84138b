"""The reader's lexicon, read once from lexicon.toml: stop words, question cues, units, synonyms."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`kinds` maps a kind of question to its cues; `scene_kinds` are those that need a scene. `units` maps a
    spelling to (base unit, factor); `dimensions` a base unit to the cues that ask for it. `synonyms` maps a stem
    to the stems that may stand for it."""

    stopwords: frozenset[str]
    scene_words: frozenset[str]
    pronouns: frozenset[str]
    causal: re.Pattern[str]
    contrast: re.Pattern[str]
    appearance: re.Pattern[str]
    no_place: re.Pattern[str]
    kinds: Mapping[str, tuple[re.Pattern[str], ...]]
    scene_kinds: frozenset[str]
    units: Mapping[str, tuple[str, float]]
    dimensions: Mapping[str, tuple[re.Pattern[str], ...]]
    synonyms: Mapping[str, frozenset[str]]
    probes: Mapping[str, str]
    parts: Mapping[str, tuple[str, ...]]
    counts: str
    forms: Mapping[str, frozenset[str]]


@cache
def lexicon() -> Lexicon:
    """The lexicon that comes with rsrag."""
    from .words import stem

    data: dict[str, Any] = tomllib.loads((files(__package__) / "lexicon.toml").read_text("utf-8"))
    synonyms: dict[str, frozenset[str]] = {}
    for group in data["synonyms"]:
        stems = frozenset(stem(w) for w in group["words"])
        for member in stems:
            synonyms[member] = synonyms.get(member, frozenset()) | stems - {member}
    return Lexicon(
        stopwords=frozenset(data["stopwords"].split()),
        scene_words=frozenset(data["scene_words"]),
        pronouns=frozenset(data["pronouns"]),
        causal=_phrases(data["causal"]),
        contrast=_phrases(data["contrast"]),
        appearance=_phrases(data["appearance"]),
        no_place=_phrases(data["no_place"]),
        kinds={name: _patterns(kind["cues"]) for name, kind in data["kinds"].items()},
        scene_kinds=frozenset(name for name, kind in data["kinds"].items() if kind.get("scene")),
        units={
            spelling: (base, float(unit[0]))
            for base, units in data["units"].items()
            for unit in units.values()
            for spelling in unit[1:]
        },
        dimensions={base: _patterns(cues) for base, cues in data["dimensions"].items()},
        synonyms=synonyms,
        probes=data["probes"],
        parts={probe: tuple(names) for probe, names in data["parts"].items()},
        counts=data["counts"],
        forms={kind: frozenset(stem(w) for w in words) for kind, words in data["forms"].items()},
    )


def _patterns(cues: list[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(cue) for cue in cues)


def _phrases(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(re.escape(p) for p in phrases) + r")\b", re.IGNORECASE)
