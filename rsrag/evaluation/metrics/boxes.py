"""Boxes in pictures: read from text, compared by intersection over union."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Box = tuple[float, float, float, float]
Scale = Literal["pixel", "unit", "percent", "thousandth"]

_NUMBER: Final = r"-?\d+(?:\.\d+)?"
_SPAN: Final[dict[Scale, float]] = {"unit": 1.0, "percent": 100.0, "thousandth": 1000.0}


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes (x1, y1, x2, y2) with x1 < x2 and y1 < y2, y downwards, and what their numbers count."""

    boxes: tuple[Box, ...]
    scale: Scale = "pixel"


def read_boxes(text: str, scale: Scale | None = None) -> Boxes:
    """The boxes that a text gives; none when it gives none that is clear.

    Forms: [x1, y1, x2, y2], (x1, y1), (x2, y2), <box>...</box>, "bbox_2d": [...], {<x1><y1><x2><y2>} and
    {<x1><y1><x2><y2>|<angle>} in percent, four corners as a quadrilateral (its envelope counts), any with % signs.
    Without `scale`, numbers are percent where a form or a % says so, shares where all are at most 1, else pixels.
    """
    angled = re.findall(rf"\{{((?:<{_NUMBER}>){{4}})(?:\|<{_NUMBER}>)?\}}", text)
    if angled:
        groups = [[float(n) for n in re.findall(_NUMBER, group)] for group in angled]
        return Boxes(_boxes(groups), scale or "percent")
    # The innermost lists; pairs of numbers, which are points, are joined while nothing but brackets stands between.
    groups, last = [], -1
    for match in re.finditer(rf"[\[(]\s*({_NUMBER}\s*%?(?:\s*,\s*{_NUMBER}\s*%?)+)\s*[\])]", text):
        found = [float(n) for n in re.findall(_NUMBER, match[1])]
        between = text[last : match.start()]
        if last >= 0 and len(found) == 2 and len(groups[-1]) % 2 == 0 and not re.search(r"[^\s,\-]", between):
            groups[-1] += found
        else:
            groups.append(found)
        last = match.end()
    if not groups:
        bare = rf"\s*(?:<\w+>)?\s*{_NUMBER}%?(?:[\s,]+{_NUMBER}%?){{3}}\s*(?:</\w+>)?\s*"
        groups = [[float(n) for n in re.findall(_NUMBER, text)]] if re.fullmatch(bare, text) else []
    values = [n for group in groups for n in group]
    guess: Scale = "percent" if "%" in text else "unit" if values and max(map(abs, values)) <= 1 else "pixel"
    return Boxes(_boxes(groups), scale or guess)


def _boxes(groups: Sequence[Sequence[float]]) -> tuple[Box, ...]:
    """Groups of 4 numbers are corners, of 8 a quadrilateral; any other is not understood and left out."""
    found = []
    for group in groups:
        if len(group) not in (4, 8):
            continue
        xs, ys = group[0::2], group[1::2]
        if min(xs) < max(xs) and min(ys) < max(ys):
            found.append((min(xs), min(ys), max(xs), max(ys)))
    return tuple(found)


def in_pixels(found: Boxes, size: tuple[int, int] | None) -> tuple[Box, ...] | None:
    """Boxes in pixels of an image of (width, height); None when they are shares and the size is not known."""
    if found.scale == "pixel":
        return found.boxes
    if size is None:
        return None
    x, y = (length / _SPAN[found.scale] for length in size)
    return tuple((b[0] * x, b[1] * y, b[2] * x, b[3] * y) for b in found.boxes)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def overlaps(predicted: Sequence[Box], wanted: Sequence[Box]) -> list[float]:
    """IoU of each wanted box with the predicted one it is paired with: best pairs first, each box once, else 0."""
    pairs = sorted(((iou(p, w), i, j) for i, p in enumerate(predicted) for j, w in enumerate(wanted)), reverse=True)
    taken: set[int] = set()
    found: dict[int, float] = {}
    for value, i, j in pairs:
        if value > 0 and i not in taken and j not in found:
            taken.add(i)
            found[j] = value
    return [found.get(j, 0.0) for j in range(len(wanted))]


def precision_at(predicted: Sequence[Box], wanted: Sequence[Box], threshold: float) -> float:
    """Pairs with an IoU of at least `threshold`, over the larger number of boxes; NaN where no box is wanted.

    With one wanted and one predicted box this is the usual P@threshold of visual grounding, 1 or 0.
    """
    if not wanted:
        return math.nan
    return sum(v >= threshold for v in overlaps(predicted, wanted)) / max(len(wanted), len(predicted))
