"""Commands about what answers rest on: list it, read it in full, see how it was found, run a tool for more."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ...errors import UsageError
from ..control import harmless
from ..render import sources_table
from .answers import AnswerWriter
from .command import Command
from .completion import Candidate, letters, numbers, words
from .describe import first_sentence, short_path, shortened

if TYPE_CHECKING:
    from ...types import Evidence
    from .state import Chat


def sources(chat: Chat, argument: str) -> None:
    """What answers of this chat cite, by number; /sources all also lists what was looked at and not cited."""
    conversation = chat.conversation
    everything = list(conversation.ledger)
    answers = [exchange.answer for exchange in conversation.exchanges if exchange.answer]
    cited = {e.number for answer in answers for e in answer.citations}
    ran = {e.number for e in everything if e.kind == "tool"}
    chosen = everything if argument.lower() in ("all", "*") else [e for e in everything if e.number in cited | ran]
    if not everything:
        raise UsageError("there are no sources yet.", "Ask something first.")
    if chosen:
        marks = cited if len(chosen) > len(cited) else frozenset()
        chat.screen.console.print(sources_table(chosen, ids=False, narrow=chat.screen.width < 60, marked=marks))
    rest = len(everything) - len(chosen)
    notes = ["* cited"] if len(chosen) > len(cited) and cited else []
    notes += [f"{rest} more looked at: /sources all"] if rest else []
    notes += ["/show N reads one in full"]
    chat.screen.note(" · ".join(notes))


def show(chat: Chat, argument: str) -> None:
    """A source in full: its text, where it comes from, its licence, link, numbers and pictures."""
    if not argument:
        raise UsageError("which source?", "/show 3 reads source [3]; /sources lists them.")
    show_evidence(chat, chat.evidence(argument))


def show_evidence(chat: Chat, item: Evidence) -> None:
    """All about one piece of evidence."""
    screen, origin = chat.screen, item.provenance
    screen.line(f"[{item.number}] {item.title}", "bold")
    if item.text:
        screen.line(item.text)
    whose = "yours" if origin.role == "mine" else "reference"
    rows = {
        "from": "computed here" if item.kind == "tool" else f"{origin.source} ({whose}), record {origin.record}",
        "about": origin.subject,
        "page": str(origin.page) if origin.page else "",
        "heading": origin.heading,
        "licence": origin.license,
        "credit": origin.attribution,
        "link": origin.url,
        "place": ", ".join(f"{v:g}" for v in item.bbox.as_tuple()) if item.bbox else "",
        **{name: str(quantity) for name, quantity in item.values.items()},
        "picture": "\n".join(map(short_path, item.images)) + (f"  (/look {item.number})" if item.images else ""),
    }
    wide = min(24, max((len(harmless(name)) for name, value in rows.items() if value), default=0))
    for name, value in rows.items():
        for line in value.splitlines():
            screen.console.print(
                f"{harmless(name):>{wide}}  {harmless(line)}", style="dim", markup=False, soft_wrap=True
            )


def tool(chat: Chat, argument: str) -> None:
    """Run a geo tool: /tool locate, /tool change A B, /tool index A index=NDVI. Letters say on which images; the
    result is a source with a number, which later answers may use. Without a name it lists the tools."""
    toolbox = chat.conversation.assistant.toolbox()
    try:
        given = shlex.split(argument)
    except ValueError:
        given = argument.split()
    if not given:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, offered in toolbox.tools.items():
            asks = f" (asks first: {', '.join(offered.asks)})" if offered.asks else ""
            table.add_row(harmless(name), harmless(first_sentence(offered.description)) + asks)
        chat.screen.console.print(table)
        return
    name = given[0]
    pairs = [word for word in given[1:] if "=" in word]
    where = [word.strip("[],").upper() for word in given[1:] if "=" not in word]
    toolbox.get(name)  # a wrong name is told before anything else
    writer = AnswerWriter(chat.screen)
    chat.pause = writer.pause
    writer.begin(f"Running {name} ...")
    try:
        found = chat.conversation.run_tool(name, pairs, where)
    finally:
        writer.stop()
    show_evidence(chat, found)


def why(chat: Chat, argument: str) -> None:
    """How the last answer came about: what the question was taken to mean, which lanes found what, at which rank and
    score, which tools ran, what the images were taken for, and what it took. /why prompt adds the prompt as the model
    got it; /why -2 is about the answer before the last."""
    from .tracing import show_trace

    asked = argument.lower().split()
    indices = [int(word) for word in asked if word.lstrip("-").isdecimal()]
    index = indices[0] if indices else -1
    show_trace(chat.screen, chat.conversation.why(index - 1 if index > 0 else index), prompt="prompt" in asked)


def _tools(chat: Chat, argument: str) -> Iterator[Candidate]:
    if not chat.opening.ready:
        return
    toolbox = chat.conversation.assistant.toolbox()
    name, space, rest = argument.partition(" ")
    if not space:
        told = [(n, shortened(first_sentence(t.description), 60)) for n, t in toolbox.tools.items()]
        yield from words(told, argument)
        return
    offered = toolbox.get(name)
    if offered.takes:
        yield from letters(chat, rest)
    for key, schema in offered.arguments.items():
        choices = schema.get("enum") or []
        last = rest.rpartition(" ")[2]
        if choices and last.startswith(f"{key}="):
            yield from words([(f"{key}={choice}", "") for choice in choices], rest)
        else:
            yield from words([(f"{key}=", shortened(schema.get("description", ""), 60))], rest)


COMMANDS: Final = (
    Command("sources", "[all]", "what was cited so far, by number", sources),
    Command("show", "N", "a source in full: text, licence, link", show, numbers),
    Command("tool", "[NAME ...]", "run a geo tool, or list them", tool, _tools),
    Command(
        "why", "[prompt]", "how the last answer came about", why, lambda c, a: words([("prompt", "also the prompt")], a)
    ),
)
