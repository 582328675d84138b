"""Answers about an image: what it resembles, what tools say of it, and what its label's texts do."""

from __future__ import annotations

import re
from dataclasses import replace

from . import searching, seen, texts
from .compose import quotes
from .ledger import FAILED
from .lexicon import lexicon
from .passages import answer_part
from .questions import Part
from .scoring import weigh
from .searching import LOOSE
from .state import State, overall
from .words import question_words

MOST_TOLD = 12  # sentences of tools, where the question is what a scene shows


def identify(state: State, part: Part | None = None) -> tuple[list[str], str]:
    """What each image resembles by the vote of its nearest references, with what tells that of it."""
    lines: list[str] = []
    statuses = []
    for letter, vote in seen.votes_of(state.prompt):
        text, status, subject = seen.looks_like(letter, vote, state.prompt)
        if subject and part and "yes_no" in part.kinds and part.words and len(state.prompt.votes) == 1:
            agrees = bool({w.key for w in part.words} & state.label_keys())
            text = f"Probably {'yes' if agrees else 'not'}: {text[0].lower()}{text[1:]}"
        state.steps.append({"scene": letter, "label": vote.label, "subjects": list(vote.subjects), "status": status})
        state.sure(f"[{letter}]", "identify", {"named": float(bool(subject))})
        lines.append(text)
        statuses.append(status)
        follows = any({"why", "tell_apart"} & set(p.kinds) for p in state.question.parts)
        if subject and not follows:
            lines.extend(_about(state, subject, "identify", 1 if len(state.prompt.votes) > 1 else 2))
    if told := seen.said_of_content(state.prompt, state.done):
        # What tools know of the scene stands whatever the pixels look like, and leads where they say nothing.
        first = 0 if "answered" in statuses else 1
        lines = [*told[:first], *lines, *told[first:MOST_TOLD]]
        statuses = ["answered" if status == "answered" else "partial" for status in statuses] or ["partial"]
    fresh = [line for line in lines if line not in state.said]
    if not lines:
        return (["Nothing in the knowledge base could be compared with this image [A]."], "declined")
    state.said.update(fresh)
    return fresh, overall(statuses)


def of_label(state: State, part: Part) -> tuple[list[str], str]:
    """A question about what the scene shows: "how can I tell?", "how large are these usually?"."""
    telling = [w for w in part.words if w.key not in state.label_keys()]
    lines: list[str] = []
    probe = "why" if {"why", "tell_apart", "identify"} & set(part.kinds) or not telling else ""
    status = "answered"
    for subject, title, _ in state.labels:
        if probe and not telling:
            alone = len(state.labels) == 1
            if alone and probe == "why":  # what it looks like, then what it is not
                lines.extend(_about(state, subject, "identify", 2))
            lines.extend(_about(state, subject, probe, 1))
            continue
        compared = f"{title}: {part.text}"
        found = state.of(subject)
        passage = searching.search(state, replace(part, words=tuple(telling)), compared, found, {subject})
        if passage.status == "declined" and not passage.chosen:
            status = "partial"
            continue
        if passage.status == "declined":
            return texts.answer(state, part, ())
        status = passage.status
        lines.extend(quotes([s.candidate for s in passage.chosen]))
    return lines, status if lines else "partial"


def _about(state: State, subject: str, probe: str, count: int) -> list[str]:
    """Sentences of a subject's own texts that best fit a standing question about it."""
    found = [c for c in state.of(subject) if c.evidence.kind == "text"]
    if not found:
        return []
    fitting = lexicon().parts.get(probe, ())
    found = [c for c in found if c.evidence.part in fitting] or found
    title = next((t for s, t, _ in state.labels if s == subject), found[0].evidence.title)
    compared = lexicon().probes[probe].format(title=title)
    kinds = ("tell_apart",) if probe == "why" else ("identify",) if probe != "where" else ()
    part = Part(compared, kinds, tuple(question_words(title)))
    weights = weigh(part.words, state.language)
    passage = answer_part(
        part, compared, found, weights, state.language, taken=state.taken, supports=count - 1, limits=LOOSE
    )
    state.note(part, passage)
    return quotes([s.candidate for s in passage.chosen[:count]])


def of_tools(state: State, part: Part) -> tuple[list[str], str]:
    """Where, near and describe: what the tools found, every sentence kept."""
    said, known = seen.said_by_tools(state.prompt, part.kinds, part.words)
    fresh = [s for s in said if s not in state.said]
    state.said.update(fresh)
    state.steps.append({"part": part.text, "kinds": list(part.kinds), "tool sentences": len(said), "known": known})
    if "describe" in part.kinds and state.prompt.votes:
        lines, status = identify(state)
        return [*lines, *fresh], "answered" if known else status
    if said and (known or not state.labels):
        return fresh, "answered" if known else "declined"
    landmarks = [s for s, _, _ in state.labels if any(c.evidence.bbox for c in state.of(s))]
    if landmarks:  # the image cannot be placed, but what it seems to show can
        return [*fresh, *_about(state, landmarks[0], "where", 1)], "partial"
    return fresh, "declined"


def of_file(state: State, part: Part) -> tuple[list[str], str]:
    """A question about the image as a file: what tools and scene facts say, the best fitting first."""
    found = [c for c in state.all if c.evidence.kind in ("tool", "scene")]
    if not found:
        return texts.answer(state, part, ())
    passage = answer_part(
        part, part.text, found, state.weights, state.language, taken=state.taken, supports=2, limits=LOOSE
    )
    state.note(part, passage)
    status = "answered" if passage.confidence >= state.limits.fair else "partial"
    return quotes([s.candidate for s in passage.chosen]), status


def needs_eyes(state: State, part: Part) -> bool:
    """Whether one must look: to count, to read, to name a colour, or at an image that nobody gave."""
    lowered = part.text.lower()
    if state.done or (any(e.facts for e in state.prompt.evidence) and "sight" not in part.kinds):
        return False
    counts = state.scenes and re.search(r"\bhow many\b|\bcount\b", lowered) and "describe" not in part.kinds
    lacks = not state.scenes and any(cue.search(lowered) for cue in lexicon().shown)
    lacks = lacks and bool({"identify", "yes_no", "describe"} & set(part.kinds) or not state.about_of(part).subjects)
    return "sight" in part.kinds or bool(counts) or lacks


def asks_which(state: State, part: Part) -> bool:
    """Whether a part offers things to choose from, or asks what kind of thing the image shows."""
    if not state.prompt.votes or {"why", "where", "near", "number", "when", "describe"} & set(part.kinds):
        return False
    either = re.search(r"\bor\b", part.text) and not part.elliptic
    return bool(either) or ("identify" in part.kinds and not any(any(c.isdigit() for c in w.key) for w in part.words))


def beside(state: State, part: Part) -> bool:
    """Whether a part asks for something else than what a tool has done: what the scene is, or where."""
    kinds = set(part.kinds)
    if not state.scenes:
        return False
    if "identify" in kinds and all(e.part == FAILED for e in state.done):
        return bool(state.labels)
    if kinds & {"where", "near"}:  # but "where is the water?" has been answered by what found it
        own = part.deictic or not part.words or "near" in kinds
        return own and seen.place_asked_for(state.prompt)
    # "How big is this?" may mean the image, whose file has told, or what it shows.
    size = re.search(r"\bhow (?:big|large|wide|tall)\b", part.text, re.IGNORECASE) and part.deictic
    shown = not any(re.search(rf"\b{word}s?\b", part.text, re.IGNORECASE) for word in lexicon().scene_words)
    if size and shown and state.labels and seen.only_of_file(state.done):
        return True
    return "identify" in kinds and not part.words


def explained(state: State, part: Part) -> bool:
    """ "What is this band for?" has words of its own, "what is this?" has not."""
    own = [w for w in part.words if w.key not in state.label_keys()]
    return len(own) > 2 or any(any(c.isdigit() for c in w.key) for w in own)
