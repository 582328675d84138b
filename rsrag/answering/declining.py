"""What a decline says: which words nothing speaks of, and what comes closest."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .compose import declined, quotes
from .state import State
from .words import cover, question_words


def decline(state: State, gone: Sequence[str]) -> str:
    """Why there is no answer. Of a subject that is known it is told which words are not, and for a band that it has
    not, what is said of its bands."""
    subjects = {s: None for part in state.question.parts for s in state.about_of(part).subjects}
    own = [c for c in state.all if c.evidence.subject in subjects]
    if not own:
        return declined(state.prompt.evidence, gone or _absent(state), _nearest(state), foreign=state.foreign())
    there = {k for c in own for k in (*c.found, *c.titled)}
    left = {w.surface: w for part in state.question.parts for w in state.about_of(part).left}
    missing = [surface for surface, w in left.items() if not cover([w], {w.key: 1.0}, there)]
    instead = ""
    if any(re.fullmatch(r"b?\d+[a-z]?", left[m].key) for m in missing):
        bands = [c for c in own if c.evidence.part.endswith("bands") and "band" in c.found]
        instead = quotes(bands[:1])[0] if bands else ""
    title = own[0].evidence.title if len(subjects) == 1 and missing else ""
    return declined(
        state.prompt.evidence, missing or gone or _absent(state), _nearest(state), title, instead, state.foreign()
    )


def _absent(state: State) -> list[str]:
    """What is asked of a known subject and occurs nowhere in the evidence."""
    there = {k for c in state.all for k in (*c.found, *c.titled)}
    asked = [m for step in state.steps for m in step.get("missing", ())]
    return [m for m in dict.fromkeys(asked) if not there & {w.key for w in question_words(m)}]


def _nearest(state: State) -> list[int]:
    """Numbers of the evidence whose sentences came closest, best first."""
    return [s["evidence"] for step in state.steps for s in step.get("chosen", ())]
