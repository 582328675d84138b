"""Everything that shaped a result, written beside it; a run goes on only under the very same conditions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..errors import UsageError
from .fingerprints import ALIKE, NEAR, VERSION
from .samples import Sample
from .setup import Setup

if TYPE_CHECKING:
    from ..assistant import Assistant
    from ..store.knowledge_base import KnowledgeBase

FILE: Final = "manifest.json"
_SECRET: Final = re.compile(r"key|token|secret|password|credential|auth|header", re.IGNORECASE)
_MOST_SHOWN: Final = 6


def manifest(
    assistant: Assistant,
    setup: Setup,
    benchmark: Mapping[str, Any],
    samples: Sequence[Sample],
    tables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The conditions of a run as JSON values. `benchmark` tells its name, options and files.

    `tables` are the options of models, lanes and so on; those that look like secrets are left out.
    """
    chosen = asdict(setup)
    chosen.pop("workers")
    if setup.fusion != "weighted":
        chosen.pop("alpha")
    encoder = getattr(assistant.kb, "encoder", None)
    found = {
        "rsrag": __version__,
        "benchmark": {**benchmark, "questions": len(samples), "digest": digest_of(samples)},
        "setup": chosen | {"lanes": None if setup.lanes is None else list(setup.lanes)},
        "options": _without_secrets(tables or {}),
        "model": str(getattr(assistant.model, "id", "") or assistant.model.name),
        "encoder": str(getattr(encoder, "id", "")),
        "store": store_of(assistant.kb),
        "leakage": None if setup.allow_self else {"hash": VERSION, "near": NEAR, "alike": ALIKE},
    }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return plain


def digest_of(samples: Sequence[Sample]) -> str:
    """Changes with any question, right answer, class or image name."""
    digest = hashlib.blake2b(digest_size=12)
    for s in samples:
        digest.update(repr((s.id, s.task, s.question, s.images, s.references, s.labels, s.options)).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Of a file its content; of a folder the names and sizes of all files in it."""
    digest = hashlib.blake2b(digest_size=12)
    if path.is_dir():
        for file in sorted(f for f in path.rglob("*") if f.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\n".encode())
    else:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def store_of(kb: KnowledgeBase) -> dict[str, Any]:
    """What a store holds and which weights made its vectors; `digest` changes with any of it."""
    digest = hashlib.blake2b(digest_size=12)
    for table, columns in (("chunks", "id, content_hash"), ("facts", "attribute, value, unit, whenn")):
        for row in kb.catalog.db.execute(f"SELECT {columns} FROM {table} ORDER BY rowid"):
            digest.update("\0".join(map(str, row)).encode())
    info = kb.info()
    spaces = {name: encoder for name, encoder, _, _ in info.spaces}
    digest.update(repr(sorted(spaces.items())).encode())
    return {
        "digest": digest.hexdigest(),
        "sources": [source.name for source in info.sources],
        "records": info.records,
        "chunks": info.chunks,
        "facts": info.facts,
        "spaces": spaces,
    }


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: "(not written)" if _SECRET.search(str(k)) else _without_secrets(v) for k, v in value.items() if v}
    return value


def refuse_if_different(folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether the folder holds a run of these very conditions that can go on.

    Raises `UsageError` that shows the difference when it holds another, or something else altogether.
    """
    file = folder / FILE
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds files, and no run.", "Give --out a new or empty folder.")
        return False
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{file} is damaged: {error}.", "Give --out a new folder.") from error
    if apart := differences(before, wanted):
        shown = "; ".join(f"{name} was {old}, now {new}" for name, old, new in apart[:_MOST_SHOWN])
        more = f"; and {len(apart) - _MOST_SHOWN} more" if len(apart) > _MOST_SHOWN else ""
        raise UsageError(
            f"{folder} holds a run under other conditions: {shown}{more}.",
            "Give --out another folder, or the same settings to go on.",
        )
    return True


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(dotted name, value before, value now) of everything that differs."""
    old, new = dict(_flat(before)), dict(_flat(now))
    return [
        (name, old.get(name, "not set"), new.get(name, "not set"))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, ensure_ascii=False)
