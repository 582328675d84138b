"""Parts of an image as people name them: "the north-east corner", "upper left quarter", "the middle". Pure.

Words of the compass are turned with the image's geotransform; up, down, left and right are the picture's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .wording import pattern

Region = tuple[int, int, int, int]

CORNER: Final = 1 / 3
"""Share of width and height that a corner takes; a side takes as much of one of them."""
SMALLEST: Final = 32
"""Pixels of a side below which a part is not cut any smaller."""

_COMPASS: Final = {"north": (0, -1), "south": (0, 1), "east": (1, 0), "west": (-1, 0)}
_PICTURE: Final = {
    **dict.fromkeys(("upper", "top"), (0, -1)),
    **dict.fromkeys(("lower", "bottom"), (0, 1)),
    **dict.fromkeys(("right", "right-hand", "rightmost"), (1, 0)),
    **dict.fromkeys(("left", "left-hand", "leftmost"), (-1, 0)),
}
_SHARES: Final = {"half": 1 / 2, "part": 1 / 2, "area": 1 / 2, "section": 1 / 2, "third": 1 / 3, "quarter": 1 / 4}
_SIDES: Final = ("side", "edge", "end", "margin", "border", "strip", "corner")

_COMPASS_WORDS = r"(?:north|south)[ -]?(?:east|west)(?:ern)?|(?:north|south|east|west)(?:ern)?|NE|NW|SE|SW"
_PICTURE_WORDS = r"(?:upper|top|lower|bottom)(?:[ -](?:left|right))?(?:-hand)?|(?:far )?(?:left|right)(?:-hand|most)?"
_PARTS = "corner|quarter|quadrant|half|third|side|edge|end|margin|border|strip|part|area|section"
_LETTER = r"\[?(?-i:[A-Z])\]?(?!\w)"
_IMAGE = rf"(?:(?:image|scene|picture|photo|tile|raster|view|frame)(?: {_LETTER})?(?!\w)|it(?!\w)|{_LETTER})"
_OF = rf"(?: (?:of|in) (?:the |this |that )?{_IMAGE})?"
# Something else may have a northern part as well: "the northern part of the country".
_OF_ELSE = r"(?!(?:'s)?\s+(?:of|in)\s+(?!(?:20|19)\d\d))(?![\w-])"
_ENDS = r"(?=\s*(?:[?.!,]|$|and\b))"
_PART = pattern(
    rf"\b(?:in |at |on |to )?(?:the |its |this )?(?:(?P<compass>{_COMPASS_WORDS})|(?P<picture>{_PICTURE_WORDS}))",
    rf" (?P<what>{_PARTS}){_OF}{_OF_ELSE}",
)
_BARE = pattern(
    r"(?:\b(?:in|at|on|to|about) |^(?:and )?)the ",
    r"(?:(?P<picture>(?:upper|top|lower|bottom)[ -](?:left|right)|top|bottom|left|right)",
    rf"|(?P<compass>(?:north|south)[ -]?(?:east|west)|north|south|east|west)){_OF}{_ENDS}",
)
_MIDDLE = pattern(
    rf"\b(?:in |at |on )?the (?:very )?(?:middle|cent(?:re|er))(?: part| area)?{_OF}{_OF_ELSE}",
    r"(?=\s*(?:[?.!,]|$|look|show|contain|is\b))",
)
_WHOLE = pattern(
    r"\b(?:the )?(?:whole|entire|full) (?:image|scene|picture|photo|tile|thing|view)\b",
    r"|\bzoom (?:all the way )?out (?:again|fully|completely)\b",
)
_ZOOM = pattern(r"\bzoom(?:ed|ing)? (?P<way>in|out)\b")
_SHORT: Final = {"ne": "north east", "nw": "north west", "se": "south east", "sw": "south west"}


@dataclass(frozen=True, slots=True)
class Part:
    """A part. `way` is a unit direction (right, down) per axis, -1, 0 or 1, and `compass` whether it is one of the
    compass; (0, 0) is the middle. `share` is what it takes of each axis it names. `said` are the words, preposition and
    all, and `span` where they stand."""

    way: tuple[int, int]
    share: float
    compass: bool
    said: str
    span: tuple[int, int]

    @property
    def name(self) -> str:
        """What it is called: "the north-east corner"."""
        return re.sub(r"^(?:in|at|on|to|about) ", "", self.said, flags=re.IGNORECASE)


def find_part(text: str) -> Part | None:
    """The part of an image that a text speaks of, if it does."""
    for kind in (_PART, _BARE):
        if match := kind.search(text):
            groups = match.groupdict()
            words = (groups["compass"] or groups["picture"] or "").lower()
            what = (groups.get("what") or "").lower()
            way = _way(words, _COMPASS if groups["compass"] else _PICTURE)
            if way == (0, 0):
                continue
            diagonal = 0 not in way
            share = 1 / 2 if what == "quadrant" or (diagonal and what == "quarter") else _SHARES.get(what, CORNER)
            if what == "corner" and not diagonal:
                continue  # "the north corner" of a street
            return Part(way, share, bool(groups["compass"]), match.group().strip(), match.span())
    if match := _MIDDLE.search(text):
        return Part((0, 0), 1 / 2, False, match.group().strip(), match.span())
    return None


def is_whole(text: str) -> bool:
    """Whether a text asks for the whole image again."""
    return _WHOLE.search(text) is not None


def zoom_of(text: str) -> str:
    """ "in", "out" or ""."""
    match = _ZOOM.search(text)
    return match["way"].lower() if match else ""


def window(part: Part, width: int, height: int, transform: Sequence[float] | None = None) -> Region:
    """x, y, w, h of a part of an image of `width` x `height` pixels; `transform` (a, b, c, d, e, f) turns the compass:
    easting = a * column + b * row + c, northing = d * column + e * row + f."""
    across, down = turned(part.way, transform) if part.compass and transform else part.way
    x, w = _stretch(across, part.share, width)
    y, h = _stretch(down, part.share, height)
    if (across, down) == (0, 0):
        x, w = _middle(width, part.share)
        y, h = _middle(height, part.share)
    return x, y, w, h


def zoomed(way: str, region: Region, width: int, height: int) -> Region:
    """The middle half of a region, or the region of twice its sides, moved inside the image."""
    x, y, w, h = region
    factor = 0.5 if way == "in" else 2.0
    new_w = min(width, max(round(w * factor), min(SMALLEST, w, width)))
    new_h = min(height, max(round(h * factor), min(SMALLEST, h, height)))
    left = min(max(x + (w - new_w) // 2, 0), width - new_w)
    top = min(max(y + (h - new_h) // 2, 0), height - new_h)
    return left, top, new_w, new_h


def turned(way: tuple[int, int], transform: Sequence[float]) -> tuple[int, int]:
    """A direction of the compass as one of the picture, to the nearest eighth of a turn."""
    a, b, _, d, e, _ = transform[:6]
    determinant = a * e - b * d
    if determinant == 0:
        return way
    east, north = way[0], -way[1]
    # The inverse of the linear part takes metres east and north to columns and rows.
    column, row = (e * east - b * north) / determinant, (a * north - d * east) / determinant
    length_x, length_y = math.hypot(a, d), math.hypot(b, e)
    turn = math.atan2(row * length_y, column * length_x)
    step = round(turn / (math.pi / 4))
    x, y = math.cos(step * math.pi / 4), math.sin(step * math.pi / 4)
    return round(x), round(y)


def _way(said: str, table: dict[str, tuple[int, int]]) -> tuple[int, int]:
    said = _SHORT.get(said, said)
    way = (0, 0)
    for word, (x, y) in table.items():
        if word in said:
            way = (way[0] or x, way[1] or y)
    return way


def _stretch(way: int, share: float, length: int) -> tuple[int, int]:
    """(start, size) along one axis: all of it where the part does not name that axis."""
    if way == 0:
        return 0, length
    size = min(length, max(round(length * share), min(SMALLEST, length)))
    return (length - size if way > 0 else 0), size


def _middle(length: int, share: float) -> tuple[int, int]:
    size = min(length, max(round(length * share), min(SMALLEST, length)))
    return (length - size) // 2, size
