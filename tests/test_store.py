"""The knowledge base through its public methods: real Chroma, real SQLite, a fake encoder."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rsrag import BBox, Fact, Filter, KnowledgeBase, Plugins, Query, Record, Section, StoreError, UsageError
from rsrag.testing.encoders import FakeEncoder


@pytest.fixture(autouse=True, params=["in memory", "chroma"])
def searched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test of the store runs twice: small spaces are compared in memory, larger ones by Chroma."""
    monkeypatch.setattr("rsrag.store.search.EXACT_UP_TO", 10_000 if request.param == "in memory" else 0)
    return str(request.param)


class Records:
    """A source over records given in the test."""

    name = "list"

    def __init__(self, *records: Record, label: str = "notes", role: str = "mine") -> None:
        self._records = records
        self.label = label
        self.role = role

    def records(self) -> Iterator[Record]:
        yield from self._records


def note(id: str, text: str, **more: object) -> Record:
    return Record(id, f"topic/{id}", id.title(), text, **more)  # type: ignore[arg-type]


HARBOUR = note("harbour", "Cranes and ships line the quay.", bbox=BBox(4.0, 51.9, 4.2, 52.0), facets={"theme": "water"})
FOREST = note("forest", "Dense trees with dark crowns.", bbox=BBox(-74.6, -8.5, -74.5, -8.3), facets={"theme": "land"})
FIJI = note("fiji", "Islands on the date line.", bbox=BBox(177.0, -19.0, -178.0, -16.0))
DATED = note("dated", "A dated note about floods.", acquired=datetime(2020, 7, 14, tzinfo=UTC))


def ids(hits: list) -> list[str]:
    return [hit.chunk.provenance.record for hit in hits]


def test_text_is_found_by_meaning_and_by_word(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR, FOREST))
    assert ids(kb.search_vectors(Query("ships at the quay"), "texts", "text", 2))[0] == "harbour"
    assert ids(kb.search_text(Query("crowns"), 5)) == ["forest"]


def test_a_hit_carries_rank_cosine_and_z(kb: KnowledgeBase) -> None:
    kb.add(Records(*(note(f"n{i}", f"word{i} and word{i + 1} about something") for i in range(30))))
    hit = kb.search_vectors(Query("word7 and word8"), "texts", "text", 3, "lane")[0]
    rank, cosine = hit.lanes["lane"]
    assert (rank, hit.chunk.provenance.record) == (1, "n7")
    assert 0 < cosine <= 1
    assert hit.z is not None and hit.z > 1


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(box=BBox(3, 51, 5, 53)), {"harbour"}),
        (Filter(box=BBox(179, -20, 180, -10)), {"fiji"}),
        (Filter(box=BBox(-180, -20, -179, -10)), {"fiji"}),
        (Filter(facets={"theme": "land"}), {"forest"}),
        (Filter(facets={"theme": ("land", "water")}), {"forest", "harbour"}),
        (Filter(interval=(datetime(2020, 7, 1, tzinfo=UTC), datetime(2020, 8, 1, tzinfo=UTC))), {"dated"}),
        (Filter(interval=(datetime(2021, 1, 1, tzinfo=UTC), None)), set()),
        (Filter(sources=("notes",)), {"harbour", "forest", "fiji", "dated"}),
        (
            Filter(polygon={"type": "Polygon", "coordinates": [[[3, 51], [5, 51], [5, 53], [3, 51]]]}),
            {"harbour"},
        ),
        # The box around this triangle touches the harbour; the triangle itself does not.
        (Filter(polygon={"type": "Polygon", "coordinates": [[[3, 51], [3, 53], [4.5, 53], [3, 51]]]}), set()),
    ],
)
def test_filters_exclude_in_every_search(kb: KnowledgeBase, where: Filter, expected: set[str]) -> None:
    kb.add(Records(HARBOUR, FOREST, FIJI, DATED))
    query = Query("ships trees islands floods note", where=where)
    assert set(ids(kb.search_vectors(query, "texts", "text", 10))) == expected
    assert set(ids(kb.search_text(query, 10))) == expected


def test_a_filter_too_large_for_ids_gives_the_same(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    kb.add(Records(*(note(f"n{i}", f"text number {i}", facets={"odd": bool(i % 2)}) for i in range(60))))
    query = Query("text number", where=Filter(facets={"odd": True}))
    by_ids = ids(kb.search_vectors(query, "texts", "text", 5))
    monkeypatch.setattr("rsrag.store.search.FILTER_BY_IDS", 3)
    assert ids(kb.search_vectors(query, "texts", "text", 5)) == by_ids
    assert len(by_ids) == 5 and all(int(i[1:]) % 2 for i in by_ids)


def test_excluded_records_stay_out(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR, FOREST))
    query = Query("cranes quay", exclude=("harbour",))
    assert "harbour" not in ids(kb.search_vectors(query, "texts", "text", 5)) + ids(kb.search_text(query, 5))


def test_near_ranks_by_distance_also_over_the_date_line(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR, FOREST, FIJI))
    assert ids(kb.search_near(Query(near=BBox(-179.9, -17, -179.8, -16.9)), 3))[0] == "fiji"
    hits = kb.search_near(Query(near=BBox(4.3, 52.0, 4.4, 52.1)), 3)
    assert ids(hits) == ["harbour"]
    assert -30 < hits[0].lanes["near-by"][1] < -5


def test_words_in_a_question_are_never_search_syntax(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR))
    for text in (
        'cranes" OR "',
        "cranes NEAR/2 (quay",
        "cranes*^",
        "-cranes",
        "title:cranes",
        "crane's",
        "'; DROP TABLE",
    ):
        kb.search_text(Query(text), 5)
    assert ids(kb.search_text(Query("cranes AND AND"), 5)) == ["harbour"]


def test_aliases_and_titles_are_searched(kb: KnowledgeBase) -> None:
    kb.add(Records(Record("s2", "sensor/s2", "Sentinel-2 MSI", "Optical.", aliases=("S2A",))))
    assert ids(kb.search_text(Query("S2A"), 5)) == ["s2"]
    assert ids(kb.search_text(Query("sentinel-2"), 5)) == ["s2"]


def test_equal_texts_share_one_vector(kb: KnowledgeBase) -> None:
    same = [Record(f"r{i}", f"t/{i}", "Same title", "The very same words.") for i in range(5)]
    assert kb.add(Records(*same)).embedded == 1
    assert len(kb.search_vectors(Query("the very same words"), "texts", "text", 10)) == 5


def test_adding_again_embeds_nothing_and_changes_nothing(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR, FOREST))
    encoder = kb.encoder
    assert isinstance(encoder, FakeEncoder)
    before = encoder.texts_encoded
    report = kb.add(Records(HARBOUR, FOREST))
    assert (report.added, report.unchanged, report.embedded) == (0, 2, 0)
    assert encoder.texts_encoded == before


def test_a_changed_record_replaces_its_chunks(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR, FOREST))
    report = kb.add(Records(note("harbour", "Now it is all sand and dunes."), FOREST))
    assert (report.updated, report.unchanged) == (1, 1)
    assert ids(kb.search_text(Query("cranes"), 5)) == []
    assert ids(kb.search_text(Query("dunes"), 5)) == ["harbour"]
    assert kb.index.count("texts") == kb.catalog.count("vectors", "space = 'texts'") == 2


def test_delete_takes_everything_of_a_source_and_nothing_else(kb: KnowledgeBase) -> None:
    shared = note("same", "Shared words.")
    kb.add(Records(HARBOUR, shared, label="a"))
    kb.add(Records(FOREST, shared, label="b"))
    assert kb.delete("a") == 2
    assert ids(kb.search_text(Query("cranes shared trees"), 9)) in (["same", "forest"], ["forest", "same"])
    assert {h.chunk.provenance.source for h in kb.search_vectors(Query("shared words"), "texts", "text", 9)} == {"b"}
    assert kb.index.count("texts") == 2
    with pytest.raises(UsageError, match="no source called 'a'"):
        kb.delete("a")


def test_facts_are_kept_and_become_sentences(kb: KnowledgeBase) -> None:
    record = Record("s", "sensor/s", "Sensor S", facts=(Fact("sensor/s", "swath width", 290, "km"),))
    kb.add(Records(record))
    assert kb.info().facts == 1
    assert kb.search_text(Query("swath"), 1)[0].chunk.text == "Sensor S: swath width is 290 km."


def test_labels_name_and_do_not_clutter(kb: KnowledgeBase) -> None:
    kb.add(Records(Record("tank", "class/tank", "Tank", sections=(Section("label", "storage tanks"),))))
    assert kb.catalog.vectors.counts() == {"names": 1, "texts": 1}


def test_a_record_without_vectors_is_found_by_name_and_place_only(kb: KnowledgeBase) -> None:
    kb.add(Records(note("town", "A town by the sea.", vectors=False, bbox=BBox(1, 1, 1, 1)), HARBOUR))
    assert ids(kb.search_named(Query("Where is Town?"), 3)) == ["town"]
    assert ids(kb.search_text(Query("town"), 3)) == []
    assert ids(kb.search_near(Query(near=BBox(1, 1, 1.1, 1.1)), 3)) == ["town"]
    assert "town" not in ids(kb.search_vectors(Query("a town by the sea"), "texts", "text", 5))


def test_reopening_finds_the_same(tmp_path: Path, plugins: Plugins) -> None:
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Records(HARBOUR, FOREST))
        before = kb.search_vectors(Query("ships"), "texts", "text", 2)
    with KnowledgeBase(tmp_path / "kb", plugins=plugins) as kb:  # the encoder is remembered
        assert kb.encoder.name == "fake"
        assert kb.search_vectors(Query("ships"), "texts", "text", 2) == before
        assert len(kb) == 2


def test_other_weights_are_refused_with_the_way_out(tmp_path: Path, plugins: Plugins) -> None:
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Records(HARBOUR))
    with pytest.raises(
        StoreError, match=r"made with encoder fake-64-1, not fake-64-2.*kb reencode --kb .* --encoder fake"
    ):
        KnowledgeBase(tmp_path / "kb", FakeEncoder(version="2"), plugins=plugins)
    with KnowledgeBase(tmp_path / "kb", plugins=plugins) as kb:
        assert ids(kb.search_text(Query("cranes"), 1)) == ["harbour"]


@pytest.mark.parametrize("damage", ["missing", "emptied"])
def test_the_index_is_rebuilt_from_the_catalog(tmp_path: Path, plugins: Plugins, damage: str) -> None:
    import shutil

    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Records(HARBOUR, FOREST))
    shutil.rmtree(tmp_path / "kb" / "chroma")
    if damage == "emptied":
        (tmp_path / "kb" / "chroma").mkdir()
    with KnowledgeBase(tmp_path / "kb", plugins=plugins) as kb:
        assert ids(kb.search_vectors(Query("ships at the quay"), "texts", "text", 1)) == ["harbour"]
        assert kb.encoder.texts_encoded == 1  # type: ignore[attr-defined]  # the question alone


def test_vectors_that_chroma_missed_are_sent_again(tmp_path: Path, plugins: Plugins) -> None:
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Records(HARBOUR))
        real, kb.index.put = kb.index.put, lambda *a, **k: (_ for _ in ()).throw(OSError("killed"))  # type: ignore
        with pytest.raises(OSError, match="killed"):
            kb.add(Records(HARBOUR, FOREST))
        kb.index.put = real  # type: ignore[method-assign]
    with KnowledgeBase(tmp_path / "kb", plugins=plugins) as kb:
        assert kb.info().settled
        assert ids(kb.search_vectors(Query("dark crowns of trees"), "texts", "text", 1)) == ["forest"]


WRITER = """
import sys
from rsrag import KnowledgeBase, Plugins, Record
from rsrag.testing.encoders import FakeEncoder

class Source:
    name = "list"; label = "other"; role = "mine"
    def records(self):
        for i in range(40):
            yield Record(f"x{i}", f"t/{i}", f"X{i}", f"the zebra number {i}")

with KnowledgeBase(sys.argv[1], FakeEncoder(), plugins=Plugins(external=False)) as kb:
    kb.add(Source())
"""


def test_a_reader_sees_what_another_process_finished(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR))
    assert len(kb.search_vectors(Query("zebra"), "texts", "text", 50)) == 1
    subprocess.run([sys.executable, "-c", WRITER, str(kb.path)], check=True)
    assert len(kb.search_vectors(Query("the zebra number"), "texts", "text", 50)) == 41


def test_two_writing_processes_lose_nothing(tmp_path: Path) -> None:
    code = WRITER.replace('"other"', "sys.argv[2]").replace('f"x{i}"', 'f"{sys.argv[2]}{i}"')
    code = code.replace("zebra", "{sys.argv[2]}")
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "kb"), name]) for name in ("a", "b")]
    assert [run.wait(120) for run in runs] == [0, 0]
    with KnowledgeBase(tmp_path / "kb", FakeEncoder(), plugins=Plugins(external=False)) as kb:
        assert kb.info().records == 80
        assert kb.index.count("texts") == 80 == len(kb.search_vectors(Query("number"), "texts", "text", 100))


def test_threads_share_one_knowledge_base(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR, FOREST, FIJI))
    wrong: list[object] = []

    def look(word: str, expected: str) -> None:
        for _ in range(20):
            found = ids(kb.search_vectors(Query(word), "texts", "text", 1)) + ids(kb.search_text(Query(word), 1))
            if found != [expected, expected]:
                wrong.append((word, found))

    pairs = [("cranes ships", "harbour"), ("dense trees", "forest"), ("islands date line", "fiji")] * 2
    threads = [threading.Thread(target=look, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: p.write_text("not sqlite at all, but long enough to be read as a header" * 20),
            "damaged or no database",
        ),
        (lambda p: sqlite3.connect(p).execute("CREATE TABLE t (x)"), "is not an rsrag catalog"),
    ],
)
def test_a_file_that_is_no_catalog_is_left_alone(tmp_path: Path, plugins: Plugins, make: object, message: str) -> None:
    file = tmp_path / "kb" / "catalog.sqlite"
    file.parent.mkdir()
    make(file)  # type: ignore[operator]
    before = file.read_bytes()
    with pytest.raises(StoreError, match=message):
        KnowledgeBase(file.parent, "fake", plugins=plugins)
    assert file.read_bytes() == before


def test_a_store_whose_making_was_cut_off_is_made_again(tmp_path: Path, plugins: Plugins) -> None:
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "catalog.sqlite").touch()
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        assert kb.add(Records(HARBOUR)).added == 1


def test_a_newer_schema_is_refused(tmp_path: Path, plugins: Plugins) -> None:
    KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins).close()
    db = sqlite3.connect(tmp_path / "kb" / "catalog.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="schema version 99; this rsrag reads 3"):
        KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins)


def test_get_accepts_the_first_letters_of_an_id(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR))
    chunk = kb.search_text(Query("cranes"), 1)[0].chunk
    assert kb.get(chunk.id) == kb.get(chunk.id[:8]) == chunk
    assert kb.get("zzzzzzzz") is None and kb.get(chunk.id[:3]) is None and kb.get("%") is None


CITIES = (
    Record("tell", "place/tell", "Tell", "Tell is a town.", vectors=False),
    Record("big", "place/big", "Springfield", "Springfield in Illinois.", vectors=False,
           facts=(Fact("place/big", "population", 114000, "people"),)),
    Record("small", "place/small", "Springfield", "Springfield in Vermont.", vectors=False,
           facts=(Fact("place/small", "population", 9000, "people"),)),
    Record("sao", "place/sao", "S\u00e3o Paulo", "S\u00e3o Paulo is a city.", vectors=False),
    Record("river", "class/river", "River", "A river is a winding ribbon.", aliases=("stream", "watercourse")),
    Record("ndvi", "index/ndvi", "NDVI, Normalized Difference Vegetation Index", "NDVI is an index."),
    Record("gndvi", "index/gndvi", "GNDVI, Green NDVI", "GNDVI is an index.", aliases=("green NDVI",)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("how do I tell a river from a road?", ["river"]),  # a word that passages use is no town
        ("Tell me what lies beyond the mountains", []),  # a capital at the beginning says nothing
        ("how far is Tell?", ["tell"]),
        ("where is springfield?", ["big", "small"]),  # all in lower case, and no ordinary word
        ("what about sao paulo", ["sao"]),
        ("what is NDVI?", ["ndvi"]),
        ("what is green NDVI?", ["gndvi"]),  # the longer name wins
        ("a watercourse", ["river"]),
        ("nothing of the kind", []),
    ],
)
def test_names_in_a_question(kb: KnowledgeBase, question: str, found: list[str]) -> None:
    idioms = (note(thing, f"How to tell a {thing} apart.") for thing in ("barn", "quarry", "dam", "kiln"))
    kb.add(Records(*CITIES, *idioms))  # what four passages use is a common word
    assert list(dict.fromkeys(ids(kb.search_named(Query(question), 9)))) == found


def test_a_stale_client_does_not_write_over_another_process(kb: KnowledgeBase) -> None:
    class Many:
        name = "many"

        def __init__(self, label: str) -> None:
            self.label = label

        def records(self) -> Iterator[Record]:
            for i in range(60):
                yield note(f"{self.label}{i}", f"{self.label} text number {i}")

    code = WRITER.replace('"other"', "sys.argv[2]").replace('f"x{i}"', 'f"{sys.argv[2]}{i}"')
    code = code.replace("zebra", "{sys.argv[2]}")
    kb.add(Many("here0"))
    for turn in (1, 2):
        subprocess.run([sys.executable, "-c", code, str(kb.path), f"there{turn}"], check=True)
        kb.add(Many(f"here{turn}"))
    vectors = kb.catalog.vectors.of("texts", kb.catalog.chunks.hashes("text", kb.condition(Filter())))
    lost = [d for d, v in vectors.items() if kb.index.query("texts", v, 1)[0][0] != d]
    assert len(vectors) == 260 and lost == []


def test_renumbered_content_keeps_its_vectors(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsrag.ingest.BATCH", 4)
    texts = [f"the text of number {i}" for i in range(24)]
    kb.add(Records(*(Record(f"r{i}", f"t/{i}", "Title", t) for i, t in enumerate(texts))))
    texts.insert(0, "a new first text")
    kb.add(Records(*(Record(f"r{i}", f"t/{i}", "Title", t) for i, t in enumerate(texts))))
    assert kb.catalog.vectors.counts()["texts"] == 25 == kb.index.count("texts")
    assert len(kb.search_vectors(Query("the text of number"), "texts", "text", 50)) == 25


def test_a_record_that_cannot_be_stored_costs_itself(kb: KnowledgeBase) -> None:
    bad = note("bad", "half a pair: \ud800")
    odd = note("odd", "facets that are no data", facets={"x": object()})
    report = kb.add(Records(HARBOUR, bad, odd, FOREST))
    assert report.added == 2 and [where for where, _ in report.failed] == ["bad", "odd"]
    assert kb.info().records == 2


def test_a_closed_knowledge_base_says_so(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR))
    kb.close()
    with pytest.raises(StoreError, match="is closed"):
        kb.search_text(Query("cranes"), 1)


def test_threads_that_end_leave_no_open_files(kb: KnowledgeBase) -> None:
    kb.add(Records(HARBOUR))

    def open_after(threads: int) -> int:
        for _ in range(threads):
            thread = threading.Thread(target=lambda: kb.search_text(Query("cranes"), 1))
            thread.start()
            thread.join()
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    # SQLite itself keeps some descriptors back until no connection holds a lock; their number does not grow.
    assert open_after(120) < open_after(60) + 80


def test_near_finds_images_and_honours_filters(kb: KnowledgeBase, tmp_path: Path) -> None:
    from rsrag.testing.rasters import make_geotiff

    make_geotiff(tmp_path / "in" / "scene.tif", crs="EPSG:4326", bounds=(4.0, 51.9, 4.2, 52.0))
    kb.add(tmp_path / "in", source="imagery")
    kb.add(Records(HARBOUR, FOREST))
    place = BBox(4.0, 51.9, 4.2, 52.0)
    assert set(ids(kb.search_near(Query(near=place), 9))) == {"scene.tif", "harbour"}
    assert ids(kb.search_near(Query(near=place, where=Filter(kind="image")), 9)) == ["scene.tif"]
    triangle = {"type": "Polygon", "coordinates": [[[3, 51], [3, 53], [3.5, 53], [3, 51]]]}
    assert kb.search_near(Query(near=place, where=Filter(polygon=triangle)), 9) == []
    assert kb.count_kept(Filter(polygon=triangle))[0] == 0


def test_images_are_found_by_the_words_of_their_names(kb: KnowledgeBase, tmp_path: Path) -> None:
    from rsrag.testing.rasters import make_image

    for name in ("landsat_pucallpa_2020.png", "naip_dakota.png"):
        make_image(tmp_path / "pics" / name)
    kb.add(tmp_path / "pics")
    assert ids(kb.search_text(Query("pucallpa 2020", task="search"), 5)) == ["landsat_pucallpa_2020.png"]


def test_chance_is_told_by_the_packs_and_heals(kb: KnowledgeBase) -> None:
    pack = [note(f"p{i}", f"subject {i} about thing{i} with word{i * 7 % 50}") for i in range(60)]
    kb.add(Records(*pack, label="pack", role="reference"))
    before = kb.spaces.null("texts", "text")
    kb.add(Records(*(note(f"m{i}", f"same same same {i}") for i in range(80)), label="mine"))
    assert kb.spaces.null("texts", "text") == before
    kb.delete("mine")
    assert kb.spaces.null("texts", "text") == before


def test_a_store_that_may_only_be_read_is_read(
    tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, searched: str
) -> None:
    if searched == "chroma":
        pytest.skip("Chroma itself opens its database for writing; larger stores need a writable folder")
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as kb:
        kb.add(Records(HARBOUR, FOREST))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "kb").rglob("*")}
    monkeypatch.setattr("rsrag.store.database.os.access", lambda *_: False)  # as on a read-only mount
    with KnowledgeBase(tmp_path / "kb", plugins=plugins, create=False) as kb:
        assert ids(kb.search_vectors(Query("ships at the quay"), "texts", "text", 1)) == ["harbour"]
        assert ids(kb.search_text(Query("crowns"), 1)) == ["forest"]
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "kb").rglob("*")} == before
