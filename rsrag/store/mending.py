"""What opening a knowledge base finishes and mends, and what is done about an index that fails later on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from . import erasure
from .database import damaged
from .index import IndexDamaged
from .index_server import ServerUnreachable
from .lock import WriterLock
from .rebuild import compare, rebuild
from .soundness import pages_damage

if TYPE_CHECKING:
    from .knowledge_base import KnowledgeBase

log = logging.getLogger("rsrag")


def settle_on_open(kb: KnowledgeBase) -> None:
    """Finish what an interrupted run left, and mend a damaged index, unless somebody is writing now."""
    catalog = kb.catalog
    if catalog.read_only:
        return
    lock_file = kb.path / "writer.lock"
    abandoned = lock_file.exists() and lock_file.stat().st_size > 0
    indexed = bool(catalog.count("(SELECT 1 FROM vectors WHERE indexed LIMIT 1)"))
    why = kb.index.damage() if indexed else ""
    unsettled = catalog.meta("compare") or not catalog.outbox.is_settled() or erasure.is_unfinished(kb)
    if not (abandoned or why or unsettled):
        return
    lock = WriterLock(lock_file, 0)
    if not lock.try_acquire():
        return  # whoever writes does it
    try:
        kb._refresh()
        if lock.abandoned:
            if pages := pages_damage(catalog.db):
                raise damaged(catalog.path, f"is damaged ({pages})")
            if not catalog.meta("compare"):
                catalog.set_meta("compare", "rows")  # the lock says it no longer, should this be interrupted too
        catalog.vectors.retire()
        if why and (why := kb.index.damage()):
            mend(kb, IndexDamaged(f"the vector index {kb.index.where} {why}."))
        elif catalog.meta("compare"):
            compare(kb)
        else:
            kb.settle()
        if lock.abandoned and "texts" in kb.spaces and not kb.spaces.null("texts", "text"):
            kb.spaces.learn_nulls()  # the last step of what was broken off
        if erasure.is_unfinished(kb):
            erasure.finish(kb, resumed=True)
    except ServerUnreachable as error:
        log.warning("%s Until then the index is behind the catalog.", error.message)
    finally:
        lock.release()


def mend(kb: KnowledgeBase, error: IndexDamaged) -> None:
    """Make the index anew where it is still the one that failed, and say so in one line. Raises `error` where the
    store may only be read."""
    if kb.catalog.read_only:
        raise error
    failed = kb.index.name
    with kb.writer():
        if kb.catalog.outbox.index_name() == failed:
            log.warning("%s It is made anew from the catalog.", error.message)
            kb.catalog.vectors.retire()
            rebuild(kb)
