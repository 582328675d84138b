"""What of a conversation goes into the next prompt: its last turns whole, older ones by what they cited. Pure.

The work is bounded by `Limits`, not by how long the conversation is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..answering.citations import markers
from ..answering.sentences import sentences
from ..types import Answer, Turn
from .exchange import Exchange


@dataclass(frozen=True, slots=True)
class Limits:
    """`whole` turns are kept as they were, each cut at `longest` characters; older ones are reduced to question and
    cited sentences, as far as `characters` reach. Evidence that an answer did not cite is let go after `turns`."""

    whole: int = 3
    longest: int = 2_000
    characters: int = 8_000
    turns: int = 12


DEFAULT = Limits()
_UNFINISHED = " (not finished)"


def history(exchanges: Sequence[Exchange], limits: Limits = DEFAULT) -> tuple[Turn, ...]:
    """The turns that a prompt brings, oldest first. A question is told as it was understood."""
    turns: list[Turn] = []
    room = limits.characters
    for age, exchange in enumerate(reversed(exchanges)):
        answer = exchange.text.strip()
        if not answer:
            continue
        answer = shortened(answer, limits.longest) if age < limits.whole else cited_sentences(answer)
        answer += _UNFINISHED if exchange.answer is None else ""
        room -= len(exchange.asked) + len(answer)
        if room < 0 and turns:
            break
        turns.append(Turn(exchange.asked, answer))
    return tuple(reversed(turns))


def numbers(turns: Sequence[Turn]) -> list[int]:
    """The evidence that turns cite, in order: what an answer may cite again."""
    cited = (m.target for turn in turns for m in markers(turn.answer))
    return list(dict.fromkeys(int(target) for target in cited if target.isdecimal()))


def shortened(text: str, most: int) -> str:
    """The text up to `most` characters, cut after a sentence, so that no citation is cut in two."""
    if len(text) <= most:
        return text
    kept = ""
    for sentence in sentences(text):
        if len(kept) + len(sentence) + 1 > most:
            break
        kept = f"{kept} {sentence}".strip()
    return f"{kept or text[:most].rpartition(' ')[0]} …"


def cited_sentences(text: str, most: int = 600) -> str:
    """The sentences that cite something; the first sentence where none does."""
    found = sentences(text)
    kept = [s for s in found if markers(s)] or found[:1]
    return shortened(" ".join(kept), most)


def let_go(answer: Answer) -> Answer:
    """An old answer with what it cites and without the rest: evidence that was only looked at, and its trace."""
    return replace(answer, evidence=answer.citations, trace={})
