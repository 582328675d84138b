"""Whether a raster file names others that GDAL would open by itself: VRTs, companions, XML that fetches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from .errors import SceneError

Opens = Callable[[Path], None]


def check_file(path: Path, opens: Opens) -> None:
    """GDAL opens some XML by fetching what it names: of XML only a VRT is let through, and only a harmless one.

    `opens` tries an image that a VRT names and raises when it is none. Raises `SceneError`.
    """
    _check_beside(path)
    with path.open("rb") as stream:
        head = stream.read(4096)
    if b"<vrtdataset" in head.lower():
        _check_vrt(path, path.resolve().parent, set(), opens)
    elif _start(head).startswith(b"<"):
        raise SceneError(f"{path} is not an image; it holds XML or HTML.", "Give an image file.")


def _start(head: bytes) -> bytes:
    return head[:64].lstrip().removeprefix(b"\xef\xbb\xbf").lstrip()


def _check_beside(path: Path) -> None:
    """Companions are opened by GDAL itself, with every driver it has: they must be harmless too."""
    for end in (".ovr", ".OVR", ".msk", ".MSK", ".ovr.ovr", ".msk.ovr"):
        beside = path.with_name(path.name + end)
        if beside.is_file():
            with beside.open("rb") as stream:
                if stream.read(2) not in (b"II", b"MM"):
                    raise SceneError(f"{beside} is not a TIFF.", "Remove it or build it again with gdaladdo.")
    for end in (".aux.xml", ".ovr.aux.xml", ".msk.aux.xml"):
        beside = path.with_name(path.name + end)
        if beside.is_file() and _aux_refers(beside):
            raise SceneError(f"{beside} refers to other files.", "Remove it; GDAL writes it anew.")


def _aux_refers(path: Path) -> bool:
    text = path.read_text("utf-8-sig", errors="replace")
    try:
        tree = _parse(text)
    except (ET.ParseError, ValueError):  # GDAL leaves it out, or nearly
        return any(sign in text.lower() for sign in ("overview_file", "/vsi", "://", "&#"))
    return any(_outward(value) or name == "overview_file" for name, value, _ in _named_values(tree))


def _parse(text: str) -> ET.Element:
    """XML as GDAL reads it: whatever encoding it declares, and without entities of its own. Raises `ValueError`."""
    if "<!DOCTYPE" in text.upper():
        raise ValueError("it declares a document type")
    return ET.fromstring(text)


def _named_values(tree: ET.Element) -> Iterator[tuple[str, str, bool]]:
    """(name in lower case, value, relative to the VRT) of texts and attributes: GDAL reads one like the other.

    Metadata of the default domain is left out: it says what it likes, and nothing in it is opened.
    """
    plain: set[ET.Element] = set()
    for element in tree.iter():
        if element.tag.lower() == "metadata" and not element.attrib and all(e.tag.lower() == "mdi" for e in element):
            plain |= {e for e in element if [key.lower() for key in e.attrib] == ["key"] and not len(e)}
        if element in plain:
            continue
        text = (element.text or "").strip()
        attributes = {key.rpartition("}")[2].lower(): value.strip() for key, value in element.attrib.items()}
        relative = attributes.get("relativetovrt") == "1"
        yield element.tag.rpartition("}")[2].lower(), text, relative
        for key, value in attributes.items():
            yield key, value, False
            if key in ("key", "name"):  # <MDI key="X_DATASET">, <Argument name="gain_dataset_filename_1">
                yield value.lower(), text, relative
        yield "", (element.tail or "").strip(), False


def _outward(value: str) -> bool:
    return "://" in value or value.lower().startswith("/vsi")


def _names_file(name: str) -> bool:
    places = ("filename", "_dataset", "_file", "path", "_dem")
    return name.endswith(places) or name in ("sourcedataset", "source", "dataset") or "_filename" in name


def _check_vrt(path: Path, folder: Path, seen: set[Path], opens: Opens) -> None:
    """A VRT names other files: all must exist inside its folder, and none may be something that fetches."""
    try:
        tree = _parse(path.read_text("utf-8-sig"))
        for element in tree.iter():
            attributes = {key.lower(): value.strip() for key, value in element.attrib.items()}
            if len(attributes) < len(element.attrib) or attributes.get("relativetovrt", "0") not in ("0", "1"):
                raise ValueError(f"the attributes of {element.tag} are ambiguous")
    except (ET.ParseError, OSError, ValueError) as error:
        raise SceneError(f"{path} is not a readable VRT: {error}.", "Build it again with gdalbuildvrt.") from error
    targets: dict[Path, str] = {}
    for name, value, relative in _named_values(tree):
        if not value or not (_outward(value) or _names_file(name)):
            continue
        try:
            # Unless told that it is relative to the VRT, GDAL starts from the working directory.
            target = ((path.resolve().parent if relative else Path()) / value).resolve()
            inside = target.is_relative_to(folder) and target.is_file()
        except (OSError, ValueError):
            inside = False
        if not inside or _outward(value) or re.match(r"\w{2,}:", value):
            raise SceneError(
                f"{path} refers to {' '.join(value.split())[:200]}, which is not a file in its own folder.",
                "Put the VRT and its images into one folder and build it again.",
            )
        targets[target] = value
    for target, value in targets.items():
        if target not in seen:
            seen.add(target)
            _check_source(path, target, value, folder, seen, opens)


def _check_source(vrt: Path, target: Path, name: str, folder: Path, seen: set[Path], opens: Opens) -> None:
    """What a VRT names is opened with every driver GDAL has: no text but a VRT, and nothing that lists files."""
    _check_beside(target)
    with target.open("rb") as stream:
        head = stream.read(4096)
    start = _start(head)
    if b"<vrtdataset" in head.lower():
        _check_vrt(target, folder, seen, opens)
    elif start.startswith(b"<"):
        raise SceneError(f"{vrt} refers to {name}, which is XML and no image.", "Only images may be named.")
    elif start.startswith((b"{", b"[", b"SQLite", b"PCIDSK")) or (
        start.isascii() and b"\0" not in start and not re.match(rb"NITF|NSIF|P[1-6]\s|(?i:ncols|nrows|xll|yll)", start)
    ):
        raise SceneError(f"{vrt} refers to {name}, which is no image.", "Only images may be named.")
    else:
        opens(target)
