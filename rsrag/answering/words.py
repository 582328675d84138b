"""Words as the reader compares them: stemmed lightly, and blind to hyphens, plurals and leading zeros."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .lexicon import lexicon

_TOKEN = re.compile(r"[^\W_]+(?:[-‐‑/'’.][^\W_]+)*\+?", re.UNICODE)
_ID = re.compile(r"(?=[^\W_]*\d)(?=[^\W_]*[^\W\d_])[^\W_]+")
_HYPHEN = re.compile(r"[-‐‑/.]")
_BAND = re.compile(r"[Bb]\d{1,2}[A-Za-z]?")
_JOINS = ("and", "or", "to")
_LETTERS = re.compile(r"[^\W\d_]+")
_PART = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question: `key` is what is compared, `surface` how it was written, `parts` its plain pieces."""

    key: str
    surface: str
    parts: tuple[str, ...]


@lru_cache(maxsize=1 << 14)
def stem(word: str) -> str:
    """A light stem, made to be equal for forms of a word and not to be read: "burned", "burning" -> "burn"."""
    w = word.lower().replace("’", "'").removesuffix("'s")
    if len(w) > 4 and w.endswith("ies"):
        w = w[:-3] + "y"
    elif len(w) > 4 and w.endswith(("sses", "xes", "ches", "shes", "zes")):
        w = w[:-2]
    elif len(w) > 3 and w.endswith("s") and not w.endswith(("ss", "us", "is")):
        w = w[:-1]
    for ending in ("ing", "ed"):
        base = w[: -len(ending)]
        if w.endswith(ending) and len(base) >= 3 and re.search("[aeiouy]", base):
            w = base[:-1] if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz" else base
            break
    w = w[:-1] if len(w) > 4 and w.endswith("e") else w
    return _spelling(w)


def _spelling(w: str) -> str:
    """One form for British and American spellings: harbour, grey, centre, normalise."""
    if len(w) > 4 and w.endswith("our"):
        return w[:-3] + "or"
    if len(w) > 4 and w.endswith("iz"):
        return w[:-1] + "s"
    if len(w) > 4 and w.endswith("tr"):
        return w[:-1] + "er"
    return "grey" if w == "gray" else w


def plain_letters(text: str) -> str:
    """Without accents: "Pléiades" is asked for as "Pleiades"."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _joined(token: str) -> str:
    """Letters and digits of a compound as one key: "Sentinel-2" and "B08" -> "sentinel2", "b8"."""
    return "".join(p.lstrip("0") or "0" if p.isdigit() else p for p in _PART.findall(token.lower()))


def keys(text: str) -> tuple[str, ...]:
    """The comparable keys of a text in order. A compound gives itself joined and its pieces; a word before a
    number gives both joined as well, so that "Landsat 8", "band 4" and "B4" meet "Landsat-8", "B04"."""
    return _keys(text)


@lru_cache(maxsize=1 << 14)
def _keys(text: str) -> tuple[str, ...]:
    found: list[str] = []
    before = ""
    text = plain_letters(text)
    for match in _TOKEN.finditer(text):
        token = match.group()
        plain = token.isalpha()
        # "EVI2" is not about EVI, while "Sentinel-2" may be asked for as Sentinel.
        pieces = [token] if plain else [p for t in _HYPHEN.split(token) for p in _PART.findall(t) if p == t]
        found.extend(stem(p) if p.isalpha() else p.lstrip("0") or "0" for p in pieces)
        if not plain and not re.fullmatch(r"[\d.,]+", token):
            found.append(_joined(token))
            if _BAND.fullmatch(token):
                found.append("band")
        if before and token[0].isdigit() and not re.search(r"[.,]", token):
            names = [before] + (["b"] if stem(before) == "band" else [])
            for number in re.split(r"[-‐‑/]", token):
                found.extend(_joined(name + number) for name in names)
        if plain and token.lower() in _JOINS:
            continue
        if plain:
            before = token
        elif not token[0].isdigit() or not re.match(r"\s*(?:,|and|or|&|/)", text[match.end() :]):
            before = ""
    return (*found, *_forms_of(text))


def _forms_of(text: str) -> list[str]:
    """Short forms of the terms in a text, and the words of its short forms: "NIR" and "near infrared" are one."""
    lex = lexicon()
    more = [lex.short_form(match.group()) for match in lex.long_forms.finditer(text)]
    tokens = dict.fromkeys(m.group().lower() for m in _LETTERS.finditer(text))
    return more + [stem(word) for token in tokens for word in lex.short_forms.get(token, ())]


def question_words(text: str) -> list[Word]:
    """The content words of a question. A compound or a name with its number is one word: nothing else will do."""
    stop = lexicon().stopwords
    lex = lexicon()
    text = lex.long_forms.sub(lambda term: lex.short_form(term.group()), plain_letters(text))
    words: dict[str, Word] = {}
    matches = list(_TOKEN.finditer(text))
    skip = False
    for place, match in enumerate(matches):
        if skip:
            skip = False
            continue
        token = match.group()
        following = matches[place + 1].group() if place + 1 < len(matches) else ""
        adjoins = following and text[match.end() : matches[place + 1].start()] == " "
        if token.isalpha() and adjoins and _is_name_number(token, following):
            skip = True
            key = _joined(("b" if stem(token) == "band" else token) + following)
            word = Word(key, f"{token} {following}", (token.lower(),))
        elif token.isalpha():
            if token.lower() in stop or len(token) < 2:
                continue
            long = lex.short_forms.get(token.lower())
            word = Word(token.lower(), " ".join(long), long) if long else Word(stem(token), token, (token.lower(),))
        elif token[0].isdigit() and not _ID.search(token):
            continue  # numbers are compared as quantities
        elif token.replace("'", "").replace("’", "").isalpha():
            if token.lower() in stop:
                continue
            word = Word(stem(token), token, (stem(token),))
        else:
            parts = [p for p in re.split(r"[-‐‑/.]", token) if p]
            if all(p.isalpha() for p in parts):
                for p in parts:  # "land-use" is covered by "land use"
                    if p.lower() not in stop:
                        words.setdefault(stem(p), Word(stem(p), p, (p.lower(),)))
                continue
            word = Word(_joined(token), token, tuple(p.lower() for p in _PART.findall(token) if p.isalpha()))
        words.setdefault(word.key, word)
    return list(words.values())


def _is_name_number(token: str, following: str) -> bool:
    """Whether "Landsat 8" or "band 4" is one name: not "at 10", nor a number with a unit."""
    if not re.fullmatch(r"\d{1,3}[A-Za-z]?", following) or token.lower() in lexicon().stopwords:
        return False
    return token[0].isupper() or stem(token) in ("band", "level", "channel")


def cover(words: Sequence[Word], weights: Mapping[str, float], found: Iterable[str]) -> float:
    """The share 0..1 of the words' weight that occurs among `found` keys; a synonym counts seven tenths."""
    present = frozenset(found)
    total = sum(weights[w.key] for w in words)
    if not total:
        return 0.0
    return sum(weights[w.key] * _match(w.key, present) for w in words) / total


def _match(key: str, present: frozenset[str]) -> float:
    if key in present:
        return 1.0
    group = lexicon().synonyms.get(key)
    if group and not present.isdisjoint(group):
        return 0.7
    # "geolocation" and "location", "deforested" and "deforestation": a long common beginning is half a match.
    if len(key) >= 6 and any(p[:6] == key[:6] for p in present):
        return 0.7
    return 0.0


class PlainLanguage:
    """Words without a knowledge base: bag-of-words cosine, all words equally telling. The reader's fallback."""

    def similarity(self, question: str, texts: Sequence[str]) -> list[float]:
        """Cosine of word counts, 0..1."""
        asked = [w.key for w in question_words(question)]
        out = []
        for text in texts:
            there = {k for k in keys(text) if k not in lexicon().stopwords}
            common = sum(k in there for k in set(asked))
            out.append(common / math.sqrt(len(set(asked)) * len(there)) if asked and there else 0.0)
        return out

    def idf(self, words: Sequence[str]) -> dict[str, float]:
        return dict.fromkeys(words, 1.0)
