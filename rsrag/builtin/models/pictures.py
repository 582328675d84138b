"""Pictures for chat models: a scene, or an image of evidence, as a small RGB image or as a JPEG in a data URL."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from rsrag import RsragError, Scene

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 85  # below it, JPEG blocks show in 10 m imagery; above it, files grow and nothing is gained


def picture(image: Scene | str, max_side: int = 1024) -> Image.Image | None:
    """RGB of a scene, or of the image at a path, at most `max_side` pixels long; None when a path cannot be read.

    A scene that was opened and cannot be read any more raises its own error: the user asked about it. A picture
    of evidence is a help that may be missing.
    """
    from PIL import Image

    if isinstance(image, Scene):
        return Image.fromarray(image.rgb(max_side))
    from rsrag import open_scene

    try:
        return Image.fromarray(open_scene(image).rgb(max_side))
    except (RsragError, OSError):
        return None


def data_url(image: Scene | str, max_side: int = 1024) -> str:
    """`data:image/jpeg;base64,...` of a `picture`; "" when there is none."""
    found = picture(image, max_side)
    if found is None:
        return ""
    buffer = io.BytesIO()
    found.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
