"""Where a text calls something by one of its names, whatever case, hyphens, accents and blanks it is written with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .lexicon import lexicon
from .words import plain_letters

_PIECE = re.compile(r"[^\W\d_]+|\d+")
_MOST = 10  # pieces of a name


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a text, from `start` to `end`; `name` as it is known, `key` its pieces joined."""

    start: int
    end: int
    name: str
    key: str


def key_of(name: str) -> str:
    """A name without what people leave out: "Sentinel-2A", "sentinel 2a" and "SENTINEL2A" are one."""
    return "".join(p.lstrip("0") or "0" if p.isdigit() else p for p in _PIECE.findall(plain_letters(name).lower()))


def names_of(title: str, aliases: Iterable[str] = ()) -> list[str]:
    """What something is called: its title, what stands in that before a comma or a bracket, proper names in a bracket,
    and its aliases."""
    inner = [part for group in re.findall(r"\(([^()]+)\)", title) for part in re.split(r",\s*|\s+and\s+", group)]
    proper = [part.strip() for part in inner if re.match(r"[A-Z]", part.strip())]
    return list(dict.fromkeys(n for n in (title, re.split(r"\s*[,(]", title)[0], *aliases, *proper) if n.strip()))


def index(names: Iterable[str]) -> dict[str, str]:
    """Names by their keys, and by those of their plurals: "burn scars" for "burn scar"."""
    known: dict[str, str] = {}
    for name in names:
        if key := key_of(name):
            known.setdefault(key, name)
            if key[-1].isalpha() and not key.endswith("s"):
                known.setdefault(f"{key}s", name)
    return known


def mentions(text: str, names: Iterable[str] | Mapping[str, str]) -> list[Mention]:
    """The names that occur in a text as whole words, the longest where they overlap, in the text's order. `names` may
    be an `index` of them."""
    known = names if isinstance(names, Mapping) else index(names)
    plain = plain_letters(text)
    if len(plain) != len(text):  # a letter that came apart; positions would be wrong
        text = plain
    pieces = list(_PIECE.finditer(plain.lower()))
    found: list[Mention] = []
    place = 0
    while place < len(pieces):
        match = _longest(plain, pieces, place, known)
        if match is None:
            place += 1
            continue
        end, key = match
        found.append(Mention(pieces[place].start(), pieces[end].end(), known[key], key))
        place = end + 1
    shouted = text.upper() == text
    return [m for m in found if shouted or not _is_code(m.name) or text[m.start : m.end] in (m.name, m.name.upper())]


def _is_code(name: str) -> bool:
    """Whether a name is two or three letters that mean something else without their capitals: "MM", "IN", "mAP"."""
    if len(name) > 3 or not name.isalpha():
        return False
    return name.isupper() or (name[1:] != name[1:].lower() and name.lower() in lexicon().written)


def without(text: str, found: Iterable[Mention]) -> str:
    """The text with blanks in place of the names, and of what hangs on them: "S2A's swath" -> "swath"."""
    plain = plain_letters(text)
    for mention in found:
        plain = plain[: mention.start] + " " * (mention.end - mention.start) + plain[mention.end :]
    return re.sub(r"(?<=\s)['’]s\b|(?<=\s)-(?=\w)", " ", f" {plain}").strip()


def _longest(text: str, pieces: list[re.Match[str]], place: int, known: Mapping[str, str]) -> tuple[int, str] | None:
    if not _begins(text, pieces[place].start()):
        return None
    key, best = "", None
    for end in range(place, min(place + _MOST, len(pieces))):
        if end > place and not re.fullmatch(r"[\s_.,/'’&()+-]{0,3}", text[pieces[end - 1].end() : pieces[end].start()]):
            break
        piece = pieces[end].group()
        key += piece.lstrip("0") or "0" if piece.isdigit() else piece
        if key in known and _ends(text, pieces[end].end()):
            best = (end, key)
    return best


def _begins(text: str, start: int) -> bool:
    return start == 0 or not text[start - 1].isalnum()


def _ends(text: str, end: int) -> bool:
    return end == len(text) or not text[end].isalnum()
