"""Figures looked up: the right number with its unit, of the right landmark and month, or none at all."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from rsrag import Fact, Record, Sample, UsageError, create
from rsrag.evaluation.located import Located

KINDS: Final = ("year", "month", "elsewhen", "stranger", "nobody", "image")
YEARLY: Final = (
    "What is the {what} of {name}?",
    "How high is the {what} at {name}?",
    "{name}: {what}?",
    "Tell me the {what} of {name}.",
)
MONTHLY: Final = (
    "What was the {what} of {name} in {when}?",
    "In {when}, what was the {what} at {name}?",
    "{what} of {name} for {when}?",
    "Please give me the {when} value of the {what} at {name}.",
)
IMAGE: Final = (
    "What was the {what} of this place in {when}?",
    "What was the {what} here in {when}?",
    "In {when}, what was the {what} of the landmark in this image?",
)
NOBODY: Final = (
    "What was the {what} in {when}?",
    "How high was the {what} in {when}?",
    "What is the {what}?",
)
ELSEWHEN: Final = ("May 1987", "October 2055", "January 1999", "July 2042")
STRANGERS: Final = ("Qorvath Lighthouse", "Zemblin Palace", "Wuxilar Stadium", "Ythrene Monastery")


class FactsBenchmark(Located):
    """Questions for figures of an RSWK knowledge file: by name for the whole period and for a month, by image, for
    months that nothing is known of, for landmarks that nobody knows, and without any landmark.

    `count` landmarks are drawn by `seed` (0: all), and `each` questions of every kind are made for them. `views` is a
    folder with another image of each landmark than the one in the knowledge, named by its ID; without it no question
    is asked by image. `kinds` keeps some of year, month, elsewhen, stranger, nobody, image. `embed_figures` gives the
    tables of figures vectors (see the source `rswk`). Ids begin with the kind: "month/17/0".
    """

    name: ClassVar[str] = "facts"

    def __init__(
        self,
        path: str | Path,
        views: str | Path = "",
        count: int = 300,
        each: int = 1,
        seed: int = 0,
        kinds: str = "",
        embed_figures: bool = False,
    ) -> None:
        self._path, self._images, self._embed_figures = Path(path).expanduser(), views, bool(embed_figures)
        self.count, self.each, self.seed = count, each, seed
        self.kinds = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise UsageError(f"there is no kind of question '{unknown[0]}'.", f"There are {', '.join(KINDS)}.")

    def samples(self, split: str = "") -> Iterator[Sample]:
        """The questions, landmark by landmark."""
        (source,) = self.sources()
        known = [r for r in source.records() if any(_is_figure(f) for f in r.facts)]
        if not known:
            raise UsageError(f"{self._path} holds no landmark with figures.", "Give an RSWK knowledge file.")
        if 0 < self.count < len(known):
            kept = sorted(random.Random(self.seed).sample(range(len(known)), self.count))
            known = [known[place] for place in kept]
        for record in known:
            draw = random.Random(f"{self.seed}/{_landmark(record)}")
            for turn in range(self.each):
                wanted = self.kinds or KINDS
                yield from (s for s in self._about(record, draw, turn) if s.id.partition("/")[0] in wanted)

    def sources(self, split: str = "") -> list[Any]:
        """The knowledge file."""
        return [create("source", "rswk", path=str(self._path), embed_figures=self._embed_figures)]

    def _about(self, record: Record, draw: random.Random, turn: int) -> Iterator[Sample]:
        figures = [f for f in record.facts if _is_figure(f)]
        whole, months = [f for f in figures if not f.when], [f for f in figures if f.when]
        title, landmark = record.title, _landmark(record)

        def sample(kind: str, texts: tuple[str, ...], fact: Fact, right: bool, image: str = "", **words: str) -> Sample:
            said = {"what": _spoken(fact.attribute, draw), "name": title, "when": fact.when} | words
            text = draw.choice(texts).format(**said)
            return Sample(
                id=f"{kind}/{landmark}/{turn}",
                task="vqa",
                question=text[:1].upper() + text[1:],
                images=(image,) if image else (),
                references=(f"{str(fact.value).removesuffix('.0')} {fact.unit}".strip(),) if right else (),
                meta={"answerable": right},
            )

        if whole:
            yield sample("year", YEARLY, draw.choice(whole), True)
        if months:
            yield sample("month", MONTHLY, draw.choice(months), True)
            yield sample("elsewhen", MONTHLY, draw.choice(months), False, when=draw.choice(ELSEWHEN))
            yield sample("stranger", MONTHLY, draw.choice(months), False, name=draw.choice(STRANGERS))
            yield sample("nobody", NOBODY, draw.choice(months), False)
            if view := self._view(landmark):
                yield sample("image", IMAGE, draw.choice(months), True, image=view)

    def _view(self, id: str) -> str:
        if not self._images:
            return ""
        found = sorted(self.root.glob(f"{id}.*"))
        return found[0].name if found else ""


def _landmark(record: Record) -> str:
    """The ID of a landmark, whose figures may be a record of their own."""
    return record.subject.partition("/")[2]


def _is_figure(fact: Fact) -> bool:
    return isinstance(fact.value, int | float) and not isinstance(fact.value, bool)


def _spoken(attribute: str, draw: random.Random) -> str:
    """ "surface albedo (ALBEDO)" as people say it: in words, by its code, or both."""
    match = re.fullmatch(r"(.+) \(([^()]+)\)", attribute)
    return draw.choice([match[1], match[1], match[2], attribute]) if match else attribute
