"""Words of a question, and the index's own search language. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

STOP_WORDS = frozenset(
    """a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my
    of on or our shall should so some such than that the their them then there these they this those to was we were
    what when where which while who whom whose why will with would you your""".split()
)


MOST_OTHERS = 8


def match_expression(text: str, others: Sequence[str] = ()) -> str:
    """A question as an FTS5 expression: its words in quotes, joined by OR; "sentinel-2" stays a phrase.

    `others` are folded names that mean what the question names; they are looked for in texts alone, since a title that
    has the short and the long name must not count twice. Words carry no syntax, so that nothing a user types can break
    the search.
    """
    words = []
    for word in re.findall(r"[^\W_]+(?:[-./][^\W_]+)*", text.lower()):
        if word not in STOP_WORDS and word not in words:
            words.append(word)
    quoted = ['"' + " ".join(re.split(r"[-./]", word)) + '"' for word in words[:64]]
    return " OR ".join(quoted + [f'text : "{name}"' for name in others[:MOST_OTHERS]]) if quoted else ""


def fold(text: str) -> str:
    """A name without case, accents and punctuation: "São Paulo" and "sao-paulo" are the same."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", plain.lower()))


def spellings(title: str, aliases: Sequence[str]) -> set[str]:
    """The folded names of a record: its title, the title before a comma or bracket, and its aliases."""
    head = re.split(r"\s*[,(]", title, maxsplit=1)[0]
    return {name for text in (title, head, *aliases) if (name := fold(text))}


LONGEST_NAME = 6


def possible_names(text: str) -> dict[str, bool]:
    """Runs of up to six words of a question, folded -> whether any is written with a capital inside the sentence.

    A single stop word is no name.
    """
    found: dict[str, bool] = {}
    for sentence in re.split(r"(?<=[.!?;])\s+", text):
        words = re.findall(r"[^\W_]+", sentence)
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + LONGEST_NAME) + 1):
                run = words[start:end]
                if len(run) == 1 and run[0].lower() in STOP_WORDS:
                    continue
                capital = run[0][:1].isupper() and (start > 0 or len(words) <= 3 or len(run) > 1)
                name = fold(" ".join(run))
                found[name] = found.get(name, False) or capital
    return found


def possible_acronyms(text: str) -> set[str]:
    """The runs of words of a question that may be a short name or what one stands for, folded.

    A single word needs two capitals, unless the question has none at all: "hot" is no HOT.
    """
    small = text == text.lower()
    short = {fold(word) for word in re.findall(r"[^\W_]+", text) if small or sum(map(str.isupper, word)) > 1}
    return {name for name in possible_names(text) if " " in name or name in short}


def longest(names: Sequence[str]) -> list[str]:
    """The names that are not part of a longer one among them, longest first."""
    kept: list[str] = []
    for name in sorted(set(names), key=lambda n: (-len(n.split()), n)):
        if not any(f" {name} " in f" {other} " for other in kept):
            kept.append(name)
    return kept
