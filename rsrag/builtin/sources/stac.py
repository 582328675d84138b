"""STAC: static catalogs, collections and item collections on disk, and searches of a STAC API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from rsrag import Record, RsragError, UsageError

from .json_stream import features
from .reading import read_json, unstorable
from .stac_images import fetched, is_remote, local_file, pictures
from .stac_items import Terms, providers, read_item, to_record

_ROOT_FILES: Final = ("catalog.json", "collection.json")
_LOOK_AT: Final = 1 << 20
_NOT_STAC: Final = "Give a catalog.json, a collection.json, items as a FeatureCollection, or the URL of a STAC API."


class StacSource:
    """Items of the catalog, collection or item collection at `path` (a file, or a folder with a catalog.json), or of
    the STAC API at that URL, asked with `collections` (comma-separated), `bbox` (W,S,E,N), `datetime` (2020/2021) and
    `max_items`.

    Each item is a record: footprint, time, properties as facets, and an overview, visual or thumbnail asset as its
    image. Files must lie in the catalog's folder. Nothing on a server is fetched, apart from the API's own answers,
    unless `network`: then thumbnails and overviews are, into the user's cache. `license` and `attribution` are
    defaults.
    `problems` lists (item, why) after `records()`; a bad item costs itself only.
    """

    name: ClassVar[str] = "stac"
    role: Literal["reference", "mine"] = "mine"

    def __init__(
        self,
        path: str | Path,
        collections: str = "",
        bbox: str = "",
        datetime: str = "",
        max_items: int = 1000,
        network: bool = False,
        license: str = "",
        attribution: str = "",
    ) -> None:
        self._given = str(path)
        self._asked = {"collections": collections, "bbox": bbox, "datetime": datetime}
        self._most, self._network = max_items, network
        self._terms = Terms(license, attribution)
        self.problems: list[tuple[str, str]] = []
        self._left_remote = 0

    @staticmethod
    def matches(what: object) -> float:
        """0.95 for STAC on disk, 0.8 for stac+https:// and for a URL that speaks of STAC or ends in /search."""
        if not isinstance(what, str | Path):
            return 0.0
        if is_remote(str(what)):
            url = str(what).lower()
            spoken = url.startswith("stac+") or re.search(r"\bstac\b|/search/?$", url)
            return 0.8 if spoken and url.partition("://")[0].removeprefix("stac+") in ("http", "https") else 0.0
        try:
            return 0.95 if _start(Path(what).expanduser()) else 0.0
        except (OSError, ValueError):
            return 0.0

    @property
    def root(self) -> Path | None:
        """The catalog's folder, that images are relative to; None for an API."""
        if is_remote(self._given):
            return None
        path = Path(self._given).expanduser()
        return path if path.is_dir() else path.parent

    @property
    def label(self) -> str:
        """What a store calls this source unless told otherwise."""
        if is_remote(self._given):
            host = urlsplit(self._given).hostname or "stac"
            return "/".join([host, *([self._asked["collections"]] if self._asked["collections"] else [])])
        path = Path(self._given).expanduser()
        named = path.resolve().parent if path.name in _ROOT_FILES else path.resolve()
        return (named.stem if named.is_file() else named.name) or "stac"

    def records(self) -> Iterator[Record]:
        """A record for each good item. Raises `UsageError` when there is no catalog, or no API that answers."""
        self.problems.clear()
        self._left_remote = 0
        if is_remote(self._given):
            yield from self._of_api()
        else:
            yield from self._of_files()
        if self._left_remote:
            self.problems.append(
                (self.label, f"images on servers were not fetched ({self._left_remote:,}); network=true allows it.")
            )

    # -- on disk ----------------------------------------------------------------------------------

    def _of_files(self) -> Iterator[Record]:
        path = Path(self._given).expanduser()
        start = _start(path)
        if start is None:
            raise UsageError(f"{path} is no STAC catalog.", _NOT_STAC)
        seen: set[Path] = set()
        waiting = [(start, self._terms)]
        while waiting:
            file, terms = waiting.pop()
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            where = file.relative_to(start.parent).as_posix() if file.is_relative_to(start.parent) else str(file)
            try:
                if _is_item_collection(file):
                    yield from self._of_collection(file, where, terms)
                    continue
                data = read_json(file.read_bytes())
                if not isinstance(data, dict):
                    raise UsageError("is no STAC object.", _NOT_STAC)
                if data.get("type") == "Feature":
                    yield from self._record(data, where, file.parent, terms)
                    continue
                terms = self._of(data, terms)
                waiting += reversed([(child, terms) for child in self._linked(data, file, where)])
            except (RsragError, OSError) as error:
                self.problems.append((where, str(error)))
            except ValueError as error:  # JSON and UTF-8
                self.problems.append((where, f"is not valid JSON: {error}."))

    def _of_collection(self, file: Path, where: str, terms: Terms) -> Iterator[Record]:
        for number, data in enumerate(features(file), 1):
            name = data.get("id") if isinstance(data, dict) else None
            yield from self._record(data, f"{where}: {name or f'item {number}'}", file.parent, terms)

    def _linked(self, data: Mapping[str, Any], file: Path, where: str) -> Iterator[Path]:
        """The files of a catalog's children and items, in order."""
        links = data.get("links")
        if not isinstance(links, list):
            raise UsageError("is no STAC catalog: it has no links.", _NOT_STAC)
        for link in links:
            if not isinstance(link, dict) or link.get("rel") not in ("child", "item", "items"):
                continue
            href = str(link.get("href", ""))
            if is_remote(href):
                self.problems.append((where, f"the link to {href} is not followed: only files are."))
                continue
            try:
                yield local_file(href, file.parent, self.root or file.parent)
            except UsageError as error:
                self.problems.append((where, str(error)))

    def _of(self, data: Mapping[str, Any], terms: Terms) -> Terms:
        """What a collection says for its items; a catalog says nothing."""
        license = data.get("license")
        return Terms(
            license if isinstance(license, str) else terms.license,
            providers(data.get("providers")) or terms.attribution,
        )

    # -- an API -----------------------------------------------------------------------------------

    def _of_api(self) -> Iterator[Record]:
        url = re.sub(r"/search/?$", "", self._given.removeprefix("stac+"))
        client = _client(url)
        terms: dict[str, Terms] = {}
        count = 0
        for data in _answers(client, url, self._asked, self._most):
            count += 1
            collection = str(data.get("collection") or "") if isinstance(data, dict) else ""
            if collection and collection not in terms:
                terms[collection] = self._of_remote(client, collection)
            name = data.get("id") if isinstance(data, dict) else None
            yield from self._record(data, str(name or f"item {count}"), None, terms.get(collection, self._terms))
        if count >= self._most:
            self.problems.append((self.label, f"stopped after {count:,} items, there may be more; see max_items=N."))

    def _of_remote(self, client: Any, collection: str) -> Terms:
        try:
            return self._of(client.get_collection(collection).to_dict(include_self_link=False), self._terms)
        except Exception as error:  # the items are good without it; pystac and requests raise many kinds
            self.problems.append(
                (collection, f"the collection says nothing about its licence ({type(error).__name__}).")
            )
            return self._terms

    # -- an item ----------------------------------------------------------------------------------

    def _record(self, data: Any, where: str, base: Path | None, terms: Terms) -> Iterator[Record]:
        try:
            if not isinstance(data, dict):
                raise UsageError("is no STAC item.")
            if why := unstorable(str(data.get("id")), str(data.get("collection"))):
                raise UsageError(f"its id {why}.")
            item = read_item(data)
            images, marks = self._image(item, where, base)
            record, notes = to_record(item, terms, images, marks)
        except RsragError as error:
            self.problems.append((ascii(where)[1:-1], str(error)))
            return
        self.problems += [(where, note) for note in notes]
        yield record

    def _image(self, item: Any, where: str, base: Path | None) -> tuple[list[str], str]:
        """([path of the image that shows an item, if any], what tells whether that has changed)."""
        remote: list[str] = []
        for role, href in pictures(item):
            if is_remote(href) or base is None:
                # A whole scene is too much to fetch for a preview.
                remote += [href] if role in ("thumbnail", "overview") else []
                continue
            try:
                root = self.root or base
                file = local_file(href, base, root)
                stat = file.stat()
                return [_relative(file, root)], f"{stat.st_size}.{stat.st_mtime_ns}"
            except UsageError as error:
                self.problems.append((where, f"{role}: {error}"))
        if remote and not self._network:
            self._left_remote += 1
        elif remote:
            try:
                return [str(fetched(remote[-1], _cache))], remote[-1]
            except UsageError as error:
                self.problems.append((where, str(error)))
        return [], ""


def _start(path: Path) -> Path | None:
    """The STAC file that a path means, or None."""
    files = [path / name for name in _ROOT_FILES] if path.is_dir() else [path]
    return next((file for file in files if file.is_file() and _is_stac(file)), None)


def _is_stac(file: Path) -> bool:
    if file.suffix.lower() not in (".json", ".geojson"):
        return False
    head = _head(file)
    return (
        b'"stac_version"' in head
        and re.search(rb'"type"\s*:\s*"(Catalog|Collection|Feature|FeatureCollection)"', head) is not None
    )


def _is_item_collection(file: Path) -> bool:
    return re.search(rb'"type"\s*:\s*"FeatureCollection"', _head(file)) is not None


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_LOOK_AT)


def _relative(file: Path, root: Path) -> str:
    return file.resolve().relative_to(root.resolve()).as_posix()


def _cache() -> Path:
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("rsrag")) / "stac"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _client(url: str) -> Any:
    try:
        from pystac_client import Client
    except ImportError:
        raise UsageError(
            "searching a STAC API needs the package pystac-client.", "Install it: pip install 'rsrag[stac]'."
        ) from None
    try:
        return Client.open(url, timeout=30)
    except Exception as error:  # requests, pystac and pystac-client raise many kinds
        raise UsageError(f"{url} does not answer as a STAC API ({_said(error)}).", _NOT_STAC) from error


def _answers(client: Any, url: str, asked: Mapping[str, str], most: int) -> Iterator[Any]:
    """The items an API finds, page by page."""
    if most < 1:
        raise UsageError(f"max_items is {most}; at least one is needed.")
    wanted: dict[str, Any] = {key: value for key, value in asked.items() if value}
    if "collections" in wanted:
        wanted["collections"] = [name.strip() for name in wanted["collections"].split(",")]
    try:
        if "bbox" in wanted:
            wanted["bbox"] = [float(side) for side in wanted["bbox"].split(",")]
            if len(wanted["bbox"]) not in (4, 6):
                raise ValueError("bbox is W,S,E,N")
        yield from client.search(**wanted, max_items=most, limit=min(most, 100)).items_as_dicts()
    except Exception as error:  # as above
        raise UsageError(
            f"{url} cannot be searched ({_said(error)}).", "Check the options and the connection."
        ) from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0][:200]}"
