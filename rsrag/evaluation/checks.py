"""Answers checked against what they must and must not say, whom they must cite, and when they must decline.

The questions are those of `rsrag eval run questions`; what a check may hold is in tests/questions/README.md.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from .metrics.abstention import aurc
from .metrics.numbers import numbers, quantity
from .metrics.score import Score, mean
from .samples import Prediction, Sample

Verdict = Literal["right", "wrong", "unsupported", "false decline", "false answer"]
UNANSWERABLE: Final = "unanswerable"
TOLERANCE: Final = 0.01
_COUNTS: Final = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
    )
}


_COUNTED: Final = frozenset(("", "people", "inhabitants", "bands", "satellites", "count", "holes", "images"))


def judged(sample: Sample, answer: Prediction) -> Verdict:
    """What an answer to a question with a check is worth.

    "unsupported" says the right thing and cites none of the subjects that could support it.
    """
    check = _check(sample)
    text = answer.text
    if sample.meta.get("answerable") is False:
        corrects = check.get("corrects")
        fine = answer.declined or (corrects and met(text, corrects) == len(corrects))
        return "right" if fine else "false answer"
    if answer.declined:
        return "false decline"
    if not says(text, check.get("answer", {})):
        return "wrong"
    subjects = check.get("subjects", ())
    return "right" if not subjects or set(subjects) & set(answer.subjects) else "unsupported"


def says(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a text says all that it must and nothing that it must not."""
    if not all(gives(text, number) for number in wanted.get("numbers", ())):
        return False
    groups = wanted.get("all_of", ())
    if met(text, groups) < wanted.get("at_least", len(groups)):
        return False
    return not any(_occurs(word, _plain(text)) for word in wanted.get("none_of", ()))


def met(text: str, groups: Sequence[Sequence[str]]) -> int:
    """How many groups have an alternative that occurs, whatever its case, hyphens, accents and plural."""
    plain = _plain(text)
    return sum(any(_occurs(word, plain) for word in group) for group in groups)


def gives(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a text gives a number: {"value", "unit", "tolerance"}, in this unit or one that it converts to.

    What is counted ("people", "bands") need not be said again.
    """
    value, unit = float(wanted["value"]), str(wanted.get("unit", ""))
    exact = not unit and value == int(value)  # years and counts
    room = float(wanted.get("tolerance", 0.0 if exact else TOLERANCE)) * abs(value)
    there = numbers(text)
    as_written = [n.bare for n in there] + [float(c) for w, c in _COUNTS.items() if _occurs(w, _plain(text))]
    bare = any(abs(given - value) <= room + 1e-9 for given in as_written)
    reference = quantity(f"{value!r} {unit}") if unit else None
    if reference is None or not reference.dimension:
        return bare and (unit in _COUNTED or _occurs(unit, _plain(text)) or unit.lower() in text.lower())
    scale = abs(reference.value / value) if value else 1.0
    of_kind = [n.value for n in there if n.dimension == reference.dimension]
    # "443, 490 and 560 nm": the unit stands once.
    listed = bool(of_kind) and any(not n.dimension and abs(n.bare - value) <= room + 1e-9 for n in there)
    return listed or any(abs(given - reference.value) <= room * scale + 1e-12 for given in of_kind)


def check_scores(samples: Sequence[Sample], answers: Sequence[Prediction]) -> dict[str, Score]:
    """Shares of questions: first of all that were dealt with as they should, then of those that can be answered, of
    each kind, and of those that cannot. AURC is over the answers that were given, wrong where they are not right."""
    verdicts = [judged(s, a) for s, a in zip(samples, answers, strict=True)]
    kinds = [kind_of(s) for s in samples]
    can = [s.meta.get("answerable") is not False for s in samples]

    def share(of: Verdict, among: Sequence[bool]) -> Score:
        return mean([float(v == of) if those else math.nan for v, those in zip(verdicts, among, strict=True)])

    scores = {
        "Correct": share("right", [True] * len(samples)),
        "Right": share("right", can),
        "Wrong": share("wrong", can),
        "Unsupported": share("unsupported", can),
        "False declines": share("false decline", can),
        "False answers": share("false answer", [not c for c in can]),
    }
    for kind in sorted(set(kinds)):
        those = [k == kind for k in kinds]
        if kind.startswith(UNANSWERABLE):
            scores[f"False answers: {kind.partition(': ')[2]}"] = share("false answer", those)
        else:
            scores[f"Right: {kind}"] = share("right", those)
    given = _given(verdicts, answers)
    if given:
        scores["AURC"] = Score(aurc([c for c, _ in given], [right for _, right in given]), ())
    return scores


def risk_coverage(samples: Sequence[Sample], answers: Sequence[Prediction]) -> list[tuple[float, float, float]]:
    """(confidence, coverage, risk): of all questions the share answered from that confidence on, and of those answers
    the share that is not right. Declines are never covered."""
    verdicts = [judged(s, a) for s, a in zip(samples, answers, strict=True)]
    given = sorted(_given(verdicts, answers), key=lambda pair: -pair[0])
    points, wrong = [], 0
    for count, (confidence, right) in enumerate(given, 1):
        wrong += not right
        if count == len(given) or given[count][0] != confidence:
            points.append((confidence, count / len(samples), wrong / count))
    return points


def _given(verdicts: Sequence[Verdict], answers: Sequence[Prediction]) -> list[tuple[float, bool]]:
    return [
        (a.confidence, v == "right")
        for v, a in zip(verdicts, answers, strict=True)
        if a.confidence is not None and not a.declined
    ]


def kind_of(sample: Sample) -> str:
    """The kind of a question; of one that cannot be answered why not: "unanswerable: off_domain"."""
    check = _check(sample)
    kind = str(check.get("kind", ""))
    return f"{kind}: {check['why']}" if kind == UNANSWERABLE and "why" in check else kind


def described(check: Mapping[str, Any]) -> str:
    """What a right answer says, for people."""
    wanted = check.get("answer", {})
    said = [f"{n['value']:g} {n.get('unit', '')}".strip() for n in wanted.get("numbers", ())]
    said += [" or ".join(group) for group in wanted.get("all_of", ())]
    least = f"at least {wanted['at_least']} of: " if "at_least" in wanted else ""
    unsaid = "; not " + ", ".join(wanted["none_of"]) if wanted.get("none_of") else ""
    return f"{least}{'; '.join(said)}{unsaid}"


def _check(sample: Sample) -> Mapping[str, Any]:
    check = sample.meta.get("check")
    return check if isinstance(check, Mapping) else {}


def _plain(text: str) -> str:
    """Lower case, without accents, with blanks for hyphens and every other white space."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.sub(r"[-‐‑–—_/\s]", " ", letters.lower()).split())


def _occurs(words: str, plain: str) -> bool:
    wanted = re.escape(_plain(words))
    return re.search(rf"(?<!\w){wanted}(?:e?s|['’]s)?(?!\w)", plain) is not None
