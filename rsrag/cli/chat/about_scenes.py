"""Commands about images: open, end, look at, ask about a part of, and put on a map."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import UsageError
from .command import Command
from .completion import Candidate, letters, letters_and_numbers, paths, words
from .describe import part_line, scene_lines

if TYPE_CHECKING:
    from ...types import Scene
    from .state import Chat

Region = tuple[int, int, int, int]

WHOLE: Final = ("off", "all", "whole", "none")
_CORNERS: Final = ("north-east", "north-west", "south-east", "south-west", "north", "south", "east", "west", "middle")


def image(chat: Chat, argument: str) -> None:
    """Open an image, or several: /image harbour.tif. A path typed or dropped alone does the same. Each gets a letter,
    by which questions may name it: "compare A and B". Where a file does not say what its bands are, you can: /image
    a.tif bands=red,green,blue,nir or sensor=sentinel-2-l2a. Without a file it lists the images that are open."""
    conversation = chat.conversation
    if not argument:
        if not conversation.scenes:
            raise UsageError("there is no image in this chat.", "/image FILE opens one.")
        for letter, scene in conversation.scenes.items():
            show_scene(chat, letter, scene)
        return
    files, options = _files(argument)
    for path in files:
        letter = conversation.add(path, **options)
        show_scene(chat, letter, conversation.scenes[letter])


def _files(argument: str) -> tuple[list[str], dict[str, str]]:
    """(files, options of reading): one path with blanks in it, or several as a shell takes them."""
    if Path(argument).expanduser().is_file():
        return [argument], {}
    try:
        given = shlex.split(argument)
    except ValueError:
        given = [argument]
    options = dict(word.split("=", 1) for word in given if word.startswith(("bands=", "sensor=")))
    return [word for word in given if not word.startswith(("bands=", "sensor="))], options


def show_scene(chat: Chat, letter: str, scene: Scene, place: str = "") -> None:
    """A scene in two lines, and what there is to know about reading it."""
    first, second = scene_lines(letter, scene, place)
    chat.screen.line(first)
    chat.screen.note(second, indent=4)
    for note in scene.notes[:2]:
        chat.screen.note(note, indent=4)


def drop(chat: Chat, argument: str) -> None:
    """End an image: later questions are not about it. Its letter is not given again, so that earlier answers keep
    their sense."""
    if not argument:
        raise UsageError("which image?", f"/drop {next(iter(chat.conversation.scenes), 'A')} ends that one.")
    chat.conversation.drop(argument)
    chat.screen.note(f"[{argument.strip('[] ').upper()}] is closed; its letter is not used again.")


def look(chat: Chat, argument: str) -> None:
    """Draw an image here: /look A, /look 3 for the picture of source 3 (a map that a tool drew, say), /look A
    false-colour for another composite (true-colour, false-colour, swir, sar). Without a name it is the image in focus,
    as far as /region or /zoom cut it."""
    from .look import look_at_evidence, look_at_scene

    first, _, rest = argument.partition(" ")
    if first.strip("[]").isdecimal():
        look_at_evidence(chat, chat.evidence(first))
        return
    is_letter = not first or first.strip("[]").upper() in chat.conversation.scenes or not re.search(r"[a-z-]{3}", first)
    letter, scene = chat.scene(first if is_letter else "")
    look_at_scene(chat, letter, scene, rest.strip() if is_letter else argument)


def region(chat: Chat, argument: str) -> None:
    """Ask about a part of an image from now on: /region 0,0,512,512 in pixels from the top left corner, /region B
    0,0,512,512 for another image than the last, /region off for the whole again."""
    from ...queries import parse_region

    if not argument:
        say_focus(chat)
        return
    if argument.lower() in WHOLE:
        _focus(chat, None)
        return
    letter, scene, rest = _addressed(chat, argument)
    x, y, w, h = parse_region(rest)
    scene.window(x, y, w, h)  # raises when it is not inside
    _focus(chat, (letter, (x, y, w, h)))


def zoom(chat: Chat, argument: str) -> None:
    """Ask about a part by name: /zoom in, /zoom out, /zoom north-east, /zoom upper left, /zoom B middle; /zoom off for
    the whole again. Corners of the compass are turned with the image."""
    from ...conversation import places

    if argument.lower() in WHOLE:
        _focus(chat, None)
        return
    letter, scene, rest = _addressed(chat, argument or "in")
    focus = chat.conversation.focus
    old: Region = focus[1] if focus and focus[0] == letter else (0, 0, scene.width, scene.height)
    if rest.lower() in ("in", "out"):
        new = places.zoomed(rest.lower(), old, scene.width, scene.height)
    else:
        words_ = rest.lower().replace("center", "middle").replace("centre", "middle")
        named = "the middle" if words_ == "middle" else f"the {words_} " + ("corner" if _diagonal(words_) else "part")
        part = places.find_part(named)
        if part is None:
            raise UsageError(
                f"'{rest}' is no part of an image.", f"In, out, off, {', '.join(_CORNERS)}, upper left ..."
            )
        new = places.window(part, scene.width, scene.height, scene.transform)
    _focus(chat, None if new == (0, 0, scene.width, scene.height) else (letter, new))


def _diagonal(text: str) -> bool:
    return bool(re.search(r"(north|south).*(east|west)|^[ns][ew]$|(upper|lower|top|bottom).*(left|right)", text))


def _addressed(chat: Chat, argument: str) -> tuple[str, Scene, str]:
    """(letter, scene, what is left of the argument): the letter may stand first."""
    first, _, rest = argument.partition(" ")
    if rest and first.strip("[]").upper() in chat.conversation.scenes:
        return *chat.scene(first), rest.strip()
    return *chat.scene(), argument


def _focus(chat: Chat, focus: tuple[str, Region] | None) -> None:
    chat.conversation.focus = focus
    say_focus(chat)


def say_focus(chat: Chat) -> None:
    """What part of which image the next questions are about."""
    focus = chat.conversation.focus
    if focus is None:
        chat.screen.note("Questions are about the whole image.")
        return
    where = part_line(*focus, chat.conversation.scenes[focus[0]].gsd_m)
    chat.screen.note(f"Questions are about {where}. /look shows it, /zoom off ends it.")


def map_(chat: Chat, argument: str) -> None:
    """Write an html page with a map of the images, of the places that sources speak of, and of what tools outlined.
    /map FILE names the file."""
    from .maps import write_map

    path = Path(argument).expanduser() if argument else Path(f"rsrag-{chat.conversation.id}-map.html")
    write_map(chat.conversation, path)
    chat.screen.line(f"The map is in {path}.")


def _places(chat: Chat, argument: str) -> Iterator[Candidate]:
    yield from words([(name, "") for name in ("in", "out", "off", *_CORNERS)], argument)


def _letter_or_off(chat: Chat, argument: str) -> Iterator[Candidate]:
    yield from letters(chat, argument)
    yield from words([("off", "the whole image again")], argument)


COMMANDS: Final = (
    Command("image", "[FILE ...]", "open an image, or list those that are open", image, paths),
    Command("drop", "LETTER", "end an image", drop, letters),
    Command("look", "[LETTER|N]", "draw an image, or the picture of a source", look, letters_and_numbers),
    Command("region", "X,Y,W,H", "ask about a part, in pixels; off for the whole", region, _letter_or_off),
    Command("zoom", "[in|out|CORNER]", "ask about a part, by name; off for the whole", zoom, _places),
    Command("map", "[FILE]", "write a map page of images, sources and findings", map_, paths),
)
