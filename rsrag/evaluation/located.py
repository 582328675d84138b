"""Where a benchmark's questions and images lie: what all that read one file or folder have in common."""

from __future__ import annotations

from pathlib import Path


class Located:
    """`_path` is the file or folder of the questions, `_images` where their images are, "" for beside it."""

    _path: Path
    _images: str | Path

    @property
    def root(self) -> Path:
        """What the images are relative to: the folder that was given, else the file's own."""
        if self._images:
            return Path(self._images).expanduser()
        return self._path if self._path.is_dir() else self._path.parent

    @property
    def files(self) -> list[Path]:
        return [self._path]
