"""The chunks of a catalog: read by rowid, content, words and filter."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..types import BBox, Chunk, Provenance
from .database import Database, batched
from .filters import Condition, Demand, Sql
from .lexical import WEIGHTS

_CHUNK_COLUMNS = """c.id, c.kind, c.part, c.ordinal, r.title, c.text, c.content_hash, r.source, r.id, r.subject,
    s.role, r.url, r.license, r.attribution, c.image, c.page, c.heading, r.facets, r.aliases, r.west,
    r.south, r.east, r.north, r.acquired"""
_CHUNK_TABLES = "chunks c JOIN records r ON r.rowid = c.record JOIN sources s ON s.name = r.source"
_KEPT_CHUNKS = 4096
_COUNT_UP_TO = 5000


class Chunks:
    """What is searched: passages and images, each with the provenance of its record."""

    def __init__(self, file: Database) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._kept: dict[int, Chunk] = {}
        self._kept_at = -1

    def where(self, where: str, arguments: Sequence[Any], tail: str = "") -> list[Chunk]:
        rows = self._file.db.execute(f"SELECT c.rowid FROM {_CHUNK_TABLES} WHERE {where} {tail}", arguments)
        return list(self._read([row[0] for row in rows]).values())

    def _read(self, rowids: Sequence[int]) -> dict[int, Chunk]:
        """Chunks by rowid, in the order given. Those read lately are kept until anything is written."""
        generation = self._file.generation()
        with self._lock:
            if generation != self._kept_at or len(self._kept) > _KEPT_CHUNKS:
                self._kept, self._kept_at = {}, generation
            kept = self._kept
        found = {rowid: kept.get(rowid) for rowid in rowids}
        missing = [rowid for rowid, chunk in found.items() if chunk is None]
        for part in batched(missing, 900):
            rows = self._file.db.execute(
                f"SELECT {_CHUNK_COLUMNS}, c.rowid FROM {_CHUNK_TABLES} WHERE c.rowid IN ({','.join('?' * len(part))})",
                part,
            )
            found.update((row[-1], _chunk(row)) for row in rows)
        kept.update((rowid, chunk) for rowid in missing if (chunk := found[rowid]) is not None)
        return {rowid: chunk for rowid, chunk in found.items() if chunk is not None}

    def by_hash(self, hashes: Sequence[str], kind: str, condition: Condition) -> dict[str, list[Chunk]]:
        """content hash -> its chunks of one kind that satisfy a condition."""
        found: dict[str, list[Chunk]] = {}
        for part in batched(hashes, 800):
            where = f"c.content_hash IN ({','.join('?' * len(part))}) AND c.kind = ? AND {condition.sql}"
            for chunk in self.where(where, (*part, kind, *condition.arguments), "ORDER BY c.rowid"):
                found.setdefault(chunk.content_hash, []).append(chunk)
        return found

    def hashes_among(self, hashes: Sequence[str], kind: str, condition: Condition) -> set[str]:
        """Those of the content hashes of which a chunk satisfies a condition."""
        sql = condition.sql
        listed = "(SELECT value FROM json_each(?))"
        rows = self._file.db.execute(
            f"SELECT c.content_hash FROM {_tables(sql)} WHERE c.content_hash IN {listed} AND c.kind = ? AND {sql}",
            (json.dumps(list(hashes)), kind, *condition.arguments),
        )
        return {row[0] for row in rows}

    def hashes(self, kind: str, condition: Condition) -> list[str]:
        """Distinct content hashes of the chunks that satisfy a condition."""
        sql, arguments = self._led(condition)
        rows = self._file.db.execute(
            f"SELECT DISTINCT c.content_hash FROM {_tables(sql)} WHERE c.kind = ? AND {sql}", (kind, *arguments)
        )
        return [row[0] for row in rows]

    def matching(self, expression: str, kind: str, condition: Condition, k: int) -> list[tuple[Chunk, float]]:
        """(chunk, bm25) for an FTS5 expression, best first; bm25 is negated so that more is better."""
        sql = f"""SELECT c.rowid, bm25(words, {WEIGHTS}) AS score FROM words JOIN chunks c ON c.rowid = words.rowid
                  JOIN records r ON r.rowid = c.record JOIN sources s ON s.name = r.source
                  WHERE words MATCH ? AND c.kind = ? AND {condition.sql} ORDER BY score LIMIT ?"""
        rows = self._file.db.execute(sql, (expression, kind, *condition.arguments, k)).fetchall()
        chunks = self._read([rowid for rowid, _ in rows])
        return [(chunks[rowid], -float(score)) for rowid, score in rows if rowid in chunks]

    def count_matching(self, expression: str) -> int:
        """In how many chunks an FTS5 expression occurs."""
        return self._file.count("words", "words MATCH ?", (expression,)) if expression else 0

    def count(self, condition: Condition, kind: str = "", limit: int = -1) -> int:
        """How many chunks (of one kind) satisfy a condition, counted up to `limit`."""
        sql, arguments = self._led(condition)
        of_kind, kinds = ("c.kind = ? AND ", (kind,)) if kind else ("", ())
        listed = f"SELECT 1 FROM {_tables(sql)} WHERE {of_kind}{sql} LIMIT ?"
        row = self._file.db.execute(f"SELECT count(*) FROM ({listed})", (*kinds, *arguments, limit)).fetchone()
        return int(row[0])

    def _led(self, condition: Condition) -> Sql:
        """A condition led by the demand that lists the fewest records, as far as counting pays."""
        leaders = condition.seekable
        if len(leaders) < 2:
            return condition.led_by(leaders[0] if leaders else None)

        def length(demand: Demand) -> int:
            select, arguments = demand.seek or ("", ())
            row = self._file.db.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM ({select}) LIMIT {_COUNT_UP_TO})", arguments
            )
            return int(row.fetchone()[0])

        return condition.led_by(min(leaders, key=length))


def _chunk(row: Sequence[Any]) -> Chunk:
    (cid, kind, part, ordinal, title, text, digest, source, record, subject, role, url, license, attribution, image,
     page, heading, facets, aliases, west, south, east, north, acquired) = row[:24]  # fmt: skip
    return Chunk(
        id=cid,
        kind=kind,
        part=part,
        ordinal=ordinal,
        title=title,
        text=text,
        content_hash=digest,
        image=image,
        provenance=Provenance(source, record, subject, role, url, license, attribution, image, page, heading),
        aliases=tuple(aliases.split(" | ")) if aliases else (),
        facets={} if facets == "{}" else dict(_facets(facets)),
        bbox=None if west is None else BBox(west, south, east, north),
        acquired=None if acquired is None else datetime.fromtimestamp(acquired, UTC),
    )


@functools.lru_cache(maxsize=1024)
def _facets(text: str) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}


def _tables(sql: str) -> str:
    """What an expression about chunks has to be looked up in: the index of chunks alone, if it can."""
    return "chunks c JOIN records r ON r.rowid = c.record" if re.search(r"\br\.", sql) else "chunks c"
