"""How a text becomes words before it is compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

Tokenise = Callable[[str], list[str]]

# What pycocoevalcap throws away after its tokeniser. It means to drop brackets too, but looks for their names in
# capitals after the tokeniser has made them small, so they stay.
_DROPPED: Final = frozenset(("''", "``", "--", "...", *"'`\".?!,:-;…–—"))
_BRACKETS: Final = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_NUMBER: Final = r"(?:(?<![^\W_])[+-])?(?:\d+(?:[.,:]\d+)+|\.\d+)|(?<![^\W_])[+-]\d+(?![^\W_])"
_WORD: Final = r"[^\W\d_](?:\.[^\W\d_])+\.?|[^\W_]+(?:[-/'&_.@][^\W_]+)*"
_TOKEN: Final = re.compile(rf"{_NUMBER}|{_WORD}|\.\.\.|--+|\S")
_CLITIC: Final = re.compile(r"(?P<stem>.+?)(?P<clitic>n't|'(?:s|m|d|re|ve|ll))|(?P<can>can)(?P<not>not)")


def whitespace(text: str) -> list[str]:
    """The pieces between white space, as they are."""
    return text.split()


def ptb(text: str) -> list[str]:
    """Lower-cased words much as the Penn Treebank splits them, without punctuation, as captions are compared.

    What pycocoevalcap's PTBTokenizer gives, but for full stops of abbreviations ("st.", "jan.").

    "Don't" is do + n't and "city's" is city + 's; a hyphenated word stays whole; a number keeps its sign, point and
    comma, and a unit written to it comes off: "7.33mm" is 7.33 + mm.
    """
    found: list[str] = []
    for token in _TOKEN.findall(text.lower().replace("’", "'")):
        if token in _DROPPED or token.startswith("--"):
            continue
        parts = _CLITIC.fullmatch(token)
        found.extend(filter(None, parts.groups()) if parts else (_BRACKETS.get(token, token),))
    return found


@cache
def stem(word: str) -> str:
    """Porter's stem of a word, as NLTK extends him; each word is stemmed once."""
    return _stemmer()(word)


@cache
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]

    stem: Callable[[str], str] = PorterStemmer().stem
    return stem


def ngrams(words: Sequence[str], n: int) -> zip[tuple[str, ...]]:
    """The runs of n words."""
    return zip(*(words[i:] for i in range(n)), strict=False)
