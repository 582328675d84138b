"""Makes foreign text harmless: no terminal codes, no invisible characters, no brackets that look like citations."""

from __future__ import annotations

import re
import unicodedata

from .citations import LINK, markers, targets

# CSI, OSC and the other escape sequences of ECMA-48, in both their 7-bit and 8-bit spellings.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
)
_PLAIN = re.compile(r"[\n\t -~]*")
# Joiners carry meaning in Persian and Indic scripts; every other format character only hides something.
_JOINERS = frozenset("\u200c\u200d")
_NEWLINES = str.maketrans({"\u2028": "\n", "\u2029": "\n", "\x85": "\n", "\x0b": "\n", "\x0c": "\n"})
_BRACKETED = re.compile(r"[\[【]([^\[\]【】]{1,200})[\]】]")
_ROUND = str.maketrans("[]【】", "()()")
_TEMPLATE = re.compile(r"\[(/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|IMG))\]", re.IGNORECASE)


def clean(text: str) -> str:
    """The text without ANSI sequences, control and invisible characters; newlines and tabs stay."""
    if _PLAIN.fullmatch(text):
        return text  # most is, and looking at every character takes its time
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_NEWLINES)
    text = _ANSI.sub("", text)
    return "".join(c for c in text if c in "\n\t" or c in _JOINERS or unicodedata.category(c) not in _HIDDEN)


_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))


def unmark(text: str) -> str:
    """A source's own "[12]" becomes "(12)", so that quoting it does not cite our evidence 12.

    Everything that `markers` would read is softened, also inside code and where only invisible characters keep it
    from being read. Chat template tokens in square brackets ("[INST]") lose them as well. Links stay, and so do
    intervals such as "[0, 1]": no evidence has number 0.
    """
    text = _TEMPLATE.sub(r"(\1)", _ANSI.sub("", text))
    links = [match.span() for match in LINK.finditer(text)]
    ends = iter([*links, (len(text), len(text))])
    start, end = next(ends)

    def soften(match: re.Match[str]) -> str:
        nonlocal start, end
        while end <= match.start() < len(text) and end < len(text):
            start, end = next(ends)
        in_link = start <= match.start() < end
        inside = re.sub("`[^`]*`+", " ", match.group(1))
        return match.group() if in_link or not targets(one_line(inside)) else f"({match.group(1)})"

    text = _BRACKETED.sub(soften, text)
    for _ in range(3):  # what was a link to us need not be one where code is left out
        for marker in reversed(markers(text)):
            stop = marker.start + len(marker.bracket)
            text = f"{text[: marker.start]}({text[marker.start + 1 : stop - 1]}){text[stop:]}"
    return text.translate(_ROUND) if markers(text) else text


def one_line(text: str) -> str:
    """The cleaned text with all white space folded to single blanks."""
    return " ".join(clean(text).split())
