"""What a training run learns from: images with captions and labels, found but not yet decoded.

Three forms are read: a manifest (one JSON object per line), a folder with a folder per class, webdataset tars.
Whatever is wrong with a row, a sample or a file costs that one alone and is listed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from rsrag.errors import SceneError, UsageError
from rsrag.images import decoding

IMAGES: Final = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .jp2".split())
SPLITS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "test"), "val"),
}
_FORMS: Final = "Give a .jsonl manifest, a folder with a folder per class, or webdataset tars."
# Beside images, and nobody misses them: documents, and the companions of rasters that GDAL reads by itself.
_COMPANIONS: Final = frozenset(".txt .md .json .ovr .msk .xml .tfw .tifw .jgw .pgw .wld .prj .j2w .ini .db".split())
_COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MAGIC: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_LONGEST_TEXT: Final = 1_000_000  # bytes of a caption file; more is not a caption
_LONGEST_WHY: Final = 300  # characters; rows of others may be anything
_MOST_PATHS: Final = 100_000  # of one brace list
_BLOCK: Final = tarfile.BLOCKSIZE

Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image's bytes are: a whole file (`size` 0), or `size` bytes at `offset` of a tar, its member `name`."""

    path: Path
    offset: int = 0
    size: int = 0
    name: str = ""

    def __str__(self) -> str:
        return printable(f"{self.path}:{self.name}" if self.name else str(self.path))

    def read(self) -> bytes:
        """The encoded image. Raises `SceneError` when it is gone, may not be read, or its tar has become shorter."""
        with decoding(self.path), self.path.open("rb") as stream:
            stream.seek(self.offset)
            data = stream.read(self.size or -1)
        if len(data) < self.size:
            raise SceneError(f"{self} is cut short.", "The tar was changed; start again.")
        return data


@dataclass(frozen=True, slots=True)
class Example:
    """An image with at least a caption or a label.

    `label` is the class as the data writes it, "" where there is none. `dataset` names the collection: labels are
    compared only within one. `split` is "train" or "val".
    """

    image: ImageRef
    captions: tuple[str, ...]
    label: str = ""
    dataset: str = ""
    split: str = "train"


@dataclass
class Collected:
    """What was found, and (where, why) of all that was left out or mended."""

    examples: list[Example]
    problems: list[Problem]


def collect(what: Path | str | Sequence[Path | str], *, val_share: float = 0.1, seed: int = 0) -> Collected:
    """Find the examples of one or more data sets; no image is decoded and no tar unpacked.

    Each of `what` is a path, a glob or a brace list (`shard-{000..012}.tar`) of:
    - a manifest, .jsonl: `file` (or `image`), relative to it, and `captions` (or `caption`), `label`, `split`,
      `dataset`. A file that is not there is looked for in the plain tar beside the manifest, of the same stem.
    - a folder: a folder per class, perhaps below train/ and val/; captions in a .txt of the image's stem, one per line.
    - a webdataset tar, or a folder of them: .jpg, .png, .webp, .tif ... with .txt (captions), .json (the keys of a
      manifest's row) and .cls (label) of the same key.

    A data set is named by its manifest, folder or tar (without the shard's number); one called "train", "val" or
    "test" is that split of the data set named by its folder. Test images count as validation. Rows without a split
    fall to validation with probability `val_share`, 0 <= val_share < 1 (see `split_of`).
    Raises `UsageError` when one of `what` gives no example at all.
    """
    if not 0 <= val_share < 1:
        raise UsageError(f"val_share {val_share} is not a share.", "Give 0 or more, and less than 1.")
    wanted = [what] if isinstance(what, str | Path) else list(what)
    if not wanted:
        raise UsageError("there is no data to train on.", _FORMS)
    collector = _Collector(val_share, seed)
    for one in map(str, wanted):
        examples, problems = len(collector.examples), len(collector.problems)
        for path in _expand(one):
            collector.read(path)
        if len(collector.examples) == examples:
            where, why = (*collector.problems[problems:], (one, "it is empty"))[0]
            first = why if where == one else f"{where}: {why}"
            raise UsageError(f"{one} gives nothing to train on ({first}).", _FORMS)
    return Collected(collector.examples, collector.problems)


def split_of(name: str, dataset: str, val_share: float, seed: int = 0) -> str:
    """ "train" or "val" by a hash of the name alone: a file keeps its split whatever is added beside it."""
    digest = hashlib.blake2b(f"{seed}\0{dataset}\0{name}".encode(), digest_size=8).digest()
    return "val" if int.from_bytes(digest, "big") < val_share * 2**64 else "train"


def describe(c: Collected) -> str:
    """One line for a person: data sets, images, classes, captions, problems."""
    examples, captions = c.examples, [caption for e in c.examples for caption in e.captions]
    train = sum(e.split == "train" for e in examples)
    parts = [
        _count(len({e.dataset for e in examples}), "data set"),
        f"{_count(len(examples), 'image')} ({train:,} train, {len(examples) - train:,} val)",
        _count(len({(e.dataset, e.label) for e in examples if e.label}), "class", "classes"),
        f"{_count(len(captions), 'caption')} ({len(set(captions)):,} different)",
    ]
    return ", ".join(parts) + (f"; {_count(len(c.problems), 'problem')}" if c.problems else "")


def summary(problems: Sequence[Problem]) -> list[str]:
    """Lines for a person: each problem, or, when there are more than 50, each kind with its count and its first.

    The kind of a problem is what its `why` says before the colon.
    """
    if len(problems) <= 50:
        return [f"{where}: {why}" for where, why in problems]
    kinds = Counter(why.partition(":")[0] for _, why in problems)
    first = {why.partition(":")[0]: f"{where}: {why}" for where, why in reversed(problems)}
    return [f"{n:,} x {kind}; the first is {first[kind]}" for kind, n in kinds.most_common()]


def printable(text: str) -> str:
    """Names in files of others may hold control characters and bytes that are no text: those are spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


# -- rows: what is said about an image ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    captions: tuple[str, ...] = ()
    label: str = ""
    dataset: str = ""
    split: str = ""


def _json_object(data: bytes) -> dict[str, Any]:
    """Raises `ValueError`, whatever is wrong."""
    text = _text(data)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.pos + 1}") from None
    except (RecursionError, ValueError):
        raise ValueError("not JSON: nested too deeply, or a number too long") from None
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {text.strip()[:40]}")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte {data[error.start]:#04x} at column {error.start + 1}") from None


def _row(value: dict[str, Any]) -> _Row:
    """The row that a JSON object describes; keys of others are theirs. Raises `ValueError` for a wrong type."""
    captions = value.get("captions")
    captions = [] if captions is None else captions
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        raise ValueError(f"captions are not a list of texts: {captions!a:.40}")
    split = _string(value, "split")
    if split and split.lower() not in SPLITS:
        raise ValueError(f"unknown split: {split!a:.40} is none of {', '.join(SPLITS)}")
    single = [] if value.get("caption") is None else [_string(value, "caption")]
    return _Row((*captions, *single), _string(value, "label"), _string(value, "dataset"), SPLITS.get(split.lower(), ""))


def _string(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    if found is not None and not isinstance(found, str):
        raise ValueError(f"{key} is not a text: {found!a:.40}")
    return (found or "").strip()


def _lines(data: bytes) -> tuple[str, ...]:
    """The captions of a text file, one per line; an empty file is one empty caption."""
    return tuple(line for line in _text(data).splitlines() if line.strip()) or ("",)


def _inside(file: str) -> str:
    """A manifest's file as a plain relative name. Raises `ValueError` where that leaves the folder."""
    name = os.path.normpath(file)
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ValueError(f"outside the manifest's folder: {file!a:.80}")
    return name


def _identity(path: Path, *, shard: bool = False) -> tuple[str, str]:
    """(data set, split) that a path's name tells; a `shard`'s number is no part of it."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  (Path.absolute keeps "..", resolve() leaves the name of a link)
    stem = path.name if path.is_dir() else path.stem
    if shard:
        stem = re.sub(r"(^|[-_.])\d+$", "", stem)
    if not stem and path.name:
        return _identity(path.parent)
    split = SPLITS.get(stem.lower(), "")
    return (path.parent.name if split else stem), split


# -- paths ----------------------------------------------------------------------------------------


def _expand(what: str) -> Iterator[Path]:
    """The paths that a path, a glob or a brace list means; a path that exists means itself."""
    texts = [what] if os.path.lexists(what) else list(islice(_braces(what), _MOST_PATHS + 1))
    if len(texts) > _MOST_PATHS:
        raise UsageError(f"{what} names more than {_MOST_PATHS:,} paths.", "Give the folder instead.")
    for text in texts:
        try:
            path = Path(text).expanduser()
            if os.path.lexists(path) or not re.search(r"[*?\[]", text):
                yield path
                continue
            found = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
        except (ValueError, RuntimeError) as error:  # a pattern like a**b; the home of an unknown user
            raise UsageError(f"{text} is no path: {error}.", _FORMS) from error
        if not found:
            raise UsageError(f"no file matches {text}.", _FORMS)
        yield from found


def _braces(text: str) -> Iterator[str]:
    """As the shell does: a{1..3}b and a{x,y}b; leading zeros are kept."""
    found = re.search(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}", text)
    if not found:
        yield text
        return
    first, last, names = found.groups()
    choices: Iterable[str] = names.split(",") if names is not None else ()
    if names is None:
        choices = (str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
    for choice in choices:
        for rest in _braces(text[found.end() :]):
            yield text[: found.start()] + choice + rest


# -- reading --------------------------------------------------------------------------------------


@dataclass
class _Collector:
    val_share: float
    seed: int
    examples: list[Example] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def problem(self, where: object, why: str) -> None:
        self.problems.append((printable(str(where)), printable(why[:_LONGEST_WHY])))

    def read(self, path: Path) -> None:
        try:
            if path.is_dir():
                self.folder(path)
            elif not path.exists():
                self.problem(path, "there is no such file or folder")
            elif path.suffix.lower() in (".jsonl", ".ndjson"):
                self.manifest(path)
            elif path.suffix.lower() == ".tar" or path.name.lower().endswith(_COMPRESSED):
                self.tar(path)
            else:
                self.problem(path, "neither a .jsonl manifest, a folder nor a tar")
        except OSError as error:
            self.problem(error.filename or path, f"cannot be read: {error.strerror}")

    def add(self, image: ImageRef, name: str, row: _Row, where: object) -> None:
        """Keep an example. `name` is the image's, relative to its data set."""
        captions = tuple(caption for raw in row.captions if (caption := " ".join(raw.split())))
        try:
            "".join((*captions, row.label, row.dataset, name)).encode()
        except UnicodeEncodeError as error:
            return self.problem(where, f"half a character: {error.object[error.start]!a} is no Unicode")
        key = (os.path.abspath(image.path), image.offset)  # noqa: PTH100  (as above)
        if key in self.seen:
            return self.problem(where, f"given twice: {name}; the first is kept")
        if not captions and not row.label:
            return self.problem(where, f"neither caption nor label: {name}")
        if empty := len(row.captions) - len(captions):
            self.problem(where, f"empty captions dropped: {empty}")
        self.seen.add(key)
        split = row.split or split_of(name, row.dataset, self.val_share, self.seed)
        self.examples.append(Example(image, captions, row.label, row.dataset, split))

    # -- manifest ---------------------------------------------------------------------------------

    def manifest(self, path: Path) -> None:
        dataset, split = _identity(path)
        tar = _Beside(self, path)
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip(b" \t\r\n\xef\xbb\xbf"):
                    continue
                where = f"{path}:{number}"
                try:
                    value = _json_object(line)
                    file = _string(value, "file") or _string(value, "image")
                    if not file:
                        raise ValueError(f"no file key: it has {', '.join(value)[:80] or 'none at all'}")
                    row, name = _row(value), _inside(file)
                    image = tar.find(path.parent, name)
                except ValueError as error:
                    self.problem(where, str(error))
                    continue
                self.add(image, name, replace(row, dataset=row.dataset or dataset, split=row.split or split), where)

    # -- folder -----------------------------------------------------------------------------------

    def folder(self, root: Path) -> None:
        dataset, split = _identity(root)
        splits: set[str] = set()
        only_splits = False
        others: Counter[str] = Counter()
        images = 0
        for folder, below, names in self._walk(root):
            parts = list(folder.relative_to(root).parts)
            if not parts:
                only_splits = all(f.lower() in SPLITS for f in below)
            # A class may be called "train"; a split holds classes, or stands among splits only.
            elif len(parts) == 1 and parts[0].lower() in SPLITS and (below or only_splits):
                splits.add(parts[0])
            row = _Row(dataset=dataset, split=SPLITS[parts.pop(0).lower()] if splits & set(parts[:1]) else split)
            row = replace(row, label=parts[0] if parts else "")
            for name in names:
                file = folder / name
                kind = file.suffix.lower()
                if kind in IMAGES:
                    images += 1
                    captions = self._captions(file.with_suffix(".txt")) if f"{file.stem}.txt" in names else ()
                    self.add(ImageRef(file), file.relative_to(root).as_posix(), replace(row, captions=captions), file)
                elif kind not in _COMPANIONS and file.stem.upper() not in ("README", "LICENSE", "CITATION"):
                    others[kind] += 1
        if not images:
            for tar in sorted(p for p in root.iterdir() if p.name.lower().endswith((".tar", *_COMPRESSED))):
                others[tar.suffix.lower()] -= 1
                self.tar(tar)
        if others := +others:
            kinds = ", ".join(f"{kind or 'no suffix'} ({n})" for kind, n in sorted(others.items()))
            self.problem(root, f"files of other kinds left out: {kinds}")

    def _walk(self, root: Path) -> Iterator[tuple[Path, list[str], dict[str, None]]]:
        """Each visible folder, its visible folders and files. One reached twice, through a link, is read once."""
        seen: set[tuple[int, int]] = set()

        def new(folder: Path) -> bool:
            status = folder.stat()
            before = len(seen)
            seen.add((status.st_dev, status.st_ino))
            return len(seen) > before

        def failed(error: OSError) -> None:
            self.problem(error.filename, f"cannot be listed: {error.strerror}")

        new(root)
        for top, folders, names in os.walk(root, followlinks=True, onerror=failed):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and new(Path(top, f)))
            yield Path(top), folders, dict.fromkeys(sorted(n for n in names if not n.startswith(".")))

    def _captions(self, file: Path) -> tuple[str, ...]:
        try:
            if file.stat().st_size > _LONGEST_TEXT:
                raise ValueError(f"too long for captions: {file.stat().st_size:,} bytes")
            return _lines(file.read_bytes())
        except ValueError as error:
            self.problem(file, str(error))
        except OSError as error:
            self.problem(file, f"cannot be read: {error.strerror}")
        return ()

    # -- tar --------------------------------------------------------------------------------------

    def tar(self, path: Path) -> None:
        dataset, split = _identity(path, shard=True)
        samples: dict[str, dict[str, ImageRef]] = {}
        for name, member in self.members(path).items():
            inside = PurePosixPath(name)
            if not inside.name.startswith("."):  # macOS adds ._files
                key, _, end = inside.name.partition(".")
                samples.setdefault(str(inside.parent / key), {})[f".{end.lower()}"] = member
        for key, parts in samples.items():
            where = f"{path}:{key}"
            images = [end for end in parts if end in IMAGES]
            try:
                if len(images) != 1:
                    raise ValueError(f"not one image in the sample: {' '.join(parts)}")
                row = _Row(dataset=dataset, split=split)
                texts = {end: _small(parts[end]) for end in (".txt", ".json", ".cls") if end in parts}
                if ".json" in texts:
                    told = _row(_json_object(texts[".json"]))
                    row = replace(told, dataset=told.dataset or dataset, split=told.split or split)
                if ".txt" in texts:
                    row = replace(row, captions=(*row.captions, *_lines(texts[".txt"])))
                if ".cls" in texts:
                    row = replace(row, label=row.label or _text(texts[".cls"]).strip())
                self.add(parts[images[0]], parts[images[0]].name, row, where)
            except (ValueError, SceneError) as error:
                self.problem(where, str(error))

    def members(self, path: Path) -> dict[str, ImageRef]:
        """The files of a plain tar by their names; of two with one name the later, as when it is unpacked."""
        with path.open("rb") as stream:
            if stream.read(8).startswith(_MAGIC):
                self.problem(path, "compressed: only plain tars are read in place; gunzip it first")
                return {}
            length = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            found: dict[str, ImageRef] = {}
            end, why = 0, "it ends without an end mark"
            try:
                with tarfile.open(fileobj=stream, mode="r:") as archive:
                    for member in archive:
                        end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                        name = os.path.normpath(member.name)
                        if member.isdir():
                            continue
                        if not member.isreg() or member.issparse():
                            self.problem(f"{path}:{name}", "not a plain file: links, devices and sparse files stay out")
                        elif not 0 < member.size <= length - member.offset_data:
                            self.problem(f"{path}:{name}", "empty or cut short: the tar does not hold its bytes")
                        else:
                            found[name] = ImageRef(path, member.offset_data, member.size, name)
            except (tarfile.TarError, ValueError) as error:
                why = str(error)
            # tarfile takes damage after the first member for the end.
            stream.seek(end)
            if stream.read(_BLOCK) != bytes(_BLOCK):
                self.problem(path, f"damaged or cut short: {why}; {_count(len(found), 'file')} could be found")
        return found


def _small(part: ImageRef) -> bytes:
    if part.size > _LONGEST_TEXT:
        raise ValueError(f"too long for captions: {part.size:,} bytes")
    return part.read()


@dataclass
class _Beside:
    """The files of a manifest: on disk, or else in the tar of its stem, which is opened when the first is missing."""

    collector: _Collector
    manifest: Path
    members: dict[str, ImageRef] | None = None

    def find(self, folder: Path, name: str) -> ImageRef:
        """Raises `ValueError` when it is nowhere."""
        if os.path.isfile(folder / name):  # noqa: PTH113  (Path.is_file raises for a name too long)
            return ImageRef(folder / name)
        tar = self.manifest.with_suffix(".tar")
        if self.members is None:
            self.members = self.collector.members(tar) if tar.is_file() else {}
        if name in self.members:
            return self.members[name]
        compressed = next((p.name for end in _COMPRESSED if (p := self.manifest.with_suffix(end)).is_file()), "")
        if compressed and not tar.is_file():
            raise ValueError(f"file missing: {name}; {compressed} is compressed, gunzip it first")
        raise ValueError(f"file missing: {name}" + (f", in {tar.name} as well" if tar.is_file() else ""))
