"""Pictures of a transcript as data URLs: previews of scenes, what tools drew, images of the evidence."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Final

from ..errors import RsragError
from ..scene import open_scene

Region = tuple[int, int, int, int]

SIDE: Final = 640
"""Pixels of the longer side of a picture that is made smaller."""
AS_IT_IS: Final = 400_000
"""Bytes up to which a drawing is taken as it is: its lines and letters would suffer."""
_QUALITY: Final = 82


def picture(path: str, side: int = SIDE, *, drawing: bool = False, part: Region | None = None) -> str:
    """`data:image/...;base64,...` of an image file, or of the `part` x, y, w, h of it, at most `side` pixels on the
    longer side; "" when it cannot be read any more."""
    try:
        if drawing:
            content = Path(path).read_bytes()
            if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) <= AS_IT_IS:
                return _url("image/png", content)
        return _jpeg(path, 2 * side if drawing else side, part)
    except (RsragError, OSError, ValueError):
        return ""


def _jpeg(path: str, side: int, part: Region | None) -> str:
    from PIL import Image

    scene = open_scene(path)
    scene = scene.window(*part) if part else scene
    buffer = io.BytesIO()
    Image.fromarray(scene.rgb(side)).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return _url("image/jpeg", buffer.getvalue())


def _url(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
