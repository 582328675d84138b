"""One question put to an assistant: as a turn of the product's own loop, or decided among labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from .. import evidence as gather
from .. import turn
from ..answering.citations import markers
from ..answering.ledger import CAPTIONER
from ..assistant import Assistant
from ..chunking import embedding_text
from ..classification import KnownImages, decided, distinct, label_vectors
from ..errors import ModelError, SceneError, UsageError
from ..references import Referees, References
from ..retrieval import fusion, retrieve
from ..scene import decoded, open_scene
from ..toolbox import Toolbox
from ..types import Answer, Capabilities, Done, Evidence, Filter, Prompt, Query, Scene
from .leakage import Excluded, Guard
from .metrics.choices import letters
from .samples import Prediction, Sample
from .searching import RememberedLane, SearchCache, View
from .setup import Setup

_RANKED: Final = 100
_SHOWN: Final = 12  # pieces of evidence that are written down
_NEAREST: Final = 3
_LONGEST: Final = 600  # characters of each


@dataclass(frozen=True, slots=True)
class Answered:
    """A prediction with what there is to say about it: `excluded` by the guard, `evidence` for the report, the
    answer's `warnings`."""

    prediction: Prediction
    excluded: Excluded = field(default_factory=Excluded)
    shown: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


class Asker:
    """Asks an assistant by a setup. `guard` None lets it find the image it is asked about. Safe from several threads
    where the model is."""

    def __init__(
        self, assistant: Assistant, setup: Setup, guard: Guard | None, cache: SearchCache, root: Path = Path()
    ) -> None:
        self.assistant, self.setup, self.guard, self.root = assistant, setup, guard, root
        on_offer = assistant.lanes()
        names = [lane.name for lane in on_offer]
        wanted = names if setup.lanes is None else setup.lanes
        if unknown := [name for name in wanted if name not in names]:
            raise UsageError(f"there is no lane '{unknown[0]}'.", f"There are {', '.join(names)}.")
        options = assistant.options.get("retriever", {})
        self.lanes = [
            RememberedLane(lane, assistant.kb, cache, repr(options.get(lane.name, "")))
            for lane in on_offer
            if lane.name in wanted
        ]
        self.fuse = fusion(setup.fusion, setup.alpha)
        self.view: Any = View(assistant.kb, wanted, cache)
        self.looks = "image-image" in wanted
        self._prompts: dict[tuple[str, ...], Any] = {}
        self._judges: tuple[tuple[str, ...], References, Referees] | None = None

    def __call__(self, sample: Sample) -> Answered:
        """The answer to a question. Raises what the model raises, and `SceneError` for an image it cannot open."""
        scenes = [self._scene(name) for name in sample.images]
        excluded = self.guard.excluded(sample, scenes) if self.guard else Excluded()
        parts = sample.meta.get("parts")
        query = Query(
            sample.question.strip(),
            tuple(scenes),
            "ask",
            where=Filter(parts=tuple(parts)) if isinstance(parts, tuple | list) else Filter(),
            exclude=excluded.ids,
            k=self.setup.k,
        )
        if sample.task == "retrieve":
            return Answered(self._ranked(query), excluded)
        if sample.task == "caption":
            return self._turn(query.with_(task="caption", text=""), excluded)
        if sample.task == "classify":
            if self._reads and scenes:
                found = self._decided(scenes[0], sample.labels, query)
                return Answered(found, excluded, self._nearest(query))
            return self._turn(query.with_(task="classify", labels=sample.labels), excluded)
        if sample.task == "choice":
            if self._reads and scenes and len(set(sample.options)) > 1:
                best = self._decided(scenes[0], sample.options, query)
                letter = letters(len(sample.options))[sample.options.index(best.text)]
                return Answered(replace(best, text=letter), excluded, self._nearest(query))
            return self._turn(query.with_(text=_with_options(sample)), excluded)
        return self._turn(query, excluded)

    @property
    def _reads(self) -> bool:
        """Whether the model only quotes: it sees no pixels, and chooses no label."""
        return hasattr(self.assistant.model, "use_language")

    def _scene(self, name: str) -> Scene:
        path = name if "://" in name else str(self.root / name)
        try:
            return decoded(self._open(path))
        except SceneError:
            # Datasets name images with and without a suffix.
            near = sorted((self.root / name).parent.glob(f"{Path(name).name}.*")) if "://" not in name else []
            if not near:
                raise
            return decoded(self._open(str(near[0])))

    def _open(self, path: str) -> Scene:
        return open_scene(path, self.assistant.plugins, remote=self.assistant.remote_scenes)

    def _ranked(self, query: Query) -> Prediction:
        found = retrieve(query, self.view, self.lanes, self.fuse, reranker=self.assistant.reranker, join=False)
        ids = dict.fromkeys(hit.chunk.provenance.record for hit in found.hits)
        return Prediction(ranking=tuple(ids)[:_RANKED])

    def _decided(self, scene: Scene, labels: Sequence[str], query: Query) -> Prediction:
        """The label that the prompts, and with the lane image-image the store's images of the labels, speak for."""
        kb, names = self.assistant.kb, tuple(distinct(labels))
        if names not in self._prompts:
            self._prompts[names] = label_vectors(kb.encoder, names)
        prompts = self._prompts[names]
        referees = self._referees(names, prompts, query.exclude) if self.looks else None
        found = decided(names, prompts, kb.scene_vector(scene), referees, scene, kb.encoder)
        return Prediction(found.label, confidence=round(found.scores[0][1], 6))

    def _nearest(self, query: Query) -> tuple[Mapping[str, Any], ...]:
        """The nearest images, so that a report can show what a decision among labels saw."""
        if not self.looks:
            return ()
        query = query.with_(text="", task="classify", where=Filter())
        hits = self.view.search_vectors(query, "images", "scene", _NEAREST, "image-image")
        items = gather.from_hits(hits, _NEAREST, find=self.assistant.kb.image_path)
        return _shown([replace(item, number=n) for n, item in enumerate(items, 1)])

    def _referees(self, labels: tuple[str, ...], prompts: Any, exclude: Sequence[str]) -> Referees:
        """Those of the labels, without the records that the guard keeps away; the last ones are remembered."""
        if self._judges is None or self._judges[0] != labels:
            references = self._images.showing(labels)
            self._judges = labels, references, Referees(references, prompts)
        _, references, referees = self._judges
        if set(exclude).isdisjoint(references.records):
            return referees
        return Referees(references.without(exclude), prompts)

    @cached_property
    def _images(self) -> KnownImages:
        return KnownImages(self.assistant.kb)

    def _turn(self, query: Query, excluded: Excluded) -> Answered:
        if not self.lanes and not self._reads and not self.setup.tools:
            return Answered(self._alone(query), excluded)
        assistant = self.assistant
        means = turn.Means(
            self.view,
            assistant.model,
            lambda: self.lanes,
            self.fuse,
            self._toolbox,
            assistant.reranker,
            assistant.captioner,
            self.setup.tools,
            assistant.tool_calls,
            assistant.tool_seconds,
        )
        answer = next((e.answer for e in turn.run(means, query) if isinstance(e, Done)), None)
        if answer is None:
            raise ModelError("the answer was cancelled.")
        return Answered(prediction_of(answer), excluded, _shown(answer.evidence), answer.warnings)

    def _alone(self, query: Query) -> Prediction:
        """The model without any evidence: what it knows by itself."""
        prompt = Prompt(query.task, query.text, query.scenes, labels=query.labels)
        pieces = [getattr(event, "text", "") for event in self.assistant.model.generate(prompt)]
        text = "".join(pieces).strip()
        if not text:
            raise ModelError(f"model '{self.assistant.model.name}' returned no text.")
        return Prediction(unmarked(text))

    def _toolbox(self) -> Toolbox:
        return self.assistant.toolbox()


def can_ask_at_once(model: Any) -> bool:
    """Whether a model gains from several questions at a time: one that answers elsewhere."""
    return bool(getattr(model, "parallel", False)) or model.name == "langchain"


def sees(model: Any) -> bool:
    """Whether it takes images."""
    return bool(getattr(model, "capabilities", Capabilities()).images)


def _with_options(sample: Sample) -> str:
    lines = [f"{letter}. {option}" for letter, option in zip(letters(len(sample.options)), sample.options, strict=True)]
    return "\n".join([sample.question, *lines, "Answer with the letter alone."])


def prediction_of(answer: Answer) -> Prediction:
    texts = {str(item.number): _known(item) for item in answer.evidence}
    said = unmarked(answer.text)
    return Prediction(
        said,
        declined=answer.status == "declined",
        evidence={n: t for n, t in texts.items() if n in _cited(answer.text)},
        confidence=answer.confidence,
        cited=answer.text if answer.text != said else "",
        subjects=tuple(dict.fromkeys(item.subject for item in answer.citations if item.subject)),
    )


def _known(item: Evidence) -> str:
    """What a piece of evidence says: a table's rows do not repeat whose they are, and of when."""
    return embedding_text(item.title, item.provenance.heading, item.text)


def _cited(text: str) -> set[str]:
    return {marker.target for marker in markers(text)}


def unmarked(text: str) -> str:
    """An answer without its markers and bold type: the words that are compared with the right ones."""
    for bracket in dict.fromkeys(marker.bracket for marker in markers(text)):
        text = re.sub(rf"\s*{re.escape(bracket)}", "", text)
    return re.sub(r"\*\*(.+?)\*\*", r"\1", text)


def _shown(evidence: Sequence[Evidence]) -> tuple[Mapping[str, Any], ...]:
    """The evidence as the report shows it."""
    return tuple(
        {
            "number": item.number,
            "kind": "captioner" if CAPTIONER in item.via else item.kind,
            "title": item.title,
            "text": item.text[:_LONGEST],
            "record": item.provenance.record,
            "via": list(item.via),
            **({"image": item.images[0]} if item.images else {}),
        }
        for item in evidence[:_SHOWN]
    )
