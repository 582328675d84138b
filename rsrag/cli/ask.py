"""`rsrag ask`: a question, perhaps about images, answered with numbered sources."""

from __future__ import annotations

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
    WhenOption,
    WithinOption,
    session_of,
)

if TYPE_CHECKING:
    from ..answering.ledger import Ledger
    from ..assistant import Assistant
    from ..types import Answer


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question; - reads it from stdin.")],
    image: ImageOption = None,
    bands: BandsOption = "",
    sensor: SensorOption = "",
    region: Annotated[str, typer.Option(metavar="X,Y,W,H", help="Only this part of the (first) image.")] = "",
    near: NearOption = "",
    within: WithinOption = "",
    around: AroundOption = "",
    when: WhenOption = "",
    season: SeasonOption = "",
    max_gsd: MaxGsdOption = None,
    max_cloud: MaxCloudOption = None,
    from_sensor: FromSensorOption = None,
    facet: FacetOption = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=200, help="Passages that become evidence.")] = None,
    model: Annotated[str | None, typer.Option(help="Who writes the answer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
    why: Annotated[bool, typer.Option("--why", help="Also show how the answer came about.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Write the answer as it comes; with --json, one object per line.")
    ] = False,
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
    from ..answering.ledger import Ledger
    from ..types import Done
    from .events import as_lines, as_text
    from .render import answer_json, print_answer, print_sources

    with session.kb(kb) as store:
        assistant = session.assistant(store)
        query = assistant.query(
            text,
            image or None,
            region=region or None,
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
        )
        ledger = Ledger()
        events = assistant.run(query, ledger)
        if stream and as_json:
            as_lines(events, store)
            return
        if stream:
            answer = as_text(events, session)
            print_sources(session, answer, query.scenes)
            if why:
                _tell_why(text, answer, ledger, assistant)
            return
        with session.err.status("Looking ..."):
            answer = next(event.answer for event in events if isinstance(event, Done))
        if as_json:
            session.json(answer_json(answer, store) | ({"trace": answer.trace} if why else {}))
            return
        print_answer(session, answer, query.scenes)
        if why:
            _tell_why(text, answer, ledger, assistant)


def _tell_why(text: str, answer: Answer, ledger: Ledger, assistant: Assistant) -> None:
    """The trace as `/why` shows it in a chat."""
    from dataclasses import replace

    from ..conversation.exchange import Exchange, ToolUse
    from ..conversation.reasons import reasons
    from .chat.screen import Screen
    from .chat.tracing import show_trace

    tools = tuple(
        ToolUse(name, tuple(filter(None, scenes.split(", "))), arguments, number, error)
        for name, scenes, arguments, number, error, _ in answer.trace.get("tools", ())
    )
    exchange = Exchange(1, text, answer=answer, tools=tools)
    why = reasons(exchange, (), ledger, {}, assistant.model)
    screen = Screen()
    screen.line()
    show_trace(screen, replace(why, messages=()))
