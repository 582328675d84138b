"""Which parts of a record answer a question about its subject."""

from __future__ import annotations

from collections.abc import Sequence

from .lexicon import lexicon


def aspect(text: str) -> tuple[str, ...]:
    """The names of the parts that the first fitting aspects of the lexicon give, best first; () for none."""
    lowered = " ".join(text.lower().replace("’", "'").split())
    found: list[str] = []
    for parts, cues in lexicon().aspects:
        if any(cue.search(lowered) for cue in cues):
            found += [part for part in parts if part not in found]
        if len(found) >= 4:
            break
    return tuple(found)


def belongs(part: str, parts: Sequence[str]) -> bool:
    """Whether a part of a record is one of these, or a kind of it: "visible bands" is about "bands"."""
    return part in parts or any(part.endswith(f" {name}") for name in parts)
