"""The reader behind `extractive`: answers a Prompt by quoting its evidence, or declines. No model, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..interfaces import Language
from ..types import Prompt
from . import declining, figures, seen, shown, texts
from .compose import paragraphs, unseen
from .ledger import FAILED
from .passages import Limits, unresolved
from .questions import Part
from .reliability import threshold
from .state import State, Status, overall
from .words import PlainLanguage


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer in Markdown with its markers, how far it answers, and every choice made on the way."""

    text: str
    status: Status
    trace: Mapping[str, Any]
    confidence: float | None = None


def read(
    prompt: Prompt,
    language: Language | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    least: float | None = None,
) -> Reading:
    """Answer a prompt of the tasks "ask" and "caption"; below a confidence of `least`, by default the fitted threshold,
    it declines.

    The first line of the text is the verdict; sentences are quoted as they stand, each with its [n].
    """
    if prompt.task == "caption":
        text, status = seen.caption(prompt)
        return Reading(text, overall([status]), {"task": "caption"})
    return _read(State(prompt, language or PlainLanguage(), limits, threshold() if least is None else least))


def _read(state: State) -> Reading:
    said: list[list[str]] = []
    statuses: list[str] = []
    about = [state.about_of(part).subjects for part in state.question.parts]
    named = any(not s.startswith("place/") for subjects in about for s in subjects)
    gone = unresolved(state.question, state.prompt.evidence)
    if named:  # then a plain word with a capital is one word among others, if anything speaks of it: "Earth"
        plain = {w.surface: w for w in state.question.names if w.surface[1:].islower() and w.key.isalpha()}
        gone = tuple(n for n in gone if n not in plain or state.unknown([plain[n]]))
    done = state.done
    if done:
        said.append(seen.said_by(done, state.prompt.history))
        failed = [e for e in done if e.part == FAILED]
        short = failed or all(seen.untold(e) for e in done)
        statuses.append("declined" if len(failed) == len(done) else "partial" if short else "answered")
        state.steps.append({"tools": [e.title for e in done], "failed": [e.title for e in failed]})
        if not failed:
            state.sure(state.question.text, "tool")
    for place, part in enumerate(state.question.parts):
        if done and not shown.beside(state, part):
            continue
        step, status = _part(state, part, gone, place)
        if not step:
            continue
        statuses.append(status)
        before = {line for lines in said for line in lines}  # "which bands, and why?" may rest on the same sentence
        lines = [line for line in step if line and line not in before]
        # What was asked first and is known is said first.
        said.insert(0, lines) if done and not place and status == "answered" else said.append(lines)
    status = overall(statuses)
    trace = {
        "parts": [{"text": p.text, "kinds": list(p.kinds), "elliptic": p.elliptic} for p in state.question.parts],
        "names": [w.surface for w in state.question.names],
        "unresolved": list(gone),
        "weights": {k: round(v, 2) for k, v in state.weights.items()},
        "steps": state.steps,
    }
    if not any(said) and not gone and (told := seen.said_of_content(state.prompt)):
        unsure = "The evidence does not answer the whole question."
        return Reading(paragraphs([[*told[: shown.MOST_TOLD], unsure]]), "partial", trace)
    if not any(said) and state.blind:
        return Reading(unseen(state.prompt.evidence, state.scenes), "declined", trace)
    if not any(said):
        sure = min(state.confidences, default=None)
        return Reading(declining.decline(state, gone), "declined", trace, sure)
    return Reading(paragraphs(said), status, trace, min(state.confidences, default=None))


def _part(state: State, part: Part, gone: Sequence[str], place: int) -> tuple[list[str], str]:
    """([verdict, supports...], status) for one part; an empty list when it has nothing to add."""
    kinds = set(part.kinds)
    if shown.needs_eyes(state, part):
        state.blind = True
        return [""], "declined"
    if state.scenes and not gone and shown.asks_which(state, part):
        return shown.identify(state, part)
    if state.scenes and not gone and (not part.elliptic or kinds & {"where", "near"}):
        if "identify" in kinds and not shown.explained(state, part):
            return shown.identify(state, part)
        near = "near" in kinds and not state.question.names and seen.place_asked_for(state.prompt)
        if near or (kinds & {"where", "near"} and (part.deictic or not part.words or place)):
            return shown.of_tools(state, part)
        if "describe" in kinds:
            return shown.of_tools(state, part) if not part.words else shown.of_file(state, part)
    of_file = part.deictic and not state.labels and not kinds & {"identify", "why"}
    if of_file and not gone and seen.file_asked_for(state.prompt):
        return shown.of_file(state, part)
    if state.scenes and state.labels and (part.deictic or part.elliptic or not part.words):
        return (None if gone else figures.told(state, part)) or shown.of_label(state, part)
    if state.scenes and part.deictic and not state.labels and not state.question.names and state.prompt.votes:
        told = texts.answer(state, part, gone) if seen.said_of_content(state.prompt) else ([""], "declined")
        return told if told[1] != "declined" else shown.identify(state)
    return texts.answer(state, part, gone)
