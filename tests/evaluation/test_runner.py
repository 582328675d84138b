"""`rsrag eval run` and `sweep`: what is asked, what is kept, what is left out of retrieval, and that runs go on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from rsrag import Assistant, KnowledgeBase, Plugins, Prompt, Record, Sample, UsageError
from rsrag.cli.app import build
from rsrag.evaluation.asking import Asker, unmarked
from rsrag.evaluation.benchmarks import Chosen, choose, drawn, identified
from rsrag.evaluation.formats import plain
from rsrag.evaluation.leakage import Guard
from rsrag.evaluation.manifest import differences
from rsrag.evaluation.outcome import assess, outcome_json
from rsrag.evaluation.runner import PREDICTIONS, lines_of, opened, oracle, run
from rsrag.evaluation.scoring import score_file
from rsrag.evaluation.setup import Setup, parse_lanes
from rsrag.evaluation.sweep import grid, sweep
from rsrag.testing.encoders import COLOURS, FakeEncoder
from rsrag.testing.models import ScriptedModel

CLASSES = ("red", "green", "blue", "yellow")
PICTURES = 6  # of each class


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class of images that are a colour with grain of their own, so that each is told from the others."""
    folder = tmp_path_factory.mktemp("classes")
    for name in CLASSES:
        for number in range(PICTURES):
            save(folder / ("val" if number < 2 else "train") / name / f"{number}.png", name, number)
    return folder


def save(path: Path, colour: str, seed: int, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, CLASSES.index(colour)])
    coarse = Image.fromarray(rng.integers(0, 30, (8, 8), dtype=np.uint8)).resize((64, 64))
    pixels = np.array(COLOURS[colour], np.int16) + np.asarray(coarse, np.int16)[..., None] - 15
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, **how)
    return path


class Colours:
    """A benchmark from outside: one question per class, with knowledge of its own kind."""

    name = "colours"

    def __init__(self, path: str, tasks: str = "classify") -> None:
        self.path, self.tasks = path, tasks

    @property
    def root(self) -> Path:
        return Path(self.path) / "val"

    def samples(self, split: str = "") -> Iterator[Sample]:
        for number, name in enumerate(CLASSES):
            for task in self.tasks.split("+"):
                yield from self.one(task, name, number)

    def one(self, task: str, name: str, number: int) -> Iterator[Sample]:
        image, id = (f"{name}/0.png",), f"{task}/{name}"
        if task == "classify":
            yield Sample(id, "classify", "Which colour?", image, (name,), CLASSES)
        elif task == "caption":
            yield Sample(id, "caption", "", image, (f"a plain of {name} ground with grain number {number}",))
        elif task == "vqa":
            yield Sample(id, "vqa", f"How long is the {name} quay?", image, (f"{number + 11} m",))
        elif task == "choice":
            letter = "ABCD"[CLASSES.index(name)]
            yield Sample(id, "choice", "Which colour?", image, (letter,), options=CLASSES)
        elif task == "detect":
            box = f"[{10 * number}, 10, {10 * number + 8}, 30]"
            yield Sample(id, "detect", "Where is it?", image, (box,), meta={"size": (64, 64)})
        else:
            yield Sample(id, "retrieve", name, (), (f"train/{name}/3.png",))

    def sources(self, split: str = "") -> list[Any]:
        return []


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory, classes: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase(tmp_path_factory.mktemp("kb"), FakeEncoder(), plugins=Plugins(external=False)) as store:
        chosen = choose("labels", store.plugins, {"path": str(classes)})
        for source in chosen.sources(""):
            store.add(source)
        yield store


@pytest.fixture
def labels(kb: KnowledgeBase, classes: Path) -> Chosen:
    return choose("labels", kb.plugins, {"path": str(classes)})


def ran(
    chosen: Chosen, kb: KnowledgeBase, setup: Setup, out: Path, model: Any = "extractive", **options: Any
) -> list[dict[str, Any]]:
    assistant = Assistant(kb, model, tools=False)
    with opened(chosen, assistant, setup, cache=out.parent / "cache") as bench:
        run(bench, setup, out, **options)
    return list(lines_of(out / PREDICTIONS))


# -- running ----------------------------------------------------------------------------------------


def test_a_run_asks_every_question_and_writes_what_score_reads(
    labels: Chosen, kb: KnowledgeBase, tmp_path: Path
) -> None:
    lines = ran(labels, kb, Setup(), tmp_path / "out")
    assert [line["id"] for line in lines] == [f"val/{c}/{n}.png" for c in sorted(CLASSES) for n in (0, 1)]
    assert all(line["prediction"] in CLASSES and line["labels"] == sorted(CLASSES) for line in lines)
    (result,) = score_file(tmp_path / "out" / PREDICTIONS)
    assert (result.task, result.n, result.scores["Accuracy"].value) == ("classify", 8, 1.0)
    conditions = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert conditions["setup"]["k"] == 8 and conditions["store"]["spaces"]["images"] == "fake-64-1"
    assert conditions["benchmark"]["questions"] == 8 and conditions["leakage"]["near"] == 20


def test_an_interrupted_run_goes_on_and_equals_one_in_one_piece(
    labels: Chosen, kb: KnowledgeBase, tmp_path: Path
) -> None:
    whole = ran(labels, kb, Setup(), tmp_path / "whole")

    def stop(done: int, total: int | None, what: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(labels, kb, Setup(), tmp_path / "parts", progress=stop)
    file = tmp_path / "parts" / PREDICTIONS
    assert len(list(lines_of(file))) == 3
    with file.open("a") as stream:
        stream.write('{"id": "val/half')  # the power went
    asked = []
    ran(labels, kb, Setup(), tmp_path / "parts", progress=lambda done, total, what: asked.append(done))
    assert asked == list(range(3, 9))
    assert file.read_bytes() == (tmp_path / "whole" / PREDICTIONS).read_bytes() and len(whole) == 8


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"k": 3}, "setup.k was 8, now 3"),
        ({"fusion": "weighted", "alpha": 0.3}, 'setup.fusion was "rrf", now "weighted"'),
        ({"lanes": ("image-image",)}, "setup.lanes was null"),
        ({"allow_self": True}, "setup.allow_self was false, now true"),
        ({"limit": 4}, "benchmark.questions was 8, now 4"),
    ],
)
def test_other_conditions_are_refused_and_shown(
    labels: Chosen, kb: KnowledgeBase, tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    ran(labels, kb, Setup(), tmp_path / "out")
    before = (tmp_path / "out" / PREDICTIONS).read_bytes()
    with pytest.raises(UsageError) as error:
        ran(labels, kb, replace(Setup(), **changed), tmp_path / "out")
    assert told in error.value.message
    assert (tmp_path / "out" / PREDICTIONS).read_bytes() == before


def test_a_folder_with_other_files_is_left_alone(labels: Chosen, kb: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("dear to somebody")
    with pytest.raises(UsageError, match="holds files, and no run"):
        ran(labels, kb, Setup(), tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_question_that_fails_costs_itself_and_is_asked_again(
    kb: KnowledgeBase, classes: Path, tmp_path: Path
) -> None:
    chosen = Chosen(Colours(str(classes), "vqa"))
    down = [True]

    def reply(prompt: Prompt) -> str:
        if "green" in prompt.question and down[0]:
            raise ValueError("the server is down")
        return "11 m"

    lines = ran(chosen, kb, Setup(), tmp_path / "out", ScriptedModel(reply))
    assert [line.get("error") for line in lines] == [None, "ValueError: the server is down", None, None]
    outcome = assess(tmp_path / "out", resamples=200)
    assert outcome_json(outcome)["failed"] == 1 and outcome.results[0].n == 4
    assert outcome.results[0].scores["Numeric accuracy"].value == 0.25
    down[0] = False
    lines = ran(chosen, kb, Setup(), tmp_path / "out", ScriptedModel(reply))
    assert len(lines) == 4 and not any("error" in line for line in lines)


def test_what_was_searched_is_not_searched_again(labels: Chosen, kb: KnowledgeBase, tmp_path: Path) -> None:
    chosen = Chosen(Colours(str(labels.root), "caption"))
    with opened(chosen, Assistant(kb, "extractive"), Setup(), cache=tmp_path / "cache") as bench:
        first = run(bench, Setup(), tmp_path / "a")
        second = run(bench, replace(Setup(), fusion="weighted", k=2), tmp_path / "b")
    assert first.searched > 0 and second.searched == 0
    with opened(chosen, Assistant(kb, ScriptedModel("a plain")), Setup(), cache=tmp_path / "cache") as bench:
        assert run(bench, replace(Setup(), model="scripted"), tmp_path / "c").searched == 0


def test_workers_are_for_models_elsewhere(labels: Chosen, kb: KnowledgeBase, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one question at a time"):
        ran(labels, kb, Setup(workers=4), tmp_path / "out")
    model = ScriptedModel(lambda prompt: prompt.labels[0])
    model.parallel = True  # type: ignore[attr-defined]
    lines = ran(labels, kb, Setup(workers=4), tmp_path / "many", model)
    assert sorted(line["id"] for line in lines) == sorted(s.id for s in drawn(labels)) and len(lines) == 8


def test_questions_are_drawn_by_the_seed(labels: Chosen) -> None:
    some = [s.id for s in drawn(labels, limit=3, seed=1)]
    assert some == [s.id for s in drawn(labels, limit=3, seed=1)] and len(some) == 3
    assert some != [s.id for s in drawn(labels, limit=3, seed=2)]
    everything = [s.id for s in drawn(labels)]
    assert [id for id in everything if id in some] == some


def test_ids_are_made_unique() -> None:
    found = identified([Sample("a"), Sample(""), Sample("a"), Sample("")])
    assert [s.id for s in found] == ["a", "q1", "a#2", "q3"] and found[2].meta["record"] == "a"


# -- oracle and chance ------------------------------------------------------------------------------

PERFECT = {
    "classify": ("Accuracy", "Macro-F1"),
    "caption": ("BLEU-4", "ROUGE-L"),
    "vqa": ("Exact match", "Numeric accuracy"),
    "choice": ("Accuracy",),
    "detect": ("P@0.5", "Mean IoU"),
    "retrieve": ("Recall@1", "mAP"),
}


@pytest.mark.parametrize("task", PERFECT)
def test_right_answers_score_one_and_shuffled_ones_near_chance(task: str, classes: Path, tmp_path: Path) -> None:
    given = list(oracle(drawn(Chosen(Colours(str(classes), task)))))
    shift = given[1:] + given[:1]
    for name, pairs in (("right", given), ("shifted", [(s, p) for (s, _), (_, p) in zip(given, shift, strict=True)])):
        text = "".join(json.dumps(plain.record(s, p)) + "\n" for s, p in pairs)
        (tmp_path / name).write_text(text)
    (right,), (shifted,) = score_file(tmp_path / "right"), score_file(tmp_path / "shifted")
    assert right.task == task
    for metric in PERFECT[task]:
        assert right.scores[metric].value == pytest.approx(1)
        assert shifted.scores[metric].value <= (0.8 if task == "caption" else 0.0)


def test_an_oracle_that_is_run_scores_one_and_a_guesser_chance(
    labels: Chosen, kb: KnowledgeBase, tmp_path: Path
) -> None:
    def knows(prompt: Prompt) -> str:
        return Path(prompt.scenes[0].uri).parent.name

    ran(labels, kb, Setup(model="oracle"), tmp_path / "oracle", ScriptedModel(knows))
    assert assess(tmp_path / "oracle", resamples=100).results[0].scores["Accuracy"].value == 1
    draw = random.Random(0)
    ran(labels, kb, Setup(model="dice"), tmp_path / "dice", ScriptedModel(lambda prompt: draw.choice(prompt.labels)))
    assert assess(tmp_path / "dice", resamples=100).results[0].scores["Accuracy"].value <= 0.625  # 5 of 8: p = 0.03


# -- leakage ----------------------------------------------------------------------------------------


@pytest.fixture
def leaky(tmp_path: Path) -> Iterator[KnowledgeBase]:
    """A store that holds, of an image that is asked about, itself, three kinds of copies, and others like it."""
    folder = tmp_path / "leaky"
    original = save(tmp_path / "asked" / "red" / "q.png", "red", 0)
    with Image.open(original) as image:
        (folder / "red").mkdir(parents=True)
        image.save(folder / "red" / "same.png")
        image.save(folder / "red" / "again.jpg", quality=60)
        image.resize((50, 50)).save(folder / "red" / "small.jpg", quality=80)
        image.transpose(Image.Transpose.ROTATE_90).point(lambda v: min(255, int(v * 1.05))).save(
            folder / "red" / "turned.png"
        )
    save(tmp_path / "asked" / "blue" / "other.png", "blue", 9)
    for number in range(1, 5):
        save(folder / "red" / f"other{number}.png", "red", number)
        save(folder / "blue" / f"blue{number}.png", "blue", number)
    with KnowledgeBase(tmp_path / "store", FakeEncoder(), plugins=Plugins(external=False)) as kb:
        kb.add(str(folder), kind="folder")
        yield kb


def test_copies_of_the_image_are_left_out(leaky: KnowledgeBase, tmp_path: Path) -> None:
    guard = Guard(leaky)
    assistant = Assistant(leaky)
    scene = assistant.query("", tmp_path / "asked" / "red" / "q.png").scenes
    found = guard.excluded(Sample("q", "classify", images=("q.png",)), scene)
    assert found.records == {
        "red/same.png": "same pixels",
        "red/again.jpg": "near-duplicate",
        "red/small.jpg": "near-duplicate",
        "red/turned.png": "near-duplicate",
    }
    by_id = guard.excluded(Sample("blue/blue1.png", "classify"), scene).records
    assert by_id["blue/blue1.png"] == "same id"
    again = Guard(leaky)  # from what was kept
    assert again.excluded(Sample("q"), scene) == found and again.unseen == 0


def test_parts_of_a_record_are_left_out_with_it(kb: KnowledgeBase) -> None:
    class Parts:
        name, role, label = "parts", "reference", "parts"

        def records(self) -> Iterator[Record]:
            for id in ("17", "17#figures", "170", "17#figures#old", "18#figures"):
                yield Record(id, f"place/{id}", id, f"What is known of {id}.")

    kb.add(Parts())
    try:
        assert Guard(kb).excluded(Sample("q", meta={"record": "17"}), []).ids == ("17", "17#figures", "17#figures#old")
        assert Guard(kb).excluded(Sample("18"), []).ids == ()
    finally:
        kb.delete("parts")


def test_the_report_counts_them_and_allow_self_is_loud(leaky: KnowledgeBase, tmp_path: Path) -> None:
    chosen = choose(str(tmp_path / "asked"), leaky.plugins)
    other, line = ran(chosen, leaky, Setup(), tmp_path / "kept")
    assert "excluded" not in other and line["excluded"] == {"same pixels": 1, "near-duplicate": 3}
    outcome = outcome_json(assess(tmp_path / "kept", resamples=100))
    assert outcome["excluded"] == {"same id": 0, "same pixels": 1, "near-duplicate": 3, "questions": 1}
    _, line = ran(chosen, leaky, Setup(allow_self=True), tmp_path / "self")
    assert "excluded" not in line
    outcome = outcome_json(assess(tmp_path / "self", resamples=100))
    assert outcome["allow_self"] is True and outcome["excluded"] is None


def test_what_is_left_out_is_in_no_evidence(leaky: KnowledgeBase, tmp_path: Path) -> None:
    assistant = Assistant(leaky, ScriptedModel("red"))
    chosen = choose(str(tmp_path / "asked"), leaky.plugins)
    sample = replace(drawn(chosen)[1], task="caption")
    with opened(chosen, assistant, Setup(), cache=tmp_path / "cache") as bench:
        kept = Asker(assistant, Setup(), bench.guard, bench.cache, bench.chosen.root)(sample)
        free = Asker(assistant, Setup(), None, bench.cache, bench.chosen.root)(sample)
    copies = {"red/same.png", "red/again.jpg", "red/small.jpg", "red/turned.png"}
    assert not copies & {item["record"] for item in kept.shown}
    assert copies & {item["record"] for item in free.shown}


# -- modes ------------------------------------------------------------------------------------------


def test_without_lanes_nothing_of_the_store_is_seen(kb: KnowledgeBase, classes: Path, tmp_path: Path) -> None:
    chosen = Chosen(Colours(str(classes), "caption+vqa"))
    model = ScriptedModel("12 m")
    ran(chosen, kb, Setup(lanes=()), tmp_path / "none", model)
    assert all(not prompt.evidence and not prompt.votes for prompt in model.prompts)
    model = ScriptedModel("12 m")
    ran(chosen, kb, Setup(lanes=("text-text", "words")), tmp_path / "text", model)
    assert all(not vote.subjects for prompt in model.prompts for vote in prompt.votes)
    model = ScriptedModel("12 m")
    ran(chosen, kb, Setup(lanes=("image-image",)), tmp_path / "image", model)
    assert all(prompt.evidence and prompt.votes[0].subjects for prompt in model.prompts)


@pytest.mark.parametrize(
    ("text", "lanes"),
    [("all", None), ("none", ()), ("image", ("image-image",)), ("words,image-image", ("words", "image-image"))],
)
def test_lanes_are_read(text: str, lanes: tuple[str, ...] | None) -> None:
    assert parse_lanes(text, ["image-image", "words"]) == lanes


def test_an_unknown_lane_is_named() -> None:
    with pytest.raises(UsageError) as error:
        parse_lanes("image-imag", ["image-image", "words"])
    assert error.value.hint == "Did you mean image-image?"


def test_a_sweep_equals_single_runs(kb: KnowledgeBase, classes: Path, tmp_path: Path) -> None:
    chosen = Chosen(Colours(str(classes), "caption+classify"))
    points = grid(Setup(), [None, ("image-image",), ()], ["rrf", "weighted"], [0.2, 0.8], [1, 4])
    assert len(points) == 2 * (2 + 4) + 1  # without lanes there is one point, and rrf has no alpha
    with opened(chosen, Assistant(kb), Setup(), cache=tmp_path / "cache") as bench:
        rows = sweep(bench, points, tmp_path / "grid")
    folders = [f for f in (tmp_path / "grid").iterdir() if (f / PREDICTIONS).exists()]
    assert len(folders) == len(points)
    single = replace(Setup(), lanes=("image-image",), fusion="weighted", alpha=0.8, k=4)
    ran(chosen, kb, single, tmp_path / "single")
    inside = tmp_path / "grid" / "image-image-weighted-alpha0.8-k4"
    assert (inside / PREDICTIONS).read_bytes() == (tmp_path / "single" / PREDICTIONS).read_bytes()
    value = assess(tmp_path / "single", resamples=100).results[0].scores
    row = next(
        r for r in rows if (r["lanes"], r["alpha"], r["k"], r["metric"]) == ("image-image", 0.8, 4, next(iter(value)))
    )
    assert row["value"] == round(next(iter(value.values())).value, 6)


def test_differences_name_what_was_and_what_is() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": "x"}) == [
        ("a.c", "2", "3"),
        ("d", "not set", '"x"'),
    ]


def test_answers_are_compared_without_their_markers() -> None:
    assert unmarked("This is **a port** [A]: quays [1][2]. It is 4 m [3, 4].") == "This is a port: quays. It is 4 m."


# -- the command line -------------------------------------------------------------------------------

PLUGIN = '''
from pathlib import Path
from rsrag import Sample, hookimpl

class Tints:
    """Colours by name."""
    name = "tints"
    def __init__(self, path=""):
        self._path = path
    @property
    def root(self):
        return Path(self._path)
    def samples(self, split=""):
        for name in ("red", "blue"):
            yield Sample(name, "classify", "Which tint?", (f"{name}/0.png",), (name,), ("red", "blue"))

@hookimpl
def rsrag_benchmarks():
    return [Tints]
'''


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kb: KnowledgeBase) -> Callable[..., Result]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "rsrag_tints.py").write_text(PLUGIN)
    (folder / "rsrag_fake.py").write_text(
        "from rsrag import hookimpl\n\n@hookimpl\ndef rsrag_encoders():\n"
        "    from rsrag.testing.encoders import FakeEncoder\n    return [FakeEncoder]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RSRAG_DATA_DIR", str(tmp_path / "data"))

    def invoke(*arguments: str) -> Result:
        line = ["--plugin-dir", str(folder), "eval", *arguments]
        return CliRunner().invoke(build(line), line)

    return invoke


def test_a_benchmark_from_outside_runs(call: Callable[..., Result], classes: Path, kb: KnowledgeBase) -> None:
    listed = json.loads(call("benchmarks", "--json").stdout)
    assert {"tints", "labels", "captions", "vqa", "rswk", "facts"} <= {row["name"] for row in listed}
    val = str(classes / "val")
    done = call("run", "tints", "--data", val, "--kb", str(kb.path), "--encoder", "fake", "--out", "o", "--json")
    assert done.exit_code == 0, done.output
    shape = json.loads(done.stdout)
    assert shape["benchmark"] == "tints" and shape["tasks"][0]["n"] == 2
    assert {"results.json", "results.csv", "items.jsonl", "report.html", "manifest.json"} <= {
        f.name for f in Path("o").iterdir()
    }


def test_a_run_at_the_terminal(call: Callable[..., Result], classes: Path) -> None:
    command = ["run", "labels", "--data", str(classes), "--encoder", "fake", "--out", "o"]
    done = call(*command)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "classify, n = 8" in done.stdout and "Accuracy" in done.stdout
    again = call(*command)
    assert "8 questions were answered before; 0 were asked now." in " ".join(again.stderr.split())
    other = call(*command, "-k", "2")
    assert isinstance(other.exception, UsageError) and "setup.k was 8, now 2" in other.exception.message
    stores = sorted(Path("data/eval").iterdir())
    call(*command[:-1], "few", "--limit", "2", "--lanes", "none")
    assert sorted(Path("data/eval").iterdir()) == stores  # other questions, the same knowledge
    loud = call(*command[:-1], "p", "--allow-self")
    assert "warning: --allow-self" in loud.stderr
    page = Path("p/report.html").read_text("utf-8")
    assert 'class="loud"' in page and "<script" not in page and "http" not in page.replace("http-equiv", "")
    compared = call("compare", "o", "p")
    assert compared.exit_code == 0 and "classify, n = 8" in compared.stdout


def test_a_sweep_at_the_terminal(call: Callable[..., Result], classes: Path) -> None:
    done = call(
        *("sweep", "labels", "--data", str(classes), "--encoder", "fake", "--out", "g", "--alpha", "0.2,0.8"),
        *("-k", "2", "--lanes", "all", "--lanes", "none"),
    )
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "no retrieval" in done.stdout and done.stdout.count("weighted") == 2
    assert "<svg" in Path("g/sweep.html").read_text("utf-8") and len(json.loads(Path("g/sweep.json").read_text())) > 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "nonsense", "--out", "o"), "there is no benchmark and no file called 'nonsense'"),
        (("run", "labels", "--out", "o"), "benchmark 'labels' needs path."),
        (("run", "labels", "--data", "none/", "--out", "o"), "none/ does not exist"),
        (("run", "labels", "--data", ".", "--set", "paht=x", "--out", "o"), "paht"),
        (("run", "labels", "--data", ".", "--set", "path", "--out", "o"), "is not KEY=VALUE"),
        (("sweep", "labels", "--data", ".", "--alpha", "a,b", "--out", "o"), "no list of numbers"),
        (("sweep", "labels", "--data", ".", "--fusion", "sum", "--out", "o"), "neither rrf nor weighted"),
        (("compare", "o"), "give two or more"),
    ],
)
def test_bad_calls(call: Callable[..., Result], arguments: tuple[str, ...], told: str) -> None:
    done = call(*arguments)
    assert done.exit_code != 0
    said = f"{done.stderr} {done.exception.message if isinstance(done.exception, UsageError) else ''}"
    assert told in " ".join(said.replace("│", " ").split())
