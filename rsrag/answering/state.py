"""What one reading of a prompt keeps: the question as understood, the evidence as sentences, what has been said and how
sure of it one may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ..interfaces import Language
from ..types import Prompt
from . import seen
from .about import About, about
from .candidates import Candidate, candidates
from .ledger import FAILED
from .passages import Limits, Passage, corrected
from .questions import Part, Question, foreign, understand
from .reliability import reliability
from .scoring import MOST_COMPARED, Scored, weigh
from .words import Word, question_words

Status = Literal["answered", "partial", "declined"]
_NO_WORD = "qzxjvkq"


def overall(statuses: Sequence[str]) -> Status:
    """Answered when all parts are, declined when none is, else partial."""
    if not statuses or all(s == "declined" for s in statuses):
        return "declined"
    return "answered" if all(s == "answered" for s in statuses) else "partial"


class State:
    """One reading: keeps what has been said, so that parts of a question do not repeat each other."""

    def __init__(self, prompt: Prompt, language: Language, limits: Limits, least: float) -> None:
        self.least = least
        self.confidences: list[float] = []
        self.blind = False
        self._abouts: dict[str, About] = {}
        self.prompt = prompt
        self.language = language
        self.limits = limits
        self.scenes = bool(prompt.scenes or prompt.votes)
        self.question: Question = understand(prompt.question, self.scenes)
        self.question = corrected(self.question, prompt.evidence)
        self.weights = weigh(self.question.words, language)
        self.labels = [label for _, vote in seen.votes_of(prompt) if (label := seen.labelled(vote))]
        texts = [e for e in prompt.evidence if e.kind == "text"]
        own = [e for e in prompt.evidence if e.kind in ("tool", "scene") and e.part != FAILED] if self.scenes else []
        self.all = candidates([*own, *texts])
        self.done = seen.asked_for(prompt)
        self.taken: list[Scored] = []
        self.said: set[str] = set()
        self.steps: list[dict[str, Any]] = []

    def sure(self, asked: str, route: str, features: Mapping[str, float] | None = None) -> float:
        """How probable it is that what a route gives is right; kept for the answer and the trace."""
        seen_of = {name: round(value, 3) for name, value in (features or {}).items()}
        sure = reliability(route, features or {})
        self.confidences.append(sure)
        self.steps.append({"part": asked, "route": route, "confidence": round(sure, 3), "features": seen_of})
        return sure

    def about_of(self, part: Part) -> About:
        """What a part is about; one that names nothing speaks of what the part before named."""
        if part.text in self._abouts:
            return self._abouts[part.text]
        shown = [e for e in self.prompt.evidence if e.kind == "text"]
        found = about(part, part.text, shown)
        place = self.question.parts.index(part) if part in self.question.parts else 0
        if not found.subjects and place and not self.scenes:
            before = self.about_of(self.question.parts[place - 1])
            found = replace(found, subjects=before.subjects, called=before.called)
        self._abouts[part.text] = found
        return found

    def note(self, part: Part, passage: Passage) -> None:
        """Keep a passage as taken, unless it was declined, and for the trace."""
        if passage.status != "declined":
            self.taken.extend(passage.chosen)
        self.steps.append({"part": part.text, "kinds": list(part.kinds), **passage.trace()})

    def of(self, subject: str) -> list[Candidate]:
        """The sentences of a subject, and all that tools and files say."""
        return [c for c in self.all if c.evidence.subject == subject or c.evidence.kind in ("tool", "scene")]

    def label_keys(self) -> set[str]:
        """The stems of the words of what the images seem to show."""
        return {w.key for _, title, _ in self.labels for w in question_words(title)}

    def subjects(self) -> set[str]:
        """Subjects that the question names: all telling words of their title, or of what stands in it before a
        comma or a bracket, occur in the question."""
        asked = {w.key for w in self.question.words}
        titles = {c.evidence.subject: c.evidence.title for c in self.all if c.evidence.kind == "text"}
        named = set()
        for subject, title in titles.items():
            for name in (title, re.split(r"[,(:]", title)[0]):
                if (words := {w.key for w in question_words(name)}) and words <= asked:
                    named.add(subject)
        return named or {e.subject for e in self.prompt.evidence if e.kind == "text"} & {s for s, _, _ in self.labels}

    def similarity(self, text: str, found: Sequence[Candidate]) -> dict[int, float]:
        """How alike a text and the first of some sentences are, by the sentence's id()."""
        short = found[:MOST_COMPARED]
        return {id(c): s for c, s in zip(short, self.language.similarity(text, [c.spoken for c in short]), strict=True)}

    def unknown(self, words: Iterable[Word]) -> bool:
        """Whether a word occurs nowhere in the store: then its idf is that of a word that cannot be."""
        asked = [w.key if len(w.parts) != 1 else w.parts[0] for w in words]
        if not asked:
            return False
        idf = self.language.idf([*asked, _NO_WORD])
        return any(idf[w] >= idf[_NO_WORD] for w in asked)

    def foreign(self) -> bool:
        """Whether the question is hardly English."""
        return foreign(self.question.text, lambda word: self.unknown([word]))

    def related(self) -> list[Candidate]:
        """What may explain an earlier sentence: the same subject's texts, or any when there are none."""
        subjects = {s.candidate.evidence.subject for s in self.taken}
        return [c for c in self.all if c.evidence.subject in subjects] or self.all

    def compared(self, part: Part) -> str:
        """An elliptic part is compared together with what it leans on."""
        if not part.elliptic:
            return part.text
        before = self.question.parts[: self.question.parts.index(part)]
        return f"{before[-1].text.rstrip('?')}: {part.text}" if before else part.text

    def leaning(self, part: Part) -> Part:
        """An elliptic part also asks about the identifiers that the answer so far has named: "B8A and B12: why?"."""
        known = {w.key for w in part.words}
        named = {k for s in self.taken for k in s.candidate.found if re.fullmatch(r"[a-z]\d{1,2}[a-z]?", k)} - known
        words = tuple(Word(k, k.upper(), (k,)) for k in sorted(named))
        self.weights.update(weigh(words, self.language))
        return replace(part, words=(*part.words, *words))
