"""Every image decoded once, as small squares in one file that training maps into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rsrag.api import open_scene
from rsrag.errors import RsragError, UsageError

from .examples import Example, ImageRef, Problem, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMAT: Final = 1
_CHUNK: Final = 256  # images between two notes of how far it got
_LOOK: Final = 512  # px; encoders reduce a scene to this before they make it square


def cache_pixels(
    examples: Sequence[Example],
    side: int,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.uint8], list[int], list[Problem]]:
    """The images of the examples as uint8 RGB (n, side, side, 3), mapped read-only from a file in `folder`.

    Whole images, resized with Lanczos without keeping the aspect, as the encoder sees them. Returns the pixels, the
    positions in `examples` of the n images that could be read, in order, and (where, why) of the others.
    `pixels-SIDE.npy` and `pixels-SIDE.json` are used again, or gone on with after an interruption, while the images
    (place, length, time of change) and `side` are the same. `progress(done, of)` is called now and then.
    Raises `UsageError` when no image can be read, or the disk has no room.
    """
    if side < 1:
        raise UsageError(f"{side} is not a side in pixels.", "Give 1 or more.")
    if not examples:
        raise UsageError("there are no images to read.", "Check what the data and the labels left out come to.")
    folder.mkdir(parents=True, exist_ok=True)
    cache = _Cache(folder / f"pixels-{side}.npy", (len(examples), side, side, 3), _digest(examples, side))
    bad = cache.resume()
    done = cache.done
    if done < len(examples):
        pixels = cache.map()
        with ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory(prefix="rsrag-") as scratch:
            while done < len(examples):
                chunk = range(done, min(done + _CHUNK, len(examples)))
                squares = pool.map(lambda i: _square(examples[i].image, side, Path(scratch) / str(i)), chunk)
                for i, square in zip(chunk, squares, strict=True):
                    if isinstance(square, str):
                        bad[i] = square
                    else:
                        pixels[i - len(bad)] = square
                done = chunk.stop
                pixels.flush()
                cache.note(done, bad)
                if progress:
                    progress(done, len(examples))
    problems = [(str(examples[i].image), why) for i, why in bad.items()]
    kept = [i for i in range(len(examples)) if i not in bad]
    if not kept:
        raise UsageError(
            f"none of the {len(examples):,} images can be read ({': '.join(problems[0])}).", "Check the files."
        )
    return cache.map("r")[: len(kept)], kept, problems


def _square(image: ImageRef, side: int, scratch: Path) -> NDArray[np.uint8] | str:
    """uint8 (side, side, 3), or why not. A member of a tar is opened as the file `scratch`."""
    import numpy as np
    from PIL import Image

    file = scratch if image.name else image.path
    try:
        if image.name:
            scratch.write_bytes(image.read())
        rgb = Image.fromarray(open_scene(file).rgb(_LOOK))
        return np.asarray(rgb.resize((side, side), Image.Resampling.LANCZOS))
    except (RsragError, OSError) as error:
        why = error.message if isinstance(error, RsragError) else str(error.strerror)
        return f"unreadable: {printable(why.replace(str(file), Path(image.name or image.path).name))}"
    finally:
        if image.name:
            scratch.unlink(missing_ok=True)


def _digest(examples: Sequence[Example], side: int) -> str:
    """Of what the pixels are made from. The time is that of the inode's last change: mending permissions counts."""
    digest = hashlib.blake2b(f"{_FORMAT} {side}".encode(), digest_size=16)
    states: dict[Path, tuple[int, int] | None] = {}
    for image in (e.image for e in examples):
        if image.path not in states:
            try:
                status = image.path.stat()
                states[image.path] = status.st_size, status.st_ctime_ns
            except (OSError, ValueError):
                states[image.path] = None
        state = (str(image.path.absolute()), image.offset, image.size, states[image.path])
        digest.update(repr(state).encode(errors="surrogatepass"))
    return digest.hexdigest()


@dataclass
class _Cache:
    """Rows of pixels in a .npy file, and beside it what they are of and how far they got."""

    file: Path
    shape: tuple[int, int, int, int]
    digest: str
    done: int = 0

    def resume(self) -> dict[int, str]:
        """Sets `done` and returns why images before it are missing; makes an empty file where none can be used."""
        try:
            note = json.loads(self.file.with_suffix(".json").read_bytes())
            if note["digest"] == self.digest and self.map("r").shape == self.shape:
                self.done = int(note["done"])
                return {int(i): str(why) for i, why in note["bad"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # missing or no longer whole: made anew
        self._make()
        return {}

    def _make(self) -> None:
        import numpy as np

        self.file.with_suffix(".json").unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)
        needed, free = int(np.prod(self.shape)), shutil.disk_usage(self.file.parent).free
        if needed > free:  # a full disk would end the process, not raise, once the file is mapped
            raise UsageError(
                f"the pixels of {self.shape[0]:,} images take {needed >> 20:,} MiB, and {self.file.parent} has "
                f"{free >> 20:,} MiB left.",
                "Make room, or choose another folder.",
            )
        self.map("w+")

    def map(self, mode: Any = "r+") -> np.memmap[Any, np.dtype[np.uint8]]:
        import numpy as np

        if mode == "w+":
            return np.lib.format.open_memmap(self.file, mode, np.uint8, self.shape)
        return np.lib.format.open_memmap(self.file, mode)

    def note(self, done: int, bad: dict[int, str]) -> None:
        """Written after the rows, and at once: a note never claims more than is there."""
        side = self.file.with_suffix(".json")
        fresh = side.with_suffix(".new")
        fresh.write_text(json.dumps({"digest": self.digest, "done": done, "bad": bad}), encoding="utf-8")
        fresh.replace(side)
