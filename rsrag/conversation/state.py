"""A whole conversation as data: what is saved, resumed and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..types import Evidence
from .exchange import Exchange, Focus
from .scenes import Placed


@dataclass(slots=True)
class State:
    """`keys` are those of the ledger, in the order of their numbers; `evidence` is by number; `last` is the number of
    the last exchange, undone ones included."""

    id: str
    name: str = ""
    kb: str = ""
    model: str = ""
    created: datetime | None = None
    updated: datetime | None = None
    scenes: Sequence[Placed] = ()
    exchanges: Sequence[Exchange] = ()
    keys: Sequence[str] = ()
    evidence: Mapping[int, Evidence] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    focus: Focus | None = None
    last: int = 0
