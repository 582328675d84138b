"""What a follow-up can lean on: the scenes, the last question, and the things that were spoken of. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..answering.cleaning import one_line
from ..answering.ledger import Ledger
from ..types import Answer, Evidence, Scene
from .exchange import Exchange, Focus
from .names import Entity, named

REACH = 6
"""Exchanges that a pronoun may reach back over."""
SHORT = 90
"""Characters of evidence that a question can quote."""
NOT_SUBJECTS = ("tool", "scene")


@dataclass(frozen=True, slots=True)
class Frame:
    """Size of a scene in pixels, and its geotransform where it has one."""

    width: int
    height: int
    transform: tuple[float, ...] | None = None

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """x, y, w, h of all of it."""
        return 0, 0, self.width, self.height


@dataclass(frozen=True, slots=True)
class Context:
    """What a follow-up can lean on. `frames` are the scenes that stand, by letter; `current` those a question is about
    unless it says otherwise, `before` those spoken of before them; `question` is the last one, as understood;
    `entities` what was spoken of, the latest first, the first `recent` of them in the last answer; `focus` is what the
    user set, `part` the part that the last question was about; `evidence` tells what a number stands for; `known` are
    all letters there ever were."""

    frames: Mapping[str, Frame] = field(default_factory=dict)
    current: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    question: str = ""
    entities: tuple[Entity, ...] = ()
    recent: int = 1
    focus: Focus | None = None
    part: Focus | None = None
    evidence: Callable[[int], Entity | None] = lambda number: None
    known: tuple[str, ...] = ()


def context_of(
    scenes: Mapping[str, Scene],
    exchanges: Sequence[Exchange],
    ledger: Ledger,
    focus: Focus | None,
    current: tuple[str, ...],
    new: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
) -> Context:
    """`current` are the letters that a question is about unless it says otherwise, `new` those that just came, `known`
    all there ever were."""
    recent = [e for e in exchanges[-REACH:] if e.text or e.meant]
    last = recent[-1] if recent else None
    spoken = [tuple(entities_of(e)) for e in reversed(recent)]
    return Context(
        frames={name: Frame(s.width, s.height, s.transform) for name, s in scenes.items()},
        current=current,
        before=_before(exchanges, current, new, tuple(scenes)),
        question=last.asked if last else "",
        entities=tuple(dict.fromkeys(entity for entities in spoken for entity in entities)),
        recent=len(spoken[0]) if spoken else 0,
        focus=focus,
        part=last.focus if last else None,
        evidence=lambda number: _spoken_of(ledger.get(number)),
        known=known,
    )


def entities_of(exchange: Exchange) -> Iterable[Entity]:
    """What an answer was about, the surest first: the subject most of its citations share, then the others; or what a
    scene was named as, where nothing else is cited."""
    answer = exchange.answer
    names = [Entity(name) for name, _ in named(exchange.asked)][-1:]
    if answer is None:
        return names
    cited = [e for e in answer.citations if e.kind not in NOT_SUBJECTS and e.subject]
    asked = exchange.asked.lower()
    counts = Counter(e.subject for e in cited)
    order = sorted(counts, key=lambda s: (-_named(s, cited, asked), -counts[s]))
    found = [_named_best(subject, cited) for subject in order]
    return found or names or [Entity(title, (), subject) for subject, title in _labels(answer)]


def _labels(answer: Answer) -> list[tuple[str, str]]:
    """(subject, title) of the scenes that were named with confidence."""
    named = []
    for _, label, subjects, *_rest in answer.trace.get("votes", ()):
        named += [(subject, title) for subject, title, *_ in subjects if label and subject == label]
    return named


def _named(subject: str, cited: Sequence[Evidence], asked: str) -> bool:
    """Whether the question spoke of the subject by name."""
    names = [name for e in cited if e.subject == subject for name in (e.title, *e.aliases)]
    return any(name.lower() in asked for name in names)


def _named_best(subject: str, cited: Sequence[Evidence]) -> Entity:
    """The shortest title: passages of one subject may be titled "Port of Hamburg" and "History of the port"."""
    own = [e for e in cited if e.subject == subject]
    titled = sorted(own, key=lambda e: (not e.aliases, len(e.title)))
    return _entity(titled[0]) or Entity(subject)


def _entity(evidence: Evidence | None) -> Entity | None:
    return Entity(evidence.title, evidence.aliases, evidence.subject) if evidence else None


def _spoken_of(evidence: Evidence | None) -> Entity | None:
    """What a number stands for in a question: its title, or all of it where it is one short statement."""
    if evidence is None:
        return None
    text = one_line(evidence.text).rstrip(".")
    is_title = evidence.kind == "image" or not text or len(text) > SHORT or ". " in text
    return _entity(evidence) if is_title else Entity(text, evidence.aliases, evidence.subject)


def _before(
    exchanges: Sequence[Exchange], current: tuple[str, ...], new: tuple[str, ...], standing: tuple[str, ...]
) -> tuple[str, ...]:
    """The scenes that were spoken of before the current ones; else those that came before them."""
    for exchange in reversed(exchanges):
        others = tuple(name for name in exchange.letters if name not in current and name in standing)
        if others:
            return others
    first = min((standing.index(name) for name in (new or current) if name in standing), default=0)
    return standing[first - 1 : first] if first else ()
