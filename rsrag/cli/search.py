"""`rsrag search`: find images and passages by words, by example, by place and by time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .session import (
    FacetOption,
    ImageOption,
    JsonOption,
    KbOption,
    NearOption,
    WhenOption,
    WithinOption,
    session_of,
)


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to look for.")] = "",
    image: ImageOption = None,
    near: NearOption = "",
    within: WithinOption = "",
    when: WhenOption = "",
    facet: FacetOption = None,
    kind: Annotated[str, typer.Option(metavar="image|text", help="Only images, or only passages.")] = "",
    source: Annotated[list[str] | None, typer.Option(metavar="S", help="Only from this source (repeatable).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Reference packs too, not only your own.")] = False,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many results.")] = 10,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Find images and passages; your own sources first, the reference packs with --all.

    Example: rsrag search "storage tanks" --kind image --html tanks.html
    """
    session = session_of(context)
    if not text.strip() and not image and not near:
        raise typer.BadParameter("give a text, an --image or a --near box.")
    from .render import hit_json, print_hits

    with session.kb(kb) as store:
        assistant = session.assistant(store)
        mine = [s.name for s in store.sources() if s.role == "mine"]
        narrowed = bool(mine) and not everything and not source
        query = assistant.query(
            text,
            image or None,
            task="search",
            near=near or None,
            within=within or None,
            when=when or None,
            facets=facet or (),
            sources=source or (mine if narrowed else ()),
            kind=kind or ("image" if image and not text else ""),
            k=k,
        )
        with session.err.status("Searching ..."):
            found = assistant.search_all(query)
        for lane in found.lanes:
            if lane.status == "failed":
                session.warn(f"retrieval lane {lane.name} failed: {lane.detail}")
        for warning in found.warnings:
            session.warn(warning)
        if query.where.box or query.where.polygon or query.where.interval or query.where.facets:
            kept, total = store.count_kept(query.where)
            session.note(f"The filters left {kept:,} of {total:,} passages and images to search.")
        if html:
            from .pages import write_page

            write_page(html, store, found.hits, query)
            session.note(f"Wrote {html}.")
        if as_json:
            session.json({"hits": [hit_json(hit, rank, store) for rank, hit in enumerate(found.hits, 1)]})
            return
        print_hits(session, found.hits)
        if not found.hits:
            searched = ", ".join(query.where.sources) or "everything"
            session.note(f"Nothing found (searched: {searched}).")
        if narrowed:
            session.note(f"Searched your own sources ({', '.join(mine)}); --all adds the reference packs.")
