"""What the reader says about a scene itself: what it shows, where it lies, its facts, its caption."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..types import Evidence, Prompt, SceneVote, Turn
from .citations import letters
from .cleaning import one_line, unmark
from .compose import a_name, cite, listed, name
from .ledger import CAPTIONER, FAILED
from .lexicon import lexicon
from .sentences import sentences
from .words import Word, keys

ASKED_FOR = 0.8  # a tool that fits so well does what the question asks for (`interfaces.GeoTool`)
_MARKER = re.compile(r"\s*\[(?:\d+|[A-Z])\]")
_AWAY = re.compile(r"\d\s?(?:km|m)\b")  # a sentence that tells how far something lies
_MAY_ASK = 0.6  # a tool that fits so well does what the question may ask for
_MOST_SAID = 12  # sentences of one result


def votes_of(prompt: Prompt) -> list[tuple[str, SceneVote]]:
    """(letter, vote) for every scene that was voted on."""
    named = prompt.letters or letters(len(prompt.votes))
    return [
        (vote.scene if re.fullmatch("[A-Z]{1,2}", vote.scene) else letter, vote)
        for letter, vote in zip(named, prompt.votes, strict=False)
    ]


def labelled(vote: SceneVote) -> tuple[str, str, float] | None:
    """(subject, title, share) of the vote's label, which may be given as either; None without one."""
    if not vote.label:
        return None
    for subject, title, share in vote.subjects:
        if vote.label in (subject, title):
            return (subject, title, share)
    return (vote.label, vote.label.rpartition("/")[2].replace("-", " "), 0.0)


def examples(prompt: Prompt, subject: str, count: int = 2) -> list[Evidence]:
    """The image evidence of a subject, best first."""
    return [e for e in prompt.evidence if e.kind == "image" and e.subject == subject][:count]


def looks_like(letter: str, vote: SceneVote, prompt: Prompt) -> tuple[str, str, str]:
    """(sentence, status, subject): what a scene shows, or what comes closest and why it is not named."""
    label = labelled(vote)
    if label:
        subject, title, share = label
        shown = [e.number for e in examples(prompt, subject)]
        texts = [e.number for e in prompt.evidence if e.kind == "text" and e.subject == subject]
        marks = _marks(shown or texts[:1])
        verdict = f"This looks like **{a_name(title)}** [{letter}]"
        if not share:
            return (f"{verdict} {marks}".rstrip() + ".", "answered", subject)
        vote_text = "of the vote of the most similar reference images and names"
        return (f"{verdict}: it has {min(share, 0.99):.0%} {vote_text} {marks}".rstrip() + ".", "answered", subject)
    near = []
    for subject, title, _ in vote.subjects[:3]:
        shown = [e.number for e in prompt.evidence if e.subject == subject and e.kind in ("image", "text")][:1]
        near.append(f"{name(title)} {_marks(shown)}".rstrip())
    why = one_line(unmark(vote.reason)).rstrip(".")
    because = f", because {why}" if why else ""
    verdict = f"I can't tell with confidence what this shows [{letter}]{because}."
    if not near:
        return (verdict, "declined", "")
    return (f"{verdict} Closest {'are' if len(near) > 1 else 'is'} {listed(near)}.", "partial", "")


def _marks(numbers: Sequence[int]) -> str:
    return "".join(f"[{n}]" for n in numbers)


def said_by_tools(prompt: Prompt, kinds: Sequence[str], words: Sequence[Word] = ()) -> tuple[list[str], bool]:
    """(cited sentences, whether a place is known): what tools and scene facts say to where, near or describe.

    The sentences that hold most of the `words` stand for the rest, but for the first: "how far is the nearest airport?"
    """
    place = bool({"where", "near"} & set(kinds))
    items = [e for e in prompt.evidence if e.kind == "tool" and _about_place(e) == place]
    if not place:
        items += [e for e in prompt.evidence if e.kind == "scene"]
    items = items or [e for e in prompt.evidence if e.kind == "tool"]
    said: list[str] = []
    known = False
    for item in items:
        lost = bool(lexicon().no_place.search(item.text))
        known = known or not lost
        for sentence in sentences(unmark(item.text)):
            text = re.sub(r"^[-*+•]\s+", "", " ".join(sentence.split()))
            cited = cite(text, (item.number,))
            if cited not in said:
                said.append(cited)
    asked = {key for word in words for key in keys(word.surface)}
    held = [len(asked & set(keys(_MARKER.sub("", s)))) if _AWAY.search(s) else 0 for s in said]
    if place and any(held):
        meant = [sentence for sentence, count in zip(said, held, strict=True) if count == max(held)]
        said = list(dict.fromkeys([*meant, said[0]]))
    return said, known


def asked_for(prompt: Prompt) -> list[Evidence]:
    """Results of tools that do just what the question asks for, or the reasons why there are none; where a scene lies
    is told in a way of its own."""
    return [
        e
        for e in prompt.evidence
        if e.kind == "tool"
        and e.score >= ASKED_FOR
        and CAPTIONER not in e.via
        and (e.part == FAILED or _by_name(e) or not _about_place(e))
    ]


def file_asked_for(prompt: Prompt) -> bool:
    """Whether the question may ask for what the scene's own file tells: its size, bands, resolution, date."""
    return any(
        e.kind == "tool" and e.score >= _MAY_ASK and e.part != FAILED and _about_file(e) for e in prompt.evidence
    )


def place_asked_for(prompt: Prompt) -> bool:
    """Whether the question asks where a scene lies or what lies around it, and a tool has looked."""
    return any(e.kind == "tool" and e.score >= ASKED_FOR and _about_place(e) for e in prompt.evidence)


def only_of_file(items: Sequence[Evidence]) -> bool:
    """Whether results tell of a scene's file alone."""
    return all(_about_file(item) for item in items)


def untold(item: Evidence) -> bool:
    """Whether a result begins with what the file does not tell."""
    return _about_file(item) and item.text.startswith("The file does not say")


def said_by(items: Sequence[Evidence], history: Sequence[Turn] = ()) -> list[str]:
    """Cited sentences of some results: of a few all that they say, of many the first sentence of each.

    The first sentences, the verdicts, come before all others; a sentence of several results is said once for them.
    How something was measured, and its limits, are not told again in every turn of a conversation.
    """
    most = _MOST_SAID if len(items) <= 2 else 1
    before = {unmark(said) for turn in history for said in sentences(_MARKER.sub("", turn.answer))}
    verdicts: dict[str, list[int]] = {}
    others: dict[str, list[int]] = {}
    for item in items:
        for place, sentence in enumerate(sentences(unmark(item.text))[:most]):
            text = " ".join(sentence.split())
            if not place:
                verdicts.setdefault(text, []).append(item.number)
            elif text not in before:
                others.setdefault(text, []).append(item.number)
    return [cite(text, numbers) for text, numbers in (verdicts | others).items()]


def said_of_content(prompt: Prompt, told: Sequence[Evidence] = ()) -> list[str]:
    """Cited sentences of tools that tell what a scene holds: neither where it lies nor what its file is. What was
    `told` before is left out, and what failed."""
    items = [
        e
        for e in prompt.evidence
        if e.kind == "tool" and CAPTIONER not in e.via and e.part != FAILED and e not in told
        and not _about_place(e) and not _about_file(e)
    ]  # fmt: skip
    return [
        cite(" ".join(sentence.split()), (item.number,)) for item in items for sentence in sentences(unmark(item.text))
    ]


def _about_file(item: Evidence) -> bool:
    return bool(re.search(r"describe|metadata", item.title, re.IGNORECASE))


def _about_place(item: Evidence) -> bool:
    """Whether a tool's result is about where something lies, by the names it travels under."""
    names = " ".join((item.title, *item.via, item.key.partition("{")[0]))
    return bool(re.search(r"locat|where|near|\bplace\b|geocod|position", names, re.IGNORECASE))


def _by_name(item: Evidence) -> bool:
    """Whether a tool's result is about a place that the question names, and not about where a scene lies."""
    return any(re.search(r"geocod|nearby", name.lower()) for name in item.via)


def caption(prompt: Prompt) -> tuple[str, str]:
    """(text, status): the label and the caption that the nearest reference images agree on most."""
    votes = votes_of(prompt)
    label = labelled(votes[0][1]) if votes else None
    letter = votes[0][0] if votes else "A"
    subject = label[0] if label else (votes[0][1].subjects[0][0] if votes and votes[0][1].subjects else "")
    images = [e for e in prompt.evidence if e.kind == "image" and e.text.strip()]
    captions = [e for e in images if e.subject == subject] or images
    best = _most_typical(captions)
    own = next((e for e in prompt.evidence if CAPTIONER in e.via and e.text.strip()), None)
    if label:
        marks = _marks([e.number for e in examples(prompt, label[0])])
        shown = a_name(label[1])
        said = [f"{shown[:1].upper()}{shown[1:]} seen from above [{letter}]{marks}."]
        if own:
            said.append(cite(one_line(own.text), (own.number,)))
        elif best and set(keys(best.text)) - set(keys(label[1])):
            said.append(f"The most similar reference images show: {cite(_first(best.text), (best.number,))}")
        return " ".join(said), "answered"
    if own:
        return f"Perhaps: {cite(one_line(own.text), (own.number, letter))}", "partial"
    if best:
        return f"Perhaps: {cite(_first(best.text), (best.number, letter))}", "partial"
    return f"I can't tell with confidence what this shows [{letter}].", "declined"


def _first(text: str) -> str:
    found = sentences(unmark(one_line(text)))
    return found[0] if found else one_line(text)


def _most_typical(items: Sequence[Evidence]) -> Evidence | None:
    """The item whose caption shares most words with the others' captions."""
    words = [frozenset(keys(e.text)) for e in items]

    def agreement(i: int) -> float:
        return sum(len(words[i] & w) / (len(words[i] | w) or 1) for j, w in enumerate(words) if j != i)

    return items[max(range(len(items)), key=lambda i: (round(agreement(i), 6), -i))] if items else None
