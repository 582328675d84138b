"""Words of a question, and the index's own search language. Pure."""

from __future__ import annotations

import re

STOP_WORDS = frozenset(
    """a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my
    of on or our shall should so some such than that the their them then there these they this those to was we were
    what when where which while who whom whose why will with would you your""".split()
)


def match_expression(text: str) -> str:
    """A question as an FTS5 expression: its words in quotes, joined by OR; "sentinel-2" stays a phrase.

    Words carry no syntax, so that nothing a user types can break the search.
    """
    words = []
    for word in re.findall(r"[^\W_]+(?:[-./][^\W_]+)*", text.lower()):
        if word not in STOP_WORDS and word not in words:
            words.append(word)
    return " OR ".join('"' + " ".join(re.split(r"[-./]", word)) + '"' for word in words[:64])
