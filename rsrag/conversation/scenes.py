"""The scenes of a conversation under their letters. A letter that was dropped is not given again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import SceneError, UsageError
from ..types import Scene, letter


@dataclass(slots=True)
class Placed:
    """A scene under its letter. `options` are those it was opened with; `gone` says why it cannot be opened now;
    `given` is what it was made of."""

    letter: str
    uri: str
    options: Mapping[str, Any] = field(default_factory=dict)
    scene: Scene | None = None
    gone: str = ""
    dropped: bool = False
    given: object = field(default=None, repr=False, compare=False)


class Shelf:
    """Scenes by letter, A, B, C ..., in the order they came."""

    def __init__(self, placed: tuple[Placed, ...] | list[Placed] = ()) -> None:
        self._placed: dict[str, Placed] = {p.letter: p for p in placed}

    def __iter__(self) -> Iterator[Placed]:
        """Those that were not dropped, also where the file is gone."""
        return (p for p in self._placed.values() if not p.dropped)

    @property
    def all(self) -> tuple[Placed, ...]:
        """Every scene there ever was."""
        return tuple(self._placed.values())

    @property
    def standing(self) -> dict[str, Scene]:
        """Those that can be asked about."""
        return {p.letter: p.scene for p in self if p.scene is not None}

    def add(self, scene: Scene, options: Mapping[str, Any], given: object = None) -> Placed:
        """The scene under the next letter. A file that is here already keeps its letter, and is read anew; so does a
        scene that is `given` again (pixels in memory have no name to know them by)."""
        uri = absolute(scene.uri)
        for placed in self:
            same = placed.given is given if isinstance(given, Scene) else placed.gone or local_file(uri) is not None
            if placed.uri == uri and same:
                placed.scene, placed.gone, placed.options = scene, "", dict(options)
                return placed
        placed = Placed(letter(len(self._placed)), uri, dict(options), scene, given=given)
        self._placed[placed.letter] = placed
        return placed

    def get(self, name: str) -> Placed:
        """The scene of a letter. Raises `UsageError` with those there are."""
        key = name.strip(" []").upper()
        placed = self._placed.get(key)
        if placed is not None and not placed.dropped:
            return placed
        there = ", ".join(p.letter for p in self) or "none yet"
        if placed is not None:
            raise UsageError(f"image [{key}] was dropped; its letter is not used again.", f"There are: {there}.")
        raise UsageError(f"there is no image [{key}].", f"There are: {there}.")

    def drop(self, name: str) -> Placed:
        """End a letter. Raises `UsageError` as `get` does."""
        placed = self.get(name)
        placed.dropped = True
        return placed

    def check(self, letters: tuple[str, ...]) -> None:
        """Raises `SceneError` when a file was removed since it was opened."""
        for name in letters:
            placed = self.get(name)
            file = local_file(placed.uri)
            if placed.gone or (file is not None and not file.exists()):
                why = f"image [{placed.letter}] is no longer there: {placed.uri.partition('#')[0]}."
                raise SceneError(why, f"Put it back, or end it with /drop {placed.letter}.")


def absolute(uri: str) -> str:
    """A local file by its whole path, so that it is found from another folder too; other addresses as they are."""
    base, mark, part = uri.partition("#xywh=")
    file = local_file(base)
    return f"{file.absolute()}{mark}{part}" if file is not None and file.exists() else uri


def local_file(uri: str) -> Path | None:
    """The file of a scene; None for pixels in memory and for what a plugin opens from elsewhere."""
    base = uri.partition("#xywh=")[0]
    scheme = urlsplit(base).scheme
    if scheme == "file":
        return Path(unquote(urlsplit(base).path))
    if len(scheme) > 1 or not ("/" in base or "\\" in base or "." in base):
        return None
    return Path(base).expanduser()
