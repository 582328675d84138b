"""`rsrag ask`: a question, perhaps about images, answered with numbered sources."""

from __future__ import annotations

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


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question; - reads it from stdin.")],
    image: ImageOption = None,
    region: Annotated[str, typer.Option(metavar="X,Y,W,H", help="Only this part of the (first) image.")] = "",
    near: NearOption = "",
    within: WithinOption = "",
    when: WhenOption = "",
    facet: FacetOption = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=200, help="Passages that become evidence.")] = None,
    model: Annotated[str | None, typer.Option(help="Who writes the answer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the knowledge base, with sources.

    Example: rsrag ask "what is this, and how can I tell?" --image harbour.jpg
    """
    session = session_of(context)
    session.override(model=model, k=k)
    if text == "-":
        text = typer.get_binary_stream("stdin").read().decode("utf-8", "replace")
    if not text.strip() and not image:
        raise typer.BadParameter("the question is empty.")
    from .render import answer_json, print_answer

    with session.kb(kb) as store:
        assistant = session.assistant(store)
        query = assistant.query(
            text,
            image or None,
            region=region or None,
            near=near or None,
            within=within or None,
            when=when or None,
            facets=facet or (),
        )
        answer = None
        with session.err.status("Looking ..."):
            from ..types import Done

            for event in assistant.run(query):
                if isinstance(event, Done):
                    answer = event.answer
        assert answer is not None
        if as_json:
            session.json(answer_json(answer, store))
            return
        print_answer(session, answer, query.scenes)
