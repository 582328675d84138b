"""`rsrag log`: the conversations that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .control import harmless
from .session import JsonOption, Session, session_of

if TYPE_CHECKING:
    from ..conversation.exchange import Exchange
    from ..conversation.state import State
    from ..sessions import SessionInfo, Sessions

app = typer.Typer(help="Kept conversations: list, show, search, export, delete.", no_args_is_help=True)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="An id, its beginning, a name, or 'last'.", show_default=False)
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]


@app.command("list")
def list_(context: typer.Context, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """The newest conversations first."""
    session = session_of(context)
    with _sessions(session) as sessions:
        found = sessions.list(limit)
    if as_json:
        session.json([_info_json(info) for info in found])
        return
    if not found:
        session.note("No conversation yet. `rsrag chat` begins one.")
        return
    rows = [(info.id, ago(info.updated), str(info.questions), _about(info)) for info in found]
    _table(session, ("ID", "When", "Asked", "About"), rows)


@app.command("show")
def show(context: typer.Context, id: IdArgument = "last", as_json: JsonOption = False) -> None:
    """A conversation, with the sources it cites."""
    session = session_of(context)
    with _sessions(session) as sessions:
        state = sessions.open(id)
    if as_json:
        from ..transcript.as_json import to_dict

        session.json(to_dict(state))
        return
    _show(session, state)


@app.command("search")
def search(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="Words of a question or an answer.")],
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Find what was asked or answered.

    Example: rsrag log search container terminal
    """
    session = session_of(context)
    text = " ".join(words)
    with _sessions(session) as sessions:
        found = sessions.search(text, limit)
    if as_json:
        session.json(
            [
                {
                    "session": f.session,
                    "number": f.number,
                    "question": f.question,
                    "snippet": f.snippet,
                    "when": f.when.isoformat(),
                }
                for f in found
            ]
        )
        return
    if not found:
        session.note(f"Nothing that was said holds all of: {text}")
        return
    for hit in found:
        session.out.print(f"{hit.session}  {ago(hit.when):<12}  {one_line(hit.question)}", markup=False)
        session.out.print(f"    {one_line(hit.snippet)}", style="dim", markup=False)


@app.command("export")
def export(
    context: typer.Context,
    id: IdArgument = "last",
    format: Annotated[str, typer.Option("--format", "-f", metavar="md|html|json", help="Form of the file.")] = "",
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="Where to (default: stdout).")] = "",
) -> None:
    """A conversation as one file: Markdown, an html page with its pictures inside, or JSON.

    Example: rsrag log export last --out harbour.html
    """
    from pathlib import Path

    from ..errors import UsageError
    from ..transcript import FORMATS
    from ..transcript import export as write

    session = session_of(context)
    kind = (format or Path(out).suffix.lstrip(".") or "md").lower()
    kind = {"markdown": "md", "htm": "html"}.get(kind, kind)
    if kind not in FORMATS:
        raise UsageError(f"there is no format '{kind}'.", f"There are: {', '.join(FORMATS)}.")
    with _sessions(session) as sessions:
        state = sessions.open(id)
    if not out or out == "-":
        typer.echo(FORMATS[kind](state), nl=False)
        return
    path = write(state, Path(out).expanduser(), kind)
    session.note(f"Wrote {path} ({path.stat().st_size / 1024:,.0f} kB).")


@app.command("delete")
def delete(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="An id, its beginning, or a name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget a conversation for good; images and knowledge stay."""
    session = session_of(context)
    with _sessions(session) as sessions:
        state = sessions.open(id)
        if not yes:
            about = one_line(state.name or (state.exchanges[0].question if state.exchanges else ""))
            typer.confirm(f"Delete {state.id} ({about})?", abort=True, err=True)
        typer.echo(f"Deleted {sessions.delete(state.id)}.")


# -- how it looks ---------------------------------------------------------------------------------


def ago(moment: datetime, now: datetime | None = None) -> str:
    """A time as people say it: "just now", "5 min ago", "3 h ago", "yesterday", "4 days ago", then the date."""
    now = now or datetime.now(moment.tzinfo)
    seconds = (now - moment).total_seconds()
    days = (now.astimezone().date() - moment.astimezone().date()).days
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if days < 1:
        return f"{int(seconds // 3600)} h ago"
    if days < 7:
        return "yesterday" if days == 1 else f"{days} days ago"
    return moment.astimezone().strftime("%Y-%m-%d")


def one_line(text: str) -> str:
    """Foreign text on one line, harmless for a terminal."""
    return " ".join(harmless(text.replace("\n", " ")).split())


def _sessions(session: Session) -> Sessions:
    from ..sessions import Sessions

    return Sessions(session.config.data_dir / "sessions.sqlite")


def _table(session: Session, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for index, name in enumerate(names):
        # Only the last column gives way where the terminal is narrow.
        width = max(len(name), *(len(row[index]) for row in rows)) if index < len(names) - 1 else None
        justify: Any = "right" if name == "Asked" else "left"
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify=justify, min_width=width)
    for row in rows:
        table.add_row(*(escape(one_line(cell)) for cell in row))
    session.out.print(table)


def _show(session: Session, state: State) -> None:
    from rich.markdown import Markdown

    from ..transcript.told import cited, outcome, scene_name, title, understood
    from .render import sources_table

    out = session.out
    out.print(one_line(title(state)), style="bold", markup=False)
    when = ago(state.updated) if state.updated else ""
    asked = f"{len(state.exchanges)} question{'s' * (len(state.exchanges) != 1)}"
    facts = (state.id, when, asked, f"model {state.model}" if state.model else "")
    out.print(one_line(" · ".join(part for part in facts if part)), style="dim", markup=False)
    for placed in state.scenes:
        note = "  (dropped)" if placed.dropped else ""
        out.print(f"[{placed.letter}] {one_line(scene_name(placed))}{note}", markup=False)
    for exchange in state.exchanges:
        out.print()
        out.print(f"> {one_line(exchange.question) or '(about the image)'}", style="bold", markup=False)
        if taken := understood(exchange):
            out.print(one_line(taken), style="dim", markup=False)
        if exchange.text:
            out.print(Markdown(_bracketed(exchange)))
        if note := outcome(exchange):
            out.print(one_line(note), style="yellow", markup=False)
    if sources := cited(state):
        out.print()
        out.print(sources_table(sources))


def _about(info: SessionInfo) -> str:
    from pathlib import PurePath

    names = ", ".join(PurePath(uri.partition("#xywh=")[0]).name for uri in info.images)
    return info.name or (f"{info.title} ({names})" if names else info.title)


def _bracketed(exchange: Exchange) -> str:
    """[1] must not be taken for a link by Markdown."""
    import re

    return re.sub(r"\[(\d+|[A-Z]{1,2})\]", r"\\[\1\\]", harmless(exchange.text))


def _info_json(info: SessionInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name or None,
        "title": info.title,
        "kb": info.kb,
        "model": info.model,
        "created": info.created.isoformat(),
        "updated": info.updated.isoformat(),
        "questions": info.questions,
        "images": list(info.images),
    }
