"""The words a caption may use besides those that tags give it, and how things are counted."""

from __future__ import annotations

from typing import Final

NUMBERS: Final = (
    "no one two three four five six seven eight nine ten eleven twelve"
).split()  # fmt: skip
MANY: Final = 20
"""More than this are "many": nobody counts further in a picture."""

SIZES: Final = frozenset(("small", "large"))
RELATIONS: Final = frozenset(
    """a about an the there is are it they of to in with and also by beside surrounded crossed lies covering filling
    most half scene
    north north-east east south-east south south-west west north-west""".split()
)
FREE: Final = SIZES | RELATIONS


def counted(count: int) -> str:
    """A number in words up to twelve, in digits up to `MANY`, else "many"."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count) if count <= MANY else "many"


def number_of(word: str) -> int | None:
    """The number that a word says: "three", "17"; None for any other word."""
    if word.isdecimal():
        return int(word)
    return NUMBERS.index(word) if word in NUMBERS[2:] else None


def listed(items: list[str]) -> str:
    """As in "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
