"""Whether a caption says only what tags say: every noun and every number must come from the tags of the footprint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from .kinds import Tags, adjectives, kind_of
from .wording import FREE, MANY, number_of


def check(caption: str, tags: Iterable[Tags]) -> list[str]:
    """What is wrong with a caption of features with these tags; empty when nothing is.

    A noun must be what a feature is; a plural needs two of them; a number before a noun must be their count, "many"
    more than 20; an adjective must follow from a tag. Any other word must be one that names nothing ("beside").
    """
    counts: Counter[str] = Counter()
    forms: dict[str, tuple[str, int]] = {}  # what may be said -> the noun it counts as, and how many it needs
    for each in tags:
        kind = kind_of(each)
        if kind is not None:
            counts[kind.one] += 1
            forms[kind.one] = (kind.one, 1)
            if kind.many != kind.one:
                forms.setdefault(kind.many, (kind.one, 2))
        for word in adjectives(each):
            forms.setdefault(word, ("", 0))
    return list(_faults(_words(caption), {tuple(_words(form)): use for form, use in forms.items()}, counts))


def _faults(words: list[str], forms: dict[tuple[str, ...], tuple[str, int]], counts: Counter[str]) -> Iterable[str]:
    longest = max(map(len, forms), default=0)
    at, number = 0, ""
    while at < len(words):
        size = next((n for n in range(longest, 0, -1) if tuple(words[at : at + n]) in forms), 0)
        if size:
            noun, needed = forms[tuple(words[at : at + size])]
            if noun:
                yield from _miscounted(noun, needed, number, counts[noun])
                number = ""
            at += size
            continue
        word = words[at]
        if word == "many" or number_of(word) is not None:
            if number:
                yield f"the number '{number}' counts nothing"
            number = word
        elif word not in FREE:
            yield f"'{word}' is in no tag"
        at += 1
    if number:
        yield f"the number '{number}' counts nothing"


def _miscounted(noun: str, needed: int, number: str, count: int) -> Iterable[str]:
    if count < needed:
        yield f"there are not several of '{noun}'"
    if number == "many" and count <= MANY:
        yield f"{count} of '{noun}' are not many"
    stated = number_of(number) if number else None
    if stated is not None and stated != count:
        yield f"there are {count} of '{noun}' and not {number}"


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'’-]+", text.lower())
