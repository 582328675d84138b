"""Pictures in the terminal: Kitty or Sixel graphics where the terminal says it can, coloured half blocks elsewhere."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .describe import short_path

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...types import Evidence, Scene
    from .screen import Screen
    from .state import Chat

CELL_RATIO = 2
"""A character cell is about twice as high as wide."""
BLOCKS, DENSITY = " ░▒▓█", " .:-=+*#%@"
"""From dark to bright, on a dark terminal."""
MOST_PIXELS = 1200
"""Of the longer side, where the terminal draws real pixels."""


def look_at_scene(chat: Chat, letter: str, scene: Scene, composite: str = "") -> None:
    """Draw a scene, the part in focus if there is one. Raises `UsageError` where nothing can be drawn."""
    from PIL import Image

    focus = chat.conversation.focus
    part = ""
    if focus and focus[0] == letter:
        scene = scene.window(*focus[1])
        part = f", {focus[1][2]} x {focus[1][3]} px from {focus[1][0]},{focus[1][1]}"
    pixels = scene.composite(composite, MOST_PIXELS) if composite else scene.rgb(MOST_PIXELS)
    draw(chat.screen, Image.fromarray(pixels))
    kind = f", {composite}" if composite else ""
    chat.screen.note(f"[{letter}] {Path(scene.uri.partition('#')[0]).name}{part}{kind}")


def look_at_evidence(chat: Chat, item: Evidence) -> None:
    """Draw the pictures of a source. Raises `UsageError` when it has none, `SceneError` when they are gone."""
    from PIL import Image

    if not item.images:
        raise UsageError(f"source [{item.number}] has no picture.", f"/show {item.number} reads it.")
    for path in item.images:
        scene = chat.conversation.assistant.query("", path).scenes[0]
        draw(chat.screen, Image.fromarray(scene.rgb(MOST_PIXELS)))
        chat.screen.note(f"[{item.number}] {item.title}: {short_path(path)}")


def draw(screen: Screen, image: Image) -> None:
    """The image as wide as the terminal allows, and low enough to be seen whole."""
    if not screen.interactive and not screen.console.is_terminal:
        raise UsageError("pictures are drawn in a terminal only.", "/export html writes them to a page.")
    columns = min(screen.width, 120)
    rows = max(4, screen.console.height - 4)
    scale = min(columns / image.width, rows * CELL_RATIO / image.height)
    wide, high = max(1, round(image.width * scale)), max(2, round(image.height * scale))
    real = _pixel_renderable()
    if real is not None:
        screen.console.print(real(image, width=wide, height=max(1, high // CELL_RATIO)))
        return
    if screen.console.color_system is None or screen.console.no_color:
        _in_shades(screen, image, wide, max(1, high // CELL_RATIO))
    else:
        _in_cells(screen, image, wide, high)


def _in_shades(screen: Screen, image: Image, wide: int, rows: int) -> None:
    """Brightness as characters, where there are no colours."""
    from PIL import Image as Images
    from PIL import ImageOps

    grey = ImageOps.autocontrast(image.convert("L").resize((wide, rows), Images.Resampling.LANCZOS), cutoff=1)
    shades = BLOCKS if screen.unicode else DENSITY
    values = grey.tobytes()
    for row in range(rows):
        line = "".join(shades[value * len(shades) // 256] for value in values[row * wide : (row + 1) * wide])
        screen.console.print(line.rstrip(), markup=False, soft_wrap=True)


def _in_cells(screen: Screen, image: Image, wide: int, high: int) -> None:
    """Two pixels in each cell, one above the other; without Unicode one, as a coloured blank."""
    from PIL import Image as Images
    from rich_pixels import FullcellRenderer, HalfcellRenderer, Pixels

    if screen.unicode:
        small = image.resize((wide, high + high % 2), Images.Resampling.LANCZOS)
        screen.console.print(Pixels.from_image(small, renderer=HalfcellRenderer()))
    else:
        small = image.resize((max(1, wide // 2), max(1, high // 2)), Images.Resampling.LANCZOS)
        screen.console.print(Pixels.from_image(small, renderer=FullcellRenderer()))


@functools.cache
def _pixel_renderable() -> Any:
    """The class that draws real pixels here, None where the terminal cannot.

    Its package asks the terminal when it is imported, and would wait for ever in the background: it is imported only
    in the foreground, when a picture is wanted.
    """
    try:
        in_front = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        in_front = False
    if not (in_front and sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return None
    from textual_image import renderable

    return renderable.Image if renderable.Image in (renderable.SixelImage, renderable.TGPImage) else None
