"""Images with labels, captions and splits: a folder per class, a table of JSON lines, or a caption dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final, Literal

from rsrag import Record, Section, UsageError
from rsrag.evaluation.formats import load
from rsrag.evaluation.formats.fields import text_of, texts_of
from rsrag.evaluation.formats.reading import records

KNOWLEDGE: Final = "train"
HELD_OUT: Final = 5  # one image in so many is asked about, where no split is given
_SPLITS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image by its path in the root, with what is known of it."""

    file: str
    label: str = ""
    captions: tuple[str, ...] = ()
    split: str = ""


def read_pictures(path: Path) -> list[Picture]:
    """All images of a folder per class (perhaps below train/, val/, test/), of a caption dataset, or of JSON lines of
    {"file", "label", "captions", "split"}, with a split each.

    Raises `UsageError` for what is none of these.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist.", "Give --data a folder per class, or a file.")
    if path.is_dir():
        found = [_of_folder(entry.sample.id, entry.sample.references[0]) for entry in load(path).entries]
    else:
        found = _of_file(path)
    return found if any(p.split for p in found) else [_held_out(p) for p in found]


def asked(pictures: Sequence[Picture], split: str) -> list[Picture]:
    """The images of a split; of the test split where none is named, else of val, else of all."""
    there = {p.split for p in pictures}
    if split and split not in there:
        raise UsageError(f"there is no split '{split}'.", f"There are {', '.join(sorted(there))}.")
    wanted = split or next((name for name in ("test", "val") if name in there), "")
    return [p for p in pictures if p.split == wanted or not wanted]


def known(pictures: Sequence[Picture], split: str) -> list[Picture]:
    """The training images; none of those that are asked about."""
    questions = {p.file for p in asked(pictures, split)}
    return [p for p in pictures if p.split == KNOWLEDGE and p.file not in questions]


def _of_folder(file: str, label: str) -> Picture:
    first = PurePosixPath(file).parts[0].lower()
    return Picture(file, label, (), _SPLITS.get(first, "") if len(PurePosixPath(file).parts) > 2 else "")


def _of_file(path: Path) -> list[Picture]:
    given, whole = records(path)
    if isinstance(whole, dict) and isinstance(whole.get("images"), list):
        samples = [entry.sample for entry in load(path).entries]
        return [Picture(s.id, "", s.references, _split(s.meta.get("split"))) for s in samples]
    found = []
    for where, record in given:
        try:
            if not isinstance(record, dict) or not (file := text_of(record.get("file"), "file")):
                raise ValueError("names no file")
            captions = texts_of(record.get("captions"), "captions")
            label = text_of(record.get("label"), "label") or ""
            found.append(Picture(file, label, captions, _split(record.get("split"))))
        except ValueError as error:
            raise UsageError(f"{where} {error}.", 'A line is {"file", "label", "captions", "split"}.') from error
    return found


def _split(value: object) -> str:
    name = str(value or "").lower()
    return _SPLITS.get(name, name)


def _held_out(picture: Picture) -> Picture:
    """The same images on every machine, whatever else lies beside them."""
    number = int.from_bytes(hashlib.blake2b(picture.file.encode(), digest_size=4).digest(), "big")
    return Picture(picture.file, picture.label, picture.captions, "val" if number % HELD_OUT == 0 else KNOWLEDGE)


class PictureSource:
    """Pictures as records of a knowledge base: subject "class/<label>", the label and captions as its text."""

    name: ClassVar[str] = "pictures"
    role: Literal["reference", "mine"] = "reference"

    def __init__(self, root: Path, pictures: Sequence[Picture], label: str = "pictures") -> None:
        self.root, self.label = root, label
        self._pictures = pictures
        self.problems: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self._pictures)

    def records(self) -> Iterator[Record]:
        for picture in self._pictures:
            name = picture.label.replace("_", " ").strip()
            sections = [Section("label", name)] if name else []
            sections += [Section("caption", text.strip()) for text in picture.captions if text.strip()]
            yield Record(
                id=picture.file,
                subject=f"class/{name}" if name else f"file/{picture.file}",
                title=name or PurePosixPath(picture.file).stem,
                sections=tuple(sections),
                images=(picture.file,),
            )
