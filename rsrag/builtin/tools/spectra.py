"""What the tools on bands say alike: which bands they used, how they were read, and what the numbers are worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rsrag import Scene

from .wording import date, length, listed, scene_name

MAX_SIDE: Final = 2048
RELATIVE: Final = (
    "The values of {name} are 8-bit and look stretched for display, so its index values are relative: they compare "
    "places within the image and are not those of surface reflectance."
)
RAW: Final = (
    "The file of {name} does not tell how its numbers become reflectance, so they were used as they are: an offset or "
    "different gains of the bands would change the index."
)


def called(scene: Scene) -> str:
    """A scene in a sentence of its own: "the scene of 2020-07-15", or the stem of its file's name; of a part the pixels
    (x,y,width,height) too."""
    when, (_, _, part) = date(scene), scene.uri.partition("#xywh=")
    return f"the scene of {when}{f' ({part})' if part else ''}" if when else scene_name(scene)


def bands_used(scene: Scene, roles: Iterable[str]) -> str:
    """A sentence: which bands were used, and who says what they are."""
    named = []
    for role in dict.fromkeys(roles):
        own = scene.bands[number - 1] if (number := scene.band(role)) and number <= len(scene.bands) else ""
        named.append(f"{role} ({own})" if own and own.lower() != role else role)
    words = listed(named)
    which = f"The band used is {words}" if len(named) == 1 else f"The bands used are {words}"
    guess = scene.bands_from.startswith("a guess")
    whence = f"; which band is which is {scene.bands_from}" if guess else f", named by {scene.bands_from}"
    return f"{which}{whence if scene.bands_from else ''}."


def reading(scene: Scene, shape: tuple[int, int]) -> str:
    """A sentence when the scene was read reduced; "" when every pixel was looked at."""
    factor = max(scene.width / shape[1], scene.height / shape[0])
    if factor < 1.01:
        return ""
    size = f", {length(scene.gsd_m * factor)} each" if scene.gsd_m else ""
    return f"The scene was read reduced to {shape[1]:,} x {shape[0]:,} pixels{size}."


def pixel_size(scene: Scene, shape: tuple[int, int]) -> float | None:
    """Metres per pixel of a reading of that shape; None where the file does not tell."""
    return scene.gsd_m * max(scene.width / shape[1], scene.height / shape[0]) if scene.gsd_m else None


def worth(bands_unit: str, name: str) -> tuple[str, ...]:
    """Caveats on what index values of such numbers are worth."""
    return {"stretched": (RELATIVE.format(name=name),), "unknown": (RAW.format(name=name),)}.get(bands_unit, ())


def joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
