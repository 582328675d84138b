"""The ledger: evidence gets the next free number when it is first shown, and keeps it for good."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from ..types import BBox, Evidence, Provenance

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

    Undo and compaction forget turns, not numbers: a [3] in an old answer always means the same thing.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._evidence: dict[int, Evidence] = {}

    def number(self, key: str) -> int:
        """The number of a key; the next free one when it is new."""
        return self._numbers.setdefault(key, len(self._numbers) + 1)

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
        """The evidence last shown under a number."""
        return self._evidence.get(number)

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
        ledger = cls()
        for key in data["keys"]:
            ledger.number(key)
        for item in data.get("evidence", ()):
            evidence = _evidence(item)
            ledger._evidence[evidence.number] = evidence
        return ledger


def _evidence(item: Mapping[str, Any]) -> Evidence:
    box = item.get("bbox")
    return Evidence(
        **{
            **item,
            "provenance": Provenance(**item["provenance"]),
            "bbox": BBox(**box) if box else None,
            "images": tuple(item.get("images", ())),
            "via": tuple(item.get("via", ())),
            "aliases": tuple(item.get("aliases", ())),
        }
    )
