"""The knowledge base of a benchmark that brings its knowledge: made once, and found again by what it was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import Config
from ..plugins import Plugins
from ..store.knowledge_base import KnowledgeBase
from .benchmarks import Chosen

Progress = Callable[[int, int | None, str], None]
_FILLED = "eval:filled"


def own_store(
    config: Config,
    plugins: Plugins,
    chosen: Chosen,
    split: str = "",
    progress: Progress | None = None,
    folder: Path | None = None,
) -> tuple[KnowledgeBase, list[tuple[str, str]]]:
    """The open knowledge base with the benchmark's knowledge, and (where, why) of records that could not be added.

    It lies in `folder`, by default beside the named knowledge bases under "eval", and is named by the benchmark and by
    what is in it: files, sources and encoder, whatever is then asked. Nothing else is in it.
    """
    sources = chosen.sources(split)
    made_of = [chosen.described()["files"], [_told(s) for s in sources], config["encoder"], config["text_encoder"]]
    digest = hashlib.blake2b(json.dumps(made_of, sort_keys=True).encode(), digest_size=6).hexdigest()
    path = folder or config.data_dir / "eval" / f"{chosen.name}-{digest}"
    kb = KnowledgeBase(
        path,
        config["encoder"] or None,
        config["text_encoder"] or None,
        plugins=plugins,
        wait=config["wait"],
        encoder_options=config.table("encoders"),
    )
    failed: list[tuple[str, str]] = []
    try:
        if kb.catalog.meta(_FILLED) != digest:
            for source in sources:
                failed += kb.add(source, progress=progress).failed
            kb.catalog.set_meta(_FILLED, digest)
    except BaseException:
        kb.close()
        raise
    return kb, failed


def _told(source: Any) -> str:
    """A source by its kind and its plain settings, or the path that it is."""
    if isinstance(source, str | Path):
        return str(source)
    plain = (str, int, float, bool, tuple, list, dict, Path, type(None))
    settings = {name: value for name, value in vars(source).items() if isinstance(value, plain)}
    return f"{type(source).__module__}.{type(source).__qualname__} {settings}"
