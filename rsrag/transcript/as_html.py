"""A transcript as one html file that needs nothing else: pictures inside, no script, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ..answering.cleaning import clean
from ..conversation.exchange import Exchange
from ..conversation.scenes import Placed
from ..conversation.state import State
from ..types import Evidence
from .pictures import SIDE, picture
from .told import cited, footer, link, numbers_with_units, origin, outcome, scene_name, title, understood, when

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_MARKER = re.compile(r"\[(\d{1,6}|[A-Z]{1,2})\]")
_LONG = 420
"""Characters of a source from which on it is folded away."""


def to_html(state: State) -> str:
    """The page. All text is untrusted and escaped; answers are Markdown without html and without pictures from
    elsewhere; only http and https addresses become links."""
    sources = cited(state)
    known = {str(e.number) for e in sources} | {p.letter for p in state.scenes}
    return Template(Path(__file__).with_name("transcript.html").read_text("utf-8")).substitute(
        title=_safe(title(state)),
        about=_safe(_about(state)),
        scenes=_scenes(state.scenes),
        exchanges="\n".join(_exchange(state, exchange, known) for exchange in state.exchanges),
        sources=_sources(sources),
    )


def _about(state: State) -> str:
    count = len(state.exchanges)
    facts = [when(state.created), f"{count} question{'s' * (count != 1)}"]
    facts += [
        f"knowledge base {Path(state.kb).name}" if state.kb else "",
        f"model {state.model}" if state.model else "",
    ]
    return " · ".join(fact for fact in facts if fact)


# -- images ---------------------------------------------------------------------------------------


def _scenes(scenes: Sequence[Placed]) -> str:
    return f'<section class="scenes">{"".join(map(_scene, scenes))}</section>' if scenes else ""


def _scene(placed: Placed) -> str:
    source = picture(placed.uri)
    name = _safe(scene_name(placed))
    shown = f'<img alt="Image {placed.letter}: {name}" src="{source}">' if source else _missing(placed)
    note = " · dropped" if placed.dropped else ""
    caption = f'<figcaption><b class="letter">{placed.letter}</b> {name}{note}</figcaption>'
    return f'<figure id="image-{placed.letter}">{shown}{caption}</figure>'


def _missing(placed: Placed) -> str:
    return f'<div class="missing">{"No longer at its place" if placed.gone or placed.uri else "No preview"}</div>'


# -- questions and answers ------------------------------------------------------------------------


def _exchange(state: State, exchange: Exchange, known: set[str]) -> str:
    asked = _safe(exchange.question) or "<i>about the image</i>"
    parts = [f'<h2><a href="#q{exchange.number}">{asked}</a></h2>']
    if taken := understood(exchange):
        parts.append(f'<p class="taken">{_safe(taken)}</p>')
    parts.append(_part(state, exchange))
    if exchange.text:
        parts.append(f'<div class="answer">{_answer(exchange.text, known)}</div>')
    if note := outcome(exchange):
        parts.append(f'<p class="outcome">{_safe(note)}</p>')
    parts += [
        f'<p class="warning">{_safe(warning)}</p>' for warning in (exchange.answer.warnings if exchange.answer else ())
    ]
    drawn = "".join(_drawn(state, exchange))
    parts.append(f'<div class="drawn">{drawn}</div>' if drawn else "")
    facts = " · ".join(fact for fact in (when(exchange.ended), footer(exchange)) if fact)
    parts.append(f'<p class="facts">{_safe(facts)}</p>' if facts else "")
    return f'<article id="q{exchange.number}">{"".join(parts)}</article>'


def _part(state: State, exchange: Exchange) -> str:
    """The part of a scene that a question is about."""
    if exchange.focus is None:
        return ""
    letter, region = exchange.focus
    placed = next((p for p in state.scenes if p.letter == letter), None)
    source = picture(placed.uri, SIDE // 2, part=region) if placed else ""
    return f'<img class="part" alt="The part {region} of image {letter}" src="{source}">' if source else ""


def _drawn(state: State, exchange: Exchange) -> Iterator[str]:
    """What tools drew in this turn."""
    for use in exchange.tools:
        evidence = state.evidence.get(use.number or 0)
        for path in evidence.images if evidence else ():
            if source := picture(path, drawing=True):
                label = f"{_safe(use.name)} [{use.number}]"
                yield f'<figure><img alt="{label}" src="{source}"><figcaption>{label}</figcaption></figure>'


@cache
def _markdown() -> MarkdownIt:
    """Without raw html, without reference links (which would read [3] as their own) and without pictures: a page that
    is read must not tell anybody so."""
    from markdown_it import MarkdownIt

    return (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .disable(["image", "reference", "html_inline", "html_block"])
    )


def _answer(text: str, known: set[str]) -> str:
    tokens = _markdown().parse(clean(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        for inner in token.children or ():
            if inner.type == "link_open":
                address = link(str(inner.attrs.get("href", "")))
                inner.attrs = {"href": address, "rel": "noreferrer noopener"} if address else {}
            elif inner.type == "text":
                inner.type, inner.content = "html_inline", _linked(inner.content, known)
    rendered: str = _markdown().renderer.render(tokens, _markdown().options, {})
    return rendered.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


def _linked(text: str, known: set[str]) -> str:
    """Escaped text, with citations as links to what they cite; one that cites nothing is marked."""

    def mark(match: re.Match[str]) -> str:
        target = match[1]
        if target not in known:
            return f'<span class="nothing" title="cites nothing that exists">[{target}]</span>'
        return f'<a class="cite" href="#{"source" if target.isdigit() else "image"}-{target}">{target}</a>'

    return _MARKER.sub(mark, _safe(text, strip=False))


# -- sources --------------------------------------------------------------------------------------


def _sources(sources: Sequence[Evidence]) -> str:
    if not sources:
        return ""
    items = "".join(_source(e) for e in sources)
    return f'<section class="sources"><h2 id="sources">Sources</h2><ol>{items}</ol></section>'


def _source(evidence: Evidence) -> str:
    where = evidence.provenance
    url = link(where.url)
    name = _safe(evidence.title) or "untitled"
    head = f'<a href="{escape(url)}" rel="noreferrer noopener">{name}</a>' if url else name
    credit = where.attribution if evidence.kind != "tool" else ""
    facts = " · ".join(_safe(fact) for fact in (origin(evidence), where.license, credit) if fact)
    shown = ""
    if evidence.images and (source := picture(evidence.images[0], SIDE // 2, drawing=evidence.kind == "tool")):
        shown = f'<img alt="{name}" src="{source}">'
    text = clean(evidence.text).strip()
    quote = f"<blockquote>{_safe(text)}</blockquote>" if text else ""
    if len(text) > _LONG:
        quote = f"<details><summary>{_safe(text[:_LONG].rpartition(' ')[0])} …</summary>{quote}</details>"
    values = "".join(f"<dt>{_safe(n)}</dt><dd>{_safe(v)}</dd>" for n, v in numbers_with_units(evidence))
    table = f"<dl>{values}</dl>" if values else ""
    return (
        f'<li id="source-{evidence.number}"><b class="number">{evidence.number}</b><div>'
        f'<p class="name">{head}</p><p class="facts">{facts}</p>{shown}{quote}{table}</div></li>'
    )


_TURNING = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))


def _safe(text: str, *, strip: bool = True) -> str:
    """Escaped for html, without control characters and marks that turn the reading order."""
    kept = clean(text).translate(_TURNING)
    return escape(kept.strip() if strip else kept)
