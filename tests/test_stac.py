"""STAC in and out: catalogs on disk, an API on this machine, and search results that validate against the schemas."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from rsrag import BBox, KnowledgeBase, Plugins, Query, Record, UsageError, geojson
from rsrag.builtin.sources import json_stream
from rsrag.builtin.sources.stac import StacSource
from rsrag.export import to_geojson, to_stac
from rsrag.ingest import guess_kind
from rsrag.testing.rasters import make_image

SQUARE = [[[4, 51], [5, 51], [5, 52], [4, 52], [4, 51]]]
DIAMOND = [[[4.5, 51], [5, 51.5], [4.5, 52], [4, 51.5], [4.5, 51]]]


def item(id: str = "S2A_1", **changes: Any) -> dict[str, Any]:
    """An item as a satellite archive writes it; `properties` are added to its own."""
    properties = {
        "datetime": "2020-07-15T10:30:31Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "eo:cloud_cover": 3.25,
        "proj:code": "EPSG:32631",
        "view:off_nadir": 1.5,
        **changes.pop("properties", {}),
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": id,
        "collection": "s2",
        "geometry": {"type": "Polygon", "coordinates": DIAMOND},
        "bbox": [4, 51, 5, 52],
        "properties": properties,
        "links": [{"rel": "self", "href": f"https://example.org/{id}.json"}],
        "assets": {},
        **changes,
    }


def write_catalog(folder: Path, *items: dict[str, Any], version: str = "1.1.0") -> Path:
    """A catalog with one collection that holds these items, each in a folder of its own."""
    (folder / "s2").mkdir(parents=True, exist_ok=True)
    head = {"stac_version": version, "description": "An archive."}
    links = [{"rel": "child", "href": "./s2/collection.json"}, {"rel": "root", "href": "./catalog.json"}]
    (folder / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "archive", **head, "links": links}))
    collection = {
        "type": "Collection",
        "id": "s2",
        **head,
        "license": "CC-BY-4.0",
        "providers": [{"name": "ESA", "roles": ["producer"]}, {"name": "Us"}],
        "extent": {"spatial": {"bbox": [[4, 51, 5, 52]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
        "links": [{"rel": "item", "href": f"./{each['id']}/{each['id']}.json"} for each in items],
    }
    (folder / "s2" / "collection.json").write_text(json.dumps(collection))
    for each in items:
        place = folder / "s2" / each["id"]
        place.mkdir(exist_ok=True)
        (place / f"{each['id']}.json").write_text(json.dumps(each))
    return folder


def read(path: Path | str, **options: Any) -> tuple[list[Any], list[tuple[str, str]]]:
    source = StacSource(path, **options)
    return list(source.records()), source.problems


# -- a catalog on disk ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_an_item_becomes_a_record(tmp_path: Path, version: str) -> None:
    write_catalog(tmp_path, item(stac_version=version), version=version)
    (record,), problems = read(tmp_path)
    assert problems == []
    assert (record.id, record.subject, record.title) == ("s2/S2A_1", "stac/s2/S2A_1", "S2A_1")
    assert record.sections[0].text == (
        "S2A_1 is an item of the STAC collection s2, acquired on 2020-07-15 at 10:30 UTC by sentinel-2a with msi, "
        "around 51.50° N, 4.50° E. Its ground sample distance is 10 m and its cloud cover 3.25 %."
    )
    assert record.bbox == BBox(4, 51, 5, 52) and record.footprint["type"] == "Polygon"
    assert record.acquired == datetime(2020, 7, 15, 10, 30, 31, tzinfo=UTC) and record.acquired_until is None
    assert (record.license, record.attribution, record.url) == (
        "CC-BY-4.0", "ESA, Us", "https://example.org/S2A_1.json",
    )  # fmt: skip
    assert record.facets == {
        "collection": "s2", "platform": "sentinel-2a", "constellation": "sentinel-2", "sensor": "sentinel-2a",
        "instruments": ("msi",), "gsd": 10, "cloud_cover": 3.25, "proj:code": "EPSG:32631", "proj:epsg": 32631,
        "view:off_nadir": 1.5,
    }  # fmt: skip


def test_the_same_items_from_catalog_collection_item_and_item_collection(tmp_path: Path) -> None:
    write_catalog(tmp_path, item("a"), item("b"))
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [item("a"), item("b")]}))
    for path in (tmp_path, tmp_path / "catalog.json", tmp_path / "s2" / "collection.json", tmp_path / "items.json"):
        records, problems = read(path)
        assert [r.id for r in records] == ["s2/a", "s2/b"] and problems == []
    assert [r.id for r in read(tmp_path / "s2" / "a" / "a.json")[0]] == ["s2/a"]


def test_stac_is_recognised_and_nothing_else_is(tmp_path: Path) -> None:
    plugins = Plugins(external=False)
    write_catalog(tmp_path / "archive", item())
    (tmp_path / "archive" / "notes.md").write_text("# Notes")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "catalog.json").write_text('{"type": "Catalog of shoes"}')
    for what in ("archive", "archive/catalog.json", "archive/s2/S2A_1/S2A_1.json"):
        assert guess_kind(plugins, str(tmp_path / what)) == "stac"
    assert guess_kind(plugins, str(tmp_path / "plain")) == "folder"
    for url in ("https://host/stac/v1", "stac+https://host/v1", "http://host/api/search"):
        assert guess_kind(plugins, url) == "stac"
    for other in ("https://host/page.html", "ftp://host/stac", str(tmp_path / "plain" / "catalog.json"), 5, "\0"):
        assert StacSource.matches(other) == 0.0


def test_a_span_of_time_and_a_place_over_the_antimeridian(tmp_path: Path) -> None:
    month = {"datetime": None, "start_datetime": "2020-06-01T00:00:00Z", "end_datetime": "2020-06-30T23:59:59Z"}
    fiji = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[178, -18], [180, -18], [180, -16], [178, -18]]],
            [[[-180, -18], [-178, -18], [-180, -16], [-180, -18]]],
        ],
    }
    write_catalog(tmp_path, item(properties=month, geometry=fiji, bbox=[-180, -18, 180, -16]))
    (record,), problems = read(tmp_path)
    assert problems == []
    assert record.acquired == datetime(2020, 6, 1, tzinfo=UTC)
    assert record.acquired_until == datetime(2020, 6, 30, 23, 59, 59, tzinfo=UTC)
    assert record.bbox == BBox(178, -18, -178, -16)
    assert "from 2020-06-01 to 2020-06-30" in record.sections[0].text
    assert record.facets["start_datetime"] == "2020-06-01T00:00:00Z"


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "is not valid JSON"),
    "a list": ([1], "is no STAC"),
    "nothing of an item": ({"type": "Feature", "stac_version": "1.1.0"}, "is no STAC item"),
    "no time": (item("x", properties={"datetime": "yesterday"}), "is no STAC item"),
    "a span that ends first": (
        item("x", properties={"datetime": None, "start_datetime": "2021-01-01T00:00:00Z",
                              "end_datetime": "2020-01-01T00:00:00Z"}), "ends (2020-01-01T00:00:00+00:00) before",
    ),
    "metres": (item("x", geometry=None, bbox=[500000, 5.8e6, 500010, 5.9e6]), "latitude outside -90..90"),
    "three sides": (item("x", geometry=None, bbox=[1, 2, 3]), "not four or six numbers"),
    "assets of text": (item("x", assets="none"), "is no STAC item"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_item_costs_itself_only(tmp_path: Path, case: str) -> None:
    data, message = BAD[case]
    write_catalog(tmp_path, item("x"), item("good"))
    (tmp_path / "s2" / "x" / "x.json").write_text(data if isinstance(data, str) else json.dumps(data))
    records, problems = read(tmp_path)
    assert [r.id for r in records] == ["s2/good"]
    ((where, why),) = problems
    assert "x.json" in where and message in why


def test_a_geometry_that_is_none_leaves_the_box(tmp_path: Path) -> None:
    bow = {"type": "Polygon", "coordinates": [[[4, 51], [5, 52], [5, 51], [4, 52], [4, 51]]]}
    write_catalog(
        tmp_path, item("bow", geometry=bow), item("bad", geometry={"type": "Circle"}), item("none", geometry=None)
    )
    records, problems = read(tmp_path)
    assert [r.bbox for r in records] == [BBox(4, 51, 5, 52)] * 3
    assert [r.footprint is not None for r in records] == [True, False, False]
    assert "crosses itself" in problems[0][1] and "is not a GeoJSON geometry" in problems[1][1]


def test_links_that_are_broken_remote_circular_or_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(item("secret")))
    folder = write_catalog(tmp_path / "archive", item("a"))
    catalog = json.loads((folder / "catalog.json").read_text())
    catalog["links"] += [
        {"rel": "child", "href": "./catalog.json"},
        {"rel": "item", "href": "../secret.json"},
        {"rel": "item", "href": "./missing.json"},
        {"rel": "item", "href": "https://example.org/item.json"},
        "no link",
    ]
    (folder / "catalog.json").write_text(json.dumps(catalog))
    records, problems = read(folder)
    assert [r.id for r in records] == ["s2/a"]
    said = " | ".join(why for _, why in problems)
    assert "../secret.json lies outside the catalog" in said and "./missing.json does not exist" in said
    assert "item.json is not followed" in said and len(problems) == 3


def test_what_is_no_catalog_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"stac_version": "1.1.0", "type": "Catalog"}')
    assert "has no links" in read(tmp_path / "x.json")[1][0][1]
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(UsageError, match=r"is no STAC catalog\. Give a catalog\.json"):
            read(path)


# -- images ---------------------------------------------------------------------------------------


def assets(**hrefs: str) -> dict[str, Any]:
    return {key: {"href": href, "roles": [key], "type": "image/png"} for key, href in hrefs.items()}


def test_an_overview_is_preferred_and_a_thumbnail_will_do(tmp_path: Path) -> None:
    write_catalog(
        tmp_path,
        item("both", assets=assets(thumbnail="./small.png", overview="./large.png")),
        item("one", assets={"preview": {"href": "./small.png"}, "B04": {"href": "./b4.tif", "roles": ["data"]}}),
        item("data", assets={"image": {"href": "small.png", "roles": ["data"], "type": "image/png"}}),
        item("bands", assets={b: {"href": f"{b}.tif", "roles": ["data"]} for b in ("B03", "B04")}),
    )
    for id in ("both", "one", "data"):
        make_image(tmp_path / "s2" / id / "small.png", size=(8, 8))
    make_image(tmp_path / "s2" / "both" / "large.png", size=(16, 16))
    records, problems = read(tmp_path)
    assert [r.images for r in records] == [
        ("s2/both/large.png",), ("s2/one/small.png",), ("s2/data/small.png",), (),
    ]  # fmt: skip
    assert problems == []


@pytest.mark.parametrize(
    ("href", "message"),
    [
        ("../../../outside.png", "lies outside the catalog"),
        ("/etc/hostname", "lies outside the catalog"),
        ("./none.png", "does not exist"),
        ("https://example.org/t.png", "images on servers were not fetched (1); network=true"),
        ("s3://bucket/t.png", "images on servers were not fetched (1)"),
    ],
)
def test_images_that_are_not_taken(tmp_path: Path, href: str, message: str) -> None:
    make_image(tmp_path / "outside.png", size=(8, 8))
    folder = write_catalog(tmp_path / "archive", item(assets=assets(thumbnail=href)))
    (record,), ((_, why),) = read(folder)
    assert record.images == () and message in why


def test_the_version_follows_item_image_and_collection(tmp_path: Path) -> None:
    def version() -> str:
        return read(tmp_path)[0][0].version

    write_catalog(tmp_path, item(assets=assets(thumbnail="t.png")))
    make_image(tmp_path / "s2" / "S2A_1" / "t.png", size=(8, 8))
    first = version()
    assert first == version()
    make_image(tmp_path / "s2" / "S2A_1" / "t.png", size=(9, 9))
    second = version()
    write_catalog(tmp_path, item(assets=assets(thumbnail="t.png"), properties={"gsd": 20}))
    assert len({first, second, version()}) == 3


def test_a_catalog_in_a_knowledge_base_is_filtered(tmp_path: Path, kb: KnowledgeBase) -> None:
    write_catalog(
        tmp_path / "archive",
        item("july", assets=assets(thumbnail="t.png")),
        item("january", properties={"datetime": "2021-01-03T10:00:00Z", "eo:cloud_cover": 80}),
    )
    make_image(tmp_path / "archive" / "s2" / "july" / "t.png", size=(8, 8))
    report = kb.add(tmp_path / "archive")
    assert (report.added, report.failed) == (2, ())
    assert kb.add(tmp_path / "archive").unchanged == 2

    from rsrag import Assistant

    def found(**options: Any) -> set[str]:
        hits = Assistant(kb).search("sentinel item", k=20, **options)
        return {hit.chunk.provenance.record for hit in hits}

    assert found() == {"s2/july", "s2/january"}
    for options in ({"season": "summer"}, {"max_cloud": 20}, {"when": "2020"}, {"facets": ["cloud_cover<20"]}):
        assert found(**options) == {"s2/july"}, options
    assert found(from_sensor="Sentinel 2", max_gsd=10) == {"s2/july", "s2/january"}
    assert found(within="4,51,4.1,51.1") == set()  # in the box of the diamond, and not in it


# -- item collections of any size -----------------------------------------------------------------


def stream(tmp_path: Path, text: str) -> list[Any]:
    (tmp_path / "f.json").write_text(text, encoding="utf-8")
    return list(json_stream.features(tmp_path / "f.json"))


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
def test_features_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    features = [{"id": n, "text": 'é "] },{', "deep": [[{}]]} for n in range(20)]
    data = {"type": "FeatureCollection", "n": 12345, "features": features, "links": [], "last": 1e3}
    for indent in (None, 2):
        assert stream(tmp_path, json.dumps(data, ensure_ascii=False, indent=indent)) == features
    assert (
        stream(tmp_path, " { } ") == stream(tmp_path, '{"features": []}') == stream(tmp_path, '{"features": 5}') == []
    )


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"features": [1', '{"features": [1 2]}', '{"features" [1]}', '{"a": 1 "b"}']
)
def test_a_file_that_is_cut_off_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError):
        stream(tmp_path, text)


def test_what_came_before_the_cut_is_kept(tmp_path: Path) -> None:
    whole = json.dumps({"type": "FeatureCollection", "features": [item("a"), item("b")]})
    (tmp_path / "items.json").write_text(whole[:-200])
    records, ((where, why),) = read(tmp_path / "items.json")
    assert [r.id for r in records] == ["s2/a"]
    assert where == "items.json" and "is not valid JSON" in why


# -- an API ---------------------------------------------------------------------------------------


class Api(BaseHTTPRequestHandler):
    """As little of a STAC API as pystac-client needs: a landing page, a search in two pages, one collection."""

    def do_GET(self) -> None:
        base = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        if path == "/stac":
            self.reply({
                "type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "d",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search",
                               "https://api.stacspec.org/v1.0.0/collections"],
                "links": [{"rel": "self", "href": f"{base}/stac"}, {"rel": "root", "href": f"{base}/stac"},
                          {"rel": "data", "href": f"{base}/stac/collections"},
                          {"rel": "search", "href": f"{base}/stac/search", "method": "POST",
                           "type": "application/geo+json"}],
            })  # fmt: skip
        elif path == "/stac/collections/s2":
            self.reply({"type": "Collection", "stac_version": "1.0.0", "id": "s2", "description": "d", "links": [],
                        "license": "CC-BY-4.0", "extent": {"spatial": {"bbox": [[4, 51, 5, 52]]},
                        "temporal": {"interval": [[None, None]]}}})  # fmt: skip
        elif path == "/thumb.png":
            buffer = BytesIO()
            from PIL import Image

            Image.new("RGB", (8, 8), "green").save(buffer, "PNG")
            self.reply(buffer.getvalue())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        base = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[attr-defined]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        if asked.get("collections") == ["none"]:
            self.send_error(400)
            return
        page = asked.get("page", 1)
        shown = assets(thumbnail=f"{base}/thumb.png")
        found = [
            [item("a", assets=shown), {"type": "Feature", "id": "broken"}],
            [item("b", assets=assets(thumbnail=f"{base}/none.png"))],
        ]
        links = [{"rel": "next", "method": "POST", "href": f"{base}/stac/search", "body": {**asked, "page": 2}}]
        self.reply({"type": "FeatureCollection", "features": found[page - 1], "links": links if page == 1 else []})

    def reply(self, data: Any) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "image/png" if isinstance(data, bytes) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_api_is_searched_page_by_page(api: Any, kb: KnowledgeBase) -> None:
    url = f"http://127.0.0.1:{api.server_address[1]}/stac"
    report = kb.add(url, collections="s2", bbox="4,51,5,52", datetime="2020/2021")
    assert report.source == "127.0.0.1/s2" and report.added == 2
    assert api.asked[0]["collections"] == ["s2"] and api.asked[0]["bbox"] == [4, 51, 5, 52]
    said = " | ".join(f"{where}: {why}" for where, why in report.failed)
    assert "broken: is no STAC item" in said and "images on servers were not fetched (2)" in said
    assert len(report.failed) == 2
    (hit,) = [h for h in kb.search_text(Query("sentinel"), 5) if h.chunk.provenance.record == "s2/a"]
    assert hit.chunk.provenance.license == "CC-BY-4.0"


def test_thumbnails_are_fetched_where_that_is_allowed(api: Any, kb: KnowledgeBase) -> None:
    report = kb.add(f"stac+http://127.0.0.1:{api.server_address[1]}/stac/search", network=True)
    assert [s.chunks for s in kb.sources()] == [3]  # two texts and the one thumbnail there is
    assert any("none.png cannot be fetched (HTTP Error 404" in why for _, why in report.failed)
    (image,) = kb.catalog.chunks.where("c.kind = 'image'", ())
    shown = kb.image_path(image)
    assert shown is not None and shown.exists()


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("/nothing", {}, "does not answer as a STAC API"),
        ("/stac", {"collections": "none"}, "cannot be searched"),
        ("/stac", {"bbox": "1,2"}, "cannot be searched"),
        ("/stac", {"max_items": 0}, "max_items is 0"),
    ],
)
def test_an_api_that_does_not_answer(api: Any, path: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(f"http://127.0.0.1:{api.server_address[1]}{path}", **options)


def test_a_search_that_is_cut_short_says_so(api: Any) -> None:
    records, problems = read(f"http://127.0.0.1:{api.server_address[1]}/stac", max_items=1)
    assert len(records) == 1 and any("stopped after 1 items" in why for _, why in problems)


def test_without_pystac_client_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pystac_client", None)
    with pytest.raises(UsageError, match=r"needs the package pystac-client\. Install it: pip install 'rsrag\[stac\]'"):
        read("https://example.org/stac")


# -- search results for others --------------------------------------------------------------------


def results(kb: KnowledgeBase, tmp_path: Path) -> list[Any]:
    """Everything in a knowledge base of two STAC items (one with an image), a place over the antimeridian, a composite,
    a place without time and a text without place."""
    from rsrag import Hit

    write_catalog(tmp_path / "archive", item("a", assets=assets(thumbnail="t.png")), item("b"))
    make_image(tmp_path / "archive" / "s2" / "a" / "t.png", size=(8, 8))
    kb.add(tmp_path / "archive")
    day = datetime(2020, 6, 1, tzinfo=UTC)
    kb.add(
        Records(
            Record("fiji", "x/fiji", "Fiji", "On the date line.", bbox=BBox(177, -19, -178, -16), acquired=day,
                   license="CC BY 4.0", facets={"tags": ("x",), "gsd_m": 0.5, "platform": "uav", "flag": True}),
            Record("june", "x/june", "June", "A month.", bbox=BBox(4, 51, 4, 51), acquired=day,
                   acquired_until=datetime(2020, 6, 30, tzinfo=UTC), license="some licence, see there"),
            Record("always", "x/always", "Always", "No time.", bbox=BBox(4, 51, 5, 52)),
            Record("nowhere", "x/nowhere", "Nowhere", "No place.", acquired=day),
        )
    )  # fmt: skip
    chunks = kb.catalog.chunks.where("1", (), "ORDER BY c.rowid")
    return [Hit(chunk, 1 / rank) for rank, chunk in enumerate(chunks, 1)]


class Records:
    name = label = "list"
    role = "mine"

    def __init__(self, *records: Record) -> None:
        self._records = records

    def records(self) -> Iterator[Record]:
        yield from self._records


def test_results_validate_as_stac(kb: KnowledgeBase, tmp_path: Path) -> None:
    """Against the schemas that pystac carries; the suite lets nothing through to a network."""
    import pystac

    hits = results(kb, tmp_path)
    export = to_stac(hits, kb, tmp_path)
    assert export.left_out == (("no place", 1), ("no time", 1))
    assert str(export) == "4 features; 1 result left out: no place; 1 result left out: no time"
    items = {each["id"]: each for each in export.data["features"]}
    assert list(items) == ["archive/s2/a", "archive/s2/b", "list/fiji", "list/june"]
    for each in items.values():
        assert pystac.Item.from_dict(each).validate()
    assert len(pystac.ItemCollection.from_dict(dict(export.data))) == 4

    a = items["archive/s2/a"]
    assert a["geometry"]["coordinates"][0][0] in DIAMOND[0] and a["bbox"] == [4, 51, 5, 52]
    assert a["properties"]["datetime"] == "2020-07-15T10:30:31Z"
    assert a["properties"]["eo:cloud_cover"] == 3.25 and a["properties"]["gsd"] == 10
    assert a["properties"]["instruments"] == ["msi"] and a["properties"]["rsrag:collection"] == "s2"
    assert a["properties"]["rsrag:rank"] == 1 and a["properties"]["license"] == "CC-BY-4.0"
    assert a["assets"] == {"image": {"href": "archive/s2/a/t.png", "roles": ["visual"], "type": "image/png"}}
    assert a["links"] == [{"rel": "via", "href": "https://example.org/a.json"}]

    fiji = items["list/fiji"]
    assert fiji["geometry"]["type"] == "MultiPolygon" and fiji["bbox"] == [177, -19, -178, -16]
    assert fiji["properties"]["license"] == "CC-BY-4.0" and fiji["properties"]["gsd"] == 0.5
    assert fiji["properties"]["rsrag:tags"] == ["x"] and fiji["properties"]["platform"] == "uav"
    june = items["list/june"]["properties"]
    assert june["datetime"] is None and june["end_datetime"] == "2020-06-30T00:00:00Z"
    assert june["license"] == "other" and june["rsrag:license"] == "some licence, see there"
    assert items["list/june"]["geometry"] == {"type": "Point", "coordinates": [4, 51]}


def test_what_is_exported_can_be_added_again(kb: KnowledgeBase, tmp_path: Path) -> None:
    export = to_stac(results(kb, tmp_path), kb, tmp_path)
    geojson.write(tmp_path / "found.json", export.data)
    records, problems = read(tmp_path / "found.json")
    assert problems == [] and [r.id for r in records] == [each["id"] for each in export.data["features"]]
    assert records[0].images == ("archive/s2/a/t.png",) and records[0].footprint is not None
    assert records[2].bbox == BBox(177, -19, -178, -16)


def test_results_as_geojson(kb: KnowledgeBase, tmp_path: Path) -> None:
    hits = results(kb, tmp_path)
    export = to_geojson(hits, kb)
    assert export.left_out == (("no place", 1),) and export.data["type"] == "FeatureCollection"
    first = export.data["features"][0]
    assert first["id"] == hits[0].chunk.id and first["geometry"]["type"] == "Polygon"
    assert first["properties"]["rank"] == 1 and first["properties"]["cloud_cover"] == 3.25
    shown = [each["properties"]["image"] for each in export.data["features"] if each["properties"]["kind"] == "image"]
    assert shown == [str(tmp_path / "archive" / "s2" / "a" / "t.png")]
    assert json.loads(json.dumps(export.data, allow_nan=False)) == export.data


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written \(No such file or directory\)"):
        geojson.write(tmp_path / "none" / "x.json", {})


def test_at_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a catalog, search it with filters and nothing else, and write what was found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RSRAG_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "fakes.py").write_text(
        "from rsrag import hookimpl\n\n\n@hookimpl\ndef rsrag_encoders():\n"
        "    from rsrag.testing.encoders import FakeEncoder\n    return [FakeEncoder]\n"
    )
    january = item("january", properties={"datetime": "2021-01-03T10:00:00Z", "eo:cloud_cover": 80})
    write_catalog(tmp_path / "archive", item("july"), january)
    from typer.testing import CliRunner

    from rsrag.cli.app import build

    def run(*arguments: str, code: int = 0) -> Any:
        given = ["--plugin-dir", "fakes.py", *arguments]
        done = CliRunner().invoke(build(given), given)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    monkeypatch.setenv("RSRAG_ENCODER", "fake")
    monkeypatch.setenv("RSRAG_SOURCES__STAC__NETWORK", "maybe")
    assert "network=maybe is not a bool" in str(run("kb", "add", "archive", "--kb", "work", code=1).exception)
    monkeypatch.setenv("RSRAG_SOURCES__STAC__NETWORK", "false")
    done = run("kb", "add", "archive", "--kb", "work")
    assert "as a source of kind 'stac'" in done.stderr and "Added 2 to 'archive'" in done.stdout
    done = run(
        *("search", "--around", "4.5,51.5,10", "--season", "summer", "--max-cloud", "20"),
        *(
            "--from-sensor",
            "Sentinel-2",
            "--kb",
            "work",
            "--geojson",
            "found.geojson",
            "--stac",
            "found.json",
            "--json",
        ),
    )
    assert [hit["title"] for hit in json.loads(done.stdout)["hits"]] == ["july"]
    said = " ".join(done.stderr.split())
    assert "The filters left 1 of 2 passages and images to search (within 10 km of 4.5,51.5: 2; in summer: 1;" in said
    assert "Wrote found.geojson: 1 feature." in said and "Wrote found.json: 1 feature." in said
    (feature,) = json.loads(Path("found.json").read_text())["features"]
    assert feature["id"] == "archive/s2/july"
