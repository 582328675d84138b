"""`rsrag search`: find images and passages by words, by example, by place and by time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .session import (
    AroundOption,
    BandsOption,
    FacetOption,
    FromSensorOption,
    ImageOption,
    JsonOption,
    KbOption,
    MaxCloudOption,
    MaxGsdOption,
    NearOption,
    SeasonOption,
    SensorOption,
    Session,
    WhenOption,
    WithinOption,
    session_of,
)

if TYPE_CHECKING:
    from ..store.knowledge_base import KnowledgeBase
    from ..types import Hit


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to look for.")] = "",
    image: ImageOption = None,
    bands: BandsOption = "",
    sensor: SensorOption = "",
    near: NearOption = "",
    within: WithinOption = "",
    around: AroundOption = "",
    when: WhenOption = "",
    season: SeasonOption = "",
    max_gsd: MaxGsdOption = None,
    max_cloud: MaxCloudOption = None,
    from_sensor: FromSensorOption = None,
    facet: FacetOption = None,
    kind: Annotated[str, typer.Option(metavar="image|text", help="Only images, or only passages.")] = "",
    source: Annotated[list[str] | None, typer.Option(metavar="S", help="Only from this source (repeatable).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Reference packs too, not only your own.")] = False,
    tiles: Annotated[str, typer.Option(metavar="SCENE", help="Search the tiles of this scene, not the store.")] = "",
    tile: Annotated[int, typer.Option(metavar="PIXELS", help="With --tiles: side of a tile.")] = 512,
    overlap: Annotated[int, typer.Option(metavar="PIXELS", help="With --tiles: how much tiles overlap.")] = 64,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many results.")] = 10,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures.")] = None,
    geojson: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the places as GeoJSON.")] = None,
    stac: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a STAC item collection.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Find images and passages; your own sources first, the reference packs with --all.

    Example: rsrag search "storage tanks" --kind image --html tanks.html

    Example: rsrag search "storage tanks" --tiles port.tif --html map.html
    """
    session = session_of(context)
    if tiles:
        from .search_tiles import Wish, search_tiles

        for_a_store = (near, within, around, when, season, max_gsd, max_cloud, from_sensor, facet, kind, source, stac)
        if everything or any(value not in (None, "") for value in for_a_store):
            raise typer.BadParameter("--tiles looks at one scene; filters, sources and --stac are for a store.")
        if len(image or []) > 1 or bool(text.strip()) == bool(image):
            raise typer.BadParameter("with --tiles give either a text or one --image.")
        wish = Wish(tiles, text, image[0] if image else None, tile, overlap, k, bands, sensor)
        search_tiles(session, wish, kb, html=html, geojson=geojson, as_json=as_json)
        return
    by_place = not text.strip() and not image and not near
    if by_place and not within and not around:
        raise typer.BadParameter("give a text, an --image, or a place (--near, --within, --around).")
    from ..filtering import place_of
    from .render import hit_json, print_hits

    with session.kb(kb) as store:
        assistant = session.assistant(store)
        mine = [s.name for s in store.sources() if s.role == "mine"]
        narrowed = bool(mine) and not everything and not source
        query = assistant.query(
            text,
            image or None,
            task="search",
            bands=bands,
            sensor=sensor,
            near=near or None,
            within=within or None,
            around=around or None,
            when=when or None,
            season=season or None,
            max_gsd=max_gsd,
            max_cloud=max_cloud,
            from_sensor=from_sensor or (),
            facets=facet or (),
            sources=source or (mine if narrowed else ()),
            kind=kind or ("image" if image and not text else ""),
            k=k,
        )
        if by_place:
            query = query.with_(near=place_of(query.where))
        with session.err.status("Searching ..."):
            found = assistant.search_all(query)
        for lane in found.lanes:
            if lane.status == "failed":
                session.warn(f"retrieval lane {lane.name} failed: {lane.detail}")
        for warning in found.warnings:
            session.warn(warning)
        for note in query.where.notes:
            session.warn(note)
        if query.where.narrows:
            said = store.explain(query.where)
            session.note(f"{said[0].upper()}{said[1:]}.")
        if html:
            from .pages import write_page

            write_page(html, store, found.hits, query)
            session.note(f"Wrote {html}.")
        if geojson or stac:
            _export(session, found.hits, store, geojson, stac)
        if as_json:
            session.json({"hits": [hit_json(hit, rank, store) for rank, hit in enumerate(found.hits, 1)]})
            return
        print_hits(session, found.hits)
        if not found.hits:
            searched = ", ".join(query.where.sources) or "everything"
            session.note(f"Nothing found (searched: {searched}).")
        if narrowed:
            session.note(f"Searched your own sources ({', '.join(mine)}); --all adds the reference packs.")


def _export(
    session: Session, hits: Sequence[Hit], store: KnowledgeBase, geojson: Path | None, stac: Path | None
) -> None:
    from ..export import to_geojson, to_stac
    from ..geojson import write

    for path, export in (
        (geojson, to_geojson(hits, store) if geojson else None),
        (stac, to_stac(hits, store, stac.parent) if stac else None),
    ):
        if path and export:
            write(path, export.data)
            session.note(f"Wrote {path}: {export}.")
