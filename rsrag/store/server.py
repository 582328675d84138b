"""A Chroma server as the configuration names it: its address, and the token it wants."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import ConfigError

log = logging.getLogger("rsrag")

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Server:
    """An address like "http://host:8000", and the environment variable that holds the token, if one is needed."""

    url: str
    token_env: str = ""

    @classmethod
    def at(cls, url: str, token_env: str = "") -> Server:
        """Raises `ConfigError` for what is no address of a server, or a token that would be sent readable."""
        example = 'Give it as store = "http://host:8000" or "https://host/path".'
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigError(f"store '{url}' is not the address of a server ({error}).", example) from error
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise ConfigError(f"store '{url}' is not the address of a server.", example)
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                f"store names a password for {host}.", "Put the token into a variable; name it in store_token_env."
            )
        if token_env and parts.scheme == "http" and host not in LOOPBACK:
            raise ConfigError(
                f"the token for {url} would be sent unencrypted.", "Use https://, or leave out store_token_env."
            )
        named = f"[{host}]" if ":" in host else host
        port = port or (443 if parts.scheme == "https" else 8000)
        return cls(f"{parts.scheme}://{named}:{port}{parts.path.rstrip('/')}", token_env)

    def headers(self) -> dict[str, str]:
        """The token as a gateway takes it and as Chroma does. Raises `ConfigError` where the variable is not set."""
        if not self.token_env:
            return {}
        token = os.environ.get(self.token_env, "")
        if not token:
            raise ConfigError(
                f"the token for {self.url} is missing: ${self.token_env} is not set.", "Set it, or name another."
            )
        return {"Authorization": f"Bearer {token}", "X-Chroma-Token": token}
