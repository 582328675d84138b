"""Answers by figures: what the facts of the subjects that a question names say."""

from __future__ import annotations

import re
from dataclasses import replace

from ..types import Evidence
from . import known
from .compose import cite, listed
from .facts import Asked, alike, as_number, fitting
from .questions import Part
from .state import State
from .telling import not_then, sentence


def told(state: State, part: Part) -> tuple[list[str], str] | None:
    """What the facts of the subjects asked about say; None when no fact is asked for.

    A figure that several subjects have belongs to none of them while the question names none.
    """
    held = [e for e in state.prompt.evidence if e.facts]
    text = _figure_text(state, part)
    if not held or {"why", "near"} & set(part.kinds):
        return None
    about = state.about_of(part)
    if "list" in part.kinds and not about.subjects:
        return None
    if {"list", "tell_apart"} & set(part.kinds) and not Asked.of(about.rest, ()).wanted:
        return None
    if part.elliptic and text == part.text:
        return None
    meant = set(about.subjects) or state.subjects()
    by_subject: dict[str, list[Evidence]] = {}
    for item in held:
        if not meant or item.subject in meant:
            by_subject.setdefault(item.subject, []).append(item)
    said, elsewhen, figures = [], [], list[tuple[str, str, float]]()
    for items in by_subject.values():
        names = [name for e in items for name in (e.title, *e.aliases)]
        others = [n for e in held if e.subject != items[0].subject for n in (e.title, *e.aliases)]
        asked = Asked.of(text, names, others)
        if asked.wanted and state.foreign():  # what is understood of it must do
            asked = replace(asked, words=(), plain=())
        held_facts = [f for e in items for f in e.facts]
        found = [facts for one in asked.each if (facts := alike(fitting(one, held_facts)))]
        if not found and (undated := alike(fitting(asked.at_any_time, held_facts))):
            elsewhen.append(cite(not_then(items[0].title, undated[0], asked), [e.number for e in items]))
        called = re.split(r",\s", items[0].title)[0]
        for facts in {tuple(facts): facts for facts in found}.values():
            marks = [e.number for e in items if set(facts) & set(e.facts)]
            said.append((items[0].title, cite(sentence(called, facts, asked.unit), marks)))
            figures.append((items[0].title, said[-1][1], as_number(facts[0])))
    if not said:
        return (elsewhen, "declined") if elsewhen else None
    state.steps.append({"part": part.text, "facts": [line for _, line in said], "subjects": sorted(meant)})
    if len({title for title, _ in said}) > 1 and not meant and len({value for *_, value in figures}) == 1:
        said = said[:2]  # they agree
    elif len({title for title, _ in said}) > 1 and not meant:
        which = listed(list(dict.fromkeys(t for t, _ in said))[:4])
        return [f"It depends on which one is meant: {which} each have their own."], "declined"
    if any(f.attribute.endswith("formula") for items in by_subject.values() for e in items for f in e.facts):
        first = known.of(state.all, list(by_subject))
        more = known.defined(part, about, [c for c in first if c.evidence.part == "definition"], ())
        said += [(title, line) for title, _ in said[:1] for line in (more.lines if more else ())]
    state.sure(part.text, "figure")
    verdict = known.compared(part, figures)
    return [*filter(None, [verdict]), *(line for _, line in said)], "answered"


def _figure_text(state: State, part: Part) -> str:
    """A part that only names another subject asks the same of it as the one before."""
    place = state.question.parts.index(part)
    about = state.about_of(part)
    if place and about.subjects and not about.left and not Asked.of(about.rest, ()).wanted:
        before = state.about_of(state.question.parts[place - 1])
        return f"{before.rest} {part.text}"
    return part.text
