"""How an answer came about, for people: what was understood, found, run and sent, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..control import harmless
from .describe import part_line, shortened

if TYPE_CHECKING:
    from ...conversation.exchange import Why
    from .screen import Screen

MOST_HITS = 12


def show_trace(screen: Screen, why: Why, *, prompt: bool = False) -> None:
    """The trace by headings; `prompt` adds every message as it was sent."""
    _rows(
        screen,
        "Question",
        [
            ("asked", why.question),
            ("understood as", why.meant if why.meant != why.question else ""),
            ("because", why.reason),
            ("about", _about(why)),
            ("with", ", ".join(f"{name} {value}" for name, value in why.settings.items() if value)),
        ],
    )
    _rows(screen, "Images", [(f"[{v[0]}]", _vote(v)) for v in why.votes])
    _rows(screen, "Lanes", [(str(lane[0]), _lane(lane)) for lane in why.lanes])
    _hits(screen, why)
    _rows(screen, "Tools", [(use.name, _use(use)) for use in why.tools])
    _rows(
        screen,
        "Answer",
        [
            ("by", f"{why.model}, {why.status}"),
            ("cites", " ".join(f"[{n}]" for n in why.cited) or "nothing"),
            ("saw", f"{len(why.evidence)} sources"),
            *[(name.replace("_", " "), _plain(value)) for name, value in why.verdict.items() if name != "steps"],
            ("took", ", ".join(f"{stage} {value:.2f} s" for stage, value in why.seconds.items())),
            ("tokens", f"{why.usage.input_tokens:,} in, {why.usage.output_tokens:,} out" if why.usage else ""),
            *[("warning", text) for text in why.warnings],
        ],
    )
    _steps(screen, why)
    if prompt:
        for message in why.messages:
            screen.line(f"Prompt, {message.get('role', '')}", "bold")
            screen.line(_content(message.get("content", "")), "dim")
    elif why.messages:
        screen.note("/why prompt shows the prompt as well.")


def _steps(screen: Screen, why: Why) -> None:
    """What a reader tried, in order: the part of the question, what it found, and how sure it was of it."""
    for step in why.verdict.get("steps", ()) if isinstance(why.verdict, Mapping) else ():
        if not isinstance(step, Mapping):
            continue
        chosen = step.get("chosen", ())
        rows = [(name.replace("_", " "), _plain(value)) for name, value in step.items() if name not in _OF_STEP]
        for one in chosen:
            figures = ", ".join(f"{n} {one[n]:.2f}" for n in ("score", "similarity", "cover", "wanted") if n in one)
            rows.append((f"[{one.get('evidence')}]", f"{shortened(str(one.get('sentence', '')), 120)} ({figures})"))
        _rows(screen, f"Read: {shortened(str(step.get('part', 'the image')), 60)}", rows)


_OF_STEP: Final = ("part", "chosen", "missing")


def _rows(screen: Screen, heading: str, rows: Sequence[tuple[str, str]]) -> None:
    from rich.table import Table

    kept = [(name, value) for name, value in rows if value]
    if not kept:
        return
    screen.line(heading, "bold")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    table.add_column(style="dim", max_width=22, overflow="fold")
    table.add_column(overflow="fold")
    for name, value in kept:
        table.add_row("  " + _escaped(name), _escaped(value))
    screen.console.print(table)


def _hits(screen: Screen, why: Why) -> None:
    from rich.table import Table

    if not why.hits:
        return
    screen.line("Found, best first", "bold")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("  No.", no_wrap=True)
    table.add_column("Score", no_wrap=True)
    table.add_column("Title", ratio=2, overflow="fold")
    table.add_column("Lane: rank (raw score)", ratio=3, style="dim", overflow="fold")
    for hit in why.hits[:MOST_HITS]:
        lanes = ", ".join(f"{name}: {rank} ({score:.3g})" for name, (rank, score) in hit["lanes"].items())
        number = f"[{hit['number']}]" if hit["number"] else "-"
        table.add_row("  " + _escaped(number), f"{hit['score']:.3f}", _escaped(hit["title"]), _escaped(lanes))
    screen.console.print(table)
    if len(why.hits) > MOST_HITS:
        screen.note(f"  and {len(why.hits) - MOST_HITS} more")


def _about(why: Why) -> str:
    named = ", ".join(f"[{letter}]" for letter in why.letters)
    if why.focus:
        named += f", {part_line(*why.focus)}"
    return named


def _vote(vote: Sequence[Any]) -> str:
    _, label, subjects, z, reason = vote
    nearest = ", ".join(f"{title} {share:.0%}" for _, title, share in list(subjects)[:4])
    told = f"taken for {label}" if label else f"no label: {reason}" if reason else "no label"
    return "; ".join(
        part for part in (told, f"nearest {nearest}" if nearest else "", f"z {z:.1f}" if z else "") if part
    )


def _lane(lane: Sequence[Any]) -> str:
    _, status, hits, seconds, detail = lane
    found = f"{hits} found in {1000 * seconds:.0f} ms" if status == "ok" else str(status)
    return f"{found}{f' ({detail})' if detail else ''}"


def _use(use: Any) -> str:
    given = ", ".join(f"{name}={value}" for name, value in use.arguments.items())
    on = "on " + ", ".join(use.scenes) if use.scenes else ""
    came = f"failed: {use.error}" if use.error else f"[{use.number}]" if use.number else ""
    return "; ".join(part for part in (on, given, came) if part)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items() if inner not in ("", (), [], None))
    if isinstance(value, list | tuple):
        return shortened("; ".join(_plain(inner) for inner in value), 300)
    return shortened(str(value), 300)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or f"<{part.get('type', 'part')}>" for part in content)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(harmless(text))
