"""The two ways to score: `standard`, as the field's tools do, and `rsrag-paper`, as RS-RAG's figures were made.

What each computes is in docs/evaluation.md to the letter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, get_args

from ..errors import UsageError
from .metrics import bleu, boxes, choices, labels, meteor, numbers, ranking, rouge
from .metrics.cider import cider
from .metrics.score import Score, mean
from .metrics.tokens import ptb, whitespace
from .samples import Prediction, Sample, Task

Convention = Literal["standard", "rsrag-paper"]
CONVENTIONS: Final[tuple[Convention, ...]] = get_args(Convention)
LEVELS: Final = (2, 3)
"""Of hierarchical labels, those that LuoJiaHOG gives wMAP of."""
EXACT_STEM: Final = "METEOR-exact-stem"
Scores = dict[str, Score]

_PAPER_WEIGHTS: Final = ((1.0, 0, 0, 0), (0.5, 0.5, 0, 0), (0.33, 0.33, 0.33, 0), (0.25, 0.25, 0.25, 0.25))


def texts_paper(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """BLEU, METEOR, ROUGE-L and CIDEr of raw texts, none empty, split at white space, case kept."""
    words = [whitespace(p) for p in predictions]
    right = [[whitespace(r) for r in group] for group in references]
    found = [bleu.matches(w, group) for w, group in zip(words, right, strict=True)]
    scores = {
        f"BLEU-{n}": mean([bleu.sentence_bleu(m, weights) for m in found])
        for n, weights in enumerate(_PAPER_WEIGHTS, 1)
    }
    scores |= _meteor(words, right)
    scores["ROUGE-L"] = mean(
        [max(rouge.rouge_l(p, r) for r in group) for p, group in zip(predictions, references, strict=True)]
    )
    scores["CIDEr"] = cider(words, right)
    return scores


def texts_standard(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """BLEU of the corpus, METEOR, ROUGE-L and CIDEr as the COCO caption tools give them."""
    words = [ptb(p) for p in predictions]
    right = [[ptb(r) for r in group] for group in references]
    found = [bleu.matches(w, group) for w, group in zip(words, right, strict=True)]
    scores = {f"BLEU-{n}": bleu.corpus_bleu(found, n) for n in range(1, bleu.LONGEST + 1)}
    scores |= _meteor(words, right)
    scores["ROUGE-L"] = mean([rouge.rouge_l_coco(w, group) for w, group in zip(words, right, strict=True)])
    scores["CIDEr"] = cider(words, right)
    return scores


def _meteor(words: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> Scores:
    synonyms = meteor.wordnet()
    items = [meteor.meteor(w, group, synonyms) for w, group in zip(words, references, strict=True)]
    return {"METEOR" if synonyms else EXACT_STEM: mean(items)}


# -- tasks of the standard convention ----------------------------------------------------------------


def _texts(samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    return [sample.references for sample in samples]


def caption(samples: Sequence[Sample], answers: Sequence[Prediction], tolerance: float) -> Scores:
    return texts_standard([a.text for a in answers], _texts(samples))


def vqa(samples: Sequence[Sample], answers: Sequence[Prediction], tolerance: float) -> Scores:
    """Exact match, numbers where the right answer is one, and the text metrics."""
    exact, numeric = [], []
    for sample, answer in zip(samples, answers, strict=True):
        said = labels.plain(answer.text)
        exact.append(float(any(said == labels.plain(r) for r in sample.references)))
        wanted = [n for r in sample.references if (n := numbers.quantity(r))]
        hits = [numbers.agrees(answer.text, n, tolerance, asked=sample.question) for n in wanted]
        numeric.append(float(any(hits)) if wanted else math.nan)
    scores = {"Exact match": mean(exact)}
    if not all(map(math.isnan, numeric)):
        scores["Numeric accuracy"] = mean(numeric)
    return scores | caption(samples, answers, tolerance)


def classify(samples: Sequence[Sample], answers: Sequence[Prediction], tolerance: float) -> Scores:
    known = label_list(samples)
    names = {labels.plain(label): label for label in known}
    right = [names[labels.plain(sample.references[0])] for sample in samples]
    said = [labels.read_label(answer.text, known) for answer in answers]
    return {"Accuracy": labels.accuracy(said, right), "Macro-F1": labels.macro_f1(said, right)}


def label_list(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The classes of a set, in one spelling each: those listed, and those among the right answers."""
    names: dict[str, str] = {}
    for sample in samples:
        for label in (*sample.labels, *sample.references[:1]):
            names.setdefault(labels.plain(label), label)
    return tuple(names.values())


def choice(samples: Sequence[Sample], answers: Sequence[Prediction], tolerance: float) -> Scores:
    said = [choices.read_choice(a.text, s.options) for s, a in zip(samples, answers, strict=True)]
    right = [float(one == s.references[0]) for one, s in zip(said, samples, strict=True)]
    return {"Accuracy": mean(right), "Unclear": mean([float(one is None) for one in said])}


def detect(samples: Sequence[Sample], answers: Sequence[Prediction], tolerance: float) -> Scores:
    half, quarter, overlap = [], [], []
    for sample, answer in zip(samples, answers, strict=True):
        size = sample.meta.get("size")
        given = size if isinstance(size, tuple) else None
        ours, theirs = boxes.read_boxes(answer.text), boxes.read_boxes(sample.references[0])
        if ours.scale == theirs.scale:
            said, wanted = ours.boxes, theirs.boxes
        else:  # of two scales; without the image's size they cannot be compared, and that is no hit
            said, wanted = boxes.in_pixels(ours, given) or (), boxes.in_pixels(theirs, given) or theirs.boxes
        half.append(boxes.precision_at(said, wanted, 0.5))
        quarter.append(boxes.precision_at(said, wanted, 0.25))
        found = boxes.overlaps(said, wanted)
        overlap.append(sum(found) / len(found) if found else math.nan)
    return {"P@0.5": mean(half), "P@0.25": mean(quarter), "Mean IoU": mean(overlap)}


def retrieve(samples: Sequence[Sample], answers: Sequence[Prediction], tolerance: float) -> Scores:
    pairs = [(a.ranking, s.references) for s, a in zip(samples, answers, strict=True)]
    scores = {f"Recall@{k}": mean([ranking.recall_at(r, wanted, k) for r, wanted in pairs]) for k in (1, 5, 10)}
    scores["mAP"] = mean([ranking.average_precision(r, wanted) for r, wanted in pairs])
    scores["nDCG@10"] = mean([ranking.ndcg_at(r, dict.fromkeys(wanted, 1.0), 10) for r, wanted in pairs])
    return scores | _weighted(samples, answers)


def _hierarchy(sample: Sample) -> tuple[tuple[ranking.Path, ...], dict[str, tuple[ranking.Path, ...]]]:
    """The label paths of a query and of the items."""
    own, others = sample.meta.get("paths"), sample.meta.get("item_paths")
    return (own, others) if isinstance(own, tuple) and isinstance(others, dict) else ((), {})


def _weighted(samples: Sequence[Sample], answers: Sequence[Prediction]) -> Scores:
    """wMAP@10 for each level of LuoJiaHOG's that the labels reach; {} where there are no label paths."""
    known = [_hierarchy(sample) for sample in samples]
    deepest = max((len(path) for own, _ in known for path in own), default=0)
    found = {}
    for level in (level for level in LEVELS if level <= deepest):
        gains = [{id: ranking.shared_labels(own, p, level) for id, p in others.items()} for own, others in known]
        items = [ranking.wap_at(answer.ranking, gain, 10) for answer, gain in zip(answers, gains, strict=True)]
        found[f"wMAP@10 L{level}"] = mean(items)
    return found


STANDARD: Final[Mapping[Task, Callable[[Sequence[Sample], Sequence[Prediction], float], Scores]]] = {
    "caption": caption,
    "vqa": vqa,
    "classify": classify,
    "choice": choice,
    "detect": detect,
    "retrieve": retrieve,
}


def paper_allows(task: Task) -> None:
    """Raises `UsageError` for a task that RS-RAG has no figures of."""
    if task not in ("caption", "vqa", "classify"):
        raise UsageError(
            f"the convention rsrag-paper does not say how to score {task}.",
            "It has vqa, caption and classify; leave --convention out for the others.",
        )
