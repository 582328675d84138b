"""`rsrag search --tiles`: where in one scene something is; a table, JSON, GeoJSON and a page with a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..confidence import strength, unsuitable
from .control import harmless
from .session import Progress, Session

if TYPE_CHECKING:
    from ..tile_search import TileHit, TileSearch


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look for (`text` or `image`) in which scene, and how to cut it."""

    scene: str
    text: str
    image: str | None
    tile: int
    overlap: int
    k: int
    bands: str
    sensor: str


def search_tiles(
    session: Session, wish: Wish, kb: str, *, html: Path | None, geojson: Path | None, as_json: bool
) -> None:
    """Rank the tiles of a scene and write what was asked for."""
    with session.kb(kb) as store:
        assistant = session.assistant(store)
        bar = Progress(session, "Looking at")
        try:
            found = assistant.search_tiles(
                wish.scene,
                wish.text,
                wish.image,
                tile=wish.tile,
                overlap=wish.overlap,
                k=wish.k,
                bands=wish.bands,
                sensor=wish.sensor,
                progress=bar,
            )
        finally:
            bar.close()
        caution = unsuitable(found.scene, getattr(store.encoder, "max_gsd_m", None))
    if caution:
        session.warn(f"take this with care: {caution}.")
    if found.failed:
        session.warn(f"{found.failed:,} tiles could not be read and were left out; of the first: {found.problem}")
    if html:
        from .heat_page import write_heat_page

        write_heat_page(html, found)
        session.note(f"Wrote {html}.")
    if geojson:
        from ..geojson import collection, write

        features = [tile_feature(found, hit) for hit in found.tiles]
        write(geojson, collection(features))
        placed = "" if found.scene.footprint else "; the scene has no place on Earth, and neither have they"
        session.note(f"Wrote {geojson}: {len(features):,} tiles{placed}.")
    if as_json:
        session.json(
            {
                "scene": found.scene.uri,
                "query": found.query,
                "tiles": len(found.tiles),
                "blank": found.blank,
                "failed": found.failed,
                "hits": [{"rank": hit.rank, **tile_json(found, hit)} for hit in found.best],
            }
        )
        return
    _print(session, found)


def tile_json(found: TileSearch, hit: TileHit) -> dict[str, Any]:
    """A tile for programs: what it is called, where it is, how well it fits."""
    window = found.window(hit)
    return {
        "uri": window.uri,
        "row": hit.row,
        "column": hit.column,
        "region": list(hit.region),
        "bbox": list(window.bbox.as_tuple()) if window.bbox else None,
        "strength": word(hit) or None,
        "lead": None if hit.lead is None else round(hit.lead, 3),
        "z": None if hit.z is None else round(hit.z, 3),
        "cosine": round(hit.cosine, 5),
    }


def tile_feature(found: TileSearch, hit: TileHit) -> dict[str, Any]:
    """A tile as a GeoJSON feature: its footprint, and `tile_json` with its rank where it is listed."""
    from ..geojson import feature, read_shape, to_geojson

    properties: Mapping[str, Any] = {"rank": hit.rank or None, **tile_json(found, hit)}
    ring = found.window(hit).footprint
    geometry = None
    if ring:  # read_shape cuts what crosses the antimeridian, as the RFC wants it
        geometry = to_geojson(read_shape({"type": "Polygon", "coordinates": [ring]})[0])
    return feature(geometry, properties, str(properties["uri"]))


def word(hit: TileHit) -> str:
    """How strong the likeness is above chance, in a word; "" where that is not known."""
    return "" if hit.z is None else strength(hit.z, "image")


def place_of(found: TileSearch, hit: TileHit) -> str:
    """Latitude and longitude of a tile's middle; "" where the scene has no place."""
    box = found.window(hit).bbox
    return "" if box is None else f"{box.center[1]:.4f}, {box.center[0]:.4f}"


def score_of(hit: TileHit) -> str:
    """Deviations above the scene's other tiles, or else the bare cosine."""
    return f"{hit.cosine:.3f}" if hit.lead is None else f"{hit.lead:+.1f}"


def _print(session: Session, found: TileSearch) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("Pixels x,y,w,h", no_wrap=True)
    placed, told = found.scene.bbox is not None, any(word(hit) for hit in found.best)
    if placed:
        table.add_column("Middle lat, lon", no_wrap=True)
    if told:
        table.add_column("Match", no_wrap=True)
    table.add_column("Score", justify="right", no_wrap=True)
    for hit in found.best:
        row = [str(hit.rank), ",".join(map(str, hit.region))]
        row += [place_of(found, hit)] if placed else []
        row += [word(hit)] if told else []
        table.add_row(*row, score_of(hit))
    session.out.print(table)
    blank = f", {found.blank:,} blank ones left out" if found.blank else ""
    means = "cosine; too few tiles to compare" if found.tiles[0].lead is None else "deviations above the scene's tiles"
    kept = " (from the cache)" if found.cached else ""
    session.note(harmless(f"{len(found.tiles):,} tiles of {Path(found.scene.uri).name}{kept}{blank}. Score: {means}."))
