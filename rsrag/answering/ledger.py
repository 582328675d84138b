"""The ledger: evidence gets the next free number when it is first shown, and keeps it for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..types import BBox, Evidence, Fact, Provenance, Quantity

FAILED = "failed"
"""The part of evidence that says why a tool gave none."""
CAPTIONER = "captioner"
"""How evidence came that a captioner wrote: among its `via`."""


def chunk_key(chunk_id: str) -> str:
    """The key of a chunk."""
    return f"chunk:{chunk_id}"


def tool_key(tool: str, arguments: Mapping[str, Any], scene: str = "") -> str:
    """The key of a tool's result: the same tool on the same scene with the same arguments is the same evidence."""
    return f"tool:{tool}:{json.dumps(dict(arguments), sort_keys=True, default=str)}:{scene}"


class Ledger:
    """Numbers of a conversation's evidence, counted from 1 and never reused.

    Undo and compaction forget turns, not numbers: a [3] in an old answer always means the same thing. `loader` brings
    back evidence that was forgotten, from where the conversation is written down.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._evidence: dict[int, Evidence] = {}
        self.loader: Callable[[int], Evidence | None] | None = None

    def number(self, key: str) -> int:
        """The number of a key; the next free one when it is new."""
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def find(self, key: str) -> int | None:
        """The number of a key, None when it has none."""
        return self._numbers.get(key)

    def add(self, evidence: Evidence) -> Evidence:
        """The evidence under its number, which is found by `evidence.key`; what it brought before is kept.

        Raises `ValueError` without a key.
        """
        if not evidence.key:
            raise ValueError("evidence needs a key to be numbered (chunk_key or tool_key)")
        numbered = replace(evidence, number=self.number(evidence.key))
        self._evidence[numbered.number] = numbered
        return numbered

    def add_all(self, evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
        """Several at once, in order; repeated keys are kept once."""
        return tuple({e.number: e for e in map(self.add, evidence)}.values())

    def get(self, number: int) -> Evidence | None:
        """The evidence last shown under a number; None where the number was never given, or its evidence forgotten and
        not to be loaded."""
        found = self._evidence.get(number)
        if found is None and self.loader and 0 < number <= len(self._numbers):
            return self.loader(number)
        return found

    def forget(self, numbers: Iterable[int]) -> None:
        """Let go of evidence, not of its number."""
        for number in numbers:
            self._evidence.pop(number, None)

    def keys(self) -> tuple[str, ...]:
        """All keys, in the order of their numbers."""
        return tuple(self._numbers)

    def __contains__(self, key: object) -> bool:
        return key in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Evidence]:
        """All evidence, by number."""
        return iter(self._evidence[n] for n in sorted(self._evidence))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the keys in the order of their numbers, and the evidence."""
        return {"keys": list(self._numbers), "evidence": [asdict(e) for e in self]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Ledger:
        """The inverse of `to_dict`, through JSON too."""
        return cls.of(data["keys"], [evidence_from(item) for item in data.get("evidence", ())])

    @classmethod
    def of(cls, keys: Sequence[str], evidence: Iterable[Evidence]) -> Ledger:
        """A ledger that has given numbers to `keys`, in order, and holds this evidence."""
        ledger = cls()
        for key in keys:
            ledger.number(key)
        ledger._evidence = {item.number: item for item in evidence}
        return ledger


def evidence_from(item: Mapping[str, Any]) -> Evidence:
    """Evidence from what `dataclasses.asdict` made of it, through JSON too."""
    box = item.get("bbox")
    return Evidence(
        **{
            **item,
            "provenance": Provenance(**item["provenance"]),
            "bbox": BBox(**box) if box else None,
            "images": tuple(item.get("images", ())),
            "via": tuple(item.get("via", ())),
            "aliases": tuple(item.get("aliases", ())),
            "facts": tuple(Fact(**fact) for fact in item.get("facts", ())),
            "values": {name: Quantity(**value) for name, value in item.get("values", {}).items()},
        }
    )
