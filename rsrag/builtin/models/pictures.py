"""Pictures for chat models: a scene as a JPEG in a data URL."""

from __future__ import annotations

import base64
import io

from rsrag import RsragError, Scene

QUALITY = 85  # below it, JPEG blocks show in 10 m imagery; above it, files grow and nothing is gained


def data_url(image: Scene | str, max_side: int = 1024) -> str:
    """`data:image/jpeg;base64,...` of a scene, or of the image at a path; "" when a path cannot be read.

    A scene that was opened and cannot be read any more raises its own error: the user asked about it. A picture
    of evidence is a help that may be missing.
    """
    if isinstance(image, Scene):
        return _encode(image, max_side)
    from rsrag import open_scene

    try:
        return _encode(open_scene(image), max_side)
    except (RsragError, OSError):
        return ""


def _encode(scene: Scene, max_side: int) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(scene.rgb(max_side)).save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
