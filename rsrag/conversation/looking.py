"""Where in a scene a question looks: at a part it names, at the one before, at what the user set, or at all of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..answering.questions import kinds_of
from .context import Context, Frame
from .ellipsis import bare, completed
from .exchange import Focus
from .places import Part, Region, find_part, is_whole, window, zoom_of, zoomed
from .wording import HERE, LOOKS_ONLY, THERE

_HERE = "this part of the image"
_PICTURE = re.compile(r"\b(?:image|scene|picture|photo)\b", re.IGNORECASE)
_ABOUT_SCENE = re.compile(r"\b(?:this|here|image|scene|part)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Look:
    """The part (None: all of it), the question as it is asked of that part alone, and what was `said` of it."""

    focus: Focus | None
    text: str
    said: str = ""


def look(text: str, letters: Sequence[str], context: Context, pointed: bool) -> Look:
    """Where a question about `letters` looks; `pointed` tells that it said which scenes."""
    here = [name for name in letters if name in context.frames]
    if not here:
        return Look(None, text)
    kept = context.focus if context.focus and context.focus[0] in here else None
    last = context.part if context.part and context.part[0] in here else None
    name = kept[0] if kept else here[0]
    frame = context.frames[name]
    if is_whole(text):
        return Look(None, _repeated(context) if _only_looks(text) else text, f"the whole of {name} again")
    part = find_part(text)
    if (way := zoom_of(text)) and not (part and way == "in"):
        name, region = last or kept or (name, frame.whole)
        frame = context.frames[name]
        region = zoomed(way, region, frame.width, frame.height)
        focus = (name, region) if region != frame.whole else None
        return Look(focus, _repeated(context), f"zoomed {way}")
    if part:
        asked = f"{text[: part.span[0]]}{_with_preposition(part.said)}{text[part.span[1] :]}"
        asked = _repeated(context) if _only_looks(asked) else asked
        return Look((name, _within(part, kept[1] if kept else frame.whole, frame)), asked, part.name)
    if last and not pointed and _stays(text, context):
        return Look(last, text)
    return Look(kept, text)


def region_text(focus: Focus) -> str:
    """A part as people read it: "0,0,300,200 of A"."""
    return f"{','.join(map(str, focus[1]))} of {focus[0]}"


def _within(part: Part, region: Region, frame: Frame) -> Region:
    left, top, width, height = region
    x, y, w, h = window(part, width, height, frame.transform)
    return left + x, top + y, w, h


def _with_preposition(said: str) -> str:
    """The model is shown the part alone: "in the north-east corner" would be a corner of the corner."""
    first = said.split()[0].lower()
    return f"{first} {_HERE}" if first in ("about", "to") else f"in {_HERE}" if first in ("in", "at", "on") else _HERE


def _stays(text: str, context: Context) -> bool:
    """Whether a question goes on about the part that the last one was about."""
    if _PICTURE.search(text):
        return False
    return bool(HERE.search(text) or THERE.search(text)) or completed(text, context.question, ()) is not None


def _only_looks(text: str) -> bool:
    """Whether a question asks nothing besides where to look."""
    return not re.search(r"\w", LOOKS_ONLY.sub("", bare(text)))


def _repeated(context: Context) -> str:
    """The question before, asked of another part; what is seen there when it was not about the image."""
    before = context.question
    if before and (kinds_of(before, True) or _ABOUT_SCENE.search(before)):
        return re.sub(rf" ?\bin {_HERE}\b", "", before).strip()
    return "What is this?"
