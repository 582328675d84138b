"""Captions from a view: grammar over nouns, counts and relations. Deterministic; pure.

The forms are those of SkyScript (Wang et al., AAAI 2024): one object with its attributes, and several objects with how
they lie to each other. No word here names a thing: nouns come from tags, and `check` holds every sentence to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from .features import Feature
from .kinds import article
from .view import Group, View
from .wording import MANY, counted, listed

MOST_RELATED: Final = 3
MOST_REST: Final = 4


def single_captions(features: Sequence[Feature], ground: Any, most: int = 5) -> list[str]:
    """One-object captions, "A large golf course.", the best subject first; at most `most`."""
    view = View(features, ground)
    return list(dict.fromkeys(f"{_capital(_phrase(group, sized=True))}." for group in view.groups))[:most]


def scene_sentences(features: Sequence[Feature], ground: Any) -> list[str]:
    """The sentences of a caption of the whole scene; none where nothing visible is mapped."""
    view = View(features, ground)
    if not view.groups:
        return []
    subject, *others = view.groups
    left = list(others)
    sentences = [f"{_capital(_phrase(subject, sized=True))}{_setting(view, subject, left)}{_extent(subject)}."]
    if said := _relations(view, subject, left):
        sentences.append(f"{'It is' if _is_one(subject) else 'They are'} {said}.")
    if aside := _directions(view, subject, left):
        sentences.append(f"{_capital(aside)}.")
    if left:
        plain = [_phrase(group) for group in left[:MOST_REST]]
        are = "is" if _is_one(left[0]) else "are"
        sentences.append(f"There {are} also {listed(plain)}.")
    return sentences


def _relations(view: View, subject: Group, left: list[Group]) -> str:
    """As in "surrounded by 12 buildings, crossed by a road and beside a park"; what it names is taken from `left`."""
    forms: tuple[tuple[str, Callable[[Group], bool]], ...] = (
        ("surrounded by", lambda g: view.surrounds(g, subject)),
        ("crossed by", lambda g: view.crosses(g, subject)),
        ("beside", lambda g: view.is_beside(g, subject)),
    )
    said: list[str] = []
    budget = MOST_RELATED
    for words, holds in forms:
        fitting = [group for group in left if holds(group)][:budget]
        if fitting:
            said.append(f"{words} {listed([_phrase(group) for group in fitting])}")
            budget -= len(fitting)
            for group in fitting:
                left.remove(group)
    return listed(said)


def _setting(view: View, subject: Group, left: list[Group]) -> str:
    """As in " with two playgrounds in a residential area"."""
    held = [group for group in left if not group.kind.is_setting and not group.is_line and view.holds(subject, group)]
    held = held[:MOST_RELATED]
    around = next((group for group in left if group.kind.is_setting and view.holds(group, subject)), None)
    for group in held:
        left.remove(group)
    text = f" with {listed([_phrase(group) for group in held])}" if held else ""
    if around is not None:
        left.remove(around)
        text += f" in {_phrase(around) if _is_one(around) else around.kind.many}"
    return text


def _extent(subject: Group) -> str:
    if subject.share >= 0.95:
        return ", filling the scene"
    if subject.share >= 0.6:
        return ", covering most of the scene"
    return ", covering about half of the scene" if subject.share >= 0.4 else ""


def _directions(view: View, subject: Group, left: list[Group]) -> str:
    """As in "a church lies to the north of it"; the first that lies plainly on one side."""
    for group in left:
        if wind := view.direction(group, subject):
            left.remove(group)
            return f"{_phrase(group)} lies to the {wind} of it"
    return ""


def _phrase(group: Group, sized: bool = False) -> str:
    """A group with its number: "a gravel road", "three tennis courts", "many buildings", "grass"."""
    kind = group.kind
    size = [group.size] if sized and group.size else []
    noun = " ".join([*size, *group.words, kind.one if group.count == 1 else kind.many])
    if kind.mass:
        return noun
    if group.count == 1:
        return f"{article(noun)} {noun}"
    # A road is mapped in pieces; how many there are says nothing about what is seen.
    return noun if group.is_line and group.count <= MANY else f"{counted(group.count)} {noun}"


def _is_one(group: Group) -> bool:
    return group.count == 1 or group.kind.mass


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
