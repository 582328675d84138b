"""How answers and results look: 80 columns for people, plain values for programs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..answering.ledger import FAILED
from ..confidence import strength
from ..types import Answer, Classification, Evidence, Hit, Scene, lettered
from .control import harmless

if TYPE_CHECKING:
    from ..store.knowledge_base import KnowledgeBase
    from .session import Session

# -- for people -----------------------------------------------------------------------------------


def print_answer(session: Session, answer: Answer, scenes: Sequence[Scene]) -> None:
    """The verdict first, then what it says, then the sources it cites, then warnings on stderr."""
    from rich.markdown import Markdown

    text = harmless(answer.text)
    session.out.print(Markdown(_keep_brackets(text)))
    print_sources(session, answer, scenes)


def print_sources(session: Session, answer: Answer, scenes: Sequence[Scene]) -> None:
    """What stands under an answer: the images, the sources it cites, the pictures that tools drew, warnings."""
    if scenes:
        session.out.print()
        for letter, scene in lettered(scenes):
            session.out.print(harmless(f"[{letter}] {scene.uri}"), style="dim", markup=False)
    if answer.citations:
        session.out.print()
        session.out.print(sources_table(answer.citations, ids=_with_ids(answer.citations)))
    for item in answer.citations:
        for picture in item.images if item.kind == "tool" else ():
            session.out.print(harmless(f"picture of [{item.number}]: {picture}"), markup=False, soft_wrap=True)
    rest = len(answer.evidence) - len(answer.citations)
    parts = [f"{rest} more looked at" if rest > 0 else "", f"model {answer.model}"]
    total = sum(answer.seconds.values())
    tokens = answer.usage.input_tokens + answer.usage.output_tokens if answer.usage else 0
    parts += [
        f"{tokens:,} tokens" if tokens else "",
        f"{total:.1f} s",
        "rsrag show ID tells more" if _with_ids(answer.citations) else "",
    ]
    session.note(" · ".join(p for p in parts if p))
    explained = tuple(f"tool {e.title} failed: " for e in answer.citations if e.part == FAILED)
    for warning in answer.warnings:
        if not warning.startswith(explained):  # the answer has said it
            session.warn(harmless(warning))


def _keep_brackets(text: str) -> str:
    """[1] must not be taken for a link by Markdown."""
    return re.sub(r"\[(\d+|[A-Z])\]", r"\\[\1\\]", text)


def sources_table(
    evidence: Sequence[Evidence], *, ids: bool = True, narrow: bool = False, marked: Collection[int] = ()
) -> Any:
    """Numbered sources in a compact table; without `ids` where a number finds them, `narrow` for 40 columns. Those
    whose numbers are `marked` get a star."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=not narrow, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("Source", ratio=5, overflow="fold")
    if not narrow:
        table.add_column("From", ratio=4, overflow="fold")
    matches = ["" if item.kind == "tool" else _match(item.z, item.kind, item.via) for item in evidence]
    if any(matches):
        table.add_column("Match", no_wrap=True)
    if ids:
        table.add_column("ID", no_wrap=True, style="dim")
    for item, match in zip(evidence, matches, strict=True):
        star = "*" if item.number in marked else ""
        row = [f"[{item.number}]{star}".replace("[", r"\["), escaped(_title(item))]
        row += [] if narrow else [escaped(_origin(item))]
        table.add_row(*row, *([match] if any(matches) else []), *([_short_id(item.key)] if ids else []))
    return table


def _title(item: Evidence) -> str:
    title = harmless(item.title)
    if item.kind == "image":
        return f"image: {title}"
    if item.kind == "tool":
        part = re.search(r"#xywh=([\d,]+)", item.provenance.record)
        return f"tool: {title}{f', part {part[1]}' if part else ''}"
    page = f", p. {item.provenance.page}" if item.provenance.page else ""
    return f"{title}{page}"


def _origin(item: Evidence) -> str:
    origin = item.provenance
    if item.kind == "tool":
        return harmless(origin.attribution or "computed here")
    who = "yours" if origin.role == "mine" else "reference"
    return harmless(", ".join(p for p in (f"{origin.source} ({who})", origin.license) if p))


def _with_ids(evidence: Iterable[Evidence]) -> bool:
    """Whether `rsrag show` can tell more of any of it."""
    return any(_short_id(item.key) for item in evidence)


def _short_id(key: str) -> str:
    return key.removeprefix("chunk:")[:8] if key.startswith("chunk:") else ""


def escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def print_hits(session: Session, hits: Sequence[Hit]) -> None:
    """Search results, one row each."""
    from rich.table import Table

    if not hits:
        return
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim", expand=True)
    table.add_column("", justify="right", no_wrap=True, width=max(2, len(str(len(hits)))))
    table.add_column("Title", ratio=2, overflow="ellipsis", no_wrap=True)
    table.add_column("What", ratio=3, overflow="ellipsis", no_wrap=True)
    table.add_column("Match", no_wrap=True, width=7)
    table.add_column("ID", no_wrap=True, style="dim", width=8)
    for rank, hit in enumerate(hits, 1):
        chunk = hit.chunk
        what = f"image {chunk.image}" if chunk.kind == "image" else chunk.text.removeprefix(f"{chunk.title}: ")
        table.add_row(
            str(rank),
            escaped(harmless(chunk.title)),
            escaped(" ".join(harmless(what).split())),
            _match(hit.z, chunk.kind, hit.lanes),
            chunk.id[:8],
        )
    session.out.print(table)


def _match(z: float | None, kind: str, lanes: Iterable[str]) -> str:
    """How near something is, in a word; or how it was found, where nearness was not measured."""
    if z is not None:
        word = strength(z, kind)
        return "by image" if word == "weak" and "subject" in lanes else word
    return "nearby" if "near-by" in lanes else "by word" if "words" in lanes else "by name" if "named" in lanes else ""


def print_shares(session: Session, result: Classification) -> None:
    """Labels with bars."""
    top, share = result.scores[0]
    word = "clearly" if share >= 0.6 else "probably" if share >= 0.35 else "perhaps"
    session.out.print(f"{top} ({word}, {share:.0%})", markup=False)
    width = max(len(label) for label, _ in result.scores)
    for label, value in result.scores[1:6]:
        session.out.print(f"  {label:<{min(width, 40)}} {value:4.0%}", style="dim", markup=False)
    if result.reason:
        session.warn(f"take this with care: {result.reason}.")


def plain_text(answer: Answer) -> str:
    """An answer's words without citation marks."""
    return re.sub(r"\s*\[(?:\d+|[A-Z])\]", "", harmless(answer.text)).replace("**", "").strip()


# -- for programs ---------------------------------------------------------------------------------


def answer_json(answer: Answer, kb: KnowledgeBase) -> dict[str, Any]:
    """The documented shape of `ask --json`."""
    return {
        "text": answer.text,
        "status": answer.status,
        "grounded": answer.grounded,
        "confidence": None if answer.confidence is None else round(answer.confidence, 4),
        "model": answer.model,
        "evidence": [evidence_json(item, kb) for item in answer.evidence],
        "citations": [item.number for item in answer.citations],
        "invalid_markers": list(answer.invalid_markers),
        "warnings": list(answer.warnings),
        "seconds": {stage: round(value, 4) for stage, value in answer.seconds.items()},
        "usage": {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}
        if answer.usage
        else None,
    }


def evidence_json(item: Evidence, kb: KnowledgeBase) -> dict[str, Any]:
    origin = item.provenance
    chunk_id = item.key.removeprefix("chunk:") if item.key.startswith("chunk:") else ""
    chunk = kb.get(chunk_id) if chunk_id and item.kind == "image" else None
    image = kb.image_path(chunk) if chunk else None
    return {
        "number": item.number,
        "kind": item.kind,
        "id": chunk_id,
        "title": item.title,
        "text": item.text,
        "image": str(image) if image else (item.images[0] if item.images else None),
        "url": origin.url or None,
        "license": origin.license or None,
        "attribution": origin.attribution or None,
        "source": origin.source,
        "role": origin.role,
        "subject": origin.subject or None,
        "page": origin.page,
        "score": round(item.score, 6),
        "strength": strength(item.z, item.kind) if item.z is not None else None,
        "bbox": list(item.bbox.as_tuple()) if item.bbox else None,
        "values": {name: {"value": v.value, "unit": v.unit} for name, v in item.values.items()},
        "pictures": list(item.images) if item.kind == "tool" else [],
    }


def hit_json(hit: Hit, rank: int, kb: KnowledgeBase) -> dict[str, Any]:
    chunk, origin = hit.chunk, hit.chunk.provenance
    image = kb.image_path(chunk) if chunk.kind == "image" else None
    return {
        "rank": rank,
        "id": chunk.id,
        "kind": chunk.kind,
        "title": chunk.title,
        "text": chunk.text,
        "image": str(image) if image else None,
        "url": origin.url or None,
        "license": origin.license or None,
        "attribution": origin.attribution or None,
        "source": origin.source,
        "role": origin.role,
        "subject": origin.subject,
        "score": round(hit.score, 6),
        "strength": strength(hit.z, chunk.kind) if hit.z is not None else None,
        "lanes": {name: {"rank": r, "score": round(s, 5)} for name, (r, s) in hit.lanes.items()},
        "facets": {key: list(v) if isinstance(v, tuple) else v for key, v in chunk.facets.items()},
        "bbox": list(chunk.bbox.as_tuple()) if chunk.bbox else None,
        "acquired": chunk.acquired.isoformat() if chunk.acquired else None,
    }
