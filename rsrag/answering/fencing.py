"""Fences: how foreign text stands in a prompt, between tags that it cannot close or imitate.

Every angle bracket in it, look-alikes included, is escaped; its own bracketed numbers are softened to parentheses;
its code fences cannot pass for a tool call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..types import Evidence, SceneVote
from .cleaning import clean, one_line, unmark

# Everything a reader, human or tokenizer, may take for an angle bracket.
_LESS = "<＜‹〈⟨❮❬≺˂ᐸ﹤⧼«\u2329\u276e\ufe3f"
_MORE = ">＞›〉⟩❯❭≻˃ᐳ﹥⧽»\u232a\u276f\ufe40"
_ESCAPES = str.maketrans({"&": "&amp;", **dict.fromkeys(_LESS, "&lt;"), **dict.fromkeys(_MORE, "&gt;")})
_OWN_TAGS = re.compile(r"<(?=\s*/?\s*(?:evidence|matches|question|error|tool_call)\b|\|)", re.IGNORECASE)
_CODE_FENCE = re.compile(r"[`\u02cb\u1fef\uff40]{3,}")


def escape(text: str) -> str:
    """Foreign text made fit to stand inside a tag: cleaned, unmarked, no angle bracket of any kind, no code fence."""
    text = clean(text)
    if "[" in text or "【" in text:
        text = unmark(text)
    return _CODE_FENCE.sub("'''", text).translate(_ESCAPES)


def harmless(text: str) -> str:
    """The user's words as they are, but they cannot pass for a fence or a chat template's token either."""
    return _OWN_TAGS.sub("&lt;", clean(text))


def fence(evidence: Evidence) -> str:
    """A piece of evidence between <evidence> tags, with its number, where it comes from, and its numbers with units."""
    p = evidence.provenance
    source = p.url or ": ".join(x for x in (p.source, p.record) if x)
    page = f"page {p.page}" if p.page is not None else ""
    attributes = "".join(
        (
            _attribute("number", evidence.number),
            _attribute("kind", evidence.kind),
            _attribute("title", evidence.title),
            _attribute("heading", p.heading),
            _attribute("source", " ".join(x for x in (source, page) if x)),
            _attribute("license", p.license),
            _attribute("owner", "the user" if p.role == "mine" and evidence.kind in ("text", "image") else ""),
        )
    )
    body = "\n".join(x for x in (escape(evidence.text).strip(), _values(evidence)) if x)
    return f"<evidence{attributes}>\n{body}\n</evidence>"


def failure(error: str) -> str:
    """What went wrong with a call, between tags: a tool's error may quote a file."""
    return f"<error>{escape(one_line(error))}</error>"


def matches(votes: Sequence[SceneVote], letters: Sequence[str]) -> list[str]:
    """What the nearest reference images say about each scene: a hint, fenced like the rest."""
    lines = []
    for letter, vote in zip(letters, votes, strict=False):
        name = vote.scene if vote.scene in letters else letter
        seen = "; ".join(f"{escape(one_line(title))} {share:.0%}" for _, title, share in vote.subjects[:5])
        if seen:
            doubt = f" No clear label: {escape(one_line(vote.reason))}" if not vote.label and vote.reason else ""
            lines.append(f'<matches scene="{name}">Similar reference images show: {seen}.{doubt}</matches>')
    return lines


def _attribute(name: str, value: object) -> str:
    text = escape(one_line(str(value))).replace('"', "&quot;").replace("'", "&#39;")
    return f' {name}="{text}"' if text else ""


def _values(evidence: Evidence) -> str:
    """The numbers that the text does not say already."""
    rest = [f"{name} = {value}" for name, value in evidence.values.items() if str(value) not in evidence.text]
    return escape(one_line("Values: " + "; ".join(rest))) if rest else ""
