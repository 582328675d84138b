"""Choose, from everything that was found, what an answer may rest on, and put it in order. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from .answering.ledger import CAPTIONER, FAILED, chunk_key, tool_key
from .confidence import strength
from .types import Chunk, Evidence, Hit, Provenance, Scene, SceneVote, ToolResult

MOST_IMAGES = 3
MOST_PER_SUBJECT = 4
SURE_RANK = 5
_LOOKED_UP = frozenset(("fact", "part", "list"))


def from_hits(
    hits: Sequence[Hit], k: int, votes: Sequence[SceneVote] = (), find: Callable[[Chunk], Path | None] | None = None
) -> list[Evidence]:
    """Up to `k` passages and a few images, in fused order. `find` tells where an image can be opened.

    One subject gets at most half of the passages, or four, unless it is what a scene was named as: then its own texts
    may fill them. One or two that the question calls by name get three quarters; what was looked up comes in any case,
    and the whole of a list. Images are those of the named subject where there is one, so that the verdict can be seen.
    """
    named = {v.label for v in votes if v.label}
    most = max(MOST_PER_SUBJECT, k // 2)
    called = {hit.chunk.subject for hit in hits if "named" in hit.lanes}
    room = dict.fromkeys(called, max(most, 3 * k // 4)) if len(called) <= 2 else {}
    listed = sum("list" in hit.lanes for hit in hits)
    texts: list[Hit] = []
    later: list[Hit] = []
    images: list[Hit] = []
    per_subject: dict[str, int] = {}
    hashes: set[str] = set()
    for hit in hits:
        if hit.chunk.content_hash in hashes or hit.chunk.part == "label":
            continue
        hashes.add(hit.chunk.content_hash)
        if hit.chunk.kind == "image":
            if _worth_showing(hit):
                images.append(hit)
            continue
        subject = hit.chunk.subject
        looked_up = not _LOOKED_UP.isdisjoint(hit.lanes)
        if looked_up or subject in named or per_subject.get(subject, 0) < room.get(subject, most):
            per_subject[subject] = per_subject.get(subject, 0) + 1
            texts.append(hit)
        else:
            later.append(hit)
    images.sort(key=lambda h: h.chunk.subject not in named)  # stable: fused order within
    return [_of_hit(h, find) for h in [*(texts + later)[: max(k, listed)], *images[:MOST_IMAGES]]]


def _worth_showing(hit: Hit) -> bool:
    """A picture found by words alone must be better than what any words would find."""
    return (
        any(lane.startswith(("image", "words", "near-by")) for lane in hit.lanes) or strength(hit.z, "image") != "weak"
    )


def alternated(hits: Sequence[Hit]) -> list[Hit]:
    """The hits with images and passages in turns, each kind in its own order, and the weak ones after the others.

    The kind whose best hit is the stronger begins; images do when they are equal.
    """
    levels = ("strong", "fair", "weak")

    def level(hit: Hit) -> int:
        """Found by its name, its words or its place is fair at least; found by a cosine of unknown worth is weak."""
        found = any(hit.lanes.get(lane, (99, 0.0))[0] <= SURE_RANK for lane in ("named", "words", "near-by"))
        measured = 2 if hit.z is None else levels.index(strength(hit.z, hit.chunk.kind))
        return min(measured, 1) if found else measured

    ordered: list[Hit] = []
    for weak in (False, True):
        tier = [h for h in hits if (level(h) == 2) == weak]
        kinds = [[h for h in tier if h.chunk.kind == "image"], [h for h in tier if h.chunk.kind != "image"]]
        if all(kinds) and level(kinds[1][0]) < level(kinds[0][0]):
            kinds.reverse()
        ordered += [hit for pair in zip_longest(*kinds) for hit in pair if hit is not None]
    return ordered


def _of_hit(hit: Hit, find: Callable[[Chunk], Path | None] | None) -> Evidence:
    chunk = hit.chunk
    image = find(chunk) if find and chunk.kind == "image" else None
    return Evidence(
        number=0,
        kind=chunk.kind,
        title=chunk.title,
        text=chunk.text,
        provenance=chunk.provenance,
        part=chunk.part,
        images=(str(image),) if image else (chunk.image,) if chunk.image and not find else (),
        via=tuple(hit.lanes),
        score=hit.score,
        bbox=chunk.bbox,
        z=hit.z,
        key=chunk_key(chunk.id),
        aliases=chunk.aliases,
        facts=hit.facts,
    )


def from_captioner(name: str, scene: str, text: str) -> Evidence:
    """A captioner's sentence about a scene as evidence: what a model saw, which nobody has checked."""
    title = f"captioner {name}"
    return Evidence(
        number=0,
        kind="tool",
        title=title,
        text=text,
        provenance=Provenance(source=f"captioner:{name}", record=scene),
        via=(CAPTIONER,),
        key=tool_key(title, {}, scene),
    )


def places_of(scenes: Sequence[Scene]) -> str:
    """The scenes that a tool looked at, as one text."""
    return " ".join(scene.uri for scene in scenes)


def key_of(name: str, scenes: Sequence[Scene], arguments: Mapping[str, Any]) -> str:
    """What a tool's result is numbered by: the same file is the same, from whatever folder it was named."""
    uris = [scene.uri if "://" in scene.uri else os.path.abspath(scene.uri) for scene in scenes]  # noqa: PTH100
    return tool_key(name, arguments, " ".join(uris))


def from_failure(name: str, scenes: Sequence[Scene], reason: str, arguments: Mapping[str, Any], fit: float) -> Evidence:
    """Why a tool that the question asks for has no result: it is citable too, and no answer may pass over it."""
    return Evidence(
        number=0,
        kind="tool",
        title=name,
        text=reason[:1].upper() + reason[1:] if re.match(r"[a-z]+ ", reason) else reason,  # not the name of a file
        provenance=Provenance(source=f"tool:{name}", record=places_of(scenes)),
        part=FAILED,
        via=(name,),
        score=fit,
        key=key_of(name, scenes, {**arguments, "failed": True}),
    )


def from_tool(
    name: str, scenes: Sequence[Scene], result: ToolResult, arguments: Mapping[str, Any] | None = None, fit: float = 0.0
) -> Evidence:
    """A tool's result as evidence; its caveats travel in the text, so that they can be read and cited."""
    text = " ".join([result.text, *result.caveats])
    return Evidence(
        number=0,
        kind="tool",
        title=name,
        text=text,
        provenance=Provenance(source=f"tool:{name}", record=places_of(scenes), attribution=result.attribution),
        images=result.images,
        via=(name,),
        score=fit,
        bbox=scenes[0].bbox if len(scenes) == 1 else None,
        key=key_of(name, scenes, arguments or {}),
        values=result.values,
        geojson=result.geojson,
    )
