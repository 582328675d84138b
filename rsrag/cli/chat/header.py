"""What a chat opens with: the scenes, what answers, and where an earlier chat was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import RsragError
from .about_scenes import say_focus, show_scene
from .describe import means_line, resumed_line

if TYPE_CHECKING:
    from .state import Chat


def show_header(chat: Chat) -> None:
    """Once, when everything is loaded; or why it could not be."""
    screen, opening = chat.screen, chat.opening
    try:
        conversation = opening.conversation
    except RsragError as error:
        screen.error(error)
        return
    except Exception as error:  # told in a line here, and again when a question meets it
        screen.error(error)
        return
    if opening.resume:
        screen.note(resumed_line(conversation))
    for letter, scene in conversation.scenes.items():
        show_scene(chat, letter, scene, opening.places.get(letter, ""))
    for placed in conversation.placed:
        if placed.gone:
            screen.warn(f"[{placed.letter}] is gone: {placed.gone}")
    for remark in opening.remarks:
        screen.warn(f"! {remark}")
    for failure in opening.failed:
        screen.error(failure)
    screen.note(means_line(conversation))
    if conversation.focus:
        say_focus(chat)
