"""The reader's lexicon, read once from lexicon.toml: stop words, question cues, units, synonyms."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Attribute:
    """What people say for an attribute: `words` are stems of the attribute's own name, `drop` stems that they stand
    for where one of `cues` is found in a question."""

    words: tuple[str, ...]
    cues: tuple[re.Pattern[str], ...]
    drop: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`kinds` maps a kind of question to its cues; `scene_kinds` are those that need a scene. `units` maps a
    spelling to (base unit, factor); `dimensions` a base unit to the cues that ask for it. `synonyms` maps a stem
    to the stems that may stand for it, `short_forms` an acronym to the stems of what it stands for, `long_forms` is a
    pattern of these terms and `sayings` are patterns of attributes with how they are said. `shown` are the cues of an
    image that must be there, `aspects` parts of records with the cues that ask for them, `classes` maps a stem such as
    that of "satellites" to the kind of subject that it means; `foreign` are small words of other languages,
    `shared` those that are English too."""

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
    short_forms: Mapping[str, tuple[str, ...]]
    long_forms: re.Pattern[str]
    attributes: tuple[Attribute, ...]
    idle: frozenset[str]
    sayings: tuple[tuple[re.Pattern[str], str], ...]
    shown: tuple[re.Pattern[str], ...]
    aspects: tuple[tuple[tuple[str, ...], tuple[re.Pattern[str], ...]], ...]
    classes: Mapping[str, str]
    class_nouns: frozenset[str]
    listing: frozenset[str]
    fillers: frozenset[str]
    foreign: frozenset[str]
    shared: frozenset[str]
    side_parts: frozenset[str]
    side_cues: tuple[re.Pattern[str], ...]
    same_attribute: Mapping[str, frozenset[str]]
    written: frozenset[str]
    greater: frozenset[str]
    smaller: frozenset[str]

    def short_form(self, term: str) -> str:
        """The acronym of a term that `long_forms` has found."""
        wanted = tuple(re.split(r"[-\s]+", term.lower()))
        return next(short for short, words in self.short_forms.items() if words == wanted)


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
        short_forms={short: tuple(long.split()) for short, long in data["short_forms"].items()},
        long_forms=re.compile(
            r"\b(?:" + "|".join(r"[-\s]+".join(long.split()) for long in data["short_forms"].values()) + r")\b",
            re.IGNORECASE,
        ),
        attributes=tuple(
            Attribute(
                tuple(stem(w) for w in each["words"].split()),
                _patterns(each["cues"]),
                frozenset(stem(w) for w in each["drop"]),
            )
            for each in data["attributes"]
        ),
        idle=frozenset(stem(w) for w in data["idle"]["words"].split()),
        shown=_patterns(data["shown"]["cues"]),
        aspects=tuple((tuple(each["parts"]), _patterns(each["cues"])) for each in data["aspects"]),
        classes={stem(w): kind for kind, words in data["classes"].items() for w in words.split()},
        class_nouns=frozenset(w for words in data["classes"].values() for w in words.split()),
        listing=frozenset(stem(w) for w in data["listing"]["words"].split()),
        same_attribute={
            stem(word): frozenset(stem(w) for w in others.split()) for word, others in data["same_attribute"].items()
        },
        side_parts=frozenset(data["side"]["parts"]),
        side_cues=_patterns(data["side"]["cues"]),
        foreign=frozenset(data["foreign"]["words"].split()),
        shared=frozenset(data["foreign"]["shared"].split()),
        fillers=frozenset(stem(w) for w in data["fillers"]["words"].split()),
        written=frozenset(_all_words(data)),
        greater=frozenset(data["comparatives"]["greater"].split()),
        smaller=frozenset(data["comparatives"]["smaller"].split()),
        sayings=tuple((re.compile(each["attribute"]), each["say"]) for each in data["sayings"]),
    )


def _patterns(cues: list[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(cue) for cue in cues)


def _phrases(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(re.escape(p) for p in phrases) + r")\b", re.IGNORECASE)


def _all_words(data: dict[str, Any]) -> Iterator[str]:
    """Every word that stands in the lexicon to be met in questions; what cues are made of is left out."""
    texts = [data["stopwords"], *data["short_forms"].values(), *data["classes"].values()]
    texts += [data[name]["words"] for name in ("idle", "listing", "fillers")]
    texts += [" ".join(data["scene_words"]), *(" ".join(words) for words in data["forms"].values())]
    texts += [" ".join([each["words"], *each["drop"]]) for each in data["attributes"]]
    texts += [" ".join(group["words"]) for group in data["synonyms"]]
    texts += list(data["comparatives"].values())
    for text in texts:
        yield from re.findall(r"[^\W\d_]+", text.lower())
