"""The reader behind `extractive`: answers a Prompt by quoting its evidence, or declines. No model, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..interfaces import Language
from ..types import Evidence, Prompt
from . import seen
from .candidates import Candidate, candidates, headed
from .compose import cite, declined, listed, paragraphs, quotes
from .facts import Asked, Time, alike, fitting, not_then, sentence, stated, times
from .ledger import FAILED
from .lexicon import lexicon
from .passages import Limits, Passage, answer_part, corrected, unresolved
from .quantities import quantities
from .questions import Part, Question, understand
from .scoring import Scored, weigh
from .words import PlainLanguage, Word, question_words

# A part that leans on the one before is already on the subject; what is left to ask is its form.
_LENIENT = Limits(sure=0.35, fair=0.25, least_cover=0.2, least_similarity=0.12)
_LOOSE = Limits(sure=0.0, fair=0.0, least_cover=0.0, least_similarity=-1.0)
Status = Literal["answered", "partial", "declined"]
_MOST_TOLD = 12  # sentences of tools, where the question is what a scene shows
_SUPPORTS = 3
_MOST_NUMBERS = 4  # in a sentence about one figure


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer in Markdown with its markers, how far it answers, and every choice made on the way."""

    text: str
    status: Status
    trace: Mapping[str, Any]


def read(prompt: Prompt, language: Language | None = None, limits: Limits = Limits()) -> Reading:  # noqa: B008 - frozen
    """Answer a prompt of the tasks "ask" and "caption".

    The first line of the text is the verdict; sentences are quoted as they stand, each with its [n].
    """
    if prompt.task == "caption":
        text, status = seen.caption(prompt)
        return Reading(text, _status([status]), {"task": "caption"})
    return _Reader(prompt, language or PlainLanguage(), limits).read()


class _Reader:
    """One reading: keeps what has been said, so that parts of a question do not repeat each other."""

    def __init__(self, prompt: Prompt, language: Language, limits: Limits) -> None:
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

    # -- the whole ----------------------------------------------------------------------------------

    def read(self) -> Reading:
        said: list[list[str]] = []
        statuses: list[str] = []
        gone = unresolved(self.question, self.prompt.evidence)
        done = self.done
        if done:
            said.append(seen.said_by(done, self.prompt.history))
            failed = [e for e in done if e.part == FAILED]
            short = failed or all(seen.untold(e) for e in done)
            statuses.append("declined" if len(failed) == len(done) else "partial" if short else "answered")
            self.steps.append({"tools": [e.title for e in done], "failed": [e.title for e in failed]})
        for place, part in enumerate(self.question.parts):
            if done and not self._beside(part):
                continue
            step, status = self._part(part, gone, place)
            if not step:
                continue
            statuses.append(status)
            lines = [line for line in step if line]
            # What was asked first and is known is said first.
            said.insert(0, lines) if done and not place and status == "answered" else said.append(lines)
        status = _status(statuses)
        trace = {
            "parts": [{"text": p.text, "kinds": list(p.kinds), "elliptic": p.elliptic} for p in self.question.parts],
            "names": [w.surface for w in self.question.names],
            "unresolved": list(gone),
            "weights": {k: round(v, 2) for k, v in self.weights.items()},
            "steps": self.steps,
        }
        if not any(said) and not gone and (told := seen.said_of_content(self.prompt)):
            unsure = "The evidence does not answer the whole question."
            return Reading(paragraphs([[*told[:_MOST_TOLD], unsure]]), "partial", trace)
        if not any(said):
            return Reading(declined(self.prompt.evidence, gone or self._absent(), self._nearest()), "declined", trace)
        return Reading(paragraphs(said), status, trace)

    def _part(self, part: Part, gone: Sequence[str], place: int) -> tuple[list[str], str]:
        """([verdict, supports...], status) for one part; an empty list when it has nothing to add."""
        kinds = set(part.kinds)
        if self.scenes and not gone and (not part.elliptic or kinds & {"where", "near"}):
            if "identify" in kinds and not self._explained(part):
                return self._identify(part)
            near = "near" in kinds and not self.question.names and seen.place_asked_for(self.prompt)
            if near or (kinds & {"where", "near"} and (part.deictic or not part.words or place)):
                return self._tools(part)
            if "describe" in kinds:
                return self._tools(part) if not part.words else self._facts(part)
        of_file = part.deictic and not self.labels and not kinds & {"identify", "why"}
        if of_file and not gone and seen.file_asked_for(self.prompt):
            return self._facts(part)
        if self.scenes and self.labels and (part.deictic or part.elliptic or not part.words):
            return (None if gone else self._figures(part)) or self._of_label(part)
        if self.scenes and part.deictic and not self.labels and not self.question.names and self.prompt.votes:
            told = self._passages(part, gone) if seen.said_of_content(self.prompt) else ([""], "declined")
            return told if told[1] != "declined" else self._identify()
        return self._passages(part, gone)

    def _beside(self, part: Part) -> bool:
        """Whether a part asks for something else than what a tool has done: what the scene is, or where."""
        kinds = set(part.kinds)
        if not self.scenes:
            return False
        if kinds & {"where", "near"}:  # but "where is the water?" has been answered by what found it
            own = part.deictic or not part.words or "near" in kinds
            return own and seen.place_asked_for(self.prompt)
        # "How big is this?" may mean the image, whose file has told, or what it shows.
        size = re.search(r"\bhow (?:big|large|wide|tall)\b", part.text, re.IGNORECASE) and part.deictic
        shown = not any(re.search(rf"\b{word}s?\b", part.text, re.IGNORECASE) for word in lexicon().scene_words)
        if size and shown and self.labels and seen.only_of_file(self.done):
            return True
        return "identify" in kinds and not part.words

    # -- a scene ------------------------------------------------------------------------------------

    def _identify(self, part: Part | None = None) -> tuple[list[str], str]:
        lines: list[str] = []
        statuses = []
        for letter, vote in seen.votes_of(self.prompt):
            text, status, subject = seen.looks_like(letter, vote, self.prompt)
            if subject and part and "yes_no" in part.kinds and part.words and len(self.prompt.votes) == 1:
                agrees = bool({w.key for w in part.words} & self._label_keys())
                text = f"Probably {'yes' if agrees else 'not'}: {text[0].lower()}{text[1:]}"
            self.steps.append({"scene": letter, "label": vote.label, "subjects": list(vote.subjects), "status": status})
            lines.append(text)
            statuses.append(status)
            follows = any({"why", "tell_apart"} & set(p.kinds) for p in self.question.parts)
            if subject and not follows:
                lines.extend(self._about(subject, "identify", 1 if len(self.prompt.votes) > 1 else 2))
        if told := seen.said_of_content(self.prompt, self.done):
            # What tools know of the scene stands whatever the pixels look like, and leads where they say nothing.
            first = 0 if "answered" in statuses else 1
            lines = [*told[:first], *lines, *told[first:_MOST_TOLD]]
            statuses = ["answered" if status == "answered" else "partial" for status in statuses] or ["partial"]
        fresh = [line for line in lines if line not in self.said]
        if not lines:
            return (["Nothing in the knowledge base could be compared with this image [A]."], "declined")
        self.said.update(fresh)
        return fresh, _status(statuses)

    def _of_label(self, part: Part) -> tuple[list[str], str]:
        """A question about what the scene shows: "how can I tell?", "how large are these usually?"."""
        telling = [w for w in part.words if w.key not in self._label_keys()]
        lines: list[str] = []
        probe = "why" if {"why", "tell_apart", "identify"} & set(part.kinds) or not telling else ""
        status = "answered"
        for subject, title, _ in self.labels:
            if probe and not telling:
                alone = len(self.labels) == 1
                if alone and probe == "why":  # what it looks like, then what it is not
                    lines.extend(self._about(subject, "identify", 2))
                lines.extend(self._about(subject, probe, 1))
                continue
            compared = f"{title}: {part.text}"
            found = self._of(subject)
            passage = self._search(replace(part, words=tuple(telling)), compared, found, {subject})
            if passage.status == "declined" and not passage.chosen:
                status = "partial"
                continue
            if passage.status == "declined":
                return self._passages(part, ())
            status = passage.status
            lines.extend(quotes([s.candidate for s in passage.chosen]))
        return lines, status if lines else "partial"

    def _about(self, subject: str, probe: str, count: int) -> list[str]:
        """Sentences of a subject's own texts that best fit a standing question about it."""
        found = [c for c in self._of(subject) if c.evidence.kind == "text"]
        if not found:
            return []
        fitting = lexicon().parts.get(probe, ())
        found = [c for c in found if c.evidence.part in fitting] or found
        title = next((t for s, t, _ in self.labels if s == subject), found[0].evidence.title)
        compared = lexicon().probes[probe].format(title=title)
        kinds = ("tell_apart",) if probe == "why" else ("identify",) if probe != "where" else ()
        part = Part(compared, kinds, tuple(question_words(title)))
        weights = weigh(part.words, self.language)
        passage = answer_part(
            part, compared, found, weights, self.language, taken=self.taken, supports=count - 1, limits=_LOOSE
        )
        self._note(part, passage)
        return quotes([s.candidate for s in passage.chosen[:count]])

    def _tools(self, part: Part) -> tuple[list[str], str]:
        """Where, near and describe: what the tools found, every sentence kept."""
        said, known = seen.said_by_tools(self.prompt, part.kinds, part.words)
        fresh = [s for s in said if s not in self.said]
        self.said.update(fresh)
        self.steps.append({"part": part.text, "kinds": list(part.kinds), "tool sentences": len(said), "known": known})
        if "describe" in part.kinds and self.prompt.votes:
            lines, status = self._identify()
            return [*lines, *fresh], "answered" if known else status
        if said and (known or not self.labels):
            return fresh, "answered" if known else "declined"
        landmarks = [s for s, _, _ in self.labels if any(c.evidence.bbox for c in self._of(s))]
        if landmarks:  # the image cannot be placed, but what it seems to show can
            return [*fresh, *self._about(landmarks[0], "where", 1)], "partial"
        return fresh, "declined"

    def _facts(self, part: Part) -> tuple[list[str], str]:
        """A question about the image as a file: what tools and scene facts say, the best fitting first."""
        found = [c for c in self.all if c.evidence.kind in ("tool", "scene")]
        if not found:
            return self._passages(part, ())
        passage = answer_part(
            part, part.text, found, self.weights, self.language, taken=self.taken, supports=2, limits=_LOOSE
        )
        self._note(part, passage)
        status = "answered" if passage.confidence >= self.limits.fair else "partial"
        return quotes([s.candidate for s in passage.chosen]), status

    # -- texts --------------------------------------------------------------------------------------

    def _figures(self, part: Part) -> tuple[list[str], str] | None:
        """What the facts of the subjects asked about say; None when no fact is asked for.

        A figure that several subjects have belongs to none of them while the question names none.
        """
        held = [e for e in self.prompt.evidence if e.facts]
        if not held or part.elliptic or {"list", "tell_apart", "why", "near"} & set(part.kinds):
            return None
        meant = self._subjects()
        by_subject: dict[str, list[Evidence]] = {}
        for item in held:
            if not meant or item.subject in meant:
                by_subject.setdefault(item.subject, []).append(item)
        said, elsewhen = [], []
        for items in by_subject.values():
            names = [name for e in items for name in (e.title, *e.aliases)]
            asked = Asked.of(part.text, names)
            held_facts = [f for e in items for f in e.facts]
            facts = alike(fitting(asked, held_facts))
            if not facts and (others := alike(fitting(asked.at_any_time, held_facts))):
                elsewhen.append(cite(not_then(items[0].title, others[0], asked), [e.number for e in items]))
            if facts:
                marks = [e.number for e in items if set(facts) & set(e.facts)]
                said.append((items[0].title, cite(sentence(items[0].title, facts), marks)))
        if not said:
            return (elsewhen, "declined") if elsewhen else None
        self.steps.append({"part": part.text, "facts": [line for _, line in said], "subjects": sorted(meant)})
        if len(said) > 1 and not meant:
            return [
                f"It depends on which one is meant: {listed([t for t, _ in said[:4]])} each have their own."
            ], "declined"
        return [line for _, line in said], "answered"

    def _passages(self, part: Part, gone: Sequence[str]) -> tuple[list[str], str]:
        figures = None if gone else self._figures(part)
        if figures and figures[1] == "declined":
            return figures
        if figures and not any(self._gives(candidate) for candidate in self.all):
            return figures  # no sentence could say it better
        found = self.all if not part.elliptic or not self.taken else self._related()
        asked = self._leaning(part) if part.elliptic else part
        passage = self._search(asked, self._compared(part), found, self._subjects())
        if passage.status == "declined" and figures:
            return figures
        if passage.status == "declined":
            if (
                part.elliptic
                and "why" in part.kinds
                and any(lexicon().causal.search(s.candidate.text) for s in self.taken)
            ):
                return [], "answered"  # what was said already gives the reason
            unsaid = "The evidence does not say why." if "why" in part.kinds else ""
            return ([unsaid], "partial") if part.elliptic and self.taken else ([""], "declined")
        status = passage.status
        if gone:
            # An unknown name can never be answered by what is known of others.
            return [""], "declined"
        if figures and not (status == "answered" and self._gives(passage.chosen[0].candidate)):
            return figures  # prose that gives the figure says it better
        lines = quotes([s.candidate for s in passage.chosen])
        if passage.conflict:
            other = passage.conflict.candidate
            lines.insert(1, cite(f"Another source gives a different figure: {other.spoken}", (other.number,)))
        if status == "partial" and not part.elliptic:
            lines.append("The evidence does not answer the whole question.")
        return lines, status

    def _gives(self, candidate: Candidate) -> bool:
        """Whether a sentence states a figure that was looked up for its subject. A row of a table gives many, and says
        none of them well."""
        if candidate.evidence.part == "fact" or len(quantities(candidate.text)) > _MOST_NUMBERS:
            return False
        own = [e for e in self.prompt.evidence if e.facts and e.subject == candidate.evidence.subject]
        return any(stated(candidate.text, fact) for e in own for fact in e.facts)

    def _search(self, part: Part, compared: str, found: Sequence[Candidate], subjects: set[str]) -> Passage:
        explained = any(p.elliptic and "why" in p.kinds for p in self.question.parts)
        others = len(self.question.parts) - 1
        months = [t for t in times(self.question.text) if t.month]
        found = [c for c in found if not months or not _of_other_months(c, months)]
        supports = 1 if part.elliptic else 0 if explained else max(_SUPPORTS - 1 - others, 1)
        passage = answer_part(
            part,
            compared,
            found,
            self.weights,
            self.language,
            subjects=frozenset(subjects),
            taken=self.taken,
            supports=supports,
            limits=_LENIENT if part.elliptic else self.limits,
        )
        self._note(part, passage)
        return passage

    def _note(self, part: Part, passage: Passage) -> None:
        if passage.status != "declined":
            self.taken.extend(passage.chosen)
        self.steps.append({"part": part.text, "kinds": list(part.kinds), **passage.trace()})

    def _compared(self, part: Part) -> str:
        """An elliptic part is compared together with what it leans on."""
        if not part.elliptic:
            return part.text
        before = self.question.parts[: self.question.parts.index(part)]
        return f"{before[-1].text.rstrip('?')}: {part.text}" if before else part.text

    def _leaning(self, part: Part) -> Part:
        """An elliptic part also asks about the identifiers that the answer so far has named: "B8A and B12: why?"."""
        known = {w.key for w in part.words}
        named = {k for s in self.taken for k in s.candidate.found if re.fullmatch(r"[a-z]\d{1,2}[a-z]?", k)} - known
        words = tuple(Word(k, k.upper(), (k,)) for k in sorted(named))
        self.weights.update(weigh(words, self.language))
        return replace(part, words=(*part.words, *words))

    def _related(self) -> list[Candidate]:
        """What may explain an earlier sentence: the same subject's texts, or any when there are none."""
        subjects = {s.candidate.evidence.subject for s in self.taken}
        return [c for c in self.all if c.evidence.subject in subjects] or self.all

    def _subjects(self) -> set[str]:
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

    def _of(self, subject: str) -> list[Candidate]:
        return [c for c in self.all if c.evidence.subject == subject or c.evidence.kind in ("tool", "scene")]

    def _label_keys(self) -> set[str]:
        return {w.key for _, title, _ in self.labels for w in question_words(title)}

    def _explained(self, part: Part) -> bool:
        """ "What is this band for?" has words of its own, "what is this?" has not."""
        own = [w for w in part.words if w.key not in self._label_keys()]
        return len(own) > 2 or any(any(c.isdigit() for c in w.key) for w in own)

    def _absent(self) -> list[str]:
        """What is asked of a known subject and occurs nowhere in the evidence."""
        there = {k for c in self.all for k in (*c.found, *c.titled)}
        asked = [m for step in self.steps for m in step.get("missing", ())]
        return [m for m in dict.fromkeys(asked) if not there & {w.key for w in question_words(m)}]

    def _nearest(self) -> list[int]:
        """Numbers of the evidence whose sentences came closest, best first."""
        return [s["evidence"] for step in self.steps for s in step.get("chosen", ())]


def _status(statuses: Sequence[str]) -> Status:
    """Answered when all parts are, declined when none is, else partial."""
    if not statuses or all(s == "declined" for s in statuses):
        return "declined"
    return "answered" if all(s == "answered" for s in statuses) else "partial"


def _of_other_months(candidate: Candidate, months: Sequence[Time]) -> bool:
    """Whether a sentence, or the heading it stands under, speaks of months, and of none that is asked for."""
    spoken = [t for t in times(f"{headed(candidate.evidence)}. {candidate.text}") if t.month]
    return bool(spoken) and not any(asked.fits(t) for asked in months for t in spoken)
