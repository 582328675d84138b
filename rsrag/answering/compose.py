"""Phrases the reader's answers: quotations with their number, the verdict on a scene, the decline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..types import Evidence
from .candidates import Candidate
from .cleaning import one_line, unmark

_MOST_MISSING = 3
_MARKUP = re.compile(r"[*_`\[\]]")


def quotes(candidates: Sequence[Candidate]) -> list[str]:
    """Candidates with their markers before the full stop; the sentence that one leans on carries one too.

    A text that does not name its subject is introduced by its title, unless the one before has the same."""
    lines = []
    title = ""
    for c in candidates:
        said = " ".join(cite(piece, (c.number,)) for piece in (c.context, c.text) if piece)
        lines.append(said if c.evidence.title == title else c.introduction + said)
        title = c.evidence.title
    return lines


def cite(text: str, numbers: Iterable[int | str]) -> str:
    """A sentence with markers before its closing stop: "... 290 km [3]."."""
    marks = "".join(f"[{n}]" for n in dict.fromkeys(numbers))
    body = text.rstrip()
    stop = re.search(r"([.!?…]+)([\"”')*_]*)$", body)
    if stop and not re.search(r"\b(?:e\.g|i\.e|etc|a\.m|p\.m)\.$", body):
        return f"{body[: stop.start()].rstrip()}{stop.group(2)} {marks}{stop.group(1)}" if marks else body
    return f"{body} {marks}." if marks else f"{body}."


def name(title: str) -> str:
    """A title in the middle of a sentence: "Storage tanks" -> "storage tanks", names and acronyms as they are."""
    title = unmark(one_line(title)).strip("*_` ")
    rest = title[1:]
    return title[:1].lower() + rest if rest and rest == rest.lower() and not any(c.isdigit() for c in title) else title


def a_name(title: str) -> str:
    """A name with its article: "a golf course", "an airport", "buildings", "bare land"."""
    plain = name(title)
    head = re.split(r"\s+(?:with|of|or|and|in)\b|[,(]", plain, maxsplit=1)[0].strip()
    counts_not = re.search(r"(?:[^s]s|land|water|vegetation|forest|chaparral)$", head) and not head.endswith("us")
    if counts_not or plain != plain.lower():
        return plain
    return f"{'an' if plain[0] in 'aeiou' else 'a'} {plain}"


def listed(items: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def closest(evidence: Sequence[Evidence], count: int = 3) -> str:
    """ "Closest are: title [1]; title [2]." or "" without evidence; each title once."""
    titles: dict[str, int] = {}
    for item in evidence:
        titles.setdefault(unmark(one_line(item.title)) or item.kind, item.number)
        if len(titles) == count:
            break
    if not titles:
        return ""
    return (
        ("Closest are: " if len(titles) > 1 else "Closest is: ")
        + "; ".join(f"{title} [{number}]" for title, number in titles.items())
        + "."
    )


def declined(
    evidence: Sequence[Evidence],
    missing: Sequence[str],
    nearest: Sequence[int],
    of: str = "",
    instead: str = "",
    foreign: bool = False,
) -> str:
    """What is missing, what comes closest, what would answer it.

    `missing` are names, quantities and words that no evidence mentions, of the subject with the title `of` where it is
    known; `nearest` the numbers of the evidence that came closest, which are named first; `instead` is what is known in
    place of it. A `foreign` question is told what can be read.
    """
    shown = [e for e in evidence if e.kind == "text"] or list(evidence)
    order = {number: place for place, number in reversed(list(enumerate(nearest)))}
    shown.sort(key=lambda e: order.get(e.number, len(order)))
    nothing = "Nothing in the knowledge base answers this"
    quoted = listed([f"'{_MARKUP.sub('', m)}'" for m in missing[:_MOST_MISSING]], "or")
    if foreign:
        said = ["This model reads questions in English, and this does not look like English.", closest(shown)]
        remedy = "Ask in English; names, numbers and units may stay as they are."
    elif missing:
        where = f"what it holds on {name(of)} does not mention" if of else "no passage found mentions"
        said = [f"{nothing}: {where} {quoted}.", instead, closest(shown)]
        what = f"is about {quoted}" if re.search(r"[A-Z\d]", quoted) else "covers it"
        remedy = f"A document that {what} would answer it; add one with `rsrag kb add`."
    elif shown:
        said = [f"{nothing}: no passage found is close enough to the question.", closest(shown)]
        remedy = "A document that covers the question would answer it; add one with `rsrag kb add`."
    else:
        said = [f"{nothing}: the search found no evidence at all."]
        remedy = "Add documents or images with `rsrag kb add`."
    return "\n\n".join([*filter(None, said), remedy])


def unseen(evidence: Sequence[Evidence], scenes: bool) -> str:
    """A decline where one must look: counting, reading and colours are not in the evidence."""
    why = "this would have to be counted or read in the image itself" if scenes else "this asks about an image"
    said = [f"Nothing in the knowledge base answers this: {why}, and this model reads only what is written."]
    shown = [e for e in evidence if e.kind == "text"]
    remedy = "A model that sees images would answer it; choose one with `--model`."
    if not scenes:
        remedy = "Give the image with --image, and a model that sees images with `--model`."
    return "\n\n".join([*said, *filter(None, [closest(shown)]), remedy])


def paragraphs(parts: Sequence[Sequence[str]]) -> str:
    """The very first sentence, the verdict, on a line of its own; then a paragraph for each part's others."""
    said = [list(p) for p in parts if p]
    if not said:
        return ""
    verdict = said[0].pop(0)
    return "\n\n".join([verdict, *(" ".join(p) for p in said if p)])
