"""Where the vectors of a catalog are: in its own folder, or on a server under an id of the store's own."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .database import bump
from .index import VectorIndex
from .server import Server

if TYPE_CHECKING:
    from .catalog import Catalog

log = logging.getLogger("rsrag")

_KEY = "server"  # of the catalog's meta: {"id": ..., "url": ..., "inode": ...}


def index_of(catalog: Catalog, store: str = "", token_env: str = "") -> VectorIndex:
    """The vector index of a catalog. `store` is the address of a Chroma server, "" for none.

    A new catalog keeps its vectors where `store` says, in its folder by default; one that has vectors in its folder
    leaves them there. A catalog that was copied gets an id of its own on the server, and its vectors are written there
    anew: two that write must never share collections. Raises `StoreError` where the vectors are on a server and none
    is configured, since no network is used that nobody asked for.
    """
    folder = catalog.path.with_name(catalog.outbox.index_name())
    known: dict[str, Any] = json.loads(catalog.meta(_KEY) or "{}")
    if not known and (not store or catalog.read_only or _is_begun(catalog)):
        return VectorIndex(folder)
    if not store:
        raise StoreError(
            f"the vectors of {catalog.path.parent} are on the server {known['url']}, which is not configured.",
            f'Set store = "{known["url"]}" (or $RSRAG_STORE).',
        )
    server = Server.at(store, token_env)
    if known.get("inode") != catalog.path.stat().st_ino and not catalog.read_only:
        known = _take_id(catalog, server)
    from .index_server import ServerIndex

    return ServerIndex(folder, server, known["id"])


def server_of(catalog: Catalog) -> str:
    """The address of the server that a catalog's vectors were put on; "" where they are in its folder."""
    return str(json.loads(catalog.meta(_KEY) or "{}").get("url", ""))


def _is_begun(catalog: Catalog) -> bool:
    return bool(catalog.count("(SELECT 1 FROM vectors LIMIT 1)"))


def _take_id(catalog: Catalog, server: Server) -> dict[str, Any]:
    inode = catalog.path.stat().st_ino
    with catalog.write() as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
        if row and json.loads(row[0])["inode"] == inode:  # another process was here first
            return dict(json.loads(row[0]))
        if row:
            log.warning("%s is a copy: its vectors are written to %s anew.", catalog.path.parent, server.url)
        known: dict[str, str | int] = {"id": uuid.uuid4().hex[:12], "url": server.url, "inode": inode}
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, json.dumps(known)))
        db.execute("UPDATE vectors SET indexed = 0")
        db.execute("DELETE FROM departed")
        bump(db)
    return known
