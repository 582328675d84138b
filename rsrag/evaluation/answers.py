"""What else can be said of answers that cite evidence, or may decline: grounding and abstention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .metrics.abstention import abstention, aurc
from .metrics.grounding import grounding
from .metrics.score import Score, mean
from .samples import Prediction, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def grounding_scores(answers: Sequence[Prediction]) -> dict[str, Score]:
    """Citation precision and recall and groundedness of the answers that come with evidence; {} when none does."""
    if not any(answer.evidence for answer in answers):
        return {}
    found = [grounding(a.cited or a.text, a.evidence) if a.evidence and not a.declined else None for a in answers]
    return {
        name: mean([getattr(one, field) if one else math.nan for one in found])
        for name, field in (
            ("Citation precision", "precision"),
            ("Citation recall", "recall"),
            ("Groundedness", "groundedness"),
        )
    }


def abstention_scores(
    samples: Sequence[Sample], answers: Sequence[Prediction], correct: Sequence[float]
) -> dict[str, Score]:
    """How well declines meet the questions that cannot be answered; {} unless the file says which those are.

    A question is answerable unless its `answerable` is false. `correct` is 1 for a right answer; where every answer has
    a confidence, the area under the risk-coverage curve of the answerable questions is given as well.
    """
    if not any("answerable" in sample.meta for sample in samples):
        return {}
    import numpy as np

    can = np.array([sample.meta.get("answerable", True) is not False for sample in samples])
    given = np.array([not answer.declined for answer in answers])
    nan = np.full(len(samples), math.nan)
    found = abstention(given.tolist(), can.tolist())
    columns = np.stack([given & ~can, ~can, ~given & can, can], 1).astype(np.float64)

    def quality(means: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - (means[:, 0] / means[:, 1] + means[:, 2] / means[:, 3]) / 2

    scores = {
        "False answers": mean(np.where(can, nan, given).tolist()),
        "False declines": mean(np.where(can, ~given, nan).tolist()),
        "Abstention": Score(found.quality, tuple((given == can).astype(float).tolist()), columns, quality),
    }
    judged = [(a.confidence, c == 1) for a, c, ok in zip(answers, correct, can, strict=True) if ok]
    sure = [(confidence, right) for confidence, right in judged if confidence is not None]
    if sure and len(sure) == len(judged):
        scores["AURC"] = Score(aurc([c for c, _ in sure], [right for _, right in sure]), ())
    return scores
