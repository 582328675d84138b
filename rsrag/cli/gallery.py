"""Search results as one html file that needs nothing else: pictures inside, no script, nothing fetched."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from ..transcript.files import replace_file
from ..transcript.told import link
from ..types import BBox
from .gallery_markers import MOST_PINS, Pin

SNIPPET: Final = 320  # characters; `rsrag show ID` has the rest
_MAGIC: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"))
_STRENGTHS: Final = ("strong", "fair", "weak")


@dataclass(frozen=True, slots=True)
class Card:
    """One result: `rank` from 1, `kind` "image" or "text", `strength` "strong", "fair", "weak" or "" (not known).

    `image_bytes` are a JPEG, PNG, WebP or GIF; `bbox` puts the result on the map; `id` is what `rsrag show` takes.
    """

    rank: int
    kind: str
    title: str
    text: str = ""
    strength: str = ""
    license: str = ""
    attribution: str = ""
    source: str = ""
    url: str = ""
    image_bytes: bytes | None = None
    bbox: BBox | None = None
    id: str = ""


def write_gallery(path: str | Path, *, title: str, query_text: str, items: Sequence[Card], footer: str = "") -> None:
    """Write a page of results to `path`; a map comes first when any of them has coordinates.

    All text is untrusted and escaped; only http and https addresses become links. An older file is replaced when
    the new one is complete. Raises `RsragError` when the file cannot be written.
    """
    page = Template(Path(__file__).with_name("gallery.html").read_text("utf-8")).substitute(
        title=_safe(title) or "rsrag",
        query=_safe(query_text) or "Search results",
        tally=_tally(items),
        map=_map(items),
        cards=_cards(items),
        footer=_safe(footer),
    )
    replace_file(Path(path), page.encode("utf-8", "replace"))


def _safe(text: str) -> str:
    """Escaped for html, without control characters (but newlines) and without marks that turn the reading order."""
    kept = (c for c in text if c == "\n" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING))
    return escape("".join(kept).strip())


# Overrides and isolates left open in one title would reorder what follows it on the page.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _tally(items: Sequence[Card]) -> str:
    if not items:
        return "No results"
    pictures = sum(card.image_bytes is not None for card in items)
    placed = min(sum(card.bbox is not None for card in items), MOST_PINS)
    parts = [f"{len(items):,} result{'s' * (len(items) != 1)}"]
    parts += [f"{pictures:,} with a picture"] if pictures else []
    parts += [f"{placed:,} on the map"] if placed else []
    return " · ".join(parts)


def _map(items: Sequence[Card]) -> str:
    from .gallery_map import draw_map

    pins = [Pin(card.rank, _safe(card.title), card.bbox) for card in items if card.bbox is not None]
    return draw_map(pins) if pins else ""


def _cards(items: Sequence[Card]) -> str:
    if not items:
        return '<p class="none">Nothing was found.</p>'
    return '<ol class="cards">\n' + "\n".join(f"<li>{_card(card)}</li>" for card in items) + "\n</ol>"


def _card(card: Card) -> str:
    title = _safe(card.title) or "Untitled"
    link = _link(card.url)
    heading = f'<a href="{link}" rel="noopener noreferrer nofollow">{title}</a>' if link else title
    text = _safe(_snippet(card.text))
    kind = _safe(card.kind)
    return (
        f'<article class="card" id="r{card.rank:d}" aria-labelledby="t{card.rank:d}">{_picture(card, title)}'
        f'<div class="body"><div class="top"><span class="rank">{card.rank:d}</span><span>{kind}</span>'
        f'{_strength(card.strength)}</div><h2 id="t{card.rank:d}" dir="auto">{heading}</h2>'
        + (f'<p class="text" dir="auto">{text}</p>' if text and text != title else "")
        + f"{_facts(card)}</div></article>"
    )


def _picture(card: Card, title: str) -> str:
    if card.image_bytes is None:
        return "" if card.kind != "image" else '<div class="missing">No preview</div>'
    mime = _mime(card.image_bytes)
    if not mime:
        return '<div class="missing">The preview cannot be shown</div>'
    data = base64.b64encode(card.image_bytes).decode("ascii")
    return f'<img class="picture" alt="{title}" src="data:{mime};base64,{data}">'


def _mime(content: bytes) -> str:
    """By its first bytes; "" for what browsers do not show, and for SVG, which could carry more than a picture."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if content.startswith(magic)), "")


def _strength(word: str) -> str:
    if word not in _STRENGTHS:
        return ""
    return (
        f'<span class="strength {word}"><span class="bars" aria-hidden="true"><i></i><i></i><i></i></span>'
        f'<span>{word}<span class="sr"> match</span></span></span>'
    )


def _facts(card: Card) -> str:
    rows = [("Source", _safe(card.source)), ("Licence", _safe(card.license)), ("Credit", _safe(card.attribution))]
    if card.bbox is not None:
        rows.append(("Place", _place(card.bbox) + ' · <a href="#map">map</a>'))
    if card.id:
        rows.append(("Details", f"<code>rsrag show {_safe(card.id)}</code>"))
    return '<dl class="facts">' + "".join(f"<dt>{n}</dt><dd>{v}</dd>" for n, v in rows if v) + "</dl>"


def _place(box: BBox) -> str:
    lon, lat = box.center
    return f"{abs(lat):.2f}° {'S' if lat < 0 else 'N'}, {abs(lon):.2f}° {'W' if lon < 0 else 'E'}"


def _link(url: str) -> str:
    """The address, escaped, when it is an ordinary web address; else ""."""
    return escape(link(url))


def _snippet(text: str) -> str:
    text = text.strip()
    if len(text) <= SNIPPET:
        return text
    cut = text[:SNIPPET].rsplit(None, 1)[0] if " " in text[:SNIPPET] else text[:SNIPPET]
    return cut.rstrip(" ,;:.") + " …"
