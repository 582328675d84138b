"""Cuts evidence into what may be quoted: sentences and table rows, each knowing where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..types import Evidence
from .cleaning import clean, one_line, unmark
from .lexicon import lexicon
from .sentences import sentences
from .words import keys

_BULLET = re.compile(r"^(?:>\s*)*(?:[-*+•‣·]|\d{1,3}[.)])\s+")
_RULE = re.compile(r"[|:\-\s=_*]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A quotable piece of evidence. `text` is verbatim but for white space and list marks; `context` is the
    sentence before, given only where the text leans on it; `rank` counts the evidence from 0. `body` is the text
    without a title that it repeats at its beginning; `found` are the keys of context and body."""

    text: str
    evidence: Evidence
    rank: int
    place: int
    found: frozenset[str]
    titled: frozenset[str]
    context: str = ""
    body: str = ""

    @property
    def number(self) -> int:
        return self.evidence.number

    @property
    def named(self) -> bool:
        """Whether the text says itself what it is about."""
        if len(self.body) < len(self.text):
            return True
        telling = {k for k in self.titled if not k.isdigit() and k not in lexicon().stopwords}
        return not telling or bool(self.found & telling)

    @property
    def introduction(self) -> str:
        """The title and a colon where the text does not name its subject."""
        bare = self.named or self.evidence.kind != "text" or not self.evidence.title
        return "" if bare else f"{one_line(self.evidence.title)}: "

    @property
    def spoken(self) -> str:
        """The text with what it needs to be understood alone: as it is compared."""
        return self.introduction + (f"{self.context} {self.text}" if self.context else self.text)


def headed(item: Evidence) -> str:
    """The words over a piece of evidence: its document's heading and the part of the record it comes from."""
    return f"{item.provenance.heading} {item.part.replace('_', ' ')}".strip()


def candidates(evidence: Iterable[Evidence]) -> list[Candidate]:
    """All candidates, best evidence first; a sentence that several pieces share is kept once."""
    seen: set[str] = set()
    found: list[Candidate] = []
    for rank, item in enumerate(evidence):
        titled = frozenset(keys(item.title))
        heading = keys(headed(item))
        before = ""
        for place, piece in enumerate(pieces(item.text)):
            folded = " ".join(piece.lower().split())
            if folded not in seen:
                leans = _leans(piece)
                context = before if leans and before and not _leans(before) else ""
                body = piece.removeprefix(f"{item.title}:").lstrip()
                found_keys = frozenset(keys(f"{context} {body}")) | frozenset(heading)
                if not leans or context or place == 0:
                    found.append(Candidate(piece, item, rank, place, found_keys, titled, context, body))
                seen.add(folded)
            before = piece
    return found


@lru_cache(maxsize=1 << 12)
def pieces(text: str) -> tuple[str, ...]:
    """The sentences and table rows of a text, fit for quoting. Fragments at the seams of a chunk are left out."""
    out: list[str] = []
    header: list[str] = []
    cut = sentences(unmark(clean(text)))
    for place, raw in enumerate(cut):
        if raw.startswith("|"):
            cells = [c.strip() for c in raw.strip("| ").split("|")]
            if _RULE.fullmatch(raw):
                continue
            following = cut[place + 1] if place + 1 < len(cut) else ""
            if following.startswith("|") and _RULE.fullmatch(following):
                header = cells
                continue
            row = [f"{h}: {c}" if h else c for h, c in zip(header, cells, strict=False) if c] if header else cells
            out.append("; ".join(c for c in row if c))
            continue
        header = []
        piece = " ".join(_BULLET.sub("", raw).split())
        if piece.startswith("#") or _RULE.fullmatch(piece or "-") or piece.endswith((":", "?")):
            continue
        first_fragment = place == 0 and len(cut) > 1 and piece[:1].islower() and not re.match(r"[a-z]{1,2}[A-Z]", piece)
        last_fragment = place == len(cut) - 1 and place > 0 and not re.search(r"[.!…)\]\"”%\d][*_]*$", piece)
        bullet = bool(_BULLET.match(raw))
        if (first_fragment or last_fragment) and not bullet:
            continue
        if len(piece.split()) >= 3 or re.search(r"\d|=", piece):
            out.append(piece)
    return tuple(out)


def _leans(text: str) -> bool:
    """Whether a sentence begins with a word that points to the one before."""
    first = re.match(r"[\w'-]+", text.lstrip('*_"“('))
    return bool(first) and first.group().lower() in lexicon().pronouns if first else False
