"""Understands a question: its parts, what kind of answer each wants, its content words, names and quantities."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .cleaning import one_line
from .lexicon import lexicon
from .quantities import Found, has_year, quantities
from .words import Word, question_words

_FOREIGN_FROM = 3  # words
_NAME = 4  # words; a piece so short that asks nothing is what the next one asks about
_LONGEST = 200  # words; what comes later is not a question any more
_CUT = re.compile(
    r"(?<=[?;])\s+|\s*,?\s+(?:and|but|or)(?:,? also)?\s+(?=(?:why|how|where|when|who|what|which)\b)"
    r"|,\s+(?=(?:why|how|where|when|who|what)\b)",
    re.IGNORECASE,
)
# "S2A's swath", but not "what's".
_POSSESSIVE = re.compile(
    r"\b(?!(?:what|who|where|how|when|it|that|there|here|let|he|she)['’])(\w+)['’]s\b", re.IGNORECASE
)
_DEICTIC = re.compile(r"\b(?:this|that|these|those|it|its|here|they|their|the (?:image|picture|photo|scene))\b", re.I)

_DEFINES = re.compile(r"^(?:\S+ ){1,6}?(?:is|are|was|means|measures|refers to|stands for|denotes|=)(?!\w)")


@dataclass(frozen=True, slots=True)
class Part:
    """One question: `kinds` as the lexicon names them, most specific first, () when no cue matched.

    `elliptic`: it says nothing by itself ("and why?") and stands on the words of the part before.
    """

    text: str
    kinds: tuple[str, ...]
    words: tuple[Word, ...]
    elliptic: bool = False
    deictic: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A whole question. `names` are the words that must be met as they are: identifiers, acronyms and
    capitalised names; `quantities` the numbers that carry a unit."""

    text: str
    parts: tuple[Part, ...]
    words: tuple[Word, ...]
    names: tuple[Word, ...]
    quantities: tuple[Found, ...]


def understand(text: str, scenes: bool = False) -> Question:
    """Read a question; `scenes` tells whether there is an image that "this" can mean."""
    text = _POSSESSIVE.sub(r"\1", " ".join(one_line(text).split(" ")[:_LONGEST]))
    parts: list[Part] = []
    for piece in (p.strip(" ,") for p in _CUT.split(text)):
        if not piece:
            continue
        words = tuple(w for w in question_words(piece) if w.key not in lexicon().scene_words)
        kinds = kinds_of(piece, scenes)
        words = _subject_words(kinds, words)
        elliptic = False
        if parts and len(words) < 2 and not any(any(c.isdigit() for c in w.key) for w in words):
            elliptic = not words or _DEICTIC.search(piece) is not None
            if elliptic:
                words = tuple(dict.fromkeys((*parts[-1].words, *words)))
        if not kinds and not words and parts:
            continue
        if elliptic and len(parts) == 1 and not parts[0].kinds and len(parts[0].text.split()) <= _NAME:
            parts = [Part(f"{parts[0].text}, {piece}", kinds, words, False, False)]  # "dNBR, how is it made?"
            continue
        parts.append(Part(piece, kinds, words, elliptic, _DEICTIC.search(piece) is not None))
    parts = parts or [Part(text, ("identify",) if scenes else (), ())]
    everything = tuple({w.key: w for p in parts for w in p.words}.values())
    return Question(
        text,
        tuple(parts),
        everything,
        names_in(text, everything),
        tuple(q for q in quantities(text) if q.base),
    )


def kinds_of(text: str, scenes: bool = False) -> tuple[str, ...]:
    """The kinds of answer that a question may want, in the lexicon's order."""
    lowered = text.lower().replace("’", "'")
    lex = lexicon()
    return tuple(
        kind
        for kind, cues in lex.kinds.items()
        if (scenes or kind not in lex.scene_kinds) and any(cue.search(lowered) for cue in cues)
    )


def _subject_words(kinds: tuple[str, ...], words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words without those that only ask for a form ("formula", "difference"), if any others are left."""
    forms = lexicon().forms
    return tuple(w for w in words if not any(w.key in forms.get(kind, ()) for kind in kinds)) or words


def names_in(text: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words that name something. Capitals say nothing in a text that is written in capitals throughout."""
    alphabetic = re.findall(r"[^\W\d_]+", text)[1:]
    capital = sum(t[0].isupper() for t in alphabetic)
    shouting = len(alphabetic) >= 3 and capital > 0.6 * len(alphabetic)
    firsts = {m.group(1) for m in re.finditer(r"(?:^|[.?!]\s+)([^\W_][\w-]*)", text)}
    names = []
    for word in words:
        digits = any(c.isdigit() for c in word.key) and any(c.isalpha() for c in word.key)
        inner = any(c.isupper() for c in word.surface[1:])
        capitalised = word.surface[:1].isupper() and word.surface.split()[0] not in firsts
        if digits or (not shouting and (inner or capitalised)):
            names.append(word)
    return tuple(names)


def wanted(part: Part, text: str) -> float:
    """How well the form of a sentence is what the part asks for, 0..1; 0.5 where nothing particular is asked."""
    lex = lexicon()
    marks = []
    for kind in part.kinds:
        if kind == "number":
            bases = [b for b, cues in lex.dimensions.items() if any(c.search(part.text.lower()) for c in cues)]
            there = quantities(text)
            if counted := re.search(r"\bhow many ([\w-]+)", part.text.lower()):
                noun = re.escape(counted.group(1).rstrip("s"))
                exact = re.search(rf"(?<![\w-])(?:{lex.counts})(?: [\w-]+){{0,2}} {noun}", text, re.IGNORECASE)
                marks.append(1.0 if exact else 0.2 if there else 0.0)
                continue
            right = any(q.base in bases for q in there) if bases else bool(there)
            marks.append(1.0 if right else 0.3 if there else 0.0)
        elif kind == "when":
            marks.append(1.0 if has_time(text) else 0.0)
        elif kind == "definition":
            marks.append(1.0 if _DEFINES.search(text) else 0.3)
        elif kind == "why":
            marks.append(1.0 if lex.causal.search(text) else 0.0)
        elif kind == "tell_apart":
            marks.append(1.0 if lex.contrast.search(text) else 0.0)
        elif kind == "formula":
            marks.append(1.0 if re.search(r"[^<>=]=[^=]|\w\s*/\s*\(|\)\s*/\s*\(", text) else 0.0)
        elif kind == "list":
            items = len(re.findall(r",|;|\band\b|\b[A-Z]{1,3}\d{1,2}[A-Z]?\b|\bbands? \d", text))
            marks.append(min(1.0, items / 3))
        elif kind == "identify":
            marks.append(1.0 if lex.appearance.search(text) else 0.0)
    return max(marks) if marks else 0.5


def has_time(text: str) -> bool:
    """Whether a text names a year, a month or a span of time."""
    return has_year(text) or any(q.base == "s" for q in quantities(text))


def foreign(text: str, unknown: Callable[[Word], bool]) -> bool:
    """Whether a question is hardly English: more of its small words are another language's, or few are English and a
    third of the others is `unknown`."""
    lex = lexicon()
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < _FOREIGN_FROM:
        return False
    if sum(w in lex.foreign for w in words) > sum(w in lex.stopwords and w not in lex.shared for w in words):
        return True
    if sum(w in lex.stopwords for w in words) > len(words) / 5:
        return False
    asked = question_words(text)
    return sum(unknown(w) for w in asked) >= max(len(asked) / 3, 1)
