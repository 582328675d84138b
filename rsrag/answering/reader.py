"""The reader behind `extractive`: answers a Prompt by quoting its evidence, or declines. No model, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..interfaces import Language
from ..types import Evidence, Prompt
from . import known, listing, seen
from .about import About
from .about import about as about_of
from .aspects import aspect, belongs
from .candidates import Candidate, candidates, headed
from .compose import cite, declined, listed, paragraphs, quotes, unseen
from .facts import Asked, Time, alike, as_number, fitting, not_then, sentence, stated, times
from .ledger import FAILED
from .lexicon import lexicon
from .passages import Limits, Passage, answer_part, corrected, unresolved
from .quantities import quantities
from .questions import Part, Question, foreign, understand
from .reliability import reliability, threshold
from .scoring import MOST_COMPARED, Scored, weigh
from .words import PlainLanguage, Word, cover, question_words

# A part that leans on the one before is already on the subject; what is left to ask is its form.
_LENIENT = Limits(sure=0.35, fair=0.25, least_cover=0.2, least_similarity=0.12)
_LOOSE = Limits(sure=0.0, fair=0.0, least_cover=0.0, least_similarity=-1.0)
Status = Literal["answered", "partial", "declined"]
_MOST_TOLD = 12  # sentences of tools, where the question is what a scene shows
_SUPPORTS = 3
_DESIGNATION = re.compile(r"[a-z]{0,2}\d+[a-z]?")
_COUNTRY = re.compile(
    r"\b(?:wh(?:ich|at|ose) (?:country|nation|territory|state|continent)|where(?: is|['’]s| are| lies?))\b",
    re.IGNORECASE,
)
_NEARLY = 0.75  # a sentence that gives a reason may be so much less alike than one that gives none
_SMALL_TALK = 3  # words that a question for a country may have left over
_NO_WORD = "qzxjvkq"
_PLAIN_VERDICT = 0.75  # so much of a question must be in the sentence that says yes or no
_MOST_LISTED = 5  # sentences of a text that lists
_FIRST_PARTS = ("definition", "overview", "appearance", "bands")
_MOST_NUMBERS = 4  # in a sentence about one figure


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
        return Reading(text, _status([status]), {"task": "caption"})
    return _Reader(prompt, language or PlainLanguage(), limits, threshold() if least is None else least).read()


class _Reader:
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

    # -- the whole ----------------------------------------------------------------------------------

    def read(self) -> Reading:
        said: list[list[str]] = []
        statuses: list[str] = []
        about = [self._about_of(part).subjects for part in self.question.parts]
        named = any(not s.startswith("place/") for subjects in about for s in subjects)
        gone = unresolved(self.question, self.prompt.evidence)
        if named:  # then a plain word with a capital is one word among others, if anything speaks of it: "Earth"
            plain = {w.surface: w for w in self.question.names if w.surface[1:].islower() and w.key.isalpha()}
            gone = tuple(n for n in gone if n not in plain or self._unknown([plain[n]]))
        done = self.done
        if done:
            said.append(seen.said_by(done, self.prompt.history))
            failed = [e for e in done if e.part == FAILED]
            short = failed or all(seen.untold(e) for e in done)
            statuses.append("declined" if len(failed) == len(done) else "partial" if short else "answered")
            self.steps.append({"tools": [e.title for e in done], "failed": [e.title for e in failed]})
            if not failed:
                self._sure(self.question.text, "tool")
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
        if not any(said) and self.blind:
            return Reading(unseen(self.prompt.evidence, self.scenes), "declined", trace)
        if not any(said):
            sure = min(self.confidences, default=None)
            return Reading(self._declined(gone), "declined", trace, sure)
        return Reading(paragraphs(said), status, trace, min(self.confidences, default=None))

    def _part(self, part: Part, gone: Sequence[str], place: int) -> tuple[list[str], str]:
        """([verdict, supports...], status) for one part; an empty list when it has nothing to add."""
        kinds = set(part.kinds)
        if self._needs_eyes(part):
            self.blind = True
            return [""], "declined"
        if self.scenes and not gone and self._asks_which(part):
            return self._identify(part)
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

    def _needs_eyes(self, part: Part) -> bool:
        """Whether one must look: to count, to read, to name a colour, or at an image that nobody gave."""
        lowered = part.text.lower()
        if self.done or (any(e.facts for e in self.prompt.evidence) and "sight" not in part.kinds):
            return False
        counts = self.scenes and re.search(r"\bhow many\b|\bcount\b", lowered) and "describe" not in part.kinds
        lacks = not self.scenes and any(cue.search(lowered) for cue in lexicon().shown)
        lacks = lacks and bool(
            {"identify", "yes_no", "describe"} & set(part.kinds) or not self._about_of(part).subjects
        )
        return "sight" in part.kinds or bool(counts) or lacks

    def _asks_which(self, part: Part) -> bool:
        """Whether a part offers things to choose from, or asks what kind of thing the image shows."""
        if not self.prompt.votes or {"why", "where", "near", "number", "when", "describe"} & set(part.kinds):
            return False
        either = re.search(r"\bor\b", part.text) and not part.elliptic
        return bool(either) or (
            "identify" in part.kinds and not any(any(c.isdigit() for c in w.key) for w in part.words)
        )

    def _beside(self, part: Part) -> bool:
        """Whether a part asks for something else than what a tool has done: what the scene is, or where."""
        kinds = set(part.kinds)
        if not self.scenes:
            return False
        if "identify" in kinds and all(e.part == FAILED for e in self.done):
            return bool(self.labels)
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
            self._sure(f"[{letter}]", "identify", {"named": float(bool(subject))})
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
        text = self._figure_text(part)
        if not held or {"why", "near"} & set(part.kinds):
            return None
        about = self._about_of(part)
        if "list" in part.kinds and not about.subjects:
            return None
        if {"list", "tell_apart"} & set(part.kinds) and not Asked.of(about.rest, ()).wanted:
            return None
        if part.elliptic and text == part.text:
            return None
        meant = set(about.subjects) or self._subjects()
        by_subject: dict[str, list[Evidence]] = {}
        for item in held:
            if not meant or item.subject in meant:
                by_subject.setdefault(item.subject, []).append(item)
        said, elsewhen, figures = [], [], list[tuple[str, str, float]]()
        for items in by_subject.values():
            names = [name for e in items for name in (e.title, *e.aliases)]
            others = [n for e in held if e.subject != items[0].subject for n in (e.title, *e.aliases)]
            asked = Asked.of(text, names, others)
            if asked.wanted and self._foreign():  # what is understood of it must do
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
        self.steps.append({"part": part.text, "facts": [line for _, line in said], "subjects": sorted(meant)})
        if len({title for title, _ in said}) > 1 and not meant and len({value for *_, value in figures}) == 1:
            said = said[:2]  # they agree
        elif len({title for title, _ in said}) > 1 and not meant:
            which = listed(list(dict.fromkeys(t for t, _ in said))[:4])
            return [f"It depends on which one is meant: {which} each have their own."], "declined"
        if any(f.attribute.endswith("formula") for items in by_subject.values() for e in items for f in e.facts):
            first = known.of(self.all, list(by_subject))
            more = known.defined(part, about, [c for c in first if c.evidence.part == "definition"], ())
            said += [(title, line) for title, _ in said[:1] for line in (more.lines if more else ())]
        self._sure(part.text, "figure")
        verdict = known.compared(part, figures)
        return [*filter(None, [verdict]), *(line for _, line in said)], "answered"

    def _figure_text(self, part: Part) -> str:
        """A part that only names another subject asks the same of it as the one before."""
        place = self.question.parts.index(part)
        about = self._about_of(part)
        if place and about.subjects and not about.left and not Asked.of(about.rest, ()).wanted:
            before = self._about_of(self.question.parts[place - 1])
            return f"{before.rest} {part.text}"
        return part.text

    def _known(self, part: Part, gone: Sequence[str]) -> tuple[list[str], str] | None:
        """An answer about what the question names or lists; None where that must be searched for."""
        if gone and self._foreign() and (figures := self._figures(part)):
            return figures  # the names that nobody knows may be words of another language
        if gone:
            return None
        asked = listing.wanted(part.text)
        if asked and (said := known.enumerated(asked, self.all, self.prompt.evidence)):
            return self._say(part, said)
        figures = self._figures(part)
        if figures:
            return figures
        about = self._about_of(part)
        if not about.subjects or part.elliptic:
            return None
        kinds = set(part.kinds)
        own = known.of(self.all, about.subjects)
        if not own:
            return None
        apart = "tell_apart" in kinds or (not kinds and re.search(r"\b(?:or|vs|versus)\b", part.text, re.I))
        if apart and about.apart:
            sayable = [c for c in own if c.evidence.part != "fact"]
            near = self._similarity(part.text, sayable)
            if said := known.told_apart(about, sayable, near):
                return self._say(part, said)
        bare = (
            not about.left
            and not about.apart
            and (kinds & {"definition", "describe", "where", "identify"} or not (kinds or about.parts))
        )
        places = all(s.startswith("place/") for s in about.subjects)
        if places and "where" in kinds and _COUNTRY.search(part.text):
            bare = len(about.left) <= _SMALL_TALK
        defines = bare or ("definition" in kinds and known.spelling_out(part))
        if defines and (said := known.defined(part, about, own, self.prompt.evidence)):
            return self._say(part, said)
        may_lack = not kinds or kinds & {"number", "when", "list", "yes_no", "definition", "formula"}
        if may_lack and (no := known.denied(about, own)) and self._denial_fits(about, no):
            self.taken.append(Scored(no, 1.0, 1.0, 1.0, 1.0))
            return self._say(part, known.Said(tuple(quotes([no])), "denied"))
        told = self._of_subject(part, about, own)
        common = not any(any(c.isupper() or c.isdigit() for c in about.called[s]) for s in about.subjects)
        if told[1] == "declined" and common and self.confidences:  # a common noun may be told of under another title
            self.confidences.pop()
            return self._found(part)
        return told

    def _of_subject(self, part: Part, about: About, own: Sequence[Candidate]) -> tuple[list[str], str]:
        """What a named subject's own texts say to what is asked of it."""
        sayable = [c for c in own if c.evidence.part != "fact"] or list(own)
        months = [t for t in times(self.question.text) if t.month]
        sayable = [c for c in sayable if not months or not _of_other_months(c, months)]
        words = about.left
        if about.apart:  # what is said of one should speak of the other
            named = {w.key: w for s in about.subjects for w in question_words(about.called[s])}
            words = tuple({w.key: w for w in (*words, *named.values())}.values())
        there = frozenset().union(*(c.found | c.titled for c in own))
        if any(_DESIGNATION.fullmatch(w.key) and not cover([w], {w.key: 1.0}, there) for w in about.left):
            return [""], "declined"  # a band that it has not
        asked = replace(part, words=words)
        weights = {**self.weights, **weigh(words, self.language)}
        preferred = about.parts or _FIRST_PARTS
        supports = max(_SUPPORTS - 1 - (len(self.question.parts) - 1), 1)

        def searched(among: Sequence[Candidate]) -> Passage:
            return answer_part(
                asked, part.text, among, weights, self.language, subjects=frozenset(about.subjects), taken=self.taken,
                supports=supports, limits=_LOOSE, preferred=preferred,
            )  # fmt: skip

        passage = searched(sayable)
        if "why" in part.kinds and passage.chosen and passage.chosen[0].wanted < 1:
            reasons = searched([c for c in sayable if lexicon().causal.search(c.body)])
            if reasons.chosen and reasons.chosen[0].similarity >= _NEARLY * passage.chosen[0].similarity:
                passage = reasons
        self._note(part, passage)
        if not passage.chosen:
            return [""], "declined"
        best = passage.chosen[0]
        figure = bool({"number", "when"} & set(part.kinds))
        if about.parts and not words and not figure and (first := self._beginning(about.parts, sayable)):
            best = replace(best, candidate=first)
        chosen = [best.candidate, *(s.candidate for s in passage.chosen[1:] if s.candidate is not best.candidate)]
        if not {"number", "when", "yes_no"} & set(part.kinds):
            chosen = self._run_on(best.candidate, sayable, chosen[1:], "list" in part.kinds or not part.kinds)
        features = self._features(part, best, chosen, words, weights, preferred)
        of_it = Asked.of(about.rest, ())
        held = [w for w in of_it.words if w.key != "band"] if of_it.wanted else []
        there = frozenset().union(*(c.found | c.titled for c in chosen))
        features |= {
            "apart": float(about.apart),
            "lacking": 1 - cover(held, weigh(held, self.language), there) if held else 0.0,
        }
        lines = quotes(chosen)
        if "yes_no" in part.kinds and features["first"] >= _PLAIN_VERDICT:
            verdict = "No" if known.denies(best.candidate.text) else "Yes"
            lines[0] = f"{verdict}: {lines[0]}"
        if passage.conflict:
            lines = self._with_conflict(lines, passage.conflict)
        return self._say(part, known.Said(tuple(lines), "subject", features))

    def _say(self, part: Part, said: known.Said) -> tuple[list[str], str]:
        """The lines of an answer, or a decline where it is too unsure."""
        sure = self._sure(part.text, said.route, said.features)
        if sure < self.least:
            return [""], "declined"
        return [line for line in said.lines if line not in self.said], "answered"

    def _sure(self, asked: str, route: str, features: Mapping[str, float] | None = None) -> float:
        """How probable it is that what a route gives is right; kept for the answer and the trace."""
        seen_of = {name: round(value, 3) for name, value in (features or {}).items()}
        sure = reliability(route, features or {})
        self.confidences.append(sure)
        self.steps.append({"part": asked, "route": route, "confidence": round(sure, 3), "features": seen_of})
        return sure

    def _about_of(self, part: Part) -> About:
        """What a part is about; one that names nothing speaks of what the part before named."""
        if part.text in self._abouts:
            return self._abouts[part.text]
        shown = [e for e in self.prompt.evidence if e.kind == "text"]
        found = about_of(part, part.text, shown)
        place = self.question.parts.index(part) if part in self.question.parts else 0
        if not found.subjects and place and not self.scenes:
            before = self._about_of(self.question.parts[place - 1])
            found = replace(found, subjects=before.subjects, called=before.called)
        self._abouts[part.text] = found
        return found

    def _similarity(self, text: str, found: Sequence[Candidate]) -> dict[int, float]:
        short = found[:MOST_COMPARED]
        return {id(c): s for c, s in zip(short, self.language.similarity(text, [c.spoken for c in short]), strict=True)}

    def _denial_fits(self, about: About, no: Candidate) -> bool:
        """Whether nothing else of the subject gives what it is said not to have."""
        wanted = known.wanted_of(about)
        others = [c for c in known.of(self.all, about.subjects) if c is not no and not known.denies(c.text)]
        return not any(wanted <= c.found for c in others)

    def _beginning(self, parts: Sequence[str], found: Sequence[Candidate]) -> Candidate | None:
        """The first sentence of the best of some parts: where nothing more is asked, they are read from there."""
        for part in parts:
            if own := [c for c in found if belongs(c.evidence.part, [part])]:
                return min(own, key=lambda c: (c.rank, c.place))
        return None

    def _run_on(
        self, best: Candidate, found: Sequence[Candidate], others: Sequence[Candidate], lists: bool
    ) -> list[Candidate]:
        """A sentence with those after it in the same text, which explain or go on with it; then one of another text."""
        same = sorted((c for c in found if c.evidence.number == best.evidence.number), key=lambda c: c.place)
        after = [c for c in same if c.place >= best.place]
        if len(after) == 1:  # the last one
            after = [best, *(c for c in same if c.place == best.place - 1)]
        elsewhere = [c for c in others if c.evidence.number != best.evidence.number]
        return [*after[: _MOST_LISTED if lists else _MOST_LISTED - 2], *elsewhere[:1]]

    def _passages(self, part: Part, gone: Sequence[str]) -> tuple[list[str], str]:
        if (told := self._known(part, gone)) is not None:
            return told
        if gone:
            # An unknown name can never be answered by what is known of others.
            return [""], "declined"
        if not part.elliptic:
            return self._found(part)
        found = self.all if not self.taken else self._related()
        passage = self._search(self._leaning(part), self._compared(part), found, self._subjects())
        if passage.status == "declined":
            if "why" in part.kinds and any(lexicon().causal.search(s.candidate.text) for s in self.taken):
                return [], "answered"  # what was said already gives the reason
            unsaid = "The evidence does not say why." if "why" in part.kinds else ""
            return ([unsaid], "partial") if self.taken else ([""], "declined")
        return quotes([s.candidate for s in passage.chosen]), passage.status

    def _found(self, part: Part) -> tuple[list[str], str]:
        """What the evidence says to a part that names nothing known."""
        months = [t for t in times(self.question.text) if t.month]
        found = [c for c in self.all if not months or not _of_other_months(c, months)]
        subjects = frozenset(self._subjects())
        others = len(self.question.parts) - 1
        preferred = aspect(part.text) or _FIRST_PARTS[:3]
        passage = answer_part(
            part, part.text, found, self.weights, self.language, subjects=subjects, taken=self.taken,
            supports=max(_SUPPORTS - 1 - others, 1), limits=_LOOSE, preferred=preferred,
        )  # fmt: skip
        self._note(part, passage)
        if not passage.chosen:
            return [""], "declined"
        best, chosen = passage.chosen[0], [s.candidate for s in passage.chosen]
        features = self._features(part, best, chosen, part.words, self.weights, preferred)
        z = best.candidate.evidence.z
        features |= {"z": min(max(z or 0.0, 0.0), 6.0) / 6, "open": 1.0}
        lines = quotes(chosen)
        if passage.conflict:
            lines = self._with_conflict(lines, passage.conflict)
        return self._say(part, known.Said(tuple(lines), "subject", features))

    def _features(
        self, part: Part, best: Scored, chosen: Sequence[Candidate], words: Sequence[Word],
        weights: Mapping[str, float], preferred: Sequence[str],
    ) -> dict[str, float]:  # fmt: skip
        """What tells how sure an answer is; see `reliability`."""
        there = frozenset().union(*(c.found | c.titled for c in chosen))
        first = best.candidate.found | best.candidate.titled
        return {
            "similarity": best.similarity,
            "cover": cover(words, weights, there) if words else 1.0,
            "first": cover(words, weights, first) if words else 1.0,
            "own": cover(words, weights, best.candidate.found) if words else 1.0,
            "none": float(bool(words) and not cover(words, weights, there)),
            "unknown": float(self._unknown(w for w in words if not cover([w], weights, there))),
            "bare": float(not words),
            "words": min(len(words), 6) / 6,
            "wanted": best.wanted,
            "part": float(belongs(best.candidate.evidence.part, preferred)),
            "figure": float(bool({"number", "when"} & set(part.kinds))),
        }

    def _unknown(self, words: Iterable[Word]) -> bool:
        """Whether a word occurs nowhere in the store: then its idf is that of a word that cannot be."""
        asked = [w.key if len(w.parts) != 1 else w.parts[0] for w in words]
        if not asked:
            return False
        idf = self.language.idf([*asked, _NO_WORD])
        return any(idf[w] >= idf[_NO_WORD] for w in asked)

    def _with_conflict(self, lines: Sequence[str], conflict: Scored) -> list[str]:
        other = conflict.candidate
        told = cite(f"Another source gives a different figure: {other.spoken}", (other.number,))
        return [lines[0], told, *(line for line in lines[1:] if f"[{other.number}]" not in line)]

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

    def _declined(self, gone: Sequence[str]) -> str:
        """Why there is no answer. Of a subject that is known it is told which words are not, and for a band that it has
        not, what is said of its bands."""
        subjects = {s: None for part in self.question.parts for s in self._about_of(part).subjects}
        own = [c for c in self.all if c.evidence.subject in subjects]
        if not own:
            return declined(self.prompt.evidence, gone or self._absent(), self._nearest(), foreign=self._foreign())
        there = {k for c in own for k in (*c.found, *c.titled)}
        left = {w.surface: w for part in self.question.parts for w in self._about_of(part).left}
        missing = [surface for surface, w in left.items() if not cover([w], {w.key: 1.0}, there)]
        instead = ""
        if any(re.fullmatch(r"b?\d+[a-z]?", left[m].key) for m in missing):
            bands = [c for c in own if c.evidence.part.endswith("bands") and "band" in c.found]
            instead = quotes(bands[:1])[0] if bands else ""
        title = own[0].evidence.title if len(subjects) == 1 and missing else ""
        return declined(
            self.prompt.evidence, missing or gone or self._absent(), self._nearest(), title, instead, self._foreign()
        )

    def _foreign(self) -> bool:
        return foreign(self.question.text, lambda word: self._unknown([word]))

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
