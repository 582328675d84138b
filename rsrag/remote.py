"""Images on a server: http(s):// and s3://, read in parts, only for those who allowed it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from .datasets import Location
from .errors import SceneError

SCHEMES: Final = ("http", "https", "s3")
# Only formats that hold everything in one file: nothing beside the image is looked for, no folder is listed.
_DRIVERS: Final = ("GTiff", "JP2OpenJPEG")
_OPTIONS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_LOW_SPEED_TIME": "20",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}


def scheme_of(uri: str) -> str:
    """ "https" of https://..., "" of a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", uri)
    return found[1].lower() if found else ""


def locate(uri: str, allowed: bool) -> Location:
    """Where GDAL finds an image on a server. Raises `SceneError` unless it was allowed."""
    parts = urlsplit(uri)
    if parts.username or parts.password:
        raise SceneError("an image's address must not hold a password.", "Give it to GDAL: GDAL_HTTP_USERPWD.")
    if not allowed:
        raise SceneError(
            f"{uri} is not a local file, and nothing is fetched unless configured.",
            "Allow it: remote_scenes = true in the configuration, or RSRAG_REMOTE_SCENES=true; or download it.",
        )
    if not parts.netloc or not parts.path.strip("/") or not uri.isprintable() or " " in uri:
        raise SceneError(f"{uri[:200]!r} is not the address of an image.", "Example: https://host/scene.tif")
    if parts.scheme.lower() == "s3":
        name = f"/vsis3/{parts.netloc}{parts.path}"
    else:
        name = f"/vsicurl/{uri}"
    # GDAL may fetch this one address and no other, whatever the file names.
    return Location(uri, name, None, _DRIVERS, {**_OPTIONS, "CPL_VSIL_CURL_ALLOWED_FILENAME": name})
