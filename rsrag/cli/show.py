"""`rsrag show`: everything about one chunk, so that a citation can be checked in one step."""

from __future__ import annotations

from typing import Annotated

import typer

from .session import JsonOption, KbOption, session_of


def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="An id, its first letters, or a subject (class/airplane).")],
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a passage or image with its source, licence and place."""
    from ..errors import UsageError
    from .control import harmless
    from .render import hit_json

    session = session_of(context)
    with session.kb(kb) as store:
        chunk = store.get(id)
        chunks = [chunk] if chunk else [c for c in store.chunks_of([id]) if c.part not in ("label",)]
        if not chunks:
            raise UsageError(
                f"nothing in {store.path.name} has the id '{id}'.",
                "Ids stand in the last column of sources and search results; more letters may be needed.",
            )
        if as_json:
            from ..types import Hit

            session.json([hit_json(Hit(c), 1, store) for c in chunks])
            return
        for number, item in enumerate(chunks):
            if number:
                session.out.rule(style="dim")
            origin = item.provenance
            session.out.print(harmless(item.title), style="bold", markup=False)
            if item.text:
                session.out.print(harmless(item.text), markup=False)
            image = store.image_path(item) if item.kind == "image" else None
            whose = "yours" if origin.role == "mine" else "reference"
            rows = {
                "part": item.part,
                "image": str(image) if image else item.image and f"{item.image} (the file is gone)",
                "page": origin.page,
                "heading": origin.heading,
                "subject": origin.subject,
                "source": f"{origin.source} ({whose}), record {origin.record}",
                "licence": origin.license,
                "after": origin.attribution,
                "link": origin.url,
                "box": ", ".join(f"{v:g}" for v in item.bbox.as_tuple()) if item.bbox else "",
                "acquired": item.acquired.isoformat() if item.acquired else "",
                "facets": ", ".join(f"{k}={v}" for k, v in item.facets.items()),
                "id": item.id,
            }
            for name, value in rows.items():
                if value:
                    session.out.print(f"{name:>9}  {harmless(str(value))}", style="dim", markup=False, soft_wrap=True)
