"""Plugins that break in every way we could think of: each costs one line and its own features, never the program."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rsrag import (
    Assistant,
    Hit,
    KnowledgeBase,
    PluginError,
    Plugins,
    Query,
    Record,
    RsragError,
    Scene,
    Text,
    ToolResult,
    hookimpl,
    open_scene,
)
from rsrag.guard import Guard, Late
from rsrag.guarded import checked_vectors
from rsrag.testing.encoders import FakeEncoder
from rsrag.testing.rasters import make_image

# -- all of them installed at once, seen from the command line ------------------------------------

LANE = """
class Lane:
    name = "{name}"
    needs = ("text",)
    votes = False
    def retrieve(self, query, kb, k):
        {body}

@hookimpl
def rsrag_retrievers():
    return [Lane]
"""
BREAKAGES = {
    "import_error": ("import no_such_module", "cannot be imported (ModuleNotFoundError"),
    "signature": ("@hookimpl\ndef rsrag_tools(nonsense):\n    return []\n", "does not fit the hooks"),
    "misspelt": ("@hookimpl\ndef rsrag_retreivers():\n    return []\n", "Did you mean rsrag_retrievers?"),
    "duplicate": (LANE.format(name="words", body="return []"), "offers retriever 'words', which"),
    "raising": (
        "@hookimpl\ndef rsrag_tools():\n    raise OSError('disk gone')\n",
        "failed to offer its tools (OSError",
    ),
    "other_api": ("RSRAG_PLUGIN_API = 2\n" + LANE.format(name="later", body="return []"), "Update rsrag."),
    "wrong_type": ("@hookimpl\ndef rsrag_retrievers():\n    yield 1\n", "returned generator instead of a list"),
    "endless": ("@hookimpl\ndef rsrag_tools():\n    while True:\n        pass\n", "did not come back within 5 s"),
    "lane_type": (
        LANE.format(name="typed", body="return iter([])"),
        "returned list_iterator instead of a list of hits",
    ),
    "lane_exit": (LANE.format(name="exits", body="raise SystemExit(9)"), "tried to end the program (9)"),
    "unmarked": ("def rsrag_tools():\n    return []\n", "defines rsrag_tools without @rsrag.hookimpl"),
}
LOUD = """
import os, subprocess
print("at import")
class Loud:
    name = "loud"
    needs = ("text",)
    votes = False
    def retrieve(self, query, kb, k):
        print("in the lane", end="")
        subprocess.run(["echo", "from a child"])
        return []

@hookimpl
def rsrag_retrievers():
    print("in the hook")
    return [Loud]
"""
FAKE = """
@hookimpl
def rsrag_encoders():
    from rsrag.testing.encoders import FakeEncoder
    return [FakeEncoder]
"""


def install(folder: Path, name: str, code: str) -> None:
    dist = folder / f"rsrag_{name}-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rsrag-{name}\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[rsrag]\n{name} = rsrag_broken_{name}\n")
    (folder / f"rsrag_broken_{name}.py").write_text("from rsrag import hookimpl\n" + code)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the fake encoder alone, the broken plugins)."""
    good, bad = tmp_path_factory.mktemp("good"), tmp_path_factory.mktemp("bad")
    install(good, "fake", FAKE)
    for name, (code, _) in BREAKAGES.items():
        install(bad, name, code)
    install(bad, "loud", LOUD)
    return good, bad


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, places: tuple[Path, Path]) -> Path:
    """A data folder with a knowledge base of one document, made without the broken plugins."""
    home = tmp_path_factory.mktemp("home")
    (home / "docs").mkdir()
    (home / "docs" / "kiln.md").write_text("# Kiln\n\nA brick kiln is an oval with a tall chimney in its middle.\n")
    run(home, [places[0]], "kb", "add", "docs", "--kb", "work")
    return home


def run(home: Path, sites: Sequence[Path], *arguments: str, code: int = 0, **more: str) -> Any:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(map(str, sites)),
        "RSRAG_ENCODER": "fake",
        "RSRAG_DATA_DIR": str(home / "data"),
        "RSRAG_PLUGINS__TIMEOUT": "5",
        "LANG": "C.UTF-8",
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-c", "from rsrag.cli import main; main()", *arguments],
        capture_output=True, text=True, cwd=home, env=environment, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


QUESTION = ("ask", "is a brick kiln an oval with a tall chimney?", "--kb", "work", "--json")


def test_every_breakage_costs_one_line_and_the_answer_stays(home: Path, places: tuple[Path, Path]) -> None:
    without = json.loads(run(home, places[:1], *QUESTION).stdout)
    done = run(home, places, *QUESTION)
    answer = json.loads(done.stdout)
    assert (answer["text"], answer["status"]) == (without["text"], without["status"])
    told = [*done.stderr.splitlines(), *answer["warnings"]]
    for name, (_, message) in BREAKAGES.items():
        assert len([line for line in told if message in line]) == 1, (name, told)
        assert len([line for line in told if f"plugin {name}" in line]) == 1, (name, told)
    # What the loud one prints, and its child, is heard on stderr.
    for said in ("plugin loud: at import", "plugin loud: in the hook", "plugin loud: in the lane", "from a child"):
        assert said in done.stderr.splitlines()


def test_the_list_shows_them_all_with_what_is_wrong(home: Path, places: tuple[Path, Path]) -> None:
    rows = {row["name"]: row for row in json.loads(run(home, places, "plugins", "list", "--json").stdout)}
    assert set(rows) == {"rsrag", "fake", "loud", *BREAKAGES}
    for name, (_, message) in BREAKAGES.items():
        if not name.startswith("lane"):  # those break when they run, and nothing runs here
            assert len(rows[name]["problems"]) == 1 and message in rows[name]["problems"][0], rows[name]
    broken = {"import_error", "signature", "other_api", "endless"}
    assert {name for name, row in rows.items() if row["state"] == "broken"} == broken
    assert {name for name, row in rows.items() if row["state"] == "ok"} == {"fake", "loud", "lane_type", "lane_exit"}
    assert (rows["fake"]["distribution"], rows["fake"]["version"]) == ("rsrag-fake", "1.0")
    assert rows["fake"]["offers"] == {"encoder": ["fake"]} and rows["fake"]["import_ms"] > 0


def test_without_any_plugin_there_is_a_program_that_works(home: Path) -> None:
    """Uninstalling every plugin leaves the built-ins; --no-plugins does the same for one run."""
    (row,) = json.loads(run(home, [], "plugins", "list", "--json").stdout)
    assert row["state"] == "built-in" and {"source", "encoder", "retriever", "model", "tool"} <= set(row["offers"])
    for arguments in (["--help"], ["kb", "list"]):
        assert run(home, [], *arguments).stdout


def test_no_plugins_imports_none_and_strict_stops_at_the_first(home: Path, places: tuple[Path, Path]) -> None:
    none = run(home, places, "--no-plugins", "plugins", "list", "--json")
    assert len(json.loads(none.stdout)) == 1 and "loud" not in none.stderr
    strict = run(home, places, "plugins", "list", code=1, RSRAG_STRICT_PLUGINS="1")
    assert "error: plugin " in strict.stderr and "RSRAG_STRICT_PLUGINS" in strict.stderr


# -- each in this process -------------------------------------------------------------------------


def offer(kind: str, *classes: type, **options: Any) -> Plugins:
    fake = SimpleNamespace(rsrag_encoders=hookimpl(lambda: [FakeEncoder]))
    third = SimpleNamespace(**{f"rsrag_{kind}s": hookimpl(lambda: list(classes))}, __name__="third")
    return Plugins(external=False, extra=[third] if kind == "encoder" else [third, fake], **options)


def naps(*_: Any) -> Any:
    time.sleep(30)


class Kilns:
    name = "kilns"

    def records(self) -> Iterator[Record]:
        yield Record("kiln", "class/kiln", "Kiln", "A brick kiln is an oval with a tall chimney in its middle.")


def store(path: Path, plugins: Plugins) -> KnowledgeBase:
    kb = KnowledgeBase(path / "kb", "fake", plugins=plugins)
    kb.add(Kilns())
    return kb


def lane(answer: Any) -> type:
    return type("Lane", (), {"name": "odd", "needs": ("text",), "votes": False, "retrieve": lambda *a: answer(*a[1:])})


STRANGER = Hit.__new__(Hit)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (naps, "retriever 'odd' of plugin third did not come back within 0.3 s."),
        (lambda *_: None, "broke its contract: retrieve returned NoneType instead of a list of hits."),
        (lambda *_: (x for x in ()), "returned generator instead of a list of hits."),
        (lambda *_: ["kiln"], "returned a list with str in it instead of hits."),
        (lambda q, kb, k: [Hit(h.chunk) for h in kb.search_text(q, k)], "gave a hit without its own rank"),
        (lambda *_: sys.exit(3), "tried to end the program (3)."),
        (lambda *_: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_lane_that_breaks_is_named_and_the_others_answer(answer: Any, told: str, tmp_path: Path) -> None:
    with store(tmp_path, offer("retriever", lane(answer), timeout=0.3)) as kb:
        said = Assistant(kb).ask("what is a brick kiln?")
    assert "oval" in said.text
    (warning,) = [w for w in said.warnings if "odd" in w]
    assert warning.startswith("retrieval lane odd failed: ") and told in warning


def test_a_reranker_may_not_add_or_double(tmp_path: Path) -> None:
    class Doubles:
        name = "doubles"

        def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
            return [*hits, *hits]

    with store(tmp_path, offer("reranker", Doubles)) as kb:
        said = Assistant(kb, reranker="doubles").ask("what is a brick kiln?")
    assert "oval" in said.text and len(said.evidence) == 1
    assert any("doubles failed" in w and "or one twice" in w for w in said.warnings)


class Tool:
    name = "odd-tool"
    fit: Any = 1.0

    def applies(self, query: Query) -> Any:
        return self.fit

    def __call__(self, scene: Scene) -> ToolResult:
        """Measure."""
        return ToolResult("It is 4 m high.")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"__call__": naps}, "tool 'odd-tool' of plugin third did not come back within 0.3 s."),
        ({"applies": naps}, "tool 'odd-tool' of plugin third did not come back within 0.3 s."),
        ({"__call__": lambda *_: "4 m"}, "returned str instead of a ToolResult."),
        ({"__call__": lambda *_: ToolResult(None)}, "a ToolResult whose text is no str"),  # type: ignore[arg-type]
        ({"__call__": lambda *_: ToolResult("x", {"h": 4})}, "values are no Quantity"),  # type: ignore[dict-item]
        ({"__call__": lambda *_: {}["gone"]}, "KeyError: 'gone'"),
        ({"fit": float("nan")}, "applies returned nan instead of a number in 0..1."),
        ({"fit": "very"}, "applies returned 'very' instead of a number in 0..1."),
    ],
)
def test_a_tool_that_breaks_is_named_and_the_answer_goes_on(broken: dict[str, Any], told: str, tmp_path: Path) -> None:
    plugins = offer("tool", type("Odd", (Tool,), broken), timeout=0.3)
    image = make_image(tmp_path / "green.png", color=(40, 150, 40))
    with store(tmp_path, plugins) as kb:
        said = Assistant(kb).ask("is a brick kiln an oval?", image)
    assert said.text
    (warning,) = [w for w in said.warnings if "odd-tool" in w]
    assert warning.startswith("tool odd-tool failed: ") and told in warning


def test_a_good_tool_of_a_plugin_is_evidence(tmp_path: Path) -> None:
    image = make_image(tmp_path / "green.png", color=(40, 150, 40))
    with store(tmp_path, offer("tool", Tool)) as kb:
        said = Assistant(kb).ask("how high is it?", image)
    assert [e.text for e in said.evidence if e.kind == "tool" and "4 m" in e.text] == ["It is 4 m high."]


def model(generate: Any) -> type:
    return type("Odd", (), {"name": "odd", "capabilities": None, "generate": generate})


def babbles(self: Any, prompt: Any) -> Iterator[Text]:
    while True:
        yield Text("and ")


@pytest.mark.parametrize(
    ("generate", "told"),
    [
        (babbles, "model 'odd' of plugin third did not come back within"),
        (lambda *_: naps(), "model 'odd' of plugin third did not come back within 0.05 s."),
        (lambda *_: iter(["word"]), "yielded str instead of Text, ToolCall, Usage, Notice or Verdict."),
        (lambda *_: 5, "failed (TypeError: 'int' object is not iterable)."),
        (lambda *_: 1 / 0, "failed (ZeroDivisionError: division by zero)."),
    ],
)
def test_a_model_that_breaks_is_one_error_for_people(generate: Any, told: str, tmp_path: Path) -> None:
    with store(tmp_path, offer("model", model(generate))) as kb:
        assistant = Assistant(kb)  # with time to make the lanes; the model gets less
        assistant.model = offer("model", model(generate), timeout=0.05).create("model", "odd")
        with pytest.raises(PluginError) as caught:
            assistant.ask("what is a brick kiln?")
    assert told in caught.value.message


def test_cancelling_an_answer_closes_the_models_generator() -> None:
    closed = threading.Event()

    def generate(self: Any, prompt: Any) -> Iterator[Text]:
        try:
            yield from babbles(self, prompt)
        finally:
            closed.set()

    answer = offer("model", model(generate)).create("model", "odd").generate(None)
    assert next(answer) == Text("and ")
    answer.close()
    assert closed.is_set()


def source(records: Any) -> type:
    return type("Odd", (), {"name": "odd", "records": records, "__init__": lambda self, path="": None})


def repeats(self: Any) -> Iterator[Record]:
    while True:
        yield Record("same", "s", "Same", "text")


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (lambda self: iter([{"id": 1}]), "broke its contract: records yielded dict instead of a Record."),
        (lambda self: naps(), "source 'odd' of plugin third did not come back within 0.3 s."),
        (lambda self: None, "failed (TypeError: 'NoneType' object is not iterable)."),
        (lambda self: (1 / 0 for _ in "a"), "failed (ZeroDivisionError: division by zero)."),
        (repeats, "source 'odd' gave nothing new in 10,000 records; it seems to have no end."),
    ],
)
def test_a_source_that_breaks_ends_with_one_error_and_what_was_stored_stays(
    records: Any, told: str, tmp_path: Path
) -> None:
    with store(tmp_path, offer("source", source(records), timeout=0.3)) as kb:
        with pytest.raises(PluginError) as caught:
            kb.add("odd")
        assert told in caught.value.message
        assert "oval" in Assistant(kb).ask("what is a brick kiln?").text


@pytest.mark.parametrize("matches", [naps, lambda what: 1 / 0, lambda what: "surely"])
def test_a_source_that_cannot_tell_what_fits_leaves_the_guess_to_others(
    matches: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = type("Odd", (source(lambda self: iter(())),), {"matches": staticmethod(matches)})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Pier\n\nA pier stands in water.\n")
    with store(tmp_path, offer("source", odd, timeout=0.3)) as kb, caplog.at_level(logging.WARNING, "rsrag"):
        assert kb.add(str(tmp_path / "docs")).added == 1
    assert ["source 'odd' cannot tell whether it fits" in r.getMessage() for r in caplog.records] == [True]


def captioner(caption: Any) -> type:
    return type("Odd", (), {"name": "odd", "caption": lambda self, scenes: caption(scenes)})


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        (lambda scenes: ["one"], "captioner 'odd' returned 1 captions for 2 images."),
        (lambda scenes: [None] * len(scenes), "broke its contract: caption did not return a list of str."),
        (lambda scenes: 1 / 0, "captioner 'odd' of plugin third failed (ZeroDivisionError: division by zero)."),
        (naps, "captioner 'odd' of plugin third did not come back within 0.4 s."),  # two images, twice the time
    ],
)
def test_a_captioner_that_breaks_is_named(caption: Any, told: str, tmp_path: Path) -> None:
    for number in range(2):
        make_image(tmp_path / "images" / f"{number}.png", seed=number)
    with store(tmp_path, offer("captioner", captioner(caption), timeout=0.2)) as kb:
        with pytest.raises(RsragError) as caught:
            kb.add(str(tmp_path / "images"), captioner="odd")
        assert told in caught.value.message
        assert kb.info().records == 1


def encoder(**changes: Any) -> type:
    return type("Odd", (FakeEncoder,), {"name": "odd", **changes})


def distorted(how: Any) -> type:
    return encoder(encode_texts=lambda self, texts, role="passage": how(FakeEncoder.encode_texts(self, texts, role)))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda rows: rows * float("nan"), "its result holds values that are not finite; (1, 64) was expected."),
        (lambda rows: rows[:, 1:], "its result has shape (1, 63) of float32; (1, 64) was expected."),
        (lambda rows: rows[:0], "its result has shape (0, 64) of float32; (1, 64) was expected."),
        (lambda rows: rows * 3, "its result has rows that are not of unit length (off by 2)"),
        (lambda rows: (rows * 100).astype(int), "of int64; (1, 64) was expected."),
        (lambda rows: None, "its result has shape () of object; (1, 64) was expected."),
        (lambda rows: 1 / 0, "encoder 'odd' of plugin third failed (ZeroDivisionError: division by zero)."),
    ],
)
def test_an_encoder_that_breaks_is_named_and_nothing_is_written(how: Any, told: str, tmp_path: Path) -> None:
    with KnowledgeBase(tmp_path / "kb", "odd", plugins=offer("encoder", distorted(how))) as kb:
        with pytest.raises(PluginError) as caught:
            kb.add(Kilns())
        assert told in caught.value.message
        assert kb.info().records == 0


def test_an_encoder_that_breaks_when_it_is_asked_fails_its_lanes(tmp_path: Path) -> None:
    """The store is sound; only the question's vector is not."""

    class Moody(FakeEncoder):
        name = "odd"

        def encode_texts(self, texts: Sequence[str], role: Any = "passage") -> Any:
            return super().encode_texts(texts, role) * (float("nan") if role == "query" else 1)

    with KnowledgeBase(tmp_path / "kb", "odd", plugins=offer("encoder", Moody)) as kb:
        kb.add(Kilns())
        found = Assistant(kb).search_all(Query("brick kiln", task="search"))
    lanes = {report.name: report for report in found.lanes}
    assert found.hits and lanes["words"].status == "ok"
    assert lanes["text-text"].status == "failed" and "not finite" in lanes["text-text"].detail


def test_vectors_that_keep_the_contract_pass_unchanged() -> None:
    fake = FakeEncoder()
    rows = fake.encode_texts(["green", "red roofs"])
    assert checked_vectors(fake, rows, 2) is rows
    half = checked_vectors(fake, rows.astype("float16"), 2)
    assert half.dtype == "float32" and abs(half - rows).max() < 1e-3
    assert checked_vectors(fake, rows[:0]).shape == (0, 64)


@pytest.mark.parametrize(
    ("kind", "told"),
    [("retriever", "has no retrieve()."), ("tool", "has no applies()."), ("encoder", "has no encode_texts().")],
)
def test_a_component_without_its_verb_is_refused(kind: str, told: str) -> None:
    plugins = offer(kind, type("Empty", (), {"name": "empty"}))
    with pytest.raises(PluginError) as caught:
        plugins.create(kind, "empty")
    assert f"{kind} 'empty' of plugin third {told}" in caught.value.message


def test_a_scene_hook_that_hangs_is_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []
    hangs = SimpleNamespace(rsrag_open_scene=hookimpl(lambda uri: asked.append(uri) or naps()))
    plugins = Plugins(external=False, extra=[hangs], timeout=0.3)
    image = make_image(tmp_path / "a.png")
    assert [open_scene(image, plugins).width for _ in range(3)] == [64] * 3
    assert len(asked) == 1
    assert "rsrag_open_scene of plugin extra-0 did not come back within 0.3 s" in str(plugins.problems[0])


# -- the guard ------------------------------------------------------------------------------------


def test_calls_of_a_plugin_share_one_thread_until_one_is_late() -> None:
    guard = Guard("p")
    first = guard.call("it", threading.get_ident, 5)
    assert first != threading.get_ident() and guard.call("it", threading.get_ident, 5) == first
    with pytest.raises(Late, match=r"it of plugin p did not come back within 0\.05 s"):
        guard.call("it", naps, 0.05)
    assert guard.call("it", threading.get_ident, 5) != first


def test_an_endless_loop_that_is_late_ends() -> None:
    thread: list[threading.Thread] = []

    def spins() -> None:
        thread.append(threading.current_thread())
        while True:
            pass

    with pytest.raises(Late):
        Guard("p").call("it", spins, 0.3)
    thread[0].join(20)
    assert not thread[0].is_alive()


def test_a_call_inside_a_call_runs_at_once() -> None:
    outer, inner = Guard("outer"), Guard("inner")
    same = outer.call("it", lambda: (threading.get_ident(), inner.call("it", threading.get_ident, 5)), 5)
    assert same[0] == same[1]


def test_what_a_plugin_raises_comes_through_with_where_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Guard("p").call("it", lambda: 1 / 0, 5)
    assert "1 / 0" in str(caught.traceback[-1].statement)


def test_a_guard_that_is_gone_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in range(20):
        Guard("p").call("it", lambda: None, 5)
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_only_the_plugins_thread_is_diverted(capsys: pytest.CaptureFixture[str]) -> None:
    started, go = threading.Event(), threading.Event()

    def talks() -> None:
        print("one\ntw", end="")
        started.set()
        go.wait(5)
        print("o")

    thread = threading.Thread(target=lambda: Guard("p").call("it", talks, 10))
    thread.start()
    assert started.wait(5)
    print("result")
    go.set()
    thread.join()
    out, err = capsys.readouterr()
    assert (out, err) == ("result\n", "plugin p: one\nplugin p: two\n")
    print("after")
    assert capsys.readouterr().out == "after\n"
