"""Errors that are meant for people: one line of what is wrong and one of what to do next."""

from __future__ import annotations


class RsragError(Exception):
    """Anything expected to go wrong. `message` says what and where, `hint` what to do next.

    The command line prints both without a traceback; `--debug` shows it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(RsragError):
    """The request itself is malformed: an unknown name, a box with its axes swapped. Exit code 2."""


class ConfigError(UsageError):
    """A configuration value is unknown, of the wrong type, or not trusted."""


class SceneError(RsragError):
    """An image cannot be opened, read or placed on Earth."""


class StoreError(RsragError):
    """The knowledge base cannot be opened, read or written."""


class ModelError(RsragError):
    """A model (encoder, captioner, language model) is missing, broken or failed while running."""


class PluginError(RsragError):
    """A plugin broke its contract. Costs that plugin's features only."""
