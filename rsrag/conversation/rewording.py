"""A follow-up that the rules cannot resolve, put to the language model in one short call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from ..answering.rewording import LONGEST, taken
from ..errors import RsragError
from ..interfaces import Model, Reader
from ..types import Prompt, Text, Turn
from .exchange import Rewritten

_MOST_PIECES = 400


def reworded(model: Model, rule: Rewritten, history: Sequence[Turn]) -> Rewritten:
    """The question as the model says it in full; as the rule left it where there is no language model, no earlier
    turn, or no usable reply, with a note why."""
    if isinstance(model, Reader) or not history:
        return rule
    try:
        reply = _reply(model, Prompt("rewrite", rule.text, history=tuple(history[-3:])))
    except Exception as error:  # the question can be asked as it is
        why = error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"
        return replace(rule, reason=f"asked as it is: the model could not reword it ({why})")
    text = taken(reply)
    if not text:
        return replace(rule, reason="asked as it is: the model gave no rewording")
    return replace(rule, text=text, reason=f"reworded by {model.name}", unclear=False) if text != rule.text else rule


def _reply(model: Model, prompt: Prompt) -> str:
    """The first characters of the reply; a model that goes on and on is cut off."""
    events = model.generate(prompt)
    text = ""
    try:
        for event in islice(events, _MOST_PIECES):
            text += event.text if isinstance(event, Text) else ""
            if len(text) > 2 * LONGEST or (text.strip() and text.rstrip(" ").endswith("\n")):
                break
    finally:
        if hasattr(events, "close"):
            events.close()
    return text
