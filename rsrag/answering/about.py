"""What a question names, what it asks of it, and which words are left to be answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..types import Evidence
from .aspects import aspect
from .lexicon import lexicon
from .mentions import Mention, key_of, mentions, names_of, without
from .questions import Part
from .words import Word, question_words, stem

_PLACE = "place/"
_NARROW = 30  # characters; a cue that spans more holds words of its own


@dataclass(frozen=True, slots=True)
class About:
    """`subjects` in the order in which they are named, `left` the words that are neither names nor only ask, `parts` of
    records that answer, `rest` the text without the names."""

    subjects: tuple[str, ...]
    left: tuple[Word, ...]
    parts: tuple[str, ...]
    rest: str
    called: Mapping[str, str]

    @property
    def apart(self) -> bool:
        """Whether several subjects are named, and not one name that several have."""
        return len({key_of(name) for s, name in self.called.items() if s in self.subjects}) > 1


def about(part: Part, text: str, evidence: Sequence[Evidence]) -> About:
    """Of one part; `text` is how it was written."""
    texts = [item for item in evidence if item.kind == "text"]
    things = [item for item in texts if not item.subject.startswith(_PLACE)]
    found, subjects, called = _named(text, things)
    if not subjects or {"where", "near"} & set(
        part.kinds
    ):  # else "red" is no river: towns bear the names of everything
        found, subjects, called = _named(text, texts)
    rest = without(text, found)
    left = left_of(part, rest, found)
    if subjects and all(subject.startswith(_PLACE) for subject in subjects):
        left = tuple(w for w in left if w.key not in lexicon().forms["where"])
    return About(tuple(subjects), left, aspect(rest), rest, called)


def left_of(part: Part, rest: str, found: Iterable[Mention] = ()) -> tuple[Word, ...]:
    """The words of a text without names that an answer should have, cues and idle words left out."""
    lex = lexicon()
    lowered = rest.lower().replace("’", "'")
    asked = {w.key: w for w in part.words}
    spans = [m.span() for _, cues in lex.aspects for cue in cues for m in cue.finditer(lowered)]
    for start, end in spans:
        if end - start <= _NARROW and stem(lowered[start:end]) not in ("band", "channel"):  # "band 8A" is one word
            rest = rest[:start] + " " * (end - start) + rest[end:] if len(rest) == len(lowered) else rest
    drop = lex.idle | lex.scene_words | lex.fillers | frozenset().union(*(lex.forms.get(k, ()) for k in part.kinds))
    rest = re.sub(r"(?<=\w)['’]s\b", " ", rest)
    # Words misspelt were mended in the part.
    return tuple(asked.get(w.key, w) for w in question_words(rest) if w.key not in drop)


def _named(text: str, evidence: Sequence[Evidence]) -> tuple[list[Mention], dict[str, None], dict[str, str]]:
    """(mentions, the subjects they mean in that order, what each is called by) among some evidence. A place is named
    with a capital, where the text has any."""
    holders: dict[str, dict[str, None]] = {}
    names: list[str] = []
    for item in evidence:
        for name in names_of(item.title, item.aliases):
            names.append(name)
            holders.setdefault(key_of(name), {})[item.subject] = None
    plain = text in (text.lower(), text.upper())
    found = []
    for mention in mentions(text, names):
        held = holders.get(key_of(mention.name), {})
        if plain or text[mention.start].isupper() or not all(s.startswith(_PLACE) for s in held):
            found.append(mention)
    subjects = dict.fromkeys(s for m in found for s in holders.get(key_of(m.name), ()))
    called = {s: m.name for m in reversed(found) for s in holders.get(key_of(m.name), ())}
    return found, subjects, called
