"""A transcript as Markdown: questions, answers, and one list of the sources they cite."""

from __future__ import annotations

import re

from ..answering.cleaning import clean, one_line
from ..conversation.exchange import Exchange
from ..conversation.state import State
from ..types import Evidence
from .told import cited, footer, link, numbers_with_units, origin, outcome, scene_name, title, understood, when

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_QUOTE = 600
"""Characters of a source that are quoted."""


def to_markdown(state: State) -> str:
    """CommonMark that reads well as plain text too. Titles and questions are escaped; an answer keeps its marks, but no
    html and no picture from elsewhere."""
    parts = [f"# {_plain(title(state))}", _about(state)]
    if state.scenes:
        parts.append("\n".join(["## Images", "", *(_scene(state, i) for i in range(len(state.scenes)))]))
    parts += [_exchange(exchange) for exchange in state.exchanges]
    if sources := cited(state):
        parts.append("\n\n".join(["## Sources", *(_source(e) for e in sources)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(state: State) -> str:
    facts = [when(state.created), f"knowledge base {_plain(state.kb.rpartition('/')[2])}" if state.kb else ""]
    facts += [f"model {_plain(state.model)}" if state.model else "", f"session {state.id}"]
    return f"*{' · '.join(fact for fact in facts if fact)}*"


def _scene(state: State, index: int) -> str:
    placed = state.scenes[index]
    note = " (dropped)" if placed.dropped else f" (gone: {_plain(placed.gone)})" if placed.gone else ""
    return f"- **\\[{placed.letter}\\]** {_plain(scene_name(placed))}{note}"


def _exchange(exchange: Exchange) -> str:
    lines = [f"## {_plain(exchange.question) or '(about the image)'}"]
    if taken := understood(exchange):
        lines.append(f"*{_plain(taken)}*")
    if exchange.text:
        lines.append(_body(exchange.text))
    if note := outcome(exchange):
        lines.append(f"> {_plain(note)}")
    if exchange.answer:
        lines += [f"> Warning: {_plain(warning)}" for warning in exchange.answer.warnings]
    facts = [when(exchange.ended), footer(exchange)]
    lines.append(f"<sub>{_plain(' · '.join(f for f in facts if f))}</sub>" if any(facts) else "")
    return "\n\n".join(line for line in lines if line)


def _body(text: str) -> str:
    """An answer as the model wrote it; headings two levels down, html and pictures shown as text, links to the web
    only."""
    text = re.sub(r"!(?=\[)", r"\\!", clean(text))
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text)
    text = re.sub(r"\](?=\((?!https?://))", r"]\\", text)
    text = re.sub(r"^(#{1,4}) ", r"##\1 ", text, flags=re.MULTILINE)
    return re.sub(r"\[(\d+|[A-Z]{1,2})\](?!\()", r"\\[\1\\]", text).strip()


def _source(evidence: Evidence) -> str:
    url = link(evidence.provenance.url).replace("(", "%28").replace(")", "%29")
    name = _plain(evidence.title)
    facts = [_plain(origin(evidence)), _plain(evidence.provenance.license)]
    credit = evidence.provenance.attribution if evidence.kind != "tool" else ""
    facts.append(_plain(credit))
    head = f"**\\[{evidence.number}\\]** {f'[{name}]({url})' if url else name} ({', '.join(f for f in facts if f)})"
    text = one_line(evidence.text)
    quote = text if len(text) <= _QUOTE else text[:_QUOTE].rpartition(" ")[0] + " …"
    values = "; ".join(f"{_plain(name)} {_plain(value)}" for name, value in numbers_with_units(evidence))
    lines = [head, f"> {_plain(quote)}" if quote else "", f"> {values}" if values else ""]
    return "\n>\n".join(filter(None, [lines[0] + "\n" + lines[1] if lines[1] else lines[0], lines[2]]))


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", one_line(text))
