"""Cuts prose and Markdown into sentences, without stumbling over "0.3 m.", "e.g." or "Sentinel-2."."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never the end of a sentence.
_NEVER = _words("e.g i.e eg ie al approx ca cf vs viz dr mr mrs ms prof st mt ft incl resp ed eds dept")
# An abbreviation only before a number: "Fig. 3", "No. 5", "p. 12"; "no." also ends sentences.
_BEFORE_NUMBER = _words(
    """fig figs eq eqs no nos sec ch chap tab vol p pp art ref refs
    jan feb mar apr jun jul aug sep sept oct nov dec lat lon long"""
)
_STARTERS = _words(
    """a an the it its in on at by for from this these that those they there their we you he she if when where while
    but and or so as with without to of after before because since however also both each all most some many no not
    such then thus here one two under over between use look compare check what which who why how"""
)
_END = re.compile(r"(?P<stop>[.!?…。！？]+)(?P<close>[*_\"'”’»)\]]*)(?=\s|$|\[|【)")
# Markers after the full stop belong to the sentence before.
_TRAILING = re.compile(r"(?:\s*(?:\[[^\[\]\n]{1,40}\](?!\()|【[^】\n]{1,40}】))+[.]?")
_MARKERISH = re.compile(r"[\[【]\s*(?:[A-Z]|[#n]?\d{1,4}|(?:evidence|source|ref)s?\s+\d)", re.IGNORECASE)
_BLOCK = re.compile(r"\s*(?:[-*+•‣·]\s+|\d{1,3}[.)]\s+|#{1,6}\s|\||>|={3,}|-{3,}|```)")
_LIST_NUMBER = re.compile(r"\s*(?:>\s*)*(?:[-*+•]\s+)?\d{1,3}[.)]$")


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, each a verbatim piece of it without outer white space.

    List items, table rows and headings are sentences of their own. Nothing but white space is lost.
    """
    found: list[str] = []
    for block in _blocks(text):
        found.extend(_split(block))
    return found


def _blocks(text: str) -> list[str]:
    """Lines joined to paragraphs: a soft-wrapped line goes on, a list item or a heading does not."""
    blocks: list[str] = []
    current = ""
    fenced = False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare.startswith("```"):
            fenced = not fenced
        previous = current.rstrip()
        goes_on = bool(previous) and bool(bare) and not fenced and not _BLOCK.match(line) and _wraps(previous, bare)
        if not goes_on and current:
            blocks.append(current)
            current = ""
        current += line
    return [b for b in [*blocks, current] if b.strip()]


def _wraps(previous: str, line: str) -> bool:
    last = previous.rsplit("\n", 1)[-1]
    if last.lstrip().startswith(("#", "|", "```")) or last.endswith("```"):
        return False
    if re.search(r"[.!?:;…][*_\"'”’)\]]*(?:\s*\[[^\]\n]{1,40}\])*$", last):
        return bool(_MARKERISH.match(line))
    return line[0].islower() or line[0] in "([" or len(last) >= 60


def _split(block: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    at = 0
    while match := _END.search(block, at):
        at = match.end()
        if not _ends(block, start, match):
            continue
        end = match.end()
        trailing = _TRAILING.match(block, end)
        if trailing and _MARKERISH.match(trailing.group().lstrip()):
            end = trailing.end()
        pieces.append(block[start:end])
        start = at = end
    pieces.append(block[start:])
    return [p.strip() for p in pieces if p.strip()]


def _ends(block: str, start: int, match: re.Match[str]) -> bool:
    """Whether a full stop, question or exclamation mark is the end of the sentence that began at `start`."""
    rest = block[match.end() :]
    marker = _TRAILING.match(rest)
    if marker and _MARKERISH.match(rest.lstrip()):
        rest = rest[marker.end() :]
    following = rest.lstrip(" \t\n*_\"'“‘«(")
    if not following:
        return True
    if following[0].islower():
        return False
    if match["stop"][-1] not in "." or match["stop"].startswith(".."):
        return True
    before = block[start : match.start()]
    if before.count("(") > before.count(")") + match["close"].count(")") and ")" in rest[:80]:
        return False
    if _LIST_NUMBER.match(block[start : match.start() + 1]):
        return False
    words = before.split()
    word = words[-1].strip("*_\"'“‘«([") if words else ""
    bare = word.lower()
    next_word = re.match(r"[\w-]*", following)
    starter = bool(next_word) and next_word.group().lower() in _STARTERS if next_word else False
    if bare in _NEVER:
        return False
    if bare in _BEFORE_NUMBER and following[0].isdigit():
        return False
    if len(word) == 1 and word.isupper():  # an initial, unless the next word can only begin a sentence
        return starter
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", word):  # U.S, a.m
        return starter
    return True
