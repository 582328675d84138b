"""What a follow-up means: which scenes and which part of one, and what its pronouns and gaps stand for. Pure.

A question that names its own subject is left as it is. English, by rules; what they cannot tell is marked `unclear`.
"""

from __future__ import annotations

from collections.abc import Sequence

from .context import Context
from .ellipsis import bare, completed
from .exchange import Rewritten
from .looking import look, region_text
from .names import named
from .pronouns import filled, leaning
from .references import numbers_in, scenes_in
from .wording import ATTRIBUTE, THIS_ONE

__all__ = ["rewrite"]


def rewrite(text: str, context: Context) -> Rewritten:
    """What a question means where it stands."""
    notes: list[str] = []
    numbers, meant = numbers_in(text, context.evidence)
    if numbers:
        notes.append("speaks of " + ", ".join(f"[{n}]" for n in numbers))
    pointed = scenes_in(meant, tuple(context.frames), context.current, context.before, context.known)
    letters = pointed.letters or context.current
    if pointed.letters:
        notes.append(f"about {_scenes(pointed.letters)}")
    seen = look(pointed.text, letters, context, bool(pointed.letters))
    if seen.said:
        where = f" is {region_text(seen.focus)}" if seen.focus else ""
        notes.append(seen.said + where)
    settled = bool(numbers or seen.said)
    if pointed.only and not seen.said:
        asked = context.question or "What is this?"
        return Rewritten(asked, letters, seen.focus, "; ".join([*notes, "asked again of it"]), numbers)
    full, note, unclear = _resolved(seen.text, context, settled or bool(pointed.letters))
    if note:
        notes.append(note)
    return Rewritten(full if notes else text, letters, seen.focus, "; ".join(notes), numbers, unclear)


def _resolved(text: str, context: Context, settled: bool) -> tuple[str, str, bool]:
    """(the question in full, what was understood, whether it leans on something that cannot be told). `settled` tells
    that it was understood already what it is about."""
    # With an image at hand only what was just spoken of is meant: further back, "it" is the image.
    entities = context.entities[: context.recent] if context.current else context.entities
    names = [(name, at) for name, at in named(text) if not (len(name) <= 2 and name in context.known)]
    attribute = ATTRIBUTE.match(bare(text))
    if attribute and entities and not names and not (context.current and entities[0].is_class):
        return f"What is the {attribute['what']} of {entities[0].told}?", f"of {entities[0].told}", False
    if context.current and context.question and THIS_ONE.fullmatch(bare(text)):
        return context.question, "asked again", False
    gap = None if attribute or settled else completed(text, context.question, entities)
    if gap:
        return gap, "what it leaves out is taken from the question before", False
    if gap == "":
        return text, "", bool(context.question)
    if settled:
        return text, "", False
    if not entities:
        leans = leaning(text, names, context) is not None
        return text, "", leans and bool(context.question) and not context.current
    return filled(text, names, entities[0], context)


def _scenes(letters: Sequence[str]) -> str:
    return "image " + " and ".join(letters) if len(letters) < 3 else "images " + ", ".join(letters)
