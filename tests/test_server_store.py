"""A store whose vectors are on a Chroma server: a real one, started here on loopback."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner
from whole import Listed, assert_whole, numbered

from rsrag import ConfigError, Filter, KnowledgeBase, Plugins, Query, Record, StoreError
from rsrag.cli.app import build
from rsrag.config import load
from rsrag.store.index import IndexDamaged
from rsrag.store.server import Server
from rsrag.store.snapshots import restore
from rsrag.testing.encoders import FakeEncoder

SOME = tuple(numbered(i) for i in range(12))
IDS = {record.id for record in SOME}
Open = Callable[..., KnowledgeBase]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def chroma(folder: Path, port: int) -> Iterator[str]:
    command = [Path(sys.executable).with_name("chroma"), "run", "--path", folder, "--port", str(port)]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                assert run.poll() is None
                try:
                    urllib.request.urlopen(f"{url}/api/v2/heartbeat", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            run.kill()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chroma(tmp_path_factory.mktemp("server"), free_port()) as address:
        yield address


@pytest.fixture(autouse=True)
def by_chroma(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search asks the server, however few vectors there are."""
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", 0)


@pytest.fixture
def open_kb(url: str, tmp_path: Path, plugins: Plugins) -> Open:
    return lambda name="kb", store=url, **more: KnowledgeBase(
        tmp_path / name, more.pop("encoder", "fake"), plugins=plugins, store=store, **more
    )


def find(kb: KnowledgeBase, text: str) -> list[str]:
    return [h.chunk.provenance.record for h in kb.search_vectors(Query(text), "texts", "text", 1)]


# -- the same features ----------------------------------------------------------------------------


def test_it_holds_what_was_added_and_nothing_lies_beside_the_catalog(open_kb: Open, tmp_path: Path) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
        kb.add(
            Listed(
                *(Record(f"o{i}", "t", f"O{i}", f"odd {i}", facets={"odd": bool(i % 2)}) for i in range(9)), label="o"
            )
        )
        assert "://127.0.0.1" in kb.info().index and kb.info().settled
        assert_whole(kb, IDS | {f"o{i}" for i in range(9)})
        odd = kb.search_vectors(Query("odd", where=Filter(facets={"odd": True})), "texts", "text", 9)
        assert {h.chunk.provenance.record for h in odd} == {"o1", "o3", "o5", "o7"}
        kb.delete("o")
        kb.add(Listed(*SOME[1:], Record("r0", "topic/0", "Title 0", "sand and dunes")))
        assert find(kb, "sand and dunes") == ["r0"] and kb.index.count("texts") == 12
        assert_whole(kb, IDS)
    assert not list((tmp_path / "kb").glob("chroma*"))
    with open_kb() as kb:
        assert find(kb, SOME[5].text) == ["r5"]


def test_a_filter_too_large_for_ids_gives_the_same(open_kb: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsrag.store.search.FILTER_BY_IDS", 3)
    with open_kb() as kb:
        kb.add(Listed(*(Record(f"n{i}", "t", "N", f"text {i}", facets={"odd": bool(i % 2)}) for i in range(60))))
        hits = kb.search_vectors(Query("text", where=Filter(facets={"odd": True})), "texts", "text", 5)
        assert len(hits) == 5 and all(int(h.chunk.provenance.record[1:]) % 2 for h in hits)


def test_requests_stay_below_what_a_server_takes(open_kb: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsrag.store.index_server.PAYLOAD", 3000)
    monkeypatch.setattr("rsrag.store.index_server._PAGE", 5)
    with open_kb() as kb:
        kb.add(Listed(*SOME))
        assert kb.index._rows_at_once(kb.encoder.dim) == 2
        assert len(kb.index.ids("texts")) == 12
        assert_whole(kb, IDS)


def test_a_rebuild_changes_readers_over_and_leaves_nothing_behind(open_kb: Open) -> None:
    with open_kb() as kb, open_kb() as reader:
        kb.add(Listed(*SOME))
        assert find(reader, SOME[3].text) == ["r3"]
        assert kb.rebuild() == 12
        assert find(reader, SOME[4].text) == ["r4"]
        assert {number for number, _ in kb.index._own()} == {2}  # type: ignore[attr-defined]
        assert_whole(kb, IDS)


def lose_a_row(kb: KnowledgeBase) -> None:
    kb.index.remove("texts", [kb.catalog.chunks.where("c.kind = 'text'", ())[0].content_hash])


def add_a_row(kb: KnowledgeBase) -> None:
    import numpy as np

    kb.index.put("texts", ["f" * 32], np.eye(1, kb.encoder.dim, dtype=np.float32))


def swap_vectors(kb: KnowledgeBase) -> None:
    first, second = kb.catalog.chunks.where("c.kind = 'text'", ())[:2]
    vectors = kb.catalog.vectors.of("texts", [first.content_hash, second.content_hash])
    kb.index.put("texts", [first.content_hash], vectors[second.content_hash][None])


def lose_a_collection(kb: KnowledgeBase) -> None:
    kb.index._open().delete_collection(kb.index._called("texts"))  # type: ignore[attr-defined]
    kb.index.reopen()


@pytest.mark.parametrize("harm", [lose_a_row, add_a_row, swap_vectors, lose_a_collection])
def test_what_differs_on_the_server_is_told_and_repaired(open_kb: Open, harm: Callable[[KnowledgeBase], None]) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
        harm(kb)
        assert len(kb.verify().problems) == 1
        assert kb.verify(repair=True).ok
        assert_whole(kb, IDS)


def test_collections_that_are_gone_are_written_anew_at_the_first_search(
    open_kb: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
        lose_a_collection(kb)
    with open_kb() as kb:
        assert find(kb, SOME[7].text) == ["r7"]
        assert kb.encoder.texts_encoded == 1  # type: ignore[attr-defined]  # the question
    assert len([r for r in caplog.records if "made anew from the catalog" in r.message]) == 1


def test_a_snapshot_brings_back_what_was(open_kb: Open) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
        kb.snapshot("good")
        kb.add(Listed(numbered(50), label="more"))
        restore(kb.path, "good")
    with open_kb() as kb:
        assert kb.index.count("texts") == 12
        assert_whole(kb, IDS)


def test_what_was_exported_from_a_folder_is_imported_on_a_server(open_kb: Open, tmp_path: Path) -> None:
    with open_kb("local", store="") as kb:
        kb.add(Listed(*SOME))
        kb.export(tmp_path / "out")
    with open_kb() as kb:
        assert kb.import_(tmp_path / "out")["added"] == 12 and kb.encoder.texts_encoded == 0  # type: ignore[attr-defined]
        assert_whole(kb, IDS)


def test_it_is_encoded_again_there(open_kb: Open) -> None:
    import numpy as np

    with open_kb() as kb, open_kb(encoder=None) as reader:
        kb.add(Listed(*SOME))
        done = kb.reencode(FakeEncoder(dim=32, version="2"))
        assert done.problems == () and kb.encoder.id == "fake-32-2"
        assert {number for number, _ in kb.index._own()} == {3}  # type: ignore[attr-defined]
        assert_whole(kb, IDS)
        reader._refresh()
        assert reader.index.name == "chroma-3"
        with pytest.raises(IndexDamaged):  # a vector of another length: there is no such row on the server
            kb.index.query("texts", np.ones(64, np.float32), 1)


# -- several of them ------------------------------------------------------------------------------


def test_stores_on_one_server_never_mix(open_kb: Open) -> None:
    with open_kb("a") as a, open_kb("b") as b, open_kb("local", store="") as local:
        a.add(Listed(*SOME[:6]))
        local.add(Listed(*SOME[3:9]))  # another client of Chroma in the same process
        b.add(Listed(*SOME[6:]))
        a.rebuild()
        local.rebuild()
        assert_whole(a, {f"r{i}" for i in range(6)})
        assert_whole(b, {f"r{i}" for i in range(6, 12)})
        assert_whole(local, {f"r{i}" for i in range(3, 9)})


WRITER = """
import sys
from rsrag import KnowledgeBase, Plugins
from rsrag.testing.encoders import FakeEncoder
sys.path.insert(0, sys.argv[3])
from whole import Listed, numbered
with KnowledgeBase(sys.argv[1], FakeEncoder(), plugins=Plugins(external=False), store=sys.argv[2]) as kb:
    kb.add(Listed(*map(numbered, range(int(sys.argv[4]), int(sys.argv[4]) + 40)), label=sys.argv[4]))
"""


def test_two_writing_processes_lose_nothing_and_a_reader_sees_it(open_kb: Open, url: str) -> None:
    with open_kb() as reader:
        command = [sys.executable, "-c", WRITER, str(reader.path), url, str(Path(__file__).parent)]
        runs = [subprocess.Popen([*command, start]) for start in ("100", "200")]
        assert [run.wait(120) for run in runs] == [0, 0]
        assert find(reader, numbered(139).text) == ["r139"]
        assert_whole(reader, {f"r{i}" for start in (100, 200) for i in range(start, start + 40)})


def test_a_copied_catalog_takes_collections_of_its_own(
    open_kb: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
    shutil.copytree(tmp_path / "kb", tmp_path / "copy")
    with open_kb("copy") as copy, open_kb() as kb:
        assert "is a copy" in caplog.text and copy.encoder.texts_encoded == 0  # type: ignore[attr-defined]
        copy.delete("notes")
        copy.add(Listed(numbered(77)))
        assert_whole(copy, {"r77"})
        assert_whole(kb, IDS)


def test_a_copy_that_may_only_be_read_shares_the_vectors(
    open_kb: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
        where = kb.index.where
    shutil.copytree(tmp_path / "kb", tmp_path / "copy")
    monkeypatch.setattr("rsrag.store.database.os.access", lambda *_: False)
    with open_kb("copy", create=False) as copy:
        assert copy.index.where == where
        assert find(copy, SOME[2].text) == ["r2"]


def test_a_store_in_a_folder_stays_there(open_kb: Open, tmp_path: Path) -> None:
    with open_kb(store="") as kb:
        kb.add(Listed(*SOME))
    with open_kb() as kb:  # a server is configured now
        assert kb.info().index == str(tmp_path / "kb" / "chroma")
        assert_whole(kb, IDS)


def test_no_network_is_used_that_nobody_configured(open_kb: Open, url: str) -> None:
    with open_kb() as kb:
        kb.add(Listed(*SOME))
    with pytest.raises(StoreError, match=rf"are on the server {url}, which is not configured\. Set store = "):
        open_kb(store="")


# -- a server that is not as it should be ---------------------------------------------------------


def test_what_was_acknowledged_while_the_server_was_away_is_sent_when_it_is_back(
    open_kb: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with chroma(tmp_path / "server", port) as url, open_kb(store=url) as kb:
        kb.add(Listed(*SOME))
    with open_kb(store=url) as kb:
        for use in (kb.verify, kb.rebuild, lambda: find(kb, SOME[1].text), lambda: kb.add(Listed(*SOME, numbered(30)))):
            with pytest.raises(StoreError, match=rf"the Chroma server {url} cannot be reached\. Is it running\?"):
                use()  # type: ignore[operator]
        monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", 10_000)
        assert find(kb, numbered(30).text) == ["r30"]  # a small space is compared in memory
    (tmp_path / "kb" / "writer.lock").write_text("12345")  # and the writer died
    with open_kb(store=url) as kb:
        assert "Until then the index is behind the catalog." in caplog.text and not kb.info().settled
        assert kb.catalog.meta("compare") == "rows"
    with chroma(tmp_path / "server", port), open_kb(store=url) as kb:
        assert kb.info().settled and kb.encoder.texts_encoded == 0  # type: ignore[attr-defined]
        assert kb.catalog.meta("compare") is None
        assert_whole(kb, {*IDS, "r30"})


@contextmanager
def answering(status: int, body: bytes = b"{}") -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Something on a port that is no Chroma server, and the headers of what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({key.lower(): value for key, value in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"{}", "is no Chroma server .it answers with 404"),
        (200, b"<html>hello</html>", "is no Chroma server"),
        (302, b"", "is no Chroma server .it answers with 302"),
        (500, b"oops", "is no Chroma server .it answers with 500"),
        (401, b"{}", "refuses the token"),
        (403, b"{}", "refuses the token"),
        (200, b'{"nanosecond heartbeat": 1}', "failed"),  # it says so, and knows nothing else
    ],
)
def test_another_server_is_told_in_one_line(
    open_kb: Open, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, said: str
) -> None:
    monkeypatch.setenv("CHROMA_TOKEN", "s3cret")
    with answering(status, body) as (url, asked), open_kb(store=url, store_token_env="CHROMA_TOKEN") as kb:
        with pytest.raises(StoreError, match=said) as caught:
            kb.index.exists()
        assert "\n" not in str(caught.value) and "s3cret" not in str(caught.value)
        assert asked[0]["authorization"] == "Bearer s3cret" and asked[0]["x-chroma-token"] == "s3cret"


def test_a_server_that_never_answers_is_given_up(open_kb: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsrag.store.index_server.ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with open_kb(store=url) as kb, pytest.raises(StoreError, match="does not answer in time"):
            kb.verify() if kb.add(Listed(*SOME)) else None
        assert time.monotonic() - start < 30


def test_the_client_keeps_that_patience(open_kb: Open) -> None:
    with open_kb() as kb:
        kb.index.exists()
        assert kb.index._client._server._session.timeout.read == 60


@pytest.mark.parametrize(
    ("url", "token_env", "said"),
    [
        ("127.0.0.1:8000", "", "is not the address of a server"),
        ("ftp://host", "", "is not the address of a server"),
        ("http://", "", "is not the address of a server"),
        ("http://host:port", "", "is not the address of a server"),
        ("http://host:99999", "", "is not the address of a server"),
        ("http://host/?x=1", "", "is not the address of a server"),
        ("http://me:pw@host", "", "names a password for host"),
        ("http://host:8000", "TOKEN", "would be sent unencrypted"),
    ],
)
def test_bad_addresses(open_kb: Open, url: str, token_env: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        open_kb(store=url, store_token_env=token_env)
    assert "pw" not in str(caught.value).replace("password", "")


def test_a_token_that_is_not_set_is_asked_for(open_kb: Open, url: str) -> None:
    with (
        open_kb(store_token_env="NO_SUCH_TOKEN") as kb,
        pytest.raises(ConfigError, match=r"\$NO_SUCH_TOKEN is not set"),
    ):
        kb.index.exists()


def test_addresses_in_their_full_form() -> None:
    urls = ("http://Host", "https://host/", "https://host:8443/a/b/", "http://[::1]:9")
    found = [Server.at(url).url for url in urls]
    assert found == ["http://host:8000", "https://host:443", "https://host:8443/a/b", "http://[::1]:9"]


# -- configured -----------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    result = CliRunner().invoke(build(list(arguments)), list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout + result.stderr


def test_the_configured_server_is_used_and_said(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_home: Path
) -> None:
    monkeypatch.setenv("RSRAG_STORE", url)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "quay.txt").write_text("Cranes and ships line the quay.")
    folder = load().kb_folder / "harbour"
    assert folder.is_relative_to(private_home) and "127.0.0.1-" in folder.parent.name
    assert f"vectors go to {url}" in " ".join(run("kb", "create", "harbour").split())
    assert "Added 1" in run("kb", "add", str(tmp_path / "docs"), "--kb", "harbour")
    assert f"vectors on {url} (rsrag-" in run("kb", "info", "harbour")
    assert json.loads(run("kb", "verify", "harbour", "--json"))["ok"] is True
    assert json.loads(run("kb", "list", "--json")) == [{"name": "harbour", "path": str(folder)}]
    monkeypatch.delenv("RSRAG_STORE")
    with pytest.raises(StoreError, match="is not configured"):
        run("kb", "info", str(folder))


def test_servers_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ("http://host:8000", "http://host:8001", "https://host:8000", "http://host/8000", "http://HOST:8000/")
    folders = [load({"store": url}).kb_path("x").parent for url in urls]
    assert len(set(folders)) == 4 and folders[0] == folders[4]
    assert load().kb_path("x").parent.name == "kb"


def test_a_project_file_cannot_choose_a_server(tmp_path: Path) -> None:
    (tmp_path / "rsrag.toml").write_text('store = "http://elsewhere:8000"')
    config = load(start=tmp_path)
    assert config["store"] == "" and "ignored store" in config.warnings[0]
