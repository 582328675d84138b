"""The knowledge base of a benchmark that brings its knowledge: made once, and found again by what it was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

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

    It lies in `folder`, by default among the named knowledge bases' neighbours under "eval", in a folder named by
    benchmark, data, split and encoder. Nothing else is in it.
    """
    made_of = json.dumps([chosen.described(), split, config["encoder"], config["text_encoder"]], sort_keys=True)
    digest = hashlib.blake2b(made_of.encode(), digest_size=6).hexdigest()
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
            for source in chosen.sources(split):
                failed += kb.add(source, progress=progress).failed
            kb.catalog.set_meta(_FILLED, digest)
    except BaseException:
        kb.close()
        raise
    return kb, failed
