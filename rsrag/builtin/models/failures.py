"""What providers' errors mean: one line for people, and whether something was refused that can be left out."""

from __future__ import annotations

import re
from typing import Any, Literal

from rsrag import ModelError

Refused = Literal["images", "tools", "usage", ""]

_IMAGES = re.compile(r"\bimages?\b|image_url|\bvision\b|multi-?modal|mmproj|content type", re.IGNORECASE)
_TOOLS = re.compile(r"\btools?\b|tool_choice|tool-call|function[ _]call|--jinja", re.IGNORECASE)
_USAGE = re.compile(r"stream_options|include_usage", re.IGNORECASE)
_NOT_THIS_IMAGE = re.compile(
    r"too (?:large|big|many bytes)|larger than|bytes exceed|(?:cannot|could not|failed to|unable to) (?:decode|identify"
    r"|load|process|open)|corrupt|invalid (?:image|base64)|not a valid image",
    re.IGNORECASE,
)
_AT_MOST = re.compile(r"at most (\d+) images?", re.IGNORECASE)


def status_of(error: BaseException) -> int:
    """The HTTP status of an error of any client, 0 where it has none."""
    response = getattr(error, "response", None)
    for found in (getattr(error, "status_code", None), getattr(response, "status_code", None)):
        if isinstance(found, int) and found > 0:
            return found
    return 0


def words_of(error: BaseException) -> str:
    """What the server said, else the error's own first line."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, dict) else inner
        said = said or body.get("detail")
        if isinstance(said, str) and said.strip():
            return " ".join(said.split())[:300]
    return (str(error).strip() or "no message").splitlines()[0][:300]


def refused(error: BaseException, *, images: bool, tools: bool, usage: bool) -> Refused:
    """What of the request the server does not take at all; `images`, `tools`, `usage` tell what the request had.

    Servers say so with 400 and 422, some with 404, 500 or 501; what they say is all there is to go by.
    """
    status = status_of(error)
    if status not in (400, 404, 405, 415, 422, 500, 501):
        return ""
    said = words_of(error)
    if usage and _USAGE.search(said):
        return "usage"
    if tools and _TOOLS.search(said):
        return "tools"
    if images and _IMAGES.search(said) and not _NOT_THIS_IMAGE.search(said):
        return "images"
    return ""


def images_at_most(error: BaseException) -> int:
    """How many images the server says it takes, 0 when it does not say or takes none."""
    found = _AT_MOST.search(words_of(error))
    return int(found.group(1)) if found else 0


def failed(error: BaseException, label: str, *, where: str, timeout: float, spoke: bool, images: bool) -> ModelError:
    """The error for people. `spoke`: part of the answer had come by then; `where` is the server's address."""
    status = status_of(error)
    said = words_of(error)
    kind = f"HTTP {status}" if status else type(error).__name__
    verb = "broke off in the middle of its answer" if spoke else "failed"
    return ModelError(f"model {label} {verb}: {kind}: {said.rstrip('.')}.", _hint(error, where, timeout, spoke, images))


def _hint(error: BaseException, where: str, timeout: float, spoke: bool, images: bool) -> str:
    """What to do next, from what providers' errors have in common: status, class names and words."""
    status = status_of(error)
    kinds = " ".join(cls.__name__ for cls in type(error).__mro__[:3]).lower()
    words = f"{error} {words_of(error)}".lower()
    if "timeout" in kinds or "timed out" in words:
        what = "No further token" if spoke else "No token"
        return f"{what} came for {timeout:g} s: raise `timeout`, or use a smaller model."
    if status == 429 or "ratelimit" in kinds or "429" in words:
        return "The provider limits requests: wait a little, or raise `retries`."
    if status in (401, 403) or "auth" in kinds or "401" in words or "api key" in words or "api_key" in words:
        return "Check the API key; with `base_url`, name its variable in `api_key_env`."
    if "temperature" in words:
        return "Set temperature = 1: some models take no other."
    if images and _IMAGES.search(words):
        return "If the model takes no images, set images=false."
    if re.search(r"context|too long|maximum.{0,20}tokens", words):
        return "Set `context` to the model's size in tokens, so that the evidence is made to fit."
    if status == 404 or "notfound" in kinds or "404" in words:
        return "Check the model's name; the server does not know it."
    if status >= 500:
        return f"The server at {where} has an error of its own: see its log, or ask again."
    if "connect" in kinds or "protocol" in kinds or "connection" in words:
        if spoke:
            return f"The connection to {where} ended: is the server still running? Ask again."
        return f"Is the server running at {where}? Check `base_url`."
    return "Run again with --debug for the whole error."
