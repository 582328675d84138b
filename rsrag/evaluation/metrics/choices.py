"""Multiple choice: which option an answer names. What is not clear is no answer."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Final

from .labels import plain

_STATED: Final = (
    r"(?:answer|choice|option|letter|choose|select|pick)s?\s*(?:is|are|would be|should be|:|=)*\s*"
    r"(?:(?:option|choice|letter)\s*)?"
)


def letters(count: int) -> str:
    """The letters of so many options, A B C ... Raises `ValueError` above 26."""
    if count > 26:
        raise ValueError(f"{count} options have no letters")
    return string.ascii_uppercase[:count]


def read_choice(text: str, options: Sequence[str]) -> str | None:
    """The letter of the one option that an answer names, or None.

    In this order: the answer is an option's text or its letter; it begins with the letter and its text ("C. Harbour");
    it states one ("the answer is (C)"); letters marked as such ("(C)", "**C**", "C.") or capitals that are no words
    name just one; the text of just one option stands in it. "A or B", "not C" and a letter with another option's text
    are no answer.
    """
    if not options:
        return None
    known = letters(len(options))
    by_text = {plain(option): letter for letter, option in zip(known, options, strict=True)}
    whole = plain(text)
    if whole in by_text and len(by_text) == len(options):
        return by_text[whole]
    mark = f"[{known}{known.lower()}]"
    lone = [re.fullmatch(rf"[\s\"'(\[*]*({mark})[\s\"')\].:*]*", line) for line in text.strip().splitlines()]
    if lone and lone[0]:
        return lone[0][1].upper() if not any(lone[1:]) else None
    named = _options_named(whole, by_text)
    if leading := re.match(rf"[\s\"'(\[*]*([{known}])\s*[).:\]*]+\s*(?=\S)(.*)", text, re.DOTALL):
        rest = plain(leading[2])
        if rest in by_text:
            return leading[1] if by_text[rest] == leading[1] else None
    said = _stated(text, known) or _marked(text, known)
    if re.search(rf"\b(?:not|except|neither|nor|rather than)\b[^.;]{{0,20}}?(?:\b[{known}]\b)", text):
        return None
    if said:
        agree = said | named if named else said
        return said.pop() if len(agree) == 1 else None
    negated = re.search(r"\b(?:not|neither|nor|isn't|none)\b", text, re.IGNORECASE)
    return named.pop() if len(named) == 1 and not negated else None


def _options_named(whole: str, by_text: dict[str, str]) -> set[str]:
    """Letters of the options whose text stands in an answer; within a longer option's text it does not count."""
    names = sorted((name for name in by_text if len(name) > 1), key=len, reverse=True)
    if not names:
        return set()
    pattern = r"(?<!\w)(?:" + "|".join(map(re.escape, names)) + r")(?!\w)"
    return {by_text[name] for name in re.findall(pattern, whole)}


def _stated(text: str, known: str) -> set[str]:
    """Letters after "the answer is", those joined to them by "or", "and", "/" or a comma, a small one at the end."""
    one = rf"[(\[\"'*]*([{known}])\b[)\]\"'*]*"
    last = re.search(rf"(?i:\b{_STATED})[(\[\"'*]*([{known.lower()}])\W*\Z", text)
    found: set[str] = {last[1].upper()} if last else set()
    for match in re.finditer(rf"(?i:\b{_STATED}){one}(?:\s*(?:or|and|/|,|&)\s*{one})?", text):
        found.update(filter(None, match.groups()))
    return found


def _marked(text: str, known: str) -> set[str]:
    found = set(re.findall(rf"[(\[*]([{known}])[)\]*]|(?:^|\s)([{known}])[).:](?=\s|$)", text))
    found |= set(re.findall(rf"\b([{known}])\s*(?:or|and|/|&|,)\s*([{known}])\b", text))
    flat = {letter for pair in found for letter in pair if letter}
    plain_capitals = set(known) - {"A", "I"}  # words of their own
    return flat | {word for word in re.findall(r"\b([A-Z])\b(?!['’])", text) if word in plain_capitals}
