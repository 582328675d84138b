"""Answers about subjects that a question names, from what is known of them: definitions, comparisons, lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..types import Evidence
from .about import About
from .candidates import Candidate
from .compose import cite, listed, name, quotes
from .facts import Asked
from .lexicon import lexicon
from .listing import Wanted, supports, within
from .mentions import key_of
from .questions import Part
from .words import keys

_FIRST: Final = ("definition", "overview", "appearance", "meaning")
_TELLING: Final = ("confusion", "look_alikes", "confirm", "limits", "appearance", "bands", "definition", "context")
_DENIES: Final = re.compile(
    r"\b(?:no|not|without|lacks?|lacking|cannot|neither|nor|never|none|absent)\b|n['’]t\b", re.IGNORECASE
)
_SPELT_OUT: Final = re.compile(
    r"\b(?:stands? for|acronym|abbreviat\w+|full (?:name|form|title)|spell(?:ed|t)? out|short for|letters .* mean)\b",
    re.I,
)
_DEGREES: Final = r"(?:high|low|large|small|big|negative|positive|zero)(?:er|est)?"
_VALUED: Final = re.compile(
    rf"\b{_DEGREES}\b.*\b(?:means?|indicates?|tells?|says?|values?)\b|\b(?:means?|indicates?|values?)\b.*\b{_DEGREES}\b",
    re.IGNORECASE,
)
_MEANING: Final = ("meaning", "thresholds")
_MOST_LISTED: Final = 12
_MOST_NAMED: Final = 3  # places of one name


@dataclass(frozen=True, slots=True)
class Said:
    """Lines of an answer by a `route`, the evidence strength told by `features`, and what the trace keeps."""

    lines: tuple[str, ...]
    route: str
    features: Mapping[str, float] = field(default_factory=dict)
    step: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""


def of(found: Sequence[Candidate], subjects: Sequence[str]) -> list[Candidate]:
    """The candidates of some subjects."""
    return [c for c in found if c.evidence.subject in subjects]


def spelling_out(part: Part) -> bool:
    """Whether it is asked what letters stand for."""
    return bool(_SPELT_OUT.search(part.text))


def defined(part: Part, about: About, found: Sequence[Candidate], evidence: Sequence[Evidence]) -> Said | None:
    """What something is: its long name where that is asked for, else its first sentences. Of several of one name, each
    in a sentence."""
    if not about.subjects:
        return None
    if _SPELT_OUT.search(part.text) and (spelt := _spelt_out(about, evidence)):
        return Said((spelt,), "definition", {"spelt": 1.0})
    namesakes = [s for s in about.subjects if key_of(about.called[s]) == key_of(about.called[about.subjects[0]])]
    lines: list[str] = []
    for subject in namesakes[:_MOST_NAMED]:
        own = of(found, [subject])
        wanted = set(keys(about.called[subject])) - lexicon().stopwords

        def order(c: Candidate, wanted: set[str] = wanted) -> tuple[bool, int, int, int]:
            # What is only another name of a subject is explained where it stands.
            return (not wanted <= c.found | set(keys(_short(c.evidence.title))), _rank(c), c.rank, c.place)

        own.sort(key=order)
        first = own[: 1 if len(namesakes) > 1 else 2]
        if len(namesakes) == 1 and first:
            first += [c for c in own if c.evidence.part == "meaning" and c.place == 0 and c not in first][:1]
        lines += quotes(first)
        if not first:
            return None
    return Said(tuple(dict.fromkeys(lines)), "definition")


def of_values(found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that tell what values mean."""
    return [c for c in found if c.evidence.part in _MEANING]


def valued(about: About, found: Sequence[Candidate], similarity: Mapping[int, float]) -> Said | None:
    """What a value of something means: the sentences on its values, by how `similarity` likens them to the question."""
    own = of_values(of(found, about.subjects))
    own.sort(key=lambda c: (-similarity.get(id(c), 0.0), c.rank, c.place))
    return Said(tuple(quotes(own[:2])), "definition") if own else None


def asks_of_value(part: Part, about: About) -> bool:
    """Whether it is asked what a high, a low or a negative value says, and nothing else."""
    degrees = all(re.fullmatch(_DEGREES, w.surface, re.IGNORECASE) for w in about.left)
    return degrees and not about.apart and bool(_VALUED.search(part.text))


def _rank(candidate: Candidate) -> int:
    part = candidate.evidence.part
    return _FIRST.index(part) if part in _FIRST else len(_FIRST) + (part == "fact")


def _spelt_out(about: About, evidence: Sequence[Evidence]) -> str:
    for item in evidence:
        if item.subject != about.subjects[0] or item.kind != "text":
            continue
        short = about.called[item.subject]
        for long in (*re.split(r",\s*", item.title)[1:], *item.aliases, *re.findall(r"\(([^()]+)\)", item.title)):
            if stands_for(short, long):
                return cite(f"{short} stands for {long}", [item.number])
    return ""


def stands_for(short: str, long: str) -> bool:
    """Whether an acronym is made of a name's letters, in order, and begins its words: "MODIS" and "Moderate Resolution
    Imaging Spectroradiometer"."""
    letters = re.sub(r"[^A-Za-z]", "", short).lower()
    words = re.findall(r"[^\W\d_]+", long.lower())
    if len(letters) < 2 or len(words) < 2 or letters[0] != words[0][0] or short.lower() in words:
        return False
    rest = iter("".join(words))
    initials = [w[0] for w in words if w not in ("of", "and", "the", "for")]
    return all(c in rest for c in letters) and sum(i in letters for i in initials) >= len(initials) - 1


def told_apart(about: About, found: Sequence[Candidate], similarity: Mapping[int, float]) -> Said | None:
    """Two or more subjects side by side: what tells one from the other, from the texts of each."""
    subjects = [s for s in about.subjects if of(found, [s])][:3]
    if len(subjects) < 2:
        return None
    chosen: list[Candidate] = []
    for subject in subjects:
        others = {
            k for s in subjects if s != subject for c in of(found, [s])[:1] for k in _names_keys(c, about.called[s])
        }
        own = of(found, [subject])

        def worth(c: Candidate, others: set[str] = others) -> float:
            telling = 0.1 * (c.evidence.part in _TELLING) - 0.2 * (c.evidence.part == "fact")
            crossing = 0.35 * bool(others & c.found) + 0.15 * bool(lexicon().contrast.search(c.text))
            asked = 0.3 * sum(w.key in c.found for w in about.left) / max(len(about.left), 1)
            first = 0.1 * (c.place == 0 and c.evidence.part in _FIRST[:2])
            bare = 0.25 * bool(re.search(r"\b(?:is|are) (?:easily |often |sometimes )?confused with\b", c.text))
            return similarity.get(id(c), 0.0) + telling + crossing + asked + first - bare

        own.sort(key=lambda c: (-worth(c), c.rank, c.place))
        chosen += own[: 2 if len(subjects) == 2 else 1]
    return Said(tuple(quotes(chosen)), "tell_apart", {"crossing": 1.0})


def _names_keys(candidate: Candidate, called: str) -> set[str]:
    stop = lexicon().stopwords
    return {k for k in keys(called) if k not in stop} or set(candidate.titled)


def compared(part: Part, figures: Sequence[tuple[str, str, float]]) -> str:
    """A verdict over figures (title, sentence, value in base units) of one attribute: whose is the one asked for."""
    asked = set(re.findall(r"[a-z]+", part.text.lower()))
    lex = lexicon()
    values = {title: value for title, _, value in figures}
    if len(values) < 2 or len(set(values.values())) < 2:
        return ""
    if asked & lex.greater:
        return f"It is {name(max(values, key=lambda t: values[t]))}."
    if asked & lex.smaller:
        return f"It is {name(min(values, key=lambda t: values[t]))}."
    return ""


def enumerated(asked: Wanted, found: Sequence[Candidate], evidence: Sequence[Evidence]) -> Said | None:
    """All subjects of a kind that have what is asked for, each with its evidence."""
    rows: list[tuple[str, Evidence, str]] = []
    for item in evidence:
        if "list" not in item.via or any(item.subject == e.subject for _, e, _ in rows):
            continue
        if asked.bound:
            held = within(asked, item.facts)
            if not held:
                continue
            rows.append((_short(item.title), item, f"{held[0].value:g} {held[0].unit}".strip() if held else ""))
        else:
            own = [c for c in found if c.evidence.number == item.number]
            best = max(own, key=lambda c: supports(asked.words, c.text, c.titled), default=None)
            rows.append((_short(item.title), item, best.text if best else ""))
    if not rows:
        return None
    beside = ", among others" if len(rows) >= _MOST_LISTED else ""
    if asked.bound:
        told = listed([f"{title} ({figure}) [{item.number}]" for title, item, figure in rows])
        return Said((f"These fit: {told}{beside}.",), "list", {"listed": float(len(rows))})
    first = f"These fit: {listed([f'{title} [{item.number}]' for title, item, _ in rows])}{beside}."
    more = [cite(text, [item.number]) for _, item, text in rows[:3] if text]
    return Said((first, *more), "list", {"listed": float(len(rows))})


def _short(title: str) -> str:
    return re.split(r"\s*[,(]", title)[0]


def denied(about: About, found: Sequence[Candidate]) -> Candidate | None:
    """A sentence of the subject that says that it has not what is asked of it: "Sentinel-2 has no thermal band"."""
    wanted = wanted_of(about)
    for c in of(found, about.subjects) if wanted else ():
        for match in _DENIES.finditer(c.text):
            after = set(keys(" ".join(re.split(r"[,;.]", c.text[match.end() :])[0].split()[:7])))
            if wanted <= after:
                return c
    return None


def wanted_of(about: About) -> set[str]:
    """What a subject must have for a question to be answered: the words that are neither an attribute nor "band"."""
    return {w.key for w in Asked.of(about.rest, ()).words or about.left} - {"band", "channel"}


def denies(text: str) -> bool:
    """Whether a sentence says no."""
    return bool(_DENIES.search(text))
